//! Selfsame stops referral fraud before money leaves the house.
//!
//! Start with [`screening::assess`]: the pure function from two signal bundles and a history to a decision.
//! Folders are layers; a module uses only what stands above it:
//!
//! 1. [`vocabulary`]: ids, time, money, digests, bundles; and [`digesting`]: how callers make pseudonyms.
//! 2. [`screening`]: evidence, rules, features, model, policy, decision, payout gate. Pure.
//! 3. [`book`]: the state machine: commands, plans, events, and everything that a programme knows, in memory. Pure.
//! 4. [`ports`]: the clock, the journal, the snapshots, and the ledger as the service sees it, as traits.
//! 5. [`wire`]: the generated API and its conversion from and to the vocabulary; [`ledger`]: the sequencer over books and a journal.
//! 6. [`adapters`]: homes of the journal, files, configuration, telemetry.
//! 7. [`service`]: thin gRPC handlers, status mapping, the server.
//! 8. [`offline`]: replay, training, evaluation, simulation; [`console`]: the review queue in a browser, and [`rest`]: the API as JSON over HTTP,
//!    [`assistant`]: what an assistant may ask; all clients of the API; [`gateway`]: what programmes already send to
//!    others, as facts; [`relay`]: webhooks and NATS, a follower of the feed.
//! 9. [`cli`]: the commands of the `selfsame` binary.

pub mod adapters;
pub mod assistant;
pub mod book;
pub mod cli;
pub mod console;
pub mod digesting;
pub mod gateway;
pub mod ledger;
pub mod offline;
pub mod ports;
pub mod relay;
pub mod rest;
pub mod screening;
pub mod service;
pub mod vocabulary;
pub mod wire;
