//! Screening, signals and outcomes over the socket.

use futures::StreamExt;
use selfsame::wire::v1;
use tonic::Code;

use crate::world::{NOON, PROGRAM, World, at, conversion, digest, on_one_device, reason, violated};

#[tokio::test]
async fn a_retry_gets_the_same_decision_and_other_content_a_clear_refusal() {
    let world = World::start().await;
    let request = v1::ScreenConversionRequest { conversion: Some(conversion("cv-1", "ann", "bob")) };
    let first = world.screening().screen_conversion(request.clone()).await.unwrap().into_inner();
    let again = world.screening().screen_conversion(request).await.unwrap().into_inner();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.decision, again.decision);
    assert_eq!(first.decision.unwrap().verdict(), v1::Verdict::Approved);

    let other = v1::ScreenConversionRequest { conversion: Some(conversion("cv-1", "ann", "zoe")) };
    let refused = world.screening().screen_conversion(other).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "CONTENT_DIFFERS"));
}

#[tokio::test]
async fn racing_retries_get_one_answer_and_one_of_them_made_it() {
    let world = World::start().await;
    let calls = (0..32).map(|_| {
        let mut client = world.screening();
        let request = v1::ScreenConversionRequest { conversion: Some(conversion("cv-1", "ann", "bob")) };
        async move { client.screen_conversion(request).await.unwrap().into_inner() }
    });
    let answers = futures::future::join_all(calls).await;
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.windows(2).all(|pair| pair[0].decision == pair[1].decision));
}

#[tokio::test]
async fn conversions_that_race_on_one_device_are_never_both_the_first() {
    let world = World::start().await;
    let calls = (0..40_u8).map(|n| {
        let mut client = world.screening();
        let mut sent = conversion(&format!("cv-{n}"), &format!("referrer-{n}"), &format!("referee-{n}"));
        let device = v1::DeviceSignals { fingerprint: digest(9), ..Default::default() };
        sent.referee.as_mut().unwrap().devices = vec![device];
        async move { client.screen_conversion(v1::ScreenConversionRequest { conversion: Some(sent) }).await.unwrap() }
    });
    futures::future::join_all(calls).await;
    let mut crowds = Vec::new();
    for n in 0..40 {
        let request = v1::GetDecisionRequest {
            program_id: PROGRAM.to_owned(),
            conversion_id: format!("cv-{n}"),
            view: Some(v1::DecisionView::Full.into()),
        };
        let v1::GetDecisionResponse { evidence, features, .. } =
            world.screening().get_decision(request).await.unwrap().into_inner();
        let feature = features.iter().find(|feature| feature.name == "device.crowded.strength").unwrap();
        let crowded = evidence.into_iter().find(|evidence| evidence.code == "device.crowded").unwrap();
        let Some(v1::evidence::Measure::Accounts(accounts)) = crowded.measure else { panic!("{crowded:?}") };
        assert_eq!(feature.value.to_bits(), crowded.strength.to_bits());
        crowds.push(accounts);
    }
    crowds.sort_unstable();
    assert_eq!(crowds, (0..40).collect::<Vec<u64>>());
}

#[tokio::test]
async fn what_cannot_be_compared_is_held_and_the_answer_says_why() {
    let world = World::start().await;
    let mut bare = conversion("cv-1", "ann", "bob");
    bare.referrer.as_mut().unwrap().emails.clear();
    bare.referee.as_mut().unwrap().emails.clear();
    let decision = world.screen(bare).await;
    assert_eq!((decision.verdict(), decision.reasons[0].code.as_str()), (v1::Verdict::InReview, "signals.incomparable"));
    assert_eq!(world.gate("r-cv-1", "cv-1").await.gate(), v1::Gate::Hold);

    let mut apart = conversion("cv-2", "cid", "dan");
    apart.referee.as_mut().unwrap().emails[0].mailbox[0].key_id = "k2".to_owned();
    let request = v1::ScreenConversionRequest { conversion: Some(apart) };
    let answer = world.screening().screen_conversion(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.decision.as_ref().unwrap().reasons[0].code, "signals.incomparable");
    let told: Vec<_> = answer.warnings.iter().map(|warning| (warning.code.as_str(), warning.field.as_str())).collect();
    assert_eq!(told, [("signals.keys_differ", "conversion.referee.emails.mailbox")]);
    let again = world.screening().screen_conversion(request).await.unwrap().into_inner();
    assert_eq!((again.replayed, again.warnings, again.decision), (true, answer.warnings, answer.decision));

    let view = Some(v1::DecisionView::Full.into());
    let wanted = v1::GetDecisionRequest { program_id: PROGRAM.to_owned(), conversion_id: "cv-2".to_owned(), view };
    let full = world.screening().get_decision(wanted).await.unwrap().into_inner();
    let compared: Vec<_> = full.comparable.iter().map(|signal| (signal.kind.as_str(), signal.comparison())).collect();
    assert_eq!(compared, [("emails.mailbox", v1::SignalComparison::KeysDiffer)]);
    assert_eq!(
        (&*full.comparable[0].referrer_key_ids, &*full.comparable[0].referee_key_ids),
        (&["k1".to_owned()][..], &["k2".to_owned()][..])
    );
    let parts = full.decision.as_ref().unwrap().score_parts.clone().unwrap();
    let sum = parts.base_log_odds + parts.contributions.iter().map(|part| part.log_odds).sum::<f64>() + parts.rest_log_odds;
    let score = full.decision.unwrap().score;
    assert!((sum - (score / (1.0 - score)).ln()).abs() < 1e-9);
}

#[tokio::test]
async fn a_soft_signal_that_is_wrong_refuses_no_money() {
    let world = World::start().await;
    let device =
        v1::DeviceSignals { fingerprint: digest(7), user_agent: "x".repeat(600), screen_width_px: 7, ..Default::default() };
    let mut sent = conversion("cv-1", "ann", "bob");
    sent.referee.as_mut().unwrap().devices = vec![device.clone()];
    let request = v1::ScreenConversionRequest { conversion: Some(sent) };
    let answer = world.screening().screen_conversion(request).await.unwrap().into_inner();
    assert_eq!(answer.decision.unwrap().verdict(), v1::Verdict::Approved);
    let codes = |warnings: &[v1::Warning]| warnings.iter().map(|warning| warning.code.clone()).collect::<Vec<_>>();
    assert_eq!(codes(&answer.warnings), ["field.cut", "field.ignored"]);
    assert_eq!(answer.warnings[0].field, "conversion.referee.devices[0].user_agent");

    let bundle = v1::SignalBundle { account_id: "ann".to_owned(), devices: vec![device], ..Default::default() };
    let signals = v1::RecordSignalsRequest { program_id: PROGRAM.to_owned(), record_id: "s-1".to_owned(), bundles: vec![bundle] };
    let taken = world.screening().record_signals(signals).await.unwrap().into_inner();
    assert_eq!(codes(&taken.warnings), ["field.cut", "field.ignored"]);
}

#[tokio::test]
async fn every_violation_is_named_at_once_and_nothing_is_kept() {
    let world = World::start().await;
    let mut sent = conversion("bad", "jane@example.org", "bob");
    sent.kind = 0;
    sent.occurred_at = Some(at(NOON + 3_600));
    sent.referee.as_mut().unwrap().devices = vec![v1::DeviceSignals {
        fingerprint: vec![v1::Digest { key_id: "k1".to_owned(), value: vec![1; 31].into() }],
        ..Default::default()
    }];
    let request = v1::ScreenConversionRequest { conversion: Some(sent) };
    let refused = world.screening().screen_conversion(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let expected = [
        "conversion.kind",
        "conversion.occurred_at",
        "conversion.referrer.account_id",
        "conversion.referee.devices[0].fingerprint[0].value",
    ];
    assert_eq!(violated(&refused), expected);

    let wanted = v1::GetDecisionRequest { program_id: PROGRAM.to_owned(), conversion_id: "bad".to_owned(), view: None };
    assert_eq!(world.screening().get_decision(wanted).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn a_message_with_a_thousand_violations_is_still_answered_and_counts_what_it_left_out() {
    let world = World::start().await;
    let mut sent = conversion("bad", "ann", "bob");
    sent.referee.as_mut().unwrap().journey.as_mut().unwrap().touchpoints = vec![v1::Touchpoint::default(); 1_000];
    let request = v1::ScreenConversionRequest { conversion: Some(sent) };
    let refused = world.screening().screen_conversion(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let fields = violated(&refused);
    assert!(fields.len() > 10 && fields.last().unwrap().is_empty(), "{}", fields.len());
}

#[tokio::test]
async fn a_bad_conversion_in_a_stream_fails_alone_and_the_order_is_kept() {
    let world = World::start().await;
    let requests = (0..100).map(|n| {
        let id = format!("cv-{n}");
        let sent = if n == 50 {
            v1::Conversion { conversion_id: id, ..Default::default() }
        } else {
            conversion(&id, "ann", &format!("new-{n}"))
        };
        v1::ScreenConversionsRequest { conversion: Some(sent) }
    });
    let stream = world.screening().screen_conversions(futures::stream::iter(requests)).await.unwrap().into_inner();
    let answers: Vec<v1::ScreenConversionsResponse> = stream.map(Result::unwrap).collect().await;
    assert_eq!(answers.iter().map(|answer| answer.position).collect::<Vec<u64>>(), (0..100).collect::<Vec<u64>>());
    let failed: Vec<&v1::ScreenConversionsResponse> = answers
        .iter()
        .filter(|answer| matches!(answer.result, Some(v1::screen_conversions_response::Result::Error(_))))
        .collect();
    let [only] = failed.as_slice() else { panic!("{} failed", failed.len()) };
    let Some(v1::screen_conversions_response::Result::Error(error)) = &only.result else { panic!("no error") };
    assert_eq!((only.conversion_id.as_str(), error.code, error.reason.as_str()), ("cv-50", 3, "INVALID_FIELDS"));
    assert!(error.violations.iter().any(|violation| violation.field == "conversion.program_id"));
}

#[tokio::test]
async fn decisions_are_listed_page_by_page_and_a_token_fits_no_other_listing() {
    let world = World::start().await;
    for n in 0..5 {
        world.screen(conversion(&format!("cv-{n}"), "ann", &format!("new-{n}"))).await;
    }
    let mut request = v1::ListDecisionsRequest { program_id: PROGRAM.to_owned(), page_size: 2, ..Default::default() };
    let mut seen = Vec::new();
    loop {
        let page = world.screening().list_decisions(request.clone()).await.unwrap().into_inner();
        seen.extend(page.decisions.into_iter().map(|decision| decision.conversion_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(seen, ["cv-4", "cv-3", "cv-2", "cv-1", "cv-0"]);
    request.referrer_account_id = "ann".to_owned();
    let refused = world.screening().list_decisions(request).await.unwrap_err();
    assert_eq!(violated(&refused), ["page_token"]);
}

#[tokio::test]
async fn signals_and_outcomes_are_taken_once() {
    let world = World::start().await;
    let device = v1::DeviceSignals { fingerprint: digest(3), ..Default::default() };
    let bundle = v1::SignalBundle { account_id: "ann".to_owned(), devices: vec![device], ..Default::default() };
    let signals = v1::RecordSignalsRequest { program_id: PROGRAM.to_owned(), record_id: "s-1".to_owned(), bundles: vec![bundle] };
    assert!(!world.screening().record_signals(signals.clone()).await.unwrap().into_inner().replayed);
    assert!(world.screening().record_signals(signals).await.unwrap().into_inner().replayed);

    // What was recorded of the referrer counts, though the conversion does not send it.
    let mut sent = on_one_device("cv-1", "ann", "bob", 3);
    sent.referrer.as_mut().unwrap().devices.clear();
    assert_eq!(world.screen(sent).await.verdict(), v1::Verdict::InReview);

    let outcome = v1::RecordOutcomeRequest {
        program_id: PROGRAM.to_owned(),
        outcome_id: "o-1".to_owned(),
        outcome: Some(v1::Outcome {
            kind: v1::OutcomeKind::Chargeback.into(),
            subject: Some(v1::outcome::Subject::ConversionId("cv-1".to_owned())),
            occurred_at: Some(at(NOON)),
            amount: None,
            ..Default::default()
        }),
    };
    assert!(!world.screening().record_outcome(outcome.clone()).await.unwrap().into_inner().replayed);
    assert!(world.screening().record_outcome(outcome).await.unwrap().into_inner().replayed);
    assert_eq!(world.gate("r-cv-1", "cv-1").await.reason(), v1::GateReason::Cancelled);
}

#[tokio::test]
async fn one_programme_knows_nothing_of_another() {
    let world = World::start().await;
    world.screen(conversion("cv-1", "ann", "bob")).await;
    let wanted = v1::GetDecisionRequest { program_id: "sandbox".to_owned(), conversion_id: "cv-1".to_owned(), view: None };
    assert_eq!(reason(&world.screening().get_decision(wanted).await.unwrap_err()), "NOT_KNOWN");
}
