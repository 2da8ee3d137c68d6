//! Opening: each programme's book from its newest sound snapshot and the rest of the journal, or from the journal alone. What cannot be true (a
//! snapshot ahead of the journal, a chain that breaks, a gap) is refused, and nothing is changed.

use std::sync::Arc;
use std::time::Instant;

use super::codec;
use super::cold::{ColdTier, Unfit};
use super::programme::Programme;
use super::reads::unavailable;
use super::snapshot::{self, Place};
use crate::book::Book;
use crate::book::records::Cursor;
use crate::ports::cold::ColdStore;
use crate::ports::journal::{Chain, Direction, Head, Incarnation, Journal, JournalError, Reach, Record};
use crate::ports::labels;
use crate::ports::ledger::LedgerError;
use crate::ports::snapshots::Snapshots;
use crate::vocabulary::ids::ProgramId;

/// Records that are read at once while a journal is replayed.
const REPLAYED_AT_ONCE: usize = 1_024;
/// Records between two lines that tell how far a replay is.
const TOLD_EVERY: u64 = 100_000;

/// Why a ledger does not open. What was acknowledged is untouched.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The journal cannot be opened or read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal ends before a snapshot that was made of it: acknowledged records are gone.
    #[error(
        "the journal of programme `{program}` ends at record {last}, but a snapshot was made of it at {snapshot}: acknowledged records are lost. \
         Keep the folder, and restore the last backup to another; to go on without the lost records on purpose, move the folder `snapshots` away"
    )]
    EndLost {
        /// Which programme.
        program: String,
        /// The journal's last record.
        last: u64,
        /// The snapshot's place.
        snapshot: u64,
    },
    /// A record is missing, or is not the one that followed the one before.
    #[error(
        "the journal of programme `{program}` breaks at record {at}: {reason}. Keep the folder, and restore the last backup to another"
    )]
    Broken {
        /// Which programme.
        program: String,
        /// The first record that is wrong.
        at: u64,
        /// What is wrong.
        reason: String,
    },
    /// A thread cannot be started.
    #[error("a thread cannot be started: {0}")]
    Thread(String),
}

impl From<OpenError> for LedgerError {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Journal(error) => unavailable(error),
            other => Self::Damaged(other.to_string()),
        }
    }
}

/// Where books are made from.
pub(super) struct Sources<'s> {
    pub(super) journal: &'s dyn Journal,
    pub(super) snapshots: Option<&'s dyn Snapshots>,
    /// Where what is cold is; absent where all of a book is in memory.
    pub(super) cold: Option<&'s Arc<dyn ColdStore>>,
    pub(super) seed: u64,
}

impl Sources<'_> {
    fn incarnation(&self) -> Incarnation {
        self.journal.incarnation()
    }

    /// All programmes, up to the journal's ends.
    pub(super) fn programmes(&self) -> Result<Vec<Programme>, OpenError> {
        let open = |(program, head): (ProgramId, Head)| self.programme(program, head);
        self.journal.programs()?.into_iter().map(open).collect()
    }

    /// One programme, up to the journal's end.
    pub(super) fn programme(&self, program: ProgramId, head: Head) -> Result<Programme, OpenError> {
        let began = Instant::now();
        let tier = self.cold.map(|store| ColdTier::new(Arc::clone(store), program.clone(), self.seed));
        let found = self.newest_snapshot(&program, head, tier.as_ref())?;
        let snapshot = found.as_ref().map_or(Cursor(0), |(book, _)| book.cursor());
        if let (None, Some(tier)) = (&found, &tier) {
            tier.clear()?;
        }
        let (mut book, mut chain) = match found {
            Some(found) => found,
            None => self.beginning(&program, head)?,
        };
        let from = book.cursor();
        chain = self.replay(&program, &mut book, chain, head.last, tier.as_ref())?;
        book.raise_floor(head.first);
        let replayed = head.last.0.saturating_sub(from.0);
        metrics::counter!("selfsame_ledger_replayed_records_total").increment(replayed);
        metrics::gauge!("selfsame_ledger_open_seconds", "program" => labels::program(&program))
            .set(began.elapsed().as_secs_f64());
        tracing::info!(
            program = program.as_str(),
            last = head.last.0,
            snapshot = snapshot.0,
            replayed,
            took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "a programme is open"
        );
        let programme = Programme::new(program, book, chain).beside(tier);
        *programme.snapshot.lock() = snapshot;
        Ok(programme)
    }

    /// The book of what outlived the records that were cut, before the first that is left.
    pub(super) fn beginning(&self, program: &ProgramId, head: Head) -> Result<(Book, Chain), OpenError> {
        let mut book = Book::new(self.seed);
        for kept in self.journal.kept(program)? {
            let event = codec::decode(&kept.payload).map_err(|damaged| broken(program, kept.cursor, damaged))?;
            book.apply(kept.cursor, &event);
        }
        book.continue_at(Cursor(head.first.0.saturating_sub(1)));
        Ok((book, head.base))
    }

    fn newest_snapshot(
        &self,
        program: &ProgramId,
        head: Head,
        tier: Option<&ColdTier>,
    ) -> Result<Option<(Book, Chain)>, OpenError> {
        let Some(snapshots) = self.snapshots else { return Ok(None) };
        for at in snapshots.places(self.incarnation(), program)? {
            if at > head.last {
                let (program, last) = (program.to_string(), head.last.0);
                return Err(OpenError::EndLost { program, last, snapshot: at.0 });
            }
            // Of a snapshot from before the cut nothing may come back.
            let Some(chain) = self.chain_at(program, head, at)? else { continue };
            let place = Place { incarnation: self.incarnation(), cursor: at, chain };
            let opened = snapshots.open(self.incarnation(), program, at)?;
            match snapshot::read(&mut std::io::BufReader::with_capacity(1 << 20, opened), place, self.seed) {
                Ok(book) => match fits(&book, tier) {
                    Ok(()) => return Ok(Some((book, chain))),
                    Err(unfit) => {
                        tracing::warn!(program = program.as_str(), at = at.0, %unfit, "a snapshot is passed over: what is cold is made again");
                    }
                },
                Err(unusable) => {
                    tracing::warn!(program = program.as_str(), at = at.0, %unusable, "a snapshot is passed over");
                }
            }
        }
        Ok(None)
    }

    /// The chain of the journal at a place; `None` when the place was cut.
    fn chain_at(&self, program: &ProgramId, head: Head, at: Cursor) -> Result<Option<Chain>, OpenError> {
        if at.0 + 1 == head.first.0 {
            return Ok(Some(head.base));
        }
        if at < head.first {
            return Ok(None);
        }
        let reach = Reach { from: at, to: at, direction: Direction::Forward, limit: 1 };
        let record = self.journal.read(program, reach)?.pop();
        record.map(|record| Some(record.chain)).ok_or_else(|| broken(program, at, "it is missing"))
    }

    /// Applies the records after a book's last, up to a place. Returns the chain there.
    pub(super) fn replay(
        &self,
        program: &ProgramId,
        book: &mut Book,
        mut chain: Chain,
        to: Cursor,
        tier: Option<&ColdTier>,
    ) -> Result<Chain, OpenError> {
        while book.cursor() < to {
            let from = Cursor(book.cursor().0 + 1);
            let reach = Reach { from, to, direction: Direction::Forward, limit: REPLAYED_AT_ONCE };
            let records = self.journal.read(program, reach)?;
            if records.is_empty() {
                return Err(broken(program, from, "it is missing"));
            }
            for Record { cursor, chain: kept, payload } in records {
                let expected = Cursor(book.cursor().0 + 1);
                if cursor != expected {
                    return Err(broken(program, expected, "it is missing"));
                }
                chain = chain.then(cursor, &payload);
                if chain != kept {
                    return Err(broken(program, cursor, "it does not follow the record before it"));
                }
                let event = codec::decode(&payload).map_err(|damaged| broken(program, cursor, damaged))?;
                if let Some(tier) = tier {
                    let packs = tier.wanted(book, &event.met(book)).map_err(|error| broken(program, cursor, error))?;
                    tier.take_back(book, packs);
                }
                book.apply(cursor, &event);
                if cursor.0.is_multiple_of(TOLD_EVERY) {
                    tracing::info!(program = program.as_str(), at = cursor.0, of = to.0, "the journal is being replayed");
                }
            }
        }
        Ok(chain)
    }
}

/// Whether what is cold in a book from a snapshot is there.
fn fits(book: &Book, tier: Option<&ColdTier>) -> Result<(), Unfit> {
    match (tier, book.cold().accounts) {
        (None, 0) => Ok(()),
        (None, expected) => Err(Unfit::Missing { expected, found: 0 }),
        (Some(tier), _) => tier.fit(book),
    }
}

fn broken(program: &ProgramId, at: Cursor, reason: impl ToString) -> OpenError {
    OpenError::Broken { program: program.to_string(), at: at.0, reason: reason.to_string() }
}

/// A source of books for a ledger that is open.
pub(super) fn sources<'s>(
    journal: &'s Arc<dyn Journal>,
    snapshots: Option<&'s Arc<dyn Snapshots>>,
    cold: Option<&'s Arc<dyn ColdStore>>,
    seed: u64,
) -> Sources<'s> {
    Sources { journal: &**journal, snapshots: snapshots.map(|snapshots| &**snapshots), cold, seed }
}
