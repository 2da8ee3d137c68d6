//! The payout gate: may this reward be paid now? Pure, and closed unless everything says open.
//!
//! Called by the payout service for each reward of a batch. No timeout, error, gap or unknown id ever gives [`Gate::Release`]: there is
//! one place below that releases, and it is reached only past every hold.

use super::decision::Verdict;
use crate::vocabulary::ids::{CampaignId, ConversionId, RewardId};
use crate::vocabulary::time::{Span, Timestamp};

/// What the reward pipeline may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// Pay.
    Release,
    /// Do not pay yet; ask again.
    Hold,
    /// Never pay.
    Deny,
}

/// Why the gate answers so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateReason {
    /// Approved, the delay is over, nothing holds it.
    Cleared,
    /// The conversion was never screened here.
    UnknownConversion,
    /// The reward is not one of the conversion's rewards.
    UnknownReward,
    /// A reviewer has yet to decide.
    InReview,
    /// The payout delay has not passed.
    DelayRunning,
    /// Somebody put a hold on the referral.
    ReferralHeld,
    /// Somebody put a hold on the referrer.
    ReferrerHeld,
    /// Rejected by policy or by a reviewer.
    Rejected,
    /// The purchase was refunded, disputed or cancelled, or an account was banned.
    Cancelled,
    /// The same purchase was screened before as this conversion.
    Duplicate(ConversionId),
    /// It was paid before; paying again would pay twice.
    AlreadyPaid,
}

/// The answer for one reward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateAnswer {
    /// What may be done.
    pub gate: Gate,
    /// Why.
    pub reason: GateReason,
    /// When asking again is worth it; absent when no time is known.
    pub hold_until: Option<Timestamp>,
}

/// Whether something is so. Spelled out, so that no call reads `true, false, true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Held {
    /// Nothing holds it.
    #[default]
    No,
    /// A hold is in force.
    Yes,
}

/// What the ledger knows of a conversion when its payout is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The verdict in force.
    pub verdict: Verdict,
    /// When the conversion happened.
    pub occurred_at: Timestamp,
    /// The campaign, which may have its own payout delay; absent when there is none.
    pub campaign_id: Option<CampaignId>,
    /// Set when a refund, dispute, cancellation or ban cancelled what was unpaid.
    pub cancelled_at: Option<Timestamp>,
    /// The conversion that this one repeats; absent when it is new.
    pub duplicate_of: Option<ConversionId>,
    /// A hold on the referral.
    pub referral_held: Held,
    /// A hold on the referrer.
    pub referrer_held: Held,
    /// The rewards that the conversion was reported with. Empty when they were not known then: any reward id is accepted.
    pub rewards: Vec<RewardId>,
    /// The rewards that were paid.
    pub paid: Vec<RewardId>,
}

/// Answers for one reward. `standing` is `None` for a conversion that the ledger does not know.
#[must_use]
pub fn check(standing: Option<&Standing>, reward: &RewardId, delay: Span, now: Timestamp) -> GateAnswer {
    let hold = |reason, hold_until| GateAnswer { gate: Gate::Hold, reason, hold_until };
    let deny = |reason| GateAnswer { gate: Gate::Deny, reason, hold_until: None };
    let Some(standing) = standing else { return hold(GateReason::UnknownConversion, None) };
    if !standing.rewards.is_empty() && !standing.rewards.contains(reward) {
        return hold(GateReason::UnknownReward, None);
    }
    if standing.paid.contains(reward) {
        return deny(GateReason::AlreadyPaid);
    }
    if let Some(first) = &standing.duplicate_of {
        return deny(GateReason::Duplicate(first.clone()));
    }
    if standing.cancelled_at.is_some() {
        return deny(GateReason::Cancelled);
    }
    match standing.verdict {
        Verdict::Rejected => return deny(GateReason::Rejected),
        Verdict::InReview => return hold(GateReason::InReview, None),
        Verdict::Approved => {}
    }
    if standing.referrer_held == Held::Yes {
        return hold(GateReason::ReferrerHeld, None);
    }
    if standing.referral_held == Held::Yes {
        return hold(GateReason::ReferralHeld, None);
    }
    let payable_from = standing.occurred_at.plus(delay);
    if now < payable_from {
        return hold(GateReason::DelayRunning, Some(payable_from));
    }
    GateAnswer { gate: Gate::Release, reason: GateReason::Cleared, hold_until: None }
}

impl GateReason {
    /// The reason in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Cleared => "Approved, the payout delay is over and nothing holds it.".to_owned(),
            Self::UnknownConversion => "No decision is known for this conversion; screen it first.".to_owned(),
            Self::UnknownReward => "The conversion was screened with other rewards than this one.".to_owned(),
            Self::InReview => "A reviewer has yet to decide.".to_owned(),
            Self::DelayRunning => "The payout delay has not passed.".to_owned(),
            Self::ReferralHeld => "The referral is on hold.".to_owned(),
            Self::ReferrerHeld => "The referrer is on hold.".to_owned(),
            Self::Rejected => "The referral was rejected.".to_owned(),
            Self::Cancelled => "The purchase was refunded, disputed or cancelled, or an account was banned.".to_owned(),
            Self::Duplicate(first) => format!("The same purchase was screened before as `{first}`."),
            Self::AlreadyPaid => "This reward was already paid.".to_owned(),
        }
    }
}
