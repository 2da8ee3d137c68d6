//! The class of an e-mail domain, from the lists that are shipped beside this file. Used by `pseudonyms`.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::vocabulary::email::EmailDomainClass;

static DISPOSABLE: LazyLock<HashSet<&str>> = LazyLock::new(|| domains_of(include_str!("lists/disposable_domains.txt")));
static RELAY: LazyLock<HashSet<&str>> = LazyLock::new(|| domains_of(include_str!("lists/relay_domains.txt")));
static FREE_MAIL: LazyLock<HashSet<&str>> = LazyLock::new(|| domains_of(include_str!("lists/free_mail_domains.txt")));

/// The class of a domain in ASCII, lower case.
///
/// A list's domain covers its subdomains, up from the registrable domain (Public Suffix List). Disposable is tested first, since
/// free-mail lists tend to hold disposable domains. What is on no list is [`EmailDomainClass::Corporate`].
#[must_use]
pub fn classify_domain(domain: &str) -> EmailDomainClass {
    let is_on = |list: &HashSet<&str>| with_parents(domain).any(|candidate| list.contains(candidate));
    if is_on(&DISPOSABLE) {
        EmailDomainClass::Disposable
    } else if is_on(&RELAY) {
        EmailDomainClass::Relay
    } else if is_on(&FREE_MAIL) {
        EmailDomainClass::FreeMail
    } else {
        EmailDomainClass::Corporate
    }
}

/// The domain itself, then each parent down to the registrable domain.
fn with_parents(domain: &str) -> impl Iterator<Item = &str> {
    let shortest = psl::domain_str(domain).map_or(domain.len(), str::len);
    std::iter::successors(Some(domain), |child| child.split_once('.').map(|(_, parent)| parent))
        .take_while(move |candidate| candidate.len() >= shortest)
}

fn domains_of(list: &'static str) -> HashSet<&'static str> {
    list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[cfg(test)]
mod tests {
    use EmailDomainClass::{Corporate, Disposable, FreeMail, Relay};

    use super::*;

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
    fn no_domain_is_on_two_lists_and_the_lists_are_sorted() {
        assert!(DISPOSABLE.is_disjoint(&RELAY) && DISPOSABLE.is_disjoint(&FREE_MAIL) && RELAY.is_disjoint(&FREE_MAIL));
        for list in [
            include_str!("lists/disposable_domains.txt"),
            include_str!("lists/relay_domains.txt"),
            include_str!("lists/free_mail_domains.txt"),
        ] {
            let domains: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(
                domains.is_sorted() && domains.iter().all(|domain| domain.contains('.') && domain.to_lowercase() == **domain)
            );
        }
    }
}
