//! Conversions as packed bytes inside journal records. Called by the record codec.

use super::{bundle, numbers, parts};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::conversion::{Conversion, Reward};
use crate::vocabulary::ids::{AccountId, Actor, CampaignId, ConversionId, InvoiceId, ProgramId, RewardId, Ucc};
use crate::vocabulary::journey::Attribution;

/// Who a conversion is about: written first, for the feed.
pub(crate) struct Heads {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
}

pub(crate) fn write_heads(w: &mut Writer, conversion: &Conversion) {
    w.text(conversion.conversion_id.as_str());
    w.text(conversion.referrer.account_id.as_str());
    w.text(conversion.referee.account_id.as_str());
}

pub(crate) fn read_heads(r: &mut Reader<'_>) -> Result<Heads, Damaged> {
    Ok(Heads { conversion_id: r.id(ConversionId::new)?, referrer: r.id(AccountId::new)?, referee: r.id(AccountId::new)? })
}

/// Everything but the heads.
pub(crate) fn write(w: &mut Writer, conversion: &Conversion) {
    let Conversion {
        program_id,
        conversion_id: _,
        campaign_id,
        kind,
        occurred_at,
        value,
        minimum_purchase,
        invoice_id,
        referee_standing,
        attribution,
        referrer,
        referee,
        rewards,
    } = conversion;
    w.text(program_id.as_str());
    w.option(campaign_id.as_ref(), |w, id| w.text(id.as_str()));
    w.u8(numbers::conversion_kind(*kind));
    w.time(*occurred_at);
    w.option(*value, parts::write_money);
    w.option(*minimum_purchase, parts::write_money);
    w.option(invoice_id.as_ref(), |w, id| w.text(id.as_str()));
    w.u8(numbers::referee_standing(*referee_standing));
    write_attribution(w, attribution);
    bundle::write_signals(w, referrer);
    bundle::write_signals(w, referee);
    w.list(rewards, |w, Reward { reward_id, beneficiary, amount }| {
        w.text(reward_id.as_str());
        w.u8(numbers::side(*beneficiary));
        w.option(*amount, parts::write_money);
    });
}

/// Everything but the heads, which were read before.
pub(crate) fn read(r: &mut Reader<'_>, heads: Heads) -> Result<Conversion, Damaged> {
    Ok(Conversion {
        program_id: r.id(ProgramId::new)?,
        conversion_id: heads.conversion_id,
        campaign_id: r.option(|r| r.id(CampaignId::new))?,
        kind: numbers::read_conversion_kind(r.u8()?)?,
        occurred_at: r.time()?,
        value: r.option(parts::read_money)?,
        minimum_purchase: r.option(parts::read_money)?,
        invoice_id: r.option(|r| r.id(InvoiceId::new))?,
        referee_standing: numbers::read_referee_standing(r.u8()?)?,
        attribution: read_attribution(r)?,
        referrer: bundle::read_signals(r, heads.referrer)?,
        referee: bundle::read_signals(r, heads.referee)?,
        rewards: r.list(|r| {
            Ok(Reward {
                reward_id: r.id(RewardId::new)?,
                beneficiary: numbers::read_side(r.u8()?)?,
                amount: r.option(parts::read_money)?,
            })
        })?,
    })
}

fn write_attribution(w: &mut Writer, attribution: &Attribution) {
    let Attribution { captured_via, ucc, code_validity, previous_ucc, captured_at, attached_by } = attribution;
    w.u8(numbers::captured_via(*captured_via));
    w.option(ucc.as_ref(), |w, ucc| w.text(ucc.as_str()));
    w.u8(numbers::code_validity(*code_validity));
    w.option(previous_ucc.as_ref(), |w, ucc| w.text(ucc.as_str()));
    w.option(*captured_at, Writer::time);
    w.option(attached_by.as_ref(), |w, actor| w.text(actor.as_str()));
}

fn read_attribution(r: &mut Reader<'_>) -> Result<Attribution, Damaged> {
    Ok(Attribution {
        captured_via: numbers::read_captured_via(r.u8()?)?,
        ucc: r.option(|r| r.id(Ucc::new))?,
        code_validity: numbers::read_code_validity(r.u8()?)?,
        previous_ucc: r.option(|r| r.id(Ucc::new))?,
        captured_at: r.option(Reader::time)?,
        attached_by: r.option(|r| r.id(Actor::new))?,
    })
}
