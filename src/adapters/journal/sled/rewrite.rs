//! Rewriting records after an erasure. They stay where they are, with their neighbours in the same entry; what sled keeps of their old bytes goes when the
//! store is scoured.

use std::collections::{BTreeMap, BTreeSet};

use super::error::StorageError;
use super::journal::SledJournal;
use super::layout::{Pack, Space, parse_part_key, unpack};
use super::scan::{Scan, entry_with};
use super::store::Writes;
use crate::ports::journal::{Direction, Record};
use crate::vocabulary::ids::ProgramId;

/// Entries that are written at once. Judgement.
const ENTRIES_AT_ONCE: usize = 256;

impl SledJournal {
    /// Puts other content in the place of records.
    pub(super) fn rewrite_records(&self, program: &ProgramId, records: &[Record]) -> Result<(), StorageError> {
        let Some(standing) = self.standing(program) else { return Ok(()) };
        let mut entries: BTreeMap<u64, Vec<&Record>> = BTreeMap::new();
        for record in records {
            entries.entry(entry_with(&self.store, standing.number, record.cursor)?).or_default().push(record);
        }
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let writer = self.writer.lock();
            if writer.pins > 0 {
                return Err(StorageError::BackupUnderWay);
            }
            let mut writes = Writes::default();
            for (place, changed) in entries.by_ref().take(ENTRIES_AT_ONCE) {
                self.stage(&mut writes, program, place, &changed)?;
            }
            self.store.commit(writes)?;
        }
        Ok(())
    }

    fn stage(&self, writes: &mut Writes, program: &ProgramId, place: u64, changed: &[&Record]) -> Result<(), StorageError> {
        let Some(standing) = self.standing(program) else { return Ok(()) };
        let of = standing.records(program);
        let missing = || of.damaged(place, "it is missing");
        let (_, body) = Scan::over(&self.store, of, place..=place, Direction::Forward).next().ok_or_else(missing)??;
        let mut records = unpack(place, body).map_err(|reason| of.damaged(place, reason))?;
        for record in changed {
            let known = records.iter_mut().find(|known| (known.cursor, known.chain) == (record.cursor, record.chain));
            known.ok_or_else(missing)?.payload = record.payload.clone();
        }
        let mut pack = Pack::begin(standing.number, crate::book::records::Cursor(place));
        records.iter().try_for_each(|record| pack.add(record))?;
        let mut written = BTreeSet::new();
        pack.encode(|key, part| {
            written.insert(key.to_vec());
            writes.put(key.to_vec(), part);
        })?;
        // A shorter entry has fewer parts.
        for key in super::cut::keys_between(&self.store, standing.number, Space::Record, place, place) {
            let key = key?;
            if parse_part_key(&key).is_some_and(|(of, _)| of == place) && !written.contains(&key) {
                writes.remove(key);
            }
        }
        Ok(())
    }
}
