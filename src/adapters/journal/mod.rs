//! The homes of the journal: in memory, on disk in sled, and in a database for many processes. They keep bytes; what the bytes mean is the book's.

pub mod memory;
pub mod postgres;
mod sled;

pub use memory::MemoryJournal;
pub use sled::{
    BackupFile, CheckReport, Compacted, JournalOptions, JournalStats, ProgramReport, SledHome, SledJournal, StorageError,
    SyncMode, check, compact, restore, restore_with, stats, verify_backup, verify_backup_with,
};

pub(super) use sled::{folder_bytes, open_store, panic_message, read_through, sync_store};

/// The folder of the journal inside a data folder.
pub const JOURNAL_FOLDER: &str = "journal";
