//! Files: policies, models, histories and tables as people and other programs write them.

use std::sync::LazyLock;

use selfsame::adapters::{model_file, policy_file};
use selfsame::book::models::ModelName;
use selfsame::digesting::{AccountIds, Column, Digester, ProgrammeKey, RawRow, RowSettings, digest_row};
use selfsame::ledger::{pack_conversion, unpack_conversion};
use selfsame::offline::history_file::HistoryFile;
use selfsame::offline::load::generator::{Traffic, TrafficShape, Walk};
use selfsame::vocabulary::digest::KeyId;
use selfsame::wire::conversion;
use selfsame::wire::fields::Arrival;
use selfsame::wire::v1;

use crate::mutated::{Edit, fuzzed, mutated};

/// A policy is read, or refused with what is wrong.
pub(crate) fn policy(edits: &[Edit]) {
    let bytes = mutated(policy_file::SHIPPED_POLICY.as_bytes(), edits);
    match policy_file::parse(&String::from_utf8_lossy(&bytes), "policy.toml") {
        Ok(policy) => assert!(!policy.version().to_string().is_empty()),
        Err(error) => assert!(error.to_string().contains("policy.toml"), "{error}"),
    }
}

const SHIPPED_MODEL: &[u8] = selfsame::adapters::model_store::SHIPPED_MODEL;
static SHIPPED_NAME: LazyLock<ModelName> =
    LazyLock::new(|| model_file::name_of(&model_file::from_bytes(SHIPPED_MODEL).unwrap()).unwrap());

/// A model is the one that was written, or refused.
pub(crate) fn model(edits: &[Edit]) {
    if let Ok(model) = model_file::from_bytes(&mutated(SHIPPED_MODEL, edits)) {
        assert_eq!(model_file::name_of(&model).unwrap(), *SHIPPED_NAME, "a changed model does not pass for another");
    }
}

/// A history in each of its forms.
static HISTORIES: LazyLock<[Vec<u8>; 4]> = LazyLock::new(|| {
    let one = Traffic::new(TrafficShape::with_known_values("shop", 160, 3), Walk::Measuring).conversion(1);
    let labelled = v1::LabeledConversion { conversion: Some(one.clone()), ..Default::default() };
    let line = serde_json::to_string(&labelled).unwrap();
    let message = prost::Message::encode_length_delimited_to_vec(&labelled);
    let unlabelled = format!("{}\n", serde_json::to_string(&one).unwrap()).into_bytes();
    let parsed = conversion::parse(one, "conversion", Arrival::Recorded).unwrap();
    [format!("{line}\n{line}\n").into_bytes(), unlabelled, [message.clone(), message].concat(), pack_conversion(&parsed)]
});

/// A history ends, or is wrong at a line that is told.
pub(crate) fn history((which, edits): &(u8, Vec<Edit>)) {
    let bytes = mutated(&HISTORIES[usize::from(*which) % HISTORIES.len()], edits);
    let mut before = 0;
    for line in HistoryFile::of(bytes.as_slice()).take(10_000) {
        let Ok(line) = line else { break };
        assert!(line.number > before, "lines are counted");
        before = line.number;
    }
    if let Ok(conversion) = unpack_conversion(&bytes) {
        assert_eq!(unpack_conversion(&pack_conversion(&conversion)).unwrap(), conversion);
    }
}

const HEADERS: [&str; 11] =
    ["email", "name", "device", "browser", "ip", "card", "iban", "paypal", "payment", "account_id", "user_agent"];
static DIGESTER: LazyLock<Digester> = LazyLock::new(|| {
    let bytes: Vec<u8> = (0..32).collect();
    Digester::new(&ProgrammeKey::from_bytes(KeyId::new("k1").unwrap(), &bytes).unwrap())
});

/// A row of a table is digested alike each time, or refused by column.
pub(crate) fn row(cells: &[(u8, String)]) {
    let settings = RowSettings { account_ids: AccountIds::AddedLater, ..RowSettings::default() };
    let mut row = RawRow::default();
    for (header, text) in cells {
        row.add(Column::of_header(HEADERS[usize::from(*header) % HEADERS.len()]).unwrap(), text);
    }
    match (digest_row(&DIGESTER, &settings, &row), digest_row(&DIGESTER, &settings, &row)) {
        (Ok(one), Ok(other)) => assert_eq!(one, other),
        (Err(one), Err(_)) => assert!(!one.is_empty()),
        (one, other) => panic!("{one:?} and {other:?}"),
    }
}

#[test]
fn a_policy_is_read_or_refused_with_what_is_wrong() {
    fuzzed(|input: &Vec<Edit>| policy(input));
}

#[test]
fn a_model_is_the_one_that_was_written_or_refused() {
    fuzzed(|input: &Vec<Edit>| model(input));
}

#[test]
fn a_history_in_any_form_ends_or_says_at_which_line_it_is_wrong() {
    fuzzed(history);
}

#[test]
fn a_row_of_a_table_is_digested_alike_each_time_or_refused_by_column() {
    fuzzed(|input: &Vec<(u8, String)>| row(input));
}
