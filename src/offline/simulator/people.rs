//! Synthetic people that others made, embedded from `datasets/people`: records of one person differ by typos.
//!
//! Never panics: damaged files are errors that name the line.

use super::chance::Chance;
use super::mailbox::{self, MailboxHabit};

const FEBRL4: &str = include_str!("../../../datasets/people/febrl4.csv");
const SPLINK: &str = include_str!("../../../datasets/people/splink_fake_1000.csv");

/// Seeds the addresses of FEBRL people, who have none in the source. Changing it changes every scenario.
const FEBRL_EMAIL_SEED: u64 = 0xFEB4;
/// How often the damaged duplicate of a FEBRL person uses the provider of the original. Judgement.
const FEBRL_SAME_PROVIDER: f64 = 0.35;

/// A person, across both files: FEBRL persons first, then Splink's clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonNumber(pub u32);

/// Where a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PeopleSource {
    /// FEBRL 4, Australia.
    Febrl4,
    /// Splink's `fake_1000`, United Kingdom.
    SplinkFake1000,
}

/// One record of a person. Another record of the same person may differ in every field by typos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Who it is.
    pub person: PersonNumber,
    /// Which record of that person, from 0; 0 is the least damaged in FEBRL, any in Splink.
    pub variant: u8,
    /// Which file it comes from.
    pub source: PeopleSource,
    /// Given name; empty when missing.
    pub given_name: String,
    /// Surname; empty when missing.
    pub surname: String,
    /// Date of birth as `YYYYMMDD`, perhaps with typos; empty when missing.
    pub date_of_birth: String,
    /// City or suburb; empty when missing.
    pub city: String,
    /// E-mail address; absent when missing. Derived from the name for FEBRL people.
    pub email: Option<String>,
}

/// Why the embedded files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// A line is not the CSV that the data card describes.
    #[error("line {line} of `{file}` is not as its data card says: {reason}")]
    Line {
        /// Which file.
        file: &'static str,
        /// Counted from 1, the header included.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// All people, grouped by person.
#[derive(Debug, Clone)]
pub struct People {
    records: Vec<Person>,
    /// Where each person's records start; one more entry than persons.
    starts: Vec<usize>,
}

impl People {
    /// Reads the embedded files.
    ///
    /// # Errors
    /// [`PeopleError::Line`] when a file was damaged before it was built in; restore it from the repository.
    pub fn embedded() -> Result<Self, PeopleError> {
        let mut people = Self { records: Vec::with_capacity(11_000), starts: vec![0] };
        people.add_febrl4(FEBRL4)?;
        people.add_splink(SPLINK)?;
        Ok(people)
    }

    /// How many persons there are.
    #[must_use]
    pub fn person_count(&self) -> usize {
        self.starts.len() - 1
    }

    /// All records, in order of person.
    #[must_use]
    pub fn records(&self) -> &[Person] {
        &self.records
    }

    /// The records of one person; empty for a number that is not in use.
    #[must_use]
    pub fn records_of(&self, person: PersonNumber) -> &[Person] {
        let number = person.0 as usize;
        match (self.starts.get(number), self.starts.get(number + 1)) {
            (Some(&start), Some(&end)) => &self.records[start..end],
            _ => &[],
        }
    }

    /// Every pair of records of one person: the ground truth of self-referrals.
    pub fn same_person_pairs(&self) -> impl Iterator<Item = (&Person, &Person)> {
        (0..self.person_count()).flat_map(move |number| {
            let records = self.records_of(PersonNumber(u32::try_from(number).unwrap_or(u32::MAX)));
            records.iter().enumerate().flat_map(move |(at, first)| records[at + 1..].iter().map(move |second| (first, second)))
        })
    }

    /// `count` pairs of records of different persons, drawn at random: the ground truth of honest friends.
    #[must_use]
    pub fn different_people(&self, seed: u64, count: usize) -> Vec<(&Person, &Person)> {
        let mut chance = Chance::new(seed);
        let mut pairs = Vec::with_capacity(count);
        while pairs.len() < count && self.person_count() > 1 {
            let first = &self.records[chance.below(self.records.len())];
            let second = &self.records[chance.below(self.records.len())];
            if first.person != second.person {
                pairs.push((first, second));
            }
        }
        pairs
    }

    fn next_person(&self) -> PersonNumber {
        PersonNumber(u32::try_from(self.person_count()).unwrap_or(u32::MAX))
    }

    fn add_febrl4(&mut self, text: &str) -> Result<(), PeopleError> {
        for row in rows(text, "febrl4.csv", 9) {
            let row = row?;
            let number = self.next_person();
            let birth_year = row.get(3).and_then(|date| date.get(..4)).and_then(|year| year.parse().ok()).unwrap_or(1980);
            let mut chance = Chance::of_subject(FEBRL_EMAIL_SEED, u64::from(number.0));
            let habit = MailboxHabit::draw(&mut chance, birth_year);
            let provider = mailbox::draw_provider(&mut chance);
            let second_provider =
                if chance.happens(FEBRL_SAME_PROVIDER) { provider } else { mailbox::draw_other_provider(&mut chance, provider) };
            for (variant, offset, provider) in [(0, 1, provider), (1, 5, second_provider)] {
                let field = |at: usize| row.get(offset + at).unwrap_or_default().to_owned();
                let email = format!("{}@{provider}", habit.local_part(&field(0), &field(1)));
                self.records.push(Person {
                    person: number,
                    variant,
                    source: PeopleSource::Febrl4,
                    given_name: field(0),
                    surname: field(1),
                    date_of_birth: field(2),
                    city: field(3),
                    email: Some(email),
                });
            }
            self.starts.push(self.records.len());
        }
        Ok(())
    }

    fn add_splink(&mut self, text: &str) -> Result<(), PeopleError> {
        let mut clusters: std::collections::BTreeMap<u32, Vec<csv::StringRecord>> = std::collections::BTreeMap::new();
        for (at, row) in rows(text, "splink_fake_1000.csv", 7).enumerate() {
            let row = row?;
            let cluster = row.get(6).unwrap_or_default();
            let cluster = cluster.trim().parse().map_err(|_| PeopleError::Line {
                file: "splink_fake_1000.csv",
                line: at + 2,
                reason: format!("`{cluster}` is not the number of a cluster"),
            })?;
            clusters.entry(cluster).or_default().push(row);
        }
        for rows in clusters.into_values() {
            let number = self.next_person();
            for (variant, row) in rows.iter().enumerate() {
                let field = |at: usize| row.get(at).unwrap_or_default().to_owned();
                self.records.push(Person {
                    person: number,
                    variant: u8::try_from(variant).unwrap_or(u8::MAX),
                    source: PeopleSource::SplinkFake1000,
                    given_name: field(1),
                    surname: field(2),
                    date_of_birth: field(3).replace('-', ""),
                    city: field(4),
                    email: Some(field(5)).filter(|email| !email.is_empty()),
                });
            }
            self.starts.push(self.records.len());
        }
        Ok(())
    }
}

/// The rows of a file with a header, each checked for its number of columns.
fn rows<'a>(
    text: &'a str,
    file: &'static str,
    columns: usize,
) -> impl Iterator<Item = Result<csv::StringRecord, PeopleError>> + 'a {
    let reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(text.as_bytes());
    reader.into_records().enumerate().map(move |(at, row)| {
        let line = at + 2;
        let row = row.map_err(|error| PeopleError::Line { file, line, reason: error.to_string() })?;
        if row.len() == columns {
            Ok(row)
        } else {
            Err(PeopleError::Line { file, line, reason: format!("it has {} columns instead of {columns}", row.len()) })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_files_hold_what_the_data_card_says() -> Result<(), PeopleError> {
        let people = People::embedded()?;
        assert_eq!(people.person_count(), 5_251);
        assert_eq!(people.records().len(), 11_000);
        assert_eq!(people.same_person_pairs().count(), 7_031);
        Ok(())
    }

    #[test]
    fn same_person_pairs_are_one_person_and_different_people_are_two() -> Result<(), PeopleError> {
        let people = People::embedded()?;
        assert!(people.same_person_pairs().all(|(a, b)| a.person == b.person && a.variant != b.variant));
        let pairs = people.different_people(1, 500);
        assert_eq!(pairs.len(), 500);
        assert!(pairs.iter().all(|(a, b)| a.person != b.person));
        Ok(())
    }

    #[test]
    fn every_febrl_person_has_an_address_and_it_never_changes() -> Result<(), PeopleError> {
        let (once, twice) = (People::embedded()?, People::embedded()?);
        assert_eq!(once.records(), twice.records());
        let febrl = once.records().iter().filter(|person| person.source == PeopleSource::Febrl4);
        assert!(febrl.clone().all(|person| person.email.as_ref().is_some_and(|email| email.contains('@'))));
        assert_eq!(febrl.count(), 10_000);
        Ok(())
    }

    #[test]
    fn a_damaged_line_is_an_error_that_names_it() {
        let mut people = People { records: Vec::new(), starts: vec![0] };
        let result = people.add_febrl4("person,given_name\n1,jane\n");
        assert!(matches!(result, Err(PeopleError::Line { line: 2, .. })), "{result:?}");
    }
}
