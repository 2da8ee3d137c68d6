//! Keyed digests: `HMAC-SHA-256(key, kind ‖ 0x00 ‖ canonical value)`, under one key or, while keys rotate, two.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::key::ProgrammeKey;
use super::sketching::{self, SketchKind};
use crate::vocabulary::digest::{Digest, DigestSet, KeyId};
use crate::vocabulary::sketch::Sketch;

pub(super) type HmacSha256 = Hmac<Sha256>;

/// What a digested value is. The name is part of the digest, so equal texts of different kinds never collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DigestKind {
    /// An e-mail address as written, but for case and white space.
    EmailExact,
    /// An e-mail address with its provider's aliases folded.
    EmailMailbox,
    /// An e-mail address cut at its `+`, where nobody knows whether that is a tag. Weaker than the mailbox.
    EmailPlusFolded,
    /// The mailbox without digits.
    EmailPattern,
    /// The mailbox's local part without separators.
    EmailLocalPart,
    /// The mailbox's domain.
    EmailDomain,
    /// A person's folded name.
    NameExact,
    /// A device fingerprint.
    DeviceFingerprint,
    /// A browser's cookie or installation id.
    DeviceBrowser,
    /// A network address.
    NetworkAddress,
    /// Its /24; or its /64, /56 or /48, each a value of its own.
    NetworkPrefix,
    /// A payment instrument's fingerprint.
    PaymentInstrument,
}

impl DigestKind {
    /// Every kind, in the order of the document.
    pub const ALL: [Self; 12] = [
        Self::EmailExact,
        Self::EmailMailbox,
        Self::EmailPlusFolded,
        Self::EmailPattern,
        Self::EmailLocalPart,
        Self::EmailDomain,
        Self::NameExact,
        Self::DeviceFingerprint,
        Self::DeviceBrowser,
        Self::NetworkAddress,
        Self::NetworkPrefix,
        Self::PaymentInstrument,
    ];

    /// The name that is hashed. Never changes: a change would make all stored digests worthless.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EmailExact => "email.exact",
            Self::EmailMailbox => "email.mailbox",
            Self::EmailPlusFolded => "email.plus_folded",
            Self::EmailPattern => "email.pattern",
            Self::EmailLocalPart => "email.local_part",
            Self::EmailDomain => "email.domain",
            Self::NameExact => "name.exact",
            Self::DeviceFingerprint => "device.fingerprint",
            Self::DeviceBrowser => "device.browser",
            Self::NetworkAddress => "network.address",
            Self::NetworkPrefix => "network.prefix",
            Self::PaymentInstrument => "payment.instrument",
        }
    }
}

/// Turns canonical values into digests and sketches, under the current key and, while keys rotate, the previous one.
///
/// It keeps the keyed hash states, so a digest costs no key schedule. The states are wiped when it is dropped.
#[derive(Clone)]
pub struct Digester {
    current: KeyedStates,
    previous: Option<KeyedStates>,
}

/// Both keys of a rotation have one name, so the service could not tell their digests apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the current and the previous programme key are both called `{}`; give each its own key id", .0.as_str())]
pub struct SameKeyId(pub KeyId);

#[derive(Clone)]
struct KeyedStates {
    key_id: KeyId,
    digests: HmacSha256,
    local_part_sketches: HmacSha256,
    name_sketches: HmacSha256,
    person_sketches: HmacSha256,
}

impl Digester {
    /// Digests under one key.
    #[must_use]
    pub fn new(key: &ProgrammeKey) -> Self {
        Self { current: KeyedStates::new(key), previous: None }
    }

    /// Digests under two keys, for as long as accounts exist that were digested under the previous one only.
    ///
    /// # Errors
    /// [`SameKeyId`] when both keys have one name.
    pub fn rotating(current: &ProgrammeKey, previous: &ProgrammeKey) -> Result<Self, SameKeyId> {
        if current.id() == previous.id() {
            return Err(SameKeyId(*current.id()));
        }
        Ok(Self { current: KeyedStates::new(current), previous: Some(KeyedStates::new(previous)) })
    }

    /// The digests of a canonical value: one for each key, ordered by key id.
    #[must_use]
    pub fn digest(&self, kind: DigestKind, canonical: &str) -> DigestSet {
        let current = self.current.digest(kind, canonical);
        let Some(previous) = &self.previous else {
            return DigestSet::single(current);
        };
        // INVARIANT: the two key ids differ (see `rotating`), so the set always takes both.
        match DigestSet::new([current.clone(), previous.digest(kind, canonical)]) {
            Ok(Some(both)) => both,
            Ok(None) | Err(_) => DigestSet::single(current),
        }
    }

    /// The sketches of a folded text: one for each key, current first. All bits are zero for an empty text.
    #[must_use]
    pub fn sketch(&self, kind: SketchKind, folded: &str) -> Vec<Sketch> {
        [Some(&self.current), self.previous.as_ref()].into_iter().flatten().map(|keyed| keyed.sketch(kind, folded)).collect()
    }
}

impl KeyedStates {
    fn new(key: &ProgrammeKey) -> Self {
        let digests = keyed(key.expose());
        Self {
            key_id: *key.id(),
            local_part_sketches: sketching::sub_key_state(&digests, SketchKind::LocalPart),
            name_sketches: sketching::sub_key_state(&digests, SketchKind::Name),
            person_sketches: sketching::sub_key_state(&digests, SketchKind::Person),
            digests,
        }
    }

    fn digest(&self, kind: DigestKind, canonical: &str) -> Digest {
        let value = mac_of(&self.digests, &[kind.name().as_bytes(), &[0], canonical.as_bytes()]);
        Digest { key_id: self.key_id, value }
    }

    fn sketch(&self, kind: SketchKind, folded: &str) -> Sketch {
        let state = match kind {
            SketchKind::LocalPart => &self.local_part_sketches,
            SketchKind::Name => &self.name_sketches,
            SketchKind::Person => &self.person_sketches,
        };
        Sketch { key_id: self.key_id, bits: sketching::bits_of(state, kind, folded) }
    }
}

/// Shows the names of the keys only.
impl fmt::Debug for Digester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let previous = self.previous.as_ref().map(|keyed| &keyed.key_id);
        f.debug_struct("Digester").field("current", &self.current.key_id).field("previous", &previous).finish()
    }
}

/// The state of HMAC-SHA-256 once it has taken the key.
pub(super) fn keyed(key: &[u8]) -> HmacSha256 {
    // INVARIANT: HMAC takes a key of any length, so the default (the empty key) is never used.
    HmacSha256::new_from_slice(key).unwrap_or_else(|_| HmacSha256::new(&hmac::digest::Key::<HmacSha256>::default()))
}

pub(super) fn mac_of(state: &HmacSha256, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = state.clone();
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(id: &str, first: u8) -> ProgrammeKey {
        let bytes: Vec<u8> = (first..first + 32).collect();
        ProgrammeKey::from_bytes(KeyId::new(id).unwrap(), &bytes).unwrap()
    }

    #[test]
    fn the_digest_is_the_hmac_that_the_document_states() {
        // `printf 'email.exact\0jane@example.com' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0001…1f`
        let set = Digester::new(&key("k1", 0)).digest(DigestKind::EmailExact, "jane@example.com");
        let shown: Vec<String> = set.iter().map(|digest| hex::encode(digest.value)).collect();
        assert_eq!(shown, ["7f3b1efe351c8c8fa7abc28edcadf65a7e0e9e40327065a52bf3ad1b5ca881c6"]);
    }

    #[test]
    fn one_text_has_another_digest_for_each_kind() {
        let digester = Digester::new(&key("k1", 0));
        let values: BTreeSet<[u8; 32]> = DigestKind::ALL
            .iter()
            .flat_map(|kind| digester.digest(*kind, "same").iter().map(|d| d.value).collect::<Vec<_>>())
            .collect();
        assert_eq!(values.len(), DigestKind::ALL.len());
    }

    #[test]
    fn two_keys_give_two_digests_and_two_sketches() {
        let both = Digester::rotating(&key("k2", 9), &key("k1", 0)).unwrap();
        let old = Digester::new(&key("k1", 0)).digest(DigestKind::EmailExact, "jane@example.com");
        assert!(both.digest(DigestKind::EmailExact, "jane@example.com").shares_value_with(&old));
        let ids: Vec<String> = both.sketch(SketchKind::Name, "jane").iter().map(|s| s.key_id.as_str().to_owned()).collect();
        assert_eq!(ids, ["k2", "k1"]);
    }

    #[test]
    fn two_keys_of_one_name_are_refused() {
        assert!(Digester::rotating(&key("k1", 9), &key("k1", 0)).is_err());
    }
}
