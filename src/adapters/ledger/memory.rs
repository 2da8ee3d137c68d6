//! The ledger in memory: for tests, for offline screening, replay and training. It keeps every promise but survival: nothing outlives it.
//!
//! Called through the port like any ledger, and directly by offline code that has no use for futures.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow, RangeInclusive};
use std::sync::Arc;

use futures::future::BoxFuture;
use parking_lot::RwLock;
use tokio::sync::watch;

use super::event::{ConversionScreened, Event};
use super::fold::{self, ReadProfiles};
use super::history;
use super::plan::{self, Plan};
use super::reads::{self, Direction, EntryVisitor, RecordVisitor, Records, Shelves, View};
use super::rows::Row;
use super::rows::account::Meta;
use super::rows::conversion::ConversionRow;
use super::rows::index::Shelf;
use super::rows::lists::Listed;
use super::tables::{Keys, MemoryTables, ProgramNumber};
use crate::book::command::{
    Assessor, CaseCommand, HoldCommand, ListCommand, OutcomeCommand, PaidCommand, ScreenCommand, SignalsCommand,
};
use crate::book::query::{CaseFilter, CaseOrder, DecisionFilter, Page, PageRequest};
use crate::book::records::Screened;
use crate::book::records::{
    CaseFile, CaseSummary, Cursor, DecisionRecord, FeedEvent, Freshness, Hold, LabelledConversion, ListEntry, ListSubject,
    QueueStats,
};
use crate::ports::ledger::ProgramSummary;
use crate::ports::ledger::{Answer, Ledger, LedgerError, LedgerHealth};
use crate::screening::gate::Standing;
use crate::screening::history::{History, ListKind};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{CaseId, ConversionId, ProgramId, RewardId};
use crate::vocabulary::time::Timestamp;

/// What a ledger in memory keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keeping {
    /// All records: decisions, feed and audit trail can be read.
    #[default]
    Records,
    /// Only what history and standing need. Screening is the same; nothing that was decided can be read again and nothing can be listed, so a
    /// retry of a conversion is answered with [`LedgerError::NotPossible`]. For streaming offline work.
    StateOnly,
}

/// The ledger in memory.
pub struct MemoryLedger {
    assessor: Arc<dyn Assessor>,
    keeping: Keeping,
    state: RwLock<State>,
    commits: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    tables: MemoryTables,
    programs: BTreeMap<ProgramId, ProgramNumber>,
    journals: BTreeMap<ProgramNumber, Journal>,
}

/// The records and shelves of one programme.
#[derive(Default)]
struct Journal {
    last: u64,
    /// The record at place `n` is entry `n - 1`. Empty when only the state is kept.
    events: Vec<Arc<Event>>,
    shelves: BTreeMap<(Shelf, Vec<u8>), Vec<u8>>,
}

static NO_JOURNAL: Journal = Journal { last: 0, events: Vec::new(), shelves: BTreeMap::new() };

impl Records for Journal {
    fn last(&self) -> Result<u64, LedgerError> {
        Ok(self.last)
    }

    fn first(&self) -> Result<u64, LedgerError> {
        Ok(1)
    }

    fn walk(&self, range: RangeInclusive<u64>, direction: Direction, visit: &mut RecordVisitor<'_>) -> Result<(), LedgerError> {
        let kept = self.events.len() as u64;
        let (from, to) = ((*range.start()).max(1), (*range.end()).min(kept));
        let mut at = |cursor: u64| match usize::try_from(cursor - 1).ok().and_then(|place| self.events.get(place)) {
            Some(event) => visit(Cursor(cursor), event),
            None => Ok(ControlFlow::Break(())),
        };
        let mut forward = from..=to;
        loop {
            let next = match direction {
                Direction::Forward => forward.next(),
                Direction::Backward => forward.next_back(),
            };
            let Some(cursor) = next else { return Ok(()) };
            if at(cursor)?.is_break() {
                return Ok(());
            }
        }
    }
}

impl Shelves for Journal {
    fn walk(
        &self,
        shelf: Shelf,
        past: Option<&[u8]>,
        direction: Direction,
        visit: &mut EntryVisitor<'_>,
    ) -> Result<(), LedgerError> {
        walk_shelf(&self.shelves, shelf, past, direction, visit)
    }
}

/// Walks a shelf that is in memory.
pub(super) fn walk_shelf(
    entries: &BTreeMap<(Shelf, Vec<u8>), Vec<u8>>,
    shelf: Shelf,
    past: Option<&[u8]>,
    direction: Direction,
    visit: &mut EntryVisitor<'_>,
) -> Result<(), LedgerError> {
    let past = past.map(|key| Bound::Excluded((shelf, key.to_vec())));
    let first = Bound::Included((shelf, Vec::new()));
    let mut visit = |((of, key), value): (&(Shelf, Vec<u8>), &Vec<u8>)| {
        if *of == shelf { visit(key, value) } else { Ok(ControlFlow::Break(())) }
    };
    let mut each = |entry| visit(entry);
    match direction {
        Direction::Forward => {
            for entry in entries.range((past.unwrap_or(first), Bound::Unbounded)) {
                if each(entry)?.is_break() {
                    break;
                }
            }
        }
        Direction::Backward => {
            for entry in entries.range((first, past.unwrap_or(Bound::Unbounded))).rev().skip_while(|((of, _), _)| *of != shelf) {
                if each(entry)?.is_break() {
                    break;
                }
            }
        }
    }
    Ok(())
}

impl State {
    fn journal(&self, program: &ProgramId) -> (Keys, &Journal) {
        let number = self.programs.get(program).copied().unwrap_or(0);
        (Keys(number), self.journals.get(&number).unwrap_or(&NO_JOURNAL))
    }

    /// The number of a programme, or the one that it would get.
    fn number(&self, program: &ProgramId) -> ProgramNumber {
        let next = || ProgramNumber::try_from(self.programs.len()).unwrap_or(ProgramNumber::MAX).saturating_add(1);
        self.programs.get(program).copied().unwrap_or_else(next)
    }

    fn last(&self, program: &ProgramId) -> u64 {
        self.journal(program).1.last
    }
}

impl MemoryLedger {
    /// An empty ledger that keeps all records.
    #[must_use]
    pub fn new(assessor: Arc<dyn Assessor>) -> Self {
        Self::keeping(assessor, Keeping::Records)
    }

    /// An empty ledger that keeps so much.
    #[must_use]
    pub fn keeping(assessor: Arc<dyn Assessor>, keeping: Keeping) -> Self {
        Self { assessor, keeping, state: RwLock::new(State::default()), commits: watch::Sender::new(0) }
    }

    /// The history that a conversion would be screened with now.
    ///
    /// # Errors
    /// [`LedgerError::Damaged`] when a row cannot be read, which is a mistake in this ledger.
    pub fn observe_now(&self, conversion: &Conversion) -> Result<History, LedgerError> {
        let state = self.state.read();
        history::read(&state.tables, Keys(state.number(&conversion.program_id)), conversion)
    }

    /// Screens a conversion with an assessor of the caller's, without a future.
    ///
    /// # Errors
    /// As [`Ledger::screen`]; [`LedgerError::NotPossible`] for a retry when only the state is kept.
    pub fn screen_now(&self, command: ScreenCommand, assessor: &dyn Assessor) -> Result<Screened, LedgerError> {
        let program = command.conversion.program_id.clone();
        let conversion_id = command.conversion.conversion_id.clone();
        if let Some(record) = self.screen_once(command, assessor)? {
            return Ok(Screened { record, freshness: Freshness::New });
        }
        let gone = || LedgerError::NotPossible("the decision was made before and is not kept".to_owned());
        let record = self.show(&program, |view| view.decision(&conversion_id))?.ok_or_else(gone)?;
        Ok(Screened { record: Box::new(record), freshness: Freshness::Replayed })
    }

    /// Screens a conversion with an assessor of the caller's, without a future. `None` for a retry, of which nothing is read again.
    ///
    /// # Errors
    /// As [`Ledger::screen`].
    pub fn screen_once(
        &self,
        command: ScreenCommand,
        assessor: &dyn Assessor,
    ) -> Result<Option<Box<DecisionRecord>>, LedgerError> {
        let program = command.conversion.program_id.clone();
        let conversion_id = command.conversion.conversion_id.clone();
        let mut state = self.state.write();
        let keys = Keys(state.number(&program));
        match plan::screen(&state.tables, keys, command, assessor)? {
            Plan::Known(_) => Ok(None),
            Plan::Commit(event, read) => {
                let (_, event) = self.commit(&mut state, &program, event, read)?;
                answer(&state.tables, keys, event, &conversion_id).map(Some)
            }
        }
    }

    /// Adds signals to profiles, without a future.
    ///
    /// # Errors
    /// As [`Ledger::record_signals`].
    pub fn record_signals_now(&self, command: SignalsCommand) -> Result<(Cursor, Freshness), LedgerError> {
        let program = command.program_id.clone();
        self.execute(&program, |state, keys| plan::signals(&state.tables, keys, command))
    }

    /// Records an outcome, without a future.
    ///
    /// # Errors
    /// As [`Ledger::record_outcome`].
    pub fn record_outcome_now(&self, command: OutcomeCommand) -> Result<(Cursor, Freshness), LedgerError> {
        let program = command.outcome.program_id.clone();
        self.execute(&program, |state, keys| plan::outcome(&state.tables, keys, command))
    }

    /// Steps a case, without a future.
    ///
    /// # Errors
    /// As [`Ledger::step_case`].
    pub fn step_case_now(&self, command: CaseCommand) -> Result<CaseSummary, LedgerError> {
        let (program, case, at) = (command.program_id.clone(), command.case_id.clone(), command.at);
        let due_after = self.assessor.due_after(&program);
        self.execute(&program, |state, keys| {
            let (_, journal) = state.journal(&program);
            plan::step(&state.tables, keys, command, due_after, |cursor| decided(journal, cursor))
        })?;
        let state = self.state.read();
        Ok(plan::case_of(&state.tables, state.journal(&program).0, &case)?.summary(at))
    }

    fn execute(
        &self,
        program: &ProgramId,
        plan: impl FnOnce(&State, Keys) -> Result<Plan, LedgerError>,
    ) -> Result<(Cursor, Freshness), LedgerError> {
        let mut state = self.state.write();
        let keys = Keys(state.number(program));
        match plan(&state, keys)? {
            Plan::Known(cursor) => Ok((cursor, Freshness::Replayed)),
            Plan::Commit(event, read) => Ok((self.commit(&mut state, program, event, read)?.0, Freshness::New)),
        }
    }

    fn commit(
        &self,
        state: &mut State,
        program: &ProgramId,
        event: Event,
        read: Box<ReadProfiles>,
    ) -> Result<(Cursor, Arc<Event>), LedgerError> {
        let number = state.number(program);
        let cursor = state.last(program) + 1;
        let writes = fold::apply_after(*read, &mut state.tables, Keys(number), cursor, &event)?;
        state.programs.entry(program.clone()).or_insert(number);
        let journal = state.journals.entry(number).or_default();
        let event = Arc::new(event);
        journal.last = cursor;
        match self.keeping {
            Keeping::Records => {
                for write in writes {
                    match write.value {
                        Some(value) => journal.shelves.insert((write.shelf, write.key), value),
                        None => journal.shelves.remove(&(write.shelf, write.key)),
                    };
                }
                journal.events.push(Arc::clone(&event));
            }
            Keeping::StateOnly => {}
        }
        self.commits.send_modify(|commits| *commits += 1);
        Ok((Cursor(cursor), event))
    }

    fn show<A>(
        &self,
        program: &ProgramId,
        read: impl FnOnce(View<'_, MemoryTables, Journal, Journal>) -> Result<A, LedgerError>,
    ) -> Result<A, LedgerError> {
        let state = self.state.read();
        let (keys, journal) = state.journal(program);
        read(View { tables: &state.tables, keys, records: journal, shelves: journal })
    }
}

/// The answer to a conversion that was committed just now.
fn answer(tables: &MemoryTables, keys: Keys, event: Arc<Event>, id: &ConversionId) -> Result<Box<DecisionRecord>, LedgerError> {
    let lost = || LedgerError::Damaged(format!("the row of conversion `{id}` is missing"));
    let row = ConversionRow::load(tables, &keys.conversion(id))?.ok_or_else(lost)?;
    match Arc::try_unwrap(event) {
        Ok(Event::ConversionScreened(screened)) => {
            let ConversionScreened { conversion, decision, .. } = *screened;
            reads::record_of(tables, keys, conversion, decision, &row).map(Box::new)
        }
        Ok(_) => Err(lost()),
        Err(kept) => match &*kept {
            Event::ConversionScreened(screened) => reads::record(tables, keys, screened, &row).map(Box::new),
            _ => Err(lost()),
        },
    }
}

/// The conversion and decision of a record.
pub(super) fn decided(
    records: &impl Records,
    cursor: Cursor,
) -> Result<Option<(Conversion, crate::screening::decision::Decision)>, LedgerError> {
    Ok(match records.read(cursor)?.as_deref() {
        Some(Event::ConversionScreened(screened)) => Some((screened.conversion.clone(), screened.decision.clone())),
        Some(_) | None => None,
    })
}

impl Ledger for MemoryLedger {
    fn screen(&self, command: ScreenCommand) -> Answer<'_, Screened> {
        Box::pin(async move { self.screen_now(command, &*self.assessor) })
    }

    fn record_signals(&self, command: SignalsCommand) -> Answer<'_, (Cursor, Freshness)> {
        Box::pin(async move { self.record_signals_now(command) })
    }

    fn record_outcome(&self, command: OutcomeCommand) -> Answer<'_, (Cursor, Freshness)> {
        Box::pin(async move { self.record_outcome_now(command) })
    }

    fn step_case(&self, command: CaseCommand) -> Answer<'_, CaseSummary> {
        Box::pin(async move { self.step_case_now(command) })
    }

    fn mark_paid(&self, command: PaidCommand) -> Answer<'_, (Cursor, Freshness)> {
        let program = command.program_id.clone();
        Box::pin(async move { self.execute(&program, |state, keys| plan::paid(&state.tables, keys, command)) })
    }

    fn change_hold(&self, command: HoldCommand) -> Answer<'_, (Cursor, Freshness)> {
        let program = command.program_id.clone();
        Box::pin(async move { self.execute(&program, |state, keys| plan::hold(&state.tables, keys, command, |_| Ok(true))) })
    }

    fn change_list(&self, command: ListCommand) -> Answer<'_, (Cursor, Freshness)> {
        let program = command.program_id.clone();
        Box::pin(async move { self.execute(&program, |state, keys| plan::list(&state.tables, keys, command)) })
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

    fn standings(&self, program: &ProgramId, payouts: &[(RewardId, ConversionId)]) -> Result<Vec<Option<Standing>>, LedgerError> {
        self.show(program, |view| view.standings(payouts))
    }

    fn feed(&self, program: &ProgramId, after: Cursor, limit: usize) -> Result<(Vec<FeedEvent>, Cursor), LedgerError> {
        self.show(program, |view| view.feed(after, limit))
    }

    fn grown_past<'a>(&'a self, program: &'a ProgramId, cursor: Cursor) -> BoxFuture<'a, ()> {
        let mut commits = self.commits.subscribe();
        Box::pin(async move {
            while self.state.read().last(program) <= cursor.0 {
                if commits.changed().await.is_err() {
                    return;
                }
            }
        })
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
        let state = self.state.read();
        let summary = |(program_id, number): (&ProgramId, &ProgramNumber)| {
            let meta = Meta::load(&state.tables, &Keys(*number).meta())?.unwrap_or_default();
            let last_cursor = Cursor(state.last(program_id));
            Ok(ProgramSummary { program_id: program_id.clone(), last_cursor, accounts: meta.accounts })
        };
        state.programs.iter().map(summary).collect()
    }

    fn health(&self) -> LedgerHealth {
        LedgerHealth::Serving
    }
}
