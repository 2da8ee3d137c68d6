//! Evidence: typed facts about a conversion, each absent, clear or hit.
//!
//! [`gather`] is the only way to make it. It is pure: everything that it knows is in its arguments, and everything in them was known
//! before the conversion. Called by `assess`, and so by the service and by replay alike.

mod catalogue;
mod pairwise;
mod past;
mod referee;

#[cfg(test)]
mod tests;

pub use catalogue::{EvidenceCode, MeasureKind, Sides};
pub use referee::captured_after_checkout;

use std::ops::Index;

use super::comparability::Comparability;
use super::history::History;
use super::match_weight::{BITS_FULL, BITS_FULL_TOGETHER, Weights};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;

/// How strongly a hit speaks. Range: above 0, up to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Strength(f64);

impl Strength {
    /// The strongest.
    pub const FULL: Self = Self(1.0);

    /// The strength with this value, held to `(0, 1]`; `None` when the value is not above zero, which means that there is no hit.
    #[must_use]
    pub fn new(value: f64) -> Option<Self> {
        (value > 0.0).then(|| Self(value.min(1.0)))
    }

    /// The value, in `(0, 1]`.
    #[must_use]
    pub const fn value(self) -> f64 {
        self.0
    }
}

/// What was found for one code.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Finding {
    /// The signals that would tell were not there.
    Absent,
    /// The signals were there and say no. The measure, if there is one, is what was seen.
    Clear {
        /// In the unit of the code's [`MeasureKind`].
        measure: Option<f64>,
    },
    /// The signals say yes.
    Hit {
        /// How strongly.
        strength: Strength,
        /// In the unit of the code's [`MeasureKind`]; absent when the code measures nothing.
        measure: Option<f64>,
    },
}

impl Finding {
    /// No, without a number.
    pub const CLEAR: Self = Self::Clear { measure: None };

    /// A hit of this strength without a number, or clear when the strength is not above zero.
    #[must_use]
    pub fn of_strength(strength: f64) -> Self {
        Strength::new(strength).map_or(Self::CLEAR, |strength| Self::Hit { strength, measure: None })
    }

    /// A hit of this strength with its number, or clear with the number when the strength is not above zero.
    #[must_use]
    pub fn measured(strength: f64, measure: f64) -> Self {
        let measure = Some(measure);
        Strength::new(strength).map_or(Self::Clear { measure }, |strength| Self::Hit { strength, measure })
    }

    /// A hit of a match weight in bits with its number, or clear with the number when it says nothing.
    #[must_use]
    pub fn weighed(bits: f64, measure: f64) -> Self {
        Self::measured(bits / BITS_FULL, measure)
    }

    /// A hit of what several kinds say together, with how many they are.
    #[must_use]
    pub fn together(weights: &Weights) -> Self {
        Self::measured(weights.total() / BITS_FULL_TOGETHER, f64::from(weights.kinds()))
    }

    /// The match weight of evidence of a single kind. Unit: bits; 0 when absent or clear.
    #[must_use]
    pub const fn bits(&self) -> f64 {
        self.strength() * BITS_FULL
    }

    /// The strength: 0 when absent or clear, else `(0, 1]`.
    #[must_use]
    pub const fn strength(&self) -> f64 {
        match self {
            Self::Absent | Self::Clear { .. } => 0.0,
            Self::Hit { strength, .. } => strength.value(),
        }
    }

    /// The number that was seen; absent when there is none.
    #[must_use]
    pub const fn measure(&self) -> Option<f64> {
        match self {
            Self::Absent => None,
            Self::Clear { measure } | Self::Hit { measure, .. } => *measure,
        }
    }

    /// Whether the signals say yes.
    #[must_use]
    pub const fn is_hit(&self) -> bool {
        matches!(self, Self::Hit { .. })
    }

    /// Whether the signals that would tell were not there.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// A finding for every code of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    findings: [Finding; EvidenceCode::COUNT],
}

impl Evidence {
    /// Evidence of which nothing is known yet.
    #[must_use]
    pub const fn absent() -> Self {
        Self { findings: [Finding::Absent; EvidenceCode::COUNT] }
    }

    /// This evidence with one finding replaced.
    #[must_use]
    pub fn with(mut self, code: EvidenceCode, finding: Finding) -> Self {
        self.set(code, finding);
        self
    }

    /// All findings, in catalogue order.
    pub fn iter(&self) -> impl Iterator<Item = (EvidenceCode, &Finding)> {
        EvidenceCode::ALL.into_iter().zip(&self.findings)
    }

    /// The hits that say something of the referral, in catalogue order.
    pub fn hits(&self) -> impl Iterator<Item = (EvidenceCode, &Finding)> {
        self.iter().filter(|(code, finding)| code.speaks() && finding.is_hit())
    }

    fn set(&mut self, code: EvidenceCode, finding: Finding) {
        if let Some(slot) = self.findings.get_mut(code.index()) {
            *slot = finding;
        }
    }
}

impl Index<EvidenceCode> for Evidence {
    type Output = Finding;

    fn index(&self, code: EvidenceCode) -> &Finding {
        self.findings.get(code.index()).unwrap_or(&Finding::Absent)
    }
}

/// Gathers all evidence on a conversion.
///
/// `referrer` and `referee` are the sides as they are known now: the message's bundle merged into the account's profile
/// (see [`History::sides`]), without placeholders; `comparability` is theirs.
#[must_use]
pub fn gather(
    conversion: &Conversion,
    referrer: &SignalBundle,
    referee: &SignalBundle,
    comparability: &Comparability,
    history: &History,
) -> Evidence {
    let mut evidence = Evidence::absent();
    comparability.findings().into_iter().for_each(|(code, finding)| evidence.set(code, finding));
    pairwise::gather(&mut evidence, conversion, referrer, referee, history);
    referee::gather(&mut evidence, conversion, referee, history);
    past::gather(&mut evidence, conversion, referrer, referee, history);
    evidence
}
