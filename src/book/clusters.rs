//! Clusters: undecided cases that are to be looked at together, because their accounts are in one ring or they are of one referrer.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Book;
use super::cases::{Case, Opened};
use super::listings::{Progress, key_of, page_size, token};
use super::query::{Page, PageRequest};
use super::records::{CaseSummary, Cursor, Neighbour};
use super::refusal::Refusal;
use super::slab::{AccountNumber, CaseNumber};
use crate::screening::history::identifiers;
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::money::{Money, Totals};
use crate::vocabulary::time::Timestamp;

/// Accounts of a cluster that are walked; a larger one is shown in part.
pub const CLUSTER_ACCOUNTS_MAX: usize = 500;
/// Undecided cases of a cluster that are shown.
pub const CLUSTER_CASES_MAX: usize = 500;
/// Conversions of one account, on one side, that are looked through for cases: the newest.
const CONVERSIONS_LOOKED_THROUGH: usize = 2_000;
/// Shared values that are shown.
const TIES_MAX: usize = 50;
/// Accounts that are named with one of them.
const TIE_ACCOUNTS_MAX: usize = 100;

/// A line of the list of clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterSummary {
    /// Its name: the account of it that is known longest, of those that stand in its cases.
    pub account_id: AccountId,
    /// Undecided cases in it. At least 2.
    pub cases: u32,
    /// Accounts that stand in its cases.
    pub accounts: u32,
    /// Referrers of its cases.
    pub referrers: u32,
    /// What of the rewards of its cases is not paid yet.
    pub at_stake: Vec<Money>,
    /// What paying all of it would lose on average. Unit: as of a case.
    pub expected_loss: f64,
    /// The highest score in it. Range: [0, 1].
    pub score_max: f64,
    /// The first reason of the case with the highest score.
    pub headline: String,
    /// When its oldest case was opened.
    pub oldest_opened_at: Timestamp,
}

/// An account of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterAccount {
    /// The account.
    pub account_id: AccountId,
    /// Undecided cases of the cluster in which it is the referrer.
    pub cases_as_referrer: u32,
    /// Undecided cases of the cluster in which it is the referee.
    pub cases_as_referee: u32,
    /// Whether one of its conversions as the referee stands rejected, or it is banned.
    pub stands_rejected: bool,
}

/// A cluster as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterFile {
    /// Its line.
    pub summary: ClusterSummary,
    /// Its accounts, those of its rings that stand in no case included; in order of id. At most 500.
    pub accounts: Vec<ClusterAccount>,
    /// The values that tie them: each with at most 100 of the accounts that have it, the rarest first. At most 50.
    pub ties: Vec<Neighbour>,
    /// Its undecided cases, what would lose most first. At most 500.
    pub cases: Vec<CaseSummary>,
    /// Whether all of it is here.
    pub complete: bool,
}

/// What is kept of a case while clusters are put together.
#[derive(Debug)]
struct Seen {
    sides: [AccountNumber; 2],
    rings: [AccountNumber; 2],
    summary: CaseSummary,
}

/// The clusters of a programme on their way.
#[derive(Debug)]
pub struct ClusterCount {
    payout: PayoutPolicy,
    now: Timestamp,
    size: usize,
    after: Option<Vec<u8>>,
    past: Option<Opened>,
    seen: Vec<Seen>,
    changed: Cursor,
}

impl ClusterCount {
    /// Begins.
    ///
    /// # Errors
    /// [`Refusal::PageToken`] for the token of another listing.
    pub fn begin(page: &PageRequest, payout: PayoutPolicy, now: Timestamp) -> Result<Self, Refusal> {
        let after = page.after.as_ref().map(|token| key_of('c', token)).transpose()?;
        Ok(Self { payout, now, size: page_size(page), after, past: None, seen: Vec::new(), changed: Cursor(0) })
    }

    /// Takes the next piece.
    pub fn advance(&mut self, book: &Book) -> Progress {
        self.changed = self.changed.max(book.cases.changed);
        let Self { payout, now, past, seen, .. } = self;
        book.next_waiting(past, payout, |case| seen.push(book.seen(case, *now)))
    }

    /// The page, and the newest record that it is made of. Those of which paying out would lose most come first.
    #[must_use]
    pub fn finish(self) -> (Page<ClusterSummary>, Cursor) {
        let mut sets = Sets::default();
        for seen in &self.seen {
            let [a, b] = seen.rings;
            sets.join(a, b);
        }
        let mut clusters: BTreeMap<AccountNumber, Vec<&Seen>> = BTreeMap::new();
        for seen in &self.seen {
            clusters.entry(sets.root(seen.rings[0])).or_default().push(seen);
        }
        let lines = clusters.into_values().filter(|cases| cases.len() > 1).map(|cases| summary_of(&cases));
        let mut places: BTreeMap<Vec<u8>, ClusterSummary> = lines.map(|line| (place_of(&line), line)).collect();
        let total = places.len() as u64;
        if let Some(after) = &self.after {
            places = places.split_off(after);
            places.remove(after);
        }
        let more = places.len() > self.size;
        let mut entries: Vec<(Vec<u8>, ClusterSummary)> = places.into_iter().take(self.size).collect();
        let next = entries.last().filter(|_| more).map(|(place, _)| token('c', place));
        let entries = entries.drain(..).map(|(_, line)| line).collect();
        (Page { entries, next, total: Some(total) }, self.changed)
    }
}

/// Where a cluster stands in the list.
fn place_of(line: &ClusterSummary) -> Vec<u8> {
    let mut place = (u64::MAX - line.expected_loss.to_bits()).to_be_bytes().to_vec();
    place.extend_from_slice(&(u32::MAX - line.cases).to_be_bytes());
    place.extend_from_slice(line.account_id.as_str().as_bytes());
    place
}

fn summary_of(cases: &[&Seen]) -> ClusterSummary {
    let count = |set: BTreeSet<AccountNumber>| u32::try_from(set.len()).unwrap_or(u32::MAX);
    let mut oldest: Option<(AccountNumber, &AccountId)> = None;
    let mut worst: Option<&CaseSummary> = None;
    let mut oldest_opened_at: Option<Timestamp> = None;
    for seen in cases {
        let summary = &seen.summary;
        for (number, id) in seen.sides.into_iter().zip([&summary.referrer, &summary.referee]) {
            // Numbers are given in the order in which accounts became known.
            if oldest.is_none_or(|(known, _)| number < known) {
                oldest = Some((number, id));
            }
        }
        if worst.is_none_or(|worst| summary.score > worst.score) {
            worst = Some(summary);
        }
        oldest_opened_at = Some(oldest_opened_at.map_or(summary.opened_at, |at| at.min(summary.opened_at)));
    }
    ClusterSummary {
        // INVARIANT: a cluster is made of at least one case.
        account_id: oldest.map_or_else(|| cases[0].summary.referrer.clone(), |(_, id)| id.clone()),
        cases: u32::try_from(cases.len()).unwrap_or(u32::MAX),
        accounts: count(cases.iter().flat_map(|seen| seen.sides).collect()),
        referrers: count(cases.iter().map(|seen| seen.sides[0]).collect()),
        at_stake: cases.iter().flat_map(|seen| seen.summary.at_stake.iter().copied()).collect::<Totals>().amounts(),
        expected_loss: cases.iter().fold(0.0, |sum, seen| sum + seen.summary.expected_loss()),
        score_max: worst.map_or(0.0, |case| case.score),
        headline: worst.map(|case| case.headline.clone()).unwrap_or_default(),
        oldest_opened_at: oldest_opened_at.unwrap_or_else(|| cases[0].summary.opened_at),
    }
}

/// Which rings belong together.
#[derive(Debug, Default)]
struct Sets(BTreeMap<AccountNumber, AccountNumber>);

impl Sets {
    fn root(&mut self, of: AccountNumber) -> AccountNumber {
        let mut root = of;
        while let Some(above) = self.0.get(&root).copied() {
            root = above;
        }
        let mut at = of;
        while at != root {
            at = self.0.insert(at, root).unwrap_or(root);
        }
        root
    }

    fn join(&mut self, a: AccountNumber, b: AccountNumber) {
        let (a, b) = (self.root(a), self.root(b));
        if a != b {
            self.0.insert(a.max(b), a.min(b));
        }
    }
}

impl Book {
    fn seen(&self, case: &Case, now: Timestamp) -> Seen {
        let row = self.conversions.get(case.conversion);
        let sides = [row.referrer, row.referee];
        Seen { sides, rings: sides.map(|account| self.accounts.ring_root(account)), summary: self.line_of(case, now) }
    }

    /// The cluster that an account is in; `None` when the account is not known, or no undecided case leads to it.
    pub(crate) fn cluster(&self, account: &AccountId, policy: &PayoutPolicy, now: Timestamp) -> Option<ClusterFile> {
        let (start, _) = self.accounts.known(account, &self.hasher)?;
        let Walk { accounts, cases, complete } = self.walk_from(start, policy);
        let mut seen: Vec<Seen> = cases.iter().map(|number| self.seen(self.cases.rows.get(*number), now)).collect();
        if seen.is_empty() {
            return None;
        }
        let summary = summary_of(&seen.iter().collect::<Vec<_>>());
        let mut shown: Vec<ClusterAccount> = accounts.iter().map(|number| self.in_cluster(*number, &seen)).collect();
        shown.sort_by(|a, b| a.account_id.cmp(&b.account_id));
        let loss = |seen: &Seen| seen.summary.expected_loss();
        seen.sort_by(|a, b| {
            let by_score = b.summary.score.total_cmp(&a.summary.score);
            loss(b).total_cmp(&loss(a)).then(by_score).then_with(|| a.summary.case_id.cmp(&b.summary.case_id))
        });
        let ties = self.ties(&accounts);
        Some(ClusterFile { summary, accounts: shown, ties, cases: seen.into_iter().map(|seen| seen.summary).collect(), complete })
    }

    /// The accounts and undecided cases that an account leads to.
    fn walk_from(&self, start: AccountNumber, policy: &PayoutPolicy) -> Walk {
        let mut walk = Walk { accounts: BTreeSet::new(), cases: BTreeSet::new(), complete: true };
        let mut next = VecDeque::from([start]);
        while let Some(account) = next.pop_front() {
            if walk.accounts.contains(&account) {
                continue;
            }
            for member in self.accounts.ring_of(account) {
                if walk.accounts.contains(&member) {
                    continue;
                }
                if walk.accounts.len() >= CLUSTER_ACCOUNTS_MAX {
                    walk.complete = false;
                    return walk;
                }
                walk.accounts.insert(member);
                for (case, sides) in self.undecided_of(member, policy) {
                    if walk.cases.len() >= CLUSTER_CASES_MAX {
                        walk.complete = false;
                        return walk;
                    }
                    walk.cases.insert(case);
                    next.extend(sides);
                }
            }
        }
        walk
    }

    fn undecided_of(
        &self,
        account: AccountNumber,
        policy: &PayoutPolicy,
    ) -> impl Iterator<Item = (CaseNumber, [AccountNumber; 2])> {
        let known = self.accounts.get(account);
        let of = |newest, side| self.conversions_from(newest, side).take(CONVERSIONS_LOOKED_THROUGH);
        let all = of(known.newest_as_referrer, Side::Referrer).chain(of(known.newest_as_referee, Side::Referee));
        all.filter_map(move |(_, row)| {
            let number = row.case?;
            let case = self.cases.rows.get(number);
            let waits = case.is_undecided() && row.cursor >= self.floor && !self.needs_nobody(case, policy);
            waits.then_some((number, [row.referrer, row.referee]))
        })
    }

    fn in_cluster(&self, number: AccountNumber, cases: &[Seen]) -> ClusterAccount {
        let account = self.accounts.get(number);
        let count = |side: usize| cases.iter().filter(|seen| seen.sides[side] == number).count();
        ClusterAccount {
            account_id: account.id.clone(),
            cases_as_referrer: u32::try_from(count(0)).unwrap_or(u32::MAX),
            cases_as_referee: u32::try_from(count(1)).unwrap_or(u32::MAX),
            stands_rejected: account.stands_rejected(),
        }
    }

    /// The values that at least two of some accounts have, the rarest first, each with those accounts.
    fn ties(&self, accounts: &BTreeSet<AccountNumber>) -> Vec<Neighbour> {
        let mut on: BTreeMap<_, Vec<AccountNumber>> = BTreeMap::new();
        for account in accounts {
            for identifier in self.profile(*account).map(|profile| identifiers(&profile)).unwrap_or_default() {
                on.entry(identifier).or_default().push(*account);
            }
        }
        let mut ties: Vec<Neighbour> = on
            .into_iter()
            .filter(|(_, accounts)| accounts.len() > 1)
            .filter_map(|(identifier, accounts)| {
                let tie = self.on_value(identifier, Vec::new(), [accounts[0]; 2])?;
                let mut ids: Vec<AccountId> = accounts.iter().map(|number| self.accounts.get(*number).id.clone()).collect();
                ids.sort_unstable();
                ids.truncate(TIE_ACCOUNTS_MAX);
                Some(Neighbour { accounts: ids, ..tie })
            })
            .collect();
        ties.sort_by(Neighbour::rarest_first);
        ties.truncate(TIES_MAX);
        ties
    }

    /// The accounts whose signals [`Book::cluster`] looks at.
    pub(crate) fn accounts_of_cluster(&self, account: &AccountId, policy: &PayoutPolicy) -> Vec<AccountNumber> {
        let start = self.accounts.find(account, &self.hasher);
        start.map(|start| self.walk_from(start, policy).accounts.into_iter().collect()).unwrap_or_default()
    }
}

/// What an account leads to.
struct Walk {
    accounts: BTreeSet<AccountNumber>,
    cases: BTreeSet<CaseNumber>,
    complete: bool,
}
