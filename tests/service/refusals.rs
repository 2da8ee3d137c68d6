//! Every way in which a ledger refuses, as the caller reads it: code, stable reason, details.

use std::time::Duration;

use selfsame::book;
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::case::IllegalStep;
use selfsame::service::errors::{ERROR_DOMAIN, Refusal};
use selfsame::vocabulary::ids::Actor;
use selfsame::vocabulary::time::Timestamp;
use selfsame::wire::v1;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::world::{Fault, PROGRAM, World, conversion, reason, retry_after, violated};

fn status(error: LedgerError) -> Status {
    Refusal::from(error).into()
}

#[test]
fn every_ledger_error_has_its_code_and_its_reason() {
    let rita = || Actor::new("rita").unwrap();
    let table = [
        (
            book::Refusal::ContentDiffers { field: "conversion.conversion_id", id: "cv-1".to_owned() }.into(),
            Code::AlreadyExists,
            "CONTENT_DIFFERS",
        ),
        (book::Refusal::NotFound { what: "case", id: "case-1".to_owned() }.into(), Code::NotFound, "NOT_KNOWN"),
        (
            book::Refusal::from(IllegalStep::ClaimedByOther { by: rita(), lease_until: Timestamp::MIN }).into(),
            Code::FailedPrecondition,
            "CASE_CLAIMED_BY_OTHER",
        ),
        (book::Refusal::from(IllegalStep::NotClaimed { actor: rita() }).into(), Code::FailedPrecondition, "CASE_NOT_CLAIMED"),
        (
            book::Refusal::from(IllegalStep::AlreadyResolved { by: rita() }).into(),
            Code::FailedPrecondition,
            "CASE_ALREADY_RESOLVED",
        ),
        (book::Refusal::from(IllegalStep::NotResolved).into(), Code::FailedPrecondition, "CASE_NOT_RESOLVED"),
        (book::Refusal::from(IllegalStep::Lease).into(), Code::InvalidArgument, "INVALID_FIELDS"),
        (book::Refusal::RevisionDiffers { expected: 1, actual: 2 }.into(), Code::Aborted, "REVISION_DIFFERS"),
        (book::Refusal::NotPossible("it was paid".to_owned()).into(), Code::FailedPrecondition, "NOT_POSSIBLE"),
        (book::Refusal::PageToken.into(), Code::InvalidArgument, "INVALID_PAGE_TOKEN"),
        (LedgerError::OverBudget { used_bytes: 2, budget_bytes: 1 }, Code::ResourceExhausted, "LEDGER_FULL"),
        (LedgerError::Busy { retry_after: Duration::from_millis(40) }, Code::ResourceExhausted, "LEDGER_BUSY"),
        (LedgerError::Unavailable("disk full".to_owned()), Code::Unavailable, "LEDGER_UNAVAILABLE"),
        (LedgerError::Damaged("record 7".to_owned()), Code::DataLoss, "RECORD_DAMAGED"),
    ];
    for (error, code, expected) in table {
        let message = error.to_string();
        let status = status(error);
        assert_eq!((status.code(), reason(&status).as_str()), (code, expected), "{message}");
        assert_eq!(status.get_details_error_info().unwrap().domain, ERROR_DOMAIN);
    }
}

#[test]
fn details_say_what_to_do() {
    let busy = status(LedgerError::Busy { retry_after: Duration::from_millis(40) });
    assert_eq!(retry_after(&busy), Some(Duration::from_millis(40)));
    assert!(retry_after(&status(LedgerError::Unavailable("disk full".to_owned()))).is_some());
    assert_eq!(violated(&status(book::Refusal::PageToken.into())), ["page_token"]);
    assert_eq!(violated(&status(book::Refusal::from(IllegalStep::Lease).into())), ["lease"]);
    let unknown =
        status(book::Refusal::NotFound { what: "case", id: "case-1".to_owned() }.into()).get_details_resource_info().unwrap();
    assert_eq!((unknown.resource_type.as_str(), unknown.resource_name.as_str()), ("case", "case-1"));
    let illegal = status(book::Refusal::from(IllegalStep::NotResolved).into()).get_details_precondition_failure().unwrap();
    assert_eq!(illegal.violations[0].r#type, "CASE_NOT_RESOLVED");
}

#[tokio::test]
async fn a_failing_ledger_never_gives_a_decision() {
    let world = World::start().await;
    let request = v1::ScreenConversionRequest { conversion: Some(conversion("cv-1", "ann", "bob")) };
    let faults = [
        (Fault::Fails(LedgerError::Busy { retry_after: Duration::from_millis(40) }), Code::ResourceExhausted),
        (Fault::Fails(LedgerError::Unavailable("disk full".to_owned())), Code::Unavailable),
        (Fault::Panics, Code::Internal),
    ];
    for (fault, code) in faults {
        world.break_ledger(fault);
        let refused = world.screening().screen_conversion(request.clone()).await.unwrap_err();
        assert_eq!(refused.code(), code);
        assert!(!reason(&refused).is_empty());
    }
    world.break_ledger(Fault::None);
    assert!(!world.screening().screen_conversion(request).await.unwrap().into_inner().replayed);
}

#[tokio::test]
async fn a_panic_inside_a_stream_is_the_answer_to_its_item_alone() {
    let world = World::start().await;
    world.break_ledger(Fault::Panics);
    let requests = futures::stream::iter([v1::ScreenConversionsRequest { conversion: Some(conversion("cv-1", "ann", "bob")) }]);
    let mut stream = world.screening().screen_conversions(requests).await.unwrap().into_inner();
    let answer = stream.message().await.unwrap().unwrap();
    let Some(v1::screen_conversions_response::Result::Error(error)) = answer.result else { panic!("a broken ledger decided") };
    assert_eq!((error.code, error.reason.as_str()), (13, "INTERNAL"));
    assert!(stream.message().await.unwrap().is_none());
}

/// A token as it comes with a page of decisions, and one that nothing gave.
#[tokio::test]
async fn a_page_token_of_another_listing_is_refused_as_one_by_every_listing() {
    let world = World::start().await;
    for n in 0..3 {
        world.screen(conversion(&format!("cv-{n}"), "ann", &format!("new-{n}"))).await;
    }
    let page = v1::ListDecisionsRequest { program_id: PROGRAM.to_owned(), page_size: 1, ..Default::default() };
    let foreign = world.screening().list_decisions(page).await.unwrap().into_inner().next_page_token;
    assert!(!foreign.is_empty());
    for token in [foreign, "nonsense".to_owned()] {
        let (program_id, page_token) = (PROGRAM.to_owned(), token);
        let decisions =
            v1::ListDecisionsRequest { program_id: "other".to_owned(), page_token: page_token.clone(), ..Default::default() };
        let cases = v1::ListCasesRequest { program_id: program_id.clone(), page_token: page_token.clone(), ..Default::default() };
        let holds = v1::ListHoldsRequest { program_id: program_id.clone(), page_token: page_token.clone(), ..Default::default() };
        let entries =
            v1::ListListEntriesRequest { program_id: program_id.clone(), page_token: page_token.clone(), ..Default::default() };
        let challenged = v1::ListDisagreementsRequest { program_id, page_token, ..Default::default() };
        let refused = [
            world.screening().list_decisions(decisions).await.unwrap_err(),
            world.review().list_cases(cases).await.unwrap_err(),
            world.payout().list_holds(holds).await.unwrap_err(),
            world.list().list_list_entries(entries).await.unwrap_err(),
            world.model().list_disagreements(challenged).await.unwrap_err(),
        ];
        for status in refused {
            assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"), "{status:?}");
            assert_eq!(violated(&status), ["page_token"]);
        }
    }
}
