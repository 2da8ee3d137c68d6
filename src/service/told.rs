//! The lines of the log that answers have: one for each decision that is new, one for each call that was refused.
//!
//! They hold ids, codes and names of fields; never a signal, a note, or a text that a caller wrote. In a second there are so many of each kind and no
//! more, so that neither a rush nor a flood of refusals fills a disk; how many had none is told with the next line.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::counts::{first_reason, verdict_name};
use super::errors::Reason;
use super::limits::code_name;
use crate::book::records::DecisionRecord;
use crate::vocabulary::ids::CaseId;

/// Names of violated fields that a line has.
const FIELDS_TOLD: usize = 4;
/// What stands for a reason that this server does not know.
const OTHER_REASON: &str = "OTHER";

/// Lines that may be written in a second.
#[derive(Debug)]
pub(super) struct Lines {
    per_second: u32,
    second: Mutex<Second>,
}

#[derive(Debug)]
struct Second {
    began: Instant,
    written: u32,
    left_out: u64,
}

impl Lines {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second, second: Mutex::new(Second { began: Instant::now(), written: 0, left_out: 0 }) }
    }

    /// Whether there may be one now, and then how many had none before it.
    pub(super) fn may_write(&self, now: Instant) -> Option<u64> {
        let mut second = self.second.lock();
        if now.duration_since(second.began) >= Duration::from_secs(1) {
            (second.began, second.written) = (now, 0);
        }
        if second.written >= self.per_second {
            second.left_out += 1;
            return None;
        }
        second.written += 1;
        Some(std::mem::take(&mut second.left_out))
    }
}

/// Tells of a decision that is new.
pub(super) fn decided(lines: &Lines, record: &DecisionRecord) {
    let Some(left_out) = lines.may_write(Instant::now()) else { return };
    let DecisionRecord { conversion, decision, case_id, cursor, .. } = record;
    tracing::info!(
        program = conversion.program_id.as_str(),
        conversion = conversion.conversion_id.as_str(),
        verdict = verdict_name(decision.verdict),
        risk_score = decision.risk_score(),
        reason = first_reason(decision),
        case = case_id.as_ref().map(CaseId::as_str),
        policy = &*decision.policy_version,
        model = decision.model_version.as_deref(),
        cursor = cursor.place.0,
        left_out = (left_out > 0).then_some(left_out),
        "decided"
    );
}

/// Counts and tells that a call, or an item of a stream, was refused.
pub(super) fn refused(lines: &Lines, method: &str, status: &Status) {
    let details = status.get_error_details();
    let reason = details.error_info().map_or(OTHER_REASON, |info| known(&info.reason));
    let labelled = metrics::SharedString::from(method.to_owned());
    metrics::counter!("selfsame_refusals_total", "method" => labelled, "reason" => reason).increment(1);
    let violated = details.bad_request().map(|request| &request.field_violations[..]).unwrap_or_default();
    let fields: Vec<&str> = violated.iter().take(FIELDS_TOLD).map(|violation| violation.field.as_str()).collect();
    refused_with(lines, method, status.code(), reason, &fields);
}

/// As [`refused`], for an item whose refusal is part of an answer.
pub(super) fn item_refused(lines: &Lines, method: &'static str, code: Code, reason: &str) {
    let reason = known(reason);
    metrics::counter!("selfsame_refusals_total", "method" => method, "reason" => reason).increment(1);
    refused_with(lines, method, code, reason, &[]);
}

/// A reason as this server knows it, so that no label comes from elsewhere.
fn known(reason: &str) -> &'static str {
    Reason::ALL.into_iter().map(Reason::as_str).find(|known| *known == reason).unwrap_or(OTHER_REASON)
}

fn refused_with(lines: &Lines, method: &str, code: Code, reason: &str, fields: &[&str]) {
    let Some(left_out) = lines.may_write(Instant::now()) else { return };
    let left_out = (left_out > 0).then_some(left_out);
    let fields = (!fields.is_empty()).then(|| fields.join(","));
    let code_name = code_name(code);
    match code {
        // What the operator has to mend.
        Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable => {
            tracing::warn!(method, code = code_name, reason, fields, left_out, "refused");
        }
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Unauthenticated => tracing::info!(method, code = code_name, reason, fields, left_out, "refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_the_next_one_tells_how_many_had_none() {
        let lines = Lines::new(2);
        let began = lines.second.lock().began;
        let at = |millis| began + Duration::from_millis(millis);
        let written = [0, 10, 20, 999, 1_000, 1_001, 1_002, 2_500].map(|millis| lines.may_write(at(millis)));
        assert_eq!(written, [Some(0), Some(0), None, None, Some(2), Some(0), None, Some(1)]);
        assert_eq!(Lines::new(0).may_write(at(5_000)), None);
    }

    #[test]
    fn a_reason_from_elsewhere_makes_no_label() {
        assert_eq!(known("LEDGER_BUSY"), "LEDGER_BUSY");
        assert_eq!(known("jane.doe@example.com"), OTHER_REASON);
    }
}
