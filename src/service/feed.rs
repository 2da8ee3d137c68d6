//! The feed as a stream: from a cursor, at least once, in order, without gaps, with signs of life.
//!
//! It must never send a cursor before the events up to it. The consumer pulls: a slow one slows its own stream and nothing else. The payout
//! handlers call it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tonic::Status;

use super::errors::Refusal;
use super::followers::Follower;
use super::limits::contained;
use super::shared::Shared;
use crate::book::cursor::FeedCursor;
use crate::book::records::{Cursor, FeedEvent};
use crate::wire::feed::{Watch, WatchMode, event_message};
use crate::wire::fields::time_message;
use crate::wire::v1;

/// Journal records that are read at a time.
const RECORDS_READ: usize = 1_000;
/// Events of one message.
const EVENTS_MAX: usize = 1_000;

/// A watch that runs.
struct Running {
    shared: Arc<Shared>,
    watch: Watch,
    /// Up to here everything was sent or filtered out.
    cursor: FeedCursor,
    /// Where a watch that stops at the end stops: the end of the feed when it began.
    end: Cursor,
    /// What comes next, when it is clear that more comes: it is read while what came before is sent.
    ahead: Option<JoinHandle<Result<Page, Refusal>>>,
    /// Messages that are made and not sent yet.
    ready: VecDeque<v1::WatchDecisionsResponse>,
    last_sent: Instant,
    stage: Stage,
    follower: Follower,
}

/// Events, and the place up to which they were read.
type Page = (Vec<FeedEvent>, FeedCursor);

/// How far a watch is.
enum Stage {
    Running,
    /// The last message was made; when it is sent, the stream ends.
    Ending(Option<Refusal>),
    Ended,
}

/// Opens a watch.
///
/// # Errors
/// A refusal when the cursor does not lead here, or the ledger cannot be read.
pub(super) async fn watch(
    shared: Arc<Shared>,
    watch: Watch,
) -> Result<BoxStream<'static, Result<v1::WatchDecisionsResponse, Status>>, Refusal> {
    let end = shared.feed_end(&watch.program_id).await?.place;
    let cursor = shared.feed_from(&watch.program_id, watch.after).await?;
    let (ready, last_sent) = (VecDeque::new(), Instant::now());
    let follower = shared.followers.begin(&watch.program_id, cursor.place);
    let running = Running { shared, watch, cursor, end, ahead: None, ready, last_sent, stage: Stage::Running, follower };
    Ok(stream::unfold(running, next_message).boxed())
}

async fn next_message(mut running: Running) -> Option<(Result<v1::WatchDecisionsResponse, Status>, Running)> {
    loop {
        if let Some(message) = running.ready.pop_front() {
            running.last_sent = Instant::now();
            return Some((Ok(message), running));
        }
        match std::mem::replace(&mut running.stage, Stage::Ended) {
            Stage::Ended | Stage::Ending(None) => return None,
            Stage::Ending(Some(refusal)) => return Some((Err(refusal.into()), running)),
            Stage::Running => {}
        }
        running.stage = match contained(running.advance()).await.and_then(|stage| stage) {
            Ok(stage) => stage,
            Err(refusal) => Stage::Ending(Some(refusal)),
        };
    }
}

impl Running {
    /// Reads on, or waits for something to read.
    async fn advance(&mut self) -> Result<Stage, Refusal> {
        let reading = self.ahead.take().unwrap_or_else(|| self.read_after(self.cursor));
        let (events, read_up_to) = reading.await.map_err(|_| Refusal::internal())??;
        let moved = read_up_to.place > self.cursor.place;
        if read_up_to.place.0.saturating_sub(self.cursor.place.0) >= RECORDS_READ as u64 && read_up_to.place < self.end {
            self.ahead = Some(self.read_after(read_up_to));
        }
        let wanted = events.iter().filter(|event| self.watch.filter.lets_through(event));
        let wanted: Vec<v1::FeedEvent> = wanted.map(|event| event_message(event, &self.watch.program_id)).collect();
        self.make_messages(wanted, read_up_to);
        self.cursor = read_up_to;
        self.follower.reached(read_up_to.place);
        if self.watch.mode == WatchMode::StopAtEnd && self.cursor.place >= self.end {
            self.make_sign_of_life();
            return Ok(Stage::Ending(None));
        }
        if moved {
            // A long stretch without a wanted event must not look dead.
            if self.ready.is_empty() && self.last_sent.elapsed() >= self.watch.heartbeat {
                self.make_sign_of_life();
            }
            return Ok(Stage::Running);
        }
        Ok(self.wait().await)
    }

    /// Begins to read what follows a place.
    fn read_after(&self, after: FeedCursor) -> JoinHandle<Result<Page, Refusal>> {
        let (shared, program_id) = (Arc::clone(&self.shared), self.watch.program_id.clone());
        tokio::spawn(async move {
            shared.read_in_turn(move |ledger| async move { ledger.feed(&program_id, Some(after), RECORDS_READ).await }).await
        })
    }

    /// Waits for growth, for the time of a sign of life, or for the server to drain.
    async fn wait(&mut self) -> Stage {
        let silent_for = self.last_sent.elapsed();
        let until_heartbeat = self.watch.heartbeat.checked_sub(silent_for).unwrap_or(Duration::ZERO);
        let program_id = self.watch.program_id.clone();
        tokio::select! {
            biased;
            () = self.shared.draining() => {
                self.make_sign_of_life();
                Stage::Ending(Some(Refusal::feed_cut_off(self.cursor)))
            }
            () = self.shared.ledger.grown_past(&program_id, self.cursor.place) => Stage::Running,
            () = tokio::time::sleep(until_heartbeat) => {
                self.make_sign_of_life();
                Stage::Running
            }
        }
    }

    /// Cuts events into messages. Only the last of them carries the new cursor: whoever keeps the cursor of an earlier one gets them again.
    fn make_messages(&mut self, events: Vec<v1::FeedEvent>, up_to: FeedCursor) {
        let parts = events.len().div_ceil(EVENTS_MAX);
        let mut events = events.into_iter().peekable();
        for part in 1..=parts {
            let cursor = if part == parts { up_to } else { self.cursor };
            let events = events.by_ref().take(EVENTS_MAX).collect();
            let message = self.message(cursor, events);
            self.ready.push_back(message);
        }
    }

    fn make_sign_of_life(&mut self) {
        let message = self.message(self.cursor, Vec::new());
        self.ready.push_back(message);
    }

    fn message(&self, cursor: FeedCursor, events: Vec<v1::FeedEvent>) -> v1::WatchDecisionsResponse {
        v1::WatchDecisionsResponse { cursor: cursor.to_string(), events, sent_at: Some(time_message(self.shared.now())) }
    }
}
