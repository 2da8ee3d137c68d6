//! Claims about money: standing, holds, outcomes, payments, bans, labels.

use selfsame::book::Refusal;
use selfsame::book::command::Change;
use selfsame::book::cursor::FeedCursor;
use selfsame::book::records::{FeedKind, Freshness, HoldSubject, LabelledConversion};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::case::Resolution;
use selfsame::screening::gate::{Gate, Held};
use selfsame::vocabulary::conversion::Reward;
use selfsame::vocabulary::ids::InvoiceId;
use selfsame::vocabulary::label::{LabelSource, Truth};
use selfsame::vocabulary::money::Money;
use selfsame::vocabulary::outcome::{OutcomeKind, OutcomeSubject};

use crate::subject::{Subject, account, conversion_id, draft, full_bundle, minute, reward, shop};

fn of_conversion(id: &str) -> OutcomeSubject {
    OutcomeSubject::Conversion(conversion_id(id))
}

pub(crate) fn an_unknown_conversion_has_no_standing(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    let standings =
        subject.ledger.standings(&shop(), &["c2", "c1"].map(|id| (reward(&format!("rw-{id}")), conversion_id(id)))).unwrap();
    assert!(standings[0].is_none() && standings[1].is_some());
    assert_eq!((subject.gate("c2"), subject.gate("c1")), (Gate::Hold, Gate::Release));
}

pub(crate) fn a_hold_on_the_referral_holds_and_is_lifted(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    subject.screen(&draft("c2", "ann", "cleo"));
    let on = HoldSubject::Conversion(conversion_id("c1"));
    subject.change_hold(on.clone(), Change::Place);
    assert_eq!((subject.gate("c1"), subject.gate("c2")), (Gate::Hold, Gate::Release));
    assert_eq!(subject.standing("c1").unwrap().referral_held, Held::Yes);
    subject.change_hold(on, Change::Lift);
    assert_eq!(subject.gate("c1"), Gate::Release);
    assert_eq!(subject.feed_kinds()[2..], [FeedKind::HoldPlaced, FeedKind::HoldLifted]);
    assert_eq!(subject.feed()[2].referee, Some(account("bob")));
}

pub(crate) fn a_hold_on_the_referrer_holds_all_of_his_referrals(subject: &Subject) {
    let on = HoldSubject::Referrer(account("ann"));
    subject.change_hold(on.clone(), Change::Place);
    subject.screen(&draft("c1", "ann", "bob"));
    let made = subject.screen(&draft("c2", "ann", "cleo"));
    subject.screen(&draft("c3", "abe", "ann"));
    assert_eq!(made.record.standing.referrer_held, Held::Yes);
    assert_eq!((subject.gate("c1"), subject.gate("c2")), (Gate::Hold, Gate::Hold));
    assert_eq!(subject.gate("c3"), Gate::Release, "she is the referee there");
    subject.change_hold(on, Change::Lift);
    assert_eq!((subject.gate("c1"), subject.gate("c2")), (Gate::Release, Gate::Release));
}

pub(crate) fn holding_twice_changes_nothing(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    for on in [HoldSubject::Conversion(conversion_id("c1")), HoldSubject::Referrer(account("ann"))] {
        let first = subject.change_hold(on.clone(), Change::Place);
        let again = subject.change_hold(on.clone(), Change::Place);
        assert_eq!((first.0, first.1, again.1), (again.0, Freshness::New, Freshness::Replayed));
        subject.change_hold(on.clone(), Change::Lift);
        assert_eq!(subject.change_hold(on, Change::Lift).1, Freshness::Replayed);
    }
    assert_eq!(subject.change_hold(HoldSubject::Referrer(account("zoe")), Change::Lift), (None, Freshness::Replayed));
    assert_eq!(subject.feed().len(), 5);
}

pub(crate) fn a_refund_cancels_what_is_unpaid(subject: &Subject) {
    for (id, kind) in
        [("c1", OutcomeKind::ChargeRefunded), ("c2", OutcomeKind::Chargeback), ("c3", OutcomeKind::SubscriptionCanceled)]
    {
        subject.screen(&draft(id, "ann", &format!("r-{id}")));
        subject.outcome(&format!("o-{id}"), kind, of_conversion(id));
        assert_eq!(subject.gate(id), Gate::Deny);
        assert_eq!(subject.standing(id).unwrap().cancelled.map(|cancelled| cancelled.at), Some(minute(100)));
    }
    let told: Vec<FeedKind> = subject.feed_kinds().into_iter().filter(|kind| *kind != FeedKind::Decided).collect();
    assert_eq!(told, [FeedKind::Cancelled; 3]);
}

pub(crate) fn an_outcome_may_name_the_invoice(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    let invoice = |id: &str| OutcomeSubject::Invoice { referee: account("bob"), invoice_id: InvoiceId::new(id).unwrap() };
    subject.outcome("o1", OutcomeKind::Chargeback, invoice("inv-c1"));
    assert_eq!(subject.gate("c1"), Gate::Deny);
}

pub(crate) fn paying_is_final_and_told_once(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    let first = subject.pay("c1");
    let again = subject.pay("c1");
    assert_eq!((first.0, first.1, again.1), (again.0, Freshness::New, Freshness::Replayed));
    assert_eq!(subject.gate("c1"), Gate::Deny, "paying again would pay twice");
    assert_eq!(subject.standing("c1").unwrap().paid().collect::<Vec<_>>(), [&reward("rw-c1")]);
    assert_eq!(subject.feed_kinds(), [FeedKind::Decided, FeedKind::Paid]);
}

pub(crate) fn a_reward_is_paid_for_one_conversion_only(subject: &Subject) {
    let same_reward = |id: &str, referee: &str| draft(id, "ann", referee).change(|c| c.rewards[0].reward_id = reward("rw-same"));
    subject.screen(&same_reward("c1", "bob"));
    let Err(LedgerError::Refused(Refusal::Invalid(misfits))) = subject.try_screen(&same_reward("c2", "cleo")) else {
        panic!("a second conversion with this reward was taken")
    };
    assert_eq!(misfits[0].field, "rewards[0].reward_id");
    assert!(subject.standing("c2").is_none(), "nothing was written");
    subject.screen(&draft("c3", "ann", "dora").change(|c| c.rewards.clear()));
    assert_eq!((subject.gate_of("rw-same", "c1"), subject.gate_of("rw-same", "c3")), (Gate::Release, Gate::Hold));
    let dollars = |minor| Some(Money::new(minor, "USD").unwrap());
    assert!(matches!(subject.try_pay("c3", "rw-same"), Err(LedgerError::Refused(Refusal::Invalid(_)))));
    subject.try_pay_amount("c1", "rw-same", dollars(1_000)).unwrap();
    assert_eq!((subject.gate_of("rw-same", "c1"), subject.gate_of("rw-same", "c3")), (Gate::Deny, Gate::Deny));
    let field_of = |refused: Result<_, LedgerError>| match refused {
        Err(LedgerError::Refused(Refusal::Invalid(misfits))) => misfits[0].field.clone(),
        other => panic!("not refused as wrong: {other:?}"),
    };
    assert_eq!(field_of(subject.try_pay("c3", "rw-same")), "conversion_id");
    assert_eq!(field_of(subject.try_pay_amount("c1", "rw-same", dollars(999))), "amount", "another amount is another payment");
    assert_eq!(subject.try_pay("c1", "rw-same").unwrap().1, Freshness::Replayed);
    assert_eq!(subject.gate_of("other", "c3"), Gate::Release);
}

pub(crate) fn paying_an_unknown_reward_is_refused(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    let unknown = |what, id: &str| Err(LedgerError::Refused(Refusal::NotFound { what, id: id.to_owned() }));
    assert_eq!(subject.try_pay("c2", "rw-c2"), unknown("conversion", "c2"));
    assert_eq!(subject.try_pay("c1", "rw-c2"), unknown("reward", "rw-c2"));
    subject.screen(&draft("c3", "ann", "cleo").change(|c| c.rewards.clear()));
    assert!(subject.try_pay("c3", "any").is_ok(), "rewards were not known when it was screened");
}

pub(crate) fn paying_a_rejected_referral_is_recorded_and_told(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob").decided("reject"));
    subject.pay("c1");
    assert_eq!(subject.feed_kinds(), [FeedKind::Decided, FeedKind::Paid, FeedKind::RejectedAfterPayment]);
    assert_eq!(subject.standing("c1").unwrap().paid().collect::<Vec<_>>(), [&reward("rw-c1")]);
    subject.screen(&draft("c2", "ann", "cleo").decided("review"));
    subject.pay("c2");
    assert_eq!(subject.feed_kinds()[3..], [FeedKind::Decided, FeedKind::Paid], "it may yet be accepted");
}

pub(crate) fn a_rejection_after_payment_is_told_once_for_each_reward(subject: &Subject) {
    let second =
        Reward { reward_id: reward("extra"), beneficiary: selfsame::vocabulary::conversion::Side::Referee, amount: None };
    subject.screen(&draft("c1", "ann", "bob").decided("review").change(|c| c.rewards.push(second)));
    subject.resolve("c1", Resolution::Accept);
    subject.pay("c1");
    subject.try_pay("c1", "extra").unwrap();
    let told = || {
        let after = subject.feed().into_iter().filter(|event| event.kind == FeedKind::RejectedAfterPayment);
        after.map(|event| event.reward_id.unwrap()).collect::<Vec<_>>()
    };
    subject.reopen("c1");
    assert!(told().is_empty());
    subject.resolve("c1", Resolution::Reject);
    assert_eq!(told(), [reward("rw-c1"), reward("extra")]);
    subject.reopen("c1");
    subject.resolve("c1", Resolution::Reject);
    subject.outcome("o1", OutcomeKind::Chargeback, of_conversion("c1"));
    assert_eq!(told().len(), 2);
    assert_eq!(subject.standing("c1").unwrap().paid().count(), 2, "paid stays paid");
}

pub(crate) fn a_ban_cancels_all_referrals_of_the_account_also_later_ones(subject: &Subject) {
    for number in 0..100 {
        subject.screen(&draft(&format!("c{number}"), "ann", &format!("r{number}")));
    }
    subject.screen(&draft("as-referee", "abe", "ann"));
    subject.screen(&draft("other", "abe", "bob"));
    subject.ban("ann");
    subject.screen(&draft("later", "ann", "zoe"));
    assert!((0..100).all(|number| subject.gate(&format!("c{number}")) == Gate::Deny));
    assert_eq!(
        (subject.gate("as-referee"), subject.gate("later"), subject.gate("other")),
        (Gate::Deny, Gate::Deny, Gate::Release)
    );
    let told: Vec<_> = subject.feed().into_iter().filter(|event| event.kind == FeedKind::Cancelled).collect();
    assert_eq!((told[0].conversion_id.clone(), told[0].referrer.clone()), (None, Some(account("ann"))));
    let named: Vec<String> = told.into_iter().filter_map(|event| event.conversion_id).map(|id| id.to_string()).collect();
    let wanted = (0..100).map(|number| format!("c{number}")).chain(["as-referee".to_owned(), "later".to_owned()]);
    assert_eq!(named, wanted.collect::<Vec<_>>(), "each is told, the later one with its decision");
}

pub(crate) fn a_ban_is_taken_however_much_there_is_to_report(subject: &Subject) {
    let long = |what: &str, number: usize| format!("{what}-{number:0>110}");
    let referrer = long("ann", 0);
    for number in 0..40 {
        let id = long("c", number);
        let rewards: Vec<_> = (0..60).map(|place| long("rw", number * 60 + place)).collect();
        let draft = draft(&id, &referrer, &long("bob", number)).change(|c| {
            let template = c.rewards[0].clone();
            c.rewards = rewards.iter().map(|id| Reward { reward_id: reward(id), ..template.clone() }).collect();
        });
        subject.screen(&draft);
        for paid in &rewards {
            subject.try_pay(&id, paid).unwrap();
        }
    }
    subject.ban(&referrer);
    let told = subject.feed().into_iter().filter(|event| event.kind == FeedKind::RejectedAfterPayment).count();
    assert_eq!(told, 40 * 60);
    assert!(subject.standing(&long("c", 39)).unwrap().cancelled.is_some());
}

pub(crate) fn a_ban_tells_of_paid_rewards(subject: &Subject) {
    for number in 0..40 {
        let id = format!("c{number}");
        subject.screen(&draft(&id, "ann", &format!("r{number}")));
        if number % 2 == 0 {
            subject.pay(&id);
        }
    }
    subject.ban("ann");
    subject.outcome("ban-again", OutcomeKind::AccountBanned, OutcomeSubject::Account(account("ann")));
    let told = subject.feed().into_iter().filter(|event| event.kind == FeedKind::RejectedAfterPayment);
    let rewards: Vec<_> = told.map(|event| event.reward_id.unwrap().to_string()).collect();
    let wanted: Vec<_> = (0..40).filter(|number| number % 2 == 0).map(|number| format!("rw-c{number}")).collect();
    assert_eq!(rewards, wanted);
}

pub(crate) fn labels_follow_reviews_and_outcomes(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob").decided("review"));
    subject.screen(&draft("c2", "abe", "cleo"));
    subject.screen(&draft("c3", "abe", "dora"));
    subject.resolve("c1", Resolution::Reject);
    subject.outcome("o1", OutcomeKind::Chargeback, of_conversion("c2"));
    subject.outcome("o2", OutcomeKind::SubscriptionCanceled, of_conversion("c2"));
    let labelled = || {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let (part, reached) = subject.ledger.labelled(&shop(), cursor, 2).unwrap();
            all.extend(part);
            if Some(reached) == cursor {
                return all;
            }
            cursor = Some(reached);
        }
    };
    let all = labelled();
    let truths: Vec<Vec<_>> =
        all.iter().map(|row| row.labels.iter().map(|label| (label.truth, label.source)).collect()).collect();
    let wanted = [vec![(Truth::Abusive, LabelSource::Reviewer)], vec![(Truth::Abusive, LabelSource::Chargeback)], vec![]];
    assert_eq!(truths, wanted);
    assert_eq!(all[0].resolution, Some(Resolution::Reject));
    assert_eq!(all[1].outcomes.len(), 2);
    subject.reopen("c1");
    let reopened = &labelled()[0];
    assert_eq!((reopened.labels.len(), reopened.resolution), (0, Some(Resolution::Reject)));
    subject.resolve("c1", Resolution::Accept);
    subject.ban("dora");
    let all = labelled();
    assert_eq!(all[0].labels[0].truth, Truth::Honest);
    assert_eq!(all[2].labels[0].source, LabelSource::OwnerReport);
}

pub(crate) fn signals_go_with_the_conversion_that_came_next(subject: &Subject) {
    let record = |id: &str| subject.signals(id, vec![full_bundle(id, 1_000)]).unwrap();
    let part = |after: Option<FeedCursor>| {
        let (part, reached) = subject.ledger.labelled(&shop(), after, 1).unwrap();
        let before = |row: &LabelledConversion| row.signals_before.iter().map(|s| s.record_id.to_string()).collect::<Vec<_>>();
        (part.first().map(before), reached)
    };
    record("r1");
    let first = subject.screen(&draft("c1", "ann", "bob")).record.cursor;
    record("r2");
    record("r3");
    let second = subject.screen(&draft("c2", "abe", "cleo")).record.cursor;
    record("r4");
    assert_eq!(part(None), (Some(vec!["r1".to_owned()]), first));
    assert_eq!(part(Some(first)), (Some(vec!["r2".to_owned(), "r3".to_owned()]), second));
    assert_eq!(part(Some(second)), (None, second), "signals wait for their conversion");
    let third = subject.screen(&draft("c3", "abe", "dora")).record.cursor;
    assert_eq!(part(Some(second)), (Some(vec!["r4".to_owned()]), third));
}
