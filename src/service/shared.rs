//! What all handlers share: the ledger, the policies, the clock, places for streams, and the one way to ask the ledger.
//!
//! It must never turn a failed read into an empty answer. Every handler holds an `Arc` of it.

use std::sync::Arc;

use tokio::sync::{Notify, watch};

use super::errors::Refusal;
use super::limits::{Limits, StreamPlaces};
use crate::adapters::model_store::ModelStore;
use crate::adapters::model_watch::ModelWatch;
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::ports::policies::Policies;
use crate::ports::records::Cursor;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Timestamp;

/// Whether the server takes on work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// It does.
    Serving,
    /// It ends what it has begun.
    Draining,
}

/// What all handlers share.
pub(super) struct Shared {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) policies: Arc<dyn Policies>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) models: Arc<ModelStore>,
    pub(super) watch: Arc<ModelWatch>,
    pub(super) places: StreamPlaces,
    pub(super) limits: Limits,
    pub(super) phase: watch::Receiver<Phase>,
    /// Told when the ledger failed, so that health need not wait for its next look.
    pub(super) ledger_failed: Notify,
}

impl Shared {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Looks something up that takes no longer than a few memory reads.
    pub(super) fn look_up<T>(&self, read: impl FnOnce(&dyn Ledger) -> Result<T, LedgerError>) -> Result<T, Refusal> {
        read(&*self.ledger).map_err(|error| self.refusal(error))
    }

    /// Reads much, on a thread that may wait for the disk.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let ledger = Arc::clone(&self.ledger);
        match tokio::task::spawn_blocking(move || read(&*ledger)).await {
            Ok(answer) => answer.map_err(|error| self.refusal(error)),
            Err(broken) => {
                tracing::error!(%broken, "a read of the ledger panicked; the caller was answered INTERNAL");
                Err(Refusal::internal())
            }
        }
    }

    /// Counts the audits of a programme up to now, so that a breaker that trips has tripped before the caller goes on. What cannot be counted is
    /// counted later: what the caller asked for was done.
    pub(super) async fn count_audits(&self, program: &ProgramId) {
        let (watch, program) = (Arc::clone(&self.watch), program.clone());
        match tokio::task::spawn_blocking(move || watch.catch_up(&program)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the audits of a model could not be counted; they are counted later"),
            Err(broken) => tracing::error!(%broken, "counting the audits of a model panicked"),
        }
    }

    /// What the caller reads of a ledger's error. Damage is logged here, and nowhere else. A ledger that refuses writes was logged when it
    /// failed: a line for each refused call would fill what is left of a full disk.
    pub(super) fn refusal(&self, error: LedgerError) -> Refusal {
        match &error {
            LedgerError::Unavailable(_) => {
                tracing::debug!(%error, "the ledger refuses writes");
                self.count_fault();
            }
            LedgerError::Damaged(_) => {
                tracing::error!(%error, "the ledger is damaged");
                self.count_fault();
            }
            LedgerError::ContentDiffers { .. }
            | LedgerError::NotFound { .. }
            | LedgerError::IllegalStep(_)
            | LedgerError::RevisionDiffers { .. }
            | LedgerError::NotPossible(_)
            | LedgerError::PageToken
            | LedgerError::CursorForgotten { .. }
            | LedgerError::Busy { .. } => {}
        }
        Refusal::from(error)
    }

    /// Counts a fault of the ledger and lets health look at once.
    fn count_fault(&self) {
        metrics::counter!("selfsame_ledger_faults_total").increment(1);
        self.ledger_failed.notify_one();
    }

    /// The end of a programme's feed; the beginning when the programme holds nothing yet.
    pub(super) async fn feed_end(&self, program: &ProgramId) -> Result<Cursor, Refusal> {
        let programs = self.read(|ledger| ledger.programs()).await?;
        let found = programs.into_iter().find(|summary| summary.program_id == *program);
        Ok(found.map_or(Cursor(0), |summary| summary.last_cursor))
    }

    /// Completes when the server begins to drain.
    pub(super) async fn draining(&self) {
        let mut phase = self.phase.clone();
        // A server that was dropped drains no less.
        let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
    }
}
