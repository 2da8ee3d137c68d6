//! Claims about payers: reservations, payments against the gate, failures, rewards that are added or changed, holds of several people, retries.

use selfsame::book::Refusal;
use selfsame::book::command::{
    Change, Command, Done, Executed, FailedCommand, HoldStep, PaidCommand, PayoutWanted, Request, ReservationChange,
    ReservationCommand, ReserveCommand, RewardsChange, RewardsCommand,
};
use selfsame::book::records::{ContentFingerprint, FeedKind, Freshness, HistoryKind, HoldSubject, ReserveAnswer};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::gate::{Gate, GateReason, RewardState};
use selfsame::vocabulary::conversion::{Reward, Side};
use selfsame::vocabulary::ids::{HoldId, RequestId};
use selfsame::vocabulary::money::Money;
use selfsame::vocabulary::time::{Span, Timestamp};

use crate::subject::{Draft, Subject, account, actor, case_id, conversion_id, draft, minute, reward, shop};

/// Long after every delay.
fn later(minutes: i64) -> Timestamp {
    minute(0).plus(Span::from_days(30)).plus(Span::from_minutes(minutes))
}

fn euros(minor: i64) -> Option<Money> {
    Money::new(minor, "EUR").ok()
}

/// A conversion with one reward of 20 EUR.
fn worth_twenty(id: &str, referee: &str) -> Draft {
    draft(id, "ann", referee).change(|c| c.rewards[0].amount = euros(2_000))
}

fn request_id(id: &str) -> RequestId {
    RequestId::new(id).unwrap()
}

fn request(id: &str) -> Request {
    Request { id: request_id(id), content: ContentFingerprint([1; 16]) }
}

fn wanted(id: &str, amount: Option<Money>) -> PayoutWanted {
    PayoutWanted { reward_id: reward(&format!("rw-{id}")), conversion_id: conversion_id(id), amount }
}

fn reserve(subject: &Subject, run: &str, payouts: Vec<PayoutWanted>, at: Timestamp) -> Result<Executed, LedgerError> {
    let lifetime = Span::from_minutes(15);
    subject.execute(Command::Reserve(ReserveCommand {
        program_id: shop(),
        request: request(run),
        payouts,
        lifetime,
        conversions: Vec::new(),
        at,
    }))
}

fn answers(executed: Executed) -> Vec<ReserveAnswer> {
    executed.done.reserved().unwrap()
}

fn reasons(answers: &[ReserveAnswer]) -> Vec<GateReason> {
    answers.iter().map(|answer| answer.gate.reason.clone()).collect()
}

fn change(subject: &Subject, run: &str, change: ReservationChange, at: Timestamp) -> Result<Executed, LedgerError> {
    let (rewards, request) = (Vec::new(), None);
    let (program_id, reservation_id) = (shop(), request_id(run));
    subject.execute(Command::ChangeReservation(ReservationCommand { program_id, reservation_id, rewards, change, request, at }))
}

fn pay(subject: &Subject, id: &str, run: Option<&str>, amount: Option<Money>, at: Timestamp) -> Result<Executed, LedgerError> {
    subject.execute(Command::MarkPaid(PaidCommand {
        program_id: shop(),
        conversion_id: conversion_id(id),
        reward_id: reward(&format!("rw-{id}")),
        reservation_id: run.map(request_id),
        paid_at: at,
        amount,
        request: None,
        received_at: at,
    }))
}

fn fail(subject: &Subject, id: &str, call: Option<&str>, at: Timestamp) -> Result<Executed, LedgerError> {
    subject.execute(Command::MarkFailed(FailedCommand {
        program_id: shop(),
        conversion_id: conversion_id(id),
        reward_id: reward(&format!("rw-{id}")),
        failed_at: at,
        reason_code: "account_closed".to_owned(),
        note: String::new(),
        request: call.map(request),
        received_at: at,
    }))
}

fn rewards(subject: &Subject, id: &str, rewards: &[(&str, i64)], change: RewardsChange) -> Result<Executed, LedgerError> {
    let reward =
        |(name, minor): &(&str, i64)| Reward { reward_id: reward(name), beneficiary: Side::Referrer, amount: euros(*minor) };
    subject.execute(Command::ChangeRewards(RewardsCommand {
        program_id: shop(),
        conversion_id: conversion_id(id),
        rewards: rewards.iter().map(reward).collect(),
        change,
        actor: actor("olga"),
        note: "a bonus".to_owned(),
        request: None,
        at: later(0),
    }))
}

fn invalid_fields<T: std::fmt::Debug>(refused: Result<T, LedgerError>) -> Vec<String> {
    match refused {
        Err(LedgerError::Refused(Refusal::Invalid(misfits))) => misfits.into_iter().map(|misfit| misfit.field).collect(),
        other => panic!("fields are refused, not {other:?}"),
    }
}

pub(crate) fn what_is_reserved_is_one_payers_until_it_ends(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    subject.screen(&worth_twenty("c2", "cleo").decided("review"));
    let first =
        answers(reserve(subject, "run-1", vec![wanted("c1", None), wanted("c2", None), wanted("c1", None)], later(0)).unwrap());
    assert_eq!(reasons(&first), [GateReason::Cleared, GateReason::InReview, GateReason::RepeatedInCall]);
    assert_eq!((first[0].amount, first[0].reserved_until), (euros(2_000), Some(later(15))));
    let second = answers(reserve(subject, "run-2", vec![wanted("c1", None)], later(1)).unwrap());
    assert_eq!((reasons(&second), second[0].gate.hold_until), (vec![GateReason::Reserved], Some(later(15))));
    let third = answers(reserve(subject, "run-3", vec![wanted("c1", None)], later(15)).unwrap());
    assert_eq!(reasons(&third), [GateReason::Cleared], "it ended by itself");
    assert!(matches!(
        change(subject, "run-1", ReservationChange::Renew(Span::from_minutes(5)), later(16)),
        Err(LedgerError::Refused(Refusal::NotPossible(_)))
    ));
}

pub(crate) fn a_reservation_is_answered_once_however_often_it_is_sent(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    let first = reserve(subject, "run-1", vec![wanted("c1", None)], later(0)).unwrap();
    let again = reserve(subject, "run-1", vec![wanted("c1", None)], later(9)).unwrap();
    assert_eq!((again.freshness, again.cursor, &again.done), (Freshness::Replayed, first.cursor, &first.done));
    let other = Request { content: ContentFingerprint([2; 16]), ..request("run-1") };
    let (program_id, payouts, lifetime) = (shop(), vec![wanted("c1", None)], Span::from_minutes(15));
    let differs = subject.execute(Command::Reserve(ReserveCommand {
        program_id,
        request: other,
        payouts,
        lifetime,
        conversions: Vec::new(),
        at: later(9),
    }));
    assert!(matches!(differs, Err(LedgerError::Refused(Refusal::ContentDiffers { .. }))), "{differs:?}");
}

pub(crate) fn a_reservation_is_renewed_as_long_as_the_gate_releases(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    reserve(subject, "run-1", vec![wanted("c1", None)], later(0)).unwrap();
    change(subject, "run-1", ReservationChange::Renew(Span::from_minutes(30)), later(10)).unwrap();
    assert_eq!(
        reasons(&answers(reserve(subject, "run-2", vec![wanted("c1", None)], later(39)).unwrap())),
        [GateReason::Reserved]
    );
    subject.change_hold(HoldSubject::Referrer(account("ann")), Change::Place);
    let refused = change(subject, "run-1", ReservationChange::Renew(Span::from_minutes(30)), later(39));
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::NotPossible(_)))), "{refused:?}");
    subject.change_hold(HoldSubject::Referrer(account("ann")), Change::Lift);
    change(subject, "run-1", ReservationChange::Cancel, later(39)).unwrap();
    let again = change(subject, "run-1", ReservationChange::Cancel, later(39)).unwrap();
    assert_eq!(again.freshness, Freshness::Replayed);
    assert_eq!(subject.gate("c1"), Gate::Release);
    let unknown = change(subject, "never", ReservationChange::Cancel, later(39));
    assert!(matches!(unknown, Err(LedgerError::Refused(Refusal::NotFound { what: "reservation", .. }))));
}

pub(crate) fn amounts_meet(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    let dollars = Money::new(2_000, "USD").ok();
    let beyond = reserve(subject, "run-1", vec![wanted("c1", euros(2_001)), wanted("c1", dollars)], later(0));
    assert_eq!(invalid_fields(beyond), ["payouts[0].amount.amount_minor", "payouts[1].amount.currency"]);
    assert_eq!(invalid_fields(pay(subject, "c1", None, euros(2_001), later(0))), ["amount.amount_minor"]);
    assert_eq!(invalid_fields(pay(subject, "c1", None, dollars, later(0))), ["amount.currency"]);
    reserve(subject, "run-1", vec![wanted("c1", euros(1_500))], later(0)).unwrap();
    assert_eq!(invalid_fields(pay(subject, "c1", Some("run-1"), euros(1_600), later(1))), ["amount.amount_minor"]);
    let paid = pay(subject, "c1", Some("run-1"), None, later(1)).unwrap().done.paid().unwrap();
    assert_eq!((paid.amount, paid.against_gate), (euros(1_500), None), "what was reserved");
    assert_eq!(invalid_fields(pay(subject, "c1", None, euros(100), later(2))), ["amount"], "another amount is another payment");
    subject.screen(&worth_twenty("c2", "cleo"));
    pay(subject, "c2", None, None, later(2)).unwrap();
    assert_eq!(invalid_fields(pay(subject, "c2", None, euros(100), later(2))), ["amount"], "the first call had none");
    assert_eq!(pay(subject, "c2", None, euros(2_000), later(3)).unwrap().freshness, Freshness::Replayed);
}

pub(crate) fn a_payment_against_the_gate_is_recorded_and_told(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    let early = pay(subject, "c1", None, None, minute(1)).unwrap().done.paid().unwrap();
    assert_eq!(early.against_gate, Some(GateReason::DelayRunning));
    subject.screen(&worth_twenty("c2", "cleo"));
    subject.screen(&worth_twenty("c3", "dora"));
    reserve(subject, "run-1", vec![wanted("c2", None)], later(0)).unwrap();
    let stolen = pay(subject, "c2", None, None, later(1)).unwrap().done.paid().unwrap();
    assert_eq!(stolen.against_gate, Some(GateReason::Reserved), "another payer had reserved it");
    let told: Vec<_> = subject.feed().into_iter().filter(|event| event.kind == FeedKind::Paid).collect();
    assert_eq!(
        told.iter().map(|event| event.against_gate.clone()).collect::<Vec<_>>(),
        [early.against_gate, stolen.against_gate]
    );
    assert_eq!(pay(subject, "c3", None, None, later(60)).unwrap().done.paid().unwrap().against_gate, None);
}

pub(crate) fn a_payment_that_failed_makes_the_reward_payable_again(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    assert!(
        matches!(fail(subject, "c1", None, later(0)), Err(LedgerError::Refused(Refusal::NotPossible(_)))),
        "nothing could fail"
    );
    reserve(subject, "run-1", vec![wanted("c1", None)], later(0)).unwrap();
    fail(subject, "c1", None, later(1)).unwrap();
    assert_eq!(subject.gate("c1"), Gate::Release, "it was only reserved");
    pay(subject, "c1", None, None, later(2)).unwrap();
    assert_eq!(subject.gate("c1"), Gate::Deny);
    let bounced = fail(subject, "c1", Some("bounce-1"), later(60)).unwrap();
    assert_eq!(subject.gate("c1"), Gate::Release);
    assert_eq!(pay(subject, "c1", None, None, later(61)).unwrap().freshness, Freshness::New);
    let again = fail(subject, "c1", Some("bounce-1"), later(62)).unwrap();
    assert_eq!((again.freshness, again.cursor), (Freshness::Replayed, bounced.cursor), "the second payment stands");
    assert_eq!(subject.gate("c1"), Gate::Deny);
    let told = subject.feed_kinds();
    let wanted = [FeedKind::Decided, FeedKind::PayoutFailed, FeedKind::Paid, FeedKind::PayoutFailed, FeedKind::Paid];
    assert_eq!(told, wanted);
}

pub(crate) fn rewards_are_added_and_changed_while_unpaid(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    assert_eq!(subject.gate_of("bonus", "c1"), Gate::Hold);
    assert_eq!(rewards(subject, "c1", &[("bonus", 500)], RewardsChange::Add).unwrap().freshness, Freshness::New);
    assert_eq!(rewards(subject, "c1", &[("bonus", 500)], RewardsChange::Add).unwrap().freshness, Freshness::Replayed);
    assert_eq!(subject.gate_of("bonus", "c1"), Gate::Release);
    assert_eq!(invalid_fields(rewards(subject, "c1", &[("bonus", 600)], RewardsChange::Add)), ["rewards[0].amount"]);
    rewards(subject, "c1", &[("bonus", 600)], RewardsChange::Change).unwrap();
    assert_eq!(invalid_fields(rewards(subject, "c1", &[("never", 600)], RewardsChange::Change)), ["rewards[0].reward_id"]);
    subject.screen(&worth_twenty("c2", "cleo"));
    assert_eq!(invalid_fields(rewards(subject, "c2", &[("bonus", 600)], RewardsChange::Add)), ["rewards[0].reward_id"]);
    pay(subject, "c1", None, None, later(0)).unwrap();
    assert_eq!(invalid_fields(rewards(subject, "c1", &[("rw-c1", 100)], RewardsChange::Change)), ["rewards[0].reward_id"]);
    let many: Vec<String> = (0..63).map(|number| format!("more-{number}")).collect();
    let many: Vec<(&str, i64)> = many.iter().map(|name| (name.as_str(), 1)).collect();
    assert_eq!(invalid_fields(rewards(subject, "c1", &many, RewardsChange::Add)), ["rewards"]);
    let told = subject.feed_kinds().into_iter().filter(|kind| *kind == FeedKind::RewardsChanged).count();
    assert_eq!(told, 2);
    let worth = subject.standing("c1").unwrap().rewards.into_iter().map(|reward| (reward.amount, reward.state));
    let states = [(euros(2_000), RewardState::Paid { amount: euros(2_000) }), (euros(600), RewardState::Unpaid)];
    assert_eq!(worth.collect::<Vec<_>>(), states);
}

pub(crate) fn holds_of_two_people_are_two(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    let on = HoldSubject::Referrer(account("ann"));
    let place = |by: &str, id: Option<&str>| {
        let hold_id = id.map(|id| HoldId::new(id).unwrap());
        subject.step_hold(HoldStep::Place { hold_id, subject: on.clone() }, by)
    };
    place("legal", Some("case-7")).unwrap();
    place("ops", None).unwrap();
    assert_eq!(place("ops", None).unwrap().1, Freshness::Replayed, "one such hold for each actor");
    subject.step_hold(HoldStep::LiftOwn(on.clone()), "ops").unwrap();
    assert_eq!(subject.gate("c1"), Gate::Hold, "legal's stays");
    assert_eq!(
        invalid_fields(subject.step_hold(HoldStep::LiftOwn(on.clone()), "ops")),
        ["hold_id"],
        "what others placed is not meant"
    );
    let case_7 = || HoldStep::Lift(HoldId::new("case-7").unwrap());
    subject.step_hold(case_7(), "ops").unwrap();
    assert_eq!(subject.gate("c1"), Gate::Release);
    assert_eq!(subject.step_hold(case_7(), "ops").unwrap().1, Freshness::Replayed);
    let unknown = subject.step_hold(HoldStep::Lift(HoldId::new("case-8").unwrap()), "ops");
    assert!(matches!(unknown, Err(LedgerError::Refused(Refusal::NotFound { what: "hold", .. }))), "{unknown:?}");
    let elsewhere = HoldStep::Place { hold_id: HoldId::new("case-9").ok(), subject: on.clone() };
    subject.step_hold(elsewhere, "legal").unwrap();
    let other = HoldStep::Place { hold_id: HoldId::new("case-9").ok(), subject: HoldSubject::Referrer(account("abe")) };
    assert_eq!(invalid_fields(subject.step_hold(other, "legal")), ["hold_id"]);
}

pub(crate) fn a_clock_that_steps_back_undoes_nothing(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    reserve(subject, "run-1", vec![wanted("c1", None)], later(0)).unwrap();
    let back = answers(reserve(subject, "run-2", vec![wanted("c1", None)], later(-600)).unwrap());
    assert_eq!(reasons(&back), [GateReason::Reserved]);
    let paid = pay(subject, "c1", Some("run-1"), None, later(-600)).unwrap();
    assert_eq!(paid.done, Done::Paid(selfsame::book::records::PaidAnswer { amount: euros(2_000), against_gate: None }));
}

pub(crate) fn a_retry_is_told_what_became_of_its_reservation(subject: &Subject) {
    let ids = [("c1", "bob"), ("c2", "cleo"), ("c3", "dora"), ("c4", "emil")];
    for (id, referee) in ids {
        subject.screen(&worth_twenty(id, referee));
    }
    for (id, _) in ids {
        reserve(subject, &format!("run-{id}"), vec![wanted(id, None)], later(0)).unwrap();
    }
    pay(subject, "c1", Some("run-c1"), None, later(1)).unwrap();
    change(subject, "run-c2", ReservationChange::Cancel, later(1)).unwrap();
    change(subject, "run-c3", ReservationChange::Renew(Span::from_minutes(60)), later(1)).unwrap();
    let again = |id: &str, at: i64| {
        let executed = reserve(subject, &format!("run-{id}"), vec![wanted(id, None)], later(at)).unwrap();
        assert_eq!(executed.freshness, Freshness::Replayed);
        let answer = answers(executed).remove(0);
        (answer.gate.reason, answer.reserved_until, answer.amount)
    };
    assert_eq!(again("c1", 2), (GateReason::AlreadyPaid, None, None));
    assert_eq!(again("c2", 2), (GateReason::ReservationEnded, None, None));
    assert_eq!(again("c3", 2), (GateReason::Cleared, Some(later(61)), euros(2_000)));
    assert_eq!(again("c4", 2), (GateReason::Cleared, Some(later(15)), euros(2_000)));
    subject.screen(&worth_twenty("c5", "fritz").at(later(20).since(minute(0)).as_millis() / 60_000));
    assert_eq!(again("c4", 20), (GateReason::ReservationEnded, None, None), "it ran out");
    let second = answers(reserve(subject, "run-9", vec![wanted("c4", None)], later(21)).unwrap());
    assert_eq!(reasons(&second), [GateReason::Cleared], "with another id it can be had again");
    assert_eq!(again("c4", 22), (GateReason::ReservationEnded, None, None), "another call holds it");
}

pub(crate) fn what_was_learned_since_is_told_of_a_payment_that_was_reserved(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    subject.screen(&worth_twenty("c2", "cleo"));
    reserve(subject, "run-1", vec![wanted("c1", None), wanted("c2", None)], later(0)).unwrap();
    subject.change_hold(HoldSubject::Conversion(conversion_id("c1")), Change::Place);
    let told = |id: &str| pay(subject, id, Some("run-1"), None, later(1)).unwrap().done.paid().unwrap().against_gate;
    assert_eq!((told("c1"), told("c2")), (Some(GateReason::ReferralHeld), None));
}

pub(crate) fn a_second_payment_of_a_reward_is_recorded_and_told(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob"));
    reserve(subject, "run-1", vec![wanted("c1", None)], later(0)).unwrap();
    let told = |run: Option<&str>| {
        let executed = pay(subject, "c1", run, None, later(1)).unwrap();
        (executed.freshness, executed.done.paid().unwrap().against_gate)
    };
    assert_eq!(told(Some("run-1")), (Freshness::New, None));
    assert_eq!(told(Some("run-1")), (Freshness::Replayed, None));
    assert_eq!(told(None), (Freshness::Replayed, None), "who names nothing tells the same again");
    assert_eq!(told(Some("run-2")), (Freshness::New, Some(GateReason::AlreadyPaid)), "money left twice");
    assert_eq!(told(Some("run-2")).0, Freshness::Replayed);
    assert_eq!(told(Some("run-1")).0, Freshness::Replayed);
    let paid = subject.feed().into_iter().filter(|event| event.kind == FeedKind::Paid);
    let against: Vec<_> = paid.map(|event| event.against_gate).collect();
    assert_eq!(against, [None, Some(GateReason::AlreadyPaid)]);
}

pub(crate) fn a_change_of_a_reward_tells_what_it_was_worth(subject: &Subject) {
    subject.screen(&worth_twenty("c1", "bob").decided("review"));
    rewards(subject, "c1", &[("rw-c1", 1_250)], RewardsChange::Change).unwrap();
    rewards(subject, "c1", &[("bonus", 500)], RewardsChange::Add).unwrap();
    let file = subject.ledger.case(&shop(), &case_id("c1"), later(1)).unwrap().unwrap();
    let changes = file.history.iter().filter(|entry| entry.kind == HistoryKind::RewardsChanged);
    let told: Vec<_> = changes.map(|entry| (&*entry.previous, &*entry.new)).collect();
    assert_eq!(told, [("worth 20.00 EUR", "reward rw-c1 changed, worth 12.50 EUR"), ("", "reward bonus added, worth 5.00 EUR")]);
}
