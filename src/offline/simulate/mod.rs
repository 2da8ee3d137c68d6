//! A referral programme over months: conversions with their labels, streamed in event-time order, as many as are wanted.
//!
//! Memory does not grow with the number of conversions: only what is to happen in the next weeks is held. One seed and one set of
//! parameters give one programme. Never reads a clock. Called by `selfsame simulate`, by training and by tests.

mod parameters;
mod variation;

pub use parameters::{Drift, Labels, ParametersError, SimulationParameters};
pub use variation::varied;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::chance::Chance;
use super::people::People;
use super::personas::{Casting, Persona, Stage, play};
use super::raw::{RawConversion, RawLabel};
use super::scenario::BUSY_BY_HOUR;
use crate::vocabulary::label::{LabelSource, Truth};
use crate::vocabulary::time::{Span, Timestamp};

const DAY_MILLIS: f64 = 86_400_000.0;
const MONTH_DAYS: f64 = 30.0;

/// A conversion and what a model may learn of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabeledRaw {
    /// The conversion. Its truth is what the persona is; the label may be wrong.
    pub conversion: RawConversion,
    /// The label; absent when nobody ever gave one.
    pub label: Option<RawLabel>,
}

/// A programme as it goes on. Yields conversions in event-time order and ends after as many as the parameters say.
#[derive(Debug)]
pub struct Simulation<'a> {
    stage: Stage<'a>,
    parameters: SimulationParameters,
    begins_at: Timestamp,
    /// When the next episode may begin. INVARIANT: nothing that is played from now on happens before it.
    next_episode_at: Timestamp,
    /// What was played and did not happen yet.
    pending: BinaryHeap<Reverse<Pending>>,
    played: u64,
    emitted: u64,
}

/// A conversion that waits for its time. Ordered by time, then by when it was played.
#[derive(Debug)]
struct Pending {
    occurs_at: Timestamp,
    order: u64,
    conversion: Box<RawConversion>,
}

impl<'a> Simulation<'a> {
    /// A programme of this seed.
    ///
    /// # Errors
    /// [`ParametersError`] when a parameter is out of its range.
    pub fn new(people: &'a People, parameters: SimulationParameters, seed: u64) -> Result<Self, ParametersError> {
        parameters.validate()?;
        let stage = Stage::new(people, parameters.stage, Casting::joined_names(), Chance::new(seed));
        let begins_at = Timestamp::saturating_from_millis(parameters.begins_at.as_millisecond());
        Ok(Self { stage, parameters, begins_at, next_episode_at: begins_at, pending: BinaryHeap::new(), played: 0, emitted: 0 })
    }

    /// Plays the next episode and moves on to the one after it.
    fn play_episode(&mut self) {
        let at = self.next_episode_at;
        let age_days = self.age_days(at);
        let drift = self.parameters.drift;
        self.stage.drift_to(drift.browser_releases(age_days), drift.abuse_sharing_factor(age_days));
        let weights = self.episode_weights(age_days);
        let persona = Persona::ALL[self.stage.chance().weighted(weights.iter().copied())];
        for conversion in play(persona, &mut self.stage, at) {
            self.played += 1;
            let occurs_at = conversion.occurred_at;
            self.pending.push(Reverse(Pending { occurs_at, order: self.played, conversion: Box::new(conversion) }));
        }
        self.next_episode_at = self.draw_next_episode(at, &weights);
    }

    /// How likely each persona plays next: its share of conversions over the size of its episodes, abusive ones with the drift.
    fn episode_weights(&self, age_days: f64) -> [f64; Persona::ALL.len()] {
        let shares = Persona::ALL.map(|persona| self.parameters.stage.personas.of(persona).share);
        let sum_of = |truth| {
            Persona::ALL.iter().zip(&shares).filter(|(persona, _)| persona.truth() == truth).map(|(_, share)| share).sum::<f64>()
        };
        let (honest, abusive) = (sum_of(Truth::Honest), sum_of(Truth::Abusive));
        let at_first = self.parameters.abusive_share.unwrap_or_else(|| abusive / (honest + abusive).max(f64::MIN_POSITIVE));
        let now = (at_first * self.parameters.drift.abuse_share_factor(age_days)).min(0.95);
        Persona::ALL.map(|persona| {
            let parameters = self.parameters.stage.personas.of(persona);
            let (part, whole) = match persona.truth() {
                Truth::Honest => (1.0 - now, honest),
                Truth::Abusive => (now, abusive),
            };
            if whole > 0.0 {
                part * parameters.share / whole / conversions_of_episode(persona, parameters.conversions_mean())
            } else {
                0.0
            }
        })
    }

    /// When the episode after this one begins: a Poisson process whose rate follows the hours of the day.
    fn draw_next_episode(&mut self, at: Timestamp, weights: &[f64]) -> Timestamp {
        let busiest = BUSY_BY_HOUR.into_iter().fold(0.0, f64::max);
        let busy_mean = BUSY_BY_HOUR.into_iter().sum::<f64>() / 24.0;
        // The weights are conversions' shares over sizes, so their sum is episodes per conversion.
        let episodes_per_day = self.parameters.conversions_per_day * weights.iter().sum::<f64>();
        let gap_millis = DAY_MILLIS / episodes_per_day * busy_mean / busiest;
        let mut next = at;
        loop {
            let gap = super::chance::rounded(self.stage.chance().exponential(gap_millis)).max(1);
            next = next.plus(Span::from_millis(gap));
            let hour = usize::try_from(next.as_millis().rem_euclid(86_400_000) / 3_600_000).unwrap_or_default();
            if self.stage.chance().happens(BUSY_BY_HOUR[hour % 24] / busiest) {
                return next;
            }
        }
    }

    fn age_days(&self, at: Timestamp) -> f64 {
        let seconds = at.since(self.begins_at).as_millis() / 1_000;
        f64::from(i32::try_from(seconds / 60).unwrap_or(i32::MAX)) / 1_440.0
    }

    fn draw_label(&mut self, conversion: &RawConversion) -> Option<RawLabel> {
        let labels = self.parameters.labels;
        let chance = self.stage.chance();
        if chance.happens(labels.unlabeled) {
            return None;
        }
        let truth = match conversion.truth {
            Truth::Honest if chance.happens(labels.honest_as_abusive) => Truth::Abusive,
            Truth::Abusive if chance.happens(labels.abusive_as_honest) => Truth::Honest,
            Truth::Honest | Truth::Abusive => conversion.truth,
        };
        let delay_days = chance.log_normal(labels.delay_median_days.max(1e-9), labels.delay_sigma).min(400.0);
        let delay = Span::from_millis(super::chance::rounded(delay_days * DAY_MILLIS));
        Some(RawLabel { truth, source: LabelSource::Simulated, labeled_at: conversion.occurred_at.plus(delay) })
    }
}

impl Iterator for Simulation<'_> {
    type Item = LabeledRaw;

    fn next(&mut self) -> Option<LabeledRaw> {
        if self.emitted >= self.parameters.conversions {
            return None;
        }
        while self.pending.peek().is_none_or(|Reverse(first)| first.occurs_at >= self.next_episode_at) {
            self.play_episode();
        }
        let Reverse(Pending { conversion, .. }) = self.pending.pop()?;
        let mut conversion = *conversion;
        self.emitted += 1;
        conversion.number(self.emitted);
        let missing = self.parameters.missing;
        missing.leave_out(self.stage.chance(), &mut conversion);
        let label = self.draw_label(&conversion);
        Some(LabeledRaw { conversion, label })
    }
}

impl Drift {
    /// Browser versions that came out in this time.
    fn browser_releases(&self, age_days: f64) -> u32 {
        u32::try_from(super::chance::rounded(age_days / self.browser_release_days)).unwrap_or_default()
    }

    /// What multiplies the sharing of abusers; never below a half.
    fn abuse_sharing_factor(&self, age_days: f64) -> f64 {
        (-self.abuse_sharing_loss_per_month * age_days / MONTH_DAYS).exp().max(0.5)
    }

    /// What multiplies the share of abusive conversions; between a quarter and three.
    fn abuse_share_factor(&self, age_days: f64) -> f64 {
        let growth = (self.abuse_share_growth_per_month * age_days / MONTH_DAYS).exp();
        let wave = 1.0 + self.abuse_wave_amplitude * (std::f64::consts::TAU * age_days / self.abuse_wave_days).sin();
        (growth * wave).clamp(0.25, 3.0)
    }
}

/// An invoice that is reported twice makes two conversions of one referee.
fn conversions_of_episode(persona: Persona, referees_mean: f64) -> f64 {
    if persona == Persona::DuplicateInvoice { 2.0 } else { referees_mean }
}

impl PartialEq for Pending {
    fn eq(&self, other: &Self) -> bool {
        (self.occurs_at, self.order) == (other.occurs_at, other.order)
    }
}

impl Eq for Pending {}

impl PartialOrd for Pending {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Pending {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.occurs_at, self.order).cmp(&(other.occurs_at, other.order))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn simulated(parameters: SimulationParameters, seed: u64) -> Result<Vec<LabeledRaw>, Box<dyn std::error::Error>> {
        let people = People::embedded()?;
        Ok(Simulation::new(&people, parameters, seed)?.collect())
    }

    fn of_size(conversions: u64) -> SimulationParameters {
        SimulationParameters { conversions, ..SimulationParameters::default() }
    }

    fn abusive_share(programme: &[LabeledRaw]) -> f64 {
        let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        count(programme.iter().filter(|line| line.conversion.truth == Truth::Abusive).count()) / count(programme.len())
    }

    #[test]
    fn one_seed_gives_one_programme_and_a_longer_one_begins_the_same() -> Result<(), Box<dyn std::error::Error>> {
        let (short, long) = (simulated(of_size(500), 4)?, simulated(of_size(900), 4)?);
        assert_eq!(short, long[..500]);
        assert_ne!(short, simulated(of_size(500), 5)?);
        Ok(())
    }

    #[test]
    fn conversions_come_in_event_time_order_and_are_numbered() -> Result<(), Box<dyn std::error::Error>> {
        let programme = simulated(of_size(3_000), 1)?;
        assert_eq!(programme.len(), 3_000);
        assert!(programme.windows(2).all(|pair| pair[0].conversion.occurred_at <= pair[1].conversion.occurred_at));
        assert_eq!(programme[2].conversion.conversion_id, "cv-000003");
        Ok(())
    }

    #[test]
    fn the_share_of_abuse_is_what_was_asked_for() -> Result<(), Box<dyn std::error::Error>> {
        for asked in [0.02, 0.08, 0.25] {
            let drift = Drift { abuse_share_growth_per_month: 0.0, abuse_wave_amplitude: 0.0, ..Drift::default() };
            let parameters = SimulationParameters { abusive_share: Some(asked), drift, ..of_size(12_000) };
            let got = abusive_share(&simulated(parameters, 2)?);
            assert!((got / asked - 1.0).abs() < 0.25, "asked {asked}, got {got}");
        }
        Ok(())
    }

    #[test]
    fn abuse_grows_when_it_is_told_to() -> Result<(), Box<dyn std::error::Error>> {
        let drift = Drift { abuse_share_growth_per_month: 0.5, abuse_wave_amplitude: 0.0, ..Drift::default() };
        let programme = simulated(SimulationParameters { drift, ..of_size(16_000) }, 3)?;
        let (first, last) = (abusive_share(&programme[..5_000]), abusive_share(&programme[11_000..]));
        assert!(last > first * 1.3, "{first} then {last}");
        Ok(())
    }

    #[test]
    fn labels_come_later_and_are_wrong_as_often_as_asked() -> Result<(), Box<dyn std::error::Error>> {
        let labels = Labels { honest_as_abusive: 0.1, abusive_as_honest: 0.3, unlabeled: 0.2, ..Labels::default() };
        let programme = simulated(SimulationParameters { labels, ..of_size(8_000) }, 6)?;
        let labeled: Vec<_> = programme.iter().filter_map(|line| line.label.map(|label| (&line.conversion, label))).collect();
        assert!((6_200..6_600).contains(&labeled.len()), "{}", labeled.len());
        assert!(labeled.iter().all(|(conversion, label)| label.labeled_at >= conversion.occurred_at));
        let wrong = labeled.iter().filter(|(conversion, label)| conversion.truth != label.truth).count();
        assert!((600..1_000).contains(&wrong), "{wrong}");
        Ok(())
    }

    #[test]
    fn only_the_coming_weeks_are_held_in_memory() -> Result<(), Box<dyn std::error::Error>> {
        let people = People::embedded()?;
        let mut simulation = Simulation::new(&people, of_size(12_000), 7)?;
        let mut pending_max = [0, 0];
        while simulation.emitted < 12_000 && simulation.next().is_some() {
            let half = usize::from(simulation.emitted > 6_000);
            pending_max[half] = pending_max[half].max(simulation.pending.len());
        }
        assert!(pending_max[1] < pending_max[0] * 2, "{pending_max:?}");
        Ok(())
    }

    #[test]
    fn every_persona_plays_in_the_long_run() -> Result<(), Box<dyn std::error::Error>> {
        let programme = simulated(of_size(12_000), 8)?;
        for persona in Persona::ALL {
            assert!(programme.iter().any(|line| line.conversion.persona == persona), "{persona:?}");
        }
        Ok(())
    }
}
