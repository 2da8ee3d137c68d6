//! Similarity of free strings and sequences. The one place that uses `strsim`.
//!
//! All lengths are capped, because the algorithms cost the product of the lengths. User agents are compared word by word, which tells
//! products and versions apart better than letters do and costs a fortieth.

use smallvec::SmallVec;

use crate::vocabulary::bundle::DeviceSignals;
use crate::vocabulary::journey::Journey;

/// Words of a user agent that are compared. Past this only build numbers differ.
const USER_AGENT_WORDS_COMPARED: usize = 24;
/// Steps of a journey that are compared: the last ones before the conversion.
const PATH_STEPS_COMPARED: usize = 24;
/// Fewer steps than this say nothing about a way: everybody begins on the landing page.
pub const PATH_STEPS_MIN: usize = 4;

/// How alike two devices look by their plain attributes, in `[0, 1]`.
///
/// The mean over the attributes that both sides sent, the user agent (Jaro–Winkler over its words) counted twice. Absent when fewer than two
/// attributes are known on both sides: one alone says nothing.
#[must_use]
pub fn environment(a: &DeviceSignals, b: &DeviceSignals) -> Option<f64> {
    let mut weight = 0.0;
    let mut sum = 0.0;
    let mut attributes = 0_u32;
    let mut add = |attribute_weight: f64, similarity: f64| {
        weight += attribute_weight;
        sum += attribute_weight * similarity;
        attributes += 1;
    };
    if !a.user_agent.is_empty() && !b.user_agent.is_empty() {
        let similarity = if a.user_agent == b.user_agent { 1.0 } else { user_agent(&a.user_agent, &b.user_agent) };
        // Two browsers of one family agree on most of the text: only what lies above 0.8 tells them apart.
        add(2.0, ((similarity - 0.8) / 0.2).max(0.0));
    }
    let mut add_equality = |a: &str, b: &str| {
        if !a.is_empty() && !b.is_empty() {
            add(1.0, f64::from(u8::from(a == b)));
        }
    };
    add_equality(&a.platform, &b.platform);
    add_equality(&a.time_zone, &b.time_zone);
    if !a.languages.is_empty() && !b.languages.is_empty() {
        add(1.0, f64::from(u8::from(a.languages == b.languages)));
    }
    if let (Some(a), Some(b)) = (a.screen_px, b.screen_px) {
        add(1.0, f64::from(u8::from(a == b)));
    }
    (attributes >= 2).then(|| sum / weight)
}

/// How alike two ways through the product are, in `[0, 1]`: Jaro–Winkler over the path tokens as letters.
///
/// Absent when either way has fewer than [`PATH_STEPS_MIN`] steps with a token.
#[must_use]
pub fn path(a: &Journey, b: &Journey) -> Option<f64> {
    let a = last_steps(a);
    let b = last_steps(b);
    if a.len() < PATH_STEPS_MIN || b.len() < PATH_STEPS_MIN {
        return None;
    }
    Some(strsim::generic_jaro_winkler(&a, &b))
}

fn last_steps(journey: &Journey) -> Vec<&str> {
    let steps = journey.touchpoints().iter().map(|touchpoint| &*touchpoint.path_token).filter(|token| !token.is_empty());
    let mut last: Vec<&str> = steps.rev().take(PATH_STEPS_COMPARED).collect();
    last.reverse();
    last
}

/// How alike two user agents are: Jaro–Winkler over their words as letters.
fn user_agent(a: &str, b: &str) -> f64 {
    strsim::generic_jaro_winkler(&words(a), &words(b))
}

/// The words of a user agent: products, versions, platforms. As bytes: every separator is one, and every pair of devices comes here.
fn words(user_agent: &str) -> SmallVec<[&[u8]; USER_AGENT_WORDS_COMPARED]> {
    let separates = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'(' | b')' | b';' | b',' | b'/');
    user_agent.as_bytes().split(separates).filter(|word| !word.is_empty()).take(USER_AGENT_WORDS_COMPARED).collect()
}

/// How alike two words must be for one to be meant by the other. Judgement: one or two slips in a usual key.
const WORD_MEANT: f64 = 0.85;

/// The candidate that was probably meant by a misspelt word; `None` when none is near.
#[must_use]
pub fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |candidate: &'a str| (strsim::jaro_winkler(word, candidate), candidate);
    let near = candidates.into_iter().map(likeness).filter(|(likeness, _)| *likeness >= WORD_MEANT);
    near.max_by(|(a, _), (b, _)| a.total_cmp(b)).map(|(_, candidate)| candidate)
}

/// Whether a word is another one with at most one letter wrong, missing, too many or swapped with the next, or with other capitals.
#[must_use]
pub fn is_slip_of(word: &str, meant: &str) -> bool {
    strsim::osa_distance(&word.to_lowercase(), meant) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str =
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";
    const NEXT_CHROME: &str =
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/132.0.0.0 Safari/537.36";
    const FIREFOX: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0";

    #[test]
    fn two_versions_of_a_browser_are_more_alike_than_two_browsers() {
        assert!(user_agent(CHROME, NEXT_CHROME) > 0.95);
        assert!(user_agent(CHROME, FIREFOX) < 0.9);
        assert_eq!(user_agent(CHROME, CHROME), 1.0);
    }

    #[test]
    fn a_user_agent_of_any_letters_and_length_is_compared() {
        assert_eq!(user_agent("Браузер/1", "Браузер/1"), 1.0);
        assert!(user_agent(&"a ".repeat(10_000), "b") < 0.01);
    }
}
