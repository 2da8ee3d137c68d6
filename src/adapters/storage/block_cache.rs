//! Keeps recently read blocks of run files in a bounded amount of memory. It never reads a file itself.
//! Called by the point table.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::quality::RandomState;
use parking_lot::Mutex;

/// A block: which run, which number in it.
pub(super) type BlockId = (u64, u32);

/// A power of two, so that each takes its share of the hashes. They must be good in all bits: those of ids that follow each other are not with
/// the faster hasher, and fifty blocks in use then crowd into one shard.
const SHARDS: usize = 16;

/// Blocks by id; the clock algorithm decides which one makes room.
pub(super) struct BlockCache {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
}

struct Shard {
    limit_bytes: usize,
    used_bytes: usize,
    places: HashMap<BlockId, usize, RandomState>,
    slots: Vec<Slot>,
    hand: usize,
}

struct Slot {
    id: BlockId,
    block: Arc<[u8]>,
    touched: Touched,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Touched {
    SinceLastPass,
    No,
}

impl BlockCache {
    pub(super) fn new(limit_bytes: usize) -> BlockCache {
        let shard = || {
            Mutex::new(Shard {
                limit_bytes: limit_bytes / SHARDS,
                used_bytes: 0,
                places: HashMap::default(),
                slots: Vec::new(),
                hand: 0,
            })
        };
        BlockCache { shards: std::iter::repeat_with(shard).take(SHARDS).collect(), hasher: RandomState::default() }
    }

    fn shard(&self, id: BlockId) -> &Mutex<Shard> {
        use std::hash::BuildHasher;
        let place = usize::try_from(self.hasher.hash_one(id) >> 48).unwrap_or(0) % SHARDS;
        &self.shards[place]
    }

    pub(super) fn get(&self, id: BlockId) -> Option<Arc<[u8]>> {
        let mut shard = self.shard(id).lock();
        let place = *shard.places.get(&id)?;
        let slot = shard.slots.get_mut(place)?;
        slot.touched = Touched::SinceLastPass;
        Some(Arc::clone(&slot.block))
    }

    pub(super) fn insert(&self, id: BlockId, block: Arc<[u8]>) {
        let mut shard = self.shard(id).lock();
        if shard.places.contains_key(&id) || block.len() > shard.limit_bytes {
            return;
        }
        shard.used_bytes += block.len();
        while shard.used_bytes > shard.limit_bytes {
            shard.evict();
        }
        let place = shard.slots.len();
        shard.places.insert(id, place);
        shard.slots.push(Slot { id, block, touched: Touched::No });
    }

    pub(super) fn used_bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().used_bytes).sum()
    }
}

impl Shard {
    /// Removes one block that was not used since the hand last passed it.
    fn evict(&mut self) {
        loop {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            let Some(slot) = self.slots.get_mut(self.hand) else { return };
            match slot.touched {
                Touched::SinceLastPass => {
                    slot.touched = Touched::No;
                    self.hand += 1;
                }
                Touched::No => break,
            }
        }
        let gone = self.slots.swap_remove(self.hand);
        self.used_bytes -= gone.block.len();
        self.places.remove(&gone.id);
        if let Some(moved) = self.slots.get(self.hand) {
            self.places.insert(moved.id, self.hand);
            // The moved block is the newest one: it must not be the next to go.
            self.hand += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_in_use_stay_while_others_pass_through_and_the_limit_holds() {
        let cache = BlockCache::new(SHARDS * 20 * 4_096);
        let block: Arc<[u8]> = vec![0; 4_096].into();
        let hot: Vec<BlockId> = (0..50).map(|number| (1, number)).collect();
        let mut misses = 0;
        for turn in 0..20_000_u32 {
            cache.insert((2, turn), Arc::clone(&block));
            let id = hot[turn as usize % hot.len()];
            if cache.get(id).is_none() {
                misses += 1;
                cache.insert(id, Arc::clone(&block));
            }
            assert!(cache.used_bytes() <= SHARDS * 20 * 4_096);
        }
        assert!(misses < 500, "{misses} of 20,000");
        assert!(cache.get((2, 19_999)).is_some());
    }
}
