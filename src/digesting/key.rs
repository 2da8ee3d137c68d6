//! The programme key: the secret under which a programme's values become digests. Never printed, wiped when dropped.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretSlice};

use crate::vocabulary::digest::KeyId;

/// The shortest key, in bytes: the output length of SHA-256 (RFC 2104, section 3).
pub const PROGRAMME_KEY_BYTES_MIN: usize = 32;

/// Fewer distinct bytes than this in a key mean a placeholder, not a secret. Judgement: 32 random bytes have 30 on average.
const DISTINCT_BYTES_MIN: usize = 8;

/// A secret of at least [`PROGRAMME_KEY_BYTES_MIN`] bytes with its name.
///
/// Whoever holds it can tell which e-mail address is behind a digest by trying addresses. Keep it in a secret store.
pub struct ProgrammeKey {
    id: KeyId,
    secret: SecretSlice<u8>,
}

/// The key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProgrammeKey {
    /// Nothing but white space.
    #[error("the programme key is empty; make one with `selfsame digest --generate-key`")]
    Empty,
    /// Too few bytes once decoded.
    #[error("the programme key has {0} bytes; it needs at least {PROGRAMME_KEY_BYTES_MIN}")]
    TooShort(usize),
    /// Looks like hexadecimal, but has an odd number of digits.
    #[error("the programme key has an odd number of hexadecimal digits; one is missing")]
    OddHex,
    /// Neither hexadecimal nor base64.
    #[error("the programme key is neither hexadecimal nor base64; write `raw:` before it to use the text as it stands")]
    UnknownEncoding,
    /// Almost no variety.
    #[error("the programme key repeats a few bytes; make a random one with `selfsame digest --generate-key`")]
    Placeholder,
}

impl ProgrammeKey {
    /// Takes the bytes as the key.
    ///
    /// # Errors
    /// [`InvalidProgrammeKey::TooShort`] and [`InvalidProgrammeKey::Placeholder`]: use a random key.
    pub fn from_bytes(id: KeyId, bytes: &[u8]) -> Result<Self, InvalidProgrammeKey> {
        if bytes.len() < PROGRAMME_KEY_BYTES_MIN {
            return Err(InvalidProgrammeKey::TooShort(bytes.len()));
        }
        let mut distinct = Zeroizing::new(bytes.to_vec());
        distinct.sort_unstable();
        distinct.dedup();
        if distinct.len() < DISTINCT_BYTES_MIN {
            return Err(InvalidProgrammeKey::Placeholder);
        }
        Ok(Self { id, secret: SecretSlice::from(bytes.to_vec()) })
    }

    /// Reads a key written as text: hexadecimal, base64 (standard or URL alphabet), or `hex:`, `base64:`, `raw:` and the key.
    ///
    /// White space around it and a byte order mark before it are dropped. Without a prefix, text of hexadecimal digits only is hexadecimal.
    ///
    /// # Errors
    /// Any [`InvalidProgrammeKey`]; none shows the text.
    pub fn from_text(id: KeyId, text: &str) -> Result<Self, InvalidProgrammeKey> {
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            return Err(InvalidProgrammeKey::Empty);
        }
        let bytes = if let Some(raw) = text.strip_prefix("raw:") {
            Zeroizing::new(raw.as_bytes().to_vec())
        } else if let Some(digits) = text.strip_prefix("hex:") {
            from_hex(digits)?
        } else if let Some(encoded) = text.strip_prefix("base64:") {
            from_base64(encoded)?
        } else if text.bytes().all(|b| b.is_ascii_hexdigit()) {
            from_hex(text)?
        } else {
            from_base64(text)?
        };
        Self::from_bytes(id, &bytes)
    }

    /// Reads the content of a key file: text as in [`ProgrammeKey::from_text`], or else the bytes themselves.
    ///
    /// # Errors
    /// Any [`InvalidProgrammeKey`]; none shows the content.
    pub fn from_file_content(id: KeyId, content: &[u8]) -> Result<Self, InvalidProgrammeKey> {
        match std::str::from_utf8(content) {
            Ok(text) => Self::from_text(id, text),
            Err(_) => Self::from_bytes(id, content),
        }
    }

    /// The name of the key, as it is sent with each digest.
    #[must_use]
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.secret.expose_secret()
    }
}

fn from_hex(digits: &str) -> Result<Zeroizing<Vec<u8>>, InvalidProgrammeKey> {
    if digits.len() % 2 == 1 {
        return Err(InvalidProgrammeKey::OddHex);
    }
    hex::decode(digits).map(Zeroizing::new).map_err(|_| InvalidProgrammeKey::UnknownEncoding)
}

fn from_base64(encoded: &str) -> Result<Zeroizing<Vec<u8>>, InvalidProgrammeKey> {
    let encoded = encoded.trim_end_matches('=');
    STANDARD_NO_PAD
        .decode(encoded)
        .or_else(|_| URL_SAFE_NO_PAD.decode(encoded))
        .map(Zeroizing::new)
        .map_err(|_| InvalidProgrammeKey::UnknownEncoding)
}

/// Shows the name only.
impl fmt::Debug for ProgrammeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProgrammeKey").field("id", &self.id).field("secret", &"[redacted]").finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    fn id() -> KeyId {
        KeyId::new("k1").unwrap()
    }

    #[test]
    fn hex_base64_and_bytes_of_one_key_are_one_key() {
        let bytes: Vec<u8> = (0..32).collect();
        let standard = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        for text in [
            HEX,
            standard,
            "hex:000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F",
            &format!("  base64:{standard}\n"),
        ] {
            let key = ProgrammeKey::from_file_content(id(), text.as_bytes()).unwrap();
            assert_eq!(key.expose(), bytes, "{text}");
        }
    }

    #[test]
    fn a_binary_file_is_the_key_itself() {
        let bytes: Vec<u8> = (0..32).map(|i| 0xff - i).collect();
        assert_eq!(ProgrammeKey::from_file_content(id(), &bytes).unwrap().expose(), bytes);
    }

    #[test]
    fn weak_or_mistyped_keys_are_refused_with_the_reason() {
        let refusal = |text: &str| ProgrammeKey::from_text(id(), text).unwrap_err();
        assert_eq!(refusal(" \n"), InvalidProgrammeKey::Empty);
        assert_eq!(refusal(&HEX[..62]), InvalidProgrammeKey::TooShort(31));
        assert_eq!(refusal(&HEX[..63]), InvalidProgrammeKey::OddHex);
        assert_eq!(refusal(&"0".repeat(64)), InvalidProgrammeKey::Placeholder);
        assert_eq!(refusal("correct horse battery staple, and more"), InvalidProgrammeKey::UnknownEncoding);
        assert!(ProgrammeKey::from_text(id(), "raw:correct horse battery staple, and more").is_ok());
    }

    #[test]
    fn debug_output_never_shows_the_secret() {
        let shown = format!("{:?}", ProgrammeKey::from_text(id(), HEX).unwrap());
        assert!(shown.contains("k1") && shown.contains("redacted") && !shown.contains("0001"), "{shown}");
    }
}
