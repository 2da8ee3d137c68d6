//! Signals that arrive outside a conversion, between messages and vocabulary.
//! It must never take two bundles of one account in one record. The service and the readers of history call it.

use std::collections::BTreeSet;

use super::fields::{Arrival, list, required_id};
use super::violation::{At, Violation, Violations, Warned};
use super::{bundle, v1};
use crate::vocabulary::bundle::{BUNDLES_PER_RECORD_MAX, SignalBundle};
use crate::vocabulary::ids::{ProgramId, RecordId};

/// Signals of several accounts, as one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignalsRecord {
    /// The programme.
    pub program_id: ProgramId,
    /// The caller's id of the record.
    pub record_id: RecordId,
    /// One bundle for each account. Length: 1 to [`BUNDLES_PER_RECORD_MAX`].
    pub bundles: Vec<SignalBundle>,
}

/// Reads a request to record signals, with the warnings of soft signals that were cut or counted as absent.
///
/// # Errors
/// All violations.
pub fn parse_request(message: v1::RecordSignalsRequest, arrival: Arrival) -> Result<Warned<SignalsRecord>, Vec<Violation>> {
    let v1::RecordSignalsRequest { program_id, record_id, bundles: messages } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::MESSAGE.field("program_id"), &mut found);
    let record_id = required_id(&record_id, &At::MESSAGE.field("record_id"), &mut found);
    let bundles = bundles(messages, &At::path("bundles"), arrival, &mut found);
    let record = program_id.zip(record_id).map(|(program_id, record_id)| SignalsRecord { program_id, record_id, bundles });
    found.into_warned(record)
}

/// Reads bundles of distinct accounts and notes what is wrong.
pub fn bundles(messages: Vec<v1::SignalBundle>, at: &At<'_>, arrival: Arrival, found: &mut Violations) -> Vec<SignalBundle> {
    if messages.is_empty() {
        found.add(at, "is required: at least one bundle");
    }
    let mut accounts = BTreeSet::new();
    for (index, message) in messages.iter().take(BUNDLES_PER_RECORD_MAX).enumerate() {
        if !message.account_id.is_empty() && !accounts.insert(message.account_id.clone()) {
            found.add(&at.entry(index).field("account_id"), "stands in the list twice; send one bundle for each account");
        }
    }
    list(messages, BUNDLES_PER_RECORD_MAX, at, found, |message, at, found| bundle::read(message, at, arrival, found))
}
