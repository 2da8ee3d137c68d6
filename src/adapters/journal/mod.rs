//! Homes of the journal: memory, and sled.

pub mod memory;

pub use memory::MemoryJournal;
