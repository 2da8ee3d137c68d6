//! Ports: what the core needs of the world, as traits. Layer 4.
//!
//! The clock, the policies in force, where events are kept ([`journal`]), where snapshots are kept ([`snapshots`]), where what is cold is kept
//! ([`cold`]), the ledger as the service sees it, what may stand in a label of a figure ([`labels`]), what spans of a trace
//! are told under ([`spans`]),
//! and what a look at a server finds ([`diagnosis`]).

pub mod clock;
pub mod cold;
pub mod diagnosis;
pub mod journal;
pub mod labels;
pub mod leases;
pub mod ledger;
pub mod policies;
pub mod snapshots;
pub mod spans;
