//! The API as JSON over HTTP/1.1, for callers without gRPC: each method has one path, messages are the contract's own in its JSON form, and refusals carry
//! the same reasons. [`routes`] is the readable table; `/openapi.json` is made from it and the contract.
//!
//! It is a client of the API like any other, in this process and through the same door: the caller's token goes along. It must never say or allow what
//! gRPC would not.

mod calls;
pub mod openapi;
mod refusals;
pub mod routes;
pub mod server;
