//! Where everything that the relay feeds stands: told to Prometheus, and written beside the state for `selfsame relay status`.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::adapters::system_clock::SystemClock;
use crate::ports::clock::Clock as _;

/// The file in the relay's folder.
const FILE: &str = "status.json";

/// What is fed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A receiver of webhooks.
    #[default]
    Webhook,
    /// A stream of NATS JetStream.
    Nats,
}

/// Where a receiver or a stream stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Standing {
    /// What it is called.
    pub name: String,
    /// What it is.
    pub kind: TargetKind,
    /// The programme.
    pub program: String,
    /// Up to where the feed was taken.
    pub cursor: String,
    /// Messages that were accepted.
    pub delivered: u64,
    /// Attempts that failed and were or will be made again.
    pub retried: u64,
    /// Messages that wait.
    pub waiting: u64,
    /// Messages that are dead.
    pub dead: u64,
    /// When the oldest that waits was recorded; 0 when none waits. Unit: milliseconds since 1970.
    pub oldest_waiting_ms: i64,
    /// Why nothing is sent to it until it is switched on again; empty when it is on.
    pub off: String,
    /// What is wrong at present; empty for nothing.
    pub trouble: String,
}

/// All standings.
#[derive(Debug, Default)]
pub(super) struct Board {
    standings: Mutex<BTreeMap<String, Standing>>,
}

impl Board {
    pub(super) fn set(&self, standing: Standing) {
        self.standings.lock().insert(standing.name.clone(), standing);
    }

    /// Shows everything: figures, and the file where something changed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn show(&self, folder: &Path, shown: &mut Vec<Standing>) -> io::Result<()> {
        let standings: Vec<Standing> = self.standings.lock().values().cloned().collect();
        for standing in &standings {
            figures_of(standing);
        }
        if standings != *shown {
            write_whole(&folder.join(FILE), &serde_json::to_vec(&standings)?)?;
            *shown = standings;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures are floats; none of these is beyond 2^53")]
fn figures_of(standing: &Standing) {
    let Standing { name, delivered, retried, waiting, dead, oldest_waiting_ms, off, trouble, .. } = standing;
    let target = || name.clone();
    metrics::counter!("selfsame_relay_delivered_total", "target" => target()).absolute(*delivered);
    metrics::counter!("selfsame_relay_retried_total", "target" => target()).absolute(*retried);
    metrics::gauge!("selfsame_relay_waiting", "target" => target()).set(*waiting as f64);
    metrics::gauge!("selfsame_relay_dead", "target" => target()).set(*dead as f64);
    let behind_ms =
        if *oldest_waiting_ms == 0 { 0 } else { SystemClock.now().as_millis().saturating_sub(*oldest_waiting_ms).max(0) };
    metrics::gauge!("selfsame_relay_behind_seconds", "target" => target()).set(behind_ms as f64 / 1_000.0);
    let well = off.is_empty() && trouble.is_empty();
    metrics::gauge!("selfsame_relay_well", "target" => target()).set(if well { 1.0 } else { 0.0 });
}

/// What a relay wrote last in its folder; nothing where none ever ran.
///
/// # Errors
/// When the file cannot be read.
pub fn read_standings(folder: &Path) -> io::Result<Vec<Standing>> {
    match std::fs::read(folder.join(FILE)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes a file so that readers see the old or the new, and a crash leaves one of both.
///
/// # Errors
/// When it cannot be written.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let mut partial = tempfile::NamedTempFile::new_in(&folder)?;
    partial.write_all(bytes)?;
    partial.as_file().sync_all()?;
    partial.persist(path).map_err(|refused| refused.error)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again_and_written_only_where_something_changed() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read_standings(folder.path()).unwrap(), []);
        let (board, mut shown) = (Board::default(), Vec::new());
        board.set(Standing { name: "billing".to_owned(), delivered: 3, ..Standing::default() });
        board.show(folder.path(), &mut shown).unwrap();
        assert_eq!(read_standings(folder.path()).unwrap(), shown);
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        board.show(folder.path(), &mut shown).unwrap();
        assert_eq!(read_standings(folder.path()).unwrap(), []);
        board.set(Standing { name: "billing".to_owned(), delivered: 4, ..Standing::default() });
        board.show(folder.path(), &mut shown).unwrap();
        assert_eq!(read_standings(folder.path()).unwrap()[0].delivered, 4);
    }
}
