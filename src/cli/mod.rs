//! The commands of the `selfsame` binary, one file each: arguments, and what they print.

pub mod digest;
