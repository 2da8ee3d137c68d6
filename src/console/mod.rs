//! The console: the review queue in a browser, served by the same binary on a port of its own.
//!
//! It is a client of the API like any other and knows nothing else: each page calls it in this process, as the caller who signed in, through the same
//! door. Pages are whole without a script; a small one adds the keyboard. It must never show what the API would not, and load nothing from elsewhere.

mod api;
mod layout;
mod pages;
pub mod server;
mod session;
mod words;
