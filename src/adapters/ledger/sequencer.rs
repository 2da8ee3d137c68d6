//! The sequencer: executes the commands of the ledger on disk one after the other. It reads what is durable and what is staged, makes the
//! event, folds it, and hands record and rows to the committer. It never waits for the disk and never shows anything. The ledger on disk runs
//! it on a thread of its own.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::event::{ConversionScreened, Event};
use super::fold::{self, ReadProfiles};
use super::plan::Plan;
use super::rows::Row;
use super::rows::conversion::ConversionRow;
use super::rows::index::ShelfWrite;
use super::stage::{self, Programme, Stage, unavailable};
use super::tables::{Keys, Tables, WriteTables};
use super::{codec, reads};
use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::group::{Committer, Permit, Staged};
use crate::adapters::storage::journal::Journal;
use crate::adapters::storage::memtable::TableRow;
use crate::adapters::storage::record::{Entry, ProgrammeNumber};
use crate::book::command::Assessor;
use crate::book::records::{Cursor, DecisionRecord};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::ProgramId;

/// What the sequencer does for one command.
pub(super) type Job = Box<dyn FnOnce(&mut Sequencer) + Send>;

/// What comes back from the sequencer.
pub(super) enum Reply<A> {
    /// It was written, and is durable.
    Done(A),
    /// It was done before, at this place, which may not be durable yet.
    Known(Cursor),
}

pub(super) type ReplySender<A> = oneshot::Sender<Result<Reply<A>, LedgerError>>;

/// The keys of a programme; those of none for one that holds nothing.
pub(super) fn keys_of(programme: Option<&Programme>) -> Keys {
    Keys(programme.map_or(0, |programme| programme.number.get()))
}

/// A command on its way through the sequencer.
pub(super) struct Execution<A> {
    pub(super) program: ProgramId,
    pub(super) permit: Permit,
    pub(super) reply: ReplySender<A>,
}

/// The tables as a command sees them: durable rows, staged rows, and its own.
pub(super) struct Executing {
    stage: Arc<Stage>,
    writes: HashSet<TableRow, foldhash::fast::RandomState>,
}

/// Rows that a usual conversion writes: about thirty. More make the map grow.
const ROWS_EXPECTED: usize = 56;

impl Executing {
    /// What is durable and staged, and nothing of its own yet.
    pub(super) fn over(stage: Arc<Stage>) -> Self {
        Self { stage, writes: HashSet::with_capacity_and_hasher(ROWS_EXPECTED, foldhash::fast::RandomState::default()) }
    }
}

impl Tables for Executing {
    fn read<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, LedgerError> {
        match self.writes.get(key) {
            Some(row) => Ok(look(row.value())),
            None => self.stage.read_staged(key, look),
        }
    }
}

impl WriteTables for Executing {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        self.writes.replace(TableRow::of(key, value).map_err(stage::table_error)?);
        Ok(())
    }
}

/// Executes commands, one after the other. Lives on its own thread.
pub(super) struct Sequencer {
    pub(super) stage: Arc<Stage>,
    pub(super) committer: Arc<Committer>,
    pub(super) journal: Arc<Journal>,
    pub(super) assessor: Arc<dyn Assessor>,
    /// The last record of each programme, durable or staged.
    pub(super) last: HashMap<ProgrammeNumber, u64>,
    /// Executed, and not yet handed over.
    pub(super) outbox: Vec<Staged>,
}

/// Commands that are handed over at once, at most. Judgement: half of what a busy server has under way, so that one half is executed while
/// the other becomes durable.
const HAND_OVER_MAX: usize = 64;
/// What was executed waits for no more commands than are executed within this time: where history comes from the disk, a command takes a millisecond.
const HAND_OVER_WITHIN: Duration = Duration::from_millis(5);

impl Sequencer {
    /// Executes commands until no more can come.
    ///
    /// What waits already is executed before the committer hears of any of it: the busier the server, the more decisions share one sync,
    /// one wake-up and one batch of answers. Nobody waits for a command that is not there yet.
    pub(super) fn run_all(&mut self, jobs: &mpsc::Receiver<Job>) {
        while let Ok(first) = jobs.recv() {
            let began = Instant::now();
            self.contain(first);
            while self.outbox.len() < HAND_OVER_MAX
                && began.elapsed() < HAND_OVER_WITHIN
                && let Ok(next) = jobs.try_recv()
            {
                self.contain(next);
            }
            self.hand_over();
        }
    }

    /// Lets the committer have what was executed.
    pub(super) fn hand_over(&mut self) {
        self.committer.stage_all(self.outbox.drain(..));
    }

    /// A panic of an assessor ends its command and not the ledger: nothing was staged yet.
    fn contain(&mut self, job: Job) {
        drop(catch_unwind(AssertUnwindSafe(|| job(self))));
    }

    /// Plans a command and, when there is something to write, stages it. `answer` makes the answer from the tables after the event.
    pub(super) fn run<A: Send + 'static>(
        &mut self,
        execution: Execution<A>,
        plan: impl FnOnce(&Executing, Keys) -> Result<Plan, LedgerError>,
        answer: impl FnOnce(&Executing, Keys, Event, Cursor) -> Result<A, LedgerError>,
    ) {
        let Execution { program, permit, reply } = execution;
        let tables = Executing::over(Arc::clone(&self.stage));
        let planned = plan(&tables, keys_of(self.stage.programme(&program).as_deref()));
        let result = match planned {
            Ok(Plan::Known(cursor)) => Ok(Reply::Known(cursor)),
            Ok(Plan::Commit(event, read)) => match self.prepare(&program, tables, event, read, answer) {
                Ok(prepared) => {
                    self.stage(prepared, permit, reply);
                    return;
                }
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        // Whoever is answered may rely on all earlier commands being with the committer; simulations do.
        self.hand_over();
        // Nobody may be waiting any more; the command had no effect.
        drop(reply.send(result));
    }

    /// Everything that can go wrong before anything is changed.
    fn prepare<A>(
        &mut self,
        program: &ProgramId,
        mut tables: Executing,
        event: Event,
        read: Box<ReadProfiles>,
        answer: impl FnOnce(&Executing, Keys, Event, Cursor) -> Result<A, LedgerError>,
    ) -> Result<Prepared<A>, LedgerError> {
        let programme = self.stage.programme_or_new(program, &self.journal)?;
        let cursor = self.last.get(&programme.number).copied().unwrap_or(0) + 1;
        let keys = Keys(programme.number.get());
        let shelves = fold::apply_after(*read, &mut tables, keys, cursor, &event)?;
        let side = shelves.iter().map(|write| stage::side_write(write, cursor)).collect();
        let entry = Entry { programme: programme.number, seq: cursor, payload: codec::encode(&event), side };
        entry.check_limits().map_err(|error| LedgerError::NotPossible(error.to_string()))?;
        let answer = answer(&tables, keys, event, Cursor(cursor))?;
        Ok(Prepared { entry, programme, rows: tables.writes.into_iter().collect(), shelves, answer })
    }

    fn stage<A: Send + 'static>(&mut self, prepared: Prepared<A>, permit: Permit, reply: ReplySender<A>) {
        let Prepared { entry, programme, rows, shelves, answer } = prepared;
        let cursor = entry.seq;
        self.last.insert(entry.programme, cursor);
        self.stage.put_on(&rows, cursor);
        let stage = Arc::clone(&self.stage);
        let done = move |result: Result<(), StorageError>| {
            let shown = match result {
                Ok(()) => {
                    stage.publish(&programme, cursor, rows, shelves);
                    Ok(Reply::Done(answer))
                }
                Err(error) => {
                    stage.poison(&programme, &error.to_string());
                    Err(unavailable(error))
                }
            };
            // The caller may have given up; the record is kept all the same.
            drop(reply.send(shown));
        };
        self.outbox.push(Staged { permit, entry, done: Box::new(done) });
    }
}

/// A command that is ready to be staged.
struct Prepared<A> {
    entry: Entry,
    programme: Arc<Programme>,
    rows: Vec<TableRow>,
    shelves: Vec<ShelfWrite>,
    answer: A,
}

/// The answer to a conversion that was screened just now.
pub(super) fn screened(tables: &Executing, keys: Keys, event: Event) -> Result<Box<DecisionRecord>, LedgerError> {
    let lost = || LedgerError::Damaged("a conversion became something else".to_owned());
    let Event::ConversionScreened(screened) = event else { return Err(lost()) };
    let ConversionScreened { conversion, decision, .. } = *screened;
    let row = ConversionRow::load(tables, &keys.conversion(&conversion.conversion_id))?.ok_or_else(lost)?;
    reads::record_of(tables, keys, conversion, decision, &row).map(Box::new)
}
