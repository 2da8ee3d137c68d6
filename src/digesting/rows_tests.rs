//! What rows become, and what is said of those that become nothing.

use super::*;
use crate::digesting::ProgrammeKey;
use crate::vocabulary::digest::KeyId;

fn digester() -> Digester {
    let bytes: Vec<u8> = (0..32).collect();
    Digester::new(&ProgrammeKey::from_bytes(KeyId::new("k1").unwrap(), &bytes).unwrap())
}

fn row(cells: &[(&str, &str)]) -> RawRow {
    let mut row = RawRow::default();
    for (header, text) in cells {
        row.add(Column::of_header(header).unwrap(), text);
    }
    row
}

fn digested(cells: &[(&str, &str)]) -> Result<DigestedRow, Vec<InvalidCell>> {
    let account = [("account_id", "acc-1")];
    digest_row(&digester(), &RowSettings::default(), &row(&[account.as_slice(), cells].concat()))
}

fn faults(cells: &[(&str, &str)]) -> Vec<String> {
    digested(cells).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_full_row_becomes_a_bundle_without_a_raw_value() {
    let cells = [
        ("email", "secret@example.com"),
        ("First Name", "Secret"),
        ("surname", "Person"),
        ("device", "secret-device"),
        ("cookie", "secret-cookie"),
        ("ip", "203.0.113.77"),
        ("card", "secret-card"),
        ("payment_purpose", "payout"),
        ("payment_country", "de"),
    ];
    let DigestedRow { bundle, warnings } = digested(&cells).unwrap();
    assert_eq!(bundle["accountId"], "acc-1");
    assert_eq!(bundle["emails"][0]["domainClass"], "EMAIL_DOMAIN_CLASS_CORPORATE");
    assert_eq!(bundle["payments"][0]["kind"], "PAYMENT_KIND_CARD");
    assert_eq!(bundle["payments"][0]["purpose"], "PAYMENT_PURPOSE_PAYOUT");
    assert_eq!(bundle["payments"][0]["country"], "DE");
    for field in ["names", "devices", "networks"] {
        assert_eq!(bundle[field].as_array().unwrap().len(), 1, "{field}");
    }
    let written = bundle.to_string().to_lowercase();
    assert!(!written.contains("secret") && !written.contains("203.0"), "{written}");
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn every_fault_of_a_row_is_named_with_its_column() {
    let found = digested(&[("ip", "nowhere"), ("email", "nobody"), ("payment_kind", "gold")]).unwrap_err();
    let columns: Vec<Column> = found.iter().map(|fault| fault.column).collect();
    assert_eq!(columns, [Column::Email, Column::Ip, Column::PaymentKind]);
    assert_eq!(found[0].to_string(), "email: the e-mail address has no `@`");
}

#[test]
fn empty_cells_are_absent() {
    let bundle = digested(&[("email", " "), ("ip", "")]).unwrap().bundle;
    assert_eq!(bundle, serde_json::json!({ "accountId": "acc-1" }));
}

#[test]
fn a_placeholder_is_refused_in_every_column_that_identifies() {
    for header in ["email", "name", "device", "browser", "ip", "payment", "card", "iban", "paypal"] {
        for typed in ["N/A", "unknown", "-"] {
            let found = faults(&[(header, typed), ("payment_kind", "other"), ("payment_purpose", "billing")]).join("; ");
            assert!(found.starts_with(&format!("{header}: ")), "{header}, {typed}: {found}");
        }
    }
    let settings = RowSettings::default();
    for typed in ["null", "N/A", "unknown"] {
        let found = digest_row(&digester(), &settings, &row(&[("account_id", typed)])).unwrap_err();
        assert_eq!(found[0].reason, UnreadableCell::PlaceholderAccount, "{typed}");
    }
}

#[test]
fn what_the_server_needs_is_asked_for() {
    let found = faults(&[("payment", "fp-12")]);
    assert!(found[0].starts_with("payment_kind: is missing") && found[0].contains("--payment-kind"), "{found:?}");
    assert!(found[1].starts_with("payment_purpose: is missing") && found[1].contains("--payment-purpose"), "{found:?}");
    let cells = row(&[("payment", "fp-12")]);
    let settings = RowSettings {
        payment_kind: Some(PaymentKind::Wallet),
        payment_purpose: Some(PaymentPurpose::Billing),
        account_ids: AccountIds::AddedLater,
        ..RowSettings::default()
    };
    let bundle = digest_row(&digester(), &settings, &cells).unwrap().bundle;
    assert_eq!(bundle["payments"][0]["kind"], "PAYMENT_KIND_WALLET");
    let found = digest_row(&digester(), &RowSettings { account_ids: AccountIds::Required, ..settings }, &cells).unwrap_err();
    assert!(found[0].to_string().starts_with("account_id: is missing"), "{found:?}");
    let found = digest_row(&digester(), &RowSettings::default(), &row(&[("account_id", "jane doe")])).unwrap_err();
    assert!(matches!(found[0].reason, UnreadableCell::AccountId(_)));
}

#[test]
fn several_instruments_have_their_kinds_by_column_or_one_for_each() {
    let bundle =
        digested(&[("card", "fp-12"), ("iban", "AT61 1904 3002 3457 3201"), ("payment_purpose", "payout")]).unwrap().bundle;
    let kinds: Vec<&Value> = bundle["payments"].as_array().unwrap().iter().map(|payment| &payment["kind"]).collect();
    assert_eq!(kinds, ["PAYMENT_KIND_CARD", "PAYMENT_KIND_SEPA"]);
    let cells = [
        ("payment", "fp-12"),
        ("payment", "fp-13"),
        ("payment_kind", "card"),
        ("payment_kind", "bank account"),
        ("payment_purpose", "billing"),
        ("payment_purpose", "payout"),
    ];
    let bundle = digested(&cells).unwrap().bundle;
    assert_eq!(bundle["payments"][1]["kind"], "PAYMENT_KIND_BANK_ACCOUNT");
    assert_eq!(bundle["payments"][0]["purpose"], "PAYMENT_PURPOSE_BILLING");
    let found = faults(&[cells.as_slice(), &[("payment", "fp-14")]].concat());
    assert_eq!(found[0], "payment_kind: holds 2 values for 3 payments; give one for all, or one for each");
}

#[test]
fn one_iban_is_one_digest_and_a_wrong_one_is_named() {
    let instrument = |typed: &str| {
        digested(&[("payment", typed), ("payment_kind", "SEPA"), ("payment_purpose", "BILLING")])
            .map(|row| row.bundle["payments"][0]["instrument"].clone())
    };
    assert_eq!(instrument("AT61 1904 3002 3457 3201").unwrap(), instrument("at611904300234573201").unwrap());
    assert!(instrument("AT61 1904 3002 3457 3202").unwrap_err()[0].to_string().starts_with("payment: looks like an IBAN"));
}

#[test]
fn a_plain_attribute_is_mended_with_a_warning_and_never_costs_the_row() {
    let long = format!("Mozilla/5.0 {}", "é".repeat(600));
    let DigestedRow { bundle, warnings } =
        digested(&[("user_agent", long.as_str()), ("platform", "Mac\u{7}OS"), ("time_zone", "undefined")]).unwrap();
    let device = &bundle["devices"][0];
    assert_eq!(device["userAgent"].as_str().unwrap().len(), USER_AGENT_BYTES_MAX);
    assert_eq!(device["platform"], "Mac OS");
    assert_eq!(device.get("timeZone"), None);
    assert_eq!(warnings[0], "user_agent: is 1212 bytes long, cut to 512");
    assert_eq!(warnings.len(), 3);
}

#[test]
fn more_than_a_bundle_holds_is_refused() {
    let addresses: Vec<String> = (1..12).map(|host| format!("2001:db8::{host}:1")).collect();
    let cells: Vec<(&str, &str)> = addresses.iter().map(|address| ("ip", address.as_str())).collect();
    assert_eq!(faults(&cells), ["ip: gives 33 entries of the bundle; the server takes at most 32"]);
    assert_eq!(digested(&cells[..10]).unwrap().bundle["networks"].as_array().unwrap().len(), 30);
}

#[test]
fn the_plus_folded_digest_is_written_when_asked_for() {
    let cells = row(&[("account_id", "a1"), ("email", "anna+1@company.example")]);
    let settings = RowSettings { plus_folded: PlusFolded::Written, ..RowSettings::default() };
    let bundle = digest_row(&digester(), &settings, &cells).unwrap().bundle;
    assert_eq!(bundle["emails"][0]["plusFolded"][0]["keyId"], "k1");
    assert_eq!(digested(&[("email", "anna+1@company.example")]).unwrap().bundle["emails"][0].get("plusFolded"), None);
}
