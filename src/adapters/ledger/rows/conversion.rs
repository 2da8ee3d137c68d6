//! Where a conversion stands: what the gate, a retry and a reviewer's step need of it without reading its record.

use super::super::codec::{numbers, parts};
use super::super::packed::{Damaged, Reader, Writer};
use super::super::tables::AccountNumber;
use super::Row;
use crate::book::records::ContentFingerprint;
use crate::screening::decision::Verdict;
use crate::vocabulary::ids::{CampaignId, ConversionId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Timestamp;

/// A conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct ConversionRow {
    /// Where its record stands.
    pub(in super::super) cursor: u64,
    pub(in super::super) content: ContentFingerprint,
    pub(in super::super) referrer: AccountNumber,
    pub(in super::super) referee: AccountNumber,
    pub(in super::super) occurred_at: Timestamp,
    pub(in super::super) campaign_id: Option<CampaignId>,
    pub(in super::super) duplicate_of: Option<ConversionId>,
    /// The verdict in force.
    pub(in super::super) verdict: Verdict,
    /// Whether a reviewer's acceptance is in force.
    pub(in super::super) accepted_by_review: bool,
    pub(in super::super) has_case: bool,
    /// Set by an outcome on the conversion itself; a ban of a side is looked up at that side.
    pub(in super::super) cancelled_at: Option<Timestamp>,
    /// Whether a refund or dispute was counted.
    pub(in super::super) refunded: bool,
    pub(in super::super) hold: Option<ConversionHold>,
    /// The rewards it was reported with.
    pub(in super::super) rewards: Vec<RewardId>,
    pub(in super::super) paid: Vec<Paid>,
    /// The records that changed it later, oldest first.
    pub(in super::super) trail: Vec<u64>,
}

/// The last change of a hold on a referral.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct ConversionHold {
    pub(in super::super) in_force: bool,
    pub(in super::super) cursor: u64,
}

/// A reward that was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Paid {
    pub(in super::super) reward_id: RewardId,
    pub(in super::super) cursor: u64,
    /// Whether its payment for a rejected or cancelled referral was told.
    pub(in super::super) reported: bool,
}

impl ConversionRow {
    /// Rewards that were paid and of which nobody was told that the referral is lost.
    pub(in super::super) fn paid_unreported(&self) -> Vec<RewardId> {
        self.paid.iter().filter(|paid| !paid.reported).map(|paid| paid.reward_id.clone()).collect()
    }

    /// Marks all paid rewards as told.
    pub(in super::super) fn report_paid(&mut self) {
        for paid in &mut self.paid {
            paid.reported = true;
        }
    }
}

impl Row for ConversionRow {
    const NAME: &'static str = "where a conversion stands";

    fn pack(&self) -> Vec<u8> {
        let Self {
            cursor,
            content,
            referrer,
            referee,
            occurred_at,
            campaign_id,
            duplicate_of,
            verdict,
            accepted_by_review,
            has_case,
            cancelled_at,
            refunded,
            hold,
            rewards,
            paid,
            trail,
        } = self;
        let mut w = Writer::with_capacity(96);
        w.u64(*cursor);
        w.raw(&content.0);
        w.u32(*referrer);
        w.u32(*referee);
        w.time(*occurred_at);
        w.option(campaign_id.as_ref(), |w, id| w.text(id.as_str()));
        w.option(duplicate_of.as_ref(), |w, id| w.text(id.as_str()));
        w.u8(numbers::verdict(*verdict));
        w.u8(u8::from(*accepted_by_review) | (u8::from(*has_case) << 1) | (u8::from(*refunded) << 2));
        w.option(*cancelled_at, Writer::time);
        w.option(*hold, |w, ConversionHold { in_force, cursor }| {
            w.u8(u8::from(in_force));
            w.u64(cursor);
        });
        w.list(rewards, |w, id| w.text(id.as_str()));
        w.list(paid, |w, Paid { reward_id, cursor, reported }| {
            w.text(reward_id.as_str());
            w.u64(*cursor);
            w.u8(u8::from(*reported));
        });
        w.list(trail, |w, cursor| w.u64(*cursor));
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        let cursor = r.u64()?;
        let content = ContentFingerprint(r.array()?);
        let (referrer, referee) = (r.u32()?, r.u32()?);
        let occurred_at = r.time()?;
        let campaign_id = r.option(|r| r.id(CampaignId::new))?;
        let duplicate_of = r.option(|r| r.id(ConversionId::new))?;
        let verdict = numbers::read_verdict(r.u8()?)?;
        let marks = r.u8()?;
        Ok(Self {
            cursor,
            content,
            referrer,
            referee,
            occurred_at,
            campaign_id,
            duplicate_of,
            verdict,
            accepted_by_review: marks & 1 != 0,
            has_case: marks & 2 != 0,
            refunded: marks & 4 != 0,
            cancelled_at: r.option(Reader::time)?,
            hold: r.option(|r| Ok(ConversionHold { in_force: r.u8()? == 1, cursor: r.u64()? }))?,
            rewards: r.list(|r| r.id(RewardId::new))?,
            paid: r.list(|r| Ok(Paid { reward_id: r.id(RewardId::new)?, cursor: r.u64()?, reported: r.u8()? == 1 }))?,
            trail: r.list(Reader::u64)?,
        })
    }
}

/// A batch of signals or an outcome that was taken: its content and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Taken {
    pub(in super::super) content: ContentFingerprint,
    pub(in super::super) cursor: u64,
}

impl Row for Taken {
    const NAME: &'static str = "a message that was taken";

    fn pack(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(24);
        w.raw(&self.content.0);
        w.u64(self.cursor);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self { content: ContentFingerprint(r.array()?), cursor: r.u64()? })
    }
}

/// The last purchase of a referee without an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct LastPurchase {
    pub(in super::super) conversion_id: ConversionId,
    pub(in super::super) occurred_at: Timestamp,
}

impl Row for LastPurchase {
    const NAME: &'static str = "a purchase without an invoice";

    fn pack(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(32);
        w.text(self.conversion_id.as_str());
        w.time(self.occurred_at);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self { conversion_id: r.id(ConversionId::new)?, occurred_at: r.time()? })
    }
}

/// The first payment of a reward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct PaidRow {
    pub(in super::super) conversion_id: ConversionId,
    pub(in super::super) amount: Option<Money>,
    pub(in super::super) cursor: u64,
}

impl Row for PaidRow {
    const NAME: &'static str = "the payment of a reward";

    fn pack(&self) -> Vec<u8> {
        let Self { conversion_id, amount, cursor } = self;
        let mut w = Writer::with_capacity(64);
        w.text(conversion_id.as_str());
        w.option(*amount, parts::write_money);
        w.u64(*cursor);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self { conversion_id: r.id(ConversionId::new)?, amount: r.option(parts::read_money)?, cursor: r.u64()? })
    }
}

/// The conversion of an invoice.
pub(in super::super) struct InvoiceRow(pub(in super::super) ConversionId);

impl Row for InvoiceRow {
    const NAME: &'static str = "an invoice";

    fn pack(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(24);
        w.text(self.0.as_str());
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        r.id(ConversionId::new).map(Self)
    }
}
