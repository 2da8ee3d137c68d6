//! What can be set of a simulated programme, as a TOML file in which only what differs from the defaults stands.
//!
//! Values and their limits only. Called by the simulation and the command line.

use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use serde::{Deserialize, Serialize};

use crate::offline::missing::Missing;
use crate::offline::personas::{InvalidParameter, StageParameters};

/// Why parameters cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParametersError {
    /// The file is not TOML, or has a key or a type that does not exist. The message names it.
    #[error("the parameters cannot be read: {0}")]
    Unreadable(Box<figment::Error>),
    /// A value is out of its range.
    #[error(transparent)]
    OutOfRange(#[from] InvalidParameter),
    /// Other parameters could not be drawn around these.
    #[error("the parameters cannot be varied: {0}")]
    NotVaried(String),
}

/// A simulated programme.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulationParameters {
    /// The programme's id.
    pub program_id: String,
    /// When it begins, RFC 3339.
    pub begins_at: jiff::Timestamp,
    /// How many conversions there are before it ends.
    pub conversions: u64,
    /// How many there are a day, in the mean. More conversions make a longer programme, not a busier one.
    pub conversions_per_day: f64,
    /// Share of abusive conversions at the beginning; absent means that the shares of the personas say. Unit: share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abusive_share: Option<f64>,
    /// Who plays.
    pub stage: StageParameters,
    /// What the reward service does not know.
    pub missing: Missing,
    /// What changes over the months.
    pub drift: Drift,
    /// When labels come, and how wrong they are.
    pub labels: Labels,
}

/// What changes over the months.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// By how much the share of abuse grows. Unit: natural logarithm per month of 30 days.
    pub abuse_share_growth_per_month: f64,
    /// How strongly abuse comes in waves. Unit: share of its mean, 0 to 0.9.
    pub abuse_wave_amplitude: f64,
    /// How long a wave is. Unit: days.
    pub abuse_wave_days: f64,
    /// By how much abusers share less as they learn. Unit: natural logarithm per month. What they share never falls below a half.
    pub abuse_sharing_loss_per_month: f64,
    /// How often new browser versions come out. Unit: days.
    pub browser_release_days: f64,
}

/// When labels come, and how wrong they are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// Half of the labels are known after this time. Unit: days.
    pub delay_median_days: f64,
    /// Standard deviation of the logarithm of that time.
    pub delay_sigma: f64,
    /// How likely an honest conversion is labelled abusive. Unit: probability.
    pub honest_as_abusive: f64,
    /// How likely an abusive conversion is labelled honest. Unit: probability. A certificate counts these as errors of the model.
    pub abusive_as_honest: f64,
    /// How likely there is never a label. Unit: probability.
    pub unlabeled: f64,
}

impl Default for SimulationParameters {
    fn default() -> Self {
        Self {
            program_id: "simulated".to_owned(),
            // 2026-01-01T00:00:00Z, a Thursday.
            begins_at: jiff::Timestamp::from_second(1_767_225_600).unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            conversions: 50_000,
            conversions_per_day: 300.0,
            abusive_share: None,
            stage: StageParameters { offices: 400, campuses: 40, ..StageParameters::default() },
            missing: Missing::default(),
            drift: Drift::default(),
            labels: Labels::default(),
        }
    }
}

impl Default for Drift {
    fn default() -> Self {
        Self {
            abuse_share_growth_per_month: 0.02,
            abuse_wave_amplitude: 0.25,
            abuse_wave_days: 60.0,
            abuse_sharing_loss_per_month: 0.02,
            browser_release_days: 28.0,
        }
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self { delay_median_days: 10.0, delay_sigma: 0.8, honest_as_abusive: 0.001, abusive_as_honest: 0.001, unlabeled: 0.0 }
    }
}

impl SimulationParameters {
    /// The defaults, changed where this TOML text says so.
    ///
    /// # Errors
    /// [`ParametersError`]: names the key that is unknown, malformed or out of range.
    pub fn from_toml(text: &str) -> Result<Self, ParametersError> {
        let parameters: Self = Figment::from(Serialized::defaults(Self::default()))
            .merge(Toml::string(text))
            .extract()
            .map_err(|error| ParametersError::Unreadable(Box::new(error)))?;
        parameters.validate()?;
        Ok(parameters)
    }

    /// Checks every value against its range.
    ///
    /// # Errors
    /// [`ParametersError::OutOfRange`] for the first that is outside.
    pub fn validate(&self) -> Result<(), ParametersError> {
        self.stage.personas.validate()?;
        let probabilities = [
            ("stage.mobile", self.stage.mobile),
            ("stage.payout_known", self.stage.payout_known),
            ("stage.referred_refers", self.stage.referred_refers),
            ("stage.signup_pays_later", self.stage.signup_pays_later),
            ("labels.honest_as_abusive", self.labels.honest_as_abusive),
            ("labels.abusive_as_honest", self.labels.abusive_as_honest),
            ("labels.unlabeled", self.labels.unlabeled),
            ("abusive_share", self.abusive_share.unwrap_or_default()),
        ];
        let missing = self.missing.values().map(|(name, value)| (format!("missing.{name}"), value));
        for (key, value) in probabilities.into_iter().map(|(key, value)| (key.to_owned(), value)).chain(missing) {
            within(&key, value, 0.0, 1.0, "between 0 and 1")?;
        }
        let drift = self.drift;
        within("conversions_per_day", self.conversions_per_day, 1.0, 1e6, "between 1 and a million")?;
        within("drift.abuse_share_growth_per_month", drift.abuse_share_growth_per_month, -2.0, 2.0, "between -2 and 2")?;
        within("drift.abuse_wave_amplitude", drift.abuse_wave_amplitude, 0.0, 0.9, "between 0 and 0.9")?;
        within("drift.abuse_wave_days", drift.abuse_wave_days, 1.0, 3_650.0, "between 1 and 3650")?;
        within("drift.abuse_sharing_loss_per_month", drift.abuse_sharing_loss_per_month, 0.0, 2.0, "between 0 and 2")?;
        within("drift.browser_release_days", drift.browser_release_days, 1.0, 3_650.0, "between 1 and 3650")?;
        within("labels.delay_median_days", self.labels.delay_median_days, 0.0, 400.0, "between 0 and 400")?;
        within("labels.delay_sigma", self.labels.delay_sigma, 0.0, 5.0, "between 0 and 5")?;
        let kinds: f64 = self.stage.conversion_kind_shares.iter().sum();
        within("stage.conversion_kind_shares", kinds, 1e-6, 1e6, "above 0 in sum")?;
        Ok(())
    }
}

fn within(key: &str, value: f64, least: f64, most: f64, expected: &'static str) -> Result<(), InvalidParameter> {
    if (least..=most).contains(&value) { Ok(()) } else { Err(InvalidParameter { key: key.to_owned(), value, expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_means_the_defaults() -> Result<(), ParametersError> {
        assert_eq!(SimulationParameters::from_toml("")?, SimulationParameters::default());
        Ok(())
    }

    #[test]
    fn a_file_changes_only_what_it_names() -> Result<(), ParametersError> {
        let read = SimulationParameters::from_toml(
            "conversions = 7\nabusive_share = 0.2\n[stage.personas.household.habits.sharing]\ndevice = 0.5\n[stage.personas.loop]\nreferees_max = 3\n",
        )?;
        let mut expected = SimulationParameters { conversions: 7, abusive_share: Some(0.2), ..SimulationParameters::default() };
        expected.stage.personas.household.habits.sharing.device = 0.5;
        expected.stage.personas.circle.referees_max = 3;
        assert_eq!(read, expected);
        Ok(())
    }

    #[test]
    fn an_unknown_key_and_a_wrong_value_are_refused_by_name() {
        let message = |text| SimulationParameters::from_toml(text).map_err(|error| error.to_string()).err().unwrap_or_default();
        assert!(message("[drift]\nwave = 1.0\n").contains("wave"));
        assert!(message("[missing]\nemail = 2.0\n").contains("missing.email"));
        assert!(message("conversions_per_day = \"many\"").contains("conversions_per_day"));
    }
}
