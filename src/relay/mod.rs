//! The relay: follows the feed and hands it on, to receivers of webhooks and to streams of NATS JetStream. A process of its own: a slow receiver costs the
//! server nothing. What is promised is in `docs/relay.md`, and why it is made so in `docs/decisions/0031-relay.md`.

mod board;
mod config;
mod follow;
mod nats;
mod requests;
mod run;
mod told;
mod webhooks;

pub use self::board::{Standing, TargetKind, read_standings};
pub use self::config::{ConfigError, NatsConfig, RelayConfig, WebhookConfig};
pub use self::follow::Source;
pub use self::requests::{Asked, ask};
pub use self::run::{Lock, run};
pub use self::webhooks::{Backlog, DeadLetter, Message, NotASecret, new_secret, read_backlog, signature, signing_secret};
