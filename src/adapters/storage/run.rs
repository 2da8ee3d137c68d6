//! One immutable sorted run of a point table: a file of checksummed blocks with a sparse index and a Bloom filter.
//! A run never changes after it is finished, and never answers from a block whose checksum is wrong. Called by the table
//! (look-ups, checkpoints) and by merging.
//!
//! File: magic, blocks, index, filter, footer. Block: entries, CRC-32. Entry: key length (u16), value length (u32, all
//! ones for a deleted key), key, value. All numbers little-endian.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::adapters::storage::filter::{KeyFilter, KeyHash};

const MAGIC: &[u8; 8] = b"SELFRUN\x02";
const FOOTER_BYTES: usize = 64;
/// A block is closed when it reaches this size: one page of the disk.
const BLOCK_BYTES: usize = 4_096;
const ENTRY_HEADER_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 4;
const DELETED: u32 = u32::MAX;

/// Longest key.
pub(super) const KEY_LIMIT_BYTES: usize = 1_024;
/// Longest value.
pub(super) const VALUE_LIMIT_BYTES: usize = 16 << 20;

/// The file name of a run.
pub(super) fn file_name(id: u64) -> String {
    format!("{id:016x}.run")
}

/// What went wrong with a run.
#[derive(Debug)]
pub(super) struct BadRun {
    pub(super) fault: RunFault,
    pub(super) reason: String,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunFault {
    /// The bytes are not those that were written: the tables must be made anew.
    Damaged,
    /// The system did not let us read or write.
    Refused,
}

impl From<io::Error> for BadRun {
    fn from(error: io::Error) -> Self {
        let cut_short = error.kind() == io::ErrorKind::UnexpectedEof;
        BadRun { fault: if cut_short { RunFault::Damaged } else { RunFault::Refused }, reason: error.to_string() }
    }
}

fn bad(reason: &str) -> BadRun {
    BadRun { fault: RunFault::Damaged, reason: reason.to_owned() }
}

/// Writes a run; keys must come in strictly increasing order.
pub(super) struct RunWriter {
    out: BufWriter<File>,
    filter: KeyFilter,
    block: Vec<u8>,
    block_first_key: Vec<u8>,
    index: Vec<u8>,
    offset: u64,
    entries: u64,
    unsynced_bytes: usize,
}

/// Bytes of a run that are made durable at a time: some milliseconds, of which a sync of the journal may have to wait for. Judgement.
const SYNC_EVERY_BYTES: usize = 1 << 20;

impl RunWriter {
    /// Starts a run for about `expected_entries` entries.
    pub(super) fn create(path: &Path, expected_entries: usize, false_positive_rate: f64) -> io::Result<RunWriter> {
        let filter = KeyFilter::for_keys(expected_entries, false_positive_rate).map_err(io::Error::other)?;
        let mut out = BufWriter::with_capacity(1 << 18, File::create(path)?);
        out.write_all(MAGIC)?;
        Ok(RunWriter {
            out,
            filter,
            block: Vec::with_capacity(2 * BLOCK_BYTES),
            block_first_key: Vec::new(),
            index: Vec::new(),
            offset: MAGIC.len() as u64,
            entries: 0,
            unsynced_bytes: 0,
        })
    }

    /// Adds an entry; an absent value marks the key as deleted.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
        if self.block.is_empty() {
            self.block_first_key.clear();
            self.block_first_key.extend_from_slice(key);
        }
        let too_long = || io::Error::other("an entry is too long");
        let key_len = u16::try_from(key.len()).map_err(|_| too_long())?;
        let value_len = value.map_or(Ok(DELETED), |v| u32::try_from(v.len())).map_err(|_| too_long())?;
        self.block.extend_from_slice(&key_len.to_le_bytes());
        self.block.extend_from_slice(&value_len.to_le_bytes());
        self.block.extend_from_slice(key);
        self.block.extend_from_slice(value.unwrap_or_default());
        self.filter.add(KeyHash::of(key));
        self.entries += 1;
        if self.block.len() >= BLOCK_BYTES { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let checksum = crc32fast::hash(&self.block);
        self.block.extend_from_slice(&checksum.to_le_bytes());
        self.out.write_all(&self.block)?;
        self.sync_now_and_then()?;
        let length = u32::try_from(self.block.len()).map_err(io::Error::other)?;
        let key_len = u16::try_from(self.block_first_key.len()).map_err(io::Error::other)?;
        self.index.extend_from_slice(&self.offset.to_le_bytes());
        self.index.extend_from_slice(&length.to_le_bytes());
        self.index.extend_from_slice(&key_len.to_le_bytes());
        self.index.extend_from_slice(&self.block_first_key);
        self.offset += u64::from(length);
        self.block.clear();
        Ok(())
    }

    /// Makes what was written durable piece by piece: one sync of a whole run would hold up those of the journal for as long as it takes.
    fn sync_now_and_then(&mut self) -> io::Result<()> {
        self.unsynced_bytes += self.block.len();
        if self.unsynced_bytes >= SYNC_EVERY_BYTES {
            self.unsynced_bytes = 0;
            self.out.flush()?;
            self.out.get_ref().sync_data()?;
        }
        Ok(())
    }

    /// Writes index, filter and footer, and makes the file durable. Gives the number of entries.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.close_block()?;
        let filter = self.filter.to_bytes();
        let mut footer = Vec::with_capacity(FOOTER_BYTES);
        let index_len = self.index.len() as u64;
        for number in [self.offset, index_len, self.offset + index_len, filter.len() as u64, self.entries, 0] {
            footer.extend_from_slice(&number.to_le_bytes());
        }
        footer.extend_from_slice(&crc32fast::hash(&self.index).to_le_bytes());
        footer.extend_from_slice(&crc32fast::hash(&filter).to_le_bytes());
        footer.extend_from_slice(&[0; 4]);
        footer.extend_from_slice(&crc32fast::hash(&footer).to_le_bytes());
        self.out.write_all(&self.index)?;
        self.out.write_all(&filter)?;
        self.out.write_all(&footer)?;
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        Ok(self.entries)
    }
}

/// Where a block lies, and where its first key lies in the flat list of first keys.
#[derive(Debug, Clone, Copy)]
struct BlockAt {
    offset: u64,
    length: u32,
    key_at: u32,
}

/// What a run says about a key.
pub(super) enum Probe {
    /// The filter knows that the key is not here.
    Absent,
    /// The block in which the key must be, if it is here.
    Block(u32),
}

/// An open run.
pub(super) struct Run {
    pub(super) id: u64,
    pub(super) entries: u64,
    pub(super) disk_bytes: u64,
    file: File,
    path: PathBuf,
    filter: KeyFilter,
    index: Index,
}

/// Where the blocks of a run begin.
#[derive(Default)]
struct Index {
    blocks: Vec<BlockAt>,
    /// The beginnings of the blocks' first keys, apart from the rest: a search touches little else.
    beginnings: Vec<u128>,
    /// The first keys, each behind its length (u16, little-endian).
    first_keys: Vec<u8>,
}

impl Run {
    /// Opens a run and checks all but its blocks, which are checked when they are read.
    pub(super) fn open(folder: &Path, id: u64) -> Result<Run, BadRun> {
        let path = folder.join(file_name(id));
        let file = File::open(&path)?;
        let disk_bytes = file.metadata()?.len();
        let footer_at = disk_bytes.checked_sub(FOOTER_BYTES as u64).ok_or_else(|| bad("the run is cut short"))?;
        let mut footer = [0; FOOTER_BYTES];
        file.read_exact_at(&mut footer, footer_at)?;
        let mut numbers = Numbers(&footer);
        let [index_at, index_len, filter_at, filter_len] = [numbers.u64()?, numbers.u64()?, numbers.u64()?, numbers.u64()?];
        let [entries, _reserved] = [numbers.u64()?, numbers.u64()?];
        let [index_crc, filter_crc, _, footer_crc] = [numbers.u32()?, numbers.u32()?, numbers.u32()?, numbers.u32()?];
        if crc32fast::hash(&footer[..FOOTER_BYTES - CHECKSUM_BYTES]) != footer_crc {
            return Err(bad("the footer of a run is damaged"));
        }
        let whole = index_at.checked_add(index_len) == Some(filter_at) && filter_at.checked_add(filter_len) == Some(footer_at);
        if !whole {
            return Err(bad("the footer of a run does not fit its size"));
        }
        let read = |at: u64, length: u64, checksum: u32| -> Result<Vec<u8>, BadRun> {
            let mut bytes = vec![0; usize::try_from(length).map_err(|_| bad("a run is too large"))?];
            file.read_exact_at(&mut bytes, at)?;
            if crc32fast::hash(&bytes) == checksum { Ok(bytes) } else { Err(bad("the index of a run is damaged")) }
        };
        let index = Index::parse(&read(index_at, index_len, index_crc)?)?;
        let filter = KeyFilter::from_bytes(read(filter_at, filter_len, filter_crc)?).map_err(bad)?;
        Ok(Run { id, entries, disk_bytes, file, path, filter, index })
    }

    /// Bytes kept in memory: index and filter.
    pub(super) fn memory_bytes(&self) -> usize {
        self.index.memory_bytes() + self.filter.memory_bytes()
    }

    /// The path, for removal.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where to look for a key; its hash is given, since many runs are asked for one key.
    pub(super) fn probe(&self, key: &[u8], hash: KeyHash) -> Probe {
        if !self.filter.may_hold(hash) {
            return Probe::Absent;
        }
        match self.index.block_of(key) {
            Some(block) => Probe::Block(block),
            None => Probe::Absent,
        }
    }

    /// Reads a block and checks it.
    pub(super) fn read_block(&self, number: u32) -> Result<Vec<u8>, BadRun> {
        let at = self.index.blocks.get(number as usize).ok_or_else(|| bad("a run has no such block"))?;
        let mut block = vec![0; at.length as usize];
        self.file.read_exact_at(&mut block, at.offset)?;
        check_block(&block)?;
        block.truncate(block.len() - CHECKSUM_BYTES);
        Ok(block)
    }
}

fn check_block(block: &[u8]) -> Result<&[u8], BadRun> {
    let (entries, checksum) = block.split_last_chunk::<CHECKSUM_BYTES>().ok_or_else(|| bad("a block is cut short"))?;
    if crc32fast::hash(entries) == u32::from_le_bytes(*checksum) { Ok(entries) } else { Err(bad("a block of a run is damaged")) }
}

impl Index {
    fn parse(stored: &[u8]) -> Result<Index, BadRun> {
        let mut numbers = Numbers(stored);
        let mut index = Index::default();
        while !numbers.0.is_empty() {
            let (offset, length) = (numbers.u64()?, numbers.u32()?);
            let key_len = numbers.u16()?;
            let key_at = u32::try_from(index.first_keys.len()).map_err(|_| bad("the index of a run is too large"))?;
            let key = numbers.take(usize::from(key_len))?;
            index.first_keys.extend_from_slice(&key_len.to_le_bytes());
            index.first_keys.extend_from_slice(key);
            index.beginnings.push(beginning(key));
            index.blocks.push(BlockAt { offset, length, key_at });
        }
        index.first_keys.shrink_to_fit();
        index.beginnings.shrink_to_fit();
        index.blocks.shrink_to_fit();
        Ok(index)
    }

    /// The block in which a key must be, if it is in the run; absent when it comes before all of them.
    fn block_of(&self, key: &[u8]) -> Option<u32> {
        let sought = beginning(key);
        let from = self.beginnings.partition_point(|known| *known < sought);
        let alike = self.beginnings[from..].iter().take_while(|known| **known == sought).count();
        let after = from + self.blocks[from..from + alike].partition_point(|block| self.first_key(block) <= key);
        after.checked_sub(1).and_then(|number| u32::try_from(number).ok())
    }

    fn first_key(&self, block: &BlockAt) -> &[u8] {
        // INVARIANT: each key is stored behind its length, see `parse`.
        let at = block.key_at as usize;
        let (len, keys) = self.first_keys.get(at..).and_then(<[u8]>::split_first_chunk::<2>).unwrap_or((&[0; 2], &[]));
        keys.get(..usize::from(u16::from_le_bytes(*len))).unwrap_or_default()
    }

    fn memory_bytes(&self) -> usize {
        self.blocks.len() * (size_of::<BlockAt>() + size_of::<u128>()) + self.first_keys.len()
    }
}

/// The first 16 bytes of a key as a number that has its order; a shorter key is filled up with zeros.
pub(super) fn beginning(key: &[u8]) -> u128 {
    if let Some(first) = key.first_chunk() {
        return u128::from_be_bytes(*first);
    }
    let mut bytes = [0; 16];
    bytes[..key.len()].copy_from_slice(key);
    u128::from_be_bytes(bytes)
}

/// One entry of a block.
pub(super) struct BlockEntry<'b> {
    pub(super) key: &'b [u8],
    /// Absent when the key was deleted.
    pub(super) value: Option<&'b [u8]>,
}

/// Takes the next entry off the front of a checked block; absent at its end.
pub(super) fn next_entry<'b>(block: &mut &'b [u8]) -> Option<BlockEntry<'b>> {
    let (header, rest) = block.split_first_chunk::<ENTRY_HEADER_BYTES>()?;
    let [k0, k1, v0, v1, v2, v3] = *header;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([k0, k1])))?;
    match u32::from_le_bytes([v0, v1, v2, v3]) {
        DELETED => {
            *block = rest;
            Some(BlockEntry { key, value: None })
        }
        length => {
            let (value, rest) = rest.split_at_checked(length as usize)?;
            *block = rest;
            Some(BlockEntry { key, value: Some(value) })
        }
    }
}

/// Finds a key in a checked block; absent when it is not here.
pub(super) fn find<'b>(mut block: &'b [u8], key: &[u8]) -> Option<BlockEntry<'b>> {
    while let Some(entry) = next_entry(&mut block) {
        match entry.key.cmp(key) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return Some(entry),
            std::cmp::Ordering::Greater => return None,
        }
    }
    None
}

/// Walks a run from its first key to its last, reading many blocks at once; for merging.
pub(super) struct RunCursor<'r> {
    run: &'r Run,
    next_block: usize,
    /// Blocks read ahead, checksums included.
    ahead: Vec<u8>,
    /// Lengths of the blocks in `ahead` that are not yet opened, last first.
    ahead_lengths: Vec<usize>,
    /// Where the open block's unread entries lie in `ahead`.
    open: std::ops::Range<usize>,
    /// Absent at the end of the run.
    key: Option<std::ops::Range<usize>>,
    value: Option<std::ops::Range<usize>>,
}

/// Bytes read at once while merging. Judgement: large enough to make the disk stream.
const READ_AHEAD_BYTES: usize = 1 << 18;

impl<'r> RunCursor<'r> {
    pub(super) fn new(run: &'r Run) -> Result<RunCursor<'r>, BadRun> {
        let mut cursor =
            RunCursor { run, next_block: 0, ahead: Vec::new(), ahead_lengths: Vec::new(), open: 0..0, key: None, value: None };
        cursor.advance()?;
        Ok(cursor)
    }

    /// The current key; absent at the end.
    pub(super) fn key(&self) -> Option<&[u8]> {
        self.key.clone().and_then(|range| self.ahead.get(range))
    }

    /// The current value; absent when the key was deleted.
    pub(super) fn value(&self) -> Option<&[u8]> {
        self.value.clone().and_then(|range| self.ahead.get(range))
    }

    /// Moves to the next entry.
    pub(super) fn advance(&mut self) -> Result<(), BadRun> {
        if self.open.is_empty() && !self.open_block()? {
            self.key = None;
            return Ok(());
        }
        let mut rest = self.ahead.get(self.open.clone()).unwrap_or_default();
        let entry = next_entry(&mut rest).ok_or_else(|| bad("a block of a run is malformed"))?;
        let key_start = self.open.start + ENTRY_HEADER_BYTES;
        let key_end = key_start + entry.key.len();
        self.key = Some(key_start..key_end);
        self.value = entry.value.map(|value| key_end..key_end + value.len());
        self.open.start = self.open.end - rest.len();
        Ok(())
    }

    fn open_block(&mut self) -> Result<bool, BadRun> {
        if self.ahead_lengths.is_empty() && !self.read_ahead()? {
            return Ok(false);
        }
        let start = if self.open.end == 0 { 0 } else { self.open.end + CHECKSUM_BYTES };
        let length = self.ahead_lengths.pop().unwrap_or(0);
        let entries = check_block(self.ahead.get(start..start + length).unwrap_or_default())?.len();
        self.open = start..start + entries;
        Ok(true)
    }

    fn read_ahead(&mut self) -> Result<bool, BadRun> {
        let Some(first) = self.run.index.blocks.get(self.next_block) else { return Ok(false) };
        let mut total = 0;
        self.ahead_lengths.clear();
        for block in self.run.index.blocks.iter().skip(self.next_block) {
            total += block.length as usize;
            self.ahead_lengths.push(block.length as usize);
            if total >= READ_AHEAD_BYTES {
                break;
            }
        }
        self.next_block += self.ahead_lengths.len();
        self.ahead_lengths.reverse();
        self.ahead.resize(total, 0);
        self.run.file.read_exact_at(&mut self.ahead, first.offset)?;
        self.open = 0..0;
        Ok(true)
    }
}

/// Merges runs, newest first, into a writer: the newest value of each key wins. `keep` decides on what is left;
/// a deleted key is given to it as an absent value.
pub(super) fn merge(
    inputs: &[std::sync::Arc<Run>],
    writer: &mut RunWriter,
    mut keep: impl FnMut(&[u8], Option<&[u8]>) -> bool,
) -> Result<(), BadRun> {
    let mut cursors = inputs.iter().map(|run| RunCursor::new(run)).collect::<Result<Vec<_>, _>>()?;
    let mut smallest = Vec::new();
    loop {
        // The first of equal keys is the newest.
        let newest = cursors.iter().filter(|c| c.key().is_some()).min_by(|a, b| a.key().cmp(&b.key()));
        let Some((cursor, key)) = newest.and_then(|c| c.key().map(|key| (c, key))) else { return Ok(()) };
        smallest.clear();
        smallest.extend_from_slice(key);
        if keep(&smallest, cursor.value()) {
            writer.push(&smallest, cursor.value())?;
        }
        for cursor in &mut cursors {
            if cursor.key() == Some(smallest.as_slice()) {
                cursor.advance()?;
            }
        }
    }
}

/// Takes little-endian numbers off the front of a slice.
struct Numbers<'b>(&'b [u8]);

impl<'b> Numbers<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], BadRun> {
        let (head, rest) = self.0.split_at_checked(length).ok_or_else(|| bad("the index of a run is cut short"))?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadRun> {
        self.take(N)?.try_into().map_err(|_| bad("the index of a run is cut short"))
    }

    fn u16(&mut self) -> Result<u16, BadRun> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, BadRun> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, BadRun> {
        self.array().map(u64::from_le_bytes)
    }
}
