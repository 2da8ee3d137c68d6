//! One connection, from its first byte to its end: TLS, HTTP/2, its calls, and whatever ends it.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};

use super::places::Place;
use super::watched::{Activity, Answered, Standing, Watched};
use super::{ConnectionLimits, count_ended, drained};
use crate::adapters::tls::{ServerTls, facts_of};

/// The names of the certificate that the client of a connection has shown, which an authority of ours has signed. In the extensions of each of its
/// requests.
#[derive(Debug, Clone)]
pub(in crate::service) struct CertificateNames(pub(in crate::service) Arc<[Box<str>]>);

/// Why a connection was ended from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// TLS could not be agreed on, or not in time.
    Handshake,
    /// Its client did not finish what it began to say.
    Unfinished,
    /// It was without a call for too long.
    Idle,
    /// It did not answer whether it is there, or broke the rules of HTTP/2.
    Broken,
}

impl Ended {
    /// All.
    pub(super) const ALL: [Self; 4] = [Self::Handshake, Self::Unfinished, Self::Idle, Self::Broken];

    /// Its name, as a label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::Unfinished => "unfinished",
            Self::Idle => "idle",
            Self::Broken => "broken",
        }
    }
}

/// What all connections of a listener are served with.
#[derive(Clone)]
pub(in crate::service) struct Serving<S> {
    /// Answers calls.
    pub(in crate::service) service: S,
    /// The certificate; absent where plaintext is spoken.
    pub(in crate::service) tls: Option<Arc<ServerTls>>,
    /// How connections are kept.
    pub(in crate::service) limits: ConnectionLimits,
    /// Bytes of one stream, and of all of a connection, that may wait to be read.
    pub(in crate::service) windows: (u32, u32),
    /// The age at which a client is asked to connect anew, and how long its calls may go on then.
    pub(in crate::service) age: Option<(Duration, Duration)>,
}

/// What answers the calls of all connections.
pub(in crate::service) trait Answers:
    tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

impl<S> Answers for S where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}

fn names_of(certificate: &CertificateDer<'_>) -> CertificateNames {
    CertificateNames(facts_of(certificate).map(|facts| facts.names).unwrap_or_default().into())
}

impl<S: Answers> Serving<S> {
    /// Serves a connection until it ends. Once `draining` it takes no new calls, and ends with its last.
    pub(super) async fn serve(self, stream: TcpStream, place: Place, mut draining: watch::Receiver<bool>) {
        let _place = place;
        // Without it small frames would wait for each other.
        drop(stream.set_nodelay(true));
        let Some(tls) = self.tls.clone() else { return self.speak(stream, None, draining).await };
        let agreed = TlsAcceptor::from(Arc::clone(&tls.in_force().config)).accept(stream).into_fallible();
        let agreed = tokio::select! {
            agreed = tokio::time::timeout(self.limits.frame_max, agreed) => agreed,
            () = drained(&mut draining) => return,
        };
        match agreed {
            Ok(Ok(stream)) => {
                let names = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(names_of);
                self.speak(stream, names, draining).await;
            }
            Ok(Err((error, stream))) => {
                tracing::debug!(%error, "TLS could not be agreed on");
                count_ended(Ended::Handshake);
                let_read(stream, self.limits.unsent_max).await;
            }
            Err(_) => count_ended(Ended::Handshake),
        }
    }

    /// Speaks HTTP/2.
    async fn speak(
        self,
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        names: Option<CertificateNames>,
        mut draining: watch::Receiver<bool>,
    ) {
        let Self { service, tls: _, limits, windows: (stream_window, connection_window), age } = self;
        let activity = Activity::begin(Instant::now());
        let calls = Calls { service, names, activity: Arc::clone(&activity) };
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .initial_stream_window_size(stream_window)
            .initial_connection_window_size(connection_window)
            .max_concurrent_streams(limits.streams_max)
            .keep_alive_interval(limits.ping_every)
            .keep_alive_timeout(limits.pong_max);
        let mut connection = pin!(http.serve_connection(TokioIo::new(Watched::new(io, Arc::clone(&activity))), calls));
        let began = Instant::now();
        let mut ends: Option<Ends> = None;
        loop {
            let now = Instant::now();
            let next = match (&mut ends, activity.standing(now, &limits)) {
                (_, Standing::Unfinished) => return count_ended(Ended::Unfinished),
                (Some(ends), _) => match ends.next(now, activity.calls(), limits.unsent_max) {
                    Some(next) => next,
                    None => return,
                },
                (None, Standing::Idle) => {
                    count_ended(Ended::Idle);
                    connection.as_mut().graceful_shutdown();
                    ends = Some(Ends::begin(None));
                    continue;
                }
                (None, Standing::Fine(next)) => match age {
                    Some((age, grace)) if now >= began + age => {
                        connection.as_mut().graceful_shutdown();
                        ends = Some(Ends::begin(Some(now + grace)));
                        continue;
                    }
                    Some((age, _)) => next.min(began + age),
                    None => next,
                },
            };
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke");
                        count_ended(Ended::Broken);
                    }
                    return;
                }
                () = tokio::time::sleep_until(next) => {}
                () = drained(&mut draining), if ends.is_none() => {
                    connection.as_mut().graceful_shutdown();
                    ends = Some(Ends::begin(None));
                }
            }
        }
    }
}

/// Lets a client read why it is not spoken to. A connection that is closed with something unread is reset, and what was said last is lost.
async fn let_read(mut stream: TcpStream, within: Duration) {
    let read = async {
        drop(stream.shutdown().await);
        let mut bytes = [0; 1_024];
        for _ in 0..READ_TO_THE_END_MAX {
            if !matches!(stream.read(&mut bytes).await, Ok(1..)) {
                return;
            }
        }
    };
    // Whoever goes on talking is not waited for.
    drop(tokio::time::timeout(within, read).await);
}

/// Kilobytes that are read of a client that is not spoken to.
const READ_TO_THE_END_MAX: usize = 64;

/// A connection that takes no new calls and is about to end.
struct Ends {
    /// Until when its calls may go on; absent: for as long as they take.
    until: Option<Instant>,
    /// Since when it has none left, and only has to deliver what was answered.
    without_calls_since: Option<Instant>,
}

/// How often is looked whether its calls are over.
const ENDING_LOOKED_EVERY: Duration = Duration::from_millis(100);

impl Ends {
    const fn begin(until: Option<Instant>) -> Self {
        Self { until, without_calls_since: None }
    }

    /// When to look again; absent when it is to end now, delivered or not.
    fn next(&mut self, now: Instant, calls: usize, unsent_max: Duration) -> Option<Instant> {
        self.without_calls_since = (calls == 0).then(|| self.without_calls_since.unwrap_or(now));
        let over = |until: Instant| now >= until;
        let undelivered = self.without_calls_since.is_some_and(|since| over(since + unsent_max));
        (!undelivered && !self.until.is_some_and(over)).then(|| now + ENDING_LOOKED_EVERY)
    }
}

/// The calls of one connection.
struct Calls<S> {
    service: S,
    names: Option<CertificateNames>,
    activity: Arc<Activity>,
}

impl<S: Answers> hyper::service::Service<Request<Incoming>> for Calls<S> {
    type Response = Response<Answered>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Answered>, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let call = self.activity.call();
        let mut service = self.service.clone();
        let mut request = request.map(Body::new);
        if let Some(names) = &self.names {
            request.extensions_mut().insert(names.clone());
        }
        async move {
            std::future::poll_fn(|context| service.poll_ready(context)).await?;
            let answer = service.call(request).await?;
            Ok(answer.map(|body| Answered::of(body, call)))
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_waits_for_its_calls_and_not_for_a_client_that_reads_nothing() {
        let (now, unsent) = (Instant::now(), Duration::from_secs(5));
        let mut ends = Ends::begin(None);
        assert!(ends.next(now, 2, unsent).is_some() && ends.next(now + unsent * 100, 2, unsent).is_some());
        let last = now + unsent * 100;
        assert!(ends.next(last, 0, unsent).is_some() && ends.next(last + unsent / 2, 0, unsent).is_some());
        assert_eq!(ends.next(last + unsent, 0, unsent), None);
        let mut aged = Ends::begin(Some(now + unsent));
        assert!(aged.next(now, 2, unsent).is_some());
        assert_eq!(aged.next(now + unsent, 2, unsent), None);
    }
}
