//! What mail providers publish about addresses that reach one inbox, as a table. `docs/digests.md` prints the same table, and a
//! test holds the two equal. Used by `email` only.
//!
//! A rule is listed when the provider documents it, or (said in `source`) when its users do. A rule may fold too little, which
//! misses an alias; it must never fold two people into one. A domain without a row folds nothing: at a company's own mail server
//! `team+anna` and `team+bob` can be two people.

use super::domains::Plus;
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
    /// `anything@jane.provider` is delivered to the account `jane`; so is what stands before `jane`.
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
    "fastmail.fr", "fastmail.im", "fastmail.in", "fastmail.jp", "fastmail.mx", "fastmail.net", "fastmail.nl",
    "fastmail.org", "fastmail.se", "fastmail.to", "fastmail.tw", "fastmail.uk", "fastmail.us", "123mail.org",
    "150mail.com", "150ml.com", "16mail.com", "2-mail.com", "4email.net", "50mail.com", "airpost.net", "allmail.net",
    "bestmail.us", "cluemail.com", "elitemail.org", "emailcorner.net", "emailengine.net", "emailengine.org",
    "emailgroups.net", "emailplus.org", "emailuser.net", "eml.cc", "f-m.fm", "fast-email.com", "fast-mail.org",
    "fastem.com", "fastemail.us", "fastemailer.com", "fastest.cc", "fastimap.com", "fastmailbox.net",
    "fastmessaging.com", "fea.st", "fmail.co.uk", "fmailbox.com", "fmgirl.com", "fmguy.com", "ftml.net", "h-mail.us",
    "hailmail.net", "imap-mail.com", "imap.cc", "imapmail.org", "inoutbox.com", "internet-e-mail.com",
    "internet-mail.org", "internetemails.net", "internetmailing.net", "jetemail.net", "justemail.net",
    "letterboxes.org", "mail-central.com", "mail-page.com", "mailandftp.com", "mailas.com", "mailbolt.com",
    "mailc.net", "mailcan.com", "mailforce.net", "mailftp.com", "mailhaven.com", "mailingaddress.org", "mailite.com",
    "mailmight.com", "mailnew.com", "mailsent.net", "mailservice.ms", "mailup.net", "mailworks.org",
    "messagingengine.com", "ml1.net", "mm.st", "myfastmail.com", "mymacmail.com", "nospammail.net", "ownmail.net",
    "petml.com", "pobox.com", "postinbox.com", "postpro.net", "proinbox.com", "promessage.com", "realemail.net",
    "reallyfast.biz", "reallyfast.info", "rushpost.com", "sent.as", "sent.at", "sent.com", "speedpost.net",
    "speedymail.org", "ssl-mail.com", "swift-mail.com", "the-fastest.net", "the-quickest.com", "theinternetemail.com",
    "veryfast.biz", "veryspeedy.net", "warpmail.net", "xsmail.com", "yepmail.net", "your-mail.com",
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
const MICROSOFT_DOMAINS: &[&str] = &[
    "outlook.com", "outlook.at", "outlook.be", "outlook.cl", "outlook.cz", "outlook.co.id", "outlook.co.il",
    "outlook.co.th", "outlook.com.ar", "outlook.com.au", "outlook.com.br", "outlook.com.gr", "outlook.com.pe",
    "outlook.com.tr", "outlook.com.vn", "outlook.de", "outlook.dk", "outlook.es", "outlook.fr", "outlook.hu",
    "outlook.ie", "outlook.in", "outlook.it", "outlook.jp", "outlook.kr", "outlook.lv", "outlook.my", "outlook.ph",
    "outlook.pt", "outlook.sa", "outlook.sg", "outlook.sk", "hotmail.com", "hotmail.at", "hotmail.be", "hotmail.ca",
    "hotmail.ch", "hotmail.cl", "hotmail.co.id", "hotmail.co.il", "hotmail.co.jp", "hotmail.co.kr", "hotmail.co.nz",
    "hotmail.co.th", "hotmail.co.uk", "hotmail.co.za", "hotmail.com.ar", "hotmail.com.au", "hotmail.com.br",
    "hotmail.com.hk", "hotmail.com.tr", "hotmail.com.tw", "hotmail.com.vn", "hotmail.cz", "hotmail.de", "hotmail.dk",
    "hotmail.es", "hotmail.fi", "hotmail.fr", "hotmail.gr", "hotmail.hu", "hotmail.it", "hotmail.lt", "hotmail.lv",
    "hotmail.my", "hotmail.nl", "hotmail.no", "hotmail.ph", "hotmail.rs", "hotmail.se", "hotmail.sg", "hotmail.sk",
    "live.com", "live.at", "live.be", "live.ca", "live.cl", "live.cn", "live.co.kr", "live.co.uk", "live.co.za",
    "live.com.ar", "live.com.au", "live.com.mx", "live.com.my", "live.com.ph", "live.com.pt", "live.com.sg",
    "live.de", "live.dk", "live.fi", "live.fr", "live.hk", "live.ie", "live.in", "live.it", "live.jp", "live.nl",
    "live.no", "live.ru", "live.se", "msn.com", "passport.com", "windowslive.com",
];

#[rustfmt::skip] // a list of names reads better in lines than in a column
const RUNBOX_DOMAINS: &[&str] = &[
    "runbox.com", "runbox.at", "runbox.biz", "runbox.bz", "runbox.ch", "runbox.co", "runbox.co.in", "runbox.dk",
    "runbox.email", "runbox.eu", "runbox.is", "runbox.it", "runbox.ky", "runbox.li", "runbox.me", "runbox.nl",
    "runbox.no", "runbox.uk", "runbox.us", "rbx.email", "rbx.life", "rbx.run", "mailhost.work", "offshore.rocks",
    "xobnur.cloud", "xobnur.com", "xobnur.me",
];

#[rustfmt::skip] // a list of names reads better in lines than in a column
const RELAY_DOMAINS: &[&str] = &[
    "mozmail.com", "anonaddy.com", "anonaddy.me", "33mail.com", "simplelogin.co", "simplelogin.com", "simplelogin.fr", "aleeas.com",
    "slmails.com", "silomails.com", "slmail.me", "8shield.net", "dralias.com",
];

#[rustfmt::skip] // a list of names reads better in lines than in a column
const WITHOUT_TAGS_DOMAINS: &[&str] = &[
    "gmx.com", "gmx.at", "gmx.ch", "gmx.co.uk", "gmx.de", "gmx.es", "gmx.fr", "gmx.li", "gmx.net", "gmx.org",
    "gmx.us", "mail.com", "web.de", "t-online.de", "freenet.de", "tuta.com", "tutanota.com", "tutanota.de",
    "tutamail.com", "tuta.io", "keemail.me", "qq.com", "foxmail.com", "163.com", "126.com", "yeah.net", "mail.ru",
    "bk.ru", "inbox.ru", "list.ru", "internet.ru", "rambler.ru", "seznam.cz", "naver.com", "libero.it", "orange.fr",
    "wanadoo.fr", "laposte.net", "free.fr", "aol.com",
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
        domains: MICROSOFT_DOMAINS,
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
        name: "Runbox",
        domains: RUNBOX_DOMAINS,
        source: "blog.runbox.com, Sub-addressing: `name+tag` at all Runbox domains",
        ..PLUS_ONLY
    },
    Provider {
        name: "Other hosts with tags",
        domains: &["mailfence.com", "disroot.org", "riseup.net", "hushmail.com", "kolabnow.com", "startmail.com"],
        source: "`name+tag` as their help pages say or their users report",
        ..PLUS_ONLY
    },
    Provider {
        name: "Without tags",
        domains: WITHOUT_TAGS_DOMAINS,
        source: "their help pages know no tags and their names no `+`, so that folding a `+` harms nobody",
        ..PLUS_ONLY
    },
    Provider {
        name: "Relays with a subdomain for each user",
        domains: RELAY_DOMAINS,
        subdomains: Subdomains::Account,
        source: "support.mozilla.org, Relay e-mail domains; addy.io/help, kinds of aliases; 33mail.com; simplelogin.io/docs, subdomains",
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
                    && let Some(below) = domain.strip_suffix(known).and_then(|rest| rest.strip_suffix('.'))
                    && let Some(account) = below.rsplit('.').next()
                {
                    return Some((provider, Some((account, known))));
                }
            }
        }
        None
    }

    /// The name without its tag and ignored characters. Never empty.
    pub(super) fn folded(&self, name: &str, plus: Plus) -> String {
        let begins_tag = |c| self.tag_separators.contains(&c) && !(c == '+' && plus == Plus::Kept);
        let kept = without(without_tag(name, begins_tag), |c| self.ignored.contains(&c));
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
