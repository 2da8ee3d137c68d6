//! Backup files. What is in one is of one moment; a file that has its name is whole and was read back.
//!
//! Magic, then frames of kind (u8), length (u32), CRC-32 (u32) and body; the last frame is the trailer with the counts and the BLAKE3 digest of
//! everything before it. All numbers are big-endian.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};

use super::content::{Item, Take};
use super::error::StorageError;
use super::layout::{Floor, KeptSum};
use super::places::{beside, private_file, sync_parent};
use crate::adapters::sealed_backup::{self, Identities, Recipients, Sealing, hash_of};
use crate::book::records::Cursor;
use crate::ports::journal::{BackupSummary, Chain, Kept, RECORD_BYTES_MAX, Record};
use crate::vocabulary::ids::ProgramId;

const MAGIC: &[u8; 8] = b"SELFBAK\x01";
/// Larger than any frame that is ever written.
const FRAME_BYTES_MAX: usize = RECORD_BYTES_MAX + 4_096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FrameKind {
    Program,
    Kept,
    Record,
    Trailer,
}

impl FrameKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Program => b'p',
            Self::Kept => b'k',
            Self::Record => b'r',
            Self::Trailer => b't',
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Program, Self::Kept, Self::Record, Self::Trailer].into_iter().find(|kind| kind.byte() == byte)
    }
}

/// Writes what is handed over as a backup. The caller makes the output durable ([`BackupFile`] does).
pub(super) fn write_backup(
    out: &mut dyn Write,
    hand_over: impl FnOnce(Take<'_>) -> Result<(), StorageError>,
) -> Result<BackupSummary, StorageError> {
    let mut frames = FrameWriter { out, digest: blake3::Hasher::new(), size_bytes: 0 };
    let (mut records, mut kept_entries) = (0, 0);
    hand_over(&mut |item| match item {
        Item::Program { program, floor, last, chain } => {
            let numbers =
                [&floor.first.0.to_be_bytes()[..], &floor.base.0, &floor.kept.to_bytes(), &last.0.to_be_bytes(), &chain.0];
            frames.write(FrameKind::Program, &[&numbers.concat(), program.as_str().as_bytes()])
        }
        Item::Kept(kept) => {
            kept_entries += 1;
            frames.write(FrameKind::Kept, &[&kept.cursor.0.to_be_bytes(), &kept.payload])
        }
        Item::Record(record) => {
            records += 1;
            frames.write(FrameKind::Record, &[&record.cursor.0.to_be_bytes(), &record.chain.0, &record.payload])
        }
    })?;
    frames.finish(records, kept_entries)
}

/// A backup file that is being written. It has another name until it is kept, and is removed when it is dropped before.
pub struct BackupFile {
    path: PathBuf,
    partial: PathBuf,
    out: Out,
}

/// Where a backup goes.
enum Out {
    Plain(BufWriter<File>),
    /// Encrypted on its way. Absent once it was ended.
    Sealed(Option<Box<Sealing<BufWriter<File>>>>),
}

impl BackupFile {
    /// Begins a file.
    ///
    /// # Errors
    /// An existing file is never overwritten; [`StorageError::Io`], [`StorageError::NotWritable`] or [`StorageError::DiskFull`].
    pub fn create(path: &Path) -> Result<Self, StorageError> {
        Self::create_for(path, &Recipients::default())
    }

    /// Begins a file that only recipients can read; everybody where there is none.
    ///
    /// # Errors
    /// As [`BackupFile::create`].
    pub fn create_for(path: &Path, recipients: &Recipients) -> Result<Self, StorageError> {
        let io = StorageError::io("writing the backup", path);
        if path.exists() {
            return Err(io(io::ErrorKind::AlreadyExists.into()));
        }
        let partial = beside(path, "partial");
        let out = private_file().create(true).truncate(true).open(&partial).map_err(io)?;
        let out = BufWriter::with_capacity(1 << 20, out);
        let out = if recipients.is_empty() {
            Out::Plain(out)
        } else {
            Out::Sealed(Some(Box::new(Sealing::begin(out, recipients).map_err(io)?)))
        };
        Ok(Self { path: path.to_path_buf(), partial, out })
    }

    /// Makes the file durable, reads it back, and gives it its name.
    ///
    /// # Errors
    /// What the disk said, or [`StorageError::BackupUnusable`] when what was written is not a whole backup.
    pub fn keep(mut self) -> Result<BackupSummary, StorageError> {
        let path = self.path.clone();
        let io = StorageError::io("writing the backup", &path);
        let summary = match &mut self.out {
            Out::Plain(out) => {
                out.flush().map_err(io)?;
                out.get_ref().sync_all().map_err(io)?;
                verify_backup(&self.partial)?
            }
            Out::Sealed(sealed) => {
                let sealed = sealed.take().ok_or_else(|| unusable("it was ended before"))?;
                let (summary, mut out, written) = sealed.finish()?;
                out.flush().map_err(io)?;
                out.get_ref().sync_all().map_err(io)?;
                if hash_of(&self.partial).map_err(io)? != written {
                    return Err(unusable("what the disk gives back is not what was written"));
                }
                summary
            }
        };
        std::fs::rename(&self.partial, &self.path).map_err(io)?;
        sync_parent(&self.path).map_err(io)?;
        Ok(summary)
    }
}

impl Write for BackupFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Out::Plain(out) => out.write(bytes),
            Out::Sealed(Some(sealed)) => sealed.write(bytes),
            Out::Sealed(None) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.out {
            Out::Plain(out) => out.flush(),
            Out::Sealed(Some(sealed)) => sealed.flush(),
            Out::Sealed(None) => Ok(()),
        }
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
    verify_backup_with(path, &Identities::default())
}

/// As [`verify_backup`], of one that may be encrypted.
///
/// # Errors
/// As [`verify_backup`].
pub fn verify_backup_with(path: &Path, identities: &Identities) -> Result<BackupSummary, StorageError> {
    read_backup(path, identities, &mut |_| Ok(()))
}

/// Reads a backup as it comes and checks all of it.
pub(in crate::adapters) fn read_through(input: Box<dyn Read>) -> Result<BackupSummary, StorageError> {
    read_frames(input, &mut |_| Ok(()))
}

struct FrameWriter<'o> {
    out: &'o mut dyn Write,
    digest: blake3::Hasher,
    size_bytes: u64,
}

fn write_error(error: &io::Error) -> StorageError {
    StorageError::from_io("writing the backup", Path::new("backup"), error)
}

impl FrameWriter<'_> {
    /// Nothing is written before the first thing is handed over: until then the moment of the backup is not fixed.
    fn begin(&mut self) -> Result<(), StorageError> {
        if self.size_bytes == 0 { self.put(MAGIC) } else { Ok(()) }
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
        self.begin()?;
        self.put(&[kind.byte()])?;
        self.put(&length.to_be_bytes())?;
        self.put(&checksum.finalize().to_be_bytes())?;
        body.iter().try_for_each(|piece| self.put(piece))
    }

    fn finish(mut self, records: u64, kept_entries: u64) -> Result<BackupSummary, StorageError> {
        self.begin()?;
        let digest = self.digest.finalize();
        let size_bytes = self.size_bytes;
        self.write(FrameKind::Trailer, &[&records.to_be_bytes(), &kept_entries.to_be_bytes(), digest.as_bytes()])?;
        self.out.flush().map_err(|e| write_error(&e))?;
        Ok(BackupSummary { records, kept_entries, size_bytes, digest: digest.to_hex().to_string() })
    }
}

pub(super) fn unusable(reason: impl Into<String>) -> StorageError {
    StorageError::BackupUnusable { reason: reason.into() }
}

/// The programme whose content is being read, and how far it got.
struct Reading {
    program: ProgramId,
    floor: Floor,
    last: Cursor,
    chain: Chain,
    at: Cursor,
    at_chain: Chain,
    kept: KeptSum,
}

impl Reading {
    fn take_kept(&mut self, kept: &Kept) -> Result<(), StorageError> {
        if kept.cursor >= self.floor.first || self.at >= self.floor.first {
            return Err(unusable(format!("a kept entry of programme `{}` is out of its place", self.program)));
        }
        self.kept.add(kept.cursor.0, &kept.payload);
        Ok(())
    }

    fn take_record(&mut self, record: &Record) -> Result<(), StorageError> {
        let expected = Cursor(self.at.0 + 1);
        if record.cursor != expected {
            return Err(unusable(format!("record {} of programme `{}` is missing", expected.0, self.program)));
        }
        if self.at_chain.then(record.cursor, &record.payload) != record.chain {
            return Err(unusable(format!("the chain of programme `{}` breaks at record {}", self.program, expected.0)));
        }
        (self.at, self.at_chain) = (record.cursor, record.chain);
        Ok(())
    }

    fn end(self) -> Result<(), StorageError> {
        let whole = (self.at, self.at_chain, self.kept) == (self.last, self.chain, self.floor.kept);
        if whole { Ok(()) } else { Err(unusable(format!("the end of programme `{}` is missing", self.program))) }
    }
}

/// Reads all frames in order, checks each and the whole, and hands over what they hold.
pub(super) fn read_backup(path: &Path, identities: &Identities, take: Take<'_>) -> Result<BackupSummary, StorageError> {
    read_frames(sealed_backup::open(path, identities)?, take)
}

fn read_frames(input: Box<dyn Read>, take: Take<'_>) -> Result<BackupSummary, StorageError> {
    let mut frames = FrameReader::start(input)?;
    let (mut records, mut kept_entries) = (0, 0);
    let mut reading: Option<Reading> = None;
    loop {
        let size_bytes = frames.size_bytes;
        let digest = frames.digest.finalize();
        let (kind, body) = frames.next()?;
        let mut body = Fields(body);
        match kind {
            FrameKind::Trailer => {
                reading.take().map_or(Ok(()), Reading::end)?;
                let counted = [body.u64()?, body.u64()?] == [records, kept_entries];
                if !counted || body.0 != digest.as_bytes()[..] || !frames.at_end()? {
                    return Err(unusable("its trailer does not match its content"));
                }
                return Ok(BackupSummary { records, kept_entries, size_bytes, digest: digest.to_hex().to_string() });
            }
            FrameKind::Program => {
                reading.take().map_or(Ok(()), Reading::end)?;
                let (first, base, kept) = (Cursor(body.u64()?), Chain(body.array()?), KeptSum::from_bytes(body.array()?));
                let (last, chain) = (Cursor(body.u64()?), Chain(body.array()?));
                let program = std::str::from_utf8(&body.0).ok().and_then(|name| ProgramId::new(name).ok());
                let program = program.ok_or_else(|| unusable("it holds an impossible programme"))?;
                let at = Cursor(first.0.checked_sub(1).ok_or_else(|| unusable("it holds an impossible beginning"))?);
                let floor = Floor { first, base, kept };
                let (begun, kept) = (program.clone(), KeptSum::default());
                reading = Some(Reading { program: begun, floor, last, chain, at, at_chain: base, kept });
                take(Item::Program { program, floor, last, chain })?;
            }
            FrameKind::Kept => {
                let kept = Kept { cursor: Cursor(body.u64()?), payload: body.0 };
                reading.as_mut().ok_or_else(|| unusable("a kept entry of no programme"))?.take_kept(&kept)?;
                kept_entries += 1;
                take(Item::Kept(kept))?;
            }
            FrameKind::Record => {
                let record = Record { cursor: Cursor(body.u64()?), chain: Chain(body.array()?), payload: body.0 };
                reading.as_mut().ok_or_else(|| unusable("a record of no programme"))?.take_record(&record)?;
                records += 1;
                take(Item::Record(record))?;
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
        let mut frames = Self { input, digest: blake3::Hasher::new(), size_bytes: 0 };
        if frames.read(MAGIC.len())? != MAGIC[..] {
            return Err(unusable("it is not a backup that this build can read"));
        }
        Ok(frames)
    }

    fn read(&mut self, length: usize) -> Result<Bytes, StorageError> {
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(|e| unusable(format!("it is cut short ({e})")))?;
        self.digest.update(&bytes);
        self.size_bytes += length as u64;
        Ok(bytes.into())
    }

    fn next(&mut self) -> Result<(FrameKind, Bytes), StorageError> {
        let mut head = Fields(self.read(9)?);
        let ([kind], length, checksum) = (head.array()?, head.array()?, u32::from_be_bytes(head.array()?));
        let kind = FrameKind::from_byte(kind).ok_or_else(|| unusable("it holds an unknown frame"))?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
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
struct Fields(Bytes);

impl Fields {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], StorageError> {
        let mut taken = [0; N];
        self.0.try_copy_to_slice(&mut taken).map_err(|_| unusable("a frame is cut short"))?;
        Ok(taken)
    }

    fn u64(&mut self) -> Result<u64, StorageError> {
        self.array().map(u64::from_be_bytes)
    }
}
