//! The commands of the `selfsame` binary, one file each: its arguments, and what it prints. Layer 7.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands speak on the terminal")]

pub mod digest;
pub mod ledger;
pub mod load;
pub mod policy;
pub mod simulate;
