//! Claims about who may call what: every method as every role, in its own programme, in a foreign and in an unknown one; tokens that were never
//! issued, ended or were revoked; and that nobody is locked out.

use std::collections::{BTreeMap, BTreeSet};

use selfsame::vocabulary::time::Span;
use selfsame::wire::v1;
use selfsame::wire::v1::access_service_client::AccessServiceClient;
use selfsame::wire::v1::audit_service_client::AuditServiceClient;
use selfsame::wire::v1::confirmation_service_client::ConfirmationServiceClient;
use selfsame::wire::v1::list_service_client::ListServiceClient;
use selfsame::wire::v1::model_service_client::ModelServiceClient;
use selfsame::wire::v1::operations_service_client::OperationsServiceClient;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::privacy_service_client::PrivacyServiceClient;
use selfsame::wire::v1::program_service_client::ProgramServiceClient;
use selfsame::wire::v1::review_service_client::ReviewServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use selfsame::wire::v1::training_service_client::TrainingServiceClient;
use tonic::{Code, Status};

use crate::world::{Calls, NOON, PROGRAM, World, at, reason};

const TABLE: &str = include_str!("../../docs/access.md");
const ROLES: [&str; 7] = ["screener", "payer", "reviewer", "lead", "trainer", "auditor", "admin"];
/// A programme that is registered and not a caller's own, and one that is not registered.
const FOREIGN: &str = "other";
const UNKNOWN: &str = "shopp";

/// What the page says: the roles of each method, and where they must be had.
fn told() -> BTreeMap<&'static str, (BTreeSet<&'static str>, &'static str)> {
    let row = |line: &'static str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split(" | ").collect();
        let [method, roles, place] = cells[..] else { return None };
        let method = method.strip_suffix('`')?;
        method.contains('/').then(|| (method, (roles.split(' ').collect(), place.trim_end_matches(" |"))))
    };
    TABLE.lines().filter_map(row).collect()
}

pub(crate) async fn identity(admin: &Calls, name: &str, roles: &[v1::Role], programs: &[&str]) {
    let identity = v1::Identity {
        name: name.to_owned(),
        roles: roles.iter().map(|role| (*role).into()).collect(),
        all_programs: programs.is_empty(),
        program_ids: programs.iter().map(ToString::to_string).collect(),
        ..v1::Identity::default()
    };
    AccessServiceClient::new(admin.clone()).put_identity(v1::PutIdentityRequest { identity: Some(identity) }).await.unwrap();
}

pub(crate) async fn token(admin: &Calls, name: &str) -> Result<v1::IssueTokenResponse, Status> {
    let request = v1::IssueTokenRequest { identity: name.to_owned(), ..v1::IssueTokenRequest::default() };
    AccessServiceClient::new(admin.clone()).issue_token(request).await.map(tonic::Response::into_inner)
}

/// A server that asks who calls, and its administrator.
async fn guarded() -> (World, Calls) {
    let world = World::start().await;
    let nobody = world.calls_of("olga");
    identity(&nobody, "ops", &[v1::Role::Admin], &[]).await;
    let secret = token(&nobody, "ops").await.unwrap().secret;
    let admin = world.calls_with(&secret);
    (world, admin)
}

fn role_of(name: &str) -> v1::Role {
    v1::Role::from_str_name(&format!("ROLE_{}", name.to_uppercase())).unwrap()
}

/// A message of any kind, by its JSON, in which `P` is the programme.
fn message<M: serde::de::DeserializeOwned>(json: &str, program: &str) -> M {
    serde_json::from_str(&json.replace("\"P\"", &format!("\"{program}\""))).unwrap()
}

/// Calls each method once, and tells how it was answered. Of streams the first message counts.
async fn answers(calls: &Calls, program: &str, run: &str) -> BTreeMap<&'static str, Result<(), Status>> {
    let mut all = BTreeMap::new();
    macro_rules! unary {
        ($service:literal $client:ident: $($method:literal $call:ident $json:expr;)+) => {
            $(
                let request = message(&$json.replace("RUN", run), program);
                let answer = $client::new(calls.clone()).$call(tonic::Request::new(request)).await.map(drop);
                all.insert(concat!($service, "/", $method), answer);
            )+
        };
    }
    macro_rules! stream {
        ($service:literal $client:ident: $method:literal $call:ident $request:expr) => {
            let answer = match $client::new(calls.clone()).$call($request).await {
                Ok(opened) => opened.into_inner().message().await.map(drop),
                Err(refused) => Err(refused),
            };
            all.insert(concat!($service, "/", $method), answer);
        };
    }
    let conversion = format!(
        r#"{{"programId":"P","conversionId":"cv-RUN","kind":"CONVERSION_KIND_NEW_SIGNUP","occurredAt":"{}",
            "attribution":{{"capturedVia":"CAPTURED_VIA_LINK"}},"referrer":{{"accountId":"ann"}},"referee":{{"accountId":"ben-RUN"}}}}"#,
        at(NOON - 60).spelled().unwrap()
    );
    unary! { "ScreeningService" ScreeningServiceClient:
        "ScreenConversion" screen_conversion format!(r#"{{"conversion":{conversion}}}"#);
        "RecordSignals" record_signals r#"{"programId":"P","recordId":"s-RUN","bundles":[{"accountId":"ann"}]}"#;
        "RecordOutcome" record_outcome format!(
            r#"{{"programId":"P","outcomeId":"o-RUN","outcome":{{"kind":"OUTCOME_KIND_CHARGEBACK","conversionId":"cv-RUN","occurredAt":"{}"}}}}"#,
            at(NOON - 30).spelled().unwrap()
        );
        "RevokeOutcome" revoke_outcome r#"{"programId":"P","outcomeId":"o-RUN"}"#;
        "GetDecision" get_decision r#"{"programId":"P","conversionId":"cv-RUN"}"#;
        "ListDecisions" list_decisions r#"{"programId":"P"}"#;
        "ListPendingOutcomes" list_pending_outcomes r#"{"programId":"P"}"#;
    }
    let sent: v1::Conversion = message(&conversion.replace("cv-RUN", "cv-stream-RUN").replace("RUN", run), program);
    let sent = tokio_stream::iter([v1::ScreenConversionsRequest { conversion: Some(sent) }]);
    let screened = match ScreeningServiceClient::new(calls.clone()).screen_conversions(sent).await {
        Ok(opened) => match opened.into_inner().message().await.unwrap().unwrap().result.unwrap() {
            v1::screen_conversions_response::Result::Decision(_) => Ok(()),
            v1::screen_conversions_response::Result::Error(error) => Err(Status::new(Code::from_i32(error.code), error.message)),
        },
        Err(refused) => Err(refused),
    };
    all.insert("ScreeningService/ScreenConversions", screened);
    unary! { "PayoutService" PayoutServiceClient:
        "CheckPayouts" check_payouts r#"{"programId":"P","payouts":[{"rewardId":"r","conversionId":"c"}]}"#;
        "ReservePayouts" reserve_payouts r#"{"programId":"P","requestId":"q-RUN","payouts":[{"rewardId":"r","conversionId":"c"}]}"#;
        "RenewReservation" renew_reservation r#"{"programId":"P","reservationId":"q-RUN"}"#;
        "CancelReservation" cancel_reservation r#"{"programId":"P","reservationId":"q-RUN"}"#;
        "MarkPaid" mark_paid format!(r#"{{"programId":"P","rewardId":"r","conversionId":"c","paidAt":"{}"}}"#, at(NOON).spelled().unwrap());
        "MarkFailed" mark_failed format!(r#"{{"programId":"P","rewardId":"r","conversionId":"c","failedAt":"{}"}}"#, at(NOON).spelled().unwrap());
        "AddRewards" add_rewards r#"{"programId":"P","conversionId":"c","rewards":[{"rewardId":"r","beneficiary":"SIDE_REFERRER"}]}"#;
        "UpdateRewards" update_rewards r#"{"programId":"P","conversionId":"c","rewards":[{"rewardId":"r","beneficiary":"SIDE_REFERRER"}]}"#;
        "PlaceHold" place_hold r#"{"programId":"P","subject":{"referrerAccountId":"ann"}}"#;
        "LiftHold" lift_hold r#"{"programId":"P","subject":{"referrerAccountId":"ann"}}"#;
        "ListHolds" list_holds r#"{"programId":"P"}"#;
    }
    stream! { "PayoutService" PayoutServiceClient: "WatchDecisions" watch_decisions
    message::<v1::WatchDecisionsRequest>(r#"{"programId":"P","mode":"WATCH_MODE_STOP_AT_END"}"#, program) }
    unary! { "ReviewService" ReviewServiceClient:
        "ListCases" list_cases r#"{"programId":"P"}"#;
        "GetCase" get_case r#"{"programId":"P","caseId":"case-c"}"#;
        "GetQueueStats" get_queue_stats r#"{"programId":"P"}"#;
        "GetAccount" get_account r#"{"programId":"P","accountId":"ann"}"#;
        "ListClusters" list_clusters r#"{"programId":"P"}"#;
        "GetCluster" get_cluster r#"{"programId":"P","accountId":"ann"}"#;
        "PreviewCases" preview_cases r#"{"programId":"P","act":"CASE_ACT_ACCEPT","cases":{"caseIds":["case-c"]}}"#;
        "ActOnCases" act_on_cases r#"{"programId":"P","previewToken":"none","requestId":"q-RUN"}"#;
        "ClaimCase" claim_case r#"{"programId":"P","caseId":"case-c"}"#;
        "ReleaseCase" release_case r#"{"programId":"P","caseId":"case-c"}"#;
        "ResolveCase" resolve_case r#"{"programId":"P","caseId":"case-c","resolution":"RESOLUTION_ACCEPT"}"#;
        "ReopenCase" reopen_case r#"{"programId":"P","caseId":"case-c"}"#;
        "AddNote" add_note r#"{"programId":"P","caseId":"case-c","note":"n"}"#;
    }
    unary! { "ListService" ListServiceClient:
        "PutListEntry" put_list_entry r#"{"programId":"P","entry":{"list":"LIST_KIND_TRUSTED","subject":{"accountId":"zoe"}}}"#;
        "RemoveListEntry" remove_list_entry r#"{"programId":"P","list":"LIST_KIND_TRUSTED","subject":{"accountId":"zoe"}}"#;
        "ListListEntries" list_list_entries r#"{"programId":"P"}"#;
    }
    unary! { "ConfirmationService" ConfirmationServiceClient:
        "ListPendingActs" list_pending_acts r#"{"programId":"P"}"#;
        "ConfirmAct" confirm_act r#"{"programId":"P","actId":"act-1"}"#;
        "RefuseAct" refuse_act r#"{"programId":"P","actId":"act-1"}"#;
        "WithdrawAct" withdraw_act r#"{"programId":"P","actId":"act-1"}"#;
    }
    unary! { "ModelService" ModelServiceClient:
        "ListModels" list_models r#"{"programId":"P"}"#;
        "GetModelStatus" get_model_status r#"{"programId":"P"}"#;
        "ListDisagreements" list_disagreements r#"{"programId":"P"}"#;
        "LoadModel" load_model r#"{"programId":"P","content":"aGVsbG8="}"#;
        "ActivateModel" activate_model r#"{"programId":"P","modelVersion":"none"}"#;
        "RollbackModel" rollback_model r#"{"programId":"P"}"#;
        "SetChallenger" set_challenger r#"{"programId":"P"}"#;
    }
    stream! { "TrainingService" TrainingServiceClient: "ExportConversions" export_conversions
    message::<v1::ExportConversionsRequest>(r#"{"programId":"P"}"#, program) }
    stream! { "OperationsService" OperationsServiceClient: "StreamBackup" stream_backup v1::StreamBackupRequest {} }
    unary! { "OperationsService" OperationsServiceClient:
        "Diagnose" diagnose r#"{"programId":"P"}"#;
    }
    stream! { "AuditService" AuditServiceClient: "ExportAudit" export_audit
    message::<v1::ExportAuditRequest>(r#"{"programId":"P"}"#, program) }
    unary! { "AuditService" AuditServiceClient:
        "SearchAudit" search_audit r#"{"programId":"P"}"#;
        "VerifyAudit" verify_audit r#"{"programId":"P"}"#;
    }
    unary! { "PrivacyService" PrivacyServiceClient:
        "EraseAccount" erase_account r#"{"programId":"P","accountId":"nobody-RUN"}"#;
    }
    unary! { "ProgramService" ProgramServiceClient:
        "CreateProgram" create_program r#"{"program":{"programId":"new","stage":"PROGRAM_STAGE_SANDBOX"}}"#;
        "UpdateProgram" update_program r#"{"program":{"programId":"P","stage":"PROGRAM_STAGE_PRODUCTION"}}"#;
        "ArchiveProgram" archive_program r#"{"programId":"P"}"#;
        "UnarchiveProgram" unarchive_program r#"{"programId":"P"}"#;
        "GetProgram" get_program r#"{"programId":"P"}"#;
        "ListPrograms" list_programs "{}";
        "SetProgramTerms" set_program_terms r#"{"programId":"P","serverPolicy":true,"note":"why"}"#;
        "GetProgramTerms" get_program_terms r#"{"programId":"P"}"#;
        "RekeyValues" rekey_values r#"{"programId":"P","requestId":"rekey-1","values":[{"kind":"REKEYED_KIND_DEVICE","oldDigest":{"keyId":"k1","value":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="},"newDigest":{"keyId":"k2","value":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="}}]}"#;
        "GetKeyUse" get_key_use r#"{"programId":"P"}"#;
    }
    unary! { "AccessService" AccessServiceClient:
        "PutIdentity" put_identity r#"{"identity":{"name":"guest","roles":["ROLE_AUDITOR"],"programIds":["shop"]}}"#;
        "IssueToken" issue_token r#"{"identity":"nobody"}"#;
        "RevokeToken" revoke_token r#"{"tokenId":"tk-none"}"#;
        "RemoveIdentity" remove_identity r#"{"name":"nobody"}"#;
        "ListIdentities" list_identities "{}";
        "MakeAccessToken" make_access_token "{}";
        "WhoAmI" who_am_i "{}";
    }
    all
}

fn is_refused(answer: &Result<(), Status>) -> bool {
    answer.as_ref().is_err_and(|status| matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated))
}

#[tokio::test]
async fn every_method_answers_the_roles_that_the_page_names_in_their_programmes_and_nobody_else() {
    let (world, admin) = guarded().await;
    let told = told();
    for role in ROLES {
        for (name, programs) in [(role.to_owned(), &[PROGRAM, UNKNOWN][..]), (format!("{role}-everywhere"), &[][..])] {
            identity(&admin, &name, &[role_of(role)], programs).await;
            let calls = world.calls_with(&token(&admin, &name).await.unwrap().secret);
            let everywhere = programs.is_empty();
            for program in [PROGRAM, FOREIGN] {
                let answers = answers(&calls, program, &format!("{name}-{program}")).await;
                assert_eq!(
                    answers.keys().collect::<Vec<_>>(),
                    told.keys().collect::<Vec<_>>(),
                    "the page and this test name all methods"
                );
                for (method, answer) in answers {
                    let (roles, place) = &told[method];
                    let own = match *place {
                        "programme" => everywhere || program == PROGRAM,
                        "everywhere" => everywhere,
                        "own" => true,
                        other => panic!("{other}"),
                    };
                    let permitted = own && roles.contains(role);
                    assert_eq!(!is_refused(&answer), permitted, "{name} calls {method} in {program}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_foreign_programme_and_an_unknown_one_are_told_apart_only_by_those_who_may_know() {
    let (world, admin) = guarded().await;
    identity(&admin, "rita", &[v1::Role::Reviewer], &[PROGRAM]).await;
    let rita = world.calls_with(&token(&admin, "rita").await.unwrap().secret);
    let list = async |calls: &Calls, program: &str| {
        let request = v1::ListCasesRequest { program_id: program.to_owned(), ..v1::ListCasesRequest::default() };
        ReviewServiceClient::new(calls.clone()).list_cases(request).await.unwrap_err()
    };
    let (foreign, unknown) = (list(&rita, FOREIGN).await, list(&rita, "otter").await);
    assert_eq!((foreign.code(), unknown.code()), (Code::PermissionDenied, Code::PermissionDenied));
    assert_eq!(foreign.message().replace(FOREIGN, "_"), unknown.message().replace("otter", "_"));
    identity(&admin, "lena", &[v1::Role::Lead], &[]).await;
    let lena = world.calls_with(&token(&admin, "lena").await.unwrap().secret);
    let misspelt = list(&lena, UNKNOWN).await;
    assert_eq!((misspelt.code(), reason(&misspelt).as_str()), (Code::NotFound, "PROGRAM_NOT_KNOWN"));
    assert!(misspelt.message().contains("did you mean `shop`?"), "{}", misspelt.message());
}

#[tokio::test]
async fn what_is_no_token_any_more_or_never_was_is_refused_with_one_answer() {
    let (world, admin) = guarded().await;
    identity(&admin, "rita", &[v1::Role::Reviewer], &[PROGRAM]).await;
    let list = async |calls: Calls| {
        let request = v1::ListCasesRequest { program_id: PROGRAM.to_owned(), ..v1::ListCasesRequest::default() };
        ReviewServiceClient::new(calls).list_cases(request).await.map(drop)
    };
    let revoked = token(&admin, "rita").await.unwrap();
    let ends = v1::IssueTokenRequest {
        identity: "rita".to_owned(),
        expires_at: Some(at(NOON + 3_600)),
        ..v1::IssueTokenRequest::default()
    };
    let mut access = AccessServiceClient::new(admin.clone());
    let ended = access.issue_token(ends).await.unwrap().into_inner();
    for issued in [&revoked, &ended] {
        list(world.calls_with(&issued.secret)).await.unwrap();
        assert!(issued.secret.starts_with("selfsame_") && issued.secret.len() > 50, "{}", issued.secret.len());
    }
    world.clock.forward(Span::from_hours(1));
    access.revoke_token(v1::RevokeTokenRequest { token_id: revoked.token.unwrap().token_id }).await.unwrap();
    let removed = token(&admin, "rita").await.unwrap();
    let never = format!("{}x", removed.secret);
    access.remove_identity(v1::RemoveIdentityRequest { name: "rita".to_owned() }).await.unwrap();
    let mut said = BTreeSet::new();
    for calls in [&revoked.secret, &ended.secret, &removed.secret, &never, &String::new()].map(|secret| world.calls_with(secret))
    {
        let refused = list(calls).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "NOT_AUTHENTICATED"));
        said.insert(refused.message().to_owned());
    }
    // Neither does a name help, nor nothing.
    let named = list(world.calls_of("ops")).await.unwrap_err();
    said.insert(named.message().to_owned());
    assert_eq!((named.code(), said.len()), (Code::Unauthenticated, 1), "{said:?}");
}

#[tokio::test]
async fn the_caller_is_who_acts() {
    let (world, admin) = guarded().await;
    identity(&admin, "lena", &[v1::Role::Lead], &[PROGRAM]).await;
    let lena = world.calls_with(&token(&admin, "lena").await.unwrap().secret);
    let hold: v1::PlaceHoldRequest = message(r#"{"programId":"P","subject":{"referrerAccountId":"ann"}}"#, PROGRAM);
    let mut payout = PayoutServiceClient::new(lena.clone());
    payout.place_hold(hold.clone()).await.unwrap();
    let holds =
        payout.list_holds(message::<v1::ListHoldsRequest>(r#"{"programId":"P"}"#, PROGRAM)).await.unwrap().into_inner().holds;
    assert_eq!(holds[0].actor, "lena");
    let mut pretending = tonic::Request::new(hold);
    pretending.metadata_mut().insert("selfsame-actor", "ops".parse().unwrap());
    let refused = payout.place_hold(pretending).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    let me = AccessServiceClient::new(lena).who_am_i(v1::WhoAmIRequest {}).await.unwrap().into_inner();
    assert!(me.asks_who_calls && me.identity.unwrap().name == "lena");
}

#[tokio::test]
async fn the_first_token_is_an_administrators_and_the_last_one_cannot_go() {
    let world = World::start().await;
    let nobody = world.calls_of("olga");
    identity(&nobody, "rita", &[v1::Role::Reviewer], &[PROGRAM]).await;
    let refused = token(&nobody, "rita").await.unwrap_err();
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("admin"), "{refused:?}");
    identity(&nobody, "ops", &[v1::Role::Admin], &[]).await;
    let only = token(&nobody, "ops").await.unwrap();
    let mut access = AccessServiceClient::new(world.calls_with(&only.secret));
    let revoke = v1::RevokeTokenRequest { token_id: only.token.clone().unwrap().token_id };
    let remove = v1::RemoveIdentityRequest { name: "ops".to_owned() };
    assert_eq!(access.revoke_token(revoke.clone()).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(access.remove_identity(remove).await.unwrap_err().code(), Code::FailedPrecondition);
    let second = token(&world.calls_with(&only.secret), "ops").await.unwrap();
    access.revoke_token(revoke).await.unwrap();
    assert!(token(&world.calls_with(&second.secret), "rita").await.is_ok());
    for own in ["selfsame", "local"] {
        let identity = v1::Identity { name: own.to_owned(), roles: vec![1], all_programs: true, ..v1::Identity::default() };
        let put = v1::PutIdentityRequest { identity: Some(identity) };
        let refused = AccessServiceClient::new(world.calls_with(&second.secret)).put_identity(put).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{own}");
    }
}

#[tokio::test]
async fn an_archived_programme_is_read_and_takes_nothing_more() {
    let world = World::start().await;
    let mut programs = ProgramServiceClient::new(world.calls_of("olga"));
    programs.archive_program(v1::ArchiveProgramRequest { program_id: PROGRAM.to_owned() }).await.unwrap();
    let answers = answers(&world.calls_of("olga"), PROGRAM, "archived").await;
    let archived = |answer: &Result<(), Status>| answer.as_ref().is_err_and(|status| status.message().contains("archived"));
    for method in ["ScreeningService/ScreenConversion", "ScreeningService/ScreenConversions", "PayoutService/ReservePayouts"] {
        assert!(archived(&answers[method]), "{method}: {:?}", answers[method]);
    }
    assert!(answers["ReviewService/ListCases"].is_ok() && answers["PayoutService/CheckPayouts"].is_ok());
    // Unarchiving it was among the calls.
    let request: v1::ListHoldsRequest = message(r#"{"programId":"P"}"#, PROGRAM);
    PayoutServiceClient::new(world.calls_of("olga")).list_holds(request).await.unwrap();
}

#[tokio::test]
async fn a_programme_takes_the_currencies_that_it_says() {
    let world = World::start().await;
    let mut programs = ProgramServiceClient::new(world.calls_of("olga"));
    let program = v1::Program {
        program_id: PROGRAM.to_owned(),
        stage: v1::ProgramStage::Production.into(),
        currencies: vec!["EUR".to_owned(), "CHF".to_owned()],
        ..v1::Program::default()
    };
    programs.update_program(v1::UpdateProgramRequest { program: Some(program) }).await.unwrap();
    let sent = |currency: &str| {
        let money = Some(v1::Money { amount_minor: 100, currency: currency.to_owned() });
        let mut conversion = crate::world::conversion("cv-1", "ann", "ben");
        conversion.rewards[0].amount = money;
        v1::ScreenConversionRequest { conversion: Some(conversion) }
    };
    let refused = world.screening().screen_conversion(sent("USD")).await.unwrap_err();
    assert_eq!(crate::world::violated(&refused), ["conversion.rewards[0].amount"]);
    assert!(refused.message().contains("takes CHF, EUR"), "{}", refused.message());
    world.screening().screen_conversion(sent("EUR")).await.unwrap();
}
