//! Adapters: the ports on real things, and what is read from files. Layer 4.
