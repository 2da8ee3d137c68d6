//! What can be set of each persona: how common it is, what its two sides share, how it hides, how fast it is.
//!
//! Only values and their limits; the behaviour is in the sibling modules. Defaults are judgement unless a line says otherwise:
//! no programme publishes such rates, so a result on simulated data is never a result on a real programme.

use serde::{Deserialize, Serialize};

use super::Persona;

/// Why a set of parameters is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{key}` is {value}; it must be {expected}")]
pub struct InvalidParameter {
    /// Where it is, dotted.
    pub key: String,
    /// What it is.
    pub value: f64,
    /// What it may be.
    pub expected: &'static str,
}

/// How likely the two sides of one referral share each thing. Unit: probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sharing {
    /// The device fingerprint.
    pub device: f64,
    /// The browser's cookie, when the device is shared.
    pub browser: f64,
    /// User agent, platform, time zone, languages and screen, when the device is not shared.
    pub environment: f64,
    /// The network address.
    pub address: f64,
    /// The network prefix, when the address is not shared.
    pub prefix: f64,
    /// The instrument that both pay with.
    pub card: f64,
    /// The referrer is paid out where the referee pays.
    pub payout_is_billing: f64,
    /// The surname.
    pub surname: f64,
    /// The referrer's device or browser shows in the referee's journey.
    pub referrer_present: f64,
}

/// How likely the referee hides. Unit: probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hiding {
    /// Comes through a commercial VPN.
    pub vpn: f64,
    /// Comes through Tor.
    pub tor: f64,
    /// Comes from a hosting provider.
    pub hosting: f64,
    /// Uses an address that is thrown away.
    pub disposable_email: f64,
    /// Uses a privacy relay for mail.
    pub relay_email: f64,
}

/// How fast a referee is. Times are log-normal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tempo {
    /// Half of the referees sign up within this time after the click. Unit: seconds.
    pub click_to_signup_median_seconds: f64,
    /// Standard deviation of the logarithm of that time.
    pub click_to_signup_sigma: f64,
    /// Half of the referees convert within this time after sign-up, where the conversion is not the sign-up. Unit: hours.
    pub signup_to_conversion_median_hours: f64,
    /// Standard deviation of the logarithm of that time.
    pub signup_to_conversion_sigma: f64,
    /// Mean number of pages looked at.
    pub pages_mean: f64,
}

/// How the code is captured. Unit: shares; they need not sum to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CaptureShares {
    /// In a followed link.
    pub link: f64,
    /// In an earlier cookie.
    pub cookie: f64,
    /// Typed into a form.
    pub form: f64,
    /// Through an app's deep link.
    pub deep_link: f64,
    /// By the product's own call.
    pub api: f64,
    /// Attached by hand.
    pub manual: f64,
}

/// How one persona behaves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Habits {
    /// What the sides share.
    pub sharing: Sharing,
    /// How the referee hides.
    pub hiding: Hiding,
    /// How fast the referee is.
    pub tempo: Tempo,
    /// How the code is captured.
    pub capture: CaptureShares,
    /// How much referrals of this persona differ in how much they share: standard deviation of the logarithm of one factor on all sharing.
    pub sharing_sigma: f64,
    /// How likely the purchase is exactly the smallest that earns a reward. Unit: probability.
    pub minimum_purchase: f64,
    /// How likely the code changed on the way. Unit: probability.
    pub code_changed: f64,
    /// How likely the code does not exist. Unit: probability.
    pub code_invalid: f64,
    /// How likely the charge is refunded later. Unit: probability.
    pub refund: f64,
    /// How likely the charge is disputed later. Unit: probability.
    pub chargeback: f64,
    /// How likely nothing is known of the referee's journey. Unit: probability.
    pub journey_missing: f64,
}

/// One persona: how common, how large, how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonaParameters {
    /// Share of conversions, as a weight against the other personas.
    pub share: f64,
    /// Fewest referees of one episode. Unit: accounts.
    pub referees_min: u32,
    /// Most referees of one episode. Unit: accounts.
    pub referees_max: u32,
    /// Half of the gaps between two conversions of an episode are below this. Unit: minutes.
    pub gap_median_minutes: f64,
    /// How it behaves.
    pub habits: Habits,
}

/// All personas.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the persona of its name; `Persona` documents them")]
pub struct PersonasParameters {
    pub friends: PersonaParameters,
    pub household: PersonaParameters,
    pub colleagues: PersonaParameters,
    pub campus: PersonaParameters,
    pub agency: PersonaParameters,
    pub existing_user: PersonaParameters,
    pub manual_attribution: PersonaParameters,
    pub duplicate_invoice: PersonaParameters,
    pub second_email: PersonaParameters,
    pub alias: PersonaParameters,
    pub typo_mailbox: PersonaParameters,
    pub shared_device: PersonaParameters,
    pub shared_card: PersonaParameters,
    pub careful_self: PersonaParameters,
    pub device_ring: PersonaParameters,
    #[serde(rename = "loop")]
    pub circle: PersonaParameters,
    pub signup_farm: PersonaParameters,
    pub reward_farmer: PersonaParameters,
    pub coupon_site: PersonaParameters,
}

impl PersonasParameters {
    /// The parameters of a persona.
    #[must_use]
    pub const fn of(&self, persona: Persona) -> &PersonaParameters {
        match persona {
            Persona::Friends => &self.friends,
            Persona::Household => &self.household,
            Persona::Colleagues => &self.colleagues,
            Persona::Campus => &self.campus,
            Persona::Agency => &self.agency,
            Persona::ExistingUser => &self.existing_user,
            Persona::ManualAttribution => &self.manual_attribution,
            Persona::DuplicateInvoice => &self.duplicate_invoice,
            Persona::SecondEmail => &self.second_email,
            Persona::Alias => &self.alias,
            Persona::TypoMailbox => &self.typo_mailbox,
            Persona::SharedDevice => &self.shared_device,
            Persona::SharedCard => &self.shared_card,
            Persona::CarefulSelf => &self.careful_self,
            Persona::DeviceRing => &self.device_ring,
            Persona::Loop => &self.circle,
            Persona::SignupFarm => &self.signup_farm,
            Persona::RewardFarmer => &self.reward_farmer,
            Persona::CouponSite => &self.coupon_site,
        }
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// The first [`InvalidParameter`]; the caller shows it to whoever wrote the file.
    pub fn validate(&self) -> Result<(), InvalidParameter> {
        for persona in Persona::ALL {
            self.of(persona).validate(persona.name())?;
        }
        let total: f64 = Persona::ALL.iter().map(|persona| self.of(*persona).share).sum();
        if total > 0.0 {
            Ok(())
        } else {
            Err(InvalidParameter { key: "personas.*.share".into(), value: total, expected: "above 0 in sum" })
        }
    }
}

impl PersonaParameters {
    /// The mean number of conversions of one episode.
    #[must_use]
    pub fn conversions_mean(&self) -> f64 {
        f64::midpoint(f64::from(self.referees_min), f64::from(self.referees_max))
    }

    fn validate(&self, persona: &str) -> Result<(), InvalidParameter> {
        let Habits { sharing, hiding, tempo, capture, .. } = self.habits;
        let h = self.habits;
        let at = |key: &str| format!("personas.{persona}.{key}");
        let probabilities = [
            ("habits.sharing.device", sharing.device),
            ("habits.sharing.browser", sharing.browser),
            ("habits.sharing.environment", sharing.environment),
            ("habits.sharing.address", sharing.address),
            ("habits.sharing.prefix", sharing.prefix),
            ("habits.sharing.card", sharing.card),
            ("habits.sharing.payout_is_billing", sharing.payout_is_billing),
            ("habits.sharing.surname", sharing.surname),
            ("habits.sharing.referrer_present", sharing.referrer_present),
            ("habits.hiding.vpn", hiding.vpn),
            ("habits.hiding.tor", hiding.tor),
            ("habits.hiding.hosting", hiding.hosting),
            ("habits.hiding.disposable_email", hiding.disposable_email),
            ("habits.hiding.relay_email", hiding.relay_email),
            ("habits.minimum_purchase", h.minimum_purchase),
            ("habits.code_changed", h.code_changed),
            ("habits.code_invalid", h.code_invalid),
            ("habits.refund", h.refund),
            ("habits.chargeback", h.chargeback),
            ("habits.journey_missing", h.journey_missing),
        ];
        for (key, value) in probabilities {
            checked(at(key), value, (0.0..=1.0).contains(&value), "between 0 and 1")?;
        }
        let sizes = [
            ("share", self.share),
            ("habits.sharing_sigma", h.sharing_sigma),
            ("habits.tempo.click_to_signup_sigma", tempo.click_to_signup_sigma),
            ("habits.tempo.signup_to_conversion_sigma", tempo.signup_to_conversion_sigma),
            ("habits.tempo.pages_mean", tempo.pages_mean),
            ("habits.capture.link", capture.link),
            ("habits.capture.cookie", capture.cookie),
            ("habits.capture.form", capture.form),
            ("habits.capture.deep_link", capture.deep_link),
            ("habits.capture.api", capture.api),
            ("habits.capture.manual", capture.manual),
        ];
        for (key, value) in sizes {
            checked(at(key), value, (0.0..=100.0).contains(&value), "between 0 and 100")?;
        }
        let times = [
            ("gap_median_minutes", self.gap_median_minutes),
            ("habits.tempo.click_to_signup_median_seconds", tempo.click_to_signup_median_seconds),
            ("habits.tempo.signup_to_conversion_median_hours", tempo.signup_to_conversion_median_hours),
        ];
        for (key, value) in times {
            checked(at(key), value, value.is_finite() && value > 0.0 && value < 1e7, "above 0 and below ten million")?;
        }
        let fewest = self.referees_min;
        checked(
            at("referees_min"),
            f64::from(fewest),
            (1..=self.referees_max).contains(&fewest),
            "between 1 and `referees_max`",
        )?;
        checked(at("referees_max"), f64::from(self.referees_max), self.referees_max <= 10_000, "at most 10000")
    }
}

fn checked(key: String, value: f64, holds: bool, expected: &'static str) -> Result<(), InvalidParameter> {
    if holds { Ok(()) } else { Err(InvalidParameter { key, value, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(PersonasParameters::default().validate(), Ok(()));
    }

    #[test]
    fn a_probability_above_one_is_refused_by_name() {
        let mut parameters = PersonasParameters::default();
        parameters.household.habits.sharing.address = 1.5;
        let refused = parameters.validate();
        assert!(refused.is_err_and(|error| error.key == "personas.household.habits.sharing.address"));
    }

    #[test]
    fn values_that_are_no_numbers_are_refused() {
        let mut parameters = PersonasParameters::default();
        parameters.friends.gap_median_minutes = f64::NAN;
        assert!(parameters.validate().is_err());
    }
}
