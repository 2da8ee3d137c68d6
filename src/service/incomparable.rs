//! Conversions whose two sides could not be compared: counted for each programme, and told in the log, one line in a while.
//!
//! A programme whose two systems digest under different keys has one such conversion after the other; whoever runs it must hear of it, and the log
//! must live through it. The screening handlers call it.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::ports::labels;
use crate::screening::comparability::Want;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::{Span, Timestamp};

/// The counter.
pub(super) const INCOMPARABLE: &str = "selfsame_incomparable_total";
/// A programme has at most one line in this time. Judgement: what an operator reads in a day.
const TOLD_EVERY: Span = Span::from_minutes(10);

/// Conversions that could not be compared.
#[derive(Debug, Default)]
pub(super) struct Incomparable(ToldNowAndThen);

/// Questions about one person that one caller asked again and again: counted for each programme, and told in the log, one line in a while.
#[derive(Debug, Default)]
pub(super) struct AskedOften(ToldNowAndThen);

/// The counter of questions that were too many.
pub(super) const ASKED_OFTEN: &str = "selfsame_asked_too_often_total";

impl AskedOften {
    /// Counts a question, and logs it unless its programme was told lately.
    pub(super) fn seen(&self, program: &ProgramId, now: Timestamp) {
        metrics::counter!(ASKED_OFTEN, "program" => labels::program(program)).increment(1);
        if let Some(questions) = self.0.due(program, now) {
            tracing::warn!(
                %program,
                questions,
                "one caller asks about one person again and again, and is slowed: somebody may be trying what is noticed"
            );
        }
    }
}

/// When each programme was told last, and how many there were since.
#[derive(Debug, Default)]
struct ToldNowAndThen(Mutex<BTreeMap<ProgramId, Told>>);

#[derive(Debug)]
struct Told {
    at: Timestamp,
    since: u64,
}

impl Incomparable {
    /// Counts a conversion, and logs it unless its programme was told lately.
    pub(super) fn seen(&self, program: &ProgramId, want: Want, now: Timestamp) {
        metrics::counter!(INCOMPARABLE, "program" => labels::program(program)).increment(1);
        if let Some(conversions) = self.0.due(program, now) {
            let why = want.sentence();
            tracing::warn!(%program, conversions, why, "conversions came whose two sides could not be compared; `why` is of the last");
        }
    }
}

impl ToldNowAndThen {
    /// How many a line tells of; `None` when there is to be none yet. A clock that was set back tells at once.
    fn due(&self, program: &ProgramId, now: Timestamp) -> Option<u64> {
        let mut told = self.0.lock();
        let Some(told) = told.get_mut(program) else {
            told.insert(program.clone(), Told { at: now, since: 0 });
            return Some(1);
        };
        told.since += 1;
        if now.since(told.at).abs() < TOLD_EVERY {
            return None;
        }
        told.at = now;
        Some(std::mem::take(&mut told.since))
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn every_conversion_is_counted_and_a_programme_is_told_once_in_a_while() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        let (told, noon) = (Incomparable::default(), Timestamp::saturating_from_millis(1_790_000_000_000));
        let [north, south] = ["north", "south"].map(|id| ProgramId::new(id).unwrap());
        metrics::with_local_recorder(&recorder, || (0..3).for_each(|_| told.seen(&north, Want::OfBoth, noon)));
        assert!(shown.render().contains("selfsame_incomparable_total{program=\"north\"} 3"), "{}", shown.render());
        assert_eq!(told.0.due(&north, noon.plus(Span::from_minutes(9))), None);
        assert_eq!(told.0.due(&south, noon), Some(1), "another programme is told by itself");
        assert_eq!(told.0.due(&north, noon.plus(TOLD_EVERY)), Some(4));
        assert_eq!(told.0.due(&north, noon.plus(TOLD_EVERY)), None);
    }
}
