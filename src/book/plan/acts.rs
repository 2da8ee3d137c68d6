//! Plans of acts that a second identity confirms. Whoever proposes one cannot confirm it; what it does is decided when it is confirmed, from the book as
//! it is then, and stands in the same record.

use super::terms::weighs;
use super::{Plan, plan_one};
use crate::book::Book;
use crate::book::acts::{Act, Cause, Confirmation, PendingAct, WAITING_MAX};
use crate::book::command::{Assessor, CaseStep, Change, Command, HoldStep, ProposeCommand, SettleCommand, Settlement};
use crate::book::conversions::ConversionRow;
use crate::book::event::{ActConfirmed, ActDropped, ActProposed, Event};
use crate::book::outcomes::OutcomeState;
use crate::book::records::HoldSubject;
use crate::book::refusal::Refusal;
use crate::screening::case::{Resolution, Step};
use crate::screening::history::ListKind;
use crate::vocabulary::ids::{ActId, ConversionId};
use crate::vocabulary::outcome::OutcomeKind;

/// Does what the programme asks no second identity for, and keeps for confirmation what it does.
pub(super) fn propose(book: &Book, proposed: ProposeCommand, assessor: &dyn Assessor) -> Result<Plan, Refusal> {
    let ProposeCommand { command, proposer, confirmation } = proposed;
    let asked = cause(book, &command, &confirmation, assessor).zip(Act::of(&command));
    let Some((cause, (act, note))) = asked else { return plan_one(book, *command, assessor) };
    let (request, at) = (command.request().cloned(), command.at());
    // What would be refused, or was done, is told at once.
    match plan_one(book, *command, assessor)? {
        Plan::Commit(..) => {}
        done @ (Plan::AlreadyDone(_) | Plan::Answer(_)) => return Ok(done),
    }
    let same = book.acts.at(at).find(|(_, pending)| pending.act == act && pending.proposer == proposer);
    if let Some((cursor, _)) = same {
        return Ok(Plan::AlreadyDone(cursor));
    }
    if book.acts.at(at).count() >= WAITING_MAX {
        return Err(Refusal::NotPossible(format!(
            "{WAITING_MAX} acts wait for a second identity already; confirm or refuse some"
        )));
    }
    let id = ActId::at(book.cursor.0 + 1);
    let expires_at = at.plus(confirmation.lifetime);
    let pending = PendingAct { id, act, cause, proposer, note, proposed_at: at, expires_at };
    Ok(Plan::commit(Event::ActProposed(Box::new(ActProposed { pending, request }))))
}

/// Confirms an act that waits, refuses it or takes it back.
pub(super) fn settle(book: &Book, command: SettleCommand, assessor: &dyn Assessor) -> Result<Plan, Refusal> {
    let SettleCommand { program_id, act_id, settlement, actor, note, request, prepared: _, at } = command;
    let missing = || Refusal::NotFound { what: "pending act", id: act_id.to_string() };
    let pending = book.pending_act(&act_id, at).ok_or_else(missing)?;
    let own = pending.proposer == actor;
    match settlement {
        Settlement::Confirm if own => Err(Refusal::OwnAct),
        Settlement::Refuse if own => Err(Refusal::NotPossible("it is your own proposal: withdraw it".to_owned())),
        Settlement::Withdraw if !own => {
            Err(Refusal::NotPossible(format!("only `{}`, who proposed it, can withdraw it: refuse it", pending.proposer)))
        }
        how @ (Settlement::Refuse | Settlement::Withdraw) => {
            Ok(Plan::commit(Event::ActDropped(ActDropped { act_id, how, actor, note, request, at })))
        }
        Settlement::Confirm => match plan_one(book, pending.command(program_id, at), assessor)? {
            Plan::Commit(done, known) => {
                let confirmed = ActConfirmed { act_id, actor, note, request, at, done: Box::new(done) };
                Ok(Plan::Commit(Event::ActConfirmed(Box::new(confirmed)), known))
            }
            Plan::AlreadyDone(_) | Plan::Answer(_) => {
                Err(Refusal::NotPossible("what it would do is so already: refuse it, or let its proposer withdraw it".to_owned()))
            }
        },
    }
}

/// Why a command needs a second identity; `None` when it needs none.
fn cause(book: &Book, command: &Command, confirmation: &Confirmation, assessor: &dyn Assessor) -> Option<Cause> {
    let Confirmation { above, unbans, models, terms, lifetime: _ } = confirmation;
    let unban = |is: bool| (is && *unbans).then_some(Cause::Unban);
    let amount = |is: bool| (is && !above.is_empty()).then_some(Cause::Amount);
    match command {
        Command::StepCase(step, _) if step.step == CaseStep::Step(Step::Resolve(Resolution::Accept)) => {
            let (_, row) = book.row(&step.case_id.conversion_id()?)?;
            cause_of_accepting(book, row, confirmation)
        }
        Command::ChangeHold(command) => match held(book, &command.step)? {
            HoldSubject::Conversion(id) => amount(is_above(book, conversion(book, &id)?, confirmation)),
            // All of his referrals at once.
            HoldSubject::Referrer(_) => amount(true),
        },
        Command::ChangeList(command) if command.entry.list == ListKind::Blocked => {
            let (entry, _) = book.list_entry(ListKind::Blocked, &command.entry.subject)?;
            unban(match command.change {
                Change::Lift => true,
                Change::Place => match (entry.expires_at, command.entry.expires_at) {
                    (None, Some(_)) => true,
                    (Some(before), Some(now)) => now < before,
                    (None | Some(_), None) => false,
                },
            })
        }
        Command::RecordOutcome(command) => unban(command.outcome.kind == OutcomeKind::AccountUnbanned),
        Command::RevokeOutcome(command) => {
            let row = book.outcomes.get(book.outcomes.find(&command.outcome_id, &book.hasher)?);
            unban(row.kind == OutcomeKind::AccountBanned && row.state == OutcomeState::InForce)
        }
        Command::ChangeModels(_) => models.then_some(Cause::Model),
        Command::ChangeTerms(command) => (*terms && weighs(book, command, assessor)).then_some(Cause::Terms),
        Command::StepCase(..)
        | Command::ChangeList(_)
        | Command::Screen(_)
        | Command::RecordSignals(_)
        | Command::ExpirePending(..)
        | Command::Recheck(_)
        | Command::Reserve(_)
        | Command::ChangeReservation(_)
        | Command::MarkPaid(_)
        | Command::MarkFailed(_)
        | Command::ChangeRewards(_)
        | Command::Rekey(_)
        | Command::ChangeDirectory(_)
        | Command::StepCases(_)
        | Command::Propose(_)
        | Command::SettleAct(_)
        | Command::TakeSourceEvent(_)
        | Command::KeepLooks(_)
        | Command::Erase(_)
        | Command::ErasuresDone(_)
        | Command::By(..) => None,
    }
}

/// Why accepting a case needs a second identity; `None` when it needs none.
pub(super) fn cause_of_accepting(book: &Book, row: &ConversionRow, confirmation: &Confirmation) -> Option<Cause> {
    let banned = [row.referrer, row.referee].into_iter().any(|side| book.accounts.get(side).referring().banned_at.is_some());
    if banned && confirmation.unbans {
        return Some(Cause::Unban);
    }
    (!confirmation.above.is_empty() && is_above(book, row, confirmation)).then_some(Cause::Amount)
}

/// What the hold is on that a step lifts.
fn held(book: &Book, step: &HoldStep) -> Option<HoldSubject> {
    match step {
        HoldStep::Place { .. } => None,
        HoldStep::Lift(id) => book.holds.get(id).map(|(hold, _)| hold.subject.clone()),
        HoldStep::LiftOwn(subject) => Some(subject.clone()),
    }
}

fn conversion<'b>(book: &'b Book, id: &ConversionId) -> Option<&'b ConversionRow> {
    book.row(id).map(|(_, row)| row)
}

/// Whether what is unpaid of a conversion is more than one identity may let go.
fn is_above(book: &Book, row: &ConversionRow, Confirmation { above, .. }: &Confirmation) -> bool {
    let mut sums = above.keys().map(|currency| (*currency, 0_i64)).collect::<std::collections::BTreeMap<_, _>>();
    for number in &row.rewards {
        let reward = book.rewards.get(*number);
        if reward.payment().is_some() {
            continue;
        }
        match reward.amount.and_then(|amount| Some((sums.get_mut(&amount.currency())?, amount.amount_minor()))) {
            Some((sum, minor)) => *sum = sum.saturating_add(minor),
            // Nobody said how much it is, or what is much in its currency.
            None => return true,
        }
    }
    sums.iter().any(|(currency, sum)| above.get(currency).is_some_and(|most| sum > most))
}
