//! Reads: what a ledger shows. Where things stand comes from the book, what was decided from the journal; nothing is shown before everything that
//! it is made of is durable.

mod case_file;
mod decisions;
mod labelled;
mod taken;

use std::sync::Arc;

use super::codec;
use super::programme::Programme;
use crate::book::ConversionReading;
use crate::book::command::{Assessor, Done};
use crate::book::event::{ConversionScreened, Event};
use crate::book::records::{Cursor, DecisionRecord, FeedEvent};
use crate::ports::journal::{Direction, Journal, JournalError, Reach, Record};
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

fn damaged_at(cursor: Cursor, what: impl std::fmt::Display) -> LedgerError {
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

    /// One event; `None` when its record is not kept any more or may not be shown.
    fn read(&self, cursor: Cursor) -> Result<Option<Event>, LedgerError> {
        self.part(cursor, cursor, Direction::Forward, 1)?.first().map(decode).transpose()
    }

    /// A decision with where it stands under the policy.
    fn record(&self, reading: ConversionReading, conversion: Conversion, decision: Decision) -> DecisionRecord {
        self.settled(reading.record(conversion, decision))
    }

    /// The same record with what the policy makes of where it stands.
    pub(super) fn settled(&self, record: DecisionRecord) -> DecisionRecord {
        let standing = record.standing.under(&self.assessor.payout(&self.programme.id));
        DecisionRecord { standing, ..record }
    }

    /// The answer to a command that was done before, by the record at this place; without words when that is not kept any more.
    pub(super) async fn answered_before(&self, cursor: Cursor) -> Result<Done, LedgerError> {
        let records = self.clone();
        let event = waiting(move || records.read(cursor)).await?;
        Ok(event.map_or(Done::Recorded, |event| self.programme.book.read().answer_again(event)))
    }

    /// Conversions as they were sent. What is not known, or whose record is not kept any more, is left out.
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
                sent.extend(records.screened(cursor)?.map(|screened| screened.conversion));
            }
            Ok(sent)
        })
        .await
    }

    /// The decision that stands at a place; `None` when its record is not kept any more.
    pub(super) fn screened(&self, cursor: Cursor) -> Result<Option<ConversionScreened>, LedgerError> {
        match self.read(cursor)? {
            None => Ok(None),
            Some(Event::ConversionScreened(screened)) => Ok(Some(*screened)),
            Some(_) => Err(damaged_at(cursor, "it is no decision")),
        }
    }

    /// Where reading after a cursor begins. From 0 it begins with what is left; a reader that was further must be told what it missed.
    fn begin_after(&self, after: Cursor) -> Result<Cursor, LedgerError> {
        let oldest = self.first();
        match after {
            Cursor(0) => Ok(Cursor(oldest.0 - 1)),
            Cursor(after) if after + 1 < oldest.0 => Err(LedgerError::CursorForgotten { oldest: oldest.0 }),
            after => Ok(after),
        }
    }

    /// Reads records after a cursor, of which retention removed none meanwhile: what it removes is told of, and never passed over in silence.
    fn unshortened<A>(&self, after: Cursor, read: impl Fn(Cursor) -> Result<A, LedgerError>) -> Result<A, LedgerError> {
        loop {
            let begin = self.begin_after(after)?;
            let found = read(begin);
            if self.begin_after(after)? == begin {
                return found;
            }
        }
    }

    /// What at most `limit` records after a cursor tell, with the cursor up to which was read.
    pub(super) fn feed(&self, after: Cursor, limit: usize) -> Result<(Vec<FeedEvent>, Cursor), LedgerError> {
        self.unshortened(after, |begin| {
            let wanted = Cursor(begin.0.saturating_add(u64::try_from(limit).unwrap_or(u64::MAX)));
            let until = self.programme.durable().min(wanted).max(begin);
            let (mut told, mut read) = (Vec::new(), begin);
            while read < until {
                let part = self.part(Cursor(read.0 + 1), until, Direction::Forward, limit)?;
                let Some(last) = part.last().map(|record| record.cursor) else {
                    return Err(damaged_at(Cursor(read.0 + 1), "it is missing"));
                };
                for record in &part {
                    let events = codec::told(record.cursor, &record.payload);
                    told.extend(events.map_err(|damaged| damaged_at(record.cursor, damaged))?);
                }
                read = last;
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
