//! Certificates and keys as their files have them: read whole, looked into, and refused with the name of the file and what to do.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::time::Time;

use crate::vocabulary::time::Timestamp;

/// Why TLS cannot be spoken. The operator mends what is named.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("the file `{}` cannot be read: {cause}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// A file holds nothing of what it should.
    #[error("there is no {wanted} in the file `{}`; it takes PEM", path.display())]
    Nothing {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// A file holds something else.
    #[error("the file `{}` cannot be used: {problem}", path.display())]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Key and certificate are no pair, or are of a kind that is not spoken.
    #[error("the key in `{}` and the certificate in `{}` cannot be used together: {problem}", key.display(), certificate.display())]
    Pair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        problem: rustls::Error,
    },
    /// The machine has no list of authorities.
    #[error("this machine trusts no authority; name a file with the CA's certificate")]
    NoAuthority,
    /// What is left.
    #[error("TLS cannot be spoken: {0}")]
    Unusable(String),
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its subject alternative names that name somebody: DNS names in small letters, URIs and e-mail addresses as they stand. Addresses of machines are none.
    pub names: Vec<Box<str>>,
    /// Since when it holds.
    pub not_before: Timestamp,
    /// Until when it holds.
    pub not_after: Timestamp,
}

/// What a certificate says of itself; absent when it cannot be read.
#[must_use]
pub fn facts_of(certificate: &CertificateDer<'_>) -> Option<Facts> {
    let Certificate { tbs_certificate: said, .. } = Certificate::from_der(certificate).ok()?;
    let at = |time: Time| {
        let seconds = i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX);
        Timestamp::saturating_from_millis(seconds.saturating_mul(1_000))
    };
    let names = said.get::<SubjectAltName>().ok()?.map_or_else(Vec::new, |(_, SubjectAltName(names))| names);
    let names = names.iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(name.as_str().to_ascii_lowercase().into_boxed_str()),
        GeneralName::UniformResourceIdentifier(name) | GeneralName::Rfc822Name(name) => Some(name.as_str().into()),
        GeneralName::OtherName(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::IpAddress(_)
        | GeneralName::RegisteredId(_) => None,
    });
    Some(Facts { names: names.collect(), not_before: at(said.validity.not_before), not_after: at(said.validity.not_after) })
}

/// The cryptography that is compiled in.
pub(in crate::adapters) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The bytes of a file.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|cause| TlsError::Unreadable { path: path.to_owned(), cause })
}

/// The certificates of a file, in its order.
pub(super) fn certificates(path: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(content).collect();
    let found = read.map_err(|error| TlsError::Malformed { path: path.to_owned(), problem: error.to_string() })?;
    if found.is_empty() {
        return Err(TlsError::Nothing { path: path.to_owned(), wanted: "certificate" });
    }
    Ok(found)
}

/// The private key of a file.
pub(super) fn private_key(path: &Path, content: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(content).map_err(|error| match error {
        pem::Error::NoItemsFound => TlsError::Nothing { path: path.to_owned(), wanted: "private key without a password" },
        other => TlsError::Malformed { path: path.to_owned(), problem: other.to_string() },
    })
}

/// The authorities of a file, or those that the machine trusts.
///
/// # Errors
/// [`TlsError`]; a file must hold one or more.
pub(in crate::adapters) fn authorities(path: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = path else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(TlsError::NoAuthority) } else { Ok(roots) };
    };
    for certificate in certificates(path, &read(path)?)? {
        let refused = |error: rustls::Error| TlsError::Malformed { path: path.to_owned(), problem: error.to_string() };
        roots.add(certificate).map_err(refused)?;
    }
    Ok(roots)
}

/// Whether everybody on this machine may read a file, not only its owner and a group: a key must not be open like that.
#[must_use]
pub fn is_open_to_everybody(path: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o007 != 0)
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::tls::settings::tests::{Issued, authority, issue};

    #[test]
    fn who_a_certificate_names_and_how_long_it_holds_is_read() {
        let ca = authority();
        let Issued { certificate, .. } =
            issue(&ca, &["Backend.Internal", "spiffe://shop/backend", "ana@shop.example", "10.0.0.7"]);
        let der = certificates(Path::new("c"), certificate.as_bytes()).unwrap();
        let Facts { names, not_before, not_after } = facts_of(&der[0]).unwrap();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        assert_eq!(names, ["backend.internal", "spiffe://shop/backend", "ana@shop.example"]);
        assert!(not_after > not_before);
        assert_eq!(facts_of(&CertificateDer::from(vec![1, 2, 3])), None);
    }

    #[test]
    fn a_file_without_what_is_looked_for_is_named() {
        let refused = certificates(Path::new("/etc/c.pem"), b"nothing").unwrap_err().to_string();
        assert!(refused.contains("no certificate in the file `/etc/c.pem`"), "{refused}");
        let refused = private_key(Path::new("/etc/k.pem"), issue(&authority(), &["a"]).certificate.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("no private key"), "{refused}");
        let refused = authorities(Some(Path::new("/nowhere/ca.pem"))).unwrap_err().to_string();
        assert!(refused.contains("`/nowhere/ca.pem` cannot be read"), "{refused}");
    }
}
