//! Ports: what the core needs of the world, as traits. Layer 3.
//!
//! A ledger speaks in domain operations (screen this conversion, step this case), never in keys and values, so that an embedded store and a
//! distributed SQL engine both fit behind it.

pub mod clock;
pub mod ledger;
pub mod policies;
pub mod records;
