//! The clock: the one way in which time enters the service.

use std::time::Duration;

use crate::vocabulary::time::Timestamp;

/// Tells the time. The system clock in production; a set one in tests and replay.
pub trait Clock: Send + Sync {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// A moment on a clock that only goes forward, and goes on while the machine is suspended. Means nothing on another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Steady(pub Duration);

impl Steady {
    /// The moment a while later.
    #[must_use]
    pub fn plus(self, while_: Duration) -> Self {
        Self(self.0.saturating_add(while_))
    }

    /// How long it is until a later moment; nothing once that is over.
    #[must_use]
    pub fn until(self, later: Self) -> Duration {
        later.0.saturating_sub(self.0)
    }
}

/// Measures how long things last. Another clock than [`Clock`]: nobody can set it.
pub trait SteadyClock: Send + Sync {
    /// The present moment.
    fn steady(&self) -> Steady;
}
