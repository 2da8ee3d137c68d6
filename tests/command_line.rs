//! The binary as an operator starts it: what is refused, what the log says from its first line to its last, and who may read what is kept.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
#![cfg(unix)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn selfsame(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selfsame"));
    command.current_dir(folder).args(arguments.split_whitespace()).env_remove("SELFSAME_CONFIG");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Every line as JSON; whoever reads the log reads nothing else.
fn lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

#[test]
fn a_misspelt_log_level_or_module_is_refused_in_every_place_and_in_the_form_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &str, variable: &str| {
        let Output { status, stdout, stderr } =
            selfsame(folder.path(), arguments).env("SELFSAME_LOG__LEVEL", variable).output().unwrap();
        assert!(!status.success() && stdout.is_empty());
        stderr
    };
    assert!(text(&refused("serve --memory --log warning", "info")).contains("did you mean `warn`?"));
    assert!(text(&refused("serve --memory", "warning")).contains("the variable `SELFSAME_LOG__LEVEL`"));
    assert!(text(&refused("serve --memory --log selfsame::legder=debug", "info")).contains("did you mean `selfsame::ledger`?"));
    assert!(text(&refused("serve --memory", "selfsame::money=debug")).contains("those below `selfsame` are `adapters`"));
    let [only] = &lines(&refused("serve --memory --log-format json", "warning"))[..] else { panic!("one line") };
    assert_eq!(only["level"], "ERROR");
    assert!(only["error"].as_str().unwrap().contains("did you mean `warn`?"), "{only}");
}

#[test]
fn what_goes_wrong_at_the_start_is_a_line_of_json_too() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let output = selfsame(folder.path(), "serve --data-dir file --metrics none --log-format json").output().unwrap();
    assert!(!output.status.success() && output.stdout.is_empty());
    let last = lines(&output.stderr).pop().unwrap();
    assert!(last["error"].as_str().unwrap().contains("`file` is not a folder"), "{last}");
}

/// Serves until it is told to stop; gives the lines of its log.
fn served(folder: &Path) -> Vec<Value> {
    let arguments = "serve --data-dir data --listen 127.0.0.1:0 --metrics none --log-format json";
    let mut server = selfsame(folder, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(server.stderr.take().unwrap());
    let mut read = Vec::new();
    while !text(&read).contains("selfsame serves") {
        assert!(log.read_until(b'\n', &mut read).unwrap() > 0, "it did not start: {}", text(&read));
    }
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    log.read_to_end(&mut read).unwrap();
    assert!(server.wait().unwrap().success());
    let mut spoken = Vec::new();
    server.stdout.take().unwrap().read_to_end(&mut spoken).unwrap();
    assert!(spoken.is_empty(), "{}", text(&spoken));
    lines(&read)
}

/// The files and folders below a folder, itself included, that others than its owner may use.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mode = std::fs::metadata(folder).unwrap().permissions().mode();
    if mode & 0o077 != 0 {
        found.push(format!("{} {mode:o}", folder.display()));
    }
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder).unwrap() {
            found.extend(open_to_others(&entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn the_log_is_json_from_start_to_stop_and_what_is_kept_is_its_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let said = served(folder.path());
    let line = |message: &str| {
        said.iter()
            .find(|line| line["message"].as_str().is_some_and(|text| text.starts_with(message)))
            .unwrap_or_else(|| panic!("`{message}` is not said in {said:#?}"))
    };
    let start = line("selfsame serves");
    assert_eq!((&start["version"], &start["journal"]), (&env!("CARGO_PKG_VERSION").into(), &"folder".into()));
    assert_eq!(start["data_folder"], "data");
    assert!(start["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{start}");
    assert_eq!(line("told to stop")["signal"], "TERM");
    assert_eq!(line("stopped")["drained"], true);

    let data = folder.path().join("data");
    assert_eq!(open_to_others(&data), [""; 0]);
    // What an earlier version left open is closed, and told.
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(data.join("journal/watermark"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let said = served(folder.path());
    assert!(said.iter().any(|line| line["level"] == "WARN" && line["count"] == 2), "{said:#?}");
    assert_eq!(open_to_others(&data), [""; 0]);
}

#[test]
fn histories_are_read_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let made = selfsame(folder.path(), "simulate --conversions 20 --seed 3").output().unwrap().stdout;
    let fed = |arguments: &str, input: &[u8]| {
        let mut command = selfsame(folder.path(), arguments);
        let mut running = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        running.stdin.take().unwrap().write_all(input).unwrap();
        running.wait_with_output().unwrap()
    };
    let screened = fed("screen -", &made);
    assert!(screened.status.success());
    assert_eq!(text(&screened.stdout).lines().count(), 20);
    assert!(!text(&screened.stdout).contains("+00:00") && !text(&made).contains("+00:00"));
    let marked = fed("screen -", &["\u{feff}".as_bytes(), &made].concat());
    assert_eq!(text(&marked.stdout), text(&screened.stdout));
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/default.json");
    for command in ["train --input - --write m.json".to_owned(), format!("evaluate --model {model} --input -")] {
        let refused = text(&fed(&command, b"").stderr);
        assert!(refused.contains("nothing to learn from in `-`: it holds no line"), "{refused}");
    }
}
