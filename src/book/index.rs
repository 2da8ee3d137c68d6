//! Indexes: from the hash of what a row is known by to the row's number. What was found is compared by the caller, so equal hashes harm nobody.

use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::slab::Number;

/// Parts that grow one at a time: a part of ten million entries takes well below a millisecond, the whole would take a second.
const PARTS: usize = 256;

/// Hashes what rows are known by. The seed keeps others from choosing values that collide; nothing that is shown depends on it.
#[derive(Debug, Clone)]
pub(super) struct Hasher(FixedState);

impl Hasher {
    pub(super) const fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    pub(super) fn hash(&self, key: impl Hash) -> u64 {
        self.0.hash_one(key)
    }
}

/// What is kept of a row: enough of its hash that a growing table need not look at the row.
#[derive(Debug, Clone, Copy)]
struct Entry<N> {
    hash: u32,
    number: N,
}

/// An index of a slab.
#[derive(Debug)]
pub(super) struct Index<N> {
    parts: Box<[HashTable<Entry<N>>]>,
}

impl<N> Default for Index<N> {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| HashTable::new()).collect() }
    }
}

/// The bits that choose the part, and those that are kept.
#[expect(clippy::cast_possible_truncation, reason = "the halves of the hash are wanted")]
const fn split(hash: u64) -> (usize, u32) {
    ((hash >> 56) as usize % PARTS, hash as u32)
}

/// Spreads the kept bits over the whole width that the table looks at.
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl<N: Number> Index<N> {
    /// The number whose row is the one that is meant.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(N) -> bool) -> Option<N> {
        let (part, hash) = split(hash);
        let part = self.parts.get(part)?;
        part.find(spread(hash), |entry| entry.hash == hash && is_it(entry.number)).map(|entry| entry.number)
    }

    /// Adds a row that is not in it yet.
    pub(super) fn insert(&mut self, hash: u64, number: N) {
        let (part, hash) = split(hash);
        if let Some(part) = self.parts.get_mut(part) {
            part.insert_unique(spread(hash), Entry { hash, number }, |entry| spread(entry.hash));
        }
    }

    /// Takes a row out of it.
    pub(super) fn remove(&mut self, hash: u64, number: N) {
        let (part, hash) = split(hash);
        let Some(part) = self.parts.get_mut(part) else { return };
        if let Ok(entry) = part.find_entry(spread(hash), |entry| entry.number == number) {
            entry.remove();
        }
        if part.len() * 4 < part.capacity() {
            part.shrink_to(part.len() * 2, |entry| spread(entry.hash));
        }
    }

    /// Memory that it takes. Unit: bytes.
    pub(super) fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.allocation_size() + size_of::<HashTable<Entry<N>>>()).sum()
    }
}
