//! Holds: from requests to commands and listings, and back.

use super::content;
use super::fields::{optional_id, required_id, time_message};
use super::request::{ListingSeal, PageKey, note, page, request};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::{HoldCommand, HoldStep};
use crate::book::query::PageRequest;
use crate::book::records::{Hold, HoldSubject};
use crate::vocabulary::ids::{Actor, ProgramId};
use crate::vocabulary::time::Timestamp;

/// Reads a hold to place.
///
/// # Errors
/// All violated fields.
pub fn place(message: v1::PlaceHoldRequest, actor: &Actor, at: Timestamp) -> Result<HoldCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::PlaceHoldRequest { program_id, subject, note: why, hold_id, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let subject = read_subject(Some(subject.unwrap_or_default()), &mut found);
    let note = note(why, &At::path("note"), &mut found);
    let hold_id = optional_id(&hold_id, &At::path("hold_id"), &mut found);
    let request = request(&request_id, content, &mut found);
    let command = || {
        let step = HoldStep::Place { hold_id, subject: subject? };
        Some(HoldCommand { program_id: program_id?, step, actor: actor.clone(), note, request, at })
    };
    let command = command();
    found.into_result(command)
}

/// Reads a hold to lift.
///
/// # Errors
/// All violated fields.
pub fn lift(message: v1::LiftHoldRequest, actor: &Actor, at: Timestamp) -> Result<HoldCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::LiftHoldRequest { program_id, subject, note: why, hold_id, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let names_subject = subject.is_some();
    let subject = read_subject(subject, &mut found);
    let hold_id = optional_id(&hold_id, &At::path("hold_id"), &mut found);
    let step = match (hold_id, subject) {
        (Some(_), Some(_)) => {
            found.add(&At::path("subject"), "must be left out when `hold_id` says which hold is meant");
            None
        }
        (Some(hold_id), None) => Some(HoldStep::Lift(hold_id)),
        (None, Some(subject)) => Some(HoldStep::LiftOwn(subject)),
        (None, None) => {
            if !names_subject {
                found.add(&At::path("hold_id"), "is required, or `subject` for the actor's own hold on it");
            }
            None
        }
    };
    let note = note(why, &At::path("note"), &mut found);
    let request = request(&request_id, content, &mut found);
    let command = || Some(HoldCommand { program_id: program_id?, step: step?, actor: actor.clone(), note, request, at });
    let command = command();
    found.into_result(command)
}

fn read_subject(subject: Option<v1::HoldSubject>, found: &mut Violations) -> Option<HoldSubject> {
    use v1::hold_subject::Subject;

    let at = At::path("subject");
    match subject?.subject {
        Some(Subject::ConversionId(id)) => required_id(&id, &at.field("conversion_id"), found).map(HoldSubject::Conversion),
        Some(Subject::ReferrerAccountId(id)) => {
            required_id(&id, &at.field("referrer_account_id"), found).map(HoldSubject::Referrer)
        }
        None => {
            found.add(&at, "is required: one of `conversion_id` and `referrer_account_id`");
            None
        }
    }
}

/// A listing of holds that was asked for.
#[derive(Debug, Clone)]
pub struct Listing {
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
pub fn listing(message: v1::ListHoldsRequest, key: &PageKey) -> Result<Listing, Vec<Violation>> {
    let bare = v1::ListHoldsRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::ListHoldsRequest { program_id, page_size, page_token } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let page = page(page_size, &page_token, seal, &mut found);
    found.into_result(program_id.map(|program_id| Listing { program_id, page, seal }))
}

/// Writes a hold in force.
#[must_use]
pub fn message_of(hold: &Hold) -> v1::Hold {
    use v1::hold_subject::Subject;

    let Hold { hold_id, subject, actor, note, placed_at } = hold;
    let subject = match subject {
        HoldSubject::Conversion(id) => Subject::ConversionId(id.to_string()),
        HoldSubject::Referrer(id) => Subject::ReferrerAccountId(id.to_string()),
    };
    v1::Hold {
        subject: Some(v1::HoldSubject { subject: Some(subject) }),
        actor: actor.to_string(),
        note: note.clone(),
        placed_at: Some(time_message(*placed_at)),
        hold_id: hold_id.to_string(),
    }
}
