//! Plans: from a command and the book to the event that it makes, to the place where it was done before, or to a refusal. Nothing is changed.

mod acts;
mod cases;
mod directory;
mod holds;
mod intake;
mod models;
mod outcomes;
mod payouts;
mod recheck;
mod rekeying;
mod terms;
mod together;

use std::borrow::Cow;

pub(super) use self::cases::Ruling;
pub(super) use self::recheck::decided_then;
pub use self::together::{Foreseen, Previewed};

use super::Book;
use super::MessageKind;
use super::apply::ReadProfiles;
use super::command::{Assessor, Change, Command, Done, ListCommand, ScreenCommand, SignalsCommand};
use super::conversions::ConversionRow;
use super::erasures;
use super::event::{ConversionScreened, Event, ListChanged, OpenedCase, SignalsRecorded};
use super::looks::{Looked, LooksCommand};
use super::records::{ContentFingerprint, Cursor};
use super::refusal::{Misfit, Refusal};
use super::slab::ConversionNumber;
use crate::screening::decision::{Decision, Verdict};
use crate::screening::history::History;
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::{AccountId, ConversionId};
use crate::vocabulary::time::Span;

/// Rows of one kind that a book can number, less what one event may bring.
const ROWS_MAX: usize = u32::MAX as usize - (1 << 20);

/// What a command comes to.
#[derive(Debug)]
pub(crate) enum Plan {
    /// This is to be kept and applied; the profiles were read for it.
    Commit(Event, Box<ReadProfiles>),
    /// It was done before, by the record at this place; 0 when there was never anything to do.
    AlreadyDone(Cursor),
    /// This is the answer, and nothing is to be kept of it.
    Answer(Done),
}

impl Plan {
    pub(super) fn commit(event: Event) -> Self {
        Self::Commit(event, Box::default())
    }
}

/// What a command comes to in this book.
///
/// # Errors
/// [`Refusal`]: nothing is to be done, and the caller is told why.
pub(crate) fn plan(book: &Book, command: Command, assessor: &dyn Assessor) -> Result<Plan, Refusal> {
    if !book.has_room() {
        return Err(Refusal::NotPossible("the programme holds as many things as can be numbered; begin another".to_owned()));
    }
    if let Some(request) = command.request()
        && let Some(done) = book.taken(MessageKind::Request, request.id.as_str(), request.content)?
    {
        return Ok(done);
    }
    plan_one(book, command.not_before(book.latest), assessor)
}

/// What a command comes to that was not done before under the id of its call.
fn plan_one(book: &Book, command: Command, assessor: &dyn Assessor) -> Result<Plan, Refusal> {
    let command = book.under_newest_names(command);
    let program = command.program().clone();
    let payout = || assessor.payout(&program, &book.terms);
    match command {
        Command::Screen(command) => screen(book, *command, assessor),
        Command::RecordSignals(command) => signals(book, command),
        Command::RecordOutcome(command) => outcomes::record(book, command, &payout()),
        Command::RevokeOutcome(command) => outcomes::revoke(book, command, &payout()),
        Command::ExpirePending(_, received_before, at) => Ok(outcomes::expire(book, received_before, at)),
        Command::StepCase(command, decided) => cases::step(book, &command, decided.as_deref(), assessor),
        Command::StepCases(command) => Ok(together::act(book, *command, assessor)),
        Command::Recheck(command) => Ok(recheck::recheck(book, command, assessor)),
        Command::Reserve(command) => payouts::reserve(book, command, assessor),
        Command::ChangeReservation(command) => payouts::change_reservation(book, command, &payout()),
        Command::MarkPaid(command) => payouts::paid(book, command, &payout()),
        Command::MarkFailed(command) => payouts::failed(book, command),
        Command::ChangeRewards(command) => payouts::rewards(book, command),
        Command::ChangeHold(command) => holds::step(book, command),
        Command::ChangeList(command) => Ok(list(book, command)),
        Command::ChangeModels(command) => models::change(book, command),
        Command::ChangeTerms(command) => terms::change(book, *command, assessor),
        Command::Rekey(command) => rekeying::rekey(book, command),
        Command::ChangeDirectory(command) => directory::change(book, *command),
        Command::KeepLooks(LooksCommand { program_id: _, actor, looks, at }) => {
            Ok(Plan::commit(Event::Looked(Box::new(Looked { actor, looks, at }))))
        }
        Command::Erase(command) => erasures::erase(book, command),
        Command::ErasuresDone(command) => Ok(Plan::commit(Event::ErasureFinished(Box::new(command.done)))),
        Command::By(_, command) => plan_one(book, *command, assessor),
        Command::Propose(command) => acts::propose(book, *command, assessor),
        Command::SettleAct(command) => acts::settle(book, command, assessor),
        Command::TakeSourceEvent(command) => intake::take(book, *command),
    }
}

/// The next piece of what an outcome does to an account with many conversions; `None` when nothing is left.
pub(crate) fn next_piece(book: &Book, policy: impl FnOnce() -> PayoutPolicy) -> Option<Event> {
    outcomes::next_piece(book, policy)
}

impl Book {
    /// Whether there are numbers left for what one event may bring.
    pub(super) const fn has_room(&self) -> bool {
        self.values.rows.len() < ROWS_MAX && self.accounts.rows.len() < ROWS_MAX
    }

    pub(super) fn row(&self, id: &ConversionId) -> Option<(ConversionNumber, &ConversionRow)> {
        self.conversions.find(id, &self.hasher).map(|number| (number, self.conversions.get(number)))
    }

    /// A conversion whose record is kept.
    pub(super) fn kept_row(&self, id: &ConversionId) -> Result<(ConversionNumber, &ConversionRow), Refusal> {
        let (what, named) = ("conversion", id.to_string());
        match self.row(id) {
            Some((_, row)) if row.cursor < self.floor => Err(Refusal::Removed { what, id: named }),
            Some(found) => Ok(found),
            None => Err(Refusal::NotFound { what, id: named }),
        }
    }

    fn taken(&self, kind: MessageKind, id: &str, content: ContentFingerprint) -> Result<Option<Plan>, Refusal> {
        let before = self.messages.find(kind, id, &self.hasher);
        before.map(|before| same(before.content, content, before.cursor, (kind.field(), id))).transpose()
    }

    pub(super) fn sides_of(&self, row: &ConversionRow) -> (AccountId, AccountId) {
        (self.accounts.get(row.referrer).id.clone(), self.accounts.get(row.referee).id.clone())
    }
}

fn same(
    before: ContentFingerprint,
    now: ContentFingerprint,
    cursor: Cursor,
    (field, id): (&'static str, &str),
) -> Result<Plan, Refusal> {
    if before == now { Ok(Plan::AlreadyDone(cursor)) } else { Err(Refusal::ContentDiffers { field, id: id.to_owned() }) }
}

/// Screens a conversion, or finds that it was screened.
fn screen(book: &Book, command: ScreenCommand, assessor: &dyn Assessor) -> Result<Plan, Refusal> {
    let ScreenCommand { conversion, content, received_at } = command;
    if let Some((_, row)) = book.row(&conversion.conversion_id) {
        return same(row.content, content, row.cursor, ("conversion.conversion_id", conversion.conversion_id.as_str()));
    }
    let misfits: Vec<Misfit> = conversion
        .rewards
        .iter()
        .enumerate()
        .filter_map(|(index, reward)| {
            let known = book.rewards.known(&reward.reward_id, &book.hasher)?;
            let of = &book.conversions.get(known.conversion).id;
            let problem = format!("was used before, for conversion `{of}`; a reward id names one reward for ever");
            Some(Misfit::at(format!("rewards[{index}].reward_id"), problem))
        })
        .collect();
    if !misfits.is_empty() {
        return Err(Refusal::Invalid(misfits));
    }
    let history = book.history(&conversion);
    let decision = assessor.assess(&conversion, &history, book.own(), received_at);
    let due_after = assessor.due_after(&conversion.program_id, &book.terms);
    let case = opened_case(&conversion, &history, &decision, due_after);
    let known = Box::new(ReadProfiles { referrer: history.referrer.profile, referee: history.referee.profile });
    let policy = assessor.payout(&conversion.program_id, &book.terms);
    let came_before = outcomes::awaiting(book, &conversion, &policy);
    let repeated =
        decision.duplicate_of.as_ref().and_then(|first| outcomes::awaiting_of_repeat(book, &conversion, first, &policy));
    let screened = ConversionScreened { conversion, content, decision, received_at, case, came_before, repeated };
    Ok(Plan::Commit(Event::ConversionScreened(Box::new(screened)), known))
}

fn opened_case(conversion: &Conversion, history: &History, decision: &Decision, due_after: Span) -> Option<OpenedCase> {
    if decision.verdict != Verdict::InReview {
        return None;
    }
    let (referrer, referee) = history.sides(conversion);
    let beyond_message = |side: Cow<'_, SignalBundle>, sent: &SignalBundle| match side {
        Cow::Borrowed(_) => None,
        Cow::Owned(side) => (side != *sent).then_some(side),
    };
    Some(OpenedCase {
        due_at: decision.decided_at.plus(due_after),
        referrer: beyond_message(referrer, &conversion.referrer),
        referee: beyond_message(referee, &conversion.referee),
    })
}

/// Takes signals, or finds that they were taken.
fn signals(book: &Book, command: SignalsCommand) -> Result<Plan, Refusal> {
    let SignalsCommand { program_id: _, record_id, content, bundles, received_at } = command;
    if let Some(plan) = book.taken(MessageKind::Signals, record_id.as_str(), content)? {
        return Ok(plan);
    }
    Ok(Plan::commit(Event::SignalsRecorded(SignalsRecorded { record_id, content, bundles, received_at })))
}

/// Writes or removes a list entry.
fn list(book: &Book, command: ListCommand) -> Plan {
    let ListCommand { program_id: _, entry, change, request } = command;
    let listed = book.lists.get(&(entry.list, entry.subject.clone()));
    let says_the_same = |known: &super::records::ListEntry| {
        (&known.actor, &known.note, known.expires_at) == (&entry.actor, &entry.note, entry.expires_at)
    };
    match (listed, change) {
        (Some((known, cursor)), Change::Place) if says_the_same(known) => Plan::AlreadyDone(*cursor),
        (None, Change::Lift) => Plan::AlreadyDone(Cursor(0)),
        (Some(_) | None, Change::Place) | (Some(_), Change::Lift) => {
            Plan::commit(Event::ListChanged(ListChanged { entry, change, request }))
        }
    }
}
