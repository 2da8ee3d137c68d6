//! The stage: what personas have in common. Opens accounts and lets two sides share what their habits say.
//!
//! Holds the seed's draws and the cast, and nothing that grows with the number of episodes. Called by the personas only.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::Persona;
use super::environment::{self, Place};
use super::identity::{Casting, Identity};
use super::parameters::{Habits, PersonasParameters};
use crate::offline::chance::{Chance, rounded};
use crate::offline::mailbox;
use crate::offline::people::People;
use crate::offline::raw::{RawDevice, RawNetwork, RawPayment, RawSide, RawTouchpoint};
use crate::vocabulary::bundle::{PaymentKind, PaymentPurpose};
use crate::vocabulary::conversion::ConversionKind;
use crate::vocabulary::journey::TouchpointKind;
use crate::vocabulary::label::Truth;
use crate::vocabulary::time::{Span, Timestamp};

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
    /// How likely an honest referrer is somebody who was referred not long ago. Unit: probability.
    pub referred_refers: f64,
    /// How likely somebody whose sign-up was a conversion pays later, which is another. Unit: probability.
    pub signup_pays_later: f64,
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
            referred_refers: 0.15,
            signup_pays_later: 0.25,
        }
    }
}

/// Honest referees who may refer in turn; the oldest leave when there are more.
const NEWCOMERS_MAX: usize = 400;

/// Somebody who was referred and may now refer.
#[derive(Debug, Clone)]
struct Newcomer {
    identity: Identity,
    place: Place,
    account: RawSide,
    since: Timestamp,
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
    newcomers: VecDeque<Newcomer>,
}

impl<'a> Stage<'a> {
    /// A stage at the beginning of its world.
    #[must_use]
    pub fn new(people: &'a People, parameters: StageParameters, casting: Casting, chance: Chance) -> Self {
        Self { people, casting, chance, parameters, browser_releases: 0, abuse_sharing_factor: 1.0, newcomers: VecDeque::new() }
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

    /// How a persona behaves by now.
    pub(super) fn habits(&self, persona: Persona) -> Habits {
        let mut habits = self.parameters.personas.of(persona).habits;
        habits.sharing.referrer_present *= self.sharing_factor(persona);
        habits
    }

    fn sharing_factor(&self, persona: Persona) -> f64 {
        if persona.truth() == Truth::Abusive { self.abuse_sharing_factor } else { 1.0 }
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
                // Rewards go to bank accounts and wallets; few are paid out to the card that pays the bill.
                Some(billing) if self.chance.happens(0.1) => RawPayment { purpose: PaymentPurpose::Payout, ..billing.clone() },
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

    /// Remembers an honest referee, who may refer others later.
    pub(super) fn welcome(&mut self, identity: &Identity, place: Place, account: &RawSide, since: Timestamp) {
        if self.newcomers.len() == NEWCOMERS_MAX {
            self.newcomers.pop_front();
        }
        let account = RawSide { journey: Vec::new(), ..account.clone() };
        self.newcomers.push_back(Newcomer { identity: identity.clone(), place, account, since });
    }

    /// One who was referred before `at` and refers now, if this referral is to be of that kind and there is one.
    pub(super) fn draw_newcomer(&mut self, at: Timestamp) -> Option<(Identity, Place, RawSide)> {
        let wanted = self.chance.happens(self.parameters.referred_refers);
        let position = self.chance.below(self.newcomers.len());
        let Newcomer { identity, place, mut account, since } = self.newcomers.get(position).filter(|_| wanted)?.clone();
        if since >= at {
            return None;
        }
        if self.chance.happens(self.parameters.payout_known) {
            let payout = self.draw_payment(PaymentPurpose::Payout, identity.country, at);
            account.payments.push(payout);
        }
        Some((identity, place, account))
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
        let closeness = self.chance.log_normal(1.0, sharing_sigma) * self.sharing_factor(persona);
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

    pub(super) fn pay(
        &mut self,
        referrer: &mut RawSide,
        referee: &mut RawSide,
        card: bool,
        payout_is_billing: bool,
        at: Timestamp,
    ) {
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
}

/// Whether the referee pays with this conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pays {
    Yes,
    No,
}

impl Pays {
    /// Invoices and charges are paid; sign-ups and demonstrations are not.
    pub(super) const fn with(kind: ConversionKind) -> Self {
        match kind {
            ConversionKind::NewSignup | ConversionKind::DemoAttended => Self::No,
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => Self::Yes,
        }
    }
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
    Span::from_millis(rounded(seconds * 1_000.0))
}

/// A span of this many days, to the millisecond.
pub(super) fn span_of_days(days: f64) -> Span {
    span_of_seconds(days * 86_400.0)
}
