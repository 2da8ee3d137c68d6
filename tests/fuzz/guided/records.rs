//! Records of the journal under libFuzzer.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| selfsame::ledger::fuzz_record(bytes));
