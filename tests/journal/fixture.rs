//! Records whose chain follows, appended to any journal, and what is read back. It holds no claim itself.

use std::path::Path;

use bytes::Bytes;
use selfsame::adapters::journal::{BackupFile, JournalOptions, SledJournal, StorageError};
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{
    Append, BackupSummary, Direction, Epoch, Head, Journal, JournalError, Kept, KeptChange, Reach, Record,
};
use selfsame::vocabulary::ids::ProgramId;

pub(crate) fn program(name: &str) -> ProgramId {
    ProgramId::new(name).unwrap()
}

pub(crate) fn open(folder: &Path) -> SledJournal {
    try_open(folder).unwrap()
}

pub(crate) fn try_open(folder: &Path) -> Result<SledJournal, StorageError> {
    SledJournal::open(folder, &JournalOptions::default())
}

/// The records that follow a head, with these payloads.
pub(crate) fn following(program: &ProgramId, mut head: Head, payloads: &[Vec<u8>]) -> Vec<Append> {
    let mut group = Vec::new();
    for payload in payloads {
        head.last = Cursor(head.last.0 + 1);
        head.chain = head.chain.then(head.last, payload);
        let record = Record { cursor: head.last, chain: head.chain, payload: Bytes::from(payload.clone()) };
        group.push(Append { program: program.clone(), epoch: Epoch::SOLE, record });
    }
    group
}

/// Appends payloads as one group.
pub(crate) fn append(journal: &dyn Journal, program: &ProgramId, payloads: &[Vec<u8>]) {
    try_append(journal, program, payloads).unwrap();
}

pub(crate) fn try_append(journal: &dyn Journal, program: &ProgramId, payloads: &[Vec<u8>]) -> Result<(), JournalError> {
    let group = following(program, journal.head(program).unwrap(), payloads);
    journal.append(&group).map(drop)
}

/// Different for each place; some are larger than one value of the store.
pub(crate) fn payload(place: u64) -> Vec<u8> {
    let length = if place.is_multiple_of(5) { 9_000 } else { 40 + place % 700 };
    (0..length).map(|at| u8::try_from((place * 31 + at * 7) % 251).unwrap()).collect()
}

/// Appends so many records, whose payloads follow from their places, in groups of up to seven.
pub(crate) fn fill(journal: &dyn Journal, program: &ProgramId, count: u64) {
    let from = journal.head(program).unwrap().last.0 + 1;
    let payloads: Vec<Vec<u8>> = (from..from + count).map(payload).collect();
    payloads.chunks(7).for_each(|group| append(journal, program, group));
}

/// Everything from the beginning to the end.
pub(crate) fn all() -> Reach {
    Reach { from: Cursor(0), to: Cursor(u64::MAX), direction: Direction::Forward, limit: usize::MAX }
}

/// All records, however many reads that takes.
pub(crate) fn read_all(journal: &dyn Journal, program: &ProgramId) -> Result<Vec<Record>, JournalError> {
    let mut read: Vec<Record> = Vec::new();
    loop {
        let from = read.last().map_or(Cursor(0), |record| Cursor(record.cursor.0 + 1));
        let more = journal.read(program, Reach { from, ..all() })?;
        if more.is_empty() {
            return Ok(read);
        }
        read.extend(more);
    }
}

pub(crate) fn kept(place: u64, payload: &[u8]) -> Kept {
    Kept { cursor: Cursor(place), payload: Bytes::copy_from_slice(payload) }
}

pub(crate) fn cut(
    journal: &dyn Journal,
    program: &ProgramId,
    before: u64,
    put: Vec<Kept>,
    gone: &[u64],
) -> Result<u64, JournalError> {
    let gone = gone.iter().copied().map(Cursor).collect();
    journal.cut(program, Epoch::SOLE, Cursor(before), &KeptChange { put, gone })
}

/// What a journal holds, for comparing two.
pub(crate) type Content = Vec<(ProgramId, Head, Vec<Record>, Vec<Kept>)>;

pub(crate) fn content(journal: &dyn Journal) -> Content {
    try_content(journal).unwrap()
}

pub(crate) fn try_content(journal: &dyn Journal) -> Result<Content, JournalError> {
    let mut content = Vec::new();
    for (program, head) in journal.programs()? {
        let (records, kept) = (read_all(journal, &program)?, journal.kept(&program)?);
        content.push((program, head, records, kept));
    }
    Ok(content)
}

/// A journal with two programmes, one of them cut, which keeps entries.
pub(crate) fn filled(folder: &Path) -> SledJournal {
    let journal = open(folder);
    fill(&journal, &program("one"), 30);
    fill(&journal, &program("two"), 20);
    cut(&journal, &program("one"), 11, vec![kept(3, b"paid"), kept(7, &[9; 6_000])], &[]).unwrap();
    journal
}

/// Copies the files of a folder, which holds no folders.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for item in from.read_dir().unwrap().map(Result::unwrap).filter(|item| item.path().is_file()) {
        std::fs::copy(item.path(), to.join(item.file_name())).unwrap();
    }
}

/// Writes a backup to a file.
pub(crate) fn back_up(journal: &dyn Journal, path: &Path) -> BackupSummary {
    let mut file = BackupFile::create(path).unwrap();
    let written = journal.back_up(&mut file).unwrap();
    assert_eq!(file.keep().unwrap(), written);
    written
}

/// Changes a watermark as if the machine had gone down since: its head's slots get another boot, and their checksums.
pub(crate) fn as_of_another_boot(watermark: &Path) {
    let mut bytes = std::fs::read(watermark).unwrap();
    for slot in [0, 4_096] {
        bytes[slot + 12 + 9] ^= 0xff;
        let checksum = crc32fast::hash(&bytes[slot..slot + 60]);
        bytes[slot + 60..slot + 64].copy_from_slice(&checksum.to_be_bytes());
    }
    std::fs::write(watermark, bytes).unwrap();
}
