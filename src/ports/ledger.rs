//! The ledger as the service sees it: what must never be lost, behind domain operations.
//!
//! Every command is one atomic, durable write that is answered only when it would survive a power cut. Commands of one programme happen
//! one after the other, so that two conversions that race on a device cannot both be the first. What is shown is durable.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::journal::{BackupSummary, Reach};
use crate::book::account_file::AccountFile;
use crate::book::acts::{Confirmation, PendingAct};
use crate::book::clusters::{ClusterFile, ClusterSummary};
use crate::book::command::{
    Acted, CaseCommand, CasesCommand, CasesStep, Command, Executed, HoldCommand, ListCommand, OutcomeCommand, PaidCommand,
    ScreenCommand, SignalsCommand,
};
use crate::book::cursor::FeedCursor;
use crate::book::directory::Directory;
use crate::book::intake::{IntakeAnswer, IntakeQuestion};
use crate::book::models::ProgramModels;
use crate::book::plan::Previewed;
use crate::book::query::{CaseFilter, CaseOrder, DecisionFilter, Page, PageRequest};
use crate::book::records::{
    CaseFile, CaseSummary, Cursor, DecisionRecord, FeedEvent, Freshness, Hold, LabelledConversion, ListEntry, ListSubject,
    PendingOutcome, QueueStats, Screened, TakenMessage,
};
use crate::book::rekeying::KeyShare;
use crate::book::terms::ProgramTerms;
use crate::book::{MessageKind, Refusal};
use crate::screening::gate::Standing;
use crate::screening::history::ListKind;
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, ProgramId, RecordId, RewardId};
use crate::vocabulary::time::{Span, Timestamp};

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
    /// The book does not do what was asked.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What came right after the cursor was removed by retention.
    #[error(
        "the records after this cursor were removed by retention; the oldest that is left is {oldest}: begin again without a cursor"
    )]
    CursorForgotten {
        /// The oldest place that is left.
        oldest: u64,
    },
    /// The cursor does not lead to what is here: it is of another ledger or programme, or of this one before a backup was restored.
    #[error(
        "the cursor {after} is not of this ledger as it is now, whose feed ends at place {end}: it was given by another ledger or for another programme, or a backup was restored since. Going on from it could skip events: begin again without a cursor, or from one that this ledger gave"
    )]
    CursorOfOther {
        /// The cursor.
        after: FeedCursor,
        /// The newest place here; 0 when there is none.
        end: u64,
    },
    /// Too much is waiting to be written.
    #[error("too many writes are waiting; try again in {} ms", retry_after.as_millis())]
    Busy {
        /// When trying again is worth it.
        retry_after: Duration,
    },
    /// What is known takes more memory than it may.
    #[error(
        "the ledger takes {used_bytes} bytes of memory, more than the {budget_bytes} it may; raise `ledger.memory_mib`, lower `ledger.cold_after_days`, or keep less with `retention.days`"
    )]
    OverBudget {
        /// What it takes.
        used_bytes: usize,
        /// What it may.
        budget_bytes: usize,
    },
    /// Writing failed; whether this command was kept is not known, so retry it with the same id.
    #[error("the ledger cannot be written: {0}")]
    Unavailable(String),
    /// Another process holds the programme; nothing was done.
    #[error("another replica, {address}, answers for this programme")]
    HeldElsewhere {
        /// Where that process is reached.
        address: String,
        /// When asking here again may help.
        retry_after: Duration,
    },
    /// A stored record cannot be read.
    #[error("a stored record is damaged: {0}")]
    Damaged(String),
}

/// Who answers for the programmes of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answerers {
    /// The process that opened it.
    ThisProcess,
    /// Whichever process holds the programme: the others say [`LedgerError::HeldElsewhere`].
    ManyProcesses,
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

/// Under which keys the values of a programme are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyReport {
    /// The keys.
    pub keys: BTreeMap<KeyId, KeyShare>,
    /// Values that are cold, and counted under no key.
    pub values_cold: u64,
}

/// An entry of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailLine {
    /// The place of its record.
    pub place: Cursor,
    /// SHA-256 of its canonical text.
    pub leaf: [u8; 32],
    /// Its canonical text: the JSON form of a [`crate::book::trail::TrailEntry`]. Absent when retention left the hash alone.
    pub text: Option<String>,
    /// BLAKE3 of its record, where an erasure rewrote that.
    pub rewritten: Option<[u8; 32]>,
    /// Records that an erasure rewrote which it ended, with BLAKE3 of what they hold since.
    pub vouches: Vec<(Cursor, [u8; 32])>,
}

/// A part of an audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailPart {
    /// The place of the oldest entry that anything is left of; of a part that begins later, of the oldest record.
    pub first: Cursor,
    /// The place of the newest.
    pub end: Cursor,
    /// The entries, in the direction that was asked for.
    pub lines: Vec<TrailLine>,
    /// Whether an erasure is under way.
    pub erasing: bool,
}

/// The ledger. Shared by all handlers; every implementation passes `tests/ledger_conformance`.
pub trait Ledger: Send + Sync {
    /// Does what a command asks, as one atomic and durable write, or finds that it was done before and answers as then.
    ///
    /// # Errors
    /// [`LedgerError::Refused`], [`LedgerError::Busy`], [`LedgerError::OverBudget`], [`LedgerError::Unavailable`], [`LedgerError::Damaged`].
    fn execute(&self, command: Command) -> Answer<'_, Executed>;

    /// Screens a conversion: reads its history, lets the assessor decide, commits all at once. The same id with the same content gives
    /// the first answer again.
    fn screen(&self, command: ScreenCommand) -> Answer<'_, Screened> {
        self.screened(Command::Screen(Box::new(command)))
    }

    /// Does what a command asks that screens a conversion, perhaps as somebody's.
    fn screened(&self, command: Command) -> Answer<'_, Screened> {
        Box::pin(async move {
            let Executed { freshness, done, cursor: _ } = self.execute(command).await?;
            let gone = || Refusal::NotPossible("the decision was made before and was removed by retention".to_owned());
            Ok(Screened { record: done.screened().ok_or_else(gone)?, freshness })
        })
    }

    /// Adds signals to the profiles of accounts. Idempotent on the record id.
    fn record_signals(&self, command: SignalsCommand) -> Answer<'_, (Option<FeedCursor>, Freshness)> {
        self.recorded(Command::RecordSignals(command))
    }

    /// Records an outcome, cancels what it concerns and is unpaid, and keeps it as a label. Idempotent on the outcome id. What it is about need not
    /// be known yet.
    fn record_outcome(&self, command: OutcomeCommand) -> Answer<'_, (Option<FeedCursor>, Freshness)> {
        self.recorded(Command::RecordOutcome(command))
    }

    /// Steps a case.
    fn step_case(&self, command: CaseCommand) -> Answer<'_, CaseSummary> {
        Box::pin(async move {
            let executed = self.execute(Command::StepCase(Box::new(command), None)).await?;
            let gone = || Refusal::NotPossible("the step was made before and was removed by retention".to_owned());
            Ok(executed.done.stepped().ok_or_else(gone)?)
        })
    }

    /// Makes one step on several cases, as far as each is as it was seen. Idempotent on the call.
    fn step_cases(&self, command: CasesCommand) -> Answer<'_, Vec<Acted>> {
        Box::pin(async move {
            let executed = self.execute(Command::StepCases(Box::new(command))).await?;
            let gone = || Refusal::NotPossible("the step was made before and was removed by retention".to_owned());
            Ok(executed.done.acted().ok_or_else(gone)?)
        })
    }

    /// Records that a reward was paid. Repeating it changes nothing.
    fn mark_paid(&self, command: PaidCommand) -> Answer<'_, (Option<FeedCursor>, Freshness)> {
        self.recorded(Command::MarkPaid(command))
    }

    /// Places or lifts a hold. Repeating it changes nothing.
    fn change_hold(&self, command: HoldCommand) -> Answer<'_, (Option<FeedCursor>, Freshness)> {
        self.recorded(Command::ChangeHold(command))
    }

    /// Writes or removes a list entry. Repeating it changes nothing.
    fn change_list(&self, command: ListCommand) -> Answer<'_, (Option<FeedCursor>, Freshness)> {
        self.recorded(Command::ChangeList(command))
    }

    /// Does what a command asks whose answer needs no words beside its place.
    fn recorded(&self, command: Command) -> Answer<'_, (Option<FeedCursor>, Freshness)> {
        Box::pin(async move {
            let Executed { cursor, freshness, done: _ } = self.execute(command).await?;
            Ok((cursor, freshness))
        })
    }

    /// The decision of a conversion; `None` when it was never screened.
    fn decision<'a>(&'a self, program: &'a ProgramId, conversion: &'a ConversionId) -> Answer<'a, Option<DecisionRecord>>;

    /// What was taken under the id of a message beside conversions, and where it stands; `None` when nothing was, or it is not kept any more.
    fn taken<'a>(
        &'a self,
        program: &'a ProgramId,
        kind: MessageKind,
        id: &'a RecordId,
    ) -> Answer<'a, Option<(FeedCursor, TakenMessage)>>;

    /// Decisions, newest first.
    fn decisions<'a>(
        &'a self,
        program: &'a ProgramId,
        filter: &'a DecisionFilter,
        page: &'a PageRequest,
    ) -> Answer<'a, Page<DecisionRecord>>;

    /// Cases in the order asked for. `now` tells which leases run.
    fn cases<'a>(
        &'a self,
        program: &'a ProgramId,
        filter: &'a CaseFilter,
        order: CaseOrder,
        page: &'a PageRequest,
        now: Timestamp,
    ) -> Answer<'a, Page<CaseSummary>>;

    /// Everything about a case; `None` when there is none.
    fn case<'a>(&'a self, program: &'a ProgramId, case: &'a CaseId, now: Timestamp) -> Answer<'a, Option<CaseFile>>;

    /// Everything about an account, with a page of its conversions as the referrer; `None` when it is not known.
    fn account<'a>(
        &'a self,
        program: &'a ProgramId,
        account: &'a AccountId,
        page: &'a PageRequest,
        now: Timestamp,
    ) -> Answer<'a, Option<AccountFile>>;

    /// Undecided cases that are to be looked at together, those of which paying out would lose most first.
    fn clusters<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest, now: Timestamp) -> Answer<'a, Page<ClusterSummary>>;

    /// The cluster that an account is in; `None` when no undecided case leads to it.
    fn cluster<'a>(&'a self, program: &'a ProgramId, account: &'a AccountId, now: Timestamp) -> Answer<'a, Option<ClusterFile>>;

    /// What a step on several cases would come to, in the order in which they are named: by an actor, in a programme that asks a second identity for
    /// this. Nothing is changed.
    fn preview<'a>(
        &'a self,
        program: &'a ProgramId,
        act: CasesStep,
        cases: &'a [CaseId],
        by: (&'a Actor, Option<&'a Confirmation>),
        now: Timestamp,
    ) -> Answer<'a, Vec<Previewed>>;

    /// The queue in numbers.
    fn queue_stats<'a>(&'a self, program: &'a ProgramId, now: Timestamp) -> Answer<'a, QueueStats>;

    /// What the gate needs to know of each reward and the conversion that is said to have earned it, in order; `None` for an unknown
    /// conversion, and for one that retention removed. A reward that was paid for another conversion counts as paid. All of it
    /// is of one moment, and durable; where the journal takes nothing more, what never became durable stands in review, so that the gate holds.
    fn standings<'a>(
        &'a self,
        program: &'a ProgramId,
        payouts: &'a [(RewardId, ConversionId)],
    ) -> Answer<'a, Vec<Option<Standing>>>;

    /// Feed events after a cursor, or from the oldest that is left; oldest first, all durable, at most `limit` journal records' worth, with the
    /// cursor up to which was read (which may be past the last event). With a limit of 0 the cursor is only looked at.
    ///
    /// # Errors
    /// [`LedgerError::CursorForgotten`], and [`LedgerError::CursorOfOther`] unless everything up to the cursor is here as it was where it was given:
    /// so whoever read up to the point of a backup goes on after its restore, and whoever read further is told.
    fn feed<'a>(
        &'a self,
        program: &'a ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Answer<'a, (Vec<FeedEvent>, FeedCursor)>;

    /// Completes once something durable lies past the cursor. May complete early; the caller reads again.
    fn grown_past<'a>(&'a self, program: &'a ProgramId, cursor: Cursor) -> BoxFuture<'a, ()>;

    /// Outcomes that wait for what they are about, ordered by id.
    fn pending_outcomes<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest) -> Answer<'a, Page<PendingOutcome>>;

    /// Holds in force, ordered by id.
    fn holds<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest) -> Answer<'a, Page<Hold>>;

    /// List entries, ordered by list and subject.
    fn list_entries<'a>(
        &'a self,
        program: &'a ProgramId,
        list: Option<ListKind>,
        page: &'a PageRequest,
    ) -> Answer<'a, Page<ListEntry>>;

    /// Acts that wait for a second identity at a time, the oldest first.
    fn pending_acts<'a>(&'a self, program: &'a ProgramId, page: &'a PageRequest, now: Timestamp) -> Answer<'a, Page<PendingAct>>;

    /// One list entry; `None` when there is none.
    fn list_entry<'a>(
        &'a self,
        program: &'a ProgramId,
        list: ListKind,
        subject: &'a ListSubject,
    ) -> Answer<'a, Option<ListEntry>>;

    /// Screened conversions after a cursor with what became known of them and what was recorded before them, oldest first, with the cursor
    /// of the last of them: from there it goes on. Without one, the cursor is the one that was given.
    ///
    /// # Errors
    /// As [`Ledger::feed`].
    fn labelled<'a>(
        &'a self,
        program: &'a ProgramId,
        after: Option<FeedCursor>,
        limit: usize,
    ) -> Answer<'a, (Vec<LabelledConversion>, FeedCursor)>;

    /// A part of the audit trail: entries of a reach, in part. What outlived retention comes in one part.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] names the first record that is not what was written.
    fn trail<'a>(&'a self, program: &'a ProgramId, reach: Reach) -> Answer<'a, TrailPart>;

    /// Does what is left to do of erasures that were asked for, in the programmes that are answered for here: rewrites what holds the signals, makes
    /// the books again without them, and clears from the disk what was there before. Returns how many are done. May wait for the disk.
    ///
    /// # Errors
    /// As [`Ledger::forget_older_than`]. What was not done is done by the next call.
    fn finish_erasures(&self) -> Result<u64, LedgerError>;

    /// Who answers for its programmes.
    fn answerers(&self) -> Answerers {
        Answerers::ThisProcess
    }

    /// The models of a programme: what was chosen, what reviewers found of it, and who changed what. All of it is durable.
    fn models<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, Arc<ProgramModels>>;

    /// The terms of a programme: what it says for itself of policy, payout and retention, and who changed it. All of it is durable.
    fn terms<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, Arc<ProgramTerms>>;

    /// How many values of a programme are known under each key. Walks all of them.
    fn key_use<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, KeyReport>;

    /// The directory: which programmes there are, and who may call. All of it is durable.
    fn directory(&self) -> Answer<'_, Arc<Directory>>;

    /// What senders' own events say, and what is due because of it. All of it is durable.
    fn intake<'a>(&'a self, program: &'a ProgramId, question: &'a IntakeQuestion, now: Timestamp) -> Answer<'a, IntakeAnswer>;

    /// The end of a programme's feed; its beginning when it holds nothing yet.
    fn end<'a>(&'a self, program: &'a ProgramId) -> Answer<'a, FeedCursor>;

    /// The programmes that hold anything and are answered for here, by name. The directory is none.
    fn programs(&self) -> Vec<ProgramSummary>;

    /// Whether the ledger keeps its promises.
    fn health(&self) -> LedgerHealth;

    /// Writes a backup of everything that is durable at one moment, while it goes on working. May wait for the disk.
    ///
    /// # Errors
    /// [`Refusal::NotPossible`] when it keeps nothing that could be restored; [`LedgerError::Unavailable`] when it has failed or the
    /// output refuses; [`LedgerError::Damaged`].
    fn back_up(&self, out: &mut dyn Write) -> Result<BackupSummary, LedgerError>;

    /// Removes what is older than its programme's retention, or than an age where that says none, and waits for nothing: from then on it is as if it had never been sent, but for list entries, holds,
    /// bans, payments, what bars them, and the ids of conversions. Undecided cases, held referrals, and what came after the oldest of them, stay.
    /// Nothing is removed before the longest payout delay of its programme is over. Ages are counted from `now`, or from the newest record where a clock is ahead of it. Returns how many records were removed. May wait for
    /// the disk.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] and [`LedgerError::Damaged`]; what was removed until then is removed.
    fn forget_older_than(&self, age: Option<Span>, now: Timestamp) -> Result<u64, LedgerError>;

    /// How it is doing inside, for an operator's metrics. Empty when there is nothing to tell.
    fn readings(&self) -> Vec<Reading>;
}
