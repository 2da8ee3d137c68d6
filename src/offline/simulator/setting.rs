//! A programme with everything about it drawn: who plays in it and how, its prices, its hours, its attacks. One seed, one setting.

use std::sync::Arc;

use super::chance::{Chance, rounded};
use super::parameter_file::ParameterFileError;
use super::persona::{Persona, PersonaFile, PersonaName, Standing};
use super::programme::{Programme, ProgrammeKind};
use crate::vocabulary::label::Truth;
use crate::vocabulary::time::Timestamp;

/// Days for which attacks are drawn; a programme that goes on longer meets the same ones again.
const ATTACKS_DAYS: f64 = 720.0;
const MONTH_DAYS: f64 = 30.0;
const YEAR_DAYS: f64 = 365.25;
/// An episode holds at most this share of a programme's conversions, and no fewer than [`EPISODE_MIN`]. Judgement: one influencer is not all
/// of a small programme.
const EPISODE_SHARE_MAX: f64 = 0.08;
const EPISODE_MIN: f64 = 12.0;

/// A persona in one programme.
#[derive(Debug, Clone, PartialEq)]
pub struct Role {
    /// Who it is.
    pub name: PersonaName,
    /// What its referrals are in this programme.
    pub truth: Truth,
    /// How it behaves in this programme.
    pub habits: Persona,
    /// How its people differ from others of the programme, by chance and whatever their standing.
    pub manner: Manner,
    /// Its share of the conversions of its standing, against the others. Unit: weight.
    pub weight: f64,
}

/// What multiplies the programme's own tempo, amounts and gaps. Drawn alike for honest and abusive personas, so that it tells nothing of either.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Manner {
    /// Times from click to sign-up.
    pub click_to_signup: f64,
    /// Times from sign-up to conversion.
    pub signup_to_conversion: f64,
    /// Pages looked at.
    pub pages: f64,
    /// Prices.
    pub price: f64,
    /// Gaps between the conversions of an episode.
    pub gap: f64,
}

/// Some days on which one abusive persona is far more common.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Attack {
    role: usize,
    begins_day: f64,
    ends_day: f64,
}

/// A programme with everything about it drawn.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Its parameters.
    pub programme: Programme,
    /// Who plays, honest and abusive. Never empty.
    pub roles: Vec<Arc<Role>>,
    /// Prices that many pay. Unit: minor units.
    pub plans_minor: Vec<i64>,
    /// The smallest purchase that earns a reward, in minor units; absent when there is no limit.
    pub minimum_minor: Option<i64>,
    /// How busy each hour of the day is against the busiest. Range: above 0 to 1.
    pub hours: [f64; 24],
    /// Conversions a day, in the mean.
    pub conversions_per_day: f64,
    attacks: Vec<Attack>,
}

impl Setting {
    /// Draws a programme of this kind with about so many conversions, without the personas that are held out.
    ///
    /// # Errors
    /// [`ParameterFileError`] when a file holds a value of a wrong type.
    pub fn draw(
        kind: &ProgrammeKind,
        personas: &[PersonaFile],
        held_out: &[String],
        conversions: u64,
        chance: &mut Chance,
    ) -> Result<Self, ParameterFileError> {
        let mut programme = kind.settled(chance)?;
        let never_sent = programme.never_sent;
        programme.missing = programme.missing.map(|missing| if chance.happens(never_sent) { 1.0 } else { missing });
        let excluded = chance.happens(programme.terms_exclude_former_customers);
        #[expect(clippy::cast_precision_loss, reason = "counts of conversions are far below 2^53")]
        let wanted = conversions as f64;
        let mut roles = Vec::with_capacity(personas.len());
        for file in personas {
            // Drawn for all, so that holding one out leaves the others as they are.
            let (habits, manner) = (file.settled(chance)?, Manner::draw(programme.persona_sigma, chance));
            let common = chance.log_normal(1.0, programme.persona_sigma);
            let absent = chance.happens(programme.persona_absent) || held_out.iter().any(|name| name == file.name);
            let weight = habits.weight * common * programme.personas.get(file.name).copied().unwrap_or(1.0);
            let truth = match habits.truth {
                Standing::Honest => Truth::Honest,
                Standing::Abusive => Truth::Abusive,
                Standing::ByTerms if excluded => Truth::Abusive,
                Standing::ByTerms => Truth::Honest,
            };
            let mut role = Role { name: file.name, truth, habits, manner, weight: if absent { 0.0 } else { weight } };
            let most = (wanted * EPISODE_SHARE_MAX).max(EPISODE_MIN);
            role.habits.episode.further_most = role.habits.episode.further_most.min(most);
            roles.push(Arc::new(role));
        }
        let purchases = programme.purchases;
        let plans = 1 + chance.below(4);
        let plans_minor =
            (0..plans).map(|_| price(chance.log_normal(purchases.price_median_minor, purchases.price_sigma))).collect();
        let minimum = (purchases.minimum >= 0.1).then(|| price(purchases.price_median_minor * purchases.minimum));
        let length_days = programme.length_days.max(wanted / programme.busiest_count.max(1.0));
        let hours = hours_of(programme.calendar.busiest_hour, programme.calendar.quietest);
        let attacks = draw_attacks(&programme, &roles, chance);
        let conversions_per_day = (wanted / length_days).max(0.01);
        Ok(Self { programme, roles, plans_minor, minimum_minor: minimum, hours, conversions_per_day, attacks })
    }

    /// How many episodes of each role begin in a day, at this age of the programme. Unit: episodes, in the mean.
    #[must_use]
    pub fn episodes_per_day(&self, age_days: f64) -> Vec<f64> {
        let sum_of = |truth| self.roles.iter().filter(|role| role.truth == truth).map(|role| role.weight).sum::<f64>();
        let (honest, abusive) = (sum_of(Truth::Honest), sum_of(Truth::Abusive));
        let growth = self.programme.drift.abuse_factor.max(0.01).powf(age_days / MONTH_DAYS);
        let now = (self.programme.abusive_share * growth).min(0.6);
        let of_role = |(place, role): (usize, &Arc<Role>)| {
            let (part, whole) = match role.truth {
                Truth::Honest => (1.0 - now, honest),
                Truth::Abusive => (now, abusive),
            };
            let share = if whole > 0.0 { part * role.weight / whole } else { 0.0 };
            share * self.attack(place, age_days) * self.conversions_per_day / self.conversions_of_episode(role)
        };
        self.roles.iter().enumerate().map(of_role).collect()
    }

    /// How busy a moment is against the busiest. Range: above 0 to 1.
    #[must_use]
    pub fn busy(&self, at: Timestamp) -> f64 {
        let calendar = self.programme.calendar;
        let day = at.as_millis().div_euclid(86_400_000);
        let weekend = calendar.weekend_factor.max(0.05);
        // 1970-01-01 was a Thursday.
        let of_week = if matches!((day + 3).rem_euclid(7), 5 | 6) { weekend } else { 1.0 } / weekend.max(1.0);
        let day = f64::from(i32::try_from(day).unwrap_or(i32::MAX));
        let year = (std::f64::consts::TAU * (day / YEAR_DAYS - calendar.season_at)).cos();
        let of_year = (1.0 + calendar.season.min(0.9) * year) / (1.0 + calendar.season.min(0.9));
        self.hours[hour_of(at)] * of_week * of_year
    }

    /// What [`Setting::busy`] is in the mean over hours and days.
    #[must_use]
    pub fn busy_mean(&self) -> f64 {
        let calendar = self.programme.calendar;
        let weekend = calendar.weekend_factor.max(0.05);
        let week = (5.0 + 2.0 * weekend) / 7.0 / weekend.max(1.0);
        self.hours.iter().sum::<f64>() / 24.0 * week / (1.0 + calendar.season.min(0.9))
    }

    fn attack(&self, role: usize, age_days: f64) -> f64 {
        let day = age_days.rem_euclid(ATTACKS_DAYS);
        let under = |attack: &Attack| attack.role == role && (attack.begins_day..attack.ends_day).contains(&day);
        if self.attacks.iter().any(under) { self.programme.waves.attack_factor.max(1.0) } else { 1.0 }
    }

    /// How many conversions an episode has, in the mean.
    fn conversions_of_episode(&self, role: &Role) -> f64 {
        let episode = role.habits.episode;
        let Programme { purchases, .. } = &self.programme;
        let shares = purchases.signups + purchases.demonstrations + purchases.invoices + purchases.charges;
        let paid_later = purchases.pays_later * purchases.signups / shares.max(f64::MIN_POSITIVE);
        (1.0 + episode.further_mean.min(episode.further_most).max(episode.further_least))
            * (1.0 + paid_later + episode.reported_twice)
    }
}

impl Manner {
    fn draw(sigma: f64, chance: &mut Chance) -> Self {
        let mut factor = || chance.log_normal(1.0, sigma);
        Self { click_to_signup: factor(), signup_to_conversion: factor(), pages: factor(), price: factor(), gap: factor() }
    }
}

fn draw_attacks(programme: &Programme, roles: &[Arc<Role>], chance: &mut Chance) -> Vec<Attack> {
    let waves = programme.waves;
    let abusive: Vec<usize> =
        (0..roles.len()).filter(|place| roles[*place].truth == Truth::Abusive && roles[*place].weight > 0.0).collect();
    let count = chance.count(waves.attacks_per_month * ATTACKS_DAYS / MONTH_DAYS, 1e3);
    let mut attacks = Vec::new();
    for _ in 0..count {
        let (place, begins_day) = (chance.below(abusive.len()), chance.within(0.0, ATTACKS_DAYS));
        let ends_day = begins_day + chance.log_normal(waves.attack_days, 0.5);
        attacks.extend(abusive.get(place).map(|role| Attack { role: *role, begins_day, ends_day }));
    }
    attacks
}

/// A price that ends in 90, as prices do. Unit: minor units; at least 90.
pub(super) fn price(minor: f64) -> i64 {
    rounded(minor.clamp(0.0, 1e9)) / 100 * 100 + 90
}

/// The hour of the day in UTC, 0 to 23.
pub(super) fn hour_of(at: Timestamp) -> usize {
    usize::try_from(at.as_millis().rem_euclid(86_400_000) / 3_600_000).unwrap_or_default() % 24
}

/// A day that swings between its busiest and its quietest hour.
fn hours_of(busiest_hour: f64, quietest: f64) -> [f64; 24] {
    let quietest = quietest.max(0.01);
    let mut hour = 0.0;
    [(); 24].map(|()| {
        let wave = f64::midpoint(1.0, (std::f64::consts::TAU * (hour - busiest_hour) / 24.0).cos());
        hour += 1.0;
        quietest + (1.0 - quietest) * wave
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::simulator::persona;

    fn setting(kind: &str, held_out: &[String], seed: u64) -> Setting {
        let personas = persona::embedded().unwrap();
        let names: Vec<&str> = personas.iter().map(|persona| persona.name).collect();
        let kinds = ProgrammeKind::embedded(&names).unwrap();
        let kind = kinds.iter().find(|known| known.name == kind).unwrap();
        Setting::draw(kind, &personas, held_out, 2_000, &mut Chance::new(seed)).unwrap()
    }

    #[test]
    fn one_seed_draws_one_setting_and_two_seeds_draw_two() {
        let of = |seed| setting("ordinary", &[], seed);
        assert_eq!(of(1).programme, of(1).programme);
        assert_eq!(of(1).roles, of(1).roles);
        assert_ne!(of(1).programme.tempo, of(2).programme.tempo);
    }

    #[test]
    fn a_persona_that_is_held_out_never_plays_and_the_others_stay_as_they_are() {
        let (all, without) = (setting("ordinary", &[], 4), setting("ordinary", &["self_alias".to_owned()], 4));
        for (role, same) in all.roles.iter().zip(&without.roles) {
            assert_eq!(role.habits, same.habits);
            assert_eq!(same.weight, if role.name == "self_alias" { 0.0 } else { role.weight });
        }
    }

    #[test]
    fn terms_decide_of_customers_who_come_back() {
        let truths: Vec<Truth> = (0..40)
            .map(|seed| {
                let setting = setting("ordinary", &[], seed);
                setting.roles.iter().find(|role| role.name == "returning_customer").unwrap().truth
            })
            .collect();
        assert!(truths.contains(&Truth::Honest) && truths.contains(&Truth::Abusive));
    }

    #[test]
    fn manners_are_drawn_alike_for_honest_and_abusive_personas() {
        let mut logs = [(0.0, 0.0), (0.0, 0.0)];
        for seed in 0..150 {
            for role in setting("ordinary", &[], seed).roles {
                let (sum, count) = &mut logs[usize::from(role.truth == Truth::Abusive)];
                *sum += role.manner.click_to_signup.ln() + role.manner.price.ln();
                *count += 2.0;
            }
        }
        assert!(logs.iter().all(|(sum, count)| (sum / count).abs() < 0.03), "{logs:?}");
    }

    #[test]
    fn a_busy_moment_is_never_busier_than_the_busiest_and_the_mean_is_told() {
        let setting = setting("consumer_app", &[], 3);
        let year: Vec<f64> = (0..365 * 24)
            .map(|hour| setting.busy(Timestamp::saturating_from_millis(1_704_067_200_000 + hour * 3_600_000)))
            .collect();
        assert!(year.iter().all(|busy| (0.0..=1.0).contains(busy)));
        let mean = year.iter().sum::<f64>() / (365.0 * 24.0);
        assert!((mean / setting.busy_mean() - 1.0).abs() < 0.02, "{mean} {}", setting.busy_mean());
    }
}
