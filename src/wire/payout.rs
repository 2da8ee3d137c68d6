//! Requests and answers of the payout gate, the feed and the holds: from messages to questions and commands, and back.
//!
//! It must never turn an error into an answer: what cannot be read is refused as a whole. The payout handlers call it.

use std::time::Duration;

use super::enums::WireEnum;
use super::fields::{Arrival, enum_set, id_text, money, optional_id, required_id, required_time, time_message};
use super::request::{ListingFingerprint, note, optional_span, page};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::{Change, HoldCommand, PaidCommand};
use crate::book::query::PageRequest;
use crate::book::records::{Cursor, FeedEvent, FeedKind, Hold, HoldSubject};
use crate::screening::decision::Verdict;
use crate::screening::gate::{GateAnswer, GateReason};
use crate::vocabulary::ids::{AccountId, ConversionId, ProgramId, RewardId};
use crate::vocabulary::time::{Span, Timestamp};

/// Questions that one call may ask the gate.
pub const PAYOUTS_MAX: usize = 1_000;
/// Kinds of event that a watch may name.
const KINDS_MAX: usize = 16;
/// How often a silent watch sends a sign of life, unless the caller says.
const HEARTBEAT_DEFAULT: Duration = Duration::from_secs(15);

/// Questions to the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutQuestions {
    /// The programme.
    pub program_id: ProgramId,
    /// The reward and the conversion of each question, in the order in which they were asked. Never empty.
    pub payouts: Vec<(RewardId, ConversionId)>,
}

/// Reads questions to the gate.
///
/// # Errors
/// All violated fields; then no question is answered.
pub fn questions(message: v1::CheckPayoutsRequest) -> Result<PayoutQuestions, Vec<Violation>> {
    let v1::CheckPayoutsRequest { program_id, payouts } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let at = At::path("payouts");
    if payouts.is_empty() || payouts.len() > PAYOUTS_MAX {
        found.add(&at, format!("holds {} questions; ask 1 to {PAYOUTS_MAX}", payouts.len()));
    }
    let mut read = Vec::with_capacity(payouts.len().min(PAYOUTS_MAX));
    for (index, query) in payouts.into_iter().take(PAYOUTS_MAX).enumerate() {
        let v1::PayoutQuery { reward_id, conversion_id } = query;
        let entry = at.entry(index);
        let reward_id = required_id(&reward_id, &entry.field("reward_id"), &mut found);
        let conversion_id = required_id(&conversion_id, &entry.field("conversion_id"), &mut found);
        read.extend(reward_id.zip(conversion_id));
    }
    found.into_result(program_id.map(|program_id| PayoutQuestions { program_id, payouts: read }))
}

/// Writes the gate's answer about one reward.
#[must_use]
pub fn answer_message(reward: &RewardId, conversion: &ConversionId, answer: &GateAnswer) -> v1::GateAnswer {
    let GateAnswer { gate, reason, hold_until } = answer;
    let (code, duplicate_of) = match reason {
        GateReason::Cleared => (v1::GateReason::Cleared, None),
        GateReason::UnknownConversion => (v1::GateReason::UnknownConversion, None),
        GateReason::UnknownReward => (v1::GateReason::UnknownReward, None),
        GateReason::InReview => (v1::GateReason::InReview, None),
        GateReason::DelayRunning => (v1::GateReason::DelayRunning, None),
        GateReason::ReferralHeld => (v1::GateReason::ReferralHeld, None),
        GateReason::ReferrerHeld => (v1::GateReason::ReferrerHeld, None),
        GateReason::Rejected => (v1::GateReason::Rejected, None),
        GateReason::Cancelled => (v1::GateReason::Cancelled, None),
        GateReason::Duplicate(first) => (v1::GateReason::Duplicate, Some(first)),
        GateReason::AlreadyPaid => (v1::GateReason::AlreadyPaid, None),
    };
    v1::GateAnswer {
        reward_id: reward.to_string(),
        conversion_id: conversion.to_string(),
        gate: gate.to_number(),
        reason: code.into(),
        sentence: reason.sentence(),
        hold_until: hold_until.map(time_message),
        duplicate_of: id_text(duplicate_of),
    }
}

/// What a watch lets through. An empty list lets everything through.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeedFilter {
    /// Kinds of event.
    pub kinds: Vec<FeedKind>,
    /// Verdicts after the event.
    pub verdicts: Vec<Verdict>,
    /// The referrer; absent for all.
    pub referrer: Option<AccountId>,
}

impl FeedFilter {
    /// Whether the event is wanted.
    #[must_use]
    pub fn lets_through(&self, event: &FeedEvent) -> bool {
        let kind = self.kinds.is_empty() || self.kinds.contains(&event.kind);
        let verdict = self.verdicts.is_empty() || event.verdict.is_some_and(|verdict| self.verdicts.contains(&verdict));
        let referrer = self.referrer.is_none() || self.referrer == event.referrer;
        kind && verdict && referrer
    }
}

/// What a watch does at the end of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchMode {
    /// Waits for more.
    Follow,
    /// Ends.
    StopAtEnd,
}

/// A watch that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The programme.
    pub program_id: ProgramId,
    /// Events after this are sent.
    pub after: Cursor,
    /// Which events.
    pub filter: FeedFilter,
    /// What to do at the end.
    pub mode: WatchMode,
    /// How often a silent watch sends a sign of life. Range: 1 second to 1 hour.
    pub heartbeat: Duration,
}

/// Reads a watch.
///
/// # Errors
/// All violated fields.
pub fn watch(message: v1::WatchDecisionsRequest) -> Result<Watch, Vec<Violation>> {
    let v1::WatchDecisionsRequest { program_id, after_cursor, kinds, verdicts, referrer_account_id, mode, heartbeat_every } =
        message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let filter = FeedFilter {
        kinds: enum_set(&kinds, KINDS_MAX, &At::path("kinds"), &mut found),
        verdicts: enum_set(&verdicts, 3, &At::path("verdicts"), &mut found),
        referrer: optional_id(&referrer_account_id, &At::path("referrer_account_id"), &mut found),
    };
    let mode = match mode.map(v1::WatchMode::try_from) {
        None | Some(Ok(v1::WatchMode::Follow)) => WatchMode::Follow,
        Some(Ok(v1::WatchMode::StopAtEnd)) => WatchMode::StopAtEnd,
        Some(Ok(v1::WatchMode::Unspecified) | Err(_)) => {
            found.add(&At::path("mode"), "must be `WATCH_MODE_FOLLOW` or `WATCH_MODE_STOP_AT_END`, or left out");
            WatchMode::Follow
        }
    };
    let heartbeat = read_heartbeat(heartbeat_every, &mut found);
    let watch = program_id.map(|program_id| Watch { program_id, after: Cursor(after_cursor), filter, mode, heartbeat });
    found.into_result(watch)
}

fn read_heartbeat(sent: Option<pbjson_types::Duration>, found: &mut Violations) -> Duration {
    let at = At::path("heartbeat_every");
    let Some(every) = optional_span(sent, &at, found) else { return HEARTBEAT_DEFAULT };
    if every < Span::from_seconds(1) || every > Span::from_hours(1) {
        found.add(&at, "must be between 1 second and 1 hour");
    }
    u64::try_from(every.as_millis()).map_or(HEARTBEAT_DEFAULT, Duration::from_millis)
}

/// Writes an event of the feed.
#[must_use]
pub fn event_message(event: &FeedEvent, program: &ProgramId) -> v1::FeedEvent {
    let FeedEvent {
        cursor,
        kind,
        conversion_id,
        referrer,
        referee,
        reward_id,
        verdict,
        previous_verdict,
        audited_model: _,
        reason_codes,
        at,
    } = event;
    let verdict_number = |verdict: &Option<Verdict>| verdict.map(WireEnum::to_number).unwrap_or_default();
    v1::FeedEvent {
        cursor: cursor.0,
        program_id: program.to_string(),
        kind: kind.to_number(),
        recorded_at: Some(time_message(*at)),
        conversion_id: id_text(conversion_id.as_ref()),
        referrer_account_id: id_text(referrer.as_ref()),
        referee_account_id: id_text(referee.as_ref()),
        verdict: verdict_number(verdict),
        previous_verdict: verdict_number(previous_verdict),
        reason_codes: reason_codes.iter().map(|code| code.dotted().to_owned()).collect(),
        reward_id: id_text(reward_id.as_ref()),
    }
}

/// Reads that a reward was paid.
///
/// # Errors
/// All violated fields.
pub fn paid(message: v1::MarkPaidRequest, received_at: Timestamp) -> Result<PaidCommand, Vec<Violation>> {
    let v1::MarkPaidRequest { program_id, reward_id, conversion_id, paid_at, amount } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let reward_id = required_id(&reward_id, &At::path("reward_id"), &mut found);
    let conversion_id = required_id(&conversion_id, &At::path("conversion_id"), &mut found);
    let paid_at = required_time(paid_at, &At::path("paid_at"), Arrival::At(received_at), &mut found);
    let amount = money(amount, &At::path("amount"), &mut found);
    let command = || {
        Some(PaidCommand {
            program_id: program_id?,
            conversion_id: conversion_id?,
            reward_id: reward_id?,
            paid_at: paid_at?,
            amount,
            received_at,
        })
    };
    found.into_result(command())
}

/// Reads a hold to place.
///
/// # Errors
/// All violated fields.
pub fn place_hold(message: v1::PlaceHoldRequest, at: Timestamp) -> Result<HoldCommand, Vec<Violation>> {
    let v1::PlaceHoldRequest { program_id, subject, actor, note } = message;
    hold_command(&program_id, subject, &actor, note, Change::Place, at)
}

/// Reads a hold to lift.
///
/// # Errors
/// All violated fields.
pub fn lift_hold(message: v1::LiftHoldRequest, at: Timestamp) -> Result<HoldCommand, Vec<Violation>> {
    let v1::LiftHoldRequest { program_id, subject, actor, note } = message;
    hold_command(&program_id, subject, &actor, note, Change::Lift, at)
}

fn hold_command(
    program_id: &str,
    subject: Option<v1::HoldSubject>,
    actor: &str,
    why: String,
    change: Change,
    when: Timestamp,
) -> Result<HoldCommand, Vec<Violation>> {
    use v1::hold_subject::Subject;

    let mut found = Violations::default();
    let program_id = required_id(program_id, &At::path("program_id"), &mut found);
    let at = At::path("subject");
    let subject = match subject.and_then(|v1::HoldSubject { subject }| subject) {
        Some(Subject::ConversionId(id)) => required_id(&id, &at.field("conversion_id"), &mut found).map(HoldSubject::Conversion),
        Some(Subject::ReferrerAccountId(id)) => {
            required_id(&id, &at.field("referrer_account_id"), &mut found).map(HoldSubject::Referrer)
        }
        None => {
            found.add(&at, "is required: one of `conversion_id` and `referrer_account_id`");
            None
        }
    };
    let actor = required_id(actor, &At::path("actor"), &mut found);
    let note = note(why, &At::path("note"), &mut found);
    let command = || Some(HoldCommand { program_id: program_id?, subject: subject?, change, actor: actor?, note, at: when });
    found.into_result(command())
}

/// A listing of holds that was asked for.
#[derive(Debug, Clone)]
pub struct HoldListing {
    /// The programme.
    pub program_id: ProgramId,
    /// Which part.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub fingerprint: ListingFingerprint,
}

/// Reads a listing request.
///
/// # Errors
/// All violated fields.
pub fn hold_listing(message: v1::ListHoldsRequest) -> Result<HoldListing, Vec<Violation>> {
    let bare = v1::ListHoldsRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let fingerprint = ListingFingerprint::of(&bare);
    let v1::ListHoldsRequest { program_id, page_size, page_token } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let page = page(page_size, &page_token, fingerprint, &mut found);
    found.into_result(program_id.map(|program_id| HoldListing { program_id, page, fingerprint }))
}

/// Writes a hold in force.
#[must_use]
pub fn hold_message(hold: &Hold) -> v1::Hold {
    use v1::hold_subject::Subject;

    let Hold { subject, actor, note, placed_at } = hold;
    let subject = match subject {
        HoldSubject::Conversion(id) => Subject::ConversionId(id.to_string()),
        HoldSubject::Referrer(id) => Subject::ReferrerAccountId(id.to_string()),
    };
    v1::Hold {
        subject: Some(v1::HoldSubject { subject: Some(subject) }),
        actor: actor.to_string(),
        note: note.clone(),
        placed_at: Some(time_message(*placed_at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(violations: &[Violation]) -> Vec<&str> {
        violations.iter().map(|violation| violation.field.as_str()).collect()
    }

    #[test]
    fn every_bad_question_is_named() {
        let bad = v1::PayoutQuery { reward_id: String::new(), conversion_id: "a b".to_owned() };
        let refused = questions(v1::CheckPayoutsRequest { program_id: String::new(), payouts: vec![bad] }).unwrap_err();
        assert_eq!(fields(&refused), ["program_id", "payouts[0].reward_id", "payouts[0].conversion_id"]);
    }

    #[test]
    fn a_watch_names_all_that_is_wrong_with_it() {
        let message = v1::WatchDecisionsRequest {
            program_id: "shop".to_owned(),
            kinds: vec![0, 99],
            mode: Some(0),
            heartbeat_every: Some(pbjson_types::Duration { seconds: 0, nanos: 1 }),
            ..Default::default()
        };
        assert_eq!(fields(&watch(message).unwrap_err()), ["kinds[0]", "kinds[1]", "mode", "heartbeat_every"]);
    }

    #[test]
    fn a_payment_of_tomorrow_is_refused() {
        let now = Timestamp::saturating_from_millis(1_790_000_000_000);
        let message = v1::MarkPaidRequest {
            program_id: "shop".to_owned(),
            reward_id: "r".to_owned(),
            conversion_id: "c".to_owned(),
            paid_at: Some(time_message(now.plus(Span::from_days(1)))),
            amount: None,
        };
        assert_eq!(fields(&paid(message, now).unwrap_err()), ["paid_at"]);
    }
}
