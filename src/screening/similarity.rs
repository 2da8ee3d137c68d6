//! Similarity of free strings and sequences. The one place that uses `strsim`.
//!
//! All lengths are capped, because the algorithms cost the product of the lengths.

use crate::vocabulary::bundle::DeviceSignals;
use crate::vocabulary::journey::Journey;

/// Bytes of a user agent that are compared. Past this only build numbers differ.
const USER_AGENT_COMPARED_BYTES: usize = 160;
/// Steps of a journey that are compared: the last ones before the conversion.
const PATH_STEPS_COMPARED: usize = 24;
/// Fewer steps than this say nothing about a way: everybody begins on the landing page.
pub const PATH_STEPS_MIN: usize = 4;

/// How alike two devices look by their plain attributes, in `[0, 1]`.
///
/// The mean over the attributes that both sides sent, the user agent (Jaro–Winkler) counted twice. Absent when fewer than two
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
        let similarity =
            if a.user_agent == b.user_agent { 1.0 } else { strsim::jaro_winkler(head(&a.user_agent), head(&b.user_agent)) };
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

/// The first bytes of a user agent, cut at a character.
fn head(text: &str) -> &str {
    let mut end = text.len().min(USER_AGENT_COMPARED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}
