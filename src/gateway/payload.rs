//! Reading a sender's JSON: a field by its path, and what is wrong with it by the same path, never with its value.

use serde_json::Value;

use crate::vocabulary::ids::{AccountId, SenderId, Ucc};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Timestamp;

/// The longest id of a sender that is taken: ids of ours are made of it. Unit: bytes.
const SENDER_ID_BYTES_MAX: usize = 80;

/// A field that cannot be used. Never holds the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {problem}")]
pub struct Fault {
    /// Where it stands, like `data.object.id`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Fault {
    /// A fault of a field.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// An object of a payload, with where it stands.
#[derive(Clone, Copy)]
pub(super) struct At<'v> {
    value: &'v Value,
    path: &'v str,
}

impl<'v> At<'v> {
    pub(super) const fn new(value: &'v Value, path: &'v str) -> Self {
        Self { value, path }
    }

    pub(super) const fn value(&self) -> &'v Value {
        self.value
    }

    fn fault(&self, field: &str, problem: impl Into<String>) -> Fault {
        let dot = if self.path.is_empty() { "" } else { "." };
        Fault::new(format!("{}{dot}{field}", self.path), problem)
    }

    /// The value at a dotted path; absent when it is not there, or null.
    pub(super) fn get(&self, field: &str) -> Option<&'v Value> {
        field.split('.').try_fold(self.value, |value, key| value.get(key)).filter(|value| !value.is_null())
    }

    /// A text that is not empty.
    pub(super) fn text(&self, field: &str) -> Option<&'v str> {
        self.get(field).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
    }

    /// The id of something: a text, or an object with its id.
    pub(super) fn id_text(&self, field: &str) -> Option<&'v str> {
        let value = self.get(field)?;
        value.as_str().or_else(|| value.get("id").and_then(Value::as_str)).filter(|text| !text.is_empty())
    }

    /// An id that may be absent.
    pub(super) fn optional_id(&self, field: &str) -> Result<Option<SenderId>, Fault> {
        self.id_text(field).map(|text| sender_id(text).map_err(|problem| self.fault(field, problem))).transpose()
    }

    /// An id that must be there.
    pub(super) fn id(&self, field: &str) -> Result<SenderId, Fault> {
        self.optional_id(field)?.ok_or_else(|| self.fault(field, "is required"))
    }

    /// A whole number that may be absent.
    pub(super) fn integer(&self, field: &str) -> Option<i64> {
        self.get(field).and_then(Value::as_i64)
    }

    /// A time in seconds since 1970 that may be absent.
    pub(super) fn optional_seconds(&self, field: &str) -> Result<Option<Timestamp>, Fault> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let seconds = value.as_i64().ok_or_else(|| self.fault(field, "must be whole seconds since 1970"))?;
        let at = Timestamp::from_millis(seconds.saturating_mul(1_000));
        at.map(Some).map_err(|_| self.fault(field, "must be seconds since 1970, of a time since the year 2000"))
    }

    /// A time in seconds since 1970.
    pub(super) fn seconds(&self, field: &str) -> Result<Timestamp, Fault> {
        self.optional_seconds(field)?.ok_or_else(|| self.fault(field, "is required"))
    }

    /// An amount in ISO minor units, from fields in which `convert` makes them of what is written.
    pub(super) fn money(&self, amount: &str, currency: &str, convert: fn(i64, &str) -> i64) -> Result<Money, Fault> {
        let minor = self.get(amount).ok_or_else(|| self.fault(amount, "is required"))?;
        let minor =
            minor.as_i64().ok_or_else(|| self.fault(amount, "must be a whole number of minor units, like 10000 for 100.00"))?;
        let code = self.text(currency).ok_or_else(|| self.fault(currency, "is required"))?.to_ascii_uppercase();
        Money::new(convert(minor, &code), &code).map_err(|error| match error {
            crate::vocabulary::money::InvalidMoney::Currency => self.fault(currency, error.to_string()),
            crate::vocabulary::money::InvalidMoney::Amount => self.fault(amount, error.to_string()),
        })
    }

    /// The first of several names that an object has.
    pub(super) fn first_text(&self, names: &[String]) -> Option<(&'v str, String)> {
        names
            .iter()
            .find_map(|name| Some((self.value.get(name)?.as_str()?.trim(), name.clone())).filter(|(text, _)| !text.is_empty()))
    }

    /// The code and the account that stand under configured names.
    pub(super) fn attached(&self, names: &super::setup::MetadataNames) -> Result<(Option<Ucc>, Option<AccountId>), Fault> {
        let code = self.first_text(&names.code).map(|(text, name)| code_of(text).map_err(|problem| self.fault(&name, problem)));
        let account =
            self.first_text(&names.account).map(|(text, name)| account_of(text).map_err(|problem| self.fault(&name, problem)));
        Ok((code.transpose()?, account.transpose()?))
    }
}

/// What is the same in both units.
pub(super) const fn as_written(minor: i64, _: &str) -> i64 {
    minor
}

/// Reads an id of a sender's.
///
/// # Errors
/// What is wrong with it, without it.
pub fn sender_id(text: &str) -> Result<SenderId, String> {
    within(text)?;
    SenderId::new(text).map_err(|error| error.to_string())
}

pub(super) fn account_of(text: &str) -> Result<AccountId, String> {
    within(text)?;
    AccountId::new(text).map_err(|error| error.to_string())
}

pub(super) fn code_of(text: &str) -> Result<Ucc, String> {
    within(text)?;
    Ucc::new(text).map_err(|error| error.to_string())
}

fn within(text: &str) -> Result<(), String> {
    if text.len() <= SENDER_ID_BYTES_MAX {
        return Ok(());
    }
    Err(format!("is {} bytes long; at most {SENDER_ID_BYTES_MAX} are taken", text.len()))
}
