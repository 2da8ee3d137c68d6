//! The book: the state machine of the product, pure and in memory. Layer 3.

pub mod command;
pub mod query;
pub mod records;
