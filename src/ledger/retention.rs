//! Retention: what of the journal is removed by age, what outlives it, and the book made again of what is left.
//!
//! Removed are records from the beginning of the journal, up to the first that is young enough or belongs to an undecided case, a held referral or
//! rewards that are approved and not paid.
//! What still speaks (list entries, holds on referrers, what was reported of accounts), and of each conversion its id, what bars it and what was paid, is kept under its own
//! place. Then the book is made again, exactly as it would be made at the next start, so that a running server and a restarted one know the same.

use std::sync::{Arc, mpsc};

use futures::executor::block_on;

use super::codec;
use super::journaled::Shared;
use super::open;
use super::programme::Programme;
use super::reads::{damaged_at, decode, unavailable};
use super::sequencer::Job;
use super::snapshotting;
use super::trails_kept::TrailsKept;
use crate::book::Book;
use crate::book::command::Change;
use crate::book::event::{Concerned, Event, ListChanged, OutcomeRecorded, SourceEventTaken};
use crate::book::records::Cursor;
use crate::book::terms::Terms;
use crate::ports::journal::{Direction, JournalError, Reach};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::ConversionId;
use crate::vocabulary::time::{Span, Timestamp};

/// Records that are looked at, and then removed, at a time.
const PART_RECORDS: usize = 1_024;

/// Removes what is older than its programme's retention, or than an age where that says none. Returns how many records were removed.
pub(super) fn forget(shared: &Shared, age: Option<Span>, now: Timestamp) -> Result<u64, LedgerError> {
    // A clock that is ahead must not make everything old.
    let mut newest = None;
    for programme in shared.programmes.all() {
        newest = newest.max(newest_record(shared, &programme)?);
    }
    let Some(newest) = newest else { return Ok(0) };
    // No snapshot is taken of a book that knows what is being removed.
    let _alone = shared.snapshotting.lock();
    let mut removed = 0;
    for programme in shared.programmes.all() {
        let own = programme.book.read().terms().terms().clone();
        let Some(age) = own.retention.or(age) else { continue };
        // What is removed before it may be paid never could be. Of the server's own policies that was seen to when they were read.
        let has_own = own != Terms::default();
        let age = if has_own { age.max(programme.payout(&*shared.assessor).longest_delay()) } else { age };
        let horizon = now.min(newest).minus(age);
        let of_programme = forget_in(shared, &programme, horizon)?;
        if of_programme > 0 {
            remake(shared, &programme)?;
        }
        removed += of_programme;
    }
    Ok(removed)
}

fn newest_record(shared: &Shared, programme: &Programme) -> Result<Option<Timestamp>, LedgerError> {
    let last = programme.durable();
    let reach = Reach { from: last, to: last, direction: Direction::Backward, limit: 1 };
    let records = shared.journal.read(&programme.id, reach).map_err(unavailable)?;
    Ok(records.first().map(decode).transpose()?.and_then(|event| event.learned_at()))
}

fn forget_in(shared: &Shared, programme: &Arc<Programme>, horizon: Timestamp) -> Result<u64, LedgerError> {
    let (mut removed, mut trail) = (0, TrailsKept::default());
    loop {
        let first = shared.journal.head(&programme.id).map_err(unavailable)?.first;
        let reach = Reach { from: first, to: programme.durable(), direction: Direction::Forward, limit: PART_RECORDS };
        if reach.from > reach.to {
            return Ok(removed);
        }
        let records = shared.journal.read(&programme.id, reach).map_err(unavailable)?;
        let mut old = Vec::new();
        for record in &records {
            let (event, by) = codec::decode_by(&record.payload).map_err(|damaged| damaged_at(record.cursor, damaged))?;
            if event.learned_at().is_some_and(|at| at >= horizon) {
                break;
            }
            old.push((record.cursor, event, by));
        }
        let wanted = Cursor(first.0 + old.len() as u64);
        let end = if old.is_empty() { first } else { raised_floor(shared, programme, wanted)? };
        old.retain(|(cursor, _, _)| *cursor < end);
        if old.is_empty() {
            return Ok(removed);
        }
        // Looked for with the first part only: what is kept grows with everything that was ever removed.
        let gone = if removed == 0 { what_is_overruled(shared, programme, &mut trail)? } else { Vec::new() };
        let begun = trail.keep(&old);
        let put = what_outlives(programme, old.into_iter().map(|(cursor, event, _)| (cursor, event)).collect())?;
        let change = trail.beside(begun, put, gone);
        if let Some(snapshots) = &shared.snapshots {
            // From a snapshot of before nothing may come back.
            snapshots.remove_before(shared.journal.incarnation(), &programme.id, Cursor(u64::MAX)).map_err(unavailable)?;
        }
        match shared.journal.cut(&programme.id, programme.epoch, end, &change) {
            Ok(records) => removed += records,
            // A backup relies on them. The next pass removes them.
            Err(JournalError::NotPossible(_)) => return Ok(removed),
            Err(error) => return Err(unavailable(error)),
        }
        if end < wanted {
            return Ok(removed);
        }
    }
}

/// Raises the floor between two commands, as far as nothing undecided or held stands below it: from then on no case there is opened again and no
/// hold placed. Completes once everything before is durable.
fn raised_floor(shared: &Shared, programme: &Arc<Programme>, wanted: Cursor) -> Result<Cursor, LedgerError> {
    let (tell, told) = mpsc::channel();
    let of = Arc::clone(programme);
    shared.send(Job::Between(Box::new(move |sequencer| {
        sequencer.hand_over();
        let mut book = of.book.write();
        let end = book.needed_before(wanted).unwrap_or(wanted);
        book.raise_floor(end);
        // Who asked may have given up.
        let _ = tell.send((end, book.cursor()));
    })))?;
    let (end, last) = told.recv().map_err(|_| super::commit::closing())?;
    block_on(programme.wait_for(last))?;
    Ok(end)
}

/// What of old records must be known for longer than they are kept.
fn what_outlives(programme: &Programme, old: Vec<(Cursor, Event)>) -> Result<Vec<(Cursor, Event)>, LedgerError> {
    let mut put = Vec::new();
    let book = programme.book.read();
    let mut conversions: Vec<ConversionId> = Vec::new();
    let mut renamed = false;
    for (cursor, event) in old {
        renamed |= matches!(event, Event::ValuesRekeyed(_));
        conversions.extend(concerns(&event));
        let event = event.done();
        // That a model lost its word to reject outlives the ruling that broke its promise.
        let event = event.trips().cloned().map_or(event, Event::BreakerTripped);
        if book.still_speaks(cursor, &event) {
            let event = match event {
                Event::OutcomeRecorded(recorded) => {
                    Event::OutcomeRecorded(Box::new(OutcomeRecorded { concerned: Vec::new(), ..*recorded }))
                }
                Event::ListChanged(changed) => Event::ListChanged(under_newest_name(&book, changed)),
                Event::SourceEventTaken(taken) => {
                    let facts = taken.lasting().cloned().collect();
                    Event::SourceEventTaken(Box::new(SourceEventTaken { facts, mistakes: Vec::new(), ..*taken }))
                }
                event => event,
            };
            put.push((cursor, event));
        }
    }
    conversions.sort_unstable();
    conversions.dedup();
    let floor = book.floor();
    if renamed {
        // What was kept under names that nothing tells of any more is kept anew.
        let listed = book.listed_before(floor).map(|(entry, cursor)| {
            (cursor, Event::ListChanged(ListChanged { entry: entry.clone(), change: Change::Place, request: None }))
        });
        put.extend(listed);
    }
    for (cursor, kept) in conversions.iter().filter_map(|id| book.kept_of(id)).filter(|(cursor, _)| *cursor < floor) {
        put.push((cursor, Event::ConversionKept(Box::new(kept))));
    }
    let last = book.cursor();
    drop(book);
    // What is kept tells how things stand by now, which must be durable first.
    block_on(programme.wait_for(last))?;
    Ok(put)
}

/// The entry of a list as it goes by now.
fn under_newest_name(book: &Book, changed: ListChanged) -> ListChanged {
    let known = book.list_entry(changed.entry.list, &changed.entry.subject).map(|(entry, _)| entry.clone());
    ListChanged { entry: known.unwrap_or(changed.entry), ..changed }
}

/// Entries that outlived their records and say nothing any more. What outlives of the audit trail is learned with it.
fn what_is_overruled(shared: &Shared, programme: &Programme, trail: &mut TrailsKept) -> Result<Vec<Cursor>, LedgerError> {
    let mut gone = Vec::new();
    for kept in shared.journal.kept(&programme.id).map_err(unavailable)? {
        let damaged = |damaged| LedgerError::Damaged(format!("what is kept of record {}: {damaged}", kept.cursor.0));
        let event = codec::decode(&kept.payload).map_err(damaged)?;
        let event = match event {
            Event::TrailKept(kept_trail) => match trail.learn(kept.cursor, *kept_trail) {
                Some(beside) => *beside,
                None => continue,
            },
            event => event,
        };
        if !programme.book.read().still_speaks(kept.cursor, &event) {
            gone.push(kept.cursor);
        }
    }
    Ok(gone)
}

/// The conversions of which a record tells something that is kept with them.
fn concerns(event: &Event) -> Vec<ConversionId> {
    let of = |concerned: &[Concerned]| concerned.iter().map(|one| one.conversion_id.clone()).collect();
    match event {
        Event::ConversionScreened(screened) => {
            let repeated = screened.repeated.iter().map(|one| one.conversion_id.clone());
            std::iter::once(screened.conversion.conversion_id.clone()).chain(repeated).collect()
        }
        Event::OutcomeRecorded(recorded) => of(&recorded.concerned),
        Event::OutcomeRevoked(revoked) => of(&revoked.concerned),
        Event::OutcomeSpread(spread) => of(&spread.concerned),
        Event::Rechecked(rechecked) => rechecked.changed.iter().map(|changed| changed.conversion_id.clone()).collect(),
        Event::CaseStepped(stepped) => vec![stepped.conversion_id.clone()],
        Event::CasesStepped(stepped) => stepped.steps.iter().map(|step| step.conversion_id.clone()).collect(),
        Event::RewardsReserved(reserved) => reserved.answers.iter().map(|answer| answer.conversion_id.clone()).collect(),
        Event::ReservationChanged(changed) => changed.rewards.iter().map(|(conversion, _)| conversion.clone()).collect(),
        Event::RewardPaid(paid) => vec![paid.conversion_id.clone()],
        Event::PayoutFailed(failed) => vec![failed.conversion_id.clone()],
        Event::RewardsChanged(changed) => vec![changed.conversion_id.clone()],
        Event::ActConfirmed(confirmed) => concerns(&confirmed.done),
        Event::SignalsRecorded(_)
        | Event::PendingExpired(_)
        | Event::HoldChanged(_)
        | Event::ListChanged(_)
        | Event::ModelsChanged(_)
        | Event::TermsChanged(_)
        | Event::ValuesRekeyed(_)
        | Event::AuditKeyMade(_)
        | Event::DirectoryChanged(_)
        | Event::Looked(_)
        | Event::AccountErased(_)
        | Event::ErasureFinished(_)
        | Event::ActProposed(_)
        | Event::ActDropped(_)
        | Event::SourceEventTaken(_)
        | Event::BreakerTripped(_)
        | Event::TrailKept(_)
        | Event::ConversionKept(_) => Vec::new(),
    }
}

/// Makes the book again of what is left, and puts it in the place of the one that knows more.
pub(super) fn remake(shared: &Shared, programme: &Arc<Programme>) -> Result<(), LedgerError> {
    let (journal, snapshots, seed) = (Arc::clone(&shared.journal), shared.snapshots.clone(), shared.seed);
    // Nothing is made cold in a book that is about to go.
    let still = programme.cold.as_ref().map(|tier| tier.moving.lock());
    let head = journal.head(&programme.id).map_err(unavailable)?;
    let sources = open::sources(&journal, None, None, seed);
    let (mut book, chain) = sources.beginning(&programme.id, head)?;
    let chain = sources.replay(&programme.id, &mut book, chain, programme.durable(), None)?;
    let (tell, told) = mpsc::channel();
    let of = Arc::clone(programme);
    let replayed_from = Arc::clone(&journal);
    shared.send(Job::Between(Box::new(move |sequencer| {
        sequencer.hand_over();
        let last = of.book.read().cursor();
        let caught_up = block_on(of.wait_for(last)).and_then(|()| {
            let sources = open::sources(&replayed_from, None, None, seed);
            let chain = sources.replay(&of.id, &mut book, chain, last, None)?;
            book.raise_floor(head.first);
            let frozen = book.freeze();
            std::mem::swap(&mut *of.book.write(), &mut book);
            Ok((frozen, chain, book))
        });
        // Who asked drops the old book, which takes a while.
        drop(tell.send(caught_up));
    })))?;
    let (frozen, chain, old) = told.recv().map_err(|_| super::commit::closing())??;
    drop(old);
    if let Some(tier) = &programme.cold {
        // In the book that was made again everything is warm.
        tier.clear().map_err(unavailable)?;
    }
    drop(still);
    if let Some(snapshots) = snapshots {
        snapshotting::write(&*journal, &*snapshots, programme, frozen, chain).map_err(unavailable)?;
    }
    Ok(())
}
