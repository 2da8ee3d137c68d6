//! Tests of the record codec: everything comes back bit by bit, and nothing that is damaged makes it panic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::book::acts::{Act, Cause, Confirmation, PendingAct};
use crate::book::command::{CaseStep, Change, HoldStep, Request, RewardsChange, Settlement};
use crate::book::cursor::ChainMark;
use crate::book::directory::{
    Archival, DirectoryStep, IdentitySettings, LedgerKey, ProgramSettings, Scope, Stage, Token, TokenDigest,
};
use crate::book::erasures::{AccountErased, ErasureFinished};
use crate::book::event::{
    ActConfirmed, ActDropped, ActProposed, AuditKeyMade, BreakerTripped, CaseStepped, CasesStepped, ChangedReward, Concerned,
    ConversionKept, DirectoryChanged, Effect, Entitlement, FirstCase, HeldReferral, HoldChanged, KeptPayment, KeptReward,
    ModelsChanged, OutcomeRecorded, OutcomeRevoked, OutcomeSpread, PayoutFailed, PendingExpired, Reassessed, Rechecked,
    ReservationChanged, RewardPaid, RewardsChanged, RewardsReserved, SourceEventTaken, StepMade, TermsChanged, ValuesRekeyed,
};
use crate::book::intake::{
    CodeFact, CodeUse, CustomerFact, DisputeFact, Fact, Mistake, MistakeKind, PaymentFact, PaymentOf, ReferralStep, SenderSignals,
};
use crate::book::looks::{Look, Looked, Seen};
use crate::book::models::{Audited, ModelAction, ModelChoices, ModelContent, ModelName};
use crate::book::records::{ContentFingerprint, Cursor, HoldSubject, ListEntry, ListSubject, ReserveAnswer};
use crate::book::rekeying::{NewSketches, Rekeyed, RekeyedKind};
use crate::book::terms::{Decided, PolicyName, ProgramPolicy, Setting, Terms, TermsStep, TermsSummary};
use crate::book::trail::{KeptEntry, TrailKept};
use crate::book::{Book, LeftAlone};
use crate::ledger::trail::text_of;
use crate::ports::journal::{Chain, Rewritten};
use crate::screening::audit::AuditKey;
use crate::screening::case::{CaseState, Resolution, Step};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::evidence::EvidenceCode;
use crate::screening::fixtures::{
    assess_by_rules, bundle as side, card, conversion, crowd_on, device, email, network, noon, value,
};
use crate::screening::gate::{Accepts, Cancelled, Gate, GateAnswer, GateReason};
use crate::screening::history::{Identifier, IdentifierKind, ListKind};
use crate::screening::policy::{CampaignPayout, CountsFrom, PolicyHash, Promise};
use crate::vocabulary::bundle::{NameSignals, NetworkFlag, PaymentPurpose, SignalBundle};
use crate::vocabulary::conversion::{Conversion, ConversionKind, Reward, Side};
use crate::vocabulary::digest::{Digest, KeyId};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::ids::{
    AccountId, ActId, Actor, CampaignId, CaseId, ConversionId, HoldId, InvoiceId, ProgramId, RequestId, RewardId, SenderId,
    TokenId, Ucc,
};
use crate::vocabulary::money::{Currency, Money};
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::role::Role;
use crate::vocabulary::sketch::{SKETCH_BYTES, Sketch};
use crate::vocabulary::source::Source;
use crate::vocabulary::time::Span;

const SOMEWHERE: FeedCursor = FeedCursor { place: Cursor(7), mark: ChainMark([9; 8]) };

fn sketch(byte: u8) -> Sketch {
    Sketch { key_id: KeyId::new("k1").unwrap(), bits: [byte; SKETCH_BYTES] }
}

fn full_side(account: &str, number: u8) -> SignalBundle {
    let mut full = side(account);
    full.account_created_at = Some(noon());
    let mut address = email(number, number + 1, EmailDomainClass::FreeMail);
    address.local_part_sketches.push(sketch(number));
    address.person_sketches.push(sketch(number + 2));
    full.emails.push(address);
    full.names.push(NameSignals {
        exact: Some(value(number + 2)),
        sketches: vec![sketch(number + 1)],
        person_sketches: vec![sketch(number + 3)],
    });
    let mut laptop = device(number + 3);
    laptop.browser = Some(value(number + 4));
    laptop.user_agent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 Chrome/129.0 Safari/537.36".into();
    laptop.platform = "MacIntel".into();
    laptop.time_zone = "Europe/Berlin".into();
    laptop.languages = vec!["de-DE".into(), "en".into()];
    laptop.screen_px = Some((1440, 900));
    laptop.seen_at = Some(noon());
    full.devices.push(laptop);
    let mut line = network(number + 5);
    line.prefix = Some(value(number + 6));
    line.asn = Some(3320);
    line.country = Some(*b"DE");
    line.flags = vec![NetworkFlag::Vpn];
    full.networks.push(line);
    full.payments.push(card(number + 7, PaymentPurpose::Billing));
    full.journey = crate::screening::fixtures::usual_journey();
    full
}

fn full_conversion() -> Conversion {
    conversion(|c| {
        c.campaign_id = CampaignId::new("spring").ok();
        c.value = Money::new(4_900, "EUR").ok();
        c.minimum_purchase = Money::new(1_000, "EUR").ok();
        c.referrer = full_side("ann", 10);
        c.referee = full_side("bob", 13);
        c.rewards.push(Reward {
            reward_id: RewardId::new("rw-1").unwrap(),
            beneficiary: Side::Referrer,
            amount: Money::new(1_000, "EUR").ok(),
        });
    })
}

fn screened() -> ConversionScreened {
    let conversion = full_conversion();
    let decision: Decision = assess_by_rules(&conversion, &crowd_on(IdentifierKind::Device, 16, 3));
    assert!(!decision.reasons.is_empty());
    ConversionScreened {
        content: ContentFingerprint([7; 16]),
        decision,
        received_at: noon(),
        case: Some(OpenedCase { due_at: noon().plus(Span::from_hours(48)), referrer: Some(full_side("ann", 40)), referee: None }),
        came_before: Effect::Reduced,
        repeated: Some(concerned()),
        conversion,
    }
}

fn concerned() -> Concerned {
    Concerned {
        conversion_id: ConversionId::new("cv-1").unwrap(),
        referrer: account("ann"),
        referee: account("bob"),
        verdict: Verdict::Approved,
        effect: Effect::Cancelled,
        paid: vec![RewardId::new("rw-1").unwrap()],
    }
}

fn account(id: &str) -> AccountId {
    AccountId::new(id).unwrap()
}

fn acted(conversion_id: &ConversionId, (referrer, referee): (&AccountId, &AccountId), actor: &Actor) -> CasesStepped {
    let act = StepMade {
        step: CaseStep::Step(Step::Resolve(Resolution::Accept)),
        actor: actor.clone(),
        reason_code: "same_household".to_owned(),
        note: "they called".to_owned(),
        at: noon(),
    };
    let step = CaseStepped {
        conversion_id: conversion_id.clone(),
        referrer: referrer.clone(),
        referee: referee.clone(),
        step: act.step.clone(),
        actor: actor.clone(),
        reason_code: act.reason_code.clone(),
        note: act.note.clone(),
        at: act.at,
        previous_state: Some(CaseState::Open),
        state: CaseState::Resolved { by: actor.clone(), resolution: Resolution::Accept },
        previous_verdict: Verdict::InReview,
        verdict: Verdict::Approved,
        revision: 4,
        opened_at: noon(),
        due_at: noon(),
        reason_codes: vec![EvidenceCode::SameDevice],
        paid: Vec::new(),
        first_case: None,
        trips: None,
        request: None,
    };
    let left = [
        LeftAlone::Changed,
        LeftAlone::ClaimedByOther,
        LeftAlone::AlreadyResolved,
        LeftAlone::NotResolved,
        LeftAlone::Gone,
        LeftAlone::NeedsConfirmation,
    ];
    let left = (1..).zip(left).map(|(number, left)| (ConversionId::new(&format!("cv-left-{number}")).unwrap(), Some(left)));
    CasesStepped {
        act,
        steps: vec![step],
        named: std::iter::once((conversion_id.clone(), None)).chain(left).collect(),
        trips: Some(tripped()),
        request: Request { id: RequestId::new("act-1").unwrap(), content: ContentFingerprint([7; 16]) },
    }
}

/// One event of each kind.
pub(crate) fn one_of_each() -> Vec<Event> {
    let conversion_id = ConversionId::new("cv-1").unwrap();
    let (referrer, referee) = (account("ann"), account("bob"));
    let actor = Actor::new("rita").unwrap();
    let reward_id = RewardId::new("rw-1").unwrap();
    let request = Some(Request { id: RequestId::new("call-1").unwrap(), content: ContentFingerprint([4; 16]) });
    let concerned = vec![concerned()];
    let identifier = Identifier { kind: IdentifierKind::Payment, digest: value(9).iter().next().unwrap().clone() };
    vec![
        Event::ConversionScreened(Box::new(screened())),
        Event::SignalsRecorded(SignalsRecorded {
            record_id: RecordId::new("rec-1").unwrap(),
            content: ContentFingerprint([1; 16]),
            bundles: vec![full_side("ann", 10), side("bob")],
            received_at: noon(),
        }),
        Event::OutcomeRecorded(Box::new(OutcomeRecorded {
            outcome: Outcome {
                program_id: ProgramId::new("shop").unwrap(),
                outcome_id: RecordId::new("out-1").unwrap(),
                kind: OutcomeKind::AccountBanned,
                subject: OutcomeSubject::Account(referrer.clone()),
                occurred_at: noon(),
                amount: Money::new(4_900, "EUR").ok(),
                actor: Some(actor.clone()),
                note: "seen in the shop".to_owned(),
            },
            content: ContentFingerprint([2; 16]),
            received_at: noon(),
            on_account: Effect::Cancelled,
            concerned: concerned.clone(),
        })),
        Event::OutcomeRevoked(Box::new(OutcomeRevoked {
            outcome_id: RecordId::new("out-1").unwrap(),
            kind: OutcomeKind::AccountBanned,
            subject: OutcomeSubject::Invoice { referee: referee.clone(), invoice_id: InvoiceId::new("in-1").unwrap() },
            actor: actor.clone(),
            reason_code: "mistake".to_owned(),
            note: String::new(),
            request: request.clone(),
            at: noon(),
            on_account: Effect::Reinstated,
            concerned: concerned.clone(),
        })),
        Event::OutcomeSpread(OutcomeSpread { outcome_id: RecordId::new("out-1").unwrap(), at: noon(), concerned }),
        Event::PendingExpired(PendingExpired { outcome_ids: vec![RecordId::new("out-2").unwrap()], at: noon() }),
        Event::RewardsReserved(Box::new(RewardsReserved {
            request: request.clone().unwrap(),
            at: noon(),
            rechecked: None,
            answers: answers(&conversion_id, &reward_id),
        })),
        Event::Rechecked(Box::new(Rechecked {
            at: noon(),
            as_of: Cursor(12),
            seen: vec![conversion_id.clone()],
            changed: vec![Reassessed {
                conversion_id: conversion_id.clone(),
                referrer: referrer.clone(),
                referee: referee.clone(),
                previous_verdict: Verdict::Approved,
                verdict: Verdict::InReview,
                due_at: noon(),
                paid: vec![reward_id.clone()],
                decision: Box::new(screened().decision),
            }],
        })),
        Event::ReservationChanged(Box::new(ReservationChanged {
            reservation_id: RequestId::new("run-1").unwrap(),
            rewards: vec![(conversion_id.clone(), reward_id.clone())],
            until: Some(noon()),
            request: request.clone(),
            at: noon(),
        })),
        Event::PayoutFailed(Box::new(PayoutFailed {
            conversion_id: conversion_id.clone(),
            referrer: referrer.clone(),
            referee: referee.clone(),
            reward_id: reward_id.clone(),
            failed_at: noon(),
            reason_code: "account_closed".to_owned(),
            note: "bounced".to_owned(),
            received_at: noon(),
            verdict: Verdict::Approved,
            request: request.clone(),
        })),
        Event::RewardsChanged(Box::new(RewardsChanged {
            conversion_id: conversion_id.clone(),
            referrer: referrer.clone(),
            referee: referee.clone(),
            verdict: Verdict::Approved,
            rewards: vec![ChangedReward {
                reward: Reward { reward_id: reward_id.clone(), beneficiary: Side::Referee, amount: None },
                previous: Money::new(2_000, "EUR").ok(),
            }],
            change: RewardsChange::Change,
            actor: actor.clone(),
            note: String::new(),
            request: request.clone(),
            at: noon(),
        })),
        Event::ConversionKept(Box::new(ConversionKept {
            conversion_id: conversion_id.clone(),
            content: ContentFingerprint([3; 16]),
            kind: ConversionKind::InvoicePaid,
            occurred_at: noon(),
            referrer: referrer.clone(),
            referee: referee.clone(),
            invoice_id: None,
            duplicate_of: None,
            verdict: Verdict::Approved,
            cancelled: Some(Cancelled { by: OutcomeKind::Chargeback, at: noon() }),
            accepts: Accepts::Any,
            rewards: vec![KeptReward {
                reward_id: reward_id.clone(),
                beneficiary: Some(Side::Referrer),
                amount: Money::new(2_000, "EUR").ok(),
                payment: Some(KeptPayment { amount: None, cursor: Cursor(9), reported: true }),
            }],
            audited: Some(Audited { version: "m-1".into(), ruled: Some(Verdict::Approved) }),
        })),
        Event::CaseStepped(Box::new(CaseStepped {
            conversion_id: conversion_id.clone(),
            referrer: referrer.clone(),
            referee: referee.clone(),
            step: CaseStep::Step(Step::Resolve(Resolution::Reject)),
            actor: actor.clone(),
            reason_code: "same_person".to_owned(),
            note: "both on one card".to_owned(),
            at: noon(),
            previous_state: Some(CaseState::Claimed { by: actor.clone(), lease_until: noon().plus(Span::from_minutes(30)) }),
            state: CaseState::Resolved { by: actor.clone(), resolution: Resolution::Reject },
            previous_verdict: Verdict::InReview,
            verdict: Verdict::Rejected,
            revision: 3,
            opened_at: noon(),
            due_at: noon().plus(Span::from_hours(48)),
            reason_codes: vec![EvidenceCode::SameDevice, EvidenceCode::Blocked],
            paid: vec![reward_id.clone()],
            first_case: Some(FirstCase { score: 0.1 + 0.2, value: None, headline: "Both sides …".to_owned() }),
            trips: Some(tripped()),
            request: request.clone(),
        })),
        Event::CasesStepped(Box::new(acted(&conversion_id, (&referrer, &referee), &actor))),
        Event::RewardPaid(Box::new(RewardPaid {
            reservation_id: RequestId::new("run-1").ok(),
            conversion_id: conversion_id.clone(),
            referrer: referrer.clone(),
            referee: referee.clone(),
            reward_id,
            paid_at: noon(),
            amount: None,
            received_at: noon(),
            verdict: Verdict::Approved,
            entitlement: Entitlement::Lost,
            against_gate: Some(GateReason::Duplicate(conversion_id.clone())),
            request: request.clone(),
        })),
        Event::HoldChanged(HoldChanged {
            hold_id: HoldId::new("legal-7").unwrap(),
            subject: HoldSubject::Conversion(conversion_id),
            change: Change::Place,
            actor: actor.clone(),
            note: String::new(),
            at: noon(),
            referral: Some(HeldReferral { referrer, referee, verdict: Verdict::Approved }),
            request: request.clone(),
        }),
        Event::ListChanged(ListChanged {
            entry: ListEntry {
                list: ListKind::Trusted,
                subject: ListSubject::Identifier(identifier),
                actor: actor.clone(),
                note: "the office".to_owned(),
                placed_at: noon(),
                expires_at: Some(noon().plus(Span::from_days(30))),
            },
            change: Change::Place,
            request: request.clone(),
        }),
        Event::ModelsChanged(Box::new(ModelsChanged {
            action: ModelAction::Activated,
            model: Some(model("m-2")),
            previous: Some(model("m-1")),
            choices: Some(ModelChoices { active: model("m-2"), before: Some(model("m-1")), challenger: None }),
            actor: actor.clone(),
            note: "measured".to_owned(),
            at: noon(),
            request,
        })),
        Event::AuditKeyMade(AuditKeyMade { key: AuditKey::new([5; 32]), at: noon() }),
        Event::BreakerTripped(tripped()),
    ]
    .into_iter()
    .chain(
        directory_steps()
            .map(|step| Event::DirectoryChanged(Box::new(DirectoryChanged { step, actor: actor.clone(), at: noon() }))),
    )
    .chain(acts())
    .chain(of_the_trail())
    .chain([Event::TermsChanged(Box::new(terms_changed())), Event::ValuesRekeyed(Box::new(rekeyed()))])
    .chain([Event::SourceEventTaken(Box::new(source_event()))])
    .collect()
}

/// One of each record that the audit trail and erasures have.
fn of_the_trail() -> impl Iterator<Item = Event> {
    let actor = Actor::new("rita").unwrap();
    let conversion = ConversionId::new("cv-1").unwrap();
    let seen = [
        Seen::Case(conversion.clone()),
        Seen::Decision(conversion),
        Seen::Account(account("ann")),
        Seen::Cluster(account("ann")),
        Seen::Export,
        Seen::Backup,
        Seen::Trail,
    ];
    let looks = seen.into_iter().map(|seen| Look { seen, at: noon() }).collect();
    let kept = |beside| TrailKept {
        first: Cursor(3),
        entries: vec![KeptEntry { leaf: [6; 32], text: None }, KeptEntry { leaf: [7; 32], text: Some("{}".to_owned()) }],
        beside,
    };
    [
        Event::Looked(Box::new(Looked { actor: actor.clone(), looks, at: noon() })),
        Event::AccountErased(AccountErased {
            account_id: account("ann"),
            actor,
            reason_code: "asked_by_the_person".to_owned(),
            request: Some(Request { id: RequestId::new("call-1").unwrap(), content: ContentFingerprint([4; 16]) }),
            at: noon(),
        }),
        Event::ErasureFinished(Box::new(ErasureFinished {
            asked: vec![Cursor(9)],
            rewritten: vec![(Cursor(2), [8; 32])],
            at: noon(),
        })),
        Event::TrailKept(Box::new(kept(None))),
        Event::TrailKept(Box::new(kept(Some(Box::new(Event::BreakerTripped(tripped())))))),
    ]
    .into_iter()
}

#[test]
fn a_record_says_who_made_it_where_its_event_does_not() {
    let rita = Actor::new("rita").unwrap();
    for event in one_of_each() {
        let (read, by) = decode_by(&encode_by(&event, Some(&rita))).unwrap();
        assert_eq!(by.is_some(), event.actor().is_none(), "{event:?}");
        assert_eq!(read, event);
        assert_eq!(decode_by(&encode_by(&event, None)).unwrap(), (event, None));
    }
}

#[test]
fn a_record_without_its_signals_keeps_place_chain_and_everything_else() {
    let (before, chain) = (Chain([1; 16]), Chain([2; 16]));
    let event = Event::ConversionScreened(Box::new(screened()));
    let bare = event.without_signals_of(&[&account("ann")], &Book::new(0)).unwrap();
    assert_eq!(bare.without_signals_of(&[&account("ann")], &Book::new(0)), None, "nothing is left to take");
    let payload = Rewritten { before, chain }.payload(&encode_by(&bare, None));
    assert_eq!(decode(&payload).unwrap(), bare);
    assert_eq!(told(SOMEWHERE, &payload), told(SOMEWHERE, &encode(&event)), "the feed tells the same");
    assert_eq!(before.then(Cursor(5), &payload), chain);
    assert_ne!(Chain([3; 16]).then(Cursor(5), &payload), chain, "it follows only what it followed");
    assert_eq!(bare.trail(Cursor(5), None), event.trail(Cursor(5), None), "and the trail says the same");
}

/// What the trail says of each record. The chain is made of these texts: one that changes makes every earlier export another trail.
#[test]
fn what_the_trail_says_never_changes() {
    let told: Vec<String> = (1..)
        .zip(one_of_each())
        .map(|(place, event)| text_of(&event.trail(Cursor(place), Some(&Actor::new("backend").unwrap()))))
        .collect();
    let told = told.join("\n") + "\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/audit_trail_v1.txt");
    if std::env::var_os("SELFSAME_WRITE_FIXTURES").is_some() {
        std::fs::write(path, &told).unwrap();
        let record = |event: &Event| {
            let bytes = encode(event);
            [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
        };
        let records: Vec<u8> = one_of_each().iter().flat_map(record).collect();
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ledger_records_v1.bin"), records).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), told);
}

/// An event of a sender's that says one thing of each kind.
fn source_event() -> SourceEventTaken {
    let id = |id: &str| SenderId::new(id).unwrap();
    let value = Money::new(4_900, "EUR").unwrap();
    let full = full_side("ann", 10);
    let signals = SenderSignals { opened_at: Some(noon()), emails: full.emails, names: full.names, payments: full.payments };
    let payment = |of: PaymentOf| {
        let (customer, intent, subscription) = (Some(id("cus_1")), Some(id("pi_1")), Some(id("sub_1")));
        Fact::Payment(Box::new(PaymentFact { payment: id("in_1"), customer, value, paid_at: noon(), of, intent, subscription }))
    };
    let (account, code) = (Some(account("bob")), Some(Ucc::new("ANN-1").unwrap()));
    let mistake = |kind| Mistake { kind, source: Source::Events, subject: "cus_1".into() };
    SourceEventTaken {
        source: Source::Stripe,
        event_id: id("evt_1"),
        at: noon(),
        content: ContentFingerprint([6; 16]),
        facts: vec![
            Fact::Customer(CustomerFact { customer: id("cus_1"), created_at: Some(noon()), account: account.clone(), code }),
            Fact::Signals(id("cus_1"), Box::new(signals)),
            Fact::Step(id("cus_1"), ReferralStep::SignIn),
            payment(PaymentOf::Itself),
            payment(PaymentOf::Invoice(id("in_1"))),
            Fact::OfInvoice { intent: id("pi_1"), invoice: id("in_1") },
            Fact::GivenBack { payment: id("ch_1"), refund: id("re_1"), amount: Some(value) },
            Fact::Disputed(DisputeFact {
                payment: id("ch_1"),
                dispute: id("dp_1"),
                amount: Some(value),
                opened_at: noon(),
                won_at: Some(noon()),
            }),
            Fact::Warned { payment: id("ch_1"), warning: id("issfr_1") },
            Fact::Ended(id("sub_1")),
            Fact::Code(CodeFact {
                code: Ucc::new("ANN-1").unwrap(),
                owner: account,
                campaign: CampaignId::new("spring").ok(),
                use_of: CodeUse::Ended,
            }),
        ],
        mistakes: vec![
            mistake(MistakeKind::AmountInMajorUnits),
            mistake(MistakeKind::SandboxIntoProduction),
            mistake(MistakeKind::BeforeSignUp),
            mistake(MistakeKind::UnknownCode),
            mistake(MistakeKind::NoAccount),
            mistake(MistakeKind::Unreadable),
        ],
        received_at: noon(),
    }
}

/// One of each act that waits, one that was confirmed, and one that was refused.
fn acts() -> impl Iterator<Item = Event> {
    let actor = Actor::new("rita").unwrap();
    let request = Some(Request { id: RequestId::new("call-1").unwrap(), content: ContentFingerprint([4; 16]) });
    let outcome_id = RecordId::new("out-1").unwrap();
    let outcome = Outcome {
        program_id: ProgramId::new("shop").unwrap(),
        outcome_id: outcome_id.clone(),
        kind: OutcomeKind::AccountUnbanned,
        subject: OutcomeSubject::Account(account("ann")),
        occurred_at: noon(),
        amount: None,
        actor: None,
        note: String::new(),
    };
    let entry = ListEntry {
        list: ListKind::Blocked,
        subject: ListSubject::Account(account("ann")),
        actor: actor.clone(),
        note: "once more".to_owned(),
        placed_at: noon(),
        expires_at: Some(noon()),
    };
    let case_id = CaseId::of(&ConversionId::new("cv-1").unwrap());
    let subject = HoldSubject::Conversion(ConversionId::new("cv-1").unwrap());
    let all = [
        (Act::Accept { case_id, reason_code: "same_household".to_owned(), expected_revision: Some(3) }, Cause::Amount),
        (Act::LiftHold(HoldStep::Lift(HoldId::new("hold-3").unwrap())), Cause::Amount),
        (Act::LiftHold(HoldStep::LiftOwn(subject)), Cause::Amount),
        (Act::ChangeList(Box::new(entry.clone()), Change::Place), Cause::Unban),
        (Act::RecordOutcome(Box::new(outcome), ContentFingerprint([2; 16])), Cause::Unban),
        (Act::RevokeOutcome { outcome_id, reason_code: "mistake".to_owned() }, Cause::Unban),
        (Act::Activate { model: model("m-2"), default: model("m-1") }, Cause::Model),
        (Act::ChangeTerms(Box::new(terms_step())), Cause::Terms),
    ];
    let (proposer, asked) = (actor.clone(), request.clone());
    let proposed = (1..).zip(all).map(move |(place, (act, cause))| {
        let (id, proposer, note) = (ActId::at(place), proposer.clone(), "both live there".to_owned());
        let (proposed_at, expires_at) = (noon(), noon().plus(Span::from_days(7)));
        let pending = PendingAct { id, act, cause, proposer, note, proposed_at, expires_at };
        Event::ActProposed(Box::new(ActProposed { pending, request: asked.clone() }))
    });
    let done = Box::new(Event::ListChanged(ListChanged { entry, change: Change::Lift, request: None }));
    let (act_id, note, at) = (ActId::at(4), String::new(), noon());
    let confirmed =
        ActConfirmed { act_id: act_id.clone(), actor: actor.clone(), note: note.clone(), request: request.clone(), at, done };
    let dropped = ActDropped { act_id, how: Settlement::Refuse, actor, note, request, at };
    proposed.chain([Event::ActConfirmed(Box::new(confirmed)), Event::ActDropped(dropped)])
}

fn terms_step() -> TermsStep {
    let text = Arc::from("version = \"shop-3\"");
    let policy = ProgramPolicy { name: PolicyName { version: "shop-3".into(), hash: PolicyHash([3; 16]) }, text };
    TermsStep {
        policy: Setting::Is(policy),
        payout_delay: Setting::Is(Span::from_days(7)),
        retention: Setting::Default,
        decided: Decided::IsShortenedToo,
    }
}

fn rekeyed() -> ValuesRekeyed {
    let digest = |key: &str, byte: u8| Digest { value: [byte; 32], key_id: KeyId::new(key).unwrap() };
    let row = |kind, byte: u8, sketches| Rekeyed { kind, old: digest("k1", byte), new: digest("k2", byte + 1), sketches };
    let sketches = NewSketches { of_text: Some([7; SKETCH_BYTES]), of_person: None };
    ValuesRekeyed {
        values: vec![row(RekeyedKind::LocalPart, 1, sketches), row(RekeyedKind::Pattern, 3, NewSketches::NONE)],
        actor: Actor::new("lena").unwrap(),
        note: "the yearly change".to_owned(),
        request: Request { id: RequestId::new("rekey-1").unwrap(), content: ContentFingerprint([6; 16]) },
        at: noon(),
    }
}

/// Terms under which a promise stands.
fn terms_changed() -> TermsChanged {
    let campaigns = BTreeMap::from([(
        CampaignId::new("spring").unwrap(),
        CampaignPayout { delay: Span::from_days(30), counts_from: CountsFrom::Occurrence },
    )]);
    TermsChanged {
        terms: terms_step().onto(&Terms { retention: Some(Span::from_days(400)), ..Terms::default() }),
        promises: vec![Promise { until: noon(), delay: Span::from_days(14), campaigns }],
        previous: TermsSummary { retention: Some(Span::from_days(400)), ..TermsSummary::default() },
        actor: Actor::new("lena").unwrap(),
        note: "pay sooner".to_owned(),
        at: noon(),
        request: Some(Request { id: RequestId::new("terms-1").unwrap(), content: ContentFingerprint([6; 16]) }),
    }
}

/// One of each step of the directory.
fn directory_steps() -> impl Iterator<Item = DirectoryStep> {
    let program = |id: &str| ProgramId::new(id).unwrap();
    let settings = ProgramSettings {
        id: program("shop"),
        title: "The shop".to_owned(),
        stage: Stage::Production,
        currencies: BTreeSet::from([Currency::new("EUR").unwrap()]),
        confirmation: Some(Confirmation {
            above: BTreeMap::from([(Currency::new("EUR").unwrap(), 20_000)]),
            unbans: true,
            models: false,
            terms: true,
            lifetime: Span::from_days(7),
        }),
        key_ids: BTreeSet::from([KeyId::new("k1").unwrap()]),
    };
    let name = Actor::new("backend").unwrap();
    let identity = IdentitySettings {
        name: name.clone(),
        roles: BTreeSet::from(Role::ALL),
        scope: Scope::Of(BTreeSet::from([program("shop")])),
        certificates: BTreeSet::from(["backend.internal".into()]),
    };
    let everywhere = IdentitySettings { scope: Scope::All, certificates: BTreeSet::new(), ..identity.clone() };
    let id = TokenId::new("tk-1").unwrap();
    let token = Token {
        id: id.clone(),
        digest: TokenDigest([9; 32]),
        note: "the backend's".to_owned(),
        issued_at: noon(),
        issued_by: name.clone(),
        expires_at: Some(noon().plus(Span::from_days(90))),
        revoked_at: None,
    };
    [
        DirectoryStep::CreateProgram(settings.clone()),
        DirectoryStep::UpdateProgram(settings),
        DirectoryStep::Archive(program("shop"), Archival::Archived),
        DirectoryStep::PutIdentity(identity),
        DirectoryStep::PutIdentity(everywhere),
        DirectoryStep::RemoveIdentity(name.clone()),
        DirectoryStep::IssueToken(name, token),
        DirectoryStep::RevokeToken(id),
        DirectoryStep::MakeKey(LedgerKey([9; 32])),
    ]
    .into_iter()
}

fn model(version: &str) -> ModelName {
    ModelName { version: version.into(), content: ModelContent([8; 16]) }
}

fn tripped() -> BreakerTripped {
    BreakerTripped { version: "m-1".into(), honest: 7, abusive: 1, at: noon() }
}

/// A reward that was reserved, and one for each reason of the gate.
fn answers(conversion: &ConversionId, reward: &RewardId) -> Vec<ReserveAnswer> {
    let reasons = [
        GateReason::Cleared,
        GateReason::UnknownConversion,
        GateReason::UnknownReward,
        GateReason::OtherConversion,
        GateReason::RepeatedInCall,
        GateReason::InReview,
        GateReason::LateFacts,
        GateReason::DelayRunning,
        GateReason::ReferralHeld,
        GateReason::ReferrerHeld,
        GateReason::Reserved,
        GateReason::Reduced,
        GateReason::Removed,
        GateReason::ReservationEnded,
        GateReason::Rejected,
        GateReason::Cancelled(OutcomeKind::Chargeback),
        GateReason::Duplicate(conversion.clone()),
        GateReason::AlreadyPaid,
    ];
    let answer = |reason: GateReason| {
        let released = reason == GateReason::Cleared;
        let amount = Money::new(2_000, "EUR").ok().filter(|_| released);
        let gate = if released { Gate::Release } else { Gate::Hold };
        ReserveAnswer {
            reward_id: reward.clone(),
            conversion_id: conversion.clone(),
            gate: GateAnswer { gate, reason, hold_until: None, payable: amount },
            reserved_until: released.then(noon),
            amount,
        }
    };
    reasons.into_iter().map(answer).collect()
}

#[test]
fn every_event_comes_back() {
    for event in one_of_each() {
        assert_eq!(decode(&encode(&event)), Ok(event));
    }
}

#[test]
fn what_the_feed_tells_is_the_same_with_and_without_the_rest() {
    for event in one_of_each() {
        assert_eq!(told(SOMEWHERE, &encode(&event)), Ok(feed::events(SOMEWHERE, &event)));
    }
}

#[test]
fn cut_and_changed_records_are_errors_or_other_events_but_never_panics() {
    for event in one_of_each() {
        let bytes = encode(&event);
        for end in 0..bytes.len() {
            assert!(decode(&bytes[..end]).is_err(), "a cut record is never whole");
        }
        for place in 0..bytes.len() {
            for change in [0x01, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[place] ^= change;
                drop(decode(&changed));
                drop(told(SOMEWHERE, &changed));
            }
        }
    }
}

#[test]
fn a_record_of_a_newer_version_is_refused() {
    let mut bytes = encode(&one_of_each()[4]);
    bytes[0] = VERSION + 1;
    assert_eq!(decode(&bytes), Err(Damaged("its version is newer than this build")));
}

#[test]
fn a_decision_takes_few_bytes_beyond_its_message() {
    let screened = screened();
    let mut w = Writer::default();
    decision::write(&mut w, &screened.decision);
    let decision_bytes = w.finish().len();
    // Measured: reviewed when it grows. The message itself is what the caller sent.
    assert!(decision_bytes < 900, "{decision_bytes}");
}

/// Version 1 as it was shipped: one record of each kind, each after its length. Never written again.
const VERSION_1: &[u8] = include_bytes!("../../../tests/fixtures/ledger_records_v1.bin");

fn records_of(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let (record, rest) = rest.split_at(usize::try_from(u32::from_be_bytes(*length)).unwrap());
        records.push(record);
        bytes = rest;
    }
    records
}

#[test]
fn records_of_version_1_stay_readable() {
    let records = records_of(VERSION_1);
    assert_eq!(records.len(), 47);
    let decoded: Vec<Event> = records.iter().map(|record| decode(record).unwrap()).collect();
    let Event::ConversionScreened(screened) = &decoded[0] else { panic!("the first is a conversion") };
    assert_eq!(screened.conversion, full_conversion());
    assert_eq!(screened.decision.verdict, Verdict::InReview);
    assert_eq!(screened.case.as_ref().unwrap().referrer, Some(full_side("ann", 40)));
    assert_eq!(decoded[1..], one_of_each()[1..]);
    for (record, event) in records.iter().zip(&decoded) {
        assert_eq!(encode(event), *record, "what is written now is what was written then");
    }
}
