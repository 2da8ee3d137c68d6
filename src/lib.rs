//! Selfsame stops referral fraud before money leaves the house.
//!
//! Start with [`screening::assess`]: the pure function from two signal bundles and a history to a decision.
//! Folders are layers; a module uses only what stands above it:
//!
//! 1. [`vocabulary`]: ids, time, money, digests, bundles.
//! 2. [`screening`]: evidence, rules, features, model, policy, decision, payout gate. Pure.
//! 3. [`ports`]: the clock and the ledger, as traits.

pub mod ports;
pub mod screening;
pub mod vocabulary;
