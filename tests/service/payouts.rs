//! The payout gate, payments, holds and lists over the socket.

use selfsame::ports::ledger::LedgerError;
use selfsame::vocabulary::time::Span;
use selfsame::wire::v1;
use tonic::Code;

use crate::world::{Fault, NOON, PROGRAM, World, at, conversion, reason, violated};

async fn with_an_approved_conversion() -> World {
    let world = World::start().await;
    world.screen(conversion("cv-1", "ann", "bob")).await;
    world
}

async fn past_the_delay() -> World {
    let world = with_an_approved_conversion().await;
    world.clock.forward(Span::from_days(60));
    world
}

#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
fn on_referrer(account: &str) -> Option<v1::HoldSubject> {
    Some(v1::HoldSubject { subject: Some(v1::hold_subject::Subject::ReferrerAccountId(account.to_owned())) })
}

#[tokio::test]
async fn a_reward_waits_for_the_delay_and_is_then_released() {
    let world = with_an_approved_conversion().await;
    let waiting = world.gate("r-cv-1", "cv-1").await;
    assert_eq!((waiting.gate(), waiting.reason()), (v1::Gate::Hold, v1::GateReason::DelayRunning));
    assert!(waiting.hold_until.unwrap().seconds > NOON);
    world.clock.forward(Span::from_days(60));
    assert_eq!(world.gate("r-cv-1", "cv-1").await.gate(), v1::Gate::Release);
}

#[tokio::test]
async fn unknown_ids_are_held_and_a_reward_is_answered_once_in_a_call() {
    let world = past_the_delay().await;
    let query =
        |reward: &str, conversion: &str| v1::PayoutQuery { reward_id: reward.to_owned(), conversion_id: conversion.to_owned() };
    let payouts = vec![query("r-cv-1", "cv-1"), query("r-x", "cv-1"), query("r-1", "nobody"), query("r-cv-1", "cv-1")];
    let request = v1::CheckPayoutsRequest { program_id: PROGRAM.to_owned(), payouts: payouts.clone() };
    let answers = world.payout().check_payouts(request).await.unwrap().into_inner().answers;
    let reasons: Vec<v1::GateReason> = answers.iter().map(v1::GateAnswer::reason).collect();
    let expected = [
        v1::GateReason::Cleared,
        v1::GateReason::UnknownReward,
        v1::GateReason::UnknownConversion,
        v1::GateReason::RepeatedInCall,
    ];
    assert_eq!(reasons, expected);
    let elsewhere = v1::CheckPayoutsRequest { program_id: "sandbox".to_owned(), payouts };
    let answers = world.payout().check_payouts(elsewhere).await.unwrap().into_inner().answers;
    assert!(answers.iter().all(|answer| answer.gate() == v1::Gate::Hold));
}

#[tokio::test]
async fn the_gate_never_releases_when_the_ledger_fails() {
    let world = past_the_delay().await;
    let query = v1::PayoutQuery { reward_id: "r-cv-1".to_owned(), conversion_id: "cv-1".to_owned() };
    let request = v1::CheckPayoutsRequest { program_id: PROGRAM.to_owned(), payouts: vec![query] };
    let faults = [
        (Fault::Fails(LedgerError::Damaged("a record".to_owned())), Code::DataLoss),
        (Fault::Fails(LedgerError::Unavailable("disk full".to_owned())), Code::Unavailable),
        (Fault::Panics, Code::Internal),
    ];
    for (fault, code) in faults {
        world.break_ledger(fault);
        assert_eq!(world.payout().check_payouts(request.clone()).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn at_most_a_thousand_questions_are_asked_at_once() {
    let world = World::start().await;
    let query = v1::PayoutQuery { reward_id: "r".to_owned(), conversion_id: "c".to_owned() };
    let ask = |count| v1::CheckPayoutsRequest { program_id: PROGRAM.to_owned(), payouts: vec![query.clone(); count] };
    assert_eq!(world.payout().check_payouts(ask(1_000)).await.unwrap().into_inner().answers.len(), 1_000);
    for count in [0, 1_001] {
        assert_eq!(violated(&world.payout().check_payouts(ask(count)).await.unwrap_err()), ["payouts"]);
    }
}

#[tokio::test]
async fn a_payment_is_final_and_recorded_once() {
    let world = past_the_delay().await;
    let paid = v1::MarkPaidRequest {
        program_id: PROGRAM.to_owned(),
        reward_id: "r-cv-1".to_owned(),
        conversion_id: "cv-1".to_owned(),
        paid_at: Some(at(NOON)),
        amount: Some(v1::Money { amount_minor: 2_000, currency: "EUR".to_owned() }),
        ..Default::default()
    };
    assert!(!world.payout().mark_paid(paid.clone()).await.unwrap().into_inner().replayed);
    assert!(world.payout().mark_paid(paid.clone()).await.unwrap().into_inner().replayed);
    assert_eq!(world.gate("r-cv-1", "cv-1").await.reason(), v1::GateReason::AlreadyPaid);
    let unknown = v1::MarkPaidRequest { conversion_id: "nobody".to_owned(), ..paid };
    let refused = world.payout().mark_paid(unknown).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NOT_KNOWN"));
}

#[tokio::test]
async fn a_hold_on_a_referrer_holds_all_of_his_until_it_is_lifted() {
    let world = past_the_delay().await;
    let place = v1::PlaceHoldRequest {
        program_id: PROGRAM.to_owned(),
        subject: on_referrer("ann"),
        note: "looking into it".to_owned(),
        ..Default::default()
    };
    assert!(!world.payout().place_hold(place.clone()).await.unwrap().into_inner().replayed);
    assert!(world.payout().place_hold(place).await.unwrap().into_inner().replayed);
    assert_eq!(world.gate("r-cv-1", "cv-1").await.reason(), v1::GateReason::ReferrerHeld);
    let listing = v1::ListHoldsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let holds = world.payout().list_holds(listing).await.unwrap().into_inner().holds;
    assert_eq!((holds.len(), holds[0].note.as_str()), (1, "looking into it"));
    let lift = v1::LiftHoldRequest {
        program_id: PROGRAM.to_owned(),
        subject: on_referrer("ann"),
        note: String::new(),
        ..Default::default()
    };
    assert!(!world.payout().lift_hold(lift).await.unwrap().into_inner().replayed);
    assert_eq!(world.gate("r-cv-1", "cv-1").await.gate(), v1::Gate::Release);
}

#[tokio::test]
async fn a_blocked_account_is_rejected_from_then_on() {
    let world = World::start().await;
    let subject = v1::ListSubject { subject: Some(v1::list_subject::Subject::AccountId("eve".to_owned())) };
    let entry = v1::ListEntry { list: v1::ListKind::Blocked.into(), subject: Some(subject.clone()), ..Default::default() };
    let put = v1::PutListEntryRequest { program_id: PROGRAM.to_owned(), entry: Some(entry), ..Default::default() };
    assert!(!world.list().put_list_entry(put.clone()).await.unwrap().into_inner().replayed);
    let decision = world.screen(conversion("cv-1", "eve", "bob")).await;
    assert_eq!(decision.verdict(), v1::Verdict::Rejected);
    let listing = v1::ListListEntriesRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    assert_eq!(world.list().list_list_entries(listing.clone()).await.unwrap().into_inner().entries.len(), 1);
    let remove = v1::RemoveListEntryRequest {
        program_id: PROGRAM.to_owned(),
        list: v1::ListKind::Blocked.into(),
        subject: Some(subject),
        note: String::new(),
        ..Default::default()
    };
    assert!(!world.list().remove_list_entry(remove).await.unwrap().into_inner().replayed);
    assert!(world.list().list_list_entries(listing).await.unwrap().into_inner().entries.is_empty());
}

#[tokio::test]
async fn a_reservation_is_answered_again_and_its_id_with_other_rewards_is_refused_by_name() {
    let world = past_the_delay().await;
    let wanted = |reward: &str| v1::PayoutWanted { reward_id: reward.to_owned(), conversion_id: "cv-1".to_owned(), amount: None };
    let reserve = |reward: &str| v1::ReservePayoutsRequest {
        program_id: PROGRAM.to_owned(),
        request_id: "run-1".to_owned(),
        payouts: vec![wanted(reward)],
        lifetime: None,
    };
    let first = world.payout().reserve_payouts(reserve("r-cv-1")).await.unwrap().into_inner();
    let again = world.payout().reserve_payouts(reserve("r-cv-1")).await.unwrap().into_inner();
    assert_eq!((again.replayed, &again.answers), (true, &first.answers));
    let refused = world.payout().reserve_payouts(reserve("r-x")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "CONTENT_DIFFERS"));
    assert_eq!(violated(&refused), ["request_id"]);

    let call =
        v1::CancelReservationRequest { program_id: PROGRAM.to_owned(), reservation_id: "run-1".to_owned(), ..Default::default() };
    world.payout().cancel_reservation(call).await.unwrap();
    let ended = world.payout().reserve_payouts(reserve("r-cv-1")).await.unwrap().into_inner();
    let gate = ended.answers[0].gate.clone().unwrap();
    assert_eq!((gate.gate(), gate.reason()), (v1::Gate::Hold, v1::GateReason::ReservationEnded));
    assert_eq!(ended.answers[0].reserved_until, None);
}

#[tokio::test]
async fn a_reward_that_was_paid_is_not_paid_for_another_conversion_or_another_amount() {
    let world = past_the_delay().await;
    world.screen(conversion("cv-2", "ann", "cleo")).await;
    let paid = |conversion: &str, amount_minor| v1::MarkPaidRequest {
        program_id: PROGRAM.to_owned(),
        reward_id: "r-cv-1".to_owned(),
        conversion_id: conversion.to_owned(),
        paid_at: Some(at(NOON)),
        amount: Some(v1::Money { amount_minor, currency: "EUR".to_owned() }),
        ..Default::default()
    };
    world.payout().mark_paid(paid("cv-1", 2_000)).await.unwrap();
    for (request, field) in [(paid("cv-2", 2_000), "conversion_id"), (paid("cv-1", 1_999), "amount")] {
        let refused = world.payout().mark_paid(request).await.unwrap_err();
        assert_eq!((refused.code(), violated(&refused)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
}
