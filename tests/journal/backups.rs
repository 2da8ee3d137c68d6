//! Backups are of one moment, whole or refused, and what is restored from one is another life of the ledger.

use std::io::Write;

use age::secrecy::ExposeSecret as _;
use selfsame::adapters::journal::{
    BackupFile, MemoryJournal, StorageError, check, restore, restore_with, stats, verify_backup, verify_backup_with,
};
use selfsame::adapters::sealed_backup::{Identities, Recipients};
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{Journal, JournalError};

use crate::fixture::{append, back_up, content, cut, fill, filled, kept, open, payload, program};

#[test]
fn a_restored_backup_holds_what_the_journal_held_in_another_life_and_goes_on() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("journal"));
    let (file, restored) = (place.path().join("backup"), place.path().join("restored"));

    let written = back_up(&journal, &file);
    let read = restore(&file, &restored).unwrap();

    assert_eq!((written.clone(), written), (read.clone(), verify_backup(&file).unwrap()));
    assert_eq!((read.records, read.kept_entries), (40, 2));
    let again = open(&restored);
    assert_eq!(content(&again), content(&journal));
    assert_ne!(again.incarnation(), journal.incarnation());
    fill(&again, &program("one"), 3);
    cut(&again, &program("one"), 20, vec![kept(12, b"x")], &[7]).unwrap();
    assert!(check(&again).is_sound());
    drop(again);
    assert_eq!(open(&restored).kept(&program("one")).unwrap(), [kept(3, b"paid"), kept(12, b"x")]);
}

/// An output that appends to the journal, and tries to cut it, while the backup is written.
struct Meanwhile<'j> {
    journal: &'j dyn Journal,
    cuts_refused: usize,
    out: BackupFile,
}

impl Write for Meanwhile<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let one = program("one");
        let next = self.journal.head(&one).unwrap().last.0 + 1;
        if next <= 60 {
            append(self.journal, &one, &[payload(next)]);
            let refused = cut(self.journal, &one, 25, vec![kept(20, b"x")], &[3]);
            self.cuts_refused += usize::from(matches!(refused, Err(JournalError::NotPossible(_))));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

#[test]
fn an_encrypted_backup_is_read_by_who_has_the_key_and_by_nobody_else() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("journal"));
    let (file, restored, plain) = (place.path().join("backup.age"), place.path().join("restored"), place.path().join("plain"));
    let (key, other) = (age::x25519::Identity::generate(), age::x25519::Identity::generate());
    let keys = |name: &str, key: &age::x25519::Identity| {
        let path = place.path().join(name);
        std::fs::write(&path, format!("# a key\n{}\n", key.to_string().expose_secret())).unwrap();
        path
    };
    let (key_file, other_file) = (keys("key", &key), keys("other", &other));
    let listed = place.path().join("recipients");
    std::fs::write(&listed, format!("# who may\n\n{}\n", key.to_public())).unwrap();
    let recipients = Recipients::read(&[], [listed.as_path()]).unwrap();

    let mut out = BackupFile::create_for(&file, &recipients).unwrap();
    journal.back_up(&mut out).unwrap();
    let written = out.keep().unwrap();
    let bytes = std::fs::read(&file).unwrap();
    back_up(&journal, &plain);
    assert!(bytes.starts_with(b"age-encryption.org/v1"));
    assert!(!bytes.windows(8).any(|window| window == b"SELFBAK\x01") && std::fs::read(&plain).unwrap().starts_with(b"SELFBAK"));

    let with = |file: &std::path::Path| Identities::read([file]).unwrap();
    assert_eq!(verify_backup_with(&file, &with(&key_file)).unwrap(), written);
    let unread = [verify_backup(&file), verify_backup_with(&file, &with(&other_file)), restore(&file, &restored)];
    for refused in unread {
        assert!(matches!(&refused, Err(StorageError::BackupUnusable { reason }) if reason.contains("encrypted")), "{refused:?}");
    }
    std::fs::write(&file, &bytes[..bytes.len() - 20]).unwrap();
    assert!(verify_backup_with(&file, &with(&key_file)).is_err(), "one that is cut");
    std::fs::write(&file, &bytes).unwrap();
    restore_with(&file, &restored, &with(&key_file)).unwrap();
    assert_eq!(content(&open(&restored)), content(&journal));
    let wrong = Recipients::read(&["age1nobody".to_owned()], []).map(drop).unwrap_err().to_string();
    assert!(wrong.contains("`age1nobody` is no recipient"), "{wrong}");
}

#[test]
fn a_backup_taken_while_serving_is_of_one_moment_and_cuts_wait_for_it() {
    let place = tempfile::tempdir().unwrap();
    let journal = filled(&place.path().join("journal"));
    let at_that_moment = content(&journal);
    let (file, restored) = (place.path().join("backup"), place.path().join("restored"));
    let mut out = Meanwhile { journal: &journal, cuts_refused: 0, out: BackupFile::create(&file).unwrap() };

    journal.back_up(&mut out).unwrap();

    assert_eq!((out.cuts_refused, journal.head(&program("one")).unwrap().last), (30, Cursor(60)));
    out.out.keep().unwrap();
    restore(&file, &restored).unwrap();
    assert_eq!(content(&open(&restored)), at_that_moment);
    assert_eq!(cut(&journal, &program("one"), 25, vec![kept(20, b"x")], &[3]), Ok(14));
}

#[test]
fn a_backup_with_any_byte_changed_cut_or_added_is_refused_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let journal = open(&place.path().join("journal"));
    fill(&journal, &program("one"), 4);
    cut(&journal, &program("one"), 3, vec![kept(1, b"one")], &[]).unwrap();
    let (file, restored) = (place.path().join("backup"), place.path().join("restored"));
    back_up(&journal, &file);
    let sound = std::fs::read(&file).unwrap();

    for at in 0..sound.len() {
        let mut changed = sound.clone();
        changed[at] ^= 0x10;
        std::fs::write(&file, &changed).unwrap();
        assert!(matches!(verify_backup(&file), Err(StorageError::BackupUnusable { .. })), "byte {at}");
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
    let folder = place.path().join("journal");
    let journal = filled(&folder);
    let file = place.path().join("backup");
    back_up(&journal, &file);

    assert_eq!(restore(&file, &folder), Err(StorageError::FolderNotEmpty { folder: folder.clone() }));
    assert!(BackupFile::create(&file).is_err());
    let empty = place.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    restore(&file, &empty).unwrap();
}

#[test]
fn a_backup_that_is_not_kept_leaves_nothing_and_memory_has_none() {
    let place = tempfile::tempdir().unwrap();
    let mut file = BackupFile::create(&place.path().join("backup")).unwrap();
    file.write_all(b"half").unwrap();
    drop(file);

    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    assert!(matches!(MemoryJournal::new().back_up(&mut Vec::new()), Err(JournalError::NotPossible(_))));
}

#[test]
fn sizes_are_told_without_a_walk() {
    let place = tempfile::tempdir().unwrap();
    let sizes = stats(&filled(&place.path().join("journal"))).unwrap();

    assert_eq!(sizes.programs, [(program("one"), Cursor(11), Cursor(30)), (program("two"), Cursor(1), Cursor(20))]);
    assert!(sizes.disk_bytes > 0);
}
