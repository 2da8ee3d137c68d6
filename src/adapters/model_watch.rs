//! The watch over models that reject by themselves: reads reviewers' verdicts on audited rejects from the feed, bounds the live error, and trips
//! the breaker once the model's promise is broken.
//!
//! It must never count a resolution twice, nor leave a broken promise in force. Counts and the place up to which the feed was read are kept
//! together, so a crash counts nothing twice and loses nothing. A later resolution replaces the earlier: a reopened case is taken back out of the
//! counts. The review handlers call it after each resolution, the model handlers before they show it, and `serve` again and again.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use parking_lot::Mutex;

use super::model_store::{ModelAudits, ModelStore, ModelStoreError, Noted, Watched};
use crate::book::records::{Cursor, FeedEvent, FeedKind};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::screening::AutoReject;
use crate::screening::decision::Verdict;
use crate::screening::model::Certificate;
use crate::screening::monitor::LiveError;
use crate::vocabulary::ids::{ConversionId, ProgramId};

/// Records of the feed that are read at a time.
const RECORDS_READ: usize = 1_024;

/// Why the audits could not be counted. They are counted again next time; a breaker that tripped meanwhile is in force all the same.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The feed cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The counts cannot be kept.
    #[error(transparent)]
    Store(#[from] ModelStoreError),
}

/// The watch. One for a server.
pub struct ModelWatch {
    store: Arc<ModelStore>,
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    /// One at a time for each programme: a second caller waits and finds nothing left to count.
    turns: Mutex<BTreeMap<ProgramId, Arc<Mutex<()>>>>,
}

impl ModelWatch {
    /// A watch over the models of a store, by the feed of a ledger.
    #[must_use]
    pub fn new(store: Arc<ModelStore>, ledger: Arc<dyn Ledger>, clock: Arc<dyn Clock>) -> Self {
        Self { store, ledger, clock, turns: Mutex::default() }
    }

    /// Counts all that is in a programme's feed by now. Blocks while it reads. Programmes whose model rejects nothing cost nothing.
    ///
    /// # Errors
    /// [`WatchError`]; what was not counted is counted next time.
    pub fn catch_up(&self, program: &ProgramId) -> Result<(), WatchError> {
        let turn = Arc::clone(self.turns.lock().entry(program.clone()).or_default());
        let _turn = turn.lock();
        while let Some(mut watched) = self.store.watched(program) {
            let after = watched.watch.read_up_to;
            let read = match block_on(self.ledger.feed(program, after, RECORDS_READ)) {
                // What nobody counted before it was removed by age is not counted any more.
                Err(LedgerError::CursorForgotten { .. }) => block_on(self.ledger.feed(program, None, RECORDS_READ)),
                Err(error @ LedgerError::CursorOfOther { .. }) => {
                    tracing::warn!(%program, %error, "the audits of models are counted again from the beginning of the feed");
                    watched.watch = watched.watch.begun_again();
                    block_on(self.ledger.feed(program, None, RECORDS_READ))
                }
                read => read,
            };
            let (events, read_up_to) = read?;
            if Some(read_up_to) == after {
                return Ok(());
            }
            for event in &events {
                self.count(program, event, &mut watched)?;
            }
            watched.watch.read_up_to = Some(read_up_to);
            self.judge(program, &mut watched);
            match self.store.note_audits(program, &watched, self.clock.now())? {
                Noted::Taken | Noted::ChosenMeanwhile => {}
                Noted::Tripped => {
                    let audits = watched.audits();
                    metrics::counter!("selfsame_model_breaker_trips_total", "program" => program.to_string()).increment(1);
                    tracing::error!(
                        %program,
                        version = watched.version,
                        audited = audits.resolved(),
                        honest = audits.honest,
                        "the breaker tripped: what the model would reject goes to review until a model is activated"
                    );
                }
            }
        }
        Ok(())
    }

    /// Counts all programmes.
    ///
    /// # Errors
    /// The first programme that could not be counted; the others were.
    pub fn catch_up_all(&self) -> Result<(), WatchError> {
        let mut outcome = Ok(());
        for summary in self.ledger.programs() {
            if let Err(error) = self.catch_up(&summary.program_id) {
                outcome = outcome.and(Err(error));
            }
        }
        outcome
    }

    fn count(&self, program: &ProgramId, event: &FeedEvent, watched: &mut Watched) -> Result<(), WatchError> {
        let Some(change) = Change::of(event) else { return Ok(()) };
        let audited = match (&event.audited_model, &event.conversion_id) {
            (Some(version), _) => Some((version.to_string(), event.cursor.place)),
            (None, Some(conversion)) if change != Change::Sampled => self.audited(program, conversion)?,
            (None, _) => None,
        };
        let Some((version, decided)) = audited else { return Ok(()) };
        let audits = watched.watch.models.entry(version).or_default();
        if decided.0 > audits.since {
            change.apply(audits);
        }
        Ok(())
    }

    /// The model whose reject went to review instead, and where it was decided; `None` for all other decisions.
    fn audited(&self, program: &ProgramId, conversion: &ConversionId) -> Result<Option<(String, Cursor)>, LedgerError> {
        let Some(record) = block_on(self.ledger.decision(program, conversion))? else { return Ok(None) };
        Ok(record.decision.audited_model().map(|version| (version.to_owned(), record.cursor.place)))
    }

    /// Trips the breaker of the model that decides when the audits break its promise. Only an activation arms it again.
    fn judge(&self, program: &ProgramId, watched: &mut Watched) {
        let Some(loaded) = self.store.model(program, &watched.version) else { return };
        let Certificate { alpha, delta, .. } = loaded.model.certificate();
        let Some(audits) = watched.watch.models.get_mut(&watched.version) else { return };
        if !audits.is_tripped() && live_error(audits).breaker(alpha, delta) == AutoReject::Tripped {
            audits.tripped_at_millis = Some(self.clock.now().as_millis());
        }
    }
}

/// What the audits say of the live error.
#[must_use]
pub fn live_error(audits: &ModelAudits) -> LiveError {
    LiveError::of_counts(audits.honest, audits.abusive)
}

/// What an event changes about the counts, once it is known to be about an audited reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Sampled,
    Resolved(Verdict),
    TakenBack(Verdict),
}

impl Change {
    /// `None` for events that change nothing.
    fn of(event: &FeedEvent) -> Option<Self> {
        match event.kind {
            FeedKind::Decided => Some(Self::Sampled),
            FeedKind::CaseResolved => event.verdict.map(Self::Resolved),
            FeedKind::CaseReopened => event.previous_verdict.map(Self::TakenBack),
            FeedKind::Cancelled
            | FeedKind::HoldPlaced
            | FeedKind::HoldLifted
            | FeedKind::Paid
            | FeedKind::PayoutFailed
            | FeedKind::Reduced
            | FeedKind::Reinstated
            | FeedKind::RewardsChanged
            | FeedKind::Reassessed
            | FeedKind::RejectedAfterPayment => None,
        }
    }

    fn apply(self, audits: &mut ModelAudits) {
        match self {
            Self::Sampled => audits.sampled += 1,
            Self::Resolved(Verdict::Approved) => audits.honest += 1,
            Self::Resolved(Verdict::Rejected) => audits.abusive += 1,
            Self::TakenBack(Verdict::Approved) => audits.honest = audits.honest.saturating_sub(1),
            Self::TakenBack(Verdict::Rejected) => audits.abusive = audits.abusive.saturating_sub(1),
            Self::Resolved(Verdict::InReview) | Self::TakenBack(Verdict::InReview) => {}
        }
    }
}
