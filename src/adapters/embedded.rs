//! The embedded ledger: journal, snapshots and what is cold in one data folder of one process.

use std::path::Path;
use std::sync::Arc;

pub use super::cold::COLD_FOLDER;
use super::cold::ColdFolder;
pub use super::journal::JOURNAL_FOLDER;
use super::journal::{JournalOptions, SledHome, StorageError};
pub use super::snapshots::SNAPSHOTS_FOLDER;
use super::snapshots::SnapshotFolder;
use crate::book::command::Assessor;
use crate::ledger::{Homes, JournaledLedger, LedgerOptions, OpenError};
use crate::ports::journal::{Journal, JournalError};

/// Why the embedded ledger does not open. What was acknowledged is untouched.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The journal's folder cannot be opened.
    #[error(transparent)]
    Folder(#[from] StorageError),
    /// The folder of the snapshots, or of what is cold, cannot be used.
    #[error(transparent)]
    Beside(#[from] JournalError),
    /// The books cannot be made.
    #[error(transparent)]
    Ledger(#[from] OpenError),
}

/// Opens the ledger in a data folder, which is made when it is not there.
///
/// # Errors
/// [`EmbeddedError`]; the message says what to do.
pub fn open(
    folder: &Path,
    journal: JournalOptions,
    ledger: LedgerOptions,
    assessor: Arc<dyn Assessor>,
) -> Result<JournaledLedger, EmbeddedError> {
    open_through(folder, journal, ledger, assessor, |journal| Arc::new(journal))
}

/// As [`open`], with something between the ledger and its journal: a disk that is slow, fails or tears, in simulations.
///
/// # Errors
/// As [`open`].
pub fn open_through(
    folder: &Path,
    journal: JournalOptions,
    ledger: LedgerOptions,
    assessor: Arc<dyn Assessor>,
    through: impl FnOnce(SledHome) -> Arc<dyn Journal>,
) -> Result<JournaledLedger, EmbeddedError> {
    let kept_in = folder.join(SNAPSHOTS_FOLDER);
    let options = JournalOptions { snapshots: Some(kept_in.clone()), ..journal };
    let journal = SledHome::open(&folder.join(JOURNAL_FOLDER), options)?;
    let snapshots = SnapshotFolder::open(&kept_in, journal.incarnation())?;
    let cold = ColdFolder::open(&folder.join(COLD_FOLDER), journal.incarnation())?;
    let homes = Homes { journal: through(journal), snapshots: Some(Arc::new(snapshots)), cold: Some(Arc::new(cold)) };
    Ok(JournaledLedger::open_in(homes, ledger, assessor)?)
}
