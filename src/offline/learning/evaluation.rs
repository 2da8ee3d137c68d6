//! Evaluation: everything that a card and a report say of a model on rows that it was not fitted on, with the rules alone beside it.
//!
//! Pure. Called by `train` for the hold-out and by `evaluate` for any data.

use super::champion::margins_of;
use super::matrix::{Matrix, pick};
use super::metrics::{self, Measured, OperatingPoint, ReliabilityBin};
use crate::screening::decision::{Verdict, logistic};
use crate::screening::features::{CATALOGUE, FEATURE_COUNT};
use crate::screening::model::Model;

/// Ranking quality of one scorer.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Area under the ROC curve.
    pub roc_auc: Measured,
    /// Average precision.
    pub average_precision: Measured,
    /// Recall at 95, 99 and 99.5 % precision.
    pub recalls: [(f64, Measured); 3],
}

/// What a verdict by threshold or rule did to one kind of people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PersonaLine {
    /// The persona; empty when unknown.
    pub persona: String,
    /// Referrals.
    pub rows: usize,
    /// Of these, abusive.
    pub abusive: usize,
    /// Rejected by the model, sent to review by it.
    pub model: [usize; 2],
    /// Rejected by the rules, sent to review by them.
    pub rules: [usize; 2],
}

/// All figures of one model on some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Referrals.
    pub rows: usize,
    /// Of these, abusive.
    pub abusive: usize,
    /// The model's ranking.
    pub model: Ranking,
    /// The ranking by the rules' score.
    pub rules: Ranking,
    /// Mean squared error of the probabilities.
    pub brier: Measured,
    /// Expected calibration error over 20 equal parts.
    pub calibration_error: Measured,
    /// The reliability diagram.
    pub reliability: Vec<ReliabilityBin>,
    /// Operating points of the model, the highest threshold first.
    pub points: Vec<OperatingPoint>,
    /// Operating points of the rules' score.
    pub rule_points: Vec<OperatingPoint>,
    /// What stands at or above the reject threshold; absent without one.
    pub at_reject: Option<OperatingPoint>,
    /// What each conjunction of the model rejects that none before it does: its conditions, referrals, and how many of them are honest.
    pub conjunctions: Vec<(String, usize, usize)>,
    /// What stands at or above the review threshold.
    pub at_review: OperatingPoint,
    /// What each persona got, by name.
    pub personas: Vec<PersonaLine>,
    /// Mean size of each feature's contribution in log-odds, the largest first.
    pub contributions: Vec<(String, f64)>,
}

/// Rounds of the bootstrap. Judgement: intervals are stable to about a tenth of their width.
const BOOTSTRAP_ROUNDS: usize = 100;

/// Evaluates a model on some rows.
#[must_use]
pub fn evaluate(model: &Model, matrix: &Matrix, rows: &[usize], seed: u64) -> Evaluation {
    let parts = model.parts();
    let scores: Vec<f64> =
        margins_of(&parts.scorer, matrix, rows).into_iter().map(|margin| logistic(parts.calibrator.log_odds(margin))).collect();
    let abusive = pick(matrix.abusive(), rows);
    let groups = pick(matrix.groups(), rows);
    let rule_scores = pick(matrix.rule_scores(), rows);
    let measure = |scores: &[f64], metric: fn(&[f64], &[bool]) -> f64| {
        metrics::bootstrap(scores, &abusive, &groups, BOOTSTRAP_ROUNDS, seed, metric)
    };
    let ranking = |scores: &[f64]| Ranking {
        roc_auc: measure(scores, metrics::roc_auc),
        average_precision: measure(scores, metrics::average_precision),
        recalls: [
            (0.95, measure(scores, |scores, abusive| metrics::recall_at_precision(scores, abusive, 0.95))),
            (0.99, measure(scores, |scores, abusive| metrics::recall_at_precision(scores, abusive, 0.99))),
            (0.995, measure(scores, |scores, abusive| metrics::recall_at_precision(scores, abusive, 0.995))),
        ],
    };
    let thresholds = model.thresholds();
    Evaluation {
        rows: rows.len(),
        abusive: abusive.iter().filter(|bad| **bad).count(),
        model: ranking(&scores),
        rules: ranking(&rule_scores),
        brier: measure(&scores, metrics::brier),
        calibration_error: measure(&scores, metrics::expected_calibration_error),
        reliability: metrics::reliability(&scores, &abusive, 15),
        points: metrics::operating_points(&scores, &abusive),
        rule_points: metrics::operating_points(&rule_scores, &abusive),
        at_reject: model.rejects().then(|| rejected(model, matrix, rows, &scores)),
        conjunctions: conjunctions(model, matrix, rows),
        at_review: at(thresholds.review, &scores, &abusive),
        personas: personas(model, matrix, rows, &scores),
        contributions: contributions(model, matrix, rows),
    }
}

/// What stands at or above a threshold.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn at(threshold: f64, scores: &[f64], abusive: &[bool]) -> OperatingPoint {
    let flagged = scores.iter().filter(|score| **score >= threshold).count();
    let caught = scores.iter().zip(abusive).filter(|(score, bad)| **score >= threshold && **bad).count();
    let all = abusive.iter().filter(|bad| **bad).count();
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    OperatingPoint {
        threshold,
        flagged,
        caught,
        precision: share(caught, flagged),
        recall: share(caught, all),
        false_positive_rate: share(flagged - caught, abusive.len() - all),
    }
}

/// What the model rejects, by a conjunction or by its score.
fn rejected(model: &Model, matrix: &Matrix, rows: &[usize], scores: &[f64]) -> OperatingPoint {
    let rejects = |(row, score): (&usize, &f64)| f64::from(u8::from(model.rank(&matrix.features(*row), *score).1));
    let rejected: Vec<f64> = rows.iter().zip(scores).map(rejects).collect();
    OperatingPoint { threshold: model.thresholds().reject.unwrap_or(1.0), ..at(1.0, &rejected, &pick(matrix.abusive(), rows)) }
}

fn conjunctions(model: &Model, matrix: &Matrix, rows: &[usize]) -> Vec<(String, usize, usize)> {
    let listed = model.parts().conjunctions.iter();
    let mut all: Vec<(String, usize, usize)> = listed.map(|conjunction| (conjunction.to_string(), 0, 0)).collect();
    for row in rows {
        if let Some((place, _)) = model.conjunction(&matrix.features(*row)) {
            all[place].1 += 1;
            all[place].2 += usize::from(!matrix.abusive()[*row]);
        }
    }
    all
}

fn personas(model: &Model, matrix: &Matrix, rows: &[usize], scores: &[f64]) -> Vec<PersonaLine> {
    let mut lines = vec![PersonaLine::default(); matrix.persona_names().len()];
    let thresholds = model.thresholds();
    for (row, score) in rows.iter().zip(scores) {
        let line = &mut lines[matrix.personas()[*row] as usize];
        line.rows += 1;
        line.abusive += usize::from(matrix.abusive()[*row]);
        if model.rank(&matrix.features(*row), *score).1 {
            line.model[0] += 1;
        } else if *score >= thresholds.review {
            line.model[1] += 1;
        }
        match matrix.rule_verdicts()[*row] {
            Verdict::Rejected => line.rules[0] += 1,
            Verdict::InReview => line.rules[1] += 1,
            Verdict::Approved => {}
        }
    }
    for (line, name) in lines.iter_mut().zip(matrix.persona_names()) {
        line.persona = name.to_string();
    }
    lines.retain(|line| line.rows > 0);
    lines.sort_by(|a, b| a.persona.cmp(&b.persona));
    lines
}

/// Rows whose contributions are averaged. Judgement: means are stable well before.
const EXPLAINED_ROWS_MAX: usize = 4_000;

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn contributions(model: &Model, matrix: &Matrix, rows: &[usize]) -> Vec<(String, f64)> {
    let step = rows.len().div_ceil(EXPLAINED_ROWS_MAX).max(1);
    let mut sums = [0.0; FEATURE_COUNT];
    let some: Vec<usize> = rows.iter().copied().step_by(step).collect();
    for row in &some {
        let parts = model.feature_contributions(&matrix.features(*row));
        sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part.abs());
    }
    let mut all: Vec<(String, f64)> =
        CATALOGUE.iter().zip(sums).map(|(feature, sum)| (feature.name.clone(), sum / some.len().max(1) as f64)).collect();
    all.retain(|(_, mean)| *mean > 0.0);
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all
}
