//! The followers: each keeps its cursor and what it was told, and goes on at another replica whenever the one that it follows falls silent.

use std::sync::Arc;
use std::time::Duration;

use selfsame::book::cursor::FeedCursor;
use selfsame::offline::load::generator::Dice;
use selfsame::wire::v1;
use selfsame::wire::v1::payout_service_client::PayoutServiceClient;
use tonic::{Code, Streaming};

use crate::calls::Run;
use crate::cluster::REPLICAS;

/// A follower that hears nothing for so long, signs of life included, goes elsewhere.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// After so many messages at most it goes elsewhere in any case.
const MESSAGES_MAX: u64 = 400;

/// The place of a cursor; 0 of none.
pub(crate) fn place_of(cursor: &str) -> u64 {
    if cursor.is_empty() { 0 } else { cursor.parse::<FeedCursor>().unwrap().place.0 }
}

/// What one follower was told, in its order.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) programme: usize,
    pub(crate) events: Vec<v1::FeedEvent>,
    /// How often it was followed anew.
    pub(crate) times: u64,
    cursor: String,
}

/// Follows a programme until the run is over.
pub(crate) async fn follow(run: Arc<Run>, programme: usize, mut dice: Dice) -> Told {
    let mut told = Told { programme, ..Told::default() };
    while !run.is_over() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let replica = usize::try_from(dice.below(REPLICAS as u64)).unwrap();
        let request = v1::WatchDecisionsRequest {
            program_id: run.programmes[programme].id.clone(),
            after_cursor: told.cursor.clone(),
            mode: Some(v1::WatchMode::Follow.into()),
            heartbeat_every: Some(Duration::from_secs(1).into()),
            ..v1::WatchDecisionsRequest::default()
        };
        let mut client = PayoutServiceClient::new(run.cluster.replicas[replica].channel());
        match tokio::time::timeout(SILENCE_MAX, client.watch_decisions(request)).await {
            Ok(Ok(stream)) => {
                // What came under no cursor comes again.
                let kept = place_of(&told.cursor);
                told.events.retain(|event| place_of(&event.cursor) <= kept);
                told.times += 1;
                listen(&run, &mut told, stream.into_inner(), dice.below(MESSAGES_MAX)).await;
            }
            Ok(Err(status)) if matches!(status.code(), Code::OutOfRange | Code::InvalidArgument | Code::DataLoss) => {
                run.found(format!("{}: cursor {} is not known any more: {status}", run.programmes[programme].id, told.cursor));
                return told;
            }
            Ok(Err(_)) | Err(_) => {}
        }
    }
    told
}

async fn listen(run: &Run, told: &mut Told, mut stream: Streaming<v1::WatchDecisionsResponse>, messages: u64) {
    for _ in 0..messages {
        let Ok(Ok(Some(message))) = tokio::time::timeout(SILENCE_MAX, stream.message()).await else { return };
        let newest = told.events.last().map_or(0, |event| place_of(&event.cursor)).max(place_of(&told.cursor));
        let id = &run.programmes[told.programme].id;
        if place_of(&message.cursor) < place_of(&told.cursor) {
            run.found(format!("{id}: the feed went back from {} to {}", told.cursor, message.cursor));
        }
        if let Some(event) = message.events.iter().find(|event| place_of(&event.cursor) <= newest) {
            run.found(format!("{id}: {} was told after {newest}, where it or a later one stood", event.cursor));
        }
        told.events.extend(message.events);
        told.cursor = message.cursor;
        if run.is_over() {
            return;
        }
    }
}
