//! Snapshots: where frozen books are kept, so that opening need not replay a whole journal. They may be lost at any time; the journal is the truth.

use std::io::{Read, Write};

use super::journal::{Incarnation, JournalError};
use crate::book::records::Cursor;
use crate::vocabulary::ids::ProgramId;

/// Keeps snapshots. Knows nothing of what they hold.
pub trait Snapshots: Send + Sync {
    /// The places of the snapshots of a programme in this life of the ledger, the newest first.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn places(&self, incarnation: Incarnation, program: &ProgramId) -> Result<Vec<Cursor>, JournalError>;

    /// Opens a snapshot for reading.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn open(&self, incarnation: Incarnation, program: &ProgramId, at: Cursor) -> Result<Box<dyn Read + Send>, JournalError>;

    /// Writes a snapshot: it is there as a whole, durably, or not at all. Then all but the two newest go.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn write(
        &self,
        incarnation: Incarnation,
        program: &ProgramId,
        at: Cursor,
        content: &mut dyn FnMut(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), JournalError>;

    /// Removes all snapshots of a programme before a place: what was cut must not come back from them.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`].
    fn remove_before(&self, incarnation: Incarnation, program: &ProgramId, before: Cursor) -> Result<(), JournalError>;
}
