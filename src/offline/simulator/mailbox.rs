//! How synthetic people choose e-mail addresses: styles of local parts, providers, aliases and typing slips.
//!
//! Only for synthetic people; nothing is ever sent to an address made here.

use super::chance::Chance;

/// How a local part is made of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MailboxStyle {
    /// `jane.doe`
    GivenDotSurname,
    /// `janedoe`
    GivenSurname,
    /// `jdoe`
    InitialSurname,
    /// `jane_doe`
    GivenUnderscoreSurname,
    /// `doe.jane`
    SurnameDotGiven,
    /// `jane87`
    GivenDigits,
    /// `janedoe87`
    GivenSurnameDigits,
    /// `j.doe87`
    InitialDotSurnameDigits,
    /// `jane.d`
    GivenDotInitial,
    /// `quietharbour42`: nothing of the name.
    Handle,
}

/// Styles with their shares. Judgement; all of them occur in Splink's synthetic addresses but the handle.
const STYLES: [(MailboxStyle, f64); 10] = [
    (MailboxStyle::GivenDotSurname, 0.24),
    (MailboxStyle::GivenSurname, 0.14),
    (MailboxStyle::InitialSurname, 0.08),
    (MailboxStyle::GivenUnderscoreSurname, 0.05),
    (MailboxStyle::SurnameDotGiven, 0.05),
    (MailboxStyle::GivenDigits, 0.09),
    (MailboxStyle::GivenSurnameDigits, 0.13),
    (MailboxStyle::InitialDotSurnameDigits, 0.06),
    (MailboxStyle::GivenDotInitial, 0.04),
    (MailboxStyle::Handle, 0.12),
];

/// Providers with their shares. Judgement, after the usual order of consumer mail in English-speaking countries.
const PROVIDERS: [(&str, f64); 12] = [
    ("gmail.com", 0.45),
    ("outlook.com", 0.10),
    ("hotmail.com", 0.09),
    ("yahoo.com", 0.10),
    ("icloud.com", 0.09),
    ("proton.me", 0.04),
    ("bigpond.com", 0.04),
    ("gmx.de", 0.02),
    ("web.de", 0.01),
    ("aol.com", 0.02),
    ("fastmail.com", 0.02),
    ("googlemail.com", 0.02),
];

const DISPOSABLE: [&str; 5] = ["mailinator.com", "guerrillamail.com", "10minutemail.com", "yopmail.com", "trashmail.com"];
const RELAYS: [&str; 3] = ["privaterelay.appleid.com", "duck.com", "mozmail.com"];
const HANDLE_FIRST: [&str; 16] = [
    "quiet", "blue", "rapid", "lucky", "north", "silver", "tiny", "wild", "solar", "amber", "night", "iron", "happy", "urban",
    "salty", "misty",
];
const HANDLE_SECOND: [&str; 16] = [
    "harbour", "whale", "falcon", "pixel", "garden", "rider", "panda", "comet", "maple", "coder", "river", "otter", "baker",
    "drummer", "lemon", "kite",
];

/// How one person makes addresses: the style, and the digits that he puts where a style wants some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailboxHabit {
    /// The style.
    pub style: MailboxStyle,
    /// Two digits or four: often the year of birth.
    pub digits: u16,
    /// Makes the handle, where the style is one.
    pub handle_token: u64,
}

impl MailboxHabit {
    /// A habit of somebody born in this year.
    pub fn draw(chance: &mut Chance, birth_year: u16) -> Self {
        let style = STYLES[chance.weighted(STYLES.iter().map(|(_, share)| *share))].0;
        let digits = match chance.below(4) {
            0 => birth_year,
            1 | 2 => birth_year % 100,
            _ => u16::try_from(chance.below(100)).unwrap_or_default(),
        };
        Self { style, digits, handle_token: chance.token() }
    }

    /// The local part of this name; a handle when the name has no letters.
    #[must_use]
    pub fn local_part(&self, given_name: &str, surname: &str) -> String {
        let (given, surname) = (letters(given_name), letters(surname));
        let (given, surname) = match (given.is_empty(), surname.is_empty()) {
            (true, true) => return self.handle(),
            (true, false) => (surname.clone(), surname),
            (false, true) => (given.clone(), given),
            (false, false) => (given, surname),
        };
        let initial = &given[..1];
        let digits = self.digits;
        match self.style {
            MailboxStyle::GivenDotSurname => format!("{given}.{surname}"),
            MailboxStyle::GivenSurname => format!("{given}{surname}"),
            MailboxStyle::InitialSurname => format!("{initial}{surname}"),
            MailboxStyle::GivenUnderscoreSurname => format!("{given}_{surname}"),
            MailboxStyle::SurnameDotGiven => format!("{surname}.{given}"),
            MailboxStyle::GivenDigits => format!("{given}{digits:02}"),
            MailboxStyle::GivenSurnameDigits => format!("{given}{surname}{digits:02}"),
            MailboxStyle::InitialDotSurnameDigits => format!("{initial}.{surname}{digits:02}"),
            MailboxStyle::GivenDotInitial => format!("{given}.{}", &surname[..1]),
            MailboxStyle::Handle => self.handle(),
        }
    }

    fn handle(&self) -> String {
        let mut chance = Chance::new(self.handle_token);
        let (first, second) = (chance.pick(&HANDLE_FIRST), chance.pick(&HANDLE_SECOND));
        format!("{first}{second}{:02}", chance.below(1000))
    }
}

/// A provider that anybody can have a mailbox at.
pub fn draw_provider(chance: &mut Chance) -> &'static str {
    PROVIDERS[chance.weighted(PROVIDERS.iter().map(|(_, share)| *share))].0
}

/// A provider other than this one.
pub fn draw_other_provider(chance: &mut Chance, than: &str) -> &'static str {
    PROVIDERS[chance.weighted(PROVIDERS.iter().map(|(provider, share)| if *provider == than { 0.0 } else { *share }))].0
}

/// A provider of addresses that are thrown away.
pub fn draw_disposable(chance: &mut Chance) -> &'static str {
    chance.pick(&DISPOSABLE)
}

/// An address of a privacy relay: nothing of the name is left.
pub fn draw_relay_address(chance: &mut Chance) -> String {
    format!("{:010x}@{}", chance.token() & 0xFF_FFFF_FFFF, chance.pick(&RELAYS))
}

/// A word that a company may be called by.
pub fn draw_word(chance: &mut Chance) -> &'static str {
    chance.pick(&HANDLE_SECOND)
}

/// A mailbox that a team reads, with a name as its tag: `team+anna@…`. With the number where the name has no letters.
#[must_use]
pub fn tagged(address: &str, name: &str, number: usize) -> String {
    let (local, domain) = address.split_once('@').unwrap_or((address, "gmail.com"));
    let name = letters(name);
    let local = local.split('+').next().unwrap_or(local);
    if name.is_empty() { format!("{local}+{number}@{domain}") } else { format!("{local}+{name}@{domain}") }
}

/// The same mailbox written otherwise: a plus tag, or a dot where the provider ignores dots.
pub fn alias_of(chance: &mut Chance, address: &str) -> String {
    let Some((local, domain)) = address.split_once('@') else { return address.to_owned() };
    let ignores_dots = matches!(domain, "gmail.com" | "googlemail.com");
    if ignores_dots && local.len() > 2 && chance.happens(0.5) {
        let plain: String = local.chars().filter(|c| *c != '.').collect();
        let at = 1 + chance.below(plain.len().saturating_sub(1).max(1));
        let (head, tail) = plain.split_at(at.min(plain.len()));
        let dotted = format!("{head}.{tail}@{domain}");
        if dotted != address {
            return dotted;
        }
    }
    let tag = chance.pick(&["2", "new", "promo", "shop", "x", "ref", "bonus", "test"]);
    format!("{local}+{tag}@{domain}")
}

/// The address with one slip of the keyboard in its local part: a letter swapped, dropped, doubled or replaced.
pub fn mistyped(chance: &mut Chance, address: &str) -> String {
    let (local, domain) = address.split_once('@').map_or((address, None), |(local, domain)| (local, Some(domain)));
    let mut letters: Vec<char> = local.chars().collect();
    if letters.len() >= 2 {
        let at = chance.below(letters.len() - 1);
        match chance.below(4) {
            0 => letters.swap(at, at + 1),
            1 => drop(letters.remove(at + 1)),
            2 => letters.insert(at, letters[at]),
            _ => letters[at + 1] = chance.pick(&['a', 'e', 'i', 'n', 'r', 's', 't', '1']),
        }
    }
    let local: String = letters.into_iter().collect();
    domain.map_or_else(|| local.clone(), |domain| format!("{local}@{domain}"))
}

/// The ASCII letters of a name, lower-cased.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphabetic).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_habit_gives_one_person_one_local_part() {
        let habit = MailboxHabit::draw(&mut Chance::new(3), 1987);
        assert_eq!(habit.local_part("Jane", "O'Doe"), habit.local_part("jane", "odoe"));
    }

    #[test]
    fn a_person_without_a_name_still_has_an_address() {
        let habit = MailboxHabit { style: MailboxStyle::GivenDotInitial, digits: 87, handle_token: 5 };
        assert!(!habit.local_part("", "").is_empty());
        assert_eq!(habit.local_part("", "doe"), "doe.d");
    }

    #[test]
    fn an_alias_is_another_spelling_at_the_same_provider() {
        let mut chance = Chance::new(9);
        for _ in 0..100 {
            let alias = alias_of(&mut chance, "jane.doe@gmail.com");
            assert_ne!(alias, "jane.doe@gmail.com");
            assert!(alias.ends_with("@gmail.com"));
        }
    }
}
