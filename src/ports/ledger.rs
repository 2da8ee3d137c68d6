//! The ledger: what must never be lost, behind domain operations.
//!
//! Every command is one atomic, durable write that is answered only when it would survive a power cut. Commands of one programme happen
//! one after the other, so that two conversions that race on a device cannot both be the first. Reads never wait for a write, and show
//! only what is durable.

use std::io::Write;
use std::time::Duration;

use futures::future::BoxFuture;

use super::records::{
    BackupSummary, CaseFile, CaseSummary, ContentFingerprint, Cursor, DecisionRecord, FeedEvent, Freshness, Hold, HoldSubject,
    LabelledConversion, ListEntry, ListSubject, ProgramSummary, QueueStats, Reading,
};
use crate::screening::case::{IllegalStep, Step};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::evidence::EvidenceCode;
use crate::screening::gate::Standing;
use crate::screening::history::{History, ListKind};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, ProgramId, RecordId, RewardId};
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

/// The answer to a conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct Screened {
    /// The decision as it was committed, with where it stands now.
    pub record: Box<DecisionRecord>,
    /// Whether it was made now.
    pub freshness: Freshness,
}

/// Which decisions to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct DecisionFilter {
    /// Verdicts in force; empty for all.
    pub verdicts: Vec<Verdict>,
    /// Only of this referrer.
    pub referrer: Option<AccountId>,
    /// Only of this referee.
    pub referee: Option<AccountId>,
    /// Decided at or after.
    pub from: Option<Timestamp>,
    /// Decided before.
    pub until: Option<Timestamp>,
    /// Whatever a challenger said, or only where it said something else.
    pub challenger: ChallengerFilter,
}

/// Which decisions to list by what a challenger said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChallengerFilter {
    /// All.
    #[default]
    Any,
    /// Those to which it would have given another verdict.
    Disagrees,
}

/// Which cases to list.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// States; empty for all.
    pub states: Vec<CaseStateKind>,
    /// Only cases opened at or before this: at least so old.
    pub opened_until: Option<Timestamp>,
    /// Only cases opened at or after this: at most so old.
    pub opened_from: Option<Timestamp>,
    /// Least score. Range: [0, 1].
    pub score_min: Option<f64>,
    /// Largest score. Range: [0, 1].
    pub score_max: Option<f64>,
    /// Only cases with this reason.
    pub reason: Option<EvidenceCode>,
    /// Only of this referrer.
    pub referrer: Option<AccountId>,
    /// Only with a running lease of this actor.
    pub claimed_by: Option<Actor>,
}

/// A state of a case, without who and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseStateKind {
    /// Waits.
    Open,
    /// Claimed, and the lease runs.
    Claimed,
    /// Decided.
    Resolved,
}

/// In which order cases are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseOrder {
    /// The longest open first.
    OldestFirst,
    /// The latest opened first.
    NewestFirst,
    /// The highest score first.
    ScoreHighestFirst,
    /// The nearest due time first.
    DueFirst,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where to go on; absent at the end. Opaque.
    pub next: Option<PageToken>,
    /// How many entries match in all; absent when counting would cost too much.
    pub total: Option<u64>,
}

/// Where a listing goes on. Opaque outside the ledger that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(pub String);

/// Which part of a listing.
#[derive(Debug, Clone)]
pub struct PageRequest {
    /// At most this many entries. Range: 1 to 500.
    pub size: usize,
    /// Where to go on; absent for the first part.
    pub after: Option<PageToken>,
}

/// Whether the ledger keeps its promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LedgerHealth {
    /// It does.
    Serving,
    /// It refuses writes; the text says why and what to do.
    Poisoned(String),
}

/// Why a ledger did not do it. Nothing was written unless the variant says so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LedgerError {
    /// The id was used with other content.
    #[error("`{id}` was sent before with other content; an id names one message for ever")]
    ContentDiffers {
        /// The id.
        id: String,
    },
    /// There is no such thing in the programme.
    #[error("{what} `{id}` is not known in this programme")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// The step is not possible now.
    #[error(transparent)]
    IllegalStep(#[from] IllegalStep),
    /// Somebody else changed it meanwhile.
    #[error("the case is at revision {actual}, not {expected}; read it again")]
    RevisionDiffers {
        /// What the actor saw.
        expected: u32,
        /// What it is.
        actual: u32,
    },
    /// The change is not possible from where the thing stands.
    #[error("{0}")]
    NotPossible(String),
    /// What came right after the cursor was removed by retention.
    #[error(
        "the records after this cursor were removed by retention; the oldest that is left is {oldest}: begin again without a cursor"
    )]
    CursorForgotten {
        /// The oldest place that is left.
        oldest: u64,
    },
    /// The page token is not one of this listing.
    #[error("the page token is not valid for this listing; start again without it")]
    PageToken,
    /// Too much is waiting to be written.
    #[error("too many writes are waiting; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When trying again is worth it.
        retry_after: Duration,
    },
    /// Writing failed; whether this command was kept is not known, so retry it with the same id.
    #[error("the ledger cannot be written: {0}")]
    Unavailable(String),
    /// A stored record cannot be read.
    #[error("a stored record is damaged: {0}")]
    Damaged(String),
}

/// A future that a ledger returns.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, LedgerError>>;

/// The ledger. Shared by all handlers; every implementation passes `tests/ledger_conformance`.
pub trait Ledger: Send + Sync {
    /// Screens a conversion: reads its history, lets the assessor decide, commits all at once. The same id with the same content gives
    /// the first answer again.
    ///
    /// # Errors
    /// [`LedgerError::ContentDiffers`], [`LedgerError::Busy`], [`LedgerError::Unavailable`], [`LedgerError::Damaged`].
    fn screen(&self, command: ScreenCommand) -> Answer<'_, Screened>;

    /// Adds signals to the profiles of accounts. Idempotent on the record id.
    fn record_signals(&self, command: SignalsCommand) -> Answer<'_, (Cursor, Freshness)>;

    /// Records an outcome, cancels what it concerns and is unpaid, and keeps it as a label. Idempotent on the outcome id.
    fn record_outcome(&self, command: OutcomeCommand) -> Answer<'_, (Cursor, Freshness)>;

    /// Steps a case.
    fn step_case(&self, command: CaseCommand) -> Answer<'_, CaseSummary>;

    /// Records that a reward was paid. Final. Repeating it changes nothing.
    fn mark_paid(&self, command: PaidCommand) -> Answer<'_, (Cursor, Freshness)>;

    /// Places or lifts a hold. Repeating it changes nothing.
    fn change_hold(&self, command: HoldCommand) -> Answer<'_, (Cursor, Freshness)>;

    /// Writes or removes a list entry. Repeating it changes nothing.
    fn change_list(&self, command: ListCommand) -> Answer<'_, (Cursor, Freshness)>;

    /// The decision of a conversion; `None` when it was never screened.
    fn decision(&self, program: &ProgramId, conversion: &ConversionId) -> Result<Option<DecisionRecord>, LedgerError>;

    /// Decisions, newest first.
    fn decisions(
        &self,
        program: &ProgramId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<DecisionRecord>, LedgerError>;

    /// Cases in the order asked for. `now` tells which leases run.
    fn cases(
        &self,
        program: &ProgramId,
        filter: &CaseFilter,
        order: CaseOrder,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CaseSummary>, LedgerError>;

    /// Everything about a case; `None` when there is none.
    fn case(&self, program: &ProgramId, case: &CaseId, now: Timestamp) -> Result<Option<CaseFile>, LedgerError>;

    /// The queue in numbers.
    fn queue_stats(&self, program: &ProgramId, now: Timestamp) -> Result<QueueStats, LedgerError>;

    /// What the gate needs to know of each reward and the conversion that is said to have earned it, in order; `None` for an unknown
    /// conversion, and for one that retention removed. A reward that was paid for another conversion counts as paid.
    fn standings(&self, program: &ProgramId, payouts: &[(RewardId, ConversionId)]) -> Result<Vec<Option<Standing>>, LedgerError>;

    /// Feed events after a cursor, oldest first, all durable, at most `limit` journal records' worth, with the cursor up to which was
    /// read (which may be past the last event).
    fn feed(&self, program: &ProgramId, after: Cursor, limit: usize) -> Result<(Vec<FeedEvent>, Cursor), LedgerError>;

    /// Completes once something durable lies past the cursor. May complete early; the caller reads again.
    fn grown_past<'a>(&'a self, program: &'a ProgramId, cursor: Cursor) -> BoxFuture<'a, ()>;

    /// Holds in force, ordered by subject.
    fn holds(&self, program: &ProgramId, page: &PageRequest) -> Result<Page<Hold>, LedgerError>;

    /// List entries, ordered by list and subject.
    fn list_entries(
        &self,
        program: &ProgramId,
        list: Option<ListKind>,
        page: &PageRequest,
    ) -> Result<Page<ListEntry>, LedgerError>;

    /// One list entry; `None` when there is none.
    fn list_entry(&self, program: &ProgramId, list: ListKind, subject: &ListSubject) -> Result<Option<ListEntry>, LedgerError>;

    /// Screened conversions after a cursor with what became known of them and what was recorded before them, oldest first, with the cursor
    /// of the last of them: from there it goes on. Without one, the cursor is the one that was given.
    fn labelled(
        &self,
        program: &ProgramId,
        after: Cursor,
        limit: usize,
    ) -> Result<(Vec<LabelledConversion>, Cursor), LedgerError>;

    /// The programmes that hold anything, by name.
    fn programs(&self) -> Result<Vec<ProgramSummary>, LedgerError>;

    /// Whether the ledger keeps its promises.
    fn health(&self) -> LedgerHealth;

    /// Writes a backup of everything that is durable at one moment, while it goes on working.
    ///
    /// # Errors
    /// [`LedgerError::NotPossible`] when it keeps nothing that could be restored; [`LedgerError::Unavailable`] when it has failed or the
    /// output refuses; [`LedgerError::Damaged`].
    fn back_up(&self, _out: &mut dyn Write) -> Result<BackupSummary, LedgerError> {
        Err(LedgerError::NotPossible("this server keeps its ledger in memory only; there is nothing to back up".to_owned()))
    }

    /// Removes what is older than a time and waits for nothing: from then on it is as if it had never been sent, but for list entries, holds
    /// and bans. Undecided cases, held referrals, and what came after the oldest of them, stay. Returns how many records were removed.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] and [`LedgerError::Damaged`]; what was removed until then is removed.
    fn forget_before(&self, _horizon: Timestamp) -> Result<u64, LedgerError> {
        Ok(0)
    }

    /// How it is doing inside, for an operator's metrics. Empty when there is nothing to tell.
    fn readings(&self) -> Vec<Reading> {
        Vec::new()
    }
}
