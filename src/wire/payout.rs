//! Requests and answers of the payout gate: from messages to questions and commands, and back.
//!
//! It must never turn an error into an answer: what cannot be read is refused as a whole. The payout handlers call it.

use super::content;
use super::conversion::distinct_rewards;
use super::cursor::cursor_text;
use super::enums::WireEnum;
use super::fields::{Arrival, id_text, money_message, optional_id, positive_money, required_id, time_message, time_of_fact};
use super::request::{note, optional_span, reason_code, request};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::{
    FailedCommand, PaidCommand, PayoutWanted, Request, ReservationChange, ReservationCommand, ReserveCommand, RewardsChange,
    RewardsCommand,
};
use crate::book::cursor::FeedCursor;
use crate::book::records::{PaidAnswer, ReserveAnswer};
use crate::screening::gate::{GateAnswer, GateReason};
use crate::vocabulary::ids::{Actor, ConversionId, ProgramId, RewardId};
use crate::vocabulary::time::{Span, Timestamp};

/// Questions that one call may ask the gate, and rewards that it may reserve.
pub const PAYOUTS_MAX: usize = 1_000;
/// How long a reservation lasts, unless the caller says.
const LIFETIME_DEFAULT: Span = Span::from_minutes(15);
/// How long a reservation may last.
const LIFETIME_MAX: Span = Span::from_hours(24);

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
    let GateAnswer { gate, reason, hold_until, payable } = answer;
    let duplicate_of = if let GateReason::Duplicate(first) = reason { Some(first) } else { None };
    let cancelled_by = if let GateReason::Cancelled(kind) = reason { kind.to_number() } else { 0 };
    v1::GateAnswer {
        reward_id: reward.to_string(),
        conversion_id: conversion.to_string(),
        gate: gate.to_number(),
        reason: gate_reason_number(reason),
        sentence: reason.sentence(),
        hold_until: hold_until.map(time_message),
        duplicate_of: id_text(duplicate_of),
        payable: payable.map(money_message),
        cancelled_by,
    }
}

/// The number of a reason of the gate in the contract.
pub(super) fn gate_reason_number(reason: &GateReason) -> i32 {
    gate_reason(reason).into()
}

/// The name of a reason of the gate in the contract, as `DELAY_RUNNING`.
#[must_use]
pub fn gate_reason_name(reason: &GateReason) -> &'static str {
    gate_reason(reason).as_str_name().trim_start_matches("GATE_REASON_")
}

fn gate_reason(reason: &GateReason) -> v1::GateReason {
    match reason {
        GateReason::Cleared => v1::GateReason::Cleared,
        GateReason::UnknownConversion => v1::GateReason::UnknownConversion,
        GateReason::UnknownReward => v1::GateReason::UnknownReward,
        GateReason::OtherConversion => v1::GateReason::OtherConversion,
        GateReason::RepeatedInCall => v1::GateReason::RepeatedInCall,
        GateReason::InReview => v1::GateReason::InReview,
        GateReason::LateFacts => v1::GateReason::LateFacts,
        GateReason::DelayRunning => v1::GateReason::DelayRunning,
        GateReason::ReferralHeld => v1::GateReason::ReferralHeld,
        GateReason::ReferrerHeld => v1::GateReason::ReferrerHeld,
        GateReason::Reserved => v1::GateReason::Reserved,
        GateReason::Reduced => v1::GateReason::Reduced,
        GateReason::Removed => v1::GateReason::Removed,
        GateReason::ReservationEnded => v1::GateReason::ReservationEnded,
        GateReason::Rejected => v1::GateReason::Rejected,
        GateReason::Cancelled(_) => v1::GateReason::Cancelled,
        GateReason::Duplicate(_) => v1::GateReason::Duplicate,
        GateReason::AlreadyPaid => v1::GateReason::AlreadyPaid,
    }
}

/// Reads a call that reserves rewards.
///
/// # Errors
/// All violated fields; then nothing is reserved.
pub fn reserve(message: v1::ReservePayoutsRequest, at: Timestamp) -> Result<ReserveCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::ReservePayoutsRequest { program_id, request_id, payouts, lifetime } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let request_id = required_id(&request_id, &At::path("request_id"), &mut found);
    let path = At::path("payouts");
    if payouts.is_empty() || payouts.len() > PAYOUTS_MAX {
        found.add(&path, format!("holds {} rewards; reserve 1 to {PAYOUTS_MAX}", payouts.len()));
    }
    let mut wanted = Vec::with_capacity(payouts.len().min(PAYOUTS_MAX));
    for (index, payout) in payouts.into_iter().take(PAYOUTS_MAX).enumerate() {
        let v1::PayoutWanted { reward_id, conversion_id, amount } = payout;
        let entry = path.entry(index);
        let reward_id = required_id(&reward_id, &entry.field("reward_id"), &mut found);
        let conversion_id = required_id(&conversion_id, &entry.field("conversion_id"), &mut found);
        let amount = positive_money(amount, &entry.field("amount"), &mut found);
        let read = reward_id.zip(conversion_id);
        wanted.extend(read.map(|(reward_id, conversion_id)| PayoutWanted { reward_id, conversion_id, amount }));
    }
    let lifetime = read_lifetime(lifetime, &mut found);
    let command = program_id.zip(request_id).map(|(program_id, id)| ReserveCommand {
        program_id,
        request: Request { id, content },
        payouts: wanted,
        lifetime,
        conversions: Vec::new(),
        at,
    });
    found.into_result(command)
}

fn read_lifetime(sent: Option<pbjson_types::Duration>, found: &mut Violations) -> Span {
    let at = At::path("lifetime");
    let Some(lifetime) = optional_span(sent, &at, found) else { return LIFETIME_DEFAULT };
    if lifetime < Span::from_seconds(1) || lifetime > LIFETIME_MAX {
        found.add(&at, "must be between 1 second and 24 hours");
    }
    lifetime
}

/// Writes what became of one reward that was asked for.
#[must_use]
pub fn reserve_message(answer: &ReserveAnswer) -> v1::ReserveAnswer {
    let ReserveAnswer { reward_id, conversion_id, gate, reserved_until, amount } = answer;
    v1::ReserveAnswer {
        gate: Some(answer_message(reward_id, conversion_id, gate)),
        reserved_until: reserved_until.map(time_message),
        amount: amount.map(money_message),
    }
}

/// Reads a renewal.
///
/// # Errors
/// All violated fields.
pub fn renew(message: v1::RenewReservationRequest, at: Timestamp) -> Result<ReservationCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::RenewReservationRequest { program_id, reservation_id, reward_ids, lifetime, request_id } = message;
    let mut found = Violations::default();
    let lifetime = read_lifetime(lifetime, &mut found);
    let asked = request(&request_id, content, &mut found);
    reservation(&program_id, &reservation_id, &reward_ids, ReservationChange::Renew(lifetime), asked, at, found)
}

/// Reads the end of a reservation.
///
/// # Errors
/// All violated fields.
pub fn cancel(message: v1::CancelReservationRequest, at: Timestamp) -> Result<ReservationCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::CancelReservationRequest { program_id, reservation_id, reward_ids, request_id } = message;
    let mut found = Violations::default();
    let asked = request(&request_id, content, &mut found);
    reservation(&program_id, &reservation_id, &reward_ids, ReservationChange::Cancel, asked, at, found)
}

fn reservation(
    program_id: &str,
    reservation_id: &str,
    reward_ids: &[String],
    change: ReservationChange,
    request: Option<Request>,
    at: Timestamp,
    mut found: Violations,
) -> Result<ReservationCommand, Vec<Violation>> {
    let program_id = required_id(program_id, &At::path("program_id"), &mut found);
    let reservation_id = required_id(reservation_id, &At::path("reservation_id"), &mut found);
    let path = At::path("reward_ids");
    if reward_ids.len() > PAYOUTS_MAX {
        found.add(&path, format!("holds {} entries; at most {PAYOUTS_MAX} are allowed", reward_ids.len()));
    }
    let ids = reward_ids.iter().take(PAYOUTS_MAX).enumerate();
    let rewards = ids.filter_map(|(index, id)| required_id(id, &path.entry(index), &mut found)).collect();
    let command = program_id.zip(reservation_id).map(|(program_id, reservation_id)| ReservationCommand {
        program_id,
        reservation_id,
        rewards,
        change,
        request,
        at,
    });
    found.into_result(command)
}

/// Reads that a reward was paid, with what is odd about it.
///
/// # Errors
/// All violated fields.
pub fn paid(message: v1::MarkPaidRequest, received_at: Timestamp) -> Result<(PaidCommand, Vec<String>), Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::MarkPaidRequest { program_id, reward_id, conversion_id, paid_at, amount, reservation_id, request_id } = message;
    let (mut found, mut warnings) = (Violations::default(), Vec::new());
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let reward_id = required_id(&reward_id, &At::path("reward_id"), &mut found);
    let conversion_id = required_id(&conversion_id, &At::path("conversion_id"), &mut found);
    let paid_at = time_of_fact(paid_at, &At::path("paid_at"), Arrival::At(received_at), &mut warnings, &mut found);
    let amount = positive_money(amount, &At::path("amount"), &mut found);
    let reservation_id = optional_id(&reservation_id, &At::path("reservation_id"), &mut found);
    let request = request(&request_id, content, &mut found);
    let command = || {
        Some(PaidCommand {
            program_id: program_id?,
            conversion_id: conversion_id?,
            reward_id: reward_id?,
            reservation_id,
            paid_at: paid_at?,
            amount,
            request,
            received_at,
        })
    };
    let command = command();
    found.into_result(command).map(|command| (command, warnings))
}

/// Writes the answer to a payment that was recorded.
#[must_use]
pub fn paid_message(
    answer: Option<&PaidAnswer>,
    cursor: Option<FeedCursor>,
    replayed: bool,
    warnings: Vec<String>,
) -> v1::MarkPaidResponse {
    let against = answer.and_then(|answer| answer.against_gate.as_ref());
    v1::MarkPaidResponse {
        replayed,
        cursor: cursor_text(cursor),
        against_gate: against.map(gate_reason_number).unwrap_or_default(),
        sentence: against.map(GateReason::sentence).unwrap_or_default(),
        amount: answer.and_then(|answer| answer.amount).map(money_message),
        warnings,
    }
}

/// Reads that a payment failed, with what is odd about it.
///
/// # Errors
/// All violated fields.
pub fn failed(message: v1::MarkFailedRequest, received_at: Timestamp) -> Result<(FailedCommand, Vec<String>), Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::MarkFailedRequest { program_id, reward_id, conversion_id, failed_at, reason_code: code, note: why, request_id } =
        message;
    let (mut found, mut warnings) = (Violations::default(), Vec::new());
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let reward_id = required_id(&reward_id, &At::path("reward_id"), &mut found);
    let conversion_id = required_id(&conversion_id, &At::path("conversion_id"), &mut found);
    let failed_at = time_of_fact(failed_at, &At::path("failed_at"), Arrival::At(received_at), &mut warnings, &mut found);
    let reason_code = reason_code(code, &mut found);
    let note = note(why, &At::path("note"), &mut found);
    let request = request(&request_id, content, &mut found);
    let command = || {
        Some(FailedCommand {
            program_id: program_id?,
            conversion_id: conversion_id?,
            reward_id: reward_id?,
            failed_at: failed_at?,
            reason_code,
            note,
            request,
            received_at,
        })
    };
    let command = command();
    found.into_result(command).map(|command| (command, warnings))
}

/// Reads rewards to add.
///
/// # Errors
/// All violated fields.
pub fn add_rewards(message: v1::AddRewardsRequest, actor: &Actor, at: Timestamp) -> Result<RewardsCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::AddRewardsRequest { program_id, conversion_id, rewards, note, request_id } = message;
    let mut found = Violations::default();
    let request = request(&request_id, content, &mut found);
    rewards_command(RewardsChange::Add, (&program_id, &conversion_id, actor), rewards, note, request, at, found)
}

/// Reads rewards to change.
///
/// # Errors
/// All violated fields.
pub fn update_rewards(message: v1::UpdateRewardsRequest, actor: &Actor, at: Timestamp) -> Result<RewardsCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::UpdateRewardsRequest { program_id, conversion_id, rewards, note, request_id } = message;
    let mut found = Violations::default();
    let request = request(&request_id, content, &mut found);
    rewards_command(RewardsChange::Change, (&program_id, &conversion_id, actor), rewards, note, request, at, found)
}

fn rewards_command(
    change: RewardsChange,
    (program_id, conversion_id, actor): (&str, &str, &Actor),
    rewards: Vec<v1::Reward>,
    why: String,
    request: Option<Request>,
    at: Timestamp,
    mut found: Violations,
) -> Result<RewardsCommand, Vec<Violation>> {
    let program_id = required_id(program_id, &At::path("program_id"), &mut found);
    let conversion_id = required_id(conversion_id, &At::path("conversion_id"), &mut found);
    let path = At::path("rewards");
    if rewards.is_empty() {
        found.add(&path, "is required: at least one reward");
    }
    let rewards = distinct_rewards(rewards, &path, &mut found);
    let note = note(why, &At::path("note"), &mut found);
    let command = || {
        Some(RewardsCommand {
            program_id: program_id?,
            conversion_id: conversion_id?,
            rewards,
            change,
            actor: actor.clone(),
            note,
            request,
            at,
        })
    };
    let command = command();
    found.into_result(command)
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
    fn every_bad_wish_is_named() {
        let nothing = v1::Money { amount_minor: 0, currency: "EUR".to_owned() };
        let bad = v1::PayoutWanted { reward_id: "r".to_owned(), conversion_id: String::new(), amount: Some(nothing) };
        let lifetime = Some(pbjson_types::Duration { seconds: 86_401, nanos: 0 });
        let message =
            v1::ReservePayoutsRequest { program_id: "shop".to_owned(), request_id: String::new(), payouts: vec![bad], lifetime };
        let refused = reserve(message, Timestamp::saturating_from_millis(1_790_000_000_000)).unwrap_err();
        let named = ["request_id", "payouts[0].conversion_id", "payouts[0].amount.amount_minor", "lifetime"];
        assert_eq!(fields(&refused), named);
    }

    #[test]
    fn a_payment_of_tomorrow_is_taken_for_now_and_told() {
        let now = Timestamp::saturating_from_millis(1_790_000_000_000);
        let message = |paid_at| v1::MarkPaidRequest {
            program_id: "shop".to_owned(),
            reward_id: "r".to_owned(),
            conversion_id: "c".to_owned(),
            paid_at: Some(time_message(paid_at)),
            ..Default::default()
        };
        let (command, warnings) = paid(message(now.plus(Span::from_days(1))), now).unwrap();
        assert_eq!((command.paid_at, warnings.len()), (now, 1));
        assert!(warnings[0].starts_with("`paid_at` lies"), "{warnings:?}");
        let (command, warnings) = paid(message(now.minus(Span::from_days(1))), now).unwrap();
        assert_eq!((command.paid_at, warnings.len()), (now.minus(Span::from_days(1)), 0));
    }
}
