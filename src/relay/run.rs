//! The relay as a whole: one task for each receiver and each stream, and one that shows where all of them stand.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::board::{Board, read_standings};
use super::config::RelayConfig;
use super::follow::Source;
use super::nats::Publisher;
use super::webhooks::Receiver;
use crate::adapters::private;

/// How often standings are shown.
const SHOW_EVERY: Duration = Duration::from_secs(1);
/// How often it is tried to take the lock.
const LOOKS: u32 = 20;
/// The pause between two of these.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The relay's folder, which one relay at a time works in.
pub struct Lock {
    folder: PathBuf,
    _held: File,
}

impl Lock {
    /// Takes a folder; makes it where there is none.
    ///
    /// # Errors
    /// When another relay works in it, or it cannot be made.
    pub async fn take(folder: &Path) -> anyhow::Result<Self> {
        private::make_folder(folder).with_context(|| format!("making the folder `{}`", folder.display()))?;
        let held = File::options().create(true).append(true).open(folder.join("lock")).context("opening the lock")?;
        // Whoever only looks holds it for a moment.
        for _ in 0..LOOKS {
            match held.try_lock() {
                Ok(()) => return Ok(Self { folder: folder.to_owned(), _held: held }),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(TryLockError::Error(error)) => return Err(error).context("taking the lock"),
            }
        }
        bail!("another relay works in `{}`", folder.display())
    }

    /// Whether a relay works in a folder.
    #[must_use]
    pub fn is_held(folder: &Path) -> bool {
        let Ok(file) = File::options().append(true).open(folder.join("lock")) else { return false };
        matches!(file.try_lock(), Err(TryLockError::WouldBlock))
    }
}

/// Relays until it is told to stop.
///
/// # Errors
/// When a receiver's secrets or files cannot be used, or what it must keep cannot be written.
pub async fn run(config: &RelayConfig, source: &Source, lock: Lock, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let Lock { folder, _held } = &lock;
    let board = Arc::new(Board::default());
    let (told_to_stop, stopping) = watch::channel(false);
    let mut tasks: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for webhook in &config.webhooks {
        let name = webhook.name.clone();
        let receiver = Receiver::open(webhook.clone(), folder, source.clone(), Arc::clone(&board));
        let receiver = receiver.with_context(|| format!("the receiver `{name}`"))?;
        let stopping = stopping.clone();
        tasks.spawn(async move { receiver.run(stopping).await.with_context(|| format!("the receiver `{name}`")) });
    }
    for nats in &config.nats {
        let name = nats.name.clone();
        let publisher = Publisher::open(nats.clone(), folder, source.clone(), Arc::clone(&board));
        let publisher = publisher.with_context(|| format!("the stream `{name}`"))?;
        let stopping = stopping.clone();
        tasks.spawn(async move {
            publisher.run(stopping).await;
            Ok(())
        });
    }
    if tasks.is_empty() {
        bail!("there is nobody to relay to: name a receiver in [[webhooks]] or a stream in [[nats]]");
    }
    let mut shown = read_standings(folder).unwrap_or_default();
    let mut show = tokio::time::interval(SHOW_EVERY);
    let mut stop = std::pin::pin!(stop);
    let mut asked_to = false;
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => break,
                Some(ended) => ended.map_err(|error| anyhow!("a task of the relay broke: {error}"))??,
            },
            _ = show.tick() => board.show(folder, &mut shown).context("writing the status")?,
            () = &mut stop, if !asked_to => {
                asked_to = true;
                told_to_stop.send_replace(true);
            }
        }
    }
    board.show(folder, &mut shown).context("writing the status")
}
