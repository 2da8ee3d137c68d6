//! Features: the numbers that a model sees, projected from evidence.
//!
//! One catalogue, used online and offline. A feature is the strength of a piece of evidence or the similarity beside it; there is nothing else, so that
//! what a feature adds to a score always stands under the code that a reviewer reads. Ages, amounts, seconds and bare counts are left out on purpose: they
//! tell one programme from another before they tell an abuser from a friend. Absent is [`ABSENT`], which lies outside every range, so that a model
//! can tell it from zero. The order and the names are bound to a model by [`schema_hash`].

use std::sync::LazyLock;

use super::evidence::{Evidence, EvidenceCode, MeasureKind};

/// The value of a feature whose signals were not there.
pub const ABSENT: f64 = -1.0;
/// Changes whenever the same signals give other strengths: models that were fitted before are refused.
const STRENGTHS_VERSION: u32 = 1;

/// In which direction a feature speaks for abuse. There is no third: what may speak for either is no feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// More of it is more suspicious.
    Rises,
    /// More of it is less suspicious.
    Falls,
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
    /// The largest value when present.
    pub high: f64,
    /// In which direction it speaks for abuse.
    pub direction: Direction,
    /// The evidence that it is taken from, and that explains it to a reviewer.
    pub code: EvidenceCode,
}

/// The evidence that a model sees, in the order of its features. Evidence that is not here is for rules alone: a code that is added to the
/// catalogue does not change what models were fitted on. Whoever adds one here fits the models again.
const PROJECTED: [EvidenceCode; 46] = [
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
    EvidenceCode::SharedPayout,
    EvidenceCode::OnePerson,
    EvidenceCode::KnownPerson,
    EvidenceCode::AfterCheckout,
    EvidenceCode::ReferrerAccepted,
    EvidenceCode::NameInMailbox,
];

/// Whether a model sees this evidence.
#[must_use]
pub fn sees(code: EvidenceCode) -> bool {
    PROJECTED.contains(&code)
}

/// Whether a piece of evidence has a similarity beside it, which says something also where it is too low for a hit.
const fn has_similarity(code: EvidenceCode) -> bool {
    matches!(code.measure_kind(), MeasureKind::Similarity)
}

const SIMILARITY_COUNT: usize = {
    let mut count = 0;
    let mut index = 0;
    while index < PROJECTED.len() {
        if has_similarity(PROJECTED[index]) {
            count += 1;
        }
        index += 1;
    }
    count
};

/// How many features there are.
pub const FEATURE_COUNT: usize = PROJECTED.len() + SIMILARITY_COUNT;

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
    let strengths = PROJECTED.into_iter().map(|code| Feature {
        name: format!("{code}.strength"),
        meaning: format!("How strongly this speaks: {}", code.meaning()),
        unit: "strength",
        low: 0.0,
        high: 1.0,
        direction: if code.eases() { Direction::Falls } else { Direction::Rises },
        code,
    });
    let similarities = PROJECTED.into_iter().filter(|code| has_similarity(*code)).map(|code| Feature {
        name: format!("{code}.similarity"),
        meaning: format!("What was measured for: {}", code.meaning()),
        unit: "similarity",
        low: 0.0,
        high: 1.0,
        direction: Direction::Rises,
        code,
    });
    strengths.chain(similarities).collect()
});

/// Names the catalogue: 16 hexadecimal characters of BLAKE3 over names, units, ranges and directions, and over the version of the strengths.
#[must_use]
pub fn schema_hash() -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&STRENGTHS_VERSION.to_le_bytes());
    for feature in CATALOGUE.iter() {
        let Feature { name, meaning: _, unit, low, high, direction, code: _ } = feature;
        hasher.update(format!("{name}\u{0}{unit}\u{0}{low}\u{0}{high}\u{0}{direction:?}\u{0}").as_bytes());
    }
    hasher.finalize().to_hex().chars().take(16).collect()
}

/// Projects evidence to the feature vector. The only way to make one, online and offline.
#[must_use]
pub fn project(evidence: &Evidence) -> FeatureVector {
    let mut values = [ABSENT; FEATURE_COUNT];
    let strength = |code: EvidenceCode| {
        let finding = &evidence[code];
        if finding.is_absent() { ABSENT } else { finding.strength() }
    };
    let similarities = PROJECTED.into_iter().filter(|code| has_similarity(*code));
    let similarities = similarities.map(|code| evidence[code].measure().unwrap_or(ABSENT));
    for (slot, value) in values.iter_mut().zip(PROJECTED.into_iter().map(strength).chain(similarities)) {
        *slot = value;
    }
    FeatureVector(values)
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
    fn a_feature_stands_under_the_code_that_it_is_taken_from() {
        for feature in CATALOGUE.iter() {
            assert!(feature.name.starts_with(&format!("{}.", feature.code)), "{}", feature.name);
        }
    }

    #[test]
    fn absent_lies_outside_every_range() {
        assert!(CATALOGUE.iter().all(|feature| ABSENT < feature.low && feature.low < feature.high));
    }
}
