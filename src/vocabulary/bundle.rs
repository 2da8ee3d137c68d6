//! The signal bundle: what is known of one side of a referral, as pseudonyms.
//!
//! A bundle may be partial; a missing signal is absent, never a zero. The merge of bundles is an account's profile.

use super::digest::{DigestSet, KeyId};
use super::email::EmailDomainClass;
use super::ids::AccountId;
use super::journey::Journey;
use super::sketch::Sketch;
use super::time::Timestamp;

/// E-mail addresses, and names, of one side.
pub const IDENTITIES_MAX: usize = 16;
/// Devices, and networks, of one side.
pub const ENVIRONMENTS_MAX: usize = 32;
/// Payment instruments of one side.
pub const PAYMENTS_MAX: usize = 16;
/// The longest user agent, in bytes.
pub const USER_AGENT_BYTES_MAX: usize = 512;
/// The longest platform, time zone or language tag, in bytes.
pub const ATTRIBUTE_BYTES_MAX: usize = 128;
/// Language tags of one device.
pub const LANGUAGES_MAX: usize = 16;
/// The largest width or height of a screen, in pixels.
pub const SCREEN_PX_MAX: u32 = 32_768;
/// Accounts whose signals one message may bring outside a conversion.
pub const BUNDLES_PER_RECORD_MAX: usize = 100;

/// One e-mail address, digested by the caller at each level of folding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct EmailSignals {
    /// Trimmed, lower-cased, domain in ASCII.
    pub exact: Option<DigestSet>,
    /// With the provider's aliases folded.
    pub mailbox: Option<DigestSet>,
    /// The mailbox with its digits taken out.
    pub pattern: Option<DigestSet>,
    /// The mailbox's local part alone: the same name at another provider.
    pub local_part: Option<DigestSet>,
    /// The domain.
    pub domain: Option<DigestSet>,
    /// The kind of provider; absent when the caller does not know.
    pub domain_class: Option<EmailDomainClass>,
    /// Sketches of the local part, one for each key in force.
    pub local_part_sketches: Vec<Sketch>,
    /// Sketches of the person whom the local part names, one for each key in force; they compare with [`NameSignals::person_sketches`].
    pub person_sketches: Vec<Sketch>,
}

/// A person's name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct NameSignals {
    /// The folded name.
    pub exact: Option<DigestSet>,
    /// Sketches of the folded name, one for each key in force.
    pub sketches: Vec<Sketch>,
    /// Sketches of the name in the form that local parts have too, one for each key in force; they compare with
    /// [`EmailSignals::person_sketches`].
    pub person_sketches: Vec<Sketch>,
}

/// A device or browser, with the plain attributes that many people share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeviceSignals {
    /// The device fingerprint.
    pub fingerprint: Option<DigestSet>,
    /// The browser's cookie or installation id.
    pub browser: Option<DigestSet>,
    /// The user agent; empty when not known.
    pub user_agent: Box<str>,
    /// The platform, like `macOS`; empty when not known.
    pub platform: Box<str>,
    /// The IANA time zone, like `Europe/Berlin`; empty when not known.
    pub time_zone: Box<str>,
    /// Language tags in order of preference; empty when not known.
    pub languages: Vec<Box<str>>,
    /// Width and height of the screen in pixels; absent when not known.
    pub screen_px: Option<(u32, u32)>,
    /// When it was seen; absent when not known.
    pub seen_at: Option<Timestamp>,
}

/// What the caller knows of a network address beyond the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum NetworkFlag {
    /// A commercial VPN.
    Vpn,
    /// A Tor exit.
    Tor,
    /// A hosting provider.
    Hosting,
    /// A privacy relay of an operating system or browser.
    Relay,
}

/// A network that the user came from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NetworkSignals {
    /// The address.
    pub address: Option<DigestSet>,
    /// Its /24, /64, /56 or /48; the wider ones of an IPv6 address stand in entries of their own.
    pub prefix: Option<DigestSet>,
    /// The autonomous system; absent when not known.
    pub asn: Option<u32>,
    /// ISO 3166-1 alpha-2; absent when not known.
    pub country: Option<[u8; 2]>,
    /// What the caller knows of it, in order, without repeats. Empty means that nothing is known.
    pub flags: Vec<NetworkFlag>,
    /// When it was seen; absent when not known.
    pub seen_at: Option<Timestamp>,
}

/// What kind of instrument it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum PaymentKind {
    /// A payment card.
    Card,
    /// A SEPA mandate.
    Sepa,
    /// A PayPal account.
    Paypal,
    /// Another bank account.
    BankAccount,
    /// A wallet.
    Wallet,
    /// Anything else.
    Other,
}

/// What the account uses the instrument for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum PaymentPurpose {
    /// Pays the product with it.
    Billing,
    /// Is paid rewards to it.
    Payout,
}

/// A payment instrument.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct PaymentSignals {
    /// The instrument's fingerprint.
    pub instrument: DigestSet,
    /// Its kind.
    pub kind: PaymentKind,
    /// What it is used for.
    pub purpose: PaymentPurpose,
    /// ISO 3166-1 alpha-2 of the issuer; absent when not known.
    pub country: Option<[u8; 2]>,
    /// When it was seen; absent when not known.
    pub seen_at: Option<Timestamp>,
}

/// What is known of one side.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SignalBundle {
    /// Whose signals they are.
    pub account_id: AccountId,
    /// When the account was opened; absent when not known.
    pub account_created_at: Option<Timestamp>,
    /// Its e-mail addresses, newest first. At most [`IDENTITIES_MAX`].
    pub emails: Vec<EmailSignals>,
    /// Its holder's names. At most [`IDENTITIES_MAX`].
    pub names: Vec<NameSignals>,
    /// Its devices. At most [`ENVIRONMENTS_MAX`].
    pub devices: Vec<DeviceSignals>,
    /// Its networks. At most [`ENVIRONMENTS_MAX`].
    pub networks: Vec<NetworkSignals>,
    /// Its payment instruments. At most [`PAYMENTS_MAX`].
    pub payments: Vec<PaymentSignals>,
    /// Its way.
    pub journey: Journey,
}

impl SignalBundle {
    /// A side of which nothing but the account is known.
    #[must_use]
    pub fn of_account(account_id: AccountId) -> Self {
        Self {
            account_id,
            account_created_at: None,
            emails: Vec::new(),
            names: Vec::new(),
            devices: Vec::new(),
            networks: Vec::new(),
            payments: Vec::new(),
            journey: Journey::default(),
        }
    }

    /// Visits the key of every digest and sketch. Repeats are not removed.
    pub fn visit_keys<'a>(&'a self, visit: &mut impl FnMut(&'a KeyId)) {
        let Self { account_id: _, account_created_at: _, emails, names, devices, networks, payments, journey } = self;
        let mut sets: Vec<&'a DigestSet> = Vec::with_capacity(16);
        for email in emails {
            sets.extend([&email.exact, &email.mailbox, &email.pattern, &email.local_part, &email.domain].into_iter().flatten());
            email.local_part_sketches.iter().chain(&email.person_sketches).for_each(|sketch| visit(&sketch.key_id));
        }
        for name in names {
            sets.extend(&name.exact);
            name.sketches.iter().chain(&name.person_sketches).for_each(|sketch| visit(&sketch.key_id));
        }
        for device in devices {
            sets.extend([&device.fingerprint, &device.browser].into_iter().flatten());
        }
        for network in networks {
            sets.extend([&network.address, &network.prefix].into_iter().flatten());
        }
        sets.extend(payments.iter().map(|payment| &payment.instrument));
        for touchpoint in journey.touchpoints() {
            sets.extend([&touchpoint.device, &touchpoint.browser].into_iter().flatten());
        }
        sets.into_iter().flat_map(DigestSet::iter).for_each(|digest| visit(&digest.key_id));
    }

    /// Whether it says more of the same account than an earlier profile did, times apart.
    #[must_use]
    pub fn adds_to(&self, earlier: &Self) -> bool {
        let Self { account_id: _, account_created_at, emails: _, names: _, devices, networks, payments, journey } = self;
        *account_created_at != earlier.account_created_at
            || self.adds_emails_to(earlier)
            || self.adds_names_to(earlier)
            || adds(devices, &earlier.devices, DeviceSignals::is_same_sighting)
            || adds(networks, &earlier.networks, NetworkSignals::is_same_sighting)
            || adds(payments, &earlier.payments, PaymentSignals::is_same_sighting)
            || *journey != earlier.journey
    }

    /// Whether it holds an e-mail address that an earlier profile did not.
    #[must_use]
    pub fn adds_emails_to(&self, earlier: &Self) -> bool {
        adds(&self.emails, &earlier.emails, PartialEq::eq)
    }

    /// Whether it holds a name that an earlier profile did not.
    #[must_use]
    pub fn adds_names_to(&self, earlier: &Self) -> bool {
        adds(&self.names, &earlier.names, PartialEq::eq)
    }

    /// Whether it uses an instrument that an earlier profile held for something that it did not hold it for.
    #[must_use]
    pub fn adds_uses_to(&self, earlier: &Self) -> bool {
        let known = |payment: &PaymentSignals| earlier.payments.iter().any(|known| known.is_same_sighting(payment));
        let held = |payment: &PaymentSignals| {
            earlier.payments.iter().any(|known| known.instrument.shares_value_with(&payment.instrument))
        };
        self.payments.iter().any(|payment| held(payment) && !known(payment))
    }

    /// What is known once this message is added to an earlier profile: the newest first, repeats removed, cut to the limits.
    ///
    /// The account stays that of `self`. The earliest known opening time wins.
    #[must_use]
    pub fn merged_with(&self, earlier: &Self) -> Self {
        Self {
            account_id: self.account_id.clone(),
            account_created_at: match (self.account_created_at, earlier.account_created_at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (known, None) | (None, known) => known,
            },
            emails: merged(&self.emails, &earlier.emails, IDENTITIES_MAX, PartialEq::eq),
            names: merged(&self.names, &earlier.names, IDENTITIES_MAX, PartialEq::eq),
            devices: merged(&self.devices, &earlier.devices, ENVIRONMENTS_MAX, DeviceSignals::is_same_sighting),
            networks: merged(&self.networks, &earlier.networks, ENVIRONMENTS_MAX, NetworkSignals::is_same_sighting),
            payments: merged(&self.payments, &earlier.payments, PAYMENTS_MAX, PaymentSignals::is_same_sighting),
            journey: self.journey.merged_with(&earlier.journey),
        }
    }
}

impl DeviceSignals {
    /// Whether nothing but the time is known of it.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        let Self { fingerprint, browser, user_agent, platform, time_zone, languages, screen_px, seen_at: _ } = self;
        fingerprint.is_none()
            && browser.is_none()
            && user_agent.is_empty()
            && platform.is_empty()
            && time_zone.is_empty()
            && languages.is_empty()
            && screen_px.is_none()
    }

    /// Equal in all but the time. Every field is named, so that a new one cannot be forgotten.
    fn is_same_sighting(&self, other: &Self) -> bool {
        let Self { fingerprint, browser, user_agent, platform, time_zone, languages, screen_px, seen_at: _ } = self;
        *fingerprint == other.fingerprint
            && *browser == other.browser
            && *user_agent == other.user_agent
            && *platform == other.platform
            && *time_zone == other.time_zone
            && *languages == other.languages
            && *screen_px == other.screen_px
    }
}

impl NetworkSignals {
    /// Whether nothing but the time is known of it.
    #[must_use]
    pub fn says_nothing(&self) -> bool {
        let Self { address, prefix, asn, country, flags, seen_at: _ } = self;
        address.is_none() && prefix.is_none() && asn.is_none() && country.is_none() && flags.is_empty()
    }

    /// Equal in all but the time.
    fn is_same_sighting(&self, other: &Self) -> bool {
        let Self { address, prefix, asn, country, flags, seen_at: _ } = self;
        *address == other.address
            && *prefix == other.prefix
            && *asn == other.asn
            && *country == other.country
            && *flags == other.flags
    }
}

impl PaymentSignals {
    fn is_same_sighting(&self, other: &Self) -> bool {
        self.instrument == other.instrument && self.kind == other.kind && self.purpose == other.purpose
    }
}

/// Whether something is new.
fn adds<T>(new: &[T], earlier: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    new.iter().any(|item| !earlier.iter().any(|known| same(known, item)))
}

fn merged<T: Clone>(new: &[T], earlier: &[T], limit: usize, same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut all: Vec<T> = Vec::with_capacity((new.len() + earlier.len()).min(limit));
    for item in new.iter().chain(earlier) {
        if all.len() < limit && !all.iter().any(|known| same(known, item)) {
            all.push(item.clone());
        }
    }
    all
}
