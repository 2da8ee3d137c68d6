//! Opening: what is in the folder is compared with what was noted as durable, and anything less is refused. Where there is no journal one is made
//! beside its place and put there by one rename, so that a power cut leaves no store, or one that opens.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::cut::remove_records;
use super::error::StorageError;
use super::folder::{lock_folder, open_guarded, wait_until_closed};
use super::interrupted::settle_interrupted;
use super::journal::{Found, SledJournal, Standing};
use super::layout::{FORMAT_VERSION, Floor, Number, Space, decode_identity, decode_registration, encode_identity, key};
use super::options::{JournalOptions, SyncMode};
use super::places::{NEW, WATERMARK_FILE, beside, create_folder, is_vacant, remove_all_but_lock, settle_files, sync_parent};
use super::scan::{Of, records};
use super::store::Store;
use super::watermark::{Left, Mark, Noted, Unreadable, Watermark};
use crate::adapters::snapshots::lives_with_snapshots;
use crate::book::records::Cursor;
use crate::ports::journal::{Chain, Direction, Head, Incarnation, Record};
use crate::vocabulary::ids::ProgramId;

impl SledJournal {
    /// Opens the journal in a folder, which is made when it does not exist. Only what lies after the last note is read.
    ///
    /// # Errors
    /// [`StorageError::Lost`] and [`StorageError::Mismatched`]: what was acknowledged is not all there; the message says what to do.
    /// [`StorageError::RestoreInterrupted`], [`StorageError::FolderInUse`], [`StorageError::NotWritable`], [`StorageError::DiskFull`],
    /// [`StorageError::NewerFormat`], [`StorageError::OpenFailed`] (sled refused or panicked) and [`StorageError::OpenTimedOut`].
    pub fn open(folder: &Path, options: &JournalOptions) -> Result<Self, StorageError> {
        settle_interrupted(folder)?;
        if is_vacant(folder).map_err(StorageError::io("looking into the folder", folder))? {
            refuse_to_begin_beside_snapshots(folder, options)?;
            if let Some(lock) = make_first_store(folder, options)? {
                return Self::open_locked(folder, Arc::new(lock), options);
            }
        }
        let lock = lock_folder(folder)?;
        Self::open_locked(folder, Arc::new(lock), options)
    }

    /// Opens a folder that is locked.
    pub(super) fn open_locked(folder: &Path, lock: Arc<File>, options: &JournalOptions) -> Result<Self, StorageError> {
        // Read before sled opens: sled may shorten its log.
        let (watermark, noted) = Watermark::open(&folder.join(WATERMARK_FILE)).map_err(|error| unreadable(folder, error))?;
        let store = Store::open(folder, lock, options)?;
        let incarnation = identity(&store)?;
        if incarnation != noted.incarnation {
            let reason = format!(
                "the folder `{}` holds the journal of one ledger and the watermark of another: put back what belongs together, or restore \
                 the last backup to another folder",
                folder.display()
            );
            return Err(StorageError::Mismatched { reason });
        }
        refuse_other_snapshots(folder, incarnation, options)?;
        let (standings, end) = standings(&store, &noted)?;
        for (program, standing) in &standings {
            if noted.damaged || noted.marks.get(&standing.number) != Some(&standing.mark()) {
                let io = StorageError::io("noting what is durable", folder);
                watermark.note(standing.number, standing.mark()).map_err(io)?;
            }
            tracing::debug!(%program, last = standing.head.last.0, "opened");
        }
        watermark.note_open().map_err(StorageError::io("noting what is durable", folder))?;
        let doubt = doubt(&noted, end, &standings);
        if let Some(doubt) = &doubt {
            tracing::warn!(folder = %folder.display(), "{doubt}");
        }
        let journal = Self::of(Found { store, watermark, incarnation, standings, doubt })?;
        for program in journal.all_standings().keys() {
            remove_records(&journal, program)?;
        }
        Ok(journal)
    }
}

/// An empty journal beside snapshots would be the end of what they were made from.
fn refuse_to_begin_beside_snapshots(folder: &Path, options: &JournalOptions) -> Result<(), StorageError> {
    let Some(snapshots) = &options.snapshots else { return Ok(()) };
    let lives = lives_with_snapshots(snapshots).map_err(StorageError::io("looking for snapshots", snapshots))?;
    if lives.is_empty() {
        return Ok(());
    }
    let reason = format!(
        "there is no journal in `{}`, but snapshots of one in `{}`: put the journal back, or restore the last backup to another folder; \
         nothing was changed",
        folder.display(),
        snapshots.display()
    );
    Err(StorageError::Mismatched { reason })
}

/// Snapshots that are all of other ledgers tell that folders were exchanged.
fn refuse_other_snapshots(folder: &Path, incarnation: Incarnation, options: &JournalOptions) -> Result<(), StorageError> {
    let Some(snapshots) = &options.snapshots else { return Ok(()) };
    let lives = lives_with_snapshots(snapshots).map_err(StorageError::io("looking for snapshots", snapshots))?;
    if lives.is_empty() || lives.contains(&incarnation) {
        return Ok(());
    }
    let reason = format!(
        "the snapshots in `{}` are of another ledger than the journal in `{}`: put back what belongs together; when this journal was \
         restored here on purpose, remove the snapshots",
        snapshots.display(),
        folder.display()
    );
    Err(StorageError::Mismatched { reason })
}

/// Makes a store where there is none, and returns its lock; absent when another process was faster.
fn make_first_store(folder: &Path, options: &JournalOptions) -> Result<Option<File>, StorageError> {
    let making = beside(folder, NEW);
    let lock = make_store(&making, Incarnation(rand::random::<u64>().max(1)), options)?;
    match std::fs::rename(&making, folder) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::DirectoryNotEmpty => return Ok(None),
        Err(e) => return Err(StorageError::from_io("putting the folder in place", folder, &e)),
    }
    sync_parent(folder).map_err(StorageError::io("syncing the folder", folder))?;
    Ok(Some(lock))
}

/// Makes an empty, closed store in a folder, whatever an earlier attempt left in it, and returns its lock.
pub(super) fn make_store(folder: &Path, incarnation: Incarnation, options: &JournalOptions) -> Result<File, StorageError> {
    let io = |doing| StorageError::io(doing, folder);
    create_folder(folder).map_err(io("creating the folder"))?;
    let lock = lock_folder(folder)?;
    remove_all_but_lock(folder).map_err(io("removing an unfinished store"))?;
    let tree = open_guarded(folder, options)?;
    let failed = |e: sled::Error| StorageError::from_sled("making the store", folder, &e);
    let (key, value) = encode_identity(incarnation);
    tree.insert(key, value).map_err(failed)?;
    tree.flush().map_err(failed)?;
    drop(tree);
    wait_until_closed(folder).map_err(io("waiting for the store to close"))?;
    Watermark::create(&folder.join(WATERMARK_FILE), incarnation).map_err(io("making the watermark"))?;
    if options.sync == SyncMode::Data {
        settle_files(folder).map_err(io("syncing the folder"))?;
    }
    Ok(lock)
}

fn unreadable(folder: &Path, error: Unreadable) -> StorageError {
    let lost = |reason: &str| StorageError::Lost { folder: folder.to_path_buf(), reason: reason.to_owned() };
    match error {
        Unreadable::Missing => lost("the file `watermark`, which says what was acknowledged, is missing"),
        Unreadable::Damaged => lost("the file `watermark`, which says what was acknowledged, is damaged"),
        Unreadable::Io(error) => StorageError::from_io("reading the watermark", folder, &error),
    }
}

/// Which life of the ledger sled holds. Refuses newer formats.
fn identity(store: &Store) -> Result<Incarnation, StorageError> {
    let stored = store.get("reading the format", &key(Number::STORE, Space::Identity, &[]))?;
    let folder = store.folder().to_path_buf();
    let Some(stored) = stored else {
        return Err(StorageError::Lost { folder, reason: "it does not even say what it is".to_owned() });
    };
    let (found, incarnation) = decode_identity(&stored).ok_or(StorageError::DamagedStore { entry: "format and incarnation" })?;
    if found > FORMAT_VERSION {
        return Err(StorageError::NewerFormat { folder, found, supported: FORMAT_VERSION });
    }
    Ok(incarnation)
}

/// How far past the notes the journal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    AsNoted,
    PastNotes,
}

/// Where each programme stands, compared with what was noted.
fn standings(store: &Store, noted: &Noted) -> Result<(HashMap<ProgramId, Standing>, End), StorageError> {
    let mut found = HashMap::new();
    let mut end = End::AsNoted;
    let mut unmet = noted.marks.clone();
    for (program, number) in registry(store)? {
        let mark = unmet.remove(&number);
        let standing = standing(store, &program, number, mark)?;
        if mark.is_some_and(|mark| mark != standing.mark()) {
            end = End::PastNotes;
        }
        found.insert(program, standing);
    }
    match unmet.into_iter().find(|(_, mark)| mark.last > Cursor(0)) {
        None => Ok((found, end)),
        Some((number, mark)) => {
            let reason = format!("all {} records of programme number {} are gone", mark.last.0, number.0);
            Err(StorageError::Lost { folder: store.folder().to_path_buf(), reason })
        }
    }
}

fn registry(store: &Store) -> Result<BTreeMap<ProgramId, Number>, StorageError> {
    let mut found = BTreeMap::new();
    for item in store.beginning_with("reading the programmes", &key(Number::STORE, Space::Registry, &[])) {
        let (stored_key, value) = item?;
        let damaged = StorageError::DamagedStore { entry: "programme registry" };
        let (program, number) = decode_registration(&stored_key, &value).ok_or_else(|| damaged.clone())?;
        found.insert(ProgramId::new(program).map_err(|_| damaged)?, number);
    }
    Ok(found)
}

/// Where a programme stands. What was noted must be there; what follows must follow.
fn standing(store: &Store, program: &ProgramId, number: Number, mark: Option<Mark>) -> Result<Standing, StorageError> {
    let lost = |reason: String| StorageError::Lost { folder: store.folder().to_path_buf(), reason };
    let mut standing = Standing::empty(number, program);
    let floor = store.get("reading the journal", &key(number, Space::Floor, &[]))?;
    if let Some(floor) = floor {
        let Floor { first, base, kept } = Floor::decode(number, &floor)?;
        standing = Standing { number, head: Head { first, base, last: Cursor(first.0 - 1), chain: base }, kept };
    }
    let head = &mut standing.head;
    let mark = mark.unwrap_or(Mark { first: Cursor(1), last: Cursor(0), chain: Chain::before_all(program) });
    if mark.last.0 + 1 < head.first.0 {
        return Err(lost(format!("programme `{program}` begins at record {}, and only {} is noted", head.first.0, mark.last.0)));
    }
    let of = Of { program: program.as_str(), number, space: Space::Record };
    let breaks = |seq| lost(format!("the chain of programme `{program}` breaks at record {seq}"));
    // Before the beginning the newest noted chain value is the base; otherwise it is that of the newest noted record.
    if mark.last < head.first && head.base != mark.chain {
        return Err(breaks(mark.last.0));
    }
    let mut before = None;
    let from = mark.last.max(head.first);
    for record in records(store, of, (from, Cursor(u64::MAX - 1)), Direction::Forward) {
        let Record { cursor, chain, payload } = record?;
        let expected = before.map_or(from.0, |_| head.last.0 + 1);
        if cursor.0 != expected {
            return Err(lost(format!("record {expected} of programme `{program}` is missing")));
        }
        let follows = match before {
            Some(before) => Chain::then(before, cursor, &payload) == chain,
            None if mark.last == cursor => mark.chain == chain,
            None => head.base.then(cursor, &payload) == chain,
        };
        if !follows {
            return Err(breaks(cursor.0));
        }
        before = Some(chain);
        (head.last, head.chain) = (cursor, chain);
    }
    if head.first < mark.first || head.last < mark.last {
        let last = newest_record(store, of)?.unwrap_or(head.last);
        return Err(lost(format!(
            "programme `{program}` ends at record {}, and record {} was acknowledged",
            last.0, mark.last.0
        )));
    }
    Ok(standing)
}

/// The newest record that is there, for a message.
fn newest_record(store: &Store, of: Of<'_>) -> Result<Option<Cursor>, StorageError> {
    let newest = records(store, of, (Cursor(0), Cursor(u64::MAX - 1)), Direction::Backward).next().transpose()?;
    Ok(newest.map(|record| record.cursor))
}

/// What cannot be told from a clean end.
fn doubt(noted: &Noted, end: End, standings: &HashMap<ProgramId, Standing>) -> Option<String> {
    let unclean = match (noted.left, end) {
        (Left::Unknown, _) => Some("the machine went down while the journal was open"),
        (Left::Killed, _) | (Left::Closed, End::AsNoted) => None,
        (Left::Closed, End::PastNotes) => Some("the journal goes on after what was noted when it was closed"),
    };
    let damaged = noted.damaged.then_some("a part of the file `watermark` is damaged, and an older note was used");
    let told: Vec<&str> = unclean.into_iter().chain(damaged).collect();
    if told.is_empty() {
        return None;
    }
    let ordered: BTreeMap<&ProgramId, u64> =
        standings.iter().map(|(program, standing)| (program, standing.head.last.0)).collect();
    let mut ends: Vec<String> = ordered.iter().take(ENDS_SHOWN).map(|(program, last)| format!("`{program}` {last}")).collect();
    if ordered.len() > ENDS_SHOWN {
        ends.push(format!("and so on, {} programmes", ordered.len()));
    }
    Some(format!(
        "{}: all that was noted is there, but it is not known whether records that were acknowledged in the second before are lost after the \
         ends that were found ({})",
        told.join(", and "),
        ends.join(", ")
    ))
}

/// Programmes named in a sentence.
const ENDS_SHOWN: usize = 5;
