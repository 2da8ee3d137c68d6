//! What a screened conversion and a batch of signals change: the referral, the purchase, the lists of the accounts, the verdict in force.
//! Called by the fold.

use super::super::event::{ConversionScreened, SignalsRecorded};
use super::super::history::patterns;
use super::super::rows::Row;
use super::super::rows::account::Referral;
use super::super::rows::case_line::{CaseLine, REASON_CODES_MAX};
use super::super::rows::conversion::{ConversionRow, InvoiceRow, LastPurchase, Taken};
use super::super::rows::postings;
use super::super::tables::{AccountNumber, Key, WriteTables};
use super::{ConversionList, Fold, ReadProfiles, list_part, step_of};
use crate::book::records::ContentFingerprint;
use crate::ports::ledger::LedgerError;
use crate::screening::case::CaseState;
use crate::screening::decision::Verdict;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::ids::ConversionId;

impl<T: WriteTables> Fold<'_, T> {
    pub(super) fn screened(&mut self, event: &ConversionScreened, read: ReadProfiles) -> Result<(), LedgerError> {
        let ConversionScreened { conversion, content, decision, received_at: _, case } = event;
        let at = conversion.occurred_at;
        let referrer = self.enrol(&conversion.referrer.account_id)?;
        let referee = self.enrol(&conversion.referee.account_id)?;
        self.learn(referrer, &conversion.referrer, at, read.referrer)?;
        // Who refers himself has another profile by now.
        let read = read.referee.filter(|_| referrer != referee);
        let profile = self.learn(referee, &conversion.referee, at, read)?;
        if decision.duplicate_of.is_none() {
            self.count_referral(conversion, referrer, referee, profile.as_ref())?;
            self.remember_purchase(conversion, referee)?;
        }
        self.list_conversion(referrer, Side::Referrer, &conversion.conversion_id)?;
        self.list_conversion(referee, Side::Referee, &conversion.conversion_id)?;
        let mut row = ConversionRow {
            cursor: self.cursor,
            content: *content,
            referrer,
            referee,
            occurred_at: at,
            campaign_id: conversion.campaign_id.clone(),
            duplicate_of: decision.duplicate_of.clone(),
            verdict: Verdict::Approved,
            accepted_by_review: false,
            has_case: case.is_some(),
            cancelled_at: None,
            refunded: false,
            hold: None,
            rewards: conversion.rewards.iter().map(|reward| reward.reward_id.clone()).collect(),
            paid: Vec::new(),
            trail: Vec::new(),
        };
        self.change_verdict(&mut row, decision.verdict, false)?;
        self.put(&self.keys.conversion(&conversion.conversion_id), &row)?;
        if let Some(case) = case {
            let line = CaseLine {
                conversion_id: conversion.conversion_id.clone(),
                referrer: conversion.referrer.account_id.clone(),
                referee: conversion.referee.account_id.clone(),
                state: CaseState::Open,
                revision: 1,
                opened_at: decision.decided_at,
                due_at: case.due_at,
                score: decision.score,
                value: conversion.value,
                reason_codes: decision.reasons.iter().map(|reason| reason.code).take(REASON_CODES_MAX).collect(),
                headline: decision.reasons.first().map(|reason| reason.sentence.clone()).unwrap_or_default(),
            };
            self.put_case(None, &line)?;
        }
        Ok(())
    }

    /// Counts a conversion to its referral; the first one also counts as a new user of the referrer.
    fn count_referral(
        &mut self,
        conversion: &Conversion,
        referrer: AccountNumber,
        referee: AccountNumber,
        profile: Option<&SignalBundle>,
    ) -> Result<(), LedgerError> {
        let key = self.keys.referral(referrer, referee);
        let mut referral = Referral::load(self.tables, &key)?.unwrap_or_default();
        referral.conversions += 1;
        self.put(&key, &referral)?;
        for pattern in patterns(profile.unwrap_or(&conversion.referee)) {
            let key = self.keys.pattern(referrer, pattern);
            if let Some(row) = self.tables.read(&key, |row| postings::with_number(row, referee))? {
                self.tables.put(&key, &row)?;
            }
        }
        if referral.conversions > 1 {
            return Ok(());
        }
        self.account_mut(referrer)?.referrals += 1;
        let key = self.keys.recent_referrals(referrer);
        let times = self.tables.read(&key, |row| postings::with_time(row, conversion.occurred_at))?;
        self.tables.put(&key, &times)?;
        if referrer != referee && self.account(referee)?.referred_by.is_none() {
            self.account_mut(referee)?.referred_by = Some(referrer);
        }
        Ok(())
    }

    /// Remembers what a repeat of this purchase would look like.
    fn remember_purchase(&mut self, conversion: &Conversion, referee: AccountNumber) -> Result<(), LedgerError> {
        let conversion_id = conversion.conversion_id.clone();
        if let Some(invoice) = &conversion.invoice_id {
            self.put(&self.keys.invoice(referee, invoice), &InvoiceRow(conversion_id))
        } else {
            let key = self.keys.without_invoice(referee, conversion.kind);
            self.put(&key, &LastPurchase { conversion_id, occurred_at: conversion.occurred_at })
        }
    }

    fn list_conversion(&mut self, number: AccountNumber, side: Side, id: &ConversionId) -> Result<(), LedgerError> {
        let account = self.account_mut(number)?;
        let place = account.conversions;
        account.conversions += 1;
        let key = self.keys.account_conversions(number, list_part(place));
        self.append(&key, side, id)
    }

    pub(super) fn append(&mut self, key: &Key, side: Side, id: &ConversionId) -> Result<(), LedgerError> {
        let mut list = ConversionList::load(self.tables, key)?.unwrap_or_default();
        list.entries.push((side, id.clone()));
        self.put(key, &list)
    }

    pub(super) fn conversion(&self, id: &ConversionId) -> Result<ConversionRow, LedgerError> {
        let missing = || LedgerError::Damaged(format!("the row of conversion `{id}` is missing"));
        ConversionRow::load(self.tables, &self.keys.conversion(id))?.ok_or_else(missing)
    }

    pub(super) fn put_conversion(&mut self, id: &ConversionId, mut row: ConversionRow) -> Result<(), LedgerError> {
        row.trail.push(self.cursor);
        self.put(&self.keys.conversion(id), &row)
    }

    /// Puts a verdict in force and moves the counters with it. A duplicate counts for nothing.
    pub(super) fn change_verdict(
        &mut self,
        row: &mut ConversionRow,
        verdict: Verdict,
        accepted: bool,
    ) -> Result<(), LedgerError> {
        let rejected_by = step_of(row.verdict == Verdict::Rejected, verdict == Verdict::Rejected);
        let accepted_by = step_of(row.accepted_by_review, accepted);
        row.verdict = verdict;
        row.accepted_by_review = accepted;
        if row.duplicate_of.is_some() || (rejected_by == 0 && accepted_by == 0) {
            return Ok(());
        }
        let key = self.keys.referral(row.referrer, row.referee);
        let mut referral = Referral::load(self.tables, &key)?.unwrap_or_default();
        let before = referral;
        referral.rejected = referral.rejected.saturating_add_signed(rejected_by);
        referral.accepted = referral.accepted.saturating_add_signed(accepted_by);
        self.put(&key, &referral)?;
        let referrer = self.account_mut(row.referrer)?;
        let rejected_referrals = step_of(before.rejected > 0, referral.rejected > 0);
        let accepted_referrals = step_of(before.accepted > 0, referral.accepted > 0);
        referrer.referrals_rejected = referrer.referrals_rejected.saturating_add_signed(rejected_referrals);
        referrer.referrals_accepted = referrer.referrals_accepted.saturating_add_signed(accepted_referrals);
        self.change_standing(row.referee, |account| {
            account.rejected_as_referee = account.rejected_as_referee.saturating_add_signed(rejected_by);
        })
    }

    pub(super) fn signals(&mut self, event: &SignalsRecorded) -> Result<(), LedgerError> {
        let SignalsRecorded { record_id, content, bundles, received_at } = event;
        for bundle in bundles {
            let number = self.enrol(&bundle.account_id)?;
            self.learn(number, bundle, *received_at, None)?;
        }
        self.take(&self.keys.record(record_id), *content)
    }

    pub(super) fn take(&mut self, key: &Key, content: ContentFingerprint) -> Result<(), LedgerError> {
        self.put(key, &Taken { content, cursor: self.cursor })
    }
}
