//! Gauges of what stands in the ledger: its memory, and the queue and the accounts of each programme; and of the model that decides
//! in each.
//!
//! It must never name anything but programmes and features. `serve` runs it beside the server.

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;

use crate::adapters::model_store::ModelStore;
use crate::book::models::{ModelAudits, ProgramModels};
use crate::book::records::QueueStats;
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::screening::model::Certificate;
use crate::vocabulary::ids::ProgramId;

/// How often the gauges are set.
const EVERY: Duration = Duration::from_secs(15);
/// Programmes that are shown; the names are the operator's, but a mistake must not flood the metrics.
const PROGRAMMES_SHOWN: usize = 100;

/// Sets the gauges again and again, until it is dropped.
pub async fn report(ledger: Arc<dyn Ledger>, models: Arc<ModelStore>, clock: Arc<dyn Clock>) {
    loop {
        let (ledger, models, clock) = (Arc::clone(&ledger), Arc::clone(&models), Arc::clone(&clock));
        let set = tokio::task::spawn_blocking(move || set_all(&*ledger, &models, &*clock)).await;
        if !matches!(set, Ok(Ok(()))) {
            tracing::warn!("the gauges of the queue could not be read");
        }
        tokio::time::sleep(EVERY).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^53")]
fn set_all(ledger: &dyn Ledger, models: &ModelStore, clock: &dyn Clock) -> Result<(), LedgerError> {
    for reading in ledger.readings() {
        metrics::gauge!(format!("selfsame_ledger_{}", reading.name)).set(reading.value);
    }
    for program in ledger.programs().into_iter().take(PROGRAMMES_SHOWN) {
        let now = clock.now();
        let stats = block_on(ledger.queue_stats(&program.program_id, now))?;
        let QueueStats { open, claimed, resolved, overdue, oldest_opened_at, by_first_reason: _ } = stats;
        let name = program.program_id.to_string();
        for (state, cases) in [("OPEN", open), ("CLAIMED", claimed), ("RESOLVED", resolved)] {
            metrics::gauge!("selfsame_cases", "program" => name.clone(), "state" => state).set(cases as f64);
        }
        metrics::gauge!("selfsame_cases_overdue", "program" => name.clone()).set(overdue as f64);
        let oldest = oldest_opened_at.map_or(0.0, |opened_at| now.since(opened_at).as_seconds().max(0.0));
        metrics::gauge!("selfsame_oldest_case_seconds", "program" => name.clone()).set(oldest);
        metrics::gauge!("selfsame_accounts", "program" => name).set(f64::from(program.accounts));
        set_model(models, &program.program_id, &*block_on(ledger.models(&program.program_id))?);
    }
    Ok(())
}

/// The audits and the breaker of the model that decides, and how far score and features have moved. What has too few values is not shown.
fn set_model(models: &ModelStore, program: &ProgramId, book: &ProgramModels) {
    let name = program.to_string();
    let in_force = models.shelf().models_of(program, book);
    let missing = if in_force.missing.is_some() { 1.0 } else { 0.0 };
    metrics::gauge!("selfsame_model_missing", "program" => name.clone()).set(missing);
    let Some(active) = &in_force.active else { return };
    let audits = book.audits_of(active.version());
    metrics::gauge!("selfsame_model_breaker_tripped", "program" => name.clone()).set(if audits.is_tripped() { 1.0 } else { 0.0 });
    if active.rejects() {
        let (error, Certificate { delta, .. }) = (audits.live_error(), active.certificate());
        let ModelAudits { honest, abusive, .. } = audits;
        for (found, count) in [("honest", honest), ("abusive", abusive)] {
            metrics::gauge!("selfsame_model_audits", "program" => name.clone(), "found" => found).set(f64::from(count));
        }
        let bounds = [("lower", error.lower_bound(delta)), ("upper", error.upper_bound(delta).unwrap_or(1.0))];
        for (bound, value) in bounds {
            metrics::gauge!("selfsame_model_live_error", "program" => name.clone(), "bound" => bound).set(value);
        }
    }
    let Some(drift) = in_force.drift() else { return };
    for reading in drift.of_features().into_iter().chain([drift.of_score()]) {
        if let Some(index) = reading.stability_index {
            metrics::gauge!("selfsame_model_drift", "program" => name.clone(), "feature" => reading.name).set(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;
    use crate::adapters::model_file;
    use crate::adapters::model_file::tests::model;
    use crate::adapters::model_shelf::ModelShelf;
    use crate::book::models::tests::{chosen, tripped};
    use crate::screening::features::{FEATURE_COUNT, FeatureVector};
    use crate::vocabulary::time::Timestamp;

    #[test]
    fn a_tripped_breaker_its_audits_and_drift_are_shown_by_programme() {
        let (shop, now) = (ProgramId::new("shop").unwrap(), Timestamp::saturating_from_millis(1_790_000_000_000));
        let models = ModelStore::open(None, Arc::new(ModelShelf::default()), now).unwrap();
        let (loaded, _) = models.load(&shop, &model_file::to_bytes(&model("m-1")).unwrap(), now).unwrap();
        let book = tripped(chosen(loaded.name), "m-1", (9, 3), now);
        let in_force = models.shelf().models_of(&shop, &book);
        (0..600).for_each(|_| in_force.drift().unwrap().observe(0.1, || FeatureVector::from_values([0.1; FEATURE_COUNT])));

        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        metrics::with_local_recorder(&recorder, || set_model(&models, &shop, &book));
        let shown = shown.render();
        for line in [
            "selfsame_model_missing{program=\"shop\"} 0",
            "selfsame_model_breaker_tripped{program=\"shop\"} 1",
            "selfsame_model_audits{program=\"shop\",found=\"honest\"} 9",
            "selfsame_model_live_error{program=\"shop\",bound=\"upper\"} 0.9",
            "selfsame_model_drift{program=\"shop\",feature=\"score\"}",
            "selfsame_model_drift{program=\"shop\",feature=\"device.same_device.strength\"}",
        ] {
            assert!(shown.contains(line), "{line} is not in:\n{shown}");
        }
    }
}
