//! Watching a model that decides: a bound on its live error that holds at any time, the breaker that follows from it, and drift.
//!
//! Pure sums over what is fed in; nothing here samples, stores or reads a clock. The audit sample of would-be auto-rejects gives unbiased
//! outcomes; each resolved one is fed to [`LiveError`]. Scores and features are fed to [`LiveSpread`]. Adapters keep both by programme: the
//! model watch and the live drift.

use super::AutoReject;
use super::model::TrainingSpread;

/// Audited auto-rejects of one model since its activation.
///
/// The bound is a confidence sequence: it holds at all times at once, however often one looks and whenever one stops. It inverts the
/// Beta-mixture martingale `∫ θ^k (1-θ)^(n-k) dBeta(θ) / (p^k (1-p)^(n-k))`, which under the true share `p` exceeds `1/δ` with probability
/// at most `δ` (Ville 1939; Robbins 1970; Howard, Ramdas 2021).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LiveError {
    audited: u32,
    honest: u32,
    /// Logarithm of the mixture's likelihood of what was seen.
    mixture_log: f64,
}

/// The prior of the mixture: about one honest in eleven, weakly held. It moves where the bound is tight, never whether it holds. Judgement.
const PRIOR_HONEST: f64 = 0.5;
const PRIOR_ABUSIVE: f64 = 5.0;

/// What an audit of a would-be auto-reject found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audited {
    /// The reviewer accepted it: the model would have been wrong.
    Honest,
    /// The reviewer rejected it.
    Abusive,
}

impl LiveError {
    /// What so many audits found. Their order does not matter: the mixture sees them as exchangeable.
    #[must_use]
    pub fn of_counts(honest: u32, abusive: u32) -> Self {
        let mut error = Self::default();
        (0..honest).for_each(|_| error.observe(Audited::Honest));
        (0..abusive).for_each(|_| error.observe(Audited::Abusive));
        error
    }

    /// Takes one more audit into account.
    pub fn observe(&mut self, found: Audited) {
        let (honest, abusive) = (f64::from(self.honest), f64::from(self.audited - self.honest));
        let all = honest + abusive + PRIOR_HONEST + PRIOR_ABUSIVE;
        self.mixture_log += match found {
            Audited::Honest => ((honest + PRIOR_HONEST) / all).ln(),
            Audited::Abusive => ((abusive + PRIOR_ABUSIVE) / all).ln(),
        };
        self.audited = self.audited.saturating_add(1);
        self.honest += u32::from(found == Audited::Honest);
    }

    /// Audits so far.
    #[must_use]
    pub const fn audited(&self) -> u32 {
        self.audited
    }

    /// Of these, honest.
    #[must_use]
    pub const fn honest(&self) -> u32 {
        self.honest
    }

    /// Logarithm of the evidence against a true share of `share`. Range of `share`: (0, 1).
    fn evidence_against(&self, share: f64) -> f64 {
        let (honest, abusive) = (f64::from(self.honest), f64::from(self.audited - self.honest));
        self.mixture_log - honest * share.ln() - abusive * (1.0 - share).ln()
    }

    /// Upper bound of the live share of honest among auto-rejects, valid at any time with confidence `1 - delta`; absent before the first
    /// audit. Range: (0, 1].
    #[must_use]
    pub fn upper_bound(&self, delta: f64) -> Option<f64> {
        (self.audited > 0).then(|| {
            let seen = f64::from(self.honest) / f64::from(self.audited);
            self.crossing(seen, 1.0, delta)
        })
    }

    /// Lower bound of the same, valid at any time with confidence `1 - delta`. Range: [0, 1).
    #[must_use]
    pub fn lower_bound(&self, delta: f64) -> f64 {
        if self.honest == 0 {
            return 0.0;
        }
        let seen = f64::from(self.honest) / f64::from(self.audited);
        self.crossing(seen, 0.0, delta)
    }

    /// Where the evidence reaches `1/δ` between what was seen, where there is none, and an end. Bisection: the evidence only rises on the way.
    fn crossing(&self, seen: f64, end: f64, delta: f64) -> f64 {
        let limit = -delta.ln();
        let (mut inside, mut outside) = (seen, end);
        for _ in 0..60 {
            let middle = f64::midpoint(inside, outside);
            if middle > 0.0 && middle < 1.0 && self.evidence_against(middle) < limit {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        outside
    }

    /// The breaker: trips once it is certain, at confidence `1 - delta`, that the live share of honest is above `alpha`.
    ///
    /// A model that keeps its promise is tripped at any time in its life with probability at most `delta`.
    #[must_use]
    pub fn breaker(&self, alpha: f64, delta: f64) -> AutoReject {
        if self.lower_bound(delta) > alpha { AutoReject::Tripped } else { AutoReject::Armed }
    }
}

/// How one quantity is spread in live traffic, in the intervals of training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSpread {
    counts: Box<[u64]>,
}

/// How far a quantity has moved since training.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftLevel {
    /// Fewer than [`DRIFT_VALUES_MIN`] values.
    TooFew,
    /// Stability index below 0.1.
    Stable,
    /// From 0.1 to below 0.25.
    Shifting,
    /// 0.25 and above.
    Shifted,
}

/// Values that a judgement on drift needs. With fewer, the index is mostly noise: its mean without drift is about intervals by values.
pub const DRIFT_VALUES_MIN: u64 = 500;
/// Shares are held above this, so that an interval that is empty on one side counts and does not explode.
const SHARE_MIN: f64 = 1e-4;

impl LiveSpread {
    /// Nothing seen yet, in the intervals of this training spread.
    #[must_use]
    pub fn new(training: &TrainingSpread) -> Self {
        Self { counts: vec![0; training.shares.len()].into() }
    }

    /// What was counted elsewhere: absent first, then the intervals.
    #[must_use]
    pub fn of_counts(counts: impl Iterator<Item = u64>) -> Self {
        Self { counts: counts.collect() }
    }

    /// Counts one live value.
    pub fn observe(&mut self, training: &TrainingSpread, value: f64) {
        if let Some(count) = self.counts.get_mut(training.place(value)) {
            *count += 1;
        }
    }

    /// Live values so far.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The population stability index, and how to read it. The index is absent when there are too few values. Range: 0 and above.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    pub fn drift(&self, training: &TrainingSpread) -> (Option<f64>, DriftLevel) {
        let values = self.values();
        if values < DRIFT_VALUES_MIN {
            return (None, DriftLevel::TooFew);
        }
        let part = |(count, expected): (&u64, &f64)| {
            let live = (*count as f64 / values as f64).max(SHARE_MIN);
            let expected = expected.max(SHARE_MIN);
            (live - expected) * (live / expected).ln()
        };
        let index: f64 = self.counts.iter().zip(&training.shares).map(part).sum();
        let level = if index < 0.1 {
            DriftLevel::Stable
        } else if index < 0.25 {
            DriftLevel::Shifting
        } else {
            DriftLevel::Shifted
        };
        (Some(index), level)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    fn after(honest: u32, abusive: u32) -> LiveError {
        LiveError::of_counts(honest, abusive)
    }

    #[test]
    fn the_order_of_audits_does_not_matter() {
        let mut mixed = LiveError::default();
        for found in [Audited::Abusive, Audited::Honest, Audited::Abusive, Audited::Abusive, Audited::Honest] {
            mixed.observe(found);
        }
        assert!((mixed.lower_bound(0.05) - after(2, 3).lower_bound(0.05)).abs() < 1e-9);
    }

    #[test]
    fn the_bound_tightens_with_audits_and_lies_above_what_was_seen() {
        assert_eq!(LiveError::default().upper_bound(0.05), None);
        let bounds: Vec<f64> = [10, 100, 1_000].map(|abusive| after(0, abusive).upper_bound(0.05).unwrap()).to_vec();
        assert!(bounds[0] > bounds[1] && bounds[1] > bounds[2] && bounds[2] < 0.02, "{bounds:?}");
        assert!(after(5, 95).upper_bound(0.05).unwrap() > 0.05);
    }

    #[test]
    fn one_wrong_reject_does_not_trip_the_breaker_and_many_do() {
        assert_eq!(after(1, 50).breaker(0.005, 0.05), AutoReject::Armed);
        assert_eq!(after(6, 60).breaker(0.005, 0.05), AutoReject::Tripped);
    }

    #[test]
    fn a_model_that_keeps_its_promise_is_rarely_tripped_however_long_one_looks() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
        let mut tripped = 0;
        for _ in 0..400 {
            let mut error = LiveError::default();
            tripped += u32::from((0..1_000).any(|_| {
                error.observe(if random.gen_bool(0.02) { Audited::Honest } else { Audited::Abusive });
                error.breaker(0.02, 0.1) == AutoReject::Tripped
            }));
        }
        // 40 of 400 allowed.
        assert!(tripped <= 40, "{tripped}");
    }

    #[test]
    fn drift_is_seen_and_its_absence_too() {
        let training = TrainingSpread { edges: Box::new([1.0, 2.0]), shares: Box::new([0.1, 0.3, 0.3, 0.3]) };
        let spread = |values: [u32; 4]| {
            let mut live = LiveSpread::new(&training);
            for (value, count) in [-1.0, 0.5, 1.5, 2.5].into_iter().zip(values) {
                (0..count).for_each(|_| live.observe(&training, value));
            }
            live.drift(&training).1
        };
        assert_eq!(spread([1, 1, 1, 1]), DriftLevel::TooFew);
        assert_eq!(spread([100, 300, 310, 290]), DriftLevel::Stable);
        assert_eq!(spread([100, 100, 200, 600]), DriftLevel::Shifted);
    }
}
