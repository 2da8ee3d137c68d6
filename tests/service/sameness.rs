//! Retries: what means the same is answered as at first, and what does not is refused with its fields, over the socket.

use selfsame::wire::v1;
use tonic::{Code, Status};

use crate::world::{NOON, PROGRAM, World, at, conversion, digest, on_one_device, reason, violated};

async fn screened(world: &World, sent: v1::Conversion) -> Result<v1::ScreenConversionResponse, Status> {
    let request = v1::ScreenConversionRequest { conversion: Some(sent) };
    world.screening().screen_conversion(request).await.map(tonic::Response::into_inner)
}

fn reward(id: &str, cents: i64) -> v1::Reward {
    let amount = Some(v1::Money { amount_minor: cents, currency: "EUR".to_owned() });
    v1::Reward { reward_id: id.to_owned(), beneficiary: v1::Side::Referrer.into(), amount }
}

#[tokio::test]
async fn a_retry_in_another_form_is_the_same_message() {
    let world = World::start().await;
    let mut sent = on_one_device("cv-1", "ann", "bob", 3);
    sent.rewards = vec![reward("rw-1", 2_000), reward("rw-2", 500)];
    let first = screened(&world, sent.clone()).await.unwrap();
    sent.rewards.reverse();
    sent.referee_standing = Some(v1::RefereeStanding::New.into());
    sent.referee.as_mut().unwrap().journey.as_mut().unwrap().touchpoints.reverse();
    sent.referee.as_mut().unwrap().journey.as_mut().unwrap().touchpoint_count_total = Some(2);
    sent.referrer.as_mut().unwrap().journey = Some(v1::Journey::default());
    let again = screened(&world, sent).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.decision, first.decision);
}

#[tokio::test]
async fn a_retry_of_another_meaning_is_refused_and_its_fields_are_named() {
    let world = World::start().await;
    let mut sent = conversion("cv-1", "ann", "bob");
    sent.rewards = vec![reward("rw-1", 2_000), reward("rw-2", 500)];
    screened(&world, sent.clone()).await.unwrap();
    sent.rewards = vec![reward("rw-2", 500), reward("rw-1", 2_500)];
    let refused = screened(&world, sent.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "CONTENT_DIFFERS"));
    assert_eq!(violated(&refused), ["conversion.rewards[1].amount.amount_minor"]);
    assert!(refused.message().contains("`conversion.rewards[1].amount.amount_minor` differs"), "{}", refused.message());

    // In a stream as well, and with the other side's fields.
    sent.rewards.reverse();
    sent.rewards[0] = reward("rw-1", 2_000);
    sent.referee.as_mut().unwrap().payments =
        vec![v1::PaymentSignals { instrument: digest(9), kind: 1, purpose: 1, ..Default::default() }];
    let request = v1::ScreenConversionsRequest { conversion: Some(sent) };
    let mut stream = world.screening().screen_conversions(futures::stream::iter([request])).await.unwrap().into_inner();
    let answer = stream.message().await.unwrap().unwrap();
    let Some(v1::screen_conversions_response::Result::Error(error)) = answer.result else { panic!("it was taken") };
    assert_eq!((error.code, error.reason.as_str()), (6, "CONTENT_DIFFERS"));
    assert_eq!(error.violations[0].field, "conversion.referee.payments");
}

#[tokio::test]
async fn what_was_cut_or_ignored_of_a_message_is_no_difference() {
    let world = World::start().await;
    let mut sent = conversion("cv-1", "ann", "bob");
    sent.rewards = vec![reward("rw-1", 2_000)];
    let device = v1::DeviceSignals { fingerprint: digest(7), user_agent: "x".repeat(600), ..Default::default() };
    sent.referee.as_mut().unwrap().devices = vec![device.clone()];
    screened(&world, sent.clone()).await.unwrap();
    sent.rewards = vec![reward("rw-1", 2_500)];
    let refused = screened(&world, sent).await.unwrap_err();
    assert_eq!(violated(&refused), ["conversion.rewards[0].amount.amount_minor"]);

    let signals = |byte| {
        let devices = vec![v1::DeviceSignals { fingerprint: digest(byte), ..device.clone() }];
        let bundles = vec![v1::SignalBundle { account_id: "ann".to_owned(), devices, ..Default::default() }];
        v1::RecordSignalsRequest { program_id: PROGRAM.to_owned(), record_id: "s-1".to_owned(), bundles }
    };
    world.screening().record_signals(signals(1)).await.unwrap();
    let refused = world.screening().record_signals(signals(2)).await.unwrap_err();
    assert_eq!(violated(&refused), ["bundles[0].devices[0].fingerprint[0].value"]);
}

#[tokio::test]
async fn signals_and_outcomes_of_another_meaning_are_refused_with_their_fields() {
    let world = World::start().await;
    screened(&world, conversion("cv-1", "ann", "bob")).await.unwrap();
    let of = |account: &str, byte| v1::SignalBundle {
        account_id: account.to_owned(),
        devices: vec![v1::DeviceSignals { fingerprint: digest(byte), ..Default::default() }],
        ..Default::default()
    };
    let signals = |bundles| v1::RecordSignalsRequest { program_id: PROGRAM.to_owned(), record_id: "s-1".to_owned(), bundles };
    let first = world.screening().record_signals(signals(vec![of("ann", 1), of("bob", 2)])).await.unwrap().into_inner();
    let again = world.screening().record_signals(signals(vec![of("bob", 2), of("ann", 1)])).await.unwrap().into_inner();
    assert_eq!((again.replayed, again.cursor), (true, first.cursor));
    let refused = world.screening().record_signals(signals(vec![of("bob", 3), of("ann", 1)])).await.unwrap_err();
    assert_eq!(reason(&refused), "CONTENT_DIFFERS");
    assert_eq!(violated(&refused), ["bundles[0].devices[0].fingerprint[0].value"]);

    let outcome = |kind: v1::OutcomeKind, nanos| v1::RecordOutcomeRequest {
        program_id: PROGRAM.to_owned(),
        outcome_id: "o-1".to_owned(),
        outcome: Some(v1::Outcome {
            kind: kind.into(),
            subject: Some(v1::outcome::Subject::ConversionId("cv-1".to_owned())),
            occurred_at: Some(selfsame::wire::WireTimestamp { nanos, ..at(NOON) }),
            amount: None,
            ..Default::default()
        }),
    };
    let recorded = world.screening().record_outcome(outcome(v1::OutcomeKind::Chargeback, 0)).await.unwrap().into_inner();
    let again = world.screening().record_outcome(outcome(v1::OutcomeKind::Chargeback, 999)).await.unwrap().into_inner();
    assert_eq!((again.replayed, again.cursor), (true, recorded.cursor));
    let refused = world.screening().record_outcome(outcome(v1::OutcomeKind::ChargeRefunded, 0)).await.unwrap_err();
    assert_eq!(violated(&refused), ["outcome.kind"]);
}
