//! What outcomes change, and taking them back.

use std::sync::Arc;

use crate::book::Book;
use crate::book::event::{Concerned, OutcomeRecorded, OutcomeRevoked, OutcomeSpread, PendingExpired};
use crate::book::outcomes::{OutcomeRow, OutcomeState, Spread, banned_at};
use crate::book::records::Cursor;
use crate::book::slab::{AccountNumber, ConversionNumber, OutcomeNumber};
use crate::book::{Message, MessageKind};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::outcome::OutcomeSubject;
use crate::vocabulary::time::Timestamp;

impl Book {
    pub(super) fn outcome(&mut self, cursor: Cursor, event: &OutcomeRecorded) -> Option<()> {
        let OutcomeRecorded { outcome, content, received_at, on_account: _, concerned } = event;
        let (kind, id) = (MessageKind::Outcome, Arc::from(outcome.outcome_id.as_str()));
        self.messages.add(Message { kind, id, content: *content, cursor }, &self.hasher);
        let number = self.outcomes.add(OutcomeRow::of(outcome, *received_at, cursor), &self.hasher)?;
        let reached = self.reached_by(&outcome.subject);
        match &outcome.subject {
            OutcomeSubject::Account(id) => {
                let account = self.enrol(id)?;
                self.accounts.get_mut(account).referring_mut().outcomes.push(number);
                self.account_told(cursor, account);
            }
            OutcomeSubject::Conversion(_) | OutcomeSubject::Invoice { .. } => {
                for conversion in &reached {
                    self.conversions.get_mut(*conversion).later_mut().outcomes.push(number);
                }
            }
        }
        if reached.is_empty() {
            self.outcomes.wait(number);
            self.outcomes.pending_changed = cursor;
        }
        self.concern(cursor, concerned)?;
        self.spread(number, *received_at, reached, concerned.len());
        Some(())
    }

    pub(super) fn revoked(&mut self, cursor: Cursor, event: &OutcomeRevoked) -> Option<()> {
        // What retention removed needs no taking back.
        let Some(number) = self.outcomes.find(&event.outcome_id, &self.hasher) else { return Some(()) };
        self.outcomes.get_mut(number).state = OutcomeState::Revoked(cursor);
        self.forget_waiting(cursor, &[number]);
        let reached = self.reached_by(&event.subject);
        if let OutcomeSubject::Account(id) = &event.subject {
            let account = self.enrol(id)?;
            self.account_told(cursor, account);
        }
        self.concern(cursor, &event.concerned)?;
        self.spread(number, event.at, reached, event.concerned.len());
        Some(())
    }

    pub(super) fn outcome_spread(&mut self, cursor: Cursor, event: &OutcomeSpread) -> Option<()> {
        if let Some(spread) = self.outcomes.spreads.first_mut() {
            let left = spread.left.len().saturating_sub(event.concerned.len().max(1));
            spread.left.truncate(left);
            if left == 0 {
                self.outcomes.spreads.remove(0);
            }
        }
        self.concern(cursor, &event.concerned)
    }

    pub(super) fn pending_expired(&mut self, cursor: Cursor, event: &PendingExpired) {
        let found = event.outcome_ids.iter().filter_map(|id| self.outcomes.find(id, &self.hasher));
        let numbers: Vec<OutcomeNumber> = found.collect();
        for number in &numbers {
            self.outcomes.get_mut(*number).state = OutcomeState::Expired;
        }
        self.forget_waiting(cursor, &numbers);
    }

    /// Attaches what waited for a conversion that has just come, also to the one that it repeats.
    pub(super) fn meet_outcomes(
        &mut self,
        cursor: Cursor,
        number: ConversionNumber,
        conversion: &Conversion,
        repeated: Option<&Concerned>,
    ) -> Option<()> {
        let own = self.waiting_for(conversion);
        if !own.is_empty() {
            for conversion in self.purchase_of(number) {
                self.conversions.get_mut(conversion).later_mut().outcomes.extend_from_slice(&own);
            }
            self.forget_waiting(cursor, &own);
        }
        if let Some(repeated) = repeated {
            self.affect(cursor, repeated)?;
        }
        let sides = [&conversion.referrer.account_id, &conversion.referee.account_id];
        for id in sides {
            let waiting = self.outcomes.pending.get(&OutcomeSubject::Account(id.clone())).cloned();
            if let Some(waiting) = waiting {
                self.forget_waiting(cursor, &waiting);
            }
        }
        self.count_taken_back(number)
    }

    fn forget_waiting(&mut self, cursor: Cursor, numbers: &[OutcomeNumber]) {
        let before = self.outcomes.waiting().count();
        self.outcomes.pending.retain(|_, waiting| {
            waiting.retain(|number| !numbers.contains(number));
            !waiting.is_empty()
        });
        if self.outcomes.waiting().count() != before {
            self.outcomes.pending_changed = cursor;
        }
    }

    /// What was reported of an account changed: whether it is banned follows from all of it.
    fn account_told(&mut self, cursor: Cursor, number: AccountNumber) {
        let told = &self.accounts.get(number).referring().outcomes;
        let rows: Vec<&OutcomeRow> = told.iter().map(|number| self.outcomes.get(*number)).collect();
        let banned_at = banned_at(&rows);
        // Its cases may have left the queue, or come back.
        self.cases.changed = cursor;
        self.accounts.change_standing(number, |account| {
            account.changed = cursor;
            let referring = account.referring_mut();
            referring.banned_at = banned_at;
            referring.trail.push(cursor);
        });
        let touched = self.met_by(number);
        self.touch(&touched);
    }

    /// Notes a record with the conversions that it tells of.
    fn concern(&mut self, cursor: Cursor, concerned: &[Concerned]) -> Option<()> {
        for one in concerned {
            let number = self.affect(cursor, one)?;
            self.conversions.get_mut(number).later_mut().trail.push(cursor);
        }
        Some(())
    }

    /// Notes what outcomes did to a conversion.
    fn affect(&mut self, cursor: Cursor, one: &Concerned) -> Option<ConversionNumber> {
        let number = self.conversions.find(&one.conversion_id, &self.hasher)?;
        let row = self.conversions.get_mut(number);
        row.changed = cursor;
        if !one.paid.is_empty() {
            let rewards = row.rewards.clone();
            self.rewards.report_paid(&rewards);
        }
        if let Some(case) = self.conversions.get(number).case {
            self.cases.change(case, |case| case.changed = cursor);
        }
        self.count_taken_back(number)?;
        Some(number)
    }

    fn spread(&mut self, outcome: OutcomeNumber, at: Timestamp, reached: Vec<ConversionNumber>, told: usize) {
        let mut left: Vec<ConversionNumber> = reached.into_iter().skip(told).collect();
        left.reverse();
        if !left.is_empty() {
            self.outcomes.spreads.push(Spread { outcome, at, left });
        }
    }

    /// Counts a conversion as refunded or disputed as long as it is, unless it is a repeat.
    fn count_taken_back(&mut self, number: ConversionNumber) -> Option<()> {
        let row = self.conversions.get(number);
        let taken_back = self.effects_on(row).taken_back && row.duplicate_of.is_none();
        if taken_back == row.later().taken_back {
            return Some(());
        }
        let (referrer, referee) = (row.referrer, row.referee);
        self.conversions.get_mut(number).later_mut().taken_back = taken_back;
        let step = if taken_back { 1 } else { -1 };
        let referral = self.conversions.referral_mut(referrer, referee, &self.hasher)?;
        let before = referral.refunded;
        referral.refunded = before.saturating_add_signed(step);
        let stepped = super::step_of(before > 0, referral.refunded > 0);
        if stepped != 0 {
            let referring = self.accounts.get_mut(referrer).referring_mut();
            referring.referrals_refunded = referring.referrals_refunded.saturating_add_signed(stepped);
            self.touch(&[referrer]);
        }
        Some(())
    }
}
