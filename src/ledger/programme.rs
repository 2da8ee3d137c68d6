//! A programme of an open ledger: its book, how far it is durable, and who waits for that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::{Mutex, RwLock, RwLockWriteGuard};
use tokio::sync::watch;

use super::cold::ColdTier;
use crate::book::Book;
use crate::book::cold::Met;
use crate::book::command::Assessor;
use crate::book::records::Cursor;
use crate::ports::journal::{Chain, Epoch};
use crate::ports::ledger::LedgerError;
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::ids::ProgramId;

/// How far a programme is durable.
#[derive(Debug, Clone, PartialEq)]
struct Progress {
    durable: Cursor,
    /// Why it will not get further; absent while it may.
    failure: Option<LedgerError>,
}

/// A programme.
pub(super) struct Programme {
    pub(super) id: ProgramId,
    /// Ahead of what is durable by what is on its way to the journal.
    pub(super) book: RwLock<Book>,
    /// The chain up to the last record that was applied. The sequencer's own.
    pub(super) chain: Mutex<Chain>,
    pub(super) epoch: Epoch,
    /// Where what nobody met for long is; absent where everything stays in the book.
    pub(super) cold: Option<ColdTier>,
    /// Where the newest snapshot stands that was read or written; 0 when there is none.
    pub(super) snapshot: Mutex<Cursor>,
    /// When that was written, or the programme opened.
    pub(super) snapshot_since: Mutex<Instant>,
    /// When one could not be written that has not been written since.
    pub(super) snapshot_failed: Mutex<Option<Instant>>,
    progress: watch::Sender<Progress>,
}

impl Programme {
    pub(super) fn new(id: ProgramId, book: Book, chain: Chain) -> Self {
        let progress = Progress { durable: book.cursor(), failure: None };
        let (book, chain) = (RwLock::new(book), Mutex::new(chain));
        let snapshot = Mutex::new(Cursor(0));
        let (snapshot_since, progress) = (Mutex::new(Instant::now()), watch::Sender::new(progress));
        let snapshot_failed = Mutex::new(None);
        Self { id, book, chain, epoch: Epoch::SOLE, cold: None, snapshot, snapshot_since, snapshot_failed, progress }
    }

    /// With a place for what is cold.
    pub(super) fn beside(self, cold: Option<ColdTier>) -> Self {
        Self { cold, ..self }
    }

    /// With a permission of its own, where programmes are leased.
    pub(super) fn under(self, epoch: Epoch) -> Self {
        Self { epoch, ..self }
    }

    /// Brings back what is met and cold. Only the sequencer makes things cold, so on its thread they stay until the next command.
    ///
    /// # Errors
    /// What is cold cannot be read.
    pub(super) fn bring<'m>(&self, met: impl FnOnce(&Book) -> Met<'m>) -> Result<(), LedgerError> {
        let Some(tier) = &self.cold else { return Ok(()) };
        let packs = {
            let book = self.book.read();
            if book.cold().accounts == 0 {
                return Ok(());
            }
            tier.wanted(&book, &met(&book))?
        };
        if !packs.is_empty() {
            tier.take_back(&mut self.book.write(), packs);
        }
        Ok(())
    }

    /// Reads from the book what may be cold, once it was brought back. May wait for the disk.
    ///
    /// # Errors
    /// As [`Programme::bring`].
    pub(super) fn look<'m, T>(&self, met: impl Fn(&Book) -> Met<'m>, look: impl FnOnce(&Book) -> T) -> Result<T, LedgerError> {
        let Some(tier) = &self.cold else { return Ok(look(&self.book.read())) };
        loop {
            let book = self.book.read();
            let packs = tier.wanted(&book, &met(&book))?;
            if packs.is_empty() {
                return Ok(look(&book));
            }
            drop(book);
            let mut book = self.book.write();
            tier.take_back(&mut book, packs);
            // Something else may have become cold before the lock was taken.
            let book = RwLockWriteGuard::downgrade(book);
            if book.absent(&met(&book)).accounts.is_empty() {
                return Ok(look(&book));
            }
        }
    }

    /// When its rewards may be paid, under its terms as they are now.
    pub(super) fn payout(&self, assessor: &dyn Assessor) -> PayoutPolicy {
        let terms = Arc::clone(self.book.read().terms());
        assessor.payout(&self.id, &terms)
    }

    /// The newest record that is durable.
    pub(super) fn durable(&self) -> Cursor {
        self.progress.borrow().durable
    }

    pub(super) fn advance(&self, durable: Cursor) {
        self.progress.send_modify(|progress| progress.durable = progress.durable.max(durable));
    }

    /// Nothing more will become durable; whoever waits is told.
    pub(super) fn fail(&self, error: &LedgerError) {
        self.progress.send_if_modified(|progress| {
            let first = progress.failure.is_none();
            progress.failure.get_or_insert_with(|| error.clone());
            first
        });
    }

    /// Why nothing more will become durable; absent while it may.
    pub(super) fn failure(&self) -> Option<LedgerError> {
        self.progress.borrow().failure.clone()
    }

    /// Completes once nothing more will become durable.
    pub(super) async fn failed(&self) {
        // The sender is part of the programme that is held here.
        drop(self.progress.subscribe().wait_for(|progress| progress.failure.is_some()).await);
    }

    /// Completes once a record is durable.
    ///
    /// # Errors
    /// Why it never will be.
    pub(super) async fn wait_for(&self, cursor: Cursor) -> Result<(), LedgerError> {
        if self.durable() >= cursor {
            return Ok(());
        }
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|progress| progress.durable >= cursor || progress.failure.is_some()).await;
        match reached.as_deref() {
            Ok(Progress { durable, failure: Some(failure) }) if *durable < cursor => Err(failure.clone()),
            Ok(_) => Ok(()),
            // The sender is part of the programme that is held here.
            Err(_) => Err(super::commit::closing()),
        }
    }

    /// Completes once a record past the cursor is durable. Stays pending when none ever will be.
    pub(super) async fn grown_past(&self, cursor: Cursor) {
        let mut progress = self.progress.subscribe();
        if progress.wait_for(|progress| progress.durable > cursor).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Who writes for the programmes of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// This process for all of them: they are opened with the ledger, begin with their first record, and fail together.
    Alone,
    /// Whoever holds the lease of each: they are opened when it is taken, and each fails alone.
    Leased,
}

/// The programmes of a ledger, by name.
pub(super) struct Programmes {
    known: RwLock<BTreeMap<ProgramId, Arc<Programme>>>,
    registered: watch::Sender<usize>,
}

impl Programmes {
    pub(super) fn new(programmes: impl IntoIterator<Item = Programme>) -> Self {
        let known: BTreeMap<_, _> = programmes.into_iter().map(|programme| (programme.id.clone(), Arc::new(programme))).collect();
        Self { registered: watch::Sender::new(known.len()), known: RwLock::new(known) }
    }

    pub(super) fn get(&self, id: &ProgramId) -> Option<Arc<Programme>> {
        self.known.read().get(id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Programme>> {
        self.known.read().values().cloned().collect()
    }

    pub(super) fn add(&self, programme: Programme) -> Arc<Programme> {
        let programme = Arc::new(programme);
        self.known.write().insert(programme.id.clone(), Arc::clone(&programme));
        self.registered.send_modify(|count| *count += 1);
        programme
    }

    /// Gives a programme up, unless another one has its name by now.
    pub(super) fn remove(&self, programme: &Arc<Programme>) {
        let mut known = self.known.write();
        if known.get(&programme.id).is_some_and(|of_name| Arc::ptr_eq(of_name, programme)) {
            known.remove(&programme.id);
        }
    }

    /// The programme, once it holds something.
    pub(super) async fn registered(&self, id: &ProgramId) -> Arc<Programme> {
        let mut registered = self.registered.subscribe();
        loop {
            registered.mark_unchanged();
            if let Some(programme) = self.get(id) {
                return programme;
            }
            if registered.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
