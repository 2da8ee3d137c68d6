//! Claims about models: what is refused, that scores are total and monotone where they must be, and that contributions add up.

use proptest::prelude::*;

use super::*;
use crate::screening::features::ABSENT;
use crate::screening::rules::Condition;

fn parts(scorer: Scorer) -> ModelParts {
    let spread = TrainingSpread { edges: Box::new([]), shares: Box::new([0.0, 1.0]) };
    ModelParts {
        version: "test-1".into(),
        family: "test".into(),
        trained_until: Timestamp::MIN,
        features: FeatureSpec::catalogue(),
        scorer,
        calibrator: Calibrator::Platt { slope: 0.5, intercept: -0.2 },
        thresholds: Thresholds { review: 0.3, reject: None },
        conjunctions: Vec::new(),
        certificate: Certificate {
            alpha: 0.005,
            delta: 0.05,
            rejected_samples: 0,
            honest_samples: 0,
            rejected_referrals: 0,
            upper_bound: 1.0,
        },
        score_spread: spread.clone(),
        feature_spreads: vec![spread; FEATURE_COUNT],
    }
}

fn leaf() -> Split {
    Split { threshold: 0.0, feature: LEAF, left: 0, right: 0, absent: 0 }
}

fn stump() -> Trees {
    let root = Split { threshold: 0.5, feature: 6, left: 1, right: 2, absent: 1 };
    Trees { intercept: -1.0, roots: Box::new([0]), nodes: Box::new([root, leaf(), leaf()]), values: Box::new([0.1, -0.4, 2.0]) }
}

fn linear() -> Scorer {
    let term = LinearTerm { feature: 0, centre: 0.2, spread: 0.5, weight: 1.5, absent: 0.1 };
    let log = LinearTerm { feature: 40, centre: 1.0, spread: 2.0, weight: -0.5, absent: 0.0 };
    Scorer::Linear(Linear { intercept: -2.0, terms: Box::new([term, log]) })
}

fn scorecard() -> Scorer {
    let binned =
        BinnedFeature { feature: 6, edges: Box::new([0.0, 0.5]), points: Box::new([-0.2, 0.7, 1.9]), absent: 0.05, centre: -0.1 };
    Scorer::Scorecard(Scorecard { intercept: -3.0, features: Box::new([binned]) })
}

#[test]
fn a_model_of_another_catalogue_is_refused_and_the_features_are_named() {
    let mut other = parts(linear());
    other.features[3].name = "identity.forgotten.strength".into();
    other.features[5].unit = "furlongs".into();
    let refused = Model::from_parts(other).unwrap_err().to_string();
    assert!(refused.contains("it needs `identity.forgotten.strength`"), "{refused}");
    assert!(refused.contains(&format!("it lacks `{}`", CATALOGUE[3].name)), "{refused}");
    assert!(refused.contains("furlongs"), "{refused}");
}

#[test]
fn features_in_another_order_are_refused() {
    let mut other = parts(linear());
    other.features.swap(0, 1);
    assert!(matches!(Model::from_parts(other), Err(ModelError::OtherFeatures(difference)) if difference.reordered.len() == 2));
}

#[test]
fn a_tree_that_leads_back_is_refused() {
    let mut looping = stump();
    looping.nodes[0].right = 0;
    assert!(Model::from_parts(parts(Scorer::Trees(looping))).is_err());
}

#[test]
fn what_rejects_without_its_bound_is_refused() {
    let mut uncertified = parts(linear());
    uncertified.thresholds.reject = Some(0.9);
    assert!(Model::from_parts(uncertified).is_err());
    let circle = Conjunction::new(&[Condition::parse("ring.loop").unwrap()]).unwrap();
    assert!(Model::from_parts(ModelParts { conjunctions: vec![circle.clone()], ..parts(linear()) }).is_err());
    let mut certified = parts(linear());
    certified.certificate.upper_bound = 0.004;
    certified.conjunctions = vec![circle; certified::CONJUNCTIONS_MAX + 1];
    assert!(Model::from_parts(certified.clone()).is_err(), "too many to read");
    certified.conjunctions.truncate(1);
    assert!(Model::from_parts(certified).is_ok_and(|model| model.rejects()));
}

#[test]
fn absent_goes_its_own_way_in_a_tree() {
    let model = Model::from_parts(parts(Scorer::Trees(stump()))).unwrap();
    let with = |value| {
        let mut values = [ABSENT; FEATURE_COUNT];
        values[6] = value;
        model.margin(&FeatureVector::from_values(values))
    };
    assert_eq!((with(ABSENT), with(0.5), with(0.51)), (-1.4, -1.4, 1.0));
}

/// Trees of uneven depth that ask for few features again and again, more of them than are taken together at once, and some left over.
fn forest(depth_max: u16) -> Scorer {
    let (mut roots, mut nodes) = (Vec::new(), Vec::new());
    for tree in 0..150_u16 {
        roots.push(u32::try_from(nodes.len()).unwrap());
        for level in 0..=tree % depth_max {
            let feature = (tree * 7 + level % 3) % u16::try_from(FEATURE_COUNT).unwrap();
            let (left, right) = if level % 2 == 0 { (1, 2) } else { (2, 1) };
            let threshold = f64::from((level * 5 + tree) % 9) / 8.0;
            nodes.push(Split { threshold, feature, left, right, absent: if tree % 3 == 0 { left } else { right } });
            nodes.push(leaf());
        }
        nodes.push(leaf());
    }
    let values: Vec<f64> = (0..u32::try_from(nodes.len()).unwrap()).map(|at| f64::from(at).sin()).collect();
    Scorer::Trees(Trees { intercept: 0.25, roots: roots.into(), nodes: nodes.into(), values: values.into() })
}

#[test]
fn trees_of_up_to_sixteen_leaves_are_scored_by_masks_and_others_are_walked() {
    assert!(ScorerMasks::new(&forest(15)).is_some());
    assert!(ScorerMasks::new(&forest(16)).is_none());
    assert!(ScorerMasks::new(&scorecard()).is_none());
    let silent = Trees { intercept: 0.0, roots: Box::new([0]), nodes: Box::new([leaf()]), values: Box::new([0.5]) };
    assert_eq!(
        Model::from_parts(parts(Scorer::Trees(silent))).unwrap().margin(&FeatureVector::from_values([0.0; FEATURE_COUNT])),
        0.5
    );
    let values = [0.3; FEATURE_COUNT];
    let deep = Model::from_parts(parts(forest(16))).unwrap();
    assert_eq!(deep.margin(&FeatureVector::from_values(values)).to_bits(), forest(16).margin(&values).to_bits());
}

fn any_values() -> impl Strategy<Value = [f64; FEATURE_COUNT]> {
    proptest::collection::vec(prop_oneof![Just(ABSENT), 0.0..=1.0, 0.0..1e6], FEATURE_COUNT).prop_map(|values| {
        let mut array = [ABSENT; FEATURE_COUNT];
        array.copy_from_slice(&values);
        array
    })
}

proptest! {
    #[test]
    fn masks_give_the_bits_of_walking_the_trees_and_their_explanation(values in any_values()) {
        let of_trees = forest(15);
        for scorer in [of_trees, Scorer::Trees(stump())] {
            let masks = ScorerMasks::new(&scorer).unwrap();
            let (mut by_masks, mut by_walking) = ([0.0; FEATURE_COUNT], [0.0; FEATURE_COUNT]);
            let (margin, base) = masks.explain(&values, &mut by_masks);
            prop_assert_eq!(masks.margin(&values).to_bits(), scorer.margin(&values).to_bits());
            prop_assert_eq!(margin.to_bits(), scorer.margin(&values).to_bits());
            prop_assert!((base - scorer.explain(&values, &mut by_walking)).abs() < 1e-9);
            for (one, other) in by_masks.into_iter().zip(by_walking) {
                prop_assert!((one - other).abs() < 1e-9, "{one} for {other}");
            }
        }
    }

    #[test]
    fn every_vector_has_a_probability_and_contributions_add_up_to_it(values in any_values()) {
        let features = FeatureVector::from_values(values);
        for scorer in [linear(), scorecard(), Scorer::Trees(stump()), forest(15), forest(16)] {
            let base = scorer.clone().explain(&values, &mut [0.0; FEATURE_COUNT]);
            let model = Model::from_parts(parts(scorer)).unwrap();
            let ModelScore { probability, contributions, log_odds: _ } = model.score(&features);
            prop_assert!(probability > 0.0 && probability < 1.0);
            let log_odds = model.parts().calibrator.log_odds(base) + contributions.iter().map(|(_, part)| part).sum::<f64>();
            prop_assert!((logistic(log_odds) - probability).abs() < 1e-9);
        }
    }

    #[test]
    fn calibrators_never_lower_a_higher_margin(a in -50.0..50.0_f64, b in -50.0..50.0_f64) {
        let knots = [(-3.0, -4.0), (0.0, -4.0), (2.0, 1.0), (2.5, 6.0)].map(|(margin, log_odds)| Knot { margin, log_odds });
        let all = [
            Calibrator::Identity,
            Calibrator::Platt { slope: 0.7, intercept: -1.0 },
            Calibrator::Beta { a: 0.4, b: 1.2, c: 0.3 },
            Calibrator::Isotonic { knots: Box::new(knots) },
        ];
        for calibrator in all {
            prop_assert!(calibrator.log_odds(a.min(b)) <= calibrator.log_odds(a.max(b)));
        }
    }
}
