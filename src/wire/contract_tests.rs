//! Holds the contract to its own rules: comments everywhere, zero values that fail safe, JSON that loses nothing.
//! It must never depend on how a message is handled. `cargo test` calls it; `buf lint` checks style beside it.

use std::collections::BTreeSet;

use bytes::Bytes;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use super::{FILE_DESCRIPTOR_SET, v1};

/// The files of the package, without the imported well-known types.
fn contract_files() -> Vec<FileDescriptorProto> {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
    let files: Vec<_> = set.file.into_iter().filter(|file| file.package() == "selfsame.v1").collect();
    assert!(files.len() >= 8, "the contract has {} files", files.len());
    files
}

/// Paths of all messages, fields, oneofs, enums, values, services and calls of a file, as in `SourceCodeInfo`.
///
/// A oneof that stands for an `optional` field has no text of its own and is left out.
fn described_paths(file: &FileDescriptorProto) -> Vec<(Vec<i32>, String)> {
    let mut paths = Vec::new();
    for (index, message) in (0_i32..).zip(&file.message_type) {
        assert!(
            message.nested_type.is_empty() && message.enum_type.is_empty(),
            "{} nests types: give them names of their own",
            message.name()
        );
        paths.push((vec![4, index], message.name().to_owned()));
        let mut optional_oneofs = BTreeSet::new();
        for (field_index, field) in (0_i32..).zip(&message.field) {
            let name = format!("{}.{}", message.name(), field.name());
            paths.push((vec![4, index, 2, field_index], name));
            if field.proto3_optional() {
                optional_oneofs.insert(field.oneof_index());
            }
        }
        for (oneof_index, oneof) in (0_i32..).zip(&message.oneof_decl) {
            if !optional_oneofs.contains(&oneof_index) {
                let name = format!("{}.{}", message.name(), oneof.name());
                paths.push((vec![4, index, 8, oneof_index], name));
            }
        }
    }
    for (index, enumeration) in (0_i32..).zip(&file.enum_type) {
        paths.push((vec![5, index], enumeration.name().to_owned()));
        for (value_index, value) in (0_i32..).zip(&enumeration.value) {
            paths.push((vec![5, index, 2, value_index], value.name().to_owned()));
        }
    }
    for (index, service) in (0_i32..).zip(&file.service) {
        paths.push((vec![6, index], service.name().to_owned()));
        for (method_index, method) in (0_i32..).zip(&service.method) {
            let name = format!("{}.{}", service.name(), method.name());
            paths.push((vec![6, index, 2, method_index], name));
        }
    }
    paths
}

#[test]
fn every_part_of_the_contract_says_what_it_means() {
    for file in contract_files() {
        let commented: BTreeSet<Vec<i32>> = file
            .source_code_info
            .iter()
            .flat_map(|source| &source.location)
            .filter(|location| !location.leading_comments().trim().is_empty())
            .map(|location| location.path.clone())
            .collect();
        for (path, name) in described_paths(&file) {
            assert!(commented.contains(&path), "`{name}` has no comment");
        }
    }
}

#[test]
fn every_zero_value_is_unspecified() {
    for file in contract_files() {
        for enumeration in &file.enum_type {
            let zero = enumeration.value.iter().find(|value| value.number() == 0);
            assert!(
                zero.is_some_and(|value| value.name().ends_with("_UNSPECIFIED")),
                "`{}` has a meaning at zero",
                enumeration.name()
            );
        }
    }
}

#[test]
fn no_field_is_named_after_a_raw_personal_datum() {
    let raw =
        ["email", "email_address", "ip", "ip_address", "phone", "iban", "card_number", "full_name", "first_name", "last_name"];
    for file in contract_files() {
        for message in &file.message_type {
            for field in &message.field {
                assert!(!raw.contains(&field.name()), "{}.{}", message.name(), field.name());
            }
        }
    }
}

fn labelled_line() -> v1::LabeledConversion {
    let digest = v1::Digest { key_id: "k1".into(), value: Bytes::from(vec![0xA5; 32]) };
    v1::LabeledConversion {
        conversion: Some(v1::Conversion {
            program_id: "acme".into(),
            conversion_id: "c-1".into(),
            kind: v1::ConversionKind::InvoicePaid.into(),
            occurred_at: Some(crate::wire::WireTimestamp { seconds: 1_790_000_000, nanos: 123_456_789 }),
            value: Some(v1::Money { amount_minor: i64::MAX, currency: "EUR".into() }),
            referee_standing: Some(v1::RefereeStanding::Existing.into()),
            referee: Some(v1::SignalBundle {
                account_id: "b".into(),
                emails: vec![v1::EmailSignals { mailbox: vec![digest], ..Default::default() }],
                journey: Some(v1::Journey { touchpoints: Vec::new(), touchpoint_count_total: Some(0) }),
                ..Default::default()
            }),
            ..Default::default()
        }),
        labels: vec![v1::Label {
            truth: v1::Truth::Abusive.into(),
            source: v1::LabelSource::Simulated.into(),
            ..Default::default()
        }],
        decision: Some(v1::Decision { score: 0.1 + 0.2, cursor: "7-0123456789abcdef".into(), ..Default::default() }),
        ..Default::default()
    }
}

#[test]
fn a_labelled_line_survives_json_bit_for_bit() {
    let line = labelled_line();
    let json = serde_json::to_string(&line).unwrap();
    let read: v1::LabeledConversion = serde_json::from_str(&json).unwrap();
    assert_eq!(read, line);
    assert!(json.contains("\"kind\":\"CONVERSION_KIND_INVOICE_PAID\""), "{json}");
    assert!(json.contains("\"occurredAt\":\"2026-09-21T14:13:20.123456789Z\""), "{json}");
    assert!(json.contains("\"amountMinor\":\"9223372036854775807\""), "{json}");
}

#[test]
fn json_is_read_with_the_names_of_the_contract_too() {
    let read: v1::Conversion = serde_json::from_str(
        r#"{"program_id":"acme","conversion_id":"c-1","occurred_at":"2026-11-21T00:00:00Z","value":{"amount_minor":4900,"currency":"EUR"}}"#,
    )
    .unwrap();
    assert_eq!(read.program_id, "acme");
    assert_eq!(read.value.unwrap().amount_minor, 4_900);
}

#[test]
fn json_with_an_unknown_name_is_refused() {
    let refused = serde_json::from_str::<v1::Conversion>(r#"{"program_id":"acme","email":"x"}"#);
    assert!(refused.unwrap_err().to_string().contains("unknown field"));
}

#[test]
fn absent_is_told_from_zero() {
    let absent: v1::Journey = serde_json::from_str("{}").unwrap();
    let zero: v1::Journey = serde_json::from_str(r#"{"touchpointCountTotal":0}"#).unwrap();
    assert_eq!(absent.touchpoint_count_total, None);
    assert_eq!(zero.touchpoint_count_total, Some(0));
}
