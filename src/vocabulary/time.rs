//! Points in time and spans. Nothing here reads a clock: `now` is always an argument.

use std::fmt;

/// A point in time: milliseconds since 1970-01-01T00:00:00Z.
///
/// Range: the years 2000 to 2199, which every [`Timestamp::from_millis`] checks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(i64);

/// A span: whole milliseconds, may be negative when clocks disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Span(i64);

/// The instant lies outside the years 2000 to 2199; most often a unit was confused (seconds for milliseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("lies outside the years 2000 to 2199; check the unit")]
pub struct OutOfRange;

/// How far a time may lie after the receiver's clock and still be taken for clock skew. Judgement: machines that keep time at all agree
/// within seconds, phones and laptops within minutes.
pub const CLOCK_SKEW_TOLERANCE: Span = Span::from_minutes(10);

const YEAR_2000_MILLIS: i64 = 946_684_800_000;
const YEAR_2200_MILLIS: i64 = 7_258_118_400_000;

impl Timestamp {
    /// The earliest instant there is here.
    pub const MIN: Self = Self(YEAR_2000_MILLIS);

    /// Takes milliseconds since 1970.
    ///
    /// # Errors
    /// [`OutOfRange`] outside the years 2000 to 2199.
    pub const fn from_millis(millis: i64) -> Result<Self, OutOfRange> {
        if millis < YEAR_2000_MILLIS || millis >= YEAR_2200_MILLIS {
            return Err(OutOfRange);
        }
        Ok(Self(millis))
    }

    /// The nearest valid instant to these milliseconds since 1970.
    #[must_use]
    pub fn saturating_from_millis(millis: i64) -> Self {
        Self(millis.clamp(YEAR_2000_MILLIS, YEAR_2200_MILLIS - 1))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, as they fit an index entry (until the year 2106; later instants saturate).
    #[must_use]
    pub fn as_index_seconds(self) -> u32 {
        u32::try_from(self.0 / 1000).unwrap_or(u32::MAX)
    }

    /// How much later `self` is than `earlier`; negative when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Span {
        Span(self.0 - earlier.0)
    }

    /// This instant moved by a span, held inside the valid range.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self::saturating_from_millis(self.0.saturating_add(span.0))
    }

    /// This instant moved back by a span, held inside the valid range.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        Self::saturating_from_millis(self.0.saturating_sub(span.0))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// RFC 3339 in UTC, with `Z`, and with milliseconds where there are any.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) if self.0 % 1000 == 0 => write!(f, "{instant:.0}"),
            Ok(instant) => write!(f, "{instant:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// A span of milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// A span of seconds.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// A span of minutes.
    #[must_use]
    pub const fn from_minutes(minutes: i64) -> Self {
        Self::from_seconds(minutes.saturating_mul(60))
    }

    /// A span of hours.
    #[must_use]
    pub const fn from_hours(hours: i64) -> Self {
        Self::from_minutes(hours.saturating_mul(60))
    }

    /// A span of days of 24 hours.
    #[must_use]
    pub const fn from_days(days: i64) -> Self {
        Self::from_hours(days.saturating_mul(24))
    }

    /// Whole milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Seconds with their fraction.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "spans are far below 2^53 milliseconds")]
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Whether the span points backwards.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The span without its sign.
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }
}

/// In a reviewer's words: `12 s`, `5 min`, `3 h`, `2 days`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        match seconds.abs() {
            0..=119 => write!(f, "{seconds} s"),
            120..=7_199 => write!(f, "{} min", seconds / 60),
            7_200..=172_799 => write!(f, "{} h", seconds / 3_600),
            _ => write!(f, "{} days", seconds / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_taken_for_milliseconds_are_refused() {
        assert_eq!(Timestamp::from_millis(1_700_000_000), Err(OutOfRange));
        assert!(Timestamp::from_millis(1_700_000_000_000).is_ok());
    }

    #[test]
    fn a_time_is_written_with_z_and_with_milliseconds_where_there_are_any() {
        for (millis, text) in [(1_790_000_000_000, "2026-09-21T14:13:20Z"), (1_790_000_000_500, "2026-09-21T14:13:20.500Z")] {
            assert_eq!(Timestamp::from_millis(millis).unwrap().to_string(), text);
        }
    }

    #[test]
    fn moving_a_time_never_leaves_the_range() {
        let first = Timestamp::MIN;
        assert_eq!(first.minus(Span::from_days(1)), first);
    }

    #[test]
    fn spans_read_like_a_person_says_them() {
        assert_eq!(Span::from_seconds(12).to_string(), "12 s");
        assert_eq!(Span::from_minutes(5).to_string(), "5 min");
        assert_eq!(Span::from_days(2).to_string(), "2 days");
    }
}
