//! TLS as the configuration has it.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};

use super::client::ClientFiles;
use super::server::{ClientCertificates, ServerFiles};

/// How connections are protected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate of this server, its own first, as PEM. Read again when it changes.
    pub certificate_file: Option<PathBuf>,
    /// The key of it, as PEM, without a password.
    pub key_file: Option<PathBuf>,
    /// The authorities of client certificates; absent: none is asked for.
    pub client_ca_file: Option<PathBuf>,
    /// Whether clients must show a certificate, where their authority is named.
    pub client_certificates: ClientCertificates,
    /// Whether plaintext is spoken beyond this machine.
    pub plaintext: bool,
    /// How replicas speak to each other.
    pub replicas: ReplicaTlsConfig,
}

/// How this replica speaks to the others. It shows them its own certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplicaTlsConfig {
    /// The authorities of the other replicas' certificates; absent: those that the machine trusts.
    pub ca_file: Option<PathBuf>,
    /// The name that their certificates have; absent: the host of their address.
    pub name: Option<String>,
}

impl TlsConfig {
    /// The files of the server; absent where plaintext is spoken.
    #[must_use]
    pub fn server_files(&self) -> Option<ServerFiles> {
        let (Some(certificate), Some(key)) = (&self.certificate_file, &self.key_file) else { return None };
        Some(ServerFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca: self.client_ca_file.clone(),
            clients: self.client_certificates,
        })
    }

    /// With which files it calls other replicas; absent where plaintext is spoken.
    #[must_use]
    pub fn replica_files(&self) -> Option<ClientFiles> {
        let ServerFiles { certificate, key, client_ca, clients: _ } = self.server_files()?;
        // Where none asks for a certificate none is shown: not every authority signs servers as clients.
        let shown = client_ca.map(|_| (certificate, key));
        Some(ClientFiles { ca: self.replicas.ca_file.clone(), certificate: shown })
    }

    /// What is wrong, by key.
    pub(in crate::adapters) fn violations(&self, listen: SocketAddr) -> Vec<(&'static str, String)> {
        let Self { certificate_file, key_file, client_ca_file, client_certificates: _, plaintext, replicas } = self;
        let mut found = Vec::new();
        let mut wrong = |key: &'static str, problem: &str| found.push((key, problem.to_owned()));
        match (certificate_file, key_file) {
            (Some(_), None) => wrong("tls.key_file", "is needed beside `tls.certificate_file`"),
            (None, Some(_)) => wrong("tls.certificate_file", "is needed beside `tls.key_file`"),
            (Some(_), Some(_)) if *plaintext => {
                wrong("tls.plaintext", "is true, and there is a certificate; leave one of the two out");
            }
            (None, None) if !listen.ip().is_loopback() && !plaintext => wrong(
                "tls.certificate_file",
                &format!(
                    "is needed: {listen} is reached from beyond this machine, and tokens could be read on the way. Name the files of a \
                     certificate and its key, or ask for plaintext with `tls.plaintext = true`, where something before this server speaks TLS"
                ),
            ),
            (Some(_), Some(_)) | (None, None) => {}
        }
        if certificate_file.is_none() {
            let needless = [
                ("tls.client_ca_file", client_ca_file.is_some()),
                ("tls.replicas.ca_file", replicas.ca_file.is_some()),
                ("tls.replicas.name", replicas.name.is_some()),
            ];
            for (key, _) in needless.into_iter().filter(|(_, given)| *given) {
                wrong(key, "does nothing without `tls.certificate_file`");
            }
        }
        if let Some(name) = &replicas.name
            && ServerName::try_from(name.as_str()).is_err()
        {
            wrong(
                "tls.replicas.name",
                "is no name of a server; write one that stands in the replicas' certificates, like `selfsame.internal`",
            );
        }
        found
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
    };

    use super::*;

    /// A certificate with its key, as PEM.
    pub(in crate::adapters::tls) struct Issued {
        pub(in crate::adapters::tls) certificate: String,
        pub(in crate::adapters::tls) key: String,
    }

    impl Issued {
        pub(in crate::adapters::tls) fn write(&self, certificate: &Path, key: &Path) {
            std::fs::write(certificate, &self.certificate).unwrap();
            std::fs::write(key, &self.key).unwrap();
        }
    }

    pub(in crate::adapters::tls) fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    pub(in crate::adapters::tls) fn issue(ca: &CertifiedIssuer<'static, KeyPair>, names: &[&str]) -> Issued {
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names = names
            .iter()
            .map(|name| match name {
                name if name.contains("://") => SanType::URI((*name).try_into().unwrap()),
                name if name.contains('@') => SanType::Rfc822Name((*name).try_into().unwrap()),
                name => name.parse().map_or_else(|_| SanType::DnsName((*name).try_into().unwrap()), SanType::IpAddress),
            })
            .collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, ca).unwrap();
        Issued { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    fn keys(config: &TlsConfig, listen: &str) -> Vec<&'static str> {
        config.violations(listen.parse().unwrap()).into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn plaintext_beyond_this_machine_has_to_be_asked_for() {
        let none = TlsConfig::default();
        assert_eq!(keys(&none, "127.0.0.1:50051"), [""; 0]);
        assert_eq!(keys(&none, "0.0.0.0:50051"), ["tls.certificate_file"]);
        assert_eq!(keys(&TlsConfig { plaintext: true, ..none }, "0.0.0.0:50051"), [""; 0]);
    }

    #[test]
    fn what_does_nothing_or_lacks_its_other_half_is_named() {
        let file = || Some(PathBuf::from("f"));
        let half = TlsConfig { certificate_file: file(), ..TlsConfig::default() };
        assert_eq!(keys(&half, "0.0.0.0:1"), ["tls.key_file"]);
        let whole = TlsConfig { key_file: file(), client_ca_file: file(), ..half };
        assert_eq!(keys(&whole, "0.0.0.0:1"), [""; 0]);
        assert_eq!(keys(&TlsConfig { plaintext: true, ..whole }, "0.0.0.0:1"), ["tls.plaintext"]);
        let replicas = ReplicaTlsConfig { ca_file: None, name: Some("no name".to_owned()) };
        let needless = TlsConfig { client_ca_file: file(), replicas, ..TlsConfig::default() };
        assert_eq!(keys(&needless, "127.0.0.1:1"), ["tls.client_ca_file", "tls.replicas.name", "tls.replicas.name"]);
    }
}
