//! Durable storage of bytes: the journal (truth), group commit, point tables (derived from the journal), backup.
//! It knows nothing of decisions or signals, and nothing here is asynchronous. Called by the sled ledger and the
//! `ledger` commands.

pub mod backup;
mod block_cache;
pub mod check;
pub mod error;
pub mod faults;
mod filter;
mod folder;
pub mod group;
pub mod journal;
mod layers;
mod manifest;
pub mod memtable;
pub mod plain_path;
pub mod reader;
pub mod record;
mod run;
mod seen;
pub mod table;

#[cfg(test)]
mod backup_tests;
#[cfg(test)]
mod journal_tests;
#[cfg(test)]
mod table_tests;
