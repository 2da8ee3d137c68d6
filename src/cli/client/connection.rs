//! Which server a command calls, how it is spoken to, and what it is shown: of the flags, of variables, of a profile, in this order.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::profile::{ClientProfile, profile};
use super::{Client, credentials};
use crate::adapters::tls::{ClientFiles, Destination, trouble_of};
use crate::wire::credentials::Credentials;

/// The server that is meant when none is named.
const USUAL_SERVER: &str = "http://127.0.0.1:50051";

/// Whom to trust, and what to show.
#[derive(Debug, Clone, Default, Args)]
pub struct TrustArgs {
    /// The authorities that the server's certificate may be of, as PEM [default: those of this machine]
    #[arg(long, env = "SELFSAME_CA", value_name = "FILE", global = true, help_heading = "Connection")]
    pub ca: Option<PathBuf>,

    /// A client certificate to show, as PEM
    #[arg(long, env = "SELFSAME_CERT", value_name = "FILE", global = true, help_heading = "Connection")]
    pub cert: Option<PathBuf>,

    /// The key of it, as PEM
    #[arg(long, env = "SELFSAME_KEY", value_name = "FILE", global = true, help_heading = "Connection")]
    pub key: Option<PathBuf>,
}

/// The server of a command that always calls one.
#[derive(Debug, Clone, Default, Args)]
pub struct ConnectionArgs {
    /// The server: `https://host:port`, or `http://` for plaintext [default: http://127.0.0.1:50051]
    #[arg(long, env = "SELFSAME_SERVER", value_name = "URL", global = true, help_heading = "Connection")]
    pub server: Option<String>,

    /// The profile of ~/.config/selfsame/client.toml (SELFSAME_CLIENT_CONFIG) that says what is not said here [default: `default`, if it is there]
    #[arg(long, env = "SELFSAME_PROFILE", value_name = "NAME", global = true, help_heading = "Connection")]
    pub profile: Option<String>,

    #[command(flatten)]
    pub trust: TrustArgs,
}

/// The server of a command that calls one only when it is told to: no variable tells it.
#[derive(Debug, Clone, Default, Args)]
pub struct AskedServerArgs {
    /// Ask this running server: `https://host:port`, or `http://` for plaintext
    #[arg(long, value_name = "URL", help_heading = "Connection")]
    pub server: Option<String>,

    /// Ask the server of this profile of ~/.config/selfsame/client.toml (SELFSAME_CLIENT_CONFIG)
    #[arg(long, value_name = "NAME", help_heading = "Connection")]
    pub profile: Option<String>,

    #[command(flatten)]
    pub trust: TrustArgs,
}

impl AskedServerArgs {
    /// The server, when the command was told to call one.
    pub(in crate::cli) fn asked(&self) -> Option<ConnectionArgs> {
        (self.server.is_some() || self.profile.is_some()).then(|| self.clone().into())
    }
}

impl From<AskedServerArgs> for ConnectionArgs {
    fn from(AskedServerArgs { server, profile, trust }: AskedServerArgs) -> Self {
        Self { server, profile, trust }
    }
}

/// A server, how it is spoken to, and what every call shows.
pub(in crate::cli) struct Reached {
    /// The server.
    pub(in crate::cli) destination: Destination,
    /// What every call shows.
    pub(in crate::cli) credentials: Credentials,
}

impl Reached {
    /// Connects.
    ///
    /// # Errors
    /// When nobody answers there, or it cannot be agreed on how to speak; the message says what to do.
    pub(in crate::cli) async fn connect(&self) -> anyhow::Result<Client> {
        Ok(InterceptedService::new(self.channel().await?, self.credentials.clone()))
    }

    /// A connection that shows nothing yet.
    ///
    /// # Errors
    /// As [`Reached::connect`].
    pub(in crate::cli) async fn channel(&self) -> anyhow::Result<Channel> {
        let connected = self.destination.connect().await;
        connected.map_err(|error| {
            let server = self.destination.name();
            match trouble_of(&error) {
                Some(trouble) => anyhow::anyhow!("{server}: {trouble}"),
                None => {
                    anyhow::Error::new(error).context(format!("nobody answers at {server}; is `selfsame serve` running there?"))
                }
            }
        })
    }
}

impl ConnectionArgs {
    /// What is said by flags, variables and the profile.
    ///
    /// # Errors
    /// When the profile, the address, a file or the caller cannot be used.
    pub(in crate::cli) fn reached(&self, actor: Option<&str>) -> anyhow::Result<Reached> {
        let Self { server, profile: named, trust: TrustArgs { ca, cert, key } } = self;
        let ClientProfile {
            server: its_server,
            ca: its_ca,
            cert: its_cert,
            key: its_key,
            token_file,
            program: _,
            actor: its_actor,
        } = profile(named.as_deref())?;
        let certificate = match (cert.clone().or(its_cert), key.clone().or(its_key)) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(cert), None) => bail!("the certificate `{}` needs its key: give --key", cert.display()),
            (None, Some(key)) => bail!("the key `{}` needs its certificate: give --cert", key.display()),
        };
        let files = ClientFiles { ca: ca.clone().or(its_ca), certificate };
        let server = server.clone().or(its_server).unwrap_or_else(|| USUAL_SERVER.to_owned());
        let url = url_of(&server, &files)?;
        let destination = Destination::open(&url, files).with_context(|| format!("the server `{server}`"))?;
        let credentials = credentials(token_file.as_deref(), actor, its_actor.as_deref())?;
        Ok(Reached { destination, credentials })
    }

    /// The programme of the profile.
    ///
    /// # Errors
    /// As [`profile`].
    pub(super) fn program(&self) -> anyhow::Result<Option<String>> {
        Ok(profile(self.profile.as_deref())?.program)
    }
}

/// The URL of a server. Without a scheme it is TLS, but for this machine where no file for TLS was named.
fn url_of(server: &str, files: &ClientFiles) -> anyhow::Result<String> {
    let has_files = *files != ClientFiles::default();
    match server.split_once("://") {
        None => {
            let scheme = if has_files || !is_this_machine(server) { "https" } else { "http" };
            Ok(format!("{scheme}://{server}"))
        }
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => Ok(format!("https://{rest}")),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            if files.certificate.is_some() {
                bail!(
                    "`{server}` is plaintext, in which no client certificate is shown: write https://{rest}, or leave --cert and --key out"
                );
            }
            Ok(format!("http://{rest}"))
        }
        Some((_, rest)) => bail!("`{server}` is not an address of this API: write https://{rest}, or http:// for plaintext"),
    }
}

fn is_this_machine(server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host).trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(server: &str) -> String {
        url_of(server, &ClientFiles::default()).unwrap()
    }

    #[test]
    fn what_leaves_the_machine_is_tls_unless_it_says_otherwise() {
        assert_eq!(url("127.0.0.1:50051"), "http://127.0.0.1:50051");
        assert_eq!(url("[::1]:50051"), "http://[::1]:50051");
        assert_eq!(url("localhost:1"), "http://localhost:1");
        assert_eq!(url("selfsame.internal:50051"), "https://selfsame.internal:50051");
        assert_eq!(url("http://selfsame.internal:50051"), "http://selfsame.internal:50051");
        assert_eq!(url("HTTPS://selfsame.internal"), "https://selfsame.internal");
        let files = ClientFiles { ca: Some("ca.pem".into()), certificate: None };
        assert_eq!(url_of("127.0.0.1:50051", &files).unwrap(), "https://127.0.0.1:50051");
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        let refused = url_of("grpcs://selfsame.internal", &ClientFiles::default()).unwrap_err().to_string();
        assert!(refused.contains("write https://selfsame.internal"), "{refused}");
        let files = ClientFiles { ca: None, certificate: Some(("c".into(), "k".into())) };
        let refused = url_of("http://a:1", &files).unwrap_err().to_string();
        assert!(refused.contains("https://a:1"), "{refused}");
        let alone = TrustArgs { cert: Some("c".into()), ..TrustArgs::default() };
        let refused = ConnectionArgs { trust: alone, ..ConnectionArgs::default() }.reached(None).err().unwrap().to_string();
        assert!(refused.contains("--key"), "{refused}");
    }

    #[test]
    fn a_command_that_may_call_a_server_calls_none_unless_it_is_told() {
        assert!(AskedServerArgs::default().asked().is_none());
        let told = AskedServerArgs { profile: Some("production".to_owned()), ..AskedServerArgs::default() };
        assert_eq!(told.asked().unwrap().profile.as_deref(), Some("production"));
    }
}
