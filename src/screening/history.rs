//! What was known before a conversion: the snapshot that a ledger reads and that `assess` sees.
//!
//! Pure data. A ledger fills it in one consistent read; nothing in it may stem from the conversion itself.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::match_weight::Weights;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::digest::{Digest, DigestSet};
use crate::vocabulary::ids::ConversionId;
use crate::vocabulary::time::{Span, Timestamp};

/// Counts of accounts saturate here: more than this many on a value all mean "a crowd".
pub const CROWD_MAX: u32 = 1024;
/// Times of earlier referrals of one referrer that a ledger keeps; rates saturate here.
pub const RECENT_REFERRALS_MAX: usize = 256;
/// The longest loop of referrals that is looked for, in steps.
pub const LOOP_STEPS_MAX: u8 = 8;
/// A value on more accounts than this ties nobody into a ring: it is a kiosk, not an identity. Judgement.
pub const RING_VALUE_ACCOUNTS_MAX: u32 = 16;
/// A purchase without an invoice id repeats an earlier one when it comes within this time.
pub const DUPLICATE_WINDOW: Span = Span::from_minutes(1);

/// What an indexed value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum IdentifierKind {
    /// An exact e-mail address.
    EmailExact = 1,
    /// A mailbox with aliases folded.
    Mailbox = 2,
    /// A mailbox's local part.
    LocalPart = 3,
    /// An e-mail domain.
    Domain = 4,
    /// A person's folded name.
    Name = 5,
    /// A device fingerprint.
    Device = 6,
    /// A browser's cookie.
    Browser = 7,
    /// A network address.
    Address = 8,
    /// A /24 or /48.
    Prefix = 9,
    /// A payment instrument.
    Payment = 10,
}

impl IdentifierKind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::EmailExact,
        Self::Mailbox,
        Self::LocalPart,
        Self::Domain,
        Self::Name,
        Self::Device,
        Self::Browser,
        Self::Address,
        Self::Prefix,
        Self::Payment,
    ];

    /// Whether two accounts that share such a value are held to belong together (rings).
    #[must_use]
    pub const fn is_strong(self) -> bool {
        match self {
            Self::Mailbox | Self::Device | Self::Browser | Self::Payment => true,
            Self::EmailExact | Self::LocalPart | Self::Domain | Self::Name | Self::Address | Self::Prefix => false,
        }
    }
}

/// A value that accounts can share, as it is indexed: its kind and its digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Identifier {
    /// What it is.
    pub kind: IdentifierKind,
    /// The value.
    pub digest: Digest,
}

/// How many accounts were on a value before this conversion, beside the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Crowd {
    /// Accounts ever seen on it. Saturates at [`CROWD_MAX`].
    pub accounts_ever: u32,
    /// Persons behind them: accounts that are tied to each other by strong identifiers are one, and who is tied to a side is none. Where there are very
    /// many accounts, as many as a part of them tells.
    pub persons_ever: u32,
    /// Accounts seen on it in the 30 days before the conversion. Saturates at [`CROWD_MAX`].
    pub accounts_30d: u32,
    /// Accounts seen on it in the 24 hours before the conversion. Saturates at [`CROWD_MAX`].
    pub accounts_24h: u32,
    /// Of the accounts seen on a fingerprint in 30 days, those that share another value with the side too: a cookie, an address, an instrument or a
    /// mailbox that is on few accounts. Zero for other kinds.
    pub accounts_near_30d: u32,
    /// When the referrer was last seen on it by an earlier message; absent when never, or when only one side has it.
    pub referrer_seen_at: Option<Timestamp>,
    /// The same for the referee.
    pub referee_seen_at: Option<Timestamp>,
}

/// What was known of one account.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AccountHistory {
    /// Its merged signals; absent when the account was never seen.
    pub profile: Option<SignalBundle>,
    /// When it was first seen here; absent when never.
    pub first_seen_at: Option<Timestamp>,
    /// When it referred new users: the last [`RECENT_REFERRALS_MAX`] referrals, in any order.
    pub recent_referrals: Vec<Timestamp>,
    /// How many users it ever referred.
    pub referrals_total: u32,
    /// Its referrals that stand rejected, by policy or by a reviewer.
    pub referrals_rejected: u32,
    /// Its referrals that stand approved by a reviewer.
    pub referrals_accepted_by_review: u32,
    /// Its referrals that were refunded or disputed.
    pub referrals_refunded: u32,
    /// Its referrals whose code was entered only at the checkout.
    pub referrals_after_checkout: u32,
    /// Whether the product banned the account.
    pub banned: Banned,
}

/// Whether the product banned an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Banned {
    /// It did not.
    #[default]
    No,
    /// It did.
    Yes,
}

/// The group of accounts around the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RingHistory {
    /// Steps of the loop that this referral closes (A→B→A is 2); absent when it closes none within [`LOOP_STEPS_MAX`].
    pub loop_steps: Option<u8>,
    /// Accounts tied to either side by shared strong identifiers, the sides included. 0 when none is known.
    pub accounts: u32,
    /// Of these, accounts that stand rejected or banned, the referrer not counted.
    pub accounts_rejected: u32,
}

/// How many accounts were seen on fingerprints, and how many of them on one that is crowded. It tells whether a programme's fingerprints are of
/// devices, or of models of phones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FingerprintSharing {
    /// Accounts, each counted once for every fingerprint that it was seen on.
    pub accounts: u32,
    /// Of these, accounts on a fingerprint of more than [`CROWDED_FROM`] accounts.
    pub crowded: u32,
}

/// A fingerprint on more accounts than this is crowded: more than a household has.
pub const CROWDED_FROM: u32 = 4;
/// Up to this share of accounts on crowded fingerprints, crowds are farms and kiosks; beyond it they begin to be models of phones. Judgement.
const CROWDED_ACCOUNTS_SHARE: f64 = 0.05;

impl FingerprintSharing {
    /// The share of accounts on other fingerprints that are on a crowded one, where this one is on so many accounts. Range: [0, 1]; 0 when there are no others.
    #[must_use]
    pub fn beside(self, own: u32) -> f64 {
        let own_crowded = if own > CROWDED_FROM { own } else { 0 };
        let (accounts, crowded) = (self.accounts.saturating_sub(own), self.crowded.saturating_sub(own_crowded));
        if accounts == 0 { 0.0 } else { (f64::from(crowded) / f64::from(accounts)).min(1.0) }
    }

    /// What a crowd on a fingerprint of so many accounts says: all of it where crowds are unusual, and less the more usual they are. Range: (0, 1].
    #[must_use]
    pub fn unusual(self, own: u32) -> f64 {
        CROWDED_ACCOUNTS_SHARE / self.beside(own).max(CROWDED_ACCOUNTS_SHARE)
    }

    /// Whether a fingerprint of so many accounts is taken for a model of phones: by itself it ties nobody.
    #[must_use]
    pub fn is_of_models(self, own: u32) -> bool {
        self.beside(own) > CROWDED_ACCOUNTS_SHARE
    }
}

/// On which list something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum ListKind {
    /// Blocked by the owner.
    Blocked,
    /// Trusted by the owner.
    Trusted,
}

/// An entry of a list that one of the sides matches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListHit {
    /// Which list.
    pub list: ListKind,
    /// Whose value or account it is.
    pub side: Side,
    /// What matched; absent when the account itself stands on the list.
    pub identifier: Option<IdentifierKind>,
}

/// Everything known before a conversion that its evidence may use.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// Persons known in the programme, taken as the accounts that stood in a referral. Those of whom nothing but signals came are left out: an export does not
    /// hold them all, and replay has to count the same.
    pub persons_known: u32,
    /// An older account of somebody that looks like the referee's own; absent when there is none. The two sides are left out.
    pub known_person: Option<Weights>,
    /// The referrer.
    pub referrer: AccountHistory,
    /// The referee.
    pub referee: AccountHistory,
    /// How crowded the sides' values are. A value that nobody else used may be left out.
    pub crowds: BTreeMap<Identifier, Crowd>,
    /// How usual crowded fingerprints are in the programme.
    pub fingerprint_sharing: FingerprintSharing,
    /// The sides' values that are on more accounts than such a kind can have (see `placeholders`). They are no values, and have no crowd.
    pub placeholders: BTreeSet<Identifier>,
    /// The group around the sides.
    pub ring: RingHistory,
    /// Other referees of this referrer whose mailbox has a pattern of the referee's.
    pub pattern_siblings: u32,
    /// Accounts, other than the two sides, that are paid out to an instrument that a side is paid out to; of several instruments, the largest.
    /// Saturates at [`CROWD_MAX`].
    pub payout_sharers: u32,
    /// Whether the referee's referral was tied to another referrer before.
    pub tied_to_other_referrer: TiedElsewhere,
    /// Entries of the lists that the sides match.
    pub list_hits: Vec<ListHit>,
    /// The earlier conversion that this one repeats; absent when it is new.
    pub duplicate_of: Option<ConversionId>,
    /// An earlier conversion that this one may be: on the same occasion, within a minute, and nothing says that it was another. A person decides.
    pub looks_like: Option<ConversionId>,
}

/// Whether a referee already has a referral with another referrer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TiedElsewhere {
    /// It has none, or with this one.
    #[default]
    No,
    /// It came with another referrer before.
    Yes,
}

impl History {
    /// The two sides as they are known now: `(referrer, referee)`, each the message's bundle merged into the profile.
    #[must_use]
    pub fn sides<'a>(&self, conversion: &'a Conversion) -> (Cow<'a, SignalBundle>, Cow<'a, SignalBundle>) {
        (known_now(&conversion.referrer, &self.referrer), known_now(&conversion.referee, &self.referee))
    }

    /// How crowded a value is beside the two sides: the larger crowd of its digests. Zero when nobody else used it.
    #[must_use]
    pub fn crowd(&self, kind: IdentifierKind, value: &DigestSet) -> Crowd {
        let crowd_of = |digest: &Digest| self.crowds.get(&Identifier { kind, digest: digest.clone() }).copied();
        value.iter().filter_map(crowd_of).max_by_key(|crowd| crowd.accounts_ever).unwrap_or_default()
    }

    /// When a side was last seen on a value that both have, by an earlier message; absent when never.
    #[must_use]
    pub fn seen_at(&self, side: Side, kind: IdentifierKind, value: &DigestSet) -> Option<Timestamp> {
        let crowds = value.iter().filter_map(|digest| self.crowds.get(&Identifier { kind, digest: digest.clone() }));
        let seen = crowds.map(|crowd| match side {
            Side::Referrer => crowd.referrer_seen_at,
            Side::Referee => crowd.referee_seen_at,
        });
        seen.max().flatten()
    }
}

/// A side of which nothing was known before is borrowed from the message.
fn known_now<'a>(sent: &'a SignalBundle, account: &AccountHistory) -> Cow<'a, SignalBundle> {
    account.profile.as_ref().map_or(Cow::Borrowed(sent), |profile| Cow::Owned(sent.merged_with(profile)))
}

/// Visits every value of a side that is indexed, with the time at which it was seen where that is known. Repeats are not removed.
pub fn visit_values<'a>(bundle: &'a SignalBundle, mut visit: impl FnMut(IdentifierKind, &'a DigestSet, Option<Timestamp>)) {
    let mut of = |kind: IdentifierKind, value: Option<&'a DigestSet>, seen_at: Option<Timestamp>| {
        if let Some(value) = value {
            visit(kind, value, seen_at);
        }
    };
    for email in &bundle.emails {
        of(IdentifierKind::EmailExact, email.exact.as_ref(), None);
        of(IdentifierKind::Mailbox, email.mailbox.as_ref(), None);
        of(IdentifierKind::LocalPart, email.local_part.as_ref(), None);
        of(IdentifierKind::Domain, email.domain.as_ref(), None);
    }
    for name in &bundle.names {
        of(IdentifierKind::Name, name.exact.as_ref(), None);
    }
    for device in &bundle.devices {
        of(IdentifierKind::Device, device.fingerprint.as_ref(), device.seen_at);
        of(IdentifierKind::Browser, device.browser.as_ref(), device.seen_at);
    }
    for network in &bundle.networks {
        of(IdentifierKind::Address, network.address.as_ref(), network.seen_at);
        of(IdentifierKind::Prefix, network.prefix.as_ref(), network.seen_at);
    }
    for payment in &bundle.payments {
        of(IdentifierKind::Payment, Some(&payment.instrument), payment.seen_at);
    }
    for touchpoint in bundle.journey.touchpoints() {
        of(IdentifierKind::Device, touchpoint.device.as_ref(), Some(touchpoint.occurred_at));
        of(IdentifierKind::Browser, touchpoint.browser.as_ref(), Some(touchpoint.occurred_at));
    }
}

/// The values of a side that are indexed, in a stable order, without repeats.
#[must_use]
pub fn identifiers(bundle: &SignalBundle) -> Vec<Identifier> {
    let mut found = Vec::with_capacity(24);
    visit_values(bundle, |kind, value, _| found.extend(value.iter().map(|digest| Identifier { kind, digest: digest.clone() })));
    found.sort_unstable();
    found.dedup();
    found
}
