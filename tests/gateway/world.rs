//! A gateway on a loopback port over a ledger in memory, with a clock that is set, and payloads as their senders document them.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use secrecy::SecretString;
use selfsame::adapters::journal::MemoryJournal;
use selfsame::adapters::model_shelf::ModelShelf;
use selfsame::adapters::policy_store::{PolicySources, PolicyStore};
use selfsame::adapters::standing_rules::StandingRules;
use selfsame::book::command::{Command, DirectoryCommand};
use selfsame::book::cursor::FeedCursor;
use selfsame::book::directory::{DirectoryStep, LedgerKey, Stage};
use selfsame::book::records::Cursor;
use selfsame::digesting::{Digester, ProgrammeKey};
use selfsame::gateway::http::{GatewayParts, serve};
use selfsame::gateway::pump::Pump;
use selfsame::gateway::setup::{GatewayProgram, MetadataNames};
use selfsame::gateway::stripe::signature;
use selfsame::ledger::{JournaledLedger, LateFacts, LedgerOptions};
use selfsame::ports::clock::Clock;
use selfsame::ports::ledger::Ledger;
use selfsame::service::first_start::register;
use selfsame::vocabulary::conversion::Conversion;
use selfsame::vocabulary::digest::KeyId;
use selfsame::vocabulary::ids::{Actor, ConversionId, ProgramId};
use selfsame::vocabulary::time::{Span, Timestamp};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) const SECRET: &str = "whsec_the_first_of_two";
pub(crate) const OTHER_SECRET: &str = "whsec_the_second_of_two";
pub(crate) const CHARGEBEE: &str = "chargebee:a-password";

/// What all gateways of this process log, down to the last line.
#[derive(Clone, Default)]
pub(crate) struct Log(pub(crate) Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) fn log() -> &'static Log {
    static LOG: OnceLock<Log> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Log::default();
        let made = log.clone();
        let subscriber =
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || made.clone()).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
        log
    })
}

/// When the payloads begin.
pub(crate) fn begin() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000).unwrap()
}

#[derive(Debug)]
pub(crate) struct SetClock(Mutex<Timestamp>);

impl SetClock {
    pub(crate) fn set(&self, at: Timestamp) {
        *self.0.lock() = at;
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.lock()
    }
}

pub(crate) struct World {
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) journal: Arc<MemoryJournal>,
    pub(crate) clock: Arc<SetClock>,
    pub(crate) address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

pub(crate) fn shop() -> ProgramId {
    ProgramId::new("shop").unwrap()
}

pub(crate) fn key() -> ProgrammeKey {
    ProgrammeKey::from_text(KeyId::new("k1").unwrap(), "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
        .unwrap()
}

fn names() -> MetadataNames {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    MetadataNames { code: names(&["cello_ucc", "ucc"]), account: names(&["new_user_id"]) }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn start(stage: Stage) -> Self {
        log();
        let journal = Arc::new(MemoryJournal::default());
        let sources = PolicySources { file: None, folder: None, kept_for: None };
        let rules = StandingRules::new(Arc::new(PolicyStore::open(sources).unwrap()), Arc::new(ModelShelf::default()), None);
        let options = LedgerOptions { late_facts: LateFacts::LeftAlone, ..LedgerOptions::default() };
        let opened = JournaledLedger::open(Arc::clone(&journal) as _, None, options, Arc::new(rules)).unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(opened);
        let clock = Arc::new(SetClock(Mutex::new(begin().plus(Span::from_days(2)))));
        register(&ledger, &*clock, "shop", stage).await.unwrap();
        let program = GatewayProgram {
            id: shop(),
            digester: Digester::new(&key()),
            key_id: KeyId::new("k1").unwrap(),
            stripe_secrets: [SECRET, OTHER_SECRET].map(|secret| SecretString::from(secret.to_owned())).into(),
            chargebee_credentials: vec![SecretString::from(CHARGEBEE.to_owned())],
            names: names(),
            plan_prices_minor: vec![49_900],
        };
        let programs = Arc::new(BTreeMap::from([(shop(), Arc::new(program))]));
        let (pump, handle) = Pump::new(Arc::clone(&ledger), Arc::clone(&clock) as _, Arc::clone(&programs));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let parts = GatewayParts { ledger: Arc::clone(&ledger), clock: Arc::clone(&clock) as _, programs, pump: handle };
        let serving = tokio::spawn(async move { serve(listener, parts).await.unwrap() });
        Self { ledger, journal, clock, address, tasks: vec![serving, tokio::spawn(pump.run())] }
    }

    pub(crate) async fn directory(&self, step: DirectoryStep) {
        let actor = Actor::new("root").unwrap();
        let command = DirectoryCommand { program_id: ProgramId::directory(), step, actor, at: self.clock.now() };
        self.ledger.execute(Command::ChangeDirectory(Box::new(command))).await.unwrap();
    }

    pub(crate) async fn with_ledger_key(&self) {
        self.directory(DirectoryStep::MakeKey(LedgerKey([7; 32]))).await;
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // A server that has read enough may close while more is written.
        drop(stream.write_all(body).await);
        read(stream).await
    }

    /// Sends a payload as Stripe does.
    pub(crate) async fn stripe(&self, payload: &str) -> Answer {
        let header = signature::header(payload.as_bytes(), SECRET, self.clock.now());
        self.send("POST", "/shop/stripe", &[("stripe-signature", &header)], payload.as_bytes()).await
    }

    pub(crate) async fn chargebee(&self, payload: &str) -> Answer {
        use base64::Engine as _;
        let shown = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(CHARGEBEE));
        self.send("POST", "/shop/chargebee", &[("authorization", &shown)], payload.as_bytes()).await
    }

    pub(crate) async fn event(&self, payload: &str) -> Answer {
        self.send("POST", "/shop/events", &[], payload.as_bytes()).await
    }

    pub(crate) async fn code(&self, code: &str, owner: &str) {
        let body = format!(r#"{{"productUserId":"{owner}","campaignId":"spring","from":"2026-01-01T00:00:00Z"}}"#);
        let answer = self.send("PUT", &format!("/shop/referral-codes/{code}"), &[], body.as_bytes()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The conversion, once it is there.
    pub(crate) async fn conversion(&self, id: &str) -> Conversion {
        let id = ConversionId::new(id).unwrap();
        self.until(async || self.ledger.decision(&shop(), &id).await.unwrap().map(|record| record.conversion)).await
    }

    /// What is asked for, as soon as it is there: looked for after each record that becomes durable.
    pub(crate) async fn until<T>(&self, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let waiting = async {
            loop {
                let FeedCursor { place, .. } = self.ledger.end(&shop()).await.unwrap();
                if let Some(found) = look().await {
                    return found;
                }
                self.ledger.grown_past(&shop(), Cursor(place.0)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.expect("it never came")
    }
}

pub(crate) async fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: serde_json::from_str(body).unwrap_or(Value::Null) }
}

macro_rules! payload {
    ($name:literal) => {
        include_str!(concat!("payloads/", $name, ".json"))
    };
}
pub(crate) use payload;

/// All that Stripe sends of one customer's life.
pub(crate) const STRIPE_LIFE: [&str; 11] = [
    payload!("stripe_customer_created"),
    payload!("stripe_payment_method_attached"),
    payload!("stripe_subscription_created"),
    payload!("stripe_invoice_paid"),
    payload!("stripe_charge_succeeded"),
    payload!("stripe_customer_updated"),
    payload!("stripe_charge_one_time"),
    payload!("stripe_charge_refunded"),
    payload!("stripe_charge_refunded_more"),
    payload!("stripe_dispute_created"),
    payload!("stripe_dispute_closed_won"),
];
