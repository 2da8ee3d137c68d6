//! The linear families, plain logistic regression and scorecard: both are fitted by `linfa-logistic`.
//!
//! It gives the probability of whichever class it calls larger, and a step costs it five passes over the matrix. So it gets each distinct
//! column once, and begins where [`newton`] says that its loss is lowest. What it fits is the same as from nothing, over all columns, to its
//! end; a test holds that. Called by `estimators`.

use linfa::DatasetBase;
use linfa::traits::Fit;
use linfa_logistic::LogisticRegression;
use ndarray::{Array1, Array2, ShapeBuilder};

use super::binning::{self, WeighedBins};
use super::estimators::{columns, failed, place};
use super::matrix::{Matrix, pick};
use super::{LearningError, newton};
use crate::screening::features::CATALOGUE;
use crate::screening::model::{BinnedFeature, Linear, LinearTerm, Scorecard, Scorer};

/// What `linfa-logistic` holds squared weights down by.
const RIDGE: f64 = 1.0;
/// Its fit ends when the length of its gradient, a sum over rows, is below this for each row: a hundredth of what scikit-learn asks for.
pub(super) const GRADIENT_TOLERANCE: f64 = 1e-6;
/// Its steps at most, should it not agree with where it begins.
const STEPS_MAX: u64 = 150;

/// Columns without their repetitions: features that are absent together have equal columns of absence.
struct Distinct {
    /// Column after column, because the gradient of `linfa-logistic` reads a column at a time. A column that stands for several is larger by
    /// the root of their number; then the ridge weighs on it as it did on them.
    records: Array2<f64>,
    /// Which of them each given column is.
    places: Vec<usize>,
    /// What a weight of each is worth for one column that it stands for: they share it evenly, as the ridge would have it.
    shares: Vec<f64>,
}

impl Distinct {
    #[expect(clippy::cast_precision_loss, reason = "a few columns")]
    fn of(given: Vec<Vec<f64>>, rows: usize) -> Self {
        let mut kept: Vec<(Vec<f64>, usize)> = Vec::new();
        let mut places = Vec::new();
        for column in given {
            let known = kept.iter().position(|(known, _)| *known == column);
            places.push(known.unwrap_or(kept.len()));
            match known {
                Some(at) => kept[at].1 += 1,
                None => kept.push((column, 1)),
            }
        }
        let sizes: Vec<f64> = kept.iter().map(|(_, count)| (*count as f64).sqrt()).collect();
        let records = Array2::from_shape_fn((rows, kept.len()).f(), |(row, column)| kept[column].0[row] * sizes[column]);
        Self { records, places, shares: sizes.into_iter().map(f64::recip).collect() }
    }
}

/// Fits `linfa-logistic` and gives the weights of the columns and the intercept for the abusive class.
fn linfa_logistic(family: &'static str, given: Vec<Vec<f64>>, abusive: &[bool]) -> Result<(Vec<f64>, f64), LearningError> {
    let Distinct { records, places, shares } = Distinct::of(given, abusive.len());
    let targets: Array1<usize> = abusive.iter().map(|bad| usize::from(*bad)).collect();
    // The class that linfa will call positive. Guessed wrong where both are equal, its steps only begin further away.
    let guess = if 2 * targets.sum() > abusive.len() { 1.0 } else { -1.0 };
    let start = newton::lowest(&records, abusive, RIDGE) * guess;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
    let tolerance = GRADIENT_TOLERANCE * abusive.len() as f64;
    let params =
        LogisticRegression::default().alpha(RIDGE).max_iterations(STEPS_MAX).gradient_tolerance(tolerance).initial_params(start);
    let fitted = params.fit(&DatasetBase::new(records, targets)).map_err(|error| failed(family)(error.to_string()))?;
    let sign = if fitted.labels().pos.class == 1 { 1.0 } else { -1.0 };
    let weights = places.iter().map(|at| fitted.params()[*at] * shares[*at] * sign).collect();
    Ok((weights, fitted.intercept() * sign))
}

/// Standardised features and an indicator of absence for each.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(super) fn logistic(matrix: &Matrix, rows: &[usize]) -> Result<Scorer, LearningError> {
    let mut terms: Vec<LinearTerm> = Vec::new();
    let mut inputs: Vec<Vec<f64>> = Vec::new();
    // Whether each term has a column for its value, and one for its absence.
    let mut uses: Vec<(bool, bool)> = Vec::new();
    for (feature, column) in columns(matrix, rows) {
        let present: Vec<f64> = column.iter().filter(|value| **value >= 0.0).copied().collect();
        let count = present.len().max(1) as f64;
        let centre = present.iter().sum::<f64>() / count;
        let spread = (present.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / count).sqrt();
        let absent_share = 1.0 - present.len() as f64 / rows.len() as f64;
        let absent_varies = absent_share > 0.0 && absent_share < 1.0;
        if spread < 1e-9 && !absent_varies {
            continue;
        }
        terms.push(LinearTerm { feature: place(feature), centre, spread: spread.max(1e-9), weight: 0.0, absent: 0.0 });
        if spread >= 1e-9 {
            let standardised = |value: &f64| if *value < 0.0 { 0.0 } else { (*value - centre) / spread };
            inputs.push(column.iter().map(standardised).collect());
        }
        if absent_varies {
            inputs.push(column.iter().map(|value| f64::from(u8::from(*value < 0.0))).collect());
        }
        uses.push((spread >= 1e-9, absent_varies));
    }
    let (weights, intercept) = linfa_logistic("logistic", inputs, &pick(matrix.abusive(), rows))?;
    let mut weights = weights.into_iter();
    for (term, (by_value, by_absence)) in terms.iter_mut().zip(uses) {
        let mut next = |used: bool| used.then(|| weights.next()).flatten().unwrap_or_default();
        (term.weight, term.absent) = (next(by_value), next(by_absence));
    }
    Ok(Scorer::Linear(Linear { intercept, terms: terms.into() }))
}

/// Each feature's weight of evidence enters `linfa-logistic`; features that come out with a negative weight would turn their own direction
/// round, so they leave and the rest is fitted again.
pub(super) fn scorecard(matrix: &Matrix, rows: &[usize]) -> Result<Scorer, LearningError> {
    let abusive = pick(matrix.abusive(), rows);
    let mut binned: Vec<(usize, WeighedBins, Vec<f64>)> = Vec::new();
    for (feature, column) in columns(matrix, rows) {
        let bins = binning::weigh(&column, &abusive, CATALOGUE[feature].direction);
        let weights = column
            .iter()
            .map(|value| if *value < 0.0 { bins.absent } else { bins.weights[bins.edges.partition_point(|edge| edge < value)] });
        let weights: Vec<f64> = weights.collect();
        if weights.windows(2).any(|pair| pair[0] != pair[1]) {
            binned.push((feature, bins, weights));
        }
    }
    loop {
        let inputs: Vec<Vec<f64>> = binned.iter().map(|(_, _, weights)| weights.clone()).collect();
        let (weights, intercept) = linfa_logistic("scorecard", inputs, &abusive)?;
        if weights.iter().all(|weight| *weight >= 0.0) {
            let features = binned.into_iter().zip(weights).map(|(bins, weight)| points(bins, weight)).collect();
            return Ok(Scorer::Scorecard(Scorecard { intercept, features }));
        }
        let mut kept = weights.iter().map(|weight| *weight >= 0.0);
        binned.retain(|_| kept.next().unwrap_or(true));
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn points((feature, bins, inputs): (usize, WeighedBins, Vec<f64>), weight: f64) -> BinnedFeature {
    let WeighedBins { edges, weights, absent } = bins;
    let centre = weight * inputs.iter().sum::<f64>() / inputs.len().max(1) as f64;
    let points = weights.iter().map(|woe| woe * weight).collect();
    BinnedFeature { feature: place(feature), edges: edges.into(), points, absent: absent * weight, centre }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::learning::synthetic;

    /// Of the abusive class, from a fit of all given columns that begins at zero and goes on to its end.
    fn linfas_probabilities(given: &[Vec<f64>], abusive: &[bool]) -> Vec<f64> {
        let records = Array2::from_shape_fn((abusive.len(), given.len()), |(row, column)| given[column][row]);
        let targets: Array1<usize> = abusive.iter().map(|bad| usize::from(*bad)).collect();
        let params = LogisticRegression::default().alpha(RIDGE).max_iterations(5_000).gradient_tolerance(1e-6);
        let fitted = params.fit(&DatasetBase::new(records.view(), targets)).unwrap();
        let of_larger = fitted.predict_probabilities(&records);
        of_larger.iter().map(|share| if fitted.labels().pos.class == 1 { *share } else { 1.0 - share }).collect()
    }

    #[test]
    fn a_linear_scorer_equals_the_probabilities_of_linfa_fitted_from_nothing() {
        let matrix = synthetic::matrix(1_500, 3);
        let rows: Vec<usize> = (0..matrix.len()).collect();
        let Scorer::Linear(linear) = logistic(&matrix, &rows).unwrap() else { panic!("not linear") };
        let mut inputs: Vec<Vec<f64>> = Vec::new();
        for term in &linear.terms {
            let column: Vec<f64> = rows.iter().map(|row| matrix.value(*row, usize::from(term.feature))).collect();
            inputs
                .push(column.iter().map(|value| if *value < 0.0 { 0.0 } else { (*value - term.centre) / term.spread }).collect());
            inputs.push(column.iter().map(|value| f64::from(u8::from(*value < 0.0))).collect());
        }
        let theirs = linfas_probabilities(&inputs, matrix.abusive());
        let scorer = Scorer::Linear(linear);
        for (row, theirs) in theirs.iter().enumerate() {
            let ours = crate::screening::decision::logistic(scorer.margin(matrix.features(row).values()));
            assert!((ours - theirs).abs() < 1e-6, "row {row}: {ours} against {theirs}");
        }
    }

    #[test]
    fn identical_columns_share_the_weight_that_linfa_gives_them_all() {
        let matrix = synthetic::matrix(1_500, 3);
        let column = |feature: usize| (0..matrix.len()).map(|row| matrix.value(row, feature)).collect::<Vec<f64>>();
        let given = vec![column(5), column(11), column(5), column(3), column(5)];
        let (weights, intercept) = linfa_logistic("logistic", given.clone(), matrix.abusive()).unwrap();
        assert!(weights[0] == weights[2] && weights[2] == weights[4] && weights[0] != weights[1], "{weights:?}");
        for (row, theirs) in linfas_probabilities(&given, matrix.abusive()).into_iter().enumerate() {
            let margin = intercept + weights.iter().zip(&given).map(|(weight, column)| weight * column[row]).sum::<f64>();
            let ours = crate::screening::decision::logistic(margin);
            assert!((ours - theirs).abs() < 1e-6, "row {row}: {ours} against {theirs}");
        }
    }

    #[test]
    fn a_majority_of_abusive_rows_turns_no_sign_round() {
        let matrix = synthetic::matrix(1_500, 3);
        let column: Vec<f64> = (0..matrix.len()).map(|row| matrix.value(row, 5)).collect();
        let turned: Vec<bool> = matrix.abusive().iter().map(|bad| !bad).collect();
        let (few, at_few) = linfa_logistic("logistic", vec![column.clone()], matrix.abusive()).unwrap();
        let (many, at_many) = linfa_logistic("logistic", vec![column], &turned).unwrap();
        assert!((few[0] + many[0]).abs() < 1e-6 && (at_few + at_many).abs() < 1e-6, "{few:?} {at_few} {many:?} {at_many}");
        assert!(few[0] > 0.1, "{few:?}");
    }
}
