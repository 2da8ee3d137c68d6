//! Small trees, scored without walking them: each interval of each feature knows, for every tree, which leaves a value there leaves possible.
//!
//! A tree has at most sixteen leaves, one bit each. The intervals that a vector's values lie in are taken together bit by bit, many trees at
//! once; one leaf is left in each tree (after Lucchese et al. 2015, QuickScorer). Leaves also know what the features on their path have added,
//! so a score and its explanation cost one pass.
//!
//! Made of [`Trees`] that have been checked, and gives the bits that walking them would. Called by [`Model`](super::Model), and by training for
//! many rows.

use super::scorer::{LEAF, Scorer, Trees, Values};
use crate::screening::features::FEATURE_COUNT;

/// Leaves of a tree at most: one bit each.
const LEAVES_MAX: usize = 16;

/// Trees whose leaves are taken together at once. Judgement: their masks fill half of the vector registers that every x86-64 has.
const BLOCK: usize = 64;

/// Masks at most, so that no file makes a server reserve more than 32 MB for them. Judgement: fifty times what training makes.
const BLOCKS_MAX: usize = 1 << 18;

/// The leaves that remain possible in each tree of a block.
type Masks = [u16; BLOCK];

/// A scorer as masks.
#[derive(Debug, Clone, PartialEq)]
pub struct ScorerMasks(LeafMasks);

impl ScorerMasks {
    /// Nothing when the scorer is not made of small trees: such a scorer is asked itself.
    #[must_use]
    pub fn new(scorer: &Scorer) -> Option<Self> {
        match scorer {
            Scorer::Trees(trees) => Some(Self(LeafMasks::new(trees)?)),
            Scorer::Linear(_) | Scorer::Scorecard(_) => None,
        }
    }

    /// The margin of a vector. Allocates nothing.
    #[must_use]
    pub fn margin(&self, values: &Values) -> f64 {
        self.0.margin(values)
    }

    /// The margin of a vector and of the average row; adds what each feature contributes. Allocates nothing.
    pub(super) fn explain(&self, values: &Values, contributions: &mut Values) -> (f64, f64) {
        self.0.explain(values, contributions)
    }
}

/// Trees as masks.
#[derive(Debug, Clone, PartialEq)]
struct LeafMasks {
    /// The margin before any tree speaks.
    intercept: f64,
    /// The margin of the average row.
    base: f64,
    features: Box<[Intervals]>,
    /// For each block of trees, for each interval of each feature.
    masks: Box<[Masks]>,
    /// Intervals of all features together.
    intervals: usize,
    /// Tree after tree, [`LEAVES_MAX`] each.
    leaves: Box<[Leaf]>,
    /// What the features on the path to each leaf add, leaf after leaf.
    steps: Box<[(u16, f64)]>,
}

/// The intervals of one feature: absent, up to each edge, and above all.
#[derive(Debug, Clone, PartialEq)]
struct Intervals {
    feature: usize,
    /// Thresholds of all nodes that ask for it. Ascending.
    edges: Box<[f64]>,
    /// The place of its first interval among those of all features.
    first: usize,
}

impl Intervals {
    /// The interval of a value. Counting does not branch, and a feature has few edges.
    fn place(&self, value: f64) -> usize {
        #[expect(clippy::neg_cmp_op_on_partial_ord, reason = "what is not a number goes right in a node")]
        let above = || self.edges.iter().filter(|edge| !(value <= **edge)).count();
        self.first + if value < 0.0 { 0 } else { 1 + above() }
    }
}

/// A leaf: its value, and which steps led there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Leaf {
    value: f64,
    from: u32,
    until: u32,
}

impl LeafMasks {
    /// Nothing when a tree has too many leaves, when no tree asks anything, or when all together are too large: such trees are walked.
    fn new(trees: &Trees) -> Option<Self> {
        let features = intervals(trees);
        let intervals = features.iter().map(|feature| feature.edges.len() + 2).sum();
        let blocks = trees.roots.len().div_ceil(BLOCK);
        if intervals == 0 || intervals * blocks > BLOCKS_MAX {
            return None;
        }
        let base = trees.intercept + trees.roots.iter().map(|root| trees.values[*root as usize]).sum::<f64>();
        let mut made = Self {
            intercept: trees.intercept,
            base,
            features,
            masks: vec![[u16::MAX; BLOCK]; intervals * blocks].into(),
            intervals,
            leaves: vec![Leaf::default(); trees.roots.len() * LEAVES_MAX].into(),
            steps: Box::new([]),
        };
        let mut steps = Vec::new();
        for (tree, root) in trees.roots.iter().enumerate() {
            let mut growing = Growing { trees, tree, leaves: 0, path: Vec::new(), steps: &mut steps, made: &mut made };
            growing.descend(*root as usize)?;
        }
        made.steps = steps.into();
        Some(made)
    }

    fn margin(&self, values: &Values) -> f64 {
        let mut sum = self.intercept;
        self.each_leaf(values, |leaf| sum += leaf.value);
        sum
    }

    /// The margin of a vector and of the average row; adds what each feature contributes.
    fn explain(&self, values: &Values, contributions: &mut Values) -> (f64, f64) {
        let mut sum = self.intercept;
        self.each_leaf(values, |leaf| {
            sum += leaf.value;
            for (feature, step) in &self.steps[leaf.from as usize..leaf.until as usize] {
                contributions[usize::from(*feature)] += step;
            }
        });
        (sum, self.base)
    }

    /// Visits the leaf of each tree, in the order of the trees.
    fn each_leaf(&self, values: &Values, mut visit: impl FnMut(&Leaf)) {
        let mut places = [0; FEATURE_COUNT];
        let places = &mut places[..self.features.len()];
        for (place, feature) in places.iter_mut().zip(&self.features) {
            *place = feature.place(values[feature.feature]);
        }
        let blocks = self.masks.chunks_exact(self.intervals);
        for (masks, leaves) in blocks.zip(self.leaves.chunks(BLOCK * LEAVES_MAX)) {
            let mut possible: Masks = [u16::MAX; BLOCK];
            for place in &*places {
                possible.iter_mut().zip(&masks[*place]).for_each(|(possible, mask)| *possible &= mask);
            }
            for (possible, leaves) in possible.into_iter().zip(leaves.as_chunks::<LEAVES_MAX>().0) {
                visit(&leaves[possible.trailing_zeros() as usize % LEAVES_MAX]);
            }
        }
    }
}

/// The features that the nodes ask for, with their thresholds.
fn intervals(trees: &Trees) -> Box<[Intervals]> {
    let mut first = 0;
    let of_feature = |feature: usize| {
        let asks = trees.nodes.iter().filter(|node| node.feature != LEAF && usize::from(node.feature) == feature);
        let mut edges: Vec<f64> = asks.map(|node| node.threshold).collect();
        edges.sort_by(f64::total_cmp);
        // By value, so that both zeros are one.
        edges.dedup();
        let place = first;
        first += if edges.is_empty() { 0 } else { edges.len() + 2 };
        Intervals { feature, edges: edges.into(), first: place }
    };
    (0..FEATURE_COUNT).map(of_feature).filter(|feature| !feature.edges.is_empty()).collect()
}

/// One tree on its way into masks.
struct Growing<'a> {
    trees: &'a Trees,
    tree: usize,
    /// Leaves that it has so far.
    leaves: usize,
    /// What each step from the root to here has added.
    path: Vec<(u16, f64)>,
    steps: &'a mut Vec<(u16, f64)>,
    made: &'a mut LeafMasks,
}

impl Growing<'_> {
    /// Takes in the subtree at a node and gives the bits of its leaves; nothing when the tree has too many of them.
    fn descend(&mut self, at: usize) -> Option<u16> {
        let node = self.trees.nodes[at];
        if self.leaves == LEAVES_MAX || self.path.len() == LEAVES_MAX {
            return None;
        }
        if node.feature == LEAF {
            return self.leaf(self.trees.values[at]);
        }
        let [left, right] = [node.left, node.right].map(|step| {
            let next = at + usize::from(step);
            self.path.push((node.feature, self.trees.values[next] - self.trees.values[at]));
            let bits = self.descend(next);
            self.path.pop();
            bits
        });
        let (left, right) = (left?, right?);
        let feature = self.made.features.iter().find(|feature| feature.feature == usize::from(node.feature))?;
        let lost_when_absent = if node.absent == node.left { right } else { left };
        let lost_above = feature.edges.iter().map(|edge| if *edge <= node.threshold { right } else { left }).chain([left]);
        let first = self.tree / BLOCK * self.made.intervals + feature.first;
        for (masks, lost) in self.made.masks[first..].iter_mut().zip([lost_when_absent].into_iter().chain(lost_above)) {
            masks[self.tree % BLOCK] &= !lost;
        }
        Some(left | right)
    }

    fn leaf(&mut self, value: f64) -> Option<u16> {
        let from = u32::try_from(self.steps.len()).ok()?;
        let mut path = self.path.clone();
        path.sort_by_key(|(feature, _)| *feature);
        for (feature, step) in path {
            match self.steps[from as usize..].last_mut() {
                Some((last, sum)) if *last == feature => *sum += step,
                Some(_) | None => self.steps.push((feature, step)),
            }
        }
        let until = u32::try_from(self.steps.len()).ok()?;
        self.made.leaves[self.tree * LEAVES_MAX + self.leaves] = Leaf { value, from, until };
        self.leaves += 1;
        Some(1 << (self.leaves - 1))
    }
}
