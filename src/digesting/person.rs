//! One text form for a person's name and for the name before an @, so that a sketch of one can be compared with a sketch of the other.

use icu_properties::props::{EnumeratedProperty as _, GeneralCategory, GeneralCategoryGroup};

use super::email::{Mailbox, without_tag};
use super::name::{PersonName, words_in_order};

/// Fewer letters than this are the initials of many: `jd@…` says little of Jane Doe. Judgement.
const LETTERS_MIN: usize = 3;

/// Words of letters in the order in which they were typed, folded as names are, with one space between them.
///
/// `Jane Doe` and `jane.doe27+shop@…` are both `jane doe`. An address without separators is one word, `janedoe`: what is sketched of both are
/// the letters as a ring, where that makes no difference.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonText(String);

impl PersonText {
    /// Of a name, its digits dropped. Absent when fewer than three letters are left.
    #[must_use]
    pub fn of_name(name: &PersonName) -> Option<Self> {
        Self::of_words(name.in_order())
    }

    /// Of the name before the @, cut at a `+`, without digits and separators. Absent when fewer than three letters are left.
    #[must_use]
    pub fn of_mailbox(mailbox: &Mailbox) -> Option<Self> {
        Self::of_words(&words_in_order(without_tag(mailbox.local_part(), |c| c == '+')))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of_words(words: &str) -> Option<Self> {
        let is_number = |c: char| GeneralCategoryGroup::Number.contains(GeneralCategory::for_char(c));
        let is_mark = |c: char| GeneralCategoryGroup::Mark.contains(GeneralCategory::for_char(c));
        let letters = words.split(|c: char| c == ' ' || is_number(c));
        // What stood over a digit stands over nothing now.
        let letters: Vec<&str> = letters.map(|word| word.trim_start_matches(is_mark)).filter(|word| !word.is_empty()).collect();
        let count: usize = letters.iter().map(|word| word.chars().count()).sum();
        (count >= LETTERS_MIN).then(|| Self(letters.join(" ")))
    }
}

/// Shows nothing of the name.
impl std::fmt::Debug for PersonText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PersonText([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digesting::{DomainRules, EmailAddress};

    fn of_name(typed: &str) -> Option<String> {
        PersonText::of_name(&PersonName::parse(typed).unwrap()).map(|text| text.0)
    }

    fn of_address(typed: &str) -> Option<String> {
        PersonText::of_mailbox(&EmailAddress::parse(typed).unwrap().mailbox(&DomainRules::SHIPPED)).map(|text| text.0)
    }

    #[test]
    fn an_address_made_of_a_name_has_the_text_of_the_name() {
        for (name, address) in [
            ("Jane Doe", "Jane.Doe27+shop@company.example"),
            ("Anne-Marie O’Brien", "anne_marie.obrien@company.example"),
            ("Łukasz Sørensen", "łukasz-sorensen@company.example"),
            ("Groß, Jürgen", "gross.jurgen@company.example"),
            ("Семён Андреевич", "семен.андреевич@company.example"),
        ] {
            assert_eq!(of_name(name), of_address(address), "{name}");
            assert!(of_name(name).is_some());
        }
    }

    #[test]
    fn aliases_of_one_mailbox_have_one_text() {
        assert_eq!(of_address("J.ane.Doe+x@googlemail.com"), of_address("janedoe@gmail.com"));
    }

    #[test]
    fn fewer_than_three_letters_are_no_text() {
        assert_eq!(of_address("12345678@company.example"), None);
        assert_eq!(of_address("j.d1987@company.example"), None);
        assert_eq!(of_name("Li"), None);
        assert_eq!(of_name("Li Wu").as_deref(), Some("li wu"));
    }

    proptest! {
        #[test]
        fn a_text_is_words_of_letters_and_nothing_else(typed in "\\PC{0,30}") {
            let text = PersonName::parse(&typed).ok().and_then(|name| PersonText::of_name(&name));
            if let Some(PersonText(text)) = text {
                prop_assert!(text.split(' ').all(|word| word.starts_with(|c: char| {
                    GeneralCategoryGroup::Letter.contains(GeneralCategory::for_char(c))
                })), "{:?}", text);
                prop_assert!(!text.contains(|c: char| c.is_numeric()));
            }
        }
    }
}
