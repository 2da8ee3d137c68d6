//! Signatures of the standard: `v1`, HMAC-SHA256 over id, time and body; one for each secret, so that secrets are exchanged without a gap.
//! It must never show a secret.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::RngCore as _;
use secrecy::{ExposeSecret as _, SecretSlice};
use sha2::Sha256;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// The bytes of a secret, as the standard has them.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Secrets of one receiver at a time.
const SECRETS_MAX: usize = 10;

/// Why secrets cannot be used. None shows a secret.
#[derive(Debug, thiserror::Error)]
pub enum NotASecret {
    /// The file cannot be read.
    #[error("the secrets in `{}` cannot be read: {cause}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// A line is none.
    #[error("line {line} of `{}` is no secret: it must be `whsec_` and 24 to 64 bytes in base64; `selfsame relay secret` makes one", file.display())]
    Line {
        /// Which file.
        file: PathBuf,
        /// Which line, from 1.
        line: usize,
    },
    /// There is none, or too many.
    #[error("`{}` holds {count} secrets; it takes 1 to {SECRETS_MAX}, one a line", file.display())]
    Count {
        /// Which file.
        file: PathBuf,
        /// How many.
        count: usize,
    },
}

/// The key that a secret of the standard is.
#[must_use]
pub fn signing_secret(text: &str) -> Option<SecretSlice<u8>> {
    let bytes = STANDARD.decode(text.trim().strip_prefix(PREFIX)?).ok()?;
    BYTES.contains(&bytes.len()).then(|| bytes.into())
}

/// A new secret, of 32 random bytes.
#[must_use]
pub fn new_secret() -> String {
    let mut bytes = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut bytes);
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

/// The header `webhook-signature` of a message: `v1,…` for each secret, in their order.
#[must_use]
pub fn signature(secrets: &[SecretSlice<u8>], id: &str, at_seconds: i64, body: &str) -> String {
    let one = |secret: &SecretSlice<u8>| {
        // HMAC takes a key of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret()).ok()?;
        mac.update(format!("{id}.{at_seconds}.").as_bytes());
        mac.update(body.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    secrets.iter().filter_map(one).collect::<Vec<_>>().join(" ")
}

/// The secrets of a receiver, as fresh as their file.
pub(super) struct Secrets {
    file: PathBuf,
    text: String,
    held: Vec<SecretSlice<u8>>,
}

impl Secrets {
    /// Reads the file.
    ///
    /// # Errors
    /// [`NotASecret`].
    pub(super) fn open(file: PathBuf) -> Result<Self, NotASecret> {
        let mut secrets = Self { file, text: String::new(), held: Vec::new() };
        secrets.read()?;
        Ok(secrets)
    }

    /// The secrets in force. What cannot be read now changes nothing, and is told once.
    pub(super) fn in_force(&mut self) -> &[SecretSlice<u8>] {
        if let Err(problem) = self.read() {
            tracing::warn!(%problem, "the secrets stay as they were");
        }
        &self.held
    }

    fn read(&mut self) -> Result<(), NotASecret> {
        let file = || self.file.clone();
        let text = std::fs::read_to_string(&self.file).map_err(|cause| NotASecret::Unreadable { file: file(), cause })?;
        if text == self.text {
            return Ok(());
        }
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        let lines = lines.filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let read: Result<Vec<_>, NotASecret> =
            lines.map(|(at, line)| signing_secret(line).ok_or_else(|| NotASecret::Line { file: file(), line: at + 1 })).collect();
        // Looked at: the same text is not refused again with every message.
        let read = match read {
            Ok(held) if (1..=SECRETS_MAX).contains(&held.len()) => Ok(held),
            Ok(held) => Err(NotASecret::Count { file: file(), count: held.len() }),
            Err(problem) => Err(problem),
        };
        self.text = text;
        self.held = read?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the standard's own libraries.
    #[test]
    fn the_signature_is_the_standards() {
        let secret = signing_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = signature(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs_and_a_changed_file_is_taken_unless_it_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let (first, second) = (new_secret(), new_secret());
        std::fs::write(&file, format!("# of October\n{first}\n")).unwrap();
        let mut secrets = Secrets::open(file.clone()).unwrap();
        assert_eq!(secrets.in_force().len(), 1);
        std::fs::write(&file, format!("{second}\n{first}\n")).unwrap();
        let signed = signature(secrets.in_force(), "a", 1, "{}");
        assert_eq!(signed.split(' ').count(), 2);
        assert!(signed.ends_with(&signature(&[signing_secret(&first).unwrap()], "a", 1, "{}")));
        std::fs::write(&file, "whsec_dG9vc2hvcnQ=\n").unwrap();
        assert_eq!(secrets.in_force().len(), 2);
    }

    #[test]
    fn what_is_no_secret_is_told_with_its_line_and_without_itself() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        let refused = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Secrets::open(file.clone()).err().unwrap().to_string()
        };
        let said = refused(&format!("{}\nwhsec_c2hvcnQ=\n", new_secret()));
        assert!(said.contains("line 2 of") && !said.contains("c2hvcnQ"), "{said}");
        assert!(refused("\n").contains("holds 0 secrets"));
        assert!(signing_secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_none());
    }
}
