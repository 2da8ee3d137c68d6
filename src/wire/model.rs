//! Requests about models, and models and their readings as messages.
//!
//! It must never load or choose anything. The model handlers call it.

use super::content;
use super::enums::WireEnum;
use super::fields::{Arrival, optional_time, required_id, time_message};
use super::request::{ListingSeal, PageKey, note, page, request};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::Request;
use crate::book::query::{ChallengerFilter, DecisionFilter, PageRequest};
use crate::book::records::DecisionRecord;
use crate::screening::features::schema_hash;
use crate::screening::model::{Certificate, Model, Thresholds};
use crate::screening::monitor::DriftLevel;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Timestamp;

/// The largest model file that is read, in bytes.
pub const MODEL_BYTES_MAX: usize = 3 << 20;
/// The longest version or file name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// A change that was asked for: where, who and why.
#[derive(Debug, Clone)]
pub struct ModelRequest<T> {
    /// The programme.
    pub program_id: ProgramId,
    /// What is asked for.
    pub wanted: T,
    /// Why; empty when nothing was said.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSource {
    /// The bytes of a file.
    Content(bytes::Bytes),
    /// A file of the server's model folder.
    FileName(String),
}

/// Reads which programme's models are asked for.
///
/// # Errors
/// All violated fields.
pub fn list_wanted(message: v1::ListModelsRequest) -> Result<ProgramId, Vec<Violation>> {
    let v1::ListModelsRequest { program_id } = message;
    program_wanted(&program_id)
}

/// Reads which programme's status is asked for.
///
/// # Errors
/// All violated fields.
pub fn status_wanted(message: v1::GetModelStatusRequest) -> Result<ProgramId, Vec<Violation>> {
    let v1::GetModelStatusRequest { program_id } = message;
    program_wanted(&program_id)
}

fn program_wanted(program_id: &str) -> Result<ProgramId, Vec<Violation>> {
    let mut found = Violations::default();
    let program_id = required_id(program_id, &At::path("program_id"), &mut found);
    found.into_result(program_id)
}

/// Reads a model to load.
///
/// # Errors
/// All violated fields. Whether the bytes are a model is for whoever loads them.
pub fn load(message: v1::LoadModelRequest) -> Result<ModelRequest<ModelSource>, Vec<Violation>> {
    use v1::load_model_request::Source;

    let content = content::fingerprint(&message);
    let v1::LoadModelRequest { program_id, source, note: why, request_id } = message;
    let mut found = Violations::default();
    let request = request(&request_id, content, &mut found);
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let wanted = match source {
        Some(Source::Content(content)) => {
            if content.is_empty() {
                found.add(&At::path("content"), "is empty; send the bytes of a model file");
            } else if content.len() > MODEL_BYTES_MAX {
                found.add(
                    &At::path("content"),
                    format!("is {} bytes long; a model file has at most {MODEL_BYTES_MAX}", content.len()),
                );
            }
            Some(ModelSource::Content(content))
        }
        Some(Source::FileName(name)) => {
            if name.is_empty() {
                found.add(&At::path("file_name"), "is empty; name a file of the server's model folder");
            }
            Some(ModelSource::FileName(name))
        }
        None => {
            found.add(&At::path("source"), "is required: one of `content` and `file_name`");
            None
        }
    };
    asked((program_id, wanted), why, request, found)
}

/// Reads which model is to decide.
///
/// # Errors
/// All violated fields.
pub fn activate(message: v1::ActivateModelRequest) -> Result<ModelRequest<String>, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::ActivateModelRequest { program_id, model_version, note: why, request_id } = message;
    let mut found = Violations::default();
    let request = request(&request_id, content, &mut found);
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    if model_version.is_empty() {
        found.add(&At::path("model_version"), "is required");
    }
    let wanted = version(model_version, &mut found);
    asked((program_id, Some(wanted)), why, request, found)
}

/// Reads a rollback.
///
/// # Errors
/// All violated fields.
pub fn roll_back(message: v1::RollbackModelRequest) -> Result<ModelRequest<()>, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::RollbackModelRequest { program_id, note: why, request_id } = message;
    let mut found = Violations::default();
    let request = request(&request_id, content, &mut found);
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    asked((program_id, Some(())), why, request, found)
}

/// Reads which model is only to be watched; absent for none.
///
/// # Errors
/// All violated fields.
pub fn challenger(message: v1::SetChallengerRequest) -> Result<ModelRequest<Option<String>>, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::SetChallengerRequest { program_id, model_version, note: why, request_id } = message;
    let mut found = Violations::default();
    let request = request(&request_id, content, &mut found);
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let wanted = version(model_version, &mut found);
    let wanted = Some(wanted).filter(|version| !version.is_empty());
    asked((program_id, Some(wanted)), why, request, found)
}

fn version(model_version: String, found: &mut Violations) -> String {
    if model_version.len() > NAME_BYTES_MAX {
        let problem = format!("is {} bytes long; at most {NAME_BYTES_MAX} are allowed", model_version.len());
        found.add(&At::path("model_version"), problem);
    }
    model_version
}

fn asked<T>(
    (program_id, wanted): (Option<ProgramId>, Option<T>),
    why: String,
    request: Option<Request>,
    mut found: Violations,
) -> Result<ModelRequest<T>, Vec<Violation>> {
    let note = note(why, &At::path("note"), &mut found);
    let asked = || Some(ModelRequest { program_id: program_id?, wanted: wanted?, note, request });
    found.into_result(asked())
}

/// A listing of disagreements that was asked for.
#[derive(Debug, Clone)]
pub struct DisagreementListing {
    /// The programme.
    pub program_id: ProgramId,
    /// Which decisions.
    pub filter: DecisionFilter,
    /// Which part.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub seal: ListingSeal,
}

/// Reads a listing request.
///
/// # Errors
/// All violated fields.
pub fn disagreements(message: v1::ListDisagreementsRequest, key: &PageKey) -> Result<DisagreementListing, Vec<Violation>> {
    let bare = v1::ListDisagreementsRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::ListDisagreementsRequest { program_id, decided_from, decided_until, page_size, page_token } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let filter = DecisionFilter {
        from: optional_time(decided_from, &At::path("decided_from"), Arrival::Recorded, &mut found),
        until: optional_time(decided_until, &At::path("decided_until"), Arrival::Recorded, &mut found),
        challenger: ChallengerFilter::Disagrees,
        ..DecisionFilter::default()
    };
    if let (Some(from), Some(until)) = (filter.from, filter.until)
        && from >= until
    {
        found.add(&At::path("decided_until"), "must lie after `decided_from`");
    }
    let page = page(page_size, &page_token, seal, &mut found);
    found.into_result(program_id.map(|program_id| DisagreementListing { program_id, filter, page, seal }))
}

/// Writes a decision to which the challenger would have given another verdict; `None` where it agrees.
#[must_use]
pub fn disagreement_message(record: &DecisionRecord) -> Option<v1::Disagreement> {
    let shadow = record.decision.disagreement()?;
    Some(v1::Disagreement {
        conversion_id: record.conversion.conversion_id.to_string(),
        decided_at: Some(time_message(record.decision.decided_at)),
        active_version: record.decision.model_version.as_deref().unwrap_or_default().to_owned(),
        active_score: record.decision.score,
        active_verdict: record.decision.verdict_without_audit().to_number(),
        challenger: Some(v1::ShadowScore {
            model_version: shadow.model_version.to_string(),
            score: shadow.score,
            verdict: shadow.verdict.to_number(),
        }),
        verdict: record.verdict.to_number(),
    })
}

/// Writes a loaded model.
#[must_use]
pub fn summary_message(model: &Model, role: v1::ModelRole, loaded_at: Timestamp) -> v1::ModelSummary {
    let Thresholds { review, reject } = model.thresholds();
    let Certificate { alpha, delta, rejected_samples, honest_samples, rejected_referrals: _, upper_bound: _ } =
        model.certificate();
    v1::ModelSummary {
        model_version: model.version().to_owned(),
        role: role.into(),
        family: model.parts().family.to_string(),
        trained_until: Some(time_message(model.parts().trained_until)),
        loaded_at: Some(time_message(loaded_at)),
        // What is loaded was bound to this server's catalogue.
        feature_schema_hash: schema_hash(),
        certificate: Some(v1::Certificate {
            alpha,
            delta,
            reject_threshold: reject,
            review_threshold: review,
            rejected_groups: rejected_samples,
            honest_groups: honest_samples,
        }),
        conjunctions: model.parts().conjunctions.iter().map(ToString::to_string).collect(),
    }
}

/// Writes how far one quantity has moved. `name`: the feature's, or `score`.
#[must_use]
pub fn drift_message(name: &str, stability_index: Option<f64>, level: DriftLevel, values: u64) -> v1::DriftReading {
    v1::DriftReading { name: name.to_owned(), stability_index, level: level.to_number(), values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::directory::LedgerKey;

    fn fields(violations: Vec<Violation>) -> Vec<String> {
        violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn everything_wrong_with_a_request_is_named() {
        assert_eq!(fields(load(v1::LoadModelRequest::default()).unwrap_err()), ["program_id", "source"]);
        let long = v1::ActivateModelRequest { model_version: "v".repeat(129), note: "\u{7}".to_owned(), ..Default::default() };
        assert_eq!(fields(activate(long).unwrap_err()), ["program_id", "model_version", "note"]);
        let too_many = v1::ListDisagreementsRequest { page_size: 501, page_token: "x".to_owned(), ..Default::default() };
        assert_eq!(
            fields(disagreements(too_many, &PageKey::of(&LedgerKey([1; 32]))).unwrap_err()),
            ["program_id", "page_size", "page_token"]
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_named_before_it_is_read() {
        use v1::load_model_request::Source;

        let content = bytes::Bytes::from(vec![0; MODEL_BYTES_MAX + 1]);
        let sent = v1::LoadModelRequest {
            program_id: "shop".to_owned(),
            source: Some(Source::Content(content)),
            note: String::new(),
            request_id: String::new(),
        };
        assert_eq!(fields(load(sent).unwrap_err()), ["content"]);
    }

    #[test]
    fn no_version_clears_the_challenger() {
        let sent = v1::SetChallengerRequest { program_id: "shop".to_owned(), ..Default::default() };
        assert_eq!(challenger(sent).unwrap().wanted, None);
    }
}
