//! Stands between a ledger and a journal and injects faults that a script chooses: slow, failing, torn. It keeps no randomness of its own, so
//! that a failing seed repeats.
#![allow(dead_code, reason = "every test binary uses its own part")]

use parking_lot::Mutex;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{
    Append, Appended, Epoch, Head, Incarnation, Journal, JournalError, Kept, KeptChange, Reach, Record,
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

/// A journal whose every group is subject to a script. After a fault it takes no more writes, as a journal on disk does.
pub(crate) struct FaultyJournal<J> {
    inner: J,
    script: Mutex<Script>,
    failure: Mutex<Option<String>>,
    /// Why nothing new should be begun.
    pub(crate) hindrance: Mutex<Option<String>>,
}

struct Script {
    decide: Box<dyn FnMut(u64) -> Fault + Send>,
    groups: u64,
}

impl<J: Journal> FaultyJournal<J> {
    /// `script` is asked before each group, with its number from 1.
    pub(crate) fn new(inner: J, script: impl FnMut(u64) -> Fault + Send + 'static) -> Self {
        let script = Mutex::new(Script { decide: Box::new(script), groups: 0 });
        Self { inner, script, failure: Mutex::new(None), hindrance: Mutex::new(None) }
    }

    /// What is left when the process is gone: the journal without its faults.
    pub(crate) fn into_inner(self) -> J {
        self.inner
    }

    fn refuse_if_failed(&self) -> Result<(), JournalError> {
        self.failure.lock().clone().map_or(Ok(()), |reason| Err(JournalError::Unavailable(reason)))
    }

    fn fail(&self) -> JournalError {
        let reason = "injected fault".to_owned();
        *self.failure.lock() = Some(reason.clone());
        JournalError::Unavailable(reason)
    }
}

impl<J: Journal> Journal for FaultyJournal<J> {
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
        self.refuse_if_failed()?;
        let fault = {
            let script = &mut *self.script.lock();
            script.groups += 1;
            (script.decide)(script.groups)
        };
        let written = match fault {
            Fault::None => return self.inner.append(group),
            Fault::Fail => 0,
            Fault::Torn { kept } => kept.min(group.len()),
            Fault::LostAnswer => group.len(),
        };
        self.inner.append(&group[..written])?;
        Err(self.fail())
    }

    fn read(&self, program: &ProgramId, reach: Reach) -> Result<Vec<Record>, JournalError> {
        self.inner.read(program, reach)
    }

    fn kept(&self, program: &ProgramId) -> Result<Vec<Kept>, JournalError> {
        self.inner.kept(program)
    }

    fn cut(&self, program: &ProgramId, epoch: Epoch, before: Cursor, change: &KeptChange) -> Result<u64, JournalError> {
        self.refuse_if_failed()?;
        self.inner.cut(program, epoch, before, change)
    }

    fn rewrite(&self, program: &ProgramId, epoch: Epoch, records: &[Record]) -> Result<(), JournalError> {
        self.refuse_if_failed()?;
        self.inner.rewrite(program, epoch, records)
    }

    fn scour(&self) -> Result<(), JournalError> {
        self.refuse_if_failed()?;
        self.inner.scour()
    }

    fn failure(&self) -> Option<String> {
        self.failure.lock().clone().or_else(|| self.inner.failure())
    }

    fn hindrance(&self) -> Option<String> {
        self.hindrance.lock().clone().or_else(|| self.inner.hindrance())
    }
}
