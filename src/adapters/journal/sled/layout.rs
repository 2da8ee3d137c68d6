//! The bytes of the journal in sled: keys, headers, checksums. Pure encoding and decoding; it never touches a file.

use bytes::{Buf, Bytes};

use super::error::StorageError;
use crate::book::records::Cursor;
use crate::ports::journal::{Chain, Incarnation, RECORD_BYTES_MAX, Record};

/// The number under which the store knows a programme. Every key of the programme begins with it.
///
/// Range: 1..; 0 is the store's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Number(pub(super) u32);

impl Number {
    /// The store's own key space: format, incarnation, programme registry.
    pub(super) const STORE: Self = Self(0);
}

/// The format that this build writes; it reads this and every lower one.
pub(super) const FORMAT_VERSION: u32 = 1;

/// Largest value given to sled. Sled moves bigger tree nodes (16 values each) to blob files, which leak (measured: 5 MB live became 366 MB).
pub(super) const VALUE_BYTES_MAX: usize = 4_096;

/// Version, length, checksum.
const HEADER_BYTES: usize = 9;
const PARTS_VERSION: u8 = 1;
const CHAIN_BYTES: usize = 16;
/// Length and chain of each record in an entry.
const RECORD_HEADER_BYTES: usize = 4 + CHAIN_BYTES;
/// The largest body of an entry.
const BODY_BYTES_MAX: usize = RECORD_BYTES_MAX + RECORD_HEADER_BYTES;
/// What fits in the first value of an entry.
const FIRST_PART_BYTES: usize = VALUE_BYTES_MAX - HEADER_BYTES;

/// What a key is about; the byte after the programme's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Space {
    /// Records, by the place of the first that stands there, and part.
    Record,
    /// Kept entries, by place and part.
    Kept,
    /// Where the journal begins.
    Floor,
    /// Of the store: format and incarnation.
    Identity,
    /// Of the store: programme to number.
    Registry,
}

impl Space {
    const fn byte(self) -> u8 {
        match self {
            Self::Record => b'r',
            Self::Kept => b'k',
            Self::Floor => b'f',
            Self::Identity => b'i',
            Self::Registry => b'p',
        }
    }
}

/// `number ‖ space ‖ rest`.
pub(super) fn key(number: Number, space: Space, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(5 + rest.len());
    key.extend_from_slice(&number.0.to_be_bytes());
    key.push(space.byte());
    key.extend_from_slice(rest);
    key
}

/// The key of a part of a record or kept entry, on the stack because every append and read builds it.
pub(super) type PartKey = [u8; 15];

/// `number ‖ space ‖ place ‖ part`.
pub(super) fn part_key(number: Number, space: Space, place: u64, part: u16) -> PartKey {
    let mut key = [0; 15];
    key[..4].copy_from_slice(&number.0.to_be_bytes());
    key[4] = space.byte();
    key[5..13].copy_from_slice(&place.to_be_bytes());
    key[13..].copy_from_slice(&part.to_be_bytes());
    key
}

/// The place and part in a key; absent when the key is not of a part.
pub(super) fn parse_part_key(key: &[u8]) -> Option<(u64, u16)> {
    let key: &PartKey = key.try_into().ok()?;
    let (place, part) = key[5..].split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*place), u16::from_be_bytes(part.try_into().ok()?)))
}

/// Covers the place as well, so that what stands under a wrong key is noticed.
fn checksum(key: &[u8], pieces: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    for piece in pieces {
        hasher.update(piece);
    }
    hasher.finalize()
}

/// Splits the body of an entry in values of at most [`VALUE_BYTES_MAX`]: version, length, checksum, then the body.
///
/// # Errors
/// [`StorageError::TooLarge`]: nothing was put.
pub(super) fn encode_parts(
    at: (Number, Space, u64),
    body: &[u8],
    mut put: impl FnMut(PartKey, Vec<u8>),
) -> Result<(), StorageError> {
    let too_large = StorageError::TooLarge { size_bytes: body.len(), limit_bytes: RECORD_BYTES_MAX };
    let (number, space, place) = at;
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES_MAX).ok_or(too_large)?;
    let first_key = part_key(number, space, place, 0);
    let (first, rest) = body.split_at(body.len().min(FIRST_PART_BYTES));
    let mut value = Vec::with_capacity(HEADER_BYTES + first.len());
    value.push(PARTS_VERSION);
    value.extend_from_slice(&length.to_be_bytes());
    value.extend_from_slice(&checksum(&first_key, &[body]).to_be_bytes());
    value.extend_from_slice(first);
    put(first_key, value);
    for (part, chunk) in (1..=u16::MAX).zip(rest.chunks(VALUE_BYTES_MAX)) {
        put(part_key(number, space, place, part), chunk.to_vec());
    }
    Ok(())
}

/// The head of a record or kept entry: how long it is and what its checksum must be.
pub(super) struct PartsHead {
    pub(super) length: usize,
    checksum: u32,
}

impl PartsHead {
    /// Reads the header of part 0 and gives back the first piece of the body.
    pub(super) fn parse(value: &[u8]) -> Result<(Self, &[u8]), &'static str> {
        let (header, rest) = value.split_first_chunk::<HEADER_BYTES>().ok_or("the header is cut short")?;
        let [version, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        if version != PARTS_VERSION {
            return Err("its version is not known to this build");
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > BODY_BYTES_MAX || rest.len() > length {
            return Err("its length is not possible");
        }
        Ok((Self { length, checksum: u32::from_be_bytes([c0, c1, c2, c3]) }, rest))
    }

    /// Whether the whole body is what was written at this place.
    pub(super) fn verify(&self, at: (Number, Space, u64), body: &[u8]) -> Result<(), &'static str> {
        let (number, space, place) = at;
        if body.len() != self.length {
            return Err("a part is missing");
        }
        if checksum(&part_key(number, space, place, 0), &[body]) != self.checksum {
            return Err("the checksum does not match");
        }
        Ok(())
    }
}

/// Records that follow each other and stand in one entry, at the place of the first: sled's price is by the key, so a group's small records
/// share one (measured: 128 records of 700 bytes cost 10 µs each instead of 24).
#[derive(Debug)]
pub(super) struct Pack {
    number: Number,
    first: Cursor,
    body: Vec<u8>,
}

impl Pack {
    /// One that begins at a place.
    pub(super) fn begin(number: Number, first: Cursor) -> Self {
        Self { number, first, body: Vec::new() }
    }

    /// Whether the next record goes in with those that are there, or begins a pack of its own.
    pub(super) fn has_room_for(&self, record: &Record) -> bool {
        self.body.is_empty() || self.body.len() + RECORD_HEADER_BYTES + record.payload.len() <= FIRST_PART_BYTES
    }

    /// Adds the next record.
    ///
    /// # Errors
    /// [`StorageError::TooLarge`].
    pub(super) fn add(&mut self, record: &Record) -> Result<(), StorageError> {
        let size_bytes = record.payload.len();
        let too_large = StorageError::TooLarge { size_bytes, limit_bytes: RECORD_BYTES_MAX };
        let length = u32::try_from(size_bytes).ok().filter(|_| size_bytes <= RECORD_BYTES_MAX).ok_or(too_large)?;
        self.body.extend_from_slice(&length.to_be_bytes());
        self.body.extend_from_slice(&record.chain.0);
        self.body.extend_from_slice(&record.payload);
        Ok(())
    }

    /// The entry, in parts.
    ///
    /// # Errors
    /// As [`Pack::add`].
    pub(super) fn encode(&self, put: impl FnMut(PartKey, Vec<u8>)) -> Result<(), StorageError> {
        encode_parts((self.number, Space::Record, self.first.0), &self.body, put)
    }
}

/// The records in the body of an entry at a place, in order.
pub(super) fn unpack(place: u64, mut body: Bytes) -> Result<Vec<Record>, &'static str> {
    let mut records = Vec::new();
    for cursor in place.. {
        if body.is_empty() {
            break;
        }
        let (length, chain) =
            (body.try_get_u32(), body.get(..CHAIN_BYTES).and_then(|chain| <[u8; CHAIN_BYTES]>::try_from(chain).ok()));
        let (Ok(length), Some(chain)) = (length, chain) else { return Err("a record in it is cut short") };
        body.advance(CHAIN_BYTES);
        let length = length as usize;
        if length > body.len() {
            return Err("a record in it is cut short");
        }
        records.push(Record { cursor: Cursor(cursor), chain: Chain(chain), payload: body.split_to(length) });
    }
    if records.is_empty() { Err("no record is in it") } else { Ok(records) }
}

/// How many kept entries there are, and what they are: the sum tells when one is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct KeptSum {
    pub(super) entries: u64,
    digest: u128,
}

impl KeptSum {
    fn of(place: u64, payload: &[u8]) -> u128 {
        let mut digest = [0; 16];
        blake3::Hasher::new().update(&place.to_be_bytes()).update(payload).finalize_xof().fill(&mut digest);
        u128::from_be_bytes(digest)
    }

    pub(super) fn add(&mut self, place: u64, payload: &[u8]) {
        self.entries = self.entries.wrapping_add(1);
        self.digest = self.digest.wrapping_add(Self::of(place, payload));
    }

    pub(super) fn remove(&mut self, place: u64, payload: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(Self::of(place, payload));
    }

    pub(super) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.entries.to_be_bytes());
        bytes[8..].copy_from_slice(&self.digest.to_be_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: [u8; 24]) -> Self {
        let (mut entries, mut digest) = ([0; 8], [0; 16]);
        entries.copy_from_slice(&bytes[..8]);
        digest.copy_from_slice(&bytes[8..]);
        Self { entries: u64::from_be_bytes(entries), digest: u128::from_be_bytes(digest) }
    }
}

/// Where a programme's journal begins, and the sum of what is kept of what stood before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Floor {
    pub(super) first: Cursor,
    pub(super) base: Chain,
    pub(super) kept: KeptSum,
}

impl Floor {
    /// The floor's entry.
    pub(super) fn encode(&self, number: Number) -> (Vec<u8>, Vec<u8>) {
        let key = key(number, Space::Floor, &[]);
        let body = [&self.first.0.to_be_bytes()[..], &self.base.0, &self.kept.to_bytes()].concat();
        let value = sealed(&key, &body);
        (key, value)
    }

    /// Reads an entry.
    pub(super) fn decode(number: Number, value: &[u8]) -> Result<Self, StorageError> {
        let damaged = StorageError::DamagedStore { entry: "where a journal begins" };
        let body = unsealed(&key(number, Space::Floor, &[]), value).ok_or_else(|| damaged.clone())?;
        let (first, body) = body.split_first_chunk::<8>().ok_or_else(|| damaged.clone())?;
        let (base, body) = body.split_first_chunk::<CHAIN_BYTES>().ok_or_else(|| damaged.clone())?;
        let kept = <[u8; 24]>::try_from(body).map_err(|_| damaged)?;
        Ok(Self { first: Cursor(u64::from_be_bytes(*first)), base: Chain(*base), kept: KeptSum::from_bytes(kept) })
    }
}

/// The entry that says what the store is.
pub(super) fn encode_identity(incarnation: Incarnation) -> (Vec<u8>, Vec<u8>) {
    let key = key(Number::STORE, Space::Identity, &[]);
    let value = sealed(&key, &[&FORMAT_VERSION.to_be_bytes()[..], &incarnation.0.to_be_bytes()].concat());
    (key, value)
}

/// Format and incarnation in the entry that says what the store is.
pub(super) fn decode_identity(value: &[u8]) -> Option<(u32, Incarnation)> {
    let body = unsealed(&key(Number::STORE, Space::Identity, &[]), value)?;
    let (format, rest) = body.split_first_chunk::<4>()?;
    let (incarnation, _) = rest.split_first_chunk::<8>()?;
    Some((u32::from_be_bytes(*format), Incarnation(u64::from_be_bytes(*incarnation))))
}

/// The entry that gives a programme its number.
pub(super) fn encode_registration(program: &str, number: Number) -> (Vec<u8>, Vec<u8>) {
    let key = key(Number::STORE, Space::Registry, program.as_bytes());
    let value = sealed(&key, &number.0.to_be_bytes());
    (key, value)
}

/// The programme and number of an entry of the registry.
pub(super) fn decode_registration<'k>(stored_key: &'k [u8], value: &[u8]) -> Option<(&'k str, Number)> {
    let number = <[u8; 4]>::try_from(unsealed(stored_key, value)?).ok().map(u32::from_be_bytes)?;
    let program = std::str::from_utf8(stored_key.get(5..)?).ok()?;
    (number > 0).then_some((program, Number(number)))
}

fn sealed(key: &[u8], body: &[u8]) -> Vec<u8> {
    [&checksum(key, &[body]).to_be_bytes()[..], body].concat()
}

fn unsealed<'v>(key: &[u8], value: &'v [u8]) -> Option<&'v [u8]> {
    let (stored, body) = value.split_first_chunk::<4>()?;
    (checksum(key, &[body]) == u32::from_be_bytes(*stored)).then_some(body)
}
