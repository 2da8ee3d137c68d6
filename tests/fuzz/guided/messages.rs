//! Messages under libFuzzer.
#![no_main]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a fuzz target fails by panicking")]

use libfuzzer_sys::fuzz_target;

#[path = "../messages.rs"]
mod messages;
#[path = "../../support/mutated.rs"]
mod mutated;

fuzz_target!(|input: (Vec<messages::Call>, Vec<(u8, u8)>)| {
    messages::through_the_book(&input.0);
    messages::again(&input.1);
});
