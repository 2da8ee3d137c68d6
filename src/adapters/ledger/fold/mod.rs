//! The fold: what an event changes in the tables and on the shelves. Deterministic: the same events in the same order make the same rows,
//! when they happen, when the journal is replayed, and when everything is rebuilt.
//!
//! Never reads a clock and never decides anything: events carry what was decided. Called by the ledgers for each event, in order.

mod conversion;
mod later;

use smallvec::SmallVec;

use super::codec;
use super::event::Event;
use super::history::account_of;
use super::packed::{Damaged, Reader, Writer};
use super::rows::Row;
use super::rows::account::{Account, Meta, NumberOfAccount, Profile};
use super::rows::index::ShelfWrite;
use super::rows::postings::{self, Posting, Postings};
use super::tables::{AccountNumber, Key, Keys, WriteTables};
use crate::book::records::ListSubject;
use crate::ports::ledger::LedgerError;
use crate::screening::history::{Identifier, IdentifierKind, visit_values};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Side;
use crate::vocabulary::digest::Digest;
use crate::vocabulary::ids::{AccountId, ConversionId};
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
            w.u8(codec::numbers::side(*side));
            w.text(id.as_str());
        });
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        let entry = |r: &mut Reader<'_>| Ok((codec::numbers::read_side(r.u8()?)?, r.id(ConversionId::new)?));
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
                codec::bundle::write(&mut w, bundle);
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
}

/// The key of what stands on the lists of a subject.
pub(super) fn listed_key(keys: Keys, subject: &ListSubject) -> Key {
    match subject {
        ListSubject::Account(id) => keys.listed_account(id),
        ListSubject::Identifier(Identifier { kind, digest }) => keys.listed_value(*kind, digest),
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
