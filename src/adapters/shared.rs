//! The shared ledger: journal, snapshots and leases in one database, for any number of replicas.

use std::sync::Arc;

use super::journal::postgres::{
    DatabaseUrl, LeaseTerms, Patience, PostgresError, PostgresJournal, PostgresLeases, PostgresSnapshots,
};
use super::system_clock::SystemClock;
use crate::book::command::Assessor;
use crate::ledger::{HeldLedger, LedgerOptions, OpenError};
use crate::ports::journal::JournalError;
use crate::ports::leases::ReplicaKey;

/// Why the shared ledger does not open. What was acknowledged is untouched.
#[derive(Debug, thiserror::Error)]
pub enum SharedError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] PostgresError),
    /// The snapshots in it cannot be used.
    #[error(transparent)]
    Snapshots(#[from] JournalError),
    /// The ledger cannot be started.
    #[error(transparent)]
    Ledger(#[from] OpenError),
}

/// The ledger in a database, as one of its replicas has it.
pub struct SharedLedger {
    /// The ledger.
    pub ledger: HeldLedger,
    /// What only its replicas know.
    pub key: ReplicaKey,
}

/// Opens the ledger in a database, as one of its replicas. `address` is where the others reach this one.
///
/// # Errors
/// [`SharedError`]; the message says what to do.
pub fn open(
    database: &DatabaseUrl,
    address: &str,
    options: LedgerOptions,
    assessor: Arc<dyn Assessor>,
) -> Result<SharedLedger, SharedError> {
    let journal = PostgresJournal::open(database, Patience::default())?;
    let snapshots = Arc::new(PostgresSnapshots::beside(&journal)?);
    let clock = Arc::new(SystemClock);
    let leases = Arc::new(PostgresLeases::beside(&journal, address, LeaseTerms::default(), Arc::clone(&clock) as _));
    let key = journal.replica_key().clone();
    Ok(SharedLedger { ledger: HeldLedger::open(Arc::new(journal), Some(snapshots), leases, clock, options, assessor)?, key })
}
