//! The `selfsame` binary.

fn main() {}
