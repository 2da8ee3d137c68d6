//! One Bloom filter over the keys of all runs of a table, in memory only, so that a key which was never seen costs one
//! check and not one for each run. It is built in the background after opening; until then it answers "perhaps".
//!
//! Only the checkpoint thread builds it and adds to it, always before the run with the new keys becomes visible: a key of
//! a visible run is never answered with "no". Merging adds no keys.

use std::hash::BuildHasher;
use std::sync::Arc;

use bloomfilter::Bloom;
use foldhash::fast::RandomState;
use parking_lot::RwLock;

use crate::adapters::storage::run::{BadRun, Run, RunCursor};

/// The filter; absent until it is built.
#[derive(Default)]
pub(super) struct SeenKeys {
    filter: RwLock<Option<Arc<Filter>>>,
    hasher: KeyHasher,
}

/// Shortens a key to 64 bits before the filter sees it: the filter hashes what it is given twice, and slowly.
#[derive(Default)]
struct KeyHasher(RandomState);

impl KeyHasher {
    fn shortened(&self, key: &[u8]) -> u64 {
        self.0.hash_one(key)
    }
}

#[derive(Clone)]
struct Filter {
    bloom: Bloom<u64>,
    /// Different keys in it, a few less because of false positives.
    keys: usize,
    /// Above this the filter misses its rate and is built anew.
    capacity: usize,
}

/// Smallest filter, 1.2 MB at 1 %.
const LEAST_CAPACITY: usize = 1_000_000;

impl Filter {
    fn new(keys: usize, false_positive_rate: f64) -> Result<Filter, BadRun> {
        let capacity = keys.saturating_mul(2).max(LEAST_CAPACITY);
        let bloom = Bloom::new_for_fp_rate(capacity, false_positive_rate);
        let bloom = bloom.map_err(|reason| BadRun { reason: reason.to_owned() })?;
        Ok(Filter { bloom, keys: 0, capacity })
    }

    fn add(&mut self, key: u64) {
        if !self.bloom.check_and_set(&key) {
            self.keys += 1;
        }
    }
}

impl SeenKeys {
    /// Whether a run may hold the key.
    pub(super) fn may_hold(&self, key: &[u8]) -> bool {
        self.filter.read().as_ref().is_none_or(|filter| filter.bloom.check(&self.hasher.shortened(key)))
    }

    /// Whether so many more keys fit.
    pub(super) fn has_room_for(&self, keys: usize) -> bool {
        self.filter.read().as_ref().is_some_and(|filter| filter.keys + keys <= filter.capacity)
    }

    /// Adds keys whose run is about to become visible. They go into a copy, which then takes the filter's place: adding takes a microsecond a
    /// key, and look-ups do not wait for it.
    pub(super) fn add<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let Some(now) = self.filter.read().clone() else { return };
        let mut next = Filter::clone(&now);
        keys.for_each(|key| next.add(self.hasher.shortened(key)));
        *self.filter.write() = Some(Arc::new(next));
    }

    /// Reads the keys of all runs into a new filter with room for `more`; gives up when `is_ending` says so.
    pub(super) fn build(
        &self,
        runs: &[Arc<Run>],
        more: usize,
        false_positive_rate: f64,
        is_ending: impl Fn() -> bool,
    ) -> Result<(), BadRun> {
        let entries: u64 = runs.iter().map(|run| run.entries).sum();
        let mut filter = Filter::new(usize::try_from(entries).unwrap_or(usize::MAX / 4) + more, false_positive_rate)?;
        for run in runs {
            let mut cursor = RunCursor::new(run)?;
            let mut read = 0_u32;
            while let Some(key) = cursor.key() {
                filter.add(self.hasher.shortened(key));
                cursor.advance()?;
                read = read.wrapping_add(1);
                if read.is_multiple_of(4_096) && is_ending() {
                    return Ok(());
                }
            }
        }
        *self.filter.write() = Some(Arc::new(filter));
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.filter.read().as_ref().map_or(0, |filter| filter.bloom.as_slice().len())
    }
}
