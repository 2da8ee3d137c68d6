//! Plans of holds. Several may be on one subject, each placed for its own reason and lifted by itself.

use super::Plan;
use crate::book::Book;
use crate::book::MessageKind;
use crate::book::command::{Change, HoldCommand, HoldStep};
use crate::book::event::{Event, HeldReferral, HoldChanged};
use crate::book::records::{Cursor, Hold, HoldSubject};
use crate::book::refusal::{Misfit, Refusal};
use crate::vocabulary::ids::{Actor, HoldId};

/// Places or lifts a hold. What retention removes cannot be held any more.
pub(super) fn step(book: &Book, command: HoldCommand) -> Result<Plan, Refusal> {
    match command.step.clone() {
        HoldStep::Place { hold_id: Some(hold_id), subject } => match book.holds.get(&hold_id) {
            Some((held, cursor)) if held.subject == subject => Ok(Plan::AlreadyDone(*cursor)),
            Some(_) => {
                let problem = "names a hold on another subject; choose another, or none for one of Selfsame's";
                Err(Refusal::Invalid(vec![Misfit::at("hold_id", problem)]))
            }
            None => change(book, command, Change::Place, hold_id, subject),
        },
        HoldStep::Place { hold_id: None, subject } => {
            let hold_id = given_id(book)?;
            let before = own(book, &subject, &command.actor).find(|(held, _)| is_given(&held.hold_id));
            match before.map(|(_, cursor)| cursor) {
                Some(cursor) => Ok(Plan::AlreadyDone(cursor)),
                None => change(book, command, Change::Place, hold_id, subject),
            }
        }
        HoldStep::Lift(hold_id) => lift(book, command, hold_id),
        HoldStep::LiftOwn(subject) => {
            let own: Vec<HoldId> = own(book, &subject, &command.actor).map(|(held, _)| held.hold_id.clone()).collect();
            match own.as_slice() {
                [] => nothing_to_lift(book, &subject, &command.actor),
                [only] => lift(book, command, only.clone()),
                [..] => Err(Refusal::Invalid(vec![Misfit::at(
                    "hold_id",
                    format!("is required: `{}` has several holds on it, {}", command.actor, named(book, &subject)),
                )])),
            }
        }
    }
}

fn lift(book: &Book, command: HoldCommand, hold_id: HoldId) -> Result<Plan, Refusal> {
    if let Some((held, _)) = book.holds.get(&hold_id) {
        let subject = held.subject.clone();
        return change(book, command, Change::Lift, hold_id, subject);
    }
    let lifted = book.messages.find(MessageKind::LiftedHold, hold_id.as_str(), &book.hasher);
    let missing = || Refusal::NotFound { what: "hold", id: hold_id.to_string() };
    lifted.map(|lifted| Plan::AlreadyDone(lifted.cursor)).ok_or_else(missing)
}

/// Lifting twice is harmless; lifting what others placed must be meant.
fn nothing_to_lift(book: &Book, subject: &HoldSubject, actor: &Actor) -> Result<Plan, Refusal> {
    if on(book, subject).next().is_none() {
        return Ok(Plan::AlreadyDone(Cursor(0)));
    }
    let problem = format!("is required: `{actor}` has no hold on it, others have {}", named(book, subject));
    Err(Refusal::Invalid(vec![Misfit::at("hold_id", problem)]))
}

fn on<'a>(book: &'a Book, subject: &'a HoldSubject) -> impl Iterator<Item = (&'a Hold, Cursor)> {
    book.holds.values().filter(move |(held, _)| held.subject == *subject).map(|(held, cursor)| (held, *cursor))
}

fn own<'a>(book: &'a Book, subject: &'a HoldSubject, actor: &'a Actor) -> impl Iterator<Item = (&'a Hold, Cursor)> {
    on(book, subject).filter(move |(held, _)| held.actor == *actor)
}

fn named(book: &Book, subject: &HoldSubject) -> String {
    on(book, subject).map(|(held, _)| format!("`{}` of `{}`", held.hold_id, held.actor)).collect::<Vec<_>>().join(", ")
}

/// How the ids begin that Selfsame gives to holds.
const GIVEN: &str = "hold-";

/// An id for a hold whose caller chose none: made of the place of its record, which no other has.
fn given_id(book: &Book) -> Result<HoldId, Refusal> {
    HoldId::new(&format!("{GIVEN}{}", book.cursor.0 + 1)).map_err(|problem| Refusal::NotPossible(problem.to_string()))
}

fn is_given(id: &HoldId) -> bool {
    id.as_str().strip_prefix(GIVEN).is_some_and(|place| !place.is_empty() && place.bytes().all(|byte| byte.is_ascii_digit()))
}

fn change(book: &Book, command: HoldCommand, change: Change, hold_id: HoldId, subject: HoldSubject) -> Result<Plan, Refusal> {
    let HoldCommand { program_id: _, step: _, actor, note, request, at } = command;
    let referral = match &subject {
        HoldSubject::Conversion(id) => {
            let (_, row) = book.kept_row(id)?;
            let (referrer, referee) = book.sides_of(row);
            Some(HeldReferral { referrer, referee, verdict: row.verdict })
        }
        HoldSubject::Referrer(_) => None,
    };
    Ok(Plan::commit(Event::HoldChanged(HoldChanged { hold_id, subject, change, actor, note, at, referral, request })))
}
