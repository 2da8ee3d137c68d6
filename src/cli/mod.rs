//! The commands of the `selfsame` binary, one file each: its arguments, and what it prints. Layer 7.

pub mod digest;
pub mod load;
