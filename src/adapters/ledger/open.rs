//! Opening the ledger on disk: the journal as it is, the tables as far as they go, and the rest of the journal folded again. Tables that
//! cannot be trusted are thrown away and made anew. Called by the ledger on disk alone.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::fold;
use super::retention::{self, Horizon};
use super::shown;
use super::stage::{self, Opened, Programme, Stage};
use super::tables::{Keys, Tables, WriteTables};
use crate::adapters::storage::error::{StorageError, TableError};
use crate::adapters::storage::group::GroupOptions;
use crate::adapters::storage::journal::{Journal, JournalOptions};
use crate::adapters::storage::reader::JournalReader;
use crate::adapters::storage::record::ProgrammeNumber;
use crate::adapters::storage::table::{Covered, PointTable, TableOptions};
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::ProgramId;

/// The folder of the journal, inside the data folder.
pub const JOURNAL_FOLDER: &str = "journal";
/// The folder of the tables, inside the data folder. Derived: it may be deleted while no server runs.
pub const TABLES_FOLDER: &str = "tables";

/// What the bytes of the tables mean. Raise it with every change of a row, a key, or the fold: older tables are then made anew.
const TABLES_LAYOUT: u32 = 2;

/// How the ledger on disk is run.
#[derive(Clone, Default)]
pub struct LedgerOptions {
    /// How the journal is opened.
    pub journal: JournalOptions,
    /// How much one sync covers, and how much may wait.
    pub group: GroupOptions,
    /// Memory of the tables. Their layout and what is dropped from them are the ledger's own business and are not taken from here.
    pub tables: TableOptions,
    /// Whether rows of values are dropped that nobody was seen on since the time given to [`crate::ports::ledger::Ledger::forget_before`].
    pub forgets: bool,
}

/// Why the ledger does not open. What was acknowledged is untouched.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot be opened or read.
    #[error(transparent)]
    Journal(#[from] StorageError),
    /// The tables cannot be made.
    #[error(transparent)]
    Tables(#[from] TableError),
    /// The journal holds something that this build cannot fold. Restore a backup, or use a newer build.
    #[error("the journal of programme `{program}` cannot be read: {reason}")]
    Fold {
        /// Which programme.
        program: String,
        /// What was wrong.
        reason: String,
    },
}

/// Opens journal and tables, and brings the tables up to the journal's end.
pub(super) fn open(folder: &Path, options: LedgerOptions) -> Result<Opened, OpenError> {
    let journal = Arc::new(Journal::open(&folder.join(JOURNAL_FOLDER), &options.journal)?);
    let reader = journal.reader();
    let programmes = programmes(&reader)?;
    let tables_folder = folder.join(TABLES_FOLDER);
    let horizon = Horizon::default();
    let retention = options.forgets.then(|| horizon.rule());
    let table_options = TableOptions { layout: TABLES_LAYOUT, retention, ..options.tables };
    let (tables, covered) = match caught_up(&tables_folder, &table_options, &reader, &programmes) {
        Err(Setback::Distrusted(reason)) => {
            tracing::warn!(reason, "the tables are made anew from the journal");
            PointTable::discard(&tables_folder)?;
            caught_up(&tables_folder, &table_options, &reader, &programmes)
        }
        result => result,
    }
    .map_err(|setback| match setback {
        Setback::Distrusted(reason) => OpenError::Tables(TableError::Write { reason }),
        Setback::Failed(error) => error,
    })?;
    let mut shelves = BTreeMap::new();
    for programme in programmes.values() {
        shelves.insert(programme.number, stage::load_shelves(&reader, programme.number)?);
    }
    let stage = Arc::new(Stage::new(tables, reader, programmes, shelves, covered, horizon));
    Ok(Opened { stage, journal })
}

fn programmes(reader: &JournalReader) -> Result<BTreeMap<ProgramId, Arc<Programme>>, OpenError> {
    let mut programmes = BTreeMap::new();
    for (name, number) in reader.programmes()? {
        let unreadable = |_| OpenError::Fold { program: name.clone(), reason: "its name is not valid".to_owned() };
        let id = ProgramId::new(&name).map_err(unreadable)?;
        let programme = Programme::new(id.clone(), number, reader.last_seq(number)?);
        programmes.insert(id, Arc::new(programme));
    }
    Ok(programmes)
}

/// Why the tables are not ready.
enum Setback {
    /// They cannot be trusted; without them it may go well.
    Distrusted(String),
    /// It would fail again.
    Failed(OpenError),
}

impl From<StorageError> for Setback {
    fn from(error: StorageError) -> Self {
        Self::Failed(OpenError::Journal(error))
    }
}

impl From<TableError> for Setback {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Rebuild { .. } => Self::Distrusted(error.to_string()),
            TableError::Write { .. } | TableError::EntryTooLarge { .. } => Self::Failed(OpenError::Tables(error)),
        }
    }
}

/// The tables, with everything that the journal holds.
fn caught_up(
    folder: &Path,
    options: &TableOptions,
    reader: &JournalReader,
    programmes: &BTreeMap<ProgramId, Arc<Programme>>,
) -> Result<(PointTable, Covered), Setback> {
    let tables = PointTable::open(folder, options.clone())?;
    let mut covered = tables.covered();
    let ahead = |(number, seq): (&ProgrammeNumber, &u64)| {
        !programmes.values().any(|programme| programme.number == *number && programme.last() >= *seq)
    };
    if covered.iter().any(ahead) {
        return Err(Setback::Distrusted("they cover more than the journal holds".to_owned()));
    }
    for programme in programmes.values() {
        replay(&tables, reader, programme, &mut covered)?;
    }
    Ok((tables, covered))
}

fn replay(tables: &PointTable, reader: &JournalReader, programme: &Programme, covered: &mut Covered) -> Result<(), Setback> {
    let number = programme.number;
    let from = covered.get(&number).map_or(reader.first_seq(number)?, |seq| seq + 1);
    let resumed = covered.contains_key(&number);
    let mut rows = ReplayedRows { tables, failure: RefCell::new(None) };
    if resumed && from < reader.first_seq(number)? {
        return Err(Setback::Distrusted("they end before the journal begins".to_owned()));
    }
    let setback = |rows: &ReplayedRows<'_>, error: LedgerError| match rows.failure.take() {
        Some(failure) => failure.into(),
        // Rows of an earlier run may be at fault; from the beginning the journal alone is.
        None if resumed => Setback::Distrusted(error.to_string()),
        None => Setback::Failed(OpenError::Fold { program: programme.id.to_string(), reason: error.to_string() }),
    };
    let keys = Keys(number.get());
    // Made anew from a journal that retention shortened: later records may speak of conversions that are gone.
    let shortened = !resumed && from > 1;
    if shortened {
        retention::begin(&mut rows, reader, number).map_err(|error| setback(&rows, error))?;
    }
    for record in reader.scan(number, from..=programme.last()) {
        let record = record?;
        let folded = shown::decode(&record.payload, record.seq).and_then(|event| {
            let event = if shortened { retention::of_what_is_left(&rows, keys, event)? } else { Some(event) };
            event.map_or(Ok(()), |event| fold::apply(&mut rows, keys, record.seq, &event).map(drop))
        });
        folded.map_err(|error| setback(&rows, error))?;
        covered.insert(number, record.seq);
        if tables.wants_checkpoint() {
            tables.checkpoint(covered.clone(), Box::new(|| Ok(())))?;
        }
    }
    Ok(())
}

/// Rows that are folded again: straight into the tables, since their records are durable. Remembers what the tables said, so that damage
/// of a table is told from damage of the journal.
struct ReplayedRows<'a> {
    tables: &'a PointTable,
    failure: RefCell<Option<TableError>>,
}

impl ReplayedRows<'_> {
    fn noted(&self, error: TableError) -> LedgerError {
        let told = LedgerError::Unavailable(error.to_string());
        self.failure.replace(Some(error));
        told
    }
}

impl Tables for ReplayedRows<'_> {
    fn read<R>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> R) -> Result<R, LedgerError> {
        self.tables.read(key, look).map_err(|error| self.noted(error))
    }
}

impl WriteTables for ReplayedRows<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LedgerError> {
        self.tables.put(key, value).map_err(|error| self.noted(error))
    }
}
