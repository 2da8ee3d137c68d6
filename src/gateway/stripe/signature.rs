//! Stripe's signature of a webhook: `t=SECONDS,v1=HEX` over `SECONDS.BODY` by HMAC-SHA-256, under any of several secrets, within a tolerance.

use secrecy::{ExposeSecret as _, SecretString};

use crate::digesting::{authentication_code, is_same_secret};
use crate::vocabulary::time::{Span, Timestamp};

/// How far the time of a signature may be from now, in both directions. Stripe's own libraries take as much.
pub const TOLERANCE: Span = Span::from_minutes(5);

/// Why a signature is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    /// The header is not there, or holds no time or no signature of this scheme.
    #[error("the header `Stripe-Signature` is required, with `t=` and `v1=`")]
    Missing,
    /// It was made under none of the secrets, or over another body.
    #[error(
        "the signature is of none of the secrets, or of another body: is the endpoint's signing secret in `stripe_secrets_file`?"
    )]
    Wrong,
    /// It was made too long ago, or in the future.
    #[error("the signature is {0} from now by this server's clock; at most {TOLERANCE} are taken")]
    OutOfTime(Span),
}

/// Checks the header of a body.
///
/// # Errors
/// [`BadSignature`].
pub fn verify(header: Option<&str>, body: &[u8], secrets: &[SecretString], now: Timestamp) -> Result<(), BadSignature> {
    let parts: Vec<(&str, &str)> = header.unwrap_or_default().split(',').filter_map(|part| part.trim().split_once('=')).collect();
    let seconds = parts.iter().find(|(name, _)| *name == "t").map(|(_, value)| *value).ok_or(BadSignature::Missing)?;
    let signatures: Vec<&str> = parts.iter().filter(|(name, _)| *name == "v1").map(|(_, value)| *value).collect();
    let at = seconds.parse::<i64>().ok().and_then(|at| Timestamp::from_millis(at.saturating_mul(1_000)).ok());
    let (Some(at), false) = (at, signatures.is_empty()) else { return Err(BadSignature::Missing) };
    let mut matches = false;
    for secret in secrets {
        let expected = authentication_code(secret.expose_secret().as_bytes(), &[seconds.as_bytes(), b".", body]);
        let expected = hex::encode(expected);
        // All are compared, so that the time tells nothing of which one fits.
        for signature in &signatures {
            matches |= is_same_secret(signature.as_bytes(), expected.as_bytes());
        }
    }
    if !matches {
        return Err(BadSignature::Wrong);
    }
    let apart = now.since(at).abs();
    if apart > TOLERANCE { Err(BadSignature::OutOfTime(apart)) } else { Ok(()) }
}

/// The header that Stripe would send, for tests and trials.
#[must_use]
pub fn header(body: &[u8], secret: &str, now: Timestamp) -> String {
    let seconds = (now.as_millis() / 1_000).to_string();
    let code = authentication_code(secret.as_bytes(), &[seconds.as_bytes(), b".", body]);
    format!("t={seconds},v1={}", hex::encode(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[&str]) -> Vec<SecretString> {
        all.iter().map(|secret| SecretString::from((*secret).to_owned())).collect()
    }

    #[test]
    fn a_signature_that_python_made_is_taken_and_no_other_is() {
        // python3 -c 'import hmac;print(hmac.new(b"whsec_test",b"1790000000."+b"{\"id\":\"evt_1\"}","sha256").hexdigest())'
        let body = br#"{"id":"evt_1"}"#;
        let now = Timestamp::saturating_from_millis(1_790_000_000_000);
        let made = "e32657f3e678d33b41ec084c16ac0e125d25480a06cb3902286dc5942c6fd259";
        let sent = format!("t=1790000000,v1={made},v0=ignored");
        let check = |header: &str, body: &[u8], known: &[&str], now| verify(Some(header), body, &secrets(known), now);
        assert_eq!(check(&sent, body, &["whsec_test"], now), Ok(()));
        assert_eq!(check(&sent, body, &["whsec_other", "whsec_test"], now), Ok(()), "any of several secrets");
        assert_eq!(header(body, "whsec_test", now), format!("t=1790000000,v1={made}"));
        assert_eq!(check(&sent, body, &["whsec_other"], now), Err(BadSignature::Wrong));
        assert_eq!(check(&sent, b"{}", &["whsec_test"], now), Err(BadSignature::Wrong));
        assert_eq!(check(&sent, body, &[], now), Err(BadSignature::Wrong));
        assert_eq!(check(&sent.replace("t=1790000000", "t=1790000001"), body, &["whsec_test"], now), Err(BadSignature::Wrong));
        let two = format!("t=1790000000,v1={},v1={made}", "0".repeat(64));
        assert_eq!(check(&two, body, &["whsec_test"], now), Ok(()), "while a secret is rolled, there are two signatures");
        for (seconds, taken) in [(300, true), (301, false), (-300, true), (-301, false)] {
            let at = now.plus(Span::from_seconds(seconds));
            assert_eq!(check(&sent, body, &["whsec_test"], at).is_ok(), taken, "{seconds}");
        }
    }

    #[test]
    fn a_header_without_a_time_or_a_signature_is_missing() {
        let now = Timestamp::saturating_from_millis(1_790_000_000_000);
        for header in [None, Some(""), Some("t=1790000000"), Some("v1=00"), Some("t=soon,v1=00"), Some("t=1790000000,v0=00")] {
            assert_eq!(verify(header, b"{}", &secrets(&["whsec"]), now), Err(BadSignature::Missing), "{header:?}");
        }
    }
}
