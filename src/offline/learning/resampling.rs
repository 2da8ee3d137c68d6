//! Resampling: does certification keep its promise when it is repeated, and what does it cost against a naive threshold?
//!
//! The data are taken as the population, whose share of honest at any threshold is known. Over and over, groups are drawn from it with
//! replacement: half as many as there are to plan the sequence, half to certify. Groups that were not drawn show how a threshold fares on
//! referrals that nobody has seen, blurred by their own number. Called by `evaluate`.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::certification::{self, Promise, Scored};
use super::champion::margins_of;
use super::evaluation::at;
use super::matrix::{Matrix, pick};
use crate::screening::decision::logistic;
use crate::screening::model::Model;

/// What repetitions came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampled {
    /// Repetitions.
    pub times: u32,
    /// Certified thresholds.
    pub certified: Repeated,
    /// Thresholds at which the share of honest referrals, as seen, is at most α.
    pub naive: Repeated,
}

/// What one kind of threshold came to over all repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Repeated {
    /// In how many repetitions there was a threshold.
    pub found: u32,
    /// In how many the share of honest referrals among the rejected was above α in the population: how often the promise was broken.
    pub broken: u32,
    /// In how many it was above α among the groups that were not drawn.
    pub broken_unseen: u32,
    /// Mean recall in the population, no threshold counted as 0. Range: [0, 1].
    pub mean_recall: f64,
}

/// Rows with what certification needs of them.
#[derive(Default)]
struct Rows {
    scores: Vec<f64>,
    abusive: Vec<bool>,
    groups: Vec<u32>,
}

impl Rows {
    fn scored(&self) -> Scored<'_> {
        Scored { scores: &self.scores, abusive: &self.abusive, groups: &self.groups }
    }

    /// Whether more than this share of what stands at or above the threshold is honest, and the recall there.
    fn judged(&self, threshold: f64, alpha: f64) -> (bool, f64) {
        let point = at(threshold, &self.scores, &self.abusive);
        (point.flagged > 0 && 1.0 - point.precision > alpha, point.recall)
    }
}

/// Repeats certification of a model on data that it was not fitted on.
#[must_use]
pub fn resample(
    model: &Model,
    matrix: &Matrix,
    promise: Promise,
    times: u32,
    seed: u64,
    progress: &mut dyn FnMut(u32),
) -> Resampled {
    let everything: Vec<usize> = (0..matrix.len()).collect();
    let parts = model.parts();
    let margins = margins_of(&parts.scorer, matrix, &everything);
    let rank = |(margin, row): (f64, &usize)| model.rank(&matrix.features(*row), logistic(parts.calibrator.log_odds(margin))).0;
    let population = Rows {
        // What the model's conjunctions reject is tested first, as in training.
        scores: margins.into_iter().zip(&everything).map(rank).collect(),
        abusive: matrix.abusive().to_vec(),
        groups: matrix.groups().to_vec(),
    };
    let mut rows_of: Vec<Vec<usize>> = vec![Vec::new(); population.groups.iter().max().map_or(0, |last| *last as usize + 1)];
    for (row, group) in population.groups.iter().enumerate() {
        rows_of[*group as usize].push(row);
    }
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut certified, mut naive) = (Repeated::default(), Repeated::default());
    for done in 1..=times {
        let mut drawn = vec![false; rows_of.len()];
        let mut draw = || {
            let mut rows = Rows::default();
            for group in 0..u32::try_from(rows_of.len() / 2).unwrap_or(u32::MAX) {
                let from = random.gen_range(0..rows_of.len());
                drawn[from] = true;
                rows.scores.extend(rows_of[from].iter().map(|row| population.scores[*row]));
                rows.abusive.extend(rows_of[from].iter().map(|row| population.abusive[*row]));
                rows.groups.extend(rows_of[from].iter().map(|_| group));
            }
            rows
        };
        let (to_plan, to_certify) = (draw(), draw());
        let unseen: Vec<usize> = everything.iter().copied().filter(|row| !drawn[population.groups[*row] as usize]).collect();
        let unseen =
            Rows { scores: pick(&population.scores, &unseen), abusive: pick(&population.abusive, &unseen), groups: Vec::new() };
        let judge = |repeated: &mut Repeated, threshold: Option<f64>| {
            let Some(threshold) = threshold else { return };
            let (broken, recall) = population.judged(threshold, promise.alpha);
            repeated.found += 1;
            repeated.broken += u32::from(broken);
            repeated.broken_unseen += u32::from(unseen.judged(threshold, promise.alpha).0);
            repeated.mean_recall += recall / f64::from(times);
        };
        let sequence = certification::plan(to_plan.scored(), 1.0, promise);
        judge(&mut certified, certification::certify(to_certify.scored(), &sequence, promise).map(|found| found.threshold));
        judge(&mut naive, certification::naive(to_certify.scored(), promise.alpha));
        progress(done);
    }
    Resampled { times, certified, naive }
}
