//! Variables of the environment that look as if they were meant for the configuration, and are not read.
//!
//! It must never repeat a value: it could be a secret. `serve` warns of what is found here.

use std::ffi::OsString;

use serde_json::Value;

use super::config::{Config, TOP_KEYS, VARIABLE_PREFIX};
use crate::screening::similarity::closest;

/// Flags of `serve` whose names are not the keys that they set, with what sets the same.
const FLAGS: [(&str, &str); 6] = [
    ("data_dir", "SELFSAME_DATA_FOLDER"),
    ("memory", "--memory"),
    ("policy_file", "SELFSAME_POLICY__FILE"),
    ("log_format", "SELFSAME_LOG__FORMAT"),
    ("log_level", "SELFSAME_LOG__LEVEL"),
    ("metrics_listen", "SELFSAME_METRICS__LISTEN"),
];

/// Variables that are no keys and are read all the same: by the command line, and by commands beside `serve`.
const READ_ELSEWHERE: [&str; 13] = [
    "config",
    "client_config",
    "profile",
    "server",
    "ca",
    "cert",
    "key",
    "token",
    "token_file",
    "program",
    "actor",
    "programme_key",
    "programme_key_id",
];

/// A variable that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrayVariable {
    /// Its name.
    pub name: String,
    /// What was probably meant: a variable, or a flag.
    pub meant: String,
}

/// The variables that are not read and were probably meant to be. Those that an orchestrator sets for a service of this name
/// (`SELFSAME_SERVICE_HOST`, `SELFSAME_PORT_50051_TCP`) are none.
pub fn stray_variables(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<StrayVariable> {
    let keys = keys();
    let mut found: Vec<StrayVariable> = variables
        .into_iter()
        .filter_map(|(name, _)| {
            let name = name.into_string().ok()?;
            let meant = meant(name.strip_prefix(VARIABLE_PREFIX)?, &keys)?;
            Some(StrayVariable { name, meant })
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// What was meant by a variable without its prefix; `None` for one that is read, or that is not ours.
fn meant(name: &str, keys: &[String]) -> Option<String> {
    let written = name.to_lowercase();
    let top = written.split("__").next().unwrap_or_default();
    let is_link = written.split('_').any(|word| matches!(word, "service" | "port"));
    if is_link || TOP_KEYS.contains(&top) || READ_ELSEWHERE.contains(&written.as_str()) {
        return None;
    }
    let joined = written.replace("__", "_");
    if let Some((_, right)) = FLAGS.iter().find(|(flag, _)| *flag == joined) {
        return Some((*right).to_owned());
    }
    let candidates = keys.iter().map(String::as_str);
    let same = candidates.clone().find(|key| key.replace("__", "_") == joined);
    let near = same.or_else(|| closest(&written, candidates.chain(["config"])));
    near.map(|key| format!("{VARIABLE_PREFIX}{}", key.to_uppercase()))
}

/// Every key as a variable without the prefix, in lower case: `limits__in_flight_max`.
fn keys() -> Vec<String> {
    // A secret is never written, so its key is not among those of the default.
    let mut keys = vec!["audit__key".to_owned()];
    if let Ok(Value::Object(top)) = serde_json::to_value(Config::default()) {
        let mut waiting: Vec<(String, Value)> = top.into_iter().collect();
        while let Some((name, value)) = waiting.pop() {
            match value {
                Value::Object(section) => {
                    waiting.extend(section.into_iter().map(|(key, value)| (format!("{name}__{key}"), value)));
                }
                _ => keys.push(name),
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meant_by(name: &str) -> Option<String> {
        let found = stray_variables([(name.into(), "a value".into())]);
        found.into_iter().next().map(|variable| variable.meant)
    }

    #[test]
    fn a_misspelt_key_and_a_flags_name_are_told_with_what_was_meant() {
        for (name, right) in [
            ("SELFSAME_LISTE", "SELFSAME_LISTEN"),
            ("SELFSAME_DATA_DIR", "SELFSAME_DATA_FOLDER"),
            ("SELFSAME_LIMITS_IN_FLIGHT_MAX", "SELFSAME_LIMITS__IN_FLIGHT_MAX"),
            ("SELFSAME_LIMIT__IN_FLIGHT_MAX", "SELFSAME_LIMITS__IN_FLIGHT_MAX"),
            ("SELFSAME_AUDIT_KEY", "SELFSAME_AUDIT__KEY"),
            ("SELFSAME_LOG_FORMAT", "SELFSAME_LOG__FORMAT"),
            ("SELFSAME_MEMORY", "--memory"),
            ("SELFSAME_CONFIGS", "SELFSAME_CONFIG"),
        ] {
            assert_eq!(meant_by(name).as_deref(), Some(right), "{name}");
        }
    }

    #[test]
    fn what_is_read_and_what_an_orchestrator_sets_is_left_alone() {
        for name in [
            "SELFSAME_LISTEN",
            "SELFSAME_LIMITS__IN_FLIGHT_MAX",
            "SELFSAME_CONFIG",
            "SELFSAME_SERVER",
            "SELFSAME_PROGRAMME_KEY",
            "SELFSAME_SERVICE_HOST",
            "SELFSAME_SERVICE_PORT",
            "SELFSAME_PORT",
            "SELFSAME_PORT_50051_TCP_ADDR",
            "SELFSAME_METRICS_SERVICE_HOST",
            "SELFSAME_CRASH_SEED",
            "LISTE",
        ] {
            assert_eq!(meant_by(name), None, "{name}");
        }
    }
}
