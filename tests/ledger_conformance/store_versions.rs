//! Claims about stores of every shipped format version: they open and show what was written.

use std::path::Path;

use selfsame::adapters::ledger::open::JOURNAL_FOLDER;
use selfsame::book::command::{CaseStep, Change};
use selfsame::book::records::{HoldSubject, ListSubject};
use selfsame::screening::case::Resolution;
use selfsame::vocabulary::outcome::{OutcomeKind, OutcomeSubject};

use crate::reopening::everything;
use crate::subject::{Subject, account, blocked, conversion_id, draft, full_bundle};
use crate::{in_memory, on_disk};

/// A store of format version 1 as it was shipped, without the zeros at the end of its file.
const STORE_V1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store_v1");
/// Sled's file grows by segments of this size; the last byte is not written.
const SEGMENT_BYTES: usize = 524_288;

/// One record of each kind, and every state of a case.
fn play_one_of_each(subject: &Subject) {
    subject.signals("r1", vec![full_bundle("a0", 1_000)]).unwrap();
    for (number, how) in (0..).zip(["approve", "review", "reject", "review", "review"]) {
        let draft = draft(&format!("c{number}"), "a0", &format!("b{number}")).at(number).decided(how).referee_on_device(3);
        subject.screen(&draft);
    }
    subject.resolve("c1", Resolution::Accept);
    subject.resolve("c3", Resolution::Reject);
    subject.reopen("c3");
    subject.step("c4", "rita", 61, CaseStep::Note).unwrap();
    subject.pay("c0");
    subject.change_hold(HoldSubject::Conversion(conversion_id("c1")), Change::Place);
    subject.change_hold(HoldSubject::Referrer(account("a0")), Change::Place);
    subject.change_list(blocked(ListSubject::Account(account("x1"))), Change::Place);
    subject.outcome("o1", OutcomeKind::ChargeRefunded, OutcomeSubject::Conversion(conversion_id("c0")));
    subject.ban("b2");
}

#[test]
fn a_store_of_version_1_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join(JOURNAL_FOLDER);
    std::fs::create_dir_all(&journal).unwrap();
    for entry in std::fs::read_dir(STORE_V1).unwrap() {
        let entry = entry.unwrap();
        let mut bytes = std::fs::read(entry.path()).unwrap();
        if entry.file_name() == "db" {
            bytes.resize(bytes.len().next_multiple_of(SEGMENT_BYTES) - 1, 0);
        }
        std::fs::write(journal.join(entry.file_name()), bytes).unwrap();
    }
    let memory = in_memory();
    play_one_of_each(&memory);
    let opened = on_disk(folder.path());
    assert_eq!(everything(&opened), everything(&memory));
    assert!(!everything(&opened).decisions.is_empty());
}

/// Writes the store of a new format version, once, before it is shipped. Never again for the same version.
#[test]
#[ignore = "writes a fixture"]
fn write_the_store_of_this_version() {
    let folder = tempfile::tempdir().unwrap();
    let disk = on_disk(folder.path());
    play_one_of_each(&disk);
    drop(disk);
    std::fs::create_dir(STORE_V1).unwrap();
    for entry in std::fs::read_dir(folder.path().join(JOURNAL_FOLDER)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() && entry.file_name() != "lock" {
            let mut bytes = std::fs::read(entry.path()).unwrap();
            let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            bytes.truncate(length);
            std::fs::write(Path::new(STORE_V1).join(entry.file_name()), bytes).unwrap();
        }
    }
}
