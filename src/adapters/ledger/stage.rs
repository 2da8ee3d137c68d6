//! What readers and the sequencer of the ledger on disk share: the durable tables, the stage of rows that are not durable yet, and the
//! shelves. Called by the ledger on disk alone.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::retention::Horizon;
use super::rows::Row;
use super::rows::case_line::CaseLine;
use super::rows::index::{Shelf, ShelfWrite};
use super::tables::Tables;
use crate::adapters::storage::error::{StorageError, TableError};
use crate::adapters::storage::journal::Journal;
use crate::adapters::storage::memtable::TableRow;
use crate::adapters::storage::reader::JournalReader;
use crate::adapters::storage::record::{ProgrammeNumber, SideTag, SideWrite};
use crate::adapters::storage::table::{Covered, PointTable, TableStats};
use crate::book::records::{Cursor, Hold, HoldSubject};
use crate::ports::ledger::LedgerError;
use crate::ports::ledger::Reading;
use crate::vocabulary::ids::{ConversionId, ProgramId};

/// A ledger folder that was opened.
pub(super) struct Opened {
    pub(super) stage: Arc<Stage>,
    pub(super) journal: Arc<Journal>,
}

/// A programme of an open ledger.
pub(super) struct Programme {
    pub(super) id: ProgramId,
    pub(super) number: ProgrammeNumber,
    /// The newest record that is durable and whose rows are in the tables.
    shown: watch::Sender<u64>,
}

impl Programme {
    pub(super) fn new(id: ProgramId, number: ProgrammeNumber, shown: u64) -> Self {
        Self { id, number, shown: watch::Sender::new(shown) }
    }

    pub(super) fn last(&self) -> u64 {
        *self.shown.borrow()
    }
}

/// The entries of the shelves that are kept in memory, of one programme. Decided cases are not: they grow for ever.
pub(super) type ShelvesInMemory = BTreeMap<(Shelf, Vec<u8>), Vec<u8>>;

/// A row that is not durable yet, with the record that it waits for. Found by its key.
struct StagedRow {
    row: TableRow,
    cursor: u64,
}

impl PartialEq for StagedRow {
    fn eq(&self, other: &Self) -> bool {
        self.row == other.row
    }
}

impl Eq for StagedRow {}

impl Hash for StagedRow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.row.hash(state);
    }
}

impl Borrow<[u8]> for StagedRow {
    fn borrow(&self) -> &[u8] {
        self.row.key()
    }
}

/// What is shared.
pub(super) struct Stage {
    tables: PointTable,
    reader: JournalReader,
    staged: RwLock<HashSet<StagedRow, foldhash::fast::RandomState>>,
    staged_count: AtomicUsize,
    programmes: RwLock<BTreeMap<ProgramId, Arc<Programme>>>,
    registered: watch::Sender<usize>,
    shelves: RwLock<BTreeMap<ProgrammeNumber, ShelvesInMemory>>,
    /// Held while rows are put and while a checkpoint begins: what a checkpoint says it covers is exactly what it holds.
    covered: Mutex<Covered>,
    horizon: Horizon,
    /// Where records that retention is about to remove end.
    forgetting: Mutex<BTreeMap<ProgrammeNumber, u64>>,
    failure: OnceLock<String>,
}

/// Maps a storage error to what a caller can do.
pub(super) fn unavailable(error: StorageError) -> LedgerError {
    match error {
        StorageError::Busy { retry_after } => LedgerError::Busy { retry_after },
        other => LedgerError::Unavailable(other.to_string()),
    }
}

pub(super) fn table_error(error: TableError) -> LedgerError {
    match error {
        TableError::Rebuild { .. } => LedgerError::Damaged(error.to_string()),
        TableError::Write { .. } | TableError::EntryTooLarge { .. } => LedgerError::Unavailable(error.to_string()),
    }
}

/// A shelf entry as it is stored: the record that wrote it stands before it, so that it is not shown before that record is.
pub(super) fn side_write(write: &ShelfWrite, cursor: u64) -> SideWrite {
    let stored = |value: &Vec<u8>| [&cursor.to_be_bytes(), &**value].concat();
    SideWrite { tag: SideTag(write.shelf as u8), key: write.key.clone(), value: write.value.as_ref().map(stored) }
}

/// What a caller is told to wait when rows come faster than the disk takes them. Judgement: a checkpoint takes a second or two.
const RETRY_WHEN_BEHIND: Duration = Duration::from_secs(1);

impl Stage {
    pub(super) fn new(
        tables: PointTable,
        reader: JournalReader,
        programmes: BTreeMap<ProgramId, Arc<Programme>>,
        shelves: BTreeMap<ProgrammeNumber, ShelvesInMemory>,
        covered: Covered,
        horizon: Horizon,
    ) -> Self {
        Self {
            tables,
            reader,
            staged: RwLock::default(),
            staged_count: AtomicUsize::new(0),
            registered: watch::Sender::new(programmes.len()),
            programmes: RwLock::new(programmes),
            shelves: RwLock::new(shelves),
            covered: Mutex::new(covered),
            horizon,
            forgetting: Mutex::default(),
            failure: OnceLock::new(),
        }
    }

    pub(super) const fn reader(&self) -> &JournalReader {
        &self.reader
    }

    pub(super) const fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    // Programmes.

    pub(super) fn programme(&self, id: &ProgramId) -> Option<Arc<Programme>> {
        self.programmes.read().get(id).cloned()
    }

    pub(super) fn programmes(&self) -> Vec<Arc<Programme>> {
        self.programmes.read().values().cloned().collect()
    }

    pub(super) fn last_of_all(&self) -> Vec<(ProgrammeNumber, u64)> {
        self.programmes().iter().map(|programme| (programme.number, programme.last())).collect()
    }

    /// The programme, registered durably when it is new.
    pub(super) fn programme_or_new(&self, id: &ProgramId, journal: &Journal) -> Result<Arc<Programme>, LedgerError> {
        if let Some(known) = self.programme(id) {
            return Ok(known);
        }
        let number = journal.programme(id.as_str()).map_err(unavailable)?;
        let programme = Arc::new(Programme::new(id.clone(), number, 0));
        self.programmes.write().insert(id.clone(), Arc::clone(&programme));
        self.registered.send_modify(|count| *count += 1);
        Ok(programme)
    }

    /// Waits until a place is shown, or never can be.
    pub(super) async fn wait_for(&self, program: &ProgramId, cursor: Cursor) -> Result<(), LedgerError> {
        let Some(programme) = self.programme(program) else { return Ok(()) };
        let mut shown = programme.shown.subscribe();
        let reached = |shown: &u64| *shown >= cursor.0 || self.failure.get().is_some();
        let reached_at = shown.wait_for(reached).await.map_or(0, |shown| *shown);
        if reached_at >= cursor.0 { Ok(()) } else { Err(LedgerError::Unavailable(self.failure().unwrap_or_default())) }
    }

    pub(super) async fn grown_past(&self, program: &ProgramId, cursor: Cursor) {
        let mut registered = self.registered.subscribe();
        loop {
            if let Some(programme) = self.programme(program) {
                // The sender lives as long as the programme does.
                drop(programme.shown.subscribe().wait_for(|shown| *shown > cursor.0).await.map(|shown| *shown));
                return;
            }
            if registered.changed().await.is_err() {
                return;
            }
        }
    }

    // The stage.

    /// A row as the sequencer sees it: staged if it is, else durable.
    pub(super) fn read_staged<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, LedgerError> {
        if self.nothing_staged() {
            return self.read(key, look);
        }
        let staged = self.staged.read();
        if let Some(staged) = staged.get(key) {
            Ok(look(staged.row.value()))
        } else {
            drop(staged);
            self.read(key, look)
        }
    }

    /// Whether every row is durable.
    pub(super) fn nothing_staged(&self) -> bool {
        self.staged_count.load(Ordering::Acquire) == 0
    }

    /// Puts a record's rows on the stage.
    pub(super) fn put_on(&self, rows: &[TableRow], cursor: u64) {
        let mut staged = self.staged.write();
        for row in rows {
            staged.replace(StagedRow { row: row.clone(), cursor });
        }
        self.staged_count.store(staged.len(), Ordering::Release);
    }

    /// Moves the rows of a durable record to the tables, all at once, and shows it. Runs in journal order, on the committer's thread.
    pub(super) fn publish(&self, programme: &Programme, cursor: u64, rows: Vec<TableRow>, shelves: Vec<ShelfWrite>) {
        {
            let mut covered = self.covered.lock();
            self.tables.put_rows(rows.iter().cloned());
            covered.insert(programme.number, cursor);
        }
        let mut staged = self.staged.write();
        for row in &rows {
            // A later record may have put another row in its place, which waits for that record.
            if let Some(later) = staged.take(row.key()).filter(|staged| staged.cursor != cursor) {
                staged.insert(later);
            }
        }
        self.staged_count.store(staged.len(), Ordering::Release);
        drop(staged);
        self.show_shelves(programme.number, shelves);
        programme.shown.send_modify(|shown| *shown = cursor);
        self.checkpoint_when_due();
    }

    fn show_shelves(&self, programme: ProgrammeNumber, writes: Vec<ShelfWrite>) {
        if writes.is_empty() {
            return;
        }
        let mut shelves = self.shelves.write();
        let shelves = shelves.entry(programme).or_default();
        for write in writes.into_iter().filter(|write| is_in_memory(write.shelf)) {
            match write.value {
                Some(value) => shelves.insert((write.shelf, write.key), value),
                None => shelves.remove(&(write.shelf, write.key)),
            };
        }
    }

    /// Looks at the shelves in memory of a programme. Nothing is published meanwhile.
    pub(super) fn look_at_shelves(
        &self,
        programme: ProgrammeNumber,
        look: impl FnOnce(&ShelvesInMemory) -> Result<(), LedgerError>,
    ) -> Result<(), LedgerError> {
        self.shelves.read().get(&programme).map_or(Ok(()), look)
    }

    /// The conversions that wait for a decision, and those that are held.
    pub(super) fn undecided_or_held(&self, programme: ProgrammeNumber) -> Result<Vec<ConversionId>, LedgerError> {
        let shelves = self.shelves.read();
        let mut ids = Vec::new();
        for ((shelf, _), value) in shelves.get(&programme).into_iter().flatten() {
            match shelf {
                Shelf::UndecidedCases => ids.push(CaseLine::of_bytes(value)?.conversion_id),
                Shelf::Holds => match Hold::of_bytes(value)?.subject {
                    HoldSubject::Conversion(id) => ids.push(id),
                    HoldSubject::Referrer(_) => {}
                },
                Shelf::ResolvedCases | Shelf::ListEntries => {}
            }
        }
        Ok(ids)
    }

    // The tables.

    /// Everything in the tables is durable already, so a checkpoint waits for nothing. A failed one is found by [`Stage::failure`]: the
    /// journal stays the truth, but rows would pile up in memory.
    fn checkpoint_when_due(&self) {
        if !self.tables.wants_checkpoint() {
            return;
        }
        let covered = self.covered.lock();
        if !self.tables.is_checkpointing() {
            drop(self.tables.checkpoint(covered.clone(), Box::new(|| Ok(()))));
        }
    }

    /// The filters, files and memory of the tables.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats; counts stay far below 2^53")]
    pub(super) fn readings(&self) -> Vec<Reading> {
        let stats = self.tables.stats();
        let rate = stats.false_positive_rate();
        let TableStats {
            run_entries,
            runs,
            disk_bytes,
            bloom_negatives,
            bloom_hits,
            bloom_false_positives,
            block_reads,
            cache_hits,
        } = stats;
        let counted = [
            ("table_run_entries", run_entries),
            ("table_runs", runs),
            ("table_disk_bytes", disk_bytes),
            ("table_memory_bytes", self.tables.approximate_memory_bytes() as u64),
            ("bloom_negatives_lookups", bloom_negatives),
            ("bloom_hits_lookups", bloom_hits),
            ("bloom_false_positives_lookups", bloom_false_positives),
            ("table_block_reads", block_reads),
            ("table_cache_hits", cache_hits),
        ];
        let mut readings: Vec<Reading> = counted.into_iter().map(|(name, count)| Reading { name, value: count as f64 }).collect();
        readings.extend(rate.map(|value| Reading { name: "bloom_false_positive_ratio", value }));
        readings
    }

    /// Writes what the tables hold in memory to their files, and waits for it.
    pub(super) fn write_tables(&self) -> Result<(), TableError> {
        loop {
            self.tables.settle()?;
            let covered = self.covered.lock();
            // Nobody is to wait for the lock while another checkpoint is written.
            if !self.tables.is_checkpointing() {
                self.tables.checkpoint(covered.clone(), Box::new(|| Ok(())))?;
                break;
            }
        }
        self.tables.settle()
    }

    /// For a clean end: the next opening then has nothing to replay.
    pub(super) fn checkpoint_and_settle(&self) {
        if let Err(error) = self.write_tables() {
            tracing::warn!(%error, "the tables could not be written; opening will take longer, nothing is lost");
        }
    }

    // Retention.

    /// Says that records below a place are about to be removed; 0 that none are. Commands that are planned later do not build on them.
    pub(super) fn forget_below(&self, programme: ProgrammeNumber, end: u64) {
        self.forgetting.lock().insert(programme, end);
    }

    /// Whether a record is there, and will be.
    pub(super) fn keeps(&self, programme: &Programme, cursor: Cursor) -> Result<bool, LedgerError> {
        let going = self.forgetting.lock().get(&programme.number).is_some_and(|end| cursor.0 < *end);
        Ok(!going && cursor.0 >= self.reader.first_seq(programme.number).map_err(unavailable)?)
    }

    // Failure.

    /// Refuses writes from now on and wakes whoever waits for this programme.
    pub(super) fn poison(&self, programme: &Programme, reason: &str) {
        if self.failure.set(reason.to_owned()).is_ok() {
            tracing::error!(reason, "the ledger refuses writes");
        }
        programme.shown.send_modify(|_| {});
    }

    /// Why writes are refused; absent while all is well.
    pub(super) fn failure(&self) -> Option<String> {
        let of_tables = |error: &TableError| format!("{error}; what was acknowledged is safe in the journal");
        self.failure.get().cloned().or_else(|| self.tables.failure().map(of_tables))
    }

    /// Lets a command in, as long as what it writes can be kept.
    pub(super) fn refuse_what_cannot_be_kept(&self) -> Result<(), LedgerError> {
        if let Some(reason) = self.failure() {
            return Err(LedgerError::Unavailable(reason));
        }
        if self.tables.is_behind() { Err(LedgerError::Busy { retry_after: RETRY_WHEN_BEHIND }) } else { Ok(()) }
    }
}

impl Tables for Stage {
    fn read<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, LedgerError> {
        self.tables.read(key, look).map_err(table_error)
    }
}

pub(super) const fn is_in_memory(shelf: Shelf) -> bool {
    match shelf {
        Shelf::UndecidedCases | Shelf::Holds | Shelf::ListEntries => true,
        Shelf::ResolvedCases => false,
    }
}

/// The shelves in memory of a programme, read from their side entries.
pub(super) fn load_shelves(reader: &JournalReader, programme: ProgrammeNumber) -> Result<ShelvesInMemory, StorageError> {
    let mut shelves = ShelvesInMemory::new();
    for shelf in Shelf::ALL.into_iter().filter(|shelf| is_in_memory(*shelf)) {
        for entry in reader.side_scan(programme, SideTag(shelf as u8), Bound::Unbounded, Bound::Unbounded) {
            let entry = entry?;
            let value = entry.value.get(8..).unwrap_or_default().to_vec();
            shelves.insert((shelf, entry.key), value);
        }
    }
    Ok(shelves)
}
