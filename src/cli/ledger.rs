//! `selfsame ledger`: checks, measures, compacts, backs up and restores the journal in a data folder.
//! All but `restore`, `verify` and `backup --server` need the folder for themselves. It must never leave a half written file or folder under
//! the name that was asked for. `main` calls it.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::client::{ANSWER_BYTES_MAX, block_on, connect, counting_spinner, readable};
use crate::adapters::ledger::{JOURNAL_FOLDER, TABLES_FOLDER};
use crate::adapters::storage::backup::{BackupFile, BackupSummary, backup_to_file, compact, restore, verify_backup};
use crate::adapters::storage::check::{CheckReport, JournalStats, check, stats};
use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::journal::{Journal, JournalOptions};
use crate::adapters::storage::table::PointTable;
use crate::wire::v1;
use crate::wire::v1::operations_service_client::OperationsServiceClient;
use crate::wire::v1::stream_backup_response::Part;

const EXAMPLES: &str = "\
Examples:
  Every record and checksum, and how much there is:
    selfsame ledger check --data-dir /var/lib/selfsame
    selfsame ledger stats --data-dir /var/lib/selfsame

  A backup while serving, read again before it is needed, and the server that comes of it:
    selfsame ledger backup --server http://127.0.0.1:50051 selfsame.backup
    selfsame ledger verify selfsame.backup
    selfsame ledger restore selfsame.backup --data-dir restored

  Give the space of removed records back to the disk, while no server runs:
    selfsame ledger compact --data-dir /var/lib/selfsame

A backup holds the journal. Models and the choice among them, the key of the audit sample, policies and the
configuration are files beside it: docs/operations.md names them.";

/// What a backup does not hold, said where somebody relies on one.
const NOT_IN_BACKUPS: &str = "A backup holds neither models and the choice among them (`models`), nor the key of the audit sample (`audit.key`): copy both from the
old data folder into this one before a server starts on it, and keep its policies and configuration.";

/// Look after the data folder of a server.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct LedgerCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read every record and verify all checksums. Fails when anything is damaged or missing.
    Check(DataFolder),
    /// Sizes: programmes, records, bytes on disk.
    Stats(DataFolder),
    /// Rewrite the journal without the space of removed records. The old one is kept until the new one is complete. What retention removed
    /// is also forgotten by the tables: the next start makes them anew.
    Compact(DataFolder),
    /// Write everything to one file, which is whole and was read back when it has its name.
    Backup {
        /// Ask a running server, which goes on serving, instead of opening its folder
        #[arg(long, value_name = "URL", conflicts_with = "data_dir")]
        server: Option<String>,
        #[command(flatten)]
        data: DataFolder,
        /// The file to write; must not exist.
        file: PathBuf,
    },
    /// Verify a backup file without writing anything.
    Verify {
        /// The backup.
        file: PathBuf,
    },
    /// Make a new data folder from a backup, after verifying all of it.
    Restore {
        /// The backup.
        file: PathBuf,
        /// The folder to make; must not exist or be empty.
        #[command(flatten)]
        data: DataFolder,
    },
}

#[derive(Debug, Args)]
struct DataFolder {
    /// The server's data folder.
    #[arg(long, env = "SELFSAME_DATA_FOLDER", default_value = "selfsame-data", value_name = "DIR")]
    data_dir: PathBuf,
}

impl DataFolder {
    fn journal(&self) -> PathBuf {
        self.data_dir.join(JOURNAL_FOLDER)
    }

    /// Opens what exists. A mistyped folder must not become an empty, sound journal.
    fn open(&self) -> Result<Journal> {
        let folder = self.journal();
        if !folder.is_dir() {
            bail!("there is no journal in `{}`; give the server's data folder with --data-dir", self.data_dir.display());
        }
        Journal::open(&folder, &JournalOptions::default()).map_err(|error| in_words(error, &self.data_dir))
    }
}

fn in_words(error: StorageError, data: &Path) -> anyhow::Error {
    let in_use = matches!(error, StorageError::FolderInUse { .. });
    let error = anyhow::Error::new(error);
    if in_use { error.context(format!("a server works in `{}`; stop it first", data.display())) } else { error }
}

impl LedgerCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// When the folder cannot be opened, is in use, or is damaged; the message says what to do.
    pub fn run(self) -> Result<()> {
        let mut out = stdout().lock();
        match self.action {
            Action::Check(data) => {
                let report = check(&data.open()?.reader())?;
                write_check(&mut out, &report)?;
                if !report.is_sound() {
                    bail!("the journal is damaged; restore the last backup with `selfsame ledger restore`");
                }
            }
            Action::Stats(data) => write_stats(&mut out, &stats(&data.open()?.reader())?)?,
            Action::Compact(data) => {
                // Opened and closed again for the checks that opening makes.
                let shortened = stats(&data.open()?.reader())?.programmes.iter().any(|(_, first_seq, _)| *first_seq > 1);
                let summary = compact(&data.journal()).map_err(|error| in_words(error, &data.data_dir))?;
                write_summary(&mut out, "compacted", &summary)?;
                if shortened {
                    PointTable::discard(&data.data_dir.join(TABLES_FOLDER))?;
                    writeln!(out, "the next start makes the tables anew from the records that are left")?;
                }
            }
            Action::Backup { server, data, file } => {
                let summary = match server {
                    Some(server) => backup_of_server(&server, &file)?,
                    None => backup_to_file(&data.open()?, &file)?,
                };
                write_summary(&mut out, "backed up", &summary)?;
            }
            Action::Verify { file } => write_summary(&mut out, "sound", &verify_backup(&file)?)?,
            Action::Restore { file, data } => {
                let summary = restore_to(&file, &data)?;
                write_summary(&mut out, "restored", &summary)?;
                writeln!(out, "{NOT_IN_BACKUPS}")?;
            }
        }
        Ok(())
    }
}

/// Restores to a folder that is then there as a whole, or as it was before.
fn restore_to(file: &Path, data: &DataFolder) -> Result<BackupSummary> {
    let folder = &data.data_dir;
    if folder.join(TABLES_FOLDER).exists() {
        bail!("`{}` holds a server's tables; restore to a new folder", folder.display());
    }
    let was_there = folder.exists();
    std::fs::create_dir_all(folder).with_context(|| format!("creating `{}`", folder.display()))?;
    let restored = restore(file, &data.journal()).map_err(|error| in_words(error, folder));
    if restored.is_err() && !was_there {
        // Why it was not restored matters more than a folder that stays.
        let _ = std::fs::remove_dir_all(folder);
    }
    restored
}

/// Streams a backup of a running server to a file.
fn backup_of_server(server: &str, path: &Path) -> Result<BackupSummary> {
    let mut file = BackupFile::create(path)?;
    let progress = counting_spinner("{spinner} {bytes}, {bytes_per_sec}");
    let copied = async {
        let channel = connect(server).await?;
        let mut client = OperationsServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
        let mut parts = client.stream_backup(v1::StreamBackupRequest {}).await.map_err(readable)?.into_inner();
        while let Some(v1::StreamBackupResponse { part }) = parts.message().await.map_err(readable)? {
            match part {
                Some(Part::Content(content)) => {
                    file.write_all(&content).with_context(|| format!("writing {}", path.display()))?;
                    progress.inc(content.len() as u64);
                }
                Some(Part::Summary(_)) => return Ok(()),
                None => {}
            }
        }
        bail!("the server ended the backup before its end; nothing was kept")
    };
    block_on(copied)?;
    progress.finish_and_clear();
    Ok(file.keep()?)
}

fn write_check(out: &mut impl Write, report: &CheckReport) -> Result<()> {
    for programme in &report.programmes {
        writeln!(
            out,
            "{}: records {} to {}, {} sound ({} bytes), {} missing, {} side entries, {} damaged",
            programme.name,
            programme.first_seq,
            programme.last_seq,
            programme.records,
            programme.record_bytes,
            programme.missing,
            programme.side_entries,
            programme.damage.len()
        )?;
        for damage in &programme.damage {
            writeln!(out, "  {damage}")?;
        }
    }
    writeln!(out, "{}", if report.is_sound() { "sound" } else { "DAMAGED" })?;
    Ok(())
}

fn write_stats(out: &mut impl Write, stats: &JournalStats) -> Result<()> {
    for (name, first_seq, last_seq) in &stats.programmes {
        writeln!(out, "{name}: records {first_seq} to {last_seq}")?;
    }
    writeln!(out, "on disk: {} bytes", stats.disk_bytes)?;
    Ok(())
}

fn write_summary(out: &mut impl Write, what: &str, summary: &BackupSummary) -> Result<()> {
    writeln!(
        out,
        "{what}: {} programmes, {} records, {} side entries, {} bytes, BLAKE3 {}",
        summary.through.len(),
        summary.records,
        summary.side_entries,
        summary.size_bytes,
        summary.digest_hex
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_backup_leaves_no_folder_and_a_folder_that_was_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(&folder.path().join("journal"), &JournalOptions::default()).unwrap();
        let file = folder.path().join("whole.backup");
        backup_to_file(&journal, &file).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let damaged = folder.path().join("damaged.backup");
        std::fs::write(&damaged, &bytes[..bytes.len() - 1]).unwrap();
        let data = |name: &str| DataFolder { data_dir: folder.path().join(name) };
        std::fs::create_dir(folder.path().join("there")).unwrap();
        for name in ["new", "there"] {
            assert!(restore_to(&damaged, &data(name)).is_err());
        }
        assert!(!folder.path().join("new").exists() && folder.path().join("there").exists());
        restore_to(&file, &data("new")).unwrap();
        assert!(folder.path().join("new/journal").is_dir());
    }
}
