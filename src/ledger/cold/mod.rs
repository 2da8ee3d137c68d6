//! What is cold, as the ledger keeps it: packs beside the journal, and which of them may hold a value. A pack is never changed: it is put, and once no
//! snapshot names it any more it is removed. So a snapshot, what is cold, and the journal after it fit together whenever the process ends.

mod filter;
mod pack;
#[cfg(test)]
mod rekeying_tests;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use self::filter::{BUCKETS, Filter, Hashing, Hint};
use self::pack::PACKS;
use super::reads::unavailable;
use crate::book::cold::{Dormant, Kept, Mark, Met, Pack};
use crate::book::records::Cursor;
use crate::book::{AccountNumber, Book};
use crate::ports::cold::{ColdStore, Entry, Walk};
use crate::ports::journal::JournalError;
use crate::ports::ledger::LedgerError;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Timestamp;

/// Accounts that are looked at under one lock of the book: well below a millisecond.
const LOOKED_AT_ONCE: u32 = 64;
/// Accounts that are put before any of them is taken out of the book: so many that most buckets take several of their values at once.
const PUT_AT_ONCE: usize = 4_096;
/// Values that are noted at once while all packs are read.
const NOTED_AT_ONCE: usize = 1 << 18;

/// What is cold of one programme.
pub(super) struct ColdTier {
    store: Arc<dyn ColdStore>,
    program: ProgramId,
    seed: u64,
    hashing: Hashing,
    filter: RwLock<Filter>,
    stale: Mutex<Stale>,
    /// Packs that were brought back.
    fetched: AtomicU64,
    /// Held by whoever makes things cold, removes packs or makes all of it anew.
    pub(super) moving: Mutex<()>,
}

/// Packs whose signals are back in the book.
#[derive(Default)]
struct Stale {
    /// With the last record that was applied when each came back.
    packs: Vec<(Cursor, AccountNumber, Mark)>,
    /// The newest snapshot. It and the one before are kept.
    newest: Cursor,
}

/// What is told of a cold tier.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ColdFigures {
    pub(super) fetched: u64,
    pub(super) filter_bytes: usize,
    pub(super) filter_noted: usize,
    pub(super) filter_capacity: usize,
}

impl ColdFigures {
    /// Those of two tiers together.
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            fetched: self.fetched + other.fetched,
            filter_bytes: self.filter_bytes + other.filter_bytes,
            filter_noted: self.filter_noted + other.filter_noted,
            filter_capacity: self.filter_capacity + other.filter_capacity,
        }
    }

    /// How full the filters are. Range: 0 to 1; 0 without any.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn fill(self) -> f64 {
        if self.filter_capacity == 0 { 0.0 } else { self.filter_noted as f64 / self.filter_capacity as f64 }
    }
}

/// Why what is cold does not go with a book.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("what is cold cannot be read: {0}")]
    Unreadable(#[from] JournalError),
    #[error("of {expected} accounts that are cold in it {found} were found whole")]
    Missing { expected: u64, found: u64 },
}

impl ColdTier {
    pub(super) fn new(store: Arc<dyn ColdStore>, program: ProgramId, seed: u64) -> Self {
        Self {
            store,
            program,
            seed,
            hashing: Hashing::new(seed),
            filter: RwLock::new(Filter::for_twice(0, 0, seed)),
            stale: Mutex::default(),
            fetched: AtomicU64::new(0),
            moving: Mutex::new(()),
        }
    }

    /// Forgets everything: for a book of which nothing is cold.
    pub(super) fn clear(&self) -> Result<(), JournalError> {
        *self.filter.write() = Filter::for_twice(0, 0, self.seed);
        self.stale.lock().packs.clear();
        self.store.clear(&self.program)
    }

    /// Takes what is in the store for what a book from a snapshot says is cold: all of it must be there, and be what was meant. The rest is removed.
    pub(super) fn fit(&self, book: &Book) -> Result<(), Unfit> {
        // What earlier processes noted is not for this one.
        self.remove_below(BUCKETS)?;
        let filter = Filter::for_twice(usize::try_from(book.cold().values).unwrap_or(0), 1, self.seed);
        let (filter, found, others) = self.read_all(filter, |account| book.mark_of(account))?;
        if found != book.cold().accounts {
            return Err(Unfit::Missing { expected: book.cold().accounts, found });
        }
        self.store.remove(&self.program, &others)?;
        *self.filter.write() = filter;
        Ok(())
    }

    /// Removes all whose keys begin so.
    fn remove_below(&self, prefix: &[u8]) -> Result<(), JournalError> {
        let mut old = Vec::new();
        self.store.walk(&self.program, prefix, &mut |key, _| {
            old.push(key.to_vec());
            Walk::On
        })?;
        self.store.remove(&self.program, &old)
    }

    /// Notes what the packs hold that are in force. Returns how many there are, and the keys of all others.
    fn read_all(
        &self,
        mut filter: Filter,
        in_force: impl Fn(AccountNumber) -> Option<Mark>,
    ) -> Result<(Filter, u64, Vec<Vec<u8>>), JournalError> {
        let (mut found, mut others, mut hints, mut failed) = (0, Vec::new(), Vec::new(), Ok(()));
        self.store.walk(&self.program, PACKS, &mut |key, bytes| {
            let named = pack::of_key(key).filter(|(account, mark)| in_force(*account) == Some(*mark));
            let whole = named.filter(|(_, mark)| pack::mark_of(bytes) == *mark);
            let Some(pack) = whole.and_then(|(account, _)| pack::decode(account, bytes).ok()) else {
                others.push(key.to_vec());
                return Walk::On;
            };
            found += 1;
            hints.extend(self.hints_of(&pack));
            if hints.len() < NOTED_AT_ONCE {
                return Walk::On;
            }
            failed = filter.note(&*self.store, &self.program, &mut hints);
            filter.set(&hints);
            hints.clear();
            if failed.is_ok() { Walk::On } else { Walk::Ends }
        })?;
        failed?;
        filter.note(&*self.store, &self.program, &mut hints)?;
        filter.set(&hints);
        Ok((filter, found, others))
    }

    fn hints_of(&self, pack: &Pack) -> impl Iterator<Item = Hint> {
        pack.alone.iter().map(|seen| (self.hashing.of(seen.kind, &seen.digest), pack.account))
    }

    /// Reads a pack that a book says is here.
    fn read(&self, account: AccountNumber, mark: Mark) -> Result<Pack, LedgerError> {
        let damaged = |what: &str| {
            LedgerError::Damaged(format!(
                "what is cold of programme `{}`: a pack {what}; stop the server and start it again: what is cold is then made again from the journal",
                self.program
            ))
        };
        let bytes = self.store.get(&self.program, &pack::key(account, mark)).map_err(unavailable)?;
        let bytes = bytes.ok_or_else(|| damaged("is missing"))?;
        if pack::mark_of(&bytes) != mark {
            return Err(damaged("is not what was put"));
        }
        pack::decode(account, &bytes).map_err(|error| damaged(&error.to_string()))
    }

    /// The packs of everything that is met and cold. Nearly always there is none, and nothing is read.
    pub(super) fn wanted(&self, book: &Book, met: &Met<'_>) -> Result<Vec<(Pack, Mark)>, LedgerError> {
        let absent = book.absent(met);
        let mut found: BTreeMap<AccountNumber, (Pack, Mark)> = BTreeMap::new();
        for (account, mark) in absent.accounts {
            found.insert(account, (self.read(account, mark)?, mark));
        }
        let filter = self.filter.read();
        for (kind, digest) in absent.values {
            let holds = |pack: &Pack| pack.alone.iter().any(|seen| seen.kind == kind && seen.digest == *digest);
            let hash = self.hashing.of(kind, digest);
            if !filter.may_hold(hash) || found.values().any(|(pack, _)| holds(pack)) {
                continue;
            }
            for account in filter.suspects(&*self.store, &self.program, hash).map_err(unavailable)? {
                if let Some(mark) = book.mark_of(account).filter(|_| !found.contains_key(&account)) {
                    let pack = self.read(account, mark)?;
                    if holds(&pack) {
                        found.insert(account, (pack, mark));
                    }
                }
            }
        }
        Ok(found.into_values().collect())
    }

    /// Puts packs back into their book.
    pub(super) fn take_back(&self, book: &mut Book, packs: Vec<(Pack, Mark)>) {
        let mut stale = self.stale.lock();
        for (pack, mark) in packs {
            if book.restore(&pack, mark) == Kept::Elsewhere {
                self.fetched.fetch_add(1, Ordering::Relaxed);
                stale.packs.push((book.cursor(), pack.account, mark));
            }
        }
    }

    /// Makes cold what nobody met since a time, or all there is. `take_out` does that in the book, and says which it left there. Returns how many
    /// accounts became cold.
    pub(super) fn cool(
        &self,
        book: &RwLock<Book>,
        since: Option<Timestamp>,
        mut take_out: impl FnMut(Vec<(Dormant, Mark)>) -> Result<Vec<(AccountNumber, Mark)>, LedgerError>,
    ) -> Result<u64, LedgerError> {
        let (mut next, mut moved) = (Some(0), 0);
        while let Some(mut after) = next {
            let mut dormant: Vec<Dormant> = Vec::new();
            while dormant.len() < PUT_AT_ONCE {
                let (found, looked_until) = book.read().dormant(after, LOOKED_AT_ONCE, since);
                dormant.extend(found);
                next = looked_until;
                let Some(until) = looked_until else { break };
                after = until;
            }
            if dormant.is_empty() {
                continue;
            }
            let marks = self.put(book, &dormant).map_err(unavailable)?;
            let all = dormant.len() as u64;
            let left = take_out(dormant.into_iter().zip(marks).collect())?;
            moved += all - left.len() as u64;
            let left: Vec<Vec<u8>> = left.into_iter().map(|(account, mark)| pack::key(account, mark)).collect();
            self.store.remove(&self.program, &left).map_err(unavailable)?;
        }
        Ok(moved)
    }

    /// Puts copies into the store, and lets them be found. They are not missed in the book yet.
    fn put(&self, book: &RwLock<Book>, dormant: &[Dormant]) -> Result<Vec<Mark>, JournalError> {
        let mut marks = Vec::with_capacity(dormant.len());
        let mut entries: Vec<Entry> = Vec::with_capacity(dormant.len());
        let mut hints: Vec<Hint> = Vec::new();
        for Dormant { pack, .. } in dormant {
            let bytes = pack::encode(pack);
            let mark = pack::mark_of(&bytes);
            entries.push((pack::key(pack.account, mark), bytes));
            hints.extend(self.hints_of(pack));
            marks.push(mark);
        }
        self.store.put(&self.program, &entries)?;
        if !self.filter.read().has_room_for(hints.len()) {
            self.make_room(book, hints.len())?;
        }
        self.filter.read().note(&*self.store, &self.program, &mut hints)?;
        self.filter.write().set(&hints);
        Ok(marks)
    }

    /// Makes the filter again, of what is cold by now and with room for as much again.
    fn make_room(&self, book: &RwLock<Book>, more: usize) -> Result<(), JournalError> {
        let values = usize::try_from(book.read().cold().values).unwrap_or(0) + more;
        let generation = self.filter.read().generation();
        let fresh = Filter::for_twice(values, generation.wrapping_add(1), self.seed);
        let (fresh, found, _) = self.read_all(fresh, |account| book.read().mark_of(account))?;
        tracing::info!(
            program = self.program.as_str(),
            accounts = found,
            values,
            "the filter in front of what is cold was full, and was made again"
        );
        *self.filter.write() = fresh;
        self.remove_below(&Filter::buckets(generation))
    }

    /// A snapshot was written: of what it and the one before do not name nothing is needed any more.
    pub(super) fn snapshot_written(&self, at: Cursor, book: &RwLock<Book>) -> Result<(), JournalError> {
        let before = std::mem::replace(&mut self.stale.lock().newest, at);
        // One that was taken again at the same place has the same one before it.
        if before == at { Ok(()) } else { self.remove_stale(before, book) }
    }

    /// Removes packs that came back before a place.
    pub(super) fn remove_stale(&self, until: Cursor, book: &RwLock<Book>) -> Result<(), JournalError> {
        let old: Vec<_> = {
            let mut stale = self.stale.lock();
            let (old, packs) = std::mem::take(&mut stale.packs).into_iter().partition(|(came_back, ..)| *came_back < until);
            stale.packs = packs;
            old
        };
        // What became cold again as it was has the same mark.
        let in_force = |account, mark| book.read().mark_of(account) == Some(mark);
        let gone = old.into_iter().filter(|(_, account, mark)| !in_force(*account, *mark));
        let keys: Vec<Vec<u8>> = gone.map(|(_, account, mark)| pack::key(account, mark)).collect();
        self.store.remove(&self.program, &keys)
    }

    /// Makes durable what was put, before a snapshot relies on it.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        self.store.sync()
    }

    pub(super) fn figures(&self) -> ColdFigures {
        let filter = self.filter.read();
        let (filter_noted, filter_capacity) = filter.fill();
        ColdFigures { fetched: self.fetched.load(Ordering::Relaxed), filter_bytes: filter.bytes(), filter_noted, filter_capacity }
    }
}
