//! The journal in a folder as a server has it: it can be scoured while it is open. Sled keeps the bytes of what was rewritten or removed until it uses
//! their place again, which may be never; so what is there is copied to another store, and that is put in its place.
//!
//! The copy is made while everything goes on. Only what was appended meanwhile, and the opening of the new store, make others wait.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::error::StorageError;
use super::folder::lock_folder;
use super::journal::SledJournal;
use super::options::JournalOptions;
use super::restore::copy;
use crate::book::records::Cursor;
use crate::ports::journal::{
    Append, Appended, BackupSummary, Epoch, Head, Incarnation, Journal, JournalError, Kept, KeptChange, Reach, Record,
};
use crate::vocabulary::ids::ProgramId;

/// The journal in a folder, which may be exchanged for a copy of itself.
pub struct SledHome {
    /// Absent where the new store could not be opened after the old one was closed.
    journal: RwLock<Option<Arc<SledJournal>>>,
    /// Held by the one that scours.
    scouring: Mutex<()>,
    folder: PathBuf,
    options: JournalOptions,
    incarnation: Incarnation,
    doubt: Option<String>,
}

impl SledHome {
    /// Opens the journal in a folder.
    ///
    /// # Errors
    /// As [`SledJournal::open`].
    pub fn open(folder: &Path, options: JournalOptions) -> Result<Self, StorageError> {
        let journal = SledJournal::open(folder, &options)?;
        let (incarnation, doubt) = (journal.incarnation(), journal.doubt().map(str::to_owned));
        let (journal, scouring) = (RwLock::new(Some(Arc::new(journal))), Mutex::new(()));
        Ok(Self { journal, scouring, folder: folder.to_path_buf(), options, incarnation, doubt })
    }

    /// What opening could not tell from a clean end.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    fn with<T>(&self, ask: impl FnOnce(&SledJournal) -> Result<T, JournalError>) -> Result<T, JournalError> {
        match &*self.journal.read() {
            Some(journal) => ask(journal),
            None => Err(self.closed()),
        }
    }

    /// The journal, for what lasts: nobody waits for it.
    fn held(&self) -> Result<Arc<SledJournal>, JournalError> {
        self.journal.read().clone().ok_or_else(|| self.closed())
    }

    fn closed(&self) -> JournalError {
        JournalError::Unavailable(format!("the journal in `{}` was closed and could not be opened again", self.folder.display()))
    }

    fn exchange(&self) -> Result<(), JournalError> {
        let _alone = self.scouring.lock();
        let copied = copy(&*self.held()?)?;
        let mut journal = self.journal.write();
        let Some(shared) = journal.take() else { return Err(self.closed()) };
        let old = match Arc::try_unwrap(shared) {
            Ok(old) => old,
            Err(shared) => {
                // A backup reads it.
                copied.discard();
                *journal = Some(shared);
                return Err(StorageError::BackupUnderWay.into());
            }
        };
        if let Err(error) = copied.catch_up(&old) {
            copied.discard();
            *journal = Some(Arc::new(old));
            return Err(error.into());
        }
        drop(old);
        // Nobody else may open the folder between.
        let lock = lock_folder(&self.folder)?;
        let fresh = copied.replace(&self.folder)?;
        drop(lock);
        *journal = Some(Arc::new(SledJournal::open_locked(&self.folder, Arc::clone(&fresh), &self.options)?));
        Ok(())
    }
}

impl Journal for SledHome {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn programs(&self) -> Result<Vec<(ProgramId, Head)>, JournalError> {
        self.with(Journal::programs)
    }

    fn head(&self, program: &ProgramId) -> Result<Head, JournalError> {
        self.with(|journal| journal.head(program))
    }

    fn append(&self, group: &[Append]) -> Result<Appended, JournalError> {
        self.with(|journal| journal.append(group))
    }

    fn read(&self, program: &ProgramId, reach: Reach) -> Result<Vec<Record>, JournalError> {
        self.with(|journal| journal.read(program, reach))
    }

    fn kept(&self, program: &ProgramId) -> Result<Vec<Kept>, JournalError> {
        self.with(|journal| journal.kept(program))
    }

    fn cut(&self, program: &ProgramId, epoch: Epoch, before: Cursor, change: &KeptChange) -> Result<u64, JournalError> {
        self.with(|journal| journal.cut(program, epoch, before, change))
    }

    /// Nobody reads an entry of which a part is changed already.
    fn rewrite(&self, program: &ProgramId, epoch: Epoch, records: &[Record]) -> Result<(), JournalError> {
        match &*self.journal.write() {
            Some(journal) => journal.rewrite(program, epoch, records),
            None => Err(self.closed()),
        }
    }

    fn scour(&self) -> Result<(), JournalError> {
        self.exchange()
    }

    fn failure(&self) -> Option<String> {
        match &*self.journal.read() {
            Some(journal) => journal.failure(),
            None => Some(self.closed().to_string()),
        }
    }

    fn hindrance(&self) -> Option<String> {
        self.journal.read().as_ref().and_then(|journal| journal.hindrance())
    }

    fn back_up(&self, out: &mut dyn Write) -> Result<BackupSummary, JournalError> {
        self.held()?.back_up(out)
    }
}
