//! Pseudonyms in the API's JSON form (proto3 JSON of `selfsame.v1`): camel-case names, bytes in standard base64.
//!
//! Used by `selfsame digest`. What it writes can be pasted into a request as it stands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::vocabulary::bundle::{DeviceSignals, EmailSignals, NameSignals, NetworkSignals, PaymentKind, PaymentPurpose};
use crate::vocabulary::digest::DigestSet;
use crate::vocabulary::email::EmailDomainClass;
use crate::vocabulary::sketch::Sketch;

/// An `EmailSignals` message; with `plusFolded`, which the API of this release does not take, when it is given.
#[must_use]
pub fn email_json(email: &EmailSignals, plus_folded: Option<&DigestSet>) -> Value {
    let EmailSignals { exact, mailbox, pattern, local_part, domain, domain_class, local_part_sketches, person_sketches } = email;
    let mut message = Message::default();
    message.digests("exact", exact.as_ref());
    message.digests("mailbox", mailbox.as_ref());
    message.digests("plusFolded", plus_folded);
    message.digests("pattern", pattern.as_ref());
    message.digests("localPart", local_part.as_ref());
    message.digests("domain", domain.as_ref());
    if let Some(class) = domain_class {
        message.text("domainClass", domain_class_name(*class));
    }
    message.sketches("localPartSketch", local_part_sketches);
    message.sketches("personSketch", person_sketches);
    message.finished()
}

/// A `NameSignals` message.
#[must_use]
pub fn name_json(name: &NameSignals) -> Value {
    let NameSignals { exact, sketches, person_sketches } = name;
    let mut message = Message::default();
    message.digests("exact", exact.as_ref());
    message.sketches("sketch", sketches);
    message.sketches("personSketch", person_sketches);
    message.finished()
}

/// A `DeviceSignals` message, of what `digest_device` and the caller's plain text attributes fill in.
#[must_use]
pub fn device_json(device: &DeviceSignals) -> Value {
    let DeviceSignals { fingerprint, browser, user_agent, platform, time_zone, languages: _, screen_px: _, seen_at: _ } = device;
    let mut message = Message::default();
    message.digests("fingerprint", fingerprint.as_ref());
    message.digests("browser", browser.as_ref());
    message.text("userAgent", user_agent);
    message.text("platform", platform);
    message.text("timeZone", time_zone);
    message.finished()
}

/// A `NetworkSignals` message, of what `digest_network` fills in.
#[must_use]
pub fn network_json(network: &NetworkSignals) -> Value {
    let NetworkSignals { address, prefix, asn: _, country: _, flags: _, seen_at: _ } = network;
    let mut message = Message::default();
    message.digests("address", address.as_ref());
    message.digests("prefix", prefix.as_ref());
    message.finished()
}

/// What the caller knows of a payment instrument beyond its text. Absent is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PaymentLabels {
    /// Its kind. The server takes no instrument without it.
    pub kind: Option<PaymentKind>,
    /// What it is used for. The server takes no instrument without it.
    pub purpose: Option<PaymentPurpose>,
    /// ISO 3166-1 alpha-2 of its issuer.
    pub country: Option<[u8; 2]>,
}

/// A `PaymentSignals` message.
#[must_use]
pub fn payment_json(instrument: &DigestSet, labels: &PaymentLabels) -> Value {
    let mut message = Message::default();
    message.digests("instrument", Some(instrument));
    if let Some((_, word)) = KINDS.iter().find(|(kind, _)| Some(*kind) == labels.kind) {
        message.text("kind", &format!("PAYMENT_KIND_{word}"));
    }
    if let Some((_, word)) = PURPOSES.iter().find(|(purpose, _)| Some(*purpose) == labels.purpose) {
        message.text("purpose", &format!("PAYMENT_PURPOSE_{word}"));
    }
    message
        .text("country", &labels.country.map(|letters| letters.map(char::from).iter().collect::<String>()).unwrap_or_default());
    message.finished()
}

const KINDS: [(PaymentKind, &str); 6] = [
    (PaymentKind::Card, "CARD"),
    (PaymentKind::Sepa, "SEPA"),
    (PaymentKind::Paypal, "PAYPAL"),
    (PaymentKind::BankAccount, "BANK_ACCOUNT"),
    (PaymentKind::Wallet, "WALLET"),
    (PaymentKind::Other, "OTHER"),
];

const PURPOSES: [(PaymentPurpose, &str); 2] = [(PaymentPurpose::Billing, "BILLING"), (PaymentPurpose::Payout, "PAYOUT")];

/// The kind of a word like `card`, `BANK_ACCOUNT` or `PAYMENT_KIND_SEPA`.
#[must_use]
pub fn payment_kind_of(word: &str) -> Option<PaymentKind> {
    of_word(&KINDS, "PAYMENT_KIND_", word)
}

/// The purpose of a word like `billing` or `PAYMENT_PURPOSE_PAYOUT`.
#[must_use]
pub fn purpose_of(word: &str) -> Option<PaymentPurpose> {
    of_word(&PURPOSES, "PAYMENT_PURPOSE_", word)
}

fn of_word<T: Copy>(words: &[(T, &str)], prefix: &str, typed: &str) -> Option<T> {
    let typed = typed.to_ascii_uppercase().replace(['-', ' '], "_");
    let typed = typed.strip_prefix(prefix).unwrap_or(&typed);
    words.iter().find(|(_, word)| *word == typed).map(|(value, _)| *value)
}

const fn domain_class_name(class: EmailDomainClass) -> &'static str {
    match class {
        EmailDomainClass::FreeMail => "EMAIL_DOMAIN_CLASS_FREE_MAIL",
        EmailDomainClass::Disposable => "EMAIL_DOMAIN_CLASS_DISPOSABLE",
        EmailDomainClass::Relay => "EMAIL_DOMAIN_CLASS_RELAY",
        EmailDomainClass::Corporate => "EMAIL_DOMAIN_CLASS_CORPORATE",
    }
}

/// A message under construction. Absent and empty fields are left out, as proto3 JSON does.
#[derive(Default)]
struct Message(Map<String, Value>);

impl Message {
    fn digests(&mut self, field: &str, digests: Option<&DigestSet>) {
        if let Some(digests) = digests {
            let list =
                digests.iter().map(|digest| json!({ "keyId": digest.key_id.as_str(), "value": STANDARD.encode(digest.value) }));
            self.0.insert(field.to_owned(), list.collect());
        }
    }

    fn sketches(&mut self, field: &str, sketches: &[Sketch]) {
        if !sketches.is_empty() {
            let list =
                sketches.iter().map(|sketch| json!({ "keyId": sketch.key_id.as_str(), "bits": STANDARD.encode(sketch.bits) }));
            self.0.insert(field.to_owned(), list.collect());
        }
    }

    fn text(&mut self, field: &str, text: &str) {
        if !text.is_empty() {
            self.0.insert(field.to_owned(), text.into());
        }
    }

    fn finished(self) -> Value {
        Value::Object(self.0)
    }
}
