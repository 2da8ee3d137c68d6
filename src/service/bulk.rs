//! `ScreenConversions`: many conversions in one stream, answered in their order.
//!
//! Reading does not wait for whoever reads the answers: a client that sends all it has before it looks is served as far as the server's places
//! for unread answers reach. What was read is answered, also when the server goes down; the last status then says what was not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use futures::stream::BoxStream;
use futures::{FutureExt, Stream, StreamExt};
use prost::Message as _;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use super::access::Caller;
use super::budgets::Bytes;
use super::errors::Refusal;
use super::forwarding::screening_error_of;
use super::limits::contained;
use super::screening::{screen, was_replayed};
use super::shared::Shared;
use super::told;
use crate::book::records::Screened;
use crate::ports::ledger::Answerers;
use crate::wire::{decision, v1};

/// The method, as labels have it.
pub(super) const METHOD: &str = "ScreeningService/ScreenConversions";

/// What a stream says next: an answer, or why it ends.
type Said = Result<v1::ScreenConversionsResponse, Status>;

/// Screening goes on while its answers wait; when nobody is left to read them it ends.
struct Running(JoinHandle<()>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The code of an answer: of a decision, or of the refusal of one conversion.
pub(super) fn code_of(answer: &v1::ScreenConversionsResponse) -> Code {
    match &answer.result {
        Some(v1::screen_conversions_response::Result::Error(error)) => Code::from_i32(error.code),
        Some(v1::screen_conversions_response::Result::Decision(_)) | None => Code::Ok,
    }
}

/// The answers to a stream of requests.
pub(super) fn answered(
    shared: Arc<Shared>,
    caller: Caller,
    sent: impl Stream<Item = Result<v1::ScreenConversionsRequest, Status>> + Send + 'static,
) -> impl Stream<Item = Said> + Send + 'static {
    let own_places = Arc::new(Semaphore::new(shared.limits.stream_in_flight_max.max(1)));
    let (common, own) = (shared.unread.clone(), caller.share.unread.clone());
    let (said, mut waiting) = mpsc::unbounded_channel::<(Answer, Room)>();
    let unread = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&unread);
    let running = Running(tokio::spawn(async move {
        let mut answers = in_order(shared, caller, unread, sent);
        while let Some(answer) = answers.next().await {
            // A place of the stream's own while nobody is slow, and bytes of all and of its caller for those whose reader is.
            let (answer, room) = if let Ok(place) = Arc::clone(&own_places).try_acquire_owned() {
                (answer, Ok(Room::Place(place)))
            } else {
                let packed = answer.packed();
                let bytes = packed.bytes();
                let place = Arc::clone(&own_places).acquire_owned().map(|place| place.map(Room::Place).map_err(drop));
                let room = async { Ok::<_, Refusal>((own.take_in_turn(bytes).await?, common.take_in_turn(bytes).await?)) };
                let room = room.map(|room| room.map(Room::Bytes).map_err(drop));
                (packed, tokio::select! { biased; room = place => room, room = room => room })
            };
            let Ok(room) = room else { return };
            if said.send((answer, room)).is_err() {
                return;
            }
        }
    }));
    futures::stream::poll_fn(move |context| {
        let _running = &running;
        waiting.poll_recv(context).map(|next| {
            next.map(|(answer, _room)| {
                taken.fetch_sub(1, Ordering::Relaxed);
                answer.said()
            })
        })
    })
}

/// Answers of a stream that wait as they are; beyond them they wait as bytes, which take a tenth of it.
const UNPACKED_MAX: usize = 16;

/// Where an answer waits, until it is dropped.
enum Room {
    Place(#[expect(dead_code, reason = "held until it is dropped")] OwnedSemaphorePermit),
    Bytes(#[expect(dead_code, reason = "held until it is dropped")] (Bytes, Bytes)),
}

/// An answer on its way to its reader.
enum Answer {
    Open(Box<v1::ScreenConversionsResponse>),
    Packed(Vec<u8>),
    Ended(Status),
}

impl Answer {
    fn packed(self) -> Self {
        match self {
            Self::Open(message) => Self::Packed(message.encode_to_vec()),
            packed @ (Self::Packed(_) | Self::Ended(_)) => packed,
        }
    }

    const fn bytes(&self) -> usize {
        match self {
            Self::Packed(bytes) => bytes.len(),
            Self::Open(_) | Self::Ended(_) => 0,
        }
    }

    fn said(self) -> Said {
        match self {
            Self::Open(message) => Ok(*message),
            Self::Packed(bytes) => v1::ScreenConversionsResponse::decode(&*bytes).map_err(|_| Refusal::internal().into()),
            Self::Ended(status) => Err(status),
        }
    }
}

/// Answers in the order of the requests, because a later conversion's history holds the earlier ones; when the server drains, what was read is
/// answered, and the last status says what was not.
fn in_order(
    shared: Arc<Shared>,
    caller: Caller,
    unread: Arc<AtomicUsize>,
    sent: impl Stream<Item = Result<v1::ScreenConversionsRequest, Status>> + Send + 'static,
) -> BoxStream<'static, Answer> {
    let (draining, in_flight) = (Arc::clone(&shared), shared.limits.stream_in_flight_max.max(1));
    // How many requests were read, and whether the client sent no more: then there is nothing to tell.
    let (read, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let turn = Arc::new(Mutex::new(()));
    let (of_read, of_ended) = (Arc::clone(&read), Arc::clone(&ended));
    let noticed = sent.map(Some).chain(futures::stream::once(async { None })).filter_map(move |item| {
        match &item {
            Some(_) => drop(of_read.fetch_add(1, Ordering::Relaxed)),
            None => of_ended.store(true, Ordering::Relaxed),
        }
        std::future::ready(item)
    });
    let taken = noticed.take_until(async move { draining.draining().await });
    let share = Arc::clone(&caller.share);
    let counted = taken.then(move |item| {
        let share = Arc::clone(&share);
        async move {
            share.count_item().await;
            item
        }
    });
    let still_unread = Arc::clone(&unread);
    let answers = counted.enumerate().map(move |(at, item)| {
        let (shared, caller, turn, unread) = (Arc::clone(&shared), caller.clone(), Arc::clone(&turn), Arc::clone(&still_unread));
        // What came in of it is held until it is answered.
        let held = caller.intake.as_ref().and_then(|intake| intake.handed_on());
        async move {
            let answer = match item {
                Ok(v1::ScreenConversionsRequest { conversion }) => {
                    let place = caller.share.item_place().await;
                    let answer = screen_item(&shared, &caller, &turn, at as u64, conversion).await;
                    drop(place);
                    Answer::Open(Box::new(answer))
                }
                // The bytes were no message: what follows them cannot be found.
                Err(status) if status.details().is_empty() => Answer::Ended(Refusal::of_transport(&status).into()),
                Err(status) => Answer::Ended(status),
            };
            drop(held);
            if unread.fetch_add(1, Ordering::Relaxed) < UNPACKED_MAX { answer } else { answer.packed() }
        }
    });
    let last = futures::stream::once(std::future::ready(())).filter_map(move |()| {
        let cut_off = !ended.load(Ordering::Relaxed);
        let position = read.load(Ordering::Relaxed);
        let ended = || {
            unread.fetch_add(1, Ordering::Relaxed);
            Answer::Ended(Refusal::stream_cut_off(position).into())
        };
        std::future::ready(cut_off.then(ended))
    });
    answers.buffered(in_flight).chain(last).boxed()
}

/// Screens one conversion of a stream. A bad one is answered like a good one: by its position.
///
/// `turn` is the stream's: what another replica screens is sent one after the other, because there they may overtake each other.
async fn screen_item(
    shared: &Shared,
    caller: &Caller,
    turn: &Mutex<()>,
    position: u64,
    message: Option<v1::Conversion>,
) -> v1::ScreenConversionsResponse {
    use v1::screen_conversions_response::Result as Outcome;

    let conversion_id = message.as_ref().map(|message| message.conversion_id.clone()).unwrap_or_default();
    let kept = (shared.ledger.answerers() == Answerers::ManyProcesses).then(|| message.clone()).flatten();
    let outcome = contained(screen(shared, caller, message)).await.and_then(|screened| screened);
    let (result, replayed, warnings) = match outcome {
        Ok((Screened { record, freshness }, warnings)) => {
            let warnings = decision::all_warnings(&record, &warnings);
            (Outcome::Decision(decision::message_of(&record)), was_replayed(freshness), warnings)
        }
        Err(refusal) => match (refusal.held_by(), kept) {
            (Some(address), Some(conversion)) => {
                let _turn = turn.lock().await;
                match shared.replicas.screen(address, caller, conversion).await {
                    Ok(v1::ScreenConversionResponse { decision: Some(decision), replayed, warnings }) => {
                        (Outcome::Decision(decision), replayed, warnings)
                    }
                    Ok(v1::ScreenConversionResponse { decision: None, .. }) => {
                        (Outcome::Error(Refusal::internal().into_screening_error()), false, Vec::new())
                    }
                    Err(status) => (Outcome::Error(screening_error_of(&status)), false, Vec::new()),
                }
            }
            _ => (Outcome::Error(refusal.into_screening_error()), false, Vec::new()),
        },
    };
    if let Outcome::Error(error) = &result {
        told::item_refused(&shared.refusal_lines, METHOD, Code::from_i32(error.code), &error.reason);
    }
    v1::ScreenConversionsResponse { position, conversion_id, replayed, warnings, result: Some(result) }
}
