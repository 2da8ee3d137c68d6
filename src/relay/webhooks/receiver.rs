//! One receiver: takes its part of the feed into its backlog, sends what is due, and does what an operator asks. Its state changes in this one task alone.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::Rng as _;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tonic::codegen::http::{HeaderMap, HeaderValue, Uri, header};

use super::backlog::{Attempted, Message, Record};
use super::log::Kept;
use super::pacing::{Pacing, asked_for};
use super::signature::{Secrets, signature};
use crate::adapters::https_client::{Answered, HttpsClient, NoAnswer};
use crate::adapters::system_clock::SystemClock;
use crate::ports::clock::Clock as _;
use crate::relay::board::{Board, Standing, TargetKind};
use crate::relay::config::{WebhookConfig, named};
use crate::relay::follow::{Fed, Source, follow};
use crate::relay::requests::{Asked, asked_of};
use crate::relay::told::Told;

/// What was read of the feed and not taken yet: a slow disk slows the feed of this receiver.
const FED_MAX: usize = 4;
/// How often it is looked for what an operator asks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest sleep until something is due: a clock that was set is noticed.
const SLEEP_MAX_MS: i64 = 60_000;

/// A receiver that is fed.
pub(in crate::relay) struct Receiver {
    config: WebhookConfig,
    folder: PathBuf,
    source: Source,
    board: Arc<Board>,
    kept: Kept,
    client: HttpsClient,
    uri: Uri,
    secrets: Secrets,
    pacing: Pacing,
    attempts: JoinSet<(String, Attempted)>,
    /// Nothing is sent before: the receiver asked for it. Unit: milliseconds since 1970.
    not_before_ms: i64,
    /// What is wrong with the feed.
    trouble: String,
}

/// The part of the feed that is read, and the task that reads it.
struct Feed {
    fed: mpsc::Receiver<Fed>,
    task: JoinHandle<()>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    /// Opens what is kept of a receiver.
    ///
    /// # Errors
    /// When its secrets, its authorities or its file cannot be used.
    pub(in crate::relay) fn open(
        config: WebhookConfig,
        folder: &Path,
        source: Source,
        board: Arc<Board>,
    ) -> anyhow::Result<Self> {
        let uri = config.uri();
        let client = if uri.scheme_str() == Some("https") {
            HttpsClient::open(named(&config.ca), config.within())?
        } else {
            HttpsClient::plain(config.within())
        };
        let receiver = Self {
            secrets: Secrets::open(config.secrets_file.clone())?,
            kept: Kept::open(folder, &config.name)?,
            pacing: Pacing::new(&config.retry_after_seconds),
            folder: folder.to_owned(),
            attempts: JoinSet::new(),
            not_before_ms: 0,
            trouble: String::new(),
            client,
            uri,
            source,
            board,
            config,
        };
        receiver.tell();
        Ok(receiver)
    }

    /// Feeds it until it is told to stop. What is on its way is waited for as long as an answer may take.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub(in crate::relay) async fn run(mut self, mut stop: watch::Receiver<bool>) -> io::Result<()> {
        let mut feed = self.feed();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !*stop.borrow_and_update() {
            self.send_what_is_due();
            let sleep = self.until_due();
            let has_room = self.kept.backlog().waiting() < self.config.waiting_max && self.kept.backlog().off().is_empty();
            tokio::select! {
                _ = stop.changed() => {}
                Some(ended) = self.attempts.join_next() => self.settle(ended)?,
                Some(fed) = feed.fed.recv(), if has_room => self.take(fed)?,
                _ = look.tick() => {
                    if self.look()? {
                        feed = self.feed();
                    }
                    self.tell();
                }
                () = tokio::time::sleep(sleep) => {}
            }
        }
        drop(feed);
        while let Some(ended) = self.attempts.join_next().await {
            self.settle(ended)?;
        }
        self.tell();
        Ok(())
    }

    /// Begins to read the feed after what was taken.
    fn feed(&self) -> Feed {
        let (tell, fed) = mpsc::channel(FED_MAX);
        let (program_id, after) = (self.config.program.clone(), self.kept.backlog().reached().to_owned());
        Feed { fed, task: tokio::spawn(follow(self.source.clone(), program_id, after, tell)) }
    }

    fn take(&mut self, fed: Fed) -> io::Result<()> {
        match fed {
            Fed::Following => self.trouble.clear(),
            Fed::Trouble(trouble) => {
                if trouble != self.trouble {
                    tracing::warn!(receiver = self.config.name, trouble, "the feed cannot be followed; it is tried again");
                }
                self.trouble = trouble;
            }
            Fed::Told { told, reached } => {
                let wanted = told.iter().filter(|told| told.is_for(&self.config)).map(message_of);
                let messages = wanted.collect::<io::Result<Vec<Message>>>()?;
                self.write(Record::Took { messages, reached })?;
            }
        }
        Ok(())
    }

    fn write(&mut self, record: Record) -> io::Result<()> {
        tokio::task::block_in_place(|| self.kept.write(record))
    }

    /// Until something is due, and may be sent.
    fn until_due(&self) -> Duration {
        let now_ms = SystemClock.now().as_millis();
        let may_send = self.attempts.len() < self.config.in_flight_max && self.kept.backlog().off().is_empty();
        let due_ms = self.kept.backlog().next_due_ms().filter(|_| may_send).unwrap_or(i64::MAX).max(self.not_before_ms);
        // A millisecond more: what is due has come then.
        let wait_ms = due_ms.saturating_sub(now_ms).clamp(0, SLEEP_MAX_MS) + 1;
        Duration::from_millis(u64::try_from(wait_ms).unwrap_or(1))
    }

    fn send_what_is_due(&mut self) {
        let now_ms = SystemClock.now().as_millis();
        if now_ms < self.not_before_ms || !self.kept.backlog().off().is_empty() {
            return;
        }
        while self.attempts.len() < self.config.in_flight_max {
            let Some(message) = self.kept.backlog_mut().give_out(now_ms) else { return };
            let at_seconds = now_ms / 1_000;
            let signed = signature(self.secrets.in_force(), &message.id, at_seconds, &message.body);
            let headers = headers(&message.id, at_seconds, &signed);
            let (client, uri) = (self.client.clone(), self.uri.clone());
            self.attempts.spawn(async move {
                let answered = client.post(&uri, headers, Bytes::from(message.body)).await;
                (message.id, attempted(answered, SystemClock.now().as_millis()))
            });
        }
    }

    fn settle(&mut self, ended: Result<(String, Attempted), tokio::task::JoinError>) -> io::Result<()> {
        // A task that panicked leaves its message on its way until the next start; none does.
        let (id, ended) = ended.map_err(io::Error::other)?;
        let now_ms = SystemClock.now().as_millis();
        if let Attempted::Missed { pause_ms, .. } = &ended
            && *pause_ms > 0
        {
            self.not_before_ms = self.not_before_ms.max(now_ms.saturating_add(*pause_ms));
        }
        let chance = rand::thread_rng().gen_range(0.0..1.0);
        for record in self.kept.backlog().judge(&id, ended, now_ms, &self.pacing, chance) {
            let receiver = &self.config.name;
            match &record {
                Record::Died { why, .. } => {
                    tracing::warn!(receiver, id, why, "a message is dead: `selfsame relay dead` shows it");
                }
                Record::SwitchedOff { why } => tracing::warn!(receiver, why, "the receiver is switched off"),
                Record::Missed { why, .. } => tracing::debug!(receiver, id, why, "an attempt failed"),
                Record::Delivered { .. } => tracing::debug!(receiver, id, "delivered"),
                Record::Took { .. } | Record::Revived { .. } | Record::Turned { .. } | Record::SwitchedOn | Record::Sum(_) => {}
            }
            self.write(record)?;
        }
        if self.kept.backlog().dead_count() >= self.config.dead_max && self.kept.backlog().off().is_empty() {
            let why = format!("{} messages are dead, which is `dead_max`", self.config.dead_max);
            tracing::warn!(receiver = self.config.name, why, "the receiver is switched off");
            self.write(Record::SwitchedOff { why })?;
        }
        Ok(())
    }

    /// Does what an operator asks; true when the feed is to be read from elsewhere.
    fn look(&mut self) -> io::Result<bool> {
        let mut turned = false;
        for (file, asked) in asked_of(&self.folder, &self.config.name)? {
            tracing::info!(receiver = self.config.name, ?asked, "asked by an operator");
            match asked {
                Asked::Retry { ids } => {
                    let dead = self.kept.backlog().dead().into_iter().map(|letter| letter.message.id.clone());
                    let ids = if ids.is_empty() { dead.collect() } else { ids };
                    self.write(Record::Revived { ids })?;
                }
                Asked::Replay { after } => {
                    self.write(Record::Turned { after })?;
                    turned = true;
                }
                Asked::SwitchOn => {
                    self.not_before_ms = 0;
                    self.write(Record::SwitchedOn)?;
                }
            }
            // Asked twice is no harm: what is asked can be done again.
            std::fs::remove_file(file)?;
        }
        Ok(turned)
    }

    fn tell(&self) {
        let backlog = self.kept.backlog();
        let trouble = if self.trouble.is_empty() { backlog.last_failure().to_owned() } else { self.trouble.clone() };
        self.board.set(Standing {
            name: self.config.name.clone(),
            kind: TargetKind::Webhook,
            program: self.config.program.clone(),
            cursor: backlog.reached().to_owned(),
            delivered: backlog.delivered(),
            retried: backlog.retried(),
            waiting: backlog.waiting() as u64,
            dead: backlog.dead_count() as u64,
            oldest_waiting_ms: backlog.oldest_waiting_ms(),
            off: backlog.off().to_owned(),
            trouble,
        });
    }
}

fn message_of(told: &Told) -> io::Result<Message> {
    Ok(Message {
        id: told.id.clone(),
        referral: told.referral(),
        kind: told.kind(),
        cursor: told.event.cursor.clone(),
        recorded_at_ms: told.recorded_at_ms(),
        body: told.body()?,
        attempts: 0,
        due_ms: 0,
        why: String::new(),
    })
}

/// The headers of a message. Ids are of printable ASCII, so that each is a header.
fn headers(id: &str, at_seconds: i64, signed: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut set = |name: header::HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_str(text) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "application/json");
    set(header::USER_AGENT, concat!("selfsame/", env!("CARGO_PKG_VERSION")));
    set(header::HeaderName::from_static("webhook-id"), id);
    set(header::HeaderName::from_static("webhook-timestamp"), &at_seconds.to_string());
    set(header::HeaderName::from_static("webhook-signature"), signed);
    headers
}

fn attempted(answered: Result<Answered, NoAnswer>, now_ms: i64) -> Attempted {
    match answered {
        Ok(Answered { status: 200..=299, .. }) => Attempted::Accepted,
        Ok(Answered { status: 410, .. }) => Attempted::Gone,
        Ok(Answered { status, retry_after }) => {
            let why = match status {
                300..=399 => format!("it answered {status}; redirects are not followed"),
                _ => format!("it answered {status}"),
            };
            let pause = retry_after.and_then(|asked| asked_for(&asked, now_ms)).unwrap_or_default();
            Attempted::Missed { why, pause_ms: i64::try_from(pause.as_millis()).unwrap_or(i64::MAX) }
        }
        Err(no_answer) => Attempted::Missed { why: no_answer.to_string(), pause_ms: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_2xx_is_an_acceptance() {
        let of = |status| attempted(Ok(Answered { status, retry_after: Some("2".to_owned()) }), 0);
        assert_eq!([of(200), of(204)], [Attempted::Accepted, Attempted::Accepted]);
        assert_eq!(of(410), Attempted::Gone);
        assert_eq!(of(503), Attempted::Missed { why: "it answered 503".to_owned(), pause_ms: 2_000 });
        let Attempted::Missed { why, .. } = of(302) else { panic!("a redirect is no acceptance") };
        assert!(why.contains("not followed"));
        let late = attempted(Err(NoAnswer::TooLate(Duration::from_secs(15))), 0);
        assert_eq!(late, Attempted::Missed { why: "no answer within 15 s".to_owned(), pause_ms: 0 });
    }
}
