//! The journal on disk: sled keeps the records, and a watermark beside it says how far they are durable. Everything that touches the folder of a
//! journal is here: opening, appending, cutting, backup, restore, compaction, check.

mod backup;
mod check;
mod content;
mod cut;
mod error;
mod folder;
mod interrupted;
mod journal;
mod keeper;
mod layout;
mod open;
mod options;
mod places;
mod restore;
mod rewrite;
mod scan;
mod scour;
mod store;
mod watermark;

#[cfg(test)]
mod tests;

pub(in crate::adapters) use backup::read_through;
pub use backup::{BackupFile, verify_backup, verify_backup_with};
pub(in crate::adapters) use check::folder_bytes;
pub use check::{CheckReport, JournalStats, ProgramReport, check, stats};
pub use error::StorageError;
pub(in crate::adapters) use folder::{open_store, panic_message, sync_store};
pub use journal::SledJournal;
pub use options::{JournalOptions, SyncMode};
pub use restore::{Compacted, compact, restore, restore_with};
pub use scour::SledHome;
