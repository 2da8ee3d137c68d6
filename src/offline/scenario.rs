//! A day of a referral programme in plain text: who referred whom, what a reward service would know, and the truth.
//!
//! Synthetic people only; one seed gives one day. Never touches the network or a ledger. Called by the demo and by tests.

use super::chance::{Chance, rounded};
use super::missing::Missing;
use super::people::People;
use super::personas::{Casting, Persona, Stage, StageParameters, play};
use super::raw::RawConversion;
use crate::vocabulary::time::{Span, Timestamp};

/// Hours of the day with how busy they are.
pub(crate) const BUSY_BY_HOUR: [f64; 24] =
    [1.0, 0.6, 0.4, 0.3, 0.3, 0.5, 1.0, 2.0, 3.5, 5.0, 5.5, 5.5, 5.0, 5.0, 5.5, 5.5, 5.0, 5.0, 5.5, 6.0, 5.5, 4.5, 3.0, 2.0];

/// A large episode is cut where its persona has had its share, but not below this, so that rings and loops stay what they are.
const EPISODE_KEPT_MIN: usize = 5;

/// What a day is made of.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// One seed, one day.
    pub seed: u64,
    /// Midnight at which the day begins.
    pub begins_at: Timestamp,
    /// About how many conversions there are. Sensible: 100 to 20,000.
    pub conversions_target: u32,
    /// Who plays.
    pub stage: StageParameters,
    /// What the reward service does not know.
    pub missing: Missing,
}

impl Scenario {
    /// An ordinary day of a programme with a thousand conversions.
    #[must_use]
    pub fn ordinary_day(seed: u64, begins_at: Timestamp) -> Self {
        let mut stage = StageParameters::default();
        // Within one day an agency's and a reward farmer's referrals come closer together than over months.
        for (persona, gap_median_minutes) in [
            (&mut stage.personas.friends, 240.0),
            (&mut stage.personas.household, 240.0),
            (&mut stage.personas.colleagues, 90.0),
            (&mut stage.personas.campus, 90.0),
            (&mut stage.personas.agency, 25.0),
            (&mut stage.personas.reward_farmer, 45.0),
            (&mut stage.personas.second_email, 60.0),
            (&mut stage.personas.alias, 60.0),
            (&mut stage.personas.typo_mailbox, 60.0),
            (&mut stage.personas.shared_device, 60.0),
            (&mut stage.personas.shared_card, 60.0),
            (&mut stage.personas.careful_self, 240.0),
            (&mut stage.personas.circle, 50.0),
            (&mut stage.personas.coupon_site, 20.0),
        ] {
            persona.gap_median_minutes = gap_median_minutes;
        }
        Self { seed, begins_at, conversions_target: 1_000, stage, missing: Missing::default() }
    }

    /// Plays the day: conversions in time order, numbered from 1.
    #[must_use]
    pub fn play(&self, people: &People) -> Vec<RawConversion> {
        let mut chance = Chance::new(self.seed);
        let casting = Casting::whole_persons(people, &mut chance);
        let mut stage = Stage::new(people, self.stage, casting, chance);
        let ends_at = self.begins_at.plus(Span::from_days(1));
        let shares: f64 = Persona::ALL.iter().map(|persona| self.stage.personas.of(*persona).share).sum();
        let mut conversions = Vec::new();
        for persona in Persona::ALL {
            let wanted =
                f64::from(self.conversions_target) * self.stage.personas.of(persona).share / shares.max(f64::MIN_POSITIVE);
            let wanted = usize::try_from(rounded(wanted + 0.5)).unwrap_or_default();
            let mut played = 0;
            while played < wanted {
                let at = self.begins_at.plus(draw_time_of_day(stage.chance()));
                let episode = play(persona, &mut stage, at);
                let before = conversions.len();
                let room = (wanted - played).max(EPISODE_KEPT_MIN);
                conversions.extend(episode.into_iter().filter(|conversion| conversion.occurred_at < ends_at).take(room));
                played += conversions.len() - before;
            }
        }
        conversions.sort_by(|a: &RawConversion, b| {
            (a.occurred_at, &a.group, &a.referee.account_id).cmp(&(b.occurred_at, &b.group, &b.referee.account_id))
        });
        for (position, conversion) in (1..).zip(&mut conversions) {
            self.missing.leave_out(stage.chance(), conversion);
            conversion.number(position);
        }
        conversions
    }
}

/// A time of the day, more likely in its busy hours.
pub(crate) fn draw_time_of_day(chance: &mut Chance) -> Span {
    let hour = chance.weighted(BUSY_BY_HOUR.into_iter());
    let within = chance.between(0, 3_599_999);
    Span::from_millis(i64::try_from(hour).unwrap_or_default() * 3_600_000 + i64::from(within))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::net::IpAddr;

    use super::*;
    use crate::offline::people::PeopleError;
    use crate::offline::raw::RawSide;
    use crate::vocabulary::bundle::PaymentPurpose;
    use crate::vocabulary::label::Truth;

    const MIDNIGHT_MILLIS: i64 = 1_790_000_000_000 / 86_400_000 * 86_400_000;

    fn day(seed: u64) -> Result<Vec<RawConversion>, PeopleError> {
        let people = People::embedded()?;
        Ok(Scenario::ordinary_day(seed, Timestamp::saturating_from_millis(MIDNIGHT_MILLIS)).play(&people))
    }

    fn of(day: &[RawConversion], persona: Persona) -> Vec<&RawConversion> {
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
    fn one_seed_gives_one_day() -> Result<(), PeopleError> {
        assert_eq!(day(1)?, day(1)?);
        assert_ne!(day(1)?, day(2)?);
        Ok(())
    }

    #[test]
    fn a_day_has_about_a_thousand_conversions_of_every_persona_and_six_to_ten_percent_are_abusive() -> Result<(), PeopleError> {
        for seed in 1..4 {
            let day = day(seed)?;
            assert!((900..1_150).contains(&day.len()), "{}", day.len());
            for persona in Persona::ALL {
                assert!(!of(&day, persona).is_empty(), "{persona:?}");
            }
            let abusive = day.iter().filter(|conversion| conversion.truth == Truth::Abusive).count();
            assert!((0.06..0.11).contains(&share(abusive, day.len())), "{abusive} of {}", day.len());
        }
        Ok(())
    }

    #[test]
    fn conversions_are_numbered_in_time_order_within_the_day() -> Result<(), PeopleError> {
        let day = day(3)?;
        assert!(
            day.windows(2)
                .all(|pair| pair[0].occurred_at <= pair[1].occurred_at && pair[0].conversion_id < pair[1].conversion_id)
        );
        let last = day.last().map(|conversion| conversion.occurred_at.as_millis());
        assert!(last.is_some_and(|last| last < MIDNIGHT_MILLIS + 86_400_000));
        Ok(())
    }

    #[test]
    fn households_share_their_address_but_seldom_device_and_card() -> Result<(), PeopleError> {
        let (mut count, mut address, mut device, mut card) = (0, 0, 0, 0);
        for seed in 10..14 {
            for conversion in of(&day(seed)?, Persona::Household) {
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
        Ok(())
    }

    #[test]
    fn a_campus_address_is_shared_by_many_honest_accounts() -> Result<(), PeopleError> {
        let day = day(5)?;
        let mut accounts: BTreeMap<IpAddr, BTreeSet<&str>> = BTreeMap::new();
        for conversion in of(&day, Persona::Campus) {
            for side in [&conversion.referrer, &conversion.referee] {
                for network in &side.networks {
                    accounts.entry(network.address).or_default().insert(&side.account_id);
                }
            }
        }
        assert!(accounts.values().any(|accounts| accounts.len() >= 30));
        Ok(())
    }

    #[test]
    fn no_single_shared_signal_separates_the_honest_from_the_abusive() -> Result<(), PeopleError> {
        let (mut honest_sharing, mut abusive_apart) = (0, 0);
        for seed in 20..23 {
            for conversion in day(seed)? {
                let shares_any = shares_device(&conversion) || shares_address(&conversion);
                honest_sharing += usize::from(conversion.truth == Truth::Honest && shares_any);
                abusive_apart += usize::from(conversion.truth == Truth::Abusive && !shares_any);
            }
        }
        assert!(honest_sharing > 300, "{honest_sharing}");
        assert!(abusive_apart > 40, "{abusive_apart}");
        Ok(())
    }

    #[test]
    fn loops_close() -> Result<(), PeopleError> {
        let day = day(6)?;
        let mut edges: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
        for conversion in of(&day, Persona::Loop) {
            edges.entry(&conversion.group).or_default().push((&conversion.referrer.account_id, &conversion.referee.account_id));
        }
        let closed = edges
            .values()
            .filter(|edges| edges.iter().any(|(_, to)| edges.iter().any(|(from, _)| from == to && *from == edges[0].0)))
            .count();
        assert!(closed >= 1);
        Ok(())
    }

    #[test]
    fn addresses_are_from_reserved_ranges_only() -> Result<(), PeopleError> {
        for conversion in day(7)? {
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
        Ok(())
    }

    #[test]
    fn journeys_run_forward_in_time_and_end_before_the_conversion() -> Result<(), PeopleError> {
        for conversion in day(8)? {
            let journey = &conversion.referee.journey;
            assert!(journey.windows(2).all(|steps| steps[0].occurred_at <= steps[1].occurred_at));
            if conversion.persona != Persona::DuplicateInvoice {
                assert!(journey.iter().all(|step| step.occurred_at <= conversion.occurred_at));
            }
        }
        Ok(())
    }
}
