//! Commands: what callers ask a book to do, and who decides a conversion inside its serial order.

use super::records::{CaseSummary, ContentFingerprint, DecisionRecord, HoldSubject, ListEntry};
use crate::screening::case::Step;
use crate::screening::decision::Decision;
use crate::screening::evidence::EvidenceCode;
use crate::screening::history::History;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{Actor, CaseId, ConversionId, ProgramId, RecordId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::Outcome;
use crate::vocabulary::time::{Span, Timestamp};

/// Decides a conversion once its history is known. Called by the ledger inside its serial order, perhaps more than once for a conversion
/// (a ledger that retries a conflicting transaction); must be pure in its arguments.
pub trait Assessor: Send + Sync {
    /// The decision.
    fn assess(&self, conversion: &Conversion, history: &History, now: Timestamp) -> Decision;

    /// How long after opening a case of this programme is overdue.
    fn due_after(&self, program: &ProgramId) -> Span;
}

/// A conversion to screen.
#[derive(Debug, Clone)]
pub struct ScreenCommand {
    /// The conversion.
    pub conversion: Conversion,
    /// The fingerprint of the message, for retries.
    pub content: ContentFingerprint,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// Signals to add to profiles.
#[derive(Debug, Clone)]
pub struct SignalsCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The caller's id of this message.
    pub record_id: RecordId,
    /// The fingerprint of the message, for retries.
    pub content: ContentFingerprint,
    /// The bundles, one for each account.
    pub bundles: Vec<SignalBundle>,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// An outcome to record.
#[derive(Debug, Clone)]
pub struct OutcomeCommand {
    /// The outcome.
    pub outcome: Outcome,
    /// The fingerprint of the message, for retries.
    pub content: ContentFingerprint,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// A step on a case.
#[derive(Debug, Clone)]
pub struct CaseCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The case.
    pub case_id: CaseId,
    /// What to do.
    pub step: CaseStep,
    /// Who does it.
    pub actor: Actor,
    /// Why, as a code; empty when none was given.
    pub reason_code: String,
    /// Why, in words; empty when none were given.
    pub note: String,
    /// The revision that the actor saw; absent when the actor does not insist.
    pub expected_revision: Option<u32>,
    /// When.
    pub at: Timestamp,
}

/// What to do with a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseStep {
    /// A step of the state machine. Reopening a conversion that never had a case opens its first.
    Step(Step),
    /// Writes the command's note into the history.
    Note,
}

/// A reward was paid.
#[derive(Debug, Clone)]
pub struct PaidCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The conversion that earned it.
    pub conversion_id: ConversionId,
    /// The reward.
    pub reward_id: RewardId,
    /// When it was paid.
    pub paid_at: Timestamp,
    /// How much; absent when not told.
    pub amount: Option<Money>,
    /// When the message arrived.
    pub received_at: Timestamp,
}

/// A hold to place or lift.
#[derive(Debug, Clone)]
pub struct HoldCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// On what.
    pub subject: HoldSubject,
    /// Place or lift.
    pub change: Change,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// Whether something is put in force or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// Put in force.
    Place,
    /// Take back.
    Lift,
}

/// An entry of a list to write or remove.
#[derive(Debug, Clone)]
pub struct ListCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The entry; when lifting, list and subject tell which.
    pub entry: ListEntry,
    /// Write or remove.
    pub change: Change,
}

/// What the queue shows of a conversion that never had a case, from the record of its decision.
#[derive(Debug, Clone, PartialEq)]
pub struct DecidedBefore {
    /// Screening's score. Range: [0, 1].
    pub score: f64,
    /// What the conversion paid; absent when nothing.
    pub value: Option<Money>,
    /// The codes of screening's reasons, in their order.
    pub reason_codes: Vec<EvidenceCode>,
    /// The first reason's sentence; empty when there is none.
    pub headline: String,
}

impl DecidedBefore {
    /// What a decision tells the queue.
    #[must_use]
    pub fn of(conversion: &Conversion, decision: &Decision) -> Self {
        Self {
            score: decision.score,
            value: conversion.value,
            reason_codes: decision.reasons.iter().map(|reason| reason.code).collect(),
            headline: decision.reasons.first().map(|reason| reason.sentence.clone()).unwrap_or_default(),
        }
    }
}

/// Anything that a book can be asked to do.
#[derive(Debug, Clone)]
pub enum Command {
    /// Screens a conversion.
    Screen(Box<ScreenCommand>),
    /// Adds signals to profiles.
    RecordSignals(SignalsCommand),
    /// Records an outcome.
    RecordOutcome(OutcomeCommand),
    /// Steps a case. What was decided is needed to open one for a conversion that never had one; absent when its record is gone.
    StepCase(Box<CaseCommand>, Option<Box<DecidedBefore>>),
    /// Records that a reward was paid.
    MarkPaid(PaidCommand),
    /// Places or lifts a hold.
    ChangeHold(HoldCommand),
    /// Writes or removes a list entry.
    ChangeList(ListCommand),
}

impl Command {
    /// Whose book is asked.
    #[must_use]
    pub const fn program(&self) -> &ProgramId {
        match self {
            Self::Screen(command) => &command.conversion.program_id,
            Self::RecordSignals(command) => &command.program_id,
            Self::RecordOutcome(command) => &command.outcome.program_id,
            Self::StepCase(command, _) => &command.program_id,
            Self::MarkPaid(command) => &command.program_id,
            Self::ChangeHold(command) => &command.program_id,
            Self::ChangeList(command) => &command.program_id,
        }
    }
}

/// What a command came to, beside its place.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// A conversion was screened.
    Screened(Box<DecisionRecord>),
    /// A case was stepped.
    Stepped(Box<CaseSummary>),
    /// Something was recorded that needs no more words.
    Recorded,
}
