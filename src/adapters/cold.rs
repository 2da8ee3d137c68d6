//! The homes of what is cold: in memory for tests, and a sled store of its own beside the journal. A store that does not open, or is of another life of
//! the ledger, is made anew: everything in it can be.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parking_lot::{MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};

use super::journal::{folder_bytes, open_store, panic_message, sync_store};
use crate::ports::cold::{ColdStore, Entry, Walk};
use crate::ports::journal::{Incarnation, JournalError};
use crate::vocabulary::ids::ProgramId;

/// The folder of what is cold inside a data folder.
pub const COLD_FOLDER: &str = "cold";

/// What sled keeps of it in memory. Unit: bytes. Judgement: what is cold is seldom asked for.
const CACHE_BYTES: u64 = 8 << 20;
/// Largest value given to sled, which moves larger nodes to files that leak (see the journal's layout).
const VALUE_BYTES_MAX: usize = 4_000;
/// Entries that are given to sled at once.
const BATCH_ENTRIES: usize = 256;
/// How the names of the trees begin.
const TREES: &[u8] = b"cold ";
/// Under which sled's own tree says whose store it is.
const IDENTITY: &[u8] = b"identity";
/// What the entries look like. Raise it with every change of what is put.
const LAYOUT: u8 = 1;

/// What the store of what is cold takes on disk, if there is one. Unit: bytes.
#[must_use]
pub fn cold_bytes(data_folder: &Path) -> u64 {
    folder_bytes(&data_folder.join(COLD_FOLDER)).unwrap_or(0)
}

/// The entries of a programme, by key.
type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What is cold, in memory.
#[derive(Debug, Default)]
pub struct MemoryCold(Mutex<BTreeMap<ProgramId, Entries>>);

impl ColdStore for MemoryCold {
    fn put(&self, program: &ProgramId, entries: &[Entry]) -> Result<(), JournalError> {
        self.0.lock().entry(program.clone()).or_default().extend(entries.iter().cloned());
        Ok(())
    }

    fn get(&self, program: &ProgramId, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        Ok(self.0.lock().get(program).and_then(|entries| entries.get(key).cloned()))
    }

    fn remove(&self, program: &ProgramId, keys: &[Vec<u8>]) -> Result<(), JournalError> {
        if let Some(entries) = self.0.lock().get_mut(program) {
            for key in keys {
                entries.remove(key);
            }
        }
        Ok(())
    }

    fn walk(&self, program: &ProgramId, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Walk) -> Result<(), JournalError> {
        let entries = self.0.lock().get(program).cloned().unwrap_or_default();
        for (key, value) in entries.range(prefix.to_vec()..).take_while(|(key, _)| key.starts_with(prefix)) {
            if visit(key, value) == Walk::Ends {
                break;
            }
        }
        Ok(())
    }

    fn clear(&self, program: &ProgramId) -> Result<(), JournalError> {
        self.0.lock().remove(program);
        Ok(())
    }

    fn sync(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }
}

/// What is cold, in a folder: a tree for each programme.
pub struct ColdFolder {
    /// Absent only where it could not be opened again after it was scoured.
    store: RwLock<Option<sled::Db>>,
    /// Held for reading by whoever asks, and for writing by whoever scours.
    open: RwLock<()>,
    folder: PathBuf,
}

impl ColdFolder {
    /// Opens the store in a folder, which is made when it is not there. Whoever opens it holds the data folder.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when it cannot be made anew either.
    pub fn open(folder: &Path, incarnation: Incarnation) -> Result<Self, JournalError> {
        Self::open_of_life(folder, incarnation).or_else(|error| {
            tracing::warn!(folder = %folder.display(), %error, "what is cold cannot be opened, and is made again");
            std::fs::remove_dir_all(folder).map_err(|error| unavailable("making it anew", folder, &error))?;
            Self::open_of_life(folder, incarnation)
        })
    }

    fn open_of_life(folder: &Path, incarnation: Incarnation) -> Result<Self, JournalError> {
        let store = open_store(folder, CACHE_BYTES)?;
        let opened = Self { store: RwLock::new(Some(store)), open: RwLock::new(()), folder: folder.to_path_buf() };
        opened.guarded(|| opened.of_life(incarnation))?;
        Ok(opened)
    }

    /// Empties the store of what is of another life of the ledger or of another build.
    fn of_life(&self, incarnation: Incarnation) -> Result<(), JournalError> {
        let identity = [&[LAYOUT][..], &incarnation.0.to_be_bytes()].concat();
        let store = self.store()?;
        let found = store.get(IDENTITY).map_err(|error| self.failed("reading whose it is", &error))?;
        if found.as_deref() == Some(&identity) {
            return Ok(());
        }
        for name in store.tree_names().into_iter().filter(|name| name.starts_with(TREES)) {
            tracing::warn!(folder = %self.folder.display(), "what is cold is of another life of the ledger, and is made again");
            store.drop_tree(name).map_err(|error| self.failed("emptying it", &error))?;
        }
        store.insert(IDENTITY, identity).map_err(|error| self.failed("saying whose it is", &error))?;
        drop(store);
        self.sync()
    }

    fn store(&self) -> Result<MappedRwLockReadGuard<'_, sled::Db>, JournalError> {
        RwLockReadGuard::try_map(self.store.read(), Option::as_ref)
            .map_err(|_| unavailable("opening it again", &self.folder, &"it was closed to be scoured"))
    }

    /// Writes what is there to a new store in its place.
    fn scour(&self) -> Result<(), JournalError> {
        let _alone = self.open.write();
        let mut store = self.store.write();
        let fresh = self.folder.with_extension("scoured");
        let io = |doing: &'static str| move |error: std::io::Error| unavailable(doing, &self.folder, &error);
        if fresh.exists() {
            std::fs::remove_dir_all(&fresh).map_err(io("removing a leftover"))?;
        }
        if let Some(store) = &*store {
            let copy = open_store(&fresh, CACHE_BYTES)?;
            copy.import(store.export());
            copy.flush().map_err(|error| self.failed("flushing", &error))?;
        }
        sync_store(&fresh).map_err(io("syncing"))?;
        *store = None;
        std::fs::remove_dir_all(&self.folder).map_err(io("removing what was there"))?;
        std::fs::rename(&fresh, &self.folder).map_err(io("putting it in place"))?;
        *store = Some(open_store(&self.folder, CACHE_BYTES)?);
        Ok(())
    }

    fn failed(&self, doing: &str, error: &sled::Error) -> JournalError {
        unavailable(doing, &self.folder, error)
    }

    fn damaged(&self) -> JournalError {
        JournalError::Damaged(format!("what is cold in `{}`: a part of an entry is missing", self.folder.display()))
    }
}

fn unavailable(doing: &str, folder: &Path, error: &dyn std::fmt::Display) -> JournalError {
    JournalError::Unavailable(format!("what is cold in `{}`: {doing} failed: {error}", folder.display()))
}

fn name_of(program: &ProgramId) -> Vec<u8> {
    [TREES, program.as_str().as_bytes()].concat()
}

/// `key ‖ part`. The first part begins with how many there are.
fn part_key(key: &[u8], part: u8) -> Vec<u8> {
    [key, &[part]].concat()
}

fn parts_of(entry: &[u8]) -> Option<impl Iterator<Item = (u8, &[u8])>> {
    let count = u8::try_from(entry.len().div_ceil(VALUE_BYTES_MAX).max(1)).ok()?;
    let parts = entry.chunks(VALUE_BYTES_MAX).chain(entry.is_empty().then_some(&[][..]));
    Some((0..count).zip(parts))
}

impl ColdFolder {
    /// Does something with sled, which panics on damaged files.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, JournalError>) -> Result<T, JournalError> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let said = panic_message(panic.as_ref());
            let folder = self.folder.display();
            Err(JournalError::Damaged(format!(
                "what is cold in `{folder}`: {said}; stop, remove that folder, and it is made again"
            )))
        })
    }

    /// Whoever asks holds the store open until he is done with it.
    fn tree(&self, program: &ProgramId) -> Result<sled::Tree, JournalError> {
        self.store()?.open_tree(name_of(program)).map_err(|error| self.failed("opening it", &error))
    }

    fn put(&self, program: &ProgramId, entries: &[Entry]) -> Result<(), JournalError> {
        let tree = self.tree(program)?;
        for entries in entries.chunks(BATCH_ENTRIES) {
            let mut batch = sled::Batch::default();
            for (key, entry) in entries {
                let too_large = || JournalError::TooLarge { size_bytes: entry.len(), limit_bytes: VALUE_BYTES_MAX * 255 };
                let count = parts_of(entry).ok_or_else(too_large)?.count();
                for (part, bytes) in parts_of(entry).ok_or_else(too_large)? {
                    let count = u8::try_from(count).map_err(|_| too_large())?;
                    batch.insert(part_key(key, part), if part == 0 { [&[count], bytes].concat() } else { bytes.to_vec() });
                }
            }
            tree.apply_batch(batch).map_err(|error| self.failed("writing", &error))?;
        }
        Ok(())
    }

    fn get(&self, program: &ProgramId, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        let tree = self.tree(program)?;
        let part = |part| tree.get(part_key(key, part)).map_err(|error| self.failed("reading", &error));
        let Some(first) = part(0)? else { return Ok(None) };
        let (count, rest) = first.split_first().ok_or_else(|| self.damaged())?;
        let mut entry = rest.to_vec();
        for number in 1..*count {
            entry.extend_from_slice(&part(number)?.ok_or_else(|| self.damaged())?);
        }
        Ok(Some(entry))
    }

    fn remove(&self, program: &ProgramId, keys: &[Vec<u8>]) -> Result<(), JournalError> {
        let tree = self.tree(program)?;
        for keys in keys.chunks(BATCH_ENTRIES) {
            let mut batch = sled::Batch::default();
            for key in keys {
                let first = tree.get(part_key(key, 0)).map_err(|error| self.failed("reading", &error))?;
                let count = first.and_then(|first| first.first().copied()).unwrap_or(0);
                (0..count).for_each(|part| batch.remove(part_key(key, part)));
            }
            tree.apply_batch(batch).map_err(|error| self.failed("removing", &error))?;
        }
        Ok(())
    }

    fn walk(&self, program: &ProgramId, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Walk) -> Result<(), JournalError> {
        let mut under_way: Option<(Vec<u8>, u8, Vec<u8>)> = None;
        for found in self.tree(program)?.scan_prefix(prefix) {
            let (part_key, bytes) = found.map_err(|error| self.failed("reading", &error))?;
            let (part, key) = part_key.split_last().ok_or_else(|| self.damaged())?;
            let (key, left, entry) = match (under_way.take(), *part) {
                (None, 0) => {
                    let (count, rest) = bytes.split_first().ok_or_else(|| self.damaged())?;
                    (key.to_vec(), count.saturating_sub(1), rest.to_vec())
                }
                (Some((began, left, mut entry)), _) if began == key => {
                    entry.extend_from_slice(&bytes);
                    (began, left - 1, entry)
                }
                (None | Some(_), _) => return Err(self.damaged()),
            };
            if left > 0 {
                under_way = Some((key, left, entry));
            } else if visit(&key, &entry) == Walk::Ends {
                return Ok(());
            }
        }
        if under_way.is_some() { Err(self.damaged()) } else { Ok(()) }
    }

    fn clear(&self, program: &ProgramId) -> Result<(), JournalError> {
        self.store()?.drop_tree(name_of(program)).map(drop).map_err(|error| self.failed("removing", &error))
    }

    fn sync(&self) -> Result<(), JournalError> {
        self.store()?.flush().map_err(|error| self.failed("flushing", &error))?;
        sync_store(&self.folder).map_err(|error| unavailable("syncing", &self.folder, &error))
    }
}

impl ColdStore for ColdFolder {
    fn put(&self, program: &ProgramId, entries: &[Entry]) -> Result<(), JournalError> {
        let _open = self.open.read();
        self.guarded(|| self.put(program, entries))
    }

    fn get(&self, program: &ProgramId, key: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
        let _open = self.open.read();
        self.guarded(|| self.get(program, key))
    }

    fn remove(&self, program: &ProgramId, keys: &[Vec<u8>]) -> Result<(), JournalError> {
        let _open = self.open.read();
        self.guarded(|| self.remove(program, keys))
    }

    fn walk(&self, program: &ProgramId, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Walk) -> Result<(), JournalError> {
        let _open = self.open.read();
        self.guarded(|| self.walk(program, prefix, visit))
    }

    fn clear(&self, program: &ProgramId) -> Result<(), JournalError> {
        let _open = self.open.read();
        self.guarded(|| self.clear(program))
    }

    fn sync(&self) -> Result<(), JournalError> {
        let _open = self.open.read();
        self.guarded(|| self.sync())
    }

    fn scour(&self) -> Result<(), JournalError> {
        self.guarded(|| self.scour())
    }

    fn disk_bytes(&self) -> u64 {
        folder_bytes(&self.folder).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(name: &str) -> ProgramId {
        ProgramId::new(name).unwrap()
    }

    fn all(store: &dyn ColdStore, name: &str, prefix: &[u8]) -> Vec<Entry> {
        let mut found = Vec::new();
        let visit = &mut |key: &[u8], entry: &[u8]| {
            found.push((key.to_vec(), entry.to_vec()));
            Walk::On
        };
        store.walk(&program(name), prefix, visit).unwrap();
        found
    }

    fn keeps_what_it_is_given(store: &dyn ColdStore) {
        let (small, large) = ((b"p1".to_vec(), b"small".to_vec()), (b"p2".to_vec(), vec![7; 20_000]));
        let other = (b"h1".to_vec(), Vec::new());
        store.put(&program("one"), &[small.clone(), large.clone(), other.clone()]).unwrap();
        store.put(&program("two"), &[(b"p1".to_vec(), b"of two".to_vec())]).unwrap();
        store.sync().unwrap();
        assert_eq!(all(store, "one", b"p"), [small.clone(), large.clone()]);
        assert_eq!(store.get(&program("one"), b"p2").unwrap().as_ref(), Some(&large.1));
        assert_eq!(store.get(&program("one"), b"h1").unwrap(), Some(other.1));
        assert_eq!(store.get(&program("one"), b"p").unwrap(), None);
        store.remove(&program("one"), &[b"p2".to_vec(), b"p9".to_vec()]).unwrap();
        assert_eq!(all(store, "one", b"p"), [small]);
        store.clear(&program("one")).unwrap();
        assert!(all(store, "one", b"").is_empty());
        assert_eq!(all(store, "two", b"").len(), 1);
    }

    #[test]
    fn memory_and_disk_keep_what_they_are_given() {
        let folder = tempfile::tempdir().unwrap();
        keeps_what_it_is_given(&MemoryCold::default());
        keeps_what_it_is_given(&ColdFolder::open(&folder.path().join("cold"), Incarnation(1)).unwrap());
    }

    #[test]
    fn a_store_of_another_life_or_one_that_does_not_open_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cold");
        let entry = (b"p1".to_vec(), b"kept".to_vec());
        let open = |life| ColdFolder::open(&path, Incarnation(life)).unwrap();
        open(1).put(&program("one"), std::slice::from_ref(&entry)).unwrap();
        assert_eq!(all(&open(1), "one", b""), std::slice::from_ref(&entry));
        assert!(all(&open(2), "one", b"").is_empty());
        open(2).put(&program("one"), &[entry]).unwrap();
        for file in std::fs::read_dir(&path).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                std::fs::write(file, b"no store").unwrap();
            }
        }
        assert!(all(&open(2), "one", b"").is_empty());
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_harmless_and_never_a_panic_or_another_entry() {
        let place = tempfile::tempdir().unwrap();
        let (folder, damaged) = (place.path().join("cold"), place.path().join("damaged"));
        let entries: Vec<Entry> = (0..400_u32).map(|at| (at.to_be_bytes().to_vec(), at.to_le_bytes().repeat(60))).collect();
        ColdFolder::open(&folder, Incarnation(1)).unwrap().put(&program("one"), &entries).unwrap();
        let log = std::fs::read(folder.join("db")).unwrap();
        let written: Vec<usize> = (0..log.len()).filter(|at| log[*at] != 0).collect();
        for flip in 0..40 {
            let mut bytes = log.clone();
            bytes[written[flip * written.len() / 40]] ^= 1 << (flip % 8);
            std::fs::create_dir_all(&damaged).unwrap();
            std::fs::copy(folder.join("conf"), damaged.join("conf")).unwrap();
            std::fs::write(damaged.join("db"), bytes).unwrap();
            let store = ColdFolder::open(&damaged, Incarnation(1)).unwrap();
            for (key, entry) in &entries {
                let read = ColdStore::get(&store, &program("one"), key);
                assert!(matches!(&read, Err(_) | Ok(None)) || read.as_ref() == Ok(&Some(entry.clone())), "flip {flip}: {read:?}");
            }
            drop(store);
            std::fs::remove_dir_all(&damaged).unwrap();
        }
    }
}
