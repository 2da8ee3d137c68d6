//! Counts verdicts against the known truth: what a demo or a simulation prints at its end. Pure.
//!
//! Precision and recall are over conversions, not over groups: a ring of ten counts ten times, as it would cost ten rewards.

use std::collections::BTreeMap;

use crate::screening::decision::Verdict;
use crate::vocabulary::label::Truth;

/// How many conversions got each verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdicts {
    /// Approved.
    pub approved: u32,
    /// Sent to review.
    pub in_review: u32,
    /// Rejected automatically.
    pub rejected: u32,
}

impl Verdicts {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u32 {
        self.approved + self.in_review + self.rejected
    }

    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Approved => self.approved += 1,
            Verdict::InReview => self.in_review += 1,
            Verdict::Rejected => self.rejected += 1,
        }
    }
}

/// A share with the counts that it comes from, so that nobody mistakes 3 of 3 for 300 of 300.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// How many.
    pub part: u32,
    /// Of how many.
    pub whole: u32,
}

/// `97.9 % (47 of 48)`, or `none of none`.
impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.whole == 0 {
            return f.write_str("none of none");
        }
        let percent = 100.0 * f64::from(self.part) / f64::from(self.whole);
        write!(f, "{percent:.1} % ({} of {})", self.part, self.whole)
    }
}

/// Verdicts against the truth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    honest: Verdicts,
    abusive: Verdicts,
    by_persona: BTreeMap<&'static str, (Truth, Verdicts)>,
    first_reasons: BTreeMap<String, Verdicts>,
    repeated: u32,
}

impl Tally {
    /// Counts a purchase that was answered as a repeat of an earlier one. It is neither honest nor abusive: it is not a referral of its own.
    pub const fn count_repeated(&mut self) {
        self.repeated += 1;
    }

    /// Purchases that were answered as repeats.
    #[must_use]
    pub const fn repeated(&self) -> u32 {
        self.repeated
    }

    /// Counts one conversion. `first_reason` is absent when nothing spoke against it.
    pub fn count(&mut self, persona: &'static str, truth: Truth, verdict: Verdict, first_reason: Option<&str>) {
        match truth {
            Truth::Honest => self.honest.count(verdict),
            Truth::Abusive => self.abusive.count(verdict),
        }
        self.by_persona.entry(persona).or_insert((truth, Verdicts::default())).1.count(verdict);
        if let Some(reason) = first_reason {
            self.first_reasons.entry(reason.to_owned()).or_default().count(verdict);
        }
    }

    /// The verdicts on honest conversions.
    #[must_use]
    pub const fn honest(&self) -> Verdicts {
        self.honest
    }

    /// The verdicts on abusive conversions.
    #[must_use]
    pub const fn abusive(&self) -> Verdicts {
        self.abusive
    }

    /// Of the automatically rejected, the abusive ones.
    #[must_use]
    pub const fn reject_precision(&self) -> Share {
        Share { part: self.abusive.rejected, whole: self.abusive.rejected + self.honest.rejected }
    }

    /// Of the abusive ones, those that were rejected or sent to review.
    #[must_use]
    pub const fn caught(&self) -> Share {
        Share { part: self.abusive.rejected + self.abusive.in_review, whole: self.abusive.total() }
    }

    /// Of the abusive ones, those that were rejected without a reviewer.
    #[must_use]
    pub const fn reject_recall(&self) -> Share {
        Share { part: self.abusive.rejected, whole: self.abusive.total() }
    }

    /// Of those sent to review, the abusive ones: how often a reviewer's look is worth it.
    #[must_use]
    pub const fn review_precision(&self) -> Share {
        Share { part: self.abusive.in_review, whole: self.abusive.in_review + self.honest.in_review }
    }

    /// Of the honest ones, those that were sent to review.
    #[must_use]
    pub const fn honest_in_review(&self) -> Share {
        Share { part: self.honest.in_review, whole: self.honest.total() }
    }

    /// Of the honest ones, those that were rejected.
    #[must_use]
    pub const fn honest_rejected(&self) -> Share {
        Share { part: self.honest.rejected, whole: self.honest.total() }
    }

    /// The personas by name, honest ones first.
    #[must_use]
    pub fn personas(&self) -> Vec<(&'static str, Truth, Verdicts)> {
        let mut rows: Vec<_> = self.by_persona.iter().map(|(name, (truth, verdicts))| (*name, *truth, *verdicts)).collect();
        rows.sort_by_key(|(name, truth, _)| (*truth, *name));
        rows
    }

    /// The first reasons of what was not approved, the most frequent first.
    #[must_use]
    pub fn first_reasons(&self) -> Vec<(&str, Verdicts)> {
        let stopped = |verdicts: &Verdicts| verdicts.in_review + verdicts.rejected;
        let mut rows: Vec<_> = self.first_reasons.iter().map(|(reason, verdicts)| (reason.as_str(), *verdicts)).collect();
        rows.retain(|(_, verdicts)| stopped(verdicts) > 0);
        rows.sort_by_key(|(_, verdicts)| std::cmp::Reverse(stopped(verdicts)));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precision_and_recall_are_of_the_counts() {
        let mut tally = Tally::default();
        for verdict in [Verdict::Rejected, Verdict::Rejected, Verdict::InReview, Verdict::Approved] {
            tally.count("alias", Truth::Abusive, verdict, Some("identity.same_mailbox"));
        }
        tally.count("friends", Truth::Honest, Verdict::Rejected, None);
        assert_eq!(tally.reject_precision(), Share { part: 2, whole: 3 });
        assert_eq!(tally.caught(), Share { part: 3, whole: 4 });
        assert_eq!(tally.first_reasons(), [("identity.same_mailbox", Verdicts { approved: 1, in_review: 1, rejected: 2 })]);
    }

    #[test]
    fn a_share_of_nothing_is_no_number() {
        assert_eq!(Share { part: 0, whole: 0 }.to_string(), "none of none");
        assert_eq!(Share { part: 47, whole: 48 }.to_string(), "97.9 % (47 of 48)");
    }
}
