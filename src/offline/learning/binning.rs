//! Binning for the scorecard: intervals of a feature whose abuse rates rise or fall as the catalogue says, with weights of evidence.
//!
//! Fine intervals of equal size are joined until each holds enough rows and rates are monotone (pool adjacent violators). Absent has its own
//! weight. Called by `estimators`.

use super::boosting;
use crate::screening::features::Direction;

/// A binned feature with its weight of evidence for each interval.
#[derive(Debug, Clone, PartialEq)]
pub struct WeighedBins {
    /// Upper edges of the intervals but the last.
    pub edges: Vec<f64>,
    /// Weight of evidence of each interval, in log-odds against the average row.
    pub weights: Vec<f64>,
    /// Weight of evidence of absence.
    pub absent: f64,
}

/// Rows that an interval needs at least. Judgement: fewer give weights that are mostly noise.
const ROWS_PER_BIN_MIN: f64 = 60.0;
/// Rows of average kind that are added to each interval, so that empty cells have finite weights. Judgement.
const PRIOR_ROWS: f64 = 12.0;
const FINE_BINS: usize = 40;

#[derive(Debug, Clone, Copy)]
struct Pool {
    rows: f64,
    abusive: f64,
    /// Fine bins joined.
    bins: usize,
}

impl Pool {
    /// Share of abusive rows, with the prior rows of average kind.
    fn rate(&self, base: f64) -> f64 {
        (self.abusive + PRIOR_ROWS * base) / (self.rows + PRIOR_ROWS)
    }

    fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.abusive += other.abusive;
        self.bins += other.bins;
    }
}

/// Bins one column.
#[must_use]
pub fn weigh(column: &[f64], abusive: &[bool], direction: Direction) -> WeighedBins {
    let fine = boosting::edges(column, FINE_BINS);
    let mut pools = vec![Pool { rows: 0.0, abusive: 0.0, bins: 1 }; fine.len() + 1];
    let (mut absent, mut all) = (Pool { rows: 0.0, abusive: 0.0, bins: 0 }, Pool { rows: 0.0, abusive: 0.0, bins: 0 });
    for (value, bad) in column.iter().zip(abusive) {
        let one = Pool { rows: 1.0, abusive: f64::from(u8::from(*bad)), bins: 0 };
        all.join(one);
        if *value < 0.0 { absent.join(one) } else { pools[fine.partition_point(|edge| edge < value)].join(one) }
    }
    let sign = match direction {
        Direction::Rises => 1.0,
        Direction::Falls => -1.0,
    };
    let base = all.abusive.max(0.5) / all.rows.max(1.0);
    let joined = join(pools, sign, base);
    let weight = |pool: &Pool| {
        let rate = pool.rate(base);
        (rate / (1.0 - rate)).ln() - (base / (1.0 - base)).ln()
    };
    let mut edges = Vec::new();
    let mut bins = 0;
    for pool in &joined {
        bins += pool.bins;
        edges.extend(fine.get(bins - 1).copied());
    }
    edges.truncate(joined.len().saturating_sub(1));
    WeighedBins { edges, weights: joined.iter().map(weight).collect(), absent: weight(&absent) }
}

fn join(pools: Vec<Pool>, sign: f64, base: f64) -> Vec<Pool> {
    let mut joined: Vec<Pool> = Vec::new();
    let last_place = pools.len().saturating_sub(1);
    for (place, pool) in pools.into_iter().enumerate() {
        joined.push(pool);
        while let [.., before, last] = joined.as_slice() {
            let small = before.rows < ROWS_PER_BIN_MIN || (place == last_place && last.rows < ROWS_PER_BIN_MIN / 2.0);
            let violates = sign * (last.rate(base) - before.rate(base)) < 0.0;
            if !small && !violates {
                break;
            }
            let last = *last;
            joined.pop();
            if let Some(before) = joined.last_mut() {
                before.join(last);
            }
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_rise_where_the_catalogue_says_so_even_when_the_data_waver() {
        let column: Vec<f64> = (0..4_000).map(|row| f64::from(row % 40)).collect();
        let abusive: Vec<bool> = (0..4_000).map(|row| (row * 31 % 97) < (row % 40) - 5 * (row % 40 / 7 % 2)).collect();
        let binned = weigh(&column, &abusive, Direction::Rises);
        assert!(binned.weights.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!(binned.weights.len(), binned.edges.len() + 1);
        assert!(binned.weights.len() > 3);
    }

    #[test]
    fn absence_that_nobody_saw_weighs_nothing() {
        let binned = weigh(&[0.0, 1.0, 1.0], &[false, true, false], Direction::Rises);
        assert!(binned.absent.abs() < 1e-9);
    }
}
