//! Slabs: rows side by side, found by number, in chunks that a frozen copy shares until one of them is written again. A row that is taken out
//! leaves its number behind and no memory.

use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Rows of one chunk: small enough that copying one while a snapshot is written is a matter of microseconds, large enough that freezing ten
/// million rows clones some ten thousand pointers.
const CHUNK_ROWS: usize = 256;

/// The number of a row in one slab. Starts at 1, so that an absent one costs nothing.
pub(crate) trait Number: Copy + Eq {
    fn of(number: NonZeroU32) -> Self;
    fn get(self) -> NonZeroU32;
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
            pub(crate) struct $name(NonZeroU32);

            #[allow(dead_code, reason = "most are only met in slabs")]
            impl $name {
                /// The lowest number that a row can have.
                pub(super) const FIRST: Self = Self(NonZeroU32::MIN);
            }

            impl Number for $name {
                fn of(number: NonZeroU32) -> Self {
                    Self(number)
                }

                fn get(self) -> NonZeroU32 {
                    self.0
                }
            }
        )+
    };
}

numbers! {
    /// An account.
    AccountNumber,
    /// A digest of some kind.
    ValueNumber,
    /// Two values that are one under two keys.
    PairNumber,
    /// The accounts on a value beside the first.
    CrowdNumber,
    /// A text that many share.
    TextNumber,
    /// A conversion.
    ConversionNumber,
    /// A referrer with one of his referees.
    ReferralNumber,
    /// A referrer's referees of one e-mail pattern.
    PatternNumber,
    /// A case.
    CaseNumber,
    /// A reward.
    RewardNumber,
    /// An outcome.
    OutcomeNumber,
    /// A message that was taken.
    MessageNumber,
    /// A name that was taught.
    RenameNumber,
}

/// Words of the bits that say which rows of a chunk are there.
const CHUNK_WORDS: usize = CHUNK_ROWS / u64::BITS as usize;

/// Rows of neighbouring numbers.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub(crate) struct Chunk<T> {
    rows: Vec<T>,
    /// Rows that were ever pushed.
    numbered: usize,
    /// A bit for each row that is there; absent while all of them are.
    there: Option<Box<[u64; CHUNK_WORDS]>>,
}

/// The word and the bit of a row.
const fn bit(row: usize) -> (usize, u64) {
    (row / u64::BITS as usize, 1 << (row % u64::BITS as usize))
}

impl<T> Chunk<T> {
    fn beginning_with(row: T) -> Self {
        let mut rows = Vec::with_capacity(CHUNK_ROWS);
        rows.push(row);
        Self { rows, numbered: 1, there: None }
    }

    fn push(&mut self, row: T) {
        if let Some(there) = &mut self.there {
            let (word, bit) = bit(self.numbered);
            there[word] |= bit;
        }
        self.rows.push(row);
        self.numbered += 1;
    }

    /// Where the row of a number stands, or would stand if it were there.
    fn place(&self, row: usize) -> Result<usize, usize> {
        let Some(there) = &self.there else { return Ok(row) };
        let (word, bit) = bit(row);
        let before: u32 = there[..word].iter().map(|word| word.count_ones()).sum();
        let place = (before + (there[word] & (bit - 1)).count_ones()) as usize;
        if there[word] & bit == 0 { Err(place) } else { Ok(place) }
    }

    fn take(&mut self, row: usize) -> Option<T> {
        let place = self.place(row).ok().filter(|place| *place < self.rows.len())?;
        let there = self.there.get_or_insert_with(|| {
            let mut there = Box::new([0; CHUNK_WORDS]);
            (0..self.numbered).map(bit).for_each(|(word, bit)| there[word] |= bit);
            there
        });
        let (word, bit) = bit(row);
        there[word] &= !bit;
        let taken = self.rows.remove(place);
        if self.rows.len() * 4 <= self.rows.capacity() * 3 {
            self.rows.shrink_to_fit();
        }
        Some(taken)
    }

    fn put_back(&mut self, row: usize, content: T) {
        let Err(place) = self.place(row) else { return };
        let (word, bit) = bit(row);
        if let Some(there) = &mut self.there {
            there[word] |= bit;
        }
        self.rows.insert(place, content);
        if self.rows.len() == self.numbered {
            self.there = None;
        }
    }

    /// The rows that are there, with their numbers in the chunk.
    fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        (0..self.numbered).filter(|row| self.place(*row).is_ok()).zip(&self.rows)
    }
}

/// Rows of one kind. Cloning it freezes it: the clone keeps what there is.
#[derive(Debug)]
pub(crate) struct Slab<N, T> {
    chunks: Vec<Arc<Chunk<T>>>,
    /// Numbers that were given.
    numbered: usize,
    /// Rows that were taken out.
    taken: usize,
    number: PhantomData<N>,
}

impl<N, T> Default for Slab<N, T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), numbered: 0, taken: 0, number: PhantomData }
    }
}

impl<N, T> Clone for Slab<N, T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), numbered: self.numbered, taken: self.taken, number: PhantomData }
    }
}

const fn place(number: NonZeroU32) -> (usize, usize) {
    let index = number.get() as usize - 1;
    (index / CHUNK_ROWS, index % CHUNK_ROWS)
}

impl<N: Number, T: Clone> Slab<N, T> {
    /// Adds a row. `None` when there are as many as numbers.
    pub(super) fn push(&mut self, row: T) -> Option<N> {
        let number = u32::try_from(self.numbered + 1).ok().and_then(NonZeroU32::new)?;
        if let Some(chunk) = self.chunks.last_mut().filter(|chunk| chunk.numbered < CHUNK_ROWS) {
            Arc::make_mut(chunk).push(row);
        } else {
            self.chunks.push(Arc::new(Chunk::beginning_with(row)));
        }
        self.numbered += 1;
        Some(N::of(number))
    }

    /// The row of a number.
    pub(super) fn get(&self, number: N) -> &T {
        let (chunk, row) = place(number.get());
        // INVARIANT: only `push` makes numbers, and what was taken out is put back before anybody looks at it; a wrong row would be worse than none.
        let chunk = &self.chunks[chunk];
        &chunk.rows[chunk.place(row).unwrap_or(usize::MAX)]
    }

    /// The row of a number, to change it.
    pub(super) fn get_mut(&mut self, number: N) -> &mut T {
        let (chunk, row) = place(number.get());
        // INVARIANT: as in `get`.
        let chunk = Arc::make_mut(&mut self.chunks[chunk]);
        let place = chunk.place(row).unwrap_or(usize::MAX);
        &mut chunk.rows[place]
    }

    /// Takes a row out. Its number stays its own. `None` when it is out already.
    pub(super) fn take(&mut self, number: N) -> Option<T> {
        let (chunk, row) = place(number.get());
        let taken = Arc::make_mut(self.chunks.get_mut(chunk)?).take(row)?;
        self.taken += 1;
        Some(taken)
    }

    /// Puts a row back that was taken out.
    pub(super) fn put_back(&mut self, number: N, row: T) {
        let (chunk, place) = place(number.get());
        if let Some(chunk) = self.chunks.get_mut(chunk).filter(|chunk| chunk.place(place).is_err()) {
            Arc::make_mut(chunk).put_back(place, row);
            self.taken -= 1;
        }
    }

    /// How many rows there are, those that were taken out included.
    pub(crate) const fn len(&self) -> usize {
        self.numbered
    }

    /// How many rows are there.
    pub(super) const fn there(&self) -> usize {
        self.numbered - self.taken
    }

    /// The rows that are there of so many neighbouring numbers, by the place of these among all; `None` past the last.
    pub(super) fn in_chunk(&self, at: usize) -> Option<impl Iterator<Item = (N, &T)>> {
        let chunk = self.chunks.get(at)?;
        Some(chunk.iter().filter_map(move |(row, content)| {
            let number = u32::try_from(at * CHUNK_ROWS + row + 1).ok().and_then(NonZeroU32::new)?;
            Some((N::of(number), content))
        }))
    }

    /// The rows that are there with their numbers, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (N, &T)> {
        let numbered = |(chunk, (row, content)): (usize, (usize, _))| {
            let index = u32::try_from(chunk * CHUNK_ROWS + row + 1).ok().and_then(NonZeroU32::new);
            index.map(|number| (N::of(number), content))
        };
        let chunks = self.chunks.iter().enumerate();
        chunks.flat_map(|(at, chunk)| chunk.iter().map(move |row| (at, row))).filter_map(numbered)
    }
}

impl<N, T> Slab<N, T> {
    /// The chunks, given away one by one, so that a chunk that was dealt with is not kept from being written in place.
    pub(crate) fn into_chunks(self) -> impl Iterator<Item = Arc<Chunk<T>>> {
        self.chunks.into_iter()
    }

    /// A slab of these chunks, in this order.
    pub(crate) fn of_chunks(chunks: impl IntoIterator<Item = Chunk<T>>) -> Self {
        let mut all = Self::default();
        for mut chunk in chunks {
            if chunk.there.is_none() {
                chunk.rows.reserve_exact(CHUNK_ROWS.saturating_sub(chunk.rows.len()));
            }
            all.numbered += chunk.numbered;
            all.taken += chunk.numbered - chunk.rows.len().min(chunk.numbered);
            all.chunks.push(Arc::new(chunk));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frozen_slab_keeps_what_it_had() {
        let mut slab = Slab::<ValueNumber, u32>::default();
        let numbers: Vec<ValueNumber> = (0..600).map(|row| slab.push(row).unwrap()).collect();
        let frozen = slab.clone();
        *slab.get_mut(numbers[300]) = 7;
        slab.push(600).unwrap();
        assert_eq!((*frozen.get(numbers[300]), frozen.len()), (300, 600));
        assert_eq!((*slab.get(numbers[300]), slab.len()), (7, 601));
        let thawed = Slab::<ValueNumber, u32>::of_chunks(frozen.into_chunks().map(|chunk| (*chunk).clone()));
        assert!(thawed.iter().map(|(_, row)| *row).eq(0..600));
    }

    #[test]
    fn what_is_taken_out_leaves_its_number_and_comes_back_to_it() {
        let mut slab = Slab::<ValueNumber, u32>::default();
        let numbers: Vec<ValueNumber> = (0..600).map(|row| slab.push(row).unwrap()).collect();
        let out: Vec<usize> = (0..600).filter(|row| row % 3 != 1 || *row > 500).collect();
        for row in &out {
            assert_eq!(slab.take(numbers[*row]).map(|taken| taken as usize), Some(*row));
            assert_eq!(slab.take(numbers[*row]), None);
        }
        let more = slab.push(600).unwrap();
        let thawed = Slab::<ValueNumber, u32>::of_chunks(slab.clone().into_chunks().map(|chunk| (*chunk).clone()));
        for slab in [&slab, &thawed] {
            assert_eq!((slab.len(), slab.there()), (601, 601 - out.len()));
            assert!(slab.iter().all(|(number, row)| number.get().get() == row + 1));
            assert!((0..600).filter(|row| !out.contains(row)).all(|row| *slab.get(numbers[row]) as usize == row));
            assert_eq!(*slab.get(more), 600);
        }
        let mut slab = thawed;
        for row in out.iter().rev() {
            slab.put_back(numbers[*row], u32::try_from(*row).unwrap());
        }
        assert!(slab.iter().map(|(_, row)| *row).eq(0..601));
        assert_eq!(slab.there(), 601);
    }

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn what_was_taken_out_is_not_taken_for_another() {
        let mut slab = Slab::<ValueNumber, u32>::default();
        let numbers: Vec<ValueNumber> = (0..3).map(|row| slab.push(row).unwrap()).collect();
        slab.take(numbers[1]);
        slab.get(numbers[1]);
    }
}
