//! The commands of the `selfsame` binary, one file each: its arguments, and what it prints. Layer 7.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands speak on the terminal")]

mod client;
pub mod demo;
pub mod digest;
pub mod evaluate;
pub mod export;
pub mod history_input;
mod history_output;
pub mod ledger;
pub mod load;
pub mod model;
pub mod policy;
pub mod queue;
pub mod screen;
pub mod serve;
pub mod simulate;
mod table;
pub mod train;
