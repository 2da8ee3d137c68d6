//! Claims about the journal and the committer: what was acknowledged is read back, what is damaged is named, and after
//! a failure nothing is written.

use std::ops::Bound;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::faults::{Fault, FaultyDurability};
use crate::adapters::storage::group::{Committer, GroupOptions};
use crate::adapters::storage::journal::{Journal, JournalOptions};
use crate::adapters::storage::record::{
    Entry, FORMAT_VERSION, ProgrammeNumber, RECORD_LIMIT_BYTES, SIDE_VALUE_LIMIT_BYTES, SideTag, SideWrite, journal_key, key,
    space,
};

const CASES: SideTag = SideTag(b'c');

fn open(folder: &std::path::Path) -> Journal {
    Journal::open(folder, &JournalOptions::default()).unwrap()
}

fn entry(programme: ProgrammeNumber, seq: u64) -> Entry {
    Entry { programme, seq, payload: payload(seq), side: Vec::new() }
}

/// Different for each record; some are larger than one value.
fn payload(seq: u64) -> Vec<u8> {
    let length = if seq.is_multiple_of(5) { 9_000 } else { 40 };
    (0..length).map(|at: u64| u8::try_from((seq * 31 + at * 7) % 251).unwrap()).collect()
}

fn side(entry_key: &[u8], value: Option<&[u8]>) -> SideWrite {
    SideWrite { tag: CASES, key: entry_key.to_vec(), value: value.map(<[u8]>::to_vec) }
}

#[test]
fn records_and_side_entries_are_read_back_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let [one, two] = ["one", "two"].map(|name| journal.programme(name).unwrap());
    let mut group: Vec<Entry> = (1..=12).map(|seq| entry(one, seq)).collect();
    group.push(Entry { side: vec![side(b"b", Some(b"2")), side(b"a", Some(b"1"))], ..entry(two, 1) });
    journal.append_group(&group).unwrap();
    journal.append_group(&[Entry { side: vec![side(b"b", None), side(b"c", Some(b"3"))], ..entry(two, 2) }]).unwrap();
    drop(journal);

    let journal = open(folder.path());
    let reader = journal.reader();

    assert_eq!(reader.programmes().unwrap(), [("one".to_owned(), one), ("two".to_owned(), two)]);
    assert_eq!((reader.last_seq(one).unwrap(), reader.last_seq(two).unwrap()), (12, 2));
    let forward: Vec<_> = reader.scan(one, 1..=u64::MAX).map(|r| r.unwrap()).collect();
    assert_eq!(forward.iter().map(|r| r.seq).collect::<Vec<_>>(), (1..=12).collect::<Vec<_>>());
    assert!(forward.iter().all(|r| r.payload == payload(r.seq)));
    let mut backward: Vec<_> = reader.scan_back(one, 1..=u64::MAX).map(|r| r.unwrap()).collect();
    backward.reverse();
    assert_eq!(forward, backward);
    assert_eq!(reader.scan(one, 4..=6).map(|r| r.unwrap().seq).collect::<Vec<_>>(), [4, 5, 6]);
    assert_eq!(reader.read(one, 10).unwrap().unwrap().payload, payload(10));
    assert_eq!(reader.read(one, 13).unwrap(), None);
    let kept: Vec<_> = reader.side_scan(two, CASES, Bound::Unbounded, Bound::Unbounded).map(|e| e.unwrap().key).collect();
    assert_eq!(kept, [b"a", b"c"]);
    assert_eq!(reader.side(two, CASES, b"b").unwrap(), None);
    assert_eq!(reader.side(two, CASES, b"c").unwrap().as_deref(), Some(&b"3"[..]));
    assert_eq!(reader.side_scan(two, CASES, Bound::Excluded(b"a"), Bound::Included(b"c")).rev().count(), 1);
    assert_eq!(reader.side_scan(two, CASES, Bound::Excluded(b"c"), Bound::Included(b"a")).count(), 0);
    assert_eq!(reader.side_scan(one, CASES, Bound::Unbounded, Bound::Unbounded).count(), 0);
    journal.append_group(&[entry(one, 13)]).unwrap();
}

#[test]
fn a_gap_or_repetition_in_the_sequence_is_refused_and_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let one = journal.programme("one").unwrap();
    journal.append_group(&[entry(one, 1)]).unwrap();

    for wrong in [1, 3] {
        let refused = journal.append_group(&[entry(one, wrong)]);
        assert_eq!(refused, Err(StorageError::OutOfOrder { programme: one, expected: 2, found: wrong }));
    }
    journal.append_group(&[entry(one, 2)]).unwrap();
}

#[test]
fn a_record_or_side_entry_that_is_too_large_is_refused_and_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let one = journal.programme("one").unwrap();
    let too_large = Entry { payload: vec![0; RECORD_LIMIT_BYTES + 1], ..entry(one, 1) };
    let side_too_large = Entry { side: vec![side(b"k", Some(&vec![0; SIDE_VALUE_LIMIT_BYTES + 1]))], ..entry(one, 1) };

    for refused in [too_large, side_too_large] {
        let limits = refused.check_limits().unwrap_err();
        assert_eq!(journal.append_group(&[refused]), Err(limits));
    }
    let largest = Entry { payload: vec![7; RECORD_LIMIT_BYTES], ..entry(one, 1) };
    journal.append_group(std::slice::from_ref(&largest)).unwrap();
    assert_eq!(journal.reader().read(one, 1).unwrap().unwrap().payload, largest.payload);
}

#[test]
fn a_damaged_record_is_named_and_the_others_stay_readable() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let one = journal.programme("one").unwrap();
    journal.append_group(&(1..=6).map(|seq| entry(one, seq)).collect::<Vec<_>>()).unwrap();
    let tree = journal.reader().store().tree().clone();
    let flipped = journal_key(one, 2, 0);
    let mut value = tree.get(flipped).unwrap().unwrap().to_vec();
    value[20] ^= 1;
    tree.insert(flipped, value).unwrap();
    tree.remove(journal_key(one, 5, 1)).unwrap();
    tree.remove(journal_key(one, 4, 0)).unwrap();
    tree.insert(journal_key(one, 4, 0), tree.get(journal_key(one, 3, 0)).unwrap().unwrap()).unwrap();

    for direction in ["forward", "backward"] {
        let read: Vec<_> = match direction {
            "forward" => journal.reader().scan(one, 1..=9).collect(),
            _ => journal.reader().scan_back(one, 1..=9).collect(),
        };
        let mut damaged: Vec<u64> = read
            .iter()
            .filter_map(|r| match r {
                Err(StorageError::DamagedRecord { programme, seq, .. }) if *programme == one => Some(*seq),
                _ => None,
            })
            .collect();
        damaged.sort_unstable();
        assert_eq!(damaged, [2, 4, 5], "{direction}");
        assert_eq!(read.iter().filter(|r| r.is_ok()).count(), 3, "{direction}");
    }
}

#[test]
fn a_second_open_is_refused_until_the_first_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());

    let second = Journal::open(folder.path(), &JournalOptions::default()).map(drop);

    assert_eq!(second, Err(StorageError::FolderInUse { folder: folder.path().to_path_buf() }));
    drop(journal);
    open(folder.path());
}

#[test]
fn a_newer_format_is_refused_with_both_versions_named() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let newer = FORMAT_VERSION + 1;
    let tree = journal.reader().store().tree().clone();
    tree.insert(key(ProgrammeNumber::STORE, space::FORMAT, &[]), &newer.to_be_bytes()).unwrap();
    drop((tree, journal));

    let refused = Journal::open(folder.path(), &JournalOptions::default()).map(drop);

    let folder = folder.path().to_path_buf();
    assert_eq!(refused, Err(StorageError::NewerFormat { folder, found: newer, supported: FORMAT_VERSION }));
}

#[test]
fn a_folder_that_cannot_be_a_store_gives_an_error_and_no_panic() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("conf"), b"this is not a configuration of sled").unwrap();
    let damaged = Journal::open(folder.path(), &JournalOptions::default()).map(drop);
    assert!(matches!(damaged, Err(StorageError::OpenFailed { .. })), "{damaged:?}");

    let file = folder.path().join("a-file");
    std::fs::write(&file, b"").unwrap();
    let not_a_folder = Journal::open(&file, &JournalOptions::default()).map(drop);
    assert!(not_a_folder.is_err());
}

#[test]
fn operating_system_errors_become_words_for_operators() {
    use std::io::ErrorKind;
    let named = |kind: ErrorKind| StorageError::from_io("writing", "folder".as_ref(), &kind.into());

    assert_eq!(named(ErrorKind::StorageFull), StorageError::DiskFull { doing: "writing" });
    assert!(matches!(named(ErrorKind::ReadOnlyFilesystem), StorageError::NotWritable { .. }));
    assert!(matches!(named(ErrorKind::PermissionDenied), StorageError::NotWritable { .. }));
}

#[test]
fn retention_removes_old_records_and_the_sequence_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let one = journal.programme("one").unwrap();
    journal.append_group(&(1..=20).map(|seq| entry(one, seq)).collect::<Vec<_>>()).unwrap();

    assert_eq!(journal.remove_before(one, 16).unwrap(), 15);
    assert_eq!(journal.remove_before(one, 16).unwrap(), 0);
    assert_eq!(journal.reader().scan(one, 1..=99).map(|r| r.unwrap().seq).collect::<Vec<_>>(), [16, 17, 18, 19, 20]);
    assert_eq!(journal.remove_before(one, 99).unwrap(), 5);
    drop(journal);

    let journal = open(folder.path());
    assert_eq!((journal.reader().first_seq(one).unwrap(), journal.reader().last_seq(one).unwrap()), (21, 20));
    journal.append_group(&[entry(one, 21)]).unwrap();
}

struct Answers {
    sender: mpsc::Sender<(u64, Result<(), StorageError>)>,
    receiver: mpsc::Receiver<(u64, Result<(), StorageError>)>,
}

impl Answers {
    fn new() -> Answers {
        let (sender, receiver) = mpsc::channel();
        Answers { sender, receiver }
    }

    fn stage(&self, committer: &Committer, one: ProgrammeNumber, seq: u64) {
        let sender = self.sender.clone();
        let permit = committer.admit().unwrap();
        committer.stage(permit, entry(one, seq), Box::new(move |result| sender.send((seq, result)).unwrap()));
    }

    fn take(&self, count: usize) -> Vec<(u64, Result<(), StorageError>)> {
        (0..count).map(|_| self.receiver.recv_timeout(Duration::from_secs(60)).unwrap()).collect()
    }
}

#[test]
fn the_committer_answers_in_order_once_the_record_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Arc::new(open(folder.path()));
    let one = journal.programme("one").unwrap();
    let committer = Committer::start(Arc::clone(&journal), GroupOptions::default(), [(one, 0)]).unwrap();
    let answers = Answers::new();
    for seq in 1..=300 {
        answers.stage(&committer, one, seq);
    }

    let answered = answers.take(300);

    assert!(answered.iter().zip(1..).all(|((seq, result), expected)| *seq == expected && result.is_ok()));
    assert_eq!(committer.durable(one).get(), 300);
    assert_eq!(journal.reader().last_seq(one).unwrap(), 300);
    committer.durable(one).wait_blocking(300).unwrap();
    committer.close();
    assert_eq!(committer.admit().map(drop), Err(StorageError::Closed));
    assert_eq!(committer.durable(one).wait_blocking(301), Err(StorageError::Closed));
}

#[test]
fn a_full_queue_refuses_with_a_time_to_come_back_and_recovers() {
    let (release, held) = mpsc::channel();
    let durability = FaultyDurability::new(Vec::new(), move |_| {
        held.recv().unwrap();
        Fault::None
    });
    let one = ProgrammeNumber::new(1).unwrap();
    let options = GroupOptions { queue_entries: 3, ..GroupOptions::default() };
    let retry_after = options.retry_after;
    let committer = Committer::start(durability, options, [(one, 0)]).unwrap();
    let answers = Answers::new();
    for seq in 1..=3 {
        answers.stage(&committer, one, seq);
    }

    assert_eq!(committer.admit().map(drop), Err(StorageError::Busy { retry_after }));
    for _ in 0..3 {
        // One to three groups, as the thread happens to wake; spare releases stay unused.
        release.send(()).unwrap();
    }
    answers.take(3);
    let permit = committer.admit().unwrap();
    drop(permit);
}

#[test]
fn after_a_failed_write_everything_waiting_and_everything_later_is_refused() {
    let (release, held) = mpsc::channel();
    let durability = FaultyDurability::new(Vec::new(), move |group| {
        held.recv().unwrap();
        if group == 2 { Fault::Fail } else { Fault::None }
    });
    let one = ProgrammeNumber::new(1).unwrap();
    let options = GroupOptions { group_entries: 2, ..GroupOptions::default() };
    let committer = Committer::start(durability, options, [(one, 0)]).unwrap();
    let answers = Answers::new();
    // The committer holds the first entry, so that the others are grouped by two.
    answers.stage(&committer, one, 1);
    for seq in 2..=7 {
        answers.stage(&committer, one, seq);
    }
    for _ in 0..8 {
        // The receiver is gone after the failure.
        let _ = release.send(());
    }

    let answered = answers.take(7);

    let acknowledged = answered.iter().filter(|(_, result)| result.is_ok()).count() as u64;
    assert_eq!(committer.durable(one).get(), acknowledged);
    assert!(acknowledged < 7 && answered.iter().take_while(|(_, r)| r.is_ok()).count() as u64 == acknowledged);
    assert!(matches!(committer.admit().map(drop), Err(StorageError::Poisoned { .. })));
    assert!(committer.failure().is_some());
    assert!(committer.durable(one).wait_blocking(7).is_err());
}

#[test]
fn a_failed_sync_poisons_the_journal_until_it_is_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path());
    let one = journal.programme("one").unwrap();
    journal.append_group(&[entry(one, 1)]).unwrap();
    journal.fail_next_sync();

    assert!(journal.append_group(&[entry(one, 2)]).is_err());
    assert!(journal.failure().is_some());
    assert!(matches!(journal.append_group(&[entry(one, 2)]), Err(StorageError::Poisoned { .. })));
    assert!(matches!(journal.programme("two"), Err(StorageError::Poisoned { .. })));
    drop(journal);
    let journal = open(folder.path());
    assert_eq!(journal.reader().read(one, 1).unwrap().unwrap().payload, payload(1));
}
