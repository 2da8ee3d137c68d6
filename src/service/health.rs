//! Health: whether each service, and the server as a whole, takes work, by `grpc.health.v1`.
//!
//! It must never say SERVING while the ledger refuses writes. The server runs it beside the handlers.

use std::sync::Arc;
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::shared::Shared;
use crate::ports::ledger::LedgerHealth;

/// How often the ledger is looked at when nothing failed meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The services that are reported, by full name; the empty name is the server as a whole.
pub(super) const SERVICES: [&str; 8] = [
    "",
    "selfsame.v1.ScreeningService",
    "selfsame.v1.ReviewService",
    "selfsame.v1.PayoutService",
    "selfsame.v1.ListService",
    "selfsame.v1.ModelService",
    "selfsame.v1.TrainingService",
    "selfsame.v1.OperationsService",
];

/// Reports the ledger's health until the server drains; then reports that nothing more is taken, and lets the watchers go.
///
/// `reported` is what [`begin`] reported.
pub(super) async fn report(shared: Arc<Shared>, mut reporter: HealthReporter, mut reported: LedgerHealth) {
    loop {
        tokio::select! {
            biased;
            () = shared.draining() => break,
            () = shared.ledger_failed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let health = shared.ledger.health();
        if reported != health {
            set(&reporter, &health).await;
            reported = health;
        }
    }
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
        reporter.clear_service_status(service).await;
    }
}

/// Reports the health with which the server begins, so that no check comes too early.
pub(super) async fn begin(shared: &Shared, reporter: &HealthReporter) -> LedgerHealth {
    let health = shared.ledger.health();
    set(reporter, &health).await;
    health
}

async fn set(reporter: &HealthReporter, health: &LedgerHealth) {
    let status = match health {
        LedgerHealth::Serving => ServingStatus::Serving,
        LedgerHealth::Poisoned(why) => {
            tracing::error!(why, "the ledger refuses writes; health is NOT_SERVING until it is reopened");
            ServingStatus::NotServing
        }
    };
    metrics::gauge!("selfsame_serving").set(if status == ServingStatus::Serving { 1.0 } else { 0.0 });
    for service in SERVICES {
        reporter.set_service_status(service, status).await;
    }
}
