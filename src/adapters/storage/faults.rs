//! Stands between the committer and a journal and injects faults that a script chooses: slow, failing, torn. It keeps
//! no randomness of its own, so that a failing seed repeats. Called by simulations and tests.

use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::group::Durability;
use crate::adapters::storage::record::Entry;

/// What happens to a group. A slow disk is a script that takes its time before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The group is written.
    None,
    /// Nothing is written, and the caller is told so.
    Fail,
    /// The first entries are written, then the disk fails.
    Torn {
        /// How many entries are kept.
        kept: usize,
    },
    /// All is written, but the caller is told that it failed: the answer of the disk got lost.
    LostAnswer,
}

/// A durability whose every group is subject to a script.
pub struct FaultyDurability<D, S> {
    inner: D,
    script: S,
    groups: u64,
}

impl<D: Durability, S: FnMut(u64) -> Fault + Send> FaultyDurability<D, S> {
    /// `script` is asked before each group, with its number from 1.
    pub fn new(inner: D, script: S) -> Self {
        FaultyDurability { inner, script, groups: 0 }
    }
}

impl<D: Durability, S: FnMut(u64) -> Fault + Send> Durability for FaultyDurability<D, S> {
    fn append_group(&mut self, group: &[Entry]) -> Result<(), StorageError> {
        self.groups += 1;
        let failed = StorageError::Io { doing: "writing the journal", reason: "injected fault".into() };
        match (self.script)(self.groups) {
            Fault::None => self.inner.append_group(group),
            Fault::Fail => Err(failed),
            Fault::Torn { kept } => {
                self.inner.append_group(group.get(..kept).unwrap_or(group))?;
                Err(failed)
            }
            Fault::LostAnswer => {
                self.inner.append_group(group)?;
                Err(failed)
            }
        }
    }
}

/// Keeps entries in memory: the end of a chain of faults in a simulation.
impl Durability for Vec<Entry> {
    fn append_group(&mut self, group: &[Entry]) -> Result<(), StorageError> {
        self.extend_from_slice(group);
        Ok(())
    }
}

/// As a plain vector, for a simulation that looks at what was kept after the "crash".
impl Durability for std::sync::Arc<parking_lot::Mutex<Vec<Entry>>> {
    fn append_group(&mut self, group: &[Entry]) -> Result<(), StorageError> {
        self.lock().extend_from_slice(group);
        Ok(())
    }
}
