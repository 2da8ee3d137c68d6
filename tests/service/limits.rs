//! Limits: deadlines, concurrency, streams, sizes, and what strangers send.

use std::time::Duration;

use http_body_util::StreamBody;
use selfsame::ports::ledger::Answerers;
use selfsame::service::limits::Limits;
use selfsame::wire::v1;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::{Code, Request, Status};
use tower::ServiceExt as _;

use crate::world::{Fault, PROGRAM, World, conversion, on_one_device, reason, retry_after};

fn screening(id: &str) -> v1::ScreenConversionRequest {
    v1::ScreenConversionRequest { conversion: Some(conversion(id, "ann", "bob")) }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_answered_at_the_servers_limit() {
    let world = World::with_limits(Limits { deadline_max: Duration::from_millis(30), ..Limits::default() }).await;
    world.break_ledger(Fault::NeverAnswers);
    let refused = world.screening().screen_conversion(screening("cv-1")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
}

#[tokio::test]
async fn a_full_server_refuses_at_once_and_says_when_to_come_back() {
    let world = World::with_limits(Limits { in_flight_max: 1, ..Limits::default() }).await;
    world.break_ledger(Fault::NeverAnswers);
    let mut client = world.screening();
    let stuck = tokio::spawn(async move { client.screen_conversion(screening("cv-1")).await });
    world.ledger.stuck.notified().await;
    let refused = world.screening().screen_conversion(screening("cv-2")).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "SERVER_BUSY"));
    assert!(retry_after(&refused).is_some());
    let health = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let mut client = tonic_health::pb::health_client::HealthClient::new(world.channel.clone());
    assert_eq!(client.check(health).await.unwrap().into_inner().status, 1, "health answers under a flood too");
    stuck.abort();
}

#[tokio::test]
async fn reads_whose_callers_have_left_keep_their_places_so_that_retries_pile_nothing_up() {
    let deadline_max = Duration::from_millis(30);
    let world = World::with_limits(Limits { reads_max: 2, deadline_max, ..Limits::default() }).await;
    world.screen(on_one_device("cv-1", "dan", "joe", 5)).await;
    world.break_ledger(Fault::ReadsWait);
    let listing = || v1::ListDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let mut refusals = Vec::new();
    for _ in 0..6 {
        refusals.push(world.screening().list_decisions(listing()).await.unwrap_err());
    }
    world.break_ledger(Fault::None);
    let reasons: Vec<String> = refusals.iter().map(reason).collect();
    let busy = |reason: &String| reason.as_str() == "SERVER_BUSY";
    assert_eq!(reasons.iter().position(busy), Some(2), "{reasons:?}");
    assert!(reasons[2..].iter().all(busy), "{reasons:?}");
    assert!(retry_after(&refusals[2]).is_some());
    while world.screening().list_decisions(listing()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_case_is_resolved_while_all_places_of_reads_are_taken() {
    let world = World::with_limits(Limits { reads_max: 0, ..Limits::default() }).await;
    world.screen(on_one_device("cv-1", "dan", "joe", 5)).await;
    let listing = v1::ListDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let refused = world.screening().list_decisions(listing).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "SERVER_BUSY"));
    let accept = v1::ResolveCaseRequest {
        program_id: PROGRAM.to_owned(),
        case_id: "case-cv-1".to_owned(),
        resolution: v1::Resolution::Accept.into(),
        ..Default::default()
    };
    let resolved = world.review().resolve_case(accept).await.unwrap().into_inner();
    assert_eq!(resolved.decision.unwrap().verdict(), v1::Verdict::Approved);
}

#[tokio::test]
async fn streams_have_places_of_their_own_and_give_them_back() {
    let world = World::with_limits(Limits { streams_max: 1, ..Limits::default() }).await;
    let watch = v1::WatchDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let open = world.payout().watch_decisions(watch.clone()).await.unwrap();
    let refused = world.payout().watch_decisions(watch.clone()).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "TOO_MANY_STREAMS"));
    assert!(world.screening().screen_conversion(screening("cv-1")).await.is_ok());
    drop(open);
    while world.payout().watch_decisions(watch.clone()).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_told_the_limit() {
    for answerers in [Answerers::ThisProcess, Answerers::ManyProcesses] {
        let limits = Limits { message_bytes_max: 65_536, ..Limits::default() };
        let world = World::answered_by(answerers, limits).await;
        let mut request = screening("cv-1");
        request.conversion.as_mut().unwrap().invoice_id = "x".repeat(100_000);
        let refused = world.screening().screen_conversion(request).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"), "{answerers:?}");
        assert!(refused.message().contains("65536"), "{}", refused.message());
    }
}

#[tokio::test]
async fn a_request_that_is_begun_and_never_sent_is_answered_at_the_servers_limit() {
    for answerers in [Answerers::ThisProcess, Answerers::ManyProcesses] {
        let limits = Limits { deadline_max: Duration::from_millis(30), ..Limits::default() };
        let world = World::answered_by(answerers, limits).await;
        let never = Body::new(StreamBody::new(futures::stream::pending::<Result<_, Status>>()));
        let path = "/selfsame.v1.ScreeningService/ScreenConversion";
        let request = http::Request::post(path).header("content-type", "application/grpc").body(never).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(5), world.channel.clone().oneshot(request)).await;
        let refused = Status::from_header_map(answer.unwrap().unwrap().headers()).unwrap();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{answerers:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_message_and_methods_that_are_none_are_refused_with_a_reason() {
    let world = World::start().await;
    // A health request is not a conversion: its field 1 is text where a message should be.
    let sent = tonic_health::pb::HealthCheckRequest { service: "\u{7f}\u{7f}\u{7f}".to_owned() };
    let call = |path: &'static str| {
        let channel = world.channel.clone();
        let sent = sent.clone();
        async move {
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.unwrap();
            let codec = tonic_prost::ProstCodec::<tonic_health::pb::HealthCheckRequest, v1::ScreenConversionResponse>::default();
            client.unary(Request::new(sent), path.parse().unwrap(), codec).await.unwrap_err()
        }
    };
    let malformed = call("/selfsame.v1.ScreeningService/ScreenConversion").await;
    assert_eq!((malformed.code(), reason(&malformed).as_str()), (Code::InvalidArgument, "MALFORMED_MESSAGE"));
    let unknown = call("/selfsame.v1.ScreeningService/Nothing").await;
    assert_eq!((unknown.code(), reason(&unknown).as_str()), (Code::Unimplemented, "UNKNOWN_METHOD"));
}
