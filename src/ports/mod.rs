//! Ports: what the core needs of the world, as traits. Layer 4.
//!
//! The clock, the policies in force, where events are kept ([`journal`]), where snapshots are kept ([`snapshots`]), where what is cold is kept
//! ([`cold`]), and the ledger as the service sees it.

pub mod clock;
pub mod cold;
pub mod journal;
pub mod leases;
pub mod ledger;
pub mod policies;
pub mod snapshots;
