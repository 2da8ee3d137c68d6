//! Journeys and attributions between messages and vocabulary.
//! It must never drop a step silently: what is cut is counted. The readers and writers of conversions and bundles call it.

use super::digest::{digest_messages, digest_set};
use super::enums::WireEnum;
use super::fields::{Arrival, id_text, list, optional_id, optional_time, required_enum, required_time, soft_text, time_message};
use super::v1;
use super::violation::{At, Violations};
use crate::vocabulary::journey::{
    Attribution, CapturedVia, CodeValidity, Journey, PATH_TOKEN_BYTES_MAX, TOUCHPOINTS_SENT_MAX, Touchpoint,
};

/// Reads a journey; absent means that none is known.
pub(super) fn read(message: Option<v1::Journey>, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Journey {
    let Some(v1::Journey { touchpoints, touchpoint_count_total }) = message else { return Journey::default() };
    let sent = u32::try_from(touchpoints.len()).unwrap_or(u32::MAX);
    if touchpoint_count_total.is_some_and(|total| total < sent) {
        let problem = format!("is less than the {sent} touchpoints of the message; leave it out when the list is whole");
        found.add(&at.field("touchpoint_count_total"), problem);
    }
    let steps = list(touchpoints, TOUCHPOINTS_SENT_MAX, &at.field("touchpoints"), found, |message, at, found| {
        touchpoint(message, at, arrival, found)
    });
    Journey::new(steps, touchpoint_count_total)
}

fn touchpoint(message: v1::Touchpoint, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Option<Touchpoint> {
    let v1::Touchpoint { kind, occurred_at, device, browser, path_token } = message;
    let kind = required_enum(kind, &at.field("kind"), found);
    let occurred_at = required_time(occurred_at, &at.field("occurred_at"), arrival, found);
    let device = digest_set(device, &at.field("device"), found);
    let browser = digest_set(browser, &at.field("browser"), found);
    let path_token = path(&path_token, &at.field("path_token"), found);
    Some(Touchpoint { kind: kind?, occurred_at: occurred_at?, device, browser, path_token })
}

/// A token that may hold personal data is not kept.
fn path(token: &str, at: &At<'_>, found: &mut Violations) -> Box<str> {
    if token.contains(['@', '?']) {
        found.ignore(at, "holds `@` or `?`, and a token has no query string and no personal data");
        return "".into();
    }
    soft_text(token, PATH_TOKEN_BYTES_MAX, at, found)
}

/// Writes a journey; `None` when none is known.
pub(super) fn message_of(journey: &Journey) -> Option<v1::Journey> {
    let sent = u32::try_from(journey.touchpoints().len()).unwrap_or(u32::MAX);
    let total = journey.touchpoint_count_total();
    if total == 0 {
        return None;
    }
    Some(v1::Journey {
        touchpoints: journey.touchpoints().iter().map(touchpoint_message).collect(),
        touchpoint_count_total: (total > sent).then_some(total),
    })
}

fn touchpoint_message(touchpoint: &Touchpoint) -> v1::Touchpoint {
    let Touchpoint { kind, occurred_at, device, browser, path_token } = touchpoint;
    v1::Touchpoint {
        kind: kind.to_number(),
        occurred_at: Some(time_message(*occurred_at)),
        device: digest_messages(device.as_ref()),
        browser: digest_messages(browser.as_ref()),
        path_token: path_token.to_string(),
    }
}

/// Reads an attribution, which must be there.
pub(super) fn attribution(
    message: Option<v1::Attribution>,
    at: &At<'_>,
    arrival: Arrival,
    found: &mut Violations,
) -> Option<Attribution> {
    let Some(message) = message else {
        found.add(at, "is required");
        return None;
    };
    let v1::Attribution { captured_via, ucc, code_validity, previous_ucc, captured_at, attached_by } = message;
    let captured_via = required_enum(captured_via, &at.field("captured_via"), found);
    let ucc = optional_id(&ucc, &at.field("ucc"), found);
    let code_validity = validity(code_validity, &at.field("code_validity"), found);
    let previous_ucc = optional_id(&previous_ucc, &at.field("previous_ucc"), found);
    let captured_at = optional_time(captured_at, &at.field("captured_at"), arrival, found);
    let by_hand = captured_via == Some(CapturedVia::Manual);
    if by_hand && attached_by.is_empty() {
        found.add(
            &at.field("attached_by"),
            "is required when `captured_via` is `CAPTURED_VIA_MANUAL`: who attached the referral?",
        );
    } else if captured_via.is_some() && !by_hand && !attached_by.is_empty() {
        found.add(&at.field("attached_by"), "is only for `CAPTURED_VIA_MANUAL`; leave it out");
    }
    let attached_by = optional_id(&attached_by, &at.field("attached_by"), found);
    Some(Attribution { captured_via: captured_via?, ucc, code_validity, previous_ucc, captured_at, attached_by })
}

/// Absent means that the caller does not know, which is told from both answers.
fn validity(number: Option<i32>, at: &At<'_>, found: &mut Violations) -> CodeValidity {
    let Some(number) = number else { return CodeValidity::Unchecked };
    match v1::CodeValidity::try_from(number) {
        Ok(v1::CodeValidity::Valid) => CodeValidity::Valid,
        Ok(v1::CodeValidity::Invalid) => CodeValidity::Invalid,
        Ok(v1::CodeValidity::Unspecified) => {
            found.add(at, "must not be unspecified; leave it out when it is not known");
            CodeValidity::Unchecked
        }
        Err(_) => {
            let problem =
                format!("is {number}, which this version does not know; use `CODE_VALIDITY_VALID` or `CODE_VALIDITY_INVALID`");
            found.add(at, problem);
            CodeValidity::Unchecked
        }
    }
}

/// Writes an attribution.
#[must_use]
pub fn attribution_message(attribution: &Attribution) -> v1::Attribution {
    let Attribution { captured_via, ucc, code_validity, previous_ucc, captured_at, attached_by } = attribution;
    v1::Attribution {
        captured_via: captured_via.to_number(),
        ucc: id_text(ucc.as_ref()),
        code_validity: match code_validity {
            CodeValidity::Valid => Some(v1::CodeValidity::Valid.into()),
            CodeValidity::Invalid => Some(v1::CodeValidity::Invalid.into()),
            CodeValidity::Unchecked => None,
        },
        previous_ucc: id_text(previous_ucc.as_ref()),
        captured_at: captured_at.map(time_message),
        attached_by: id_text(attached_by.as_ref()),
    }
}
