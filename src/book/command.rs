//! Commands: what callers ask a book to do, and who decides a conversion inside its serial order.

use super::records::{ContentFingerprint, HoldSubject, ListEntry};
use crate::screening::case::Step;
use crate::screening::decision::Decision;
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
