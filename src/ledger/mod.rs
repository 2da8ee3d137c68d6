//! The ledger: one sequencer over the books and a journal. Layer 5; the only implementation of [`crate::ports::ledger::Ledger`], over any home of the
//! journal.
//!
//! The life of a command: the sequencer plans it against the book, the event becomes a record and is applied, the committer makes it durable with
//! its neighbours, then the caller is answered. Reads join the book with the journal and wait until what they saw is durable.

mod codec;
mod cold;
mod commit;
mod cooling;
mod erasing;
mod followed;
mod held;
mod holding;
mod journaled;
mod open;
mod packed;
mod programme;
mod readings;
mod reads;
mod rechecks;
mod retention;
mod sequencer;
mod snapshot;
mod snapshotting;
#[cfg(test)]
mod tests;
pub mod trail;
mod trails_kept;

pub use codec::alone::{NotPacked, pack_conversion, unpack_conversion};
#[cfg(fuzzing)]
pub use codec::fuzz_record;
pub use commit::GroupOptions;
pub use cooling::ColdAfter;
pub use held::HeldLedger;
pub use journaled::{AuditKeys, Homes, JournaledLedger, LateFacts, LedgerOptions};
pub use open::OpenError;
pub use sequencer::BREAKER_TRIPS;
