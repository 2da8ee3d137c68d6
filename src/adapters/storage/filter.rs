//! Bloom filters over keys. A key is hashed once and then shown to every filter that may know it: a look-up asks one for each run, and the
//! filter of the crate hashes whatever it is shown twice, slowly.
//!
//! Filters are stored with their runs, so the hash must never change without a new layout. Called by the runs and by the filter over all of them.

use std::hash::Hasher;

use bloomfilter::Bloom;
use siphasher::sip::SipHasher13;

/// A key as filters know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyHash(u64);

impl KeyHash {
    pub(super) fn of(key: &[u8]) -> KeyHash {
        // Without a secret: who chooses keys that collide makes look-ups of his own slower, by one block each, and that is all.
        let mut hasher = SipHasher13::new();
        hasher.write(key);
        KeyHash(hasher.finish())
    }
}

/// Knows which keys it was never shown.
#[derive(Clone)]
pub(super) struct KeyFilter(Bloom<KeyHash>);

impl KeyFilter {
    /// A filter that answers for `keys` keys, and is wrong about others at this rate. Range of the rate: (0, 1).
    pub(super) fn for_keys(keys: usize, false_positive_rate: f64) -> Result<KeyFilter, &'static str> {
        // A random seed with different halves: with equal ones the filter misses its rate (3.7 % instead of 1 %).
        Bloom::new_for_fp_rate(keys.max(KEYS_LEAST), false_positive_rate).map(KeyFilter)
    }

    /// Adds a key; says whether it looked new.
    pub(super) fn add(&mut self, key: KeyHash) -> bool {
        !self.0.check_and_set(&key)
    }

    /// Whether the key may have been added; never `false` for one that was.
    pub(super) fn may_hold(&self, key: KeyHash) -> bool {
        self.0.check(&key)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.0.as_slice().len()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }

    pub(super) fn from_bytes(bytes: Vec<u8>) -> Result<KeyFilter, &'static str> {
        Bloom::from_bytes(bytes).map(KeyFilter)
    }
}

/// Smallest number of keys that a filter is made for.
const KEYS_LEAST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_filter_knows_the_same_keys_and_the_hash_is_that_of_earlier_builds() {
        let keys = |range: std::ops::Range<u32>| range.map(|n| KeyHash::of(&n.to_be_bytes()));
        let mut filter = KeyFilter::for_keys(1_000, 0.01).unwrap();
        assert!(keys(0..1_000).filter(|key| filter.add(*key)).count() > 980);
        let read = KeyFilter::from_bytes(filter.to_bytes()).unwrap();
        assert!(keys(0..1_000).all(|key| read.may_hold(key)));
        let wrong = keys(1_000..11_000).filter(|key| read.may_hold(*key)).count();
        assert!((20..250).contains(&wrong), "{wrong} of 10,000, where 100 are wanted");
        assert_eq!(KeyHash::of(b"a key").0, 18_086_685_653_477_639_229);
    }
}
