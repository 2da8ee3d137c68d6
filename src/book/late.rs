//! Late facts: conversions to which something was added after they were decided, and that have yet to be looked at again.
//!
//! A fact marks the unpaid conversions that it touches, in the same change that takes it; until each was looked at, the gate holds it. So no order
//! of arrival lets money out that another order would have held. What one fact marks is bounded: of an account with many conversions it marks a
//! piece, the records that follow mark the rest, and until then the gate holds them all.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use smallvec::SmallVec;

use super::Book;
use super::conversions::{ConversionRow, Hands};
use super::records::{Cursor, ListSubject};
use super::slab::{AccountNumber, ConversionNumber, ValueNumber};
use super::values::ValueKind;
use crate::screening::decision::Verdict;
use crate::screening::gate::Accepts;
use crate::screening::history::LOOP_STEPS_MAX;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::ConversionId;

/// Accounts that a new sighting or a rejection touches, beside the account itself.
pub(super) type Touched = SmallVec<[AccountNumber; 8]>;

/// Conversions of an account, on each side, that anything new is looked at with, the newest first. With older ones only what concerns them is: what
/// their other side has too, or what the account did not have of its kind.
const NEWEST: usize = if cfg!(test) { 1 } else { 16 };
/// Accounts of a ring for which it matters who joins or is rejected: in a larger one it makes no difference any more.
pub(super) const RING_TOUCHED_MAX: usize = 64;
/// Conversions of one referee, the newest first, among which those of one referrer are looked for.
const REFERRAL_MAX: usize = 256;
/// Conversions that are marked with one record; whoever has more is swept piece by piece.
const PIECE: usize = if cfg!(test) { 3 } else { 256 };

/// What waits to be looked at again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Late {
    /// Conversions, with the newest record that touched each. In the order in which they came: the oldest money first.
    conversions: BTreeMap<ConversionNumber, Cursor>,
    /// Accounts whose conversions have yet to be marked, in the order of their turns.
    sweeps: VecDeque<Sweep>,
}

/// An account whose conversions are being marked, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
struct Sweep {
    account: AccountNumber,
    /// What comes next on each side.
    as_referrer: Option<ConversionNumber>,
    as_referee: Option<ConversionNumber>,
    /// Whether some were marked already.
    begun: bool,
    /// Whether it was touched again meanwhile, so that those need it once more.
    again: bool,
}

impl Late {
    pub(super) fn contains(&self, number: ConversionNumber) -> bool {
        self.conversions.contains_key(&number)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.conversions.is_empty() && self.sweeps.is_empty()
    }

    /// Whether the conversions of either account have yet to be marked.
    pub(super) fn sweeps(&self, accounts: [AccountNumber; 2]) -> bool {
        self.sweeps.iter().any(|sweep| accounts.contains(&sweep.account))
    }

    /// What was looked at is no more late, unless something else was added meanwhile.
    pub(super) fn looked_at(&mut self, number: ConversionNumber, as_of: Cursor) {
        if self.conversions.get(&number).is_some_and(|touched| *touched <= as_of) {
            self.conversions.remove(&number);
        }
    }
}

impl Book {
    /// Marks the unpaid conversions of accounts, on either side, as touched by the record that is being applied: at once as many as one record marks,
    /// and the gate holds the others until it is their turn.
    pub(super) fn touch(&mut self, accounts: &[AccountNumber]) {
        for account in accounts {
            let newest_as_referrer = self.accounts.get(*account).newest_as_referrer;
            self.begin_sweep(*account, newest_as_referrer);
        }
    }

    /// Marks the unpaid conversions of referees, in the same way.
    pub(super) fn touch_referees(&mut self, accounts: &[AccountNumber]) {
        for account in accounts {
            self.begin_sweep(*account, None);
        }
    }

    fn begin_sweep(&mut self, account: AccountNumber, as_referrer: Option<ConversionNumber>) {
        let as_referee = self.accounts.get(account).newest_as_referee;
        if as_referrer.is_none() && as_referee.is_none() {
            return;
        }
        self.accounts.get_mut(account).changed = self.cursor;
        match self.late.sweeps.iter_mut().find(|sweep| sweep.account == account) {
            Some(sweep) if sweep.begun => sweep.again = true,
            Some(sweep) => sweep.as_referrer = as_referrer.or(sweep.as_referrer),
            None => self.late.sweeps.push_back(Sweep { account, as_referrer, as_referee, begun: false, again: false }),
        }
    }

    /// Goes on with the sweeps, by as much as one record may.
    pub(super) fn sweep(&mut self) {
        let mut budget = PIECE;
        while budget > 0
            && let Some(mut sweep) = self.late.sweeps.pop_front()
        {
            sweep.begun = true;
            for side in [Side::Referrer, Side::Referee] {
                let next = match side {
                    Side::Referrer => &mut sweep.as_referrer,
                    Side::Referee => &mut sweep.as_referee,
                };
                let mut rows = self.conversions_from(*next, side).map(|(number, _)| number);
                let piece: Vec<ConversionNumber> = rows.by_ref().take(budget).collect();
                *next = rows.next();
                drop(rows);
                budget -= piece.len();
                self.touch_all(&piece);
            }
            let ended = sweep.as_referrer.is_none() && sweep.as_referee.is_none();
            if !ended {
                self.late.sweeps.push_back(sweep);
            } else if sweep.again {
                self.touch(&[sweep.account]);
            }
        }
    }

    /// What was decided with this record knew all of it.
    pub(super) fn just_decided(&mut self, id: &ConversionId) {
        if !self.late.conversions.is_empty()
            && let Some(number) = self.conversions.find(id, &self.hasher)
        {
            self.late.looked_at(number, self.cursor);
        }
    }

    /// Marks the newest conversions of an account on each side.
    pub(super) fn touch_newest(&mut self, account: AccountNumber) {
        let known = self.accounts.get(account);
        let sides = [(known.newest_as_referrer, Side::Referrer), (known.newest_as_referee, Side::Referee)];
        for (newest, side) in sides {
            let newest: SmallVec<[ConversionNumber; NEWEST]> =
                self.conversions_from(newest, side).take(NEWEST).map(|(number, _)| number).collect();
            self.touch_all(&newest);
        }
    }

    /// Marks the conversions between an account and others on a value on which it is new, where they are not among its newest.
    pub(super) fn touch_between(&mut self, account: AccountNumber, value: ValueNumber) {
        let known = self.accounts.get(account);
        let sides = [(known.newest_as_referrer, Side::Referrer), (known.newest_as_referee, Side::Referee)];
        if sides.iter().all(|(newest, side)| self.conversions_from(*newest, *side).nth(NEWEST).is_none()) {
            return;
        }
        let others: Vec<AccountNumber> = self.values.sightings(value).iter().map(|seen| seen.account).collect();
        for other in others {
            self.touch_referral(account, other);
            self.touch_referral(other, account);
        }
    }

    /// The referrers of an account's newest conversions, with repeats.
    pub(super) fn referred_by(&self, referee: AccountNumber) -> impl Iterator<Item = AccountNumber> {
        let of_referee = self.conversions_from(self.accounts.get(referee).newest_as_referee, Side::Referee).take(REFERRAL_MAX);
        of_referee.filter(|(_, row)| row.duplicate_of.is_none()).map(|(_, row)| row.referrer)
    }

    /// Marks the conversions of a referrer and a referee.
    pub(super) fn touch_referral(&mut self, referrer: AccountNumber, referee: AccountNumber) {
        if self.conversions.referral(referrer, referee, &self.hasher).is_none() {
            return;
        }
        let of_referee = self.conversions_from(self.accounts.get(referee).newest_as_referee, Side::Referee).take(REFERRAL_MAX);
        let both: Vec<ConversionNumber> =
            of_referee.filter(|(_, row)| row.referrer == referrer).map(|(number, _)| number).collect();
        self.touch_all(&both);
    }

    fn touch_all(&mut self, numbers: &[ConversionNumber]) {
        for number in numbers {
            self.touch_conversion(*number);
        }
    }

    /// Marks one conversion, if it is worth it.
    pub(super) fn touch_conversion(&mut self, number: ConversionNumber) {
        if self.is_worth_another_look(self.conversions.get(number)) {
            self.late.conversions.insert(number, self.cursor);
            self.conversions.get_mut(number).changed = self.cursor;
        }
    }

    /// Marks the referrals that run in a circle now that it is known who referred an account: those of whoever stands above it.
    pub(super) fn touch_loops(&mut self, account: AccountNumber) {
        let above = |number: &AccountNumber| self.accounts.get(*number).referred_by;
        let all_above = std::iter::successors(above(&account), above).take(LOOP_STEPS_MAX.into());
        let mut in_circles: Vec<ConversionNumber> = Vec::new();
        for referee in all_above {
            let of_referee =
                self.conversions_from(self.accounts.get(referee).newest_as_referee, Side::Referee).take(REFERRAL_MAX);
            let in_circle = of_referee.filter(|(_, row)| self.loop_steps(row.referrer, referee).is_some());
            in_circles.extend(in_circle.map(|(number, _)| number));
        }
        self.touch_all(&in_circles);
    }

    /// An account, those on its strong values, and its ring: for them it matters that it was rejected or banned, or is not any more.
    pub(super) fn met_by(&self, account: AccountNumber) -> Touched {
        let mut met: Touched = self.accounts.ring_of(account).take(RING_TOUCHED_MAX).collect();
        let Some(profile) = self.profile(account) else { return met };
        for value in self.values_of(&profile) {
            if matches!(self.values.kind(value), ValueKind::Identifier(kind) if kind.is_strong()) {
                met.extend(self.values.sightings(value).tied());
            }
        }
        met.sort_unstable();
        met.dedup();
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

    /// Whether another look could change what may be paid. What a person rejected stays rejected, what is a repeat stays one, what was paid is paid,
    /// and of what retention removed nothing is left to look at.
    fn is_worth_another_look(&self, row: &ConversionRow) -> bool {
        let unpaid = || row.rewards.iter().any(|number| self.rewards.get(*number).payment().is_none());
        row.cursor >= self.floor
            && (row.verdict, row.hands) != (Verdict::Rejected, Hands::Person)
            && row.duplicate_of.is_none()
            && (row.accepts == Accepts::Any || row.rewards.is_empty() || unpaid())
    }

    /// The conversions that wait longest for another look after one of them, at most so many.
    pub(crate) fn late_after(&self, after: Option<ConversionNumber>, limit: usize) -> Vec<(ConversionNumber, ConversionId)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let waiting = self.late.conversions.range((from, Bound::Unbounded)).take(limit);
        waiting.map(|(number, _)| (*number, self.conversions.get(*number).id.clone())).collect()
    }

    /// Whether accounts have conversions that have yet to be marked.
    pub(super) fn has_sweeps(&self) -> bool {
        !self.late.sweeps.is_empty()
    }

    /// Where nobody will be paid nothing is looked at again.
    pub(super) fn leave_late_alone(&mut self) {
        self.late = Late::default();
    }

    /// Whether anything waits for another look.
    #[must_use]
    pub fn has_late(&self) -> bool {
        !self.late.conversions.is_empty()
    }

    /// How much waits for another look.
    #[must_use]
    pub fn late_count(&self) -> usize {
        self.late.conversions.len()
    }
}

#[cfg(test)]
#[path = "late_tests.rs"]
mod tests;
