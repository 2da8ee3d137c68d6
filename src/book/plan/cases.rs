//! Plans of steps on cases.

use super::{Plan, models};
use crate::book::Book;
use crate::book::cases::{Case, REASON_CODES_MAX};
use crate::book::command::{Assessor, CaseCommand, CaseStep, DecidedBefore};
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
    assessor: &dyn Assessor,
) -> Result<Plan, Refusal> {
    let due_after = assessor.due_after(&command.program_id, &book.terms);
    let missing = || Refusal::NotFound { what: "case", id: command.case_id.to_string() };
    let conversion_id = command.case_id.conversion_id().ok_or_else(missing)?;
    let (number, row) = book.row(&conversion_id).ok_or_else(missing)?;
    let case = row.case.map(|number| book.cases.rows.get(number));
    let revision = case.map_or(0, |case| case.revision);
    if let Some(expected) = command.expected_revision.filter(|expected| *expected != revision) {
        return Err(Refusal::RevisionDiffers { expected, actual: revision });
    }
    let reopens = command.step == CaseStep::Step(Step::Reopen);
    if row.cursor < book.floor {
        return Err(Refusal::Removed { what: "case", id: command.case_id.to_string() });
    }
    let mut event = match (case, decided) {
        (Some(case), _) => next_step(book, case, row, command, due_after)?,
        (None, Some(decided)) if reopens => first_case(book, row, decided, command, due_after),
        (None, _) => return Err(missing()),
    };
    if let Some(ruling) = Ruling::of(&event.step) {
        event.trips =
            models::tripped_by(book, &[(number, ruling)], command.at, |version| assessor.promise(&command.program_id, version));
    }
    Ok(Plan::commit(Event::CaseStepped(Box::new(event))))
}

pub(super) fn next_step(
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
        trips: None,
        request: command.request.clone(),
    })
}

/// What a reviewer made of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::book) enum Ruling {
    /// This.
    Given(Verdict),
    /// What was said before does not hold any more.
    TakenBack,
}

impl Ruling {
    /// What a step rules; `None` when it leaves that alone.
    pub(in crate::book) const fn of(step: &CaseStep) -> Option<Self> {
        match step {
            CaseStep::Step(Step::Resolve(resolution)) => Some(Self::Given(resolution.verdict())),
            CaseStep::Step(Step::Reopen) => Some(Self::TakenBack),
            CaseStep::Step(Step::Claim { .. } | Step::Release) | CaseStep::Note => None,
        }
    }

    /// The verdict that holds; absent when none does.
    pub(in crate::book) const fn verdict(self) -> Option<Verdict> {
        match self {
            Self::Given(verdict) => Some(verdict),
            Self::TakenBack => None,
        }
    }
}

pub(super) const fn verdict_after(step: &Step, before: Verdict) -> Verdict {
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
        trips: None,
        request: command.request.clone(),
    }
}
