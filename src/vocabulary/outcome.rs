//! Outcomes: what happens to a conversion or an account later, and what the product knows then.

use super::ids::{AccountId, ConversionId, InvoiceId, ProgramId, RecordId};
use super::money::Money;
use super::time::Timestamp;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutcomeKind {
    /// The charge was given back.
    ChargeRefunded,
    /// The card holder disputed the charge.
    Chargeback,
    /// The subscription was ended.
    SubscriptionCanceled,
    /// The product closed the account for cause.
    AccountBanned,
}

/// What the outcome is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutcomeSubject {
    /// One conversion.
    Conversion(ConversionId),
    /// One account, on whichever side of its referrals.
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// How much was given back; absent when the outcome has no amount.
    pub amount: Option<Money>,
}
