//! Claims about the terms of a programme: what they change, and what was promised before.

use std::sync::Arc;

use selfsame::book::Refusal;
use selfsame::book::acts::{Cause, Confirmation};
use selfsame::book::command::{
    Command, Done, Executed, PayoutWanted, ProposeCommand, Request, ReserveCommand, SettleCommand, Settlement, TermsCommand,
};
use selfsame::book::records::{ContentFingerprint, Freshness};
use selfsame::book::terms::{Decided, PolicyName, ProgramPolicy, ProgramTerms, Setting, TermsStep};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::gate::GateReason;
use selfsame::screening::policy::PolicyHash;
use selfsame::vocabulary::ids::RequestId;
use selfsame::vocabulary::time::{Span, Timestamp};

use crate::quietly_on_disk;
use crate::subject::{Subject, actor, conversion_id, draft, minute, reward, shop};

fn command(step: TermsStep, request: Option<&str>, at: i64) -> Command {
    let request = request.map(|id| Request { id: RequestId::new(id).unwrap(), content: ContentFingerprint([9; 16]) });
    let (program_id, actor, note) = (shop(), actor("lena"), "as agreed".to_owned());
    Command::ChangeTerms(Box::new(TermsCommand { program_id, step, actor, note, request, at: minute(at) }))
}

fn delay(days: i64, decided: Decided) -> TermsStep {
    TermsStep { payout_delay: Setting::Is(Span::from_days(days)), decided, ..TermsStep::default() }
}

fn policy(version: &str, hash: u8) -> ProgramPolicy {
    let name = PolicyName { version: version.into(), hash: PolicyHash([hash; 16]) };
    ProgramPolicy { name, text: Arc::from(format!("version = \"{version}\"")) }
}

fn change(subject: &Subject, step: TermsStep, at: i64) -> Executed {
    subject.execute(command(step, None, at)).unwrap()
}

fn terms(subject: &Subject) -> Arc<ProgramTerms> {
    futures::executor::block_on(subject.ledger.terms(&shop())).unwrap()
}

/// What the gate says to a payer at a time, with until when it holds.
fn asked(subject: &Subject, id: &str, call: &str, at: Timestamp) -> (GateReason, Option<Timestamp>) {
    let request = Request { id: RequestId::new(call).unwrap(), content: ContentFingerprint([1; 16]) };
    let wanted = PayoutWanted { reward_id: reward(&format!("rw-{id}")), conversion_id: conversion_id(id), amount: None };
    let (payouts, lifetime, conversions) = (vec![wanted], Span::from_minutes(1), Vec::new());
    let reserve = ReserveCommand { program_id: shop(), request, payouts, lifetime, conversions, at };
    let answer = subject.execute(Command::Reserve(reserve)).unwrap().done.reserved().unwrap().remove(0);
    (answer.gate.reason, answer.gate.hold_until)
}

pub(crate) fn a_shorter_delay_binds_what_comes_and_what_was_decided_keeps_its_promise(subject: &Subject) {
    subject.screen(&draft("before", "ann", "bob").at(1));
    change(subject, delay(3, Decided::KeepsItsDelay), 10);
    subject.screen(&draft("after", "abe", "ben").at(20));
    let fourth_day = minute(20).plus(Span::from_days(4));
    let promised = minute(1).plus(Span::from_days(14));
    assert_eq!(asked(subject, "before", "run-1", fourth_day), (GateReason::DelayRunning, Some(promised)));
    assert_eq!(asked(subject, "after", "run-2", fourth_day).0, GateReason::Cleared);
    assert_eq!(terms(subject).promises().len(), 1);
    // A longer delay binds all that is unpaid, and once more a shorter one keeps that.
    change(subject, delay(30, Decided::KeepsItsDelay), 30);
    change(subject, delay(3, Decided::KeepsItsDelay), 40);
    let longer = minute(1).plus(Span::from_days(14));
    assert_eq!(asked(subject, "before", "run-3", fourth_day).1, Some(longer), "the first promise to it binds");
    change(subject, delay(3, Decided::IsShortenedToo), 50);
    assert_eq!(asked(subject, "before", "run-4", fourth_day).0, GateReason::Cleared, "it was said");
}

pub(crate) fn terms_are_taken_whole_and_told_with_what_they_were(subject: &Subject) {
    let named = TermsStep { policy: Setting::Is(policy("shop-1", 1)), ..TermsStep::default() };
    let first = subject.execute(command(named.clone(), Some("call"), 5)).unwrap();
    let again = subject.execute(command(named.clone(), Some("call"), 6)).unwrap();
    assert_eq!((first.freshness, again.freshness, first.cursor), (Freshness::New, Freshness::Replayed, again.cursor));
    assert_eq!(change(subject, named, 7).freshness, Freshness::Replayed, "it is so already");
    let kept = TermsStep { retention: Setting::Is(Span::from_days(400)), ..TermsStep::default() };
    change(subject, TermsStep { policy: Setting::Is(policy("shop-2", 2)), ..kept }, 8);
    change(subject, TermsStep { policy: Setting::Default, ..TermsStep::default() }, 9);
    let terms = terms(subject);
    assert_eq!((terms.policy(), terms.terms().retention), (None, Some(Span::from_days(400))));
    assert_eq!(terms.named(PolicyHash([1; 16])), Some(&policy("shop-1", 1)), "what decided once is at hand");
    let newest = terms.changes().next().unwrap();
    assert_eq!((newest.actor.as_str(), newest.at, &*newest.note), ("lena", minute(9), "as agreed"));
    assert_eq!(newest.previous.policy, Some(policy("shop-2", 2).name));
    let short = TermsStep { retention: Setting::Is(Span::from_days(13)), ..TermsStep::default() };
    let refused = subject.execute(command(short, None, 10)).unwrap_err();
    assert!(matches!(&refused, LedgerError::Refused(Refusal::Invalid(misfits)) if misfits.len() == 1), "{refused}");
}

pub(crate) fn another_policy_and_an_earlier_payment_are_let_by_two(subject: &Subject) {
    let propose = |step: TermsStep, at: i64| {
        let (above, lifetime) = (std::collections::BTreeMap::new(), Span::from_days(1));
        let confirmation = Confirmation { above, unbans: false, models: false, terms: true, lifetime };
        let (command, proposer) = (Box::new(command(step, None, at)), actor("lena"));
        subject.execute(Command::Propose(Box::new(ProposeCommand { command, proposer, confirmation }))).unwrap().done
    };
    assert_eq!(propose(delay(30, Decided::KeepsItsDelay), 1), Done::Recorded, "paying later needs nobody");
    let kept = TermsStep { retention: Setting::Is(Span::from_days(400)), ..TermsStep::default() };
    assert_eq!(propose(kept, 2), Done::Recorded);
    let named = TermsStep { policy: Setting::Is(policy("shop-1", 1)), ..TermsStep::default() };
    for (number, step) in [(3, delay(29, Decided::KeepsItsDelay)), (5, named)] {
        let Done::Proposed(pending) = propose(step.clone(), number) else { panic!("{step:?} was done") };
        assert_eq!(pending.cause, Cause::Terms);
        assert_ne!(step.onto(terms(subject).terms()), *terms(subject).terms(), "nothing was changed yet");
        let (settlement, note, at) = (Settlement::Confirm, String::new(), minute(number + 1));
        let confirm = SettleCommand {
            program_id: shop(),
            act_id: pending.id,
            settlement,
            actor: actor("lars"),
            note,
            request: None,
            prepared: None,
            at,
        };
        subject.execute(Command::SettleAct(confirm)).unwrap();
        assert_eq!(step.onto(terms(subject).terms()), *terms(subject).terms(), "it is done");
        assert_eq!(terms(subject).changes().next().unwrap().actor, actor("lena"), "as its proposer's");
    }
}

#[test]
fn terms_are_the_same_after_a_restart_and_outlive_their_record() {
    let folder = tempfile::tempdir().unwrap();
    let subject = quietly_on_disk(folder.path());
    change(&subject, TermsStep { policy: Setting::Is(policy("shop-1", 1)), ..delay(3, Decided::KeepsItsDelay) }, 1);
    change(&subject, TermsStep { retention: Setting::Is(Span::from_days(100)), ..TermsStep::default() }, 2);
    subject.screen(&draft("old", "ann", "bob").at(3));
    subject.pay("old");
    let before = terms(&subject);
    drop(subject);
    let subject = quietly_on_disk(folder.path());
    assert_eq!(terms(&subject), before);
    let year = 400 * 24 * 60;
    subject.screen(&draft("young", "abe", "ben").at(year));
    // Nothing is said for the server: only the programme's own retention counts.
    assert_eq!(subject.ledger.forget_older_than(None, minute(year)), Ok(4));
    drop(subject);
    let subject = quietly_on_disk(folder.path());
    let after = terms(&subject);
    assert_eq!((after.terms(), after.policy()), (before.terms(), before.policy()));
}
