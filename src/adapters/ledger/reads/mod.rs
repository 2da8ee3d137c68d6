//! Reads: everything that a ledger shows, over tables, records and shelves that hold only what is durable. Never writes, never waits for a
//! write. Called by the ledgers.

mod audit_trail;
mod cases;
mod decisions;
mod neighbours;
mod pages;

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use super::event::{ConversionScreened, Event};
use super::feed;
use super::rows::Row;
use super::rows::account::Meta;
use super::rows::conversion::ConversionRow;
use super::rows::index::Shelf;
use super::standing;
use super::tables::{Keys, Tables};
use crate::book::records::{Cursor, DecisionRecord, FeedEvent};
use crate::ports::ledger::LedgerError;
use crate::screening::decision::Decision;
use crate::screening::gate::Standing;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{CaseId, ConversionId, RewardId};

/// In which direction something is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// Towards newer records, or larger keys.
    Forward,
    /// Towards older records, or smaller keys.
    Backward,
}

/// Looks at one record; says whether to go on.
pub(super) type RecordVisitor<'v> = dyn FnMut(Cursor, &Arc<Event>) -> Result<ControlFlow<()>, LedgerError> + 'v;
/// Looks at one entry of a shelf; says whether to go on.
pub(super) type EntryVisitor<'v> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, LedgerError> + 'v;

/// The records of one programme.
pub(super) trait Records {
    /// The newest record that may be shown; 0 when there is none.
    fn last(&self) -> Result<u64, LedgerError>;

    /// The oldest record that is kept; 1 until retention has removed something.
    fn first(&self) -> Result<u64, LedgerError>;

    /// Walks the records of a range that are still kept.
    fn walk(&self, range: RangeInclusive<u64>, direction: Direction, visit: &mut RecordVisitor<'_>) -> Result<(), LedgerError>;

    /// What the records of a range tell, oldest first.
    fn told(&self, range: RangeInclusive<u64>) -> Result<Vec<FeedEvent>, LedgerError> {
        let mut told = Vec::new();
        self.walk(range, Direction::Forward, &mut |cursor, event| {
            told.extend(feed::events(cursor, event));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(told)
    }

    /// One record; `None` when it is not kept any more or may not be shown.
    fn read(&self, cursor: Cursor) -> Result<Option<Arc<Event>>, LedgerError> {
        let mut found = None;
        self.walk(cursor.0..=cursor.0, Direction::Forward, &mut |_, event| {
            found = Some(Arc::clone(event));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}

/// The shelves of one programme.
pub(super) trait Shelves {
    /// Walks the entries of a shelf strictly past a key, in the order of the direction.
    fn walk(
        &self,
        shelf: Shelf,
        past: Option<&[u8]>,
        direction: Direction,
        visit: &mut EntryVisitor<'_>,
    ) -> Result<(), LedgerError>;
}

/// What of one programme may be shown.
pub(super) struct View<'a, T, R, S> {
    pub(super) tables: &'a T,
    pub(super) keys: Keys,
    pub(super) records: &'a R,
    pub(super) shelves: &'a S,
}

impl<T: Tables, R: Records, S: Shelves> View<'_, T, R, S> {
    fn row(&self, id: &ConversionId) -> Result<Option<ConversionRow>, LedgerError> {
        ConversionRow::load(self.tables, &self.keys.conversion(id))
    }

    pub(super) fn meta(&self) -> Result<Meta, LedgerError> {
        Ok(Meta::load(self.tables, &self.keys.meta())?.unwrap_or_default())
    }

    pub(super) fn decision(&self, id: &ConversionId) -> Result<Option<DecisionRecord>, LedgerError> {
        let Some(row) = self.row(id)? else { return Ok(None) };
        let Some(event) = self.records.read(Cursor(row.cursor))? else { return Ok(None) };
        match &*event {
            Event::ConversionScreened(screened) => record(self.tables, self.keys, screened, &row).map(Some),
            other => Err(LedgerError::Damaged(format!("the record of conversion `{id}` is another: {}", kind_of(other)))),
        }
    }

    /// Retention leaves rows behind that go when the tables are made anew: what it removed is unknown at once.
    pub(super) fn standings(&self, payouts: &[(RewardId, ConversionId)]) -> Result<Vec<Option<Standing>>, LedgerError> {
        let oldest = self.records.first()?;
        let of = |(reward_id, conversion_id): &(RewardId, ConversionId)| {
            let row = self.row(conversion_id)?.filter(|row| row.cursor >= oldest);
            row.map(|row| standing::of_payout(self.tables, self.keys, &row, reward_id)).transpose()
        };
        payouts.iter().map(of).collect()
    }

    pub(super) fn feed(&self, after: Cursor, limit: usize) -> Result<(Vec<FeedEvent>, Cursor), LedgerError> {
        self.unshortened(after, |begin| {
            let until = self.until(begin, limit)?;
            let told = if until > begin.0 { self.records.told(begin.0 + 1..=until)? } else { Vec::new() };
            Ok((told, Cursor(until)))
        })
    }

    /// Reads records after a cursor, of which retention removed none meanwhile: what it removes is told of, and never passed over in silence.
    fn unshortened<A>(&self, after: Cursor, read: impl Fn(Cursor) -> Result<A, LedgerError>) -> Result<A, LedgerError> {
        loop {
            let begin = self.begin_after(after)?;
            let found = read(begin)?;
            if self.begin_after(after)? == begin {
                return Ok(found);
            }
        }
    }

    /// Where reading after a cursor begins. From 0 it begins with what is left; a reader that was further must be told what it missed.
    fn begin_after(&self, after: Cursor) -> Result<Cursor, LedgerError> {
        let oldest = self.records.first()?;
        match after {
            Cursor(0) => Ok(Cursor(oldest - 1)),
            Cursor(after) if after + 1 < oldest => Err(LedgerError::CursorForgotten { oldest }),
            after => Ok(after),
        }
    }

    /// The last record of a part of at most `limit` records after a place.
    fn until(&self, after: Cursor, limit: usize) -> Result<u64, LedgerError> {
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        Ok(self.records.last()?.min(after.0.saturating_add(limit)).max(after.0))
    }
}

/// A decision as it was committed, with where it stands now.
pub(super) fn record(
    tables: &impl Tables,
    keys: Keys,
    screened: &ConversionScreened,
    row: &ConversionRow,
) -> Result<DecisionRecord, LedgerError> {
    record_of(tables, keys, screened.conversion.clone(), screened.decision.clone(), row)
}

/// As [`record`], of a conversion and a decision that nobody else needs.
pub(super) fn record_of(
    tables: &impl Tables,
    keys: Keys,
    conversion: Conversion,
    decision: Decision,
    row: &ConversionRow,
) -> Result<DecisionRecord, LedgerError> {
    let standing = standing::of(tables, keys, row)?;
    let case_id = row.has_case.then(|| CaseId::of(&conversion.conversion_id));
    Ok(DecisionRecord { conversion, decision, verdict: row.verdict, standing, case_id, cursor: Cursor(row.cursor) })
}

/// What an event is, for the message about a damaged one.
const fn kind_of(event: &Event) -> &'static str {
    match event {
        Event::ConversionScreened(_) => "a screened conversion",
        Event::SignalsRecorded(_) => "recorded signals",
        Event::OutcomeRecorded(_) => "an outcome",
        Event::CaseStepped(_) => "a step of a case",
        Event::RewardPaid(_) => "a payment",
        Event::HoldChanged(_) => "a hold",
        Event::ListChanged(_) => "a list entry",
    }
}
