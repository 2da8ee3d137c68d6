//! The watermark: a file beside sled that notes how far each programme's journal is durable, so that an end that was lost is told from a clean
//! one. Sled takes a flipped bit for the end of its log and opens shorter, without a word.
//!
//! Slots of 64 bytes, two for each programme in two pages of their own, written in turn: a torn or damaged one leaves the one before. A note
//! reaches the operating system with each group and the disk within a second; so it is exact unless the machine itself went down.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::layout::Number;
use super::places::private_file;
use crate::book::records::Cursor;
use crate::ports::journal::{Chain, Incarnation};

const SLOT_BYTES: usize = 64;
const BODY_BYTES: usize = SLOT_BYTES - 16;
const PAGE_BYTES: u64 = 4_096;
/// Programmes whose slots share a pair of pages.
const PAGE_SLOTS: u32 = 64;

/// How far a programme's journal is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The oldest record that is kept.
    pub(super) first: Cursor,
    /// The newest durable record.
    pub(super) last: Cursor,
    /// The chain up to it.
    pub(super) chain: Chain,
}

/// How the journal was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It was closed: what is noted is all there is.
    Closed,
    /// Its process ended without closing it, and the machine went on: what was noted is exact.
    Killed,
    /// The machine went down, or it is not known whether it did: the last second of notes may be missing.
    Unknown,
}

/// What the file says.
#[derive(Debug)]
pub(super) struct Noted {
    pub(super) incarnation: Incarnation,
    pub(super) left: Left,
    pub(super) marks: BTreeMap<Number, Mark>,
    /// Whether some notes could not be read, so that an older one of theirs stands here, or none.
    pub(super) damaged: bool,
}

/// Why the file cannot be used.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// It is not there.
    Missing,
    /// Its head is damaged, or it is shorter than it was.
    Damaged,
    /// The operating system said no.
    Io(io::Error),
}

/// The file, open for notes.
pub(super) struct Watermark {
    file: File,
    notes: Mutex<Notes>,
    unsynced: AtomicBool,
}

struct Notes {
    head: Head,
    /// The newest generation of each slot pair.
    generations: BTreeMap<Number, u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    incarnation: Incarnation,
    /// Whether the journal is closed.
    closed: bool,
    /// Which start of the machine this is.
    boot: [u8; 16],
    /// Pairs of pages.
    extents: u32,
}

impl Head {
    fn encode(self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        body[..8].copy_from_slice(&self.incarnation.0.to_be_bytes());
        body[8] = u8::from(self.closed);
        body[9..25].copy_from_slice(&self.boot);
        body[25..29].copy_from_slice(&self.extents.to_be_bytes());
        body
    }

    fn decode(body: &[u8; BODY_BYTES]) -> Self {
        let incarnation = Incarnation(u64::from_be_bytes(piece(body, 0)));
        Self { incarnation, closed: body[8] == 1, boot: piece(body, 9), extents: u32::from_be_bytes(piece(body, 25)) }
    }
}

impl Mark {
    fn encode(self) -> [u8; BODY_BYTES] {
        let mut body = [0; BODY_BYTES];
        body[..8].copy_from_slice(&self.first.0.to_be_bytes());
        body[8..16].copy_from_slice(&self.last.0.to_be_bytes());
        body[16..32].copy_from_slice(&self.chain.0);
        body
    }

    fn decode(body: &[u8; BODY_BYTES]) -> Self {
        let [first, last] = [0, 8].map(|at| Cursor(u64::from_be_bytes(piece(body, at))));
        Self { first, last, chain: Chain(piece(body, 16)) }
    }
}

fn piece<const N: usize>(body: &[u8; BODY_BYTES], at: usize) -> [u8; N] {
    let mut taken = [0; N];
    taken.copy_from_slice(&body[at..at + N]);
    taken
}

/// What one slot holds.
enum Slot {
    Unused,
    Damaged,
    Sound { generation: u64, body: [u8; BODY_BYTES] },
}

impl Slot {
    fn read(number: Number, bytes: &[u8]) -> Self {
        if bytes.iter().all(|byte| *byte == 0) {
            return Self::Unused;
        }
        let (Some((covered, stored)), Some(generation)) =
            (bytes.split_last_chunk::<4>(), bytes.get(4..).and_then(<[u8]>::first_chunk))
        else {
            return Self::Damaged;
        };
        let own = bytes.first_chunk() == Some(&number.0.to_be_bytes());
        let body = covered.get(12..).and_then(|body| body.try_into().ok());
        match body {
            Some(body) if own && crc32fast::hash(covered) == u32::from_be_bytes(*stored) => {
                Self::Sound { generation: u64::from_be_bytes(*generation), body }
            }
            _ => Self::Damaged,
        }
    }

    fn written(number: Number, generation: u64, body: &[u8; BODY_BYTES]) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        bytes[..4].copy_from_slice(&number.0.to_be_bytes());
        bytes[4..12].copy_from_slice(&generation.to_be_bytes());
        bytes[12..60].copy_from_slice(body);
        let checksum = crc32fast::hash(&bytes[..60]);
        bytes[60..].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// Where a generation of a number stands in the file.
    fn place(number: Number, generation: u64) -> u64 {
        let page = u64::from(number.0 / PAGE_SLOTS) * 2 + generation % 2;
        page * PAGE_BYTES + u64::from(number.0 % PAGE_SLOTS) * SLOT_BYTES as u64
    }
}

impl Watermark {
    /// Makes the file of an empty journal that is closed.
    pub(super) fn create(path: &Path, incarnation: Incarnation) -> io::Result<()> {
        let file = private_file().create_new(true).open(path)?;
        file.set_len(2 * PAGE_BYTES)?;
        let head = Head { incarnation, closed: true, boot: [0; 16], extents: 1 };
        let watermark = Self::of(file, Notes { head, generations: BTreeMap::new() });
        watermark.put(&mut watermark.notes.lock().generations, Number::STORE, &head.encode())?;
        watermark.file.sync_all()
    }

    fn of(file: File, notes: Notes) -> Self {
        Self { file, notes: Mutex::new(notes), unsynced: AtomicBool::new(false) }
    }

    /// Opens the file and reads it.
    pub(super) fn open(path: &Path) -> Result<(Self, Noted), Unreadable> {
        let file = private_file().read(true).open(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unreadable::Missing,
            _ => Unreadable::Io(error),
        })?;
        let bytes = std::fs::read(path).map_err(Unreadable::Io)?;
        let mut generations = BTreeMap::new();
        let mut damaged = false;
        let mut newest = |number: Number| {
            let slots = [0, 1].map(|turn| {
                let place = usize::try_from(Slot::place(number, turn)).unwrap_or(usize::MAX);
                bytes.get(place..place.saturating_add(SLOT_BYTES)).map_or(Slot::Damaged, |slot| Slot::read(number, slot))
            });
            let mut found = None;
            for slot in slots {
                match slot {
                    Slot::Unused => {}
                    Slot::Damaged => damaged = true,
                    Slot::Sound { generation, body } if found.is_none_or(|(newest, _)| generation > newest) => {
                        found = Some((generation, body));
                    }
                    Slot::Sound { .. } => {}
                }
            }
            let (generation, body) = found?;
            generations.insert(number, generation);
            Some(body)
        };
        let head = newest(Number::STORE).as_ref().map(Head::decode).ok_or(Unreadable::Damaged)?;
        if (bytes.len() as u64) < u64::from(head.extents) * 2 * PAGE_BYTES {
            return Err(Unreadable::Damaged);
        }
        let numbers = (1..head.extents.saturating_mul(PAGE_SLOTS)).map(Number);
        let marks = numbers.filter_map(|number| Some((number, Mark::decode(&newest(number)?)))).collect();
        let left = match head {
            Head { closed: true, .. } => Left::Closed,
            Head { boot, .. } if boot != [0; 16] && boot == this_boot() => Left::Killed,
            Head { .. } => Left::Unknown,
        };
        let noted = Noted { incarnation: head.incarnation, left, marks, damaged };
        Ok((Self::of(file, Notes { head, generations }), noted))
    }

    /// Notes that the journal is open, durably.
    pub(super) fn note_open(&self) -> io::Result<()> {
        self.note_head(|head| (head.closed, head.boot) = (false, this_boot()))
    }

    /// Notes that the journal was closed and all of it is noted, durably.
    pub(super) fn note_closed(&self) -> io::Result<()> {
        self.file.sync_data()?;
        self.note_head(|head| head.closed = true)
    }

    fn note_head(&self, change: impl FnOnce(&mut Head)) -> io::Result<()> {
        let notes = &mut *self.notes.lock();
        change(&mut notes.head);
        self.put(&mut notes.generations, Number::STORE, &notes.head.encode())?;
        self.file.sync_data()
    }

    /// Notes how far a programme's journal is durable. On the disk within a second, by [`Watermark::sync`].
    pub(super) fn note(&self, number: Number, mark: Mark) -> io::Result<()> {
        let notes = &mut *self.notes.lock();
        let extents = number.0 / PAGE_SLOTS + 1;
        if extents > notes.head.extents {
            self.file.set_len(u64::from(extents) * 2 * PAGE_BYTES)?;
            self.file.sync_all()?;
            notes.head.extents = extents;
            self.put(&mut notes.generations, Number::STORE, &notes.head.encode())?;
        }
        self.put(&mut notes.generations, number, &mark.encode())
    }

    /// Makes what was noted durable, when anything was.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.unsynced.swap(false, Ordering::Relaxed) { self.file.sync_data() } else { Ok(()) }
    }

    fn put(&self, generations: &mut BTreeMap<Number, u64>, number: Number, body: &[u8; BODY_BYTES]) -> io::Result<()> {
        let generation = generations.entry(number).or_insert(0);
        *generation += 1;
        let bytes = Slot::written(number, *generation, body);
        write_at(&self.file, &bytes, Slot::place(number, *generation))?;
        self.unsynced.store(true, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, place)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], place: u64) -> io::Result<()> {
    use std::io::{Seek, Write};
    file.seek(io::SeekFrom::Start(place))?;
    file.write_all(bytes)
}

/// Which start of the machine this is; all zero where that cannot be known.
fn this_boot() -> [u8; 16] {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut boot = [0; 16];
    if !id.is_empty() {
        blake3::Hasher::new().update(&id).finalize_xof().fill(&mut boot);
    }
    boot
}
