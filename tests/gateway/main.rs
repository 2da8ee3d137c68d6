//! The gateway over real sockets: what senders send is taken once, in any order, and ends as conversions and outcomes; nothing personal is kept; what
//! cannot be taken is refused in words that help.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod binary;
mod orders;
mod privacy;
mod refusals;
mod senders;
mod tokens;
mod world;
