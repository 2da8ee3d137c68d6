//! Enums of the vocabulary and their counterparts on the wire, both ways, value by value.
//! It must never map a zero or an unknown number to a meaning. The readers and writers of this layer call it, and the service for its filters.

use super::review::CaseView;
use super::v1;
use crate::book::LeftAlone;
use crate::book::acts::Cause;
use crate::book::directory::Stage;
use crate::book::query::{CaseOrder, CaseStateKind};
use crate::book::records::{FeedKind, HistoryKind};
use crate::book::rekeying::RekeyedKind;
use crate::ports::diagnosis::Level;
use crate::screening::case::Resolution;
use crate::screening::comparability::Compared;
use crate::screening::decision::{ReferrerSafeReason, Scored, Verdict};
use crate::screening::evidence::Sides;
use crate::screening::gate::Gate;
use crate::screening::history::{IdentifierKind, ListKind};
use crate::screening::monitor::DriftLevel;
use crate::screening::policy::RuleMode;
use crate::vocabulary::bundle::{NetworkFlag, PaymentKind, PaymentPurpose};
use crate::vocabulary::conversion::{ConversionKind, RefereeStanding, Side};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::journey::{CapturedVia, TouchpointKind};
use crate::vocabulary::label::{LabelSource, Truth};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::role::Role;

/// An enum of ours that stands in messages.
pub trait WireEnum: Copy + Sized + 'static {
    /// Its counterpart in the contract.
    type Wire: TryFrom<i32> + Into<i32> + Copy;

    /// Our value of the contract's; `None` for the zero.
    fn from_wire(wire: Self::Wire) -> Option<Self>;

    /// The contract's value of ours.
    fn to_wire(self) -> Self::Wire;

    /// The names of the values in the contract, the zero left out.
    fn wire_names() -> Vec<&'static str>;

    /// The number that stands in a message.
    #[must_use]
    fn to_number(self) -> i32 {
        self.to_wire().into()
    }
}

macro_rules! wire_enum {
    ($($ours:ident => $wire:ident { $($value:ident => $wire_value:ident),+ $(,)? })+) => {
        $(impl WireEnum for $ours {
            type Wire = v1::$wire;

            fn from_wire(wire: v1::$wire) -> Option<Self> {
                match wire {
                    v1::$wire::Unspecified => None,
                    $(v1::$wire::$wire_value => Some(Self::$value),)+
                }
            }

            fn to_wire(self) -> v1::$wire {
                match self {
                    $(Self::$value => v1::$wire::$wire_value,)+
                }
            }

            fn wire_names() -> Vec<&'static str> {
                vec![$(v1::$wire::$wire_value.as_str_name()),+]
            }
        })+

        #[cfg(test)]
        mod round_trips {
            use super::*;

            #[test]
            fn every_value_comes_back_from_the_wire() {
                $($(assert_eq!($ours::from_wire($ours::$value.to_wire()), Some($ours::$value));)+)+
            }
        }
    };
}

wire_enum! {
    ConversionKind => ConversionKind {
        NewSignup => NewSignup, DemoAttended => DemoAttended, InvoicePaid => InvoicePaid, ChargeSucceeded => ChargeSucceeded,
    }
    RefereeStanding => RefereeStanding { New => New, Existing => Existing }
    Side => Side { Referrer => Referrer, Referee => Referee }
    CapturedVia => CapturedVia {
        Link => Link, Cookie => Cookie, Form => Form, DeepLink => DeepLink, Api => Api, Manual => Manual,
    }
    OutcomeKind => OutcomeKind {
        ChargeRefunded => ChargeRefunded, Chargeback => Chargeback, SubscriptionCanceled => SubscriptionCanceled,
        AccountBanned => AccountBanned, DisputeWon => DisputeWon, AccountUnbanned => AccountUnbanned,
    }
    EmailDomainClass => EmailDomainClass { FreeMail => FreeMail, Disposable => Disposable, Relay => Relay, Corporate => Corporate }
    NetworkFlag => NetworkFlag { Vpn => Vpn, Tor => Tor, Hosting => Hosting, Relay => Relay }
    PaymentKind => PaymentKind {
        Card => Card, Sepa => Sepa, Paypal => Paypal, BankAccount => BankAccount, Wallet => Wallet, Other => Other,
    }
    PaymentPurpose => PaymentPurpose { Billing => Billing, Payout => Payout }
    TouchpointKind => TouchpointKind {
        LinkClick => LinkClick, Landing => Landing, PageView => PageView, Signup => Signup, SignIn => SignIn, Share => Share,
        Checkout => Checkout, Purchase => Purchase,
    }
    IdentifierKind => IdentifierKind {
        EmailExact => EmailExact, Mailbox => Mailbox, LocalPart => LocalPart, Domain => Domain, Name => Name, Device => Device,
        Browser => Browser, Address => Address, Prefix => Prefix, Payment => Payment,
    }
    RekeyedKind => RekeyedKind {
        EmailExact => EmailExact, Mailbox => Mailbox, LocalPart => LocalPart, Domain => Domain, Name => Name, Device => Device,
        Browser => Browser, Address => Address, Prefix => Prefix, Payment => Payment, Pattern => Pattern,
    }
    Truth => Truth { Honest => Honest, Abusive => Abusive }
    LabelSource => LabelSource { Reviewer => Reviewer, Chargeback => Chargeback, OwnerReport => OwnerReport, Simulated => Simulated }
    Verdict => Verdict { Approved => Approved, InReview => InReview, Rejected => Rejected }
    Sides => EvidenceSides { Both => Both, Referrer => Referrer, Referee => Referee }
    RuleMode => RuleMode { Off => Off, Shadow => Shadow, Review => Review, Insist => Insist, Reject => Reject, Weigh => Weigh }
    Compared => SignalComparison {
        Yes => Compared, KeysDiffer => KeysDiffer, OnlyReferrer => OnlyReferrer, OnlyReferee => OnlyReferee,
    }
    Scored => ScoredBy { ByModel => Model, ByJudgement => Judgement, ModelMissing => JudgementModelMissing }
    ReferrerSafeReason => ReferrerSafeReasonCode {
        None => None, UnderReview => UnderReview, NotEligible => NotEligible, AlreadyCounted => AlreadyCounted, Cancelled => Cancelled,
    }
    ListKind => ListKind { Blocked => Blocked, Trusted => Trusted }
    CaseStateKind => CaseState { Open => Open, Claimed => Claimed, Resolved => Resolved }
    CaseOrder => CaseOrder {
        OldestFirst => OldestFirst, NewestFirst => NewestFirst, ScoreHighestFirst => ScoreHighestFirst, DueFirst => DueFirst,
        ExpectedLossFirst => ExpectedLossFirst,
    }
    Resolution => Resolution { Accept => Accept, Reject => Reject }
    CaseView => CaseView { Basic => Basic, Full => Full }
    LeftAlone => LeftAlone {
        Changed => Changed, ClaimedByOther => ClaimedByOther, AlreadyResolved => AlreadyResolved, NotResolved => NotResolved,
        NeedsConfirmation => NeedsConfirmation, Gone => Gone,
    }
    HistoryKind => CaseEventKind {
        Screened => Screened, Opened => Opened, Claimed => Claimed, Released => Released, Resolved => Resolved,
        Reopened => Reopened, Noted => Noted, HoldPlaced => HoldPlaced, HoldLifted => HoldLifted,
        OutcomeRecorded => OutcomeRecorded, OutcomeRevoked => OutcomeRevoked, Reserved => Reserved,
        ReservationCancelled => ReservationCancelled, Paid => Paid, PayoutFailed => PayoutFailed,
        RewardsChanged => RewardsChanged, Reassessed => Reassessed, Proposed => Proposed, Confirmed => Confirmed,
    }
    Cause => ConfirmationCause { Amount => Amount, Unban => Unban, Model => Model, Terms => Terms }
    FeedKind => FeedEventKind {
        Decided => Decided, CaseResolved => CaseResolved, CaseReopened => CaseReopened, Cancelled => Cancelled,
        HoldPlaced => HoldPlaced, HoldLifted => HoldLifted, Paid => Paid, RejectedAfterPayment => RejectedAfterPayment,
        Reduced => Reduced, Reinstated => Reinstated, PayoutFailed => PayoutFailed, RewardsChanged => RewardsChanged,
        Reassessed => Reassessed,
    }
    Level => FindingLevel { Fine => Fine, Note => Note, Wrong => Wrong }
    DriftLevel => DriftLevel { TooFew => TooFew, Stable => Stable, Shifting => Shifting, Shifted => Shifted }
    Role => Role {
        Screener => Screener, Payer => Payer, Reviewer => Reviewer, Lead => Lead, Trainer => Trainer, Auditor => Auditor,
        Admin => Admin,
    }
    Stage => ProgramStage { Sandbox => Sandbox, Production => Production }
    Gate => Gate { Release => Release, Hold => Hold, Deny => Deny }
}
