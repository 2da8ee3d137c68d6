//! What a run measured: latencies in a histogram, answers and refusals in counts. Pure data; called by the driver and the reports.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency that is told apart, in microseconds: one minute.
const LATENCY_MAX_MICROS: u64 = 60_000_000;

/// Collects what happened to requests.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// In tenths of a microsecond, from the intended send time to the answer.
    latency: Histogram<u64>,
    answered: u64,
    refused: BTreeMap<String, u64>,
    first_refusal: Option<String>,
    verdicts: BTreeMap<String, u64>,
}

/// Recording needs a histogram with a range that cannot be made. Never seen; the range is a constant.
#[derive(Debug, thiserror::Error)]
#[error("the latency histogram cannot be made: {0}")]
pub struct InvalidRange(#[from] hdrhistogram::CreationError);

impl Recorder {
    /// Nothing recorded yet.
    ///
    /// # Errors
    /// [`InvalidRange`].
    pub fn new() -> Result<Self, InvalidRange> {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_MICROS * 10, 3)?;
        Ok(Self { latency, answered: 0, refused: BTreeMap::new(), first_refusal: None, verdicts: BTreeMap::new() })
    }

    /// An answer came this long after the intended send time.
    pub fn answered(&mut self, latency: Duration, verdict: &str) {
        let tenths = u64::try_from(latency.as_nanos() / 100).unwrap_or(u64::MAX);
        self.latency.saturating_record(tenths.max(1));
        self.answered += 1;
        count(&mut self.verdicts, verdict);
    }

    /// The server refused, or the connection failed, and said why. Not part of the latencies.
    pub fn refused(&mut self, code: &str, why: &str) {
        count(&mut self.refused, code);
        self.first_refusal.get_or_insert_with(|| why.to_owned());
    }

    /// Adds what another recorder saw.
    pub fn merge(&mut self, other: &Self) {
        // Both histograms have one range, so adding cannot fail; if it did, the count would tell.
        let _ = self.latency.add(&other.latency);
        self.answered += other.answered;
        if self.first_refusal.is_none() {
            self.first_refusal.clone_from(&other.first_refusal);
        }
        for (own, theirs) in [(&mut self.refused, &other.refused), (&mut self.verdicts, &other.verdicts)] {
            for (key, more) in theirs {
                *own.entry(key.clone()).or_default() += more;
            }
        }
    }

    /// How many answers came.
    #[must_use]
    pub const fn answered_count(&self) -> u64 {
        self.answered
    }

    /// The run in numbers.
    #[must_use]
    pub fn measured(&self, elapsed: Duration) -> Measured {
        Measured {
            seconds: elapsed.as_secs_f64(),
            answered: self.answered,
            answers_per_second: rate(self.answered, elapsed),
            latency_micros: self.latency_micros(),
            refused: self.refused.clone(),
            first_refusal: self.first_refusal.clone(),
            verdicts: self.verdicts.clone(),
        }
    }

    fn latency_micros(&self) -> LatencyMicros {
        let at = |quantile: f64| micros(self.latency.value_at_quantile(quantile));
        LatencyMicros {
            mean: self.latency.mean() / 10.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: micros(self.latency.max()),
        }
    }
}

fn count(counts: &mut BTreeMap<String, u64>, key: &str) {
    match counts.get_mut(key) {
        Some(known) => *known += 1,
        None => {
            counts.insert(key.to_owned(), 1);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "at most 6 * 10^8")]
fn micros(tenths: u64) -> f64 {
    tenths as f64 / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn rate(count: u64, elapsed: Duration) -> f64 {
    count as f64 / elapsed.as_secs_f64().max(1e-9)
}

/// A run in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// How long requests were sent and awaited.
    pub seconds: f64,
    /// Answers.
    pub answered: u64,
    /// Answers for each second.
    pub answers_per_second: f64,
    /// From the intended send time to the answer.
    pub latency_micros: LatencyMicros,
    /// Refusals and failures by gRPC code. Empty when there was none.
    pub refused: BTreeMap<String, u64>,
    /// What the first of them said; absent when there was none.
    pub first_refusal: Option<String>,
    /// Answers by verdict.
    pub verdicts: BTreeMap<String, u64>,
}

impl Measured {
    /// The refusals in words: each code with its count, and what the first said. `None` when there was none.
    #[must_use]
    pub fn refusals(&self) -> Option<String> {
        self.first_refusal.as_ref().map(|first| format!("{:?}; the first: {first}", self.refused))
    }
}

/// Latencies, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LatencyMicros {
    /// The mean.
    pub mean: f64,
    /// Half of the answers came within this.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// 99 of a hundred.
    pub p99: f64,
    /// 999 of a thousand.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut recorder = Recorder::new().unwrap();
        for millis in 1..=100 {
            recorder.answered(Duration::from_millis(millis), "APPROVED");
        }
        let measured = recorder.measured(Duration::from_secs(10));
        assert!((measured.latency_micros.p50 - 50_000.0).abs() < 100.0);
        assert!((measured.latency_micros.p99 - 99_000.0).abs() < 200.0);
        assert!((measured.answers_per_second - 10.0).abs() < 1e-9);
    }

    #[test]
    fn refusals_are_counted_apart_from_answers() {
        let mut one = Recorder::new().unwrap();
        one.answered(Duration::from_millis(1), "APPROVED");
        let mut other = Recorder::new().unwrap();
        other.refused("ResourceExhausted", "too much at once");
        one.merge(&other);
        let measured = one.measured(Duration::from_secs(1));
        assert_eq!((measured.answered, measured.refused["ResourceExhausted"]), (1, 1));
        assert_eq!(measured.first_refusal.as_deref(), Some("too much at once"));
        assert_eq!(measured.refusals().as_deref(), Some("{\"ResourceExhausted\": 1}; the first: too much at once"));
    }
}
