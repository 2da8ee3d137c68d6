//! Messages: from the wire through the book and back. Two books that are told the same know the same, and what was taken reads as it was sent.

use std::sync::{Arc, LazyLock};

use prost::Message;
use selfsame::adapters::model_file;
use selfsame::adapters::model_shelf::ModelShelf;
use selfsame::adapters::model_store::SHIPPED_MODEL;
use selfsame::adapters::policy_file;
use selfsame::adapters::policy_store::FixedPolicy;
use selfsame::adapters::standing_rules::StandingRules;
use selfsame::book::Books;
use selfsame::book::command::{Command, Done, OutcomeCommand, ScreenCommand, SignalsCommand};
use selfsame::ledger::{pack_conversion, unpack_conversion};
use selfsame::offline::load::generator::{Traffic, TrafficShape, Walk};
use selfsame::screening::audit::AuditKey;
use selfsame::vocabulary::ids::Actor;
use selfsame::vocabulary::time::{Span, Timestamp};
use selfsame::wire::fields::Arrival;
use selfsame::wire::signals::SignalsRecord;
use selfsame::wire::violation::Violation;
use selfsame::wire::{content, conversion, decision, hold, list, outcome, payout, review, signals, v1};

use crate::mutated::{Edit, fuzzed, mutated};

static RULES: LazyLock<StandingRules> = LazyLock::new(|| {
    let shelf = ModelShelf::default();
    shelf.set_default(Arc::new(model_file::from_bytes(SHIPPED_MODEL).unwrap()));
    let policy = FixedPolicy::new(policy_file::shipped().unwrap());
    StandingRules::new(Arc::new(policy), Arc::new(shelf), Some(AuditKey::new([1; 32])))
});

/// Conversions that share referrers and values with each other.
static CONVERSIONS: LazyLock<Vec<v1::Conversion>> = LazyLock::new(|| {
    let traffic = Traffic::new(TrafficShape::with_known_values("shop", 160, 3), Walk::Measuring);
    (0..8).map(|index| traffic.conversion(index)).collect()
});

/// A call: of which kind, about which conversion, changed how.
pub(crate) type Call = (u8, u8, Vec<Edit>);

/// The message of a kind about a conversion. Times are those of the conversion, so that what is asked later comes after it.
fn message(kind: u8, about: &v1::Conversion) -> Vec<u8> {
    let (program_id, conversion_id) = (about.program_id.clone(), about.conversion_id.clone());
    let reward_id = about.rewards.first().map(|reward| reward.reward_id.clone()).unwrap_or_default();
    let case_id = format!("case-{conversion_id}");
    let referee = about.referee.clone().unwrap_or_default().account_id;
    let at = about.occurred_at;
    match kind % 11 {
        0 | 1 => about.encode_to_vec(),
        2 => v1::RecordSignalsRequest { program_id, record_id: conversion_id, bundles: about.referrer.iter().cloned().collect() }
            .encode_to_vec(),
        3 => {
            let subject = Some(v1::outcome::Subject::ConversionId(conversion_id.clone()));
            let kind = v1::OutcomeKind::ChargeRefunded.into();
            let outcome = v1::Outcome { kind, subject, occurred_at: at, ..Default::default() };
            v1::RecordOutcomeRequest { program_id, outcome_id: format!("o-{conversion_id}"), outcome: Some(outcome) }
                .encode_to_vec()
        }
        4 => {
            let subject = Some(v1::ListSubject { subject: Some(v1::list_subject::Subject::AccountId(referee)) });
            let entry = Some(v1::ListEntry { list: v1::ListKind::Blocked.into(), subject, ..Default::default() });
            v1::PutListEntryRequest { program_id, entry, request_id: String::new() }.encode_to_vec()
        }
        5 => {
            let subject = Some(v1::HoldSubject { subject: Some(v1::hold_subject::Subject::ConversionId(conversion_id)) });
            v1::PlaceHoldRequest { program_id, subject, ..Default::default() }.encode_to_vec()
        }
        6 => {
            let payouts = vec![v1::PayoutWanted { reward_id, conversion_id: conversion_id.clone(), amount: None }];
            v1::ReservePayoutsRequest { program_id, request_id: format!("run-{conversion_id}"), payouts, lifetime: None }
                .encode_to_vec()
        }
        7 => v1::MarkPaidRequest { program_id, reward_id, conversion_id, paid_at: at, ..Default::default() }.encode_to_vec(),
        8 => v1::MarkFailedRequest { program_id, reward_id, conversion_id, failed_at: at, ..Default::default() }.encode_to_vec(),
        9 => v1::ResolveCaseRequest { program_id, case_id, resolution: v1::Resolution::Accept.into(), ..Default::default() }
            .encode_to_vec(),
        _ => {
            let target = Some(v1::reopen_case_request::Target::CaseId(case_id));
            v1::ReopenCaseRequest { program_id, target, ..Default::default() }.encode_to_vec()
        }
    }
}

fn read<M: Message + Default>(bytes: &[u8]) -> Option<M> {
    M::decode(bytes).ok()
}

fn taken<T>(parsed: Result<T, Vec<Violation>>) -> Option<T> {
    parsed.inspect_err(|violations| assert!(!violations.is_empty(), "a refusal names what is wrong")).ok()
}

fn command(kind: u8, bytes: &[u8], now: Timestamp) -> Option<Command> {
    let actor = Actor::new("rita").unwrap();
    match kind % 11 {
        0 | 1 => {
            let message: v1::Conversion = read(bytes)?;
            let content = content::fingerprint(&message);
            let (conversion, _) = taken(conversion::parse_warned(message, "conversion", Arrival::At(now)))?;
            let sent_again = conversion::message_of(&conversion);
            let again = conversion::parse(sent_again, "conversion", Arrival::Recorded).expect("what was taken is taken again");
            assert_eq!(again, conversion, "what was taken reads as it was sent");
            assert_eq!(unpack_conversion(&pack_conversion(&conversion)).unwrap(), conversion, "it is kept as it was taken");
            Some(Command::Screen(Box::new(ScreenCommand { conversion, content, received_at: now })))
        }
        2 => {
            let message: v1::RecordSignalsRequest = read(bytes)?;
            let content = content::fingerprint(&message);
            let (SignalsRecord { program_id, record_id, bundles }, _) = taken(signals::parse_request(message, Arrival::At(now)))?;
            Some(Command::RecordSignals(SignalsCommand { program_id, record_id, content, bundles, received_at: now }))
        }
        3 => {
            let message: v1::RecordOutcomeRequest = read(bytes)?;
            let content = content::fingerprint(&message);
            let (outcome, _) = taken(outcome::parse_request(message, Arrival::At(now)))?;
            Some(Command::RecordOutcome(OutcomeCommand { outcome, content, received_at: now }))
        }
        4 => taken(list::put(read(bytes)?, &actor, now)).map(Command::ChangeList),
        5 => taken(hold::place(read(bytes)?, &actor, now)).map(Command::ChangeHold),
        6 => taken(payout::reserve(read(bytes)?, now)).map(Command::Reserve),
        7 => taken(payout::paid(read(bytes)?, now)).map(|(command, _)| Command::MarkPaid(command)),
        8 => taken(payout::failed(read(bytes)?, now)).map(|(command, _)| Command::MarkFailed(command)),
        9 => taken(review::resolve(read(bytes)?, &actor, now)).map(|command| Command::StepCase(Box::new(command), None)),
        _ => taken(review::reopen(read(bytes)?, &actor, now)).map(|command| Command::StepCase(Box::new(command), None)),
    }
}

/// Executes calls in two books, and looks that both know the same after each.
pub(crate) fn through_the_book(calls: &[Call]) {
    let (mut one, mut other) = (Books::default(), Books::default());
    let began = Timestamp::from_millis(CONVERSIONS[0].occurred_at.unwrap().seconds * 1_000 + 86_400_000).unwrap();
    let mut now = began;
    for (kind, about, edits) in calls.iter().take(12) {
        now = now.plus(Span::from_seconds(60));
        let about = &CONVERSIONS[usize::from(*about) % CONVERSIONS.len()];
        let Some(command) = command(*kind, &mutated(&message(*kind, about), edits), now) else { continue };
        let program = command.program().clone();
        let done = one.execute(command.clone(), &*RULES);
        let same = other.execute(command, &*RULES);
        assert_eq!(format!("{done:?}"), format!("{same:?}"), "the same question to the same book has one answer");
        let digests = [&one, &other].map(|books| books.book(&program).map(selfsame::book::Book::digest));
        assert_eq!(digests[0], digests[1], "the same events make the same book");
        if let Ok(Done::Screened(record)) = done.map(|executed| executed.done) {
            let message = decision::message_of(&record);
            let text = serde_json::to_string(&message).unwrap();
            assert_eq!(serde_json::from_str::<v1::Decision>(&text).unwrap(), message, "{text}");
        }
    }
}

/// Makes each call twice. What is told twice is told once.
pub(crate) fn again(calls: &[(u8, u8)]) {
    let mut books = Books::default();
    let now = Timestamp::from_millis(CONVERSIONS[0].occurred_at.unwrap().seconds * 1_000 + 86_400_000).unwrap();
    for (kind, about) in calls.iter().take(24).map(|(kind, about)| (kind % 4, about)) {
        let about = &CONVERSIONS[usize::from(*about) % CONVERSIONS.len()];
        let Some(command) = command(kind, &message(kind, about), now) else { continue };
        let program = command.program().clone();
        let first = books.execute(command.clone(), &*RULES);
        let digest = books.book(&program).map(selfsame::book::Book::digest);
        let second = books.execute(command, &*RULES);
        assert_eq!(first.is_ok(), second.is_ok());
        assert_eq!(books.book(&program).map(selfsame::book::Book::digest), digest, "nothing changed");
    }
}

#[test]
fn from_the_wire_through_the_book_and_back() {
    fuzzed(|input: &Vec<Call>| through_the_book(input));
}

#[test]
fn a_call_again_is_no_second_one() {
    fuzzed(|input: &Vec<(u8, u8)>| again(input));
}
