//! The fold: what an event changes in the tables and on the shelves. Deterministic: the same events in the same order make the same rows,
//! when they happen, when the journal is replayed, and when everything is rebuilt.
//!
//! Never reads a clock and never decides anything: events carry what was decided. Called by the ledgers for each event, in order.

use smallvec::SmallVec;

use super::event::Entitlement;
use super::event::{
    CaseStepped, ConversionScreened, Event, FirstCase, HoldChanged, ListChanged, OutcomeRecorded, RewardPaid, SignalsRecorded,
};
use super::history::{account_of, patterns};
use super::packed::{Damaged, Reader, Writer};
use super::rows::Row;
use super::rows::account::{Account, AccountHold, Meta, NumberOfAccount, Profile, Referral};
use super::rows::case_line::{CaseLine, REASON_CODES_MAX};
use super::rows::conversion::{ConversionHold, ConversionRow, InvoiceRow, LastPurchase, Paid, Taken};
use super::rows::index::{self, Shelf, ShelfWrite};
use super::rows::lists::Listed;
use super::rows::postings::{self, Posting, Postings};
use super::tables::{AccountNumber, Key, Keys, WriteTables};
use crate::ports::ledger::{CaseStep, Change, LedgerError};
use crate::ports::records::{ContentFingerprint, Hold, HoldSubject, ListSubject};
use crate::screening::case::{CaseState, Resolution};
use crate::screening::decision::Verdict;
use crate::screening::history::{Identifier, IdentifierKind, visit_values};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::digest::Digest;
use crate::vocabulary::ids::{AccountId, ConversionId};
use crate::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Timestamp;

/// Profiles as an event's history read them: the fold then need not read them again. It would find the same.
#[derive(Debug, Default)]
pub(super) struct ReadProfiles {
    /// Absent when it was not read, or there is none.
    pub(super) referrer: Option<SignalBundle>,
    /// Absent when it was not read, or there is none.
    pub(super) referee: Option<SignalBundle>,
}

/// Applies an event. Returns what changes on the shelves; the rows are written.
pub(super) fn apply(
    tables: &mut impl WriteTables,
    keys: Keys,
    cursor: u64,
    event: &Event,
) -> Result<Vec<ShelfWrite>, LedgerError> {
    apply_after(ReadProfiles::default(), tables, keys, cursor, event)
}

/// As [`apply`], for an event that was made from the tables as they are.
pub(super) fn apply_after(
    read: ReadProfiles,
    tables: &mut impl WriteTables,
    keys: Keys,
    cursor: u64,
    event: &Event,
) -> Result<Vec<ShelfWrite>, LedgerError> {
    let meta = Meta::load(tables, &keys.meta())?.unwrap_or_default();
    let mut fold = Fold { tables, keys, cursor, meta, meta_before: meta, accounts: SmallVec::new(), shelves: Vec::new() };
    match event {
        Event::ConversionScreened(screened) => fold.screened(screened, read)?,
        Event::SignalsRecorded(recorded) => fold.signals(recorded)?,
        Event::OutcomeRecorded(recorded) => fold.outcome(recorded)?,
        Event::CaseStepped(stepped) => fold.case(stepped)?,
        Event::RewardPaid(paid) => fold.paid(paid)?,
        Event::HoldChanged(changed) => fold.hold(changed)?,
        Event::ListChanged(changed) => fold.list(changed)?,
    }
    fold.finish()
}

/// Conversions, or paid conversions, kept in one part of an account's list.
pub(super) const LIST_PART_ENTRIES: u32 = 16;

/// A part of the list of an account's conversions, by side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ConversionList {
    pub(super) entries: Vec<(Side, ConversionId)>,
}

impl Row for ConversionList {
    const NAME: &'static str = "the conversions of an account";

    fn pack(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(32 * self.entries.len());
        w.list(&self.entries, |w, (side, id)| {
            w.u8(super::codec::numbers::side(*side));
            w.text(id.as_str());
        });
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        let entry = |r: &mut Reader<'_>| Ok((super::codec::numbers::read_side(r.u8()?)?, r.id(ConversionId::new)?));
        Ok(Self { entries: r.list(entry)? })
    }
}

/// Which part of a list the entry with this number is in; the first entry has number 0.
pub(super) const fn list_part(entry: u32) -> u32 {
    entry / LIST_PART_ENTRIES
}

/// An account that this event touches.
struct Touched {
    number: AccountNumber,
    account: Account,
    changed: bool,
}

struct Fold<'t, T> {
    tables: &'t mut T,
    keys: Keys,
    cursor: u64,
    meta: Meta,
    meta_before: Meta,
    accounts: SmallVec<[Touched; 4]>,
    shelves: Vec<ShelfWrite>,
}

impl<T: WriteTables> Fold<'_, T> {
    fn finish(self) -> Result<Vec<ShelfWrite>, LedgerError> {
        for touched in self.accounts.iter().filter(|touched| touched.changed) {
            self.tables.put(&self.keys.account(touched.number), &touched.account.pack())?;
        }
        if self.meta != self.meta_before {
            self.tables.put(&self.keys.meta(), &self.meta.pack())?;
        }
        Ok(self.shelves)
    }

    fn put(&mut self, key: &Key, row: &impl Row) -> Result<(), LedgerError> {
        self.tables.put(key, &row.pack())
    }

    // Accounts.

    fn touched(&mut self, number: AccountNumber) -> Result<&mut Touched, LedgerError> {
        let place = if let Some(place) = self.accounts.iter().position(|touched| touched.number == number) {
            place
        } else {
            let account = account_of(self.tables, self.keys, number)?;
            self.accounts.push(Touched { number, account, changed: false });
            self.accounts.len() - 1
        };
        self.accounts.get_mut(place).ok_or_else(|| LedgerError::Damaged("an account was lost".to_owned()))
    }

    fn account(&mut self, number: AccountNumber) -> Result<&Account, LedgerError> {
        self.touched(number).map(|touched| &touched.account)
    }

    fn account_mut(&mut self, number: AccountNumber) -> Result<&mut Account, LedgerError> {
        let touched = self.touched(number)?;
        touched.changed = true;
        Ok(&mut touched.account)
    }

    /// The number of an account, given now when it has none.
    fn enrol(&mut self, id: &AccountId) -> Result<AccountNumber, LedgerError> {
        let key = self.keys.account_number(id);
        if let Some(NumberOfAccount(number)) = NumberOfAccount::load(self.tables, &key)? {
            return Ok(number);
        }
        self.meta.accounts += 1;
        let number = self.meta.accounts;
        self.put(&key, &NumberOfAccount(number))?;
        self.accounts.push(Touched { number, account: Account::new(id.clone()), changed: true });
        Ok(number)
    }

    /// Adds a message's signals to an account, whose profile may have been read before. Returns the profile when there was an earlier one.
    fn learn(
        &mut self,
        number: AccountNumber,
        bundle: &SignalBundle,
        at: Timestamp,
        read: Option<SignalBundle>,
    ) -> Result<Option<SignalBundle>, LedgerError> {
        if self.account(number)?.first_seen_at.is_none_or(|known| at < known) {
            self.account_mut(number)?.first_seen_at = Some(at);
        }
        self.sight(number, bundle, at)?;
        let key = self.keys.profile(number);
        let earlier = match read {
            Some(profile) => Some(Profile(profile)),
            None => Profile::load(self.tables, &key)?,
        };
        if says_nothing(bundle) {
            return Ok(earlier.map(|Profile(profile)| profile));
        }
        match earlier {
            None => {
                let mut w = Writer::with_capacity(1024);
                super::codec::bundle::write(&mut w, bundle);
                self.tables.put(&key, &w.finish())?;
                Ok(None)
            }
            Some(Profile(earlier)) => {
                let merged = Profile(bundle.merged_with(&earlier));
                if merged.0 != earlier {
                    self.put(&key, &merged)?;
                }
                Ok(Some(merged.0))
            }
        }
    }

    /// Notes that an account was seen on each value of a message, and ties it to whoever shares a strong one.
    fn sight(&mut self, number: AccountNumber, bundle: &SignalBundle, at: Timestamp) -> Result<(), LedgerError> {
        let mut sightings: SmallVec<[(IdentifierKind, &Digest, u32); 32]> = SmallVec::new();
        visit_values(bundle, |kind, set, seen_at| {
            let last_seen = seen_at.unwrap_or(at).as_index_seconds();
            sightings.extend(set.iter().map(|digest| (kind, digest, last_seen)));
        });
        sightings.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.cmp(&a.2)));
        sightings.dedup_by(|later, kept| later.0 == kept.0 && later.1 == kept.1);
        for (kind, digest, last_seen) in sightings {
            let key = self.keys.value(kind, digest);
            let seen = Posting { account: number, last_seen };
            let Some(row) = self.tables.read(&key, |row| postings::with_sighting(row, seen))? else { continue };
            self.tables.put(&key, &row)?;
            if kind.is_strong() {
                // The others were tied to each other when they came.
                let other = Postings::of(Some(&row)).tied().find(|other| *other != number);
                if let Some(other) = other {
                    self.tie(number, other)?;
                }
            }
        }
        Ok(())
    }

    // Rings.

    fn root(&mut self, from: AccountNumber) -> Result<AccountNumber, LedgerError> {
        let mut number = from;
        for _ in 0..=32 {
            match self.account(number)?.ring.parent {
                None => return Ok(number),
                Some(parent) => number = parent,
            }
        }
        Err(LedgerError::Damaged("a ring has no root".to_owned()))
    }

    fn tie(&mut self, a: AccountNumber, b: AccountNumber) -> Result<(), LedgerError> {
        let (a, b) = (self.root(a)?, self.root(b)?);
        if a == b {
            return Ok(());
        }
        let (size_a, size_b) = (self.account(a)?.ring.accounts, self.account(b)?.ring.accounts);
        let (large, small) = if (size_a, b) > (size_b, a) { (a, b) } else { (b, a) };
        let node = &mut self.account_mut(small)?.ring;
        node.parent = Some(large);
        let (accounts, rejected) = (node.accounts, node.rejected);
        let root = &mut self.account_mut(large)?.ring;
        root.accounts += accounts;
        root.rejected += rejected;
        Ok(())
    }

    /// Changes an account and keeps its ring's count of rejected accounts right.
    fn change_standing(&mut self, number: AccountNumber, change: impl FnOnce(&mut Account)) -> Result<(), LedgerError> {
        let account = self.account_mut(number)?;
        let before = account.stands_rejected();
        change(account);
        let after = account.stands_rejected();
        if before != after {
            let root = self.root(number)?;
            let ring = &mut self.account_mut(root)?.ring;
            ring.rejected = if after { ring.rejected + 1 } else { ring.rejected.saturating_sub(1) };
        }
        Ok(())
    }

    // Conversions.

    fn screened(&mut self, event: &ConversionScreened, read: ReadProfiles) -> Result<(), LedgerError> {
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

    fn append(&mut self, key: &Key, side: Side, id: &ConversionId) -> Result<(), LedgerError> {
        let mut list = ConversionList::load(self.tables, key)?.unwrap_or_default();
        list.entries.push((side, id.clone()));
        self.put(key, &list)
    }

    fn conversion(&self, id: &ConversionId) -> Result<ConversionRow, LedgerError> {
        let missing = || LedgerError::Damaged(format!("the row of conversion `{id}` is missing"));
        ConversionRow::load(self.tables, &self.keys.conversion(id))?.ok_or_else(missing)
    }

    fn put_conversion(&mut self, id: &ConversionId, mut row: ConversionRow) -> Result<(), LedgerError> {
        row.trail.push(self.cursor);
        self.put(&self.keys.conversion(id), &row)
    }

    /// Puts a verdict in force and moves the counters with it. A duplicate counts for nothing.
    fn change_verdict(&mut self, row: &mut ConversionRow, verdict: Verdict, accepted: bool) -> Result<(), LedgerError> {
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

    fn signals(&mut self, event: &SignalsRecorded) -> Result<(), LedgerError> {
        let SignalsRecorded { record_id, content, bundles, received_at } = event;
        for bundle in bundles {
            let number = self.enrol(&bundle.account_id)?;
            self.learn(number, bundle, *received_at, None)?;
        }
        self.take(&self.keys.record(record_id), *content)
    }

    fn take(&mut self, key: &Key, content: ContentFingerprint) -> Result<(), LedgerError> {
        self.put(key, &Taken { content, cursor: self.cursor })
    }

    // What comes later.

    fn outcome(&mut self, event: &OutcomeRecorded) -> Result<(), LedgerError> {
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

    fn case(&mut self, event: &CaseStepped) -> Result<(), LedgerError> {
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

    fn put_case(&mut self, before: Option<&CaseLine>, after: &CaseLine) -> Result<(), LedgerError> {
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

    fn paid(&mut self, event: &RewardPaid) -> Result<(), LedgerError> {
        let mut row = self.conversion(&event.conversion_id)?;
        if row.paid.is_empty() {
            self.list_paid(row.referrer, Side::Referrer, &event.conversion_id)?;
            if row.referee != row.referrer {
                self.list_paid(row.referee, Side::Referee, &event.conversion_id)?;
            }
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

    fn hold(&mut self, event: &HoldChanged) -> Result<(), LedgerError> {
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

    fn list(&mut self, event: &ListChanged) -> Result<(), LedgerError> {
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

/// The key of what stands on the lists of a subject.
pub(super) fn listed_key(keys: Keys, subject: &ListSubject) -> Key {
    match subject {
        ListSubject::Account(id) => keys.listed_account(id),
        ListSubject::Identifier(Identifier { kind, digest }) => keys.listed_value(*kind, digest),
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

/// +1 when something begins to hold, -1 when it ends.
fn step_of(before: bool, after: bool) -> i32 {
    i32::from(after) - i32::from(before)
}

fn says_nothing(bundle: &SignalBundle) -> bool {
    let SignalBundle { account_id: _, account_created_at, emails, names, devices, networks, payments, journey } = bundle;
    account_created_at.is_none()
        && emails.is_empty()
        && names.is_empty()
        && devices.is_empty()
        && networks.is_empty()
        && payments.is_empty()
        && journey.is_empty()
}
