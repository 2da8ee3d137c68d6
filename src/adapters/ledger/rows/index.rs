//! Ordered entries: what is listed (cases, holds, list entries), by keys whose byte order is the order of the list. Written with the event
//! that changes them.

use super::super::codec::{numbers, parts};
use super::super::packed::{Damaged, Reader, Writer};
use super::Row;
use super::case_line::CaseLine;
use crate::book::records::{Hold, HoldSubject, ListEntry, ListSubject};
use crate::screening::history::{Identifier, ListKind};
use crate::vocabulary::ids::{Actor, ConversionId};
use crate::vocabulary::time::Timestamp;

/// What an ordered entry is about. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(in super::super) enum Shelf {
    /// Cases that wait for a decision, by opening time.
    UndecidedCases = 1,
    /// Cases that were decided, by opening time.
    ResolvedCases = 2,
    /// Holds in force, by subject.
    Holds = 3,
    /// List entries, by list and subject.
    ListEntries = 4,
}

impl Shelf {
    /// All shelves.
    pub(in super::super) const ALL: [Self; 4] = [Self::UndecidedCases, Self::ResolvedCases, Self::Holds, Self::ListEntries];
}

/// A change of an ordered entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct ShelfWrite {
    pub(in super::super) shelf: Shelf,
    pub(in super::super) key: Vec<u8>,
    /// The new entry; absent removes it.
    pub(in super::super) value: Option<Vec<u8>>,
}

/// Moves a case from where it was listed to where it belongs now.
pub(in super::super) fn move_case(before: Option<&CaseLine>, after: &CaseLine) -> Vec<ShelfWrite> {
    let place = |line: &CaseLine| {
        let shelf = if line.is_undecided() { Shelf::UndecidedCases } else { Shelf::ResolvedCases };
        (shelf, case_key(line.opened_at, &line.conversion_id))
    };
    let (shelf, key) = place(after);
    let mut writes = Vec::with_capacity(2);
    if let Some((old_shelf, old_key)) = before.map(place)
        && (old_shelf, &old_key) != (shelf, &key)
    {
        writes.push(ShelfWrite { shelf: old_shelf, key: old_key, value: None });
    }
    writes.push(ShelfWrite { shelf, key, value: Some(after.pack()) });
    writes
}

/// Orders cases by opening time, then by conversion.
#[expect(clippy::cast_sign_loss, reason = "times are positive")]
pub(in super::super) fn case_key(opened_at: Timestamp, conversion: &ConversionId) -> Vec<u8> {
    let mut key = (opened_at.as_millis() as u64).to_be_bytes().to_vec();
    key.extend_from_slice(conversion.as_str().as_bytes());
    key
}

/// Orders holds as their subjects are ordered.
pub(in super::super) fn hold_key(subject: &HoldSubject) -> Vec<u8> {
    let (kind, id) = match subject {
        HoldSubject::Conversion(id) => (1, id.as_str()),
        HoldSubject::Referrer(id) => (2, id.as_str()),
    };
    [&[kind], id.as_bytes()].concat()
}

/// Orders list entries by list, then by subject.
pub(in super::super) fn list_key(list: ListKind, subject: &ListSubject) -> Vec<u8> {
    let mut key = vec![numbers::list_kind(list)];
    match subject {
        ListSubject::Account(id) => {
            key.push(0);
            key.extend_from_slice(id.as_str().as_bytes());
        }
        ListSubject::Identifier(Identifier { kind, digest }) => {
            key.push(numbers::identifier_kind(*kind));
            key.extend_from_slice(&digest.value);
            key.extend_from_slice(digest.key_id.as_str().as_bytes());
        }
    }
    key
}

impl Row for Hold {
    const NAME: &'static str = "a hold";

    fn pack(&self) -> Vec<u8> {
        let Self { subject, actor, note, placed_at } = self;
        let mut w = Writer::with_capacity(64);
        parts::write_hold_subject(&mut w, subject);
        w.text(actor.as_str());
        w.text(note);
        w.time(*placed_at);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(Self {
            subject: parts::read_hold_subject(r)?,
            actor: r.id(Actor::new)?,
            note: r.text()?.to_owned(),
            placed_at: r.time()?,
        })
    }
}

impl Row for ListEntry {
    const NAME: &'static str = "a list entry";

    fn pack(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(96);
        parts::write_list_entry(&mut w, self);
        w.finish()
    }

    fn unpack(r: &mut Reader<'_>) -> Result<Self, Damaged> {
        parts::read_list_entry(r)
    }
}
