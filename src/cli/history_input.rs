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
use crate::vocabulary::label::LabelSource;
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

    /// Whose labels count, the most trusted first: where several labelled one conversion, the first of these is believed
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SOURCE")]
    #[arg(default_values = ["owner-report", "reviewer", "simulated", "chargeback"])]
    pub(super) label_sources: Vec<Source>,
}

/// Who labelled, as it is written on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Source {
    /// The owner of the programme reported it.
    OwnerReport,
    /// A reviewer resolved the case.
    Reviewer,
    /// A simulator made the referral and knows.
    Simulated,
    /// The charge was disputed or refunded: the weakest, because honest people ask for their money back too.
    Chargeback,
}

impl From<Source> for LabelSource {
    fn from(source: Source) -> Self {
        match source {
            Source::OwnerReport => Self::OwnerReport,
            Source::Reviewer => Self::Reviewer,
            Source::Simulated => Self::Simulated,
            Source::Chargeback => Self::Chargeback,
        }
    }
}

impl HistoryInput {
    /// What the data are, in a line, without folders.
    #[must_use]
    pub(super) fn name(&self) -> String {
        self.input.file_name().map_or_else(|| "data".to_owned(), |name| name.to_string_lossy().into_owned())
    }

    /// The flags beside `--input` that were given, with what was given; files without their folders.
    #[must_use]
    pub(super) fn changed_flags(&self) -> Vec<(&'static str, String)> {
        let Self { input: _, format, mapping, policy, known_by, label_sources } = self;
        let file = |path: &PathBuf| path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let format = (*format == InputForm::Csv).then(|| ("format", "csv".to_owned()));
        let mapping = mapping.as_ref().map(|path| ("mapping", file(path)));
        let policy = policy.as_ref().map(|path| ("policy", file(path)));
        let known_by = known_by.map(|time| ("known-by", time.to_string()));
        let sources: Vec<LabelSource> = label_sources.iter().copied().map(LabelSource::from).collect();
        let names = label_sources.iter().filter_map(|source| Some(source.to_possible_value()?.get_name().to_owned()));
        let sources = (sources != LabelRule::default().sources).then(|| ("label-sources", names.collect::<Vec<_>>().join(",")));
        [format, mapping, policy, known_by, sources].into_iter().flatten().collect()
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
        let sources = self.label_sources.iter().copied().map(LabelSource::from).collect();
        let rule = LabelRule { known_by: known_by.context("`--known-by`")?, sources };
        let bar = progress_bar("replaying", lines.len());
        let matrix = replay(&lines, &ledger, &recorder, &rule, &mut |done| {
            if done % 256 == 0 {
                bar.set_position(done as u64);
            }
        })?;
        bar.finish_and_clear();
        if matrix.is_empty() {
            let found = match (lines.len(), lines.iter().filter(|line| !line.labels.is_empty()).count()) {
                (0, _) => "it holds no line",
                (_, 0) => "none of its lines has a label",
                _ => "none of its labels is of `--label-sources` and was known by `--known-by`",
            };
            bail!("nothing to learn from in `{}`: {found}", self.input.display());
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

/// A share of something, neither nothing nor all.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| "it must be a number above 0 and below 1".to_owned())
}

/// A number above zero.
pub(super) fn above_zero(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| "it must be a number above 0".to_owned())
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

#[cfg(test)]
#[path = "history_input/tests.rs"]
mod tests;
