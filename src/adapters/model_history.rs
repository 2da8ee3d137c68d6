//! The audit trail of models: who loaded, activated or rolled back what, when and why, one JSON line each, only ever appended.
//!
//! A line is synced before its change comes into force, so that no change is without its line. A line whose change never came into force (the
//! disk filled up, the power went) is taken back. It must never change a line that is in force. The model store calls it.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelAction {
    /// A model was loaded.
    Loaded,
    /// A model was made the one that decides.
    Activated,
    /// What decided before decides again.
    RolledBack,
    /// A challenger was set.
    ChallengerSet,
    /// There is no challenger any more.
    ChallengerCleared,
    /// The audits broke the model's promise: what it would reject goes to review.
    BreakerTripped,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelChange {
    /// Its number: 1 for the first, without gaps.
    pub number: u64,
    /// In which programme.
    pub program: String,
    /// What was done.
    pub action: ModelAction,
    /// The model; absent for the rule weights.
    pub version: Option<String>,
    /// What stood in its place before; absent for nothing or the rule weights.
    pub previous: Option<String>,
    /// Who did it.
    pub actor: String,
    /// Why; empty when nothing was said.
    pub note: String,
    /// When, in milliseconds since 1970.
    pub at_millis: i64,
    /// The caller's id of the call; absent when it gave none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The fingerprint of that call's message, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_content: Option<String>,
}

/// The trail: in a file, or in memory only.
#[derive(Debug, Default)]
pub(super) struct ModelHistory {
    file: Option<File>,
    /// The length of the file with all lines that are in force, in bytes.
    length: u64,
    changes: Vec<ModelChange>,
}

impl ModelHistory {
    /// Reads a trail up to the last change that is in force, and takes back what comes after it.
    ///
    /// # Errors
    /// When the file cannot be read, or does not hold every line up to that change.
    pub(super) fn open(path: &Path, in_force: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let text = io::read_to_string(&mut file)?;
        let (mut changes, mut length) = (Vec::new(), 0_u64);
        for line in text.split_inclusive('\n') {
            let change = serde_json::from_str::<ModelChange>(line);
            match change {
                Ok(change) if change.number == changes.len() as u64 + 1 && change.number <= in_force => {
                    length += line.len() as u64;
                    changes.push(change);
                }
                Ok(_) | Err(_) => break,
            }
        }
        if (changes.len() as u64) < in_force {
            let problem = format!(
                "it holds {} of {in_force} changes; restore it from a backup, or remove it together with `state.json` to begin with the default model",
                changes.len()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let mut history = Self { file: Some(file), length, changes };
        history.cut()?;
        Ok(history)
    }

    /// The lines, oldest first.
    pub(super) fn changes(&self) -> &[ModelChange] {
        &self.changes
    }

    /// Writes a line and syncs it.
    pub(super) fn append(&mut self, change: ModelChange) -> io::Result<()> {
        let mut line = serde_json::to_vec(&change)?;
        line.push(b'\n');
        if let Some(file) = &mut self.file {
            let written =
                file.seek(SeekFrom::Start(self.length)).and_then(|_| file.write_all(&line)).and_then(|()| file.sync_all());
            if let Err(error) = written {
                let _ = self.cut();
                return Err(error);
            }
        }
        self.changes.push(change);
        self.length += line.len() as u64;
        Ok(())
    }

    /// Takes the last line back: its change did not come into force.
    pub(super) fn take_back(&mut self) {
        if let Some(change) = self.changes.pop() {
            let bytes = serde_json::to_vec(&change).map_or(0, |line| line.len() as u64 + 1);
            self.length = self.length.saturating_sub(bytes);
            if let Err(error) = self.cut() {
                tracing::error!(%error, "a line of the models' history that never came into force could not be taken back; the next start does it");
            }
        }
    }

    fn cut(&mut self) -> io::Result<()> {
        match &self.file {
            Some(file) if file.metadata()?.len() > self.length => {
                file.set_len(self.length)?;
                file.sync_all()
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u64) -> ModelChange {
        ModelChange {
            number,
            program: "shop".to_owned(),
            action: ModelAction::Activated,
            version: Some(format!("m-{number}")),
            previous: None,
            actor: "dana".to_owned(),
            note: "measured last week".to_owned(),
            at_millis: 1_790_000_000_000,
            request_id: None,
            request_content: None,
        }
    }

    #[test]
    fn what_is_in_force_is_read_back_and_what_never_came_into_force_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        let mut history = ModelHistory::open(&path, 0).unwrap();
        (1..=3).for_each(|number| history.append(change(number)).unwrap());
        history.take_back();
        assert_eq!(ModelHistory::open(&path, 2).unwrap().changes(), [change(1), change(2)]);
        // The power went after the second line and before its change.
        let mut reopened = ModelHistory::open(&path, 1).unwrap();
        assert_eq!(reopened.changes(), [change(1)]);
        reopened.append(change(2)).unwrap();
        assert_eq!(ModelHistory::open(&path, 2).unwrap().changes(), [change(1), change(2)]);
    }

    #[test]
    fn a_half_written_line_is_cut_and_a_lost_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.jsonl");
        ModelHistory::open(&path, 0).unwrap().append(change(1)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, [&whole[..], b"{\"number\":2,\"prog"].concat()).unwrap();
        assert_eq!(ModelHistory::open(&path, 1).unwrap().changes(), [change(1)]);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        assert!(ModelHistory::open(&path, 2).unwrap_err().to_string().contains("1 of 2"));
    }
}
