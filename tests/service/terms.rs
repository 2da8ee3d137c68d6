//! Terms of a programme and a change of its key, over the socket.

use selfsame::adapters::policy_file::{SHIPPED_POLICY, hash_of};
use selfsame::wire::v1;
use selfsame::wire::v1::confirmation_service_client::ConfirmationServiceClient;
use selfsame::wire::v1::program_service_client::ProgramServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use selfsame::wire::v1::set_program_terms_request::Policy;
use tonic::{Code, Status};

use crate::confirmations::with_settings;
use crate::world::{Calls, PROGRAM, on_one_device, reason, violated};

fn set(policy: Option<Policy>) -> v1::SetProgramTermsRequest {
    v1::SetProgramTermsRequest { program_id: PROGRAM.to_owned(), policy, note: "as measured".to_owned(), ..Default::default() }
}

async fn terms(calls: &Calls) -> v1::GetProgramTermsResponse {
    let request = v1::GetProgramTermsRequest { program_id: PROGRAM.to_owned(), policy_hash: String::new() };
    ProgramServiceClient::new(calls.clone()).get_program_terms(request).await.unwrap().into_inner()
}

/// Screens by the policy in force, and gives what the decision quotes.
async fn quoted(calls: &Calls, id: &str) -> (String, String) {
    let request = v1::ScreenConversionRequest { conversion: Some(on_one_device(id, &format!("r-{id}"), &format!("e-{id}"), 5)) };
    let answer = ScreeningServiceClient::new(calls.clone()).screen_conversion(request).await.unwrap().into_inner();
    let decision = answer.decision.unwrap();
    (decision.policy_version, decision.policy_hash)
}

#[tokio::test]
async fn a_policy_is_taken_whole_or_refused_with_every_mistake_and_decisions_quote_it() {
    let (_world, calls) = with_settings(|_| {}).await;
    let mut lena = ProgramServiceClient::new(calls["lena"].clone());
    let wrong = SHIPPED_POLICY.replace("mode = \"insist\"", "mode = \"Insist\"").replace("delay_days = 14", "delay_days = -1");
    let refused: Status = lena.set_program_terms(set(Some(Policy::PolicyToml(wrong)))).await.unwrap_err();
    assert!(refused.code() == Code::InvalidArgument && violated(&refused).len() > 1, "{refused:?}");
    assert_eq!(terms(&calls["lena"]).await.terms, Some(v1::ProgramTerms::default()), "nothing of it was taken");

    let own = SHIPPED_POLICY.replace("version = \"default-5\"", "version = \"shop-1\"");
    let answer = lena.set_program_terms(set(Some(Policy::PolicyToml(own.clone())))).await.unwrap().into_inner();
    assert_eq!(answer.terms.unwrap().policy_version, "shop-1");
    let expected = ("shop-1".to_owned(), hash_of(&own).to_string());
    assert_eq!(quoted(&calls["backend"], "cv-1").await, expected);
    let told = terms(&calls["rita"]).await;
    assert_eq!((told.policy_toml, told.deciding_version, told.deciding_hash), (own, expected.0, expected.1.clone()));
    assert_eq!((told.changes.len(), &*told.changes[0].actor), (1, "lena"));

    lena.set_program_terms(set(Some(Policy::ServerPolicy(true)))).await.unwrap();
    assert_eq!(quoted(&calls["backend"], "cv-2").await.0, terms(&calls["lena"]).await.deciding_version);
    // What decided once is at hand by what the decision quotes, and may decide again.
    lena.set_program_terms(set(Some(Policy::PolicyHash(expected.1.clone())))).await.unwrap();
    assert_eq!(quoted(&calls["backend"], "cv-3").await.1, expected.1);
    let unknown = lena.set_program_terms(set(Some(Policy::PolicyHash("0".repeat(32))))).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
}

#[tokio::test]
async fn money_is_payable_earlier_once_two_leads_want_it() {
    let (_world, calls) = with_settings(|program| {
        program.confirmation = Some(v1::Confirmation { terms: true, ..Default::default() });
    })
    .await;
    let delay = |days: i64| v1::SetProgramTermsRequest {
        payout_delay: Some(pbjson_types::Duration { seconds: days * 86_400, nanos: 0 }),
        ..set(None)
    };
    let mut lena = ProgramServiceClient::new(calls["lena"].clone());
    assert_eq!(lena.set_program_terms(delay(60)).await.unwrap().into_inner().pending_act, None, "later needs nobody");
    let pending = lena.set_program_terms(delay(3)).await.unwrap().into_inner().pending_act.unwrap();
    assert_eq!((pending.kind(), pending.cause()), (v1::ActKind::ChangeTerms, v1::ConfirmationCause::Terms));
    assert_eq!(pending.sentence, "pay 3 days after a conversion");
    let confirm = v1::ConfirmActRequest { program_id: PROGRAM.to_owned(), act_id: pending.act_id.clone(), ..Default::default() };
    let rita = ConfirmationServiceClient::new(calls["rita"].clone()).confirm_act(confirm.clone()).await.unwrap_err();
    assert_eq!(reason(&rita), "NOT_PERMITTED", "a reviewer may not do it, and so not confirm it");
    ConfirmationServiceClient::new(calls["lars"].clone()).confirm_act(confirm).await.unwrap();
    let told = terms(&calls["lena"]).await;
    assert_eq!(told.terms.unwrap().payout_delay, delay(3).payout_delay);
    assert_eq!(told.promises.len(), 1, "what was received before keeps 60 days");
    let early = ProgramServiceClient::new(calls["ops"].clone()).set_program_terms(delay(1)).await.unwrap_err();
    assert_eq!(reason(&early), "NOT_PERMITTED", "an administrator moves no money");
}

fn row(kind: v1::RekeyedKind, old: u8, new: u8) -> v1::RekeyedValue {
    let digest = |key: &str, byte: u8| Some(v1::Digest { key_id: key.to_owned(), value: vec![byte; 32].into() });
    v1::RekeyedValue { kind: kind.into(), old_digest: digest("k1", old), new_digest: digest("k2", new), ..Default::default() }
}

#[tokio::test]
async fn names_under_a_new_key_are_taken_once_and_contradictions_are_refused_by_row() {
    let (_world, calls) = with_settings(|program| program.key_ids = vec!["k1".to_owned(), "k2".to_owned()]).await;
    let mut lena = ProgramServiceClient::new(calls["lena"].clone());
    let rekey = |id: &str, values: Vec<v1::RekeyedValue>| v1::RekeyValuesRequest {
        program_id: PROGRAM.to_owned(),
        values,
        request_id: id.to_owned(),
        ..Default::default()
    };
    let two = vec![row(v1::RekeyedKind::Device, 1, 101), row(v1::RekeyedKind::Pattern, 2, 102)];
    let first = lena.rekey_values(rekey("page-1", two.clone())).await.unwrap().into_inner();
    let again = lena.rekey_values(rekey("page-1", two)).await.unwrap().into_inner();
    assert_eq!((first.taught, first.replayed, again.replayed), (2, false, true));
    let wrong = vec![
        row(v1::RekeyedKind::Device, 3, 103),
        row(v1::RekeyedKind::Device, 1, 104),
        row(v1::RekeyedKind::Device, 5, 101),
        row(v1::RekeyedKind::Device, 3, 105),
    ];
    let refused = lena.rekey_values(rekey("page-2", wrong)).await.unwrap_err();
    assert_eq!(violated(&refused), ["values[1].old_value", "values[2].new_value", "values[3].old_value"]);
    let request = v1::GetKeyUseRequest { program_id: PROGRAM.to_owned() };
    let used = lena.get_key_use(request).await.unwrap().into_inner().keys;
    let shown: Vec<_> = used.iter().map(|key| (key.key_id.as_str(), key.values, key.under_newer, key.taken)).collect();
    assert_eq!(shown, [("k1", 2, 2, true), ("k2", 2, 0, true)], "nothing of the refused page was taken");
    let mut foreign = row(v1::RekeyedKind::Device, 7, 107);
    foreign.new_digest.as_mut().unwrap().key_id = "k3".to_owned();
    let refused = lena.rekey_values(rekey("page-3", vec![foreign])).await.unwrap_err();
    assert_eq!(violated(&refused), ["values[0].new_digest.key_id"]);
}
