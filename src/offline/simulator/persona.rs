//! What can be said of a persona: one file of `datasets/simulator/personas` for each, in which a number stands for itself and a pair for a range
//! that each programme draws from.
//!
//! Everything that is left out does not happen: a file says only how its persona differs from strangers who share nothing.

use serde::{Deserialize, Serialize};
use toml::Table;

use super::parameter_file::{self, ParameterFileError};

/// What the referrals of a persona are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Two people, and nobody farming.
    #[default]
    Honest,
    /// One person on both sides, or somebody farming the programme.
    Abusive,
    /// Nobody cheats, but some programmes' terms say that such a referral earns nothing: there it is abusive, elsewhere honest.
    ByTerms,
}

/// Who refers whom in one episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// One referrer, and all referees are his.
    #[default]
    Star,
    /// Each referee is brought by the first account or by any that was brought before.
    Chain,
    /// Each referee is brought by the one before, and the first account by the last.
    Circle,
}

/// A persona as its file describes it, settled for one programme: each range in the file is a number here.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Persona {
    /// One sentence: who it is.
    pub about: String,
    /// What its referrals are.
    pub truth: Standing,
    /// How common its conversions are among those of its standing, against the other personas. Unit: weight.
    pub weight: f64,
    /// How many referrals belong together, and how fast they come.
    pub episode: Episode,
    /// Who refers.
    pub referrer: Referrer,
    /// Who is referred.
    pub referee: Referee,
    /// What the referee shares with the referrer.
    pub with_referrer: Sharing,
    /// What a referee shares with an earlier one of the episode.
    pub among_referees: Sharing,
    /// What a referee who was a customer before shares with the account that he had.
    pub with_former: Sharing,
    /// How those who take care hide what they share.
    pub care: Care,
    /// How the referee hides.
    pub hides: Hiding,
    /// What is unusual about how the referral goes.
    pub conduct: Conduct,
}

/// How many referrals belong together, and how fast they come.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Episode {
    /// Who refers whom.
    pub shape: Shape,
    /// Referees beyond the first, in the mean. Unit: accounts.
    pub further_mean: f64,
    /// Fewest referees beyond the first. Unit: accounts.
    pub further_least: f64,
    /// Most referees beyond the first. Unit: accounts.
    pub further_most: f64,
    /// Half of the gaps between two conversions are below this. Unit: hours.
    pub gap_median_hours: f64,
    /// Standard deviation of the logarithm of a gap.
    pub gap_sigma: f64,
    /// How likely an invoice is reported twice. Unit: probability.
    pub reported_twice: f64,
}

/// Who refers.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Referrer {
    /// How likely he is at one of the programme's offices. Unit: probability.
    pub office: f64,
    /// How likely he is on one of the programme's campuses. Unit: probability.
    pub campus: f64,
    /// How likely he is in one of the programme's shops. Unit: probability.
    pub shop: f64,
    /// How likely he has an address at a company's own domain. Unit: probability.
    pub company_email: f64,
}

/// Who is referred. The shares of `email` and `name` say how likely each is; what is left of 1 is his own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Referee {
    /// How likely he is the referrer himself. Unit: probability.
    pub same_person: f64,
    /// How likely he is a customer of before who opens a new account. Unit: probability.
    pub former_customer: f64,
    /// How likely he uses an account that he has already. Unit: probability.
    pub existing_account: f64,
    /// How likely he has the referrer's surname. Unit: probability.
    pub surname: f64,
    /// Which address he gives.
    pub email: EmailChoice,
    /// Which name he gives.
    pub name: NameChoice,
}

/// Which address a referee gives. Unit: shares; what is left of 1 is an address of his own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmailChoice {
    /// His own name at another provider than the address that he is known by.
    pub other_provider: f64,
    /// An alias of the address that he is known by: a plus tag, or dots.
    pub alias: f64,
    /// That address with a slip of the keyboard.
    pub slip: f64,
    /// The very address of the referrer.
    pub shared: f64,
    /// The referrer's mailbox with the referee's name as its tag, like `team+anna@`.
    pub tagged: f64,
    /// An address at the referrer's company.
    pub company: f64,
    /// One of a numbered series, like `jane.doe7`.
    pub numbered: f64,
    /// Invented, at one provider for the whole episode.
    pub invented: f64,
    /// Anything before the @ of a domain that the hand behind the episode owns.
    pub own_domain: f64,
    /// One that has nothing to do with him.
    pub unrelated: f64,
}

/// Which name a referee gives. Unit: shares; what is left of 1 is his own.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NameChoice {
    /// His own as another record spells it.
    pub respelled: f64,
    /// A stranger's.
    pub invented: f64,
    /// None.
    pub none: f64,
}

/// How likely two accounts share each thing. Unit: probability; each episode draws its own around it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sharing {
    /// The device fingerprint.
    pub device: f64,
    /// The browser's cookie, where the device is shared.
    pub browser: f64,
    /// User agent, platform, time zone, languages and screen, where the device is not shared.
    pub environment: f64,
    /// The network address.
    pub address: f64,
    /// The network prefix, where the address is not shared.
    pub prefix: f64,
    /// The instrument that both pay with.
    pub card: f64,
    /// One is paid out where the other pays.
    pub payout_is_billing: f64,
    /// The other's device or browser shows in the referee's journey.
    pub present: f64,
}

/// How those who take care hide what they share.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Care {
    /// How likely an episode is a careful one. Unit: probability.
    pub careful: f64,
    /// How likely a careful one shares none of a thing, for each thing. Unit: probability.
    pub avoids: f64,
    /// How alike the episodes of the persona are in what they share: below 1 each shares a thing nearly always or nearly never, far above
    /// 1 all share it equally often.
    pub evenness_factor: f64,
}

/// How likely the referee hides, beyond what is usual in the programme. Unit: probability.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hiding {
    /// Comes through a commercial VPN.
    pub vpn: f64,
    /// Comes through Tor.
    pub tor: f64,
    /// Comes from a hosting provider.
    pub hosting: f64,
    /// Is on a mobile carrier, whose few addresses thousands share.
    pub carrier: f64,
    /// Uses an address that is thrown away.
    pub disposable_email: f64,
    /// Uses a privacy relay for mail.
    pub relay_email: f64,
}

/// What is unusual about how the referral goes, beyond what is usual in the programme. Unit: probability.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conduct {
    /// The purchase is exactly the smallest that earns a reward.
    pub minimum_purchase: f64,
    /// The charge is refunded, soon after rewards are paid out.
    pub refund: f64,
    /// The charge is disputed.
    pub chargeback: f64,
    /// The code was another one before.
    pub code_changed: f64,
    /// The code does not exist.
    pub code_invalid: f64,
    /// The code is typed into a form.
    pub form: f64,
    /// A code in a form is typed after the checkout began.
    pub after_checkout: f64,
    /// The referral is attached by hand.
    pub manual: f64,
    /// The referral is made by the product's own call.
    pub api: f64,
    /// Nothing is known of the journey.
    pub journey_missing: f64,
}

impl Sharing {
    /// The same, thing by thing.
    #[must_use]
    pub fn map(self, mut each: impl FnMut(f64) -> f64) -> Self {
        let Self { device, browser, environment, address, prefix, card, payout_is_billing, present } = self;
        Self {
            device: each(device),
            browser: each(browser),
            environment: each(environment),
            address: each(address),
            prefix: each(prefix),
            card: each(card),
            payout_is_billing: each(payout_is_billing),
            present: each(present),
        }
    }
}

impl EmailChoice {
    /// The shares in the order of the fields.
    #[must_use]
    pub const fn shares(&self) -> [f64; 10] {
        let Self { other_provider, alias, slip, shared, tagged, company, numbered, invented, own_domain, unrelated } = *self;
        [other_provider, alias, slip, shared, tagged, company, numbered, invented, own_domain, unrelated]
    }
}

/// The name of a persona: the name of its file.
pub type PersonaName = &'static str;

/// A persona's file, checked, its ranges still open.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonaFile {
    /// Its name.
    pub name: PersonaName,
    /// What the file says.
    pub table: Table,
}

/// What every key of a persona is by default, with the standing that its file gives.
#[must_use]
pub fn template() -> Table {
    // INVARIANT: defaults are numbers, texts and tables, all of which TOML has.
    Table::try_from(Persona::default()).unwrap_or_default()
}

impl PersonaFile {
    /// Reads a persona's file.
    ///
    /// # Errors
    /// [`ParameterFileError`] names the key that is unknown, wrong or missing.
    pub fn read(name: PersonaName, text: &str) -> Result<Self, ParameterFileError> {
        let file = format!("personas/{name}.toml");
        let table = parameter_file::read(&file, text, &template())?;
        for key in ["about", "truth", "weight"] {
            if !table.contains_key(key) {
                return Err(ParameterFileError::MissingKey { file, key });
            }
        }
        let read = Self { name, table };
        read.settled(&mut super::chance::Chance::new(0))?;
        Ok(read)
    }

    /// The persona of one programme: each range is drawn from.
    ///
    /// # Errors
    /// [`ParameterFileError::Unreadable`] for a word that is none, like a standing that does not exist.
    pub fn settled(&self, chance: &mut super::chance::Chance) -> Result<Persona, ParameterFileError> {
        parameter_file::settled(&self.table, chance).try_into().map_err(|error: toml::de::Error| ParameterFileError::Unreadable {
            file: format!("personas/{}.toml", self.name),
            reason: error.to_string(),
        })
    }

    /// The same with what another table says instead.
    ///
    /// # Errors
    /// [`ParameterFileError`] names the key that is unknown or wrong in `file`.
    pub fn changed(&self, file: &str, over: &Table) -> Result<Self, ParameterFileError> {
        parameter_file::check(file, &format!("persona.{}", self.name), over, &template())?;
        Ok(Self { name: self.name, table: parameter_file::merged(self.table.clone(), over) })
    }
}

macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!("../../../datasets/simulator/personas/", $name, ".toml")))),+]
    };
}

/// All personas with the text of their files, honest ones first.
const FILES: &[(PersonaName, &str)] = embedded![
    "friends",
    "household",
    "joint_account",
    "colleagues",
    "dorm",
    "agency",
    "consultant",
    "influencer",
    "shop_device",
    "carrier_friends",
    "private_people",
    "existing_user",
    "manual_attribution",
    "duplicate_invoice",
    "returning_customer",
    "self_alias",
    "self_second_mailbox",
    "self_slip",
    "self_same_device",
    "self_same_card",
    "self_second_card",
    "self_careful",
    "device_ring",
    "referral_circle",
    "signup_farm",
    "card_farm",
    "coupon_site",
    "refund_abuser",
    "serial_newcomer",
    "account_trader",
];

/// The personas that are built in, honest ones first.
///
/// # Errors
/// [`ParameterFileError`] when a file was damaged before it was built in; restore it from the repository.
pub fn embedded() -> Result<Vec<PersonaFile>, ParameterFileError> {
    FILES.iter().map(|(name, text)| PersonaFile::read(name, text)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_file_of_the_folder_is_built_in_and_can_be_read() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/simulator/personas");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let there: BTreeSet<String> = files.map(|name| name.trim_end_matches(".toml").to_owned()).collect();
        let built_in: BTreeSet<String> = embedded().unwrap().into_iter().map(|persona| persona.name.to_owned()).collect();
        assert_eq!(built_in, there);
    }

    #[test]
    fn every_file_tells_who_it_is_and_where_its_numbers_come_from() {
        for (name, text) in FILES {
            let comment: String = text.lines().take_while(|line| line.starts_with('#')).collect();
            assert!(comment.contains("Numbers:"), "{name}");
            let persona = PersonaFile::read(name, text).unwrap().settled(&mut super::super::chance::Chance::new(1)).unwrap();
            assert!(persona.about.len() > 20 && persona.weight > 0.0, "{name}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_by_name_with_the_nearest() {
        let text = "about = \"x\"\ntruth = \"honest\"\nweight = 1\n[with_referrer]\naddres = 0.5\n";
        let refused = PersonaFile::read("friends", text).unwrap_err().to_string();
        assert_eq!(refused, "`with_referrer.addres` in `personas/friends.toml` is not a key here; did you mean `address`?");
        let refused = PersonaFile::read("friends", "about = \"x\"\nweight = 1\n").unwrap_err().to_string();
        assert_eq!(refused, "`personas/friends.toml` lacks `truth`");
        let refused = PersonaFile::read("friends", "about = \"x\"\ntruth = \"gray\"\nweight = 1\n").unwrap_err().to_string();
        assert!(refused.contains("gray") && refused.contains("by_terms"), "{refused}");
    }

    #[test]
    fn a_persona_differs_from_programme_to_programme() {
        let personas = embedded().unwrap();
        let household = personas.iter().find(|persona| persona.name == "household").unwrap();
        let of = |seed| household.settled(&mut super::super::chance::Chance::new(seed)).unwrap();
        assert_eq!(of(1), of(1));
        assert_ne!(of(1).with_referrer, of(2).with_referrer);
    }
}
