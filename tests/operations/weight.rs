//! What callers cost who do not read: memory of the real binary while streams of answers and of the feed stand unread.
//!
//! Small by default. `SELFSAME_WEIGHT=64x20000` opens 64 streams of so many conversions, and three followers for each.

use std::time::Duration;

use selfsame::wire::v1;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use selfsame::adapters::system_clock::SystemClock;
use selfsame::ports::clock::Clock as _;
use selfsame::wire::WireTimestamp;

use crate::server::{PROGRAM, Server};

/// What the process may take beyond what it took before: both budgets, what each stream keeps, and room for the allocator. Unit: MiB.
const GROWTH_MAX_MIB: u64 = 400;

fn sent(stream: usize, number: usize) -> v1::ScreenConversionsRequest {
    let now = WireTimestamp { seconds: SystemClock.now().as_millis() / 1_000, nanos: 0 };
    let side = |account: String| {
        let own: Vec<u8> = account.bytes().chain([0xff; 32]).take(32).collect();
        let fingerprint = vec![v1::Digest { key_id: "k1".to_owned(), value: own.into() }];
        let device = v1::DeviceSignals { fingerprint, ..Default::default() };
        Some(v1::SignalBundle { account_id: account, devices: vec![device], ..Default::default() })
    };
    let conversion = v1::Conversion {
        program_id: PROGRAM.to_owned(),
        conversion_id: format!("unread-{stream}-{number}"),
        kind: v1::ConversionKind::NewSignup.into(),
        occurred_at: Some(now),
        attribution: Some(v1::Attribution { captured_via: v1::CapturedVia::Link.into(), ..Default::default() }),
        referrer: side(format!("referrer-{stream}")),
        referee: side(format!("referee-{stream}-{number}")),
        ..Default::default()
    };
    v1::ScreenConversionsRequest { conversion: Some(conversion) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_nobody_reads_hold_no_more_than_their_budgets() {
    let asked = std::env::var("SELFSAME_WEIGHT").ok().and_then(|text| {
        let (streams, each) = text.split_once('x')?;
        Some((streams.parse().ok()?, each.parse().ok()?))
    });
    let (streams, each): (usize, usize) = asked.unwrap_or((4, 500));
    let server = Server::start(tempfile::tempdir().unwrap());
    let channel = Endpoint::from_shared(server.api.clone()).unwrap().connect().await.unwrap();
    let before = server.resident_mib();
    let (mut open, mut taken) = (Vec::new(), 0);
    for stream in 0..streams {
        // A connection of its own: the windows of one would hold all of its streams back.
        let channel = Endpoint::from_shared(server.api.clone()).unwrap().connect().await.unwrap();
        let (sender, items) = mpsc::channel(1);
        let answers = ScreeningServiceClient::new(channel).screen_conversions(ReceiverStream::new(items)).await.unwrap();
        let mut number = 0;
        while number < each
            && tokio::time::timeout(Duration::from_millis(1_500), sender.send(sent(stream, number)))
                .await
                .is_ok_and(|sent| sent.is_ok())
        {
            number += 1;
        }
        taken += number;
        open.push((sender, answers));
    }
    let screened = server.resident_mib();
    let mut followers = Vec::new();
    // All streams together have 256 places.
    for _ in 0..(streams * 3).min(256 - streams) {
        let watch = v1::WatchDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
        followers.push(PayoutServiceClient::new(channel.clone()).watch_decisions(watch).await.unwrap());
    }
    // Each reads ahead as far as it may.
    tokio::time::timeout(Duration::from_secs(2), std::future::pending::<()>()).await.unwrap_err();
    let followed = server.resident_mib();
    println!(
        "{streams} unread streams took {taken} conversions and {} MiB; {} unread followers {} MiB",
        screened.saturating_sub(before),
        followers.len(),
        followed.saturating_sub(screened)
    );
    assert!(followed.saturating_sub(before) < GROWTH_MAX_MIB, "{before} MiB, {screened} MiB, {followed} MiB");
    drop((open, followers));
    server.stop();
}
