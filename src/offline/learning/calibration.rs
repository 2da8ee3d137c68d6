//! Calibration: margins to probabilities that mean what they say. Fitted on margins of folds that the scorer did not fit on.
//!
//! Three calibrators compete on log loss, measured on groups that they were not fitted on; the simplest within noise wins.

use linfa::DatasetBase;
use linfa::ParamGuard;
use linfa::composing::platt_scaling::{PlattParams, platt_newton_method};
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2, ArrayView1};

use super::metrics::log_loss;
use crate::screening::decision::logistic;
use crate::screening::model::{Calibrator, Knot};

/// A fitted calibrator with what it was measured at.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibrated {
    /// The calibrator, fitted on all margins.
    pub calibrator: Calibrator,
    /// Its name.
    pub name: &'static str,
    /// Log loss of all that competed, on groups that they were not fitted on.
    pub log_losses: Vec<(&'static str, f64)>,
}

type Fitter = fn(&[f64], &[bool]) -> Option<Calibrator>;

/// From the simplest to the most flexible.
const FITTERS: [(&str, Fitter); 3] = [("platt", platt), ("beta", beta), ("isotonic", isotonic)];
/// A more flexible calibrator must be better by this share of the log loss. Judgement.
const NOISE_SHARE: f64 = 0.002;

/// Fits and chooses. Groups are halved for the choice.
#[must_use]
pub fn fit(margins: &[f64], abusive: &[bool], groups: &[u32]) -> Calibrated {
    let half = |odd: u32| (0..margins.len()).filter(|row| groups[*row] % 2 == odd).collect::<Vec<_>>();
    let halves = [half(0), half(1)];
    let loss = |fitter: Fitter| {
        let mut sum = 0.0;
        for (fit_on, test_on) in [(&halves[0], &halves[1]), (&halves[1], &halves[0])] {
            let calibrator = fitter(&pick(margins, fit_on), &pick(abusive, fit_on))?;
            let probabilities: Vec<f64> = test_on.iter().map(|row| logistic(calibrator.log_odds(margins[*row]))).collect();
            sum += log_loss(&probabilities, &pick(abusive, test_on)) / 2.0;
        }
        Some(sum)
    };
    let log_losses: Vec<(&'static str, f64)> =
        FITTERS.iter().filter_map(|(name, fitter)| Some((*name, loss(*fitter)?))).collect();
    let mut chosen: Option<(&'static str, f64)> = None;
    for (name, loss) in &log_losses {
        if chosen.is_none_or(|(_, best)| *loss < best * (1.0 - NOISE_SHARE)) {
            chosen = Some((name, *loss));
        }
    }
    let by_name = |(name, _): (&'static str, f64)| FITTERS.iter().find(|(known, _)| *known == name);
    let fitted = chosen.and_then(by_name).and_then(|(name, fitter)| Some((*name, fitter(margins, abusive)?)));
    let (name, calibrator) = fitted.unwrap_or(("identity", Calibrator::Identity));
    Calibrated { calibrator, name, log_losses }
}

fn pick<T: Copy>(all: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|row| all[*row]).collect()
}

fn platt(margins: &[f64], abusive: &[bool]) -> Option<Calibrator> {
    let params = PlattParams::<f64, ()>::default().check().ok()?;
    let (a, b) = platt_newton_method(ArrayView1::from(margins), ArrayView1::from(abusive), &params).ok()?;
    // linfa has 1 / (1 + exp(a x + b)).
    let (slope, intercept) = (-a, -b);
    (slope > 0.0 && slope.is_finite() && intercept.is_finite()).then_some(Calibrator::Platt { slope, intercept })
}

/// Logistic regression on `ln s` and `-ln(1 - s)`; a negative weight is set to zero and the other fitted alone.
fn beta(margins: &[f64], abusive: &[bool]) -> Option<Calibrator> {
    let column = |x: f64| [logistic(x).max(1e-300).ln(), -logistic(-x).max(1e-300).ln()];
    let fit = |columns: &[usize]| {
        let values: Vec<f64> = margins.iter().flat_map(|margin| columns.iter().map(move |at| column(*margin)[*at])).collect();
        let records = Array2::from_shape_vec((margins.len(), columns.len()), values).ok()?;
        let targets = Array1::from_iter(abusive.iter().map(|bad| usize::from(*bad)));
        let fitted =
            LogisticRegression::default().alpha(1e-3).max_iterations(200).fit(&DatasetBase::new(records, targets)).ok()?;
        let sign = if fitted.labels().pos.class == 1 { 1.0 } else { -1.0 };
        Some((fitted.params().iter().map(|weight| weight * sign).collect::<Vec<f64>>(), fitted.intercept() * sign))
    };
    let (weights, c) = fit(&[0, 1])?;
    match weights.as_slice() {
        [a, b] if *a >= 0.0 && *b >= 0.0 && a + b > 0.0 => Some(Calibrator::Beta { a: *a, b: *b, c }),
        [a, _] => {
            let kept = usize::from(*a < 0.0);
            let (weights, c) = fit(&[kept])?;
            let weight = weights.first().copied().filter(|weight| *weight > 0.0)?;
            Some(if kept == 0 { Calibrator::Beta { a: weight, b: 0.0, c } } else { Calibrator::Beta { a: 0.0, b: weight, c } })
        }
        _ => None,
    }
}

/// Rows that a block of the isotonic table needs at least.
const BLOCK_ROWS_MIN: f64 = 30.0;

/// Pool adjacent violators over margins, blocks joined at their mean margins. Rates are smoothed by half a row of each kind.
fn isotonic(margins: &[f64], abusive: &[bool]) -> Option<Calibrator> {
    struct Block {
        margins: f64,
        abusive: f64,
        rows: f64,
    }
    let mut order: Vec<usize> = (0..margins.len()).collect();
    order.sort_by(|a, b| margins[*a].total_cmp(&margins[*b]).then(a.cmp(b)));
    let mut blocks: Vec<Block> = Vec::new();
    for row in order {
        blocks.push(Block { margins: margins[row], abusive: f64::from(u8::from(abusive[row])), rows: 1.0 });
        while let [.., before, last] = blocks.as_slice() {
            let violates = before.abusive * last.rows >= last.abusive * before.rows;
            if !violates && before.rows >= BLOCK_ROWS_MIN {
                break;
            }
            let Some(last) = blocks.pop() else { break };
            if let Some(before) = blocks.last_mut() {
                before.margins += last.margins;
                before.abusive += last.abusive;
                before.rows += last.rows;
            }
        }
    }
    let mut knots: Vec<Knot> = Vec::new();
    for Block { margins, abusive, rows } in blocks {
        let knot = Knot { margin: margins / rows, log_odds: ((abusive + 0.5) / (rows - abusive + 0.5)).ln() };
        let rises = knots.last().is_none_or(|before| before.margin < knot.margin && before.log_odds <= knot.log_odds);
        if rises {
            knots.push(knot);
        }
    }
    (knots.len() >= 2).then(|| Calibrator::Isotonic { knots: knots.into() })
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::offline::learning::metrics::expected_calibration_error;

    /// Margins whose true log-odds are `0.5 m - 1`.
    fn distorted(rows: usize) -> (Vec<f64>, Vec<bool>, Vec<u32>) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(5);
        let margins: Vec<f64> = (0..rows).map(|_| random.gen_range(-8.0..8.0)).collect();
        let abusive = margins.iter().map(|margin| random.gen_bool(logistic(0.5 * margin - 1.0))).collect();
        (margins, abusive, (0..u32::try_from(rows).unwrap()).collect())
    }

    #[test]
    fn every_calibrator_repairs_margins_that_are_too_sure() {
        let (margins, abusive, _) = distorted(8_000);
        let raw: Vec<f64> = margins.iter().map(|margin| logistic(*margin)).collect();
        assert!(expected_calibration_error(&raw, &abusive) > 0.1);
        for (name, fitter) in FITTERS {
            let calibrator = fitter(&margins, &abusive).unwrap();
            let probabilities: Vec<f64> = margins.iter().map(|margin| logistic(calibrator.log_odds(*margin))).collect();
            assert!(expected_calibration_error(&probabilities, &abusive) < 0.02, "{name}");
        }
    }

    #[test]
    fn a_straight_distortion_is_left_to_the_simplest_calibrator() {
        let (margins, abusive, groups) = distorted(8_000);
        let Calibrated { calibrator, name, log_losses } = fit(&margins, &abusive, &groups);
        assert_eq!((name, log_losses.len()), ("platt", 3));
        assert!(
            matches!(calibrator, Calibrator::Platt { slope, intercept } if (slope - 0.5).abs() < 0.05 && (intercept + 1.0).abs() < 0.15)
        );
    }
}
