//! `selfsame queue` against the real server: what a reviewer reads of a long queue and of mistakes of his own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::process::Command;

use selfsame::wire::v1;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;

use self::support::Server;

const PROGRAM: &str = "shop";

/// Two accounts on one device, another device for each pair: a person must look at it.
fn on_one_device(number: u16) -> v1::ScreenConversionsRequest {
    let value = [number.to_be_bytes(); 16].concat();
    let devices = vec![v1::DeviceSignals {
        fingerprint: vec![v1::Digest { key_id: "k1".to_owned(), value: value.into() }],
        ..Default::default()
    }];
    let side = |account_id: String| v1::SignalBundle { account_id, devices: devices.clone(), ..Default::default() };
    let conversion = support::conversion(PROGRAM, number.into(), side);
    v1::ScreenConversionsRequest { conversion: Some(conversion) }
}

async fn with_cases(server: &Server, cases: u16) {
    let sent = futures::stream::iter((0..cases).map(on_one_device).collect::<Vec<_>>());
    let mut client = ScreeningServiceClient::new(server.channel().await);
    let mut answers = client.screen_conversions(sent).await.unwrap().into_inner();
    let mut in_review = 0;
    while let Some(answer) = answers.message().await.unwrap() {
        let Some(v1::screen_conversions_response::Result::Decision(decision)) = answer.result else { panic!("{answer:?}") };
        in_review += u16::from(decision.verdict() == v1::Verdict::InReview);
    }
    assert_eq!(in_review, cases);
}

/// Runs `selfsame queue` as nobody on a machine that does not tell its user: whether it went well, and what it said.
fn queue(server: &Server, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_selfsame"))
        .env_clear()
        .env("PATH", "/nowhere")
        .args(["queue", "--server", server.address()])
        .args(arguments)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test]
async fn a_long_queue_is_listed_over_pages_and_mistakes_are_told_for_what_they_are() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data")).await;
    with_cases(&server, 505).await;

    let (_, all) = queue(&server, &["-p", PROGRAM, "list", "--limit", "1000"]);
    assert_eq!(all.lines().filter(|line| line.starts_with("case-cv-")).count(), 505, "{all}");
    assert!(!all.contains("--limit shows more"), "{all}");
    let (_, most) = queue(&server, &["-p", PROGRAM, "list", "--limit", "503"]);
    assert_eq!(most.lines().filter(|line| line.starts_with("case-cv-")).count(), 503);
    assert!(most.ends_with("503 of 505 shown; --limit shows more.\n"), "{most}");

    let (_, shown) = queue(&server, &["-p", PROGRAM, "show", "case-cv-1"]);
    assert!(shown.contains("revision 1") && shown.contains("WHATEVER THE SCORE SAYS\nreview  same_device"), "{shown}");

    let (went_well, misspelt) = queue(&server, &["-p", "shp", "list"]);
    assert!(!went_well && misspelt.contains("did you mean `shop`?"), "{misspelt}");
    let (_, none_claimed) = queue(&server, &["-p", PROGRAM, "list", "--state", "claimed"]);
    assert_eq!(none_claimed, "Nothing waits.\n");

    let (went_well, nobody) = queue(&server, &["-p", PROGRAM, "accept", "case-cv-1"]);
    assert!(!went_well && nobody.contains("--as NAME"), "{nobody}");
    let (went_well, unknown) = queue(&server, &["-p", PROGRAM, "--as", "rita", "reopen", "--conversion", "nosuch"]);
    assert!(!went_well && unknown.contains("conversion `nosuch` is not known"), "{unknown}");
}
