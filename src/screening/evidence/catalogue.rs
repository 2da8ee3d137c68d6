//! The evidence catalogue: every fact that Selfsame looks for, by its dotted code.
//!
//! One table. The codes are API: they stand in decisions, policies, exports and the feed, so a code is never reused for another meaning.
//! To add one, add a row here, at the end, and the function that finds it in `pairwise`, `referee` or `past`; the compiler and the tests lead the rest of the way.

use std::fmt;

use super::Finding;
use crate::screening::history::IdentifierKind;
use crate::screening::match_weight::{BITS_FULL, BITS_FULL_TOGETHER};

/// Whose signals a piece of evidence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Sides {
    /// A comparison of the two sides.
    Both,
    /// The referrer alone.
    Referrer,
    /// The referee alone.
    Referee,
}

/// What the number beside a piece of evidence counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MeasureKind {
    /// Nothing.
    Nothing,
    /// A similarity in `[0, 1]`.
    Similarity,
    /// Accounts on a shared value, beside the two sides unless the meaning says otherwise.
    Accounts,
    /// A plain count.
    Count,
    /// Seconds.
    Seconds,
    /// Steps of a loop of referrals.
    Steps,
    /// Which of several ways it holds; said in the sentence, never shown as a number.
    Way,
}

macro_rules! evidence_catalogue {
    ($($variant:ident $dotted:literal $sides:ident $measure:ident $meaning:literal;)+) => {
        /// The code of a piece of evidence.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[repr(u8)]
        pub enum EvidenceCode {
            $(#[doc = $meaning] $variant,)+
        }

        impl EvidenceCode {
            /// All codes, in catalogue order.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];

            /// The dotted code, like `payment.same_instrument`.
            #[must_use]
            pub const fn dotted(self) -> &'static str {
                match self { $(Self::$variant => $dotted,)+ }
            }

            /// One sentence on what the evidence says when it hits.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)+ }
            }

            /// Whose signals it comes from.
            #[must_use]
            pub const fn sides(self) -> Sides {
                match self { $(Self::$variant => Sides::$sides,)+ }
            }

            /// What its measure counts.
            #[must_use]
            pub const fn measure_kind(self) -> MeasureKind {
                match self { $(Self::$variant => MeasureKind::$measure,)+ }
            }
        }
    };
}

evidence_catalogue! {
    SameAccount "identity.same_account" Both Nothing "Referrer and referee are one account.";
    SameEmail "identity.same_email" Both Accounts "Both sides use one e-mail address.";
    SameMailbox "identity.same_mailbox" Both Accounts "Both sides' e-mail addresses are aliases of one mailbox.";
    SameLocalPart "identity.same_local_part" Both Accounts "Both sides use the same name before the @.";
    SimilarMailbox "identity.similar_mailbox" Both Similarity "The names before the @ are nearly the same.";
    SimilarName "identity.similar_name" Both Similarity "The persons' names are the same or nearly so.";
    SameDevice "device.same_device" Both Accounts "Both sides were seen on one device.";
    SameBrowser "device.same_browser" Both Accounts "Both sides were seen in one browser.";
    SimilarEnvironment "device.similar_environment" Both Similarity "Both sides' devices look alike: system, browser, screen, languages, time zone.";
    SameAddress "network.same_address" Both Accounts "Both sides came from one network address.";
    SamePrefix "network.same_prefix" Both Accounts "Both sides came from neighbouring network addresses.";
    SameInstrument "payment.same_instrument" Both Accounts "Both sides use one payment instrument.";
    PayoutIsBilling "payment.payout_is_billing" Both Accounts "The referrer is paid out to the instrument that the referee pays with.";
    ReferrerPresent "journey.referrer_present" Both Count "The referrer's device or browser appears inside the referee's journey.";
    SimilarPath "journey.similar_path" Both Similarity "Both sides took nearly the same way through the product.";
    SharedPrivateDomain "email.shared_private_domain" Both Accounts "Both sides' e-mail addresses are at one private domain.";
    DisposableEmail "email.disposable" Referee Nothing "The referee's e-mail address is made to be thrown away.";
    AnonymisedNetwork "network.anonymised" Referee Nothing "The referee came through a VPN, Tor, a hosting provider or a relay.";
    NoClick "journey.no_click" Referee Nothing "The referee's journey holds no click on a referral link.";
    ClickToSignup "journey.click_to_signup" Referee Seconds "The referee signed up unusually soon after the click.";
    SignupToConversion "journey.signup_to_conversion" Referee Seconds "The referee converted unusually soon after signing up.";
    ManualAttribution "attribution.manual" Referee Nothing "The referral was attached by hand.";
    InvalidCode "attribution.invalid_code" Referee Nothing "The referral code was not valid.";
    CodeChanged "attribution.code_changed" Referee Nothing "The referral code changed on the way, or the referee came with another referrer before.";
    ExistingUser "attribution.existing_user" Referee Nothing "The referee had an account before the referral.";
    MinimumPurchase "value.minimum_purchase" Referee Nothing "The purchase is just large enough to earn the reward.";
    DuplicateInvoice "value.duplicate_invoice" Referee Nothing "The same purchase or sign-up was reported before.";
    CrowdedDevice "device.crowded" Referee Accounts "Other accounts were seen on the referee's device or in his browser.";
    CrowdedNetwork "network.crowded" Referee Accounts "Other accounts were seen on the referee's network address.";
    CrowdedPayment "payment.crowded" Both Accounts "Other accounts use a payment instrument of the two sides.";
    PatternRepeats "identity.pattern_repeats" Both Count "Other referees of the referrer have e-mail addresses of the same pattern.";
    ReferrerBurst "velocity.referrer_burst" Referrer Count "The referrer brought several new users within ten minutes.";
    ReferrerRate "velocity.referrer_rate" Referrer Count "The referrer brings new users at an unusual rate.";
    ReferrerRejections "history.referrer_rejections" Referrer Count "Earlier referrals of this referrer were rejected.";
    ReferrerRefunds "history.referrer_refunds" Referrer Count "Earlier referrals of this referrer were refunded or disputed.";
    RingLoop "ring.loop" Both Steps "The referrals run in a circle.";
    RingSize "ring.size" Both Accounts "The accounts belong to a group tied by shared devices, mailboxes or payment instruments.";
    RingTouchesRejected "ring.touches_rejected" Both Count "The group that the accounts belong to holds rejected or banned accounts.";
    Blocked "list.blocked" Both Nothing "An account or value is on the block list.";
    Trusted "list.trusted" Both Nothing "An account or value is on the trust list.";
    Comparable "signals.comparable" Both Count "Both sides have signals of one kind under one key, so that they could be compared.";
    Incomparable "signals.incomparable" Both Way "Nothing that identifies anybody could be compared between the two sides.";
    BelowMinimum "value.below_minimum" Referee Nothing "The purchase is smaller than the smallest that earns the reward.";
    SharedPayout "payment.shared_payout" Both Accounts "Several accounts are paid out to one instrument.";
    OnePerson "identity.one_person" Both Count "What both sides share says together that they are one person.";
    KnownPerson "referee.known_person" Referee Count "The referee looks like an older customer.";
    AfterCheckout "attribution.after_checkout" Referee Count "The referral code came only at the checkout.";
    ReferrerAccepted "history.referrer_accepted" Referrer Count "Reviewers accepted earlier referrals of this referrer.";
    NameInMailbox "identity.name_in_mailbox" Both Similarity "One side's name is the other's name before the @, or nearly so.";
}

impl EvidenceCode {
    /// How many codes there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The position in the catalogue, `0..COUNT`.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The kind of value that both sides share when it hits; absent for all other evidence.
    #[must_use]
    pub fn shared_kind(self) -> Option<IdentifierKind> {
        const SHARED: [(EvidenceCode, IdentifierKind); 10] = [
            (EvidenceCode::SameEmail, IdentifierKind::EmailExact),
            (EvidenceCode::SameMailbox, IdentifierKind::Mailbox),
            (EvidenceCode::SameLocalPart, IdentifierKind::LocalPart),
            (EvidenceCode::SharedPrivateDomain, IdentifierKind::Domain),
            (EvidenceCode::SameDevice, IdentifierKind::Device),
            (EvidenceCode::SameBrowser, IdentifierKind::Browser),
            (EvidenceCode::SameAddress, IdentifierKind::Address),
            (EvidenceCode::SamePrefix, IdentifierKind::Prefix),
            (EvidenceCode::SameInstrument, IdentifierKind::Payment),
            (EvidenceCode::PayoutIsBilling, IdentifierKind::Payment),
        ];
        SHARED.into_iter().find(|(code, _)| *code == self).map(|(_, kind)| kind)
    }

    /// The match weight at which a hit has full strength, in bits; absent for evidence whose strength is not a match weight.
    #[must_use]
    pub fn bits_full(self) -> Option<f64> {
        let alike = matches!(self, Self::SimilarMailbox | Self::SimilarName | Self::NameInMailbox | Self::SimilarEnvironment);
        let added_up = matches!(self, Self::OnePerson | Self::KnownPerson);
        if alike || self.shared_kind().is_some() { Some(BITS_FULL) } else { added_up.then_some(BITS_FULL_TOGETHER) }
    }

    /// The match weight of a finding of this code, in bits; absent for evidence whose strength is not a match weight.
    #[must_use]
    pub fn match_weight_bits(self, finding: &Finding) -> Option<f64> {
        self.bits_full().map(|full| finding.strength() * full)
    }

    /// Whether a hit speaks for the referral.
    #[must_use]
    pub const fn eases(self) -> bool {
        matches!(self, Self::Trusted | Self::ReferrerAccepted)
    }

    /// Whether a hit says anything of the referral. That the sides could be compared speaks neither for nor against it.
    #[must_use]
    pub const fn speaks(self) -> bool {
        !matches!(self, Self::Comparable)
    }

    /// The code with this dotted name; `None` when there is none.
    #[must_use]
    pub fn from_dotted(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.dotted() == text)
    }
}

impl fmt::Display for EvidenceCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dotted())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_dotted_code_is_unique_and_leads_back() {
        let dotted: BTreeSet<_> = EvidenceCode::ALL.iter().map(|code| code.dotted()).collect();
        assert_eq!(dotted.len(), EvidenceCode::COUNT);
        for code in EvidenceCode::ALL {
            assert_eq!(EvidenceCode::from_dotted(code.dotted()), Some(code));
            assert_eq!(EvidenceCode::ALL[code.index()], code);
        }
    }
}
