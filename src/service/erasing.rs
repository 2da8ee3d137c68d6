//! Erasures while serving: what was asked for is done at once, and what could not be done is tried again.

use std::sync::Arc;
use std::time::Duration;

use super::shared::Shared;

/// How often it is looked whether something is left to do.
const EVERY: Duration = Duration::from_secs(600);
/// How long it is waited for further erasures, so that what takes long is done once for all of them.
const TOGETHER: Duration = Duration::from_millis(500);

/// Ends erasures, until it is dropped.
pub(super) async fn finish(shared: Arc<Shared>) {
    loop {
        let ledger = Arc::clone(&shared.ledger);
        match tokio::task::spawn_blocking(move || ledger.finish_erasures()).await {
            Ok(Ok(0)) => {}
            Ok(Ok(accounts)) => tracing::info!(accounts, "the signals of accounts are erased"),
            Ok(Err(error)) => tracing::error!(%error, "an erasure could not be ended; the next try is in ten minutes"),
            Err(broken) => tracing::error!(%broken, "an erasure could not be ended; the next try is in ten minutes"),
        }
        tokio::select! {
            () = shared.erasure_asked.notified() => tokio::time::sleep(TOGETHER).await,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
