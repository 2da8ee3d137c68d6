//! Texts under libFuzzer.
#![no_main]
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a fuzz target fails by panicking")]

use libfuzzer_sys::fuzz_target;

#[path = "../texts.rs"]
mod texts;
#[path = "../../support/mutated.rs"]
mod mutated;

fuzz_target!(|input: (bool, String, Vec<u8>, Vec<mutated::Edit>)| {
    let (free, text, bytes, edits) = input;
    texts::json(&edits);
    texts::page_token(&(text.clone(), bytes));
    texts::cursor(&(free, text, edits));
});
