//! The commands of the `selfsame` binary. Layer 7.

pub mod load;
