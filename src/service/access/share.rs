//! What one caller may take of the server: calls, streams, items of streams, reads and bytes at a time, and calls in a second. Of everything that all
//! share it may take half, so that no caller keeps all others out.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::asking::Asking;
use crate::service::budgets::ByteBudget;
use crate::service::errors::Refusal;
use crate::service::limits::{Limits, Pace};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::ids::{AccountId, ProgramId};

/// How much of the server's places somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Half of them: a caller that is known.
    Half,
    /// All: whoever calls where nobody is asked who calls. Names that are not proven divide nothing.
    Whole,
}

/// What one caller may take.
pub(in crate::service) struct Share {
    calls: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    items: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    /// Bytes of requests that came in and are not answered.
    pub(in crate::service) taken_in: ByteBudget,
    /// Bytes of answers that wait for a slow reader.
    pub(in crate::service) unread: ByteBudget,
    pace: Option<DefaultDirectRateLimiter>,
    asking: Option<Asking>,
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Share")
    }
}

impl Share {
    pub(super) fn new(limits: &Limits, part: Part) -> Arc<Self> {
        let of = |all: usize| match part {
            Part::Half => all.div_ceil(2),
            Part::Whole => all,
        };
        let places = |all: usize| Arc::new(Semaphore::new(of(all)));
        let quota = |pace: Pace| Quota::per_second(pace.per_second).allow_burst(pace.burst);
        // Whoever is not known is not counted: its name would be another with each call.
        let asking = limits.asks_about_one.filter(|_| part == Part::Half).and_then(Asking::new);
        let pace = limits.pace.filter(|_| part == Part::Half).map(|pace| RateLimiter::direct(quota(pace)));
        Arc::new(Self {
            calls: places(limits.in_flight_max),
            streams: places(limits.streams_max),
            items: places(limits.in_flight_max),
            reads: places(limits.reads_max),
            taken_in: ByteBudget::new(of(limits.request_bytes_max)),
            unread: ByteBudget::new(of(limits.unread_bytes_max)),
            pace,
            asking,
        })
    }

    /// Counts a call.
    ///
    /// # Errors
    /// `CALLER_TOO_FAST`, with the time at which there is room for one.
    pub(super) fn count_call(&self) -> Result<(), Refusal> {
        self.wait_for_room().map_or(Ok(()), |wait| Err(Refusal::caller_too_fast(wait)))
    }

    /// Counts a call, or tells how long to wait for room.
    fn wait_for_room(&self) -> Option<Duration> {
        let refused = self.pace.as_ref()?.check().err()?;
        // What is nearly there is asked for again in a moment, and not at once.
        Some(refused.wait_time_from(DefaultClock::default().now()).max(Duration::from_millis(1)))
    }

    /// Counts an item of a stream, which waits until there is room for it: its stream is read no faster than its caller may call.
    pub(in crate::service) async fn count_item(&self) {
        while let Some(wait) = self.wait_for_room() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Counts a question about a person.
    ///
    /// # Errors
    /// `ASKED_TOO_OFTEN`, with the time at which the next may be asked.
    pub(in crate::service) fn ask_about(&self, program: &ProgramId, person: &SignalBundle) -> Result<(), Refusal> {
        let asked = self.asking.as_ref().map_or(Ok(()), |asking| asking.about(program, person));
        asked.map_err(Refusal::asked_too_often)
    }

    /// Counts a question about an account.
    ///
    /// # Errors
    /// `ASKED_TOO_OFTEN`, with the time at which the next may be asked.
    pub(in crate::service) fn ask_about_account(&self, program: &ProgramId, account: &AccountId) -> Result<(), Refusal> {
        let asked = self.asking.as_ref().map_or(Ok(()), |asking| asking.about_account(program, account));
        asked.map_err(Refusal::asked_too_often)
    }

    /// A place for a call.
    ///
    /// # Errors
    /// `CALLER_BUSY`.
    pub(in crate::service) fn call_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.calls).try_acquire_owned().map_err(|_| Refusal::too_many_own_calls())
    }

    /// A place for a stream.
    ///
    /// # Errors
    /// `CALLER_BUSY`.
    pub(in crate::service) fn stream_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.streams).try_acquire_owned().map_err(|_| Refusal::too_many_own_streams())
    }

    /// A place for an item of a stream, as soon as one is free: over all streams of a caller as many are worked on as it may have calls in flight.
    ///
    /// # Errors
    /// Never: the places are not closed.
    pub(in crate::service) async fn item_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.items).acquire_owned().await.map_err(|_| Refusal::internal())
    }

    /// A place for a read.
    ///
    /// # Errors
    /// `CALLER_BUSY`.
    pub(in crate::service) fn read_place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.reads).try_acquire_owned().map_err(|_| Refusal::too_many_own_reads())
    }

    /// A place for a read, as soon as one is free.
    ///
    /// # Errors
    /// Never: the places are not closed.
    pub(in crate::service) async fn read_place_in_turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.reads).acquire_owned().await.map_err(|_| Refusal::internal())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::service::errors::Reason;

    fn paced(part: Part) -> Arc<Share> {
        let [per_second, burst] = [1, 3].map(|number| NonZeroU32::new(number).unwrap());
        Share::new(&Limits { pace: Some(Pace { per_second, burst }), ..Limits::default() }, part)
    }

    #[test]
    fn a_caller_gains_calls_at_its_pace_and_is_told_when_the_next_may_come() {
        let share = paced(Part::Half);
        let refused = (0..100).find_map(|_| share.count_call().err()).unwrap();
        assert_eq!(refused.reason(), Reason::CallerTooFast);
        assert!(refused.retry_after().unwrap() <= Duration::from_secs(1), "{refused:?}");
        let free = paced(Part::Whole);
        assert!((0..100).all(|_| free.count_call().is_ok()), "whoever is not known is not counted");
    }

    #[test]
    fn one_caller_takes_half_of_what_there_is() {
        let limits = Limits { in_flight_max: 4, streams_max: 3, reads_max: 2, ..Limits::default() };
        let share = Share::new(&limits, Part::Half);
        let calls: Vec<_> = (0..4).map_while(|_| share.call_place().ok()).collect();
        let streams: Vec<_> = (0..4).map_while(|_| share.stream_place().ok()).collect();
        let reads: Vec<_> = (0..4).map_while(|_| share.read_place().ok()).collect();
        assert_eq!([calls.len(), streams.len(), reads.len()], [2, 2, 1]);
        assert_eq!(share.read_place().unwrap_err().reason(), Reason::CallerBusy);
    }
}
