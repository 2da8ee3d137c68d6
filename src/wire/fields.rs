//! Readers of single fields: ids, text, times, money, countries, enums. Each notes what is wrong and goes on.
//!
//! Must never repeat what was sent, except numbers of enums and lengths. The readers of whole messages call them, and so does the service
//! for the requests that are not messages of the vocabulary.

use super::enums::WireEnum;
use super::violation::{At, Violations};
use super::{WireTimestamp, v1};
use crate::vocabulary::ids::{
    AccountId, ActId, Actor, CampaignId, CaseId, ConversionId, HoldId, InvalidId, InvoiceId, ProgramId, RecordId, RequestId,
    RewardId, TokenId, Ucc,
};
use crate::vocabulary::money::{InvalidMoney, Money};
use crate::vocabulary::personal_data::{self, PersonalDatum};
use crate::vocabulary::time::{CLOCK_SKEW_TOLERANCE, Timestamp};

/// With which clock the times of a message are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It arrives now: a time more than [`CLOCK_SKEW_TOLERANCE`] after this instant is refused.
    At(Timestamp),
    /// It was accepted before, or is history that was never live: a stored record, an exported line. Its times are taken as they are.
    Recorded,
}

/// An identifier of the vocabulary that is read from text.
pub trait WireId: Sized {
    /// Takes the text as an identifier.
    ///
    /// # Errors
    /// [`InvalidId`] when it is not one.
    fn read(text: &str) -> Result<Self, InvalidId>;
}

macro_rules! wire_ids {
    ($($id:ident),+) => { $(impl WireId for $id {
        fn read(text: &str) -> Result<Self, InvalidId> {
            Self::new(text)
        }
    })+ };
}

wire_ids!(
    AccountId,
    ActId,
    Actor,
    CampaignId,
    CaseId,
    ConversionId,
    HoldId,
    InvoiceId,
    ProgramId,
    RecordId,
    RequestId,
    RewardId,
    TokenId,
    Ucc
);

/// Why what holds a personal datum is refused.
pub(super) fn refused(datum: PersonalDatum) -> String {
    format!("holds what looks like {datum}, which must not be kept: name people by the ids of their accounts")
}

/// Reads an id that must be there.
pub fn required_id<T: WireId>(text: &str, at: &At<'_>, found: &mut Violations) -> Option<T> {
    if let Some(datum) = personal_data::in_id(text) {
        found.add(at, refused(datum));
        return None;
    }
    match T::read(text) {
        Ok(id) => Some(id),
        Err(InvalidId::Empty) => {
            found.add(at, "is required");
            None
        }
        Err(problem @ (InvalidId::TooLong { .. } | InvalidId::Character { .. })) => {
            found.add(at, problem.to_string());
            None
        }
    }
}

/// Reads an id that may be left out.
pub fn optional_id<T: WireId>(text: &str, at: &At<'_>, found: &mut Violations) -> Option<T> {
    if text.is_empty() { None } else { required_id(text, at, found) }
}

/// Reads an enum that must be there: the zero and numbers that this version does not know are refused.
pub fn required_enum<T: WireEnum>(number: i32, at: &At<'_>, found: &mut Violations) -> Option<T> {
    let wire = T::Wire::try_from(number).ok();
    let value = wire.and_then(T::from_wire);
    if value.is_none() {
        let choices = T::wire_names().join("`, `");
        if wire.is_some() {
            found.add(at, format!("is required; use one of `{choices}`"));
        } else {
            found.add(at, format!("is {number}, which this version does not know; use one of `{choices}`"));
        }
    }
    value
}

/// Reads an enum that may be left out. A zero that is there is refused.
pub fn optional_enum<T: WireEnum>(number: Option<i32>, at: &At<'_>, found: &mut Violations) -> Option<T> {
    number.and_then(|number| required_enum(number, at, found))
}

/// Reads a repeated enum without repeats, in the order of our enum. `max`: entries.
pub fn enum_set<T: WireEnum + Ord>(numbers: &[i32], max: usize, at: &At<'_>, found: &mut Violations) -> Vec<T> {
    let mut values = Vec::with_capacity(numbers.len().min(max));
    if numbers.len() > max {
        found.add(at, format!("holds {} entries; at most {max} are allowed", numbers.len()));
    }
    for (index, number) in numbers.iter().take(max).enumerate() {
        if let Some(value) = required_enum(*number, &at.entry(index), found) {
            if values.contains(&value) {
                found.add(&at.entry(index), "stands in the list twice");
            } else {
                values.push(value);
            }
        }
    }
    values.sort_unstable();
    values
}

/// As [`enum_set`], for soft signals: what this version does not know, repeats and entries beyond `max` are left out with a warning.
pub fn soft_enum_set<T: WireEnum + Ord>(numbers: &[i32], max: usize, at: &At<'_>, found: &mut Violations) -> Vec<T> {
    let mut values = Vec::with_capacity(numbers.len().min(max));
    for (index, number) in numbers.iter().enumerate() {
        match T::Wire::try_from(*number).ok().and_then(T::from_wire) {
            Some(value) if values.contains(&value) => found.ignore(&at.entry(index), "stands in the list twice"),
            Some(value) if values.len() < max => values.push(value),
            Some(_) => found.ignore(&at.entry(index), &format!("is beyond the {max} entries that are kept")),
            None => found.ignore(&at.entry(index), &format!("is none of `{}`", T::wire_names().join("`, `"))),
        }
    }
    values.sort_unstable();
    values
}

/// Reads a text of at most `bytes_max` bytes without control characters or personal data. Empty means absent.
pub fn text(value: &str, bytes_max: usize, at: &At<'_>, found: &mut Violations) -> Box<str> {
    if let Some(datum) = personal_data::in_text(value) {
        found.add(at, refused(datum));
    }
    name_of_somebody(value, bytes_max, at, found)
}

/// As [`text`], for what is meant to name a person or a machine: the name of a certificate may be an e-mail address.
pub fn name_of_somebody(value: &str, bytes_max: usize, at: &At<'_>, found: &mut Violations) -> Box<str> {
    if value.len() > bytes_max {
        found.add(at, format!("is {} bytes long; at most {bytes_max} are allowed", value.len()));
    } else if let Some(position) = value.find(char::is_control) {
        found.add(at, format!("holds a control character at byte {position}"));
    }
    value.into()
}

/// Reads a soft text, as [`text`]: one that is too long is cut, one with control characters counts as absent, and both are warned of.
pub fn soft_text(value: &str, bytes_max: usize, at: &At<'_>, found: &mut Violations) -> Box<str> {
    if let Some(position) = value.find(char::is_control) {
        found.ignore(at, &format!("holds a control character at byte {position}"));
        return "".into();
    }
    if let Some(datum) = personal_data::in_machine_text(value) {
        found.ignore(at, &refused(datum));
        return "".into();
    }
    if value.len() <= bytes_max {
        return value.into();
    }
    found.cut(at, &format!("is {} bytes long, and {bytes_max} are kept", value.len()));
    let end = (0..=bytes_max).rev().find(|end| value.is_char_boundary(*end)).unwrap_or_default();
    value.get(..end).unwrap_or_default().into()
}

/// Reads a time that must be there.
pub fn required_time(time: Option<WireTimestamp>, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<Timestamp> {
    if time.is_none() {
        found.add(at, "is required");
    }
    optional_time(time, at, arrival, found)
}

/// Reads a time that may be left out.
pub fn optional_time(time: Option<WireTimestamp>, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<Timestamp> {
    let WireTimestamp { seconds, nanos } = time?;
    if !(0..1_000_000_000).contains(&nanos) {
        found.add(&at.field("nanos"), format!("is {nanos}; it must be between 0 and 999999999"));
        return None;
    }
    let millis = seconds.saturating_mul(1_000).saturating_add(i64::from(nanos / 1_000_000));
    let Ok(instant) = Timestamp::from_millis(millis) else {
        found.add(at, "lies outside the years 2000 to 2199; `seconds` counts seconds since 1970");
        return None;
    };
    match arrival {
        Arrival::At(received_at) if instant > received_at.plus(CLOCK_SKEW_TOLERANCE) => {
            let ahead = instant.since(received_at);
            found.add(at, format!("lies {ahead} in the future; up to {CLOCK_SKEW_TOLERANCE} are taken for clock skew"));
            None
        }
        Arrival::At(_) | Arrival::Recorded => Some(instant),
    }
}

/// Reads the time of something that must not be refused for a wrong clock: a payment, an outcome. One in the future is taken for now, and told.
pub fn time_of_fact(
    time: Option<WireTimestamp>,
    at: &At<'_>,
    arrival: Arrival,
    warnings: &mut Vec<String>,
    found: &mut Violations,
) -> Option<Timestamp> {
    let told = required_time(time, at, Arrival::Recorded, found)?;
    match arrival {
        Arrival::At(received_at) if told > received_at => {
            let ahead = told.since(received_at);
            if ahead > CLOCK_SKEW_TOLERANCE {
                let field = at.to_string();
                warnings.push(format!("`{field}` lies {ahead} in the future and is taken for now; compare the clocks"));
            }
            Some(received_at)
        }
        Arrival::At(_) | Arrival::Recorded => Some(told),
    }
}

/// Reads an amount that may be left out, and is above zero when it is there.
pub fn positive_money(message: Option<v1::Money>, at: &At<'_>, found: &mut Violations) -> Option<Money> {
    let money = money(message, at, found)?;
    if money.amount_minor() == 0 {
        found.add(&at.field("amount_minor"), "must be above zero; leave the amount out when it is not known");
        return None;
    }
    Some(money)
}

/// Writes a time.
#[must_use]
pub fn time_message(time: Timestamp) -> WireTimestamp {
    let millis = time.as_millis();
    let nanos = i32::try_from(millis.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    WireTimestamp { seconds: millis.div_euclid(1_000), nanos }
}

/// Reads an amount that may be left out.
pub fn money(message: Option<v1::Money>, at: &At<'_>, found: &mut Violations) -> Option<Money> {
    let v1::Money { amount_minor, currency } = message?;
    match Money::new(amount_minor, &currency) {
        Ok(money) => Some(money),
        Err(problem) => {
            let field = match problem {
                InvalidMoney::Currency => "currency",
                InvalidMoney::Amount => "amount_minor",
            };
            found.add(&at.field(field), format!("is not usable: {problem}"));
            // An amount that is refused hides the currency from `Money::new`.
            if problem == InvalidMoney::Amount && Money::new(0, &currency).is_err() {
                found.add(&at.field("currency"), format!("is not usable: {}", InvalidMoney::Currency));
            }
            None
        }
    }
}

/// Writes an amount.
#[must_use]
pub fn money_message(money: Money) -> v1::Money {
    v1::Money { amount_minor: money.amount_minor(), currency: money.currency().as_str().to_owned() }
}

/// Reads a country of two upper-case letters. Empty means absent, and so does what is no country, with a warning.
pub fn country(code: &str, at: &At<'_>, found: &mut Violations) -> Option<[u8; 2]> {
    match *code.as_bytes() {
        [] => None,
        [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some([a, b]),
        [..] => {
            found.ignore(at, "is not two upper-case letters of ISO 3166-1, like `DE`");
            None
        }
    }
}

/// Writes a country; empty when there is none.
#[must_use]
pub fn country_text(country: Option<[u8; 2]>) -> String {
    country.map(|letters| letters.into_iter().map(char::from).collect()).unwrap_or_default()
}

/// Reads a repeated message of at most `max` entries. Entries beyond are not read; the violation about their number says why.
pub fn list<M, T>(
    messages: Vec<M>,
    max: usize,
    at: &At<'_>,
    found: &mut Violations,
    read: impl Fn(M, &At<'_>, &mut Violations) -> Option<T>,
) -> Vec<T> {
    if messages.len() > max {
        found.add(at, format!("holds {} entries; at most {max} are allowed", messages.len()));
    }
    let entries = messages.into_iter().take(max).enumerate();
    entries.filter_map(|(index, message)| read(message, &at.entry(index), found)).collect()
}

/// Writes an id that may be absent.
#[must_use]
pub fn id_text<T: std::fmt::Display>(id: Option<&T>) -> String {
    id.map(ToString::to_string).unwrap_or_default()
}
