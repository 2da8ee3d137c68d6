//! The files in `deploy/`, read as those read them for whom they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Labels that Prometheus adds to what it scrapes.
pub(crate) const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];
/// What Prometheus itself says of a server.
const UP: &str = "up";

pub(crate) fn file(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rules() -> Vec<Value> {
    let read: Value = serde_norway::from_str(&file("deploy/prometheus/selfsame.rules.yml")).unwrap();
    let groups = read["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// All texts of a JSON value that stand under this key.
fn under<'v>(value: &'v Value, key: &str, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if let (true, Some(text)) = (name == key, inner.as_str()) {
                    found.push(text);
                }
                under(inner, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| under(item, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The names of figures in a query, each with the labels that it is selected by; labels that the query groups by count for all of them.
fn used(query: &str) -> Vec<(String, BTreeSet<String>)> {
    let grouped: BTreeSet<String> = query
        .split("by (")
        .skip(1)
        .flat_map(|rest| rest.split(')').next().unwrap_or_default().split(','))
        .map(|label| label.trim().to_owned())
        .filter(|label| label != "le")
        .collect();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in query.match_indices("selfsame_").chain(query.match_indices("process_")) {
        let rest = &query[at..];
        let name: String = rest.chars().take_while(|c| word(*c)).collect();
        if query[..at].ends_with(word) {
            continue;
        }
        let selected = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split('}').next()).unwrap_or_default();
        let selected = selected.split(',').filter_map(|one| one.split(['=', '!']).next()).map(|label| label.trim().to_owned());
        found.push((name, selected.filter(|label| !label.is_empty()).chain(grouped.clone()).collect()));
    }
    found
}

/// The figures that alerts and the dashboard use: name, labels, and where.
pub(crate) fn used_in_queries() -> Vec<(String, BTreeSet<String>, String)> {
    let mut all = Vec::new();
    for rule in rules() {
        let from = rule["alert"].as_str().unwrap().to_owned();
        all.extend(used(rule["expr"].as_str().unwrap()).into_iter().map(|(name, labels)| (name, labels, from.clone())));
    }
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/selfsame.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let mut queries = Vec::new();
        under(panel, "expr", &mut queries);
        let from = format!("the panel `{}`", panel["title"].as_str().unwrap());
        for query in queries {
            all.extend(used(query).into_iter().map(|(name, labels)| (name, labels, from.clone())));
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        let query = variable["query"]["query"].as_str().unwrap_or_default();
        all.extend(used(query).into_iter().map(|(name, labels)| (name, labels, "a variable".to_owned())));
    }
    all
}

#[test]
fn the_names_and_labels_of_a_query_are_found() {
    let found = used(r#"sum by (instance, code) (rate(selfsame_a_total{code!="OK",program=~"$p"}[5m])) / on() process_open_fds"#);
    let labels = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(
        found,
        [
            ("selfsame_a_total".to_owned(), labels(&["code", "program", "instance"])),
            ("process_open_fds".to_owned(), labels(&["code", "instance"]))
        ]
    );
}

#[test]
fn every_alert_says_how_urgent_it_is_which_promise_it_watches_and_what_to_do() {
    let runbook = file("docs/runbook.md");
    let anchors: BTreeSet<String> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_lowercase).collect();
    let mut by_promise: BTreeMap<u32, usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        assert!(names.insert(name.to_lowercase()), "{name} stands twice");
        assert!(["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        *by_promise.entry(rule["labels"]["promise"].as_str().unwrap().parse().unwrap()).or_default() += 1;
        assert!(!rule["annotations"]["summary"].as_str().unwrap().is_empty(), "{name}");
        let (page, anchor) = rule["annotations"]["runbook_url"].as_str().unwrap().split_once('#').unwrap();
        assert_eq!(page, "docs/runbook.md", "{name}");
        assert!(anchors.contains(anchor), "{name} leads to #{anchor}, which is not in the runbook");
        let expression = rule["expr"].as_str().unwrap();
        assert!(!used(expression).is_empty() || expression.starts_with(UP), "{name} asks for no figure");
        assert_eq!(expression.matches('(').count(), expression.matches(')').count(), "{name}");
    }
    assert_eq!(by_promise.into_keys().collect::<Vec<_>>(), (1..=11).collect::<Vec<_>>(), "promises that an alert watches");
    assert_eq!(anchors, names, "sections of the runbook, and alerts");
}

#[test]
fn links_inside_the_runbook_lead_somewhere() {
    let heading = |page: &str| -> BTreeSet<String> {
        let slug = |title: &str| -> String {
            let kept = title.to_lowercase().replace(' ', "-");
            kept.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect()
        };
        page.lines().filter(|line| line.starts_with('#')).map(|line| slug(line.trim_start_matches('#').trim())).collect()
    };
    let runbook = file("docs/runbook.md");
    let mut looked_at = 0;
    for link in runbook.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
        let (page, anchor) = link.split_once('#').unwrap_or((link, ""));
        let path: PathBuf = if page.is_empty() { "docs/runbook.md".into() } else { Path::new("docs").join(page) };
        let text = file(path.to_str().unwrap());
        assert!(anchor.is_empty() || heading(&text).contains(anchor), "{link} leads nowhere");
        looked_at += 1;
    }
    assert!(looked_at > 10, "{looked_at} links; the reading of links is broken");
}
