//! Newton's method for the loss of `linfa-logistic`: where that loss is lowest, in a dozen passes over the matrix.
//!
//! `linfa-logistic` feels its way by gradients: five passes over the matrix for each step, and columns that vary together cost hundreds of
//! steps. The curvature of a hundred columns is cheap beside that, and with it each step halves the error at first and squares it at the end.
//! This only finds a place to begin; `linfa-logistic` begins there, and ends there if its own gradient agrees. Never the judge of a fit.
//! Called by `linear`.

use std::ops::Range;

use ndarray::linalg::general_mat_mul;
use ndarray::{Array1, Array2, ArrayView1, Axis, ShapeBuilder, Zip};

/// Rows whose columns, weighed, stay in the second-level cache: 0.9 MB for a hundred columns.
const ROWS_AT_ONCE: usize = 1_024;
/// Steps at most. From nothing, 13 were enough for 77,402 rows of 107 columns.
const STEPS_MAX: usize = 40;
/// A step that promises to lower the loss (a sum over rows) by less than this is the last: what it leaves is smaller than rounding.
const LAST_GAIN: f64 = 1e-6;
/// How often a step is tried, half as long each time, until it lowers the loss.
const TRIES_MAX: usize = 10;

/// The weights of the columns, and last the intercept, at which the sum of `ln(1 + exp(margin against the truth))` over the rows and of
/// `ridge / 2 * weight²` over the columns is lowest; the margin speaks for `true`. Where the curvature cannot be inverted or no step lowers
/// the loss, what was reached until then.
pub(super) fn lowest(records: &Array2<f64>, truth: &[bool], ridge: f64) -> Array1<f64> {
    let mut here = Array1::zeros(records.ncols() + 1);
    let mut at = Slope::at(records, truth, ridge, &here);
    for _ in 0..STEPS_MAX {
        let Some(mut step) = solve(&at.curvature, &at.gradient) else { break };
        if at.gradient.dot(&step) < LAST_GAIN {
            return here - step;
        }
        let Some((there, next)) = (0..TRIES_MAX).find_map(|_| {
            let there = &here - &step;
            let next = Slope::at(records, truth, ridge, &there);
            step *= 0.5;
            (next.loss < at.loss).then_some((there, next))
        }) else {
            break;
        };
        (here, at) = (there, next);
    }
    here
}

/// The loss, its gradient and its curvature at one place.
struct Slope {
    loss: f64,
    gradient: Array1<f64>,
    curvature: Array2<f64>,
}

impl Slope {
    fn at(records: &Array2<f64>, truth: &[bool], ridge: f64, place: &Array1<f64>) -> Self {
        let columns = records.ncols();
        let (weights, intercept) = place.view().split_at(Axis(0), columns);
        let mut loss = 0.5 * ridge * weights.dot(&weights);
        let mut by_weights = &weights * ridge;
        let mut by_intercept = 0.0;
        let mut curvature = Array2::eye(columns + 1) * ridge;
        // The intercept is free.
        curvature[(columns, columns)] = 0.0;
        let mut weighed = Array2::zeros((ROWS_AT_ONCE, columns + 1).f());
        for (block, truth) in records.axis_chunks_iter(Axis(0), ROWS_AT_ONCE).zip(truth.chunks(ROWS_AT_ONCE)) {
            let mut errors = block.dot(&weights) + intercept[0];
            let mut roots = Array1::zeros(truth.len());
            for ((error, root), truth) in errors.iter_mut().zip(&mut roots).zip(truth) {
                let sign = if *truth { -1.0 } else { 1.0 };
                let against = *error * sign;
                let smaller = (-against.abs()).exp();
                loss += against.max(0.0) + smaller.ln_1p();
                let wrong = if against > 0.0 { 1.0 } else { smaller } / (1.0 + smaller);
                *error = sign * wrong;
                *root = smaller.sqrt() / (1.0 + smaller);
            }
            by_weights += &block.t().dot(&errors);
            by_intercept += errors.sum();
            let (mut weighed, _) = weighed.view_mut().split_at(Axis(0), truth.len());
            for (to, from) in weighed.columns_mut().into_iter().zip(block.columns()) {
                Zip::from(to).and(from).and(&roots).for_each(|to, from, root| *to = from * root);
            }
            weighed.column_mut(columns).assign(&roots);
            general_mat_mul(1.0, &weighed.t(), &weighed, 1.0, &mut curvature);
        }
        Self { loss, gradient: by_weights.into_iter().chain([by_intercept]).collect(), curvature }
    }
}

/// `x` of `matrix * x = right` for a symmetric positive definite matrix, by its triangular root (Cholesky). `None` when it is not positive.
fn solve(matrix: &Array2<f64>, right: &Array1<f64>) -> Option<Array1<f64>> {
    let size = right.len();
    let mut root = Array2::<f64>::zeros((size, size));
    for row in 0..size {
        for column in 0..=row {
            let rest = matrix[(row, column)] - dot(root.row(row), root.row(column), 0..column);
            if row != column {
                root[(row, column)] = rest / root[(column, column)];
            } else if rest > 0.0 {
                root[(row, row)] = rest.sqrt();
            } else {
                return None;
            }
        }
    }
    let mut solution = right.clone();
    for row in 0..size {
        solution[row] = (solution[row] - dot(root.row(row), solution.view(), 0..row)) / root[(row, row)];
    }
    for row in (0..size).rev() {
        solution[row] = (solution[row] - dot(root.column(row), solution.view(), row + 1..size)) / root[(row, row)];
    }
    Some(solution)
}

fn dot(left: ArrayView1<'_, f64>, right: ArrayView1<'_, f64>, places: Range<usize>) -> f64 {
    places.map(|at| left[at] * right[at]).sum()
}

#[cfg(test)]
mod tests {
    use linfa::DatasetBase;
    use linfa::traits::Fit;
    use linfa_logistic::LogisticRegression;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::offline::learning::linear::GRADIENT_TOLERANCE;

    /// Columns of very different size, two of them nearly the same, and a class that half follows them.
    fn records(rows: usize) -> (Array2<f64>, Vec<bool>) {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
        let mut records = Array2::zeros((rows, 4).f());
        let mut truth = Vec::new();
        for mut row in records.rows_mut() {
            let drawn: [f64; 4] = random.r#gen();
            let values = [drawn[0], drawn[0] + 0.01 * drawn[1], 30.0 * drawn[2], f64::from(u8::from(drawn[3] < 0.02))];
            row.iter_mut().zip(values).for_each(|(to, value)| *to = value);
            let margin = 3.0 * values[0] + 0.05 * values[2] + 2.0 * values[3] - 4.0;
            truth.push(random.r#gen::<f64>() < 1.0 / (1.0 + (-margin).exp()));
        }
        (records, truth)
    }

    #[test]
    fn the_lowest_place_is_where_linfa_arrives_from_nothing() {
        let (records, truth) = records(3_000);
        let ours = lowest(&records, &truth, 1.0);
        let targets = truth.iter().map(|bad| usize::from(*bad)).collect::<Array1<usize>>();
        let params = LogisticRegression::default().alpha(1.0).max_iterations(2_000).gradient_tolerance(1e-7);
        let theirs = params.fit(&DatasetBase::new(records, targets)).unwrap();
        let sign = if theirs.labels().pos.class == 1 { 1.0 } else { -1.0 };
        for (ours, theirs) in ours.iter().zip(theirs.params().iter().chain([&theirs.intercept()])) {
            assert!((ours - sign * theirs).abs() < 1e-6, "{ours} against {theirs}");
        }
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "a few thousand rows")]
    fn linfa_has_no_step_left_to_take_from_the_lowest_place() {
        let (records, truth) = records(3_000);
        let slope = Slope::at(&records, &truth, 1.0, &lowest(&records, &truth, 1.0));
        let length = slope.gradient.dot(&slope.gradient).sqrt();
        assert!(length < GRADIENT_TOLERANCE * truth.len() as f64, "{length}");
    }

    #[test]
    fn classes_that_a_column_separates_end_at_finite_weights() {
        let (mut records, truth) = records(600);
        records.column_mut(3).iter_mut().zip(&truth).for_each(|(value, bad)| *value = if *bad { 1.0 } else { -1.0 });
        let found = lowest(&records, &truth, 1e-3);
        assert!(found[3] > 4.0 && found.iter().all(|weight| weight.is_finite()), "{found}");
    }
}
