//! How a server takes connections, by its configuration: as many as it has descriptors for, by TLS or not, and those to other replicas.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls::pki_types::ServerName;

use crate::adapters::config::{Config, LimitsConfig};
use crate::adapters::descriptors;
use crate::adapters::tls::{ClientTls, Peer, ServerTls, is_open_to_everybody};
use crate::ports::leases::ReplicaKey;
use crate::service::forwarding::ReplicaLinks;
use crate::service::listener::ConnectionLimits;

/// How the configuration lets connections be taken and kept, with as many descriptors as there are.
pub(super) fn connection_limits(config: &LimitsConfig) -> ConnectionLimits {
    let descriptors = descriptors::raise();
    let all_max = descriptors.room_for(config.connections_max);
    let shown = |limit: Option<u64>| limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
    let (before, now) = (shown(descriptors.before), shown(descriptors.now));
    tracing::info!(descriptors = now, before, connections_max = all_max, for_files = descriptors::FOR_FILES, "descriptors");
    if all_max < config.connections_max {
        tracing::warn!(
            wanted = config.connections_max,
            most = all_max,
            "there are not enough descriptors for `limits.connections_max`, so fewer connections are taken; raise LimitNOFILE of the unit, or `ulimit -Hn`"
        );
    }
    let seconds = Duration::from_secs;
    ConnectionLimits {
        all_max,
        // Where there is room for fewer, an address has as much less.
        an_address_max: (config.connections_an_address_max * all_max).div_ceil(config.connections_max),
        frame_max: seconds(config.connection_frame_seconds),
        first_call_max: seconds(config.connection_first_call_seconds),
        idle_max: match config.connection_idle_seconds {
            0 => FOR_EVER,
            idle => seconds(idle),
        },
        streams_max: config.connection_streams_max,
        ..ConnectionLimits::default()
    }
}

/// Longer than any process.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The certificate of the configuration; absent where plaintext is spoken, which the log says where it leaves the machine.
pub(super) fn open_tls(config: &Config) -> anyhow::Result<Option<Arc<ServerTls>>> {
    for result in ["taken", "refused"] {
        metrics::counter!("selfsame_tls_reloads_total", "result" => result).increment(0);
    }
    let Some(files) = config.tls.server_files() else {
        if !config.listen.0.ip().is_loopback() {
            tracing::warn!(address = %config.listen.0, "plaintext is spoken beyond this machine: tokens can be read on the way");
        }
        return Ok(None);
    };
    if is_open_to_everybody(&files.key) {
        tracing::warn!(file = %files.key.display(), "the key of the certificate can be read by every user of the machine; chmod o-rwx it");
    }
    Ok(Some(Arc::new(ServerTls::open(files).context("reading the certificate of this server (`tls`)")?)))
}

/// How this replica and the others speak to each other.
pub(super) fn replica_links(config: &Config, key: ReplicaKey) -> anyhow::Result<ReplicaLinks> {
    let tls = match config.tls.replica_files() {
        None => None,
        Some(files) => {
            let tls = Arc::new(ClientTls::open(files).context("reading how other replicas are called (`tls.replicas`)")?);
            tokio::spawn(Arc::clone(&tls).keep());
            let name = config.tls.replicas.name.as_ref().and_then(|name| ServerName::try_from(name.clone()).ok());
            Some(Peer { tls, name })
        }
    };
    Ok(ReplicaLinks { key, address: own_address(config), tls })
}

/// Where the other replicas reach this one.
pub(super) fn own_address(config: &Config) -> String {
    config.journal.address.clone().unwrap_or_else(|| config.listen.0.to_string())
}
