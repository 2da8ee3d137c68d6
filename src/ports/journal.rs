//! The journal: where the events of every programme are kept, as bytes that it does not understand, and who may add to them.
//!
//! A journal is the truth; whatever else there is can be made from it again. Nothing in it is a row, a table or a lock. All calls may wait for
//! a disk or a network: they are made on threads that may.

use std::io::Write;

use bytes::Bytes;

use crate::book::cursor::{ChainMark, FeedCursor};
use crate::book::records::Cursor;
use crate::vocabulary::ids::ProgramId;

/// Which life of a ledger this is: another one after every restore. What was made of one life, such as its snapshots, is not used in another.
///
/// Drawn at random when a ledger is made. Range: 1..; 0 stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// The permission to write for a programme: rises whenever another process takes the programme over. Always 1 in a home with one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The only one of a home with one process.
    pub const SOLE: Self = Self(1);
}

/// The hash of a record and of all before it: what tells a lost end from a clean one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain(pub [u8; 16]);

impl Chain {
    /// What stands before the first record of a programme.
    #[must_use]
    pub fn before_all(program: &ProgramId) -> Self {
        Self::of(blake3::Hasher::new_derive_key("selfsame 2026-11 chain of a journal").update(program.as_str().as_bytes()))
    }

    /// The chain with one more record. One that was rewritten says itself what it was before, and follows what it followed then.
    #[must_use]
    pub fn then(self, cursor: Cursor, payload: &[u8]) -> Self {
        if let Some(Rewritten { before, chain }) = Rewritten::of(payload)
            && before == self
        {
            return chain;
        }
        Self::of(blake3::Hasher::new().update(&self.0).update(&cursor.0.to_be_bytes()).update(payload))
    }

    /// What of it goes into cursors.
    #[must_use]
    pub const fn mark(self) -> ChainMark {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        ChainMark([a, b, c, d, e, f, g, h])
    }

    fn of(hasher: &blake3::Hasher) -> Self {
        let mut chain = [0; 16];
        hasher.finalize_xof().fill(&mut chain);
        Self(chain)
    }
}

/// What stands before the content of a record that was rewritten because of an erasure: between which chain values the record stood that it was. So the
/// chain goes on over it. That what it holds now was put there by an erasure, the record says that ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// The chain before the record.
    pub before: Chain,
    /// The chain with the record as it was.
    pub chain: Chain,
}

impl Rewritten {
    /// What such a record begins with. No content does.
    const MARK: u8 = 0xe5;

    /// A record's payload for other content.
    #[must_use]
    pub fn payload(self, content: &[u8]) -> Vec<u8> {
        [&[Self::MARK][..], &self.before.0, &self.chain.0, content].concat()
    }

    /// What a payload says of it; `None` of one that is as it was written first.
    #[must_use]
    pub fn of(payload: &[u8]) -> Option<Self> {
        let (before, rest) = payload.strip_prefix(&[Self::MARK])?.split_first_chunk()?;
        let chain = rest.first_chunk()?;
        Some(Self { before: Chain(*before), chain: Chain(*chain) })
    }

    /// The content of a payload, rewritten or not.
    #[must_use]
    pub fn content(payload: &[u8]) -> &[u8] {
        let rewritten = Self::of(payload).and_then(|_| payload.get(33..));
        rewritten.unwrap_or(payload)
    }
}

/// An event as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place: 1 for the first of a programme, then without a gap.
    pub cursor: Cursor,
    /// The chain up to and with it.
    pub chain: Chain,
    /// What was appended.
    pub payload: Bytes,
}

impl Record {
    /// Its place as a follower of the feed keeps it.
    #[must_use]
    pub const fn feed_cursor(&self) -> FeedCursor {
        FeedCursor { place: self.cursor, mark: self.chain.mark() }
    }
}

/// A record to append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Whose.
    pub program: ProgramId,
    /// The permission under which it was made.
    pub epoch: Epoch,
    /// The record: the one that follows the head.
    pub record: Record,
}

/// The ends of a programme's journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The oldest record that is kept, or would be: 1 until something was cut.
    pub first: Cursor,
    /// The chain before `first`.
    pub base: Chain,
    /// The newest record; `first - 1` when none is kept.
    pub last: Cursor,
    /// The chain up to `last`.
    pub chain: Chain,
}

/// An entry that outlives the record it was made from: a payment, a bar, a list entry, an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The place of the record that it was made from.
    pub cursor: Cursor,
    /// What is kept of it.
    pub payload: Bytes,
}

/// What becomes of kept entries when the beginning of a journal is cut.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeptChange {
    /// Entries to write; one of the same place is replaced.
    pub put: Vec<Kept>,
    /// Places whose entries are overruled and go.
    pub gone: Vec<Cursor>,
}

/// In which direction records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The oldest first.
    Forward,
    /// The newest first.
    Backward,
}

/// Which records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The oldest that is wanted.
    pub from: Cursor,
    /// The newest that is wanted, itself included.
    pub to: Cursor,
    /// From which end.
    pub direction: Direction,
    /// At most so many.
    pub limit: usize,
}

/// What a journal did with a group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Appended {
    /// Programmes of which nothing in the group was written, because another process may write for them now. Empty in a home with one process.
    pub fenced: Vec<ProgramId>,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSummary {
    /// Journal records.
    pub records: u64,
    /// Kept entries beside the records.
    pub kept_entries: u64,
    /// Size before the trailer. Unit: bytes.
    pub size_bytes: u64,
    /// BLAKE3 of everything before the trailer, hexadecimal.
    pub digest: String,
}

/// Why a journal did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// It cannot be reached or written. Of an append it is not known what was kept: read the head before anything else is appended.
    #[error("{0}")]
    Unavailable(String),
    /// What it holds is not what was written.
    #[error("{0}")]
    Damaged(String),
    /// A record is too large; nothing was written.
    #[error("a record of {size_bytes} bytes is larger than {limit_bytes}")]
    TooLarge {
        /// Its size.
        size_bytes: usize,
        /// The largest size.
        limit_bytes: usize,
    },
    /// A record does not follow the head; nothing was written.
    #[error("programme `{program}` expects record {expected}, was given {found}")]
    OutOfOrder {
        /// Whose.
        program: String,
        /// The place that comes next.
        expected: u64,
        /// The one that was given.
        found: u64,
    },
    /// It is not possible now or here; nothing was changed.
    #[error("{0}")]
    NotPossible(String),
}

/// A journal. Shared by the thread that appends and all that read.
pub trait Journal: Send + Sync {
    /// Which life of the ledger this is.
    fn incarnation(&self) -> Incarnation;

    /// The programmes that hold a record or a kept entry, with their ends, by name.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`], [`JournalError::Damaged`].
    fn programs(&self) -> Result<Vec<(ProgramId, Head)>, JournalError>;

    /// The ends of a programme's journal; those of an empty one when it holds nothing.
    ///
    /// # Errors
    /// As [`Journal::programs`].
    fn head(&self, program: &ProgramId) -> Result<Head, JournalError>;

    /// Appends a group: all of it is durable when this returns, but for programmes that are said to be fenced. A programme is registered by
    /// its first record. Records of one programme follow each other in the group's order.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`] and [`JournalError::OutOfOrder`]: nothing was written. [`JournalError::Unavailable`]: not known.
    fn append(&self, group: &[Append]) -> Result<Appended, JournalError>;

    /// Records of a reach. May give fewer than the limit; none only when there is none. A reader sees what was applied, which can be ahead of
    /// what is durable: where it matters, bound the reach.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`]; [`JournalError::Damaged`] names the first record that is not what was written.
    fn read(&self, program: &ProgramId, reach: Reach) -> Result<Vec<Record>, JournalError>;

    /// All kept entries, in the order of their places.
    ///
    /// # Errors
    /// As [`Journal::read`].
    fn kept(&self, program: &ProgramId) -> Result<Vec<Kept>, JournalError>;

    /// Removes the records before a place, after the change of kept entries is durable. Returns how many records were removed. An interrupted
    /// cut leaves a valid journal with a shorter cut.
    ///
    /// # Errors
    /// [`JournalError::NotPossible`] while a backup relies on the records: try again later. Otherwise as [`Journal::append`].
    fn cut(&self, program: &ProgramId, epoch: Epoch, before: Cursor, change: &KeptChange) -> Result<u64, JournalError>;

    /// Puts other content in the place of records, which keep their places and their chain: [`Rewritten`] payloads. Durable when this returns.
    ///
    /// # Errors
    /// [`JournalError::NotPossible`] while a backup relies on the records, or where a record is not one that was rewritten. Otherwise as
    /// [`Journal::append`].
    fn rewrite(&self, program: &ProgramId, epoch: Epoch, records: &[Record]) -> Result<(), JournalError>;

    /// Removes from the disk what was rewritten or cut, as far as this home holds it. May take as long as reading everything.
    ///
    /// # Errors
    /// As [`Journal::append`]; what was there before is then still there.
    fn scour(&self) -> Result<(), JournalError> {
        Ok(())
    }

    /// Why nothing is written any more; absent while all is well.
    fn failure(&self) -> Option<String>;

    /// Why nothing new should be begun for now, before it could fail; absent while all is well. It passes by itself, and what is under way is written.
    fn hindrance(&self) -> Option<String> {
        None
    }

    /// Writes a backup of everything that is durable at one moment, while appends go on.
    ///
    /// # Errors
    /// [`JournalError::NotPossible`] where there is nothing to restore from; otherwise as [`Journal::read`], or what the output said.
    fn back_up(&self, _out: &mut dyn Write) -> Result<BackupSummary, JournalError> {
        Err(JournalError::NotPossible("this server keeps its ledger in memory only; there is nothing to back up".to_owned()))
    }
}

/// The largest payload of a record that every home takes. Unit: bytes.
pub const RECORD_BYTES_MAX: usize = 8 << 20;
