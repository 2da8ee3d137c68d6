//! Claims about outcomes: in any order, on either side, of any number of conversions; and what reverses them.

use selfsame::book::Refusal;
use selfsame::book::command::{Command, Executed, OutcomeCommand, RevokeCommand};
use selfsame::book::records::{ContentFingerprint, FeedKind, Freshness};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::case::Resolution;
use selfsame::screening::gate::Gate;
use selfsame::vocabulary::ids::{InvoiceId, RecordId};
use selfsame::vocabulary::money::Money;
use selfsame::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};

use crate::subject::{Draft, Subject, account, actor, conversion_id, draft, minute, page, shop};

fn of_conversion(id: &str) -> OutcomeSubject {
    OutcomeSubject::Conversion(conversion_id(id))
}

fn of_account(id: &str) -> OutcomeSubject {
    OutcomeSubject::Account(account(id))
}

fn record_id(id: &str) -> RecordId {
    RecordId::new(id).unwrap()
}

/// An outcome that happened at a minute.
fn told(subject: &Subject, id: &str, kind: OutcomeKind, of: OutcomeSubject, at: i64) -> Result<Executed, LedgerError> {
    refunded(subject, id, kind, of, at, None)
}

fn refunded(
    subject: &Subject,
    id: &str,
    kind: OutcomeKind,
    of: OutcomeSubject,
    at: i64,
    amount: Option<Money>,
) -> Result<Executed, LedgerError> {
    let outcome = Outcome {
        program_id: shop(),
        outcome_id: record_id(id),
        kind,
        subject: of,
        occurred_at: minute(at),
        amount,
        actor: None,
        note: String::new(),
    };
    subject.execute(Command::RecordOutcome(OutcomeCommand {
        outcome,
        content: ContentFingerprint([3; 16]),
        received_at: minute(1_000),
    }))
}

fn revoke(subject: &Subject, id: &str) -> Result<Executed, LedgerError> {
    subject.execute(Command::RevokeOutcome(RevokeCommand {
        program_id: shop(),
        outcome_id: record_id(id),
        actor: actor("olga"),
        reason_code: "mistake".to_owned(),
        note: String::new(),
        request: None,
        at: minute(1_000),
    }))
}

fn kinds_of(subject: &Subject, id: &str) -> Vec<FeedKind> {
    let of_it = |event: &selfsame::book::records::FeedEvent| event.conversion_id == Some(conversion_id(id));
    subject.feed().into_iter().filter(of_it).map(|event| event.kind).collect()
}

fn worth(id: &str, referee: &str) -> Draft {
    draft(id, "ann", referee).change(|c| c.value = Money::new(4_900, "EUR").ok())
}

pub(crate) fn an_outcome_waits_for_what_it_is_about(subject: &Subject) {
    let invoice = OutcomeSubject::Invoice { referee: account("cleo"), invoice_id: InvoiceId::new("inv-c2").unwrap() };
    told(subject, "o1", OutcomeKind::Chargeback, of_conversion("c1"), 10).unwrap();
    told(subject, "o2", OutcomeKind::ChargeRefunded, invoice, 10).unwrap();
    told(subject, "o3", OutcomeKind::Chargeback, of_account("dora"), 10).unwrap();
    let waiting = || {
        let shown = subject.ledger.pending_outcomes(&shop(), &page(2)).unwrap();
        (shown.entries.iter().map(|pending| pending.outcome.outcome_id.to_string()).collect::<Vec<_>>(), shown.next.is_some())
    };
    assert_eq!(waiting(), (vec!["o1".to_owned(), "o2".to_owned()], true));
    for (id, referee) in [("c1", "bob"), ("c2", "cleo"), ("c3", "dora")] {
        subject.screen(&draft(id, "ann", referee));
        assert_eq!(subject.gate(id), Gate::Deny, "{id}");
        assert_eq!(kinds_of(subject, id), [FeedKind::Decided, FeedKind::Cancelled]);
    }
    assert_eq!(waiting(), (Vec::new(), false));
    subject.screen(&draft("c4", "ann", "emil"));
    assert_eq!(subject.gate("c4"), Gate::Release);
}

pub(crate) fn what_waits_too_long_is_given_up(subject: &Subject) {
    told(subject, "o1", OutcomeKind::Chargeback, of_conversion("c1"), 10).unwrap();
    told(subject, "o2", OutcomeKind::AccountBanned, of_account("mallory"), 10).unwrap();
    let expire = |before: i64| subject.execute(Command::ExpirePending(shop(), minute(before), minute(2_000))).unwrap().freshness;
    assert_eq!((expire(1_000), expire(1_001), expire(1_001)), (Freshness::Replayed, Freshness::New, Freshness::Replayed));
    assert_eq!(subject.ledger.pending_outcomes(&shop(), &page(9)).unwrap().entries.len(), 1, "an account's stands for ever");
    subject.screen(&draft("c1", "ann", "bob"));
    subject.screen(&draft("c2", "ann", "mallory"));
    assert_eq!((subject.gate("c1"), subject.gate("c2")), (Gate::Release, Gate::Deny));
}

pub(crate) fn an_outcome_of_an_account_reaches_all_of_its_conversions(subject: &Subject) {
    for number in 0..600 {
        subject.screen(&draft(&format!("c{number}"), "ann", "zoe"));
    }
    subject.screen(&draft("as-referrer", "zoe", "bob"));
    told(subject, "o1", OutcomeKind::Chargeback, of_account("zoe"), 10).unwrap();
    assert!((0..600).all(|number| subject.gate(&format!("c{number}")) == Gate::Deny), "at once");
    assert_eq!(subject.gate("as-referrer"), Gate::Deny);
    subject.screen(&draft("later", "ann", "zoe"));
    assert_eq!(subject.gate("later"), Gate::Deny);
    // The pieces follow by themselves, between other commands.
    let all_are_told = |kind: FeedKind| {
        let of_it = |event: &selfsame::book::records::FeedEvent| event.kind == kind;
        for _ in 0..100_000 {
            let ids = subject.feed().into_iter().filter(of_it).filter_map(|event| event.conversion_id);
            if ids.collect::<std::collections::BTreeSet<_>>().len() == 602 {
                return;
            }
            std::thread::yield_now();
        }
        panic!("not all were told of {kind:?}");
    };
    all_are_told(FeedKind::Cancelled);
    revoke(subject, "o1").unwrap();
    all_are_told(FeedKind::Reinstated);
    assert!((0..600).all(|number| subject.gate(&format!("c{number}")) == Gate::Release));
}

pub(crate) fn a_dispute_that_was_won_answers_disputes_before_it_in_any_order(subject: &Subject) {
    for id in ["c1", "c2", "c3", "c4"] {
        subject.screen(&draft(id, "ann", &format!("r-{id}")));
    }
    told(subject, "o1", OutcomeKind::Chargeback, of_conversion("c1"), 10).unwrap();
    told(subject, "o2", OutcomeKind::DisputeWon, of_conversion("c1"), 20).unwrap();
    assert_eq!(subject.gate("c1"), Gate::Release);
    assert_eq!(kinds_of(subject, "c1"), [FeedKind::Decided, FeedKind::Cancelled, FeedKind::Reinstated]);
    told(subject, "o3", OutcomeKind::DisputeWon, of_conversion("c2"), 20).unwrap();
    told(subject, "o4", OutcomeKind::Chargeback, of_conversion("c2"), 10).unwrap();
    assert_eq!(subject.gate("c2"), Gate::Release, "it was answered before it arrived");
    told(subject, "o5", OutcomeKind::Chargeback, of_conversion("c2"), 30).unwrap();
    assert_eq!(subject.gate("c2"), Gate::Deny, "a new dispute");
    told(subject, "o6", OutcomeKind::Chargeback, of_account("r-c3"), 10).unwrap();
    told(subject, "o7", OutcomeKind::DisputeWon, of_conversion("c3"), 20).unwrap();
    assert_eq!(subject.gate("c3"), Gate::Release);
    told(subject, "o8", OutcomeKind::Chargeback, of_account("ann"), 10).unwrap();
    told(subject, "o9", OutcomeKind::DisputeWon, of_conversion("c4"), 20).unwrap();
    assert_eq!(subject.gate("c4"), Gate::Deny, "the referrer's own dispute is another one");
    told(subject, "o10", OutcomeKind::DisputeWon, of_account("ann"), 20).unwrap();
    assert_eq!(subject.gate("c4"), Gate::Release);
}

pub(crate) fn a_ban_is_answered_by_opening_the_account_again(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    told(subject, "o1", OutcomeKind::AccountBanned, of_account("ann"), 10).unwrap();
    assert_eq!(subject.gate("c1"), Gate::Deny);
    told(subject, "o2", OutcomeKind::AccountUnbanned, of_account("ann"), 20).unwrap();
    assert_eq!(subject.gate("c1"), Gate::Release);
    let of_ann = |event: &selfsame::book::records::FeedEvent| event.conversion_id.is_none();
    let kinds: Vec<FeedKind> = subject.feed().into_iter().filter(of_ann).map(|event| event.kind).collect();
    assert_eq!(kinds, [FeedKind::Cancelled, FeedKind::Reinstated]);
    told(subject, "o3", OutcomeKind::AccountBanned, of_account("bob"), 30).unwrap();
    assert_eq!(subject.gate("c1"), Gate::Deny);
    revoke(subject, "o3").unwrap();
    assert_eq!(subject.gate("c1"), Gate::Release);
}

pub(crate) fn an_outcome_is_taken_back(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    told(subject, "o1", OutcomeKind::ChargeRefunded, of_conversion("c1"), 10).unwrap();
    told(subject, "o2", OutcomeKind::SubscriptionCanceled, of_conversion("c1"), 11).unwrap();
    revoke(subject, "o1").unwrap();
    assert_eq!(subject.gate("c1"), Gate::Deny, "the other one stands");
    revoke(subject, "o2").unwrap();
    assert_eq!(revoke(subject, "o2").unwrap().freshness, Freshness::Replayed);
    assert_eq!(subject.gate("c1"), Gate::Release);
    let kinds = [FeedKind::Decided, FeedKind::Cancelled, FeedKind::Cancelled, FeedKind::Reinstated];
    assert_eq!(kinds_of(subject, "c1"), kinds);
    let unknown = revoke(subject, "o9");
    assert!(matches!(unknown, Err(LedgerError::Refused(Refusal::NotFound { what: "outcome", .. }))), "{unknown:?}");
    let again = told(subject, "o1", OutcomeKind::ChargeRefunded, of_conversion("c1"), 10).unwrap();
    assert_eq!((again.freshness, subject.gate("c1")), (Freshness::Replayed, Gate::Release), "a retry revives nothing");
    told(subject, "o3", OutcomeKind::Chargeback, of_conversion("c2"), 10).unwrap();
    revoke(subject, "o3").unwrap();
    subject.screen(&draft("c2", "ann", "cleo"));
    assert_eq!(subject.gate("c2"), Gate::Release, "taken back while it waited");
}

pub(crate) fn refunds_are_at_most_what_was_paid(subject: &Subject) {
    subject.screen(&worth("c1", "bob"));
    let refund = |id: &str, minor: i64, currency: &str| {
        let amount = Money::new(minor, currency).ok();
        match refunded(subject, id, OutcomeKind::ChargeRefunded, of_conversion("c1"), 10, amount) {
            Ok(_) => Vec::new(),
            Err(LedgerError::Refused(Refusal::Invalid(misfits))) => misfits.into_iter().map(|misfit| misfit.field).collect(),
            Err(other) => panic!("{other:?}"),
        }
    };
    assert_eq!(refund("o1", 100, "USD"), ["outcome.amount.currency"]);
    assert_eq!(refund("o1", 4_901, "EUR"), ["outcome.amount.amount_minor"]);
    assert!(refund("o1", 1_000, "EUR").is_empty());
    assert_eq!(subject.standing("c1").unwrap().refunded.map(|(amount, _)| amount.amount_minor()), Some(1_000));
    assert_eq!(subject.gate("c1"), Gate::Release);
    assert_eq!(refund("o2", 3_901, "EUR"), ["outcome.amount.amount_minor"], "more than is left");
    assert!(refund("o2", 1_449, "EUR").is_empty());
    assert_eq!(subject.gate("c1"), Gate::Release);
    assert!(refund("o3", 1, "EUR").is_empty());
    assert_eq!(subject.gate("c1"), Gate::Deny, "half of it cancels");
    revoke(subject, "o3").unwrap();
    assert_eq!(subject.gate("c1"), Gate::Release);
    let kinds = [FeedKind::Decided, FeedKind::Reduced, FeedKind::Reduced, FeedKind::Cancelled, FeedKind::Reinstated];
    assert_eq!(kinds_of(subject, "c1"), kinds);
}

pub(crate) fn what_is_cancelled_leaves_the_queue_and_comes_back(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob").decided("review"));
    subject.screen(&draft("c2", "ann", "cleo").decided("review"));
    told(subject, "o1", OutcomeKind::Chargeback, of_conversion("c1"), 10).unwrap();
    told(subject, "o2", OutcomeKind::AccountBanned, of_account("cleo"), 10).unwrap();
    let open = || subject.ledger.queue_stats(&shop(), minute(1_000)).unwrap().open;
    assert_eq!(open(), 0);
    revoke(subject, "o1").unwrap();
    told(subject, "o3", OutcomeKind::AccountUnbanned, of_account("cleo"), 20).unwrap();
    assert_eq!(open(), 2);
    subject.resolve("c1", Resolution::Accept);
    told(subject, "o4", OutcomeKind::Chargeback, of_conversion("c1"), 30).unwrap();
    assert_eq!(subject.standing("c1").unwrap().sentence(), "Cancelled: The purchase was disputed.");
}

pub(crate) fn refunds_count_for_the_referrer_as_long_as_they_stand(subject: &Subject) {
    subject.screen(&draft("c1", "ann", "bob"));
    told(subject, "o1", OutcomeKind::Chargeback, of_conversion("c1"), 10).unwrap();
    let refunds = |id: &str| subject.history(&draft(id, "ann", &format!("r-{id}"))).referrer.referrals_refunded;
    assert_eq!(refunds("c2"), 1);
    told(subject, "o2", OutcomeKind::DisputeWon, of_conversion("c1"), 20).unwrap();
    assert_eq!(refunds("c3"), 0);
}

pub(crate) fn a_refund_that_cannot_be_of_what_was_paid_waits_on(subject: &Subject) {
    let refund = |id: &str, minor: i64| {
        refunded(subject, id, OutcomeKind::ChargeRefunded, of_conversion("c1"), 10, Money::new(minor, "EUR").ok()).unwrap();
    };
    refund("o1", 4_901);
    refund("o2", 4_900);
    subject.screen(&worth("c1", "bob"));
    assert_eq!(subject.gate("c1"), Gate::Deny, "the one that can be");
    let waiting = subject.ledger.pending_outcomes(&shop(), &page(9)).unwrap().entries;
    assert_eq!(waiting.into_iter().map(|pending| pending.outcome.outcome_id).collect::<Vec<_>>(), [record_id("o1")]);
    revoke(subject, "o2").unwrap();
    assert_eq!(subject.gate("c1"), Gate::Release);
}

pub(crate) fn a_partial_refund_that_is_taken_back_is_told(subject: &Subject) {
    subject.screen(&worth("c1", "bob"));
    for (id, minor) in [("o1", 1_000), ("o2", 500)] {
        refunded(subject, id, OutcomeKind::ChargeRefunded, of_conversion("c1"), 10, Money::new(minor, "EUR").ok()).unwrap();
    }
    revoke(subject, "o1").unwrap();
    assert_eq!(subject.standing("c1").unwrap().refunded.map(|(amount, _)| amount.amount_minor()), Some(500));
    revoke(subject, "o2").unwrap();
    assert_eq!(subject.standing("c1").unwrap().refunded, None);
    let kinds = [FeedKind::Decided, FeedKind::Reduced, FeedKind::Reduced, FeedKind::Reduced, FeedKind::Reinstated];
    assert_eq!(kinds_of(subject, "c1"), kinds);
}

/// One purchase, sent under two conversion ids: what is told of either is told of the purchase.
pub(crate) fn what_is_told_of_a_repeat_reaches_what_it_repeats(subject: &Subject) {
    let with_invoice = |id: &str| draft(id, "ann", "bob").change(|c| c.invoice_id = InvoiceId::new("inv-1").ok());
    subject.screen(&with_invoice("c1"));
    let repeat = subject.screen(&with_invoice("c2"));
    assert_eq!(repeat.record.decision.duplicate_of, Some(conversion_id("c1")));
    told(subject, "o1", OutcomeKind::Chargeback, of_conversion("c2"), 10).unwrap();
    assert_eq!((subject.gate("c1"), subject.gate("c2")), (Gate::Deny, Gate::Deny));
    revoke(subject, "o1").unwrap();
    assert_eq!((subject.gate("c1"), subject.gate("c2")), (Gate::Release, Gate::Deny));
    told(subject, "o2", OutcomeKind::Chargeback, of_conversion("c3"), 10).unwrap();
    let before = kinds_of(subject, "c1");
    subject.screen(&with_invoice("c3"));
    assert_eq!(subject.gate("c1"), Gate::Deny, "told before the repeat was");
    assert_eq!(kinds_of(subject, "c1")[before.len()..], [FeedKind::Cancelled], "and the feed says so");
}

pub(crate) fn an_account_is_told_of_when_it_is_banned_or_opened_and_not_otherwise(subject: &Subject) {
    let kinds = || {
        let of_account = |event: &selfsame::book::records::FeedEvent| event.conversion_id.is_none();
        subject.feed().into_iter().filter(of_account).map(|event| event.kind).collect::<Vec<_>>()
    };
    told(subject, "o1", OutcomeKind::AccountUnbanned, of_account("ann"), 10).unwrap();
    assert_eq!(kinds(), [], "she was never banned");
    told(subject, "o2", OutcomeKind::AccountBanned, of_account("ann"), 9).unwrap();
    assert_eq!(kinds(), [], "and was opened since");
    told(subject, "o3", OutcomeKind::AccountBanned, of_account("ann"), 11).unwrap();
    revoke(subject, "o2").unwrap();
    assert_eq!(kinds(), [FeedKind::Cancelled]);
    revoke(subject, "o3").unwrap();
    told(subject, "o4", OutcomeKind::Chargeback, of_account("ann"), 12).unwrap();
    assert_eq!(kinds(), [FeedKind::Cancelled, FeedKind::Reinstated]);
}

pub(crate) fn a_refund_of_a_part_that_came_first_is_told_with_the_decision(subject: &Subject) {
    let amount = Money::new(1_000, "EUR").ok();
    refunded(subject, "o1", OutcomeKind::ChargeRefunded, of_conversion("c1"), 10, amount).unwrap();
    subject.screen(&worth("c1", "bob"));
    assert_eq!(subject.standing("c1").unwrap().refunded.map(|(amount, _)| amount.amount_minor()), Some(1_000));
    assert_eq!(kinds_of(subject, "c1"), [FeedKind::Decided, FeedKind::Reduced]);
}

pub(crate) fn what_was_paid_of_a_purchase_is_told_when_an_outcome_of_its_repeat_came_first(subject: &Subject) {
    let with_invoice = |id: &str| draft(id, "ann", "bob").change(|c| c.invoice_id = InvoiceId::new("inv-1").ok());
    subject.screen(&with_invoice("c1"));
    subject.pay("c1");
    told(subject, "o1", OutcomeKind::Chargeback, of_conversion("c2"), 10).unwrap();
    let before = kinds_of(subject, "c1");
    subject.screen(&with_invoice("c2"));
    assert_eq!(kinds_of(subject, "c1")[before.len()..], [FeedKind::Cancelled, FeedKind::RejectedAfterPayment]);
    told(subject, "o2", OutcomeKind::DisputeWon, of_conversion("c3"), 20).unwrap();
    let before = kinds_of(subject, "c1");
    subject.screen(&with_invoice("c3"));
    assert_eq!(kinds_of(subject, "c1")[before.len()..], [FeedKind::Reinstated], "what answers it comes the same way");
}
