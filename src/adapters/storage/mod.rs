//! Durable storage of bytes: the journal (truth), group commit, point tables (derived from the journal), backup.
//! It knows nothing of decisions or signals, and nothing here is asynchronous. Called by the sled ledger and the
//! `ledger` commands.

pub mod backup;
pub mod error;
pub mod group;
pub mod journal;
pub mod reader;
pub mod record;
pub mod table;
