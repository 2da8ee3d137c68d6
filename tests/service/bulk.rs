//! `ScreenConversions` under clients that send all they have: nobody is cut off, everything is answered, and a drain says what was not.

use std::time::Duration;

use futures::StreamExt;
use selfsame::service::limits::Limits;
use selfsame::wire::v1;
use tokio::sync::mpsc;
use tonic::transport::Endpoint;
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

use crate::world::{World, conversion, reason};

/// A message of some eighty bytes.
fn tiny(n: usize) -> v1::ScreenConversionsRequest {
    let side = |account: String| Some(v1::SignalBundle { account_id: account, ..Default::default() });
    v1::ScreenConversionsRequest {
        conversion: Some(v1::Conversion {
            program_id: "shop".to_owned(),
            conversion_id: format!("c-{n}"),
            kind: v1::ConversionKind::NewSignup.into(),
            occurred_at: Some(crate::world::at(crate::world::NOON)),
            attribution: Some(v1::Attribution { captured_via: v1::CapturedVia::Link.into(), ..Default::default() }),
            referrer: side(format!("r-{n}")),
            referee: side(format!("u-{n}")),
            ..Default::default()
        }),
    }
}

async fn positions(stream: Streaming<v1::ScreenConversionsResponse>) -> Vec<u64> {
    stream.map(|answer| answer.unwrap().position).collect().await
}

/// Ends without a verdict on a machine that is slow; a bound, not a measure.
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), work).await.expect("the stream stands still")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_tiny_messages_is_answered_to_the_last_one() {
    // Twenty floods, each message in a frame of its own: the stream of requests is never ready with the next one at once.
    let world = World::start().await;
    let uri = world.address();
    for run in 0..20 {
        let channel = Endpoint::from_shared(uri.clone()).unwrap().connect().await.unwrap();
        let mut client = v1::screening_service_client::ScreeningServiceClient::new(channel);
        let sent = futures::stream::iter((0..5_000).map(move |n| tiny(run * 5_000 + n))).then(|message| async {
            tokio::task::yield_now().await;
            message
        });
        let answers = in_time(async { positions(client.screen_conversions(sent).await.unwrap().into_inner()).await }).await;
        assert!(answers.into_iter().eq(0..5_000), "run {run}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_nothing_before_it_has_sent_everything_is_served() {
    let world = World::start().await;
    let (sender, sent) = mpsc::channel(1);
    let mut client = world.screening();
    let sent = tokio_stream::wrappers::ReceiverStream::new(sent);
    let answers = client.screen_conversions(sent).await.unwrap().into_inner();
    for n in 0..8_000 {
        in_time(sender.send(tiny(n))).await.unwrap();
    }
    drop(sender);
    assert!(in_time(positions(answers)).await.into_iter().eq(0..8_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_have_a_bound_and_others_are_served_meanwhile() {
    let world = World::with_limits(Limits { unread_bytes_max: 10_000, stream_in_flight_max: 4, ..Limits::default() }).await;
    let (sender, sent) = mpsc::channel(1);
    let idle = world.screening().screen_conversions(tokio_stream::wrappers::ReceiverStream::new(sent)).await.unwrap();
    let mut taken = 0;
    while let Ok(Ok(())) = tokio::time::timeout(Duration::from_millis(500), sender.send(tiny(taken))).await {
        taken += 1;
        assert!(taken < 100_000, "a reader that never reads is served without bound");
    }
    let other = futures::stream::iter((200_000..201_000).map(tiny));
    let answers =
        in_time(async { positions(world.screening().screen_conversions(other).await.unwrap().into_inner()).await }).await;
    assert_eq!(answers.len(), 1_000);
    drop(idle);
}

#[tokio::test]
async fn a_drain_in_the_middle_of_a_stream_says_which_positions_were_not_answered() {
    let world = World::start().await;
    let (sender, sent) = mpsc::channel(1);
    let mut answers =
        world.screening().screen_conversions(tokio_stream::wrappers::ReceiverStream::new(sent)).await.unwrap().into_inner();
    for n in 0..3 {
        sender
            .send(v1::ScreenConversionsRequest { conversion: Some(conversion(&format!("cv-{n}"), "ann", "bob")) })
            .await
            .unwrap();
        assert_eq!(answers.message().await.unwrap().unwrap().position, n);
    }
    let ended = world.stop();
    let last = answers.message().await.unwrap_err();
    assert_eq!((last.code(), reason(&last).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
    assert!(last.message().contains("position 3"), "{}", last.message());
    let metadata = last.get_details_error_info().unwrap().metadata;
    assert_eq!(metadata.get("first_unanswered_position").map(String::as_str), Some("3"));
    drop(sender);
    ended.await.unwrap().unwrap();
}
