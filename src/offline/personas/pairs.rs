//! Episodes with one referrer and people he knows, and episodes in which he refers himself.
//!
//! Called by [`super::play`] only.

use super::Persona;
use super::environment::Place;
use super::identity::Identity;
use super::stage::{Pays, Stage, span_of_days, span_of_seconds};
use crate::offline::mailbox;
use crate::offline::raw::{RawConversion, RawSide};
use crate::vocabulary::conversion::ConversionKind;
use crate::vocabulary::time::{Span, Timestamp};

/// Different people: friends, households, offices, campuses, agencies, coupon sites, existing users, referrals attached by hand.
pub(super) fn play_between_people(persona: Persona, stage: &mut Stage<'_>, at: Timestamp) -> Vec<RawConversion> {
    let group = stage.draw_group(persona);
    let (identity, place, mut referrer) = open_or_meet_referrer(persona, stage, at);
    let mut conversions = Vec::new();
    for converted_at in times_of(persona, stage, at) {
        let mut other = stage.draw_identity();
        let surname = stage.habits(persona).sharing.surname;
        if stage.chance.happens(surname) {
            other.take_surname(&identity, &mut stage.chance);
        }
        let other_place = match place {
            Place::Office(_) | Place::Campus(_) if stage.chance.happens(0.5) => place,
            Place::Home { .. }
            | Place::Mobile
            | Place::Office(_)
            | Place::Campus(_)
            | Place::Vpn
            | Place::Tor
            | Place::Hosting => stage.home_of(&other),
        };
        let kind = if persona == Persona::ExistingUser { paid_kind(stage) } else { stage.draw_kind() };
        let email = other.shown.email.clone();
        let age = span_of_days(stage.chance.log_normal(200.0, 1.0).min(1_500.0));
        let mut referee = stage.open_account(&other, email, other_place, converted_at.minus(age), converted_at);
        stage.tie(persona, &mut referrer, &mut referee, converted_at, Pays::with(kind));
        if matches!(persona, Persona::Friends | Persona::Household | Persona::Colleagues | Persona::Campus) {
            stage.welcome(&other, other_place, &referee, converted_at);
        }
        conversions.push(stage.convert(persona, &group, kind, referrer.clone(), referee, converted_at));
    }
    conversions
}

/// A referrer who is new to the stage or, among people who know each other at home, one who was referred himself.
fn open_or_meet_referrer(persona: Persona, stage: &mut Stage<'_>, at: Timestamp) -> (Identity, Place, RawSide) {
    if matches!(persona, Persona::Friends | Persona::Household)
        && let Some(newcomer) = stage.draw_newcomer(at)
    {
        return newcomer;
    }
    let identity = stage.draw_identity();
    let place = shared_place(persona, stage, &identity);
    let age_median_days = if matches!(persona, Persona::CouponSite | Persona::Agency) { 90.0 } else { 150.0 };
    let referrer = stage.open_referrer(&identity, place, at, age_median_days);
    (identity, place, referrer)
}

/// An honest referral whose invoice is reported again: with its id after minutes or hours, or without an id within seconds.
pub(super) fn play_duplicate(stage: &mut Stage<'_>, at: Timestamp) -> Vec<RawConversion> {
    let persona = Persona::DuplicateInvoice;
    let group = stage.draw_group(persona);
    let (identity, other) = (stage.draw_identity(), stage.draw_identity());
    let (place, other_place) = (stage.home_of(&identity), stage.home_of(&other));
    let mut referrer = stage.open_referrer(&identity, place, at, 150.0);
    let mut referee = stage.open_account(&other, other.shown.email.clone(), other_place, at, at);
    stage.tie(persona, &mut referrer, &mut referee, at, Pays::Yes);
    let mut first = stage.convert(persona, &group, ConversionKind::InvoicePaid, referrer, referee, at);
    let mut again = first.clone();
    if stage.chance.happens(0.6) {
        again.occurred_at = at.plus(span_of_seconds(stage.chance.log_normal(900.0, 1.2).clamp(61.0, 20_000.0)));
    } else {
        first.invoice_id = None;
        again.invoice_id = None;
        again.occurred_at = at.plus(Span::from_seconds(i64::from(stage.chance.between(2, 50))));
    }
    again.outcome = None;
    vec![first, again]
}

/// How a person dresses up a second account of his.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Disguise {
    /// Which address he gives.
    pub mailbox: MailboxTrick,
    /// How likely he gives his name again, as another record spells it. Unit: probability.
    pub name_again: f64,
    /// How likely he gives a stranger's name. Unit: probability; what is left gives none.
    pub name_invented: f64,
}

/// Which address a second account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MailboxTrick {
    /// His own at another provider.
    OtherProvider,
    /// An alias of the first.
    Alias,
    /// The first with a slip.
    Slip,
    /// One that has nothing to do with him.
    Unrelated,
    /// Most often his own at another provider, sometimes an unrelated one.
    OtherProviderOrUnrelated,
}

/// One person who refers himself, in one of the ways that people try.
pub(super) fn play_self_referral(
    persona: Persona,
    disguise: Disguise,
    stage: &mut Stage<'_>,
    at: Timestamp,
) -> Vec<RawConversion> {
    let group = stage.draw_group(persona);
    let identity = stage.draw_identity();
    let home = stage.home_of(&identity);
    let mut referrer = stage.open_referrer(&identity, home, at, 45.0);
    let mut conversions = Vec::new();
    for converted_at in times_of(persona, stage, at) {
        let kind = stage.draw_kind();
        let mut referee = second_account(disguise, stage, &identity, home, converted_at);
        stage.tie(persona, &mut referrer, &mut referee, converted_at, Pays::with(kind));
        conversions.push(stage.convert(persona, &group, kind, referrer.clone(), referee, converted_at));
    }
    conversions
}

/// Another account of the same person.
pub(super) fn second_account(
    disguise: Disguise,
    stage: &mut Stage<'_>,
    identity: &Identity,
    home: Place,
    at: Timestamp,
) -> RawSide {
    let email = match disguise.mailbox {
        MailboxTrick::Alias => mailbox::alias_of(&mut stage.chance, &identity.shown.email),
        MailboxTrick::Slip => identity.mistyped_email(&mut stage.chance),
        MailboxTrick::Unrelated => stage.draw_identity().shown.email,
        MailboxTrick::OtherProviderOrUnrelated if stage.chance.happens(0.3) => stage.draw_identity().shown.email,
        MailboxTrick::OtherProvider | MailboxTrick::OtherProviderOrUnrelated => identity.second_email(&mut stage.chance),
    };
    // Away from home unless the habits bring the two together again.
    let place = if stage.chance.happens(0.35) { Place::Mobile } else { elsewhere(stage, home) };
    let mut account = stage.open_account(identity, email, place, at, at);
    let name_left_out = 1.0 - disguise.name_again - disguise.name_invented;
    let name = match stage.chance.weighted([disguise.name_again, disguise.name_invented, name_left_out].into_iter()) {
        0 => identity.again.full_name(),
        1 => stage.draw_identity().shown.full_name(),
        _ => String::new(),
    };
    account.names = if name.is_empty() { Vec::new() } else { vec![name] };
    account
}

/// When the conversions of an episode happen: the first at `at`, then one gap after the other.
pub(super) fn times_of(persona: Persona, stage: &mut Stage<'_>, at: Timestamp) -> Vec<Timestamp> {
    let parameters = *stage.parameters.personas.of(persona);
    let count = stage.chance.between(parameters.referees_min, parameters.referees_max);
    let mut times = vec![at];
    for _ in 1..count {
        let gap = span_of_seconds(stage.chance.log_normal(parameters.gap_median_minutes * 60.0, 0.9).clamp(1.0, 60.0 * 86_400.0));
        let last = times.last().copied().unwrap_or(at);
        times.push(last.plus(gap));
    }
    times
}

/// Where the referrer is, and those who share his network: an office, a campus, or his home.
fn shared_place(persona: Persona, stage: &mut Stage<'_>, identity: &Identity) -> Place {
    let mut one_of = |count: u32| u32::try_from(stage.chance.below(count.max(1) as usize)).unwrap_or_default();
    if persona == Persona::Colleagues {
        Place::Office(one_of(stage.parameters.offices))
    } else if persona == Persona::Campus {
        Place::Campus(one_of(stage.parameters.campuses))
    } else {
        stage.home_of(identity)
    }
}

fn elsewhere(stage: &mut Stage<'_>, home: Place) -> Place {
    match home {
        Place::Home { city_number, .. } => Place::Home { city_number, token: stage.chance.token() },
        Place::Mobile | Place::Office(_) | Place::Campus(_) | Place::Vpn | Place::Tor | Place::Hosting => Place::Mobile,
    }
}

fn paid_kind(stage: &mut Stage<'_>) -> ConversionKind {
    if stage.chance.happens(0.7) { ConversionKind::InvoicePaid } else { ConversionKind::ChargeSucceeded }
}
