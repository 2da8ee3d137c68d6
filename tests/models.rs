//! Models in the real server, over restarts by SIGKILL: what decides, what is watched and what tripped is still so afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;
#[path = "support/models.rs"]
mod test_models;

use std::path::Path;
use std::process::Command;

use selfsame::adapters::policy_file::SHIPPED_POLICY;
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::load_model_request::Source;
use selfsame::wire::v1::model_service_client::ModelServiceClient;
use selfsame::wire::v1::review_service_client::ReviewServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tonic::transport::Channel;

use self::support::Server;
use self::test_models::{against_shared_addresses, against_vpns};

const PROGRAM: &str = "shop";

/// Half of the would-be rejects are audited; a key that is given, so that every run audits the same.
async fn start(folder: &Path) -> Server {
    let policy = folder.with_extension("policy.toml");
    std::fs::write(&policy, SHIPPED_POLICY.replace("sample_share = 1.0", "sample_share = 0.5")).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    let config = folder.with_extension("toml");
    std::fs::write(&config, "audit.key = \"a secret of the test, more than 32 characters\"\n").unwrap();
    let arguments = ["--policy", policy.to_str().unwrap(), "--config", config.to_str().unwrap()];
    Server::start_with(Path::new(env!("CARGO_BIN_EXE_selfsame")), folder, &arguments).await
}

async fn load(channel: &Channel, bytes: Vec<u8>) {
    let request = v1::LoadModelRequest {
        program_id: PROGRAM.to_owned(),
        source: Some(Source::Content(bytes.into())),
        note: String::new(),
        request_id: String::new(),
    };
    ModelServiceClient::with_interceptor(channel.clone(), Credentials::name("rita").unwrap()).load_model(request).await.unwrap();
}

async fn status(channel: &Channel) -> v1::GetModelStatusResponse {
    let request = v1::GetModelStatusRequest { program_id: PROGRAM.to_owned() };
    ModelServiceClient::new(channel.clone()).get_model_status(request).await.unwrap().into_inner()
}

/// Two friends at one address: the rules approve it.
async fn screen(channel: &Channel, number: u8) -> v1::Decision {
    let side = |account: String| v1::SignalBundle {
        account_id: account,
        networks: vec![v1::NetworkSignals {
            address: vec![v1::Digest { key_id: "k1".to_owned(), value: vec![number; 32].into() }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let conversion = support::conversion(PROGRAM, number.into(), side);
    let request = v1::ScreenConversionRequest { conversion: Some(conversion) };
    ScreeningServiceClient::new(channel.clone()).screen_conversion(request).await.unwrap().into_inner().decision.unwrap()
}

async fn accept(channel: &Channel, case_id: &str) {
    let request = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: case_id.to_owned(),
        resolution: v1::Resolution::Accept.into(),
        ..Default::default()
    };
    ReviewServiceClient::with_interceptor(channel.clone(), Credentials::name("rita").unwrap())
        .resolve_case(request)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_tripped_breaker_and_all_choices_survive_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("data");
    let mut server = start(&folder).await;
    let channel = server.channel().await;
    load(&channel, against_shared_addresses("m-1", Some(0.9))).await;
    load(&channel, against_vpns("m-2")).await;
    let activate = v1::ActivateModelRequest {
        program_id: PROGRAM.to_owned(),
        model_version: "m-1".to_owned(),
        note: "measured".to_owned(),
        request_id: String::new(),
    };
    ModelServiceClient::with_interceptor(channel.clone(), Credentials::name("rita").unwrap())
        .activate_model(activate)
        .await
        .unwrap();
    let challenge = v1::SetChallengerRequest {
        program_id: PROGRAM.to_owned(),
        model_version: "m-2".to_owned(),
        note: String::new(),
        request_id: String::new(),
    };
    ModelServiceClient::with_interceptor(channel.clone(), Credentials::name("rita").unwrap())
        .set_challenger(challenge)
        .await
        .unwrap();
    let mut audited = Vec::new();
    for number in 1..=30 {
        let decision = screen(&channel, number).await;
        audited.extend(decision.audit_sampled.then_some(decision.case_id));
    }
    accept(&channel, &audited[0]).await;
    server.kill();

    let mut server = start(&folder).await;
    let channel = server.channel().await;
    let after = status(&channel).await;
    let audit = after.audit.unwrap();
    assert_eq!((audit.sampled, audit.resolved, audit.honest), (audited.len() as u64, 1, 1));
    assert_eq!(audit.breaker(), v1::BreakerState::AutoReject);
    assert_eq!(after.active.unwrap().model_version, "m-1");
    assert_eq!(after.challenger.unwrap().model_version, "m-2");
    for case in &audited[1..7] {
        accept(&channel, case).await;
    }
    // The answer to the resolution that broke the promise came after the breaker had tripped.
    assert_eq!(screen(&channel, 31).await.verdict(), v1::Verdict::InReview);
    server.kill();

    let server = start(&folder).await;
    let channel = server.channel().await;
    let after = status(&channel).await;
    assert_eq!(after.audit.unwrap().breaker(), v1::BreakerState::ReviewInstead);
    assert_eq!(after.changes[0].kind(), v1::ModelChangeKind::BreakerTripped);
    assert_eq!(after.changes.len(), 5);
    for number in 32..=50 {
        assert_eq!(screen(&channel, number).await.verdict(), v1::Verdict::InReview);
    }
    let disagreements = v1::ListDisagreementsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let listed = ModelServiceClient::new(channel).list_disagreements(disagreements).await.unwrap().into_inner();
    assert_eq!(listed.disagreements.len(), 50, "the challenger would have approved all of them");
}

/// Runs `selfsame model` against a server: whether it went well, and what it said.
fn model_command(server: &Server, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_selfsame"))
        .args(["model", "--program", PROGRAM, "--as", "dana", "--server", server.address()])
        .args(arguments)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn the_command_takes_a_model_from_a_file_to_decisions_and_back() {
    let home = tempfile::tempdir().unwrap();
    let server = start(&home.path().join("data")).await;
    let (file, other) = (home.path().join("m-1.json"), home.path().join("m-2.json"));
    std::fs::write(&file, against_shared_addresses("m-1", None)).unwrap();
    std::fs::write(&other, against_vpns("m-2")).unwrap();
    let says = |arguments: &[&str], expected: &str| {
        let (went_well, said) = model_command(&server, arguments);
        assert!(went_well && said.contains(expected), "{arguments:?} said:\n{said}");
    };
    let refuses = |arguments: &[&str], expected: &str| {
        let (went_well, said) = model_command(&server, arguments);
        assert!(!went_well && said.contains(expected), "{arguments:?} said:\n{said}");
    };
    refuses(&["activate", "m-1"], "`m-1` is not loaded");
    refuses(&["rollback"], "nothing to go back to");
    refuses(&["load", home.path().join("none.json").to_str().unwrap()], "reading");
    says(&["load", file.to_str().unwrap(), "--note", "fitted on our history"], "m-1 is loaded (idle)");
    says(&["load", other.to_str().unwrap()], "m-2 is loaded (idle)");
    std::fs::write(&file, against_vpns("m-1")).unwrap();
    refuses(&["load", file.to_str().unwrap()], "--version-name");
    says(&["activate", "m-2"], "m-2 decides now");
    says(&["activate", "m-2"], "m-2 decided already");
    refuses(&["challenger", "m-2"], "`m-2` decides in this programme");
    says(&["challenger", "m-1"], "m-1 scores in the shadow");
    let channel = server.channel().await;
    for number in 1..=4 {
        screen(&channel, number).await;
    }
    says(&["disagreements", "--limit", "3"], "in review");
    says(&["activate", "m-1", "--note", "measured"], "m-1 decides now");
    assert_eq!(screen(&channel, 5).await.model_version, "m-1");
    says(&["list"], "active");
    says(&["status"], "m-1 decides");
    says(&["history"], "fitted on our history");
    says(&["--output", "json", "status"], "\"modelVersion\":\"m-1\"");
    says(&["rollback"], "until now it was m-1");
    says(&["challenger", "--none"], "no challenger now");
}

#[test]
fn a_server_whose_default_model_does_not_fit_says_so_and_does_not_start() {
    let home = tempfile::tempdir().unwrap();
    let models = home.path().join("data/models");
    std::fs::create_dir_all(&models).unwrap();
    std::fs::write(models.join("default.json"), "{}").unwrap();
    let data = home.path().join("data");
    let ended = Command::new(env!("CARGO_BIN_EXE_selfsame"))
        .args(["serve", "--metrics", "none", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(!ended.status.success());
    assert!(said.contains("default.json") && said.contains("not a model file") && said.contains("shipped model"), "{said}");
}
