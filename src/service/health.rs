//! Health: whether each service, and the server as a whole, takes work, by `grpc.health.v1`.
//!
//! It must never say SERVING while the ledger refuses writes, nor of screening while a model that was chosen to decide is not here. The server runs it
//! beside the handlers.

use std::sync::Arc;
use std::time::Duration;

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::shared::Shared;
use crate::adapters::model_store::ModelStore;
use crate::book::models::ModelName;
use crate::ports::ledger::{LedgerHealth, ProgramSummary};
use crate::screening::policy::ScoreSource;
use crate::vocabulary::ids::ProgramId;

/// How often the ledger is looked at when nothing failed meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The services that are reported, by full name; the empty name is the server as a whole.
pub(super) const SERVICES: [&str; 13] = [
    "",
    "selfsame.v1.ScreeningService",
    "selfsame.v1.ReviewService",
    "selfsame.v1.PayoutService",
    "selfsame.v1.ListService",
    "selfsame.v1.ConfirmationService",
    "selfsame.v1.ModelService",
    "selfsame.v1.TrainingService",
    "selfsame.v1.OperationsService",
    "selfsame.v1.ProgramService",
    "selfsame.v1.AccessService",
    "selfsame.v1.AuditService",
    "selfsame.v1.PrivacyService",
];

/// The service that needs the models that were chosen.
const SCREENING: &str = "selfsame.v1.ScreeningService";

/// What is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reported {
    ledger: LedgerHealth,
    /// Programmes whose model is not here.
    missing: Vec<(ProgramId, ModelName)>,
}

/// Reports the health of ledger and models until the server drains; then reports that nothing more is taken, and lets the watchers go.
///
/// `reported` is what [`begin`] reported.
pub(super) async fn report(shared: Arc<Shared>, mut reporter: HealthReporter, mut reported: Reported) {
    loop {
        tokio::select! {
            biased;
            () = shared.draining() => break,
            () = shared.ledger_failed.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let health = look(&shared).await;
        if reported != health {
            set(&shared, &reporter, &health).await;
            reported = health;
        }
    }
    for service in SERVICES {
        reporter.set_service_status(service, ServingStatus::NotServing).await;
        reporter.clear_service_status(service).await;
    }
}

/// Reports the health with which the server begins, so that no check comes too early.
pub(super) async fn begin(shared: &Shared, reporter: &HealthReporter) -> Reported {
    let health = look(shared).await;
    set(shared, reporter, &health).await;
    health
}

/// How things are. Where a model is missing, its file may have come meanwhile.
async fn look(shared: &Shared) -> Reported {
    let ledger = shared.ledger.health();
    if missing_models(shared).await.is_empty() {
        return Reported { ledger, missing: Vec::new() };
    }
    if let Err(error) = shared.ask_models(ModelStore::look_again).await {
        tracing::debug!(%error, "the model folder could not be read again");
    }
    Reported { ledger, missing: missing_models(shared).await }
}

async fn missing_models(shared: &Shared) -> Vec<(ProgramId, ModelName)> {
    let mut missing = Vec::new();
    for ProgramSummary { program_id, .. } in shared.ledger.programs() {
        let Ok(terms) = shared.ledger.terms(&program_id).await else { continue };
        if shared.policies.policy_of(&program_id, &terms).score().source != ScoreSource::Model {
            continue;
        }
        // What cannot be read is told by the ledger's own health.
        let Ok(models) = shared.ledger.models(&program_id).await else { continue };
        let in_force = shared.models.shelf().models_of(&program_id, &models);
        missing.extend(in_force.missing.clone().map(|name| (program_id, name)));
    }
    missing
}

async fn set(shared: &Shared, reporter: &HealthReporter, health: &Reported) {
    let status = match &health.ledger {
        LedgerHealth::Serving => ServingStatus::Serving,
        LedgerHealth::Poisoned(why) => {
            tracing::error!(why, "the ledger refuses writes; health is NOT_SERVING until it is reopened");
            ServingStatus::NotServing
        }
    };
    for (program, ModelName { version, content }) in &health.missing {
        let folder = shared.models.folder().map(|folder| folder.display().to_string()).unwrap_or_default();
        tracing::error!(
            %program,
            version = &**version,
            %content,
            folder,
            "screening is NOT_SERVING until the file of the model that decides is in the model folder, or loaded through the API"
        );
    }
    metrics::gauge!("selfsame_serving").set(if status == ServingStatus::Serving { 1.0 } else { 0.0 });
    for service in SERVICES {
        let lacks = service == SCREENING && !health.missing.is_empty();
        reporter.set_service_status(service, if lacks { ServingStatus::NotServing } else { status }).await;
    }
}
