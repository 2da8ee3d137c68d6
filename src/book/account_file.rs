//! An account as a reviewer sees it: its conversions on both sides, what they earn it, the values that it shares with others, its ring, and what was
//! said of it.

use super::Book;
use super::accounts::Account;
use super::conversions::ConversionRow;
use super::listings::{key_of, page_size, token};
use super::outcomes::OutcomeState;
use super::query::{Page, PageRequest};
use super::records::{Hold, HoldSubject, ListEntry, ListSubject, Neighbour};
use super::refusal::Refusal;
use super::slab::{AccountNumber, ConversionNumber};
use crate::screening::decision::Verdict;
use crate::screening::gate::{Asker, Gate, RewardStanding, RewardState, Standing, check};
use crate::screening::history::{Identifier, ListKind, identifiers};
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::conversion::{ConversionKind, Side};
use crate::vocabulary::ids::{AccountId, CaseId, ConversionId};
use crate::vocabulary::money::{Money, Totals};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

/// Conversions of one side whose money is added up: the newest.
pub const ADDED_UP_MAX: usize = 1_000;
/// Conversions in which the account is the referee that are shown: the newest.
const AS_REFEREE_MAX: usize = 20;
/// Values that are shown.
const VALUES_MAX: usize = 50;
/// Accounts of a ring that are shown.
const RING_SHOWN_MAX: usize = 50;

/// A conversion beside others of the same account.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountConversion {
    /// The conversion.
    pub conversion_id: ConversionId,
    /// The account on the other side.
    pub other: AccountId,
    /// What it is.
    pub kind: ConversionKind,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// What it paid; absent when nothing, or not known.
    pub value: Option<Money>,
    /// The verdict in force.
    pub verdict: Verdict,
    /// What the gate sees of it, under the policy.
    pub standing: Standing,
    /// Its case; absent when it never had one.
    pub case_id: Option<CaseId>,
}

/// What conversions earn an account, one amount for each currency. Rewards of unknown amount are not in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Earnings {
    /// Was paid.
    pub paid: Vec<Money>,
    /// Is reserved by a payer.
    pub reserved: Vec<Money>,
    /// May be paid now.
    pub due: Vec<Money>,
    /// Waits: for a reviewer, for the payout delay, for a hold to be lifted.
    pub held: Vec<Money>,
    /// Will never be paid.
    pub denied: Vec<Money>,
    /// Conversions that were added up: the newest, at most [`ADDED_UP_MAX`] of each side.
    pub conversions: usize,
}

/// Counts of the users that an account referred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReferralCounts {
    /// Users it referred.
    pub all: u32,
    /// Of these, referrals that stand rejected.
    pub rejected: u32,
    /// Of these, referrals that a reviewer accepted.
    pub accepted: u32,
    /// Of these, referrals that were refunded or disputed.
    pub refunded: u32,
    /// Of these, referrals whose code came only at the checkout.
    pub after_checkout: u32,
}

/// The accounts that an account is tied to by strong values, itself included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ring {
    /// How many there are. At least 1.
    pub accounts: u32,
    /// Of these, accounts that stand rejected or banned.
    pub rejected: u32,
    /// Some of the others, in order of id. At most 50.
    pub others: Vec<AccountId>,
}

/// What was reported of an account as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountOutcome {
    /// What.
    pub kind: OutcomeKind,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// Why, in words; empty when none were given.
    pub note: String,
}

/// Everything that is known of an account, for a person.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountFile {
    /// The account.
    pub account_id: AccountId,
    /// When its first signals came; absent when only a hold, a list or a ban named it.
    pub first_seen_at: Option<Timestamp>,
    /// When the product opened it; absent when it did not tell.
    pub opened_at: Option<Timestamp>,
    /// Its first referrer.
    pub referred_by: Option<AccountId>,
    /// Since when it is banned; absent when it is not.
    pub banned_at: Option<Timestamp>,
    /// Whom it referred, in numbers.
    pub referrals: ReferralCounts,
    /// What its conversions earn it.
    pub earnings: Earnings,
    /// Its conversions as the referrer, newest first: a page.
    pub as_referrer: Page<AccountConversion>,
    /// Its conversions as the referee, newest first. At most 20.
    pub as_referee: Vec<AccountConversion>,
    /// Its values that others have too, the rarest first. At most 50.
    pub shared: Vec<Neighbour>,
    /// Its ring.
    pub ring: Ring,
    /// Holds in force on it and on the referrals that are shown.
    pub holds: Vec<Hold>,
    /// Entries of lists on it and on its values.
    pub listed: Vec<ListEntry>,
    /// What was reported of it as a whole and stands, oldest first.
    pub outcomes: Vec<AccountOutcome>,
}

impl Book {
    /// An account as a whole, with a page of its conversions as the referrer; `None` when it is not known.
    ///
    /// # Errors
    /// [`Refusal::PageToken`] for the token of another listing.
    pub(crate) fn account_file(
        &self,
        id: &AccountId,
        page: &PageRequest,
        policy: &PayoutPolicy,
        now: Timestamp,
    ) -> Result<Option<AccountFile>, Refusal> {
        let Some((number, account)) = self.accounts.known(id, &self.hasher) else { return Ok(None) };
        let referring = account.referring();
        let as_referrer = self.page_of_referrer(account, page, policy)?;
        let as_referee: Vec<AccountConversion> = self
            .kept_conversions(account, Side::Referee)
            .take(AS_REFEREE_MAX)
            .map(|row| self.beside(row, Side::Referee, policy))
            .collect();
        let shown = as_referrer.entries.iter().chain(&as_referee).map(|conversion| &conversion.conversion_id);
        let holds = self.holds_on(id, &shown.collect::<Vec<_>>());
        let values = self.profile(number).map(|profile| identifiers(&profile)).unwrap_or_default();
        Ok(Some(AccountFile {
            account_id: id.clone(),
            first_seen_at: account.first_seen_at,
            opened_at: account.opened_at,
            referred_by: account.referred_by.map(|number| self.accounts.get(number).id.clone()),
            banned_at: referring.banned_at,
            referrals: ReferralCounts {
                all: referring.referrals,
                rejected: referring.referrals_rejected,
                accepted: referring.referrals_accepted,
                refunded: referring.referrals_refunded,
                after_checkout: referring.referrals_after_checkout,
            },
            earnings: self.earnings(account, policy, now),
            as_referrer,
            as_referee,
            shared: self.shared_by(number, &values),
            ring: self.ring_shown(number),
            holds,
            listed: self.listed_of(id, values),
            outcomes: self.told_of(account),
        }))
    }

    /// The conversions of an account on one side whose records are kept, newest first.
    fn kept_conversions(&self, account: &Account, side: Side) -> impl Iterator<Item = &ConversionRow> {
        let newest = match side {
            Side::Referrer => account.newest_as_referrer,
            Side::Referee => account.newest_as_referee,
        };
        self.conversions_from(newest, side).map(|(_, row)| row).filter(|row| row.cursor >= self.floor)
    }

    fn page_of_referrer(
        &self,
        account: &Account,
        page: &PageRequest,
        policy: &PayoutPolicy,
    ) -> Result<Page<AccountConversion>, Refusal> {
        let size = page_size(page);
        let after = page.after.as_ref().map(|token| self.conversion_named(account, &key_of('a', token)?)).transpose()?;
        let rows = self.kept_conversions(account, Side::Referrer);
        let passed = |row: &&ConversionRow| after.is_some_and(|after| row.cursor >= self.conversions.get(after).cursor);
        let mut rows: Vec<&ConversionRow> = rows.skip_while(passed).take(size + 1).collect();
        let more = rows.len() > size;
        rows.truncate(size);
        let next = rows.last().filter(|_| more).map(|row| token('a', row.id.as_str().as_bytes()));
        let entries = rows.into_iter().map(|row| self.beside(row, Side::Referrer, policy)).collect();
        Ok(Page { entries, next, total: None })
    }

    /// The conversion that a token names, if it is one of the account's as the referrer.
    fn conversion_named(&self, account: &Account, key: &[u8]) -> Result<ConversionNumber, Refusal> {
        let id = std::str::from_utf8(key).ok().and_then(|id| ConversionId::new(id).ok()).ok_or(Refusal::PageToken)?;
        let (number, row) = self.row(&id).ok_or(Refusal::PageToken)?;
        if self.accounts.get(row.referrer).id == account.id { Ok(number) } else { Err(Refusal::PageToken) }
    }

    /// A conversion as it stands beside others of the account on a side of it.
    pub(super) fn beside(&self, row: &ConversionRow, side: Side, policy: &PayoutPolicy) -> AccountConversion {
        let (referrer, referee) = self.sides_of(row);
        AccountConversion {
            conversion_id: row.id.clone(),
            other: match side {
                Side::Referrer => referee,
                Side::Referee => referrer,
            },
            kind: row.kind,
            occurred_at: row.occurred_at,
            value: row.value,
            verdict: row.verdict,
            standing: self.standing_of(row).under(policy),
            case_id: row.case.map(|_| CaseId::of(&row.id)),
        }
    }

    /// The referrer's other conversions, newest first.
    pub(crate) fn others_of_referrer(&self, of: &ConversionId, most: usize, policy: &PayoutPolicy) -> Vec<AccountConversion> {
        let Some((_, row)) = self.row(of) else { return Vec::new() };
        let all = self.kept_conversions(self.accounts.get(row.referrer), Side::Referrer);
        all.filter(|other| other.id != *of).take(most).map(|other| self.beside(other, Side::Referrer, policy)).collect()
    }

    fn earnings(&self, account: &Account, policy: &PayoutPolicy, now: Timestamp) -> Earnings {
        let [mut paid, mut reserved, mut due, mut held, mut denied] = [(); 5].map(|()| Totals::default());
        let mut conversions = 0;
        for side in [Side::Referrer, Side::Referee] {
            for row in self.kept_conversions(account, side).take(ADDED_UP_MAX) {
                conversions += 1;
                let standing = self.standing_of(row);
                // Whose a reward is that only a payer named was never told: the referrer's.
                let own = |reward: &&RewardStanding| reward.beneficiary.unwrap_or(Side::Referrer) == side;
                for reward in standing.rewards.iter().filter(own) {
                    let RewardStanding { reward_id, beneficiary: _, amount: worth, state } = reward;
                    let answer = || check(Some(&standing), reward_id, Asker::Anybody, policy, now).gate;
                    let (sum, amount) = match state {
                        RewardState::Paid { amount } => (&mut paid, amount.or(*worth)),
                        RewardState::Elsewhere => continue,
                        RewardState::Reserved { amount, until, .. } if now < *until => (&mut reserved, amount.or(*worth)),
                        RewardState::Reserved { .. } | RewardState::Unpaid => match answer() {
                            Gate::Release => (&mut due, standing.payable(*worth)),
                            Gate::Hold => (&mut held, standing.payable(*worth)),
                            Gate::Deny => (&mut denied, *worth),
                        },
                    };
                    sum.extend(amount);
                }
            }
        }
        let [paid, reserved, due, held, denied] = [paid, reserved, due, held, denied].map(|totals| totals.amounts());
        Earnings { paid, reserved, due, held, denied, conversions }
    }

    /// The values of an account that others have too, the rarest first.
    fn shared_by(&self, number: AccountNumber, values: &[Identifier]) -> Vec<Neighbour> {
        let on = |identifier: &Identifier| self.on_value(identifier.clone(), Vec::new(), [number; 2]);
        let mut shared: Vec<Neighbour> = values.iter().filter_map(on).collect();
        shared.sort_by(Neighbour::rarest_first);
        shared.truncate(VALUES_MAX);
        shared
    }

    fn ring_shown(&self, number: AccountNumber) -> Ring {
        let root = self.accounts.get(self.accounts.ring_root(number)).ring;
        let mut others: Vec<AccountId> =
            self.accounts.ring_of(number).skip(1).take(RING_SHOWN_MAX).map(|other| self.accounts.get(other).id.clone()).collect();
        others.sort_unstable();
        Ring { accounts: root.accounts, rejected: root.rejected, others }
    }

    fn holds_on(&self, id: &AccountId, shown: &[&ConversionId]) -> Vec<Hold> {
        let on_it = |hold: &&Hold| match &hold.subject {
            HoldSubject::Referrer(account) => account == id,
            HoldSubject::Conversion(conversion) => shown.contains(&conversion),
        };
        self.holds.values().map(|(hold, _)| hold).filter(on_it).cloned().collect()
    }

    /// Entries of lists on an account and on its values.
    fn listed_of(&self, id: &AccountId, values: Vec<Identifier>) -> Vec<ListEntry> {
        let subjects = std::iter::once(ListSubject::Account(id.clone())).chain(values.into_iter().map(ListSubject::Identifier));
        let on = |subject: ListSubject| {
            let list = move |list| self.lists.get(&(list, subject.clone())).map(|(entry, _)| entry.clone());
            [ListKind::Blocked, ListKind::Trusted].into_iter().filter_map(list).collect::<Vec<_>>()
        };
        subjects.flat_map(on).collect()
    }

    fn told_of(&self, account: &Account) -> Vec<AccountOutcome> {
        let told = account
            .referring()
            .outcomes
            .iter()
            .map(|number| self.outcomes.get(*number))
            .filter(|row| row.state == OutcomeState::InForce);
        let mut told: Vec<AccountOutcome> =
            told.map(|row| AccountOutcome { kind: row.kind, occurred_at: row.occurred_at, note: row.note.clone() }).collect();
        told.sort_by_key(|outcome| outcome.occurred_at);
        told
    }
}
