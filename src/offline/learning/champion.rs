//! The champion: which estimator wins on grouped and on time-aware validation, calibrated and certified on groups that no fitting saw.
//!
//! ```text
//! all groups ─┬─ development 65 % ─┬─ grouped folds ─► average precision, margins for calibration and for the plan of thresholds
//!             │                    ├─ forward folds ─► average precision
//!             │                    └─ all of it ─────► the champion's numbers, conjunctions that may reject
//!             └─ hold-out 35 % ────► certificate, and every figure of the card
//! ```
//! Called by `train` and by `evaluate --certify-resamples`.

use std::collections::BTreeMap;

use super::LearningError;
use super::boosting;
use super::calibration::{self, Calibrated};
use super::certification::{self, Certified, Promise, Scored, Tally};
use super::conjunctions;
use super::estimators::Family;
use super::folds::{self, Fold};
use super::matrix::{Matrix, pick};
use super::metrics::average_precision;
use super::parallel;
use super::review_threshold::ReviewCosts;
use crate::screening::decision::logistic;
use crate::screening::features::{FEATURE_COUNT, FeatureVector, schema_hash};
use crate::screening::model::{
    Calibrator, Certificate, Conjunction, FeatureSpec, Model, ModelParts, Scorer, ScorerMasks, Thresholds, TrainingSpread,
    certified,
};
use crate::vocabulary::time::Timestamp;

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingPlan {
    /// Families that compete.
    pub families: Vec<Family>,
    /// Grouped folds. At least 2.
    pub folds: usize,
    /// Forward folds; 0 for none.
    pub forward_folds: usize,
    /// Share of groups that certify and measure. Range: (0, 1).
    pub hold_out_share: f64,
    /// What the reject threshold promises.
    pub promise: Promise,
    /// What the review threshold follows from.
    pub costs: ReviewCosts,
    /// Seed of folds and estimators.
    pub seed: u64,
    /// The version; absent for one made of family, date and fingerprint of the model.
    pub version: Option<String>,
}

impl Default for TrainingPlan {
    fn default() -> Self {
        Self {
            families: Family::ALL.to_vec(),
            folds: 5,
            forward_folds: 3,
            hold_out_share: 0.35,
            promise: Promise::default(),
            costs: ReviewCosts::default(),
            seed: 1,
            version: None,
        }
    }
}

/// One family in the competition.
#[derive(Debug, Clone, PartialEq)]
pub struct Contender {
    /// The family.
    pub family: Family,
    /// Average precision over grouped folds, all test rows ranked together within their fold, then averaged.
    pub grouped_precision: f64,
    /// Mean average precision over forward folds; absent when time allows none.
    pub forward_precision: Option<f64>,
    /// Margins of development rows, each from a fit that did not see its group.
    pub margins: Vec<f64>,
}

impl Contender {
    /// What families are compared by: the mean of both validations.
    #[must_use]
    pub fn merit(&self) -> f64 {
        self.forward_precision.map_or(self.grouped_precision, |forward| f64::midpoint(self.grouped_precision, forward))
    }
}

/// A trained model with how it came about.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model.
    pub model: Model,
    /// All that competed, the best first.
    pub contenders: Vec<Contender>,
    /// Families that could not be fitted, each with the reason.
    pub dropped_out: Vec<(Family, String)>,
    /// How it was calibrated.
    pub calibrated: Calibrated,
    /// Development and hold-out rows.
    pub split: Fold,
    /// Ranks that were planned for testing, in order: of conjunctions above 1, of scores below.
    pub sequence: Vec<f64>,
    /// The smallest α that data of this size could certify, judged by development data.
    pub alpha_within_reach: f64,
}

/// A better average precision by less than this does not displace a family that is easier to explain. Judgement: small, because the
/// explanation of every family sums exactly to its score.
const MARGIN_OF_MERIT: f64 = 0.001;

/// Trains. `progress` hears what is being done.
///
/// # Errors
/// [`LearningError::TooFew`] when labels do not suffice, [`LearningError::Fit`] when no family can be fitted.
pub fn train(matrix: &Matrix, plan: &TrainingPlan, progress: &mut dyn FnMut(&str)) -> Result<Trained, LearningError> {
    let none_may_serve = LearningError::TooFew { what: "families that may serve", have: 0, need: 1 };
    if !plan.families.iter().any(|family| family.is_monotone()) {
        return Err(none_may_serve);
    }
    let split = folds::hold_out(matrix, plan.hold_out_share, plan.seed);
    let Competed { mut contenders, dropped_out } = compete(matrix, &split.fit, plan, progress);
    contenders.sort_by(|a, b| b.merit().total_cmp(&a.merit()).then(a.family.cmp(&b.family)));
    let champion = choose(&contenders).ok_or(none_may_serve)?;
    contenders[..=champion].rotate_right(1);
    let winner = &contenders[0];
    progress(&format!("fitting {}", winner.family.name()));
    let scorer = winner.family.fit(matrix, &split.fit, plan.seed)?;
    progress("calibrating and certifying");
    let calibrated = calibration::fit(&winner.margins, &pick(matrix.abusive(), &split.fit), &pick(matrix.groups(), &split.fit));
    let mut proposed = conjunctions::propose(matrix, &split.fit, plan.promise.alpha);
    let (sequence, alpha_within_reach, certified) =
        certify(matrix, &split, &winner.margins, &scorer, &calibrated.calibrator, &proposed, plan.promise);
    let reject = certified.as_ref().map(|certified| certified.threshold);
    proposed.truncate(kept(&proposed, reject));
    let model = assemble(matrix, plan, winner.family, scorer, &calibrated, &split, certified, proposed)?;
    Ok(Trained { model, contenders, dropped_out, calibrated, split, sequence, alpha_within_reach })
}

/// The place of the champion: of those whose score can only rise with what speaks for abuse, the family easiest to explain among those within the margin
/// of merit of the best.
fn choose(sorted: &[Contender]) -> Option<usize> {
    let may_serve = || sorted.iter().enumerate().filter(|(_, contender)| contender.family.is_monotone());
    let best = may_serve().next()?.1.merit();
    let ease = |contender: &Contender| Family::ALL.iter().position(|family| *family == contender.family);
    let near = may_serve().filter(|(_, contender)| contender.merit() >= best - MARGIN_OF_MERIT);
    near.min_by_key(|(_, contender)| ease(contender)).map(|(place, _)| place)
}

/// Every family on every fold, on all cores.
fn compete(matrix: &Matrix, rows: &[usize], plan: &TrainingPlan, progress: &mut dyn FnMut(&str)) -> Competed {
    let grouped = folds::grouped(matrix, rows, plan.folds, plan.seed);
    let forward = folds::forward(matrix, rows, plan.forward_folds);
    let all_folds: Vec<&Fold> = grouped.iter().chain(&forward).collect();
    let mut families = plan.families.clone();
    families.sort_unstable();
    families.dedup();
    let tasks: Vec<(Family, &Fold)> = families.iter().flat_map(|family| all_folds.iter().map(|fold| (*family, *fold))).collect();
    let tested = |(family, fold): &(Family, &Fold)| {
        let scorer = family.fit(matrix, &fold.fit, plan.seed)?;
        Ok(margins_of(&scorer, matrix, &fold.test))
    };
    let mut finished = 0;
    let results: Vec<Result<Vec<f64>, LearningError>> = parallel::map(&tasks, tested, &mut |place| {
        finished += 1;
        progress(&format!("validating: {finished} of {} fits, the last a {}", tasks.len(), tasks[place].0.name()));
    });
    let mut by_family: BTreeMap<Family, Vec<Result<Vec<f64>, LearningError>>> = BTreeMap::new();
    for ((family, _), result) in tasks.iter().zip(results) {
        by_family.entry(*family).or_default().push(result);
    }
    let mut competed = Competed::default();
    for (family, results) in by_family {
        match contender(family, &results, (&grouped, &forward), matrix, rows) {
            Ok(contender) => competed.contenders.push(contender),
            Err(reason) => {
                progress(&format!("{} drops out: {reason}", family.name()));
                competed.dropped_out.push((family, reason.to_string()));
            }
        }
    }
    competed
}

/// Who came through the competition, and who did not.
#[derive(Debug, Default)]
struct Competed {
    contenders: Vec<Contender>,
    dropped_out: Vec<(Family, String)>,
}

/// How a family did on its folds. It drops out when it cannot be fitted on a grouped fold; a forward fold with too little history says nothing.
fn contender(
    family: Family,
    results: &[Result<Vec<f64>, LearningError>],
    (grouped, forward): (&[Fold], &[Fold]),
    matrix: &Matrix,
    rows: &[usize],
) -> Result<Contender, LearningError> {
    let mut margins = vec![0.0; matrix.len()];
    let (of_grouped_folds, of_forward_folds) = results.split_at(grouped.len().min(results.len()));
    let precision = |of_fold: &[f64], fold: &Fold| average_precision(of_fold, &pick(matrix.abusive(), &fold.test));
    let mut of_grouped = Vec::new();
    for (fold, result) in grouped.iter().zip(of_grouped_folds) {
        let of_fold = result.as_ref().map_err(Clone::clone)?;
        of_grouped.push(precision(of_fold, fold));
        fold.test.iter().zip(of_fold).for_each(|(row, margin)| margins[*row] = *margin);
    }
    let told = forward.iter().zip(of_forward_folds).filter_map(|(fold, result)| Some(precision(result.as_ref().ok()?, fold)));
    let of_forward: Vec<f64> = told.collect();
    Ok(Contender {
        family,
        grouped_precision: mean(&of_grouped),
        forward_precision: (!of_forward.is_empty()).then(|| mean(&of_forward)),
        margins: pick(&margins, rows),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a handful of folds")]
fn mean(all: &[f64]) -> f64 {
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

/// The margins of some rows.
#[must_use]
pub fn margins_of(scorer: &Scorer, matrix: &Matrix, rows: &[usize]) -> Vec<f64> {
    let masks = ScorerMasks::new(scorer);
    let margin = |features: FeatureVector| match &masks {
        Some(masks) => masks.margin(features.values()),
        None => scorer.margin(features.values()),
    };
    rows.iter().map(|row| margin(matrix.features(*row))).collect()
}

fn probabilities(margins: &[f64], calibrator: &Calibrator) -> Vec<f64> {
    margins.iter().map(|margin| logistic(calibrator.log_odds(*margin))).collect()
}

/// In which order rows would be rejected: what a conjunction holds for first, then by probability ([`certified::rank`]).
fn ranks(matrix: &Matrix, rows: &[usize], probabilities: Vec<f64>, conjunctions: &[Conjunction]) -> Vec<f64> {
    let rank = |(row, probability): (&usize, f64)| certified::rank(conjunctions, matrix.features(*row).values(), probability);
    rows.iter().zip(probabilities).map(rank).collect()
}

/// How many of the proposed conjunctions rank at or above a certified threshold; none without one.
fn kept(proposed: &[Conjunction], threshold: Option<f64>) -> usize {
    #[expect(clippy::cast_precision_loss, reason = "a handful of conjunctions")]
    let rank = |place: usize| (proposed.len() - place + 1) as f64;
    threshold.map_or(0, |threshold| (0..proposed.len()).filter(|place| rank(*place) >= threshold).count())
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn certify(
    matrix: &Matrix,
    split: &Fold,
    development_margins: &[f64],
    scorer: &Scorer,
    calibrator: &Calibrator,
    proposed: &[Conjunction],
    promise: Promise,
) -> (Vec<f64>, f64, Option<Certified>) {
    let development = ranks(matrix, &split.fit, probabilities(development_margins, calibrator), proposed);
    let hold_out_probabilities = probabilities(&margins_of(scorer, matrix, &split.test), calibrator);
    let hold_out = ranks(matrix, &split.test, hold_out_probabilities, proposed);
    let (fit_abusive, fit_groups) = (pick(matrix.abusive(), &split.fit), pick(matrix.groups(), &split.fit));
    let (test_abusive, test_groups) = (pick(matrix.abusive(), &split.test), pick(matrix.groups(), &split.test));
    let share = split.test.len() as f64 / split.fit.len().max(1) as f64;
    let developed = Scored { scores: &development, abusive: &fit_abusive, groups: &fit_groups };
    let sequence = certification::plan(developed, share, promise);
    let scored = Scored { scores: &hold_out, abusive: &test_abusive, groups: &test_groups };
    let certified = certification::certify(scored, &sequence, promise);
    (sequence, certification::alpha_within_reach(developed, share, promise.delta), certified)
}

#[expect(clippy::too_many_arguments, reason = "a model is all of it")]
fn assemble(
    matrix: &Matrix,
    plan: &TrainingPlan,
    family: Family,
    scorer: Scorer,
    calibrated: &Calibrated,
    split: &Fold,
    certified: Option<Certified>,
    conjunctions: Vec<Conjunction>,
) -> Result<Model, LearningError> {
    let trained_until = matrix.occurred_at().iter().max().copied().unwrap_or(Timestamp::MIN);
    let day: String = trained_until.to_string().chars().take(10).collect();
    // A rank above 1 is a conjunction's: no score was certified.
    let reject = certified.as_ref().map(|certified| certified.threshold).filter(|threshold| *threshold <= 1.0);
    let Certified { tally, upper_bound, .. } =
        certified.unwrap_or_else(|| Certified { threshold: 1.0, tally: Tally::default(), upper_bound: 1.0 });
    let scores = probabilities(&margins_of(&scorer, matrix, &split.fit), &calibrated.calibrator);
    let column = |feature: usize| split.fit.iter().map(|row| matrix.value(*row, feature)).collect::<Vec<f64>>();
    let prefix = format!("{}-{day}", family.name());
    let parts = ModelParts {
        version: plan.version.clone().unwrap_or_else(|| prefix.clone()).into(),
        family: family.name().into(),
        trained_until,
        features: FeatureSpec::catalogue(),
        scorer,
        calibrator: calibrated.calibrator.clone(),
        thresholds: Thresholds { review: reject.unwrap_or(1.0).min(plan.costs.threshold()), reject },
        conjunctions,
        certificate: Certificate {
            alpha: plan.promise.alpha,
            delta: plan.promise.delta,
            rejected_samples: tally.samples(),
            honest_samples: tally.honest,
            rejected_referrals: tally.referrals(),
            upper_bound,
        },
        score_spread: spread(&scores),
        feature_spreads: (0..FEATURE_COUNT).map(|feature| spread(&column(feature))).collect(),
    };
    if plan.version.is_some() {
        return Ok(Model::from_parts(parts)?);
    }
    // All of the model is in its version, so that two that differ in anything never share one: a server keeps each version for ever.
    let fingerprint: String = blake3::hash(format!("{parts:?}").as_bytes()).to_hex().chars().take(8).collect();
    Ok(Model::from_parts(ModelParts { version: format!("{prefix}-{fingerprint}").into(), ..parts })?)
}

/// Ten intervals of about equal size: what the population stability index is usually computed on.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn spread(column: &[f64]) -> TrainingSpread {
    let mut spread = TrainingSpread { edges: boosting::edges(column, 10).into(), shares: Box::new([]) };
    let mut counts = vec![0_usize; spread.edges.len() + 2];
    for value in column {
        counts[spread.place(*value)] += 1;
    }
    spread.shares = counts.into_iter().map(|count| count as f64 / column.len().max(1) as f64).collect();
    spread
}

/// What data and features a model belongs to, for cards and logs.
#[must_use]
pub fn fingerprint_line(matrix: &Matrix) -> String {
    format!("data {}, features {}", matrix.fingerprint(), schema_hash())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::learning::synthetic;
    use crate::screening::rules::Condition;

    fn quick_plan() -> TrainingPlan {
        let families = vec![Family::Scorecard, Family::Boosting];
        TrainingPlan {
            families,
            folds: 2,
            forward_folds: 1,
            promise: Promise { alpha: 0.2, delta: 0.1 },
            ..TrainingPlan::default()
        }
    }

    #[test]
    fn without_a_family_that_may_serve_nothing_is_fitted() {
        let plan = TrainingPlan { families: vec![Family::Logistic, Family::Forest], ..TrainingPlan::default() };
        let mut told = 0;
        let refused = train(&synthetic::matrix(400, 3), &plan, &mut |_| told += 1).unwrap_err();
        assert!(matches!(refused, LearningError::TooFew { what: "families that may serve", .. }), "{refused}");
        assert_eq!(told, 0);
    }

    #[test]
    fn the_same_data_and_seed_give_the_same_model() {
        let matrix = synthetic::matrix(2_000, 9);
        let first = train(&matrix, &quick_plan(), &mut |_| {}).unwrap().model;
        let second = train(&matrix, &quick_plan(), &mut |_| {}).unwrap().model;
        assert_eq!(first, second);
    }

    #[test]
    fn models_that_differ_in_anything_have_versions_that_differ() {
        let matrix = synthetic::matrix(2_000, 9);
        let version = |plan: &TrainingPlan| train(&matrix, plan, &mut |_| {}).unwrap().model.version().to_owned();
        let first = version(&quick_plan());
        assert!(first.len() > 8 + 1 && first == version(&quick_plan()), "{first}");
        let promise = Promise { alpha: 0.3, ..quick_plan().promise };
        let others = [TrainingPlan { promise, ..quick_plan() }, TrainingPlan { hold_out_share: 0.4, ..quick_plan() }];
        for other in others {
            assert_ne!(version(&other), first, "{other:?}");
        }
        assert_eq!(version(&TrainingPlan { version: Some("v7".to_owned()), ..quick_plan() }), "v7");
    }

    #[test]
    fn conjunctions_rank_above_every_score_and_only_those_that_were_certified_are_kept() {
        let conjunction = |text: &str| Conjunction::new(&[Condition::parse(text).unwrap()]).unwrap();
        let proposed = ["ring.loop", "identity.similar_name >= 9 bits", "device.same_device >= 8 bits"].map(conjunction);
        let kept_at = |threshold: f64| kept(&proposed, Some(threshold));
        assert_eq!([4.0, 3.0, 2.0, 0.97].map(kept_at), [1, 2, 3, 3]);
        assert_eq!(kept(&proposed, None), 0);
    }

    #[test]
    fn without_enough_data_for_the_promise_the_model_rejects_nothing() {
        let matrix = synthetic::matrix(1_000, 9);
        let plan = TrainingPlan { promise: Promise { alpha: 0.000_1, delta: 0.01 }, ..quick_plan() };
        let trained = train(&matrix, &plan, &mut |_| {}).unwrap();
        assert!(!trained.model.rejects());
        assert_eq!(trained.model.certificate().upper_bound, 1.0);
    }
}
