//! How a ledger is doing inside, in numbers: what it takes in memory, what waits, how much is warm and how much is cold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cold::{ColdFigures, ColdTier};
use super::journaled::Shared;
use super::programme::Programme;
use crate::ports::ledger::Reading;

/// All of it, over all programmes.
pub(super) fn of(shared: &Shared) -> Vec<Reading> {
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    let programmes = shared.programmes.all();
    for programme in &programmes {
        for (part, bytes) in programme.book.read().memory() {
            *counts.entry(part).or_default() += bytes;
        }
    }
    let tiers = programmes.iter().filter_map(|programme| programme.cold.as_ref());
    let tiers = tiers.map(ColdTier::figures).fold(ColdFigures::default(), ColdFigures::and);
    counts.insert("cold_filter_bytes", tiers.filter_bytes);
    counts.insert("memory_bytes", counts.values().sum());
    for name in ["pending_outcomes_count", "late_conversions_count", "cold_profiles_count", "cold_values_count"] {
        // Told as 0 before there is a programme.
        counts.insert(name, 0);
    }
    for programme in &programmes {
        let book = programme.book.read();
        let ((warm_profiles, warm_values), cold) = (book.warm(), book.cold());
        for (name, count) in [
            ("pending_outcomes_count", book.pending_count()),
            ("late_conversions_count", book.late_count()),
            ("warm_profiles_count", warm_profiles),
            ("warm_values_count", warm_values),
            ("cold_profiles_count", as_count(cold.accounts)),
            ("cold_values_count", as_count(cold.values)),
        ] {
            *counts.entry(name).or_default() += count;
        }
    }
    counts.insert("queue_commands_count", shared.committer.waiting());
    counts.insert("cold_fetches_count", as_count(tiers.fetched));
    counts.insert("cold_disk_bytes", as_count(shared.cold.as_ref().map_or(0, |store| store.disk_bytes())));
    #[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
    let reading = |(name, count): (&'static str, usize)| Reading { name, value: count as f64 };
    let fill = Reading { name: "cold_filter_fill_ratio", value: tiers.fill() };
    counts.into_iter().map(reading).chain([fill]).chain(snapshots(shared, &programmes)).collect()
}

/// How far the snapshots are behind, and for how long: of the programme where it is most. Nothing where none are kept.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats")]
fn snapshots(shared: &Shared, programmes: &[Arc<Programme>]) -> Vec<Reading> {
    if shared.snapshots.is_none() {
        return Vec::new();
    }
    let (mut lag, mut age) = (0, Duration::ZERO);
    for programme in programmes {
        let behind = programme.book.read().cursor().0.saturating_sub(programme.snapshot.lock().0);
        if behind > 0 {
            lag = lag.max(behind);
            age = age.max(programme.snapshot_since.lock().elapsed());
        }
    }
    let age = age.as_secs_f64();
    vec![Reading { name: "snapshot_lag_records", value: lag as f64 }, Reading { name: "snapshot_age_seconds", value: age }]
}

fn as_count(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
