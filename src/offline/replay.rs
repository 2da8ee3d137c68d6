//! Replay: a labelled history goes once more through the engine that serves live traffic, and every conversion's features are taken at the
//! moment at which they would have been.
//!
//! The ledger calls the [`Recorder`] as its assessor, inside its serial order and before the conversion is applied, exactly as it calls the
//! live one; so features are point in time by construction and equal the live ones bit for bit. Labels never enter the history; reviewers'
//! verdicts on cases do, at their own time. Nothing here reads a clock. `train`, `evaluate` and the parity test call it.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::mem;
use std::sync::Arc;

use parking_lot::Mutex;

use super::grouping::Grouping;
use super::learning::matrix::{Matrix, Row};
use crate::book::command::{Assessor, CaseCommand, CaseStep, Command, Done, OutcomeCommand, ScreenCommand, SignalsCommand};
use crate::book::records::{ContentFingerprint, LaterVerdict, RecordedSignals};
use crate::book::terms::{Own, ProgramTerms};
use crate::book::{Books, Refusal};
use crate::screening::audit::AuditKey;
use crate::screening::case::{Resolution, Step};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::features::FeatureVector;
use crate::screening::history::History;
use crate::screening::policy::{PayoutPolicy, Policy};
use crate::screening::{Models, Rulebook, assess};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{Actor, CaseId, ConversionId, InvalidId, ProgramId, RecordId};
use crate::vocabulary::label::{Label, LabelSource, Truth};
use crate::vocabulary::outcome::{Outcome, OutcomeSubject};
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::enums::WireEnum as _;
use crate::wire::training::HistoryLine;

/// Why a history cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A book refused an event.
    #[error("the event of `{id}` cannot be replayed: {source}")]
    Refused {
        /// The conversion or record.
        id: String,
        /// What the book said.
        source: Refusal,
    },
    /// A line came too late: something of it happened before what was played already.
    #[error("line {line} tells of something earlier than what was replayed before it was read")]
    TooLate {
        /// From 1, in the order in which lines were added.
        line: usize,
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
    /// Whether it repeats an earlier conversion: whatever was said of it, it is no label.
    pub repeats: bool,
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

    fn decided(&self, conversion: &Conversion, history: &History, now: Timestamp) -> Decision {
        let rulebook = Rulebook { policy: &self.policy, models: Models::default(), audit_key: &AuditKey::new([0; 32]) };
        assess(conversion, history, rulebook, now)
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
    fn assess(&self, conversion: &Conversion, history: &History, _: Own<'_>, now: Timestamp) -> Decision {
        let decision = self.decided(conversion, history, now);
        let recorded = Recorded {
            features: decision.features(),
            rule_score: decision.score,
            rule_verdict: decision.verdict,
            repeats: decision.duplicate_of.is_some(),
        };
        self.recorded.lock().insert(key(conversion), recorded);
        let decided_then = self.decided_then.lock().remove(&key(conversion));
        Decision { verdict: decided_then.unwrap_or(decision.verdict), ..decision }
    }

    /// What was made of it later is told by the history and not recorded.
    fn assess_again(&self, conversion: &Conversion, history: &History, _: Own<'_>, now: Timestamp) -> Decision {
        self.decided(conversion, history, now)
    }

    fn due_after(&self, _program: &ProgramId, _: &ProgramTerms) -> Span {
        self.policy.review().due_after
    }

    fn payout(&self, _program: &ProgramId, _: &ProgramTerms) -> PayoutPolicy {
        self.policy.payout().clone()
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
    /// The owner knows best, then a reviewer who looked, then a simulator. A refund or dispute alone is no abuse: honest people ask for their money
    /// back too, and a programme has to ask for such labels by name.
    fn default() -> Self {
        let sources = vec![LabelSource::OwnerReport, LabelSource::Reviewer, LabelSource::Simulated];
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
    SecondLook { line: usize, entry: usize },
}

impl Moment {
    const fn line(self) -> usize {
        match self {
            Self::Signals { line, .. }
            | Self::Conversion { line }
            | Self::Outcome { line, .. }
            | Self::Review { line }
            | Self::SecondLook { line, .. } => line,
        }
    }
}

/// What is to be done at a moment.
#[derive(Debug)]
enum Event {
    Learn(ProgramId, RecordedSignals),
    Screen(Box<HistoryLine>),
    Befall(Outcome),
    Resolve(ProgramId, CaseId, Resolution),
    DecideAgain(Box<Conversion>, LaterVerdict),
}

/// An event that lies ahead. Ordered by its moment, which it shares with no other.
#[derive(Debug)]
struct Ahead {
    at: Timestamp,
    moment: Moment,
    event: Event,
}

impl Ord for Ahead {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.moment).cmp(&(other.at, other.moment))
    }
}

impl PartialOrd for Ahead {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ahead {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ahead {}

/// Replays a history, its lines in any order, and gives a row for each conversion with a label that counts.
///
/// # Errors
/// [`ReplayError`] names the event that could not be replayed.
pub fn replay(
    lines: impl IntoIterator<Item = HistoryLine>,
    assessor: &dyn Assessor,
    recorder: &Recorder,
    rule: &LabelRule,
) -> Result<Matrix, ReplayError> {
    let mut replay = Replay::new(assessor, recorder, rule)?;
    lines.into_iter().try_for_each(|line| replay.add(line))?;
    replay.finish()
}

/// A replay of a history that is still being read: what happens before everything that is to come can happen already.
///
/// Holds what lies ahead, the rows so far, and what ties lines into groups. A line that was played is gone.
pub struct Replay<'a> {
    books: Books,
    assessor: &'a dyn Assessor,
    recorder: &'a Recorder,
    rule: &'a LabelRule,
    reviewer: Actor,
    ahead: BinaryHeap<Reverse<Ahead>>,
    /// Everything before this instant was played.
    played_before: Option<Timestamp>,
    grouping: Grouping,
    lines: usize,
    matrix: Matrix,
    line_of_row: Vec<usize>,
}

impl<'a> Replay<'a> {
    /// Begins with nothing known. The assessor is the recorder, or calls it.
    ///
    /// # Errors
    /// [`ReplayError::Id`] if the name of replay's reviewer were none.
    pub fn new(assessor: &'a dyn Assessor, recorder: &'a Recorder, rule: &'a LabelRule) -> Result<Self, ReplayError> {
        Ok(Self {
            books: Books::default(),
            assessor,
            recorder,
            rule,
            reviewer: Actor::new("replay")?,
            ahead: BinaryHeap::new(),
            played_before: None,
            grouping: Grouping::default(),
            lines: 0,
            matrix: Matrix::default(),
            line_of_row: Vec::new(),
        })
    }

    /// Adds the next line. Nothing happens yet.
    ///
    /// # Errors
    /// [`ReplayError::TooLate`] when something of it belongs before what was played.
    pub fn add(&mut self, mut line: HistoryLine) -> Result<(), ReplayError> {
        self.grouping.add(&line);
        let place = self.lines;
        self.lines += 1;
        for (entry, signals) in mem::take(&mut line.signals_before).into_iter().enumerate() {
            let program_id = line.conversion.program_id.clone();
            let moment = Moment::Signals { line: place, entry };
            self.expect(signals.observed_at, moment, Event::Learn(program_id, signals))?;
        }
        self.expect(line.conversion.occurred_at, Moment::Conversion { line: place }, Event::Screen(Box::new(line)))
    }

    fn expect(&mut self, at: Timestamp, moment: Moment, event: Event) -> Result<(), ReplayError> {
        if self.played_before.is_some_and(|instant| at < instant) {
            return Err(ReplayError::TooLate { line: moment.line() + 1 });
        }
        self.ahead.push(Reverse(Ahead { at, moment, event }));
        Ok(())
    }

    /// Plays what happens before an instant, when nothing that is still to be added belongs there.
    ///
    /// # Errors
    /// [`ReplayError`] names the event that could not be replayed.
    pub fn play_before(&mut self, instant: Timestamp) -> Result<(), ReplayError> {
        while self.ahead.peek().is_some_and(|Reverse(next)| next.at < instant) {
            self.play_next()?;
        }
        self.played_before = self.played_before.max(Some(instant));
        Ok(())
    }

    /// Plays the rest. Gives a row for each conversion with a label that counts, in event-time order.
    ///
    /// # Errors
    /// [`ReplayError`] names the event that could not be replayed.
    pub fn finish(mut self) -> Result<Matrix, ReplayError> {
        while !self.ahead.is_empty() {
            self.play_next()?;
        }
        let groups = self.grouping.finish();
        let of_rows = self.line_of_row.iter().map(|line| groups[*line].clone());
        Ok(self.matrix.with_groups(of_rows))
    }

    fn play_next(&mut self) -> Result<(), ReplayError> {
        let Some(Reverse(Ahead { at, moment, event })) = self.ahead.pop() else { return Ok(()) };
        match event {
            Event::Learn(program_id, signals) => self.learn(program_id, signals, moment),
            Event::Screen(line) => self.screen(*line, moment),
            Event::Befall(outcome) => self.befall(outcome, moment),
            Event::Resolve(program_id, case_id, resolution) => self.resolve(program_id, case_id, resolution, at),
            Event::DecideAgain(conversion, later) => {
                self.books.decide_again(&conversion, later, self.assessor);
                Ok(())
            }
        }
    }

    /// Screens a conversion, takes its row, and expects what follows from it.
    fn screen(&mut self, line: HistoryLine, moment: Moment) -> Result<(), ReplayError> {
        let HistoryLine {
            conversion,
            labels,
            decision,
            group_id: _,
            persona,
            outcomes,
            signals_before: _,
            later_verdicts,
            warnings: _,
        } = line;
        let (program_id, id) = (conversion.program_id.clone(), conversion.conversion_id.clone());
        let (line, occurred_at) = (moment.line(), conversion.occurred_at);
        if let Some(verdict) = decision.and_then(|decided| Verdict::from_wire(decided.screened_verdict())) {
            self.recorder.decide_as_then(&conversion, verdict);
        }
        let command = ScreenCommand { conversion, content: content_of(moment), received_at: occurred_at };
        let executed = self.books.execute(Command::Screen(Box::new(command)), self.assessor).map_err(refused(id.as_str()))?;
        // Lines of one id and content are told apart by their numbers, so nothing is ever done before.
        let Done::Screened(screened) = executed.done else { return Ok(()) };
        let recorded = self.recorder.take(&screened.conversion).filter(|recorded| !recorded.repeats);
        if let (Some(recorded), Some(label)) = (recorded, self.rule.choose(&labels)) {
            let Recorded { features, rule_score, rule_verdict, repeats: _ } = recorded;
            self.matrix.push(Row {
                features,
                truth: label.truth,
                source: label.source,
                labeled_at: label.labeled_at,
                programme: program_id.as_str().into(),
                group: Box::default(),
                occurred_at,
                persona,
                rule_score,
                rule_verdict,
            });
            self.line_of_row.push(line);
        }
        for (entry, (kind, at)) in outcomes.into_iter().enumerate() {
            let outcome = Outcome {
                program_id: program_id.clone(),
                outcome_id: RecordId::new(&format!("{:.100}.{entry}", id.as_str()))?,
                kind,
                subject: OutcomeSubject::Conversion(id.clone()),
                occurred_at: at,
                amount: None,
                actor: None,
                note: String::new(),
            };
            self.expect(at.max(occurred_at), Moment::Outcome { line, entry }, Event::Befall(outcome))?;
        }
        // A case may have been opened by screening, or by a later look.
        let has_case = screened.case_id.is_some() || !later_verdicts.is_empty();
        for (entry, later) in later_verdicts.into_iter().enumerate() {
            let event = Event::DecideAgain(Box::new(screened.conversion.clone()), later);
            self.expect(later.at.max(occurred_at), Moment::SecondLook { line, entry }, event)?;
        }
        if let Some(label) = reviewed(&labels).filter(|_| has_case) {
            let case_id = CaseId::of(&id);
            let resolution = match label.truth {
                Truth::Honest => Resolution::Accept,
                Truth::Abusive => Resolution::Reject,
            };
            let event = Event::Resolve(program_id, case_id, resolution);
            self.expect(label.labeled_at.max(occurred_at), Moment::Review { line }, event)?;
        }
        Ok(())
    }

    fn learn(&mut self, program_id: ProgramId, signals: RecordedSignals, moment: Moment) -> Result<(), ReplayError> {
        let RecordedSignals { record_id, bundles, observed_at: received_at } = signals;
        let id = record_id.clone();
        let command = SignalsCommand { program_id, record_id, content: content_of(moment), bundles, received_at };
        self.books.execute(Command::RecordSignals(command), self.assessor).map(|_| ()).map_err(refused(id.as_str()))
    }

    fn befall(&mut self, outcome: Outcome, moment: Moment) -> Result<(), ReplayError> {
        let (id, received_at) = (outcome.outcome_id.clone(), outcome.occurred_at);
        let command = OutcomeCommand { outcome, content: content_of(moment), received_at };
        self.books.execute(Command::RecordOutcome(command), self.assessor).map(|_| ()).map_err(refused(id.as_str()))
    }

    fn resolve(
        &mut self,
        program_id: ProgramId,
        case_id: CaseId,
        resolution: Resolution,
        at: Timestamp,
    ) -> Result<(), ReplayError> {
        let id = case_id.clone();
        let command = CaseCommand {
            program_id,
            case_id,
            step: CaseStep::Step(Step::Resolve(resolution)),
            actor: self.reviewer.clone(),
            reason_code: String::new(),
            note: String::new(),
            expected_revision: None,
            request: None,
            at,
        };
        match self.books.execute(Command::StepCase(Box::new(command), None), self.assessor) {
            // An outcome may have closed the case meanwhile, or no later look opened one before.
            Ok(_) | Err(Refusal::IllegalStep(_) | Refusal::NotPossible(_) | Refusal::NotFound { .. }) => Ok(()),
            Err(error) => Err(refused(id.as_str())(error)),
        }
    }
}

/// The label that closes a case: a reviewer's, or in a simulated programme the simulator's in place of one.
fn reviewed(labels: &[Label]) -> Option<&Label> {
    let of = |source| labels.iter().filter(move |label| label.source == source).max_by_key(|label| label.labeled_at);
    of(LabelSource::Reviewer).or_else(|| of(LabelSource::Simulated))
}

fn refused(id: &str) -> impl Fn(Refusal) -> ReplayError + '_ {
    move |source| ReplayError::Refused { id: id.to_owned(), source }
}

/// Replay retries nothing: only two lines of one id need to be told apart.
fn content_of(moment: Moment) -> ContentFingerprint {
    let mut line = [0; 16];
    line[..8].copy_from_slice(&(moment.line() as u64).to_le_bytes());
    ContentFingerprint(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::policy_file;
    use crate::wire::conversion;
    use crate::wire::fields::Arrival;
    use crate::wire::fixtures::full_conversion;

    fn line(id: &str, day: i64) -> HistoryLine {
        let mut conversion = conversion::parse(full_conversion(), "", Arrival::Recorded).unwrap();
        conversion.conversion_id = ConversionId::new(id).unwrap();
        conversion.occurred_at = conversion.occurred_at.plus(Span::from_days(day));
        HistoryLine::of_conversion(conversion)
    }

    #[test]
    fn what_belongs_before_what_was_played_is_refused_with_its_line() {
        let recorder = Recorder::new(policy_file::shipped().unwrap());
        let rule = LabelRule::default();
        let mut replay = Replay::new(&*recorder, &recorder, &rule).unwrap();
        let (first, second) = (line("c1", 5), line("c2", 3));
        let played = first.conversion.occurred_at;
        replay.add(first).unwrap();
        replay.play_before(played).unwrap();
        assert!(matches!(replay.add(second), Err(ReplayError::TooLate { line: 2 })));
        assert!(replay.add(line("c3", 5)).is_ok(), "at the very instant there is still time");
    }

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
