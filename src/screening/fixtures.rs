//! Fixtures for tests: conversions and histories that say only what the test is about.

use proptest::prelude::*;

use crate::screening::audit::AuditKey;
use crate::screening::decision::{Decision, Verdict};
use crate::screening::evidence::{Evidence, EvidenceCode, Finding};
use crate::screening::gate::{Accepts, Held, Record, Standing};
use crate::screening::history::{Crowd, History, Identifier, IdentifierKind};
use crate::screening::policy::{
    AuditPolicy, PayoutPolicy, Policy, PolicyParts, ReviewPolicy, RuleMode, ScorePolicy, ScoreSource,
};
use crate::screening::rules::{Condition, Rule};
use crate::screening::{Models, Rulebook, assess};
use crate::vocabulary::bundle::{
    DeviceSignals, EmailSignals, NameSignals, NetworkFlag, NetworkSignals, PaymentKind, PaymentPurpose, PaymentSignals,
    SignalBundle,
};
use crate::vocabulary::conversion::{Conversion, ConversionKind, RefereeStanding};
use crate::vocabulary::digest::{Digest, DigestSet, KeyId};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::ids::{AccountId, ConversionId, ProgramId, Ucc};
use crate::vocabulary::journey::{Attribution, CapturedVia, CodeValidity, Journey, Touchpoint, TouchpointKind};
use crate::vocabulary::sketch::{SKETCH_BYTES, Sketch};
use crate::vocabulary::time::{Span, Timestamp};

/// A day in 2026 on which all fixtures convert.
pub(crate) fn noon() -> Timestamp {
    Timestamp::saturating_from_millis(1_790_000_000_000)
}

/// A digest named by a number: equal numbers, equal values.
pub(crate) fn value(number: u8) -> DigestSet {
    DigestSet::single(Digest { value: [number; 32], key_id: KeyId::new("k1").unwrap() })
}

/// The index entry of [`value`].
pub(crate) fn identifier(kind: IdentifierKind, number: u8) -> Identifier {
    Identifier { kind, digest: Digest { value: [number; 32], key_id: KeyId::new("k1").unwrap() } }
}

pub(crate) fn bundle(account: &str) -> SignalBundle {
    SignalBundle::of_account(AccountId::new(account).unwrap())
}

pub(crate) fn device(number: u8) -> DeviceSignals {
    DeviceSignals {
        fingerprint: Some(value(number)),
        browser: None,
        user_agent: "".into(),
        platform: "".into(),
        time_zone: "".into(),
        languages: Vec::new(),
        screen_px: None,
        seen_at: None,
    }
}

pub(crate) fn network(number: u8) -> NetworkSignals {
    NetworkSignals {
        address: Some(value(number)),
        prefix: None,
        asn: None,
        country: None,
        flags: Vec::<NetworkFlag>::new(),
        seen_at: None,
    }
}

pub(crate) fn card(number: u8, purpose: PaymentPurpose) -> PaymentSignals {
    PaymentSignals { instrument: value(number), kind: PaymentKind::Card, purpose, country: None, seen_at: None }
}

pub(crate) fn email(mailbox: u8, local_part: u8, class: EmailDomainClass) -> EmailSignals {
    EmailSignals {
        exact: Some(value(mailbox)),
        mailbox: Some(value(mailbox)),
        pattern: Some(value(local_part)),
        local_part: Some(value(local_part)),
        domain: Some(value(200)),
        domain_class: Some(class),
        local_part_sketches: Vec::new(),
        person_sketches: Vec::new(),
    }
}

/// A mailbox of which nothing else is told: two sides with one can be compared.
fn own_mailbox(number: u8) -> EmailSignals {
    EmailSignals {
        exact: None,
        mailbox: Some(value(number)),
        pattern: None,
        local_part: None,
        domain: None,
        domain_class: None,
        local_part_sketches: Vec::new(),
        person_sketches: Vec::new(),
    }
}

/// A click, a sign-up two minutes later, and some pages, all in the hour before [`noon`].
pub(crate) fn usual_journey() -> Journey {
    let step = |kind, minutes: i64, path: &str| Touchpoint {
        kind,
        occurred_at: noon().minus(Span::from_minutes(minutes)),
        device: None,
        browser: None,
        path_token: path.into(),
    };
    let steps = vec![
        step(TouchpointKind::LinkClick, 60, "r"),
        step(TouchpointKind::Landing, 60, "landing"),
        step(TouchpointKind::Signup, 55, "signup"),
        step(TouchpointKind::PageView, 30, "plans"),
    ];
    Journey::new(steps, None)
}

/// A sketch of a person: equal numbers, equal sketches, and no bit in common with another below 128.
pub(crate) fn person(number: u8) -> Sketch {
    let mut bits = [0; SKETCH_BYTES];
    bits[usize::from(number) % SKETCH_BYTES] = 0xff;
    Sketch { key_id: KeyId::new("k1").unwrap(), bits }
}

pub(crate) fn name(number: u8) -> NameSignals {
    NameSignals { exact: Some(value(number)), sketches: Vec::new(), person_sketches: Vec::new() }
}

/// An honest conversion between two accounts of which nothing is shared: two persons of two names.
pub(crate) fn honest() -> Conversion {
    let (mut referrer, mut referee) = (bundle("ann"), bundle("bob"));
    referrer.emails.push(own_mailbox(251));
    referee.emails.push(own_mailbox(252));
    referee.journey = usual_journey();
    Conversion {
        program_id: ProgramId::new("shop").unwrap(),
        conversion_id: ConversionId::new("cv-1").unwrap(),
        campaign_id: None,
        kind: ConversionKind::InvoicePaid,
        occurred_at: noon(),
        value: None,
        minimum_purchase: None,
        invoice_id: None,
        referee_standing: RefereeStanding::New,
        attribution: Attribution {
            captured_via: CapturedVia::Link,
            ucc: Some(Ucc::new("ANN-10").unwrap()),
            code_validity: CodeValidity::Valid,
            previous_ucc: None,
            captured_at: None,
            attached_by: None,
        },
        referrer,
        referee,
        rewards: Vec::new(),
    }
}

/// The honest conversion with something changed.
pub(crate) fn conversion(change: impl FnOnce(&mut Conversion)) -> Conversion {
    let mut conversion = honest();
    change(&mut conversion);
    conversion
}

/// A history in which `others` other accounts use the value.
pub(crate) fn crowd_on(kind: IdentifierKind, number: u8, others: u32) -> History {
    let crowd =
        Crowd { accounts_ever: others, persons_ever: others, accounts_30d: others, accounts_24h: others, ..Crowd::default() };
    History { persons_known: 1_000, crowds: [(identifier(kind, number), crowd)].into(), ..History::default() }
}

pub(crate) fn rule(name: &str, when: &str, mode: RuleMode, weight_log_odds: f64) -> Rule {
    Rule { name: name.into(), when: vec![Condition::parse(when).unwrap()], mode, weight_log_odds }
}

/// A policy with one rule for every piece of evidence: the certain ones reject, money in a circle insists on a review, the rest weighs.
pub(crate) fn policy_parts() -> PolicyParts {
    let rules =
        EvidenceCode::ALL.into_iter().filter(|code| code.speaks() && *code != EvidenceCode::ReferrerAccepted).map(|code| {
            let (when, mode) = match code {
                EvidenceCode::SameAccount => (code.dotted(), RuleMode::Reject),
                EvidenceCode::Blocked => ("list.blocked >= 1.0", RuleMode::Reject),
                EvidenceCode::PayoutIsBilling => (code.dotted(), RuleMode::Insist),
                _ => (code.dotted(), RuleMode::Weigh),
            };
            let weight = if code == EvidenceCode::Trusted { -2.0 } else { 2.0 };
            rule(code.dotted(), when, mode, weight)
        });
    PolicyParts {
        version: "test-1".to_owned(),
        score: ScorePolicy {
            source: ScoreSource::Judgement,
            intercept_log_odds: -5.0,
            review_threshold: Some(0.2),
            review_floor: 0.0,
        },
        payout: PayoutPolicy::after(Span::from_days(14)),
        review: ReviewPolicy { due_after: Span::from_hours(48), lease: Span::from_minutes(30) },
        audit: AuditPolicy { sample_share: 0.0 },
        rules: rules.collect(),
    }
}

pub(crate) fn policy() -> Policy {
    Policy::new(policy_parts()).unwrap()
}

/// Assesses without a model under [`policy`].
pub(crate) fn assess_by_rules(conversion: &Conversion, history: &History) -> Decision {
    let policy = policy();
    let audit_key = AuditKey::new([1; 32]);
    assess(conversion, history, Rulebook { policy: &policy, models: Models::default(), audit_key: &audit_key }, noon())
}

/// Where an approved conversion stands that nothing was said of since.
pub(crate) fn approved() -> Standing {
    Standing {
        record: Record::Kept,
        verdict: Verdict::Approved,
        occurred_at: noon(),
        received_at: noon(),
        campaign_id: None,
        value: None,
        cancelled: None,
        refunded: None,
        duplicate_of: None,
        referral_held: Held::No,
        referrer_held: Held::No,
        late_facts: Held::No,
        accepts: Accepts::Any,
        rewards: Vec::new(),
    }
}

fn any_finding() -> impl Strategy<Value = Finding> {
    prop_oneof![
        Just(Finding::Absent),
        Just(Finding::CLEAR),
        (0.01_f64..=1.0, 0.0_f64..100.0).prop_map(|(strength, measure)| Finding::measured(strength, measure)),
    ]
}

/// Evidence of every shape.
pub(crate) fn any_evidence() -> impl Strategy<Value = Evidence> {
    proptest::collection::vec(any_finding(), EvidenceCode::COUNT).prop_map(|findings| {
        EvidenceCode::ALL
            .into_iter()
            .zip(findings)
            .fold(Evidence::absent(), |evidence, (code, finding)| evidence.with(code, finding))
    })
}
