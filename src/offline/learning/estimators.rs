//! Estimators: candidates that are fitted with linfa and flattened to the plain numbers that the service scores with.
//!
//! What linfa leaves to its users is handled here and in `linear`: `linfa-logistic` ignores row weights; trees keep no counts and break ties by
//! the order of a hash map; they fit with `<=` and predict with `<`. Tests hold the flattened numbers equal to linfa's predictions. Called by
//! `champion`.

use linfa::DatasetBase;
use linfa::ParamGuard;
use linfa::traits::Fit;
use linfa_ensemble::{AdaBoostParams, EnsembleLearnerParams};
use linfa_trees::{DecisionTree, TreeNode};
use ndarray::{Array1, Array2};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::LearningError;
use super::boosting::Boosting;
use super::linear::{logistic, scorecard};
use super::matrix::{Matrix, pick};
use crate::screening::features::FEATURE_COUNT;
use crate::screening::model::{LEAF, Scorer, Split, Trees};

/// A kind of estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Family {
    /// Monotone-binned features into `linfa-logistic`.
    Scorecard,
    /// Standardised features into `linfa-logistic`.
    Logistic,
    /// `linfa-ensemble` random forest, with its own leaf probabilities.
    Forest,
    /// `linfa-ensemble` AdaBoost.
    #[value(name = "adaboost")]
    AdaBoost,
    /// Gradient boosting, bound to the catalogue's directions.
    Boosting,
}

impl Family {
    /// All families, the easiest to explain first.
    pub const ALL: [Self; 5] = [Self::Scorecard, Self::Logistic, Self::Boosting, Self::Forest, Self::AdaBoost];

    /// Whether a model of this family may serve: one whose score can only rise as what speaks for abuse rises. The others are yardsticks.
    #[must_use]
    pub const fn is_monotone(self) -> bool {
        match self {
            Self::Scorecard | Self::Boosting => true,
            Self::Logistic | Self::Forest | Self::AdaBoost => false,
        }
    }

    /// Its name in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scorecard => "scorecard",
            Self::Logistic => "logistic",
            Self::Forest => "forest",
            Self::AdaBoost => "adaboost",
            Self::Boosting => "boosting",
        }
    }

    /// Rows that it is fitted on at most: linfa's trees take time with the product of rows, features and nodes. A seeded sample beyond.
    #[must_use]
    pub const fn rows_max(self) -> usize {
        match self {
            Self::Scorecard | Self::Logistic | Self::Boosting => usize::MAX,
            Self::Forest | Self::AdaBoost => 6_000,
        }
    }

    /// Fits on some rows of the matrix.
    ///
    /// # Errors
    /// [`LearningError::TooFew`] without rows of both kinds, [`LearningError::Fit`] when the estimator fails.
    pub fn fit(self, matrix: &Matrix, rows: &[usize], seed: u64) -> Result<Scorer, LearningError> {
        let abusive = pick(matrix.abusive(), rows).into_iter().filter(|bad| *bad).count();
        for (what, have) in [("abusive referrals", abusive), ("honest referrals", rows.len() - abusive)] {
            if have < 10 {
                return Err(LearningError::TooFew { what, have, need: 10 });
            }
        }
        let rows = self.sample(rows, seed);
        match self {
            Self::Scorecard => scorecard(matrix, &rows),
            Self::Logistic => logistic(matrix, &rows),
            Self::Forest => forest(matrix, &rows, seed),
            Self::AdaBoost => adaboost(matrix, &rows, seed),
            Self::Boosting => boosting(matrix, &rows, Boosting { seed, ..Boosting::default() }),
        }
    }

    fn sample(self, rows: &[usize], seed: u64) -> Vec<usize> {
        if rows.len() <= self.rows_max() {
            return rows.to_vec();
        }
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut some: Vec<usize> = rows.choose_multiple(&mut random, self.rows_max()).copied().collect();
        some.sort_unstable();
        some
    }
}

pub(super) fn failed(family: &'static str) -> impl Fn(String) -> LearningError {
    move |reason| LearningError::Fit { family, reason }
}

pub(super) fn place(feature: usize) -> u16 {
    u16::try_from(feature).unwrap_or(LEAF)
}

/// The values of each feature.
pub(super) fn columns(matrix: &Matrix, rows: &[usize]) -> impl Iterator<Item = (usize, Vec<f64>)> {
    (0..FEATURE_COUNT).map(move |feature| (feature, rows.iter().map(|row| matrix.value(*row, feature)).collect()))
}

fn boosting(matrix: &Matrix, rows: &[usize], settings: Boosting) -> Result<Scorer, LearningError> {
    let dataset = DatasetBase::new(matrix.select(rows), Array1::from_vec(pick(matrix.abusive(), rows)));
    Ok(Scorer::Trees(settings.fit(&dataset).map_err(|error| failed("boosting")(error.to_string()))?))
}

type LinfaTree = DecisionTree<f64, usize>;

/// A linfa tree whose rows weigh so that both classes are equal. The odd factor keeps any two leaf weights from being equal, because linfa
/// breaks ties by the order of a hash map, which differs from run to run.
#[derive(Debug, Clone)]
struct BalancedTree {
    depth_max: usize,
    leaf_weight_min: f32,
}

const TIE_BREAKER: f32 = 1.000_37;

impl Fit<Array2<f64>, Array1<usize>, linfa::Error> for BalancedTree {
    type Object = LinfaTree;

    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^24")]
    fn fit(&self, dataset: &DatasetBase<Array2<f64>, Array1<usize>>) -> Result<LinfaTree, linfa::Error> {
        let abusive = dataset.targets.iter().filter(|class| **class == 1).count();
        let honest = dataset.targets.len() - abusive;
        let lift = (honest as f32 / abusive.max(1) as f32).max(1.0) * TIE_BREAKER;
        let weights = dataset.targets.mapv(|class| if class == 1 { lift } else { 1.0 });
        let weighted = DatasetBase::new(dataset.records.clone(), dataset.targets.clone()).with_weights(weights);
        let params =
            LinfaTree::params().max_depth(Some(self.depth_max)).min_weight_leaf(self.leaf_weight_min).min_impurity_decrease(1e-6);
        params.check()?.fit(&weighted)
    }
}

fn linfa_dataset(matrix: &Matrix, rows: &[usize]) -> (DatasetBase<Array2<f64>, Array1<usize>>, Vec<usize>) {
    let used: Vec<usize> = columns(matrix, rows)
        .filter(|(_, column)| column.windows(2).any(|pair| pair[0] != pair[1]))
        .map(|(feature, _)| feature)
        .collect();
    let records = Array2::from_shape_fn((rows.len(), used.len()), |(row, column)| matrix.value(rows[row], used[column]));
    let targets = Array1::from_iter(rows.iter().map(|row| usize::from(matrix.abusive()[*row])));
    (DatasetBase::new(records, targets), used)
}

/// Leaves hold the smoothed share of abusive training rows, so the margin is the mean share over the trees.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn forest(matrix: &Matrix, rows: &[usize], seed: u64) -> Result<Scorer, LearningError> {
    let (dataset, used) = linfa_dataset(matrix, rows);
    let tree = BalancedTree { depth_max: 8, leaf_weight_min: 4.0 };
    let random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let params =
        EnsembleLearnerParams::new_fixed_rng(tree, random).ensemble_size(40).bootstrap_proportion(0.7).feature_proportion(0.4);
    let fitted = params.fit(&dataset).map_err(|error| failed("forest")(error.to_string()))?;
    let mut flat = Flattened::default();
    for (tree, features) in fitted.models.iter().zip(&fitted.model_features) {
        let to_catalogue: Vec<usize> = features.iter().map(|at| used[*at]).collect();
        flat.add(tree, &to_catalogue);
    }
    let base = pick(matrix.abusive(), rows).iter().filter(|bad| **bad).count() as f64 / rows.len() as f64;
    let scale = 1.0 / fitted.models.len().max(1) as f64;
    Ok(Scorer::Trees(flat.with_shares(matrix, rows, base, scale)))
}

/// The margin is the weighted vote, between -1 and 1.
fn adaboost(matrix: &Matrix, rows: &[usize], seed: u64) -> Result<Scorer, LearningError> {
    let (dataset, used) = linfa_dataset(matrix, rows);
    let tree = BalancedTree { depth_max: 3, leaf_weight_min: 4.0 };
    let random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let params = AdaBoostParams::new_fixed_rng(tree, random).n_estimators(40).learning_rate(0.5);
    let fitted = params.fit(&dataset).map_err(|error| failed("adaboost")(error.to_string()))?;
    Ok(Scorer::Trees(flatten_votes(&fitted.models, &fitted.model_weights, &used)))
}

fn flatten_votes(models: &[LinfaTree], weights: &[f64], used: &[usize]) -> Trees {
    let total: f64 = weights.iter().sum();
    let mut flat = Flattened::default();
    for (tree, weight) in models.iter().zip(weights) {
        let from = flat.nodes.len();
        flat.add(tree, used);
        for node in from..flat.nodes.len() {
            let vote = if flat.classes[node] == 1 { 1.0 } else { -1.0 };
            flat.values[node] = if flat.nodes[node].feature == LEAF { vote * weight / total } else { 0.0 };
        }
    }
    flat.settle_inner_values();
    flat.into_trees()
}

/// linfa trees as one array of nodes.
#[derive(Default)]
struct Flattened {
    roots: Vec<u32>,
    nodes: Vec<Split>,
    values: Vec<f64>,
    classes: Vec<usize>,
}

impl Flattened {
    fn add(&mut self, tree: &LinfaTree, to_catalogue: &[usize]) {
        self.roots.push(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.push(tree.root_node(), to_catalogue);
    }

    /// Depth first; a child stands after its parent. Absent is below every threshold, so it goes left as in linfa.
    fn push(&mut self, node: &TreeNode<f64, usize>, to_catalogue: &[usize]) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Split { threshold: 0.0, feature: LEAF, left: 0, right: 0, absent: 0 });
        self.values.push(0.0);
        self.classes.push(node.prediction().unwrap_or_default());
        if let [Some(left), Some(right)] = node.children().as_slice()
            && !node.is_leaf()
        {
            let (feature, split_value, _) = node.split();
            let left_at = self.push(left, to_catalogue);
            let right_at = self.push(right, to_catalogue);
            let step = |child: usize| u16::try_from(child - at).unwrap_or(0);
            let absent = if split_value > crate::screening::features::ABSENT { left_at } else { right_at };
            // linfa predicts with `<`, this crate with `<=`.
            let threshold = split_value.next_down();
            self.nodes[at] = Split {
                threshold,
                feature: place(to_catalogue[feature]),
                left: step(left_at),
                right: step(right_at),
                absent: step(absent),
            };
        }
        at
    }

    /// Leaf and inner values from the rows that pass through them.
    fn with_shares(mut self, matrix: &Matrix, rows: &[usize], base: f64, scale: f64) -> Trees {
        let mut counts = vec![(0.0_f64, 0.0_f64); self.nodes.len()];
        for row in rows {
            let bad = f64::from(u8::from(matrix.abusive()[*row]));
            for root in &self.roots {
                let mut at = *root as usize;
                loop {
                    counts[at].0 += bad;
                    counts[at].1 += 1.0;
                    let node = &self.nodes[at];
                    if node.feature == LEAF {
                        break;
                    }
                    let value = matrix.value(*row, usize::from(node.feature));
                    at += usize::from(if value < 0.0 {
                        node.absent
                    } else if value <= node.threshold {
                        node.left
                    } else {
                        node.right
                    });
                }
            }
        }
        for (value, (bad, all)) in self.values.iter_mut().zip(counts) {
            *value = scale * (bad + 2.0 * base) / (all + 2.0);
        }
        self.into_trees()
    }

    /// Inner nodes take the mean of their children, for explanations. Children stand later, so one pass from the end is enough.
    fn settle_inner_values(&mut self) {
        for at in (0..self.nodes.len()).rev().filter(|at| self.nodes[*at].feature != LEAF).collect::<Vec<_>>() {
            let Split { left, right, .. } = self.nodes[at];
            self.values[at] = f64::midpoint(self.values[at + usize::from(left)], self.values[at + usize::from(right)]);
        }
    }

    fn into_trees(self) -> Trees {
        Trees { intercept: 0.0, roots: self.roots.into(), nodes: self.nodes.into(), values: self.values.into() }
    }
}

#[cfg(test)]
mod tests {
    use linfa::traits::Predict;

    use super::*;
    use crate::offline::learning::{metrics, synthetic};

    #[test]
    fn flattened_adaboost_votes_as_linfa_predicts() {
        let matrix = synthetic::matrix(800, 3);
        let rows: Vec<usize> = (0..matrix.len()).collect();
        let (dataset, used) = linfa_dataset(&matrix, &rows);
        let tree = BalancedTree { depth_max: 3, leaf_weight_min: 2.0 };
        let fitted =
            AdaBoostParams::new_fixed_rng(tree, Xoshiro256PlusPlus::seed_from_u64(1)).n_estimators(12).fit(&dataset).unwrap();
        let theirs: Array1<usize> = fitted.predict(dataset.records());
        let ours = Scorer::Trees(flatten_votes(&fitted.models, &fitted.model_weights, &used));
        for (row, class) in theirs.iter().enumerate() {
            assert_eq!(usize::from(ours.margin(matrix.features(row).values()) > 0.0), *class);
        }
    }

    #[test]
    fn every_family_ranks_better_than_chance_and_gives_a_usable_model() {
        let matrix = synthetic::matrix(2_400, 3);
        let (fit, test): (Vec<usize>, Vec<usize>) = (0..matrix.len()).partition(|row| row % 3 != 0);
        for family in Family::ALL {
            let scorer = family.fit(&matrix, &fit, 1).unwrap();
            let margins: Vec<f64> = test.iter().map(|row| scorer.margin(matrix.features(*row).values())).collect();
            let auc = metrics::roc_auc(&margins, &pick(matrix.abusive(), &test));
            assert!(auc > 0.7, "{}: {auc}", family.name());
        }
    }

    #[test]
    fn a_forest_is_the_same_from_run_to_run() {
        let matrix = synthetic::matrix(900, 3);
        let rows: Vec<usize> = (0..matrix.len()).collect();
        assert_eq!(Family::Forest.fit(&matrix, &rows, 1).unwrap(), Family::Forest.fit(&matrix, &rows, 1).unwrap());
    }
}
