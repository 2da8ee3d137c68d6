//! Names beside and inside the folder of a journal, and how folders and files are made there: for this user only, and durably named.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// Sled's log.
pub(super) const LOG_FILE: &str = "db";
/// The file that the process which has the folder open holds locked.
pub(super) const LOCK_FILE: &str = "lock";
/// What is noted as durable.
pub(super) const WATERMARK_FILE: &str = "watermark";

/// A store that is being made for the first time.
pub(super) const NEW: &str = "new";
/// A store that is being restored.
pub(super) const RESTORING: &str = "restoring";
/// A store that is being compacted to.
pub(super) const COMPACTED: &str = "compacted";
/// The store that was compacted, until the other is in its place.
pub(super) const BEFORE_COMPACTION: &str = "before-compaction";

/// `<path>.<suffix>`, in the same folder, so that it can be renamed to the path.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

/// Makes the names in the folder of a path durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Makes a folder, and those above it, where there is none; their names are durable.
pub(super) fn create_folder(folder: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|above| !above.as_os_str().is_empty() && !above.is_dir()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)?;
    missing.into_iter().try_for_each(sync_parent)
}

/// How a file is opened that nobody else may read when it is made.
pub(super) fn private_file() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.write(true);
    options
}

/// Whether a folder is missing or empty.
pub(super) fn is_vacant(folder: &Path) -> io::Result<bool> {
    match std::fs::read_dir(folder) {
        Ok(mut items) => Ok(items.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Removes everything in a folder but its lock.
pub(super) fn remove_all_but_lock(folder: &Path) -> io::Result<()> {
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            std::fs::remove_dir_all(item.path())?;
        } else if item.file_name() != LOCK_FILE {
            std::fs::remove_file(item.path())?;
        }
    }
    Ok(())
}

/// Makes names and contents of all files of a store durable, and all of it this user's only. Sled does neither for a configuration or snapshot
/// that it has just written.
pub(super) fn settle_files(folder: &Path) -> io::Result<()> {
    for item in std::fs::read_dir(folder)? {
        let item = item?;
        if item.file_type()?.is_dir() {
            settle_files(&item.path())?;
        } else {
            make_private(&item.path(), 0o600)?;
            File::open(item.path())?.sync_all()?;
        }
    }
    make_private(folder, 0o700)?;
    File::open(folder)?.sync_all()
}

#[cfg(unix)]
fn make_private(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if std::fs::metadata(path)?.permissions().mode() & 0o777 == mode {
        return Ok(());
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn make_private(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}
