//! The audit trail of a programme: what its records say, and what outlived those that retention removed.

use super::{Records, damaged_at, unavailable, waiting};
use crate::book::event::Event;
use crate::book::records::Cursor;
use crate::book::trail::TrailKept;
use crate::ledger::codec;
use crate::ledger::trail::{leaf_of, text_of};
use crate::ports::journal::{Direction, Reach, Record, Rewritten};
use crate::ports::ledger::{LedgerError, TrailLine, TrailPart};

impl Records {
    /// Entries of a reach, as many as are read at once; what outlived retention comes in one part.
    pub(in super::super) async fn trail(&self, reach: Reach) -> Result<TrailPart, LedgerError> {
        let records = self.clone();
        waiting(move || {
            loop {
                let floor = records.first();
                let part = records.trail_part(reach, floor)?;
                // Retention may have moved the beginning meanwhile.
                if records.first() == floor {
                    return Ok(part);
                }
            }
        })
        .await
    }

    fn trail_part(&self, reach: Reach, floor: Cursor) -> Result<TrailPart, LedgerError> {
        let Reach { from, to, direction, limit } = reach;
        let of_records = || self.part(from, to, direction, limit)?.iter().map(line).collect::<Result<Vec<TrailLine>, _>>();
        let kept = if from < floor && floor > Cursor(1) { self.kept_trail()? } else { Vec::new() };
        let first = kept.first().map_or(floor, |line| line.place);
        let mut kept: Vec<TrailLine> = kept.into_iter().filter(|line| line.place >= from && line.place <= to).collect();
        let lines = match direction {
            Direction::Forward if kept.is_empty() => of_records()?,
            Direction::Forward => kept,
            Direction::Backward => {
                let mut lines = of_records()?;
                if to < floor || lines.last().is_some_and(|line| line.place == floor) {
                    kept.reverse();
                    lines.append(&mut kept);
                }
                lines
            }
        };
        let erasing = self.programme.book.read().erasures().under_way().next().is_some();
        Ok(TrailPart { first, end: self.programme.durable(), lines, erasing })
    }

    fn kept_trail(&self) -> Result<Vec<TrailLine>, LedgerError> {
        let mut lines: Vec<TrailLine> = Vec::new();
        for kept in self.journal.kept(&self.programme.id).map_err(unavailable)? {
            let event = codec::decode(&kept.payload).map_err(|damaged| damaged_at(kept.cursor, damaged))?;
            if let Event::TrailKept(trail) = event {
                let TrailKept { first, entries, beside: _ } = *trail;
                lines.extend((first.0..).zip(entries).map(|(place, entry)| TrailLine {
                    place: Cursor(place),
                    leaf: entry.leaf,
                    text: entry.text,
                    rewritten: None,
                    vouches: Vec::new(),
                }));
            }
        }
        lines.sort_unstable_by_key(|line| line.place);
        Ok(lines)
    }
}

fn line(record: &Record) -> Result<TrailLine, LedgerError> {
    let (event, by) = codec::decode_by(&record.payload).map_err(|damaged| damaged_at(record.cursor, damaged))?;
    let text = text_of(&event.trail(record.cursor, by.as_ref()));
    let rewritten = Rewritten::of(&record.payload).map(|_| *blake3::hash(&record.payload).as_bytes());
    let vouches = if let Event::ErasureFinished(finished) = event { finished.rewritten } else { Vec::new() };
    Ok(TrailLine { place: record.cursor, leaf: leaf_of(&text), text: Some(text), rewritten, vouches })
}
