//! The folder of a journal: locked against other processes, sled in it opened behind a guard. It knows nothing of records.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;

use super::error::StorageError;
use super::options::JournalOptions;
use super::places::{LOCK_FILE, LOG_FILE, create_folder, private_file};

/// How long a folder that seems to be in use is asked again: a program that this one just started holds a copy of every lock until it has become
/// itself, and a server that was just stopped takes a moment to end.
const LET_GO_WITHIN: std::time::Duration = std::time::Duration::from_secs(1);

/// Locks a folder for this process.
#[expect(clippy::disallowed_methods, reason = "nothing tells when another process lets go of a lock")]
pub(super) fn lock_folder(folder: &Path) -> Result<File, StorageError> {
    let path = folder.join(LOCK_FILE);
    let lock =
        private_file().create(true).truncate(false).open(&path).map_err(StorageError::io("opening the lock file", folder))?;
    let until = std::time::Instant::now() + LET_GO_WITHIN;
    let locked = loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if std::time::Instant::now() < until => std::thread::sleep(LET_GO_WITHIN / 40),
            locked => break locked,
        }
    };
    match locked {
        // Another process may have put another folder here since the lock file was opened.
        Ok(()) if is_file_at(&lock, &path) => Ok(lock),
        Ok(()) | Err(TryLockError::WouldBlock) => Err(StorageError::FolderInUse { folder: folder.to_path_buf() }),
        Err(TryLockError::Error(e)) => Err(StorageError::from_io("locking the folder", folder, &e)),
    }
}

/// Whether an open file is the one that its path names.
#[cfg(unix)]
pub(super) fn is_file_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(open), Ok(named)) = (file.metadata(), std::fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

#[cfg(not(unix))]
pub(super) fn is_file_at(_file: &File, path: &Path) -> bool {
    path.exists()
}

/// Opens sled in a thread of its own: on a damaged folder it can panic or hang, which must not take the process along.
pub(super) fn open_guarded(folder: &Path, options: &JournalOptions) -> Result<sled::Db, StorageError> {
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(options.cache_bytes)
        .mode(sled::Mode::HighThroughput)
        // The committer flushes; a second flusher only contends.
        .flush_every_ms(None);
    let failed = |reason: String| {
        let reason = format!("{reason}; {}", advice(folder));
        StorageError::OpenFailed { folder: folder.to_path_buf(), reason }
    };
    let (sender, receiver) = mpsc::sync_channel(1);
    let own_folder = folder.to_path_buf();
    let spawned = std::thread::Builder::new().name("journal-open".into()).spawn(move || {
        let opened = catch_unwind(AssertUnwindSafe(|| open_once_let_go(&config, &own_folder)));
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

/// Opens a store of sled's that is no journal, and is locked by whoever holds the journal beside it.
///
/// # Errors
/// As opening a journal.
pub(in crate::adapters) fn open_store(folder: &Path, cache_bytes: u64) -> Result<sled::Db, StorageError> {
    create_folder(folder).map_err(StorageError::io("creating the folder", folder))?;
    open_guarded(folder, &JournalOptions { cache_bytes, ..JournalOptions::default() })
}

/// Makes durable what sled has flushed; by itself it does not, as the store of the journal says.
pub(in crate::adapters) fn sync_store(folder: &Path) -> std::io::Result<()> {
    File::options().write(true).open(folder.join(LOG_FILE))?.sync_data()
}

/// What an operator can do about a store that sled does not open.
fn advice(folder: &Path) -> String {
    let names = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|item| Some(item.ok()?.file_name().to_string_lossy().into_owned()));
    let mut snapshots: Vec<String> = names.filter(|name| name.starts_with("snap.")).map(|name| format!("`{name}`")).collect();
    snapshots.sort();
    if snapshots.is_empty() {
        return "keep this folder, and restore the last backup to another one".to_owned();
    }
    format!(
        "sled's own index of its log ({}) may be cut short: keep a copy of this folder, move that file out of it and start again, and what \
         the log holds is compared with the watermark; if that is refused too, restore the last backup to another folder",
        snapshots.join(", ")
    )
}

/// Opens sled once its own lock is free. Our lock keeps other processes out, so whoever holds sled's is this process's handle of a moment
/// ago: a store that was just made, or a journal that was just closed, whose threads have not let go yet.
fn open_once_let_go(config: &sled::Config, folder: &Path) -> sled::Result<sled::Db> {
    match wait_until_closed(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        Ok(()) | Err(_) => config.open(),
    }
}

/// Waits until nobody holds sled's lock. A thread of sled may hold it for a moment after the store was dropped; opening in that moment would be
/// refused.
pub(super) fn wait_until_closed(folder: &Path) -> std::io::Result<()> {
    File::options().write(true).open(folder.join(LOG_FILE))?.lock()
}

/// What a panic said, as far as it can be known.
pub(in crate::adapters) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    format!("the storage engine panicked: {}", text.unwrap_or("no message"))
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
