//! What is cold: the signals of accounts that nobody met for long, with the values that only they were seen on. They are handed out whole and taken
//! back whole. What is found without being asked for by its name stays: accounts and their rings, shared values, conversions, everything of money.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use siphasher::sip128::{Hasher128 as _, SipHasher13};
use smallvec::SmallVec;

use super::Book;
use super::accounts::{Account, Signals};
use super::apply::{patterns, payouts};
use super::command::Command;
use super::event::{Event, Rechecked};
use super::profiles::{Profile, ProfileMaker};
use super::records::ListSubject;
use super::rekeying::{NewSketches, Rekeyed};
use super::slab::{AccountNumber, Number as _, ValueNumber};
pub(crate) use super::values::ValueKind;
use super::values::{Shown, Sighting, Value};
use crate::screening::history::{Identifier, visit_values};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::digest::Digest;
use crate::vocabulary::ids::{AccountId, ConversionId};
use crate::vocabulary::outcome::OutcomeSubject;
use crate::vocabulary::time::Timestamp;

/// What stands in the place of signals that are cold: it tells whoever keeps them which of an account's packs it is. Chosen by him.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Mark(pub(crate) u64);

/// How much is cold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct ColdTotals {
    /// Accounts whose signals are cold.
    pub(crate) accounts: u64,
    /// Values that only they were seen on.
    pub(crate) values: u64,
    /// Of these, fingerprints of devices.
    pub(super) fingerprints: u32,
    /// The hashes of all of it, added up.
    pub(super) sum: u128,
}

/// The signals of an account, with the values that nobody else was seen on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pack {
    pub(crate) account: AccountNumber,
    pub(crate) signals: SignalBundle,
    pub(crate) alone: Vec<SeenAlone>,
}

/// A value that one account alone was seen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenAlone {
    pub(crate) number: ValueNumber,
    pub(crate) kind: ValueKind,
    pub(crate) digest: Digest,
    /// Unit: seconds since 1970.
    pub(crate) last_seen: u32,
}

/// What may become cold: a copy, and what it was copied from.
#[derive(Debug)]
pub(crate) struct Dormant {
    pub(crate) pack: Pack,
    profile: Arc<Profile>,
}

/// Which signals and values a command, an event or a reading looks at.
#[derive(Debug, Default)]
pub(crate) struct Met<'a> {
    accounts: SmallVec<[AccountNumber; 2]>,
    bundles: SmallVec<[&'a SignalBundle; 2]>,
    listed: Option<&'a Identifier>,
    named: Vec<(ValueKind, &'a Digest)>,
}

/// What of it is not here.
#[derive(Debug, Default)]
pub(crate) struct Absent<'a> {
    /// Signals that are cold.
    pub(crate) accounts: SmallVec<[(AccountNumber, Mark); 2]>,
    /// Values that are cold, or were never seen.
    pub(crate) values: Vec<(ValueKind, &'a Digest)>,
}

/// The values that the signals of an account are made of, in order, without repeats.
pub(crate) fn values_of(signals: &SignalBundle) -> Vec<(ValueKind, &Digest)> {
    let mut found = Vec::with_capacity(24);
    visit_values(signals, |kind, set, _| found.extend(set.iter().map(|digest| (ValueKind::Identifier(kind), digest))));
    found.extend(patterns(signals).map(|digest| (ValueKind::Pattern, digest)));
    found.extend(payouts(signals).map(|digest| (ValueKind::Payout, digest)));
    found.sort_unstable();
    found.dedup();
    found
}

/// The hash of a thing and its number, the same in every process.
pub(super) fn hash_of(number: impl Hash, thing: &impl Hash) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(0, 0);
    (number, thing).hash(&mut hasher);
    hasher.finish128().as_u128()
}

impl ColdTotals {
    fn add(&mut self, value: &Value, hash: u128) {
        self.values += 1;
        self.fingerprints += u32::from(value.is_fingerprint());
        self.sum = self.sum.wrapping_add(hash);
    }

    fn subtract(&mut self, value: &Value, hash: u128) {
        self.values -= 1;
        self.fingerprints -= u32::from(value.is_fingerprint());
        self.sum = self.sum.wrapping_sub(hash);
    }
}

impl Book {
    /// How much is cold.
    pub(crate) const fn cold(&self) -> ColdTotals {
        self.cold
    }

    /// Accounts whose signals are here, and values that are.
    #[must_use]
    pub fn warm(&self) -> (usize, usize) {
        (self.profiles, self.values.rows.there())
    }

    /// The mark of an account whose signals are cold; absent of all others.
    pub(crate) fn mark_of(&self, account: AccountNumber) -> Option<Mark> {
        let known = account.get().get() as usize <= self.accounts.rows.len();
        match known.then(|| &self.accounts.get(account).signals)? {
            Signals::Cold(mark) => Some(*mark),
            Signals::None | Signals::Here(_) => None,
        }
    }

    /// Of so many accounts after a number, those that nobody met since a time; all that have signals when there is none. With the number up to
    /// which it was looked: `None` after the last account.
    pub(crate) fn dormant(&self, after: u32, looked_at: u32, since: Option<Timestamp>) -> (Vec<Dormant>, Option<u32>) {
        let last = self.accounts_known();
        let until = after.saturating_add(looked_at).min(last);
        let numbers = (after + 1..=until).filter_map(NonZeroU32::new).map(AccountNumber::of);
        let found = numbers.filter_map(|number| self.dormant_account(number, since)).collect();
        (found, (until < last).then_some(until))
    }

    fn dormant_account(&self, number: AccountNumber, since: Option<Timestamp>) -> Option<Dormant> {
        let account = self.accounts.get(number);
        let profile = Arc::clone(account.signals.here()?);
        if since.is_some_and(|since| self.took_part_since(account, since)) {
            return None;
        }
        let signals = self.profile_shown(number, Shown::AsKept)?;
        let since = since.map(Timestamp::as_index_seconds);
        let mut alone = Vec::new();
        for (kind, digest) in values_of(&signals) {
            let Some(value) = self.values.find(kind, digest, &self.texts, &self.hasher) else { continue };
            let last_seen = self.values.sightings(value).last_seen(number).map(Timestamp::as_index_seconds);
            if since.is_some_and(|since| last_seen.is_some_and(|last_seen| last_seen >= since)) {
                return None;
            }
            if let Some(last_seen) = self.values.seen_alone(value, number) {
                alone.push(SeenAlone { number: value, kind, digest: digest.clone(), last_seen });
            }
        }
        Some(Dormant { pack: Pack { account: number, signals, alone }, profile })
    }

    /// Whether an account was first seen, or had a conversion on either side, since a time.
    fn took_part_since(&self, account: &Account, since: Timestamp) -> bool {
        let newest = [account.newest_as_referrer, account.newest_as_referee];
        let newest = newest.into_iter().flatten().map(|number| self.conversions.get(number).received_at);
        newest.chain(account.first_seen_at).any(|at| at >= since)
    }

    /// Makes something cold that is kept elsewhere by now. `Kept::Here` when something of it has changed since it was copied.
    pub(crate) fn take_out(&mut self, dormant: &Dormant, mark: Mark) -> Kept {
        let Dormant { pack: Pack { account, signals: _, alone }, profile } = dormant;
        let is_it = self.accounts_known() >= account.get().get()
            && self.accounts.get(*account).signals.here().is_some_and(|here| Arc::ptr_eq(here, profile));
        // While the profile is the same, its values are here.
        let as_copied = |seen: &SeenAlone| self.values.seen_alone(seen.number, *account) == Some(seen.last_seen);
        if !is_it || !alone.iter().all(as_copied) {
            return Kept::Here;
        }
        for SeenAlone { number, .. } in alone {
            if let Some(value) = self.values.take(*number, &self.hasher) {
                self.cold.add(&value, hash_of(number, &value));
            }
        }
        self.cold.accounts += 1;
        self.cold.sum = self.cold.sum.wrapping_add(hash_of(account, &**profile));
        self.profile_bytes = self.profile_bytes.saturating_sub(profile.bytes());
        self.profiles -= 1;
        self.accounts.get_mut(*account).signals = Signals::Cold(mark);
        Kept::Elsewhere
    }

    /// Takes back what was made cold under a mark, if it is still. Everything is then as it was before.
    pub(crate) fn restore(&mut self, pack: &Pack, mark: Mark) -> Kept {
        let Pack { account, signals, alone } = pack;
        if self.mark_of(*account) != Some(mark) {
            return Kept::Here;
        }
        for SeenAlone { number, kind, digest, last_seen } in alone {
            // The text is known as long as a value names it, here or there.
            let Some(key) = self.texts.intern(digest.key_id.as_str(), &self.hasher) else { continue };
            let seen = Sighting { account: *account, last_seen: *last_seen };
            let value = self.values.put_back(*number, (*kind, digest, key), seen, &self.hasher);
            self.cold.subtract(value, hash_of(number, value));
        }
        let mut maker = ProfileMaker { values: &mut self.values, texts: &mut self.texts, hasher: &self.hasher };
        let profile = maker.make(signals);
        self.cold.accounts -= 1;
        self.cold.sum = self.cold.sum.wrapping_sub(hash_of(account, &profile));
        self.profile_bytes += profile.bytes();
        self.profiles += 1;
        self.accounts.get_mut(*account).signals = Signals::Here(Arc::new(profile));
        Kept::Elsewhere
    }

    /// What of what is met is not here.
    pub(crate) fn absent<'a>(&self, met: &Met<'a>) -> Absent<'a> {
        if self.cold.accounts == 0 {
            return Absent::default();
        }
        let accounts = met.accounts.iter().filter_map(|account| Some((*account, self.mark_of(*account)?))).collect();
        let listed = met.listed.map(|listed| (ValueKind::Identifier(listed.kind), &listed.digest));
        let sent = met.bundles.iter().flat_map(|bundle| values_of(bundle)).chain(listed).chain(met.named.iter().copied());
        let unknown =
            |(kind, digest): &(ValueKind, &Digest)| self.values.find_name(*kind, digest, &self.texts, &self.hasher).is_none();
        Absent { accounts, values: sent.filter(unknown).collect() }
    }
}

/// Where signals are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They were not moved.
    Here,
    /// They were moved.
    Elsewhere,
}

impl<'a> Met<'a> {
    /// The signals of accounts.
    pub(crate) fn accounts(mut self, accounts: impl IntoIterator<Item = AccountNumber>) -> Self {
        self.accounts.extend(accounts);
        self
    }

    /// The signals of an account.
    pub(crate) fn account(mut self, book: &Book, id: &AccountId) -> Self {
        self.accounts.extend(book.accounts.find(id, &book.hasher));
        self
    }

    fn referee_of(mut self, book: &Book, id: &ConversionId) -> Self {
        self.accounts.extend(book.row(id).map(|(_, row)| row.referee));
        self
    }

    /// Signals that are looked for among all others, and the account that sent them.
    pub(crate) fn bundle(mut self, book: &Book, bundle: &'a SignalBundle) -> Self {
        self.bundles.push(bundle);
        self.account(book, &bundle.account_id)
    }

    /// What screening a conversion, or looking at it again, looks at.
    pub(crate) fn conversion(self, book: &Book, conversion: &'a Conversion) -> Self {
        self.bundle(book, &conversion.referrer).bundle(book, &conversion.referee)
    }

    /// What the two sides of a conversion are known by.
    pub(crate) fn sides_of(mut self, book: &Book, id: &ConversionId) -> Self {
        self.accounts.extend(book.row(id).into_iter().flat_map(|(_, row)| [row.referrer, row.referee]));
        self
    }

    fn subject(self, book: &Book, subject: &OutcomeSubject) -> Self {
        match subject {
            OutcomeSubject::Account(id) => self.account(book, id),
            OutcomeSubject::Conversion(_) | OutcomeSubject::Invoice { .. } => self,
        }
    }

    fn listed(mut self, subject: &'a ListSubject) -> Self {
        self.listed = match subject {
            ListSubject::Identifier(identifier) => Some(identifier),
            ListSubject::Account(_) => None,
        };
        self
    }

    /// Values that get another name, and the accounts whose sketches are made anew with that.
    fn rekeyed(mut self, book: &Book, values: &'a [Rekeyed]) -> Self {
        for rekeyed in values {
            self.named.extend(rekeyed.names());
            if rekeyed.sketches != NewSketches::NONE {
                for (kind, digest) in rekeyed.names() {
                    let known = book.values.find(kind, digest, &book.texts, &book.hasher);
                    let sightings = known.into_iter().flat_map(|value| book.values.sightings(value).iter());
                    self.accounts.extend(sightings.map(|seen| seen.account));
                }
            }
        }
        self
    }

    fn rechecked(self, book: &Book, rechecked: Option<&Rechecked>) -> Self {
        let changed = rechecked.into_iter().flat_map(|rechecked| &rechecked.changed);
        changed.fold(self, |met, changed| met.referee_of(book, &changed.conversion_id))
    }
}

impl Command {
    /// What planning it looks at. Applying what comes of it looks at nothing else.
    pub(crate) fn met<'a>(&'a self, book: &Book) -> Met<'a> {
        let met = Met::default();
        match self {
            Self::Screen(command) => met.conversion(book, &command.conversion),
            Self::RecordSignals(command) => command.bundles.iter().fold(met, |met, bundle| met.bundle(book, bundle)),
            Self::RecordOutcome(command) => met.subject(book, &command.outcome.subject),
            Self::RevokeOutcome(command) => {
                let outcome = book.outcomes.find(&command.outcome_id, &book.hasher);
                outcome.into_iter().fold(met, |met, number| met.subject(book, &book.outcomes.get(number).subject))
            }
            Self::StepCase(command, _) => {
                command.case_id.conversion_id().iter().fold(met, |met, conversion| met.referee_of(book, conversion))
            }
            Self::StepCases(command) => {
                let conversions = command.cases.iter().filter_map(|(case, _)| case.conversion_id());
                conversions.fold(met, |met, conversion| met.referee_of(book, &conversion))
            }
            Self::Recheck(command) => command.conversions.iter().fold(met, |met, sent| met.conversion(book, sent)),
            Self::Reserve(command) => command.conversions.iter().fold(met, |met, sent| met.conversion(book, sent)),
            Self::ChangeList(command) => met.listed(&command.entry.subject),
            Self::Rekey(command) => met.rekeyed(book, &command.values),
            Self::Propose(proposed) => proposed.command.met(book),
            Self::SettleAct(command) => command.prepared.as_ref().map_or(met, |command| command.met(book)),
            Self::ExpirePending(..)
            | Self::ChangeReservation(_)
            | Self::MarkPaid(_)
            | Self::MarkFailed(_)
            | Self::ChangeRewards(_)
            | Self::ChangeHold(_)
            | Self::ChangeModels(_)
            | Self::ChangeTerms(_)
            | Self::ChangeDirectory(_)
            | Self::TakeSourceEvent(_)
            | Self::KeepLooks(_)
            | Self::Erase(_)
            | Self::ErasuresDone(_) => met,
            Self::By(_, command) => command.met(book),
        }
    }
}

impl Event {
    /// What applying it looks at.
    pub(crate) fn met<'a>(&'a self, book: &Book) -> Met<'a> {
        let met = Met::default();
        match self {
            Self::ConversionScreened(screened) => met.conversion(book, &screened.conversion),
            Self::SignalsRecorded(recorded) => recorded.bundles.iter().fold(met, |met, bundle| met.bundle(book, bundle)),
            Self::OutcomeRecorded(recorded) => met.subject(book, &recorded.outcome.subject),
            Self::OutcomeRevoked(revoked) => met.subject(book, &revoked.subject),
            Self::Rechecked(rechecked) => met.rechecked(book, Some(rechecked)),
            Self::RewardsReserved(reserved) => met.rechecked(book, reserved.rechecked.as_ref()),
            Self::CaseStepped(stepped) => met.referee_of(book, &stepped.conversion_id),
            Self::CasesStepped(stepped) => stepped.steps.iter().fold(met, |met, step| met.referee_of(book, &step.conversion_id)),
            Self::ListChanged(changed) => met.listed(&changed.entry.subject),
            Self::ValuesRekeyed(rekeyed) => met.rekeyed(book, &rekeyed.values),
            Self::ActConfirmed(confirmed) => confirmed.done.met(book),
            Self::OutcomeSpread(_)
            | Self::PendingExpired(_)
            | Self::ReservationChanged(_)
            | Self::RewardPaid(_)
            | Self::PayoutFailed(_)
            | Self::RewardsChanged(_)
            | Self::HoldChanged(_)
            | Self::ModelsChanged(_)
            | Self::TermsChanged(_)
            | Self::AuditKeyMade(_)
            | Self::DirectoryChanged(_)
            | Self::Looked(_)
            | Self::AccountErased(_)
            | Self::ErasureFinished(_)
            | Self::ActProposed(_)
            | Self::ActDropped(_)
            | Self::SourceEventTaken(_)
            | Self::BreakerTripped(_)
            | Self::TrailKept(_)
            | Self::ConversionKept(_) => met,
        }
    }
}
