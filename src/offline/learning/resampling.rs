//! Resampling: does certification keep its promise when it is repeated on groups drawn anew, and what does it cost against a naive threshold?
//!
//! Groups are split in three, over and over: one part plans the sequence, one certifies, one shows the realised error. Called by `evaluate`.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::certification::{self, Counting, Promise, Scored};
use super::champion::margins_of;
use super::evaluation::at;
use super::matrix::{Matrix, pick};
use crate::screening::decision::logistic;
use crate::screening::model::Model;

/// What repeated certification came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Resampled {
    /// Repetitions.
    pub times: u32,
    /// How many certified a threshold.
    pub certified: u32,
    /// In how many the share of honest referrals among the rejected, on the part that nobody looked at, was above α.
    pub broken: u32,
    /// Mean recall at certified thresholds on the unseen part, none counted as 0.
    pub mean_recall: f64,
    /// Thresholds at which the share of honest referrals, as seen, is at most α.
    pub naive: Naive,
    /// The same with rings counted once, as certification counts.
    pub naive_by_sample: Naive,
}

/// What thresholds that promise nothing came to on the unseen part.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Naive {
    /// In how many repetitions the share of honest referrals was above α.
    pub broken: u32,
    /// Mean recall.
    pub mean_recall: f64,
}

/// Repeats certification of a model on data that it was not fitted on.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn resample(
    model: &Model,
    matrix: &Matrix,
    promise: Promise,
    times: usize,
    seed: u64,
    progress: &mut dyn FnMut(usize),
) -> Resampled {
    let rows: Vec<usize> = (0..matrix.len()).collect();
    let parts = model.parts();
    let margins = margins_of(&parts.scorer, matrix, &rows);
    let scores: Vec<f64> = margins.into_iter().map(|margin| logistic(parts.calibrator.log_odds(margin))).collect();
    let groups_total = matrix.groups().iter().max().map_or(0, |last| *last as usize + 1);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut certified, mut broken, mut recall) = (0, 0, 0.0);
    let mut naives = [Counting::Referrals, Counting::Samples].map(|counting| (counting, Naive::default()));
    for done in 1..=times {
        let mut part_of: Vec<u8> = (0..groups_total).map(|group| u8::try_from(group % 3).unwrap_or(0)).collect();
        part_of.shuffle(&mut random);
        let part = |wanted: u8| {
            rows.iter().copied().filter(|row| part_of[matrix.groups()[*row] as usize] == wanted).collect::<Vec<usize>>()
        };
        let [plan_rows, certify_rows, unseen_rows] = [part(0), part(1), part(2)];
        let of = |rows: &[usize]| (pick(&scores, rows), pick(matrix.abusive(), rows), pick(matrix.groups(), rows));
        let (plan, hold_out, unseen) = (of(&plan_rows), of(&certify_rows), of(&unseen_rows));
        let sequence = certification::plan(scored(&plan), hold_out.0.len() as f64 / plan.0.len().max(1) as f64, promise);
        if let Some(found) = certification::certify(scored(&hold_out), &sequence, promise) {
            let realised = at(found.threshold, &unseen.0, &unseen.1);
            certified += 1;
            broken += u32::from(realised.flagged > 0 && 1.0 - realised.precision > promise.alpha);
            recall += realised.recall;
        }
        for (counting, naive) in &mut naives {
            if let Some(threshold) = certification::naive(scored(&hold_out), promise.alpha, *counting) {
                let realised = at(threshold, &unseen.0, &unseen.1);
                naive.broken += u32::from(realised.flagged > 0 && 1.0 - realised.precision > promise.alpha);
                naive.mean_recall += realised.recall / times as f64;
            }
        }
        progress(done);
    }
    let [(_, naive), (_, naive_by_sample)] = naives;
    Resampled {
        times: u32::try_from(times).unwrap_or(u32::MAX),
        certified,
        broken,
        mean_recall: recall / times.max(1) as f64,
        naive,
        naive_by_sample,
    }
}

fn scored((scores, abusive, groups): &(Vec<f64>, Vec<bool>, Vec<u32>)) -> Scored<'_> {
    Scored { scores, abusive, groups }
}
