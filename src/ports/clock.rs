//! The clock: the one way in which time enters the service.

use crate::vocabulary::time::Timestamp;

/// Tells the time. The system clock in production; a set one in tests and replay.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}
