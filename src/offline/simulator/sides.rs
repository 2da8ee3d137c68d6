//! The referee of an episode: who he is, which address and name he gives, what he shares with others, and how he hides.
//!
//! A second part of the world.

use super::environment::{self, Place};
use super::episode::Hand;
use super::identity::Identity;
use super::mailbox::{self, MailboxHabit, MailboxStyle};
use super::persona::{EmailChoice, Hiding, Sharing};
use super::raw::{RawDevice, RawNetwork, RawPayment, RawSide};
use super::setting::Role;
use super::world::{Customer, World};
use crate::vocabulary::bundle::PaymentPurpose;
use crate::vocabulary::time::Timestamp;

/// Series of addresses that the hand behind an episode makes.
#[derive(Debug, Clone)]
pub(super) struct AddressSeries {
    /// What a numbered series begins with.
    pub numbered: String,
    /// The provider of numbered and invented addresses.
    pub provider: String,
    /// The domain that the hand owns, or the company's.
    pub domain: String,
}

/// A referee, and which earlier account of his own there is.
#[derive(Debug, Clone)]
pub(super) struct Referee {
    pub identity: Identity,
    pub side: RawSide,
    /// Whether he uses an account that he had before.
    pub opened: Opened,
}

/// Whether a referee's account is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opened {
    /// He opens it now.
    Now,
    /// He had it before.
    Before,
}

impl World<'_> {
    /// The next referee of an episode, before he pays.
    pub(super) fn draw_referee(
        &mut self,
        role: &Role,
        hand: &Hand,
        referrer: &Customer,
        earlier: &[RawSide],
        at: Timestamp,
    ) -> Referee {
        let habits = role.habits.referee;
        let another = |known: &Customer| known.account.account_id != referrer.account.account_id;
        if self.chance.happens(habits.existing_account)
            && let Some(customer) = self.draw_customer(at).filter(another)
        {
            let side = RawSide { journey: Vec::new(), ..customer.account };
            return Referee { identity: customer.identity, side, opened: Opened::Before };
        }
        let former = if self.chance.happens(habits.former_customer) { self.draw_customer(at).filter(another) } else { None };
        let (identity, known_by) = if let Some(former) = &former {
            (former.identity.clone(), former.account.emails.first().cloned())
        } else if self.chance.happens(habits.same_person) {
            (referrer.identity.clone(), referrer.account.emails.first().cloned())
        } else {
            let mut other = self.draw_identity();
            if self.chance.happens(habits.surname) {
                other.take_surname(&referrer.identity, &mut self.chance);
            }
            (other, None)
        };
        let known_by = known_by.unwrap_or_else(|| identity.shown.email.clone());
        let email = self.draw_email(habits.email, hand, &identity, &known_by, referrer, earlier.len());
        let place =
            if self.chance.happens(self.setting.programme.people.carrier) { Place::Carrier(0) } else { self.home_of(&identity) };
        let mut side = self.open_account(&identity, email, place, at, at);
        if let Place::Carrier(_) = place {
            side.networks = vec![self.carrier_network(identity.country, at)];
        }
        self.give_name(role, &mut side, &identity);
        self.share(&hand.with_referrer, &referrer.account, &mut side, at);
        if !earlier.is_empty() {
            let other = &earlier[self.chance.below(earlier.len())];
            self.share(&hand.among_referees, other, &mut side, at);
        }
        if let Some(former) = &former {
            self.share(&hand.with_former, &former.account, &mut side, at);
        }
        if self.chance.happens(self.setting.programme.people.visit) {
            let visit = Sharing { address: 1.0, ..Sharing::default() };
            self.share(&visit, &referrer.account, &mut side, at);
        }
        self.hide(role.habits.hides, &mut side, at);
        Referee { identity, side, opened: Opened::Now }
    }

    fn draw_email(
        &mut self,
        choice: EmailChoice,
        hand: &Hand,
        identity: &Identity,
        known_by: &str,
        referrer: &Customer,
        position: usize,
    ) -> String {
        let shares = choice.shares();
        let own = (1.0 - shares.iter().sum::<f64>()).max(0.0);
        let [first, second] = [position + 1, position + 10];
        let theirs = referrer.account.emails.first().map_or("", String::as_str);
        let AddressSeries { numbered, provider, domain } = &hand.addresses;
        match self.chance.weighted(shares.into_iter().chain([own])) {
            0 => identity.second_email(&mut self.chance),
            1 => mailbox::alias_of(&mut self.chance, known_by),
            2 => mailbox::mistyped(&mut self.chance, known_by),
            3 => theirs.to_owned(),
            4 => mailbox::tagged(theirs, &identity.shown.given_name, first),
            5 => format!("{}@{domain}", identity.local_part()),
            6 => format!("{numbered}{}@{provider}", if self.chance.happens(0.7) { first } else { second }),
            7 => {
                let habit = MailboxHabit::draw(&mut self.chance, 1990);
                let handle = MailboxHabit { style: MailboxStyle::Handle, ..habit };
                format!("{}@{provider}", handle.local_part("", ""))
            }
            8 => format!("{}@{domain}", self.draw_identity().local_part()),
            9 => self.draw_identity().shown.email,
            _ => identity.shown.email.clone(),
        }
    }

    fn give_name(&mut self, role: &Role, side: &mut RawSide, identity: &Identity) {
        let choice = role.habits.referee.name;
        let own = (1.0 - choice.respelled - choice.invented - choice.none).max(0.0);
        let name = match self.chance.weighted([own, choice.respelled, choice.invented, choice.none].into_iter()) {
            0 => return,
            1 => identity.again.full_name(),
            2 => self.draw_identity().shown.full_name(),
            _ => String::new(),
        };
        side.names = if name.is_empty() { Vec::new() } else { vec![name] };
    }

    /// Lets an account share what the habits say with another one; instruments are shared when it pays.
    fn share(&mut self, sharing: &Sharing, theirs: &RawSide, own: &mut RawSide, at: Timestamp) {
        let Sharing { device, browser, environment, address, prefix, card: _, payout_is_billing: _, present: _ } = *sharing;
        let mut happens = |probability| self.chance.happens(probability);
        let (device, browser, environment) = (happens(device), happens(browser), happens(environment));
        let (address, prefix) = (happens(address), happens(prefix));
        if (device || environment)
            && let (Some(their_device), Some(own_device)) = (theirs.devices.first(), own.devices.first_mut())
        {
            let cookie = if device && browser { &their_device.browser } else { &own_device.browser };
            let fingerprint = if device { &their_device.fingerprint } else { &own_device.fingerprint };
            let (fingerprint, browser) = (fingerprint.clone(), cookie.clone());
            *own_device = RawDevice { fingerprint, browser, seen_at: own_device.seen_at, ..their_device.clone() };
        }
        let Some(their_network) = theirs.networks.first() else { return };
        if address {
            own.networks.retain(|network| network.address != their_network.address);
            own.networks.insert(0, RawNetwork { seen_at: at, ..their_network.clone() });
        } else if prefix {
            let neighbour = environment::neighbour_of(&mut self.chance, their_network);
            own.networks.insert(0, RawNetwork { seen_at: at, ..neighbour });
        }
    }

    /// Whoever hides does so from the start: his true address is mostly not seen.
    fn hide(&mut self, hides: Hiding, side: &mut RawSide, at: Timestamp) {
        let Hiding { vpn, tor, hosting, carrier, disposable_email, relay_email } = hides;
        let country = side.networks.first().and_then(|network| network.country).unwrap_or("GB");
        for (place, probability) in [(Place::Vpn, vpn), (Place::Tor, tor), (Place::Hosting, hosting)] {
            if self.chance.happens(probability) {
                if self.chance.happens(0.8) {
                    side.networks.clear();
                }
                side.networks.insert(0, environment::network(&mut self.chance, place, country, at));
                break;
            }
        }
        if self.chance.happens(carrier) {
            side.networks = vec![self.carrier_network(country, at)];
        }
        if self.chance.happens(disposable_email) {
            let local = side.emails.first().and_then(|email| email.split('@').next()).unwrap_or("user").to_owned();
            let local = if self.chance.happens(0.5) { format!("{:x}", self.chance.token() >> 28) } else { local };
            side.emails = vec![format!("{local}@{}", mailbox::draw_disposable(&mut self.chance))];
        } else if self.chance.happens(relay_email) {
            side.emails = vec![mailbox::draw_relay_address(&mut self.chance)];
        }
    }

    /// The referee pays: with an instrument of his own, or with one that the habits say he shares.
    pub(super) fn pay(&mut self, hand: &Hand, referrer: &mut RawSide, referee: &mut RawSide, earlier: &[RawSide], at: Timestamp) {
        let country = referee.networks.last().and_then(|network| network.country).unwrap_or("GB");
        let theirs = self.chance.happens(hand.with_referrer.card).then(|| billing_of(referrer)).flatten();
        let another = if earlier.is_empty() { None } else { billing_of(&earlier[self.chance.below(earlier.len())]) };
        let another = another.filter(|_| self.chance.happens(hand.among_referees.card));
        let own = billing_of(referee);
        let billing = match theirs.or(another).or(own) {
            Some(known) => RawPayment { seen_at: at, ..known },
            None => self.draw_payment(PaymentPurpose::Billing, country, at),
        };
        if self.chance.happens(hand.with_referrer.payout_is_billing) {
            referrer.payments.retain(|payment| payment.purpose != PaymentPurpose::Payout);
            referrer.payments.push(RawPayment { purpose: PaymentPurpose::Payout, ..billing.clone() });
        }
        referee.payments.retain(|payment| payment.instrument != billing.instrument);
        referee.payments.insert(0, billing);
    }
}

/// The instrument that an account pays with; absent when it never paid.
fn billing_of(side: &RawSide) -> Option<RawPayment> {
    side.payments.iter().find(|payment| payment.purpose == PaymentPurpose::Billing).cloned()
}
