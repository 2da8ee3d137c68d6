//! The journal in sled: groups are appended in one batch and one sync, read back in order, and cut at the beginning. Where each programme's
//! journal ends is known in memory, so that nothing is looked up for an append.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::backup::write_backup;
use super::content::{Item, Take};
use super::error::StorageError;
use super::keeper::Keeper;
use super::layout::{Floor, KeptSum, Number, Pack, Space, encode_parts, encode_registration};
use super::scan::{Of, Scan, records};
use super::store::{Store, Writes};
use super::watermark::{Mark, Watermark};
use crate::adapters::journal::memory::refuse_what_is_not_rewritten;
use crate::book::records::Cursor;
use crate::ports::journal::{
    Append, Appended, BackupSummary, Chain, Direction, Epoch, Head, Incarnation, Journal, JournalError, Kept, KeptChange, Reach,
    Record,
};
use crate::vocabulary::ids::ProgramId;

/// The journal in a folder. Exactly one exists per folder, in any process.
pub struct SledJournal {
    pub(super) store: Arc<Store>,
    pub(super) watermark: Arc<Watermark>,
    pub(super) incarnation: Incarnation,
    pub(super) standings: RwLock<HashMap<ProgramId, Standing>>,
    pub(super) writer: Mutex<Writer>,
    /// Held by the one cut that is under way.
    pub(super) cutting: Mutex<()>,
    pub(super) doubt: Option<String>,
    keeper: Keeper,
}

/// Where a programme's journal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) number: Number,
    pub(super) head: Head,
    pub(super) kept: KeptSum,
}

impl Standing {
    pub(super) fn empty(number: Number, program: &ProgramId) -> Self {
        Self { number, head: empty_head(program), kept: KeptSum::default() }
    }

    pub(super) fn floor(&self) -> Floor {
        Floor { first: self.head.first, base: self.head.base, kept: self.kept }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { first: self.head.first, last: self.head.last, chain: self.head.chain }
    }

    pub(super) fn records<'p>(&self, program: &'p ProgramId) -> Of<'p> {
        Of { program: program.as_str(), number: self.number, space: Space::Record }
    }

    pub(super) fn kept_entries<'p>(&self, program: &'p ProgramId) -> Of<'p> {
        Of { program: program.as_str(), number: self.number, space: Space::Kept }
    }
}

fn empty_head(program: &ProgramId) -> Head {
    let chain = Chain::before_all(program);
    Head { first: Cursor(1), base: chain, last: Cursor(0), chain }
}

/// What whoever writes owns.
pub(super) struct Writer {
    /// The number of the next programme that is met.
    next_number: u32,
    /// Backups that rely on records staying where they are.
    pub(super) pins: usize,
}

/// What was found in a folder.
pub(super) struct Found {
    pub(super) store: Store,
    pub(super) watermark: Watermark,
    pub(super) incarnation: Incarnation,
    pub(super) standings: HashMap<ProgramId, Standing>,
    pub(super) doubt: Option<String>,
}

/// All records up to a moment, kept in place until this is dropped.
struct Pin<'j>(&'j SledJournal);

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.writer.lock().pins -= 1;
    }
}

impl SledJournal {
    pub(super) fn of(found: Found) -> Result<Self, StorageError> {
        let (store, watermark) = (Arc::new(found.store), Arc::new(found.watermark));
        let highest = found.standings.values().map(|standing| standing.number.0).max().unwrap_or(0);
        Ok(Self {
            keeper: Keeper::start(Arc::clone(&store), Arc::clone(&watermark))?,
            store,
            watermark,
            incarnation: found.incarnation,
            standings: RwLock::new(found.standings),
            writer: Mutex::new(Writer { next_number: highest + 1, pins: 0 }),
            cutting: Mutex::new(()),
            doubt: found.doubt,
        })
    }

    /// The folder that was opened.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.store.folder()
    }

    /// What opening could not tell from a clean end; absent when nothing that was acknowledged can be missing.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// All programmes, by name.
    pub(super) fn all_standings(&self) -> BTreeMap<ProgramId, Standing> {
        self.standings.read().iter().map(|(program, standing)| (program.clone(), *standing)).collect()
    }

    pub(super) fn standing(&self, program: &ProgramId) -> Option<Standing> {
        self.standings.read().get(program).copied()
    }

    pub(super) fn append_group(&self, group: &[Append]) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        self.store.refuse_if_failed()?;
        let mut next_number = writer.next_number;
        let mut changed: HashMap<&ProgramId, (Standing, Pack)> = HashMap::new();
        let mut writes = Writes::default();
        for Append { program, epoch: _, record } in group {
            let (standing, pack) = changed.entry(program).or_insert_with(|| {
                let standing = self.standing(program).unwrap_or_else(|| {
                    let number = Number(next_number);
                    next_number += 1;
                    let (key, value) = encode_registration(program.as_str(), number);
                    writes.put(key, value);
                    Standing::empty(number, program)
                });
                (standing, Pack::begin(standing.number, record.cursor))
            });
            refuse_what_does_not_follow(program, &standing.head, record)?;
            if !pack.has_room_for(record) {
                let full = std::mem::replace(pack, Pack::begin(standing.number, record.cursor));
                full.encode(|key, value| writes.put(key.to_vec(), value))?;
            }
            pack.add(record)?;
            (standing.head.last, standing.head.chain) = (record.cursor, record.chain);
        }
        let mut standings = HashMap::with_capacity(changed.len());
        for (program, (standing, pack)) in changed {
            pack.encode(|key, value| writes.put(key.to_vec(), value))?;
            standings.insert(program, standing);
        }
        self.commit(&mut writer, writes, next_number, standings)
    }

    /// Makes writes durable, notes it, and shows it to readers.
    fn commit(
        &self,
        writer: &mut Writer,
        writes: Writes,
        next_number: u32,
        changed: HashMap<&ProgramId, Standing>,
    ) -> Result<(), StorageError> {
        if writes.len() == 0 {
            return Ok(());
        }
        self.store.commit(writes)?;
        writer.next_number = next_number;
        for standing in changed.values() {
            self.note(standing)?;
        }
        let mut standings = self.standings.write();
        for (program, standing) in changed {
            match standings.get_mut(program) {
                Some(known) => *known = standing,
                None => drop(standings.insert(program.clone(), standing)),
            }
        }
        Ok(())
    }

    pub(super) fn note(&self, standing: &Standing) -> Result<(), StorageError> {
        let noted = self.watermark.note(standing.number, standing.mark());
        noted.map_err(StorageError::io("noting what is durable", self.folder())).inspect_err(|error| self.store.fail(error))
    }

    /// Sets up a programme as another journal has it, in one that is being filled.
    pub(super) fn begin_program(&self, program: &ProgramId, floor: Floor) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        let number = Number(writer.next_number);
        let head = Head { first: floor.first, base: floor.base, last: Cursor(floor.first.0 - 1), chain: floor.base };
        let mut writes = Writes::default();
        for (key, value) in [encode_registration(program.as_str(), number), floor.encode(number)] {
            writes.put(key, value);
        }
        let standing = Standing { number, head, kept: floor.kept };
        self.commit(&mut writer, writes, number.0 + 1, HashMap::from([(program, standing)]))
    }

    /// Writes kept entries to a programme that is being filled; its floor counts them already.
    pub(super) fn fill_kept(&self, program: &ProgramId, entries: &[Kept]) -> Result<(), StorageError> {
        let _writer = self.writer.lock();
        let Some(standing) = self.standing(program) else { return Ok(()) };
        let mut writes = Writes::default();
        for Kept { cursor, payload } in entries {
            encode_parts((standing.number, Space::Kept, cursor.0), payload, |key, part| writes.put(key.to_vec(), part))?;
        }
        self.store.commit(writes)
    }

    /// Records between two places, both included, in either direction; damage is an item and the walk goes on after it. Gaps are not told.
    pub(super) fn records<'j>(
        &'j self,
        program: &'j ProgramId,
        standing: &Standing,
        reach: (Cursor, Cursor),
        direction: Direction,
    ) -> impl Iterator<Item = Result<Record, StorageError>> + use<'j> {
        records(&self.store, standing.records(program), reach, direction)
    }

    fn read_at(&self, program: &ProgramId, standing: &Standing, reach: Reach) -> Result<Vec<Record>, StorageError> {
        let (from, to) = (reach.from.max(standing.head.first), reach.to.min(standing.head.last));
        let mut read: Vec<Record> = Vec::new();
        if from > to {
            return Ok(read);
        }
        let mut bytes = 0;
        let mut expected = match reach.direction {
            Direction::Forward => from.0,
            Direction::Backward => to.0,
        };
        let places = usize::try_from(to.0 - from.0 + 1).unwrap_or(usize::MAX);
        let mut records = self.records(program, standing, (from, to), reach.direction);
        for _ in 0..places.min(reach.limit) {
            let missing = || standing.records(program).damaged(expected, "it is missing");
            let record = records.next().ok_or_else(missing)??;
            if record.cursor.0 != expected {
                return Err(missing());
            }
            let joined = match (reach.direction, read.last()) {
                (_, None) => true,
                (Direction::Forward, Some(before)) => before.chain.then(record.cursor, &record.payload) == record.chain,
                (Direction::Backward, Some(after)) => record.chain.then(after.cursor, &after.payload) == after.chain,
            };
            if !joined {
                return Err(standing.records(program).damaged(expected, "the chain breaks at it"));
            }
            bytes += record.payload.len();
            read.push(record);
            if bytes >= READ_BYTES_MAX {
                break;
            }
            expected = match reach.direction {
                Direction::Forward => expected + 1,
                Direction::Backward => expected.saturating_sub(1),
            };
        }
        Ok(read)
    }

    /// Reads what a cut may be changing: again when it did.
    fn while_unchanged<T>(
        &self,
        program: &ProgramId,
        nothing: T,
        read: impl Fn(&Standing) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let Some(mut standing) = self.standing(program) else { return Ok(nothing) };
        loop {
            let found = read(&standing);
            let now = self.standing(program).unwrap_or(standing);
            if now.floor() == standing.floor() {
                return found;
            }
            standing = now;
        }
    }

    pub(super) fn kept_at(&self, program: &ProgramId, standing: &Standing) -> Result<Vec<Kept>, StorageError> {
        let mut found = Vec::new();
        let mut sum = KeptSum::default();
        for item in Scan::over(&self.store, standing.kept_entries(program), 0..=standing.head.first.0 - 1, Direction::Forward) {
            let (place, payload) = item?;
            sum.add(place, &payload);
            found.push(Kept { cursor: Cursor(place), payload });
        }
        if sum != standing.kept {
            return Err(StorageError::DamagedStore { entry: "what is kept: entries are missing or were changed" });
        }
        Ok(found)
    }

    /// Hands over all that is durable at one moment. Appends go on; cuts are refused meanwhile.
    pub(super) fn hand_over(&self, take: Take<'_>) -> Result<(), StorageError> {
        let (_pin, standings) = {
            let mut writer = self.writer.lock();
            // After a failure, what is visible may not be durable: a backup must not contain it.
            self.store.refuse_if_failed()?;
            writer.pins += 1;
            (Pin(self), self.all_standings())
        };
        for (program, standing) in &standings {
            let Head { first, last, chain, .. } = standing.head;
            take(Item::Program { program: program.clone(), floor: standing.floor(), last, chain })?;
            for kept in self.kept_at(program, standing)? {
                take(Item::Kept(kept))?;
            }
            let mut next = first;
            while next <= last {
                let reach = Reach { from: next, to: last, direction: Direction::Forward, limit: HANDED_RECORDS };
                for record in self.read_at(program, standing, reach)? {
                    next = Cursor(record.cursor.0 + 1);
                    take(Item::Record(record))?;
                }
            }
        }
        Ok(())
    }
}

/// What one read brings at most, beside the record that goes over it. Unit: bytes. Judgement.
const READ_BYTES_MAX: usize = 16 << 20;
/// Records read at once for a backup. Judgement.
const HANDED_RECORDS: usize = 1_000;

fn refuse_what_does_not_follow(program: &ProgramId, head: &Head, record: &Record) -> Result<(), StorageError> {
    let (expected, found) = (head.last.0 + 1, record.cursor.0);
    if found != expected {
        return Err(StorageError::OutOfOrder { program: program.to_string(), expected, found });
    }
    // A mistake of the caller would be found only at the next opening; hashing each record once more is not worth it in a release.
    if cfg!(debug_assertions) && head.chain.then(record.cursor, &record.payload) != record.chain {
        let reason = format!("the chain of record {found} of programme `{program}` does not follow from the one before");
        return Err(StorageError::NotPossible { reason });
    }
    Ok(())
}

impl Journal for SledJournal {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn programs(&self) -> Result<Vec<(ProgramId, Head)>, JournalError> {
        Ok(self.all_standings().into_iter().map(|(program, standing)| (program, standing.head)).collect())
    }

    fn head(&self, program: &ProgramId) -> Result<Head, JournalError> {
        Ok(self.standing(program).map_or_else(|| empty_head(program), |standing| standing.head))
    }

    fn append(&self, group: &[Append]) -> Result<Appended, JournalError> {
        self.append_group(group)?;
        Ok(Appended::default())
    }

    fn read(&self, program: &ProgramId, reach: Reach) -> Result<Vec<Record>, JournalError> {
        Ok(self.while_unchanged(program, Vec::new(), |standing| self.read_at(program, standing, reach))?)
    }

    fn kept(&self, program: &ProgramId) -> Result<Vec<Kept>, JournalError> {
        Ok(self.while_unchanged(program, Vec::new(), |standing| self.kept_at(program, standing))?)
    }

    fn cut(&self, program: &ProgramId, _epoch: Epoch, before: Cursor, change: &KeptChange) -> Result<u64, JournalError> {
        Ok(self.cut_before(program, before, change)?)
    }

    fn rewrite(&self, program: &ProgramId, _epoch: Epoch, records: &[Record]) -> Result<(), JournalError> {
        records.iter().try_for_each(|record| refuse_what_is_not_rewritten(program, record))?;
        Ok(self.rewrite_records(program, records)?)
    }

    fn failure(&self) -> Option<String> {
        self.store.failure().map(str::to_owned)
    }

    fn hindrance(&self) -> Option<String> {
        self.store.hindrance()
    }

    fn back_up(&self, out: &mut dyn Write) -> Result<BackupSummary, JournalError> {
        Ok(write_backup(out, |take| self.hand_over(take))?)
    }
}

impl Drop for SledJournal {
    fn drop(&mut self) {
        self.keeper.stop();
        if self.store.failure().is_some() || self.store.refuse_if_replaced().is_err() {
            return;
        }
        if let Err(error) = self.watermark.note_closed() {
            tracing::warn!(folder = %self.folder().display(), %error, "the journal could not be noted as closed; nothing is lost");
        }
    }
}
