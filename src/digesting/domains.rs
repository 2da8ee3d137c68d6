//! The class of an e-mail domain, from the lists that are shipped beside this file and from the caller's own, and what is known of `+`.

use std::collections::{BTreeMap, HashSet};
use std::sync::LazyLock;

use super::email::ascii_domain;
use super::text::{fold_case, trim_pasted};
use crate::vocabulary::email::EmailDomainClass;

static DISPOSABLE: LazyLock<HashSet<&str>> = LazyLock::new(|| domains_of(include_str!("lists/disposable_domains.txt")));
static RELAY: LazyLock<HashSet<&str>> = LazyLock::new(|| domains_of(include_str!("lists/relay_domains.txt")));
static FREE_MAIL: LazyLock<HashSet<&str>> = LazyLock::new(|| domains_of(include_str!("lists/free_mail_domains.txt")));

/// What is known of e-mail domains: the shipped lists and table of providers, and over them what the caller's own files say.
///
/// A mailbox digest depends on the rules, so all who digest for one programme must use the same files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainRules {
    own: BTreeMap<String, OwnRule>,
}

/// What a caller says of one domain and all below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct OwnRule {
    class: Option<EmailDomainClass>,
    plus: Option<Plus>,
}

/// What a `+` in a local part means at a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Plus {
    /// It begins a tag: the caller says so.
    Folded,
    /// It is a part of the name: the caller says so.
    Kept,
    /// The caller says nothing: the table of providers tells.
    AsProvider,
}

/// A line of a file of domains cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct InvalidDomainRule {
    /// Which, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: DomainRuleFault,
}

/// What is wrong with a line of a file of domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DomainRuleFault {
    /// Not a domain.
    #[error("does not begin with a domain, like `mail.example`")]
    Domain,
    /// No word after the domain.
    #[error("says nothing of the domain; write {DOMAIN_WORDS} after it")]
    NoWord,
    /// A word that means nothing.
    #[error("holds an unknown word; write {DOMAIN_WORDS} after the domain")]
    UnknownWord,
}

/// The words of a file of domains, as messages list them.
const DOMAIN_WORDS: &str = "`disposable`, `relay`, `free_mail` or `corporate`, `folds_plus` or `keeps_plus`";

impl DomainRules {
    /// What is shipped, and nothing else.
    pub const SHIPPED: Self = Self { own: BTreeMap::new() };

    /// Adds a file: a domain a line, then what it is; `#` begins a comment. The file counts for all below its domains too, goes before
    /// what is shipped, and over files that were added earlier.
    ///
    /// ```text
    /// throwaway.example   disposable
    /// university.example  corporate    # on a shipped list by mistake
    /// company.example     folds_plus   # its server delivers name+tag to name
    /// ```
    ///
    /// # Errors
    /// [`InvalidDomainRule`] with the first line that cannot be read; then nothing of the file is added.
    pub fn add_file(&mut self, text: &str) -> Result<(), InvalidDomainRule> {
        let mut own = self.own.clone();
        for (index, line) in text.lines().enumerate() {
            let fault = |reason| InvalidDomainRule { line: index + 1, reason };
            let line = trim_pasted(line.split('#').next().unwrap_or_default());
            let mut words = line.split_whitespace();
            let Some(domain) = words.next() else { continue };
            let domain = ascii_domain(&fold_case(domain)).map_err(|_| fault(DomainRuleFault::Domain))?;
            let mut words = words.peekable();
            if words.peek().is_none() {
                return Err(fault(DomainRuleFault::NoWord));
            }
            let rule = own.entry(domain).or_default();
            for word in words {
                match word.to_ascii_lowercase().replace('-', "_").as_str() {
                    "disposable" => rule.class = Some(EmailDomainClass::Disposable),
                    "relay" => rule.class = Some(EmailDomainClass::Relay),
                    "free_mail" => rule.class = Some(EmailDomainClass::FreeMail),
                    "corporate" => rule.class = Some(EmailDomainClass::Corporate),
                    "folds_plus" => rule.plus = Some(Plus::Folded),
                    "keeps_plus" => rule.plus = Some(Plus::Kept),
                    _ => return Err(fault(DomainRuleFault::UnknownWord)),
                }
            }
        }
        self.own = own;
        Ok(())
    }

    /// The class of a domain in ASCII, lower case.
    ///
    /// The caller's own word comes first, that of the longest domain before those of its parents. Of the shipped lists, a domain covers its
    /// subdomains, up from the registrable domain (Public Suffix List); disposable is tested first, since free-mail lists tend to hold
    /// disposable domains. What is on no list is [`EmailDomainClass::Corporate`].
    #[must_use]
    pub fn classify(&self, domain: &str) -> EmailDomainClass {
        let is_on = |list: &HashSet<&str>| with_parents(domain).any(|candidate| list.contains(candidate));
        if let Some(class) = self.own_word(domain, |rule| rule.class) {
            class
        } else if is_on(&DISPOSABLE) {
            EmailDomainClass::Disposable
        } else if is_on(&RELAY) {
            EmailDomainClass::Relay
        } else if is_on(&FREE_MAIL) {
            EmailDomainClass::FreeMail
        } else {
            EmailDomainClass::Corporate
        }
    }

    /// What a `+` means at a domain in ASCII, lower case.
    pub(super) fn plus(&self, domain: &str) -> Plus {
        self.own_word(domain, |rule| rule.plus).unwrap_or(Plus::AsProvider)
    }

    fn own_word<T>(&self, domain: &str, word: impl Fn(&OwnRule) -> Option<T>) -> Option<T> {
        if self.own.is_empty() {
            return None;
        }
        parents(domain).find_map(|candidate| self.own.get(candidate).and_then(&word))
    }
}

/// The domain itself, then each parent.
fn parents(domain: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(domain), |child| child.split_once('.').map(|(_, parent)| parent))
}

/// The domain itself, then each parent down to the registrable domain.
fn with_parents(domain: &str) -> impl Iterator<Item = &str> {
    let shortest = psl::domain_str(domain).map_or(domain.len(), str::len);
    parents(domain).take_while(move |candidate| candidate.len() >= shortest)
}

fn domains_of(list: &'static str) -> HashSet<&'static str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[cfg(test)]
mod tests {
    use EmailDomainClass::{Corporate, Disposable, FreeMail, Relay};

    use super::*;

    const DYNAMIC_DNS: &str = include_str!("lists/dynamic_dns_domains.txt");

    fn classify_domain(domain: &str) -> EmailDomainClass {
        DomainRules::SHIPPED.classify(domain)
    }

    #[test]
    fn well_known_domains_have_the_class_that_people_expect() {
        for (class, domains) in [
            (
                FreeMail,
                [
                    "gmail.com",
                    "outlook.com",
                    "yahoo.co.uk",
                    "proton.me",
                    "gmx.net",
                    "yandex.ru",
                    "fastmail.com",
                    "icloud.com",
                    "qq.com",
                    "mailbox.org",
                    "hey.com",
                ]
                .as_slice(),
            ),
            (Disposable, &["mailinator.com", "guerrillamail.com", "maildrop.cc", "trashmail.com", "10minutemail.com"]),
            (Relay, &["duck.com", "mozmail.com", "privaterelay.appleid.com", "passmail.net", "simplelogin.com"]),
            (Corporate, &["example.com", "acme.co.uk", "mit.edu", "appleid.com"]),
        ] {
            for domain in domains {
                assert_eq!(classify_domain(domain), class, "{domain}");
            }
        }
    }

    #[test]
    fn subdomains_count_up_to_the_registrable_domain() {
        assert_eq!(classify_domain("inbox.mailinator.com"), Disposable);
        assert_eq!(classify_domain("jane.mozmail.com"), Relay);
        assert_eq!(classify_domain("notmozmail.com"), Corporate);
    }

    #[test]
    fn a_name_at_a_dynamic_dns_domain_is_its_owners_and_on_no_list() {
        for domain in domains_of(DYNAMIC_DNS) {
            assert_eq!(classify_domain(domain), Corporate, "{domain}");
            assert_eq!(classify_domain(&format!("jane.{domain}")), Corporate, "{domain}");
        }
        let dynamic = domains_of(DYNAMIC_DNS);
        for list in [&DISPOSABLE, &RELAY, &FREE_MAIL] {
            let below = list.iter().find(|domain| parents(domain).any(|parent| dynamic.contains(parent)));
            assert_eq!(below, None);
        }
    }

    #[test]
    fn a_callers_own_file_goes_before_the_shipped_lists() {
        let mut rules = DomainRules::SHIPPED;
        rules
            .add_file("\u{feff}# ours\nThrowAway.example disposable\nmailinator.com\tcorporate # odd\nok.throwaway.example free-mail\nBÜCHER.example relay\n")
            .unwrap();
        for (domain, class) in [
            ("a.throwaway.example", Disposable),
            ("ok.throwaway.example", FreeMail),
            ("inbox.mailinator.com", Corporate),
            ("xn--bcher-kva.example", Relay),
            ("gmail.com", FreeMail),
        ] {
            assert_eq!(rules.classify(domain), class, "{domain}");
        }
        rules.add_file("throwaway.example corporate").unwrap();
        assert_eq!(rules.classify("a.throwaway.example"), Corporate);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_nothing_of_its_file_counts() {
        let mut rules = DomainRules::SHIPPED;
        for (line, reason) in [
            ("not a domain", DomainRuleFault::Domain),
            ("company.example", DomainRuleFault::NoWord),
            ("company.example good", DomainRuleFault::UnknownWord),
        ] {
            let found = rules.add_file(&format!("throwaway.example disposable\n\n{line}\n")).unwrap_err();
            assert_eq!(found, InvalidDomainRule { line: 3, reason });
        }
        assert_eq!(rules, DomainRules::SHIPPED);
    }

    #[test]
    fn no_domain_is_on_two_lists_and_the_lists_are_sorted() {
        assert!(DISPOSABLE.is_disjoint(&RELAY) && DISPOSABLE.is_disjoint(&FREE_MAIL) && RELAY.is_disjoint(&FREE_MAIL));
        for list in [
            include_str!("lists/disposable_domains.txt"),
            include_str!("lists/relay_domains.txt"),
            include_str!("lists/free_mail_domains.txt"),
            DYNAMIC_DNS,
        ] {
            let domains: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(
                domains.is_sorted() && domains.iter().all(|domain| domain.contains('.') && domain.to_lowercase() == **domain)
            );
        }
    }
}
