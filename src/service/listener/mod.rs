//! The listener: who may connect, for how long a connection may be silent, and how each is served until it ends. Nobody can starve it: places are
//! counted in all and for each address, and whoever takes one must say something soon, in whole frames, and go on asking.

mod connection;
mod frames;
mod places;
mod watched;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::connection::{Answers, Ended};
pub(super) use self::connection::{CertificateNames, Serving};
use self::places::{Full, Places};
use super::forwarding::ReplicaLinks;
use super::told::Lines;
use crate::adapters::tls::ServerTls;

/// How connections are taken, and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections in all; more are closed at once.
    pub all_max: usize,
    /// Connections of one address: of IPv6, of its network of 64 bits.
    pub an_address_max: usize,
    /// How long agreeing on TLS, the first frame, and every other frame that was begun may take.
    pub frame_max: Duration,
    /// How long a connection may be there before its first call.
    pub first_call_max: Duration,
    /// How long a connection may be there without a call.
    pub idle_max: Duration,
    /// Calls of one connection at a time; a client that wants more waits, or connects again.
    pub streams_max: u32,
    /// How often a client is asked whether it is there.
    pub ping_every: Duration,
    /// How long it may take to answer that.
    pub pong_max: Duration,
    /// How long a connection that ends may take to deliver what was answered.
    pub unsent_max: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            all_max: 2_048,
            an_address_max: 1_024,
            frame_max: Duration::from_secs(10),
            first_call_max: Duration::from_secs(60),
            idle_max: Duration::from_secs(300),
            // As tonic's own server has it.
            streams_max: 200,
            ping_every: Duration::from_secs(30),
            // A ping waits behind what was sent before it: a slow reader may need some time.
            pong_max: Duration::from_secs(60),
            unsent_max: Duration::from_secs(5),
        }
    }
}

/// What a server knows of its connections.
#[derive(Clone, Default)]
pub struct Connections {
    /// The certificate; absent where plaintext is spoken.
    pub tls: Option<Arc<ServerTls>>,
    /// How other replicas are reached, where there are some.
    pub replicas: Option<ReplicaLinks>,
    /// How connections are taken, and kept.
    pub limits: ConnectionLimits,
}

/// How long nothing is taken after taking failed, for want of descriptors for example.
const PAUSE: Duration = Duration::from_millis(100);
/// The counter of connections that were closed at once.
const REFUSED: &str = "selfsame_connections_refused_total";
/// The counter of connections that were ended from here.
const ENDED: &str = "selfsame_connections_ended_total";

/// Takes connections until `draining`, then completes when all of them have ended. Dropped, it ends them.
pub(super) async fn run<S: Answers>(listener: TcpListener, serving: Serving<S>, mut draining: watch::Receiver<bool>) {
    let (limits, handed) = (serving.limits.clone(), draining.clone());
    let places = Places::new(limits.all_max, limits.an_address_max);
    let lines = Lines::new(1);
    for full in Full::ALL {
        metrics::counter!(REFUSED, "reason" => full.as_str()).increment(0);
    }
    for ended in Ended::ALL {
        metrics::counter!(ENDED, "reason" => ended.as_str()).increment(0);
    }
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            () = drained(&mut draining) => break,
            Some(_) = tasks.join_next() => {}
            taken = listener.accept() => match taken {
                Ok((stream, peer)) => match places.take(peer.ip()) {
                    Ok(place) => drop(tasks.spawn(serving.clone().serve(stream, place, handed.clone()))),
                    Err(full) => refuse(&lines, full, peer, &limits),
                },
                Err(error) => {
                    if let Some(left_out) = lines.may_write(Instant::now()) {
                        tracing::warn!(%error, left_out, "no connection can be taken; it is tried again");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            },
        }
    }
    // Whoever connects from now on is refused by the system.
    drop((listener, handed));
    while tasks.join_next().await.is_some() {}
}

/// Completes once no new calls are taken; also when whoever would tell is gone.
async fn drained(draining: &mut watch::Receiver<bool>) {
    drop(draining.wait_for(|draining| *draining).await);
}

/// Counts and tells of a connection that is closed at once.
fn refuse(lines: &Lines, full: Full, peer: SocketAddr, limits: &ConnectionLimits) {
    metrics::counter!(REFUSED, "reason" => full.as_str()).increment(1);
    let Some(left_out) = lines.may_write(Instant::now()) else { return };
    let address = peer.ip();
    match full {
        Full::Address => tracing::warn!(
            %address,
            most = limits.an_address_max,
            left_out,
            "a connection was refused: its address has as many as it may (`limits.connections_an_address_max`)"
        ),
        Full::All => tracing::warn!(
            %address,
            most = limits.all_max,
            left_out,
            "a connection was refused: there are as many as may be (`limits.connections_max`)"
        ),
    }
}

/// Counts a connection that was ended from here.
fn count_ended(ended: Ended) {
    metrics::counter!(ENDED, "reason" => ended.as_str()).increment(1);
}
