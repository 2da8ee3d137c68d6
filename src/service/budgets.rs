//! Budgets in bytes: what requests hold from their first byte until they are answered, and what answers hold that nobody reads.
//!
//! A body is counted as it comes in, whole or not: who sends half of a large message holds half of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::StreamExt;
use http_body_util::{BodyStream, StreamBody};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;
use tonic::body::Body;

use super::errors::Refusal;

/// Bytes that may be held at a time.
#[derive(Debug, Clone)]
pub(super) struct ByteBudget {
    free: Arc<Semaphore>,
    all: usize,
}

/// Bytes that are held, until it is dropped.
#[derive(Debug)]
pub(super) struct Bytes(OwnedSemaphorePermit);

impl Bytes {
    fn add(&mut self, more: Self) {
        self.0.merge(more.0);
    }
}

impl ByteBudget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes)), all: bytes }
    }

    /// What is larger than the budget takes all of it.
    fn held_to(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.all)).unwrap_or(u32::MAX)
    }

    /// So many bytes; `None` when they are not free.
    pub(super) fn take(&self, bytes: usize) -> Option<Bytes> {
        Arc::clone(&self.free).try_acquire_many_owned(self.held_to(bytes)).ok().map(Bytes)
    }

    /// So many bytes as soon as they are free, in the order of asking.
    pub(super) async fn take_in_turn(&self, bytes: usize) -> Result<Bytes, Refusal> {
        Arc::clone(&self.free).acquire_many_owned(self.held_to(bytes)).await.map(Bytes).map_err(|_| Refusal::internal())
    }
}

/// What came in of one call and is not answered yet.
#[derive(Debug)]
pub(super) struct Intake {
    common: ByteBudget,
    own: ByteBudget,
    held: Mutex<Option<Held>>,
    left: AtomicBool,
}

/// Bytes of one call: of all that are held, and of those that its caller holds.
#[derive(Debug)]
pub(super) struct Held {
    common: Bytes,
    own: Bytes,
}

impl Intake {
    pub(super) fn new(common: &ByteBudget, own: &ByteBudget) -> Arc<Self> {
        Arc::new(Self { common: common.clone(), own: own.clone(), held: Mutex::default(), left: AtomicBool::new(false) })
    }

    fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let common = self.common.take(bytes).ok_or_else(Refusal::too_many_bytes)?;
        let own = self.own.take(bytes).ok_or_else(Refusal::too_many_own_bytes)?;
        match &mut *self.held.lock() {
            Some(held) => {
                held.common.add(common);
                held.own.add(own);
            }
            none @ None => *none = Some(Held { common, own }),
        }
        Ok(())
    }

    /// Everything that came in since it was asked last, for an item of a stream to hold.
    pub(super) fn handed_on(&self) -> Option<Held> {
        self.held.lock().take()
    }

    /// Whether the caller left before it had sent everything.
    pub(super) fn was_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }
}

/// A body that is counted as it comes in. Beyond a budget it ends with the refusal.
pub(super) fn counted(body: Body, intake: Arc<Intake>) -> Body {
    let frames = BodyStream::new(body).map(move |frame| match frame {
        Ok(frame) => match frame.data_ref().map_or(Ok(()), |data| intake.take(data.len())) {
            Ok(()) => Ok(frame),
            Err(refusal) => Err(Status::from(refusal)),
        },
        Err(broken) => {
            intake.left.store(true, Ordering::Relaxed);
            Err(broken)
        }
    });
    Body::new(StreamBody::new(frames))
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    async fn read(bytes: usize, intake: &Arc<Intake>) -> Result<usize, Status> {
        let body = Body::new(Full::new(bytes::Bytes::from(vec![7; bytes])));
        counted(body, Arc::clone(intake)).collect().await.map(|all| all.to_bytes().len())
    }

    #[tokio::test]
    async fn bytes_are_held_until_the_call_is_over_and_more_than_there_are_is_refused() {
        let common = ByteBudget::new(1_000);
        let [first, second] = [(); 2].map(|()| Intake::new(&common, &ByteBudget::new(10_000)));
        assert_eq!(read(700, &first).await.unwrap(), 700);
        assert_eq!(read(700, &second).await.unwrap_err().code(), tonic::Code::ResourceExhausted);
        let item = first.handed_on();
        assert!(read(700, &second).await.is_err(), "an item of a stream holds what was handed to it");
        drop(item);
        assert_eq!(read(700, &second).await.unwrap(), 700);
    }

    #[test]
    fn what_is_larger_than_the_budget_takes_all_of_it() {
        let budget = ByteBudget::new(10);
        let held = budget.take(1_000).unwrap();
        assert!(budget.take(1).is_none());
        drop(held);
        assert!(budget.take(1).is_some());
    }
}
