//! What a translator makes of a payload, and the pseudonyms that it makes on the way. Whatever is personal ends here.

use super::payload::At;
use crate::book::intake::{Fact, Mistake, MistakeKind, SenderSignals};
use crate::digesting::{Digester, digest_email, digest_name, digest_payment_of_kind};
use crate::vocabulary::bundle::{PaymentKind, PaymentPurpose, PaymentSignals};
use crate::vocabulary::ids::SenderId;
use crate::vocabulary::source::Source;
use crate::vocabulary::time::Timestamp;

/// An event of a sender's as facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// Who sent it.
    pub source: Source,
    /// The sender's id of it.
    pub event_id: SenderId,
    /// When it happened.
    pub at: Timestamp,
    /// What it says; empty when it says nothing that matters here.
    pub facts: Vec<Fact>,
    /// What looked like a mistake on the way.
    pub noticed: Vec<Mistake>,
    /// Whether it is of a test system.
    pub stage: SenderStage,
}

/// Of what system an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderStage {
    /// Of a test system.
    Test,
    /// Of one where money moves, or the sender does not say.
    Live,
}

/// Collects what is known of a person, as pseudonyms. What cannot be read is left out and told, without the value.
pub(super) struct Person<'d> {
    digester: &'d Digester,
    source: Source,
    pub(super) signals: SenderSignals,
    pub(super) noticed: Vec<Mistake>,
}

impl<'d> Person<'d> {
    pub(super) fn new(digester: &'d Digester, source: Source) -> Self {
        Self { digester, source, signals: SenderSignals::default(), noticed: Vec::new() }
    }

    fn unreadable(&mut self, what: &str) {
        self.noticed.push(Mistake { kind: MistakeKind::Unreadable, source: self.source, subject: what.into() });
    }

    pub(super) fn email(&mut self, typed: Option<&str>) {
        match typed.map(|typed| digest_email(self.digester, typed)) {
            Some(Ok(email)) if !self.signals.emails.contains(&email) => self.signals.emails.push(email),
            Some(Err(_)) => self.unreadable("an e-mail address"),
            Some(Ok(_)) | None => {}
        }
    }

    pub(super) fn name(&mut self, typed: Option<&str>) {
        match typed.map(|typed| digest_name(self.digester, typed)) {
            Some(Ok(name)) if !self.signals.names.contains(&name) => self.signals.names.push(name),
            Some(Err(_)) => self.unreadable("a name"),
            Some(Ok(_)) | None => {}
        }
    }

    /// An instrument by the sender's fingerprint of it.
    pub(super) fn instrument(&mut self, kind: PaymentKind, fingerprint: Option<&str>, country: Option<&str>, seen_at: Timestamp) {
        let Some(fingerprint) = fingerprint else { return };
        let country = country.and_then(|code| <[u8; 2]>::try_from(code.to_ascii_uppercase().as_bytes()).ok());
        let country = country.filter(|code| code.iter().all(u8::is_ascii_uppercase));
        // A fingerprint is no number of the kind: it is digested as it stands.
        match digest_payment_of_kind(self.digester, Some(PaymentKind::Card), fingerprint) {
            Ok(instrument) => {
                let purpose = PaymentPurpose::Billing;
                self.signals.payments.push(PaymentSignals { instrument, kind, purpose, country, seen_at: Some(seen_at) });
            }
            Err(_) => self.unreadable("the fingerprint of a payment instrument"),
        }
    }

    /// What was collected as a fact about a customer; absent when nothing was.
    pub(super) fn fact(&self, customer: &SenderId) -> Option<Fact> {
        (!self.signals.says_nothing()).then(|| Fact::Signals(customer.clone(), Box::new(self.signals.clone())))
    }
}

/// A name in two fields, as one text.
pub(super) fn whole_name(object: At<'_>, first: &str, last: &str) -> Option<String> {
    let parts: Vec<&str> = [first, last].into_iter().filter_map(|field| object.text(field)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}
