//! The rows of the tables as types: what the fold remembers of accounts, values, conversions and cases. Each row reads and writes itself.
//! Called by the fold, the history and the reads.

pub(super) mod account;
pub(super) mod case_line;
pub(super) mod conversion;
pub(super) mod index;
pub(super) mod lists;
pub(super) mod postings;

use super::packed::{Damaged, Reader};
use super::tables::Tables;
use crate::ports::ledger::LedgerError;

/// A row that packs itself.
pub(super) trait Row: Sized {
    /// What it is, for the message about a damaged one.
    const NAME: &'static str;

    fn pack(&self) -> Vec<u8>;

    fn unpack(reader: &mut Reader<'_>) -> Result<Self, Damaged>;

    /// The row of these bytes.
    fn of_bytes(bytes: &[u8]) -> Result<Self, LedgerError> {
        Self::unpack(&mut Reader::new(bytes)).map_err(|damaged| LedgerError::Damaged(format!("{}: {damaged}", Self::NAME)))
    }

    /// The row of a key; `None` when there is none.
    fn load(tables: &impl Tables, key: &[u8]) -> Result<Option<Self>, LedgerError> {
        tables.read(key, |bytes| bytes.map(Self::of_bytes).transpose())?
    }
}
