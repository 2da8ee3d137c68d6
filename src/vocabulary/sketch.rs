//! Sketches: keyed Bloom encodings of a text's bigrams, compared without ever seeing the text.

use std::fmt;

use super::digest::KeyId;

/// Bits of a sketch.
pub const SKETCH_BITS: usize = 1024;
/// Bytes of a sketch.
pub const SKETCH_BYTES: usize = SKETCH_BITS / 8;

/// A keyed Bloom encoding of character bigrams. Shape: 1024 bits.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Sketch {
    /// Which key made it. Sketches under different keys cannot be compared.
    pub key_id: KeyId,
    /// The bits.
    #[serde(with = "serde_bytes")]
    pub bits: [u8; SKETCH_BYTES],
}

impl Sketch {
    /// Sørensen–Dice similarity of the bit sets, in `[0, 1]`.
    ///
    /// Absent when the keys differ or both sketches are empty.
    #[must_use]
    pub fn dice(&self, other: &Self) -> Option<f64> {
        if self.key_id != other.key_id {
            return None;
        }
        let mut common = 0_u32;
        let mut total = 0_u32;
        for (mine, theirs) in words(&self.bits).zip(words(&other.bits)) {
            common += (mine & theirs).count_ones();
            total += mine.count_ones() + theirs.count_ones();
        }
        (total > 0).then(|| f64::from(2 * common) / f64::from(total))
    }
}

fn words(bits: &[u8; SKETCH_BYTES]) -> impl Iterator<Item = u64> {
    bits.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word))
}

/// Says only that there is a sketch: its bits are the caller's secret.
impl fmt::Debug for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sketch(key {:?})", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sketch(key: &str, byte: u8) -> Sketch {
        Sketch { key_id: KeyId::new(key).unwrap(), bits: [byte; SKETCH_BYTES] }
    }

    #[test]
    fn equal_sketches_are_fully_similar_and_disjoint_ones_are_not() {
        assert_eq!(sketch("k", 0x0f).dice(&sketch("k", 0x0f)), Some(1.0));
        assert_eq!(sketch("k", 0x0f).dice(&sketch("k", 0xf0)), Some(0.0));
    }

    #[test]
    fn sketches_of_different_keys_or_of_nothing_have_no_similarity() {
        assert_eq!(sketch("k", 1).dice(&sketch("l", 1)), None);
        assert_eq!(sketch("k", 0).dice(&sketch("k", 0)), None);
    }
}
