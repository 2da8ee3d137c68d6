//! Erasing: what holds the signals of an account is rewritten without them, the book is made again of that, and what was on the disk before is cleared.
//!
//! A record keeps its place and its chain when it is rewritten, so cursors, replicas and the feed go on. What is decided stays as it was decided.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use futures::executor::block_on;
use tokio::sync::oneshot;

use super::codec;
use super::journaled::Shared;
use super::programme::Programme;
use super::reads::{damaged_at, unavailable};
use super::rechecks::look_again;
use super::retention::remake;
use super::sequencer::{Execution, Job, Traced};
use crate::book::command::Command;
use crate::book::erasures::{ErasureFinished, ErasuresDoneCommand};
use crate::book::event::Event;
use crate::book::records::Cursor;
use crate::ports::journal::{Direction, Reach, Record, Rewritten};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::{AccountId, ConversionId};

/// Records that are looked at, and then rewritten, at a time.
const PART_RECORDS: usize = 1_024;
/// Conversions that are looked at with one command.
const LATE_AT_ONCE: usize = 16;
/// How often it is looked whether something is late before it is left for another time. Judgement.
const ROUNDS_MAX: usize = 100_000;

/// Ends the erasures of all programmes. Returns how many.
pub(super) fn finish(shared: &Shared) -> Result<u64, LedgerError> {
    // Neither retention nor a snapshot comes between.
    let _alone = shared.snapshotting.lock();
    let mut ended = Vec::new();
    for programme in shared.programmes.all() {
        let under_way: Vec<(Cursor, AccountId)> =
            programme.book.read().erasures().under_way().map(|(place, account)| (place, account.clone())).collect();
        if !under_way.is_empty() {
            look_at_what_is_late(shared, &programme)?;
            let rewritten = rewrite(shared, &programme, &under_way)?;
            ended.push((programme, under_way, rewritten));
        }
    }
    if ended.is_empty() {
        return Ok(0);
    }
    for (programme, _, _) in &ended {
        if let Some(snapshots) = &shared.snapshots {
            snapshots.remove_before(shared.journal.incarnation(), &programme.id, Cursor(u64::MAX)).map_err(unavailable)?;
        }
        remake(shared, programme)?;
    }
    shared.journal.scour().map_err(unavailable)?;
    if let Some(cold) = &shared.cold {
        cold.scour().map_err(unavailable)?;
    }
    let mut count = 0;
    for (programme, under_way, rewritten) in ended {
        count += under_way.len() as u64;
        let asked = under_way.into_iter().map(|(place, _)| place).collect();
        let at = programme.book.read().latest();
        say_so(shared, &programme, ErasureFinished { asked, rewritten, at })?;
    }
    Ok(count)
}

/// Looks at everything that facts touched before anything is taken from these: what is held until then must not be let go because nothing of them is left.
fn look_at_what_is_late(shared: &Shared, programme: &Arc<Programme>) -> Result<(), LedgerError> {
    for _ in 0..ROUNDS_MAX {
        let (late, unfinished) = {
            let book = programme.book.read();
            let late: Vec<ConversionId> = book.late_after(None, LATE_AT_ONCE).into_iter().map(|(_, id)| id).collect();
            (late, book.has_unfinished())
        };
        if late.is_empty() && !unfinished {
            return Ok(());
        }
        if late.is_empty() {
            // Between two commands the sequencer does the next piece.
            let (tell, told) = mpsc::channel();
            shared.send(Job::Between(Box::new(move |_| {
                // Who asked may have given up.
                let _ = tell.send(());
            })))?;
            told.recv().map_err(|_| super::commit::closing())?;
        } else {
            look_again(shared, programme, &late)?;
        }
    }
    Err(LedgerError::Unavailable("facts come faster than they are looked at; the erasure is tried again".to_owned()))
}

/// Rewrites the records that hold signals of accounts and stand before the one that asked for it. Returns those that no earlier end of an erasure
/// vouches for as they are now, with what they hold.
fn rewrite(
    shared: &Shared,
    programme: &Arc<Programme>,
    under_way: &[(Cursor, AccountId)],
) -> Result<Vec<(Cursor, [u8; 32])>, LedgerError> {
    if let Some((newest, _)) = under_way.last() {
        block_on(programme.wait_for(*newest))?;
    }
    let head = shared.journal.head(&programme.id).map_err(unavailable)?;
    let (mut from, mut before, end) = (head.first, head.base, programme.durable());
    let mut rewritten: BTreeMap<Cursor, [u8; 32]> = BTreeMap::new();
    while from <= end {
        let reach = Reach { from, to: end, direction: Direction::Forward, limit: PART_RECORDS };
        let records = shared.journal.read(&programme.id, reach).map_err(unavailable)?;
        let Some(last) = records.last().map(|record| record.cursor) else {
            return Err(damaged_at(from, "it is missing"));
        };
        let mut changed = Vec::new();
        for record in records {
            let (event, by) = codec::decode_by(&record.payload).map_err(|damaged| damaged_at(record.cursor, damaged))?;
            let accounts: Vec<&AccountId> =
                under_way.iter().filter(|(asked, _)| record.cursor < *asked).map(|(_, account)| account).collect();
            let bare = event.without_signals_of(&accounts, &programme.book.read()).map(|event| {
                let content = codec::encode_by(&event, by.as_ref());
                let payload = Rewritten { before, chain: record.chain }.payload(&content).into();
                Record { payload, ..record.clone() }
            });
            let now = bare.as_ref().unwrap_or(&record);
            if Rewritten::of(&now.payload).is_some() {
                rewritten.insert(record.cursor, *blake3::hash(&now.payload).as_bytes());
            }
            if let Event::ErasureFinished(finished) = event {
                for (place, hash) in &finished.rewritten {
                    if rewritten.get(place) == Some(hash) {
                        rewritten.remove(place);
                    }
                }
            }
            before = record.chain;
            changed.extend(bare);
        }
        shared.journal.rewrite(&programme.id, programme.epoch, &changed).map_err(unavailable)?;
        from = Cursor(last.0 + 1);
    }
    Ok(rewritten.into_iter().collect())
}

/// Notes that they are done, as a record of its own.
fn say_so(shared: &Shared, programme: &Arc<Programme>, done: ErasureFinished) -> Result<(), LedgerError> {
    let command = ErasuresDoneCommand { program_id: programme.id.clone(), done };
    let permit = shared.committer.admit()?;
    let (reply, answer) = oneshot::channel();
    let command = Command::ErasuresDone(Box::new(command));
    shared.send(Job::Execute(Box::new(Execution { command, by: None, permit, reply, traced: Traced::waiting() })))?;
    block_on(answer).map_err(|_| super::commit::closing())?.map(|_| ())
}
