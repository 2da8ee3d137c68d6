//! Manners on the wire: bytes that are no message, callers that leave, compression, sealed page tokens, and answers that every client can take.

use std::collections::BTreeSet;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use selfsame::wire::v1::access_service_client::AccessServiceClient;
use selfsame::wire::v1::confirmation_service_client::ConfirmationServiceClient;
use selfsame::wire::v1::program_service_client::ProgramServiceClient;
use selfsame::wire::{FILE_DESCRIPTOR_SET, v1};
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http;
use tonic::{Code, Status};
use tower::ServiceExt as _;

use crate::world::{NOON, PROGRAM, World, at, conversion, on_one_device, reason, violated};

/// What clients take unless told otherwise.
const ANSWER_BYTES_MAX: usize = 4 << 20;

async fn answered(world: &World, body: &[u8], encoding: Option<&str>) -> http::Response<Body> {
    let path = "/selfsame.v1.ScreeningService/ScreenConversion";
    let mut request = http::Request::post(path).header("content-type", "application/grpc").header("selfsame-actor", "rita");
    if let Some(encoding) = encoding {
        request = request.header("grpc-encoding", encoding);
    }
    let body = Body::new(Full::new(Bytes::copy_from_slice(body)));
    world.channel.clone().oneshot(request.body(body).unwrap()).await.unwrap()
}

async fn refused(world: &World, body: &[u8]) -> (Code, String) {
    let answer = answered(world, body, None).await;
    let status = match Status::from_header_map(answer.headers()) {
        Some(status) => status,
        None => Status::from_header_map(answer.into_body().collect().await.unwrap().trailers().unwrap()).unwrap(),
    };
    (status.code(), reason(&status))
}

#[tokio::test]
async fn bodies_that_are_cut_or_badly_framed_are_the_callers_fault() {
    let world = World::start().await;
    let malformed = (Code::InvalidArgument, "MALFORMED_MESSAGE".to_owned());
    let cases: [(&str, &[u8]); 6] = [
        ("nothing", &[]),
        ("half a frame's head", &[0, 0, 0]),
        ("a frame that is cut", &[0, 0, 0, 0, 100, 1, 2, 3]),
        ("a flag that is none", &[7, 0, 0, 0, 0]),
        ("compressed, and not said how", &[1, 0, 0, 0, 1, 0]),
        ("no protobuf", &[0, 0, 0, 0, 2, 0xff, 0xff]),
    ];
    for (what, body) in cases {
        assert_eq!(refused(&world, body).await, malformed, "{what}");
    }
}

#[tokio::test]
async fn gzip_is_read_within_the_same_limit_and_what_is_not_is_refused_with_what_is() {
    let world = World::start().await;
    let mut client = world.screening().send_compressed(CompressionEncoding::Gzip);
    let request = |invoice: String| {
        let sent = v1::Conversion { invoice_id: invoice, ..conversion("cv-1", "ann", "bob") };
        v1::ScreenConversionRequest { conversion: Some(sent) }
    };
    client.screen_conversion(request(String::new())).await.unwrap();
    let bomb = client.screen_conversion(request("x".repeat(5 << 20))).await.unwrap_err();
    assert_eq!((bomb.code(), reason(&bomb).as_str()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"), "{bomb:?}");
    let other = answered(&world, &[1, 0, 0, 0, 1, 0], Some("snappy")).await;
    let status = Status::from_header_map(other.headers()).unwrap();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::Unimplemented, "UNKNOWN_ENCODING"));
    let taken = other.headers().get("grpc-accept-encoding").unwrap().to_str().unwrap();
    assert!(taken.split(',').any(|encoding| encoding.trim() == "gzip"), "{taken}");
    // Whoever takes compressed answers gets them as they are: none is large.
    let plain = world.screening().accept_compressed(CompressionEncoding::Gzip).screen_conversion(request(String::new())).await;
    assert!(plain.unwrap().metadata().get("grpc-encoding").is_none());
}

#[tokio::test]
async fn a_small_message_of_countless_parts_is_refused_before_it_is_read() {
    let world = World::start().await;
    let bundles = vec![v1::SignalBundle::default(); 1 << 20];
    let request = v1::RecordSignalsRequest { program_id: PROGRAM.to_owned(), record_id: "s".to_owned(), bundles };
    assert!(request.encoded_len() < 4 << 20);
    let refused = world.screening().record_signals(request).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"), "{refused:?}");
    assert!(refused.message().contains("once it is read"), "{}", refused.message());
}

#[tokio::test]
async fn a_page_token_is_taken_by_every_server_of_its_ledger_and_nobody_can_make_one() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::on_disk(folder.path()).await;
    for n in 0..4 {
        world.screen(conversion(&format!("cv-{n}"), "ann", &format!("new-{n}"))).await;
    }
    let listing = |token: &str, referee: &str| v1::ListDecisionsRequest {
        program_id: PROGRAM.to_owned(),
        page_size: 2,
        page_token: token.to_owned(),
        referee_account_id: referee.to_owned(),
        ..Default::default()
    };
    let first = world.screening().list_decisions(listing("", "")).await.unwrap().into_inner();
    let token = first.next_page_token;
    let forged = format!("{}{}", if token.starts_with('A') { "B" } else { "A" }, &token[1..]);
    let elsewhere = World::start().await;
    for (what, asked) in [
        ("a changed token", world.screening().list_decisions(listing(&forged, "")).await),
        ("another filter", world.screening().list_decisions(listing(&token, "new-1")).await),
        ("another ledger", elsewhere.screening().list_decisions(listing(&token, "")).await),
    ] {
        let refused = asked.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"), "{what}");
        assert_eq!(violated(&refused), ["page_token"]);
    }
    let ledger = std::sync::Arc::downgrade(&world.ledger);
    world.stop().await.unwrap().unwrap();
    while ledger.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    let again = World::on_disk(folder.path()).await;
    let second = again.screening().list_decisions(listing(&token, "")).await.unwrap().into_inner();
    assert_eq!(second.decisions.iter().map(|decision| &*decision.conversion_id).collect::<Vec<_>>(), ["cv-1", "cv-0"]);
}

/// The methods of the contract that list.
fn listing_methods() -> BTreeSet<String> {
    let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let methods = files.file.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
    methods.map(|method| method.name().to_owned()).filter(|name| name.starts_with("List")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_listing_answers_more_than_clients_take_and_each_goes_on_to_its_end() {
    const MANY: usize = 520;
    let world = World::start().await;
    let (mut lists, mut payout, mut screening) = (world.list(), world.payout(), world.screening());
    let note = "n".repeat(2_000);
    let long = |n: usize| format!("{n:04}-{}", "i".repeat(120));
    for n in 0..MANY {
        let subject = Some(v1::ListSubject { subject: Some(v1::list_subject::Subject::AccountId(long(n))) });
        let entry = v1::ListEntry { list: v1::ListKind::Blocked.into(), subject, note: note.clone(), ..Default::default() };
        let put = v1::PutListEntryRequest { program_id: PROGRAM.to_owned(), entry: Some(entry), ..Default::default() };
        lists.put_list_entry(put).await.unwrap();
        let subject = Some(v1::HoldSubject { subject: Some(v1::hold_subject::Subject::ReferrerAccountId(long(n))) });
        let place = v1::PlaceHoldRequest { program_id: PROGRAM.to_owned(), subject, note: note.clone(), ..Default::default() };
        payout.place_hold(place).await.unwrap();
        let outcome = v1::Outcome {
            kind: v1::OutcomeKind::Chargeback.into(),
            subject: Some(v1::outcome::Subject::ConversionId(format!("unknown-{n}"))),
            occurred_at: Some(at(NOON - 30)),
            ..Default::default()
        };
        let record = v1::RecordOutcomeRequest { program_id: PROGRAM.to_owned(), outcome_id: long(n), outcome: Some(outcome) };
        screening.record_outcome(record).await.unwrap();
        let mut sent = on_one_device(&long(n), "dan", &format!("joe-{n}"), 5);
        sent.rewards = (0..16)
            .map(|reward| v1::Reward {
                reward_id: format!("{reward:02}{}", &long(n)[..124]),
                beneficiary: v1::Side::Referrer.into(),
                amount: None,
            })
            .collect();
        world.screen(sent).await;
    }
    let calls = world.calls_of("olga");
    let program = v1::Program {
        program_id: PROGRAM.to_owned(),
        stage: v1::ProgramStage::Production.into(),
        confirmation: Some(v1::Confirmation { unbans: true, ..Default::default() }),
        ..Default::default()
    };
    let update = v1::UpdateProgramRequest { program: Some(program) };
    ProgramServiceClient::new(calls.clone()).update_program(update).await.unwrap();
    for n in 0..MANY {
        let remove = v1::RemoveListEntryRequest {
            program_id: PROGRAM.to_owned(),
            list: v1::ListKind::Blocked.into(),
            subject: Some(v1::ListSubject { subject: Some(v1::list_subject::Subject::AccountId(long(n))) }),
            note: note.clone(),
            ..Default::default()
        };
        assert!(lists.remove_list_entry(remove).await.unwrap().into_inner().pending_act.is_some());
    }
    let program_ids: Vec<String> = (0..1_000).map(|n| format!("{n:04}-{}", "p".repeat(100))).collect();
    for n in 0..40 {
        let identity = v1::Identity {
            name: format!("someone-{n:02}"),
            roles: vec![v1::Role::Reviewer.into()],
            program_ids: program_ids.clone(),
            ..Default::default()
        };
        let put = v1::PutIdentityRequest { identity: Some(identity) };
        AccessServiceClient::new(calls.clone()).put_identity(put).await.unwrap();
    }
    let mut seen = BTreeSet::new();
    macro_rules! walk {
        ($name:literal, $client:expr, $method:ident, $request:expr, $entries:ident, $wanted:expr) => {
            let (mut request, mut entries, mut client) = ($request, 0, $client);
            request.page_size = 500;
            loop {
                // A client of its own limits: larger answers would be refused here.
                let answer = client.$method(request.clone()).await.unwrap().into_inner();
                assert!(answer.encoded_len() <= ANSWER_BYTES_MAX, $name);
                entries += answer.$entries.len();
                if answer.next_page_token.is_empty() {
                    break;
                }
                request.page_token = answer.next_page_token;
            }
            assert_eq!(entries, $wanted, $name);
            seen.insert($name.to_owned());
        };
    }
    let program_id = || PROGRAM.to_owned();
    walk!(
        "ListListEntries",
        lists,
        list_list_entries,
        v1::ListListEntriesRequest { program_id: program_id(), ..Default::default() },
        entries,
        MANY
    );
    walk!("ListHolds", payout, list_holds, v1::ListHoldsRequest { program_id: program_id(), ..Default::default() }, holds, MANY);
    walk!(
        "ListPendingOutcomes",
        screening.clone(),
        list_pending_outcomes,
        v1::ListPendingOutcomesRequest { program_id: program_id(), ..Default::default() },
        outcomes,
        MANY
    );
    walk!(
        "ListDecisions",
        screening,
        list_decisions,
        v1::ListDecisionsRequest { program_id: program_id(), ..Default::default() },
        decisions,
        MANY
    );
    walk!(
        "ListDisagreements",
        world.model(),
        list_disagreements,
        v1::ListDisagreementsRequest { program_id: program_id(), ..Default::default() },
        disagreements,
        0
    );
    walk!(
        "ListPrograms",
        ProgramServiceClient::new(calls.clone()),
        list_programs,
        v1::ListProgramsRequest::default(),
        programs,
        3
    );
    walk!(
        "ListIdentities",
        AccessServiceClient::new(calls),
        list_identities,
        v1::ListIdentitiesRequest::default(),
        identities,
        40
    );
    let cases = v1::ListCasesRequest { program_id: program_id(), ..Default::default() };
    let in_review = world.review().list_cases(v1::ListCasesRequest { page_size: 1, ..cases.clone() }).await.unwrap().into_inner();
    let in_review = usize::try_from(in_review.total_size.unwrap()).unwrap();
    walk!("ListCases", world.review(), list_cases, cases, cases, in_review);
    let clusters = v1::ListClustersRequest { program_id: program_id(), ..Default::default() };
    let together = world.review().list_clusters(clusters.clone()).await.unwrap().into_inner().total_size;
    walk!("ListClusters", world.review(), list_clusters, clusters, clusters, usize::try_from(together).unwrap());
    walk!(
        "ListPendingActs",
        ConfirmationServiceClient::new(world.calls_of("lena")),
        list_pending_acts,
        v1::ListPendingActsRequest { program_id: program_id(), ..Default::default() },
        acts,
        MANY
    );
    // As many models as a server loads, and no more, fit into one answer.
    seen.insert("ListModels".to_owned());
    assert_eq!(seen, listing_methods(), "this test walks all listings");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_case_with_thousands_of_notes_is_told_in_parts() {
    const NOTES: usize = 2_600;
    let world = World::start().await;
    world.screen(on_one_device("cv-1", "dan", "joe", 5)).await;
    let mut review = world.review();
    for n in 0..NOTES {
        let note = format!("{n:04} {}", "n".repeat(1_990));
        let add =
            v1::AddNoteRequest { program_id: PROGRAM.to_owned(), case_id: "case-cv-1".to_owned(), note, ..Default::default() };
        review.add_note(add).await.unwrap();
    }
    let mut request =
        v1::GetCaseRequest { program_id: PROGRAM.to_owned(), case_id: "case-cv-1".to_owned(), ..Default::default() };
    let (mut history, mut parts) = (Vec::new(), 0);
    loop {
        let answer = review.get_case(request.clone()).await.unwrap().into_inner();
        assert!(answer.encoded_len() <= ANSWER_BYTES_MAX);
        parts += 1;
        history.splice(0..0, answer.review_case.unwrap().history);
        if answer.earlier_history_page_token.is_empty() {
            break;
        }
        request.history_page_token = answer.earlier_history_page_token;
    }
    let notes: Vec<_> = history.iter().filter(|entry| !entry.note.is_empty()).map(|entry| entry.note[..4].to_owned()).collect();
    assert!(parts > 1 && notes.into_iter().eq((0..NOTES).map(|n| format!("{n:04}"))), "{parts} parts");
    request.history_page_token = "bm90aGluZw".to_owned();
    assert_eq!(violated(&review.get_case(request).await.unwrap_err()), ["history_page_token"]);
}

#[tokio::test]
async fn signals_that_are_too_many_for_one_line_of_an_export_come_before_it() {
    let world = World::start().await;
    let touchpoint = |n: i64| v1::Touchpoint {
        kind: v1::TouchpointKind::PageView.into(),
        occurred_at: Some(at(NOON - 10_000 + n)),
        path_token: "p".repeat(120),
        ..Default::default()
    };
    let journey = v1::Journey { touchpoints: (0..120).map(touchpoint).collect(), ..Default::default() };
    for record in 0..4 {
        let bundle = |n: usize| v1::SignalBundle {
            account_id: format!("account-{record}-{n}"),
            journey: Some(journey.clone()),
            ..Default::default()
        };
        let bundles = (0..100).map(bundle).collect();
        let record_id = format!("s-{record}");
        let request = v1::RecordSignalsRequest { program_id: PROGRAM.to_owned(), record_id, bundles };
        world.screening().record_signals(request).await.unwrap();
    }
    world.screen(conversion("cv-1", "ann", "bob")).await;
    let request = v1::ExportConversionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let mut lines = world.training().export_conversions(request).await.unwrap().into_inner();
    let (mut signals, mut messages) = (Vec::new(), 0);
    while let Some(message) = lines.message().await.unwrap() {
        assert!(message.encoded_len() <= ANSWER_BYTES_MAX);
        assert_eq!(message.cursor.is_empty(), message.conversion.is_none());
        messages += 1;
        let own = message.conversion.map(|line| line.signals_before).unwrap_or_default();
        message.signals_before.into_iter().chain(own).for_each(|part| selfsame::wire::training::join_signals(&mut signals, part));
    }
    let records: Vec<_> = signals.iter().map(|record| (&*record.record_id, record.bundles.len())).collect();
    assert!(messages > 2, "{messages}");
    assert_eq!(records, [("s-0", 100), ("s-1", 100), ("s-2", 100), ("s-3", 100)]);
}
