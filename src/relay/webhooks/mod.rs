//! Webhooks by the Standard Webhooks specification: signed messages over HTTP, in order per referral, again until they are accepted or dead.

mod backlog;
mod log;
mod pacing;
mod receiver;
mod signature;

pub use self::backlog::{Backlog, DeadLetter, Message};
pub use self::log::read_backlog;
pub(super) use self::receiver::Receiver;
pub use self::signature::{NotASecret, new_secret, signature, signing_secret};
