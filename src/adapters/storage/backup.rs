//! Backup, restore and compaction of a journal. A backup is taken while serving and is consistent: everything up to one
//! moment, nothing after it. Restore never touches a folder that holds something. Called by the `ledger` commands.
//!
//! File: magic, then frames of kind (u8), length (u32), CRC-32 (u32) and body; the last frame is the trailer with the
//! counts and the BLAKE3 digest of everything before it. All numbers are big-endian.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::journal::{Journal, JournalOptions};
use crate::adapters::storage::record::{Entry, ProgrammeNumber, RECORD_LIMIT_BYTES, SideTag, SideWrite};

const MAGIC: &[u8; 8] = b"SELFBAK\x01";
/// Larger than any frame that is ever written.
const FRAME_LIMIT_BYTES: usize = RECORD_LIMIT_BYTES + 4_096;
/// Entries restored per group.
const RESTORE_GROUP_ENTRIES: usize = 512;

/// What a backup carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BackupSummary {
    /// The newest record of each programme.
    pub through: BTreeMap<ProgrammeNumber, u64>,
    /// Journal records.
    pub records: u64,
    /// Side entries.
    pub side_entries: u64,
    /// Size of the file in bytes, trailer not counted.
    pub size_bytes: u64,
    /// BLAKE3 of everything before the trailer, in hex.
    pub digest_hex: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    Programme,
    Side,
    Record,
    Trailer,
}

impl FrameKind {
    fn byte(self) -> u8 {
        match self {
            FrameKind::Programme => b'p',
            FrameKind::Side => b's',
            FrameKind::Record => b'r',
            FrameKind::Trailer => b't',
        }
    }

    fn from_byte(byte: u8) -> Option<FrameKind> {
        [FrameKind::Programme, FrameKind::Side, FrameKind::Record, FrameKind::Trailer].into_iter().find(|k| k.byte() == byte)
    }
}

/// Writes a backup of everything that is durable now. Appends go on; only removal by retention waits.
///
/// The caller makes the output durable ([`backup_to_file`] does).
///
/// # Errors
/// A damaged record ends the backup and is named. [`StorageError::Io`] or [`StorageError::DiskFull`] when the output
/// refuses. [`StorageError::Poisoned`] when the journal has failed: reopen it first.
pub fn backup(journal: &Journal, out: &mut impl Write) -> Result<BackupSummary, StorageError> {
    let pin = journal.pin()?;
    let reader = journal.reader();
    let mut frames = FrameWriter::start(out)?;
    let mut summary = BackupSummary { through: pin.through.clone(), ..BackupSummary::default() };
    for (name, programme) in reader.programmes()? {
        // A programme that was registered after the moment has no record before it.
        if let Some(last) = pin.through.get(&programme) {
            let first = reader.first_seq(programme)?;
            let head = [&programme.get().to_be_bytes()[..], &first.to_be_bytes(), &last.to_be_bytes()];
            frames.write(FrameKind::Programme, &[&head.concat(), name.as_bytes()])?;
        }
    }
    for (programme, side) in &pin.side {
        let key_len = u16::try_from(side.entry.key.len()).unwrap_or(u16::MAX);
        let head = [&programme.get().to_be_bytes()[..], &[side.tag.0], &key_len.to_be_bytes()].concat();
        frames.write(FrameKind::Side, &[&head, &side.entry.key, &side.entry.value])?;
        summary.side_entries += 1;
    }
    for (programme, last) in &pin.through {
        for record in reader.scan(*programme, reader.first_seq(*programme)?..=*last) {
            let record = record?;
            frames.write(FrameKind::Record, &[&programme.get().to_be_bytes(), &record.seq.to_be_bytes(), &record.payload])?;
            summary.records += 1;
        }
    }
    frames.finish(&mut summary)?;
    Ok(summary)
}

/// Writes a backup to a new file, durably: a file of that name is complete and was read back.
///
/// # Errors
/// As [`backup`] and [`BackupFile`].
pub fn backup_to_file(journal: &Journal, path: &Path) -> Result<BackupSummary, StorageError> {
    let mut file = BackupFile::create(path)?;
    backup(journal, &mut file)?;
    file.keep()
}

/// A backup file that is being written. It has another name until it is kept, and is removed when it is dropped before.
pub struct BackupFile {
    path: PathBuf,
    partial: PathBuf,
    out: BufWriter<File>,
}

impl BackupFile {
    /// Begins a file.
    ///
    /// # Errors
    /// An existing file is never overwritten; [`StorageError::Io`], [`StorageError::NotWritable`] or [`StorageError::DiskFull`].
    pub fn create(path: &Path) -> Result<Self, StorageError> {
        let io = |e: io::Error| StorageError::from_io("writing the backup", path, &e);
        if path.exists() {
            return Err(io(io::ErrorKind::AlreadyExists.into()));
        }
        let partial = beside(path, "partial");
        let out = BufWriter::with_capacity(1 << 20, File::create(&partial).map_err(io)?);
        Ok(Self { path: path.to_path_buf(), partial, out })
    }

    /// Makes the file durable, reads it back, and gives it its name.
    ///
    /// # Errors
    /// What the disk said, or [`StorageError::BackupUnusable`] when what was written is not a whole backup.
    pub fn keep(mut self) -> Result<BackupSummary, StorageError> {
        let path = self.path.clone();
        let io = |e: io::Error| StorageError::from_io("writing the backup", &path, &e);
        self.out.flush().map_err(io)?;
        self.out.get_ref().sync_all().map_err(io)?;
        let summary = verify_backup(&self.partial)?;
        std::fs::rename(&self.partial, &self.path).map_err(io)?;
        sync_parent(&self.path).map_err(io)?;
        Ok(summary)
    }
}

impl Write for BackupFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for BackupFile {
    fn drop(&mut self) {
        // Gone already when it was kept.
        let _ = std::fs::remove_file(&self.partial);
    }
}

/// Reads a backup through and checks all of it; nothing is written.
///
/// # Errors
/// [`StorageError::BackupUnusable`] when anything is missing, changed or added.
pub fn verify_backup(path: &Path) -> Result<BackupSummary, StorageError> {
    read_backup(path, |_| Ok(()))
}

/// Restores a backup to a folder that does not exist or is empty. The backup is verified before anything is written;
/// the folder appears as a whole or not at all.
///
/// # Errors
/// [`StorageError::FolderNotEmpty`], [`StorageError::BackupUnusable`], or what the disk said.
pub fn restore(path: &Path, folder: &Path) -> Result<BackupSummary, StorageError> {
    let io = |e: io::Error| StorageError::from_io("restoring", folder, &e);
    if folder.exists() && std::fs::read_dir(folder).map_err(io)?.next().is_some() {
        return Err(StorageError::FolderNotEmpty { folder: folder.to_path_buf() });
    }
    verify_backup(path)?;
    let partial = beside(folder, "restoring");
    if partial.exists() {
        std::fs::remove_dir_all(&partial).map_err(io)?;
    }
    let journal = Journal::open(&partial, &JournalOptions::default())?;
    let mut fill = Fill { journal: &journal, group: Vec::new(), side: Vec::new(), side_programme: None };
    let summary = read_backup(path, |item| fill.take(item))?;
    fill.finish()?;
    drop(journal);
    if folder.exists() {
        std::fs::remove_dir(folder).map_err(io)?;
    }
    std::fs::rename(&partial, folder).map_err(io)?;
    sync_parent(folder).map_err(io)?;
    Ok(summary)
}

/// Rewrites a closed journal without the space that sled keeps for what was removed. Keeps the old one beside it, as
/// `<folder>.before-compaction`, until the new one is complete and named.
///
/// # Errors
/// As [`backup`] and [`restore`]; the old journal is then untouched.
pub fn compact(folder: &Path) -> Result<BackupSummary, StorageError> {
    let io = |e: io::Error| StorageError::from_io("compacting", folder, &e);
    undo_interrupted_compaction(folder).map_err(io)?;
    let (file, fresh, old) = (beside(folder, "compaction"), beside(folder, "compacted"), beside(folder, "before-compaction"));
    for leftover in [&fresh, &old] {
        if leftover.exists() {
            std::fs::remove_dir_all(leftover).map_err(io)?;
        }
    }
    if file.exists() {
        std::fs::remove_file(&file).map_err(io)?;
    }
    let journal = Journal::open(folder, &JournalOptions::default())?;
    backup_to_file(&journal, &file)?;
    let summary = restore(&file, &fresh)?;
    drop(journal);
    std::fs::rename(folder, &old).map_err(io)?;
    std::fs::rename(&fresh, folder).map_err(io)?;
    sync_parent(folder).map_err(io)?;
    std::fs::remove_dir_all(&old).map_err(io)?;
    std::fs::remove_file(&file).map_err(io)?;
    Ok(summary)
}

/// Puts the old journal back when a compaction was interrupted between its two renames. Called before opening.
///
/// # Errors
/// What the disk said.
pub(super) fn undo_interrupted_compaction(folder: &Path) -> io::Result<()> {
    let old = beside(folder, "before-compaction");
    if !folder.exists() && old.exists() {
        std::fs::rename(&old, folder)?;
        sync_parent(folder)?;
    }
    Ok(())
}

/// `<path>.<suffix>`, in the same folder, so that it can be renamed to the path.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}

pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

struct FrameWriter<'o, W> {
    out: &'o mut W,
    digest: blake3::Hasher,
    size_bytes: u64,
}

fn write_error(error: &io::Error) -> StorageError {
    StorageError::from_io("writing the backup", Path::new("backup"), error)
}

impl<'o, W: Write> FrameWriter<'o, W> {
    fn start(out: &'o mut W) -> Result<Self, StorageError> {
        let mut frames = FrameWriter { out, digest: blake3::Hasher::new(), size_bytes: 0 };
        frames.put(MAGIC)?;
        Ok(frames)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.digest.update(bytes);
        self.size_bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|e| write_error(&e))
    }

    fn write(&mut self, kind: FrameKind, body: &[&[u8]]) -> Result<(), StorageError> {
        let length: usize = body.iter().map(|piece| piece.len()).sum();
        let length = u32::try_from(length).map_err(|e| write_error(&io::Error::other(e)))?;
        let mut checksum = crc32fast::Hasher::new();
        for piece in body {
            checksum.update(piece);
        }
        self.put(&[kind.byte()])?;
        self.put(&length.to_be_bytes())?;
        self.put(&checksum.finalize().to_be_bytes())?;
        body.iter().try_for_each(|piece| self.put(piece))
    }

    fn finish(mut self, summary: &mut BackupSummary) -> Result<(), StorageError> {
        let digest = self.digest.finalize();
        summary.size_bytes = self.size_bytes;
        summary.digest_hex = digest.to_hex().to_string();
        let counts = [summary.records.to_be_bytes(), summary.side_entries.to_be_bytes()];
        self.write(FrameKind::Trailer, &[&counts.concat(), digest.as_bytes()])?;
        self.out.flush().map_err(|e| write_error(&e))
    }
}

/// One thing that a backup holds.
enum Item {
    Programme { number: ProgrammeNumber, first_seq: u64, name: String },
    Side { programme: ProgrammeNumber, write: SideWrite },
    Record { programme: ProgrammeNumber, seq: u64, payload: Vec<u8> },
}

fn unusable(reason: impl Into<String>) -> StorageError {
    StorageError::BackupUnusable { reason: reason.into() }
}

/// Reads all frames in order, checks each and the whole, and hands over what they hold.
fn read_backup(path: &Path, mut take: impl FnMut(Item) -> Result<(), StorageError>) -> Result<BackupSummary, StorageError> {
    let file = File::open(path).map_err(|e| unusable(e.to_string()))?;
    let mut frames = FrameReader::start(BufReader::with_capacity(1 << 20, file))?;
    let mut summary = BackupSummary::default();
    let mut next: BTreeMap<ProgrammeNumber, u64> = BTreeMap::new();
    loop {
        summary.size_bytes = frames.size_bytes;
        let digest = frames.digest.finalize();
        let (kind, body) = frames.next()?;
        let mut body = Fields(&body);
        match kind {
            FrameKind::Trailer => {
                let counted = [body.u64()?, body.u64()?] == [summary.records, summary.side_entries];
                let complete = summary.through.iter().all(|(p, last)| next.get(p) == Some(&(last + 1)));
                if !counted || !complete || body.0 != digest.as_bytes() || !frames.at_end()? {
                    return Err(unusable("its trailer does not match its content"));
                }
                summary.digest_hex = digest.to_hex().to_string();
                return Ok(summary);
            }
            FrameKind::Programme => {
                let (number, first_seq, last) = (body.programme()?, body.u64()?, body.u64()?);
                let name = std::str::from_utf8(body.0).map_err(|e| unusable(e.to_string()))?.to_owned();
                summary.through.insert(number, last);
                next.insert(number, first_seq);
                take(Item::Programme { number, first_seq, name })?;
            }
            FrameKind::Side => {
                let (programme, [tag], key_len) = (body.programme()?, body.array()?, body.array()?);
                let key = body.take(usize::from(u16::from_be_bytes(key_len)))?.to_vec();
                let write = SideWrite { tag: SideTag(tag), key, value: Some(body.0.to_vec()) };
                summary.side_entries += 1;
                take(Item::Side { programme, write })?;
            }
            FrameKind::Record => {
                let (programme, seq) = (body.programme()?, body.u64()?);
                let expected = next.get_mut(&programme).ok_or_else(|| unusable("a record of an unknown programme"))?;
                if seq != *expected {
                    return Err(unusable(format!("record {expected} of programme number {programme} is missing")));
                }
                *expected += 1;
                summary.records += 1;
                take(Item::Record { programme, seq, payload: body.0.to_vec() })?;
            }
        }
    }
}

struct FrameReader<R> {
    input: R,
    digest: blake3::Hasher,
    size_bytes: u64,
}

impl<R: Read> FrameReader<R> {
    fn start(input: R) -> Result<Self, StorageError> {
        let mut frames = FrameReader { input, digest: blake3::Hasher::new(), size_bytes: 0 };
        if frames.read(MAGIC.len())? != MAGIC {
            return Err(unusable("it is not a backup that this build can read"));
        }
        Ok(frames)
    }

    fn read(&mut self, length: usize) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(|e| unusable(format!("it is cut short ({e})")))?;
        self.digest.update(&bytes);
        self.size_bytes += length as u64;
        Ok(bytes)
    }

    fn next(&mut self) -> Result<(FrameKind, Vec<u8>), StorageError> {
        let head = self.read(9)?;
        let mut head = Fields(&head);
        let ([kind], length, checksum) = (head.array()?, head.array()?, u32::from_be_bytes(head.array()?));
        let kind = FrameKind::from_byte(kind).ok_or_else(|| unusable("it holds an unknown frame"))?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_LIMIT_BYTES {
            return Err(unusable("it holds a frame of impossible length"));
        }
        let body = self.read(length)?;
        if crc32fast::hash(&body) != checksum {
            return Err(unusable("a frame is damaged"));
        }
        Ok((kind, body))
    }

    fn at_end(&mut self) -> Result<bool, StorageError> {
        self.input.read(&mut [0]).map(|read| read == 0).map_err(|e| unusable(e.to_string()))
    }
}

/// Takes fields off the front of a frame.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], StorageError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(|| unusable("a frame is cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], StorageError> {
        self.take(N)?.try_into().map_err(|_| unusable("a frame is cut short"))
    }

    fn u64(&mut self) -> Result<u64, StorageError> {
        self.array().map(u64::from_be_bytes)
    }

    fn programme(&mut self) -> Result<ProgrammeNumber, StorageError> {
        ProgrammeNumber::new(u32::from_be_bytes(self.array()?)).ok_or_else(|| unusable("programme number 0"))
    }
}

/// Writes the items of a backup to a fresh journal, in groups.
struct Fill<'j> {
    journal: &'j Journal,
    group: Vec<Entry>,
    /// Side entries of one programme.
    side: Vec<SideWrite>,
    side_programme: Option<ProgrammeNumber>,
}

impl Fill<'_> {
    fn take(&mut self, item: Item) -> Result<(), StorageError> {
        match item {
            Item::Programme { number, first_seq, name } => self.journal.restore_programme(&name, number, first_seq),
            Item::Side { programme, write } => {
                if self.side_programme != Some(programme) || self.side.len() >= RESTORE_GROUP_ENTRIES {
                    self.write_side()?;
                    self.side_programme = Some(programme);
                }
                self.side.push(write);
                Ok(())
            }
            Item::Record { programme, seq, payload } => {
                self.group.push(Entry { programme, seq, payload, side: Vec::new() });
                if self.group.len() < RESTORE_GROUP_ENTRIES { Ok(()) } else { self.write_group() }
            }
        }
    }

    fn write_group(&mut self) -> Result<(), StorageError> {
        self.journal.append_group(&std::mem::take(&mut self.group))
    }

    fn write_side(&mut self) -> Result<(), StorageError> {
        match self.side_programme {
            Some(programme) => self.journal.write_side(programme, &std::mem::take(&mut self.side)),
            None => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), StorageError> {
        self.write_side()?;
        self.write_group()
    }
}
