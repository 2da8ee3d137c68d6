//! Selfsame stops referral fraud before money leaves the house.
//!
//! Start with [`screening::assess`]: the pure function from two signal bundles and a history to a decision.
//! Folders are layers; a module uses only what stands above it:
//!
//! 1. [`vocabulary`]: ids, time, money, digests, bundles.

pub mod offline;
pub mod vocabulary;
