//! The directory as the journal has it, for a process that shares a ledger: who may call must be known everywhere, whoever holds the book.

use std::sync::Arc;

use parking_lot::Mutex;

use super::journaled::Shared;
use super::open;
use crate::book::directory::Directory;
use crate::book::records::Cursor;
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::ProgramId;

/// The directory, read again when the journal has more of it.
#[derive(Debug, Default)]
pub(super) struct FollowedDirectory(Mutex<(Cursor, Arc<Directory>)>);

impl FollowedDirectory {
    /// The directory as it is in the journal now. Waits for the disk.
    pub(super) fn now(&self, ledger: &Shared) -> Result<Arc<Directory>, LedgerError> {
        let program = ProgramId::directory();
        let head = ledger.journal.head(&program).map_err(super::reads::unavailable)?;
        let mut known = self.0.lock();
        if head.last > known.0 {
            let sources = open::sources(&ledger.journal, None, None, ledger.seed);
            let (mut book, chain) = sources.beginning(&program, head)?;
            sources.replay(&program, &mut book, chain, head.last, None)?;
            *known = (head.last, Arc::clone(book.directory()));
        }
        Ok(Arc::clone(&known.1))
    }
}
