//! The secret of the audit sample: read from the configuration, or made once and kept in the data folder.
//!
//! It must never print the secret, nor make a new one where one is kept: the sample of a conversion would change. `serve` calls it.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rand::RngCore as _;
use rand::rngs::OsRng;
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::NamedTempFile;

use super::byte_order_mark;
use super::config::AuditConfig;
use crate::screening::audit::AuditKey;

/// The least length of a secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;
/// The file in the data folder that keeps a secret that was made.
const KEPT_FILE: &str = "audit.key";
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
    /// The file cannot be read, or the secret not be kept.
    #[error("the audit key file `{}` cannot be used: {cause}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// The audit key: of the configuration, of its file, or of the data folder, where it is made when there is none.
///
/// # Errors
/// [`AuditSecretError`]; the operator gives a longer secret or makes the file usable.
pub fn audit_key(config: &AuditConfig, data_folder: &Path) -> Result<AuditKey, AuditSecretError> {
    if let Some(secret) = &config.key {
        return derived(secret, "`audit.key`".to_owned());
    }
    let path = config.key_file.clone().unwrap_or_else(|| data_folder.join(KEPT_FILE));
    let unusable = |cause| AuditSecretError::File { path: path.clone(), cause };
    match byte_order_mark::read_to_string(&path) {
        Ok(text) => derived(&SecretString::from(text.trim()), format!("`{}`", path.display())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && config.key_file.is_none() => {
            let secret = make(&path).map_err(unusable)?;
            derived(&secret, format!("`{}`", path.display()))
        }
        Err(cause) => Err(unusable(cause)),
    }
}

fn derived(secret: &SecretString, origin: String) -> Result<AuditKey, AuditSecretError> {
    let bytes = secret.expose_secret().as_bytes();
    if bytes.len() < SECRET_BYTES_MIN {
        return Err(AuditSecretError::TooShort { origin, bytes: bytes.len() });
    }
    Ok(AuditKey::new(blake3::derive_key(CONTEXT, bytes)))
}

/// Makes a secret that only its owner reads, and keeps it durably. The file has its name when all of it is there; where another process was quicker
/// its secret is the one that is kept.
fn make(path: &Path) -> io::Result<SecretString> {
    let mut random = [0; SECRET_BYTES_MIN];
    OsRng.fill_bytes(&mut random);
    let secret = SecretString::from(hex::encode(random));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Made for its owner alone.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(secret.expose_secret().as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(refused) if refused.error.kind() == io::ErrorKind::AlreadyExists => {
            return fs::read_to_string(path).map(|text| SecretString::from(text.trim()));
        }
        Err(refused) => return Err(refused.error),
    }
    // The name is durable too: another secret after a power cut would pick another sample.
    #[cfg(unix)]
    fs::File::open(folder)?.sync_all()?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::ids::{ConversionId, ProgramId};

    fn sample(key: &AuditKey) -> Vec<bool> {
        let program = ProgramId::new("p").unwrap();
        let of = |n: u32| key.sample(&program, &ConversionId::new(&format!("c{n}")).unwrap(), 0.5);
        (0..64).map(|n| of(n) == crate::screening::decision::AuditSample::Sampled).collect()
    }

    #[test]
    fn a_secret_is_made_once_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let first = audit_key(&AuditConfig::default(), folder.path()).unwrap();
        let second = audit_key(&AuditConfig::default(), folder.path()).unwrap();
        assert_eq!(sample(&first), sample(&second));
        let kept: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(kept, [KEPT_FILE], "nothing half-written is left beside it");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join(KEPT_FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn of_two_processes_that_make_a_secret_at_once_both_have_the_one_that_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEPT_FILE);
        let first = make(&path).unwrap();
        assert_eq!(make(&path).unwrap().expose_secret(), first.expose_secret());
    }

    #[test]
    fn a_short_secret_is_refused_and_not_shown() {
        let config = AuditConfig { key: Some(SecretString::from("hunter2")), key_file: None };
        let error = audit_key(&config, Path::new(".")).unwrap_err().to_string();
        assert!(error.contains("7 bytes") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_named_file_that_is_missing_is_no_reason_to_make_one() {
        let folder = tempfile::tempdir().unwrap();
        let config = AuditConfig { key: None, key_file: Some(folder.path().join("k")) };
        assert!(audit_key(&config, folder.path()).is_err());
        assert!(!folder.path().join("k").exists());
    }
}
