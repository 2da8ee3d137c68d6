//! Conjunctions that reject: a few demands on evidence, all of which must hold, certified together with the reject threshold of the score.
//!
//! A score adds up; what is certain is often that two things hold at once, like one name and one device. A conjunction says so in the words of a policy
//! (`identity.similar_name >= 9 bits` and `device.same_device >= 8 bits`). Demands are on features that speak for abuse as they rise, so one more
//! hit never takes a rejection back.

use std::fmt;

use crate::screening::evidence::EvidenceCode;
use crate::screening::features::{CATALOGUE, Direction, FEATURE_COUNT};
use crate::screening::rules::Condition;

/// Demands of one conjunction at most: more are no sentence that a reviewer reads.
pub const DEMANDS_MAX: usize = 4;
/// Conjunctions of one model at most.
pub const CONJUNCTIONS_MAX: usize = 32;

/// One demand: the strength of this evidence is at least so much.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Demand {
    /// The place of the strength in the feature catalogue.
    feature: usize,
    /// Range: (0, 1].
    strength_min: f64,
}

/// Evidence that rejects when all of it was found. Valid once it exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Conjunction(Box<[Demand]>);

/// Why conditions are no conjunction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConjunction {
    /// There are too few or too many.
    #[error("has {0} conditions; it must have 1 to {DEMANDS_MAX}")]
    Length(usize),
    /// No model sees this evidence, or it speaks for the referral.
    #[error("demands `{0}`, which models do not see or which speaks for the referral")]
    Evidence(EvidenceCode),
    /// The strength is no strength.
    #[error("demands a strength of `{0}` that cannot be reached")]
    Strength(EvidenceCode),
}

impl Conjunction {
    /// The conjunction of these conditions.
    ///
    /// # Errors
    /// [`InvalidConjunction`] names what is wrong; whoever wrote the conditions mends them.
    pub fn new(conditions: &[Condition]) -> Result<Self, InvalidConjunction> {
        if conditions.is_empty() || conditions.len() > DEMANDS_MAX {
            return Err(InvalidConjunction::Length(conditions.len()));
        }
        let demand = |condition: &Condition| {
            let Condition { code, strength_min } = *condition;
            let of_strength =
                |feature: usize| CATALOGUE[feature].code == code && CATALOGUE[feature].direction == Direction::Rises;
            // Strengths stand first: the first feature of a code is its strength.
            let feature = (0..FEATURE_COUNT).find(|feature| of_strength(*feature)).ok_or(InvalidConjunction::Evidence(code))?;
            let reachable = strength_min > 0.0 && strength_min <= 1.0;
            if reachable { Ok(Demand { feature, strength_min }) } else { Err(InvalidConjunction::Strength(code)) }
        };
        conditions.iter().map(demand).collect::<Result<_, _>>().map(Self)
    }

    /// Its conditions, as a policy would write them.
    pub fn conditions(&self) -> impl Iterator<Item = Condition> + '_ {
        self.0.iter().map(|demand| Condition { code: CATALOGUE[demand.feature].code, strength_min: demand.strength_min })
    }

    /// Whether all of it was found.
    #[must_use]
    pub fn holds(&self, features: &[f64; FEATURE_COUNT]) -> bool {
        self.0.iter().all(|demand| features[demand.feature] >= demand.strength_min)
    }
}

impl fmt::Display for Conjunction {
    /// Its conditions, with `and` between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, condition) in self.conditions().enumerate() {
            write!(f, "{}{condition}", if place == 0 { "" } else { " and " })?;
        }
        Ok(())
    }
}

/// In which order referrals are rejected: those of a conjunction before all that only a score speaks against, those of an earlier one before those of
/// a later. A probability stands for itself; with n conjunctions the first has rank n + 1, and the last 2.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a handful of conjunctions")]
pub fn rank(conjunctions: &[Conjunction], features: &[f64; FEATURE_COUNT], probability: f64) -> f64 {
    let first = conjunctions.iter().position(|conjunction| conjunction.holds(features));
    first.map_or(probability, |first| (conjunctions.len() - first + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screening::features::ABSENT;

    fn conjunction(texts: &[&str]) -> Result<Conjunction, InvalidConjunction> {
        let conditions: Vec<Condition> = texts.iter().map(|text| Condition::parse(text).unwrap()).collect();
        Conjunction::new(&conditions)
    }

    fn features(strengths: &[(EvidenceCode, f64)]) -> [f64; FEATURE_COUNT] {
        let mut values = [ABSENT; FEATURE_COUNT];
        for (code, strength) in strengths {
            let place = CATALOGUE.iter().position(|feature| feature.name == format!("{code}.strength")).unwrap();
            values[place] = *strength;
        }
        values
    }

    #[test]
    fn it_holds_when_all_of_it_was_found_and_says_what_that_is() {
        let name_and_device = conjunction(&["identity.similar_name >= 9 bits", "device.same_device >= 8 bits"]).unwrap();
        let found = |name, device| features(&[(EvidenceCode::SimilarName, name), (EvidenceCode::SameDevice, device)]);
        assert!(name_and_device.holds(&found(0.45, 0.4)));
        assert!(!name_and_device.holds(&found(0.44, 1.0)) && !name_and_device.holds(&found(1.0, ABSENT)));
        assert_eq!(name_and_device.to_string(), "identity.similar_name >= 9 bits and device.same_device >= 8 bits");
    }

    #[test]
    fn what_speaks_for_a_referral_or_cannot_be_seen_is_no_demand() {
        assert_eq!(conjunction(&[]), Err(InvalidConjunction::Length(0)));
        assert_eq!(conjunction(&["ring.loop"; 5]), Err(InvalidConjunction::Length(5)));
        assert_eq!(conjunction(&["list.trusted"]), Err(InvalidConjunction::Evidence(EvidenceCode::Trusted)));
        assert_eq!(conjunction(&["signals.incomparable"]), Err(InvalidConjunction::Evidence(EvidenceCode::Incomparable)));
        let beyond = [Condition { code: EvidenceCode::RingLoop, strength_min: 1.5 }];
        assert_eq!(Conjunction::new(&beyond), Err(InvalidConjunction::Strength(EvidenceCode::RingLoop)));
    }

    #[test]
    fn an_earlier_conjunction_ranks_above_a_later_one_and_each_above_every_score() {
        let both = [conjunction(&["ring.loop"]).unwrap(), conjunction(&["device.same_device >= 8 bits"]).unwrap()];
        let circle = features(&[(EvidenceCode::RingLoop, 1.0), (EvidenceCode::SameDevice, 1.0)]);
        let device = features(&[(EvidenceCode::SameDevice, 1.0)]);
        assert_eq!([rank(&both, &circle, 0.3), rank(&both, &device, 1.0), rank(&both, &features(&[]), 0.3)], [3.0, 2.0, 0.3]);
    }
}
