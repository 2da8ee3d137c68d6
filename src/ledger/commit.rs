//! Group commit: one thread takes what was executed from a bounded queue, makes many records durable with one append, and only then answers. It
//! never answers before that and never writes after a failure.
//!
//! Grouping needs no timer: while one append runs, the next group gathers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::programme::{Programme, Sharing};
use crate::ports::journal::{Append, Appended, Journal};
use crate::ports::ledger::LedgerError;

/// How much one append may cover, and how much may wait.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Most records in one group.
    pub group_records: usize,
    /// A group is closed when it reaches this many bytes.
    pub group_bytes: usize,
    /// Most commands admitted and not yet answered; beyond it callers are told to come back.
    pub queue_records: usize,
    /// What a refused caller is told to wait.
    pub retry_after: Duration,
}

impl Default for GroupOptions {
    fn default() -> Self {
        // Judgement: a group of 512 small records is far below one batch that sled would notice, and 4,096 waiting
        // records are about a tenth of a second of work.
        Self { group_records: 512, group_bytes: 1 << 20, queue_records: 4_096, retry_after: Duration::from_millis(50) }
    }
}

/// Called once, on the committer's thread, when the fate of a record is known. It must be short.
pub(super) type Completion = Box<dyn FnOnce(Result<(), LedgerError>) + Send>;

/// A record on its way to the journal.
pub(super) struct Underway {
    /// Its place in the queue, which is given back when it is answered.
    pub(super) permit: Permit,
    pub(super) programme: Arc<Programme>,
    pub(super) append: Append,
    /// Who is told of its fate.
    pub(super) done: Completion,
}

impl Underway {
    /// It will not become durable, nor will anything after it; whoever waits is told the first reason.
    fn fail(self, error: &LedgerError) {
        self.programme.fail(error);
        let told = self.programme.failure().unwrap_or_else(|| error.clone());
        drop(self.permit);
        (self.done)(Err(told));
    }
}

/// Admits commands, groups their records, and tells what is durable.
pub(super) struct Committer {
    shared: Arc<Shared>,
    journal: Arc<dyn Journal>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    options: GroupOptions,
    sharing: Sharing,
    queue: Mutex<Queue>,
    arrived: Condvar,
    /// Commands admitted and not yet answered, executed or not.
    admitted: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    under_way: VecDeque<Underway>,
    stopped: Option<LedgerError>,
    closing: Closing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Closing {
    #[default]
    No,
    Yes,
}

/// A place in the queue. Take it *before* a command changes any state, so that a full queue refuses a command that has not happened yet; give
/// it back by dropping it.
pub(super) struct Permit {
    shared: Arc<Shared>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.admitted.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Committer {
    /// Starts the thread.
    pub(super) fn start(journal: Arc<dyn Journal>, options: GroupOptions, sharing: Sharing) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            options,
            sharing,
            queue: Mutex::new(Queue::default()),
            arrived: Condvar::new(),
            admitted: AtomicUsize::new(0),
        });
        let (worker, own) = (Arc::clone(&shared), Arc::clone(&journal));
        let thread = std::thread::Builder::new().name("journal-commit".into()).spawn(move || worker.run(&*own))?;
        Ok(Self { shared, journal, thread: Mutex::new(Some(thread)) })
    }

    /// A place for one command.
    ///
    /// # Errors
    /// [`LedgerError::Busy`]: try again later. [`LedgerError::Unavailable`]: the ledger has failed, is closing, or nothing new should be begun.
    pub(super) fn admit(&self) -> Result<Permit, LedgerError> {
        self.shared.queue.lock().refuse_if_stopped()?;
        if let Some(hindrance) = self.journal.hindrance() {
            return Err(LedgerError::Unavailable(hindrance));
        }
        let permit = Permit { shared: Arc::clone(&self.shared) };
        if self.shared.admitted.fetch_add(1, Ordering::Relaxed) >= self.shared.options.queue_records {
            // Dropping the permit gives the place back.
            return Err(LedgerError::Busy { retry_after: self.shared.options.retry_after });
        }
        Ok(permit)
    }

    /// A place for what the ledger does by itself, however many wait.
    pub(super) fn place(&self) -> Permit {
        self.shared.admitted.fetch_add(1, Ordering::Relaxed);
        Permit { shared: Arc::clone(&self.shared) }
    }

    /// Hands over records in this order, waking the thread once. The completion of each always runs: once it is durable, or with the error; on
    /// this thread when the committer has already stopped.
    pub(super) fn hand_over(&self, executed: impl IntoIterator<Item = Underway>) {
        let mut queue = self.shared.queue.lock();
        if let Err(error) = queue.refuse_if_stopped() {
            drop(queue);
            for executed in executed {
                executed.fail(&error);
            }
            return;
        }
        queue.under_way.extend(executed);
        drop(queue);
        self.shared.arrived.notify_one();
    }

    /// Commands that were admitted and are not answered yet.
    pub(super) fn waiting(&self) -> usize {
        self.shared.admitted.load(Ordering::Relaxed)
    }

    /// Why writes are refused; absent while all is well.
    pub(super) fn failure(&self) -> Option<LedgerError> {
        self.shared.queue.lock().stopped.clone()
    }

    /// Writes what was handed over, then ends the thread.
    pub(super) fn close(&self) {
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

/// What callers of a ledger that is going away are told.
pub(super) fn closing() -> LedgerError {
    LedgerError::Unavailable("the ledger is closing".to_owned())
}

impl Queue {
    fn refuse_if_stopped(&self) -> Result<(), LedgerError> {
        match (&self.stopped, self.closing) {
            (Some(error), _) => Err(error.clone()),
            (None, Closing::Yes) => Err(closing()),
            (None, Closing::No) => Ok(()),
        }
    }
}

impl Shared {
    fn run(self: &Arc<Self>, journal: &dyn Journal) {
        let stop = StopOnExit(Arc::clone(self));
        while let Some(group) = self.next_group() {
            // What follows a record that was not written cannot be written either.
            let (group, broken): (Vec<_>, Vec<_>) =
                group.into_iter().partition(|executed| executed.programme.failure().is_none());
            for executed in broken {
                executed.fail(&closing());
            }
            let appends: Vec<Append> = group.iter().map(|executed| executed.append.clone()).collect();
            if appends.is_empty() {
                continue;
            }
            let began = Instant::now();
            let appended = journal.append(&appends);
            measure(appends.len(), began);
            match (appended, self.sharing) {
                (Ok(Appended { fenced }), _) => {
                    let (group, lost): (Vec<_>, Vec<_>) =
                        group.into_iter().partition(|executed| !fenced.contains(&executed.append.program));
                    publish(&group);
                    for Underway { permit, done, .. } in group {
                        drop(permit);
                        done(Ok(()));
                    }
                    for executed in lost {
                        let told = format!("another process writes for programme `{}` now", executed.append.program);
                        executed.fail(&LedgerError::Unavailable(told));
                    }
                }
                (Err(error), sharing) => {
                    let error = LedgerError::Unavailable(error.to_string());
                    if sharing == Sharing::Alone {
                        self.stop(&error);
                    }
                    for executed in group {
                        executed.fail(&error);
                    }
                    if sharing == Sharing::Alone {
                        break;
                    }
                }
            }
        }
        drop(stop);
    }

    /// Waits for work; absent when closing and nothing is left.
    fn next_group(&self) -> Option<Vec<Underway>> {
        let mut queue = self.queue.lock();
        while queue.under_way.is_empty() {
            if queue.closing == Closing::Yes {
                return None;
            }
            self.arrived.wait(&mut queue);
        }
        let mut group = Vec::with_capacity(queue.under_way.len().min(self.options.group_records));
        let mut size_bytes = 0;
        while group.len() < self.options.group_records && size_bytes < self.options.group_bytes {
            let Some(executed) = queue.under_way.pop_front() else { break };
            size_bytes += executed.append.record.payload.len();
            group.push(executed);
        }
        Some(group)
    }

    /// Fails everything that waits, and everything that comes.
    fn stop(&self, error: &LedgerError) {
        let waiting = {
            let mut queue = self.queue.lock();
            queue.stopped.get_or_insert_with(|| error.clone());
            std::mem::take(&mut queue.under_way)
        };
        for executed in waiting {
            executed.fail(error);
        }
    }
}

/// How large a group was, and how long it took until it was durable.
#[expect(clippy::cast_precision_loss, reason = "groups are far smaller than 2^53")]
fn measure(records: usize, began: Instant) {
    metrics::histogram!("selfsame_ledger_group_records").record(records as f64);
    metrics::histogram!("selfsame_ledger_append_seconds").record(began.elapsed().as_secs_f64());
}

/// Lets everybody know what is durable now; a programme's records stand in the group in their order.
fn publish(group: &[Underway]) {
    let mut told: Vec<&Arc<Programme>> = Vec::new();
    for executed in group.iter().rev() {
        if !told.iter().any(|programme| Arc::ptr_eq(programme, &executed.programme)) {
            executed.programme.advance(executed.append.record.cursor);
            told.push(&executed.programme);
        }
    }
}

/// Stops the queue however the thread ends, also by a panic, so that nobody waits for ever.
struct StopOnExit(Arc<Shared>);

impl Drop for StopOnExit {
    fn drop(&mut self) {
        let panicked = LedgerError::Unavailable("the committer panicked".to_owned());
        self.0.stop(&if std::thread::panicking() { panicked } else { closing() });
    }
}
