//! The pages, one file each: what it asks of the API, and how that looks.

pub(super) mod account;
pub(super) mod case;
pub(super) mod cluster;
pub(super) mod health;
pub(super) mod home;
pub(super) mod login;
pub(super) mod queue;
pub(super) mod together;
