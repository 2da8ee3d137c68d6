//! `selfsame ledger`: checks, measures, compacts, backs up and restores the journal in a data folder.
//! All but `restore`, `verify` and `backup --server` need the folder for themselves. It must never leave a half written file or folder under
//! the name that was asked for. `main` calls it.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{AnswerArgs, AnswerForm, print};
use super::client::{ANSWER_BYTES_MAX, AskedServerArgs, ConnectionArgs, block_on, readable};
use super::progress;
use crate::adapters::cold::cold_bytes;
use crate::adapters::journal::{
    BackupFile, CheckReport, Compacted, JOURNAL_FOLDER, JournalOptions, JournalStats, ProgramReport, SledJournal, StorageError,
    check, compact, restore_with, stats, verify_backup_with,
};
use crate::adapters::private;
use crate::adapters::sealed_backup::{Identities, Recipients};
use crate::adapters::snapshots::SNAPSHOTS_FOLDER;
use crate::book::records::Cursor;
use crate::ports::journal::{BackupSummary, Journal};
use crate::vocabulary::ids::ProgramId;
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

  One that only who has a key can read:
    selfsame ledger backup --server http://127.0.0.1:50051 --recipient age1ql3z... selfsame.backup
    selfsame ledger restore selfsame.backup --identity key.txt --data-dir restored

  Give the space of removed records back to the disk, while no server runs:
    selfsame ledger compact --data-dir /var/lib/selfsame

A backup holds the journal, and so which models were chosen. The files of models, policies and the configuration
lie beside it: docs/operations.md names them.";

/// What a backup does not hold, said where somebody relies on one.
const NOT_IN_BACKUPS: &str = "A backup holds which models were chosen, and not their files (`models`): copy these from the old data folder into this one before a server
starts on it, and keep its policies and configuration.";

/// Look after the data folder of a server.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES, after_help = "Try --help for examples.")]
pub struct LedgerCommand {
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read every record, verify all checksums and follow the chain. Fails when anything is damaged or missing.
    Check(DataFolder),
    /// Sizes: programmes, records, bytes on disk.
    Stats(DataFolder),
    /// Rewrite the journal without the space of removed records. The old one is kept until the new one is complete.
    Compact(DataFolder),
    /// Write everything to one file, which is whole and was read back when it has its name.
    Backup {
        /// The running server to ask, which goes on serving, instead of opening its folder
        #[command(flatten)]
        server: Box<AskedServerArgs>,
        #[command(flatten)]
        data: DataFolder,
        /// Encrypt for whoever has the key of this recipient (`age1...`); several may be given
        #[arg(long, value_name = "RECIPIENT")]
        recipient: Vec<String>,
        /// Encrypt for the recipients in this file, one a line; several may be given
        #[arg(long, value_name = "FILE")]
        recipients_file: Vec<PathBuf>,
        /// The file to write; must not exist.
        file: PathBuf,
    },
    /// Verify a backup file without writing anything.
    Verify {
        /// The file of a key that opens it, as `age-keygen` makes it, where it is encrypted; several may be given
        #[arg(long, value_name = "FILE")]
        identity: Vec<PathBuf>,
        /// The backup.
        file: PathBuf,
    },
    /// Make a new data folder from a backup, after verifying all of it.
    Restore {
        /// The file of a key that opens it, where it is encrypted; several may be given
        #[arg(long, value_name = "FILE")]
        identity: Vec<PathBuf>,
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

    fn snapshots(&self) -> PathBuf {
        self.data_dir.join(SNAPSHOTS_FOLDER)
    }

    fn options(&self) -> JournalOptions {
        JournalOptions { snapshots: Some(self.snapshots()), ..JournalOptions::default() }
    }

    /// A mistyped folder must not become an empty, sound journal. Of what an interrupted operation left the journal itself tells.
    fn refuse_if_there_is_none(&self) -> Result<()> {
        let is_empty = |folder: &Path| !folder.read_dir().is_ok_and(|mut items| items.next().is_some());
        if is_empty(&self.journal()) && is_empty(&self.snapshots()) && !left_by_an_operation(&self.journal()) {
            bail!("there is no journal in `{}`; give the server's data folder with --data-dir", self.data_dir.display());
        }
        Ok(())
    }

    fn open(&self) -> Result<SledJournal> {
        self.refuse_if_there_is_none()?;
        SledJournal::open(&self.journal(), &self.options()).map_err(|error| in_words(error, &self.data_dir))
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
        private::keep_private();
        let form = self.answer.output;
        match self.action {
            Action::Check(data) => {
                let report = check(&data.open()?);
                print(form, &check_as_json(&report), |_| check_as_text(&report))?;
                if !report.is_sound() {
                    bail!("the journal is damaged; restore the last backup with `selfsame ledger restore`");
                }
            }
            Action::Stats(data) => print_stats(form, &stats(&data.open()?)?, cold_bytes(&data.data_dir))?,
            Action::Compact(data) => {
                data.refuse_if_there_is_none()?;
                let compacted = compact(&data.journal(), &data.options()).map_err(|error| in_words(error, &data.data_dir))?;
                print_compacted(form, compacted)?;
            }
            Action::Backup { server, data, recipient, recipients_file, file } => {
                let recipients = Recipients::read(&recipient, recipients_file.iter().map(PathBuf::as_path))?;
                let summary = match server.asked() {
                    Some(server) => backup_of_server(&server, &file, &recipients)?,
                    None => backup_of_folder(&data, &file, &recipients)?,
                };
                print_summary(form, "backed up", &summary)?;
            }
            Action::Verify { identity, file } => {
                let identities = Identities::read(identity.iter().map(PathBuf::as_path))?;
                print_summary(form, "sound", &verify_backup_with(&file, &identities)?)?;
            }
            Action::Restore { identity, file, data } => {
                let identities = Identities::read(identity.iter().map(PathBuf::as_path))?;
                let summary = restore_to(&file, &data, &identities)?;
                print_summary(form, "restored", &summary)?;
                progress::remark(NOT_IN_BACKUPS);
            }
        }
        Ok(())
    }
}

/// Whether beside a journal stands what an operation on it left.
fn left_by_an_operation(journal: &Path) -> bool {
    let names = journal.parent().and_then(|data| data.read_dir().ok()).into_iter().flatten();
    names.filter_map(Result::ok).any(|item| item.file_name().to_string_lossy().starts_with(&format!("{JOURNAL_FOLDER}.")))
}

/// Restores to a folder that is then there as a whole, or as it was before.
fn restore_to(file: &Path, data: &DataFolder, identities: &Identities) -> Result<BackupSummary> {
    let folder = &data.data_dir;
    if data.snapshots().exists() {
        bail!("`{}` holds a server's snapshots; restore to a new folder", folder.display());
    }
    let was_there = folder.exists();
    let restored = restore_with(file, &data.journal(), identities).map_err(|error| in_words(error, folder));
    if restored.is_err() && !was_there {
        // Why it was not restored matters more than a folder that stays.
        let _ = std::fs::remove_dir_all(folder);
    }
    restored
}

fn backup_of_folder(data: &DataFolder, path: &Path, recipients: &Recipients) -> Result<BackupSummary> {
    let journal = data.open()?;
    let mut file = BackupFile::create_for(path, recipients)?;
    journal.back_up(&mut file)?;
    Ok(file.keep()?)
}

/// Streams a backup of a running server to a file.
fn backup_of_server(server: &ConnectionArgs, path: &Path, recipients: &Recipients) -> Result<BackupSummary> {
    let mut file = BackupFile::create_for(path, recipients)?;
    let progress = progress::bar(None, "{spinner} {bytes}, {bytes_per_sec}");
    let copied = async {
        let channel = server.reached(None)?.connect().await?;
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

fn check_as_json(report: &CheckReport) -> Value {
    let of_program = |found: &ProgramReport| {
        let ProgramReport { program, first, last, records, record_bytes, missing, kept_entries, damage } = found;
        json!({
            "program": program.as_str(), "first": first.0, "last": last.0, "records": records, "recordBytes": record_bytes,
            "missing": missing, "keptEntries": kept_entries, "damage": damage.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    let programs: Vec<Value> = report.programs.iter().map(of_program).collect();
    json!({ "sound": report.is_sound(), "doubt": report.doubt, "programs": programs })
}

fn check_as_text(report: &CheckReport) -> String {
    let mut text = String::new();
    for found in &report.programs {
        let ProgramReport { program, first, last, records, record_bytes, missing, kept_entries, damage } = found;
        let (first, last, damaged) = (first.0, last.0, damage.len());
        text += &format!(
            "{program}: records {first} to {last}, {records} sound ({record_bytes} bytes), {missing} missing, {kept_entries} kept entries, \
             {damaged} damaged\n"
        );
        for damage in damage {
            text += &format!("  {damage}\n");
        }
    }
    match (report.is_sound(), &report.doubt) {
        (false, _) => text + "DAMAGED",
        (true, Some(doubt)) => text + &format!("NOT KNOWN: {doubt}"),
        (true, None) => text + "sound",
    }
}

fn print_stats(form: AnswerForm, stats: &JournalStats, cold_bytes: u64) -> Result<()> {
    let JournalStats { programs, disk_bytes } = stats;
    let of_program = |(program, first, last): &(ProgramId, Cursor, Cursor)| json!({ "program": program.as_str(), "first": first.0, "last": last.0 });
    let answer = json!({
        "programs": programs.iter().map(of_program).collect::<Vec<_>>(), "diskBytes": disk_bytes, "coldBytes": cold_bytes,
    });
    print(form, &answer, |_| {
        let lines = programs.iter().map(|(program, first, last)| format!("{program}: records {} to {}\n", first.0, last.0));
        lines.collect::<String>()
            + &format!(
                "on disk: {disk_bytes} bytes\nwhat is cold beside it: {cold_bytes} bytes, which are made again when they are lost"
            )
    })
}

fn print_compacted(form: AnswerForm, Compacted { records, kept_entries }: Compacted) -> Result<()> {
    let answer = json!({ "records": records, "keptEntries": kept_entries });
    print(form, &answer, |_| format!("compacted: {records} records, {kept_entries} kept entries"))
}

fn print_summary(form: AnswerForm, what: &str, summary: &BackupSummary) -> Result<()> {
    let BackupSummary { records, kept_entries, size_bytes, digest } = summary;
    let answer = json!({ "records": records, "keptEntries": kept_entries, "sizeBytes": size_bytes, "blake3": digest });
    print(form, &answer, |_| {
        format!("{what}: {records} records, {kept_entries} kept entries, {size_bytes} bytes, BLAKE3 {digest}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_backup_leaves_no_folder_and_a_folder_that_was_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("whole.backup");
        SledJournal::open(&folder.path().join("journal"), &JournalOptions::default()).unwrap();
        backup_of_folder(&DataFolder { data_dir: folder.path().to_owned() }, &file, &Recipients::default()).unwrap();
        let bytes = std::fs::read(&file).unwrap();
        let damaged = folder.path().join("damaged.backup");
        std::fs::write(&damaged, &bytes[..bytes.len() - 1]).unwrap();
        let data = |name: &str| DataFolder { data_dir: folder.path().join(name) };
        std::fs::create_dir(folder.path().join("there")).unwrap();
        for name in ["new", "there"] {
            assert!(restore_to(&damaged, &data(name), &Identities::default()).is_err());
        }
        assert!(!folder.path().join("new").exists() && folder.path().join("there").exists());
        assert_eq!(std::fs::read_dir(folder.path().join("there")).unwrap().count(), 0);
        restore_to(&file, &data("new"), &Identities::default()).unwrap();
        assert!(folder.path().join("new/journal").is_dir());
    }
}
