//! Claims about connections: nobody can starve the listener by opening many, by saying nothing, or by never reading.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use selfsame::service::limits::Limits;
use selfsame::service::listener::{ConnectionLimits, Connections};
use selfsame::wire::v1;
use selfsame::wire::v1::operations_service_client::OperationsServiceClient;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::world::{Calls, PROGRAM, World, conversion, reason};

/// What a client says before its first frame, and an empty frame of settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
const SOON: Duration = Duration::from_millis(300);
/// Long for what should take [`SOON`].
const PATIENCE: Duration = Duration::from_secs(20);

async fn world_with(limits: ConnectionLimits) -> World {
    World::with_connections(Connections { limits, ..Connections::default() }).await
}

async fn raw(world: &World) -> TcpStream {
    TcpStream::connect(world.address().trim_start_matches("http://")).await.unwrap()
}

/// Reads until the server closes; tells what it said.
async fn until_closed(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is an end too.
    drop(timeout(PATIENCE, stream.read_to_end(&mut said)).await.expect("the server closes"));
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_take_their_places_and_no_more_while_writes_go_on() {
    let limits = ConnectionLimits { all_max: 100, an_address_max: 20, frame_max: SOON, ..ConnectionLimits::default() };
    let world = world_with(limits).await;
    let began = Instant::now();
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(raw(&world).await);
    }
    for number in 0..20 {
        world.screen(conversion(&format!("cv-{number}"), "ann", &format!("ben-{number}"))).await;
    }
    // Those beyond the share of the address are closed at once, the others when they said nothing for too long.
    for stream in &mut flood {
        until_closed(stream).await;
    }
    assert!(began.elapsed() >= SOON);
    let again = Endpoint::from_shared(world.address()).unwrap().connect().await.unwrap();
    let calls = Calls::new(again, selfsame::wire::credentials::Credentials::name("rita").unwrap());
    let watch = v1::WatchDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    assert!(PayoutServiceClient::new(calls).watch_decisions(watch).await.is_ok(), "the places are free again");
    world.screen(conversion("cv-after", "ann", "ben")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beyond_its_addresses_share_is_closed_at_once() {
    // The server's own client of this test has one of the two.
    let limits = ConnectionLimits { an_address_max: 2, frame_max: PATIENCE * 2, ..ConnectionLimits::default() };
    let world = world_with(limits).await;
    let mut kept = raw(&world).await;
    kept.write_all(PREFACE).await.unwrap();
    assert!(kept.read(&mut [0; 9]).await.unwrap() > 0, "one has its place");
    assert_eq!(until_closed(&mut raw(&world).await).await, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_says_a_byte_now_and_then_is_closed() {
    let world = world_with(ConnectionLimits { frame_max: SOON, ..ConnectionLimits::default() }).await;
    for begun in [&PREFACE[..0], PREFACE] {
        let mut stream = raw(&world).await;
        stream.write_all(begun).await.unwrap();
        let began = Instant::now();
        let (mut reads, mut writes) = stream.split();
        // A preface, or headers of 100 bytes, whose bytes come one by one.
        let dribbled = [if begun.is_empty() { &PREFACE[..23] } else { &[] }, &[0, 0, 100, 1, 4, 0, 0, 0, 1]].concat();
        let dribbles = async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            for byte in dribbled.iter().cycle() {
                tick.tick().await;
                if writes.write_all(&[*byte]).await.is_err() {
                    return;
                }
            }
        };
        let mut said = Vec::new();
        tokio::select! {
            () = dribbles => {}
            ended = timeout(PATIENCE, reads.read_to_end(&mut said)) => drop(ended.expect("the server closes")),
        }
        assert!(began.elapsed() >= SOON && began.elapsed() < PATIENCE);
    }
    world.screen(conversion("cv-1", "ann", "ben")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_call_is_told_to_go_and_closed() {
    let limits = ConnectionLimits { first_call_max: SOON, idle_max: SOON, unsent_max: SOON, ..ConnectionLimits::default() };
    let world = world_with(limits).await;
    let mut stream = raw(&world).await;
    stream.write_all(PREFACE).await.unwrap();
    let said = until_closed(&mut stream).await;
    let goaway = said.windows(9).any(|head| head[..2] == [0, 0] && head[3] == 7 && head[5..] == [0; 4]);
    assert!(goaway, "no GOAWAY in {said:?}");
    // A client of gRPC connects again, and notices nothing.
    for number in 0..3 {
        tokio::time::sleep(SOON * 3).await;
        world.screen(conversion(&format!("cv-{number}"), "ann", &format!("ben-{number}"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_ten_thousand_streams_has_its_share_and_others_are_answered() {
    let world = Arc::new(world_with(ConnectionLimits::default()).await);
    let greedy = Endpoint::from_shared(world.address()).unwrap().connect().await.unwrap();
    let (opened, refused) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..10_000 {
        let (channel, opened, refused) = (greedy.clone(), Arc::clone(&opened), Arc::clone(&refused));
        streams.spawn(async move {
            let watch = v1::WatchDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
            match PayoutServiceClient::new(channel).watch_decisions(watch).await {
                Ok(stream) => {
                    opened.fetch_add(1, Ordering::SeqCst);
                    let mut stream = stream.into_inner();
                    while stream.message().await.is_ok_and(|message| message.is_some()) {}
                }
                Err(status) => {
                    assert_eq!(reason(&status), "TOO_MANY_STREAMS");
                    refused.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
    }
    while opened.load(Ordering::SeqCst) < ConnectionLimits::default().streams_max as usize {
        tokio::task::yield_now().await;
    }
    for number in 0..50 {
        let screened = world.screen(conversion(&format!("cv-{number}"), "ann", &format!("ben-{number}")));
        timeout(PATIENCE, screened).await.expect("others are answered");
    }
    assert_eq!(opened.load(Ordering::SeqCst), ConnectionLimits::default().streams_max as usize, "one connection has no more");
    assert_eq!(refused.load(Ordering::SeqCst), 0, "the rest waits with the client");
}

/// A connection whose end can be made deaf: it takes nothing any more, and stays.
struct Ear {
    stream: TcpStream,
    deaf: Arc<Deafness>,
}

#[derive(Default)]
struct Deafness {
    deaf: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl AsyncRead for Ear {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        if own.deaf.deaf.load(Ordering::SeqCst) {
            *own.deaf.waiting.lock() = Some(context.waker().clone());
            return Poll::Pending;
        }
        Pin::new(&mut own.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Ear {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, bytes)
    }
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

/// A client that can be made deaf.
async fn hard_of_hearing(world: &World) -> (Channel, Arc<Deafness>) {
    let deaf = Arc::new(Deafness::default());
    let ear = Mutex::new(Some(Ear { stream: raw(world).await, deaf: Arc::clone(&deaf) }));
    let connector = tower::service_fn(move |_| {
        let ear = ear.lock().take().ok_or_else(|| io::Error::other("it connects once"));
        async move { ear.map(TokioIo::new) }
    });
    (Endpoint::from_static("http://deaf").connect_with_connector(connector).await.unwrap(), deaf)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_holds_neither_its_connection_nor_the_drain() {
    // Without calls: at the drain it is ended when what it was told could not be delivered.
    let limits = ConnectionLimits { unsent_max: SOON, ..ConnectionLimits::default() };
    let world = world_with(limits.clone()).await;
    let (channel, deaf) = hard_of_hearing(&world).await;
    let calls = Calls::new(channel, selfsame::wire::credentials::Credentials::name("rita").unwrap());
    let unknown = v1::GetDecisionRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let mut screening = v1::screening_service_client::ScreeningServiceClient::new(calls);
    assert!(screening.get_decision(unknown).await.is_err());
    deaf.deaf.store(true, Ordering::SeqCst);
    timeout(PATIENCE, world.stop()).await.expect("the drain ends long before its limit").unwrap().unwrap();

    // In the midst of a stream: it does not answer whether it is there, and is ended without a drain.
    let limits = ConnectionLimits { ping_every: SOON, pong_max: SOON, ..limits };
    let world = world_with(limits).await;
    *world.ledger.backup.lock() = vec![7; 64 << 20];
    let (channel, deaf) = hard_of_hearing(&world).await;
    let calls = Calls::new(channel, selfsame::wire::credentials::Credentials::name("rita").unwrap());
    let mut parts = OperationsServiceClient::new(calls).stream_backup(v1::StreamBackupRequest {}).await.unwrap().into_inner();
    assert!(parts.message().await.unwrap().is_some());
    deaf.deaf.store(true, Ordering::SeqCst);
    let stopped = world.stop();
    timeout(PATIENCE, stopped).await.expect("the drain ends long before its limit").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_dropped_at_the_end_of_the_drain() {
    let world = World::with_limits(Limits { drain_max: SOON, ..Limits::default() }).await;
    *world.ledger.backup.lock() = vec![7; 64 << 20];
    let (channel, deaf) = hard_of_hearing(&world).await;
    let calls = Calls::new(channel, selfsame::wire::credentials::Credentials::name("rita").unwrap());
    let mut parts = OperationsServiceClient::new(calls).stream_backup(v1::StreamBackupRequest {}).await.unwrap().into_inner();
    assert!(parts.message().await.unwrap().is_some());
    deaf.deaf.store(true, Ordering::SeqCst);
    timeout(PATIENCE, world.stop()).await.expect("the drain has an end").unwrap().unwrap();
}
