//! What outlives of the audit trail when retention removes records: a piece for each part, kept under the place of the part's last record, beside
//! whatever else is kept under that place.

use std::collections::BTreeMap;

use super::codec;
use super::trail::{leaf_of, text_of};
use crate::book::event::Event;
use crate::book::records::Cursor;
use crate::book::trail::{KeptEntry, Outlives, TrailKept};
use crate::ports::journal::{Kept, KeptChange};
use crate::vocabulary::ids::Actor;

/// What a piece takes at most, but for the entry that goes over it. Unit: bytes. Judgement.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// The pieces that are kept, by their places.
#[derive(Default)]
pub(super) struct TrailsKept(BTreeMap<Cursor, TrailKept>);

impl TrailsKept {
    /// Learns of a piece that is kept. Returns what is kept beside it.
    pub(super) fn learn(&mut self, place: Cursor, kept: TrailKept) -> Option<Box<Event>> {
        let TrailKept { first, entries, beside } = kept;
        self.0.insert(place, TrailKept { first, entries, beside: None });
        beside
    }

    /// Keeps what outlives of records that are about to go. Returns the places of the new pieces.
    pub(super) fn keep(&mut self, old: &[(Cursor, Event, Option<Actor>)]) -> Vec<Cursor> {
        let mut begun = Vec::new();
        let (mut piece, mut bytes): (Vec<KeptEntry>, usize) = (Vec::new(), 0);
        for (cursor, event, by) in old {
            let entry = event.trail(*cursor, by.as_ref());
            let text = text_of(&entry);
            let leaf = leaf_of(&text);
            let text = (entry.outlives() == Outlives::Whole).then_some(text);
            bytes += leaf.len() + text.as_ref().map_or(0, String::len);
            piece.push(KeptEntry { leaf, text });
            if bytes >= PIECE_BYTES_MAX || old.last().is_some_and(|(last, _, _)| last == cursor) {
                let first = Cursor(cursor.0 + 1 - piece.len() as u64);
                self.0.insert(*cursor, TrailKept { first, entries: std::mem::take(&mut piece), beside: None });
                begun.push(*cursor);
                bytes = 0;
            }
        }
        begun
    }

    /// The change of what is kept: what is put with the pieces that stand, or begin, at its places.
    pub(super) fn beside(&self, begun: Vec<Cursor>, put: Vec<(Cursor, Event)>, gone: Vec<Cursor>) -> KeptChange {
        let mut put: BTreeMap<Cursor, Option<Event>> = put.into_iter().map(|(place, event)| (place, Some(event))).collect();
        for place in begun {
            put.entry(place).or_insert(None);
        }
        let (stays, gone): (Vec<Cursor>, Vec<Cursor>) = gone.into_iter().partition(|place| self.0.contains_key(place));
        for place in stays {
            put.entry(place).or_insert(None);
        }
        let kept = put.into_iter().filter_map(|(place, event)| {
            let event = match (self.0.get(&place), event) {
                (Some(piece), event) => Event::TrailKept(Box::new(TrailKept { beside: event.map(Box::new), ..piece.clone() })),
                (None, event) => event?,
            };
            Some(Kept { cursor: place, payload: codec::encode(&event).into() })
        });
        KeptChange { put: kept.collect(), gone }
    }
}
