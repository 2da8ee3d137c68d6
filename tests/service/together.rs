//! Accounts, clusters and acts on several cases, over the wire.

use selfsame::vocabulary::time::Span;
use selfsame::wire::v1;
use selfsame::wire::v1::preview_cases_request::Selection;
use tonic::Code;

use crate::world::{PROGRAM, World, digest, on_one_device, reason, violated};

/// A ring of three referrals with one browser, with a reward of 20.00 each, and its preview of being rejected.
async fn with_a_ring() -> World {
    let world = World::start().await;
    for (id, referrer, referee, device) in [("cv-1", "ann", "bob", 5), ("cv-2", "ann", "bea", 6), ("cv-3", "cy", "dot", 7)] {
        let mut conversion = on_one_device(id, referrer, referee, device);
        for side in [&mut conversion.referrer, &mut conversion.referee] {
            // Each pair has a phone, and all of them one browser.
            side.as_mut().unwrap().devices[0].browser = digest(9);
        }
        conversion.rewards[0].amount = Some(v1::Money { amount_minor: 2_000, currency: "EUR".to_owned() });
        world.screen(conversion).await;
    }
    // What each brought is looked at in the others too, and holds their rewards until then.
    for id in ["cv-1", "cv-2", "cv-3"] {
        while waits_for_another_look(&world, id).await {}
    }
    world
}

async fn waits_for_another_look(world: &World, id: &str) -> bool {
    let wanted = v1::GetDecisionRequest { program_id: PROGRAM.to_owned(), conversion_id: id.to_owned(), ..Default::default() };
    let decision = world.screening().get_decision(wanted).await.unwrap().into_inner().decision.unwrap();
    decision.standing.unwrap().late_facts
}

async fn preview(world: &World, act: v1::CaseAct, selection: Selection) -> v1::PreviewCasesResponse {
    let request = v1::PreviewCasesRequest { program_id: PROGRAM.to_owned(), act: act.into(), selection: Some(selection) };
    world.review_of("rita").preview_cases(request).await.unwrap().into_inner()
}

fn act(token: &str, id: &str) -> v1::ActOnCasesRequest {
    v1::ActOnCasesRequest {
        program_id: PROGRAM.to_owned(),
        preview_token: token.to_owned(),
        reason_code: "ring".to_owned(),
        note: "three on one phone".to_owned(),
        request_id: id.to_owned(),
    }
}

fn around(account: &str) -> Selection {
    Selection::ClusterAccountId(account.to_owned())
}

#[tokio::test]
async fn a_ring_is_found_previewed_rejected_at_once_and_undone() {
    let world = with_a_ring().await;
    let listed = v1::ListClustersRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let clusters = world.review().list_clusters(listed).await.unwrap().into_inner();
    assert_eq!((clusters.clusters.len(), clusters.total_size), (1, 1));
    let line = &clusters.clusters[0];
    assert_eq!((line.cases, line.referrers, line.at_stake[0].amount_minor), (3, 2, 6_000));
    let wanted = v1::GetClusterRequest { program_id: PROGRAM.to_owned(), account_id: "dot".to_owned() };
    let cluster = world.review().get_cluster(wanted).await.unwrap().into_inner().cluster.unwrap();
    assert_eq!((cluster.accounts.len(), cluster.cases.len(), cluster.complete), (5, 3, true));
    assert!(cluster.ties.iter().any(|tie| tie.account_ids.len() == 5), "{:?}", cluster.ties);

    let seen = preview(&world, v1::CaseAct::Reject, around("ann")).await;
    assert_eq!((seen.changing, seen.left_alone, seen.more), (3, 0, false));
    assert_eq!(seen.at_stake[0].amount_minor, 6_000);
    assert_eq!(seen.referrer_account_ids, ["ann", "cy"]);
    assert!(seen.cases.iter().all(|case| case.verdict() == v1::Verdict::Rejected && case.due.is_empty()));

    let done = world.review_of("rita").act_on_cases(act(&seen.preview_token, "act-1")).await.unwrap().into_inner();
    assert_eq!((done.changed, done.left_alone), (3, 0));
    assert!(done.cases.iter().all(|case| case.summary.as_ref().unwrap().resolved_by == "rita"));
    assert_eq!(world.gate("r-cv-2", "cv-2").await.gate(), v1::Gate::Deny);
    // The answer was lost and the call is sent again: it is the same answer.
    let again = world.review_of("rita").act_on_cases(act(&seen.preview_token, "act-1")).await.unwrap().into_inner();
    assert_eq!((again.changed, again.undo_token == done.undo_token), (3, true));

    let undone = world.review_of("rita").act_on_cases(act(&done.undo_token, "act-2")).await.unwrap().into_inner();
    assert_eq!((undone.changed, undone.undo_token.as_str()), (3, ""));
    assert_eq!(world.gate("r-cv-2", "cv-2").await.reason(), v1::GateReason::InReview);
}

#[tokio::test]
async fn what_changed_after_the_preview_is_left_alone_and_told() {
    let world = with_a_ring().await;
    world.clock.forward(Span::from_days(60));
    let seen = preview(&world, v1::CaseAct::Accept, around("ann")).await;
    assert_eq!(seen.due[0].amount_minor, 6_000, "every delay is over");
    let resolve = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: "case-cv-1".to_owned(),
        resolution: v1::Resolution::Reject.into(),
        ..Default::default()
    };
    world.review_of("sam").resolve_case(resolve).await.unwrap();
    let claim = v1::ClaimCaseRequest { program_id: PROGRAM.to_owned(), case_id: "case-cv-3".to_owned(), ..Default::default() };
    world.review_of("sam").claim_case(claim).await.unwrap();
    let done = world.review_of("rita").act_on_cases(act(&seen.preview_token, "act-1")).await.unwrap().into_inner();
    let left: Vec<_> = done.cases.iter().map(|case| (case.case_id.as_str(), case.left_alone())).collect();
    assert!(left.contains(&("case-cv-1", v1::LeftAlone::AlreadyResolved)), "{left:?}");
    assert!(left.contains(&("case-cv-3", v1::LeftAlone::ClaimedByOther)), "{left:?}");
    assert_eq!(done.changed + done.left_alone, 3);
    assert_eq!(world.gate("r-cv-3", "cv-3").await.gate(), v1::Gate::Hold);
}

#[tokio::test]
async fn a_filter_selects_and_everything_wrong_is_named() {
    let world = with_a_ring().await;
    let of_ann = v1::ListCasesRequest { referrer_account_id: "ann".to_owned(), ..Default::default() };
    let seen = preview(&world, v1::CaseAct::Reject, Selection::Filter(of_ann)).await;
    assert_eq!(seen.changing, 2);
    let none = Selection::Cases(v1::CaseIds { case_ids: vec!["case-nobody".to_owned()] });
    let seen = preview(&world, v1::CaseAct::Reject, none).await;
    assert_eq!((seen.changing, seen.cases[0].left_alone(), seen.preview_token.as_str()), (0, v1::LeftAlone::Gone, ""));
    let refused = world.review_of("rita").act_on_cases(act("nonsense", "")).await.unwrap_err();
    assert_eq!(violated(&refused), ["preview_token", "request_id"]);
    let nobody = v1::GetClusterRequest { program_id: PROGRAM.to_owned(), account_id: "nobody".to_owned() };
    let refused = world.review().get_cluster(nobody).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "NOT_KNOWN"));
}

#[tokio::test]
async fn an_account_is_shown_with_its_money_and_no_more_of_a_digest_than_eight_digits() {
    let world = with_a_ring().await;
    let wanted = |page_token: String| v1::GetAccountRequest {
        program_id: PROGRAM.to_owned(),
        account_id: "ann".to_owned(),
        page_size: 1,
        page_token,
    };
    let first = world.review().get_account(wanted(String::new())).await.unwrap().into_inner();
    let account = first.account.unwrap();
    assert_eq!((account.referrals, account.as_referrer.len()), (2, 1));
    assert_eq!(account.as_referrer[0].conversion_id, "cv-2");
    assert_eq!(account.earnings.as_ref().unwrap().held[0].amount_minor, 4_000);
    assert_eq!(account.ring.as_ref().unwrap().accounts, 5);
    assert!(account.shared[0].one_of_strangers > 1.0);
    let second = world.review().get_account(wanted(first.next_page_token)).await.unwrap().into_inner();
    assert_eq!(second.account.as_ref().unwrap().as_referrer[0].conversion_id, "cv-1");
    assert_eq!(second.next_page_token, "");
    let shown = serde_json::to_string(&account).unwrap();
    assert!(!shown.contains(&"05".repeat(8)), "more of a digest is shown than eight digits");
}

#[tokio::test]
async fn the_basic_view_of_a_case_is_a_page() {
    let world = with_a_ring().await;
    let request = v1::GetCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: "case-cv-2".to_owned(),
        view: Some(v1::CaseView::Basic.into()),
        ..Default::default()
    };
    let case = world.review().get_case(request).await.unwrap().into_inner().review_case.unwrap();
    assert!(case.side_by_side.is_empty() && case.evidence.is_empty() && case.summary.is_some());
    let page = case.page.join("\n");
    assert!(case.page.len() <= 40, "{page}");
    for part in ["20.00 EUR at stake", "ann referred bea", "Device: both 06060606", "THE REFERRER'S LAST 1 OTHERS", "one device"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
}
