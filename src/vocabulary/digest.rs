//! Keyed digests: what Selfsame sees instead of a value.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The longest name of a key, in bytes.
const KEY_ID_BYTES_MAX: usize = 32;

/// The name of a programme key. Digests under different keys never compare equal.
///
/// Shape: 1 to 32 characters of `a-z 0-9 . _ -`. Kept in place, filled up with zeros: every digest carries one, and a conversion has dozens
/// of digests, so a name that is shared by counting costs an atomic operation, or an allocation, for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct KeyId {
    name: [u8; KEY_ID_BYTES_MAX],
    bytes: u8,
}

/// The text is not the name of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key id is 1 to 32 characters of `a-z`, `0-9`, `.`, `_` and `-`")]
pub struct InvalidKeyId;

impl KeyId {
    /// Takes the text as the name of a key.
    ///
    /// # Errors
    /// [`InvalidKeyId`] when the shape is wrong.
    pub fn new(text: &str) -> Result<Self, InvalidKeyId> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
        if text.is_empty() || !text.bytes().all(allowed) {
            return Err(InvalidKeyId);
        }
        let mut name = [0; KEY_ID_BYTES_MAX];
        name.get_mut(..text.len()).ok_or(InvalidKeyId)?.copy_from_slice(text.as_bytes());
        let bytes = u8::try_from(text.len()).map_err(|_| InvalidKeyId)?;
        Ok(Self { name, bytes })
    }

    /// The name as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.name.get(..usize::from(self.bytes)).unwrap_or_default()
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // INVARIANT: `new` lets nothing but ASCII in.
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `HMAC-SHA-256(programme key, kind ‖ 0x00 ‖ canonical value)`: 32 bytes, with the name of the key.
///
/// Equality is of key and bytes. The kind is inside the digest, so digests of different kinds never collide.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Digest {
    /// The 32 bytes.
    pub value: [u8; 32],
    /// Which key made them.
    pub key_id: KeyId,
}

/// By bytes, then by key. Digests are sorted for every conversion, and nearly always the first eight bytes tell.
impl Ord for Digest {
    fn cmp(&self, other: &Self) -> Ordering {
        let first = |digest: &Self| digest.value.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        first(self).cmp(&first(other)).then_with(|| (&self.value, &self.key_id).cmp(&(&other.value, &other.key_id)))
    }
}

impl PartialOrd for Digest {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The bytes alone: equal bytes under two keys are as rare as a broken HMAC.
impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// Eight hexadecimal characters: enough to recognise a value on a screen, too few to look it up elsewhere.
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.value;
        write!(f, "{a:02x}{b:02x}{c:02x}{d:02x}")
    }
}

/// One value under each key that is in force: one digest, or two while keys rotate. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct DigestSet(smallvec::SmallVec<[Digest; 1]>);

/// Why digests do not make a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigestSet {
    /// More digests than keys can be in force.
    #[error("holds {0} digests; send one for each key in force, at most {DIGESTS_PER_VALUE_MAX}")]
    TooMany(usize),
    /// Two digests under one key would be two values.
    #[error("holds two digests of one key; send one value for each entry")]
    SameKeyTwice,
}

/// How many keys can be in force at once: the current one, and the previous one during a rotation.
pub const DIGESTS_PER_VALUE_MAX: usize = 2;

impl DigestSet {
    /// The digests of one value; `None` when there are none, which means that the value is absent.
    ///
    /// # Errors
    /// [`InvalidDigestSet`] for more than two, or two of one key.
    pub fn new(digests: impl IntoIterator<Item = Digest>) -> Result<Option<Self>, InvalidDigestSet> {
        let mut set: smallvec::SmallVec<[Digest; 1]> = digests.into_iter().collect();
        if set.len() > DIGESTS_PER_VALUE_MAX {
            return Err(InvalidDigestSet::TooMany(set.len()));
        }
        set.sort_unstable_by_key(|digest| digest.key_id);
        if set.windows(2).any(|pair| matches!(pair, [a, b] if a.key_id == b.key_id)) {
            return Err(InvalidDigestSet::SameKeyTwice);
        }
        Ok(if set.is_empty() { None } else { Some(Self(set)) })
    }

    /// A value under one key.
    #[must_use]
    pub fn single(digest: Digest) -> Self {
        Self(smallvec::smallvec![digest])
    }

    /// The digests, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter()
    }

    /// Whether both sets hold one digest of the same key and bytes.
    #[must_use]
    pub fn shares_value_with(&self, other: &Self) -> bool {
        self.0.iter().any(|digest| other.0.contains(digest))
    }

    /// Whether both sets were made under at least one common key, so that a difference means something.
    #[must_use]
    pub fn is_comparable_with(&self, other: &Self) -> bool {
        self.0.iter().any(|digest| other.0.iter().any(|theirs| theirs.key_id == digest.key_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(key: &str, byte: u8) -> Digest {
        Digest { value: [byte; 32], key_id: KeyId::new(key).unwrap() }
    }

    #[test]
    fn equal_bytes_under_different_keys_are_different_values() {
        let old = DigestSet::single(digest("k1", 7));
        let new = DigestSet::single(digest("k2", 7));
        assert!(!old.shares_value_with(&new));
        assert!(!old.is_comparable_with(&new));
    }

    #[test]
    fn a_rotation_period_sends_both_and_still_matches() {
        let both = DigestSet::new([digest("k2", 9), digest("k1", 7)]).unwrap().unwrap();
        assert!(both.shares_value_with(&DigestSet::single(digest("k1", 7))));
    }

    #[test]
    fn the_name_of_a_key_comes_back_and_its_limits_hold() {
        let longest = "a".repeat(32);
        for name in ["k", "k-1._", longest.as_str()] {
            assert_eq!(KeyId::new(name).unwrap().as_str(), name);
        }
        for name in ["", "K1", "k 1", &"a".repeat(33)] {
            assert_eq!(KeyId::new(name), Err(InvalidKeyId), "{name}");
        }
        assert!(KeyId::new("k1").unwrap() < KeyId::new("k10").unwrap());
    }

    #[test]
    fn digests_are_ordered_by_all_their_bytes_and_then_by_key() {
        let with = |key, at: usize| {
            let mut ordered = digest(key, 7);
            ordered.value[at] = 8;
            ordered
        };
        let ordered = [digest("k1", 7), digest("k2", 7), with("k1", 31), with("k1", 8), with("k1", 7), with("k1", 0)];
        assert!(ordered.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn no_digests_mean_that_the_value_is_absent() {
        assert_eq!(DigestSet::new([]), Ok(None));
    }

    #[test]
    fn debug_output_does_not_hold_the_whole_digest() {
        assert_eq!(format!("{:?}", digest("k1", 0xab)), "abababab");
    }
}
