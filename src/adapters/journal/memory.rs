//! A journal in memory, for tests and for a server without a folder: durable is what was appended, until the process ends.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::book::records::Cursor;
use crate::ports::journal::{
    Append, Appended, Chain, Direction, Epoch, Head, Incarnation, Journal, JournalError, Kept, KeptChange, RECORD_BYTES_MAX,
    Reach, Record, Rewritten,
};
use crate::vocabulary::ids::ProgramId;

/// A journal that ends with the process.
pub struct MemoryJournal {
    incarnation: Incarnation,
    logs: Mutex<BTreeMap<ProgramId, Log>>,
}

/// What one programme has.
struct Log {
    first: u64,
    base: Chain,
    records: VecDeque<Record>,
    kept: BTreeMap<u64, Bytes>,
}

impl Log {
    fn empty(program: &ProgramId) -> Self {
        Self { first: 1, base: Chain::before_all(program), records: VecDeque::new(), kept: BTreeMap::new() }
    }

    fn head(&self) -> Head {
        let last = self.first + self.records.len() as u64 - 1;
        let chain = self.records.back().map_or(self.base, |record| record.chain);
        Head { first: Cursor(self.first), base: self.base, last: Cursor(last), chain }
    }
}

impl MemoryJournal {
    /// An empty journal, in a life of its own.
    #[must_use]
    pub fn new() -> Self {
        Self { incarnation: Incarnation(rand::random::<u64>().max(1)), logs: Mutex::default() }
    }
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::new()
    }
}

impl Journal for MemoryJournal {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn programs(&self) -> Result<Vec<(ProgramId, Head)>, JournalError> {
        Ok(self.logs.lock().iter().map(|(program, log)| (program.clone(), log.head())).collect())
    }

    fn head(&self, program: &ProgramId) -> Result<Head, JournalError> {
        Ok(self.logs.lock().get(program).map_or_else(|| Log::empty(program).head(), Log::head))
    }

    fn append(&self, group: &[Append]) -> Result<Appended, JournalError> {
        let mut logs = self.logs.lock();
        let mut next: BTreeMap<&ProgramId, u64> = BTreeMap::new();
        for Append { program, epoch: _, record } in group {
            let size_bytes = record.payload.len();
            if size_bytes > RECORD_BYTES_MAX {
                return Err(JournalError::TooLarge { size_bytes, limit_bytes: RECORD_BYTES_MAX });
            }
            let expected = next.entry(program).or_insert_with(|| logs.get(program).map_or(0, |log| log.head().last.0) + 1);
            if record.cursor.0 != *expected {
                let (program, found) = (program.to_string(), record.cursor.0);
                return Err(JournalError::OutOfOrder { program, expected: *expected, found });
            }
            *expected += 1;
        }
        for Append { program, epoch: _, record } in group {
            let log = logs.entry(program.clone()).or_insert_with(|| Log::empty(program));
            log.records.push_back(record.clone());
        }
        Ok(Appended::default())
    }

    fn read(&self, program: &ProgramId, reach: Reach) -> Result<Vec<Record>, JournalError> {
        let logs = self.logs.lock();
        let Some(log) = logs.get(program) else { return Ok(Vec::new()) };
        let head = log.head();
        let (from, to) = (reach.from.max(head.first).0, reach.to.min(head.last).0);
        let at = |cursor: u64| usize::try_from(cursor - log.first).unwrap_or(usize::MAX);
        if from > to {
            return Ok(Vec::new());
        }
        let wanted = log.records.range(at(from)..=at(to)).cloned();
        Ok(match reach.direction {
            Direction::Forward => wanted.take(reach.limit).collect(),
            Direction::Backward => wanted.rev().take(reach.limit).collect(),
        })
    }

    fn kept(&self, program: &ProgramId) -> Result<Vec<Kept>, JournalError> {
        let logs = self.logs.lock();
        let Some(log) = logs.get(program) else { return Ok(Vec::new()) };
        Ok(log.kept.iter().map(|(cursor, payload)| Kept { cursor: Cursor(*cursor), payload: payload.clone() }).collect())
    }

    fn cut(&self, program: &ProgramId, _epoch: Epoch, before: Cursor, change: &KeptChange) -> Result<u64, JournalError> {
        let mut logs = self.logs.lock();
        let Some(log) = logs.get_mut(program) else { return Ok(0) };
        let floor = before.0.clamp(log.first, log.head().last.0 + 1);
        if let Some(kept) = change.put.iter().find(|kept| kept.cursor.0 >= floor) {
            return Err(kept_too_early(kept.cursor));
        }
        if let Some(kept) = change.put.iter().find(|kept| kept.payload.len() > RECORD_BYTES_MAX) {
            return Err(JournalError::TooLarge { size_bytes: kept.payload.len(), limit_bytes: RECORD_BYTES_MAX });
        }
        let mut removed = 0;
        while log.first < floor {
            let Some(record) = log.records.pop_front() else { break };
            log.base = record.chain;
            log.first += 1;
            removed += 1;
        }
        for gone in &change.gone {
            log.kept.remove(&gone.0);
        }
        for kept in &change.put {
            log.kept.insert(kept.cursor.0, kept.payload.clone());
        }
        Ok(removed)
    }

    fn rewrite(&self, program: &ProgramId, _epoch: Epoch, records: &[Record]) -> Result<(), JournalError> {
        let mut logs = self.logs.lock();
        let Some(log) = logs.get_mut(program) else { return Ok(()) };
        for record in records {
            refuse_what_is_not_rewritten(program, record)?;
            let at = record.cursor.0.checked_sub(log.first).and_then(|at| usize::try_from(at).ok());
            match at.and_then(|at| log.records.get_mut(at)).filter(|known| known.chain == record.chain) {
                Some(known) => known.payload = record.payload.clone(),
                None => return Err(not_there(program, record)),
            }
        }
        Ok(())
    }

    fn failure(&self) -> Option<String> {
        None
    }
}

/// Only what keeps the chain may be put in the place of a record.
pub(super) fn refuse_what_is_not_rewritten(program: &ProgramId, record: &Record) -> Result<(), JournalError> {
    match Rewritten::of(&record.payload) {
        Some(Rewritten { chain, before: _ }) if chain == record.chain => Ok(()),
        Some(_) | None => Err(not_there(program, record)),
    }
}

/// A record that is to be rewritten is not the one that is there.
pub(super) fn not_there(program: &ProgramId, record: &Record) -> JournalError {
    JournalError::NotPossible(format!(
        "record {} of programme `{program}` is not the one that was to be rewritten",
        record.cursor.0
    ))
}

/// An entry is kept of a record that goes: of one that stays, both would count.
pub(super) fn kept_too_early(cursor: Cursor) -> JournalError {
    JournalError::NotPossible(format!("record {} is still there; nothing is kept of it beside itself", cursor.0))
}
