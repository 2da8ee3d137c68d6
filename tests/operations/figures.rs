//! The figures of a running server are those that are described, and the log has its lines.

use std::collections::BTreeSet;
use std::path::Path;

use selfsame::adapters::figures::{FIGURES, Kind};
use selfsame::adapters::system_clock::SystemClock;
use selfsame::ports::clock::Clock;
use serde_json::Value;

use super::deploy;
use super::server::{PLANTED, PROGRAM, Server, drive, follow, scraped, screen_one};

/// What appears last: a gauge that needs many conversions, a follower, a snapshot.
const LAST: [&str; 4] = [
    "selfsame_model_drift{",
    "selfsame_feed_followers{",
    "selfsame_ledger_snapshots_total{",
    "selfsame_ledger_snapshot_lag_records",
];

/// The names under which Prometheus shows a figure.
fn series(name: &str, kind: Kind) -> Vec<String> {
    match kind {
        Kind::Counter | Kind::Gauge => vec![name.to_owned()],
        Kind::Seconds | Kind::Records => ["_bucket", "_sum", "_count"].map(|ending| format!("{name}{ending}")).into(),
    }
}

fn holds_planted(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holds_planted(&path));
        } else if std::fs::read(&path).unwrap().windows(PLANTED.len()).any(|bytes| bytes == PLANTED.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_shows_the_figures_and_lines_that_are_promised_and_nothing_personal() {
    let now = SystemClock.now().as_millis() / 1_000;
    let before = Server::start(tempfile::tempdir().unwrap());
    screen_one(&before.api, now).await;
    let (_, folder) = before.stop();
    let server = Server::start(folder);
    let channel = drive(&server.api, now).await;
    let following = follow(channel).await;
    let text = server.text_with(&LAST);
    drop(following);
    let shown = scraped(&text);

    // What is shown is described, with these labels and no others.
    let mut described: std::collections::BTreeMap<String, Vec<&str>> = std::collections::BTreeMap::new();
    for figure in FIGURES {
        described.extend(series(figure.name, figure.kind).into_iter().map(|name| (name, figure.labels.to_vec())));
    }
    for (name, labels) in shown.iter().filter(|(name, _)| !name.starts_with("process_")) {
        let wanted = described.get(name).unwrap_or_else(|| panic!("{name} is not in FIGURES"));
        let ways: Vec<Vec<&str>> = labels.iter().map(|labels| labels.iter().map(String::as_str).collect()).collect();
        assert_eq!(ways, [&wanted[..]], "{name}");
    }
    for name in shown.keys() {
        let name =
            ["_bucket", "_sum", "_count"].iter().fold(name.as_str(), |name, ending| name.strip_suffix(ending).unwrap_or(name));
        let helped = text.contains(&format!("# HELP {name} ")) || text.contains(&format!("# HELP {name}_count "));
        assert!(helped, "{name} has no # HELP");
    }

    // What dashboard and alerts speak of is shown.
    let used = deploy::used_in_queries();
    assert!(used.len() > 40, "{} names are used; the reading of queries is broken", used.len());
    for (name, labels, from) in used {
        let Some(ways) = shown.get(&name) else { panic!("{from} uses {name}, which the server does not show") };
        let known: BTreeSet<&str> = ways.iter().flatten().map(String::as_str).chain(deploy::OF_PROMETHEUS).collect();
        for label in labels {
            assert!(known.contains(label.as_str()), "{from} uses {name} by {label}; it has {known:?}");
        }
    }

    assert!(!text.contains("jane"), "a figure holds something personal");
    let (log, folder) = server.stop();
    holds_its_lines(&log);
    assert_eq!(holds_planted(folder.path()), [""; 0]);
}

fn holds_its_lines(log: &[Value]) {
    let lines = |message: &str| -> Vec<&Value> { log.iter().filter(|line| line["message"] == message).collect() };
    let open = lines("a programme is open");
    assert!(open[0]["took_ms"].is_u64() && open[0]["replayed"].is_u64() && open[0]["snapshot"].is_u64(), "{open:#?}");
    let serves = lines("selfsame serves");
    assert!(serves[0]["took_ms"].is_u64(), "{serves:#?}");
    let decided = lines("decided");
    assert!(!decided.is_empty() && decided.len() < 400, "{} decisions have a line; 5 may in a second", decided.len());
    let first = decided[0];
    assert_eq!((&first["program"], &first["level"]), (&PROGRAM.into(), &"INFO".into()));
    for field in ["conversion", "verdict", "risk_score", "reason", "policy", "cursor"] {
        assert!(!first[field].is_null(), "{field} is not in {first}");
    }
    let refused = lines("refused");
    let of_call = refused.iter().find(|line| line["method"] == "ScreeningService/ScreenConversion").unwrap();
    assert_eq!((&of_call["code"], &of_call["reason"]), (&"INVALID_ARGUMENT".into(), &"INVALID_FIELDS".into()));
    assert_eq!(of_call["fields"], "conversion.conversion_id");
    assert!(log.iter().all(|line| !line.to_string().contains("jane")), "the log holds something personal");
}

#[test]
fn every_figure_is_explained_to_operators() {
    let page = include_str!("../../docs/operations.md");
    let missing: Vec<&str> =
        FIGURES.iter().map(|figure| figure.name).filter(|name| !page.contains(&format!("`{name}"))).collect();
    assert_eq!(missing, [""; 0], "not in docs/operations.md");
}
