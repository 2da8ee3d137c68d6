//! Requests about the terms of a programme, and terms as messages.
//!
//! It must never read a policy: whoever takes one checks it whole. The programme handlers call it.

use super::content;
use super::fields::{required_id, time_message};
use super::request::{note, optional_span, request};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::Request;
use crate::book::terms::{Decided, PolicyName, ProgramTerms, Setting, TermsChange, TermsStep, TermsSummary};
use crate::screening::policy::{PAYOUT_DELAY_MAX, Policy, PolicyHash, Promise};
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Span;

/// The longest text of a policy, in bytes.
pub const POLICY_BYTES_MAX: usize = 128 << 10;
/// How long records are kept, at least and at most.
const RETENTION_MIN: Span = Span::from_days(90);
const RETENTION_MAX: Span = Span::from_days(36_500);

/// Which policy is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyWanted {
    /// The one that there is.
    Stays,
    /// The one of a text, which was not read yet.
    Text(String),
    /// One that the programme named before.
    Known(PolicyHash),
    /// The server's.
    Server,
}

/// A change of terms that was asked for.
#[derive(Debug, Clone)]
pub struct TermsWanted {
    /// The programme.
    pub program_id: ProgramId,
    /// The policy.
    pub policy: PolicyWanted,
    /// The payout delay.
    pub payout_delay: Setting<Span>,
    /// How long records are kept.
    pub retention: Setting<Span>,
    /// What was received until now.
    pub decided: Decided,
    /// Why.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
}

/// Reads a change of terms.
///
/// # Errors
/// All violated fields.
pub fn wanted(message: v1::SetProgramTermsRequest) -> Result<TermsWanted, Vec<Violation>> {
    use v1::set_program_terms_request::Policy as Sent;

    let content = content::fingerprint(&message);
    let v1::SetProgramTermsRequest {
        program_id,
        policy,
        payout_delay,
        policy_payout_delay,
        retention,
        server_retention,
        shortens_decided,
        note: why,
        request_id,
    } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let policy = match policy {
        None | Some(Sent::ServerPolicy(false)) => PolicyWanted::Stays,
        Some(Sent::ServerPolicy(true)) => PolicyWanted::Server,
        Some(Sent::PolicyHash(hash)) => hash_of(&hash, &mut found).map_or(PolicyWanted::Stays, PolicyWanted::Known),
        Some(Sent::PolicyToml(text)) => {
            if text.len() > POLICY_BYTES_MAX {
                let problem = format!("is {} bytes long; at most {POLICY_BYTES_MAX} are allowed", text.len());
                found.add(&At::path("policy_toml"), problem);
            }
            PolicyWanted::Text(text)
        }
    };
    let delay = ("payout_delay", payout_delay, "policy_payout_delay", policy_payout_delay);
    let payout_delay = setting(delay, (Span::ZERO, PAYOUT_DELAY_MAX), &mut found);
    let kept = ("retention", retention, "server_retention", server_retention);
    let retention = setting(kept, (RETENTION_MIN, RETENTION_MAX), &mut found);
    if why.trim().is_empty() {
        found.add(&At::path("note"), "is required: it stands in the trail beside who changed what money and decisions go by");
    }
    let note = note(why, &At::path("note"), &mut found);
    let request = request(&request_id, content, &mut found);
    let decided = if shortens_decided { Decided::IsShortenedToo } else { Decided::KeepsItsDelay };
    let wanted = program_id.map(|program_id| TermsWanted { program_id, policy, payout_delay, retention, decided, note, request });
    found.into_result(wanted)
}

fn setting(
    (field, sent, other, clears): (&'static str, Option<pbjson_types::Duration>, &str, bool),
    (least, most): (Span, Span),
    found: &mut Violations,
) -> Setting<Span> {
    let at = At::path(field);
    let told = sent.is_some();
    let span = optional_span(sent, &at, found);
    if told && clears {
        found.add(&at, format!("is given together with `{other}`; send one of them"));
    }
    if span.is_some_and(|span| !(least..=most).contains(&span)) {
        let days = |span: Span| span.as_seconds() / 86_400.0;
        found.add(&at, format!("must be between {} and {} days", days(least), days(most)));
    }
    match (span, clears) {
        (Some(span), _) => Setting::Is(span),
        (None, true) => Setting::Default,
        (None, false) => Setting::Stays,
    }
}

fn hash_of(text: &str, found: &mut Violations) -> Option<PolicyHash> {
    text.parse().inspect_err(|problem| found.add(&At::path("policy_hash"), format!("is none: {problem}"))).ok()
}

/// Terms that were asked for: of which programme, and the text of which policy; absent for the one in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TermsAsked {
    /// The programme.
    pub program_id: ProgramId,
    /// The hash of the policy whose text is wanted.
    pub policy: Option<PolicyHash>,
}

/// Reads which terms are asked for.
///
/// # Errors
/// All violated fields.
pub fn asked(message: v1::GetProgramTermsRequest) -> Result<TermsAsked, Vec<Violation>> {
    let v1::GetProgramTermsRequest { program_id, policy_hash } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let policy = if policy_hash.is_empty() { None } else { hash_of(&policy_hash, &mut found) };
    found.into_result(program_id.map(|program_id| TermsAsked { program_id, policy }))
}

const fn duration(span: Span) -> pbjson_types::Duration {
    pbjson_types::Duration { seconds: span.as_millis() / 1_000, nanos: 0 }
}

/// Writes terms.
#[must_use]
pub fn message_of(TermsSummary { policy, payout_delay, retention }: &TermsSummary) -> v1::ProgramTerms {
    let (policy_version, policy_hash) =
        policy.as_ref().map(|PolicyName { version, hash }| (version.to_string(), hash.to_string())).unwrap_or_default();
    v1::ProgramTerms { policy_version, policy_hash, payout_delay: payout_delay.map(duration), retention: retention.map(duration) }
}

fn promise_message(promise: &Promise) -> v1::PayoutPromise {
    let Promise { until, delay, campaigns: _ } = promise;
    v1::PayoutPromise { received_by: Some(time_message(*until)), payout_delay: Some(duration(*delay)) }
}

fn change_message(change: &TermsChange) -> v1::ProgramTermsChange {
    let TermsChange { terms, previous, actor, note, at } = change;
    v1::ProgramTermsChange {
        terms: Some(message_of(terms)),
        previous: Some(message_of(previous)),
        actor: actor.to_string(),
        note: note.clone(),
        at: Some(time_message(*at)),
    }
}

/// Writes the terms of a programme with the text that was asked for and the policy that decides.
#[must_use]
pub fn answer(terms: &ProgramTerms, text: &str, deciding: &Policy) -> v1::GetProgramTermsResponse {
    v1::GetProgramTermsResponse {
        terms: Some(message_of(&terms.terms().summary())),
        promises: terms.promises().iter().map(promise_message).collect(),
        changes: terms.changes().map(change_message).collect(),
        policy_toml: text.to_owned(),
        deciding_version: deciding.version().to_owned(),
        deciding_hash: deciding.hash().to_string(),
    }
}

/// What a change that waits for a second identity is about, and in words.
pub(super) fn told(TermsStep { policy, payout_delay, retention, decided }: &TermsStep) -> (String, String) {
    let days = |span: &Span| span.as_seconds() / 86_400.0;
    let mut words = Vec::new();
    let mut subject = String::new();
    match policy {
        Setting::Is(policy) => {
            let PolicyName { version, hash } = &policy.name;
            subject = version.to_string();
            words.push(format!("let policy {version} ({hash}) decide"));
        }
        Setting::Default => words.push("let the server's policy decide".to_owned()),
        Setting::Stays => {}
    }
    match payout_delay {
        Setting::Is(delay) => words.push(format!("pay {} days after a conversion", days(delay))),
        Setting::Default => words.push("pay after the policy's delay".to_owned()),
        Setting::Stays => {}
    }
    match retention {
        Setting::Is(kept) => words.push(format!("keep records for {} days", days(kept))),
        Setting::Default => words.push("keep records for as long as the server is configured to".to_owned()),
        Setting::Stays => {}
    }
    if *decided == Decided::IsShortenedToo {
        words.push("and pay what was decided before as early as that".to_owned());
    }
    (subject, words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(message: v1::SetProgramTermsRequest) -> Vec<String> {
        wanted(message).unwrap_err().into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn everything_that_is_wrong_with_a_change_of_terms_is_named() {
        let day = |days: i64| Some(pbjson_types::Duration { seconds: days * 86_400, nanos: 0 });
        let message = v1::SetProgramTermsRequest {
            policy: Some(v1::set_program_terms_request::Policy::PolicyHash("7".to_owned())),
            payout_delay: day(731),
            retention: day(89),
            server_retention: true,
            ..Default::default()
        };
        assert_eq!(fields(message), ["program_id", "policy_hash", "payout_delay", "retention", "retention", "note"]);
    }

    #[test]
    fn what_is_left_out_stays() {
        let message = v1::SetProgramTermsRequest { program_id: "shop".to_owned(), note: "why".to_owned(), ..Default::default() };
        let wanted = wanted(message).unwrap();
        let settings = (wanted.policy, wanted.payout_delay, wanted.retention, wanted.decided);
        assert_eq!(settings, (PolicyWanted::Stays, Setting::Stays, Setting::Stays, Decided::KeepsItsDelay));
    }
}
