//! What pages say in words, beside what every reader of the API's answers does: distances in time, and links. Pure.

use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::words::{self, instant};
pub(super) use crate::wire::words::{case_state, left_alone, rarity, verdict};
use crate::wire::{WireTimestamp, v1};

/// A path with its query.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let query: Vec<&(&str, &str)> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
    serde_urlencoded::to_string(query).map_or_else(|_| path.to_owned(), |query| format!("{path}?{query}"))
}

/// Amounts, or a dash for none.
pub(super) fn money(amounts: &[v1::Money]) -> String {
    Some(words::money(amounts)).filter(|amounts| !amounts.is_empty()).unwrap_or_else(|| "–".to_owned())
}

/// A time as it is written; a dash for none.
pub(super) fn time(at: Option<&WireTimestamp>) -> String {
    at.and_then(instant).map_or_else(|| "–".to_owned(), |at| at.to_string())
}

/// How long ago, or how long until.
pub(super) fn distance(at: Option<&WireTimestamp>, now: Timestamp) -> String {
    let Some(at) = at.and_then(instant) else { return "–".to_owned() };
    let away = at.since(now);
    if away < Span::ZERO { format!("{} ago", away.abs()) } else { format!("in {away}") }
}

/// The sign and the words for how two values compare.
pub(super) const fn comparison(comparison: v1::Comparison) -> (&'static str, &'static str) {
    match comparison {
        v1::Comparison::Same => ("=", "same"),
        v1::Comparison::Similar => ("~", "similar"),
        v1::Comparison::Different => ("≠", "different"),
        v1::Comparison::Absent | v1::Comparison::Unspecified => ("", "on one side only"),
    }
}

/// The last part of an enum's name, in words: `CASE_EVENT_KIND_HOLD_PLACED` after `CASE_EVENT_KIND_` is `hold placed`.
pub(super) fn named(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_its_place_in_a_link() {
        assert_eq!(link("/case", &[("id", "case-a/b?c&d=e#f%"), ("none", "")]), "/case?id=case-a%2Fb%3Fc%26d%3De%23f%25");
    }

    #[test]
    fn a_time_is_told_by_its_distance() {
        let now = Timestamp::saturating_from_millis(1_790_000_000_000);
        let at = |seconds: i64| WireTimestamp { seconds: 1_790_000_000 + seconds, nanos: 0 };
        assert_eq!(distance(Some(&at(7_200)), now), "in 2 h");
        assert_eq!(distance(Some(&at(-7_200)), now), "2 h ago");
        assert_eq!(distance(None, now), "–");
    }
}
