//! Claims about facts that arrive after a decision: they hold at once, are looked at, and end where any other order would have ended.

use selfsame::book::command::{Change, Command, PayoutWanted, Request, ReserveCommand};
use selfsame::book::query::{CaseFilter, CaseOrder};
use selfsame::book::records::{ContentFingerprint, FeedKind, HistoryKind, ListSubject};
use selfsame::screening::case::{CaseState, Resolution};
use selfsame::screening::decision::Verdict;
use selfsame::screening::gate::{Gate, GateReason, Held};
use selfsame::vocabulary::bundle::SignalBundle;
use selfsame::vocabulary::ids::RequestId;
use selfsame::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use selfsame::vocabulary::time::Span;

use crate::subject::{
    Draft, Subject, account, blocked, case_id, conversion_id, device, draft, minute, network, page, reward, shop,
};

/// Ann refers Bob, who is on device 7.
fn bob_on_seven(id: &str) -> Draft {
    draft(id, "ann", "bob").referee_on_device(7)
}

/// Ann was seen on a device.
fn ann_on(number: u32) -> Vec<SignalBundle> {
    let mut bundle = SignalBundle::of_account(account("ann"));
    bundle.devices.push(device(number));
    vec![bundle]
}

fn settled(subject: &Subject, id: &str) -> Verdict {
    subject.settled(id).unwrap()
}

fn open_cases(subject: &Subject) -> Vec<(String, String)> {
    let filter = CaseFilter { states: vec![selfsame::book::query::CaseStateKind::Open], ..CaseFilter::default() };
    let cases = subject.ledger.cases(&shop(), &filter, CaseOrder::OldestFirst, &page(50), minute(2_000)).unwrap();
    cases.entries.into_iter().map(|case| (case.conversion_id.to_string(), case.headline)).collect()
}

fn summary_of(subject: &Subject, id: &str) -> selfsame::book::records::CaseSummary {
    subject.ledger.case(&shop(), &case_id(id), minute(2_000)).unwrap().unwrap().summary
}

pub(crate) fn signals_that_come_late_hold_and_open_a_case(subject: &Subject) {
    subject.screen(&bob_on_seven("c1"));
    subject.screen(&draft("c2", "ann", "cleo").referee_on_device(8));
    assert_eq!(subject.gate("c1"), Gate::Release);
    subject.signals("s1", ann_on(7)).unwrap();
    assert_eq!(subject.gate_now("rw-c1", "c1"), Gate::Hold, "at once");
    assert_eq!((settled(subject, "c1"), settled(subject, "c2")), (Verdict::InReview, Verdict::Approved));
    assert_eq!((subject.gate("c1"), subject.gate("c2")), (Gate::Hold, Gate::Release));
    let cases = open_cases(subject);
    assert_eq!(cases.len(), 1);
    assert!(cases[0].1.starts_with("Learned after the decision: "), "{cases:?}");
    let told: Vec<_> = subject.feed().into_iter().filter(|event| event.kind == FeedKind::Reassessed).collect();
    assert_eq!((told.len(), told[0].verdict, told[0].previous_verdict), (1, Some(Verdict::InReview), Some(Verdict::Approved)));
    let file = subject.ledger.case(&shop(), &case_id("c1"), minute(2_000)).unwrap().unwrap();
    assert_eq!((file.record.decision.verdict, file.now.verdict), (Verdict::Approved, Verdict::InReview), "then and now");
    assert!(file.history.iter().any(|entry| entry.kind == HistoryKind::Reassessed));
}

pub(crate) fn a_payer_is_answered_by_what_is_known_at_that_moment(subject: &Subject) {
    subject.screen(&bob_on_seven("c1"));
    subject.screen(&draft("c2", "ann", "cleo").referee_on_device(8));
    subject.signals("s1", ann_on(7)).unwrap();
    let wanted =
        |id: &str| PayoutWanted { reward_id: reward(&format!("rw-{id}")), conversion_id: conversion_id(id), amount: None };
    let reserve = Command::Reserve(ReserveCommand {
        program_id: shop(),
        request: Request { id: RequestId::new("run-1").unwrap(), content: ContentFingerprint([1; 16]) },
        payouts: vec![wanted("c1"), wanted("c2")],
        lifetime: Span::from_minutes(15),
        conversions: Vec::new(),
        at: minute(0).plus(Span::from_days(30)),
    });
    let answers = subject.execute(reserve).unwrap().done.reserved().unwrap();
    let reasons: Vec<_> = answers.into_iter().map(|answer| answer.gate.reason).collect();
    assert_eq!(reasons, [GateReason::InReview, GateReason::Cleared], "neither waits for anybody to look");
}

pub(crate) fn what_a_reviewer_accepted_is_reopened_only_by_something_worse(subject: &Subject) {
    subject.screen(&bob_on_seven("c1").referrer_on_device(7));
    subject.resolve("c1", Resolution::Accept);
    subject.signals("s1", ann_on(9)).unwrap();
    subject.change_list(blocked(ListSubject::Account(account("bob"))), Change::Place);
    assert_eq!(settled(subject, "c1"), Verdict::Approved, "he had seen as much");
    subject.change_list(blocked(ListSubject::Account(account("ann"))), Change::Place);
    assert_eq!(settled(subject, "c1"), Verdict::InReview, "a person looks again, no machine rejects what he accepted");
    assert_eq!(open_cases(subject).len(), 1);
    subject.change_list(blocked(ListSubject::Account(account("ann"))), Change::Lift);
    assert_eq!(settled(subject, "c1"), Verdict::InReview, "who reopened it decides it");
}

pub(crate) fn what_was_never_in_a_persons_hands_follows_the_facts_both_ways(subject: &Subject) {
    subject.change_list(blocked(ListSubject::Account(account("bob"))), Change::Place);
    subject.screen(&bob_on_seven("c1"));
    assert_eq!(subject.standing("c1").unwrap().verdict, Verdict::InReview);
    subject.change_list(blocked(ListSubject::Account(account("bob"))), Change::Lift);
    assert_eq!(settled(subject, "c1"), Verdict::Approved);
    assert!(open_cases(subject).is_empty());
    let labels = subject.ledger.labelled(&shop(), None, 9).unwrap().0.remove(0).labels;
    assert!(labels.is_empty(), "the machine labels nothing");
    subject.change_list(blocked(ListSubject::Account(account("bob"))), Change::Place);
    subject.change_list(blocked(ListSubject::Account(account("ann"))), Change::Place);
    assert_eq!((settled(subject, "c1"), subject.gate("c1")), (Verdict::Rejected, Gate::Deny));
    let file = subject.ledger.case(&shop(), &case_id("c1"), minute(2_000)).unwrap().unwrap();
    assert!(matches!(file.summary.state, CaseState::Resolved { .. }), "{:?}", file.summary.state);
}

pub(crate) fn what_was_paid_is_left_alone(subject: &Subject) {
    subject.screen(&bob_on_seven("c1"));
    subject.pay("c1");
    subject.signals("s1", ann_on(7)).unwrap();
    assert_eq!(settled(subject, "c1"), Verdict::Approved);
    assert!(subject.feed_kinds().iter().all(|kind| *kind != FeedKind::Reassessed));
}

/// A referrer of many is at a new address every day: that is no reason to look at everything again.
pub(crate) fn a_referrer_of_many_is_looked_at_where_it_concerns_her(subject: &Subject) {
    let referee = |number: u32| draft(&format!("c{number}"), "ann", &format!("bob{number}")).referee_on_address(number);
    let ann_at = |number: u32| {
        let mut bundle = SignalBundle::of_account(account("ann"));
        bundle.networks.push(network(number));
        vec![bundle]
    };
    subject.signals("s0", ann_at(900)).unwrap();
    for number in 0..40 {
        subject.screen(&referee(number).at(i64::from(number)));
    }
    let late = |id: &str| subject.standing(id).unwrap().late_facts == Held::Yes;
    subject.signals("s1", ann_at(901)).unwrap();
    subject.signals("s2", ann_at(3)).unwrap();
    assert_eq!((settled(subject, "c3"), settled(subject, "c39")), (Verdict::Approved, Verdict::Approved));
    let looked_at = subject.probe.looked_again();
    let times = |id: &str| looked_at.iter().filter(|looked| **looked == conversion_id(id)).count();
    assert_eq!((times("c4"), times("c5")), (0, 0), "nobody there has her address");
    assert!(times("c3") > 0 && times("c39") > 0, "the newest are looked at with anything new");
    assert!(!late("c3") && !late("c4"));
}

pub(crate) fn everything_of_a_referrer_of_many_is_held_until_it_was_looked_at(subject: &Subject) {
    for number in 0..600 {
        subject.screen(
            &draft(&format!("c{number}"), "ann", &format!("bob{number}")).referee_on_device(number).at(i64::from(number)),
        );
    }
    subject.change_list(blocked(ListSubject::Account(account("ann"))), Change::Place);
    assert_ne!(subject.gate_now("rw-c0", "c0"), Gate::Release, "the oldest too, at once");
    assert_ne!(subject.gate_now("rw-c599", "c599"), Gate::Release);
    for number in 0..600 {
        assert_eq!(settled(subject, &format!("c{number}")), Verdict::InReview);
    }
    let reassessed = subject.feed().into_iter().filter(|event| event.kind == FeedKind::Reassessed);
    assert_eq!(reassessed.count(), 600, "each once");
}

/// One thing that is said of a referral, in a programme of its own.
#[derive(Debug, Clone, Copy)]
enum Message {
    Conversion,
    AnnsDevice,
    BlockBob,
    BlockAnn,
    Chargeback,
    DisputeWon,
}

fn permutations<T: Clone>(of: &[T]) -> Vec<Vec<T>> {
    if of.is_empty() {
        return vec![Vec::new()];
    }
    (0..of.len())
        .flat_map(|first| {
            let mut rest = of.to_vec();
            let head = rest.remove(first);
            permutations(&rest).into_iter().map(move |mut tail| {
                tail.insert(0, head.clone());
                tail
            })
        })
        .collect()
}

/// Says it of the referral with this number, whose accounts and values nobody else has.
fn say(subject: &Subject, message: Message, number: u32) {
    let (id, ann, bob) = (format!("c{number}"), format!("ann{number}"), format!("bob{number}"));
    match message {
        Message::Conversion => {
            subject.screen(&draft(&id, &ann, &bob).referee_on_device(10_000 + number));
        }
        Message::AnnsDevice => {
            let mut bundle = SignalBundle::of_account(account(&ann));
            bundle.devices.push(device(10_000 + number));
            subject.signals(&format!("s{number}"), vec![bundle]).unwrap();
        }
        Message::BlockBob => {
            subject.change_list(blocked(ListSubject::Account(account(&bob))), Change::Place);
        }
        Message::BlockAnn => {
            subject.change_list(blocked(ListSubject::Account(account(&ann))), Change::Place);
        }
        Message::Chargeback => {
            subject.outcome(&format!("o{number}"), OutcomeKind::Chargeback, OutcomeSubject::Conversion(conversion_id(&id)));
        }
        Message::DisputeWon => {
            subject.outcome(&format!("w{number}"), OutcomeKind::DisputeWon, OutcomeSubject::Account(account(&bob)));
        }
    }
}

pub(crate) fn any_order_of_one_referrals_messages_ends_in_the_same_gate(subject: &Subject) {
    use Message::{AnnsDevice, BlockAnn, BlockBob, Chargeback, Conversion, DisputeWon};
    let sets: [(&[Message], Gate, Verdict); 5] = [
        (&[Conversion, AnnsDevice], Gate::Hold, Verdict::InReview),
        (&[Conversion, AnnsDevice, BlockBob], Gate::Hold, Verdict::InReview),
        (&[Conversion, BlockAnn, BlockBob, AnnsDevice], Gate::Deny, Verdict::Rejected),
        (&[Conversion, Chargeback, AnnsDevice], Gate::Deny, Verdict::InReview),
        (&[Conversion, Chargeback, DisputeWon], Gate::Release, Verdict::Approved),
    ];
    let mut number = 0;
    for (messages, gate, verdict) in sets {
        for order in permutations(messages) {
            number += 1;
            for message in &order {
                say(subject, *message, number);
            }
            let id = format!("c{number}");
            let ended = (settled(subject, &id), subject.gate(&id));
            assert_eq!(ended, (verdict, gate), "{order:?}");
        }
    }
}

pub(crate) fn a_case_shows_what_was_learned_since_it_was_opened(subject: &Subject) {
    subject.screen(&bob_on_seven("c1").decided("review"));
    let summary = || summary_of(subject, "c1");
    let before = summary();
    subject.change_list(blocked(ListSubject::Account(account("bob"))), Change::Place);
    assert_eq!(settled(subject, "c1"), Verdict::InReview);
    // The probe gives the same reasons whatever it sees, so there is nothing new to show.
    assert_eq!(summary().revision, before.revision);
    subject.change_list(blocked(ListSubject::Account(account("ann"))), Change::Place);
    assert_eq!((settled(subject, "c1"), summary().revision), (Verdict::Rejected, before.revision + 1));
}

pub(crate) fn what_is_rejected_after_the_decision_has_a_case_that_can_be_reopened(subject: &Subject) {
    subject.screen(&bob_on_seven("c1"));
    subject.change_list(blocked(ListSubject::Account(account("bob"))), Change::Place);
    subject.change_list(blocked(ListSubject::Account(account("ann"))), Change::Place);
    assert_eq!(settled(subject, "c1"), Verdict::Rejected);
    assert!(matches!(summary_of(subject, "c1").state, CaseState::Resolved { .. }));
    subject.reopen("c1");
    assert_eq!((subject.standing("c1").unwrap().verdict, subject.gate("c1")), (Verdict::InReview, Gate::Hold));
}
