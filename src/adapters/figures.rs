//! The figures that a server shows, each with its labels and a sentence: what dashboards and alerts may rely on.
//!
//! `tests/operations` holds that a running server shows these and no others (a relay shows its own), and that `docs/operations.md` explains each.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A histogram of times. Unit: seconds.
    Seconds,
    /// A histogram of numbers of records.
    Records,
}

/// A figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figure {
    /// Its name for Prometheus; of a histogram without `_bucket`, `_sum` and `_count`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The names of its labels. The values of each are of a bounded number.
    pub labels: &'static [&'static str],
    /// What it tells.
    pub help: &'static str,
}

/// All figures of this program. Those of the process (`process_…`) come beside them, as Prometheus names them.
#[rustfmt::skip]
pub const FIGURES: [Figure; 78] = [
    Figure { name: "selfsame_requests_total", kind: Kind::Counter, labels: &["method", "code"], help: "Calls by method and status code; a stream counts when it opens." },
    Figure { name: "selfsame_request_seconds", kind: Kind::Seconds, labels: &["method", "code"], help: "Time to answer, by method and status code; of a stream, until it opened." },
    Figure { name: "selfsame_refusals_total", kind: Kind::Counter, labels: &["method", "reason"], help: "Calls, and items of streams, that were refused, by the reason in their details." },
    Figure { name: "selfsame_asked_too_often_total", kind: Kind::Counter, labels: &["program"], help: "Questions about one person that were refused because one caller asked too many." },
    Figure { name: "selfsame_stream_items_total", kind: Kind::Counter, labels: &["method", "code"], help: "Messages that streams sent, by their own code." },
    Figure { name: "selfsame_streams_open", kind: Kind::Gauge, labels: &["method"], help: "Streams that are open." },
    Figure { name: "selfsame_verdicts_total", kind: Kind::Counter, labels: &["program", "verdict", "reason"], help: "New decisions with what decided first; replays do not count." },
    Figure { name: "selfsame_rewards_minor_total", kind: Kind::Counter, labels: &["program", "verdict", "currency"], help: "Rewards that new decisions named, in minor units: what was approved, what a review holds, what was stopped." },
    Figure { name: "selfsame_gate_answers_total", kind: Kind::Counter, labels: &["program", "asked", "gate", "reason"], help: "Answers of the gate to those who look (check) and those who are about to pay (reserve)." },
    Figure { name: "selfsame_reserve_minor_total", kind: Kind::Counter, labels: &["program", "gate", "currency"], help: "Money that payers asked for, in minor units: reserved (RELEASE), or held or denied; asked for again, it counts again." },
    Figure { name: "selfsame_paid_minor_total", kind: Kind::Counter, labels: &["program", "currency"], help: "Money that was marked as paid, in minor units." },
    Figure { name: "selfsame_paid_against_gate_total", kind: Kind::Counter, labels: &["program"], help: "Payments that were recorded although the gate did not release them." },
    Figure { name: "selfsame_incomparable_total", kind: Kind::Counter, labels: &["program"], help: "Conversions whose two sides could not be compared." },
    Figure { name: "selfsame_compared_total", kind: Kind::Counter, labels: &["program", "key_id", "compared"], help: "Conversions with a signal under this key id, by whether its two sides could be compared." },
    Figure { name: "selfsame_clock_skew_total", kind: Kind::Counter, labels: &[], help: "Calls that told of the future." },
    Figure { name: "selfsame_panics_total", kind: Kind::Counter, labels: &[], help: "Handlers that panicked and were answered INTERNAL." },
    Figure { name: "selfsame_serving", kind: Kind::Gauge, labels: &[], help: "1 while the ledger takes writes, else 0." },
    Figure { name: "selfsame_cases", kind: Kind::Gauge, labels: &["program", "state"], help: "Cases by state." },
    Figure { name: "selfsame_cases_overdue", kind: Kind::Gauge, labels: &["program"], help: "Undecided cases past their due time." },
    Figure { name: "selfsame_oldest_case_seconds", kind: Kind::Gauge, labels: &["program"], help: "Age of the oldest undecided case." },
    Figure { name: "selfsame_accounts", kind: Kind::Gauge, labels: &["program"], help: "Accounts known." },
    Figure { name: "selfsame_feed_followers", kind: Kind::Gauge, labels: &["program"], help: "Callers that follow the feed." },
    Figure { name: "selfsame_feed_lag_records", kind: Kind::Gauge, labels: &["program"], help: "Records that the slowest of them has yet to read." },
    Figure { name: "selfsame_outcomes_expired_total", kind: Kind::Counter, labels: &[], help: "Outcomes that waited too long for their purchase and were given up." },
    Figure { name: "selfsame_gateway_events_total", kind: Kind::Counter, labels: &["source", "answer"], help: "Events of senders at the gateway: taken, replayed, passed over, refused." },
    Figure { name: "selfsame_gateway_calls_total", kind: Kind::Counter, labels: &["what"], help: "What was done because of what senders said." },
    Figure { name: "selfsame_gateway_refused_total", kind: Kind::Counter, labels: &["what"], help: "What senders said that could not be done; the log says why, once." },
    Figure { name: "selfsame_records_forgotten_total", kind: Kind::Counter, labels: &[], help: "Records that retention removed." },
    Figure { name: "selfsame_policy_info", kind: Kind::Gauge, labels: &["program", "version"], help: "1 beside the policy that is in force, 0 beside one that was." },
    Figure { name: "selfsame_reloads_total", kind: Kind::Counter, labels: &["result"], help: "Times that the policies were read again: taken, or refused for a mistake." },
    Figure { name: "selfsame_model_info", kind: Kind::Gauge, labels: &["program", "version"], help: "1 beside the model that decides, 0 beside one that did; `none` where rule weights score." },
    Figure { name: "selfsame_model_missing", kind: Kind::Gauge, labels: &["program"], help: "1 while the file of the model that was chosen is not here." },
    Figure { name: "selfsame_model_breaker_tripped", kind: Kind::Gauge, labels: &["program"], help: "1 while the model's rejects go to review; 0 while it may reject." },
    Figure { name: "selfsame_model_breaker_trips_total", kind: Kind::Counter, labels: &["program"], help: "Breakers that tripped." },
    Figure { name: "selfsame_model_audits", kind: Kind::Gauge, labels: &["program", "found"], help: "Resolved audits of the model that decides, by what was found." },
    Figure { name: "selfsame_model_live_error", kind: Kind::Gauge, labels: &["program", "bound"], help: "Bounds of the share of honest among its rejects; valid at any time." },
    Figure { name: "selfsame_model_drift", kind: Kind::Gauge, labels: &["program", "feature"], help: "Population stability index against training (`score` for the score)." },
    Figure { name: "selfsame_ledger_faults_total", kind: Kind::Counter, labels: &[], help: "Refused writes and damaged records." },
    Figure { name: "selfsame_ledger_append_seconds", kind: Kind::Seconds, labels: &[], help: "Time until a group of records was durable." },
    Figure { name: "selfsame_ledger_group_records", kind: Kind::Records, labels: &[], help: "Records that became durable together." },
    Figure { name: "selfsame_ledger_queue_commands_count", kind: Kind::Gauge, labels: &[], help: "Commands that were admitted and are not answered yet." },
    Figure { name: "selfsame_ledger_freeze_seconds", kind: Kind::Seconds, labels: &[], help: "Time that the sequencer stood still for a snapshot." },
    Figure { name: "selfsame_ledger_snapshots_total", kind: Kind::Counter, labels: &["result"], help: "Snapshots: written, or failed." },
    Figure { name: "selfsame_ledger_snapshot_seconds", kind: Kind::Seconds, labels: &[], help: "Time to write a snapshot." },
    Figure { name: "selfsame_ledger_snapshot_lag_records", kind: Kind::Gauge, labels: &[], help: "Records that a start would replay, of the programme where it is most." },
    Figure { name: "selfsame_ledger_snapshot_age_seconds", kind: Kind::Gauge, labels: &[], help: "Age of the oldest snapshot that records came after, counted from the start at most." },
    Figure { name: "selfsame_ledger_open_seconds", kind: Kind::Gauge, labels: &["program"], help: "Time that opening took, its replay included." },
    Figure { name: "selfsame_ledger_replayed_records_total", kind: Kind::Counter, labels: &[], help: "Records that were replayed when programmes were opened." },
    Figure { name: "selfsame_ledger_memory_bytes", kind: Kind::Gauge, labels: &[], help: "Memory that books take, by estimate." },
    Figure { name: "selfsame_ledger_memory_budget_bytes", kind: Kind::Gauge, labels: &[], help: "Memory that books may take (`ledger.memory_mib`); beyond it writes are refused." },
    Figure { name: "selfsame_ledger_values_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: values such as devices, and who was seen on them." },
    Figure { name: "selfsame_ledger_accounts_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: accounts." },
    Figure { name: "selfsame_ledger_profiles_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: signals of accounts." },
    Figure { name: "selfsame_ledger_conversions_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: conversions." },
    Figure { name: "selfsame_ledger_cases_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: cases." },
    Figure { name: "selfsame_ledger_rewards_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: rewards, reservations, payments." },
    Figure { name: "selfsame_ledger_outcomes_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: outcomes." },
    Figure { name: "selfsame_ledger_intake_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: what senders' own events say." },
    Figure { name: "selfsame_ledger_texts_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: texts, and ids of calls." },
    Figure { name: "selfsame_ledger_cold_filter_bytes", kind: Kind::Gauge, labels: &[], help: "Of it: filters in front of what is cold." },
    Figure { name: "selfsame_ledger_cold_filter_fill_ratio", kind: Kind::Gauge, labels: &[], help: "How full those filters are; made again at 1." },
    Figure { name: "selfsame_ledger_cold_disk_bytes", kind: Kind::Gauge, labels: &[], help: "What is cold, on the disk." },
    Figure { name: "selfsame_ledger_cold_profiles_count", kind: Kind::Gauge, labels: &[], help: "Accounts whose signals are cold." },
    Figure { name: "selfsame_ledger_cold_values_count", kind: Kind::Gauge, labels: &[], help: "Values that only they were seen on." },
    Figure { name: "selfsame_ledger_cold_fetches_count", kind: Kind::Gauge, labels: &[], help: "Accounts that were brought back since the start." },
    Figure { name: "selfsame_ledger_warm_profiles_count", kind: Kind::Gauge, labels: &[], help: "Accounts whose signals are in memory." },
    Figure { name: "selfsame_ledger_warm_values_count", kind: Kind::Gauge, labels: &[], help: "Values in memory." },
    Figure { name: "selfsame_ledger_pending_outcomes_count", kind: Kind::Gauge, labels: &[], help: "Outcomes that wait for what they are about." },
    Figure { name: "selfsame_ledger_late_conversions_count", kind: Kind::Gauge, labels: &[], help: "Conversions that wait for another look." },
    Figure { name: "selfsame_database_retries_total", kind: Kind::Counter, labels: &[], help: "Times that the database was asked again." },
    Figure { name: "selfsame_forwarded_total", kind: Kind::Counter, labels: &[], help: "Calls that were sent on to the replica that holds their programme." },
    Figure { name: "selfsame_exposed_files_count", kind: Kind::Gauge, labels: &[], help: "Files of the data folder that other users of the machine may read, and that could not be taken from them." },
    Figure { name: "selfsame_connections", kind: Kind::Gauge, labels: &[], help: "Connections to the API that are open." },
    Figure { name: "selfsame_connections_refused_total", kind: Kind::Counter, labels: &["reason"], help: "Connections that were closed at once: their address had as many as it may (address), or there were as many as may be (all)." },
    Figure { name: "selfsame_connections_ended_total", kind: Kind::Counter, labels: &["reason"], help: "Connections that were ended from here: TLS was not agreed on (handshake), what was begun was not sent to its end (unfinished), no call for too long (idle), no answer to a ping or bad HTTP/2 (broken)." },
    Figure { name: "selfsame_tls_reloads_total", kind: Kind::Counter, labels: &["result"], help: "Times that a certificate was read again: taken, or refused for a mistake." },
    Figure { name: "selfsame_certificate_left_seconds", kind: Kind::Gauge, labels: &[], help: "Time until the certificate of the API ends; without end where plaintext is spoken." },
    Figure { name: "selfsame_build_info", kind: Kind::Gauge, labels: &["version", "arch"], help: "1, beside the version that runs." },
];

/// All figures of a relay, which is a process of its own; `docs/relay.md` explains each.
#[rustfmt::skip]
pub const RELAY_FIGURES: [Figure; 6] = [
    Figure { name: "selfsame_relay_delivered_total", kind: Kind::Counter, labels: &["target"], help: "Messages that a receiver or a stream accepted; of a receiver since its folder was made." },
    Figure { name: "selfsame_relay_retried_total", kind: Kind::Counter, labels: &["target"], help: "Attempts that a receiver did not accept; of a stream, messages that it had already." },
    Figure { name: "selfsame_relay_waiting", kind: Kind::Gauge, labels: &["target"], help: "Messages that wait for a receiver." },
    Figure { name: "selfsame_relay_dead", kind: Kind::Gauge, labels: &["target"], help: "Messages that were given up, and wait for somebody who sends them again." },
    Figure { name: "selfsame_relay_behind_seconds", kind: Kind::Gauge, labels: &["target"], help: "Age of the oldest event that waits." },
    Figure { name: "selfsame_relay_well", kind: Kind::Gauge, labels: &["target"], help: "1 while nothing is wrong: the feed is followed, nothing that waits has failed, and it is not switched off; else 0." },
];

/// Tells the recorder what each figure means, shown beside it as `# HELP`, and shows counters without labels from the start: one that appears with its
/// first fault has no increase to alert on.
pub(super) fn describe(figures: &[Figure]) {
    for &Figure { name, kind, help, labels } in figures {
        match kind {
            Kind::Counter => {
                describe_counter!(name, help);
                if labels.is_empty() {
                    counter!(name).increment(0);
                }
            }
            Kind::Gauge => describe_gauge!(name, help),
            Kind::Seconds => describe_histogram!(name, Unit::Seconds, help),
            Kind::Records => describe_histogram!(name, Unit::Count, help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn the_counters_of_faults_are_there_before_the_first_fault_and_explained() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let shown = recorder.handle();
        metrics::with_local_recorder(&recorder, || describe(&FIGURES));
        let shown = shown.render();
        for line in ["selfsame_ledger_faults_total 0", "selfsame_panics_total 0", "# HELP selfsame_panics_total Handlers"] {
            assert!(
                shown.contains(line),
                "{line} is not in:
{shown}"
            );
        }
    }

    #[test]
    fn a_figure_has_one_name_and_the_ending_of_its_kind() {
        let all = || FIGURES.iter().chain(&RELAY_FIGURES);
        let names: BTreeSet<&str> = all().map(|figure| figure.name).collect();
        assert_eq!(names.len(), FIGURES.len() + RELAY_FIGURES.len());
        for Figure { name, kind, .. } in all() {
            let fits = match kind {
                Kind::Counter => name.ends_with("_total"),
                Kind::Gauge => !name.ends_with("_total"),
                Kind::Seconds => name.ends_with("_seconds"),
                Kind::Records => name.ends_with("_records"),
            };
            assert!(fits && name.starts_with("selfsame_"), "{name}");
        }
    }

    #[test]
    fn each_figure_of_the_relay_is_explained_on_its_page() {
        let page = include_str!("../../docs/relay.md");
        for Figure { name, .. } in RELAY_FIGURES {
            assert!(page.contains(&format!("| `{name}` |")), "{name} is not in docs/relay.md");
        }
    }
}
