//! Less than what was acknowledged is never opened in silence: flipped bits, a lost end, files of another time or another ledger.

use std::path::{Path, PathBuf};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use selfsame::adapters::journal::{StorageError, check};
use selfsame::ports::journal::Journal;

use crate::fixture::{Content, copy_folder, cut, fill, filled, kept, open, program, try_content, try_open};

fn files_of(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        folder.read_dir().unwrap().map(|item| item.unwrap().path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

/// A closed journal of some length, of which each kind of file exists.
fn closed(folder: &Path) -> Content {
    let journal = filled(folder);
    fill(&journal, &program("one"), 400);
    fill(&journal, &program("three"), 150);
    cut(&journal, &program("one"), 200, vec![kept(150, b"bar"), kept(199, &[1; 5_000])], &[3]).unwrap();
    fill(&journal, &program("two"), 60);
    let content = crate::fixture::content(&journal);
    drop(journal);
    // Sled writes its index of the log when it closes.
    drop(open(folder));
    content
}

/// How a damaged folder answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Refused,
    FoundByCheck,
    Right,
}

/// Opens a damaged folder as an operator would: open, check, read. Anything that is not one of the three answers is a broken promise.
fn answer(folder: &Path, sound: &Content) -> Answer {
    let Ok(journal) = try_open(folder) else { return Answer::Refused };
    let report = check(&journal);
    if !report.is_sound() {
        return Answer::FoundByCheck;
    }
    assert_eq!(&try_content(&journal).expect("check found it sound"), sound, "{report:?}");
    Answer::Right
}

/// A copy of a journal as a killed process leaves it: nothing was closed, and sled's index is of an earlier time.
fn killed(folder: &Path, copied: &Path) -> Content {
    closed(folder);
    let journal = open(folder);
    fill(&journal, &program("one"), 90);
    copy_folder(folder, copied);
    crate::fixture::content(&journal)
}

/// Bits flipped in each file: so many in CI, `SELFSAME_FLIPS` by hand.
fn flips() -> usize {
    std::env::var("SELFSAME_FLIPS").map_or(15, |flips| flips.parse().unwrap())
}

/// Flips bits in copies of a folder, so many in each of its files. Gives how many were refused or found, and how many did no harm.
fn flip_bits(folder: &Path, sound: &Content, flips: usize, seed: u64) -> (usize, usize) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut told, mut harmless) = (0, 0);
    let damaged = folder.with_extension("damaged");
    for file in files_of(folder).iter().filter(|file| std::fs::metadata(file).unwrap().len() > 0) {
        let bytes = std::fs::read(file).unwrap();
        // Sled's log ends in empty room; damage goes where something stands.
        let written: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
        for _ in 0..flips {
            copy_folder(folder, &damaged);
            let mut bytes = bytes.clone();
            bytes[written[random.gen_range(0..written.len())]] ^= 1 << random.gen_range(0..8);
            std::fs::write(damaged.join(file.file_name().unwrap()), bytes).unwrap();
            match answer(&damaged, sound) {
                Answer::Right => harmless += 1,
                Answer::Refused | Answer::FoundByCheck => told += 1,
            }
            std::fs::remove_dir_all(&damaged).unwrap();
        }
    }
    (told, harmless)
}

#[test]
fn a_flipped_bit_in_any_file_of_a_closed_journal_is_refused_found_or_harmless() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let sound = closed(&folder);

    let (told, harmless) = flip_bits(&folder, &sound, flips(), 10);

    assert!(told + harmless >= 60 && told > 10, "{told} told, {harmless} harmless");
}

#[test]
fn a_flipped_bit_in_any_file_of_a_killed_journal_is_refused_found_or_harmless() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("killed");
    let sound = killed(&place.path().join("journal"), &folder);

    let (told, harmless) = flip_bits(&folder, &sound, flips(), 11);

    assert!(told + harmless >= 60 && told > 10, "{told} told, {harmless} harmless");
}

#[test]
fn a_file_cut_short_or_removed_is_refused_found_or_harmless() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let sound = closed(&folder);
    for file in files_of(&folder) {
        let length = std::fs::metadata(&file).unwrap().len();
        for left in [None, Some(0), Some(length / 2), Some(length.saturating_sub(1))] {
            let damaged = place.path().join("damaged");
            copy_folder(&folder, &damaged);
            let path = damaged.join(file.file_name().unwrap());
            match left {
                None => std::fs::remove_file(&path).unwrap(),
                Some(left) => std::fs::File::options().write(true).open(&path).unwrap().set_len(left).unwrap(),
            }
            answer(&damaged, &sound);
            std::fs::remove_dir_all(&damaged).unwrap();
        }
    }
}

/// Puts sled's files of one folder in the place of another's.
fn put_sled_of(from: &Path, into: &Path) {
    for file in files_of(into).into_iter().filter(|file| !file.ends_with("watermark") && !file.ends_with("lock")) {
        std::fs::remove_file(file).unwrap();
    }
    for file in files_of(from).into_iter().filter(|file| !file.ends_with("watermark") && !file.ends_with("lock")) {
        std::fs::copy(&file, into.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_journal_that_ends_before_its_watermark_is_refused_and_the_folder_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let (folder, earlier) = (place.path().join("journal"), place.path().join("earlier"));
    drop(filled(&folder));
    copy_folder(&folder, &earlier);
    fill(&open(&folder), &program("two"), 1);
    put_sled_of(&earlier, &folder);

    let refused = try_open(&folder).map(drop).unwrap_err();

    assert!(matches!(&refused, StorageError::Lost { .. }), "{refused:?}");
    let said = refused.to_string();
    assert!(said.contains("ends at record 20") && said.contains("keep this folder") && said.contains("last backup"), "{said}");
    assert_eq!(try_open(&folder).map(drop).unwrap_err(), refused, "and so it stays");
}

/// What is done to a journal after a copy of it was made.
type Later = fn(&dyn Journal);

#[test]
fn a_programme_a_cut_or_a_whole_store_that_was_lost_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (folder, earlier, lost) = (place.path().join("journal"), place.path().join("earlier"), place.path().join("lost"));
    let later: [(&str, Later); 2] = [
        ("all 3 records of programme number 3", |journal| fill(journal, &program("three"), 3)),
        ("programme `two`", |journal| assert_eq!(cut(journal, &program("two"), 5, vec![], &[]), Ok(4))),
    ];
    drop(filled(&folder));
    copy_folder(&folder, &earlier);
    for (said, later) in later {
        copy_folder(&earlier, &lost);
        later(&open(&lost));
        put_sled_of(&earlier, &lost);
        let refused = try_open(&lost).map(drop).unwrap_err();
        assert!(matches!(&refused, StorageError::Lost { reason, .. } if reason.contains(said)), "{refused:?}");
        std::fs::remove_dir_all(&lost).unwrap();
    }
    for file in ["db", "watermark"] {
        copy_folder(&earlier, &lost);
        std::fs::remove_file(lost.join(file)).unwrap();
        assert!(try_open(&lost).is_err(), "without {file}");
        std::fs::remove_dir_all(&lost).unwrap();
    }
}

#[test]
fn the_watermark_of_another_ledger_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (one, other) = (place.path().join("one"), place.path().join("other"));
    drop(filled(&one));
    drop(filled(&other));
    std::fs::copy(other.join("watermark"), one.join("watermark")).unwrap();

    assert!(matches!(try_open(&one).map(drop), Err(StorageError::Mismatched { .. })));
}

#[test]
fn a_branch_that_went_another_way_breaks_the_chain() {
    let place = tempfile::tempdir().unwrap();
    let (folder, branch) = (place.path().join("journal"), place.path().join("branch"));
    drop(filled(&folder));
    copy_folder(&folder, &branch);
    crate::fixture::append(&open(&folder), &program("two"), &[vec![1], vec![2]]);
    crate::fixture::append(&open(&branch), &program("two"), &[vec![3], vec![2], vec![4]]);
    put_sled_of(&branch, &folder);

    let refused = try_open(&folder).map(drop).unwrap_err();

    assert!(matches!(&refused, StorageError::Lost { reason, .. } if reason.contains("breaks at record 22")), "{refused:?}");
}

#[test]
fn a_copy_of_an_open_journal_opens_with_all_that_was_acknowledged() {
    let place = tempfile::tempdir().unwrap();
    let (folder, copied) = (place.path().join("journal"), place.path().join("copied"));
    let journal = filled(&folder);
    fill(&journal, &program("two"), 5);
    // As a process that is killed leaves it.
    copy_folder(&folder, &copied);

    let opened = open(&copied);

    assert_eq!(crate::fixture::content(&opened), crate::fixture::content(&journal));
    if cfg!(target_os = "linux") {
        assert_eq!(opened.doubt(), None, "the machine has not gone down since");
    }
    assert!(check(&opened).is_sound());
}

#[test]
fn after_the_machine_went_down_it_is_told_what_cannot_be_known() {
    let place = tempfile::tempdir().unwrap();
    let (folder, copied) = (place.path().join("journal"), place.path().join("copied"));
    let journal = filled(&folder);
    copy_folder(&folder, &copied);
    crate::fixture::as_of_another_boot(&copied.join("watermark"));

    let opened = open(&copied);

    let doubt = opened.doubt().expect("it cannot be known").to_owned();
    assert!(doubt.contains("not known") && doubt.contains("`two` 20"), "{doubt}");
    assert_eq!(check(&opened).doubt, Some(doubt));
    drop((opened, journal));
    assert_eq!(open(&folder).doubt(), None, "a journal that was closed leaves no doubt");
}

#[test]
fn a_shortened_index_of_sled_is_named_with_what_to_do_and_that_works() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("journal");
    let sound = closed(&folder);
    let index = files_of(&folder).into_iter().find(|file| file.file_name().unwrap().to_string_lossy().starts_with("snap."));
    let index = index.expect("sled writes one when it closes");
    std::fs::File::options().write(true).open(&index).unwrap().set_len(40).unwrap();

    let refused = try_open(&folder).map(drop).unwrap_err().to_string();

    let name = index.file_name().unwrap().to_string_lossy().into_owned();
    assert!(refused.contains(&name) && refused.contains("move that file out of it"), "{refused}");
    std::fs::remove_file(index).unwrap();
    assert_eq!(answer(&folder, &sound), Answer::Right);
}
