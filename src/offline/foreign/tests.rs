//! Holds the reading of other people's data to its claims: nothing of the file is shown, and every fault has its line.

use super::*;

const FILE: &str = "user,signup,bought,price,device,ip,fraud\n\
    u1,2024-01-01 00:00:00,2024-01-01 00:00:30,63,DEV-A,686082863.1,1\n\
    u2,2024-01-01 00:00:00,2024-01-03 10:00:00,12.50,DEV-B,,0\n\
    u3,2024-01-02 00:00:00,2024-01-04 10:00:00,12.50,DEV-A,10.0.0.1,\n";
const MAPPING: &str = r#"
    currency = "USD"
    time_format = "%Y-%m-%d %H:%M:%S"
    abusive = ["1"]
    [columns]
    referee = "user"
    occurred_at = "bought"
    label = "fraud"
    signed_up_at = "signup"
    amount = "price"
    device = "device"
    address = "ip"
    group = "device"
"#;

fn read(mapping: &str) -> Result<Vec<HistoryLine>, ForeignError> {
    let key: [u8; 32] = std::array::from_fn(|place| u8::try_from(place).unwrap() * 7);
    read_csv(FILE.as_bytes(), &toml::from_str(mapping).unwrap(), &key)
}

#[test]
fn a_file_becomes_a_labelled_history() {
    let lines = read(MAPPING).unwrap();
    let truths: Vec<_> = lines.iter().map(|line| line.labels.first().map(|label| label.truth)).collect();
    assert_eq!(truths, [Some(Truth::Abusive), Some(Truth::Honest), None]);
    let [first, second, third] = lines.as_slice() else { panic!("three lines") };
    assert_eq!(first.conversion.value.map(Money::amount_minor), Some(6_300));
    assert_eq!(first.conversion.referee.devices[0].fingerprint, third.conversion.referee.devices[0].fingerprint);
    assert_eq!(first.group_id, third.group_id);
    assert!(first.conversion.referee.networks.len() == 1 && second.conversion.referee.networks.is_empty());
    assert_eq!(first.conversion.occurred_at.since(first.signals_before[0].observed_at), Span::from_seconds(30));
}

#[test]
fn nothing_of_the_file_can_be_read_in_the_history() {
    let shown = format!("{:?}", read(MAPPING).unwrap());
    for cell in ["u1", "DEV-A", "686082863", "40.228"] {
        assert!(!shown.contains(&format!("\"{cell}")), "{cell}");
    }
}

#[test]
fn a_first_line_that_is_no_header_is_not_shown() {
    let key: [u8; 32] = std::array::from_fn(|place| u8::try_from(place).unwrap() * 7);
    let digests = r#"{"conversion":{"referee":{"emails":["c2VjcmV0"]}},"labels":[]}"#;
    let refused = read_csv(digests.as_bytes(), &toml::from_str(MAPPING).unwrap(), &key).unwrap_err().to_string();
    assert!(refused.contains("none of the mapping's columns") && refused.contains("`user`"), "{refused}");
    assert!(!refused.contains("c2VjcmV0") && !refused.contains("emails"), "{refused}");
}

#[test]
fn a_cell_is_named_by_its_line_however_lines_end() {
    let key: [u8; 32] = std::array::from_fn(|place| u8::try_from(place).unwrap() * 7);
    let wrong = FILE.replace("10.0.0.1", "here");
    for (file, line) in [(wrong.clone(), 4), (wrong.replace('\n', "\r\n"), 4), (wrong.replace('\n', "\n\n"), 7)] {
        let refused = read_csv(file.as_bytes(), &toml::from_str(MAPPING).unwrap(), &key).unwrap_err().to_string();
        assert!(refused.starts_with(&format!("line {line}: `address`")), "{refused}");
        let ragged = read_csv(file.replace(",here,", ",").as_bytes(), &toml::from_str(MAPPING).unwrap(), &key).unwrap_err();
        assert_eq!(ragged.to_string(), format!("line {line}: has 6 cells, the header 7"));
    }
}

#[test]
fn a_column_that_is_not_there_is_named() {
    let refused = read(&MAPPING.replace("\"price\"", "\"cost\"")).unwrap_err().to_string();
    assert!(refused.contains("`cost`") && refused.contains("`amount`") && refused.contains("`price`"), "{refused}");
}
