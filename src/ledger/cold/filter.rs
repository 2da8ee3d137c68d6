//! Which accounts' packs may hold a value: a filter in memory that says *no* for all that was never made cold, and buckets in the store for the rest. It is
//! made again at each opening, so nothing of it must outlive the process.

use std::hash::BuildHasher as _;

use bloomfilter::Bloom;
use foldhash::fast::FixedState;

use crate::book::cold::ValueKind;
use crate::book::{AccountNumber, Number as _};
use crate::ports::cold::{ColdStore, Entry};
use crate::ports::journal::JournalError;
use crate::vocabulary::digest::Digest;
use crate::vocabulary::ids::ProgramId;

/// Values for which the first filter of a programme has room.
const CAPACITY_MIN: usize = 1 << 14;
/// How often the filter says *perhaps* of a value that is not cold, once it is full: a conversion brings some twenty, and each of these costs a read.
const FALSE_POSITIVES: f64 = 0.001;
/// Values of a bucket, on average: a thousand bytes.
const BUCKET_VALUES: usize = 128;
/// A value in a bucket: what is left of its hash, and whose pack may hold it.
const HINT_BYTES: usize = 8;

/// What is kept of a value: its hash, of which the upper half chooses the bucket.
pub(super) type Hint = (u64, AccountNumber);

/// Hashes values. The seed keeps callers from choosing values that meet in one bucket.
pub(super) struct Hashing(FixedState);

impl Hashing {
    pub(super) fn new(seed: u64) -> Self {
        Self(FixedState::with_seed(seed))
    }

    pub(super) fn of(&self, kind: ValueKind, digest: &Digest) -> u64 {
        self.0.hash_one((kind, &digest.value))
    }
}

/// The filter, and where its buckets are.
pub(super) struct Filter {
    bloom: Bloom<u64>,
    noted: usize,
    capacity: usize,
    /// The buckets of each filter are its own.
    generation: u32,
}

impl Filter {
    /// An empty filter with room for so many values, twice over.
    pub(super) fn for_twice(values: usize, generation: u32, seed: u64) -> Self {
        let capacity = values.saturating_mul(2).max(CAPACITY_MIN);
        let mut halves = [0; 32];
        // Where the two halves of its seed are equal, the filter misses its rate by far.
        blake3::Hasher::new_derive_key("selfsame 2026-11 filter of what is cold")
            .update(&seed.to_be_bytes())
            .finalize_xof()
            .fill(&mut halves);
        let bytes = Bloom::<u64>::compute_bitmap_size(capacity, FALSE_POSITIVES);
        // INVARIANT: the size is that of the capacity, which is above zero.
        let bloom = Bloom::new_with_seed(bytes.max(1), capacity, &halves).unwrap_or_else(|why| unreachable!("{why}"));
        Self { bloom, noted: 0, capacity, generation }
    }

    pub(super) const fn has_room_for(&self, values: usize) -> bool {
        self.noted + values <= self.capacity
    }

    pub(super) const fn generation(&self) -> u32 {
        self.generation
    }

    /// Values that were noted, and how many have room.
    pub(super) const fn fill(&self) -> (usize, usize) {
        (self.noted, self.capacity)
    }

    /// Memory that it takes. Unit: bytes.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bloom.len() / 8).unwrap_or(usize::MAX)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of the hash are wanted")]
    const fn split(&self, hash: u64) -> (u32, u32) {
        let buckets = (self.capacity / BUCKET_VALUES).next_power_of_two() as u64;
        (((hash >> 32) % buckets) as u32, hash as u32)
    }

    fn key(&self, bucket: u32) -> Vec<u8> {
        [BUCKETS, &self.generation.to_be_bytes(), &bucket.to_be_bytes()].concat()
    }

    /// The beginning of the keys of its buckets.
    pub(super) fn buckets(generation: u32) -> Vec<u8> {
        [BUCKETS, &generation.to_be_bytes()].concat()
    }

    /// Notes in the store whose packs hold values. What the filter itself says changes with [`Filter::set`].
    pub(super) fn note(&self, store: &dyn ColdStore, program: &ProgramId, hints: &mut [Hint]) -> Result<(), JournalError> {
        hints.sort_unstable_by_key(|(hash, _)| self.split(*hash));
        let mut changed: Vec<Entry> = Vec::new();
        for of_bucket in hints.chunk_by(|(a, _), (b, _)| self.split(*a).0 == self.split(*b).0) {
            let Some((first, _)) = of_bucket.first() else { continue };
            let key = self.key(self.split(*first).0);
            let mut bucket = store.get(program, &key)?.unwrap_or_default();
            for (hash, account) in of_bucket {
                bucket.extend_from_slice(&self.split(*hash).1.to_be_bytes());
                bucket.extend_from_slice(&account.get().get().to_be_bytes());
            }
            changed.push((key, bucket));
        }
        store.put(program, &changed)
    }

    /// From now on the filter says *perhaps* of values.
    pub(super) fn set(&mut self, hints: &[Hint]) {
        for (hash, _) in hints {
            self.bloom.set(hash);
        }
        self.noted += hints.len();
    }

    /// Whether a value may be cold.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.noted > 0 && self.bloom.check(&hash)
    }

    /// The accounts whose packs may hold a value.
    pub(super) fn suspects(
        &self,
        store: &dyn ColdStore,
        program: &ProgramId,
        hash: u64,
    ) -> Result<Vec<AccountNumber>, JournalError> {
        let (bucket, left) = self.split(hash);
        let bucket = store.get(program, &self.key(bucket))?.unwrap_or_default();
        let is_it = |hint: &&[u8]| hint.starts_with(&left.to_be_bytes());
        let account = |hint: &[u8]| {
            let number = <[u8; 4]>::try_from(hint.get(4..)?).ok().map(u32::from_be_bytes)?;
            std::num::NonZeroU32::new(number).map(AccountNumber::of)
        };
        Ok(bucket.chunks_exact(HINT_BYTES).filter(is_it).filter_map(account).collect())
    }
}

/// How the keys of buckets begin.
pub(super) const BUCKETS: &[u8] = b"h";

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::adapters::cold::MemoryCold;

    #[test]
    fn what_was_noted_is_found_and_what_was_not_is_nearly_never_looked_for() {
        let (store, program) = (MemoryCold::default(), ProgramId::new("shop").unwrap());
        let mut filter = Filter::for_twice(10_000, 1, 7);
        let hash = |number: u32| FixedState::with_seed(3).hash_one(number);
        let account = |number: u32| AccountNumber::of(NonZeroU32::new(number + 1).unwrap());
        let mut hints: Vec<Hint> = (0..20_000).map(|number| (hash(number), account(number))).collect();
        for some in hints.chunks_mut(7_000) {
            filter.note(&store, &program, some).unwrap();
            filter.set(some);
        }
        assert!(!filter.has_room_for(1));
        for number in 0..20_000 {
            assert!(filter.may_hold(hash(number)));
            assert!(filter.suspects(&store, &program, hash(number)).unwrap().contains(&account(number)));
        }
        let for_nothing = (20_000..120_000).filter(|number| filter.may_hold(hash(*number))).count();
        assert!(for_nothing < 200, "{for_nothing} of 100,000 where 100 are meant");
        assert!(filter.bytes() < 20_000 * 2, "{} bytes", filter.bytes());
    }
}
