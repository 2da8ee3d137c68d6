//! Load: realistic conversions against a running server, and how long each answer took.
//!
//! Open loop (requests leave at planned times, whatever the server does, and latency counts from the planned time) or closed loop (a
//! fixed number in flight). It never touches a ledger: it speaks gRPC like any caller. Called by `selfsame bench`, by the benches and by
//! the crash tests.

pub mod compare;
pub mod driver;
pub mod generator;
pub mod noop;
pub mod plain_path;
pub mod recorder;
pub mod replay;
pub mod schedule;
