//! Claims about the audit trail, and about what is left of an account whose signals were erased.

use std::path::{Path, PathBuf};

use selfsame::adapters::embedded::JOURNAL_FOLDER;
use selfsame::adapters::journal::{JournalOptions, SledJournal, check};
use selfsame::book::Refusal;
use selfsame::book::command::{Change, Command, Done, Erasure, Executed, PaidCommand, Request};
use selfsame::book::erasures::EraseCommand;
use selfsame::book::looks::{Look, LooksCommand, Seen};
use selfsame::book::records::{ContentFingerprint, Cursor, Freshness, ListSubject};
use selfsame::book::trail::TrailEntry;
use selfsame::ledger::trail::{TrailFile, Verification, leaf_of};
use selfsame::ledger::{ColdAfter, LedgerOptions};
use selfsame::ports::journal::{Direction, Reach};
use selfsame::ports::ledger::{LedgerError, TrailLine, TrailPart};
use selfsame::screening::case::Resolution;
use selfsame::vocabulary::bundle::SignalBundle;
use selfsame::vocabulary::ids::{ProgramId, RequestId};
use selfsame::vocabulary::time::Span;

use crate::subject::{Subject, account, actor, blocked, conversion_id, draft, full_bundle, minute, reward, shop, value};

fn everything() -> Reach {
    Reach { from: Cursor(1), to: Cursor(u64::MAX >> 1), direction: Direction::Forward, limit: 1_000 }
}

/// All lines of the trail, in order.
fn lines(subject: &Subject) -> Vec<TrailLine> {
    let mut reach = everything();
    let mut all = Vec::new();
    loop {
        let TrailPart { lines, .. } = subject.ledger.trail(&shop(), reach).unwrap();
        let Some(last) = lines.last() else { return all };
        reach.from = Cursor(last.place.0 + 1);
        all.extend(lines);
    }
}

fn entries(subject: &Subject) -> Vec<TrailEntry> {
    lines(subject).iter().map(|line| serde_json::from_str(line.text.as_ref().unwrap()).unwrap()).collect()
}

/// The trail as a file, which is sound.
fn exported(subject: &Subject) -> Vec<String> {
    let (mut file, head) = TrailFile::begin(&shop(), Cursor(1));
    let mut exported = vec![head];
    exported.extend(lines(subject).iter().map(|line| file.line(line.place, &line.leaf, line.text.as_deref())));
    let mut verification = Verification::default();
    for line in &exported {
        verification.line(line);
    }
    verification.line(&file.end());
    assert_eq!(verification.finish().findings, Vec::<String>::new());
    exported
}

fn entry_of(entries: &[TrailEntry], act: &str) -> TrailEntry {
    entries.iter().find(|entry| entry.act == act).unwrap_or_else(|| panic!("no {act} in {entries:?}")).clone()
}

pub(crate) fn every_record_is_an_entry_that_says_who_and_what(subject: &Subject) {
    let review = draft("cv1", "ann", "bob").decided("review");
    subject.execute(Command::Screen(Box::new(review.command())).by(&actor("backend"))).unwrap();
    subject.resolve("cv1", Resolution::Accept);
    let paid = PaidCommand {
        program_id: shop(),
        conversion_id: conversion_id("cv1"),
        reward_id: reward("rw-cv1"),
        reservation_id: None,
        paid_at: minute(30_000),
        amount: None,
        request: None,
        received_at: minute(30_000),
    };
    subject.execute(Command::MarkPaid(paid).by(&actor("payouts"))).unwrap();
    subject.change_list(blocked(ListSubject::Account(account("mallory"))), Change::Place);
    let entries = entries(subject);
    assert_eq!(entries.iter().map(|entry| entry.place).collect::<Vec<_>>(), (1..=entries.len() as u64).collect::<Vec<_>>());
    let screened = entry_of(&entries, "conversion.screened");
    assert_eq!(
        (screened.by.as_str(), &screened.conversions[..], &screened.accounts[..]),
        ("backend", &["cv1".to_owned()][..], &["ann".to_owned(), "bob".to_owned()][..])
    );
    assert_eq!(screened.facts["verdict"], "in_review");
    let accepted = entry_of(&entries, "case.accepted");
    assert_eq!((accepted.facts["previous_verdict"].as_str(), accepted.facts["verdict"].as_str()), ("in_review", "approved"));
    assert!(!accepted.by.is_empty());
    let paid = entry_of(&entries, "payout.paid");
    assert_eq!((paid.by.as_str(), paid.facts["reward_id"].as_str()), ("payouts", "rw-cv1"));
    let listed = entry_of(&entries, "list.placed");
    assert_eq!((listed.facts["list"].as_str(), &listed.accounts[..]), ("blocked", &["mallory".to_owned()][..]));
    let backwards = subject.ledger.trail(&shop(), Reach { direction: Direction::Backward, ..everything() }).unwrap().lines;
    assert_eq!(backwards.into_iter().rev().collect::<Vec<_>>(), lines(subject));
    exported(subject);
}

pub(crate) fn who_looked_at_whom_is_kept(subject: &Subject) {
    subject.screen(&draft("cv1", "ann", "bob"));
    let looks = vec![
        Look { seen: Seen::Case(conversion_id("cv1")), at: minute(50) },
        Look { seen: Seen::Account(account("ann")), at: minute(51) },
    ];
    let before = subject.standing("cv1");
    let command = LooksCommand { program_id: shop(), actor: actor("rita"), looks, at: minute(52) };
    subject.execute(Command::KeepLooks(command)).unwrap();
    let entry = entry_of(&entries(subject), "person.looked_at");
    assert_eq!(entry.by, "rita");
    assert_eq!((&entry.conversions[..], &entry.accounts[..]), (&["cv1".to_owned()][..], &["ann".to_owned()][..]));
    assert!(entry.facts["look 001"].starts_with("account ann at 20"), "{entry:?}");
    assert_eq!(subject.standing("cv1"), before, "it changes nothing");
}

pub(crate) fn the_chain_is_the_same_after_retention(subject: &Subject) {
    for number in 0..20 {
        let id = format!("old{number}");
        subject.screen(&draft(&id, "ann", &format!("b{number}")).decided(if number == 3 { "review" } else { "approve" }));
        if number == 3 {
            subject.resolve(&id, Resolution::Reject);
        } else {
            subject.try_pay(&id, &format!("rw-{id}")).unwrap();
        }
    }
    let young =
        draft("young", "eve", "zoe").at(90_000).change(|conversion| conversion.program_id = ProgramId::new("other").unwrap());
    subject.screen(&young);
    let before = lines(subject);
    let hashes = |lines: &[TrailLine]| lines.iter().map(|line| (line.place, line.leaf)).collect::<Vec<_>>();
    let removed = subject.ledger.forget_older_than(Some(Span::from_minutes(30)), minute(90_030)).unwrap();
    assert!(removed > 10, "{removed}");
    let after = lines(subject);
    assert_eq!(hashes(&after), hashes(&before), "no entry is lost");
    let removed = usize::try_from(removed).unwrap();
    for line in &after[..removed] {
        if let Some(text) = &line.text {
            assert_eq!(leaf_of(text), line.leaf);
        } else {
            let text = before[usize::try_from(line.place.0 - 1).unwrap()].text.as_ref().unwrap();
            assert!(text.contains("conversion.screened"), "what people did, and money, stays as a whole: {text}");
        }
    }
    assert!(after.iter().any(|line| line.text.is_none()));
    exported(subject);
    // Another pass, which takes what was kept with it.
    subject.screen(&draft("later", "ann", "yan").at(200_000));
    subject.ledger.forget_older_than(Some(Span::from_minutes(30)), minute(200_030)).unwrap();
    assert_eq!(hashes(&lines(subject))[..before.len()], hashes(&before)[..]);
    exported(subject);
}

fn erase(subject: &Subject, id: &str, call: Option<&str>) -> Result<Executed, LedgerError> {
    let request = call.map(|call| Request { id: RequestId::new(call).unwrap(), content: ContentFingerprint([9; 16]) });
    let (program_id, account_id, reason_code, at) = (shop(), account(id), "asked_by_the_person".to_owned(), minute(60_000));
    subject.execute(Command::Erase(EraseCommand { program_id, account_id, actor: actor("lea"), reason_code, request, at }))
}

fn with_full_sides(id: &str, referrer: &str, referee: &str, numbers: (u32, u32)) -> crate::subject::Draft {
    draft(id, referrer, referee).change(|conversion| {
        conversion.referrer = full_bundle(referrer, numbers.0);
        conversion.referee = full_bundle(referee, numbers.1);
    })
}

pub(crate) fn an_erased_account_leaves_ids_codes_amounts_and_standing(subject: &Subject) {
    let own = with_full_sides("cv1", "ann", "bob", (7_000, 8_000));
    subject.screen(&own);
    subject.screen(&with_full_sides("cv2", "ann", "carl", (7_000, 9_000)).decided("review"));
    subject.signals("more", vec![full_bundle("bob", 8_500), full_bundle("carl", 9_500)]).unwrap();
    subject.resolve("cv2", Resolution::Accept);
    subject.pay("cv2");
    subject.settled("cv1");
    subject.settled("cv2");
    let (standings, gates) = (["cv1", "cv2"].map(|id| subject.standing(id)), ["cv1", "cv2"].map(|id| subject.gate(id)));
    let (_, held) = subject.ledger.feed(&shop(), None, 2).unwrap();
    let trail = lines(subject);
    let decided = subject.ledger.decision(&shop(), &conversion_id("cv1")).unwrap().unwrap().decision;

    erase(subject, "bob", None).unwrap();
    assert_eq!(subject.ledger.finish_erasures().unwrap(), 1);

    let record = subject.ledger.decision(&shop(), &conversion_id("cv1")).unwrap().unwrap();
    assert_eq!(record.conversion.referee, SignalBundle::of_account(account("bob")));
    assert_eq!(record.conversion.referrer, full_bundle("ann", 7_000), "the other side is another person");
    assert_eq!(record.conversion.rewards, own.command().conversion.rewards);
    assert_eq!(record.decision, decided);
    assert_eq!(["cv1", "cv2"].map(|id| subject.standing(id)), standings);
    assert_eq!(["cv1", "cv2"].map(|id| subject.gate(id)), gates);
    let again = subject.try_screen(&own).unwrap();
    assert_eq!(again.freshness, Freshness::Replayed, "a retry is still known");
    assert!(subject.ledger.feed(&shop(), Some(held), 100).is_ok(), "cursors lead on");
    assert_eq!(
        lines(subject)[..trail.len()].iter().map(|line| (line.place, line.leaf)).collect::<Vec<_>>(),
        trail.iter().map(|line| (line.place, line.leaf)).collect::<Vec<_>>()
    );
    let (erased, finished) =
        (entry_of(&entries(subject), "account.erased"), entry_of(&entries(subject), "account.erasure_finished"));
    assert_eq!((erased.by.as_str(), finished.by.as_str()), ("lea", "selfsame"));
    let all = lines(subject);
    let vouched: Vec<_> = all.iter().flat_map(|line| line.vouches.clone()).collect();
    let rewritten: Vec<_> = all.iter().filter_map(|line| Some((line.place, line.rewritten?))).collect();
    assert_eq!((vouched.clone(), rewritten.len()), (rewritten, 2), "the erasure says what it rewrote: {vouched:?}");
    let (labelled, _) = subject.ledger.labelled(&shop(), None, 100).unwrap();
    assert!(labelled.iter().all(|one| one.record.conversion.referee.account_id != account("bob")
        || one.record.conversion.referee == SignalBundle::of_account(account("bob"))));
}

pub(crate) fn what_an_erased_account_shared_ties_nobody_to_it_any_more(subject: &Subject) {
    subject.screen(&draft("cv1", "ann", "bob").referee_on_device(77));
    let seen = subject.history(&draft("cv2", "dora", "emil").referee_on_device(77));
    let alone = subject.history(&draft("cv5", "jon", "kim").referee_on_device(79)).ring.accounts;
    assert!(seen.ring.accounts > alone, "the two are one ring: {:?}", seen.ring);
    erase(subject, "bob", None).unwrap();
    erase(subject, "emil", None).unwrap();
    assert_eq!(subject.ledger.finish_erasures().unwrap(), 2);
    let fresh = subject.history(&draft("cv3", "fred", "gina").referee_on_device(77));
    assert_eq!(fresh.ring.accounts, alone, "{:?}", fresh.ring);
    let third = subject.history(&draft("cv4", "hugo", "iris").referee_on_device(77));
    assert!(third.ring.accounts > alone, "whoever is left is still compared");
}

pub(crate) fn an_erasure_is_asked_for_once_and_tells_when_it_is_done(subject: &Subject) {
    subject.screen(&draft("cv1", "ann", "bob").referee_on_device(77));
    let asked = |subject: &Subject| match erase(subject, "bob", Some("call-1")).unwrap() {
        Executed { freshness, done: Done::Erased(erasure), .. } => (freshness, erasure),
        other => panic!("{other:?}"),
    };
    assert_eq!(asked(subject), (Freshness::New, Erasure::UnderWay));
    assert_eq!(asked(subject), (Freshness::Replayed, Erasure::UnderWay));
    assert_eq!(subject.ledger.finish_erasures().unwrap(), 1);
    assert_eq!(asked(subject), (Freshness::Replayed, Erasure::Finished));
    assert_eq!(subject.ledger.finish_erasures().unwrap(), 0, "nothing is left to do");
    let unknown = erase(subject, "nobody", None).unwrap_err();
    assert_eq!(unknown, LedgerError::Refused(Refusal::NotFound { what: "account", id: "nobody".to_owned() }));
    // Whoever comes again is somebody new.
    subject.signals("again", vec![full_bundle("bob", 8_500)]).unwrap();
    assert_eq!(subject.ledger.finish_erasures().unwrap(), 0);
}

/// The files of a folder, at any depth, that hold one of these digests.
fn holding(folder: &Path, digests: &[[u8; 32]]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, digests));
        } else if std::fs::read(&path).unwrap().windows(32).any(|w| w.starts_with(&[0x5a; 28]) && digests.iter().any(|d| d == w))
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_file_of_the_folder_holds_a_digest_of_an_erased_account() {
    for cold_after in [ColdAfter::Never, ColdAfter::EachCommand] {
        let folder = tempfile::tempdir().unwrap();
        let options = LedgerOptions { cold_after, snapshot_every_records: 2, ..LedgerOptions::default() };
        let subject = crate::on_disk_with(folder.path(), options.clone());
        subject.screen(&with_full_sides("cv1", "ann", "bob", (7_000, 8_000)));
        subject.screen(&with_full_sides("cv2", "bob", "carl", (8_100, 9_000)).decided("review"));
        subject.signals("more", vec![full_bundle("bob", 8_500), full_bundle("carl", 9_500)]).unwrap();
        for number in 0..40 {
            subject.screen(&with_full_sides(
                &format!("other{number}"),
                "ann",
                &format!("r{number}"),
                (7_000, 20_000 + number * 10),
            ));
        }
        let own: Vec<[u8; 32]> =
            [8_000, 8_100, 8_500].iter().flat_map(|base| (0..5).map(move |n| value(base + n).value)).collect();
        let others: Vec<[u8; 32]> = [7_000, 9_000].iter().map(|base| value(*base).value).collect();
        assert!(!holding(folder.path(), &own).is_empty(), "they are there before");
        erase(&subject, "bob", None).unwrap();
        assert_eq!(subject.ledger.finish_erasures().unwrap(), 1);
        assert_eq!(holding(folder.path(), &own), Vec::<PathBuf>::new());
        assert!(!holding(folder.path(), &others).is_empty(), "what is others' stays");
        subject.screen(&draft("after", "ann", "zoe"));
        let (before, trail) = (["cv1", "cv2", "after"].map(|id| subject.standing(id)), exported(&subject));
        drop(subject);
        assert_eq!(holding(folder.path(), &own), Vec::<PathBuf>::new());
        let journal = SledJournal::open(&folder.path().join(JOURNAL_FOLDER), &JournalOptions::default()).unwrap();
        let report = check(&journal);
        assert!(report.is_sound(), "{report:?}");
        drop(journal);
        let again = crate::on_disk_with(folder.path(), options);
        assert_eq!(["cv1", "cv2", "after"].map(|id| again.standing(id)), before);
        assert_eq!(exported(&again), trail);
    }
}
