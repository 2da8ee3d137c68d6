//! Telemetry: log lines to standard error, figures for Prometheus on an address of their own.
//!
//! It must never record a signal, a note or an id of a person: log lines carry reasons and methods, labels carry methods, codes, verdicts and
//! programmes. `serve` and `demo` start it, once for the process.

use std::io::IsTerminal as _;
use std::net::SocketAddr;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tracing_subscriber::EnvFilter;

use super::config::LogFormat;

/// Upper bounds of the latency histogram, in seconds: fine where a disk sync lies, coarse where patience ends.
const LATENCY_BUCKETS_SECONDS: [f64; 16] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Why telemetry could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one of `tracing`.
    #[error("`{filter}` is not a log filter; write a level like `info`, or `selfsame=debug,info`: {problem}")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        problem: tracing_subscriber::filter::ParseError,
    },
    /// Something else in the process logs already.
    #[error("logging was started before in this process")]
    StartedTwice,
    /// The figures cannot be served.
    #[error("the metrics cannot be served at `{address}`: {problem}")]
    Metrics {
        /// Where.
        address: SocketAddr,
        /// What is wrong.
        problem: metrics_exporter_prometheus::BuildError,
    },
}

/// Writes log lines of this filter to standard error.
///
/// # Errors
/// [`TelemetryError::Filter`] for a malformed filter; [`TelemetryError::StartedTwice`].
pub fn start_logging(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(|problem| TelemetryError::Filter { filter: filter.to_owned(), problem })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    let started = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| TelemetryError::StartedTwice)?;
    if format == LogFormat::Json {
        // A panic is a line like any other: whoever reads the log reads JSON and nothing else.
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
    }
    Ok(())
}

/// Serves figures at `http://<address>/metrics`. Must be called inside the runtime that will serve them.
///
/// # Errors
/// [`TelemetryError::Metrics`] when the address cannot be listened on.
pub fn start_metrics(address: SocketAddr) -> Result<(), TelemetryError> {
    let broken = |problem| TelemetryError::Metrics { address, problem };
    PrometheusBuilder::new()
        .with_http_listener(address)
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS_SECONDS)
        .map_err(broken)?
        .install()
        .map_err(broken)?;
    describe();
    Ok(())
}

/// What each figure means; shown beside it.
fn describe() {
    describe_counter!("selfsame_requests_total", "Calls by method and status code; a stream counts when it opens.");
    describe_histogram!("selfsame_request_seconds", Unit::Seconds, "Time to answer, by method and status code.");
    describe_counter!("selfsame_verdicts_total", "New decisions by programme and verdict; replays do not count.");
    describe_counter!("selfsame_panics_total", "Handlers that panicked and were answered INTERNAL.");
    describe_counter!("selfsame_ledger_faults_total", "Failed writes and damaged records.");
    describe_gauge!("selfsame_serving", "1 while the ledger takes writes, else 0.");
    describe_gauge!("selfsame_cases", "Cases by programme and state.");
    describe_gauge!("selfsame_cases_overdue", "Undecided cases past their due time, by programme.");
    describe_gauge!("selfsame_oldest_case_seconds", Unit::Seconds, "Age of the oldest undecided case, by programme.");
    describe_gauge!(
        "selfsame_model_breaker_tripped",
        "1 while the model's rejects go to review, by programme; 0 while it may reject."
    );
    describe_gauge!("selfsame_model_audits", "Resolved audits of the model that decides, by programme and what was found.");
    describe_gauge!(
        "selfsame_model_live_error",
        "Bounds of the share of honest among its rejects, by programme; valid at any time."
    );
    describe_gauge!(
        "selfsame_model_drift",
        "Population stability index against training, by programme and feature (`score` for the score)."
    );
    describe_counter!("selfsame_model_breaker_trips_total", "Breakers that tripped, by programme.");
    describe_gauge!("selfsame_accounts", "Accounts known, by programme.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_filter_is_named() {
        let refused = start_logging(LogFormat::Text, "selfsame=loud").unwrap_err();
        assert!(refused.to_string().contains("`selfsame=loud`"), "{refused}");
    }
}
