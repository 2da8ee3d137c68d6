//! The server: all services behind their limits on one listener, until a signal ends it.
//!
//! It must never drop a call that it took: at the signal it stops taking, ends what runs, and only then returns. `serve` and `demo` call it,
//! and the tests, which bring their own listener, ledger and clock.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::util::{BoxCloneSyncService, ServiceExt as _, option_layer};
use tower::{BoxError, Service, ServiceBuilder};

use super::access::{Door, DoorLayer};
use super::audit::AuditHandlers;
use super::budgets::ByteBudget;
use super::confirmation::ConfirmationHandlers;
use super::directory::{AccessHandlers, ProgramHandlers};
use super::erasing;
use super::followers::{self, Followers};
use super::forwarding::{ForwardLayer, Replicas};
use super::health;
use super::incomparable::{AskedOften, Incomparable};
use super::limits::{GuardLayer, Limits, StreamPlaces, WaitingPlaces};
use super::list::ListHandlers;
use super::listener::{self, Connections, Serving};
use super::looks::{self, Looks};
use super::model::ModelHandlers;
use super::operations::OperationsHandlers;
use super::payout::PayoutHandlers;
use super::privacy::PrivacyHandlers;
use super::review::ReviewHandlers;
use super::screening::ScreeningHandlers;
use super::seal::Seals;
use super::shared::{Phase, Shared};
use super::told::Lines;
use super::training::TrainingHandlers;
use crate::adapters::model_store::ModelStore;
use crate::ports::clock::Clock;
use crate::ports::ledger::{Answerers, Ledger};
use crate::ports::policies::Policies;
use crate::wire::{FILE_DESCRIPTOR_SET, v1};

/// Bytes that a client may send into one stream before the server has read them.
///
/// The HTTP/2 library (h2 since 0.4.16) takes many small frames that were not read yet for an attack, and ends the connection with
/// `too_many_data_frames`: each frame of fewer than 256 bytes costs what it lacks of them until it is read, and all of a connection may cost half
/// of its window. Only the window of its stream holds a client back, so this and [`CONNECTION_WINDOW_BYTES`] are chosen so that a client that
/// sends all it has is held back first: filled with messages of 80 bytes a stream costs 264 kB, with the smallest there are (5 bytes) 6.6 MB.
/// Large messages lose nothing: 128 KiB under way are 128 MB/s at a millisecond between both ends.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
/// Bytes that a client may send into all streams of a connection before the server has read them. Half of it is what small frames may cost: one
/// stream of the smallest messages, or thirty of 80 bytes, all of them unread.
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// How long the end waits until the last looks are kept.
const LOOKS_KEPT_WITHIN: Duration = Duration::from_secs(2);

/// How requests may be compressed, beside not at all.
const GZIP: CompressionEncoding = CompressionEncoding::Gzip;

/// What a server is made of.
#[derive(Clone)]
pub struct ServerParts {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The policies in force, for payout delays and leases. The ledger's assessor must go by the same.
    pub policies: Arc<dyn Policies>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The models. The ledger's assessor must go by the same shelf.
    pub models: Arc<ModelStore>,
    /// How much it takes on.
    pub limits: Limits,
    /// How connections are taken, protected and kept.
    pub connections: Connections,
}

/// Why a server ended before its signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The contract that is compiled in cannot be reflected.
    #[error("the API's description cannot be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// The API behind its door and limits, for callers in this process.
pub type InProcess = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;

/// Serves on a listener until `shutdown` completes, then drains: no new connection is taken, streams are ended with their cursor, calls end. `mount`
/// is given the API as it is served, once, before the first call.
///
/// # Errors
/// [`ServeError`] when serving is not possible. Calls that run longer than the limits' drain time are dropped, which is no error.
pub async fn serve(
    listener: TcpListener,
    parts: ServerParts,
    shutdown: impl Future<Output = ()>,
    mount: impl FnOnce(InProcess),
) -> Result<(), ServeError> {
    let ServerParts { ledger, policies, clock, models, limits, connections } = parts;
    let Connections { tls, replicas: links, limits: connection_limits } = connections;
    let (phase_sender, phase) = watch::channel(Phase::Serving);
    let places = StreamPlaces::new(&limits);
    let replicas = Replicas::new(links.as_ref());
    let seals = links.as_ref().map(|links| Seals::new(&links.key, &links.address));
    let others = (ledger.answerers() == Answerers::ManyProcesses).then(|| replicas.clone());
    let reads = WaitingPlaces::new(limits.reads_max);
    let ledger_failed = Notify::new();
    let door = Arc::new(Door::new(Arc::clone(&ledger), Arc::clone(&clock), &limits, seals));
    door.look().await;
    door.see_to_key().await;
    let looking = tokio::spawn(Arc::clone(&door).keep_looking());
    let refusal_lines = Arc::new(Lines::new(limits.log_lines_per_second));
    let shared = Arc::new(Shared {
        ledger,
        policies,
        door: Arc::clone(&door),
        clock,
        models,
        incomparable: Incomparable::default(),
        asked_often: AskedOften::default(),
        looks: Looks::default(),
        erasure_asked: Notify::new(),
        followers: Followers::default(),
        decision_lines: Lines::new(limits.log_lines_per_second),
        refusal_lines: Arc::clone(&refusal_lines),
        replicas,
        places,
        reads,
        unread: ByteBudget::new(limits.unread_bytes_max),
        limits: limits.clone(),
        tls: tls.clone(),
        phase,
        ledger_failed,
    });
    let reporter = HealthReporter::new();
    let routes = routes(&shared, &reporter)?;
    let (drain, draining) = watch::channel(false);
    let signal = async {
        shutdown.await;
        tracing::info!("draining: no new calls are taken");
        phase_sender.send_replace(Phase::Draining);
        drain.send_replace(true);
    };
    // Layers that are added earlier see a request earlier.
    let door = DoorLayer::new(door, FILE_DESCRIPTOR_SET, Arc::clone(&refusal_lines));
    let guard = GuardLayer::new(&limits, FILE_DESCRIPTOR_SET, refusal_lines);
    let forward = others.map(|others| ForwardLayer::new(others, FILE_DESCRIPTOR_SET, limits.message_bytes_max));
    let service = ServiceBuilder::new().layer(door).layer(guard).layer(option_layer(forward)).service(routes.prepare());
    mount(in_process(service.clone()));
    let serving = Serving {
        service,
        tls: tls.clone(),
        limits: connection_limits,
        windows: (STREAM_WINDOW_BYTES, CONNECTION_WINDOW_BYTES),
        age: limits.connection_age_max.map(|age| (age, limits.connection_age_grace)),
    };
    let serving = async { tokio::join!(listener::run(listener, serving, draining), signal) };
    let renewing = tls.map(|tls| tokio::spawn(tls.keep()));
    let reported = health::begin(&shared, &reporter).await;
    let health = tokio::spawn(health::report(Arc::clone(&shared), reporter, reported));
    let following = tokio::spawn(followers::report(Arc::clone(&shared)));
    let looking_on = tokio::spawn(looks::keep(Arc::clone(&shared)));
    let erasing = tokio::spawn(erasing::finish(Arc::clone(&shared)));
    let too_long = async {
        shared.draining().await;
        tokio::time::sleep(limits.drain_max).await;
    };
    tokio::select! {
        _ = serving => tracing::info!(drained = true, "stopped: every call that was taken has ended"),
        () = too_long => tracing::warn!(drained = false, "stopped: some calls did not end within the drain time and were dropped"),
    }
    for task in [Some(health), Some(looking), Some(following), Some(looking_on), Some(erasing), renewing].into_iter().flatten() {
        task.abort();
    }
    // Whatever was still read is kept before the ledger is closed.
    if tokio::time::timeout(LOOKS_KEPT_WITHIN, looks::flush(&shared)).await.is_err() {
        tracing::warn!("who looked at whom in the last moment could not be kept");
    }
    Ok(())
}

/// The served API without a connection between.
fn in_process<S, B>(service: S) -> InProcess
where
    S: Service<http::Request<Body>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: tonic::codegen::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    BoxCloneSyncService::new(
        service.map_response(|answer| answer.map(Body::new)).map_err(|error: S::Error| Status::from_error(error.into())),
    )
}

fn routes(shared: &Arc<Shared>, reporter: &HealthReporter) -> Result<Routes, ServeError> {
    let limit = shared.limits.message_bytes_max;
    let screening = v1::screening_service_server::ScreeningServiceServer::new(ScreeningHandlers(Arc::clone(shared)));
    let review = v1::review_service_server::ReviewServiceServer::new(ReviewHandlers(Arc::clone(shared)));
    let payout = v1::payout_service_server::PayoutServiceServer::new(PayoutHandlers(Arc::clone(shared)));
    let list = v1::list_service_server::ListServiceServer::new(ListHandlers(Arc::clone(shared)));
    let confirmation = v1::confirmation_service_server::ConfirmationServiceServer::new(ConfirmationHandlers(Arc::clone(shared)));
    let model = v1::model_service_server::ModelServiceServer::new(ModelHandlers(Arc::clone(shared)));
    let training = v1::training_service_server::TrainingServiceServer::new(TrainingHandlers(Arc::clone(shared)));
    let operations = v1::operations_service_server::OperationsServiceServer::new(OperationsHandlers(Arc::clone(shared)));
    let program = v1::program_service_server::ProgramServiceServer::new(ProgramHandlers(Arc::clone(shared)));
    let access = v1::access_service_server::AccessServiceServer::new(AccessHandlers(Arc::clone(shared)));
    let audit = v1::audit_service_server::AuditServiceServer::new(AuditHandlers(Arc::clone(shared)));
    let privacy = v1::privacy_service_server::PrivacyServiceServer::new(PrivacyHandlers(Arc::clone(shared)));
    let served = health::SERVICES.iter().filter(|name| !name.is_empty());
    let reflection = || {
        let described = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // So that grpcurl shows the details of an error as text.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
            .with_service_name("grpc.health.v1.Health");
        // The contract describes more than this server serves; a service is listed when it answers.
        served.clone().fold(described, |described, name| described.with_service_name(*name))
    };
    // Requests may be compressed. Answers are not: they are small, and the time of the processor is what callers wait for.
    let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    Ok(Routes::new(screening.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(review.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(payout.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(list.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(confirmation.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(model.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(training.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(operations.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(program.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(access.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(audit.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(privacy.max_decoding_message_size(limit).accept_compressed(GZIP))
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}
