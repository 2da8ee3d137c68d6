//! The spans of a trace: what they are told under, so that traces take these and logs none. Whoever works on a call names its part by one; where nobody
//! collects traces, each costs the look at a flag.

/// The target of every span.
pub const SPANS: &str = "selfsame_spans";

/// A span of a trace.
#[macro_export]
macro_rules! span {
    ($($rest:tt)*) => {
        ::tracing::info_span!(target: $crate::ports::spans::SPANS, $($rest)*)
    };
}
pub use crate::span;
