//! Holds the input of `train` and `evaluate` to its claims: which labels count, and what is said when nothing can be learned.

use std::fs;
use std::path::Path;

use super::*;
use crate::offline::simulator::labeled_line::{labeled_line, simulation_digester};
use crate::offline::simulator::library::{Library, Wanted};
use crate::offline::simulator::people::People;
use crate::vocabulary::ids::ProgramId;
use crate::wire::v1;

fn input(path: &Path) -> HistoryInput {
    HistoryInput {
        input: path.to_owned(),
        format: InputForm::Jsonl,
        mapping: None,
        policy: None,
        known_by: None,
        label_sources: vec![Source::OwnerReport, Source::Reviewer, Source::Simulated, Source::Chargeback],
    }
}

/// A file of a small simulated programme.
fn programme(folder: &Path) -> PathBuf {
    let (people, digester) = (People::embedded().unwrap(), simulation_digester().unwrap());
    let library = Library::embedded().unwrap();
    let program_id = ProgramId::new("simulated").unwrap();
    let drawn = library.draw(&Wanted::ordinary(300, 1), &people).unwrap();
    let lines: Vec<String> = drawn
        .into_iter()
        .flat_map(|drawn| drawn.months)
        .map(|simulated| serde_json::to_string(&labeled_line(&simulated, &program_id, &digester).unwrap()).unwrap())
        .collect();
    let path = folder.join("programme.jsonl");
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

#[test]
fn a_label_from_after_known_by_is_not_learned_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = programme(folder.path());
    let all = input(&path).matrix().unwrap();
    let mut times = all.labeled_at().to_vec();
    times.sort_unstable();
    let middle = times[times.len() / 2];
    let known_by = jiff::Timestamp::from_millisecond(middle.as_millis()).unwrap();
    let early = HistoryInput { known_by: Some(known_by), ..input(&path) }.matrix().unwrap();
    assert!(early.len() < all.len() && early.len() >= all.len() / 2, "{} of {}", early.len(), all.len());
    assert!(early.labeled_at().iter().all(|at| *at <= middle));
}

#[test]
fn the_order_of_the_lines_and_the_form_of_the_file_make_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let path = programme(folder.path());
    let text = fs::read_to_string(&path).unwrap();
    let expected = input(&path).matrix().unwrap();
    let backwards = folder.path().join("backwards.jsonl");
    fs::write(&backwards, text.lines().rev().collect::<Vec<_>>().join("\n")).unwrap();
    assert_eq!(input(&backwards).matrix().unwrap().fingerprint(), expected.fingerprint());
    let binary = folder.path().join("programme.binpb");
    let messages = text.lines().map(|line| serde_json::from_str::<v1::LabeledConversion>(line).unwrap());
    fs::write(
        &binary,
        messages.flat_map(|message| prost::Message::encode_length_delimited_to_vec(&message)).collect::<Vec<u8>>(),
    )
    .unwrap();
    assert_eq!(input(&binary).matrix().unwrap().fingerprint(), expected.fingerprint());
}

#[test]
fn a_mapping_without_a_csv_is_refused_and_a_csv_without_the_flag_is_told_from_a_history() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.csv");
    fs::write(&path, "user,bought,fraud\nu1,2024-01-01T00:00:00Z,1\n").unwrap();
    let refused = |input: HistoryInput| format!("{:#}", input.matrix().unwrap_err());
    let mapped = refused(HistoryInput { mapping: Some(path.clone()), ..input(&path) });
    assert!(mapped.contains("goes with `--format csv`"), "{mapped}");
    let plain = refused(input(&path));
    assert!(plain.contains("JSON lines") && plain.contains("--format csv") && !plain.contains("u1"), "{plain}");
}

#[test]
fn labels_of_other_sources_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = programme(folder.path());
    let refused = HistoryInput { label_sources: vec![Source::Reviewer], ..input(&path) }.matrix().unwrap_err().to_string();
    assert!(refused.contains("--label-sources"), "{refused}");
}

#[test]
fn a_file_with_nothing_to_learn_from_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = programme(folder.path());
    let unlabelled: Vec<String> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| {
            let message: v1::LabeledConversion = serde_json::from_str(line).unwrap();
            serde_json::to_string(&v1::LabeledConversion { labels: Vec::new(), ..message }).unwrap()
        })
        .collect();
    for (text, words) in
        [(String::new(), "holds no line"), (unlabelled.join("\n"), "none of its lines has a label"), ("{".to_owned(), "line 1")]
    {
        fs::write(&path, text).unwrap();
        let refused = input(&path).matrix().unwrap_err().to_string();
        assert!(refused.contains(words), "{refused}");
    }
}

#[test]
fn a_byte_order_mark_changes_nothing_of_a_history_a_table_or_its_mapping() {
    let folder = tempfile::tempdir().unwrap();
    let path = programme(folder.path());
    let expected = input(&path).matrix().unwrap().fingerprint();
    let marked = folder.path().join("marked.jsonl");
    fs::write(&marked, format!("\u{feff}{}", fs::read_to_string(&path).unwrap())).unwrap();
    assert_eq!(input(&marked).matrix().unwrap().fingerprint(), expected);

    let (table, mapping) = (folder.path().join("t.csv"), folder.path().join("m.toml"));
    let rows: Vec<String> = (0..30).map(|row| format!("u{row},2024-01-{:02}T00:00:00Z,{}", row % 28 + 1, row % 3 / 2)).collect();
    fs::write(&table, format!("\u{feff}\"user\",bought,fraud\n{}\n", rows.join("\n"))).unwrap();
    let columns =
        "program_id = \"shop\"\nabusive = [\"1\"]\n[columns]\nreferee = \"user\"\noccurred_at = \"bought\"\nlabel = \"fraud\"\n";
    fs::write(&mapping, format!("\u{feff}{columns}")).unwrap();
    let table = HistoryInput {
        format: InputForm::Csv,
        mapping: Some(mapping),
        label_sources: vec![Source::OwnerReport],
        ..input(&table)
    };
    assert_eq!(table.matrix().unwrap().len(), 30);
}
