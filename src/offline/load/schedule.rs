//! When requests leave. An open loop decides that beforehand, so that a slow server cannot slow down its own test.
//!
//! Pure but for [`pace`], which waits on a thread of its own: a timer of the async runtime is only good to a millisecond.
//! Called by the driver.

use std::time::{Duration, Instant};

use super::generator::Dice;

/// How arrivals are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrivals {
    /// Independent callers: exponential gaps.
    Poisson,
    /// One every `1 / rate` seconds.
    Fixed,
}

/// The planned send times of an open loop, from its start. Endless.
#[derive(Debug, Clone)]
pub struct Schedule {
    arrivals: Arrivals,
    gap_mean_seconds: f64,
    next_seconds: f64,
    dice: Dice,
}

impl Schedule {
    /// Arrivals at this rate, for each second. The rate must be above zero.
    #[must_use]
    pub fn new(arrivals: Arrivals, rate_per_second: f64, seed: u64) -> Self {
        Self { arrivals, gap_mean_seconds: rate_per_second.recip(), next_seconds: 0.0, dice: Dice::new(seed, u64::MAX) }
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let gap_seconds = match self.arrivals {
            Arrivals::Fixed => self.gap_mean_seconds,
            Arrivals::Poisson => -self.dice.unit().ln() * self.gap_mean_seconds,
        };
        let planned = Duration::try_from_secs_f64(self.next_seconds).ok()?;
        self.next_seconds += gap_seconds;
        Some(planned)
    }
}

/// Calls `send` with each planned time when it has come, until `length` is over. Blocks; give it a thread.
///
/// A late call is made at once and keeps its planned time: that the sender was late is part of what callers would see.
pub fn pace(schedule: Schedule, start: Instant, length: Duration, mut send: impl FnMut(Instant)) {
    for planned in schedule.take_while(|planned| *planned < length) {
        let due = start + planned;
        while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            std::thread::park_timeout(left);
        }
        send(due);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_arrivals_come_at_equal_steps() {
        let planned: Vec<u128> = Schedule::new(Arrivals::Fixed, 1_000.0, 1).take(4).map(|d| d.as_micros()).collect();
        assert_eq!(planned, [0, 1_000, 2_000, 3_000]);
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_vary() {
        let planned: Vec<Duration> = Schedule::new(Arrivals::Poisson, 1_000.0, 1).take(20_001).collect();
        let total = planned.last().unwrap().as_secs_f64();
        assert!((19.0..21.0).contains(&total), "{total}");
        let short = planned.windows(2).filter(|pair| pair[1].saturating_sub(pair[0]) < Duration::from_micros(500)).count();
        assert!((7_000..9_000).contains(&short), "{short}");
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule() {
        let times = |seed| Schedule::new(Arrivals::Poisson, 10.0, seed).take(50).collect::<Vec<_>>();
        assert_eq!(times(3), times(3));
        assert_ne!(times(3), times(4));
    }

    #[test]
    fn pacing_sends_all_that_was_planned_within_its_length() {
        let mut sent = 0;
        pace(Schedule::new(Arrivals::Fixed, 10_000.0, 1), Instant::now(), Duration::from_millis(5), |_| sent += 1);
        assert_eq!(sent, 50);
    }
}
