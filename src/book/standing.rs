//! Where a conversion stands for the gate, put together from its own row and those of its two accounts at one moment.

use super::Book;
use super::conversions::ConversionRow;
use super::records::Cursor;
use crate::screening::gate::{Held, Standing};
use crate::vocabulary::ids::{CampaignId, ConversionId, RewardId};

impl Book {
    /// The standing. A ban of either account cancels what is unpaid, whenever it came.
    pub(super) fn standing_of(&self, row: &ConversionRow) -> Standing {
        let referrer = self.accounts.get(row.referrer);
        let referee = self.accounts.get(row.referee);
        let bans = [referrer, referee].map(|account| account.referring().banned_at);
        let cancelled_at = bans.into_iter().chain([row.later().cancelled_at]).flatten().min();
        let held = |is_held: bool| if is_held { Held::Yes } else { Held::No };
        Standing {
            verdict: row.verdict,
            occurred_at: row.occurred_at,
            campaign_id: row.campaign.and_then(|text| CampaignId::new(self.texts.get(text)).ok()),
            cancelled_at,
            duplicate_of: row.duplicate_of.clone(),
            referral_held: held(row.is_held()),
            referrer_held: held(referrer.is_held()),
            rewards: row.rewards.to_vec(),
            paid: self.conversions.payments_of(row).map(|paid| paid.reward_id.clone()).collect(),
        }
    }

    /// The record that last changed where a conversion stands.
    pub(super) fn standing_changed(&self, row: &ConversionRow) -> Cursor {
        let sides = [row.referrer, row.referee].map(|number| self.accounts.get(number).changed);
        sides.into_iter().fold(row.changed, Cursor::max)
    }

    /// The standing as it is for one reward, which may have been paid for another conversion, and the record that last changed it. `None` for a
    /// conversion that is not known, or whose record is removed.
    #[must_use]
    pub fn standing(&self, reward: &RewardId, conversion: &ConversionId) -> Option<(Standing, Cursor)> {
        let row = self.conversions.get(self.conversions.find(conversion, &self.hasher)?);
        if row.cursor < self.floor {
            return None;
        }
        let mut standing = self.standing_of(row);
        let mut changed = self.standing_changed(row);
        if let Some(payment) = self.conversions.payment_of(reward, &self.hasher)
            && !standing.paid.contains(reward)
        {
            changed = changed.max(payment.cursor);
            standing.paid.push(reward.clone());
        }
        Some((standing, changed))
    }
}
