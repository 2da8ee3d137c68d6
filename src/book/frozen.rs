//! A book as it stood at one record, cheap to take: what is written to snapshots, and what a book is made of again. Indexes are not part of it;
//! they are made again too.

use std::hash::{Hash, Hasher as _};
use std::sync::Arc;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::accounts::{Account, Accounts};
use super::acts::Acts;
use super::cases::{Case, Cases};
use super::cold::{ColdTotals, hash_of};
use super::conversions::{ConversionRow, Conversions, Pattern, Referral};
use super::directory::Directory;
use super::erasures::Erasures;
use super::index::Hasher;
use super::intake::Intake;
use super::late::Late;
use super::models::ProgramModels;
use super::outcomes::{OutcomeRow, Outcomes, Spread};
use super::records::{Cursor, Hold, ListEntry};
use super::rewards::{Reward, Rewards};
use super::slab::{
    AccountNumber, CaseNumber, ConversionNumber, CrowdNumber, MessageNumber, OutcomeNumber, PairNumber, PatternNumber,
    ReferralNumber, RenameNumber, RewardNumber, Slab, TextNumber, ValueNumber,
};
use super::terms::ProgramTerms;
use super::texts::Texts;
use super::values::{Sighting, Value, Values};
use super::{Book, Message, Messages};
use crate::vocabulary::time::Timestamp;

/// What is not in rows.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Totals {
    pub(crate) cursor: Cursor,
    holds: Vec<(Hold, Cursor)>,
    holds_changed: Cursor,
    lists: Vec<(ListEntry, Cursor)>,
    lists_changed: Cursor,
    cases_changed: Cursor,
    pending: Vec<OutcomeNumber>,
    pending_changed: Cursor,
    spreads: Vec<Spread>,
    late: Late,
    latest: Timestamp,
    cold: ColdTotals,
    models: Arc<ProgramModels>,
    terms: Arc<ProgramTerms>,
    directory: Arc<Directory>,
    acts: Arc<Acts>,
    erasures: Erasures,
    intake: Arc<Intake>,
}

/// A frozen book. The rows are shared with the book until it changes them.
#[derive(Debug)]
pub(crate) struct Frozen {
    pub(crate) totals: Totals,
    pub(crate) texts: Slab<TextNumber, Arc<str>>,
    pub(crate) values: Slab<ValueNumber, Value>,
    pub(crate) crowds: Slab<CrowdNumber, Arc<Vec<Sighting>>>,
    pub(crate) pairs: Slab<PairNumber, (ValueNumber, ValueNumber)>,
    pub(crate) renames: Slab<RenameNumber, (ValueNumber, ValueNumber)>,
    pub(crate) accounts: Slab<AccountNumber, Account>,
    pub(crate) conversions: Slab<ConversionNumber, ConversionRow>,
    pub(crate) referrals: Slab<ReferralNumber, Referral>,
    pub(crate) patterns: Slab<PatternNumber, Pattern>,
    pub(crate) rewards: Slab<RewardNumber, Reward>,
    pub(crate) outcomes: Slab<OutcomeNumber, OutcomeRow>,
    pub(crate) cases: Slab<CaseNumber, Case>,
    pub(crate) messages: Slab<MessageNumber, Message>,
}

impl Book {
    /// Freezes the book: pointers are copied, rows are not.
    pub(crate) fn freeze(&self) -> Frozen {
        Frozen {
            totals: Totals {
                cursor: self.cursor,
                holds: self.holds.values().cloned().collect(),
                holds_changed: self.holds_changed,
                lists: self.lists.values().cloned().collect(),
                lists_changed: self.lists_changed,
                cases_changed: self.cases.changed,
                pending: self.outcomes.waiting().collect(),
                pending_changed: self.outcomes.pending_changed,
                spreads: self.outcomes.spreads.clone(),
                late: self.late.clone(),
                latest: self.latest,
                cold: self.cold,
                models: Arc::clone(&self.models),
                terms: Arc::clone(&self.terms),
                directory: Arc::clone(&self.directory),
                acts: Arc::clone(&self.acts),
                erasures: self.erasures.clone(),
                intake: Arc::clone(&self.intake),
            },
            texts: self.texts.rows.clone(),
            values: self.values.rows.clone(),
            crowds: self.values.crowds.clone(),
            pairs: self.values.pairs.clone(),
            renames: self.values.renames().clone(),
            accounts: self.accounts.rows.clone(),
            conversions: self.conversions.rows.clone(),
            referrals: self.conversions.referrals.clone(),
            patterns: self.conversions.patterns.clone(),
            rewards: self.rewards.rows.clone(),
            outcomes: self.outcomes.rows.clone(),
            cases: self.cases.rows.clone(),
            messages: self.messages.rows.clone(),
        }
    }

    /// The book of what was frozen.
    pub(crate) fn thaw(frozen: Frozen, seed: u64) -> Self {
        let Frozen {
            totals:
                Totals {
                    cursor,
                    holds,
                    holds_changed,
                    lists,
                    lists_changed,
                    cases_changed,
                    pending,
                    pending_changed,
                    spreads,
                    late,
                    latest,
                    cold,
                    models,
                    terms,
                    directory,
                    acts,
                    erasures,
                    intake,
                },
            texts,
            values,
            crowds,
            pairs,
            renames,
            accounts,
            conversions,
            referrals,
            patterns,
            rewards,
            outcomes,
            cases,
            messages,
        } = frozen;
        let hasher = Hasher::new(seed);
        let profile_bytes = accounts.iter().filter_map(|(_, account)| Some(account.signals.here()?.bytes())).sum();
        let profiles = accounts.iter().filter(|(_, account)| account.signals.here().is_some()).count();
        let mut values = Values::of_rows(values, crowds, pairs, renames, &hasher);
        values.count_cold(cold.fingerprints);
        let mut cases = Cases::of_rows(cases);
        cases.changed = cases_changed;
        Self {
            cursor,
            floor: Cursor(1),
            texts: Texts::of_rows(texts, &hasher),
            values,
            accounts: Accounts::of_rows(accounts, &hasher),
            conversions: Conversions::of_rows(conversions, referrals, patterns, &hasher),
            cases,
            messages: Messages::of_rows(messages, &hasher),
            rewards: Rewards::of_rows(rewards, &hasher),
            outcomes: Outcomes::of_rows(outcomes, pending, pending_changed, spreads, &hasher),
            late,
            latest,
            models,
            terms,
            directory,
            acts,
            erasures,
            intake,
            holds: Arc::new(holds.into_iter().map(|(hold, at)| (hold.hold_id.clone(), (hold, at))).collect()),
            holds_changed,
            lists: Arc::new(lists.into_iter().map(|(entry, at)| ((entry.list, entry.subject.clone()), (entry, at))).collect()),
            lists_changed,
            profile_bytes,
            profiles,
            cold,
            hasher,
        }
    }

    /// A hash of everything that the book knows, the same for every book that the same events made, whatever of it is cold. Not kept anywhere: it
    /// may differ between builds.
    #[must_use]
    pub fn digest(&self) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        self.cursor.hash(&mut hasher);
        of_rows(&self.texts.rows, &mut hasher);
        let values = self.values.rows.iter().map(|(number, value)| hash_of(number, value));
        let profiles =
            self.accounts.rows.iter().filter_map(|(number, account)| Some(hash_of(number, &**account.signals.here()?)));
        self.values.rows.len().hash(&mut hasher);
        values.chain(profiles).fold(self.cold.sum, u128::wrapping_add).hash(&mut hasher);
        of_rows(&self.values.crowds, &mut hasher);
        of_rows(&self.values.pairs, &mut hasher);
        of_rows(self.values.renames(), &mut hasher);
        of_rows(&self.accounts.rows, &mut hasher);
        of_rows(&self.conversions.rows, &mut hasher);
        of_rows(&self.conversions.referrals, &mut hasher);
        of_rows(&self.conversions.patterns, &mut hasher);
        of_rows(&self.rewards.rows, &mut hasher);
        of_rows(&self.outcomes.rows, &mut hasher);
        self.outcomes.pending.hash(&mut hasher);
        self.outcomes.spreads.hash(&mut hasher);
        self.late.hash(&mut hasher);
        self.models.hash(&mut hasher);
        self.terms.hash(&mut hasher);
        self.directory.hash(&mut hasher);
        self.intake.hash(&mut hasher);
        of_rows(&self.messages.rows, &mut hasher);
        for (_, case) in self.cases.rows.iter() {
            // Scores have no hash of their own; what is printed of one says it whole.
            hasher.write(format!("{case:?}").as_bytes());
        }
        hasher.write(format!("{:?}{:?}{:?}", self.holds, self.lists, self.acts).as_bytes());
        hasher.finish128().as_u128()
    }
}

fn of_rows<N: super::slab::Number, T: Hash + Clone>(slab: &Slab<N, T>, hasher: &mut SipHasher13) {
    slab.len().hash(hasher);
    slab.iter().for_each(|(_, row)| row.hash(hasher));
}
