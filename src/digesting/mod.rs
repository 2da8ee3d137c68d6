//! From raw values to pseudonyms: what callers run before they send anything. Layer 1.
