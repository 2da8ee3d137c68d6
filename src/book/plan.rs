//! Plans: from a command and the book to the event that it makes, to the place where it was done before, or to a refusal. Nothing is changed.

use std::borrow::Cow;

use super::Book;
use super::MessageKind;
use super::apply::ReadProfiles;
use super::cases::{Case, REASON_CODES_MAX};
use super::command::{
    Assessor, CaseCommand, CaseStep, Change, Command, DecidedBefore, HoldCommand, ListCommand, OutcomeCommand, PaidCommand,
    ScreenCommand, SignalsCommand,
};
use super::conversions::ConversionRow;
use super::event::{
    CaseStepped, Concerned, ConversionScreened, Entitlement, Event, FirstCase, HeldReferral, HoldChanged, ListChanged,
    OpenedCase, OutcomeRecorded, PaidReward, RewardPaid, SignalsRecorded,
};
use super::records::{ContentFingerprint, Cursor, HoldSubject};
use super::refusal::Refusal;
use super::slab::ConversionNumber;
use crate::screening::case::{CaseState, Step};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::history::History;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::ids::{AccountId, ConversionId, RecordId};
use crate::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Span;

/// Paid rewards that one outcome reports, in bytes. A ban must never be refused for what it reports; a referrer with more was audited long ago.
const REPORTED_BYTES_MAX: usize = 512 << 10;
/// Conversions that one outcome on an account concerns. A referee converts a few times, not thousands.
const CONCERNED_MAX: usize = 1_000;
/// Rows of one kind that a book can number, less what one event may bring.
const ROWS_MAX: usize = u32::MAX as usize - (1 << 20);

/// What a command comes to.
#[derive(Debug)]
pub(crate) enum Plan {
    /// This is to be kept and applied; the profiles were read for it.
    Commit(Event, Box<ReadProfiles>),
    /// It was done before, by the record at this place; 0 when there was never anything to do.
    AlreadyDone(Cursor),
}

impl Plan {
    fn commit(event: Event) -> Self {
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
    match command {
        Command::Screen(command) => screen(book, *command, assessor),
        Command::RecordSignals(command) => signals(book, command),
        Command::RecordOutcome(command) => outcome(book, command),
        Command::StepCase(command, decided) => step(book, &command, decided.as_deref(), assessor.due_after(&command.program_id)),
        Command::MarkPaid(command) => paid(book, command),
        Command::ChangeHold(command) => hold(book, command),
        Command::ChangeList(command) => Ok(list(book, command)),
    }
}

impl Book {
    /// Whether there are numbers left for what one event may bring.
    pub(super) const fn has_room(&self) -> bool {
        self.values.rows.len() < ROWS_MAX && self.accounts.rows.len() < ROWS_MAX
    }

    fn row(&self, id: &ConversionId) -> Option<(ConversionNumber, &ConversionRow)> {
        self.conversions.find(id, &self.hasher).map(|number| (number, self.conversions.get(number)))
    }

    fn taken(&self, kind: MessageKind, id: &RecordId, content: ContentFingerprint) -> Result<Option<Plan>, Refusal> {
        let before = self.messages.find(kind, id, &self.hasher);
        before.map(|before| same(before.content, content, before.cursor, id.as_str())).transpose()
    }

    fn sides_of(&self, row: &ConversionRow) -> (AccountId, AccountId) {
        (self.accounts.get(row.referrer).id.clone(), self.accounts.get(row.referee).id.clone())
    }
}

fn same(before: ContentFingerprint, now: ContentFingerprint, cursor: Cursor, id: &str) -> Result<Plan, Refusal> {
    if before == now { Ok(Plan::AlreadyDone(cursor)) } else { Err(Refusal::ContentDiffers { id: id.to_owned() }) }
}

/// Screens a conversion, or finds that it was screened.
fn screen(book: &Book, command: ScreenCommand, assessor: &dyn Assessor) -> Result<Plan, Refusal> {
    let ScreenCommand { conversion, content, received_at } = command;
    if let Some((_, row)) = book.row(&conversion.conversion_id) {
        return same(row.content, content, row.cursor, conversion.conversion_id.as_str());
    }
    let history = book.history(&conversion);
    let decision = assessor.assess(&conversion, &history, received_at);
    let case = opened_case(&conversion, &history, &decision, assessor);
    let known = Box::new(ReadProfiles { referrer: history.referrer.profile, referee: history.referee.profile });
    let screened = ConversionScreened { conversion, content, decision, received_at, case };
    Ok(Plan::Commit(Event::ConversionScreened(Box::new(screened)), known))
}

fn opened_case(conversion: &Conversion, history: &History, decision: &Decision, assessor: &dyn Assessor) -> Option<OpenedCase> {
    if decision.verdict != Verdict::InReview {
        return None;
    }
    let (referrer, referee) = history.sides(conversion);
    let beyond_message = |side: Cow<'_, SignalBundle>, sent: &SignalBundle| match side {
        Cow::Borrowed(_) => None,
        Cow::Owned(side) => (side != *sent).then_some(side),
    };
    Some(OpenedCase {
        due_at: decision.decided_at.plus(assessor.due_after(&conversion.program_id)),
        referrer: beyond_message(referrer, &conversion.referrer),
        referee: beyond_message(referee, &conversion.referee),
    })
}

/// Takes signals, or finds that they were taken.
fn signals(book: &Book, command: SignalsCommand) -> Result<Plan, Refusal> {
    let SignalsCommand { program_id: _, record_id, content, bundles, received_at } = command;
    if let Some(plan) = book.taken(MessageKind::Signals, &record_id, content)? {
        return Ok(plan);
    }
    Ok(Plan::commit(Event::SignalsRecorded(SignalsRecorded { record_id, content, bundles, received_at })))
}

/// Takes an outcome, or finds that it was taken.
fn outcome(book: &Book, command: OutcomeCommand) -> Result<Plan, Refusal> {
    let OutcomeCommand { outcome, content, received_at } = command;
    if let Some(plan) = book.taken(MessageKind::Outcome, &outcome.outcome_id, content)? {
        return Ok(plan);
    }
    let mut concerned: Vec<Concerned> = book.concerned_by(&outcome.subject)?.iter().map(|row| book.concerned(row)).collect();
    let mut room = ReportRoom(REPORTED_BYTES_MAX);
    for one in &mut concerned {
        one.paid.retain(|reward| room.takes(&[reward.as_str()]));
    }
    let paid_elsewhere = match (&outcome.subject, outcome.kind) {
        (OutcomeSubject::Account(account), OutcomeKind::AccountBanned) => book.paid_elsewhere(account, &concerned, room),
        (OutcomeSubject::Account(_) | OutcomeSubject::Conversion(_) | OutcomeSubject::Invoice { .. }, _) => Vec::new(),
    };
    let recorded = OutcomeRecorded { outcome, content, received_at, concerned, paid_elsewhere };
    Ok(Plan::commit(Event::OutcomeRecorded(Box::new(recorded))))
}

/// What a record may still report, in bytes.
struct ReportRoom(usize);

impl ReportRoom {
    /// Whether something with these ids fits; if so, its room is taken.
    fn takes(&mut self, ids: &[&str]) -> bool {
        const BESIDE_EACH_ID: usize = 5;
        let needed: usize = ids.iter().map(|id| id.len() + BESIDE_EACH_ID).sum();
        let left = self.0.checked_sub(needed);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

impl Book {
    fn concerned_by(&self, subject: &OutcomeSubject) -> Result<Vec<&ConversionRow>, Refusal> {
        match subject {
            OutcomeSubject::Conversion(id) => {
                let missing = || Refusal::NotFound { what: "conversion", id: id.to_string() };
                self.row(id).map(|(_, row)| vec![row]).ok_or_else(missing)
            }
            OutcomeSubject::Invoice { referee, invoice_id } => {
                let missing = || Refusal::NotFound { what: "invoice", id: invoice_id.to_string() };
                let number = self.accounts.find(referee, &self.hasher).ok_or_else(missing)?;
                let first = self.conversions.with_invoice(number, invoice_id, &self.hasher).ok_or_else(missing)?;
                Ok(vec![self.conversions.get(first)])
            }
            OutcomeSubject::Account(id) => {
                let mut rows: Vec<&ConversionRow> = self.conversions_of(id, Side::Referee).collect();
                rows.reverse();
                rows.truncate(CONCERNED_MAX);
                Ok(rows)
            }
        }
    }

    fn concerned(&self, row: &ConversionRow) -> Concerned {
        let (referrer, referee) = self.sides_of(row);
        let paid = self.conversions.paid_unreported(row);
        Concerned { conversion_id: row.id.clone(), referrer, referee, verdict: row.verdict, paid }
    }

    /// Rewards paid for referrals of an account that is being banned, beside those of the conversions already listed.
    fn paid_elsewhere(&self, account: &AccountId, listed: &[Concerned], mut room: ReportRoom) -> Vec<PaidReward> {
        let mut rows: Vec<&ConversionRow> = self
            .conversions_of(account, Side::Referrer)
            .chain(self.conversions_of(account, Side::Referee))
            .filter(|row| !row.later().payments.is_empty())
            .collect();
        rows.sort_by_key(|row| row.cursor);
        rows.dedup_by_key(|row| row.cursor);
        let mut paid = Vec::new();
        for row in rows {
            if listed.iter().any(|one| one.conversion_id == row.id) {
                continue;
            }
            let Concerned { conversion_id, referrer, referee, verdict, paid: rewards } = self.concerned(row);
            for reward_id in rewards {
                if !room.takes(&[conversion_id.as_str(), referrer.as_str(), referee.as_str(), reward_id.as_str()]) {
                    return paid;
                }
                let (conversion_id, referrer, referee) = (conversion_id.clone(), referrer.clone(), referee.clone());
                paid.push(PaidReward { conversion_id, referrer, referee, verdict, reward_id });
            }
        }
        paid
    }
}

/// Steps a case.
fn step(book: &Book, command: &CaseCommand, decided: Option<&DecidedBefore>, due_after: Span) -> Result<Plan, Refusal> {
    let missing = || Refusal::NotFound { what: "case", id: command.case_id.to_string() };
    let conversion_id = command.case_id.conversion_id().ok_or_else(missing)?;
    let (_, row) = book.row(&conversion_id).ok_or_else(missing)?;
    let case = row.case.map(|number| book.cases.rows.get(number));
    let revision = case.map_or(0, |case| case.revision);
    if let Some(expected) = command.expected_revision.filter(|expected| *expected != revision) {
        return Err(Refusal::RevisionDiffers { expected, actual: revision });
    }
    let reopens = command.step == CaseStep::Step(Step::Reopen);
    if reopens && row.cursor < book.floor {
        return Err(Refusal::NotPossible("the decision was removed by retention; its case cannot be reopened".to_owned()));
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
        paid: if newly_rejected { book.conversions.paid_unreported(row) } else { Vec::new() },
        first_case: None,
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
    }
}

/// Records a payment. Money that left is recorded whatever the gate would have said; the feed then tells that it left in error.
fn paid(book: &Book, command: PaidCommand) -> Result<Plan, Refusal> {
    let PaidCommand { program_id: _, conversion_id, reward_id, paid_at, amount, received_at } = command;
    let Some((number, row)) = book.row(&conversion_id) else {
        return Err(Refusal::NotFound { what: "conversion", id: conversion_id.to_string() });
    };
    if let Some(paid) = book.conversions.payment_of(&reward_id, &book.hasher) {
        // An amount that is left out says nothing, and a second try may have another idea of the time.
        let other_amount = paid.amount.zip(amount).is_some_and(|(before, now)| before != now);
        return if paid.conversion == number && !other_amount {
            Ok(Plan::AlreadyDone(paid.cursor))
        } else {
            Err(Refusal::ContentDiffers { id: reward_id.to_string() })
        };
    }
    if !row.rewards.is_empty() && !row.rewards.contains(&reward_id) {
        return Err(Refusal::NotFound { what: "reward", id: reward_id.to_string() });
    }
    let standing = book.standing_of(row);
    let lost = standing.verdict == Verdict::Rejected || standing.cancelled_at.is_some() || standing.duplicate_of.is_some();
    let (referrer, referee) = book.sides_of(row);
    let paid = RewardPaid {
        referrer,
        referee,
        conversion_id,
        reward_id,
        paid_at,
        amount,
        received_at,
        verdict: row.verdict,
        entitlement: if lost { Entitlement::Lost } else { Entitlement::Standing },
    };
    Ok(Plan::commit(Event::RewardPaid(Box::new(paid))))
}

/// Places or lifts a hold. What retention removes cannot be held any more.
fn hold(book: &Book, command: HoldCommand) -> Result<Plan, Refusal> {
    let HoldCommand { program_id: _, subject, change, actor, note, at } = command;
    let (last, referral) = match &subject {
        HoldSubject::Conversion(id) => {
            let missing = || Refusal::NotFound { what: "conversion", id: id.to_string() };
            let (_, row) = book.row(id).filter(|(_, row)| row.cursor >= book.floor).ok_or_else(missing)?;
            let (referrer, referee) = book.sides_of(row);
            (row.later().hold, Some(HeldReferral { referrer, referee, verdict: row.verdict }))
        }
        HoldSubject::Referrer(id) => {
            (book.accounts.known(id, &book.hasher).and_then(|(_, account)| account.referring().hold), None)
        }
    };
    if last.is_some_and(|hold| hold.in_force) == (change == Change::Place) {
        return Ok(Plan::AlreadyDone(last.map_or(Cursor(0), |hold| hold.cursor)));
    }
    Ok(Plan::commit(Event::HoldChanged(HoldChanged { subject, change, actor, note, at, referral })))
}

/// Writes or removes a list entry.
fn list(book: &Book, command: ListCommand) -> Plan {
    let ListCommand { program_id: _, entry, change } = command;
    let listed = book.lists.get(&(entry.list, entry.subject.clone()));
    let says_the_same = |known: &super::records::ListEntry| {
        (&known.actor, &known.note, known.expires_at) == (&entry.actor, &entry.note, entry.expires_at)
    };
    match (listed, change) {
        (Some((known, cursor)), Change::Place) if says_the_same(known) => Plan::AlreadyDone(*cursor),
        (None, Change::Lift) => Plan::AlreadyDone(Cursor(0)),
        (Some(_) | None, Change::Place) | (Some(_), Change::Lift) => {
            Plan::commit(Event::ListChanged(ListChanged { entry, change }))
        }
    }
}
