//! Events: what happened in a programme, one for each journal record. The only truth; a book is what they add up to.
//!
//! An event holds what was decided when it was made (verdicts before and after, rewards that were paid), so that applying it and telling it in
//! the feed need no look at anything that came later.

use super::command::{CaseStep, Change};
use super::records::{ContentFingerprint, Cursor, HoldSubject, ListEntry};
use crate::screening::case::CaseState;
use crate::screening::decision::{Decision, Verdict};
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, ConversionKind};
use crate::vocabulary::ids::{AccountId, Actor, ConversionId, InvoiceId, RecordId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::Outcome;
use crate::vocabulary::time::Timestamp;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    ConversionScreened(Box<ConversionScreened>),
    SignalsRecorded(SignalsRecorded),
    OutcomeRecorded(Box<OutcomeRecorded>),
    CaseStepped(Box<CaseStepped>),
    RewardPaid(Box<RewardPaid>),
    HoldChanged(HoldChanged),
    ListChanged(ListChanged),
    /// Not of the journal itself: what outlives a conversion whose record retention removed.
    ConversionKept(Box<ConversionKept>),
}

/// A conversion was screened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConversionScreened {
    pub(crate) conversion: Conversion,
    pub(crate) content: ContentFingerprint,
    pub(crate) decision: Decision,
    pub(crate) received_at: Timestamp,
    /// Present when it opened a case.
    pub(crate) case: Option<OpenedCase>,
}

/// A case that screening opened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpenedCase {
    pub(crate) due_at: Timestamp,
    /// The referrer as known then; absent when nothing beyond the message was.
    pub(crate) referrer: Option<SignalBundle>,
    /// The referee as known then; absent when nothing beyond the message was.
    pub(crate) referee: Option<SignalBundle>,
}

/// Signals were added to profiles.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignalsRecorded {
    pub(crate) record_id: RecordId,
    pub(crate) content: ContentFingerprint,
    pub(crate) bundles: Vec<SignalBundle>,
    pub(crate) received_at: Timestamp,
}

/// An outcome was reported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutcomeRecorded {
    pub(crate) outcome: Outcome,
    pub(crate) content: ContentFingerprint,
    pub(crate) received_at: Timestamp,
    /// The conversions that it concerns, one by one. A ban concerns an account's referrals as a whole, and here only those in which the
    /// account is the referee.
    pub(crate) concerned: Vec<Concerned>,
    /// Rewards that turn out to have been paid for a cancelled referral, of conversions that are not listed above.
    pub(crate) paid_elsewhere: Vec<PaidReward>,
}

/// A conversion that an outcome concerns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Concerned {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    /// The verdict in force.
    pub(crate) verdict: Verdict,
    /// Rewards that were paid and not reported as such before.
    pub(crate) paid: Vec<RewardId>,
}

/// A paid reward with its referral.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PaidReward {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) verdict: Verdict,
    pub(crate) reward_id: RewardId,
}

/// A case was stepped, or noted on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CaseStepped {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) step: CaseStep,
    pub(crate) actor: Actor,
    pub(crate) reason_code: String,
    pub(crate) note: String,
    pub(crate) at: Timestamp,
    /// The state before, as it counted at that time; absent when this opened the first case of its conversion.
    pub(crate) previous_state: Option<CaseState>,
    pub(crate) state: CaseState,
    pub(crate) previous_verdict: Verdict,
    pub(crate) verdict: Verdict,
    pub(crate) revision: u32,
    /// When it was opened, or reopened last.
    pub(crate) opened_at: Timestamp,
    pub(crate) due_at: Timestamp,
    pub(crate) reason_codes: Vec<EvidenceCode>,
    /// Rewards that were paid before this rejection and not reported as such before.
    pub(crate) paid: Vec<RewardId>,
    /// What the queue shows of a conversion that never had a case; absent when it had one.
    pub(crate) first_case: Option<FirstCase>,
}

/// What the queue shows of a case beside its state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FirstCase {
    pub(crate) score: f64,
    pub(crate) value: Option<Money>,
    pub(crate) headline: String,
}

/// A reward was paid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RewardPaid {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) reward_id: RewardId,
    pub(crate) paid_at: Timestamp,
    pub(crate) amount: Option<Money>,
    pub(crate) received_at: Timestamp,
    /// The verdict in force.
    pub(crate) verdict: Verdict,
    pub(crate) entitlement: Entitlement,
}

/// Whether a reward was paid to somebody who could still earn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entitlement {
    /// Neither rejected nor cancelled nor a duplicate.
    Standing,
    /// Money left for a referral that earns none.
    Lost,
}

/// A hold was placed or lifted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HoldChanged {
    pub(crate) subject: HoldSubject,
    pub(crate) change: Change,
    pub(crate) actor: Actor,
    pub(crate) note: String,
    pub(crate) at: Timestamp,
    /// The referral; absent when the hold is on a referrer.
    pub(crate) referral: Option<HeldReferral>,
}

/// The referral that a hold is on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldReferral {
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    /// The verdict in force.
    pub(crate) verdict: Verdict,
}

/// A list entry was written or removed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListChanged {
    pub(crate) entry: ListEntry,
    pub(crate) change: Change,
}

/// What outlives a conversion whose record was removed: its id, what bars its rewards, and what was paid. Everything else is as if it had never
/// been sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConversionKept {
    pub(crate) conversion_id: ConversionId,
    pub(crate) content: ContentFingerprint,
    pub(crate) kind: ConversionKind,
    pub(crate) occurred_at: Timestamp,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) invoice_id: Option<InvoiceId>,
    pub(crate) duplicate_of: Option<ConversionId>,
    pub(crate) verdict: Verdict,
    pub(crate) cancelled_at: Option<Timestamp>,
    pub(crate) rewards: Vec<RewardId>,
    pub(crate) payments: Vec<KeptPayment>,
}

/// A payment that outlives its record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptPayment {
    pub(crate) reward_id: RewardId,
    pub(crate) amount: Option<Money>,
    /// Where its record stood.
    pub(crate) cursor: Cursor,
    /// Whether it was told that it was paid for a rejected or cancelled referral.
    pub(crate) reported: bool,
}
