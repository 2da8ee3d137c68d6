//! Claims about history: what a conversion is screened with.

use std::collections::BTreeSet;
use std::thread;

use selfsame::book::command::Change;
use selfsame::book::records::ListSubject;
use selfsame::screening::case::Resolution;
use selfsame::screening::gate::Gate;
use selfsame::screening::history::{
    Banned, Crowd, History, Identifier, IdentifierKind, ListHit, ListKind, RING_VALUE_ACCOUNTS_MAX, TiedElsewhere,
};
use selfsame::screening::placeholders::accounts_max;
use selfsame::vocabulary::bundle::{PaymentPurpose, PaymentSignals};
use selfsame::vocabulary::conversion::{Conversion, ConversionKind, Side};
use selfsame::vocabulary::digest::DigestSet;
use selfsame::vocabulary::journey::{Journey, Touchpoint, TouchpointKind};
use selfsame::vocabulary::money::Money;
use selfsame::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use selfsame::vocabulary::time::Span;

use crate::subject::{
    Draft, Subject, account, blocked, card, conversion_id, device, draft, email_of_pattern, full_bundle, minute, network, shop,
    value,
};

fn crowd_on(history: &History, kind: IdentifierKind, number: u32) -> Crowd {
    history.crowds.get(&Identifier { kind, digest: value(number) }).copied().unwrap_or_default()
}

fn accounts_on_device(history: &History, number: u32) -> u32 {
    crowd_on(history, IdentifierKind::Device, number).accounts_ever
}

pub(crate) fn two_hundred_conversions_that_race_on_a_device_are_counted_one_by_one(subject: &Subject) {
    thread::scope(|scope| {
        for racer in 0..8 {
            scope.spawn(move || {
                for number in 0..25 {
                    let id = racer * 25 + number;
                    subject.screen(&draft(&format!("c{id}"), &format!("a{id}"), &format!("b{id}")).referee_on_device(1));
                }
            });
        }
    });
    // In the order of the journal each sees exactly those before it: a history read outside the serial order would repeat a number.
    let in_order: Vec<u32> = subject
        .feed()
        .iter()
        .map(|event| accounts_on_device(&subject.probe.history(event.conversion_id.as_ref().unwrap().as_str()), 1))
        .collect();
    assert_eq!(in_order, (0..200).collect::<Vec<u32>>());
}

pub(crate) fn a_conversion_does_not_see_itself(subject: &Subject) {
    let history = subject.history(&draft("c1", "ann", "bob").referee_on_device(1).referrer_on_device(1));
    assert_eq!(history.persons_known, 0);
    assert!(history.crowds.is_empty());
    assert_eq!((history.referrer.profile, history.referrer.first_seen_at), (None, None));
    let history = subject.history(&draft("c2", "ann", "bob").referee_on_device(1).referrer_on_device(1));
    let device = crowd_on(&history, IdentifierKind::Device, 1);
    assert_eq!((device.accounts_ever, device.accounts_30d), (0, 0), "the two sides are no crowd on their own device");
    assert_eq!((device.referrer_seen_at, device.referee_seen_at), (Some(minute(0)), Some(minute(0))));
    assert_eq!(history.persons_known, 2);
    assert_eq!(history.referrer.first_seen_at, Some(minute(0)));
    assert_eq!(history.referrer.profile.unwrap().devices.len(), 1);
}

pub(crate) fn four_hundred_accounts_on_an_address_are_four_hundred(subject: &Subject) {
    for number in 0..400 {
        subject.screen(&draft(&format!("c{number}"), &format!("a{number}"), &format!("b{number}")).referee_on_address(7));
    }
    let history = subject.history(&draft("last", "ann", "bob").referee_on_address(7));
    assert_eq!(crowd_on(&history, IdentifierKind::Address, 7).accounts_ever, 400);
    assert_eq!(history.ring.accounts_rejected, 0);
}

pub(crate) fn a_crowd_has_windows(subject: &Subject) {
    let days = |days: i64| -days * 24 * 60;
    for (id, when) in [("c1", days(100)), ("c2", days(10)), ("c3", -60)] {
        subject.screen(&draft(id, &format!("a-{id}"), &format!("b-{id}")).at(when).referee_on_device(1));
    }
    let history = subject.history(&draft("c4", "ann", "bob").referee_on_device(1));
    let wanted = Crowd { accounts_ever: 3, persons_ever: 1, accounts_30d: 2, accounts_24h: 1, ..Crowd::default() };
    assert_eq!(crowd_on(&history, IdentifierKind::Device, 1), wanted);
}

pub(crate) fn signals_that_came_before_are_known(subject: &Subject) {
    subject.signals("r1", vec![full_bundle("ann", 10), full_bundle("kim", 10)]).unwrap();
    let history = subject.history(&draft("c1", "ann", "bob"));
    assert_eq!(history.referrer.profile, Some(full_bundle("ann", 10)));
    assert_eq!(accounts_on_device(&history, 12), 1, "the profile's values are looked up although the message holds none");
    let with_card = draft("c2", "ann", "bob").change(|c| c.referrer.payments.push(card(99)));
    subject.screen(&with_card);
    let profile = subject.history(&draft("c3", "ann", "bob")).referrer.profile.unwrap();
    assert_eq!(profile.payments.len(), 2);
}

pub(crate) fn accounts_that_are_tied_are_one_person(subject: &Subject) {
    // Five on one card, of whom each has the address too; and three strangers on it.
    for number in 0..5 {
        let tied = draft(&format!("c{number}"), &format!("a{number}"), &format!("b{number}")).referee_on_address(7);
        subject.screen(&tied.change(|c| c.referee.payments = vec![card(9)]));
    }
    for number in 5..8 {
        subject.screen(&draft(&format!("c{number}"), &format!("a{number}"), &format!("b{number}")).referee_on_address(7));
    }
    let history = subject.history(&draft("c8", "ann", "bob").referee_on_address(7));
    let crowd = crowd_on(&history, IdentifierKind::Address, 7);
    assert_eq!((crowd.accounts_ever, crowd.persons_ever), (8, 4));
    assert_eq!(history.persons_known, 16, "all of them, and those who referred them");
    // Who is tied to a side is no stranger to it.
    let of_theirs = subject.history(&draft("c9", "b0", "cleo").referee_on_address(7));
    assert_eq!(crowd_on(&of_theirs, IdentifierKind::Address, 7).persons_ever, 4, "the three strangers and bob");
}

pub(crate) fn an_older_account_of_the_referee_is_known(subject: &Subject) {
    let known = |id: &str, change: fn(&mut Conversion)| subject.history(&draft(id, "ann", id).change(change)).known_person;
    subject.signals("r1", vec![full_bundle("kim", 10)]).unwrap();
    let customer = full_bundle("kim", 10);
    let of = |id: &str| full_bundle(id, 10);
    assert_eq!(known("nobody", |_| ()), None);
    assert_eq!(known("flatmate", |c| c.referee.networks = full_bundle("kim", 10).networks), None, "an address is no person");
    let mailbox = known("alias", |c| c.referee.emails = full_bundle("kim", 10).emails).unwrap();
    assert!(mailbox.mailbox > 10.0 && mailbox.kinds() == 1, "{mailbox:?}");
    let card_and_device = known("second", |c| {
        c.referee.payments = full_bundle("kim", 10).payments;
        c.referee.devices = full_bundle("kim", 10).devices;
    });
    assert!(card_and_device.is_some_and(|weights| weights.kinds() == 2 && weights.total() > 16.0), "{card_and_device:?}");
    // The two sides are compared with each other elsewhere.
    let own = subject.history(&draft("c1", "kim", "alias").change(|c| c.referee.emails.clone_from(&customer.emails)));
    assert_eq!(own.known_person.map(|weights| weights.kinds()), None, "the referrer is no third");
    // Who came later is no older account.
    subject.signals("r2", vec![of("late")]).unwrap();
    let first = subject.history(&draft("c2", "ann", "kim"));
    assert_eq!(first.known_person, None);
}

pub(crate) fn a_code_that_came_at_the_checkout_counts_for_its_referrer(subject: &Subject) {
    let late = |id: &str, captured: i64| {
        draft(id, "ann", id).change(|c| {
            let checkout = Touchpoint {
                kind: TouchpointKind::Checkout,
                occurred_at: minute(-1),
                device: None,
                browser: None,
                path_token: "".into(),
            };
            c.referee.journey = Journey::new(vec![checkout], None);
            c.attribution.captured_at = Some(minute(captured));
        })
    };
    let so = |draft: &Draft| {
        let referrer = subject.history(draft).referrer;
        (referrer.referrals_after_checkout, referrer.referrals_total)
    };
    assert_eq!(so(&late("c1", 0)), (0, 0));
    assert_eq!(so(&late("c2", -9)), (1, 1), "the one before came so, this one does not count itself");
    assert_eq!(so(&late("c3", 0)), (1, 2));
}

pub(crate) fn a_repeated_invoice_is_a_duplicate_and_counts_for_nothing(subject: &Subject) {
    let paid = |id: &str| {
        draft(id, "ann", "bob")
            .decided("reject")
            .change(|c| c.invoice_id = selfsame::vocabulary::ids::InvoiceId::new("inv-1").ok())
    };
    subject.screen(&paid("c1"));
    let repeat = subject.screen(&paid("c2"));
    assert_eq!(repeat.record.decision.duplicate_of, Some(conversion_id("c1")));
    assert_eq!(repeat.record.standing.duplicate_of, Some(conversion_id("c1")));
    let history = subject.history(&paid("c3"));
    assert_eq!(history.duplicate_of, Some(conversion_id("c1")), "the first one is named, not the last");
    let counters = |h: &History| (h.referrer.referrals_total, h.referrer.referrals_rejected, h.referrer.recent_referrals.len());
    assert_eq!(counters(&history), (1, 1, 1));
    let other_referee = draft("c4", "ann", "cleo").change(|c| c.invoice_id = paid("x").0.invoice_id);
    assert_eq!(subject.history(&other_referee).duplicate_of, None);
}

pub(crate) fn what_only_looks_like_a_repeat_is_told_and_not_called_one(subject: &Subject) {
    let at_second = |id: &str, seconds: i64| {
        draft(id, "ann", "bob").without_invoice().change(|c| c.occurred_at = minute(0).plus(Span::from_seconds(seconds)))
    };
    let worth = |draft: Draft, minor: i64| draft.change(|c| c.value = Money::new(minor, "EUR").ok());
    let looks_like = |draft: &Draft| {
        let history = subject.history(draft);
        assert_eq!(history.duplicate_of, None);
        history.looks_like.map(|id| id.to_string())
    };
    assert_eq!(looks_like(&worth(at_second("c1", 0), 1_500)), None);
    assert_eq!(looks_like(&at_second("c2", 1_500)), None);
    assert_eq!(looks_like(&worth(at_second("c3", 30), 1_500)).as_deref(), Some("c1"), "any earlier one, not the last");
    assert_eq!(looks_like(&worth(at_second("c4", 31), 24_000)), None, "another amount is another purchase");
    let with_invoice = worth(draft("c5", "ann", "bob"), 1_500).change(|c| c.occurred_at = minute(0).plus(Span::from_seconds(3)));
    assert_eq!(looks_like(&with_invoice).as_deref(), Some("c1"), "with and without its invoice");
    let other_invoice = worth(draft("c6", "ann", "cleo"), 1_500).at(10);
    assert_eq!((looks_like(&other_invoice), looks_like(&worth(draft("c7", "ann", "cleo"), 1_500).at(10))), (None, None));
    let demo = at_second("c8", 2).change(|c| c.kind = ConversionKind::DemoAttended);
    assert_eq!(looks_like(&demo), None, "another occasion");
    let charge = worth(at_second("c9", 20_001), 900);
    let invoice = worth(at_second("c10", 20_002), 900).change(|c| c.kind = ConversionKind::ChargeSucceeded);
    assert_eq!((looks_like(&charge), looks_like(&invoice).as_deref()), (None, Some("c9")), "a charge is an invoice's");
}

pub(crate) fn a_second_sign_up_is_a_repeat_at_any_distance(subject: &Subject) {
    let sign_up = |id: &str, days: i64| {
        draft(id, "ann", "bob").without_invoice().at(days * 24 * 60).change(|c| c.kind = ConversionKind::NewSignup)
    };
    assert_eq!(subject.history(&sign_up("c1", 0)).duplicate_of, None);
    assert_eq!(subject.history(&sign_up("c2", 2)).duplicate_of, Some(conversion_id("c1")));
    assert_eq!(subject.history(&draft("c3", "ann", "bob")).duplicate_of, None, "its first invoice is no sign-up");
}

pub(crate) fn a_repeat_that_a_reviewer_accepts_counts_as_its_own(subject: &Subject) {
    let paid =
        |id: &str| draft(id, "ann", "bob").change(|c| c.invoice_id = selfsame::vocabulary::ids::InvoiceId::new("inv-1").ok());
    subject.screen(&paid("c1"));
    subject.screen(&paid("c2"));
    assert_eq!(subject.gate("c2"), Gate::Deny);
    subject.reopen("c2");
    assert_eq!(subject.gate("c2"), Gate::Deny, "it stays a repeat until somebody says otherwise");
    subject.resolve("c2", Resolution::Accept);
    assert_eq!((subject.gate("c2"), subject.standing("c2").unwrap().duplicate_of), (Gate::Release, None));
    assert_eq!(subject.history(&paid("c3")).duplicate_of, Some(conversion_id("c1")));
}

pub(crate) fn velocity_counts_new_users_not_conversions(subject: &Subject) {
    for (id, referee, minutes) in [("c1", "bob", 0), ("c2", "bob", 5), ("c3", "cleo", 9), ("c4", "bob", 11)] {
        subject.screen(&draft(id, "ann", referee).at(minutes));
    }
    let history = subject.history(&draft("c5", "ann", "dora").at(20));
    assert_eq!(history.referrer.referrals_total, 2);
    assert_eq!(history.referrer.recent_referrals, [minute(0), minute(9)]);
}

pub(crate) fn rejections_are_counted_and_taken_back(subject: &Subject) {
    let counted = |id: &str| {
        let referrer = subject.history(&draft(id, "ann", "witness")).referrer;
        (referrer.referrals_rejected, referrer.referrals_accepted_by_review, referrer.referrals_refunded)
    };
    subject.screen(&draft("c1", "ann", "bob").decided("reject"));
    subject.screen(&draft("c2", "ann", "bob").decided("reject"));
    assert_eq!(counted("w1"), (1, 0, 0), "referrals are counted, not conversions");
    subject.reopen("c1");
    assert_eq!(counted("w2"), (1, 0, 0), "the other conversion still stands rejected");
    subject.reopen("c2");
    assert_eq!(counted("w3"), (0, 0, 0));
    subject.resolve("c1", Resolution::Accept);
    assert_eq!(counted("w4"), (0, 1, 0));
    subject.reopen("c1");
    subject.resolve("c1", Resolution::Reject);
    assert_eq!(counted("w5"), (1, 0, 0));
    subject.outcome("o1", OutcomeKind::ChargeRefunded, OutcomeSubject::Conversion(conversion_id("c1")));
    subject.outcome("o2", OutcomeKind::Chargeback, OutcomeSubject::Conversion(conversion_id("c2")));
    assert_eq!(counted("w6"), (1, 0, 1));
}

pub(crate) fn a_loop_of_referrals_is_found_however_long(subject: &Subject) {
    for length in 2..=5_u8 {
        let name = |step: u8| format!("loop{length}-{step}");
        for step in 0..length - 1 {
            let history = subject.history(&draft(&format!("l{length}-{step}"), &name(step), &name(step + 1)));
            assert_eq!(history.ring.loop_steps, None);
        }
        let closing = subject.history(&draft(&format!("l{length}-last"), &name(length - 1), &name(0)));
        assert_eq!(closing.ring.loop_steps, Some(length));
    }
}

pub(crate) fn a_referee_with_another_referrer_is_told(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    assert_eq!(subject.history(&draft("c2", "ann", "bob")).tied_to_other_referrer, TiedElsewhere::No);
    assert_eq!(subject.history(&draft("c3", "abe", "bob")).tied_to_other_referrer, TiedElsewhere::Yes);
}

pub(crate) fn accounts_on_a_strong_value_are_a_ring(subject: &Subject) {
    assert_eq!(subject.history(&draft("c0", "ann", "bob")).ring.accounts, 0, "without strong values nothing can be told");
    subject.screen(&draft("c1", "a1", "b1").referee_on_device(1));
    subject.screen(&draft("c2", "a2", "b2").referee_on_device(1).referrer_on_device(2));
    subject.screen(&draft("c3", "a3", "b3").referee_on_device(2));
    // b1 - device 1 - b2; a2 - device 2 - b3.
    assert_eq!(subject.history(&draft("c4", "a4", "b4").referee_on_device(1)).ring.accounts, 4);
    assert_eq!(subject.history(&draft("c5", "a5", "b5").referee_on_device(2).referrer_on_device(1)).ring.accounts, 7);
    assert_eq!(subject.history(&draft("c6", "a6", "b6").referee_on_address(1)).ring.accounts, 0, "an address ties nobody");
}

pub(crate) fn a_rejected_account_is_seen_in_its_ring(subject: &Subject) {
    let rejected_on_device = |id: &str| {
        subject.history(&draft(id, &format!("a-{id}"), &format!("b-{id}")).referee_on_device(1)).ring.accounts_rejected
    };
    subject.screen(&draft("c1", "ann", "bob").decided("reject").referee_on_device(1));
    assert_eq!(rejected_on_device("w1"), 1);
    subject.reopen("c1");
    assert_eq!(rejected_on_device("w2"), 0);
    subject.resolve("c1", Resolution::Reject);
    subject.ban("bob");
    assert_eq!(rejected_on_device("w3"), 1, "rejected and banned is one account");
    let history = subject.history(&draft("w4", "bob", "eve").referrer_on_device(1));
    assert_eq!(history.ring.accounts_rejected, 0, "the referrer himself is not counted");
    assert_eq!(history.referrer.banned, Banned::Yes);
}

pub(crate) fn a_kiosk_makes_no_ring(subject: &Subject) {
    for number in 0..=RING_VALUE_ACCOUNTS_MAX {
        subject.screen(&draft(&format!("c{number}"), &format!("a{number}"), &format!("b{number}")).referee_on_device(1));
    }
    let history = subject.history(&draft("last", "ann", "zed").referee_on_device(1));
    assert_eq!(accounts_on_device(&history, 1), RING_VALUE_ACCOUNTS_MAX + 1);
    assert_eq!(history.ring.accounts, 2);
}

/// A referee on a phone of one model with a cookie and an address of its own.
fn on_own_phone(number: u32, address: u32) -> Draft {
    draft(&format!("c{number}"), &format!("a{number}"), &format!("b{number}")).change(|c| {
        let mut phone = device(1);
        phone.browser = Some(DigestSet::single(value(10_000 + number)));
        c.referee.devices.push(phone);
        c.referee.networks.push(network(address));
    })
}

pub(crate) fn phones_of_one_model_tie_only_whoever_shares_something_else_too(subject: &Subject) {
    for number in 0..12 {
        subject.screen(&on_own_phone(number, 20_000 + number));
    }
    let history = subject.history(&on_own_phone(12, 20_012));
    let crowd = crowd_on(&history, IdentifierKind::Device, 1);
    assert_eq!((crowd.accounts_30d, crowd.accounts_near_30d, history.ring.accounts), (12, 0, 2));
    for number in 13..16 {
        subject.screen(&on_own_phone(number, 30_000));
    }
    let history = subject.history(&on_own_phone(16, 30_000));
    let crowd = crowd_on(&history, IdentifierKind::Device, 1);
    assert_eq!((crowd.accounts_near_30d, history.ring.accounts), (3, 5), "three with one address, and the two sides");
}

/// A referrer who is paid out to an instrument, with a referee.
fn paid_out_to(number: u32, instrument: u32) -> Draft {
    draft(&format!("c{number}"), &format!("a{number}"), &format!("b{number}")).change(|c| {
        c.referrer.payments.push(PaymentSignals { purpose: PaymentPurpose::Payout, ..card(instrument) });
    })
}

pub(crate) fn referrers_paid_out_to_one_account_are_counted_and_tied_also_above_sixteen(subject: &Subject) {
    for number in 0..20 {
        subject.screen(&paid_out_to(number, 1));
    }
    let history = subject.history(&paid_out_to(20, 1));
    assert_eq!((history.payout_sharers, history.ring.accounts), (20, 22));
    let billing = draft("c21", "a21", "b21").change(|c| c.referee.payments.push(card(1)));
    assert_eq!(subject.history(&billing).payout_sharers, 0, "who pays with it is not paid out to it");
}

pub(crate) fn a_value_on_more_accounts_than_its_kind_can_have_is_a_placeholder(subject: &Subject) {
    let with_card = |number: u32| {
        draft(&format!("c{number}"), &format!("a{number}"), &format!("b{number}")).change(|c| c.referee.payments.push(card(1)))
    };
    let most = accounts_max(IdentifierKind::Payment).unwrap();
    let identifier = Identifier { kind: IdentifierKind::Payment, digest: value(1) };
    for number in 0..most {
        subject.screen(&with_card(number));
    }
    let history = subject.history(&with_card(most));
    assert!(history.placeholders.is_empty() && history.crowds[&identifier].accounts_ever == most);
    let history = subject.history(&with_card(most + 1));
    assert!(history.placeholders.contains(&identifier) && !history.crowds.contains_key(&identifier));
    assert_eq!(history.ring.accounts, 2, "it ties nobody");
}

pub(crate) fn siblings_of_a_pattern_are_counted_once(subject: &Subject) {
    let with_pattern = |id: &str, referrer: &str, referee: &str, mailbox: u32| {
        draft(id, referrer, referee).change(|c| c.referee.emails.push(email_of_pattern(1, mailbox)))
    };
    subject.screen(&with_pattern("c1", "ann", "b1", 101));
    subject.screen(&with_pattern("c2", "ann", "b1", 101));
    subject.screen(&with_pattern("c3", "ann", "b2", 102));
    subject.screen(&with_pattern("c4", "abe", "b3", 103));
    assert_eq!(subject.history(&with_pattern("c5", "ann", "b9", 109)).pattern_siblings, 2);
    assert_eq!(subject.history(&with_pattern("c6", "ann", "b1", 101)).pattern_siblings, 2, "oneself is no sibling");
}

pub(crate) fn list_entries_are_hit_until_they_expire_or_are_lifted(subject: &Subject) {
    let device = ListSubject::Identifier(Identifier { kind: IdentifierKind::Device, digest: value(1) });
    let entry = blocked(device.clone());
    subject.change_list(entry.clone(), Change::Place);
    subject.change_list(blocked(ListSubject::Account(account("bob"))), Change::Place);
    let hits: BTreeSet<ListHit> =
        subject.history(&draft("c1", "ann", "bob").referrer_on_device(1)).list_hits.into_iter().collect();
    let hit = |side, identifier| ListHit { list: ListKind::Blocked, side, identifier };
    let wanted = [hit(Side::Referrer, Some(IdentifierKind::Device)), hit(Side::Referee, None)];
    assert_eq!(hits, wanted.into_iter().collect());
    assert_eq!(subject.ledger.list_entry(&shop(), ListKind::Blocked, &device), Ok(Some(entry.clone())));
    let expiring = selfsame::book::records::ListEntry { expires_at: Some(minute(10)), ..entry.clone() };
    subject.change_list(expiring, Change::Place);
    assert_eq!(subject.history(&draft("c2", "x", "y").at(9).referee_on_device(1)).list_hits.len(), 1);
    assert_eq!(subject.history(&draft("c3", "x", "z").at(10).referee_on_device(1)).list_hits.len(), 0);
    subject.change_list(entry.clone(), Change::Place);
    subject.change_list(entry, Change::Lift);
    assert_eq!(subject.history(&draft("c4", "x", "w").at(9).referee_on_device(1)).list_hits.len(), 0);
    assert_eq!(subject.ledger.list_entry(&shop(), ListKind::Blocked, &device), Ok(None));
}

/// An app without cookies whose fingerprints are of models: strangers with one phone are no ring, however many phones there are.
pub(crate) fn where_fingerprints_are_of_models_they_tie_nobody(subject: &Subject) {
    for number in 0..200 {
        subject
            .screen(&draft(&format!("c{number}"), &format!("a{number}"), &format!("b{number}")).referee_on_device(number % 20));
    }
    let history = subject.history(&draft("probe", "x", "y").referee_on_device(3));
    assert!(history.ring.accounts <= 6, "{} are tied", history.ring.accounts);
    assert!(history.fingerprint_sharing.unusual(17) < 0.06, "{:?}", history.fingerprint_sharing);
    let near = |id: &str, referee: &str| draft(id, "ann", referee).referee_on_device(5).referee_on_address(9);
    subject.screen(&near("n1", "n1"));
    subject.screen(&near("n2", "n2"));
    let history = subject.history(&draft("probe-2", "x", "n2"));
    assert_eq!(history.ring.accounts, 3, "whoever shares an address too is tied");
}
