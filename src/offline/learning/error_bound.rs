//! The exact upper bound of the share of honest referrals among the rejected, from what was seen at or above a threshold.
//!
//! **Samples.** Honest referrals, each one, and rings: the abusive referrals of a group together, however many. A sample is honest with some
//! probability p, a ring has m referrals on average, and the share of honest among referrals is p / (p + (1 − p) m).
//! **Sizes.** Were m the true mean, a gambler who bets on ring after ring that it is larger would on average keep his stake: E(m), the
//! product of 1 + c (size / m − 1), has expectation 1 (Waudby-Smith, Ramdas 2024). It needs no limit on how large a ring can be.
//! **Bound.** For each m, Clopper–Pearson at confidence 1 − δ E(m) bounds p; the largest share over all m is the bound. What the sizes have
//! shown about m so counts against the same δ: nothing is set aside for it.
//!
//! Exact for any number of samples that are independent, whatever the distribution of sizes; the proof is in `docs/decisions/0007-learning.md`.
//! Must never use more of a ring than its size. Called by `certification`.

use statrs::function::beta::inv_beta_reg;

/// What was seen, or is expected, at or above a threshold. Expected counts may be fractions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    /// Honest referrals.
    pub honest: f64,
    /// Sizes of rings in referrals, from 1, each with how many rings have it.
    pub rings: Vec<(f64, f64)>,
}

impl Seen {
    fn ring_count(&self) -> f64 {
        self.rings.iter().map(|(_, count)| count).sum()
    }

    /// Referrals in rings.
    fn ring_referrals(&self) -> f64 {
        self.rings.iter().map(|(size, count)| size * count).sum()
    }
}

/// Mean sizes are tried in steps of this ratio; between two, the worse end of each counts, so the bound is careful by at most as much.
const STEP: f64 = 1.01;

/// The part of the gambler's money that he keeps, so that sizes that show nothing cost at most half of δ.
const KEPT: f64 = 0.5;

/// What he bets with the rest: parts of his money, each with its stake c, before it is divided by the root of the number of samples. Judgement,
/// on rings of the simulator and of the e-commerce set: within 6 % of the bound that would follow if the mean seen were the true one.
const BETS: [(f64, f64); 2] = [(0.25, 0.5), (0.25, 1.0)];

/// Largest stake: with less than 1 no ring ruins him.
const STAKE_MAX: f64 = 0.5;

/// Upper bound, at confidence `1 - delta`, of the share of honest among referrals. 1 when no ring was seen.
#[must_use]
pub fn upper_bound(seen: &Seen, delta: f64) -> f64 {
    let rings = seen.ring_count();
    if rings <= 0.0 {
        return 1.0;
    }
    // From twice the mean upwards only what he kept is counted as his.
    let beyond = 2.0 * seen.ring_referrals() / rings;
    let (mut worst, mut mean, mut last) = (0.0_f64, 1.0, false);
    while !last {
        let next = mean * STEP;
        last = next > beyond;
        let money = if last { KEPT } else { gambled(seen, rings, next) };
        let share = clopper_pearson(seen.honest, rings, delta * money);
        worst = worst.max(share / (share + (1.0 - share) * mean));
        mean = next;
    }
    worst
}

/// What the gambler has after betting, from a stake of 1, that rings are on average larger than `mean`.
fn gambled(seen: &Seen, rings: f64, mean: f64) -> f64 {
    let bets = BETS.map(|(part, stake)| {
        let stake = (stake / (rings + seen.honest).sqrt()).min(STAKE_MAX);
        let growth = seen.rings.iter().map(|(size, count)| count * (stake * (size / mean - 1.0)).ln_1p());
        part * growth.sum::<f64>().exp()
    });
    KEPT + bets.iter().sum::<f64>()
}

/// Upper bound, at confidence `1 - delta`, of the share of honest samples (Clopper, Pearson 1934); 0 when no confidence is asked for.
fn clopper_pearson(honest: f64, rings: f64, delta: f64) -> f64 {
    if delta >= 1.0 { 0.0 } else { inv_beta_reg(honest + 1.0, rings, 1.0 - delta) }
}

/// The rings of one referral that bound the share by `alpha` when nothing honest stands among them. Fewer do when rings are larger.
#[must_use]
pub fn rings_needed(alpha: f64, delta: f64) -> u64 {
    let (mut too_few, mut enough) = (0_u64, 1_u64);
    let holds = |rings: u64| {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let seen = Seen { honest: 0.0, rings: vec![(1.0, rings as f64)] };
        upper_bound(&seen, delta) <= alpha
    };
    while !holds(enough) {
        (too_few, enough) = (enough, enough.saturating_mul(2));
    }
    while enough - too_few > 1 {
        let between = u64::midpoint(too_few, enough);
        if holds(between) {
            enough = between;
        } else {
            too_few = between;
        }
    }
    enough
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn without_doubt_about_sizes_it_is_nearly_clopper_pearson() {
        let seen = |honest: f64, rings: f64| Seen { honest, rings: vec![(1.0, rings)] };
        for (honest, rings) in [(0.0, 298.0), (3.0, 200.0), (40.0, 1_000.0)] {
            let (bound, exact) = (upper_bound(&seen(honest, rings), 0.05), clopper_pearson(honest, rings, 0.05));
            assert!(bound >= exact && bound < 1.06 * exact, "{bound} for {exact}");
        }
        assert_eq!(upper_bound(&seen(3.0, 0.0), 0.05), 1.0);
        assert_eq!(upper_bound(&Seen::default(), 0.05), 1.0);
    }

    #[test]
    fn what_is_needed_is_the_least_that_suffices() {
        // These stand in `docs/learning.md`.
        assert_eq!([0.005, 0.01, 0.02, 0.05].map(|alpha| rings_needed(alpha, 0.05)), [644, 313, 152, 59]);
        for (alpha, delta) in [(0.01, 0.05), (0.05, 0.05), (0.005, 0.1)] {
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let bound = |rings: u64| upper_bound(&Seen { honest: 0.0, rings: vec![(1.0, rings as f64)] }, delta);
            let needed = rings_needed(alpha, delta);
            assert!(bound(needed) <= alpha && bound(needed - 1) > alpha, "{needed}");
        }
    }

    #[test]
    fn larger_rings_lower_it_and_honest_referrals_raise_it() {
        let bound = |honest: f64, size: f64| upper_bound(&Seen { honest, rings: vec![(size, 300.0)] }, 0.05);
        assert!(bound(2.0, 3.0) < bound(2.0, 1.0) / 2.0);
        assert!(bound(3.0, 3.0) > bound(2.0, 3.0));
    }

    #[test]
    fn of_rings_of_three_a_third_suffices() {
        // These stand in `docs/learning.md`.
        for (alpha, rings) in [(0.005, 207.0), (0.01, 102.0), (0.02, 51.0), (0.05, 22.0)] {
            let bound = |rings: f64| upper_bound(&Seen { honest: 0.0, rings: vec![(3.0, rings)] }, 0.05);
            assert!(bound(rings) <= alpha && bound(rings - 1.0) > alpha, "{alpha}");
        }
    }

    /// A world near the worst for the mean size: four of ten samples are honest, nine of ten rings have one referral and the tenth has thirty.
    struct World(Xoshiro256PlusPlus);

    impl World {
        const HONEST: f64 = 0.4;
        const LARGE: f64 = 0.1;
        const SIZE: f64 = 30.0;

        fn true_share() -> f64 {
            let mean = 1.0 + Self::LARGE * (Self::SIZE - 1.0);
            Self::HONEST / (Self::HONEST + (1.0 - Self::HONEST) * mean)
        }

        fn seen(&mut self, samples: u32) -> Seen {
            let (mut honest, mut small, mut large) = (0.0, 0.0, 0.0);
            for _ in 0..samples {
                let count = if self.0.gen_bool(Self::HONEST) {
                    &mut honest
                } else if self.0.gen_bool(Self::LARGE) {
                    &mut large
                } else {
                    &mut small
                };
                *count += 1.0;
            }
            Seen { honest, rings: vec![(1.0, small), (Self::SIZE, large)] }
        }
    }

    #[test]
    fn it_lies_below_the_truth_no_more_often_than_delta_where_the_mean_seen_would_far_more_often() {
        let (delta, draws) = (0.1, 500_u32);
        let mut world = World(Xoshiro256PlusPlus::seed_from_u64(5));
        let (mut below, mut below_by_mean) = (0_u32, 0_u32);
        for _ in 0..draws {
            let seen = world.seen(200);
            below += u32::from(upper_bound(&seen, delta) < World::true_share());
            let (rings, mean) = (seen.ring_count(), seen.ring_referrals() / seen.ring_count());
            let share = clopper_pearson(seen.honest, rings, delta);
            below_by_mean += u32::from(share / (share + (1.0 - share) * mean) < World::true_share());
        }
        // 50 of 500 allowed; two standard deviations of Monte-Carlo error are 13.
        assert!(below <= 63, "{below} of {draws}");
        assert!(below_by_mean > 100, "the test cannot fail: {below_by_mean} of {draws}");
    }
}
