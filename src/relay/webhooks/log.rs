//! The file behind a backlog: one record a line, each with its checksum. It is read up to the first line that is not whole.
//!
//! Nothing depends on a sync: the cursor stands in the same file as what was taken with it, so that whatever a power loss takes is read from the feed again, or
//! sent again. What cannot be had again is synced: what an operator asked for, what is dead, and a file that takes the place of another.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::backlog::{Backlog, Record};
use crate::adapters::private;
use crate::relay::board::write_whole;

/// The folder of backlogs, in the relay's.
const FOLDER: &str = "webhooks";
/// A file is written anew when it is so much longer than what it comes to. Unit: bytes.
const WORN_BYTES: u64 = 4 << 20;

fn path_of(folder: &Path, name: &str) -> PathBuf {
    folder.join(FOLDER).join(format!("{name}.log"))
}

/// What waits for a receiver by its file, which a relay may be writing; nothing where there is none.
///
/// # Errors
/// When the file cannot be read.
pub fn read_backlog(folder: &Path, name: &str) -> io::Result<Backlog> {
    match std::fs::read(path_of(folder, name)) {
        Ok(bytes) => Ok(fold(&bytes).0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Backlog::default()),
        Err(error) => Err(error),
    }
}

/// A backlog, and how many of the bytes it is made of.
fn fold(bytes: &[u8]) -> (Backlog, usize) {
    let (mut backlog, mut whole) = (Backlog::default(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(record) = record_of(line) else { break };
        backlog.apply(record);
        whole += line.len();
    }
    (backlog, whole)
}

fn record_of(line: &[u8]) -> Option<Record> {
    let (sum, record) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let sum = u32::from_str_radix(std::str::from_utf8(sum).ok()?.strip_suffix(' ')?, 16).ok()?;
    if crc32fast::hash(record) != sum {
        return None;
    }
    serde_json::from_slice(record).ok()
}

fn line_of(record: &Record) -> io::Result<Vec<u8>> {
    let text = serde_json::to_vec(record)?;
    let mut line = format!("{:08x} ", crc32fast::hash(&text)).into_bytes();
    line.extend(text);
    line.push(b'\n');
    Ok(line)
}

/// A backlog with its file.
pub(super) struct Kept {
    path: PathBuf,
    file: File,
    /// How long the file is.
    bytes: u64,
    /// How long it was when it was written anew.
    bytes_at_first: u64,
    backlog: Backlog,
}

impl Kept {
    /// Opens the file, or makes it. What is not whole at its end is cut off.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub(super) fn open(folder: &Path, name: &str) -> io::Result<Self> {
        private::make_folder(&folder.join(FOLDER))?;
        let path = path_of(folder, name);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read?,
        };
        let (backlog, whole) = fold(&bytes);
        if whole < bytes.len() {
            let lost = bytes.len() - whole;
            tracing::warn!(
                receiver = name,
                bytes = lost,
                "the end of the backlog is not whole; the feed is read again from there"
            );
        }
        let mut kept =
            Self { file: File::options().create(true).append(true).open(&path)?, path, bytes: 0, bytes_at_first: 0, backlog };
        kept.write_anew()?;
        Ok(kept)
    }

    pub(super) const fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// For what no record says: what is on its way.
    pub(super) const fn backlog_mut(&mut self) -> &mut Backlog {
        &mut self.backlog
    }

    /// Writes a record and applies it.
    ///
    /// # Errors
    /// When it cannot be written; then it is not applied, and the file is as it was.
    pub(super) fn write(&mut self, record: Record) -> io::Result<()> {
        let line = line_of(&record)?;
        let must_stay = match &record {
            Record::Took { .. } | Record::Delivered { .. } | Record::Missed { .. } | Record::Sum(_) => false,
            Record::Died { .. }
            | Record::Revived { .. }
            | Record::Turned { .. }
            | Record::SwitchedOff { .. }
            | Record::SwitchedOn => true,
        };
        let written = self.file.write_all(&line).and_then(|()| if must_stay { self.file.sync_data() } else { Ok(()) });
        if let Err(error) = written {
            // Half a line would hide all that follow.
            self.file.set_len(self.bytes)?;
            self.file.seek(SeekFrom::End(0))?;
            return Err(error);
        }
        self.bytes += line.len() as u64;
        self.backlog.apply(record);
        if self.bytes > self.bytes_at_first.saturating_mul(2).max(WORN_BYTES) {
            self.write_anew()?;
        }
        Ok(())
    }

    /// Writes the file anew, as one record.
    fn write_anew(&mut self) -> io::Result<()> {
        let line = line_of(&self.backlog.sum())?;
        write_whole(&self.path, &line)?;
        self.file = File::options().append(true).open(&self.path)?;
        self.bytes = line.len() as u64;
        self.bytes_at_first = self.bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::backlog::tests::message;
    use super::*;

    fn took(ids: &[&str], reached: &str) -> Record {
        let messages = ids.iter().map(|id| message(id, id)).collect();
        Record::Took { messages, reached: reached.to_owned() }
    }

    #[test]
    fn what_was_written_is_read_and_what_is_not_whole_is_cut_off_with_its_cursor() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(folder.path(), "a").unwrap();
        kept.write(took(&["1", "2"], "5")).unwrap();
        kept.write(Record::Delivered { id: "1".to_owned() }).unwrap();
        let before = kept.backlog().sum();
        kept.write(took(&["3"], "9")).unwrap();
        let path = path_of(folder.path(), "a");
        let whole = std::fs::read(&path).unwrap();
        drop(kept);
        // A line that is cut anywhere, and one of which a bit is wrong.
        for end in [whole.len() - 1, whole.len() - 40] {
            std::fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(read_backlog(folder.path(), "a").unwrap().sum(), before);
        }
        let mut bent = whole.clone();
        let at = whole.len() - 20;
        bent[at] ^= 1;
        std::fs::write(&path, &bent).unwrap();
        let kept = Kept::open(folder.path(), "a").unwrap();
        assert_eq!((kept.backlog().sum(), kept.backlog().reached()), (before, "5"));
    }

    #[test]
    fn a_worn_file_is_written_anew_and_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(folder.path(), "a").unwrap();
        let long = "x".repeat(1 << 20);
        for round in 0..12 {
            let mut told = message(&round.to_string(), "a");
            told.body.clone_from(&long);
            kept.write(Record::Took { messages: vec![told], reached: round.to_string() }).unwrap();
            if round > 1 {
                kept.write(Record::Delivered { id: (round - 2).to_string() }).unwrap();
            }
        }
        assert!(std::fs::metadata(path_of(folder.path(), "a")).unwrap().len() < 8 << 20);
        let read = read_backlog(folder.path(), "a").unwrap();
        assert_eq!((read.sum(), read.waiting(), read.delivered()), (kept.backlog().sum(), 2, 10));
    }
}
