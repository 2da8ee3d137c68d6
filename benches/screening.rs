//! How fast the way from signals to a decision is, step by step: digesting, wire to bundle, evidence, features, model, the whole `assess`,
//! and the payout gate. `cargo bench --bench screening`.
#![expect(clippy::unwrap_used, reason = "a benchmark stops at once when it fails")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;
use selfsame::adapters::model_drift::LiveDrift;
use selfsame::adapters::model_file;
use selfsame::adapters::model_store::SHIPPED_MODEL;
use selfsame::digesting::Digester;

use selfsame::digesting::{ProgrammeKey, digest_email, digest_name};
use selfsame::offline::load::generator::{Traffic, TrafficShape, Walk};
use selfsame::screening::audit::AuditKey;
use selfsame::screening::comparability::Comparability;
use selfsame::screening::evidence::{EvidenceCode, gather};
use selfsame::screening::features::{FEATURE_COUNT, project};
use selfsame::screening::gate::{Accepts, Asker, Held, Record, RewardStanding, RewardState, Standing, check};
use selfsame::screening::history::{AccountHistory, Crowd, History, identifiers};
use selfsame::screening::model::{
    BinnedFeature, Calibrator, Certificate, FeatureSpec, Model, ModelParts, Scorecard, Scorer, Thresholds, TrainingSpread,
};
use selfsame::screening::policy::{
    AuditPolicy, PayoutPolicy, Policy, PolicyParts, ReviewPolicy, RuleMode, ScorePolicy, ScoreSource,
};
use selfsame::screening::rules::{Condition, Rule};
use selfsame::screening::{Models, Observation, Rulebook, assess, decide, observe};
use selfsame::vocabulary::conversion::Conversion;
use selfsame::vocabulary::digest::KeyId;
use selfsame::vocabulary::ids::RewardId;
use selfsame::vocabulary::time::{Span, Timestamp};
use selfsame::wire::conversion::parse;
use selfsame::wire::fields::Arrival;
use selfsame::wire::v1;

fn traffic() -> Traffic {
    Traffic::new(TrafficShape::with_known_values("bench", 100_000, 1), Walk::Measuring)
}

fn conversion(index: u64) -> Conversion {
    parse(traffic().conversion(index), "conversion", Arrival::Recorded).unwrap()
}

/// What is known when a busy referrer brings a user: a grown profile, 64 earlier referrals, and somebody on every value.
fn history_of(conversion: &Conversion) -> History {
    let mut profile = conversion.referrer.clone();
    for index in 1..4 {
        let earlier = self::conversion(index).referee;
        profile = profile.merged_with(&earlier);
    }
    let times = (0..64).map(|n| conversion.occurred_at.minus(Span::from_hours(n * 5))).collect();
    let mut history = History { persons_known: 12_500, ..History::default() };
    let values = identifiers(&profile).into_iter().chain(identifiers(&conversion.referee));
    for (others, value) in (0..5).cycle().zip(values) {
        history
            .crowds
            .insert(value, Crowd { accounts_ever: others, persons_ever: others, accounts_30d: others, ..Crowd::default() });
    }
    history.referrer = AccountHistory {
        profile: Some(profile),
        first_seen_at: Some(conversion.occurred_at.minus(Span::from_days(90))),
        recent_referrals: times,
        referrals_total: 64,
        referrals_rejected: 2,
        ..AccountHistory::default()
    };
    history
}

fn policy() -> Policy {
    let rule = |code: EvidenceCode| Rule {
        name: code.dotted().into(),
        when: vec![Condition::parse(code.dotted()).unwrap()],
        mode: RuleMode::Weigh,
        weight_log_odds: if code == EvidenceCode::Trusted { -2.0 } else { 1.0 },
    };
    Policy::new(PolicyParts {
        version: "bench".to_owned(),
        score: ScorePolicy {
            source: ScoreSource::Model,
            intercept_log_odds: -5.0,
            review_threshold: Some(0.2),
            review_floor: 0.01,
        },
        payout: PayoutPolicy::after(Span::from_days(14)),
        review: ReviewPolicy { due_after: Span::from_hours(48), lease: Span::from_minutes(30) },
        audit: AuditPolicy { sample_share: 0.02 },
        rules: EvidenceCode::ALL.into_iter().map(rule).collect(),
    })
    .unwrap()
}

/// A scorecard over all features, each with eight intervals: as large as a fitted one gets.
fn model() -> Model {
    let spread = TrainingSpread { edges: Box::new([]), shares: Box::new([0.0, 1.0]) };
    let edges = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 2.0];
    let binned = |feature: usize| BinnedFeature {
        feature: u16::try_from(feature).unwrap(),
        edges: edges.into(),
        points: [-0.1, 0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5].into(),
        absent: 0.0,
        centre: 0.01,
    };
    let scorer = Scorer::Scorecard(Scorecard { intercept: -4.0, features: (0..FEATURE_COUNT).map(binned).collect() });
    Model::from_parts(ModelParts {
        version: "bench".into(),
        family: "scorecard".into(),
        trained_until: Timestamp::MIN,
        features: FeatureSpec::catalogue(),
        scorer,
        calibrator: Calibrator::Platt { slope: 0.9, intercept: -0.1 },
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
    })
    .unwrap()
}

fn digesting(criterion: &mut Criterion) {
    let bytes: Vec<u8> = (0..32).map(|n: u8| n.wrapping_mul(37)).collect();
    let key = ProgrammeKey::from_bytes(KeyId::new("k1").unwrap(), &bytes).unwrap();
    let digester = Digester::new(&key);
    let mut group = criterion.benchmark_group("digesting");
    group.bench_function("an e-mail address: five digests and two sketches", |bencher| {
        bencher.iter(|| digest_email(&digester, black_box("Jane.Doe+news@googlemail.com")).unwrap());
    });
    group.bench_function("a name: a digest and two sketches", |bencher| {
        bencher.iter(|| digest_name(&digester, black_box("Jane A. Doe-Smith")).unwrap());
    });
    group.finish();
}

fn wire(criterion: &mut Criterion) {
    let message = traffic().conversion(1);
    let bytes = message.encode_to_vec();
    let mut group = criterion.benchmark_group("wire");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("protobuf to message", |bencher| {
        bencher.iter(|| v1::Conversion::decode(black_box(bytes.as_slice())).unwrap());
    });
    group.bench_function("message to conversion", |bencher| {
        let arrival = Arrival::Recorded;
        bencher.iter_batched(|| message.clone(), |message| parse(message, "conversion", arrival).unwrap(), BatchSize::SmallInput);
    });
    group.finish();
}

fn screening(criterion: &mut Criterion) {
    let honest = conversion(10);
    let farmed =
        (0..1_000).map(conversion).find(|c| c.referrer.payments[0].instrument == c.referee.payments[0].instrument).unwrap();
    let (policy, model, audit_key) = (policy(), model(), AuditKey::new([1; 32]));
    let models = Models { active: Some(&model), ..Models::default() };
    let rulebook = Rulebook { policy: &policy, models, audit_key: &audit_key };
    let history = history_of(&honest);
    let now = honest.occurred_at;
    let (referrer, referee) = history.sides(&honest);
    let (comparability, _) = Comparability::of(&referrer, &referee);
    let evidence = gather(&honest, &referrer, &referee, &comparability, &history);
    let observed = observe(&honest, &history);
    let features = observed.features.clone();

    let mut group = criterion.benchmark_group("screening");
    group.bench_function("sides: message into profile", |bencher| bencher.iter(|| history.sides(black_box(&honest))));
    group.bench_function("evidence", |bencher| {
        bencher.iter(|| gather(black_box(&honest), &referrer, &referee, &comparability, &history));
    });
    group.bench_function("features", |bencher| {
        bencher.iter(|| project(black_box(&evidence)));
    });
    group.bench_function("model: probability", |bencher| bencher.iter(|| model.probability(black_box(&features))));
    group.bench_function("model: probability and contributions", |bencher| bencher.iter(|| model.score(black_box(&features))));
    let shipped = model_file::from_bytes(SHIPPED_MODEL).unwrap();
    group.bench_function("model: the shipped one, probability", |bencher| {
        bencher.iter(|| shipped.probability(black_box(&features)));
    });
    group.bench_function("model: the shipped one, probability and contributions", |bencher| {
        bencher.iter(|| shipped.score(black_box(&features)));
    });
    group.bench_function("decide: rules, model, reasons", |bencher| {
        bencher.iter(|| decide(&honest, &history, black_box(observed.clone()), rulebook, now));
    });
    group.bench_function("assess, honest", |bencher| bencher.iter(|| assess(black_box(&honest), &history, rulebook, now)));
    let by_shipped = Rulebook { models: Models { active: Some(&shipped), ..Models::default() }, ..rulebook };
    group.bench_function("assess, honest, by the shipped model", |bencher| {
        bencher.iter(|| assess(black_box(&honest), &history, by_shipped, now));
    });
    let farmed_history = history_of(&farmed);
    group.bench_function("assess, farmed", |bencher| {
        bencher.iter(|| assess(black_box(&farmed), &farmed_history, rulebook, now));
    });
    group.finish();
}

/// What counting drift adds to a decision: of the first thousands each, then of one in eight.
fn drift(criterion: &mut Criterion) {
    let (model, honest) = (Arc::new(model_with_spreads()), conversion(10));
    let history = history_of(&honest);
    let Observation { evidence, features, comparability: _, warnings: _ } = observe(&honest, &history);
    let mut group = criterion.benchmark_group("drift");
    group.bench_function("counting a decision, all of the first 4,096", |bencher| {
        bencher.iter_batched_ref(
            || LiveDrift::new(Arc::clone(&model)),
            |drift| (0..64).for_each(|_| drift.observe(0.1, || project(black_box(&evidence)))),
            BatchSize::SmallInput,
        );
    });
    let busy = LiveDrift::new(Arc::clone(&model));
    (0..8_192).for_each(|_| busy.observe(0.1, || features.clone()));
    group.bench_function("counting a decision, one in eight", |bencher| {
        bencher.iter(|| busy.observe(0.1, || project(black_box(&evidence))));
    });
    group.finish();
}

/// The same model with ten intervals for each feature, as training makes them.
fn model_with_spreads() -> Model {
    let edges: Box<[f64]> = (1..10).map(|n| f64::from(n) / 10.0).collect();
    let shares: Box<[f64]> = (0..11).map(|_| 1.0 / 11.0).collect();
    let spread = TrainingSpread { edges, shares };
    let parts = model().parts().clone();
    Model::from_parts(ModelParts { score_spread: spread.clone(), feature_spreads: vec![spread; FEATURE_COUNT], ..parts }).unwrap()
}

fn gate(criterion: &mut Criterion) {
    use selfsame::screening::decision::Verdict;
    let now = Timestamp::saturating_from_millis(1_790_000_000_000);
    let rewards: Vec<RewardId> = (0..100).map(|n| RewardId::new(&format!("rw-{n}")).unwrap()).collect();
    let standing = |reward: &RewardId| Standing {
        record: Record::Kept,
        verdict: Verdict::Approved,
        occurred_at: now.minus(Span::from_days(20)),
        received_at: now.minus(Span::from_days(20)),
        campaign_id: None,
        value: None,
        cancelled: None,
        refunded: None,
        duplicate_of: None,
        referral_held: Held::No,
        referrer_held: Held::No,
        late_facts: Held::No,
        accepts: Accepts::Named,
        rewards: vec![RewardStanding { reward_id: reward.clone(), beneficiary: None, amount: None, state: RewardState::Unpaid }],
    };
    let asked: Vec<(RewardId, Standing)> = rewards.iter().map(|reward| (reward.clone(), standing(reward))).collect();
    let policy = PayoutPolicy::after(Span::from_days(14));
    criterion.bench_function("gate of 100 rewards", |bencher| {
        bencher.iter(|| {
            for (reward, standing) in &asked {
                black_box(check(Some(standing), reward, Asker::Anybody, &policy, now));
            }
        });
    });
}

criterion_group!(benches, digesting, wire, screening, drift, gate);
criterion_main!(benches);
