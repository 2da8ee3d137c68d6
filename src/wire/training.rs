//! Lines of labelled history between messages and vocabulary: what is exported, replayed and trained on.
//! It must never invent a label or a time. Exports, replay and `screen` call it.

use super::enums::WireEnum;
use super::fields::{Arrival, list, required_enum, required_id, required_time, text, time_message};
use super::violation::{At, Violation, Violations};
use super::{conversion, decision, signals, v1};
use crate::ports::records::LabelledConversion;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::RecordId;
use crate::vocabulary::label::Label;
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

/// Labels of one line.
pub const LABELS_MAX: usize = 64;
/// Outcomes of one line, and records of signals before it.
pub const EVENTS_PER_LINE_MAX: usize = 1_000;
/// The longest group id or persona, in bytes.
pub const GROUP_BYTES_MAX: usize = 128;

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
    pub signals_before: Vec<ObservedSignals>,
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
        }
    }
}

/// Signals that were recorded outside a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSignals {
    /// The id of the record.
    pub record_id: RecordId,
    /// One bundle for each account.
    pub bundles: Vec<SignalBundle>,
    /// When it was learned.
    pub observed_at: Timestamp,
}

/// Reads a line. Its times are history and are not compared with a clock.
///
/// # Errors
/// All violations.
pub fn parse(message: v1::LabeledConversion) -> Result<HistoryLine, Vec<Violation>> {
    let v1::LabeledConversion { conversion: inner, labels, decision, group_id, persona, outcomes, signals_before } = message;
    let mut found = Violations::default();
    let at = At::MESSAGE;
    if inner.is_none() {
        found.add(&at.field("conversion"), "is required");
    }
    let conversion = inner.and_then(|inner| conversion::read(inner, &at.field("conversion"), Arrival::Recorded, &mut found));
    let labels = list(labels, LABELS_MAX, &at.field("labels"), &mut found, label);
    let group_id = text(&group_id, GROUP_BYTES_MAX, &at.field("group_id"), &mut found);
    let persona = text(&persona, GROUP_BYTES_MAX, &at.field("persona"), &mut found);
    let outcomes = list(outcomes, EVENTS_PER_LINE_MAX, &at.field("outcomes"), &mut found, later_outcome);
    let signals_before = list(signals_before, EVENTS_PER_LINE_MAX, &at.field("signals_before"), &mut found, observed_signals);
    let line =
        conversion.map(|conversion| HistoryLine { conversion, labels, decision, group_id, persona, outcomes, signals_before });
    found.into_result(line)
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

fn observed_signals(message: v1::RecordedSignals, at: &At<'_>, found: &mut Violations) -> Option<ObservedSignals> {
    let v1::RecordedSignals { record_id, bundles, observed_at } = message;
    let record_id = required_id(&record_id, &at.field("record_id"), found);
    let bundles = signals::bundles(bundles, &at.field("bundles"), Arrival::Recorded, found);
    let observed_at = required_time(observed_at, &at.field("observed_at"), Arrival::Recorded, found);
    Some(ObservedSignals { record_id: record_id?, bundles, observed_at: observed_at? })
}

/// Writes a line from the ledger. The ledger knows neither groups nor personas, and signals between conversions are not part of it.
#[must_use]
pub fn message_of(labelled: &LabelledConversion) -> v1::LabeledConversion {
    let LabelledConversion { record, labels, resolution: _, outcomes } = labelled;
    let outcome =
        |(kind, at): &(OutcomeKind, Timestamp)| v1::LaterOutcome { kind: kind.to_number(), occurred_at: Some(time_message(*at)) };
    v1::LabeledConversion {
        conversion: Some(conversion::message_of(&record.conversion)),
        labels: labels.iter().map(label_message).collect(),
        decision: Some(decision::message_of(record)),
        group_id: String::new(),
        persona: String::new(),
        outcomes: outcomes.iter().map(outcome).collect(),
        signals_before: Vec::new(),
    }
}

/// Writes a label.
#[must_use]
pub fn label_message(label: &Label) -> v1::Label {
    let Label { truth, source, labeled_at } = label;
    v1::Label { truth: truth.to_number(), source: source.to_number(), labeled_at: Some(time_message(*labeled_at)) }
}
