//! The review queue over the socket: every legal step, and every illegal one with its reason.

use selfsame::vocabulary::time::Span;
use selfsame::wire::v1;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::world::{NOON, PROGRAM, World, at, conversion, on_one_device, reason, violated};

const CASE: &str = "case-cv-1";

async fn with_a_case() -> World {
    let world = World::start().await;
    let decision = world.screen(on_one_device("cv-1", "dan", "joe", 5)).await;
    assert_eq!((decision.verdict(), decision.case_id.as_str()), (v1::Verdict::InReview, CASE));
    world
}

async fn claim(world: &World, actor: &str) -> Result<v1::CaseSummary, Status> {
    let request = v1::ClaimCaseRequest { program_id: PROGRAM.to_owned(), case_id: CASE.to_owned(), ..Default::default() };
    world.review_of(actor).claim_case(request).await.map(|answer| answer.into_inner().summary.unwrap())
}

async fn resolve(world: &World, actor: &str, resolution: v1::Resolution) -> Result<v1::ResolveCaseResponse, Status> {
    let request = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: CASE.to_owned(),
        resolution: resolution.into(),
        reason_code: "same_household".to_owned(),
        note: "a couple".to_owned(),
        expected_revision: None,
        ..Default::default()
    };
    world.review_of(actor).resolve_case(request).await.map(tonic::Response::into_inner)
}

async fn reopen(world: &World, target: v1::reopen_case_request::Target) -> Result<v1::ReopenCaseResponse, Status> {
    let request = v1::ReopenCaseRequest {
        program_id: PROGRAM.to_owned(),
        target: Some(target),
        note: "new facts".to_owned(),
        ..Default::default()
    };
    world.review().reopen_case(request).await.map(tonic::Response::into_inner)
}

fn by_case() -> v1::reopen_case_request::Target {
    v1::reopen_case_request::Target::CaseId(CASE.to_owned())
}

fn refused_for(status: &Status) -> (Code, String) {
    assert!(status.get_details_precondition_failure().is_some(), "{status:?}");
    (status.code(), reason(status))
}

#[tokio::test]
async fn a_reviewer_lists_claims_decides_and_undoes() {
    let world = with_a_case().await;
    let listing = v1::ListCasesRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let listed = world.review().list_cases(listing).await.unwrap().into_inner();
    assert_eq!(listed.cases.len(), 1);
    assert_eq!(listed.cases[0].reason_codes[0], "device.same_device");

    let claimed = claim(&world, "rita").await.unwrap();
    assert_eq!((claimed.state(), claimed.claimed_by.as_str()), (v1::CaseState::Claimed, "rita"));
    let resolved = resolve(&world, "rita", v1::Resolution::Accept).await.unwrap();
    assert_eq!(resolved.summary.unwrap().state(), v1::CaseState::Resolved);
    let decision = resolved.decision.unwrap();
    assert_eq!((decision.verdict(), decision.screened_verdict()), (v1::Verdict::Approved, v1::Verdict::InReview));

    let reopened = reopen(&world, by_case()).await.unwrap();
    assert_eq!(reopened.summary.unwrap().state(), v1::CaseState::Open);
    assert_eq!(reopened.decision.unwrap().verdict(), v1::Verdict::InReview);
    let rejected = resolve(&world, "sam", v1::Resolution::Reject).await.unwrap();
    assert_eq!(rejected.decision.unwrap().verdict(), v1::Verdict::Rejected);
}

#[tokio::test]
async fn another_reviewers_lease_is_respected_until_it_ends() {
    let world = with_a_case().await;
    claim(&world, "rita").await.unwrap();
    let expected = (Code::FailedPrecondition, "CASE_CLAIMED_BY_OTHER".to_owned());
    assert_eq!(refused_for(&claim(&world, "sam").await.unwrap_err()), expected);
    assert_eq!(refused_for(&resolve(&world, "sam", v1::Resolution::Reject).await.unwrap_err()), expected);
    world.clock.forward(Span::from_hours(25));
    assert_eq!(claim(&world, "sam").await.unwrap().claimed_by, "sam");
}

#[tokio::test]
async fn illegal_steps_say_what_is_in_the_way() {
    let world = with_a_case().await;
    let release = v1::ReleaseCaseRequest { program_id: PROGRAM.to_owned(), case_id: CASE.to_owned(), ..Default::default() };
    let refused = world.review().release_case(release).await.unwrap_err();
    assert_eq!(refused_for(&refused), (Code::FailedPrecondition, "CASE_NOT_CLAIMED".to_owned()));
    let refused = reopen(&world, by_case()).await.unwrap_err();
    assert_eq!(refused_for(&refused), (Code::FailedPrecondition, "CASE_NOT_RESOLVED".to_owned()));
    resolve(&world, "rita", v1::Resolution::Accept).await.unwrap();
    let refused = resolve(&world, "rita", v1::Resolution::Reject).await.unwrap_err();
    assert_eq!(refused_for(&refused), (Code::FailedPrecondition, "CASE_ALREADY_RESOLVED".to_owned()));
}

#[tokio::test]
async fn a_change_in_between_is_told_to_who_insists_on_a_revision() {
    let world = with_a_case().await;
    let seen = claim(&world, "rita").await.unwrap().revision;
    let release = v1::ReleaseCaseRequest { program_id: PROGRAM.to_owned(), case_id: CASE.to_owned(), ..Default::default() };
    world.review().release_case(release).await.unwrap();
    let request = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: CASE.to_owned(),
        resolution: v1::Resolution::Accept.into(),
        expected_revision: Some(seen),
        ..Default::default()
    };
    let refused = world.review().resolve_case(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Aborted, "REVISION_DIFFERS"));
}

#[tokio::test]
async fn an_approved_conversion_without_a_case_is_put_into_review_and_held() {
    let world = World::start().await;
    world.screen(conversion("cv-7", "ann", "bob")).await;
    world.clock.forward(Span::from_days(60));
    assert_eq!(world.gate("r-cv-7", "cv-7").await.gate(), v1::Gate::Release);
    let target = v1::reopen_case_request::Target::ConversionId("cv-7".to_owned());
    let reopened = reopen(&world, target).await.unwrap();
    assert_eq!(reopened.summary.unwrap().case_id, "case-cv-7");
    assert_eq!(world.gate("r-cv-7", "cv-7").await.reason(), v1::GateReason::InReview);
}

#[tokio::test]
async fn a_case_shows_both_sides_why_and_what_happened() {
    let world = with_a_case().await;
    let note = v1::AddNoteRequest {
        program_id: PROGRAM.to_owned(),
        case_id: CASE.to_owned(),
        note: "asked the customer".to_owned(),
        ..Default::default()
    };
    world.review_of("sam").add_note(note).await.unwrap();
    let request = v1::GetCaseRequest { program_id: PROGRAM.to_owned(), case_id: CASE.to_owned(), ..Default::default() };
    let case = world.review().get_case(request).await.unwrap().into_inner().review_case.unwrap();
    let loudest = &case.side_by_side[0];
    assert_eq!((loudest.label.as_str(), loudest.comparison()), ("Device", v1::Comparison::Same));
    assert_eq!((loudest.referrer_value.as_str(), loudest.referee_value.as_str()), ("05050505", "05050505"));
    assert!(loudest.note.contains("one device"), "{}", loudest.note);
    assert!(case.history.iter().any(|event| event.note == "asked the customer" && event.actor == "sam"));
    assert!(!case.evidence.is_empty());
    let shown = serde_json::to_string(&case).unwrap();
    assert!(!shown.contains(&"05".repeat(8)), "more of a digest is shown than eight digits");
}

#[tokio::test]
async fn unknown_cases_and_malformed_ids_are_told_apart() {
    let world = World::start().await;
    let get = |case: &str| v1::GetCaseRequest { program_id: PROGRAM.to_owned(), case_id: case.to_owned(), ..Default::default() };
    let unknown = world.review().get_case(get("case-nobody")).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "NOT_KNOWN"));
    let resource = unknown.get_details_resource_info().unwrap();
    assert_eq!((resource.resource_type.as_str(), resource.resource_name.as_str()), ("case", "case-nobody"));
    let malformed = world.review().get_case(get("nobody")).await.unwrap_err();
    assert_eq!(violated(&malformed), ["case_id"]);
}

#[tokio::test]
async fn the_queue_is_counted() {
    let world = with_a_case().await;
    world.clock.forward(Span::from_hours(3));
    let request = v1::GetQueueStatsRequest { program_id: PROGRAM.to_owned() };
    let stats = world.review().get_queue_stats(request).await.unwrap().into_inner();
    assert_eq!((stats.open_cases, stats.claimed_cases, stats.resolved_cases), (1, 0, 0));
    assert_eq!(stats.oldest_age.unwrap().seconds, 3 * 3_600);
    assert_eq!(stats.by_first_reason[0].reason_code, "device.same_device");
}

#[tokio::test]
async fn a_conversion_that_cannot_be_reopened_is_named_as_it_was_asked_for() {
    let world = with_a_case().await;
    let unknown = reopen(&world, v1::reopen_case_request::Target::ConversionId("nosuch".to_owned())).await.unwrap_err();
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::NotFound, "NOT_KNOWN"));
    let named = unknown.get_details_resource_info().unwrap();
    assert_eq!((named.resource_type.as_str(), named.resource_name.as_str()), ("conversion", "nosuch"));
    assert!(unknown.message().contains("conversion `nosuch`"), "{}", unknown.message());
}

#[tokio::test]
async fn a_reward_that_was_paid_is_told_with_the_case_and_with_a_rejection_that_comes_too_late() {
    let world = with_a_case().await;
    let wanted = || v1::GetCaseRequest { program_id: PROGRAM.to_owned(), case_id: CASE.to_owned(), ..Default::default() };
    let case = world.review().get_case(wanted()).await.unwrap().into_inner().review_case.unwrap();
    assert_eq!((case.rewards.len(), case.paid_reward_ids.len()), (1, 0));
    let paid = v1::MarkPaidRequest {
        program_id: PROGRAM.to_owned(),
        reward_id: "r-cv-1".to_owned(),
        conversion_id: "cv-1".to_owned(),
        paid_at: Some(at(NOON)),
        amount: None,
        ..Default::default()
    };
    world.payout().mark_paid(paid).await.unwrap();
    let case = world.review().get_case(wanted()).await.unwrap().into_inner().review_case.unwrap();
    assert_eq!(case.paid_reward_ids, ["r-cv-1"]);
    assert_eq!(resolve(&world, "rita", v1::Resolution::Reject).await.unwrap().paid_reward_ids, ["r-cv-1"]);
}
