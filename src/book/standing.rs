//! Where a conversion stands, put together from its own row, its outcomes and those of its two accounts at one moment.

use smallvec::SmallVec;

use super::Book;
use super::conversions::ConversionRow;
use super::outcomes::{Effects, OutcomeRow, Through, effects};
use super::records::Cursor;
use super::slab::OutcomeNumber;
use crate::screening::gate::{Held, Record, Standing};
use crate::vocabulary::ids::{CampaignId, ConversionId, RewardId};

/// The outcomes that reach a conversion.
pub(super) type Reaching<'a> = SmallVec<[(Through, &'a OutcomeRow); 4]>;

impl Book {
    /// The outcomes that reach a conversion, in the order in which they were recorded at each of its ends.
    pub(super) fn reaching(&self, row: &ConversionRow) -> Reaching<'_> {
        let mut found = Reaching::new();
        let own = row.later().outcomes.iter().map(|number| (Through::Conversion, *number));
        let of = |account, through| {
            let numbers: &[OutcomeNumber] = &self.accounts.get(account).referring().outcomes;
            numbers.iter().map(move |number| (through, *number))
        };
        let all = own.chain(of(row.referee, Through::Referee)).chain(of(row.referrer, Through::Referrer));
        found.extend(all.map(|(through, number)| (through, self.outcomes.get(number))));
        found
    }

    pub(super) fn effects_on(&self, row: &ConversionRow) -> Effects {
        // Nearly all conversions have none.
        let reaching = self.reaching(row);
        let found = if reaching.is_empty() { Effects::default() } else { effects(&reaching, row.value) };
        let kept = row.later().kept_cancelled;
        Effects { cancelled: found.cancelled.or(kept), ..found }
    }

    /// The standing. What befell an account reaches all of its conversions, whenever it came.
    pub(super) fn standing_of(&self, row: &ConversionRow) -> Standing {
        self.standing_with(row, self.effects_on(row))
    }

    /// The standing as it would be with these effects.
    pub(super) fn standing_with(&self, row: &ConversionRow, effects: Effects) -> Standing {
        let Effects { cancelled, refunded, taken_back: _ } = effects;
        let held = |holds: u32| if holds > 0 { Held::Yes } else { Held::No };
        Standing {
            record: if row.cursor < self.floor { Record::Removed } else { Record::Kept },
            verdict: row.verdict,
            occurred_at: row.occurred_at,
            received_at: row.received_at,
            campaign_id: row.campaign.and_then(|text| CampaignId::new(self.texts.get(text)).ok()),
            value: row.value,
            cancelled,
            refunded,
            duplicate_of: row.duplicate_of.clone(),
            referral_held: held(row.later().holds),
            referrer_held: held(self.accounts.get(row.referrer).referring().holds),
            late_facts: if self.is_late(row) { Held::Yes } else { Held::No },
            accepts: row.accepts,
            rewards: self.rewards.standings(&row.rewards),
        }
    }

    /// Whether something was added to it that was not looked at yet. Nearly always nothing is late at all.
    fn is_late(&self, row: &ConversionRow) -> bool {
        let is_marked = |number| self.late.contains(number);
        !self.late.is_empty()
            && (self.late.sweeps([row.referrer, row.referee])
                || self.conversions.find(&row.id, &self.hasher).is_some_and(is_marked))
    }

    /// The record that last changed where a conversion stands.
    pub(super) fn standing_changed(&self, row: &ConversionRow) -> Cursor {
        let sides = [row.referrer, row.referee].map(|number| self.accounts.get(number).changed);
        sides.into_iter().fold(row.changed, Cursor::max)
    }

    /// The standing as it is for one reward, which may be another conversion's, and the record that last changed it. `None` for a
    /// conversion that is not known.
    #[must_use]
    pub fn standing(&self, reward: &RewardId, conversion: &ConversionId) -> Option<(Standing, Cursor)> {
        let number = self.conversions.find(conversion, &self.hasher)?;
        let row = self.conversions.get(number);
        let mut standing = self.standing_of(row);
        let mut changed = self.standing_changed(row);
        if let Some(known) = self.rewards.known(reward, &self.hasher).filter(|known| known.conversion != number) {
            changed = changed.max(self.conversions.get(known.conversion).changed);
            standing.rewards.push(known.standing_elsewhere());
        }
        Some((standing, changed))
    }
}
