//! Group commit: one thread takes staged entries from a bounded queue, makes many of them durable with one sync, and
//! only then answers. It never answers before the sync and never writes after a failure. Called by the ledger.
//!
//! Grouping needs no timer: while one sync runs, the next group gathers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::executor::block_on;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::watch;

use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::journal::Journal;
use crate::adapters::storage::record::{
    Entry, ProgrammeNumber, RECORD_LIMIT_BYTES, SIDE_KEY_LIMIT_BYTES, SIDE_VALUE_LIMIT_BYTES,
};

/// Makes groups durable. The journal does; a fault-injecting one stands in for it in simulations.
pub trait Durability: Send {
    /// Makes the whole group durable, or fails. After a failure it is unknown what is kept, and the committer stops.
    ///
    /// # Errors
    /// Whatever kept the group from being durable.
    fn append_group(&mut self, group: &[Entry]) -> Result<(), StorageError>;
}

impl Durability for Arc<Journal> {
    fn append_group(&mut self, group: &[Entry]) -> Result<(), StorageError> {
        Journal::append_group(self, group)
    }
}

/// How much one sync may cover, and how much may wait.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Most entries in one group.
    pub group_entries: usize,
    /// A group is closed when it reaches this many bytes.
    pub group_bytes: usize,
    /// Most entries admitted and not yet answered; beyond it callers are told to come back.
    pub queue_entries: usize,
    /// What a refused caller is told to wait.
    pub retry_after: Duration,
}

impl Default for GroupOptions {
    fn default() -> Self {
        // Judgement: a group of 512 small records is far below one batch that sled would notice, and 4,096 waiting
        // entries are about a tenth of a second of work.
        GroupOptions { group_entries: 512, group_bytes: 1 << 20, queue_entries: 4_096, retry_after: Duration::from_millis(50) }
    }
}

/// Called once, on the committer's thread, when the fate of an entry is known. It must be short.
pub type Completion = Box<dyn FnOnce(Result<(), StorageError>) + Send>;

/// An entry on its way to the disk.
pub struct Staged {
    /// Its place in the queue, which is given back when it is answered.
    pub permit: Permit,
    /// What is to be written.
    pub entry: Entry,
    /// Who is told of its fate.
    pub done: Completion,
}

/// Admits entries, groups them, and tells what is durable.
pub struct Committer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// Who is told of the fate of each entry of a group, and which place is then free.
type Answers = Vec<(Permit, Completion)>;

struct Shared {
    options: GroupOptions,
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Entries admitted and not yet answered, staged or not.
    admitted: AtomicUsize,
    durable: RwLock<BTreeMap<ProgrammeNumber, DurableSeq>>,
}

#[derive(Default)]
struct Queue {
    staged: VecDeque<Staged>,
    stopped: Option<StorageError>,
    closing: Closing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Closing {
    #[default]
    No,
    Yes,
}

/// A place in the queue. Take it *before* a command changes any state, so that a full queue refuses a command that has
/// not happened yet; give it back by dropping it.
pub struct Permit {
    shared: Arc<Shared>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Committer {
    /// Starts the thread.
    ///
    /// `durable` is what each programme's journal already holds.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the thread cannot be started.
    pub fn start(
        durability: impl Durability + 'static,
        options: GroupOptions,
        durable: impl IntoIterator<Item = (ProgrammeNumber, u64)>,
    ) -> Result<Committer, StorageError> {
        let durable = durable.into_iter().map(|(programme, seq)| (programme, DurableSeq::new(seq))).collect();
        let shared = Arc::new(Shared {
            options,
            queue: Mutex::new(Queue::default()),
            arrived: Condvar::new(),
            admitted: AtomicUsize::new(0),
            durable: RwLock::new(durable),
        });
        let worker = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("journal-commit".into())
            .spawn(move || worker.run(durability))
            .map_err(|e| StorageError::Io { doing: "starting the committer", reason: e.to_string() })?;
        Ok(Committer { shared, thread: Mutex::new(Some(thread)) })
    }

    /// A place for one entry.
    ///
    /// # Errors
    /// [`StorageError::Busy`]: try again later. [`StorageError::Poisoned`] or [`StorageError::Closed`]: never again.
    pub fn admit(&self) -> Result<Permit, StorageError> {
        self.shared.queue.lock().refuse_if_stopped()?;
        let permit = Permit { shared: Arc::clone(&self.shared) };
        if self.shared.admitted.fetch_add(1, Ordering::Relaxed) >= self.shared.options.queue_entries {
            // Dropping the permit gives the place back.
            return Err(StorageError::Busy { retry_after: self.shared.options.retry_after });
        }
        Ok(permit)
    }

    /// Hands over an entry. Entries of a programme are written in the order of the calls, which must be that of their
    /// sequence numbers. The completion always runs: after the sync, or with the error; it runs on this thread when
    /// the committer has already stopped.
    pub fn stage(&self, permit: Permit, entry: Entry, done: Completion) {
        self.stage_all([Staged { permit, entry, done }]);
    }

    /// Hands over entries in this order, waking the thread once.
    pub fn stage_all(&self, staged: impl IntoIterator<Item = Staged>) {
        let mut queue = self.shared.queue.lock();
        if let Err(error) = queue.refuse_if_stopped() {
            drop(queue);
            for Staged { permit, entry: _, done } in staged {
                drop(permit);
                done(Err(error.clone()));
            }
            return;
        }
        queue.staged.extend(staged);
        drop(queue);
        self.shared.arrived.notify_one();
    }

    /// The newest durable record of a programme, to read, wait on or subscribe to.
    #[must_use]
    pub fn durable(&self, programme: ProgrammeNumber) -> DurableSeq {
        self.shared.durable(programme)
    }

    /// Why writes are refused; absent while all is well.
    #[must_use]
    pub fn failure(&self) -> Option<StorageError> {
        self.shared.queue.lock().stopped.clone()
    }

    /// Writes what is staged, then ends the thread. Later entries get [`StorageError::Closed`].
    pub fn close(&self) {
        self.shared.queue.lock().closing = Closing::Yes;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.lock().take() {
            // A panic of the thread has already stopped the queue (see `StopOnExit`).
            drop(thread.join());
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn refuse_if_stopped(&self) -> Result<(), StorageError> {
        match (&self.stopped, self.closing) {
            (Some(error), _) => Err(error.clone()),
            (None, Closing::Yes) => Err(StorageError::Closed),
            (None, Closing::No) => Ok(()),
        }
    }
}

impl Shared {
    fn run(self: &Arc<Self>, mut durability: impl Durability) {
        let _stop = StopOnExit(Arc::clone(self));
        while let Some((entries, answers)) = self.next_group() {
            let result = durability.append_group(&entries);
            match &result {
                Ok(()) => self.publish(&entries),
                Err(error) => self.stop(error),
            }
            for (permit, done) in answers {
                drop(permit);
                done(result.clone());
            }
            if result.is_err() {
                return;
            }
        }
    }

    /// Waits for work; absent when closing and nothing is left.
    fn next_group(&self) -> Option<(Vec<Entry>, Answers)> {
        let mut queue = self.queue.lock();
        while queue.staged.is_empty() {
            if queue.closing == Closing::Yes {
                return None;
            }
            self.arrived.wait(&mut queue);
        }
        let mut entries = Vec::with_capacity(queue.staged.len().min(self.options.group_entries));
        let mut answers = Vec::with_capacity(entries.capacity());
        let mut size_bytes = 0;
        while entries.len() < self.options.group_entries && size_bytes < self.options.group_bytes {
            let Some(Staged { permit, entry, done }) = queue.staged.pop_front() else { break };
            size_bytes += entry.size_bytes();
            entries.push(entry);
            answers.push((permit, done));
        }
        Some((entries, answers))
    }

    fn publish(&self, entries: &[Entry]) {
        let mut newest = BTreeMap::new();
        for entry in entries {
            newest.insert(entry.programme, entry.seq);
        }
        for (programme, seq) in newest {
            self.durable(programme).advance(seq);
        }
    }

    fn durable(&self, programme: ProgrammeNumber) -> DurableSeq {
        if let Some(known) = self.durable.read().get(&programme) {
            return known.clone();
        }
        self.durable.write().entry(programme).or_insert_with(|| DurableSeq::new(0)).clone()
    }

    /// Fails everything that waits, and everything that comes.
    fn stop(&self, error: &StorageError) {
        let poisoned = match error {
            StorageError::Closed | StorageError::Poisoned { .. } => error.clone(),
            first => StorageError::Poisoned { reason: first.to_string() },
        };
        let waiting = {
            let mut queue = self.queue.lock();
            queue.stopped.get_or_insert_with(|| poisoned.clone());
            std::mem::take(&mut queue.staged)
        };
        for Staged { permit, entry: _, done } in waiting {
            drop(permit);
            done(Err(poisoned.clone()));
        }
        for durable in self.durable.read().values() {
            durable.stop();
        }
    }
}

/// Stops the queue however the thread ends, also by a panic, so that nobody waits for ever.
struct StopOnExit(Arc<Shared>);

impl Drop for StopOnExit {
    fn drop(&mut self) {
        let panicked = StorageError::Poisoned { reason: "the committer panicked".into() };
        let ended = if std::thread::panicking() { panicked } else { StorageError::Closed };
        self.0.stop(&ended);
    }
}

/// The newest durable record of one programme. Clones see the same number.
#[derive(Clone)]
pub struct DurableSeq {
    progress: Arc<watch::Sender<Progress>>,
}

/// How far a journal is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The newest durable record; 0 before the first.
    pub durable_seq: u64,
    /// Whether more can come.
    pub state: ProgressState,
}

/// Whether a journal still takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgressState {
    /// More records can become durable.
    Open,
    /// Closed or failed: the number is final until the store is reopened.
    Stopped,
}

impl DurableSeq {
    fn new(durable_seq: u64) -> DurableSeq {
        DurableSeq { progress: Arc::new(watch::Sender::new(Progress { durable_seq, state: ProgressState::Open })) }
    }

    /// The newest durable record; 0 before the first.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.progress.borrow().durable_seq
    }

    /// A receiver that wakes whenever the number grows or the journal stops; for the feed.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Blocks the calling thread until the record is durable. Never call it in async code.
    ///
    /// # Errors
    /// [`StorageError::Closed`] when the journal stopped before that; the record may be lost.
    pub fn wait_blocking(&self, seq: u64) -> Result<(), StorageError> {
        let mut receiver = self.subscribe();
        let reached = |p: &Progress| p.durable_seq >= seq || p.state == ProgressState::Stopped;
        let progress = block_on(receiver.wait_for(reached)).map_err(|_| StorageError::Closed)?;
        if progress.durable_seq >= seq { Ok(()) } else { Err(StorageError::Closed) }
    }

    fn advance(&self, seq: u64) {
        self.progress.send_modify(|progress| progress.durable_seq = progress.durable_seq.max(seq));
    }

    fn stop(&self) {
        self.progress.send_modify(|progress| progress.state = ProgressState::Stopped);
    }
}

impl Entry {
    /// Checks the limits. Call it before a command changes any state: a group with an entry that is too large fails
    /// as a whole.
    ///
    /// # Errors
    /// [`StorageError::RecordTooLarge`] or [`StorageError::SideTooLarge`].
    pub fn check_limits(&self) -> Result<(), StorageError> {
        let within = |size_bytes: usize, limit_bytes: usize| {
            if size_bytes <= limit_bytes { Ok(()) } else { Err(StorageError::SideTooLarge { size_bytes, limit_bytes }) }
        };
        if self.payload.len() > RECORD_LIMIT_BYTES {
            let size_bytes = self.payload.len();
            return Err(StorageError::RecordTooLarge { size_bytes, limit_bytes: RECORD_LIMIT_BYTES });
        }
        for write in &self.side {
            within(write.key.len(), SIDE_KEY_LIMIT_BYTES)?;
            within(write.value.as_ref().map_or(0, Vec::len), SIDE_VALUE_LIMIT_BYTES)?;
        }
        Ok(())
    }
}
