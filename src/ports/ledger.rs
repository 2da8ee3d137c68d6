//! The ledger as the service sees it: what must never be lost, behind domain operations.
//!
//! Every command is one atomic, durable write that is answered only when it would survive a power cut. Commands of one programme happen
//! one after the other, so that two conversions that race on a device cannot both be the first. What is shown is durable.

use std::io::Write;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::book::command::{CaseCommand, HoldCommand, ListCommand, OutcomeCommand, PaidCommand, ScreenCommand, SignalsCommand};
use crate::book::query::{CaseFilter, CaseOrder, DecisionFilter, Page, PageRequest};
use crate::book::records::{
    CaseFile, CaseSummary, Cursor, DecisionRecord, FeedEvent, Freshness, Hold, LabelledConversion, ListEntry, ListSubject,
    QueueStats, Screened,
};
use crate::screening::case::IllegalStep;
use crate::screening::gate::Standing;
use crate::screening::history::ListKind;
use crate::vocabulary::ids::{CaseId, ConversionId, ProgramId, RewardId};
use crate::vocabulary::time::Timestamp;

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

/// A number that tells an operator how a ledger is doing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Its name as a metric, without a prefix; the last word is the unit.
    pub name: &'static str,
    /// The number.
    pub value: f64,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// Journal records.
    pub records: u64,
    /// Entries beside the records.
    pub side_entries: u64,
    /// Size before the trailer. Unit: bytes.
    pub size_bytes: u64,
    /// BLAKE3 of everything before the trailer, hexadecimal.
    pub digest: String,
}

/// A programme's name with the number of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramSummary {
    /// The programme.
    pub program_id: ProgramId,
    /// Its last journal position.
    pub last_cursor: Cursor,
    /// Accounts known.
    pub accounts: u32,
}

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
