//! The way of one user to the conversion: touchpoints in time order, and how the referral code was captured.

use std::cmp::Ordering;

use super::digest::DigestSet;
use super::ids::{Actor, Ucc};
use super::time::Timestamp;

/// Touchpoints that a caller may send with one side.
pub const TOUCHPOINTS_SENT_MAX: usize = 10_000;
/// Touchpoints that are kept of a journey: the first [`TOUCHPOINTS_KEPT_FIRST`], and the last of the rest.
pub const TOUCHPOINTS_KEPT_MAX: usize = 128;
/// How many of the kept touchpoints come from the journey's beginning, where clicks and sign-up are.
pub const TOUCHPOINTS_KEPT_FIRST: usize = 32;
/// The longest path token, in bytes.
pub const PATH_TOKEN_BYTES_MAX: usize = 128;

/// What a user did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum TouchpointKind {
    /// Followed a referral link.
    LinkClick,
    /// Arrived on a landing page.
    Landing,
    /// Looked at a page.
    PageView,
    /// Opened the account.
    Signup,
    /// Signed in.
    SignIn,
    /// Shared a referral link.
    Share,
    /// Began to pay.
    Checkout,
    /// Paid.
    Purchase,
}

/// One step of a journey.
///
/// Steps are ordered by time; those of one instant in the usual order of their kinds, so that the order of a message tells nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Touchpoint {
    /// What was done.
    pub kind: TouchpointKind,
    /// When.
    pub occurred_at: Timestamp,
    /// On which device; absent when not known.
    pub device: Option<DigestSet>,
    /// In which browser (cookie); absent when not known.
    pub browser: Option<DigestSet>,
    /// Which page, as a token of the caller's making without personal data; empty when not known.
    pub path_token: Box<str>,
}

impl Ord for Touchpoint {
    fn cmp(&self, other: &Self) -> Ordering {
        let Self { kind, occurred_at, device, browser, path_token } = self;
        (occurred_at, kind, path_token, device, browser).cmp(&(
            &other.occurred_at,
            &other.kind,
            &other.path_token,
            &other.device,
            &other.browser,
        ))
    }
}

impl PartialOrd for Touchpoint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A user's touchpoints in time order, cut to what evidence reads. May be empty: then there is no journey.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Journey {
    touchpoints: Vec<Touchpoint>,
    touchpoint_count_total: u32,
}

impl Journey {
    /// Orders touchpoints by time and keeps the first 32 and the last 96 of a longer list.
    ///
    /// `count_total` is how many there were before an earlier cut, if one was made; a journey that was cut once is not changed by a
    /// second cut, so that exported journeys give the same evidence.
    #[must_use]
    pub fn new(mut touchpoints: Vec<Touchpoint>, count_total: Option<u32>) -> Self {
        let sent = u32::try_from(touchpoints.len()).unwrap_or(u32::MAX);
        touchpoints.sort();
        if touchpoints.len() > TOUCHPOINTS_KEPT_MAX {
            let cut_end = touchpoints.len() - (TOUCHPOINTS_KEPT_MAX - TOUCHPOINTS_KEPT_FIRST);
            touchpoints.drain(TOUCHPOINTS_KEPT_FIRST..cut_end);
        }
        Self { touchpoints, touchpoint_count_total: count_total.unwrap_or(0).max(sent) }
    }

    /// The kept touchpoints, in time order. Length: 0 to [`TOUCHPOINTS_KEPT_MAX`].
    #[must_use]
    pub fn touchpoints(&self) -> &[Touchpoint] {
        &self.touchpoints
    }

    /// How many touchpoints there were before the cut.
    #[must_use]
    pub const fn touchpoint_count_total(&self) -> u32 {
        self.touchpoint_count_total
    }

    /// Whether nothing is known of the way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.touchpoints.is_empty()
    }

    /// When the first touchpoint of a kind happened; absent when none was kept.
    #[must_use]
    pub fn first_of(&self, kind: TouchpointKind) -> Option<Timestamp> {
        self.touchpoints.iter().find(|touchpoint| touchpoint.kind == kind).map(|touchpoint| touchpoint.occurred_at)
    }

    /// This journey followed by what an earlier message knew, duplicates removed.
    #[must_use]
    pub fn merged_with(&self, earlier: &Self) -> Self {
        if self.is_empty() {
            return earlier.clone();
        }
        let mut all = Vec::with_capacity(earlier.touchpoints.len() + self.touchpoints.len());
        all.extend_from_slice(&earlier.touchpoints);
        // Equal touchpoints have equal times, and both lists are in the order of time.
        for touchpoint in &self.touchpoints {
            let mut added_then = all.iter().rev().take_while(|known| known.occurred_at == touchpoint.occurred_at);
            if !earlier.holds(touchpoint) && !added_then.any(|known| known == touchpoint) {
                all.push(touchpoint.clone());
            }
        }
        Self::new(all, Some(self.touchpoint_count_total.max(earlier.touchpoint_count_total)))
    }

    /// This journey without the browsers that `is_nobodys` holds of.
    #[must_use]
    pub fn without_browsers(mut self, mut is_nobodys: impl FnMut(&DigestSet) -> bool) -> Self {
        for touchpoint in &mut self.touchpoints {
            if touchpoint.browser.as_ref().is_some_and(&mut is_nobodys) {
                touchpoint.browser = None;
            }
        }
        self
    }

    /// This journey with the devices and browsers that `change` makes of its own.
    #[must_use]
    pub fn with_values(mut self, mut change: impl FnMut(&mut Option<DigestSet>, &mut Option<DigestSet>)) -> Self {
        for touchpoint in &mut self.touchpoints {
            change(&mut touchpoint.device, &mut touchpoint.browser);
        }
        self.touchpoints.sort();
        self
    }

    fn holds(&self, touchpoint: &Touchpoint) -> bool {
        let from = self.touchpoints.partition_point(|known| known.occurred_at < touchpoint.occurred_at);
        let later = self.touchpoints.iter().skip(from);
        later.take_while(|known| known.occurred_at == touchpoint.occurred_at).any(|known| known == touchpoint)
    }
}

/// How the referral code was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CapturedVia {
    /// In the address of a followed link.
    Link,
    /// In a cookie set earlier.
    Cookie,
    /// Typed into a form.
    Form,
    /// Through an app's deep link.
    DeepLink,
    /// By the product's own call.
    Api,
    /// Attached by hand, after a dispute or a glitch.
    Manual,
}

/// Whether the captured code was one that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CodeValidity {
    /// The code belongs to a referrer.
    Valid,
    /// The code does not exist, has ended, or belongs to nobody.
    Invalid,
    /// The caller did not check.
    Unchecked,
}

/// How a referee was tied to a referrer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Attribution {
    /// How the code was captured.
    pub captured_via: CapturedVia,
    /// The code; absent when the tie was made without one.
    pub ucc: Option<Ucc>,
    /// Whether the code exists.
    pub code_validity: CodeValidity,
    /// The code that was captured first, when it changed on the way; absent when it did not.
    pub previous_ucc: Option<Ucc>,
    /// When the code was captured; absent when not known.
    pub captured_at: Option<Timestamp>,
    /// Who attached the referral by hand; absent unless `captured_via` is manual.
    pub attached_by: Option<Actor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_views(count: i64) -> Vec<Touchpoint> {
        (0..count)
            .map(|n| Touchpoint {
                kind: TouchpointKind::PageView,
                occurred_at: Timestamp::saturating_from_millis(1_700_000_000_000 + n),
                device: None,
                browser: None,
                path_token: "home".into(),
            })
            .collect()
    }

    #[test]
    fn ten_thousand_touchpoints_are_cut_and_counted() {
        let journey = Journey::new(page_views(10_000), None);
        assert_eq!(journey.touchpoints().len(), TOUCHPOINTS_KEPT_MAX);
        assert_eq!(journey.touchpoint_count_total(), 10_000);
    }

    #[test]
    fn a_merge_keeps_each_touchpoint_once() {
        let seen = Journey::new(page_views(5), None);
        let mut again = page_views(7);
        again.push(again[6].clone());
        let merged = Journey::new(again, None).merged_with(&seen);
        assert_eq!(merged.touchpoints(), page_views(7));
    }

    #[test]
    fn the_order_of_a_message_tells_nothing_also_among_steps_of_one_instant() {
        let mut steps = page_views(3);
        for (step, path) in steps.iter_mut().zip(["a", "b", "c"]) {
            step.occurred_at = Timestamp::MIN;
            step.path_token = path.into();
        }
        steps.push(Touchpoint { kind: TouchpointKind::LinkClick, ..steps[2].clone() });
        let ordered = Journey::new(steps.clone(), None);
        steps.reverse();
        assert_eq!(Journey::new(steps, None), ordered);
        assert_eq!(ordered.touchpoints()[0].kind, TouchpointKind::LinkClick);
    }

    #[test]
    fn a_cut_journey_is_not_changed_by_a_second_cut() {
        let once = Journey::new(page_views(500), None);
        let twice = Journey::new(once.touchpoints().to_vec(), Some(once.touchpoint_count_total()));
        assert_eq!(once, twice);
    }
}
