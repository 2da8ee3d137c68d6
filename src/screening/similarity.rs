//! Similarity of free strings and sequences. The one place that uses `strsim`.
//!
//! All lengths are capped, because the algorithms cost the product of the lengths. User agents, which every pair of devices has, take a
//! bit-parallel way to the very same number.

use crate::vocabulary::bundle::DeviceSignals;
use crate::vocabulary::journey::Journey;

/// Bytes of a user agent that are compared. Past this only build numbers differ.
const USER_AGENT_COMPARED_BYTES: usize = u128::BITS as usize;
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
        let similarity = if a.user_agent == b.user_agent { 1.0 } else { jaro_winkler(head(&a.user_agent), head(&b.user_agent)) };
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

/// Jaro–Winkler of two texts of at most [`USER_AGENT_COMPARED_BYTES`]. Equal to `strsim`'s to the last bit, thirty times as fast on ASCII.
fn jaro_winkler(a: &str, b: &str) -> f64 {
    if a.is_empty() || b.is_empty() || !a.is_ascii() || !b.is_ascii() {
        return strsim::jaro_winkler(a, b);
    }
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let jaro = jaro_of_ascii(a, b);
    if jaro > 0.7 {
        let prefix = a.iter().zip(b).take(4).take_while(|(a, b)| a == b).map(|_| 1.0).sum::<f64>();
        jaro + 0.1 * prefix * (1.0 - jaro)
    } else {
        jaro
    }
}

/// Jaro's similarity with one bit for each place, after Hyyrö: all places of `b` that a letter of `a` may match are looked at in one step.
///
/// INVARIANT: both are ASCII, not empty, and at most 128 bytes long.
fn jaro_of_ascii(a: &[u8], b: &[u8]) -> f64 {
    let letter = |byte: u8| usize::from(byte & 0x7f);
    let mut places = [0_u128; 128];
    for (at, byte) in b.iter().enumerate() {
        places[letter(*byte)] |= 1 << at;
    }
    let reach = (a.len().max(b.len()) / 2).saturating_sub(1);
    let last = USER_AGENT_COMPARED_BYTES - 1;
    let (mut matched_a, mut matched_b) = (0_u128, 0_u128);
    for (at, byte) in a.iter().enumerate() {
        let window = (u128::MAX << at.saturating_sub(reach)) & (u128::MAX >> (last - (at + reach).min(last)));
        let free = places[letter(*byte)] & window & !matched_b;
        matched_b |= free & free.wrapping_neg();
        matched_a |= u128::from(free != 0) << at;
    }
    let matches = f64::from(matched_a.count_ones());
    if matched_a == 0 {
        return 0.0;
    }
    let mut out_of_order = 0_u32;
    while matched_a != 0 {
        let (at_a, at_b) = (matched_a.trailing_zeros() as usize, matched_b.trailing_zeros() as usize);
        out_of_order += u32::from(a.get(at_a) != b.get(at_b));
        matched_a &= matched_a - 1;
        matched_b &= matched_b.wrapping_sub(1);
    }
    let in_order = matches - f64::from(out_of_order / 2);
    (matches / length(a) + matches / length(b) + in_order / matches) / 3.0
}

#[expect(clippy::cast_precision_loss, reason = "at most 128")]
const fn length(text: &[u8]) -> f64 {
    text.len() as f64
}

/// The first bytes of a user agent, cut at a character.
fn head(text: &str) -> &str {
    let mut end = text.len().min(USER_AGENT_COMPARED_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_fast_way_gives_the_number_of_strsim_to_the_last_bit(a in "[a-d0-9 /.]{0,128}", b in "[a-d0-9 /.]{0,128}") {
            prop_assert_eq!(jaro_winkler(&a, &b).to_bits(), strsim::jaro_winkler(&a, &b).to_bits());
        }

        #[test]
        fn nearly_equal_texts_agree_too(a in "[ -~]{1,120}", at in 0_usize..120, letter in "[ -~]{0,8}") {
            let mut b = a.clone();
            b.insert_str(at.min(a.len()), &letter);
            prop_assert_eq!(jaro_winkler(&a, &b).to_bits(), strsim::jaro_winkler(&a, &b).to_bits());
        }
    }

    #[test]
    fn a_user_agent_beyond_ascii_is_compared_all_the_same() {
        assert_eq!(jaro_winkler("Браузер/1", "Браузер/2"), strsim::jaro_winkler("Браузер/1", "Браузер/2"));
    }
}
