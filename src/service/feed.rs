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

use super::access::Share;
use super::budgets::Bytes;
use super::errors::Refusal;
use super::followers::Follower;
use super::limits::contained;
use super::shared::Shared;
use crate::book::cursor::FeedCursor;
use crate::book::records::{Cursor, FeedEvent};
use crate::ports::ledger::Ledger;
use crate::wire::feed::{Watch, WatchMode, event_message};
use crate::wire::fields::time_message;
use crate::wire::v1;

/// Journal records that are read at a time.
const RECORDS_READ: usize = 1_000;
/// Records that are read at a time where slow readers hold all that answers may hold.
const RECORDS_READ_SPARINGLY: usize = 64;
/// What a page of [`RECORDS_READ`] records takes until it is sent: as events, as messages, as bytes. Unit: bytes. Measured: 2.6 MB.
const PAGE_BYTES: usize = 3 << 20;
/// Events of one message.
const EVENTS_MAX: usize = 1_000;

/// A watch that runs.
struct Running {
    shared: Arc<Shared>,
    share: Arc<Share>,
    watch: Watch,
    /// Up to here everything was sent or filtered out.
    cursor: FeedCursor,
    /// Where a watch that stops at the end stops: the end of the feed when it began.
    end: Cursor,
    /// What comes next, when it is clear that more comes: it is read while what came before is sent.
    ahead: Option<JoinHandle<Result<Page, Refusal>>>,
    /// Messages that are made and not sent yet.
    ready: VecDeque<v1::WatchDecisionsResponse>,
    /// What they hold; absent where they are few.
    held: Option<Held>,
    last_sent: Instant,
    stage: Stage,
    follower: Follower,
}

/// Bytes of what nobody has read: of its caller, and of all.
type Held = (Bytes, Bytes);

/// What was read at a time.
struct Page {
    events: Vec<FeedEvent>,
    up_to: FeedCursor,
    /// How many records were asked for.
    asked: usize,
    held: Option<Held>,
}

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
    share: Arc<Share>,
    watch: Watch,
) -> Result<BoxStream<'static, Result<v1::WatchDecisionsResponse, Status>>, Refusal> {
    let end = shared.feed_end(&watch.program_id).await?.place;
    let cursor = shared.feed_from(&watch.program_id, watch.after).await?;
    let (ready, last_sent) = (VecDeque::new(), Instant::now());
    let follower = shared.followers.begin(&watch.program_id, cursor.place);
    let stage = Stage::Running;
    let running = Running { shared, share, watch, cursor, end, ahead: None, ready, held: None, last_sent, stage, follower };
    Ok(stream::unfold(running, next_message).boxed())
}

async fn next_message(mut running: Running) -> Option<(Result<v1::WatchDecisionsResponse, Status>, Running)> {
    loop {
        if let Some(message) = running.ready.pop_front() {
            running.last_sent = Instant::now();
            return Some((Ok(message), running));
        }
        running.held = None;
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
        let Page { events, up_to: read_up_to, asked, held } = reading.await.map_err(|_| Refusal::internal())??;
        self.held = held;
        let moved = read_up_to.place > self.cursor.place;
        let more = read_up_to.place.0.saturating_sub(self.cursor.place.0) >= asked as u64 && read_up_to.place < self.end;
        // Whoever is read for sparingly has nothing waiting that it has not read.
        if more && self.held.is_some() {
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
        let (shared, share, program_id) = (Arc::clone(&self.shared), Arc::clone(&self.share), self.watch.program_id.clone());
        let held = self.share.unread.take(PAGE_BYTES).zip(self.shared.unread.take(PAGE_BYTES));
        let asked = if held.is_some() { RECORDS_READ } else { RECORDS_READ_SPARINGLY };
        tokio::spawn(async move {
            let read = move |ledger: Arc<dyn Ledger>| async move { ledger.feed(&program_id, Some(after), asked).await };
            let (events, up_to) = shared.read_in_turn(&share, read).await?;
            // What follows the end of the feed is little.
            let held = held.filter(|_| events.len() > RECORDS_READ_SPARINGLY);
            Ok(Page { events, up_to, asked, held })
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
