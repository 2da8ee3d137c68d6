//! A conversion in plain text, as a reward service would know it before it digests anything. Synthetic people only.
//!
//! Never leaves the process in this form: the mapping to the wire digests every personal value.

use std::net::IpAddr;

use crate::vocabulary::bundle::{NetworkFlag, PaymentKind, PaymentPurpose};
use crate::vocabulary::conversion::{ConversionKind, RefereeStanding, Side};
use crate::vocabulary::journey::{CapturedVia, CodeValidity, TouchpointKind};
use crate::vocabulary::label::{LabelSource, Truth};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

use super::persona::PersonaName;

/// The currency of every synthetic amount.
pub const CURRENCY: &str = "EUR";

/// A device or browser as the product's pages see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawDevice {
    /// The device fingerprint; absent when it was blocked or not taken.
    pub fingerprint: Option<String>,
    /// The browser's cookie; absent when there was none.
    pub browser: Option<String>,
    /// The user agent.
    pub user_agent: String,
    /// The platform, like `macOS`.
    pub platform: String,
    /// The IANA time zone.
    pub time_zone: String,
    /// Language tags in order of preference.
    pub languages: Vec<String>,
    /// Width and height of the screen in pixels.
    pub screen_px: Option<(u32, u32)>,
    /// When it was seen.
    pub seen_at: Timestamp,
}

/// A network address with what an IP database says of it. Addresses are from reserved ranges only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawNetwork {
    /// The address.
    pub address: IpAddr,
    /// The autonomous system; absent when not known.
    pub asn: Option<u32>,
    /// ISO 3166-1 alpha-2; absent when not known.
    pub country: Option<&'static str>,
    /// VPN, Tor, hosting, relay.
    pub flags: Vec<NetworkFlag>,
    /// When it was seen.
    pub seen_at: Timestamp,
}

/// A payment instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPayment {
    /// What the payment provider calls the instrument.
    pub instrument: String,
    /// Its kind.
    pub kind: PaymentKind,
    /// Pays the product, or is paid rewards.
    pub purpose: PaymentPurpose,
    /// ISO 3166-1 alpha-2 of the issuer; absent when not known.
    pub country: Option<&'static str>,
    /// When it was seen.
    pub seen_at: Timestamp,
}

/// One step of a journey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTouchpoint {
    /// What was done.
    pub kind: TouchpointKind,
    /// When.
    pub occurred_at: Timestamp,
    /// The fingerprint of the device; absent when not known.
    pub device: Option<String>,
    /// The browser's cookie; absent when not known.
    pub browser: Option<String>,
    /// Which page.
    pub path_token: &'static str,
}

/// What is known of one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawSide {
    /// The product's id of the account.
    pub account_id: String,
    /// When the account was opened; absent when not known.
    pub account_created_at: Option<Timestamp>,
    /// E-mail addresses, newest first.
    pub emails: Vec<String>,
    /// Names of the holder.
    pub names: Vec<String>,
    /// Devices, newest first.
    pub devices: Vec<RawDevice>,
    /// Networks, newest first.
    pub networks: Vec<RawNetwork>,
    /// Payment instruments.
    pub payments: Vec<RawPayment>,
    /// The way, in time order.
    pub journey: Vec<RawTouchpoint>,
}

impl RawConversion {
    /// Holds what is told of both sides to what was seen by the time of the conversion. Episodes are played one after the other, and an account of one may
    /// have been seen later in another; a service refuses signals of the future.
    pub(super) fn know_by_then(&mut self) {
        let at = self.occurred_at;
        for side in [&mut self.referrer, &mut self.referee] {
            let RawSide { devices, networks, payments, journey, account_id: _, account_created_at, emails: _, names: _ } = side;
            let seen = devices.iter_mut().map(|device| &mut device.seen_at);
            let seen = seen.chain(networks.iter_mut().map(|network| &mut network.seen_at));
            for seen_at in seen.chain(payments.iter_mut().map(|payment| &mut payment.seen_at)) {
                *seen_at = at.min(*seen_at);
            }
            journey.retain(|touchpoint| touchpoint.occurred_at <= at);
            *account_created_at = account_created_at.map(|opened| opened.min(at));
        }
    }
}

impl RawSide {
    /// A side of which nothing but the account is known.
    #[must_use]
    pub const fn of_account(account_id: String) -> Self {
        Self {
            account_id,
            account_created_at: None,
            emails: Vec::new(),
            names: Vec::new(),
            devices: Vec::new(),
            networks: Vec::new(),
            payments: Vec::new(),
            journey: Vec::new(),
        }
    }
}

/// How the referral code was captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawAttribution {
    /// Link, cookie, form, deep link, API, or by hand.
    pub captured_via: CapturedVia,
    /// The code; absent when the tie was made without one.
    pub ucc: Option<String>,
    /// Whether the code exists.
    pub code_validity: CodeValidity,
    /// The code before it changed; absent when it did not.
    pub previous_ucc: Option<String>,
    /// When it was captured; absent when not known.
    pub captured_at: Option<Timestamp>,
    /// Who attached it by hand; absent otherwise.
    pub attached_by: Option<String>,
}

/// A payment that the conversion earns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawReward {
    /// The id of the payment.
    pub reward_id: String,
    /// Who is paid.
    pub beneficiary: Side,
    /// How much, in minor units of [`CURRENCY`].
    pub amount_minor: i64,
}

/// What happens to the conversion later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawOutcome {
    /// Refund, chargeback, cancellation or ban.
    pub kind: OutcomeKind,
    /// When.
    pub occurred_at: Timestamp,
}

/// A conversion with the truth about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawConversion {
    /// The id; empty until the caller of a persona numbers its conversions in time order.
    pub conversion_id: String,
    /// The campaign.
    pub campaign_id: Option<&'static str>,
    /// What happened.
    pub kind: ConversionKind,
    /// When.
    pub occurred_at: Timestamp,
    /// What the referee paid, in minor units of [`CURRENCY`]; absent when nothing was paid.
    pub value_minor: Option<i64>,
    /// The smallest purchase that earns a reward, in minor units; absent when there is no limit.
    pub minimum_purchase_minor: Option<i64>,
    /// The invoice; absent when there is none.
    pub invoice_id: Option<String>,
    /// New or existing user.
    pub referee_standing: RefereeStanding,
    /// How the two were tied.
    pub attribution: RawAttribution,
    /// What the message says of the referrer.
    pub referrer: RawSide,
    /// What the message says of the referee.
    pub referee: RawSide,
    /// What the conversion earns; reward ids are given with the conversion's.
    pub rewards: Vec<RawReward>,
    /// What happens later; absent when nothing does.
    pub outcome: Option<RawOutcome>,
    /// Who plays: the truth in detail.
    pub persona: PersonaName,
    /// The truth.
    pub truth: Truth,
    /// Conversions of one episode (a ring, a farm, a household) share it: they are not independent samples.
    pub group: String,
}

impl RawConversion {
    /// Gives the conversion its number in time order, and its rewards theirs.
    pub fn number(&mut self, position: u64) {
        self.conversion_id = format!("cv-{position:06}");
        for (at, reward) in self.rewards.iter_mut().enumerate() {
            reward.reward_id = format!("rw-{position:06}-{}", at + 1);
        }
    }
}

/// What a model may learn of a conversion, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawLabel {
    /// The truth as the labeller sees it: may be wrong where label noise was asked for.
    pub truth: Truth,
    /// Who says so.
    pub source: LabelSource,
    /// When it became known.
    pub labeled_at: Timestamp,
}
