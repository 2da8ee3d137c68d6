//! One Bloom filter over the keys of all runs of a table, in memory only, so that a key which was never seen costs one
//! check and not one for each run. It is built in the background after opening; until then it answers "perhaps".
//!
//! Only the checkpoint thread builds it and adds to it, always before the run with the new keys becomes visible: a key of
//! a visible run is never answered with "no". Merging adds no keys.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::adapters::storage::filter::{KeyFilter, KeyHash};
use crate::adapters::storage::run::{BadRun, Run, RunCursor, RunFault};

/// The filter; absent until it is built.
#[derive(Default)]
pub(super) struct SeenKeys(RwLock<Option<Arc<Filter>>>);

#[derive(Clone)]
struct Filter {
    bits: KeyFilter,
    /// Different keys in it, a few less because of false positives.
    keys: usize,
    /// Above this the filter misses its rate and is built anew.
    capacity: usize,
    /// Generations that are yet to be added whole: the one that was frozen when the filter was built and the one that was active. A key of
    /// theirs may count as known only because a run had it that was merged, and dropped it, before.
    whole: u8,
}

/// Smallest filter, 1.2 MB at 1 %.
const LEAST_CAPACITY: usize = 1_000_000;

impl Filter {
    fn new(keys: usize, false_positive_rate: f64) -> Result<Filter, BadRun> {
        let capacity = keys.saturating_mul(2).max(LEAST_CAPACITY);
        let bits = KeyFilter::for_keys(capacity, false_positive_rate);
        let bits = bits.map_err(|reason| BadRun { fault: RunFault::Refused, reason: reason.to_owned() })?;
        Ok(Filter { bits, keys: 0, capacity, whole: 2 })
    }

    fn add(&mut self, key: &[u8]) {
        self.keys += usize::from(self.bits.add(KeyHash::of(key)));
    }
}

impl SeenKeys {
    /// Whether a run may hold the key.
    pub(super) fn may_hold(&self, key: KeyHash) -> bool {
        self.0.read().as_ref().is_none_or(|known| known.bits.may_hold(key))
    }

    /// Whether so many more keys fit.
    pub(super) fn has_room_for(&self, keys: usize) -> bool {
        self.0.read().as_ref().is_some_and(|known| known.keys + keys <= known.capacity)
    }

    /// Whether the next generation is to be added with all of its keys, and not only those that are new in memory.
    pub(super) fn wants_whole_generation(&self) -> bool {
        self.0.read().as_ref().is_some_and(|known| known.whole > 0)
    }

    /// Adds keys of a generation whose run is about to become visible. They go into a copy, which then takes the filter's place: adding takes a microsecond a
    /// key, and look-ups do not wait for it.
    pub(super) fn add<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let Some(now) = self.0.read().clone() else { return };
        let mut next = Filter { whole: now.whole.saturating_sub(1), ..Filter::clone(&now) };
        keys.for_each(|key| next.add(key));
        *self.0.write() = Some(Arc::new(next));
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
                filter.add(key);
                cursor.advance()?;
                read = read.wrapping_add(1);
                if read.is_multiple_of(4_096) && is_ending() {
                    return Ok(());
                }
            }
        }
        *self.0.write() = Some(Arc::new(filter));
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.read().as_ref().map_or(0, |known| known.bits.memory_bytes())
    }
}
