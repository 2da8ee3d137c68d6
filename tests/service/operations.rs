//! Health, reflection, backup and shutdown, as an operator sees them.

use std::time::Duration;

use futures::StreamExt;
use selfsame::service::limits::Limits;
use selfsame::wire::v1;
use selfsame::wire::v1::stream_backup_response::Part;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::{v1 as reflection, v1alpha};

use crate::world::{Fault, NOON, PROGRAM, World, conversion, reason};

const SERVING: i32 = 1;
const NOT_SERVING: i32 = 2;

const SERVICES: [&str; 7] = [
    "selfsame.v1.ListService",
    "selfsame.v1.ModelService",
    "selfsame.v1.OperationsService",
    "selfsame.v1.PayoutService",
    "selfsame.v1.ReviewService",
    "selfsame.v1.ScreeningService",
    "selfsame.v1.TrainingService",
];

#[tokio::test]
async fn reflection_lists_all_services_in_both_versions() {
    let world = World::start().await;
    let request = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(world.channel.clone());
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    let Some(MessageResponse::ListServicesResponse(listed)) = answers.next().await.unwrap().unwrap().message_response else {
        panic!("no list")
    };
    let names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
    assert!(SERVICES.iter().all(|service| names.iter().any(|name| name == service)), "{names:?}");
    assert!(names.iter().any(|name| name == "grpc.health.v1.Health"));

    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(SERVICES[0].to_owned())),
    };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(world.channel.clone());
    let mut answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.next().await.unwrap().unwrap().message_response;
    assert!(matches!(answer, Some(v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_))));
}

#[tokio::test]
async fn health_turns_when_the_ledger_is_poisoned_and_back() {
    let world = World::start().await;
    let mut client = HealthClient::new(world.channel.clone());
    for service in SERVICES.iter().copied().chain([""]) {
        let request = HealthCheckRequest { service: service.to_owned() };
        assert_eq!(client.check(request).await.unwrap().into_inner().status, SERVING, "{service}");
    }
    let request = HealthCheckRequest { service: "selfsame.v1.PayoutService".to_owned() };
    let mut watch = client.watch(request).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status, SERVING);

    // The failing write wakes health at once; nothing waits for its next look.
    *world.ledger.poisoned.lock() = Some("disk full".to_owned());
    world.break_ledger(Fault::Fails(selfsame::ports::ledger::LedgerError::Unavailable("disk full".to_owned())));
    let request = v1::ScreenConversionRequest { conversion: Some(conversion("cv-1", "ann", "bob")) };
    assert!(world.screening().screen_conversion(request.clone()).await.is_err());
    assert_eq!(watch.next().await.unwrap().unwrap().status, NOT_SERVING);

    *world.ledger.poisoned.lock() = None;
    assert!(world.screening().screen_conversion(request).await.is_err());
    assert_eq!(watch.next().await.unwrap().unwrap().status, SERVING);
}

#[tokio::test]
async fn a_backup_comes_in_parts_with_its_summary_last() {
    let world = World::start().await;
    *world.ledger.backup.lock() = vec![7; 700_000];
    let mut client = v1::operations_service_client::OperationsServiceClient::new(world.channel.clone());
    let parts = client.stream_backup(v1::StreamBackupRequest {}).await.unwrap().into_inner();
    let parts: Vec<Part> = parts.map(|part| part.unwrap().part.unwrap()).collect().await;
    let [content @ .., Part::Summary(summary)] = parts.as_slice() else { panic!("the summary is not last") };
    let sizes: Vec<usize> = content.iter().map(|part| if let Part::Content(bytes) = part { bytes.len() } else { 0 }).collect();
    assert_eq!(sizes, [262_144, 262_144, 175_712]);
    assert_eq!(summary.size_bytes, 700_000);
}

#[tokio::test]
async fn a_look_at_the_server_tells_its_keys_and_how_much_could_not_be_compared() {
    let world = World::start().await;
    for number in 0..20 {
        let mut sent = conversion(&format!("cv-{number}"), &format!("ann-{number}"), &format!("bob-{number}"));
        if number < 5 {
            "k2".clone_into(&mut sent.referee.as_mut().unwrap().emails[0].mailbox[0].key_id);
        }
        world.screen(sent).await;
    }
    let mut client = v1::operations_service_client::OperationsServiceClient::new(world.channel.clone());
    let found = client.diagnose(v1::DiagnoseRequest { program_id: PROGRAM.to_owned() }).await.unwrap().into_inner();
    let keys: Vec<_> = found.keys.iter().map(|key| (key.key_id.as_str(), key.decisions, key.compared)).collect();
    assert_eq!(keys, [("k1", 20, 15), ("k2", 5, 0)]);
    let of_keys = found.findings.iter().find(|finding| finding.subject == "keys").unwrap();
    assert!(of_keys.sentence.contains("5 of the newest 20 conversions could not be compared"), "{of_keys:?}");
    assert_eq!((of_keys.level(), of_keys.fix.is_empty()), (v1::FindingLevel::Wrong, false));
    assert_eq!(found.server_time.unwrap().seconds, NOON);
    let unknown = client.diagnose(v1::DiagnoseRequest { program_id: "nowhere".to_owned() }).await.unwrap_err();
    assert_eq!(reason(&unknown), "PROGRAM_NOT_KNOWN");
}

#[tokio::test]
async fn a_server_in_memory_refuses_a_backup_and_a_reader_that_leaves_gives_its_place_back() {
    let world = World::with_limits(Limits { streams_max: 1, ..Limits::default() }).await;
    let mut client = v1::operations_service_client::OperationsServiceClient::new(world.channel.clone());
    let mut parts = client.stream_backup(v1::StreamBackupRequest {}).await.unwrap().into_inner();
    let refused = parts.message().await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    drop(parts);
    *world.ledger.backup.lock() = vec![7; 50_000_000];
    drop(client.stream_backup(v1::StreamBackupRequest {}).await.unwrap());
    // The place is free as soon as the writer notices.
    let again = async {
        loop {
            match client.stream_backup(v1::StreamBackupRequest {}).await {
                Ok(parts) => break parts.into_inner(),
                Err(busy) => assert_eq!(busy.code(), tonic::Code::ResourceExhausted, "{busy}"),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let mut parts = tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    assert!(matches!(parts.message().await.unwrap().unwrap().part, Some(Part::Content(_))));
}

#[tokio::test]
async fn a_drain_says_so_lets_health_watchers_go_and_ends() {
    let world = World::start().await;
    world.screen(conversion("cv-1", "ann", "bob")).await;
    let mut client = HealthClient::new(world.channel.clone());
    let mut watch = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().status, SERVING);
    let channel = world.channel.clone();
    let ended = world.stop();
    let rest: Vec<HealthCheckResponse> = watch.map(Result::unwrap).collect().await;
    assert_eq!(rest.iter().map(|answer| answer.status).collect::<Vec<i32>>(), [NOT_SERVING]);
    ended.await.unwrap().unwrap();
    let mut client = v1::review_service_client::ReviewServiceClient::new(channel);
    let request = v1::GetQueueStatsRequest { program_id: PROGRAM.to_owned() };
    assert!(client.get_queue_stats(request).await.is_err(), "nothing is taken any more");
}
