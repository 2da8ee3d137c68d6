//! Accounts: what is remembered of each, and where it stands in its ring (union by size).

use std::hash;
use std::sync::Arc;

use super::cold::Mark;
use super::index::{Hasher, Index};
use super::profiles::Profile;
use super::records::Cursor;
use super::slab::{AccountNumber, ConversionNumber, Number as _, OutcomeNumber, Slab};
use crate::screening::history::RECENT_REFERRALS_MAX;
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::time::Timestamp;

/// What the text of an id takes on the heap: two counters and 36 characters, rounded up by the allocator.
pub(super) const ID_BYTES: usize = 56;

/// The bare number of an account, 0 for nobody: for sums over crowds.
pub(super) trait NobodyOr {
    fn number(self) -> u32;
}

impl NobodyOr for Option<AccountNumber> {
    fn number(self) -> u32 {
        self.map_or(0, |account| account.get().get())
    }
}

/// The merged signals of an account.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(super) enum Signals {
    /// It never sent any.
    #[default]
    None,
    Here(Arc<Profile>),
    /// They are cold: whoever looks at them brings them back first.
    Cold(Mark),
}

impl Signals {
    /// The profile; absent when there is none, or it is cold.
    pub(super) fn here(&self) -> Option<&Arc<Profile>> {
        match self {
            Self::Here(profile) => Some(profile),
            Self::None | Self::Cold(_) => None,
        }
    }
}

/// An account.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Account {
    pub(super) id: AccountId,
    /// When its first signals came; absent when only a hold or a ban named it.
    pub(super) first_seen_at: Option<Timestamp>,
    /// When the product opened it; absent when it did not tell.
    pub(super) opened_at: Option<Timestamp>,
    /// Its first referrer.
    pub(super) referred_by: Option<AccountNumber>,
    /// The newest conversion in which it is the referrer, duplicates included; each conversion names the one before.
    pub(super) newest_as_referrer: Option<ConversionNumber>,
    /// The same for the referee.
    pub(super) newest_as_referee: Option<ConversionNumber>,
    /// Conversions that stand rejected and in which it is the referee.
    pub(super) rejected_as_referee: u32,
    pub(super) ring: RingNode,
    pub(super) signals: Signals,
    /// What most accounts never need: of referrers, and of those that were held or banned.
    pub(super) referring: Option<Arc<Referring>>,
    /// The record that last changed what the gate reads of it.
    pub(super) changed: Cursor,
}

/// All of it but its signals, which may be cold.
impl hash::Hash for Account {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        let Self {
            id,
            first_seen_at,
            opened_at,
            referred_by,
            newest_as_referrer,
            newest_as_referee,
            rejected_as_referee,
            ring,
            signals: _,
            referring,
            changed,
        } = self;
        (id, first_seen_at, opened_at, referred_by, newest_as_referrer, newest_as_referee).hash(state);
        (rejected_as_referee, ring, referring, changed).hash(state);
    }
}

/// What is remembered of an account that referred somebody, was held or was banned.
#[derive(Debug, Clone, Default, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Referring {
    /// Users it referred.
    pub(super) referrals: u32,
    /// Of these, referrals that stand rejected.
    pub(super) referrals_rejected: u32,
    /// Of these, referrals that a reviewer accepted.
    pub(super) referrals_accepted: u32,
    /// Of these, referrals that were refunded or disputed.
    pub(super) referrals_refunded: u32,
    /// Of these, referrals whose code came only at the checkout.
    pub(super) referrals_after_checkout: u32,
    /// When it brought new users: the latest by the time of the event, in order. At most [`RECENT_REFERRALS_MAX`].
    pub(super) recent: Vec<Timestamp>,
    /// What was reported of it as a whole.
    pub(super) outcomes: Vec<OutcomeNumber>,
    /// Since when it is banned; absent when it is not, or not any more.
    pub(super) banned_at: Option<Timestamp>,
    /// Holds in force on it.
    pub(super) holds: u32,
    /// The records that changed it as a whole: holds and outcomes.
    pub(super) trail: Vec<Cursor>,
}

/// Whether a tie made one ring of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tied {
    Now,
    Before,
}

impl Tied {
    pub(super) fn or(self, other: Self) -> Self {
        if self == Self::Now { self } else { other }
    }
}

/// A node of the forest of rings. Counts are right at roots only.
#[derive(Debug, Clone, Copy, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct RingNode {
    /// The node above; absent at a root.
    pub(super) parent: Option<AccountNumber>,
    /// Accounts in the ring.
    pub(super) accounts: u32,
    /// Of these, accounts that stand rejected or banned.
    pub(super) rejected: u32,
    /// The next account of the ring, in a circle; absent when it is alone. Right at every node.
    pub(super) next: Option<AccountNumber>,
}

static NOTHING: Referring = Referring {
    referrals: 0,
    referrals_rejected: 0,
    referrals_accepted: 0,
    referrals_refunded: 0,
    referrals_after_checkout: 0,
    recent: Vec::new(),
    outcomes: Vec::new(),
    banned_at: None,
    holds: 0,
    trail: Vec::new(),
};

impl Account {
    pub(super) fn referring(&self) -> &Referring {
        self.referring.as_deref().unwrap_or(&NOTHING)
    }

    pub(super) fn referring_mut(&mut self) -> &mut Referring {
        Arc::make_mut(self.referring.get_or_insert_default())
    }

    fn stood_in_a_referral(&self) -> bool {
        self.newest_as_referrer.is_some() || self.newest_as_referee.is_some()
    }

    /// Whether it counts as rejected in its ring.
    pub(super) fn stands_rejected(&self) -> bool {
        self.rejected_as_referee > 0 || self.referring().banned_at.is_some()
    }
}

impl Referring {
    /// Notes when a new user was brought; of many, the latest are kept, whenever they were told.
    pub(super) fn remember(&mut self, at: Timestamp) {
        let place = self.recent.partition_point(|known| *known <= at);
        self.recent.insert(place, at);
        if self.recent.len() > RECENT_REFERRALS_MAX {
            self.recent.remove(0);
        }
    }
}

/// The accounts of a programme.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) rows: Slab<AccountNumber, Account>,
    index: Index<AccountNumber>,
    /// Accounts that stood in a referral.
    in_referrals: u32,
}

impl Accounts {
    pub(super) fn of_rows(rows: Slab<AccountNumber, Account>, hasher: &Hasher) -> Self {
        let (mut index, mut in_referrals) = (Index::default(), 0);
        for (number, account) in rows.iter() {
            index.insert(hasher.hash(account.id.as_str()), number);
            in_referrals += u32::from(account.stood_in_a_referral());
        }
        Self { rows, index, in_referrals }
    }

    pub(super) fn find(&self, id: &AccountId, hasher: &Hasher) -> Option<AccountNumber> {
        self.index.find(hasher.hash(id.as_str()), |number| self.rows.get(number).id == *id)
    }

    pub(super) fn known(&self, id: &AccountId, hasher: &Hasher) -> Option<(AccountNumber, &Account)> {
        self.find(id, hasher).map(|number| (number, self.rows.get(number)))
    }

    /// The number of an account, given now when it has none. `None` when no number is left.
    pub(super) fn enrol(&mut self, id: &AccountId, hasher: &Hasher) -> Option<AccountNumber> {
        if let Some(known) = self.find(id, hasher) {
            return Some(known);
        }
        let account = Account {
            id: id.clone(),
            first_seen_at: None,
            opened_at: None,
            referred_by: None,
            newest_as_referrer: None,
            newest_as_referee: None,
            rejected_as_referee: 0,
            ring: RingNode { parent: None, accounts: 1, rejected: 0, next: None },
            signals: Signals::None,
            referring: None,
            changed: Cursor(0),
        };
        let number = self.rows.push(account)?;
        self.index.insert(hasher.hash(id.as_str()), number);
        Some(number)
    }

    pub(super) fn get(&self, number: AccountNumber) -> &Account {
        self.rows.get(number)
    }

    pub(super) fn get_mut(&mut self, number: AccountNumber) -> &mut Account {
        self.rows.get_mut(number)
    }

    /// Accounts that stood in a referral.
    pub(super) const fn in_referrals(&self) -> u32 {
        self.in_referrals
    }

    /// Notes a conversion with its two sides: it is the newest of each.
    pub(super) fn stand_in(&mut self, conversion: ConversionNumber, referrer: AccountNumber, referee: AccountNumber) {
        let new = |account: &Account| u32::from(!account.stood_in_a_referral());
        self.in_referrals += new(self.get(referrer));
        self.get_mut(referrer).newest_as_referrer = Some(conversion);
        self.in_referrals += new(self.get(referee));
        self.get_mut(referee).newest_as_referee = Some(conversion);
    }

    /// The root of an account's ring.
    pub(super) fn ring_root(&self, from: AccountNumber) -> AccountNumber {
        let mut number = from;
        // INVARIANT: a node is put below a root of another tree, so no walk ends where it began.
        while let Some(parent) = self.rows.get(number).ring.parent {
            number = parent;
        }
        number
    }

    /// Makes one ring of the rings of two accounts.
    pub(super) fn tie(&mut self, a: AccountNumber, b: AccountNumber) -> Tied {
        let (a, b) = (self.ring_root(a), self.ring_root(b));
        if a == b {
            return Tied::Before;
        }
        let (size_a, size_b) = (self.get(a).ring.accounts, self.get(b).ring.accounts);
        let (large, small) = if (size_a, b) > (size_b, a) { (a, b) } else { (b, a) };
        let node = &mut self.get_mut(small).ring;
        node.parent = Some(large);
        let (accounts, rejected) = (node.accounts, node.rejected);
        let root = &mut self.get_mut(large).ring;
        root.accounts += accounts;
        root.rejected += rejected;
        let (next_a, next_b) = (self.after_in_ring(a), self.after_in_ring(b));
        self.get_mut(a).ring.next = Some(next_b);
        self.get_mut(b).ring.next = Some(next_a);
        Tied::Now
    }

    fn after_in_ring(&self, number: AccountNumber) -> AccountNumber {
        self.get(number).ring.next.unwrap_or(number)
    }

    /// The ring of an account, from itself on.
    pub(super) fn ring_of(&self, number: AccountNumber) -> impl Iterator<Item = AccountNumber> {
        let next = move |at: &AccountNumber| Some(self.after_in_ring(*at)).filter(|next| *next != number);
        std::iter::successors(Some(number), next)
    }

    /// Changes an account and keeps its ring's count of rejected accounts right.
    pub(super) fn change_standing(&mut self, number: AccountNumber, change: impl FnOnce(&mut Account)) {
        let account = self.get_mut(number);
        let before = account.stands_rejected();
        change(account);
        let after = account.stands_rejected();
        if before != after {
            let root = self.ring_root(number);
            let ring = &mut self.get_mut(root).ring;
            ring.rejected = if after { ring.rejected + 1 } else { ring.rejected.saturating_sub(1) };
        }
    }

    /// Memory that rows, ids and index take, profiles not counted. Unit: bytes. An estimate: ids are taken to be as long as a UUID.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * (size_of::<Account>() + ID_BYTES) + self.index.bytes()
    }
}
