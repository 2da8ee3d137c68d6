//! Claims about replicas that speak TLS: a call that is forwarded stays its caller's, whether that has a certificate or a token, and nobody else can say
//! for whom a call is made.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use selfsame::adapters::tls::Destination;
use selfsame::wire::credentials::Credentials;
use selfsame::wire::v1;
use selfsame::wire::v1::access_service_client::AccessServiceClient;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use selfsame::wire::v1::program_service_client::ProgramServiceClient;
use selfsame::wire::v1::screening_service_client::ScreeningServiceClient;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::certificates::{Authority, put};
use crate::postgres::server;
use crate::support::{Server, conversion};

type Calls = InterceptedService<Channel, Credentials>;

/// Replicas with certificates of one authority, and what clients of them have.
struct Replicas<'f> {
    folder: &'f Path,
    ca: Authority,
}

impl Replicas<'_> {
    async fn start(&self, name: &str, url: &str) -> Server {
        // Their addresses are not in it: they go by the name.
        let (certificate, key) = self.ca.issued(self.folder, name, &["selfsame.internal", "localhost"]);
        let data = self.folder.join(name);
        std::fs::create_dir_all(&data).unwrap();
        let config = self.folder.join(format!("{name}.toml"));
        let [certificate, key, ca] = [&certificate, &key, &self.ca.file].map(|path| path.display().to_string());
        let tls = format!(
            "[tls]\ncertificate_file = \"{certificate}\"\nkey_file = \"{key}\"\nclient_ca_file = \"{ca}\"\nclient_certificates = \"optional\"\n\
             [tls.replicas]\nca_file = \"{ca}\"\nname = \"selfsame.internal\"\n"
        );
        std::fs::write(&config, tls).unwrap();
        let arguments = ["--config", config.to_str().unwrap(), "--journal", url];
        Server::start_with(Path::new(env!("CARGO_BIN_EXE_selfsame")), &data, &arguments).await
    }

    /// Calls of whoever shows a certificate of a name, and these credentials.
    async fn calls(&self, on: &Server, name: Option<&str>, credentials: Credentials) -> Calls {
        let shown = name.map(|name| self.ca.issued(self.folder, &format!("client-{name}"), &[name]));
        let url = format!("https://{}", on.address().replace("127.0.0.1", "localhost"));
        let channel = Destination::open(&url, self.ca.trusted(shown)).unwrap().connect().await.unwrap();
        Calls::new(channel, credentials)
    }
}

/// Waits until a replica knows a caller: it looks at the directory once a second for what others changed.
async fn until_known(calls: &Calls, name: &str) {
    let known = async {
        let mut poll = tokio::time::interval(Duration::from_millis(50));
        loop {
            poll.tick().await;
            let answer = AccessServiceClient::new(calls.clone()).who_am_i(v1::WhoAmIRequest {}).await;
            if answer.is_ok_and(|answer| answer.get_ref().identity.as_ref().is_some_and(|identity| identity.name == name)) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), known).await.unwrap();
}

fn of_shop(number: u32) -> v1::Conversion {
    conversion("shop", number, |account_id| v1::SignalBundle { account_id, ..v1::SignalBundle::default() })
}

async fn screen(calls: &Calls, number: u32) -> Result<(), tonic::Status> {
    let request = v1::ScreenConversionRequest { conversion: Some(of_shop(number)) };
    ScreeningServiceClient::new(calls.clone()).screen_conversion(request).await.map(drop)
}

async fn hold(calls: &Calls, id: &str) {
    let subject = v1::HoldSubject { subject: Some(v1::hold_subject::Subject::ReferrerAccountId("ann".to_owned())) };
    let request = v1::PlaceHoldRequest {
        program_id: "shop".to_owned(),
        subject: Some(subject),
        hold_id: id.to_owned(),
        ..v1::PlaceHoldRequest::default()
    };
    PayoutServiceClient::new(calls.clone()).place_hold(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_forwarded_stays_its_callers() {
    let Some(database) = server() else { return };
    let (url, folder) = (database.fresh(), tempfile::tempdir().unwrap());
    let replicas = Replicas { folder: folder.path(), ca: Authority::new(folder.path(), "ca") };
    let (holder, other) = (replicas.start("a", &url).await, replicas.start("b", &url).await);

    // Nobody is asked yet, and what is said is forwarded too.
    let olga = replicas.calls(&holder, None, Credentials::name("olga").unwrap()).await;
    let program =
        v1::Program { program_id: "shop".to_owned(), stage: v1::ProgramStage::Production.into(), ..v1::Program::default() };
    ProgramServiceClient::new(olga.clone()).create_program(v1::CreateProgramRequest { program: Some(program) }).await.unwrap();
    screen(&olga, 0).await.unwrap();
    hold(&replicas.calls(&other, None, Credentials::name("lena").unwrap()).await, "before").await;

    put(&olga, "ops", v1::Role::Admin, &["ops.internal"]).await;
    let ops = replicas.calls(&other, Some("ops.internal"), Credentials::default()).await;
    until_known(&ops, "ops").await;
    put(&ops, "backend", v1::Role::Screener, &["backend.internal"]).await;
    put(&ops, "payouts", v1::Role::Payer, &["payouts.internal"]).await;
    let issue = v1::IssueTokenRequest { identity: "payouts".to_owned(), ..v1::IssueTokenRequest::default() };
    let token = AccessServiceClient::new(ops.clone()).issue_token(issue).await.unwrap().into_inner().secret;

    let backend = replicas.calls(&other, Some("backend.internal"), Credentials::default()).await;
    for number in 1..5 {
        screen(&backend, number).await.unwrap();
    }
    let sent: Vec<_> = (5..9).map(|number| v1::ScreenConversionsRequest { conversion: Some(of_shop(number)) }).collect();
    let answers = ScreeningServiceClient::new(backend.clone()).screen_conversions(futures::stream::iter(sent)).await.unwrap();
    let answers: Vec<_> = answers.into_inner().map(Result::unwrap).collect().await;
    assert!(
        answers.iter().all(|answer| matches!(answer.result, Some(v1::screen_conversions_response::Result::Decision(_)))),
        "{answers:?}"
    );
    hold(&replicas.calls(&other, Some("payouts.internal"), Credentials::default()).await, "by-certificate").await;
    hold(&replicas.calls(&other, None, Credentials::token(&token).unwrap()).await, "by-token").await;
    let payouts = replicas.calls(&holder, Some("payouts.internal"), Credentials::default()).await;
    let request = v1::ListHoldsRequest { program_id: "shop".to_owned(), ..v1::ListHoldsRequest::default() };
    let holds = PayoutServiceClient::new(payouts).list_holds(request).await.unwrap().into_inner().holds;
    let placed: Vec<(&str, &str)> = holds.iter().map(|hold| (hold.hold_id.as_str(), hold.actor.as_str())).collect();
    assert_eq!(placed, [("before", "lena"), ("by-certificate", "payouts"), ("by-token", "payouts")]);

    // A mark that no replica made lets nobody in, whoever shows it.
    for forged in ["1", "1790000000000;identity;00;ops", "1790000000000;nameless;00;"] {
        let mut request = tonic::Request::new(v1::WhoAmIRequest {});
        request.metadata_mut().insert("selfsame-forwarded", forged.parse().unwrap());
        let refused = AccessServiceClient::new(ops.clone()).who_am_i(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{forged}");
    }
}
