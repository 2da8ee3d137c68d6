//! Claims about the homes of the journal: what was acknowledged is read back, what is less than that is refused, and what was interrupted is
//! finished or undone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    dead_code,
    reason = "a test fails by panicking and says what it skipped; fixtures are shared with other suites"
)]

mod backups;
mod faults;
#[path = "../support/faulty.rs"]
mod faulty;
mod fixture;
mod folder;
mod homes;
mod loss;
#[path = "../support/postgres.rs"]
mod postgres;
