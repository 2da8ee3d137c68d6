//! Plans of one step on several cases, and what such a step would come to.

use std::collections::BTreeSet;

use super::acts::cause_of_accepting;
use super::cases::{Ruling, next_step};
use super::{Plan, models};
use crate::book::Book;
use crate::book::acts::Confirmation;
use crate::book::command::{Acted, Assessor, CaseCommand, CaseStep, CasesCommand, CasesStep, Done};
use crate::book::conversions::ConversionRow;
use crate::book::event::{CaseStepped, CasesStepped, Event, StepMade};
use crate::book::records::CaseSummary;
use crate::book::refusal::{LeftAlone, Refusal};
use crate::book::slab::ConversionNumber;
use crate::book::stake::SeenMark;
use crate::screening::case::{IllegalStep, Resolution, Step};
use crate::screening::decision::Verdict;
use crate::screening::gate::{Asker, Gate, check};
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::ids::{Actor, CaseId, ConversionId, ProgramId, RewardId};
use crate::vocabulary::money::{Money, Totals};
use crate::vocabulary::time::{Span, Timestamp};

/// What a step would make of one of several cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Previewed {
    /// The case.
    pub case_id: CaseId,
    /// Its line as it is; absent when there is none.
    pub summary: Option<CaseSummary>,
    /// What would become of it; why it would be left alone otherwise.
    pub outcome: Result<Foreseen, LeftAlone>,
}

/// What a step on a case would come to.
#[derive(Debug, Clone, PartialEq)]
pub struct Foreseen {
    /// What of the case is seen; the step is made only as long as that is so.
    pub mark: SeenMark,
    /// The verdict after it.
    pub verdict: Verdict,
    /// What the gate would release at once, one amount for each currency.
    pub due: Vec<Money>,
    /// Rewards that were paid already.
    pub paid: Vec<RewardId>,
}

/// Makes one step on several cases.
pub(super) fn act(book: &Book, command: CasesCommand, assessor: &dyn Assessor) -> Plan {
    let due_after = assessor.due_after(&command.program_id, &book.terms);
    let CasesCommand { program_id, act, actor, reason_code, note, cases, confirmation, request, at } = command;
    let made = StepMade { step: CaseStep::Step(act.step()), actor, reason_code, note, at };
    let (mut steps, mut named, mut rulings) = (Vec::new(), Vec::new(), Vec::new());
    let mut met = BTreeSet::new();
    for (case_id, mark) in cases {
        let Some(id) = case_id.conversion_id() else { continue };
        let step = if met.insert(id.clone()) {
            stepped(book, &program_id, &case_id, mark, &made, (due_after, confirmation.as_ref()))
        } else {
            Err(LeftAlone::Changed)
        };
        named.push((id, step.as_ref().err().copied()));
        if let Ok((number, step)) = step {
            rulings.extend(Ruling::of(&step.step).map(|ruling| (number, ruling)));
            steps.push(step);
        }
    }
    if steps.is_empty() {
        let left = named.into_iter().filter_map(|(id, left)| Some(Acted { case_id: CaseId::of(&id), outcome: Err(left?) }));
        return Plan::Answer(Done::Acted(left.collect()));
    }
    let trips = models::tripped_by(book, &rulings, at, |version| assessor.promise(&program_id, version));
    Plan::commit(Event::CasesStepped(Box::new(CasesStepped { act: made, steps, named, trips, request })))
}

fn stepped(
    book: &Book,
    program_id: &ProgramId,
    case_id: &CaseId,
    seen: SeenMark,
    made: &StepMade,
    (due_after, confirmation): (Span, Option<&Confirmation>),
) -> Result<(ConversionNumber, CaseStepped), LeftAlone> {
    let id = case_id.conversion_id().ok_or(LeftAlone::Gone)?;
    let (number, row) = found(book, &id)?;
    let case = book.cases.rows.get(row.case.ok_or(LeftAlone::Gone)?);
    let StepMade { step, actor, reason_code, note, at } = made.clone();
    let command = CaseCommand {
        program_id: program_id.clone(),
        case_id: case_id.clone(),
        step,
        actor,
        reason_code,
        note,
        expected_revision: None,
        request: None,
        at,
    };
    let step = next_step(book, case, row, &command, due_after).map_err(|refusal| left_alone(&refusal))?;
    if book.mark_of_case(case) != seen {
        return Err(LeftAlone::Changed);
    }
    if needs_confirmation(book, row, &made.step, confirmation) {
        return Err(LeftAlone::NeedsConfirmation);
    }
    Ok((number, step))
}

fn found<'a>(book: &'a Book, id: &ConversionId) -> Result<(ConversionNumber, &'a ConversionRow), LeftAlone> {
    book.row(id).filter(|(_, row)| row.cursor >= book.floor).ok_or(LeftAlone::Gone)
}

/// Whether a step on a case is one that a second identity must confirm.
fn needs_confirmation(book: &Book, row: &ConversionRow, step: &CaseStep, confirmation: Option<&Confirmation>) -> bool {
    let accepts = *step == CaseStep::Step(Step::Resolve(Resolution::Accept));
    accepts && confirmation.is_some_and(|confirmation| cause_of_accepting(book, row, confirmation).is_some())
}

const fn left_alone(refusal: &Refusal) -> LeftAlone {
    match refusal {
        Refusal::IllegalStep(IllegalStep::ClaimedByOther { .. }) => LeftAlone::ClaimedByOther,
        Refusal::IllegalStep(IllegalStep::AlreadyResolved { .. }) => LeftAlone::AlreadyResolved,
        Refusal::IllegalStep(IllegalStep::NotResolved) => LeftAlone::NotResolved,
        Refusal::NotFound { .. } | Refusal::Removed { .. } => LeftAlone::Gone,
        Refusal::IllegalStep(IllegalStep::NotClaimed { .. } | IllegalStep::Lease)
        | Refusal::ContentDiffers { .. }
        | Refusal::Invalid(_)
        | Refusal::RevisionDiffers { .. }
        | Refusal::NotPossible(_)
        | Refusal::OwnAct
        | Refusal::PageToken => LeftAlone::Changed,
    }
}

impl Book {
    /// What a step by an actor would make of cases, in the order in which they are named. Nothing is changed.
    pub(crate) fn preview(
        &self,
        act: CasesStep,
        cases: &[CaseId],
        actor: &Actor,
        (policy, confirmation): (&PayoutPolicy, Option<&Confirmation>),
        now: Timestamp,
    ) -> Vec<Previewed> {
        let of = |case_id: &CaseId| {
            let id = case_id.conversion_id();
            let row = id.as_ref().and_then(|id| found(self, id).ok()).map(|(_, row)| row);
            let case = row.and_then(|row| row.case).map(|number| self.cases.rows.get(number));
            let summary = case.map(|case| self.line_of(case, now));
            let outcome = row.zip(case).ok_or(LeftAlone::Gone).and_then(|(row, case)| {
                let step = act.step();
                case.state.after(&step, actor, now).map_err(|illegal| left_alone(&Refusal::IllegalStep(illegal)))?;
                if needs_confirmation(self, row, &CaseStep::Step(step.clone()), confirmation) {
                    return Err(LeftAlone::NeedsConfirmation);
                }
                let verdict = super::cases::verdict_after(&step, row.verdict);
                let (due, paid) = self.money_after(row, verdict, policy, now);
                Ok(Foreseen { mark: self.mark_of_case(case), verdict, due, paid })
            });
            Previewed { case_id: case_id.clone(), summary, outcome }
        };
        cases.iter().map(of).collect()
    }

    /// What the gate would release of a conversion at once if it had this verdict, and what was paid.
    fn money_after(
        &self,
        row: &ConversionRow,
        verdict: Verdict,
        policy: &PayoutPolicy,
        now: Timestamp,
    ) -> (Vec<Money>, Vec<RewardId>) {
        let mut standing = self.standing_of(row);
        standing.verdict = verdict;
        let paid = standing.rewards.iter().filter(|reward| reward.is_paid()).map(|reward| reward.reward_id.clone()).collect();
        let answers =
            standing.rewards.iter().map(|reward| check(Some(&standing), &reward.reward_id, Asker::Anybody, policy, now));
        let due = answers.filter(|answer| answer.gate == Gate::Release).filter_map(|answer| answer.payable).collect::<Totals>();
        (due.amounts(), paid)
    }
}
