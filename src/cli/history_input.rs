//! Where `train` and `evaluate` take their data from: labelled lines, or other people's CSV with a mapping; replayed to a matrix.
//!
//! Only files, arguments and progress; what is done with them is in `offline`.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use rand::RngCore;

use super::progress;
use crate::adapters::byte_order_mark::Unmarked;
use crate::adapters::policy_file;
use crate::offline::foreign;
use crate::offline::history_file::{Horizon, ReadAhead, ReadLine};
use crate::offline::learning::matrix::Matrix;
use crate::offline::replay::{LabelRule, Recorder, Replay};
use crate::vocabulary::label::LabelSource;
use crate::vocabulary::time::Timestamp;
use crate::wire::training::HistoryLine;

/// The form of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InputForm {
    /// One `LabeledConversion` a line, or these in the binary form, as `simulate` and `export --labels` write. The first bytes tell which.
    Jsonl,
    /// Other people's CSV with a header; needs `--mapping`.
    Csv,
}

/// Where the data come from.
#[derive(Debug, Args)]
pub(super) struct HistoryInput {
    /// Labelled conversions to replay; `-` for standard input
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
    #[arg(default_values = ["owner-report", "reviewer", "simulated"])]
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
    /// The charge was disputed or refunded: not believed unless it is asked for, because honest people ask for their money back too.
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

    /// The files that are read.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let more = [&self.mapping, &self.policy].into_iter().flatten();
        std::iter::once(&self.input).chain(more).map(PathBuf::as_path)
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
        let policy = match &self.policy {
            Some(path) => policy_file::read(path)?,
            None => policy_file::shipped()?,
        };
        let recorder = Recorder::new(policy);
        let known_by = self.known_by.map(|time| Timestamp::from_millis(time.as_millisecond())).transpose();
        let sources = self.label_sources.iter().copied().map(LabelSource::from).collect();
        let rule = LabelRule { known_by: known_by.context("`--known-by`")?, sources };
        let mut replay = Replay::new(&*recorder, &recorder, &rule)?;
        let read = match (self.format, &self.mapping) {
            (InputForm::Jsonl, None) => self.replay_history(&mut replay)?,
            (InputForm::Jsonl, Some(_)) => bail!("`--mapping` goes with `--format csv`; say so, or leave the mapping out"),
            (InputForm::Csv, Some(mapping)) => self.replay_csv(mapping, &mut replay)?,
            (InputForm::Csv, None) => bail!("`--format csv` needs `--mapping`"),
        };
        let matrix = replay.finish()?;
        if matrix.is_empty() {
            let found = match read {
                Read { lines: 0, .. } => "it holds no line",
                Read { labelled: 0, .. } => "none of its lines has a label",
                Read { .. } => {
                    "none of its labels is of `--label-sources` and was known by `--known-by` (refunds and disputes count only with \
                                      `--label-sources chargeback`)"
                }
            };
            bail!("nothing to learn from in `{}`: {found}", self.input.display());
        }
        Ok(matrix)
    }

    /// Replays a history while it is read. It is looked through for its times first, so that a line is gone once it was played; what is no file
    /// and comes only once stays in memory until all of it is there.
    fn replay_history(&self, replay: &mut Replay<'_>) -> anyhow::Result<Read> {
        let (input, reading) = self.open()?;
        let horizon = match reading {
            Reading::AsOftenAsWanted => {
                let (input, _) = self.open()?;
                let input = BufReader::with_capacity(INPUT_BUFFER_BYTES, input);
                Some(Horizon::of(input).context("the input cannot be read")?)
            }
            Reading::Once => None,
        };
        let bar = progress_bar("replaying", horizon.as_ref().map_or(0, Horizon::lines));
        let mut read = Read::default();
        for line in ReadAhead::of(BufReader::with_capacity(INPUT_BUFFER_BYTES, input)) {
            let ReadLine { number, parsed } = line.context("the input cannot be read")?;
            read.add(replay, *parsed.map_err(|problem| anyhow::anyhow!("line {number}: {problem}"))?)?;
            if let Some(instant) = horizon.as_ref().and_then(|horizon| horizon.after(read.lines)) {
                replay.play_before(instant)?;
            }
            bar.set_position(read.lines as u64);
        }
        bar.finish_and_clear();
        Ok(read)
    }

    fn replay_csv(&self, mapping: &Path, replay: &mut Replay<'_>) -> anyhow::Result<Read> {
        let mapping = foreign::read_mapping(mapping)?;
        let mut key = [0; 32];
        rand::rngs::OsRng.try_fill_bytes(&mut key).context("no randomness for the key of this run")?;
        let mut read = Read::default();
        for line in foreign::read_csv(self.open()?.0, &mapping, &key)? {
            read.add(replay, line)?;
        }
        Ok(read)
    }

    fn open(&self) -> anyhow::Result<(Box<dyn io::Read + Send>, Reading)> {
        if self.input == Path::new("-") {
            return Ok((Box::new(Unmarked::of(io::stdin())), Reading::Once));
        }
        let file = File::open(&self.input).with_context(|| format!("cannot read `{}`", self.input.display()))?;
        let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
        Ok((Box::new(Unmarked::of(file)), if is_file { Reading::AsOftenAsWanted } else { Reading::Once }))
    }
}

/// How often an input can be read from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// It is a file.
    AsOftenAsWanted,
    /// It is a pipe, a terminal, or standard input, whatever stands behind that.
    Once,
}

/// Input that is read from the file at once, in bytes.
const INPUT_BUFFER_BYTES: usize = 256 << 10;

/// What was read.
#[derive(Default)]
struct Read {
    lines: usize,
    labelled: usize,
}

impl Read {
    fn add(&mut self, replay: &mut Replay<'_>, line: HistoryLine) -> anyhow::Result<()> {
        self.lines += 1;
        self.labelled += usize::from(!line.labels.is_empty());
        Ok(replay.add(line)?)
    }
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
    progress::bar(Some(steps as u64), "{msg:12} {wide_bar} {pos}/{len} {eta}").with_message(what.to_owned())
}

#[cfg(test)]
#[path = "history_input/tests.rs"]
mod tests;
