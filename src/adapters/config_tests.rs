//! Holds the configuration to its claims: the order of its sources, errors that name the key, no secret in any output.

use super::*;

const EXAMPLE: &str = include_str!("../../docs/selfsame.example.toml");

fn loaded(toml: &str, command_line: CommandLine) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    std::fs::write(&file, toml).unwrap();
    Config::load(Some(&file), command_line)
}

fn violations(toml: &str) -> Vec<ConfigViolation> {
    loaded(toml, CommandLine::default()).unwrap_err().0
}

#[test]
fn the_file_overrules_the_default_and_the_command_line_overrules_the_file() {
    let toml = "listen = \"0.0.0.0:1\"\n[limits]\nin_flight_max = 7\n";
    let config = loaded(toml, CommandLine::default().with("listen", Some("127.0.0.1:2"))).unwrap();
    assert_eq!(config.listen.0, "127.0.0.1:2".parse().unwrap());
    assert_eq!((config.limits.in_flight_max, config.limits.streams_max), (7, 256));
}

#[test]
fn the_example_states_every_key_with_its_default() {
    let from_example = loaded(EXAMPLE, CommandLine::default()).unwrap();
    let default = serde_json::to_value(Config::default()).unwrap();
    assert_eq!(serde_json::to_value(from_example).unwrap(), default);
    for (section, keys) in default.as_object().unwrap() {
        for (key, value) in keys.as_object().into_iter().flatten() {
            let written = if value.is_object() { format!("[{section}.{key}]") } else { format!("{key} =") };
            assert!(EXAMPLE.contains(&written), "`{section}.{key}` is not in the example");
            for key in value.as_object().into_iter().flatten().map(|(key, _)| key) {
                assert!(EXAMPLE.contains(&format!("{key} =")), "`{section}.{key}` is not in the example");
            }
        }
    }
}

#[test]
fn a_misspelt_key_is_named_with_the_one_that_was_meant() {
    let found = violations("[limits]\nin_fligth_max = 7\n");
    assert_eq!(found[0].key, "limits.in_fligth_max");
    assert!(found[0].problem.contains("did you mean `in_flight_max`?"), "{found:?}");
    assert!(found[0].origin.ends_with("s.toml"), "{found:?}");
}

#[test]
fn values_out_of_range_are_all_named_with_their_source() {
    let found = violations("[limits]\nin_flight_max = 0\n[ledger]\nmemory_mib = 2\n[retention]\ndays = 3\n");
    let keys: Vec<&str> = found.iter().map(|violation| violation.key.as_str()).collect();
    assert_eq!(keys, ["limits.in_flight_max", "ledger.memory_mib", "retention.days"]);
    assert!(found.iter().all(|violation| violation.origin.ends_with("s.toml")), "{found:?}");
}

#[test]
fn a_value_out_of_range_is_told_with_its_key_itself_and_the_range_in_one_unit() {
    for (section, line, said) in [
        ("limits", "in_flight_max = 0", "`limits.in_flight_max` is 0; it must be between 1 and 1000000"),
        ("limits", "streams_max = 100001", "`limits.streams_max` is 100001; it must be between 1 and 100000"),
        ("limits", "stream_in_flight_max = 0", "`limits.stream_in_flight_max` is 0; it must be between 1 and 10000"),
        ("limits", "message_bytes_max = 65535", "`limits.message_bytes_max` is 65535; it must be between 65536 and 67108864"),
        ("limits", "deadline_millis = 9", "`limits.deadline_millis` is 9; it must be between 10 and 600000"),
        ("limits", "drain_seconds = 601", "`limits.drain_seconds` is 601; it must be between 0 and 600"),
        (
            "limits",
            "connection_age_seconds = 2592001",
            "`limits.connection_age_seconds` is 2592001; it must be between 0 and 2592000",
        ),
        ("limits", "in_flight_max = -1", "`limits.in_flight_max` is -1; it must be a whole number of 0 or more"),
        ("limits", "in_flight_max = 1.5", "`limits.in_flight_max` is 1.5; it must be a whole number of 0 or more"),
        ("ledger", "memory_mib = 15", "`ledger.memory_mib` is 15; it must be between 16 and 1048576"),
        (
            "ledger",
            "cold_after_days = 6",
            "`ledger.cold_after_days` is 6; it must be 0, which keeps all in memory, or between 7 and 36500",
        ),
        (
            "ledger",
            "snapshot_every_records = 999",
            "`ledger.snapshot_every_records` is 999; it must be between 1000 and 100000000",
        ),
        ("ledger", "journal_cache_bytes = 1", "`ledger.journal_cache_bytes` is 1; it must be between 1048576 and 68719476736"),
        ("ledger", "group_commands_max = 65537", "`ledger.group_commands_max` is 65537; it must be between 1 and 65536"),
        ("ledger", "queue_commands_max = 0", "`ledger.queue_commands_max` is 0; it must be between 1 and 1000000"),
        ("retention", "days = 89", "`retention.days` is 89; it must be 0, which keeps all for ever, or between 90 and 36500"),
        (
            "retention",
            "days = 5000000000",
            "`retention.days` is 5000000000; it must be a whole number of 0 or more, and less than 4294967296",
        ),
        ("retention", "pending_outcome_days = 0", "`retention.pending_outcome_days` is 0; it must be between 1 and 36500"),
    ] {
        let found = violations(&format!("[{section}]\n{line}\n"));
        assert!(found.len() == 1 && found[0].to_string().starts_with(&format!("{said} (set by ")), "{line}: {found:?}");
    }
}

#[test]
fn a_value_of_the_wrong_type_is_named() {
    let found = violations("[limits]\nin_flight_max = \"many\"\n");
    assert_eq!(found[0].key, "limits.in_flight_max");
}

#[test]
fn metrics_can_be_switched_off() {
    assert_eq!(loaded("[metrics]\nlisten = \"none\"\n", CommandLine::default()).unwrap().metrics.listen, None);
    assert!(violations("[metrics]\nlisten = \"here\"\n")[0].problem.contains("or `none`"));
}

#[test]
fn a_byte_order_mark_before_the_file_is_passed_over() {
    assert_eq!(loaded("\u{feff}[limits]\nin_flight_max = 7\n", CommandLine::default()).unwrap().limits.in_flight_max, 7);
}

#[test]
fn a_named_file_that_is_not_there_is_an_error_that_names_it() {
    let said = Config::load(Some(Path::new("/nowhere/selfsame.toml")), CommandLine::default()).unwrap_err().to_string();
    assert!(said.contains("`/nowhere/selfsame.toml`") && said.contains("--config"), "{said}");
}

#[test]
fn a_file_that_is_no_toml_is_named() {
    let said = violations("listen = = 1\n")[0].to_string();
    assert!(said.starts_with('`') && said.contains("s.toml` is not usable"), "{said}");
}

#[test]
fn the_audit_key_is_never_printed() {
    let secret = "0123456789-very-secret-0123456789-very-secret";
    let config = loaded(&format!("[audit]\nkey = \"{secret}\"\n"), CommandLine::default()).unwrap();
    assert!(!format!("{config:?}").contains("very-secret"));
    assert!(!serde_json::to_string(&config).unwrap().contains("very-secret"));
    assert!(!violations("[audit]\nkey = 17\n")[0].to_string().contains("17"));
}

#[test]
fn a_wrong_value_of_the_command_line_is_said_to_be_from_there() {
    let error = loaded("", CommandLine::default().with("limits.in_flight_max", Some(0))).unwrap_err();
    assert_eq!(error.0[0].to_string(), "`limits.in_flight_max` is 0; it must be between 1 and 1000000 (set by the command line)");
}

#[test]
fn a_misspelt_log_level_is_refused_with_the_one_that_was_meant() {
    let from_file = violations("[log]\nlevel = \"warning\"\n");
    assert_eq!(from_file[0].key, "log.level");
    assert!(from_file[0].problem.contains("did you mean `warn`?"), "{from_file:?}");
    let from_flag = loaded("", CommandLine::default().with("log.level", Some("selfsame=debg"))).unwrap_err().0;
    assert!(from_flag[0].to_string().contains("did you mean `debug`?"), "{from_flag:?}");
    assert!(loaded("[log]\nlevel = \"selfsame=debug,warn\"\n", CommandLine::default()).is_ok());
}

#[test]
fn the_form_of_the_log_is_known_when_the_rest_of_the_configuration_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    let format = |toml: &str, flag: Option<&str>| {
        std::fs::write(&file, toml).unwrap();
        Config::log_format_alone(Some(&file), CommandLine::default().with("log.format", flag))
    };
    assert_eq!(format("listen = 7\n[log]\nformat = \"json\"\nlevel = \"loud\"\n", None), LogFormat::Json);
    assert_eq!(format("this is no TOML", Some("json")), LogFormat::Json);
    assert_eq!(format("[log]\nformat = \"json\"\n", Some("text")), LogFormat::Text);
    assert_eq!(format("[log]\nformat = \"xml\"\n", None), LogFormat::Text);
}
