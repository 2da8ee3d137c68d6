//! Fixtures for tests: any valid conversion as a proptest strategy, and one full message to spoil.
//! Must never be called outside tests.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample::select;

use super::v1;
use crate::vocabulary::bundle::{
    DeviceSignals, EmailSignals, NameSignals, NetworkFlag, NetworkSignals, PaymentKind, PaymentPurpose, PaymentSignals,
    SignalBundle,
};
use crate::vocabulary::conversion::{Conversion, ConversionKind, RefereeStanding, Reward, Side};
use crate::vocabulary::digest::{Digest, DigestSet, KeyId};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::ids::{AccountId, Actor, CampaignId, ConversionId, InvoiceId, ProgramId, RewardId, Ucc};
use crate::vocabulary::journey::{Attribution, CapturedVia, CodeValidity, Journey, Touchpoint, TouchpointKind};
use crate::vocabulary::money::Money;
use crate::vocabulary::personal_data;
use crate::vocabulary::sketch::{SKETCH_BYTES, Sketch};
use crate::vocabulary::time::Timestamp;

/// When all messages of the tests arrive.
pub(crate) const RECEIVED_AT_MILLIS: i64 = 1_790_000_000_000;

fn id() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._:/-]{1,24}"
}

fn time() -> impl Strategy<Value = Timestamp> {
    (1_600_000_000_000..RECEIVED_AT_MILLIS).prop_map(Timestamp::saturating_from_millis)
}

fn key(number: u8) -> KeyId {
    KeyId::new(&format!("k{number}")).unwrap()
}

fn digest_set() -> impl Strategy<Value = DigestSet> {
    let digest = |number: u8| any::<[u8; 32]>().prop_map(move |value| Digest { value, key_id: key(number) });
    prop_oneof![
        digest(1).prop_map(DigestSet::single),
        (digest(2), digest(1)).prop_map(|(a, b)| DigestSet::new([a, b]).unwrap().unwrap()),
    ]
}

fn sketches() -> impl Strategy<Value = Vec<Sketch>> {
    (0_u8..3, any::<u8>()).prop_map(|(count, byte)| {
        let sketch = |number| Sketch { key_id: key(number), bits: [byte.wrapping_add(number); SKETCH_BYTES] };
        (0..count).map(sketch).collect()
    })
}

fn money() -> impl Strategy<Value = Money> {
    (0_i64..=1_000_000_000_000).prop_map(|amount| Money::new(amount, "EUR").unwrap())
}

fn email() -> impl Strategy<Value = EmailSignals> {
    let classes =
        [EmailDomainClass::FreeMail, EmailDomainClass::Disposable, EmailDomainClass::Relay, EmailDomainClass::Corporate];
    let values = (of(digest_set()), of(digest_set()), of(digest_set()), of(digest_set()), of(digest_set()));
    (values, select(classes.to_vec()), sketches(), sketches()).prop_map(
        |((exact, mailbox, pattern, local_part, domain), class, local_part_sketches, person_sketches)| EmailSignals {
            exact,
            mailbox,
            pattern,
            local_part,
            domain,
            domain_class: Some(class),
            local_part_sketches,
            person_sketches,
        },
    )
}

fn name() -> impl Strategy<Value = NameSignals> {
    (digest_set(), sketches(), sketches()).prop_map(|(exact, sketches, person_sketches)| NameSignals {
        exact: Some(exact),
        sketches,
        person_sketches,
    })
}

fn device() -> impl Strategy<Value = DeviceSignals> {
    // What looks like somebody's address or number is never taken, and reads as absent.
    let nobodys = |text: &String| personal_data::in_machine_text(text).is_none();
    let text = move || "[ -~]{0,40}".prop_filter("no personal datum", nobodys).prop_map(String::into_boxed_str);
    let languages = vec("[a-z]{2}-[A-Z]{2}".prop_map(String::into_boxed_str), 0..4);
    let screen = of((1_u32..=32_768, 1_u32..=32_768));
    (digest_set(), of(digest_set()), text(), text(), text(), languages, screen, of(time())).prop_map(
        |(fingerprint, browser, user_agent, platform, time_zone, languages, screen_px, seen_at)| DeviceSignals {
            fingerprint: Some(fingerprint),
            browser,
            user_agent,
            platform,
            time_zone,
            languages,
            screen_px,
            seen_at,
        },
    )
}

fn network() -> impl Strategy<Value = NetworkSignals> {
    let flags = vec(select(&[NetworkFlag::Vpn, NetworkFlag::Tor, NetworkFlag::Hosting, NetworkFlag::Relay][..]), 0..4);
    (digest_set(), of(digest_set()), of(1_u32..), of(Just(*b"DE")), flags, of(time())).prop_map(
        |(address, prefix, asn, country, mut flags, seen_at)| {
            flags.sort_unstable();
            flags.dedup();
            NetworkSignals { address: Some(address), prefix, asn, country, flags, seen_at }
        },
    )
}

fn payment() -> impl Strategy<Value = PaymentSignals> {
    let kinds = [
        PaymentKind::Card,
        PaymentKind::Sepa,
        PaymentKind::Paypal,
        PaymentKind::BankAccount,
        PaymentKind::Wallet,
        PaymentKind::Other,
    ];
    let purposes = [PaymentPurpose::Billing, PaymentPurpose::Payout];
    (digest_set(), select(kinds.to_vec()), select(purposes.to_vec()), of(Just(*b"AT")), of(time()))
        .prop_map(|(instrument, kind, purpose, country, seen_at)| PaymentSignals { instrument, kind, purpose, country, seen_at })
}

fn touchpoint() -> impl Strategy<Value = Touchpoint> {
    let kinds = [
        TouchpointKind::LinkClick,
        TouchpointKind::Landing,
        TouchpointKind::PageView,
        TouchpointKind::Signup,
        TouchpointKind::SignIn,
        TouchpointKind::Share,
        TouchpointKind::Checkout,
        TouchpointKind::Purchase,
    ];
    let path = "[a-z0-9/_-]{0,12}".prop_map(String::into_boxed_str);
    (select(kinds.to_vec()), time(), of(digest_set()), of(digest_set()), path).prop_map(
        |(kind, occurred_at, device, browser, path_token)| Touchpoint { kind, occurred_at, device, browser, path_token },
    )
}

/// Any journey, some longer than what is kept.
fn journey() -> impl Strategy<Value = Journey> {
    let long = (touchpoint(), 130_usize..200).prop_map(|(step, count)| Journey::new(vec![step; count], Some(5_000)));
    let short = (vec(touchpoint(), 0..6), of(0_u32..300)).prop_map(|(steps, total)| Journey::new(steps, total));
    prop_oneof![4 => short, 1 => long]
}

/// Any valid bundle of an account.
pub(crate) fn any_bundle() -> impl Strategy<Value = SignalBundle> {
    let lists =
        (vec(email(), 0..3), vec(name(), 0..2), vec(device(), 0..3), vec(network(), 0..3), vec(payment(), 0..3), journey());
    (id(), of(time()), lists).prop_map(|(account, account_created_at, (emails, names, devices, networks, payments, journey))| {
        SignalBundle {
            account_id: AccountId::new(&account).unwrap(),
            account_created_at,
            emails,
            names,
            devices,
            networks,
            payments,
            journey,
        }
    })
}

fn attribution() -> impl Strategy<Value = Attribution> {
    let vias =
        [CapturedVia::Link, CapturedVia::Cookie, CapturedVia::Form, CapturedVia::DeepLink, CapturedVia::Api, CapturedVia::Manual];
    let validities = [CodeValidity::Valid, CodeValidity::Invalid, CodeValidity::Unchecked];
    (select(vias.to_vec()), of(id()), select(validities.to_vec()), of(id()), of(time())).prop_map(
        |(captured_via, ucc, code_validity, previous_ucc, captured_at)| Attribution {
            captured_via,
            ucc: ucc.map(|ucc| Ucc::new(&ucc).unwrap()),
            code_validity,
            previous_ucc: previous_ucc.map(|ucc| Ucc::new(&ucc).unwrap()),
            captured_at,
            attached_by: (captured_via == CapturedVia::Manual).then(|| Actor::new("support-7").unwrap()),
        },
    )
}

fn rewards() -> impl Strategy<Value = Vec<Reward>> {
    vec((select(&[Side::Referrer, Side::Referee][..]), of(money())), 0..4).prop_map(|rewards| {
        let reward = |(index, (beneficiary, amount))| Reward {
            reward_id: RewardId::new(&format!("r{index}")).unwrap(),
            beneficiary,
            amount,
        };
        rewards.into_iter().enumerate().map(reward).collect()
    })
}

/// Any valid conversion.
pub(crate) fn any_conversion() -> impl Strategy<Value = Conversion> {
    let kinds =
        [ConversionKind::NewSignup, ConversionKind::DemoAttended, ConversionKind::InvoicePaid, ConversionKind::ChargeSucceeded];
    let ids = (id(), id(), of(id()), of(id()));
    let event = (select(kinds.to_vec()), time(), of(money()), of(money()), any::<bool>());
    (ids, event, attribution(), any_bundle(), any_bundle(), rewards()).prop_map(
        |(
            (program, conversion, campaign, invoice),
            (kind, occurred_at, value, minimum, existing),
            attribution,
            a,
            b,
            rewards,
        )| {
            Conversion {
                program_id: ProgramId::new(&program).unwrap(),
                conversion_id: ConversionId::new(&conversion).unwrap(),
                campaign_id: campaign.map(|id| CampaignId::new(&id).unwrap()),
                kind,
                occurred_at,
                value,
                minimum_purchase: minimum,
                invoice_id: invoice.map(|id| InvoiceId::new(&id).unwrap()),
                referee_standing: if existing { RefereeStanding::Existing } else { RefereeStanding::New },
                attribution,
                referrer: a,
                referee: b,
                rewards,
            }
        },
    )
}

/// A digest message named by a number.
pub(crate) fn digest(number: u8) -> v1::Digest {
    v1::Digest { key_id: "k1".into(), value: Bytes::from(vec![number; 32]) }
}

fn sketch(number: u8) -> v1::Sketch {
    v1::Sketch { key_id: "k1".into(), bits: Bytes::from(vec![number; SKETCH_BYTES]) }
}

/// An instant so many seconds before the messages arrive; negative lies in the future.
#[expect(clippy::unnecessary_wraps, reason = "fields of messages are optional")]
pub(crate) fn seconds_ago(seconds: i64) -> Option<crate::wire::WireTimestamp> {
    Some(crate::wire::WireTimestamp { seconds: RECEIVED_AT_MILLIS / 1_000 - seconds, nanos: 0 })
}

/// A bundle that holds one of everything.
pub(crate) fn full_bundle(account: &str, number: u8) -> v1::SignalBundle {
    v1::SignalBundle {
        account_id: account.into(),
        account_created_at: seconds_ago(86_400),
        emails: vec![v1::EmailSignals {
            exact: vec![digest(number)],
            mailbox: vec![digest(number)],
            domain_class: Some(v1::EmailDomainClass::FreeMail.into()),
            local_part_sketch: vec![sketch(number)],
            person_sketch: vec![sketch(number)],
            ..Default::default()
        }],
        names: vec![v1::NameSignals {
            exact: vec![digest(number)],
            sketch: vec![sketch(number)],
            person_sketch: vec![sketch(number)],
        }],
        devices: vec![v1::DeviceSignals {
            fingerprint: vec![digest(number)],
            user_agent: "Mozilla/5.0".into(),
            languages: vec!["de-AT".into()],
            screen_width_px: 1_920,
            screen_height_px: 1_080,
            seen_at: seconds_ago(60),
            ..Default::default()
        }],
        networks: vec![v1::NetworkSignals {
            address: vec![digest(number)],
            country: "AT".into(),
            flags: vec![v1::NetworkFlag::Vpn.into()],
            ..Default::default()
        }],
        payments: vec![v1::PaymentSignals {
            instrument: vec![digest(number)],
            kind: v1::PaymentKind::Card.into(),
            purpose: v1::PaymentPurpose::Billing.into(),
            ..Default::default()
        }],
        journey: Some(v1::Journey {
            touchpoints: vec![v1::Touchpoint {
                kind: v1::TouchpointKind::LinkClick.into(),
                occurred_at: seconds_ago(3_600),
                path_token: "landing".into(),
                ..Default::default()
            }],
            touchpoint_count_total: None,
        }),
    }
}

/// A valid message with one of everything, to spoil.
pub(crate) fn full_conversion() -> v1::Conversion {
    v1::Conversion {
        program_id: "shop".into(),
        conversion_id: "cv-1".into(),
        campaign_id: "spring".into(),
        kind: v1::ConversionKind::InvoicePaid.into(),
        occurred_at: seconds_ago(10),
        value: Some(v1::Money { amount_minor: 4_900, currency: "EUR".into() }),
        minimum_purchase: Some(v1::Money { amount_minor: 2_000, currency: "EUR".into() }),
        invoice_id: "inv-1".into(),
        referee_standing: None,
        attribution: Some(v1::Attribution {
            captured_via: v1::CapturedVia::Link.into(),
            ucc: "ANN-10".into(),
            ..Default::default()
        }),
        referrer: Some(full_bundle("ann", 1)),
        referee: Some(full_bundle("bob", 2)),
        rewards: vec![v1::Reward {
            reward_id: "r-1".into(),
            beneficiary: v1::Side::Referrer.into(),
            amount: Some(v1::Money { amount_minor: 1_000, currency: "EUR".into() }),
        }],
    }
}
