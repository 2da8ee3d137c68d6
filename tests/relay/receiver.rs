//! A receiver of webhooks that answers as a test wants, and remembers what it was sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use parking_lot::Mutex;
use selfsame::relay::{signature, signing_secret};
use serde_json::Value;
use tokio::sync::watch;

/// The longest that anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// A request that was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) body: Value,
    pub(crate) answer: u16,
    pub(crate) at: Instant,
}

impl Received {
    /// Referrer and referee.
    pub(crate) fn referral(&self) -> String {
        format!("{} {}", self.body["data"]["referrerAccountId"], self.body["data"]["refereeAccountId"])
    }

    /// The place in the feed.
    pub(crate) fn place(&self) -> u64 {
        self.body["data"]["cursor"].as_str().unwrap().split('-').next().unwrap().parse().unwrap()
    }
}

/// What is answered to a message that came so many times before: the status, and `Retry-After`.
pub(crate) type Answers = dyn Fn(&Value, usize) -> (u16, Option<&'static str>) + Send + Sync;

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    pub(crate) secret: String,
    kept: Arc<Kept>,
}

struct Kept {
    secret: String,
    received: Mutex<Vec<Received>>,
    changed: watch::Sender<()>,
    answers: Mutex<Box<Answers>>,
}

impl Receiver {
    pub(crate) async fn start(
        secret: &str,
        answers: impl Fn(&Value, usize) -> (u16, Option<&'static str>) + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let kept = Arc::new(Kept {
            secret: secret.to_owned(),
            received: Mutex::default(),
            changed: watch::Sender::new(()),
            answers: Mutex::new(Box::new(answers)),
        });
        let pages = Router::new().route("/hooks", post(receive)).with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, pages).await });
        Self { address, secret: secret.to_owned(), kept }
    }

    /// Answers otherwise from now on.
    pub(crate) fn answer(&self, answers: impl Fn(&Value, usize) -> (u16, Option<&'static str>) + Send + Sync + 'static) {
        *self.kept.answers.lock() = Box::new(answers);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.kept.received.lock().clone()
    }

    /// What was accepted, without what came again.
    pub(crate) fn accepted(&self) -> Vec<Received> {
        let mut first = BTreeMap::new();
        for (number, received) in self.received().into_iter().enumerate().filter(|(_, received)| received.answer == 200) {
            first.entry(received.id.clone()).or_insert((number, received));
        }
        let mut accepted: Vec<_> = first.into_values().collect();
        accepted.sort_by_key(|(number, _)| *number);
        accepted.into_iter().map(|(_, received)| received).collect()
    }

    /// Waits until what was received is as it should be.
    pub(crate) async fn until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let mut changed = self.kept.changed.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !is_so(self) {
                changed.changed().await.unwrap();
            }
        });
        assert!(
            waited.await.is_ok(),
            "{what} did not come; {} requests did: {:#?}",
            self.received().len(),
            self.received().last()
        );
    }
}

async fn receive(State(kept): State<Arc<Kept>>, headers: HeaderMap, body: Bytes) -> (StatusCode, HeaderMap) {
    let header = |name: &str| headers.get(name).unwrap().to_str().unwrap().to_owned();
    let (id, at) = (header("webhook-id"), header("webhook-timestamp"));
    let text = std::str::from_utf8(&body).unwrap();
    // Signed now, and with this receiver's secret among others.
    let expected = signature(&[signing_secret(&kept.secret).unwrap()], &id, at.parse().unwrap(), text);
    assert!(header("webhook-signature").split(' ').any(|signed| signed == expected));
    let body: Value = serde_json::from_str(text).unwrap();
    let mut received = kept.received.lock();
    let before = received.iter().filter(|earlier| earlier.id == id).count();
    let (status, retry_after) = kept.answers.lock()(&body, before);
    received.push(Received { id, body, answer: status, at: Instant::now() });
    drop(received);
    kept.changed.send_replace(());
    let mut headers = HeaderMap::new();
    if let Some(after) = retry_after {
        headers.insert("retry-after", after.parse().unwrap());
    }
    (StatusCode::from_u16(status).unwrap(), headers)
}
