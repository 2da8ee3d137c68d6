//! Traces: the parts of a call as a collector gets them, in the trace of the caller, and nothing of whom the call was about.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::trace::v1::Span;
use selfsame::adapters::system_clock::SystemClock;
use selfsame::ports::clock::Clock as _;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::server::{Server, screen, screen_in_trace};

/// The trace of the caller who wants his calls traced, and the span of it that calls.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let scopes = request.into_inner().resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        self.0.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_parts_of_a_call_are_spans_of_its_callers_trace_and_name_nobody() {
    let collector = Collector::default();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
    let service = TraceServiceServer::new(collector.clone());
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    // Of callers who did not decide it, none is traced.
    let told = [("SELFSAME_TRACES__ENDPOINT", endpoint.as_str()), ("SELFSAME_TRACES__SHARE", "0")];
    let server = Server::start_with(tempfile::tempdir().unwrap(), &told);
    let now = SystemClock.now().as_millis() / 1_000;
    screen(&server.api, now, 1).await;
    screen_in_trace(&server.api, now, 2, &format!("00-{TRACE}-{CALLER}-01")).await;
    screen_in_trace(&server.api, now, 3, "00-nonsense-01").await;
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();

    let spans = collector.0.lock().unwrap().clone();
    let by_name: BTreeMap<&str, &Span> = spans.iter().map(|span| (span.name.as_str(), span)).collect();
    let method = "ScreeningService/ScreenConversion";
    assert_eq!(by_name.keys().copied().collect::<Vec<_>>(), [method, "assess", "commit", "order", "parse", "plan"]);
    assert_eq!(spans.len(), by_name.len(), "only the one call is traced: {spans:?}");
    assert!(spans.iter().all(|span| hex::encode(&span.trace_id) == TRACE), "{spans:?}");
    let parent = |name: &str| hex::encode(&by_name[name].parent_span_id);
    let own = |name: &str| hex::encode(&by_name[name].span_id);
    assert_eq!(parent(method), CALLER);
    for part in ["parse", "order", "plan", "commit"] {
        assert_eq!(parent(part), own(method), "{part}");
    }
    assert_eq!(parent("assess"), own("plan"));
    // One after the other, as the call went.
    let times = |name: &str| (by_name[name].start_time_unix_nano, by_name[name].end_time_unix_nano);
    for pair in ["parse", "order", "plan", "commit"].windows(2) {
        assert!(times(pair[0]).1 <= times(pair[1]).0, "{pair:?}: {:?} {:?}", times(pair[0]), times(pair[1]));
    }
    let text = format!("{spans:?}");
    for id in ["cv-2", "referrer-2", "referee-2", "r-2\"", "CODE"] {
        assert!(!text.contains(id), "{id} stands in a span");
    }
}
