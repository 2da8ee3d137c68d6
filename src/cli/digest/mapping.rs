//! Mapping files: from the messages of raw values under two keys to lines that say which digest under the old key is which under the new one. Nothing raw
//! is in them, and each value stands in them once.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::ValueKind;
use crate::vocabulary::digest::KeyId;

/// What stands in an entry of a bundle: fields of digests with the kinds that mapping files call them by.
const EMAIL: &[(&str, &str)] = &[
    ("exact", "EMAIL_EXACT"),
    ("mailbox", "MAILBOX"),
    ("localPart", "LOCAL_PART"),
    ("domain", "DOMAIN"),
    ("pattern", "PATTERN"),
];
const NAME: &[(&str, &str)] = &[("exact", "NAME")];
const DEVICE: &[(&str, &str)] = &[("fingerprint", "DEVICE"), ("browser", "BROWSER")];
const NETWORK: &[(&str, &str)] = &[("address", "ADDRESS"), ("prefix", "PREFIX")];
const PAYMENT: &[(&str, &str)] = &[("instrument", "PAYMENT")];

/// The lists of a bundle.
const LISTS: [(&str, &[(&str, &str)]); 5] =
    [("emails", EMAIL), ("names", NAME), ("devices", DEVICE), ("networks", NETWORK), ("payments", PAYMENT)];

/// What a message holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Holds {
    /// Everything of an account.
    Bundle,
    /// One value.
    One(ValueKind),
}

/// Lines of a mapping, each value once.
#[derive(Debug)]
pub(super) struct Mapping {
    old: KeyId,
    new: KeyId,
    seen: HashSet<String>,
}

impl Mapping {
    pub(super) fn new(old: KeyId, new: KeyId) -> Self {
        Self { old, new, seen: HashSet::new() }
    }

    /// The lines that a message gives that no earlier one gave.
    pub(super) fn lines(&mut self, message: &Value, holds: Holds) -> Vec<Value> {
        let entries: Vec<(&Value, &[(&str, &str)])> = match holds {
            Holds::Bundle => LISTS
                .iter()
                .flat_map(|(list, fields)| message[list].as_array().into_iter().flatten().map(|entry| (entry, *fields)))
                .collect(),
            Holds::One(kind) => vec![(
                message,
                match kind {
                    ValueKind::Email => EMAIL,
                    ValueKind::Name => NAME,
                    ValueKind::Device | ValueKind::Browser => DEVICE,
                    ValueKind::Ip => NETWORK,
                    ValueKind::Payment => PAYMENT,
                },
            )],
        };
        let mut lines = Vec::new();
        for (entry, fields) in entries {
            for (field, kind) in fields {
                lines.extend(self.line(entry, field, kind));
            }
        }
        lines
    }

    fn line(&mut self, entry: &Value, field: &str, kind: &str) -> Option<Value> {
        let (old, new) = (under(&entry[field], &self.old)?, under(&entry[field], &self.new)?);
        if !self.seen.insert(format!("{kind} {}", old["value"])) {
            return None;
        }
        let mut line = Map::new();
        line.insert("kind".to_owned(), format!("REKEYED_KIND_{kind}").into());
        line.insert("oldDigest".to_owned(), old.clone());
        line.insert("newDigest".to_owned(), new.clone());
        let sketch = match kind {
            "LOCAL_PART" => Some("localPartSketch"),
            "NAME" => Some("sketch"),
            _ => None,
        };
        if let Some(field) = sketch {
            for (sent, written) in [(field, "sketch"), ("personSketch", "personSketch")] {
                if let Some(sketch) = under(&entry[sent], &self.new) {
                    line.insert(written.to_owned(), sketch.clone());
                }
            }
        }
        Some(Value::Object(line))
    }
}

/// The entry of a list that is under a key.
fn under<'v>(list: &'v Value, key: &KeyId) -> Option<&'v Value> {
    list.as_array()?.iter().find(|entry| entry["keyId"] == json!(key.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digesting::{Digester, ProgrammeKey, digest_email, digest_name, email_json, name_json};
    use crate::wire::v1::RekeyedKind::{Domain, EmailExact, LocalPart, Mailbox, Name, Pattern};

    fn key(id: &str, first: u8) -> ProgrammeKey {
        let bytes: Vec<u8> = (first..first + 32).collect();
        ProgrammeKey::from_bytes(KeyId::new(id).unwrap(), &bytes).unwrap()
    }

    #[test]
    fn a_mapping_names_each_value_once_with_both_digests_and_the_new_sketches() {
        let digester = Digester::rotating(&key("k2", 9), &key("k1", 1)).unwrap();
        let email = email_json(&digest_email(&digester, "marta.kowalczyk87@gmail.com").unwrap(), None);
        let name = name_json(&digest_name(&digester, "Marta Kowalczyk").unwrap());
        let bundle = json!({ "accountId": "a1", "emails": [email, email], "names": [name] });
        let mut mapping = Mapping::new(KeyId::new("k1").unwrap(), KeyId::new("k2").unwrap());
        let lines = mapping.lines(&bundle, Holds::Bundle);
        let rows: Vec<crate::wire::v1::RekeyedValue> =
            lines.into_iter().map(|line| serde_json::from_value(line).unwrap()).collect();
        let kinds: Vec<_> = rows.iter().map(crate::wire::v1::RekeyedValue::kind).collect();
        assert_eq!(kinds, [EmailExact, Mailbox, LocalPart, Domain, Pattern, Name]);
        for row in &rows {
            let (old, new) = (row.old_digest.as_ref().unwrap(), row.new_digest.as_ref().unwrap());
            assert_eq!((old.key_id.as_str(), new.key_id.as_str()), ("k1", "k2"));
        }
        let sketched: Vec<_> = rows.iter().filter(|row| row.sketch.is_some() && row.person_sketch.is_some()).collect();
        assert_eq!(sketched.len(), 2, "of the local part and of the name");
        assert!(mapping.lines(&name, Holds::One(ValueKind::Name)).is_empty(), "it stands there already");
    }
}
