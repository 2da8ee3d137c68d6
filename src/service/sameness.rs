//! Messages whose id was used before and whose fingerprint is another one: what was recorded first is read and compared, so that the refusal
//! names the fields that differ, and so that what means the same is never refused. Both are compared as they were read: a soft text that was cut is one.

use super::errors::Refusal;
use super::shared::Shared;
use crate::book::MessageKind;
use crate::book::cursor::FeedCursor;
use crate::book::records::{Freshness, RecordedSignals, Screened, TakenMessage};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{ConversionId, ProgramId, RecordId};
use crate::wire::{Violation, bundle, content, conversion, outcome, v1};

/// The decision of a conversion that was sent before.
///
/// # Errors
/// `CONTENT_DIFFERS` with the fields that differ.
pub(super) async fn screened_before(
    shared: &Shared,
    program: &ProgramId,
    id: &ConversionId,
    sent: &Conversion,
) -> Result<Screened, Refusal> {
    let Some(record) = shared.look_up(shared.ledger.decision(program, id)).await? else {
        return Err(Refusal::content_differs(id.as_str(), Vec::new()));
    };
    let recorded = conversion::message_of(&record.conversion);
    refuse_other(id.as_str(), content::differences(&conversion::message_of(sent), &recorded, "conversion"))?;
    Ok(Screened { record: Box::new(record), freshness: Freshness::Replayed })
}

/// Where signals stand that were sent before.
///
/// # Errors
/// `CONTENT_DIFFERS` with the fields that differ.
pub(super) async fn signals_before(
    shared: &Shared,
    program: &ProgramId,
    id: &RecordId,
    sent: &[SignalBundle],
) -> Result<(Option<FeedCursor>, Freshness), Refusal> {
    match shared.look_up(shared.ledger.taken(program, MessageKind::Signals, id)).await? {
        Some((cursor, TakenMessage::Signals(RecordedSignals { record_id, bundles, observed_at: _ }))) => {
            let message = |bundles: &[SignalBundle]| v1::RecordSignalsRequest {
                program_id: program.to_string(),
                record_id: record_id.to_string(),
                bundles: bundles.iter().map(bundle::message_of).collect(),
            };
            refuse_other(id.as_str(), content::differences(&message(sent), &message(&bundles), ""))?;
            Ok((Some(cursor), Freshness::Replayed))
        }
        Some((_, TakenMessage::Outcome(_))) | None => Err(Refusal::content_differs(id.as_str(), Vec::new())),
    }
}

/// Where an outcome stands that was sent before.
///
/// # Errors
/// `CONTENT_DIFFERS` with the fields that differ.
pub(super) async fn outcome_before(
    shared: &Shared,
    program: &ProgramId,
    id: &RecordId,
    sent: &v1::RecordOutcomeRequest,
) -> Result<(Option<FeedCursor>, Freshness), Refusal> {
    match shared.look_up(shared.ledger.taken(program, MessageKind::Outcome, id)).await? {
        Some((cursor, TakenMessage::Outcome(recorded))) => {
            let recorded = v1::RecordOutcomeRequest {
                program_id: program.to_string(),
                outcome_id: recorded.outcome_id.to_string(),
                outcome: Some(outcome::message_of(&recorded)),
            };
            refuse_other(id.as_str(), content::differences(sent, &recorded, ""))?;
            Ok((Some(cursor), Freshness::Replayed))
        }
        Some((_, TakenMessage::Signals(_))) | None => Err(Refusal::content_differs(id.as_str(), Vec::new())),
    }
}

fn refuse_other(id: &str, differences: Vec<Violation>) -> Result<(), Refusal> {
    if differences.is_empty() { Ok(()) } else { Err(Refusal::content_differs(id, differences)) }
}
