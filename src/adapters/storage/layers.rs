//! The layers of a point table and the two background threads that move entries down: one writes frozen memory to a run
//! file, one merges runs. They never change what a look-up answers. Called by the table only.
//!
//! A crash at any point leaves the last manifest valid: run files are complete and synced before the manifest names
//! them, and are removed only after it no longer does.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Condvar, Mutex, RwLock};

use crate::adapters::storage::block_cache::BlockCache;
use crate::adapters::storage::error::TableError;
use crate::adapters::storage::manifest::{ListedRun, Manifest};
use crate::adapters::storage::memtable::{Generation, Memtable, TableRow};
use crate::adapters::storage::run::{BadRun, Run, RunFault, RunWriter, file_name, merge};
use crate::adapters::storage::seen::SeenKeys;
use crate::adapters::storage::table::{Covered, DurableGate, Retention, TableOptions};

/// Newest first: memory, runs.
pub(super) struct Layers {
    /// The active generation, and all below.
    pub(super) memory: Memtable,
    /// Being written to a run file.
    pub(super) frozen: Option<Arc<Generation>>,
    /// Written, and kept as long as memory allows, newest first: what was written lately is what is asked for.
    pub(super) recent: Vec<Arc<Generation>>,
    pub(super) runs: Arc<Vec<Arc<Run>>>,
    pub(super) runs_beyond_memory: RunsBeyondMemory,
}

/// Whether runs hold a key that memory does not. As long as they do not, no filter needs to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunsBeyondMemory {
    No,
    Perhaps,
}

impl Layers {
    /// The layers of a table that was opened with these runs.
    pub(super) fn over(runs: Vec<Arc<Run>>) -> Layers {
        let runs_beyond_memory = if runs.is_empty() { RunsBeyondMemory::No } else { RunsBeyondMemory::Perhaps };
        Layers { memory: Memtable::default(), frozen: None, recent: Vec::new(), runs: Arc::new(runs), runs_beyond_memory }
    }

    /// Cuts off the recent generations that are beyond this size, oldest first. Their rows stay in memory until [`Shared::forget`].
    fn cut_recent(&mut self, limit_bytes: usize) -> Vec<Arc<Generation>> {
        let mut used_bytes = 0;
        let fits = |generation: &&Arc<Generation>| {
            used_bytes += generation.size_bytes();
            used_bytes <= limit_bytes
        };
        let kept = self.recent.iter().take_while(fits).count();
        if kept < self.recent.len() {
            self.runs_beyond_memory = RunsBeyondMemory::Perhaps;
        }
        self.recent.split_off(kept)
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) bloom_negatives: AtomicU64,
    pub(super) bloom_hits: AtomicU64,
    pub(super) bloom_false_positives: AtomicU64,
    pub(super) block_reads: AtomicU64,
    pub(super) cache_hits: AtomicU64,
}

/// Everything the table and its threads share.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    pub(super) options: TableOptions,
    pub(super) layers: RwLock<Layers>,
    /// Size of the memory layer, readable without its lock.
    pub(super) memory_bytes: AtomicUsize,
    pub(super) manifest: Mutex<Manifest>,
    pub(super) cache: BlockCache,
    pub(super) seen: SeenKeys,
    pub(super) counters: Counters,
    pub(super) work: Mutex<Work>,
    pub(super) work_changed: Condvar,
    /// The first failure; no further background work is done after it.
    pub(super) failure: OnceLock<TableError>,
}

/// What the background threads have to do. The writer's slot and the merger's flag are set by others, cleared by them.
#[derive(Default)]
pub(super) struct Work {
    /// A frozen layer to write.
    pub(super) checkpoint: Option<(Covered, DurableGate)>,
    /// A frozen layer exists that is not yet a run.
    pub(super) freezing: Activity,
    /// Which runs to merge next.
    pub(super) merge: Option<MergeScope>,
    pub(super) merging: Activity,
    pub(super) ending: Activity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Activity {
    #[default]
    Idle,
    Running,
}

/// Which runs to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeScope {
    /// Tiers that have become full.
    FullTiers,
    /// All runs into one.
    All,
}

/// A file of this name in the folder of the tables says that one of their runs is damaged.
pub(super) const DISTRUSTED: &str = "distrusted";

/// Rows that are taken from memory while look-ups wait: about 50 microseconds. Judgement.
const FORGOTTEN_AT_ONCE: usize = 256;

/// Lets every thread that somebody waits for go before this one. Without it a checkpoint, which takes seconds, holds up requests on a machine
/// with few cores. Only Linux has priorities of threads; elsewhere nothing happens, nor where the system forbids it.
fn step_back() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, BACKGROUND_NICENESS);
}

/// A third of the weight of the others when all cores are busy: enough to keep up with what they write. Judgement.
#[cfg(target_os = "linux")]
const BACKGROUND_NICENESS: i32 = 5;

impl Shared {
    /// Moves the memory layer aside for writing. The caller has made sure that nothing is frozen.
    pub(super) fn freeze(&self) {
        let mut layers = self.layers.write();
        let full = layers.memory.next_generation();
        layers.frozen = Some(Arc::new(full));
        self.memory_bytes.store(0, Ordering::Relaxed);
    }

    fn fail(&self, error: TableError) {
        tracing::error!(%error, "the tables cannot be written");
        self.failure.get_or_init(|| error);
    }

    /// Notes that a run is damaged, so that nothing more is built on it and the next opening makes the tables anew. Gives the error for whoever
    /// met it.
    pub(super) fn distrust(&self, bad: &BadRun) -> TableError {
        let error = TableError::rebuild(&self.folder, &bad.reason);
        self.failure.get_or_init(|| {
            tracing::error!(%error, "a file of the tables is damaged; they are made anew at the next start");
            // Without the mark the damage is found again when the block is asked for again.
            drop(File::create(self.folder.join(DISTRUSTED)).and_then(|mark| mark.sync_all()));
            error.clone()
        });
        error
    }

    /// Body of the writing thread.
    pub(super) fn write_checkpoints(&self) {
        step_back();
        self.build_seen(0);
        while let Some((covered, gate)) = self.next_checkpoint() {
            let written = self.write_frozen(covered, gate);
            let mut work = self.work.lock();
            work.freezing = Activity::Idle;
            match written {
                Ok(()) => work.merge = work.merge.or(Some(MergeScope::FullTiers)),
                Err(error) => self.fail(error),
            }
            self.work_changed.notify_all();
        }
    }

    /// Builds the filter over all runs. Without it look-ups are slower, not wrong, so a failure waits for the next time;
    /// a damaged block is reported by the look-up or merge that needs it.
    fn build_seen(&self, more: usize) {
        let runs = Arc::clone(&self.layers.read().runs);
        let is_ending = || self.work.lock().ending == Activity::Running;
        drop(self.seen.build(&runs, more, self.options.false_positive_rate, is_ending));
    }

    /// Keys that an older generation in memory had went into the filter with that one.
    fn add_to_seen(&self, frozen: &Generation) {
        if !self.seen.has_room_for(frozen.rows().len()) {
            self.build_seen(frozen.rows().len());
        }
        if self.seen.wants_whole_generation() {
            self.seen.add(frozen.rows().iter().map(TableRow::key));
        } else {
            self.seen.add(frozen.new_keys());
        }
    }

    fn next_checkpoint(&self) -> Option<(Covered, DurableGate)> {
        let mut work = self.work.lock();
        loop {
            if let Some(job) = work.checkpoint.take() {
                return Some(job);
            }
            if work.ending == Activity::Running {
                return None;
            }
            self.work_changed.wait(&mut work);
        }
    }

    fn write_frozen(&self, covered: Covered, gate: DurableGate) -> Result<(), TableError> {
        let frozen = self.layers.read().frozen.clone();
        let id = self.take_run_id();
        let run = match &frozen {
            Some(frozen) if !frozen.rows().is_empty() => {
                let run = self.write_run(id, frozen.rows().len(), |writer| {
                    for row in frozen.sorted() {
                        writer.push(row.key(), row.value())?;
                    }
                    Ok(())
                });
                Some(run?)
            }
            Some(_) | None => None,
        };
        gate().map_err(TableError::write)?;
        if let Some(frozen) = &frozen {
            self.add_to_seen(frozen);
        }
        let mut manifest = self.manifest.lock();
        let mut next = manifest.clone();
        next.covered = covered;
        if run.is_some() {
            next.runs.insert(0, ListedRun { id, tier: 0 });
        }
        next.store(&self.folder).map_err(TableError::write)?;
        *manifest = next;
        let mut layers = self.layers.write();
        if let Some(run) = run {
            layers.runs = Arc::new(std::iter::once(Arc::new(run)).chain(layers.runs.iter().cloned()).collect());
        }
        let written = layers.frozen.take();
        layers.recent.splice(..0, written);
        let cut = layers.cut_recent(self.options.recent_bytes);
        drop(layers);
        self.forget(cut);
        Ok(())
    }

    /// Takes written generations from memory, a few rows at a time: requests go on in between.
    fn forget(&self, cut: Vec<Arc<Generation>>) {
        for generation in cut {
            for rows in generation.rows().chunks(FORGOTTEN_AT_ONCE) {
                self.layers.write().memory.forget(generation.number(), rows);
            }
        }
    }

    fn take_run_id(&self) -> u64 {
        let mut manifest = self.manifest.lock();
        let id = manifest.next_run;
        manifest.next_run += 1;
        id
    }

    /// Writes and syncs a run file and opens it again.
    fn write_run(
        &self,
        id: u64,
        expected_entries: usize,
        fill: impl FnOnce(&mut RunWriter) -> Result<(), BadRun>,
    ) -> Result<Run, TableError> {
        let path = self.folder.join(file_name(id));
        let write = || -> Result<Run, BadRun> {
            let mut writer = RunWriter::create(&path, expected_entries, self.options.false_positive_rate)?;
            fill(&mut writer)?;
            writer.finish()?;
            File::open(&self.folder)?.sync_all()?;
            Run::open(&self.folder, id)
        };
        write().map_err(|bad| {
            // Left over at worst: the next open removes files that the manifest does not name.
            drop(std::fs::remove_file(&path));
            match bad.fault {
                RunFault::Damaged => self.distrust(&bad),
                RunFault::Refused => TableError::write(bad.reason),
            }
        })
    }

    /// Body of the merging thread.
    pub(super) fn merge_runs(&self) {
        step_back();
        while let Some(scope) = self.next_merge() {
            let merged = match scope {
                MergeScope::FullTiers => self.merge_full_tiers(),
                MergeScope::All => self.merge_all(),
            };
            let mut work = self.work.lock();
            work.merging = Activity::Idle;
            if let Err(error) = merged {
                self.fail(error);
            }
            self.work_changed.notify_all();
        }
    }

    fn next_merge(&self) -> Option<MergeScope> {
        let mut work = self.work.lock();
        loop {
            if work.ending == Activity::Running {
                return None;
            }
            if let Some(scope) = work.merge.take() {
                work.merging = Activity::Running;
                return Some(scope);
            }
            self.work_changed.wait(&mut work);
        }
    }

    /// Merges tiers until none is full.
    ///
    /// Runs of a tier are neighbours in age, because a tier is always merged as a whole.
    fn merge_full_tiers(&self) -> Result<(), TableError> {
        while let Some((inputs, tier)) = self.full_tier() {
            self.merge_into(&inputs, tier.saturating_add(1))?;
        }
        Ok(())
    }

    fn full_tier(&self) -> Option<(Vec<u64>, u8)> {
        let manifest = self.manifest.lock();
        let highest = manifest.runs.iter().map(|run| run.tier).max()?;
        (0..=highest).find_map(|tier| {
            let full: Vec<u64> = manifest.runs.iter().filter(|run| run.tier == tier).map(|run| run.id).collect();
            (full.len() >= self.options.runs_per_tier.max(2)).then_some((full, tier))
        })
    }

    /// Merges everything, a single run too: its deleted entries go.
    fn merge_all(&self) -> Result<(), TableError> {
        let runs = self.manifest.lock().runs.clone();
        let Some(highest) = runs.iter().map(|run| run.tier).max() else { return Ok(()) };
        self.merge_into(&runs.iter().map(|run| run.id).collect::<Vec<_>>(), highest)
    }

    fn merge_into(&self, inputs: &[u64], tier: u8) -> Result<(), TableError> {
        let runs: Vec<Arc<Run>> = self.layers.read().runs.iter().filter(|run| inputs.contains(&run.id)).cloned().collect();
        // Nothing older than the inputs can hold a key that they delete.
        let is_last = self.manifest.lock().runs.last().is_some_and(|oldest| inputs.contains(&oldest.id));
        let retention = self.options.retention.clone().filter(|_| is_last);
        let expected: u64 = runs.iter().map(|run| run.entries).sum();
        let id = self.take_run_id();
        let merged = self.write_run(id, usize::try_from(expected).unwrap_or(usize::MAX), |writer| {
            merge(&runs, writer, |key, value| match value {
                None => !is_last,
                Some(value) => retention.as_ref().is_none_or(|rule| rule(key, value) == Retention::Keep),
            })
        })?;
        self.replace_runs(inputs, merged, tier)?;
        for run in runs {
            // Left over at worst, see above. Readers that still hold the run keep its file open.
            drop(std::fs::remove_file(run.path()));
        }
        Ok(())
    }

    fn replace_runs(&self, inputs: &[u64], merged: Run, tier: u8) -> Result<(), TableError> {
        let mut manifest = self.manifest.lock();
        let mut next = manifest.clone();
        let place = next.runs.iter().position(|run| inputs.contains(&run.id)).unwrap_or(0);
        next.runs.retain(|run| !inputs.contains(&run.id));
        next.runs.insert(place, ListedRun { id: merged.id, tier });
        next.store(&self.folder).map_err(TableError::write)?;
        *manifest = next;
        // What the retention rule dropped from the runs must not be answered from memory, nor count as known there when it is set again.
        if self.options.retention.is_some() {
            let cut = self.layers.write().cut_recent(0);
            self.forget(cut);
        }
        let mut layers = self.layers.write();
        let mut runs: Vec<Arc<Run>> = layers.runs.iter().filter(|run| !inputs.contains(&run.id)).cloned().collect();
        runs.insert(place, Arc::new(merged));
        layers.runs = Arc::new(runs);
        Ok(())
    }
}
