//! Match weights: how much a shared value says that one person stands on both sides, in bits.
//!
//! The weight of record linkage (Fellegi and Sunter 1969), with the frequency of the value itself (Winkler 1989): `log2(m / u)`. `m` is the chance
//! that one person shows the same value at both sites, `u` that an unrelated account of the programme carries this value. `u` is counted, over
//! persons and not over accounts: those that are tied by strong identifiers count once, so that a sixth alias takes nothing away. Where little was
//! counted, a prior for the kind stands in, so that a programme of fifty accounts is sane. Ten bits make the two sides a thousand times likelier
//! to be one person than was thought before.
//!
//! Weights of independent signals add up ([`Weights::total`]). Dependent ones (the address and the name in it, the browser and its device) count once.

use super::history::{Crowd, IdentifierKind};
use crate::vocabulary::time::Span;

/// The weight at which evidence of a single kind is as strong as it gets. Unit: bits. One in a million.
pub const BITS_FULL: f64 = 20.0;
/// The weight at which evidence that adds several kinds up is as strong as it gets. Unit: bits.
pub const BITS_FULL_TOGETHER: f64 = 40.0;
/// Addresses and names are derived from each other, so that what they say together is bounded. Unit: bits.
const WRITTEN_MAX: f64 = 18.0;
/// The same for a mailbox and the name of its owner. Unit: bits.
const MAILBOX_AND_NAME_MAX: f64 = 24.0;
/// A shared network says where somebody was. However rare, it is a household more often than a person. Unit: bits.
const NETWORK_MAX: f64 = 10.0;

/// What is known of a kind of value before anybody is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Prior {
    /// The chance that one person shows one value of the kind at two sites. Range: (0, 1).
    same_person: f64,
    /// The chance that a stranger carries a given value of the kind, on average. Range: (0, 1).
    stranger: f64,
}

/// How many persons' counts a prior is worth. Judgement: what few share is told by counting.
const PRIOR_WORTH: f64 = 100.0;

/// The shipped priors. That one person shows the same mailbox or local part twice is measured on addresses of real people (`docs/digests.md`); all else
/// is judgement: cookies and instruments are made to be one's own, a fingerprint is that of a model of phone, providers put some ten thousand
/// customers behind an address.
const fn prior(kind: IdentifierKind) -> Prior {
    let (same_person, stranger) = match kind {
        IdentifierKind::EmailExact => (0.02, 1e-7),
        IdentifierKind::Mailbox => (0.02, 2e-7),
        IdentifierKind::LocalPart => (0.2, 1e-4),
        IdentifierKind::Domain => (0.2, 1e-3),
        IdentifierKind::Name => (0.6, 1e-4),
        IdentifierKind::Device => (0.5, 1e-3),
        IdentifierKind::Browser => (0.3, 1e-6),
        IdentifierKind::Address => (0.4, 1e-4),
        IdentifierKind::Prefix => (0.5, 1e-3),
        IdentifierKind::Payment => (0.3, 1e-6),
    };
    Prior { same_person, stranger }
}

/// The chance that an unrelated person of the programme carries a value that `persons_on` persons beside the two sides carry, of `persons_known`.
/// Range: (0, 1].
#[must_use]
pub fn stranger_carries(kind: IdentifierKind, persons_on: u32, persons_known: u32) -> f64 {
    let Prior { stranger, same_person: _ } = prior(kind);
    let on = f64::from(persons_on);
    (on + PRIOR_WORTH * stranger) / (f64::from(persons_known).max(on) + PRIOR_WORTH)
}

/// The weight of a value that both sides carry, on which they were seen so far apart in time. Unit: bits; 0 when it says nothing, at most [`BITS_FULL`].
#[must_use]
pub fn of_shared(kind: IdentifierKind, crowd: Crowd, persons_known: u32, apart: Span) -> f64 {
    // A mailbox is one person's by definition: who else is on it is an alias. What is on too many to be one is a placeholder, and never gets here.
    let persons_on = match kind {
        IdentifierKind::EmailExact | IdentifierKind::Mailbox => 0,
        IdentifierKind::LocalPart
        | IdentifierKind::Domain
        | IdentifierKind::Name
        | IdentifierKind::Device
        | IdentifierKind::Browser
        | IdentifierKind::Address
        | IdentifierKind::Prefix
        | IdentifierKind::Payment => crowd.persons_ever,
    };
    let kept = half_life(kind).map_or(0.0, |half_life| apart.abs().as_seconds() / half_life.as_seconds());
    let weight = (prior(kind).same_person / stranger_carries(kind, persons_on, persons_known)).log2() - kept;
    weight.clamp(0.0, BITS_FULL)
}

/// One of how many strangers carries a value of which this weight was said, for the eye; the time apart is in it. At least 1.
#[must_use]
pub fn one_of_strangers(kind: IdentifierKind, bits: f64) -> f64 {
    (bits.exp2() / prior(kind).same_person).max(1.0)
}

/// After which time apart a shared value says half as much, which is one bit less; absent for what names a person and is not handed on. Judgement:
/// providers deal household addresses anew within weeks to months, a phone or browser profile is kept for one to two years, a card or account
/// for three.
const fn half_life(kind: IdentifierKind) -> Option<Span> {
    match kind {
        IdentifierKind::Address | IdentifierKind::Prefix => Some(Span::from_days(30)),
        IdentifierKind::Device | IdentifierKind::Browser => Some(Span::from_days(180)),
        IdentifierKind::Payment => Some(Span::from_days(3 * 365)),
        IdentifierKind::EmailExact
        | IdentifierKind::Mailbox
        | IdentifierKind::LocalPart
        | IdentifierKind::Domain
        | IdentifierKind::Name => None,
    }
}

/// What each kind of signal of a pair says. Unit: bits, 0 where it says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Weights {
    /// The mailbox or the whole address: one of them.
    pub mailbox: f64,
    /// The name before the @: equal, alike, or alike the name of the other side's person.
    pub local_part: f64,
    /// The person's name.
    pub name: f64,
    /// The device or the browser: the stronger.
    pub machine: f64,
    /// The network address or its neighbourhood: the stronger.
    pub network: f64,
    /// The payment instrument.
    pub payment: f64,
}

impl Weights {
    /// Notes what a shared value says: of several of one kind the most. A shared domain names nobody.
    pub fn raise(&mut self, kind: IdentifierKind, bits: f64) {
        let known = match kind {
            IdentifierKind::EmailExact | IdentifierKind::Mailbox => &mut self.mailbox,
            IdentifierKind::LocalPart => &mut self.local_part,
            IdentifierKind::Name => &mut self.name,
            IdentifierKind::Device | IdentifierKind::Browser => &mut self.machine,
            IdentifierKind::Address | IdentifierKind::Prefix => &mut self.network,
            IdentifierKind::Payment => &mut self.payment,
            IdentifierKind::Domain => return,
        };
        *known = known.max(bits);
    }

    /// How many of the kinds say anything. An address and the name in it are two kinds for the eye.
    #[must_use]
    pub fn kinds(&self) -> u8 {
        let Self { mailbox, local_part, name, machine, network, payment } = *self;
        [mailbox.max(local_part), name, machine, network, payment].into_iter().map(|bits| u8::from(bits > 0.0)).sum()
    }

    /// Whether they tell of a person at all: a mailbox does, of all else two kinds have to agree.
    #[must_use]
    pub fn tell_a_person(&self) -> bool {
        self.mailbox > 0.0 || self.kinds() > 1
    }

    /// What they say together. Dependent kinds count once: an address holds its local part, and people write their name into it. Unit: bits; 0 or
    /// more.
    #[must_use]
    pub fn total(&self) -> f64 {
        let Self { mailbox, local_part, name, machine, network, payment } = *self;
        let written = (mailbox + name).min(MAILBOX_AND_NAME_MAX).max((local_part + name).min(WRITTEN_MAX));
        written + machine + network.min(NETWORK_MAX) + payment
    }
}

/// The weight of two sketches of one kind that are alike to this degree (Dice), by how many of the pairs of one person and of the pairs of strangers are.
/// `steps` are `(similarity from which it holds, bits)`, rising in both; below the first it says nothing. Between two steps it rises evenly.
#[must_use]
pub fn of_likeness(similarity: f64, steps: &[(f64, f64)]) -> f64 {
    let above = steps.iter().position(|(from, _)| similarity < *from).unwrap_or(steps.len());
    match (above.checked_sub(1).and_then(|below| steps.get(below)), steps.get(above)) {
        (None, _) => 0.0,
        (Some((_, bits)), None) => *bits,
        (Some((from, low)), Some((to, high))) => low + (high - low) * (similarity - from) / (to - from),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn crowd(persons_ever: u32) -> Crowd {
        Crowd { accounts_ever: persons_ever, persons_ever, ..Crowd::default() }
    }

    fn weight(kind: IdentifierKind, persons_on: u32, persons_known: u32) -> f64 {
        of_shared(kind, crowd(persons_on), persons_known, Span::ZERO)
    }

    #[test]
    fn a_small_programme_is_sane() {
        assert!(weight(IdentifierKind::Address, 0, 50) > 11.0, "{}", weight(IdentifierKind::Address, 0, 50));
        assert!(weight(IdentifierKind::Address, 20, 50) < 2.0, "an office of twenty says where they work");
        assert!(weight(IdentifierKind::Device, 0, 50) < weight(IdentifierKind::Device, 0, 50_000), "it is told by counting");
    }

    #[test]
    fn what_is_on_many_says_little_wherever_it_is_counted() {
        assert!(weight(IdentifierKind::Address, 400, 10_000) < 4.0);
        assert!(weight(IdentifierKind::Name, 100, 10_000) < 7.0);
        assert!(weight(IdentifierKind::Payment, 300, 300) < 0.01);
    }

    #[test]
    fn more_aliases_take_nothing_from_a_mailbox() {
        for kind in [IdentifierKind::EmailExact, IdentifierKind::Mailbox] {
            assert!((weight(kind, 60, 1_000) - weight(kind, 0, 1_000)).abs() < 1e-12);
        }
    }

    #[test]
    fn a_value_is_handed_on_and_a_name_is_not() {
        let apart = |kind, days| of_shared(kind, crowd(1), 1_000, Span::from_days(days));
        assert!((apart(IdentifierKind::Browser, 0) - apart(IdentifierKind::Browser, 360) - 2.0).abs() < 1e-9);
        assert!((apart(IdentifierKind::Name, 0) - apart(IdentifierKind::Name, 3_600)).abs() < 1e-12);
    }

    #[test]
    fn the_words_and_the_weight_say_one_thing() {
        let bits = weight(IdentifierKind::Browser, 3, 20_000);
        let words = one_of_strangers(IdentifierKind::Browser, bits);
        assert!((words * stranger_carries(IdentifierKind::Browser, 3, 20_000) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn likeness_rises_evenly_between_its_steps() {
        let steps = [(0.5, 4.0), (0.7, 8.0)];
        let of = |similarity| of_likeness(similarity, &steps);
        assert!(
            of(0.49).abs() < 1e-12
                && (of(0.5) - 4.0).abs() < 1e-12
                && (of(0.6) - 6.0).abs() < 1e-9
                && (of(1.0) - 8.0).abs() < 1e-12
        );
    }

    fn any_weights() -> impl Strategy<Value = [f64; 6]> {
        proptest::array::uniform6(prop_oneof![Just(0.0), 0.1..BITS_FULL])
    }

    fn of([mailbox, local_part, name, machine, network, payment]: [f64; 6]) -> Weights {
        Weights { mailbox, local_part, name, machine, network, payment }
    }

    proptest! {
        #[test]
        fn one_more_agreement_never_lowers_the_total(known in any_weights(), place in 0_usize..6, more in 0.0..BITS_FULL) {
            let mut raised = known;
            raised[place] = (raised[place] + more).min(BITS_FULL);
            prop_assert!(of(raised).total() >= of(known).total() - 1e-12);
            prop_assert!(of(raised).kinds() >= of(known).kinds());
        }

        #[test]
        fn a_weight_lies_in_its_range_and_falls_with_the_persons_on_it(on in 0_u32..2_000, more in 0_u32..2_000, known in 0_u32..1_000_000) {
            for kind in IdentifierKind::ALL {
                let (few, many) = (weight(kind, on, known), weight(kind, on + more, known));
                prop_assert!((0.0..=BITS_FULL).contains(&few) && many <= few);
                prop_assert!(stranger_carries(kind, on, known) > 0.0 && stranger_carries(kind, on, known) <= 1.0);
            }
        }
    }
}
