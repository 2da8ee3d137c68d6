//! The service: thin gRPC handlers over the ledger port, and the server that runs them. Layer 5.
//!
//! Each handler reads its message with `wire`, asks the ledger, and writes the answer with `wire`. Nothing here decides. [`server::serve`] is
//! the place to start reading; [`errors`] has every way in which a call can fail.

mod access;
mod audit;
mod budgets;
mod bulk;
mod case_page;
mod confirmation;
mod counts;
mod diagnosis;
pub mod directory;
mod erasing;
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
mod looks;
mod model;
mod operations;
mod pages;
mod payout;
mod privacy;
mod rekeying;
mod review;
mod sameness;
mod screening;
mod seal;
pub mod server;
mod shared;
mod side_by_side;
mod terms;
mod told;
mod training;

pub use self::access::pairs as token_pairs;
