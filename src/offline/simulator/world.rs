//! The world of one programme: its people, the accounts that they open, and the customers whom the ledger knows.
//!
//! Whoever refers is drawn here alike for every persona, so that an account's age or history tells nothing of what its holder is up to. Holds the
//! seed's draws, a sample of the customers, and nothing that grows with the number of conversions.

use std::collections::VecDeque;

use super::chance::{Chance, rounded};
use super::environment::{self, Place};
use super::identity::{Casting, Identity};
use super::mailbox;
use super::people::People;
use super::persona;
use super::raw::{RawPayment, RawSide, RawTouchpoint};
use super::setting::{Role, Setting, hour_of};
use crate::vocabulary::bundle::{PaymentKind, PaymentPurpose};
use crate::vocabulary::journey::TouchpointKind;
use crate::vocabulary::label::Truth;
use crate::vocabulary::time::{Span, Timestamp};

/// Customers that are remembered as possible referrers; of more, a sample.
const CUSTOMERS_MAX: usize = 800;
/// Customers who joined last, from whom newcomers are drawn.
const NEWCOMERS_MAX: usize = 40;
/// The oldest account. Unit: days.
const AGE_MAX_DAYS: f64 = 2_500.0;

/// Somebody with an account that may refer, or be left and opened anew.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub identity: Identity,
    pub account: RawSide,
    pub since: Timestamp,
}

/// The world of one programme. See the module.
#[derive(Debug)]
pub(super) struct World<'a> {
    people: &'a People,
    casting: Casting,
    pub chance: Chance,
    pub setting: Setting,
    /// Browser versions that came out since the world began.
    browser_releases: u32,
    /// By how much more likely an abusive episode is a careful one than at the beginning. Unit: probability.
    learned: f64,
    customers: Vec<Customer>,
    customers_seen: usize,
    newcomers: VecDeque<Customer>,
}

impl<'a> World<'a> {
    /// A world at its beginning, without any customer.
    pub(super) const fn new(people: &'a People, setting: Setting, casting: Casting, chance: Chance) -> Self {
        Self {
            people,
            casting,
            chance,
            setting,
            browser_releases: 0,
            learned: 0.0,
            customers: Vec::new(),
            customers_seen: 0,
            newcomers: VecDeque::new(),
        }
    }

    /// Moves the world on: newer browsers, and abusers who have learned to take care.
    pub(super) fn drift_to(&mut self, age_days: f64) {
        let drift = self.setting.programme.drift;
        self.browser_releases = u32::try_from(rounded(age_days / drift.browser_release_days.max(1.0))).unwrap_or_default();
        self.learned = (drift.learns_per_month * age_days / 30.0).min(0.5);
    }

    /// How likely an episode of this role is a careful one by now.
    pub(super) fn carefulness(&self, role: &Role) -> f64 {
        let learned = match role.truth {
            Truth::Abusive => self.learned,
            Truth::Honest => 0.0,
        };
        (role.habits.care.careful + learned).min(1.0)
    }

    pub(super) fn draw_identity(&mut self) -> Identity {
        self.casting.draw(self.people, &mut self.chance)
    }

    /// A home of somebody's own.
    pub(super) fn home_of(&mut self, identity: &Identity) -> Place {
        Place::Home { city_number: identity.city_number, token: self.chance.token() }
    }

    /// What one episode's conversions are grouped by.
    pub(super) fn draw_group(&mut self, role: &Role) -> String {
        format!("{}-{:012x}", role.name, self.chance.token() >> 16)
    }

    /// A customer who was there before the first day, of the age that customers have then.
    pub(super) fn settle_customer(&mut self, begins_at: Timestamp) -> RawSide {
        let since = begins_at.minus(self.draw_age());
        self.join(since, begins_at)
    }

    /// Somebody who opens an account without being referred.
    pub(super) fn join(&mut self, since: Timestamp, seen_at: Timestamp) -> RawSide {
        let identity = self.draw_identity();
        let place = self.home_of(&identity);
        let email = identity.shown.email.clone();
        let mut account = self.open_account(&identity, email, place, since, seen_at);
        self.bring_payments(&mut account, &identity, seen_at);
        self.remember(Customer { identity, account: account.clone(), since });
        account
    }

    /// Remembers a customer, who may refer others or come back later.
    pub(super) fn remember(&mut self, customer: Customer) {
        if self.newcomers.len() == NEWCOMERS_MAX {
            self.newcomers.pop_front();
        }
        self.newcomers.push_back(customer.clone());
        self.customers_seen += 1;
        if self.customers.len() < CUSTOMERS_MAX {
            self.customers.push(customer);
        } else {
            // A sample in which each is as likely as the next (Vitter's algorithm R).
            let place = self.chance.below(self.customers_seen);
            if let Some(old) = self.customers.get_mut(place) {
                *old = customer;
            }
        }
    }

    /// A customer of before this moment, if there is one.
    pub(super) fn draw_customer(&mut self, at: Timestamp) -> Option<Customer> {
        let place = self.chance.below(self.customers.len());
        self.customers.get(place).filter(|customer| customer.since < at).cloned()
    }

    /// Who refers: a customer whom the ledger knows, or one who is first heard of now. Their ages are drawn alike.
    pub(super) fn draw_referrer(&mut self, role: &Role, at: Timestamp) -> Customer {
        let persona::Referrer { office, campus, shop, company_email } = role.habits.referrer;
        let at_company = self.chance.happens(company_email);
        let people = self.setting.programme.people;
        let known = if self.chance.happens(people.referrer_known) {
            if self.chance.happens(people.newcomer_refers) { self.draw_newcomer(at) } else { self.draw_customer(at) }
        } else {
            None
        };
        let mut referrer = match known.filter(|_| !at_company) {
            Some(known) => known,
            None => self.open_referrer(at_company, at),
        };
        let seen_at = at.minus(span_of_hours(self.chance.log_normal(30.0, 1.0).clamp(0.5, 2_000.0))).max(referrer.since);
        let place = if self.chance.happens(office) {
            Some(Place::Office(self.one_of(people.offices_count)))
        } else if self.chance.happens(campus) {
            Some(Place::Campus(self.one_of(people.campuses_count)))
        } else if self.chance.happens(shop) {
            Some(Place::Shop(self.one_of(people.shops_count)))
        } else {
            None
        };
        if let Some(place) = place {
            let network = environment::network(&mut self.chance, place, referrer.identity.country, seen_at);
            referrer.account.networks.insert(0, network);
        }
        self.freshen(&mut referrer, seen_at);
        referrer
    }

    /// A referrer whom the ledger has not met: as old as customers are, or as new as newcomers.
    fn open_referrer(&mut self, at_company: bool, at: Timestamp) -> Customer {
        let identity = self.draw_identity();
        let newcomer = self.chance.happens(self.setting.programme.people.newcomer_refers);
        let age = if newcomer { span_of_hours(self.chance.log_normal(200.0, 1.3).clamp(0.05, 5_000.0)) } else { self.draw_age() };
        let since = at.minus(age);
        let place = self.home_of(&identity);
        let email = if at_company {
            let company = self.draw_company();
            format!("{}@{company}", identity.local_part())
        } else {
            identity.shown.email.clone()
        };
        let mut account = self.open_account(&identity, email, place, since, at);
        self.bring_payments(&mut account, &identity, at);
        Customer { identity, account, since }
    }

    fn draw_newcomer(&mut self, at: Timestamp) -> Option<Customer> {
        let place = self.chance.below(self.newcomers.len());
        self.newcomers.get(place).filter(|customer| customer.since < at).cloned()
    }

    /// What is known of a referrer by the time that he refers: he was there lately, and may have been told where to be paid.
    fn freshen(&mut self, referrer: &mut Customer, seen_at: Timestamp) {
        let account = &mut referrer.account;
        account.journey.clear();
        for device in &mut account.devices {
            device.seen_at = seen_at;
        }
        if let Some(network) = account.networks.first_mut() {
            network.seen_at = seen_at;
        }
        if self.chance.happens(0.5) {
            let seen = account.devices.first();
            let step = |kind, after_seconds, path_token| RawTouchpoint {
                kind,
                occurred_at: seen_at.plus(Span::from_seconds(after_seconds)),
                device: seen.and_then(|device| device.fingerprint.clone()),
                browser: seen.and_then(|device| device.browser.clone()),
                path_token,
            };
            account.journey = vec![step(TouchpointKind::SignIn, 0, "signin"), step(TouchpointKind::Share, 20, "refer")];
        }
        let pays_out = account.payments.iter().any(|payment| payment.purpose == PaymentPurpose::Payout);
        if !pays_out && self.chance.happens(self.setting.programme.people.payout_known) {
            let payout = match referrer.account.payments.first() {
                // Rewards go to bank accounts and wallets; few are paid out to the card that pays the bill.
                Some(billing) if self.chance.happens(0.1) => RawPayment { purpose: PaymentPurpose::Payout, ..billing.clone() },
                Some(_) | None => self.draw_payment(PaymentPurpose::Payout, referrer.identity.country, seen_at),
            };
            referrer.account.payments.push(payout);
        }
    }

    /// An account of somebody, opened at a time, with what the product knows of it. He hides as people of the programme do.
    pub(super) fn open_account(
        &mut self,
        identity: &Identity,
        email: String,
        place: Place,
        created_at: Timestamp,
        seen_at: Timestamp,
    ) -> RawSide {
        let people = self.setting.programme.people;
        let (country, releases) = (identity.country, self.browser_releases);
        let devices = (0..=u8::from(self.chance.happens(people.second_device)))
            .map(|_| environment::draw_device(&mut self.chance, country, releases, people.model_fingerprint, seen_at))
            .collect();
        let mut networks = vec![environment::network(&mut self.chance, place, country, seen_at)];
        if self.chance.happens(people.carrier) {
            networks.insert(0, self.carrier_network(country, seen_at));
        }
        if self.chance.happens(people.vpn) {
            networks.insert(0, environment::network(&mut self.chance, Place::Vpn, country, seen_at));
        }
        let email = if self.chance.happens(people.relay_email) {
            mailbox::draw_relay_address(&mut self.chance)
        } else if self.chance.happens(people.disposable_email) {
            let local = email.split('@').next().unwrap_or("user");
            format!("{local}@{}", mailbox::draw_disposable(&mut self.chance))
        } else {
            email
        };
        let name = identity.shown.full_name();
        RawSide {
            account_id: format!("ac-{:012x}", self.chance.token() >> 16),
            account_created_at: Some(created_at),
            emails: vec![email],
            names: if name.is_empty() { Vec::new() } else { vec![name] },
            devices,
            networks,
            payments: Vec::new(),
            journey: Vec::new(),
        }
    }

    /// A network of a mobile carrier, behind one of few addresses.
    pub(super) fn carrier_network(&mut self, country: &'static str, seen_at: Timestamp) -> super::raw::RawNetwork {
        let number = self.one_of(self.setting.programme.people.carrier_addresses_count);
        environment::network(&mut self.chance, Place::Carrier(number), country, seen_at)
    }

    fn bring_payments(&mut self, account: &mut RawSide, identity: &Identity, at: Timestamp) {
        if self.chance.happens(self.setting.programme.people.paying) {
            let billing = self.draw_payment(PaymentPurpose::Billing, identity.country, at);
            account.payments.push(billing);
        }
    }

    /// A new instrument.
    pub(super) fn draw_payment(&mut self, purpose: PaymentPurpose, country: &'static str, seen_at: Timestamp) -> RawPayment {
        let kind = match purpose {
            PaymentPurpose::Billing => {
                [PaymentKind::Card, PaymentKind::Paypal, PaymentKind::Sepa][self.chance.weighted([0.8, 0.14, 0.06].into_iter())]
            }
            PaymentPurpose::Payout => [PaymentKind::Paypal, PaymentKind::BankAccount, PaymentKind::Card]
                [self.chance.weighted([0.5, 0.35, 0.15].into_iter())],
        };
        RawPayment { instrument: format!("pi-{:016x}", self.chance.token()), kind, purpose, country: Some(country), seen_at }
    }

    /// A company's own domain.
    pub(super) fn draw_company(&mut self) -> String {
        format!("{}-{:06x}.example", mailbox::draw_word(&mut self.chance), self.chance.token() >> 40)
    }

    /// A moment about so long after another one, at an hour at which people are awake when it is not the same afternoon.
    pub(super) fn later(&mut self, than: Timestamp, hours: f64) -> Timestamp {
        let about = than.plus(span_of_hours(hours));
        if hours < 3.0 {
            return about;
        }
        let wanted = self.chance.weighted(self.setting.hours.into_iter());
        let shift = i64::try_from(wanted).unwrap_or_default() - i64::try_from(hour_of(about)).unwrap_or_default();
        let shifted = if shift < 0 { about.plus(Span::from_hours(24 + shift)) } else { about.plus(Span::from_hours(shift)) };
        shifted.max(than.plus(Span::from_seconds(1)))
    }

    fn draw_age(&mut self) -> Span {
        let people = self.setting.programme.people;
        span_of_hours(24.0 * self.chance.log_normal(people.age_median_days, people.age_sigma).clamp(0.02, AGE_MAX_DAYS))
    }

    /// One of so many, from 0.
    fn one_of(&mut self, count: f64) -> u32 {
        let count = usize::try_from(rounded(count)).unwrap_or_default();
        u32::try_from(self.chance.below(count.max(1))).unwrap_or_default()
    }
}

/// A span of this many hours, to the millisecond.
pub(super) fn span_of_hours(hours: f64) -> Span {
    Span::from_millis(rounded(hours * 3_600_000.0))
}
