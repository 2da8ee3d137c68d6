//! The relay as a process of its own beside a real server: what receivers and streams get when processes are killed, receivers refuse, and disks are lost.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it leaves out"
)]
#![cfg(unix)]

mod nats;
mod receiver;
#[path = "../support/mod.rs"]
mod support;
mod webhooks;
mod world;
