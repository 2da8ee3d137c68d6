//! HMAC-SHA-256 as senders sign their webhooks with it, and the comparison that tells nothing by its time.

use subtle::ConstantTimeEq as _;

use super::digester::{keyed, mac_of};

/// The authentication code of a message in parts under a secret.
#[must_use]
pub fn authentication_code(secret: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    mac_of(&keyed(secret), parts)
}

/// Whether two texts are one, in a time that depends on their lengths alone.
#[must_use]
pub fn is_same_secret(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}
