//! What mail providers publish about addresses that reach one inbox, as a table. `docs/digests.md` prints the same table, and a
//! test holds the two equal. Used by `email` only.
//!
//! A rule is listed when the provider documents it, or (said in `source`) when its users do. A rule may fold too little, which
//! misses an alias; it must never fold two people into one. A provider whose only rule is the `+` tag has no row of its own
//! unless its domains are worth naming: every domain without a row folds the `+` tag.

use super::email::{without, without_tag};

/// The folding rules of one provider.
#[derive(Debug, Clone, Copy)]
pub struct Provider {
    /// Its name.
    pub name: &'static str,
    /// Its domains.
    pub domains: &'static [&'static str],
    /// The domain that stands for all of them, when one name means one person at all of them.
    pub canonical_domain: Option<&'static str>,
    /// Characters that begin a tag; the tag goes.
    pub tag_separators: &'static [char],
    /// Characters that the provider ignores; they go.
    pub ignored: &'static [char],
    /// Pairs that the provider takes for one another: the first is written as the second.
    pub equal: Option<(char, char)>,
    /// What a label before one of the domains means.
    pub subdomains: Subdomains,
    /// Where the rule is published.
    pub source: &'static str,
}

/// What a label before a provider's domain means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subdomains {
    /// `anything@jane.provider` is delivered to the account `jane`.
    Account,
    /// Nothing is known: such a domain has no row.
    Unknown,
}

const PLUS: &[char] = &['+'];

const PLUS_ONLY: Provider = Provider {
    name: "",
    domains: &[],
    canonical_domain: None,
    tag_separators: PLUS,
    ignored: &[],
    equal: None,
    subdomains: Subdomains::Unknown,
    source: "",
};

#[rustfmt::skip] // a list of names reads better in lines than in a column
const YAHOO_DOMAINS: &[&str] = &[
    "yahoo.com", "myyahoo.com", "rocketmail.com", "y7mail.com", "yahoo.at", "yahoo.be", "yahoo.ca", "yahoo.cl",
    "yahoo.co.id", "yahoo.co.il", "yahoo.co.in", "yahoo.co.kr", "yahoo.co.nz", "yahoo.co.th", "yahoo.co.uk",
    "yahoo.co.za", "yahoo.com.ar", "yahoo.com.au", "yahoo.com.br", "yahoo.com.co", "yahoo.com.hk", "yahoo.com.mx",
    "yahoo.com.my", "yahoo.com.pe", "yahoo.com.ph", "yahoo.com.sg", "yahoo.com.tr", "yahoo.com.tw", "yahoo.com.ve",
    "yahoo.com.vn", "yahoo.cz", "yahoo.de", "yahoo.dk", "yahoo.es", "yahoo.fi", "yahoo.fr", "yahoo.gr", "yahoo.hu",
    "yahoo.ie", "yahoo.in", "yahoo.it", "yahoo.nl", "yahoo.no", "yahoo.pl", "yahoo.pt", "yahoo.ro", "yahoo.se",
    "ymail.com",
];

#[rustfmt::skip] // a list of names reads better in lines than in a column
const FASTMAIL_DOMAINS: &[&str] = &[
    "fastmail.com", "fastmail.fm", "fastmail.cn", "fastmail.co.uk", "fastmail.com.au", "fastmail.de", "fastmail.es",
    "fastmail.im", "fastmail.in", "fastmail.jp", "fastmail.mx", "fastmail.net", "fastmail.nl", "fastmail.org",
    "fastmail.se", "fastmail.to", "fastmail.tw", "fastmail.uk", "fastmail.us", "messagingengine.com", "mailforce.net",
    "mailhaven.com", "myfastmail.com", "pobox.com", "sent.as", "sent.at", "sent.com",
];

#[rustfmt::skip] // a list of names reads better in lines than in a column
const YANDEX_DOMAINS: &[&str] = &[
    "yandex.ru", "ya.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua", "yandex.uz", "yandex.com.tr",
    "yandex.az", "yandex.com.am", "yandex.com.ge", "yandex.com.ru", "narod.ru",
];

#[rustfmt::skip] // a list of names reads better in lines than in a column
const ZOHO_DOMAINS: &[&str] = &[
    "zoho.com", "zohomail.com", "zoho.eu", "zohomail.eu", "zoho.in", "zohomail.in", "zohomail.com.au", "zohomail.jp",
];

#[rustfmt::skip] // a list of names reads better in lines than in a column
const POSTEO_DOMAINS: &[&str] = &[
    "posteo.de", "posteo.net", "posteo.com", "posteo.at", "posteo.be", "posteo.ca", "posteo.ch", "posteo.dk",
    "posteo.es", "posteo.eu", "posteo.fi", "posteo.ie", "posteo.lu", "posteo.me", "posteo.nl", "posteo.no",
    "posteo.org", "posteo.pl", "posteo.se", "posteo.uk", "posteo.us",
];

#[rustfmt::skip] // a list of names reads better in lines than in a column
const WITHOUT_TAGS_DOMAINS: &[&str] = &[
    "gmx.com", "gmx.de", "gmx.net", "mail.com", "web.de", "t-online.de", "tuta.com", "qq.com", "163.com", "mail.ru",
];

/// Every provider with a row.
pub const PROVIDERS: &[Provider] = &[
    Provider {
        name: "Gmail",
        domains: &["gmail.com", "googlemail.com"],
        canonical_domain: Some("gmail.com"),
        ignored: &['.'],
        source: "support.google.com/mail/answer/7436150 (dots), /22370 (tags), /10313 (googlemail)",
        ..PLUS_ONLY
    },
    Provider {
        name: "Microsoft",
        domains: &["outlook.com", "hotmail.com", "live.com", "msn.com"],
        source: "learn.microsoft.com, Plus Addressing in Exchange Online; the same on outlook.com. Dots and domains differ",
        ..PLUS_ONLY
    },
    Provider {
        name: "Apple",
        domains: &["icloud.com", "me.com", "mac.com"],
        canonical_domain: Some("icloud.com"),
        source: "support.apple.com/118230 (one name at the three domains); tags as users report them",
        ..PLUS_ONLY
    },
    Provider {
        name: "Yahoo",
        domains: YAHOO_DOMAINS,
        tag_separators: &['+', '-'],
        source: "help.yahoo.com SLN28815: disposable addresses are `name-keyword`, and a Yahoo ID has no hyphen. yahoo.co.jp is another company",
        ..PLUS_ONLY
    },
    Provider {
        name: "Fastmail",
        domains: FASTMAIL_DOMAINS,
        subdomains: Subdomains::Account,
        source: "fastmail.help 360060591053: `name+tag`, and `anything@name.fastmail.com`. Domains differ",
        ..PLUS_ONLY
    },
    Provider {
        name: "Proton",
        domains: &["proton.me", "protonmail.com", "protonmail.ch", "pm.me"],
        canonical_domain: Some("proton.me"),
        ignored: &['.', '_', '-'],
        source: "proton.me/support/change-username (`.`, `_`, `-`), /support/addresses-and-aliases (tags, domains)",
        ..PLUS_ONLY
    },
    Provider {
        name: "Yandex",
        domains: YANDEX_DOMAINS,
        canonical_domain: Some("yandex.ru"),
        equal: Some(('-', '.')),
        source: "yandex.com/support: one mailbox at all its domains; tags, and a hyphen being a dot, as users report them",
        ..PLUS_ONLY
    },
    Provider {
        name: "Zoho",
        domains: ZOHO_DOMAINS,
        source: "tags as users report them; the email-normalize library has the same rule",
        ..PLUS_ONLY
    },
    Provider {
        name: "Posteo",
        domains: POSTEO_DOMAINS,
        canonical_domain: Some("posteo.de"),
        source: "posteo.de/blog, 14 December 2023: only the owner can take a name at the other domains; tags in the help",
        ..PLUS_ONLY
    },
    Provider { name: "mailbox.org", domains: &["mailbox.org"], source: "kb.mailbox.org, Using mail extensions", ..PLUS_ONLY },
    Provider { name: "HEY", domains: &["hey.com"], source: "tags as users report them", ..PLUS_ONLY },
    Provider {
        name: "Without tags",
        domains: WITHOUT_TAGS_DOMAINS,
        source: "their help pages know no tags and their names no `+`, so that folding a `+` harms nobody",
        ..PLUS_ONLY
    },
    Provider {
        name: "Relays with a subdomain for each user",
        domains: &["mozmail.com", "anonaddy.com", "anonaddy.me", "33mail.com"],
        subdomains: Subdomains::Account,
        source: "support.mozilla.org, Relay e-mail domains; addy.io/help, kinds of aliases; 33mail.com",
        ..PLUS_ONLY
    },
];

impl Provider {
    /// The provider of a domain in ASCII; with the account and the provider's domain, when the domain is an account's own.
    pub(super) fn of_domain(domain: &str) -> Option<(&'static Self, Option<(&str, &'static str)>)> {
        for provider in PROVIDERS {
            for known in provider.domains {
                if domain == *known {
                    return Some((provider, None));
                }
                if provider.subdomains == Subdomains::Account
                    && let Some(account) = domain.strip_suffix(known).and_then(|rest| rest.strip_suffix('.'))
                    && !account.contains('.')
                {
                    return Some((provider, Some((account, known))));
                }
            }
        }
        None
    }

    /// The name without its tag and ignored characters. Never empty.
    pub(super) fn folded(&self, name: &str) -> String {
        let kept = without(without_tag(name, self.tag_separators), |c| self.ignored.contains(&c));
        match self.equal {
            Some((from, to)) => kept.chars().map(|c| if c == from { to } else { c }).collect(),
            None => kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_domain_has_two_rows_and_every_row_has_a_source() {
        let domains: Vec<&str> = PROVIDERS.iter().flat_map(|provider| provider.domains).copied().collect();
        assert_eq!(domains.iter().collect::<BTreeSet<_>>().len(), domains.len());
        assert!(PROVIDERS.iter().all(|provider| !provider.source.is_empty() && !provider.name.is_empty()));
    }

    #[test]
    fn a_canonical_domain_is_one_of_the_providers_own() {
        for provider in PROVIDERS {
            assert!(provider.canonical_domain.is_none_or(|domain| provider.domains.contains(&domain)), "{}", provider.name);
        }
    }
}
