//! A conversion: the event that can earn a reward, with the signals of both sides.

use super::bundle::SignalBundle;
use super::ids::{CampaignId, ConversionId, InvoiceId, ProgramId, RewardId};
use super::journey::Attribution;
use super::money::Money;
use super::time::Timestamp;

/// Rewards that one conversion may earn.
pub const REWARDS_MAX: usize = 16;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum ConversionKind {
    /// A new account was opened.
    NewSignup,
    /// A demonstration was attended.
    DemoAttended,
    /// An invoice was paid.
    InvoicePaid,
    /// A charge succeeded.
    ChargeSucceeded,
}

/// What the referee was to the product when the referral began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefereeStanding {
    /// A new user.
    New,
    /// Had an account before the referral.
    Existing,
}

/// One of the two accounts of a referral.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Side {
    /// The account whose code was used.
    Referrer,
    /// The account that was referred.
    Referee,
}

/// A payment that the conversion earns, if it is released.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reward {
    /// The caller's id of the payment.
    pub reward_id: RewardId,
    /// Who is paid.
    pub beneficiary: Side,
    /// How much; absent when not known yet.
    pub amount: Option<Money>,
}

/// A conversion as the reward service reports it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Conversion {
    /// The programme it belongs to.
    pub program_id: ProgramId,
    /// The caller's id; screening is idempotent on it.
    pub conversion_id: ConversionId,
    /// The campaign; absent when the programme has none.
    pub campaign_id: Option<CampaignId>,
    /// What happened.
    pub kind: ConversionKind,
    /// When it happened. All evidence is as of this time.
    pub occurred_at: Timestamp,
    /// What the referee paid; absent when nothing was paid.
    pub value: Option<Money>,
    /// The smallest purchase that earns a reward in this campaign; absent when there is no such limit.
    pub minimum_purchase: Option<Money>,
    /// The invoice; absent when there is none.
    pub invoice_id: Option<InvoiceId>,
    /// New or existing user.
    pub referee_standing: RefereeStanding,
    /// How the two were tied.
    pub attribution: Attribution,
    /// What this message says of the referrer.
    pub referrer: SignalBundle,
    /// What this message says of the referee.
    pub referee: SignalBundle,
    /// What the conversion earns; may be empty when rewards are computed later.
    pub rewards: Vec<Reward>,
}
