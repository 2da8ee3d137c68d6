//! Requests about changing the key, and the use of keys as messages.
//!
//! It must never take a value that was not digested. The programme handlers call it, and the command that reads mapping files.

use super::content;
use super::digest::{digest, lone_sketch};
use super::fields::{list, required_enum, required_id};
use super::request::{note, request};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::RekeyCommand;
use crate::book::directory::ProgramSettings;
use crate::book::rekeying::{NewSketches, REKEYED_MAX, Rekeyed, RekeyedKind};
use crate::ports::ledger::KeyReport;
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::{Actor, ProgramId};
use crate::vocabulary::sketch::{SKETCH_BYTES, Sketch};
use crate::vocabulary::time::Timestamp;

/// Reads names to teach.
///
/// # Errors
/// All violated fields. What contradicts what is known is for the book.
pub fn rekey(message: v1::RekeyValuesRequest, actor: &Actor, at: Timestamp) -> Result<RekeyCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::RekeyValuesRequest { program_id, values, note: why, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let path = At::path("values");
    if values.is_empty() {
        found.add(&path, format!("is empty; send 1 to {REKEYED_MAX}"));
    }
    let values = list(values, REKEYED_MAX, &path, &mut found, value);
    let note = note(why, &At::path("note"), &mut found);
    if request_id.is_empty() {
        found.add(&At::path("request_id"), "is required: a page that is sent again is then taken once");
    }
    let request = request(&request_id, content, &mut found);
    let command = program_id.zip(request).map(|(program_id, request)| {
        let actor = actor.clone();
        RekeyCommand { program_id, values, actor, note, request, at }
    });
    found.into_result(command)
}

/// Reads a value with its digests under two keys.
fn value(message: v1::RekeyedValue, at: &At<'_>, found: &mut Violations) -> Option<Rekeyed> {
    let v1::RekeyedValue { kind, old_digest, new_digest, sketch, person_sketch } = message;
    let kind = required_enum(kind, &at.field("kind"), found);
    let mut read = |sent: Option<v1::Digest>, field: &str| {
        let at = at.field(field);
        if sent.is_none() {
            found.add(&at, "is required");
        }
        digest(sent?, &at, found)
    };
    let (old, new) = (read(old_digest, "old_digest"), read(new_digest, "new_digest"));
    if let (Some(old), Some(new)) = (&old, &new)
        && old.key_id == new.key_id
    {
        found.add(&at.field("new_digest"), "is under the same key as `old_digest`");
    }
    let has_sketches = matches!(kind, None | Some(RekeyedKind::LocalPart | RekeyedKind::Name));
    let new_key = new.as_ref().map(|new| new.key_id);
    let mut sketched = |sent: Option<v1::Sketch>, field: &str| -> Option<[u8; SKETCH_BYTES]> {
        let at = at.field(field);
        let Sketch { key_id, bits } = lone_sketch(sent?, &at, found)?;
        if !has_sketches {
            found.add(&at, "goes with a local part or a name only");
        } else if new_key.is_some_and(|new| new != key_id) {
            found.add(&at, "is not under the key of `new_digest`");
        }
        Some(bits)
    };
    let sketches = NewSketches { of_text: sketched(sketch, "sketch"), of_person: sketched(person_sketch, "person_sketch") };
    Some(Rekeyed { kind: kind?, old: old?, new: new?, sketches })
}

/// Reads of which programme the use of keys is asked for.
///
/// # Errors
/// All violated fields.
pub fn use_wanted(message: v1::GetKeyUseRequest) -> Result<ProgramId, Vec<Violation>> {
    let v1::GetKeyUseRequest { program_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    found.into_result(program_id)
}

/// Writes the use of keys.
#[must_use]
pub fn use_message(report: &KeyReport, program: &ProgramSettings) -> v1::GetKeyUseResponse {
    let taken = |key: &KeyId| program.key_ids.is_empty() || program.key_ids.contains(key);
    let KeyReport { keys, values_cold } = report;
    let keys = keys.iter().map(|(key, known)| v1::KeyShare {
        key_id: key.as_str().to_owned(),
        values: known.values,
        under_newer: known.under_newer,
        taken: taken(key),
    });
    v1::GetKeyUseResponse { keys: keys.collect(), values_cold: *values_cold }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_with_a_name_is_told_with_its_place() {
        let digest = |key: &str| Some(v1::Digest { key_id: key.to_owned(), value: vec![7; 32].into() });
        let sketch = Some(v1::Sketch { key_id: "k2".to_owned(), bits: vec![7; 128].into() });
        let values = vec![
            v1::RekeyedValue { kind: 0, old_digest: digest("k1"), ..Default::default() },
            v1::RekeyedValue {
                kind: v1::RekeyedKind::Device.into(),
                old_digest: digest("k1"),
                new_digest: digest("k1"),
                sketch,
                person_sketch: None,
            },
        ];
        let message = v1::RekeyValuesRequest { values, ..Default::default() };
        let refused = rekey(message, &Actor::new("lena").unwrap(), Timestamp::MIN).unwrap_err();
        let fields: Vec<_> = refused.iter().map(|violation| violation.field.as_str()).collect();
        let expected =
            ["program_id", "values[0].kind", "values[0].new_digest", "values[1].new_digest", "values[1].sketch", "request_id"];
        assert_eq!(fields, expected);
    }
}
