//! Holds late facts to their claim: of what is not late, nothing would be decided otherwise by what is known by now.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::book::command::{
    Assessor, CaseCommand, CaseStep, CasesCommand, CasesStep, Change, Command, ListCommand, OutcomeCommand, RecheckCommand,
    Request, ScreenCommand, SignalsCommand,
};
use crate::book::plan::{Plan, next_piece, plan};
use crate::book::records::{ContentFingerprint, ListEntry};
use crate::book::terms::{Own, ProgramTerms};
use crate::screening::audit::AuditKey;
use crate::screening::case::{Resolution, Step};
use crate::screening::decision::Decision;
use crate::screening::evidence::EvidenceCode;
use crate::screening::fixtures::{
    bundle, card, conversion, device, email, identifier, name, network, noon, person, policy_parts, rule,
};
use crate::screening::gate::{Held, Standing};
use crate::screening::history::{History, IdentifierKind, ListKind};
use crate::screening::policy::{PayoutPolicy, Policy, PolicyParts, RuleMode};
use crate::screening::{Models, Rulebook, assess};
use crate::vocabulary::bundle::{EmailSignals, NameSignals, PaymentPurpose, SignalBundle};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ProgramId, RecordId, RequestId};
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::{Span, Timestamp};

/// Sends to review, or rejects where a rule may, what shows some evidence, however weak.
struct Rules(Policy);

impl Rules {
    fn on(codes: &[(EvidenceCode, RuleMode)]) -> Self {
        let mode = |code: EvidenceCode| codes.iter().find(|(of, _)| *of == code).map_or(RuleMode::Off, |(_, mode)| *mode);
        let spoken = || EvidenceCode::ALL.into_iter().filter(|code| code.speaks());
        let rules = spoken().map(|code| {
            let when = if code == EvidenceCode::Blocked { "list.blocked >= 1.0" } else { code.dotted() };
            rule(code.dotted(), when, mode(code), 0.0)
        });
        Self(Policy::new(PolicyParts { rules: rules.collect(), ..policy_parts() }).unwrap())
    }
}

impl Assessor for Rules {
    fn assess(&self, conversion: &Conversion, history: &History, _: Own<'_>, now: Timestamp) -> Decision {
        let audit_key = AuditKey::new([1; 32]);
        assess(conversion, history, Rulebook { policy: &self.0, models: Models::default(), audit_key: &audit_key }, now)
    }

    fn due_after(&self, _: &ProgramId, _: &ProgramTerms) -> Span {
        Span::from_hours(48)
    }

    fn payout(&self, _: &ProgramId, _: &ProgramTerms) -> PayoutPolicy {
        PayoutPolicy::after(Span::ZERO)
    }
}

/// A signal from a small pool, so that accounts meet.
#[derive(Debug, Clone, Copy)]
enum Signal {
    Device(u8),
    Network(u8),
    Billing(u8),
    Payout(u8),
    Email(u8),
    Name(u8),
    Opened(u8),
}

#[derive(Debug, Clone)]
enum Act {
    Screen { id: u8, referrer: u8, referee: u8, ours: Vec<Signal>, theirs: Vec<Signal> },
    Learn { account: u8, signal: Signal },
    Ban { account: u8, lifted: bool },
    List { account: u8, list: ListKind, change: Change },
    Block { device: u8, change: Change },
    Resolve { id: u8, resolution: Resolution },
    ResolveAll { first: u8, resolution: Resolution },
    Look,
}

fn any_signal() -> impl Strategy<Value = Signal> {
    prop_oneof![
        (0..9_u8).prop_map(Signal::Device),
        (0..9_u8).prop_map(Signal::Network),
        (0..9_u8).prop_map(Signal::Billing),
        (0..6_u8).prop_map(Signal::Payout),
        (0..9_u8).prop_map(Signal::Email),
        (0..6_u8).prop_map(Signal::Name),
        (0..6_u8).prop_map(Signal::Opened),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    let account = 0..12_u8;
    let signals = || prop::collection::vec(any_signal(), 0..3);
    let change = || select(vec![Change::Place, Change::Lift]);
    prop_oneof![
        8 => (0..40_u8, account.clone(), 1..12_u8, signals(), signals())
            .prop_map(|(id, referrer, after, ours, theirs)| Act::Screen { id, referrer, referee: (referrer + after) % 12, ours, theirs }),
        5 => (account.clone(), any_signal()).prop_map(|(account, signal)| Act::Learn { account, signal }),
        1 => (account.clone(), any::<bool>()).prop_map(|(account, lifted)| Act::Ban { account, lifted }),
        1 => (account, select(vec![ListKind::Blocked, ListKind::Trusted]), change())
            .prop_map(|(account, list, change)| Act::List { account, list, change }),
        1 => (0..9_u8, change()).prop_map(|(device, change)| Act::Block { device, change }),
        1 => (0..40_u8, select(vec![Resolution::Accept, Resolution::Reject]))
            .prop_map(|(id, resolution)| Act::Resolve { id, resolution }),
        1 => (0..40_u8, select(vec![Resolution::Accept, Resolution::Reject]))
            .prop_map(|(first, resolution)| Act::ResolveAll { first, resolution }),
        2 => Just(Act::Look),
    ]
}

fn account_id(number: u8) -> AccountId {
    AccountId::new(&format!("account-{number}")).unwrap()
}

fn bundle_of(account: u8, signals: &[Signal]) -> SignalBundle {
    let mut side = bundle(account_id(account).as_str());
    for signal in signals {
        match *signal {
            Signal::Device(number) => side.devices.push(device(number)),
            Signal::Network(number) => side.networks.push(network(20 + number)),
            Signal::Billing(number) => side.payments.push(card(40 + number, PaymentPurpose::Billing)),
            Signal::Payout(number) => side.payments.push(card(40 + number, PaymentPurpose::Payout)),
            Signal::Email(number) => side.emails.push(EmailSignals {
                person_sketches: vec![person(number)],
                ..email(60 + number, 80 + number, EmailDomainClass::Corporate)
            }),
            Signal::Name(number) => {
                side.names.push(NameSignals { person_sketches: vec![person(number)], ..name(100 + number) });
            }
            Signal::Opened(days_ago) => {
                side.account_created_at = Some(noon().minus(Span::from_days(i64::from(days_ago))));
            }
        }
    }
    side
}

/// Evidence that what comes after a decision can bring. Left out is what the conversion itself says, and what counts the referrer's later users.
const LEARNED_LATER: [EvidenceCode; 25] = [
    EvidenceCode::SameEmail,
    EvidenceCode::SameMailbox,
    EvidenceCode::SameLocalPart,
    EvidenceCode::SimilarMailbox,
    EvidenceCode::SimilarName,
    EvidenceCode::SameDevice,
    EvidenceCode::SameBrowser,
    EvidenceCode::SameAddress,
    EvidenceCode::SamePrefix,
    EvidenceCode::SameInstrument,
    EvidenceCode::PayoutIsBilling,
    EvidenceCode::SharedPrivateDomain,
    EvidenceCode::SimilarEnvironment,
    EvidenceCode::CrowdedDevice,
    EvidenceCode::CrowdedNetwork,
    EvidenceCode::CrowdedPayment,
    EvidenceCode::PatternRepeats,
    EvidenceCode::ReferrerRejections,
    EvidenceCode::RingLoop,
    EvidenceCode::RingTouchesRejected,
    EvidenceCode::Blocked,
    EvidenceCode::SharedPayout,
    EvidenceCode::OnePerson,
    EvidenceCode::KnownPerson,
    EvidenceCode::NameInMailbox,
];

fn any_rule() -> impl Strategy<Value = (EvidenceCode, RuleMode)> {
    let reject = |code: EvidenceCode| if code == EvidenceCode::Blocked { RuleMode::Reject } else { RuleMode::Insist };
    (select(LEARNED_LATER.to_vec()), any::<bool>())
        .prop_map(move |(code, strictly)| (code, if strictly { reject(code) } else { RuleMode::Review }))
}

/// A programme that lives, with what was sent.
struct World {
    rules: Rules,
    book: Book,
    sent: BTreeMap<ConversionId, Conversion>,
    minutes: i64,
}

impl World {
    fn under(codes: &[(EvidenceCode, RuleMode)]) -> Self {
        Self { rules: Rules::on(codes), book: Book::new(1), sent: BTreeMap::new(), minutes: 0 }
    }

    fn now(&self) -> Timestamp {
        noon().plus(Span::from_minutes(self.minutes))
    }

    fn execute(&mut self, command: Command) {
        if let Ok(Plan::Commit(event, known)) = plan(&self.book, command, &self.rules) {
            let cursor = Cursor(self.book.cursor().0 + 1);
            self.book.apply_known(cursor, &event, *known);
        }
        self.sweep();
    }

    fn sweep(&mut self) {
        while let Some(piece) = next_piece(&self.book, || self.rules.payout(&program(), self.book.terms())) {
            let cursor = Cursor(self.book.cursor().0 + 1);
            self.book.apply(cursor, &piece);
        }
    }

    fn look(&mut self) {
        loop {
            let late = self.book.late_after(None, 16);
            if late.is_empty() {
                return;
            }
            let conversions = late.iter().map(|(_, id)| self.sent[id].clone()).collect();
            let at = self.now();
            self.execute(Command::Recheck(RecheckCommand { program_id: program(), conversions, unreadable: Vec::new(), at }));
        }
    }

    fn act(&mut self, act: &Act) {
        self.minutes += 7;
        let (program_id, now, number) = (program(), self.now(), self.minutes);
        let actor = Actor::new("rita").unwrap();
        let content = ContentFingerprint([7; 16]);
        let list = |list, subject, change| {
            let entry = ListEntry { list, subject, actor: actor.clone(), note: String::new(), placed_at: now, expires_at: None };
            Command::ChangeList(ListCommand { program_id: program(), entry, change, request: None })
        };
        let command = match act.clone() {
            Act::Screen { id, referrer, referee, ours, theirs } => {
                let sent = conversion(|sent| {
                    sent.program_id = program();
                    sent.conversion_id = ConversionId::new(&format!("c{id}")).unwrap();
                    sent.occurred_at = now;
                    sent.invoice_id = None;
                    sent.referrer = bundle_of(referrer, &ours);
                    sent.referee = bundle_of(referee, &theirs);
                    sent.rewards.clear();
                });
                self.sent.entry(sent.conversion_id.clone()).or_insert_with(|| sent.clone());
                Command::Screen(Box::new(ScreenCommand { conversion: sent, content, received_at: now }))
            }
            Act::Learn { account, signal } => Command::RecordSignals(SignalsCommand {
                program_id,
                record_id: RecordId::new(&format!("r{number}")).unwrap(),
                content,
                bundles: vec![bundle_of(account, &[signal])],
                received_at: now,
            }),
            Act::Ban { account, lifted } => Command::RecordOutcome(OutcomeCommand {
                outcome: Outcome {
                    program_id,
                    outcome_id: RecordId::new(&format!("o{number}")).unwrap(),
                    kind: if lifted { OutcomeKind::AccountUnbanned } else { OutcomeKind::AccountBanned },
                    subject: OutcomeSubject::Account(account_id(account)),
                    occurred_at: now,
                    amount: None,
                    actor: None,
                    note: String::new(),
                },
                content,
                received_at: now,
            }),
            Act::List { account, list: kind, change } => list(kind, ListSubject::Account(account_id(account)), change),
            Act::Block { device, change } => {
                list(ListKind::Blocked, ListSubject::Identifier(identifier(IdentifierKind::Device, device)), change)
            }
            Act::Resolve { id, resolution } => self.decide_alone(&ConversionId::new(&format!("c{id}")).unwrap(), resolution),
            Act::ResolveAll { first, resolution } => {
                let ids = (first..first.saturating_add(6)).map(|id| ConversionId::new(&format!("c{id}")).unwrap());
                self.decide_together(ids.collect(), resolution)
            }
            Act::Look => return self.look(),
        };
        self.execute(command);
    }

    /// One decision on several cases, as they are seen now.
    fn decide_together(&self, ids: Vec<ConversionId>, resolution: Resolution) -> Command {
        let (act, actor) = (CasesStep::Resolve(resolution), Actor::new("rita").unwrap());
        let cases: Vec<CaseId> = ids.iter().map(CaseId::of).collect();
        let previewed =
            self.book.preview(act, &cases, &actor, (&self.rules.payout(&program(), self.book.terms()), None), self.now());
        Command::StepCases(Box::new(CasesCommand {
            program_id: program(),
            act,
            actor,
            reason_code: String::new(),
            note: String::new(),
            cases: previewed.into_iter().filter_map(|one| Some((one.case_id, one.outcome.ok()?.mark))).collect(),
            confirmation: None,
            request: Request {
                id: RequestId::new(&format!("q{}", self.book.cursor().0)).unwrap(),
                content: ContentFingerprint([7; 16]),
            },
            at: self.now(),
        }))
    }

    fn decide_alone(&self, id: &ConversionId, resolution: Resolution) -> Command {
        let command = CaseCommand {
            program_id: program(),
            case_id: CaseId::of(id),
            step: CaseStep::Step(Step::Resolve(resolution)),
            actor: Actor::new("rita").unwrap(),
            reason_code: String::new(),
            note: String::new(),
            expected_revision: None,
            request: None,
            at: self.now(),
        };
        Command::StepCase(Box::new(command), None)
    }

    /// Where each conversion stands, and its case; whether it waits for another look left out, which what a person rejected needs no more.
    fn stands(&self) -> Vec<String> {
        let stands = |id: &ConversionId| {
            let (_, row) = self.book.row(id)?;
            let case = row.case.map(|case| self.book.line_of(self.book.cases.rows.get(case), self.now()));
            let standing = Standing { late_facts: Held::No, ..self.book.standing_of(row) };
            Some(format!("{id}: {:?} {:?} {standing:?} {case:?}", row.verdict, row.hands))
        };
        self.sent.keys().filter_map(stands).collect()
    }

    /// What would be decided otherwise by now than it was, with why.
    fn otherwise(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (id, sent) in &self.sent {
            let Some((number, row)) = self.book.row(id) else { continue };
            let cancelled = self.book.standing_of(row).cancelled;
            let by_person = (row.verdict, row.hands) == (Verdict::Rejected, Hands::Person);
            if by_person || row.duplicate_of.is_some() || cancelled.is_some() {
                continue;
            }
            let now = self.rules.assess_again(sent, &self.book.history_again(sent, number), self.book.own(), self.now());
            // What a person accepted needs another look only where there is worse to see.
            let (stands, otherwise) = match row.hands {
                Hands::Machine => (row.verdict, now.verdict != row.verdict),
                Hands::Person => (row.machine, now.verdict > row.machine),
            };
            if otherwise {
                let reasons: Vec<_> = now.reasons.iter().map(|reason| (reason.code, reason.sentence.as_str())).collect();
                found.push(format!("{id} stands {stands:?} and would be {:?}: {reasons:?}", now.verdict));
            }
        }
        found
    }
}

fn program() -> ProgramId {
    ProgramId::new("shop").unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn of_what_is_not_late_nothing_would_be_decided_otherwise(
        codes in prop::collection::vec(any_rule(), 1..4),
        acts in prop::collection::vec(any_act(), 1..80),
    ) {
        let mut world = World::under(&codes);
        for act in &acts {
            world.act(act);
        }
        world.look();
        prop_assert_eq!(world.otherwise(), Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_decided_together_stands_as_if_each_had_been_decided_alone(
        codes in prop::collection::vec(any_rule(), 1..4),
        acts in prop::collection::vec(any_act(), 1..60),
        resolution in select(vec![Resolution::Accept, Resolution::Reject]),
    ) {
        let [mut together, mut alone] = [(); 2].map(|()| World::under(&codes));
        for act in &acts {
            together.act(act);
            alone.act(act);
        }
        let waiting: Vec<ConversionId> = alone
            .book
            .cases
            .undecided()
            .values()
            .map(|case| alone.book.cases.rows.get(*case).conversion_id.clone())
            .collect();
        together.execute(together.decide_together(waiting.clone(), resolution));
        for id in &waiting {
            alone.execute(alone.decide_alone(id, resolution));
        }
        prop_assert_eq!(together.stands(), alone.stands());
        together.look();
        alone.look();
        prop_assert_eq!(together.stands(), alone.stands());
    }
}

#[test]
fn the_claim_can_fail() {
    let mut world = World::under(&[(EvidenceCode::SameDevice, RuleMode::Review)]);
    world.act(&Act::Screen { id: 1, referrer: 1, referee: 2, ours: vec![Signal::Device(1)], theirs: vec![Signal::Device(2)] });
    world.act(&Act::Learn { account: 1, signal: Signal::Device(2) });
    assert_eq!(world.otherwise().len(), 1, "nobody looked yet");
    world.look();
    assert!(world.otherwise().is_empty());
}

#[test]
fn whichever_referral_of_many_is_told_first_the_burst_is_seen_in_each() {
    let verdicts = |order: Vec<u8>| {
        let mut world = World::under(&[(EvidenceCode::ReferrerBurst, RuleMode::Review)]);
        for id in order {
            // Told whenever it is, it happened at its minute.
            world.minutes = i64::from(id) - 7;
            world.act(&Act::Screen { id, referrer: 0, referee: id, ours: vec![], theirs: vec![] });
        }
        world.minutes = 60;
        world.look();
        let verdicts = world.sent.keys().map(|id| (id.to_string(), world.book.row(id).unwrap().1.verdict));
        verdicts.collect::<BTreeMap<_, _>>()
    };
    let in_order = verdicts((1..=8).collect());
    assert_eq!(in_order.values().filter(|verdict| **verdict == Verdict::InReview).count(), 4, "{in_order:?}");
    assert_eq!(verdicts((1..=8).rev().collect()), in_order);
    assert_eq!(verdicts(vec![8, 1, 3, 2, 7, 5, 4, 6]), in_order);
}

#[test]
fn an_old_conversion_is_looked_at_when_a_known_instrument_is_paid_with_too() {
    let mut world = World::under(&[(EvidenceCode::PayoutIsBilling, RuleMode::Review)]);
    world.act(&Act::Screen { id: 1, referrer: 8, referee: 5, ours: vec![Signal::Payout(0)], theirs: vec![] });
    world.act(&Act::Screen { id: 2, referrer: 2, referee: 5, ours: vec![], theirs: vec![] });
    world.act(&Act::Learn { account: 5, signal: Signal::Payout(0) });
    world.look();
    world.act(&Act::Learn { account: 5, signal: Signal::Billing(0) });
    world.look();
    assert_eq!(world.otherwise(), Vec::<String>::new());
}

#[test]
fn an_old_conversion_is_looked_at_when_a_name_arrives_that_stands_in_the_others_address() {
    let mut world = World::under(&[(EvidenceCode::NameInMailbox, RuleMode::Review)]);
    world.act(&Act::Screen { id: 1, referrer: 8, referee: 5, ours: vec![Signal::Email(3)], theirs: vec![] });
    world.act(&Act::Screen { id: 2, referrer: 2, referee: 5, ours: vec![], theirs: vec![] });
    world.act(&Act::Learn { account: 5, signal: Signal::Name(3) });
    assert_eq!(world.otherwise().len(), 1, "nobody looked yet");
    world.look();
    assert_eq!(world.otherwise(), Vec::<String>::new());
}

#[test]
fn an_old_conversion_is_looked_at_when_its_referee_turns_out_to_be_a_known_person() {
    let mut world = World::under(&[(EvidenceCode::KnownPerson, RuleMode::Review)]);
    world.act(&Act::Screen { id: 1, referrer: 4, referee: 3, ours: vec![Signal::Name(3), Signal::Network(5)], theirs: vec![] });
    for id in 2..6 {
        world.act(&Act::Screen {
            id,
            referrer: 10 + id,
            referee: 5,
            ours: vec![],
            theirs: vec![Signal::Name(3), Signal::Network(0)],
        });
    }
    world.look();
    world.act(&Act::Learn { account: 5, signal: Signal::Network(5) });
    assert_eq!(world.otherwise().len(), 4, "nobody looked yet");
    world.look();
    assert_eq!(world.otherwise(), Vec::<String>::new());
}

#[test]
fn an_old_conversion_is_looked_at_when_it_is_told_that_another_account_is_older() {
    let both = || vec![Signal::Name(3), Signal::Network(5)];
    let mut world = World::under(&[(EvidenceCode::KnownPerson, RuleMode::Review)]);
    for id in 2..6 {
        let theirs = [both(), vec![Signal::Opened(1)]].concat();
        world.act(&Act::Screen { id, referrer: 10 + id, referee: 5, ours: vec![], theirs });
    }
    world.act(&Act::Screen { id: 1, referrer: 4, referee: 3, ours: both(), theirs: vec![] });
    world.look();
    world.act(&Act::Learn { account: 4, signal: Signal::Opened(3) });
    assert_eq!(world.otherwise().len(), 4, "nobody looked yet");
    world.look();
    assert_eq!(world.otherwise(), Vec::<String>::new());
}
