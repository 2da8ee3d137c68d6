//! International bank account numbers (ISO 13616): one text for each account, with its check digits verified.

/// The length of each country's numbers, from the registry of SWIFT (release 99). `docs/digests.md` prints the same.
#[rustfmt::skip] // a table of countries reads better in lines than in a column
pub const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24), ("AE", 23), ("AL", 28), ("AT", 20), ("AZ", 28), ("BA", 20), ("BE", 16), ("BG", 22), ("BH", 22), ("BI", 27), ("BR", 29),
    ("BY", 28), ("CH", 21), ("CR", 22), ("CY", 28), ("CZ", 24), ("DE", 22), ("DJ", 27), ("DK", 18), ("DO", 28), ("EE", 20), ("EG", 29),
    ("ES", 24), ("FI", 18), ("FK", 18), ("FO", 18), ("FR", 27), ("GB", 22), ("GE", 22), ("GI", 23), ("GL", 18), ("GR", 27), ("GT", 28),
    ("HN", 28), ("HR", 21), ("HU", 28), ("IE", 22), ("IL", 23), ("IQ", 23), ("IS", 26), ("IT", 27), ("JO", 30), ("KW", 30), ("KZ", 20),
    ("LB", 28), ("LC", 32), ("LI", 21), ("LT", 20), ("LU", 20), ("LV", 21), ("LY", 25), ("MC", 27), ("MD", 24), ("ME", 22), ("MK", 19),
    ("MN", 20), ("MR", 27), ("MT", 31), ("MU", 30), ("NI", 28), ("NL", 18), ("NO", 15), ("OM", 23), ("PK", 24), ("PL", 28), ("PS", 29),
    ("PT", 25), ("QA", 29), ("RO", 24), ("RS", 22), ("RU", 33), ("SA", 24), ("SC", 31), ("SD", 18), ("SE", 24), ("SI", 19), ("SK", 24),
    ("SM", 27), ("SO", 23), ("ST", 25), ("SV", 28), ("TL", 23), ("TN", 24), ("TR", 26), ("UA", 29), ("VA", 22), ("VG", 24), ("XK", 20),
    ("YE", 30),
];

/// A text that is nearly this much shorter or longer than its country's numbers was meant as one. Judgement.
const LENGTH_SLIP_MAX: usize = 2;

/// The text was meant as an IBAN and is none. Shows no digit of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidIban {
    /// The check digits say that a character is wrong.
    #[error("looks like an IBAN, but its check digits do not fit: a character is wrong or two are swapped")]
    CheckDigits,
    /// Too few or too many characters.
    #[error("looks like an IBAN, but has {found} letters and digits; one of this country has {expected}")]
    Length {
        /// How many it has.
        found: usize,
        /// How many it should have.
        expected: usize,
    },
}

/// The IBAN in capitals without separators; `None` for a text that was not meant as one.
///
/// Meant as one is: two letters of a country with IBANs, two digits, then letters and digits, as many as the country has or nearly
/// so, with or without separators. A text without separators in which capitals and small letters mix is somebody's fingerprint,
/// unless its check digits fit. The word `IBAN` before it, with `:` or separators or without, is no part of it.
///
/// # Errors
/// [`InvalidIban`]: ask for the number again.
pub(super) fn canonical_iban(typed: &str) -> Option<Result<String, InvalidIban>> {
    match without_label(typed) {
        // `IBANDE89…` without a separator is a label only if a number follows it.
        Some(number) if number.len() + LABEL.len() == typed.len() => number_of(number, Meant::ByItsShape).filter(Result::is_ok),
        Some(number) => number_of(number, Meant::ByItsLabel),
        None => number_of(typed, Meant::ByItsShape),
    }
}

/// What people write before the number. No country has the code `IB`.
const LABEL: &str = "IBAN";

/// What stands behind the label; `None` when there is no label.
pub(super) fn without_label(typed: &str) -> Option<&str> {
    let (label, rest) = typed.split_at_checked(LABEL.len())?;
    label.eq_ignore_ascii_case(LABEL).then(|| rest.trim_start_matches(|c| is_separator(c) || c == ':'))
}

/// How a text tells that it was meant as an IBAN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meant {
    ByItsLabel,
    ByItsShape,
}

fn number_of(typed: &str, meant: Meant) -> Option<Result<String, InvalidIban>> {
    let kept: String = typed.chars().filter(|c| !is_separator(*c)).collect();
    let iban = kept.to_ascii_uppercase();
    let country = iban.get(..2)?;
    let (_, expected) = *IBAN_LENGTHS.iter().find(|(code, _)| *code == country)?;
    let rest = iban.get(2..)?;
    if !(rest.bytes().take(2).all(|b| b.is_ascii_digit()) && rest.bytes().all(|b| b.is_ascii_alphanumeric())) {
        return None;
    }
    let one_case = kept == iban || kept == iban.to_ascii_lowercase();
    let is_separated = kept.len() < typed.len() || meant == Meant::ByItsLabel;
    if iban.len() == expected {
        return match remainder(&iban) {
            1 => Some(Ok(iban)),
            _ if one_case || is_separated => Some(Err(InvalidIban::CheckDigits)),
            _ => None,
        };
    }
    let is_near = iban.len().abs_diff(expected) <= LENGTH_SLIP_MAX;
    (is_separated || (is_near && one_case)).then_some(Err(InvalidIban::Length { found: iban.len(), expected }))
}

pub(super) fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '.' | '/' | '\u{2010}'..='\u{2015}')
}

/// ISO 7064, MOD 97-10: the first four characters behind the others, letters as 10 to 35. A valid number leaves 1.
fn remainder(iban: &str) -> u32 {
    let (head, tail) = iban.split_at_checked(4).unwrap_or((iban, ""));
    tail.chars().chain(head.chars()).filter_map(|c| c.to_digit(36)).fold(0, |rest, value| {
        let shift = if value < 10 { 10 } else { 100 };
        (rest * shift + value) % 97
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_iban_has_one_text_however_it_was_written() {
        for typed in [
            "AT61 1904 3002 3457 3201",
            "at611904300234573201",
            "AT61-1904-3002-3457-3201",
            "At61\u{a0}1904300234573201",
            "IBAN: AT61 1904 3002 3457 3201",
            "iban AT61 1904 3002 3457 3201",
            "Iban:at61-1904-3002-3457-3201",
            "IBAN - AT611904300234573201",
            "IBANAT611904300234573201",
            "IBAN\u{a0}At611904300234573201",
        ] {
            assert_eq!(canonical_iban(typed), Some(Ok("AT611904300234573201".to_owned())), "{typed}");
        }
        for typed in
            ["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "NO93 8601 1117 947", "FR1420041010050500013M02606"]
        {
            assert!(matches!(canonical_iban(typed), Some(Ok(_))), "{typed}");
        }
    }

    #[test]
    fn a_wrong_iban_says_what_is_wrong() {
        assert_eq!(canonical_iban("AT61 1904 3002 3457 3210"), Some(Err(InvalidIban::CheckDigits)));
        let short = Some(Err(InvalidIban::Length { found: 19, expected: 20 }));
        assert_eq!(canonical_iban("AT61 1904 3002 3457 320"), short);
        assert_eq!(canonical_iban("at61190430023457320"), short);
        assert_eq!(canonical_iban("IBAN: AT61 1904 3002 3457 320"), short);
        assert_eq!(canonical_iban("IBAN: At61aBcDeFgHiJkLmNoP"), Some(Err(InvalidIban::CheckDigits)));
    }

    #[test]
    fn fingerprints_are_not_ibans() {
        for typed in [
            "Xt5EWLLDS7FJjR1c",
            "card_fp_1",
            "de12ab34ef56ab34ef56ab34ef56ab34ef56",
            "BE12aBcDeF345678",
            "zz12345678901234",
            "4242",
            "iban_fp_1",
            "IBAN: card_fp_1",
            "ibanAt61aBcDeFgHiJkLmNoP",
        ] {
            assert_eq!(canonical_iban(typed), None, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn no_single_slip_is_taken(at in 4_usize..20, digit in 0_u32..10) {
            let valid = "AT611904300234573201";
            let slip: String =
                valid.chars().enumerate().map(|(i, c)| if i == at { char::from_digit(digit, 10).unwrap() } else { c }).collect();
            prop_assert_eq!(matches!(canonical_iban(&slip), Some(Ok(_))), slip == valid);
        }

        #[test]
        fn every_country_has_numbers_that_are_taken(at in 0..IBAN_LENGTHS.len(), account in any::<u64>()) {
            let (country, length) = IBAN_LENGTHS[at];
            let account: String = format!("{account:020}{account:020}").chars().take(length - 4).collect();
            let check = 98 - remainder(&format!("{country}00{account}"));
            let iban = format!("{country}{check:02}{account}");
            prop_assert_eq!(canonical_iban(&iban.to_lowercase()), Some(Ok(iban)));
        }
    }
}
