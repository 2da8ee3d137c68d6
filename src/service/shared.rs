//! What all handlers share: the ledger, the policies, the clock, places for streams, and the one way to ask the ledger.
//!
//! It must never turn a failed read into an empty answer. Every handler holds an `Arc` of it.

use std::sync::Arc;

use tokio::sync::{Notify, OwnedSemaphorePermit, watch};
use tokio::task::JoinError;

use super::access::{Door, Share};
use super::budgets::ByteBudget;
use super::errors::Refusal;
use super::followers::Followers;
use super::forwarding::Replicas;
use super::incomparable::{AskedOften, Incomparable};
use super::limits::{Limits, PANICS, StreamPlaces, WaitingPlaces};
use super::looks::Looks;
use super::told::Lines;
use crate::adapters::model_store::{ModelStore, ModelStoreError};
use crate::adapters::tls::ServerTls;
use crate::book::cursor::FeedCursor;
use crate::book::query::Wanted;
use crate::ports::clock::Clock;
use crate::ports::ledger::{Answer, Ledger, LedgerError};
use crate::ports::policies::Policies;
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

/// The counter of the ledger's faults.
const LEDGER_FAULTS: &str = "selfsame_ledger_faults_total";
/// The counter of calls that told of the future.
const CLOCK_SKEW: &str = "selfsame_clock_skew_total";

/// Counts times of facts that lay in the future and were taken for now.
pub(super) fn count_skew(warnings: &[String]) {
    if !warnings.is_empty() {
        metrics::counter!(CLOCK_SKEW).increment(1);
        tracing::debug!("a fact was dated in the future; compare the clocks of its sender and of this server");
    }
}

/// What all handlers share.
pub(super) struct Shared {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) policies: Arc<dyn Policies>,
    /// Who calls.
    pub(super) door: Arc<Door>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) models: Arc<ModelStore>,
    /// Who was told of conversions that could not be compared.
    pub(super) incomparable: Incomparable,
    /// Who was told of callers that ask about one person again and again.
    pub(super) asked_often: AskedOften,
    /// Who looked at whom, and is yet to be kept.
    pub(super) looks: Looks,
    /// Told when an erasure was asked for.
    pub(super) erasure_asked: Notify,
    /// Who follows the feed.
    pub(super) followers: Followers,
    /// Lines of the log that decisions have, and refusals inside of streams.
    pub(super) decision_lines: Lines,
    pub(super) refusal_lines: Arc<Lines>,
    /// The other processes that share the ledger.
    pub(super) replicas: Replicas,
    pub(super) places: StreamPlaces,
    /// Places of reads and of requests to the store of models.
    pub(super) reads: WaitingPlaces,
    /// Bytes, over all streams, of answers that their readers have not taken yet.
    pub(super) unread: ByteBudget,
    pub(super) limits: Limits,
    /// The certificate that is shown; absent where plaintext is spoken.
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) phase: watch::Receiver<Phase>,
    /// Told when the ledger failed, so that health need not wait for its next look.
    pub(super) ledger_failed: Notify,
}

impl Shared {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits for one small thing that the ledger was asked for.
    pub(super) async fn look_up<T>(&self, asked: Answer<'_, T>) -> Result<T, Refusal> {
        asked.await.map_err(|error| self.refusal(error))
    }

    /// Reads much. Refused as busy when all places of reads are taken, or all of the caller's own. What is read is told whether the caller still waits.
    pub(super) async fn read<T, F>(
        &self,
        share: &Share,
        read: impl FnOnce(Arc<dyn Ledger>, Wanted) -> F + Send + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LedgerError>> + Send + 'static,
    {
        let places = (self.reads.take()?, share.read_place()?);
        self.read_at(places, read).await
    }

    /// As [`Shared::read`], for streams: they wait for a place, because their own number is bounded and a refusal would end them.
    pub(super) async fn read_in_turn<T, F>(
        &self,
        share: &Share,
        read: impl FnOnce(Arc<dyn Ledger>) -> F + Send + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LedgerError>> + Send + 'static,
    {
        // Its own place first: a caller that waits for one of its own keeps none from others.
        let own = share.read_place_in_turn().await?;
        let places = (self.reads.take_in_turn().await?, own);
        self.read_at(places, |ledger, _| read(ledger)).await
    }

    /// As [`Shared::read`], at places that the caller has; they are given back when the read ends, which may be a little after the caller has left.
    async fn read_at<T, F>(
        &self,
        places: (OwnedSemaphorePermit, OwnedSemaphorePermit),
        read: impl FnOnce(Arc<dyn Ledger>, Wanted) -> F + Send + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LedgerError>> + Send + 'static,
    {
        let ledger = Arc::clone(&self.ledger);
        let wanted = Wanted::default();
        let asked = wanted.clone();
        let in_its_place = async move {
            let _places = places;
            read(ledger, asked).await
        };
        let _until_left = WhenLeft(wanted);
        tokio::spawn(in_its_place).await.map_err(|broken| of_broken(&broken))?.map_err(|error| self.refusal(error))
    }

    /// Works with the ledger on a thread that may wait, at a place that the caller has; it is given back when the work ends.
    pub(super) async fn work_at<T: Send + 'static>(
        &self,
        place: impl Send + 'static,
        work: impl FnOnce(&dyn Ledger) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let ledger = Arc::clone(&self.ledger);
        waiting(place, move || work(&*ledger)).await?.map_err(|error| self.refusal(error))
    }

    /// Asks the store of models, which may wait for the disk. Refused as busy, with nothing changed, when all places of reads are taken.
    pub(super) async fn ask_models<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&ModelStore) -> Result<T, ModelStoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let models = Arc::clone(&self.models);
        waiting(self.reads.take()?, move || ask(&models)).await?.map_err(Refusal::from)
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
            LedgerError::OverBudget { .. } => {
                tracing::warn!(%error, "the ledger refuses writes");
                self.count_fault();
            }
            LedgerError::Refused(_)
            | LedgerError::CursorForgotten { .. }
            | LedgerError::CursorOfOther { .. }
            | LedgerError::Busy { .. }
            | LedgerError::HeldElsewhere { .. } => {}
        }
        Refusal::from(error)
    }

    /// Counts a fault of the ledger and lets health look at once.
    fn count_fault(&self) {
        metrics::counter!(LEDGER_FAULTS).increment(1);
        self.ledger_failed.notify_one();
    }

    /// The end of a programme's feed; the beginning when the programme holds nothing yet.
    pub(super) async fn feed_end(&self, program: &ProgramId) -> Result<FeedCursor, Refusal> {
        self.look_up(self.ledger.end(program)).await
    }

    /// Where following the feed begins: at a cursor that leads here, or with what is left.
    ///
    /// # Errors
    /// A refusal when the cursor leads elsewhere, or what came after it is not kept any more.
    pub(super) async fn feed_from(&self, program: &ProgramId, after: Option<FeedCursor>) -> Result<FeedCursor, Refusal> {
        let (_, begin) = self.look_up(self.ledger.feed(program, after, 0)).await?;
        Ok(begin)
    }

    /// Completes when the server begins to drain.
    pub(super) async fn draining(&self) {
        let mut phase = self.phase.clone();
        // A server that was dropped drains no less.
        let _ = phase.wait_for(|phase| *phase == Phase::Draining).await;
    }
}

/// Tells what is read when nobody waits for it any more.
struct WhenLeft(Wanted);

impl Drop for WhenLeft {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Works on a thread that may wait. The place is given back when the work ends, which may be after whoever asked for it has left. A panic is logged
/// here, and nowhere else.
async fn waiting<T: Send + 'static>(place: impl Send + 'static, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
    let in_its_place = move || {
        let _place = place;
        work()
    };
    tokio::task::spawn_blocking(in_its_place).await.map_err(|broken| of_broken(&broken))
}

/// What a caller is told of work that panicked. Counted and logged here, and nowhere else.
fn of_broken(broken: &JoinError) -> Refusal {
    if broken.is_panic() {
        metrics::counter!(PANICS).increment(1);
    }
    tracing::error!(%broken, "work on ledger or models panicked; a caller that waited was answered INTERNAL");
    Refusal::internal()
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn a_panic_of_work_that_waits_is_counted_and_its_place_given_back() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let places = WaitingPlaces::new(1);
        let broken = || panic!("broken on purpose");
        let answer = metrics::with_local_recorder(&recorder, || runtime.block_on(waiting::<()>(places.take().unwrap(), broken)));
        assert!(answer.is_err() && places.take().is_ok());
        assert!(shown.render().contains("selfsame_panics_total 1"), "{}", shown.render());
    }
}
