//! Personal data by their shape: e-mail addresses, phone numbers, numbers of payment cards. What has such a shape is refused where it could be kept.
//!
//! The rule errs on the side of letting through: what is refused by mistake stops a payout, and what passes by mistake is one datum in one note. Ids may be
//! any number of any length; a note may quote dates, amounts, versions, UUIDs and ids.

use std::fmt;

/// What something looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PersonalDatum {
    /// Something, `@`, and a domain with a dot.
    EmailAddress,
    /// 8 to 15 digits after `+` or `00`, or 9 to 13 in groups that begin with 0.
    PhoneNumber,
    /// 13 to 19 digits of a card scheme whose check digit is right.
    CardNumber,
}

impl fmt::Display for PersonalDatum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmailAddress => "an e-mail address",
            Self::PhoneNumber => "a phone number",
            Self::CardNumber => "the number of a payment card",
        })
    }
}

/// What a text that people write holds; `None` when nothing is found.
#[must_use]
pub fn in_text(text: &str) -> Option<PersonalDatum> {
    if holds_email(text) {
        return Some(PersonalDatum::EmailAddress);
    }
    numbers(text).find_map(|number| {
        if is_card(&number.digits) {
            Some(PersonalDatum::CardNumber)
        } else if is_phone(&number) {
            Some(PersonalDatum::PhoneNumber)
        } else {
            None
        }
    })
}

/// What a text that machines write holds, such as a user agent: there is no telling phone numbers from versions in these.
#[must_use]
pub fn in_machine_text(text: &str) -> Option<PersonalDatum> {
    in_text(text).filter(|datum| *datum != PersonalDatum::PhoneNumber)
}

/// What an id is; `None` for what may be one. A bare number may, however long it is: cards in groups of four and phone numbers with `+` are none.
#[must_use]
pub fn in_id(id: &str) -> Option<PersonalDatum> {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if id.strip_prefix('+').is_some_and(|rest| (8..=15).contains(&rest.len()) && digits(rest)) {
        return Some(PersonalDatum::PhoneNumber);
    }
    let groups: Vec<&str> = id.split(['-', '.', '_']).collect();
    let in_fours = groups.len() == 4 && groups.iter().all(|group| group.len() == 4 && digits(group));
    (in_fours && is_card(&groups.concat())).then_some(PersonalDatum::CardNumber)
}

fn holds_email(text: &str) -> bool {
    text.match_indices('@').any(|(at, _)| {
        let before =
            text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%'));
        let domain: &str =
            text[at + 1..].split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-'))).next().unwrap_or_default();
        let named = domain.trim_end_matches(['.', '-']).rsplit_once('.');
        before
            && named
                .is_some_and(|(host, top)| !host.is_empty() && top.chars().count() >= 2 && top.chars().all(char::is_alphabetic))
    })
}

/// Digits with what stands between them, bounded by something that is no part of a word.
struct Number {
    digits: String,
    /// Whether it begins with `+`.
    plus: bool,
    /// Groups of digits.
    groups: usize,
}

/// The numbers of a text, with the separators that people write inside of them.
fn numbers(text: &str) -> impl Iterator<Item = Number> {
    let in_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | ' ' | '-' | '(' | ')' | '/' | '\u{a0}');
    let mut found = Vec::new();
    let mut rest = text;
    let mut before: Option<char> = None;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit() || matches!(c, '+' | '(')) {
        before = rest[..start].chars().next_back().or(before);
        let run: &str = rest[start..].split(|c: char| !in_number(c)).next().unwrap_or_default();
        let trimmed = run.trim_end_matches(|c: char| !c.is_ascii_digit());
        let after = rest[start + trimmed.len()..].chars().next();
        let part_of_a_word =
            |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '#' | ':' | '=' | '.'));
        let ends_in_a_word = after.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ':'));
        if !part_of_a_word(before) && !ends_in_a_word {
            let digits: String = trimmed.chars().filter(char::is_ascii_digit).collect();
            let groups = trimmed.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty()).count();
            found.push(Number { digits, plus: trimmed.starts_with('+') || trimmed.starts_with("(+"), groups });
        }
        let end = start + trimmed.len().max(1);
        before = rest[..end].chars().next_back();
        rest = &rest[end..];
    }
    found.into_iter()
}

fn is_phone(Number { digits, plus, groups }: &Number) -> bool {
    let length = digits.len();
    if *plus {
        return (8..=15).contains(&length);
    }
    if let Some(rest) = digits.strip_prefix("00") {
        return *groups > 1 && (8..=15).contains(&rest.len());
    }
    digits.starts_with('0') && *groups > 1 && (9..=13).contains(&length)
}

/// Whether digits are the number of a card: the length and the beginning of a scheme, and the check digit of ISO/IEC 7812 (Luhn).
fn is_card(digits: &str) -> bool {
    let begins = |from: u32, to: u32, length: usize| {
        digits.get(..length).and_then(|head| head.parse::<u32>().ok()).is_some_and(|head| (from..=to).contains(&head))
    };
    let scheme = match digits.len() {
        13 | 19 => begins(4, 4, 1) || begins(62, 62, 2),
        14 => begins(36, 36, 2) || begins(38, 39, 2) || begins(300, 305, 3),
        15 => begins(34, 34, 2) || begins(37, 37, 2),
        16 => {
            begins(4, 4, 1)
                || begins(51, 55, 2)
                || begins(2221, 2720, 4)
                || begins(6011, 6011, 4)
                || begins(65, 65, 2)
                || begins(35, 35, 2)
                || begins(62, 62, 2)
        }
        _ => false,
    };
    scheme && luhn(digits)
}

fn luhn(digits: &str) -> bool {
    let doubled = |digit: u32| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let digits = digits.bytes().rev().map(|byte| u32::from(byte.saturating_sub(b'0')));
    let sum: u32 = digits.enumerate().map(|(place, digit)| if place % 2 == 1 { doubled(digit) } else { digit }).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_numbers_and_cards_are_found_in_what_people_write() {
        use PersonalDatum::{CardNumber, EmailAddress, PhoneNumber};

        for (text, found) in [
            ("wrote to jane.doe+x@mail.example.com yesterday", EmailAddress),
            ("(jörg@bücher.example)", EmailAddress),
            ("call +49 170 1234567", PhoneNumber),
            ("+4917012345678", PhoneNumber),
            ("0049 30 901820", PhoneNumber),
            ("phone: 030 90 18 20 0", PhoneNumber),
            ("(030) 901820-0", PhoneNumber),
            ("paid with 4111 1111 1111 1111", CardNumber),
            ("5500-0000-0000-0004,", CardNumber),
            ("378282246310005", CardNumber),
        ] {
            assert_eq!(in_text(text), Some(found), "{text}");
        }
    }

    #[test]
    fn what_notes_are_full_of_is_let_through() {
        for text in [
            "",
            "both live at the same address; see cv-12345678901234567",
            "case-4111111111111111 and rw_4111111111111111",
            "0b9c5f64-3d3a-4a27-9d51-0e1f6b0a7c11",
            "00000000-0000-0000-0000-000000000000",
            "on 2026-11-28 10:00 and 01.12.2026, 28/11/2026",
            "20261128100000 4111111111111112",
            "1790000000000 ms, 12,345.67 EUR, 1 234 567",
            "v1.2.3 of 4.0.0.17, 10.0.0.1",
            "@reviewer: look at this @ 10",
            "a@b",
            "order #4111111111111111",
            "50 of 100, 0 of 3, 00",
        ] {
            assert_eq!(in_text(text), None, "{text}");
        }
        assert_eq!(in_machine_text("Mozilla/5.0 (Linux; Android 14) +0049 30 901820"), None);
        assert!(in_machine_text("bot (+mailto:bot@example.com)").is_some());
    }

    #[test]
    fn a_number_of_any_length_may_be_an_id() {
        for id in [
            "4111111111111111",
            "4917012345678",
            "0301234567",
            "378282246310005",
            "1111-1111-1111-1111",
            "cv-4111-1111-1111-1111",
            "+1",
        ] {
            assert_eq!(in_id(id), None, "{id}");
        }
        assert_eq!(in_id("4111-1111-1111-1111"), Some(PersonalDatum::CardNumber));
        assert_eq!(in_id("+4917012345678"), Some(PersonalDatum::PhoneNumber));
    }

    proptest! {
        #[test]
        fn uuids_are_never_taken_for_anything(bytes in any::<[u8; 16]>()) {
            let id = uuid::Uuid::from_bytes(bytes).to_string();
            prop_assert_eq!(in_id(&id), None);
            prop_assert_eq!(in_text(&format!("see {id}.")), None);
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,200}") {
            let _ = (in_text(&text), in_id(&text), in_machine_text(&text));
        }

        #[test]
        fn bare_numbers_are_ids(number in any::<u128>()) {
            prop_assert_eq!(in_id(&number.to_string()), None);
        }
    }
}
