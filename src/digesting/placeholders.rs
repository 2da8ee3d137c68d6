//! Placeholders: what programs, forms and people write where there is no value. A placeholder that is digested as if it were a value
//! makes one person of all who have none, so each is refused. `docs/digests.md` prints the table; a test holds the two equal.

use super::text::{fold_case, trim_pasted};

/// What a text is written in place of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlaceholderKind {
    /// Any value.
    Any,
    /// A device fingerprint, a browser's id or a payment instrument.
    Identifier,
    /// A person's name: one whose every word is in the row.
    NameWord,
    /// A mailbox at whatever domain.
    LocalPart,
    /// A mailbox at a domain of either row below.
    MadeUpLocalPart,
    /// A mailbox that is somebody's at most domains (a role, a few letters): made up where the domain is nobody's, or begins with the same word.
    EverydayLocalPart,
    /// The first label of a domain that people make up, and that may be somebody's.
    MadeUpDomain,
    /// The first label of a domain that is nobody's: of RFC 2606, or a template that was not filled in.
    NobodysDomain,
    /// The last label of a domain that no mail reaches, by RFC 2606 and RFC 6761.
    TopLevelDomain,
}

/// Every placeholder, by what it is written in place of.
///
/// Lower case, letters and digits alone: `N/A`, `(null)` and `Not available` are compared as `na`, `null` and `notavailable`.
#[rustfmt::skip] // a list of words reads better in lines than in a column
pub const PLACEHOLDERS: &[(PlaceholderKind, &[&str])] = &[
    (PlaceholderKind::Any, &[
        "null", "nil", "none", "undefined", "unknown", "na", "nan", "notavailable", "notapplicable", "notset", "notprovided",
        "notfound", "novalue", "nodata", "noentry", "empty", "missing", "blank", "void", "unset", "redacted", "removed", "deleted",
        "anonymized", "anonymised", "tbd", "todo", "placeholder", "objectobject", "dbnull", "nullptr", "unbekannt", "inconnu",
        "desconocido", "sconosciuto",
    ]),
    (PlaceholderKind::Identifier, &[
        "true", "false", "error", "invalid", "default", "test", "dummy", "sample", "example", "string", "fake", "anonymous", "guest",
        "fingerprint", "deviceid", "cookie", "disabled", "blocked", "denied", "optedout", "xxx", "asdf", "12345678", "123456789",
        "1234567890", "0123456789", "iban",
        // Android 2.2 gave this id to whole product lines; phones answer the second address to applications that may not read theirs.
        "9774d56d682e549c", "020000000000",
        // MD5, SHA-1, SHA-256 and SHA-512 of the empty text, then MD5, SHA-1 and SHA-256 of `null` and of `undefined`.
        "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
        "37a6259cc0c1dae299a7866489dff0bd", "2be88ca4242c76e8253ac62474851065032d6833",
        "74234e98afe7498fb5daf1f36ac2d78acc339464f950703b8c019892f982b90b",
        "5e543256c480ac577d30f76f9120eb74", "d5d4cd07616a542891b7ec2d0257b3a24b69856e",
        "eb045d78d273107348b0300c01d29b7552d622abbc6faf81b3ec55359aa9950c",
    ]),
    (PlaceholderKind::NameWord, &[
        "null", "nil", "none", "undefined", "unknown", "nan", "anonymous", "anonym", "test", "tester", "testing", "user", "username",
        "customer", "guest", "name", "noname", "first", "last", "firstname", "lastname", "fullname", "surname", "your", "dummy",
        "sample", "example", "placeholder", "deleted", "removed", "redacted", "empty", "asdf", "qwerty", "xx", "xxx", "xxxx", "unbekannt",
    ]),
    (PlaceholderKind::LocalPart, &[
        "null", "nil", "none", "undefined", "unknown", "nan", "noemail", "nomail", "noaddress", "noreply", "donotreply",
        "notprovided", "notavailable", "unknownemail", "emailunknown", "placeholder", "nullnull", "undefinedundefined",
    ]),
    (PlaceholderKind::MadeUpLocalPart, &[
        "test", "tester", "testing", "testtest", "test1", "test123", "user", "username", "name", "yourname", "firstnamelastname",
        "youremail", "myemail", "example", "sample", "dummy", "fake", "asdf", "qwerty", "foo", "foobar", "xxx", "none", "nobody",
        "anonymous",
    ]),
    (PlaceholderKind::EverydayLocalPart, &[
        "admin", "info", "mail", "email", "guest", "me", "no", "na", "abc", "bar", "a", "aa", "aaa", "x", "xx", "1", "123",
    ]),
    (PlaceholderKind::MadeUpDomain, &[
        "test", "tester", "testing", "sample", "dummy", "fake", "domain", "asdf", "qwerty", "abc", "foo", "bar", "foobar", "a", "aa",
        "aaa", "x", "xx", "xxx", "na", "no", "none", "unknown", "nowhere",
    ]),
    (PlaceholderKind::NobodysDomain, &[
        "example", "yourdomain", "mydomain", "yourcompany", "noemail", "nomail", "null", "undefined", "placeholder", "localhost",
    ]),
    (PlaceholderKind::TopLevelDomain, &["invalid", "localhost"]),
];

/// The last labels of domains for tests and documents, by RFC 2606.
const RESERVED_ENDINGS: [&str; 2] = ["test", "example"];

/// A text of one character throughout is a placeholder from this length on, in letters and digits; of zeros at any length. Judgement.
const REPEATED_CHARS_MIN: usize = 8;

/// Whether the text says that there is no value, whatever the value would be.
#[must_use]
pub fn is_placeholder(typed: &str) -> bool {
    let squeezed = squeezed(typed);
    !trim_pasted(typed).is_empty() && (squeezed.is_empty() || is_listed(PlaceholderKind::Any, &squeezed))
}

/// Whether the text stands where an identifier is missing: no value at all, a made-up one, zeros, or the hash of nothing.
pub(super) fn is_placeholder_identifier(typed: &str) -> bool {
    let squeezed = squeezed(typed);
    is_placeholder(typed) || is_listed(PlaceholderKind::Identifier, &squeezed) || is_one_character(&squeezed)
}

/// Whether a name, typed and folded, is of nobody. `Na` is a family name, and `Jennifer Null` a person.
pub(super) fn is_placeholder_name(typed: &str, folded: &str) -> bool {
    let written_apart = trim_pasted(&fold_case(typed)).contains(|c: char| !c.is_alphanumeric());
    (written_apart && is_placeholder(typed))
        || folded.split(' ').all(|word| is_listed(PlaceholderKind::NameWord, word))
        || !folded.contains(char::is_alphabetic)
}

/// Whether an address, folded, is nobody's mailbox.
pub(super) fn is_placeholder_email(local_part: &str, domain: &str) -> bool {
    let local_part = squeezed(local_part);
    let last = domain.rsplit('.').next().unwrap_or_default();
    is_listed(PlaceholderKind::LocalPart, &local_part)
        || is_listed(PlaceholderKind::TopLevelDomain, last)
        || label_of_whole_domain(domain).is_some_and(|label| is_made_up(&local_part, &squeezed(label), last))
}

fn is_made_up(local_part: &str, label: &str, last: &str) -> bool {
    let made_up_domain = is_listed(PlaceholderKind::MadeUpDomain, label);
    let nobodys = is_listed(PlaceholderKind::NobodysDomain, label) || (made_up_domain && RESERVED_ENDINGS.contains(&last));
    if is_listed(PlaceholderKind::MadeUpLocalPart, local_part) {
        made_up_domain || nobodys
    } else {
        let of_one_word = made_up_domain && local_part == label;
        is_listed(PlaceholderKind::EverydayLocalPart, local_part) && (of_one_word || nobodys)
    }
}

/// The first label of a domain that is that label and the ending of a country or of a kind of owner. Below another's domain (`bar.duckdns.org`,
/// `test.company.example`) a label is a host that somebody named, and tells nothing.
fn label_of_whole_domain(domain: &str) -> Option<&str> {
    let (label, ending) = domain.split_once('.')?;
    let is_ending = match ending.split_once('.') {
        None => true,
        Some((kind, country)) => ["co", "com", "net", "org"].contains(&kind) && !country.contains('.'),
    };
    is_ending.then_some(label)
}

fn is_listed(kind: PlaceholderKind, squeezed: &str) -> bool {
    PLACEHOLDERS.iter().any(|(of, texts)| *of == kind && texts.contains(&squeezed))
}

/// Lower case, letters and digits alone.
fn squeezed(typed: &str) -> String {
    fold_case(typed).chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Zeros throughout (with or without `0x`), or eight or more of another character: the nil and the greatest UUID, `ffffffff`.
fn is_one_character(squeezed: &str) -> bool {
    let digits = squeezed.strip_prefix("0x").unwrap_or(squeezed);
    let mut chars = digits.chars();
    let Some(first) = chars.next() else { return false };
    chars.all(|c| c == first) && (first == '0' || digits.chars().count() >= REPEATED_CHARS_MIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::{Digest as _, Sha256, Sha512};

    use super::*;

    #[test]
    fn nothing_is_found_however_it_is_written() {
        for typed in [
            "null",
            "NULL",
            " Null ",
            "(null)",
            "\"null\"",
            "<null>",
            "undefined",
            "Unknown",
            "N/A",
            "n.a.",
            "NaN",
            "none",
            "-",
            "--",
            "...",
            "?",
            "***",
            "[object Object]",
            "Not available",
            "NOT_SET",
            "ｎｕｌｌ",
        ] {
            assert!(is_placeholder(typed) && is_placeholder_identifier(typed), "{typed}");
        }
    }

    #[test]
    fn identifiers_of_nothing_are_found() {
        for typed in [
            "0",
            "0000000000",
            "0x0000",
            "00000000-0000-0000-0000-000000000000",
            "{00000000-0000-0000-0000-000000000000}",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "00:00:00:00:00:00",
            "02:00:00:00:00:00",
            "test",
            "string",
            "xxxxxxxxxxxx",
            "D41D8CD98F00B204E9800998ECF8427E",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "9774d56d682e549c",
        ] {
            assert!(is_placeholder_identifier(typed), "{typed}");
        }
        for typed in
            ["fp_8f3a", "ck-Ab1", "card-1", "d1", "12345", "unknown-4711", "00000000-0000-0000-0000-000000000001", "nullable"]
        {
            assert!(!is_placeholder_identifier(typed), "{typed}");
        }
    }

    #[test]
    fn the_hashes_of_nothing_are_those_of_nothing() {
        for text in ["", "null", "undefined"] {
            assert!(is_placeholder_identifier(&hex::encode(Sha256::digest(text))), "{text}");
        }
        assert!(is_placeholder_identifier(&hex::encode(Sha512::digest(""))));
    }

    #[test]
    fn a_name_of_nobody_is_found_and_people_of_such_names_are_not() {
        for (typed, folded) in [
            ("N/A", "a n"),
            ("unknown", "unknown"),
            ("Test User", "test user"),
            ("NULL null", "null null"),
            ("--", ""),
            ("12 34", "12 34"),
        ] {
            assert!(is_placeholder_name(typed, folded), "{typed}");
        }
        for (typed, folded) in [("Jennifer Null", "jennifer null"), ("Na", "na"), ("Test Jane", "jane test"), ("李", "李")] {
            assert!(!is_placeholder_name(typed, folded), "{typed}");
        }
    }

    #[test]
    fn a_mailbox_of_nobody_is_found_and_an_examples_is_not() {
        for (local_part, domain) in [
            ("test", "test.com"),
            ("test", "test.test"),
            ("a", "a.com"),
            ("null", "gmail.com"),
            ("no-email", "company.example"),
            ("no.reply", "company.example"),
            ("jane", "gone.invalid"),
            ("user", "example.com"),
            ("info", "example.com"),
            ("admin", "test.test"),
            ("admin", "foo.example"),
            ("info", "yourdomain.com"),
            ("test", "test.de"),
            ("foo", "bar.com"),
            ("test", "test.co.uk"),
            ("abc", "abc.com.br"),
        ] {
            assert!(is_placeholder_email(local_part, domain), "{local_part}@{domain}");
        }
        for (local_part, domain) in [
            ("jane", "example.com"),
            ("test", "gmail.com"),
            ("info", "company.example"),
            ("jane", "test.com"),
            ("a", "company.example"),
            ("test", "test.company.example"),
            ("admin", "bar.de"),
            ("info", "abc.com"),
            ("mail", "x.com"),
            ("me", "a.org"),
        ] {
            assert!(!is_placeholder_email(local_part, domain), "{local_part}@{domain}");
        }
    }

    #[test]
    fn whoever_has_a_name_at_a_dynamic_dns_domain_has_mailboxes_there() {
        let domains = include_str!("lists/dynamic_dns_domains.txt").lines().filter(|line| !line.starts_with('#'));
        for domain in domains {
            for (local_part, host) in
                [("admin", "bar"), ("me", "a"), ("info", "test"), ("test", "test"), ("jane", "foo"), ("foo", "foo")]
            {
                let domain = format!("{host}.{domain}");
                assert!(!is_placeholder_email(local_part, &domain), "{local_part}@{domain}");
            }
            assert!(!is_placeholder_email("admin", domain), "admin@{domain}");
        }
    }

    #[test]
    fn the_table_is_written_as_texts_are_compared() {
        for (kind, texts) in PLACEHOLDERS {
            for text in *texts {
                assert_eq!(squeezed(text), *text, "{kind:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_random_identifier_is_a_value(bytes in any::<[u8; 16]>().prop_filter("varied", |b| b.iter().any(|x| *x != b[0]))) {
            prop_assert!(!is_placeholder_identifier(&hex::encode(bytes)));
        }

        #[test]
        fn punctuation_around_a_placeholder_hides_nothing(
            word in prop::sample::select(PLACEHOLDERS[0].1), before in "[ (\\[<'\"-]{0,3}", after in "[ )\\]>'\".-]{0,3}"
        ) {
            let (typed, capitals) = (format!("{before}{word}{after}"), format!("{before}{}{after}", word.to_uppercase()));
            prop_assert!(is_placeholder(&typed) && is_placeholder(&capitals));
        }
    }
}
