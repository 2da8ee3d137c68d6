//! Readings: where a conversion and its case stand, put together at one moment, with the record that last changed it. What was decided long ago
//! is read from the journal and joined to them.

use super::command::Done;
use super::conversions::ConversionRow;
use super::event::{ConversionKept, ConversionScreened, Event, KeptPayment};
use super::records::{CaseSummary, Cursor, DecisionRecord, ListEntry, ListSubject};
use super::slab::{AccountNumber, ConversionNumber};
use super::{Book, MessageKind};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::gate::Standing;
use crate::screening::history::ListKind;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::ids::{AccountId, CaseId, ConversionId, RecordId};
use crate::vocabulary::outcome::OutcomeKind;
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
    /// When its two accounts were banned: of the referrer, then of the referee.
    pub(crate) banned_at: Vec<Timestamp>,
    /// The newest record that any of this is made of.
    pub(crate) changed: Cursor,
}

impl ConversionReading {
    /// The decision with where it stands, once its record was read.
    pub(crate) fn record(self, conversion: Conversion, decision: Decision) -> DecisionRecord {
        let Self { verdict, standing, case_id, cursor, .. } = self;
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
        self.messages.find(kind, id, &self.hasher).map(|message| message.cursor).filter(|cursor| *cursor >= self.floor)
    }

    /// Where a conversion stands; `None` when it is not known or its record is removed.
    pub(crate) fn conversion(&self, id: &ConversionId) -> Option<ConversionReading> {
        self.conversions.find(id, &self.hasher).and_then(|number| self.reading(number))
    }

    fn reading(&self, number: ConversionNumber) -> Option<ConversionReading> {
        let row = self.conversions.get(number);
        (row.cursor >= self.floor).then(|| self.reading_of(row))
    }

    fn reading_of(&self, row: &ConversionRow) -> ConversionReading {
        let mut banned_at: Vec<Timestamp> = [row.referrer, row.referee]
            .into_iter()
            .filter_map(|number| self.accounts.get(number).referring().banned_at)
            .collect();
        banned_at.dedup();
        ConversionReading {
            conversion_id: row.id.clone(),
            cursor: row.cursor,
            verdict: row.verdict,
            standing: self.standing_of(row),
            case_id: row.case.map(|_| CaseId::of(&row.id)),
            trail: row.later().trail.clone(),
            banned_at,
            changed: self.standing_changed(row),
        }
    }

    /// The conversions of an account on one side, newest first.
    pub(super) fn conversions_of(&self, account: &AccountId, side: Side) -> impl Iterator<Item = &ConversionRow> {
        let newest = self.accounts.known(account, &self.hasher).and_then(|(_, account)| match side {
            Side::Referrer => account.newest_as_referrer,
            Side::Referee => account.newest_as_referee,
        });
        self.conversions_from(newest, side).map(|(_, row)| row)
    }

    fn conversions_from(
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
        let summary = self.cases.rows.get(row.case?).summary(now);
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

    /// An entry of a list, with the record that wrote it.
    #[must_use]
    pub fn list_entry(&self, list: ListKind, subject: &ListSubject) -> Option<&(ListEntry, Cursor)> {
        self.lists.get(&(list, subject.clone()))
    }

    /// The answer to a command whose event was just applied at a place.
    pub(crate) fn answer(&self, event: Event) -> Done {
        match event {
            Event::ConversionScreened(screened) => {
                let ConversionScreened { conversion, decision, .. } = *screened;
                let reading = self.conversion(&conversion.conversion_id);
                reading.map_or(Done::Recorded, |reading| Done::Screened(Box::new(reading.record(conversion, decision))))
            }
            Event::CaseStepped(stepped) => {
                let number = self.conversions.find(&stepped.conversion_id, &self.hasher);
                let case = number.and_then(|number| self.conversions.get(number).case);
                let summary = case.map(|case| self.cases.rows.get(case).summary(stepped.at));
                summary.map_or(Done::Recorded, |summary| Done::Stepped(Box::new(summary)))
            }
            Event::SignalsRecorded(_)
            | Event::OutcomeRecorded(_)
            | Event::RewardPaid(_)
            | Event::HoldChanged(_)
            | Event::ListChanged(_)
            | Event::ConversionKept(_) => Done::Recorded,
        }
    }

    // For retention.

    /// The oldest record of a conversion that waits for a decision or is held.
    pub(crate) fn needed_from(&self) -> Option<Cursor> {
        let undecided = self.cases.undecided().values().map(|case| self.cases.rows.get(*case).conversion);
        let held = self.holds.keys().filter_map(|subject| match subject {
            super::records::HoldSubject::Conversion(id) => self.conversions.find(id, &self.hasher),
            super::records::HoldSubject::Referrer(_) => None,
        });
        undecided.chain(held).map(|number| self.conversions.get(number).cursor).min()
    }

    /// What must outlive the record of a conversion, as it stands now.
    pub(crate) fn kept_of(&self, id: &ConversionId) -> Option<(Cursor, ConversionKept)> {
        let row = self.conversions.get(self.conversions.find(id, &self.hasher)?);
        let payment = |paid: &super::conversions::Payment| KeptPayment {
            reward_id: paid.reward_id.clone(),
            amount: paid.amount,
            cursor: paid.cursor,
            reported: paid.reported,
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
            cancelled_at: row.later().cancelled_at,
            rewards: row.rewards.to_vec(),
            payments: self.conversions.payments_of(row).map(payment).collect(),
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
                    self.holds.get(&changed.subject).is_some_and(|(_, placed)| *placed == cursor)
                }
                super::records::HoldSubject::Conversion(_) => false,
            },
            Event::OutcomeRecorded(recorded) => recorded.outcome.kind == OutcomeKind::AccountBanned,
            Event::ConversionKept(_) => true,
            Event::ConversionScreened(_) | Event::SignalsRecorded(_) | Event::CaseStepped(_) | Event::RewardPaid(_) => false,
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
