//! Claims about TLS: who a certificate lets in, what is refused in which words, and that a certificate is renewed while streams go on.

use std::path::Path;
use std::sync::Arc;

use selfsame::adapters::tls::{ClientCertificates, ClientFiles, Destination, Looked, ServerFiles, ServerTls, trouble_of};
use selfsame::service::listener::Connections;
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::access_service_client::AccessServiceClient;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::certificates::{Authority, Holds, put};
use crate::world::{Calls, PROGRAM, World, conversion, reason};

/// A server with a certificate of an authority, which signs its clients too.
struct Protected {
    world: World,
    tls: Arc<ServerTls>,
    ca: Authority,
    folder: TempDir,
}

impl Protected {
    async fn start(clients: Option<ClientCertificates>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Authority::new(folder.path(), "ca");
        let (certificate, key) = ca.issued(folder.path(), "server", &["127.0.0.1", "selfsame.internal"]);
        let client_ca = clients.map(|_| ca.file.clone());
        let files = ServerFiles { certificate, key, client_ca, clients: clients.unwrap_or_default() };
        let tls = Arc::new(ServerTls::open(files).unwrap());
        let world = World::with_connections(Connections { tls: Some(Arc::clone(&tls)), ..Connections::default() }).await;
        Self { world, tls, ca, folder }
    }

    fn url(&self) -> String {
        self.world.address().replace("http://", "https://")
    }

    async fn channel(&self, names: Option<&[&str]>) -> Channel {
        let file = names.map_or_else(|| "none".to_owned(), |names| format!("client-{}", names.len()));
        let shown = names.map(|names| self.ca.issued(self.folder.path(), &file, names));
        Destination::open(&self.url(), self.ca.trusted(shown)).unwrap().connect().await.unwrap()
    }
}

async fn who(calls: &Calls) -> Result<String, Status> {
    let answer = AccessServiceClient::new(calls.clone()).who_am_i(v1::WhoAmIRequest {}).await?;
    Ok(answer.into_inner().identity.unwrap().name)
}

fn silent(channel: Channel) -> Calls {
    Calls::new(channel, Credentials::default())
}

#[tokio::test]
async fn a_certificate_is_its_caller_by_any_of_its_names_and_a_token_must_be_of_the_same() {
    let protected = Protected::start(Some(ClientCertificates::Optional)).await;
    let olga = Calls::new(protected.channel(None).await, Credentials::name("olga").unwrap());
    put(&olga, "ops", v1::Role::Admin, &["ops.internal", "spiffe://shop/ops", "ops@shop.example"]).await;
    for name in ["OPS.internal", "spiffe://shop/ops", "ops@shop.example"] {
        let calls = silent(protected.channel(Some(&[name])).await);
        assert_eq!(who(&calls).await.unwrap(), "ops", "{name}");
    }
    let ops = silent(protected.channel(Some(&["ops.internal"])).await);
    put(&ops, "backend", v1::Role::Screener, &["backend.internal"]).await;
    let issued = AccessServiceClient::new(ops.clone())
        .issue_token(v1::IssueTokenRequest { identity: "backend".to_owned(), ..v1::IssueTokenRequest::default() })
        .await
        .unwrap()
        .into_inner();
    let token = || Credentials::token(&issued.secret).unwrap();

    // Nobody, a certificate that nobody has, one of two identities: the same answer.
    for channel in [
        protected.channel(None).await,
        protected.channel(Some(&["stranger.internal"])).await,
        protected.channel(Some(&["ops.internal", "backend.internal"])).await,
    ] {
        let refused = who(&silent(channel)).await.unwrap_err();
        assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unauthenticated, "NOT_AUTHENTICATED"));
    }
    // A token beside a certificate that nobody has, and beside its own.
    assert_eq!(who(&Calls::new(protected.channel(None).await, token())).await.unwrap(), "backend");
    assert_eq!(who(&Calls::new(protected.channel(Some(&["gateway.internal"])).await, token())).await.unwrap(), "backend");
    assert_eq!(who(&Calls::new(protected.channel(Some(&["backend.internal"])).await, token())).await.unwrap(), "backend");
    let disagree = who(&Calls::new(protected.channel(Some(&["ops.internal"])).await, token())).await.unwrap_err();
    assert!(disagree.code() == Code::Unauthenticated && disagree.message().contains("another identity"), "{disagree:?}");
    let bad = Calls::new(protected.channel(Some(&["ops.internal"])).await, Credentials::token("selfsame_bad").unwrap());
    assert_eq!(who(&bad).await.unwrap_err().code(), Code::Unauthenticated, "a certificate does not make up for a bad token");

    // Who is an identity no more is let in no more, over a connection that stays.
    let backend = silent(protected.channel(Some(&["backend.internal"])).await);
    assert_eq!(who(&backend).await.unwrap(), "backend");
    AccessServiceClient::new(ops).remove_identity(v1::RemoveIdentityRequest { name: "backend".to_owned() }).await.unwrap();
    assert_eq!(who(&backend).await.unwrap_err().code(), Code::Unauthenticated);
}

/// What is said of a server that is called like this: when connecting, or at the first call.
async fn trouble(url: &str, files: ClientFiles) -> String {
    let channel = match Destination::open(url, files).unwrap().connect().await {
        Ok(channel) => channel,
        Err(error) => return trouble_of(&error).unwrap_or_else(|| format!("without words: {error:?}")),
    };
    let refused = who(&silent(channel)).await.unwrap_err();
    let causes = std::iter::successors(std::error::Error::source(&refused), |cause| cause.source());
    causes.last().map_or_else(|| format!("without a cause: {refused:?}"), ToString::to_string)
}

#[tokio::test]
async fn what_goes_wrong_between_client_and_server_names_its_fix() {
    let protected = Protected::start(Some(ClientCertificates::Required)).await;
    let (url, folder, ca) = (protected.url(), protected.folder.path(), &protected.ca);
    let own = || Some(ca.issued(folder, "client", &["ops.internal"]));
    let foreign = Authority::new(folder, "foreign");
    let said = |wanted: &str, said: String| assert!(said.contains(wanted), "`{wanted}` is not in: {said}");

    said("write `https://` instead", trouble(&protected.world.address(), ClientFiles::default()).await);
    let plain = World::start().await;
    said("write `http://` instead", trouble(&plain.address().replace("http://", "https://"), ca.trusted(None)).await);
    said("with --ca", trouble(&url, foreign.trusted(own())).await);
    said("give it with --cert and --key", trouble(&url, ca.trusted(None)).await);
    let stranger = foreign.issued(folder, "stranger", &["ops.internal"]);
    said("does not trust the client certificate", trouble(&url, ca.trusted(Some(stranger))).await);
    let old = (folder.join("old.crt"), folder.join("old.key"));
    ca.issue((&old.0, &old.1), &["ops.internal"], Holds::NoMore);
    said("the client certificate has ended", trouble(&url, ca.trusted(Some(old))).await);
    said("not for `localhost`, but for", trouble(&url.replace("127.0.0.1", "localhost"), ca.trusted(own())).await);

    let ServerFiles { certificate, key, .. } = protected.tls.source();
    ca.issue((certificate, key), &["127.0.0.1"], Holds::NoMore);
    assert_eq!(protected.tls.reload(), Looked::Taken);
    said("the server's certificate has ended", trouble(&url, ca.trusted(own())).await);
}

async fn screens(channel: &Channel, id: &str) {
    let request = v1::ScreenConversionRequest { conversion: Some(conversion(id, "ann", &format!("ben-{id}"))) };
    let calls = Calls::new(channel.clone(), Credentials::name("rita").unwrap());
    ScreeningServiceClient::new(calls).screen_conversion(request).await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_renewed_while_a_stream_goes_on() {
    let protected = Protected::start(None).await;
    let channel = protected.channel(None).await;
    let rita = Calls::new(channel.clone(), Credentials::name("rita").unwrap());
    let watch = v1::WatchDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let mut events = PayoutServiceClient::new(rita).watch_decisions(watch).await.unwrap().into_inner();
    screens(&channel, "cv-1").await;
    assert!(!events.message().await.unwrap().unwrap().events.is_empty());

    // Of another authority, so that a client can tell.
    let next = Authority::new(protected.folder.path(), "next");
    let ServerFiles { certificate, key, .. } = protected.tls.source();
    std::fs::write(certificate, "half a certi").unwrap();
    assert_eq!(protected.tls.reload(), Looked::Refused);
    screens(&protected.channel(None).await, "cv-2").await;
    next.issue((certificate, key), &["127.0.0.1"], Holds::Now);
    assert_eq!(protected.tls.reload(), Looked::Taken);

    screens(&channel, "cv-3").await;
    let mut told = 0;
    while told < 2 {
        told += events.message().await.unwrap().unwrap().events.len();
    }
    let (old, new) = (trouble(&protected.url(), protected.ca.trusted(None)).await, next.trusted(None));
    assert!(old.contains("with --ca"), "{old}");
    screens(&Destination::open(&protected.url(), new).unwrap().connect().await.unwrap(), "cv-4").await;
}

#[test]
fn files_of_a_client_that_cannot_be_used_are_named() {
    let missing = ClientFiles { ca: Some(Path::new("/nowhere/ca.pem").to_owned()), certificate: None };
    let refused = Destination::open("https://127.0.0.1:1", missing).err().unwrap().to_string();
    assert!(refused.contains("/nowhere/ca.pem"), "{refused}");
    assert!(Destination::open("https://", ClientFiles::default()).is_err());
}
