//! The scoring model: plain numbers that turn a feature vector into a calibrated probability, and say why.
//!
//! Fitted offline, read from a file by an adapter, and used here without any library. A model is bound to the feature catalogue that it was
//! fitted on: [`Model::from_parts`] refuses one of another catalogue and names what differs. [`Model::probability`] allocates nothing;
//! [`Model::score`] also says which evidence counted. Called by `assess`, by training (to hold it equal to linfa) and by evaluation.

mod calibrator;
pub mod certified;
mod leaf_masks;
mod schema;
mod scorer;

#[cfg(test)]
mod tests;

pub use calibrator::{Calibrator, Knot};
pub use certified::Conjunction;
pub use leaf_masks::ScorerMasks;
pub use schema::{FeatureSpec, SchemaDifference};
pub use scorer::{BinnedFeature, LEAF, Linear, LinearTerm, Scorecard, Scorer, Split, Trees};

use super::decision::logistic;
use super::evidence::EvidenceCode;
use super::features::{ABSENT, CATALOGUE, FEATURE_COUNT, FeatureVector};
use crate::vocabulary::time::Timestamp;

/// What a model says of one conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelScore {
    /// Calibrated probability that the referral is abusive. Range: [0, 1].
    pub probability: f64,
    /// What each piece of evidence adds, in log-odds against the average referral; only what adds anything.
    pub contributions: Vec<(EvidenceCode, f64)>,
    /// The log-odds of the probability: those of the average referral and all contributions.
    pub log_odds: f64,
}

/// Where a model's probabilities lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// From here upwards to review. Range: (0, 1].
    pub review: f64,
    /// From here upwards rejected; absent when no threshold could be certified, so that the score rejects nothing by itself.
    pub reject: Option<f64>,
}

/// The promise behind the reject threshold and the conjunctions together: at most `alpha` of the rejected referrals are honest, with confidence
/// `1 - delta`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Certificate {
    /// Upper bound of the share of honest referrals among the rejected. Range: (0, 1).
    pub alpha: f64,
    /// Probability that the bound does not hold. Range: (0, 1).
    pub delta: f64,
    /// Independent samples that it rejects, on data that no fitting saw: honest referrals one by one, and rings, which are the abusive
    /// referrals of a group. At least `honest_samples`.
    pub rejected_samples: u64,
    /// How many of these were honest.
    pub honest_samples: u64,
    /// Referrals that it rejects, without grouping.
    pub rejected_referrals: u64,
    /// The exact upper bound, of the share of honest among referrals, that was reached; 1 when nothing qualified.
    pub upper_bound: f64,
}

/// How one quantity was spread in training, for drift. Edges ascend; `shares` has one entry more for each interval, and one for absent.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingSpread {
    /// Upper edges of the intervals but the last. Ascending.
    pub edges: Box<[f64]>,
    /// Share of training rows: absent first, then one for each interval. Sums to 1.
    pub shares: Box<[f64]>,
}

impl TrainingSpread {
    /// The place of a value in [`TrainingSpread::shares`].
    #[must_use]
    pub fn place(&self, value: f64) -> usize {
        if value < 0.0 { 0 } else { 1 + self.edges.partition_point(|edge| *edge < value) }
    }

    fn is_valid(&self) -> bool {
        ascends(&self.edges)
            && self.shares.len() == self.edges.len() + 2
            && self.shares.iter().all(|share| (0.0..=1.0).contains(share))
    }
}

/// All numbers of a model, before they are checked.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelParts {
    /// The version that decisions quote. 1 to 128 characters.
    pub version: Box<str>,
    /// The family of the estimator, for example `scorecard`.
    pub family: Box<str>,
    /// The newest event in the training data.
    pub trained_until: Timestamp,
    /// The catalogue that it was fitted on, in order.
    pub features: Vec<FeatureSpec>,
    /// From features to a margin.
    pub scorer: Scorer,
    /// From the margin to log-odds.
    pub calibrator: Calibrator,
    /// Where probabilities lead.
    pub thresholds: Thresholds,
    /// What rejects whatever the score is. Length: 0 to [`certified::CONJUNCTIONS_MAX`]; none when none could be certified.
    pub conjunctions: Vec<Conjunction>,
    /// The promise behind whatever rejects.
    pub certificate: Certificate,
    /// How the score was spread in training.
    pub score_spread: TrainingSpread,
    /// How each feature was spread in training, in catalogue order.
    pub feature_spreads: Vec<TrainingSpread>,
}

/// Why numbers do not make a model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// It was fitted on other features.
    #[error(
        "the model was fitted on other features than this server has: {0}; train it again, or run the server that it was made for"
    )]
    OtherFeatures(SchemaDifference),
    /// The numbers contradict themselves.
    #[error("the model's {part} is not usable: {reason}")]
    NotUsable {
        /// Which part.
        part: &'static str,
        /// What is wrong.
        reason: String,
    },
}

pub(crate) fn not_usable(part: &'static str, reason: impl Into<String>) -> ModelError {
    ModelError::NotUsable { part, reason: reason.into() }
}

pub(crate) fn ascends(edges: &[f64]) -> bool {
    edges.iter().all(|edge| edge.is_finite()) && edges.windows(2).all(|pair| matches!(pair, [a, b] if a < b))
}

/// A fitted model. Valid once it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    parts: ModelParts,
    /// The scorer once more, when it is made of small trees: the same bits, and faster.
    masks: Option<ScorerMasks>,
    /// The calibrated log-odds of the average referral.
    base_log_odds: f64,
}

impl Model {
    /// Checks the numbers and binds them to this server's feature catalogue.
    ///
    /// # Errors
    /// [`ModelError::OtherFeatures`] when the catalogue differs, naming the features; [`ModelError::NotUsable`] when numbers are out of range.
    pub fn from_parts(parts: ModelParts) -> Result<Self, ModelError> {
        schema::check(&parts.features).map_err(ModelError::OtherFeatures)?;
        if parts.version.is_empty() || parts.version.len() > 128 {
            return Err(not_usable("version", "it must have 1 to 128 characters"));
        }
        parts.scorer.check()?;
        parts.calibrator.check()?;
        check_thresholds(parts.thresholds)?;
        let Certificate { alpha, delta, .. } = parts.certificate;
        if !(alpha > 0.0 && alpha < 1.0 && delta > 0.0 && delta < 1.0) {
            return Err(not_usable("certificate", "alpha and delta must lie between 0 and 1"));
        }
        // Written so that a bound that is not a number does not hold.
        let bound_holds = parts.certificate.upper_bound <= alpha;
        let rejects = parts.thresholds.reject.is_some() || !parts.conjunctions.is_empty();
        if rejects && !bound_holds {
            return Err(not_usable("certificate", "the model rejects although its bound is above alpha"));
        }
        if parts.conjunctions.len() > certified::CONJUNCTIONS_MAX {
            return Err(not_usable("conjunctions", format!("there must be at most {}", certified::CONJUNCTIONS_MAX)));
        }
        if parts.feature_spreads.len() != FEATURE_COUNT
            || !parts.feature_spreads.iter().chain([&parts.score_spread]).all(TrainingSpread::is_valid)
        {
            return Err(not_usable("training spread", "it does not fit the features"));
        }
        let masks = ScorerMasks::new(&parts.scorer);
        let base = parts.scorer.explain(&[ABSENT; FEATURE_COUNT], &mut [0.0; FEATURE_COUNT]);
        let base_log_odds = parts.calibrator.log_odds(base);
        Ok(Self { parts, masks, base_log_odds })
    }

    /// The log-odds of the average referral in training, to which contributions are added.
    #[must_use]
    pub const fn base_log_odds(&self) -> f64 {
        self.base_log_odds
    }

    /// The calibrated log-odds that the referral is abusive. Allocates nothing.
    #[must_use]
    pub fn log_odds(&self, features: &FeatureVector) -> f64 {
        self.parts.calibrator.log_odds(self.margin(features))
    }

    /// The version that decisions quote.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.parts.version
    }

    /// The numbers that it was made of.
    #[must_use]
    pub const fn parts(&self) -> &ModelParts {
        &self.parts
    }

    /// Where its probabilities lead.
    #[must_use]
    pub const fn thresholds(&self) -> Thresholds {
        self.parts.thresholds
    }

    /// The first conjunction that holds: such a referral is rejected whatever its score is. With its place in the list.
    #[must_use]
    pub fn conjunction(&self, features: &FeatureVector) -> Option<(usize, &Conjunction)> {
        self.parts.conjunctions.iter().enumerate().find(|(_, conjunction)| conjunction.holds(features.values()))
    }

    /// Whether it may reject anything by itself.
    #[must_use]
    pub fn rejects(&self) -> bool {
        self.parts.thresholds.reject.is_some() || !self.parts.conjunctions.is_empty()
    }

    /// Where a referral stands among those that it would reject, the first to be rejected highest ([`certified::rank`]), and whether it does.
    #[must_use]
    pub fn rank(&self, features: &FeatureVector, probability: f64) -> (f64, bool) {
        let rank = certified::rank(&self.parts.conjunctions, features.values(), probability);
        (rank, rank > 1.0 || self.parts.thresholds.reject.is_some_and(|reject| rank >= reject))
    }

    /// The promise behind whatever rejects.
    #[must_use]
    pub const fn certificate(&self) -> Certificate {
        self.parts.certificate
    }

    /// The score before calibration.
    #[must_use]
    pub fn margin(&self, features: &FeatureVector) -> f64 {
        match &self.masks {
            Some(masks) => masks.margin(features.values()),
            None => self.parts.scorer.margin(features.values()),
        }
    }

    /// Calibrated probability that the referral is abusive. Allocates nothing. Range: [0, 1].
    #[must_use]
    pub fn probability(&self, features: &FeatureVector) -> f64 {
        logistic(self.log_odds(features))
    }

    /// Scores one feature vector, with what each piece of evidence adds.
    ///
    /// Contributions sum to the difference between this score's log-odds and the average referral's. Trees are attributed along the decision
    /// path (Saabas 2014); the calibrator's slope between the two scores scales margins to log-odds.
    #[must_use]
    pub fn score(&self, features: &FeatureVector) -> ModelScore {
        let Explained { contributions: by_feature, slope, log_odds } = self.explain(features);
        let mut by_code = [0.0; EvidenceCode::COUNT];
        for (feature, part) in CATALOGUE.iter().zip(by_feature) {
            by_code[feature.code.index()] += part * slope;
        }
        let contributions = EvidenceCode::ALL.into_iter().zip(by_code).filter(|(_, part)| *part != 0.0).collect();
        ModelScore { probability: logistic(log_odds), contributions, log_odds }
    }

    /// What each feature adds to the calibrated log-odds, in catalogue order.
    #[must_use]
    pub fn feature_contributions(&self, features: &FeatureVector) -> [f64; FEATURE_COUNT] {
        let Explained { contributions, slope, log_odds: _ } = self.explain(features);
        contributions.map(|part| part * slope)
    }

    fn explain(&self, features: &FeatureVector) -> Explained {
        let mut contributions = [0.0; FEATURE_COUNT];
        let (margin, base) = match &self.masks {
            Some(masks) => masks.explain(features.values(), &mut contributions),
            None => (self.margin(features), self.parts.scorer.explain(features.values(), &mut contributions)),
        };
        let calibrator = &self.parts.calibrator;
        let log_odds = calibrator.log_odds(margin);
        let slope = (log_odds - calibrator.log_odds(base)) / (margin - base);
        Explained { contributions, slope: if slope.is_finite() { slope } else { 1.0 }, log_odds }
    }
}

struct Explained {
    contributions: [f64; FEATURE_COUNT],
    slope: f64,
    /// The calibrated score, as [`Model::probability`] makes it.
    log_odds: f64,
}

fn check_thresholds(thresholds: Thresholds) -> Result<(), ModelError> {
    let valid = |threshold: f64| threshold > 0.0 && threshold <= 1.0;
    if valid(thresholds.review) && thresholds.reject.is_none_or(valid) {
        Ok(())
    } else {
        Err(not_usable("thresholds", "each must lie above 0 and not above 1"))
    }
}
