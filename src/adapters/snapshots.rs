//! Snapshots in a folder: one file each, below the life of the ledger and the programme, whole and durable when it has its name. They may be lost
//! at any time; the journal is the truth.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use crate::book::records::Cursor;
use crate::ports::journal::{Incarnation, JournalError};
use crate::ports::snapshots::Snapshots;
use crate::vocabulary::ids::ProgramId;

/// The folder of the snapshots inside a data folder.
pub const SNAPSHOTS_FOLDER: &str = "snapshots";

/// How many snapshots of a programme stay.
const KEPT: usize = 2;
const SNAPSHOT: &str = "snapshot";
const PARTIAL: &str = "partial";

/// A folder of snapshots, of one life of a ledger.
#[derive(Debug)]
pub struct SnapshotFolder {
    folder: PathBuf,
}

impl SnapshotFolder {
    /// Takes a folder, which is made when it does not exist, and removes what no reader would take: unfinished files, and the snapshots of
    /// other lives of the ledger.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the folder cannot be read or written.
    pub fn open(folder: &Path, incarnation: Incarnation) -> Result<Self, JournalError> {
        let opened = Self { folder: folder.to_path_buf() };
        opened.clean(incarnation).map_err(|e| opened.unavailable("preparing the folder", &e))?;
        Ok(opened)
    }

    fn clean(&self, incarnation: Incarnation) -> io::Result<()> {
        create_folder(&self.folder)?;
        for (name, path) in items(&self.folder)? {
            if life_of(&name).is_some_and(|life| life != incarnation) {
                std::fs::remove_dir_all(path)?;
            }
        }
        for (_, program) in items(&self.life(incarnation))? {
            for (name, path) in items(&program)? {
                if name.ends_with(&format!(".{PARTIAL}")) {
                    std::fs::remove_file(path)?;
                }
            }
        }
        Ok(())
    }

    fn life(&self, incarnation: Incarnation) -> PathBuf {
        self.folder.join(format!("{:016x}", incarnation.0))
    }

    fn program(&self, incarnation: Incarnation, program: &ProgramId) -> PathBuf {
        self.life(incarnation).join(folder_name(program))
    }

    fn unavailable(&self, doing: &str, error: &io::Error) -> JournalError {
        JournalError::Unavailable(format!("the snapshots in `{}`: {doing} failed: {error}", self.folder.display()))
    }
}

impl Snapshots for SnapshotFolder {
    fn places(&self, incarnation: Incarnation, program: &ProgramId) -> Result<Vec<Cursor>, JournalError> {
        places_in(&self.program(incarnation, program)).map_err(|e| self.unavailable("listing", &e))
    }

    fn open(&self, incarnation: Incarnation, program: &ProgramId, at: Cursor) -> Result<Box<dyn Read + Send>, JournalError> {
        let file =
            File::open(file_of(&self.program(incarnation, program), at)).map_err(|e| self.unavailable("opening one", &e))?;
        Ok(Box::new(BufReader::with_capacity(1 << 20, file)))
    }

    fn write(
        &self,
        incarnation: Incarnation,
        program: &ProgramId,
        at: Cursor,
        content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        let folder = self.program(incarnation, program);
        write_file(&folder, at, content).map_err(|e| self.unavailable("writing one", &e))
    }

    fn remove_before(&self, incarnation: Incarnation, program: &ProgramId, before: Cursor) -> Result<(), JournalError> {
        let folder = self.program(incarnation, program);
        let remove = || {
            let places = places_in(&folder)?;
            places.into_iter().filter(|place| *place < before).try_for_each(|place| remove_file(&file_of(&folder, place)))
        };
        remove().map_err(|e: io::Error| self.unavailable("removing some", &e))
    }
}

/// The lives of ledgers of which a folder holds snapshots. None when there is no such folder.
pub(crate) fn lives_with_snapshots(folder: &Path) -> io::Result<Vec<Incarnation>> {
    let mut lives = Vec::new();
    for (name, life) in items(folder)? {
        let Some(incarnation) = life_of(&name) else { continue };
        for (_, program) in items(&life)? {
            if !places_in(&program)?.is_empty() {
                lives.push(incarnation);
                break;
            }
        }
    }
    Ok(lives)
}

fn life_of(name: &str) -> Option<Incarnation> {
    (name.len() == 16).then(|| u64::from_str_radix(name, 16).ok().map(Incarnation)).flatten()
}

/// A name that is readable, allowed everywhere, and no other programme's.
fn folder_name(program: &ProgramId) -> String {
    let readable = program.as_str().chars().take(40).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    let digest = blake3::hash(program.as_str().as_bytes()).to_hex();
    readable.chain(['-']).chain(digest.chars().take(16)).collect()
}

fn file_of(folder: &Path, at: Cursor) -> PathBuf {
    folder.join(format!("{:020}.{SNAPSHOT}", at.0))
}

/// The places of the snapshots in a programme's folder, the newest first.
fn places_in(folder: &Path) -> io::Result<Vec<Cursor>> {
    let names = items(folder)?.into_iter();
    let mut places: Vec<Cursor> =
        names.filter_map(|(name, _)| name.strip_suffix(&format!(".{SNAPSHOT}"))?.parse().ok().map(Cursor)).collect();
    places.sort_unstable_by(|a, b| b.cmp(a));
    Ok(places)
}

/// Names and paths of what is in a folder; nothing when it is none.
fn items(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let found = match std::fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        found => found?,
    };
    found.map(|item| item.map(|item| (item.file_name().to_string_lossy().into_owned(), item.path()))).collect()
}

fn write_file(folder: &Path, at: Cursor, content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    create_folder(folder)?;
    let partial = folder.join(format!("{:020}.{PARTIAL}", at.0));
    let written = write_whole(&partial, content).and_then(|()| std::fs::rename(&partial, file_of(folder, at)));
    if let Err(error) = written {
        // Why it was not written matters more than what stays; the next opening removes it.
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    File::open(folder)?.sync_all()?;
    for place in places_in(folder)?.into_iter().skip(KEPT) {
        remove_file(&file_of(folder, place))?;
    }
    Ok(())
}

fn write_whole(path: &Path, content: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut out = BufWriter::with_capacity(1 << 20, SyncedAsWritten { file: options.open(path)?, unsynced_bytes: 0 });
    content(&mut out)?;
    out.flush()?;
    out.get_ref().file.sync_all()
}

/// Written and not yet synced, at most. Unit: bytes. A whole snapshot that is synced at once makes the journal's own syncs wait for as long as the
/// disk takes for all of it: 300 ms were measured.
const UNSYNCED_BYTES_MAX: usize = 2 << 20;

/// A file that is synced while it is written.
struct SyncedAsWritten {
    file: File,
    unsynced_bytes: usize,
}

impl Write for SyncedAsWritten {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.unsynced_bytes += written;
        if self.unsynced_bytes >= UNSYNCED_BYTES_MAX {
            self.file.sync_data()?;
            self.unsynced_bytes = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn remove_file(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Incarnation = Incarnation(0xabc);

    fn program(name: &str) -> ProgramId {
        ProgramId::new(name).unwrap()
    }

    fn write(snapshots: &SnapshotFolder, life: Incarnation, name: &str, at: u64) {
        snapshots.write(life, &program(name), Cursor(at), &mut |out| write!(out, "{name} at {at}")).unwrap();
    }

    fn places(snapshots: &SnapshotFolder, name: &str) -> Vec<u64> {
        snapshots.places(LIFE, &program(name)).unwrap().into_iter().map(|place| place.0).collect()
    }

    #[test]
    fn the_two_newest_are_kept_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = SnapshotFolder::open(&folder.path().join("snapshots"), LIFE).unwrap();
        for at in [9, 100, 20] {
            write(&snapshots, LIFE, "one", at);
        }
        write(&snapshots, LIFE, "One", 7);

        assert_eq!(
            (places(&snapshots, "one"), places(&snapshots, "One"), places(&snapshots, "two")),
            (vec![100, 20], vec![7], vec![])
        );
        let mut read = String::new();
        snapshots.open(LIFE, &program("one"), Cursor(20)).unwrap().read_to_string(&mut read).unwrap();
        assert_eq!(read, "one at 20");
        assert!(snapshots.open(LIFE, &program("one"), Cursor(9)).is_err());
        snapshots.remove_before(LIFE, &program("one"), Cursor(100)).unwrap();
        assert_eq!(places(&snapshots, "one"), [100]);
    }

    #[test]
    fn one_that_was_not_written_to_its_end_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = SnapshotFolder::open(folder.path(), LIFE).unwrap();
        write(&snapshots, LIFE, "one", 5);
        let failing = snapshots.write(LIFE, &program("one"), Cursor(9), &mut |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("the disk"))
        });

        assert!(failing.is_err());
        assert_eq!(places(&snapshots, "one"), [5]);
    }

    #[test]
    fn unfinished_ones_and_those_of_other_lives_go_at_opening() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = SnapshotFolder::open(folder.path(), LIFE).unwrap();
        write(&snapshots, LIFE, "one", 5);
        write(&snapshots, Incarnation(7), "one", 6);
        let unfinished = snapshots.program(LIFE, &program("one")).join("00000000000000000009.partial");
        std::fs::write(&unfinished, b"half").unwrap();
        let mut lives = lives_with_snapshots(folder.path()).unwrap();
        lives.sort();
        assert_eq!(lives, [Incarnation(7), LIFE]);

        let snapshots = SnapshotFolder::open(folder.path(), LIFE).unwrap();

        assert!(!unfinished.exists());
        assert_eq!(lives_with_snapshots(folder.path()).unwrap(), [LIFE]);
        assert_eq!(places(&snapshots, "one"), [5]);
    }

    #[test]
    fn names_of_programmes_never_leave_their_folder() {
        let names = ["..", "a/b", "../a", &"x".repeat(128), "a_b", "A_B"].map(|name| folder_name(&program(name)));

        assert!(
            names.iter().all(|name| name.len() <= 57 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'))
        );
        let distinct: std::collections::BTreeSet<String> = names.iter().map(|name| name.to_lowercase()).collect();
        assert_eq!(distinct.len(), names.len());
    }
}
