//! How clients connect: whom they trust, what they show, and a connection that says in words what went wrong with it.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};
use tower::Service;

use super::fresh::{Content, Fresh, Source, content_of};
use super::material::{TlsError, authorities, certificates, private_key, provider, read};
use super::server::ALPN;
use super::trouble::{Unexpected, in_words};

/// The files of a client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFiles {
    /// The authorities that it trusts, instead of those of the machine.
    pub ca: Option<PathBuf>,
    /// Its certificate and the key of it, where it shows one.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// How a client speaks TLS, as fresh as its files.
pub type ClientTls = Fresh<ClientFiles>;

impl Source for ClientFiles {
    type Made = ClientConfig;

    fn make(&self) -> Result<ClientConfig, TlsError> {
        let begun = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let begun = begun.map_err(|error| TlsError::Unusable(error.to_string()))?;
        let trusting = begun.with_root_certificates(authorities(self.ca.as_deref())?);
        let mut config = match &self.certificate {
            None => trusting.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = certificates(certificate, &read(certificate)?)?;
                let own = private_key(key, &read(key)?)?;
                let pair = |problem| TlsError::Pair { certificate: certificate.clone(), key: key.clone(), problem };
                trusting.with_client_auth_cert(chain, own).map_err(pair)?
            }
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }

    fn content(&self) -> Content {
        let certificate = self.certificate.iter().flat_map(|(certificate, key)| [certificate, key]);
        content_of(self.ca.iter().chain(certificate))
    }

    fn what(&self) -> &'static str {
        "what this server shows to other replicas"
    }
}

/// How the server of an `https` address is spoken to.
#[derive(Clone)]
pub struct Peer {
    /// Whom to trust, and what to show.
    pub tls: Arc<ClientTls>,
    /// The name that its certificate must have; absent: that of the address.
    pub name: Option<ServerName<'static>>,
}

/// A server, and how it is spoken to.
#[derive(Clone)]
pub struct Destination {
    endpoint: Endpoint,
    peer: Option<Peer>,
}

/// Why an address is none.
#[derive(Debug, thiserror::Error)]
pub enum DestinationError {
    /// It is malformed.
    #[error("is not an address; write https://host:port, or http://host:port for plaintext")]
    Address,
    /// TLS cannot be spoken.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Destination {
    /// The server of a URL: `http` is plaintext, `https` is TLS, for which the files are read.
    ///
    /// # Errors
    /// [`DestinationError`].
    pub fn open(url: &str, files: ClientFiles) -> Result<Self, DestinationError> {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| DestinationError::Address)?;
        let uri = endpoint.uri();
        if uri.host().is_none_or(str::is_empty) {
            return Err(DestinationError::Address);
        }
        let peer = if is_tls(uri) { Some(Peer { tls: Arc::new(ClientTls::open(files)?), name: None }) } else { None };
        Ok(Self { endpoint: endpoint.connect_timeout(CONNECT_MAX), peer })
    }

    /// Its URL.
    #[must_use]
    pub fn name(&self) -> String {
        let url = self.endpoint.uri().to_string();
        url.strip_suffix('/').map(str::to_owned).unwrap_or(url)
    }

    /// Opens a connection.
    ///
    /// # Errors
    /// What [`super::trouble_of`] has words for, or that nobody answers.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        self.endpoint.connect_with_connector(connector(self.peer.clone())).await
    }
}

/// How long is waited for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Whether TLS is spoken with an address.
fn is_tls(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

/// Connects to addresses: in plaintext to those of `http`, by TLS to those of `https`, where there has to be a `peer`.
pub fn connector(
    peer: Option<Peer>,
) -> impl Service<Uri, Response = TokioIo<Dialled>, Error = io::Error, Future: Send> + Clone + Send + 'static {
    tower::service_fn(move |uri: Uri| {
        let peer = peer.clone();
        async move { dial(&uri, peer).await.map(TokioIo::new) }
    })
}

async fn dial(uri: &Uri, peer: Option<Peer>) -> io::Result<Dialled> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_tls(uri) { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if !is_tls(uri) {
        return Ok(Dialled::Plain { stream, heard: Heard::Nothing });
    }
    let Some(Peer { tls, name }) = peer else { return Err(io::Error::other("nothing says how TLS is to be spoken")) };
    let name = match name {
        Some(name) => name,
        None => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
    };
    let connected = TlsConnector::from(tls.in_force()).connect(name, stream).await?;
    Ok(Dialled::Tls(Box::new(connected)))
}

/// Whether a server said something yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// No byte.
    Nothing,
    /// Its first byte, which was HTTP/2's.
    Something,
}

/// A connection to a server.
pub enum Dialled {
    /// In plaintext. Its first byte tells whether the server speaks something else.
    Plain {
        /// The connection.
        stream: TcpStream,
        /// What was heard.
        heard: Heard,
    },
    /// By TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Dialled {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            // What HTTP/2 is told of an error it passes on as a text.
            Self::Tls(stream) => Pin::new(stream).poll_read(context, into).map_err(in_words),
            Self::Plain { stream, heard } => {
                let before = into.filled().len();
                let read = Pin::new(stream).poll_read(context, into);
                if *heard == Heard::Nothing
                    && let Some(first) = into.filled().get(before)
                {
                    if let Some(unexpected) = Unexpected::by_first_byte(*first) {
                        return Poll::Ready(Err(in_words(io::Error::other(unexpected))));
                    }
                    *heard = Heard::Something;
                }
                read
            }
        }
    }
}

/// A server that speaks something else closes while it is still written to; what it said before that tells more than that it closed.
fn what_was_said(error: io::Error, stream: &TcpStream, heard: Heard) -> io::Error {
    let mut first = [0];
    let unexpected = match (heard, stream.try_read(&mut first)) {
        (Heard::Nothing, Ok(1..)) => Unexpected::by_first_byte(first[0]),
        (Heard::Nothing | Heard::Something, _) => None,
    };
    unexpected.map_or(error, |unexpected| in_words(io::Error::other(unexpected)))
}

impl AsyncWrite for Dialled {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain { stream, heard } => {
                Pin::new(&mut *stream).poll_write(context, bytes).map_err(|error| what_was_said(error, stream, *heard))
            }
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain { stream, heard } => {
                let written = Pin::new(&mut *stream).poll_write_vectored(context, pieces);
                written.map_err(|error| what_was_said(error, stream, *heard))
            }
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain { stream, .. } => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { stream, .. } => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain { stream, .. } => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
