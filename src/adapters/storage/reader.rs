//! Concurrent reading of the journal: records in order, side entries by key, the programme registry.
//! It never writes and never waits for a disk sync. Called by the ledger, backup, check and the feed.
//!
//! A reader sees what has been *applied*, which can be one group ahead of what is durable. Where money or an
//! acknowledgement depends on it, bound the read by the committer's durable sequence number.

use std::ops::{Bound, RangeInclusive};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use crate::adapters::storage::error::StorageError;
use crate::adapters::storage::journal::Store;
use crate::adapters::storage::record::{
    ProgrammeNumber, Record, RecordHead, SideTag, decode_side, journal_key, key, parse_journal_key, side_key, space,
};

/// Reads a journal; clone it freely across threads.
#[derive(Clone)]
pub struct JournalReader {
    store: Arc<Store>,
}

/// A side entry as read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideEntry {
    /// The key inside programme and tag.
    pub key: Vec<u8>,
    /// The value.
    pub value: Bytes,
}

/// A side entry with its kind, for walks over everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedSideEntry {
    /// The kind of entry.
    pub tag: SideTag,
    /// Key and value.
    pub entry: SideEntry,
}

impl JournalReader {
    pub(super) fn new(store: Arc<Store>) -> JournalReader {
        JournalReader { store }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// All programmes ever registered, by name.
    ///
    /// # Errors
    /// [`StorageError::DamagedStore`] when an entry is malformed; [`StorageError::Io`] when the disk refuses.
    pub fn programmes(&self) -> Result<Vec<(String, ProgrammeNumber)>, StorageError> {
        let prefix = key(ProgrammeNumber::STORE, space::PROGRAMME, &[]);
        let mut found = Vec::new();
        for item in self.store.tree().scan_prefix(&prefix) {
            let (stored_key, value) = item.map_err(|e| self.store.sled_error("reading the programmes", &e))?;
            let damaged = StorageError::DamagedStore { entry: "programme registry" };
            let name = stored_key.get(prefix.len()..).and_then(|n| std::str::from_utf8(n).ok()).ok_or(damaged.clone())?;
            let number = <[u8; 4]>::try_from(value.as_ref()).ok().map(u32::from_be_bytes);
            let number = number.and_then(ProgrammeNumber::new).ok_or(damaged)?;
            found.push((name.to_owned(), number));
        }
        Ok(found)
    }

    /// One record; absent when there is none at this place.
    ///
    /// # Errors
    /// [`StorageError::DamagedRecord`] when it is not what was written; [`StorageError::Io`] when the disk refuses.
    pub fn read(&self, programme: ProgrammeNumber, seq: u64) -> Result<Option<Record>, StorageError> {
        self.scan(programme, seq..=seq).next().transpose()
    }

    /// The records with a sequence number in the range, oldest first. A damaged record is an error item; the scan
    /// goes on after it. Use `take` for a limit.
    pub fn scan(&self, programme: ProgrammeNumber, range: RangeInclusive<u64>) -> RecordScan {
        self.scan_towards(programme, range, Direction::Forward)
    }

    /// The same records, newest first.
    pub fn scan_back(&self, programme: ProgrammeNumber, range: RangeInclusive<u64>) -> RecordScan {
        self.scan_towards(programme, range, Direction::Backward)
    }

    fn scan_towards(&self, programme: ProgrammeNumber, range: RangeInclusive<u64>, direction: Direction) -> RecordScan {
        let (from, to) = range.into_inner();
        let bounds = (
            Bound::Included(journal_key(programme, from, 0).to_vec()),
            Bound::Included(journal_key(programme, to, u8::MAX).to_vec()),
        );
        let items = if from <= to { Some(self.store.tree().range::<Vec<u8>, _>(bounds)) } else { None };
        RecordScan { reader: self.clone(), items, programme, direction, ahead: None }
    }

    /// The newest applied record; 0 when the programme never had one. Retention does not lower it.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the disk refuses.
    pub fn last_seq(&self, programme: ProgrammeNumber) -> Result<u64, StorageError> {
        let floor = self.first_seq(programme)?;
        let bounds = journal_key(programme, 0, 0)..=journal_key(programme, u64::MAX, u8::MAX);
        let last = self.store.tree().range(bounds).next_back().transpose();
        let last = last.map_err(|e| self.store.sled_error("reading the journal", &e))?;
        let last = last.and_then(|(stored_key, _)| parse_journal_key(&stored_key)).map_or(0, |(seq, _)| seq);
        Ok(last.max(floor - 1))
    }

    /// The oldest record that retention has kept; 1 until retention has removed something.
    ///
    /// # Errors
    /// [`StorageError::Io`] when the disk refuses; [`StorageError::DamagedStore`] when the entry is malformed.
    pub fn first_seq(&self, programme: ProgrammeNumber) -> Result<u64, StorageError> {
        let stored = self.store.tree().get(key(programme, space::FLOOR, &[]));
        match stored.map_err(|e| self.store.sled_error("reading the journal", &e))? {
            None => Ok(1),
            Some(value) => {
                let floor = <[u8; 8]>::try_from(value.as_ref()).map(u64::from_be_bytes);
                floor.ok().filter(|seq| *seq > 0).ok_or(StorageError::DamagedStore { entry: "retention floor" })
            }
        }
    }

    /// The value of a side entry; absent when it was never written or was deleted.
    ///
    /// # Errors
    /// [`StorageError::DamagedSide`] when it is not what was written; [`StorageError::Io`] when the disk refuses.
    pub fn side(&self, programme: ProgrammeNumber, tag: SideTag, entry_key: &[u8]) -> Result<Option<Bytes>, StorageError> {
        let stored_key = side_key(programme, tag, entry_key);
        let stored = self.store.tree().get(&stored_key);
        let Some(stored) = stored.map_err(|e| self.store.sled_error("reading a side entry", &e))? else {
            return Ok(None);
        };
        decode_side(&stored_key, &stored)
            .map(|value| Some(Bytes::copy_from_slice(value)))
            .map_err(|reason| StorageError::DamagedSide { programme, tag: tag.0, reason })
    }

    /// The side entries of one kind whose keys lie in the bounds, in key order. It is double ended and lazy.
    pub fn side_scan(
        &self,
        programme: ProgrammeNumber,
        tag: SideTag,
        from: Bound<&[u8]>,
        to: Bound<&[u8]>,
    ) -> impl DoubleEndedIterator<Item = Result<SideEntry, StorageError>> + Send + use<> {
        let from = match from {
            Bound::Included(low) => Bound::Included(side_key(programme, tag, low)),
            Bound::Excluded(low) => Bound::Excluded(side_key(programme, tag, low)),
            Bound::Unbounded => Bound::Included(side_key(programme, tag, &[])),
        };
        let to = match to {
            Bound::Included(high) => Bound::Included(side_key(programme, tag, high)),
            Bound::Excluded(high) => Bound::Excluded(side_key(programme, tag, high)),
            Bound::Unbounded => match tag.0.checked_add(1) {
                Some(next) => Bound::Excluded(side_key(programme, SideTag(next), &[])),
                None => Bound::Excluded(key(programme, space::SIDE + 1, &[])),
            },
        };
        let reader = self.clone();
        let items = (!is_empty(&from, &to)).then(|| self.store.tree().range::<Vec<u8>, _>((from, to)));
        let items = UntilError(items);
        items.map(move |item| reader.tagged(programme, item).map(|tagged| tagged.entry))
    }

    /// Every side entry of a programme, by tag and key; for backup and check.
    pub(super) fn side_all(
        &self,
        programme: ProgrammeNumber,
    ) -> impl Iterator<Item = Result<TaggedSideEntry, StorageError>> + Send + use<> {
        let reader = self.clone();
        let prefix = key(programme, space::SIDE, &[]);
        UntilError(Some(self.store.tree().scan_prefix(prefix))).map(move |item| reader.tagged(programme, item))
    }

    fn tagged(&self, programme: ProgrammeNumber, item: SledItem) -> Result<TaggedSideEntry, StorageError> {
        let (stored_key, stored) = item.map_err(|e| self.store.sled_error("reading side entries", &e))?;
        let damaged = |tag, reason| StorageError::DamagedSide { programme, tag, reason };
        let (tag, rest) = stored_key.get(5..).and_then(<[u8]>::split_first).ok_or(damaged(0, "its key is cut short"))?;
        let value = decode_side(&stored_key, &stored).map_err(|reason| damaged(*tag, reason))?;
        Ok(TaggedSideEntry { tag: SideTag(*tag), entry: SideEntry { key: rest.to_vec(), value: Bytes::copy_from_slice(value) } })
    }
}

type SledItem = Result<(sled::IVec, sled::IVec), sled::Error>;

/// A walk of sled's that ends with its first error: sled's own goes on from where it failed, for ever.
struct UntilError(Option<sled::Iter>);

impl UntilError {
    fn passed(&mut self, item: Option<SledItem>) -> Option<SledItem> {
        if !matches!(item, Some(Ok(_))) {
            self.0 = None;
        }
        item
    }
}

impl Iterator for UntilError {
    type Item = SledItem;

    fn next(&mut self) -> Option<SledItem> {
        let item = self.0.as_mut()?.next();
        self.passed(item)
    }
}

impl DoubleEndedIterator for UntilError {
    fn next_back(&mut self) -> Option<SledItem> {
        let item = self.0.as_mut()?.next_back();
        self.passed(item)
    }
}

/// Whether no key can lie between the bounds (sled panics on an inverted range).
fn is_empty(from: &Bound<Vec<u8>>, to: &Bound<Vec<u8>>) -> bool {
    match (from, to) {
        (Bound::Included(low), Bound::Included(high)) => low > high,
        (Bound::Included(low) | Bound::Excluded(low), Bound::Excluded(high)) | (Bound::Excluded(low), Bound::Included(high)) => {
            low >= high
        }
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Forward,
    Backward,
}

/// A lazy walk over records. It holds no lock between items.
pub struct RecordScan {
    reader: JournalReader,
    items: Option<sled::Iter>,
    programme: ProgrammeNumber,
    direction: Direction,
    /// The part that was read to learn that the record before it was complete.
    ahead: Option<Part>,
}

struct Part {
    seq: u64,
    number: u8,
    value: sled::IVec,
}

impl RecordScan {
    fn pull(&mut self) -> Option<Result<Part, StorageError>> {
        if let Some(part) = self.ahead.take() {
            return Some(Ok(part));
        }
        let items = self.items.as_mut()?;
        let item = match self.direction {
            Direction::Forward => items.next()?,
            Direction::Backward => items.next_back()?,
        };
        let read = item.map_err(|e| self.reader.store().sled_error("reading the journal", &e));
        Some(read.and_then(|(stored_key, value)| {
            let (seq, number) = parse_journal_key(&stored_key).ok_or(StorageError::DamagedStore { entry: "journal key" })?;
            Ok(Part { seq, number, value })
        }))
    }

    /// Joins the parts of one record and checks it.
    fn assemble(&self, parts: &[Part]) -> Result<Record, StorageError> {
        let seq = parts.first().map_or(0, |part| part.seq);
        let damaged = |reason| StorageError::DamagedRecord { programme: self.programme, seq, reason };
        let first = parts.first().filter(|part| part.number == 0).ok_or_else(|| damaged("its first part is missing"))?;
        let (head, start) = RecordHead::parse(&first.value).map_err(damaged)?;
        let payload = match parts {
            [_] => Bytes::copy_from_slice(start),
            parts => {
                let mut joined = BytesMut::with_capacity(head.length);
                joined.extend_from_slice(start);
                for (expected, part) in (1..=u8::MAX).zip(parts.iter().skip(1)) {
                    if part.number != expected {
                        return Err(damaged("a part is missing"));
                    }
                    joined.extend_from_slice(&part.value);
                }
                joined.freeze()
            }
        };
        head.verify(self.programme, seq, &payload).map_err(damaged)?;
        Ok(Record { seq, payload })
    }
}

impl Iterator for RecordScan {
    type Item = Result<Record, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.pull()? {
            Ok(part) => part,
            Err(error) => {
                self.items = None;
                return Some(Err(error));
            }
        };
        let seq = first.seq;
        let mut parts: SmallVec<[Part; 2]> = SmallVec::new();
        parts.push(first);
        loop {
            match self.pull() {
                Some(Ok(part)) if part.seq == seq => parts.push(part),
                Some(Ok(part)) => {
                    self.ahead = Some(part);
                    break;
                }
                Some(Err(error)) => {
                    self.items = None;
                    return Some(Err(error));
                }
                None => break,
            }
        }
        if self.direction == Direction::Backward {
            parts.reverse();
        }
        Some(self.assemble(&parts))
    }
}
