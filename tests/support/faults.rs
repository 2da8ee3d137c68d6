//! Stands between a ledger and its journal and injects faults that a script chooses: slow, failing, torn. It keeps no randomness of its own, so that
//! a failing seed repeats.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{
    Append, Appended, BackupSummary, Epoch, Head, Incarnation, Journal, JournalError, Kept, KeptChange, Reach, Record,
};
use selfsame::vocabulary::ids::ProgramId;

/// What happens to a group. A slow disk is a script that takes its time before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The group is written.
    None,
    /// Nothing is written, and the caller is told so.
    Fail,
    /// The first records are written, then the disk fails.
    Torn {
        /// How many records are kept.
        kept: usize,
    },
    /// All is written, but the caller is told that it failed: the answer of the disk got lost.
    LostAnswer,
}

type Script = Box<dyn FnMut(u64) -> Fault + Send>;

/// A journal whose every group is subject to a script, which is given its number from 1.
pub(crate) struct FaultyJournal {
    inner: Arc<dyn Journal>,
    script: Mutex<Script>,
    groups: AtomicU64,
}

impl FaultyJournal {
    pub(crate) fn new(inner: Arc<dyn Journal>, script: impl FnMut(u64) -> Fault + Send + 'static) -> Self {
        Self { inner, script: Mutex::new(Box::new(script)), groups: AtomicU64::new(0) }
    }
}

impl Journal for FaultyJournal {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    fn programs(&self) -> Result<Vec<(ProgramId, Head)>, JournalError> {
        self.inner.programs()
    }

    fn head(&self, program: &ProgramId) -> Result<Head, JournalError> {
        self.inner.head(program)
    }

    fn append(&self, group: &[Append]) -> Result<Appended, JournalError> {
        let number = self.groups.fetch_add(1, Ordering::Relaxed) + 1;
        let fault = (self.script.lock())(number);
        let failed = || JournalError::Unavailable("injected fault".to_owned());
        match fault {
            Fault::None => self.inner.append(group),
            Fault::Fail => Err(failed()),
            Fault::Torn { kept } => {
                self.inner.append(group.get(..kept).unwrap_or(group))?;
                Err(failed())
            }
            Fault::LostAnswer => {
                self.inner.append(group)?;
                Err(failed())
            }
        }
    }

    fn read(&self, program: &ProgramId, reach: Reach) -> Result<Vec<Record>, JournalError> {
        self.inner.read(program, reach)
    }

    fn kept(&self, program: &ProgramId) -> Result<Vec<Kept>, JournalError> {
        self.inner.kept(program)
    }

    fn cut(&self, program: &ProgramId, epoch: Epoch, before: Cursor, change: &KeptChange) -> Result<u64, JournalError> {
        self.inner.cut(program, epoch, before, change)
    }

    fn failure(&self) -> Option<String> {
        self.inner.failure()
    }

    fn back_up(&self, out: &mut dyn Write) -> Result<BackupSummary, JournalError> {
        self.inner.back_up(out)
    }
}
