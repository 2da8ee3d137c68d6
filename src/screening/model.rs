//! The scoring model: plain numbers that turn a feature vector into a calibrated probability, and say why.
//!
//! Fitted offline, loaded from a file by an adapter, and used here without any library. A model is bound to the feature catalogue that
//! it was fitted on; one of another catalogue cannot be built.

use super::decision::logistic;
use super::evidence::EvidenceCode;
use super::features::{CATALOGUE, FEATURE_COUNT, FeatureVector};

/// What a model says of one conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelScore {
    /// Calibrated probability that the referral is abusive. Range: [0, 1].
    pub probability: f64,
    /// What each piece of evidence adds, in log-odds; only what matters.
    pub contributions: Vec<(EvidenceCode, f64)>,
}

/// Where a model's probabilities lead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// From here upwards to review. Range: (0, 1].
    pub review: f64,
    /// From here upwards rejected; absent when no threshold could be certified, so that the model rejects nothing by itself.
    pub reject: Option<f64>,
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    version: Box<str>,
    scorer: Scorer,
    thresholds: Thresholds,
}

/// The numbers of a model, by the kind of estimator.
#[derive(Debug, Clone, PartialEq)]
pub enum Scorer {
    /// Log-odds linear in the features.
    Linear {
        /// The intercept, in log-odds.
        intercept: f64,
        /// One weight for each feature, in log-odds for each unit.
        weights: Box<[f64; FEATURE_COUNT]>,
    },
}

impl Model {
    /// A model of these numbers.
    #[must_use]
    pub fn new(version: &str, scorer: Scorer, thresholds: Thresholds) -> Self {
        Self { version: version.into(), scorer, thresholds }
    }

    /// The version that decisions quote.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where its probabilities lead.
    #[must_use]
    pub const fn thresholds(&self) -> Thresholds {
        self.thresholds
    }

    /// Scores one feature vector.
    #[must_use]
    pub fn score(&self, features: &FeatureVector) -> ModelScore {
        match &self.scorer {
            Scorer::Linear { intercept, weights } => {
                let mut log_odds = *intercept;
                let mut contributions: Vec<(EvidenceCode, f64)> = Vec::new();
                for ((value, weight), feature) in features.values().iter().zip(weights.iter()).zip(CATALOGUE.iter()) {
                    let part = value * weight;
                    log_odds += part;
                    match contributions.iter_mut().find(|(code, _)| *code == feature.code) {
                        Some((_, sum)) => *sum += part,
                        None => contributions.push((feature.code, part)),
                    }
                }
                ModelScore { probability: logistic(log_odds), contributions }
            }
        }
    }
}
