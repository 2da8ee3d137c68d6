//! Rechecks: what was touched by a fact after its decision is looked at again, on a thread of its own, a few conversions at a time, so that nobody
//! waits for it. What is left when the process ends is done after the next start: the book knows what is late.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::executor::block_on;
use tokio::sync::oneshot;

use super::journaled::Shared;
use super::programme::Programme;
use super::sequencer::{Execution, Job, Traced};
use crate::book::command::{Command, RecheckCommand};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::ConversionId;

/// Conversions that are looked at with one command: well below a millisecond of the sequencer's time.
const AT_ONCE: usize = 16;
/// How long a busy or failing ledger is left alone.
const PAUSE: Duration = Duration::from_millis(50);
/// How often all programmes are looked at, also those of which nothing was heard.
const EVERY: Duration = Duration::from_secs(1);

/// The thread, and who wakes it.
pub(super) struct Rechecks {
    wake: mpsc::SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Rechecks {
    pub(super) fn start(shared: Arc<Shared>, wake: mpsc::SyncSender<()>, woken: mpsc::Receiver<()>) -> std::io::Result<Self> {
        let run = move || run(&shared, &woken);
        let thread = std::thread::Builder::new().name("ledger-rechecks".into()).spawn(run)?;
        Ok(Self { wake, thread: Some(thread) })
    }

    /// Ends the thread once it sees that the ledger is being closed.
    pub(super) fn end(&mut self) {
        // A full channel wakes it just as well.
        let _ = self.wake.try_send(());
        if let Some(thread) = self.thread.take() {
            // A panic has been printed; there is nobody left to tell.
            drop(thread.join());
        }
    }
}

fn run(shared: &Shared, woken: &mpsc::Receiver<()>) {
    while !shared.is_closing() {
        let mut next = Some(EVERY);
        for programme in shared.programmes.all() {
            next = match (pass(shared, &programme), next) {
                (Pass::Nothing, next) => next,
                (Pass::Looked, _) => None,
                (Pass::Busy, next) => next.map(|wait| wait.min(PAUSE)),
            };
        }
        if next.is_some_and(|wait| woken.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Disconnected)) {
            return;
        }
    }
}

/// What going once through what is late of a programme came to.
enum Pass {
    /// Nothing was late, or nothing of it can be read.
    Nothing,
    /// Something was looked at, and more may have come.
    Looked,
    /// Busy, or failed for good: whoever waits for it is told elsewhere.
    Busy,
}

fn pass(shared: &Shared, programme: &Arc<Programme>) -> Pass {
    let (mut after, mut came_to) = (None, Pass::Nothing);
    while !shared.is_closing() && programme.failure().is_none() {
        let (numbers, late): (Vec<_>, Vec<_>) = programme.book.read().late_after(after, AT_ONCE).into_iter().unzip();
        let Some(last) = numbers.last() else { break };
        after = Some(*last);
        match look_again(shared, programme, &late) {
            Ok(()) => came_to = Pass::Looked,
            // A record that is damaged stands in the way of no other. What cannot be read stays late, and held.
            Err(LedgerError::Damaged(_)) => {
                for id in &late {
                    if look_again(shared, programme, std::slice::from_ref(id)).is_ok() {
                        came_to = Pass::Looked;
                    }
                }
            }
            Err(_) => return Pass::Busy,
        }
    }
    came_to
}

/// Looks at conversions again, now.
pub(super) fn look_again(shared: &Shared, programme: &Arc<Programme>, late: &[ConversionId]) -> Result<(), LedgerError> {
    let records = shared.records_of(programme);
    let conversions = block_on(records.sent(late))?;
    let known = |id: &ConversionId| conversions.iter().any(|sent| sent.conversion_id == *id);
    let unreadable = late.iter().filter(|id| !known(id)).cloned().collect();
    // The book's own time is at least that of the fact.
    let at = programme.book.read().latest();
    let command = RecheckCommand { program_id: programme.id.clone(), conversions, unreadable, at };
    let permit = shared.committer.admit()?;
    let (reply, answer) = oneshot::channel();
    let execution = Execution { command: Command::Recheck(command), by: None, permit, reply, traced: Traced::waiting() };
    shared.send(Job::Execute(Box::new(execution)))?;
    block_on(answer).map_err(|_| super::commit::closing())?.map(|_| ())
}
