//! Access tokens: short-lived, made from a token that lasts, and checked without a look at the disk. What one says is sealed with a key of the ledger, so
//! that every process takes it; whether the token that it was made from still lets anybody in is asked with every call, so that revoking that one, or
//! removing its identity, ends both.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::book::directory::LedgerKey;
use crate::vocabulary::ids::TokenId;
use crate::vocabulary::time::{Span, Timestamp};

/// How every access token begins: secret scanners know it by this, and it is not taken for one that lasts.
pub(in crate::service) const PREFIX: &str = "selfsame_at_";
/// How far the clocks of two processes may be apart: so much longer is a token taken, and so much earlier.
pub(in crate::service) const CLOCK_SKEW: Span = Span::from_seconds(30);
/// Bytes of the seal.
const SEAL_BYTES: usize = 32;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) struct AccessToken {
    /// The token that it was made from.
    pub(in crate::service) of: TokenId,
    /// When it was made.
    pub(in crate::service) made_at: Timestamp,
    /// When it ends.
    pub(in crate::service) expires_at: Timestamp,
}

fn seal(key: &LedgerKey, said: &[u8]) -> blake3::Hash {
    blake3::keyed_hash(&blake3::derive_key("selfsame 2026-11 access tokens", &key.0), said)
}

impl AccessToken {
    /// Its text.
    pub(in crate::service) fn sealed(&self, key: &LedgerKey) -> String {
        let Self { of, made_at, expires_at } = self;
        let times = [made_at, expires_at].map(|at| at.as_millis().to_be_bytes()).concat();
        let said = [&times, of.as_str().as_bytes()].concat();
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode([seal(key, &said).as_bytes(), said.as_slice()].concat()))
    }

    /// What a text says, if this ledger said it and it is in force; `None` for every other.
    pub(in crate::service) fn open(text: &[u8], key: &LedgerKey, now: Timestamp) -> Option<Self> {
        let token = Self::read(text, key)?;
        let in_force = token.made_at <= now.plus(CLOCK_SKEW) && now < token.expires_at.plus(CLOCK_SKEW);
        in_force.then_some(token)
    }

    /// What a text says, if this ledger said it, in force or not.
    pub(super) fn read(text: &[u8], key: &LedgerKey) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX.as_bytes())?).ok()?;
        let (sealed, said) = bytes.split_first_chunk::<SEAL_BYTES>()?;
        // Compared in constant time.
        if seal(key, said) != blake3::Hash::from_bytes(*sealed) {
            return None;
        }
        let (times, of) = said.split_first_chunk::<16>()?;
        let (made, ends) = times.split_first_chunk::<8>()?;
        let instant = |bytes: &[u8]| Timestamp::from_millis(i64::from_be_bytes(bytes.try_into().ok()?)).ok();
        let (made_at, expires_at) = (instant(made)?, instant(ends)?);
        let of = TokenId::new(std::str::from_utf8(of).ok()?).ok()?;
        Some(Self { of, made_at, expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_token_is_taken_in_its_time_by_its_ledger_and_no_other_text_is() {
        let at = |seconds: i64| Timestamp::saturating_from_millis((1_790_000_000 + seconds) * 1_000);
        let (key, other) = (LedgerKey([1; 32]), LedgerKey([2; 32]));
        let token = AccessToken { of: TokenId::new("tk-1").unwrap(), made_at: at(0), expires_at: at(900) };
        let text = token.sealed(&key);
        let open = |text: &str, key, seconds| AccessToken::open(text.as_bytes(), key, at(seconds));
        for (seconds, taken) in [(-31, false), (-30, true), (0, true), (900, true), (929, true), (930, false)] {
            assert_eq!(open(&text, &key, seconds).is_some(), taken, "{seconds} s");
        }
        assert_eq!(open(&text, &key, 1), Some(token));
        assert_eq!(open(&text, &other, 1), None);
        let mut bytes = URL_SAFE_NO_PAD.decode(&text[PREFIX.len()..]).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(open(&format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(&bytes)), &key, 1), None, "byte {at}");
            bytes[at] ^= 1;
        }
        for text in ["", "selfsame_at_", "selfsame_at_AAAA", "selfsame_AAAA"] {
            assert_eq!(open(text, &key, 1), None, "{text}");
        }
    }
}
