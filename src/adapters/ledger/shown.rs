//! What of an open ledger may be shown: its durable records, and its shelves. It shows nothing that a crash could take back. Called by the
//! ledger on disk for its reads, and by retention.

use std::ops::{Bound, ControlFlow, RangeInclusive};
use std::sync::Arc;

use super::codec;
use super::event::Event;
use super::memory::walk_shelf;
use super::reads::{Direction, EntryVisitor, RecordVisitor, Records, Shelves};
use super::rows::index::Shelf;
use super::stage::{Programme, Stage, is_in_memory, unavailable};
use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::record::{ProgrammeNumber, SideTag};
use crate::book::records::{Cursor, FeedEvent};
use crate::ports::ledger::LedgerError;

/// The event of a record.
pub(super) fn decode(payload: &[u8], cursor: u64) -> Result<Event, LedgerError> {
    codec::decode(payload).map_err(|damaged| LedgerError::Damaged(format!("record {cursor}: {damaged}")))
}

/// The records of a programme that may be shown.
pub(super) struct SledRecords<'a> {
    stage: &'a Stage,
    programme: Option<&'a Programme>,
}

impl<'a> SledRecords<'a> {
    pub(super) const fn of(stage: &'a Stage, programme: Option<&'a Programme>) -> Self {
        Self { stage, programme }
    }

    fn shown(&self, range: RangeInclusive<u64>) -> Option<(ProgrammeNumber, RangeInclusive<u64>)> {
        let programme = self.programme?;
        let until = (*range.end()).min(programme.last());
        (*range.start() <= until).then_some((programme.number, *range.start()..=until))
    }
}

/// Maps a storage error of a read to what a caller can do.
pub(super) fn damaged(error: StorageError) -> LedgerError {
    match error {
        StorageError::DamagedRecord { .. } | StorageError::DamagedSide { .. } | StorageError::DamagedStore { .. } => {
            LedgerError::Damaged(error.to_string())
        }
        other => unavailable(other),
    }
}

impl Records for SledRecords<'_> {
    fn last(&self) -> Result<u64, LedgerError> {
        Ok(self.programme.map_or(0, Programme::last))
    }

    fn first(&self) -> Result<u64, LedgerError> {
        self.programme.map_or(Ok(1), |programme| self.stage.reader().first_seq(programme.number).map_err(damaged))
    }

    fn walk(&self, range: RangeInclusive<u64>, direction: Direction, visit: &mut RecordVisitor<'_>) -> Result<(), LedgerError> {
        let Some((programme, range)) = self.shown(range) else { return Ok(()) };
        let records = match direction {
            Direction::Forward => self.stage.reader().scan(programme, range),
            Direction::Backward => self.stage.reader().scan_back(programme, range),
        };
        for record in records {
            let record = record.map_err(damaged)?;
            let event = Arc::new(decode(&record.payload, record.seq)?);
            if visit(Cursor(record.seq), &event)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn told(&self, range: RangeInclusive<u64>) -> Result<Vec<FeedEvent>, LedgerError> {
        let Some((programme, range)) = self.shown(range) else { return Ok(Vec::new()) };
        let mut told = Vec::new();
        for record in self.stage.reader().scan(programme, range) {
            let record = record.map_err(damaged)?;
            let events = codec::told(Cursor(record.seq), &record.payload);
            told.extend(events.map_err(|damaged| LedgerError::Damaged(format!("record {}: {damaged}", record.seq)))?);
        }
        Ok(told)
    }
}

/// The shelves of a programme.
pub(super) struct SledShelves<'a> {
    stage: &'a Stage,
    programme: Option<&'a Programme>,
}

impl<'a> SledShelves<'a> {
    pub(super) const fn of(stage: &'a Stage, programme: Option<&'a Programme>) -> Self {
        Self { stage, programme }
    }

    /// Decided cases, straight from their side entries; what is not shown yet is passed over.
    fn walk_stored(
        &self,
        programme: &Programme,
        shelf: Shelf,
        past: Option<&[u8]>,
        direction: Direction,
        visit: &mut EntryVisitor<'_>,
    ) -> Result<(), LedgerError> {
        let shown = programme.last();
        let past = past.map_or(Bound::Unbounded, Bound::Excluded);
        let (from, to) = match direction {
            Direction::Forward => (past, Bound::Unbounded),
            Direction::Backward => (Bound::Unbounded, past),
        };
        let mut entries = self.stage.reader().side_scan(programme.number, SideTag(shelf as u8), from, to);
        loop {
            let next = match direction {
                Direction::Forward => entries.next(),
                Direction::Backward => entries.next_back(),
            };
            let Some(entry) = next.transpose().map_err(damaged)? else { return Ok(()) };
            let Some((cursor, value)) = entry.value.split_first_chunk::<8>() else {
                return Err(LedgerError::Damaged("a shelf entry is cut short".to_owned()));
            };
            if u64::from_be_bytes(*cursor) <= shown && visit(&entry.key, value)? == ControlFlow::Break(()) {
                return Ok(());
            }
        }
    }
}

/// Entries of a shelf in memory that are visited before decisions may be published again: less than a millisecond.
const WALKED_AT_ONCE: usize = 512;

impl Shelves for SledShelves<'_> {
    fn walk(
        &self,
        shelf: Shelf,
        past: Option<&[u8]>,
        direction: Direction,
        visit: &mut EntryVisitor<'_>,
    ) -> Result<(), LedgerError> {
        let Some(programme) = self.programme else { return Ok(()) };
        if !is_in_memory(shelf) {
            return self.walk_stored(programme, shelf, past, direction, visit);
        }
        let mut past = past.map(<[u8]>::to_vec);
        loop {
            let (mut visited, mut resume_past) = (0, None);
            let mut visit_some = |key: &[u8], value: &[u8]| {
                visited += 1;
                let flow = visit(key, value)?;
                if visited < WALKED_AT_ONCE || flow.is_break() {
                    return Ok(flow);
                }
                resume_past = Some(key.to_vec());
                Ok(ControlFlow::Break(()))
            };
            self.stage.look_at_shelves(programme.number, |entries| {
                walk_shelf(entries, shelf, past.as_deref(), direction, &mut visit_some)
            })?;
            let Some(key) = resume_past else { return Ok(()) };
            past = Some(key);
        }
    }
}
