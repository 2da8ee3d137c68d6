//! A point table: bytes to bytes, derived from the journal, bounded in memory, fast to open. Never the truth: when its
//! files are damaged or missing they are discarded and rebuilt from the journal. Called by the ledger.
//!
//! Layers, newest first: memory, in generations (the active one; the frozen one while a checkpoint writes it; recent ones, which are written
//! and kept as long as there is room); run files, each behind a Bloom filter, so that a key which was never seen costs no read. Keep
//! everything that one record changes in *one* table: only then does a checkpoint cover all of its effects.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex, RwLock};
use smallvec::SmallVec;

use crate::adapters::storage::block_cache::BlockCache;
use crate::adapters::storage::error::{StorageError, TableError};
use crate::adapters::storage::filter::KeyHash;
use crate::adapters::storage::layers::{Activity, Counters, DISTRUSTED, Layers, MergeScope, RunsBeyondMemory, Shared, Work};
use crate::adapters::storage::manifest::{ListedRun, Manifest};
use crate::adapters::storage::memtable::TableRow;
use crate::adapters::storage::record::ProgrammeNumber;
use crate::adapters::storage::run::{self, Probe, Run};
use crate::adapters::storage::seen::SeenKeys;

/// A value as read; small ones need no allocation.
pub type Value = SmallVec<[u8; 64]>;

/// The newest journal record whose effects a table holds, per programme.
pub type Covered = BTreeMap<ProgrammeNumber, u64>;

/// What becomes of an entry when it reaches the last tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// It stays.
    Keep,
    /// It is dropped for good.
    Drop,
}

/// Decides on entries (key, value) at the last tier.
pub type RetentionRule = Arc<dyn Fn(&[u8], &[u8]) -> Retention + Send + Sync>;

/// Blocks until the journal is durable up to what the checkpoint covers; an error abandons the checkpoint.
///
/// Without it a checkpoint could outlive, after a crash, records that were never durable.
pub type DurableGate = Box<dyn FnOnce() -> Result<(), StorageError> + Send>;

/// How a table is kept.
#[derive(Clone)]
pub struct TableOptions {
    /// Meaning of keys and values, chosen by the caller; another number on disk means rebuild.
    pub layout: u32,
    /// The table asks for a checkpoint when its memory part reaches this size, in bytes. A second one of this size may
    /// be in memory while it is written.
    pub memtable_bytes: usize,
    /// Memory for rows that were written to disk lately, in bytes: they are answered from there as long as they fit.
    pub recent_bytes: usize,
    /// Memory for blocks read from disk, in bytes.
    pub cache_bytes: usize,
    /// Wanted share of never-seen keys that still cost a read, per run. Range: (0, 1).
    pub false_positive_rate: f64,
    /// Runs of one tier that are merged into one of the next. Range: 2..
    pub runs_per_tier: usize,
    /// What is dropped at the last tier; absent keeps all.
    pub retention: Option<RetentionRule>,
}

impl Default for TableOptions {
    fn default() -> Self {
        TableOptions {
            layout: 1,
            memtable_bytes: 64 << 20,
            recent_bytes: 256 << 20,
            cache_bytes: 64 << 20,
            false_positive_rate: 0.01,
            runs_per_tier: 5,
            retention: None,
        }
    }
}

/// What a table has done since it was opened, and how large it is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TableStats {
    /// Entries in run files, deleted ones and older values included.
    pub run_entries: u64,
    /// Run files.
    pub runs: u64,
    /// Bytes of run files.
    pub disk_bytes: u64,
    /// Look-ups that a Bloom filter answered with "not here", of one run or of all.
    pub bloom_negatives: u64,
    /// Run look-ups that the filter let through and that found the key.
    pub bloom_hits: u64,
    /// Run look-ups that the filter let through in vain.
    pub bloom_false_positives: u64,
    /// Blocks read from disk.
    pub block_reads: u64,
    /// Blocks found in memory.
    pub cache_hits: u64,
}

/// A table is behind when so many checkpoints' worth of rows waits beside the one that is being written. Judgement.
const BEHIND_CHECKPOINTS: usize = 4;
/// What a table with a small memory part may hold all the same, 64 MiB.
const BEHIND_BYTES_LEAST: usize = 64 << 20;

/// Bytes to bytes, safe to share across threads.
pub struct PointTable {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl PointTable {
    /// Opens the table in a folder, which is created when it does not exist.
    ///
    /// # Errors
    /// [`TableError::Rebuild`]: call [`PointTable::discard`], open again and replay the journal from its beginning.
    /// [`TableError::Write`] when the folder or a thread cannot be made.
    pub fn open(folder: &Path, options: TableOptions) -> Result<PointTable, TableError> {
        std::fs::create_dir_all(folder).map_err(TableError::write)?;
        if folder.join(DISTRUSTED).exists() {
            return Err(TableError::rebuild(folder, "a file of theirs was found damaged"));
        }
        let manifest = Manifest::load(folder).map_err(|reason| TableError::rebuild(folder, reason))?;
        let manifest = manifest.unwrap_or_else(|| Manifest::empty(options.layout));
        if manifest.layout != options.layout {
            return Err(TableError::rebuild(folder, "its layout is that of another build"));
        }
        let open_run = |listed: &ListedRun| {
            Run::open(folder, listed.id).map(Arc::new).map_err(|bad| TableError::rebuild(folder, bad.reason))
        };
        let runs = manifest.runs.iter().map(open_run).collect::<Result<Vec<_>, _>>()?;
        remove_unlisted(folder, &manifest).map_err(TableError::write)?;
        let shared = Arc::new(Shared {
            folder: folder.to_path_buf(),
            cache: BlockCache::new(options.cache_bytes),
            seen: SeenKeys::default(),
            options,
            layers: RwLock::new(Layers::over(runs)),
            memory_bytes: AtomicUsize::new(0),
            manifest: Mutex::new(manifest),
            counters: Counters::default(),
            work: Mutex::new(Work { merge: Some(MergeScope::FullTiers), ..Work::default() }),
            work_changed: Condvar::new(),
            failure: OnceLock::new(),
        });
        let mut table = PointTable { shared, threads: Vec::new() };
        table.start("table-checkpoint", Shared::write_checkpoints)?;
        table.start("table-merge", Shared::merge_runs)?;
        Ok(table)
    }

    fn start(&mut self, name: &str, body: fn(&Shared)) -> Result<(), TableError> {
        let shared = Arc::clone(&self.shared);
        let builder = std::thread::Builder::new().name(name.into());
        self.threads.push(builder.spawn(move || body(&shared)).map_err(TableError::write)?);
        Ok(())
    }

    /// Removes the files of a table, so that the next open starts empty.
    ///
    /// # Errors
    /// [`TableError::Write`] when the disk refuses.
    pub fn discard(folder: &Path) -> Result<(), TableError> {
        match std::fs::remove_dir_all(folder) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(TableError::write(e)),
        }
    }

    /// What the files cover: replay the journal after it. Empty for a new table.
    #[must_use]
    pub fn covered(&self) -> Covered {
        self.shared.manifest.lock().covered.clone()
    }

    /// The value of a key; absent when it was never put or was deleted.
    ///
    /// # Errors
    /// [`TableError::Rebuild`] when a block is damaged.
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>, TableError> {
        self.read(key, |value| value.map(Value::from_slice))
    }

    /// As [`PointTable::get`], without copying. The table must not be used inside `look`.
    ///
    /// # Errors
    /// [`TableError::Rebuild`] when a block is damaged.
    pub fn read<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, TableError> {
        let layers = self.shared.layers.read();
        if let Some(row) = layers.memory.get(key) {
            return Ok(look(row.value()));
        }
        if layers.runs_beyond_memory == RunsBeyondMemory::No {
            return Ok(look(None));
        }
        let runs = Arc::clone(&layers.runs);
        drop(layers);
        let hash = KeyHash::of(key);
        if !self.shared.seen.may_hold(hash) {
            self.shared.counters.bloom_negatives.fetch_add(1, Ordering::Relaxed);
            return Ok(look(None));
        }
        for run in runs.iter() {
            let counters = &self.shared.counters;
            let Probe::Block(number) = run.probe(key, hash) else {
                counters.bloom_negatives.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let block = self.block(run, number)?;
            match run::find(&block, key) {
                Some(entry) => {
                    counters.bloom_hits.fetch_add(1, Ordering::Relaxed);
                    return Ok(look(entry.value));
                }
                None => counters.bloom_false_positives.fetch_add(1, Ordering::Relaxed),
            };
        }
        Ok(look(None))
    }

    fn block(&self, run: &Run, number: u32) -> Result<Arc<[u8]>, TableError> {
        let id = (run.id, number);
        if let Some(block) = self.shared.cache.get(id) {
            self.shared.counters.cache_hits.fetch_add(1, Ordering::Relaxed);
            return Ok(block);
        }
        let block = run.read_block(number).map_err(|bad| self.shared.distrust(&bad))?;
        self.shared.counters.block_reads.fetch_add(1, Ordering::Relaxed);
        let block: Arc<[u8]> = block.into();
        self.shared.cache.insert(id, Arc::clone(&block));
        Ok(block)
    }

    /// Sets the value of a key.
    ///
    /// # Errors
    /// [`TableError::EntryTooLarge`]: keys up to 1,024 bytes, values up to 16 MiB.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<(), TableError> {
        self.put_rows([TableRow::of(key, value)?]);
        Ok(())
    }

    /// Deletes a key.
    ///
    /// # Errors
    /// [`TableError::EntryTooLarge`].
    pub fn delete(&self, key: &[u8]) -> Result<(), TableError> {
        self.put_rows([TableRow::deleting(key)?]);
        Ok(())
    }

    /// Sets rows all at once: no reader sees some of them and not the others in one look-up after another.
    pub fn put_rows(&self, rows: impl IntoIterator<Item = TableRow>) {
        let mut layers = self.shared.layers.write();
        for row in rows {
            layers.memory.put(row);
        }
        self.shared.memory_bytes.store(layers.memory.active().size_bytes(), Ordering::Relaxed);
    }

    /// Whether the memory part has reached its size. Ask after each applied record.
    #[must_use]
    pub fn wants_checkpoint(&self) -> bool {
        self.shared.memory_bytes.load(Ordering::Relaxed) >= self.shared.options.memtable_bytes
    }

    /// Whether rows come faster than checkpoints are written, so that memory grows: whoever feeds the table lets it catch up.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        let limit_bytes = self.shared.options.memtable_bytes.saturating_mul(BEHIND_CHECKPOINTS).max(BEHIND_BYTES_LEAST);
        self.shared.memory_bytes.load(Ordering::Relaxed) >= limit_bytes
    }

    /// Freezes the memory part and writes it in the background; reads go on. Blocks only while an earlier checkpoint
    /// is still being written, which bounds memory. `covered` says up to which record all effects are in; the caller
    /// puts nothing between taking that number and this call.
    ///
    /// # Errors
    /// [`TableError::Write`] when an earlier checkpoint failed; the table goes on in memory, unbounded.
    pub fn checkpoint(&self, covered: Covered, gate: DurableGate) -> Result<(), TableError> {
        let mut work = self.shared.work.lock();
        while work.freezing == Activity::Running && self.failure().is_none() {
            self.shared.work_changed.wait(&mut work);
        }
        if let Some(failure) = self.failure() {
            return Err(failure.clone());
        }
        self.shared.freeze();
        work.freezing = Activity::Running;
        work.checkpoint = Some((covered, gate));
        self.shared.work_changed.notify_all();
        Ok(())
    }

    /// Why nothing is written to disk any more; absent while all is well. Look-ups and puts still go on in memory, so whoever feeds the
    /// table stops feeding it.
    #[must_use]
    pub fn failure(&self) -> Option<&TableError> {
        self.shared.failure.get()
    }

    /// Whether a checkpoint is being written, so that [`PointTable::checkpoint`] would block.
    #[must_use]
    pub fn is_checkpointing(&self) -> bool {
        self.shared.work.lock().freezing == Activity::Running
    }

    /// Waits until nothing is being written in the background.
    ///
    /// # Errors
    /// [`TableError::Write`] when a background write failed.
    pub fn settle(&self) -> Result<(), TableError> {
        let mut work = self.shared.work.lock();
        loop {
            if let Some(failure) = self.failure() {
                return Err(failure.clone());
            }
            let idle = work.freezing == Activity::Idle && work.merging == Activity::Idle && work.merge.is_none();
            if idle {
                return Ok(());
            }
            self.shared.work_changed.wait(&mut work);
        }
    }

    /// Merges all runs into one; drops deleted entries and what the retention rule drops.
    ///
    /// # Errors
    /// [`TableError::Write`] when the disk refuses or a run is damaged.
    pub fn compact(&self) -> Result<(), TableError> {
        self.settle()?;
        self.shared.work.lock().merge = Some(MergeScope::All);
        self.shared.work_changed.notify_all();
        self.settle()
    }

    /// Memory in use by entries, filters, indexes and cached blocks, in bytes.
    #[must_use]
    pub fn approximate_memory_bytes(&self) -> usize {
        let layers = self.shared.layers.read();
        let older: usize = layers.frozen.iter().chain(&layers.recent).map(|generation| generation.size_bytes()).sum();
        let runs: usize = layers.runs.iter().map(|run| run.memory_bytes()).sum();
        layers.memory.active().size_bytes() + older + runs + self.shared.seen.memory_bytes() + self.shared.cache.used_bytes()
    }

    /// Counters since open, and sizes.
    #[must_use]
    pub fn stats(&self) -> TableStats {
        let runs = Arc::clone(&self.shared.layers.read().runs);
        let counters = &self.shared.counters;
        TableStats {
            run_entries: runs.iter().map(|run| run.entries).sum(),
            runs: runs.len() as u64,
            disk_bytes: runs.iter().map(|run| run.disk_bytes).sum(),
            bloom_negatives: counters.bloom_negatives.load(Ordering::Relaxed),
            bloom_hits: counters.bloom_hits.load(Ordering::Relaxed),
            bloom_false_positives: counters.bloom_false_positives.load(Ordering::Relaxed),
            block_reads: counters.block_reads.load(Ordering::Relaxed),
            cache_hits: counters.cache_hits.load(Ordering::Relaxed),
        }
    }
}

impl TableStats {
    /// Share of run look-ups for keys that were not there which the filter let through; absent before the first.
    #[must_use]
    pub fn false_positive_rate(&self) -> Option<f64> {
        let misses = self.bloom_negatives + self.bloom_false_positives;
        #[expect(clippy::cast_precision_loss, reason = "counters stay far below 2^52")]
        (misses > 0).then(|| self.bloom_false_positives as f64 / misses as f64)
    }
}

impl Drop for PointTable {
    /// Lets the checkpoint that is being written finish; what is only in memory is in the journal.
    fn drop(&mut self) {
        self.shared.work.lock().ending = Activity::Running;
        self.shared.work_changed.notify_all();
        for thread in self.threads.drain(..) {
            // A panic in the thread has been printed; there is nobody left to tell.
            drop(thread.join());
        }
    }
}

/// Removes run files that were being written or merged away when the process ended.
fn remove_unlisted(folder: &Path, manifest: &Manifest) -> std::io::Result<()> {
    let listed: Vec<String> = manifest.runs.iter().map(|listed| run::file_name(listed.id)).collect();
    for item in std::fs::read_dir(folder)? {
        let path = item?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.extension().is_some_and(|extension| extension == "run") && !listed.iter().any(|l| l == name) {
            std::fs::remove_file(&path)?;
        }
    }
    Ok(())
}
