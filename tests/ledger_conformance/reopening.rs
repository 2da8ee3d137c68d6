//! Claims about what a ledger on disk is after it ended: cleanly, by a crash, or with its tables gone. Everything that can be read is
//! compared, so that a fold which depends on anything but the journal is found.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use selfsame::adapters::embedded::{self, COLD_FOLDER, JOURNAL_FOLDER, SNAPSHOTS_FOLDER};
use selfsame::adapters::journal::{JournalOptions, restore, verify_backup};
use selfsame::book::Refusal;
use selfsame::book::acts::PendingAct;
use selfsame::book::command::{CaseStep, Change, Command, DirectoryCommand, ModelsStep};
use selfsame::book::cursor::FeedCursor;
use selfsame::book::directory::{
    Archival, Directory, DirectoryStep, IdentitySettings, LedgerKey, ProgramSettings, Scope, Stage, Token, TokenDigest,
};
use selfsame::book::models::ProgramModels;
use selfsame::book::query::{CaseFilter, CaseOrder, DecisionFilter};
use selfsame::book::records::{
    CaseFile, DecisionRecord, FeedEvent, Freshness, Hold, HoldSubject, LabelledConversion, ListEntry, ListSubject, QueueStats,
};
use selfsame::ledger::{AuditKeys, ColdAfter, JournaledLedger, LateFacts, LedgerOptions};
use selfsame::ports::ledger::LedgerError;
use selfsame::ports::ledger::ProgramSummary;
use selfsame::screening::AutoReject;
use selfsame::screening::case::{Resolution, Step};
use selfsame::screening::gate::Standing;
use selfsame::screening::history::History;
use selfsame::screening::policy::ScoreSource;
use selfsame::vocabulary::ids::{ProgramId, TokenId};
use selfsame::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use selfsame::vocabulary::role::Role;
use selfsame::vocabulary::time::Span;

use crate::claims_acts::play_with_acts;
use crate::claims_models::audited;
use crate::subject::{
    Subject, account, actor, blocked, case_id, conversion_id, draft, email_of_pattern, full_bundle, minute, model, pages, shop,
};
use crate::{on_disk_with, quietly_in_memory, quietly_on_disk};

/// Everything that can be read of a ledger.
#[derive(Debug, PartialEq)]
pub(crate) struct Everything {
    programs: Vec<ProgramSummary>,
    pub(crate) decisions: Vec<DecisionRecord>,
    cases: Vec<Option<CaseFile>>,
    queue: Vec<String>,
    stats: QueueStats,
    standings: Vec<Option<Standing>>,
    feed: Vec<FeedEvent>,
    holds: Vec<Hold>,
    lists: Vec<ListEntry>,
    labelled: Vec<LabelledConversion>,
    pub(crate) models: Arc<ProgramModels>,
    directory: Arc<Directory>,
    acts: Vec<PendingAct>,
}

const CONVERSIONS: i64 = 60;

pub(crate) fn everything(subject: &Subject) -> Everything {
    let ledger = &subject.ledger;
    let now = minute(500);
    let ids: Vec<String> = (0..CONVERSIONS).map(|number| format!("c{number}")).collect();
    let queue = [
        CaseOrder::OldestFirst,
        CaseOrder::NewestFirst,
        CaseOrder::ScoreHighestFirst,
        CaseOrder::DueFirst,
        CaseOrder::ExpectedLossFirst,
    ]
    .map(|order| {
        let cases = pages(7, |page| ledger.cases(&shop(), &CaseFilter::default(), order, page, now).unwrap());
        cases.into_iter().map(|case| case.conversion_id.to_string()).collect::<Vec<_>>()
    });
    Everything {
        programs: ledger.programs(),
        decisions: pages(11, |page| ledger.decisions(&shop(), &DecisionFilter::default(), page).unwrap()),
        cases: ids.iter().map(|id| ledger.case(&shop(), &case_id(id), now).unwrap()).collect(),
        queue: queue.concat(),
        stats: ledger.queue_stats(&shop(), now).unwrap(),
        standings: ids.iter().map(|id| subject.standing(id)).collect(),
        feed: ledger.feed(&shop(), None, usize::MAX).unwrap().0,
        holds: pages(3, |page| ledger.holds(&shop(), page).unwrap()),
        lists: pages(3, |page| ledger.list_entries(&shop(), None, page).unwrap()),
        labelled: ledger.labelled(&shop(), None, usize::MAX).unwrap().0,
        models: subject.models(),
        directory: ledger.directory().unwrap(),
        acts: pages(3, |page| ledger.pending_acts(&shop(), page, now).unwrap()),
    }
}

/// Something of everything.
fn play(subject: &Subject) {
    subject.signals("r1", vec![full_bundle("a0", 1_000), full_bundle("b1", 1_010)]).unwrap();
    for number in 0..CONVERSIONS {
        let how = ["approve", "review", "reject"][usize::try_from(number % 3).unwrap()];
        let device = u32::try_from(number % 9).unwrap();
        let draft = draft(&format!("c{number}"), &format!("a{}", number % 5), &format!("b{}", number % 40))
            .at(number)
            .decided(how)
            .referee_on_device(device)
            .referee_on_address(7)
            .change(|c| c.referee.emails.push(email_of_pattern(50 + device, 100 + device)));
        subject.screen(&if number % 7 == 0 { draft.without_invoice() } else { draft });
    }
    let claim = || CaseStep::Step(Step::Claim { lease: Span::from_minutes(30) });
    for (id, resolution) in [("c1", Resolution::Accept), ("c4", Resolution::Reject), ("c7", Resolution::Accept)] {
        subject.step(id, "rita", 50, claim()).unwrap();
        subject.resolve(id, resolution);
    }
    subject.reopen("c7");
    subject.reopen("c2");
    subject.step("c1", "sam", 61, CaseStep::Note).unwrap();
    subject.pay("c0");
    subject.pay("c1");
    subject.pay("c3");
    subject.change_hold(HoldSubject::Conversion(conversion_id("c6")), Change::Place);
    subject.change_hold(HoldSubject::Conversion(conversion_id("c9")), Change::Place);
    subject.change_hold(HoldSubject::Conversion(conversion_id("c9")), Change::Lift);
    subject.change_hold(HoldSubject::Referrer(account("a2")), Change::Place);
    for number in 0..5 {
        subject.change_list(blocked(ListSubject::Account(account(&format!("x{number}")))), Change::Place);
    }
    subject.change_list(blocked(ListSubject::Account(account("x2"))), Change::Lift);
    subject.outcome("o1", OutcomeKind::ChargeRefunded, OutcomeSubject::Conversion(conversion_id("c3")));
    subject.outcome("o2", OutcomeKind::SubscriptionCanceled, OutcomeSubject::Account(account("b1")));
    subject.ban("a0");
    play_with_models(subject);
    play_with_acts(subject);
    play_with_the_directory(subject);
}

/// Records that [`play_with_the_directory`] makes.
pub(crate) const DIRECTORY_RECORDS: u64 = 9;

/// Registers programmes, lets callers in and turns one away.
pub(crate) fn play_with_the_directory(subject: &Subject) {
    let name = actor("backend");
    let settings = |id: &str| ProgramSettings {
        id: ProgramId::new(id).unwrap(),
        title: "The shop".to_owned(),
        stage: Stage::Production,
        currencies: BTreeSet::new(),
        confirmation: None,
        key_ids: BTreeSet::new(),
    };
    let identity = |name, role| IdentitySettings {
        name,
        roles: [role].into(),
        scope: Scope::All,
        certificates: ["it.internal".into()].into(),
    };
    let token = |id: &str| Token {
        id: TokenId::new(id).unwrap(),
        digest: TokenDigest([7; 32]),
        note: String::new(),
        issued_at: minute(70),
        issued_by: actor("ops"),
        expires_at: None,
        revoked_at: None,
    };
    let steps = [
        DirectoryStep::CreateProgram(settings("shop")),
        DirectoryStep::CreateProgram(settings("sandbox")),
        DirectoryStep::Archive(ProgramId::new("sandbox").unwrap(), Archival::Archived),
        DirectoryStep::PutIdentity(identity(actor("ops"), Role::Admin)),
        DirectoryStep::PutIdentity(IdentitySettings { certificates: BTreeSet::new(), ..identity(name.clone(), Role::Screener) }),
        DirectoryStep::IssueToken(name.clone(), token("tk-1")),
        DirectoryStep::IssueToken(name, token("tk-2")),
        DirectoryStep::RevokeToken(TokenId::new("tk-1").unwrap()),
        DirectoryStep::MakeKey(LedgerKey([3; 32])),
    ];
    for (number, step) in (70..).zip(steps) {
        let (program_id, actor) = (ProgramId::directory(), actor("ops"));
        let command = DirectoryCommand { program_id, step, actor, at: minute(number) };
        block_on(subject.ledger.execute(Command::ChangeDirectory(Box::new(command)))).unwrap();
    }
}

/// Chooses models, and lets reviewers break the promise of one.
fn play_with_models(subject: &Subject) {
    subject.activate("m-1");
    for number in 0..12 {
        let id = format!("audited{number}");
        audited(subject, &id);
        subject.resolve(&id, if number == 3 { Resolution::Reject } else { Resolution::Accept });
    }
    subject.reopen("audited5");
    subject.activate("m-22");
    audited(subject, "of-the-second");
    subject.try_models(ModelsStep::Challenge(Some(model("m-1")), ScoreSource::Model), None).unwrap();
    assert_eq!(subject.models().auto_reject("m-1"), AutoReject::Tripped);
}

/// The history of a conversion that touches much of what was played.
fn later_history(subject: &Subject) -> History {
    let draft = draft("later", "a3", "b8")
        .at(300)
        .referee_on_device(4)
        .referrer_on_device(3)
        .referee_on_address(7)
        .change(|c| c.referee.emails.push(email_of_pattern(53, 103)));
    subject.history(&draft)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn both_ledgers_show_the_same_after_the_same_commands() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, disk) = (quietly_in_memory(), quietly_on_disk(folder.path()));
    play(&memory);
    play(&disk);
    assert_eq!(everything(&memory), everything(&disk));
    assert_eq!(later_history(&memory), later_history(&disk));
}

#[test]
fn a_ledger_that_was_closed_opens_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let disk = quietly_on_disk(folder.path());
    play(&disk);
    let before = everything(&disk);
    drop(disk);
    let disk = quietly_on_disk(folder.path());
    assert_eq!(everything(&disk), before);
    let memory = quietly_in_memory();
    play(&memory);
    assert_eq!(later_history(&disk), later_history(&memory));
}

#[test]
fn a_ledger_that_crashed_holds_everything_that_was_answered() {
    let (folder, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = quietly_on_disk(folder.path());
    play(&disk);
    let before = everything(&disk);
    // What a killed process leaves: the files as they are, with no farewell.
    copy(folder.path(), crashed.path());
    let reopened = quietly_on_disk(crashed.path());
    assert_eq!(everything(&reopened), before);
    let replayed = reopened.screen(
        &draft("c6", "a1", "b6").at(6).decided("approve").referee_on_device(6).referee_on_address(7).change(|c| {
            c.referee.emails.push(email_of_pattern(56, 106));
        }),
    );
    assert_eq!(replayed.freshness, Freshness::Replayed);
    assert_eq!(later_history(&reopened), later_history(&disk));
}

#[test]
fn snapshots_that_are_gone_or_damaged_are_passed_over_and_the_journal_is_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = quietly_on_disk(folder.path());
    play(&disk);
    let before = everything(&disk);
    drop(disk);
    let snapshots = files_in(&folder.path().join(SNAPSHOTS_FOLDER));
    assert!(!snapshots.is_empty(), "a ledger that is closed leaves a snapshot");
    for path in &snapshots {
        let damaged: Vec<u8> = std::fs::read(path).unwrap().iter().map(|byte| byte ^ 0x55).collect();
        std::fs::write(path, damaged).unwrap();
    }
    let disk = quietly_on_disk(folder.path());
    assert_eq!(everything(&disk), before);
    drop(disk);
    std::fs::remove_dir_all(folder.path().join(SNAPSHOTS_FOLDER)).unwrap();
    let disk = quietly_on_disk(folder.path());
    assert_eq!(everything(&disk), before);
    drop(disk);
    assert!(!files_in(&folder.path().join(SNAPSHOTS_FOLDER)).is_empty(), "what was replayed is not replayed again");
    // From a snapshot it is the same again.
    let disk = quietly_on_disk(folder.path());
    assert_eq!((everything(&disk), later_history(&disk)), (before, later_history(&played_quietly_in_memory())));
}

/// All files below a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_in(&path)) } else { found.push(path) }
    }
    found
}

fn played_quietly_in_memory() -> Subject {
    let memory = quietly_in_memory();
    play(&memory);
    memory
}

#[test]
fn a_backup_taken_while_serving_holds_what_was_acknowledged_before_it_and_no_half_of_anything() {
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = quietly_on_disk(folder.path());
    play(&disk);
    let before = everything(&disk);
    let file = restored.path().join("backup");
    let told = std::thread::scope(|threads| {
        let writer =
            threads.spawn(|| (0..200).for_each(|number| drop(disk.screen(&draft(&format!("later{number}"), "a1", "b1")))));
        let told = disk.ledger.back_up(&mut std::fs::File::create(&file).unwrap()).unwrap();
        writer.join().unwrap();
        told
    });
    assert_eq!(verify_backup(&file).unwrap().digest, told.digest);
    restore(&file, &restored.path().join(JOURNAL_FOLDER)).unwrap();
    let again = quietly_on_disk(restored.path());
    let (restored, original) = (everything(&again), everything(&disk));
    assert!(restored.feed.len() >= before.feed.len());
    assert_eq!(restored.feed, original.feed[..restored.feed.len()]);
    assert_eq!(restored.labelled, original.labelled[..restored.labelled.len()]);
    assert_eq!(
        (restored.cases, restored.standings, restored.holds, restored.lists, restored.models, restored.directory),
        (before.cases, before.standings, before.holds, before.lists, before.models, before.directory)
    );
}

#[test]
fn after_a_restore_cursors_are_known_up_to_the_point_of_the_backup_and_no_further() {
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let disk = quietly_on_disk(folder.path());
    play(&disk);
    let held = disk.feed();
    let (_, point) = disk.ledger.feed(&shop(), None, usize::MAX).unwrap();
    let file = restored.path().join("backup");
    disk.ledger.back_up(&mut std::fs::File::create(&file).unwrap()).unwrap();
    let lost: Vec<FeedCursor> =
        (0..3).map(|number| disk.screen(&draft(&format!("lost{number}"), "a1", "b1")).record.cursor).collect();
    restore(&file, &restored.path().join(JOURNAL_FOLDER)).unwrap();
    let again = quietly_on_disk(restored.path());
    let new: Vec<FeedCursor> =
        (0..5).map(|number| again.screen(&draft(&format!("new{number}"), "a1", "b1")).record.cursor).collect();
    for known in held.iter().map(|event| event.cursor).chain([point]) {
        let (told, end) = again.ledger.feed(&shop(), Some(known), usize::MAX).unwrap();
        assert_eq!((told.last().unwrap().cursor, end), (new[4], new[4]));
    }
    for (old, new) in lost.iter().zip(&new) {
        assert_eq!(old.place, new.place, "a place says nothing alone");
        let refused = again.ledger.feed(&shop(), Some(*old), usize::MAX);
        assert_eq!(refused, Err(LedgerError::CursorOfOther { after: *old, end: new.place.0.max(point.place.0 + 5) }));
        assert!(disk.ledger.feed(&shop(), Some(*new), usize::MAX).is_err(), "and the other way round");
    }
}

#[test]
fn a_ledger_in_memory_says_that_it_has_nothing_to_back_up() {
    let refused = quietly_in_memory().ledger.back_up(&mut Vec::new());
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::NotPossible(_)))), "{refused:?}");
}

#[test]
fn a_journal_that_is_not_the_one_of_the_snapshots_beside_it_is_refused() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for place in [&folder, &other] {
        play(&quietly_on_disk(place.path()));
    }
    std::fs::remove_dir_all(other.path().join(JOURNAL_FOLDER)).unwrap();
    assert!(opened(other.path()).is_err(), "an empty journal beside snapshots is one that was lost");
    copy(&folder.path().join(JOURNAL_FOLDER), &other.path().join(JOURNAL_FOLDER));
    assert!(opened(other.path()).is_err(), "so is another one");
    assert!(opened(folder.path()).is_ok());
}

fn opened(folder: &Path) -> Result<JournaledLedger, embedded::EmbeddedError> {
    let probe = Arc::new(crate::subject::Probe::default());
    embedded::open(folder, JournalOptions::default(), LedgerOptions::default(), probe)
}

#[test]
fn a_second_ledger_on_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let _first = quietly_on_disk(folder.path());
    let second = opened(folder.path());
    assert!(second.err().unwrap().to_string().contains("in use"));
    assert!(folder.path().join(JOURNAL_FOLDER).is_dir());
}

/// As [`quietly_on_disk`], with everything cold after each command.
fn coldly_on_disk(folder: &Path) -> Subject {
    let (late_facts, cold_after) = (LateFacts::LeftAlone, ColdAfter::EachCommand);
    on_disk_with(folder, LedgerOptions { late_facts, cold_after, ..LedgerOptions::default() })
}

fn count(subject: &Subject, of: &str) -> usize {
    let readings = subject.ledger.0.readings();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
    let value = readings.iter().find(|reading| reading.name == of).map(|reading| reading.value as usize);
    value.expect("it is told")
}

/// Asks for something that is there already, and waits until what was read before is cold again.
fn let_it_cool(cold: &Subject) {
    cold.change_list(blocked(ListSubject::Account(account("x4"))), Change::Place);
    while count(cold, "cold_profiles_count") <= 30 {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_cold_is_there_after_every_end() {
    let (folder, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let warm = played_quietly_in_memory();
    let before = everything(&warm);
    let cold = coldly_on_disk(folder.path());
    play(&cold);
    let_it_cool(&cold);
    assert_eq!(everything(&cold), before);
    copy(folder.path(), crashed.path());
    // A killed process leaves no snapshot: all is replayed, and what lay there is not believed.
    assert_eq!(everything(&coldly_on_disk(crashed.path())), before);
    let_it_cool(&cold);
    drop(cold);
    let cold = coldly_on_disk(folder.path());
    let profiles = count(&cold, "cold_profiles_count");
    assert!(profiles > 30, "{profiles} accounts are cold in the snapshot");
    assert_eq!(everything(&cold), before);
    assert_eq!(later_history(&cold), later_history(&warm));
    // After the snapshot some came back and became cold anew; a crash leaves what the snapshot names.
    let crashed = tempfile::tempdir().unwrap();
    copy(folder.path(), crashed.path());
    let after = everything(&cold);
    let reopened = coldly_on_disk(crashed.path());
    assert!(count(&reopened, "cold_profiles_count") > 0, "the snapshot was not passed over");
    assert_eq!(everything(&reopened), after);
}

#[test]
fn what_is_cold_is_made_again_when_it_is_gone_or_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let cold = coldly_on_disk(folder.path());
    play(&cold);
    let_it_cool(&cold);
    drop(cold);
    let before = everything(&played_quietly_in_memory());
    let damage = |path: &Path| {
        let damaged: Vec<u8> = std::fs::read(path).unwrap().iter().map(|byte| byte ^ 0x55).collect();
        std::fs::write(path, damaged).unwrap();
    };
    let lose: [&dyn Fn(); 2] = [&|| std::fs::remove_dir_all(folder.path().join(COLD_FOLDER)).unwrap(), &|| {
        for path in files_in(&folder.path().join(COLD_FOLDER)) {
            damage(&path);
        }
    }];
    for lose in lose {
        lose();
        let quiet = quietly_on_disk(folder.path());
        assert_eq!(count(&quiet, "cold_profiles_count"), 0, "all was replayed");
        assert_eq!(everything(&quiet), before);
        drop(quiet);
        let cold = coldly_on_disk(folder.path());
        let_it_cool(&cold);
    }
}

#[test]
fn what_nobody_met_for_long_becomes_cold_and_comes_back_when_it_is_met() {
    let folder = tempfile::tempdir().unwrap();
    let months = |months: i64| months * 30 * 24 * 60;
    let old =
        |id: &str, referrer: &str, referee: &str, device| draft(id, referrer, referee).referee_on_device(device).at(months(0));
    let late = draft("late", "ann", "eve").referee_on_device(2).at(months(5));
    let play = |subject: &Subject| {
        subject.screen(&old("one", "ann", "bob", 1).referrer_on_device(9));
        subject.screen(&old("two", "cat", "dan", 2));
        subject.screen(&draft("three", "ann", "fay").referee_on_device(3).at(months(4)));
    };
    let quiet = quietly_on_disk(folder.path());
    play(&quiet);
    drop(quiet);
    let (late_facts, cold_after) = (LateFacts::LeftAlone, ColdAfter::Unmet(Span::from_days(60)));
    let cold = on_disk_with(folder.path(), LedgerOptions { late_facts, cold_after, ..LedgerOptions::default() });
    while count(&cold, "cold_profiles_count") < 2 {
        std::thread::yield_now();
    }
    assert_eq!((count(&cold, "cold_profiles_count"), count(&cold, "warm_profiles_count")), (2, 2), "ann was met lately");
    let warm = quietly_in_memory();
    play(&warm);
    assert_eq!(cold.history(&late), warm.history(&late));
    assert_eq!(count(&cold, "cold_fetches_count"), 1, "dan was on the device; nobody else was asked for");
    assert_eq!(count(&cold, "cold_profiles_count"), 1);
}

#[test]
fn a_programme_has_one_audit_key_for_ever_which_a_backup_brings_back() {
    let (folder, restored) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let making = || LedgerOptions { audit_keys: AuditKeys::MadeOnce, ..LedgerOptions::default() };
    let key = |subject: &Subject| subject.models().audit_key().map(|key| *key.bytes());
    let disk = on_disk_with(folder.path(), making());
    assert_eq!(key(&disk), None);
    disk.screen(&draft("c1", "ann", "bob"));
    let made = key(&disk);
    assert!(made.is_some_and(|made| made != [0; 32]));
    disk.screen(&draft("c2", "ann", "cleo"));
    let mut elsewhere = draft("c1", "ann", "bob");
    elsewhere.0.program_id = ProgramId::new("sandbox").unwrap();
    disk.screen(&elsewhere);
    assert_eq!(key(&disk), made);
    assert_ne!(disk.ledger.models(&ProgramId::new("sandbox").unwrap()).unwrap().audit_key().map(|key| *key.bytes()), made);
    assert_eq!(disk.ledger.programs()[1].last_cursor.0, 3, "the key, and two conversions");
    let file = restored.path().join("backup");
    disk.ledger.back_up(&mut std::fs::File::create(&file).unwrap()).unwrap();
    drop(disk);
    assert_eq!(key(&on_disk_with(folder.path(), making())), made);
    restore(&file, &restored.path().join(JOURNAL_FOLDER)).unwrap();
    let again = on_disk_with(restored.path(), making());
    again.screen(&draft("c3", "ann", "dora"));
    assert_eq!(key(&again), made);
}

#[test]
fn a_conversion_that_is_refused_gives_its_programme_no_key_and_registers_none() {
    let folder = tempfile::tempdir().unwrap();
    let options = LedgerOptions { audit_keys: AuditKeys::MadeOnce, memory_bytes_max: 1, ..LedgerOptions::default() };
    let disk = on_disk_with(folder.path(), options);
    let mut number = 0;
    let over_budget = loop {
        number += 1;
        if let Err(error) = disk.try_screen(&draft(&format!("c{number}"), "ann", &format!("e{number}"))) {
            break error;
        }
    };
    assert!(matches!(over_budget, LedgerError::OverBudget { .. }), "{over_budget}");
    let mut elsewhere = draft("c1", "ann", "bob");
    elsewhere.0.program_id = ProgramId::new("sandbox").unwrap();
    assert!(matches!(disk.try_screen(&elsewhere), Err(LedgerError::OverBudget { .. })));
    let known: Vec<String> = disk.ledger.programs().iter().map(|known| known.program_id.to_string()).collect();
    assert_eq!(known, ["shop"]);
}
