//! Gauges of what stands in the ledger: its filters and tables, and the queue and the accounts of each programme.
//!
//! It must never name anything but programmes. `serve` runs it beside the server.

use std::sync::Arc;
use std::time::Duration;

use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::ports::records::QueueStats;

/// How often the gauges are set.
const EVERY: Duration = Duration::from_secs(15);
/// Programmes that are shown; the names are the operator's, but a mistake must not flood the metrics.
const PROGRAMMES_SHOWN: usize = 100;

/// Sets the gauges again and again, until it is dropped.
pub async fn report(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) {
    loop {
        let (ledger, clock) = (Arc::clone(&ledger), Arc::clone(&clock));
        let set = tokio::task::spawn_blocking(move || set_all(&*ledger, &*clock)).await;
        if !matches!(set, Ok(Ok(()))) {
            tracing::warn!("the gauges of the queue could not be read");
        }
        tokio::time::sleep(EVERY).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "gauges are floats; counts stay far below 2^53")]
fn set_all(ledger: &dyn Ledger, clock: &dyn Clock) -> Result<(), LedgerError> {
    for reading in ledger.readings() {
        metrics::gauge!(format!("selfsame_ledger_{}", reading.name)).set(reading.value);
    }
    for program in ledger.programs()?.into_iter().take(PROGRAMMES_SHOWN) {
        let now = clock.now();
        let stats = ledger.queue_stats(&program.program_id, now)?;
        let QueueStats { open, claimed, resolved, overdue, oldest_opened_at, by_first_reason: _ } = stats;
        let name = program.program_id.to_string();
        for (state, cases) in [("OPEN", open), ("CLAIMED", claimed), ("RESOLVED", resolved)] {
            metrics::gauge!("selfsame_cases", "program" => name.clone(), "state" => state).set(cases as f64);
        }
        metrics::gauge!("selfsame_cases_overdue", "program" => name.clone()).set(overdue as f64);
        let oldest = oldest_opened_at.map_or(0.0, |opened_at| now.since(opened_at).as_seconds().max(0.0));
        metrics::gauge!("selfsame_oldest_case_seconds", "program" => name.clone()).set(oldest);
        metrics::gauge!("selfsame_accounts", "program" => name).set(f64::from(program.accounts));
    }
    Ok(())
}
