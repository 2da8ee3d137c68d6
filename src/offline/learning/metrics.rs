//! Metrics: how good scores are, with intervals that respect groups. Pure.

use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Rows in order of falling score; ties in order of row, each tie handled as one step.
fn ranked(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
    order
}

/// A point of the precision-recall curve: everything at or above `threshold` is flagged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatingPoint {
    /// The threshold.
    pub threshold: f64,
    /// Rows flagged.
    pub flagged: usize,
    /// Of these, abusive.
    pub caught: usize,
    /// `caught / flagged`.
    pub precision: f64,
    /// `caught / all abusive`.
    pub recall: f64,
    /// Honest flagged by all honest.
    pub false_positive_rate: f64,
}

/// All operating points, the highest threshold first; equal scores are one point.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn operating_points(scores: &[f64], abusive: &[bool]) -> Vec<OperatingPoint> {
    let all_abusive = abusive.iter().filter(|bad| **bad).count().max(1) as f64;
    let all_honest = abusive.iter().filter(|bad| !**bad).count().max(1) as f64;
    let order = ranked(scores);
    let mut points = Vec::new();
    let mut caught = 0;
    for (place, row) in order.iter().enumerate() {
        caught += usize::from(abusive[*row]);
        let last_of_tie = order.get(place + 1).is_none_or(|next| scores[*next] != scores[*row]);
        if last_of_tie {
            let flagged = place + 1;
            points.push(OperatingPoint {
                threshold: scores[*row],
                flagged,
                caught,
                precision: caught as f64 / flagged as f64,
                recall: caught as f64 / all_abusive,
                false_positive_rate: (flagged - caught) as f64 / all_honest,
            });
        }
    }
    points
}

/// Average precision: the sum of precision over the steps of recall, as scikit-learn has it.
#[must_use]
pub fn average_precision(scores: &[f64], abusive: &[bool]) -> f64 {
    let mut recall_before = 0.0;
    let mut sum = 0.0;
    for point in operating_points(scores, abusive) {
        sum += (point.recall - recall_before) * point.precision;
        recall_before = point.recall;
    }
    sum
}

/// Area under the ROC curve.
#[must_use]
pub fn roc_auc(scores: &[f64], abusive: &[bool]) -> f64 {
    let (mut recall, mut rate, mut area) = (0.0, 0.0, 0.0);
    for point in operating_points(scores, abusive) {
        area += (point.false_positive_rate - rate) * (point.recall + recall) / 2.0;
        (recall, rate) = (point.recall, point.false_positive_rate);
    }
    area
}

/// The largest recall at which precision is at least this; 0 when it never is.
#[must_use]
pub fn recall_at_precision(scores: &[f64], abusive: &[bool], precision: f64) -> f64 {
    operating_points(scores, abusive)
        .into_iter()
        .filter(|point| point.precision >= precision)
        .map(|point| point.recall)
        .fold(0.0, f64::max)
}

/// Mean squared error of probabilities.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn brier(probabilities: &[f64], abusive: &[bool]) -> f64 {
    let error = |(p, bad): (&f64, &bool)| (p - f64::from(u8::from(*bad))).powi(2);
    probabilities.iter().zip(abusive).map(error).sum::<f64>() / probabilities.len().max(1) as f64
}

/// Mean negative log-likelihood, in nats.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn log_loss(probabilities: &[f64], abusive: &[bool]) -> f64 {
    let loss = |(p, bad): (&f64, &bool)| -(if *bad { *p } else { 1.0 - p }).max(1e-12).ln();
    probabilities.iter().zip(abusive).map(loss).sum::<f64>() / probabilities.len().max(1) as f64
}

/// One bar of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReliabilityBin {
    /// Mean probability of its rows.
    pub predicted: f64,
    /// Share of abusive among its rows.
    pub observed: f64,
    /// Rows.
    pub rows: usize,
}

/// Rows by rising probability in `bins` parts of equal size.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn reliability(probabilities: &[f64], abusive: &[bool], bins: usize) -> Vec<ReliabilityBin> {
    let mut order = ranked(probabilities);
    order.reverse();
    let size = order.len().div_ceil(bins.max(1)).max(1);
    let bin = |part: &[usize]| ReliabilityBin {
        predicted: part.iter().map(|row| probabilities[*row]).sum::<f64>() / part.len() as f64,
        observed: part.iter().filter(|row| abusive[**row]).count() as f64 / part.len() as f64,
        rows: part.len(),
    };
    order.chunks(size).map(bin).collect()
}

/// Expected calibration error over 20 parts of equal size.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn expected_calibration_error(probabilities: &[f64], abusive: &[bool]) -> f64 {
    let gap = |bin: ReliabilityBin| (bin.predicted - bin.observed).abs() * bin.rows as f64;
    reliability(probabilities, abusive, 20).into_iter().map(gap).sum::<f64>() / probabilities.len().max(1) as f64
}

/// A measured value with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// On the data as it is.
    pub value: f64,
    /// 2.5 % quantile over resampled groups.
    pub low: f64,
    /// 97.5 % quantile over resampled groups.
    pub high: f64,
}

/// A metric with its interval: whole groups are drawn again with replacement.
#[must_use]
pub fn bootstrap(
    scores: &[f64],
    abusive: &[bool],
    groups: &[u32],
    rounds: usize,
    seed: u64,
    metric: impl Fn(&[f64], &[bool]) -> f64,
) -> Measured {
    let value = metric(scores, abusive);
    let mut members: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (row, group) in groups.iter().enumerate() {
        members.entry(*group).or_default().push(row);
    }
    let members: Vec<Vec<usize>> = members.into_values().collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut drawn: Vec<f64> = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let (mut some_scores, mut some_abusive) = (Vec::with_capacity(scores.len()), Vec::with_capacity(scores.len()));
        for _ in 0..members.len() {
            for row in &members[random.gen_range(0..members.len())] {
                some_scores.push(scores[*row]);
                some_abusive.push(abusive[*row]);
            }
        }
        drawn.push(metric(&some_scores, &some_abusive));
    }
    drawn.sort_by(f64::total_cmp);
    let quantile = |thousandths: usize| {
        drawn.get((drawn.len() * thousandths / 1000).min(drawn.len().saturating_sub(1))).copied().unwrap_or(value)
    };
    Measured { value, low: quantile(25), high: quantile(975) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `sklearn.metrics` 1.9 gives these numbers.
    #[test]
    fn metrics_equal_those_of_scikit_learn() {
        let scores = [0.1, 0.4, 0.35, 0.8, 0.4, 0.9];
        let abusive = [false, false, true, true, true, false];
        assert!((average_precision(&scores, &abusive) - 0.533_333_333_333_333_3).abs() < 1e-12);
        assert!((roc_auc(&scores, &abusive) - 0.5).abs() < 1e-12);
        assert!((brier(&scores, &abusive) - 0.300_416_666_666_666_7).abs() < 1e-12);
    }

    #[test]
    fn a_perfect_order_has_full_recall_at_every_precision() {
        let scores = [0.9, 0.8, 0.2, 0.1];
        let abusive = [true, true, false, false];
        assert_eq!(recall_at_precision(&scores, &abusive, 0.995), 1.0);
        assert_eq!(average_precision(&scores, &abusive), 1.0);
    }

    #[test]
    fn the_interval_is_wider_when_rows_come_in_groups() {
        let rows = 400_u32;
        let scores: Vec<f64> =
            (0..rows).map(|row| f64::from((row * 7919) % 101) / 101.0 + f64::from(row / 20 % 2) * 0.2).collect();
        let abusive: Vec<bool> = (0..rows).map(|row| row / 20 % 2 == 1).collect();
        let width = |groups: Vec<u32>| {
            let measured = bootstrap(&scores, &abusive, &groups, 200, 1, average_precision);
            measured.high - measured.low
        };
        assert!(width((0..rows).map(|row| row / 20).collect()) > width((0..rows).collect()));
    }
}
