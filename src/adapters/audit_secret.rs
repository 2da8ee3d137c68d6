//! The secret of the audit sample, where the configuration gives one.
//!
//! It must never print the secret. `serve` calls it.

use std::io;
use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use super::byte_order_mark;
use super::config::AuditConfig;
use crate::screening::audit::AuditKey;

/// The least length of a secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;
/// Separates this use of a secret from every other.
const CONTEXT: &str = "selfsame 2026-11 audit sample of automatic rejections";

/// Why there is no audit key.
#[derive(Debug, thiserror::Error)]
pub enum AuditSecretError {
    /// The secret is guessable.
    #[error("the audit key from {origin} has {bytes} bytes; at least {SECRET_BYTES_MIN} are needed")]
    TooShort {
        /// Where it was set.
        origin: String,
        /// How long it is.
        bytes: usize,
    },
    /// The file cannot be read.
    #[error("the audit key file `{}` cannot be used: {cause}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// The audit key of the configuration, or of its file; absent where neither is set: then each programme has one of its own in its ledger.
///
/// # Errors
/// [`AuditSecretError`]; the operator gives a longer secret or makes the file usable.
pub fn audit_key(config: &AuditConfig) -> Result<Option<AuditKey>, AuditSecretError> {
    if let Some(secret) = &config.key {
        return derived(secret, "`audit.key`".to_owned()).map(Some);
    }
    let Some(path) = &config.key_file else { return Ok(None) };
    let unusable = |cause| AuditSecretError::File { path: path.clone(), cause };
    let text = byte_order_mark::read_to_string(path).map_err(unusable)?;
    derived(&SecretString::from(text.trim()), format!("`{}`", path.display())).map(Some)
}

fn derived(secret: &SecretString, origin: String) -> Result<AuditKey, AuditSecretError> {
    let bytes = secret.expose_secret().as_bytes();
    if bytes.len() < SECRET_BYTES_MIN {
        return Err(AuditSecretError::TooShort { origin, bytes: bytes.len() });
    }
    Ok(AuditKey::new(blake3::derive_key(CONTEXT, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::screening::decision::AuditSample;
    use crate::vocabulary::ids::{ConversionId, ProgramId};

    fn sample(key: &AuditKey) -> Vec<bool> {
        let program = ProgramId::new("p").unwrap();
        let of = |n: u32| key.sample(&program, &ConversionId::new(&format!("c{n}")).unwrap(), 0.5);
        (0..64).map(|n| of(n) == AuditSample::Sampled).collect()
    }

    #[test]
    fn a_secret_in_a_file_is_the_one_in_the_configuration_and_without_either_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, path) = ("a secret of the test, more than 32 characters", folder.path().join("k"));
        std::fs::write(&path, format!("{secret}\n")).unwrap();
        let of_file = audit_key(&AuditConfig { key: None, key_file: Some(path) }).unwrap().unwrap();
        let of_key = audit_key(&AuditConfig { key: Some(SecretString::from(secret)), key_file: None }).unwrap().unwrap();
        assert_eq!(sample(&of_file), sample(&of_key));
        assert!(audit_key(&AuditConfig::default()).unwrap().is_none());
    }

    #[test]
    fn a_short_secret_is_refused_and_not_shown() {
        let config = AuditConfig { key: Some(SecretString::from("hunter2")), key_file: None };
        let error = audit_key(&config).unwrap_err().to_string();
        assert!(error.contains("7 bytes") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_named_file_that_is_missing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let config = AuditConfig { key: None, key_file: Some(folder.path().join("k")) };
        assert!(matches!(audit_key(&config), Err(AuditSecretError::File { .. })));
    }
}
