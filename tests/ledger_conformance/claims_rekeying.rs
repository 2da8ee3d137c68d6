//! Claims about a programme that changes its key: what is known goes on under the new one.

use selfsame::book::Refusal;
use selfsame::book::command::{Change, Command, Done, Executed, RekeyCommand, Request};
use selfsame::book::records::{ContentFingerprint, Freshness, ListSubject};
use selfsame::book::rekeying::{NewSketches, Rekeyed, RekeyedKind};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::decision::Verdict;
use selfsame::screening::history::{Crowd, History, Identifier, IdentifierKind};
use selfsame::vocabulary::digest::{Digest, DigestSet, KeyId};
use selfsame::vocabulary::ids::RequestId;

use crate::quietly_on_disk;
use crate::subject::{
    Draft, Subject, actor, blocked, card, conversion_id, device, draft, email_of_pattern, minute, pages, shop, value,
};

/// The same value under the new key.
fn renamed(number: u32) -> Digest {
    let mut bytes = value(number).value;
    bytes.reverse();
    Digest { value: bytes, key_id: KeyId::new("k2").unwrap() }
}

fn row(kind: RekeyedKind, number: u32) -> Rekeyed {
    Rekeyed { kind, old: value(number), new: renamed(number), sketches: NewSketches::NONE }
}

fn rekey(subject: &Subject, call: &str, values: Vec<Rekeyed>) -> Result<Executed, LedgerError> {
    let request = Request { id: RequestId::new(call).unwrap(), content: ContentFingerprint([3; 16]) };
    let (program_id, actor, note) = (shop(), actor("lena"), "the yearly change".to_owned());
    subject.execute(Command::Rekey(RekeyCommand { program_id, values, actor, note, request, at: minute(50) }))
}

/// A referee on a device that is sent under the new key alone.
fn on_renamed_device(id: &str, referrer: &str, referee: &str, number: u32) -> Draft {
    let mut signals = device(number);
    signals.fingerprint = Some(DigestSet::single(renamed(number)));
    draft(id, referrer, referee).at(60).change(|conversion| conversion.referee.devices.push(signals))
}

fn crowd(history: &History, digest: &Digest) -> Crowd {
    history.crowd(IdentifierKind::Device, &DigestSet::single(digest.clone()))
}

pub(crate) fn what_is_known_of_a_value_goes_on_under_its_new_name(subject: &Subject) {
    for (number, referee) in ["bo", "ben", "bea"].into_iter().enumerate() {
        subject.screen(&draft(&format!("c{number}"), "ann", referee).at(1).referee_on_device(7));
    }
    // Two were seen under the new key before anybody taught it; one of them was seen under the old one too.
    subject.screen(&on_renamed_device("c8", "abe", "bea", 7).at(5));
    subject.screen(&on_renamed_device("c9", "abe", "eve", 7).at(6));
    let entry = blocked(ListSubject::Identifier(Identifier { kind: IdentifierKind::Device, digest: value(9) }));
    subject.change_list(entry, Change::Place);
    let unknown = subject.history(&on_renamed_device("before", "zoe", "zac", 9));
    assert!(unknown.list_hits.is_empty(), "nobody taught it yet");
    assert_eq!(subject.settled("before"), Some(Verdict::Approved));

    let taught = rekey(subject, "page-1", vec![row(RekeyedKind::Device, 7), row(RekeyedKind::Device, 9)]).unwrap();
    assert_eq!((taught.done, taught.freshness), (Done::Rekeyed(2), Freshness::New));
    let again = rekey(subject, "page-1", vec![row(RekeyedKind::Device, 7), row(RekeyedKind::Device, 9)]).unwrap();
    assert_eq!(again.freshness, Freshness::Replayed);
    let known = rekey(subject, "page-2", vec![row(RekeyedKind::Device, 7)]).unwrap();
    assert_eq!(known.freshness, Freshness::Replayed, "it is known");
    assert_eq!(subject.settled("before"), Some(Verdict::InReview), "what was blocked all along is looked at again");

    for draft in [on_renamed_device("c20", "zoe", "zed", 7), draft("c21", "zoe", "zita").at(61).referee_on_device(7)] {
        let history = subject.history(&draft);
        let others = if draft.0.conversion_id == conversion_id("c20") { 4 } else { 5 };
        for name in [value(7), renamed(7)] {
            assert_eq!(crowd(&history, &name).accounts_ever, others, "each account once, by either name");
        }
        assert_eq!(history.ring.accounts, others + 2, "those who were seen under different keys are one ring, with both sides");
    }
    assert_eq!(subject.history(&on_renamed_device("c22", "zoe", "zora", 9)).list_hits.len(), 1);
    let listed = pages(5, |page| subject.ledger.list_entries(&shop(), None, page).unwrap());
    let subject_now = ListSubject::Identifier(Identifier { kind: IdentifierKind::Device, digest: renamed(9) });
    assert_eq!(listed.iter().map(|entry| &entry.subject).collect::<Vec<_>>(), [&subject_now]);
    // Whoever names it by the old key means the same entry.
    let old = blocked(ListSubject::Identifier(Identifier { kind: IdentifierKind::Device, digest: value(9) }));
    subject.change_list(old, Change::Lift);
    assert!(pages(5, |page| subject.ledger.list_entries(&shop(), None, page).unwrap()).is_empty());
}

pub(crate) fn profiles_patterns_and_exports_speak_of_a_value_by_its_new_name(subject: &Subject) {
    let with_mail = |id: &str, referee: &str, pattern: u32, mailbox: u32| {
        draft(id, "ann", referee).change(|conversion| {
            conversion.referee.emails.push(email_of_pattern(pattern, mailbox));
            conversion.referee.payments.push(card(mailbox + 500));
        })
    };
    subject.screen(&with_mail("c1", "bo", 30, 31).at(1));
    let rows =
        [(RekeyedKind::Pattern, 30), (RekeyedKind::Mailbox, 31), (RekeyedKind::EmailExact, 31), (RekeyedKind::Payment, 531)];
    rekey(subject, "page-1", rows.into_iter().map(|(kind, number)| row(kind, number)).collect()).unwrap();
    let sibling = draft("c2", "ann", "ben").at(60).change(|conversion| {
        let mut email = email_of_pattern(30, 99);
        email.pattern = Some(DigestSet::single(renamed(30)));
        conversion.referee.emails.push(email);
    });
    assert_eq!(subject.history(&sibling).pattern_siblings, 1);
    let exported = subject.ledger.labelled(&shop(), None, 10).unwrap().0;
    let email = &exported[0].record.conversion.referee.emails[0];
    let both = |number: u32| DigestSet::new([value(number), renamed(number)]).unwrap();
    assert_eq!((&email.mailbox, &email.pattern), (&both(31), &both(30)));
    let same_again = with_mail("c3", "bo", 30, 31).at(70);
    let history = subject.history(&same_again);
    assert_eq!(history.referee.profile.unwrap().emails.len(), 1, "it is one address, whoever sends it under which key");
}

pub(crate) fn what_contradicts_is_refused_by_row_and_nothing_of_it_is_taken(subject: &Subject) {
    rekey(subject, "page-1", vec![row(RekeyedKind::Device, 1)]).unwrap();
    let mixed = |old: u32, new: u32| Rekeyed { new: renamed(new), ..row(RekeyedKind::Device, old) };
    let wrong =
        vec![row(RekeyedKind::Device, 5), mixed(1, 2), mixed(3, 1), mixed(5, 6), mixed(7, 5), row(RekeyedKind::Browser, 1)];
    let refused = rekey(subject, "page-2", wrong).unwrap_err();
    let LedgerError::Refused(Refusal::Invalid(misfits)) = refused else { panic!("{refused}") };
    let fields: Vec<_> = misfits.iter().map(|misfit| misfit.field.as_str()).collect();
    assert_eq!(fields, ["values[1].old_value", "values[2].new_value", "values[3].old_value", "values[4].new_value"]);
    let keys = futures::executor::block_on(subject.ledger.key_use(&shop())).unwrap().keys;
    let known: Vec<_> = keys.values().map(|known| (known.values, known.under_newer)).collect();
    assert_eq!(known, [(1, 1), (1, 0)]);
}

#[test]
fn a_list_entry_keeps_its_new_name_when_retention_takes_what_taught_it() {
    let folder = tempfile::tempdir().unwrap();
    let subject = quietly_on_disk(folder.path());
    let entry = blocked(ListSubject::Identifier(Identifier { kind: IdentifierKind::Device, digest: value(9) }));
    subject.change_list(entry, Change::Place);
    subject.screen(&draft("old", "ann", "bob").at(40).referee_on_device(8));
    subject.pay("old");
    rekey(&subject, "page-1", vec![row(RekeyedKind::Device, 9), row(RekeyedKind::Device, 8)]).unwrap();
    let year = 400 * 24 * 60;
    subject.screen(&draft("young", "abe", "ben").at(year));
    let month = selfsame::vocabulary::time::Span::from_days(30);
    assert_eq!(subject.ledger.forget_older_than(Some(month), minute(year)), Ok(4));
    drop(subject);
    let subject = quietly_on_disk(folder.path());
    let history = subject.history(&on_renamed_device("c1", "zoe", "zac", 9).at(year + 1));
    assert_eq!(history.list_hits.len(), 1);
}
