//! Claims about events that senders send: each is taken once, in any order, and what is due because of them is the same.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use selfsame::book::Refusal;
use selfsame::book::command::{Command, Done, Executed, SourceCommand};
use selfsame::book::intake::{
    CodeFact, CodeUse, CustomerFact, DisputeFact, Fact, IntakeAnswer, IntakeQuestion, Mistake, MistakeKind, PaymentFact,
    PaymentOf, ReferralStep, SenderSignals,
};
use selfsame::book::records::{ContentFingerprint, Freshness};
use selfsame::ports::ledger::LedgerError;
use selfsame::screening::gate::{Gate, GateReason, Held};
use selfsame::vocabulary::conversion::{ConversionKind, RefereeStanding};
use selfsame::vocabulary::ids::{CampaignId, ProgramId, SenderId, Ucc};
use selfsame::vocabulary::journey::CapturedVia;
use selfsame::vocabulary::money::Money;
use selfsame::vocabulary::source::Source;
use selfsame::vocabulary::time::Timestamp;

use crate::subject::{Subject, account, conversion_id, full_bundle, minute, shop};

const DAY: i64 = 24 * 60;

fn id(text: &str) -> SenderId {
    SenderId::new(text).unwrap()
}

fn eur(minor: i64) -> Money {
    Money::new(minor, "EUR").unwrap()
}

/// An event of Stripe's.
#[derive(Debug, Clone)]
struct Sent {
    event: &'static str,
    source: Source,
    at: i64,
    facts: Vec<Fact>,
}

fn sent(event: &'static str, at: i64, facts: impl IntoIterator<Item = Fact>) -> Sent {
    Sent { event, source: Source::Stripe, at, facts: facts.into_iter().collect() }
}

fn customer(customer: &str, created: i64, account_id: Option<&str>, code: Option<&str>) -> Fact {
    Fact::Customer(CustomerFact {
        customer: id(customer),
        created_at: Some(minute(created)),
        account: account_id.map(account),
        code: code.map(|code| Ucc::new(code).unwrap()),
    })
}

fn signals(customer: &str, number: u32) -> Fact {
    let full = full_bundle("anybody", number);
    let (emails, names, payments) = (full.emails, full.names, full.payments);
    Fact::Signals(id(customer), Box::new(SenderSignals { opened_at: None, emails, names, payments }))
}

fn payment(payment: &str, of: PaymentOf, minor: i64, at: i64) -> Fact {
    Fact::Payment(Box::new(PaymentFact {
        payment: id(payment),
        customer: Some(id("cus_bob")),
        value: eur(minor),
        paid_at: minute(at),
        of,
        intent: None,
        subscription: Some(id("sub_1")),
    }))
}

fn code(code: &str, owner: &str, campaign: Option<&str>) -> Fact {
    Fact::Code(CodeFact {
        code: Ucc::new(code).unwrap(),
        owner: Some(account(owner)),
        campaign: campaign.and_then(|campaign| CampaignId::new(campaign).ok()),
        use_of: CodeUse::Open,
    })
}

fn try_take(subject: &Subject, program: ProgramId, sent: &Sent, received: Timestamp) -> Result<Executed, LedgerError> {
    let mut content = [0; 16];
    for (place, byte) in format!("{:?}", sent.facts).bytes().enumerate() {
        content[place % 16] ^= byte.rotate_left(u32::try_from(place % 7).unwrap());
    }
    subject.execute(Command::TakeSourceEvent(Box::new(SourceCommand {
        program_id: program,
        source: sent.source,
        event_id: id(sent.event),
        at: minute(sent.at),
        content: ContentFingerprint(content),
        facts: sent.facts.clone(),
        noticed: Vec::new(),
        received_at: received,
    })))
}

fn take(subject: &Subject, sent: &Sent) -> (Freshness, Vec<Mistake>) {
    let executed = try_take(subject, shop(), sent, minute(sent.at)).unwrap();
    let Done::Taken(taken) = executed.done else { panic!("it was not taken: {:?}", executed.done) };
    (executed.freshness, taken.mistakes)
}

fn due_in(subject: &Subject, program: &ProgramId) -> Vec<Command> {
    let question = IntakeQuestion::DueAfter(None, 1_000);
    let answer = futures::executor::block_on(subject.ledger.intake(program, &question, minute(400 * DAY))).unwrap();
    let IntakeAnswer::Due(due, None) = answer else { panic!("there is more than one page: {answer:?}") };
    due
}

fn due(subject: &Subject) -> Vec<Command> {
    due_in(subject, &shop())
}

/// What a command is, in a word and an id.
fn named(command: &Command) -> String {
    match command {
        Command::RecordSignals(signals) => format!("signals {} of {}", signals.record_id, signals.bundles[0].account_id),
        Command::Screen(screen) => format!("screen {}", screen.conversion.conversion_id),
        Command::RecordOutcome(outcome) => format!("{:?} {}", outcome.outcome.kind, outcome.outcome.outcome_id),
        Command::ChangeHold(hold) => format!("{:?}", hold.step),
        other => panic!("nobody expects {other:?}"),
    }
}

fn names(commands: &[Command]) -> Vec<String> {
    commands.iter().map(named).collect()
}

fn do_what_is_due(subject: &Subject) {
    for command in due(subject) {
        subject.execute(command).unwrap();
    }
    assert_eq!(names(&due(subject)), Vec::<String>::new(), "what was done is not due again");
}

/// A whole life at one sender: customers, a subscription with an invoice and its charge, a refund, a dispute that is won, a warning, a cancellation.
fn a_life() -> Vec<Sent> {
    vec![
        sent("evt_code", 0, [code("ANN-1", "ann", Some("spring"))]),
        sent("evt_ann", 1, [customer("cus_ann", 1, Some("ann"), None), signals("cus_ann", 1)]),
        sent("evt_bob", 10, [customer("cus_bob", 10, None, None), signals("cus_bob", 2)]),
        sent("evt_invoice", 20, [payment("in_1", PaymentOf::Itself, 4_900, 20)]),
        sent("evt_charge", 21, [payment("ch_1", PaymentOf::Invoice(id("in_1")), 4_900, 20)]),
        sent("evt_meta", 3 * DAY, [customer("cus_bob", 10, Some("bob"), Some("ANN-1"))]),
        sent(
            "evt_refund",
            4 * DAY,
            [Fact::GivenBack { payment: id("ch_1"), refund: id("ch_1.refunded.900"), amount: Some(eur(900)) }],
        ),
        sent("evt_dispute", 5 * DAY, [disputed(None)]),
        sent("evt_won", 6 * DAY, [disputed(Some(minute(6 * DAY)))]),
        sent("evt_warning", 7 * DAY, [Fact::Warned { payment: id("ch_1"), warning: id("issfr_1") }]),
        sent("evt_once", 8 * DAY, [payment("ch_2", PaymentOf::NoInvoice, 1_500, 8 * DAY)]),
        sent("evt_ended", 9 * DAY, [Fact::Ended(id("sub_1"))]),
    ]
}

fn disputed(won_at: Option<Timestamp>) -> Fact {
    let (payment, dispute) = (id("ch_1"), id("dp_1"));
    Fact::Disputed(DisputeFact { payment, dispute, amount: Some(eur(4_900)), opened_at: minute(5 * DAY), won_at })
}

pub(crate) fn an_event_of_a_sender_is_taken_once(subject: &Subject) {
    let event = sent("evt_1", 10, [customer("cus_bob", 10, Some("bob"), Some("ANN-1"))]);
    let (freshness, mistakes) = take(subject, &event);
    assert_eq!(freshness, Freshness::New);
    let expected = Mistake { kind: MistakeKind::UnknownCode, source: Source::Stripe, subject: "ANN-1".into() };
    assert_eq!(mistakes, std::slice::from_ref(&expected));
    assert_eq!(take(subject, &event), (Freshness::Replayed, vec![expected]), "it is answered as the first time");
    let other = Sent { facts: vec![customer("cus_bob", 10, Some("eve"), None)], ..event.clone() };
    let refused = try_take(subject, shop(), &other, minute(20));
    assert!(matches!(refused, Err(LedgerError::Refused(Refusal::ContentDiffers { field: "event_id", .. }))), "{refused:?}");
    let again = Sent { event: "evt_2", ..event };
    assert_eq!(take(subject, &again), (Freshness::New, Vec::new()), "a mistake is told once");
}

pub(crate) fn what_is_due_is_done_once(subject: &Subject) {
    for event in a_life() {
        take(subject, &event);
    }
    let expected = [
        "signals stripe.evt_ann of ann",
        "signals stripe.evt_bob of bob",
        "screen signup.bob",
        "screen stripe.in_1",
        "screen stripe.ch_2",
        "ChargeRefunded stripe.ch_1.refunded.900",
        "Chargeback stripe.dp_1",
        "DisputeWon stripe.dp_1.won",
        "SubscriptionCanceled stripe.sub_1.ended.in_1",
    ];
    let mut found = names(&due(subject));
    let hold = found.remove(8);
    assert!(hold.contains("stripe.issfr_1") && hold.contains("stripe.in_1"), "{hold}");
    assert_eq!(found, expected);
    do_what_is_due(subject);
    for event in a_life() {
        assert_eq!(take(subject, &event).0, Freshness::Replayed);
    }
    assert_eq!(names(&due(subject)), Vec::<String>::new());
    let record = subject.ledger.decision(&shop(), &conversion_id("stripe.in_1")).unwrap().unwrap();
    let conversion = &record.conversion;
    assert_eq!((conversion.kind, conversion.value), (ConversionKind::InvoicePaid, Some(eur(4_900))));
    assert_eq!(conversion.campaign_id, CampaignId::new("spring").ok());
    assert_eq!((&conversion.referrer.account_id, &conversion.referee.account_id), (&account("ann"), &account("bob")));
    let history = subject.probe.history("stripe.in_1");
    assert!(history.referrer.profile.is_some() && history.referee.profile.is_some(), "signals come before what is screened");
    assert_eq!(subject.gate_of("reward-of-nobody", "stripe.in_1"), Gate::Deny, "the subscription was cancelled");
}

pub(crate) fn any_order_of_a_senders_events_ends_in_the_same_calls(subject: &Subject) {
    let number = std::cell::Cell::new(0);
    let in_order = |events: &[Sent]| {
        number.set(number.get() + 1);
        let program = ProgramId::new(&format!("order-{}", number.get())).unwrap();
        // All are taken at one moment, so that what waits for an hour waits for none of them.
        for event in events {
            try_take(subject, program.clone(), event, minute(30 * DAY)).unwrap();
        }
        let mut found = due_in(subject, &program).iter().map(said).collect::<Vec<_>>();
        found.sort();
        found
    };
    let expected = in_order(&a_life());
    assert_eq!(expected.len(), 10);
    let orders = proptest::collection::vec(proptest::sample::subsequence((0..12_usize).collect::<Vec<_>>(), 0..6), 1);
    let orders = (Just((0..12_usize).collect::<Vec<_>>()).prop_shuffle(), orders);
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&orders, |(mut order, doubled)| {
            order.extend(doubled.into_iter().flatten());
            let life = a_life();
            let events: Vec<Sent> = order.iter().map(|place| life[*place].clone()).collect();
            prop_assert_eq!(in_order(&events), expected.clone());
            Ok(())
        })
        .unwrap();
}

/// Everything that a command says, but for its programme.
fn said(command: &Command) -> String {
    let text = format!("{command:?}");
    let start = text.find("ProgramId(").unwrap();
    let end = start + text[start..].find(')').unwrap();
    let content = text.find("ContentFingerprint").map_or(text.len(), |at| at);
    format!("{} {} {}", named(command), &text[..start], &text[end..content.max(end)])
}

pub(crate) fn a_code_that_comes_later_counts_for_a_week_of_payments(subject: &Subject) {
    take(subject, &sent("evt_code", 0, [code("ANN-1", "ann", None)]));
    take(subject, &sent("evt_bob", 0, [customer("cus_bob", 0, None, None)]));
    take(subject, &sent("evt_old", 10, [payment("in_old", PaymentOf::Itself, 4_900, 10)]));
    take(subject, &sent("evt_new", 25 * DAY, [payment("in_new", PaymentOf::Itself, 4_900, 25 * DAY)]));
    take(subject, &sent("evt_meta", 30 * DAY, [customer("cus_bob", 0, Some("bob"), Some("ANN-1"))]));
    assert_eq!(names(&due(subject)), ["screen signup.bob", "screen stripe.in_new"]);
    do_what_is_due(subject);
    let sign_up = subject.ledger.decision(&shop(), &conversion_id("signup.bob")).unwrap().unwrap().conversion;
    assert_eq!((sign_up.occurred_at, sign_up.kind), (minute(30 * DAY), ConversionKind::NewSignup));
    assert_eq!(sign_up.attribution.captured_via, CapturedVia::Manual);
    assert_eq!(sign_up.referee_standing, RefereeStanding::Existing);
    // Sent again on purpose, an old invoice counts as what it was, once.
    let again = sent("evt_old", 10, [payment("in_old", PaymentOf::Itself, 4_900, 10)]);
    assert_eq!(take(subject, &again).0, Freshness::New);
    assert_eq!(take(subject, &again).0, Freshness::Replayed);
    assert_eq!(names(&due(subject)), ["screen stripe.in_old"]);
    do_what_is_due(subject);
    let old = subject.ledger.decision(&shop(), &conversion_id("stripe.in_old")).unwrap().unwrap().conversion;
    assert_eq!(old.occurred_at, minute(10));
}

pub(crate) fn a_referral_stays_in_the_campaign_that_it_began_in(subject: &Subject) {
    take(subject, &sent("evt_code", 0, [code("ANN-1", "ann", Some("spring"))]));
    take(subject, &sent("evt_bob", 10, [customer("cus_bob", 10, Some("bob"), Some("ANN-1"))]));
    take(subject, &sent("evt_move", 20, [code("ANN-1", "ann", Some("summer"))]));
    take(subject, &sent("evt_paid", 30, [payment("in_1", PaymentOf::Itself, 4_900, 30)]));
    do_what_is_due(subject);
    for conversion in ["signup.bob", "stripe.in_1"] {
        let record = subject.ledger.decision(&shop(), &conversion_id(conversion)).unwrap().unwrap();
        assert_eq!(record.conversion.campaign_id, CampaignId::new("spring").ok(), "{conversion}");
    }
}

pub(crate) fn mistakes_are_noticed_and_told_once(subject: &Subject) {
    let step = |event, at, step| Sent {
        source: Source::Events,
        ..sent(event, at, [customer("bob", at, Some("bob"), Some("ANN-1")), Fact::Step(id("bob"), step)])
    };
    let paid = |event, invoice: &str, minor, at| {
        let Fact::Payment(fact) = payment(invoice, PaymentOf::Itself, minor, at) else { unreachable!() };
        let fact = PaymentFact { customer: Some(id("bob")), ..*fact };
        Sent { source: Source::Events, ..sent(event, at, [Fact::Payment(Box::new(fact))]) }
    };
    let kinds = |sent: &Sent| take(subject, sent).1.into_iter().map(|mistake| mistake.kind).collect::<Vec<_>>();
    take(subject, &sent("evt_code", 0, [code("ANN-1", "ann", None)]));
    assert_eq!(kinds(&step("h-1", 100, ReferralStep::SignUp)), []);
    assert_eq!(kinds(&paid("h-2", "inv-1", 10_000, 200)), []);
    assert_eq!(kinds(&paid("h-3", "inv-2", 100, 300)), [MistakeKind::AmountInMajorUnits]);
    assert_eq!(kinds(&paid("h-4", "inv-3", 100, 400)), [], "told once");
    assert_eq!(kinds(&paid("h-5", "inv-4", 10_000, 20)), [MistakeKind::BeforeSignUp]);
    let answer = futures::executor::block_on(subject.ledger.intake(&shop(), &IntakeQuestion::Mistakes, minute(500))).unwrap();
    let IntakeAnswer::Mistakes(standing) = answer else { panic!("{answer:?}") };
    assert_eq!(standing.len(), 2);
}

pub(crate) fn a_warning_holds_what_it_is_about(subject: &Subject) {
    for event in
        a_life().into_iter().filter(|event| !matches!(event.event, "evt_refund" | "evt_dispute" | "evt_won" | "evt_ended"))
    {
        take(subject, &event);
    }
    do_what_is_due(subject);
    let standing = subject.standing("stripe.in_1").unwrap();
    assert_eq!(standing.referral_held, Held::Yes, "{standing:?}");
    assert_ne!(subject.reason_now("stripe.in_1"), GateReason::Cleared);
}

fn reads(subject: &Subject) -> (Vec<String>, Vec<String>) {
    let answer = futures::executor::block_on(subject.ledger.intake(&shop(), &IntakeQuestion::Mistakes, minute(500))).unwrap();
    let IntakeAnswer::Mistakes(mistakes) = answer else { panic!("{answer:?}") };
    (due(subject).iter().map(said).collect(), mistakes.iter().map(|mistake| format!("{mistake:?}")).collect())
}

#[test]
fn what_senders_said_is_there_after_every_end() {
    let folder = tempfile::tempdir().unwrap();
    let subject = crate::quietly_on_disk(folder.path());
    for event in a_life() {
        take(&subject, &event);
    }
    // Some of it is done, some is not yet.
    for command in due(&subject).into_iter().take(3) {
        subject.execute(command).unwrap();
    }
    let before = reads(&subject);
    assert_eq!(before.0.len(), 7);
    drop(subject);
    let subject = crate::quietly_on_disk(folder.path());
    assert_eq!(reads(&subject), before, "from its snapshot");
    assert_eq!(take(&subject, &a_life()[4]).0, Freshness::Replayed);
    drop(subject);
    std::fs::remove_dir_all(folder.path().join(selfsame::adapters::embedded::SNAPSHOTS_FOLDER)).unwrap();
    let subject = crate::quietly_on_disk(folder.path());
    assert_eq!(reads(&subject), before, "from its journal");
    do_what_is_due(&subject);
}

#[test]
fn whose_a_customer_and_a_code_are_outlives_the_records_that_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let subject = crate::quietly_on_disk(folder.path());
    for event in a_life().into_iter().filter(|event| matches!(event.event, "evt_code" | "evt_bob" | "evt_meta" | "evt_invoice")) {
        take(&subject, &event);
    }
    do_what_is_due(&subject);
    let other = crate::subject::draft("young", "somebody", "else").at(400 * DAY);
    subject.screen(&other.change(|conversion| conversion.program_id = ProgramId::new("other").unwrap()));
    let age = selfsame::vocabulary::time::Span::from_days(100);
    let removed = subject.ledger.forget_older_than(Some(age), minute(400 * DAY)).unwrap();
    assert!(removed > 0);
    assert_eq!(names(&due(&subject)), Vec::<String>::new(), "what was done is not due again");
    let later = sent("evt_later", 390 * DAY, [payment("in_9", PaymentOf::Itself, 4_900, 390 * DAY)]);
    take(&subject, &later);
    assert_eq!(names(&due(&subject)), ["screen stripe.in_9"]);
}
