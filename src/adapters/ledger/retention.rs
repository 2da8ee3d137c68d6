//! Retention: what of the journal is removed by age, what outlives it, and how tables are made from a journal that lost its beginning.
//!
//! Removed are records from the beginning of the journal, up to the first that is young enough or belongs to an undecided case or a held
//! referral. What still speaks (list entries, holds on referrers, bans) is kept as a side entry under its own place, in the same order. Rows
//! of values that nobody was seen on since go when the tables are merged. It must never remove what waits for a decision, and never let a
//! removed record make a later one unreadable. The ledger on disk calls it.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::codec;
use super::event::{ConversionScreened, Event, HoldChanged, ListChanged, OutcomeRecorded};
use super::fold;
use super::history::known_account;
use super::rows::Row;
use super::rows::case_line::CaseLine;
use super::rows::conversion::ConversionRow;
use super::rows::index::{self, Shelf};
use super::rows::lists::Listed;
use super::rows::postings::Postings;
use super::shown::{self, damaged};
use super::stage::{self, Programme, Stage, unavailable};
use super::tables::{Keys, Tables, WriteTables};
use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::journal::Journal;
use crate::adapters::storage::reader::{JournalReader, SideEntry};
use crate::adapters::storage::record::{ProgrammeNumber, SideTag, SideWrite};
use crate::adapters::storage::table::{Retention, RetentionRule};
use crate::book::command::Change;
use crate::book::records::HoldSubject;
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::ConversionId;
use crate::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Timestamp;

/// Records that outlived the journal's beginning, by their place.
const KEPT: SideTag = SideTag(16);
/// Records that are looked at, and then removed, at a time. Between two parts everybody else may write.
const PART_RECORDS: usize = 1_024;

/// Since when sightings count; older ones are dropped from the tables. Starts at the beginning of time, so that nothing is dropped before the
/// first pass.
#[derive(Debug, Clone, Default)]
pub(super) struct Horizon(Arc<AtomicU32>);

impl Horizon {
    fn move_to(&self, horizon: Timestamp) {
        self.0.fetch_max(horizon.as_index_seconds(), Ordering::Relaxed);
    }

    /// Drops rows of values on which nobody was seen since the horizon.
    pub(super) fn rule(&self) -> RetentionRule {
        let horizon = Arc::clone(&self.0);
        Arc::new(move |key, row| {
            let since = horizon.load(Ordering::Relaxed);
            let seen_since = || Postings::of(Some(row)).iter().any(|posting| posting.last_seen >= since);
            if since > 0 && Keys::is_value(key) && !seen_since() { Retention::Drop } else { Retention::Keep }
        })
    }
}

/// Removes what is older than the horizon, in all programmes. Returns how many records were removed. `settled` waits until every command that
/// was taken before is published.
pub(super) fn forget(
    stage: &Stage,
    journal: &Journal,
    horizon: Timestamp,
    settled: impl Fn() -> Result<(), LedgerError>,
) -> Result<u64, LedgerError> {
    stage.horizon().move_to(horizon);
    let mut removed = 0;
    let mut tables_written = false;
    for programme in stage.programmes() {
        loop {
            if !tables_written && is_due(stage, &programme, horizon)? {
                // What is removed must not be folded again.
                stage.write_tables().map_err(stage::table_error)?;
                tables_written = true;
            }
            let part = forget_part(stage, journal, &programme, horizon, &settled);
            stage.forget_below(programme.number, 0);
            let part = part?;
            removed += part;
            if part < PART_RECORDS as u64 {
                break;
            }
        }
        sweep(stage, journal, &programme)?;
    }
    Ok(removed)
}

/// Whether the oldest record is older than the horizon.
fn is_due(stage: &Stage, programme: &Programme, horizon: Timestamp) -> Result<bool, LedgerError> {
    let first = stage.reader().first_seq(programme.number).map_err(damaged)?;
    let oldest = stage.reader().scan(programme.number, first..=programme.last()).next().transpose().map_err(damaged)?;
    let happened = oldest.map(|record| shown::decode(&record.payload, record.seq).map(|event| happened_at(&event)));
    Ok(happened.transpose()?.is_some_and(|at| at < horizon))
}

fn forget_part(
    stage: &Stage,
    journal: &Journal,
    programme: &Programme,
    horizon: Timestamp,
    settled: &impl Fn() -> Result<(), LedgerError>,
) -> Result<u64, LedgerError> {
    let (reader, number) = (stage.reader(), programme.number);
    let keys = Keys(number.get());
    let first = reader.first_seq(number).map_err(damaged)?;
    let until = needed_from(stage, programme, keys)?.min(programme.last() + 1);
    let (mut end, mut side) = (first, Vec::new());
    for record in reader.scan(number, first..=until.saturating_sub(1)).take(PART_RECORDS) {
        let record = record.map_err(damaged)?;
        let event = shown::decode(&record.payload, record.seq)?;
        if happened_at(&event) >= horizon {
            break;
        }
        end = record.seq + 1;
        if let Event::ConversionScreened(screened) = &event {
            side.extend(case_entry_gone(stage, keys, screened)?.map(|gone| (record.seq, gone)));
        }
        if let Some(kept) = still_speaks(stage, keys, record.seq, event)? {
            let key = record.seq.to_be_bytes().to_vec();
            side.push((record.seq, SideWrite { tag: KEPT, key, value: Some(codec::encode(&kept)) }));
        }
    }
    // A case may have been opened again meanwhile, or a hold placed: from here on none is, and what was shows once it is published.
    stage.forget_below(number, end);
    settled()?;
    let end = end.min(needed_from(stage, programme, keys)?).max(first);
    if end > first {
        let side: Vec<SideWrite> = side.into_iter().filter(|(seq, _)| *seq < end).map(|(_, write)| write).collect();
        // Kept twice for a moment rather than not at all.
        journal.write_side(number, &side).map_err(unavailable)?;
        match journal.remove_before(number, end) {
            // The next pass does it.
            Err(StorageError::BackupUnderWay) => return Ok(0),
            removed => removed.map_err(unavailable)?,
        };
    }
    Ok(end - first)
}

/// The first record of a conversion that waits for a decision or is held.
fn needed_from(stage: &Stage, programme: &Programme, keys: Keys) -> Result<u64, LedgerError> {
    let mut needed = u64::MAX;
    for id in stage.undecided_or_held(programme.number)? {
        if let Some(row) = ConversionRow::load(stage, &keys.conversion(&id))? {
            needed = needed.min(row.cursor);
        }
    }
    Ok(needed)
}

/// When the service learned of it: later records were learned of later.
fn happened_at(event: &Event) -> Timestamp {
    match event {
        Event::ConversionScreened(screened) => screened.received_at,
        Event::SignalsRecorded(recorded) => recorded.received_at,
        Event::OutcomeRecorded(recorded) => recorded.received_at,
        Event::CaseStepped(stepped) => stepped.at,
        Event::RewardPaid(paid) => paid.received_at,
        Event::HoldChanged(changed) => changed.at,
        Event::ListChanged(changed) => changed.entry.placed_at,
    }
}

/// The queue does not list decided cases whose record is gone.
fn case_entry_gone(stage: &Stage, keys: Keys, screened: &ConversionScreened) -> Result<Option<SideWrite>, LedgerError> {
    let id = &screened.conversion.conversion_id;
    let line = CaseLine::load(stage, &keys.case_line(id))?;
    Ok(line.map(|line| SideWrite {
        tag: SideTag(Shelf::ResolvedCases as u8),
        key: index::case_key(line.opened_at, id),
        value: None,
    }))
}

/// What must be known for longer than its record is kept.
fn still_speaks(tables: &impl Tables, keys: Keys, seq: u64, event: Event) -> Result<Option<Event>, LedgerError> {
    let speaks = match &event {
        Event::ListChanged(ListChanged { entry, change: Change::Place }) => {
            let listed = Listed::load(tables, &fold::listed_key(keys, &entry.subject))?.unwrap_or_default();
            listed.on(entry.list).is_some_and(|(_, cursor)| *cursor == seq)
        }
        Event::HoldChanged(HoldChanged { subject: HoldSubject::Referrer(id), change: Change::Place, .. }) => {
            let hold = known_account(tables, keys, id)?.and_then(|known| known.account.hold);
            hold.is_some_and(|hold| hold.in_force && hold.cursor == seq)
        }
        Event::OutcomeRecorded(recorded) => {
            recorded.outcome.kind == OutcomeKind::AccountBanned && matches!(recorded.outcome.subject, OutcomeSubject::Account(_))
        }
        Event::ConversionScreened(_)
        | Event::SignalsRecorded(_)
        | Event::CaseStepped(_)
        | Event::RewardPaid(_)
        | Event::HoldChanged(_)
        | Event::ListChanged(_) => false,
    };
    Ok(speaks.then(|| match event {
        Event::OutcomeRecorded(recorded) => {
            Event::OutcomeRecorded(Box::new(OutcomeRecorded { concerned: Vec::new(), paid_elsewhere: Vec::new(), ..*recorded }))
        }
        event => event,
    }))
}

/// Removes kept records that have been overruled.
fn sweep(stage: &Stage, journal: &Journal, programme: &Programme) -> Result<(), LedgerError> {
    let keys = Keys(programme.number.get());
    let mut gone = Vec::new();
    for (seq, event) in kept(stage.reader(), programme.number)? {
        if still_speaks(stage, keys, seq, event)?.is_none() {
            gone.push(SideWrite { tag: KEPT, key: seq.to_be_bytes().to_vec(), value: None });
        }
    }
    if gone.is_empty() { Ok(()) } else { journal.write_side(programme.number, &gone).map_err(unavailable) }
}

/// What outlived the journal's beginning, oldest first.
fn kept(reader: &JournalReader, programme: ProgrammeNumber) -> Result<Vec<(u64, Event)>, LedgerError> {
    let entries = reader.side_scan(programme, KEPT, Bound::Unbounded, Bound::Unbounded);
    let read = |entry: Result<SideEntry, StorageError>| {
        let entry = entry.map_err(damaged)?;
        let misplaced = |_| LedgerError::Damaged("a kept record has no place".to_owned());
        let seq = entry.key.as_slice().try_into().map(u64::from_be_bytes).map_err(misplaced)?;
        Ok((seq, shown::decode(&entry.value, seq)?))
    };
    entries.map(read).collect()
}

/// Folds what outlived the journal's beginning; called before the first record that is left.
pub(super) fn begin(rows: &mut impl WriteTables, reader: &JournalReader, programme: ProgrammeNumber) -> Result<(), LedgerError> {
    for (seq, event) in kept(reader, programme)? {
        fold::apply(rows, Keys(programme.get()), seq, &event)?;
    }
    Ok(())
}

/// An event without what it says of conversions that are not there any more; `None` when nothing is left.
pub(super) fn of_what_is_left(tables: &impl Tables, keys: Keys, event: Event) -> Result<Option<Event>, LedgerError> {
    let is_left = |id: &ConversionId| Ok::<_, LedgerError>(ConversionRow::load(tables, &keys.conversion(id))?.is_some());
    let speaks = match &event {
        Event::CaseStepped(stepped) => is_left(&stepped.conversion_id)?,
        Event::HoldChanged(HoldChanged { subject: HoldSubject::Conversion(conversion_id), .. }) => is_left(conversion_id)?,
        Event::RewardPaid(paid) => is_left(&paid.conversion_id)?,
        Event::ConversionScreened(_)
        | Event::SignalsRecorded(_)
        | Event::OutcomeRecorded(_)
        | Event::HoldChanged(_)
        | Event::ListChanged(_) => true,
    };
    let Event::OutcomeRecorded(mut recorded) = event else { return Ok(speaks.then_some(event)) };
    let mut concerned = Vec::new();
    for one in std::mem::take(&mut recorded.concerned) {
        if is_left(&one.conversion_id)? {
            concerned.push(one);
        }
    }
    let mut paid_elsewhere = Vec::new();
    for one in std::mem::take(&mut recorded.paid_elsewhere) {
        if is_left(&one.conversion_id)? {
            paid_elsewhere.push(one);
        }
    }
    (recorded.concerned, recorded.paid_elsewhere) = (concerned, paid_elsewhere);
    Ok(Some(Event::OutcomeRecorded(recorded)))
}

#[cfg(test)]
mod tests {
    use super::super::rows::postings::{Posting, with_sighting};
    use super::*;
    use crate::screening::fixtures::value;
    use crate::screening::history::IdentifierKind;

    #[test]
    fn a_value_is_dropped_when_nobody_was_seen_on_it_since_and_nothing_else_is() {
        let horizon = Horizon::default();
        let rule = horizon.rule();
        let at = Timestamp::saturating_from_millis(1_790_000_000_000);
        let seen = |last_seen| with_sighting(None, Posting { account: 1, last_seen }).unwrap();
        let (old, young) = (seen(at.as_index_seconds() - 1), seen(at.as_index_seconds()));
        let digests = value(7);
        let digest = digests.iter().next().unwrap();
        let (of_value, of_profile) = (Keys(1).value(IdentifierKind::Device, digest), Keys(1).profile(1));
        assert_eq!(rule(&of_value, &old), Retention::Keep, "nothing is dropped before the first pass");
        horizon.move_to(at);
        assert_eq!(
            [rule(&of_value, &old), rule(&of_value, &young), rule(&of_profile, &old)],
            [Retention::Drop, Retention::Keep, Retention::Keep]
        );
    }
}
