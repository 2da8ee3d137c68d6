//! Re-keying: a programme changes its HMAC key, and what it knows goes on under the new one. Whoever has the raw values says which digest under the old key
//! is which under the new one; from then on both are names of one value, and everything is kept, compared and shown under the newest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Book;
use super::command::{Command, ListCommand, ProposeCommand, RecheckCommand, ReserveCommand, ScreenCommand, SignalsCommand};
use super::event::ValuesRekeyed;
use super::late::Touched;
use super::listings::Progress;
use super::records::{Cursor, ListEntry, ListSubject};
use super::slab::{AccountNumber, ValueNumber};
use super::values::ValueKind;
use crate::screening::history::{Identifier, IdentifierKind, ListKind};
use crate::vocabulary::bundle::{EmailSignals, SignalBundle};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::digest::{Digest, DigestSet, KeyId};
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::sketch::{SKETCH_BYTES, Sketch};
use crate::vocabulary::time::Timestamp;

/// Values of one call, at most.
pub const REKEYED_MAX: usize = 1_000;

/// What a value is that gets another name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum RekeyedKind {
    /// An exact e-mail address.
    EmailExact,
    /// A mailbox with aliases folded.
    Mailbox,
    /// A mailbox's local part.
    LocalPart,
    /// An e-mail domain.
    Domain,
    /// A person's folded name.
    Name,
    /// A device fingerprint.
    Device,
    /// A browser's cookie.
    Browser,
    /// A network address.
    Address,
    /// A neighbourhood of network addresses.
    Prefix,
    /// A payment instrument.
    Payment,
    /// A mailbox without its digits.
    Pattern,
}

/// The sketches of a text under the new key: the old ones cannot be compared with them, and say nothing of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewSketches {
    /// Of the text itself: a local part, or a name. Absent when the caller makes none.
    pub of_text: Option<[u8; SKETCH_BYTES]>,
    /// Of the person whom it names. Absent when the caller makes none.
    pub of_person: Option<[u8; SKETCH_BYTES]>,
}

impl NewSketches {
    /// Nothing.
    pub const NONE: Self = Self { of_text: None, of_person: None };
}

/// A value with its digest under both keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// What it is.
    pub kind: RekeyedKind,
    /// Its digest under the old key.
    pub old: Digest,
    /// Its digest under the new key.
    pub new: Digest,
    /// Of a local part or a name: its sketches under the new key.
    pub sketches: NewSketches,
}

/// How many values are known under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyShare {
    /// Values known under it, of those that are in memory.
    pub values: u64,
    /// Of these, values that have a newer name under another key.
    pub under_newer: u64,
}

impl RekeyedKind {
    /// What it is indexed as.
    fn kinds(self) -> impl Iterator<Item = ValueKind> {
        std::iter::once(self.kind()).chain((self == Self::Payment).then_some(ValueKind::Payout))
    }

    /// What accounts share by it; `None` for what lists and crowds know nothing of.
    const fn identifier(self) -> Option<IdentifierKind> {
        Some(match self {
            Self::EmailExact => IdentifierKind::EmailExact,
            Self::Mailbox => IdentifierKind::Mailbox,
            Self::LocalPart => IdentifierKind::LocalPart,
            Self::Domain => IdentifierKind::Domain,
            Self::Name => IdentifierKind::Name,
            Self::Device => IdentifierKind::Device,
            Self::Browser => IdentifierKind::Browser,
            Self::Address => IdentifierKind::Address,
            Self::Prefix => IdentifierKind::Prefix,
            Self::Payment => IdentifierKind::Payment,
            Self::Pattern => return None,
        })
    }

    /// What it is indexed as first.
    pub(super) const fn kind(self) -> ValueKind {
        match self.identifier() {
            Some(kind) => ValueKind::Identifier(kind),
            None => ValueKind::Pattern,
        }
    }
}

impl Rekeyed {
    /// Both names, as they are indexed.
    pub(super) fn names(&self) -> impl Iterator<Item = (ValueKind, &Digest)> {
        self.kind.kinds().flat_map(|kind| [(kind, &self.old), (kind, &self.new)])
    }
}

/// The use of keys, on its way through all values.
#[derive(Debug, Default)]
pub struct KeyCount {
    uses: BTreeMap<KeyId, KeyShare>,
    /// Values that are cold, and counted under no key.
    cold: u64,
    at: usize,
    as_of: Cursor,
}

/// Parts of the values that are counted at once: well below a millisecond.
const COUNTED_AT_ONCE: usize = 16;

impl KeyCount {
    /// Counts the next piece.
    pub fn advance(&mut self, book: &Book) -> Progress {
        (self.cold, self.as_of) = (book.cold().values, book.cursor());
        for at in self.at..self.at + COUNTED_AT_ONCE {
            if !book.values.count_keys(at, &mut self.uses, &book.texts) {
                return Progress::Finished;
            }
        }
        self.at += COUNTED_AT_ONCE;
        Progress::More
    }

    /// What was counted, how many values are cold, and the newest record that it is made of.
    #[must_use]
    pub fn finish(self) -> (BTreeMap<KeyId, KeyShare>, u64, Cursor) {
        (self.uses, self.cold, self.as_of)
    }
}

impl Book {
    /// The name of a digest's value under a key; `None` when it is not known under it.
    pub(super) fn name_under(&self, kind: RekeyedKind, digest: &Digest, key: &KeyId) -> Option<Digest> {
        let names = self.values.all_names(kind.kind(), digest, &self.texts, &self.hasher);
        names.into_iter().find(|name| name.key_id == *key)
    }

    /// Teaches names.
    pub(super) fn rekeyed(&mut self, cursor: Cursor, event: &ValuesRekeyed) -> Option<()> {
        let ValuesRekeyed { values, actor: _, note: _, request: _, at: _ } = event;
        let (mut touched, mut moved) = (Touched::new(), BTreeMap::new());
        for rekeyed in values {
            for kind in rekeyed.kind.kinds() {
                // An instrument is paid out to by a name under which it was seen so.
                if kind == ValueKind::Payout && self.values.find(kind, &rekeyed.old, &self.texts, &self.hasher).is_none() {
                    continue;
                }
                let old = self.values.intern_name(kind, &rekeyed.old, &mut self.texts, &self.hasher)?;
                let new = self.values.intern_name(kind, &rekeyed.new, &mut self.texts, &self.hasher)?;
                self.make_one(kind, (old, new), &mut touched, &mut moved);
            }
            self.rename_listed(cursor, rekeyed, &mut touched);
            self.sketch_anew(rekeyed);
        }
        self.conversions.move_patterns(&moved, &self.hasher);
        touched.sort_unstable();
        touched.dedup();
        self.touch(&touched);
        Some(())
    }

    /// Makes one value of two names. What was seen on either was seen on it: where both are known, those on them meet.
    fn make_one(
        &mut self,
        kind: ValueKind,
        (old, new): (ValueNumber, ValueNumber),
        touched: &mut Touched,
        moved: &mut BTreeMap<ValueNumber, ValueNumber>,
    ) {
        let Some((parent, child)) = self.values.teach(old, new) else { return };
        if kind == ValueKind::Pattern {
            moved.insert(child, parent);
        }
        let came = self.values.move_sightings(child, parent);
        let sightings = self.values.sightings(parent);
        if came.is_empty() || sightings.len() == came.len() {
            return;
        }
        let tied: Vec<AccountNumber> = match kind {
            ValueKind::Identifier(kind) if kind.is_strong() => sightings.tied().collect(),
            ValueKind::Payout => sightings.tied_by_payout().collect(),
            ValueKind::Identifier(_) | ValueKind::Pattern => Vec::new(),
        };
        touched.extend(tied.iter().copied());
        // Phones of one model have one fingerprint: it ties whoever is seen on it again and shares something else.
        if kind != ValueKind::Identifier(IdentifierKind::Device) {
            tied.windows(2).for_each(|pair| {
                self.accounts.tie(pair[0], pair[1]);
            });
        }
    }

    /// Entries of lists go by the newest name, and touch whoever was seen on the value under whichever. Of two that were one all along, blocking lasts as long as the longer and trust as long as the shorter.
    fn rename_listed(&mut self, cursor: Cursor, Rekeyed { kind, old: _, new, sketches: _ }: &Rekeyed, touched: &mut Touched) {
        let Some(kind) = kind.identifier() else { return };
        if self.lists.is_empty() {
            return;
        }
        let newest = self.newest_name(ValueKind::Identifier(kind), new).unwrap_or_else(|| new.clone());
        let names = self.values.all_names(ValueKind::Identifier(kind), new, &self.texts, &self.hasher);
        for list in [ListKind::Blocked, ListKind::Trusted] {
            let of = |digest: &Digest| (list, ListSubject::Identifier(Identifier { kind, digest: digest.clone() }));
            for known in names.iter().filter(|known| **known != newest) {
                if !self.lists.contains_key(&of(known)) {
                    continue;
                }
                let lists = std::sync::Arc::make_mut(&mut self.lists);
                let Some((entry, at)) = lists.remove(&of(known)) else { continue };
                let (list, subject) = of(&newest);
                let renamed = ListEntry { subject: subject.clone(), ..entry };
                let lasts = |entry: &ListEntry| entry.expires_at.map_or(i64::MAX, Timestamp::as_millis);
                let other = lists.get(&(list, subject.clone()));
                let stays = other.is_some_and(|(other, _)| match list {
                    ListKind::Blocked => lasts(other) >= lasts(&renamed),
                    ListKind::Trusted => lasts(other) <= lasts(&renamed),
                });
                if !stays {
                    lists.insert((list, subject), (renamed, at));
                }
                self.lists_changed = cursor;
            }
            if self.lists.contains_key(&of(&newest)) {
                touched.extend(self.listed(&of(&newest).1));
            }
        }
    }

    /// Puts sketches under the new key in the place of those under the old one, in the profiles of whoever has the text.
    fn sketch_anew(&mut self, rekeyed: &Rekeyed) {
        let Rekeyed { kind, old, new, sketches } = rekeyed;
        if *sketches == NewSketches::NONE {
            return;
        }
        let (old_key, new_key) = (old.key_id, new.key_id);
        let newest = self.newest_name(kind.kind(), new).unwrap_or_else(|| new.clone());
        let Some(value) = self.values.find(kind.kind(), new, &self.texts, &self.hasher) else { return };
        let holds = |set: &Option<DigestSet>| set.iter().flat_map(DigestSet::iter).any(|digest| *digest == newest);
        let put = |sketches: &mut Vec<Sketch>, new: Option<[u8; SKETCH_BYTES]>| {
            let Some(bits) = new.filter(|_| sketches.iter().any(|sketch| sketch.key_id == old_key)) else { return };
            sketches.retain(|sketch| sketch.key_id != old_key && sketch.key_id != new_key);
            sketches.push(Sketch { key_id: new_key, bits });
        };
        let NewSketches { of_text, of_person } = *sketches;
        let accounts: Vec<AccountNumber> = self.values.sightings(value).iter().map(|seen| seen.account).collect();
        for account in accounts {
            let Some(before) = self.profile(account) else { continue };
            let mut after = before.clone();
            if *kind == RekeyedKind::LocalPart {
                for email in after.emails.iter_mut().filter(|email| holds(&email.local_part)) {
                    put(&mut email.local_part_sketches, of_text);
                    put(&mut email.person_sketches, of_person);
                }
            }
            if *kind == RekeyedKind::Name {
                for name in after.names.iter_mut().filter(|name| holds(&name.exact)) {
                    put(&mut name.sketches, of_text);
                    put(&mut name.person_sketches, of_person);
                }
            }
            if after != before {
                self.keep_profile(account, &after);
            }
        }
    }

    /// The newest name of a digest; `None` when it has no other.
    fn newest_name(&self, kind: ValueKind, digest: &Digest) -> Option<Digest> {
        self.values.newest_name(kind, digest, &self.texts, &self.hasher)
    }

    /// A command with everything that it says of values under their newest names.
    pub(super) fn under_newest_names(&self, command: Command) -> Command {
        if !self.values.has_names() {
            return command;
        }
        let all = |conversions: Vec<Conversion>| conversions.into_iter().map(|sent| self.conversion_renamed(sent)).collect();
        match command {
            Command::Screen(command) => {
                let ScreenCommand { conversion, content, received_at } = *command;
                let conversion = self.conversion_renamed(conversion);
                Command::Screen(Box::new(ScreenCommand { conversion, content, received_at }))
            }
            Command::RecordSignals(command) => {
                let bundles = command.bundles.into_iter().map(|bundle| self.bundle_renamed(bundle)).collect();
                Command::RecordSignals(SignalsCommand { bundles, ..command })
            }
            Command::Recheck(command) => Command::Recheck(RecheckCommand { conversions: all(command.conversions), ..command }),
            Command::Reserve(command) => Command::Reserve(ReserveCommand { conversions: all(command.conversions), ..command }),
            Command::ChangeList(ListCommand { program_id, entry, change, request }) => {
                let entry = ListEntry { subject: self.subject_renamed(&entry.subject), ..entry };
                Command::ChangeList(ListCommand { program_id, entry, change, request })
            }
            Command::Propose(proposed) => {
                let ProposeCommand { command, proposer, confirmation } = *proposed;
                let command = Box::new(self.under_newest_names(*command));
                Command::Propose(Box::new(ProposeCommand { command, proposer, confirmation }))
            }
            other @ (Command::RecordOutcome(_)
            | Command::RevokeOutcome(_)
            | Command::ExpirePending(..)
            | Command::StepCase(..)
            | Command::StepCases(_)
            | Command::ChangeReservation(_)
            | Command::MarkPaid(_)
            | Command::MarkFailed(_)
            | Command::ChangeRewards(_)
            | Command::ChangeHold(_)
            | Command::ChangeModels(_)
            | Command::ChangeTerms(_)
            | Command::Rekey(_)
            | Command::ChangeDirectory(_)
            | Command::TakeSourceEvent(_)
            | Command::KeepLooks(_)
            | Command::Erase(_)
            | Command::ErasuresDone(_)
            | Command::SettleAct(_)) => other,
            Command::By(actor, command) => Command::By(actor, Box::new(self.under_newest_names(*command))),
        }
    }

    /// Whether these accounts have a value and nobody else. Of a value that nobody has it is not known whose it was.
    pub(crate) fn is_of_these_alone(&self, value: &Rekeyed, accounts: &[&AccountId]) -> bool {
        let theirs: Vec<AccountNumber> = accounts.iter().filter_map(|id| self.accounts.find(id, &self.hasher)).collect();
        let numbers = value.names().filter_map(|(kind, digest)| self.values.find(kind, digest, &self.texts, &self.hasher));
        let mut seen =
            numbers.flat_map(|number| self.values.sightings(number).iter()).map(|sighting| sighting.account).peekable();
        seen.peek().is_some() && seen.all(|account| theirs.contains(&account))
    }

    /// Entries of lists whose records stand before a place, with their places.
    pub(crate) fn listed_before(&self, floor: Cursor) -> impl Iterator<Item = (&ListEntry, Cursor)> {
        self.lists.values().filter(move |(_, cursor)| *cursor < floor).map(|(entry, cursor)| (entry, *cursor))
    }

    /// What a list entry is about, under its newest name.
    pub(super) fn subject_renamed(&self, subject: &ListSubject) -> ListSubject {
        match subject {
            ListSubject::Identifier(Identifier { kind, digest }) => {
                let newest = self.newest_name(ValueKind::Identifier(*kind), digest).unwrap_or_else(|| digest.clone());
                ListSubject::Identifier(Identifier { kind: *kind, digest: newest })
            }
            ListSubject::Account(id) => ListSubject::Account(id.clone()),
        }
    }

    /// A conversion under the newest names of its values.
    #[must_use]
    pub fn conversion_renamed(&self, conversion: Conversion) -> Conversion {
        if !self.values.has_names() {
            return conversion;
        }
        let Conversion { referrer, referee, .. } = &conversion;
        let (referrer, referee) = (self.bundle_renamed(referrer.clone()), self.bundle_renamed(referee.clone()));
        Conversion { referrer, referee, ..conversion }
    }

    /// A bundle under the newest names of its values. Of several sketches of one text, those under a key that another one followed are left out.
    #[must_use]
    pub fn bundle_renamed(&self, mut bundle: SignalBundle) -> SignalBundle {
        if !self.values.has_names() {
            return bundle;
        }
        let SignalBundle { account_id: _, account_created_at: _, emails, names, devices, networks, payments, journey } =
            &mut bundle;
        let identifier = |kind: IdentifierKind, set: &mut Option<DigestSet>| {
            if let Some(set) = set {
                self.rename(ValueKind::Identifier(kind), set);
            }
        };
        for email in emails {
            let EmailSignals {
                exact,
                mailbox,
                pattern,
                local_part,
                domain,
                domain_class: _,
                local_part_sketches,
                person_sketches,
            } = email;
            identifier(IdentifierKind::EmailExact, exact);
            identifier(IdentifierKind::Mailbox, mailbox);
            if let Some(pattern) = pattern {
                self.rename(ValueKind::Pattern, pattern);
            }
            identifier(IdentifierKind::LocalPart, local_part);
            identifier(IdentifierKind::Domain, domain);
            self.drop_superseded(local_part_sketches);
            self.drop_superseded(person_sketches);
        }
        for name in names {
            identifier(IdentifierKind::Name, &mut name.exact);
            self.drop_superseded(&mut name.sketches);
            self.drop_superseded(&mut name.person_sketches);
        }
        for device in devices {
            identifier(IdentifierKind::Device, &mut device.fingerprint);
            identifier(IdentifierKind::Browser, &mut device.browser);
        }
        for network in networks {
            identifier(IdentifierKind::Address, &mut network.address);
            identifier(IdentifierKind::Prefix, &mut network.prefix);
        }
        for payment in payments {
            self.rename(ValueKind::Identifier(IdentifierKind::Payment), &mut payment.instrument);
        }
        *journey = std::mem::take(journey).with_values(|device, browser| {
            identifier(IdentifierKind::Device, device);
            identifier(IdentifierKind::Browser, browser);
        });
        bundle
    }

    /// What a caller sends as one value under two keys, and what was taught otherwise, stays as it was sent.
    fn rename(&self, kind: ValueKind, set: &mut DigestSet) {
        if let Some(renamed) = self.values.renamed(kind, set, &self.texts, &self.hasher) {
            *set = renamed;
        }
    }

    fn drop_superseded(&self, sketches: &mut Vec<Sketch>) {
        if sketches.len() < 2 {
            return;
        }
        let keys: Vec<KeyId> = sketches.iter().map(|sketch| sketch.key_id).collect();
        sketches.retain(|sketch| !keys.iter().any(|key| self.values.follows(sketch.key_id, *key, &self.texts)));
    }
}
