//! The folder of a journal: whose it is, whether it is still the same, and what an interrupted operation left in it.

use std::path::{Path, PathBuf};

use selfsame::adapters::journal::{JournalOptions, SledJournal, StorageError, check, compact, restore};
use selfsame::adapters::snapshots::SnapshotFolder;
use selfsame::book::records::Cursor;
use selfsame::ports::journal::{Incarnation, Journal, JournalError};
use selfsame::ports::snapshots::Snapshots;

use crate::fixture::{back_up, content, copy_folder, fill, filled, open, program, try_append, try_open};

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        folder.read_dir().unwrap().map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_second_open_is_refused_until_the_first_is_closed() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let journal = open(&folder);

    assert_eq!(try_open(&folder).map(drop), Err(StorageError::FolderInUse { folder: folder.clone() }));
    assert_eq!(compact(&folder, &JournalOptions::default()), Err(StorageError::FolderInUse { folder: folder.clone() }));
    drop(journal);
    open(&folder);
}

#[test]
fn a_journal_whose_folder_is_deleted_moved_or_exchanged_takes_no_more_writes() {
    let moved = |folder: &Path| std::fs::rename(folder, folder.with_extension("elsewhere")).unwrap();
    let exchange = |folder: &Path| {
        std::fs::rename(folder, folder.with_extension("elsewhere")).unwrap();
        drop(filled(folder));
    };
    let delete = |folder: &Path| std::fs::remove_dir_all(folder).unwrap();
    for (said, way) in [("deleted", &delete as &dyn Fn(&Path)), ("moved", &moved), ("exchanged", &exchange)] {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("journal");
        let journal = filled(&folder);
        way(&folder);

        let refused = try_append(&journal, &program("one"), &[vec![1]]);

        assert!(matches!(&refused, Err(JournalError::Unavailable(reason)) if reason.contains(said)), "{said}: {refused:?}");
        assert!(journal.failure().is_some(), "{said}");
        assert_eq!(journal.head(&program("one")).unwrap().last, Cursor(30), "{said}: what was not acknowledged is not shown");
        assert!(try_append(&journal, &program("two"), &[vec![1]]).is_err(), "{said}");
    }
}

fn beside(folder: &Path, suffix: &str) -> PathBuf {
    folder.with_file_name(format!("{}.{suffix}", folder.file_name().unwrap().to_string_lossy()))
}

#[test]
fn nothing_begins_empty_where_a_restore_was_interrupted_and_the_next_restore_goes_through() {
    let place = tempfile::tempdir().unwrap();
    let (source, file) = (place.path().join("source"), place.path().join("backup"));
    let held = content(&filled(&source));
    back_up(&open(&source), &file);
    let half: [&dyn Fn(&Path); 3] = [
        // It had only begun; the store was there; all was there but the name.
        &|partial| std::fs::create_dir(partial).unwrap(),
        &|partial| drop(open(partial)),
        &|partial| drop(restore(&file, partial).unwrap()),
    ];
    for (step, half) in half.into_iter().enumerate() {
        for exists_empty in [false, true] {
            let data = place.path().join(format!("data-{step}-{exists_empty}"));
            let folder = data.join("journal");
            std::fs::create_dir(&data).unwrap();
            if exists_empty {
                std::fs::create_dir(&folder).unwrap();
            }
            half(&beside(&folder, "restoring"));

            let refused = try_open(&folder).map(drop);

            assert!(matches!(&refused, Err(StorageError::RestoreInterrupted { .. })), "{step}: {refused:?}");
            assert!(refused.unwrap_err().to_string().contains("ledger restore"));
            std::fs::write(place.path().join("unusable"), b"no backup").unwrap();
            assert!(restore(&place.path().join("unusable"), &folder).is_err());
            assert!(try_open(&folder).is_err(), "{step}: a second, refused restore does not make it a fresh folder");
            restore(&file, &folder).unwrap();
            assert_eq!(content(&open(&folder)), held);
            assert_eq!(names(&data), ["journal"]);
        }
    }
}

#[test]
fn a_refused_restore_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("unusable"), b"no backup").unwrap();

    assert!(restore(&place.path().join("unusable"), &place.path().join("journal")).is_err());

    assert_eq!(names(place.path()), ["unusable"]);
    open(&place.path().join("journal"));
}

#[test]
fn a_compaction_that_was_interrupted_anywhere_is_undone_or_finished() {
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("source");
    let held = content(&filled(&source));
    let (old, fresh) = ("journal.before-compaction", "journal.compacted");
    for (step, left) in [vec!["journal", fresh], vec![old, fresh], vec!["journal", old], vec![old]].into_iter().enumerate() {
        let data = place.path().join(format!("data-{step}"));
        std::fs::create_dir(&data).unwrap();
        for name in &left {
            copy_folder(&source, &data.join(name));
        }

        assert_eq!(content(&open(&data.join("journal"))), held, "{left:?}");

        assert_eq!(names(&data), ["journal"], "{left:?}");
    }
}

#[test]
fn while_a_compaction_holds_the_lock_nobody_undoes_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let old = beside(&folder, "before-compaction");
    let held = filled(&old);

    assert_eq!(try_open(&folder).map(drop), Err(StorageError::FolderInUse { folder: folder.clone() }));

    drop(held);
    assert_eq!(open(&folder).head(&program("one")).unwrap().last, Cursor(30));
}

#[test]
fn compaction_keeps_everything_and_the_life_of_the_ledger_and_gives_space_back() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let journal = filled(&folder);
    fill(&journal, &program("one"), 3_000);
    crate::fixture::cut(&journal, &program("one"), 3_000, vec![], &[]).unwrap();
    let (held, life) = (content(&journal), journal.incarnation());
    drop(journal);
    let bytes = || std::fs::metadata(folder.join("db")).unwrap().len();
    let before = bytes();

    let compacted = compact(&folder, &JournalOptions::default()).unwrap();

    assert_eq!((compacted.records, compacted.kept_entries), (51, 2));
    assert!(bytes() < before / 2, "{before} became {}", bytes());
    assert_eq!(names(place.path()), ["journal"]);
    let journal = open(&folder);
    assert_eq!((content(&journal), journal.incarnation()), (held, life));
    fill(&journal, &program("one"), 3);
    assert!(check(&journal).is_sound());
}

#[test]
fn a_first_store_that_was_not_finished_is_made_anew() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    copy_folder(
        &{
            drop(filled(&place.path().join("source")));
            place.path().join("source")
        },
        &beside(&folder, "new"),
    );

    assert_eq!(content(&open(&folder)), vec![]);

    std::fs::create_dir(beside(&folder, "new")).unwrap();
    open(&folder);
    assert_eq!(names(place.path()), ["journal", "source"]);
}

fn with_snapshots(place: &Path) -> JournalOptions {
    JournalOptions { snapshots: Some(place.join("snapshots")), ..JournalOptions::default() }
}

#[test]
fn no_journal_or_another_one_beside_snapshots_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (folder, options) = (place.path().join("journal"), with_snapshots(place.path()));
    let journal = SledJournal::open(&folder, &options).unwrap();
    fill(&journal, &program("one"), 3);
    let life = journal.incarnation();
    let snapshots = SnapshotFolder::open(&place.path().join("snapshots"), life).unwrap();
    snapshots.write(life, &program("one"), Cursor(3), &mut |out| out.write_all(b"book")).unwrap();
    drop(journal);
    SledJournal::open(&folder, &options).unwrap();
    std::fs::rename(&folder, place.path().join("aside")).unwrap();

    for empty_folder in [false, true] {
        if empty_folder {
            std::fs::create_dir(&folder).unwrap();
        }
        let refused = SledJournal::open(&folder, &options).map(drop);
        assert!(
            matches!(&refused, Err(StorageError::Mismatched { reason }) if reason.contains("there is no journal")),
            "{refused:?}"
        );
    }
    drop(filled(&folder));
    let refused = SledJournal::open(&folder, &options).map(drop);
    assert!(matches!(&refused, Err(StorageError::Mismatched { reason }) if reason.contains("another ledger")), "{refused:?}");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::rename(place.path().join("aside"), &folder).unwrap();
    SledJournal::open(&folder, &options).unwrap();
}

#[test]
fn a_folder_that_cannot_be_a_store_gives_an_error_and_no_panic() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("conf"), b"this is not a configuration of sled").unwrap();
    let refused = try_open(place.path()).map(drop).unwrap_err();
    assert!(refused.to_string().contains("watermark"), "{refused}");
    let file = place.path().join("a-file");
    std::fs::write(&file, b"").unwrap();
    assert!(try_open(&file).is_err());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_a_journal_a_snapshot_or_a_backup() {
    use std::os::unix::fs::PermissionsExt;
    fn refuse_others(path: &Path) {
        let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
        if path.is_dir() {
            path.read_dir().unwrap().for_each(|item| refuse_others(&item.unwrap().path()));
        }
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("data/journal");
    drop(filled(&folder));
    let journal = open(&folder);
    back_up(&journal, &place.path().join("backup"));
    let snapshots = SnapshotFolder::open(&place.path().join("data/snapshots"), Incarnation(7)).unwrap();
    snapshots.write(Incarnation(7), &program("one"), Cursor(3), &mut |out| out.write_all(b"book")).unwrap();

    refuse_others(&place.path().join("data"));
    refuse_others(&place.path().join("backup"));
}
