//! The screening core: from two signal bundles and a history to a decision, and from a decision to a payout.
//!
//! Layer 2. Pure: no I/O, no clock, no randomness, no async, no logging. [`assess`] is the place to start reading. The service, `screen`,
//! replay, training and backtests all call it; nothing else decides.
//!
//! ```text
//! conversion + history ─► sides ─► evidence ─► rules ──────────────┐
//!                                      └─► features ─► model ──────┴─► decision
//! ```

pub mod audit;
pub mod case;
pub mod decision;
pub mod evidence;
pub mod explanation;
pub mod features;
pub mod gate;
pub mod history;
pub mod model;
pub mod monitor;
pub mod policy;
pub mod rarity;
pub mod rules;
pub mod similarity;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use self::audit::AuditKey;
use self::decision::{AuditSample, Decision, Reason, ReferrerSafeReason, Scored, ShadowScore, Verdict, logistic};
use self::evidence::{Evidence, EvidenceCode};
use self::features::{Facts, FeatureVector};
use self::history::History;
use self::model::{Model, ModelScore};
use self::policy::{Policy, RuleMode, ScoreSource};
use self::rules::RuleHit;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::time::Timestamp;

/// The models that take part in a decision.
#[derive(Debug, Clone, Copy, Default)]
pub struct Models<'a> {
    /// The one that decides; absent when none is loaded.
    pub active: Option<&'a Model>,
    /// The one that is only watched; absent when none is.
    pub challenger: Option<&'a Model>,
    /// Whether the active model may reject by itself.
    pub auto_reject: AutoReject,
}

/// Whether the active model may reject by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AutoReject {
    /// It may.
    #[default]
    Armed,
    /// The bound on its live error is broken: what it would reject goes to review.
    Tripped,
}

/// What an assessment works with beside the conversion: the same for every conversion until an operator changes it.
#[derive(Debug, Clone, Copy)]
pub struct Rulebook<'a> {
    /// The policy of the programme.
    pub policy: &'a Policy,
    /// The models of the programme.
    pub models: Models<'a>,
    /// The key of the audit sample.
    pub audit_key: &'a AuditKey,
}

/// Evidence, facts and features of a conversion: the part of an assessment that training needs too.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// All findings.
    pub evidence: Evidence,
    /// The plain numbers beside them.
    pub facts: Facts,
    /// The projection of both.
    pub features: FeatureVector,
}

/// Gathers the evidence on a conversion and projects it to features. Online and offline call this same function.
#[must_use]
pub fn observe(conversion: &Conversion, history: &History, policy: &Policy) -> Observation {
    let (referrer, referee) = history.sides(conversion);
    let evidence = evidence::gather(conversion, &referrer, &referee, history, policy.rarity());
    let facts = features::gather(conversion, &referrer, &referee, history);
    let features = features::project(&evidence, &facts);
    Observation { evidence, facts, features }
}

/// Decides a conversion. Pure: the same arguments give the same decision, at any time and on any machine.
///
/// Everything in `history` was known before the conversion. `now` only stamps the decision; all evidence is as of the
/// conversion's own time. Verdicts combine by maximum; nothing defaults to [`Verdict::Approved`].
#[must_use]
pub fn assess(conversion: &Conversion, history: &History, rulebook: Rulebook<'_>, now: Timestamp) -> Decision {
    decide(conversion, history, observe(conversion, history, rulebook.policy), rulebook, now)
}

/// The second half of [`assess`]: from evidence and features to the decision.
#[must_use]
pub fn decide(
    conversion: &Conversion,
    history: &History,
    observed: Observation,
    rulebook: Rulebook<'_>,
    now: Timestamp,
) -> Decision {
    let Rulebook { policy, models, audit_key } = rulebook;
    let Observation { evidence, facts, ref features } = observed;
    let rule_hits: Vec<RuleHit> = policy.rules().iter().filter_map(|rule| rule.evaluate(&evidence)).collect();
    let scoring = Scoring::of(&rule_hits, &evidence, features, policy, models);
    let audit = match scoring.verdict {
        Verdict::Rejected if scoring.scored == Scored::ByModel => {
            audit_key.sample(&conversion.program_id, &conversion.conversion_id, policy.audit().sample_share)
        }
        Verdict::Rejected | Verdict::InReview | Verdict::Approved => AuditSample::NotSampled,
    };
    let by_score = match audit {
        AuditSample::Sampled => Verdict::InReview,
        AuditSample::NotSampled => scoring.verdict,
    };
    let by_rules = rule_hits.iter().map(|hit| verdict_of_mode(hit.mode)).max().unwrap_or(Verdict::Approved);
    let without_score = by_rules.max(verdict_of_invariants(&evidence));
    let verdict = by_score.max(without_score);
    let shadow = models.challenger.map(|challenger| challenge(challenger, &evidence, features, policy, without_score));
    Decision {
        verdict,
        score: scoring.score,
        scored: scoring.scored,
        reasons: reasons(&evidence, &rule_hits, scoring.contributions),
        referrer_safe_reason: referrer_safe(verdict, history),
        rule_hits,
        policy_version: policy.version().into(),
        model_version: models.active.map(|model| model.version().into()),
        shadow,
        duplicate_of: history.duplicate_of.clone(),
        audit,
        evidence,
        facts,
        decided_at: now,
    }
}

/// The score, and what it alone would do.
struct Scoring {
    score: f64,
    scored: Scored,
    verdict: Verdict,
    contributions: Vec<(EvidenceCode, f64)>,
}

impl Scoring {
    fn of(rule_hits: &[RuleHit], evidence: &Evidence, features: &FeatureVector, policy: &Policy, models: Models<'_>) -> Self {
        match (policy.score().source, models.active) {
            (ScoreSource::Model, Some(model)) => {
                let ModelScore { probability, contributions } = score_of(model, evidence, features);
                let verdict = match (model_verdict(model, probability, evidence, policy), models.auto_reject) {
                    (Verdict::Rejected, AutoReject::Tripped) => Verdict::InReview,
                    (verdict, AutoReject::Armed | AutoReject::Tripped) => verdict,
                };
                Self { score: probability, scored: Scored::ByModel, verdict, contributions }
            }
            (ScoreSource::Model, None) => {
                let judged = Self::by_judgement(rule_hits, policy);
                Self { scored: Scored::ModelMissing, verdict: judged.verdict.max(Verdict::InReview), ..judged }
            }
            (ScoreSource::Judgement, _) => Self::by_judgement(rule_hits, policy),
        }
    }

    fn by_judgement(rule_hits: &[RuleHit], policy: &Policy) -> Self {
        let settings = policy.score();
        let log_odds = rule_hits.iter().map(|hit| hit.contribution_log_odds).sum::<f64>() + settings.intercept_log_odds;
        let score = logistic(log_odds);
        let verdict = verdict_of_score(score, settings.review_threshold, Some(settings.reject_threshold));
        Self { score, scored: Scored::ByJudgement, verdict, contributions: Vec::new() }
    }
}

/// Where the model's score leads. A model may find a referral unusual of which nothing is known but what is missing; a reviewer could not say why
/// he looks at it. So the score alone sends nothing to review against which there is no evidence at all.
fn model_verdict(model: &Model, probability: f64, evidence: &Evidence, policy: &Policy) -> Verdict {
    let thresholds = model.thresholds();
    let review_threshold = thresholds.review.min(policy.score().review_threshold);
    let has_a_reason = || evidence.iter().any(|(code, finding)| code != EvidenceCode::Trusted && finding.is_hit());
    match verdict_of_score(probability, review_threshold, thresholds.reject) {
        Verdict::InReview if probability.is_finite() && !has_a_reason() => Verdict::Approved,
        verdict => verdict,
    }
}

/// Without a reject threshold nothing is rejected; a score that is not a number is never approved.
fn verdict_of_score(score: f64, review_threshold: f64, reject_threshold: Option<f64>) -> Verdict {
    if reject_threshold.is_some_and(|threshold| score >= threshold) {
        Verdict::Rejected
    } else if score < review_threshold {
        Verdict::Approved
    } else {
        Verdict::InReview
    }
}

const fn verdict_of_mode(mode: RuleMode) -> Verdict {
    match mode {
        RuleMode::Reject => Verdict::Rejected,
        RuleMode::Review => Verdict::InReview,
        RuleMode::Off | RuleMode::Shadow | RuleMode::Weigh => Verdict::Approved,
    }
}

/// What no policy can switch off: a repeated purchase earns nothing twice, and a referral attached by hand is not approved without a journey.
fn verdict_of_invariants(evidence: &Evidence) -> Verdict {
    let manual_without_journey = evidence[EvidenceCode::ManualAttribution].strength() >= 1.0;
    if evidence[EvidenceCode::DuplicateInvoice].is_hit() {
        Verdict::Rejected
    } else if manual_without_journey {
        Verdict::InReview
    } else {
        Verdict::Approved
    }
}

/// What the challenger would have decided in the active model's place. `without_score`: the verdict of all but the score.
fn challenge(
    challenger: &Model,
    evidence: &Evidence,
    features: &FeatureVector,
    policy: &Policy,
    without_score: Verdict,
) -> ShadowScore {
    let score = challenger.probability(features);
    let verdict = model_verdict(challenger, score, evidence, policy).max(without_score);
    ShadowScore { model_version: challenger.version().into(), score, verdict }
}

/// What the model says. Contributions order the hits, so where nothing hit nobody asks for them: they cost twice what the probability does.
fn score_of(model: &Model, evidence: &Evidence, features: &FeatureVector) -> ModelScore {
    if evidence.hits().next().is_some() {
        model.score(features)
    } else {
        ModelScore { probability: model.probability(features), contributions: Vec::new() }
    }
}

/// The hits in order of contribution: the model's where there is one, else the rules'. Rules that decided are listed whatever the model says.
fn reasons(evidence: &Evidence, rule_hits: &[RuleHit], contributions: Vec<(EvidenceCode, f64)>) -> Vec<Reason> {
    let by_model = !contributions.is_empty();
    let mut weights = contributions;
    for hit in rule_hits.iter().filter(|hit| hit.mode != RuleMode::Shadow) {
        match weights.iter_mut().find(|(code, _)| *code == hit.code) {
            Some((_, weight)) if !by_model => *weight += hit.contribution_log_odds,
            Some(_) => {}
            None => weights.push((hit.code, hit.contribution_log_odds)),
        }
    }
    for code in [EvidenceCode::DuplicateInvoice, EvidenceCode::ManualAttribution] {
        if evidence[code].is_hit() && !weights.iter().any(|(known, _)| *known == code) {
            weights.push((code, 0.0));
        }
    }
    weights.retain(|(code, _)| evidence[*code].is_hit());
    weights.sort_by(|(code_a, a), (code_b, b)| b.total_cmp(a).then(code_a.cmp(code_b)));
    let reason = |(code, contribution_log_odds): (EvidenceCode, f64)| {
        let finding = &evidence[code];
        Reason { code, strength: finding.strength(), contribution_log_odds, sentence: explanation::sentence(code, finding) }
    };
    weights.into_iter().map(reason).collect()
}

fn referrer_safe(verdict: Verdict, history: &History) -> ReferrerSafeReason {
    match verdict {
        Verdict::Approved => ReferrerSafeReason::None,
        Verdict::InReview => ReferrerSafeReason::UnderReview,
        Verdict::Rejected if history.duplicate_of.is_some() => ReferrerSafeReason::AlreadyCounted,
        Verdict::Rejected => ReferrerSafeReason::NotEligible,
    }
}
