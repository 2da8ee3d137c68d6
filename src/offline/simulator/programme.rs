//! What can be said of a programme: one file of `datasets/simulator/programmes` for each kind, in which a pair of numbers is a range that each
//! programme draws from. What all people of a programme have in common stands here, so that it tells no persona from another.
//!
//! `ordinary.toml` names every key; the other kinds say how they differ from it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use super::chance::Chance;
use super::missing::Missing;
use super::parameter_file::{self, ParameterFileError};

/// A programme as its kind describes it, settled: each range in the files is a number here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Programme {
    /// One sentence: what kind of programme it is.
    pub about: String,
    /// The share of abusive conversions at the beginning, when there is no wave. Unit: share.
    pub abusive_share: f64,
    /// How long it goes on. Unit: days.
    pub length_days: f64,
    /// Most conversions a day, in the mean; who asks for more gets a longer programme.
    pub busiest_count: f64,
    /// By how much a persona's weight, and all that is the persona's own, varies from programme to programme: standard deviation of the logarithm.
    pub persona_sigma: f64,
    /// How likely a persona does not occur at all. Unit: probability.
    pub persona_absent: f64,
    /// How likely some kind of signal is never sent, for each kind. Unit: probability.
    pub never_sent: f64,
    /// How likely the terms say that customers of before earn nothing with a new account. Unit: probability.
    pub terms_exclude_former_customers: f64,
    /// Who is there.
    pub people: People,
    /// How fast people are, whoever they are.
    pub tempo: Tempo,
    /// When they are awake, and in which season they come.
    pub calendar: Calendar,
    /// What is bought, and what becomes of it.
    pub purchases: Purchases,
    /// How codes are captured.
    pub capture: Capture,
    /// What the reward service does not know.
    pub missing: Missing,
    /// When labels come, and how wrong they are.
    pub labels: Labels,
    /// What changes over the months.
    pub drift: Drift,
    /// Attacks: for some days one abusive persona is far more common.
    pub waves: Waves,
    /// What the weights of personas are multiplied with, by name; 1 where a persona is not named.
    pub personas: BTreeMap<String, f64>,
}

/// Who is there.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// Customers that the ledger knows before the first day, for each conversion of the programme; at most 1,000 in all.
    pub known_per_conversion: f64,
    /// Customers who join without being referred, for each conversion.
    pub joining_per_conversion: f64,
    /// How likely a referrer is one of the known customers instead of one who is first heard of with his referral. Unit: probability.
    pub referrer_known: f64,
    /// How likely a known referrer is one of those who joined last. Unit: probability.
    pub newcomer_refers: f64,
    /// Half of the customers are younger than this on the first day. Unit: days.
    pub age_median_days: f64,
    /// Standard deviation of the logarithm of that age.
    pub age_sigma: f64,
    /// Offices whose people are customers. Unit: addresses.
    pub offices_count: f64,
    /// Campuses whose people are customers. Unit: addresses.
    pub campuses_count: f64,
    /// Shops with a device for their customers. Unit: addresses.
    pub shops_count: f64,
    /// Addresses of mobile carriers: the fewer, the more people share one. Unit: addresses.
    pub carrier_addresses_count: f64,
    /// How likely somebody was also online over a mobile carrier. Unit: probability.
    pub carrier: f64,
    /// How likely somebody comes through a VPN. Unit: probability.
    pub vpn: f64,
    /// How likely somebody uses a privacy relay for mail. Unit: probability.
    pub relay_email: f64,
    /// How likely somebody uses an address that is thrown away. Unit: probability.
    pub disposable_email: f64,
    /// How likely somebody has a second device. Unit: probability.
    pub second_device: f64,
    /// How likely a fingerprint is of the model of the device and not of the device. Unit: probability.
    pub model_fingerprint: f64,
    /// How likely two who know each other have one network address by chance, as on a visit. Unit: probability.
    pub visit: f64,
    /// How likely a customer has paid before. Unit: probability.
    pub paying: f64,
    /// How likely the payout instrument of a referrer is known. Unit: probability.
    pub payout_known: f64,
}

/// How fast people are, whoever they are. Times are log-normal.
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
    /// Pages looked at before the sign-up, in the mean.
    pub pages_mean: f64,
}

/// When people are awake, and in which season they come.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calendar {
    /// The busiest hour of the day. Unit: hours, UTC.
    pub busiest_hour: f64,
    /// How busy the quietest hour is against the busiest. Unit: share.
    pub quietest: f64,
    /// How busy a day of the weekend is against a working day.
    pub weekend_factor: f64,
    /// How strongly the year swings. Unit: share of the mean.
    pub season: f64,
    /// In which part of the year the season is at its height. Unit: share of a year.
    pub season_at: f64,
}

/// What is bought, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purchases {
    /// Share of sign-ups among conversions. The four shares need not sum to 1.
    pub signups: f64,
    /// Share of demonstrations.
    pub demonstrations: f64,
    /// Share of invoices.
    pub invoices: f64,
    /// Share of charges.
    pub charges: f64,
    /// How likely somebody whose sign-up was a conversion pays later, which is another. Unit: probability.
    pub pays_later: f64,
    /// Half of the prices are below this. Unit: minor units.
    pub price_median_minor: f64,
    /// Standard deviation of the logarithm of a price.
    pub price_sigma: f64,
    /// How likely a purchase is one of the programme's few plans. Unit: probability.
    pub plan: f64,
    /// The smallest purchase that earns a reward, as a share of the median price; below a tenth there is none.
    pub minimum: f64,
    /// How likely a purchase is exactly that. Unit: probability.
    pub exactly_minimum: f64,
    /// How likely a charge is refunded. Unit: probability.
    pub refund: f64,
    /// How likely a charge is disputed. Unit: probability.
    pub chargeback: f64,
    /// How likely a subscription is cancelled. Unit: probability.
    pub cancel: f64,
    /// After how long rewards are paid: who wants his money back waits for it. Unit: days.
    pub payout_delay_days: f64,
}

/// How codes are captured. Unit: shares for the ways, which need not sum to 1; probabilities for the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
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
    /// A code in a form is typed after the checkout began.
    pub after_checkout: f64,
    /// The code was another one before.
    pub code_changed: f64,
    /// The code does not exist.
    pub code_invalid: f64,
    /// Nothing is known of the journey.
    pub journey_missing: f64,
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

/// What changes over the months.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// What the share of abuse is multiplied with in a month of 30 days.
    pub abuse_factor: f64,
    /// By how much more likely an abusive episode is a careful one. Unit: probability, per month.
    pub learns_per_month: f64,
    /// How often new browser versions come out. Unit: days.
    pub browser_release_days: f64,
}

/// Attacks: for some days one abusive persona is far more common.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waves {
    /// Attacks in a month of 30 days, in the mean.
    pub attacks_per_month: f64,
    /// How long one lasts. Unit: days.
    pub attack_days: f64,
    /// What the persona's weight is multiplied with meanwhile.
    pub attack_factor: f64,
}

/// A kind of programme: its file over the ordinary one, checked, its ranges still open.
#[derive(Debug, Clone, PartialEq)]
pub struct ProgrammeKind {
    /// Its name: the name of its file.
    pub name: &'static str,
    table: Table,
}

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../datasets/simulator/programmes/", $name, ".toml")))),+]
    };
}

/// All kinds with the text of their files; the first is the ordinary one, of which the others say how they differ.
const FILES: &[(&str, &str)] = embedded![
    "ordinary",
    "consumer_app",
    "saas",
    "marketplace",
    "influencer_led",
    "one_tap_app",
    "student_offer",
    "shop_counter",
    "families",
    "under_attack",
    "email_only",
    "card_and_network_only",
    "device_only",
    "day",
];

/// The kind that only the demo's day is of; a programme of months is never drawn from it.
pub const DAY: &str = "day";

impl ProgrammeKind {
    /// The kinds that are built in, the ordinary one first. `personas` are the names that a file may give weights to.
    ///
    /// # Errors
    /// [`ParameterFileError`] when a file was damaged before it was built in; restore it from the repository.
    pub fn embedded(personas: &[&str]) -> Result<Vec<Self>, ParameterFileError> {
        let mut kinds: Vec<Self> = Vec::with_capacity(FILES.len());
        for (name, text) in FILES {
            let file = format!("programmes/{name}.toml");
            let template = match kinds.first() {
                Some(ordinary) => with_personas(ordinary.table.clone(), personas),
                None => with_personas(text.parse().unwrap_or_default(), personas),
            };
            let read = parameter_file::read(&file, text, &template)?;
            let table =
                kinds.first().map_or_else(|| read.clone(), |ordinary| parameter_file::merged(ordinary.table.clone(), &read));
            let kind = Self { name, table };
            kind.settled(&mut Chance::new(0))?;
            kinds.push(kind);
        }
        Ok(kinds)
    }

    /// The programme of one seed: each range is drawn from.
    ///
    /// # Errors
    /// [`ParameterFileError::Unreadable`] for a value of a wrong type.
    pub fn settled(&self, chance: &mut Chance) -> Result<Programme, ParameterFileError> {
        parameter_file::settled(&self.table, chance).try_into().map_err(|error: toml::de::Error| ParameterFileError::Unreadable {
            file: format!("programmes/{}.toml", self.name),
            reason: error.to_string(),
        })
    }

    /// The same with what another table says instead.
    ///
    /// # Errors
    /// [`ParameterFileError`] names the key that is unknown or wrong in `file`.
    pub fn changed(&self, file: &str, over: &Table, personas: &[&str]) -> Result<Self, ParameterFileError> {
        parameter_file::check(file, "", over, &with_personas(self.table.clone(), personas))?;
        Ok(Self { name: self.name, table: parameter_file::merged(self.table.clone(), over) })
    }

    /// All parameters as TOML, ranges and all.
    #[must_use]
    pub fn to_toml(&self) -> String {
        self.table.to_string()
    }
}

/// A template in which every persona may be given a weight.
fn with_personas(template: Table, personas: &[&str]) -> Table {
    let weights = personas.iter().map(|name| ((*name).to_owned(), Value::Float(1.0))).collect::<Table>();
    parameter_file::merged(template, &Table::from_iter([("personas".to_owned(), Value::Table(weights))]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::offline::simulator::persona;

    fn kinds() -> Vec<ProgrammeKind> {
        let names: Vec<&str> = persona::embedded().unwrap().iter().map(|persona| persona.name).collect();
        ProgrammeKind::embedded(&names).unwrap()
    }

    #[test]
    fn every_file_of_the_folder_is_built_in_and_can_be_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/simulator/programmes");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let there: BTreeSet<String> = files.map(|name| name.trim_end_matches(".toml").to_owned()).collect();
        assert_eq!(kinds().iter().map(|kind| kind.name.to_owned()).collect::<BTreeSet<_>>(), there);
    }

    #[test]
    fn programmes_of_months_last_half_a_year_and_abuse_ranges_from_half_a_percent_to_thirty() {
        for kind in kinds().iter().filter(|kind| kind.name != DAY) {
            for seed in 0..20 {
                let programme = kind.settled(&mut Chance::new(seed)).unwrap();
                assert!(programme.length_days >= 180.0, "{}", kind.name);
                assert!((0.005..=0.301).contains(&programme.abusive_share), "{}", kind.name);
            }
        }
    }

    #[test]
    fn kinds_differ_in_what_they_never_send() {
        let never = |name: &str| {
            let kinds = kinds();
            let kind = kinds.iter().find(|kind| kind.name == name).unwrap();
            kind.settled(&mut Chance::new(1)).unwrap().missing
        };
        assert_eq!((never("email_only").fingerprint, never("email_only").network, never("email_only").payments), (1.0, 1.0, 1.0));
        assert_eq!((never("device_only").email, never("device_only").payments), (1.0, 1.0));
        assert_eq!((never("card_and_network_only").email, never("card_and_network_only").fingerprint), (1.0, 1.0));
    }

    #[test]
    fn a_change_is_refused_by_the_name_of_the_persona_that_it_misspells() {
        let names: Vec<&str> = persona::embedded().unwrap().iter().map(|persona| persona.name).collect();
        let over: Table = "[personas]\nhousehould = 2.0\n".parse().unwrap();
        let refused = kinds()[0].changed("mine.toml", &over, &names).unwrap_err().to_string();
        assert_eq!(refused, "`personas.househould` in `mine.toml` is not a key here; did you mean `household`?");
    }
}
