//! Plans of steps on cases.

use super::Plan;
use crate::book::Book;
use crate::book::cases::{Case, REASON_CODES_MAX};
use crate::book::command::{CaseCommand, CaseStep, DecidedBefore};
use crate::book::conversions::ConversionRow;
use crate::book::event::{CaseStepped, Event, FirstCase};
use crate::book::refusal::Refusal;
use crate::screening::case::{CaseState, Step};
use crate::screening::decision::Verdict;
use crate::vocabulary::time::Span;

/// Steps a case.
pub(super) fn step(
    book: &Book,
    command: &CaseCommand,
    decided: Option<&DecidedBefore>,
    due_after: Span,
) -> Result<Plan, Refusal> {
    let missing = || Refusal::NotFound { what: "case", id: command.case_id.to_string() };
    let conversion_id = command.case_id.conversion_id().ok_or_else(missing)?;
    let (_, row) = book.row(&conversion_id).ok_or_else(missing)?;
    let case = row.case.map(|number| book.cases.rows.get(number));
    let revision = case.map_or(0, |case| case.revision);
    if let Some(expected) = command.expected_revision.filter(|expected| *expected != revision) {
        return Err(Refusal::RevisionDiffers { expected, actual: revision });
    }
    let reopens = command.step == CaseStep::Step(Step::Reopen);
    if row.cursor < book.floor {
        return Err(Refusal::Removed { what: "case", id: command.case_id.to_string() });
    }
    let event = match (case, decided) {
        (Some(case), _) => next_step(book, case, row, command, due_after)?,
        (None, Some(decided)) if reopens => first_case(book, row, decided, command, due_after),
        (None, _) => return Err(missing()),
    };
    Ok(Plan::commit(Event::CaseStepped(Box::new(event))))
}

fn next_step(
    book: &Book,
    case: &Case,
    row: &ConversionRow,
    command: &CaseCommand,
    due_after: Span,
) -> Result<CaseStepped, Refusal> {
    let previous_state = case.state.at(command.at);
    let (state, verdict, revision) = match &command.step {
        CaseStep::Note => (case.state.clone(), row.verdict, case.revision),
        CaseStep::Step(step) => {
            let state = case.state.after(step, &command.actor, command.at)?;
            (state, verdict_after(step, row.verdict), case.revision + 1)
        }
    };
    let reopened = command.step == CaseStep::Step(Step::Reopen);
    let newly_rejected = verdict == Verdict::Rejected && row.verdict != Verdict::Rejected;
    Ok(CaseStepped {
        conversion_id: case.conversion_id.clone(),
        referrer: case.referrer.clone(),
        referee: case.referee.clone(),
        step: command.step.clone(),
        actor: command.actor.clone(),
        reason_code: command.reason_code.clone(),
        note: command.note.clone(),
        at: command.at,
        previous_state: Some(previous_state),
        state,
        previous_verdict: row.verdict,
        verdict,
        revision,
        opened_at: if reopened { command.at } else { case.opened_at },
        due_at: if reopened { command.at.plus(due_after) } else { case.due_at },
        reason_codes: case.reason_codes.clone(),
        paid: if newly_rejected { book.rewards.paid_unreported(&row.rewards) } else { Vec::new() },
        first_case: None,
        request: command.request.clone(),
    })
}

const fn verdict_after(step: &Step, before: Verdict) -> Verdict {
    match step {
        Step::Resolve(resolution) => resolution.verdict(),
        Step::Reopen => Verdict::InReview,
        Step::Claim { .. } | Step::Release => before,
    }
}

fn first_case(book: &Book, row: &ConversionRow, decided: &DecidedBefore, command: &CaseCommand, due_after: Span) -> CaseStepped {
    let DecidedBefore { score, value, reason_codes, headline } = decided;
    let (referrer, referee) = book.sides_of(row);
    CaseStepped {
        conversion_id: row.id.clone(),
        referrer,
        referee,
        step: command.step.clone(),
        actor: command.actor.clone(),
        reason_code: command.reason_code.clone(),
        note: command.note.clone(),
        at: command.at,
        previous_state: None,
        state: CaseState::Open,
        previous_verdict: row.verdict,
        verdict: Verdict::InReview,
        revision: 1,
        opened_at: command.at,
        due_at: command.at.plus(due_after),
        reason_codes: reason_codes.iter().copied().take(REASON_CODES_MAX).collect(),
        paid: Vec::new(),
        first_case: Some(FirstCase { score: *score, value: *value, headline: headline.clone() }),
        request: command.request.clone(),
    }
}
