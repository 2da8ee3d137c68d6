//! What a process holds of a ledger that many share: the leases of programmes, taken on first use, prolonged while it lives, and looked at again
//! after each answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::journaled::Shared;
use super::open;
use super::programme::Programme;
use super::reads::{unavailable, waiting};
use crate::ports::clock::{Steady, SteadyClock};
use crate::ports::journal::Epoch;
use crate::ports::leases::{Acquired, Lease, Leases};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::ProgramId;

/// Leases are prolonged so many times within their term.
const RENEWALS_A_TERM: u32 = 3;
/// For so many parts of a term it is believed that another process holds a programme, before that is looked up again.
const BELIEVED_PARTS: u32 = 5;

/// The programmes that this process holds.
pub(super) struct Holding {
    ledger: Arc<Shared>,
    leases: Arc<dyn Leases>,
    clock: Arc<dyn SteadyClock>,
    known: RwLock<BTreeMap<ProgramId, Known>>,
    /// Of those who need the same programme one takes it.
    turns: Mutex<BTreeMap<ProgramId, Arc<tokio::sync::Mutex<()>>>>,
    /// Why leases cannot be prolonged; absent while they can.
    trouble: Mutex<Option<String>>,
}

/// What is known of a programme.
#[derive(Clone)]
enum Known {
    /// Its lease is held here. It has no book while that is being made.
    Here(Lease, Option<Arc<Programme>>),
    /// Another process has it; believed until then.
    Elsewhere { address: String, until: Steady },
}

impl Holding {
    pub(super) fn new(ledger: Arc<Shared>, leases: Arc<dyn Leases>, clock: Arc<dyn SteadyClock>) -> Self {
        let (known, turns, trouble) = (RwLock::default(), Mutex::default(), Mutex::default());
        Self { ledger, leases, clock, known, turns, trouble }
    }

    /// The programme under a lease that runs: taken, and its book made, when nobody holds it.
    ///
    /// # Errors
    /// [`LedgerError::HeldElsewhere`]; [`LedgerError::Unavailable`] and [`LedgerError::Damaged`] when it cannot be taken.
    pub(super) async fn hold(self: &Arc<Self>, program: &ProgramId) -> Result<Arc<Programme>, LedgerError> {
        if let Some(known) = self.known_now(program) {
            return known;
        }
        let turn = Arc::clone(self.turns.lock().entry(program.clone()).or_default());
        let turn = turn.lock_owned().await;
        if let Some(known) = self.known_now(program) {
            return known;
        }
        let (holding, program) = (Arc::clone(self), program.clone());
        // The turn goes along: taking goes on when whoever asked for it leaves, and two at a time would put each other's books aside.
        waiting(move || {
            let _turn = turn;
            holding.take(&program)
        })
        .await
    }

    /// Whether what was read of a programme may be said: the lease under which it was read still runs.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`]: another process may know more by now.
    pub(super) fn still_holds(&self, programme: &Arc<Programme>) -> Result<(), LedgerError> {
        let now = self.clock.steady();
        match self.known.read().get(&programme.id) {
            // Whoever lets a book go fails it first: one that did not find it any more is not answered as if nothing were known.
            Some(Known::Here(lease, Some(held)))
                if Arc::ptr_eq(held, programme)
                    && now < lease.until
                    && programme.failure().is_none()
                    && self.is_read(programme) =>
            {
                Ok(())
            }
            _ => {
                Err(LedgerError::Unavailable("the lease of the programme ended while the answer was made; ask again".to_owned()))
            }
        }
    }

    /// Whether a programme's book is the one that answers are made from.
    fn is_read(&self, programme: &Arc<Programme>) -> bool {
        self.ledger.programmes.get(&programme.id).is_some_and(|read| Arc::ptr_eq(&read, programme))
    }

    /// What is known without asking; absent when it must be asked for.
    fn known_now(&self, program: &ProgramId) -> Option<Result<Arc<Programme>, LedgerError>> {
        let now = self.clock.steady();
        match self.known.read().get(program)? {
            Known::Here(lease, Some(programme)) if now < lease.until && programme.failure().is_none() => {
                Some(Ok(Arc::clone(programme)))
            }
            Known::Elsewhere { address, until } if now < *until => {
                let (address, retry_after) = (address.clone(), now.until(*until));
                Some(Err(LedgerError::HeldElsewhere { address, retry_after }))
            }
            Known::Here(..) | Known::Elsewhere { .. } => None,
        }
    }

    /// Takes a programme, or finds out who has it.
    fn take(&self, program: &ProgramId) -> Result<Arc<Programme>, LedgerError> {
        if let Some(programme) = self.regain(program)? {
            return Ok(programme);
        }
        let lease = match self.leases.acquire(program).map_err(unavailable)? {
            Acquired::Here(lease) => lease,
            Acquired::Elsewhere { address, retry_after } => {
                let believed = retry_after.min(self.leases.term() / BELIEVED_PARTS);
                let until = self.clock.steady().plus(believed);
                self.known.write().insert(program.clone(), Known::Elsewhere { address: address.clone(), until });
                return Err(LedgerError::HeldElsewhere { address, retry_after: believed });
            }
        };
        // It is prolonged while the book is made, which may take longer than its term.
        self.known.write().insert(program.clone(), Known::Here(lease, None));
        let opened = self.open(program, lease.epoch).inspect_err(|_| {
            self.known.write().remove(program);
        })?;
        let programme = self.ledger.programmes.add(opened);
        let mut known = self.known.write();
        match known.get_mut(program) {
            Some(Known::Here(held, book)) if held.epoch == lease.epoch => *book = Some(Arc::clone(&programme)),
            // It was lost meanwhile; what is answered from it is looked at again.
            _ => self.ledger.programmes.remove(&programme),
        }
        Ok(programme)
    }

    fn open(&self, program: &ProgramId, epoch: Epoch) -> Result<Programme, LedgerError> {
        let Shared { journal, snapshots, seed, .. } = &*self.ledger;
        let head = journal.head(program).map_err(unavailable)?;
        Ok(open::sources(journal, snapshots.as_ref(), None, *seed).programme(program.clone(), head)?.under(epoch))
    }

    /// Prolongs a lease that ran out, when nobody took it; its book is then still the newest. Otherwise lets the book go.
    fn regain(&self, program: &ProgramId) -> Result<Option<Arc<Programme>>, LedgerError> {
        let known = self.known.read().get(program).cloned();
        let Some(Known::Here(lease, Some(programme))) = known else { return Ok(None) };
        if programme.failure().is_none() {
            let renewed = self.leases.renew(&[(program.clone(), lease.epoch)]).map_err(unavailable)?;
            // It may have been let go while it was asked for; a book that is gone is not taken back.
            if let (Some(Some(lease)), Some(Known::Here(held, Some(book)))) =
                (renewed.into_iter().next(), self.known.write().get_mut(program))
                && Arc::ptr_eq(book, &programme)
                && programme.failure().is_none()
            {
                *held = lease;
                return Ok(Some(programme));
            }
        }
        self.let_go(&programme);
        Ok(None)
    }

    /// Answers nothing more from a book, and lets nobody wait for it.
    fn let_go(&self, programme: &Arc<Programme>) {
        programme.fail(&LedgerError::Unavailable("another process answers for the programme now; ask again".to_owned()));
        self.ledger.programmes.remove(programme);
        let mut known = self.known.write();
        if matches!(known.get(&programme.id), Some(Known::Here(_, Some(held))) if Arc::ptr_eq(held, programme)) {
            known.remove(&programme.id);
        }
    }

    /// Prolongs all leases until the other end goes away.
    pub(super) fn renew_until(&self, end: &mpsc::Receiver<()>) {
        let pause: Duration = self.leases.term() / RENEWALS_A_TERM;
        while end.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            self.renew();
        }
    }

    fn renew(&self) {
        let held = self.held();
        match self.leases.renew(&held) {
            Err(error) => {
                let first = self.trouble.lock().replace(error.to_string()).is_none();
                if first {
                    tracing::warn!(%error, "leases cannot be prolonged; what they cover is not answered once they end");
                }
            }
            Ok(renewed) => {
                if self.trouble.lock().take().is_some() {
                    tracing::info!("leases are prolonged again");
                }
                for ((program, epoch), lease) in held.iter().zip(renewed) {
                    self.renewed(program, *epoch, lease);
                }
            }
        }
    }

    fn renewed(&self, program: &ProgramId, epoch: Epoch, lease: Option<Lease>) {
        let lost = match self.known.write().get_mut(program) {
            Some(Known::Here(held, programme)) if held.epoch == epoch => match lease {
                Some(lease) => {
                    held.until = held.until.max(lease.until);
                    return;
                }
                None => programme.clone(),
            },
            _ => return,
        };
        tracing::warn!(program = program.as_str(), "another process has taken the lease of a programme");
        match lost {
            Some(programme) => self.let_go(&programme),
            None => drop(self.known.write().remove(program)),
        }
    }

    /// The leases that are held, also those whose books are being made.
    fn held(&self) -> Vec<(ProgramId, Epoch)> {
        let held = |(program, known): (&ProgramId, &Known)| match known {
            Known::Here(lease, _) => Some((program.clone(), lease.epoch)),
            Known::Elsewhere { .. } => None,
        };
        self.known.read().iter().filter_map(held).collect()
    }

    /// Gives all leases back. Nothing is answered under them any more.
    pub(super) fn release_all(&self) {
        for (program, epoch) in self.held() {
            if let Err(error) = self.leases.release(&program, epoch) {
                tracing::warn!(program = program.as_str(), %error, "a lease was not given back; it runs out by itself");
                return;
            }
        }
    }

    /// Why leases cannot be prolonged; absent while they can.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }
}
