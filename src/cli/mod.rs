//! The commands of the `selfsame` binary, one file each: its arguments, and what it prints. Layer 7.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands speak on the terminal")]

pub mod account;
pub mod act;
mod answer;
pub mod audit;
pub mod bench;
mod client;
pub mod demo;
pub mod digest;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod gateway;
pub mod history_input;
mod history_output;
pub mod hold;
pub mod ledger;
pub mod list;
pub mod manuals;
pub mod mcp;
pub mod model;
mod named;
pub mod outcome;
pub mod payout;
pub mod policy;
pub mod program;
pub mod progress;
pub mod queue;
mod rekey;
pub mod relay;
pub mod screen;
pub mod serve;
pub mod simulate;
mod table;
mod terms;
pub mod token;
pub mod train;
mod written;

/// What went wrong, with its causes. A cause that the sentence before states already is not said again.
#[must_use]
pub fn in_words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use anyhow::Context as _;

    use super::*;
    use crate::adapters::model_file;

    #[test]
    fn a_cause_is_said_once() {
        let missing = model_file::read(std::path::Path::new("/nowhere/model.json")).context("opening the model").unwrap_err();
        let text = in_words(&missing);
        assert!(text.starts_with("opening the model: `/nowhere/model.json` cannot be read"), "{text}");
        assert_eq!(text.matches("os error").count(), 1, "{text}");
        let plain = anyhow::Error::new(io::Error::other("inside")).context("outside");
        assert_eq!(in_words(&plain), "outside: inside");
    }
}

/// An error that was told already, where whoever reads the output expects it; the process only ends with it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AlreadyTold(pub String);
