//! The durable truth: an append-only journal of records per programme, in one sled tree, synced to the disk.
//! It never acknowledges what a power cut could take back, and never writes after a failure. Called by the committer
//! (appends), by the ledger (open, registry, retention) and by restore.
//!
//! Why the extra sync: `flush` of sled 0.34 calls `sync_file_range` on Linux, which does not survive a power cut. The
//! journal therefore keeps its own handle to sled's log file and calls `fdatasync` on it before it returns.

use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::adapters::storage::backup::undo_interrupted_compaction;
use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::folder::{LOG_FILE, lock_folder, made_store, open_guarded, sync_all_files};
use crate::adapters::storage::reader::{JournalReader, TaggedSideEntry};
use crate::adapters::storage::record::{
    Entry, FORMAT_VERSION, ProgrammeNumber, SIDE_KEY_LIMIT_BYTES, SideWrite, encode_record, encode_side, journal_key, key,
    side_key, space,
};

/// How the journal is opened.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Memory for sled's page cache, in bytes. Sled treats it as a wish.
    pub cache_bytes: u64,
    /// How long opening may take before it is given up.
    pub open_timeout: Duration,
    /// Whether the disk is asked to keep what was written.
    #[doc(hidden)]
    pub sync: SyncMode,
}

impl Default for JournalOptions {
    fn default() -> Self {
        JournalOptions { cache_bytes: 64 << 20, open_timeout: Duration::from_secs(300), sync: SyncMode::Data }
    }
}

/// Whether a group is synced to the disk before it counts as durable.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// `fdatasync` on the log: survives power loss.
    Data,
    /// Only what sled does itself. For the test that shows that this is not enough.
    Skip,
}

/// The open sled store, shared by the writer and all readers. The folder stays locked until the last one is dropped.
pub(super) struct Store {
    tree: sled::Db,
    log: File,
    folder: PathBuf,
    sync: SyncMode,
    failure: OnceLock<String>,
    #[cfg(test)]
    fail_next_sync: std::sync::atomic::AtomicBool,
    // Last, so that the lock outlives sled.
    _lock: File,
}

impl Store {
    pub(super) fn tree(&self) -> &sled::Tree {
        &self.tree
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn sled_error(&self, doing: &'static str, error: &sled::Error) -> StorageError {
        StorageError::from_sled(doing, &self.folder, error)
    }

    fn refuse_if_poisoned(&self) -> Result<(), StorageError> {
        match self.failure.get() {
            None => Ok(()),
            Some(reason) => Err(StorageError::Poisoned { reason: reason.clone() }),
        }
    }

    /// Applies and syncs; any failure, also a panic inside sled, closes the store to writes.
    fn commit(&self, writes: Writes) -> Result<(), StorageError> {
        self.refuse_if_poisoned()?;
        let written = catch_unwind(AssertUnwindSafe(|| self.apply_and_sync(writes)));
        let result = written.unwrap_or_else(|panic| {
            Err(StorageError::Io { doing: "writing the journal", reason: panic_message(panic.as_ref()) })
        });
        if let Err(error) = &result {
            self.failure.get_or_init(|| error.to_string());
        }
        result
    }

    fn apply_and_sync(&self, writes: Writes) -> Result<(), StorageError> {
        writes.apply(&self.tree).map_err(|e| self.sled_error("writing the journal", &e))?;
        self.tree.flush().map_err(|e| self.sled_error("flushing the journal", &e))?;
        #[cfg(test)]
        if self.fail_next_sync.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Err(StorageError::Io { doing: "syncing the journal", reason: "injected fault".into() });
        }
        match self.sync {
            SyncMode::Data => self.log.sync_data().map_err(|e| StorageError::from_io("syncing the journal", &self.folder, &e)),
            SyncMode::Skip => Ok(()),
        }
    }
}

/// What is written all at once, or not at all.
#[derive(Default)]
struct Writes(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Writes {
    /// One key, and nothing beside it.
    fn of_one(key: Vec<u8>, value: Vec<u8>) -> Self {
        Self(vec![(key, Some(value))])
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.push((key, Some(value)));
    }

    fn remove(&mut self, key: Vec<u8>) {
        self.0.push((key, None));
    }

    /// A single key goes without a batch: it is atomic by itself, and each batch costs sled a write and a sync of its own.
    fn apply(mut self, tree: &sled::Tree) -> sled::Result<()> {
        if let [(key, Some(value))] = self.0.as_mut_slice() {
            return tree.insert(key, std::mem::take(value)).map(drop);
        }
        let mut batch = sled::Batch::default();
        for (key, value) in self.0 {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        tree.apply_batch(batch)
    }
}

/// The journal, open for writing. Exactly one exists per folder, in any process.
pub struct Journal {
    store: Arc<Store>,
    writer: Mutex<Writer>,
}

struct Writer {
    /// Newest record per programme.
    last: BTreeMap<ProgrammeNumber, u64>,
    /// Backups that rely on records staying where they are.
    pins: usize,
}

/// All records up to a moment, kept in place until this is dropped.
pub(super) struct Pin<'j> {
    journal: &'j Journal,
    /// Newest durable record per programme at that moment.
    pub(super) through: BTreeMap<ProgrammeNumber, u64>,
    /// All side entries at that moment.
    pub(super) side: Vec<(ProgrammeNumber, TaggedSideEntry)>,
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.journal.writer.lock().pins -= 1;
    }
}

impl Journal {
    /// Opens the journal in a folder, which is created when it does not exist.
    ///
    /// # Errors
    /// [`StorageError::FolderInUse`], [`StorageError::NotWritable`], [`StorageError::DiskFull`],
    /// [`StorageError::NewerFormat`], [`StorageError::OpenFailed`] (sled refused or panicked) and
    /// [`StorageError::OpenTimedOut`]: all mean that nothing was changed in what was acknowledged.
    pub fn open(folder: &Path, options: &JournalOptions) -> Result<Journal, StorageError> {
        let io = |doing| move |e: std::io::Error| StorageError::from_io(doing, folder, &e);
        undo_interrupted_compaction(folder).map_err(io("undoing a compaction"))?;
        let lock = match made_store(folder, options)? {
            Some(lock) => lock,
            None => lock_folder(folder)?,
        };
        let tree = open_guarded(folder, options)?;
        let log = File::options().read(true).write(true).open(folder.join(LOG_FILE)).map_err(io("opening the log"))?;
        let store = Store {
            tree,
            log,
            folder: folder.to_path_buf(),
            sync: options.sync,
            failure: OnceLock::new(),
            #[cfg(test)]
            fail_next_sync: std::sync::atomic::AtomicBool::new(false),
            _lock: lock,
        };
        check_format(&store)?;
        if options.sync == SyncMode::Data {
            sync_all_files(folder).map_err(io("syncing the folder"))?;
        }
        let store = Arc::new(store);
        let reader = JournalReader::new(Arc::clone(&store));
        let mut last = BTreeMap::new();
        for (_, programme) in reader.programmes()? {
            last.insert(programme, reader.last_seq(programme)?);
        }
        Ok(Journal { store, writer: Mutex::new(Writer { last, pins: 0 }) })
    }

    /// A handle for concurrent reads. It keeps the folder open.
    #[must_use]
    pub fn reader(&self) -> JournalReader {
        JournalReader::new(Arc::clone(&self.store))
    }

    /// The folder that was opened.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    #[cfg(test)]
    pub(super) fn fail_next_sync(&self) {
        self.store.fail_next_sync.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    /// Why writes are refused; absent while all is well.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.store.failure.get().map(String::as_str)
    }

    /// The number of a programme, which is registered durably when it is new.
    ///
    /// # Errors
    /// [`StorageError::Poisoned`] after an earlier failure; otherwise what the disk said, and the journal is poisoned.
    pub fn programme(&self, name: &str) -> Result<ProgrammeNumber, StorageError> {
        let registry_key = key(ProgrammeNumber::STORE, space::PROGRAMME, name.as_bytes());
        let mut writer = self.writer.lock();
        let known = self.reader().programmes()?;
        if let Some((_, number)) = known.iter().find(|(known_name, _)| known_name == name) {
            return Ok(*number);
        }
        let highest = known.iter().map(|(_, number)| number.get()).max().unwrap_or(0);
        let number = highest.checked_add(1).and_then(ProgrammeNumber::new);
        let number = number.ok_or(StorageError::DamagedStore { entry: "programme registry" })?;
        self.register(&mut writer, registry_key, number)
    }

    fn register(
        &self,
        writer: &mut Writer,
        registry_key: Vec<u8>,
        number: ProgrammeNumber,
    ) -> Result<ProgrammeNumber, StorageError> {
        if registry_key.len() > SIDE_KEY_LIMIT_BYTES {
            return Err(StorageError::SideTooLarge { size_bytes: registry_key.len(), limit_bytes: SIDE_KEY_LIMIT_BYTES });
        }
        self.store.commit(Writes::of_one(registry_key, number.get().to_be_bytes().to_vec()))?;
        writer.last.insert(number, 0);
        Ok(number)
    }

    /// Appends a group: one atomic batch, one sync. On return all of it survives power loss, or none of it was
    /// acknowledged.
    ///
    /// # Errors
    /// [`StorageError::OutOfOrder`], [`StorageError::RecordTooLarge`], [`StorageError::SideTooLarge`]: nothing was
    /// written. Any other error poisons the journal: reopen it.
    pub fn append_group(&self, group: &[Entry]) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        self.store.refuse_if_poisoned()?;
        let mut last = writer.last.clone();
        let mut writes = Writes::default();
        for entry in group {
            let newest = last.entry(entry.programme).or_insert(0);
            let expected = *newest + 1;
            if entry.seq != expected {
                return Err(StorageError::OutOfOrder { programme: entry.programme, expected, found: entry.seq });
            }
            *newest = entry.seq;
            encode_record(entry.programme, entry.seq, &entry.payload, |part, value| {
                writes.put(journal_key(entry.programme, entry.seq, part).to_vec(), value);
            })?;
            stage_side(&mut writes, entry.programme, &entry.side)?;
        }
        self.store.commit(writes)?;
        writer.last = last;
        Ok(())
    }

    /// Writes side entries alone, durably; for what is not an event, like a format marker of the ledger.
    ///
    /// # Errors
    /// As [`Journal::append_group`].
    pub fn write_side(&self, programme: ProgrammeNumber, side: &[SideWrite]) -> Result<(), StorageError> {
        let _writer = self.writer.lock();
        let mut writes = Writes::default();
        stage_side(&mut writes, programme, side)?;
        self.store.commit(writes)
    }

    /// Removes all records below `seq` (retention by age). The sequence goes on where it was.
    ///
    /// Returns how many records were removed. Work is done in bounded batches, so an interruption leaves a valid,
    /// shorter removal.
    ///
    /// # Errors
    /// [`StorageError::BackupUnderWay`]: try again later. Otherwise as [`Journal::append_group`].
    pub fn remove_before(&self, programme: ProgrammeNumber, seq: u64) -> Result<u64, StorageError> {
        let reader = self.reader();
        let first = reader.first_seq(programme)?;
        let end = seq.min(reader.last_seq(programme)? + 1);
        let mut next = first;
        while next < end {
            let upto = end.min(next + REMOVE_BATCH_RECORDS);
            self.remove_range(programme, next, upto)?;
            next = upto;
        }
        Ok(end.saturating_sub(first))
    }

    /// Removes `from..to` and raises the floor to `to` in one batch.
    fn remove_range(&self, programme: ProgrammeNumber, from: u64, to: u64) -> Result<(), StorageError> {
        let writer = self.writer.lock();
        if writer.pins > 0 {
            return Err(StorageError::BackupUnderWay);
        }
        let mut writes = Writes::default();
        for item in self.store.tree.range(journal_key(programme, from, 0)..journal_key(programme, to, 0)) {
            let (stored_key, _) = item.map_err(|e| self.store.sled_error("removing records", &e))?;
            writes.remove(stored_key.to_vec());
        }
        writes.put(key(programme, space::FLOOR, &[]), to.to_be_bytes().to_vec());
        self.store.commit(writes)
    }

    /// Captures a consistent moment for a backup. Appends wait while the side entries are copied.
    pub(super) fn pin(&self) -> Result<Pin<'_>, StorageError> {
        let mut writer = self.writer.lock();
        // After a failure, what is visible may not be durable: a backup must not contain it.
        self.store.refuse_if_poisoned()?;
        let reader = self.reader();
        let mut side = Vec::new();
        for programme in writer.last.keys() {
            for tagged in reader.side_all(*programme) {
                side.push((*programme, tagged?));
            }
        }
        writer.pins += 1;
        Ok(Pin { journal: self, through: writer.last.clone(), side })
    }

    /// Sets up a programme as a backup describes it, in a journal that is being restored.
    pub(super) fn restore_programme(&self, name: &str, number: ProgrammeNumber, first_seq: u64) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        self.register(&mut writer, key(ProgrammeNumber::STORE, space::PROGRAMME, name.as_bytes()), number)?;
        self.store.commit(Writes::of_one(key(number, space::FLOOR, &[]), first_seq.to_be_bytes().to_vec()))?;
        writer.last.insert(number, first_seq.saturating_sub(1));
        Ok(())
    }
}

/// Records removed per batch: bounds memory and how long appends wait. Judgement.
const REMOVE_BATCH_RECORDS: u64 = 1_000;

fn stage_side(writes: &mut Writes, programme: ProgrammeNumber, side: &[SideWrite]) -> Result<(), StorageError> {
    for write in side {
        if write.key.len() > SIDE_KEY_LIMIT_BYTES {
            return Err(StorageError::SideTooLarge { size_bytes: write.key.len(), limit_bytes: SIDE_KEY_LIMIT_BYTES });
        }
        let stored_key = side_key(programme, write.tag, &write.key);
        match &write.value {
            Some(value) => {
                let stored = encode_side(&stored_key, value)?;
                writes.put(stored_key, stored);
            }
            None => writes.remove(stored_key),
        }
    }
    Ok(())
}

/// Refuses newer formats; marks a new store with ours.
fn check_format(store: &Store) -> Result<(), StorageError> {
    let format_key = key(ProgrammeNumber::STORE, space::FORMAT, &[]);
    let stored = store.tree.get(&format_key).map_err(|e| store.sled_error("reading the format", &e))?;
    let Some(stored) = stored else {
        if !store.tree.is_empty() {
            let reason = "it holds a sled store that is not a journal".to_owned();
            return Err(StorageError::OpenFailed { folder: store.folder.clone(), reason });
        }
        return store.commit(Writes::of_one(format_key, FORMAT_VERSION.to_be_bytes().to_vec()));
    };
    let found = <[u8; 4]>::try_from(stored.as_ref()).map(u32::from_be_bytes);
    let found = found.map_err(|_| StorageError::DamagedStore { entry: "format version" })?;
    if found > FORMAT_VERSION {
        return Err(StorageError::NewerFormat { folder: store.folder.clone(), found, supported: FORMAT_VERSION });
    }
    Ok(())
}

/// What a panic said, as far as it can be known.
pub(super) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the storage engine panicked: {}", text.unwrap_or("no message"))
}
