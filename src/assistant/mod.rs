//! What an assistant may ask (Model Context Protocol): does the integration work, why was a reward held, what is to be done next, what do the documents
//! say. It reads and changes nothing, as whoever runs it or, over HTTP, as whoever calls.
//!
//! A client of the API like any other. It must never show what the API would not show the same caller.

mod documents;
mod integration;
mod referral;
pub mod server;
mod tools;
