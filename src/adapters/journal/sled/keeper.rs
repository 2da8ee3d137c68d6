//! The thread that brings the watermark to the disk each second, and tells when the folder of the open journal is gone though nobody writes, or when its
//! disk is nearly full.

use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use super::error::StorageError;
use super::store::Store;
use super::watermark::Watermark;

/// How often. What is noted on the disk is at most this old when the power goes. Judgement.
const EVERY: Duration = Duration::from_secs(1);

/// The running thread.
pub(super) struct Keeper {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread.
    pub(super) fn start(store: Arc<Store>, watermark: Arc<Watermark>) -> Result<Self, StorageError> {
        let (stop, stopped) = mpsc::channel();
        let work = move || {
            while stopped.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
                look_after(&store, &watermark);
                store.look_for_room(ROOM_MIN_BYTES);
            }
        };
        let thread = std::thread::Builder::new().name("journal-keeper".into()).spawn(work);
        let thread = thread.map_err(|e| StorageError::Io { doing: "starting a thread", reason: e.to_string() })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }

    /// Ends the thread and waits for it.
    pub(super) fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It panics only when sled or the system do; closing goes on.
            drop(thread.join());
        }
    }
}

/// Room on the disk below which nothing new is begun: more than is written in a second. Unit: bytes. Judgement.
const ROOM_MIN_BYTES: u64 = 64 << 20;

/// Brings the watermark to the disk and looks whether the folder is still there; otherwise nothing is written any more.
pub(super) fn look_after(store: &Store, watermark: &Watermark) {
    let synced = watermark.sync().map_err(StorageError::io("noting what is durable", store.folder()));
    if let Err(error) = synced.and_then(|()| store.refuse_if_replaced()) {
        store.fail(&error);
    }
}
