//! Claims about decisions and payouts.

use proptest::prelude::*;

use super::audit::AuditKey;
use super::comparability::Comparability;
use super::decide;
use super::decision::{AuditSample, Decision, ReferrerSafeReason, Scored, Verdict, logistic};
use super::evidence::{Evidence, EvidenceCode, Finding};
use super::features::{FEATURE_COUNT, FeatureVector, project};
use super::fixtures::{
    any_evidence, approved, assess_by_rules, bundle, card, conversion, crowd_on, device, honest, identifier, network, noon,
    policy, policy_parts, rule,
};
use super::gate::{self, Accepts, Asker, Cancelled, Gate, GateReason, Held, RewardStanding, RewardState, Standing};
use super::history::{History, IdentifierKind};
use super::model::{
    Calibrator, Certificate, Conjunction, FeatureSpec, Linear, Model, ModelParts, Scorer, Thresholds, TrainingSpread,
};
use super::policy::{CampaignPayout, CountsFrom, PayoutPolicy, Policy, PolicyParts, RuleMode, ScorePolicy, ScoreSource};
use super::rules::Condition;
use super::warning::WarningCode;
use super::{AutoReject, Models, Observation, Rulebook, assess, observe, reasons};
use crate::vocabulary::bundle::PaymentPurpose;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::{CampaignId, ConversionId, RequestId, RewardId};
use crate::vocabulary::journey::{CapturedVia, Journey};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Span;

fn decide_on(evidence: Evidence, policy: &Policy, models: Models<'_>) -> Decision {
    let audit_key = AuditKey::new([1; 32]);
    let features = FeatureVector::from_values([0.0; FEATURE_COUNT]);
    let observed = Observation { evidence, features, comparability: Comparability::default(), warnings: Vec::new() };
    decide(&honest(), &History::default(), observed, Rulebook { policy, models, audit_key: &audit_key }, noon())
}

#[test]
fn a_decision_gives_back_the_features_that_it_was_made_from() {
    let seen = conversion(|c| c.referee.devices.push(device(16)));
    let crowd = crowd_on(IdentifierKind::Device, 16, 3);
    let bits = |features: &FeatureVector| features.values().map(f64::to_bits);
    let observed = observe(&seen, &crowd).features;
    assert_eq!(bits(&assess_by_rules(&seen, &crowd).features()), bits(&observed));
    assert_ne!(bits(&assess_by_rules(&seen, &History::default()).features()), bits(&observed));
}

#[test]
fn an_honest_conversion_is_approved_without_a_reason() {
    let decision = assess_by_rules(&honest(), &History::default());
    assert_eq!(decision.verdict, Verdict::Approved);
    assert_eq!(decision.reasons, []);
    assert_eq!(decision.referrer_safe_reason, ReferrerSafeReason::None);
}

#[test]
fn a_shared_address_alone_is_never_rejected() {
    for others in [0, 3, 40, 400, 1_000] {
        let shared = conversion(|cv| {
            cv.referrer.networks = vec![network(1)];
            cv.referee.networks = vec![network(1)];
        });
        let decision = assess_by_rules(&shared, &crowd_on(IdentifierKind::Address, 1, others));
        assert_ne!(decision.verdict, Verdict::Rejected, "with {others} others");
    }
}

#[test]
fn a_policy_whose_rules_reject_what_is_not_certain_is_refused() {
    let mut parts = policy_parts();
    parts.rules.push(rule("office", "network.same_address", RuleMode::Reject, 1.0));
    parts.rules.push(rule("circle", "payment.payout_is_billing >= 18 bits", RuleMode::Reject, 1.0));
    parts.rules.push(rule("any_entry", "list.blocked", RuleMode::Reject, 1.0));
    let violations = Policy::new(parts).unwrap_err();
    assert_eq!(
        violations.iter().map(|violation| violation.key.as_str()).collect::<Vec<_>>(),
        ["rule.office.mode", "rule.circle.mode", "rule.any_entry.mode"]
    );
}

#[test]
fn every_violation_of_a_policy_is_named_at_once() {
    let mut parts = policy_parts();
    parts.version = String::new();
    parts.score.review_threshold = Some(2.0);
    parts.score.review_floor = 1.0;
    parts.audit.sample_share = f64::NAN;
    let keys: Vec<String> = Policy::new(parts).unwrap_err().into_iter().map(|violation| violation.key).collect();
    assert_eq!(keys, ["version", "score.review_threshold", "score.review_floor", "audit.sample_share"]);
}

#[test]
fn a_policy_that_says_nothing_of_what_cannot_be_compared_is_refused() {
    let mut parts = policy_parts();
    parts.rules.retain(|rule| &*rule.name != "signals.incomparable");
    let violations = Policy::new(parts).unwrap_err();
    assert!(violations.len() == 1 && violations[0].problem.contains("signals.incomparable"), "{violations:?}");
}

#[test]
fn what_cannot_be_compared_is_not_approved_whatever_the_model_says_unless_the_policy_does() {
    let bare = conversion(|cv| {
        cv.referrer = bundle("ann");
        cv.referee = bundle("bob");
    });
    let verdict = |mode| {
        let mut parts = policy_parts();
        parts.score.source = ScoreSource::Model;
        parts.rules.iter_mut().filter(|rule| &*rule.name == "signals.incomparable").for_each(|rule| rule.mode = mode);
        let (policy, sure, audit_key) = (Policy::new(parts).unwrap(), model_of_log_odds(-9.0, None), AuditKey::new([1; 32]));
        let models = Models { active: Some(&sure), ..Models::default() };
        let decision = assess(&bare, &History::default(), Rulebook { policy: &policy, models, audit_key: &audit_key }, noon());
        (decision.verdict, decision.reasons.first().map(|reason| reason.sentence.clone()))
    };
    let why = "Nothing could be compared: neither side has a signal that identifies anybody.".to_owned();
    assert_eq!(verdict(RuleMode::Insist), (Verdict::InReview, Some(why)));
    for lenient in [RuleMode::Off, RuleMode::Shadow, RuleMode::Weigh] {
        assert_eq!(verdict(lenient).0, Verdict::Approved);
    }
}

#[test]
fn a_placeholder_on_both_sides_is_absent_and_told_on_each() {
    let shared = conversion(|cv| {
        cv.referrer.payments.push(card(7, PaymentPurpose::Payout));
        cv.referee.payments.push(card(7, PaymentPurpose::Billing));
    });
    assert_eq!(assess_by_rules(&shared, &History::default()).verdict, Verdict::InReview);
    let history = History { placeholders: [identifier(IdentifierKind::Payment, 7)].into(), ..History::default() };
    let decision = assess_by_rules(&shared, &history);
    assert_eq!(decision.verdict, Verdict::Approved);
    assert!(decision.evidence[EvidenceCode::PayoutIsBilling].is_absent());
    let told: Vec<_> = decision.warnings.iter().map(|warning| (warning.code, &*warning.field)).collect();
    let payment = |side: &str| format!("conversion.{side}.payments.instrument");
    let (referrer, referee) = (payment("referrer"), payment("referee"));
    assert_eq!(told, [(WarningCode::Placeholder, &*referrer), (WarningCode::Placeholder, &*referee)]);
}

#[test]
fn a_purchase_that_is_worth_nothing_is_told() {
    let worth = |amount_minor| conversion(|cv| cv.value = Some(Money::new(amount_minor, "EUR").unwrap()));
    let told = |amount_minor| assess_by_rules(&worth(amount_minor), &History::default()).warnings;
    assert_eq!(told(1), []);
    assert_eq!(told(0)[0].sentence, "The conversion is worth nothing: 0 EUR.");
}

#[test]
fn a_referral_attached_by_hand_is_never_approved_without_a_journey() {
    let manual = conversion(|cv| {
        cv.attribution.captured_via = CapturedVia::Manual;
        cv.referee.journey = Journey::default();
    });
    assert_eq!(assess_by_rules(&manual, &History::default()).verdict, Verdict::InReview);
}

#[test]
fn a_duplicate_is_rejected_and_says_of_what() {
    let first = ConversionId::new("cv-0").unwrap();
    let history = History { duplicate_of: Some(first.clone()), ..History::default() };
    let decision = assess_by_rules(&honest(), &history);
    assert_eq!(decision.verdict, Verdict::Rejected);
    assert_eq!(decision.duplicate_of, Some(first));
    assert_eq!(decision.referrer_safe_reason, ReferrerSafeReason::AlreadyCounted);
    assert_eq!(decision.reasons[0].code, EvidenceCode::DuplicateInvoice);
}

#[test]
fn without_the_model_that_the_policy_asks_for_nothing_is_approved() {
    let mut parts = policy_parts();
    parts.score.source = ScoreSource::Model;
    let decision = decide_on(Evidence::absent(), &Policy::new(parts).unwrap(), Models::default());
    assert_eq!((decision.verdict, decision.scored), (Verdict::InReview, Scored::ModelMissing));
}

/// A model with one opinion on everybody.
fn model_of_log_odds(intercept: f64, reject: Option<f64>) -> Model {
    let spread = TrainingSpread { edges: Box::new([]), shares: Box::new([0.0, 1.0]) };
    let certificate = Certificate {
        alpha: 0.01,
        delta: 0.05,
        rejected_samples: 300,
        honest_samples: 0,
        rejected_referrals: 300,
        upper_bound: 0.01,
    };
    Model::from_parts(ModelParts {
        version: "one-opinion".into(),
        family: "test".into(),
        trained_until: noon(),
        features: FeatureSpec::catalogue(),
        scorer: Scorer::Linear(Linear { intercept, terms: Box::new([]) }),
        calibrator: Calibrator::Identity,
        thresholds: Thresholds { review: 0.1, reject },
        conjunctions: Vec::new(),
        certificate,
        score_spread: spread.clone(),
        feature_spreads: vec![spread; FEATURE_COUNT],
    })
    .unwrap()
}

#[test]
fn a_score_without_any_evidence_sends_nothing_to_review_and_with_some_it_does() {
    let policy = Policy::new(PolicyParts {
        score: ScorePolicy { source: ScoreSource::Model, ..policy_parts().score },
        rules: vec![
            rule("trusted", "list.trusted", RuleMode::Weigh, -1.0),
            rule("incomparable", "signals.incomparable", RuleMode::Off, 0.0),
        ],
        ..policy_parts()
    });
    let (policy, unsure) = (policy.unwrap(), model_of_log_odds(0.0, None));
    let verdict = |evidence: Evidence, auto_reject, model: &Model| {
        decide_on(evidence, &policy, Models { active: Some(model), challenger: None, auto_reject }).verdict
    };
    let some = Evidence::absent().with(EvidenceCode::SimilarPath, Finding::of_strength(0.1));
    let trusted = Evidence::absent().with(EvidenceCode::Trusted, Finding::of_strength(1.0));
    assert_eq!(verdict(Evidence::absent(), AutoReject::Armed, &unsure), Verdict::Approved);
    let told = decide_on(Evidence::absent(), &policy, Models { active: Some(&unsure), ..Models::default() }).warnings;
    assert_eq!(told.iter().map(|warning| warning.code).collect::<Vec<_>>(), [WarningCode::ScoreWithoutEvidence]);
    assert_eq!(verdict(trusted, AutoReject::Armed, &unsure), Verdict::Approved);
    assert_eq!(verdict(some.clone(), AutoReject::Armed, &unsure), Verdict::InReview);
    let sure = model_of_log_odds(9.0, Some(0.9));
    assert_eq!(verdict(some, AutoReject::Armed, &sure), Verdict::Rejected);
    assert_eq!(verdict(Evidence::absent(), AutoReject::Tripped, &sure), Verdict::InReview, "a broken promise eases nothing");
}

#[test]
fn evidence_that_counts_nowhere_is_no_reason_for_the_score() {
    let codes = EvidenceCode::ALL.into_iter().filter(|code| code.speaks() && !code.eases());
    let unseen: Vec<EvidenceCode> = codes.filter(|code| !super::features::sees(*code)).collect();
    assert!(unseen.contains(&EvidenceCode::Incomparable), "{unseen:?}");
    let verdict = |code: EvidenceCode, mode| {
        let policy = Policy::new(PolicyParts {
            score: ScorePolicy { source: ScoreSource::Model, ..policy_parts().score },
            rules: vec![rule("it", code.dotted(), mode, 0.1), rule("incomparable", "signals.incomparable", RuleMode::Off, 0.0)],
            ..policy_parts()
        });
        let evidence = Evidence::absent().with(code, Finding::of_strength(0.5));
        let unsure = model_of_log_odds(0.0, None);
        decide_on(evidence, &policy.unwrap(), Models { active: Some(&unsure), ..Models::default() }).verdict
    };
    for code in unseen {
        assert_eq!(verdict(code, RuleMode::Off), Verdict::Approved, "{}", code.dotted());
        assert_eq!(verdict(code, RuleMode::Weigh), Verdict::InReview, "{}", code.dotted());
    }
    assert_eq!(verdict(EvidenceCode::SimilarPath, RuleMode::Off), Verdict::InReview, "the model sees it");
}

#[test]
fn a_rule_in_shadow_is_shown_and_changes_nothing() {
    let mut parts = policy_parts();
    parts.rules.retain(|rule| &*rule.name != "device.same_device");
    let without = Policy::new(parts.clone()).unwrap();
    parts.rules.push(rule("shadow", "device.same_device", RuleMode::Shadow, 20.0));
    let with = Policy::new(parts).unwrap();
    let evidence = Evidence::absent().with(EvidenceCode::SameDevice, Finding::of_strength(1.0));
    let (plain, shadowed) =
        (decide_on(evidence.clone(), &without, Models::default()), decide_on(evidence, &with, Models::default()));
    assert_eq!((plain.verdict, plain.score), (shadowed.verdict, shadowed.score));
    assert_eq!(shadowed.rule_hits.len(), plain.rule_hits.len() + 1);
}

#[test]
fn reasons_that_did_not_decide_stand_in_order_of_contribution() {
    let evidence = Evidence::absent()
        .with(EvidenceCode::SameAddress, Finding::of_strength(0.2))
        .with(EvidenceCode::SameDevice, Finding::of_strength(0.9))
        .with(EvidenceCode::SimilarName, Finding::of_strength(0.5));
    let codes: Vec<_> = decide_on(evidence, &policy(), Models::default()).reasons.into_iter().map(|reason| reason.code).collect();
    assert_eq!(codes, [EvidenceCode::SameDevice, EvidenceCode::SimilarName, EvidenceCode::SameAddress]);
}

/// The reasons, under a model of these opinions and rules of these modes with a weight of 2, of evidence that hits in full.
fn reasons_of(
    opinions: &[(EvidenceCode, f64)],
    rules: &[(EvidenceCode, RuleMode)],
    verdict: Verdict,
) -> Vec<(EvidenceCode, f64)> {
    let hit = |code| (code, Finding::of_strength(1.0));
    let codes = opinions.iter().map(|(code, _)| *code).chain(rules.iter().map(|(code, _)| *code));
    let evidence = codes.map(hit).fold(Evidence::absent(), |evidence, (code, finding)| evidence.with(code, finding));
    let hits = rules.iter().filter_map(|(code, mode)| rule(code.dotted(), code.dotted(), *mode, 2.0).evaluate(&evidence));
    let hits: Vec<_> = hits.collect();
    let reasons = reasons(&evidence, &hits, opinions.to_vec(), verdict);
    reasons.into_iter().map(|reason| (reason.code, reason.contribution_log_odds)).collect()
}

#[test]
fn the_rule_that_decided_is_the_first_reason_and_never_speaks_for_honesty() {
    use EvidenceCode::{DuplicateInvoice, PayoutIsBilling, SameAddress, SameDevice, SimilarName};

    let opinions = [(SameDevice, 3.0), (DuplicateInvoice, -1.45), (PayoutIsBilling, 2.5), (SimilarName, -0.5)];
    let rules = [
        (DuplicateInvoice, RuleMode::Reject),
        (PayoutIsBilling, RuleMode::Reject),
        (SimilarName, RuleMode::Review),
        (SameAddress, RuleMode::Weigh),
    ];
    let rejected = reasons_of(&opinions, &rules, Verdict::Rejected);
    let expected = [(PayoutIsBilling, 2.5), (DuplicateInvoice, 2.0), (SameDevice, 3.0), (SameAddress, 2.0), (SimilarName, -0.5)];
    assert_eq!(rejected, expected, "the rule that only reviews did not lead to the rejection");
    let reviewed = reasons_of(&opinions[2..], &rules[2..], Verdict::InReview);
    assert_eq!(reviewed, [(SimilarName, 2.0), (PayoutIsBilling, 2.5), (SameAddress, 2.0)]);
    // The score alone rejected: nothing stands before what it weighs most.
    assert_eq!(reasons_of(&opinions[..1], &rules[2..3], Verdict::Rejected), [(SameDevice, 3.0), (SimilarName, 2.0)]);
}

#[test]
fn what_no_policy_can_switch_off_leads_the_reasons_without_a_rule() {
    use EvidenceCode::{DuplicateInvoice, ManualAttribution, SameDevice};

    let opinions = [(SameDevice, 3.0), (DuplicateInvoice, -1.45)];
    assert_eq!(reasons_of(&opinions, &[], Verdict::Rejected), [(DuplicateInvoice, 0.0), (SameDevice, 3.0)]);
    let opinions = [(SameDevice, 3.0), (ManualAttribution, -0.25)];
    assert_eq!(reasons_of(&opinions, &[], Verdict::InReview), [(ManualAttribution, 0.0), (SameDevice, 3.0)]);
}

#[test]
fn below_the_floor_of_a_models_score_a_rule_that_reviews_only_weighs_and_one_that_insists_holds() {
    let policy = |mode| {
        let score = ScorePolicy { source: ScoreSource::Model, review_floor: 0.05, ..policy_parts().score };
        let mut parts = PolicyParts { score, ..policy_parts() };
        parts.rules.iter_mut().filter(|rule| &*rule.name == "device.same_device").for_each(|rule| rule.mode = mode);
        Policy::new(parts).unwrap()
    };
    let verdict = |mode, log_odds| {
        let (policy, model) = (policy(mode), model_of_log_odds(log_odds, None));
        let evidence = Evidence::absent().with(EvidenceCode::SameDevice, Finding::of_strength(1.0));
        let decision = decide_on(evidence, &policy, Models { active: Some(&model), ..Models::default() });
        (decision.verdict, decision.rule_hits[0].mode)
    };
    let (below, above) = (-4.0, -2.5);
    assert_eq!(verdict(RuleMode::Review, below), (Verdict::Approved, RuleMode::Weigh));
    assert_eq!(verdict(RuleMode::Review, above), (Verdict::InReview, RuleMode::Review));
    assert_eq!(verdict(RuleMode::Insist, below), (Verdict::InReview, RuleMode::Insist));
    let evidence = Evidence::absent().with(EvidenceCode::SameDevice, Finding::of_strength(1.0));
    let without = decide_on(evidence, &policy(RuleMode::Review), Models::default());
    assert_eq!(without.rule_hits[0].mode, RuleMode::Review, "without a model nothing eases");
}

#[test]
fn the_policys_review_threshold_owns_in_both_directions() {
    let verdict = |review_threshold| {
        let score = ScorePolicy { source: ScoreSource::Model, review_threshold, ..policy_parts().score };
        let (policy, model) = (Policy::new(PolicyParts { score, ..policy_parts() }).unwrap(), model_of_log_odds(-1.5, None));
        let evidence = Evidence::absent().with(EvidenceCode::SimilarPath, Finding::of_strength(0.1));
        decide_on(evidence, &policy, Models { active: Some(&model), ..Models::default() }).verdict
    };
    // The model asks for a review from 0.1, and says 0.18.
    assert_eq!([None, Some(0.15), Some(0.3)].map(verdict), [Verdict::InReview, Verdict::InReview, Verdict::Approved]);
}

#[test]
fn a_conclusive_reject_is_not_sampled_for_audit() {
    let mut parts = policy_parts();
    parts.audit.sample_share = 1.0;
    let evidence = Evidence::absent().with(EvidenceCode::SameAccount, Finding::of_strength(1.0));
    let decision = decide_on(evidence, &Policy::new(parts).unwrap(), Models::default());
    assert_eq!((decision.verdict, decision.audit), (Verdict::Rejected, AuditSample::NotSampled));
}

#[test]
fn only_what_the_model_alone_would_reject_is_sampled_for_audit() {
    let mut parts = policy_parts();
    parts.audit.sample_share = 1.0;
    parts.score.source = ScoreSource::Model;
    let (policy, sure) = (Policy::new(parts).unwrap(), model_of_log_odds(9.0, Some(0.9)));
    let decided = |code| {
        let models = Models { active: Some(&sure), ..Models::default() };
        let decision = decide_on(Evidence::absent().with(code, Finding::of_strength(1.0)), &policy, models);
        (decision.verdict, decision.audit, decision.audited_model().is_some(), decision.verdict_without_audit())
    };
    let not_sampled = (Verdict::Rejected, AuditSample::NotSampled, false, Verdict::Rejected);
    assert_eq!(decided(EvidenceCode::SameAccount), not_sampled, "a rule rejects");
    assert_eq!(decided(EvidenceCode::DuplicateInvoice), not_sampled, "the core rejects");
    assert_eq!(decided(EvidenceCode::SameDevice), (Verdict::InReview, AuditSample::Sampled, true, Verdict::Rejected));
}

#[test]
fn a_certified_conjunction_rejects_whatever_the_score_is_and_stands_under_the_audit_and_the_breaker() {
    let conditions =
        ["identity.similar_name >= 9 bits", "device.same_device >= 8 bits"].map(|text| Condition::parse(text).unwrap());
    let parts = model_of_log_odds(-9.0, None).parts().clone();
    let model = Model::from_parts(ModelParts { conjunctions: vec![Conjunction::new(&conditions).unwrap()], ..parts }).unwrap();
    let decided = |name, sample_share, auto_reject| {
        let mut parts = PolicyParts { rules: Vec::new(), ..policy_parts() };
        parts.rules.push(rule("incomparable", "signals.incomparable", RuleMode::Off, 0.0));
        (parts.score.source, parts.audit.sample_share) = (ScoreSource::Model, sample_share);
        let evidence = Evidence::absent()
            .with(EvidenceCode::SimilarName, Finding::weighed(name, 1.0))
            .with(EvidenceCode::SameDevice, Finding::weighed(8.0, 0.0));
        let observed =
            Observation { features: project(&evidence), evidence, comparability: Comparability::default(), warnings: Vec::new() };
        let (policy, audit_key) = (Policy::new(parts).unwrap(), AuditKey::new([1; 32]));
        let models = Models { active: Some(&model), challenger: Some(&model), auto_reject };
        decide(&honest(), &History::default(), observed, Rulebook { policy: &policy, models, audit_key: &audit_key }, noon())
    };
    let rejected = decided(9.0, 0.0, AutoReject::Armed);
    let shadow = rejected.shadow.as_ref().map(|shadow| shadow.verdict);
    assert_eq!((rejected.verdict, shadow, rejected.score < 0.001), (Verdict::Rejected, Some(Verdict::Rejected), true));
    let codes: Vec<EvidenceCode> = rejected.reasons.iter().map(|reason| reason.code).collect();
    assert_eq!(codes, [EvidenceCode::SimilarName, EvidenceCode::SameDevice], "a reviewer reads all that was demanded");
    let hits = |decision: &Decision| decision.rule_hits.iter().map(|hit| (hit.rule.to_string(), hit.mode)).collect::<Vec<_>>();
    assert_eq!(hits(&rejected), [("certified.1".to_owned(), RuleMode::Reject), ("certified.1".to_owned(), RuleMode::Reject)]);
    let audited = decided(9.0, 1.0, AutoReject::Armed);
    assert_eq!((audited.verdict, audited.audit), (Verdict::InReview, AuditSample::Sampled));
    assert_eq!((audited.audited_model(), audited.verdict_without_audit()), (Some("one-opinion"), Verdict::Rejected));
    let tripped = decided(9.0, 0.0, AutoReject::Tripped);
    assert_eq!((tripped.verdict, tripped.rule_hits[0].mode), (Verdict::InReview, RuleMode::Review));
    assert_eq!(decided(8.9, 0.0, AutoReject::Armed).verdict, Verdict::Approved, "both must be there");
}

#[test]
fn evidence_does_not_depend_on_the_order_of_signals() {
    let ordered = conversion(|cv| {
        cv.referrer.devices = vec![device(1), device(2)];
        cv.referee.devices = vec![device(2), device(3)];
    });
    let reversed = conversion(|cv| {
        cv.referrer.devices = vec![device(2), device(1)];
        cv.referee.devices = vec![device(3), device(2)];
    });
    let history = crowd_on(IdentifierKind::Device, 2, 5);
    assert_eq!(assess_by_rules(&ordered, &history), assess_by_rules(&reversed, &history));
}

proptest! {
    #[test]
    fn every_decision_has_a_finite_score_and_ordered_finite_reasons(evidence in any_evidence()) {
        let decision = decide_on(evidence, &policy(), Models::default());
        prop_assert!((0.0..=1.0).contains(&decision.score));
        prop_assert!(decision.risk_score() <= 99);
        let decided = |code| super::deciders(&decision.evidence, &decision.rule_hits, decision.verdict).iter().any(|(by, _)| *by == code);
        let order: Vec<(bool, f64)> =
            decision.reasons.iter().map(|reason| (decided(reason.code), reason.contribution_log_odds)).collect();
        prop_assert!(order.iter().all(|(_, value)| value.is_finite()));
        prop_assert!(order.windows(2).all(|pair| pair[0] >= pair[1]), "{order:?}");
        prop_assert!(order.iter().all(|(decided, value)| !decided || *value >= 0.0));
    }

    #[test]
    fn what_a_score_is_made_of_adds_up_to_it(evidence in any_evidence()) {
        let decision = decide_on(evidence, &policy(), Models::default());
        prop_assert!((logistic(decision.score_parts.log_odds()) - decision.score).abs() < 1e-12);
        prop_assert!(decision.score_parts.contributions.iter().all(|(code, _)| decision.evidence[*code].is_hit()));
    }

    #[test]
    fn one_more_hit_never_lowers_a_verdict(evidence in any_evidence(), index in 0..EvidenceCode::COUNT, strength in 0.01_f64..=1.0) {
        let code = EvidenceCode::ALL[index];
        prop_assume!(!code.eases());
        let stronger = strength.max(evidence[code].strength());
        let more = evidence.clone().with(code, Finding::of_strength(stronger));
        let policy = policy();
        let (before, after) = (decide_on(evidence, &policy, Models::default()), decide_on(more, &policy, Models::default()));
        prop_assert!(after.verdict >= before.verdict);
        prop_assert!(after.score >= before.score);
    }
}

fn gate_of(change: impl FnOnce(&mut Standing)) -> (Gate, GateReason) {
    let mut standing = approved();
    change(&mut standing);
    let policy = PayoutPolicy::after(Span::from_days(14));
    let answer = gate::check(Some(&standing), &reward(), Asker::Anybody, &policy, noon().plus(Span::from_days(30)));
    (answer.gate, answer.reason)
}

fn reward() -> RewardId {
    RewardId::new("rw-1").unwrap()
}

#[test]
fn an_approved_reward_is_held_until_the_delay_has_passed_and_released_then() {
    let standing = approved();
    let delay = Span::from_days(14);
    let policy = PayoutPolicy::after(delay);
    let early = gate::check(Some(&standing), &reward(), Asker::Anybody, &policy, noon().plus(Span::from_days(13)));
    assert_eq!((early.gate, early.hold_until), (Gate::Hold, Some(noon().plus(delay))));
    assert_eq!(gate::check(Some(&standing), &reward(), Asker::Anybody, &policy, noon().plus(delay)).gate, Gate::Release);
}

#[test]
fn an_unknown_conversion_is_held() {
    let policy = PayoutPolicy::after(Span::ZERO);
    assert_eq!(gate::check(None, &reward(), Asker::Anybody, &policy, noon()).gate, Gate::Hold);
}

#[test]
fn every_obstacle_closes_the_gate() {
    assert_eq!(gate_of(|_| {}), (Gate::Release, GateReason::Cleared));
    assert_eq!(gate_of(|standing| standing.verdict = Verdict::Rejected), (Gate::Deny, GateReason::Rejected));
    assert_eq!(gate_of(|standing| standing.verdict = Verdict::InReview), (Gate::Hold, GateReason::InReview));
    let chargeback = Cancelled { by: OutcomeKind::Chargeback, at: noon() };
    let cancelled = (Gate::Deny, GateReason::Cancelled(OutcomeKind::Chargeback));
    assert_eq!(gate_of(|standing| standing.cancelled = Some(chargeback)), cancelled);
    assert_eq!(gate_of(|standing| standing.referrer_held = Held::Yes), (Gate::Hold, GateReason::ReferrerHeld));
    assert_eq!(gate_of(|standing| standing.referral_held = Held::Yes), (Gate::Hold, GateReason::ReferralHeld));
    assert_eq!(gate_of(|standing| standing.late_facts = Held::Yes), (Gate::Hold, GateReason::LateFacts));
    let state = |state| move |standing: &mut Standing| standing.rewards = vec![worth(2_000, state)];
    assert_eq!(gate_of(state(RewardState::Unpaid)), (Gate::Release, GateReason::Cleared));
    assert_eq!(gate_of(state(RewardState::Paid { amount: None })), (Gate::Deny, GateReason::AlreadyPaid));
    assert_eq!(gate_of(state(RewardState::Elsewhere)), (Gate::Hold, GateReason::OtherConversion));
    let reserved = |until| RewardState::Reserved { by: RequestId::new("run-1").unwrap(), amount: None, until };
    assert_eq!(gate_of(state(reserved(noon().plus(Span::from_days(31))))), (Gate::Hold, GateReason::Reserved));
    assert_eq!(gate_of(state(reserved(noon().plus(Span::from_days(30))))), (Gate::Release, GateReason::Cleared), "it is over");
    assert_eq!(gate_of(|standing| standing.accepts = Accepts::Named), (Gate::Hold, GateReason::UnknownReward));
    let first = ConversionId::new("cv-0").unwrap();
    assert_eq!(gate_of(|standing| standing.duplicate_of = Some(first.clone())), (Gate::Deny, GateReason::Duplicate(first)));
}

fn worth(minor: i64, state: RewardState) -> RewardStanding {
    RewardStanding { reward_id: reward(), beneficiary: Some(Side::Referrer), amount: Money::new(minor, "EUR").ok(), state }
}

#[test]
fn a_reservation_does_not_stand_in_its_own_way() {
    let by = RequestId::new("run-1").unwrap();
    let until = noon().plus(Span::from_days(31));
    let state = RewardState::Reserved { by: by.clone(), amount: None, until };
    let standing = Standing { rewards: vec![worth(2_000, state)], ..approved() };
    let policy = PayoutPolicy::after(Span::ZERO);
    let ask = |asker| gate::check(Some(&standing), &reward(), asker, &policy, noon());
    assert_eq!(ask(Asker::Reservation(&by)).gate, Gate::Release);
    let other = RequestId::new("run-2").unwrap();
    assert_eq!((ask(Asker::Reservation(&other)).gate, ask(Asker::Anybody).hold_until), (Gate::Hold, Some(until)));
}

#[test]
fn a_delay_counts_from_receipt_unless_the_campaign_says_otherwise() {
    let delay = Span::from_days(14);
    let campaign = CampaignId::new("backfill").unwrap();
    let mut policy = PayoutPolicy::after(delay);
    policy.campaigns.insert(campaign.clone(), CampaignPayout { delay, counts_from: CountsFrom::Occurrence });
    let late = Standing { received_at: noon().plus(Span::from_days(60)), ..approved() };
    let now = late.received_at;
    let ask = |standing: &Standing| gate::check(Some(standing), &reward(), Asker::Anybody, &policy, now);
    assert_eq!((ask(&late).gate, ask(&late).hold_until), (Gate::Hold, Some(now.plus(delay))));
    assert_eq!(ask(&Standing { campaign_id: Some(campaign), ..late }).gate, Gate::Release);
}

#[test]
fn a_refund_of_a_part_scales_what_may_be_paid_and_cancels_from_the_policys_share_on() {
    let policy = PayoutPolicy::after(Span::ZERO);
    let ask = |refunded: i64| {
        let refunded = Money::new(refunded, "EUR").ok().map(|amount| (amount, noon()));
        let value = Money::new(4_900, "EUR").ok();
        let standing = Standing { value, refunded, rewards: vec![worth(2_000, RewardState::Unpaid)], ..approved() };
        let answer = gate::check(Some(&standing), &reward(), Asker::Anybody, &policy, noon());
        (answer.reason, answer.payable.map(Money::amount_minor))
    };
    assert_eq!(ask(1), (GateReason::Cleared, Some(1_999)));
    assert_eq!(ask(1_000), (GateReason::Cleared, Some(1_591)));
    assert_eq!(ask(2_449), (GateReason::Cleared, Some(1_000)));
    assert_eq!(ask(2_450), (GateReason::Cancelled(OutcomeKind::ChargeRefunded), None));
    let of_a_cent = Standing {
        value: Money::new(4_900, "EUR").ok(),
        refunded: Money::new(1, "EUR").ok().map(|amount| (amount, noon())),
        rewards: vec![worth(1, RewardState::Unpaid)],
        ..approved()
    };
    let answer = gate::check(Some(&of_a_cent), &reward(), Asker::Anybody, &policy, noon());
    assert_eq!((answer.gate, answer.reason), (Gate::Deny, GateReason::Reduced), "nothing is left to pay");
}

#[test]
fn what_the_referrer_may_see_follows_from_the_verdict_and_never_names_what_matched() {
    let policy = policy();
    let mut seen = std::collections::BTreeSet::new();
    for code in EvidenceCode::ALL {
        let evidence = Evidence::absent().with(code, Finding::weighed(40.0, 1.0));
        let decision = decide_on(evidence, &policy, Models::default());
        let expected = match decision.verdict {
            Verdict::Approved => ReferrerSafeReason::None,
            Verdict::InReview => ReferrerSafeReason::UnderReview,
            Verdict::Rejected => ReferrerSafeReason::NotEligible,
        };
        assert_eq!(decision.referrer_safe_reason, expected, "{code:?}");
        let shown = decision.referrer_safe_reason.sentence();
        for word in code.dotted().split(['.', '_']).filter(|word| word.len() > 3 && *word != "referee" && *word != "referrer") {
            assert!(!shown.to_lowercase().contains(word), "`{shown}` names {word} of {code:?}");
        }
        seen.insert(format!("{:?}", decision.verdict));
    }
    assert_eq!(seen.len(), 3, "every verdict was seen: {seen:?}");
}
