//! Rules: named predicates over evidence, read as a table. Pure; called by `assess`.

use std::fmt;

use super::evidence::{Evidence, EvidenceCode};
use super::policy::RuleMode;

/// One condition: this evidence hits with at least this strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// The evidence.
    pub code: EvidenceCode,
    /// The least strength. Range: (0, 1].
    pub strength_min: f64,
}

/// The text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCondition {
    /// No evidence has this code.
    #[error("`{0}` is not an evidence code; `selfsame policy codes` lists them")]
    UnknownCode(String),
    /// The text is not `code` or `code >= number`.
    #[error("`{0}` is not a condition; write `code` or `code >= 0.5`")]
    Shape(String),
    /// The evidence is measured in bits and the number is not, or the other way round.
    #[error("`{0}` {1}")]
    Unit(String, &'static str),
}

impl Condition {
    /// Reads `ring.loop`, `ring.size >= 0.5`, or for match weights `payment.same_instrument >= 10 bits`.
    ///
    /// # Errors
    /// [`InvalidCondition`] when the code is unknown, the shape is another, or the unit is not that of the code.
    pub fn parse(text: &str) -> Result<Self, InvalidCondition> {
        let shape = || InvalidCondition::Shape(text.to_owned());
        let (code, least) = match text.split_once(">=") {
            Some((code, number)) => (code.trim(), Some(number.trim())),
            None => (text.trim(), None),
        };
        if code.is_empty() || code.contains(char::is_whitespace) {
            return Err(shape());
        }
        let code = EvidenceCode::from_dotted(code).ok_or_else(|| InvalidCondition::UnknownCode(code.to_owned()))?;
        let Some(least) = least else { return Ok(Self { code, strength_min: f64::MIN_POSITIVE }) };
        let (number, in_bits) = match least.strip_suffix("bits") {
            Some(number) => (number.trim_end(), true),
            None => (least, false),
        };
        let number = number.parse::<f64>().map_err(|_| shape())?;
        let full = match (code.bits_full(), in_bits) {
            (Some(full), true) => full,
            (None, false) => 1.0,
            (Some(_), false) => {
                return Err(InvalidCondition::Unit(
                    text.to_owned(),
                    "needs its unit: this evidence is measured in bits, like `>= 10 bits`",
                ));
            }
            (None, true) => {
                return Err(InvalidCondition::Unit(
                    text.to_owned(),
                    "is not measured in bits; write a strength from 0 to 1, like `>= 0.5`",
                ));
            }
        };
        Ok(Self { code, strength_min: number / full })
    }
}

impl fmt::Display for Condition {
    /// As it is read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, strength_min } = *self;
        match code.bits_full() {
            _ if strength_min <= f64::MIN_POSITIVE => write!(f, "{code}"),
            Some(full) => write!(f, "{code} >= {} bits", strength_min * full),
            None => write!(f, "{code} >= {strength_min}"),
        }
    }
}

/// A named predicate over evidence: all its conditions hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name in decisions and in the policy file.
    pub name: Box<str>,
    /// All must hold. Never empty in a valid policy.
    pub when: Vec<Condition>,
    /// What it may do.
    pub mode: RuleMode,
    /// Log-odds that it adds to the judgement score at full strength. Range: -20 to 20.
    pub weight_log_odds: f64,
}

/// A rule that was evaluated and hit.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleHit {
    /// The rule's name.
    pub rule: Box<str>,
    /// What it may do.
    pub mode: RuleMode,
    /// The evidence that explains it: the first condition's.
    pub code: EvidenceCode,
    /// The weakest of its conditions' strengths. Range: (0, 1].
    pub strength: f64,
    /// What it adds to the judgement score, in log-odds. Zero in shadow.
    pub contribution_log_odds: f64,
}

impl Rule {
    /// Evaluates the rule; `None` when it is off or does not hit.
    #[must_use]
    pub fn evaluate(&self, evidence: &Evidence) -> Option<RuleHit> {
        let first = self.when.first()?;
        let mut weakest = 1.0_f64;
        for condition in &self.when {
            let finding = &evidence[condition.code];
            if !finding.is_hit() || finding.strength() < condition.strength_min {
                return None;
            }
            weakest = weakest.min(finding.strength());
        }
        let counted = match self.mode {
            RuleMode::Off => return None,
            RuleMode::Shadow => 0.0,
            RuleMode::Weigh | RuleMode::Review | RuleMode::Insist | RuleMode::Reject => self.weight_log_odds * weakest,
        };
        Some(RuleHit {
            rule: self.name.clone(),
            mode: self.mode,
            code: first.code,
            strength: weakest,
            contribution_log_odds: counted,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screening::evidence::Finding;

    #[test]
    fn conditions_read_with_and_without_a_strength() {
        assert_eq!(Condition::parse("ring.loop").map(|c| c.code), Ok(EvidenceCode::RingLoop));
        assert_eq!(
            Condition::parse("device.same_device >= 10 bits"),
            Ok(Condition { code: EvidenceCode::SameDevice, strength_min: 0.5 })
        );
        assert_eq!(
            Condition::parse("referee.known_person >= 10bits"),
            Ok(Condition { code: EvidenceCode::KnownPerson, strength_min: 0.25 })
        );
        assert!(matches!(Condition::parse("device.same_device >= 0.5"), Err(InvalidCondition::Unit(..))));
        assert!(matches!(Condition::parse("ring.size >= 5 bits"), Err(InvalidCondition::Unit(..))));
        assert!(matches!(Condition::parse("device.samedevice"), Err(InvalidCondition::UnknownCode(_))));
        assert!(matches!(Condition::parse("ring.loop > 3"), Err(InvalidCondition::Shape(_))));
    }

    #[test]
    fn a_condition_is_shown_as_it_is_read() {
        for text in ["ring.loop", "ring.size >= 0.7", "device.same_device >= 8 bits", "identity.one_person >= 22 bits"] {
            assert_eq!(Condition::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_rule_hits_only_when_all_conditions_hold() {
        let rule = Rule {
            name: "both".into(),
            when: vec![Condition::parse("device.same_device >= 10 bits").unwrap(), Condition::parse("ring.loop").unwrap()],
            mode: RuleMode::Review,
            weight_log_odds: 2.0,
        };
        let device = Evidence::absent().with(EvidenceCode::SameDevice, Finding::of_strength(0.6));
        assert_eq!(rule.evaluate(&device), None);
        let both = device.with(EvidenceCode::RingLoop, Finding::of_strength(1.0));
        let hit = rule.evaluate(&both).unwrap();
        assert!((hit.contribution_log_odds - 1.2).abs() < 1e-12);
    }
}
