//! Made-up matrices for tests: overlapping, grouped, partly absent, seeded. Not a simulator; that one makes conversions.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::matrix::{Matrix, Row};
use crate::screening::decision::Verdict;
use crate::screening::features::{ABSENT, FEATURE_COUNT, FeatureVector};
use crate::vocabulary::label::{LabelSource, Truth};
use crate::vocabulary::time::{Span, Timestamp};

/// Rows with about one abusive in eight, in rings of up to six, as a matrix.
pub(crate) fn matrix(rows: usize, seed: u64) -> Matrix {
    self::rows(rows, seed).into_iter().collect()
}

/// The same as rows.
pub(crate) fn rows(rows: usize, seed: u64) -> Vec<Row> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let start = Timestamp::from_millis(1_700_000_000_000).unwrap();
    let mut made = Vec::new();
    let mut group = 0;
    while made.len() < rows {
        group += 1;
        let abusive = random.gen_bool(0.05);
        let size = if abusive { random.gen_range(1..=6) } else { 1 };
        for _ in 0..size {
            let occurred_at = start.plus(Span::from_minutes(i64::try_from(made.len()).unwrap() * 10));
            made.push(Row {
                features: vector(&mut random, abusive),
                truth: if abusive { Truth::Abusive } else { Truth::Honest },
                source: LabelSource::Simulated,
                labeled_at: occurred_at.plus(Span::from_days(1)),
                programme: "shop".into(),
                group: format!("g{group}").into(),
                occurred_at,
                persona: if abusive { "ring".into() } else { "friend".into() },
                rule_score: if abusive { 0.6 } else { 0.2 },
                rule_verdict: Verdict::Approved,
            });
        }
    }
    made
}

fn vector(random: &mut Xoshiro256PlusPlus, abusive: bool) -> FeatureVector {
    let lift = if abusive { 1.0 } else { 0.0 };
    let mut values = [ABSENT; FEATURE_COUNT];
    for (place, value) in values.iter_mut().enumerate() {
        *value = match place % 6 {
            0 => ABSENT,
            1 if random.gen_bool(0.5) => ABSENT,
            1 => (random.r#gen::<f64>() * 0.7 + lift * 0.3).min(1.0),
            2 => f64::from(u8::from(random.gen_bool(0.05 + 0.25 * lift))),
            3 => (random.r#gen::<f64>() * 40.0 / (1.0 + lift * 2.0)).floor(),
            4 => 0.0,
            _ => random.r#gen::<f64>(),
        };
    }
    // Two features that say little alone and much together.
    if abusive && random.gen_bool(0.6) {
        values[5] = 0.9 + 0.1 * values[5];
        values[11] = 0.9 + 0.1 * values[11];
    }
    FeatureVector::from_values(values)
}
