//! The service: thin gRPC handlers over the ledger port, and the server that runs them. Layer 5.
//!
//! Each handler reads its message with `wire`, asks the ledger, and writes the answer with `wire`. Nothing here decides. [`server::serve`] is
//! the place to start reading; [`errors`] has every way in which a call can fail.

mod access;
mod budgets;
mod bulk;
mod case_page;
mod confirmation;
mod counts;
mod diagnosis;
pub mod directory;
pub mod errors;
pub mod expiring;
mod feed;
pub mod first_start;
mod followers;
pub mod forgetting;
pub mod forwarding;
pub mod gauges;
mod health;
mod incomparable;
pub mod limits;
mod list;
pub mod listener;
mod model;
mod operations;
mod pages;
mod payout;
mod review;
mod sameness;
mod screening;
mod seal;
pub mod server;
mod shared;
mod side_by_side;
mod told;
mod training;

pub use self::access::pairs as token_pairs;
