//! What is remembered of an account: counters, ties, and where it stands in its ring; and the totals of a programme.

use super::super::codec::bundle;
use super::super::packed::{Damaged, Reader, Writer};
use super::super::tables::AccountNumber;
use super::Row;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::time::Timestamp;

/// The totals of a programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Meta {
    /// Accounts known; also the number that was given last.
    pub(in super::super) accounts: u32,
    /// List entries, in force or expired.
    pub(in super::super) list_entries: u32,
    /// Cases that stand resolved.
    pub(in super::super) cases_resolved: u64,
}

impl Row for Meta {
    const NAME: &'static str = "the totals of a programme";

    fn pack(&self) -> Vec<u8> {
        let Self { accounts, list_entries, cases_resolved } = self;
        let mut w = Writer::with_capacity(16);
        w.u32(*accounts);
        w.u32(*list_entries);
        w.u64(*cases_resolved);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self { accounts: r.u32()?, list_entries: r.u32()?, cases_resolved: r.u64()? })
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Account {
    pub(in super::super) id: AccountId,
    /// When its first signals came; absent when only a hold or a ban named it.
    pub(in super::super) first_seen_at: Option<Timestamp>,
    /// Users it referred.
    pub(in super::super) referrals: u32,
    /// Of these, referrals that stand rejected.
    pub(in super::super) referrals_rejected: u32,
    /// Of these, referrals that a reviewer accepted.
    pub(in super::super) referrals_accepted: u32,
    /// Of these, referrals that were refunded or disputed.
    pub(in super::super) referrals_refunded: u32,
    /// Conversions that stand rejected and in which it is the referee.
    pub(in super::super) rejected_as_referee: u32,
    pub(in super::super) banned_at: Option<Timestamp>,
    pub(in super::super) hold: Option<AccountHold>,
    /// Its first referrer.
    pub(in super::super) referred_by: Option<AccountNumber>,
    /// Conversions on either side, duplicates included.
    pub(in super::super) conversions: u32,
    /// Conversions on either side of which a reward was paid.
    pub(in super::super) paid_conversions: u32,
    pub(in super::super) ring: RingNode,
}

/// The last change of a hold on a referrer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct AccountHold {
    pub(in super::super) in_force: bool,
    pub(in super::super) cursor: u64,
}

/// A node of the forest of rings (union by size). Counts are right at roots only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct RingNode {
    /// The node above; absent at a root.
    pub(in super::super) parent: Option<AccountNumber>,
    /// Accounts in the ring.
    pub(in super::super) accounts: u32,
    /// Of these, accounts that stand rejected or banned.
    pub(in super::super) rejected: u32,
}

impl Account {
    pub(in super::super) fn new(id: AccountId) -> Self {
        Self {
            id,
            first_seen_at: None,
            referrals: 0,
            referrals_rejected: 0,
            referrals_accepted: 0,
            referrals_refunded: 0,
            rejected_as_referee: 0,
            banned_at: None,
            hold: None,
            referred_by: None,
            conversions: 0,
            paid_conversions: 0,
            ring: RingNode { parent: None, accounts: 1, rejected: 0 },
        }
    }

    /// Whether it counts as rejected in its ring.
    pub(in super::super) const fn stands_rejected(&self) -> bool {
        self.rejected_as_referee > 0 || self.banned_at.is_some()
    }

    /// Whether a hold on it is in force.
    pub(in super::super) fn is_held(&self) -> bool {
        self.hold.is_some_and(|hold| hold.in_force)
    }
}

impl Row for Account {
    const NAME: &'static str = "an account";

    fn pack(&self) -> Vec<u8> {
        let Self {
            id,
            first_seen_at,
            referrals,
            referrals_rejected,
            referrals_accepted,
            referrals_refunded,
            rejected_as_referee,
            banned_at,
            hold,
            referred_by,
            conversions,
            paid_conversions,
            ring: RingNode { parent, accounts, rejected },
        } = self;
        let mut w = Writer::with_capacity(64);
        w.text(id.as_str());
        w.option(*first_seen_at, Writer::time);
        for count in [referrals, referrals_rejected, referrals_accepted, referrals_refunded, rejected_as_referee] {
            w.u32(*count);
        }
        w.option(*banned_at, Writer::time);
        w.option(*hold, |w, AccountHold { in_force, cursor }| {
            w.u8(u8::from(in_force));
            w.u64(cursor);
        });
        w.u32(referred_by.unwrap_or(0));
        w.u32(*conversions);
        w.u32(*paid_conversions);
        w.u32(parent.unwrap_or(0));
        w.u32(*accounts);
        w.u32(*rejected);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        let number = |r: &mut Reader<'_>| r.u32().map(|number| (number > 0).then_some(number));
        Ok(Self {
            id: r.id(AccountId::new)?,
            first_seen_at: r.option(Reader::time)?,
            referrals: r.u32()?,
            referrals_rejected: r.u32()?,
            referrals_accepted: r.u32()?,
            referrals_refunded: r.u32()?,
            rejected_as_referee: r.u32()?,
            banned_at: r.option(Reader::time)?,
            hold: r.option(|r| Ok(AccountHold { in_force: r.u8()? == 1, cursor: r.u64()? }))?,
            referred_by: number(r)?,
            conversions: r.u32()?,
            paid_conversions: r.u32()?,
            ring: RingNode { parent: number(r)?, accounts: r.u32()?, rejected: r.u32()? },
        })
    }
}

/// The number of an account.
pub(in super::super) struct NumberOfAccount(pub(in super::super) AccountNumber);

impl Row for NumberOfAccount {
    const NAME: &'static str = "the number of an account";

    fn pack(&self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        r.array().map(|bytes| Self(AccountNumber::from_le_bytes(bytes)))
    }
}

/// An account's merged signals.
pub(in super::super) struct Profile(pub(in super::super) SignalBundle);

impl Row for Profile {
    const NAME: &'static str = "a profile";

    fn pack(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(1024);
        bundle::write(&mut w, &self.0);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        bundle::read(r).map(Self)
    }
}

/// The counters of one referral: conversions of a referrer and a referee by where they stand, duplicates not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct Referral {
    pub(in super::super) conversions: u32,
    pub(in super::super) rejected: u32,
    pub(in super::super) accepted: u32,
    pub(in super::super) refunded: u32,
}

impl Row for Referral {
    const NAME: &'static str = "a referral";

    fn pack(&self) -> Vec<u8> {
        let Self { conversions, rejected, accepted, refunded } = self;
        let mut w = Writer::with_capacity(8);
        for count in [conversions, rejected, accepted, refunded] {
            w.u32(*count);
        }
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self { conversions: r.u32()?, rejected: r.u32()?, accepted: r.u32()?, refunded: r.u32()? })
    }
}
