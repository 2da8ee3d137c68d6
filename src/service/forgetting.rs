//! Retention while serving: what is older than its programme's retention, or the configured age, is removed, hour by hour.
//!
//! It must never decide what may go; the ledger does. `serve` runs it beside the server.

use std::sync::Arc;
use std::time::Duration;

use crate::ports::clock::Clock;
use crate::ports::ledger::Ledger;
use crate::vocabulary::time::Span;

/// How often something may have become too old.
const EVERY: Duration = Duration::from_secs(3_600);

/// Removes what is older than its programme says, or than `age` where that says nothing, again and again, until it is dropped.
pub async fn forget(ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>, age: Option<Span>) {
    loop {
        let (ledger, now) = (Arc::clone(&ledger), clock.now());
        match tokio::task::spawn_blocking(move || ledger.forget_older_than(age, now)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(records)) => {
                metrics::counter!("selfsame_records_forgotten_total").increment(records);
                tracing::info!(records, "records that are older than the configured age were removed");
            }
            Ok(Err(error)) => tracing::error!(%error, "what is too old could not be removed; the next try is in an hour"),
            Err(broken) => tracing::error!(%broken, "what is too old could not be removed; the next try is in an hour"),
        }
        tokio::time::sleep(EVERY).await;
    }
}
