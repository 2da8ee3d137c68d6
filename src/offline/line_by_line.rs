//! Line by line: a stream of conversions through the engine that serves live traffic, each answered before the next is read.
//!
//! Time is the conversions' own: a line is screened at the moment when it happened, after the signals and outcomes that were known by then.
//! It must never look ahead, and never read a clock. `screen` calls it; training uses `replay`, which orders a whole history first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::book::command::{Assessor, Command, OutcomeCommand, ScreenCommand, SignalsCommand};
use crate::book::records::{ContentFingerprint, DecisionRecord, RecordedSignals};
use crate::book::{Books, Refusal};
use crate::vocabulary::ids::{AccountId, ConversionId, ProgramId, RecordId};
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Timestamp;
use crate::wire::training::HistoryLine;
use crate::wire::{bundle, content, conversion, v1};

/// An outcome that lies ahead of the conversion of its line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Ahead {
    at: Timestamp,
    /// Keeps outcomes of one instant in the order of the lines.
    place: u64,
    kind: OutcomeKind,
    program_id: ProgramId,
    conversion_id: ConversionId,
    referee: AccountId,
}

/// Sends lines to books that nobody keeps.
pub struct LineByLine<'a> {
    books: Books,
    assessor: &'a dyn Assessor,
    ahead: BinaryHeap<Reverse<Ahead>>,
    outcomes_read: u64,
}

impl<'a> LineByLine<'a> {
    /// Begins with nothing known.
    #[must_use]
    pub fn new(assessor: &'a dyn Assessor) -> Self {
        Self { books: Books::default(), assessor, ahead: BinaryHeap::new(), outcomes_read: 0 }
    }

    /// Screens one line; `None` when it repeats the conversion of an earlier one.
    ///
    /// # Errors
    /// [`Refusal`]: most often that the id was used on an earlier line with other content. Later lines can go on.
    pub fn screen(&mut self, line: HistoryLine) -> Result<Option<Box<DecisionRecord>>, Refusal> {
        let HistoryLine {
            conversion,
            labels: _,
            decision: _,
            group_id: _,
            persona: _,
            outcomes,
            signals_before,
            later_verdicts: _,
            warnings: _,
        } = line;
        let now = conversion.occurred_at;
        self.catch_up(now)?;
        for signals in signals_before {
            self.learn(&conversion.program_id, signals)?;
        }
        for (kind, at) in outcomes {
            self.outcomes_read += 1;
            self.ahead.push(Reverse(Ahead {
                at: at.max(now),
                place: self.outcomes_read,
                kind,
                program_id: conversion.program_id.clone(),
                conversion_id: conversion.conversion_id.clone(),
                referee: conversion.referee.account_id.clone(),
            }));
        }
        let content = content::fingerprint(&conversion::message_of(&conversion));
        let command = ScreenCommand { conversion, content, received_at: now };
        Ok(self.books.execute(Command::Screen(Box::new(command)), self.assessor)?.done.screened())
    }

    /// Records the outcomes that were known before this instant.
    fn catch_up(&mut self, now: Timestamp) -> Result<(), Refusal> {
        while self.ahead.peek().is_some_and(|Reverse(next)| next.at < now) {
            let Some(Reverse(outcome)) = self.ahead.pop() else { break };
            match self.record(outcome) {
                // The conversion of the outcome was refused on its own line, which was said there.
                Ok(()) | Err(Refusal::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn record(&mut self, outcome: Ahead) -> Result<(), Refusal> {
        let Ahead { at, place, kind, program_id, conversion_id, referee } = outcome;
        let text = format!("line-outcome-{place}");
        let outcome_id = RecordId::new(&text).map_err(|problem| Refusal::NotPossible(problem.to_string()))?;
        let subject = match kind {
            OutcomeKind::AccountBanned | OutcomeKind::AccountUnbanned => OutcomeSubject::Account(referee),
            OutcomeKind::ChargeRefunded
            | OutcomeKind::Chargeback
            | OutcomeKind::SubscriptionCanceled
            | OutcomeKind::DisputeWon => OutcomeSubject::Conversion(conversion_id),
        };
        // No two outcomes have one id here, so that any content does.
        let content = ContentFingerprint([0; 16]);
        let (amount, actor, note) = (None, None, String::new());
        let outcome = Outcome { program_id, outcome_id, kind, subject, occurred_at: at, amount, actor, note };
        let command = OutcomeCommand { outcome, content, received_at: at };
        self.books.execute(Command::RecordOutcome(command), self.assessor).map(|_| ())
    }

    fn learn(&mut self, program_id: &ProgramId, signals: RecordedSignals) -> Result<(), Refusal> {
        let RecordedSignals { record_id, bundles, observed_at } = signals;
        let content = content::fingerprint(&v1::RecordSignalsRequest {
            program_id: program_id.to_string(),
            record_id: record_id.to_string(),
            bundles: bundles.iter().map(bundle::message_of).collect(),
        });
        let command = SignalsCommand { program_id: program_id.clone(), record_id, content, bundles, received_at: observed_at };
        self.books.execute(Command::RecordSignals(command), self.assessor).map(|_| ())
    }
}
