//! Files and folders for their owner alone, whatever the umask of whoever starts the process: what Selfsame keeps is about people.

use std::fs::{self, DirBuilder};
use std::io;
use std::path::{Path, PathBuf};

/// What others may do with a file or a folder.
#[cfg(unix)]
const OTHERS: u32 = 0o077;

/// From now on every file and folder that the process makes is its owner's alone, also those that libraries make. Called once, before any.
pub fn keep_private() {
    #[cfg(target_os = "linux")]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

/// Makes a folder, and those above it, where there is none.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// What was found open to others.
#[derive(Debug, Default)]
pub struct Tightened {
    /// How many files and folders are their owner's alone now.
    pub corrected: usize,
    /// What stays open to others, because it is not ours to change, with the reason.
    pub left: Vec<(PathBuf, io::Error)>,
}

/// Takes a folder and all that is in it from everybody but its owner. Links are not followed.
///
/// # Errors
/// When the folder cannot be read.
#[cfg(unix)]
pub fn tighten(folder: &Path) -> io::Result<Tightened> {
    use std::os::unix::fs::PermissionsExt as _;

    let mut found = Tightened::default();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = fs::symlink_metadata(&path)?;
        if metadata.is_symlink() {
            continue;
        }
        let mut permissions = metadata.permissions();
        let mode = permissions.mode();
        if mode & OTHERS != 0 {
            permissions.set_mode(mode & !OTHERS);
            match fs::set_permissions(&path, permissions) {
                Ok(()) => found.corrected += 1,
                Err(error) => found.left.push((path.clone(), error)),
            }
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
    }
    Ok(found)
}

/// What in a folder, itself included, is open to others. Nothing is changed; links are not followed.
///
/// # Errors
/// When something in it cannot be read.
#[cfg(unix)]
pub fn open_to_others(folder: &Path) -> io::Result<Vec<PathBuf>> {
    use std::os::unix::fs::PermissionsExt as _;

    let (mut found, mut waiting) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(path) = waiting.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            // A server works in it, and files come and go.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            read => read?,
        };
        if metadata.is_symlink() {
            continue;
        }
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
        if metadata.permissions().mode() & OTHERS != 0 {
            found.push(path);
        }
    }
    Ok(found)
}

/// There are no such permissions here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn open_to_others(_folder: &Path) -> io::Result<Vec<PathBuf>> {
    Ok(Vec::new())
}

/// There are no such permissions here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn tighten(_folder: &Path) -> io::Result<Tightened> {
    Ok(Tightened::default())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_others_could_read_is_its_owners_alone_afterwards_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        make_folder(&data.join("models")).unwrap();
        let file = data.join("models").join("shop.json");
        fs::write(&file, "{}").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
        let outside = folder.path().join("outside");
        fs::write(&outside, "").unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
        let found = tighten(&data).unwrap();
        assert_eq!((found.corrected, found.left.len()), (2, 0));
        assert_eq!([mode(&data), mode(&data.join("models")), mode(&file), mode(&outside)], [0o700, 0o700, 0o600, 0o644]);
        assert_eq!(tighten(&data).unwrap().corrected, 0);
    }
}
