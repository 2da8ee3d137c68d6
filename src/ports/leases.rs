//! Leases: which process writes for a programme and answers for it, where many share a journal.
//!
//! A lease carries an epoch, which fences the appends of whoever held it before. Fencing what is written is not enough, because an answer can be a
//! mere reading: a holder answers only while its lease, measured on a clock that counts a suspended machine, still runs *after* the answer was made.
//! A taker waits until the old lease is over by the keeper's clock, and a margin longer.

use std::fmt;
use std::time::Duration;

use super::clock::Steady;
use super::journal::{Epoch, JournalError};
use crate::vocabulary::ids::ProgramId;

/// A secret that all processes of a shared ledger hold, and nobody else: by it they believe each other who calls.
#[derive(Clone, PartialEq, Eq)]
pub struct ReplicaKey(pub [u8; 32]);

impl fmt::Debug for ReplicaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReplicaKey(..)")
    }
}

/// A lease that is held here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The permission that goes with it.
    pub epoch: Epoch,
    /// When it is over by this machine's steady clock: counted from before it was asked for, so never later than by the keeper's.
    pub until: Steady,
}

/// What came of asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// It is held here. The epoch is higher than any before, also when this process held it already.
    Here(Lease),
    /// Another process holds it.
    Elsewhere {
        /// Where that process is reached.
        address: String,
        /// When asking again may help, unless it is renewed.
        retry_after: Duration,
    },
}

/// Keeps the leases of programmes, in the name of one process. All calls may wait for a network.
pub trait Leases: Send + Sync {
    /// Takes the lease of a programme that nobody holds, or whose holder let it run out.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn acquire(&self, program: &ProgramId) -> Result<Acquired, JournalError>;

    /// Prolongs leases, in the order given; `None` for one that has another epoch by now.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`]: they may have been prolonged.
    fn renew(&self, held: &[(ProgramId, Epoch)]) -> Result<Vec<Option<Lease>>, JournalError>;

    /// Gives a lease back, so that another process need not wait. Nothing may be answered under it any more.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn release(&self, program: &ProgramId, epoch: Epoch) -> Result<(), JournalError>;

    /// Where the process is reached that holds the lease; `None` when it is free.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn holder(&self, program: &ProgramId) -> Result<Option<String>, JournalError>;

    /// How long a lease runs that is not renewed.
    fn term(&self) -> Duration;
}
