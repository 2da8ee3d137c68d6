//! Messages from JSON as the mapping of protocol buffers has it: `null` for what is left out, numbers with exponents or in quotes, enums by name
//! or number, both alphabets of base64.
//!
//! The generated reader takes what its own writer writes, and is quick. What it refuses is looked at again by the contract's descriptors, which
//! know the rest of the mapping and the name of the field that is wrong. A value is never repeated: it could be personal.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{FieldDescriptorProto, FileDescriptorSet};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use super::FILE_DESCRIPTOR_SET;

/// Base64 of either alphabet, once it is written in the first one, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

/// What is wrong with a message in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotThisMessage {
    /// The path of the field in the names of the contract; empty for the message itself.
    pub field: String,
    /// What is wrong and what is expected, to be read after the field.
    pub problem: String,
}

impl fmt::Display for NotThisMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() { write!(f, "it {}", self.problem) } else { write!(f, "`{}` {}", self.field, self.problem) }
    }
}

/// Reads a message of the contract, like `Conversion`, that the generated reader refused.
///
/// # Errors
/// [`NotThisMessage`]: the first field that no reading of the mapping allows.
pub fn read_by_contract<T: DeserializeOwned>(text: &str, message: &str) -> Result<T, NotThisMessage> {
    let broken = |field: String, problem: &str| NotThisMessage { field, problem: problem.to_owned() };
    let value: Value = serde_json::from_str(text).map_err(|_| broken(String::new(), "is not JSON"))?;
    let name = format!("selfsame.v1.{message}");
    let usual = contract().message(&name, value, "")?;
    serde_json::from_value(usual).map_err(|_| broken(String::new(), "holds a field twice, or two of which only one may be there"))
}

/// A field of a message, given as texts, like in the query of an address: its name in the contract, and its value in JSON.
///
/// # Errors
/// [`NotThisMessage`] when the message has no such field, or one text is expected where there are several.
pub fn from_texts(message: &str, name: &str, texts: Vec<String>) -> Result<(String, Value), NotThisMessage> {
    let fields = contract().messages.get(&format!("selfsame.v1.{message}"));
    let Some(field) = fields.and_then(|fields| fields.get(name)) else {
        return Err(wrong(name, format!("is no field of a `{message}`; its fields are in the contract")));
    };
    let value = |text: String| match (field.kind, text.as_str()) {
        (Type::Bool, "true") => Value::Bool(true),
        (Type::Bool, "false") => Value::Bool(false),
        _ => Value::String(text),
    };
    let mut values = texts.into_iter().map(value);
    match (field.repeated, values.len()) {
        (true, _) => Ok((field.name.clone(), values.collect())),
        (false, 1) => Ok((field.name.clone(), values.next().unwrap_or_default())),
        (false, _) => Err(wrong(name, "must be given once")),
    }
}

/// How JSON spells the name of a field.
#[must_use]
pub fn json_name(field: &str) -> String {
    let mut parts = field.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |name, part| {
        let mut letters = part.chars();
        name + &letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    })
}

/// A field of a message.
#[derive(Debug)]
struct Field {
    name: String,
    repeated: bool,
    kind: Type,
    /// The message or enum, for those kinds.
    of: String,
}

/// Messages and enums by their full names.
#[derive(Debug, Default)]
struct Contract {
    /// The fields of each message by both of their names.
    messages: BTreeMap<String, BTreeMap<String, Field>>,
    enums: BTreeMap<String, Vec<String>>,
}

fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        // The contract is compiled in; if it could not be read, reflection would fail first, and loudly.
        Contract::of(&FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default())
    })
}

impl Contract {
    fn of(files: &FileDescriptorSet) -> Self {
        let mut contract = Self::default();
        for file in &files.file {
            let full = |name: &str| format!("{}.{name}", file.package());
            for described in &file.message_type {
                let fields = described.field.iter().flat_map(|field| {
                    let of = || Field {
                        name: field.name().to_owned(),
                        repeated: field.label() == Label::Repeated,
                        kind: field.r#type(),
                        of: field.type_name().trim_start_matches('.').to_owned(),
                    };
                    both_names(field).into_iter().map(move |name| (name, of()))
                });
                contract.messages.insert(full(described.name()), fields.collect());
            }
            for one in &file.enum_type {
                let names = one.value.iter().map(|value| value.name().to_owned()).collect();
                contract.enums.insert(full(one.name()), names);
            }
        }
        contract
    }

    /// A message as the generated reader takes it.
    fn message(&self, name: &str, value: Value, path: &str) -> Result<Value, NotThisMessage> {
        let Value::Object(sent) = value else { return Err(wrong(path, "must be an object in braces")) };
        let none = BTreeMap::new();
        let fields = self.messages.get(name).unwrap_or(&none);
        let mut usual = Map::new();
        for (key, value) in sent {
            let Some(field) = fields.get(&key) else {
                let short = name.rsplit('.').next().unwrap_or(name);
                return Err(wrong(path, format!("has no field `{key}`; the fields of a `{short}` are in the contract")));
            };
            let path = if path.is_empty() { field.name.clone() } else { format!("{path}.{}", field.name) };
            let value = match (value, field.repeated) {
                // What is null is left out.
                (Value::Null, _) => continue,
                (Value::Array(entries), true) => {
                    let entries = entries.into_iter().enumerate();
                    let entry = |(index, entry)| self.value(field, entry, &format!("{path}[{index}]"));
                    Value::Array(entries.map(entry).collect::<Result<_, _>>()?)
                }
                (_, true) => return Err(wrong(&path, "must be a list in brackets")),
                (value, false) => self.value(field, value, &path)?,
            };
            usual.insert(key, value);
        }
        Ok(Value::Object(usual))
    }

    fn value(&self, field: &Field, value: Value, path: &str) -> Result<Value, NotThisMessage> {
        match field.kind {
            Type::Message | Type::Group => match field.of.as_str() {
                "google.protobuf.Timestamp" => {
                    well_known::<crate::wire::WireTimestamp>(value, path, "a time of RFC 3339, like `2026-11-20T12:00:00Z`")
                }
                "google.protobuf.Duration" => well_known::<pbjson_types::Duration>(value, path, "a span in seconds, like `3.5s`"),
                name => self.message(name, value, path),
            },
            Type::Enum => self.enumerated(&field.of, value, path),
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => integer(&value, i32::MIN.into(), i32::MAX.into(), path),
            Type::Uint32 | Type::Fixed32 => integer(&value, 0, u32::MAX.into(), path),
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => integer(&value, i64::MIN.into(), i64::MAX.into(), path),
            Type::Uint64 | Type::Fixed64 => integer(&value, 0, u64::MAX.into(), path),
            Type::Float | Type::Double => number(value, path),
            Type::Bool if value.is_boolean() => Ok(value),
            Type::Bool => Err(wrong(path, "must be `true` or `false`")),
            Type::String if value.is_string() => Ok(value),
            Type::String => Err(wrong(path, "must be text in quotes")),
            Type::Bytes => bytes(&value, path),
        }
    }

    fn enumerated(&self, name: &str, value: Value, path: &str) -> Result<Value, NotThisMessage> {
        let names = self.enums.get(name).map_or(&[][..], Vec::as_slice);
        match &value {
            Value::String(text) if names.contains(text) => Ok(value),
            // A number that this version does not know is refused by the reader of the field, which names it.
            Value::Number(_) => integer(&value, i32::MIN.into(), i32::MAX.into(), path),
            _ => {
                let choices: Vec<&str> =
                    names.iter().map(String::as_str).filter(|name| !name.ends_with("_UNSPECIFIED")).collect();
                let short = name.rsplit('.').next().unwrap_or(name);
                Err(wrong(path, format!("is no `{short}`; use one of `{}`", choices.join("`, `"))))
            }
        }
    }
}

/// The name that JSON has for a field, and the contract's own.
fn both_names(field: &FieldDescriptorProto) -> [String; 2] {
    [field.json_name().to_owned(), field.name().to_owned()]
}

fn wrong(path: &str, problem: impl Into<String>) -> NotThisMessage {
    NotThisMessage { field: path.to_owned(), problem: problem.into() }
}

fn well_known<T: DeserializeOwned>(value: Value, path: &str, expected: &str) -> Result<Value, NotThisMessage> {
    match serde_json::from_value::<T>(value.clone()) {
        Ok(_) => Ok(value),
        Err(_) => Err(wrong(path, format!("must be {expected}, in quotes"))),
    }
}

/// A whole number, written as one, with an exponent, or in quotes.
fn integer(value: &Value, low: i128, high: i128, path: &str) -> Result<Value, NotThisMessage> {
    let whole = match value {
        Value::Number(number) => whole_of(&number.to_string()),
        Value::String(text) => whole_of(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let Some(whole) = whole else { return Err(wrong(path, "must be a whole number")) };
    if !(low..=high).contains(&whole) {
        return Err(wrong(path, format!("must be a whole number between {low} and {high}")));
    }
    match (i64::try_from(whole), u64::try_from(whole)) {
        (Ok(whole), _) => Ok(Value::Number(whole.into())),
        (Err(_), Ok(whole)) => Ok(Value::Number(whole.into())),
        (Err(_), Err(_)) => Err(wrong(path, "must be a whole number")),
    }
}

/// The whole number that a text of JSON's number form is, exactly; `None` for what is none.
fn whole_of(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = mantissa.strip_prefix('-').map_or((false, mantissa), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || (digits.contains('.') && fraction.is_empty()) {
        return None;
    }
    let written = format!("{whole}{fraction}");
    let scale = exponent.checked_sub(i32::try_from(fraction.len()).ok()?)?;
    let significant = written.trim_end_matches('0');
    let scale = scale.checked_add(i32::try_from(written.len() - significant.len()).ok()?)?;
    if significant.is_empty() || significant.bytes().all(|byte| byte == b'0') {
        return Some(0);
    }
    let power = u32::try_from(scale).ok().filter(|power| *power <= 30)?;
    let value = significant.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(power)?)?;
    Some(if negative { -value } else { value })
}

/// A number with a fraction, or one of the three that JSON has no numbers for.
fn number(value: Value, path: &str) -> Result<Value, NotThisMessage> {
    let read = match &value {
        Value::Number(_) => return Ok(value),
        Value::String(text) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => return Ok(value),
        Value::String(text) => text.parse::<f64>().ok().filter(|number| number.is_finite()).and_then(Number::from_f64),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    read.map(Value::Number).ok_or_else(|| wrong(path, "must be a number"))
}

fn bytes(value: &Value, path: &str) -> Result<Value, NotThisMessage> {
    let decoded = value.as_str().and_then(|text| BASE64.decode(text.replace('-', "+").replace('_', "/")).ok());
    let decoded = decoded.ok_or_else(|| wrong(path, "must be bytes in base64, in quotes"))?;
    Ok(Value::String(base64::engine::general_purpose::STANDARD.encode(decoded)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::full_conversion;
    use crate::wire::v1;

    /// The full message as JSON, with one value replaced.
    fn with(pointer: &str, value: &str) -> String {
        let mut json = serde_json::to_value(full_conversion()).unwrap();
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let parent = json.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(field.to_owned(), Value::String("here it goes".to_owned()));
        json.to_string().replace("\"here it goes\"", value)
    }

    fn read(text: &str) -> Result<v1::Conversion, NotThisMessage> {
        read_by_contract(text, "Conversion")
    }

    #[test]
    fn every_spelling_of_the_mapping_is_read_alike() {
        let full = full_conversion();
        for (pointer, spellings) in [
            ("/value/amountMinor", &["4900", "\"4900\"", "4.9e3", "49E2", "4900.0", "\"4.9e3\""][..]),
            ("/referrer/devices/0/screenWidthPx", &["1920", "1.92e3", "\"1920\"", "1920.000"]),
            ("/kind", &["3", "3.0", "\"CONVERSION_KIND_INVOICE_PAID\""]),
            ("/referrer/emails/0/domainClass", &["1", "\"EMAIL_DOMAIN_CLASS_FREE_MAIL\""]),
            ("/refereeStanding", &["null"]),
            ("/referrer/networks/0/asn", &["null", "0", "0e5"]),
            ("/referrer/payments/0/country", &["null", "\"\""]),
            ("/referrer/payments/0/seenAt", &["null"]),
            ("/rewards", &["[{\"rewardId\":\"r-1\",\"beneficiary\":1,\"amount\":{\"amount_minor\":1e3,\"currency\":\"EUR\"}}]"]),
        ] {
            for spelling in spellings {
                assert_eq!(read(&with(pointer, spelling)), Ok(full.clone()), "{pointer} as {spelling}");
            }
        }
        let no_lists = read(r#"{"programId":"p","rewards":null,"referrer":null}"#).unwrap();
        assert_eq!(no_lists, v1::Conversion { program_id: "p".into(), ..Default::default() });
    }

    #[test]
    fn bytes_are_read_in_both_alphabets_with_and_without_padding() {
        let digest = vec![0xfb_u8; 32];
        let usual = base64::engine::general_purpose::STANDARD.encode(&digest);
        let url_safe = usual.replace('+', "-").replace('/', "_");
        assert_ne!(usual, url_safe);
        for spelling in [&usual, &url_safe, &usual.trim_end_matches('=').to_owned(), &url_safe.trim_end_matches('=').to_owned()] {
            let read: v1::Digest = read_by_contract(&format!(r#"{{"keyId":"k1","value":"{spelling}"}}"#), "Digest").unwrap();
            assert_eq!(read.value, digest, "{spelling}");
        }
    }

    #[test]
    fn what_no_reading_allows_is_refused_with_its_field_and_without_its_value() {
        for (pointer, value, field, problem) in [
            ("/kind", "\"INVOICE_OF_INES\"", "kind", "`CONVERSION_KIND_INVOICE_PAID`"),
            ("/rewards/0/beneficiary", "\"ines\"", "rewards[0].beneficiary", "`SIDE_REFERRER`, `SIDE_REFEREE`"),
            ("/value/amountMinor", "4900.5", "value.amount_minor", "whole number"),
            ("/value/amountMinor", "1e40", "value.amount_minor", "whole number"),
            ("/referrer/devices/0/screenWidthPx", "-1", "referrer.devices[0].screen_width_px", "between 0 and 4294967295"),
            ("/referrer/accountId", "7", "referrer.account_id", "text in quotes"),
            ("/occurredAt", "\"yesterday\"", "occurred_at", "RFC 3339"),
            ("/referrer/emails/0/exact/0/value", "\"ines@\"", "referrer.emails[0].exact[0].value", "base64"),
            ("/referrer/emails", "{}", "referrer.emails", "a list"),
            ("/referrer/emails", "[null]", "referrer.emails[0]", "an object"),
            ("/attribution", "[]", "attribution", "an object"),
        ] {
            let refused = read(&with(pointer, value)).unwrap_err();
            assert_eq!(refused.field, field);
            assert!(refused.problem.contains(problem) && !refused.problem.contains("nes"), "{refused}");
        }
    }

    #[test]
    fn whole_numbers_are_read_exactly() {
        for (text, whole) in [
            ("9223372036854775807", i128::from(i64::MAX)),
            ("92233720368547758.07e2", i128::from(i64::MAX)),
            ("-0", 0),
            ("120e-1", 12),
        ] {
            assert_eq!(whole_of(text), Some(whole), "{text}");
        }
        for text in ["", "1.", ".5", "1.5", "1e", "0x10", "1e-1", "--1", "1_000", "one"] {
            assert_eq!(whole_of(text), None, "{text}");
        }
    }
}
