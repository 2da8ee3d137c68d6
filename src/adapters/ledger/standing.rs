//! Where a conversion stands for the gate, put together from its own row and those of its two accounts. Called by reads and plans.

use super::history::account_of;
use super::rows::Row;
use super::rows::conversion::{ConversionRow, PaidRow};
use super::tables::{Keys, Tables};
use crate::ports::ledger::LedgerError;
use crate::screening::gate::{Held, Standing};
use crate::vocabulary::ids::RewardId;

/// The standing as it is for one reward, which may have been paid for another conversion.
pub(super) fn of_payout(
    tables: &impl Tables,
    keys: Keys,
    row: &ConversionRow,
    reward_id: &RewardId,
) -> Result<Standing, LedgerError> {
    let mut standing = of(tables, keys, row)?;
    if !standing.paid.contains(reward_id) && PaidRow::load(tables, &keys.paid_reward(reward_id))?.is_some() {
        standing.paid.push(reward_id.clone());
    }
    Ok(standing)
}

/// The standing. A ban of either account cancels what is unpaid, whenever it came.
pub(super) fn of(tables: &impl Tables, keys: Keys, row: &ConversionRow) -> Result<Standing, LedgerError> {
    let referrer = account_of(tables, keys, row.referrer)?;
    let referee = account_of(tables, keys, row.referee)?;
    let cancelled_at = [row.cancelled_at, referrer.banned_at, referee.banned_at].into_iter().flatten().min();
    let held = |is_held: bool| if is_held { Held::Yes } else { Held::No };
    Ok(Standing {
        verdict: row.verdict,
        occurred_at: row.occurred_at,
        campaign_id: row.campaign_id.clone(),
        cancelled_at,
        duplicate_of: row.duplicate_of.clone(),
        referral_held: held(row.hold.is_some_and(|hold| hold.in_force)),
        referrer_held: held(referrer.is_held()),
        rewards: row.rewards.clone(),
        paid: row.paid.iter().map(|paid| paid.reward_id.clone()).collect(),
    })
}
