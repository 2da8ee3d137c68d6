//! Fingerprints of messages: whether a retry is the same message.
//! It must never depend on how the sender happened to encode it. The service, backfills and `screen` call it.

use prost::Message;

use crate::book::records::ContentFingerprint;

/// The fingerprint of a message: 16 bytes of BLAKE3 over its encoding by this library, which is the same for equal messages whatever order
/// of fields the sender used.
#[must_use]
pub fn fingerprint(message: &impl Message) -> ContentFingerprint {
    let mut reader = blake3::Hasher::new().update(&message.encode_to_vec()).finalize_xof();
    let mut first_bytes = [0; 16];
    reader.fill(&mut first_bytes);
    ContentFingerprint(first_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1;

    #[test]
    fn the_order_of_fields_on_the_wire_does_not_matter() {
        // Field 2 before field 1, and field 1 twice: the last one counts.
        let other_order: &[u8] = &[0x12, 0x01, b'b', 0x0a, 0x01, b'x', 0x0a, 0x01, b'a'];
        let read = v1::GetDecisionRequest::decode(other_order).unwrap();
        let usual = v1::GetDecisionRequest { program_id: "a".into(), conversion_id: "b".into(), view: None };
        assert_eq!(fingerprint(&read), fingerprint(&usual));
    }

    #[test]
    fn another_value_gives_another_fingerprint() {
        let of = |id: &str| fingerprint(&v1::GetDecisionRequest { conversion_id: id.into(), ..Default::default() });
        assert_ne!(of("a"), of("b"));
    }
}
