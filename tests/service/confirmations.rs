//! What a programme asks a second identity for, and which key ids it takes, over the socket; and access tokens.

use std::collections::BTreeMap;

use selfsame::vocabulary::time::Span;
use selfsame::wire::v1;
use selfsame::wire::v1::access_service_client::AccessServiceClient;
use selfsame::wire::v1::confirmation_service_client::ConfirmationServiceClient;
use selfsame::wire::v1::list_service_client::ListServiceClient;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::program_service_client::ProgramServiceClient;
use selfsame::wire::v1::review_service_client::ReviewServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tonic::Code;

use crate::access::{identity, token};
use crate::world::{Calls, NOON, PROGRAM, World, at, conversion, on_one_device, reason, violated};

/// A server whose programme has these settings, and calls by the name of who makes them.
pub(crate) async fn with_settings(change: impl FnOnce(&mut v1::Program)) -> (World, BTreeMap<&'static str, Calls>) {
    let world = World::start().await;
    let nobody = world.calls_of("olga");
    identity(&nobody, "ops", &[v1::Role::Admin], &[]).await;
    let admin = world.calls_with(&token(&nobody, "ops").await.unwrap().secret);
    let mut program =
        v1::Program { program_id: PROGRAM.to_owned(), stage: v1::ProgramStage::Production.into(), ..v1::Program::default() };
    change(&mut program);
    let update = v1::UpdateProgramRequest { program: Some(program) };
    ProgramServiceClient::new(admin.clone()).update_program(update).await.unwrap();
    let mut calls = BTreeMap::new();
    for (name, roles) in [
        ("backend", &[v1::Role::Screener][..]),
        ("rita", &[v1::Role::Reviewer]),
        ("lena", &[v1::Role::Lead]),
        ("lars", &[v1::Role::Lead]),
        ("pia", &[v1::Role::Payer]),
    ] {
        identity(&admin, name, roles, &[PROGRAM]).await;
        calls.insert(name, world.calls_with(&token(&admin, name).await.unwrap().secret));
    }
    calls.insert("ops", admin);
    (world, calls)
}

fn asks_for_everything(program: &mut v1::Program) {
    let above = vec![v1::Money { amount_minor: 10_000, currency: "EUR".to_owned() }];
    program.confirmation = Some(v1::Confirmation { above, unbans: true, models: true, terms: true, expires_after: None });
}

fn confirm(id: &str) -> v1::ConfirmActRequest {
    v1::ConfirmActRequest { program_id: PROGRAM.to_owned(), act_id: id.to_owned(), ..Default::default() }
}

async fn waiting(calls: &Calls) -> Vec<v1::PendingAct> {
    let request = v1::ListPendingActsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    ConfirmationServiceClient::new(calls.clone()).list_pending_acts(request).await.unwrap().into_inner().acts
}

#[tokio::test]
async fn a_case_above_the_amount_is_accepted_by_two_who_could_each_accept_it() {
    let (_world, calls) = with_settings(asks_for_everything).await;
    let mut sent = on_one_device("cv-1", "dan", "joe", 5);
    sent.rewards[0].amount = Some(v1::Money { amount_minor: 20_000, currency: "EUR".to_owned() });
    let request = v1::ScreenConversionRequest { conversion: Some(sent) };
    ScreeningServiceClient::new(calls["backend"].clone()).screen_conversion(request).await.unwrap();
    let accept = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: "case-cv-1".to_owned(),
        resolution: v1::Resolution::Accept.into(),
        note: "a couple".to_owned(),
        ..Default::default()
    };
    let answer = ReviewServiceClient::new(calls["rita"].clone()).resolve_case(accept).await.unwrap().into_inner();
    let pending = answer.pending_act.unwrap();
    assert_eq!(answer.summary.unwrap().state(), v1::CaseState::Open, "nothing was done");
    assert_eq!((answer.decision.unwrap().verdict(), pending.kind()), (v1::Verdict::InReview, v1::ActKind::AcceptCase));
    assert_eq!((&*pending.proposer, &*pending.subject, &*pending.note), ("rita", "case-cv-1", "a couple"));
    assert_eq!(waiting(&calls["lena"]).await, std::slice::from_ref(&pending));
    let settle =
        async |name: &str| ConfirmationServiceClient::new(calls[name].clone()).confirm_act(confirm(&pending.act_id)).await;
    let own = settle("rita").await.unwrap_err();
    assert_eq!((own.code(), reason(&own).as_str()), (Code::FailedPrecondition, "OWN_ACT"));
    // A payer may confirm what a payer may do, and accepting a case is not that.
    let other = settle("pia").await.unwrap_err();
    assert_eq!((other.code(), reason(&other).as_str()), (Code::PermissionDenied, "NOT_PERMITTED"));
    settle("lena").await.unwrap();
    assert!(waiting(&calls["lena"]).await.is_empty());
    let wanted =
        v1::GetDecisionRequest { program_id: PROGRAM.to_owned(), conversion_id: "cv-1".to_owned(), ..Default::default() };
    let decision = ScreeningServiceClient::new(calls["rita"].clone()).get_decision(wanted).await.unwrap().into_inner();
    assert_eq!(decision.decision.unwrap().verdict(), v1::Verdict::Approved);
}

#[tokio::test]
async fn an_entry_of_the_block_list_a_hold_and_a_ban_go_by_two() {
    let (_world, calls) = with_settings(asks_for_everything).await;
    let mut lists = ListServiceClient::new(calls["lena"].clone());
    let subject = || Some(v1::ListSubject { subject: Some(v1::list_subject::Subject::AccountId("zoe".to_owned())) });
    let entry = v1::ListEntry { list: v1::ListKind::Blocked.into(), subject: subject(), ..Default::default() };
    let put = v1::PutListEntryRequest { program_id: PROGRAM.to_owned(), entry: Some(entry), ..Default::default() };
    assert_eq!(lists.put_list_entry(put).await.unwrap().into_inner().pending_act, None);
    let remove = v1::RemoveListEntryRequest {
        program_id: PROGRAM.to_owned(),
        list: v1::ListKind::Blocked.into(),
        subject: subject(),
        ..Default::default()
    };
    assert!(lists.remove_list_entry(remove).await.unwrap().into_inner().pending_act.is_some());
    let mut payout = PayoutServiceClient::new(calls["pia"].clone());
    let subject = || Some(v1::HoldSubject { subject: Some(v1::hold_subject::Subject::ReferrerAccountId("zoe".to_owned())) });
    let place = v1::PlaceHoldRequest { program_id: PROGRAM.to_owned(), subject: subject(), ..Default::default() };
    payout.place_hold(place).await.unwrap();
    let lift = v1::LiftHoldRequest { program_id: PROGRAM.to_owned(), subject: subject(), ..Default::default() };
    assert!(payout.lift_hold(lift).await.unwrap().into_inner().pending_act.is_some());
    let mut screening = ScreeningServiceClient::new(calls["backend"].clone());
    let mut told = Vec::new();
    for (id, kind) in [("ban", v1::OutcomeKind::AccountBanned), ("unban", v1::OutcomeKind::AccountUnbanned)] {
        let subject = Some(v1::outcome::Subject::AccountId("zoe".to_owned()));
        let outcome = v1::Outcome { kind: kind.into(), subject, occurred_at: Some(at(NOON - 30)), ..Default::default() };
        let (program_id, outcome_id, outcome) = (PROGRAM.to_owned(), id.to_owned(), Some(outcome));
        let record = v1::RecordOutcomeRequest { program_id, outcome_id, outcome };
        told.push(screening.record_outcome(record).await.unwrap().into_inner().pending_act.is_some());
    }
    assert_eq!(told, [false, true]);
    let waits = waiting(&calls["lars"]).await;
    let kinds: Vec<_> = waits.iter().map(v1::PendingAct::kind).collect();
    assert_eq!(kinds, [v1::ActKind::RemoveListEntry, v1::ActKind::LiftHold, v1::ActKind::RecordOutcome]);
    let mut lars = ConfirmationServiceClient::new(calls["lars"].clone());
    for act in &waits {
        lars.confirm_act(confirm(&act.act_id)).await.unwrap();
    }
    let listed = v1::ListListEntriesRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    assert!(lists.list_list_entries(listed).await.unwrap().into_inner().entries.is_empty());
    let held = v1::ListHoldsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    assert!(payout.list_holds(held).await.unwrap().into_inner().holds.is_empty());
}

#[tokio::test]
async fn a_programme_that_names_its_keys_takes_no_digest_under_another() {
    let (_world, calls) = with_settings(|program| program.key_ids = vec!["k0".to_owned(), "k1".to_owned()]).await;
    let mut screening = ScreeningServiceClient::new(calls["backend"].clone());
    let mut sent = conversion("cv-1", "ann", "ben");
    screening.screen_conversion(v1::ScreenConversionRequest { conversion: Some(sent.clone()) }).await.unwrap();
    sent.conversion_id = "cv-2".to_owned();
    sent.referee.as_mut().unwrap().emails[0].mailbox[0].key_id = "k9".to_owned();
    let refused = screening.screen_conversion(v1::ScreenConversionRequest { conversion: Some(sent) }).await.unwrap_err();
    assert_eq!((refused.code(), violated(&refused)), (Code::InvalidArgument, vec!["conversion.referee".to_owned()]));
    assert!(refused.message().contains("`k9`") && refused.message().contains("k0, k1"), "{}", refused.message());
    let mut bundle = conversion("cv-3", "ann", "ben").referee.unwrap();
    bundle.emails[0].mailbox[0].key_id = "k9".to_owned();
    let (program_id, record_id) = (PROGRAM.to_owned(), "s-1".to_owned());
    let signals = v1::RecordSignalsRequest { program_id, record_id, bundles: vec![bundle] };
    assert_eq!(violated(&screening.record_signals(signals).await.unwrap_err()), ["bundles[0]"]);
}

#[tokio::test]
async fn an_access_token_lets_in_whom_its_token_lets_in_for_its_time_and_no_longer_than_that_one() {
    let (world, calls) = with_settings(|_| ()).await;
    let lasting = token(&calls["ops"], "rita").await.unwrap();
    let mut access = AccessServiceClient::new(world.calls_with(&lasting.secret));
    let made = access.make_access_token(v1::MakeAccessTokenRequest { lifetime: None }).await.unwrap().into_inner();
    assert!(made.secret.starts_with("selfsame_at_"), "{}", made.secret);
    assert_eq!((made.token_id, made.expires_at), (lasting.token.clone().unwrap().token_id, Some(at(NOON + 900))));
    let skew = Span::from_seconds(made.clock_skew.unwrap().seconds);
    let short = world.calls_with(&made.secret);
    let who = async || {
        let answer = AccessServiceClient::new(short.clone()).who_am_i(v1::WhoAmIRequest {}).await;
        answer.map(|answer| answer.into_inner().identity.unwrap().name)
    };
    assert_eq!(who().await.unwrap(), "rita");
    let records = async || world.ledger_records().await;
    let before = records().await;
    let refused = AccessServiceClient::new(short.clone())
        .make_access_token(v1::MakeAccessTokenRequest { lifetime: None })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "an access token makes no other");
    world.clock.forward(Span::from_minutes(15));
    assert_eq!(who().await.unwrap(), "rita", "clocks may differ");
    world.clock.forward(skew);
    let ended = who().await.unwrap_err();
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Unauthenticated, "NOT_AUTHENTICATED"));
    assert!(ended.message().contains("30 seconds"), "{}", ended.message());
    assert_eq!(records().await, before, "nothing of it is written");
    let again = access.make_access_token(v1::MakeAccessTokenRequest { lifetime: None }).await.unwrap().into_inner().secret;
    let again = AccessServiceClient::new(world.calls_with(&again));
    again.clone().who_am_i(v1::WhoAmIRequest {}).await.unwrap();
    let revoke = v1::RevokeTokenRequest { token_id: lasting.token.unwrap().token_id };
    AccessServiceClient::new(calls["ops"].clone()).revoke_token(revoke).await.unwrap();
    assert_eq!(again.clone().who_am_i(v1::WhoAmIRequest {}).await.unwrap_err().code(), Code::Unauthenticated);
    let long = v1::MakeAccessTokenRequest { lifetime: Some(pbjson_types::Duration { seconds: 13 * 3_600, nanos: 0 }) };
    let mut rita = AccessServiceClient::new(calls["rita"].clone());
    assert_eq!(violated(&rita.make_access_token(long).await.unwrap_err()), ["lifetime"]);
}
