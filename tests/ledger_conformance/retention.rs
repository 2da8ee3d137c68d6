//! Claims about what a ledger on disk forgets by age, what it never forgets, and that it opens again whatever is left.

use std::path::Path;

use selfsame::adapters::embedded::SNAPSHOTS_FOLDER;
use selfsame::book::Refusal;
use selfsame::book::command::{CaseStep, Change};
use selfsame::book::query::{CaseFilter, CaseOrder};
use selfsame::book::records::{HoldSubject, ListSubject};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::case::{Resolution, Step};
use selfsame::screening::gate::{Gate, GateReason, Held, Record};
use selfsame::screening::history::{Banned, History};
use selfsame::vocabulary::ids::{InvoiceId, ProgramId};
use selfsame::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use selfsame::vocabulary::time::{Span, Timestamp};

use crate::reopening::{DIRECTORY_RECORDS, play_with_the_directory};
use crate::subject::{Subject, account, blocked, conversion_id, draft, minute, page, pages, shop};

/// Everything at or after this is young.
const HORIZON: i64 = 1_000;

fn forgetting(folder: &Path) -> Subject {
    crate::quietly_on_disk(folder)
}

/// Removes what is older than a time. Ages are counted from the newest record, so there is one, in another programme.
fn forget(subject: &Subject, horizon: Timestamp) -> u64 {
    let (age, now) = (Span::from_minutes(30), horizon.plus(Span::from_minutes(30)));
    let minutes = now.since(minute(0)).as_millis() / 60_000;
    let young = draft(&format!("young-{minutes}"), "somebody", "else").at(minutes);
    subject.screen(&young.change(|conversion| conversion.program_id = ProgramId::new("other").unwrap()));
    subject.ledger.forget_older_than(Some(age), now).unwrap()
}

/// Snapshots may be lost: without them the ledger must open from what is left of the journal.
fn reopened_without_snapshots(subject: Subject, folder: &Path) -> Subject {
    drop(subject);
    std::fs::remove_dir_all(folder.join(SNAPSHOTS_FOLDER)).unwrap();
    forgetting(folder)
}

fn is_known(subject: &Subject, id: &str) -> bool {
    match subject.ledger.decision(&shop(), &conversion_id(id)) {
        Ok(record) => record.is_some(),
        Err(LedgerError::Refused(Refusal::Removed { what: "conversion", id: named })) if named == id => false,
        Err(other) => panic!("{other}"),
    }
}

/// The history of a conversion whose referee is this account. Screens it.
fn history_of(subject: &Subject, referee: &str) -> History {
    subject.history(&draft(&format!("probe-{referee}"), "somebody", referee).at(HORIZON + 9_000))
}

#[test]
fn what_is_too_old_goes_and_what_still_speaks_stays() {
    let folder = tempfile::tempdir().unwrap();
    let subject = forgetting(folder.path());
    subject.screen(&draft("old-1", "ann", "bob").at(1));
    subject.pay("old-1");
    subject.screen(&draft("old-2", "abe", "cleo").at(2).decided("review"));
    subject.resolve("old-2", Resolution::Reject);
    subject.ban("ben");
    subject.change_list(blocked(ListSubject::Account(account("mallory"))), Change::Place);
    subject.change_list(blocked(ListSubject::Account(account("pardoned"))), Change::Place);
    subject.change_list(blocked(ListSubject::Account(account("pardoned"))), Change::Lift);
    subject.change_hold(HoldSubject::Referrer(account("hugo")), Change::Place);
    let told = subject.feed();
    let (third, last) = (told[2].cursor, told.last().unwrap().cursor);
    let old = last.place.0;
    subject.screen(&draft("new-1", "hugo", "dora").at(HORIZON + 1));
    assert_eq!(forget(&subject, minute(HORIZON)), old);
    assert_eq!(forget(&subject, minute(HORIZON)), 0, "once is enough");

    let claims = |subject: &Subject| {
        assert_eq!([is_known(subject, "old-1"), is_known(subject, "old-2"), is_known(subject, "new-1")], [false, false, true]);
        let cases = subject.ledger.cases(&shop(), &CaseFilter::default(), CaseOrder::OldestFirst, &page(10), minute(HORIZON));
        assert_eq!(cases.unwrap().entries.len(), 0, "a case without its decision is not listed");
        let listed = pages(10, |page| subject.ledger.list_entries(&shop(), None, page).unwrap());
        assert_eq!(listed.into_iter().map(|entry| entry.subject).collect::<Vec<_>>(), [ListSubject::Account(account("mallory"))]);
        assert_eq!(pages(10, |page| subject.ledger.holds(&shop(), page).unwrap()).len(), 1);
        assert_ne!(subject.gate("new-1"), Gate::Release, "its referrer is held");
        // From the beginning the feed begins with what is left; whoever was on the way is told.
        let cursors: Vec<u64> = subject.feed().iter().map(|event| event.cursor.place.0).collect();
        assert_eq!(cursors, [old + 1]);
        let missed = subject.ledger.feed(&shop(), Some(third), 10);
        assert_eq!(missed, Err(LedgerError::CursorForgotten { oldest: old + 1 }));
        assert_eq!(subject.ledger.feed(&shop(), Some(last), 10).unwrap().0.len(), 1);
        assert_eq!(subject.ledger.labelled(&shop(), None, 10).unwrap().0.len(), 1);
    };
    claims(&subject);
    let refused = subject.step("old-2", "rita", HORIZON + 2, CaseStep::Step(Step::Reopen));
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::Removed { what: "case", .. }))), "{refused:?}");
    let refused = subject.try_change_hold(HoldSubject::Conversion(conversion_id("old-2")), Change::Place);
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::Removed { what: "conversion", .. }))), "{refused:?}");
    let subject = reopened_without_snapshots(subject, folder.path());
    claims(&subject);
    assert_eq!(history_of(&subject, "mallory").list_hits.len(), 1);
    assert_eq!(history_of(&subject, "pardoned").list_hits.len(), 0);
    assert_eq!(history_of(&subject, "ben").referee.banned, Banned::Yes);
    let again = subject.try_screen(&draft("old-1", "ann", "bob").at(1));
    assert!(matches!(again, Err(LedgerError::Refused(Refusal::NotPossible(_)))), "its id is known for ever: {again:?}");
    assert_eq!(subject.gate_of("rw-old-1", "new-1"), Gate::Deny, "what was paid stays paid");
}

#[test]
fn what_waits_for_a_decision_or_is_held_stays_with_everything_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let subject = forgetting(folder.path());
    let unnamed = |id: &str, referrer: &str, referee: &str| draft(id, referrer, referee).change(|c| c.rewards.clear());
    subject.screen(&unnamed("c1", "ann", "bob").at(1));
    subject.screen(&unnamed("c2", "abe", "cleo").at(2).decided("review"));
    subject.screen(&unnamed("c3", "abe", "dora").at(3));
    subject.change_hold(HoldSubject::Conversion(conversion_id("c3")), Change::Place);
    subject.screen(&unnamed("c4", "abe", "emil").at(4));
    assert_eq!(forget(&subject, minute(HORIZON)), 1, "up to the undecided one");
    subject.resolve("c2", Resolution::Accept);
    assert_eq!(forget(&subject, minute(HORIZON)), 1, "up to the held one");
    let subject = reopened_without_snapshots(subject, folder.path());
    assert!(is_known(&subject, "c3") && is_known(&subject, "c4") && !is_known(&subject, "c2"));
    assert!(subject.standing("c3").unwrap().referral_held == Held::Yes);
    subject.change_hold(HoldSubject::Conversion(conversion_id("c3")), Change::Lift);
    forget(&subject, minute(HORIZON));
    assert_eq!(subject.feed(), []);
}

#[test]
fn money_that_is_approved_and_not_paid_is_kept_until_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let subject = forgetting(folder.path());
    subject.screen(&draft("c1", "ann", "bob").at(1).decided("reject"));
    subject.screen(&draft("c2", "ann", "cleo").at(2));
    subject.screen(&draft("c3", "ann", "dora").at(3));
    assert_eq!(forget(&subject, minute(HORIZON)), 1);
    assert_eq!(subject.gate("c2"), Gate::Release, "however old it is");
    let again = draft("c9", "ann", "cleo").at(HORIZON + 9).change(|c| c.invoice_id = InvoiceId::new("inv-c2").ok());
    assert_eq!(
        subject.screen(&again).record.decision.duplicate_of,
        Some(conversion_id("c2")),
        "and is not paid under another id"
    );
    subject.pay("c2");
    assert_eq!(forget(&subject, minute(HORIZON)), 1);
    subject.outcome("o1", OutcomeKind::Chargeback, OutcomeSubject::Conversion(conversion_id("c3")));
    assert!(forget(&subject, minute(HORIZON)) > 0, "what is cancelled is paid no more");
    assert!(!is_known(&subject, "c2") && !is_known(&subject, "c3"));
}

#[test]
fn a_ledger_opens_although_later_records_speak_of_what_was_removed() {
    let folder = tempfile::tempdir().unwrap();
    let subject = forgetting(folder.path());
    for number in 0..4 {
        subject.screen(&draft(&format!("old-{number}"), "ann", &format!("bob{number}")).at(number).decided("review"));
        subject.resolve(&format!("old-{number}"), Resolution::Accept);
    }
    subject.screen(&draft("new", "ann", "cleo").at(HORIZON + 1));
    subject.pay("old-0");
    subject.outcome("o1", OutcomeKind::Chargeback, OutcomeSubject::Conversion(conversion_id("old-0")));
    subject.outcome("o2", OutcomeKind::Chargeback, OutcomeSubject::Conversion(conversion_id("new")));
    subject.step("old-1", "rita", HORIZON + 2, CaseStep::Note).unwrap();
    subject.ban("ann");
    assert_eq!(subject.gate_now("rw-old-2", "old-2"), Gate::Deny, "its referrer was banned");
    assert_eq!(forget(&subject, minute(HORIZON)), 8);
    assert_eq!(subject.standing("old-0").unwrap().record, Record::Removed, "at once");
    assert_eq!(subject.reason_now("old-2"), GateReason::Removed);
    let subject = reopened_without_snapshots(subject, folder.path());
    assert!(subject.standing("new").unwrap().cancelled.is_some());
    assert_eq!(subject.standing("old-0").unwrap().record, Record::Removed);
    assert_eq!(subject.reason_now("old-0"), GateReason::AlreadyPaid, "what was paid stays paid");
    assert_eq!((subject.reason_now("old-2"), subject.gate("old-2")), (GateReason::Removed, Gate::Hold));
}

#[test]
fn while_a_backup_runs_nothing_is_removed_and_later_it_is() {
    struct Asking<'a>(&'a Subject, Option<u64>);
    impl std::io::Write for Asking<'_> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // The head of the file is written before the moment is taken.
            if bytes.len() > 64 {
                self.1.get_or_insert_with(|| forget(self.0, minute(HORIZON)));
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let subject = forgetting(folder.path());
    subject.screen(&draft("old", "ann", "bob").at(1).decided("reject"));
    let mut asking = Asking(&subject, None);
    subject.ledger.back_up(&mut asking).unwrap();
    assert_eq!(asking.1, Some(0));
    assert_eq!(forget(&subject, minute(HORIZON)), 1);
}

#[test]
fn what_was_chosen_what_audits_found_and_a_tripped_breaker_outlive_the_records_that_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let subject = forgetting(folder.path());
    subject.activate("m-1");
    // All before the horizon: none of it waits for anything.
    for number in 0..12 {
        let id = format!("c{number}");
        let draft = draft(&id, &format!("r{number}"), &format!("e{number}")).at(number).decided("audit");
        subject.screen(&draft.change(|c| c.rewards.clear()));
        subject.resolve(&id, if number == 3 { Resolution::Reject } else { Resolution::Accept });
    }
    play_with_the_directory(&subject);
    let directory = subject.ledger.directory().unwrap();
    let before = subject.models();
    assert!(before.audits_of("m-1").is_tripped() && before.audits_of("m-1").abusive == 1);
    let all = subject.ledger.programs()[0].last_cursor.0;
    subject.screen(&draft("new-1", "hugo", "dora").at(HORIZON + 1));
    assert_eq!(forget(&subject, minute(HORIZON)), all + DIRECTORY_RECORDS, "nothing is left of it");
    let counted = |subject: &Subject| {
        let models = subject.models();
        let told: Vec<_> = models.changes().cloned().collect();
        (models.choices().cloned(), models.audits_of("m-1"), told)
    };
    let of_before = (before.choices().cloned(), before.audits_of("m-1"), before.changes().cloned().collect());
    assert_eq!(counted(&subject), of_before);
    let subject = reopened_without_snapshots(subject, folder.path());
    assert_eq!(counted(&subject), of_before);
    assert!(directory.asks_who_calls() && directory == subject.ledger.directory().unwrap());
}
