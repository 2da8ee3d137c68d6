//! The API contract in Rust: the generated messages and services of `proto/selfsame/v1`, and their conversion from and to the vocabulary.
//!
//! It must never hold a decision or touch the ledger. Every message is taken apart field by field, so that a field added to the contract
//! breaks the build here instead of being ignored. Reading gathers all [`Violation`]s of a message; writing and reading back gives the same
//! value. The service, the ledger's records and the offline commands call it.

pub mod account;
pub mod act;
pub mod audit;
pub mod bundle;
pub mod cluster;
pub mod codec;
pub mod confirmation;
pub mod content;
pub mod conversion;
pub mod credentials;
pub mod cursor;
pub mod decision;
pub mod diagnosis;
pub mod digest;
pub mod directory;
pub mod enums;
pub mod feed;
pub mod fields;
mod generated;
pub mod hold;
pub mod instant;
pub mod journey;
pub mod json;
pub mod list;
pub mod model;
pub mod outcome;
pub mod payout;
pub mod privacy;
pub mod rekeying;
pub mod request;
pub mod review;
pub mod screening;
pub mod signals;
pub mod terms;
pub mod training;
pub mod violation;
pub mod words;

pub use generated::{FILE_DESCRIPTOR_SET, v1};
pub use instant::WireTimestamp;
pub use violation::Violation;

#[cfg(test)]
mod content_tests;
#[cfg(test)]
mod contract_tests;
#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
