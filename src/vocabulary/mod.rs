//! The words of Selfsame as types: a value that exists is valid.
//!
//! Layer 1. Nothing here reads a clock, draws a random number or touches a disk. Every other layer uses these types;
//! they use nothing but each other. Two arguments of one primitive type are two types here.

pub mod bundle;
pub mod conversion;
pub mod digest;
pub mod email;
pub mod ids;
pub mod journey;
pub mod label;
pub mod money;
pub mod outcome;
pub mod personal_data;
pub mod role;
pub mod sketch;
pub mod source;
pub mod time;
