//! Walks a whole journal and reports what it holds and what is damaged. It repairs nothing. Called by `ledger check`
//! and `ledger stats`.

use std::path::Path;

use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::reader::JournalReader;
use crate::adapters::storage::record::ProgrammeNumber;

/// What a walk over everything found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// By programme name, in order.
    pub programmes: Vec<ProgrammeReport>,
}

impl CheckReport {
    /// Whether every record and side entry is there and is what was written.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.programmes.iter().all(|programme| programme.damage.is_empty() && programme.missing == 0)
    }
}

/// One programme's part of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgrammeReport {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: ProgrammeNumber,
    /// The oldest record kept by retention.
    pub first_seq: u64,
    /// The newest record; 0 when there never was one.
    pub last_seq: u64,
    /// Sound records.
    pub records: u64,
    /// Their payloads, in bytes.
    pub record_bytes: u64,
    /// Records between the first and the last that are neither sound nor found damaged.
    pub missing: u64,
    /// Sound side entries.
    pub side_entries: u64,
    /// What is damaged, in the order of the walk.
    pub damage: Vec<StorageError>,
}

/// Reads every record and side entry and verifies all checksums.
///
/// # Errors
/// Only when the walk itself cannot go on; damage is part of the report.
pub fn check(reader: &JournalReader) -> Result<CheckReport, StorageError> {
    let mut programmes = Vec::new();
    for (name, number) in reader.programmes()? {
        let (first_seq, last_seq) = (reader.first_seq(number)?, reader.last_seq(number)?);
        let mut report = ProgrammeReport {
            name,
            number,
            first_seq,
            last_seq,
            records: 0,
            record_bytes: 0,
            missing: 0,
            side_entries: 0,
            damage: Vec::new(),
        };
        for record in reader.scan(number, first_seq..=last_seq) {
            match record {
                Ok(record) => {
                    report.records += 1;
                    report.record_bytes += record.payload.len() as u64;
                }
                Err(damage) => report.damage.push(damage),
            }
        }
        let accounted = report.records + report.damage.len() as u64;
        report.missing = (last_seq + 1).saturating_sub(first_seq).saturating_sub(accounted);
        for entry in reader.side_all(number) {
            match entry {
                Ok(_) => report.side_entries += 1,
                Err(damage) => report.damage.push(damage),
            }
        }
        programmes.push(report);
    }
    Ok(CheckReport { programmes })
}

/// How large a journal is, read without walking its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalStats {
    /// Name, oldest kept record, newest record.
    pub programmes: Vec<(String, u64, u64)>,
    /// All files of the folder, in bytes.
    pub disk_bytes: u64,
}

/// Sizes, cheap enough to ask for while serving.
///
/// # Errors
/// [`StorageError::Io`] when the disk refuses.
pub fn stats(reader: &JournalReader) -> Result<JournalStats, StorageError> {
    let mut programmes = Vec::new();
    for (name, number) in reader.programmes()? {
        programmes.push((name, reader.first_seq(number)?, reader.last_seq(number)?));
    }
    let folder = reader.store().folder();
    let disk_bytes = folder_bytes(folder).map_err(|e| StorageError::from_io("measuring the folder", folder, &e))?;
    Ok(JournalStats { programmes, disk_bytes })
}

fn folder_bytes(folder: &Path) -> std::io::Result<u64> {
    let mut total = 0;
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        total += if item.file_type()?.is_dir() { folder_bytes(&item.path())? } else { item.metadata()?.len() };
    }
    Ok(total)
}
