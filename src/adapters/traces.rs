//! Traces for whoever collects them, by OTLP over gRPC: the call, what it waited for, what was decided and when it was durable. Off unless configured.
//!
//! A caller's own trace goes on (W3C trace context in `traceparent`). Spans carry names of calls and codes, never an id or a signal.

use hyper::http::HeaderMap;
use hyper::http::header::HeaderName;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, Tracer};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::config::TracesConfig;
use crate::ports::spans::SPANS;

/// Spans on their way. Ends with [`Traces::end`], so that the last of them are sent.
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Begins to send spans. Must be called inside the runtime that will send them. Nobody has to listen yet.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn begin(config: &TracesConfig) -> Result<Option<Self>, String> {
        let Some(endpoint) = &config.endpoint else { return Ok(None) };
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(endpoint).build().map_err(|error| error.to_string())?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.share)));
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(sampler)
            .with_resource(Resource::builder().with_service_name("selfsame").build())
            .build();
        Ok(Some(Self(provider)))
    }

    /// What hands spans over. It takes [`SPANS`] alone.
    pub(super) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let tracer: Tracer = self.0.tracer("selfsame");
        OpenTelemetryLayer::new(tracer)
            .with_location(false)
            .with_threads(false)
            .with_filter(filter_fn(|told| told.target() == SPANS))
    }

    /// Sends what is left. Blocks for at most some seconds; that nobody listens is no failure.
    pub fn end(&self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!(%error, "the last spans were not sent");
        }
    }
}

/// The trace that a caller is in already.
struct Sent<'a>(&'a HeaderMap);

impl Extractor for Sent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// Lets a span go on with the trace that the headers name. Headers that name none, or are malformed, change nothing.
pub fn follow(span: &Span, headers: &HeaderMap) {
    if !span.is_disabled() && headers.contains_key("traceparent") {
        // A span that no layer takes has no parent to set.
        let _ = span.set_parent(TraceContextPropagator::new().extract(&Sent(headers)));
    }
}
