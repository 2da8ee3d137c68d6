//! A connection that is watched: whether its client finishes what it begins to say, and whether it has calls.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::ConnectionLimits;
use super::frames::Frames;

/// Stands for no time.
const NEVER: u64 = u64::MAX;

/// What is known of a connection. Times are milliseconds since it began.
#[derive(Debug)]
pub(super) struct Activity {
    began: Instant,
    /// Since when a frame, or the headers of a call, are begun and not whole; or [`NEVER`].
    unfinished_since: AtomicU64,
    /// Calls that are not over.
    calls: AtomicUsize,
    /// When the last call was over; or [`NEVER`] before the first.
    last_call: AtomicU64,
}

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing until then.
    Fine(Instant),
    /// Its client does not finish what it began to say.
    Unfinished,
    /// It has been without a call for too long.
    Idle,
}

impl Activity {
    pub(super) fn begin(now: Instant) -> Arc<Self> {
        Arc::new(Self {
            began: now,
            unfinished_since: AtomicU64::new(0),
            calls: AtomicUsize::new(0),
            last_call: AtomicU64::new(NEVER),
        })
    }

    fn millis(&self, now: Instant) -> u64 {
        u64::try_from(now.duration_since(self.began).as_millis()).unwrap_or(NEVER - 1)
    }

    fn at(&self, millis: u64) -> Instant {
        self.began + Duration::from_millis(millis)
    }

    fn heard(&self, frames: &Frames, was_whole: bool) {
        if frames.are_whole() {
            self.unfinished_since.store(NEVER, Ordering::Relaxed);
        } else if was_whole || self.unfinished_since.load(Ordering::Relaxed) == NEVER {
            self.unfinished_since.store(self.millis(Instant::now()), Ordering::Relaxed);
        }
    }

    /// Counts a call until what it gives is dropped.
    pub(super) fn call(self: &Arc<Self>) -> Call {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Call(Arc::clone(self))
    }

    /// Calls that are not over.
    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// What is to be done with the connection.
    pub(super) fn standing(&self, now: Instant, limits: &ConnectionLimits) -> Standing {
        let unfinished = self.unfinished_since.load(Ordering::Relaxed);
        let mut next = now + limits.frame_max;
        if unfinished != NEVER {
            let until = self.at(unfinished) + limits.frame_max;
            if now >= until {
                return Standing::Unfinished;
            }
            next = next.min(until);
        }
        if self.calls() == 0 {
            let until = match self.last_call.load(Ordering::Relaxed) {
                NEVER => self.began + limits.first_call_max,
                last => self.at(last) + limits.idle_max,
            };
            if now >= until {
                return Standing::Idle;
            }
            next = next.min(until);
        }
        Standing::Fine(next)
    }
}

/// A call of a connection, until it is dropped: with its answer, or without one.
#[derive(Debug)]
pub(super) struct Call(Arc<Activity>);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.last_call.store(self.0.millis(Instant::now()), Ordering::Relaxed);
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The body of an answer, with the call that it ends.
pub(super) struct Answered {
    body: Body,
    _call: Call,
}

impl Answered {
    pub(super) const fn of(body: Body, call: Call) -> Self {
        Self { body, _call: call }
    }
}

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The bytes of a connection, watched as they come.
pub(super) struct Watched<I> {
    io: I,
    frames: Frames,
    activity: Arc<Activity>,
}

impl<I> Watched<I> {
    pub(super) const fn new(io: I, activity: Arc<Activity>) -> Self {
        Self { io, frames: Frames::begin(), activity }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let own = self.get_mut();
        let before = into.filled().len();
        let read = Pin::new(&mut own.io).poll_read(context, into);
        if let Some(new @ [_, ..]) = into.filled().get(before..) {
            let was_whole = own.frames.follow(new);
            own.activity.heard(&own.frames, was_whole);
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn limits() -> ConnectionLimits {
        ConnectionLimits {
            frame_max: SECOND * 10,
            first_call_max: SECOND * 60,
            idle_max: SECOND * 300,
            ..ConnectionLimits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_must_finish_what_it_says_then_call_and_go_on_calling() {
        let (limits, mut frames) = (limits(), Frames::begin());
        let activity = Activity::begin(Instant::now());
        let standing = || activity.standing(Instant::now(), &limits);
        assert_eq!(standing(), Standing::Fine(Instant::now() + SECOND * 10));
        tokio::time::advance(SECOND * 9).await;
        let whole = frames.follow(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        activity.heard(&frames, whole);
        tokio::time::advance(SECOND * 50).await;
        assert!(matches!(standing(), Standing::Fine(_)));
        let call = activity.call();
        tokio::time::advance(SECOND * 1_000).await;
        assert!(matches!(standing(), Standing::Fine(_)), "a stream may last");
        // A byte of a frame each now and then is no frame.
        let whole = frames.follow(&[0]);
        activity.heard(&frames, whole);
        tokio::time::advance(SECOND * 10).await;
        assert_eq!(standing(), Standing::Unfinished);
        drop(call);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_calls_ends_sooner_than_one_that_called() {
        let limits = limits();
        let (silent, quiet) = (Activity::begin(Instant::now()), Activity::begin(Instant::now()));
        for activity in [&silent, &quiet] {
            activity.unfinished_since.store(NEVER, Ordering::Relaxed);
        }
        drop(quiet.call());
        tokio::time::advance(SECOND * 61).await;
        assert_eq!(silent.standing(Instant::now(), &limits), Standing::Idle);
        assert!(matches!(quiet.standing(Instant::now(), &limits), Standing::Fine(_)));
        tokio::time::advance(SECOND * 240).await;
        assert_eq!(quiet.standing(Instant::now(), &limits), Standing::Idle);
    }
}
