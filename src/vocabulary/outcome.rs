//! Outcomes: what happens to a conversion or an account later, and what the product knows then.

use super::ids::{AccountId, Actor, ConversionId, InvoiceId, ProgramId, RecordId};
use super::money::Money;
use super::time::Timestamp;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum OutcomeKind {
    /// The charge was given back.
    ChargeRefunded,
    /// The card holder disputed the charge.
    Chargeback,
    /// The subscription was ended.
    SubscriptionCanceled,
    /// The product closed the account for cause.
    AccountBanned,
    /// A dispute ended in the merchant's favour: it answers the disputes before it.
    DisputeWon,
    /// The product opened the account again: it answers the bans before it.
    AccountUnbanned,
}

impl OutcomeKind {
    /// Whether money went back to the payer, or was asked back.
    #[must_use]
    pub const fn takes_back(self) -> bool {
        match self {
            Self::ChargeRefunded | Self::Chargeback => true,
            Self::SubscriptionCanceled | Self::AccountBanned | Self::DisputeWon | Self::AccountUnbanned => false,
        }
    }
}

/// What the outcome is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum OutcomeSubject {
    /// One conversion.
    Conversion(ConversionId),
    /// One account: all of its conversions, on whichever side of them it is, and whenever they are reported.
    Account(AccountId),
    /// The conversion of this referee with this invoice.
    Invoice {
        /// The referee.
        referee: AccountId,
        /// The invoice.
        invoice_id: InvoiceId,
    },
}

/// An outcome as the product reports it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Outcome {
    /// The programme it belongs to.
    pub program_id: ProgramId,
    /// The caller's id; recording is idempotent on it.
    pub outcome_id: RecordId,
    /// What happened.
    pub kind: OutcomeKind,
    /// To what.
    pub subject: OutcomeSubject,
    /// When.
    pub occurred_at: Timestamp,
    /// How much was given back or disputed; absent when all of it.
    pub amount: Option<Money>,
    /// Who reports it; absent when a system does.
    pub actor: Option<Actor>,
    /// Why, in words; empty when none were given.
    pub note: String,
}
