//! Models, their status and their disagreements as text. Pure: answers in, text out. `model` calls it.

use std::fmt::Write as _;

use crate::cli::table::table;
use crate::wire::v1;
use crate::wire::words::{instant, verdict};

/// Features that a status shows at most.
const FEATURES_SHOWN: usize = 8;

/// A table of models.
pub(super) fn list(answer: &v1::ListModelsResponse) -> String {
    let head = ["VERSION", "ROLE", "FAMILY", "REVIEW FROM", "REJECT FROM", "TRAINED UNTIL", "LOADED"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for model in &answer.models {
        let certificate = model.certificate.unwrap_or_default();
        rows.push(vec![
            model.model_version.clone(),
            role(model.role()).to_owned(),
            model.family.clone(),
            format!("{:.4}", certificate.review_threshold),
            rejects(model).unwrap_or_else(|| "never".to_owned()),
            at(model.trained_until.as_ref()),
            at(model.loaded_at.as_ref()),
        ]);
    }
    table(&rows)
}

/// What was loaded.
pub(super) fn loaded(model: Option<&v1::ModelSummary>) -> String {
    model.map_or_else(String::new, |model| {
        format!("{} is loaded ({}).\n{}", model.model_version, role(model.role()), promise(model))
    })
}

/// What decides now.
pub(super) fn decides(active: Option<&v1::ModelSummary>, previous: &str) -> String {
    let now = active.map_or_else(|| "the rule weights".to_owned(), |model| model.model_version.clone());
    let before = if previous.is_empty() { "the rule weights" } else { previous };
    let promise = active.map(promise).unwrap_or_default();
    if active.is_some() && now == before {
        return format!("{now} decided already and goes on; its audits are counted anew.\n{promise}");
    }
    format!("{now} decides now; until now it was {before}.\n{promise}")
}

/// What would decide if the policy let it.
pub(super) fn waits(active: Option<&v1::ModelSummary>) -> String {
    let version = active.map(|model| model.model_version.as_str()).unwrap_or_default();
    format!(
        "{version} is chosen, but the policy of this programme scores by its rules' weights.\nSet `score.source = \"model\"` in it for the model to decide."
    )
}

/// What is watched now.
pub(super) fn challenges(challenger: Option<&v1::ModelSummary>) -> String {
    challenger.map_or_else(
        || "There is no challenger now.".to_owned(),
        |model| format!("{} scores in the shadow now; `disagreements` shows where it differs.", model.model_version),
    )
}

/// Which model decides, how it is doing, what has drifted, what was changed last.
pub(super) fn status(answer: &v1::GetModelStatusResponse) -> String {
    let v1::GetModelStatusResponse { active, previous, challenger, audit, score_drift, feature_drift, changes } = answer;
    let name = |model: &Option<v1::ModelSummary>| model.as_ref().map(|model| model.model_version.clone());
    let mut text = match active {
        Some(model) => format!("{} decides\n  {}\n", model.model_version, promise(model)),
        None => "The rule weights decide.\n".to_owned(),
    };
    if let Some(previous) = name(previous) {
        let _ = writeln!(text, "  a rollback brings back {previous}");
    }
    if let Some(challenger) = name(challenger) {
        let _ = writeln!(text, "  {challenger} scores in the shadow");
    }
    if let Some(audit) = audit {
        let _ = write!(text, "\n{}", audits(audit));
    }
    if let Some(score) = score_drift {
        let _ = write!(text, "\nDRIFT\n{}", drift(score, feature_drift));
    }
    if let Some(change) = changes.first() {
        let _ = write!(text, "\nLAST CHANGE ({} in `history`)\n{}", changes.len(), table(&[change_row(change)]));
    }
    text
}

/// Who changed what, the newest first.
pub(super) fn history(answer: &v1::GetModelStatusResponse) -> String {
    if answer.changes.is_empty() {
        return "Nothing was changed in this programme.".to_owned();
    }
    table(&answer.changes.iter().map(change_row).collect::<Vec<_>>())
}

/// Where the challenger differs.
pub(super) fn disagreements(answer: &v1::ListDisagreementsResponse) -> String {
    if answer.disagreements.is_empty() {
        return "The challenger agrees with everything so far, or there is none.".to_owned();
    }
    let head = ["CONVERSION", "DECIDED", "ACTIVE", "SCORE", "CHALLENGER", "SCORE", "STANDS"].map(str::to_owned).to_vec();
    let mut rows = vec![head];
    for found in &answer.disagreements {
        let challenger = found.challenger.clone().unwrap_or_default();
        rows.push(vec![
            found.conversion_id.clone(),
            at(found.decided_at.as_ref()),
            verdict(found.active_verdict()).to_owned(),
            format!("{:.4}", found.active_score),
            verdict(challenger.verdict()).to_owned(),
            format!("{:.4}", challenger.score),
            verdict(found.verdict()).to_owned(),
        ]);
    }
    let mut text = table(&rows);
    if !answer.next_page_token.is_empty() {
        text.push_str("There are more; --limit shows them.");
    }
    text
}

fn promise(model: &v1::ModelSummary) -> String {
    let v1::Certificate { alpha, delta, reject_threshold: _, review_threshold, rejected_groups, honest_groups } =
        model.certificate.unwrap_or_default();
    let (alpha, confidence) = (percent(alpha), percent(1.0 - delta));
    let Some(rejects) = rejects(model) else {
        return format!(
            "reviews from {review_threshold:.4}, rejects nothing by itself: nothing kept the share of honest below {alpha} at {confidence} \
             confidence"
        );
    };
    let conjunctions = model.conjunctions.iter().fold(String::new(), |told, conjunction| told + "\n  rejects " + conjunction);
    format!(
        "reviews from {review_threshold:.4}, rejects from {rejects}: at most {alpha} of the rejected are honest, at {confidence} \
         confidence ({honest_groups} of {rejected_groups} groups were){conjunctions}"
    )
}

/// From where on a model rejects: a score, conjunctions, or both; `None` when it rejects nothing.
fn rejects(model: &v1::ModelSummary) -> Option<String> {
    let score = model.certificate.unwrap_or_default().reject_threshold.map(|threshold| format!("{threshold:.4}"));
    let conjunctions = match model.conjunctions.len() {
        0 => None,
        1 => Some("1 conjunction".to_owned()),
        many => Some(format!("{many} conjunctions")),
    };
    let both: Vec<String> = score.into_iter().chain(conjunctions).collect();
    (!both.is_empty()).then(|| both.join(" and "))
}

fn audits(audit: &v1::AuditStatus) -> String {
    let rate = percent(audit.sample_rate);
    let breaker = match audit.breaker() {
        v1::BreakerState::AutoReject if audit.sample_rate >= 1.0 => {
            "on probation: all that it would reject is reviewed first, until `audit.sample_share` in the policy is below 1"
                .to_owned()
        }
        v1::BreakerState::AutoReject => "auto-reject is in force".to_owned(),
        v1::BreakerState::ReviewInstead => {
            format!(
                "TRIPPED at {}: what would be rejected goes to review until a model is activated",
                at(audit.tripped_at.as_ref())
            )
        }
        v1::BreakerState::NotCertified => return "AUDIT\n  the model rejects nothing, so nothing is sampled\n".to_owned(),
        v1::BreakerState::Unspecified => "not told".to_owned(),
    };
    let bounds = match (audit.live_error_lower_bound, audit.live_error_bound) {
        (Some(low), Some(high)) => format!("; the live error lies between {} and {}", percent(low), percent(high)),
        _ => String::new(),
    };
    format!(
        "AUDIT\n  {breaker}\n  {rate} of would-be rejects are sampled: {} so far, {} resolved, {} of them honest{bounds}\n",
        audit.sampled, audit.resolved, audit.honest
    )
}

fn drift(score: &v1::DriftReading, features: &[v1::DriftReading]) -> String {
    let moved = features.iter().filter(|reading| reading.level() > v1::DriftLevel::Stable);
    let shown = std::iter::once(score).chain(moved.take(FEATURES_SHOWN));
    let row = |reading: &v1::DriftReading| {
        let level = match reading.level() {
            v1::DriftLevel::TooFew => "too few values",
            v1::DriftLevel::Stable => "stable",
            v1::DriftLevel::Shifting => "shifting",
            v1::DriftLevel::Shifted => "SHIFTED",
            v1::DriftLevel::Unspecified => "",
        };
        let index = reading.stability_index.map_or_else(|| "–".to_owned(), |index| format!("{index:.3}"));
        vec![format!("  {}", reading.name), index, level.to_owned(), format!("{} values", reading.values)]
    };
    let mut text = table(&shown.map(row).collect::<Vec<_>>());
    let moved = features.iter().filter(|reading| reading.level() > v1::DriftLevel::Stable).count();
    if moved > FEATURES_SHOWN {
        let _ = writeln!(text, "  and {} more features that moved; --output json shows all", moved - FEATURES_SHOWN);
    }
    text
}

fn change_row(change: &v1::ModelChange) -> Vec<String> {
    let what = change.kind().as_str_name().trim_start_matches("MODEL_CHANGE_KIND_").to_lowercase().replace('_', " ");
    let previous = match change.previous_version.as_str() {
        "" => String::new(),
        previous => format!("was {previous}"),
    };
    vec![at(change.at.as_ref()), change.actor.clone(), what, change.model_version.clone(), previous, change.note.clone()]
}

const fn role(role: v1::ModelRole) -> &'static str {
    match role {
        v1::ModelRole::Idle => "idle",
        v1::ModelRole::Active => "active",
        v1::ModelRole::Challenger => "challenger",
        v1::ModelRole::Previous => "previous",
        v1::ModelRole::Unspecified => "",
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.2}", share * 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn at(time: Option<&crate::wire::WireTimestamp>) -> String {
    time.and_then(instant).map(|at| at.to_string()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> v1::ModelSummary {
        let certificate = v1::Certificate {
            alpha: 0.005,
            delta: 0.05,
            reject_threshold: Some(0.97),
            review_threshold: 0.05,
            rejected_groups: 700,
            honest_groups: 1,
        };
        v1::ModelSummary { model_version: "m-2".to_owned(), certificate: Some(certificate), ..Default::default() }
    }

    #[test]
    fn a_tripped_breaker_is_said_in_capitals_with_its_bounds() {
        let audit = v1::AuditStatus {
            sample_rate: 0.02,
            sampled: 40,
            resolved: 30,
            honest: 9,
            live_error_bound: Some(0.5),
            breaker: v1::BreakerState::ReviewInstead.into(),
            live_error_lower_bound: Some(0.125),
            tripped_at: Some(crate::wire::WireTimestamp { seconds: 1_790_000_000, nanos: 0 }),
        };
        let shown = status(&v1::GetModelStatusResponse { active: Some(model()), audit: Some(audit), ..Default::default() });
        assert!(
            shown.contains("m-2 decides\n  reviews from 0.0500, rejects from 0.9700: at most 0.5 % of the rejected"),
            "{shown}"
        );
        assert!(shown.contains("TRIPPED at 2026-09-21T14:13:20Z"), "{shown}");
        assert!(shown.contains("2 % of would-be rejects are sampled: 40 so far, 30 resolved, 9 of them honest"), "{shown}");
        assert!(shown.contains("between 12.5 % and 50 %"), "{shown}");
    }

    #[test]
    fn a_model_whose_rejects_are_all_audited_is_not_said_to_reject() {
        let said = |sample_rate: f64| {
            audits(&v1::AuditStatus { sample_rate, breaker: v1::BreakerState::AutoReject.into(), ..Default::default() })
        };
        assert!(said(0.02).contains("auto-reject is in force"), "{}", said(0.02));
        assert!(
            !said(1.0).contains("in force") && said(1.0).contains("all that it would reject is reviewed first"),
            "{}",
            said(1.0)
        );
    }

    #[test]
    fn activating_what_decides_already_is_not_told_as_a_change() {
        assert!(decides(Some(&model()), "m-2").starts_with("m-2 decided already"));
        assert!(decides(Some(&model()), "m-1").starts_with("m-2 decides now; until now it was m-1"));
    }

    #[test]
    fn what_a_model_rejects_whatever_the_score_is_stands_below_its_promise() {
        let circle = "ring.loop >= 0.5".to_owned();
        let mut by_both = model();
        by_both.conjunctions = vec![circle, "identity.similar_name >= 9 bits and device.same_device >= 8 bits".to_owned()];
        let shown = loaded(Some(&by_both));
        assert!(shown.contains("rejects from 0.9700 and 2 conjunctions: at most 0.5 %"), "{shown}");
        assert!(shown.contains("\n  rejects identity.similar_name >= 9 bits and device.same_device >= 8 bits"), "{shown}");
        by_both.certificate.as_mut().unwrap().reject_threshold = None;
        by_both.conjunctions.truncate(1);
        assert!(list(&v1::ListModelsResponse { models: vec![by_both] }).contains("1 conjunction"));
    }

    #[test]
    fn a_model_without_a_certificate_is_said_to_reject_nothing() {
        let mut uncertified = model();
        uncertified.certificate.as_mut().unwrap().reject_threshold = None;
        assert!(loaded(Some(&uncertified)).contains("rejects nothing by itself"));
        assert!(list(&v1::ListModelsResponse { models: vec![uncertified] }).contains("never"));
    }
}
