//! A referral programme over months: conversions with their labels, streamed in event-time order, as many as are wanted.
//!
//! Memory does not grow with the length of the programme: only what is to happen in the next weeks is held, and a sample of the customers. One seed
//! and one setting give one programme. Never reads a clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::chance::{Chance, rounded};
use super::episode::play;
use super::identity::Casting;
use super::people::People;
use super::raw::{RawConversion, RawLabel, RawSide};
use super::setting::Setting;
use super::world::World;
use crate::vocabulary::label::{LabelSource, Truth};
use crate::vocabulary::time::{Span, Timestamp};

const DAY_MILLIS: f64 = 86_400_000.0;
/// Most customers that are known before the first day; they are all told with the first conversion.
const KNOWN_CUSTOMERS_MAX: f64 = 1_000.0;
/// Accounts in one record of signals; the API takes 100.
const RECORD_ACCOUNTS: usize = 50;

/// What was learned of accounts outside any referral.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// When it was told.
    pub observed_at: Timestamp,
    /// The accounts. Length: 1 to 100.
    pub accounts: Vec<RawSide>,
}

/// A conversion and what a model may learn of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Simulated {
    /// Customers who joined without being referred, since the conversion before.
    pub joined_before: Vec<Joined>,
    /// The conversion. Its truth is what the persona is; the label may be wrong.
    pub conversion: RawConversion,
    /// The label; absent when nobody ever gave one.
    pub label: Option<RawLabel>,
}

/// A programme as it goes on. Yields conversions in event-time order and ends after as many as were wanted.
#[derive(Debug)]
pub struct Months<'a> {
    world: World<'a>,
    begins_at: Timestamp,
    wanted: u64,
    /// When the next episode may begin. INVARIANT: nothing that is played from now on happens before it.
    next_episode_at: Timestamp,
    /// What was played and did not happen yet.
    pending: BinaryHeap<Reverse<Pending>>,
    /// When the last conversion happened.
    last_at: Timestamp,
    joined: Vec<Joined>,
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

impl<'a> Months<'a> {
    /// A programme of this setting and seed, with so many conversions.
    #[must_use]
    pub fn new(people: &'a People, setting: Setting, wanted: u64, begins_at: Timestamp, seed: u64) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts of conversions are far below 2^53")]
        let known = (setting.programme.people.known_per_conversion * wanted as f64).min(KNOWN_CUSTOMERS_MAX);
        let mut world = World::new(people, setting, Casting::joined_names(), Chance::new(seed));
        let settled: Vec<RawSide> = (0..rounded(known)).map(|_| world.settle_customer(begins_at)).collect();
        let observed_at = begins_at.minus(Span::from_minutes(1));
        let joined =
            settled.chunks(RECORD_ACCOUNTS).map(|accounts| Joined { observed_at, accounts: accounts.to_vec() }).collect();
        Self {
            world,
            begins_at,
            wanted,
            next_episode_at: begins_at,
            pending: BinaryHeap::new(),
            last_at: begins_at,
            joined,
            played: 0,
            emitted: 0,
        }
    }

    /// Plays the next episode and moves on to the one after it.
    fn play_episode(&mut self) {
        let at = self.next_episode_at;
        let age_days = self.age_days(at);
        self.world.drift_to(age_days);
        let rates = self.world.setting.episodes_per_day(age_days);
        let place = self.world.chance.weighted(rates.iter().copied());
        let role = Arc::clone(&self.world.setting.roles[place]);
        for conversion in play(&role, &mut self.world, at) {
            self.played += 1;
            let occurs_at = conversion.occurred_at;
            self.pending.push(Reverse(Pending { occurs_at, order: self.played, conversion: Box::new(conversion) }));
        }
        self.next_episode_at = self.draw_next_episode(at, rates.iter().sum());
    }

    /// When the episode after this one begins: a Poisson process whose rate follows the hours of the day, the week and the season.
    fn draw_next_episode(&mut self, at: Timestamp, episodes_per_day: f64) -> Timestamp {
        let gap_millis = DAY_MILLIS / episodes_per_day.max(1e-3) * self.world.setting.busy_mean();
        let mut next = at;
        loop {
            next = next.plus(Span::from_millis(rounded(self.world.chance.exponential(gap_millis)).max(1)));
            let busy = self.world.setting.busy(next);
            if self.world.chance.happens(busy) {
                return next;
            }
        }
    }

    fn age_days(&self, at: Timestamp) -> f64 {
        at.since(self.begins_at).as_seconds() / 86_400.0
    }

    /// Customers who joined by themselves between the last conversion and this one.
    fn let_join(&mut self, until: Timestamp) {
        let mean = self.world.setting.programme.people.joining_per_conversion;
        let between_millis = until.since(self.last_at).as_millis();
        for _ in 0..self.world.chance.count(mean, 1.0) {
            let after = self.world.chance.within(0.0, 1.0) * f64::from(i32::try_from(between_millis / 1_000).unwrap_or(i32::MAX));
            let since = self.last_at.plus(Span::from_seconds(rounded(after)));
            let account = self.world.join(since, since);
            self.joined.push(Joined { observed_at: since, accounts: vec![account] });
        }
        self.last_at = until;
    }

    fn draw_label(&mut self, conversion: &RawConversion) -> Option<RawLabel> {
        let labels = self.world.setting.programme.labels;
        let chance = &mut self.world.chance;
        if chance.happens(labels.unlabeled) {
            return None;
        }
        let truth = match conversion.truth {
            Truth::Honest if chance.happens(labels.honest_as_abusive) => Truth::Abusive,
            Truth::Abusive if chance.happens(labels.abusive_as_honest) => Truth::Honest,
            Truth::Honest | Truth::Abusive => conversion.truth,
        };
        let delay_days = chance.log_normal(labels.delay_median_days.max(1e-9), labels.delay_sigma).min(400.0);
        let delay = Span::from_millis(rounded(delay_days * DAY_MILLIS));
        Some(RawLabel { truth, source: LabelSource::Simulated, labeled_at: conversion.occurred_at.plus(delay) })
    }
}

impl Iterator for Months<'_> {
    type Item = Simulated;

    fn next(&mut self) -> Option<Simulated> {
        if self.emitted >= self.wanted {
            return None;
        }
        while self.pending.peek().is_none_or(|Reverse(first)| first.occurs_at >= self.next_episode_at) {
            self.play_episode();
        }
        let Reverse(Pending { conversion, .. }) = self.pending.pop()?;
        let mut conversion = *conversion;
        self.emitted += 1;
        conversion.number(self.emitted);
        self.let_join(conversion.occurred_at);
        let missing = self.world.setting.programme.missing;
        let mut joined_before = std::mem::take(&mut self.joined);
        for account in joined_before.iter_mut().flat_map(|joined| &mut joined.accounts) {
            missing.leave_out_of_side(&mut self.world.chance, account);
        }
        missing.leave_out(&mut self.world.chance, &mut conversion);
        let label = self.draw_label(&conversion);
        Some(Simulated { joined_before, conversion, label })
    }
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
#[path = "months_tests.rs"]
mod tests;
