//! The commands of the `selfsame` binary, one file each: its arguments, and what it prints. Layer 7.

mod client;
pub mod digest;
pub mod export;
pub mod load;
pub mod queue;
pub mod serve;
