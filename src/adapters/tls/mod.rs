//! TLS: the certificate that a server shows, whom server and clients trust, and what goes wrong between both, with what to do.
//!
//! It must never log a key. Files are read again when they change; what cannot be used changes nothing.

mod client;
mod fresh;
mod material;
mod server;
mod settings;
mod trouble;

pub use self::client::{ClientFiles, ClientTls, Destination, DestinationError, Dialled, Heard, Peer, connector};
pub use self::fresh::{Content, Fresh, Looked, Source};
pub use self::material::{Facts, TlsError, facts_of, is_open_to_everybody};
pub(in crate::adapters) use self::material::{authorities, provider};
pub use self::server::{ClientCertificates, ServerFiles, ServerTls, Shown};
pub use self::settings::{ReplicaTlsConfig, TlsConfig};
pub use self::trouble::trouble_of;
