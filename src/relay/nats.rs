//! One stream of NATS JetStream: publishes the feed to it, and knows from the stream itself how far it is.
//!
//! A message carries the cursor up to which everything stood in the stream, acknowledged, when it was sent. So the last message says where to go on, however the
//! relay, its disk or the servers ended; what is sent again has the id that it had, and the stream drops it within its window.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_EXPECTED_STREAM, NATS_MESSAGE_ID};
use async_nats::jetstream::Context;
use async_nats::jetstream::context::{ContextBuilder, PublishAckFuture};
use async_nats::jetstream::stream::{Config, LastRawMessageErrorKind, Stream};
use async_nats::{ConnectOptions, ServerAddr};
use tokio::sync::{mpsc, watch};

use super::board::{Board, Standing, TargetKind, write_whole};
use super::config::{NatsConfig, named};
use super::follow::{Fed, Pauses, Source, follow};
use super::told::{Told, as_token};
use crate::adapters::private;

/// The header of the cursor up to which everything stands in the stream.
const CURSOR: &str = "Selfsame-Cursor";
/// What was read of the feed and not published yet.
const FED_MAX: usize = 4;
/// The folder of cursors, in the relay's: for streams that let go of their messages.
const FOLDER: &str = "nats";
/// How long is waited for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A stream that is fed.
pub(super) struct Publisher {
    config: NatsConfig,
    source: Source,
    board: Arc<Board>,
    /// The file of the cursor.
    file: PathBuf,
    standing: Standing,
}

/// Why it cannot go on; it begins again from what the stream says.
type Broken = String;

impl Publisher {
    /// Makes a place for the cursor.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub(super) fn open(config: NatsConfig, folder: &Path, source: Source, board: Arc<Board>) -> io::Result<Self> {
        private::make_folder(&folder.join(FOLDER))?;
        let file = folder.join(FOLDER).join(format!("{}.cursor", config.name));
        let standing = Standing {
            name: config.name.clone(),
            kind: TargetKind::Nats,
            program: config.program.clone(),
            ..Standing::default()
        };
        board.set(standing.clone());
        Ok(Self { config, source, board, file, standing })
    }

    /// Publishes until it is told to stop.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut pauses = Pauses::default();
        while !*stop.borrow_and_update() {
            let Err(broken) = self.publish_until_broken(&mut stop, &mut pauses).await else { return };
            if broken != self.standing.trouble {
                tracing::warn!(stream = self.config.name, trouble = broken, "the stream cannot be fed; it is tried again");
            }
            self.standing.trouble = broken;
            self.board.set(self.standing.clone());
            tokio::select! {
                () = pauses.pause() => {}
                _ = stop.changed() => {}
            }
        }
    }

    async fn publish_until_broken(&mut self, stop: &mut watch::Receiver<bool>, pauses: &mut Pauses) -> Result<(), Broken> {
        let context = self.connect().await?;
        let stream = self.stream(&context).await?;
        let after = self.cursor_of(&stream).await?;
        self.standing.cursor.clone_from(&after);
        let (tell, mut fed) = mpsc::channel(FED_MAX);
        let task = tokio::spawn(follow(self.source.clone(), self.config.program.clone(), after, tell));
        let _ends_with_this = AbortOnDrop(task);
        loop {
            let next = tokio::select! {
                next = fed.recv() => next,
                _ = stop.changed() => return Ok(()),
            };
            match next {
                None => return Err("the feed ended".to_owned()),
                Some(Fed::Following) => self.standing.trouble.clear(),
                Some(Fed::Trouble(trouble)) => {
                    if trouble != self.standing.trouble {
                        tracing::warn!(stream = self.config.name, trouble, "the feed cannot be followed; it is tried again");
                    }
                    self.standing.trouble = trouble;
                }
                Some(Fed::Told { told, reached }) => {
                    self.publish(&context, &told, &reached).await?;
                    self.standing.trouble.clear();
                    pauses.went_well();
                }
            }
            self.board.set(self.standing.clone());
        }
    }

    async fn connect(&self) -> Result<Context, Broken> {
        let servers = self.config.url.split(',').map(|url| url.trim().parse::<ServerAddr>());
        let servers = servers.collect::<Result<Vec<_>, _>>().map_err(|error| format!("`url`: {error}"))?;
        let mut options = ConnectOptions::new().name("selfsame relay").connection_timeout(CONNECT_MAX);
        if let Some(ca) = named(&self.config.ca) {
            options = options.add_root_certificates(ca.to_owned());
        }
        if let Some(file) = named(&self.config.credentials_file) {
            let read = options.credentials_file(file).await;
            options = read.map_err(|error| format!("the credentials in `{}`: {error}", file.display()))?;
        }
        let client = options.connect(servers).await.map_err(|error| format!("NATS: {error}"))?;
        let within = Duration::from_secs_f64(self.config.timeout_seconds);
        Ok(ContextBuilder::new().timeout(within).ack_timeout(within).build(client))
    }

    fn subjects(&self) -> String {
        format!("{}.{}.>", self.config.subject, as_token(&self.config.program))
    }

    async fn stream(&self, context: &Context) -> Result<Stream, Broken> {
        let NatsConfig { stream: name, create_stream, duplicate_window_seconds, .. } = &self.config;
        if !create_stream {
            let found = context.get_stream(name).await;
            return found.map_err(|error| format!("the stream `{name}`: {error}; make it, or set create_stream = true"));
        }
        // Streams of several programmes may be one.
        let wanted = Config {
            name: name.clone(),
            subjects: vec![format!("{}.>", self.config.subject)],
            duplicate_window: Duration::from_secs(*duplicate_window_seconds),
            ..Config::default()
        };
        context.get_or_create_stream(wanted).await.map_err(|error| format!("the stream `{name}`: {error}"))
    }

    /// Where to go on: what the stream's last message of this programme says, else what was kept here.
    async fn cursor_of(&self, stream: &Stream) -> Result<String, Broken> {
        match stream.get_last_raw_message_by_subject(&self.subjects()).await {
            Ok(message) => {
                let cursor = message.headers.get(CURSOR).map(|value| value.as_str().to_owned());
                cursor.ok_or_else(|| {
                    format!("the last message of `{}` has no header `{CURSOR}`: others publish there", self.subjects())
                })
            }
            Err(error) if matches!(error.kind(), LastRawMessageErrorKind::NoMessageFound) => {
                match std::fs::read_to_string(&self.file) {
                    Ok(kept) => Ok(kept),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
                    Err(error) => Err(format!("`{}`: {error}", self.file.display())),
                }
            }
            Err(error) => Err(format!("the stream `{}`: {error}", self.config.stream)),
        }
    }

    /// Publishes events in order. Several are on their way at a time, but never two of one referral, and the last one goes when all before it are acknowledged:
    /// it then carries the newest cursor, so that nothing is sent again after a quiet end.
    async fn publish(&mut self, context: &Context, told: &[Told], reached: &str) -> Result<(), Broken> {
        let (mut on_their_way, mut referrals) = (Vec::new(), BTreeSet::new());
        for (at, event) in told.iter().enumerate() {
            let is_last = at + 1 == told.len();
            let referral = event.referral();
            if is_last || on_their_way.len() >= self.config.in_flight_max || referrals.contains(&referral) {
                self.acknowledged(&mut on_their_way).await?;
                referrals.clear();
                if let Some(before) = at.checked_sub(1).and_then(|at| told.get(at)) {
                    self.standing.cursor.clone_from(&before.complete);
                }
            }
            let cursor = if is_last { reached } else { &self.standing.cursor };
            on_their_way.push(self.send(context, event, cursor).await?);
            referrals.insert(referral);
        }
        self.acknowledged(&mut on_their_way).await?;
        reached.clone_into(&mut self.standing.cursor);
        // The stream says it better, as long as it holds a message.
        write_whole(&self.file, reached.as_bytes()).map_err(|error| format!("`{}`: {error}", self.file.display()))
    }

    async fn send(&self, context: &Context, told: &Told, cursor: &str) -> Result<PublishAckFuture, Broken> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, told.id.as_str());
        headers.insert(NATS_EXPECTED_STREAM, self.config.stream.as_str());
        headers.insert(CURSOR, cursor);
        let subject = format!("{}.{}.{}", self.config.subject, as_token(&self.config.program), told.kind());
        let body = told.body().map_err(|error| error.to_string())?;
        context.publish_with_headers(subject, headers, body.into()).await.map_err(|error| format!("NATS: {error}"))
    }

    async fn acknowledged(&mut self, on_their_way: &mut Vec<PublishAckFuture>) -> Result<(), Broken> {
        for sent in on_their_way.drain(..) {
            let acknowledged = sent.await.map_err(|error| format!("NATS: {error}"))?;
            if acknowledged.duplicate {
                self.standing.retried += 1;
            } else {
                self.standing.delivered += 1;
            }
        }
        Ok(())
    }
}

/// A task that ends with whoever began it.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
