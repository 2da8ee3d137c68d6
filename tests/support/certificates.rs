//! An authority of a test's own, and certificates that it signs, as files.
#![allow(dead_code, reason = "every test binary uses its own part")]

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use selfsame::adapters::tls::ClientFiles;
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::access_service_client::AccessServiceClient;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

/// An authority, with its certificate in a file.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
}

/// Whether a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Now,
    NoMore,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, issuer.pem()).unwrap();
        Self { issuer, file }
    }

    /// Writes a certificate and its key, for servers and clients of these names.
    pub(crate) fn issue(&self, at: (&Path, &Path), names: &[&str], holds: Holds) {
        let mut params = CertificateParams::new([]).unwrap();
        params.subject_alt_names = names.iter().map(|name| san(name)).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match holds {
            Holds::Now => date_time_ymd(2090, 1, 1),
            Holds::NoMore => date_time_ymd(2021, 1, 1),
        };
        let key = KeyPair::generate().unwrap();
        std::fs::write(at.1, key.serialize_pem()).unwrap();
        std::fs::write(at.0, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
    }

    /// The same, into files of a name.
    pub(crate) fn issued(&self, folder: &Path, file: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let at = (folder.join(format!("{file}.crt")), folder.join(format!("{file}.key")));
        self.issue((&at.0, &at.1), names, Holds::Now);
        at
    }

    /// What a client has that trusts this authority.
    pub(crate) fn trusted(&self, certificate: Option<(PathBuf, PathBuf)>) -> ClientFiles {
        ClientFiles { ca: Some(self.file.clone()), certificate }
    }
}

fn san(name: &str) -> SanType {
    match name {
        name if name.contains("://") => SanType::URI(name.try_into().unwrap()),
        name if name.contains('@') => SanType::Rfc822Name(name.try_into().unwrap()),
        name => name.parse().map_or_else(|_| SanType::DnsName(name.try_into().unwrap()), SanType::IpAddress),
    }
}

/// Registers an identity that has a role everywhere, and is whoever shows one of these names.
pub(crate) async fn put(calls: &InterceptedService<Channel, Credentials>, name: &str, role: v1::Role, certificates: &[&str]) {
    let identity = v1::Identity {
        name: name.to_owned(),
        roles: vec![role.into()],
        all_programs: true,
        certificate_names: certificates.iter().map(ToString::to_string).collect(),
        ..v1::Identity::default()
    };
    AccessServiceClient::new(calls.clone()).put_identity(v1::PutIdentityRequest { identity: Some(identity) }).await.unwrap();
}
