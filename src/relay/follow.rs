//! One follower of the feed: from a cursor, for ever, through restarts of the server and breaks of the connection. What it hands on is whole changes, so that a
//! cursor always stands between two of them.

use std::time::Duration;

use rand::Rng as _;
use tokio::sync::mpsc;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic_types::StatusExt as _;

use super::told::{Told, id_of};
use crate::adapters::tls::{Destination, trouble_of};
use crate::wire::credentials::Credentials;
use crate::wire::v1;
use crate::wire::v1::payout_service_client::PayoutServiceClient;

/// The largest message that is read. Unit: bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
/// A server sends a sign of life every fifteen seconds; one that is silent for so long is gone.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// The first pause after something went wrong; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The server whose feed is followed, and what every call shows.
#[derive(Clone)]
pub struct Source {
    /// The server.
    pub destination: Destination,
    /// What every call shows.
    pub credentials: Credentials,
}

/// What a follower tells.
#[derive(Debug)]
pub(super) enum Fed {
    /// The server answers.
    Following,
    /// What was told since, and up to where nothing is missing then.
    Told {
        /// In order; empty when only the cursor moved.
        told: Vec<Told>,
        /// The cursor.
        reached: String,
    },
    /// It cannot be followed; it is tried again.
    Trouble(String),
}

/// Cuts what a watch sends into whole changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Up to here everything was handed on. Empty before everything.
    reached: String,
    /// The cursor of the newest message.
    at: String,
    /// Events of a change of which more may come.
    open: Vec<v1::FeedEvent>,
}

impl Changes {
    pub(super) fn after(cursor: String) -> Self {
        Self { at: cursor.clone(), reached: cursor, open: Vec::new() }
    }

    /// What of a message, and of what came before it, is whole.
    pub(super) fn take(&mut self, message: v1::WatchDecisionsResponse) -> Vec<Told> {
        let v1::WatchDecisionsResponse { cursor, events, sent_at: _ } = message;
        let mut told = Vec::with_capacity(events.len());
        for event in events {
            if self.open.last().is_some_and(|last| last.cursor != event.cursor) {
                self.close(&mut told);
            }
            self.open.push(event);
        }
        // A long answer comes in parts, and only the last of them has a new cursor: until then the last change may go on.
        if cursor != self.at {
            self.close(&mut told);
            self.at.clone_from(&cursor);
            self.reached = cursor;
        }
        told
    }

    fn close(&mut self, told: &mut Vec<Told>) {
        let Some(last) = self.open.last() else { return };
        let (cursor, count) = (last.cursor.clone(), self.open.len());
        for (position, event) in self.open.drain(..).enumerate() {
            let complete = if position + 1 == count { &cursor } else { &self.reached };
            told.push(Told { id: id_of(&event, position), complete: complete.clone(), event });
        }
        self.reached = cursor;
    }

    /// Begins again after what was handed on.
    fn begin_again(&mut self) -> String {
        self.open.clear();
        self.at.clone_from(&self.reached);
        self.reached.clone()
    }
}

/// Pauses that grow while nothing goes well, each a little different.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(PAUSE_MIN)
    }
}

impl Pauses {
    pub(super) fn went_well(&mut self) {
        self.0 = PAUSE_MIN;
    }

    pub(super) async fn pause(&mut self) {
        let pause = self.0.mul_f64(rand::thread_rng().gen_range(0.5..1.0));
        self.0 = (self.0 * 2).min(PAUSE_MAX);
        tokio::time::sleep(pause).await;
    }
}

/// Follows until nobody listens any more.
pub(super) async fn follow(source: Source, program_id: String, after: String, fed: mpsc::Sender<Fed>) {
    let (mut changes, mut pauses) = (Changes::after(after), Pauses::default());
    loop {
        let Err(ended) = watch(&source, &program_id, &mut changes, &fed, &mut pauses).await;
        match ended {
            Ended::NobodyListens => return,
            Ended::Broke(trouble) => {
                if fed.send(Fed::Trouble(trouble)).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            () = pauses.pause() => {}
            () = fed.closed() => return,
        }
    }
}

/// Why a watch ended.
enum Ended {
    NobodyListens,
    Broke(String),
}

async fn watch(
    source: &Source,
    program_id: &str,
    changes: &mut Changes,
    fed: &mpsc::Sender<Fed>,
    pauses: &mut Pauses,
) -> Result<std::convert::Infallible, Ended> {
    let connected = source.destination.connect().await.map_err(|error| {
        let trouble = trouble_of(&error).unwrap_or_else(|| "nobody answers".to_owned());
        Ended::Broke(format!("{}: {trouble}", source.destination.name()))
    })?;
    let channel = InterceptedService::new(connected, source.credentials.clone());
    let mut client = PayoutServiceClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let request = v1::WatchDecisionsRequest {
        program_id: program_id.to_owned(),
        after_cursor: changes.begin_again(),
        ..Default::default()
    };
    let opened = tokio::time::timeout(SILENT_MAX, client.watch_decisions(request)).await;
    let mut messages = opened.map_err(|_| silent())?.map_err(broke)?.into_inner();
    tell(fed, Fed::Following).await?;
    loop {
        let next = tokio::time::timeout(SILENT_MAX, messages.message()).await.map_err(|_| silent())?.map_err(broke)?;
        let message = next.ok_or_else(|| Ended::Broke("the server ended the feed".to_owned()))?;
        pauses.went_well();
        let before = changes.reached.clone();
        let told = changes.take(message);
        if !told.is_empty() || changes.reached != before {
            tell(fed, Fed::Told { told, reached: changes.reached.clone() }).await?;
        }
    }
}

async fn tell(fed: &mpsc::Sender<Fed>, what: Fed) -> Result<(), Ended> {
    fed.send(what).await.map_err(|_| Ended::NobodyListens)
}

fn silent() -> Ended {
    Ended::Broke(format!("the server was silent for {} s", SILENT_MAX.as_secs()))
}

fn broke(status: Status) -> Ended {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str()).unwrap_or_default();
    let first = std::iter::successors(std::error::Error::source(&status), |cause| cause.source()).last();
    let text = match first {
        Some(cause) => trouble_of(cause).unwrap_or_else(|| cause.to_string()),
        None => status.message().to_owned(),
    };
    let what_to_do = match reason {
        "CURSOR_OF_ANOTHER_LEDGER" | "CURSOR_FORGOTTEN" => "; docs/relay.md says how to set the cursor",
        _ => "",
    };
    Ended::Broke(format!("{text}{what_to_do}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::relay::told::tests::event;

    fn message(cursor: &str, events: &[&str]) -> v1::WatchDecisionsResponse {
        let events = events.iter().map(|cursor| event(cursor, "b")).collect();
        v1::WatchDecisionsResponse { cursor: cursor.to_owned(), events, sent_at: None }
    }

    #[test]
    fn a_change_that_is_cut_by_messages_stays_whole_and_its_events_keep_their_places() {
        let mut changes = Changes::after("0".to_owned());
        let first = changes.take(message("0", &["1", "2", "2"]));
        assert_eq!(first.iter().map(|told| told.id.as_str()).collect::<Vec<_>>(), ["shop%2Eeu_1_0"]);
        assert_eq!(changes.reached, "1");
        let rest = changes.take(message("9", &["2", "3"]));
        let ids: Vec<_> = rest.iter().map(|told| (told.id.as_str(), told.complete.as_str())).collect();
        assert_eq!(ids, [("shop%2Eeu_2_0", "1"), ("shop%2Eeu_2_1", "1"), ("shop%2Eeu_2_2", "2"), ("shop%2Eeu_3_0", "3")]);
        assert_eq!(changes.reached, "9");
    }

    #[test]
    fn a_connection_that_breaks_within_a_change_begins_before_it() {
        let mut changes = Changes::after(String::new());
        assert_eq!(changes.take(message("", &["1", "2"])).len(), 1);
        assert_eq!(changes.begin_again(), "1");
        let again = changes.take(message("3", &["2", "2"]));
        assert_eq!(again.last().map(|told| told.id.as_str()), Some("shop%2Eeu_2_1"));
    }

    proptest! {
        /// However messages and breaks cut the feed, what is handed on are the same names, each at least once, and a cursor never stands before its events.
        #[test]
        fn however_it_is_cut_the_names_are_the_same(
            sizes in proptest::collection::vec(1_usize..4, 1..12),
            cuts in proptest::collection::vec(any::<bool>(), 48),
            breaks in proptest::collection::vec(any::<bool>(), 48),
        ) {
            let all: Vec<String> = sizes.iter().enumerate().flat_map(|(at, size)| vec![format!("{:02}", at + 1); *size]).collect();
            let whole: Vec<String> =
                Changes::default().take(message("end", &all.iter().map(String::as_str).collect::<Vec<_>>()))
                    .into_iter().map(|told| told.id).collect();
            let mut changes = Changes::default();
            let (mut seen, mut chances) = (Vec::new(), cuts.iter().zip(&breaks).cycle().take(200));
            let mut at = 0;
            while at < all.len() {
                // A part without a new cursor, which may be the last before the connection breaks.
                let (cut, broken) = chances.next().map_or((false, false), |(cut, broken)| (*cut, *broken));
                let upto = if cut { all.len().min(at + 2) } else { all.len() };
                let part: Vec<&str> = all[at..upto].iter().map(String::as_str).collect();
                let cursor = if upto == all.len() { "end".to_owned() } else { changes.at.clone() };
                seen.extend(changes.take(message(&cursor, &part)).into_iter().map(|told| told.id));
                at = upto;
                if broken && upto < all.len() {
                    let after = changes.begin_again();
                    at = all.iter().position(|cursor| *cursor > after).unwrap_or(0);
                }
            }
            prop_assert_eq!(seen, whole);
        }
    }
}
