//! Making a journal from another one: a restore from a backup, and a compaction. The folder appears as a whole, by one rename, or not at all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::backup::{read_backup, verify_backup_with};
use super::content::{Item, Take};
use super::error::StorageError;
use super::folder::lock_folder;
use super::interrupted::settle_interrupted;
use super::journal::SledJournal;
use super::open::make_store;
use super::options::JournalOptions;
use super::places::{BEFORE_COMPACTION, COMPACTED, RESTORING, beside, create_folder, is_vacant, sync_parent};
use crate::adapters::sealed_backup::Identities;
use crate::book::records::Cursor;
use crate::ports::journal::{Append, BackupSummary, Direction, Epoch, Incarnation, Journal, Kept};
use crate::vocabulary::ids::ProgramId;

/// Things written per group. Judgement.
const GROUP_ITEMS: usize = 512;
/// Bytes written per group, but for the thing that goes over it. Judgement.
const GROUP_BYTES: usize = 4 << 20;

/// Restores a backup to a folder that does not exist or is empty, as a new life of the ledger. The backup is verified before anything is
/// written. Until the whole is there, what is there stands beside the folder, and opening the folder is refused.
///
/// # Errors
/// [`StorageError::FolderNotEmpty`], [`StorageError::FolderInUse`], [`StorageError::BackupUnusable`], or what the disk said.
pub fn restore(path: &Path, folder: &Path) -> Result<BackupSummary, StorageError> {
    restore_with(path, folder, &Identities::default())
}

/// As [`restore`], from one that may be encrypted.
///
/// # Errors
/// As [`restore`].
pub fn restore_with(path: &Path, folder: &Path, identities: &Identities) -> Result<BackupSummary, StorageError> {
    let io = StorageError::io("restoring", folder);
    if !is_vacant(folder).map_err(io)? {
        return Err(StorageError::FolderNotEmpty { folder: folder.to_path_buf() });
    }
    let partial = beside(folder, RESTORING);
    let was_interrupted = partial.exists();
    // From here on opening the folder is refused, so that nobody begins an empty journal where one is to be restored.
    let restored = create_folder(&partial).map_err(io).and_then(|()| lock_folder(&partial)).and_then(|lock| {
        verify_backup_with(path, identities)?;
        drop(lock);
        fill_from_backup(path, &partial, identities)
    });
    let (summary, _lock) = match restored {
        Ok(restored) => restored,
        Err(error) if was_interrupted || matches!(error, StorageError::FolderInUse { .. }) => return Err(error),
        Err(error) => {
            // Why it failed matters more than what stays.
            let _ = std::fs::remove_dir_all(&partial);
            return Err(error);
        }
    };
    std::fs::rename(&partial, folder).map_err(io)?;
    sync_parent(folder).map_err(io)?;
    Ok(summary)
}

fn fill_from_backup(path: &Path, partial: &Path, identities: &Identities) -> Result<(BackupSummary, Arc<File>), StorageError> {
    let mut summary = None;
    let lock = fill_store(partial, Incarnation(rand::random::<u64>().max(1)), |take| {
        summary = Some(read_backup(path, identities, take)?);
        Ok(())
    })?;
    let unread = StorageError::BackupUnusable { reason: "it was not read".to_owned() };
    Ok((summary.ok_or(unread)?, lock))
}

/// What a compaction kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Journal records.
    pub records: u64,
    /// Kept entries beside the records.
    pub kept_entries: u64,
}

/// Rewrites a closed journal without the space that sled keeps for what was removed. It stays the same life of the ledger.
///
/// # Errors
/// As opening, and what the disk said; the old journal is then untouched.
pub fn compact(folder: &Path, options: &JournalOptions) -> Result<Compacted, StorageError> {
    let io = StorageError::io("compacting", folder);
    settle_interrupted(folder)?;
    let lock = Arc::new(lock_folder(folder)?);
    let journal = SledJournal::open_locked(folder, Arc::clone(&lock), options)?;
    let (fresh, old) = (beside(folder, COMPACTED), beside(folder, BEFORE_COMPACTION));
    let mut compacted = Compacted::default();
    let filled = fill_store(&fresh, journal.incarnation(), |take| {
        journal.hand_over(&mut |item| {
            match &item {
                Item::Program { .. } => {}
                Item::Kept(_) => compacted.kept_entries += 1,
                Item::Record(_) => compacted.records += 1,
            }
            take(item)
        })
    });
    let fresh_lock = filled.inspect_err(|_| {
        // Why it failed matters more than what stays.
        let _ = std::fs::remove_dir_all(&fresh);
    })?;
    drop(journal);
    // Both are locked until the new one has the name, so that nobody opens either meanwhile.
    std::fs::rename(folder, &old).map_err(io)?;
    std::fs::rename(&fresh, folder).map_err(io)?;
    sync_parent(folder).map_err(io)?;
    std::fs::remove_dir_all(&old).map_err(io)?;
    drop((lock, fresh_lock));
    Ok(compacted)
}

/// Makes a store, fills it and closes it; all of it is durable. Its lock is held until the answer is dropped.
fn fill_store(
    folder: &Path,
    incarnation: Incarnation,
    hand_over: impl FnOnce(Take<'_>) -> Result<(), StorageError>,
) -> Result<Arc<File>, StorageError> {
    let (journal, lock) = made(folder, incarnation)?;
    let mut fill = Fill { journal: &journal, program: None, kept: Vec::new(), group: Vec::new(), bytes: 0 };
    hand_over(&mut |item| fill.take(item))?;
    fill.write()?;
    Ok(lock)
}

/// A store that was just made, open, with its lock.
fn made(folder: &Path, incarnation: Incarnation) -> Result<(SledJournal, Arc<File>), StorageError> {
    let options = JournalOptions::default();
    let lock = Arc::new(make_store(folder, incarnation, &options)?);
    Ok((SledJournal::open_locked(folder, Arc::clone(&lock), &options)?, lock))
}

/// A copy of an open journal beside it, which still misses what is appended from now on.
pub(super) struct Copy {
    journal: SledJournal,
    lock: Arc<File>,
    folder: PathBuf,
}

/// Copies an open journal, while appends go on.
pub(super) fn copy(journal: &SledJournal) -> Result<Copy, StorageError> {
    let folder = beside(journal.folder(), COMPACTED);
    let copied = made(&folder, journal.incarnation()).and_then(|(copy, lock)| {
        let mut fill = Fill { journal: &copy, program: None, kept: Vec::new(), group: Vec::new(), bytes: 0 };
        journal.hand_over(&mut |item| fill.take(item))?;
        fill.write()?;
        Ok((copy, lock))
    });
    let (journal, lock) = copied.inspect_err(|_| {
        // Why it failed matters more than what stays.
        let _ = std::fs::remove_dir_all(&folder);
    })?;
    Ok(Copy { journal, lock, folder })
}

impl Copy {
    /// Adds what was appended to the journal since. Nothing may be appended meanwhile.
    pub(super) fn catch_up(&self, journal: &SledJournal) -> Result<(), StorageError> {
        let mut fill = Fill { journal: &self.journal, program: None, kept: Vec::new(), group: Vec::new(), bytes: 0 };
        for (program, standing) in journal.all_standings() {
            let copied = self.journal.standing(&program);
            let from = match copied {
                Some(copied) if copied.floor() == standing.floor() => Cursor(copied.head.last.0 + 1),
                Some(_) => return Err(StorageError::NotPossible { reason: "retention removed something meanwhile".to_owned() }),
                None => {
                    self.journal.begin_program(&program, standing.floor())?;
                    self.journal.fill_kept(&program, &journal.kept_at(&program, &standing)?)?;
                    standing.head.first
                }
            };
            fill.write()?;
            fill.program = Some(program.clone());
            for record in journal.records(&program, &standing, (from, standing.head.last), Direction::Forward) {
                fill.take(Item::Record(record?))?;
            }
        }
        fill.write()
    }

    /// Puts the copy in the place of a journal that is closed, whose lock is held. Returns the lock of what has the name now.
    pub(super) fn replace(self, folder: &Path) -> Result<Arc<File>, StorageError> {
        let io = StorageError::io("putting a journal in place", folder);
        let Self { journal, lock, folder: fresh } = self;
        drop(journal);
        let old = beside(folder, BEFORE_COMPACTION);
        std::fs::rename(folder, &old).map_err(io)?;
        std::fs::rename(&fresh, folder).map_err(io)?;
        sync_parent(folder).map_err(io)?;
        std::fs::remove_dir_all(&old).map_err(io)?;
        Ok(lock)
    }

    /// Removes the copy.
    pub(super) fn discard(self) {
        let Self { journal, lock, folder } = self;
        drop((journal, lock));
        // The next opening removes what is left.
        let _ = std::fs::remove_dir_all(&folder);
    }
}

/// Writes what a journal holds to a fresh one, in groups.
struct Fill<'j> {
    journal: &'j SledJournal,
    program: Option<ProgramId>,
    kept: Vec<Kept>,
    group: Vec<Append>,
    bytes: usize,
}

impl Fill<'_> {
    fn take(&mut self, item: Item) -> Result<(), StorageError> {
        match (item, &self.program) {
            (Item::Program { program, floor, .. }, _) => {
                self.write()?;
                self.journal.begin_program(&program, floor)?;
                self.program = Some(program);
            }
            (Item::Kept(kept), Some(_)) => {
                self.bytes += kept.payload.len();
                self.kept.push(kept);
            }
            (Item::Record(record), Some(program)) => {
                self.bytes += record.payload.len();
                self.group.push(Append { program: program.clone(), epoch: Epoch::SOLE, record });
            }
            (Item::Kept(_) | Item::Record(_), None) => {
                return Err(StorageError::DamagedStore { entry: "content of no programme" });
            }
        }
        if self.kept.len() + self.group.len() >= GROUP_ITEMS || self.bytes >= GROUP_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StorageError> {
        self.bytes = 0;
        if let (Some(program), false) = (&self.program, self.kept.is_empty()) {
            self.journal.fill_kept(program, &std::mem::take(&mut self.kept))?;
        }
        self.journal.append_group(&std::mem::take(&mut self.group))
    }
}
