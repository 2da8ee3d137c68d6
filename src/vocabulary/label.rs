//! Labels: the truth that models learn from, kept apart from the state of a case.

use super::time::Timestamp;

/// Whether a referral was abusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Truth {
    /// Two people, and a referral in good faith.
    Honest,
    /// One person, a ring or a farm.
    Abusive,
}

/// Who says so. Sources differ in delay and in error, so they are never mixed silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LabelSource {
    /// A reviewer resolved the case.
    Reviewer,
    /// The card holder disputed the charge, or it was refunded.
    Chargeback,
    /// The owner of the programme reported it.
    OwnerReport,
    /// A simulator made the referral and knows.
    Simulated,
}

/// The truth about one conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The truth.
    pub truth: Truth,
    /// Who says so.
    pub source: LabelSource,
    /// When it became known; a label is used only by models fitted after this time.
    pub labeled_at: Timestamp,
}
