//! The plain path: what one would write first, kept as a yardstick. Each decision reads, changes and writes twenty counters and puts two
//! records, in one sled tree, with group commit.
//!
//! It is durable, and slow: every group rewrites the pages of all its counters. The ledger must be at least four times as fast in the
//! same run. It must never hold real decisions. Called by `selfsame bench --compare --plain-path`.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use tokio::sync::oneshot;

/// What the yardstick says when it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlainPathError {
    /// The disk refused.
    #[error("the plain path: {0}")]
    Disk(String),
    /// Too much waits.
    #[error("the plain path has too much to write")]
    Busy,
}

/// Counters that a decision changes, as in the measurement that the design rests on.
const COUNTERS_PER_DECISION: u64 = 20;
/// Counters that there are.
const COUNTERS: u64 = 200_000;
/// Decisions that one sync covers at most.
const GROUP_MAX: usize = 512;

/// A decision to keep, and whom to tell.
struct Waiting {
    id: String,
    record: Vec<u8>,
    told: oneshot::Sender<Result<(), PlainPathError>>,
}

/// The yardstick store.
pub struct PlainPath {
    queue: SyncSender<Waiting>,
}

impl PlainPath {
    /// Opens an empty or earlier yardstick store.
    ///
    /// # Errors
    /// [`PlainPathError::Disk`] when the folder cannot be used.
    pub fn open(folder: &Path) -> Result<Self, PlainPathError> {
        let io = |error: std::io::Error| PlainPathError::Disk(error.to_string());
        let tree = sled::open(folder).map_err(|error| PlainPathError::Disk(error.to_string()))?;
        let log = File::options().read(true).write(true).open(folder.join("db")).map_err(io)?;
        let (queue, waiting) = sync_channel(4_096);
        let committer = Committer { tree, log, waiting };
        std::thread::Builder::new().name("plain-commit".to_owned()).spawn(move || committer.run()).map_err(io)?;
        Ok(Self { queue })
    }

    /// Keeps a decision; answers when it is on the disk.
    ///
    /// # Errors
    /// [`PlainPathError::Busy`] when too much waits, [`PlainPathError::Disk`] when the disk refused.
    pub async fn keep(&self, id: &str, record: Vec<u8>) -> Result<(), PlainPathError> {
        let (told, answer) = oneshot::channel();
        let busy = |_| PlainPathError::Busy;
        self.queue.try_send(Waiting { id: id.to_owned(), record, told }).map_err(busy)?;
        answer.await.unwrap_or(Err(PlainPathError::Disk("it is closed".to_owned())))
    }
}

struct Committer {
    tree: sled::Db,
    log: File,
    waiting: Receiver<Waiting>,
}

impl Committer {
    fn run(self) {
        while let Ok(first) = self.waiting.recv() {
            let mut group = vec![first];
            group.extend(self.waiting.try_iter().take(GROUP_MAX - 1));
            let result = self.commit(&group);
            for waiting in group {
                // Nobody may be there any more.
                drop(waiting.told.send(result.clone()));
            }
        }
    }

    fn commit(&self, group: &[Waiting]) -> Result<(), PlainPathError> {
        let refused = |error: &dyn std::fmt::Display| PlainPathError::Disk(error.to_string());
        let mut changed = std::collections::BTreeMap::new();
        let mut batch = sled::Batch::default();
        for Waiting { id, record, told: _ } in group {
            let mut hasher = blake3::Hasher::new();
            hasher.update(id.as_bytes());
            let mut drawn = hasher.finalize_xof();
            for _ in 0..COUNTERS_PER_DECISION {
                let mut number = [0; 8];
                drawn.fill(&mut number);
                let key = counter_key(u64::from_be_bytes(number) % COUNTERS);
                let before = match changed.get(&key) {
                    Some(count) => *count,
                    None => self.tree.get(&key).map_err(|error| refused(&error))?.map_or(0, |value| count_of(&value)),
                };
                changed.insert(key, before + 1);
            }
            batch.insert([b"d", id.as_bytes()].concat(), record.as_slice());
            batch.insert([b"i", id.as_bytes()].concat(), &[0; 32][..]);
        }
        for (key, count) in &changed {
            batch.insert(key.as_slice(), counter_value(*count));
        }
        self.tree.apply_batch(batch).map_err(|error| refused(&error))?;
        self.tree.flush().map_err(|error| refused(&error))?;
        self.log.sync_data().map_err(|error| refused(&error))
    }
}

/// As long as the index keys that it stands for: a kind and a digest.
fn counter_key(number: u64) -> Vec<u8> {
    let mut key = vec![b'c'];
    key.extend_from_slice(blake3::hash(&number.to_be_bytes()).as_bytes());
    key
}

/// Forty bytes, as counters with times take.
fn counter_value(count: u64) -> Vec<u8> {
    let mut value = count.to_be_bytes().to_vec();
    value.resize(40, 0);
    value
}

fn count_of(value: &[u8]) -> u64 {
    value.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_plain_path_answers_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = PlainPath::open(folder.path()).unwrap();
        futures::executor::block_on(async {
            for number in 0..20 {
                path.keep(&format!("cv-{number}"), vec![7; 300]).await.unwrap();
            }
        });
        drop(path);
        assert!(std::fs::metadata(folder.path().join("db")).unwrap().len() > 20 * 300);
    }
}
