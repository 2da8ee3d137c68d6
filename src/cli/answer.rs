//! How commands show an answer: as tables for people, as JSON, or as CSV. One flag for all of them.

mod colour;
mod flat;

use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// How the answer is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Args)]
pub struct AnswerArgs {
    /// How to show the answer
    #[arg(long, short, env = "SELFSAME_OUTPUT", value_enum, default_value_t, value_name = "FORM", global = true)]
    pub output: AnswerForm,
}

/// How an answer is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum AnswerForm {
    /// Text for people
    #[default]
    Table,
    /// The answer as the API defines it, one JSON object in a line
    Json,
    /// One row for each item of the answer's list, or one for the answer; a column for each field that some row has
    Csv,
}

/// Prints an answer. `text` says it for people.
///
/// # Errors
/// When it cannot be written.
pub(super) fn print<M: Serialize>(form: AnswerForm, answer: &M, text: impl FnOnce(&M) -> String) -> anyhow::Result<()> {
    match form {
        AnswerForm::Table => writeln!(anstream::stdout().lock(), "{}", colour::coloured(text(answer).trim_end()))?,
        AnswerForm::Json => writeln!(std::io::stdout().lock(), "{}", serde_json::to_string(answer)?)?,
        AnswerForm::Csv => std::io::stdout().lock().write_all(flat::csv(serde_json::to_value(answer)?)?.as_bytes())?,
    }
    Ok(())
}
