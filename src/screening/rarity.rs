//! Rarity: a shared value counts by how few accounts share it.
//!
//! Two accounts on a value that only they use are almost surely one household or one person; two of four hundred on a campus address are
//! strangers. A fingerprint tells a model of phone as often as a phone, so that it loses strength as addresses do; a cookie does not. And it counts by
//! how long the two were apart on it: addresses are dealt anew, phones are sold. The idea is the frequency-based weight of record linkage (Fellegi and Sunter 1969; Winkler 1989). With `n` accounts on a
//! value, a randomly chosen other account on it is the partner with odds of about 1 to `n - 1`, so that strength falls as
//! `(n - 1)^-decay`. The exponent says how freely a kind of value is shared by strangers; it is policy (judgement until measured).

use super::history::{Crowd, IdentifierKind};
use crate::vocabulary::time::Span;

/// How fast the strength of a shared value falls with the number of accounts on it. Each range: 0 (never) to 2.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rarity {
    /// Network addresses and prefixes: offices, dorms, mobile carriers.
    pub network_decay: f64,
    /// Device fingerprints: phones of one model.
    pub device_decay: f64,
    /// Browsers' cookies: family tablets, shop kiosks.
    pub browser_decay: f64,
    /// Payment instruments: families, company cards.
    pub payment_decay: f64,
    /// E-mail values and names: common names, company domains.
    pub identity_decay: f64,
}

impl Default for Rarity {
    /// Judgement: an address or a fingerprint shared by four hundred keeps 0.3 % of its strength, a cookie shared by ten keeps 58 %.
    fn default() -> Self {
        Self { network_decay: 1.0, device_decay: 1.0, browser_decay: 0.25, payment_decay: 0.15, identity_decay: 0.5 }
    }
}

impl Rarity {
    /// The share of strength that a value keeps which both sides use and `crowd` others too. Range: above 0, up to 1.
    #[must_use]
    pub fn of_shared(&self, kind: IdentifierKind, crowd: Crowd) -> f64 {
        let accounts_beside_one = f64::from(crowd.accounts_ever.saturating_add(1));
        accounts_beside_one.powf(-self.decay(kind))
    }

    /// The share of strength that a value keeps on which the two sides were seen this far apart in time. Range: above 0, up to 1; 1 for values that are not
    /// handed on.
    #[must_use]
    pub fn of_time_apart(kind: IdentifierKind, apart: Span) -> f64 {
        half_life(kind).map_or(1.0, |half_life| (-apart.abs().as_seconds() / half_life.as_seconds()).exp2())
    }

    const fn decay(&self, kind: IdentifierKind) -> f64 {
        match kind {
            IdentifierKind::Address | IdentifierKind::Prefix => self.network_decay,
            IdentifierKind::Device => self.device_decay,
            IdentifierKind::Browser => self.browser_decay,
            IdentifierKind::Payment => self.payment_decay,
            IdentifierKind::EmailExact
            | IdentifierKind::Mailbox
            | IdentifierKind::LocalPart
            | IdentifierKind::Domain
            | IdentifierKind::Name => self.identity_decay,
        }
    }
}

/// After which time apart a shared value says half as much; absent for what names a person and is not handed on. Judgement: providers deal
/// household addresses anew within weeks to months, a phone or browser profile is kept for one to two years, a card or account for three.
const fn half_life(kind: IdentifierKind) -> Option<Span> {
    match kind {
        IdentifierKind::Address | IdentifierKind::Prefix => Some(Span::from_days(90)),
        IdentifierKind::Device | IdentifierKind::Browser => Some(Span::from_days(365)),
        IdentifierKind::Payment => Some(Span::from_days(3 * 365)),
        IdentifierKind::EmailExact
        | IdentifierKind::Mailbox
        | IdentifierKind::LocalPart
        | IdentifierKind::Domain
        | IdentifierKind::Name => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(accounts_ever: u32) -> Crowd {
        Crowd { accounts_ever, ..Crowd::default() }
    }

    #[test]
    fn a_value_that_only_the_two_sides_use_keeps_all_its_strength() {
        for kind in IdentifierKind::ALL {
            assert!((Rarity::default().of_shared(kind, crowd(0)) - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn an_address_shared_by_four_hundred_says_almost_nothing() {
        assert!(Rarity::default().of_shared(IdentifierKind::Address, crowd(398)) < 0.005);
    }

    #[test]
    fn a_fingerprint_of_a_hundred_is_a_model_of_phone_and_a_cookie_of_a_hundred_still_a_browser() {
        let of = |kind| Rarity::default().of_shared(kind, crowd(100));
        assert!(of(IdentifierKind::Device) < 0.01 && of(IdentifierKind::Browser) > 0.3);
    }

    #[test]
    fn a_shared_value_says_half_as_much_a_half_life_apart_in_either_order() {
        for kind in IdentifierKind::ALL {
            let Some(half_life) = half_life(kind) else {
                assert!((Rarity::of_time_apart(kind, Span::from_days(9_000)) - 1.0).abs() < 1e-12);
                continue;
            };
            assert!((Rarity::of_time_apart(kind, Span::ZERO) - 1.0).abs() < 1e-12);
            for apart in [half_life, Span::from_millis(-half_life.as_millis())] {
                assert!((Rarity::of_time_apart(kind, apart) - 0.5).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn strength_never_rises_with_the_crowd() {
        for kind in IdentifierKind::ALL {
            let strengths: Vec<f64> = (0..50).map(|n| Rarity::default().of_shared(kind, crowd(n))).collect();
            assert!(strengths.windows(2).all(|pair| pair[1] <= pair[0]));
        }
    }
}
