//! How fast the feed is told again: `WatchDecisions` from the beginning to the end, over one connection.
//!
//! It counts events and looks that none is missing; it keeps nothing. Called by `selfsame bench --replay`.

use std::time::{Duration, Instant};

use serde::Serialize;
use tonic::Status;

use super::driver::Target;
use crate::book::cursor::{FeedCursor, InvalidCursor};
use crate::book::records::Cursor;
use crate::wire::v1;
use crate::wire::v1::payout_service_client::PayoutServiceClient;

/// What came of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Replayed {
    /// Events.
    pub events: u64,
    /// Messages that carried them.
    pub messages: u64,
    /// From the request to the end of the stream.
    pub seconds: f64,
}

impl Replayed {
    /// Events for each second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds
    }
}

/// Reads the feed of a programme once.
///
/// # Errors
/// The server's, or `DATA_LOSS` when a cursor goes back.
pub async fn replay(target: &Target, program_id: &str) -> Result<Replayed, Status> {
    let request = v1::WatchDecisionsRequest {
        program_id: program_id.to_owned(),
        mode: Some(v1::WatchMode::StopAtEnd.into()),
        heartbeat_every: Some(pbjson_types::Duration { seconds: 60, nanos: 0 }),
        ..v1::WatchDecisionsRequest::default()
    };
    let mut client = PayoutServiceClient::new(target.first_channel()).max_decoding_message_size(FEED_MESSAGE_BYTES_MAX);
    let started = Instant::now();
    let mut stream = client.watch_decisions(request).await?.into_inner();
    let (mut events, mut messages, mut last) = (0, 0, Cursor(0));
    while let Some(message) = stream.message().await? {
        messages += 1;
        for event in &message.events {
            let cursor: FeedCursor = event.cursor.parse().map_err(|error: InvalidCursor| Status::data_loss(error.to_string()))?;
            if cursor.place < last {
                return Err(Status::data_loss(format!("event {cursor} came after place {}", last.0)));
            }
            last = cursor.place;
            events += 1;
        }
    }
    let seconds = started.elapsed().max(Duration::from_micros(1)).as_secs_f64();
    Ok(Replayed { events, messages, seconds })
}

/// A thousand events of the longest ids stay far below it. Unit: bytes.
const FEED_MESSAGE_BYTES_MAX: usize = 64 << 20;
