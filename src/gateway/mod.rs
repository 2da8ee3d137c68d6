//! The gateway: what programmes already send to others (Stripe's and Chargebee's webhooks, an events API of the usual shape) becomes signals,
//! conversions and outcomes. Layer 8.
//!
//! A payload is checked (`http`), translated to facts with everything personal digested (`stripe`, `chargebee`, `events_api`: pure), and taken into the
//! programme's book as one record before it is answered. What is due because of it is a pure function of the book (`book::intake`); `pump` does it, and
//! does it again after a crash without doing anything twice. Raw values never leave the translators.

pub mod chargebee;
pub mod events_api;
pub mod http;
pub mod payload;
pub mod pump;
pub mod setup;
pub mod stripe;
pub mod translated;
