//! Files under libFuzzer.
#![no_main]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a fuzz target fails by panicking")]

use libfuzzer_sys::fuzz_target;

#[path = "../files.rs"]
mod files;
#[path = "../../support/mutated.rs"]
mod mutated;

fuzz_target!(|input: (u8, Vec<mutated::Edit>, Vec<(u8, String)>)| {
    let (which, edits, cells) = input;
    match which % 4 {
        0 => files::policy(&edits),
        1 => files::model(&edits),
        2 => files::history(&(which / 4, edits)),
        _ => files::row(&cells),
    }
});
