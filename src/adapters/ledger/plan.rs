//! Plans: from a command and the tables to the event that it makes, or to the answer that it had before. Nothing is written here.
//! Called by the ledgers inside their serial order.

use std::borrow::Cow;

use super::event::{
    CaseStepped, Concerned, ConversionScreened, Entitlement, Event, FirstCase, HeldReferral, HoldChanged, ListChanged,
    OpenedCase, OutcomeRecorded, PaidReward, RewardPaid, SignalsRecorded,
};
use super::fold::{ConversionList, LIST_PART_ENTRIES, ReadProfiles, listed_key};
use super::history::{self, Known, account_of, known_account};
use super::rows::Row;
use super::rows::case_line::{CaseLine, REASON_CODES_MAX};
use super::rows::conversion::{ConversionRow, InvoiceRow, PaidRow, Taken};
use super::rows::lists::Listed;
use super::standing;
use super::tables::{Key, Keys, Tables};
use crate::book::command::{
    Assessor, CaseCommand, CaseStep, Change, HoldCommand, ListCommand, OutcomeCommand, PaidCommand, ScreenCommand, SignalsCommand,
};
use crate::book::records::{ContentFingerprint, Cursor, HoldSubject, ListEntry};
use crate::ports::ledger::LedgerError;
use crate::screening::case::{CaseState, Step};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::history::History;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::ids::{AccountId, CaseId, ConversionId};
use crate::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Span;

/// Paid rewards that one outcome reports, in bytes: half of a record. A ban must never be refused for what it reports; a referrer with more
/// was audited long ago.
const REPORTED_BYTES_MAX: usize = 512 << 10;
/// Conversions that one outcome on an account concerns. A referee converts a few times, not thousands.
const CONCERNED_MAX: usize = 1_000;

/// What a command comes to.
#[derive(Debug)]
pub(super) enum Plan {
    /// This is to be written; the profiles were read for it.
    Commit(Event, Box<ReadProfiles>),
    /// It was done before, by the record at this place; 0 when there was never anything to do.
    Known(Cursor),
}

/// Screens a conversion, or finds that it was screened.
pub(super) fn screen(
    tables: &impl Tables,
    keys: Keys,
    command: ScreenCommand,
    assessor: &dyn Assessor,
) -> Result<Plan, LedgerError> {
    let ScreenCommand { conversion, content, received_at } = command;
    if let Some(row) = ConversionRow::load(tables, &keys.conversion(&conversion.conversion_id))? {
        return known(row.content, content, row.cursor, conversion.conversion_id.as_str());
    }
    let history = history::read(tables, keys, &conversion)?;
    let decision = assessor.assess(&conversion, &history, received_at);
    let case = opened_case(&conversion, &history, &decision, assessor);
    let read = ReadProfiles { referrer: history.referrer.profile, referee: history.referee.profile };
    let screened = ConversionScreened { conversion, content, decision, received_at, case };
    Ok(Plan::Commit(Event::ConversionScreened(Box::new(screened)), Box::new(read)))
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

fn known(before: ContentFingerprint, now: ContentFingerprint, cursor: u64, id: &str) -> Result<Plan, LedgerError> {
    if before == now { Ok(Plan::Known(Cursor(cursor))) } else { Err(LedgerError::ContentDiffers { id: id.to_owned() }) }
}

fn taken(tables: &impl Tables, key: &Key, content: ContentFingerprint, id: &str) -> Result<Option<Plan>, LedgerError> {
    Taken::load(tables, key)?.map(|before| known(before.content, content, before.cursor, id)).transpose()
}

/// Takes signals, or finds that they were taken.
pub(super) fn signals(tables: &impl Tables, keys: Keys, command: SignalsCommand) -> Result<Plan, LedgerError> {
    let SignalsCommand { program_id: _, record_id, content, bundles, received_at } = command;
    if let Some(plan) = taken(tables, &keys.record(&record_id), content, record_id.as_str())? {
        return Ok(plan);
    }
    Ok(Plan::Commit(Event::SignalsRecorded(SignalsRecorded { record_id, content, bundles, received_at }), Box::default()))
}

/// Takes an outcome, or finds that it was taken.
pub(super) fn outcome(tables: &impl Tables, keys: Keys, command: OutcomeCommand) -> Result<Plan, LedgerError> {
    let OutcomeCommand { outcome, content, received_at } = command;
    if let Some(plan) = taken(tables, &keys.outcome(&outcome.outcome_id), content, outcome.outcome_id.as_str())? {
        return Ok(plan);
    }
    let reading = Referrals { tables, keys };
    let ids = reading.concerned_by(&outcome.subject)?;
    let mut concerned = ids.into_iter().map(|id| reading.concerned(id)).collect::<Result<Vec<_>, _>>()?;
    let mut room = ReportRoom(REPORTED_BYTES_MAX);
    for one in &mut concerned {
        one.paid.retain(|reward| room.takes(&[reward.as_str()]));
    }
    let paid_elsewhere = match (&outcome.subject, outcome.kind) {
        (OutcomeSubject::Account(account), OutcomeKind::AccountBanned) => reading.paid_elsewhere(account, &concerned, room)?,
        (OutcomeSubject::Account(_) | OutcomeSubject::Conversion(_) | OutcomeSubject::Invoice { .. }, _) => Vec::new(),
    };
    let recorded = OutcomeRecorded { outcome, content, received_at, concerned, paid_elsewhere };
    Ok(Plan::Commit(Event::OutcomeRecorded(Box::new(recorded)), Box::default()))
}

/// Steps a case. `record` reads the decision of a conversion that never had a case; it is asked when a case is opened again or for the first time.
pub(super) fn step(
    tables: &impl Tables,
    keys: Keys,
    command: CaseCommand,
    due_after: Span,
    record: impl Fn(Cursor) -> Result<Option<(Conversion, Decision)>, LedgerError>,
) -> Result<Plan, LedgerError> {
    let missing = || LedgerError::NotFound { what: "case", id: command.case_id.to_string() };
    let conversion_id = command.case_id.conversion_id().ok_or_else(missing)?;
    let row = ConversionRow::load(tables, &keys.conversion(&conversion_id))?.ok_or_else(missing)?;
    let line = CaseLine::load(tables, &keys.case_line(&conversion_id))?;
    let revision = line.as_ref().map_or(0, |line| line.revision);
    if let Some(expected) = command.expected_revision.filter(|expected| *expected != revision) {
        return Err(LedgerError::RevisionDiffers { expected, actual: revision });
    }
    if command.step == CaseStep::Step(Step::Reopen) && record(Cursor(row.cursor))?.is_none() {
        return Err(LedgerError::NotPossible("the decision was removed by retention; its case cannot be reopened".to_owned()));
    }
    let event = match (line, &command.step) {
        (Some(line), step) => next_step(line, &row, step.clone(), &command, due_after)?,
        (None, CaseStep::Step(Step::Reopen)) => {
            let (conversion, decision) = record(Cursor(row.cursor))?.ok_or_else(missing)?;
            first_case(&conversion, &decision, &row, &command, due_after)
        }
        (None, CaseStep::Step(Step::Claim { .. } | Step::Release | Step::Resolve(_)) | CaseStep::Note) => return Err(missing()),
    };
    Ok(Plan::Commit(Event::CaseStepped(Box::new(event)), Box::default()))
}

fn next_step(
    line: CaseLine,
    row: &ConversionRow,
    step: CaseStep,
    command: &CaseCommand,
    due_after: Span,
) -> Result<CaseStepped, LedgerError> {
    let previous_state = line.state.at(command.at);
    let (state, verdict, revision) = match &step {
        CaseStep::Note => (line.state.clone(), row.verdict, line.revision),
        CaseStep::Step(step) => {
            let state = line.state.after(step, &command.actor, command.at)?;
            (state, verdict_after(step, row.verdict), line.revision + 1)
        }
    };
    let reopened = step == CaseStep::Step(Step::Reopen);
    let newly_rejected = verdict == Verdict::Rejected && row.verdict != Verdict::Rejected;
    Ok(CaseStepped {
        conversion_id: line.conversion_id,
        referrer: line.referrer,
        referee: line.referee,
        step,
        actor: command.actor.clone(),
        reason_code: command.reason_code.clone(),
        note: command.note.clone(),
        at: command.at,
        previous_state: Some(previous_state),
        state,
        previous_verdict: row.verdict,
        verdict,
        revision,
        opened_at: if reopened { command.at } else { line.opened_at },
        due_at: if reopened { command.at.plus(due_after) } else { line.due_at },
        reason_codes: line.reason_codes,
        paid: if newly_rejected { row.paid_unreported() } else { Vec::new() },
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

fn first_case(
    conversion: &Conversion,
    decision: &Decision,
    row: &ConversionRow,
    command: &CaseCommand,
    due_after: Span,
) -> CaseStepped {
    CaseStepped {
        conversion_id: conversion.conversion_id.clone(),
        referrer: conversion.referrer.account_id.clone(),
        referee: conversion.referee.account_id.clone(),
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
        reason_codes: decision.reasons.iter().map(|reason| reason.code).take(REASON_CODES_MAX).collect(),
        paid: Vec::new(),
        first_case: Some(FirstCase {
            score: decision.score,
            value: conversion.value,
            headline: decision.reasons.first().map(|reason| reason.sentence.clone()).unwrap_or_default(),
        }),
    }
}

/// Records a payment. Money that left is recorded whatever the gate would have said; the feed then tells that it left in error.
pub(super) fn paid(tables: &impl Tables, keys: Keys, command: PaidCommand) -> Result<Plan, LedgerError> {
    let PaidCommand { program_id: _, conversion_id, reward_id, paid_at, amount, received_at } = command;
    let Some(row) = ConversionRow::load(tables, &keys.conversion(&conversion_id))? else {
        return Err(LedgerError::NotFound { what: "conversion", id: conversion_id.to_string() });
    };
    if let Some(paid) = PaidRow::load(tables, &keys.paid_reward(&reward_id))? {
        // An amount that is left out says nothing, and a second try may have another idea of the time.
        let other_amount = paid.amount.zip(amount).is_some_and(|(before, now)| before != now);
        return if paid.conversion_id == conversion_id && !other_amount {
            Ok(Plan::Known(Cursor(paid.cursor)))
        } else {
            Err(LedgerError::ContentDiffers { id: reward_id.to_string() })
        };
    }
    if !row.rewards.is_empty() && !row.rewards.contains(&reward_id) {
        return Err(LedgerError::NotFound { what: "reward", id: reward_id.to_string() });
    }
    let standing = standing::of(tables, keys, &row)?;
    let lost = standing.verdict == Verdict::Rejected || standing.cancelled_at.is_some() || standing.duplicate_of.is_some();
    let paid = RewardPaid {
        referrer: account_of(tables, keys, row.referrer)?.id,
        referee: account_of(tables, keys, row.referee)?.id,
        conversion_id,
        reward_id,
        paid_at,
        amount,
        received_at,
        verdict: row.verdict,
        entitlement: if lost { Entitlement::Lost } else { Entitlement::Standing },
    };
    Ok(Plan::Commit(Event::RewardPaid(Box::new(paid)), Box::default()))
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

/// Places or lifts a hold. `keeps` tells whether a record is there, and will be: what retention removes cannot be held any more.
pub(super) fn hold(
    tables: &impl Tables,
    keys: Keys,
    command: HoldCommand,
    keeps: impl Fn(Cursor) -> Result<bool, LedgerError>,
) -> Result<Plan, LedgerError> {
    let HoldCommand { program_id: _, subject, change, actor, note, at } = command;
    let wanted = change == Change::Place;
    let (in_force, cursor, referral) = match &subject {
        HoldSubject::Conversion(id) => {
            let missing = || LedgerError::NotFound { what: "conversion", id: id.to_string() };
            let row = ConversionRow::load(tables, &keys.conversion(id))?.ok_or_else(missing)?;
            if !keeps(Cursor(row.cursor))? {
                return Err(missing());
            }
            let referral = HeldReferral {
                referrer: account_of(tables, keys, row.referrer)?.id,
                referee: account_of(tables, keys, row.referee)?.id,
                verdict: row.verdict,
            };
            (row.hold.is_some_and(|hold| hold.in_force), row.hold.map_or(0, |hold| hold.cursor), Some(referral))
        }
        HoldSubject::Referrer(id) => {
            let hold = known_account(tables, keys, id)?.and_then(|known| known.account.hold);
            (hold.is_some_and(|hold| hold.in_force), hold.map_or(0, |hold| hold.cursor), None)
        }
    };
    if in_force == wanted {
        return Ok(Plan::Known(Cursor(cursor)));
    }
    Ok(Plan::Commit(Event::HoldChanged(HoldChanged { subject, change, actor, note, at, referral }), Box::default()))
}

/// Writes or removes a list entry.
pub(super) fn list(tables: &impl Tables, keys: Keys, command: ListCommand) -> Result<Plan, LedgerError> {
    let ListCommand { program_id: _, entry, change } = command;
    let listed = Listed::load(tables, &listed_key(keys, &entry.subject))?.unwrap_or_default();
    let says_the_same =
        |known: &ListEntry| (&known.actor, &known.note, known.expires_at) == (&entry.actor, &entry.note, entry.expires_at);
    match (listed.on(entry.list), change) {
        (Some((known, cursor)), Change::Place) if says_the_same(known) => Ok(Plan::Known(Cursor(*cursor))),
        (None, Change::Lift) => Ok(Plan::Known(Cursor(0))),
        (Some(_) | None, Change::Place) | (Some(_), Change::Lift) => {
            Ok(Plan::Commit(Event::ListChanged(ListChanged { entry, change }), Box::default()))
        }
    }
}

/// Reads referrals for an outcome.
struct Referrals<'a, T> {
    tables: &'a T,
    keys: Keys,
}

impl<T: Tables> Referrals<'_, T> {
    fn concerned_by(&self, subject: &OutcomeSubject) -> Result<Vec<ConversionId>, LedgerError> {
        match subject {
            OutcomeSubject::Conversion(id) => {
                let known = ConversionRow::load(self.tables, &self.keys.conversion(id))?.is_some();
                let missing = || LedgerError::NotFound { what: "conversion", id: id.to_string() };
                known.then(|| vec![id.clone()]).ok_or_else(missing)
            }
            OutcomeSubject::Invoice { referee, invoice_id } => {
                let missing = || LedgerError::NotFound { what: "invoice", id: invoice_id.to_string() };
                let known = known_account(self.tables, self.keys, referee)?.ok_or_else(missing)?;
                let row = InvoiceRow::load(self.tables, &self.keys.invoice(known.number, invoice_id))?;
                row.map(|InvoiceRow(id)| vec![id]).ok_or_else(missing)
            }
            OutcomeSubject::Account(id) => {
                let Some(known) = known_account(self.tables, self.keys, id)? else { return Ok(Vec::new()) };
                let as_referee =
                    self.listed(known.account.conversions, |part| self.keys.account_conversions(known.number, part))?;
                let ids = as_referee.into_iter().filter(|(side, _)| *side == Side::Referee).map(|(_, id)| id);
                Ok(ids.take(CONCERNED_MAX).collect())
            }
        }
    }

    /// All entries of a list in parts.
    fn listed(&self, entries: u32, key: impl Fn(u32) -> Key) -> Result<Vec<(Side, ConversionId)>, LedgerError> {
        let mut all = Vec::new();
        for part in 0..entries.div_ceil(LIST_PART_ENTRIES) {
            all.extend(ConversionList::load(self.tables, &key(part))?.unwrap_or_default().entries);
        }
        Ok(all)
    }

    fn concerned(&self, conversion_id: ConversionId) -> Result<Concerned, LedgerError> {
        let row = self.row(&conversion_id)?;
        Ok(Concerned {
            referrer: account_of(self.tables, self.keys, row.referrer)?.id,
            referee: account_of(self.tables, self.keys, row.referee)?.id,
            verdict: row.verdict,
            paid: row.paid_unreported(),
            conversion_id,
        })
    }

    fn row(&self, id: &ConversionId) -> Result<ConversionRow, LedgerError> {
        let missing = || LedgerError::Damaged(format!("the row of conversion `{id}` is missing"));
        ConversionRow::load(self.tables, &self.keys.conversion(id))?.ok_or_else(missing)
    }

    /// Rewards paid for referrals of an account that is being banned, beside those of the conversions already listed.
    fn paid_elsewhere(
        &self,
        account: &AccountId,
        listed: &[Concerned],
        mut room: ReportRoom,
    ) -> Result<Vec<PaidReward>, LedgerError> {
        let Some(Known { number, account }) = known_account(self.tables, self.keys, account)? else { return Ok(Vec::new()) };
        let mut paid = Vec::new();
        for (_, id) in self.listed(account.paid_conversions, |part| self.keys.account_paid(number, part))? {
            if listed.iter().any(|one| one.conversion_id == id) {
                continue;
            }
            let Concerned { conversion_id, referrer, referee, verdict, paid: rewards } = self.concerned(id)?;
            for reward_id in rewards {
                if !room.takes(&[conversion_id.as_str(), referrer.as_str(), referee.as_str(), reward_id.as_str()]) {
                    return Ok(paid);
                }
                let (conversion_id, referrer, referee) = (conversion_id.clone(), referrer.clone(), referee.clone());
                paid.push(PaidReward { conversion_id, referrer, referee, verdict, reward_id });
            }
        }
        Ok(paid)
    }
}

/// The case of a conversion, for the answer to a step.
pub(super) fn case_of(tables: &impl Tables, keys: Keys, case: &CaseId) -> Result<CaseLine, LedgerError> {
    let missing = || LedgerError::NotFound { what: "case", id: case.to_string() };
    let conversion = case.conversion_id().ok_or_else(missing)?;
    CaseLine::load(tables, &keys.case_line(&conversion))?.ok_or_else(missing)
}
