//! The API contract in Rust: the generated messages and services of `proto/selfsame/v1`.
//! It must never hold a decision or touch the ledger. The service, the ledger's records and the offline commands call it.

mod generated;

pub use generated::{FILE_DESCRIPTOR_SET, v1};

#[cfg(test)]
mod contract_tests;
