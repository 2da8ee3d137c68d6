//! What can go wrong in durable storage, in words an operator can act on. No user data is ever part of a message.
//! Used by every file of this folder; the ledger maps it to its own errors.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::adapters::storage::record::ProgrammeNumber;

/// Why the journal could not do what was asked. Cheap to clone: one failure answers a whole group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Another process has the folder open. Stop it, or choose another folder.
    #[error("the folder `{folder}` is in use by another process")]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder or a file in it may not be written.
    #[error("the folder `{folder}` cannot be written: {reason}")]
    NotWritable {
        /// The folder.
        folder: PathBuf,
        /// What was said.
        reason: String,
    },
    /// No space is left. Free some, then reopen: what was acknowledged is kept.
    #[error("the disk is full ({doing})")]
    DiskFull {
        /// What was being done.
        doing: &'static str,
    },
    /// Written by a newer build. Use that build; nothing was changed.
    #[error("the folder `{folder}` has format {found}, this build reads up to format {supported}: use a newer build")]
    NewerFormat {
        /// The folder.
        folder: PathBuf,
        /// The format on disk.
        found: u32,
        /// The newest format of this build.
        supported: u32,
    },
    /// The store did not open. Restore a backup if it does not open again either.
    #[error("the folder `{folder}` did not open: {reason}")]
    OpenFailed {
        /// The folder.
        folder: PathBuf,
        /// What was said.
        reason: String,
    },
    /// The store did not finish opening in time.
    #[error("the folder `{folder}` did not open within {waited:?}")]
    OpenTimedOut {
        /// The folder.
        folder: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// A record cannot be read back as written. Restore a backup.
    #[error("record {seq} of programme number {programme} is damaged: {reason}")]
    DamagedRecord {
        /// Whose.
        programme: ProgrammeNumber,
        /// Which record.
        seq: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A side entry cannot be read back as written.
    #[error("a side entry (kind {tag}) of programme number {programme} is damaged: {reason}")]
    DamagedSide {
        /// Whose.
        programme: ProgrammeNumber,
        /// Its kind.
        tag: u8,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key of the store itself is malformed.
    #[error("the store's own entry `{entry}` is damaged")]
    DamagedStore {
        /// Which entry.
        entry: &'static str,
    },
    /// An append does not follow the last record: a mistake of the caller; nothing was written.
    #[error("programme number {programme} expects record {expected}, was given {found}")]
    OutOfOrder {
        /// Whose.
        programme: ProgrammeNumber,
        /// The sequence number that comes next.
        expected: u64,
        /// The one that was given.
        found: u64,
    },
    /// The record is too large; nothing was written.
    #[error("a record of {size_bytes} bytes is larger than {limit_bytes}")]
    RecordTooLarge {
        /// Its size.
        size_bytes: usize,
        /// The largest size.
        limit_bytes: usize,
    },
    /// A side key or value is too large; nothing was written.
    #[error("a side entry of {size_bytes} bytes is larger than {limit_bytes}")]
    SideTooLarge {
        /// Its size.
        size_bytes: usize,
        /// The largest size.
        limit_bytes: usize,
    },
    /// An earlier write failed, so nothing is written any more until the store has been reopened.
    #[error("writes are refused since an earlier one failed ({reason}): reopen the store")]
    Poisoned {
        /// What was said.
        reason: String,
    },
    /// The queue is full. Try again after the given time.
    #[error("the write queue is full: try again in {retry_after:?}")]
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// The committer was shut down before this entry was written.
    #[error("the store is closing")]
    Closed,
    /// A backup is being taken; records cannot be removed meanwhile.
    #[error("a backup is under way: try again when it is done")]
    BackupUnderWay,
    /// A backup file cannot be used.
    #[error("the backup is not usable: {reason}")]
    BackupUnusable {
        /// What was said.
        reason: String,
    },
    /// A restore must go to a folder that does not exist or is empty.
    #[error("the folder `{folder}` is not empty")]
    FolderNotEmpty {
        /// The folder.
        folder: PathBuf,
    },
    /// The operating system refused something else.
    #[error("{doing} failed: {reason}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What was said.
        reason: String,
    },
}

impl StorageError {
    /// Names an operating-system error in the operator's words.
    pub(super) fn from_io(doing: &'static str, folder: &Path, error: &std::io::Error) -> StorageError {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StorageError::DiskFull { doing },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                StorageError::NotWritable { folder: folder.to_path_buf(), reason: error.to_string() }
            }
            _ => StorageError::Io { doing, reason: error.to_string() },
        }
    }

    /// Names an error of sled.
    pub(super) fn from_sled(doing: &'static str, folder: &Path, error: &sled::Error) -> StorageError {
        match error {
            sled::Error::Io(io) => StorageError::from_io(doing, folder, io),
            sled::Error::CollectionNotFound(_) | sled::Error::Unsupported(_) | sled::Error::ReportableBug(_) => {
                StorageError::Io { doing, reason: error.to_string() }
            }
            sled::Error::Corruption { .. } => {
                let reason = format!(
                    "the disk changed what was written ({error}); keep the folder, and restore the last backup to another"
                );
                StorageError::Io { doing, reason }
            }
        }
    }
}

/// Why a point table could not answer or persist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The table's files cannot be trusted. Nothing is lost: discard them and rebuild from the journal.
    #[error("the table in `{folder}` must be rebuilt from the journal: {reason}")]
    Rebuild {
        /// The folder.
        folder: PathBuf,
        /// What was said.
        reason: String,
    },
    /// A checkpoint or merge could not be written. The table still answers from memory.
    #[error("the table could not be written: {reason}")]
    Write {
        /// What was said.
        reason: String,
    },
    /// A key or value is too large; nothing was stored.
    #[error("an entry of {size_bytes} bytes is larger than {limit_bytes}")]
    EntryTooLarge {
        /// Its size.
        size_bytes: usize,
        /// The largest size.
        limit_bytes: usize,
    },
}

impl TableError {
    pub(super) fn rebuild(folder: &Path, reason: impl std::fmt::Display) -> TableError {
        TableError::Rebuild { folder: folder.to_path_buf(), reason: reason.to_string() }
    }

    pub(super) fn write(reason: impl std::fmt::Display) -> TableError {
        TableError::Write { reason: reason.to_string() }
    }
}
