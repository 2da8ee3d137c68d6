//! Selfsame stops referral fraud before money leaves the house.

pub mod adapters;
