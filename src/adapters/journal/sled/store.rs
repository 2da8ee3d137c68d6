//! The open sled store: what is written to it is durable when the call returns, and after a failure nothing is written any more. Sled is reached
//! through here alone, because on damaged files it panics where one would expect an error.
//!
//! Why the extra sync: `flush` of sled 0.34 calls `sync_file_range` on Linux, which does not survive a power cut. The store therefore keeps its
//! own handle to sled's log file and calls `fdatasync` on it.

use std::fs::File;
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;

use super::error::StorageError;
use super::folder::{is_file_at, open_guarded, panic_message};
use super::options::{JournalOptions, SyncMode};
use super::places::{LOG_FILE, settle_files};

/// The open sled store. The folder stays locked until the last handle is dropped.
pub(super) struct Store {
    tree: sled::Db,
    log: File,
    folder: PathBuf,
    sync: SyncMode,
    failure: OnceLock<String>,
    /// Why nothing new should be begun for now.
    hindrance: RwLock<Option<String>>,
    #[cfg(test)]
    pub(super) fail_next_sync: std::sync::atomic::AtomicBool,
    // Last, so that the lock outlives sled.
    _lock: Arc<File>,
}

impl Store {
    /// Opens sled in a folder that is locked, and makes what it finds there durable.
    pub(super) fn open(folder: &Path, lock: Arc<File>, options: &JournalOptions) -> Result<Self, StorageError> {
        let tree = open_guarded(folder, options)?;
        let log = File::options().read(true).write(true).open(folder.join(LOG_FILE));
        let log = log.map_err(StorageError::io("opening the log", folder))?;
        if options.sync == SyncMode::Data {
            settle_files(folder).map_err(StorageError::io("syncing the folder", folder))?;
        }
        Ok(Self {
            tree,
            log,
            folder: folder.to_path_buf(),
            sync: options.sync,
            failure: OnceLock::new(),
            hindrance: RwLock::default(),
            #[cfg(test)]
            fail_next_sync: std::sync::atomic::AtomicBool::new(false),
            _lock: lock,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The value of a key.
    ///
    /// # Errors
    /// Those of [`StorageError::from_sled`], and [`StorageError::EnginePanicked`].
    pub(super) fn get(&self, doing: &'static str, key: &[u8]) -> Result<Option<sled::IVec>, StorageError> {
        self.guarded(doing, || self.tree.get(key))
    }

    /// A lazy walk over keys, in order, from either end.
    pub(super) fn range<K: AsRef<[u8]> + PartialOrd>(&self, doing: &'static str, keys: RangeInclusive<K>) -> Walk<'_> {
        // Sled panics on an inverted range.
        Walk { store: self, doing, items: (!keys.is_empty()).then(|| self.tree.range(keys)) }
    }

    /// A lazy walk over the keys that begin so, in order.
    pub(super) fn beginning_with(&self, doing: &'static str, prefix: &[u8]) -> Walk<'_> {
        Walk { store: self, doing, items: Some(self.tree.scan_prefix(prefix)) }
    }

    /// Does something with sled. After a panic nothing is written any more: what sled holds in memory may be half done.
    fn guarded<T>(&self, doing: &'static str, work: impl FnOnce() -> sled::Result<T>) -> Result<T, StorageError> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(done) => done.map_err(|error| StorageError::from_sled(doing, &self.folder, &error)),
            Err(panic) => {
                let error = StorageError::EnginePanicked { doing, reason: panic_message(panic.as_ref()) };
                self.fail(&error);
                Err(error)
            }
        }
    }

    /// Why nothing is written any more.
    pub(super) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// Why nothing new should be begun for now.
    pub(super) fn hindrance(&self) -> Option<String> {
        self.hindrance.read().clone()
    }

    /// Looks whether there is room on the disk: below `least_bytes` nothing new should be begun. A write that fails for want of room closes the store
    /// until it is opened again; one that was never begun harms nothing.
    pub(super) fn look_for_room(&self, least_bytes: u64) {
        let Some(free_bytes) = free_bytes(&self.folder) else { return };
        let hindrance = (free_bytes < least_bytes).then(|| {
            format!(
                "{} MiB are free where the journal is, and {} are kept for what is under way; writes are taken again as soon as there is room",
                free_bytes >> 20,
                least_bytes >> 20
            )
        });
        let before = std::mem::replace(&mut *self.hindrance.write(), hindrance.clone());
        match (before, hindrance) {
            (None, Some(reason)) => {
                tracing::error!(folder = %self.folder.display(), reason, "the journal takes no writes for now");
            }
            (Some(_), None) => {
                tracing::info!(folder = %self.folder.display(), "there is room again, and the journal takes writes");
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    /// Closes the store to writes.
    pub(super) fn fail(&self, error: &StorageError) {
        if self.failure.set(error.to_string()).is_ok() {
            tracing::error!(folder = %self.folder.display(), reason = %error, "the journal takes no writes any more");
        }
    }

    /// # Errors
    /// [`StorageError::Poisoned`].
    pub(super) fn refuse_if_failed(&self) -> Result<(), StorageError> {
        match self.failure() {
            None => Ok(()),
            Some(reason) => Err(StorageError::Poisoned { reason: reason.to_owned() }),
        }
    }

    /// Whether the log that is written is still the one in the folder; otherwise what was acknowledged would be gone at the next start.
    ///
    /// # Errors
    /// [`StorageError::Replaced`].
    pub(super) fn refuse_if_replaced(&self) -> Result<(), StorageError> {
        let replaced = |what| Err(StorageError::Replaced { folder: self.folder.clone(), what });
        #[cfg(unix)]
        if self.log.metadata().is_ok_and(|log| std::os::unix::fs::MetadataExt::nlink(&log) == 0) {
            return replaced("deleted");
        }
        if is_file_at(&self.log, &self.folder.join(LOG_FILE)) { Ok(()) } else { replaced("moved or exchanged") }
    }

    /// Applies and syncs; any failure closes the store to writes.
    pub(super) fn commit(&self, writes: Writes) -> Result<(), StorageError> {
        self.refuse_if_failed()?;
        self.apply_and_sync(writes).and_then(|()| self.refuse_if_replaced()).inspect_err(|error| self.fail(error))
    }

    fn apply_and_sync(&self, writes: Writes) -> Result<(), StorageError> {
        self.guarded("writing the journal", || writes.apply(&self.tree))?;
        self.guarded("flushing the journal", || self.tree.flush())?;
        #[cfg(test)]
        if self.fail_next_sync.swap(false, std::sync::atomic::Ordering::Relaxed) {
            return Err(StorageError::Io { doing: "syncing the journal", reason: "injected fault".into() });
        }
        match self.sync {
            SyncMode::Data => self.log.sync_data().map_err(StorageError::io("syncing the journal", &self.folder)),
            SyncMode::Skip => Ok(()),
        }
    }
}

/// Room on the disk of a folder for whoever is no superuser; absent where that cannot be known.
#[cfg(target_os = "linux")]
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Nothing is known of disks here.
#[cfg(not(target_os = "linux"))]
fn free_bytes(_folder: &Path) -> Option<u64> {
    None
}

/// A key and its value.
type Entry = (sled::IVec, sled::IVec);

/// A lazy walk over keys. It holds no lock between items, and ends with the first error: sled's own would go on from where it failed, for ever.
pub(super) struct Walk<'s> {
    store: &'s Store,
    doing: &'static str,
    items: Option<sled::Iter>,
}

impl Walk<'_> {
    fn step(&mut self, step: impl FnOnce(&mut sled::Iter) -> Option<sled::Result<Entry>>) -> Option<Result<Entry, StorageError>> {
        let items = self.items.as_mut()?;
        let found = self.store.guarded(self.doing, || step(items).transpose()).transpose();
        if !matches!(found, Some(Ok(_))) {
            self.items = None;
        }
        found
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<Entry, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(sled::Iter::next)
    }
}

impl DoubleEndedIterator for Walk<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(sled::Iter::next_back)
    }
}

/// What is written all at once, or not at all.
#[derive(Default)]
pub(super) struct Writes(Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Writes {
    pub(super) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.0.push((key, Some(value)));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        self.0.push((key, None));
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
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
