//! Stripe's webhooks as facts. Pure. The shapes are those of Stripe's API reference, of the versions before and after 2025-03-31, in which a charge no
//! longer names its invoice.

pub mod signature;
use iso_currency::Currency;
use serde_json::Value;

use super::payload::{At, Fault, sender_id};
use super::setup::MetadataNames;
use super::translated::{Person, SenderStage, Translated};
use crate::book::intake::{CustomerFact, DisputeFact, Fact, PaymentFact, PaymentOf};
use crate::digesting::Digester;
use crate::vocabulary::bundle::PaymentKind;
use crate::vocabulary::ids::SenderId;
use crate::vocabulary::source::Source;
use crate::vocabulary::time::Timestamp;

/// Currencies whose amounts Stripe writes in whole units.
const WITHOUT_DECIMALS: [&str; 15] =
    ["BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"];
/// Currencies whose amounts Stripe writes in thousandths.
const WITH_THREE: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// An amount of Stripe's in the minor unit of ISO 4217. They are one but for a few currencies (ISK and UGX have hundredths with Stripe and none in
/// ISO 4217, MGA the other way).
fn iso_minor(amount: i64, code: &str) -> i64 {
    let written: u16 = if WITHOUT_DECIMALS.contains(&code) {
        0
    } else if WITH_THREE.contains(&code) {
        3
    } else {
        2
    };
    let iso = Currency::from_code(code).and_then(Currency::exponent).unwrap_or(written);
    match iso.cmp(&written) {
        std::cmp::Ordering::Equal => amount,
        std::cmp::Ordering::Less => amount / 10_i64.pow(u32::from(written - iso)),
        std::cmp::Ordering::Greater => amount.saturating_mul(10_i64.pow(u32::from(iso - written))),
    }
}

/// Translates an event. What says nothing that matters here has no facts.
///
/// # Errors
/// [`Fault`]: the first field that is not what Stripe sends.
pub fn translate(payload: &Value, digester: &Digester, names: &MetadataNames) -> Result<Translated, Fault> {
    let event = At::new(payload, "");
    let event_id = event.id("id")?;
    let kind = event.text("type").ok_or_else(|| Fault::new("type", "is required"))?;
    let at = event.seconds("created")?;
    let object = event.get("data.object").ok_or_else(|| Fault::new("data.object", "is required"))?;
    let stage = if event.get("livemode") == Some(&Value::Bool(false)) { SenderStage::Test } else { SenderStage::Live };
    let mut reading =
        Reading { object: At::new(object, "data.object"), event, at, names, person: Person::new(digester, Source::Stripe) };
    let facts = match kind {
        "customer.created" | "customer.updated" => reading.customer()?,
        "customer.subscription.created" | "customer.subscription.updated" => reading.subscription(false)?,
        "customer.subscription.deleted" => reading.subscription(true)?,
        "invoice.paid" | "invoice.payment_succeeded" => reading.invoice()?,
        "invoice_payment.paid" => reading.invoice_payment()?,
        "charge.succeeded" | "charge.updated" | "charge.captured" => reading.charge()?,
        "charge.refunded" => reading.refunded()?,
        "charge.dispute.created" | "charge.dispute.updated" | "charge.dispute.closed" => reading.dispute()?,
        "payment_method.attached" | "payment_method.updated" | "payment_method.automatically_updated" => {
            reading.payment_method()?
        }
        "radar.early_fraud_warning.created" | "radar.early_fraud_warning.updated" => reading.warning()?,
        "checkout.session.completed" => reading.checkout()?,
        _ => Vec::new(),
    };
    let noticed = reading.person.noticed;
    Ok(Translated { source: Source::Stripe, event_id, at, facts, noticed, stage })
}

struct Reading<'v, 'd> {
    event: At<'v>,
    object: At<'v>,
    at: Timestamp,
    names: &'d MetadataNames,
    person: Person<'d>,
}

impl Reading<'_, '_> {
    /// The code and the account under a path of metadata, as a statement about a customer; absent when neither is there.
    fn attached(&self, path: &str, customer: &SenderId) -> Result<Option<Fact>, Fault> {
        let Some(metadata) = self.object.get(path) else { return Ok(None) };
        let path = format!("data.object.{path}");
        let (code, account) = At::new(metadata, &path).attached(self.names)?;
        let says = code.is_some() || account.is_some();
        let customer = CustomerFact { customer: customer.clone(), created_at: None, account, code };
        Ok(says.then_some(Fact::Customer(customer)))
    }

    fn customer(&mut self) -> Result<Vec<Fact>, Fault> {
        let customer = self.object.id("id")?;
        let created_at = self.object.optional_seconds("created")?;
        self.person.email(self.object.text("email"));
        self.person.name(self.object.text("name"));
        let empty = CustomerFact { customer: customer.clone(), created_at, account: None, code: None };
        let fact = match self.attached("metadata", &customer)? {
            Some(Fact::Customer(fact)) => CustomerFact { created_at, ..fact },
            Some(_) | None => empty,
        };
        Ok([Some(Fact::Customer(fact)), self.person.fact(&customer)].into_iter().flatten().collect())
    }

    fn subscription(&self, deleted: bool) -> Result<Vec<Fact>, Fault> {
        let customer = self.object.id("customer")?;
        let subscription = self.object.id("id")?;
        let ended = deleted || self.object.text("status") == Some("canceled");
        let attached = self.attached("metadata", &customer)?;
        Ok(attached.into_iter().chain(ended.then_some(Fact::Ended(subscription))).collect())
    }

    fn invoice(&mut self) -> Result<Vec<Fact>, Fault> {
        let invoice = self.object.id("id")?;
        let customer = self.object.id("customer")?;
        let value = self.object.money("amount_paid", "currency", iso_minor)?;
        let paid_at = self.object.optional_seconds("status_transitions.paid_at")?.unwrap_or(self.at);
        let mut intent = self.object.optional_id("payment_intent")?;
        if intent.is_none()
            && let Some(paid) = self.object.get("payments.data").and_then(|paid| paid.get(0))
        {
            intent = At::new(paid, "data.object.payments.data[0]").optional_id("payment.payment_intent")?;
        }
        let subscription = match self.object.optional_id("subscription")? {
            Some(subscription) => Some(subscription),
            None => self.object.optional_id("parent.subscription_details.subscription")?,
        };
        self.person.email(self.object.text("customer_email"));
        self.person.name(self.object.text("customer_name"));
        let mut facts = Vec::new();
        for path in ["metadata", "subscription_details.metadata", "parent.subscription_details.metadata"] {
            facts.extend(self.attached(path, &customer)?);
        }
        facts.extend(self.person.fact(&customer));
        let payment = PaymentFact {
            payment: invoice,
            customer: Some(customer),
            value,
            paid_at,
            of: PaymentOf::Itself,
            intent,
            subscription,
        };
        facts.push(Fact::Payment(Box::new(payment)));
        Ok(facts)
    }

    fn invoice_payment(&self) -> Result<Vec<Fact>, Fault> {
        let invoice = self.object.id("invoice")?;
        let intent = self.object.optional_id("payment.payment_intent")?;
        Ok(intent.map(|intent| Fact::OfInvoice { intent, invoice }).into_iter().collect())
    }

    fn charge(&mut self) -> Result<Vec<Fact>, Fault> {
        if self.object.text("status").is_some_and(|status| status != "succeeded") {
            return Ok(Vec::new());
        }
        let charge = self.object.id("id")?;
        let guest = self.object.get("customer").is_none();
        // Whoever pays as a guest is a customer of this one charge.
        let customer = if guest { charge.clone() } else { self.object.id("customer")? };
        let value = self.object.money("amount", "currency", iso_minor)?;
        let paid_at = self.object.seconds("created")?;
        let of = match (self.object.value().get("invoice"), self.object.optional_id("invoice")?) {
            (_, Some(invoice)) => PaymentOf::Invoice(invoice),
            (Some(_), None) => PaymentOf::NoInvoice,
            (None, None) => PaymentOf::Unclear,
        };
        let intent = self.object.optional_id("payment_intent")?;
        let details = self.object.get("payment_method_details").map(|details| At::new(details, "payment_method_details"));
        self.instruments(details, paid_at);
        self.billing_details();
        let mut facts: Vec<Fact> = self.attached("metadata", &customer)?.into_iter().collect();
        if guest {
            for fact in &mut facts {
                if let Fact::Customer(fact) = fact {
                    fact.created_at = Some(paid_at);
                }
            }
        }
        facts.extend(self.person.fact(&customer));
        let payment = PaymentFact { payment: charge, customer: Some(customer), value, paid_at, of, intent, subscription: None };
        facts.push(Fact::Payment(Box::new(payment)));
        Ok(facts)
    }

    fn billing_details(&mut self) {
        self.person.email(self.object.text("billing_details.email"));
        self.person.name(self.object.text("billing_details.name"));
    }

    /// The instruments of a payment method, by Stripe's fingerprint of each.
    fn instruments(&mut self, details: Option<At<'_>>, seen_at: Timestamp) {
        let Some(details) = details else { return };
        let kinds = [
            ("card.fingerprint", PaymentKind::Card),
            ("sepa_debit.fingerprint", PaymentKind::Sepa),
            ("us_bank_account.fingerprint", PaymentKind::BankAccount),
            ("bacs_debit.fingerprint", PaymentKind::BankAccount),
            ("au_becs_debit.fingerprint", PaymentKind::BankAccount),
            ("paypal.payer_id", PaymentKind::Paypal),
        ];
        for (field, kind) in kinds {
            let country = field.split_once('.').and_then(|(kind, _)| details.text(&format!("{kind}.country")));
            self.person.instrument(kind, details.text(field), country, seen_at);
        }
    }

    /// Stripe tells how much was given back in all, and how much before.
    fn refunded(&mut self) -> Result<Vec<Fact>, Fault> {
        let charge = self.object.id("id")?;
        let in_all = self.object.money("amount_refunded", "currency", iso_minor)?;
        let code = in_all.currency();
        let before = self.event.integer("data.previous_attributes.amount_refunded").unwrap_or(0);
        let amount = in_all.less(iso_minor(before, code.as_str()));
        let refund = sender_id(&format!("{charge}.refunded.{}", in_all.amount_minor()));
        let refund = refund.map_err(|problem| Fault::new("data.object.id", problem))?;
        let mut facts = self.charge()?;
        facts.push(Fact::GivenBack { payment: charge, refund, amount: Some(amount) });
        Ok(facts)
    }

    fn dispute(&self) -> Result<Vec<Fact>, Fault> {
        let status = self.object.text("status").unwrap_or_default();
        // An inquiry takes no money back.
        if status.starts_with("warning_") {
            return Ok(Vec::new());
        }
        let amount = Some(self.object.money("amount", "currency", iso_minor)?);
        let (payment, dispute) = (self.object.id("charge")?, self.object.id("id")?);
        let opened_at = self.object.seconds("created")?;
        let won_at = (status == "won").then_some(self.at);
        Ok(vec![Fact::Disputed(DisputeFact { payment, dispute, amount, opened_at, won_at })])
    }

    fn payment_method(&mut self) -> Result<Vec<Fact>, Fault> {
        let Some(customer) = self.object.optional_id("customer")? else { return Ok(Vec::new()) };
        self.instruments(Some(self.object), self.at);
        self.billing_details();
        Ok(self.person.fact(&customer).into_iter().collect())
    }

    fn warning(&self) -> Result<Vec<Fact>, Fault> {
        Ok(vec![Fact::Warned { payment: self.object.id("charge")?, warning: self.object.id("id")? }])
    }

    fn checkout(&mut self) -> Result<Vec<Fact>, Fault> {
        let Some(customer) = self.object.optional_id("customer")? else { return Ok(Vec::new()) };
        self.person.email(self.object.text("customer_details.email"));
        self.person.name(self.object.text("customer_details.name"));
        let attached = self.attached("metadata", &customer)?;
        Ok(attached.into_iter().chain(self.person.fact(&customer)).collect())
    }
}
