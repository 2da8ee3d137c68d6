//! What operators rely on, held against a real server: its figures, its log, and the files in `deploy/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod deploy;
mod figures;
mod server;
mod ships;
#[cfg(target_os = "linux")]
mod stops;
mod traces;
mod weight;
