//! A small HTTP client for whoever is told something: one POST, over connections that are kept, in plaintext or by TLS. It follows no redirect, and reads no
//! more of an answer than its head.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::codegen::http::uri::Scheme;
use tonic::codegen::http::{HeaderMap, Request, Uri, header};
use tower::Service;

use super::tls::{TlsError, authorities, provider};

/// What is read of an answer's body, so that its connection can be kept. Unit: bytes.
const BODY_BYTES_MAX: usize = 64 << 10;
/// How long is waited for it.
const BODY_WITHIN: Duration = Duration::from_secs(1);
/// How long a connection is kept that nobody uses.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// `Retry-After`, as it was sent.
    pub retry_after: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TooLate(Duration),
    /// The connection could not be made, or broke.
    #[error("{0}")]
    Broken(String),
}

/// Posts to one receiver.
#[derive(Clone)]
pub struct HttpsClient {
    client: Client<Connector, Full<Bytes>>,
    within: Duration,
}

impl HttpsClient {
    /// A client that trusts the authorities of the machine, or those in a file, and waits so long for each answer.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn open(ca: Option<&Path>, within: Duration) -> Result<Self, TlsError> {
        let begun = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let begun = begun.map_err(|error| TlsError::Unusable(error.to_string()))?;
        let mut tls = begun.with_root_certificates(authorities(ca)?).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self::with(Some(Arc::new(tls)), within))
    }

    /// A client that speaks plaintext alone.
    #[must_use]
    pub fn plain(within: Duration) -> Self {
        Self::with(None, within)
    }

    fn with(tls: Option<Arc<ClientConfig>>, within: Duration) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT_FOR)
            .build(Connector { tls });
        Self { client, within }
    }

    /// Posts a body.
    ///
    /// # Errors
    /// [`NoAnswer`]; whether the receiver got it is not known then.
    pub async fn post(&self, to: &Uri, headers: HeaderMap, body: Bytes) -> Result<Answered, NoAnswer> {
        let broken = |error: &dyn std::error::Error| {
            let causes = std::iter::successors(Some(error), |error| error.source());
            NoAnswer::Broken(causes.last().map(ToString::to_string).unwrap_or_default())
        };
        let mut request = Request::post(to.clone()).body(Full::new(body)).map_err(|error| broken(&error))?;
        *request.headers_mut() = headers;
        let answer = tokio::time::timeout(self.within, self.client.request(request)).await;
        let answer = answer.map_err(|_| NoAnswer::TooLate(self.within))?.map_err(|error| broken(&error))?;
        let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = answer.status().as_u16();
        // A longer one, or a slow one, costs its connection, no more: what was answered is known.
        drop(tokio::time::timeout(BODY_WITHIN, Limited::new(answer.into_body(), BODY_BYTES_MAX).collect()).await);
        Ok(Answered { status, retry_after })
    }
}

/// Makes connections.
#[derive(Clone)]
struct Connector {
    tls: Option<Arc<ClientConfig>>,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Link>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Link>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = self.tls.clone();
        Box::pin(async move {
            let secure = uri.scheme() == Some(&Scheme::HTTPS);
            let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
            let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
            let stream = TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            if !secure {
                return Ok(TokioIo::new(Link(Box::new(stream))));
            }
            let tls = tls.ok_or_else(|| io::Error::other("nothing says how TLS is to be spoken"))?;
            let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
            Ok(TokioIo::new(Link(Box::new(TlsConnector::from(tls).connect(name, stream).await?))))
        })
    }
}

/// Both directions of a connection.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection, in plaintext or not.
struct Link(Box<dyn Duplex>);

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(context, into)
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use rustls::ServerConfig;
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::mpsc;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    /// A server of one answer a connection: its port, and the first lines of what it was sent.
    async fn server(tls: Option<Arc<ServerConfig>>, answer: &'static str) -> (u16, mpsc::UnboundedReceiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream: Box<dyn Duplex> = match &tls {
                    None => Box::new(stream),
                    Some(tls) => match TlsAcceptor::from(Arc::clone(tls)).accept(stream).await {
                        Ok(stream) => Box::new(stream),
                        Err(_) => continue,
                    },
                };
                let mut request = vec![0; 4_096];
                let read = stream.read(&mut request).await.unwrap();
                let text = String::from_utf8_lossy(&request[..read]).into_owned();
                tell.send(text.lines().next().unwrap_or_default().to_owned()).unwrap();
                drop(stream.write_all(answer.as_bytes()).await);
                drop(stream.shutdown().await);
            }
        });
        (port, told)
    }

    async fn posted(client: &HttpsClient, url: &str) -> Result<Answered, NoAnswer> {
        client.post(&url.parse().unwrap(), HeaderMap::new(), Bytes::from_static(b"{}")).await
    }

    #[tokio::test]
    async fn a_receiver_by_tls_is_believed_only_with_a_certificate_of_an_authority_that_is_trusted() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let begun = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let tls = begun.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let (port, mut told) = server(Some(Arc::new(tls)), "HTTP/1.1 204 No Content\r\n\r\n").await;
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, made.cert.pem()).unwrap();
        let client = HttpsClient::open(Some(&ca), SOON).unwrap();
        let answered = posted(&client, &format!("https://localhost:{port}/hooks")).await.unwrap();
        assert_eq!((answered.status, told.recv().await.unwrap().as_str()), (204, "POST /hooks HTTP/1.1"));
        // Another name, and another authority.
        assert!(matches!(posted(&client, &format!("https://127.0.0.1:{port}/")).await, Err(NoAnswer::Broken(_))));
        let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&ca, other.cert.pem()).unwrap();
        let client = HttpsClient::open(Some(&ca), SOON).unwrap();
        assert!(matches!(posted(&client, &format!("https://localhost:{port}/")).await, Err(NoAnswer::Broken(_))));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_a_long_body_is_not_read_to_its_end() {
        let moved =
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 99999999\r\nRetry-After: 7\r\n\r\nmoved";
        let (port, mut told) = server(None, moved).await;
        let answered = posted(&HttpsClient::plain(SOON), &format!("http://127.0.0.1:{port}/hooks")).await.unwrap();
        assert_eq!(answered, Answered { status: 307, retry_after: Some("7".to_owned()) });
        assert_eq!(told.recv().await.unwrap(), "POST /hooks HTTP/1.1");
        assert!(told.try_recv().is_err());
    }

    #[tokio::test]
    async fn whoever_does_not_answer_in_time_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let late = posted(&HttpsClient::plain(Duration::from_millis(50)), &url).await;
        assert!(matches!(late, Err(NoAnswer::TooLate(_))), "{late:?}");
    }
}
