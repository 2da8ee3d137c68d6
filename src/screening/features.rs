//! Features: the numbers that a model sees, projected from evidence.
//!
//! One catalogue, used online and offline. A feature is the strength of a piece of evidence, the measure beside it, or a plain fact of the
//! conversion. Absent is [`ABSENT`], which lies outside every range, so that a model can tell it from zero. The order and the names are
//! bound to a model by [`schema_hash`].

use std::sync::LazyLock;

use super::evidence::{Evidence, EvidenceCode, MeasureKind, past_windows, referrals_within};
use super::history::{AccountHistory, History};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::time::Timestamp;

/// The value of a feature whose signals were not there.
pub const ABSENT: f64 = -1.0;

/// In which direction a feature speaks for abuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// More of it is more suspicious.
    Rises,
    /// More of it is less suspicious.
    Falls,
    /// Not known beforehand.
    Either,
}

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    /// Its name: the evidence code, a dot, and what is taken of it.
    pub name: String,
    /// What it says, in a sentence.
    pub meaning: String,
    /// The unit.
    pub unit: &'static str,
    /// The smallest value when present.
    pub low: f64,
    /// The largest value when present; infinite when there is no limit.
    pub high: f64,
    /// In which direction it speaks for abuse.
    pub direction: Direction,
    /// The evidence that explains it to a reviewer.
    pub code: EvidenceCode,
}

/// The evidence that a model sees, in the order of its features. Evidence that is not here is for rules alone: a code that is added to the
/// catalogue does not change what models were fitted on. Whoever adds one here fits the models again.
const PROJECTED: [EvidenceCode; 40] = [
    EvidenceCode::SameAccount,
    EvidenceCode::SameEmail,
    EvidenceCode::SameMailbox,
    EvidenceCode::SameLocalPart,
    EvidenceCode::SimilarMailbox,
    EvidenceCode::SimilarName,
    EvidenceCode::SameDevice,
    EvidenceCode::SameBrowser,
    EvidenceCode::SimilarEnvironment,
    EvidenceCode::SameAddress,
    EvidenceCode::SamePrefix,
    EvidenceCode::SameInstrument,
    EvidenceCode::PayoutIsBilling,
    EvidenceCode::ReferrerPresent,
    EvidenceCode::SimilarPath,
    EvidenceCode::SharedPrivateDomain,
    EvidenceCode::DisposableEmail,
    EvidenceCode::AnonymisedNetwork,
    EvidenceCode::NoClick,
    EvidenceCode::ClickToSignup,
    EvidenceCode::SignupToConversion,
    EvidenceCode::ManualAttribution,
    EvidenceCode::InvalidCode,
    EvidenceCode::CodeChanged,
    EvidenceCode::ExistingUser,
    EvidenceCode::MinimumPurchase,
    EvidenceCode::DuplicateInvoice,
    EvidenceCode::CrowdedDevice,
    EvidenceCode::CrowdedNetwork,
    EvidenceCode::CrowdedPayment,
    EvidenceCode::PatternRepeats,
    EvidenceCode::ReferrerBurst,
    EvidenceCode::ReferrerRate,
    EvidenceCode::ReferrerRejections,
    EvidenceCode::ReferrerRefunds,
    EvidenceCode::RingLoop,
    EvidenceCode::RingSize,
    EvidenceCode::RingTouchesRejected,
    EvidenceCode::Blocked,
    EvidenceCode::Trusted,
];

/// Whether a model sees this evidence.
#[must_use]
pub fn sees(code: EvidenceCode) -> bool {
    PROJECTED.contains(&code)
}

/// Whether a piece of evidence has a number beside it that a model sees.
const fn is_measured(code: EvidenceCode) -> bool {
    !matches!(code.measure_kind(), MeasureKind::Nothing | MeasureKind::Way)
}

const MEASURE_COUNT: usize = {
    let mut count = 0;
    let mut index = 0;
    while index < PROJECTED.len() {
        if is_measured(PROJECTED[index]) {
            count += 1;
        }
        index += 1;
    }
    count
};

/// How many of the features are [`Facts`].
pub const FACT_COUNT: usize = 9;

/// How many features there are.
pub const FEATURE_COUNT: usize = PROJECTED.len() + MEASURE_COUNT + FACT_COUNT;

/// One number for every feature, in catalogue order.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureVector([f64; FEATURE_COUNT]);

impl FeatureVector {
    /// A vector of these numbers.
    #[must_use]
    pub const fn from_values(values: [f64; FEATURE_COUNT]) -> Self {
        Self(values)
    }

    /// The numbers. Each is finite: within the feature's range, or [`ABSENT`].
    #[must_use]
    pub const fn values(&self) -> &[f64; FEATURE_COUNT] {
        &self.0
    }
}

/// The catalogue: all features in the order of the vector.
pub static CATALOGUE: LazyLock<Vec<Feature>> = LazyLock::new(|| {
    let mut features: Vec<Feature> = PROJECTED.into_iter().map(strength_feature).collect();
    features.extend(PROJECTED.into_iter().filter_map(measure_feature));
    features.extend(fact_features());
    features
});

/// Names the catalogue: 16 hexadecimal characters of BLAKE3 over names, units, ranges and directions.
#[must_use]
pub fn schema_hash() -> String {
    let mut hasher = blake3::Hasher::new();
    for feature in CATALOGUE.iter() {
        let Feature { name, meaning: _, unit, low, high, direction, code: _ } = feature;
        hasher.update(format!("{name}\u{0}{unit}\u{0}{low}\u{0}{high}\u{0}{direction:?}\u{0}").as_bytes());
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}

fn strength_feature(code: EvidenceCode) -> Feature {
    let unclear =
        matches!(code, EvidenceCode::ExistingUser | EvidenceCode::ManualAttribution | EvidenceCode::SharedPrivateDomain);
    let direction = if code == EvidenceCode::Trusted {
        Direction::Falls
    } else if unclear {
        Direction::Either
    } else {
        Direction::Rises
    };
    Feature {
        name: format!("{code}.strength"),
        meaning: format!("How strongly this speaks: {}", code.meaning()),
        unit: "strength",
        low: 0.0,
        high: 1.0,
        direction,
        code,
    }
}

fn measure_feature(code: EvidenceCode) -> Option<Feature> {
    let (suffix, unit, high, direction) = match code.measure_kind() {
        MeasureKind::Nothing | MeasureKind::Way => return None,
        MeasureKind::Similarity => ("similarity", "similarity", 1.0, Direction::Rises),
        MeasureKind::Accounts => ("accounts", "accounts", f64::INFINITY, Direction::Either),
        MeasureKind::Count => ("count", "count", f64::INFINITY, Direction::Rises),
        MeasureKind::Seconds => ("seconds", "s", f64::INFINITY, Direction::Falls),
        MeasureKind::Steps => ("steps", "steps", f64::INFINITY, Direction::Either),
    };
    Some(Feature {
        name: format!("{code}.{suffix}"),
        meaning: format!("What was measured for: {}", code.meaning()),
        unit,
        low: 0.0,
        high,
        direction,
        code,
    })
}

fn fact_features() -> [Feature; FACT_COUNT] {
    let fact = |name: &str, meaning: &str, unit: &'static str, direction: Direction, code: EvidenceCode| Feature {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        unit,
        low: 0.0,
        high: f64::INFINITY,
        direction,
        code,
    };
    let rate = EvidenceCode::ReferrerRate;
    [
        fact(
            "velocity.referrals_1h",
            "New users that the referrer brought in the last hour.",
            "referrals",
            Direction::Rises,
            rate,
        ),
        fact(
            "velocity.referrals_24h",
            "New users that the referrer brought in the last 24 hours.",
            "referrals",
            Direction::Rises,
            rate,
        ),
        fact(
            "velocity.referrals_7d",
            "New users that the referrer brought in the last 7 days.",
            "referrals",
            Direction::Rises,
            rate,
        ),
        fact(
            "velocity.referrals_30d",
            "New users that the referrer brought in the last 30 days.",
            "referrals",
            Direction::Rises,
            rate,
        ),
        fact("referrer.age_days", "Time since the referrer was first known.", "days", Direction::Falls, EvidenceCode::RingSize),
        fact(
            "referee.age_days",
            "Time since the referee was first known.",
            "days",
            Direction::Falls,
            EvidenceCode::SignupToConversion,
        ),
        fact(
            "referee.touchpoints",
            "Touchpoints of the referee's journey.",
            "touchpoints",
            Direction::Falls,
            EvidenceCode::NoClick,
        ),
        fact("referee.devices", "Devices of the referee.", "devices", Direction::Either, EvidenceCode::SimilarEnvironment),
        fact("value.amount_minor", "What the referee paid.", "minor units", Direction::Either, EvidenceCode::MinimumPurchase),
    ]
}

/// What features are made of beside evidence: plain numbers of the conversion and its history. A decision keeps them, so that its feature
/// vector can be made again from what is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts([f64; FACT_COUNT]);

impl Facts {
    /// Nothing is known.
    pub const ABSENT: Self = Self([ABSENT; FACT_COUNT]);

    /// The numbers, in catalogue order. Each is finite: 0 or above, or [`ABSENT`].
    #[must_use]
    pub const fn values(&self) -> &[f64; FACT_COUNT] {
        &self.0
    }

    /// Facts of these numbers. New facts are added at the end of the catalogue: numbers that are missing, because they were kept before a
    /// fact was known, are [`ABSENT`]; those beyond the catalogue are dropped.
    #[must_use]
    pub fn from_values(values: &[f64]) -> Self {
        let mut facts = Self::ABSENT;
        facts.0.iter_mut().zip(values).for_each(|(slot, value)| *slot = *value);
        facts
    }
}

/// Gathers the facts of a conversion.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts and amounts are far below 2^53")]
pub fn gather(conversion: &Conversion, referrer: &SignalBundle, referee: &SignalBundle, history: &History) -> Facts {
    let as_of = conversion.occurred_at;
    let [hour, day, week, month] =
        past_windows().map(|(window, _)| f64::from(referrals_within(&history.referrer, as_of, window)));
    let touchpoints = &referee.journey;
    Facts([
        hour,
        day,
        week,
        month,
        age_days(referrer, &history.referrer, as_of),
        age_days(referee, &history.referee, as_of),
        if touchpoints.is_empty() { ABSENT } else { f64::from(touchpoints.touchpoint_count_total()) },
        if referee.devices.is_empty() { ABSENT } else { referee.devices.len() as f64 },
        conversion.value.map_or(ABSENT, |value| value.amount_minor() as f64),
    ])
}

/// Projects evidence and facts to the feature vector. The only way to make one, online and offline.
#[must_use]
pub fn project(evidence: &Evidence, facts: &Facts) -> FeatureVector {
    let mut values = [ABSENT; FEATURE_COUNT];
    let strength = |code: EvidenceCode| {
        let finding = &evidence[code];
        if finding.is_absent() { ABSENT } else { finding.strength() }
    };
    let strengths = PROJECTED.into_iter().map(strength);
    let measured = PROJECTED.into_iter().filter(|code| is_measured(*code));
    let measures = measured.map(|code| evidence[code].measure().unwrap_or(ABSENT));
    for (slot, value) in values.iter_mut().zip(strengths.chain(measures).chain(facts.0)) {
        *slot = value;
    }
    FeatureVector(values)
}

/// Days since the account was opened, or since it was first seen here; absent when neither is known.
fn age_days(side: &SignalBundle, account: &AccountHistory, as_of: Timestamp) -> f64 {
    let known_since = side.account_created_at.or(account.first_seen_at);
    known_since.map_or(ABSENT, |since| (as_of.since(since).as_seconds() / 86_400.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_catalogue_has_as_many_unique_names_as_the_vector_has_numbers() {
        let names: BTreeSet<&str> = CATALOGUE.iter().map(|feature| feature.name.as_str()).collect();
        assert_eq!(names.len(), FEATURE_COUNT);
    }

    #[test]
    fn what_is_added_to_the_evidence_changes_no_model() {
        assert_eq!(schema_hash(), "d1c086eaa4f0c55f");
    }

    #[test]
    fn absent_lies_outside_every_range() {
        assert!(CATALOGUE.iter().all(|feature| ABSENT < feature.low && feature.low < feature.high));
    }
}
