//! Simulation: the whole ledger over a disk that is slow, fails, tears groups and loses answers, under a seeded scheduler.
//!
//! `SELFSAME_SIM_SEEDS` sets how many seeds each simulation tries; a failing seed is printed, and `SELFSAME_SIM_SEED` repeats it alone, step by
//! step the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it did"
)]

#[path = "../support/asked.rs"]
mod asked;
#[path = "../support/faulty.rs"]
mod faulty;
mod ledger;
#[path = "../support/proving.rs"]
mod proving;
#[path = "../ledger_conformance/subject.rs"]
#[allow(dead_code, reason = "the conformance suite uses all of it, the simulation some")]
mod subject;

use proving::from_env;

/// Runs a simulation with the seeds that are asked for, or with so many.
fn for_each_seed(count: u64, simulate: impl Fn(u64) + std::panic::RefUnwindSafe) {
    let seeds = match from_env("SELFSAME_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_env("SELFSAME_SIM_SEEDS").unwrap_or(count),
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| simulate(seed));
        assert!(outcome.is_ok(), "seed {seed} fails; repeat it with SELFSAME_SIM_SEED={seed}");
    }
}
