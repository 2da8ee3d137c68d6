//! The URL of a database: who is asked, as whom, and how the connection is protected. It holds a secret and is never shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::PostgresError;
use crate::adapters::byte_order_mark;
use crate::adapters::tls::authorities;

/// A URL like `postgres://user:password@host:5432/database?sslmode=verify-full`.
///
/// Of libpq's `sslmode`: `disable` is plaintext; every other mode is TLS, and then the certificate and the name of the server are always
/// verified, against `sslrootcert` (a PEM file) or the machine's own authorities. Without `sslmode`: TLS, but for a Unix socket and a loopback
/// address. Other parameters are those of libpq that tokio-postgres knows, `options` and `application_name` among them.
#[derive(Debug, Clone)]
pub struct DatabaseUrl(SecretString);

/// A URL in its parts.
pub(super) struct Parsed {
    pub(super) config: Config,
    pub(super) tls: MakeRustlsConnect,
}

impl DatabaseUrl {
    /// Takes a URL; it is looked at when it is used.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        Self(url)
    }

    /// Reads the URL from a file that holds nothing else.
    ///
    /// # Errors
    /// [`PostgresError::Url`] when the file cannot be read.
    pub fn from_file(file: &Path) -> Result<Self, PostgresError> {
        let refused = |error| PostgresError::Url(format!("cannot be read from the file `{}`: {error}", file.display()));
        let text = byte_order_mark::read_to_string(file).map_err(refused)?;
        Ok(Self(SecretString::from(text.trim().to_owned())))
    }

    /// Takes it apart.
    pub(super) fn parse(&self) -> Result<Parsed, PostgresError> {
        let url = self.0.expose_secret();
        let wrong = |what: &str| PostgresError::Url(what.to_owned());
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(wrong("does not begin with `postgres://`; write postgres://user:password@host:5432/database"));
        }
        let (address, parameters) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut root, mut rest) = (None, None, Vec::new());
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => root = Some(PathBuf::from(value)),
                _ => rest.push(parameter),
            }
        }
        let rest = rest.join("&");
        let plain = if rest.is_empty() { address.to_owned() } else { format!("{address}?{rest}") };
        // The parser's error can quote the URL, which holds a password.
        let mut config: Config = plain.parse().map_err(|_| {
            wrong("cannot be understood; write postgres://user:password@host:5432/database and percent-encode what is special in it")
        })?;
        let protected = match mode {
            Some("disable") => false,
            Some("require" | "verify-ca" | "verify-full") => true,
            None => !stays_here(&config),
            Some(_) => return Err(wrong("has a `sslmode` that is none of `disable`, `require`, `verify-ca` and `verify-full`")),
        };
        config.ssl_mode(if protected { SslMode::Require } else { SslMode::Disable });
        if config.get_application_name().is_none() {
            config.application_name("selfsame");
        }
        let roots = if protected { trusted(root.as_deref())? } else { RootCertStore::empty() };
        Ok(Parsed { config, tls: MakeRustlsConnect::new(client(roots)?) })
    }
}

/// Whether nothing leaves the machine.
fn stays_here(config: &Config) -> bool {
    let here = |host: &Host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    };
    config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback) && config.get_hosts().iter().all(here)
}

fn trusted(file: Option<&Path>) -> Result<RootCertStore, PostgresError> {
    authorities(file).map_err(|error| PostgresError::Tls(format!("`sslrootcert`: {error}")))
}

fn client(roots: RootCertStore) -> Result<ClientConfig, PostgresError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| PostgresError::Tls(error.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> Result<SslMode, PostgresError> {
        DatabaseUrl::new(SecretString::from(url.to_owned())).parse().map(|parsed| parsed.config.get_ssl_mode())
    }

    #[test]
    fn what_leaves_the_machine_is_protected_unless_that_is_switched_off() {
        assert_eq!(mode("postgres://a@localhost/b"), Ok(SslMode::Disable));
        assert_eq!(mode("postgres://a@%2Frun%2Fpostgresql/b"), Ok(SslMode::Disable));
        assert_eq!(mode("postgres://a@db.example:5432/b?sslmode=disable"), Ok(SslMode::Disable));
        // A machine without authorities refuses instead.
        assert_ne!(mode("postgres://a@db.example/b"), Ok(SslMode::Disable));
        assert!(matches!(mode("postgres://a@localhost,db.example/b"), Ok(SslMode::Require) | Err(PostgresError::Tls(_))));
    }

    #[test]
    fn a_wrong_url_is_told_without_its_secret() {
        for wrong in
            ["http://x", "postgres://u:hush@h:port/b", "postgres://u:hush@h/b?sslmode=prefer", "postgres://u:hush@h/b?x=y"]
        {
            let told = mode(wrong).unwrap_err().to_string();
            assert!(told.starts_with("the URL of the database") && !told.contains("hush"), "{told}");
        }
    }
}
