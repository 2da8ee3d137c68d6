//! Gradient boosting of decision trees on binned features, as a `linfa` estimator. linfa has none, and its AdaBoost costs fifteen times as
//! much for less precision (`docs/decisions/0007-learning.md`).
//!
//! Second-order boosting of the log loss (Friedman 2001; Chen, Guestrin 2016) with histograms over sparse bins (Ke et al. 2017): rows whose
//! value is a feature's most frequent one are not touched, and their sums follow by subtraction. Absent values have their own bin and go where
//! they help. A feature that speaks for abuse can only raise the score as it rises. Single-threaded and exact
//! in its order of additions, so the same data and seed give the same bytes. Called by `estimators`.

use linfa::DatasetBase;
use linfa::traits::Fit;
use ndarray::{Array1, Array2};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::screening::features::{CATALOGUE, Direction};
use crate::screening::model::{LEAF, Split, Trees};

/// How to boost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Boosting {
    /// Trees.
    pub trees: usize,
    /// Leaves of a tree at most.
    pub leaves_max: usize,
    /// Splits from root to leaf at most.
    pub depth_max: u8,
    /// Share of each tree's answer that is added. Range: (0, 1].
    pub learning_rate: f64,
    /// L2 on leaf values.
    pub l2: f64,
    /// Least second-order weight of a leaf.
    pub leaf_weight_min: f64,
    /// Share of rows that each tree sees. Range: (0, 1].
    pub row_share: f64,
    /// Share of features that each tree sees. Range: (0, 1].
    pub feature_share: f64,
    /// Bins of a feature at most, absent not counted. Range: 2 to 255.
    pub bins_max: usize,
    /// Seed of rows and features.
    pub seed: u64,
}

impl Default for Boosting {
    fn default() -> Self {
        Self {
            trees: 300,
            leaves_max: 15,
            depth_max: 8,
            learning_rate: 0.06,
            l2: 2.0,
            leaf_weight_min: 2.0,
            row_share: 0.8,
            feature_share: 0.6,
            bins_max: 96,
            seed: 0,
        }
    }
}

impl Fit<Array2<f64>, Array1<bool>, linfa::Error> for Boosting {
    type Object = Trees;

    /// Fits columns in catalogue order. Row weights of the dataset are honoured.
    fn fit(&self, dataset: &DatasetBase<Array2<f64>, Array1<bool>>) -> Result<Trees, linfa::Error> {
        let abusive = dataset.targets.as_slice().unwrap_or_default();
        if abusive.len() != dataset.records.nrows() || !abusive.contains(&true) || !abusive.contains(&false) {
            return Err(linfa::Error::Parameters("boosting needs rows of both kinds".to_owned()));
        }
        Ok(Booster::new(self, dataset).run(abusive))
    }
}

/// Bins of one feature: bin 0 is absent, bin `b` holds present values up to `edges[b - 1]`, the last one all above.
struct Bins {
    feature: usize,
    edges: Vec<f64>,
    /// Where this feature's bins begin among all bins.
    offset: usize,
    /// The bin of most rows.
    usual: usize,
    /// 1 rises, -1 falls, 0 neither.
    direction: i8,
}

impl Bins {
    fn count(&self) -> usize {
        self.edges.len() + 2
    }

    fn bin(&self, value: f64) -> usize {
        if value < 0.0 { 0 } else { 1 + self.edges.partition_point(|edge| *edge < value) }
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    gradient: f64,
    weight: f64,
}

impl Sums {
    fn plus(self, other: Self) -> Self {
        Self { gradient: self.gradient + other.gradient, weight: self.weight + other.weight }
    }

    fn minus(self, other: Self) -> Self {
        Self { gradient: self.gradient - other.gradient, weight: self.weight - other.weight }
    }
}

#[derive(Clone, Copy)]
struct Candidate {
    gain: f64,
    place: usize,
    bin: usize,
    absent_left: Way,
    left: Sums,
    right: Sums,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Left,
    Right,
}

struct Leaf {
    node: usize,
    depth: u8,
    rows: Vec<u32>,
    histogram: Vec<Sums>,
    low: f64,
    high: f64,
    best: Option<Candidate>,
}

struct Booster<'a> {
    settings: &'a Boosting,
    bins: Vec<Bins>,
    bins_total: usize,
    /// For each row, where its unusual bins begin in `entries`.
    starts: Vec<u32>,
    /// Places among all bins.
    entries: Vec<u16>,
    /// Bin of each row by feature in use, row by row.
    row_bins: Vec<u8>,
    weights: Vec<f64>,
}

struct Grown {
    nodes: Vec<Split>,
    values: Vec<f64>,
}

impl<'a> Booster<'a> {
    fn new(settings: &'a Boosting, dataset: &DatasetBase<Array2<f64>, Array1<bool>>) -> Self {
        let records = &dataset.records;
        let rows = records.nrows();
        let mut bins: Vec<Bins> = Vec::new();
        let mut offset = 0;
        for feature in 0..records.ncols() {
            let column: Vec<f64> = records.column(feature).to_vec();
            if let Some(found) = bin_column(settings, feature, &column, offset) {
                offset += found.count();
                bins.push(found);
            }
        }
        let mut row_bins = vec![0_u8; rows * bins.len()];
        let (mut starts, mut entries) = (Vec::with_capacity(rows + 1), Vec::new());
        for (row, values) in records.outer_iter().enumerate() {
            starts.push(u32::try_from(entries.len()).unwrap_or(u32::MAX));
            for (place, of_feature) in bins.iter().enumerate() {
                let bin = of_feature.bin(values[of_feature.feature]);
                row_bins[row * bins.len() + place] = u8::try_from(bin).unwrap_or(u8::MAX);
                if bin != of_feature.usual {
                    entries.push(u16::try_from(of_feature.offset + bin).unwrap_or(u16::MAX));
                }
            }
        }
        starts.push(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        let weights = (0..rows).map(|row| f64::from(dataset.weight_for(row))).collect();
        Self { settings, bins, bins_total: offset, starts, entries, row_bins, weights }
    }

    fn run(&self, abusive: &[bool]) -> Trees {
        let rows = abusive.len();
        let truth: Vec<f64> = abusive.iter().map(|bad| f64::from(u8::from(*bad))).collect();
        let total: f64 = self.weights.iter().sum();
        let positive: f64 = truth.iter().zip(&self.weights).map(|(y, w)| y * w).sum();
        let intercept = (positive / (total - positive)).ln();
        let mut margins = vec![intercept; rows];
        let mut random = Xoshiro256PlusPlus::seed_from_u64(self.settings.seed);
        let mut gradients = vec![Sums::default(); rows];
        let mut forest = Trees { intercept, roots: Box::new([]), nodes: Box::new([]), values: Box::new([]) };
        let (mut roots, mut nodes, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.settings.trees {
            for row in 0..rows {
                let p = crate::screening::decision::logistic(margins[row]);
                let w = self.weights[row];
                gradients[row] = Sums { gradient: w * (p - truth[row]), weight: (w * p * (1.0 - p)).max(1e-12) };
            }
            let grown = self.grow(&gradients, &mut random);
            for (row, margin) in margins.iter_mut().enumerate() {
                *margin += grown.values[self.leaf_of(&grown.nodes, row)];
            }
            roots.push(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
            nodes.extend(grown.nodes.into_iter().map(|node| self.with_catalogue_feature(node)));
            values.extend(grown.values);
        }
        (forest.roots, forest.nodes, forest.values) = (roots.into(), nodes.into(), values.into());
        forest
    }

    /// While growing, a node's feature is its place in `bins` and its threshold the bin; afterwards both are those of the catalogue.
    fn with_catalogue_feature(&self, node: Split) -> Split {
        if node.feature == LEAF {
            return node;
        }
        let bins = &self.bins[usize::from(node.feature)];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bin number below 256")]
        let bin = node.threshold as usize;
        let threshold = bin.checked_sub(1).and_then(|at| bins.edges.get(at)).copied().unwrap_or(f64::MAX);
        Split { threshold, feature: u16::try_from(bins.feature).unwrap_or(LEAF), ..node }
    }

    fn leaf_of(&self, nodes: &[Split], row: usize) -> usize {
        let bins = &self.row_bins[row * self.bins.len()..(row + 1) * self.bins.len()];
        let mut at = 0;
        while nodes[at].feature != LEAF {
            at += usize::from(step(&nodes[at], bins[usize::from(nodes[at].feature)]));
        }
        at
    }

    fn grow(&self, gradients: &[Sums], random: &mut Xoshiro256PlusPlus) -> Grown {
        let settings = self.settings;
        let all_rows = u32::try_from(gradients.len()).unwrap_or(u32::MAX);
        let rows: Vec<u32> = (0..all_rows).filter(|_| settings.row_share >= 1.0 || random.gen_bool(settings.row_share)).collect();
        let mut places: Vec<usize> = (0..self.bins.len()).collect();
        places.shuffle(random);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "at most some hundred features"
        )]
        places.truncate(((places.len() as f64 * settings.feature_share).ceil() as usize).max(1));
        places.sort_unstable();
        let mut grown = Grown { nodes: vec![leaf_node()], values: Vec::new() };
        let mut root = Leaf {
            node: 0,
            depth: 0,
            histogram: self.histogram(&rows, gradients),
            rows,
            low: f64::NEG_INFINITY,
            high: f64::INFINITY,
            best: None,
        };
        let total = self.total(&root.histogram);
        grown.values.push(self.value(total, &root));
        root.best = self.best_split(&root, &places);
        let mut leaves = vec![root];
        while leaves.len() < settings.leaves_max {
            let gain = |leaf: &Leaf| leaf.best.map_or(0.0, |best| best.gain);
            let Some(place) = (0..leaves.len())
                .filter(|place| leaves[*place].best.is_some())
                .max_by(|a, b| gain(&leaves[*a]).total_cmp(&gain(&leaves[*b])).then(b.cmp(a)))
            else {
                break;
            };
            let leaf = leaves.swap_remove(place);
            let Some(best) = leaf.best else { break };
            let (left, right) = self.split(leaf, best, gradients, &mut grown);
            for mut child in [left, right] {
                if child.depth < settings.depth_max {
                    child.best = self.best_split(&child, &places);
                }
                leaves.push(child);
            }
        }
        grown
    }

    fn split(&self, leaf: Leaf, best: Candidate, gradients: &[Sums], grown: &mut Grown) -> (Leaf, Leaf) {
        let Leaf { node, depth, rows, mut histogram, low, high, best: _ } = leaf;
        let (left_node, right_node) = (grown.nodes.len(), grown.nodes.len() + 1);
        let step_to = |child: usize| u16::try_from(child - node).unwrap_or(LEAF);
        let (left_step, right_step) = (step_to(left_node), step_to(right_node));
        #[expect(clippy::cast_precision_loss, reason = "a bin number below 256")]
        let split = Split {
            threshold: best.bin as f64,
            feature: u16::try_from(best.place).unwrap_or(LEAF),
            left: left_step,
            right: right_step,
            absent: if best.absent_left == Way::Left { left_step } else { right_step },
        };
        grown.nodes[node] = split;
        let width = self.bins.len();
        let goes_left = |row: &u32| step(&split, self.row_bins[*row as usize * width + best.place]) == left_step;
        let (left_rows, right_rows): (Vec<u32>, Vec<u32>) = rows.into_iter().partition(goes_left);
        let smaller_is_left = left_rows.len() <= right_rows.len();
        let smaller = self.histogram(if smaller_is_left { &left_rows } else { &right_rows }, gradients);
        histogram.iter_mut().zip(&smaller).for_each(|(all, part)| *all = all.minus(*part));
        let (left_histogram, right_histogram) = if smaller_is_left { (smaller, histogram) } else { (histogram, smaller) };
        let child = |node, rows, histogram| Leaf { node, depth: depth + 1, rows, histogram, low, high, best: None };
        let mut left = child(left_node, left_rows, left_histogram);
        let mut right = child(right_node, right_rows, right_histogram);
        let (left_value, right_value) = (self.raw_value(best.left).clamp(low, high), self.raw_value(best.right).clamp(low, high));
        let middle = f64::midpoint(left_value, right_value);
        match self.bins[best.place].direction {
            1 => (left.high, right.low) = (high.min(middle), low.max(middle)),
            -1 => (left.low, right.high) = (low.max(middle), high.min(middle)),
            _ => {}
        }
        grown.nodes.extend([leaf_node(), leaf_node()]);
        grown.values.extend([self.value(best.left, &left), self.value(best.right, &right)]);
        (left, right)
    }

    fn raw_value(&self, sums: Sums) -> f64 {
        -sums.gradient / (sums.weight + self.settings.l2)
    }

    fn value(&self, sums: Sums, leaf: &Leaf) -> f64 {
        self.settings.learning_rate * self.raw_value(sums).clamp(leaf.low, leaf.high)
    }

    fn histogram(&self, rows: &[u32], gradients: &[Sums]) -> Vec<Sums> {
        let mut histogram = vec![Sums::default(); self.bins_total + 1];
        let mut total = Sums::default();
        for row in rows {
            let row = *row as usize;
            let sums = gradients[row];
            total = total.plus(sums);
            for entry in &self.entries[self.starts[row] as usize..self.starts[row + 1] as usize] {
                let bin = &mut histogram[usize::from(*entry)];
                bin.gradient += sums.gradient;
                bin.weight += sums.weight;
            }
        }
        for bins in &self.bins {
            let others =
                histogram[bins.offset..bins.offset + bins.count()].iter().fold(Sums::default(), |sum, bin| sum.plus(*bin));
            histogram[bins.offset + bins.usual] = total.minus(others);
        }
        histogram[self.bins_total] = total;
        histogram
    }

    fn total(&self, histogram: &[Sums]) -> Sums {
        histogram[self.bins_total]
    }

    fn best_split(&self, leaf: &Leaf, places: &[usize]) -> Option<Candidate> {
        let total = self.total(&leaf.histogram);
        let mut best: Option<Candidate> = None;
        for place in places {
            let bins = &self.bins[*place];
            let of_feature = &leaf.histogram[bins.offset..bins.offset + bins.count()];
            let absent = of_feature[0];
            let mut below = Sums::default();
            for (bin, sums) in of_feature.iter().enumerate().skip(1) {
                below = below.plus(*sums);
                for absent_left in [Way::Left, Way::Right] {
                    let left = if absent_left == Way::Left { below.plus(absent) } else { below };
                    let candidate = Candidate { gain: 0.0, place: *place, bin, absent_left, left, right: total.minus(left) };
                    if let Some(gain) = self.gain(&candidate, total, leaf, bins.direction)
                        && best.is_none_or(|known| gain > known.gain)
                    {
                        best = Some(Candidate { gain, ..candidate });
                    }
                    // Nobody is absent here: both ways are one, and an absent value will go with the low values.
                    if absent.weight <= 1e-9 {
                        break;
                    }
                }
            }
        }
        best
    }

    fn gain(&self, candidate: &Candidate, total: Sums, leaf: &Leaf, direction: i8) -> Option<f64> {
        let Boosting { l2, leaf_weight_min, .. } = *self.settings;
        let Candidate { left, right, .. } = *candidate;
        if left.weight < leaf_weight_min || right.weight < leaf_weight_min {
            return None;
        }
        let (low, high) = (self.raw_value(left).clamp(leaf.low, leaf.high), self.raw_value(right).clamp(leaf.low, leaf.high));
        if (direction == 1 && low > high) || (direction == -1 && low < high) {
            return None;
        }
        let loss = |sums: Sums, value: f64| sums.gradient * value + 0.5 * (sums.weight + l2) * value * value;
        let whole = self.raw_value(total).clamp(leaf.low, leaf.high);
        let gain = loss(total, whole) - loss(left, low) - loss(right, high);
        (gain > 1e-6).then_some(gain)
    }
}

const fn leaf_node() -> Split {
    Split { threshold: 0.0, feature: LEAF, left: 0, right: 0, absent: 0 }
}

/// The way of a bin while growing, when thresholds are bins.
fn step(node: &Split, bin: u8) -> u16 {
    if bin == 0 {
        node.absent
    } else if f64::from(bin) <= node.threshold {
        node.left
    } else {
        node.right
    }
}

/// `None` for a column that never changes.
fn bin_column(settings: &Boosting, feature: usize, column: &[f64], offset: usize) -> Option<Bins> {
    let edges = edges(column, settings.bins_max.clamp(2, 250));
    let mut bins = Bins { feature, edges, offset, usual: 0, direction: 0 };
    let mut counts = vec![0_usize; bins.count()];
    for value in column {
        counts[bins.bin(*value)] += 1;
    }
    bins.usual = (0..counts.len()).max_by_key(|bin| counts[*bin]).unwrap_or(0);
    bins.direction = match CATALOGUE.get(feature).map(|known| known.direction) {
        Some(Direction::Rises) => 1,
        Some(Direction::Falls) => -1,
        None => 0,
    };
    (counts[bins.usual] < column.len()).then_some(bins)
}

/// Upper edges of at most `bins_max` bins of about equally many present values, in the middle between two values.
pub(super) fn edges(column: &[f64], bins_max: usize) -> Vec<f64> {
    let mut present: Vec<f64> = column.iter().copied().filter(|value| *value >= 0.0).collect();
    present.sort_by(f64::total_cmp);
    let per_bin = present.len().div_ceil(bins_max).max(1);
    let mut edges = Vec::new();
    let mut in_bin = 0;
    for pair in present.windows(2) {
        let [low, high] = pair else { continue };
        in_bin += 1;
        if low < high && in_bin >= per_bin.min(distinct_step(&present, per_bin)) {
            edges.push(f64::midpoint(*low, *high));
            in_bin = 0;
        }
    }
    if edges.len() >= bins_max {
        edges.truncate(bins_max - 1);
    }
    edges
}

/// Columns of few distinct values get a bin for each.
fn distinct_step(sorted: &[f64], per_bin: usize) -> usize {
    let distinct = 1 + sorted.windows(2).filter(|pair| matches!(pair, [a, b] if a < b)).take(33).count();
    if distinct <= 32 { 1 } else { per_bin }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offline::learning::matrix::pick;
    use crate::offline::learning::{metrics, synthetic};
    use crate::screening::features::FEATURE_COUNT;
    use crate::screening::model::Scorer;

    fn fitted(boosting: Boosting) -> (Trees, Vec<f64>, Vec<bool>) {
        let matrix = synthetic::matrix(3_000, 3);
        let (fit, test): (Vec<usize>, Vec<usize>) = (0..matrix.len()).partition(|row| row % 3 != 0);
        let dataset = DatasetBase::new(matrix.select(&fit), Array1::from_vec(pick(matrix.abusive(), &fit)));
        let trees = boosting.fit(&dataset).unwrap();
        let scorer = Scorer::Trees(trees.clone());
        let margins = test.iter().map(|row| scorer.margin(matrix.features(*row).values())).collect();
        (trees, margins, pick(matrix.abusive(), &test))
    }

    #[test]
    fn boosting_finds_what_single_features_do_not_tell() {
        let (_, margins, abusive) = fitted(Boosting { trees: 40, ..Boosting::default() });
        assert!(metrics::average_precision(&margins, &abusive) > 0.6);
    }

    #[test]
    fn the_same_data_and_seed_give_the_same_trees() {
        let boosting = Boosting { trees: 5, ..Boosting::default() };
        assert_eq!(fitted(boosting).0, fitted(boosting).0);
    }

    #[test]
    fn a_feature_that_speaks_for_abuse_never_lowers_the_score_as_it_rises() {
        let matrix = synthetic::matrix(3_000, 3);
        let scorer = Scorer::Trees(fitted(Boosting { trees: 30, ..Boosting::default() }).0);
        for row in (0..matrix.len()).step_by(97) {
            for (feature, known) in CATALOGUE.iter().enumerate().take(FEATURE_COUNT) {
                let margin = |value: f64| {
                    let mut values = *matrix.features(row).values();
                    values[feature] = value;
                    scorer.margin(&values)
                };
                match known.direction {
                    Direction::Rises => assert!(margin(0.1) <= margin(0.9) && margin(0.9) <= margin(50.0), "{}", known.name),
                    Direction::Falls => assert!(margin(0.1) >= margin(0.9) && margin(0.9) >= margin(50.0), "{}", known.name),
                }
            }
        }
    }
}
