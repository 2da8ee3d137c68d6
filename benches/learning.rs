//! How long each family takes to fit, and how well it ranks, on an exported matrix: the counterpart of `benches/python/compare.py`, which reads
//! the same files. Prints the same table: processor seconds say what a fit costs on a machine that others use too.
//!
//! ```sh
//! selfsame train --input data.jsonl --write /tmp/model.json --export-matrix /tmp/matrix
//! cargo bench --bench learning -- /tmp/matrix [FAMILY,… [hold-out-only]]
//! ```
//! Without a folder it ends at once, so that `cargo bench` of everything needs no file.
#![expect(clippy::unwrap_used, reason = "a benchmark stops at once when it fails")]
#![expect(clippy::print_stdout, reason = "its table is its output")]

use std::fs;
use std::path::Path;
use std::time::Instant;

use clap::ValueEnum;
use selfsame::offline::learning::champion::margins_of;
use selfsame::offline::learning::estimators::Family;
use selfsame::offline::learning::matrix::{Matrix, Row, pick};
use selfsame::offline::learning::metrics::average_precision;
use selfsame::screening::decision::Verdict;
use selfsame::screening::features::{FEATURE_COUNT, FeatureVector};
use selfsame::vocabulary::label::{LabelSource, Truth};
use selfsame::vocabulary::time::Timestamp;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let Some(folder) = arguments.first() else {
        println!("give the folder of `selfsame train --export-matrix`");
        return;
    };
    let families: Vec<Family> = match arguments.get(1) {
        Some(names) => names.split(',').map(|name| Family::from_str(name, false).unwrap()).collect(),
        None => Family::ALL.to_vec(),
    };
    let (matrix, fold_of) = read(Path::new(folder));
    let (held_out, development): (Vec<usize>, Vec<usize>) = (0..matrix.len()).partition(|row| fold_of[*row] < 0);
    let hold_out_only = arguments.get(2).is_some_and(|word| word == "hold-out-only");
    let folds = if hold_out_only { 0 } else { fold_of.iter().max().map_or(0, |last| last + 1) };
    println!(
        "| model | grouped folds | hold-out | seconds to fit, one thread | processor seconds | ns to score |\n|---|---|---|---|---|---|"
    );
    for family in families {
        let precision_of = |fit: &[usize], test: &[usize]| {
            let (begun, worked) = (Instant::now(), processor_seconds());
            let scorer = family.fit(&matrix, fit, 1).unwrap();
            let (seconds, worked) = (begun.elapsed().as_secs_f64(), processor_seconds() - worked);
            let begun = Instant::now();
            let margins = margins_of(&scorer, &matrix, test);
            let nanoseconds = begun.elapsed().as_secs_f64() * 1e9 / f64::from(u32::try_from(test.len()).unwrap());
            (average_precision(&margins, &pick(matrix.abusive(), test)), seconds, worked, nanoseconds)
        };
        let of_folds: f64 = (0..folds)
            .map(|fold| {
                let (test, fit): (Vec<usize>, Vec<usize>) = development.iter().copied().partition(|row| fold_of[*row] == fold);
                precision_of(&fit, &test).0
            })
            .sum();
        let (on_hold_out, seconds, worked, nanoseconds) = precision_of(&development, &held_out);
        let by_fold = if folds > 0 { format!("{:.4}", of_folds / f64::from(folds)) } else { "–".to_owned() };
        println!("| {} | {by_fold} | {on_hold_out:.4} | {seconds:.2} | {worked:.2} | {nanoseconds:.0} |", family.name());
    }
}

/// What this thread has had of a processor so far. Zero where Linux does not say.
fn processor_seconds() -> f64 {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// The matrix and the fold of each row, -1 for the hold-out.
fn read(folder: &Path) -> (Matrix, Vec<i32>) {
    let bytes = fs::read(folder.join("features.npy")).unwrap();
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (numbers, _) = bytes[header..].as_chunks::<8>();
    let (vectors, _) = numbers.as_chunks::<FEATURE_COUNT>();
    let text = fs::read_to_string(folder.join("rows.csv")).unwrap();
    let mut fold_of = Vec::new();
    let matrix = text
        .lines()
        .skip(1)
        .zip(vectors)
        .map(|(line, vector)| {
            let cells: Vec<&str> = line.split(',').collect();
            let occurred_at = Timestamp::from_millis(cells[2].parse().unwrap()).unwrap();
            fold_of.push(cells[3].parse().unwrap());
            Row {
                programme: "bench".into(),
                features: FeatureVector::from_values(vector.map(f64::from_le_bytes)),
                truth: if cells[0] == "1" { Truth::Abusive } else { Truth::Honest },
                source: LabelSource::Simulated,
                labeled_at: occurred_at,
                group: cells[1].into(),
                occurred_at,
                persona: "".into(),
                rule_score: cells[4].parse().unwrap(),
                rule_verdict: Verdict::Approved,
            }
        })
        .collect();
    (matrix, fold_of)
}
