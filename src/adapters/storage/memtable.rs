//! Entries of a point table in memory. Each is one allocation, which the ledger's stage, the table and its readers share; replacing one
//! copies nothing. Called by the table, and by the ledger, which makes the rows.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::hash_table::{Entry, HashTable};
use smallvec::SmallVec;

use crate::adapters::storage::error::TableError;
use crate::adapters::storage::run::{KEY_LIMIT_BYTES, VALUE_LIMIT_BYTES, beginning};

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

/// What a row costs beside its bytes: its place in the index, which is two thirds full on average, its places in its generation, the counts
/// of its allocation, and what the allocator rounds up.
const ROW_BYTES: usize = size_of::<Indexed>() * 3 / 2 + size_of::<TableRow>() + size_of::<u32>() + 16 + 8;

fn cost_bytes(row: &TableRow) -> usize {
    ROW_BYTES + row.0.len()
}

/// A row, and where its generation lists it.
#[derive(Debug)]
struct Indexed {
    row: TableRow,
    generation: GenerationNumber,
    place: u32,
}

/// Counts the checkpoints since the table was opened. Wraps after four billion, long after the other of its number is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct GenerationNumber(u32);

/// The rows that were set between two checkpoints; a deleted key stays as a row, since older layers may still hold it.
#[derive(Debug, Default)]
pub(super) struct Generation {
    number: GenerationNumber,
    rows: Vec<TableRow>,
    /// The places of rows whose keys no earlier generation in memory had.
    new: Vec<u32>,
    size_bytes: usize,
}

impl Generation {
    /// Memory, in bytes, as far as it can be known.
    pub(super) const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    pub(super) const fn number(&self) -> GenerationNumber {
        self.number
    }

    /// The rows, in the order in which their keys were first set.
    pub(super) fn rows(&self) -> &[TableRow] {
        &self.rows
    }

    /// The keys that were in no generation in memory when they were first set: all that a filter over the written generations can lack.
    pub(super) fn new_keys(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.new.iter().map(|place| self.rows[*place as usize].key())
    }

    /// Lists a row and gives its place.
    fn list(&mut self, row: TableRow) -> u32 {
        self.rows.push(row);
        // INVARIANT: a generation is checkpointed long before it has four billion rows.
        u32::try_from(self.rows.len() - 1).unwrap_or(u32::MAX)
    }

    /// The rows in order of their keys.
    pub(super) fn sorted(&self) -> impl Iterator<Item = &TableRow> {
        // The beginning of each key lies beside it: most comparisons then follow no pointer.
        let first_32_bytes = |key: &[u8]| (beginning(key), beginning(key.get(16..).unwrap_or_default()));
        let mut rows: Vec<((u128, u128), &TableRow)> = self.rows.iter().map(|row| (first_32_bytes(row.key()), row)).collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.key().cmp(b.1.key())));
        rows.into_iter().map(|(_, row)| row)
    }
}

/// The rows in memory, those of all generations in one index: a look-up costs the same however many generations are kept.
///
/// The index lies in parts, so that its growing moves a few rows at a time and holds up no request.
pub(super) struct Memtable {
    parts: Box<[HashTable<Indexed>; PARTS]>,
    hasher: RandomState,
    active: Generation,
}

/// A million rows make parts of four thousand, which move within a millisecond.
const PARTS: usize = 256;

impl Default for Memtable {
    fn default() -> Self {
        let parts = Box::new(std::array::from_fn(|_| HashTable::new()));
        Self { parts, hasher: RandomState::default(), active: Generation::default() }
    }
}

/// The part of a hash, which is good in all bits: some that the parts themselves make no use of until they hold millions of rows.
const fn part_of(hash: u64) -> usize {
    (hash >> 40) as usize % PARTS
}

impl Memtable {
    /// The newest row of a key, of any generation.
    pub(super) fn get(&self, key: &[u8]) -> Option<&TableRow> {
        let hash = self.hasher.hash_one(key);
        self.parts[part_of(hash)].find(hash, |known| known.row.key() == key).map(|known| &known.row)
    }

    /// Sets or deletes.
    pub(super) fn put(&mut self, row: TableRow) {
        let Self { parts, hasher, active } = self;
        let hash = hasher.hash_one(row.key());
        active.size_bytes += cost_bytes(&row);
        let same = |known: &Indexed| known.row == row;
        match parts[part_of(hash)].entry(hash, same, |known| hasher.hash_one(known.row.key())) {
            Entry::Occupied(mut known) => {
                let Indexed { generation, place, .. } = *known.get();
                let older = active.rows.get_mut(place as usize).filter(|_| generation == active.number);
                let place = match older {
                    Some(older) => {
                        active.size_bytes -= cost_bytes(older);
                        *older = row.clone();
                        place
                    }
                    None => active.list(row.clone()),
                };
                *known.get_mut() = Indexed { row, generation: active.number, place };
            }
            Entry::Vacant(free) => {
                let place = active.list(row.clone());
                active.new.push(place);
                free.insert(Indexed { row, generation: active.number, place });
            }
        }
    }

    /// What was set since the last checkpoint.
    pub(super) const fn active(&self) -> &Generation {
        &self.active
    }

    /// Ends the active generation and begins the next, with room for as many rows. All rows stay in the index.
    pub(super) fn next_generation(&mut self) -> Generation {
        let number = GenerationNumber(self.active.number.0.wrapping_add(1));
        let Generation { rows, new, .. } = &self.active;
        let (rows, new) = (Vec::with_capacity(rows.len()), Vec::with_capacity(new.len()));
        let next = Generation { number, rows, new, size_bytes: 0 };
        std::mem::replace(&mut self.active, next)
    }

    /// Takes these rows of an earlier generation from the index, but for keys that were set again later.
    pub(super) fn forget(&mut self, generation: GenerationNumber, rows: &[TableRow]) {
        for row in rows {
            let hash = self.hasher.hash_one(row.key());
            let same = |known: &Indexed| known.generation == generation && known.row == *row;
            if let Ok(known) = self.parts[part_of(hash)].find_entry(hash, same) {
                known.remove();
            }
        }
    }
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
        assert_eq!(table.active().sorted().map(|row| row.key().to_vec()).collect::<Vec<_>>(), keys);
    }

    #[test]
    fn a_later_row_takes_the_place_and_the_bytes_of_an_earlier_one() {
        let mut table = Memtable::default();
        table.put(TableRow::of(b"key", &[1; 500]).unwrap());
        let before = table.active().size_bytes();
        table.put(TableRow::of(b"key", &[2; 400]).unwrap());
        assert_eq!((table.active().rows().len(), before - table.active().size_bytes()), (1, 100));
        assert_eq!(table.get(b"key").and_then(TableRow::value), Some(&[2; 400][..]));
    }

    #[test]
    fn a_forgotten_generation_leaves_what_was_set_again_later() {
        let mut table = Memtable::default();
        for key in [b"old", b"new"] {
            table.put(TableRow::of(key, b"1").unwrap());
        }
        let first = table.next_generation();
        table.put(TableRow::of(b"new", b"2").unwrap());
        let value = |table: &Memtable, key: &[u8]| table.get(key).and_then(TableRow::value).map(<[u8]>::to_vec);
        assert_eq!((value(&table, b"old"), value(&table, b"new")), (Some(b"1".to_vec()), Some(b"2".to_vec())));
        assert_eq!((first.rows().len(), table.active().rows().len()), (2, 1), "each generation lists what was set in it");
        assert_eq!((first.new_keys().len(), table.active().new_keys().len()), (2, 0), "a key is new once");
        table.forget(first.number(), first.rows());
        assert_eq!((value(&table, b"old"), value(&table, b"new")), (None, Some(b"2".to_vec())));
    }
}
