//! Acts that a second identity confirms: from requests to commands and listings, and back.

use super::content;
use super::enums::WireEnum;
use super::fields::{required_id, time_message};
use super::request::{ListingSeal, PageKey, note, page, request};
use super::review::short_digest;
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::acts::{Act, PendingAct};
use crate::book::command::{Change, HoldStep, SettleCommand, Settlement};
use crate::book::query::PageRequest;
use crate::book::records::{HoldSubject, ListSubject, identifier_words};
use crate::vocabulary::ids::{Actor, ProgramId};
use crate::vocabulary::outcome::OutcomeSubject;
use crate::vocabulary::time::Timestamp;

/// What the three requests that settle an act say.
struct Settling {
    program_id: String,
    act_id: String,
    why: String,
    request_id: String,
    settlement: Settlement,
}

impl Settling {
    fn read(
        self,
        content: crate::book::records::ContentFingerprint,
        actor: &Actor,
        at: Timestamp,
    ) -> Result<SettleCommand, Vec<Violation>> {
        let Self { program_id, act_id, why, request_id, settlement } = self;
        let mut found = Violations::default();
        let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
        let act_id = required_id(&act_id, &At::path("act_id"), &mut found);
        let note = note(why, &At::path("note"), &mut found);
        let request = request(&request_id, content, &mut found);
        let command = program_id.zip(act_id).map(|(program_id, act_id)| {
            let (actor, prepared) = (actor.clone(), None);
            SettleCommand { program_id, act_id, settlement, actor, note, request, prepared, at }
        });
        found.into_result(command)
    }
}

/// Reads a confirmation.
///
/// # Errors
/// All violated fields.
pub fn confirm(message: v1::ConfirmActRequest, actor: &Actor, at: Timestamp) -> Result<SettleCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::ConfirmActRequest { program_id, act_id, note: why, request_id } = message;
    Settling { program_id, act_id, why, request_id, settlement: Settlement::Confirm }.read(content, actor, at)
}

/// Reads a refusal.
///
/// # Errors
/// All violated fields.
pub fn refuse(message: v1::RefuseActRequest, actor: &Actor, at: Timestamp) -> Result<SettleCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::RefuseActRequest { program_id, act_id, note: why, request_id } = message;
    Settling { program_id, act_id, why, request_id, settlement: Settlement::Refuse }.read(content, actor, at)
}

/// Reads that somebody takes its own act back.
///
/// # Errors
/// All violated fields.
pub fn withdraw(message: v1::WithdrawActRequest, actor: &Actor, at: Timestamp) -> Result<SettleCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::WithdrawActRequest { program_id, act_id, note: why, request_id } = message;
    Settling { program_id, act_id, why, request_id, settlement: Settlement::Withdraw }.read(content, actor, at)
}

/// A listing of acts that was asked for.
#[derive(Debug, Clone)]
pub struct ActListing {
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
pub fn listing(message: v1::ListPendingActsRequest, key: &PageKey) -> Result<ActListing, Vec<Violation>> {
    let bare = v1::ListPendingActsRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::ListPendingActsRequest { program_id, page_size, page_token } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let page = page(page_size, &page_token, seal, &mut found);
    found.into_result(program_id.map(|program_id| ActListing { program_id, page, seal }))
}

/// Writes an act that waits.
#[must_use]
pub fn message_of(pending: &PendingAct) -> v1::PendingAct {
    let PendingAct { id, act, cause, proposer, note, proposed_at, expires_at } = pending;
    let (kind, subject, sentence) = told(act);
    v1::PendingAct {
        act_id: id.to_string(),
        cause: cause.to_number(),
        proposer: proposer.to_string(),
        note: note.clone(),
        proposed_at: Some(time_message(*proposed_at)),
        expires_at: Some(time_message(*expires_at)),
        kind: kind.into(),
        subject,
        sentence,
    }
}

/// What an act does, to what, and in words.
fn told(act: &Act) -> (v1::ActKind, String, String) {
    match act {
        Act::Accept { case_id, .. } => (v1::ActKind::AcceptCase, case_id.to_string(), format!("accept {case_id}")),
        Act::LiftHold(HoldStep::Lift(id)) => (v1::ActKind::LiftHold, id.to_string(), format!("lift the hold {id}")),
        Act::LiftHold(HoldStep::LiftOwn(subject) | HoldStep::Place { hold_id: _, subject }) => {
            let (id, words) = match subject {
                HoldSubject::Conversion(id) => (id.to_string(), format!("lift the proposer's hold on conversion {id}")),
                HoldSubject::Referrer(id) => (id.to_string(), format!("lift the proposer's hold on referrer {id}")),
            };
            (v1::ActKind::LiftHold, id, words)
        }
        Act::ChangeList(entry, change) => {
            let (subject, words) = match &entry.subject {
                ListSubject::Account(id) => (id.to_string(), format!("account {id}")),
                ListSubject::Identifier(value) => {
                    let digits = short_digest(&value.digest);
                    let words = format!("{} {digits}", identifier_words(value.kind));
                    (digits, words)
                }
            };
            match (change, entry.expires_at) {
                (Change::Lift, _) => (v1::ActKind::RemoveListEntry, subject, format!("take {words} off the block list")),
                (Change::Place, Some(end)) => {
                    (v1::ActKind::PutListEntry, subject, format!("let {words} be blocked until {end} only"))
                }
                (Change::Place, None) => (v1::ActKind::PutListEntry, subject, format!("write {words} on the block list anew")),
            }
        }
        Act::RecordOutcome(outcome, _) => {
            let subject = match &outcome.subject {
                OutcomeSubject::Account(id) => id.to_string(),
                OutcomeSubject::Conversion(id) => id.to_string(),
                OutcomeSubject::Invoice { referee, invoice_id: _ } => referee.to_string(),
            };
            let sentence = format!("open account {subject} again (outcome {})", outcome.outcome_id);
            (v1::ActKind::RecordOutcome, subject, sentence)
        }
        Act::RevokeOutcome { outcome_id, .. } => {
            (v1::ActKind::RevokeOutcome, outcome_id.to_string(), format!("take the ban {outcome_id} back"))
        }
        Act::ChangeTerms(step) => {
            let (subject, words) = super::terms::told(step);
            (v1::ActKind::ChangeTerms, subject, words)
        }
        Act::Activate { model, .. } => {
            (v1::ActKind::ActivateModel, model.version.to_string(), format!("let model {} decide", model.version))
        }
    }
}
