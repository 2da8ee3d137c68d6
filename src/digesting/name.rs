//! People's names, folded so that order, accents and punctuation do not matter.

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use super::text::{is_invisible, trim_pasted};

/// The longest name as typed, in bytes. Judgement.
const NAME_BYTES_MAX: usize = 512;

/// Letters that Unicode does not decompose and that people write in two ways.
const LETTERS: &[(char, &str)] =
    &[('ß', "ss"), ('æ', "ae"), ('œ', "oe"), ('ø', "o"), ('ł', "l"), ('đ', "d"), ('ð', "d"), ('þ', "th"), ('ħ', "h"), ('ı', "i")];

/// A person's name, folded: words of lower-case letters and digits without marks, sorted, with one space between them.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName {
    folded: String,
}

/// The text is not a name. No variant shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidName {
    /// No letter and no digit.
    #[error("the name holds no letter")]
    Empty,
    /// More than 512 bytes.
    #[error("the name is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
}

impl PersonName {
    /// Folds a name as it was typed: given and family names in any order, with any accents and punctuation.
    ///
    /// Apostrophes go (`O'Brien` is `obrien`); all else that is neither letter nor digit ends a word (`Smith-Jones` is two).
    ///
    /// # Errors
    /// [`InvalidName`]: send the bundle without the name.
    pub fn parse(typed: &str) -> Result<Self, InvalidName> {
        let typed = trim_pasted(typed);
        if typed.len() > NAME_BYTES_MAX {
            return Err(InvalidName::TooLong);
        }
        let mut words = String::with_capacity(typed.len());
        let unmarked =
            typed.chars().filter(|c| !is_apostrophe(*c) && !is_invisible(*c)).nfkd().flat_map(char::to_lowercase).nfkd();
        for c in unmarked.filter(|c| !is_combining_mark(*c) && !is_apostrophe(*c)) {
            match LETTERS.iter().find(|(letter, _)| *letter == c) {
                Some((_, spelling)) => words.push_str(spelling),
                None if c.is_alphanumeric() => words.push(c),
                None => words.push(' '),
            }
        }
        let mut words: Vec<&str> = words.split_ascii_whitespace().collect();
        if words.is_empty() {
            return Err(InvalidName::Empty);
        }
        words.sort_unstable();
        Ok(Self { folded: words.join(" ") })
    }

    /// The folded name.
    #[must_use]
    pub fn folded(&self) -> &str {
        &self.folded
    }
}

fn is_apostrophe(c: char) -> bool {
    matches!(c, '\'' | '\u{2018}' | '\u{2019}' | '\u{2bc}' | '`' | '\u{b4}')
}

/// Shows nothing of the name.
impl std::fmt::Debug for PersonName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonName([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn folded(typed: &str) -> String {
        PersonName::parse(typed).unwrap().folded
    }

    #[test]
    fn order_accents_case_and_punctuation_do_not_matter() {
        for (one, other) in [
            ("Jane Doe", "DOE, Jane"),
            ("José Ángel Núñez", "jose angel nunez"),
            ("Anne-Marie O’Brien", "O'brien Anne Marie"),
            ("Anne-Marie O´Brien", "O＇Brien Anne\u{ad} Marie"),
            ("Jürgen Groß", "Jurgen Gross"),
            ("Łukasz Sørensen", "Lukasz Sorensen"),
            ("  Jane\u{a0}\tDoe ", "Jane Doe"),
        ] {
            assert_eq!(folded(one), folded(other));
        }
        assert_eq!(folded("Doe, Jane"), "doe jane");
    }

    #[test]
    fn different_people_stay_apart() {
        assert_ne!(folded("Jane Doe"), folded("Jan Doe"));
        assert_ne!(folded("李 小龙"), folded("李 大龙"));
    }

    #[test]
    fn punctuation_alone_is_no_name() {
        assert_eq!(PersonName::parse(" -- ' "), Err(InvalidName::Empty));
        assert_eq!(PersonName::parse(&"x".repeat(600)), Err(InvalidName::TooLong));
    }

    proptest! {
        #[test]
        fn a_folded_name_folds_to_itself(typed in "\\PC{0,30}") {
            if let Ok(name) = PersonName::parse(&typed) {
                prop_assert_eq!(folded(name.folded()), name.folded());
            }
        }
    }
}
