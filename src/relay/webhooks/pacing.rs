//! When a message is sent again: how long is waited after each failure, and what a receiver's `Retry-After` asks for. Pure.

use std::time::Duration;

/// The longest that a receiver may ask to wait. Judgement: a day; longer would be a mistake of its own.
const ASKED_MAX: Duration = Duration::from_secs(86_400);

/// The waits of a receiver.
#[derive(Debug, Clone)]
pub(super) struct Pacing(Vec<Duration>);

impl Pacing {
    pub(super) fn new(seconds: &[f64]) -> Self {
        Self(seconds.iter().map(|seconds| Duration::from_secs_f64(*seconds)).collect())
    }

    /// How long is waited after so many failures, `chance` within `[0, 1)` making it up to a fifth shorter or longer; absent when it is over.
    pub(super) fn after(&self, failures: u32, chance: f64) -> Option<Duration> {
        let wait = usize::try_from(failures).ok()?.checked_sub(1).and_then(|at| self.0.get(at))?;
        Some(wait.mul_f64(0.8 + 0.4 * chance))
    }
}

/// What `Retry-After` asks for: seconds, or a date of HTTP. At most a day.
pub(super) fn asked_for(header: &str, now_ms: i64) -> Option<Duration> {
    let header = header.trim();
    let wait = if let Ok(seconds) = header.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(header).ok()?;
        Duration::from_millis(u64::try_from(date.as_millisecond().saturating_sub(now_ms)).unwrap_or(0))
    };
    Some(wait.min(ASKED_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_the_list_give_or_take_a_fifth_and_end_with_it() {
        let pacing = Pacing::new(&[10.0, 100.0]);
        let seconds = |failures, chance| pacing.after(failures, chance).map(|wait| wait.as_secs_f64().round());
        assert_eq!([seconds(1, 0.5), seconds(1, 0.0), seconds(2, 0.999_9)], [Some(10.0), Some(8.0), Some(120.0)]);
        assert_eq!([seconds(3, 0.5), seconds(0, 0.5)], [None, None]);
    }

    #[test]
    fn a_receiver_asks_in_seconds_or_by_a_date() {
        let now_ms = 1_445_412_470_000;
        assert_eq!(asked_for("120", now_ms), Some(Duration::from_secs(120)));
        assert_eq!(asked_for("Wed, 21 Oct 2015 07:28:00 GMT", now_ms), Some(Duration::from_secs(10)));
        assert_eq!(asked_for("Wed, 21 Oct 2015 07:20:00 GMT", now_ms), Some(Duration::ZERO));
        assert_eq!(asked_for("99999999999", now_ms), Some(ASKED_MAX));
        assert_eq!([asked_for("soon", now_ms), asked_for("-1", now_ms)], [None, None]);
    }
}
