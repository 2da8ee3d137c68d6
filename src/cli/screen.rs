//! `selfsame screen`: screens a file of conversions offline, with the core and the engine of the service, and writes the decisions.
//! It must never write to a ledger on disk. `main` calls it.

mod summary;

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;

use self::summary::Summary;
use super::progress;
use super::written::Written;
use crate::adapters::byte_order_mark::Unmarked;
use crate::adapters::model_shelf::ModelShelf;
use crate::adapters::model_store::SHIPPED_MODEL;
use crate::adapters::policy_store::FixedPolicy;
use crate::adapters::standing_rules::StandingRules;
use crate::adapters::{model_file, policy_file};
use crate::book::records::DecisionRecord;
use crate::offline::history_file::{ReadAhead, ReadLine};
use crate::offline::line_by_line::LineByLine;
use crate::screening::audit::AuditKey;
use crate::wire::{decision, v1};

const EXAMPLES: &str = "\
Examples:
  Screen a history and look at the verdicts:
    selfsame screen conversions.jsonl --summary > decisions.jsonl

  See what a changed policy would have decided:
    selfsame screen conversions.jsonl --policy policy.toml --summary -w new.jsonl

  See what another model would have decided:
    selfsame screen conversions.jsonl --model models/shop.json --summary -w /dev/null

  With labels in the file, the summary also states precision and recall:
    selfsame screen labelled.jsonl --summary -w /dev/null

  All evidence, one conversion:
    head -1 conversions.jsonl | selfsame screen --view full - | jq .evidence

Each line is one `selfsame.v1.Conversion` or one `selfsame.v1.LabeledConversion` in the JSON form of protocol buffers;
the first line tells which. Or the file holds `LabeledConversion`s in the binary form, each after its length, or packed,
as `simulate` and `export` write them with --format protobuf and --format packed: both are read faster, the last one most.

Conversions are screened in the order of the file, each with what the lines before it taught, at the time when it
happened. A line that repeats the conversion of an earlier one gets no second decision. Nothing is kept: begin again and
the same decisions come out. Memory holds what history needs of each account and value, and neither lines nor decisions.

Signals that are malformed and not worth a lost conversion (a country `Germany`, an endless user agent) count as absent
or are cut, as in the service, and stand in the decision's `warnings`; --summary counts them.";

/// Screen a file of conversions offline
///
/// Reads one conversion after the other and writes one decision a line: the same evidence, rules and history as the service, without a server.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct ScreenArgs {
    /// File of conversions, one JSON object a line or in the binary form; `-` for standard input
    #[arg(value_name = "FILE")]
    pub input: PathBuf,

    /// File to write instead of standard output; it gets its name when all of it is there
    #[arg(long, short, value_name = "FILE")]
    pub write: Option<PathBuf>,

    /// Policy file; the shipped policy without it
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,

    /// Model file, for policies that score by model; the shipped model without it
    #[arg(long, short, value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// What to write for each conversion
    #[arg(long, value_enum, default_value_t = View::Decision)]
    pub view: View,

    /// What to do with a line that cannot be screened
    #[arg(long, value_enum, default_value_t = OnError::Stop)]
    pub on_error: OnError,

    /// Sum up on standard error: verdicts, reasons, and with labels precision and recall
    #[arg(long)]
    pub summary: bool,
}

/// What is written for each conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum View {
    /// The decision (`selfsame.v1.Decision`)
    Decision,
    /// The decision and all evidence (`selfsame.v1.GetDecisionResponse`)
    Full,
}

/// What happens at a line that cannot be screened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnError {
    /// Stop at the first
    Stop,
    /// Say what is wrong on standard error, leave the line out, and go on
    Skip,
}

/// Input that is read from the file at once, in bytes.
const INPUT_BUFFER_BYTES: usize = 256 << 10;

/// Runs the command.
///
/// # Errors
/// An unreadable input, an unusable policy or model, an unwritable output, or (with `--on-error stop`) a line that cannot be screened.
pub fn run(args: &ScreenArgs) -> anyhow::Result<()> {
    let policy = args.policy.as_deref().map_or_else(policy_file::shipped, policy_file::read)?;
    let (input, bytes) = open(&args.input)?;
    let progress = progress_bar(bytes);
    let inputs = [Some(&args.input), args.policy.as_ref(), args.model.as_ref()];
    let mut out = Written::begin(args.write.as_deref(), &inputs.into_iter().flatten().map(PathBuf::as_path).collect::<Vec<_>>())?;
    let mut errors = io::stderr().lock();
    let model = args.model.as_deref().map_or_else(|| model_file::from_bytes(SHIPPED_MODEL), model_file::read)?;
    let shelf = ModelShelf::default();
    shelf.set_default(Arc::new(model));
    // A fixed key, so that the same decisions come out. A server's picks others for its audits.
    let rules = Arc::new(StandingRules::new(Arc::new(FixedPolicy::new(policy)), Arc::new(shelf), Some(AuditKey::new([0; 32]))));
    let mut screener = LineByLine::new(&*rules);
    let mut summary = Summary::default();
    let mut text = Vec::new();
    for line in ReadAhead::of(BufReader::with_capacity(INPUT_BUFFER_BYTES, progress.wrap_read(input))) {
        let (number, answered) = screen_line(&mut screener, line.context("reading the conversions")?, &mut summary);
        match answered {
            Ok(Some(answer)) => write_answer(&mut out, &mut text, &answer, args.view).context("writing the decisions")?,
            Ok(None) => {}
            Err(problem) => match args.on_error {
                OnError::Stop => {
                    out.flush()?;
                    let left = if out.is_file() { "No file was written" } else { "Nothing after it was screened" };
                    bail!("line {number}: {problem}\n{left}; `--on-error skip` leaves such lines out.");
                }
                OnError::Skip => {
                    summary.skipped();
                    progress.suspend(|| writeln!(errors, "line {number}: {problem}"))?;
                }
            },
        }
    }
    out.keep()?;
    progress.finish_and_clear();
    // The process ends with the command; giving back millions of rows one by one would take longer than a part of the screening did.
    mem::forget(screener);
    if args.summary {
        summary.write(&mut errors)?;
    }
    Ok(())
}

/// What is answered to a line.
struct Answer {
    record: Box<DecisionRecord>,
    /// As the service answers them: the decision's, then those of the line.
    warnings: Vec<v1::Warning>,
}

/// Screens one line, which gets no decision when it repeats another; the error says all that is wrong with it.
fn screen_line(screener: &mut LineByLine<'_>, line: ReadLine, summary: &mut Summary) -> (u64, Result<Option<Answer>, String>) {
    let ReadLine { number, parsed } = line;
    let mut line = match parsed {
        Ok(line) => *line,
        Err(problem) => return (number, Err(problem)),
    };
    let (labels, warnings) = (mem::take(&mut line.labels), mem::take(&mut line.warnings));
    let screened = match screener.screen(line) {
        Ok(screened) => screened,
        Err(error) => return (number, Err(error.to_string())),
    };
    let answer = screened.map(|record| Answer { warnings: decision::all_warnings(&record, &warnings), record });
    match &answer {
        Some(Answer { record, warnings }) => summary.count(record, &labels, warnings),
        None => summary.repeated(),
    }
    (number, Ok(answer))
}

/// Writes what is to be written of one conversion. `text` is a buffer that is used again: the output is not asked for each piece of JSON.
fn write_answer(out: &mut impl Write, text: &mut Vec<u8>, answer: &Answer, view: View) -> anyhow::Result<()> {
    let Answer { record, warnings } = answer;
    // A decision keeps its own warnings only; there is no answer around it here that would hold those of the message.
    let decision = v1::Decision { warnings: warnings.clone(), ..decision::message_of(record) };
    text.clear();
    match view {
        View::Decision => serde_json::to_writer(&mut *text, &decision)?,
        View::Full => {
            let evidence = decision::evidence_messages(&record.decision.evidence);
            let comparable = decision::comparable_messages(&record.decision.comparability);
            let full = v1::GetDecisionResponse { decision: Some(decision), evidence, features: Vec::new(), comparable };
            serde_json::to_writer(&mut *text, &full)?;
        }
    }
    text.push(b'\n');
    out.write_all(text)?;
    Ok(())
}

/// The input with its length in bytes, where that is known.
fn open(path: &Path) -> anyhow::Result<(Box<dyn Read + Send>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(Unmarked::of(io::stdin())), None));
    }
    let file = File::open(path).with_context(|| format!("opening `{}`", path.display()))?;
    let bytes = file.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len());
    Ok((Box::new(Unmarked::of(file)), bytes))
}

/// A bar where the length is known, else what was read.
fn progress_bar(bytes: Option<u64>) -> ProgressBar {
    let template = match bytes {
        Some(_) => "screening {bar:40} {percent:>3} %  {bytes_per_sec}  {eta} left",
        None => "screening {spinner} {bytes} read  {bytes_per_sec}",
    };
    progress::bar(bytes, template)
}

#[cfg(test)]
#[path = "screen/tests.rs"]
mod tests;
