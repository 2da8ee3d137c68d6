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
pub mod comparability;
pub mod decision;
pub mod evidence;
pub mod explanation;
pub mod features;
pub mod gate;
pub mod history;
pub mod match_weight;
pub mod model;
pub mod monitor;
pub mod placeholders;
pub mod policy;
pub mod rules;
pub mod similarity;
pub mod warning;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use self::audit::AuditKey;
use self::comparability::Comparability;
use self::decision::{AuditSample, Decision, Reason, ReferrerSafeReason, ScoreParts, Scored, ShadowScore, Verdict, logistic};
use self::evidence::{Evidence, EvidenceCode};
use self::features::FeatureVector;
use self::history::History;
use self::model::{Model, ModelScore};
use self::policy::{Policy, RuleMode, ScoreSource};
use self::rules::{Condition, RuleHit};
use self::warning::{Warning, WarningCode};
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::time::Timestamp;

/// From where on the judgement score sends to review when it stands in for a missing model and the policy names no threshold. Judgement: weights of 3.6.
const JUDGEMENT_REVIEW_THRESHOLD: f64 = 0.20;

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

/// Evidence and features of a conversion: the part of an assessment that training needs too.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// All findings.
    pub evidence: Evidence,
    /// The projection of them.
    pub features: FeatureVector,
    /// What could be compared between the two sides.
    pub comparability: Comparability,
    /// What the caller should know of what it sent.
    pub warnings: Vec<Warning>,
}

/// Gathers the evidence on a conversion and projects it to features. Online and offline call this same function.
#[must_use]
pub fn observe(conversion: &Conversion, history: &History) -> Observation {
    let (referrer, referee) = history.sides(conversion);
    let mut warnings = Vec::new();
    let referrer = placeholders::left_out(referrer, Side::Referrer, history, &mut warnings);
    let referee = placeholders::left_out(referee, Side::Referee, history, &mut warnings);
    let (comparability, of_keys) = Comparability::of(&referrer, &referee);
    warnings.extend(of_keys);
    warnings.extend(zero_value(conversion));
    let evidence = evidence::gather(conversion, &referrer, &referee, &comparability, history);
    let features = features::project(&evidence);
    Observation { evidence, features, comparability, warnings }
}

/// A purchase that is worth nothing is told: it may be a trial, and it may be a lost amount.
fn zero_value(conversion: &Conversion) -> Option<Warning> {
    let value = conversion.value.filter(|value| value.amount_minor() == 0)?;
    let sentence = format!("The conversion is worth nothing: 0 {}.", value.currency().as_str());
    Some(Warning { code: WarningCode::ZeroValue, field: "conversion.value".into(), sentence })
}

/// Decides a conversion. Pure: the same arguments give the same decision, at any time and on any machine.
///
/// Everything in `history` was known before the conversion. `now` only stamps the decision; all evidence is as of the
/// conversion's own time. Verdicts combine by maximum; nothing defaults to [`Verdict::Approved`].
#[must_use]
pub fn assess(conversion: &Conversion, history: &History, rulebook: Rulebook<'_>, now: Timestamp) -> Decision {
    decide(conversion, history, observe(conversion, history), rulebook, now)
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
    let Observation { evidence, ref features, comparability, mut warnings } = observed;
    let mut rule_hits: Vec<RuleHit> = policy.rules().iter().filter_map(|rule| rule.evaluate(&evidence)).collect();
    let scoring = Scoring::of(&rule_hits, &evidence, features, policy, models);
    let shadow = models.challenger.map(|challenger| challenge(challenger, &evidence, features, policy, &rule_hits));
    if scoring.scored == Scored::ByModel {
        stand_down(&mut rule_hits, scoring.score, policy);
    }
    let without_score = without_score(&evidence, &rule_hits);
    let audit = match scoring.verdict {
        // What is rejected without the score goes to no reviewer, so its sample would tell nothing.
        Verdict::Rejected if scoring.scored == Scored::ByModel && without_score < Verdict::Rejected => {
            audit_key.sample(&conversion.program_id, &conversion.conversion_id, policy.audit().sample_share)
        }
        Verdict::Rejected | Verdict::InReview | Verdict::Approved => AuditSample::NotSampled,
    };
    let by_score = match audit {
        AuditSample::Sampled => Verdict::InReview,
        AuditSample::NotSampled => scoring.verdict,
    };
    rule_hits.extend(scoring.certified.iter().map(|hit| RuleHit { mode: mode_of_certified(by_score), ..hit.clone() }));
    let verdict = by_score.max(without_score);
    warnings.extend(scoring.warning);
    Decision {
        verdict,
        score: scoring.score,
        scored: scoring.scored,
        score_parts: scoring.parts,
        reasons: reasons(&evidence, &rule_hits, scoring.contributions, verdict),
        referrer_safe_reason: referrer_safe(verdict, history),
        rule_hits,
        policy_version: policy.version().into(),
        policy_hash: policy.hash(),
        model_version: models.active.map(|model| model.version().into()),
        shadow,
        duplicate_of: history.duplicate_of.clone(),
        looks_like: history.looks_like.clone().filter(|_| history.duplicate_of.is_none()),
        audit,
        evidence,
        comparability,
        warnings,
        decided_at: now,
    }
}

/// The score, and what it alone would do.
struct Scoring {
    score: f64,
    scored: Scored,
    verdict: Verdict,
    parts: ScoreParts,
    /// What each piece of evidence adds under the model; empty without one.
    contributions: Vec<(EvidenceCode, f64)>,
    /// What a certified conjunction of the model found, one for each of its demands. What it may do follows from the audit sample and the breaker.
    certified: Vec<RuleHit>,
    /// That the score asked for a review for which there is no evidence.
    warning: Option<Warning>,
}

impl Scoring {
    fn of(rule_hits: &[RuleHit], evidence: &Evidence, features: &FeatureVector, policy: &Policy, models: Models<'_>) -> Self {
        match (policy.score().source, models.active) {
            (ScoreSource::Model, Some(model)) => Self::by_model(model, evidence, features, policy, models.auto_reject),
            (ScoreSource::Model, None) => {
                let judged = Self::by_judgement(rule_hits, policy);
                Self { scored: Scored::ModelMissing, verdict: judged.verdict.max(Verdict::InReview), ..judged }
            }
            (ScoreSource::Judgement, _) => Self::by_judgement(rule_hits, policy),
        }
    }

    fn by_model(model: &Model, evidence: &Evidence, features: &FeatureVector, policy: &Policy, auto_reject: AutoReject) -> Self {
        let ModelScore { probability: score, contributions, log_odds } = score_of(model, evidence, features);
        let hits: Vec<(EvidenceCode, f64)> = contributions.iter().filter(|(code, _)| evidence[*code].is_hit()).copied().collect();
        let base_log_odds = model.base_log_odds();
        let parts = ScoreParts {
            base_log_odds,
            rest_log_odds: log_odds - base_log_odds - hits.iter().map(|(_, part)| part).sum::<f64>(),
            contributions: hits,
            review_threshold: review_threshold(model, policy),
            reject_threshold: model.thresholds().reject,
        };
        let (verdict, warning) = match (model_verdict(model, score, features, evidence, policy), auto_reject) {
            (ModelVerdict::WithoutEvidence, _) => (Verdict::Approved, Some(without_evidence(score, &parts))),
            (ModelVerdict::Given(Verdict::Rejected), AutoReject::Tripped) => (Verdict::InReview, None),
            (ModelVerdict::Given(verdict), AutoReject::Armed | AutoReject::Tripped) => (verdict, None),
        };
        let certified = certified_hits(model, features, evidence);
        Self { score, scored: Scored::ByModel, verdict, parts, contributions, certified, warning }
    }

    fn by_judgement(rule_hits: &[RuleHit], policy: &Policy) -> Self {
        let settings = policy.score();
        let log_odds = rule_hits.iter().map(|hit| hit.contribution_log_odds).sum::<f64>() + settings.intercept_log_odds;
        let score = logistic(log_odds);
        // Nobody certified it: it rejects nothing.
        let review_threshold = settings.review_threshold.unwrap_or(JUDGEMENT_REVIEW_THRESHOLD);
        let verdict = verdict_of_score(score, review_threshold, None);
        let mut by_code: BTreeMap<EvidenceCode, f64> = BTreeMap::new();
        for hit in rule_hits.iter().filter(|hit| hit.mode != RuleMode::Shadow) {
            *by_code.entry(hit.code).or_default() += hit.contribution_log_odds;
        }
        let parts = ScoreParts {
            base_log_odds: settings.intercept_log_odds,
            contributions: by_code.into_iter().collect(),
            rest_log_odds: 0.0,
            review_threshold,
            reject_threshold: None,
        };
        Self {
            score,
            scored: Scored::ByJudgement,
            verdict,
            parts,
            contributions: Vec::new(),
            certified: Vec::new(),
            warning: None,
        }
    }
}

/// Where a model's score leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ModelVerdict {
    /// There.
    Given(Verdict),
    /// To a review for which there is no evidence: to none.
    WithoutEvidence,
}

impl ModelVerdict {
    const fn verdict(self) -> Verdict {
        match self {
            Self::Given(verdict) => verdict,
            Self::WithoutEvidence => Verdict::Approved,
        }
    }
}

/// Where the model's score leads. A model may find a referral unusual of which nothing is known but what is missing; a reviewer could not say why
/// he looks at it. So the score alone sends nothing to review against which there is no evidence that counts here at all; it is told.
/// What a certified conjunction demands is rejected, whatever the score is.
fn model_verdict(
    model: &Model,
    probability: f64,
    features: &FeatureVector,
    evidence: &Evidence,
    policy: &Policy,
) -> ModelVerdict {
    if model.conjunction(features).is_some() {
        return ModelVerdict::Given(Verdict::Rejected);
    }
    let counts = |code: EvidenceCode| !code.eases() && (features::sees(code) || policy.counts(code));
    let has_a_reason = || evidence.hits().any(|(code, _)| counts(code));
    match verdict_of_score(probability, review_threshold(model, policy), model.thresholds().reject) {
        Verdict::InReview if probability.is_finite() && !has_a_reason() => ModelVerdict::WithoutEvidence,
        verdict => ModelVerdict::Given(verdict),
    }
}

/// The demands of the first conjunction that holds, as hits of one rule that is the model's own: its dotted name is none that a policy can give.
fn certified_hits(model: &Model, features: &FeatureVector, evidence: &Evidence) -> Vec<RuleHit> {
    let Some((place, conjunction)) = model.conjunction(features) else { return Vec::new() };
    let rule: Box<str> = format!("certified.{}", place + 1).into();
    let hit = |condition: Condition| RuleHit {
        rule: rule.clone(),
        mode: RuleMode::Reject,
        code: condition.code,
        strength: evidence[condition.code].strength(),
        contribution_log_odds: 0.0,
    };
    conjunction.conditions().map(hit).collect()
}

/// What a certified conjunction did: it rejected, or where a person looks instead, it sent to review.
const fn mode_of_certified(verdict: Verdict) -> RuleMode {
    match verdict {
        Verdict::Rejected => RuleMode::Reject,
        Verdict::InReview | Verdict::Approved => RuleMode::Review,
    }
}

/// The policy's where it has one, else the model's own.
fn review_threshold(model: &Model, policy: &Policy) -> f64 {
    policy.score().review_threshold.unwrap_or(model.thresholds().review)
}

/// Below the floor of a model's score a rule that would review only weighs: what it found is usual among honest people. A score that is no number lies
/// below nothing.
fn stand_down(rule_hits: &mut [RuleHit], score: f64, policy: &Policy) {
    if score < policy.score().review_floor {
        rule_hits.iter_mut().filter(|hit| hit.mode == RuleMode::Review).for_each(|hit| hit.mode = RuleMode::Weigh);
    }
}

/// The verdict of all but the score.
fn without_score(evidence: &Evidence, rule_hits: &[RuleHit]) -> Verdict {
    let by_rules = rule_hits.iter().map(|hit| verdict_of_mode(hit.mode));
    let by_invariants = invariants(evidence).map(|(_, verdict)| verdict);
    by_rules.chain(by_invariants).max().unwrap_or(Verdict::Approved)
}

fn without_evidence(score: f64, parts: &ScoreParts) -> Warning {
    Warning {
        code: WarningCode::ScoreWithoutEvidence,
        field: "".into(),
        sentence: format!(
            "The score of {score:.3} alone reaches the review threshold of {:.3}, and nothing was found that a reviewer could look at; what was missing \
             makes it unusual, and it asks for no review.",
            parts.review_threshold
        ),
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
        RuleMode::Review | RuleMode::Insist => Verdict::InReview,
        RuleMode::Off | RuleMode::Shadow | RuleMode::Weigh => Verdict::Approved,
    }
}

/// What no policy can switch off: a repeated purchase earns nothing twice, one that may be repeated is not approved by a machine, and neither is a
/// referral attached by hand without a journey.
/// Those that hold, with the verdict of each.
fn invariants(evidence: &Evidence) -> impl Iterator<Item = (EvidenceCode, Verdict)> + use<> {
    let repeated = evidence[EvidenceCode::DuplicateInvoice];
    let manual_without_journey = evidence[EvidenceCode::ManualAttribution].strength() >= 1.0;
    let all = [
        (repeated.strength() >= 1.0, EvidenceCode::DuplicateInvoice, Verdict::Rejected),
        (repeated.is_hit(), EvidenceCode::DuplicateInvoice, Verdict::InReview),
        (manual_without_journey, EvidenceCode::ManualAttribution, Verdict::InReview),
    ];
    all.into_iter().filter(|(holds, _, _)| *holds).map(|(_, code, verdict)| (code, verdict))
}

/// What the challenger would have decided in the active model's place. `rule_hits`: before the floor of a score was held against them.
fn challenge(
    challenger: &Model,
    evidence: &Evidence,
    features: &FeatureVector,
    policy: &Policy,
    rule_hits: &[RuleHit],
) -> ShadowScore {
    let score = challenger.probability(features);
    let mut rule_hits = rule_hits.to_vec();
    stand_down(&mut rule_hits, score, policy);
    let verdict = model_verdict(challenger, score, features, evidence, policy).verdict().max(without_score(evidence, &rule_hits));
    ShadowScore { model_version: challenger.version().into(), score, verdict }
}

/// What the model says. Contributions order the hits, so where nothing hit nobody asks for them: they cost twice what the probability does.
fn score_of(model: &Model, evidence: &Evidence, features: &FeatureVector) -> ModelScore {
    if evidence.hits().next().is_some() {
        model.score(features)
    } else {
        let log_odds = model.log_odds(features);
        ModelScore { probability: logistic(log_odds), contributions: Vec::new(), log_odds }
    }
}

/// The hits: what decided first, then the rest, each part in order of contribution. The contribution is the model's where there is one, else the
/// rules'. What decided counts at least as much as its rule says, whatever the model makes of it: it must never read as a sign of honesty.
fn reasons(evidence: &Evidence, rule_hits: &[RuleHit], contributions: Vec<(EvidenceCode, f64)>, verdict: Verdict) -> Vec<Reason> {
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
    let deciders = deciders(evidence, rule_hits, verdict);
    for (code, weight) in &mut weights {
        let least = deciders.iter().filter(|(decided, _)| decided == code).map(|(_, least)| *least);
        *weight = least.fold(*weight, f64::max);
    }
    weights.retain(|(code, _)| evidence[*code].is_hit());
    let waits = |code: EvidenceCode| !deciders.iter().any(|(decided, _)| *decided == code);
    weights.sort_by(|(code_a, a), (code_b, b)| waits(*code_a).cmp(&waits(*code_b)).then(b.total_cmp(a)).then(code_a.cmp(code_b)));
    let reason = |(code, contribution_log_odds): (EvidenceCode, f64)| {
        let finding = &evidence[code];
        Reason {
            code,
            strength: finding.strength(),
            contribution_log_odds,
            sentence: explanation::reason(code, finding, contribution_log_odds),
        }
    };
    weights.into_iter().map(reason).collect()
}

/// The evidence that led to the verdict without the score, each with the least that it counts: what its rule says. Never below zero, because only
/// trust may ease, and trust decides nothing. Empty when the score alone led there, and for approvals.
fn deciders(evidence: &Evidence, rule_hits: &[RuleHit], verdict: Verdict) -> Vec<(EvidenceCode, f64)> {
    if verdict == Verdict::Approved {
        return Vec::new();
    }
    let rules = rule_hits.iter().filter(|hit| verdict_of_mode(hit.mode) == verdict);
    let by_rules = rules.map(|hit| (hit.code, hit.contribution_log_odds));
    let by_invariants = invariants(evidence).filter(|(_, led_to)| *led_to == verdict).map(|(code, _)| (code, 0.0));
    by_rules.chain(by_invariants).collect()
}

fn referrer_safe(verdict: Verdict, history: &History) -> ReferrerSafeReason {
    match verdict {
        Verdict::Approved => ReferrerSafeReason::None,
        Verdict::InReview => ReferrerSafeReason::UnderReview,
        Verdict::Rejected if history.duplicate_of.is_some() => ReferrerSafeReason::AlreadyCounted,
        Verdict::Rejected => ReferrerSafeReason::NotEligible,
    }
}
