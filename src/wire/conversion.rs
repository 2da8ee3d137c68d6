//! Conversions between messages and vocabulary.
//! It must never accept half a message: either all of it is valid, or every violation is named. The service, the ledger's records and the
//! offline commands call it.

use std::collections::BTreeSet;

use super::enums::WireEnum;
use super::fields::{
    Arrival, id_text, list, money, money_message, optional_enum, optional_id, required_enum, required_id, required_time,
    time_message,
};
use super::violation::{At, Violation, Violations, Warned};
use super::{bundle, journey, v1};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, REWARDS_MAX, RefereeStanding, Reward};
use crate::vocabulary::money::Money;

/// Reads a conversion. `path`: where it stands in the request, like `conversion`; empty when it is the message itself.
///
/// # Errors
/// All violations.
pub fn parse(message: v1::Conversion, path: &str, arrival: Arrival) -> Result<Conversion, Vec<Violation>> {
    parse_warned(message, path, arrival).map(|(conversion, _)| conversion)
}

/// As [`parse`], with the warnings of soft signals that were cut or counted as absent.
///
/// # Errors
/// All violations.
pub fn parse_warned(message: v1::Conversion, path: &str, arrival: Arrival) -> Result<Warned<Conversion>, Vec<Violation>> {
    let mut found = Violations::default();
    let conversion = read(message, &At::path(path), arrival, &mut found);
    found.into_warned(conversion)
}

/// Reads a conversion and notes what is wrong.
pub fn read(message: v1::Conversion, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<Conversion> {
    let v1::Conversion {
        program_id,
        conversion_id,
        campaign_id,
        kind,
        occurred_at,
        value,
        minimum_purchase,
        invoice_id,
        referee_standing,
        attribution,
        referrer,
        referee,
        rewards,
    } = message;
    let program_id = required_id(&program_id, &at.field("program_id"), found);
    let conversion_id = required_id(&conversion_id, &at.field("conversion_id"), found);
    let campaign_id = optional_id(&campaign_id, &at.field("campaign_id"), found);
    let kind = required_enum(kind, &at.field("kind"), found);
    let occurred_at = required_time(occurred_at, &at.field("occurred_at"), arrival, found);
    let value = money(value, &at.field("value"), found);
    let minimum_purchase = money(minimum_purchase, &at.field("minimum_purchase"), found);
    same_currency(value, minimum_purchase, &at.field("minimum_purchase"), found);
    let invoice_id = optional_id(&invoice_id, &at.field("invoice_id"), found);
    let referee_standing = optional_enum(referee_standing, &at.field("referee_standing"), found);
    let attribution = journey::attribution(attribution, &at.field("attribution"), arrival, found);
    let referrer = side(referrer, &at.field("referrer"), arrival, found);
    let referee = side(referee, &at.field("referee"), arrival, found);
    let rewards = distinct_rewards(rewards, &at.field("rewards"), found);
    Some(Conversion {
        program_id: program_id?,
        conversion_id: conversion_id?,
        campaign_id,
        kind: kind?,
        occurred_at: occurred_at?,
        value,
        minimum_purchase,
        invoice_id,
        referee_standing: referee_standing.unwrap_or(RefereeStanding::New),
        attribution: attribution?,
        referrer: referrer?,
        referee: referee?,
        rewards,
    })
}

fn same_currency(value: Option<Money>, minimum: Option<Money>, at: &At<'_>, found: &mut Violations) {
    if let (Some(value), Some(minimum)) = (value, minimum)
        && value.currency() != minimum.currency()
    {
        found.add(&at.field("currency"), format!("must be that of `value`, `{}`", value.currency().as_str()));
    }
}

/// Both accounts may be one: that is evidence, not a violation.
fn side(message: Option<v1::SignalBundle>, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<SignalBundle> {
    if message.is_none() {
        found.add(at, "is required; its `account_id` alone is enough");
    }
    bundle::read(message?, at, arrival, found)
}

pub(super) fn distinct_rewards(messages: Vec<v1::Reward>, at: &At<'_>, found: &mut Violations) -> Vec<Reward> {
    let mut ids = BTreeSet::new();
    for (index, message) in messages.iter().take(REWARDS_MAX).enumerate() {
        if !message.reward_id.is_empty() && !ids.insert(message.reward_id.clone()) {
            found.add(&at.entry(index).field("reward_id"), "stands in the list twice; each reward has its own id");
        }
    }
    list(messages, REWARDS_MAX, at, found, reward)
}

fn reward(message: v1::Reward, at: &At<'_>, found: &mut Violations) -> Option<Reward> {
    let v1::Reward { reward_id, beneficiary, amount } = message;
    let reward_id = required_id(&reward_id, &at.field("reward_id"), found);
    let beneficiary = required_enum(beneficiary, &at.field("beneficiary"), found);
    let amount = money(amount, &at.field("amount"), found);
    Some(Reward { reward_id: reward_id?, beneficiary: beneficiary?, amount })
}

/// Writes a conversion. Reading the message gives the same conversion again.
#[must_use]
pub fn message_of(conversion: &Conversion) -> v1::Conversion {
    let Conversion {
        program_id,
        conversion_id,
        campaign_id,
        kind,
        occurred_at,
        value,
        minimum_purchase,
        invoice_id,
        referee_standing,
        attribution,
        referrer,
        referee,
        rewards,
    } = conversion;
    v1::Conversion {
        program_id: program_id.to_string(),
        conversion_id: conversion_id.to_string(),
        campaign_id: id_text(campaign_id.as_ref()),
        kind: kind.to_number(),
        occurred_at: Some(time_message(*occurred_at)),
        value: value.map(money_message),
        minimum_purchase: minimum_purchase.map(money_message),
        invoice_id: id_text(invoice_id.as_ref()),
        referee_standing: Some(referee_standing.to_number()),
        attribution: Some(journey::attribution_message(attribution)),
        referrer: Some(bundle::message_of(referrer)),
        referee: Some(bundle::message_of(referee)),
        rewards: rewards.iter().map(reward_message).collect(),
    }
}

/// Writes a reward.
#[must_use]
pub fn reward_message(reward: &Reward) -> v1::Reward {
    let Reward { reward_id, beneficiary, amount } = reward;
    v1::Reward { reward_id: reward_id.to_string(), beneficiary: beneficiary.to_number(), amount: amount.map(money_message) }
}
