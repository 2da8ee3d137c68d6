//! Values: every digest that was ever seen, and which accounts were seen on it when.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::accounts::NobodyOr;
use super::index::{Hasher, Index};
use super::names::Names;
use super::rekeying::KeyShare;
use super::slab::{AccountNumber, CrowdNumber, PairNumber, RenameNumber, Slab, TextNumber, ValueNumber};
use super::texts::Texts;
use crate::screening::history::{CROWD_MAX, CROWDED_FROM, Crowd, FingerprintSharing, IdentifierKind, RING_VALUE_ACCOUNTS_MAX};
use crate::screening::placeholders::{ACCOUNTS_MAX_STEPS, accounts_max, accounts_max_learned};
use crate::vocabulary::digest::{Digest, DigestSet, KeyId};
use crate::vocabulary::time::{Span, Timestamp};

/// Accounts kept on one value: so many that a crowd still saturates when the two sides are left out.
const SIGHTINGS_MAX: usize = CROWD_MAX as usize + 2;
/// A full list whose accounts were all seen within this time is left as it is: whoever comes, its counts saturate, now and until the next
/// sighting after it. Seconds; half of the shortest time that is counted. A free-mail domain would otherwise be rewritten by each conversion.
const SATURATED_FOR_SECONDS: u32 = 12 * 3_600;

/// What a value is: a kind of identifier, or something that is kept with a profile and on which nobody is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) enum ValueKind {
    Identifier(IdentifierKind),
    /// A mailbox without its digits.
    Pattern,
    /// An instrument that accounts are paid out to, beside what it is as an identifier: who pays with it is another matter.
    Payout,
}

/// One account on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Sighting {
    pub(super) account: AccountNumber,
    /// Seconds since 1970.
    pub(super) last_seen: u32,
}

/// A value. The first account on it stands in the row; most values never have another.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Value {
    digest: [u8; 32],
    key: TextNumber,
    kind: ValueKind,
    first: Option<Sighting>,
    /// The others, in the order in which they came.
    others: Option<CrowdNumber>,
}

/// One value under each key in force: nearly always one, two while keys rotate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) enum ValueSet {
    One(ValueNumber),
    Two(PairNumber),
}

/// Under which names digests are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// As they were sent: where they are put aside and brought back.
    AsKept,
    /// Under the newest, as everything else is.
    UnderNewestNames,
}

/// The values of a programme.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) rows: Slab<ValueNumber, Value>,
    pub(super) crowds: Slab<CrowdNumber, Arc<Vec<Sighting>>>,
    pub(super) pairs: Slab<PairNumber, (ValueNumber, ValueNumber)>,
    names: Names,
    /// Keys with those that followed them.
    followed: BTreeSet<(TextNumber, TextNumber)>,
    index: Index<ValueNumber>,
    pair_index: Index<PairNumber>,
    /// Sightings beside the first of each value.
    crowded: usize,
    beyond: Beyond,
    fingerprints: FingerprintSharing,
}

impl FingerprintSharing {
    /// Notes that a fingerprint is on so many accounts, one more than before.
    fn grew(&mut self, accounts: usize) {
        self.accounts = self.accounts.saturating_add(1);
        let from = CROWDED_FROM as usize;
        let more = if accounts == from + 1 { CROWDED_FROM + 1 } else { u32::from(accounts > from) };
        self.crowded = self.crowded.saturating_add(more);
    }

    /// Takes back that a fingerprint grew to so many accounts.
    fn shrank(&mut self, accounts: usize) {
        self.accounts = self.accounts.saturating_sub(1);
        let from = CROWDED_FROM as usize;
        let more = if accounts == from + 1 { CROWDED_FROM + 1 } else { u32::from(accounts > from) };
        self.crowded = self.crowded.saturating_sub(more);
    }
}

/// How many values of a kind are on more accounts than each of the steps, which a kind's limit is learned from.
#[derive(Debug, Default)]
struct Beyond(BTreeMap<IdentifierKind, [u32; ACCOUNTS_MAX_STEPS.len()]>);

impl Beyond {
    /// Notes that a value has one account more than before.
    fn grew(&mut self, kind: ValueKind, accounts: usize) {
        let ValueKind::Identifier(kind) = kind else { return };
        if let Some(step) = ACCOUNTS_MAX_STEPS.iter().position(|step| *step as usize + 1 == accounts)
            && let Some(count) = self.0.entry(kind).or_default().get_mut(step)
        {
            *count += 1;
        }
    }

    /// Takes back that a value grew to so many accounts.
    fn shrank(&mut self, kind: ValueKind, accounts: usize) {
        let ValueKind::Identifier(kind) = kind else { return };
        if let Some(step) = ACCOUNTS_MAX_STEPS.iter().position(|step| *step as usize + 1 == accounts)
            && let Some(count) = self.0.entry(kind).or_default().get_mut(step)
        {
            *count = count.saturating_sub(1);
        }
    }

    fn of(&self, kind: IdentifierKind) -> [u32; ACCOUNTS_MAX_STEPS.len()] {
        self.0.get(&kind).copied().unwrap_or_default()
    }
}

/// What a list takes beside its entries: two counters, the list's own three words, and half of its room unused.
const CROWD_BYTES: usize = 64;

/// The accounts on a value, in the order in which they came.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sightings<'a> {
    first: Option<&'a Sighting>,
    others: &'a [Sighting],
}

impl Value {
    /// Whether it is a device's fingerprint.
    pub(super) fn is_fingerprint(&self) -> bool {
        self.kind == ValueKind::Identifier(IdentifierKind::Device)
    }
}

impl<'a> Sightings<'a> {
    pub(super) fn iter(self) -> impl Iterator<Item = &'a Sighting> {
        self.first.into_iter().chain(self.others)
    }

    pub(super) const fn len(self) -> usize {
        self.others.len() + if self.first.is_some() { 1 } else { 0 }
    }

    /// How many accounts are on it beside the two sides, as of a time. A sighting that is later than that time counts as recent: which
    /// earlier ones the account had is not kept.
    pub(super) fn crowd_beside(self, sides: [Option<AccountNumber>; 2], as_of: Timestamp) -> Crowd {
        let month = as_of.minus(Span::from_days(30)).as_index_seconds();
        let day = as_of.minus(Span::from_hours(24)).as_index_seconds();
        // Sums and no branches: a crowded value has a thousand accounts.
        let [one, other] = sides.map(NobodyOr::number);
        let mut crowd = Crowd::default();
        for Sighting { account, last_seen } in self.iter() {
            let account = Some(*account).number();
            let counts = u32::from(account != one && account != other);
            crowd.accounts_ever += counts;
            crowd.accounts_30d += counts & u32::from(*last_seen >= month);
            crowd.accounts_24h += counts & u32::from(*last_seen >= day);
        }
        Crowd {
            accounts_ever: crowd.accounts_ever.min(CROWD_MAX),
            accounts_30d: crowd.accounts_30d.min(CROWD_MAX),
            accounts_24h: crowd.accounts_24h.min(CROWD_MAX),
            ..Crowd::default()
        }
    }

    /// How many of these accounts, in order, were seen on it in the 30 days before a time.
    pub(super) fn of_these_30d(self, accounts: &[AccountNumber], as_of: Timestamp) -> u32 {
        let month = as_of.minus(Span::from_days(30)).as_index_seconds();
        let counts = |seen: &&Sighting| seen.last_seen >= month && accounts.binary_search(&seen.account).is_ok();
        u32::try_from(self.iter().filter(counts).count()).unwrap_or(CROWD_MAX).min(CROWD_MAX)
    }

    /// When an account was last seen on it; absent when never.
    pub(super) fn last_seen(self, account: AccountNumber) -> Option<Timestamp> {
        let sighting = self.iter().find(|sighting| sighting.account == account)?;
        Some(Timestamp::saturating_from_millis(i64::from(sighting.last_seen) * 1_000))
    }

    /// The accounts that are tied by being paid out to it. More than are paid out to a person's instrument are tied all the same, up to where it is a
    /// placeholder.
    pub(super) fn tied_by_payout(self) -> impl Iterator<Item = AccountNumber> + 'a {
        let ties = accounts_max(IdentifierKind::Payment).is_none_or(|most| self.len() <= most as usize);
        self.iter().take(if ties { self.len() } else { 0 }).map(|sighting| sighting.account)
    }

    /// The accounts that a strong value ties together; none when it is on too many to be an identity.
    pub(super) fn tied(self) -> impl Iterator<Item = AccountNumber> + 'a {
        let ties = self.len() <= RING_VALUE_ACCOUNTS_MAX as usize;
        self.iter().take(if ties { self.len() } else { 0 }).map(|sighting| sighting.account)
    }

    /// What a new sighting changes; `None` when the list stays as it is. A full list forgets the account seen longest ago.
    fn change_by(self, seen: Sighting) -> Option<Change> {
        let full = self.len() >= SIGHTINGS_MAX;
        let mut oldest: Option<(u32, usize)> = None;
        for (place, known) in self.iter().enumerate() {
            if known.account == seen.account {
                let newer = known.last_seen < seen.last_seen;
                return (newer && !(full && self.saturated_at(seen.last_seen))).then_some(Change::At(place));
            }
            if oldest.is_none_or(|(last_seen, _)| known.last_seen < last_seen) {
                oldest = Some((known.last_seen, place));
            }
        }
        match oldest {
            _ if !full => Some(Change::Append),
            Some((last_seen, place)) if last_seen <= seen.last_seen && !self.saturated_at(seen.last_seen) => {
                Some(Change::At(place))
            }
            Some(_) | None => None,
        }
    }

    /// Whether no account in it was last seen more than [`SATURATED_FOR_SECONDS`] before a time in seconds since 1970.
    fn saturated_at(self, at: u32) -> bool {
        self.iter().map(|sighting| sighting.last_seen).min() >= Some(at.saturating_sub(SATURATED_FOR_SECONDS))
    }
}

/// What a sighting said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sighted {
    /// Nothing new.
    AsBefore,
    /// The account was seen there before, and now again.
    Again,
    /// The account was not known to be there.
    New,
}

/// Where a sighting goes in the list of a value.
enum Change {
    At(usize),
    Append,
}

impl Values {
    pub(super) fn of_rows(
        rows: Slab<ValueNumber, Value>,
        crowds: Slab<CrowdNumber, Arc<Vec<Sighting>>>,
        pairs: Slab<PairNumber, (ValueNumber, ValueNumber)>,
        renames: Slab<RenameNumber, (ValueNumber, ValueNumber)>,
        hasher: &Hasher,
    ) -> Self {
        let (mut index, mut pair_index) = (Index::default(), Index::default());
        for (number, value) in rows.iter() {
            index.insert(hash_of(value.kind, &value.digest, hasher), number);
        }
        for (number, pair) in pairs.iter() {
            pair_index.insert(hasher.hash(pair), number);
        }
        let crowded = crowds.iter().map(|(_, crowd)| crowd.len()).sum();
        let key = |number: ValueNumber| rows.get(number).key;
        let followed = renames.iter().map(|(_, (old, new))| (key(*old), key(*new))).collect();
        let names = Names::of_rows(renames);
        let mut all = Self { rows, crowds, pairs, names, followed, index, pair_index, crowded, ..Self::default() };
        let own = |(number, _)| Some(number).filter(|number| all.names.root(*number) == *number);
        for number in all.rows.iter().filter_map(own).collect::<Vec<_>>() {
            let (kind, accounts) = (all.rows.get(number).kind, all.sightings(number).len());
            (1..=accounts).for_each(|accounts| all.grew(kind, accounts));
        }
        all
    }

    /// The row that holds the accounts of a digest's value, whichever of its names this is.
    pub(super) fn find(&self, kind: ValueKind, digest: &Digest, texts: &Texts, hasher: &Hasher) -> Option<ValueNumber> {
        self.find_name(kind, digest, texts, hasher).map(|name| self.names.root(name))
    }

    /// The row of a digest itself.
    pub(super) fn find_name(&self, kind: ValueKind, digest: &Digest, texts: &Texts, hasher: &Hasher) -> Option<ValueNumber> {
        self.index.find(hash_of(kind, &digest.value, hasher), |number| {
            let value = self.rows.get(number);
            value.digest == digest.value && value.kind == kind && texts.get(value.key) == digest.key_id.as_str()
        })
    }

    /// The number of a value, given now when it has none. `None` when no number is left.
    pub(super) fn intern(&mut self, kind: ValueKind, digest: &Digest, texts: &mut Texts, hasher: &Hasher) -> Option<ValueNumber> {
        self.intern_name(kind, digest, texts, hasher).map(|name| self.names.root(name))
    }

    /// The number of a name, given now when it has none. `None` when no number is left.
    pub(super) fn intern_name(
        &mut self,
        kind: ValueKind,
        digest: &Digest,
        texts: &mut Texts,
        hasher: &Hasher,
    ) -> Option<ValueNumber> {
        if let Some(known) = self.find_name(kind, digest, texts, hasher) {
            return Some(known);
        }
        let key = texts.intern(digest.key_id.as_str(), hasher)?;
        let number = self.rows.push(Value { digest: digest.value, key, kind, first: None, others: None })?;
        self.index.insert(hash_of(kind, &digest.value, hasher), number);
        Some(number)
    }

    pub(super) fn intern_set(
        &mut self,
        kind: ValueKind,
        set: &DigestSet,
        texts: &mut Texts,
        hasher: &Hasher,
    ) -> Option<ValueSet> {
        let mut digests = set.iter();
        let one = self.intern_name(kind, digests.next()?, texts, hasher)?;
        let Some(second) = digests.next() else { return Some(ValueSet::One(one)) };
        let pair = (one, self.intern_name(kind, second, texts, hasher)?);
        let hash = hasher.hash(pair);
        if let Some(known) = self.pair_index.find(hash, |number| *self.pairs.get(number) == pair) {
            return Some(ValueSet::Two(known));
        }
        let number = self.pairs.push(pair)?;
        self.pair_index.insert(hash, number);
        Some(ValueSet::Two(number))
    }

    pub(super) fn kind(&self, number: ValueNumber) -> ValueKind {
        self.rows.get(number).kind
    }

    /// When an account was last seen on a value that nobody else was ever seen on; `None` when somebody was, or it was not. Unit: seconds since 1970.
    pub(super) fn seen_alone(&self, number: ValueNumber, account: AccountNumber) -> Option<u32> {
        // Others lead to what has several names, so it stays.
        if self.names.is_one_of_several(number) {
            return None;
        }
        let value = self.rows.get(number);
        let seen = value.first.filter(|seen| seen.account == account && value.others.is_none())?;
        Some(seen.last_seen)
    }

    /// Takes out a value; it is found by nobody then.
    pub(super) fn take(&mut self, number: ValueNumber, hasher: &Hasher) -> Option<Value> {
        let value = self.rows.take(number)?;
        self.index.remove(hash_of(value.kind, &value.digest, hasher), number);
        Some(value)
    }

    /// Puts back a value that one account alone was seen on. Returns it.
    pub(super) fn put_back(
        &mut self,
        number: ValueNumber,
        (kind, digest, key): (ValueKind, &Digest, TextNumber),
        seen: Sighting,
        hasher: &Hasher,
    ) -> &Value {
        let value = Value { digest: digest.value, key, kind, first: Some(seen), others: None };
        self.rows.put_back(number, value);
        self.index.insert(hash_of(kind, &digest.value, hasher), number);
        self.rows.get(number)
    }

    /// Counts fingerprints that one account alone was seen on, and that are cold.
    pub(super) fn count_cold(&mut self, fingerprints: u32) {
        self.fingerprints.accounts = self.fingerprints.accounts.saturating_add(fingerprints);
    }

    fn digest(&self, name: ValueNumber, texts: &Texts) -> Option<Digest> {
        let value = self.rows.get(name);
        let key_id = KeyId::new(texts.get(value.key)).ok()?;
        Some(Digest { value: value.digest, key_id })
    }

    /// The digests of a value as they are shown.
    pub(super) fn set(&self, set: Option<ValueSet>, shown: Shown, texts: &Texts) -> Option<DigestSet> {
        let (one, other) = match set? {
            ValueSet::One(number) => (number, None),
            ValueSet::Two(pair) => {
                let (one, other) = *self.pairs.get(pair);
                (one, Some(other))
            }
        };
        let kept = || match other {
            None => self.digest(one, texts).map(DigestSet::single),
            Some(other) => DigestSet::new([self.digest(one, texts)?, self.digest(other, texts)?]).ok()?,
        };
        if shown == Shown::AsKept || !self.has_names() {
            return kept();
        }
        let names = std::iter::once(one).chain(other).flat_map(|name| self.shown_names(name, texts));
        // What was sent as one value and taught to be two is shown as it was sent.
        set_of(names).or_else(kept)
    }

    /// The names under which a value is shown.
    fn shown_names(&self, name: ValueNumber, texts: &Texts) -> impl Iterator<Item = Digest> {
        let (newest, before) = self.names.shown(name);
        [Some(newest), before].into_iter().flatten().filter_map(|name| self.digest(name, texts)).collect::<Vec<_>>().into_iter()
    }

    /// A set of digests with all names under which its values are shown; `None` where they are not of one value, or have no other names.
    pub(super) fn renamed(&self, kind: ValueKind, set: &DigestSet, texts: &Texts, hasher: &Hasher) -> Option<DigestSet> {
        let mut known = false;
        let mut names = Vec::with_capacity(2);
        for digest in set.iter() {
            match self.find_name(kind, digest, texts, hasher).filter(|name| self.names.is_one_of_several(*name)) {
                Some(name) => {
                    known = true;
                    names.extend(self.shown_names(name, texts));
                }
                None => names.push(digest.clone()),
            }
        }
        if known { set_of(names.into_iter()) } else { None }
    }

    /// What was taught of names, in order.
    pub(super) const fn renames(&self) -> &Slab<RenameNumber, (ValueNumber, ValueNumber)> {
        &self.names.rows
    }

    /// Whether any value has several names.
    pub(super) fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// The newest name of a digest; `None` when it has no other.
    pub(super) fn newest_name(&self, kind: ValueKind, digest: &Digest, texts: &Texts, hasher: &Hasher) -> Option<Digest> {
        let name = self.find_name(kind, digest, texts, hasher)?;
        let newest = self.names.newest(name);
        if newest == name { None } else { self.digest(newest, texts) }
    }

    /// All names of a digest's value; none when it is not known.
    pub(super) fn all_names(&self, kind: ValueKind, digest: &Digest, texts: &Texts, hasher: &Hasher) -> Vec<Digest> {
        let root = self.find(kind, digest, texts, hasher);
        let names = root.into_iter().flat_map(|root| self.names.all_of(root));
        names.filter_map(|name| self.digest(name, texts)).collect()
    }

    /// Whether one key followed another, at once or over others.
    pub(super) fn follows(&self, key: KeyId, later: KeyId, texts: &Texts) -> bool {
        let mut reached = vec![key.as_str()];
        let mut at = 0;
        while let Some(from) = reached.get(at).copied() {
            for (_, next) in self.followed.iter().filter(|(old, _)| texts.get(*old) == from) {
                let next = texts.get(*next);
                if !reached.contains(&next) {
                    reached.push(next);
                }
            }
            at += 1;
        }
        reached.iter().skip(1).any(|key| *key == later.as_str())
    }

    /// Counts the values of the next rows by key. Returns whether there were any.
    pub(super) fn count_keys(&self, at: usize, uses: &mut BTreeMap<KeyId, KeyShare>, texts: &Texts) -> bool {
        let Some(rows) = self.rows.in_chunk(at) else { return false };
        for (number, value) in rows {
            // What is paid out to an instrument stands beside the instrument itself.
            let Some(key) = KeyId::new(texts.get(value.key)).ok().filter(|_| value.kind != ValueKind::Payout) else { continue };
            let known = uses.entry(key).or_default();
            known.values += 1;
            known.under_newer += u64::from(self.names.is_one_of_several(number) && self.names.newest(number) != number);
        }
        true
    }

    /// Notes that two names are of one value. Returns the row that holds its accounts from now on, and the one that held those of the new name; `None`
    /// when that was known.
    pub(super) fn teach(&mut self, old: ValueNumber, new: ValueNumber) -> Option<(ValueNumber, ValueNumber)> {
        let united = self.names.teach(old, new)?;
        self.followed.insert((self.rows.get(old).key, self.rows.get(new).key));
        Some(united)
    }

    /// Moves what was seen on one row to another. An account that was seen on both was seen once, when it was last. Returns those that came.
    pub(super) fn move_sightings(&mut self, from: ValueNumber, to: ValueNumber) -> Vec<AccountNumber> {
        let moved: Vec<Sighting> = self.sightings(from).iter().copied().collect();
        let kind = self.rows.get(from).kind;
        for accounts in 1..=moved.len() {
            self.beyond.shrank(kind, accounts);
            if kind == ValueKind::Identifier(IdentifierKind::Device) {
                self.fingerprints.shrank(accounts);
            }
        }
        let row = self.rows.get_mut(from);
        row.first = None;
        if let Some(crowd) = row.others.take() {
            let crowd = self.crowds.get_mut(crowd);
            self.crowded -= crowd.len();
            *crowd = Arc::default();
        }
        for seen in &moved {
            self.sight(to, *seen);
        }
        moved.into_iter().map(|seen| seen.account).collect()
    }

    /// Notes that a value is on so many accounts, one more than before.
    fn grew(&mut self, kind: ValueKind, accounts: usize) {
        self.beyond.grew(kind, accounts);
        if kind == ValueKind::Identifier(IdentifierKind::Device) {
            self.fingerprints.grew(accounts);
        }
    }

    /// Whether the accounts on a fingerprint have a model of phones in common, and not a phone.
    pub(super) fn is_of_models(&self, sightings: Sightings<'_>) -> bool {
        self.fingerprints.is_of_models(u32::try_from(sightings.len()).unwrap_or(u32::MAX))
    }

    pub(super) const fn fingerprint_sharing(&self) -> FingerprintSharing {
        self.fingerprints
    }

    /// Whether accounts seen on a value are more than one of its kind can have in this programme.
    pub(super) fn is_placeholder(&self, kind: IdentifierKind, sightings: Sightings<'_>) -> bool {
        accounts_max_learned(kind, &self.beyond.of(kind)).is_some_and(|most| sightings.len() > most as usize)
    }

    pub(super) fn sightings(&self, number: ValueNumber) -> Sightings<'_> {
        let value = self.rows.get(number);
        let others = value.others.map(|crowd| &***self.crowds.get(crowd)).unwrap_or_default();
        Sightings { first: value.first.as_ref(), others }
    }

    /// Notes that an account was seen on a value.
    pub(super) fn sight(&mut self, number: ValueNumber, seen: Sighting) -> Sighted {
        let known = self.sightings(number);
        let Some(change) = known.change_by(seen) else { return Sighted::AsBefore };
        let again = match change {
            Change::Append => false,
            Change::At(place) => known.iter().nth(place).is_some_and(|known| known.account == seen.account),
        };
        let (accounts, kind, others) = (known.len(), self.rows.get(number).kind, self.rows.get(number).others);
        if matches!(change, Change::Append) {
            self.grew(kind, accounts + 1);
        }
        match (change, others) {
            (Change::At(0), _) => self.rows.get_mut(number).first = Some(seen),
            (Change::Append, None) if self.rows.get(number).first.is_none() => self.rows.get_mut(number).first = Some(seen),
            (Change::Append, None) => {
                self.rows.get_mut(number).others = self.crowds.push(Arc::new(vec![seen]));
                self.crowded += 1;
            }
            (Change::Append, Some(crowd)) => {
                Arc::make_mut(self.crowds.get_mut(crowd)).push(seen);
                self.crowded += 1;
            }
            (Change::At(place), others) => {
                if let Some(slot) = others.and_then(|crowd| Arc::make_mut(self.crowds.get_mut(crowd)).get_mut(place - 1)) {
                    *slot = seen;
                }
            }
        }
        if again { Sighted::Again } else { Sighted::New }
    }

    /// Memory that it takes, the crowds included. Unit: bytes.
    pub(super) fn bytes(&self) -> usize {
        let crowds = self.crowds.len() * CROWD_BYTES + self.crowded * size_of::<Sighting>();
        self.rows.there() * size_of::<Value>() + crowds + self.index.bytes() + self.pair_index.bytes() + self.names.bytes()
    }
}

/// The set of these digests, repeats left out; `None` when they are not of one value.
fn set_of(digests: impl Iterator<Item = Digest>) -> Option<DigestSet> {
    let mut digests: Vec<Digest> = digests.collect();
    digests.sort_unstable();
    digests.dedup();
    DigestSet::new(digests).ok()?
}

/// The key is left out: equal bytes under two keys are as rare as a broken HMAC.
fn hash_of(kind: ValueKind, digest: &[u8; 32], hasher: &Hasher) -> u64 {
    hasher.hash((kind, digest))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::slab::Number as _;
    use super::*;

    fn account(number: u32) -> AccountNumber {
        AccountNumber::of(NonZeroU32::new(number).unwrap())
    }

    fn with(accounts: std::ops::RangeInclusive<u32>, last_seen: u32) -> (Values, ValueNumber) {
        let (mut values, mut texts, hasher) = (Values::default(), Texts::default(), Hasher::new(1));
        let digest = Digest { value: [7; 32], key_id: KeyId::new("k1").unwrap() };
        let kind = ValueKind::Identifier(IdentifierKind::Device);
        let number = values.intern(kind, &digest, &mut texts, &hasher).unwrap();
        for number_of_account in accounts {
            values.sight(number, Sighting { account: account(number_of_account), last_seen });
        }
        (values, number)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::saturating_from_millis(seconds * 1_000)
    }

    #[test]
    fn an_account_counts_once_however_often_it_is_seen() {
        let (mut values, value) = with(1..=3, 1_790_000_000);
        assert_eq!(values.sight(value, Sighting { account: account(2), last_seen: 1_790_000_000 }), Sighted::AsBefore);
        assert_eq!(values.sight(value, Sighting { account: account(2), last_seen: 1_790_000_100 }), Sighted::Again);
        assert_eq!(values.sight(value, Sighting { account: account(4), last_seen: 1_790_000_000 }), Sighted::New);
        assert_eq!(values.sightings(value).len(), 4);
        let seen: Vec<u32> = values.sightings(value).iter().map(|sighting| sighting.last_seen).collect();
        assert_eq!(seen, [1_790_000_000, 1_790_000_100, 1_790_000_000, 1_790_000_000]);
    }

    #[test]
    fn the_two_sides_are_no_crowd() {
        let (values, value) = with(1..=3, 1_789_999_000);
        let crowd = values.sightings(value).crowd_beside([Some(account(1)), Some(account(2))], at(1_790_000_000));
        assert_eq!((crowd.accounts_ever, crowd.accounts_30d, crowd.accounts_24h), (1, 1, 1));
    }

    #[test]
    fn a_crowd_saturates_and_its_list_stays_bounded() {
        let (values, value) = with(1..=3_000, 1_780_000_000);
        assert_eq!(values.sightings(value).len(), SIGHTINGS_MAX);
        let crowd = values.sightings(value).crowd_beside([Some(account(2_999)), Some(account(3_000))], at(1_790_000_000));
        assert_eq!((crowd.accounts_ever, crowd.accounts_30d), (CROWD_MAX, 0));
    }

    #[test]
    fn a_saturated_list_stays_as_it_is_until_some_of_it_is_half_a_day_old() {
        let full = u32::try_from(SIGHTINGS_MAX).unwrap();
        for number in [7, full + 1] {
            let (mut values, value) = with(1..=full, 1_790_000_000);
            let mut seen_after =
                |seconds| values.sight(value, Sighting { account: account(number), last_seen: 1_790_000_000 + seconds });
            assert_eq!(seen_after(SATURATED_FOR_SECONDS), Sighted::AsBefore);
            assert_ne!(seen_after(SATURATED_FOR_SECONDS + 1), Sighted::AsBefore);
        }
        let (mut values, value) = with(1..=full - 1, 1_790_000_000);
        let again = values.sight(value, Sighting { account: account(7), last_seen: 1_790_000_001 });
        assert_eq!(again, Sighted::Again, "it is not full");
        let (values, value) = with(1..=full, 1_790_000_000);
        let as_of = at(1_790_000_000 + i64::from(SATURATED_FOR_SECONDS));
        let crowd = values.sightings(value).crowd_beside([None, Some(account(7))], as_of);
        assert_eq!(crowd.accounts_24h, CROWD_MAX, "what was not written would not have counted more");
    }

    #[test]
    fn a_placeholder_ties_nobody() {
        for most in IdentifierKind::ALL.into_iter().filter_map(accounts_max) {
            assert!(most >= RING_VALUE_ACCOUNTS_MAX, "what is no value any more must have stopped tying accounts before");
        }
    }

    #[test]
    fn a_kind_of_which_many_values_are_on_many_accounts_can_have_as_many() {
        let on_cookies = |cookies: u8| {
            let (mut values, mut texts, hasher) = (Values::default(), Texts::default(), Hasher::new(1));
            for cookie in 0..cookies {
                let digest = Digest { value: [cookie; 32], key_id: KeyId::new("k1").unwrap() };
                let kind = ValueKind::Identifier(IdentifierKind::Browser);
                let number = values.intern(kind, &digest, &mut texts, &hasher).unwrap();
                (1..=65).for_each(|number_of| {
                    values.sight(number, Sighting { account: account(number_of), last_seen: 1 });
                });
            }
            let reopened =
                Values::of_rows(values.rows.clone(), values.crowds.clone(), values.pairs.clone(), Slab::default(), &hasher);
            [values, reopened].map(|values| {
                let (first, _) = values.rows.iter().next().unwrap();
                values.is_placeholder(IdentifierKind::Browser, values.sightings(first))
            })
        };
        assert_eq!(on_cookies(16), [true, true]);
        assert_eq!(on_cookies(17), [false, false], "the programme's cookies are shared so");
    }

    #[test]
    fn accounts_on_crowded_fingerprints_are_counted_from_the_fifth_on_and_after_reopening() {
        let shared = |accounts| {
            let (values, _) = with(1..=accounts, 1);
            let hasher = Hasher::new(1);
            let reopened =
                Values::of_rows(values.rows.clone(), values.crowds.clone(), values.pairs.clone(), Slab::default(), &hasher);
            assert_eq!(values.fingerprint_sharing(), reopened.fingerprint_sharing());
            values.fingerprint_sharing()
        };
        assert_eq!(shared(4), FingerprintSharing { accounts: 4, crowded: 0 });
        assert_eq!(shared(5), FingerprintSharing { accounts: 5, crowded: 5 });
        assert_eq!(shared(9), FingerprintSharing { accounts: 9, crowded: 9 });
        assert_eq!(shared(9).beside(9), 0.0, "there are no others");
    }

    #[test]
    fn a_kiosk_ties_nobody() {
        let tied = |accounts| {
            let (values, value) = with(1..=accounts, 1);
            values.sightings(value).tied().count()
        };
        assert_eq!(tied(RING_VALUE_ACCOUNTS_MAX), RING_VALUE_ACCOUNTS_MAX as usize);
        assert_eq!(tied(RING_VALUE_ACCOUNTS_MAX + 1), 0);
    }
}
