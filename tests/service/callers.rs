//! Claims about what one caller may take: calls in a second, places, reads; and that no other is kept out by it.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use selfsame::ports::ledger::Ledger as _;
use selfsame::service::limits::{Limits, Pace};
use selfsame::vocabulary::time::Span;
use selfsame::wire::v1;
use selfsame::wire::v1::access_service_client::AccessServiceClient;
use selfsame::wire::v1::operations_service_client::OperationsServiceClient;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::access::{identity, token};
use crate::world::{Calls, Fault, PROGRAM, World, conversion, reason, retry_after};

const EVERYTHING: [v1::Role; 4] = [v1::Role::Screener, v1::Role::Payer, v1::Role::Lead, v1::Role::Admin];

/// A server with these limits, its administrator, and calls of two identities that may do everything.
async fn of_two(limits: Limits) -> (World, Calls, Calls) {
    let world = World::with_limits(limits).await;
    let nobody = world.calls_of("olga");
    identity(&nobody, "ops", &[v1::Role::Admin], &[]).await;
    let admin = world.calls_with(&token(&nobody, "ops").await.unwrap().secret);
    for name in ["anna", "ben"] {
        identity(&admin, name, &EVERYTHING, &[]).await;
    }
    let anna = world.calls_with(&token(&admin, "anna").await.unwrap().secret);
    let ben = world.calls_with(&token(&admin, "ben").await.unwrap().secret);
    (world, anna, ben)
}

fn pace(per_second: u32, burst: u32) -> Limits {
    let [per_second, burst] = [per_second, burst].map(|number| NonZeroU32::new(number).unwrap());
    Limits { pace: Some(Pace { per_second, burst }), ..Limits::default() }
}

async fn who_am_i(calls: &Calls) -> Result<(), Status> {
    AccessServiceClient::new(calls.clone()).who_am_i(v1::WhoAmIRequest {}).await.map(drop)
}

fn sent(id: &str) -> v1::ScreenConversionsRequest {
    v1::ScreenConversionsRequest { conversion: Some(conversion(id, "ann", id)) }
}

#[tokio::test]
async fn a_caller_that_calls_too_often_is_told_when_to_come_back_and_others_are_served() {
    let (_world, anna, ben) = of_two(pace(1, 5)).await;
    let mut refused = None;
    for _ in 0..100 {
        if let Err(status) = who_am_i(&anna).await {
            refused = Some(status);
            break;
        }
    }
    let refused = refused.unwrap();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "CALLER_TOO_FAST"));
    assert!(retry_after(&refused).unwrap() <= Duration::from_secs(1), "{refused:?}");
    who_am_i(&ben).await.unwrap();
}

#[tokio::test]
async fn conversions_of_a_stream_count_as_calls_and_wait_for_their_turn() {
    let (_world, anna, _ben) = of_two(pace(50, 20)).await;
    let began = Instant::now();
    let items = futures::stream::iter((0..60).map(|n| sent(&format!("cv-{n}"))));
    let answers = ScreeningServiceClient::new(anna).screen_conversions(items).await.unwrap().into_inner();
    let answers: Vec<_> = answers.map(Result::unwrap).collect().await;
    assert_eq!(answers.len(), 60, "none of them is refused");
    assert!(
        began.elapsed() >= Duration::from_millis(700),
        "{:?} for 60 of which 20 may come at once, at 50 a second",
        began.elapsed()
    );
}

#[tokio::test]
async fn one_caller_whose_items_wait_keeps_no_other_out_and_stalls_neither_backup_nor_retention() {
    let limits = Limits { in_flight_max: 4, streams_max: 6, reads_max: 2, ..Limits::default() };
    let (world, anna, ben) = of_two(limits).await;
    world.break_ledger(Fault::NeverAnswers);
    let mut open = Vec::new();
    let refused = loop {
        let (sender, items) = mpsc::channel(8);
        for n in 0..4 {
            sender.send(sent(&format!("cv-{}-{n}", open.len()))).await.unwrap();
        }
        match ScreeningServiceClient::new(anna.clone()).screen_conversions(ReceiverStream::new(items)).await {
            Ok(answers) => open.push((sender, answers)),
            Err(refused) => break refused,
        }
    };
    assert_eq!((open.len(), reason(&refused).as_str()), (3, "CALLER_BUSY"));
    world.ledger.stuck.notified().await;
    // Somebody else calls, reads and streams.
    who_am_i(&ben).await.unwrap();
    let holds = v1::ListHoldsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    PayoutServiceClient::new(ben.clone()).list_holds(holds).await.unwrap();
    let watch = v1::WatchDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let watching = PayoutServiceClient::new(ben.clone()).watch_decisions(watch).await.unwrap();
    let backup = OperationsServiceClient::new(ben).stream_backup(v1::StreamBackupRequest {}).await.unwrap().into_inner();
    let told: Vec<_> = backup.collect().await;
    assert!(
        told.last().is_some_and(|last| last.as_ref().is_err_and(|status| status.code() == Code::FailedPrecondition)),
        "a ledger in memory says itself that it keeps nothing: {told:?}"
    );
    assert_eq!(
        world.ledger.forget_older_than(Some(Span::from_days(90)), selfsame::ports::clock::Clock::now(&*world.clock)),
        Ok(0)
    );
    drop((open, watching));
}

#[tokio::test]
async fn a_name_that_cannot_be_one_is_refused_without_another_look_at_who_there_is() {
    let world = World::start().await;
    let began = Instant::now();
    for _ in 0..20 {
        let mut request = tonic::Request::new(v1::WhoAmIRequest {});
        request.metadata_mut().insert("selfsame-actor", "two words".parse().unwrap());
        let mut access = AccessServiceClient::new(world.channel.clone());
        assert_eq!(access.who_am_i(request).await.unwrap_err().code(), Code::InvalidArgument);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}: each look waits for a fifth of a second", began.elapsed());
}

#[tokio::test]
async fn a_caller_that_asks_about_one_person_again_and_again_is_slowed_however_it_asks() {
    let limits = Limits { asks_about_one: NonZeroU32::new(5), ..Limits::default() };
    let (_world, anna, ben) = of_two(limits).await;
    let mut screening = ScreeningServiceClient::new(anna.clone());
    // One instrument under ever new accounts, until an answer pleases.
    let paid_with = |id: &str, byte: u8| {
        let mut sent = conversion(id, "ann", id);
        let instrument = crate::world::digest(byte);
        let payment = v1::PaymentSignals {
            instrument,
            kind: v1::PaymentKind::Card.into(),
            purpose: v1::PaymentPurpose::Billing.into(),
            ..Default::default()
        };
        sent.referee.as_mut().unwrap().payments.push(payment);
        v1::ScreenConversionRequest { conversion: Some(sent) }
    };
    for n in 0..5 {
        screening.screen_conversion(paid_with(&format!("cv-{n}"), 7)).await.unwrap();
    }
    let refused = screening.screen_conversion(paid_with("cv-5", 7)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "ASKED_TOO_OFTEN"));
    assert!(retry_after(&refused).unwrap() <= Duration::from_secs(120), "{refused:?}");
    let items = futures::stream::iter(
        [paid_with("cv-6", 7)].map(|request| v1::ScreenConversionsRequest { conversion: request.conversion }),
    );
    let mut answers = screening.screen_conversions(items).await.unwrap().into_inner();
    let Some(v1::screen_conversions_response::Result::Error(error)) = answers.message().await.unwrap().unwrap().result else {
        panic!("a stream does not get around it")
    };
    assert_eq!(error.reason, "ASKED_TOO_OFTEN");
    screening.screen_conversion(paid_with("cv-7", 8)).await.unwrap();
    // Looking at one account's decision counts too: it was screened once before.
    let wanted =
        || v1::GetDecisionRequest { program_id: PROGRAM.to_owned(), conversion_id: "cv-7".to_owned(), ..Default::default() };
    let mut looked = Vec::new();
    for _ in 0..6 {
        looked.push(screening.get_decision(wanted()).await.map_err(|status| reason(&status)).map(drop));
    }
    assert_eq!(looked.iter().filter(|looked| looked.is_ok()).count(), 4, "{looked:?}");
    assert_eq!(looked.last().unwrap().clone().unwrap_err(), "ASKED_TOO_OFTEN");
    ScreeningServiceClient::new(ben).get_decision(wanted()).await.unwrap();
}
