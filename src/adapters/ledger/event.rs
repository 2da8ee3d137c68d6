//! Events: what happened in a programme, one for each journal record. The only truth; every table row is a fold of them.
//!
//! An event holds what was decided when it was written (verdicts before and after, rewards that were paid), so that folding it and telling
//! it in the feed need no look at anything that came later. Made by `plan`, applied by `fold`, told by `feed`, stored by `codec`.

use crate::book::command::{CaseStep, Change};
use crate::book::records::{ContentFingerprint, HoldSubject, ListEntry};
use crate::screening::case::CaseState;
use crate::screening::decision::{Decision, Verdict};
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{AccountId, Actor, ConversionId, RecordId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::Outcome;
use crate::vocabulary::time::Timestamp;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    ConversionScreened(Box<ConversionScreened>),
    SignalsRecorded(SignalsRecorded),
    OutcomeRecorded(Box<OutcomeRecorded>),
    CaseStepped(Box<CaseStepped>),
    RewardPaid(Box<RewardPaid>),
    HoldChanged(HoldChanged),
    ListChanged(ListChanged),
}

/// A conversion was screened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConversionScreened {
    pub(super) conversion: Conversion,
    pub(super) content: ContentFingerprint,
    pub(super) decision: Decision,
    pub(super) received_at: Timestamp,
    /// Present when it opened a case.
    pub(super) case: Option<OpenedCase>,
}

/// A case that screening opened.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OpenedCase {
    pub(super) due_at: Timestamp,
    /// The referrer as known then; absent when nothing beyond the message was.
    pub(super) referrer: Option<SignalBundle>,
    /// The referee as known then; absent when nothing beyond the message was.
    pub(super) referee: Option<SignalBundle>,
}

/// Signals were added to profiles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SignalsRecorded {
    pub(super) record_id: RecordId,
    pub(super) content: ContentFingerprint,
    pub(super) bundles: Vec<SignalBundle>,
    pub(super) received_at: Timestamp,
}

/// An outcome was reported.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OutcomeRecorded {
    pub(super) outcome: Outcome,
    pub(super) content: ContentFingerprint,
    pub(super) received_at: Timestamp,
    /// The conversions that it concerns, one by one. A ban concerns an account's referrals as a whole, and here only those in which the
    /// account is the referee.
    pub(super) concerned: Vec<Concerned>,
    /// Rewards that turn out to have been paid for a cancelled referral, of conversions that are not listed above.
    pub(super) paid_elsewhere: Vec<PaidReward>,
}

/// A conversion that an outcome concerns.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Concerned {
    pub(super) conversion_id: ConversionId,
    pub(super) referrer: AccountId,
    pub(super) referee: AccountId,
    /// The verdict in force.
    pub(super) verdict: Verdict,
    /// Rewards that were paid and not reported as such before.
    pub(super) paid: Vec<RewardId>,
}

/// A paid reward with its referral.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PaidReward {
    pub(super) conversion_id: ConversionId,
    pub(super) referrer: AccountId,
    pub(super) referee: AccountId,
    pub(super) verdict: Verdict,
    pub(super) reward_id: RewardId,
}

/// A case was stepped, or noted on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CaseStepped {
    pub(super) conversion_id: ConversionId,
    pub(super) referrer: AccountId,
    pub(super) referee: AccountId,
    pub(super) step: CaseStep,
    pub(super) actor: Actor,
    pub(super) reason_code: String,
    pub(super) note: String,
    pub(super) at: Timestamp,
    /// The state before, as it counted at that time; absent when this opened the first case of its conversion.
    pub(super) previous_state: Option<CaseState>,
    pub(super) state: CaseState,
    pub(super) previous_verdict: Verdict,
    pub(super) verdict: Verdict,
    pub(super) revision: u32,
    /// When it was opened, or reopened last.
    pub(super) opened_at: Timestamp,
    pub(super) due_at: Timestamp,
    pub(super) reason_codes: Vec<EvidenceCode>,
    /// Rewards that were paid before this rejection and not reported as such before.
    pub(super) paid: Vec<RewardId>,
    /// What the queue shows of a conversion that never had a case; absent when it had one.
    pub(super) first_case: Option<FirstCase>,
}

/// What the queue shows of a case beside its state.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FirstCase {
    pub(super) score: f64,
    pub(super) value: Option<Money>,
    pub(super) headline: String,
}

/// A reward was paid.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RewardPaid {
    pub(super) conversion_id: ConversionId,
    pub(super) referrer: AccountId,
    pub(super) referee: AccountId,
    pub(super) reward_id: RewardId,
    pub(super) paid_at: Timestamp,
    pub(super) amount: Option<Money>,
    pub(super) received_at: Timestamp,
    /// The verdict in force.
    pub(super) verdict: Verdict,
    pub(super) entitlement: Entitlement,
}

/// Whether a reward was paid to somebody who could still earn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entitlement {
    /// Neither rejected nor cancelled nor a duplicate.
    Standing,
    /// Money left for a referral that earns none.
    Lost,
}

/// A hold was placed or lifted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HoldChanged {
    pub(super) subject: HoldSubject,
    pub(super) change: Change,
    pub(super) actor: Actor,
    pub(super) note: String,
    pub(super) at: Timestamp,
    /// The referral; absent when the hold is on a referrer.
    pub(super) referral: Option<HeldReferral>,
}

/// The referral that a hold is on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HeldReferral {
    pub(super) referrer: AccountId,
    pub(super) referee: AccountId,
    /// The verdict in force.
    pub(super) verdict: Verdict,
}

/// A list entry was written or removed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ListChanged {
    pub(super) entry: ListEntry,
    pub(super) change: Change,
}
