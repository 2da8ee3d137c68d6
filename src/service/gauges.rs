//! Gauges of what stands in the ledger: its memory, and the queue and the accounts of each programme; of the model and the policy that decide in
//! each; and of the process.
//!
//! It must never name anything but programmes and features. `serve` runs it beside the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;
use metrics::SharedString;

use super::incomparable::{ASKED_OFTEN, INCOMPARABLE};
use super::payout::AGAINST_GATE;
use crate::adapters::certificate;
use crate::adapters::model_store::ModelStore;
use crate::adapters::tls::ServerTls;
use crate::book::models::{ModelAudits, ProgramModels};
use crate::book::records::QueueStats;
use crate::ledger::BREAKER_TRIPS;
use crate::ports::clock::Clock;
use crate::ports::labels;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::ports::policies::Policies;
use crate::screening::model::Certificate;
use crate::screening::policy::ScoreSource;
use crate::vocabulary::ids::ProgramId;

/// How often the gauges are set.
const EVERY: Duration = Duration::from_secs(15);
/// What stands in the label of a version where there is none.
const NO_VERSION: &str = "none";
/// Counters of a programme that are shown from its first record: one that appears with its first event has no increase to alert on.
const SHOWN_FROM_THE_START: [&str; 4] = [AGAINST_GATE, INCOMPARABLE, BREAKER_TRIPS, ASKED_OFTEN];

/// What the gauges tell of.
#[derive(Clone)]
pub struct Told {
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The policies in force.
    pub policies: Arc<dyn Policies>,
    /// The models.
    pub models: Arc<ModelStore>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Memory that the ledger may take. Unit: bytes.
    pub memory_bytes_max: usize,
    /// The certificate that is shown; absent where plaintext is spoken.
    pub tls: Option<Arc<ServerTls>>,
}

/// The versions that were shown of each programme: the policy's, and the model's.
type Versions = BTreeMap<ProgramId, [SharedString; 2]>;

/// Sets the gauges again and again, until it is dropped.
pub async fn report(told: Told) {
    metrics::gauge!("selfsame_build_info", "version" => env!("CARGO_PKG_VERSION"), "arch" => std::env::consts::ARCH).set(1.0);
    tell_budget(told.memory_bytes_max);
    let process = metrics_process::Collector::default();
    process.describe();
    let mut versions = Versions::new();
    loop {
        let (told, mut shown) = (told.clone(), std::mem::take(&mut versions));
        let set = tokio::task::spawn_blocking(move || set_all(&told, &mut shown).map(|()| shown)).await;
        match set {
            Ok(Ok(shown)) => versions = shown,
            Ok(Err(error)) => tracing::warn!(%error, "the gauges of the queue could not be read"),
            Err(broken) => tracing::warn!(%broken, "the gauges of the queue could not be read"),
        }
        process.collect();
        tokio::time::sleep(EVERY).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^53")]
fn set_all(
    Told { ledger, policies, models, clock, memory_bytes_max: _, tls }: &Told,
    versions: &mut Versions,
) -> Result<(), LedgerError> {
    let shown = tls.as_ref().map(|tls| tls.in_force());
    let left = certificate::seconds_left(shown.as_ref().and_then(|shown| shown.facts.as_ref()), clock.now());
    metrics::gauge!("selfsame_certificate_left_seconds").set(left);
    for reading in ledger.readings() {
        metrics::gauge!(format!("selfsame_ledger_{}", reading.name)).set(reading.value);
    }
    for program in ledger.programs() {
        let label = labels::program(&program.program_id);
        if &*label == labels::OTHERS {
            continue;
        }
        let now = clock.now();
        let stats = block_on(ledger.queue_stats(&program.program_id, now))?;
        let QueueStats { open, claimed, resolved, overdue, oldest_opened_at, by_first_reason: _ } = stats;
        let name = label;
        for (state, cases) in [("OPEN", open), ("CLAIMED", claimed), ("RESOLVED", resolved)] {
            metrics::gauge!("selfsame_cases", "program" => name.clone(), "state" => state).set(cases as f64);
        }
        metrics::gauge!("selfsame_cases_overdue", "program" => name.clone()).set(overdue as f64);
        let oldest = oldest_opened_at.map_or(0.0, |opened_at| now.since(opened_at).as_seconds().max(0.0));
        metrics::gauge!("selfsame_oldest_case_seconds", "program" => name.clone()).set(oldest);
        metrics::gauge!("selfsame_accounts", "program" => name.clone()).set(f64::from(program.accounts));
        for counter in SHOWN_FROM_THE_START {
            metrics::counter!(counter, "program" => name.clone()).increment(0);
        }
        let book = block_on(ledger.models(&program.program_id))?;
        set_model(models, &program.program_id, &book);
        let terms = block_on(ledger.terms(&program.program_id))?;
        let policy = policies.policy_of(&program.program_id, &terms);
        let model = match policy.score().source {
            ScoreSource::Model => {
                models.shelf().models_of(&program.program_id, &book).active.as_ref().map(|model| model.version().to_owned())
            }
            ScoreSource::Judgement => None,
        };
        let now_shown = [policy.version().to_owned(), model.unwrap_or_else(|| NO_VERSION.to_owned())].map(SharedString::from);
        let before = versions.insert(program.program_id.clone(), now_shown.clone());
        set_versions(&name, before.as_ref(), &now_shown);
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; no machine has 2^53 bytes")]
fn tell_budget(memory_bytes_max: usize) {
    metrics::gauge!("selfsame_ledger_memory_budget_bytes").set(memory_bytes_max as f64);
}

/// Which policy and which model decide: 1 beside what does, 0 beside what did.
fn set_versions(program: &SharedString, before: Option<&[SharedString; 2]>, now: &[SharedString; 2]) {
    for (at, name) in ["selfsame_policy_info", "selfsame_model_info"].into_iter().enumerate() {
        let set = |versions: &[SharedString; 2], value: f64| {
            if let Some(version) = versions.get(at) {
                metrics::gauge!(name, "program" => program.clone(), "version" => version.clone()).set(value);
            }
        };
        if let Some(before) = before {
            set(before, 0.0);
        }
        set(now, 1.0);
    }
}

/// The audits and the breaker of the model that decides, and how far score and features have moved. What has too few values is not shown.
fn set_model(models: &ModelStore, program: &ProgramId, book: &ProgramModels) {
    let name = labels::program(program);
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
    fn a_version_that_decides_no_more_is_shown_as_zero() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        let versions = |policy: &'static str| [policy, "m-1"].map(SharedString::const_str);
        metrics::with_local_recorder(&recorder, || {
            set_versions(&"shop".into(), None, &versions("p-1"));
            set_versions(&"shop".into(), Some(&versions("p-1")), &versions("p-2"));
        });
        let shown = shown.render();
        for line in [
            "selfsame_policy_info{program=\"shop\",version=\"p-1\"} 0",
            "selfsame_policy_info{program=\"shop\",version=\"p-2\"} 1",
            "selfsame_model_info{program=\"shop\",version=\"m-1\"} 1",
        ] {
            assert!(shown.contains(line), "{line} is not in:\n{shown}");
        }
    }

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
