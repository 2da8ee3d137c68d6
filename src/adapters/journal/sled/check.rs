//! Walks a whole journal and reports what it holds and what is damaged or missing. It repairs nothing.

use std::path::Path;

use super::error::StorageError;
use super::journal::{SledJournal, Standing};
use crate::book::records::Cursor;
use crate::ports::journal::{Chain, Direction, Head};
use crate::vocabulary::ids::ProgramId;

/// What a walk over everything found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// By programme, in order.
    pub programs: Vec<ProgramReport>,
    /// What cannot be told: whether something acknowledged in the last moment before a crash of the machine is missing.
    pub doubt: Option<String>,
}

impl CheckReport {
    /// Whether every record and kept entry is there and is what was written, as far as can be told.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.programs.iter().all(|program| program.damage.is_empty() && program.missing == 0)
    }
}

/// One programme's part of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramReport {
    /// Which.
    pub program: ProgramId,
    /// The oldest record that was not cut.
    pub first: Cursor,
    /// The newest record; one before the first when there is none.
    pub last: Cursor,
    /// Sound records.
    pub records: u64,
    /// Their payloads. Unit: bytes.
    pub record_bytes: u64,
    /// Records between the first and the last that are neither sound nor found damaged.
    pub missing: u64,
    /// Kept entries, when they are sound.
    pub kept_entries: u64,
    /// What is damaged, in the order of the walk.
    pub damage: Vec<StorageError>,
}

/// Reads every record and kept entry, verifies all checksums and follows the chain of each programme from its beginning to its end.
#[must_use]
pub fn check(journal: &SledJournal) -> CheckReport {
    let programs = journal.all_standings();
    let programs = programs.iter().map(|(program, standing)| check_program(journal, program, standing)).collect();
    CheckReport { programs, doubt: journal.doubt().map(str::to_owned) }
}

fn check_program(journal: &SledJournal, program: &ProgramId, standing: &Standing) -> ProgramReport {
    let Head { first, base, last, chain } = standing.head;
    let mut report = ProgramReport {
        program: program.clone(),
        first,
        last,
        records: 0,
        record_bytes: 0,
        missing: 0,
        kept_entries: 0,
        damage: Vec::new(),
    };
    let breaks = |seq: u64| StorageError::DamagedRecord { program: program.to_string(), seq, reason: "the chain breaks at it" };
    // The chain before the record that comes next; not known after a damaged or missing one.
    let mut before: Option<(Cursor, Chain)> = Some((Cursor(first.0 - 1), base));
    for record in journal.records(program, standing, (first, last), Direction::Forward) {
        match record {
            Ok(record) => {
                let follows = before.is_none_or(|(place, before)| {
                    place.0 + 1 != record.cursor.0 || before.then(record.cursor, &record.payload) == record.chain
                });
                if follows {
                    report.records += 1;
                    report.record_bytes += record.payload.len() as u64;
                } else {
                    report.damage.push(breaks(record.cursor.0));
                }
                before = Some((record.cursor, record.chain));
            }
            Err(damage) => {
                report.damage.push(damage);
                before = None;
            }
        }
    }
    let accounted = report.records + report.damage.len() as u64;
    report.missing = (last.0 + 1).saturating_sub(first.0).saturating_sub(accounted);
    if before.is_some_and(|(place, found)| place == last && found != chain) {
        report.damage.push(breaks(last.0));
    }
    match journal.kept_at(program, standing) {
        Ok(kept) => report.kept_entries = kept.len() as u64,
        Err(damage) => report.damage.push(damage),
    }
    report
}

/// How large a journal is, read without walking its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalStats {
    /// Programme, oldest kept record, newest record.
    pub programs: Vec<(ProgramId, Cursor, Cursor)>,
    /// All files of the folder. Unit: bytes.
    pub disk_bytes: u64,
}

/// Sizes, cheap enough to ask for while serving.
///
/// # Errors
/// [`StorageError::Io`] when the disk refuses.
pub fn stats(journal: &SledJournal) -> Result<JournalStats, StorageError> {
    let standings = journal.all_standings().into_iter();
    let programs = standings.map(|(program, standing)| (program, standing.head.first, standing.head.last)).collect();
    let folder = journal.folder();
    let disk_bytes = folder_bytes(folder).map_err(StorageError::io("measuring the folder", folder))?;
    Ok(JournalStats { programs, disk_bytes })
}

/// All files below a folder. Unit: bytes.
pub(in crate::adapters) fn folder_bytes(folder: &Path) -> std::io::Result<u64> {
    let mut total = 0;
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        total += if item.file_type()?.is_dir() { folder_bytes(&item.path())? } else { item.metadata()?.len() };
    }
    Ok(total)
}
