//! Late facts: conversions to which something was added after they were decided, and that have yet to be looked at again.
//!
//! A fact marks the unpaid conversions that it touches, in the same change that takes it; until each was looked at, the gate holds it. So no order
//! of arrival lets money out that another order would have held.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::Book;
use super::conversions::ConversionRow;
use super::records::{Cursor, ListSubject};
use super::slab::{AccountNumber, ConversionNumber};
use super::values::ValueKind;
use crate::screening::decision::Verdict;
use crate::screening::history::visit_values;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::ConversionId;

/// Accounts that a new sighting or a rejection touches, beside the account itself.
pub(super) type Touched = SmallVec<[AccountNumber; 8]>;

/// Conversions that wait to be looked at again, with the newest record that touched each. In the order in which they came: the oldest money first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Late(BTreeMap<ConversionNumber, Cursor>);

impl Late {
    pub(super) fn contains(&self, number: ConversionNumber) -> bool {
        self.0.contains_key(&number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was looked at is no more late, unless something else was added meanwhile.
    pub(super) fn looked_at(&mut self, number: ConversionNumber, as_of: Cursor) {
        if self.0.get(&number).is_some_and(|touched| *touched <= as_of) {
            self.0.remove(&number);
        }
    }
}

impl Book {
    /// Marks the unpaid conversions of accounts, on either side, as touched by the record that is being applied.
    pub(super) fn touch(&mut self, accounts: &[AccountNumber]) {
        let cursor = self.cursor;
        for account in accounts {
            let known = self.accounts.get(*account);
            let (as_referrer, as_referee) = (known.newest_as_referrer, known.newest_as_referee);
            let as_referrer = self.conversions_from(as_referrer, Side::Referrer);
            let all = as_referrer.chain(self.conversions_from(as_referee, Side::Referee));
            let touched: Vec<ConversionNumber> =
                all.filter(|(_, row)| self.is_worth_another_look(row)).map(|(number, _)| number).collect();
            for number in touched {
                self.late.0.insert(number, cursor);
                self.conversions.get_mut(number).changed = cursor;
            }
        }
    }

    /// Marks one conversion, if it is worth it.
    pub(super) fn touch_conversion(&mut self, number: ConversionNumber) {
        if self.is_worth_another_look(self.conversions.get(number)) {
            self.late.0.insert(number, self.cursor);
        }
    }

    /// Accounts on the strong values of an account: for them it matters that it was rejected or banned, or is not any more.
    pub(super) fn met_by(&self, account: AccountNumber) -> Touched {
        let mut met = Touched::new();
        let Some(profile) = self.profile(account) else { return met };
        visit_values(&profile, |kind, set, _| {
            for digest in set.iter().filter(|_| kind.is_strong()) {
                let value = self.values.find(ValueKind::Identifier(kind), digest, &self.texts, &self.hasher);
                met.extend(value.into_iter().flat_map(|value| self.values.sightings(value).tied()));
            }
        });
        met.sort_unstable();
        met.dedup();
        met.retain(|other| *other != account);
        met
    }

    /// Accounts that an entry of a list is about.
    pub(super) fn listed(&self, subject: &ListSubject) -> Touched {
        match subject {
            ListSubject::Account(id) => self.accounts.find(id, &self.hasher).into_iter().collect(),
            ListSubject::Identifier(identifier) => {
                let kind = ValueKind::Identifier(identifier.kind);
                let value = self.values.find(kind, &identifier.digest, &self.texts, &self.hasher);
                value.into_iter().flat_map(|value| self.values.sightings(value).iter()).map(|seen| seen.account).collect()
            }
        }
    }

    /// Whether another look could change what may be paid. What was rejected is not made good by what comes later, what is a repeat stays one, what
    /// was paid is paid, and of what retention removed nothing is left to look at.
    fn is_worth_another_look(&self, row: &ConversionRow) -> bool {
        let unpaid = || row.rewards.iter().any(|number| self.rewards.get(*number).payment().is_none());
        row.cursor >= self.floor
            && row.verdict != Verdict::Rejected
            && row.duplicate_of.is_none()
            && (row.rewards.is_empty() || unpaid())
    }

    /// The conversions that wait longest for another look, at most so many.
    pub(crate) fn late(&self, limit: usize) -> Vec<ConversionId> {
        self.late.0.keys().take(limit).map(|number| self.conversions.get(*number).id.clone()).collect()
    }

    /// Whether anything waits for another look.
    #[must_use]
    pub fn has_late(&self) -> bool {
        !self.late.0.is_empty()
    }

    /// How much waits for another look.
    #[must_use]
    pub fn late_count(&self) -> usize {
        self.late.0.len()
    }
}
