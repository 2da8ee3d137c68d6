//! Decisions as messages: what the service answers, what exports hold.
//! It must never decide or soften anything; it only spells out. The service, `screen` and exports call it.

use super::enums::WireEnum;
use super::fields::{id_text, money_message, time_message};
use super::v1;
use crate::book::records::DecisionRecord;
use crate::screening::comparability::{Comparability, ComparedKind, SideSignals};
use crate::screening::decision::{Decision, Reason, ReferrerSafeReason, ScoreParts, ShadowScore, Verdict};
use crate::screening::evidence::{Evidence, EvidenceCode, Finding, MeasureKind};
use crate::screening::explanation;
use crate::screening::features::{CATALOGUE, Feature, FeatureVector};
use crate::screening::gate::{Held, RewardStanding, RewardState, Standing};
use crate::screening::policy::PolicyHash;
use crate::screening::rules::RuleHit;
use crate::screening::warning::Warning;
use crate::vocabulary::journey::CapturedVia;

/// Writes a decision with where it stands now.
#[must_use]
pub fn message_of(record: &DecisionRecord) -> v1::Decision {
    let DecisionRecord { conversion, decision, verdict, standing, case_id, cursor } = record;
    let Decision {
        verdict: screened_verdict,
        score,
        scored,
        score_parts,
        reasons,
        referrer_safe_reason,
        rule_hits,
        policy_version,
        policy_hash,
        model_version,
        shadow,
        duplicate_of: _,
        looks_like,
        audit: _,
        evidence: _,
        comparability: _,
        warnings,
        decided_at,
    } = decision;
    let safe_reason = safe_reason_in_force(standing, *screened_verdict, *referrer_safe_reason);
    v1::Decision {
        program_id: conversion.program_id.to_string(),
        conversion_id: conversion.conversion_id.to_string(),
        referrer_account_id: conversion.referrer.account_id.to_string(),
        referee_account_id: conversion.referee.account_id.to_string(),
        verdict: verdict.to_number(),
        screened_verdict: screened_verdict.to_number(),
        score: *score,
        risk_score: u32::from(decision.risk_score()),
        reasons: reasons.iter().map(reason_message).collect(),
        referrer_safe_reason: Some(safe_reason_message(safe_reason)),
        rule_hits: rule_hits.iter().map(rule_hit_message).collect(),
        policy_version: policy_version.to_string(),
        policy_hash: if *policy_hash == PolicyHash::default() { String::new() } else { policy_hash.to_string() },
        model_version: id_text(model_version.as_ref()),
        shadow: shadow.as_ref().map(shadow_message),
        case_id: id_text(case_id.as_ref()),
        decided_at: Some(time_message(*decided_at)),
        cursor: cursor.to_string(),
        duplicate_of: id_text(standing.duplicate_of.as_ref()),
        looks_like: id_text(looks_like.as_ref()),
        manual_attribution: conversion.attribution.captured_via == CapturedVia::Manual,
        // Older records are marked as sampled also where a rule rejected all the same.
        audit_sampled: decision.audited_model().is_some(),
        cancelled_at: standing.cancelled.map(|cancelled| time_message(cancelled.at)),
        scored_by: scored.to_number(),
        standing: Some(standing_message(standing)),
        warnings: warnings.iter().map(warning_message).collect(),
        score_parts: Some(score_parts_message(score_parts)),
    }
}

pub(super) fn standing_message(standing: &Standing) -> v1::Standing {
    let Standing { cancelled, refunded, referral_held, referrer_held, late_facts, rewards, .. } = standing;
    v1::Standing {
        sentence: standing.sentence(),
        cancelled_by: cancelled.map(|cancelled| cancelled.by.to_number()).unwrap_or_default(),
        refunded: refunded.map(|(amount, _)| money_message(amount)),
        referral_held: *referral_held == Held::Yes,
        referrer_held: *referrer_held == Held::Yes,
        late_facts: *late_facts == Held::Yes,
        rewards: rewards.iter().filter_map(reward_standing_message).collect(),
    }
}

/// Absent for a reward of another conversion.
fn reward_standing_message(reward: &RewardStanding) -> Option<v1::RewardStanding> {
    let RewardStanding { reward_id, beneficiary: _, amount: worth, state } = reward;
    let (state, amount, by, until) = match state {
        RewardState::Unpaid => (v1::RewardState::Unpaid, None, None, None),
        RewardState::Reserved { by, amount, until } => (v1::RewardState::Reserved, *amount, Some(by), Some(*until)),
        RewardState::Paid { amount } => (v1::RewardState::Paid, *amount, None, None),
        RewardState::Elsewhere => return None,
    };
    Some(v1::RewardStanding {
        reward_id: reward_id.to_string(),
        amount: amount.or(*worth).map(money_message),
        state: state.into(),
        reservation_id: id_text(by),
        reserved_until: until.map(time_message),
    })
}

fn score_parts_message(parts: &ScoreParts) -> v1::ScoreParts {
    let ScoreParts { base_log_odds, contributions, rest_log_odds, review_threshold, reject_threshold } = parts;
    let contribution =
        |(code, log_odds): &(EvidenceCode, f64)| v1::ScoreContribution { code: code.dotted().to_owned(), log_odds: *log_odds };
    v1::ScoreParts {
        base_log_odds: *base_log_odds,
        contributions: contributions.iter().map(contribution).collect(),
        rest_log_odds: *rest_log_odds,
        review_threshold: *review_threshold,
        reject_threshold: *reject_threshold,
    }
}

/// Writes a warning.
#[must_use]
pub fn warning_message(warning: &Warning) -> v1::Warning {
    let Warning { code, field, sentence } = warning;
    v1::Warning { code: code.dotted().to_owned(), field: field.to_string(), sentence: sentence.clone() }
}

/// The decision's warnings, then those of the message that was read: what a caller should know of what it sent.
#[must_use]
pub fn all_warnings(record: &DecisionRecord, of_message: &[Warning]) -> Vec<v1::Warning> {
    record.decision.warnings.iter().chain(of_message).map(warning_message).collect()
}

/// Writes what could be compared.
#[must_use]
pub fn comparable_messages(comparability: &Comparability) -> Vec<v1::ComparedSignal> {
    let key_ids = |side: &SideSignals| side.keys.iter().map(|key| key.as_str().to_owned()).collect();
    let message = |ComparedKind { kind, compared, referrer, referee }: &ComparedKind| v1::ComparedSignal {
        kind: kind.fields().into_owned(),
        comparison: compared.to_number(),
        referrer_key_ids: key_ids(referrer),
        referee_key_ids: key_ids(referee),
        referrer_newest_at: referrer.newest_at.map(time_message),
        referee_newest_at: referee.newest_at.map(time_message),
    };
    comparability.kinds().iter().map(message).collect()
}

/// What the referrer may be told follows a reviewer's verdict where it differs from screening's.
fn safe_reason_in_force(standing: &Standing, screened: Verdict, screened_reason: ReferrerSafeReason) -> ReferrerSafeReason {
    if standing.duplicate_of.is_none() && standing.cancelled.is_some() {
        return ReferrerSafeReason::Cancelled;
    }
    let verdict = standing.verdict;
    if verdict == screened {
        return screened_reason;
    }
    match verdict {
        Verdict::Approved => ReferrerSafeReason::None,
        Verdict::InReview => ReferrerSafeReason::UnderReview,
        Verdict::Rejected => ReferrerSafeReason::NotEligible,
    }
}

fn safe_reason_message(reason: ReferrerSafeReason) -> v1::ReferrerSafeReason {
    v1::ReferrerSafeReason { code: reason.to_number(), sentence: reason.sentence().to_owned() }
}

/// Writes a reason.
#[must_use]
pub fn reason_message(reason: &Reason) -> v1::Reason {
    let Reason { code, strength, contribution_log_odds, sentence } = reason;
    v1::Reason {
        code: code.dotted().to_owned(),
        sides: code.sides().to_number(),
        strength: *strength,
        contribution_log_odds: *contribution_log_odds,
        sentence: sentence.clone(),
    }
}

fn rule_hit_message(hit: &RuleHit) -> v1::RuleHit {
    let RuleHit { rule, mode, code, strength, contribution_log_odds } = hit;
    v1::RuleHit {
        rule: rule.to_string(),
        mode: mode.to_number(),
        evidence_code: code.dotted().to_owned(),
        strength: *strength,
        contribution_log_odds: *contribution_log_odds,
    }
}

fn shadow_message(shadow: &ShadowScore) -> v1::ShadowScore {
    let ShadowScore { model_version, score, verdict } = shadow;
    v1::ShadowScore { model_version: model_version.to_string(), score: *score, verdict: verdict.to_number() }
}

/// Writes all evidence, in catalogue order.
#[must_use]
pub fn evidence_messages(evidence: &Evidence) -> Vec<v1::Evidence> {
    evidence.iter().map(|(code, finding)| evidence_message(code, finding)).collect()
}

/// Writes a feature vector, in catalogue order.
#[must_use]
pub fn feature_messages(features: &FeatureVector) -> Vec<v1::FeatureValue> {
    let value = |(feature, value): (&Feature, &f64)| v1::FeatureValue { name: feature.name.clone(), value: *value };
    CATALOGUE.iter().zip(features.values()).map(value).collect()
}

pub(super) fn evidence_message(code: EvidenceCode, finding: &Finding) -> v1::Evidence {
    let (status, sentence) = match finding {
        Finding::Absent => (v1::EvidenceStatus::Absent, "The signals that would tell were not sent.".to_owned()),
        Finding::Clear { .. } => (v1::EvidenceStatus::Clear, "Looked for and not found.".to_owned()),
        Finding::Hit { .. } => (v1::EvidenceStatus::Hit, explanation::sentence(code, finding)),
    };
    v1::Evidence {
        code: code.dotted().to_owned(),
        sides: code.sides().to_number(),
        status: status.into(),
        strength: finding.strength(),
        measure: finding.measure().and_then(|measure| measure_message(code.measure_kind(), measure)),
        sentence,
        match_weight_bits: code.match_weight_bits(finding).filter(|_| !finding.is_absent()),
    }
}

/// Counts are whole and small; a negative or odd number is held to zero.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts of floats saturate, and counts are small")]
fn measure_message(kind: MeasureKind, measure: f64) -> Option<v1::evidence::Measure> {
    match kind {
        MeasureKind::Nothing | MeasureKind::Way => None,
        MeasureKind::Similarity => Some(v1::evidence::Measure::Similarity(measure)),
        MeasureKind::Accounts => Some(v1::evidence::Measure::Accounts(measure as u64)),
        MeasureKind::Count => Some(v1::evidence::Measure::Count(measure as u64)),
        MeasureKind::Seconds => Some(v1::evidence::Measure::Seconds(measure as i64)),
        MeasureKind::Steps => Some(v1::evidence::Measure::Steps(measure as u64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::cursor::{ChainMark, FeedCursor};
    use crate::book::records::Cursor;
    use crate::screening::decision::{AuditSample, Scored};
    use crate::screening::fixtures::{approved, assess_by_rules, honest};
    use crate::screening::history::History;

    fn sampled_and(verdict: Verdict) -> v1::Decision {
        let decision = Decision {
            verdict,
            scored: Scored::ByModel,
            model_version: Some("m-1".into()),
            audit: AuditSample::Sampled,
            ..assess_by_rules(&honest(), &History::default())
        };
        let standing = Standing { verdict, ..approved() };
        let cursor = FeedCursor { place: Cursor(1), mark: ChainMark([7; 8]) };
        message_of(&DecisionRecord { conversion: honest(), decision, verdict, standing, case_id: None, cursor })
    }

    #[test]
    fn a_record_that_says_sampled_where_a_rule_rejected_is_not_told_as_an_audit() {
        assert!(sampled_and(Verdict::InReview).audit_sampled);
        assert!(!sampled_and(Verdict::Rejected).audit_sampled);
    }
}
