//! The folder of a journal: made in one piece, locked against other processes, opened behind a guard, synced. It knows nothing of records.
//! Called by the journal when it is opened.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use crate::adapters::storage::backup::{beside, sync_parent};
use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::journal::{JournalOptions, SyncMode, panic_message};
use crate::adapters::storage::record::{FORMAT_VERSION, ProgrammeNumber, key, space};

/// Makes a store where there is none, and returns its lock; absent when there is one. It is made beside its place, synced, and put there by
/// one rename: a power cut during the very first opening leaves no store, or one that opens.
pub(super) fn made_store(folder: &Path, options: &JournalOptions) -> Result<Option<File>, StorageError> {
    let io = |doing| move |e: std::io::Error| StorageError::from_io(doing, folder, &e);
    match std::fs::read_dir(folder).map(|mut items| items.next().is_some()) {
        Ok(true) => return Ok(None),
        Ok(false) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(io("looking into the folder")(e)),
    }
    let making = beside(folder, "new");
    create_folder(&making).map_err(io("creating the folder"))?;
    let lock = lock_folder(&making)?;
    remove_all_but_lock(&making).map_err(io("removing an unfinished store"))?;
    let tree = open_guarded(&making, options)?;
    let failed = |e: sled::Error| StorageError::from_sled("making the store", folder, &e);
    tree.insert(key(ProgrammeNumber::STORE, space::FORMAT, &[]), &FORMAT_VERSION.to_be_bytes()).map_err(failed)?;
    tree.flush().map_err(failed)?;
    drop(tree);
    wait_until_closed(&making).map_err(io("waiting for the store to close"))?;
    if options.sync == SyncMode::Data {
        sync_all_files(&making).map_err(io("syncing the folder"))?;
    }
    match std::fs::rename(&making, folder) {
        Ok(()) => {}
        // Another process was faster; its store stands, and the lock tells about it.
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => return Ok(None),
        Err(e) => return Err(io("putting the folder in place")(e)),
    }
    sync_parent(folder).map_err(io("syncing the folder"))?;
    Ok(Some(lock))
}

/// A thread of sled may hold the log, and its lock, for a moment after the store was dropped; opening it in that moment would be refused.
fn wait_until_closed(folder: &Path) -> std::io::Result<()> {
    File::options().write(true).open(folder.join(LOG_FILE))?.lock()
}

fn remove_all_but_lock(folder: &Path) -> std::io::Result<()> {
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            std::fs::remove_dir_all(item.path())?;
        } else if item.file_name() != LOCK_FILE {
            std::fs::remove_file(item.path())?;
        }
    }
    Ok(())
}

fn create_folder(folder: &Path) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    sync_parent(folder)
}

/// Sled's log.
pub(super) const LOG_FILE: &str = "db";

/// The file that the process which has the folder open holds locked.
const LOCK_FILE: &str = "lock";

pub(super) fn lock_folder(folder: &Path) -> Result<File, StorageError> {
    let path = folder.join(LOCK_FILE);
    let open = File::options().create(true).truncate(false).write(true).open(path);
    let lock = open.map_err(|e| StorageError::from_io("opening the lock file", folder, &e))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StorageError::FolderInUse { folder: folder.to_path_buf() }),
        Err(TryLockError::Error(e)) => Err(StorageError::from_io("locking the folder", folder, &e)),
    }
}

/// Opens sled in a thread of its own: on a damaged folder it can panic or hang, which must not take the process along.
pub(super) fn open_guarded(folder: &Path, options: &JournalOptions) -> Result<sled::Db, StorageError> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(options.cache_bytes)
        .mode(sled::Mode::HighThroughput)
        // The committer flushes; a second flusher only contends.
        .flush_every_ms(None);
    let failed = |reason: String| StorageError::OpenFailed { folder: folder.to_path_buf(), reason };
    let (sender, receiver) = mpsc::sync_channel(1);
    let spawned = std::thread::Builder::new().name("journal-open".into()).spawn(move || {
        let opened = catch_unwind(AssertUnwindSafe(|| open_once_let_go(&config)));
        // The receiver is gone only after a time-out; dropping the store is then right.
        drop(sender.send(opened));
    });
    spawned.map_err(|e| failed(e.to_string()))?;
    match receiver.recv_timeout(options.open_timeout) {
        Ok(Ok(Ok(db))) => Ok(db),
        Ok(Ok(Err(sled::Error::Io(io)))) => match StorageError::from_io("opening the store", folder, &io) {
            StorageError::Io { reason, .. } => Err(failed(reason)),
            named => Err(named),
        },
        Ok(Ok(Err(error))) => Err(failed(error.to_string())),
        Ok(Err(panic)) => Err(failed(panic_message(panic.as_ref()))),
        Err(mpsc::RecvTimeoutError::Timeout) => {
            Err(StorageError::OpenTimedOut { folder: folder.to_path_buf(), waited: options.open_timeout })
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(failed("the opening thread ended early".into())),
    }
}

/// How often, and how many milliseconds apart, an opening is tried while sled's own lock is held.
const TRIES: u32 = 200;
const TRIES_APART_MILLIS: u64 = 25;

/// Opens sled, and waits for its own lock. Our lock keeps other processes out, so whoever holds sled's is this process's handle of a moment ago: a
/// store that was just made, or a journal that was just closed, whose threads have not let go yet.
#[expect(
    clippy::disallowed_methods,
    reason = "sled does not tell when it lets go; this thread opens the store and does nothing else"
)]
fn open_once_let_go(config: &sled::Config) -> sled::Result<sled::Db> {
    let held = |error: &sled::Error| matches!(error, sled::Error::Io(io) if io.to_string().contains("could not acquire lock"));
    for _ in 1..TRIES {
        match config.open() {
            Err(error) if held(&error) => std::thread::sleep(Duration::from_millis(TRIES_APART_MILLIS)),
            opened => return opened,
        }
    }
    config.open()
}

/// Makes names and contents of all of sled's files durable: the log, its configuration, snapshots and blobs. Sled does
/// not do so for a configuration or snapshot that it has just written.
pub(super) fn sync_all_files(folder: &Path) -> std::io::Result<()> {
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            sync_all_files(&item.path())?;
        } else {
            File::open(item.path())?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_whose_earlier_handle_goes_a_moment_later_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let options = JournalOptions::default();
        let earlier = open_guarded(folder.path(), &options).unwrap();
        let path = folder.path().to_owned();
        let (began, begins) = mpsc::channel();
        let opening = std::thread::spawn(move || {
            began.send(()).unwrap();
            open_guarded(&path, &options).map(|_| ())
        });
        begins.recv().unwrap();
        std::thread::yield_now();
        drop(earlier);
        assert!(opening.join().unwrap().is_ok());
    }
}
