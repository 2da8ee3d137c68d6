//! What is made of files, and made again when they change: a certificate that is renewed comes into force without a restart.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};

use super::material::TlsError;

/// How often the files are looked at. A change comes into force after two looks that find the same: files are written one after the other.
const LOOKED_EVERY: Duration = Duration::from_secs(2);
/// The counter of certificates that were read again.
pub(super) const RELOADS: &str = "selfsame_tls_reloads_total";

/// A digest of what the files hold.
pub type Content = blake3::Hash;

/// Files, and what is made of them.
pub trait Source: Send + Sync + 'static {
    /// What is made.
    type Made: Send + Sync + 'static;

    /// What the files hold now, as one digest and as what is made of it.
    ///
    /// # Errors
    /// [`TlsError`] of the first file that cannot be used.
    fn make(&self) -> Result<Self::Made, TlsError>;

    /// A digest of what the files hold now; of those that cannot be read, that they cannot.
    fn content(&self) -> Content;

    /// What it is, for the log.
    fn what(&self) -> &'static str;
}

/// What came of a look at the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looked {
    /// They hold what is in force.
    Same,
    /// They hold something new, which is in force now.
    Taken,
    /// They hold something that cannot be used; what was in force stays.
    Refused,
}

/// What is made of files, as they were when they last could be used.
pub struct Fresh<S: Source> {
    source: S,
    in_force: RwLock<Arc<S::Made>>,
    /// What was made last, or could not be.
    looked_at: Mutex<Content>,
}

impl<S: Source> Fresh<S> {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(source: S) -> Result<Self, TlsError> {
        let looked_at = Mutex::new(source.content());
        Ok(Self { in_force: RwLock::new(Arc::new(source.make()?)), source, looked_at })
    }

    /// What is in force.
    #[must_use]
    pub fn in_force(&self) -> Arc<S::Made> {
        Arc::clone(&self.in_force.read())
    }

    /// The files.
    #[must_use]
    pub const fn source(&self) -> &S {
        &self.source
    }

    /// Reads the files again, whether or not they changed. Told in the log, and counted.
    pub fn reload(&self) -> Looked {
        let mut looked_at = self.looked_at.lock();
        *looked_at = self.source.content();
        let count = |result: &'static str| metrics::counter!(RELOADS, "result" => result).increment(1);
        match self.source.make() {
            Ok(made) => {
                *self.in_force.write() = Arc::new(made);
                count("taken");
                tracing::info!("{} was read again and is in force for new connections", self.source.what());
                Looked::Taken
            }
            Err(error) => {
                count("refused");
                tracing::error!(%error, "{} was not taken; the earlier one stays in force", self.source.what());
                Looked::Refused
            }
        }
    }

    /// Reads the files again if they hold something else than when they were read last, and than `before`: what the look before found. Returns what
    /// this one found.
    pub fn look(&self, before: Option<Content>) -> (Looked, Content) {
        let found = self.source.content();
        if found == *self.looked_at.lock() || before != Some(found) {
            return (Looked::Same, found);
        }
        (self.reload(), found)
    }

    /// Looks at the files again and again, until it is dropped.
    pub async fn keep(self: Arc<Self>) {
        let mut before = None;
        loop {
            tokio::time::sleep(LOOKED_EVERY).await;
            let own = Arc::clone(&self);
            // A disk may let one wait.
            if let Ok((_, found)) = tokio::task::spawn_blocking(move || own.look(before)).await {
                before = Some(found);
            }
        }
    }
}

/// A digest of the content of files, in their order.
pub(super) fn content_of<'p>(files: impl IntoIterator<Item = &'p std::path::PathBuf>) -> Content {
    let mut hasher = blake3::Hasher::new();
    for file in files {
        let content = std::fs::read(file).map_or_else(|_| blake3::hash(b"not readable"), |content| blake3::hash(&content));
        hasher.update(content.as_bytes());
    }
    hasher.finalize()
}
