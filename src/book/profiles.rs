//! Profiles: an account's merged signals, with numbers in place of digests and shared texts. What a bundle says comes back from it unchanged.

use super::index::Hasher;
use super::slab::TextNumber;
use super::texts::Texts;
use super::values::{Shown, ValueKind, ValueSet, Values};
use crate::screening::history::IdentifierKind;
use crate::vocabulary::bundle::{
    DeviceSignals, EmailSignals, NameSignals, NetworkFlag, NetworkSignals, PaymentKind, PaymentPurpose, PaymentSignals,
    SignalBundle,
};
use crate::vocabulary::digest::{DigestSet, KeyId};
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::journey::{Journey, Touchpoint, TouchpointKind};
use crate::vocabulary::sketch::Sketch;
use crate::vocabulary::time::Timestamp;

/// A profile.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Profile {
    account_created_at: Option<Timestamp>,
    emails: Box<[Email]>,
    names: Box<[Name]>,
    devices: Box<[Device]>,
    networks: Box<[Network]>,
    payments: Box<[Payment]>,
    touchpoints: Box<[Touch]>,
    touchpoint_count_total: u32,
}

#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
struct Email {
    exact: Option<ValueSet>,
    mailbox: Option<ValueSet>,
    pattern: Option<ValueSet>,
    local_part: Option<ValueSet>,
    domain: Option<ValueSet>,
    domain_class: Option<EmailDomainClass>,
    local_part_sketches: Box<[KeptSketch]>,
    person_sketches: Box<[KeptSketch]>,
}

#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
struct Name {
    exact: Option<ValueSet>,
    sketches: Box<[KeptSketch]>,
    person_sketches: Box<[KeptSketch]>,
}

#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
struct KeptSketch {
    key: Option<TextNumber>,
    #[serde(with = "serde_bytes")]
    bits: Box<[u8]>,
}

#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
struct Device {
    fingerprint: Option<ValueSet>,
    browser: Option<ValueSet>,
    user_agent: Option<TextNumber>,
    platform: Option<TextNumber>,
    time_zone: Option<TextNumber>,
    languages: Box<[Option<TextNumber>]>,
    screen_px: Option<(u32, u32)>,
    seen_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
struct Network {
    address: Option<ValueSet>,
    prefix: Option<ValueSet>,
    asn: Option<u32>,
    country: Option<[u8; 2]>,
    flags: Box<[NetworkFlag]>,
    seen_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
struct Payment {
    instrument: Option<ValueSet>,
    kind: PaymentKind,
    purpose: PaymentPurpose,
    country: Option<[u8; 2]>,
    seen_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
struct Touch {
    kind: TouchpointKind,
    occurred_at: Timestamp,
    device: Option<ValueSet>,
    browser: Option<ValueSet>,
    path_token: Option<TextNumber>,
}

/// Makes profiles, numbering what is new.
pub(super) struct ProfileMaker<'b> {
    pub(super) values: &'b mut Values,
    pub(super) texts: &'b mut Texts,
    pub(super) hasher: &'b Hasher,
}

impl ProfileMaker<'_> {
    fn set(&mut self, kind: ValueKind, set: Option<&DigestSet>) -> Option<ValueSet> {
        self.values.intern_set(kind, set?, self.texts, self.hasher)
    }

    fn identifier(&mut self, kind: IdentifierKind, set: Option<&DigestSet>) -> Option<ValueSet> {
        self.set(ValueKind::Identifier(kind), set)
    }

    fn text(&mut self, text: &str) -> Option<TextNumber> {
        self.texts.intern(text, self.hasher)
    }

    fn sketches(&mut self, sketches: &[Sketch]) -> Box<[KeptSketch]> {
        let keep = |sketch: &Sketch| KeptSketch { key: self.text(sketch.key_id.as_str()), bits: Box::from(&sketch.bits[..]) };
        sketches.iter().map(keep).collect()
    }

    /// The profile of what a bundle says.
    pub(super) fn make(&mut self, bundle: &SignalBundle) -> Profile {
        let SignalBundle { account_id: _, account_created_at, emails, names, devices, networks, payments, journey } = bundle;
        Profile {
            account_created_at: *account_created_at,
            emails: emails.iter().map(|email| self.email(email)).collect(),
            names: names.iter().map(|name| self.name(name)).collect(),
            devices: devices.iter().map(|device| self.device(device)).collect(),
            networks: networks.iter().map(|network| self.network(network)).collect(),
            payments: payments.iter().map(|payment| self.payment(payment)).collect(),
            touchpoints: journey.touchpoints().iter().map(|touchpoint| self.touch(touchpoint)).collect(),
            touchpoint_count_total: journey.touchpoint_count_total(),
        }
    }

    fn email(&mut self, email: &EmailSignals) -> Email {
        let EmailSignals { exact, mailbox, pattern, local_part, domain, domain_class, local_part_sketches, person_sketches } =
            email;
        Email {
            exact: self.identifier(IdentifierKind::EmailExact, exact.as_ref()),
            mailbox: self.identifier(IdentifierKind::Mailbox, mailbox.as_ref()),
            pattern: self.set(ValueKind::Pattern, pattern.as_ref()),
            local_part: self.identifier(IdentifierKind::LocalPart, local_part.as_ref()),
            domain: self.identifier(IdentifierKind::Domain, domain.as_ref()),
            domain_class: *domain_class,
            local_part_sketches: self.sketches(local_part_sketches),
            person_sketches: self.sketches(person_sketches),
        }
    }

    fn name(&mut self, name: &NameSignals) -> Name {
        let NameSignals { exact, sketches, person_sketches } = name;
        Name {
            exact: self.identifier(IdentifierKind::Name, exact.as_ref()),
            sketches: self.sketches(sketches),
            person_sketches: self.sketches(person_sketches),
        }
    }

    fn device(&mut self, device: &DeviceSignals) -> Device {
        let DeviceSignals { fingerprint, browser, user_agent, platform, time_zone, languages, screen_px, seen_at } = device;
        Device {
            fingerprint: self.identifier(IdentifierKind::Device, fingerprint.as_ref()),
            browser: self.identifier(IdentifierKind::Browser, browser.as_ref()),
            user_agent: self.text(user_agent),
            platform: self.text(platform),
            time_zone: self.text(time_zone),
            languages: languages.iter().map(|language| self.text(language)).collect(),
            screen_px: *screen_px,
            seen_at: *seen_at,
        }
    }

    fn network(&mut self, network: &NetworkSignals) -> Network {
        let NetworkSignals { address, prefix, asn, country, flags, seen_at } = network;
        Network {
            address: self.identifier(IdentifierKind::Address, address.as_ref()),
            prefix: self.identifier(IdentifierKind::Prefix, prefix.as_ref()),
            asn: *asn,
            country: *country,
            flags: flags.as_slice().into(),
            seen_at: *seen_at,
        }
    }

    fn payment(&mut self, payment: &PaymentSignals) -> Payment {
        let PaymentSignals { instrument, kind, purpose, country, seen_at } = payment;
        Payment {
            instrument: self.identifier(IdentifierKind::Payment, Some(instrument)),
            kind: *kind,
            purpose: *purpose,
            country: *country,
            seen_at: *seen_at,
        }
    }

    fn touch(&mut self, touchpoint: &Touchpoint) -> Touch {
        let Touchpoint { kind, occurred_at, device, browser, path_token } = touchpoint;
        Touch {
            kind: *kind,
            occurred_at: *occurred_at,
            device: self.identifier(IdentifierKind::Device, device.as_ref()),
            browser: self.identifier(IdentifierKind::Browser, browser.as_ref()),
            path_token: self.text(path_token),
        }
    }
}

/// Reads profiles.
#[derive(Clone, Copy)]
pub(super) struct ProfileReader<'b> {
    pub(super) values: &'b Values,
    pub(super) texts: &'b Texts,
    pub(super) shown: Shown,
}

impl ProfileReader<'_> {
    fn set(self, set: Option<ValueSet>) -> Option<DigestSet> {
        self.values.set(set, self.shown, self.texts)
    }

    fn text(self, text: Option<TextNumber>) -> Box<str> {
        self.texts.text(text).into()
    }

    fn sketches(self, sketches: &[KeptSketch]) -> Vec<Sketch> {
        let sketch = |kept: &KeptSketch| {
            let key_id = KeyId::new(self.texts.text(kept.key)).ok()?;
            Some(Sketch { key_id, bits: (*kept.bits).try_into().ok()? })
        };
        sketches.iter().filter_map(sketch).collect()
    }

    /// What the profile says, as the bundle of its account.
    pub(super) fn bundle(self, account_id: AccountId, profile: &Profile) -> SignalBundle {
        let touchpoints = profile.touchpoints.iter().map(|touch| self.touchpoint(touch)).collect();
        SignalBundle {
            account_id,
            account_created_at: profile.account_created_at,
            emails: profile.emails.iter().map(|email| self.email(email)).collect(),
            names: profile.names.iter().map(|name| self.name(name)).collect(),
            devices: profile.devices.iter().map(|device| self.device(device)).collect(),
            networks: profile.networks.iter().map(|network| self.network(network)).collect(),
            payments: profile.payments.iter().filter_map(|payment| self.payment(payment)).collect(),
            journey: Journey::new(touchpoints, Some(profile.touchpoint_count_total)),
        }
    }

    fn email(self, email: &Email) -> EmailSignals {
        EmailSignals {
            exact: self.set(email.exact),
            mailbox: self.set(email.mailbox),
            pattern: self.set(email.pattern),
            local_part: self.set(email.local_part),
            domain: self.set(email.domain),
            domain_class: email.domain_class,
            local_part_sketches: self.sketches(&email.local_part_sketches),
            person_sketches: self.sketches(&email.person_sketches),
        }
    }

    fn name(self, name: &Name) -> NameSignals {
        NameSignals {
            exact: self.set(name.exact),
            sketches: self.sketches(&name.sketches),
            person_sketches: self.sketches(&name.person_sketches),
        }
    }

    fn device(self, device: &Device) -> DeviceSignals {
        DeviceSignals {
            fingerprint: self.set(device.fingerprint),
            browser: self.set(device.browser),
            user_agent: self.text(device.user_agent),
            platform: self.text(device.platform),
            time_zone: self.text(device.time_zone),
            languages: device.languages.iter().map(|language| self.text(*language)).collect(),
            screen_px: device.screen_px,
            seen_at: device.seen_at,
        }
    }

    fn network(self, network: &Network) -> NetworkSignals {
        NetworkSignals {
            address: self.set(network.address),
            prefix: self.set(network.prefix),
            asn: network.asn,
            country: network.country,
            flags: network.flags.to_vec(),
            seen_at: network.seen_at,
        }
    }

    fn payment(self, payment: &Payment) -> Option<PaymentSignals> {
        Some(PaymentSignals {
            instrument: self.set(payment.instrument)?,
            kind: payment.kind,
            purpose: payment.purpose,
            country: payment.country,
            seen_at: payment.seen_at,
        })
    }

    fn touchpoint(self, touch: &Touch) -> Touchpoint {
        Touchpoint {
            kind: touch.kind,
            occurred_at: touch.occurred_at,
            device: self.set(touch.device),
            browser: self.set(touch.browser),
            path_token: self.text(touch.path_token),
        }
    }
}

impl Profile {
    /// Whether a browser of the account is known by its cookie.
    pub(super) fn has_browser(&self) -> bool {
        self.devices.iter().any(|device| device.browser.is_some())
    }

    /// Memory that it takes. Unit: bytes.
    pub(super) fn bytes(&self) -> usize {
        let sketches =
            |kept: &[KeptSketch]| kept.iter().map(|sketch| size_of_val(sketch) + sketch.bits.len() + 16).sum::<usize>();
        let of_email = |email: &Email| sketches(&email.local_part_sketches) + sketches(&email.person_sketches);
        let emails: usize = self.emails.iter().map(|email| size_of_val(email) + of_email(email)).sum();
        let of_name = |name: &Name| sketches(&name.sketches) + sketches(&name.person_sketches);
        let names: usize = self.names.iter().map(|name| size_of_val(name) + of_name(name)).sum();
        size_of::<Self>()
            + emails
            + names
            + size_of_val(&*self.devices)
            + size_of_val(&*self.networks)
            + size_of_val(&*self.payments)
            + size_of_val(&*self.touchpoints)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::fixtures::any_conversion;

    proptest! {
        #[test]
        fn what_a_bundle_says_comes_back_from_its_profile(conversion in any_conversion()) {
            let (mut values, mut texts, hasher) = (Values::default(), Texts::default(), Hasher::new(7));
            for bundle in [&conversion.referrer, &conversion.referee] {
                let profile = ProfileMaker { values: &mut values, texts: &mut texts, hasher: &hasher }.make(bundle);
                let back = ProfileReader { values: &values, texts: &texts, shown: Shown::UnderNewestNames }.bundle(bundle.account_id.clone(), &profile);
                prop_assert_eq!(&back, bundle);
            }
        }
    }
}
