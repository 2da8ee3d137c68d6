//! Backups that only who holds a key can read: the format of `age`, so that its own tools open them too.
//!
//! Nothing unencrypted is written on the way. What was written is read back by its hash; what it holds is verified while it is written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeWriter, Read, Write};
use std::path::Path;
use std::thread::JoinHandle;

use age::stream::StreamWriter;
use age::{Decryptor, Encryptor, IdentityFile};

use super::journal::{StorageError, read_through};
use crate::ports::journal::BackupSummary;

/// How an encrypted file begins.
const AGE: &[u8] = b"age-encryption.org/";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no recipient.
    #[error("`{0}` is no recipient; those begin with `age1`, and `age-keygen` makes them")]
    NoRecipient(String),
    /// A file holds none.
    #[error("`{0}` names no recipient")]
    NoRecipients(String),
    /// A file cannot be read.
    #[error("`{file}` cannot be read: {reason}")]
    Unreadable {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
}

/// Who can read a backup. Empty for everybody.
#[derive(Default, Clone)]
pub struct Recipients(Vec<age::x25519::Recipient>);

impl Recipients {
    /// Reads recipients as they were named, and from files with one a line, in which `#` begins what is not read.
    ///
    /// # Errors
    /// [`KeyError`] names the first that is none.
    pub fn read<'f>(named: &[String], files: impl IntoIterator<Item = &'f Path>) -> Result<Self, KeyError> {
        let recipient = |text: &str| text.parse().map_err(|_| KeyError::NoRecipient(text.to_owned()));
        let mut all = named.iter().map(|text| recipient(text)).collect::<Result<Vec<_>, _>>()?;
        for file in files {
            let shown = file.display().to_string();
            let text = std::fs::read_to_string(file)
                .map_err(|error| KeyError::Unreadable { file: shown.clone(), reason: error.to_string() })?;
            let before = all.len();
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                all.push(recipient(line)?);
            }
            if all.len() == before {
                return Err(KeyError::NoRecipients(shown));
            }
        }
        Ok(Self(all))
    }

    /// Whether nobody is named: then a backup is not encrypted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The keys with which backups are read. Empty where none are needed.
#[derive(Default)]
pub struct Identities(Vec<Box<dyn age::Identity>>);

impl Identities {
    /// Reads the files that `age-keygen` makes.
    ///
    /// # Errors
    /// [`KeyError::Unreadable`].
    pub fn read<'f>(files: impl IntoIterator<Item = &'f Path>) -> Result<Self, KeyError> {
        let mut all = Vec::new();
        for file in files {
            let shown = file.display().to_string();
            let unreadable = |reason: String| KeyError::Unreadable { file: shown.clone(), reason };
            let read = IdentityFile::from_file(shown.clone()).map_err(|error| unreadable(error.to_string()))?;
            all.extend(read.into_identities().map_err(|error| unreadable(error.to_string()))?);
        }
        Ok(Self(all))
    }
}

/// Opens a backup, encrypted or not.
///
/// # Errors
/// [`StorageError::BackupUnusable`] where it cannot be read, or none of the keys opens it.
pub(super) fn open(path: &Path, identities: &Identities) -> Result<Box<dyn Read>, StorageError> {
    let unusable = |reason: String| StorageError::BackupUnusable { reason };
    let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
    let mut file = BufReader::with_capacity(1 << 20, file);
    if !file.fill_buf().map_err(|error| unusable(error.to_string()))?.starts_with(AGE) {
        return Ok(Box::new(file));
    }
    if identities.0.is_empty() {
        return Err(unusable("it is encrypted: name the file of a key that opens it with --identity".to_owned()));
    }
    let opened = Decryptor::new_buffered(file).and_then(|file| file.decrypt(identities.0.iter().map(AsRef::as_ref)));
    let opened = opened.map_err(|error| unusable(format!("it is encrypted, and cannot be opened: {error}")))?;
    Ok(Box::new(BufReader::with_capacity(1 << 20, opened)))
}

/// An output that is encrypted on its way, while what goes through is verified.
pub(super) struct Sealing<W: Write> {
    out: StreamWriter<Hashed<W>>,
    /// Absent once the end was reached.
    through: Option<PipeWriter>,
    verifying: JoinHandle<Result<BackupSummary, StorageError>>,
}

impl<W: Write> Sealing<W> {
    /// Begins an output for recipients. There is at least one.
    pub(super) fn begin(out: W, Recipients(recipients): &Recipients) -> io::Result<Self> {
        let encryptor = Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as &dyn age::Recipient));
        let out = encryptor.map_err(io::Error::other)?.wrap_output(Hashed { out, hash: blake3::Hasher::new() })?;
        let (read, through) = io::pipe()?;
        let verify = move || read_through(Box::new(BufReader::with_capacity(1 << 16, read)));
        let verifying = std::thread::Builder::new().name("backup-verify".into()).spawn(verify)?;
        Ok(Self { out, through: Some(through), verifying })
    }

    /// Ends it. Returns what went through, the output, and the hash of what was written to it.
    pub(super) fn finish(self) -> Result<(BackupSummary, W, blake3::Hash), StorageError> {
        let Self { out, through, verifying } = self;
        drop(through);
        let broken = |_| StorageError::BackupUnusable { reason: "verifying it broke off".to_owned() };
        let summary = verifying.join().map_err(broken)??;
        let ended = out.finish().map_err(|error| StorageError::BackupUnusable { reason: error.to_string() })?;
        Ok((summary, ended.out, ended.hash.finalize()))
    }
}

impl<W: Write> Write for Sealing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(through) = &mut self.through {
            // What is no backup is told at the end, with the reason.
            if through.write_all(bytes).is_err() {
                self.through = None;
            }
        }
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Hashes what is written.
struct Hashed<W> {
    out: W,
    hash: blake3::Hasher,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The hash of a file.
pub(super) fn hash_of(path: &Path) -> io::Result<blake3::Hash> {
    let mut hash = blake3::Hasher::new();
    hash.update_reader(File::open(path)?)?;
    Ok(hash.finalize())
}
