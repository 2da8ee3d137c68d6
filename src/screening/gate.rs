//! The payout gate: may this reward be paid now? Pure, and closed unless everything says open.
//!
//! No timeout, error, gap or unknown id ever gives [`Gate::Release`]: there is one place below that releases, and it is reached only past every
//! hold. The same function answers a question, decides a reservation, and tells whether a payment went against it.

use std::collections::BTreeSet;

use super::decision::Verdict;
use super::policy::PayoutPolicy;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::{CampaignId, ConversionId, RequestId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

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
    /// Retention removed the conversion's record.
    Removed,
    /// The reward is not one of the conversion's rewards.
    UnknownReward,
    /// The reward is another conversion's: a reward id names one reward for ever.
    OtherConversion,
    /// The same reward stands earlier in the same call.
    RepeatedInCall,
    /// A reviewer has yet to decide.
    InReview,
    /// Something arrived after the decision, and it has yet to be looked at again.
    LateFacts,
    /// The payout delay has not passed.
    DelayRunning,
    /// Somebody put a hold on the referral.
    ReferralHeld,
    /// Somebody put a hold on the referrer.
    ReferrerHeld,
    /// A payer has reserved it.
    Reserved,
    /// The call that is answered again had reserved it, and that reservation has ended.
    ReservationEnded,
    /// Part of the value was given back, and less may be paid than was asked for.
    Reduced,
    /// Rejected by policy or by a reviewer.
    Rejected,
    /// An outcome cancelled it.
    Cancelled(OutcomeKind),
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
    /// What may be paid: the reward's amount, less the share that was refunded. Absent unless it may be, and when the amount is not known.
    pub payable: Option<Money>,
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

/// Which rewards a conversion may be paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum Accepts {
    /// Those that it names.
    Named,
    /// Any: they were not known when it was reported, and none was added since.
    Any,
}

/// Where one reward stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewardStanding {
    /// The reward.
    pub reward_id: RewardId,
    /// Who gets it; absent when only a payer named it.
    pub beneficiary: Option<Side>,
    /// What it is worth; absent when not known.
    pub amount: Option<Money>,
    /// Whether it was paid.
    pub state: RewardState,
}

impl RewardStanding {
    /// Whether it was paid, for whichever conversion.
    #[must_use]
    pub const fn is_paid(&self) -> bool {
        matches!(self.state, RewardState::Paid { .. })
    }
}

/// Whether a reward was paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RewardState {
    /// Not yet.
    Unpaid,
    /// A payer is about to.
    Reserved {
        /// The reservation.
        by: RequestId,
        /// What was reserved; absent when not known.
        amount: Option<Money>,
        /// When it ends by itself.
        until: Timestamp,
    },
    /// It was.
    Paid {
        /// How much; absent when not known.
        amount: Option<Money>,
    },
    /// It is another conversion's.
    Elsewhere,
}

/// An outcome that cancels what is unpaid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Cancelled {
    /// What happened.
    pub by: OutcomeKind,
    /// When.
    pub at: Timestamp,
}

/// Whether the record of a conversion is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Record {
    /// It is.
    #[default]
    Kept,
    /// Retention removed it.
    Removed,
}

/// What the ledger knows of a conversion when its payout is asked for: the one standing of which every answer, sentence and event is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Whether its record is there. Of one that is not, the rest is what outlived it.
    pub record: Record,
    /// The verdict in force.
    pub verdict: Verdict,
    /// When the conversion happened.
    pub occurred_at: Timestamp,
    /// When it was received.
    pub received_at: Timestamp,
    /// The campaign, which may have its own payout delay; absent when there is none.
    pub campaign_id: Option<CampaignId>,
    /// What the referee paid; absent when nothing or not known.
    pub value: Option<Money>,
    /// Set when a dispute, cancellation, ban or a refund of all cancelled what was unpaid.
    pub cancelled: Option<Cancelled>,
    /// What was given back of the value so far, when less than all: the policy says what becomes of the rewards.
    pub refunded: Option<(Money, Timestamp)>,
    /// The conversion that this one repeats; absent when it is new.
    pub duplicate_of: Option<ConversionId>,
    /// A hold on the referral.
    pub referral_held: Held,
    /// A hold on the referrer.
    pub referrer_held: Held,
    /// Facts that arrived after the decision and were not looked at yet.
    pub late_facts: Held,
    /// Which rewards it may be paid for.
    pub accepts: Accepts,
    /// The rewards that are known.
    pub rewards: Vec<RewardStanding>,
}

impl Standing {
    /// The rewards that were paid.
    pub fn paid(&self) -> impl Iterator<Item = &RewardId> {
        self.rewards.iter().filter(|reward| matches!(reward.state, RewardState::Paid { .. })).map(|reward| &reward.reward_id)
    }

    /// Whether the referral counts, and if not why, in one sentence. What is told to people is made of it.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.record == Record::Removed {
            return GateReason::Removed.sentence();
        }
        let paid = if self.paid().next().is_some() { " It was paid." } else { "" };
        if let Some(first) = &self.duplicate_of {
            return format!("{}{paid}", GateReason::Duplicate(first.clone()).sentence());
        }
        if let Some(cancelled) = self.cancelled {
            return format!("Cancelled: {}{paid}", cancelled_sentence(cancelled.by));
        }
        let unpaid = self.rewards.iter().any(|reward| !matches!(reward.state, RewardState::Paid { .. }));
        let (first, held) = match self.verdict {
            Verdict::Rejected => return format!("{}{paid}", GateReason::Rejected.sentence()),
            Verdict::InReview => (GateReason::InReview.sentence(), self.held_by()),
            Verdict::Approved if !self.rewards.is_empty() && !unpaid => ("Approved and paid.".to_owned(), None),
            Verdict::Approved => ("Approved.".to_owned(), self.held_by()),
        };
        let reduced = self.refunded.map(|_| " Part of the purchase was refunded.").unwrap_or_default();
        let held = held.map(|reason| format!(" {}", reason.sentence())).unwrap_or_default();
        format!("{first}{held}{reduced}")
    }

    /// What holds it beside its verdict.
    fn held_by(&self) -> Option<GateReason> {
        let holds = [
            (self.referrer_held, GateReason::ReferrerHeld),
            (self.referral_held, GateReason::ReferralHeld),
            (self.late_facts, GateReason::LateFacts),
        ];
        holds.into_iter().find(|(held, _)| *held == Held::Yes).map(|(_, reason)| reason)
    }

    /// What cancelled it, a refund of so much that the policy cancels for it included.
    #[must_use]
    pub fn cancelled_under(&self, policy: &PayoutPolicy) -> Option<Cancelled> {
        cancelled_under(self.cancelled, self.refunded, self.value, policy)
    }

    /// The same standing with what the policy makes of refunds: what it cancels for them is cancelled.
    #[must_use]
    pub fn under(mut self, policy: &PayoutPolicy) -> Self {
        self.cancelled = self.cancelled_under(policy);
        self.refunded = self.refunded.filter(|_| self.cancelled.is_none());
        self
    }

    /// What may be paid of a reward, at most: its amount, less the share of the value that was given back.
    #[must_use]
    pub fn payable(&self, amount: Option<Money>) -> Option<Money> {
        amount.map(|amount| less_refunds(amount, self.value, self.refunded))
    }
}

/// Who asks: a reservation does not stand in its own way.
#[derive(Debug, Clone, Copy)]
pub enum Asker<'a> {
    /// Anybody.
    Anybody,
    /// The holder of this reservation.
    Reservation(&'a RequestId),
}

/// What is left of an amount once a share of the value was given back.
#[must_use]
pub fn less_refunds(amount: Money, value: Option<Money>, refunded: Option<(Money, Timestamp)>) -> Money {
    value.zip(refunded).map_or(amount, |(value, (refunded, _))| {
        let whole = value.amount_minor();
        amount.share(whole - refunded.amount_minor(), whole)
    })
}

/// What cancels a sale of this value, a refund of so much that the policy cancels for it included.
#[must_use]
pub fn cancelled_under(
    cancelled: Option<Cancelled>,
    refunded: Option<(Money, Timestamp)>,
    value: Option<Money>,
    policy: &PayoutPolicy,
) -> Option<Cancelled> {
    let too_much = || {
        let ((back, at), value) = refunded.zip(value)?;
        policy.cancels(back, value).then_some(Cancelled { by: OutcomeKind::ChargeRefunded, at })
    };
    cancelled.or_else(too_much)
}

/// Answers for one reward. `standing` is `None` for a conversion that the ledger does not know.
#[must_use]
pub fn check(
    standing: Option<&Standing>,
    reward: &RewardId,
    asker: Asker<'_>,
    policy: &PayoutPolicy,
    now: Timestamp,
) -> GateAnswer {
    let hold = |reason, hold_until| GateAnswer { gate: Gate::Hold, reason, hold_until, payable: None };
    let deny = |reason| GateAnswer { gate: Gate::Deny, reason, hold_until: None, payable: None };
    let Some(standing) = standing else { return hold(GateReason::UnknownConversion, None) };
    let known = standing.rewards.iter().find(|known| known.reward_id == *reward);
    if standing.record == Record::Removed && !known.is_some_and(RewardStanding::is_paid) {
        return hold(GateReason::Removed, None);
    }
    if known.is_none() && standing.accepts == Accepts::Named {
        return hold(GateReason::UnknownReward, None);
    }
    let mut reserved_until = None;
    match known.map(|known| &known.state) {
        Some(RewardState::Paid { .. }) => return deny(GateReason::AlreadyPaid),
        Some(RewardState::Elsewhere) => return hold(GateReason::OtherConversion, None),
        Some(RewardState::Reserved { by, until, .. }) => {
            let own = matches!(asker, Asker::Reservation(asker) if asker == by);
            reserved_until = (!own && now < *until).then_some(*until);
        }
        Some(RewardState::Unpaid) | None => {}
    }
    if let Some(first) = &standing.duplicate_of {
        return deny(GateReason::Duplicate(first.clone()));
    }
    if let Some(cancelled) = standing.cancelled_under(policy) {
        return deny(GateReason::Cancelled(cancelled.by));
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
    if standing.late_facts == Held::Yes {
        return hold(GateReason::LateFacts, None);
    }
    let payable_from = policy.payable_from(standing.campaign_id.as_ref(), standing.occurred_at, standing.received_at);
    if now < payable_from {
        return hold(GateReason::DelayRunning, Some(payable_from));
    }
    if reserved_until.is_some() {
        return hold(GateReason::Reserved, reserved_until);
    }
    let worth = known.and_then(|known| known.amount);
    let payable = standing.payable(worth);
    let nothing_is_left =
        worth.is_some_and(|worth| worth.amount_minor() > 0) && payable.is_some_and(|left| left.amount_minor() == 0);
    if nothing_is_left {
        return GateAnswer { payable, ..deny(GateReason::Reduced) };
    }
    GateAnswer { gate: Gate::Release, reason: GateReason::Cleared, hold_until: None, payable }
}

/// Notices a reward that stands in one call twice: it is answered once and held after that.
#[derive(Debug, Default)]
pub struct InOneCall<'a>(BTreeSet<&'a RewardId>);

impl<'a> InOneCall<'a> {
    /// The answer for the next reward of the call.
    pub fn answer(&mut self, reward: &'a RewardId, answer: impl FnOnce() -> GateAnswer) -> GateAnswer {
        if self.0.insert(reward) {
            return answer();
        }
        GateAnswer { gate: Gate::Hold, reason: GateReason::RepeatedInCall, hold_until: None, payable: None }
    }
}

impl GateReason {
    /// The reason in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Cleared => "Approved, the payout delay is over and nothing holds it.".to_owned(),
            Self::UnknownConversion => "No decision is known for this conversion; screen it first.".to_owned(),
            Self::Removed => "The conversion's record was removed by retention; nothing of it is paid any more.".to_owned(),
            Self::UnknownReward => "The conversion was screened with other rewards than this one; add it first.".to_owned(),
            Self::OtherConversion => {
                "This reward belongs to another conversion; a reward id names one reward for ever.".to_owned()
            }
            Self::RepeatedInCall => "This reward stands earlier in the same call; it is answered there.".to_owned(),
            Self::InReview => "A reviewer has yet to decide.".to_owned(),
            Self::LateFacts => "Something arrived after the decision and is being looked at; ask again in a moment.".to_owned(),
            Self::DelayRunning => "The payout delay has not passed.".to_owned(),
            Self::ReferralHeld => "The referral is on hold.".to_owned(),
            Self::ReferrerHeld => "The referrer is on hold.".to_owned(),
            Self::Reserved => "A payer has reserved this reward.".to_owned(),
            Self::ReservationEnded => {
                "This call had reserved the reward, and the reservation has ended; reserve again with another request id."
                    .to_owned()
            }
            Self::Reduced => "Part of the purchase was refunded; less may be paid than was asked for.".to_owned(),
            Self::Rejected => "The referral was rejected.".to_owned(),
            Self::Cancelled(kind) => cancelled_sentence(*kind).to_owned(),
            Self::Duplicate(first) => format!("It repeats `{first}`, which was screened before."),
            Self::AlreadyPaid => "This reward was already paid.".to_owned(),
        }
    }
}

/// What cancelled a conversion, in a sentence.
#[must_use]
pub const fn cancelled_sentence(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::ChargeRefunded => "The purchase was refunded.",
        OutcomeKind::Chargeback => "The purchase was disputed.",
        OutcomeKind::SubscriptionCanceled => "The subscription was cancelled.",
        OutcomeKind::AccountBanned => "An account of the referral was banned.",
        OutcomeKind::DisputeWon | OutcomeKind::AccountUnbanned => "Nothing cancels it any more.",
    }
}
