//! Cutting the beginning of a journal. One batch moves the beginning and changes what is kept; before it nothing of the cut is seen, and what it
//! leaves to be removed afterwards is not seen any more, so an interruption at any point leaves the journal before or after the cut.

use std::collections::{BTreeMap, BTreeSet};

use super::error::StorageError;
use super::journal::{SledJournal, Standing};
use super::layout::{Number, Space, encode_parts, part_key};
use super::scan::{Scan, entry_with};
use super::store::{Store, Writes};
use crate::book::records::Cursor;
use crate::ports::journal::{Chain, Direction, Head, Kept, KeptChange, RECORD_BYTES_MAX};
use crate::vocabulary::ids::ProgramId;

/// Keys written or removed per batch: bounds memory and how long appends wait. Judgement.
const BATCH_KEYS: usize = 1_000;

impl SledJournal {
    pub(super) fn cut_before(&self, program: &ProgramId, before: Cursor, change: &KeptChange) -> Result<u64, StorageError> {
        let _cutting = self.cutting.lock();
        let Some(standing) = self.standing(program) else { return Ok(0) };
        let first = standing.head.first;
        let floor = Cursor(before.0.clamp(first.0, standing.head.last.0 + 1));
        refuse_what_cannot_be(change, floor)?;
        if floor == first && *change == KeptChange::default() {
            return Ok(0);
        }
        let change = &once_each(change);
        self.put_unseen(standing.number, first, &change.put)?;
        self.move_beginning(program, floor, change)?;
        remove_records(self, program)?;
        Ok(floor.0 - first.0)
    }

    /// Writes the entries of records that are still there. Entries at or after the beginning are not read, so they are not seen yet.
    fn put_unseen(&self, number: Number, first: Cursor, put: &[Kept]) -> Result<(), StorageError> {
        // Of a cut that was interrupted.
        let stale = keys_between(&self.store, number, Space::Kept, first.0, u64::MAX);
        self.in_batches(stale, |writes, key| {
            writes.remove(key?);
            Ok(())
        })?;
        self.in_batches(put.iter().filter(|kept| kept.cursor >= first), |writes, kept| {
            let at = (number, Space::Kept, kept.cursor.0);
            encode_parts(at, &kept.payload, |key, part| writes.put(key.to_vec(), part))
        })
    }

    fn in_batches<T>(
        &self,
        items: impl Iterator<Item = T>,
        stage: impl Fn(&mut Writes, T) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut items = items.peekable();
        while items.peek().is_some() {
            let mut writes = Writes::default();
            while writes.len() < BATCH_KEYS {
                let Some(item) = items.next() else { break };
                stage(&mut writes, item)?;
            }
            let writer = self.writer.lock();
            if writer.pins > 0 {
                return Err(StorageError::BackupUnderWay);
            }
            self.store.commit(writes)?;
        }
        Ok(())
    }

    fn move_beginning(&self, program: &ProgramId, floor: Cursor, change: &KeptChange) -> Result<(), StorageError> {
        let writer = self.writer.lock();
        if writer.pins > 0 {
            return Err(StorageError::BackupUnderWay);
        }
        // Appends went on since the cut began; cuts did not.
        let Some(mut standing) = self.standing(program) else { return Ok(()) };
        let first = standing.head.first;
        let mut writes = Writes::default();
        let replaced: BTreeSet<Cursor> = change.put.iter().map(|kept| kept.cursor).chain(change.gone.iter().copied()).collect();
        for place in replaced.into_iter().filter(|place| *place < first) {
            self.stage_removal(&mut writes, program, &mut standing, place)?;
        }
        for kept in &change.put {
            standing.kept.add(kept.cursor.0, &kept.payload);
            if kept.cursor < first {
                let at = (standing.number, Space::Kept, kept.cursor.0);
                encode_parts(at, &kept.payload, |key, part| writes.put(key.to_vec(), part))?;
            }
        }
        standing.head = Head { first: floor, base: self.chain_before(program, &standing, floor)?, ..standing.head };
        let (key, value) = standing.floor().encode(standing.number);
        writes.put(key, value);
        // The chain before the beginning must be comparable with a note, also when the power goes now.
        self.watermark.sync().map_err(StorageError::io("noting what is durable", self.folder()))?;
        self.store.commit(writes)?;
        self.note(&standing)?;
        self.standings.write().insert(program.clone(), standing);
        Ok(())
    }

    /// Removes an entry that is seen, and takes it from the sum.
    fn stage_removal(
        &self,
        writes: &mut Writes,
        program: &ProgramId,
        standing: &mut Standing,
        place: Cursor,
    ) -> Result<(), StorageError> {
        let of = standing.kept_entries(program);
        for item in Scan::over(&self.store, of, place.0..=place.0, Direction::Forward) {
            standing.kept.remove(place.0, &item?.1);
        }
        for key in keys_between(&self.store, standing.number, Space::Kept, place.0, place.0) {
            writes.remove(key?);
        }
        Ok(())
    }

    fn chain_before(&self, program: &ProgramId, standing: &Standing, floor: Cursor) -> Result<Chain, StorageError> {
        if floor == standing.head.first {
            return Ok(standing.head.base);
        }
        let last_gone = Cursor(floor.0 - 1);
        let missing = StorageError::DamagedRecord { program: program.to_string(), seq: last_gone.0, reason: "it is missing" };
        let record = self.records(program, standing, (last_gone, last_gone), Direction::Forward).next();
        Ok(record.ok_or(missing)??.chain)
    }
}

/// Of several entries of one place the last counts.
fn once_each(change: &KeptChange) -> KeptChange {
    let put: BTreeMap<Cursor, &Kept> = change.put.iter().map(|kept| (kept.cursor, kept)).collect();
    KeptChange { put: put.into_values().cloned().collect(), gone: change.gone.clone() }
}

/// An entry is kept of a record that goes: of one that stays, both would count.
fn refuse_what_cannot_be(change: &KeptChange, floor: Cursor) -> Result<(), StorageError> {
    if let Some(kept) = change.put.iter().find(|kept| kept.cursor >= floor) {
        let reason = format!("record {} is still there; nothing is kept of it beside itself", kept.cursor.0);
        return Err(StorageError::NotPossible { reason });
    }
    match change.put.iter().map(|kept| kept.payload.len()).find(|size| *size > RECORD_BYTES_MAX) {
        Some(size_bytes) => Err(StorageError::TooLarge { size_bytes, limit_bytes: RECORD_BYTES_MAX }),
        None => Ok(()),
    }
}

/// Removes the records before the beginning, which nobody reads any more. Those that share an entry with the first that is read go with it later.
pub(super) fn remove_records(journal: &SledJournal, program: &ProgramId) -> Result<(), StorageError> {
    let Some(Standing { number, head, .. }) = journal.standing(program) else { return Ok(()) };
    let end = if head.last < head.first { head.first.0 } else { entry_with(&journal.store, number, head.first)? };
    let mut gone = keys_between(&journal.store, number, Space::Record, 0, end.saturating_sub(1)).peekable();
    while gone.peek().is_some() {
        let mut writes = Writes::default();
        for key in gone.by_ref().take(BATCH_KEYS) {
            writes.remove(key?);
        }
        let _writer = journal.writer.lock();
        journal.store.commit(writes)?;
    }
    Ok(())
}

/// The keys of entries between two places, both included.
pub(super) fn keys_between(
    store: &Store,
    number: Number,
    space: Space,
    from: u64,
    to: u64,
) -> impl Iterator<Item = Result<Vec<u8>, StorageError>> {
    let keys = part_key(number, space, from, 0)..=part_key(number, space, to, u16::MAX);
    store.range("removing records", keys).map(|item| item.map(|(key, _)| key.to_vec()))
}
