//! The real binary in a folder of its own, driven once through everything that its figures count.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use selfsame::wire::{WireTimestamp, v1};
use serde_json::Value;
use tempfile::TempDir;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint};

/// The e-mail address that stands in a field where none belongs; it must be found nowhere.
pub(crate) const PLANTED: &str = "jane.doe@example.com";
/// The programme of the drive.
pub(crate) const PROGRAM: &str = "shop";
/// Conversions of the drive: enough for a snapshot, and for drift to be told.
const CONVERSIONS: usize = 1_100;
/// The longest that gauges may take: they are set every 15 seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server that runs.
pub(crate) struct Server {
    process: Child,
    folder: TempDir,
    metrics: SocketAddr,
    log: BufReader<std::process::ChildStderr>,
    /// What it said until it served.
    said: Vec<String>,
    pub(crate) api: String,
}

/// A figure as it is scraped: the names of its labels, in each of the ways in which it has them.
pub(crate) type Scrape = BTreeMap<String, BTreeSet<Vec<String>>>;

impl Server {
    pub(crate) fn start(folder: TempDir) -> Self {
        Self::start_with(folder, &[])
    }

    /// Starts with these variables.
    pub(crate) fn start_with(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        // Free a moment ago; nobody else on the machine asks for this one by number.
        let metrics = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_selfsame"))
            .args(["serve", "--data-dir", "data", "--listen", "127.0.0.1:0", "--log-format", "json", "--metrics"])
            .arg(metrics.to_string())
            .env("SELFSAME_LEDGER__SNAPSHOT_EVERY_RECORDS", "1000")
            .env("SELFSAME_LOG__LINES_PER_SECOND", "5")
            .envs(variables.iter().copied())
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let (mut said, mut api) = (Vec::new(), None);
        while api.is_none() {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "it did not start: {said:#?}");
            let told: Value = serde_json::from_str(&line).unwrap();
            if told["message"] == "selfsame serves" {
                api = Some(format!("http://{}", told["address"].as_str().unwrap()));
            }
            said.push(line);
        }
        Self { process, folder, metrics, log, said, api: api.unwrap() }
    }

    /// What of its memory is in use. Unit: MiB.
    pub(crate) fn resident_mib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() / 1_024
    }

    /// The whole of its log, once it was told to stop and did.
    pub(crate) fn stop(mut self) -> (Vec<Value>, TempDir) {
        assert!(Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status().unwrap().success());
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        assert!(self.process.wait().unwrap().success());
        let lines = self.said.iter().map(String::as_str).chain(rest.lines());
        (lines.map(|line| serde_json::from_str(line).unwrap()).collect(), self.folder)
    }

    /// The folder that it works in.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// What its metrics address answers.
    pub(crate) fn text(&self) -> String {
        let mut connection = TcpStream::connect(self.metrics).unwrap();
        connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: selfsame\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// What its metrics address answers once a line of it begins so; gauges are set every fifteen seconds.
    #[expect(clippy::disallowed_methods, reason = "what another process shows is seen by looking again")]
    pub(crate) fn text_with(&self, beginnings: &[&str]) -> String {
        let began = Instant::now();
        loop {
            let text = self.text();
            let missing: Vec<_> =
                beginnings.iter().filter(|beginning| !text.lines().any(|line| line.starts_with(**beginning))).collect();
            if missing.is_empty() {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "{missing:?} do not appear in:\n{text}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// The figures of a scrape with the names of their labels, `le` left out.
pub(crate) fn scraped(text: &str) -> Scrape {
    let mut found = Scrape::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, labels)| (name, labels.trim_end_matches('}')));
        let names = labels.split("\",").filter_map(|label| label.split_once('=')).map(|(name, _)| name.to_owned());
        found.entry(name.to_owned()).or_default().insert(names.filter(|name| name != "le").collect());
    }
    found
}

fn at(seconds: i64) -> WireTimestamp {
    WireTimestamp { seconds, nanos: 0 }
}

fn side(account: &str, key: &str) -> v1::SignalBundle {
    let value: Vec<u8> = account.bytes().chain([0xff; 32]).take(32).collect();
    let mailbox = vec![v1::Digest { key_id: key.to_owned(), value: value.into() }];
    v1::SignalBundle {
        account_id: account.to_owned(),
        emails: vec![v1::EmailSignals { mailbox, ..Default::default() }],
        ..Default::default()
    }
}

/// A conversion with a reward of 500 cents; the referee digests under a key of his own when `key` says so.
fn conversion(number: usize, now: i64, key: &str) -> v1::Conversion {
    v1::Conversion {
        program_id: PROGRAM.to_owned(),
        conversion_id: format!("cv-{number}"),
        kind: v1::ConversionKind::NewSignup.into(),
        occurred_at: Some(at(now)),
        attribution: Some(v1::Attribution {
            captured_via: v1::CapturedVia::Link.into(),
            ucc: "CODE".to_owned(),
            code_validity: Some(v1::CodeValidity::Valid.into()),
            ..Default::default()
        }),
        referrer: Some(side(&format!("referrer-{number}"), "k1")),
        referee: Some(side(&format!("referee-{number}"), key)),
        rewards: vec![v1::Reward {
            reward_id: format!("r-{number}"),
            beneficiary: v1::Side::Referrer.into(),
            amount: Some(v1::Money { amount_minor: 500, currency: "EUR".to_owned() }),
        }],
        ..Default::default()
    }
}

/// Something to open again.
pub(crate) async fn screen_one(api: &str, now: i64) {
    screen(api, now, CONVERSIONS + 1).await;
}

/// One conversion.
pub(crate) async fn screen(api: &str, now: i64, number: usize) {
    let mut screening = v1::screening_service_client::ScreeningServiceClient::connect(api.to_owned()).await.unwrap();
    let conversion = Some(conversion(number, now, "k1"));
    screening.screen_conversion(v1::ScreenConversionRequest { conversion }).await.unwrap();
}

/// One conversion, as a part of a trace.
pub(crate) async fn screen_in_trace(api: &str, now: i64, number: usize, traceparent: &str) {
    let mut screening = v1::screening_service_client::ScreeningServiceClient::connect(api.to_owned()).await.unwrap();
    let mut request = tonic::Request::new(v1::ScreenConversionRequest { conversion: Some(conversion(number, now, "k1")) });
    request.metadata_mut().insert("traceparent", traceparent.parse().unwrap());
    screening.screen_conversion(request).await.unwrap();
}

/// Does once what the figures count: decisions, refusals, streams, questions to the gate, reservations, payments, a follower, reloads, the
/// future.
pub(crate) async fn drive(api: &str, now: i64) -> Channel {
    let channel = Endpoint::from_shared(api.to_owned()).unwrap().connect().await.unwrap();
    let mut screening = v1::screening_service_client::ScreeningServiceClient::new(channel.clone());
    let mut payout = v1::payout_service_client::PayoutServiceClient::new(channel.clone());
    let mut many: Vec<_> = (0..CONVERSIONS).map(|number| conversion(number, now, "k1")).collect();
    many.push(conversion(CONVERSIONS, now, "k2"));
    let malformed = v1::Conversion { conversion_id: PLANTED.to_owned(), ..conversion(0, now, "k1") };
    many.push(malformed.clone());
    let requests = many.into_iter().map(|conversion| v1::ScreenConversionsRequest { conversion: Some(conversion) });
    let mut answers = screening.screen_conversions(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let (mut decided, mut refused) = (0, Vec::new());
    while let Some(answer) = answers.next().await {
        match answer.unwrap().result.unwrap() {
            v1::screen_conversions_response::Result::Decision(_) => decided += 1,
            v1::screen_conversions_response::Result::Error(error) => refused.push(error.reason),
        }
    }
    assert_eq!((decided, refused), (CONVERSIONS + 1, vec!["INVALID_FIELDS".to_owned()]));
    screening.screen_conversion(v1::ScreenConversionRequest { conversion: Some(malformed) }).await.unwrap_err();

    let outcome = v1::Outcome {
        kind: v1::OutcomeKind::AccountBanned.into(),
        occurred_at: Some(at(now + 86_400)),
        subject: Some(v1::outcome::Subject::AccountId("referee-7".to_owned())),
        ..Default::default()
    };
    let (program_id, outcome_id) = (PROGRAM.to_owned(), "o-1".to_owned());
    screening.record_outcome(v1::RecordOutcomeRequest { program_id, outcome_id, outcome: Some(outcome) }).await.unwrap();

    let ids = |number: usize| (format!("r-{number}"), format!("cv-{number}"));
    let (reward_id, conversion_id) = ids(1);
    let payouts = vec![v1::PayoutQuery { reward_id, conversion_id }];
    payout.check_payouts(v1::CheckPayoutsRequest { program_id: PROGRAM.to_owned(), payouts }).await.unwrap();
    let (reward_id, conversion_id) = ids(1);
    let amount = Some(v1::Money { amount_minor: 500, currency: "EUR".to_owned() });
    let reserve = v1::ReservePayoutsRequest {
        program_id: PROGRAM.to_owned(),
        request_id: "run-1".to_owned(),
        payouts: vec![v1::PayoutWanted { reward_id, conversion_id, amount: amount.clone() }],
        ..Default::default()
    };
    payout.reserve_payouts(reserve).await.unwrap();
    let (reward_id, conversion_id) = ids(1);
    let paid = v1::MarkPaidRequest {
        program_id: PROGRAM.to_owned(),
        reward_id,
        conversion_id,
        amount,
        paid_at: Some(at(now)),
        ..Default::default()
    };
    payout.mark_paid(paid).await.unwrap();
    channel
}

/// A follower that stays.
pub(crate) async fn follow(channel: Channel) -> tonic::Streaming<v1::WatchDecisionsResponse> {
    let mut payout = v1::payout_service_client::PayoutServiceClient::new(channel);
    let watch = v1::WatchDecisionsRequest { program_id: PROGRAM.to_owned(), ..Default::default() };
    let mut events = payout.watch_decisions(watch).await.unwrap().into_inner();
    assert!(events.next().await.unwrap().is_ok());
    events
}
