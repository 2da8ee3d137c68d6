//! Parameter files of the simulator: TOML in which a number stands for itself and a pair of numbers for a range, from which each programme
//! draws a number of its own.
//!
//! Strict: a key that is not known is refused with the nearest one that is, and a value outside its limits with what it may be. Which keys
//! there are says a template, the defaults written as TOML; what a number may be says its name.

use toml::{Table, Value};

use super::chance::Chance;
use crate::screening::similarity::closest;

/// Why a parameter file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterFileError {
    /// It is no TOML, or a value has a word that is none. Correct the place that the reason names.
    #[error("`{file}` cannot be read: {reason}")]
    Unreadable {
        /// Which file.
        file: String,
        /// What the reader of TOML says.
        reason: String,
    },
    /// A key is not known. Take the one that was meant.
    #[error("`{key}` in `{file}` is not a key here; {hint}")]
    UnknownKey {
        /// Which file.
        file: String,
        /// Which key, dotted.
        key: String,
        /// The nearest key, or all of them.
        hint: String,
    },
    /// A value is not what its key takes. Write what is expected.
    #[error("`{key}` in `{file}` must be {expected}")]
    WrongValue {
        /// Which file.
        file: String,
        /// Which key, dotted.
        key: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A key that has no default is missing. Add it.
    #[error("`{file}` lacks `{key}`")]
    MissingKey {
        /// Which file.
        file: String,
        /// Which key.
        key: &'static str,
    },
}

/// Ends of names that are sizes: numbers from 0 up to ten million. Every other number is a probability or a share, from 0 to 1.
const SIZES: [&str; 15] = [
    "_days",
    "_hours",
    "_seconds",
    "_minor",
    "_sigma",
    "_mean",
    "_least",
    "_most",
    "_count",
    "_hour",
    "_per_month",
    "_per_conversion",
    "_factor",
    "weight",
    "_strength",
];

/// The table whose numbers are weights, whatever their names.
const WEIGHTS: &str = "personas";

/// Reads a file and checks every key against the template and every value against its limits.
///
/// # Errors
/// [`ParameterFileError`] names file and key, and says what to write.
pub fn read(file: &str, text: &str, template: &Table) -> Result<Table, ParameterFileError> {
    let table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| ParameterFileError::Unreadable { file: file.to_owned(), reason: error.to_string() })?;
    check(file, "", &table, template)?;
    Ok(table)
}

/// Checks a table against a template. `within` is the dotted name of where the table stands, empty at the top.
///
/// # Errors
/// [`ParameterFileError`] for the first key or value that is wrong.
pub fn check(file: &str, within: &str, table: &Table, template: &Table) -> Result<(), ParameterFileError> {
    for (name, value) in table {
        let key = if within.is_empty() { name.clone() } else { format!("{within}.{name}") };
        let wrong = |expected| ParameterFileError::WrongValue { file: file.to_owned(), key: key.clone(), expected };
        match (template.get(name), value) {
            (None, _) => {
                let known: Vec<&str> = template.keys().map(String::as_str).collect();
                let hint = closest(name, known.iter().copied())
                    .map_or_else(|| format!("the keys are `{}`", known.join("`, `")), |near| format!("did you mean `{near}`?"));
                return Err(ParameterFileError::UnknownKey { file: file.to_owned(), key, hint });
            }
            (Some(Value::Table(inner)), Value::Table(given)) => check(file, &key, given, inner)?,
            (Some(Value::Table(_)), _) => return Err(wrong("a table")),
            (Some(known), given) if ends(known).is_some() => {
                let [low, high] = ends(given).ok_or_else(|| wrong("a number, or a range like [0.1, 0.3]"))?;
                if low > high {
                    return Err(wrong("a range whose first number is not above its second"));
                }
                let is_size = within == WEIGHTS || SIZES.iter().any(|end| name.ends_with(end));
                let most = if is_size { 1e7 } else { 1.0 };
                if !(0.0..=most).contains(&low) || !(0.0..=most).contains(&high) {
                    return Err(wrong(if is_size { "between 0 and ten million" } else { "between 0 and 1" }));
                }
            }
            (Some(Value::String(_)), Value::String(_)) => {}
            (Some(_), _) => return Err(wrong("a text")),
        }
    }
    Ok(())
}

/// The table with what another one says instead, key by key.
#[must_use]
pub fn merged(mut table: Table, over: &Table) -> Table {
    for (name, value) in over {
        match (table.get_mut(name), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => *inner = merged(std::mem::take(inner), over),
            _ => {
                table.insert(name.clone(), value.clone());
            }
        }
    }
    table
}

/// The table with each range in place of which one number of it was drawn: evenly in the logarithm where the range begins above zero, evenly
/// otherwise.
#[must_use]
pub fn settled(table: &Table, chance: &mut Chance) -> Table {
    let settle = |value: &Value, chance: &mut Chance| match (value, ends(value)) {
        (Value::Table(inner), _) => Value::Table(settled(inner, chance)),
        (_, Some([low, high])) => Value::Float(chance.within(low, high)),
        (other, None) => other.clone(),
    };
    table.iter().map(|(name, value)| (name.clone(), settle(value, chance))).collect()
}

/// The two ends of a range, or a number twice; `None` for anything else.
fn ends(value: &Value) -> Option<[f64; 2]> {
    match value {
        Value::Array(pair) => match pair.as_slice() {
            [low, high] => Some([number(low)?, number(high)?]),
            _ => None,
        },
        single => number(single).map(|number| [number, number]),
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of parameter files are far below 2^53")]
fn number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> Table {
        "about = \"\"\nweight = 1.0\n[shares]\ndevice = [0.0, 0.5]\n".parse().unwrap()
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest() {
        let refused = read("x.toml", "[shares]\ndevcie = 0.1\n", &template()).unwrap_err().to_string();
        assert_eq!(refused, "`shares.devcie` in `x.toml` is not a key here; did you mean `device`?");
    }

    #[test]
    fn a_probability_above_one_and_a_range_that_is_reversed_are_refused() {
        for (text, expected) in [
            ("[shares]\ndevice = 1.5\n", "`shares.device` in `x.toml` must be between 0 and 1"),
            (
                "[shares]\ndevice = [0.5, 0.1]\n",
                "`shares.device` in `x.toml` must be a range whose first number is not above its second",
            ),
            ("[shares]\ndevice = \"much\"\n", "`shares.device` in `x.toml` must be a number, or a range like [0.1, 0.3]"),
            ("about = 3\n", "`about` in `x.toml` must be a text"),
            ("shares = 1\n", "`shares` in `x.toml` must be a table"),
        ] {
            assert_eq!(read("x.toml", text, &template()).unwrap_err().to_string(), expected);
        }
        assert!(read("x.toml", "weight = 40\n", &template()).is_ok());
    }

    #[test]
    fn each_draw_settles_a_range_within_its_ends_and_a_number_as_it_is() {
        let table = read("x.toml", "weight = 2\n[shares]\ndevice = [0.1, 0.4]\n", &template()).unwrap();
        let device = |seed| settled(&table, &mut Chance::new(seed))["shares"]["device"].as_float().unwrap();
        assert!((0..50).all(|seed| (0.1..=0.4).contains(&device(seed))));
        assert_ne!(device(1), device(2));
        assert_eq!(settled(&table, &mut Chance::new(1))["weight"].as_float(), Some(2.0));
    }

    #[test]
    fn what_is_merged_over_a_table_changes_only_what_it_names() {
        let over: Table = "[shares]\ndevice = 0.9\n".parse().unwrap();
        let table = merged(template(), &over);
        assert_eq!(table["shares"]["device"].as_float(), Some(0.9));
        assert_eq!(table["weight"].as_float(), Some(1.0));
    }
}
