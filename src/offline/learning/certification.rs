//! Certification of the reject threshold: at most α of the referrals rejected are honest, with confidence 1 − δ.
//!
//! **Samples.** A ring is one event, not many: its abusive referrals at or above a threshold are one sample, of which only the size counts.
//! Honest referrals are one sample each, because each is a person who would be wronged.
//! **Bound.** Exact, of the share of honest among *referrals* ([`super::error_bound`]).
//! **Sequence.** Candidate thresholds and their order come from development data alone; the hold-out that certifies is touched once, from the
//! first candidate downwards, and testing stops at the first that fails (fixed-sequence testing; Angelopoulos et al. 2021, Learn then Test).
//! The first candidate is the one that development data call the safest among those where the bound is reachable at all.
//!
//! Called by `train` and, over and over, by `evaluate --certify-resamples`.

use std::collections::BTreeMap;

use super::error_bound::{Seen, upper_bound};

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Honest referrals.
    pub honest: u64,
    /// Sizes of rings, in abusive referrals of one group, each with how many rings have it.
    pub rings: BTreeMap<u64, u64>,
}

impl Tally {
    /// Independent samples: honest referrals and rings.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.honest + self.rings.values().sum::<u64>()
    }

    /// Referrals.
    #[must_use]
    pub fn referrals(&self) -> u64 {
        self.honest + self.rings.iter().map(|(size, count)| size * count).sum::<u64>()
    }

    /// What is expected where there is `share` as much data, with `more` honest referrals here.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn expected(&self, share: f64, more: u64) -> Seen {
        let rings = self.rings.iter().map(|(size, count)| (*size as f64, *count as f64 * share)).collect();
        Seen { honest: (self.honest + more) as f64 * share, rings }
    }

    fn add_to_ring(&mut self, size_before: u64) {
        if let Some(count) = self.rings.get_mut(&size_before) {
            *count -= 1;
            if *count == 0 {
                self.rings.remove(&size_before);
            }
        }
        *self.rings.entry(size_before + 1).or_default() += 1;
    }
}

/// A certified threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Certified {
    /// Reject at or above.
    pub threshold: f64,
    /// What stood there in the hold-out.
    pub tally: Tally,
    /// The bound that was reached, at most α.
    pub upper_bound: f64,
}

/// Tallies at descending thresholds, in one pass.
#[must_use]
pub fn tallies(scored: Scored<'_>, descending: &[f64]) -> Vec<Tally> {
    let Scored { scores, abusive, groups } = scored;
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
    let mut order = order.into_iter().peekable();
    let (mut tally, mut sizes) = (Tally::default(), BTreeMap::<u32, u64>::new());
    let mut all = Vec::with_capacity(descending.len());
    for threshold in descending {
        while let Some(row) = order.next_if(|row| scores[*row] >= *threshold) {
            if abusive[row] {
                let size = sizes.entry(groups[row]).or_default();
                tally.add_to_ring(*size);
                *size += 1;
            } else {
                tally.honest += 1;
            }
        }
        all.push(tally.clone());
    }
    all
}

/// Steps of the sequence at most. Judgement: with fewer the last one that holds is higher than it need be, more find nothing.
const STEPS_MAX: usize = 100;

/// Thresholds are hopeful while the share of honest seen among development referrals is at most this many times α.
const HOPE: f64 = 1.5;

/// Plans the sequence on development data: thresholds to test, in order. `share` is how many hold-out samples there will be for each
/// development sample. Empty when the bound is out of reach.
#[must_use]
pub fn plan(development: Scored<'_>, share: f64, promise: Promise) -> Vec<f64> {
    let Promise { alpha, delta } = promise;
    let ranked = Ranked::new(development);
    let Some(last) = ranked.last_within(HOPE * alpha) else { return Vec::new() };
    let steps = last.min(STEPS_MAX - 1);
    let thresholds = ranked.thresholds((0..=steps).map(|step| last * step / steps.max(1)));
    let expected = tallies(development, &thresholds).into_iter().map(|tally| {
        // With one honest referral more than were seen, so that a lucky development tail does not lead.
        let bound = upper_bound(&tally.expected(share, 1), delta);
        let reachable = bound <= alpha || upper_bound(&Seen { honest: 0.0, ..tally.expected(share, 0) }, delta) <= alpha;
        if reachable { bound } else { f64::INFINITY }
    });
    let safest = expected.enumerate().filter(|(_, bound)| bound.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1));
    safest.map_or_else(Vec::new, |(start, _)| thresholds[start..].to_vec())
}

/// Tests a planned sequence on the hold-out and gives the lowest threshold before the first failure; `None` when the first one fails.
#[must_use]
pub fn certify(hold_out: Scored<'_>, sequence: &[f64], promise: Promise) -> Option<Certified> {
    let mut certified = None;
    for (threshold, tally) in sequence.iter().zip(tallies(hold_out, sequence)) {
        let bound = upper_bound(&tally.expected(1.0, 0), promise.delta);
        if bound > promise.alpha {
            break;
        }
        certified = Some(Certified { threshold: *threshold, tally, upper_bound: bound });
    }
    certified
}

/// The threshold by taste that certification is compared with: the lowest at which the share of honest among the flagged, as seen, is at most
/// α. It promises nothing.
#[must_use]
pub fn naive(scored: Scored<'_>, alpha: f64) -> Option<f64> {
    let ranked = Ranked::new(scored);
    ranked.last_within(alpha).map(|place| ranked.scores[place])
}

/// The smallest α that data of the hold-out's size could certify at some threshold, judged by development data; 1 when there are none. Advice
/// for the next training, never a promise.
#[must_use]
pub fn alpha_within_reach(development: Scored<'_>, share: f64, delta: f64) -> f64 {
    let ranked = Ranked::new(development);
    let places =
        std::iter::successors(Some(0), |place| Some(place + 1 + place / 10)).take_while(|place| *place < ranked.scores.len());
    let thresholds = ranked.thresholds(places);
    let bound = |tally: Tally| upper_bound(&tally.expected(share, 0), delta);
    tallies(development, &thresholds).into_iter().map(bound).fold(1.0, f64::min)
}

/// Scores from the highest, with how many honest referrals stand at or above each.
struct Ranked {
    scores: Vec<f64>,
    honest: Vec<usize>,
}

impl Ranked {
    fn new(scored: Scored<'_>) -> Self {
        let mut order: Vec<usize> = (0..scored.scores.len()).collect();
        order.sort_by(|a, b| scored.scores[*b].total_cmp(&scored.scores[*a]));
        let mut honest = 0;
        let count = |row: &usize| {
            honest += usize::from(!scored.abusive[*row]);
            honest
        };
        let honest = order.iter().map(count).collect();
        Self { scores: order.into_iter().map(|row| scored.scores[row]).collect(), honest }
    }

    /// The last place of the lowest score at and above which the share of honest is at most this.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    fn last_within(&self, share: f64) -> Option<usize> {
        let ends = |place: &usize| self.scores.get(place + 1).is_none_or(|next| *next < self.scores[*place]);
        let within = |place: &usize| self.honest[*place] as f64 <= share * (place + 1) as f64;
        (0..self.scores.len()).rev().find(|place| ends(place) && within(place))
    }

    /// The scores at ascending places, each once.
    fn thresholds(&self, places: impl Iterator<Item = usize>) -> Vec<f64> {
        let mut thresholds: Vec<f64> = places.map(|place| self.scores[place]).collect();
        thresholds.dedup();
        thresholds
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn a_ring_is_one_sample_and_every_honest_referral_is_one() {
        let scored = Scored {
            scores: &[0.9, 0.9, 0.4, 0.9, 0.9, 0.9],
            abusive: &[true, true, true, false, false, true],
            groups: &[1, 1, 1, 2, 2, 3],
        };
        let all = tallies(scored, &[0.5, 0.3]);
        assert_eq!(all[0], Tally { honest: 2, rings: BTreeMap::from([(1, 1), (2, 1)]) });
        assert_eq!(all[1], Tally { honest: 2, rings: BTreeMap::from([(1, 1), (3, 1)]) });
        assert_eq!((all[1].samples(), all[1].referrals()), (4, 6));
    }

    #[test]
    fn what_is_within_reach_is_what_no_error_in_the_expected_samples_would_bound() {
        let scores = vec![0.99; 200];
        let groups: Vec<u32> = (0..200).collect();
        let scored = Scored { scores: &scores, abusive: &[true; 200], groups: &groups };
        let expected = upper_bound(&Seen { honest: 0.0, rings: vec![(1.0, 100.0)] }, 0.05);
        assert!((alpha_within_reach(scored, 0.5, 0.05) - expected).abs() < 1e-12);
    }

    #[test]
    fn the_naive_threshold_is_the_lowest_at_which_the_share_seen_is_small_enough() {
        let (scores, abusive) = ([0.9, 0.9, 0.9, 0.9, 0.5, 0.5], [true, true, true, true, false, false]);
        let scored = Scored { scores: &scores, abusive: &abusive, groups: &[1, 1, 1, 1, 2, 3] };
        // At 0.5 two of six are honest, although one of the first five would be a fifth.
        assert_eq!(naive(scored, 0.2), Some(0.9));
        assert_eq!(naive(scored, 0.34), Some(0.5));
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
        for _ in 0..150 {
            let (scores, abusive, groups) = world.sample(1_500);
            let sequence = plan(Scored { scores: &scores, abusive: &abusive, groups: &groups }, 1.0, promise);
            let (scores, abusive, groups) = world.sample(1_500);
            if let Some(certified) = certify(Scored { scores: &scores, abusive: &abusive, groups: &groups }, &sequence, promise) {
                found += 1;
                broken += u32::from(World::true_error(certified.threshold) > promise.alpha);
            }
        }
        // 15 of 150 allowed; two standard deviations of Monte-Carlo error are 7.
        assert!(broken <= 22, "{broken} of {found}");
        assert!(found > 75, "{found}");
    }
}
