//! The bytes of the journal on disk: key layout, record header, checksums.
//! Pure encoding and decoding; it never touches a file. Called by the journal writer and its readers.

use crate::adapters::storage::error::StorageError;

/// The number under which the journal knows a programme. Every key of the programme begins with it.
///
/// Range: 1..; 0 is reserved for the store itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProgrammeNumber(u32);

impl ProgrammeNumber {
    /// The store's own key space: format version and programme registry.
    pub(super) const STORE: ProgrammeNumber = ProgrammeNumber(0);

    /// A programme number; absent for 0, which belongs to the store.
    #[must_use]
    pub fn new(number: u32) -> Option<ProgrammeNumber> {
        (number > 0).then_some(ProgrammeNumber(number))
    }

    /// The bare number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for ProgrammeNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Groups side entries of one kind, so that they can be scanned in key order without meeting another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SideTag(pub u8);

/// A small keyed value that is written in the same atomic batch as a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideWrite {
    /// The kind of entry.
    pub tag: SideTag,
    /// The key inside programme and tag; order is bytewise. At most [`SIDE_KEY_LIMIT_BYTES`].
    pub key: Vec<u8>,
    /// The new value; absent deletes the key. At most [`SIDE_VALUE_LIMIT_BYTES`].
    pub value: Option<Vec<u8>>,
}

/// One record to append, with the side entries that become durable with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose journal.
    pub programme: ProgrammeNumber,
    /// Position in the programme's journal: 1 for the first, then without a gap.
    pub seq: u64,
    /// The record. At most [`RECORD_LIMIT_BYTES`].
    pub payload: Vec<u8>,
    /// Written in the same atomic batch, in this order.
    pub side: Vec<SideWrite>,
}

impl Entry {
    /// Bytes that this entry brings into a group, keys not counted.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let side: usize = self.side.iter().map(|s| s.key.len() + s.value.as_ref().map_or(0, Vec::len)).sum();
        self.payload.len() + side
    }
}

/// A record as read back, its checksum verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Position in the programme's journal.
    pub seq: u64,
    /// What was appended.
    pub payload: bytes::Bytes,
}

/// The format that this build writes; it reads this and every lower one.
pub const FORMAT_VERSION: u32 = 1;

/// Largest value given to sled. Sled moves bigger tree nodes (16 values each) to blob files, which leak
/// (measured: 5 MB live became 366 MB).
pub(super) const VALUE_LIMIT_BYTES: usize = 4_096;
/// Largest record: 256 parts of one value each.
pub const RECORD_LIMIT_BYTES: usize = 256 * VALUE_LIMIT_BYTES - RECORD_HEADER_BYTES;
/// Largest side key.
pub const SIDE_KEY_LIMIT_BYTES: usize = 512;
/// Largest side value.
pub const SIDE_VALUE_LIMIT_BYTES: usize = VALUE_LIMIT_BYTES - SIDE_HEADER_BYTES;

pub(super) const RECORD_HEADER_BYTES: usize = 10;
const SIDE_HEADER_BYTES: usize = 5;
const RECORD_VERSION: u8 = 1;
const SIDE_VERSION: u8 = 1;
/// No record flag is in use yet; a set bit means a newer writer.
const KNOWN_FLAGS: u8 = 0;

/// What a key of the tree is about; the byte after the programme number.
pub(super) mod space {
    pub(in super::super) const JOURNAL: u8 = b'j';
    pub(in super::super) const SIDE: u8 = b's';
    /// The lowest sequence number kept, written by retention.
    pub(in super::super) const FLOOR: u8 = b'k';
    /// Under programme 0: the format version.
    pub(in super::super) const FORMAT: u8 = b'f';
    /// Under programme 0: programme name to number.
    pub(in super::super) const PROGRAMME: u8 = b'p';
}

/// `programme ‖ space ‖ rest`.
pub(super) fn key(programme: ProgrammeNumber, space: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(5 + rest.len());
    key.extend_from_slice(&programme.0.to_be_bytes());
    key.push(space);
    key.extend_from_slice(rest);
    key
}

/// `programme ‖ 'j' ‖ seq ‖ part`, on the stack because every append and read builds it.
pub(super) fn journal_key(programme: ProgrammeNumber, seq: u64, part: u8) -> [u8; 14] {
    let mut key = [0; 14];
    key[..4].copy_from_slice(&programme.0.to_be_bytes());
    key[4] = space::JOURNAL;
    key[5..13].copy_from_slice(&seq.to_be_bytes());
    key[13] = part;
    key
}

/// `programme ‖ 's' ‖ tag ‖ key`.
pub(super) fn side_key(programme: ProgrammeNumber, tag: SideTag, rest: &[u8]) -> Vec<u8> {
    let mut tagged = Vec::with_capacity(6 + rest.len());
    tagged.extend_from_slice(&programme.0.to_be_bytes());
    tagged.push(space::SIDE);
    tagged.push(tag.0);
    tagged.extend_from_slice(rest);
    tagged
}

/// The sequence number and part in a journal key; absent when the key is not one.
pub(super) fn parse_journal_key(key: &[u8]) -> Option<(u64, u8)> {
    let key: &[u8; 14] = key.try_into().ok()?;
    let (seq, _) = key[5..].split_first_chunk::<8>()?;
    (key[4] == space::JOURNAL).then_some((u64::from_be_bytes(*seq), key[13]))
}

/// Checksum of a record; it covers the place as well, so that a record under a wrong key is noticed.
fn record_checksum(programme: ProgrammeNumber, seq: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&journal_key(programme, seq, 0));
    hasher.update(payload);
    hasher.finalize()
}

/// Splits a record in values of at most [`VALUE_LIMIT_BYTES`]: version, flags, length, checksum, payload.
///
/// # Errors
/// [`StorageError::RecordTooLarge`]: nothing was written; the caller refuses the command.
pub(super) fn encode_record(
    programme: ProgrammeNumber,
    seq: u64,
    payload: &[u8],
    mut put: impl FnMut(u8, Vec<u8>),
) -> Result<(), StorageError> {
    let too_large = || StorageError::RecordTooLarge { size_bytes: payload.len(), limit_bytes: RECORD_LIMIT_BYTES };
    if payload.len() > RECORD_LIMIT_BYTES {
        return Err(too_large());
    }
    let length = u32::try_from(payload.len()).map_err(|_| too_large())?;
    let head_len = payload.len().min(VALUE_LIMIT_BYTES - RECORD_HEADER_BYTES);
    let (head, tail) = payload.split_at(head_len);
    let mut value = Vec::with_capacity(RECORD_HEADER_BYTES + head.len());
    value.push(RECORD_VERSION);
    value.push(0);
    value.extend_from_slice(&length.to_be_bytes());
    value.extend_from_slice(&record_checksum(programme, seq, payload).to_be_bytes());
    value.extend_from_slice(head);
    put(0, value);
    for (part, chunk) in (1..=u8::MAX).zip(tail.chunks(VALUE_LIMIT_BYTES)) {
        put(part, chunk.to_vec());
    }
    Ok(())
}

/// The head of a record: how long it is and what its checksum must be.
pub(super) struct RecordHead {
    pub(super) length: usize,
    checksum: u32,
}

impl RecordHead {
    /// Reads the header of part 0 and gives back the first piece of the payload.
    pub(super) fn parse(value: &[u8]) -> Result<(RecordHead, &[u8]), &'static str> {
        let (header, rest) = value.split_first_chunk::<RECORD_HEADER_BYTES>().ok_or("the header is cut short")?;
        let [version, flags, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        if version == 0 || version > RECORD_VERSION || flags & !KNOWN_FLAGS != 0 {
            return Err("its record version is not known to this build");
        }
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        if length > RECORD_LIMIT_BYTES || rest.len() > length {
            return Err("its length is not possible");
        }
        Ok((RecordHead { length, checksum: u32::from_be_bytes([c0, c1, c2, c3]) }, rest))
    }

    /// Whether the whole payload is what was written at this place.
    pub(super) fn verify(&self, programme: ProgrammeNumber, seq: u64, payload: &[u8]) -> Result<(), &'static str> {
        if payload.len() != self.length {
            return Err("a part is missing");
        }
        if record_checksum(programme, seq, payload) != self.checksum {
            return Err("the checksum does not match");
        }
        Ok(())
    }
}

/// Prefixes a side value with version and checksum (over key and value).
pub(super) fn encode_side(key: &[u8], value: &[u8]) -> Result<Vec<u8>, StorageError> {
    if value.len() > SIDE_VALUE_LIMIT_BYTES {
        return Err(StorageError::SideTooLarge { size_bytes: value.len(), limit_bytes: SIDE_VALUE_LIMIT_BYTES });
    }
    let mut stored = Vec::with_capacity(SIDE_HEADER_BYTES + value.len());
    stored.push(SIDE_VERSION);
    stored.extend_from_slice(&side_checksum(key, value).to_be_bytes());
    stored.extend_from_slice(value);
    Ok(stored)
}

/// Checks and strips what [`encode_side`] added.
pub(super) fn decode_side<'v>(key: &[u8], stored: &'v [u8]) -> Result<&'v [u8], &'static str> {
    let (header, value) = stored.split_first_chunk::<SIDE_HEADER_BYTES>().ok_or("the header is cut short")?;
    let [version, c0, c1, c2, c3] = *header;
    if version != SIDE_VERSION {
        return Err("its version is not known to this build");
    }
    if side_checksum(key, value) != u32::from_be_bytes([c0, c1, c2, c3]) {
        return Err("the checksum does not match");
    }
    Ok(value)
}

fn side_checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}
