//! The events API as facts: what programmes send to a referral platform today. Pure.
//!
//! A call has no id of its own. Two calls that say the same thing of the same moment are one event, whose id is made of what they say, people apart; a
//! sender that knows better sends `Idempotency-Key`.

use serde_json::Value;

use super::payload::{At, Fault, account_of, as_written, code_of, sender_id};
use super::translated::{Person, SenderStage, Translated};
use crate::book::intake::{CodeFact, CodeUse, CustomerFact, Fact, Mistake, MistakeKind, PaymentFact, PaymentOf, ReferralStep};
use crate::digesting::Digester;
use crate::vocabulary::ids::{CampaignId, SenderId, Ucc};
use crate::vocabulary::source::Source;
use crate::vocabulary::time::{CLOCK_SKEW_TOLERANCE, Timestamp};

/// What a call can tell, by its trigger.
const TRIGGERS: [&str; 6] = ["new-signup", "sign_in", "demo-attended", "demo-call-attended", "invoice-paid", "charge-refunded"];

/// What is known of the programme beside the call.
pub struct Beside<'b> {
    /// Makes its pseudonyms.
    pub digester: &'b Digester,
    /// Prices of plans. Unit: minor units.
    pub plan_prices_minor: &'b [i64],
    /// `Idempotency-Key`; absent when it was not sent.
    pub key: Option<&'b str>,
    /// When the call came.
    pub now: Timestamp,
}

/// Translates a call of `POST /events`.
///
/// # Errors
/// [`Fault`]: the first field that is not what the API takes.
pub fn translate(payload: &Value, beside: &Beside<'_>) -> Result<Translated, Fault> {
    let call = At::new(payload, "");
    if call.text("eventName") != Some("ReferralUpdated") {
        return Err(Fault::new("eventName", "must be `ReferralUpdated`"));
    }
    let trigger = call.text("context.event.trigger").ok_or_else(|| Fault::new("context.event.trigger", "is required"))?;
    if !TRIGGERS.contains(&trigger) {
        return Err(Fault::new("context.event.trigger", format!("must be one of `{}`", TRIGGERS.join("`, `"))));
    }
    let at = time(call.text("context.event.timestamp"), beside.now)?;
    let event_id = event_id(payload, beside.key)?;
    let user = call.text("payload.newUserId").ok_or_else(|| Fault::new("payload.newUserId", "is required"))?;
    let account = account_of(user).map_err(|problem| Fault::new("payload.newUserId", problem))?;
    let customer = call.id("payload.newUserId")?;
    let code = call.text("payload.ucc").map(|text| code_of(text).map_err(|problem| Fault::new("payload.ucc", problem)));
    let mut person = Person::new(beside.digester, Source::Events);
    person.email(call.text("context.newUser.email"));
    person.name(call.text("context.newUser.name"));
    let fact = CustomerFact { customer: customer.clone(), created_at: None, account: Some(account), code: code.transpose()? };
    let mut facts = vec![Fact::Customer(fact)];
    match trigger {
        "new-signup" => {
            person.signals.opened_at = Some(at);
            facts.push(Fact::Step(customer.clone(), ReferralStep::SignUp));
        }
        "sign_in" => facts.push(Fact::Step(customer.clone(), ReferralStep::SignIn)),
        "invoice-paid" => facts.push(paid(call, &customer, &event_id, at)?),
        "charge-refunded" => facts.push(refunded(call, &event_id)?),
        // Both names of a demonstration; no other trigger comes here.
        _ => facts.push(Fact::Step(customer.clone(), ReferralStep::Demo)),
    }
    let mut noticed = std::mem::take(&mut person.noticed);
    noticed.extend(in_whole_units(call, trigger, beside.plan_prices_minor));
    facts.extend(person.fact(&customer));
    Ok(Translated { source: Source::Events, event_id, at, facts, noticed, stage: SenderStage::Live })
}

fn paid(call: At<'_>, customer: &SenderId, event_id: &SenderId, paid_at: Timestamp) -> Result<Fact, Fault> {
    let invoice = call.optional_id("context.subscription.invoiceId")?;
    let of = if invoice.is_some() { PaymentOf::Itself } else { PaymentOf::NoInvoice };
    Ok(Fact::Payment(Box::new(PaymentFact {
        payment: invoice.unwrap_or_else(|| event_id.clone()),
        customer: Some(customer.clone()),
        value: call.money("payload.price", "payload.currency", as_written)?,
        paid_at,
        of,
        intent: None,
        subscription: call.optional_id("context.subscription.id")?,
    })))
}

fn refunded(call: At<'_>, event_id: &SenderId) -> Result<Fact, Fault> {
    let payment = call.id("context.subscription.invoiceId")?;
    let amount = call.money("payload.price", "payload.currency", as_written)?;
    // An amount of nothing says that it was not told: all of it.
    let amount = Some(amount).filter(|amount| amount.amount_minor() > 0);
    Ok(Fact::GivenBack { payment, refund: event_id.clone(), amount })
}

/// An amount that is a hundredth of a plan's price, and no plan's price itself.
fn in_whole_units(call: At<'_>, trigger: &str, prices: &[i64]) -> Option<Mistake> {
    let minor = call.integer("payload.price").filter(|minor| trigger == "invoice-paid" && *minor > 0)?;
    let is_price = |minor: i64| prices.contains(&minor);
    let whole = minor.checked_mul(100).is_some_and(is_price) && !is_price(minor);
    let subject = format!("{minor} {}", call.text("payload.currency").unwrap_or_default().to_ascii_uppercase());
    whole.then(|| Mistake { kind: MistakeKind::AmountInMajorUnits, source: Source::Events, subject: subject.into() })
}

/// A time in RFC 3339, or as `2022-10-05 14:14:34`, which is taken for UTC. Absent: now.
fn time(text: Option<&str>, now: Timestamp) -> Result<Timestamp, Fault> {
    const FIELD: &str = "context.event.timestamp";
    let Some(text) = text else { return Ok(now) };
    let zoned = text.parse::<jiff::Timestamp>();
    let millis = zoned.or_else(|_| {
        text.parse::<jiff::civil::DateTime>()
            .and_then(|naive| naive.to_zoned(jiff::tz::TimeZone::UTC))
            .map(|zoned| zoned.timestamp())
    });
    let millis = millis.map_err(|_| Fault::new(FIELD, "must be a time of RFC 3339, like `2026-11-28T14:14:34Z`"))?;
    let at = Timestamp::from_millis(millis.as_millisecond()).map_err(|error| Fault::new(FIELD, error.to_string()))?;
    if at > now.plus(CLOCK_SKEW_TOLERANCE) {
        return Err(Fault::new(FIELD, format!("lies {} in the future by this server's clock", at.since(now))));
    }
    Ok(at)
}

/// The id of a call: the sender's, or a hash of what it says of anything but people.
fn event_id(payload: &Value, key: Option<&str>) -> Result<SenderId, Fault> {
    if let Some(key) = key {
        return sender_id(key).map_err(|problem| Fault::new("Idempotency-Key", problem));
    }
    let context = payload.get("context");
    let part = |name: &str| context.and_then(|context| context.get(name)).cloned().unwrap_or_default();
    // Maps of this library are ordered by their keys.
    let said = serde_json::json!([payload.get("eventName"), payload.get("payload"), part("event"), part("subscription")]);
    let hash = blake3::hash(said.to_string().as_bytes()).to_hex();
    sender_id(&format!("h-{}", hash.get(..32).unwrap_or_default())).map_err(|problem| Fault::new("payload", problem))
}

/// Translates `PUT /referral-codes/{code}`: whose the code is from now on, and the code that it takes the place of.
///
/// # Errors
/// [`Fault`].
pub fn code(code: &str, payload: &Value, now: Timestamp) -> Result<Translated, Fault> {
    let body = At::new(payload, "");
    let code = code_of(code).map_err(|problem| Fault::new("code", problem))?;
    let owner = body.text("productUserId").ok_or_else(|| Fault::new("productUserId", "is required"))?;
    let owner = account_of(owner).map_err(|problem| Fault::new("productUserId", problem))?;
    let campaign = body.text("campaignId").map(CampaignId::new).transpose();
    let campaign = campaign.map_err(|error| Fault::new("campaignId", error.to_string()))?;
    let use_of = match body.get("valid").map(|valid| valid.as_bool().ok_or_else(|| Fault::new("valid", "must be true or false")))
    {
        Some(valid) => {
            if valid? {
                CodeUse::Open
            } else {
                CodeUse::Ended
            }
        }
        None => CodeUse::Open,
    };
    let at = time(body.text("from"), now).map_err(|fault| Fault { field: "from".to_owned(), ..fault })?;
    let replaced = body.text("replaces").map(|text| code_of(text).map_err(|problem| Fault::new("replaces", problem)));
    let replaced = replaced.transpose()?;
    let ended = replaced.map(|code: Ucc| {
        Fact::Code(CodeFact { code, owner: Some(owner.clone()), campaign: campaign.clone(), use_of: CodeUse::Ended })
    });
    let said = format!("{code} {owner} {campaign:?} {use_of:?} {ended:?} {at}");
    let hash = blake3::hash(said.as_bytes()).to_hex();
    let event_id = sender_id(&format!("code-{}", hash.get(..32).unwrap_or_default()));
    let event_id = event_id.map_err(|problem| Fault::new("code", problem))?;
    let given = Fact::Code(CodeFact { code, owner: Some(owner.clone()), campaign: campaign.clone(), use_of });
    let facts = std::iter::once(given).chain(ended).collect();
    Ok(Translated { source: Source::Events, event_id, at, facts, noticed: Vec::new(), stage: SenderStage::Live })
}
