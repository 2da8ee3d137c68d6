//! What pages say in words: amounts, times, verdicts, and links. Pure.

use crate::screening::explanation::rounded;
use crate::vocabulary::money::Money;
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::{WireTimestamp, v1};

/// A path with its query.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let query: Vec<&(&str, &str)> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
    serde_urlencoded::to_string(query).map_or_else(|_| path.to_owned(), |query| format!("{path}?{query}"))
}

/// Amounts, or a dash for none.
pub(super) fn money(amounts: &[v1::Money]) -> String {
    let read = |amount: &v1::Money| Money::new(amount.amount_minor, &amount.currency).ok().map(|amount| amount.to_string());
    let amounts: Vec<String> = amounts.iter().filter_map(read).collect();
    if amounts.is_empty() { "–".to_owned() } else { amounts.join(" + ") }
}

fn instant(at: Option<&WireTimestamp>) -> Option<Timestamp> {
    let at = at?;
    Timestamp::from_millis(at.seconds.checked_mul(1_000)?.checked_add(i64::from(at.nanos / 1_000_000))?).ok()
}

/// A time as it is written; a dash for none.
pub(super) fn time(at: Option<&WireTimestamp>) -> String {
    instant(at).map_or_else(|| "–".to_owned(), |at| at.to_string())
}

/// How long ago, or how long until.
pub(super) fn distance(at: Option<&WireTimestamp>, now: Timestamp) -> String {
    let Some(at) = instant(at) else { return "–".to_owned() };
    let away = at.since(now);
    if away < Span::ZERO { format!("{} ago", away.abs()) } else { format!("in {away}") }
}

pub(super) const fn verdict(verdict: v1::Verdict) -> &'static str {
    match verdict {
        v1::Verdict::Approved => "approved",
        v1::Verdict::InReview => "in review",
        v1::Verdict::Rejected => "rejected",
        v1::Verdict::Unspecified => "",
    }
}

/// Where a case stands.
pub(super) fn state(case: &v1::CaseSummary) -> String {
    match case.state() {
        v1::CaseState::Open => "open".to_owned(),
        v1::CaseState::Claimed => format!("claimed by {}", case.claimed_by),
        v1::CaseState::Resolved => {
            let how = match case.resolution() {
                v1::Resolution::Accept => "accepted",
                v1::Resolution::Reject => "rejected",
                v1::Resolution::Unspecified => "resolved",
            };
            format!("{how} by {}", case.resolved_by)
        }
        v1::CaseState::Unspecified => String::new(),
    }
}

pub(super) const fn left_alone(left: v1::LeftAlone) -> &'static str {
    match left {
        v1::LeftAlone::Unspecified => "",
        v1::LeftAlone::Changed => "it changed since it was seen",
        v1::LeftAlone::ClaimedByOther => "another reviewer has claimed it",
        v1::LeftAlone::AlreadyResolved => "it is resolved already",
        v1::LeftAlone::NotResolved => "it is not resolved",
        v1::LeftAlone::Gone => "it is not known",
        v1::LeftAlone::NeedsConfirmation => "a second identity must confirm it: accept it by itself",
    }
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

/// How rare a shared value is.
pub(super) fn rarity(one_of: f64) -> String {
    if one_of < 2.0 { String::new() } else { format!("1 of {} strangers", rounded(one_of)) }
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
