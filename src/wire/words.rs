//! What the API's answers are called where people read them: verdicts, states, amounts, times. Pure. The commands and the console call it.

use super::instant::WireTimestamp;
use super::v1;
use crate::screening::explanation::rounded;
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Timestamp;

/// The instant of a message; `None` outside the years that there are here.
#[must_use]
pub fn instant(sent: &WireTimestamp) -> Option<Timestamp> {
    Timestamp::from_millis(sent.seconds.checked_mul(1_000)?.checked_add(i64::from(sent.nanos / 1_000_000))?).ok()
}

/// When something was; empty for never, and outside the years that there are here.
#[must_use]
pub fn at_time(sent: Option<&WireTimestamp>) -> String {
    sent.and_then(instant).map(|at| at.to_string()).unwrap_or_default()
}

/// Amounts, one for each currency; empty for none.
#[must_use]
pub fn money(amounts: &[v1::Money]) -> String {
    let read = |amount: &v1::Money| Money::new(amount.amount_minor, &amount.currency).ok().map(|amount| amount.to_string());
    amounts.iter().filter_map(read).collect::<Vec<_>>().join(" + ")
}

/// A verdict; empty for none.
#[must_use]
pub const fn verdict(verdict: v1::Verdict) -> &'static str {
    match verdict {
        v1::Verdict::Approved => "approved",
        v1::Verdict::InReview => "in review",
        v1::Verdict::Rejected => "rejected",
        v1::Verdict::Unspecified => "",
    }
}

/// Where a case stands, and with whom.
#[must_use]
pub fn case_state(case: &v1::CaseSummary) -> String {
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

/// Why a case was left alone; empty where it was not.
#[must_use]
pub const fn left_alone(left: v1::LeftAlone) -> &'static str {
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

/// How rare a value is that one of so many strangers has; empty where it is not.
#[must_use]
pub fn rarity(one_of_strangers: f64) -> String {
    if one_of_strangers < 2.0 { String::new() } else { format!("1 of {} strangers", rounded(one_of_strangers)) }
}
