//! Operations that a crash interrupted: each is finished or undone before the folder is opened again, and said.

use std::fs::File;
use std::path::Path;

use super::error::StorageError;
use super::folder::lock_folder;
use super::places::{BEFORE_COMPACTION, COMPACTED, NEW, RESTORING, beside, is_vacant, sync_parent};

/// Finishes or undoes what was interrupted at a folder that is about to be opened.
///
/// # Errors
/// [`StorageError::RestoreInterrupted`] when there would be a journal, had a restore gone through; [`StorageError::FolderInUse`] when
/// somebody is at it now.
pub(super) fn settle_interrupted(folder: &Path) -> Result<(), StorageError> {
    let vacant = is_vacant(folder).map_err(StorageError::io("looking into the folder", folder))?;
    if vacant {
        undo_compaction(folder)?;
        refuse_restore(folder)
    } else {
        remove_leftovers(folder)
    }
}

/// Between its two renames a compaction leaves nothing under the name: the old journal gets it back.
fn undo_compaction(folder: &Path) -> Result<(), StorageError> {
    let old = beside(folder, BEFORE_COMPACTION);
    if !old.exists() {
        return Ok(());
    }
    let _lock = in_use_as(folder, lock_folder(&old))?;
    let io = StorageError::io("undoing a compaction", folder);
    std::fs::rename(&old, folder).map_err(io)?;
    sync_parent(folder).map_err(io)?;
    tracing::warn!(folder = %folder.display(), "a compaction was interrupted and is undone");
    remove_leftovers(folder)
}

fn refuse_restore(folder: &Path) -> Result<(), StorageError> {
    let partial = beside(folder, RESTORING);
    if !partial.exists() {
        return Ok(());
    }
    let _lock = in_use_as(folder, lock_folder(&partial))?;
    Err(StorageError::RestoreInterrupted { folder: folder.to_path_buf(), partial })
}

/// Beside a journal that has its name nothing else is needed.
fn remove_leftovers(folder: &Path) -> Result<(), StorageError> {
    for (suffix, what) in [
        (NEW, "an unfinished first store"),
        (COMPACTED, "what an interrupted compaction left"),
        (BEFORE_COMPACTION, "the journal as it was before a compaction that went through"),
        (RESTORING, "what an interrupted restore left"),
    ] {
        let leftover = beside(folder, suffix);
        if leftover.exists() {
            let lock = in_use_as(folder, lock_folder(&leftover))?;
            std::fs::remove_dir_all(&leftover).map_err(StorageError::io("removing a leftover", folder))?;
            drop(lock);
            tracing::warn!(folder = %folder.display(), leftover = %leftover.display(), "{what} was removed");
        }
    }
    Ok(())
}

/// Whoever holds what stands beside a folder works on the folder.
fn in_use_as(folder: &Path, lock: Result<File, StorageError>) -> Result<File, StorageError> {
    lock.map_err(|error| match error {
        StorageError::FolderInUse { .. } => StorageError::FolderInUse { folder: folder.to_path_buf() },
        other => other,
    })
}
