//! What can go wrong with a journal on disk, in words an operator can act on. No user data is ever part of a message.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ports::journal::JournalError;

/// What to do when a journal lost something.
const RESTORE: &str = "keep this folder, and restore the last backup to another one";

/// Why the journal could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// Another process has the folder open. Stop it, or choose another folder.
    #[error("the folder `{folder}` is in use by another process")]
    FolderInUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder or a file in it may not be written.
    #[error("the folder `{folder}` cannot be written ({reason}): let this user write it, or mount its disk writable")]
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
        /// What was said, and what to do.
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
    /// What the folder holds is less, or other, than what was noted beside it as durable.
    #[error("the journal in `{folder}` is not what was acknowledged: {reason}; {RESTORE}")]
    Lost {
        /// The folder.
        folder: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// The folder and what stands beside it do not belong together.
    #[error("{reason}")]
    Mismatched {
        /// What does not fit, and what to do.
        reason: String,
    },
    /// A restore to this folder was interrupted.
    #[error("a restore to `{folder}` was interrupted: run `selfsame ledger restore` again, or remove `{partial}` to start empty")]
    RestoreInterrupted {
        /// The folder that was to be made.
        folder: PathBuf,
        /// What is there of it.
        partial: PathBuf,
    },
    /// A record cannot be read back as written.
    #[error("record {seq} of programme `{program}` is damaged ({reason}): {RESTORE}")]
    DamagedRecord {
        /// Whose.
        program: String,
        /// Which record.
        seq: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A kept entry cannot be read back as written.
    #[error("the entry kept of record {seq} of programme `{program}` is damaged ({reason}): {RESTORE}")]
    DamagedKept {
        /// Whose.
        program: String,
        /// Of which record it was made.
        seq: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry of the store itself is malformed.
    #[error("the store's own entry `{entry}` is damaged: {RESTORE}")]
    DamagedStore {
        /// Which entry.
        entry: &'static str,
    },
    /// The storage engine panicked, as it does on files that were damaged. Nothing is written any more.
    #[error("{doing} failed: {reason}; its files are probably damaged: {RESTORE}")]
    EnginePanicked {
        /// What was being done.
        doing: &'static str,
        /// What was said.
        reason: String,
    },
    /// An append does not follow the last record: a mistake of the caller; nothing was written.
    #[error("programme `{program}` expects record {expected}, was given {found}")]
    OutOfOrder {
        /// Whose.
        program: String,
        /// The place that comes next.
        expected: u64,
        /// The one that was given.
        found: u64,
    },
    /// A record or kept entry is too large; nothing was written.
    #[error("a record of {size_bytes} bytes is larger than {limit_bytes}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The largest size.
        limit_bytes: usize,
    },
    /// What was asked is not possible; nothing was changed.
    #[error("{reason}")]
    NotPossible {
        /// Why.
        reason: String,
    },
    /// An earlier write failed, so nothing is written any more until the store has been reopened.
    #[error("writes are refused since an earlier one failed ({reason}): reopen the store")]
    Poisoned {
        /// What was said.
        reason: String,
    },
    /// The folder of the open journal is not there any more, or is another one.
    #[error(
        "the files of the journal in `{folder}` were {what} while it was open: stop, put them back or restore the last backup"
    )]
    Replaced {
        /// The folder.
        folder: PathBuf,
        /// What happened to them.
        what: &'static str,
    },
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
    pub(super) fn from_io(doing: &'static str, folder: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::DiskFull { doing },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { folder: folder.to_path_buf(), reason: error.to_string() }
            }
            _ => Self::Io { doing, reason: error.to_string() },
        }
    }

    /// Names an error of sled.
    pub(super) fn from_sled(doing: &'static str, folder: &Path, error: &sled::Error) -> Self {
        match error {
            sled::Error::Io(io) => Self::from_io(doing, folder, io),
            sled::Error::CollectionNotFound(_) | sled::Error::Unsupported(_) | sled::Error::ReportableBug(_) => {
                Self::Io { doing, reason: error.to_string() }
            }
            sled::Error::Corruption { .. } => {
                Self::Lost { folder: folder.to_path_buf(), reason: format!("the disk changed what was written ({error})") }
            }
        }
    }

    /// Gives an operating-system error its words; for `map_err`.
    pub(super) fn io<'p>(doing: &'static str, folder: &'p Path) -> impl Fn(std::io::Error) -> Self + Copy + use<'p> {
        move |error| Self::from_io(doing, folder, &error)
    }
}

impl From<StorageError> for JournalError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::TooLarge { size_bytes, limit_bytes } => Self::TooLarge { size_bytes, limit_bytes },
            StorageError::OutOfOrder { program, expected, found } => Self::OutOfOrder { program, expected, found },
            StorageError::NotPossible { .. }
            | StorageError::BackupUnderWay
            | StorageError::BackupUnusable { .. }
            | StorageError::FolderNotEmpty { .. } => Self::NotPossible(error.to_string()),
            StorageError::Lost { .. }
            | StorageError::EnginePanicked { .. }
            | StorageError::DamagedRecord { .. }
            | StorageError::DamagedKept { .. }
            | StorageError::DamagedStore { .. } => Self::Damaged(error.to_string()),
            StorageError::FolderInUse { .. }
            | StorageError::NotWritable { .. }
            | StorageError::DiskFull { .. }
            | StorageError::NewerFormat { .. }
            | StorageError::OpenFailed { .. }
            | StorageError::OpenTimedOut { .. }
            | StorageError::Mismatched { .. }
            | StorageError::RestoreInterrupted { .. }
            | StorageError::Poisoned { .. }
            | StorageError::Replaced { .. }
            | StorageError::Io { .. } => Self::Unavailable(error.to_string()),
        }
    }
}
