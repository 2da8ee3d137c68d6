//! Cooling: on a thread of its own, what nobody met for long is made cold, a few accounts at a time between two commands. What meets it later brings it
//! back, so it changes no answer.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::cold::ColdTier;
use super::journaled::Shared;
use super::programme::Programme;
use super::sequencer::Job;
use crate::book::cold::{Dormant, Kept, Mark};
use crate::book::records::Cursor;
use crate::book::{AccountNumber, Book};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::time::Span;

/// How often all accounts are looked at. Ages are days, and whatever is met meanwhile is met as it is.
const EVERY: Duration = Duration::from_secs(3_600);
/// Accounts that are taken out between two commands: well below a millisecond.
const AT_ONCE: usize = 64;

/// When what nobody meets becomes cold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColdAfter {
    /// Never. What is cold already stays so until it is met.
    #[default]
    Never,
    /// Once nobody met it for so long.
    Unmet(Span),
    /// Everything, after each command: for tests that must meet nothing but what is cold.
    EachCommand,
}

/// The thread, and who ends it.
pub(super) struct Cooling {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Cooling {
    pub(super) fn start(shared: Arc<Shared>, age: Span) -> std::io::Result<Self> {
        let (end, ends) = mpsc::channel();
        let run = move || run(&shared, age, &ends);
        let thread = std::thread::Builder::new().name("ledger-cooling".into()).spawn(run)?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }

    /// Ends the thread once it sees that the ledger is being closed.
    pub(super) fn end(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed; there is nobody left to tell.
            drop(thread.join());
        }
    }
}

fn run(shared: &Shared, age: Span, ends: &mpsc::Receiver<()>) {
    while !shared.is_closing() {
        for programme in shared.programmes.all() {
            let Some(tier) = &programme.cold else { continue };
            let _alone = tier.moving.lock();
            match pass(shared, &programme, tier, age) {
                Ok(0) => {}
                Ok(accounts) => {
                    // The next snapshot is due: what is cold in it is not read into memory at the next start.
                    *programme.snapshot.lock() = Cursor(0);
                    tracing::info!(program = programme.id.as_str(), accounts, "what nobody met for long is cold");
                }
                Err(_) if shared.is_closing() => return,
                Err(error) => {
                    tracing::warn!(program = programme.id.as_str(), %error, "what nobody met for long was not made cold; it is tried again");
                }
            }
        }
        if ends.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Disconnected) {
            return;
        }
    }
}

fn pass(shared: &Shared, programme: &Arc<Programme>, tier: &ColdTier, age: Span) -> Result<u64, LedgerError> {
    let since = programme.book.read().latest().minus(age);
    let moved = tier.cool(&programme.book, Some(since), |mut dormant| {
        let mut left = Vec::new();
        while !dormant.is_empty() {
            let piece = dormant.split_off(dormant.len().saturating_sub(AT_ONCE));
            let (tell, told) = mpsc::channel();
            let of = Arc::clone(programme);
            shared.send(Job::Between(Box::new(move |_| {
                // Who asked may have given up.
                let _ = tell.send(take_out(&mut of.book.write(), &piece));
            })))?;
            left.extend(told.recv().map_err(|_| super::commit::closing())?);
        }
        Ok(left)
    })?;
    if shared.snapshots.is_none() {
        tier.remove_stale(Cursor(u64::MAX), &programme.book).map_err(super::reads::unavailable)?;
    }
    Ok(moved)
}

/// Takes accounts out of a book. Returns those that have changed since they were copied, and stay.
fn take_out(book: &mut Book, dormant: &[(Dormant, Mark)]) -> Vec<(AccountNumber, Mark)> {
    let stays = |(dormant, mark): &&(Dormant, Mark)| book.take_out(dormant, *mark) == Kept::Here;
    dormant.iter().filter(stays).map(|(dormant, mark)| (dormant.pack.account, *mark)).collect()
}

/// Makes everything cold, on the sequencer's own thread. Where somebody else is at it, not now.
pub(super) fn cool_all(programme: &Programme) -> Result<(), LedgerError> {
    let Some(tier) = &programme.cold else { return Ok(()) };
    let Some(_alone) = tier.moving.try_lock() else { return Ok(()) };
    tier.cool(&programme.book, None, |dormant| Ok(take_out(&mut programme.book.write(), &dormant)))?;
    Ok(())
}
