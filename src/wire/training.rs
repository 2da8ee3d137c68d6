//! Lines of labelled history between messages and vocabulary: what is exported, replayed and trained on.
//! It must never invent a label or a time. Exports, replay and `screen` call it.

use prost::Message as _;

use super::cursor::optional_cursor;
use super::enums::WireEnum;
use super::feed::AFTER_CURSOR;
use super::fields::{Arrival, list, required_enum, required_id, required_time, text, time_message};
use super::violation::{At, Violation, Violations};
use super::{bundle, conversion, decision, signals, v1};
use crate::book::cursor::FeedCursor;
use crate::book::records::{LabelledConversion, LaterVerdict, RecordedSignals};
use crate::screening::warning::Warning;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::label::Label;
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

/// Labels of one line.
pub const LABELS_MAX: usize = 64;
/// Outcomes of one line.
pub const OUTCOMES_MAX: usize = 1_000;
/// Later verdicts of one line.
pub const LATER_VERDICTS_MAX: usize = 1_000;
/// Records of signals before one line: what all accounts of a programme sent between two conversions.
pub const SIGNALS_MAX: usize = 100_000;
/// The longest group id or persona, in bytes.
pub const GROUP_BYTES_MAX: usize = 128;

/// Reads which export is wanted: the programme, and the cursor after which it goes on.
///
/// # Errors
/// All violated fields.
pub fn wanted(message: v1::ExportConversionsRequest) -> Result<(ProgramId, Option<FeedCursor>), Vec<Violation>> {
    let v1::ExportConversionsRequest { program_id, after_cursor } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let after = optional_cursor(&after_cursor, &At::path(AFTER_CURSOR), &mut found);
    found.into_result(program_id.map(|program_id| (program_id, after)))
}

/// The messages of one line: signals that would make it larger than so many bytes go before it, in messages of their own.
#[must_use]
pub fn export_messages(labelled: &LabelledConversion, bytes_max: usize) -> Vec<v1::ExportConversionsResponse> {
    let mut line = message_of(labelled);
    let mut messages = Vec::new();
    if line.encoded_len() > bytes_max {
        let mut part = v1::ExportConversionsResponse::default();
        let mut bytes = 0;
        for v1::RecordedSignals { record_id, bundles, observed_at } in std::mem::take(&mut line.signals_before) {
            for bundle in bundles {
                let length = bundle.encoded_len() + record_id.len() + 64;
                if bytes + length > bytes_max && bytes > 0 {
                    messages.push(std::mem::take(&mut part));
                    bytes = 0;
                }
                bytes += length;
                let signals = v1::RecordedSignals { record_id: record_id.clone(), bundles: vec![bundle], observed_at };
                join_signals(&mut part.signals_before, signals);
            }
        }
        messages.push(part);
    }
    let (cursor, conversion) = (labelled.record.cursor.to_string(), Some(line));
    messages.push(v1::ExportConversionsResponse { cursor, conversion, signals_before: Vec::new() });
    messages
}

/// Adds signals behind others; what continues the last record is joined to it.
pub fn join_signals(all: &mut Vec<v1::RecordedSignals>, mut more: v1::RecordedSignals) {
    match all.last_mut() {
        Some(last) if last.record_id == more.record_id => last.bundles.append(&mut more.bundles),
        Some(_) | None => all.push(more),
    }
}

/// One line of labelled history.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryLine {
    /// The conversion, as it was sent.
    pub conversion: Conversion,
    /// What is known of the truth, in the order of the line. Empty means that nothing is known.
    pub labels: Vec<Label>,
    /// What was decided then, as a message: for comparison, never for training. Absent when it was never screened.
    pub decision: Option<v1::Decision>,
    /// Lines of one group are never split between fitting and testing. Empty means a group of its own.
    pub group_id: Box<str>,
    /// The kind of people behind it, for evaluation only. Empty means unknown.
    pub persona: Box<str>,
    /// What happened later, in the order of the line.
    pub outcomes: Vec<(OutcomeKind, Timestamp)>,
    /// What was learned of any account before the conversion and after the line before.
    pub signals_before: Vec<RecordedSignals>,
    /// What the machine said of the conversion later, in the order of the line.
    pub later_verdicts: Vec<LaterVerdict>,
    /// Soft signals that were cut or counted as absent when the line was read. A packed conversion has none: it was packed after it was read.
    pub warnings: Vec<Warning>,
}

impl HistoryLine {
    /// A line that holds nothing but the conversion.
    #[must_use]
    pub fn of_conversion(conversion: Conversion) -> Self {
        Self {
            conversion,
            labels: Vec::new(),
            decision: None,
            group_id: "".into(),
            persona: "".into(),
            outcomes: Vec::new(),
            signals_before: Vec::new(),
            later_verdicts: Vec::new(),
            warnings: Vec::new(),
        }
    }
}

/// Reads a line. Its times are history and are not compared with a clock.
///
/// # Errors
/// All violations.
pub fn parse(mut message: v1::LabeledConversion) -> Result<HistoryLine, Vec<Violation>> {
    let mut found = Violations::default();
    let at = At::MESSAGE;
    let inner = message.conversion.take();
    if inner.is_none() {
        found.add(&at.field("conversion"), "is required");
    }
    let conversion = inner.and_then(|inner| conversion::read(inner, &at.field("conversion"), Arrival::Recorded, &mut found));
    line_of(conversion, message, found)
}

/// Reads a line whose conversion is known from elsewhere: what the message says of one is passed over.
///
/// # Errors
/// All violations.
pub fn parse_beside(conversion: Conversion, message: v1::LabeledConversion) -> Result<HistoryLine, Vec<Violation>> {
    line_of(Some(conversion), message, Violations::default())
}

fn line_of(
    conversion: Option<Conversion>,
    message: v1::LabeledConversion,
    mut found: Violations,
) -> Result<HistoryLine, Vec<Violation>> {
    let v1::LabeledConversion { conversion: _, labels, decision, group_id, persona, outcomes, signals_before, later_verdicts } =
        message;
    let at = At::MESSAGE;
    let labels = list(labels, LABELS_MAX, &at.field("labels"), &mut found, label);
    let group_id = text(&group_id, GROUP_BYTES_MAX, &at.field("group_id"), &mut found);
    let persona = text(&persona, GROUP_BYTES_MAX, &at.field("persona"), &mut found);
    let outcomes = list(outcomes, OUTCOMES_MAX, &at.field("outcomes"), &mut found, later_outcome);
    let signals_before = list(signals_before, SIGNALS_MAX, &at.field("signals_before"), &mut found, observed_signals);
    let later_verdicts = list(later_verdicts, LATER_VERDICTS_MAX, &at.field("later_verdicts"), &mut found, later_verdict);
    let line = conversion.map(|conversion| HistoryLine {
        conversion,
        labels,
        decision,
        group_id,
        persona,
        outcomes,
        signals_before,
        later_verdicts,
        warnings: Vec::new(),
    });
    found.into_warned(line).map(|(line, warnings)| HistoryLine { warnings, ..line })
}

/// Reads a label and notes what is wrong.
pub fn label(message: v1::Label, at: &At<'_>, found: &mut Violations) -> Option<Label> {
    let v1::Label { truth, source, labeled_at } = message;
    let truth = required_enum(truth, &at.field("truth"), found);
    let source = required_enum(source, &at.field("source"), found);
    let labeled_at = required_time(labeled_at, &at.field("labeled_at"), Arrival::Recorded, found);
    Some(Label { truth: truth?, source: source?, labeled_at: labeled_at? })
}

fn later_outcome(message: v1::LaterOutcome, at: &At<'_>, found: &mut Violations) -> Option<(OutcomeKind, Timestamp)> {
    let v1::LaterOutcome { kind, occurred_at } = message;
    let kind = required_enum(kind, &at.field("kind"), found);
    let occurred_at = required_time(occurred_at, &at.field("occurred_at"), Arrival::Recorded, found);
    kind.zip(occurred_at)
}

fn later_verdict(message: v1::LaterVerdict, at: &At<'_>, found: &mut Violations) -> Option<LaterVerdict> {
    let v1::LaterVerdict { verdict, screened_verdict, decided_at } = message;
    let verdict = required_enum(verdict, &at.field("verdict"), found);
    let machine = required_enum(screened_verdict, &at.field("screened_verdict"), found);
    let decided_at = required_time(decided_at, &at.field("decided_at"), Arrival::Recorded, found);
    Some(LaterVerdict { verdict: verdict?, machine: machine?, at: decided_at? })
}

fn observed_signals(message: v1::RecordedSignals, at: &At<'_>, found: &mut Violations) -> Option<RecordedSignals> {
    let v1::RecordedSignals { record_id, bundles, observed_at } = message;
    let record_id = required_id(&record_id, &at.field("record_id"), found);
    let bundles = signals::bundles(bundles, &at.field("bundles"), Arrival::Recorded, found);
    let observed_at = required_time(observed_at, &at.field("observed_at"), Arrival::Recorded, found);
    Some(RecordedSignals { record_id: record_id?, bundles, observed_at: observed_at? })
}

/// Writes a line from the ledger. The ledger knows neither groups nor personas.
#[must_use]
pub fn message_of(labelled: &LabelledConversion) -> v1::LabeledConversion {
    let LabelledConversion { record, labels, resolution: _, outcomes, signals_before, later_verdicts } = labelled;
    let outcome =
        |(kind, at): &(OutcomeKind, Timestamp)| v1::LaterOutcome { kind: kind.to_number(), occurred_at: Some(time_message(*at)) };
    v1::LabeledConversion {
        conversion: Some(conversion::message_of(&record.conversion)),
        labels: labels.iter().map(label_message).collect(),
        decision: Some(decision::message_of(record)),
        group_id: String::new(),
        persona: String::new(),
        outcomes: outcomes.iter().map(outcome).collect(),
        signals_before: signals_before.iter().map(signals_message).collect(),
        later_verdicts: later_verdicts.iter().map(later_verdict_message).collect(),
    }
}

fn later_verdict_message(later: &LaterVerdict) -> v1::LaterVerdict {
    let LaterVerdict { verdict, machine, at } = *later;
    v1::LaterVerdict { verdict: verdict.to_number(), screened_verdict: machine.to_number(), decided_at: Some(time_message(at)) }
}

fn signals_message(signals: &RecordedSignals) -> v1::RecordedSignals {
    let RecordedSignals { record_id, bundles, observed_at } = signals;
    v1::RecordedSignals {
        record_id: record_id.to_string(),
        bundles: bundles.iter().map(bundle::message_of).collect(),
        observed_at: Some(time_message(*observed_at)),
    }
}

/// Writes a label.
#[must_use]
pub fn label_message(label: &Label) -> v1::Label {
    let Label { truth, source, labeled_at } = label;
    v1::Label { truth: truth.to_number(), source: source.to_number(), labeled_at: Some(time_message(*labeled_at)) }
}
