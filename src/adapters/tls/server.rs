//! What a server shows and asks for: its certificate, and those of its clients.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use serde::{Deserialize, Serialize};

use super::fresh::{Content, Fresh, Source, content_of};
use super::material::{Facts, TlsError, authorities, certificates, facts_of, private_key, provider, read};

/// What HTTP/2 is called in TLS.
pub(super) const ALPN: &[u8] = b"h2";

/// Whether clients must show a certificate, where their authority is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientCertificates {
    /// Whoever shows none is not spoken to.
    #[default]
    Required,
    /// Whoever shows none needs a token. One that is shown must be good.
    Optional,
}

/// The files of a server.
#[derive(Debug, Clone)]
pub struct ServerFiles {
    /// Its certificate, and those between it and an authority.
    pub certificate: PathBuf,
    /// The key of it.
    pub key: PathBuf,
    /// The authorities of its clients' certificates; absent where none are asked for.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show one.
    pub clients: ClientCertificates,
}

/// What a server shows.
pub struct Shown {
    /// For connections.
    pub config: Arc<ServerConfig>,
    /// Of the certificate; absent when it cannot be looked into, which rustls can speak with all the same.
    pub facts: Option<Facts>,
}

/// The certificate of a server, as fresh as its files.
pub type ServerTls = Fresh<ServerFiles>;

impl Source for ServerFiles {
    type Made = Shown;

    fn make(&self) -> Result<Shown, TlsError> {
        let chain = certificates(&self.certificate, &read(&self.certificate)?)?;
        let key = private_key(&self.key, &read(&self.key)?)?;
        let facts = chain.first().and_then(facts_of);
        let unusable = |problem: String| TlsError::Unusable(problem);
        let begun = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let begun = begun.map_err(|error| unusable(error.to_string()))?;
        let asks = match &self.client_ca {
            None => begun.with_no_client_auth(),
            Some(file) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(Some(file))?), provider());
                let verifier = match self.clients {
                    ClientCertificates::Required => verifier,
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                };
                let built =
                    verifier.build().map_err(|error| TlsError::Malformed { path: file.clone(), problem: error.to_string() });
                begun.with_client_cert_verifier(built?)
            }
        };
        let pair = |problem| TlsError::Pair { certificate: self.certificate.clone(), key: self.key.clone(), problem };
        let mut config = asks.with_single_cert(chain, key).map_err(pair)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        if self.client_ca.is_some() {
            // A session that is resumed is not asked for its certificate again, which may have ended meanwhile.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Shown { config: Arc::new(config), facts })
    }

    fn content(&self) -> Content {
        content_of([&self.certificate, &self.key].into_iter().chain(&self.client_ca))
    }

    fn what(&self) -> &'static str {
        "the certificate of this server"
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::adapters::tls::Looked;
    use crate::adapters::tls::settings::tests::{authority, issue};

    fn files(folder: &Path) -> ServerFiles {
        let [certificate, key] = ["tls.crt", "tls.key"].map(|name| folder.join(name));
        ServerFiles { certificate, key, client_ca: None, clients: ClientCertificates::Required }
    }

    fn names(tls: &ServerTls) -> Vec<Box<str>> {
        tls.in_force().facts.clone().unwrap().names
    }

    #[test]
    fn a_renewed_certificate_is_taken_once_it_stands_and_a_broken_one_never() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let ca = authority();
        issue(&ca, &["one.internal"]).write(&files.certificate, &files.key);
        let tls = ServerTls::open(files.clone()).unwrap();
        assert_eq!(tls.look(None).0, Looked::Same);

        // The certificate of another key: the key is not written yet.
        let next = issue(&ca, &["two.internal"]);
        std::fs::write(&files.certificate, &next.certificate).unwrap();
        let (looked, found) = tls.look(None);
        assert_eq!(looked, Looked::Same, "it may still be written");
        assert_eq!(tls.look(Some(found)).0, Looked::Refused);
        assert_eq!(names(&tls), ["one.internal".into()]);
        assert_eq!(tls.look(Some(found)).0, Looked::Same, "a mistake is told once");

        next.write(&files.certificate, &files.key);
        let (_, found) = tls.look(Some(found));
        assert_eq!(tls.look(Some(found)).0, Looked::Taken);
        assert_eq!(names(&tls), ["two.internal".into()]);

        std::fs::remove_file(&files.key).unwrap();
        assert_eq!((tls.reload(), names(&tls)), (Looked::Refused, vec!["two.internal".into()]));
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_with_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let files = files(folder.path());
        let ca = authority();
        issue(&ca, &["one.internal"]).write(&files.certificate, &files.key);
        std::fs::write(&files.key, issue(&ca, &["two.internal"]).key).unwrap();
        let refused = ServerTls::open(files).err().unwrap().to_string();
        assert!(refused.contains("tls.key") && refused.contains("tls.crt"), "{refused}");
    }
}
