//! Selfsame stops referral fraud before money leaves the house.
//!
//! Start with [`screening::assess`]: the pure function from two signal bundles and a history to a decision.
//! Folders are layers; a module uses only what stands above it:
//!
//! 1. [`vocabulary`]: ids, time, money, digests, bundles; and [`digesting`]: how callers make pseudonyms.
//! 2. [`screening`]: evidence, rules, features, model, policy, decision, payout gate. Pure.
//! 3. [`ports`]: the clock and the ledger, as traits.
//! 4. [`wire`]: the generated API and its conversion from and to the vocabulary; [`adapters`]: ledgers, files, configuration, telemetry.
//! 5. [`service`]: thin gRPC handlers, status mapping, the server.
//! 6. [`offline`]: replay, training, evaluation, simulation.
//! 7. [`cli`]: the commands of the `selfsame` binary.

pub mod adapters;
pub mod book;
pub mod cli;
pub mod digesting;
pub mod ledger;
pub mod offline;
pub mod ports;
pub mod screening;
pub mod service;
pub mod vocabulary;
pub mod wire;
