//! A day of a referral programme in plain text: who referred whom, what a reward service would know, and the truth. What the demo plays.
//!
//! Synthetic people only; one seed gives one day, in which every persona plays.

use std::sync::Arc;

use super::chance::{Chance, rounded};
use super::episode::play;
use super::identity::Casting;
use super::library::{DrawError, Library};
use super::people::People;
use super::programme::DAY;
use super::raw::RawConversion;
use super::setting::{Role, Setting};
use super::world::World;
use crate::vocabulary::label::Truth;
use crate::vocabulary::time::{Span, Timestamp};

/// A large episode is cut where its persona has had its share, but not below this, so that rings and circles stay what they are.
const EPISODE_KEPT_MIN: usize = 5;
/// A day begins in a world that has these customers, who may refer or come back.
const CUSTOMERS: usize = 400;
/// Gaps within a day are this share of those over months: what takes weeks is told in hours. Judgement.
const DAY_PACE: f64 = 0.04;

/// What a day is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// One seed, one day.
    pub seed: u64,
    /// When it begins.
    pub begins_at: Timestamp,
    /// About how many conversions there are. Sensible: 100 to 20,000.
    pub conversions: u32,
}

impl Day {
    /// Plays the day: conversions in time order, numbered from 1.
    ///
    /// # Errors
    /// [`DrawError`] when a file was damaged before it was built in; restore it from the repository.
    pub fn play(&self, library: &Library, people: &People) -> Result<Vec<RawConversion>, DrawError> {
        let mut chance = Chance::new(self.seed);
        let kind = library.kind(DAY)?;
        let mut setting = Setting::draw(kind, &library.personas, &[], u64::from(self.conversions), &mut chance)?;
        for role in &mut setting.roles {
            let role = Arc::make_mut(role);
            role.manner.gap *= DAY_PACE;
        }
        let casting = Casting::whole_persons(people, &mut chance);
        let abusive_share = setting.programme.abusive_share;
        let roles = setting.roles.clone();
        let missing = setting.programme.missing;
        let mut world = World::new(people, setting, casting, chance);
        for _ in 0..CUSTOMERS {
            world.settle_customer(self.begins_at);
        }
        let mut conversions = Vec::new();
        for role in &roles {
            let wanted = f64::from(self.conversions) * share_of(role, &roles, abusive_share);
            let wanted = usize::try_from(rounded(wanted + 0.5)).unwrap_or_default().max(1);
            self.play_role(role, wanted, &mut world, &mut conversions);
        }
        conversions.sort_by(|a: &RawConversion, b| {
            (a.occurred_at, &a.group, &a.referee.account_id).cmp(&(b.occurred_at, &b.group, &b.referee.account_id))
        });
        for (position, conversion) in (1..).zip(&mut conversions) {
            missing.leave_out(&mut world.chance, conversion);
            conversion.number(position);
            conversion.know_by_then();
        }
        Ok(conversions)
    }

    /// Plays episodes of a role until it has had its share of the day.
    fn play_role(&self, role: &Role, wanted: usize, world: &mut World<'_>, conversions: &mut Vec<RawConversion>) {
        let ends_at = self.begins_at.plus(Span::from_days(1));
        let mut played = 0;
        while played < wanted {
            let hour = world.chance.weighted(world.setting.hours.into_iter());
            let within = i64::from(world.chance.between(0, 3_599_999));
            let at = Span::from_millis(i64::try_from(hour).unwrap_or_default() * 3_600_000 + within);
            let episode = play(role, world, self.begins_at.plus(at));
            let before = conversions.len();
            let room = (wanted - played).max(EPISODE_KEPT_MIN);
            conversions.extend(episode.into_iter().filter(|conversion| conversion.occurred_at < ends_at).take(room));
            // The first of an episode is always within the day.
            played += (conversions.len() - before).max(1);
        }
    }
}

/// The share of a role among all conversions.
fn share_of(role: &Role, roles: &[Arc<Role>], abusive_share: f64) -> f64 {
    let of_its_standing = roles.iter().filter(|other| other.truth == role.truth).map(|other| other.weight).sum::<f64>();
    let part = match role.truth {
        Truth::Honest => 1.0 - abusive_share,
        Truth::Abusive => abusive_share,
    };
    part * role.weight / of_its_standing.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::IpAddr;

    use super::*;
    use crate::offline::simulator::raw::RawSide;
    use crate::vocabulary::bundle::PaymentPurpose;

    const MIDNIGHT_MILLIS: i64 = 1_790_000_000_000 / 86_400_000 * 86_400_000;

    fn day(seed: u64) -> Vec<RawConversion> {
        let (library, people) = (Library::embedded().unwrap(), People::embedded().unwrap());
        let begins_at = Timestamp::saturating_from_millis(MIDNIGHT_MILLIS);
        Day { seed, begins_at, conversions: 1_000 }.play(&library, &people).unwrap()
    }

    #[test]
    fn nothing_of_the_future_is_told() {
        for seed in 1..4 {
            for conversion in day(seed) {
                let at = conversion.occurred_at;
                for side in [&conversion.referrer, &conversion.referee] {
                    assert!(side.devices.iter().all(|device| device.seen_at <= at), "{}", conversion.persona);
                    assert!(side.networks.iter().all(|network| network.seen_at <= at), "{}", conversion.persona);
                    assert!(side.payments.iter().all(|payment| payment.seen_at <= at), "{}", conversion.persona);
                    assert!(side.journey.iter().all(|touchpoint| touchpoint.occurred_at <= at), "{}", conversion.persona);
                }
            }
        }
    }

    fn of<'d>(day: &'d [RawConversion], persona: &str) -> Vec<&'d RawConversion> {
        day.iter().filter(|conversion| conversion.persona == persona).collect()
    }

    fn addresses(side: &RawSide) -> BTreeSet<IpAddr> {
        side.networks.iter().map(|network| network.address).collect()
    }

    fn shares_address(conversion: &RawConversion) -> bool {
        !addresses(&conversion.referrer).is_disjoint(&addresses(&conversion.referee))
    }

    fn shares_device(conversion: &RawConversion) -> bool {
        let of = |side: &RawSide| side.devices.first().and_then(|device| device.fingerprint.clone());
        of(&conversion.referrer).is_some() && of(&conversion.referrer) == of(&conversion.referee)
    }

    fn billing(side: &RawSide) -> Option<&str> {
        side.payments.iter().find(|payment| payment.purpose == PaymentPurpose::Billing).map(|payment| payment.instrument.as_str())
    }

    fn share(part: usize, whole: usize) -> f64 {
        f64::from(u32::try_from(part).unwrap_or(u32::MAX)) / f64::from(u32::try_from(whole.max(1)).unwrap_or(u32::MAX))
    }

    #[test]
    fn one_seed_gives_one_day() {
        assert_eq!(day(1), day(1));
        assert_ne!(day(1), day(2));
    }

    #[test]
    fn a_day_has_about_a_thousand_conversions_of_every_persona_and_six_to_ten_percent_are_abusive() {
        for seed in 1..4 {
            let day = day(seed);
            assert!((900..1_150).contains(&day.len()), "{}", day.len());
            for persona in Library::embedded().unwrap().personas {
                assert!(!of(&day, persona.name).is_empty(), "{}", persona.name);
            }
            let abusive = day.iter().filter(|conversion| conversion.truth == Truth::Abusive).count();
            assert!((0.06..0.11).contains(&share(abusive, day.len())), "{abusive} of {}", day.len());
        }
    }

    #[test]
    fn conversions_are_numbered_in_time_order_within_the_day() {
        let day = day(3);
        assert!(
            day.windows(2)
                .all(|pair| pair[0].occurred_at <= pair[1].occurred_at && pair[0].conversion_id < pair[1].conversion_id)
        );
        let last = day.last().map(|conversion| conversion.occurred_at.as_millis());
        assert!(last.is_some_and(|last| last < MIDNIGHT_MILLIS + 86_400_000));
    }

    #[test]
    fn households_share_their_address_but_seldom_device_and_card() {
        let (mut count, mut address, mut device, mut card) = (0, 0, 0, 0);
        for seed in 10..14 {
            for conversion in of(&day(seed), "household") {
                count += 1;
                address += usize::from(shares_address(conversion));
                device += usize::from(shares_device(conversion));
                card += usize::from(
                    billing(&conversion.referee).is_some() && billing(&conversion.referee) == billing(&conversion.referrer),
                );
            }
        }
        assert!(share(address, count) > 0.65, "{address} of {count}");
        assert!((0.03..0.35).contains(&share(device, count)), "{device} of {count}");
        assert!((0.005..0.2).contains(&share(card, count)), "{card} of {count}");
    }

    #[test]
    fn a_dorm_address_is_shared_by_many_honest_accounts() {
        let day = day(5);
        let mut accounts: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
        for conversion in of(&day, "dorm") {
            for side in [&conversion.referrer, &conversion.referee] {
                for network in &side.networks {
                    accounts.entry(network.address).or_default().insert(&side.account_id);
                }
            }
        }
        assert!(accounts.values().any(|accounts| accounts.len() >= 30));
    }

    #[test]
    fn no_single_shared_signal_separates_the_honest_from_the_abusive() {
        let (mut honest_sharing, mut abusive_apart) = (0, 0);
        for seed in 20..23 {
            for conversion in day(seed) {
                let shares_any = shares_device(&conversion) || shares_address(&conversion);
                honest_sharing += usize::from(conversion.truth == Truth::Honest && shares_any);
                abusive_apart += usize::from(conversion.truth == Truth::Abusive && !shares_any);
            }
        }
        assert!(honest_sharing > 300, "{honest_sharing}");
        assert!(abusive_apart > 40, "{abusive_apart}");
    }

    #[test]
    fn circles_close() {
        let day = day(6);
        let mut edges: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for conversion in of(&day, "referral_circle") {
            edges.entry(&conversion.group).or_default().push((&conversion.referrer.account_id, &conversion.referee.account_id));
        }
        let closed = edges
            .values()
            .filter(|edges| edges.iter().any(|(_, to)| edges.iter().any(|(from, _)| from == to && *from == edges[0].0)))
            .count();
        assert!(closed >= 1);
    }

    #[test]
    fn addresses_are_from_reserved_ranges_only() {
        for conversion in day(7) {
            for network in conversion.referrer.networks.iter().chain(&conversion.referee.networks) {
                let reserved = match network.address {
                    IpAddr::V4(address) => match address.octets() {
                        [10, ..] | [198, 18..=19, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => true,
                        [..] => false,
                    },
                    IpAddr::V6(address) => address.segments()[0] == 0x3FFF,
                };
                assert!(reserved, "{}", network.address);
            }
        }
    }

    #[test]
    fn journeys_run_forward_in_time_and_end_before_the_conversion() {
        for conversion in day(8) {
            let journey = &conversion.referee.journey;
            assert!(journey.windows(2).all(|steps| steps[0].occurred_at <= steps[1].occurred_at));
            if conversion.persona != "duplicate_invoice" {
                assert!(journey.iter().all(|step| step.occurred_at <= conversion.occurred_at));
            }
        }
    }
}
