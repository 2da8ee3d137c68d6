//! The service over a real socket: every method, every refusal with its details, streams, limits, health, drain.
//! Each test starts its own server on a loopback port, with a ledger in memory and a clock that the test sets.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod access;
mod audit;
mod bulk;
mod callers;
#[path = "../support/certificates.rs"]
mod certificates;
mod confirmations;
mod feed;
mod limits;
mod listener;
mod manners;
mod models;
mod operations;
mod payouts;
mod refusals;
mod rest;
mod reviews;
mod sameness;
mod screening;
mod terms;
#[path = "../support/models.rs"]
mod test_models;
mod tls;
mod together;
mod world;
