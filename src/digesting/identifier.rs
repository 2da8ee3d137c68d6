//! Opaque identifiers: device fingerprints, browser ids, payment fingerprints. Somebody else made them; only their ends are cleaned.

use super::placeholders::is_placeholder_identifier;
use super::text::trim_pasted;

/// The longest identifier, in bytes. Judgement: a cookie value has at most 4 KiB, a fingerprint far less.
const IDENTIFIER_BYTES_MAX: usize = 1024;

/// An identifier as its maker wrote it, but for white space at the ends. Case matters.
#[derive(Clone, PartialEq, Eq)]
pub struct OpaqueIdentifier(String);

/// The text is not an identifier. No variant shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum InvalidIdentifier {
    /// Nothing but white space.
    #[error("the identifier is empty")]
    Empty,
    /// More than 1024 bytes.
    #[error("the identifier is longer than {IDENTIFIER_BYTES_MAX} bytes; send a hash of it")]
    TooLong,
    /// A line break or another control character.
    #[error("the identifier holds a control character")]
    ControlCharacter,
    /// `N/A`, `null`, zeros, the hash of nothing.
    #[error("is a placeholder (such as `n/a`, `null` or zeros), not a value; leave it empty")]
    Placeholder,
}

impl OpaqueIdentifier {
    /// Takes an identifier.
    ///
    /// # Errors
    /// [`InvalidIdentifier`]: send the bundle without it.
    pub fn parse(typed: &str) -> Result<Self, InvalidIdentifier> {
        let typed = trim_pasted(typed);
        if typed.is_empty() {
            Err(InvalidIdentifier::Empty)
        } else if typed.len() > IDENTIFIER_BYTES_MAX {
            Err(InvalidIdentifier::TooLong)
        } else if typed.contains(char::is_control) {
            Err(InvalidIdentifier::ControlCharacter)
        } else if is_placeholder_identifier(typed) {
            Err(InvalidIdentifier::Placeholder)
        } else {
            Ok(Self(typed.to_owned()))
        }
    }

    /// The identifier.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.0
    }
}

/// Shows nothing of the identifier.
impl std::fmt::Debug for OpaqueIdentifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpaqueIdentifier([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ends_are_cleaned() {
        assert_eq!(OpaqueIdentifier::parse(" Ab 1-C\n").unwrap().canonical(), "Ab 1-C");
    }

    #[test]
    fn empty_long_and_broken_identifiers_are_refused() {
        assert_eq!(OpaqueIdentifier::parse(" "), Err(InvalidIdentifier::Empty));
        assert_eq!(OpaqueIdentifier::parse(&"ab".repeat(513)), Err(InvalidIdentifier::TooLong));
        assert_eq!(OpaqueIdentifier::parse("a\nb"), Err(InvalidIdentifier::ControlCharacter));
        assert_eq!(OpaqueIdentifier::parse("00000000-0000-0000-0000-000000000000"), Err(InvalidIdentifier::Placeholder));
    }
}
