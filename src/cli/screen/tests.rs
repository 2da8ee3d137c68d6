//! Holds `screen` to its claims: one decision a line, the same every time, bad lines named by their number.

use std::fs;

use super::*;
use crate::wire::fields::Arrival;
use crate::wire::fixtures::{full_bundle, full_conversion};

fn args(input: &Path, output: &Path, on_error: OnError) -> ScreenArgs {
    ScreenArgs {
        input: input.to_owned(),
        write: Some(output.to_owned()),
        policy: None,
        model: None,
        view: View::Decision,
        on_error,
        summary: false,
    }
}

fn line(id: &str, referee: &str, number: u8) -> String {
    let mut message = full_conversion();
    message.conversion_id = id.to_owned();
    message.invoice_id = format!("inv-{id}");
    message.rewards[0].reward_id = format!("rw-{id}");
    message.referee = Some(full_bundle(referee, number));
    serde_json::to_string(&message).unwrap()
}

fn screened(lines: &[String], on_error: OnError) -> anyhow::Result<Vec<v1::Decision>> {
    let folder = tempfile::tempdir()?;
    let (input, output) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    fs::write(&input, lines.join("\n"))?;
    run(&args(&input, &output, on_error))?;
    Ok(fs::read_to_string(&output)?.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn each_conversion_gets_a_decision_and_the_history_of_the_lines_before() {
    let lines = [line("c1", "bob", 2), line("c2", "carl", 2)];
    let decisions = screened(&lines, OnError::Stop).unwrap();
    assert_eq!(decisions.iter().map(|decision| &*decision.conversion_id).collect::<Vec<_>>(), ["c1", "c2"]);
    let crowded = |decision: &v1::Decision| decision.rule_hits.iter().any(|hit| hit.evidence_code == "device.crowded");
    assert!(!crowded(&decisions[0]) && crowded(&decisions[1]), "the second referee is on the first one's device");
    assert_eq!(screened(&lines, OnError::Stop).unwrap(), decisions);
}

#[test]
fn one_person_on_both_sides_is_not_approved() {
    let decisions = screened(&[line("c1", "bob", 1)], OnError::Stop).unwrap();
    assert_eq!(decisions[0].verdict(), v1::Verdict::InReview);
}

#[test]
fn a_bad_line_stops_with_its_number_or_is_left_out() {
    let lines = [line("c1", "bob", 2), line("c2", "b@d", 3), "{".to_owned(), line("c4", "dora", 4)];
    let stopped = screened(&lines, OnError::Stop).unwrap_err().to_string();
    assert!(stopped.starts_with("line 2: `referee.account_id` holds a character"), "{stopped}");
    let ids: Vec<String> = screened(&lines, OnError::Skip).unwrap().into_iter().map(|decision| decision.conversion_id).collect();
    assert_eq!(ids, ["c1", "c4"]);
}

#[test]
fn a_run_that_stops_leaves_what_was_written_before_and_an_input_is_never_the_output() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    fs::write(&input, [line("c1", "bob", 2), "{".to_owned()].join("\n")).unwrap();
    fs::write(&output, "yesterday's").unwrap();
    let stopped = run(&args(&input, &output, OnError::Stop)).unwrap_err().to_string();
    assert!(stopped.contains("No file was written"), "{stopped}");
    assert_eq!(fs::read_to_string(&output).unwrap(), "yesterday's");
    let before = fs::read(&input).unwrap();
    let refused = run(&args(&input, &input, OnError::Skip)).unwrap_err().to_string();
    assert!(refused.contains("is also read"), "{refused}");
    assert_eq!(fs::read(&input).unwrap(), before);
}

#[test]
fn an_id_with_other_content_is_refused_and_the_same_line_gets_no_second_decision() {
    let same = screened(&[line("c1", "bob", 2), line("c1", "bob", 2)], OnError::Stop).unwrap();
    assert_eq!(same.len(), 1);
    let refused = screened(&[line("c1", "bob", 2), line("c1", "carl", 3)], OnError::Stop).unwrap_err().to_string();
    assert!(refused.starts_with("line 2:") && refused.contains("c1"), "{refused}");
}

#[test]
fn labelled_lines_are_told_by_the_first_line() {
    let labelled = v1::LabeledConversion { conversion: Some(full_conversion()), ..Default::default() };
    let decisions = screened(&[serde_json::to_string(&labelled).unwrap()], OnError::Stop).unwrap();
    assert_eq!(decisions[0].conversion_id, "cv-1");
}

#[test]
fn a_byte_order_mark_before_the_first_line_is_passed_over() {
    let plain = [line("c1", "bob", 2), line("c2", "carl", 3)];
    let marked = [format!("\u{feff}{}", plain[0]), plain[1].clone()];
    assert_eq!(screened(&marked, OnError::Stop).unwrap(), screened(&plain, OnError::Stop).unwrap());
    let labelled = v1::LabeledConversion { conversion: Some(full_conversion()), ..Default::default() };
    let marked = format!("\u{feff}{}", serde_json::to_string(&labelled).unwrap());
    assert_eq!(screened(&[marked], OnError::Stop).unwrap()[0].conversion_id, "cv-1");
}

/// A conversion with a country that is none and a user agent that is too long.
fn careless_conversion() -> v1::Conversion {
    let mut message = full_conversion();
    let referee = message.referee.as_mut().unwrap();
    referee.payments[0].country = "Germany".to_owned();
    referee.devices[0].user_agent = "x".repeat(600);
    message
}

#[test]
fn soft_signals_that_are_cut_or_absent_are_told_as_the_service_tells_them() {
    let message = careless_conversion();
    let labelled = v1::LabeledConversion { conversion: Some(message.clone()), ..Default::default() };
    let (_, expected) = crate::wire::conversion::parse_warned(message.clone(), "conversion", Arrival::Recorded).unwrap();
    let expected: Vec<v1::Warning> = expected.iter().map(decision::warning_message).collect();
    let fields: Vec<&str> = expected.iter().map(|warning| &*warning.field).collect();
    assert_eq!(fields, ["conversion.referee.devices[0].user_agent", "conversion.referee.payments[0].country"]);
    for line in [serde_json::to_string(&message).unwrap(), serde_json::to_string(&labelled).unwrap()] {
        let told = &screened(&[line], OnError::Stop).unwrap()[0].warnings;
        assert!(told.ends_with(&expected), "{told:?}");
    }
}

#[test]
fn the_summary_counts_warnings() {
    let policy = Arc::new(FixedPolicy::new(policy_file::shipped().unwrap()));
    let rules = StandingRules::new(policy, Arc::new(ModelShelf::default()), Some(AuditKey::new([0; 32])));
    let (mut screener, mut summary) = (LineByLine::new(&rules), Summary::default());
    let second =
        v1::Conversion { conversion_id: "c2".into(), invoice_id: "i2".into(), rewards: Vec::new(), ..careless_conversion() };
    let file: Vec<String> =
        [careless_conversion(), second].iter().map(|message| serde_json::to_string(message).unwrap()).collect();
    for line in ReadAhead::of(io::Cursor::new(file.join("\n"))) {
        screen_line(&mut screener, line.unwrap(), &mut summary).1.unwrap();
    }
    let mut text = Vec::new();
    summary.write(&mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("\n2 conversions with 4 warnings"), "{text}");
    assert!(text.contains("\n        2  field.cut\n        2  field.ignored\n"), "{text}");
}

#[test]
fn times_are_written_with_z() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    fs::write(&input, line("c1", "bob", 2)).unwrap();
    for view in [View::Decision, View::Full] {
        run(&ScreenArgs { view, ..args(&input, &output, OnError::Stop) }).unwrap();
        let written = fs::read_to_string(&output).unwrap();
        assert!(written.contains("Z\"") && !written.contains("+00:00"), "{written}");
    }
}
