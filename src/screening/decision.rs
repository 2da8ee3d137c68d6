//! The decision: verdict, score, reasons, and the versions of what made it. Pure data with its order of verdicts.

use super::comparability::Comparability;
use super::evidence::{Evidence, EvidenceCode};
use super::features::{self, FeatureVector};
use super::policy::PolicyHash;
use super::rules::RuleHit;
use super::warning::Warning;
use crate::vocabulary::ids::ConversionId;
use crate::vocabulary::time::Timestamp;

/// What Selfsame says of a conversion. Ordered by severity: verdicts combine by maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Verdict {
    /// Clean: rewards may be paid once the payout delay has passed.
    Approved,
    /// Undecided: a reviewer decides.
    InReview,
    /// Certain: rewards are denied.
    Rejected,
}

/// What made the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scored {
    /// The active model.
    ByModel,
    /// The sum of rule weights.
    ByJudgement,
    /// The policy asks for a model and there was none; the score is the judgement's, and nothing is approved.
    ModelMissing,
}

/// One reason for a decision, in a reviewer's words.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// The evidence.
    pub code: EvidenceCode,
    /// How strongly it speaks. Range: (0, 1].
    pub strength: f64,
    /// What it adds to the score, in log-odds.
    pub contribution_log_odds: f64,
    /// The reviewer's sentence.
    pub sentence: String,
}

/// What the referrer may be told. Coarse on purpose: it must not teach evasion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReferrerSafeReason {
    /// The referral is fine.
    None,
    /// It is being checked.
    UnderReview,
    /// It does not meet the programme's terms.
    NotEligible,
    /// This purchase or sign-up was already counted.
    AlreadyCounted,
    /// The purchase was cancelled, or an account closed.
    Cancelled,
}

impl ReferrerSafeReason {
    /// The sentence that may be shown.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::None => "The referral counts.",
            Self::UnderReview => "The referral is being checked. This can take a few days.",
            Self::NotEligible => "The referral does not meet the terms of the programme.",
            Self::AlreadyCounted => "This referral has already been counted.",
            Self::Cancelled => "The referral was cancelled and does not count.",
        }
    }
}

/// What a challenger model would have said.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowScore {
    /// The challenger's version.
    pub model_version: Box<str>,
    /// Its probability. Range: [0, 1].
    pub score: f64,
    /// The verdict that it would have given.
    pub verdict: Verdict,
}

/// What a score is made of: base, contributions and rest add up to its log-odds.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreParts {
    /// The log-odds that a score begins with: those of the model's average referral, or the policy's intercept.
    pub base_log_odds: f64,
    /// What each hit adds, in log-odds, in catalogue order. A hit that is not named adds nothing.
    pub contributions: Vec<(EvidenceCode, f64)>,
    /// What all that was looked for and not found, or could not be looked for, adds together. Zero where rule weights scored.
    pub rest_log_odds: f64,
    /// From here upwards the score asks for a review. Range: (0, 1].
    pub review_threshold: f64,
    /// From here upwards the score asks for a reject; absent when it never does.
    pub reject_threshold: Option<f64>,
}

impl ScoreParts {
    /// The log-odds of the score.
    #[must_use]
    pub fn log_odds(&self) -> f64 {
        self.base_log_odds + self.contributions.iter().map(|(_, part)| part).sum::<f64>() + self.rest_log_odds
    }
}

/// Whether a would-be auto-reject of the model was sent to review for its label. What a rule rejects is not sampled; older records may say so, and
/// [`audited_model`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AuditSample {
    /// It was not.
    NotSampled,
    /// It was.
    Sampled,
}

/// The answer to one conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What is to happen.
    pub verdict: Verdict,
    /// Probability that the referral is abusive. Range: [0, 1].
    pub score: f64,
    /// What made the score.
    pub scored: Scored,
    /// What the score is made of.
    pub score_parts: ScoreParts,
    /// Why: what decided first, then the largest contribution. Empty when nothing spoke against the referral.
    pub reasons: Vec<Reason>,
    /// What may be told to the referrer.
    pub referrer_safe_reason: ReferrerSafeReason,
    /// The rules that hit, in policy order, those in shadow included.
    pub rule_hits: Vec<RuleHit>,
    /// The policy's version.
    pub policy_version: Box<str>,
    /// The hash of the policy's text. All zeros for one without a text.
    pub policy_hash: PolicyHash,
    /// The active model's version; absent without a model.
    pub model_version: Option<Box<str>>,
    /// What the challenger would have said; absent without one.
    pub shadow: Option<ShadowScore>,
    /// The conversion that this one repeats; absent when it is new.
    pub duplicate_of: Option<ConversionId>,
    /// The conversion that it may repeat; absent when it looks like none. A person decides.
    pub looks_like: Option<ConversionId>,
    /// Whether it was sampled for an audit.
    pub audit: AuditSample,
    /// All findings.
    pub evidence: Evidence,
    /// What could be compared between the two sides.
    pub comparability: Comparability,
    /// What the caller should know of what it sent; most have none.
    pub warnings: Vec<Warning>,
    /// When it was made.
    pub decided_at: Timestamp,
}

impl Decision {
    /// The score as a whole number for display. Range: 0 to 99.
    #[must_use]
    pub fn risk_score(&self) -> u8 {
        risk_score(self.score)
    }

    /// The verdict as it would have been without the audit sample: a sampled reject stands as rejected.
    #[must_use]
    pub const fn verdict_without_audit(&self) -> Verdict {
        match self.audit {
            AuditSample::Sampled => Verdict::Rejected,
            AuditSample::NotSampled => self.verdict,
        }
    }

    /// The model whose reject went to review for its label; absent for all other decisions. A sample that a rule rejected all the same was
    /// never looked at, and tells nothing.
    #[must_use]
    pub fn audited_model(&self) -> Option<&str> {
        audited_model(self.audit, self.scored, self.verdict, self.model_version.as_deref())
    }

    /// What the challenger said when it would have given another verdict; absent when it agrees or there was none.
    #[must_use]
    pub fn disagreement(&self) -> Option<&ShadowScore> {
        self.shadow.as_ref().filter(|shadow| shadow.verdict != self.verdict_without_audit())
    }

    /// The model's input, made again from what is kept: bit for bit what was scored.
    #[must_use]
    pub fn features(&self) -> FeatureVector {
        features::project(&self.evidence)
    }
}

/// As [`Decision::audited_model`], for whoever has only these parts of a decision.
#[must_use]
pub fn audited_model(audit: AuditSample, scored: Scored, verdict: Verdict, model_version: Option<&str>) -> Option<&str> {
    let sampled = audit == AuditSample::Sampled && scored == Scored::ByModel && verdict == Verdict::InReview;
    model_version.filter(|_| sampled)
}

/// A probability as a whole number for display. Range: 0 to 99.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "held to 0..=99 before the cast")]
pub fn risk_score(probability: f64) -> u8 {
    (probability * 100.0).floor().clamp(0.0, 99.0) as u8
}

/// The probability with these log-odds.
#[must_use]
pub fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}
