//! Walks over records and kept entries: parts are joined and checked, what is damaged is named, and the walk goes on after it.

use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

use super::error::StorageError;
use super::layout::{Number, PartsHead, Space, parse_part_key, part_key, unpack};
use super::store::{Store, Walk};
use crate::book::records::Cursor;
use crate::ports::journal::{Direction, Record};

/// What is being done here, for messages.
const READING: &str = "reading the journal";

/// Whose entries are walked, and of which kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Of<'p> {
    pub(super) program: &'p str,
    pub(super) number: Number,
    pub(super) space: Space,
}

impl Of<'_> {
    /// Names damage at a place.
    pub(super) fn damaged(&self, seq: u64, reason: &'static str) -> StorageError {
        let program = self.program.to_owned();
        match self.space {
            Space::Kept => StorageError::DamagedKept { program, seq, reason },
            Space::Record | Space::Floor | Space::Identity | Space::Registry => {
                StorageError::DamagedRecord { program, seq, reason }
            }
        }
    }
}

/// The place of the entry in which a record stands: the last one that begins at or before it; its own when there is none.
pub(super) fn entry_with(store: &Store, number: Number, record: Cursor) -> Result<u64, StorageError> {
    let before = part_key(number, Space::Record, 0, 0)..=part_key(number, Space::Record, record.0, u16::MAX);
    let found = store.range(READING, before).next_back().transpose()?;
    let damaged = StorageError::DamagedStore { entry: "key" };
    found.map_or(Ok(record.0), |(key, _)| parse_part_key(&key).map(|(place, _)| place).ok_or(damaged))
}

/// A lazy walk over entries with their places. It holds no lock between items, and ends with the first error of the store.
pub(super) struct Scan<'s> {
    of: Of<'s>,
    items: Walk<'s>,
    direction: Direction,
    /// The part that was read to learn that the entry before it was complete.
    ahead: Option<Part>,
}

struct Part {
    place: u64,
    number: u16,
    value: sled::IVec,
}

impl<'s> Scan<'s> {
    /// The entries at places of a range.
    pub(super) fn over(store: &'s Store, of: Of<'s>, places: RangeInclusive<u64>, direction: Direction) -> Self {
        let bounds = part_key(of.number, of.space, *places.start(), 0)..=part_key(of.number, of.space, *places.end(), u16::MAX);
        Self { of, items: store.range(READING, bounds), direction, ahead: None }
    }

    fn pull(&mut self) -> Option<Result<Part, StorageError>> {
        if let Some(part) = self.ahead.take() {
            return Some(Ok(part));
        }
        let item = match self.direction {
            Direction::Forward => self.items.next()?,
            Direction::Backward => self.items.next_back()?,
        };
        Some(item.and_then(|(key, value)| {
            let (place, number) = parse_part_key(&key).ok_or(StorageError::DamagedStore { entry: "key" })?;
            Ok(Part { place, number, value })
        }))
    }

    /// Joins the parts of one entry and checks it.
    fn assemble(&self, parts: &[Part]) -> Result<(u64, Bytes), StorageError> {
        let place = parts.first().map_or(0, |part| part.place);
        let damaged = |reason| self.of.damaged(place, reason);
        let first = parts.first().filter(|part| part.number == 0).ok_or_else(|| damaged("its first part is missing"))?;
        let (head, start) = PartsHead::parse(&first.value).map_err(damaged)?;
        let body = match parts {
            [_] => Bytes::copy_from_slice(start),
            parts => {
                let mut joined = BytesMut::with_capacity(head.length);
                joined.extend_from_slice(start);
                for (expected, part) in (1..=u16::MAX).zip(parts.iter().skip(1)) {
                    if part.number != expected {
                        return Err(damaged("a part is missing"));
                    }
                    joined.extend_from_slice(&part.value);
                }
                joined.freeze()
            }
        };
        head.verify((self.of.number, self.of.space, place), &body).map_err(damaged)?;
        Ok((place, body))
    }
}

impl Iterator for Scan<'_> {
    type Item = Result<(u64, Bytes), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut parts: SmallVec<[Part; 2]> = SmallVec::new();
        while let Some(pulled) = self.pull() {
            match pulled {
                Ok(part) if parts.first().is_none_or(|first| first.place == part.place) => parts.push(part),
                Ok(part) => {
                    self.ahead = Some(part);
                    break;
                }
                Err(error) => return Some(Err(error)),
            }
        }
        if parts.is_empty() {
            return None;
        }
        if self.direction == Direction::Backward {
            parts.reverse();
        }
        Some(self.assemble(&parts))
    }
}

/// The records between two places, both included, in either direction; damage is an item and the walk goes on after it. Gaps are not told.
pub(super) fn records<'s>(
    store: &'s Store,
    of: Of<'s>,
    (from, to): (Cursor, Cursor),
    direction: Direction,
) -> impl Iterator<Item = Result<Record, StorageError>> + use<'s> {
    let begin = entry_with(store, of.number, from);
    let (begin, failed) = match begin {
        Ok(begin) if from <= to => (begin, None),
        Ok(_) => (to.0 + 1, None),
        Err(error) => (to.0 + 1, Some(Err(error))),
    };
    let entries = Scan::over(store, of, begin..=to.0, direction).flat_map(move |item| {
        let unpacked = item.and_then(|(place, body)| unpack(place, body).map_err(|reason| of.damaged(place, reason)));
        let mut records: Vec<Result<Record, StorageError>> = match unpacked {
            Ok(records) => records.into_iter().filter(|record| (from..=to).contains(&record.cursor)).map(Ok).collect(),
            Err(error) => vec![Err(error)],
        };
        if direction == Direction::Backward {
            records.reverse();
        }
        records
    });
    failed.into_iter().chain(entries)
}
