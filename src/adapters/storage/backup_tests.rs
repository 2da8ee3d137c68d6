//! Claims about backup, restore, compaction and check.

use std::ops::Bound;
use std::path::Path;

use crate::adapters::storage::backup::{backup, backup_to_file, compact, restore, undo_interrupted_compaction, verify_backup};
use crate::adapters::storage::check::{check, stats};
use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::journal::{Journal, JournalOptions};
use crate::adapters::storage::record::{Entry, ProgrammeNumber, SideTag, SideWrite, journal_key};

const CASES: SideTag = SideTag(b'c');

fn open(folder: &Path) -> Journal {
    Journal::open(folder, &JournalOptions::default()).unwrap()
}

fn append(journal: &Journal, programme: ProgrammeNumber, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        let payload = vec![u8::try_from(seq % 251).unwrap(); if seq % 7 == 0 { 10_000 } else { 50 }];
        let value = Some(seq.to_be_bytes().to_vec());
        let side = vec![SideWrite { tag: CASES, key: (seq % 10).to_be_bytes().to_vec(), value }];
        journal.append_group(&[Entry { programme, seq, payload, side }]).unwrap();
    }
}

/// A journal with two programmes, one of them shortened by retention.
fn filled(folder: &Path) -> Journal {
    let journal = open(folder);
    let [one, two] = ["one", "two"].map(|name| journal.programme(name).unwrap());
    append(&journal, one, 1..=30);
    append(&journal, two, 1..=20);
    journal.remove_before(one, 11).unwrap();
    journal
}

type Content = (Vec<(String, ProgrammeNumber)>, Vec<(u64, Vec<u8>)>, Vec<(Vec<u8>, Vec<u8>)>);

fn content(journal: &Journal) -> Content {
    let reader = journal.reader();
    let programmes = reader.programmes().unwrap();
    let (mut records, mut side) = (Vec::new(), Vec::new());
    for (_, programme) in &programmes {
        records.extend(reader.scan(*programme, 0..=u64::MAX).map(|r| r.unwrap()).map(|r| (r.seq, r.payload.to_vec())));
        let entries = reader.side_scan(*programme, CASES, Bound::Unbounded, Bound::Unbounded);
        side.extend(entries.map(|e| e.unwrap()).map(|e| (e.key, e.value.to_vec())));
    }
    (programmes, records, side)
}

#[test]
fn a_restored_backup_holds_what_the_journal_held_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("ledger"));
    let (file, restored) = (place.path().join("backup"), place.path().join("restored"));

    let written = backup_to_file(&journal, &file).unwrap();
    let read = restore(&file, &restored).unwrap();

    assert_eq!(written, read);
    assert_eq!((read.records, read.side_entries), (40, 20));
    let again = open(&restored);
    assert_eq!(content(&again), content(&journal));
    let one = again.programme("one").unwrap();
    assert_eq!((again.reader().first_seq(one).unwrap(), again.reader().last_seq(one).unwrap()), (11, 30));
    append(&again, one, 31..=31);
    assert!(check(&again.reader()).unwrap().is_sound());
}

/// An output that appends to the journal while the backup is written.
struct AppendsMeanwhile<'j> {
    journal: &'j Journal,
    programme: ProgrammeNumber,
    next: u64,
    bytes: Vec<u8>,
}

impl std::io::Write for AppendsMeanwhile<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.next <= 60 {
            append(self.journal, self.programme, self.next..=self.next);
            self.next += 1;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_backup_taken_while_serving_is_of_one_moment() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("ledger"));
    let at_that_moment = content(&journal);
    let one = journal.programme("one").unwrap();
    let mut out = AppendsMeanwhile { journal: &journal, programme: one, next: 31, bytes: Vec::new() };

    let summary = backup(&journal, &mut out).unwrap();

    assert_eq!(summary.through[&one], 30);
    assert_eq!(journal.reader().last_seq(one).unwrap(), 60);
    let (file, restored) = (place.path().join("backup"), place.path().join("restored"));
    std::fs::write(&file, out.bytes).unwrap();
    restore(&file, &restored).unwrap();
    assert_eq!(content(&open(&restored)), at_that_moment);
}

#[test]
fn a_backup_with_any_byte_changed_cut_or_added_is_refused_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let journal = open(&place.path().join("ledger"));
    let one = journal.programme("one").unwrap();
    append(&journal, one, 1..=3);
    let (file, restored) = (place.path().join("backup"), place.path().join("restored"));
    backup_to_file(&journal, &file).unwrap();
    let sound = std::fs::read(&file).unwrap();

    for at in (0..sound.len()).step_by(3) {
        let mut changed = sound.clone();
        changed[at] ^= 0x10;
        std::fs::write(&file, &changed).unwrap();
        assert!(matches!(restore(&file, &restored), Err(StorageError::BackupUnusable { .. })), "byte {at}");
    }
    for wrong in [&sound[..sound.len() - 1], &sound[..40], &[], &[&sound[..], &[0]].concat()] {
        std::fs::write(&file, wrong).unwrap();
        assert!(matches!(restore(&file, &restored), Err(StorageError::BackupUnusable { .. })));
    }
    assert!(!restored.exists());
    std::fs::write(&file, &sound).unwrap();
    verify_backup(&file).unwrap();
}

#[test]
fn nothing_is_restored_over_what_is_there_and_no_backup_is_overwritten() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("ledger");
    let journal = filled(&folder);
    let file = place.path().join("backup");
    backup_to_file(&journal, &file).unwrap();

    assert_eq!(restore(&file, &folder), Err(StorageError::FolderNotEmpty { folder: folder.clone() }));
    assert!(backup_to_file(&journal, &file).is_err());
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    restore(&file, &empty).unwrap();
}

#[test]
fn compaction_keeps_everything_and_an_interrupted_one_is_undone() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("ledger");
    let before = content(&filled(&folder));

    compact(&folder).unwrap();

    assert_eq!(content(&open(&folder)), before);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
    std::fs::rename(&folder, place.path().join("ledger.before-compaction")).unwrap();
    undo_interrupted_compaction(&folder).unwrap();
    assert_eq!(content(&open(&folder)), before);
}

#[test]
fn check_counts_what_is_sound_and_names_what_is_not() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(place.path());
    let sound = check(&journal.reader()).unwrap();
    assert!(sound.is_sound());
    assert_eq!(sound.programmes.iter().map(|p| (p.records, p.side_entries)).collect::<Vec<_>>(), [(20, 10), (20, 10)]);
    let sizes = stats(&journal.reader()).unwrap();
    assert_eq!(sizes.programmes, [("one".to_owned(), 11, 30), ("two".to_owned(), 1, 20)]);
    assert!(sizes.disk_bytes > 0);
    let one = journal.programme("one").unwrap();
    let tree = journal.reader().store().tree().clone();
    tree.remove(journal_key(one, 20, 0)).unwrap();
    tree.insert(journal_key(one, 22, 0), b"not a record").unwrap();

    let report = check(&journal.reader()).unwrap();

    assert!(!report.is_sound());
    assert_eq!((report.programmes[0].records, report.programmes[0].missing), (18, 1));
    assert!(matches!(report.programmes[0].damage[..], [StorageError::DamagedRecord { seq: 22, .. }]));
}
