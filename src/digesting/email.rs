//! E-mail addresses: the canonical form, and what is left of it as providers' aliases, digits and the domain are folded away.
//!
//! Errors name what is wrong and never show the address.

use super::domains::{DomainRules, Plus};
use super::placeholders::{is_placeholder, is_placeholder_email};
use super::providers::{Provider, Subdomains};
use super::text::{fold_case, is_invisible, trim_pasted};

/// The longest address, in bytes (RFC 5321, 4.5.3.1.3, without the angle brackets).
const ADDRESS_BYTES_MAX: usize = 254;
/// The longest local part, in bytes (RFC 5321, 4.5.3.1.1).
const LOCAL_PART_BYTES_MAX: usize = 64;
/// Fewer characters than this say nothing once the digits are gone: `a1@…` and `a2@…` are not one person's pattern. Judgement.
const PATTERN_CHARS_MIN: usize = 3;

/// A valid address in its exact form: white space trimmed, lower-cased, the domain in ASCII.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress {
    local_part: String,
    domain: String,
}

/// A mailbox: an address with the aliases folded that its provider delivers to one inbox.
#[derive(Clone, PartialEq, Eq)]
pub struct Mailbox {
    local_part: String,
    domain: String,
}

/// The text is not an e-mail address. No variant shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidEmail {
    /// Nothing but white space.
    #[error("the e-mail address is empty")]
    Empty,
    /// No `@`.
    #[error("the e-mail address has no `@`")]
    NoAt,
    /// Nothing before the `@`.
    #[error("the e-mail address has nothing before the `@`")]
    EmptyLocalPart,
    /// Nothing after the `@`.
    #[error("the e-mail address has nothing after the `@`")]
    EmptyDomain,
    /// More than 64 bytes before the `@`.
    #[error("the part before the `@` is longer than {LOCAL_PART_BYTES_MAX} bytes")]
    LocalPartTooLong,
    /// More than 254 bytes.
    #[error("the e-mail address is longer than {ADDRESS_BYTES_MAX} bytes")]
    TooLong,
    /// A character that no mailbox name has outside quotes.
    #[error(
        "the part before the `@` holds a space, a quote, a bracket, a comma, a colon, a semicolon, a backslash, a second `@` or an unprintable character"
    )]
    LocalPartCharacter,
    /// `user@[192.0.2.1]`.
    #[error("the e-mail address names an IP address instead of a domain")]
    AddressLiteral,
    /// `user@localhost`.
    #[error("the domain has no dot, so it is not a domain of the internet")]
    DomainWithoutDot,
    /// Not a host name: a wrong character, an empty or too long label, or broken Unicode.
    #[error("the domain is not a valid host name")]
    InvalidDomain,
    /// `test@test.com`, `null@…`, `no-reply@…`.
    #[error("is a placeholder (such as `n/a` or an address made up for a form), not an e-mail address; leave it empty")]
    Placeholder,
}

impl EmailAddress {
    /// Takes a text as it was typed: trims it, folds Unicode forms and case, and writes the domain in ASCII.
    ///
    /// # Errors
    /// [`InvalidEmail`]: ask the user again, or send the bundle without e-mail.
    pub fn parse(typed: &str) -> Result<Self, InvalidEmail> {
        let typed = trim_pasted(typed);
        if typed.is_empty() {
            return Err(InvalidEmail::Empty);
        }
        // A long text is refused before any work is done on it. Folding can shorten a text, hence the margin.
        if typed.len() > 4 * ADDRESS_BYTES_MAX {
            return Err(InvalidEmail::TooLong);
        }
        if is_placeholder(typed) {
            return Err(InvalidEmail::Placeholder);
        }
        let folded = fold_case(typed);
        let (local_part, domain) = folded.rsplit_once('@').ok_or(InvalidEmail::NoAt)?;
        check_local_part(local_part)?;
        let domain = ascii_domain(domain)?;
        if local_part.len() + 1 + domain.len() > ADDRESS_BYTES_MAX {
            return Err(InvalidEmail::TooLong);
        }
        if is_placeholder_email(local_part, &domain) {
            return Err(InvalidEmail::Placeholder);
        }
        Ok(Self { local_part: local_part.to_owned(), domain })
    }

    /// The exact form, `local@domain`.
    #[must_use]
    pub fn exact(&self) -> String {
        format!("{}@{}", self.local_part, self.domain)
    }

    /// The domain in ASCII, as it was typed.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The mailbox that the address is delivered to, as far as its provider's published rules and the caller's own tell.
    #[must_use]
    pub fn mailbox(&self, rules: &DomainRules) -> Mailbox {
        let plus = rules.plus(&self.domain);
        let Some((provider, account)) = Provider::of_domain(&self.domain) else {
            // Companies, schools, people's own domains: nobody knows what a `+` means there, unless the caller does.
            return match plus {
                Plus::Folded => self.without_plus(),
                Plus::Kept | Plus::AsProvider => Mailbox { local_part: self.local_part.clone(), domain: self.domain.clone() },
            };
        };
        let (name, domain) = match (provider.subdomains, account) {
            (Subdomains::Account, Some((account, parent))) => (account, parent),
            (Subdomains::Account, None) | (Subdomains::Unknown, _) => (self.local_part.as_str(), self.domain.as_str()),
        };
        Mailbox { local_part: provider.folded(name, plus), domain: provider.canonical_domain.unwrap_or(domain).to_owned() }
    }

    /// The address cut at its `+`, where nobody knows whether the `+` begins a tag. Absent where the mailbox has the answer.
    ///
    /// There too when the address has no `+`, so that `anna` and `anna+1` agree. Weaker than the mailbox: it finds the aliases that one
    /// person makes at a company's domain, and `team+anna` and `team+bob`, who are two. It is for review and must never reject.
    #[must_use]
    pub fn plus_folded(&self, rules: &DomainRules) -> Option<Mailbox> {
        match rules.plus(&self.domain) {
            Plus::Folded => None,
            Plus::AsProvider if Provider::of_domain(&self.domain).is_some() => None,
            Plus::Kept | Plus::AsProvider => Some(self.without_plus()),
        }
    }

    fn without_plus(&self) -> Mailbox {
        Mailbox { local_part: without_tag(&self.local_part, |c| c == '+').to_owned(), domain: self.domain.clone() }
    }
}

impl Mailbox {
    /// The mailbox as an address, `local@domain`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}@{}", self.local_part, self.domain)
    }

    /// The mailbox without digits, so that `jane.doe1` to `jane.doe9` agree.
    ///
    /// Separators left at the ends go too, a `+` among them: `anna+1` and `anna+2` agree where the `+` is not known to begin a tag. Absent when fewer than three characters would remain.
    #[must_use]
    pub fn pattern(&self) -> Option<String> {
        let letters: String = self.local_part.chars().filter(|c| !c.is_ascii_digit()).collect();
        let letters = letters.trim_matches(|c| is_separator(c) || c == '+');
        (letters.chars().count() >= PATTERN_CHARS_MIN).then(|| format!("{letters}@{}", self.domain))
    }

    /// The local part, with the provider's aliases folded.
    #[must_use]
    pub fn local_part(&self) -> &str {
        &self.local_part
    }

    /// The local part without `.`, `_` and `-`: the same name at another provider, whose rules on dots may differ.
    #[must_use]
    pub fn bare_local_part(&self) -> String {
        without(&self.local_part, is_separator)
    }

    /// The domain, with the provider's alias domains folded.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

/// Cuts at the first tag separator that is not the first character.
pub(super) fn without_tag(local_part: &str, begins_tag: impl Fn(char) -> bool) -> &str {
    let cut = local_part.char_indices().skip(1).find(|(_, c)| begins_tag(*c));
    cut.and_then(|(at, _)| local_part.get(..at)).unwrap_or(local_part)
}

/// Takes the characters out, unless nothing would remain.
pub(super) fn without(local_part: &str, unwanted: impl Fn(char) -> bool) -> String {
    let kept: String = local_part.chars().filter(|c| !unwanted(*c)).collect();
    if kept.is_empty() { local_part.to_owned() } else { kept }
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | '_' | '-')
}

fn check_local_part(local_part: &str) -> Result<(), InvalidEmail> {
    if local_part.is_empty() {
        return Err(InvalidEmail::EmptyLocalPart);
    }
    if local_part.len() > LOCAL_PART_BYTES_MAX {
        return Err(InvalidEmail::LocalPartTooLong);
    }
    let refused = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || is_invisible(c)
            || matches!(c, '"' | '(' | ')' | '<' | '>' | '[' | ']' | ',' | ':' | ';' | '\\' | '@')
    };
    if local_part.chars().any(refused) {
        return Err(InvalidEmail::LocalPartCharacter);
    }
    Ok(())
}

/// Lower-case ASCII form (UTS #46, non-transitional) without the root dot.
pub(super) fn ascii_domain(domain: &str) -> Result<String, InvalidEmail> {
    use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

    let domain = domain.strip_suffix('.').unwrap_or(domain);
    if domain.is_empty() {
        return Err(InvalidEmail::EmptyDomain);
    }
    if domain.starts_with('[') || domain.parse::<core::net::IpAddr>().is_ok() {
        return Err(InvalidEmail::AddressLiteral);
    }
    let ascii = Uts46::new()
        .to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify)
        .map_err(|_| InvalidEmail::InvalidDomain)?;
    if !ascii.contains('.') {
        return Err(InvalidEmail::DomainWithoutDot);
    }
    Ok(ascii.into_owned())
}

/// Shows nothing of the address.
impl std::fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EmailAddress([redacted])")
    }
}

/// Shows nothing of the address.
impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mailbox(typed: &str) -> String {
        EmailAddress::parse(typed).unwrap().mailbox(&DomainRules::SHIPPED).address()
    }

    fn plus_folded(typed: &str) -> Option<String> {
        EmailAddress::parse(typed).unwrap().plus_folded(&DomainRules::SHIPPED).map(|mailbox| mailbox.address())
    }

    #[test]
    fn the_exact_form_folds_case_white_space_and_unicode_only() {
        for (typed, exact) in [
            ("  Jane.Doe+shop@Example.COM \n", "jane.doe+shop@example.com"),
            ("\u{feff}jane@example.com\u{200b}", "jane@example.com"),
            ("JANE@BÜCHER.example", "jane@xn--bcher-kva.example"),
            ("ｊａｎｅ＠ｅｘａｍｐｌｅ．ｃｏｍ", "jane@example.com"),
            ("jane@example.com.", "jane@example.com"),
            ("o'brien=x/y@example.com", "o'brien=x/y@example.com"),
        ] {
            assert_eq!(EmailAddress::parse(typed).unwrap().exact(), exact);
        }
    }

    #[test]
    fn each_fault_has_its_own_error_and_none_shows_the_address() {
        use InvalidEmail as E;
        let long_local = format!("{}@example.com", "x".repeat(65));
        let long_domain = format!("secret@{}.com", ["x".repeat(61), "y".repeat(61), "z".repeat(61), "w".repeat(61)].join("."));
        for (typed, error) in [
            (" \t ", E::Empty),
            ("secret.example.com", E::NoAt),
            ("@example.com", E::EmptyLocalPart),
            ("secret@", E::EmptyDomain),
            (long_local.as_str(), E::LocalPartTooLong),
            (long_domain.as_str(), E::TooLong),
            ("secret person@example.com", E::LocalPartCharacter),
            ("secret@home@example.com", E::LocalPartCharacter),
            ("Secret <secret@example.com>", E::LocalPartCharacter),
            ("sec\u{ad}ret@example.com", E::LocalPartCharacter),
            ("secret@[192.0.2.1]", E::AddressLiteral),
            ("secret@192.0.2.1", E::AddressLiteral),
            ("secret@localhost", E::DomainWithoutDot),
            ("secret@exa mple.com", E::InvalidDomain),
            ("secret@example..com", E::InvalidDomain),
            ("secret@-example.com", E::InvalidDomain),
        ] {
            let found = EmailAddress::parse(typed).unwrap_err();
            assert_eq!(found, error, "{typed:?}");
            assert!(!found.to_string().contains("secret"), "{found}");
        }
    }

    #[test]
    fn aliases_of_each_provider_reach_one_mailbox() {
        for (alias, address) in [
            ("j.ane.d.oe+x@googlemail.com", "janedoe@gmail.com"),
            ("jane.doe+x@outlook.de", "jane.doe@outlook.de"),
            ("jane.doe+x@hotmail.com", "jane.doe@hotmail.com"),
            ("jane+x@me.com", "jane@icloud.com"),
            ("jane-shop@yahoo.co.uk", "jane@yahoo.co.uk"),
            ("shop@jane.fastmail.com", "jane@fastmail.com"),
            ("jane+x@fastmail.fm", "jane@fastmail.fm"),
            ("shop@jane.eml.cc", "jane@eml.cc"),
            ("a@b.jane.fastmail.com", "jane@fastmail.com"),
            ("shop@jane.slmail.me", "jane@slmail.me"),
            ("jane+x@runbox.no", "jane@runbox.no"),
            ("jane+x@hotmail.co.uk", "jane@hotmail.co.uk"),
            ("j.a_n-e+x@pm.me", "jane@proton.me"),
            ("jane-doe+x@ya.ru", "jane.doe@yandex.ru"),
            ("jane+x@zohomail.eu", "jane@zohomail.eu"),
            ("jane+x@mailbox.org", "jane@mailbox.org"),
            ("jane+x@posteo.net", "jane@posteo.de"),
            ("jane+x@hey.com", "jane@hey.com"),
            ("jane+x@gmx.net", "jane@gmx.net"),
            ("shop@jane.mozmail.com", "jane@mozmail.com"),
            ("shop@jane.anonaddy.me", "jane@anonaddy.me"),
        ] {
            assert_eq!(mailbox(alias), address, "{alias}");
        }
    }

    #[test]
    fn what_the_provider_keeps_apart_stays_apart() {
        for (one, other) in [
            ("jane.doe@outlook.com", "janedoe@outlook.com"),
            ("jane@outlook.com", "jane@hotmail.com"),
            ("jane.doe@company.example", "janedoe@company.example"),
            ("jane-doe@company.example", "jane@company.example"),
            ("team+anna@company.example", "team+bob@company.example"),
            ("jane@yahoo.com", "jane@ymail.com"),
            ("jane@fastmail.com", "jane@fastmail.fm"),
            ("jane-doe@yahoo.co.jp", "jane@yahoo.co.jp"),
        ] {
            assert_ne!(mailbox(one), mailbox(other));
        }
    }

    #[test]
    fn an_unknown_domain_folds_nothing_into_the_mailbox_and_its_plus_into_a_digest_of_its_own() {
        assert_ne!(mailbox("team+anna@company.example"), mailbox("team+bob@company.example"));
        assert_eq!(mailbox("Jane.Doe+a+b@company.example"), "jane.doe+a+b@company.example");
        assert_eq!(plus_folded("Anna+1@company.example"), plus_folded("anna@company.example"));
        assert_eq!(plus_folded("Jane.Doe+a+b@company.example").as_deref(), Some("jane.doe@company.example"));
        assert_eq!(plus_folded("+tag@company.example").as_deref(), Some("+tag@company.example"));
        assert_eq!(plus_folded("jane+x@gmail.com"), None);
        assert_eq!(plus_folded("shop@jane.fastmail.com"), None);
    }

    #[test]
    fn a_caller_who_knows_a_host_says_so() {
        let mut rules = DomainRules::SHIPPED;
        rules.add_file("company.example folds_plus\ngmail.com keeps_plus\n").unwrap();
        let both = |typed: &str| {
            let address = EmailAddress::parse(typed).unwrap();
            (address.mailbox(&rules).address(), address.plus_folded(&rules).map(|mailbox| mailbox.address()))
        };
        assert_eq!(both("anna+1@mail.company.example"), ("anna@mail.company.example".to_owned(), None));
        assert_eq!(both("an.na+1@gmail.com"), ("anna+1@gmail.com".to_owned(), Some("an.na@gmail.com".to_owned())));
    }

    #[test]
    fn addresses_of_nobody_are_refused() {
        for typed in
            ["N/A", "null", "-", "test@test.com", "Test@Test", "null@gmail.com", "no-reply@company.example", "jane@gone.invalid"]
        {
            let found = EmailAddress::parse(typed);
            assert!(found == Err(InvalidEmail::Placeholder) || found == Err(InvalidEmail::DomainWithoutDot), "{typed}");
        }
        assert!(EmailAddress::parse("jane@example.com").is_ok());
    }

    #[test]
    fn a_mailbox_name_never_becomes_empty() {
        for typed in [".@gmail.com", "...+x@gmail.com", "-._@proton.me", "-@yahoo.com", "+@gmail.com"] {
            assert!(!mailbox(typed).starts_with('@'), "{typed}");
        }
    }

    #[test]
    fn numbered_siblings_share_a_pattern_and_bare_numbers_have_none() {
        let pattern = |typed: &str| EmailAddress::parse(typed).unwrap().mailbox(&DomainRules::SHIPPED).pattern();
        assert_eq!(pattern("anna+1@company.example"), pattern("anna@company.example"));
        assert_eq!(pattern("jane.doe1@company.example"), Some("jane.doe@company.example".to_owned()));
        assert_eq!(pattern("jane.doe.27@company.example"), pattern("jane.doe@company.example"));
        assert_eq!(pattern("12345678@qq.com"), None);
        assert_eq!(pattern("a1@company.example"), None);
    }

    #[test]
    fn one_name_at_two_providers_has_one_bare_local_part() {
        let bare = |typed: &str| EmailAddress::parse(typed).unwrap().mailbox(&DomainRules::SHIPPED).bare_local_part();
        assert_eq!(bare("Jane.Doe+x@gmail.com"), bare("jane_doe@company.example"));
    }

    #[test]
    fn debug_output_never_shows_the_address() {
        let address = EmailAddress::parse("secret@example.com").unwrap();
        assert!(!format!("{address:?} {:?}", address.mailbox(&DomainRules::SHIPPED)).contains("secret"));
    }

    /// Texts that are often addresses, at providers with rules and elsewhere.
    fn addressish() -> impl Strategy<Value = String> {
        let domain = prop::sample::select(vec![
            "gmail.com",
            "googlemail.com",
            "yahoo.com",
            "pm.me",
            "ya.ru",
            "fastmail.com",
            "a-b.fastmail.com",
            "x.mozmail.com",
            "me.com",
            "company.example",
        ]);
        prop_oneof![
            ("[a-zA-ZÄéß0-9.+_-]{1,12}", domain).prop_map(|(local, domain)| format!("{local}@{domain}")),
            "\\PC{0,20}@\\PC{0,12}",
            any::<String>()
        ]
    }

    proptest! {
        #[test]
        fn every_canonical_form_is_its_own_canonical_form(typed in addressish()) {
            if let Ok(address) = EmailAddress::parse(&typed) {
                let exact = EmailAddress::parse(&address.exact()).unwrap();
                prop_assert_eq!(exact.exact(), address.exact());
                let mailbox = address.mailbox(&DomainRules::SHIPPED);
                // Folding can leave what would be refused as a placeholder when typed.
                let Ok(again) = EmailAddress::parse(&mailbox.address()) else { return Ok(()) };
                let again = again.mailbox(&DomainRules::SHIPPED);
                prop_assert_eq!(again.address(), mailbox.address());
                prop_assert_eq!(again.pattern(), mailbox.pattern());
                prop_assert_eq!(again.bare_local_part(), mailbox.bare_local_part());
            }
        }

        #[test]
        fn a_plus_tag_leaves_the_mailbox_where_it_is_known_to_be_one(local in "j[a-z0-9]{1,12}", tag in "[a-z0-9.]{0,8}") {
            for domain in ["gmail.com", "outlook.com", "icloud.com", "yahoo.com", "fastmail.com", "proton.me", "yandex.com", "zoho.com"] {
                prop_assert_eq!(mailbox(&format!("{local}+{tag}@{domain}")), mailbox(&format!("{local}@{domain}")));
            }
            let (tagged, plain) = (format!("{local}+{tag}@company.example"), format!("{local}@company.example"));
            prop_assert_ne!(mailbox(&tagged), mailbox(&plain));
            prop_assert_eq!(plus_folded(&tagged), plus_folded(&plain));
        }
    }
}
