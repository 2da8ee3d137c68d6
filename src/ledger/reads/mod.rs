//! Reads: what a ledger shows. Where things stand comes from the book, what was decided from the journal; nothing is shown before everything that
//! it is made of is durable.

mod case_file;
mod decisions;
mod labelled;
mod people;
mod taken;
mod trail;

use std::sync::Arc;

use super::codec;
use super::programme::Programme;
use crate::book::ConversionReading;
use crate::book::command::{Assessor, Done};
use crate::book::cursor::{ChainMark, FeedCursor};
use crate::book::event::{ConversionScreened, Event};
use crate::book::records::{Cursor, DecisionRecord, FeedEvent};
use crate::ports::journal::{Direction, Journal, JournalError, Reach, Record, Rewritten};
use crate::ports::ledger::LedgerError;
use crate::screening::decision::Decision;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::ConversionId;

/// The records of one programme as a reader may see them: durable ones.
#[derive(Clone)]
pub(super) struct Records {
    pub(super) journal: Arc<dyn Journal>,
    pub(super) assessor: Arc<dyn Assessor>,
    pub(super) programme: Arc<Programme>,
}

/// Maps what a journal says to what a caller can do.
pub(super) fn unavailable(error: JournalError) -> LedgerError {
    match error {
        JournalError::Damaged(what) => LedgerError::Damaged(what),
        other => LedgerError::Unavailable(other.to_string()),
    }
}

pub(super) fn decode(record: &Record) -> Result<Event, LedgerError> {
    codec::decode(&record.payload).map_err(|damaged| damaged_at(record.cursor, damaged))
}

pub(super) fn damaged_at(cursor: Cursor, what: impl std::fmt::Display) -> LedgerError {
    LedgerError::Damaged(format!("record {}: {what}", cursor.0))
}

impl Records {
    /// The oldest record that is left.
    fn first(&self) -> Cursor {
        self.programme.book.read().floor()
    }

    /// Records of a range that may be shown, in part: as many as the journal gives at once.
    fn part(&self, from: Cursor, to: Cursor, direction: Direction, limit: usize) -> Result<Vec<Record>, LedgerError> {
        let reach = Reach { from: from.max(self.first()), to: to.min(self.programme.durable()), direction, limit };
        if reach.from > reach.to || limit == 0 {
            return Ok(Vec::new());
        }
        self.journal.read(&self.programme.id, reach).map_err(unavailable)
    }

    /// One event with its mark; `None` when its record is not kept any more or may not be shown.
    fn read_marked(&self, cursor: Cursor) -> Result<Option<(Event, ChainMark)>, LedgerError> {
        let record = self.part(cursor, cursor, Direction::Forward, 1)?.pop();
        record.map(|record| Ok((decode(&record)?, record.chain.mark()))).transpose()
    }

    /// One event; `None` when its record is not kept any more or may not be shown.
    fn read(&self, cursor: Cursor) -> Result<Option<Event>, LedgerError> {
        Ok(self.read_marked(cursor)?.map(|(event, _)| event))
    }

    /// A decision with where it stands under the policy.
    fn record(&self, reading: ConversionReading, conversion: Conversion, decision: Decision, mark: ChainMark) -> DecisionRecord {
        self.settled(reading.record(conversion, decision, mark))
    }

    /// The same record with what the policy makes of where it stands.
    pub(super) fn settled(&self, record: DecisionRecord) -> DecisionRecord {
        let standing = record.standing.under(&self.programme.payout(&*self.assessor));
        DecisionRecord { standing, ..record }
    }

    /// The answer to a command that was done before, by the record at this place; without place and words when that is not kept any more.
    pub(super) async fn answered_before(&self, place: Cursor) -> Result<(Option<FeedCursor>, Done), LedgerError> {
        let records = self.clone();
        let event = waiting(move || records.read_marked(place)).await?;
        Ok(event.map_or((None, Done::Recorded), |(event, mark)| {
            (Some(FeedCursor { place, mark }), self.programme.book.read().answer_again(event, mark))
        }))
    }

    /// Conversions as they were sent. What is not known, whose record is not kept any more, or of which a side was erased, is left out: without its
    /// signals another look would find something else than there was.
    pub(super) async fn sent(&self, ids: &[ConversionId]) -> Result<Vec<Conversion>, LedgerError> {
        let places: Vec<Cursor> = {
            let book = self.programme.book.read();
            ids.iter().filter_map(|id| book.place_of(id)).collect()
        };
        if let Some(newest) = places.iter().copied().max() {
            self.programme.wait_for(newest).await?;
        }
        let records = self.clone();
        waiting(move || {
            let mut sent = Vec::with_capacity(places.len());
            for cursor in places {
                if !records.is_rewritten(cursor)? {
                    sent.extend(records.screened(cursor)?.map(|(screened, _)| screened.conversion));
                }
            }
            Ok(sent)
        })
        .await
    }

    /// Whether the record at a place is without signals that it had.
    fn is_rewritten(&self, cursor: Cursor) -> Result<bool, LedgerError> {
        let record = self.part(cursor, cursor, Direction::Forward, 1)?.pop();
        Ok(record.is_some_and(|record| Rewritten::of(&record.payload).is_some()))
    }

    /// The decision that stands at a place, with its mark; `None` when its record is not kept any more.
    pub(super) fn screened(&self, cursor: Cursor) -> Result<Option<(ConversionScreened, ChainMark)>, LedgerError> {
        match self.read_marked(cursor)? {
            None => Ok(None),
            Some((Event::ConversionScreened(screened), mark)) => Ok(Some((*screened, mark))),
            Some(_) => Err(damaged_at(cursor, "it is no decision")),
        }
    }

    /// The mark of what stands up to a place; `None` when it is not kept any more.
    fn mark_at(&self, place: Cursor) -> Result<Option<ChainMark>, LedgerError> {
        let reach = Reach { from: place, to: place, direction: Direction::Forward, limit: 1 };
        if let Some(record) = self.journal.read(&self.programme.id, reach).map_err(unavailable)?.pop() {
            return Ok(Some(record.chain.mark()));
        }
        let head = self.journal.head(&self.programme.id).map_err(unavailable)?;
        Ok((place.0 + 1 == head.first.0).then(|| head.base.mark()))
    }

    /// Whether everything up to a cursor is here as it was where the cursor was given; `None` when that is not kept any more.
    fn leads_here(&self, cursor: FeedCursor) -> Result<Option<bool>, LedgerError> {
        if cursor.place > self.programme.durable() {
            return Ok(Some(false));
        }
        Ok(self.mark_at(cursor.place)?.map(|mark| mark == cursor.mark))
    }

    /// The newest place that may be shown.
    pub(super) fn end(&self) -> Result<FeedCursor, LedgerError> {
        loop {
            let place = self.programme.durable();
            // Retention may have removed it since it was asked for; then there is a newer one.
            if let Some(mark) = self.mark_at(place)? {
                return Ok(FeedCursor { place, mark });
            }
        }
    }

    /// Where reading after a cursor begins: without one, with what is left. A reader whose cursor does not lead there must be told.
    fn begin_after(&self, after: Option<FeedCursor>) -> Result<FeedCursor, LedgerError> {
        let Some(after) = after else {
            loop {
                let place = Cursor(self.first().0 - 1);
                // Retention may have moved the beginning since it was asked for.
                if let Some(mark) = self.mark_at(place)? {
                    return Ok(FeedCursor { place, mark });
                }
            }
        };
        let known = if after.place.0 + 1 < self.first().0 { None } else { self.leads_here(after)? };
        match known {
            Some(true) => Ok(after),
            Some(false) => Err(LedgerError::CursorOfOther { after, end: self.programme.durable().0 }),
            None => Err(LedgerError::CursorForgotten { oldest: self.first().0 }),
        }
    }

    /// Reads records after a cursor, of which retention removed none meanwhile: what it removes is told of, and never passed over in silence.
    fn unshortened<A>(
        &self,
        after: Option<FeedCursor>,
        read: impl Fn(FeedCursor) -> Result<A, LedgerError>,
    ) -> Result<A, LedgerError> {
        loop {
            let begin = self.begin_after(after)?;
            let found = read(begin);
            if self.first().0 <= begin.place.0 + 1 {
                return found;
            }
        }
    }

    /// What at most `limit` records after a cursor tell, with the cursor up to which was read.
    pub(super) fn feed(&self, after: Option<FeedCursor>, limit: usize) -> Result<(Vec<FeedEvent>, FeedCursor), LedgerError> {
        self.unshortened(after, |begin| {
            let wanted = Cursor(begin.place.0.saturating_add(u64::try_from(limit).unwrap_or(u64::MAX)));
            let until = self.programme.durable().min(wanted).max(begin.place);
            let (mut told, mut read) = (Vec::new(), begin);
            while read.place < until {
                let next = Cursor(read.place.0 + 1);
                let part = self.part(next, until, Direction::Forward, limit)?;
                read = part.last().map(Record::feed_cursor).ok_or_else(|| damaged_at(next, "it is missing"))?;
                for record in &part {
                    let events = codec::told(record.feed_cursor(), &record.payload);
                    told.extend(events.map_err(|damaged| damaged_at(record.cursor, damaged))?);
                }
            }
            Ok((told, read))
        })
    }
}

/// Does what may wait for a disk on a thread that may wait; on the caller's own where there is no runtime.
pub(super) async fn waiting<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    match tokio::runtime::Handle::try_current() {
        Err(_) => work(),
        Ok(runtime) => match runtime.spawn_blocking(work).await {
            Ok(done) => done,
            Err(broken) if broken.is_panic() => std::panic::resume_unwind(broken.into_panic()),
            Err(_) => Err(super::commit::closing()),
        },
    }
}
