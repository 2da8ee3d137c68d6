//! The numbers that stand for our enums in stored bytes. Frozen: a number is never given another meaning, a new variant gets a new number.
//! Called by the codecs and the rows.

use crate::book::acts::Cause;
use crate::book::command::{Change, Settlement};
use crate::book::directory::{Archival, Stage};
use crate::book::event::Effect;
use crate::book::intake::{CodeUse, MistakeKind, ReferralStep};
use crate::book::models::ModelAction;
use crate::book::rekeying::RekeyedKind;
use crate::book::terms::Decided;
use crate::ledger::packed::Damaged;
use crate::screening::case::Resolution;
use crate::screening::comparability::{Compared, SignalKind};
use crate::screening::decision::{AuditSample, ReferrerSafeReason, Scored, Verdict};
use crate::screening::evidence::EvidenceCode;
use crate::screening::gate::Gate;
use crate::screening::history::{IdentifierKind, ListKind};
use crate::screening::policy::{CountsFrom, RuleMode};
use crate::screening::warning::WarningCode;
use crate::vocabulary::bundle::{NetworkFlag, PaymentKind, PaymentPurpose};
use crate::vocabulary::conversion::{ConversionKind, RefereeStanding, Side};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::journey::{CapturedVia, CodeValidity, TouchpointKind};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::role::Role;
use crate::vocabulary::source::Source;

macro_rules! numbered {
    ($($write:ident $read:ident $type:ident { $($variant:ident = $number:literal),+ $(,)? })+) => {
        $(
            pub(crate) const fn $write(value: $type) -> u8 {
                match value { $($type::$variant => $number,)+ }
            }

            pub(crate) fn $read(number: u8) -> Result<$type, Damaged> {
                match number {
                    $($number => Ok($type::$variant),)+
                    _ => Err(Damaged(concat!("a number stands for no ", stringify!($type)))),
                }
            }
        )+
    };
}

numbered! {
    verdict read_verdict Verdict { Approved = 1, InReview = 2, Rejected = 3 }
    scored read_scored Scored { ByModel = 1, ByJudgement = 2, ModelMissing = 3 }
    audit read_audit AuditSample { NotSampled = 1, Sampled = 2 }
    safe_reason read_safe_reason ReferrerSafeReason {
        None = 1, UnderReview = 2, NotEligible = 3, AlreadyCounted = 4, Cancelled = 5,
    }
    rule_mode read_rule_mode RuleMode { Off = 1, Shadow = 2, Review = 3, Reject = 4, Weigh = 5, Insist = 6 }
    resolution read_resolution Resolution { Accept = 1, Reject = 2 }
    change read_change Change { Place = 1, Lift = 2 }
    model_action read_model_action ModelAction {
        Loaded = 1, Activated = 2, RolledBack = 3, ChallengerSet = 4, ChallengerCleared = 5, BreakerTripped = 6,
    }
    cause read_cause Cause { Amount = 1, Unban = 2, Model = 3, Terms = 4 }
    decided read_decided Decided { KeepsItsDelay = 1, IsShortenedToo = 2 }
    counts_from read_counts_from CountsFrom { Later = 1, Occurrence = 2 }
    settlement read_settlement Settlement { Confirm = 1, Refuse = 2, Withdraw = 3 }
    archival read_archival Archival { Archived = 1, InUse = 2 }
    stage read_stage Stage { Sandbox = 1, Production = 2 }
    role read_role Role { Screener = 1, Payer = 2, Reviewer = 3, Lead = 4, Trainer = 5, Auditor = 6, Admin = 7 }
    list_kind read_list_kind ListKind { Blocked = 1, Trusted = 2 }
    identifier_kind read_identifier_kind IdentifierKind {
        EmailExact = 1, Mailbox = 2, LocalPart = 3, Domain = 4, Name = 5,
        Device = 6, Browser = 7, Address = 8, Prefix = 9, Payment = 10,
    }
    rekeyed_kind read_rekeyed_kind RekeyedKind {
        EmailExact = 1, Mailbox = 2, LocalPart = 3, Domain = 4, Name = 5,
        Device = 6, Browser = 7, Address = 8, Prefix = 9, Payment = 10, Pattern = 11,
    }
    domain_class read_domain_class EmailDomainClass { FreeMail = 1, Disposable = 2, Relay = 3, Corporate = 4 }
    network_flag read_network_flag NetworkFlag { Vpn = 1, Tor = 2, Hosting = 3, Relay = 4 }
    payment_kind read_payment_kind PaymentKind { Card = 1, Sepa = 2, Paypal = 3, BankAccount = 4, Wallet = 5, Other = 6 }
    payment_purpose read_payment_purpose PaymentPurpose { Billing = 1, Payout = 2 }
    touchpoint_kind read_touchpoint_kind TouchpointKind {
        LinkClick = 1, Landing = 2, PageView = 3, Signup = 4, SignIn = 5, Share = 6, Checkout = 7, Purchase = 8,
    }
    conversion_kind read_conversion_kind ConversionKind { NewSignup = 1, DemoAttended = 2, InvoicePaid = 3, ChargeSucceeded = 4 }
    referee_standing read_referee_standing RefereeStanding { New = 1, Existing = 2 }
    side read_side Side { Referrer = 1, Referee = 2 }
    captured_via read_captured_via CapturedVia { Link = 1, Cookie = 2, Form = 3, DeepLink = 4, Api = 5, Manual = 6 }
    code_validity read_code_validity CodeValidity { Valid = 1, Invalid = 2, Unchecked = 3 }
    outcome_kind read_outcome_kind OutcomeKind {
        ChargeRefunded = 1, Chargeback = 2, SubscriptionCanceled = 3, AccountBanned = 4, DisputeWon = 5, AccountUnbanned = 6,
    }
    source read_source Source { Stripe = 1, Chargebee = 2, Events = 3 }
    referral_step read_referral_step ReferralStep { SignUp = 1, SignIn = 2, Demo = 3 }
    code_use read_code_use CodeUse { Open = 1, Ended = 2 }
    mistake_kind read_mistake_kind MistakeKind {
        AmountInMajorUnits = 1, SandboxIntoProduction = 2, BeforeSignUp = 3, UnknownCode = 4, NoAccount = 5, Unreadable = 6,
    }
    effect read_effect Effect { Cancelled = 1, Reduced = 2, Reinstated = 3, None = 4 }
    gate read_gate Gate { Release = 1, Hold = 2, Deny = 3 }
    evidence_code read_evidence_code EvidenceCode {
        SameAccount = 1, SameEmail = 2, SameMailbox = 3, SameLocalPart = 4, SimilarMailbox = 5, SimilarName = 6,
        SameDevice = 7, SameBrowser = 8, SimilarEnvironment = 9, SameAddress = 10, SamePrefix = 11, SameInstrument = 12,
        PayoutIsBilling = 13, ReferrerPresent = 14, SimilarPath = 15, SharedPrivateDomain = 16, DisposableEmail = 17,
        AnonymisedNetwork = 18, NoClick = 19, ClickToSignup = 20, SignupToConversion = 21, ManualAttribution = 22,
        InvalidCode = 23, CodeChanged = 24, ExistingUser = 25, MinimumPurchase = 26, DuplicateInvoice = 27,
        CrowdedDevice = 28, CrowdedNetwork = 29, CrowdedPayment = 30, PatternRepeats = 31, ReferrerBurst = 32,
        ReferrerRate = 33, ReferrerRejections = 34, ReferrerRefunds = 35, RingLoop = 36, RingSize = 37,
        RingTouchesRejected = 38, Blocked = 39, Trusted = 40, Comparable = 41, Incomparable = 42, BelowMinimum = 43,
        SharedPayout = 44, OnePerson = 45, KnownPerson = 46, AfterCheckout = 47, ReferrerAccepted = 48,
        NameInMailbox = 49,
    }
    signal_kind read_signal_kind SignalKind {
        EmailExact = 1, Mailbox = 2, LocalPart = 3, LocalPartSketch = 4, Name = 5, NameSketch = 6, Device = 7, Browser = 8,
        Address = 9, Prefix = 10, Payment = 11, EmailPersonSketch = 12, NamePersonSketch = 13,
    }
    compared read_compared Compared { Yes = 1, KeysDiffer = 2, OnlyReferrer = 3, OnlyReferee = 4 }
    warning_code read_warning_code WarningCode {
        KeysDiffer = 1, Placeholder = 2, ZeroValue = 3, ScoreWithoutEvidence = 4, Cut = 5, Ignored = 6,
    }
}
