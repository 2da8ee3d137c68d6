//! The audit sample: a keyed-hash share of the model's would-be auto-rejects goes to review, so that its error can be measured without bias.
//!
//! Keyed, so that nobody outside can tell which conversion is sampled; a hash, so that a retry and a replay give the same answer.

use super::decision::AuditSample;
use crate::vocabulary::ids::{ConversionId, ProgramId};

/// The key of the audit sample. Kept in the programme's ledger, or with the server's secrets.
#[derive(Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct AuditKey([u8; 32]);

impl AuditKey {
    /// A key of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for whoever keeps it.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether a conversion falls into the sample. `share`: 0 to 1.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "53 bits of a hash are taken, which an f64 holds exactly")]
    pub fn sample(&self, program: &ProgramId, conversion: &ConversionId, share: f64) -> AuditSample {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(program.as_str().as_bytes()).update(&[0]).update(conversion.as_str().as_bytes());
        let mut first_bytes = [0; 8];
        hasher.finalize_xof().fill(&mut first_bytes);
        let drawn = (u64::from_le_bytes(first_bytes) >> 11) as f64 / (1_u64 << 53) as f64;
        if drawn < share { AuditSample::Sampled } else { AuditSample::NotSampled }
    }
}

/// Shows nothing: it is a secret.
impl std::fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_sampled_conversions_is_the_share_asked_for() {
        let key = AuditKey::new([7; 32]);
        let program = ProgramId::new("p").unwrap();
        let sampled = (0..20_000)
            .filter(|n| key.sample(&program, &ConversionId::new(&format!("c{n}")).unwrap(), 0.02) == AuditSample::Sampled)
            .count();
        // 400 expected, standard deviation 20.
        assert!((300..500).contains(&sampled), "{sampled}");
    }

    #[test]
    fn nothing_is_sampled_at_zero_and_everything_at_one() {
        let key = AuditKey::new([7; 32]);
        let (program, conversion) = (ProgramId::new("p").unwrap(), ConversionId::new("c").unwrap());
        assert_eq!(key.sample(&program, &conversion, 0.0), AuditSample::NotSampled);
        assert_eq!(key.sample(&program, &conversion, 1.0), AuditSample::Sampled);
    }
}
