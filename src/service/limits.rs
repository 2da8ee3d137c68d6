//! Limits and the guard: the tower layer around all methods that bounds how many calls run and for how long, contains panics, counts, and
//! gives every refusal of the transport its `google.rpc` details.
//!
//! It must never look into a message, and never let a call through that it did not count. The door is right outside this one, so that strangers
//! take no place. The server wraps it around the router; `contained` is used by streams too.

use std::any::Any;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use metrics::SharedString;
use prost::Message;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::access::Caller;
use super::budgets::{ByteBudget, Intake, counted};
use super::errors::Refusal;
use super::told::{self, Lines};
use crate::adapters::traces;
use crate::ports::spans::span;

/// How much the server takes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Calls in flight, over all connections; more are refused at once. Streams count apart.
    pub in_flight_max: usize,
    /// Open streams, over all connections.
    pub streams_max: usize,
    /// Conversions of one `ScreenConversions` stream that are screened at a time.
    pub stream_in_flight_max: usize,
    /// Requests, over all connections, from their first byte until they are answered; of calls beyond it each is refused at once. A message takes up to
    /// twelve times as much once it is read. Unit: bytes.
    pub request_bytes_max: usize,
    /// Answers of streams that wait for readers who are slow; beyond it each stream keeps a little and waits for its reader. Unit: bytes.
    pub unread_bytes_max: usize,
    /// How often one caller may call; absent for as often as it likes.
    pub pace: Option<Pace>,
    /// How often one caller may ask about one person in ten minutes: screen it, or look at its decisions. Absent for as often as it likes.
    pub asks_about_one: Option<NonZeroU32>,
    /// Reads that may wait for the disk and run at a time; of calls that would begin more, each is refused at once. A read whose caller has left counts
    /// until it ends.
    pub reads_max: usize,
    /// The longest that a call may take. A caller's `grpc-timeout` may be shorter. Streams have no such limit.
    pub deadline_max: Duration,
    /// The largest message that is read. Unit: bytes.
    pub message_bytes_max: usize,
    /// The age at which a connection is asked to reconnect, so that clients spread over replicas; absent means never.
    pub connection_age_max: Option<Duration>,
    /// How long its running calls may go on after that.
    pub connection_age_grace: Duration,
    /// How long a shutdown waits for running calls.
    pub drain_max: Duration,
    /// Decisions that have a line of the log in a second, and as many refusals; 0: none has.
    pub log_lines_per_second: u32,
}

/// How often one caller may call: a bucket that fills at an even rate, and is full at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Calls that it gains in a second.
    pub per_second: NonZeroU32,
    /// Calls that may come at once when it is full.
    pub burst: NonZeroU32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 1_024,
            streams_max: 256,
            stream_in_flight_max: 128,
            request_bytes_max: 64 << 20,
            unread_bytes_max: 64 << 20,
            // One backend carries the whole traffic of most programmes; what it may hold at a time is bounded without a pace.
            pace: None,
            asks_about_one: NonZeroU32::new(60),
            reads_max: 64,
            deadline_max: Duration::from_secs(30),
            message_bytes_max: 4 * 1_024 * 1_024,
            connection_age_max: None,
            connection_age_grace: Duration::from_secs(30),
            drain_max: Duration::from_secs(20),
            log_lines_per_second: 100,
        }
    }
}

/// The header of the encodings that a server takes.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// When a caller that met a full server tries again.
const BUSY_RETRY: Duration = Duration::from_millis(100);

/// The counter of contained panics.
pub(super) const PANICS: &str = "selfsame_panics_total";

/// Runs work to its end, and answers a panic as an internal fault. It is logged here, and nowhere else.
pub(super) async fn contained<T>(work: impl Future<Output = T> + Send) -> Result<T, Refusal> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|panic| {
        metrics::counter!(PANICS).increment(1);
        tracing::error!(panic = panic_text(&*panic), "a handler panicked; the caller was answered INTERNAL");
        Refusal::internal()
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a text",
    }
}

/// A place of a stream, until it is dropped.
#[derive(Debug)]
pub(super) struct StreamPlace {
    _own: OwnedSemaphorePermit,
    _common: OwnedSemaphorePermit,
}

/// Places for streams. A stream keeps its place until it is dropped.
#[derive(Debug, Clone)]
pub(super) struct StreamPlaces(Arc<Semaphore>);

impl StreamPlaces {
    pub(super) fn new(limits: &Limits) -> Self {
        Self(Arc::new(Semaphore::new(limits.streams_max)))
    }

    /// A place for a caller, among its own too, or a refusal when all are taken.
    pub(super) fn take(&self, caller: &Caller) -> Result<StreamPlace, Refusal> {
        let common = Arc::clone(&self.0).try_acquire_owned().map_err(|_| Refusal::too_many_streams(Duration::from_secs(1)))?;
        let own = caller.share.stream_place()?;
        Ok(StreamPlace { _own: own, _common: common })
    }
}

/// Places for work on threads that may wait for the disk. Work takes its place along and keeps it until it ends, also when nobody waits for it any
/// more: the queue of such threads has no bound of its own.
#[derive(Debug, Clone)]
pub(super) struct WaitingPlaces(Arc<Semaphore>);

impl WaitingPlaces {
    pub(super) fn new(places: usize) -> Self {
        Self(Arc::new(Semaphore::new(places)))
    }

    /// A place, or a refusal when all are taken.
    pub(super) fn take(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| Refusal::server_busy(BUSY_RETRY))
    }

    /// A place as soon as one is free, in the order of asking.
    pub(super) async fn take_in_turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.0).acquire_owned().await.map_err(|_| Refusal::internal())
    }
}

/// Whether a method answers once or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Unary,
    Stream,
}

/// The methods of the contract by their path. Only these are counted by name, so that a stranger cannot invent labels.
#[derive(Debug)]
struct Methods(BTreeMap<String, (SharedString, Shape)>);

impl Methods {
    fn of_contract(encoded: &[u8]) -> Self {
        let methods = methods_of(encoded).into_iter().map(|(path, name, method)| {
            let streams = method.client_streaming() || method.server_streaming();
            let shape = if streams { Shape::Stream } else { Shape::Unary };
            (path, (SharedString::from_shared(Arc::from(name)), shape))
        });
        Self(methods.collect())
    }
}

/// The methods of an encoded descriptor set, each with its path and its short name, such as `ReviewService/ListCases`.
pub(super) fn methods_of(encoded: &[u8]) -> Vec<(String, String, MethodDescriptorProto)> {
    // The contract is compiled in; if it could not be read, reflection would fail first, and loudly.
    let files = FileDescriptorSet::decode(encoded).unwrap_or_default();
    let mut methods = Vec::new();
    for file in &files.file {
        for service in &file.service {
            for method in &service.method {
                let name = format!("{}/{}", service.name(), method.name());
                methods.push((format!("/{}.{name}", file.package()), name, method.clone()));
            }
        }
    }
    methods
}

/// Makes [`Guard`]s.
#[derive(Debug, Clone)]
pub(super) struct GuardLayer(Arc<GuardState>);

#[derive(Debug)]
struct GuardState {
    methods: Methods,
    places: Arc<Semaphore>,
    request_bytes: ByteBudget,
    deadline_max: Duration,
    refusals: Arc<Lines>,
}

impl GuardLayer {
    /// A guard for the methods of this encoded descriptor set.
    pub(super) fn new(limits: &Limits, contract: &[u8], refusals: Arc<Lines>) -> Self {
        Self(Arc::new(GuardState {
            methods: Methods::of_contract(contract),
            places: Arc::new(Semaphore::new(limits.in_flight_max)),
            request_bytes: ByteBudget::new(limits.request_bytes_max),
            deadline_max: limits.deadline_max,
            refusals,
        }))
    }
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guard<S>;

    fn layer(&self, inner: S) -> Guard<S> {
        Guard { inner, state: Arc::clone(&self.0) }
    }
}

/// A service behind the limits.
#[derive(Debug, Clone)]
pub(super) struct Guard<S> {
    inner: S,
    state: Arc<GuardState>,
}

impl<S> Service<Request<Body>> for Guard<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The clone is not polled for readiness; the one that was is used up by this call.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        let Some((name, shape)) = self.state.methods.0.get(request.uri().path()).cloned() else {
            // Health and reflection must answer under a flood too.
            return async move { inner.call(request).await.map(explained_when_unknown) }.boxed();
        };
        let place = match shape {
            Shape::Unary => Arc::clone(&self.state.places).try_acquire_owned().map(Some),
            Shape::Stream => Ok(None),
        };
        let place = place.map_err(|_| Refusal::server_busy(BUSY_RETRY));
        let caller = request.extensions_mut().get_mut::<Caller>();
        let own_place = match shape {
            Shape::Unary => caller.as_ref().map(|caller| caller.share.call_place()).transpose(),
            Shape::Stream => Ok(None),
        };
        let intake = caller.map(|caller| {
            let intake = Intake::new(&self.state.request_bytes, &caller.share.taken_in);
            Arc::clone(caller.intake.insert(intake))
        });
        let place = match (place, own_place) {
            (Ok(place), Ok(own_place)) => (place, own_place),
            (Err(refusal), _) | (Ok(_), Err(refusal)) => {
                count(name.clone(), Code::ResourceExhausted, Instant::now());
                let refused = Status::from(refusal);
                told::refused(&self.state.refusals, &name, &refused);
                return std::future::ready(Ok(refused.into_http())).boxed();
            }
        };
        let deadline = match shape {
            Shape::Unary => {
                Some(asked_timeout(request.headers()).map_or(self.state.deadline_max, |asked| asked.min(self.state.deadline_max)))
            }
            Shape::Stream => None,
        };
        let state = Arc::clone(&self.state);
        let call =
            span!("call", otel.name = name.as_ref(), otel.kind = "server", rpc.system = "grpc", rpc.grpc.status_code = Empty);
        traces::follow(&call, request.headers());
        if let Some(intake) = &intake {
            let intake = Arc::clone(intake);
            request = request.map(|body| counted(body, intake));
        }
        let mut unanswered = Unanswered { method: Some(name), began: Instant::now() };
        let work = async move {
            let response = within(deadline, contained(async move { inner.call(request).await })).await;
            let left = intake.as_ref().is_some_and(|intake| intake.was_left());
            let response = match response {
                Ok(Ok(response)) => explained(response?, left),
                Ok(Err(refusal)) | Err(refusal) => answer(refusal),
            };
            let began = unanswered.began;
            Span::current().record("rpc.grpc.status_code", i32::from(code_of(response.headers())));
            if let Some(name) = unanswered.method.take() {
                if let Some(status) = Status::from_header_map(response.headers()).filter(|status| status.code() != Code::Ok) {
                    told::refused(&state.refusals, &name, &status);
                }
                count(name, code_of(response.headers()), began);
            }
            drop((place, intake));
            Ok(response)
        };
        work.instrument(call).boxed()
    }
}

/// A call that has no answer yet. Dropped before it has one, its caller left.
struct Unanswered {
    method: Option<SharedString>,
    began: Instant,
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        if let Some(method) = self.method.take() {
            count(method, Code::Cancelled, self.began);
        }
    }
}

/// Runs work for at most so long. What it had begun is dropped; a write that was already handed to the ledger goes on there, and a read goes on in its
/// own place of [`WaitingPlaces`].
async fn within<T>(deadline: Option<Duration>, work: impl Future<Output = T>) -> Result<T, Refusal> {
    match deadline {
        None => Ok(work.await),
        Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| Refusal::deadline(limit)),
    }
}

fn answer(refusal: Refusal) -> Response<Body> {
    Status::from(refusal).into_http()
}

/// Gives an error that the transport made the details that all errors have here.
fn explained(response: Response<Body>, left: bool) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok && status.details().is_empty() => {
            if left {
                return answer(Refusal::caller_left());
            }
            let mut explained = answer(Refusal::of_transport(&status));
            // Which encodings are taken stands beside the refusal of another.
            if let Some(taken) = response.headers().get(ACCEPT_ENCODING) {
                explained.headers_mut().insert(ACCEPT_ENCODING, taken.clone());
            }
            explained
        }
        Some(_) | None => response,
    }
}

fn explained_when_unknown(response: Response<Body>) -> Response<Body> {
    match code_of(response.headers()) {
        Code::Unimplemented => explained(response, false),
        _ => response,
    }
}

/// The code of a response's head. A stream's own end comes later, in its trailers.
fn code_of(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |value| Code::from_bytes(value.as_bytes()))
}

pub(super) fn count(method: SharedString, code: Code, started: Instant) {
    let code = code_name(code);
    metrics::counter!("selfsame_requests_total", "method" => method.clone(), "code" => code).increment(1);
    metrics::histogram!("selfsame_request_seconds", "method" => method, "code" => code).record(started.elapsed().as_secs_f64());
}

pub(super) const fn code_name(code: Code) -> &'static str {
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

/// The time that the caller gives, as `grpc-timeout` has it: up to eight digits and a unit. Absent or malformed means none.
pub(super) fn asked_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.saturating_mul(3_600))),
        "M" => Some(Duration::from_secs(number.saturating_mul(60))),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", text.parse().unwrap());
        asked_timeout(&headers)
    }

    #[test]
    fn a_callers_timeout_is_read_in_every_unit_and_nonsense_is_none() {
        assert_eq!(asked("250m"), Some(Duration::from_millis(250)));
        assert_eq!(asked("2S"), Some(Duration::from_secs(2)));
        assert_eq!(asked("1H"), Some(Duration::from_secs(3_600)));
        for nonsense in ["", "m", "1x", "-1S", "123456789S", "1.5S"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn every_method_of_the_contract_is_known_by_its_path_and_shape() {
        let methods = Methods::of_contract(crate::wire::FILE_DESCRIPTOR_SET).0;
        assert_eq!(methods["/selfsame.v1.PayoutService/WatchDecisions"].1, Shape::Stream);
        assert_eq!(methods["/selfsame.v1.ScreeningService/ScreenConversion"].1, Shape::Unary);
        assert!(methods.keys().all(|path| path.starts_with("/selfsame.v1.")));
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_fault_and_no_more() {
        let refusal = contained(async { panic!("broken") }).await.map(|()| 0).unwrap_err();
        assert_eq!(Status::from(refusal).code(), Code::Internal);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_never_ends_is_answered_at_the_deadline() {
        let refusal = within(Some(Duration::from_millis(20)), std::future::pending::<()>()).await.unwrap_err();
        assert_eq!(Status::from(refusal).code(), Code::DeadlineExceeded);
    }

    #[tokio::test(start_paused = true)]
    async fn a_callers_shorter_deadline_is_kept() {
        let never =
            tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, std::convert::Infallible>>());
        let mut guarded =
            GuardLayer::new(&Limits::default(), crate::wire::FILE_DESCRIPTOR_SET, Arc::new(Lines::new(0))).layer(never);
        let request = Request::builder().uri("/selfsame.v1.ScreeningService/ScreenConversion").header("grpc-timeout", "30m");
        let started = Instant::now();
        let response = guarded.call(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(code_of(response.headers()), Code::DeadlineExceeded);
        assert!(started.elapsed() < Duration::from_secs(1));
    }
}
