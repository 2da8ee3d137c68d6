//! The ledger on disk: the journal in sled is the truth, the tables beside it are its fold. Nothing is answered before it is durable, and
//! nothing is shown before it is answered for.
//!
//! One thread, the sequencer, executes commands one after the other against what is durable plus what is staged. The committer makes
//! groups of records durable with one sync; only then their rows move from the stage to the tables, and their callers are answered.
//! Called through the port by the service.

use std::io::Write;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use futures::executor::block_on;
use futures::future::BoxFuture;
use tokio::sync::oneshot;

use super::fold;
use super::memory::decided;
use super::open::{self, LedgerOptions, OpenError};
use super::plan::{self, Plan};
use super::reads::View;
use super::retention;
use super::rows::Row;
use super::rows::account::Meta;
use super::rows::lists::Listed;
use super::sequencer::{Executing, Execution, Job, Reply, Sequencer, keys_of, screened};
use super::shown::{SledRecords, SledShelves};
use super::stage::{self, Stage, unavailable};
use super::tables::Keys;
use crate::adapters::storage::backup;
use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::group::{Committer, Durability};
use crate::adapters::storage::journal::Journal;
use crate::book::command::{
    Assessor, CaseCommand, HoldCommand, ListCommand, OutcomeCommand, PaidCommand, ScreenCommand, SignalsCommand,
};
use crate::book::query::{CaseFilter, CaseOrder, DecisionFilter, Page, PageRequest};
use crate::book::records::Screened;
use crate::book::records::{
    CaseFile, CaseSummary, Cursor, DecisionRecord, FeedEvent, Freshness, Hold, LabelledConversion, ListEntry, ListSubject,
    QueueStats,
};
use crate::ports::ledger::{Answer, Ledger, LedgerError, LedgerHealth};
use crate::ports::ledger::{BackupSummary, ProgramSummary, Reading};
use crate::screening::decision::Verdict;
use crate::screening::gate::Standing;
use crate::screening::history::ListKind;
use crate::vocabulary::ids::{CaseId, ConversionId, ProgramId, RewardId};
use crate::vocabulary::time::Timestamp;

/// The ledger on disk.
pub struct SledLedger {
    stage: Arc<Stage>,
    committer: Arc<Committer>,
    journal: Arc<Journal>,
    assessor: Arc<dyn Assessor>,
    /// Absent once the ledger is being closed.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl SledLedger {
    /// Opens the ledger in a folder, which is made when it is not there.
    ///
    /// # Errors
    /// [`OpenError`]: nothing that was acknowledged is changed; the message says what to do.
    pub fn open(folder: &Path, options: LedgerOptions, assessor: Arc<dyn Assessor>) -> Result<Self, OpenError> {
        Self::open_through(folder, options, assessor, |journal| journal)
    }

    /// Opens the ledger with something between its committer and its journal: a disk that is slow, fails or tears, in simulations.
    ///
    /// # Errors
    /// As [`SledLedger::open`].
    pub fn open_through<D: Durability + 'static>(
        folder: &Path,
        options: LedgerOptions,
        assessor: Arc<dyn Assessor>,
        through: impl FnOnce(Arc<Journal>) -> D,
    ) -> Result<Self, OpenError> {
        let group = options.group.clone();
        let opened = open::open(folder, options)?;
        let durable = opened.stage.last_of_all();
        let committer = Arc::new(Committer::start(through(Arc::clone(&opened.journal)), group, durable.clone())?);
        let (jobs, queue) = mpsc::channel::<Job>();
        let mut sequencer = Sequencer {
            stage: Arc::clone(&opened.stage),
            committer: Arc::clone(&committer),
            journal: Arc::clone(&opened.journal),
            assessor: Arc::clone(&assessor),
            last: durable.into_iter().collect(),
            outbox: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("ledger-sequencer".into())
            .spawn(move || sequencer.run_all(&queue))
            .map_err(|e| StorageError::Io { doing: "starting the sequencer", reason: e.to_string() })?;
        let stage::Opened { stage, journal } = opened;
        Ok(Self { stage, committer, journal, assessor, jobs: Some(jobs), thread: Some(thread) })
    }

    /// Hands a command to the sequencer, once there is a place for it.
    fn execute<A: Send + 'static>(
        &self,
        program: &ProgramId,
        plan: impl FnOnce(&mut Sequencer, Execution<A>) + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<Reply<A>, LedgerError>>, LedgerError> {
        self.stage.refuse_what_cannot_be_kept()?;
        let permit = self.committer.admit().map_err(unavailable)?;
        let (reply, answer) = oneshot::channel();
        let execution = Execution { program: program.clone(), permit, reply };
        let job: Job = Box::new(move |sequencer| plan(sequencer, execution));
        self.send(job)?;
        Ok(answer)
    }

    /// Executes a command that is answered with its place.
    fn place(
        &self,
        program: ProgramId,
        plan: impl FnOnce(&Executing, Keys) -> Result<Plan, LedgerError> + Send + 'static,
    ) -> Answer<'_, (Cursor, Freshness)> {
        Box::pin(async move {
            let answer = self.execute(&program, |sequencer, execution| {
                sequencer.run(execution, plan, |_, _, _, cursor| Ok(cursor));
            })?;
            match received(answer.await)? {
                Reply::Done(cursor) => Ok((cursor, Freshness::New)),
                Reply::Known(cursor) => {
                    self.stage.wait_for(&program, cursor).await?;
                    Ok((cursor, Freshness::Replayed))
                }
            }
        })
    }

    /// Waits until every command that was taken before is published.
    fn settled(&self) -> Result<(), LedgerError> {
        let (tell, told) = mpsc::channel();
        let job: Job = Box::new(move |sequencer| {
            sequencer.hand_over();
            // Who asked may have given up.
            drop(tell.send(sequencer.last.clone()));
        });
        self.send(job)?;
        let last = told.recv().map_err(|_| closing())?;
        for programme in self.stage.programmes() {
            let cursor = Cursor(last.get(&programme.number).copied().unwrap_or(0));
            block_on(self.stage.wait_for(&programme.id, cursor))?;
        }
        Ok(())
    }

    fn send(&self, job: Job) -> Result<(), LedgerError> {
        self.jobs.as_ref().ok_or_else(closing)?.send(job).map_err(|_| closing())
    }

    fn show<A>(
        &self,
        program: &ProgramId,
        read: impl FnOnce(View<'_, Stage, SledRecords<'_>, SledShelves<'_>>) -> Result<A, LedgerError>,
    ) -> Result<A, LedgerError> {
        let programme = self.stage.programme(program);
        let records = SledRecords::of(&self.stage, programme.as_deref());
        let shelves = SledShelves::of(&self.stage, programme.as_deref());
        let keys = keys_of(programme.as_deref());
        read(View { tables: &*self.stage, keys, records: &records, shelves: &shelves })
    }
}

impl Drop for SledLedger {
    /// Lets what was taken finish, and writes a checkpoint, so that the next opening is quick.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic has been printed; there is nobody left to tell.
            drop(thread.join());
        }
        self.committer.close();
        self.stage.checkpoint_and_settle();
    }
}

fn closing() -> LedgerError {
    LedgerError::Unavailable("the ledger is closing".to_owned())
}

fn received<A>(answer: Result<Result<Reply<A>, LedgerError>, oneshot::error::RecvError>) -> Result<Reply<A>, LedgerError> {
    answer
        .unwrap_or_else(|_| Err(LedgerError::Unavailable("the command was given up; send it again with the same id".to_owned())))
}

impl Ledger for SledLedger {
    fn screen(&self, command: ScreenCommand) -> Answer<'_, Screened> {
        Box::pin(async move {
            let program = command.conversion.program_id.clone();
            let conversion_id = command.conversion.conversion_id.clone();
            let answer = self.execute(&program, |sequencer, execution| {
                let assessor = Arc::clone(&sequencer.assessor);
                sequencer.run(
                    execution,
                    |tables, keys| plan::screen(tables, keys, command, &*assessor),
                    |tables, keys, event, _| screened(tables, keys, event),
                );
            })?;
            match received(answer.await)? {
                Reply::Done(record) => Ok(Screened { record, freshness: Freshness::New }),
                Reply::Known(cursor) => {
                    self.stage.wait_for(&program, cursor).await?;
                    let gone = || LedgerError::NotPossible("the decision was made before and is not kept any more".to_owned());
                    let record = self.decision(&program, &conversion_id)?.ok_or_else(gone)?;
                    Ok(Screened { record: Box::new(record), freshness: Freshness::Replayed })
                }
            }
        })
    }

    fn record_signals(&self, command: SignalsCommand) -> Answer<'_, (Cursor, Freshness)> {
        self.place(command.program_id.clone(), |tables, keys| plan::signals(tables, keys, command))
    }

    fn record_outcome(&self, command: OutcomeCommand) -> Answer<'_, (Cursor, Freshness)> {
        self.place(command.outcome.program_id.clone(), |tables, keys| plan::outcome(tables, keys, command))
    }

    fn step_case(&self, command: CaseCommand) -> Answer<'_, CaseSummary> {
        Box::pin(async move {
            let (program, case, at) = (command.program_id.clone(), command.case_id.clone(), command.at);
            let due_after = self.assessor.due_after(&program);
            let answer = self.execute(&program, move |sequencer, execution| {
                let stage = Arc::clone(&sequencer.stage);
                let programme = stage.programme(&execution.program);
                let records = SledRecords::of(&stage, programme.as_deref());
                sequencer.run(
                    execution,
                    |tables, keys| {
                        plan::step(tables, keys, command, due_after, |cursor| match &programme {
                            Some(programme) if stage.keeps(programme, cursor)? => decided(&records, cursor),
                            _ => Ok(None),
                        })
                    },
                    |tables, keys, _, _| Ok(plan::case_of(tables, keys, &case)?.summary(at)),
                );
            })?;
            match received(answer.await)? {
                Reply::Done(summary) => Ok(summary),
                Reply::Known(_) => Err(LedgerError::Damaged("a step was taken for a repeat".to_owned())),
            }
        })
    }

    fn mark_paid(&self, command: PaidCommand) -> Answer<'_, (Cursor, Freshness)> {
        self.place(command.program_id.clone(), |tables, keys| plan::paid(tables, keys, command))
    }

    fn change_hold(&self, command: HoldCommand) -> Answer<'_, (Cursor, Freshness)> {
        let (stage, program) = (Arc::clone(&self.stage), command.program_id.clone());
        let keeps = move |cursor| stage.programme(&program).map_or(Ok(false), |programme| stage.keeps(&programme, cursor));
        self.place(command.program_id.clone(), |tables, keys| plan::hold(tables, keys, command, keeps))
    }

    fn change_list(&self, command: ListCommand) -> Answer<'_, (Cursor, Freshness)> {
        self.place(command.program_id.clone(), |tables, keys| plan::list(tables, keys, command))
    }

    fn decision(&self, program: &ProgramId, conversion: &ConversionId) -> Result<Option<DecisionRecord>, LedgerError> {
        self.show(program, |view| view.decision(conversion))
    }

    fn decisions(
        &self,
        program: &ProgramId,
        filter: &DecisionFilter,
        page: &PageRequest,
    ) -> Result<Page<DecisionRecord>, LedgerError> {
        self.show(program, |view| view.decisions(filter, page))
    }

    fn cases(
        &self,
        program: &ProgramId,
        filter: &CaseFilter,
        order: CaseOrder,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CaseSummary>, LedgerError> {
        self.show(program, |view| view.cases(filter, order, page, now))
    }

    fn case(&self, program: &ProgramId, case: &CaseId, now: Timestamp) -> Result<Option<CaseFile>, LedgerError> {
        self.show(program, |view| view.case(case, now))
    }

    fn queue_stats(&self, program: &ProgramId, now: Timestamp) -> Result<QueueStats, LedgerError> {
        self.show(program, |view| view.queue_stats(now))
    }

    /// What is durable; where something that is not durable yet would change it, the conversion stands in review, so that the gate holds.
    fn standings(&self, program: &ProgramId, payouts: &[(RewardId, ConversionId)]) -> Result<Vec<Option<Standing>>, LedgerError> {
        self.show(program, |view| {
            let mut durable = view.standings(payouts)?;
            if self.stage.nothing_staged() {
                return Ok(durable);
            }
            let tables = Executing::over(Arc::clone(&self.stage));
            let staged = View { tables: &tables, keys: view.keys, records: view.records, shelves: view.shelves };
            for (shown, coming) in durable.iter_mut().zip(staged.standings(payouts)?) {
                if let Some(standing) = shown
                    && Some(&*standing) != coming.as_ref()
                {
                    standing.verdict = Verdict::InReview;
                    standing.cancelled_at = None;
                }
            }
            Ok(durable)
        })
    }

    fn feed(&self, program: &ProgramId, after: Cursor, limit: usize) -> Result<(Vec<FeedEvent>, Cursor), LedgerError> {
        self.show(program, |view| view.feed(after, limit))
    }

    fn grown_past<'a>(&'a self, program: &'a ProgramId, cursor: Cursor) -> BoxFuture<'a, ()> {
        Box::pin(self.stage.grown_past(program, cursor))
    }

    fn holds(&self, program: &ProgramId, page: &PageRequest) -> Result<Page<Hold>, LedgerError> {
        self.show(program, |view| view.holds(page))
    }

    fn list_entries(
        &self,
        program: &ProgramId,
        list: Option<ListKind>,
        page: &PageRequest,
    ) -> Result<Page<ListEntry>, LedgerError> {
        self.show(program, |view| view.list_entries(list, page))
    }

    fn list_entry(&self, program: &ProgramId, list: ListKind, subject: &ListSubject) -> Result<Option<ListEntry>, LedgerError> {
        self.show(program, |view| {
            let listed = Listed::load(view.tables, &fold::listed_key(view.keys, subject))?.unwrap_or_default();
            Ok(listed.on(list).map(|(entry, _)| entry.clone()))
        })
    }

    fn labelled(
        &self,
        program: &ProgramId,
        after: Cursor,
        limit: usize,
    ) -> Result<(Vec<LabelledConversion>, Cursor), LedgerError> {
        self.show(program, |view| view.labelled(after, limit))
    }

    fn programs(&self) -> Result<Vec<ProgramSummary>, LedgerError> {
        let mut summaries = Vec::new();
        for programme in self.stage.programmes() {
            let meta = Meta::load(&*self.stage, &Keys(programme.number.get()).meta())?.unwrap_or_default();
            let last_cursor = Cursor(programme.last());
            if last_cursor > Cursor(0) {
                summaries.push(ProgramSummary { program_id: programme.id.clone(), last_cursor, accounts: meta.accounts });
            }
        }
        Ok(summaries)
    }

    fn health(&self) -> LedgerHealth {
        let failure = self.stage.failure().or_else(|| self.committer.failure().map(|error| error.to_string()));
        failure.map_or(LedgerHealth::Serving, |reason| {
            LedgerHealth::Poisoned(format!("{reason}; stop the server, see that the disk is well, and start it again"))
        })
    }

    fn back_up(&self, mut out: &mut dyn Write) -> Result<BackupSummary, LedgerError> {
        let backup::BackupSummary { through: _, records, side_entries, size_bytes, digest_hex: digest } =
            backup::backup(&self.journal, &mut out).map_err(unavailable)?;
        Ok(BackupSummary { records, side_entries, size_bytes, digest })
    }

    fn forget_before(&self, horizon: Timestamp) -> Result<u64, LedgerError> {
        retention::forget(&self.stage, &self.journal, horizon, || self.settled())
    }

    fn readings(&self) -> Vec<Reading> {
        self.stage.readings()
    }
}
