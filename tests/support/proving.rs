//! What the proofs that break things share: settings from the environment, traffic with something to review in it, and what of a decision lasts.
#![allow(dead_code, reason = "every test binary uses its own part")]

use selfsame::offline::load::generator::Traffic;
use selfsame::wire::v1;

/// A number that the environment sets; `None` when it sets none.
pub(crate) fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Conversion number `index`: every fifth was attached by hand, so that there is always something to review.
pub(crate) fn conversion_of(traffic: &Traffic, index: u64) -> v1::Conversion {
    let mut conversion = traffic.conversion(index);
    if index.is_multiple_of(5) {
        let attribution = conversion.attribution.as_mut().unwrap();
        attribution.captured_via = v1::CapturedVia::Manual.into();
        "agent-1".clone_into(&mut attribution.attached_by);
        conversion.referee.as_mut().unwrap().journey = None;
    }
    conversion
}

/// The part of a decision that never changes: all but the verdict in force, what the referrer may be told of it, and what came later.
pub(crate) fn as_screened(decision: &v1::Decision) -> v1::Decision {
    v1::Decision {
        verdict: 0,
        referrer_safe_reason: None,
        cancelled_at: None,
        standing: None,
        case_id: String::new(),
        ..decision.clone()
    }
}
