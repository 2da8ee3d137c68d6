//! Models for tests: small, and of which everybody can see what they do.
#![allow(dead_code, reason = "every test binary uses its own part")]

use selfsame::adapters::model_file;
use selfsame::screening::evidence::EvidenceCode;
use selfsame::screening::features::{CATALOGUE, FEATURE_COUNT};
use selfsame::screening::model::{
    Calibrator, Certificate, FeatureSpec, LEAF, Model, ModelParts, Scorer, Split, Thresholds, TrainingSpread, Trees,
};
use selfsame::vocabulary::time::Timestamp;

/// The file of a model that finds a shared network address damning, and nothing else: its score is 0.9933 with one and 0.0067 without. It
/// reviews from 0.5 and rejects from there where `rejects` says so, and promises that at most 1 % of the rejected are honest.
pub(crate) fn against_shared_addresses(version: &str, rejects: Option<f64>) -> Vec<u8> {
    against(EvidenceCode::SameAddress, version, rejects)
}

/// The file of a model that finds a VPN damning, and nothing else.
pub(crate) fn against_vpns(version: &str) -> Vec<u8> {
    against(EvidenceCode::AnonymisedNetwork, version, None)
}

fn against(code: EvidenceCode, version: &str, rejects: Option<f64>) -> Vec<u8> {
    let name = format!("{code}.strength");
    let feature = CATALOGUE.iter().position(|feature| feature.name == name).unwrap();
    // Whether it hits is all that counts, however strongly.
    let leaf = Split { threshold: 0.0, feature: LEAF, left: 0, right: 0, absent: 0 };
    let hits = Split { threshold: 0.0, feature: u16::try_from(feature).unwrap(), left: 1, right: 2, absent: 1 };
    let trees =
        Trees { intercept: 0.0, roots: Box::new([0]), nodes: Box::new([hits, leaf, leaf]), values: Box::new([-4.0, -5.0, 5.0]) };
    let spread = TrainingSpread { edges: Box::new([0.5]), shares: Box::new([0.2, 0.5, 0.3]) };
    let model = Model::from_parts(ModelParts {
        version: version.into(),
        family: "test".into(),
        trained_until: Timestamp::from_millis(1_780_000_000_000).unwrap(),
        features: FeatureSpec::catalogue(),
        scorer: Scorer::Trees(trees),
        calibrator: Calibrator::Identity,
        thresholds: Thresholds { review: 0.5, reject: rejects },
        conjunctions: Vec::new(),
        certificate: Certificate {
            alpha: 0.01,
            delta: 0.05,
            rejected_samples: 300,
            honest_samples: 0,
            rejected_referrals: 300,
            upper_bound: if rejects.is_some() { 0.0099 } else { 1.0 },
        },
        score_spread: spread.clone(),
        feature_spreads: vec![spread; FEATURE_COUNT],
    });
    model_file::to_bytes(&model.unwrap()).unwrap()
}
