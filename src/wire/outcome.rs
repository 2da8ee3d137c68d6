//! Outcomes between messages and vocabulary.
//! It must never guess what an outcome is about. The service and the ledger's records call it.

use super::content;
use super::enums::WireEnum;
use super::fields::{
    Arrival, id_text, money_message, optional_id, positive_money, required_enum, required_id, time_message, time_of_fact,
};
use super::request::{ListingSeal, PageKey, note, page, reason_code, request};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::RevokeCommand;
use crate::book::query::PageRequest;
use crate::book::records::PendingOutcome;
use crate::vocabulary::ids::{Actor, ProgramId, RecordId};
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Timestamp;

/// Reads a request to record an outcome, ids included, with what is odd about it.
///
/// # Errors
/// All violations.
pub fn parse_request(message: v1::RecordOutcomeRequest, arrival: Arrival) -> Result<(Outcome, Vec<String>), Vec<Violation>> {
    let v1::RecordOutcomeRequest { program_id, outcome_id, outcome } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::MESSAGE.field("program_id"), &mut found);
    let outcome_id = required_id(&outcome_id, &At::MESSAGE.field("outcome_id"), &mut found);
    let at = At::path("outcome");
    if outcome.is_none() {
        found.add(&at, "is required");
    }
    let ids = program_id.zip(outcome_id);
    let mut warnings = Vec::new();
    let outcome = outcome.and_then(|message| read(message, ids, &at, arrival, &mut warnings, &mut found));
    found.into_result(outcome).map(|outcome| (outcome, warnings))
}

/// Reads an outcome and notes what is wrong. `ids`: those of the request around it; absent when they are wrong.
pub fn read(
    message: v1::Outcome,
    ids: Option<(ProgramId, RecordId)>,
    at: &At<'_>,
    arrival: Arrival,
    warnings: &mut Vec<String>,
    found: &mut Violations,
) -> Option<Outcome> {
    let v1::Outcome { kind, subject, occurred_at, amount, actor, note: why } = message;
    let kind = required_enum(kind, &at.field("kind"), found);
    let subject = read_subject(subject, at, found);
    let names_account = matches!(subject, Some(OutcomeSubject::Account(_)));
    let of_accounts = matches!(kind, Some(OutcomeKind::AccountBanned | OutcomeKind::AccountUnbanned));
    if of_accounts && subject.is_some() && !names_account {
        found.add(&at.field("subject"), "must be an `account_id` when an account is banned or opened again");
    }
    let occurred_at = time_of_fact(occurred_at, &at.field("occurred_at"), arrival, warnings, found);
    let amount = positive_money(amount, &at.field("amount"), found);
    let actor = optional_id(&actor, &at.field("actor"), found);
    let note = note(why, &at.field("note"), found);
    let (program_id, outcome_id) = ids?;
    Some(Outcome { program_id, outcome_id, kind: kind?, subject: subject?, occurred_at: occurred_at?, amount, actor, note })
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
    let Outcome { program_id: _, outcome_id: _, kind, subject, occurred_at, amount, actor, note } = outcome;
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
        actor: id_text(actor.as_ref()),
        note: note.clone(),
    }
}

/// Reads that an outcome is taken back.
///
/// # Errors
/// All violated fields.
pub fn revoke(message: v1::RevokeOutcomeRequest, actor: &Actor, at: Timestamp) -> Result<RevokeCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::RevokeOutcomeRequest { program_id, outcome_id, reason_code: code, note: why, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let outcome_id = required_id(&outcome_id, &At::path("outcome_id"), &mut found);
    let reason_code = reason_code(code, &mut found);
    let note = note(why, &At::path("note"), &mut found);
    let request = request(&request_id, content, &mut found);
    let command = || {
        Some(RevokeCommand {
            program_id: program_id?,
            outcome_id: outcome_id?,
            actor: actor.clone(),
            reason_code,
            note,
            request,
            at,
        })
    };
    let command = command();
    found.into_result(command)
}

/// A listing of waiting outcomes that was asked for.
#[derive(Debug, Clone)]
pub struct PendingListing {
    /// The programme.
    pub program_id: ProgramId,
    /// Which part.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub seal: ListingSeal,
}

/// Reads a listing request.
///
/// # Errors
/// All violated fields.
pub fn pending_listing(message: v1::ListPendingOutcomesRequest, key: &PageKey) -> Result<PendingListing, Vec<Violation>> {
    let bare = v1::ListPendingOutcomesRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::ListPendingOutcomesRequest { program_id, page_size, page_token } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let page = page(page_size, &page_token, seal, &mut found);
    found.into_result(program_id.map(|program_id| PendingListing { program_id, page, seal }))
}

/// Writes an outcome that waits.
#[must_use]
pub fn pending_message(pending: &PendingOutcome) -> v1::PendingOutcome {
    let PendingOutcome { outcome, received_at } = pending;
    v1::PendingOutcome {
        outcome_id: outcome.outcome_id.to_string(),
        outcome: Some(message_of(outcome)),
        received_at: Some(time_message(*received_at)),
    }
}
