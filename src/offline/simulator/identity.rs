//! Who plays: identities with names, cities and addresses, and the same person once more under another guise.
//!
//! Draws whole persons from the data that others made while there are any, then joins the given name of one with the surname of
//! another, each with its own damaged spelling.

use super::chance::Chance;
use super::mailbox::{self, MailboxHabit};
use super::people::{People, PeopleSource, Person, PersonNumber};

/// Where identities come from.
#[derive(Debug, Clone)]
pub(super) struct Casting {
    /// Persons that were not drawn yet, the next at the end.
    deck: Vec<u32>,
}

impl Casting {
    /// Whole persons, each once, in a random order; joined names when all have played. For a day.
    #[must_use]
    pub(super) fn whole_persons(people: &People, chance: &mut Chance) -> Self {
        let mut deck: Vec<u32> = (0..u32::try_from(people.person_count()).unwrap_or(u32::MAX)).collect();
        for at in (1..deck.len()).rev() {
            deck.swap(at, chance.below(at + 1));
        }
        Self { deck }
    }

    /// Joined names only: as many people as are wanted, in constant memory. For months.
    #[must_use]
    pub(super) const fn joined_names() -> Self {
        Self { deck: Vec::new() }
    }

    /// The next identity.
    pub(super) fn draw(&mut self, people: &People, chance: &mut Chance) -> Identity {
        if let Some(number) = self.deck.pop() {
            let records = people.records_of(PersonNumber(number));
            return Identity::of_records(records, records, chance);
        }
        let mut any = || people.records_of(PersonNumber(u32::try_from(chance.below(people.person_count())).unwrap_or_default()));
        let (given, surname) = (any(), any());
        Identity::of_records(given, surname, chance)
    }
}

/// A person as written in one record, and as written in another.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// As first known.
    pub shown: Guise,
    /// The same person with the typos of another record.
    pub again: Guise,
    /// How the person makes addresses.
    pub habit: MailboxHabit,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    /// Which city, as a number that equals only for equal names.
    pub city_number: u32,
}

/// One spelling of a person.
#[derive(Debug, Clone)]
pub(super) struct Guise {
    pub given_name: String,
    pub surname: String,
    /// The address.
    pub email: String,
}

impl Guise {
    /// Given name and surname, as a form would hold them; empty when neither is known.
    pub(super) fn full_name(&self) -> String {
        format!("{} {}", self.given_name, self.surname).trim().to_owned()
    }

    fn provider(&self) -> &str {
        self.email.split_once('@').map_or("gmail.com", |(_, provider)| provider)
    }
}

impl Identity {
    /// Joins the given names of one person's records with the surnames of another's (or of the same).
    fn of_records(given: &[Person], surname: &[Person], chance: &mut Chance) -> Self {
        let last = given.len().saturating_sub(1);
        let first_at = if last == 0 { 0 } else { chance.below(last) };
        let given_names = [given.get(first_at), given.get(last)];
        let surnames = [surname.first(), surname.last()];
        let whole = match (given.first(), surname.first()) {
            (Some(a), Some(b)) => a.person == b.person,
            _ => false,
        };
        let birth_year =
            given_names[0].and_then(|person| person.date_of_birth.get(..4)).and_then(|year| year.parse().ok()).unwrap_or(1985);
        let habit = MailboxHabit::draw(chance, birth_year);
        let provider = mailbox::draw_provider(chance).to_owned();
        let guise = |at: usize| {
            let (given_record, surname_record) = (given_names[at], if whole { given_names[at] } else { surnames[at] });
            let given_name = given_record.map(|person| person.given_name.clone()).unwrap_or_default();
            let surname = surname_record.map(|person| person.surname.clone()).unwrap_or_default();
            let own = if whole { given_record.and_then(|person| person.email.clone()) } else { None };
            let email = own.unwrap_or_else(|| format!("{}@{provider}", habit.local_part(&given_name, &surname)));
            Guise { given_name, surname, email }
        };
        let (shown, again) = (guise(0), guise(1));
        let country = match given_names[0].map(|person| person.source) {
            Some(PeopleSource::SplinkFake1000) => "GB",
            Some(PeopleSource::Febrl4) | None => chance.pick(&["AU", "AU", "AU", "GB", "GB", "US", "US", "DE", "NL", "IE"]),
        };
        let city_number = given_names[0].map_or(0, |person| number_of(&person.city)) ^ number_of(country);
        Self { shown, again, habit, country, city_number }
    }

    /// Gives this person the surname of another, as in a family; the address is made anew where it held the name.
    pub(super) fn take_surname(&mut self, of: &Self, chance: &mut Chance) {
        self.shown.surname.clone_from(&of.shown.surname);
        let provider = mailbox::draw_provider(chance);
        self.shown.email = format!("{}@{provider}", self.habit.local_part(&self.shown.given_name, &self.shown.surname));
        self.country = of.country;
        self.city_number = of.city_number;
    }

    /// A second address of the same person at another provider: in most cases made by the same habit from the other spelling of the name.
    pub(super) fn second_email(&self, chance: &mut Chance) -> String {
        let provider = mailbox::draw_other_provider(chance, self.shown.provider());
        let local = match chance.below(10) {
            0..=2 => self.shown.email.split('@').next().unwrap_or_default().to_owned(),
            3..=5 => self.habit.local_part(&self.again.given_name, &self.again.surname),
            6 | 7 => MailboxHabit { digits: u16::try_from(chance.below(100)).unwrap_or_default(), ..self.habit }
                .local_part(&self.shown.given_name, &self.shown.surname),
            _ => MailboxHabit::draw(chance, 1990).local_part(&self.again.given_name, &self.again.surname),
        };
        format!("{local}@{provider}")
    }

    /// The part before the @ as this person makes it.
    pub(super) fn local_part(&self) -> String {
        self.habit.local_part(&self.shown.given_name, &self.shown.surname)
    }
}

/// FNV-1a of a name: a number for a place that needs no table.
fn number_of(name: &str) -> u32 {
    name.bytes().fold(0x811C_9DC5, |number: u32, byte| (number ^ u32::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0193))
}
