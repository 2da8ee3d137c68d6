//! Outcomes between messages and vocabulary.
//! It must never guess what an outcome is about. The service and the ledger's records call it.

use super::enums::WireEnum;
use super::fields::{Arrival, money, money_message, required_enum, required_id, required_time, time_message};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::vocabulary::ids::{ProgramId, RecordId};
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};

/// Reads a request to record an outcome, ids included.
///
/// # Errors
/// All violations.
pub fn parse_request(message: v1::RecordOutcomeRequest, arrival: Arrival) -> Result<Outcome, Vec<Violation>> {
    let v1::RecordOutcomeRequest { program_id, outcome_id, outcome } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::MESSAGE.field("program_id"), &mut found);
    let outcome_id = required_id(&outcome_id, &At::MESSAGE.field("outcome_id"), &mut found);
    let at = At::path("outcome");
    if outcome.is_none() {
        found.add(&at, "is required");
    }
    let ids = program_id.zip(outcome_id);
    let outcome = outcome.and_then(|message| read(message, ids, &at, arrival, &mut found));
    found.into_result(outcome)
}

/// Reads an outcome and notes what is wrong. `ids`: those of the request around it; absent when they are wrong.
pub fn read(
    message: v1::Outcome,
    ids: Option<(ProgramId, RecordId)>,
    at: &At<'_>,
    arrival: Arrival,
    found: &mut Violations,
) -> Option<Outcome> {
    let v1::Outcome { kind, subject, occurred_at, amount } = message;
    let kind = required_enum(kind, &at.field("kind"), found);
    let subject = read_subject(subject, at, found);
    let names_account = matches!(subject, Some(OutcomeSubject::Account(_)));
    if kind == Some(OutcomeKind::AccountBanned) && subject.is_some() && !names_account {
        found.add(&at.field("subject"), "must be an `account_id` when the kind is `OUTCOME_KIND_ACCOUNT_BANNED`");
    }
    let occurred_at = required_time(occurred_at, &at.field("occurred_at"), arrival, found);
    let amount = money(amount, &at.field("amount"), found);
    let (program_id, outcome_id) = ids?;
    Some(Outcome { program_id, outcome_id, kind: kind?, subject: subject?, occurred_at: occurred_at?, amount })
}

fn read_subject(subject: Option<v1::outcome::Subject>, at: &At<'_>, found: &mut Violations) -> Option<OutcomeSubject> {
    let Some(subject) = subject else {
        found.add(&at.field("subject"), "is required: one of `conversion_id`, `account_id` and `invoice`");
        return None;
    };
    match subject {
        v1::outcome::Subject::ConversionId(id) => {
            required_id(&id, &at.field("conversion_id"), found).map(OutcomeSubject::Conversion)
        }
        v1::outcome::Subject::AccountId(id) => required_id(&id, &at.field("account_id"), found).map(OutcomeSubject::Account),
        v1::outcome::Subject::Invoice(v1::InvoiceSubject { referee_account_id, invoice_id }) => {
            let at = at.field("invoice");
            let referee = required_id(&referee_account_id, &at.field("referee_account_id"), found);
            let invoice_id = required_id(&invoice_id, &at.field("invoice_id"), found);
            Some(OutcomeSubject::Invoice { referee: referee?, invoice_id: invoice_id? })
        }
    }
}

/// Writes an outcome. Its ids stand in the request around it.
#[must_use]
pub fn message_of(outcome: &Outcome) -> v1::Outcome {
    let Outcome { program_id: _, outcome_id: _, kind, subject, occurred_at, amount } = outcome;
    let subject = match subject {
        OutcomeSubject::Conversion(id) => v1::outcome::Subject::ConversionId(id.to_string()),
        OutcomeSubject::Account(id) => v1::outcome::Subject::AccountId(id.to_string()),
        OutcomeSubject::Invoice { referee, invoice_id } => v1::outcome::Subject::Invoice(v1::InvoiceSubject {
            referee_account_id: referee.to_string(),
            invoice_id: invoice_id.to_string(),
        }),
    };
    v1::Outcome {
        kind: kind.to_number(),
        subject: Some(subject),
        occurred_at: Some(time_message(*occurred_at)),
        amount: amount.map(money_message),
    }
}
