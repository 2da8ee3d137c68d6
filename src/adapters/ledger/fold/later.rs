//! What comes after a decision: outcomes, steps of a case, payments, holds and list entries. Called by the fold.

use super::super::event::{CaseStepped, Entitlement, FirstCase, HoldChanged, ListChanged, OutcomeRecorded, RewardPaid};
use super::super::rows::Row;
use super::super::rows::account::{AccountHold, Referral};
use super::super::rows::case_line::CaseLine;
use super::super::rows::conversion::{ConversionHold, ConversionRow, Paid, PaidRow};
use super::super::rows::index::{self, Shelf, ShelfWrite};
use super::super::rows::lists::Listed;
use super::super::rows::postings;
use super::super::tables::{AccountNumber, WriteTables};
use super::{Fold, list_part, listed_key};
use crate::book::command::{CaseStep, Change};
use crate::book::records::{Hold, HoldSubject};
use crate::ports::ledger::LedgerError;
use crate::screening::case::{CaseState, Resolution};
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::ConversionId;
use crate::vocabulary::outcome::{OutcomeKind, OutcomeSubject};

impl<T: WriteTables> Fold<'_, T> {
    pub(super) fn outcome(&mut self, event: &OutcomeRecorded) -> Result<(), LedgerError> {
        let OutcomeRecorded { outcome, content, received_at: _, concerned, paid_elsewhere } = event;
        for one in concerned {
            let mut row = self.conversion(&one.conversion_id)?;
            row.cancelled_at = row.cancelled_at.or(Some(outcome.occurred_at));
            if matches!(outcome.kind, OutcomeKind::ChargeRefunded | OutcomeKind::Chargeback) {
                self.count_refund(&mut row)?;
            }
            if !one.paid.is_empty() {
                row.report_paid();
            }
            self.put_conversion(&one.conversion_id, row)?;
        }
        for paid in paid_elsewhere {
            let mut row = self.conversion(&paid.conversion_id)?;
            row.report_paid();
            self.put(&self.keys.conversion(&paid.conversion_id), &row)?;
        }
        if let (OutcomeKind::AccountBanned, OutcomeSubject::Account(id)) = (outcome.kind, &outcome.subject) {
            let number = self.enrol(id)?;
            self.change_standing(number, |account| account.banned_at = account.banned_at.or(Some(outcome.occurred_at)))?;
            self.trail_account(number)?;
        }
        self.take(&self.keys.outcome(&outcome.outcome_id), *content)
    }

    fn count_refund(&mut self, row: &mut ConversionRow) -> Result<(), LedgerError> {
        if row.refunded || row.duplicate_of.is_some() {
            return Ok(());
        }
        row.refunded = true;
        let key = self.keys.referral(row.referrer, row.referee);
        let mut referral = Referral::load(self.tables, &key)?.unwrap_or_default();
        referral.refunded += 1;
        if referral.refunded == 1 {
            self.account_mut(row.referrer)?.referrals_refunded += 1;
        }
        self.put(&key, &referral)
    }

    fn trail_account(&mut self, number: AccountNumber) -> Result<(), LedgerError> {
        let key = self.keys.account_trail(number);
        let row = self.tables.read(&key, |row| postings::with_place(row, self.cursor))?;
        self.tables.put(&key, &row)
    }

    pub(super) fn case(&mut self, event: &CaseStepped) -> Result<(), LedgerError> {
        let mut row = self.conversion(&event.conversion_id)?;
        match &event.step {
            CaseStep::Note => {}
            CaseStep::Step(_) => {
                let before = CaseLine::load(self.tables, &self.keys.case_line(&event.conversion_id))?;
                let after = stepped_line(before.as_ref(), event)?;
                self.count_resolved(before.as_ref(), &after);
                self.put_case(before.as_ref(), &after)?;
                row.has_case = true;
                let accepted = matches!(event.state, CaseState::Resolved { resolution: Resolution::Accept, .. });
                self.change_verdict(&mut row, event.verdict, accepted)?;
                if !event.paid.is_empty() {
                    row.report_paid();
                }
            }
        }
        self.put_conversion(&event.conversion_id, row)
    }

    pub(super) fn put_case(&mut self, before: Option<&CaseLine>, after: &CaseLine) -> Result<(), LedgerError> {
        self.put(&self.keys.case_line(&after.conversion_id), after)?;
        self.shelves.extend(index::move_case(before, after));
        Ok(())
    }

    fn count_resolved(&mut self, before: Option<&CaseLine>, after: &CaseLine) {
        let was_resolved = before.is_some_and(|line| !line.is_undecided());
        match (was_resolved, !after.is_undecided()) {
            (false, true) => self.meta.cases_resolved += 1,
            (true, false) => self.meta.cases_resolved = self.meta.cases_resolved.saturating_sub(1),
            (false, false) | (true, true) => {}
        }
    }

    pub(super) fn paid(&mut self, event: &RewardPaid) -> Result<(), LedgerError> {
        let mut row = self.conversion(&event.conversion_id)?;
        if row.paid.is_empty() {
            self.list_paid(row.referrer, Side::Referrer, &event.conversion_id)?;
            if row.referee != row.referrer {
                self.list_paid(row.referee, Side::Referee, &event.conversion_id)?;
            }
        }
        let key = self.keys.paid_reward(&event.reward_id);
        if PaidRow::load(self.tables, &key)?.is_none() {
            let paid = PaidRow { conversion_id: event.conversion_id.clone(), amount: event.amount, cursor: self.cursor };
            self.put(&key, &paid)?;
        }
        let reported = event.entitlement == Entitlement::Lost;
        row.paid.push(Paid { reward_id: event.reward_id.clone(), cursor: self.cursor, reported });
        self.put_conversion(&event.conversion_id, row)
    }

    fn list_paid(&mut self, number: AccountNumber, side: Side, id: &ConversionId) -> Result<(), LedgerError> {
        let account = self.account_mut(number)?;
        let place = account.paid_conversions;
        account.paid_conversions += 1;
        let key = self.keys.account_paid(number, list_part(place));
        self.append(&key, side, id)
    }

    pub(super) fn hold(&mut self, event: &HoldChanged) -> Result<(), LedgerError> {
        let HoldChanged { subject, change, actor, note, at, referral: _ } = event;
        let in_force = *change == Change::Place;
        let cursor = self.cursor;
        match subject {
            HoldSubject::Conversion(id) => {
                let mut row = self.conversion(id)?;
                row.hold = Some(ConversionHold { in_force, cursor });
                self.put_conversion(id, row)?;
            }
            HoldSubject::Referrer(id) => {
                let number = self.enrol(id)?;
                self.account_mut(number)?.hold = Some(AccountHold { in_force, cursor });
                self.trail_account(number)?;
            }
        }
        let hold = Hold { subject: subject.clone(), actor: actor.clone(), note: note.clone(), placed_at: *at };
        let value = in_force.then(|| hold.pack());
        self.shelves.push(ShelfWrite { shelf: Shelf::Holds, key: index::hold_key(subject), value });
        Ok(())
    }

    pub(super) fn list(&mut self, event: &ListChanged) -> Result<(), LedgerError> {
        let ListChanged { entry, change } = event;
        let key = listed_key(self.keys, &entry.subject);
        let mut listed = Listed::load(self.tables, &key)?.unwrap_or_default();
        let before = listed.entries.len();
        listed.entries.retain(|(known, _)| known.list != entry.list);
        let value = match change {
            Change::Place => {
                listed.entries.push((entry.clone(), self.cursor));
                Some(entry.pack())
            }
            Change::Lift => None,
        };
        let grown_by = i32::try_from(listed.entries.len()).unwrap_or(0) - i32::try_from(before).unwrap_or(0);
        self.meta.list_entries = self.meta.list_entries.saturating_add_signed(grown_by);
        self.put(&key, &listed)?;
        let shelf_key = index::list_key(entry.list, &entry.subject);
        self.shelves.push(ShelfWrite { shelf: Shelf::ListEntries, key: shelf_key, value });
        Ok(())
    }
}

/// The line of a case after a step.
fn stepped_line(before: Option<&CaseLine>, event: &CaseStepped) -> Result<CaseLine, LedgerError> {
    let first = || {
        let FirstCase { score, value, headline } = event.first_case.clone()?;
        Some(CaseLine {
            conversion_id: event.conversion_id.clone(),
            referrer: event.referrer.clone(),
            referee: event.referee.clone(),
            state: event.state.clone(),
            revision: event.revision,
            opened_at: event.opened_at,
            due_at: event.due_at,
            score,
            value,
            reason_codes: event.reason_codes.clone(),
            headline,
        })
    };
    match before {
        None => first().ok_or_else(|| LedgerError::Damaged("a step stands before its case".to_owned())),
        Some(line) => Ok(CaseLine {
            state: event.state.clone(),
            revision: event.revision,
            opened_at: event.opened_at,
            due_at: event.due_at,
            ..line.clone()
        }),
    }
}
