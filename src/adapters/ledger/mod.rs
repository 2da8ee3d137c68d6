//! The ledgers: an event journal and its fold. One engine, two ledgers: in memory, and on sled.
//!
//! The life of a command: `plan` reads the tables and makes an event (for a conversion: reads its `history`, asks the assessor), the event
//! becomes a journal record, `fold` applies it to the tables and shelves, `reads` shows them, `feed` tells it. Whatever is not an event is
//! derived and can be made again by folding the journal.

mod codec;
mod event;
mod feed;
mod fold;
mod history;
pub mod memory;
pub mod on_disk;
pub mod open;
mod packed;
mod plan;
mod reads;
mod retention;
mod rows;
mod sequencer;
mod shown;
mod stage;
mod standing;
mod tables;

pub use codec::alone::{NotPacked, pack_conversion, unpack_conversion};
pub use memory::{Keeping, MemoryLedger};
pub use on_disk::SledLedger;
pub use open::{JOURNAL_FOLDER, LedgerOptions, OpenError, TABLES_FOLDER};
