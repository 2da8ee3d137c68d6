//! Telemetry: log lines to standard error, spans to whoever collects them, figures for Prometheus on an address of their own.
//!
//! It must never record a signal, a note or an id of a person: log lines carry ids of programmes, conversions and cases, and codes; what labels carry
//! is in [`figures`](super::figures). `serve` starts it, once for the process.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::net::TcpListener;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use super::config::LogFormat;
use super::figures::{Figure, describe};
use super::metrics_page;
use super::traces::Traces;
use crate::ports::spans::SPANS;

/// Upper bounds of the latency histogram, in seconds: fine where a disk sync lies, coarse where patience ends.
const LATENCY_BUCKETS_SECONDS: [f64; 16] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Upper bounds of the histogram of records that become durable together: one, and what a group may hold.
const GROUP_BUCKETS_RECORDS: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 32.0, 128.0, 256.0, 512.0];
/// The counter of policies that were read again.
pub const RELOADS: &str = "selfsame_reloads_total";

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
    /// The address cannot be listened on.
    #[error("the metrics cannot be served at `{address}`: {cause}")]
    Address {
        /// Where.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
}

/// Writes log lines of this filter to standard error, and spans to where `traces` sends them.
///
/// # Errors
/// [`TelemetryError::Filter`] for a malformed filter; [`TelemetryError::StartedTwice`].
pub fn start_logging(format: LogFormat, filter: &str, traces: Option<&Traces>) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(|problem| TelemetryError::Filter { filter: filter.to_owned(), problem })?;
    let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(coloured).with_target(false);
    // Spans are of traces; in the lines they would say everything twice.
    let filter = filter.and(filter_fn(|told| told.target() != SPANS));
    let all = tracing_subscriber::registry().with(traces.map(Traces::layer));
    let started = match format {
        LogFormat::Text => all.with(lines.with_filter(filter)).try_init(),
        LogFormat::Json => all.with(lines.json().flatten_event(true).with_filter(filter)).try_init(),
    };
    started.map_err(|_| TelemetryError::StartedTwice)?;
    if format == LogFormat::Json {
        // A panic is a line like any other: whoever reads the log reads JSON and nothing else.
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a thread panicked")));
    }
    Ok(())
}

/// Serves these figures at `http://<address>/metrics`. Must be called inside the runtime that will serve them.
///
/// # Errors
/// [`TelemetryError::Address`] when the address cannot be listened on; [`TelemetryError::Metrics`] when something else in the process counts already.
pub async fn start_metrics(address: SocketAddr, shown: &[Figure]) -> Result<(), TelemetryError> {
    let listener = TcpListener::bind(address).await.map_err(|cause| TelemetryError::Address { address, cause })?;
    let broken = |problem| TelemetryError::Metrics { address, problem };
    let figures = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS_SECONDS)
        .map_err(broken)?
        .set_buckets_for_metric(Matcher::Full("selfsame_ledger_group_records".to_owned()), &GROUP_BUCKETS_RECORDS)
        .map_err(broken)?
        .install_recorder()
        .map_err(broken)?;
    tokio::spawn(metrics_page::serve(listener, figures));
    describe(shown);
    Ok(())
}

/// Tells how many files stay open to other users of the machine.
#[expect(clippy::cast_precision_loss, reason = "gauges are floats; files are far fewer than 2^53")]
pub fn tell_exposed(files: usize) {
    metrics::gauge!("selfsame_exposed_files_count").set(files as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_filter_is_named() {
        let refused = start_logging(LogFormat::Text, "selfsame=loud", None).unwrap_err();
        assert!(refused.to_string().contains("`selfsame=loud`"), "{refused}");
    }
}
