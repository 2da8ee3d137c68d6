//! Traffic: a deterministic stream of realistic conversions. Conversion number `n` is a pure function of the shape and `n`.
//!
//! So any worker can make any conversion, a retry sends the same bytes, and a crash test knows what it sent. It must never read a clock
//! or a global random generator. Called by the load driver, the benches and the crash tests.

use bytes::Bytes;

use crate::vocabulary::sketch::SKETCH_BYTES;
use crate::wire::{WireTimestamp, v1};

/// Index entries that one account of this traffic brings: e-mail (exact, mailbox, local part), name, device, browser, address, payment.
/// Domains and prefixes are shared by many and hardly add to the count.
pub const VALUES_PER_ACCOUNT: u64 = 8;
/// Accounts behind one address: households and small offices. Judgement.
const ACCOUNTS_PER_ADDRESS: u64 = 4;
/// Accounts behind one network prefix. Judgement.
const ACCOUNTS_PER_PREFIX: u64 = 64;
/// Accounts at one private e-mail domain. Judgement.
const ACCOUNTS_PER_COMPANY: u64 = 50;
/// Mean time between two referrals of one account, in milliseconds: sixty days. The more accounts there are, the faster conversions come.
const REFERRAL_EVERY_MILLIS: f64 = 60.0 * 86_400_000.0;

/// What the traffic looks like. Shares are percentages of conversions; what is in none of them is honest and fresh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrafficShape {
    /// The programme that the conversions belong to.
    pub program_id: String,
    /// Ids of conversions, invoices and rewards begin with this: two runs do not send one id with two contents.
    pub id_prefix: String,
    /// Another seed, another stream.
    pub seed: u64,
    /// Accounts that are known before the stream begins. At least 1.
    pub known_accounts: u64,
    /// When the programme began, in milliseconds since 1970. Ten million accounts later 970 days have passed.
    pub began_at_millis: i64,
    /// Referees on a device or address that some known account used before. Percent.
    pub crossed_percent: u64,
    /// Referees on the referrer's device with a card of their own: families, and the less bold. Percent.
    pub shared_device_percent: u64,
    /// Referees with the referrer's own device and card: self-referrals. Percent.
    pub farmed_percent: u64,
}

impl TrafficShape {
    /// A shape with the usual shares over this many known values (identifiers, not accounts).
    #[must_use]
    pub fn with_known_values(program_id: &str, known_values: u64, seed: u64) -> Self {
        Self {
            program_id: program_id.to_owned(),
            id_prefix: format!("load-{seed}"),
            seed,
            known_accounts: (known_values / VALUES_PER_ACCOUNT).max(1),
            began_at_millis: 1_690_000_000_000,
            crossed_percent: 10,
            shared_device_percent: 10,
            farmed_percent: 2,
        }
    }
}

/// Whose device, network and card a referee uses.
#[derive(Debug, Clone, Copy)]
struct Whereabouts {
    device: u64,
    network: u64,
    card: u64,
}

impl Whereabouts {
    /// Everything is this account's.
    const fn of(account: u64) -> Self {
        Self { device: account, network: account, card: account }
    }
}

/// The two ways to walk over a shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Makes the known accounts known: conversion `n` has account `n` as its referee, each account once.
    Filling,
    /// Traffic on top of known accounts: conversion `n` has a new referee; the referrer is known or was one of the referees before.
    Measuring,
}

/// A stream of conversions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    shape: TrafficShape,
    walk: Walk,
}

/// How the sides of one conversion hang together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tie {
    Honest,
    Crossed,
    SharedDevice,
    Farmed,
}

impl Traffic {
    /// The stream of this shape.
    #[must_use]
    pub const fn new(shape: TrafficShape, walk: Walk) -> Self {
        Self { shape, walk }
    }

    /// Its shape.
    #[must_use]
    pub const fn shape(&self) -> &TrafficShape {
        &self.shape
    }

    /// Referees of measured traffic are numbered from here: another seed, other referees, so that a second run meets no account of the first.
    #[must_use]
    pub const fn first_new_account(&self) -> u64 {
        self.shape.known_accounts + ((mix(self.shape.seed) >> 40) << 28)
    }

    /// The account with this number in the order in which they came.
    const fn member(&self, number: u64) -> u64 {
        if number < self.shape.known_accounts { number } else { self.first_new_account() + number - self.shape.known_accounts }
    }

    /// Conversion number `index`. Always the same for the same stream.
    #[must_use]
    pub fn conversion(&self, index: u64) -> v1::Conversion {
        let shape = &self.shape;
        let mut dice = Dice::new(shape.seed, index);
        let (letter, referee, members) = match self.walk {
            Walk::Filling => ("f", index, index.clamp(1, shape.known_accounts)),
            Walk::Measuring => ("m", self.first_new_account() + index, shape.known_accounts + index),
        };
        let referrer = self.member(dice.below(members));
        let stranger = self.member(dice.below(members));
        let tie = match dice.below(100) {
            roll if roll < shape.farmed_percent => Tie::Farmed,
            roll if roll < shape.farmed_percent + shape.crossed_percent => Tie::Crossed,
            roll if roll < shape.farmed_percent + shape.crossed_percent + shape.shared_device_percent => Tie::SharedDevice,
            _ => Tie::Honest,
        };
        let occurred_at = shape.began_at_millis.saturating_add(age_millis(members));
        let whereabouts = match tie {
            Tie::Honest => Whereabouts::of(referee),
            Tie::Crossed => Whereabouts::of(stranger),
            Tie::SharedDevice => Whereabouts { card: referee, ..Whereabouts::of(referrer) },
            Tie::Farmed => Whereabouts::of(referrer),
        };
        let prefix = &shape.id_prefix;
        let amount_minor = 900 + i64::try_from(dice.below(20_000)).unwrap_or(0);
        v1::Conversion {
            program_id: shape.program_id.clone(),
            conversion_id: format!("{prefix}-{letter}{index}"),
            campaign_id: "spring".to_owned(),
            kind: v1::ConversionKind::InvoicePaid.into(),
            occurred_at: Some(at(occurred_at)),
            value: Some(money(amount_minor)),
            minimum_purchase: Some(money(900)),
            invoice_id: format!("{prefix}-inv-{letter}{index}"),
            referee_standing: Some(v1::RefereeStanding::New.into()),
            attribution: Some(attribution(referrer)),
            referrer: Some(referrer_bundle(referrer, occurred_at)),
            referee: Some(referee_bundle(referee, whereabouts, occurred_at, &mut dice)),
            rewards: vec![v1::Reward {
                reward_id: format!("{prefix}-rw-{letter}{index}"),
                beneficiary: v1::Side::Referrer.into(),
                amount: Some(money(1_000)),
            }],
        }
    }
}

/// How old a programme is when it has so many accounts, each of which refers another every so often.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "far below 2^53")]
fn age_millis(members: u64) -> i64 {
    (REFERRAL_EVERY_MILLIS * (members as f64).ln_1p()) as i64
}

fn attribution(referrer: u64) -> v1::Attribution {
    v1::Attribution {
        captured_via: v1::CapturedVia::Link.into(),
        ucc: format!("UCC-{referrer}"),
        code_validity: Some(v1::CodeValidity::Valid.into()),
        previous_ucc: String::new(),
        captured_at: None,
        attached_by: String::new(),
    }
}

/// What a reward service usually sends of the referrer: the account and where it was seen last. The rest is in the profile.
fn referrer_bundle(account: u64, now_millis: i64) -> v1::SignalBundle {
    v1::SignalBundle {
        account_id: format!("acct-{account}"),
        account_created_at: None,
        emails: vec![email(account)],
        names: Vec::new(),
        devices: vec![device(account, account, now_millis)],
        networks: vec![network(account, now_millis)],
        payments: vec![payment(account, v1::PaymentPurpose::Payout)],
        journey: None,
    }
}

fn referee_bundle(account: u64, whereabouts: Whereabouts, now_millis: i64, dice: &mut Dice) -> v1::SignalBundle {
    let own_card = payment(whereabouts.card, v1::PaymentPurpose::Billing);
    let signed_up_at = now_millis - HOUR_MILLIS - dice.millis_below(20 * DAY_MILLIS);
    v1::SignalBundle {
        account_id: format!("acct-{account}"),
        account_created_at: Some(at(signed_up_at)),
        emails: vec![email(account)],
        names: vec![v1::NameSignals {
            exact: vec![digest(Kind::Name, account)],
            sketch: Vec::new(),
            person_sketch: vec![sketch(account)],
        }],
        devices: vec![device(account, whereabouts.device, now_millis)],
        networks: vec![network(whereabouts.network, now_millis)],
        payments: vec![own_card],
        journey: Some(journey(whereabouts.device, signed_up_at, now_millis, dice)),
    }
}

const MINUTE_MILLIS: i64 = 60_000;
const HOUR_MILLIS: i64 = 60 * MINUTE_MILLIS;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;

fn email(account: u64) -> v1::EmailSignals {
    let company = mix(account).is_multiple_of(4);
    let (domain, class) = if company {
        (1_000 + account / ACCOUNTS_PER_COMPANY, v1::EmailDomainClass::Corporate)
    } else {
        (mix(account) % 12, v1::EmailDomainClass::FreeMail)
    };
    v1::EmailSignals {
        exact: vec![digest(Kind::Email, account)],
        mailbox: vec![digest(Kind::Mailbox, account)],
        pattern: vec![digest(Kind::Pattern, account)],
        local_part: vec![digest(Kind::LocalPart, account)],
        domain: vec![digest(Kind::Domain, domain)],
        domain_class: Some(class.into()),
        local_part_sketch: vec![sketch(account)],
        person_sketch: vec![sketch(account)],
    }
}

fn device(account: u64, owner: u64, now_millis: i64) -> v1::DeviceSignals {
    const SCREENS: [(u32, u32); 8] =
        [(1920, 1080), (1536, 864), (1440, 900), (2560, 1440), (1366, 768), (390, 844), (412, 915), (1280, 800)];
    const PLACES: [(&str, &[&str]); 6] = [
        ("Europe/Berlin", &["de-DE", "en"]),
        ("Europe/Vienna", &["de-AT", "de", "en"]),
        ("Europe/Zurich", &["de-CH", "fr-CH"]),
        ("Europe/Warsaw", &["pl-PL", "en-US"]),
        ("Europe/Paris", &["fr-FR", "fr"]),
        ("Europe/Berlin", &["en-US"]),
    ];
    let mut dice = Dice::new(KIND_OF_DEVICE, owner);
    let version = dice.below(12);
    let (platform, user_agent) = match dice.below(4) {
        0 => (
            "Windows",
            format!(
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36",
                131 + version
            ),
        ),
        1 => (
            "macOS",
            format!(
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{}.{} Safari/605.1.15",
                15 + version / 4,
                version % 4
            ),
        ),
        2 => (
            "iOS",
            format!(
                "Mozilla/5.0 (iPhone; CPU iPhone OS {}_{} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
                15 + version / 4,
                version % 4
            ),
        ),
        _ => ("Linux", format!("Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0", 133 + version)),
    };
    let (screen_width_px, screen_height_px) = dice.one_of(&SCREENS);
    let (time_zone, languages) = dice.one_of(&PLACES);
    v1::DeviceSignals {
        fingerprint: vec![digest(Kind::Device, owner)],
        browser: vec![digest(Kind::Browser, account)],
        user_agent,
        platform: platform.to_owned(),
        time_zone: time_zone.to_owned(),
        languages: languages.iter().map(ToString::to_string).collect(),
        screen_width_px,
        screen_height_px,
        seen_at: Some(at(now_millis - 60_000)),
    }
}

fn network(account: u64, now_millis: i64) -> v1::NetworkSignals {
    v1::NetworkSignals {
        address: vec![digest(Kind::Address, account / ACCOUNTS_PER_ADDRESS)],
        prefix: vec![digest(Kind::Prefix, account / ACCOUNTS_PER_PREFIX)],
        asn: 3320,
        country: "DE".to_owned(),
        flags: Vec::new(),
        seen_at: Some(at(now_millis - 60_000)),
    }
}

fn payment(account: u64, purpose: v1::PaymentPurpose) -> v1::PaymentSignals {
    v1::PaymentSignals {
        instrument: vec![digest(Kind::Payment, account)],
        kind: v1::PaymentKind::Card.into(),
        purpose: purpose.into(),
        country: "DE".to_owned(),
        seen_at: None,
    }
}

/// A click, a landing, a sign-up, some pages and a purchase, each in its own time.
fn journey(device_owner: u64, signed_up_at: i64, now_millis: i64, dice: &mut Dice) -> v1::Journey {
    const LANDINGS: [&str; 5] = ["landing", "home", "pricing", "blog/compare", "templates"];
    const PAGES: [&str; 9] = ["plans", "docs", "team", "import", "editor", "billing", "profile", "integrations", "help"];
    let step = |kind: v1::TouchpointKind, occurred_at: i64, path: &str| v1::Touchpoint {
        kind: kind.into(),
        occurred_at: Some(at(occurred_at)),
        device: Vec::new(),
        browser: Vec::new(),
        path_token: path.to_owned(),
    };
    let landed_at = signed_up_at - 2 * MINUTE_MILLIS - dice.millis_below(3 * HOUR_MILLIS);
    let mut signup = step(v1::TouchpointKind::Signup, signed_up_at, "signup");
    signup.device = vec![digest(Kind::Device, device_owner)];
    let mut touchpoints = vec![
        step(v1::TouchpointKind::LinkClick, landed_at - 1_000 - dice.millis_below(5_000), "r"),
        step(v1::TouchpointKind::Landing, landed_at, dice.one_of(&LANDINGS)),
        signup,
    ];
    let pages = 1 + dice.below(4);
    let mut viewed_at = signed_up_at;
    for left in (1..=i64::try_from(pages).unwrap_or(1)).rev() {
        viewed_at += dice.millis_below((now_millis - MINUTE_MILLIS - viewed_at) / left);
        touchpoints.push(step(v1::TouchpointKind::PageView, viewed_at, dice.one_of(&PAGES)));
    }
    touchpoints.push(step(v1::TouchpointKind::Checkout, now_millis - MINUTE_MILLIS, "checkout"));
    touchpoints.push(step(v1::TouchpointKind::Purchase, now_millis - 1_000, "thanks"));
    v1::Journey { touchpoints, touchpoint_count_total: None }
}

/// What a digest stands for; it is inside the digest, as with real ones.
#[derive(Debug, Clone, Copy)]
#[repr(u64)]
enum Kind {
    Email = 1,
    Mailbox = 2,
    Pattern = 3,
    LocalPart = 4,
    Domain = 5,
    Name = 6,
    Device = 7,
    Browser = 8,
    Address = 9,
    Prefix = 10,
    Payment = 11,
}

/// The seed of what kind of device an account has.
const KIND_OF_DEVICE: u64 = 0xde71_ce00;

/// The name of the key under which all digests of this traffic are made.
const KEY_ID: &str = "k1";

/// Stands for an HMAC: 32 bytes that look random. Cheap on purpose, since the generator shares the machine with the server.
fn digest(kind: Kind, number: u64) -> v1::Digest {
    let mut value = [0_u8; 32];
    let mut state = mix(number ^ ((kind as u64) << 56));
    for chunk in value.chunks_exact_mut(8) {
        state = mix(state);
        chunk.copy_from_slice(&state.to_le_bytes());
    }
    v1::Digest { key_id: KEY_ID.to_owned(), value: Bytes::copy_from_slice(&value) }
}

/// A sketch with about a quarter of its bits set, as a name of ten letters has.
fn sketch(number: u64) -> v1::Sketch {
    let mut bits = [0_u8; SKETCH_BYTES];
    let mut state = mix(number ^ 0x5ce7_c400_0000_0000);
    for chunk in bits.chunks_exact_mut(8) {
        state = mix(state);
        let sparse = state & mix(state ^ 1);
        chunk.copy_from_slice(&sparse.to_le_bytes());
    }
    v1::Sketch { key_id: KEY_ID.to_owned(), bits: Bytes::copy_from_slice(&bits) }
}

fn money(amount_minor: i64) -> v1::Money {
    v1::Money { amount_minor, currency: "EUR".to_owned() }
}

fn at(millis: i64) -> WireTimestamp {
    let nanos = i32::try_from(millis.rem_euclid(1_000) * 1_000_000).unwrap_or(0);
    WireTimestamp { seconds: millis.div_euclid(1_000), nanos }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input reaches every bit of the output.
pub(super) const fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Random numbers of one conversion or one schedule.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    /// The numbers that belong to this seed and this index.
    #[must_use]
    pub const fn new(seed: u64, index: u64) -> Self {
        Self { state: mix(seed ^ mix(index)) }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A number below the limit; 0 when the limit is 0. Not exactly uniform; good enough for traffic.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64().checked_rem(limit).unwrap_or(0)
    }

    /// A time below the limit, in milliseconds.
    fn millis_below(&mut self, limit: i64) -> i64 {
        i64::try_from(self.below(limit.max(1).unsigned_abs())).unwrap_or(0)
    }

    /// One of them.
    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        // INVARIANT: the lists of this module are not empty.
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap_or(0)]
    }

    /// A number in `(0, 1]`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    pub fn unit(&mut self) -> f64 {
        ((self.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    fn traffic(walk: Walk) -> Traffic {
        Traffic::new(TrafficShape::with_known_values("shop", 8_000, 7), walk)
    }

    #[test]
    fn the_same_number_gives_the_same_bytes() {
        let again = traffic(Walk::Measuring).conversion(42).encode_to_vec();
        assert_eq!(traffic(Walk::Measuring).conversion(42).encode_to_vec(), again);
        assert_ne!(traffic(Walk::Measuring).conversion(43).encode_to_vec(), again);
    }

    #[test]
    fn filling_makes_every_known_account_a_referee_once() {
        let known = traffic(Walk::Filling).shape().known_accounts;
        let referees: BTreeSet<String> =
            (0..known).map(|n| traffic(Walk::Filling).conversion(n).referee.unwrap().account_id).collect();
        assert_eq!(referees.len() as u64, known);
    }

    #[test]
    fn measuring_refers_new_accounts_by_those_that_came_before() {
        let known = traffic(Walk::Filling).shape().known_accounts;
        let first_new = traffic(Walk::Measuring).first_new_account();
        assert!(first_new >= known);
        let number = |bundle: Option<v1::SignalBundle>| bundle.unwrap().account_id[5..].parse::<u64>().unwrap();
        for index in 0..200 {
            let conversion = traffic(Walk::Measuring).conversion(index);
            let referrer = number(conversion.referrer);
            assert!(referrer < known || (first_new..first_new + index).contains(&referrer), "{referrer}");
            assert_eq!(number(conversion.referee), first_new + index);
        }
    }

    #[test]
    fn time_goes_on_and_every_journey_goes_forward() {
        let mut last = 0;
        for index in 0..300 {
            let conversion = traffic(Walk::Measuring).conversion(index);
            let occurred_at = conversion.occurred_at.unwrap().seconds;
            assert!(occurred_at >= last);
            last = occurred_at;
            let steps: Vec<i64> = conversion
                .referee
                .unwrap()
                .journey
                .unwrap()
                .touchpoints
                .into_iter()
                .map(|step| step.occurred_at.unwrap().seconds)
                .collect();
            assert!(steps.is_sorted() && steps.last().unwrap() <= &occurred_at, "{steps:?}");
        }
    }

    #[test]
    fn a_few_referees_farm_and_most_are_honest() {
        let card = |bundle: &Option<v1::SignalBundle>| bundle.as_ref().unwrap().payments[0].instrument.clone();
        let with_own_card = |conversion: &v1::Conversion| card(&conversion.referrer) != card(&conversion.referee);
        let honest = (0..1_000).filter(|n| with_own_card(&traffic(Walk::Measuring).conversion(*n))).count();
        assert!((950..=999).contains(&honest), "{honest}");
    }

    #[test]
    fn two_runs_on_one_server_share_no_id_of_a_conversion_an_invoice_or_a_reward() {
        let ids = |seed: u64| -> BTreeSet<String> {
            let shape = TrafficShape::with_known_values("load-test", 10_000, seed);
            let of = |walk| Traffic::new(shape.clone(), walk);
            let sent = [of(Walk::Filling).conversion(7), of(Walk::Measuring).conversion(7)];
            sent.into_iter().flat_map(|sent| [sent.conversion_id, sent.invoice_id, sent.rewards[0].reward_id.clone()]).collect()
        };
        assert_eq!(ids(1).len(), 6);
        assert!(ids(1).is_disjoint(&ids(2)));
    }
}
