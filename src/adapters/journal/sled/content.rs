//! What a journal holds, one thing after the other: the form in which it goes into a backup, comes out of one, and is copied.

use super::error::StorageError;
use super::layout::Floor;
use crate::book::records::Cursor;
use crate::ports::journal::{Chain, Kept, Record};
use crate::vocabulary::ids::ProgramId;

/// One thing that a journal holds. A programme comes before its kept entries, these before its records, in the order of their places.
pub(super) enum Item {
    /// A programme follows.
    Program { program: ProgramId, floor: Floor, last: Cursor, chain: Chain },
    /// An entry of the programme that came last.
    Kept(Kept),
    /// A record of the programme that came last.
    Record(Record),
}

/// Takes the things that a journal holds.
pub(super) type Take<'t> = &'t mut dyn FnMut(Item) -> Result<(), StorageError>;
