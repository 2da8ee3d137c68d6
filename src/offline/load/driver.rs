//! Drives a server: sends conversions in a closed or an open loop and records the answers.
//!
//! It must never wait for an answer before it sends the next planned request of an open loop. Called by `selfsame bench` and by
//! [`super::compare`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::generator::Traffic;
use super::recorder::{InvalidRange, Measured, Recorder};
use super::schedule::{Arrivals, Schedule, pace};
use crate::adapters::tls::{Destination, trouble_of};
use crate::wire::credentials::Credentials;
use crate::wire::v1;
use crate::wire::v1::screening_service_client::ScreeningServiceClient;

/// How long stragglers are awaited once sending has ended.
const DRAIN_MAX: Duration = Duration::from_secs(30);
/// After this a request counts as lost. Long, because a short one would hide slow answers.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);

/// How fast requests leave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// As fast as answers come, this many at a time.
    ClosedLoop,
    /// At planned times. Latency counts from the planned time.
    OpenLoop {
        /// For each second. Above zero.
        rate_per_second: f64,
        /// How they are spread.
        arrivals: Arrivals,
    },
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// After this time.
    Elapsed(Duration),
    /// After this many conversions.
    Sent(u64),
}

/// A run to make.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is sent.
    pub traffic: Traffic,
    /// The number of the first conversion.
    pub first_index: u64,
    /// How fast.
    pub pace: Pace,
    /// How long.
    pub until: Until,
    /// Requests in flight: exactly so many in a closed loop, at most so many in an open one (the rest waits here, and its latency runs).
    pub in_flight: usize,
}

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The server does not answer.
    #[error("cannot connect to `{target}`: {reason}")]
    Connect {
        /// Where.
        target: String,
        /// What was said.
        reason: String,
    },
    /// The histogram cannot be made.
    #[error(transparent)]
    Recorder(#[from] InvalidRange),
    /// An open loop runs for a time, not for a count.
    #[error("an open loop needs a duration")]
    OpenLoopWithoutDuration,
    /// A child process or thread could not be started.
    #[error("{doing} failed: {reason}")]
    Start {
        /// What was being started.
        doing: &'static str,
        /// What was said.
        reason: String,
    },
}

/// A connection whose calls say who calls.
pub type Connection = InterceptedService<Channel, Credentials>;

/// Connections to one server.
#[derive(Debug, Clone)]
pub struct Target {
    name: String,
    channels: Vec<Connection>,
}

impl Target {
    /// Opens this many connections.
    ///
    /// # Errors
    /// [`LoadError::Connect`].
    pub async fn connect(target: &Destination, connections: usize, credentials: &Credentials) -> Result<Self, LoadError> {
        let name = target.name();
        let mut channels = Vec::with_capacity(connections);
        for _ in 0..connections.max(1) {
            let refused = |error: tonic::transport::Error| LoadError::Connect {
                target: name.clone(),
                reason: trouble_of(&error).unwrap_or_else(|| error.to_string()),
            };
            channels.push(Connection::new(target.connect().await.map_err(refused)?, credentials.clone()));
        }
        Ok(Self { name, channels })
    }

    /// Where the connections lead.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One of the connections.
    #[must_use]
    pub fn first_channel(&self) -> Connection {
        // INVARIANT: `connect` makes at least one.
        self.channels[0].clone()
    }
}

/// How far a run is; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    sent: AtomicU64,
    answered: AtomicU64,
}

impl Progress {
    /// Requests sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Answers that came, refusals included.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

/// One connection with what it recorded.
struct Lane {
    client: ScreeningServiceClient<Connection>,
    recorder: Mutex<Recorder>,
    progress: Arc<Progress>,
}

impl Lane {
    /// Sends one conversion; its latency runs from `intended_at`.
    async fn send(&self, conversion: v1::Conversion, intended_at: Instant) {
        self.progress.sent.fetch_add(1, Ordering::Relaxed);
        let mut request = tonic::Request::new(v1::ScreenConversionRequest { conversion: Some(conversion) });
        request.set_timeout(REQUEST_DEADLINE);
        let answer = self.client.clone().screen_conversion(request).await;
        let latency = intended_at.elapsed();
        let mut recorder = self.recorder.lock();
        match answer {
            Ok(response) => {
                let verdict = response.get_ref().decision.as_ref().map_or(v1::Verdict::Unspecified, v1::Decision::verdict);
                recorder.answered(latency, verdict.as_str_name().trim_start_matches("VERDICT_"));
            }
            Err(status) => recorder.refused(code_name(status.code()), status.message()),
        }
        drop(recorder);
        self.progress.answered.fetch_add(1, Ordering::Relaxed);
    }
}

fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Makes one run.
///
/// # Errors
/// [`LoadError`]; refusals by the server are counted, not returned.
pub async fn run(target: &Target, plan: &Plan, progress: &Arc<Progress>) -> Result<Measured, LoadError> {
    let mut lanes = Vec::with_capacity(target.channels.len());
    for channel in &target.channels {
        let client = ScreeningServiceClient::new(channel.clone());
        lanes.push(Arc::new(Lane { client, recorder: Mutex::new(Recorder::new()?), progress: Arc::clone(progress) }));
    }
    let start = Instant::now();
    match plan.pace {
        Pace::ClosedLoop => closed_loop(&lanes, plan, start).await,
        Pace::OpenLoop { rate_per_second, arrivals } => open_loop(&lanes, plan, start, rate_per_second, arrivals).await?,
    }
    let elapsed = start.elapsed();
    let mut all = Recorder::new()?;
    for lane in &lanes {
        all.merge(&lane.recorder.lock());
    }
    Ok(all.measured(elapsed))
}

async fn closed_loop(lanes: &[Arc<Lane>], plan: &Plan, start: Instant) {
    let next = Arc::new(AtomicU64::new(0));
    let mut workers = tokio::task::JoinSet::new();
    for lane in lanes.iter().cycle().take(plan.in_flight) {
        let (lane, next, traffic) = (Arc::clone(lane), Arc::clone(&next), plan.traffic.clone());
        let (first_index, until) = (plan.first_index, plan.until);
        workers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let over = match until {
                    Until::Elapsed(length) => start.elapsed() >= length,
                    Until::Sent(count) => number >= count,
                };
                if over {
                    break;
                }
                let conversion = traffic.conversion(first_index + number);
                lane.send(conversion, Instant::now()).await;
            }
        });
    }
    while workers.join_next().await.is_some() {}
}

async fn open_loop(
    lanes: &[Arc<Lane>],
    plan: &Plan,
    start: Instant,
    rate_per_second: f64,
    arrivals: Arrivals,
) -> Result<(), LoadError> {
    let Until::Elapsed(length) = plan.until else { return Err(LoadError::OpenLoopWithoutDuration) };
    let schedule = Schedule::new(arrivals, rate_per_second, plan.traffic.shape().seed);
    let places = Arc::new(Semaphore::new(plan.in_flight));
    let runtime = tokio::runtime::Handle::current();
    let (ended, mut all_ended) = tokio::sync::mpsc::channel::<()>(1);
    let (traffic, first_index) = (plan.traffic.clone(), plan.first_index);
    let lanes = lanes.to_vec();
    let mut turn = 0;
    let sender = std::thread::Builder::new().name("load-pacer".to_owned()).spawn(move || {
        let mut index = first_index;
        pace(schedule, start, length, |due| {
            let Some(lane) = lanes.get(turn % lanes.len().max(1)).map(Arc::clone) else { return };
            let (places, ended) = (Arc::clone(&places), ended.clone());
            turn += 1;
            let conversion = traffic.conversion(index);
            index += 1;
            runtime.spawn(async move {
                // The semaphore is never closed; without a place the request would only leave sooner.
                let _place = places.acquire().await;
                lane.send(conversion, due).await;
                drop(ended);
            });
        });
    });
    sender.map_err(|error| LoadError::Start { doing: "starting the pacer", reason: error.to_string() })?;
    // Every request holds a sender; the channel ends when the last one has its answer.
    let drained = tokio::time::timeout(length + DRAIN_MAX, all_ended.recv()).await;
    if drained.is_err() {
        tracing::warn!("some requests had no answer when the run was ended");
    }
    Ok(())
}
