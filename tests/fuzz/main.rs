//! Fuzzing: everything that strangers, disks and people hand over, changed at random. Nothing of it may panic, and what is taken must come back as it was.
//!
//! `cargo test --test fuzz` tries each target a thousand times; by hand: `SELFSAME_FUZZ=1000000 cargo test --release --test fuzz`. What fails is made
//! small and kept in `regressions.txt`, which is tried first. With coverage: `tests/fuzz/guided`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod files;
mod messages;
#[path = "../support/mutated.rs"]
mod mutated;
mod texts;
