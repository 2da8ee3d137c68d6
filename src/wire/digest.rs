//! Digests, sketches and identifiers between messages and vocabulary.
//! It must never take a value that was not digested, nor repeat it. The readers of bundles call it, and the service for list entries.

use bytes::Bytes;

use super::enums::WireEnum;
use super::fields::{list, required_enum};
use super::v1;
use super::violation::{At, Violations};
use crate::screening::history::Identifier;
use crate::vocabulary::digest::{DIGESTS_PER_VALUE_MAX, Digest, DigestSet, KeyId};
use crate::vocabulary::sketch::{SKETCH_BYTES, Sketch};

/// Bytes of a digest.
const DIGEST_BYTES: usize = 32;

/// Reads one digest.
pub fn digest(message: v1::Digest, at: &At<'_>, found: &mut Violations) -> Option<Digest> {
    let v1::Digest { key_id, value } = message;
    let key_id = key(&key_id, &at.field("key_id"), found);
    let Ok(value) = <[u8; DIGEST_BYTES]>::try_from(&*value) else {
        found.add(&at.field("value"), not_a_digest(&value));
        return None;
    };
    Some(Digest { value, key_id: key_id? })
}

/// Says what was probably sent instead, without showing it.
fn not_a_digest(value: &[u8]) -> String {
    let bytes = value.len();
    if bytes == 0 {
        "is required: 32 bytes".to_owned()
    } else if bytes == 2 * DIGEST_BYTES && value.iter().all(u8::is_ascii_hexdigit) {
        "is a digest in hexadecimal digits; send its 32 bytes (in JSON: base64)".to_owned()
    } else {
        format!(
            "is {bytes} bytes long, and a digest has 32; raw values must be digested before they are sent (see `selfsame digest`)"
        )
    }
}

fn key(text: &str, at: &At<'_>, found: &mut Violations) -> Option<KeyId> {
    match KeyId::new(text) {
        Ok(key_id) => Some(key_id),
        Err(_) if text.is_empty() => {
            found.add(at, "is required");
            None
        }
        Err(problem) => {
            found.add(at, format!("is not a key id: {problem}"));
            None
        }
    }
}

/// Reads the digests of one value; empty means that the value is absent.
pub fn digest_set(messages: Vec<v1::Digest>, at: &At<'_>, found: &mut Violations) -> Option<DigestSet> {
    let messages = match <[v1::Digest; 1]>::try_from(messages) {
        // Nearly always: two stand here only while keys rotate.
        Ok([message]) => return digest(message, &at.entry(0), found).map(DigestSet::single),
        Err(messages) if messages.is_empty() => return None,
        Err(messages) => messages,
    };
    let digests = list(messages, DIGESTS_PER_VALUE_MAX, at, found, digest);
    match DigestSet::new(digests) {
        Ok(set) => set,
        Err(problem) => {
            found.add(at, problem.to_string());
            None
        }
    }
}

/// Writes the digests of one value.
#[must_use]
pub fn digest_messages(set: Option<&DigestSet>) -> Vec<v1::Digest> {
    set.into_iter().flat_map(DigestSet::iter).map(digest_message).collect()
}

/// Writes one digest.
#[must_use]
pub fn digest_message(digest: &Digest) -> v1::Digest {
    let Digest { value, key_id } = digest;
    v1::Digest { key_id: key_id.as_str().to_owned(), value: Bytes::copy_from_slice(value) }
}

/// Reads the sketches of one text, one for each key in force.
pub(super) fn sketches(messages: Vec<v1::Sketch>, at: &At<'_>, found: &mut Violations) -> Vec<Sketch> {
    let sketches = list(messages, DIGESTS_PER_VALUE_MAX, at, found, sketch);
    if matches!(&*sketches, [first, second] if first.key_id == second.key_id) {
        found.add(at, "holds two sketches of one key; send one value for each entry");
    }
    sketches
}

fn sketch(message: v1::Sketch, at: &At<'_>, found: &mut Violations) -> Option<Sketch> {
    let v1::Sketch { key_id, bits } = message;
    let key_id = key(&key_id, &at.field("key_id"), found);
    let Ok(bits) = <[u8; SKETCH_BYTES]>::try_from(&*bits) else {
        found.add(
            &at.field("bits"),
            format!("is {} bytes long, and a sketch has {SKETCH_BYTES}; text must be sketched before it is sent (see `selfsame digest`)", bits.len()),
        );
        return None;
    };
    Some(Sketch { key_id: key_id?, bits })
}

/// Reads one sketch.
pub(super) fn lone_sketch(message: v1::Sketch, at: &At<'_>, found: &mut Violations) -> Option<Sketch> {
    sketch(message, at, found)
}

/// Writes sketches.
pub(super) fn sketch_messages(sketches: &[Sketch]) -> Vec<v1::Sketch> {
    let message =
        |Sketch { key_id, bits }: &Sketch| v1::Sketch { key_id: key_id.as_str().to_owned(), bits: Bytes::copy_from_slice(bits) };
    sketches.iter().map(message).collect()
}

/// Reads a value with its kind.
pub fn identifier(message: v1::Identifier, at: &At<'_>, found: &mut Violations) -> Option<Identifier> {
    let v1::Identifier { kind, digest: value } = message;
    let kind = required_enum(kind, &at.field("kind"), found);
    if value.is_none() {
        found.add(&at.field("digest"), "is required");
    }
    let digest = value.and_then(|value| digest(value, &at.field("digest"), found));
    Some(Identifier { kind: kind?, digest: digest? })
}

/// Writes a value with its kind.
#[must_use]
pub fn identifier_message(identifier: &Identifier) -> v1::Identifier {
    let Identifier { kind, digest } = identifier;
    v1::Identifier { kind: kind.to_number(), digest: Some(digest_message(digest)) }
}
