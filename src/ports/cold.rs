//! Where what is cold is kept: entries by key, as bytes that nobody here understands. Not the truth: the journal is. What a book says is here is compared
//! with what is here at opening, and all of it can be made again.

use super::journal::JournalError;
use crate::vocabulary::ids::ProgramId;

/// An entry: its key, and what is kept under it.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Whether a walk goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// To the next entry.
    On,
    /// No further.
    Ends,
}

/// Keeps what is cold. Shared by the thread that puts, and all that get.
pub trait ColdStore: Send + Sync {
    /// Puts entries; one of the same key is replaced. They need not be durable before [`ColdStore::sync`].
    ///
    /// # Errors
    /// [`JournalError::Unavailable`]: some of them may be there.
    fn put(&self, program: &ProgramId, entries: &[Entry]) -> Result<(), JournalError>;

    /// What is kept under a key; `None` when nothing is.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`]; [`JournalError::Damaged`] when it is not what was put.
    fn get(&self, program: &ProgramId, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError>;

    /// Removes entries; those that are not there are none the less.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`]: some of them may still be there.
    fn remove(&self, program: &ProgramId, keys: &[Vec<u8>]) -> Result<(), JournalError>;

    /// Walks along all entries whose keys begin so, in the order of their keys.
    ///
    /// # Errors
    /// As [`ColdStore::get`].
    fn walk(&self, program: &ProgramId, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Walk) -> Result<(), JournalError>;

    /// Removes everything of a programme.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn clear(&self, program: &ProgramId) -> Result<(), JournalError>;

    /// Makes durable what was put.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn sync(&self) -> Result<(), JournalError>;

    /// Removes from the disk what was removed or replaced, as far as this home keeps it.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`]: what was there before is still there.
    fn scour(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// What it takes on disk. Unit: bytes; 0 where it is on none.
    fn disk_bytes(&self) -> u64;
}
