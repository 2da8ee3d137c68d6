//! When snapshots are taken: after so many records, and when a ledger closes. Books are frozen between two commands and written on a thread of
//! their own, once what they hold is durable.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures::executor::block_on;
use parking_lot::Mutex;

use super::programme::Programme;
use super::sequencer::{Job, Sequencer};
use super::snapshot::{self, Place};
use crate::book::Frozen;
use crate::ports::journal::{Chain, Journal};
use crate::ports::snapshots::Snapshots;

/// How often is looked whether a snapshot is due.
const LOOKED_EVERY: Duration = Duration::from_secs(1);

/// How long after one could not be written it is tried again. What was in its way may pass: a full disk, descriptors that somebody else used up.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Records after which a snapshot is due when the ledger closes.
const AT_THE_END: u64 = 1;

/// A book that was frozen between two commands.
struct Still {
    programme: Arc<Programme>,
    frozen: Frozen,
    chain: Chain,
}

/// Takes snapshots until it is told to end.
pub(super) struct Snapshotter {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) snapshots: Arc<dyn Snapshots>,
    pub(super) jobs: mpsc::Sender<Job>,
    /// Records after which a snapshot is due.
    pub(super) every_records: u64,
    /// Held while snapshots are taken; retention holds it while it removes.
    pub(super) alone: Arc<Mutex<()>>,
}

impl Snapshotter {
    /// Runs until the other end of `end` goes away.
    pub(super) fn run(self, end: &mpsc::Receiver<()>) {
        while end.recv_timeout(LOOKED_EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            if self.take(self.every_records).is_none() {
                return;
            }
        }
        // On closing, whatever there is beyond the last snapshot would have to be replayed.
        self.take(AT_THE_END);
    }

    /// Takes the snapshots that are due. `None` when the sequencer is gone.
    fn take(&self, every_records: u64) -> Option<()> {
        let _alone = self.alone.lock();
        let (tell, told) = mpsc::channel();
        let freeze = move |sequencer: &mut Sequencer| {
            for programme in sequencer.programmes.all() {
                let began = Instant::now();
                let book = programme.book.read();
                let behind = book.cursor().0.saturating_sub(programme.snapshot.lock().0);
                let failed = programme.snapshot_failed.lock().map(|failed| failed.elapsed());
                if behind < every_records || (every_records != AT_THE_END && failed.is_some_and(|ago| ago < TRIED_AGAIN_AFTER)) {
                    continue;
                }
                let (frozen, chain) = (book.freeze(), *programme.chain.lock());
                drop(book);
                metrics::histogram!("selfsame_ledger_freeze_seconds").record(began.elapsed().as_secs_f64());
                // Whoever asked may be gone.
                drop(tell.send(Still { programme, frozen, chain }));
            }
        };
        self.jobs.send(Job::Between(Box::new(freeze))).ok()?;
        while let Ok(still) = told.recv() {
            self.write(&still.programme, still.frozen, still.chain);
        }
        Some(())
    }

    fn write(&self, programme: &Programme, frozen: Frozen, chain: Chain) {
        let at = frozen.totals.cursor;
        if block_on(programme.wait_for(at)).is_err() {
            return;
        }
        let began = Instant::now();
        let written = write(&*self.journal, &*self.snapshots, programme, frozen, chain);
        let came_to = if written.is_ok() { "written" } else { "failed" };
        metrics::counter!("selfsame_ledger_snapshots_total", "result" => came_to).increment(1);
        metrics::histogram!("selfsame_ledger_snapshot_seconds").record(began.elapsed().as_secs_f64());
        if let Err(error) = written {
            tracing::warn!(program = programme.id.as_str(), %error, "a snapshot was not written; the next opening takes longer");
        } else if let Some(tier) = &programme.cold {
            let _alone = tier.moving.lock();
            if let Err(error) = tier.snapshot_written(at, &programme.book) {
                tracing::warn!(program = programme.id.as_str(), %error, "what is not cold any more was not removed; the next opening does it");
            }
        }
    }
}

/// Writes a frozen book where snapshots are kept. One that fails is tried again, but not at once: a disk that is full gets no emptier by that.
pub(super) fn write(
    journal: &dyn Journal,
    snapshots: &dyn Snapshots,
    programme: &Programme,
    frozen: Frozen,
    chain: Chain,
) -> Result<(), crate::ports::journal::JournalError> {
    let place = Place { incarnation: journal.incarnation(), cursor: frozen.totals.cursor, chain };
    let written = write_at(place, snapshots, programme, frozen);
    *programme.snapshot_failed.lock() = written.is_err().then(Instant::now);
    if written.is_ok() {
        *programme.snapshot.lock() = place.cursor;
        *programme.snapshot_since.lock() = Instant::now();
    }
    written
}

fn write_at(
    place: Place,
    snapshots: &dyn Snapshots,
    programme: &Programme,
    frozen: Frozen,
) -> Result<(), crate::ports::journal::JournalError> {
    let mut frozen = Some(frozen);
    if let Some(tier) = &programme.cold {
        tier.sync()?;
    }
    snapshots.write(place.incarnation, &programme.id, place.cursor, &mut |out| {
        let frozen = frozen.take().ok_or_else(|| std::io::Error::other("a snapshot is written once"))?;
        snapshot::write(frozen, place, out)
    })
}
