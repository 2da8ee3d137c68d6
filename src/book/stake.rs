//! What a case is about: the money that is not paid yet, and whether anything changed of what a reviewer saw.

use std::hash::{Hash as _, Hasher as _};

use siphasher::sip::SipHasher13;

use super::Book;
use super::cases::Case;
use super::conversions::ConversionRow;
use super::records::CaseSummary;
use crate::screening::case::CaseState;
use crate::screening::gate::less_refunds;
use crate::vocabulary::money::{Money, Totals};
use crate::vocabulary::time::Timestamp;

/// What of a case a decision on it is about, as a hash: what it shows, how it stands, its holds and its money. Who claimed it and what was noted is
/// not in it. The same in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenMark(pub u64);

impl Book {
    /// The line of a case as it is shown at `now`.
    pub(super) fn line_of(&self, case: &Case, now: Timestamp) -> CaseSummary {
        case.summary(self.at_stake(self.conversions.get(case.conversion)), now)
    }

    /// What of the rewards of a conversion is not paid yet, one amount for each currency.
    fn at_stake(&self, row: &ConversionRow) -> Vec<Money> {
        let unpaid = row.rewards.iter().map(|number| self.rewards.get(*number)).filter(|reward| reward.payment().is_none());
        let amounts: Vec<Money> = unpaid.filter_map(|reward| reward.amount).collect();
        if amounts.is_empty() {
            return amounts;
        }
        let refunded = self.effects_on(row).refunded;
        let left = |amount: Money| less_refunds(amount, row.value, refunded);
        amounts.into_iter().map(left).collect::<Totals>().amounts()
    }

    /// What of a case there is to be seen.
    pub(super) fn mark_of_case(&self, case: &Case) -> SeenMark {
        let row = self.conversions.get(case.conversion);
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        match &case.state {
            CaseState::Open | CaseState::Claimed { .. } => 0_u8.hash(&mut hasher),
            CaseState::Resolved { by, resolution } => (1_u8, by.as_str(), resolution).hash(&mut hasher),
        }
        (case.opened_at, case.score.to_bits(), &case.reason_codes, row.verdict, row.later().holds).hash(&mut hasher);
        for number in &row.rewards {
            let reward = self.rewards.get(*number);
            (&reward.id, reward.amount, reward.payment().is_some()).hash(&mut hasher);
        }
        let effects = self.effects_on(row);
        (effects.cancelled, effects.refunded).hash(&mut hasher);
        SeenMark(hasher.finish())
    }
}
