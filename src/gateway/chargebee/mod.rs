//! Chargebee's webhooks as facts. Pure. The shapes are those of Chargebee's API reference, version 2; amounts are in minor units as ISO 4217 has them.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use super::payload::{At, Fault, as_written};
use super::setup::MetadataNames;
use super::translated::{Person, SenderStage, Translated, whole_name};
use crate::book::intake::{CustomerFact, Fact, PaymentFact, PaymentOf};
use crate::digesting::{Digester, is_same_secret};
use crate::vocabulary::ids::{AccountId, SenderId, Ucc};
use crate::vocabulary::source::Source;
use crate::vocabulary::time::Timestamp;

/// Whether a pair of user and password is one of the programme's. In a time that depends on their lengths alone.
#[must_use]
pub fn knows(credentials: &[SecretString], pair: &[u8]) -> bool {
    credentials.iter().fold(false, |known, secret| known | is_same_secret(secret.expose_secret().as_bytes(), pair))
}

/// Translates an event. What says nothing that matters here has no facts.
///
/// # Errors
/// [`Fault`]: the first field that is not what Chargebee sends.
pub fn translate(payload: &Value, digester: &Digester, names: &MetadataNames) -> Result<Translated, Fault> {
    let event = At::new(payload, "");
    let event_id = event.id("id")?;
    let kind = event.text("event_type").ok_or_else(|| Fault::new("event_type", "is required"))?;
    let at = event.seconds("occurred_at")?;
    let content = event.get("content").ok_or_else(|| Fault::new("content", "is required"))?;
    let mut reading = Reading { content, at, names, person: Person::new(digester, Source::Chargebee) };
    let facts = match kind {
        "customer_created" | "customer_changed" => reading.customer()?,
        "subscription_cancelled" | "subscription_deleted" => {
            let subscription = reading.part("subscription", "content.subscription")?.id("id")?;
            let mut facts = reading.customer()?;
            facts.push(Fact::Ended(subscription));
            facts
        }
        kind if kind.starts_with("subscription_") => reading.customer()?,
        "payment_succeeded" => reading.payment()?,
        "payment_refunded" => reading.refund()?,
        _ => Vec::new(),
    };
    let noticed = reading.person.noticed;
    Ok(Translated { source: Source::Chargebee, event_id, at, facts, noticed, stage: SenderStage::Live })
}

struct Reading<'v, 'd> {
    content: &'v Value,
    at: Timestamp,
    names: &'d MetadataNames,
    person: Person<'d>,
}

impl<'v> Reading<'v, '_> {
    fn part(&self, name: &str, path: &'v str) -> Result<At<'v>, Fault> {
        let part = self.content.get(name).filter(|part| part.is_object());
        part.map(|part| At::new(part, path)).ok_or_else(|| Fault::new(path, "is required"))
    }

    fn optional(&self, name: &str, path: &'v str) -> Option<At<'v>> {
        self.part(name, path).ok()
    }

    /// The customer that the event is about, by its own object or by the subscription's.
    fn customer(&mut self) -> Result<Vec<Fact>, Fault> {
        let customer = self.optional("customer", "content.customer");
        let subscription = self.optional("subscription", "content.subscription");
        let id = match (customer, subscription) {
            (Some(customer), _) => customer.id("id")?,
            (None, Some(subscription)) => subscription.id("customer_id")?,
            (None, None) => return Err(Fault::new("content.customer", "is required")),
        };
        let created_at = customer.map(|customer| customer.optional_seconds("created_at")).transpose()?.flatten();
        let mut fact = CustomerFact { customer: id.clone(), created_at, account: None, code: None };
        for object in [customer, subscription].into_iter().flatten() {
            let (code, account) = self.attached(object)?;
            fact.code = fact.code.or(code);
            fact.account = fact.account.or(account);
        }
        if let Some(customer) = customer {
            self.person.email(customer.text("email"));
            self.person.name(whole_name(customer, "first_name", "last_name").as_deref());
        }
        Ok([Some(Fact::Customer(fact)), self.person.fact(&id)].into_iter().flatten().collect())
    }

    /// Chargebee keeps what is attached in custom fields (`cf_` before the name) or in `meta_data`.
    fn attached(&self, object: At<'v>) -> Result<(Option<Ucc>, Option<AccountId>), Fault> {
        let prefixed = |names: &[String]| names.iter().flat_map(|name| [format!("cf_{name}"), name.clone()]).collect();
        let fields = MetadataNames { code: prefixed(&self.names.code), account: prefixed(&self.names.account) };
        let (code, account) = object.attached(&fields)?;
        let Some(metadata) = object.get("meta_data") else { return Ok((code, account)) };
        let (other_code, other_account) = At::new(metadata, "meta_data").attached(self.names)?;
        Ok((code.or(other_code), account.or(other_account)))
    }

    fn payment(&mut self) -> Result<Vec<Fact>, Fault> {
        let transaction = self.part("transaction", "content.transaction")?;
        let invoice = self.optional("invoice", "content.invoice");
        let mut facts = self.customer()?;
        let customer =
            facts.iter().find_map(|fact| if let Fact::Customer(fact) = fact { Some(fact.customer.clone()) } else { None });
        let paid_at = transaction.optional_seconds("date")?.unwrap_or(self.at);
        let subscription = match invoice.map(|invoice| invoice.optional_id("subscription_id")).transpose()?.flatten() {
            Some(subscription) => Some(subscription),
            None => transaction.optional_id("subscription_id")?,
        };
        let (payment, of, value) = match invoice {
            Some(invoice) if invoice.get("amount_paid").is_some() => {
                (invoice.id("id")?, PaymentOf::Itself, invoice.money("amount_paid", "currency_code", as_written)?)
            }
            Some(_) | None => {
                (transaction.id("id")?, PaymentOf::NoInvoice, transaction.money("amount", "currency_code", as_written)?)
            }
        };
        facts.push(Fact::Payment(Box::new(PaymentFact { payment, customer, value, paid_at, of, intent: None, subscription })));
        Ok(facts)
    }

    fn refund(&self) -> Result<Vec<Fact>, Fault> {
        let transaction = self.part("transaction", "content.transaction")?;
        let amount = Some(transaction.money("amount", "currency_code", as_written)?);
        let payment = self.refunded(transaction)?;
        Ok(vec![Fact::GivenBack { payment, refund: transaction.id("id")?, amount }])
    }

    /// What was given back: the invoice, by itself or by the credit note; or else the transaction.
    fn refunded(&self, transaction: At<'v>) -> Result<SenderId, Fault> {
        if let Some(invoice) = self.optional("invoice", "content.invoice") {
            return invoice.id("id");
        }
        if let Some(note) = self.optional("credit_note", "content.credit_note")
            && let Some(invoice) = note.optional_id("reference_invoice_id")?
        {
            return Ok(invoice);
        }
        transaction.id("refunded_txn_id").or_else(|_| transaction.id("reference_transaction_id")).map_err(|_| {
            Fault::new("content.invoice", "is required, or `credit_note.reference_invoice_id`, or `transaction.refunded_txn_id`")
        })
    }
}
