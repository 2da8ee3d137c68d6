//! The audit trail and erasures over the wire: who looked at whom is found, an export is verified without anything of ours, an erasure tells when it is
//! done.

use std::io::Write as _;
use std::process::{Command, Stdio};

use selfsame::ledger::trail::Verification;
use selfsame::wire::v1;
use selfsame::wire::v1::audit_service_client::AuditServiceClient;
use selfsame::wire::v1::privacy_service_client::PrivacyServiceClient;
use tonic::Code;

use crate::world::{Calls, PROGRAM, World, conversion, on_one_device};

fn audit(world: &World, name: &str) -> AuditServiceClient<Calls> {
    AuditServiceClient::new(world.calls_of(name))
}

async fn found(world: &World, change: impl FnOnce(&mut v1::SearchAuditRequest)) -> Vec<v1::AuditEntry> {
    let mut request =
        v1::SearchAuditRequest { program_id: PROGRAM.to_owned(), page_size: 2, ..v1::SearchAuditRequest::default() };
    change(&mut request);
    let mut all = Vec::new();
    loop {
        let page = audit(world, "olga").search_audit(request.clone()).await.unwrap().into_inner();
        assert!(page.entries.len() <= 2);
        all.extend(page.entries);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

async fn exported(world: &World) -> String {
    let request = v1::ExportAuditRequest { program_id: PROGRAM.to_owned() };
    let mut stream = audit(world, "olga").export_audit(request).await.unwrap().into_inner();
    let mut text = String::new();
    while let Some(v1::ExportAuditResponse { lines }) = stream.message().await.unwrap() {
        text.push_str(&lines);
    }
    text
}

async fn verified(world: &World, expected: Option<(u64, String)>) -> v1::VerifyAuditResponse {
    let (expected_place, expected_chain) = expected.unwrap_or_default();
    let request = v1::VerifyAuditRequest { program_id: PROGRAM.to_owned(), expected_place, expected_chain };
    audit(world, "olga").verify_audit(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn who_looked_at_whom_is_found_and_so_is_who_decided() {
    let world = World::start().await;
    for number in 0..5 {
        world.screen(on_one_device(&format!("cv-{number}"), "ann", &format!("b{number}"), 9)).await;
    }
    let case =
        |id: &str| v1::GetCaseRequest { program_id: PROGRAM.to_owned(), case_id: format!("case-{id}"), ..Default::default() };
    world.review_of("sam").get_case(case("cv-2")).await.unwrap();
    let account = v1::GetAccountRequest { program_id: PROGRAM.to_owned(), account_id: "b3".to_owned(), ..Default::default() };
    world.review_of("sam").get_account(account).await.unwrap();
    world.review_of("sam").get_case(case("none")).await.unwrap_err();
    // A look is kept within a second.
    let looked = loop {
        let looked = found(&world, |request| request.actor = "sam".to_owned()).await;
        if looked.iter().map(|entry| entry.facts.len()).sum::<usize>() == 2 {
            break looked;
        }
        tokio::task::yield_now().await;
    };
    assert!(looked.iter().all(|entry| entry.act == "person.looked_at"));
    let of_b3 = found(&world, |request| request.account_id = "b3".to_owned()).await;
    assert_eq!(of_b3.iter().map(|entry| entry.act.as_str()).collect::<Vec<_>>(), ["person.looked_at", "conversion.screened"]);
    assert_eq!((of_b3[0].actor.as_str(), of_b3[1].actor.as_str()), ("sam", "rita"));
    let screened = found(&world, |request| request.act = "conversion.screened".to_owned()).await;
    let places: Vec<u64> = screened.iter().map(|entry| entry.place).collect();
    assert_eq!(places.len(), 5);
    assert!(places.is_sorted_by(|newer, older| newer > older), "{places:?}");
    let of_case = found(&world, |request| request.case_id = "case-cv-2".to_owned()).await;
    assert!(
        of_case.iter().any(|entry| entry.act == "person.looked_at")
            && of_case.iter().all(|entry| entry.conversion_ids.contains(&"cv-2".to_owned()))
    );
    let readers = found(&world, |request| request.actor = "olga".to_owned()).await;
    assert!(
        readers.iter().any(|entry| entry.facts.iter().any(|fact| fact.value.starts_with("trail at"))),
        "who reads the trail stands in it"
    );
    let whole = v1::SearchAuditRequest { act: "program".to_owned(), ..Default::default() };
    let programs = audit(&world, "olga").search_audit(whole).await.unwrap().into_inner().entries;
    assert!(programs.iter().any(|entry| entry.act == "program.created"), "{programs:?}");
}

/// The script that the page shows.
fn script() -> &'static str {
    let page = include_str!("../../docs/audit.md");
    let (_, rest) = page.split_once("```python\n").unwrap();
    rest.split_once("```").unwrap().0
}

/// What the script says of a file; absent where there is no Python.
fn python(file: &str) -> Option<String> {
    let mut run = Command::new("python3").args(["-c", script()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
    run.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
    Some(String::from_utf8(run.wait_with_output().unwrap().stdout).unwrap())
}

#[tokio::test]
async fn an_export_is_verified_with_sha_256_alone_and_any_change_of_it_is_named() {
    let world = World::start().await;
    for number in 0..6 {
        world.screen(conversion(&format!("cv-{number}"), "ann", &format!("b{number}"))).await;
    }
    let file = exported(&world).await;
    let ours = |file: &str| {
        let mut verification = Verification::default();
        file.lines().for_each(|line| verification.line(line));
        verification.finish()
    };
    let sound = ours(&file);
    assert_eq!(sound.findings, Vec::<String>::new(), "{file}");
    assert!(script().lines().count() <= 12, "it stays short");
    if let Some(said) = python(&file) {
        assert!(said.contains(&sound.chain) && !said.contains("WRONG"), "{said}");
        let lines: Vec<&str> = file.lines().collect();
        let changed = file.replacen("\"b2\"", "\"b9\"", 1);
        let mut removed = lines.clone();
        removed.remove(3);
        let mut swapped = lines;
        swapped.swap(3, 4);
        for damaged in [changed, removed.join("\n"), swapped.join("\n")] {
            assert!(python(&damaged).unwrap().contains("WRONG"), "{damaged}");
            assert!(!ours(&damaged).findings.is_empty());
        }
    }
    let answer = verified(&world, Some((sound.last, sound.chain.clone()))).await;
    assert_eq!(answer.findings, Vec::<String>::new());
    assert!(answer.last_place > sound.last, "that it was asked stands there by now");
    let other = verified(&world, Some((sound.last, "00".repeat(32)))).await;
    assert_eq!(other.findings, [format!("the trail up to entry {} is not the one that was exported", sound.last)]);
    let shorter = verified(&world, Some((sound.last + 1_000, sound.chain))).await;
    assert!(shorter.findings[0].contains("are missing at the end"), "{:?}", shorter.findings);
}

#[tokio::test]
async fn an_erasure_is_asked_for_and_done_and_the_trail_stays_sound() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on_disk(folder.path()).await;
    world.screen(on_one_device("cv-1", "ann", "bob", 9)).await;
    let before = verified(&world, None).await;
    let request = v1::EraseAccountRequest {
        program_id: PROGRAM.to_owned(),
        account_id: "bob".to_owned(),
        reason_code: "asked_by_the_person".to_owned(),
        request_id: "call-1".to_owned(),
    };
    let mut privacy = PrivacyServiceClient::new(world.calls_of("lea"));
    loop {
        let answer = privacy.erase_account(request.clone()).await.unwrap().into_inner();
        if answer.state() == v1::ErasureState::Finished {
            assert!(answer.replayed);
            break;
        }
        assert_eq!(answer.state(), v1::ErasureState::UnderWay);
        tokio::task::yield_now().await;
    }
    let case = v1::GetCaseRequest { program_id: PROGRAM.to_owned(), case_id: "case-cv-1".to_owned(), ..Default::default() };
    let case = world.review().get_case(case).await.unwrap().into_inner().review_case.unwrap();
    let summary = case.summary.unwrap();
    assert_eq!(
        (summary.conversion_id.as_str(), summary.reason_codes.is_empty()),
        ("cv-1", false),
        "it is explained by its codes"
    );
    let after = verified(&world, Some((before.last_place, before.chain))).await;
    assert_eq!(after.findings, Vec::<String>::new());
    let unknown = v1::EraseAccountRequest { account_id: "nobody".to_owned(), request_id: String::new(), ..request };
    assert_eq!(privacy.erase_account(unknown).await.unwrap_err().code(), Code::NotFound);
}
