//! The history of a conversion, read from the tables: what earlier commands brought, and nothing that the conversion itself brings.
//! Called inside the ledger's serial order, before the assessor.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::rows::Row;
use super::rows::account::{Account, Meta, NumberOfAccount, Profile};
use super::rows::conversion::{InvoiceRow, LastPurchase};
use super::rows::lists::Listed;
use super::rows::postings::{self, Postings};
use super::tables::{AccountNumber, Keys, Tables};
use crate::ports::ledger::LedgerError;
use crate::screening::history::{
    AccountHistory, Banned, Crowd, DUPLICATE_WINDOW, History, Identifier, IdentifierKind, LOOP_STEPS_MAX, ListHit, RingHistory,
    TiedElsewhere, visit_values,
};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::digest::Digest;
use crate::vocabulary::ids::{AccountId, ConversionId};

/// An account with its number, when it is known.
pub(super) struct Known {
    pub(super) number: AccountNumber,
    pub(super) account: Account,
}

/// Looks an account up by its id.
pub(super) fn known_account(tables: &impl Tables, keys: Keys, id: &AccountId) -> Result<Option<Known>, LedgerError> {
    let Some(NumberOfAccount(number)) = NumberOfAccount::load(tables, &keys.account_number(id))? else { return Ok(None) };
    Ok(Some(Known { number, account: account_of(tables, keys, number)? }))
}

/// The row of an account that has a number.
pub(super) fn account_of(tables: &impl Tables, keys: Keys, number: AccountNumber) -> Result<Account, LedgerError> {
    let missing = || LedgerError::Damaged(format!("account number {number} has no row"));
    Account::load(tables, &keys.account(number))?.ok_or_else(missing)
}

/// The root of an account's ring, with its number.
pub(super) fn ring_root(tables: &impl Tables, keys: Keys, from: AccountNumber) -> Result<(AccountNumber, Account), LedgerError> {
    let mut number = from;
    // A tree made by size has at most 32 levels; more is a damaged table that would loop.
    for _ in 0..=32 {
        let account = account_of(tables, keys, number)?;
        match account.ring.parent {
            None => return Ok((number, account)),
            Some(parent) => number = parent,
        }
    }
    Err(LedgerError::Damaged("a ring has no root".to_owned()))
}

/// The history of a conversion.
pub(super) fn read(tables: &impl Tables, keys: Keys, conversion: &Conversion) -> Result<History, LedgerError> {
    let meta = Meta::load(tables, &keys.meta())?.unwrap_or_default();
    let referrer = known_account(tables, keys, &conversion.referrer.account_id)?;
    let referee = known_account(tables, keys, &conversion.referee.account_id)?;
    let referrer_history = account_history(tables, keys, referrer.as_ref())?;
    let referee_history = account_history(tables, keys, referee.as_ref())?;
    let reading = Reading { tables, keys, conversion, meta, referrer: referrer.as_ref(), referee: referee.as_ref() };
    let (crowds, ring, list_hits) = {
        let values = Values::of(conversion, &referrer_history, &referee_history);
        let (crowds, ring) = reading.crowds_and_ring(&values)?;
        (crowds, ring, reading.list_hits(&values)?)
    };
    Ok(History {
        accounts_known: meta.accounts,
        crowds,
        ring: RingHistory { loop_steps: reading.loop_steps()?, ..ring },
        pattern_siblings: reading.pattern_siblings(referee_history.profile.as_ref())?,
        tied_to_other_referrer: reading.tied_elsewhere(),
        list_hits,
        duplicate_of: reading.duplicate_of()?,
        referrer: referrer_history,
        referee: referee_history,
    })
}

fn account_history(tables: &impl Tables, keys: Keys, known: Option<&Known>) -> Result<AccountHistory, LedgerError> {
    let Some(Known { number, account }) = known else { return Ok(AccountHistory::default()) };
    let recent_referrals =
        if account.referrals > 0 { tables.read(&keys.recent_referrals(*number), postings::times)? } else { Vec::new() };
    Ok(AccountHistory {
        profile: Profile::load(tables, &keys.profile(*number))?.map(|Profile(bundle)| bundle),
        first_seen_at: account.first_seen_at,
        recent_referrals,
        referrals_total: account.referrals,
        referrals_rejected: account.referrals_rejected,
        referrals_accepted_by_review: account.referrals_accepted,
        referrals_refunded: account.referrals_refunded,
        banned: if account.banned_at.is_some() { Banned::Yes } else { Banned::No },
    })
}

/// A value of one or both sides.
struct SidedValue<'a> {
    kind: IdentifierKind,
    digest: &'a Digest,
    referrer: bool,
    referee: bool,
}

/// The values of both sides as they are known now, without repeats.
struct Values<'a>(SmallVec<[SidedValue<'a>; 48]>);

impl<'a> Values<'a> {
    fn of(conversion: &'a Conversion, referrer: &'a AccountHistory, referee: &'a AccountHistory) -> Self {
        let mut all: SmallVec<[SidedValue<'a>; 48]> = SmallVec::new();
        let mut add = |bundle: &'a SignalBundle, side: Side| {
            visit_values(bundle, |kind, set, _| {
                all.extend(set.iter().map(|digest| SidedValue {
                    kind,
                    digest,
                    referrer: side == Side::Referrer,
                    referee: side == Side::Referee,
                }));
            });
        };
        add(&conversion.referrer, Side::Referrer);
        add(&conversion.referee, Side::Referee);
        for (profile, side) in [(&referrer.profile, Side::Referrer), (&referee.profile, Side::Referee)] {
            if let Some(profile) = profile {
                add(profile, side);
            }
        }
        all.sort_unstable_by(|a, b| (a.kind, a.digest).cmp(&(b.kind, b.digest)));
        all.dedup_by(|later, kept| {
            let same = later.kind == kept.kind && later.digest == kept.digest;
            kept.referrer |= same && later.referrer;
            kept.referee |= same && later.referee;
            same
        });
        Self(all)
    }
}

/// Accounts around the sides, without repeats.
type Group = SmallVec<[AccountNumber; 16]>;

struct Reading<'a, T> {
    tables: &'a T,
    keys: Keys,
    conversion: &'a Conversion,
    meta: Meta,
    referrer: Option<&'a Known>,
    referee: Option<&'a Known>,
}

impl<T: Tables> Reading<'_, T> {
    fn side_numbers(&self) -> [Option<AccountNumber>; 2] {
        [self.referrer.map(|known| known.number), self.referee.map(|known| known.number)]
    }

    fn crowds_and_ring(&self, values: &Values<'_>) -> Result<(BTreeMap<Identifier, Crowd>, RingHistory), LedgerError> {
        let sides = self.side_numbers();
        let as_of = self.conversion.occurred_at;
        let mut crowds = BTreeMap::new();
        let mut seeds: Group = sides.into_iter().flatten().collect();
        let mut strong_values = 0_u32;
        for value in &values.0 {
            let strong = value.kind.is_strong();
            strong_values += u32::from(strong);
            let crowd = self.tables.read(&self.keys.value(value.kind, value.digest), |row| {
                let postings = Postings::of(row);
                if strong {
                    seeds.extend(postings.tied());
                }
                postings.crowd_beside(sides, as_of)
            })?;
            if crowd.accounts_ever > 0 {
                crowds.insert(Identifier { kind: value.kind, digest: value.digest.clone() }, crowd);
            }
        }
        let ring = if strong_values == 0 { RingHistory::default() } else { self.ring(seeds)? };
        Ok((crowds, ring))
    }

    /// The rings of the sides and of everybody on a strong value of theirs, taken together.
    fn ring(&self, mut seeds: Group) -> Result<RingHistory, LedgerError> {
        seeds.sort_unstable();
        seeds.dedup();
        let mut roots: SmallVec<[(AccountNumber, u32, u32); 16]> = SmallVec::new();
        for seed in seeds {
            let (root, account) = ring_root(self.tables, self.keys, seed)?;
            if !roots.iter().any(|(known, _, _)| *known == root) {
                roots.push((root, account.ring.accounts, account.ring.rejected));
            }
        }
        let known_accounts: u32 = roots.iter().map(|(_, accounts, _)| accounts).sum();
        let rejected: u32 = roots.iter().map(|(_, _, rejected)| rejected).sum();
        let same_account = self.conversion.referrer.account_id == self.conversion.referee.account_id;
        let unknown_sides = u32::from(self.referrer.is_none()) + u32::from(self.referee.is_none() && !same_account);
        let referrer_rejected = u32::from(self.referrer.is_some_and(|known| known.account.stands_rejected()));
        Ok(RingHistory {
            loop_steps: None,
            accounts: known_accounts + unknown_sides,
            accounts_rejected: rejected.saturating_sub(referrer_rejected),
        })
    }

    /// Walks from the referrer to whoever referred him, and so on, until the referee is met.
    fn loop_steps(&self) -> Result<Option<u8>, LedgerError> {
        let (Some(referrer), Some(referee)) = (self.referrer, self.referee) else { return Ok(None) };
        let mut above = referrer.account.referred_by;
        for steps in 2..=LOOP_STEPS_MAX {
            let Some(number) = above else { return Ok(None) };
            if number == referee.number {
                return Ok(Some(steps));
            }
            above = account_of(self.tables, self.keys, number)?.referred_by;
        }
        Ok(None)
    }

    fn tied_elsewhere(&self) -> TiedElsewhere {
        let first = self.referee.and_then(|known| known.account.referred_by);
        match (first, self.referrer.map(|known| known.number)) {
            (None, _) => TiedElsewhere::No,
            (Some(first), Some(referrer)) if first == referrer => TiedElsewhere::No,
            (Some(_), _) => TiedElsewhere::Yes,
        }
    }

    fn pattern_siblings(&self, profile: Option<&SignalBundle>) -> Result<u32, LedgerError> {
        let Some(referrer) = self.referrer else { return Ok(0) };
        let own = self.referee.map(|known| known.number);
        let mut siblings: Group = SmallVec::new();
        for bundle in [Some(&self.conversion.referee), profile].into_iter().flatten() {
            for digest in patterns(bundle) {
                let key = self.keys.pattern(referrer.number, digest);
                self.tables.read(&key, |row| siblings.extend(postings::numbers(row).filter(|number| Some(*number) != own)))?;
            }
        }
        siblings.sort_unstable();
        siblings.dedup();
        Ok(u32::try_from(siblings.len()).unwrap_or(u32::MAX))
    }

    fn list_hits(&self, values: &Values<'_>) -> Result<Vec<ListHit>, LedgerError> {
        let mut hits = Vec::new();
        if self.meta.list_entries == 0 {
            return Ok(hits);
        }
        let as_of = self.conversion.occurred_at;
        let sides = [(Side::Referrer, &self.conversion.referrer), (Side::Referee, &self.conversion.referee)];
        for (side, bundle) in sides {
            let listed = Listed::load(self.tables, &self.keys.listed_account(&bundle.account_id))?.unwrap_or_default();
            hits.extend(listed.lists_at(as_of).map(|list| ListHit { list, side, identifier: None }));
        }
        for value in &values.0 {
            let key = self.keys.listed_value(value.kind, value.digest);
            let Some(listed) = Listed::load(self.tables, &key)? else { continue };
            for (side, carries) in [(Side::Referrer, value.referrer), (Side::Referee, value.referee)] {
                let of_side = listed.lists_at(as_of).filter(|_| carries);
                hits.extend(of_side.map(|list| ListHit { list, side, identifier: Some(value.kind) }));
            }
        }
        hits.sort_unstable();
        hits.dedup();
        Ok(hits)
    }

    fn duplicate_of(&self) -> Result<Option<ConversionId>, LedgerError> {
        let Some(referee) = self.referee else { return Ok(None) };
        let conversion = self.conversion;
        if let Some(invoice_id) = &conversion.invoice_id {
            let first = InvoiceRow::load(self.tables, &self.keys.invoice(referee.number, invoice_id))?;
            return Ok(first.map(|InvoiceRow(id)| id));
        }
        let last = LastPurchase::load(self.tables, &self.keys.without_invoice(referee.number, conversion.kind))?;
        let repeats = |last: &LastPurchase| conversion.occurred_at.since(last.occurred_at).abs() <= DUPLICATE_WINDOW;
        Ok(last.filter(repeats).map(|last| last.conversion_id))
    }
}

/// The patterns of a bundle's mailboxes.
pub(super) fn patterns(bundle: &SignalBundle) -> impl Iterator<Item = &Digest> {
    bundle.emails.iter().filter_map(|email| email.pattern.as_ref()).flat_map(crate::vocabulary::digest::DigestSet::iter)
}
