//! Claims about the journal in a database: it is a home like the others, and many processes may share it. Each test has tables of its own on a
//! PostgreSQL that the run starts for itself; where none is installed they say so and pass.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    dead_code,
    reason = "a test fails by panicking and says what it skipped; fixtures are shared with other suites"
)]

#[path = "../support/asked.rs"]
mod asked;
#[path = "../support/certificates.rs"]
mod certificates;
#[path = "../journal/fixture.rs"]
mod fixture;
mod handover;
mod journal;
#[path = "../support/postgres.rs"]
mod postgres;
mod protected;
mod replicas;
mod snapshots;
#[path = "../ledger_conformance/subject.rs"]
mod subject;
#[path = "../support/mod.rs"]
mod support;
