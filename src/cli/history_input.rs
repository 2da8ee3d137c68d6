//! Where `train` and `evaluate` take their data from: labelled lines, or other people's CSV with a mapping; replayed to a matrix.
//!
//! Only files, arguments and progress; what is done with them is in `offline`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use rand::RngCore;

use crate::adapters::ledger::{Keeping, MemoryLedger};
use crate::adapters::policy_file;
use crate::offline::foreign;
use crate::offline::learning::matrix::Matrix;
use crate::offline::replay::{LabelRule, Recorder, replay};
use crate::vocabulary::time::Timestamp;
use crate::wire::training::{HistoryLine, parse};
use crate::wire::v1;

/// The form of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InputForm {
    /// One `LabeledConversion` a line, as `simulate` and `export --labels` write.
    Jsonl,
    /// Other people's CSV with a header; needs `--mapping`.
    Csv,
}

/// Where the data come from.
#[derive(Debug, Args)]
pub(super) struct HistoryInput {
    /// Labelled conversions to replay
    #[arg(long, short, value_name = "FILE")]
    pub(super) input: PathBuf,

    /// The form of the input
    #[arg(long, value_enum, default_value_t = InputForm::Jsonl)]
    pub(super) format: InputForm,

    /// TOML file that says which CSV column is what; see datasets/mappings
    #[arg(long, value_name = "FILE", required_if_eq("format", "csv"))]
    pub(super) mapping: Option<PathBuf>,

    /// Policy whose rules decide during the replay; the shipped policy without it
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,

    /// Use only labels that were known by this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    pub(super) known_by: Option<jiff::Timestamp>,
}

impl HistoryInput {
    /// What the data are, in a line, without folders.
    #[must_use]
    pub(super) fn name(&self) -> String {
        self.input.file_name().map_or_else(|| "data".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// Reads and replays the input.
    ///
    /// # Errors
    /// When a file cannot be read, a line is wrong (the message names it), or nothing is labelled.
    pub(super) fn matrix(&self) -> anyhow::Result<Matrix> {
        let lines = self.lines()?;
        let policy = match &self.policy {
            Some(path) => policy_file::read(path)?,
            None => policy_file::shipped()?,
        };
        let recorder = Recorder::new(policy);
        let ledger = MemoryLedger::keeping(recorder.clone(), Keeping::StateOnly);
        let known_by = self.known_by.map(|time| Timestamp::from_millis(time.as_millisecond())).transpose();
        let rule = LabelRule { known_by: known_by.context("`--known-by`")?, ..LabelRule::default() };
        let bar = progress_bar("replaying", lines.len());
        let matrix = replay(&lines, &ledger, &recorder, &rule, &mut |done| {
            if done % 256 == 0 {
                bar.set_position(done as u64);
            }
        })?;
        bar.finish_and_clear();
        if matrix.is_empty() {
            bail!("no line of `{}` has a label that was known in time", self.input.display());
        }
        Ok(matrix)
    }

    fn lines(&self) -> anyhow::Result<Vec<HistoryLine>> {
        let file = File::open(&self.input).with_context(|| format!("cannot read `{}`", self.input.display()))?;
        match (self.format, &self.mapping) {
            (InputForm::Jsonl, _) => jsonl(BufReader::new(file)),
            (InputForm::Csv, Some(mapping)) => {
                let mapping = foreign::read_mapping(mapping)?;
                let mut key = [0; 32];
                rand::rngs::OsRng.try_fill_bytes(&mut key).context("no randomness for the key of this run")?;
                Ok(foreign::read_csv(file, &mapping, &key)?)
            }
            (InputForm::Csv, None) => bail!("`--format csv` needs `--mapping`"),
        }
    }
}

fn jsonl(reader: impl BufRead) -> anyhow::Result<Vec<HistoryLine>> {
    let mut lines = Vec::new();
    for (number, text) in (1..).zip(reader.lines()) {
        let text = text.context("the input cannot be read")?;
        if text.trim().is_empty() {
            continue;
        }
        let message: v1::LabeledConversion =
            serde_json::from_str(&text).with_context(|| format!("line {number} is not a `LabeledConversion`"))?;
        let line = parse(message).map_err(|found| {
            let named: Vec<String> = found.iter().take(5).map(ToString::to_string).collect();
            anyhow::anyhow!("line {number}: {}", named.join("; "))
        })?;
        lines.push(line);
    }
    Ok(lines)
}

/// A bar for a known number of steps.
pub(super) fn progress_bar(what: &str, steps: usize) -> ProgressBar {
    let bar = ProgressBar::new(steps as u64).with_message(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{msg:12} {wide_bar} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar
}

/// A spinner for work of unknown length.
pub(super) fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}
