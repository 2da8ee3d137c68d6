//! Requests and answers of the review queue: from messages to ledger commands, and from the ledger's cases to messages.
//!
//! It must never judge a step; the case's state machine does. The review handlers call it.

use prost::Message as _;

use super::account::{conversion_message, shared_message};
use super::enums::WireEnum;
use super::fields::{enum_set, money_message, optional_enum, optional_id, required_enum, required_id, time_message};
use super::request::{ListingSeal, PageKey, case_id, note, optional_span, page, reason_code, request, sealed};
use super::violation::{At, Violation, Violations};
use super::{content, conversion, decision, journey, v1};
use crate::book::command::{CaseCommand, CaseStep, Request};
use crate::book::query::{CaseFilter, CaseOrder, CaseStateKind, PageRequest, PageToken};
use crate::book::records::{CaseFile, CaseSummary, HistoryEntry, QueueStats};
use crate::screening::case::{CaseState, LEASE_MAX, Resolution, Step};
use crate::screening::decision::{Decision, risk_score};
use crate::screening::evidence::{EvidenceCode, Finding};
use crate::screening::gate::Standing;
use crate::vocabulary::digest::Digest;
use crate::vocabulary::ids::{Actor, CaseId, ConversionId, ProgramId};
use crate::vocabulary::time::{Span, Timestamp};

/// Who is named as the actor of what the service did by itself.
const SERVICE_ACTOR: &str = "selfsame";

/// A listing of cases that was asked for.
#[derive(Debug, Clone)]
pub struct CaseListing {
    /// The programme.
    pub program_id: ProgramId,
    /// Which cases.
    pub filter: CaseFilter,
    /// In which order.
    pub order: CaseOrder,
    /// Which part.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub seal: ListingSeal,
}

/// Reads a listing request. Ages count back from `now`; without states, those that need a reviewer are meant.
///
/// # Errors
/// All violated fields.
pub fn case_listing(message: v1::ListCasesRequest, key: &PageKey, now: Timestamp) -> Result<CaseListing, Vec<Violation>> {
    let bare = v1::ListCasesRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::ListCasesRequest {
        program_id,
        states,
        min_age,
        max_age,
        min_score,
        max_score,
        reason_code,
        referrer_account_id,
        claimed_by,
        order_by,
        min_at_stake_minor,
        page_size,
        page_token,
    } = message;
    let mut found = Violations::default();
    if min_at_stake_minor < 0 {
        found.add(&At::path("min_at_stake_minor"), "must be 0 or more");
    }
    let ago = |age: Option<Span>| age.map(|age| now.minus(age));
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let states = if states.is_empty() {
        vec![CaseStateKind::Open, CaseStateKind::Claimed]
    } else {
        enum_set(&states, 3, &At::path("states"), &mut found)
    };
    let opened_until = ago(optional_span(min_age, &At::path("min_age"), &mut found));
    let opened_from = ago(optional_span(max_age, &At::path("max_age"), &mut found));
    for (field, score) in [("min_score", min_score), ("max_score", max_score)] {
        if score.is_some_and(|score| !(0.0..=1.0).contains(&score)) {
            found.add(&At::path(field), "must be between 0 and 1");
        }
    }
    let reason = EvidenceCode::from_dotted(&reason_code);
    if reason.is_none() && !reason_code.is_empty() {
        found.add(&At::path("reason_code"), "is not an evidence code, like `device.same_device`");
    }
    let filter = CaseFilter {
        states,
        opened_until,
        opened_from,
        score_min: min_score,
        score_max: max_score,
        reason,
        referrer: optional_id(&referrer_account_id, &At::path("referrer_account_id"), &mut found),
        claimed_by: optional_id(&claimed_by, &At::path("claimed_by"), &mut found),
        at_stake_minor_min: min_at_stake_minor,
    };
    let order = optional_enum(order_by, &At::path("order_by"), &mut found).unwrap_or(CaseOrder::ExpectedLossFirst);
    let page = page(page_size, &page_token, seal, &mut found);
    let listing = program_id.map(|program_id| CaseListing { program_id, filter, order, page, seal });
    found.into_result(listing)
}

/// How much of a case is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaseView {
    /// Its line and a page of text.
    Basic,
    /// Everything.
    Full,
}

/// Reads which case is asked for, and how much of it.
///
/// # Errors
/// All violated fields.
pub fn case_wanted(message: v1::GetCaseRequest, key: &PageKey) -> Result<CaseWanted, Vec<Violation>> {
    let bare = v1::GetCaseRequest { history_page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::GetCaseRequest { program_id, case_id: id, history_page_token, view } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let id = case_id(&id, &mut found);
    let view = optional_enum(view, &At::path("view"), &mut found).unwrap_or(CaseView::Full);
    let token = sealed(&history_page_token, &At::path("history_page_token"), seal, &mut found);
    let history_before = token.and_then(|PageToken(entries)| entries.parse().ok());
    let wanted = program_id.zip(id).map(|(program_id, case_id)| CaseWanted { program_id, case_id, history_before, view, seal });
    found.into_result(wanted)
}

/// A case that was asked for.
#[derive(Debug, Clone)]
pub struct CaseWanted {
    /// The programme.
    pub program_id: ProgramId,
    /// The case.
    pub case_id: CaseId,
    /// Only what stands before so many entries of its history; absent for the newest.
    pub history_before: Option<usize>,
    /// How much of it.
    pub view: CaseView,
    /// What the token of earlier history is bound to.
    pub seal: ListingSeal,
}

/// What of a case's history one answer holds: its first entry, and the one after its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPart {
    /// The first.
    pub from: usize,
    /// The one after the last.
    pub until: usize,
}

/// The newest entries of a case's history, before a place, that take at most so many bytes. At least one, where there is any.
#[must_use]
pub fn newest_history(history: &[HistoryEntry], before: Option<usize>, bytes_max: usize) -> HistoryPart {
    let until = before.map_or(history.len(), |before| before.min(history.len()));
    let mut bytes = 0;
    let fits = |entry: &&HistoryEntry| {
        bytes += history_message(entry).encoded_len() + 6;
        bytes <= bytes_max
    };
    let count = history.iter().take(until).rev().take_while(fits).count().max(1).min(until);
    HistoryPart { from: until - count, until }
}

/// Reads which programme's queue is asked for.
///
/// # Errors
/// All violated fields.
pub fn queue_wanted(message: v1::GetQueueStatsRequest) -> Result<ProgramId, Vec<Violation>> {
    let v1::GetQueueStatsRequest { program_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    found.into_result(program_id)
}

/// What every step on a case names, as it is read.
struct Stepping {
    program_id: Option<ProgramId>,
    case_id: Option<CaseId>,
    actor: Actor,
    reason_code: String,
    note: String,
    expected_revision: Option<u32>,
    request: Option<Request>,
}

impl Stepping {
    fn into_command(self, step: Option<CaseStep>, at: Timestamp) -> Option<CaseCommand> {
        let Self { program_id, case_id, actor, reason_code, note, expected_revision, request } = self;
        Some(CaseCommand {
            program_id: program_id?,
            case_id: case_id?,
            step: step?,
            actor,
            reason_code,
            note,
            expected_revision,
            request,
            at,
        })
    }
}

/// A claim that was asked for.
#[derive(Debug, Clone)]
pub struct ClaimWanted {
    /// For how long; absent for as long as is usual in the programme.
    lease: Option<Span>,
    command: CaseCommand,
}

impl ClaimWanted {
    /// The programme.
    #[must_use]
    pub const fn program_id(&self) -> &ProgramId {
        &self.command.program_id
    }

    /// The claim, in a programme where a lease lasts so long.
    #[must_use]
    pub fn into_command(self, usual: Span) -> CaseCommand {
        let lease = self.lease.unwrap_or(usual);
        CaseCommand { step: CaseStep::Step(Step::Claim { lease }), ..self.command }
    }
}

/// Reads a claim.
///
/// # Errors
/// All violated fields.
pub fn claim(message: v1::ClaimCaseRequest, actor: &Actor, at: Timestamp) -> Result<ClaimWanted, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::ClaimCaseRequest { program_id, case_id: id, lease, expected_revision, request_id } = message;
    let mut found = Violations::default();
    let stepping = Stepping {
        program_id: required_id(&program_id, &At::path("program_id"), &mut found),
        case_id: case_id(&id, &mut found),
        actor: actor.clone(),
        reason_code: String::new(),
        note: String::new(),
        expected_revision,
        request: request(&request_id, content, &mut found),
    };
    let lease = optional_span(lease, &At::path("lease"), &mut found);
    if lease.is_some_and(|lease| lease <= Span::ZERO || lease > LEASE_MAX) {
        found.add(&At::path("lease"), "must be above zero and at most 24 hours");
    }
    let step = CaseStep::Step(Step::Claim { lease: lease.unwrap_or(LEASE_MAX) });
    found.into_result(stepping.into_command(Some(step), at).map(|command| ClaimWanted { lease, command }))
}

/// Reads a release.
///
/// # Errors
/// All violated fields.
pub fn release(message: v1::ReleaseCaseRequest, actor: &Actor, at: Timestamp) -> Result<CaseCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::ReleaseCaseRequest { program_id, case_id: id, note: why, expected_revision, request_id } = message;
    let mut found = Violations::default();
    let stepping = Stepping {
        program_id: required_id(&program_id, &At::path("program_id"), &mut found),
        case_id: case_id(&id, &mut found),
        actor: actor.clone(),
        reason_code: String::new(),
        note: note(why, &At::path("note"), &mut found),
        expected_revision,
        request: request(&request_id, content, &mut found),
    };
    found.into_result(stepping.into_command(Some(CaseStep::Step(Step::Release)), at))
}

/// Reads a reviewer's decision.
///
/// # Errors
/// All violated fields.
pub fn resolve(message: v1::ResolveCaseRequest, actor: &Actor, at: Timestamp) -> Result<CaseCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::ResolveCaseRequest {
        program_id,
        case_id: id,
        resolution,
        reason_code: code,
        note: why,
        expected_revision,
        request_id,
    } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let case_id = case_id(&id, &mut found);
    let resolution: Option<Resolution> = required_enum(resolution, &At::path("resolution"), &mut found);
    let stepping = Stepping {
        program_id,
        case_id,
        reason_code: reason_code(code, &mut found),
        note: note(why, &At::path("note"), &mut found),
        actor: actor.clone(),
        expected_revision,
        request: request(&request_id, content, &mut found),
    };
    let step = resolution.map(|resolution| CaseStep::Step(Step::Resolve(resolution)));
    found.into_result(stepping.into_command(step, at))
}

/// Reads a reopening, of a case or of a decision that never had one.
///
/// # Errors
/// All violated fields.
pub fn reopen(message: v1::ReopenCaseRequest, actor: &Actor, at: Timestamp) -> Result<CaseCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::ReopenCaseRequest { program_id, target, reason_code: code, note: why, expected_revision, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let case_id = match target {
        Some(v1::reopen_case_request::Target::CaseId(id)) => case_id(&id, &mut found),
        Some(v1::reopen_case_request::Target::ConversionId(id)) => {
            let conversion: Option<ConversionId> = required_id(&id, &At::path("conversion_id"), &mut found);
            conversion.map(|conversion| CaseId::of(&conversion))
        }
        None => {
            found.add(&At::path("target"), "is required: one of `case_id` and `conversion_id`");
            None
        }
    };
    let stepping = Stepping {
        program_id,
        case_id,
        reason_code: reason_code(code, &mut found),
        note: note(why, &At::path("note"), &mut found),
        actor: actor.clone(),
        expected_revision,
        request: request(&request_id, content, &mut found),
    };
    found.into_result(stepping.into_command(Some(CaseStep::Step(Step::Reopen)), at))
}

/// Reads a note on a case.
///
/// # Errors
/// All violated fields.
pub fn add_note(message: v1::AddNoteRequest, actor: &Actor, at: Timestamp) -> Result<CaseCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::AddNoteRequest { program_id, case_id: id, note: text, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let case_id = case_id(&id, &mut found);
    if text.trim().is_empty() {
        found.add(&At::path("note"), "is required");
    }
    let stepping = Stepping {
        program_id,
        case_id,
        reason_code: String::new(),
        note: note(text, &At::path("note"), &mut found),
        actor: actor.clone(),
        expected_revision: None,
        request: request(&request_id, content, &mut found),
    };
    found.into_result(stepping.into_command(Some(CaseStep::Note), at))
}

/// Writes a line of the queue as it stands at `now`.
#[must_use]
pub fn summary_message(summary: &CaseSummary, now: Timestamp) -> v1::CaseSummary {
    let CaseSummary {
        case_id,
        conversion_id,
        referrer,
        referee,
        state,
        revision,
        opened_at,
        due_at,
        score,
        value,
        at_stake,
        reason_codes,
        headline,
    } = summary;
    let mut message = v1::CaseSummary {
        case_id: case_id.to_string(),
        conversion_id: conversion_id.to_string(),
        referrer_account_id: referrer.to_string(),
        referee_account_id: referee.to_string(),
        revision: *revision,
        score: *score,
        risk_score: u32::from(risk_score(*score)),
        headline: headline.clone(),
        reason_codes: reason_codes.iter().map(|code| code.dotted().to_owned()).collect(),
        value: value.map(money_message),
        at_stake: at_stake.iter().copied().map(money_message).collect(),
        expected_loss: summary.expected_loss(),
        opened_at: Some(time_message(*opened_at)),
        due_at: Some(time_message(*due_at)),
        overdue: *due_at < now,
        ..v1::CaseSummary::default()
    };
    match state.at(now) {
        CaseState::Open => message.state = CaseStateKind::Open.to_number(),
        CaseState::Claimed { by, lease_until } => {
            message.state = CaseStateKind::Claimed.to_number();
            message.claimed_by = by.to_string();
            message.lease_until = Some(time_message(lease_until));
        }
        CaseState::Resolved { by, resolution } => {
            message.state = CaseStateKind::Resolved.to_number();
            message.overdue = false;
            message.resolved_by = by.to_string();
            message.resolution = resolution.to_number();
        }
    }
    message
}

/// Writes a whole case. The rows of the comparison are the caller's.
#[must_use]
pub fn case_message(file: &CaseFile, side_by_side: Vec<v1::SideBySideRow>, part: HistoryPart, now: Timestamp) -> v1::Case {
    let CaseFile { summary, record, now: known_now, referrer: _, referee: _, history, neighbours, others_of_referrer } = file;
    let screened = &record.conversion;
    v1::Case {
        summary: Some(summary_message(summary, now)),
        decision: Some(decision::message_of(record)),
        conversion_kind: screened.kind.to_number(),
        occurred_at: Some(time_message(screened.occurred_at)),
        attribution: Some(journey::attribution_message(&screened.attribution)),
        side_by_side,
        evidence: decision::evidence_messages(&record.decision.evidence),
        neighbours: neighbours.iter().map(shared_message).collect(),
        referrer_conversions: others_of_referrer.iter().map(conversion_message).collect(),
        page: Vec::new(),
        rewards: screened.rewards.iter().map(conversion::reward_message).collect(),
        paid_reward_ids: paid_reward_ids(&record.standing),
        history: history.iter().take(part.until).skip(part.from).map(history_message).collect(),
        now: second_look(&record.decision, known_now),
    }
}

/// What is known now, where it says otherwise than what was known then.
fn second_look(then: &Decision, now: &Decision) -> Option<v1::SecondLook> {
    let stronger =
        |(code, finding): &(EvidenceCode, &Finding)| finding.is_hit() && finding.strength() > then.evidence[*code].strength();
    let learned: Vec<v1::Evidence> =
        now.evidence.iter().filter(stronger).map(|(code, finding)| decision::evidence_message(code, finding)).collect();
    if learned.is_empty() && now.verdict == then.verdict {
        return None;
    }
    Some(v1::SecondLook {
        verdict: now.verdict.to_number(),
        score: now.score,
        reasons: now.reasons.iter().map(decision::reason_message).collect(),
        learned,
    })
}

/// The rewards of a conversion that were paid.
#[must_use]
pub fn paid_reward_ids(standing: &Standing) -> Vec<String> {
    standing.paid().map(ToString::to_string).collect()
}

fn history_message(entry: &HistoryEntry) -> v1::CaseEvent {
    let HistoryEntry { kind, actor, at, reason_code, note, previous, new } = entry;
    v1::CaseEvent {
        kind: kind.to_number(),
        actor: actor.as_ref().map_or_else(|| SERVICE_ACTOR.to_owned(), ToString::to_string),
        at: Some(time_message(*at)),
        reason_code: reason_code.clone(),
        note: note.clone(),
        previous: previous.clone(),
        current: new.clone(),
    }
}

/// What a reviewer sees of a digest, eight hexadecimal digits: enough to recognise it on a screen, too little to look it up elsewhere.
#[must_use]
pub fn short_digest(digest: &Digest) -> String {
    let [a, b, c, d, ..] = digest.value;
    hex::encode([a, b, c, d])
}

/// Writes the queue in numbers, as it stands at `now`.
#[must_use]
pub fn queue_message(stats: &QueueStats, now: Timestamp) -> v1::GetQueueStatsResponse {
    let QueueStats { open, claimed, resolved, overdue, oldest_opened_at, by_first_reason } = stats;
    let oldest_age = oldest_opened_at.map(|opened_at| {
        let millis = now.since(opened_at).as_millis().max(0);
        let nanos = i32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000;
        pbjson_types::Duration { seconds: millis / 1_000, nanos }
    });
    let count = |(code, cases): &(EvidenceCode, u64)| v1::ReasonCount { reason_code: code.dotted().to_owned(), cases: *cases };
    v1::GetQueueStatsResponse {
        open_cases: *open,
        claimed_cases: *claimed,
        overdue_cases: *overdue,
        resolved_cases: *resolved,
        oldest_age,
        by_first_reason: by_first_reason.iter().map(count).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::directory::LedgerKey;

    fn fields(violations: &[Violation]) -> Vec<&str> {
        violations.iter().map(|violation| violation.field.as_str()).collect()
    }

    fn now() -> Timestamp {
        Timestamp::saturating_from_millis(1_790_000_000_000)
    }

    #[test]
    fn everything_wrong_with_a_resolution_is_named() {
        let message =
            v1::ResolveCaseRequest { case_id: "c-1".to_owned(), reason_code: "Same card".to_owned(), ..Default::default() };
        let refused = resolve(message, &Actor::new("ann").unwrap(), now()).unwrap_err();
        assert_eq!(fields(&refused), ["program_id", "case_id", "resolution", "reason_code"]);
    }

    #[test]
    fn a_listing_without_states_is_of_what_needs_a_reviewer() {
        let listing = case_listing(
            v1::ListCasesRequest { program_id: "shop".to_owned(), ..Default::default() },
            &PageKey::of(&LedgerKey([1; 32])),
            now(),
        )
        .unwrap();
        assert_eq!(listing.filter.states, [CaseStateKind::Open, CaseStateKind::Claimed]);
        assert_eq!(listing.order, CaseOrder::ExpectedLossFirst);
    }

    #[test]
    fn a_claim_lasts_as_the_policy_says_unless_the_caller_says() {
        let message = v1::ClaimCaseRequest { program_id: "shop".to_owned(), case_id: "case-1".to_owned(), ..Default::default() };
        let command = claim(message, &Actor::new("ann").unwrap(), now()).unwrap().into_command(Span::from_minutes(7));
        assert_eq!(command.step, CaseStep::Step(Step::Claim { lease: Span::from_minutes(7) }));
    }
}
