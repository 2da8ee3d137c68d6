//! What an operator asks of a relay that runs, or that will run: one small file each, which stays until what it asks is durable.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::board::write_whole;
use crate::adapters::private;

/// The folder of requests, in the relay's.
const FOLDER: &str = "requests";

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Asked {
    /// Send dead messages again, all where none is named.
    Retry {
        /// Their ids.
        ids: Vec<String>,
    },
    /// Read the feed again from a cursor; empty for its beginning.
    Replay {
        /// The cursor.
        after: String,
    },
    /// Send again to a receiver that is switched off.
    SwitchOn,
}

/// Asks.
///
/// # Errors
/// When the file cannot be written.
pub fn ask(folder: &Path, receiver: &str, asked: &Asked) -> io::Result<()> {
    let requests = folder.join(FOLDER);
    private::make_folder(&requests)?;
    // Later ones sort later.
    write_whole(&requests.join(format!("{receiver}.{}.json", Uuid::now_v7())), &serde_json::to_vec(asked)?)
}

/// What was asked of a receiver, the earliest first, each with its file, which whoever did it removes.
///
/// # Errors
/// When the folder cannot be read. A file that is none of these is left alone.
pub(super) fn asked_of(folder: &Path, receiver: &str) -> io::Result<Vec<(PathBuf, Asked)>> {
    let entries = match std::fs::read_dir(folder.join(FOLDER)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_its = name.strip_prefix(receiver).is_some_and(|rest| rest.starts_with('.'));
        let is_whole = path.extension().is_some_and(|extension| extension == "json");
        if is_its
            && is_whole
            && let Ok(asked) = serde_json::from_slice(&std::fs::read(&path)?)
        {
            found.push((path, asked));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_in_the_order_in_which_they_were_made_and_to_whom_they_were_made() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(asked_of(folder.path(), "a").unwrap(), []);
        let all = [Asked::Retry { ids: vec!["x".to_owned()] }, Asked::SwitchOn, Asked::Replay { after: String::new() }];
        for asked in &all {
            ask(folder.path(), "a", asked).unwrap();
        }
        ask(folder.path(), "a-b", &Asked::SwitchOn).unwrap();
        let found: Vec<Asked> = asked_of(folder.path(), "a").unwrap().into_iter().map(|(_, asked)| asked).collect();
        assert_eq!(found, all);
    }
}
