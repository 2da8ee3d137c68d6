//! Facts: what an event of a sender says, in words that all senders share. Personal values are digests already.

use serde::{Deserialize, Serialize};

use crate::vocabulary::bundle::{EmailSignals, NameSignals, PaymentSignals, SignalBundle};
use crate::vocabulary::ids::{AccountId, CampaignId, SenderId, Ucc};
use crate::vocabulary::journey::Journey;
use crate::vocabulary::money::Money;
use crate::vocabulary::source::Source;
use crate::vocabulary::time::Timestamp;

/// Facts that one event may bring.
pub const FACTS_MAX: usize = 16;

/// One thing that an event says. It was so when the event happened, unless the fact has a time of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Fact {
    /// There is such a customer.
    Customer(CustomerFact),
    /// What is known of a customer's person.
    Signals(SenderId, Box<SenderSignals>),
    /// A customer took a step.
    Step(SenderId, ReferralStep),
    /// A customer paid.
    Payment(Box<PaymentFact>),
    /// The payment behind an intent is that of an invoice.
    OfInvoice {
        /// The sender's id of the intent.
        intent: SenderId,
        /// The invoice.
        invoice: SenderId,
    },
    /// Money of a payment went back.
    GivenBack {
        /// The invoice or charge.
        payment: SenderId,
        /// The refund.
        refund: SenderId,
        /// How much; absent for all of it.
        amount: Option<Money>,
    },
    /// The card holder disputes a payment.
    Disputed(DisputeFact),
    /// The card's issuer warns of fraud.
    Warned {
        /// The charge.
        payment: SenderId,
        /// The warning.
        warning: SenderId,
    },
    /// A subscription was ended.
    Ended(SenderId),
    /// A referral code is somebody's.
    Code(CodeFact),
}

/// A customer of a sender's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CustomerFact {
    /// The sender's id.
    pub customer: SenderId,
    /// When the sender first knew it; absent when the event does not say.
    pub created_at: Option<Timestamp>,
    /// The product's own account; absent when the event does not say.
    pub account: Option<AccountId>,
    /// The referral code that is attached to it; absent when none is.
    pub code: Option<Ucc>,
}

/// Steps of a new user before he pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ReferralStep {
    /// He opened an account.
    SignUp,
    /// He had one, and signed in with a code.
    SignIn,
    /// He attended a demonstration.
    Demo,
}

/// A payment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PaymentFact {
    /// The sender's id of the invoice or charge.
    pub payment: SenderId,
    /// Who paid; absent for a guest.
    pub customer: Option<SenderId>,
    /// How much.
    pub value: Money,
    /// When.
    pub paid_at: Timestamp,
    /// What it is a payment of.
    pub of: PaymentOf,
    /// The intent behind it, by which an invoice and its charge find each other; absent when the event does not say.
    pub intent: Option<SenderId>,
    /// The subscription; absent when there is none.
    pub subscription: Option<SenderId>,
}

/// What a payment is a payment of. Ordered by how much is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PaymentOf {
    /// The event does not say whether there is an invoice.
    Unclear,
    /// There is no invoice: bought once.
    NoInvoice,
    /// It is an invoice itself.
    Itself,
    /// Of this invoice.
    Invoice(SenderId),
}

/// A dispute.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DisputeFact {
    /// The charge.
    pub payment: SenderId,
    /// The dispute.
    pub dispute: SenderId,
    /// How much; absent for all of it.
    pub amount: Option<Money>,
    /// When it began.
    pub opened_at: Timestamp,
    /// When it ended in the merchant's favour; absent while it has not.
    pub won_at: Option<Timestamp>,
}

/// Whose a referral code is from the time of the event on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CodeFact {
    /// The code.
    pub code: Ucc,
    /// Whose; absent for whoever had it before.
    pub owner: Option<AccountId>,
    /// The campaign; absent for the default one.
    pub campaign: Option<CampaignId>,
    /// Whether new users may still use it.
    pub use_of: CodeUse,
}

/// Whether a code may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CodeUse {
    /// It may.
    Open,
    /// It was changed for another, or ended.
    Ended,
}

/// What is known of a customer's person, as pseudonyms.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct SenderSignals {
    /// When the product's account was opened; absent when the event does not say.
    pub opened_at: Option<Timestamp>,
    /// E-mail addresses.
    pub emails: Vec<EmailSignals>,
    /// Names.
    pub names: Vec<NameSignals>,
    /// Payment instruments.
    pub payments: Vec<PaymentSignals>,
}

impl SenderSignals {
    /// Whether it says nothing.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        let Self { opened_at, emails, names, payments } = self;
        opened_at.is_none() && emails.is_empty() && names.is_empty() && payments.is_empty()
    }

    /// The same as signals of an account.
    #[must_use]
    pub fn of(&self, account_id: AccountId) -> SignalBundle {
        let Self { opened_at, emails, names, payments } = self.clone();
        let mut bundle = SignalBundle::of_account(account_id);
        (bundle.account_created_at, bundle.emails, bundle.names, bundle.payments) = (opened_at, emails, names, payments);
        bundle.journey = Journey::default();
        bundle
    }
}

/// Something that looks like a mistake of the sender's. Told once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mistake {
    /// What.
    pub kind: MistakeKind,
    /// Who sent it.
    pub source: Source,
    /// Of what: an account, a code, a customer, an amount. Never a personal datum.
    pub subject: Box<str>,
}

/// What looks like a mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum MistakeKind {
    /// An amount is a hundredth of what is usual: whole units for minor ones.
    AmountInMajorUnits,
    /// The event is of a test system, and the programme is in production. Nothing of it counts.
    SandboxIntoProduction,
    /// Something happened before the sign-up.
    BeforeSignUp,
    /// Nobody said whose the code is.
    UnknownCode,
    /// A code is attached, and no account of the product.
    NoAccount,
    /// A value that should be a pseudonym's source cannot be read, and is left out.
    Unreadable,
}

impl Mistake {
    /// What was seen and what to do, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { kind, source, subject } = self;
        let source = source.as_str();
        match kind {
            MistakeKind::AmountInMajorUnits => format!(
                "{source}: the amount {subject} is a hundredth of what is paid otherwise; amounts are in minor units, so 100.00 is 10000"
            ),
            MistakeKind::SandboxIntoProduction => format!(
                "{source}: {subject} is of a test system and the programme is in production; nothing of it counts: send it to a sandbox programme"
            ),
            MistakeKind::BeforeSignUp => format!(
                "{source}: something of the new user `{subject}` happened before the sign-up; are both times those of the event, in UTC?"
            ),
            MistakeKind::UnknownCode => format!(
                "{source}: nobody said whose the code `{subject}` is; what it brought waits until `PUT /referral-codes/{subject}` names its owner"
            ),
            MistakeKind::NoAccount => format!(
                "{source}: the customer `{subject}` has a referral code and no id of the new user; nothing counts until both are attached"
            ),
            MistakeKind::Unreadable => format!("{source}: {subject} cannot be read and was left out"),
        }
    }
}
