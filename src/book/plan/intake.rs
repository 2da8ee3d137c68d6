//! Plans of events that senders send: each is taken once, and again only where sending it again says that an old payment counts.

use super::Plan;
use crate::book::command::SourceCommand;
use crate::book::event::{Event, SourceEventTaken};
use crate::book::intake::{FACTS_MAX, message_of};
use crate::book::refusal::Refusal;
use crate::book::{Book, MessageKind};

/// Takes an event, or finds that it was taken.
pub(super) fn take(book: &Book, command: SourceCommand) -> Result<Plan, Refusal> {
    let SourceCommand { program_id: _, source, event_id, at, content, facts, noticed, received_at } = command;
    if facts.len() > FACTS_MAX {
        return Err(Refusal::NotPossible(format!(
            "the event says {} things at once; at most {FACTS_MAX} are taken",
            facts.len()
        )));
    }
    let taken = book.taken(MessageKind::SourceEvent, &message_of(source, &event_id), content)?;
    if let Some(taken) = taken
        && !book.intake.would_count(source, &facts)
    {
        return Ok(taken);
    }
    let mistakes = book.intake.mistakes_in((source, at), &facts, noticed);
    let event = SourceEventTaken { source, event_id, at, content, facts, mistakes, received_at };
    Ok(Plan::commit(Event::SourceEventTaken(Box::new(event))))
}
