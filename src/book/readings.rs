//! Readings: where a conversion and its case stand, put together at one moment, with the record that last changed it. What was decided long ago
//! is read from the journal and joined to them.

use super::command::{Acted, Done, Erasure, SourceTaken};
use super::conversions::ConversionRow;
use super::cursor::{ChainMark, FeedCursor};
use super::event::{
    CaseStepped, CasesStepped, ConversionKept, ConversionScreened, Event, HoldChanged, KeptPayment, KeptReward, OutcomeRecorded,
    RewardPaid, RewardsReserved,
};
use super::outcomes::{OutcomeRow, OutcomeState, Through, that_stand};
use super::records::{
    CaseSummary, Cursor, DecisionRecord, Hold, HoldAnswer, ListEntry, ListSubject, OutcomeAnswer, PaidAnswer, ReserveAnswer,
};
use super::rewards::Reward;
use super::slab::{AccountNumber, ConversionNumber, RewardNumber};
use super::stake::SeenMark;
use super::{Book, LeftAlone, MessageKind, Refusal};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::gate::{Gate, GateAnswer, GateReason, Standing};
use crate::screening::history::ListKind;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::ids::{AccountId, CaseId, ConversionId, RecordId, RequestId};
use crate::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Timestamp;

/// Where a conversion stands, and where its record is.
#[derive(Debug, Clone)]
pub(crate) struct ConversionReading {
    pub(crate) conversion_id: ConversionId,
    /// Where its record stands.
    pub(crate) cursor: Cursor,
    pub(crate) verdict: Verdict,
    pub(crate) standing: Standing,
    pub(crate) case_id: Option<CaseId>,
    /// The records that changed it, oldest first.
    pub(crate) trail: Vec<Cursor>,
    /// Outcomes that stand against it, with when they happened: its own, its referee's, and bans of both sides.
    pub(crate) outcomes: Vec<(OutcomeKind, Timestamp)>,
    /// The newest record that any of this is made of.
    pub(crate) changed: Cursor,
}

impl ConversionReading {
    /// The decision with where it stands, once its record was read, with the mark that it has in the journal.
    pub(crate) fn record(self, conversion: Conversion, decision: Decision, mark: ChainMark) -> DecisionRecord {
        let Self { verdict, standing, case_id, cursor: place, .. } = self;
        let cursor = FeedCursor { place, mark };
        DecisionRecord { conversion, decision, verdict, standing, case_id, cursor }
    }
}

/// Where a case stands.
#[derive(Debug, Clone)]
pub(crate) struct CaseReading {
    pub(crate) summary: CaseSummary,
    pub(crate) conversion: ConversionReading,
    /// Every record that speaks of the case, its conversion, or one of its two accounts as a whole; in order, the decision's own included.
    pub(crate) spoken_of_by: Vec<Cursor>,
    /// What is known of the referrer by now.
    pub(crate) referrer_now: Option<SignalBundle>,
    /// What is known of the referee by now.
    pub(crate) referee_now: Option<SignalBundle>,
}

impl Book {
    /// Where the record of a message stands; `None` when none of this id was taken, or its record is removed.
    pub(crate) fn message(&self, kind: MessageKind, id: &RecordId) -> Option<Cursor> {
        self.messages.find(kind, id.as_str(), &self.hasher).map(|message| message.cursor).filter(|cursor| *cursor >= self.floor)
    }

    /// Where a conversion stands; `None` when it is not known or its record is removed.
    pub(crate) fn conversion(&self, id: &ConversionId) -> Option<ConversionReading> {
        self.conversions.find(id, &self.hasher).and_then(|number| self.reading(number))
    }

    /// As [`Book::conversion`], refused with what became of it when its record is removed.
    pub(crate) fn kept_conversion(&self, id: &ConversionId) -> Result<Option<ConversionReading>, Refusal> {
        match self.kept_row(id) {
            Ok((_, row)) => Ok(Some(self.reading_of(row))),
            Err(Refusal::NotFound { .. }) => Ok(None),
            Err(removed) => Err(removed),
        }
    }

    /// Where the record of a conversion stands; `None` when it is not known or its record is removed.
    pub(crate) fn place_of(&self, id: &ConversionId) -> Option<Cursor> {
        let row = self.conversions.get(self.conversions.find(id, &self.hasher)?);
        (row.cursor >= self.floor).then_some(row.cursor)
    }

    fn reading(&self, number: ConversionNumber) -> Option<ConversionReading> {
        let row = self.conversions.get(number);
        (row.cursor >= self.floor).then(|| self.reading_of(row))
    }

    fn reading_of(&self, row: &ConversionRow) -> ConversionReading {
        let reaching = self.reaching(row);
        let of_it =
            |(through, told): &(Through, &OutcomeRow)| *through != Through::Referrer || told.kind == OutcomeKind::AccountBanned;
        let mut outcomes: Vec<(OutcomeKind, Timestamp)> =
            that_stand(&reaching).filter(of_it).map(|(_, told)| (told.kind, told.occurred_at)).collect();
        outcomes.sort_by_key(|(_, at)| *at);
        outcomes.dedup();
        ConversionReading {
            conversion_id: row.id.clone(),
            cursor: row.cursor,
            verdict: row.verdict,
            standing: self.standing_of(row),
            case_id: row.case.map(|_| CaseId::of(&row.id)),
            trail: row.later().trail.clone(),
            outcomes,
            changed: self.standing_changed(row),
        }
    }

    /// Conversions of one side, newest first, from one on.
    pub(super) fn conversions_from(
        &self,
        newest: Option<ConversionNumber>,
        side: Side,
    ) -> impl Iterator<Item = (ConversionNumber, &ConversionRow)> {
        let row = |number| (number, self.conversions.get(number));
        std::iter::successors(newest.map(row), move |(_, row)| {
            before(row, side).map(|number| (number, self.conversions.get(number)))
        })
    }

    /// Where the conversions of an account on one side stand, newest first, after one of them that was shown last; at most so many. `None` when
    /// that one is none of the account's.
    pub(crate) fn conversions_of_account(
        &self,
        account: &AccountId,
        side: Side,
        after: Option<&ConversionId>,
        limit: usize,
    ) -> Option<Vec<ConversionReading>> {
        let Some((number, known)) = self.accounts.known(account, &self.hasher) else { return Some(Vec::new()) };
        let from = match after {
            None if side == Side::Referrer => known.newest_as_referrer,
            None => known.newest_as_referee,
            Some(id) => {
                let row = self.conversions.get(self.conversions.find(id, &self.hasher)?);
                if of_side(row, side) != number {
                    return None;
                }
                before(row, side)
            }
        };
        Some(self.conversions_from(from, side).filter_map(|(number, _)| self.reading(number)).take(limit).collect())
    }

    /// Where a case stands; `None` when there is none or its record is removed.
    pub(crate) fn case(&self, case: &CaseId, now: Timestamp) -> Option<CaseReading> {
        let number = self.conversions.find(&case.conversion_id()?, &self.hasher)?;
        let row = self.conversions.get(number);
        let conversion = self.reading(number)?;
        let summary = self.line_of(self.cases.rows.get(row.case?), now);
        let mut spoken_of_by = conversion.trail.clone();
        spoken_of_by.push(row.cursor);
        for account in [row.referrer, row.referee] {
            spoken_of_by.extend(&self.accounts.get(account).referring().trail);
        }
        spoken_of_by.sort_unstable();
        spoken_of_by.dedup();
        spoken_of_by.retain(|cursor| *cursor >= self.floor);
        Some(CaseReading {
            summary,
            conversion,
            spoken_of_by,
            referrer_now: self.profile(row.referrer),
            referee_now: self.profile(row.referee),
        })
    }

    /// Outcomes that wait for their subject.
    #[must_use]
    pub fn pending_count(&self) -> usize {
        self.outcomes.waiting().count()
    }

    /// Whether an outcome of an account has yet to be told of some of its conversions, or some of them have yet to be marked for another look.
    #[must_use]
    pub fn has_unfinished(&self) -> bool {
        !self.outcomes.spreads.is_empty() || self.has_sweeps()
    }

    /// An entry of a list, with the record that wrote it.
    #[must_use]
    pub fn list_entry(&self, list: ListKind, subject: &ListSubject) -> Option<&(ListEntry, Cursor)> {
        self.lists.get(&(list, self.subject_renamed(subject)))
    }

    /// The answer to a command whose event was just applied, with the mark of its record.
    pub(crate) fn answer(&self, event: Event, mark: ChainMark) -> Done {
        match event {
            Event::ConversionScreened(screened) => {
                let ConversionScreened { conversion, decision, .. } = *screened;
                let reading = self.conversion(&conversion.conversion_id);
                reading.map_or(Done::Recorded, |reading| Done::Screened(Box::new(reading.record(conversion, decision, mark))))
            }
            Event::CaseStepped(stepped) => {
                let number = self.conversions.find(&stepped.conversion_id, &self.hasher);
                let case = number.and_then(|number| self.conversions.get(number).case);
                let summary = case.map(|case| self.line_of(self.cases.rows.get(case), stepped.at));
                summary.map_or(Done::Recorded, |summary| Done::Stepped(Box::new(summary)))
            }
            Event::CasesStepped(stepped) => Done::Acted(self.acted_on(&stepped, |_, line| line)),
            Event::RewardsReserved(reserved) => Done::Reserved(reserved.answers),
            Event::RewardPaid(paid) => Done::Paid(paid_answer(*paid)),
            Event::HoldChanged(changed) => {
                let hold = hold_of(changed);
                let on_it = self.holds.values().filter(|(known, _)| known.subject == hold.subject).count();
                Done::Held(HoldAnswer { holds_left: u32::try_from(on_it).unwrap_or(u32::MAX), hold })
            }
            Event::OutcomeRecorded(recorded) => Done::Outcome(outcome_answer(&recorded)),
            Event::PendingExpired(expired) => Done::Expired(expired.outcome_ids.len() as u64),
            Event::ModelsChanged(changed) => Done::Models(changed.previous),
            Event::ValuesRekeyed(rekeyed) => Done::Rekeyed(u32::try_from(rekeyed.values.len()).unwrap_or(u32::MAX)),
            Event::AccountErased(erased) => {
                Done::Erased(if self.erasures.is_under_way(&erased.account_id) { Erasure::UnderWay } else { Erasure::Finished })
            }
            Event::ActProposed(proposed) => Done::Proposed(Box::new(proposed.pending)),
            Event::SourceEventTaken(taken) => {
                let accounts = self.intake.accounts_of(taken.source, &taken.facts);
                Done::Taken(SourceTaken { mistakes: taken.mistakes, accounts })
            }
            Event::ActConfirmed(confirmed) => self.answer(*confirmed.done, mark),
            Event::SignalsRecorded(_)
            | Event::OutcomeRevoked(_)
            | Event::OutcomeSpread(_)
            | Event::Rechecked(_)
            | Event::ReservationChanged(_)
            | Event::PayoutFailed(_)
            | Event::RewardsChanged(_)
            | Event::ListChanged(_)
            | Event::TermsChanged(_)
            | Event::AuditKeyMade(_)
            | Event::DirectoryChanged(_)
            | Event::Looked(_)
            | Event::ErasureFinished(_)
            | Event::ActDropped(_)
            | Event::BreakerTripped(_)
            | Event::TrailKept(_)
            | Event::ConversionKept(_) => Done::Recorded,
        }
    }

    /// The answer to a command that was done before by this event: as the first time.
    pub(crate) fn answer_again(&self, event: Event, mark: ChainMark) -> Done {
        match event {
            Event::CaseStepped(stepped) => {
                let number = self.conversions.find(&stepped.conversion_id, &self.hasher);
                let case = number.and_then(|number| self.conversions.get(number).case);
                let CaseStepped { state, revision, opened_at, due_at, at, .. } = *stepped;
                case.map_or(Done::Recorded, |case| {
                    let known = self.line_of(self.cases.rows.get(case), at);
                    Done::Stepped(Box::new(CaseSummary { state: state.at(at), revision, opened_at, due_at, ..known }))
                })
            }
            Event::CasesStepped(stepped) => {
                let as_then = |step: &CaseStepped, line: CaseSummary| {
                    let CaseStepped { state, revision, opened_at, due_at, at, .. } = step;
                    CaseSummary { state: state.at(*at), revision: *revision, opened_at: *opened_at, due_at: *due_at, ..line }
                };
                Done::Acted(self.acted_on(&stepped, as_then))
            }
            Event::RewardsReserved(reserved) => {
                let RewardsReserved { request, at: _, rechecked: _, answers } = *reserved;
                Done::Reserved(answers.into_iter().map(|answer| self.reserved_still(answer, &request.id)).collect())
            }
            Event::ActConfirmed(confirmed) => self.answer_again(*confirmed.done, mark),
            event => self.answer(event, mark),
        }
    }

    /// What became of each case that an act named. What of it was seen then is known only while it stands as the act left it; otherwise what is told is
    /// no mark of anything, so that undoing it leaves it alone.
    fn acted_on(&self, acted: &CasesStepped, as_told: impl Fn(&CaseStepped, CaseSummary) -> CaseSummary) -> Vec<Acted> {
        // The steps stand in the order in which the cases were named.
        let mut steps = acted.steps.iter();
        let of = |(id, left): &(ConversionId, Option<LeftAlone>)| {
            let step = if left.is_none() { steps.next() } else { None };
            let case = self.row(id).and_then(|(_, row)| row.case).map(|number| self.cases.rows.get(number));
            let outcome = match (left, step, case) {
                (None, Some(step), Some(case)) => {
                    let as_left = case.state == step.state && case.opened_at == step.opened_at;
                    let mark = if as_left { self.mark_of_case(case) } else { SeenMark(0) };
                    Ok((as_told(step, self.line_of(case, step.at)), mark))
                }
                (Some(left), _, _) => Err(*left),
                (None, None, _) | (None, _, None) => Err(LeftAlone::Gone),
            };
            Acted { case_id: CaseId::of(id), outcome }
        };
        acted.named.iter().map(of).collect()
    }

    /// What a call reserved, as long as it holds it: whoever retries must not pay on a reservation that was settled, given back or ran out.
    fn reserved_still(&self, answer: ReserveAnswer, by: &RequestId) -> ReserveAnswer {
        let reward = self.rewards.known(&answer.reward_id, &self.hasher);
        let held = reward.and_then(Reward::reservation).filter(|held| held.by == *by && self.latest < held.until);
        match (answer.reserved_until, held) {
            (None, _) => answer,
            (Some(_), Some(held)) => ReserveAnswer { reserved_until: Some(held.until), ..answer },
            (Some(_), None) => {
                let paid = reward.is_some_and(|reward| reward.payment().is_some());
                let (gate, reason) =
                    if paid { (Gate::Deny, GateReason::AlreadyPaid) } else { (Gate::Hold, GateReason::ReservationEnded) };
                let gate = GateAnswer { gate, reason, hold_until: None, payable: None };
                ReserveAnswer { gate, reserved_until: None, amount: None, ..answer }
            }
        }
    }

    // For retention.

    /// The oldest record before a place of a conversion that waits for a decision and is not cancelled, is held, or is approved and has rewards that are not paid yet.
    pub(crate) fn needed_before(&self, end: Cursor) -> Option<Cursor> {
        let undecided = self.cases.undecided().values().map(|case| self.cases.rows.get(*case).conversion);
        let undecided = undecided.filter(|number| self.effects_on(self.conversions.get(*number)).cancelled.is_none());
        let held = self.holds.values().filter_map(|(hold, _)| match &hold.subject {
            super::records::HoldSubject::Conversion(id) => self.conversions.find(id, &self.hasher),
            super::records::HoldSubject::Referrer(_) => None,
        });
        let rows = self.conversions.rows.iter().map(|(_, row)| row);
        let mut old = rows.skip_while(|row| row.cursor < self.floor).take_while(|row| row.cursor < end);
        let payable = old.find(|row| self.is_payable(row)).map(|row| row.cursor);
        let waiting = undecided.chain(held).map(|number| self.conversions.get(number).cursor);
        waiting.chain(payable).min().filter(|needed| *needed < end)
    }

    /// Whether rewards that it names may yet be paid.
    fn is_payable(&self, row: &ConversionRow) -> bool {
        row.verdict == Verdict::Approved
            && row.duplicate_of.is_none()
            && row.rewards.iter().any(|number| self.rewards.get(*number).payment().is_none())
            && self.effects_on(row).cancelled.is_none()
    }

    /// What must outlive the record of a conversion, as it stands now.
    pub(crate) fn kept_of(&self, id: &ConversionId) -> Option<(Cursor, ConversionKept)> {
        let number = self.conversions.find(id, &self.hasher)?;
        let row = self.conversions.get(number);
        let reward = |number: &RewardNumber| {
            let Reward { id, beneficiary, amount, .. } = self.rewards.get(*number);
            let payment = self.rewards.get(*number).payment().map(|payment| KeptPayment {
                amount: payment.amount,
                cursor: payment.cursor,
                reported: payment.reported,
            });
            KeptReward { reward_id: id.clone(), beneficiary: *beneficiary, amount: *amount, payment }
        };
        let kept = ConversionKept {
            conversion_id: row.id.clone(),
            content: row.content,
            kind: row.kind,
            occurred_at: row.occurred_at,
            referrer: self.accounts.get(row.referrer).id.clone(),
            referee: self.accounts.get(row.referee).id.clone(),
            invoice_id: row.invoice_id.clone(),
            duplicate_of: row.duplicate_of.clone(),
            verdict: row.verdict,
            cancelled: self.effects_on(row).cancelled,
            accepts: row.accepts,
            rewards: row.rewards.iter().map(reward).collect(),
            audited: self.models.audited(number).cloned(),
        };
        Some((row.cursor, kept))
    }

    /// Whether an event still says something of how things are: a list entry in force, a hold on a referrer, a ban.
    pub(crate) fn still_speaks(&self, cursor: Cursor, event: &Event) -> bool {
        match event {
            Event::ListChanged(changed) => {
                self.list_entry(changed.entry.list, &changed.entry.subject).is_some_and(|(_, written)| *written == cursor)
            }
            Event::HoldChanged(changed) => match &changed.subject {
                super::records::HoldSubject::Referrer(_) => {
                    self.holds.get(&changed.hold_id).is_some_and(|(_, placed)| *placed == cursor)
                }
                super::records::HoldSubject::Conversion(_) => false,
            },
            Event::OutcomeRecorded(recorded) => {
                let number = self.outcomes.find(&recorded.outcome.outcome_id, &self.hasher);
                let of_account = matches!(recorded.outcome.subject, OutcomeSubject::Account(_));
                let waits = || number.is_some_and(|number| self.outcomes.waiting().any(|waiting| waiting == number));
                let in_force = number.is_some_and(|number| self.outcomes.get(number).state == OutcomeState::InForce);
                in_force && (of_account || waits())
            }
            Event::ActConfirmed(confirmed) => self.still_speaks(cursor, &confirmed.done),
            Event::TermsChanged(_) => self.terms.changed() == cursor,
            // What is kept goes by the newest names, and what comes is renamed before it is kept.
            Event::ValuesRekeyed(_) => false,
            Event::AccountErased(erased) => self.erasures.is_under_way(&erased.account_id),
            Event::SourceEventTaken(taken) => self.intake.still_says(taken),
            Event::ModelsChanged(_)
            | Event::AuditKeyMade(_)
            | Event::DirectoryChanged(_)
            | Event::BreakerTripped(_)
            | Event::TrailKept(_)
            | Event::ConversionKept(_) => true,
            Event::ConversionScreened(_)
            | Event::SignalsRecorded(_)
            | Event::OutcomeRevoked(_)
            | Event::OutcomeSpread(_)
            | Event::PendingExpired(_)
            | Event::Rechecked(_)
            | Event::CaseStepped(_)
            | Event::CasesStepped(_)
            | Event::RewardsReserved(_)
            | Event::ReservationChanged(_)
            | Event::RewardPaid(_)
            | Event::PayoutFailed(_)
            | Event::RewardsChanged(_)
            | Event::Looked(_)
            | Event::ErasureFinished(_)
            | Event::ActProposed(_)
            | Event::ActDropped(_) => false,
        }
    }
}

/// The conversion of the same account on a side that came before.
const fn before(row: &ConversionRow, side: Side) -> Option<ConversionNumber> {
    match side {
        Side::Referrer => row.before_of_referrer,
        Side::Referee => row.before_of_referee,
    }
}

/// The account of a side.
const fn of_side(row: &ConversionRow, side: Side) -> AccountNumber {
    match side {
        Side::Referrer => row.referrer,
        Side::Referee => row.referee,
    }
}

fn paid_answer(paid: RewardPaid) -> PaidAnswer {
    PaidAnswer { amount: paid.amount, against_gate: paid.against_gate }
}

fn hold_of(changed: HoldChanged) -> Hold {
    let HoldChanged { hold_id, subject, change: _, actor, note, at, referral: _, request: _ } = changed;
    Hold { hold_id, subject, actor, note, placed_at: at }
}

const fn outcome_answer(recorded: &OutcomeRecorded) -> OutcomeAnswer {
    if recorded.concerned.is_empty() { OutcomeAnswer::Pending } else { OutcomeAnswer::Applied }
}
