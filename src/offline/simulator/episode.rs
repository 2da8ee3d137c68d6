//! An episode: one referrer, or one hand behind several accounts, and the referrals that follow from each other.
//!
//! One code for every persona; all that differs stands in the personas' files. It never knows of rules, features or models.

use super::chance::rounded;
use super::mailbox;
use super::persona::{Shape, Sharing};
use super::raw::{RawConversion, RawSide};
use super::setting::Role;
use super::sides::{AddressSeries, Opened, Referee};
use super::world::{Customer, World, span_of_hours};
use crate::vocabulary::conversion::ConversionKind;
use crate::vocabulary::label::Truth;
use crate::vocabulary::time::{Span, Timestamp};

/// Longest gap between two conversions of an episode. Unit: hours.
const GAP_MAX_HOURS: f64 = 60.0 * 24.0;

/// What is common to the referrals of one episode.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    /// What its conversions are grouped by.
    pub group: String,
    /// How likely a referee shares each thing with his referrer, in this episode.
    pub with_referrer: Sharing,
    /// How likely with another referee.
    pub among_referees: Sharing,
    /// How likely with the account that he had before.
    pub with_former: Sharing,
    /// How its addresses are made, where they are made.
    pub addresses: AddressSeries,
}

/// Plays one episode: its conversions, none before `at`, not yet numbered, in no order.
///
/// Length: from 1; one more for each referee beyond the first, for each invoice that is reported again and for each that is paid after a sign-up.
pub(super) fn play(role: &Role, world: &mut World<'_>, at: Timestamp) -> Vec<RawConversion> {
    let first = world.draw_referrer(role, at);
    let hand = Hand::draw(role, world, &first);
    let times = times_of(role, world, at);
    let mut accounts = vec![first];
    let mut earlier: Vec<RawSide> = Vec::new();
    let mut conversions = Vec::new();
    for (position, converted_at) in times.iter().copied().enumerate() {
        let by = match role.habits.episode.shape {
            Shape::Star => 0,
            Shape::Chain if world.chance.happens(0.6) => 0,
            Shape::Chain => world.chance.below(accounts.len()),
            Shape::Circle => accounts.len() - 1,
        };
        let closes = role.habits.episode.shape == Shape::Circle && position > 0 && position + 1 == times.len();
        let kind = world.draw_kind();
        let referee = if closes {
            let Customer { identity, account, since: _ } = accounts[0].clone();
            Referee { identity, side: RawSide { journey: Vec::new(), ..account }, opened: Opened::Before }
        } else {
            let referrer = accounts[by].clone();
            world.draw_referee(role, &hand, &referrer, &earlier, converted_at)
        };
        let Referee { identity, mut side, opened } = referee;
        let mut referrer = accounts[by].account.clone();
        if pays(kind) && !closes {
            world.pay(&hand, &mut referrer, &mut side, &earlier, converted_at);
        }
        accounts[by].account = referrer.clone();
        let conversion = world.convert(role, &hand, kind, referrer, side, opened, converted_at);
        let since = conversion.referee.account_created_at.unwrap_or(converted_at);
        let account = RawSide { journey: Vec::new(), ..conversion.referee.clone() };
        if role.truth == Truth::Honest && opened == Opened::Now {
            world.remember(Customer { identity: identity.clone(), account: account.clone(), since });
        }
        accounts.push(Customer { identity, account: account.clone(), since });
        earlier.push(account);
        conversions.push(conversion);
    }
    add_what_follows(role, &hand, world, &mut conversions);
    conversions
}

/// Invoices that are reported again, and those of people who signed up and pay later.
fn add_what_follows(role: &Role, hand: &Hand, world: &mut World<'_>, conversions: &mut Vec<RawConversion>) {
    let mut more = Vec::new();
    for conversion in conversions.iter_mut() {
        if pays(conversion.kind) && world.chance.happens(role.habits.episode.reported_twice) {
            more.push(reported_again(world, conversion));
        }
        more.extend(world.pay_later(role, hand, conversion));
    }
    conversions.extend(more);
}

/// The same purchase once more: with its id after minutes or hours, or without an id within seconds.
fn reported_again(world: &mut World<'_>, first: &mut RawConversion) -> RawConversion {
    let mut again = first.clone();
    again.outcome = None;
    if world.chance.happens(0.6) && first.invoice_id.is_some() {
        again.occurred_at = first.occurred_at.plus(span_of_hours(world.chance.log_normal(0.25, 1.2).clamp(0.017, 6.0)));
    } else {
        first.invoice_id = None;
        again.invoice_id = None;
        again.occurred_at = first.occurred_at.plus(Span::from_seconds(i64::from(world.chance.between(2, 50))));
    }
    again
}

/// When the conversions of an episode happen: the first at `at`, then one gap after the other.
fn times_of(role: &Role, world: &mut World<'_>, at: Timestamp) -> Vec<Timestamp> {
    let episode = role.habits.episode;
    let accounts = |count: f64| u32::try_from(rounded(count)).unwrap_or_default();
    let drawn = world.chance.count(episode.further_mean, 1.0);
    let further = drawn.min(accounts(episode.further_most)).max(accounts(episode.further_least));
    let mut times = vec![at];
    for _ in 0..further {
        let gap = world.chance.log_normal(episode.gap_median_hours * role.manner.gap, episode.gap_sigma);
        let last = times.last().copied().unwrap_or(at);
        times.push(world.later(last, gap.clamp(0.0003, GAP_MAX_HOURS)));
    }
    times
}

/// Whether a conversion of this kind is paid for by the referee.
pub(super) const fn pays(kind: ConversionKind) -> bool {
    match kind {
        ConversionKind::NewSignup | ConversionKind::DemoAttended => false,
        ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => true,
    }
}

impl Hand {
    /// What is shared in this episode: around what is usual for the persona, and nothing of what a careful hand avoids.
    fn draw(role: &Role, world: &mut World<'_>, first: &Customer) -> Self {
        let care = role.habits.care;
        let careful = world.chance.happens(world.carefulness(role));
        let mut of_episode = |sharing: Sharing| {
            sharing.map(|mean| {
                let avoided = careful && world.chance.happens(care.avoids);
                if avoided { 0.0 } else { world.chance.beta(mean, care.evenness_factor.max(0.05)) }
            })
        };
        let with_referrer = of_episode(role.habits.with_referrer);
        let among_referees = of_episode(role.habits.among_referees);
        let with_former = of_episode(role.habits.with_former);
        let stranger = world.draw_identity();
        let first_email = first.account.emails.first().map_or("", String::as_str);
        let based_on = if world.chance.happens(0.4) { first_email } else { stranger.shown.email.as_str() };
        let (local, _) = based_on.split_once('@').unwrap_or((based_on, ""));
        let own_domain = first_email.split_once('@').map(|(_, domain)| domain).filter(|domain| domain.ends_with(".example"));
        let domain = own_domain.map_or_else(|| world.draw_company(), str::to_owned);
        let addresses = AddressSeries {
            numbered: local.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_owned(),
            provider: mailbox::draw_provider(&mut world.chance).to_owned(),
            domain,
        };
        Self { group: world.draw_group(role), with_referrer, among_referees, with_former, addresses }
    }
}
