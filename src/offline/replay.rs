//! Replay: a labelled history goes once more through the engine that serves live traffic, and every conversion's features are taken at the
//! moment at which they would have been.
//!
//! The ledger calls the [`Recorder`] as its assessor, inside its serial order and before the conversion is applied, exactly as it calls the
//! live one; so features are point in time by construction and equal the live ones bit for bit. Labels never enter the history; reviewers'
//! verdicts on cases do, at their own time. Nothing here reads a clock. `train`, `evaluate` and the parity test call it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::executor::block_on;
use parking_lot::Mutex;

use super::grouping;
use super::learning::matrix::{Matrix, Row};
use crate::ports::ledger::{Assessor, CaseCommand, CaseStep, Ledger, LedgerError, OutcomeCommand, ScreenCommand, SignalsCommand};
use crate::ports::records::ContentFingerprint;
use crate::screening::audit::AuditKey;
use crate::screening::case::{Resolution, Step};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::features::FeatureVector;
use crate::screening::history::History;
use crate::screening::policy::Policy;
use crate::screening::{Models, Rulebook, assess};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{Actor, ConversionId, InvalidId, ProgramId, RecordId};
use crate::vocabulary::label::{Label, LabelSource, Truth};
use crate::vocabulary::outcome::{Outcome, OutcomeSubject};
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::enums::WireEnum as _;
use crate::wire::training::HistoryLine;

/// Why a history cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The ledger refused an event.
    #[error("the event of `{id}` cannot be replayed: {source}")]
    Refused {
        /// The conversion or record.
        id: String,
        /// What the ledger said.
        source: LedgerError,
    },
    /// An id that replay makes is none.
    #[error(transparent)]
    Id(#[from] InvalidId),
}

/// What the rules alone made of a conversion, with the features that a model would have seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The features.
    pub features: FeatureVector,
    /// The rules' score. Range: [0, 1].
    pub rule_score: f64,
    /// The rules' verdict.
    pub rule_verdict: Verdict,
}

/// An assessor that decides as was decided then, or by rules alone where that is not told, and remembers what it saw.
///
/// Verdicts are part of the history that later conversions are screened with (how many of a referrer's were rejected), so a history that was
/// decided by a model is replayed with the model's verdicts and not with the rules'.
#[derive(Debug)]
pub struct Recorder {
    policy: Policy,
    decided_then: Mutex<BTreeMap<(ProgramId, ConversionId), Verdict>>,
    recorded: Mutex<BTreeMap<(ProgramId, ConversionId), Recorded>>,
}

impl Recorder {
    /// A recorder that decides by the rules of this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Arc<Self> {
        let policy = policy.scored_by_rules();
        Arc::new(Self { policy, decided_then: Mutex::default(), recorded: Mutex::default() })
    }

    /// Tells what was decided of a conversion when it happened.
    fn decide_as_then(&self, conversion: &Conversion, verdict: Verdict) {
        self.decided_then.lock().insert(key(conversion), verdict);
    }

    /// What was recorded of a conversion, once.
    #[must_use]
    pub fn take(&self, conversion: &Conversion) -> Option<Recorded> {
        self.recorded.lock().remove(&key(conversion))
    }
}

impl Assessor for Recorder {
    fn assess(&self, conversion: &Conversion, history: &History, now: Timestamp) -> Decision {
        let rulebook = Rulebook { policy: &self.policy, models: Models::default(), audit_key: &AuditKey::new([0; 32]) };
        let decision = assess(conversion, history, rulebook, now);
        let recorded = Recorded { features: decision.features(), rule_score: decision.score, rule_verdict: decision.verdict };
        self.recorded.lock().insert(key(conversion), recorded);
        let decided_then = self.decided_then.lock().remove(&key(conversion));
        Decision { verdict: decided_then.unwrap_or(decision.verdict), ..decision }
    }

    fn due_after(&self, _program: &ProgramId) -> Span {
        self.policy.review().due_after
    }
}

fn key(conversion: &Conversion) -> (ProgramId, ConversionId) {
    (conversion.program_id.clone(), conversion.conversion_id.clone())
}

/// Which labels count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelRule {
    /// Labels that became known later are not seen; absent for all.
    pub known_by: Option<Timestamp>,
    /// Sources that count, the most trusted first.
    pub sources: Vec<LabelSource>,
}

impl Default for LabelRule {
    /// The owner knows best, then a reviewer who looked, then a simulator. A refund or dispute alone is the weakest: honest people ask for
    /// their money back too.
    fn default() -> Self {
        let sources = vec![LabelSource::OwnerReport, LabelSource::Reviewer, LabelSource::Simulated, LabelSource::Chargeback];
        Self { known_by: None, sources }
    }
}

impl LabelRule {
    /// The label that counts: the newest of the most trusted source that was known in time.
    #[must_use]
    pub fn choose<'l>(&self, labels: &'l [Label]) -> Option<&'l Label> {
        let in_time = |label: &&Label| self.known_by.is_none_or(|date| label.labeled_at <= date);
        self.sources.iter().find_map(|source| {
            labels.iter().filter(in_time).filter(|label| label.source == *source).max_by_key(|label| label.labeled_at)
        })
    }
}

/// What happens in a history, in the order of one instant: signals are learned, conversions screened, then what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Signals { line: usize, entry: usize },
    Conversion { line: usize },
    Outcome { line: usize, entry: usize },
    Review { line: usize },
}

/// Replays a history and gives a row for each conversion with a label that counts. `progress` hears how many conversions are done.
///
/// `ledger` must be empty and call `recorder` as its assessor.
///
/// # Errors
/// [`ReplayError`] names the event that could not be replayed.
pub fn replay(
    lines: &[HistoryLine],
    ledger: &dyn Ledger,
    recorder: &Recorder,
    rule: &LabelRule,
    progress: &mut dyn FnMut(usize),
) -> Result<Matrix, ReplayError> {
    let groups = grouping::groups(lines);
    let mut player = Player { lines, ledger, cases: BTreeMap::new(), reviewer: Actor::new("replay")? };
    let mut matrix = Matrix::default();
    let mut done = 0;
    for (at, moment) in timeline(lines) {
        match moment {
            Moment::Signals { line, entry } => player.learn(line, entry)?,
            Moment::Outcome { line, entry } => player.outcome(line, entry)?,
            Moment::Review { line } => player.review(line, at)?,
            Moment::Conversion { line } => {
                let decided = lines[line].decision.as_ref();
                if let Some(verdict) = decided.and_then(|decided| Verdict::from_wire(decided.screened_verdict())) {
                    recorder.decide_as_then(&lines[line].conversion, verdict);
                }
                player.screen(line)?;
                let HistoryLine { conversion, labels, persona, .. } = &lines[line];
                if let (Some(recorded), Some(label)) = (recorder.take(conversion), rule.choose(labels)) {
                    let Recorded { features, rule_score, rule_verdict } = recorded;
                    matrix.push(Row {
                        features,
                        truth: label.truth,
                        source: label.source,
                        labeled_at: label.labeled_at,
                        group: groups[line].clone(),
                        occurred_at: conversion.occurred_at,
                        persona: persona.clone(),
                        rule_score,
                        rule_verdict,
                    });
                }
                done += 1;
                progress(done);
            }
        }
    }
    Ok(matrix)
}

fn timeline(lines: &[HistoryLine]) -> Vec<(Timestamp, Moment)> {
    let mut moments = Vec::with_capacity(lines.len() * 2);
    for (line, HistoryLine { conversion, labels, outcomes, signals_before, .. }) in lines.iter().enumerate() {
        moments.push((conversion.occurred_at, Moment::Conversion { line }));
        moments.extend(
            signals_before.iter().enumerate().map(|(entry, signals)| (signals.observed_at, Moment::Signals { line, entry })),
        );
        moments.extend(
            outcomes
                .iter()
                .enumerate()
                .map(|(entry, (_, at))| ((*at).max(conversion.occurred_at), Moment::Outcome { line, entry })),
        );
        if let Some(label) = reviewed(labels) {
            moments.push((label.labeled_at.max(conversion.occurred_at), Moment::Review { line }));
        }
    }
    moments.sort_unstable();
    moments
}

/// The label that closes a case: a reviewer's, or in a simulated programme the simulator's in place of one.
fn reviewed(labels: &[Label]) -> Option<&Label> {
    let of = |source| labels.iter().filter(move |label| label.source == source).max_by_key(|label| label.labeled_at);
    of(LabelSource::Reviewer).or_else(|| of(LabelSource::Simulated))
}

struct Player<'a> {
    lines: &'a [HistoryLine],
    ledger: &'a dyn Ledger,
    cases: BTreeMap<usize, crate::vocabulary::ids::CaseId>,
    reviewer: Actor,
}

impl Player<'_> {
    fn screen(&mut self, line: usize) -> Result<(), ReplayError> {
        let conversion = self.lines[line].conversion.clone();
        let id = conversion.conversion_id.clone();
        let received_at = conversion.occurred_at;
        let content = fingerprint("conversion", id.as_str(), line);
        let screened =
            block_on(self.ledger.screen(ScreenCommand { conversion, content, received_at })).map_err(refused(id.as_str()))?;
        if let Some(case) = screened.record.case_id {
            self.cases.insert(line, case);
        }
        Ok(())
    }

    fn learn(&self, line: usize, entry: usize) -> Result<(), ReplayError> {
        let HistoryLine { conversion, signals_before, .. } = &self.lines[line];
        let signals = &signals_before[entry];
        let command = SignalsCommand {
            program_id: conversion.program_id.clone(),
            record_id: signals.record_id.clone(),
            content: fingerprint("signals", signals.record_id.as_str(), line),
            bundles: signals.bundles.clone(),
            received_at: signals.observed_at,
        };
        block_on(self.ledger.record_signals(command)).map_err(refused(signals.record_id.as_str()))?;
        Ok(())
    }

    fn outcome(&self, line: usize, entry: usize) -> Result<(), ReplayError> {
        let HistoryLine { conversion, outcomes, .. } = &self.lines[line];
        let (kind, occurred_at) = outcomes[entry];
        let text = format!("{:.100}.{entry}", conversion.conversion_id.as_str());
        let outcome = Outcome {
            program_id: conversion.program_id.clone(),
            outcome_id: RecordId::new(&text)?,
            kind,
            subject: OutcomeSubject::Conversion(conversion.conversion_id.clone()),
            occurred_at,
            amount: None,
        };
        let command = OutcomeCommand { outcome, content: fingerprint("outcome", &text, line), received_at: occurred_at };
        block_on(self.ledger.record_outcome(command)).map_err(refused(&text))?;
        Ok(())
    }

    fn review(&mut self, line: usize, at: Timestamp) -> Result<(), ReplayError> {
        let HistoryLine { conversion, labels, .. } = &self.lines[line];
        let (Some(case_id), Some(label)) = (self.cases.remove(&line), reviewed(labels)) else { return Ok(()) };
        let resolution = match label.truth {
            Truth::Honest => Resolution::Accept,
            Truth::Abusive => Resolution::Reject,
        };
        let command = CaseCommand {
            program_id: conversion.program_id.clone(),
            case_id,
            step: CaseStep::Step(Step::Resolve(resolution)),
            actor: self.reviewer.clone(),
            reason_code: String::new(),
            note: String::new(),
            expected_revision: None,
            at,
        };
        match block_on(self.ledger.step_case(command)) {
            // An outcome may have closed the case meanwhile.
            Ok(_) | Err(LedgerError::IllegalStep(_) | LedgerError::NotPossible(_)) => Ok(()),
            Err(error) => Err(refused(conversion.conversion_id.as_str())(error)),
        }
    }
}

fn refused(id: &str) -> impl Fn(LedgerError) -> ReplayError + '_ {
    move |source| ReplayError::Refused { id: id.to_owned(), source }
}

/// Replay retries nothing; the fingerprint only tells two lines of one id apart.
fn fingerprint(kind: &str, id: &str, line: usize) -> ContentFingerprint {
    let hash = blake3::hash(format!("{kind}\u{0}{id}\u{0}{line}").as_bytes());
    let mut first_bytes = [0; 16];
    first_bytes.copy_from_slice(&hash.as_bytes()[..16]);
    ContentFingerprint(first_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(source: LabelSource, truth: Truth, day: i64) -> Label {
        let labeled_at = Timestamp::from_millis(1_700_000_000_000).unwrap().plus(Span::from_days(day));
        Label { truth, source, labeled_at }
    }

    #[test]
    fn the_most_trusted_source_counts_and_of_it_the_newest_label() {
        let labels = [
            label(LabelSource::Chargeback, Truth::Abusive, 9),
            label(LabelSource::Reviewer, Truth::Abusive, 1),
            label(LabelSource::Reviewer, Truth::Honest, 5),
        ];
        assert_eq!(LabelRule::default().choose(&labels), Some(&labels[2]));
    }

    #[test]
    fn a_label_that_was_not_known_yet_is_not_seen() {
        let labels = [label(LabelSource::Reviewer, Truth::Abusive, 1), label(LabelSource::Reviewer, Truth::Honest, 5)];
        let rule = LabelRule { known_by: Some(labels[0].labeled_at), ..LabelRule::default() };
        assert_eq!(rule.choose(&labels), Some(&labels[0]));
        let before_all = LabelRule { known_by: Some(labels[0].labeled_at.minus(Span::from_days(1))), ..LabelRule::default() };
        assert_eq!(before_all.choose(&labels), None);
    }
}
