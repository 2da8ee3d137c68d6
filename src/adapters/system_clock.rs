//! The system clock: the one place that reads the time. The service and the commands hand it on as a `Clock`; nothing else knows it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ports::clock::{Clock, Steady, SteadyClock};
use crate::vocabulary::time::Timestamp;

/// Tells the machine's time, held to the years 2000 to 2199.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        // A clock before 1970 is a broken clock; the earliest instant fails safe, for no payout delay has passed then.
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::saturating_from_millis(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }
}

impl SteadyClock for SystemClock {
    /// Counts a suspended machine on Linux; elsewhere what the system's own monotonic clock counts.
    fn steady(&self) -> Steady {
        #[cfg(target_os = "linux")]
        {
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
            let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
            Steady(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default()))
        }
        #[cfg(not(target_os = "linux"))]
        {
            static BEGAN: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
            Steady(BEGAN.elapsed())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_lives_after_this_was_written() {
        assert!(SystemClock.now() > Timestamp::saturating_from_millis(1_700_000_000_000));
    }
}
