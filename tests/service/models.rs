//! Models over the socket: loading, choosing, watching, and the breaker that takes a reject out of a model's hands.

use selfsame::wire::v1;
use selfsame::wire::v1::load_model_request::Source;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::test_models::{against_shared_addresses, against_vpns};
use crate::world::{PROGRAM, World, conversion, digest, reason, violated};
use selfsame::adapters::policy_file::SHIPPED_POLICY;

/// Half of the would-be rejects are audited.
fn half_audited() -> String {
    SHIPPED_POLICY.replace("sample_share = 1.0", "sample_share = 0.5")
}

async fn load(world: &World, program: &str, bytes: Vec<u8>) -> Result<v1::ModelSummary, Status> {
    let request = v1::LoadModelRequest {
        program_id: program.to_owned(),
        source: Some(Source::Content(bytes.into())),
        actor: "dana".to_owned(),
        note: String::new(),
        request_id: String::new(),
    };
    world.model().load_model(request).await.map(|answer| answer.into_inner().model.unwrap())
}

async fn activate(world: &World, program: &str, version: &str) -> Result<v1::ActivateModelResponse, Status> {
    let request = v1::ActivateModelRequest {
        program_id: program.to_owned(),
        model_version: version.to_owned(),
        note: "measured".to_owned(),
        actor: "dana".to_owned(),
        request_id: String::new(),
    };
    world.model().activate_model(request).await.map(tonic::Response::into_inner)
}

async fn challenge(world: &World, version: &str) {
    let request = v1::SetChallengerRequest {
        program_id: PROGRAM.to_owned(),
        model_version: version.to_owned(),
        actor: "dana".to_owned(),
        note: String::new(),
        request_id: String::new(),
    };
    world.model().set_challenger(request).await.unwrap();
}

async fn status(world: &World, program: &str) -> v1::GetModelStatusResponse {
    let request = v1::GetModelStatusRequest { program_id: program.to_owned() };
    world.model().get_model_status(request).await.unwrap().into_inner()
}

async fn disagreements(world: &World, size: u32, token: &str) -> v1::ListDisagreementsResponse {
    let request = v1::ListDisagreementsRequest {
        program_id: PROGRAM.to_owned(),
        page_size: size,
        page_token: token.to_owned(),
        ..Default::default()
    };
    world.model().list_disagreements(request).await.unwrap().into_inner()
}

/// Two friends at one address, a new one for each pair: the rules approve it.
fn at_one_address(number: u8) -> v1::Conversion {
    let mut sent = conversion(&format!("cv-{number}"), &format!("referrer-{number}"), &format!("referee-{number}"));
    let networks = vec![v1::NetworkSignals { address: digest(number), ..Default::default() }];
    sent.referrer.as_mut().unwrap().networks.clone_from(&networks);
    sent.referee.as_mut().unwrap().networks = networks;
    sent
}

async fn resolve(world: &World, number: u8, resolution: v1::Resolution) {
    let request = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: format!("case-cv-{number}"),
        resolution: resolution.into(),
        actor: "rita".to_owned(),
        ..Default::default()
    };
    world.review().resolve_case(request).await.unwrap();
}

#[tokio::test]
async fn what_is_activated_decides_at_once_and_only_in_its_programme() {
    let world = World::with_models(SHIPPED_POLICY, None).await;
    load(&world, PROGRAM, against_shared_addresses("m-1", Some(0.9))).await.unwrap();
    let activated = activate(&world, PROGRAM, "m-1").await.unwrap();
    assert_eq!(activated.active.unwrap().role(), v1::ModelRole::Active);
    assert!(!activated.previous_version.is_empty(), "the shipped model decided before");
    let decision = world.screen(at_one_address(1)).await;
    assert_eq!((decision.model_version.as_str(), decision.scored_by()), ("m-1", v1::ScoredBy::Model));
    let elsewhere = v1::Conversion { program_id: "sandbox".to_owned(), ..at_one_address(1) };
    assert_eq!(world.screen(elsewhere).await.model_version, activated.previous_version);
    assert_eq!(status(&world, "sandbox").await.changes, []);
}

#[tokio::test]
async fn a_rollback_brings_back_what_decided_before_and_then_there_is_nothing_to_go_back_to() {
    let world = World::with_models(SHIPPED_POLICY, None).await;
    for version in ["m-1", "m-2"] {
        load(&world, PROGRAM, against_shared_addresses(version, None)).await.unwrap();
        activate(&world, PROGRAM, version).await.unwrap();
    }
    let roll_back = || v1::RollbackModelRequest {
        program_id: PROGRAM.to_owned(),
        note: "reviews doubled".to_owned(),
        actor: "dana".to_owned(),
        request_id: String::new(),
    };
    let back = world.model().rollback_model(roll_back()).await.unwrap().into_inner();
    assert_eq!((back.active.unwrap().model_version.as_str(), back.previous_version.as_str()), ("m-1", "m-2"));
    assert_eq!(world.screen(at_one_address(1)).await.model_version, "m-1");
    let refused = world.model().rollback_model(roll_back()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "NOT_POSSIBLE"));
    let changes = status(&world, PROGRAM).await.changes;
    let newest = &changes[0];
    assert_eq!(newest.kind(), v1::ModelChangeKind::RolledBack);
    assert_eq!((newest.model_version.as_str(), newest.previous_version.as_str()), ("m-1", "m-2"));
    assert_eq!((newest.actor.as_str(), newest.note.as_str()), ("dana", "reviews doubled"));
    assert_eq!(changes.len(), 5);
}

#[tokio::test]
async fn the_model_that_decides_is_refused_as_its_own_challenger() {
    let challenger = |version: &str| v1::SetChallengerRequest {
        program_id: PROGRAM.to_owned(),
        model_version: version.to_owned(),
        actor: "dana".to_owned(),
        note: String::new(),
        request_id: String::new(),
    };
    let world = World::with_models(SHIPPED_POLICY, None).await;
    load(&world, PROGRAM, against_vpns("m-1")).await.unwrap();
    activate(&world, PROGRAM, "m-1").await.unwrap();
    let refused = world.model().set_challenger(challenger("m-1")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "NOT_POSSIBLE"));
    assert!(refused.message().contains("`m-1` decides in this programme"), "{}", refused.message());
    assert_eq!(status(&world, PROGRAM).await.challenger, None);
    // Where the rules' weights decide, the chosen model may be watched.
    let by_weights = World::start().await;
    load(&by_weights, PROGRAM, against_vpns("m-1")).await.unwrap();
    activate(&by_weights, PROGRAM, "m-1").await.unwrap();
    assert!(by_weights.model().set_challenger(challenger("m-1")).await.is_ok());
}

#[tokio::test]
async fn a_model_of_other_features_is_refused_with_what_differs() {
    let world = World::with_models(SHIPPED_POLICY, None).await;
    let text = String::from_utf8(against_vpns("m-1")).unwrap().replace("ring.loop.strength", "ring.from_elsewhere");
    let stated = |text: &str| text.split('"').nth(5).unwrap().to_owned();
    let edited = load(&world, PROGRAM, text.clone().into_bytes()).await.unwrap_err();
    assert_eq!((edited.code(), violated(&edited)), (Code::InvalidArgument, vec!["source".to_owned()]));
    let computed = edited.message().rsplit("give `").next().unwrap().split('`').next().unwrap().to_owned();
    assert_eq!(computed.len(), 32, "{}", edited.message());
    let refused = load(&world, PROGRAM, text.replace(&stated(&text), &computed).into_bytes()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "MODEL_DOES_NOT_FIT"));
    assert!(refused.message().contains("it lacks `ring.loop.strength`; it needs `ring.from_elsewhere`"), "{}", refused.message());
    assert!(refused.get_details_precondition_failure().is_some());
    assert_eq!(status(&world, PROGRAM).await.changes, []);
}

#[tokio::test]
async fn mistakes_are_named() {
    let world = World::with_models(SHIPPED_POLICY, None).await;
    let ghost = activate(&world, PROGRAM, "ghost").await.unwrap_err();
    assert_eq!((ghost.code(), reason(&ghost).as_str()), (Code::NotFound, "NOT_KNOWN"));
    assert_eq!(ghost.get_details_resource_info().unwrap().resource_name, "ghost");
    let nobody = v1::ActivateModelRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let refused = world.model().activate_model(nobody).await.unwrap_err();
    assert_eq!(violated(&refused), ["model_version", "actor"]);
    let nonsense = load(&world, PROGRAM, b"hello".to_vec()).await.unwrap_err();
    assert_eq!((nonsense.code(), violated(&nonsense)), (Code::InvalidArgument, vec!["source".to_owned()]));
    load(&world, PROGRAM, against_vpns("m-1")).await.unwrap();
    let taken = load(&world, PROGRAM, against_shared_addresses("m-1", None)).await.unwrap_err();
    assert_eq!((taken.code(), reason(&taken).as_str()), (Code::AlreadyExists, "CONTENT_DIFFERS"));
    let from_folder = v1::LoadModelRequest {
        program_id: PROGRAM.to_owned(),
        source: Some(Source::FileName("m.json".to_owned())),
        actor: "dana".to_owned(),
        note: String::new(),
        request_id: String::new(),
    };
    let no_folder = world.model().load_model(from_folder).await.unwrap_err();
    assert_eq!((no_folder.code(), reason(&no_folder).as_str()), (Code::FailedPrecondition, "NOT_POSSIBLE"));
}

#[tokio::test]
async fn a_file_of_the_servers_folder_is_loaded_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::with_models(SHIPPED_POLICY, Some(folder.path())).await;
    std::fs::write(folder.path().join("vpn.json"), against_vpns("m-1")).unwrap();
    let by_name = |name: &str| v1::LoadModelRequest {
        program_id: PROGRAM.to_owned(),
        source: Some(Source::FileName(name.to_owned())),
        actor: "dana".to_owned(),
        note: String::new(),
        request_id: String::new(),
    };
    let loaded = world.model().load_model(by_name("vpn.json")).await.unwrap().into_inner();
    assert_eq!(loaded.model.unwrap().model_version, "m-1");
    let missing = world.model().load_model(by_name("none.json")).await.unwrap_err();
    assert_eq!((missing.code(), reason(&missing).as_str()), (Code::NotFound, "NOT_KNOWN"));
    for outside in ["../secret.json", "a/b.json", ".hidden"] {
        let refused = world.model().load_model(by_name(outside)).await.unwrap_err();
        assert_eq!(violated(&refused), ["file_name"], "{outside}");
    }
}

#[tokio::test]
async fn a_challenger_changes_nothing_and_its_disagreements_are_listed_newest_first() {
    let world = World::with_models(SHIPPED_POLICY, None).await;
    load(&world, PROGRAM, against_vpns("m-1")).await.unwrap();
    load(&world, PROGRAM, against_shared_addresses("m-2", None)).await.unwrap();
    activate(&world, PROGRAM, "m-1").await.unwrap();
    world.screen(at_one_address(1)).await;
    challenge(&world, "m-2").await;
    for number in 2..=6 {
        let decision = world.screen(at_one_address(number)).await;
        assert_eq!((decision.verdict(), decision.model_version.as_str()), (v1::Verdict::Approved, "m-1"));
        world.screen(conversion(&format!("plain-{number}"), "ann", &format!("bob-{number}"))).await;
    }
    let first = disagreements(&world, 3, "").await;
    let ids = |page: &v1::ListDisagreementsResponse| {
        page.disagreements.iter().map(|found| found.conversion_id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(&first), ["cv-6", "cv-5", "cv-4"]);
    let shown = &first.disagreements[0];
    assert_eq!((shown.active_verdict(), shown.active_version.as_str()), (v1::Verdict::Approved, "m-1"));
    let challenger = shown.challenger.as_ref().unwrap();
    assert_eq!((challenger.verdict(), challenger.model_version.as_str()), (v1::Verdict::InReview, "m-2"));
    assert!(challenger.score > 0.99 && shown.active_score < 0.01);
    let second = disagreements(&world, 3, &first.next_page_token).await;
    assert_eq!((ids(&second), second.next_page_token.as_str()), (vec!["cv-3".to_owned(), "cv-2".to_owned()], ""));
    challenge(&world, "").await;
    assert!(status(&world, PROGRAM).await.challenger.is_none());
}

#[tokio::test]
async fn honest_audits_trip_the_breaker_and_the_next_reject_goes_to_review() {
    let world = World::with_models(&half_audited(), None).await;
    load(&world, PROGRAM, against_shared_addresses("m-1", Some(0.9))).await.unwrap();
    activate(&world, PROGRAM, "m-1").await.unwrap();
    let mut sampled = Vec::new();
    for number in 1..=60 {
        let decision = world.screen(at_one_address(number)).await;
        let expected = if decision.audit_sampled { v1::Verdict::InReview } else { v1::Verdict::Rejected };
        assert_eq!(decision.verdict(), expected);
        sampled.extend(decision.audit_sampled.then_some(number));
    }
    assert!((15..=45).contains(&sampled.len()), "half of 60 are sampled, not {}", sampled.len());
    let audit = status(&world, PROGRAM).await.audit.unwrap();
    assert_eq!((audit.sampled, audit.resolved, audit.breaker()), (sampled.len() as u64, 0, v1::BreakerState::AutoReject));
    // One that turns out abusive, one that is decided again: the later word counts.
    resolve(&world, sampled[0], v1::Resolution::Reject).await;
    resolve(&world, sampled[1], v1::Resolution::Reject).await;
    let reopen = v1::ReopenCaseRequest {
        program_id: PROGRAM.to_owned(),
        target: Some(v1::reopen_case_request::Target::CaseId(format!("case-cv-{}", sampled[1]))),
        actor: "rita".to_owned(),
        ..Default::default()
    };
    world.review().reopen_case(reopen).await.unwrap();
    resolve(&world, sampled[1], v1::Resolution::Accept).await;
    let audit = status(&world, PROGRAM).await.audit.unwrap();
    assert_eq!((audit.resolved, audit.honest, audit.breaker()), (2, 1, v1::BreakerState::AutoReject));
    for number in &sampled[2..8] {
        resolve(&world, *number, v1::Resolution::Accept).await;
    }
    let tripped = status(&world, PROGRAM).await;
    let audit = tripped.audit.unwrap();
    assert_eq!((audit.resolved, audit.honest, audit.breaker()), (8, 7, v1::BreakerState::ReviewInstead));
    assert!(audit.live_error_lower_bound.unwrap() > 0.01 && audit.tripped_at.is_some());
    assert_eq!((tripped.changes[0].kind(), tripped.changes[0].actor.as_str()), (v1::ModelChangeKind::BreakerTripped, "selfsame"));
    for number in 61..=80 {
        assert_eq!(world.screen(at_one_address(number)).await.verdict(), v1::Verdict::InReview);
    }
    activate(&world, PROGRAM, "m-1").await.unwrap();
    let audit = status(&world, PROGRAM).await.audit.unwrap();
    assert_eq!((audit.resolved, audit.sampled, audit.breaker()), (0, 0, v1::BreakerState::AutoReject));
    let verdicts: Vec<v1::Verdict> = {
        let mut verdicts = Vec::new();
        for number in 81..=100 {
            verdicts.push(world.screen(at_one_address(number)).await.verdict());
        }
        verdicts
    };
    assert!(verdicts.contains(&v1::Verdict::Rejected));
}

/// Whether a service takes work, as its health says.
async fn serves(world: &World, service: &str) -> bool {
    let mut health = tonic_health::pb::health_client::HealthClient::new(world.channel.clone());
    let asked = tonic_health::pb::HealthCheckRequest { service: service.to_owned() };
    health.check(asked).await.unwrap().into_inner().status() == tonic_health::pb::health_check_response::ServingStatus::Serving
}

#[tokio::test]
async fn a_server_without_the_file_of_the_model_that_decides_approves_nothing_and_says_so_until_it_comes() {
    let (ledger, models) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = World::on_disk_with_models(SHIPPED_POLICY, ledger.path(), models.path()).await;
    load(&world, PROGRAM, against_vpns("m-1")).await.unwrap();
    activate(&world, PROGRAM, "m-1").await.unwrap();
    assert_eq!(world.screen(at_one_address(1)).await.verdict(), v1::Verdict::Approved);
    world.stop().await.unwrap().unwrap();

    std::fs::remove_dir_all(models.path().join("programmes")).unwrap();
    let world = World::on_disk_with_models(SHIPPED_POLICY, ledger.path(), models.path()).await;
    let screening = "selfsame.v1.ScreeningService";
    assert_eq!((serves(&world, screening).await, serves(&world, "selfsame.v1.PayoutService").await), (false, true));
    let decision = world.screen(at_one_address(2)).await;
    assert_eq!((decision.verdict(), decision.scored_by()), (v1::Verdict::InReview, v1::ScoredBy::JudgementModelMissing));
    let told = status(&world, PROGRAM).await;
    assert_eq!((told.active, told.changes[0].model_version.as_str()), (None, "m-1"), "what was chosen stays chosen");
    load(&world, PROGRAM, against_vpns("m-1")).await.unwrap();
    assert_eq!(world.screen(at_one_address(3)).await.verdict(), v1::Verdict::Approved);
    while !serves(&world, screening).await {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn drift_from_the_training_data_is_read_per_programme() {
    let world = World::with_models(SHIPPED_POLICY, None).await;
    load(&world, PROGRAM, against_vpns("m-1")).await.unwrap();
    activate(&world, PROGRAM, "m-1").await.unwrap();
    for number in 0..500 {
        world.screen(conversion(&format!("cv-{number}"), &format!("r-{number}"), &format!("e-{number}"))).await;
    }
    let shop = status(&world, PROGRAM).await;
    let score = shop.score_drift.unwrap();
    assert_eq!((score.values, score.level()), (500, v1::DriftLevel::Shifted), "trained on high and absent scores too");
    assert_eq!(shop.feature_drift[0].level(), v1::DriftLevel::Shifted);
    assert!(shop.feature_drift.windows(2).all(|pair| pair[0].stability_index >= pair[1].stability_index));
    assert_eq!(status(&world, "sandbox").await.score_drift.unwrap().values, 0);
}

#[tokio::test]
async fn a_lost_call_that_is_sent_again_is_answered_as_the_first_time_and_changes_nothing() {
    let world = World::with_models(SHIPPED_POLICY, None).await;
    for version in ["m-1", "m-2"] {
        load(&world, PROGRAM, against_shared_addresses(version, None)).await.unwrap();
    }
    let call = |version: &str| v1::ActivateModelRequest {
        program_id: PROGRAM.to_owned(),
        model_version: version.to_owned(),
        actor: "dana".to_owned(),
        note: String::new(),
        request_id: "call-1".to_owned(),
    };
    let first = world.model().activate_model(call("m-1")).await.unwrap().into_inner();
    activate(&world, PROGRAM, "m-2").await.unwrap();
    let again = world.model().activate_model(call("m-1")).await.unwrap().into_inner();
    assert_eq!((first.replayed, again.replayed, &again.previous_version), (false, true, &first.previous_version));
    assert_eq!(status(&world, PROGRAM).await.active.unwrap().model_version, "m-2", "nothing was activated again");
    let refused = world.model().activate_model(call("m-2")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::AlreadyExists, "CONTENT_DIFFERS"));
    assert_eq!(violated(&refused), ["request_id"]);

    let back = |call: &str| v1::RollbackModelRequest {
        program_id: PROGRAM.to_owned(),
        note: String::new(),
        actor: "dana".to_owned(),
        request_id: call.to_owned(),
    };
    assert!(!world.model().rollback_model(back("call-2")).await.unwrap().into_inner().replayed);
    assert!(world.model().rollback_model(back("call-2")).await.unwrap().into_inner().replayed);
    let challenger = v1::SetChallengerRequest {
        program_id: PROGRAM.to_owned(),
        model_version: "m-2".to_owned(),
        actor: "dana".to_owned(),
        note: String::new(),
        request_id: "call-3".to_owned(),
    };
    assert!(!world.model().set_challenger(challenger.clone()).await.unwrap().into_inner().replayed);
    activate(&world, PROGRAM, "m-2").await.unwrap();
    let again = world.model().set_challenger(challenger).await.unwrap().into_inner();
    assert_eq!((again.replayed, again.challenger), (true, None), "it decides by now, and is not set again");
}
