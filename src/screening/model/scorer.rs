//! Scorers: from a feature vector to a margin, by the kind of estimator. Plain numbers, no allocation, no library.
//!
//! Offline training flattens its estimators to these, and tests hold them equal to the estimators' own predictions.

use super::{ModelError, ascends, not_usable};
use crate::screening::features::FEATURE_COUNT;

pub(super) type Values = [f64; FEATURE_COUNT];

/// The numbers of a scorer.
#[derive(Debug, Clone, PartialEq)]
pub enum Scorer {
    /// Log-odds linear in the standardised features.
    Linear(Linear),
    /// Log-odds by interval of each feature.
    Scorecard(Scorecard),
    /// A sum of decision trees.
    Trees(Trees),
}

/// A linear scorer.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// The margin of the average row.
    pub intercept: f64,
    /// One for each feature in use.
    pub terms: Box<[LinearTerm]>,
}

/// One feature of a linear scorer: `weight * (value - centre) / spread`, or a constant when absent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearTerm {
    /// The feature's place in the catalogue.
    pub feature: u16,
    /// The mean in training.
    pub centre: f64,
    /// The standard deviation in training. Above zero.
    pub spread: f64,
    /// In margin for each standard deviation.
    pub weight: f64,
    /// In margin, when the feature is absent.
    pub absent: f64,
}

/// A scorecard: each feature's interval has its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Scorecard {
    /// The margin before any feature speaks.
    pub intercept: f64,
    /// One for each feature in use.
    pub features: Box<[BinnedFeature]>,
}

/// One feature of a scorecard.
#[derive(Debug, Clone, PartialEq)]
pub struct BinnedFeature {
    /// The feature's place in the catalogue.
    pub feature: u16,
    /// Upper edges of the intervals but the last; a value on an edge lies below it. Ascending.
    pub edges: Box<[f64]>,
    /// In margin, one for each interval: one more than edges.
    pub points: Box<[f64]>,
    /// In margin, when the feature is absent.
    pub absent: f64,
    /// The mean points in training: what the feature adds for the average row.
    pub centre: f64,
}

/// A sum of decision trees over one array of nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Trees {
    /// The margin before any tree speaks.
    pub intercept: f64,
    /// Where each tree begins.
    pub roots: Box<[u32]>,
    /// All nodes; children stand after their parent.
    pub nodes: Box<[Split]>,
    /// What each node's rows had on average in training: leaves add theirs, inner nodes serve the explanation.
    pub values: Box<[f64]>,
}

/// A node of a tree.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Values up to this go left. Unused in a leaf.
    pub threshold: f64,
    /// The feature's place in the catalogue, or [`LEAF`].
    pub feature: u16,
    /// Where values up to the threshold go: distance from this node.
    pub left: u16,
    /// Where larger values go: distance from this node.
    pub right: u16,
    /// Where absent values go: distance from this node; equals `left` or `right`.
    pub absent: u16,
}

/// Marks a leaf.
pub const LEAF: u16 = u16::MAX;

impl Split {
    /// The way of a value: distance from this node.
    fn next(&self, value: f64) -> usize {
        usize::from(if value < 0.0 {
            self.absent
        } else if value <= self.threshold {
            self.left
        } else {
            self.right
        })
    }
}

impl Scorer {
    /// The margin of a vector. Allocates nothing.
    #[must_use]
    pub fn margin(&self, values: &Values) -> f64 {
        match self {
            Self::Linear(linear) => linear.intercept + linear.terms.iter().map(|term| term.points(values)).sum::<f64>(),
            Self::Scorecard(card) => card.intercept + card.features.iter().map(|binned| binned.points_of(values)).sum::<f64>(),
            Self::Trees(trees) => trees.margin(values),
        }
    }

    /// Adds what each feature contributes against the average row, and returns the average row's margin. Allocates nothing.
    pub fn explain(&self, values: &Values, contributions: &mut Values) -> f64 {
        match self {
            Self::Linear(linear) => {
                for term in &linear.terms {
                    contributions[usize::from(term.feature)] += term.points(values);
                }
                linear.intercept
            }
            Self::Scorecard(card) => {
                let mut base = card.intercept;
                for binned in &card.features {
                    contributions[usize::from(binned.feature)] += binned.points_of(values) - binned.centre;
                    base += binned.centre;
                }
                base
            }
            Self::Trees(trees) => trees.explain(values, contributions),
        }
    }

    pub(super) fn check(&self) -> Result<(), ModelError> {
        match self {
            Self::Linear(linear) => linear.check(),
            Self::Scorecard(card) => card.check(),
            Self::Trees(trees) => trees.check(),
        }
    }
}

fn check_feature(feature: u16) -> Result<(), ModelError> {
    if usize::from(feature) < FEATURE_COUNT {
        Ok(())
    } else {
        Err(not_usable("scorer", format!("there is no feature {feature}")))
    }
}

fn check_finite(numbers: impl IntoIterator<Item = f64>) -> Result<(), ModelError> {
    if numbers.into_iter().all(f64::is_finite) { Ok(()) } else { Err(not_usable("scorer", "a number is not finite")) }
}

impl Linear {
    fn check(&self) -> Result<(), ModelError> {
        check_finite([self.intercept])?;
        for term in &self.terms {
            check_feature(term.feature)?;
            check_finite([term.centre, term.spread, term.weight, term.absent])?;
            if term.spread <= 0.0 {
                return Err(not_usable("scorer", "a standard deviation is not above zero"));
            }
        }
        Ok(())
    }
}

impl LinearTerm {
    fn points(&self, values: &Values) -> f64 {
        let value = values[usize::from(self.feature)];
        if value < 0.0 { self.absent } else { self.weight * ((value - self.centre) / self.spread) }
    }
}

impl Scorecard {
    fn check(&self) -> Result<(), ModelError> {
        check_finite([self.intercept])?;
        for binned in &self.features {
            check_feature(binned.feature)?;
            check_finite(binned.points.iter().copied().chain([binned.absent, binned.centre]))?;
            if !ascends(&binned.edges) || binned.points.len() != binned.edges.len() + 1 {
                return Err(not_usable(
                    "scorer",
                    format!("the intervals of feature {} do not ascend or lack points", binned.feature),
                ));
            }
        }
        Ok(())
    }
}

impl BinnedFeature {
    fn points_of(&self, values: &Values) -> f64 {
        let value = values[usize::from(self.feature)];
        if value < 0.0 {
            return self.absent;
        }
        self.points[self.edges.partition_point(|edge| *edge < value)]
    }
}

impl Trees {
    fn margin(&self, values: &Values) -> f64 {
        let mut sum = self.intercept;
        for root in &self.roots {
            let mut at = *root as usize;
            while self.nodes[at].feature != LEAF {
                let node = &self.nodes[at];
                at += node.next(values[usize::from(node.feature)]);
            }
            sum += self.values[at];
        }
        sum
    }

    fn explain(&self, values: &Values, contributions: &mut Values) -> f64 {
        let mut base = self.intercept;
        for root in &self.roots {
            let mut at = *root as usize;
            base += self.values[at];
            while self.nodes[at].feature != LEAF {
                let node = &self.nodes[at];
                let feature = usize::from(node.feature);
                let next = at + node.next(values[feature]);
                contributions[feature] += self.values[next] - self.values[at];
                at = next;
            }
        }
        base
    }

    /// INVARIANT: children stand strictly after their parent and inside the array, so every walk ends.
    fn check(&self) -> Result<(), ModelError> {
        check_finite([self.intercept])?;
        check_finite(self.values.iter().copied())?;
        if self.values.len() != self.nodes.len() || self.roots.iter().any(|root| *root as usize >= self.nodes.len()) {
            return Err(not_usable("scorer", "nodes, values and roots do not fit each other"));
        }
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.feature != LEAF) {
            check_feature(node.feature)?;
            check_finite([node.threshold])?;
            let inside = |step: u16| step > 0 && at + usize::from(step) < self.nodes.len();
            if !inside(node.left) || !inside(node.right) || (node.absent != node.left && node.absent != node.right) {
                return Err(not_usable("scorer", format!("node {at} leads nowhere")));
            }
        }
        Ok(())
    }
}
