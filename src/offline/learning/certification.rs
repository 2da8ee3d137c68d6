//! Certification of the reject threshold: at most α of those rejected are honest, with confidence 1 − δ.
//!
//! **Samples.** A ring is one event, not many: its abusive referrals at or above a threshold count once. Honest referrals count each, because
//! each is a person who would be wronged. The share of honest among samples so counted is never below the share among referrals, so the bound
//! holds for both.
//! **Bound.** Exact upper Clopper–Pearson of honest samples among all samples.
//! **Sequence.** Candidate thresholds and their order come from development data alone; the hold-out that certifies is touched once, from the
//! first candidate downwards, and testing stops at the first that fails (fixed-sequence testing; Angelopoulos et al. 2021, Learn then Test).
//! The first candidate is the one that development data call the safest among those where the bound is reachable at all: zero errors need 299
//! samples for 1 % at 95 %.
//!
//! Called by `train` and, over and over, by `evaluate --certify-resamples`.

use std::collections::BTreeSet;

use statrs::function::beta::inv_beta_reg;

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promise {
    /// Largest share of honest among the rejected. Range: (0, 1).
    pub alpha: f64,
    /// Probability that it does not hold. Range: (0, 1).
    pub delta: f64,
}

impl Default for Promise {
    fn default() -> Self {
        Self { alpha: 0.005, delta: 0.05 }
    }
}

/// Scored referrals with truth and group.
#[derive(Debug, Clone, Copy)]
pub struct Scored<'a> {
    /// Probabilities.
    pub scores: &'a [f64],
    /// The truth.
    pub abusive: &'a [bool],
    /// The group of each.
    pub groups: &'a [u32],
}

/// What stands at or above a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Honest referrals, and groups with an abusive one.
    pub samples: u64,
    /// Honest referrals.
    pub honest: u64,
    /// Referrals.
    pub referrals: u64,
}

/// A certified threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certified {
    /// Reject at or above.
    pub threshold: f64,
    /// What stood there in the hold-out.
    pub tally: Tally,
    /// The bound that was reached, at most α.
    pub upper_bound: f64,
}

/// Upper bound, at confidence `1 - delta`, of a share of which `errors` of `samples` were seen (Clopper, Pearson 1934).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn upper_bound(errors: u64, samples: u64, delta: f64) -> f64 {
    if errors >= samples { 1.0 } else { inv_beta_reg(errors as f64 + 1.0, (samples - errors) as f64, 1.0 - delta) }
}

/// The samples that the bound needs when none of them is honest.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
pub fn samples_needed(promise: Promise) -> u64 {
    (promise.delta.ln() / (1.0 - promise.alpha).ln()).ceil() as u64
}

/// Tallies at descending thresholds, in one pass.
#[must_use]
pub fn tallies(scored: Scored<'_>, descending: &[f64]) -> Vec<Tally> {
    let Scored { scores, abusive, groups } = scored;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut order = order.into_iter().peekable();
    let (mut tally, mut rings) = (Tally::default(), BTreeSet::new());
    let mut all = Vec::with_capacity(descending.len());
    for threshold in descending {
        while let Some(row) = order.next_if(|row| scores[*row] >= *threshold) {
            tally.referrals += 1;
            if !abusive[row] {
                tally.honest += 1;
                tally.samples += 1;
            } else if rings.insert(groups[row]) {
                tally.samples += 1;
            }
        }
        all.push(tally);
    }
    all
}

/// Steps of the sequence at most. More steps cost nothing in validity, but each is one more chance to stop.
const STEPS_MAX: usize = 60;

/// Plans the sequence on development data: thresholds to test, in order. `share` is how many hold-out samples there will be for each
/// development sample. Empty when the bound is out of reach.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^53"
)]
pub fn plan(development: Scored<'_>, share: f64, promise: Promise) -> Vec<f64> {
    let thresholds = descending(development.scores);
    let all = tallies(development, &thresholds);
    // Expected in the hold-out, with errors pessimistic by one, so that a lucky development tail does not lead.
    let expected_bound = |tally: &Tally| {
        let samples = (tally.samples as f64 * share).floor();
        let errors = ((tally.honest + 1) as f64 * share).round();
        upper_bound(errors as u64, samples as u64, promise.delta)
    };
    let reachable = |tally: &Tally| tally.samples as f64 * share >= samples_needed(promise) as f64;
    let bounds: Vec<f64> = all.iter().map(|tally| if reachable(tally) { expected_bound(tally) } else { f64::INFINITY }).collect();
    let Some(start) = (0..bounds.len()).filter(|at| bounds[*at].is_finite()).min_by(|a, b| bounds[*a].total_cmp(&bounds[*b]))
    else {
        return Vec::new();
    };
    let last_hopeful =
        (start..all.len()).rev().find(|at| all[*at].honest as f64 <= 1.5 * promise.alpha * all[*at].samples as f64);
    let end = last_hopeful.unwrap_or(start);
    let steps = (end - start).min(STEPS_MAX - 1);
    let mut sequence: Vec<f64> = (0..=steps).map(|step| thresholds[start + (end - start) * step / steps.max(1)]).collect();
    sequence.dedup();
    sequence
}

/// Tests a planned sequence on the hold-out and gives the lowest threshold before the first failure; `None` when the first one fails.
#[must_use]
pub fn certify(hold_out: Scored<'_>, sequence: &[f64], promise: Promise) -> Option<Certified> {
    let mut certified = None;
    for (threshold, tally) in sequence.iter().zip(tallies(hold_out, sequence)) {
        let bound = upper_bound(tally.honest, tally.samples, promise.delta);
        if bound > promise.alpha {
            break;
        }
        certified = Some(Certified { threshold: *threshold, tally, upper_bound: bound });
    }
    certified
}

/// What a share is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counting {
    /// Referrals, each by itself.
    Referrals,
    /// Samples as certification has them: rings once.
    Samples,
}

/// The threshold by taste that certification is compared with: the lowest at which the share of honest among the flagged, as seen, is at most
/// α. It promises nothing.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn naive(scored: Scored<'_>, alpha: f64, counting: Counting) -> Option<f64> {
    let thresholds = descending(scored.scores);
    let all = tallies(scored, &thresholds);
    let counted = |tally: &Tally| match counting {
        Counting::Referrals => tally.referrals,
        Counting::Samples => tally.samples,
    };
    let fine = |at: &usize| all[*at].honest as f64 <= alpha * counted(&all[*at]) as f64;
    (0..all.len()).rev().find(fine).map(|at| thresholds[at])
}

/// The smallest α that data of the hold-out's size could certify at some threshold, judged by development data; 1 when there are none. Advice
/// for the next training, never a promise.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are far below 2^53"
)]
pub fn alpha_within_reach(development: Scored<'_>, share: f64, delta: f64) -> f64 {
    let bound = |tally: Tally| {
        upper_bound((tally.honest as f64 * share).round() as u64, (tally.samples as f64 * share).floor() as u64, delta)
    };
    tallies(development, &descending(development.scores)).into_iter().map(bound).fold(1.0, f64::min)
}

fn descending(scores: &[f64]) -> Vec<f64> {
    let mut thresholds = scores.to_vec();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    thresholds.dedup();
    thresholds
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn the_bound_is_reachable_from_299_samples_for_one_percent() {
        assert_eq!(samples_needed(Promise { alpha: 0.01, delta: 0.05 }), 299);
        assert_eq!(samples_needed(Promise { alpha: 0.05, delta: 0.05 }), 59);
        assert!(upper_bound(0, 299, 0.05) <= 0.01 && upper_bound(0, 298, 0.05) > 0.01);
        assert_eq!(upper_bound(3, 3, 0.05), 1.0);
    }

    #[test]
    fn a_ring_counts_once_and_every_honest_referral_counts() {
        let scored = Scored { scores: &[0.9; 6], abusive: &[true, true, true, false, false, true], groups: &[1, 1, 1, 2, 2, 3] };
        assert_eq!(tallies(scored, &[0.5]), vec![Tally { samples: 4, honest: 2, referrals: 6 }]);
    }

    #[test]
    fn what_is_within_reach_is_what_no_error_in_the_expected_samples_would_bound() {
        let scores = vec![0.99; 200];
        let groups: Vec<u32> = (0..200).collect();
        let scored = Scored { scores: &scores, abusive: &[true; 200], groups: &groups };
        assert!((alpha_within_reach(scored, 0.5, 0.05) - upper_bound(0, 100, 0.05)).abs() < 1e-12);
    }

    #[test]
    fn naive_thresholds_count_rings_as_they_are_told() {
        let scored =
            Scored { scores: &[0.9, 0.9, 0.9, 0.9, 0.5], abusive: &[true, true, true, true, false], groups: &[1, 1, 1, 1, 2] };
        assert_eq!(naive(scored, 0.2, Counting::Referrals), Some(0.5));
        assert_eq!(naive(scored, 0.2, Counting::Samples), Some(0.9));
    }

    #[test]
    fn too_little_data_certifies_nothing() {
        let scores = vec![0.99; 100];
        let groups: Vec<u32> = (0..100).collect();
        let scored = Scored { scores: &scores, abusive: &[true; 100], groups: &groups };
        assert!(plan(scored, 1.0, Promise::default()).is_empty());
    }

    /// A world in which a score's true share of honest is known: `(1 - s)^2 / 4`, in rings of one to eight.
    struct World(Xoshiro256PlusPlus);

    impl World {
        fn sample(&mut self, groups: u32) -> (Vec<f64>, Vec<bool>, Vec<u32>) {
            let (mut scores, mut abusive, mut of) = (Vec::new(), Vec::new(), Vec::new());
            for group in 0..groups {
                let score: f64 = self.0.r#gen::<f64>();
                let honest = self.0.gen_bool((1.0 - score).powi(2) / 4.0);
                let size = if honest { self.0.gen_range(1..=2) } else { self.0.gen_range(1..=8) };
                for _ in 0..size {
                    scores.push(score);
                    abusive.push(!honest);
                    of.push(group);
                }
            }
            (scores, abusive, of)
        }

        /// The true share of honest referrals at or above a threshold: 1.5 referrals a honest group, 4.5 an abusive one.
        fn true_error(threshold: f64) -> f64 {
            let width = 1.0 - threshold;
            let honest = width.powi(3) / 12.0;
            1.5 * honest / (1.5 * honest + 4.5 * (width - honest))
        }
    }

    #[test]
    fn over_many_samples_the_promise_is_broken_no_more_often_than_promised() {
        let promise = Promise { alpha: 0.02, delta: 0.1 };
        let mut world = World(Xoshiro256PlusPlus::seed_from_u64(11));
        let (mut broken, mut found) = (0, 0);
        for _ in 0..300 {
            let (scores, abusive, groups) = world.sample(1_500);
            let sequence = plan(Scored { scores: &scores, abusive: &abusive, groups: &groups }, 1.0, promise);
            let (scores, abusive, groups) = world.sample(1_500);
            if let Some(certified) = certify(Scored { scores: &scores, abusive: &abusive, groups: &groups }, &sequence, promise) {
                found += 1;
                broken += u32::from(World::true_error(certified.threshold) > promise.alpha);
            }
        }
        // 30 of 300 allowed, two standard deviations of Monte-Carlo error above.
        assert!(broken <= 40, "{broken} of {found}");
        assert!(found > 150, "{found}");
    }
}
