//! What a running server hears from its operator: that it is to stop, and that it is to read its files again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::FutureExt as _;

use crate::adapters::policy_store::PolicyStore;
use crate::adapters::telemetry;
use crate::adapters::tls::ServerTls;

/// Tells that a thread still had to do something when the process ended.
pub(super) fn tell_of_closing_cut_short() {
    tracing::warn!(drained = false, "stopped: closing took too long and was cut short; what was acknowledged is durable");
}

/// Completes when the operator wants the service to stop. If the process has not ended `within` that, it is ended: listening for signals has a thread
/// of its own, so that it does not hang on what the others wait for.
pub(in crate::cli) fn told_to_stop(within: Duration) -> anyhow::Result<impl Future<Output = ()>> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime of signals")?;
    let signal = {
        let _entered = runtime.enter();
        next_signal()?
    };
    let listen = move || {
        runtime.block_on(async {
            // Before the line: where its level is off, what stands in it is not even looked at.
            let signal = signal.await;
            tracing::info!(signal, "told to stop");
            // Whoever waits may be gone, and the process with it.
            let _ = tell.send(());
            tokio::time::sleep(within).await;
            tell_of_closing_cut_short();
            std::process::exit(0);
        });
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen).context("starting the thread of signals")?;
    Ok(told.map(drop))
}

/// The next signal that ends the service.
#[cfg(unix)]
fn next_signal() -> anyhow::Result<impl Future<Output = &'static str> + Send> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt()).context("listening for INT")?;
    let mut terminate = signal(SignalKind::terminate()).context("listening for TERM")?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => "INT",
            _ = terminate.recv() => "TERM",
        }
    })
}

/// The next signal that ends the service.
#[cfg(not(unix))]
fn next_signal() -> anyhow::Result<impl Future<Output = &'static str> + Send> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
        "INT"
    })
}

/// Reads the policies and the certificate again at each HUP. With a mistake in either nothing changes in that.
#[cfg(unix)]
pub(super) fn reload_on_hangup(policies: Arc<PolicyStore>, tls: Option<Arc<ServerTls>>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut hangup = signal(SignalKind::hangup()).context("listening for HUP")?;
    let count = |result: &'static str, reloads| metrics::counter!(telemetry::RELOADS, "result" => result).increment(reloads);
    count("taken", 0);
    count("refused", 0);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            if let Some(tls) = &tls {
                tls.reload();
            }
            match policies.reload() {
                Ok(set) => {
                    count("taken", 1);
                    tracing::info!(version = set.default.version(), "the policies were read again and are in force");
                }
                Err(mistakes) => {
                    count("refused", 1);
                    tracing::error!(%mistakes, "the policies were not taken; the earlier ones stay in force");
                }
            }
        }
    });
    Ok(())
}

/// There is no such signal here.
#[cfg(not(unix))]
pub(super) fn reload_on_hangup(_policies: Arc<PolicyStore>, _tls: Option<Arc<ServerTls>>) -> anyhow::Result<()> {
    Ok(())
}
