//! How a journal on disk is opened.

use std::path::PathBuf;
use std::time::Duration;

/// How the journal is opened.
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// Memory for sled's page cache, in bytes. Sled treats it as a wish.
    pub cache_bytes: u64,
    /// How long opening may take before it is given up.
    pub open_timeout: Duration,
    /// Where snapshots of this journal's books are. A journal that is missing beside them, or is another one than theirs, is refused.
    pub snapshots: Option<PathBuf>,
    /// Whether the disk is asked to keep what was written.
    #[doc(hidden)]
    pub sync: SyncMode,
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, open_timeout: Duration::from_secs(300), snapshots: None, sync: SyncMode::Data }
    }
}

/// Whether a group is synced to the disk before it counts as durable.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// `fdatasync` on the log: survives power loss.
    Data,
    /// Only what sled does itself. For the test that shows that this is not enough.
    Skip,
}
