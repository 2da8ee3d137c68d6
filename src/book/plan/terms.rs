//! Plans of changes of a programme's terms. Shortening a payout delay binds what is received from then on: what was decided keeps what it was promised,
//! unless that is said too.

use super::Plan;
use crate::book::Book;
use crate::book::command::{Assessor, TermsCommand};
use crate::book::event::{Event, TermsChanged};
use crate::book::refusal::{Misfit, Refusal};
use crate::book::terms::{Decided, PROMISES_MAX, Terms};
use crate::screening::policy::{PayoutPolicy, Promise};
use crate::vocabulary::time::{Span, Timestamp};

/// What a change comes to.
struct After {
    terms: Terms,
    promises: Vec<Promise>,
    payout: PayoutPolicy,
    /// Whether something is payable earlier than it was.
    shortened: bool,
}

/// Changes the terms. A change that says what is so already is done.
pub(super) fn change(book: &Book, command: TermsCommand, assessor: &dyn Assessor) -> Result<Plan, Refusal> {
    let After { terms, promises, payout, shortened: _ } = after(book, &command, assessor);
    let known = &book.terms;
    let TermsCommand { program_id: _, step, actor, note, request, at } = command;
    if terms == *known.terms() && (step.decided == Decided::KeepsItsDelay || known.promises().is_empty()) {
        return Ok(Plan::AlreadyDone(known.changed()));
    }
    if let Some(kept) = terms.retention.filter(|kept| *kept < payout.longest_delay()) {
        let days = |span: Span| span.as_seconds() / 86_400.0;
        let problem = format!(
            "is {} days, and the longest payout delay of the programme is {} days: what is removed before it may be paid never could be; keep records at least as long",
            days(kept),
            days(payout.longest_delay())
        );
        return Err(Refusal::Invalid(vec![Misfit::at("retention", problem)]));
    }
    if promises.len() > PROMISES_MAX {
        return Err(Refusal::NotPossible(format!(
            "the payout delay was shortened {PROMISES_MAX} times while what was promised before still waits: wait until some of it is payable"
        )));
    }
    let previous = known.terms().summary();
    let changed = TermsChanged { terms, promises, previous, actor, note, at, request };
    Ok(Plan::commit(Event::TermsChanged(Box::new(changed))))
}

/// Whether a second identity has a say, where a programme asks one for its terms: another policy decides, or money is payable earlier.
pub(super) fn weighs(book: &Book, command: &TermsCommand, assessor: &dyn Assessor) -> bool {
    let After { terms, promises, payout: _, shortened } = after(book, command, assessor);
    let other_policy = terms.summary().policy != book.terms.terms().summary().policy;
    let lets_go = command.step.decided == Decided::IsShortenedToo && promises.len() < in_force(book, command.at).len();
    other_policy || shortened || lets_go
}

fn after(book: &Book, command: &TermsCommand, assessor: &dyn Assessor) -> After {
    let known = &book.terms;
    let terms = command.step.onto(known.terms());
    let before = assessor.payout(&command.program_id, known);
    let now = assessor.payout(&command.program_id, &known.with(terms.clone(), Vec::new()));
    let shortened = now.shortens(&before);
    let promises = match command.step.decided {
        Decided::IsShortenedToo => Vec::new(),
        Decided::KeepsItsDelay => {
            in_force(book, command.at).into_iter().chain(shortened.then(|| before.promised_until(command.at))).collect()
        }
    };
    let payout = PayoutPolicy { promises: promises.clone(), ..now };
    After { terms, promises, payout, shortened }
}

/// The promises that something may still wait for.
fn in_force(book: &Book, at: Timestamp) -> Vec<Promise> {
    book.terms.promises().iter().filter(|promise| at < promise.until.plus(promise.longest_delay())).cloned().collect()
}
