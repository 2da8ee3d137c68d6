//! Seeded chance: every draw of people, scenarios and simulations comes from here, so that one seed gives one world.
//!
//! Never reads a clock or the system's randomness.

use rand::{Rng, RngCore, SeedableRng};
use rand_distr::{Beta, Distribution, Gamma, Poisson, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A seeded source of draws. The generator is fixed (xoshiro256++), so that a seed means the same on every machine.
#[derive(Debug, Clone)]
pub struct Chance(Xoshiro256PlusPlus);

impl Chance {
    /// The draws of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// The draws of this seed for one subject, independent of those for any other subject.
    #[must_use]
    pub fn of_subject(seed: u64, subject: u64) -> Self {
        Self::new(seed ^ subject.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// Whether an event of this probability happens. Probabilities outside [0, 1] are clamped.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.0.r#gen::<f64>() < probability
    }

    /// A whole number below `end`; 0 when `end` is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { self.0.gen_range(0..end) }
    }

    /// A whole number between two ends, both included; `first` when they are reversed.
    pub fn between(&mut self, first: u32, last: u32) -> u32 {
        if last <= first { first } else { self.0.gen_range(first..=last) }
    }

    /// One of the items; each is as likely as the next.
    pub fn pick<T: Copy, const N: usize>(&mut self, items: &[T; N]) -> T {
        const { assert!(N > 0, "there must be something to pick") };
        items[self.below(N)]
    }

    /// The position of one of these weights, each as likely as its share of the sum; 0 when there is nothing to choose.
    pub fn weighted(&mut self, weights: impl Iterator<Item = f64> + Clone) -> usize {
        let total: f64 = weights.clone().map(|weight| weight.max(0.0)).sum();
        let mut left = self.0.r#gen::<f64>() * total;
        let mut last_possible = 0;
        for (position, weight) in weights.enumerate() {
            if weight > 0.0 {
                last_possible = position;
                if left < weight {
                    return position;
                }
                left -= weight;
            }
        }
        last_possible
    }

    /// A number of a range: evenly in the logarithm where the range begins above zero, evenly otherwise.
    pub fn within(&mut self, low: f64, high: f64) -> f64 {
        let at: f64 = self.0.r#gen();
        if low > 0.0 { low * (high / low).powf(at) } else { low + (high - low) * at }
    }

    /// A log-normal draw: half of the draws are below `median`; `sigma` is the standard deviation of the logarithm.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        let normal: f64 = StandardNormal.sample(&mut self.0);
        median * (sigma * normal).exp()
    }

    /// An exponential draw of this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.0.r#gen::<f64>()).ln()
    }

    /// A beta draw of this mean: near the mean when `concentration` is large, near 0 or 1 when it is small. The mean where there is no such
    /// distribution.
    pub fn beta(&mut self, mean: f64, concentration: f64) -> f64 {
        Beta::new(mean * concentration, (1.0 - mean) * concentration).map_or(mean, |beta| beta.sample(&mut self.0))
    }

    /// A count of this mean whose own mean varies from draw to draw (gamma, of shape `evenness`; the smaller, the more a few draws hold). 0 where
    /// there is no such distribution.
    pub fn count(&mut self, mean: f64, evenness: f64) -> u32 {
        let own_mean = Gamma::new(evenness, mean / evenness).map_or(0.0, |gamma| gamma.sample(&mut self.0));
        let count = Poisson::new(own_mean).map_or(0.0, |poisson| poisson.sample(&mut self.0));
        u32::try_from(rounded(count)).unwrap_or(u32::MAX)
    }

    /// 64 bits, for an opaque identifier or a fingerprint.
    pub fn token(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// The nearest whole number towards zero. Saturates; no number becomes 0.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "a cast from a float saturates, which is what is wanted here")]
pub const fn rounded(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_gives_one_sequence() {
        let draws = |seed| {
            let mut chance = Chance::new(seed);
            (0..50).map(|_| chance.token()).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn weights_are_kept_in_the_long_run() {
        let mut chance = Chance::new(1);
        let hits = (0..20_000).filter(|_| chance.weighted([1.0, 0.0, 3.0].into_iter()) == 2).count();
        assert!((14_600..15_400).contains(&hits), "{hits}");
    }

    #[test]
    fn half_of_log_normal_draws_are_below_the_median() {
        let mut chance = Chance::new(2);
        let below = (0..20_000).filter(|_| chance.log_normal(60.0, 1.5) < 60.0).count();
        assert!((9_700..10_300).contains(&below), "{below}");
    }

    #[test]
    fn beta_draws_keep_their_mean_and_gather_at_the_ends_when_they_are_not_concentrated() {
        let mut chance = Chance::new(3);
        let mut draws = |concentration| (0..20_000).map(|_| chance.beta(0.2, concentration)).collect::<Vec<_>>();
        let (loose, tight) = (draws(0.3), draws(50.0));
        let mean = |draws: &[f64]| draws.iter().sum::<f64>() / 20_000.0;
        assert!((mean(&loose) - 0.2).abs() < 0.01 && (mean(&tight) - 0.2).abs() < 0.01);
        let at_the_ends = |draws: &[f64]| draws.iter().filter(|draw| **draw < 0.02 || **draw > 0.98).count();
        assert!(at_the_ends(&loose) > 10_000 && at_the_ends(&tight) < 100);
        assert_eq!(Chance::new(1).beta(0.0, 1.0), 0.0);
    }

    #[test]
    fn counts_keep_their_mean() {
        let mut chance = Chance::new(4);
        let sum: u32 = (0..20_000).map(|_| chance.count(3.0, 0.7)).sum();
        assert!((57_000..63_000).contains(&sum), "{sum}");
        assert_eq!(chance.count(0.0, 0.7), 0);
    }
}
