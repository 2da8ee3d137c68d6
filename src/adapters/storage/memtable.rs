//! Entries of a point table in memory. Each is one allocation, which the ledger's stage, the table and its readers share; replacing one
//! copies nothing. Called by the table, and by the ledger, which makes the rows.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use smallvec::SmallVec;

use crate::adapters::storage::error::TableError;
use crate::adapters::storage::run::{KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES};

/// A key with its value, or with the mark that it was deleted. Equal to another when the *keys* are, so that a set of rows is a map.
///
/// Shape: key length (u16, little-endian), 1 when there is a value, key, value.
#[derive(Debug, Clone)]
pub struct TableRow(Arc<[u8]>);

const HEADER_BYTES: usize = 3;

impl TableRow {
    /// A row that sets a key.
    ///
    /// # Errors
    /// [`TableError::EntryTooLarge`]: keys up to 1,024 bytes, values up to 16 MiB.
    pub fn of(key: &[u8], value: &[u8]) -> Result<TableRow, TableError> {
        check_size(value.len(), VALUE_LIMIT_BYTES)?;
        TableRow::new(key, Some(value))
    }

    /// A row that deletes a key.
    ///
    /// # Errors
    /// [`TableError::EntryTooLarge`].
    pub(super) fn deleting(key: &[u8]) -> Result<TableRow, TableError> {
        TableRow::new(key, None)
    }

    fn new(key: &[u8], value: Option<&[u8]>) -> Result<TableRow, TableError> {
        let too_large = |_| TableError::EntryTooLarge { size_bytes: key.len(), limit_bytes: KEY_LIMIT_BYTES };
        check_size(key.len(), KEY_LIMIT_BYTES)?;
        // Put together on the stack, so that most rows are allocated once and copied once.
        let mut bytes: SmallVec<[u8; 256]> = SmallVec::with_capacity(HEADER_BYTES + key.len() + value.map_or(0, <[u8]>::len));
        bytes.extend_from_slice(&u16::try_from(key.len()).map_err(too_large)?.to_le_bytes());
        bytes.push(u8::from(value.is_some()));
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value.unwrap_or_default());
        Ok(TableRow(Arc::from(&bytes[..])))
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.parts().0
    }

    /// The value; absent when the key was deleted.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.parts().1
    }

    fn parts(&self) -> (&[u8], Option<&[u8]>) {
        // INVARIANT: `new` writes the header and a key of its length.
        let Some(([low, high, mark], rest)) = self.0.split_first_chunk::<HEADER_BYTES>() else { return (&[], None) };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let (key, value) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        (key, (*mark == 1).then_some(value))
    }
}

fn check_size(size_bytes: usize, limit_bytes: usize) -> Result<(), TableError> {
    if size_bytes > limit_bytes { Err(TableError::EntryTooLarge { size_bytes, limit_bytes }) } else { Ok(()) }
}

impl PartialEq for TableRow {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for TableRow {}

impl Hash for TableRow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Borrow<[u8]> for TableRow {
    fn borrow(&self) -> &[u8] {
        self.key()
    }
}

/// Rows in memory; a deleted key stays as a row, since older layers may still hold it.
#[derive(Default)]
pub(super) struct Memtable {
    rows: HashSet<TableRow, RandomState>,
    size_bytes: usize,
}

/// What a row costs beside its bytes: its place in the set, which is two thirds full on average, the counts of its allocation, and what the
/// allocator rounds up.
const ROW_BYTES: usize = size_of::<TableRow>() * 3 / 2 + 16 + 8;

fn cost_bytes(row: &TableRow) -> usize {
    ROW_BYTES + row.0.len()
}

impl Memtable {
    /// An empty one with room for as many rows as another holds: growing would move all rows in the middle of a request.
    pub(super) fn sized_like(other: &Memtable) -> Memtable {
        Memtable { rows: HashSet::with_capacity_and_hasher(other.rows.len(), RandomState::default()), size_bytes: 0 }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<&TableRow> {
        self.rows.get(key)
    }

    /// Sets or deletes.
    pub(super) fn put(&mut self, row: TableRow) {
        self.size_bytes += cost_bytes(&row);
        if let Some(older) = self.rows.replace(row) {
            self.size_bytes -= cost_bytes(&older);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Memory, in bytes, as far as it can be known.
    pub(super) fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// The rows in order of their keys.
    pub(super) fn sorted(&self) -> impl Iterator<Item = &TableRow> {
        // The beginning of each key lies beside it: most comparisons then follow no pointer.
        let mut rows: Vec<((u128, u128), &TableRow)> = self.rows.iter().map(|row| (beginning(row.key()), row)).collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.key().cmp(b.1.key())));
        rows.into_iter().map(|(_, row)| row)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.rows.iter().map(TableRow::key)
    }
}

/// The first 32 bytes of a key as numbers that have its order; a shorter key is filled up with zeros.
fn beginning(key: &[u8]) -> (u128, u128) {
    let mut bytes = [0; 32];
    let taken = key.len().min(bytes.len());
    bytes[..taken].copy_from_slice(&key[..taken]);
    let [first, second] = bytes.as_chunks::<16>().0 else { return (0, 0) };
    (u128::from_be_bytes(*first), u128::from_be_bytes(*second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_back_key_and_value_and_tells_a_deleted_one_from_an_empty_one() {
        let set = TableRow::of(b"key", b"value").unwrap();
        assert_eq!((set.key(), set.value()), (&b"key"[..], Some(&b"value"[..])));
        let empty = TableRow::of(b"", b"").unwrap();
        assert_eq!((empty.key(), empty.value()), (&b""[..], Some(&b""[..])));
        assert_eq!(TableRow::deleting(b"key").unwrap().value(), None);
        assert!(matches!(TableRow::of(&[0; KEY_LIMIT_BYTES + 1], b""), Err(TableError::EntryTooLarge { .. })));
    }

    #[test]
    fn rows_come_in_the_order_of_their_keys_however_much_these_have_in_common() {
        let mut table = Memtable::default();
        let common = [7; 32];
        let mut keys: Vec<Vec<u8>> = vec![b"b".to_vec(), b"a\0".to_vec(), b"a".to_vec(), Vec::new(), common.to_vec()];
        keys.extend((0..50_u8).map(|last| [&common[..], &[last % 7, last]].concat()));
        for key in &keys {
            table.put(TableRow::of(key, b"").unwrap());
        }
        keys.sort_unstable();
        assert_eq!(table.sorted().map(|row| row.key().to_vec()).collect::<Vec<_>>(), keys);
    }

    #[test]
    fn a_later_row_takes_the_place_and_the_bytes_of_an_earlier_one() {
        let mut table = Memtable::default();
        table.put(TableRow::of(b"key", &[1; 500]).unwrap());
        let before = table.size_bytes();
        table.put(TableRow::of(b"key", &[2; 400]).unwrap());
        assert_eq!((table.len(), before - table.size_bytes()), (1, 100));
        assert_eq!(table.get(b"key").and_then(TableRow::value), Some(&[2; 400][..]));
    }
}
