//! Forwarding: a call for a programme that another replica holds goes on to that replica, as the bytes that it came in, and its answer comes back as
//! it was given: metadata, deadline, details of errors, and the messages of a stream. One hop and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, Limited};
use parking_lot::Mutex;
use tonic::body::Body;
use tonic::codegen::http::request::Parts;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt as _};
use tower::{Layer, Service};

use super::access::Caller;
use super::errors::{HELD_BY, Reason, Refusal};
use super::limits::{asked_timeout, methods_of};
use crate::adapters::tls::{Peer, connector};
use crate::ports::leases::ReplicaKey;
use crate::wire::credentials::{ACTOR, AUTHORIZATION};
use crate::wire::v1;
use crate::wire::v1::screening_service_client::ScreeningServiceClient;

/// The mark of a call that was forwarded, with the seal of who calls: whoever gets it answers, or refuses, by itself.
pub(super) const FORWARDED: &str = "selfsame-forwarded";
/// The method by which one conversion of a stream is screened elsewhere.
const SCREEN_ONE: &str = "/selfsame.v1.ScreeningService/ScreenConversion";
/// How long is waited for a connection to another replica: one that is gone is told soon, and the caller tries again.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// How often another replica is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(1);
/// Bytes before a message in its frame.
const FRAME_BYTES: usize = 5;

/// How a replica and the others speak to each other.
#[derive(Clone)]
pub struct ReplicaLinks {
    /// What only they know.
    pub key: ReplicaKey,
    /// Where the others reach this one.
    pub address: String,
    /// How TLS is spoken with them; absent where plaintext is.
    pub tls: Option<Peer>,
}

/// Connections to the other replicas, made on first use.
#[derive(Clone, Default)]
pub(super) struct Replicas(Arc<Links>);

#[derive(Default)]
struct Links {
    tls: Option<Peer>,
    channels: Mutex<BTreeMap<String, Channel>>,
}

impl Replicas {
    /// Those that are spoken to like this.
    pub(super) fn new(links: Option<&ReplicaLinks>) -> Self {
        Self(Arc::new(Links { tls: links.and_then(|links| links.tls.clone()), channels: Mutex::default() }))
    }

    /// A connection to a replica; absent when its address is none.
    fn at(&self, address: &str) -> Option<Channel> {
        let Links { tls, channels } = &*self.0;
        let mut channels = channels.lock();
        if let Some(channel) = channels.get(address) {
            return Some(channel.clone());
        }
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}")).ok()?;
        let keeping = endpoint.connect_timeout(CONNECT_MAX).http2_keep_alive_interval(PING_EVERY);
        let keeping = keeping.keep_alive_timeout(CONNECT_MAX).keep_alive_while_idle(true);
        let channel = keeping.connect_with_connector_lazy(connector(tls.clone()));
        channels.insert(address.to_owned(), channel.clone());
        Some(channel)
    }

    /// Lets another replica screen one conversion of a stream.
    ///
    /// # Errors
    /// What that replica said; `UNAVAILABLE` when it cannot be reached.
    pub(super) async fn screen(
        &self,
        address: &str,
        caller: &Caller,
        conversion: v1::Conversion,
    ) -> Result<v1::ScreenConversionResponse, Status> {
        let channel = self.at(address).ok_or_else(|| Status::unavailable("the holder's address is none"))?;
        let mut request = tonic::Request::new(v1::ScreenConversionRequest { conversion: Some(conversion) });
        let seal = caller.sealed(SCREEN_ONE, address).and_then(|seal| MetadataValue::try_from(seal.as_bytes()).ok());
        request.metadata_mut().insert(FORWARDED, seal.ok_or_else(|| Status::from(Refusal::internal()))?);
        ScreeningServiceClient::new(channel).screen_conversion(request).await.map(tonic::Response::into_inner)
    }
}

/// Makes [`Forward`]s.
#[derive(Clone)]
pub(super) struct ForwardLayer(Arc<State>);

struct State {
    replicas: Replicas,
    /// Methods whose request is one message, by path. A stream of requests may hold many programmes; its handler forwards each message.
    methods: BTreeSet<String>,
    message_bytes_max: usize,
}

impl ForwardLayer {
    /// Forwards to these replicas the methods of this encoded descriptor set.
    pub(super) fn new(replicas: Replicas, contract: &[u8], message_bytes_max: usize) -> Self {
        let single = methods_of(contract).into_iter().filter(|(_, _, method)| !method.client_streaming());
        let methods = single.map(|(path, _, _)| path).collect();
        Self(Arc::new(State { replicas, methods, message_bytes_max }))
    }
}

impl<S> Layer<S> for ForwardLayer {
    type Service = Forward<S>;

    fn layer(&self, inner: S) -> Forward<S> {
        Forward { inner, state: Arc::clone(&self.0) }
    }
}

/// A service whose calls go on to another replica where that one holds the programme.
#[derive(Clone)]
pub(super) struct Forward<S> {
    inner: S,
    state: Arc<State>,
}

impl<S> Service<Request<Body>> for Forward<S>
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

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The clone is not polled for readiness; the one that was is used up by this call.
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        if !self.state.methods.contains(request.uri().path()) || request.headers().contains_key(FORWARDED) {
            return inner.call(request).boxed();
        }
        let (state, began) = (Arc::clone(&self.state), Instant::now());
        async move {
            let (parts, body) = request.into_parts();
            let message = match Limited::new(body, state.message_bytes_max + FRAME_BYTES).collect().await {
                Ok(message) => message.to_bytes(),
                Err(refused) => return Ok(refused_body(&*refused, state.message_bytes_max).into_http()),
            };
            let own = Request::from_parts(parts.clone(), Body::new(Full::new(message.clone())));
            let mut response = inner.call(own).await?;
            let Some(address) = response.headers_mut().remove(HELD_BY) else { return Ok(response) };
            let address = address.to_str().unwrap_or_default();
            let seal = parts.extensions.get::<Caller>().and_then(|caller| caller.sealed(parts.uri.path(), address));
            match state.replicas.at(address).zip(seal) {
                Some((holder, seal)) => Ok(forwarded(holder, seal, parts, message, began).await.unwrap_or_else(|error| {
                    tracing::debug!(address, %error, "the replica that holds a programme cannot be reached");
                    response
                })),
                None => Ok(response),
            }
        }
        .boxed()
    }
}

async fn forwarded(
    mut holder: Channel,
    seal: HeaderValue,
    mut parts: Parts,
    message: Bytes,
    began: Instant,
) -> Result<Response<Body>, tonic::transport::Error> {
    // Who calls stands in the seal; what was shown for it stays here.
    parts.headers.remove(AUTHORIZATION);
    parts.headers.remove(ACTOR);
    parts.headers.insert(FORWARDED, seal);
    spend(&mut parts.headers, began.elapsed());
    std::future::poll_fn(|context| holder.poll_ready(context)).await?;
    let mut response = holder.call(Request::from_parts(parts, Body::new(Full::new(message)))).await?;
    // By then a third one may hold the programme; the caller asks again.
    response.headers_mut().remove(HELD_BY);
    metrics::counter!("selfsame_forwarded_total").increment(1);
    Ok(response)
}

/// Takes what has passed from the time that the caller gave.
fn spend(headers: &mut HeaderMap, passed: Duration) {
    let Some(asked) = asked_timeout(headers) else { return };
    // Eight digits hold a day in milliseconds.
    let left = asked.saturating_sub(passed).as_millis().clamp(1, 99_999_999);
    if let Ok(left) = HeaderValue::from_str(&format!("{left}m")) {
        headers.insert("grpc-timeout", left);
    }
}

fn refused_body(error: &(dyn std::error::Error + 'static), limit: usize) -> Status {
    if error.is::<http_body_util::LengthLimitError>() {
        return Refusal::message_too_large(limit).into();
    }
    Status::new(Code::Cancelled, "the request was not sent to its end")
}

/// What another replica refused, as the refusal of one item of a stream.
pub(super) fn screening_error_of(status: &Status) -> v1::ScreeningError {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    let violation = |violation: FieldViolation| v1::FieldViolation { field: violation.field, description: violation.description };
    v1::ScreeningError {
        code: status.code() as i32,
        message: status.message().to_owned(),
        reason: details.error_info().map_or(Reason::LedgerUnavailable.as_str(), |info| &info.reason).to_owned(),
        violations: violations.into_iter().map(violation).collect(),
        retry_after: details.retry_info().and_then(|info| info.retry_delay).map(pbjson_types::Duration::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_call_has_what_is_left_of_its_time() {
        let after = |asked: &str, passed| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", asked.parse().unwrap());
            spend(&mut headers, Duration::from_millis(passed));
            asked_timeout(&headers).unwrap()
        };
        assert_eq!(after("2S", 500), Duration::from_millis(1_500));
        assert_eq!(after("10m", 500), Duration::from_millis(1));
    }

    #[test]
    fn a_stream_of_requests_is_not_forwarded_as_a_whole() {
        let layer = ForwardLayer::new(Replicas::default(), crate::wire::FILE_DESCRIPTOR_SET, 1);
        let has = |path: &str| layer.0.methods.iter().any(|method| method == path);
        assert!(has("/selfsame.v1.PayoutService/WatchDecisions") && has("/selfsame.v1.PayoutService/CheckPayouts"));
        assert!(!has("/selfsame.v1.ScreeningService/ScreenConversions"));
    }
}
