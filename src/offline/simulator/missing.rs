//! What a reward service does not know: leaves signals out of a conversion at random.
//!
//! Missing is not different: a signal that is left out says nothing.

use serde::{Deserialize, Serialize};

use super::chance::Chance;
use super::raw::{RawConversion, RawSide};

/// How likely each signal is missing, on either side, independently. Unit: probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// All of the referrer but the account: the service has to know him from earlier messages.
    pub referrer_bundle: f64,
    /// When the account was opened.
    pub account_created: f64,
    /// The e-mail address.
    pub email: f64,
    /// The name.
    pub name: f64,
    /// The device fingerprint.
    pub fingerprint: f64,
    /// The browser's cookie.
    pub browser: f64,
    /// User agent, platform, time zone, languages and screen.
    pub environment: f64,
    /// The network.
    pub network: f64,
    /// What an IP database says of the network.
    pub network_flags: f64,
    /// Payment instruments.
    pub payments: f64,
    /// Whether the code was valid.
    pub code_validity: f64,
    /// The whole journey; beside what `journey_missing` says.
    pub journey: f64,
}

impl Missing {
    /// Nothing is missing.
    pub const NOTHING: Self = Self {
        referrer_bundle: 0.0,
        account_created: 0.0,
        email: 0.0,
        name: 0.0,
        fingerprint: 0.0,
        browser: 0.0,
        environment: 0.0,
        network: 0.0,
        network_flags: 0.0,
        payments: 0.0,
        code_validity: 0.0,
        journey: 0.0,
    };

    /// The same, kind by kind.
    #[must_use]
    pub fn map(self, mut each: impl FnMut(f64) -> f64) -> Self {
        let Self {
            referrer_bundle,
            account_created,
            email,
            name,
            fingerprint,
            browser,
            environment,
            network,
            network_flags,
            payments,
            code_validity,
            journey,
        } = self;
        Self {
            referrer_bundle: each(referrer_bundle),
            account_created: each(account_created),
            email: each(email),
            name: each(name),
            fingerprint: each(fingerprint),
            browser: each(browser),
            environment: each(environment),
            network: each(network),
            network_flags: each(network_flags),
            payments: each(payments),
            code_validity: each(code_validity),
            journey: each(journey),
        }
    }

    /// Leaves signals out of a conversion.
    pub fn leave_out(&self, chance: &mut Chance, conversion: &mut RawConversion) {
        use crate::vocabulary::journey::CodeValidity;

        self.leave_out_of_side(chance, &mut conversion.referrer);
        self.leave_out_of_side(chance, &mut conversion.referee);
        if chance.happens(self.referrer_bundle) {
            let account_id = std::mem::take(&mut conversion.referrer.account_id);
            conversion.referrer = RawSide::of_account(account_id);
        }
        if chance.happens(self.code_validity) {
            conversion.attribution.code_validity = CodeValidity::Unchecked;
        }
        if chance.happens(self.journey) {
            conversion.referrer.journey.clear();
            conversion.referee.journey.clear();
        }
    }

    /// Leaves signals out of what is known of one side.
    pub fn leave_out_of_side(&self, chance: &mut Chance, side: &mut RawSide) {
        if chance.happens(self.account_created) {
            side.account_created_at = None;
        }
        if chance.happens(self.email) {
            side.emails.clear();
        }
        if chance.happens(self.name) {
            side.names.clear();
        }
        let (no_fingerprint, no_browser) = (chance.happens(self.fingerprint), chance.happens(self.browser));
        let no_environment = chance.happens(self.environment);
        for device in &mut side.devices {
            if no_fingerprint {
                device.fingerprint = None;
            }
            if no_browser {
                device.browser = None;
            }
            if no_environment {
                device.user_agent.clear();
                device.platform.clear();
                device.time_zone.clear();
                device.languages.clear();
                device.screen_px = None;
            }
        }
        side.devices.retain(|device| device.fingerprint.is_some() || device.browser.is_some() || !device.user_agent.is_empty());
        for step in &mut side.journey {
            if no_fingerprint {
                step.device = None;
            }
            if no_browser {
                step.browser = None;
            }
        }
        if chance.happens(self.network) {
            side.networks.clear();
        }
        if chance.happens(self.network_flags) {
            side.networks.iter_mut().for_each(|network| network.flags.clear());
        }
        if chance.happens(self.payments) {
            side.payments.clear();
        }
    }
}
