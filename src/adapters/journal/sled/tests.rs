//! Claims that need a look inside: what damage in the middle of a store looks like, torn notes, and a disk that fails.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::check::check;
use super::error::StorageError;
use super::journal::SledJournal;
use super::keeper::look_after;
use super::layout::{Number, Pack, Space, encode_identity, key, part_key};
use super::options::JournalOptions;
use super::store::Writes;
use super::watermark::{Left, Mark, Watermark};
use crate::book::records::Cursor;
use crate::ports::journal::{
    Append, Chain, Direction, Epoch, Incarnation, Journal, JournalError, Kept, KeptChange, Reach, Record,
};
use crate::vocabulary::ids::ProgramId;

fn one() -> ProgramId {
    ProgramId::new("one").unwrap()
}

fn open(folder: &std::path::Path) -> SledJournal {
    SledJournal::open(folder, &JournalOptions::default()).unwrap()
}

fn append(journal: &SledJournal, payload: &[u8]) -> Result<(), JournalError> {
    let head = journal.head(&one()).unwrap();
    let cursor = Cursor(head.last.0 + 1);
    let record = Record { cursor, chain: head.chain.then(cursor, payload), payload: Bytes::copy_from_slice(payload) };
    journal.append(&[Append { program: one(), epoch: Epoch::SOLE, record }]).map(drop)
}

/// A journal with records of one, two and three parts.
fn filled(folder: &std::path::Path) -> SledJournal {
    let journal = open(folder);
    for size in [10, 20, 9_000, 30, 40, 5_000, 50, 60] {
        append(&journal, &vec![7; size]).unwrap();
    }
    journal
}

const NUMBER: Number = Number(1);

/// Changes a store behind the journal's back.
fn damage(journal: &SledJournal, change: impl FnOnce(&mut Writes)) {
    let mut writes = Writes::default();
    change(&mut writes);
    journal.store.commit(writes).unwrap();
}

#[test]
fn damage_in_the_middle_is_named_and_never_skipped() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("journal"));
    let store = std::sync::Arc::clone(&journal.store);
    let value = |place| store.get("reading", &part_key(NUMBER, Space::Record, place, 0)).unwrap().unwrap().to_vec();
    damage(&journal, |writes| {
        let mut flipped = value(2);
        flipped[30] ^= 1;
        writes.put(part_key(NUMBER, Space::Record, 2, 0).to_vec(), flipped);
        writes.remove(part_key(NUMBER, Space::Record, 3, 1).to_vec());
        writes.put(part_key(NUMBER, Space::Record, 4, 0).to_vec(), value(5));
        writes.remove(part_key(NUMBER, Space::Record, 7, 0).to_vec());
    });

    let read = |from, to, direction| journal.read(&one(), Reach { from: Cursor(from), to: Cursor(to), direction, limit: 99 });
    let damaged = |place: u64, read: Result<Vec<Record>, JournalError>| {
        let Err(JournalError::Damaged(said)) = read else { panic!("{read:?}") };
        assert!(said.contains(&format!("record {place} of programme `one`")), "{said}");
    };
    damaged(2, read(1, 8, Direction::Forward));
    damaged(3, read(3, 4, Direction::Forward));
    damaged(4, read(4, 6, Direction::Forward));
    damaged(7, read(5, 8, Direction::Forward));
    damaged(7, read(1, 8, Direction::Backward));
    damaged(4, read(1, 6, Direction::Backward));
    assert_eq!(read(5, 6, Direction::Forward).unwrap().len(), 2);

    let report = check(&journal);
    assert!(!report.is_sound());
    assert_eq!((report.programs[0].records, report.programs[0].missing), (4, 1));
    let places: Vec<u64> = report.programs[0]
        .damage
        .iter()
        .map(|damage| if let StorageError::DamagedRecord { seq, .. } = damage { *seq } else { panic!("{damage:?}") })
        .collect();
    assert_eq!(places, [2, 3, 4]);
}

#[test]
fn a_record_that_is_sound_by_itself_but_not_of_the_chain_is_found() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("journal"));
    damage(&journal, |writes| {
        let mut pack = Pack::begin(NUMBER, Cursor(5));
        pack.add(&Record { cursor: Cursor(5), chain: Chain([9; 16]), payload: Bytes::from_static(b"forged") }).unwrap();
        pack.encode(|key, value| writes.put(key.to_vec(), value)).unwrap();
    });

    assert!(!check(&journal).is_sound());
    let read = journal.read(&one(), Reach { from: Cursor(1), to: Cursor(8), direction: Direction::Forward, limit: 99 });
    assert!(matches!(&read, Err(JournalError::Damaged(said)) if said.contains("record 5")), "{read:?}");
}

#[test]
fn a_kept_entry_that_is_missing_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("journal"));
    let put = [1, 2].map(|place| Kept { cursor: Cursor(place), payload: Bytes::from_static(b"paid") }).to_vec();
    journal.cut(&one(), Epoch::SOLE, Cursor(4), &KeptChange { put, gone: Vec::new() }).unwrap();
    damage(&journal, |writes| writes.remove(part_key(NUMBER, Space::Kept, 2, 0).to_vec()));

    assert!(matches!(journal.kept(&one()), Err(JournalError::Damaged(_))));
    assert!(!check(&journal).is_sound());
}

#[test]
fn what_an_interrupted_cut_wrote_is_not_seen_and_goes_with_the_next() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let journal = filled(&folder);
    let before = journal.standing(&one());
    damage(&journal, |writes| {
        let at = (NUMBER, Space::Kept, 2);
        super::layout::encode_parts(at, b"early", |key, value| writes.put(key.to_vec(), value)).unwrap();
    });
    drop(journal);

    let journal = open(&folder);
    assert_eq!((journal.standing(&one()), journal.kept(&one())), (before, Ok(Vec::new())));
    journal.cut(&one(), Epoch::SOLE, Cursor(4), &KeptChange::default()).unwrap();
    assert_eq!(journal.kept(&one()), Ok(Vec::new()));
    assert!(check(&journal).is_sound());
}

#[test]
fn records_that_an_interrupted_cut_left_go_at_the_next_opening() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let journal = filled(&folder);
    let second = journal.store.get("reading", &part_key(NUMBER, Space::Record, 2, 0)).unwrap().unwrap();
    journal.cut(&one(), Epoch::SOLE, Cursor(4), &KeptChange::default()).unwrap();
    damage(&journal, |writes| writes.put(part_key(NUMBER, Space::Record, 2, 0).to_vec(), second.to_vec()));
    drop(journal);

    let journal = open(&folder);

    assert_eq!(journal.store.get("reading", &part_key(NUMBER, Space::Record, 2, 0)), Ok(None));
    assert!(check(&journal).is_sound());
}

#[test]
fn a_failed_sync_poisons_the_journal_until_it_is_reopened() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let journal = filled(&folder);
    journal.store.fail_next_sync.store(true, Ordering::Relaxed);

    assert!(append(&journal, b"not known").is_err());

    assert!(journal.failure().is_some_and(|reason| reason.contains("injected fault")));
    assert_eq!(journal.head(&one()).unwrap().last, Cursor(8), "what was not acknowledged is not shown");
    assert!(append(&journal, b"refused").is_err());
    assert!(journal.cut(&one(), Epoch::SOLE, Cursor(4), &KeptChange::default()).is_err());
    assert!(journal.back_up(&mut Vec::new()).is_err());
    drop(journal);
    let journal = open(&folder);
    assert!(journal.head(&one()).unwrap().last >= Cursor(8));
    append(&journal, b"again").unwrap();
    assert!(check(&journal).is_sound());
}

#[test]
fn a_disk_that_is_nearly_full_hinders_what_is_new_and_passes_by_itself() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("journal"));
    assert_eq!(journal.hindrance(), None);

    journal.store.look_for_room(u64::MAX);

    assert!(journal.hindrance().is_some_and(|reason| reason.contains("MiB are free")), "{:?}", journal.hindrance());
    append(&journal, b"under way").unwrap();
    journal.store.look_for_room(0);
    assert_eq!((journal.hindrance(), journal.failure()), (None, None));
}

#[test]
fn a_deleted_folder_is_told_though_nobody_writes() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("journal"));
    look_after(&journal.store, &journal.watermark);
    assert_eq!(journal.failure(), None);
    std::fs::remove_dir_all(journal.folder()).unwrap();

    look_after(&journal.store, &journal.watermark);

    assert!(journal.failure().is_some_and(|reason| reason.contains("deleted")));
}

#[test]
fn a_newer_format_is_refused_with_both_versions_named() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let journal = open(&folder);
    let (identity_key, mut identity) = encode_identity(journal.incarnation());
    assert_eq!(identity_key, key(Number::STORE, Space::Identity, &[]));
    identity[7] += 1;
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&identity_key);
    checksum.update(&identity[4..]);
    identity[..4].copy_from_slice(&checksum.finalize().to_be_bytes());
    damage(&journal, |writes| writes.put(identity_key, identity));
    drop(journal);

    let refused = SledJournal::open(&folder, &JournalOptions::default()).map(drop);

    assert_eq!(refused, Err(StorageError::NewerFormat { folder, found: 2, supported: 1 }));
}

#[test]
fn operating_system_errors_become_words_for_operators() {
    use std::io::ErrorKind;
    let named = |kind: ErrorKind| StorageError::from_io("writing", "folder".as_ref(), &kind.into());

    assert_eq!(named(ErrorKind::StorageFull), StorageError::DiskFull { doing: "writing" });
    for kind in [ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
        assert!(named(kind).to_string().contains("mount its disk writable"), "{:?}", named(kind));
    }
}

fn mark(last: u64) -> Mark {
    Mark { first: Cursor(1), last: Cursor(last), chain: Chain([u8::try_from(last % 256).unwrap(); 16]) }
}

#[test]
fn a_torn_note_leaves_the_one_before_and_is_told() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("watermark");
    Watermark::create(&path, Incarnation(9)).unwrap();
    let (watermark, noted) = Watermark::open(&path).unwrap();
    assert_eq!((noted.left, noted.marks.len(), noted.damaged), (Left::Closed, 0, false));
    watermark.note_open().unwrap();
    for number in [1, 64, 200] {
        for last in 1..=3 {
            watermark.note(Number(number), mark(last + u64::from(number))).unwrap();
        }
    }
    drop(watermark);
    let (_, noted) = Watermark::open(&path).unwrap();
    assert_eq!(noted.incarnation, Incarnation(9));
    assert_eq!(noted.left, if cfg!(target_os = "linux") { Left::Killed } else { Left::Unknown });
    assert_eq!(noted.marks, [1, 64, 200].map(|number| (Number(number), mark(u64::from(number) + 3))).into());

    // The third note of number 1 went to the second page.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4_096 + 64 + 20] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let (watermark, noted) = Watermark::open(&path).unwrap();

    assert!(noted.damaged);
    assert_eq!(noted.marks[&Number(1)], mark(3));
    watermark.note(Number(1), mark(4)).unwrap();
    watermark.note_closed().unwrap();
    let (_, noted) = Watermark::open(&path).unwrap();
    assert_eq!((noted.marks[&Number(1)], noted.left, noted.damaged), (mark(4), Left::Closed, false));
    std::fs::write(&path, &bytes[..3 * 8_192]).unwrap();
    assert!(Watermark::open(&path).is_err(), "a watermark that was cut short knows less than it did");
}
