//! The stage: everything that personas have in common. Opens accounts, lets two sides share what their habits say, builds the
//! journey, and writes the conversion.
//!
//! Holds the seed's draws and the cast, and nothing that grows with the number of episodes. Called by the personas only.

use serde::{Deserialize, Serialize};

use super::Persona;
use super::environment::{self, Place};
use super::identity::{Casting, Identity};
use super::parameters::{Habits, PersonasParameters};
use crate::offline::chance::Chance;
use crate::offline::mailbox;
use crate::offline::people::People;
use crate::offline::raw::{
    RawAttribution, RawConversion, RawDevice, RawNetwork, RawOutcome, RawPayment, RawReward, RawSide, RawTouchpoint,
};
use crate::vocabulary::bundle::{PaymentKind, PaymentPurpose};
use crate::vocabulary::conversion::{ConversionKind, RefereeStanding, Side};
use crate::vocabulary::journey::{CapturedVia, CodeValidity, TouchpointKind};
use crate::vocabulary::label::Truth;
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::{Span, Timestamp};

/// The smallest purchase that earns a reward. Unit: minor units.
const MINIMUM_PURCHASE_MINOR: i64 = 2_500;
/// What referrer and referee are paid. Unit: minor units.
const REFERRER_REWARD_MINOR: i64 = 2_000;
const REFEREE_REWARD_MINOR: i64 = 1_000;

const PATHS: [&str; 12] = [
    "home",
    "pricing",
    "features",
    "blog",
    "docs",
    "compare",
    "about",
    "faq",
    "security",
    "integrations",
    "templates",
    "customers",
];
/// How likely each page is looked at next.
const PATH_SHARES: [f64; 12] = [0.16, 0.20, 0.16, 0.08, 0.09, 0.07, 0.04, 0.06, 0.03, 0.05, 0.03, 0.03];

/// What the whole cast shares.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageParameters {
    /// The personas.
    pub personas: PersonasParameters,
    /// Offices whose people use the product. Unit: addresses, from 1.
    pub offices: u32,
    /// Campuses whose people use the product. Unit: addresses, from 1.
    pub campuses: u32,
    /// Shares of `NEW_SIGNUP`, `DEMO_ATTENDED`, `INVOICE_PAID` and `CHARGE_SUCCEEDED` among conversions.
    pub conversion_kind_shares: [f64; 4],
    /// How likely somebody online is on a mobile carrier instead of where he lives or works. Unit: probability.
    pub mobile: f64,
    /// How likely the payout instrument of a referrer is known. Unit: probability.
    pub payout_known: f64,
}

impl Default for StageParameters {
    fn default() -> Self {
        Self {
            personas: PersonasParameters::default(),
            offices: 14,
            campuses: 3,
            conversion_kind_shares: [0.34, 0.08, 0.43, 0.15],
            mobile: 0.18,
            payout_known: 0.55,
        }
    }
}

/// The stage of one seed. See the module.
#[derive(Debug)]
pub struct Stage<'a> {
    pub(super) people: &'a People,
    pub(super) casting: Casting,
    pub(super) chance: Chance,
    pub(super) parameters: StageParameters,
    /// Browser versions that came out since the world began.
    browser_releases: u32,
    /// Multiplies what abusive personas share: below 1 when they have learned to be careful.
    abuse_sharing_factor: f64,
}

impl<'a> Stage<'a> {
    /// A stage at the beginning of its world.
    #[must_use]
    pub fn new(people: &'a People, parameters: StageParameters, casting: Casting, chance: Chance) -> Self {
        Self { people, casting, chance, parameters, browser_releases: 0, abuse_sharing_factor: 1.0 }
    }

    /// The draws of this stage, for its caller's own choices.
    pub fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    /// Moves the world on: newer browsers, and abusers who share this much of what they shared at first.
    pub fn drift_to(&mut self, browser_releases: u32, abuse_sharing_factor: f64) {
        self.browser_releases = browser_releases;
        self.abuse_sharing_factor = abuse_sharing_factor;
    }

    pub(super) fn habits(&self, persona: Persona) -> Habits {
        self.parameters.personas.of(persona).habits
    }

    pub(super) fn draw_identity(&mut self) -> Identity {
        self.casting.draw(self.people, &mut self.chance)
    }

    pub(super) fn home_of(&mut self, identity: &Identity) -> Place {
        Place::Home { city_number: identity.city_number, token: self.chance.token() }
    }

    /// What one episode's conversions are grouped by.
    pub(super) fn draw_group(&mut self, persona: Persona) -> String {
        format!("{}-{:012x}", persona.name(), self.chance.token() >> 16)
    }

    /// An account of somebody, opened at a time, with what the product knows of it.
    pub(super) fn open_account(
        &mut self,
        identity: &Identity,
        email: String,
        place: Place,
        created_at: Timestamp,
        seen_at: Timestamp,
    ) -> RawSide {
        let chance = &mut self.chance;
        let device = environment::draw_device(chance, identity.country, self.browser_releases, seen_at);
        let home = environment::network(chance, place, identity.country, seen_at);
        let mut networks = vec![home];
        if chance.happens(self.parameters.mobile) {
            networks.insert(0, environment::network(chance, Place::Mobile, identity.country, seen_at));
        }
        let name = identity.shown.full_name();
        RawSide {
            account_id: format!("ac-{:012x}", chance.token() >> 16),
            account_created_at: Some(created_at),
            emails: vec![email],
            names: if name.is_empty() { Vec::new() } else { vec![name] },
            devices: vec![device],
            networks,
            payments: Vec::new(),
            journey: Vec::new(),
        }
    }

    /// Somebody who refers: an account of some age that has paid, with a payout instrument where one is known.
    pub(super) fn open_referrer(&mut self, identity: &Identity, place: Place, at: Timestamp, age_median_days: f64) -> RawSide {
        let age = span_of_days(self.chance.log_normal(age_median_days, 1.1).min(1_500.0));
        let email = identity.shown.email.clone();
        let mut side = self.open_account(identity, email, place, at.minus(age), at.minus(Span::from_hours(2)));
        if self.chance.happens(0.75) {
            let billing = self.draw_payment(PaymentPurpose::Billing, identity.country, at);
            side.payments.push(billing);
        }
        if self.chance.happens(self.parameters.payout_known) {
            let payout = match side.payments.first() {
                Some(billing) if self.chance.happens(0.4) => RawPayment { purpose: PaymentPurpose::Payout, ..billing.clone() },
                Some(_) | None => self.draw_payment(PaymentPurpose::Payout, identity.country, at),
            };
            side.payments.push(payout);
        }
        if self.chance.happens(0.5) {
            let seen = side.devices.first().cloned();
            let step = |kind, hours, path_token| RawTouchpoint {
                kind,
                occurred_at: at.minus(Span::from_hours(hours)),
                device: seen.as_ref().and_then(|device| device.fingerprint.clone()),
                browser: seen.as_ref().and_then(|device| device.browser.clone()),
                path_token,
            };
            side.journey = vec![step(TouchpointKind::SignIn, 30, "signin"), step(TouchpointKind::Share, 29, "refer")];
        }
        side
    }

    fn draw_payment(&mut self, purpose: PaymentPurpose, country: &'static str, seen_at: Timestamp) -> RawPayment {
        let kind = match purpose {
            PaymentPurpose::Billing => {
                [PaymentKind::Card, PaymentKind::Paypal, PaymentKind::Sepa][self.chance.weighted([0.8, 0.14, 0.06].into_iter())]
            }
            PaymentPurpose::Payout => [PaymentKind::Paypal, PaymentKind::BankAccount, PaymentKind::Card]
                [self.chance.weighted([0.5, 0.35, 0.15].into_iter())],
        };
        RawPayment { instrument: format!("pi-{:016x}", self.chance.token()), kind, purpose, country: Some(country), seen_at }
    }

    /// The referee comes online as the habits say: shares with the referrer, hides, pays.
    ///
    /// One draw of closeness moves all sharing of this referral together, so that shared things come in bundles, as they do.
    pub(super) fn tie(&mut self, persona: Persona, referrer: &mut RawSide, referee: &mut RawSide, at: Timestamp, pays: Pays) {
        let Habits { sharing, hiding, sharing_sigma, .. } = self.habits(persona);
        let learned = if persona.truth() == Truth::Abusive { self.abuse_sharing_factor } else { 1.0 };
        let closeness = self.chance.log_normal(1.0, sharing_sigma) * learned;
        let mut shares = |probability: f64| self.chance.happens((probability * closeness).min(probability.max(0.98)));
        let (device, browser, environment) = (shares(sharing.device), shares(sharing.browser), shares(sharing.environment));
        let (address, prefix) = (shares(sharing.address), shares(sharing.prefix));
        let (card, payout_is_billing) = (shares(sharing.card), shares(sharing.payout_is_billing));
        share_device(referrer, referee, device, browser, environment);
        self.share_network(referrer, referee, address, prefix, at);
        self.hide(referee, hiding, at);
        if matches!(pays, Pays::Yes) {
            self.pay(referrer, referee, card, payout_is_billing, at);
        }
    }

    fn share_network(&mut self, referrer: &RawSide, referee: &mut RawSide, address: bool, prefix: bool, at: Timestamp) {
        let Some(theirs) = referrer.networks.last() else { return };
        if address {
            referee.networks.retain(|network| network.address != theirs.address);
            referee.networks.insert(0, RawNetwork { seen_at: at, ..theirs.clone() });
        } else if prefix {
            let neighbour = environment::neighbour_of(&mut self.chance, theirs);
            referee.networks.insert(0, RawNetwork { seen_at: at, ..neighbour });
        }
    }

    fn hide(&mut self, referee: &mut RawSide, hiding: super::Hiding, at: Timestamp) {
        let chance = &mut self.chance;
        let country = referee.networks.first().and_then(|network| network.country).unwrap_or("GB");
        for (place, probability) in [(Place::Vpn, hiding.vpn), (Place::Tor, hiding.tor), (Place::Hosting, hiding.hosting)] {
            if chance.happens(probability) {
                // Whoever hides does so from the start: the true address is mostly not seen.
                if chance.happens(0.8) {
                    referee.networks.clear();
                }
                referee.networks.insert(0, environment::network(chance, place, country, at));
                break;
            }
        }
        if chance.happens(hiding.disposable_email) {
            let local = referee.emails.first().and_then(|email| email.split('@').next()).unwrap_or("user").to_owned();
            let local = if chance.happens(0.6) { format!("{:x}", chance.token() >> 28) } else { local };
            referee.emails = vec![format!("{local}@{}", mailbox::draw_disposable(chance))];
        } else if chance.happens(hiding.relay_email) {
            referee.emails = vec![mailbox::draw_relay_address(chance)];
        }
    }

    fn pay(&mut self, referrer: &mut RawSide, referee: &mut RawSide, card: bool, payout_is_billing: bool, at: Timestamp) {
        let country = referee.networks.last().and_then(|network| network.country).unwrap_or("GB");
        let theirs = referrer.payments.iter().find(|payment| payment.purpose == PaymentPurpose::Billing);
        let billing = match theirs {
            Some(theirs) if card => RawPayment { seen_at: at, ..theirs.clone() },
            Some(_) | None => self.draw_payment(PaymentPurpose::Billing, country, at),
        };
        if payout_is_billing {
            referrer.payments.retain(|payment| payment.purpose != PaymentPurpose::Payout);
            referrer.payments.push(RawPayment { purpose: PaymentPurpose::Payout, ..billing.clone() });
        }
        referee.payments.push(billing);
    }

    /// What happened, by the programme's shares.
    pub(super) fn draw_kind(&mut self) -> ConversionKind {
        let kinds = [
            ConversionKind::NewSignup,
            ConversionKind::DemoAttended,
            ConversionKind::InvoicePaid,
            ConversionKind::ChargeSucceeded,
        ];
        kinds[self.chance.weighted(self.parameters.conversion_kind_shares.into_iter())]
    }

    /// Writes the conversion of two sides that are tied.
    pub(super) fn convert(
        &mut self,
        persona: Persona,
        group: &str,
        kind: ConversionKind,
        referrer: RawSide,
        mut referee: RawSide,
        at: Timestamp,
    ) -> RawConversion {
        let habits = self.habits(persona);
        let standing = if persona == Persona::ExistingUser { RefereeStanding::Existing } else { RefereeStanding::New };
        let captured_via = self.draw_capture(&habits);
        let times = self.draw_times(&habits, kind, standing, at);
        if standing == RefereeStanding::New {
            referee.account_created_at = Some(times.signed_up_at);
        }
        let journey_known = !self.chance.happens(habits.journey_missing);
        if journey_known {
            referee.journey = self.draw_journey(&habits, captured_via, standing, kind, &times, &referrer, &referee);
        }
        let value_minor = self.draw_value(&habits, kind);
        let outcome = self.draw_outcome(&habits, kind, at);
        let attribution = self.draw_attribution(&habits, captured_via, &referrer, times.clicked_at);
        let invoice_id = (kind == ConversionKind::InvoicePaid).then(|| format!("in-{:012x}", self.chance.token() >> 16));
        RawConversion {
            conversion_id: String::new(),
            campaign_id: Some(if self.chance.happens(0.7) { "evergreen" } else { "spring" }),
            kind,
            occurred_at: at,
            value_minor,
            minimum_purchase_minor: value_minor.is_some().then_some(MINIMUM_PURCHASE_MINOR),
            invoice_id,
            referee_standing: standing,
            attribution,
            referrer,
            referee,
            rewards: vec![
                RawReward { reward_id: String::new(), beneficiary: Side::Referrer, amount_minor: REFERRER_REWARD_MINOR },
                RawReward { reward_id: String::new(), beneficiary: Side::Referee, amount_minor: REFEREE_REWARD_MINOR },
            ],
            outcome,
            persona,
            truth: persona.truth(),
            group: group.to_owned(),
        }
    }

    fn draw_capture(&mut self, habits: &Habits) -> CapturedVia {
        let shares = habits.capture;
        let ways = [
            CapturedVia::Link,
            CapturedVia::Cookie,
            CapturedVia::Form,
            CapturedVia::DeepLink,
            CapturedVia::Api,
            CapturedVia::Manual,
        ];
        ways[self
            .chance
            .weighted([shares.link, shares.cookie, shares.form, shares.deep_link, shares.api, shares.manual].into_iter())]
    }

    fn draw_times(&mut self, habits: &Habits, kind: ConversionKind, standing: RefereeStanding, at: Timestamp) -> Times {
        let tempo = habits.tempo;
        let after_signup = match (kind, standing) {
            (ConversionKind::NewSignup, RefereeStanding::New) => self.chance.log_normal(2.0, 0.5),
            (
                ConversionKind::NewSignup
                | ConversionKind::DemoAttended
                | ConversionKind::InvoicePaid
                | ConversionKind::ChargeSucceeded,
                _,
            ) => self.chance.log_normal(tempo.signup_to_conversion_median_hours, tempo.signup_to_conversion_sigma) * 3_600.0,
        };
        let signed_up_at = at.minus(span_of_seconds(after_signup.min(45.0 * 86_400.0)));
        let to_signup = self.chance.log_normal(tempo.click_to_signup_median_seconds, tempo.click_to_signup_sigma);
        Times {
            clicked_at: signed_up_at.minus(span_of_seconds(to_signup.clamp(4.0, 20.0 * 86_400.0))),
            signed_up_at,
            converted_at: at,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a journey follows from everything that is known of a referral")]
    fn draw_journey(
        &mut self,
        habits: &Habits,
        captured_via: CapturedVia,
        standing: RefereeStanding,
        kind: ConversionKind,
        times: &Times,
        referrer: &RawSide,
        referee: &RawSide,
    ) -> Vec<RawTouchpoint> {
        let device = referee.devices.first();
        let step = |kind, occurred_at, path_token| RawTouchpoint {
            kind,
            occurred_at,
            device: device.and_then(|device| device.fingerprint.clone()),
            browser: device.and_then(|device| device.browser.clone()),
            path_token,
        };
        let mut steps = Vec::with_capacity(12);
        let clicked = match captured_via {
            CapturedVia::Link | CapturedVia::Cookie | CapturedVia::DeepLink => true,
            CapturedVia::Form | CapturedVia::Api | CapturedVia::Manual => self.chance.happens(0.15),
        };
        if clicked {
            steps.push(step(TouchpointKind::LinkClick, times.clicked_at, "r"));
        }
        steps.push(step(TouchpointKind::Landing, times.clicked_at.plus(Span::from_seconds(1)), "landing"));
        let browsing_millis = times.signed_up_at.since(times.clicked_at).as_millis().max(1);
        let pages = (self.chance.exponential(habits.tempo.pages_mean) as u32).min(40);
        for _ in 0..pages {
            let after =
                Span::from_millis(i64::try_from(self.chance.token() % browsing_millis.unsigned_abs()).unwrap_or_default());
            let path = PATHS[self.chance.weighted(PATH_SHARES.into_iter())];
            steps.push(step(TouchpointKind::PageView, times.clicked_at.plus(after), path));
        }
        steps.push(match standing {
            RefereeStanding::New => step(TouchpointKind::Signup, times.signed_up_at, "signup"),
            RefereeStanding::Existing => step(TouchpointKind::SignIn, times.signed_up_at, "signin"),
        });
        if matches!(kind, ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded) {
            steps.push(step(TouchpointKind::Checkout, times.converted_at.minus(Span::from_seconds(95)), "checkout"));
            steps.push(step(TouchpointKind::Purchase, times.converted_at, "thanks"));
        }
        if self
            .chance
            .happens(habits.sharing.referrer_present * if habits.sharing.device > 0.3 { self.abuse_sharing_factor } else { 1.0 })
        {
            let theirs = referrer.devices.first();
            let at = self.chance.below(steps.len());
            steps[at].device = theirs.and_then(|device| device.fingerprint.clone());
            steps[at].browser = theirs.and_then(|device| device.browser.clone());
        }
        steps.sort_by_key(|step| step.occurred_at);
        steps
    }

    fn draw_value(&mut self, habits: &Habits, kind: ConversionKind) -> Option<i64> {
        match kind {
            ConversionKind::NewSignup | ConversionKind::DemoAttended => None,
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded if self.chance.happens(habits.minimum_purchase) => {
                Some(MINIMUM_PURCHASE_MINOR)
            }
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => {
                let amount = self.chance.log_normal(4_900.0, 0.8).clamp(500.0, 500_000.0);
                Some((amount as i64) / 100 * 100 + 90)
            }
        }
    }

    fn draw_outcome(&mut self, habits: &Habits, kind: ConversionKind, at: Timestamp) -> Option<RawOutcome> {
        match kind {
            ConversionKind::NewSignup | ConversionKind::DemoAttended => None,
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => {
                let (outcome, after_median_days) = if self.chance.happens(habits.refund) {
                    (OutcomeKind::ChargeRefunded, 9.0)
                } else if self.chance.happens(habits.chargeback) {
                    (OutcomeKind::Chargeback, 32.0)
                } else if self.chance.happens(0.04) {
                    (OutcomeKind::SubscriptionCanceled, 25.0)
                } else {
                    return None;
                };
                let after = span_of_days(self.chance.log_normal(after_median_days, 0.6).min(120.0));
                Some(RawOutcome { kind: outcome, occurred_at: at.plus(after) })
            }
        }
    }

    fn draw_attribution(
        &mut self,
        habits: &Habits,
        captured_via: CapturedVia,
        referrer: &RawSide,
        clicked_at: Timestamp,
    ) -> RawAttribution {
        let by_hand = captured_via == CapturedVia::Manual;
        let invalid = self.chance.happens(habits.code_invalid);
        let changed = self.chance.happens(habits.code_changed);
        RawAttribution {
            captured_via,
            ucc: Some(code_of(&referrer.account_id)),
            code_validity: if invalid { CodeValidity::Invalid } else { CodeValidity::Valid },
            previous_ucc: changed.then(|| format!("UC{:08X}", self.chance.token() >> 32)),
            captured_at: (!by_hand).then_some(clicked_at),
            attached_by: by_hand.then(|| format!("support-{}", 1 + self.chance.below(6))),
        }
    }
}

/// Whether the referee pays with this conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pays {
    Yes,
    No,
}

impl Pays {
    /// Invoices and charges are paid; sign-ups and demonstrations are not.
    pub const fn with(kind: ConversionKind) -> Self {
        match kind {
            ConversionKind::NewSignup | ConversionKind::DemoAttended => Self::No,
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => Self::Yes,
        }
    }
}

struct Times {
    clicked_at: Timestamp,
    signed_up_at: Timestamp,
    converted_at: Timestamp,
}

/// The code of an account: stays the same for all its referrals.
fn code_of(account_id: &str) -> String {
    format!("UC{}", account_id.trim_start_matches("ac-").to_ascii_uppercase())
}

fn share_device(referrer: &RawSide, referee: &mut RawSide, device: bool, browser: bool, environment: bool) {
    let (Some(theirs), Some(own)) = (referrer.devices.first(), referee.devices.first_mut()) else { return };
    if device || environment {
        let cookie = if device && browser { theirs.browser.clone() } else { own.browser.clone() };
        let fingerprint = if device { theirs.fingerprint.clone() } else { own.fingerprint.clone() };
        *own = RawDevice { fingerprint, browser: cookie, seen_at: own.seen_at, ..theirs.clone() };
    }
}

/// A span of this many seconds, to the millisecond.
pub(super) fn span_of_seconds(seconds: f64) -> Span {
    Span::from_millis((seconds * 1_000.0) as i64)
}

/// A span of this many days, to the millisecond.
pub(super) fn span_of_days(days: f64) -> Span {
    span_of_seconds(days * 86_400.0)
}
