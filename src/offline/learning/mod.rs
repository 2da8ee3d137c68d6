//! Learning: from a matrix of features and labels to a calibrated, certified model with its card and report.
//!
//! Offline only. Everything here is a deterministic function of data and seed; nothing reads a clock. The one owner of `linfa` and `ndarray`.
//! `train` and `evaluate` call it; the service never does.
//!
//! ```text
//! matrix ─► folds ─► candidates (estimators) ─► champion ─► calibration ─► certification on groups that no fitting saw ─► model + card + report
//! ```

pub mod binning;
pub mod boosting;
pub mod calibration;
pub mod card;
pub mod certification;
pub mod champion;
pub mod conjunctions;
pub mod error_bound;
pub mod estimators;
pub mod evaluation;
pub mod folds;
mod linear;
pub mod matrix;
pub mod matrix_export;
pub mod metrics;
mod newton;
pub mod parallel;
pub mod report;
pub mod resampling;
pub mod review_threshold;

#[cfg(test)]
pub(crate) mod synthetic;

/// Why learning did not happen.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LearningError {
    /// Too few labels of one kind.
    #[error("{have} {what} are too few to learn from; at least {need} are needed")]
    TooFew {
        /// Of what.
        what: &'static str,
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// An estimator failed.
    #[error("the {family} could not be fitted: {reason}")]
    Fit {
        /// Which estimator.
        family: &'static str,
        /// What it said.
        reason: String,
    },
    /// The fitted numbers do not make a model.
    #[error(transparent)]
    Model(#[from] crate::screening::model::ModelError),
}
