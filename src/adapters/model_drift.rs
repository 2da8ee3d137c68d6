//! Live drift: how the scores and features of what is screened are spread, in the intervals of the active model's training data.
//!
//! Counts on the path of every decision, so it counts with relaxed atomics, takes no lock and allocates nothing. It must never change a
//! decision. Counts begin anew with the process and with another model, and older values fade; a decision that a ledger has assessed more than
//! once counts more than once. The standing rules feed it, the model service and the gauges read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::screening::features::{CATALOGUE, FeatureVector};
use crate::screening::model::{Model, TrainingSpread};
use crate::screening::monitor::{DriftLevel, LiveSpread};

/// So many decisions are all counted; of those after them, one in [`THINNING`]: drift of a busy programme needs no more, and the path none.
const COUNTED_ALL: u64 = 4_096;
const THINNING: u64 = 8;
/// When so many were counted, all counts are halved, so that what came long ago fades.
const FADE_AT: u64 = 50_000;

/// How far one quantity has moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifted {
    /// The feature's name, or `score`.
    pub name: String,
    /// The population stability index; absent when there are too few values.
    pub stability_index: Option<f64>,
    /// How to read it.
    pub level: DriftLevel,
    /// Live values that were counted.
    pub values: u64,
}

/// The live spread of one model's score and features in one programme.
#[derive(Debug)]
pub struct LiveDrift {
    model: Arc<Model>,
    decided: AtomicU64,
    counted: AtomicU64,
    /// The counts of all quantities one after the other: the score first, then the features in catalogue order.
    counts: Box<[AtomicU32]>,
}

impl LiveDrift {
    /// Nothing counted yet.
    #[must_use]
    pub fn new(model: Arc<Model>) -> Self {
        let places: usize = spreads(&model).map(|spread| spread.shares.len()).sum();
        let counts = (0..places).map(|_| AtomicU32::new(0)).collect();
        Self { model, decided: AtomicU64::new(0), counted: AtomicU64::new(0), counts }
    }

    /// Counts a decision of the active model. The features are asked for only when they are counted.
    pub fn observe(&self, score: f64, features: impl FnOnce() -> FeatureVector) {
        let decided = self.decided.fetch_add(1, Ordering::Relaxed);
        if decided >= COUNTED_ALL && !decided.is_multiple_of(THINNING) {
            return;
        }
        let features = features();
        let values = std::iter::once(&score).chain(features.values());
        let mut first = 0;
        for (spread, value) in spreads(&self.model).zip(values) {
            if let Some(count) = self.counts.get(first + spread.place(*value)) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            first += spread.shares.len();
        }
        if self.counted.fetch_add(1, Ordering::Relaxed) + 1 >= FADE_AT {
            self.fade();
        }
    }

    /// Halves all counts. What others count meanwhile may be lost, which changes no share that matters.
    fn fade(&self) {
        self.counted.store(FADE_AT / 2, Ordering::Relaxed);
        for count in &self.counts {
            count.store(count.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
        }
    }

    /// How far the score has moved.
    #[must_use]
    pub fn of_score(&self) -> Drifted {
        drifted("score".to_owned(), &self.model.parts().score_spread, &self.counts)
    }

    /// How far each feature has moved, the farthest first.
    #[must_use]
    pub fn of_features(&self) -> Vec<Drifted> {
        let mut first = self.model.parts().score_spread.shares.len();
        let mut readings = Vec::with_capacity(CATALOGUE.len());
        for (feature, spread) in CATALOGUE.iter().zip(&self.model.parts().feature_spreads) {
            readings.push(drifted(feature.name.clone(), spread, self.counts.get(first..).unwrap_or_default()));
            first += spread.shares.len();
        }
        let index = |reading: &Drifted| reading.stability_index.unwrap_or(-1.0);
        readings.sort_by(|a, b| index(b).total_cmp(&index(a)).then_with(|| a.name.cmp(&b.name)));
        readings
    }
}

/// The training spreads in the order of the counts.
fn spreads(model: &Model) -> impl Iterator<Item = &TrainingSpread> {
    std::iter::once(&model.parts().score_spread).chain(&model.parts().feature_spreads)
}

/// `counts` begins with those of the quantity.
fn drifted(name: String, training: &TrainingSpread, counts: &[AtomicU32]) -> Drifted {
    let own = counts.iter().take(training.shares.len()).map(|count| u64::from(count.load(Ordering::Relaxed)));
    let live = LiveSpread::of_counts(own);
    let (stability_index, level) = live.drift(training);
    Drifted { name, stability_index, level, values: live.values() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::model_file::tests::model;
    use crate::screening::features::{ABSENT, FEATURE_COUNT};

    /// The spread of the model's training: absent never, up to 0.3 one in three, above it two in three.
    fn observed(decisions: u32, low_in_three: u32) -> LiveDrift {
        let drift = LiveDrift::new(Arc::new(model("m-1")));
        for number in 0..decisions {
            let mut values = [0.9; FEATURE_COUNT];
            if number % 3 < low_in_three {
                values = [0.1; FEATURE_COUNT];
            }
            values[5] = ABSENT;
            drift.observe(values[0], || FeatureVector::from_values(values));
        }
        drift
    }

    #[test]
    fn what_is_spread_as_in_training_is_stable_and_what_is_not_comes_first() {
        let drift = observed(900, 1);
        let score = drift.of_score();
        assert_eq!((score.name.as_str(), score.level, score.values), ("score", DriftLevel::Stable, 900));
        let features = drift.of_features();
        assert_eq!(features.len(), FEATURE_COUNT);
        assert_eq!((features[0].name.as_str(), features[0].level), (CATALOGUE[5].name.as_str(), DriftLevel::Shifted));
        assert!(features[1..].iter().all(|feature| feature.level == DriftLevel::Stable));
    }

    #[test]
    fn too_few_values_give_no_reading() {
        assert_eq!(observed(300, 1).of_score().stability_index, None);
    }

    #[test]
    fn of_many_decisions_a_part_is_counted_and_what_came_long_ago_fades() {
        let drift = observed(600_000, 1);
        assert!((25_000..=50_000).contains(&drift.of_score().values), "{}", drift.of_score().values);
        assert_eq!(drift.of_score().level, DriftLevel::Stable);
    }
}
