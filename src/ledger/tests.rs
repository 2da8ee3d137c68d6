//! Proofs about books and their journal: what is live, what is replayed and what comes from a snapshot are the same to the last bit.

use std::io::Cursor as Bytes;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::codec;
use super::snapshot::{self, Place};
use crate::book::Book;
use crate::book::command::{
    Assessor, CaseCommand, CaseStep, Change, Command, DecidedBefore, FailedCommand, HoldCommand, HoldStep, ListCommand,
    OutcomeCommand, PaidCommand, PayoutWanted, Request, ReservationChange, ReservationCommand, ReserveCommand, RevokeCommand,
    RewardsChange, RewardsCommand, ScreenCommand, SignalsCommand,
};
use crate::book::event::Event;
use crate::book::plan::{Plan, plan};
use crate::book::records::{ContentFingerprint, Cursor, HoldSubject, ListEntry, ListSubject};
use crate::book::terms::{Own, ProgramTerms};
use crate::ports::journal::{Chain, Incarnation};
use crate::screening::case::{Resolution, Step};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::fixtures::assess_by_rules;
use crate::screening::history::{History, ListKind};
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::conversion::{Conversion, Reward, Side};
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, HoldId, ProgramId, RecordId, RequestId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::fixtures::any_conversion;

/// Decides by the rules, but sends every third conversion to review, so that there are cases.
pub(super) struct Rules;

impl Assessor for Rules {
    fn assess(&self, conversion: &Conversion, history: &History, _: Own<'_>, now: Timestamp) -> Decision {
        let decision = Decision { decided_at: now, ..assess_by_rules(conversion, history) };
        let third = conversion.conversion_id.as_str().bytes().map(u32::from).sum::<u32>() % 3 == 0;
        Decision { verdict: if third { Verdict::InReview } else { decision.verdict }, ..decision }
    }

    fn due_after(&self, _: &ProgramId, _: &ProgramTerms) -> Span {
        Span::from_hours(48)
    }

    fn payout(&self, _: &ProgramId, _: &ProgramTerms) -> PayoutPolicy {
        PayoutPolicy::after(Span::ZERO)
    }
}

/// One thing that callers do, by small numbers, so that it meets what was done before.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Screen(Box<Conversion>),
    Learn(Box<Conversion>, u8),
    Befall(u8, u8),
    Step(u8, u8),
    Pay(u8),
    Reserve(u8, bool),
    Release(u8, bool),
    Fail(u8),
    Reward(u8, bool),
    Revoke(u8),
    Hold(u8, bool),
    List(u8, bool),
}

pub(super) fn any_act() -> impl Strategy<Value = Act> {
    let id = 0..12_u8;
    prop_oneof![
        4 => (any_conversion(), id.clone(), 0..5_u8, 0..5_u8).prop_map(|(conversion, id, a, b)| Act::Screen(Box::new(numbered(conversion, id, a, b)))),
        1 => (any_conversion(), 0..9_u8).prop_map(|(conversion, id)| Act::Learn(Box::new(numbered(conversion, id, id % 5, (id + 1) % 5)), id)),
        2 => (id.clone(), 0..8_u8).prop_map(|(id, kind)| Act::Befall(id, kind)),
        3 => (id.clone(), 0..5_u8).prop_map(|(id, step)| Act::Step(id, step)),
        1 => id.clone().prop_map(Act::Pay),
        2 => (id.clone(), any::<bool>()).prop_map(|(id, long)| Act::Reserve(id, long)),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, renew)| Act::Release(id, renew)),
        1 => id.clone().prop_map(Act::Fail),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, add)| Act::Reward(id, add)),
        1 => (0..40_u8).prop_map(Act::Revoke),
        1 => (id.clone(), any::<bool>()).prop_map(|(id, place)| Act::Hold(id, place)),
        1 => (id, any::<bool>()).prop_map(|(id, place)| Act::List(id, place)),
    ]
}

fn account(number: u8) -> AccountId {
    AccountId::new(&format!("account-{number}")).unwrap()
}

fn conversion_id(number: u8) -> ConversionId {
    ConversionId::new(&format!("c{number}")).unwrap()
}

fn numbered(mut conversion: Conversion, id: u8, referrer: u8, referee: u8) -> Conversion {
    conversion.program_id = program();
    conversion.conversion_id = conversion_id(id);
    conversion.referrer.account_id = account(referrer);
    conversion.referee.account_id = account(referee);
    conversion.rewards.truncate(1);
    for reward in &mut conversion.rewards {
        reward.reward_id = reward_id(id);
    }
    conversion
}

fn reward_id(number: u8) -> RewardId {
    RewardId::new(&format!("rw{}", number % 7)).unwrap()
}

fn request_id(number: u8) -> RequestId {
    RequestId::new(&format!("run-{number}")).unwrap()
}

fn wanted(number: u8) -> PayoutWanted {
    PayoutWanted { reward_id: reward_id(number), conversion_id: conversion_id(number), amount: None }
}

pub(super) fn program() -> ProgramId {
    ProgramId::new("shop").unwrap()
}

fn at(step: usize) -> Timestamp {
    Timestamp::saturating_from_millis(1_790_000_000_000 + 60_000 * i64::try_from(step).unwrap())
}

pub(super) fn command(act: &Act, step: usize) -> Command {
    let (program_id, actor) = (program(), Actor::new("rita").unwrap());
    let content = ContentFingerprint([7; 16]);
    match act.clone() {
        Act::Screen(conversion) => {
            Command::Screen(Box::new(ScreenCommand { conversion: *conversion, content, received_at: at(step) }))
        }
        Act::Learn(conversion, id) => Command::RecordSignals(SignalsCommand {
            program_id,
            record_id: RecordId::new(&format!("r{id}")).unwrap(),
            content,
            bundles: vec![conversion.referrer, conversion.referee],
            received_at: at(step),
        }),
        Act::Befall(id, kind) => {
            let (kind, subject) = match kind {
                0 => (OutcomeKind::AccountBanned, OutcomeSubject::Account(account(id % 5))),
                1 => (OutcomeKind::Chargeback, OutcomeSubject::Account(account(id % 5))),
                2..=4 => (OutcomeKind::ChargeRefunded, OutcomeSubject::Conversion(conversion_id(id))),
                _ => (OutcomeKind::SubscriptionCanceled, OutcomeSubject::Conversion(conversion_id(id))),
            };
            let outcome_id = RecordId::new(&format!("o{step}")).unwrap();
            let outcome = Outcome {
                program_id,
                outcome_id,
                kind,
                subject,
                occurred_at: at(step),
                amount: None,
                actor: None,
                note: String::new(),
            };
            Command::RecordOutcome(OutcomeCommand { outcome, content, received_at: at(step) })
        }
        Act::Step(id, number) => {
            let step_of_case = match number {
                0 => CaseStep::Step(Step::Claim { lease: Span::from_minutes(3) }),
                1 => CaseStep::Step(Step::Resolve(Resolution::Accept)),
                2 => CaseStep::Step(Step::Resolve(Resolution::Reject)),
                3 => CaseStep::Step(Step::Reopen),
                _ => CaseStep::Note,
            };
            let decided =
                DecidedBefore { score: 0.25, value: None, reason_codes: Vec::new(), headline: "as it was decided".to_owned() };
            let case = CaseCommand {
                program_id,
                case_id: CaseId::of(&conversion_id(id)),
                step: step_of_case,
                actor,
                reason_code: String::new(),
                note: String::new(),
                expected_revision: None,
                request: None,
                at: at(step),
            };
            Command::StepCase(Box::new(case), Some(Box::new(decided)))
        }
        Act::Pay(id) => Command::MarkPaid(PaidCommand {
            program_id,
            conversion_id: conversion_id(id),
            reward_id: reward_id(id),
            reservation_id: (id % 3 == 0).then(|| request_id(id % 4)),
            paid_at: at(step),
            amount: None,
            request: None,
            received_at: at(step),
        }),
        Act::Reserve(id, long) => Command::Reserve(ReserveCommand {
            program_id,
            request: Request { id: request_id(id % 4), content: ContentFingerprint([id; 16]) },
            payouts: vec![wanted(id), wanted(id + 1)],
            lifetime: Span::from_minutes(if long { 600 } else { 2 }),
            conversions: Vec::new(),
            at: at(step),
        }),
        Act::Release(id, renew) => Command::ChangeReservation(ReservationCommand {
            program_id,
            reservation_id: request_id(id % 4),
            rewards: Vec::new(),
            change: if renew { ReservationChange::Renew(Span::from_minutes(5)) } else { ReservationChange::Cancel },
            request: None,
            at: at(step),
        }),
        Act::Fail(id) => Command::MarkFailed(FailedCommand {
            program_id,
            conversion_id: conversion_id(id),
            reward_id: reward_id(id),
            failed_at: at(step),
            reason_code: String::new(),
            note: String::new(),
            request: None,
            received_at: at(step),
        }),
        Act::Reward(id, add) => Command::ChangeRewards(RewardsCommand {
            program_id,
            conversion_id: conversion_id(id),
            rewards: vec![Reward { reward_id: reward_id(id), beneficiary: Side::Referrer, amount: Money::new(100, "EUR").ok() }],
            change: if add { RewardsChange::Add } else { RewardsChange::Change },
            actor,
            note: String::new(),
            request: None,
            at: at(step),
        }),
        Act::Revoke(number) => Command::RevokeOutcome(RevokeCommand {
            program_id,
            outcome_id: RecordId::new(&format!("o{number}")).unwrap(),
            actor,
            reason_code: String::new(),
            note: String::new(),
            request: None,
            at: at(step),
        }),
        Act::Hold(id, place) => {
            let subject =
                if id % 2 == 0 { HoldSubject::Conversion(conversion_id(id)) } else { HoldSubject::Referrer(account(id % 5)) };
            let hold_id = HoldId::new(&format!("h{}", id % 5)).unwrap();
            let hold_step = match (place, id % 3) {
                (true, 0) => HoldStep::Place { hold_id: None, subject },
                (true, _) => HoldStep::Place { hold_id: Some(hold_id), subject },
                (false, 0) => HoldStep::LiftOwn(subject),
                (false, _) => HoldStep::Lift(hold_id),
            };
            let (note, request) = (String::new(), None);
            Command::ChangeHold(HoldCommand { program_id, step: hold_step, actor, note, request, at: at(step) })
        }
        Act::List(id, place) => {
            let entry = ListEntry {
                list: if id % 2 == 0 { ListKind::Blocked } else { ListKind::Trusted },
                subject: ListSubject::Account(account(id % 5)),
                actor,
                note: format!("{step}"),
                placed_at: at(step),
                expires_at: None,
            };
            Command::ChangeList(ListCommand {
                program_id,
                entry,
                change: if place { Change::Place } else { Change::Lift },
                request: None,
            })
        }
    }
}

/// A book that lived through acts, and the records that it left.
pub(super) fn lived(acts: &[Act]) -> (Book, Vec<Vec<u8>>) {
    let (mut book, mut records) = (Book::new(1), Vec::new());
    for (step, act) in acts.iter().enumerate() {
        if let Ok(Plan::Commit(event, known)) = plan(&book, command(act, step), &Rules) {
            records.push(codec::encode(&event));
            book.apply_known(Cursor(records.len() as u64), &event, *known);
        }
    }
    (book, records)
}

fn replay(mut book: Book, records: &[Vec<u8>]) -> Book {
    for (place, record) in (1..).zip(records).skip(usize::try_from(book.cursor().0).unwrap()) {
        let event: Event = codec::decode(record).unwrap();
        book.apply(Cursor(place), &event);
    }
    book
}

pub(super) fn place(book: &Book) -> Place {
    Place { incarnation: Incarnation(7), cursor: book.cursor(), chain: Chain([3; 16]) }
}

pub(super) fn written(book: &Book) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot::write(book.freeze(), place(book), &mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_book_that_is_replayed_is_the_one_that_lived(acts in prop::collection::vec(any_act(), 1..60)) {
        let (book, records) = lived(&acts);
        prop_assert_eq!(replay(Book::new(99), &records).digest(), book.digest());
    }

    #[test]
    fn a_book_from_a_snapshot_goes_on_as_the_one_that_was_frozen(
        acts in prop::collection::vec(any_act(), 2..60),
        cut in 0.1..0.9_f64,
    ) {
        let (book, records) = lived(&acts);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a share of a few dozen")]
        let until = (records.len() as f64 * cut) as usize;
        let early = replay(Book::new(1), &records[..until]);
        let bytes = written(&early);
        let thawed = snapshot::read(&mut Bytes::new(&bytes), place(&early), 5).unwrap();
        prop_assert_eq!(thawed.digest(), early.digest());
        prop_assert_eq!(replay(thawed, &records).digest(), book.digest());
        // What was frozen stays as it was while the book goes on.
        let frozen = early.freeze();
        let (at, _) = (place(&early), replay(early, &records));
        let mut late = Vec::new();
        snapshot::write(frozen, at, &mut late).unwrap();
        prop_assert_eq!(late, bytes);
    }

    #[test]
    fn what_a_case_or_a_gate_is_made_of_is_never_newer_than_the_book(acts in prop::collection::vec(any_act(), 1..40)) {
        let (book, _) = lived(&acts);
        for id in 0..12 {
            if let Some(reading) = book.conversion(&conversion_id(id)) {
                prop_assert!(reading.cursor <= reading.changed && reading.changed <= book.cursor());
                prop_assert!(reading.trail.iter().all(|cursor| *cursor <= reading.changed));
            }
        }
    }
}

#[test]
fn a_snapshot_with_one_bit_changed_is_passed_over_and_so_is_one_of_another_place() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let acts = prop::collection::vec(any_act(), 40).new_tree(&mut runner).unwrap().current();
    let (book, _) = lived(&acts);
    let bytes = written(&book);
    assert!(snapshot::read(&mut Bytes::new(&bytes), place(&book), 5).is_ok());
    for at in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        assert!(snapshot::read(&mut Bytes::new(&damaged), place(&book), 5).is_err(), "a change at byte {at} was believed");
        assert!(snapshot::read(&mut Bytes::new(&bytes[..at]), place(&book), 5).is_err(), "a snapshot cut at {at} was believed");
    }
    let elsewhere = Place { chain: Chain([4; 16]), ..place(&book) };
    assert!(matches!(snapshot::read(&mut Bytes::new(&bytes), elsewhere, 5), Err(snapshot::Unusable::OtherPlace)));
}
