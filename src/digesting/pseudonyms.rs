//! From one raw value to the signals that a bundle carries. The functions that callers use; each is total and pure.

use super::digester::{DigestKind, Digester};
use super::domains::DomainRules;
use super::email::{EmailAddress, InvalidEmail};
use super::identifier::{InvalidIdentifier, OpaqueIdentifier};
use super::name::{InvalidName, PersonName};
use super::network::{InvalidNetworkAddress, NetworkAddress};
use super::payment::{InvalidPayment, PaymentInstrument};
use super::person::PersonText;
use super::sketching::SketchKind;
use crate::vocabulary::bundle::{DeviceSignals, EmailSignals, NameSignals, NetworkSignals, PaymentKind};
use crate::vocabulary::digest::DigestSet;
use crate::vocabulary::sketch::Sketch;

/// The pseudonyms of an e-mail address: five digests, the domain's class, the sketch of the local part, and that of the person it names.
///
/// The pattern and the person's sketch are absent when too few letters remain without the digits. By the shipped lists and rules alone.
///
/// # Errors
/// [`InvalidEmail`], which never shows the address.
pub fn digest_email(digester: &Digester, typed: &str) -> Result<EmailSignals, InvalidEmail> {
    digest_email_by(digester, &DomainRules::SHIPPED, typed)
}

/// As [`digest_email`], by the caller's own rules too.
///
/// # Errors
/// [`InvalidEmail`], which never shows the address.
pub fn digest_email_by(digester: &Digester, rules: &DomainRules, typed: &str) -> Result<EmailSignals, InvalidEmail> {
    let address = EmailAddress::parse(typed)?;
    let mailbox = address.mailbox(rules);
    let bare = mailbox.bare_local_part();
    Ok(EmailSignals {
        exact: Some(digester.digest(DigestKind::EmailExact, &address.exact())),
        mailbox: Some(digester.digest(DigestKind::EmailMailbox, &mailbox.address())),
        pattern: mailbox.pattern().map(|pattern| digester.digest(DigestKind::EmailPattern, &pattern)),
        local_part: Some(digester.digest(DigestKind::EmailLocalPart, &bare)),
        domain: Some(digester.digest(DigestKind::EmailDomain, mailbox.domain())),
        domain_class: Some(rules.classify(address.domain())),
        local_part_sketches: digester.sketch(SketchKind::LocalPart, &bare),
        person_sketches: person_sketches(digester, PersonText::of_mailbox(&mailbox)),
    })
}

/// The digest of the address cut at its `+`; absent where the mailbox has the answer (see [`EmailAddress::plus_folded`]).
///
/// # Errors
/// [`InvalidEmail`], which never shows the address.
pub fn digest_plus_folded(digester: &Digester, rules: &DomainRules, typed: &str) -> Result<Option<DigestSet>, InvalidEmail> {
    let folded = EmailAddress::parse(typed)?.plus_folded(rules);
    Ok(folded.map(|folded| digester.digest(DigestKind::EmailPlusFolded, &folded.address())))
}

/// The pseudonyms of a person's name: the digest of the folded name, its sketch, and the one that compares with those of e-mail addresses.
///
/// The latter is absent when the name has fewer than three letters.
///
/// # Errors
/// [`InvalidName`], which never shows the name.
pub fn digest_name(digester: &Digester, typed: &str) -> Result<NameSignals, InvalidName> {
    let name = PersonName::parse(typed)?;
    Ok(NameSignals {
        exact: Some(digester.digest(DigestKind::NameExact, name.folded())),
        sketches: digester.sketch(SketchKind::Name, name.folded()),
        person_sketches: person_sketches(digester, PersonText::of_name(&name)),
    })
}

fn person_sketches(digester: &Digester, text: Option<PersonText>) -> Vec<Sketch> {
    text.map(|text| digester.sketch(SketchKind::Person, text.as_str())).unwrap_or_default()
}

/// The pseudonyms of a device: of its fingerprint and of its browser's id, either absent when not given.
///
/// The plain attributes are left empty for the caller to fill in.
///
/// # Errors
/// [`InvalidIdentifier`], which never shows the identifier.
pub fn digest_device(
    digester: &Digester,
    fingerprint: Option<&str>,
    browser: Option<&str>,
) -> Result<DeviceSignals, InvalidIdentifier> {
    let digest = |kind, typed: Option<&str>| {
        typed.map(|typed| OpaqueIdentifier::parse(typed).map(|id| digester.digest(kind, id.canonical()))).transpose()
    };
    Ok(DeviceSignals {
        fingerprint: digest(DigestKind::DeviceFingerprint, fingerprint)?,
        browser: digest(DigestKind::DeviceBrowser, browser)?,
        user_agent: Box::default(),
        platform: Box::default(),
        time_zone: Box::default(),
        languages: Vec::new(),
        screen_px: None,
        seen_at: None,
    })
}

/// The pseudonyms of a network address: of the address, and of its narrowest prefix, a /24 or /64.
///
/// What else is known of the network is left absent for the caller to fill in. [`digest_networks`] has the wider prefixes too.
///
/// # Errors
/// [`InvalidNetworkAddress`], which never shows the address.
pub fn digest_network(digester: &Digester, typed: &str) -> Result<NetworkSignals, InvalidNetworkAddress> {
    let address = NetworkAddress::parse(typed)?;
    Ok(NetworkSignals {
        address: Some(digester.digest(DigestKind::NetworkAddress, &address.canonical())),
        prefix: address.prefixes().first().map(|prefix| digester.digest(DigestKind::NetworkPrefix, prefix)),
        asn: None,
        country: None,
        flags: Vec::new(),
        seen_at: None,
    })
}

/// All entries of `networks` that a network address gives: that of [`digest_network`], then one for each wider prefix.
///
/// One for IPv4; three for IPv6, whose /56 and /48 stand alone in entries of their own, since an entry has one prefix.
///
/// # Errors
/// [`InvalidNetworkAddress`], which never shows the address.
pub fn digest_networks(digester: &Digester, typed: &str) -> Result<Vec<NetworkSignals>, InvalidNetworkAddress> {
    let wider = NetworkAddress::parse(typed)?.prefixes().into_iter().skip(1).map(|prefix| NetworkSignals {
        address: None,
        prefix: Some(digester.digest(DigestKind::NetworkPrefix, &prefix)),
        asn: None,
        country: None,
        flags: Vec::new(),
        seen_at: None,
    });
    Ok(std::iter::once(digest_network(digester, typed)?).chain(wider).collect())
}

/// The digest of a payment instrument, by what its text looks like (see [`PaymentInstrument::parse`]).
///
/// Billing and payout must use one kind of fingerprint, or they will never be found to be the same.
///
/// # Errors
/// [`InvalidPayment`], which never shows the instrument.
pub fn digest_payment(digester: &Digester, typed: &str) -> Result<DigestSet, InvalidPayment> {
    digest_payment_of_kind(digester, None, typed)
}

/// The digest of a payment instrument of a kind; `None` when the kind is not known.
///
/// # Errors
/// [`InvalidPayment`], which never shows the instrument.
pub fn digest_payment_of_kind(digester: &Digester, kind: Option<PaymentKind>, typed: &str) -> Result<DigestSet, InvalidPayment> {
    let instrument = PaymentInstrument::parse(kind, typed)?;
    Ok(digester.digest(DigestKind::PaymentInstrument, instrument.canonical()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::digesting::ProgrammeKey;
    use crate::vocabulary::digest::KeyId;
    use crate::vocabulary::email::EmailDomainClass;

    fn digester(id: &str, first: u8) -> Digester {
        let bytes: Vec<u8> = (first..first + 32).collect();
        Digester::new(&ProgrammeKey::from_bytes(KeyId::new(id).unwrap(), &bytes).unwrap())
    }

    #[test]
    fn an_alias_differs_in_the_exact_digest_only() {
        let k = digester("k1", 0);
        let alias = digest_email(&k, "Jane.Doe+shop@googlemail.com").unwrap();
        let plain = digest_email(&k, "janedoe@gmail.com").unwrap();
        assert_ne!(alias.exact, plain.exact);
        assert_eq!(EmailSignals { exact: None, ..alias }, EmailSignals { exact: None, ..plain });
    }

    #[test]
    fn a_second_provider_shares_the_local_part_and_its_sketch_only() {
        let k = digester("k1", 0);
        let one = digest_email(&k, "jane.doe@gmail.com").unwrap();
        let other = digest_email(&k, "jane_doe@company.example").unwrap();
        assert_eq!((&one.local_part, &one.local_part_sketches), (&other.local_part, &other.local_part_sketches));
        assert_ne!(one.mailbox, other.mailbox);
        assert_ne!(one.domain, other.domain);
        assert_eq!((one.domain_class, other.domain_class), (Some(EmailDomainClass::FreeMail), Some(EmailDomainClass::Corporate)));
    }

    #[test]
    fn a_typo_keeps_most_of_a_sketch_and_nothing_of_a_digest() {
        let k = digester("k1", 0);
        let (one, typo, stranger) = (
            digest_name(&k, "Jane Robinson").unwrap(),
            digest_name(&k, "Jane Robinsom").unwrap(),
            digest_name(&k, "Muhammad Cox").unwrap(),
        );
        let dice = |a: &NameSignals, b: &NameSignals| a.sketches[0].dice(&b.sketches[0]).unwrap();
        assert_ne!(one.exact, typo.exact);
        assert!(dice(&one, &typo) > 0.75, "{}", dice(&one, &typo));
        assert!(dice(&one, &stranger) < 0.25, "{}", dice(&one, &stranger));
    }

    #[test]
    fn an_address_is_compared_with_a_name_however_either_puts_its_parts() {
        let k = digester("k1", 0);
        let dice = |address: &str, name: &str| {
            let (email, name) = (digest_email(&k, address).unwrap(), digest_name(&k, name).unwrap());
            email.person_sketches[0].dice(&name.person_sketches[0]).unwrap()
        };
        assert_eq!(dice("marta.kowalczyk87@company.example", "Kowalczyk Marta"), 1.0);
        assert!(dice("kowalczykmarta@company.example", "Marta Kowalczyk") > 0.95);
        assert!(dice("mkowalczyk@company.example", "Marta Kowalczyk") > 0.75);
        assert!(dice("marta.kowalczyk@company.example", "Piotr Nowak") < 0.35);
    }

    #[test]
    fn a_persons_sketch_is_no_sketch_of_the_name_or_the_local_part() {
        let k = digester("k1", 0);
        let (email, name) = (digest_email(&k, "doe@company.example").unwrap(), digest_name(&k, "Doe").unwrap());
        assert_eq!(email.person_sketches, name.person_sketches);
        for other in email.local_part_sketches.iter().chain(&name.sketches) {
            assert!(other.dice(&name.person_sketches[0]).unwrap() < 0.35);
        }
    }

    #[test]
    fn neighbours_share_the_prefix_and_not_the_address() {
        let k = digester("k1", 0);
        let (one, other) = (digest_network(&k, "203.0.113.9").unwrap(), digest_network(&k, "203.0.113.200").unwrap());
        assert_eq!(one.prefix, other.prefix);
        assert_ne!(one.address, other.address);
    }

    #[test]
    fn a_household_that_moves_within_its_ipv6_block_shares_a_wider_prefix() {
        let k = digester("k1", 0);
        let prefixes = |typed: &str| -> Vec<_> { digest_networks(&k, typed).unwrap().into_iter().map(|n| n.prefix).collect() };
        let (one, other) = (prefixes("2001:db8:1:a02::3"), prefixes("2001:db8:1:a77::4"));
        assert_ne!(one[0], other[0]);
        assert_eq!(one[1..], other[1..]);
        assert_eq!(prefixes("203.0.113.9").len(), 1);
    }

    #[test]
    fn two_people_of_a_team_share_the_plus_folded_digest_and_no_mailbox() {
        let k = digester("k1", 0);
        let [anna, bob] = ["team+anna@company.example", "team+bob@company.example"];
        let folded = |typed| digest_plus_folded(&k, &DomainRules::SHIPPED, typed).unwrap();
        assert_eq!(folded(anna), folded(bob));
        assert!(folded(anna).is_some() && folded("jane+x@gmail.com").is_none());
        assert_ne!(digest_email(&k, anna).unwrap().mailbox, digest_email(&k, bob).unwrap().mailbox);
    }

    #[test]
    fn an_iban_has_one_digest_however_it_was_written() {
        let k = digester("k1", 0);
        let spaced = digest_payment(&k, "AT61 1904 3002 3457 3201").unwrap();
        assert_eq!(digest_payment_of_kind(&k, Some(PaymentKind::Sepa), "at611904300234573201"), Ok(spaced));
    }

    #[test]
    fn what_was_not_given_of_a_device_is_absent() {
        let device = digest_device(&digester("k1", 0), Some("fp"), None).unwrap();
        assert!(device.fingerprint.is_some() && device.browser.is_none());
    }

    proptest! {
        #[test]
        fn sketches_are_symmetric_and_fully_similar_to_themselves(a in "[\\w ]{1,20}", b in "[\\w ]{1,20}") {
            let k = digester("k1", 0);
            if let (Ok(a), Ok(b)) = (digest_name(&k, &a), digest_name(&k, &b)) {
                let (a, b) = (&a.sketches[0], &b.sketches[0]);
                prop_assert_eq!(a.dice(a), Some(1.0));
                prop_assert_eq!(a.dice(b), b.dice(a));
                prop_assert!(a.dice(b).is_some_and(|dice| (0.0..=1.0).contains(&dice)));
            }
        }

        #[test]
        fn digests_under_different_keys_never_compare_equal(local in "[a-z]{1,12}") {
            let typed = format!("{local}@company.example");
            let (one, other) = (digest_email(&digester("k1", 0), &typed).unwrap(), digest_email(&digester("k2", 7), &typed).unwrap());
            prop_assert!(!one.exact.unwrap().shares_value_with(&other.exact.unwrap()));
            prop_assert_eq!(one.local_part_sketches[0].dice(&other.local_part_sketches[0]), None);
        }
    }
}
