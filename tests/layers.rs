//! Holds the layers: a module uses only what stands above its own layer, the core stays pure, and each borrowed crate has one owner.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// The layers, top first, by the folders below `src/`.
const LAYERS: [(&str, u8); 16] = [
    ("vocabulary", 1),
    ("digesting", 1),
    ("screening", 2),
    ("book", 3),
    ("ports", 4),
    ("wire", 5),
    ("ledger", 5),
    ("adapters", 6),
    ("service", 7),
    ("offline", 8),
    ("console", 8),
    ("rest", 8),
    ("assistant", 8),
    ("gateway", 8),
    ("relay", 8),
    ("cli", 9),
];

/// What the pure core may not touch.
const IMPURE: [&str; 13] = [
    "std::fs",
    "std::net",
    "std::env",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "tokio::",
    "tracing::",
    "metrics::",
    "rand::",
    "async fn",
    "println!",
    "sled::",
];

/// Crates with the folders or files that may name them.
const OWNERS: [(&str, &[&str]); 10] = [
    ("age::", &["src/adapters/sealed_backup.rs"]),
    ("strsim::", &["src/screening/similarity.rs"]),
    ("sled::", &["src/adapters/journal/", "src/adapters/cold.rs", "src/offline/load/plain_path.rs"]),
    ("bloomfilter::", &["src/ledger/cold/"]),
    ("tokio_postgres::", &["src/adapters/journal/postgres/"]),
    ("linfa", &["src/offline/learning/"]),
    ("ndarray::", &["src/offline/learning/"]),
    ("hmac::", &["src/digesting/", "src/relay/webhooks/signature.rs"]),
    ("async_nats::", &["src/relay/nats.rs"]),
    ("SystemTime::now", &["src/adapters/system_clock.rs"]),
];

struct Source {
    /// Like `src/screening/mod.rs`.
    path: String,
    /// Its lines without comments, up to the first test module.
    code: Vec<String>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join("src"), &mut files);
    files.sort();
    assert!(files.len() > 20, "found {} files; the walk is broken", files.len());
    files
        .into_iter()
        .map(|file| {
            let text = fs::read_to_string(&file).unwrap();
            let path = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            let code = text
                .lines()
                .take_while(|line| *line != "mod tests {")
                .map(|line| line.split("//").next().unwrap_or_default().to_owned());
            Source { path, code: code.collect() }
        })
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn layer_of(path: &str) -> Option<(&'static str, u8)> {
    let rest = path.strip_prefix("src/")?;
    LAYERS.into_iter().find(|(folder, _)| rest.starts_with(&format!("{folder}/")))
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("tests.rs") || path.ends_with("fixtures.rs") || path.contains("/tests/")
}

#[test]
fn a_module_uses_only_the_layers_above_its_own() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test_file(&source.path)) {
        let Some((_, own)) = layer_of(&source.path) else { continue };
        for line in &source.code {
            for (folder, layer) in LAYERS {
                if layer > own && line.contains(&format!("crate::{folder}")) {
                    wrong.push(format!("{}: {}", source.path, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "these lines reach down a layer:\n{}", wrong.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !is_test_file(&source.path)) {
        let Some((_, 1..=3)) = layer_of(&source.path) else { continue };
        for line in &source.code {
            wrong.extend(IMPURE.iter().filter(|word| line.contains(**word)).map(|word| format!("{}: {word}", source.path)));
        }
    }
    assert!(wrong.is_empty(), "the core touches the world:\n{}", wrong.join("\n"));
}

/// Whether a line names a crate, and not something that ends like it (`storage::` is not `age::`).
fn names(line: &str, name: &str) -> bool {
    let is_part = |before: char| before.is_alphanumeric() || before == '_';
    line.match_indices(name).any(|(at, _)| !line[..at].ends_with(is_part))
}

#[test]
fn each_borrowed_crate_has_one_owner() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (name, owners) in OWNERS {
            let owned = owners.iter().any(|owner| source.path.starts_with(owner));
            if !owned && source.code.iter().any(|line| names(line, name)) {
                wrong.push(format!("{}: {name}", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "these files use a crate that another one owns:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_first_why_it_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| !fs::read_to_string(root.join(&source.path)).unwrap().starts_with("//!"))
        .map(|source| source.path)
        .collect();
    assert!(silent.is_empty(), "these files do not open with `//!`: {silent:?}");
}
