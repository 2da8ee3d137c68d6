//! Snapshots of books as bytes: a head that says which journal it belongs to, the rows in frames with checksums, and the hash of it all. What is not
//! whole, not of this journal or not of this build is passed over; the journal is the truth.

use std::io::{self, Read, Write};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::book::records::Cursor;
use crate::book::{Book, Chunk, Frozen, Slab, Totals};
use crate::ports::journal::{Chain, Incarnation};
use crate::screening::evidence::EvidenceCode;

const MAGIC: &[u8; 8] = b"SELFSNAP";
/// What the bytes of a snapshot mean. Raise it with every change of a row of the book: older snapshots are then passed over.
const LAYOUT: u32 = 6;
/// Larger than any frame that is ever written: 256 rows, some of which may be crowds or long profiles.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// Which journal, and which place of it, a snapshot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) incarnation: Incarnation,
    pub(super) cursor: Cursor,
    /// The chain of the journal up to the cursor.
    pub(super) chain: Chain,
}

/// Why a snapshot is passed over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// It cannot be read, or is not whole.
    #[error("it cannot be read: {0}")]
    Damaged(#[from] io::Error),
    /// Another build wrote it.
    #[error("another build wrote it")]
    OtherLayout,
    /// It belongs elsewhere.
    #[error("it belongs to another journal, or to another place of it")]
    OtherPlace,
}

/// The codes that rows may name, as a hash: a catalogue that changed makes other numbers of them.
fn layout() -> [u8; 12] {
    let mut codes = blake3::Hasher::new();
    for code in EvidenceCode::ALL {
        codes.update(code.dotted().as_bytes()).update(&[0]);
    }
    let mut layout = [0; 12];
    layout[..4].copy_from_slice(&LAYOUT.to_be_bytes());
    layout[4..].copy_from_slice(&codes.finalize().as_bytes()[..8]);
    layout
}

/// Writes a frozen book.
pub(super) fn write(frozen: Frozen, place: Place, out: &mut dyn Write) -> io::Result<()> {
    let mut frames = FrameWriter { out, hash: blake3::Hasher::new() };
    frames.put(MAGIC)?;
    frames.put(&layout())?;
    frames.put(&place.incarnation.0.to_be_bytes())?;
    frames.put(&place.cursor.0.to_be_bytes())?;
    frames.put(&place.chain.0)?;
    frames.frame(&frozen.totals)?;
    frames.slab(frozen.texts)?;
    frames.slab(frozen.values)?;
    frames.slab(frozen.crowds)?;
    frames.slab(frozen.pairs)?;
    frames.slab(frozen.renames)?;
    frames.slab(frozen.accounts)?;
    frames.slab(frozen.conversions)?;
    frames.slab(frozen.referrals)?;
    frames.slab(frozen.patterns)?;
    frames.slab(frozen.rewards)?;
    frames.slab(frozen.outcomes)?;
    frames.slab(frozen.cases)?;
    frames.slab(frozen.messages)?;
    let hash = *frames.hash.finalize().as_bytes();
    frames.put(&hash)
}

/// Reads the book of a place.
pub(super) fn read(input: &mut dyn Read, place: Place, seed: u64) -> Result<Book, Unusable> {
    let mut frames = FrameReader { input, hash: blake3::Hasher::new(), frame: Vec::new() };
    if frames.array::<8>()? != *MAGIC || frames.array::<12>()? != layout() {
        return Err(Unusable::OtherLayout);
    }
    let found = Place {
        incarnation: Incarnation(u64::from_be_bytes(frames.array()?)),
        cursor: Cursor(u64::from_be_bytes(frames.array()?)),
        chain: Chain(frames.array()?),
    };
    if found != place {
        return Err(Unusable::OtherPlace);
    }
    let totals: Totals = frames.frame()?.ok_or_else(cut_short)?;
    let frozen = Frozen {
        totals,
        texts: frames.slab()?,
        values: frames.slab()?,
        crowds: frames.slab()?,
        pairs: frames.slab()?,
        renames: frames.slab()?,
        accounts: frames.slab()?,
        conversions: frames.slab()?,
        referrals: frames.slab()?,
        patterns: frames.slab()?,
        rewards: frames.slab()?,
        outcomes: frames.slab()?,
        cases: frames.slab()?,
        messages: frames.slab()?,
    };
    let hash = *frames.hash.finalize().as_bytes();
    if frames.array::<32>()? != hash || frozen.totals.cursor != place.cursor {
        return Err(Unusable::Damaged(io::Error::new(io::ErrorKind::InvalidData, "its hash does not match")));
    }
    Ok(Book::thaw(frozen, seed))
}

struct FrameWriter<'w> {
    out: &'w mut dyn Write,
    hash: blake3::Hasher,
}

impl FrameWriter<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.out.write_all(bytes)
    }

    fn frame(&mut self, content: &impl Serialize) -> io::Result<()> {
        let bytes = postcard::to_stdvec(content).map_err(io::Error::other)?;
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.put(&length.to_be_bytes())?;
        self.put(&bytes)
    }

    /// Each chunk is let go as soon as it is written, so that the book may change it in place again.
    fn slab<N, T: Serialize + Clone>(&mut self, slab: Slab<N, T>) -> io::Result<()> {
        slab.into_chunks().try_for_each(|chunk: Arc<Chunk<T>>| self.frame(&*chunk))?;
        self.put(&0_u32.to_be_bytes())
    }
}

struct FrameReader<'r> {
    input: &'r mut dyn Read,
    hash: blake3::Hasher,
    frame: Vec<u8>,
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut short")
}

impl FrameReader<'_> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        if N != 32 {
            self.hash.update(&bytes);
        }
        Ok(bytes)
    }

    /// The next frame; `None` at the end of a slab.
    fn frame<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let length = u32::from_be_bytes(self.array()?) as usize;
        if length == 0 {
            return Ok(None);
        }
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
        }
        self.frame.resize(length, 0);
        self.input.read_exact(&mut self.frame)?;
        self.hash.update(&self.frame);
        postcard::from_bytes(&self.frame).map(Some).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    fn slab<N, T: DeserializeOwned>(&mut self) -> io::Result<Slab<N, T>> {
        let mut chunks: Vec<Chunk<T>> = Vec::new();
        while let Some(chunk) = self.frame()? {
            chunks.push(chunk);
        }
        Ok(Slab::of_chunks(chunks))
    }
}
