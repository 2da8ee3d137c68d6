//! Slabs: rows side by side, found by number, in chunks that a frozen copy shares until one of them is written again.

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
}

/// Rows of one kind. Cloning it freezes it: the clone keeps what there is.
#[derive(Debug)]
pub(crate) struct Slab<N, T> {
    chunks: Vec<Arc<Vec<T>>>,
    rows: usize,
    number: PhantomData<N>,
}

impl<N, T> Default for Slab<N, T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), rows: 0, number: PhantomData }
    }
}

impl<N, T> Clone for Slab<N, T> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), rows: self.rows, number: PhantomData }
    }
}

impl<N: Number, T: Clone> Slab<N, T> {
    /// Adds a row. `None` when there are as many as numbers.
    pub(super) fn push(&mut self, row: T) -> Option<N> {
        let number = u32::try_from(self.rows + 1).ok().and_then(NonZeroU32::new)?;
        if let Some(chunk) = self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK_ROWS) {
            Arc::make_mut(chunk).push(row);
        } else {
            let mut chunk = Vec::with_capacity(CHUNK_ROWS);
            chunk.push(row);
            self.chunks.push(Arc::new(chunk));
        }
        self.rows += 1;
        Some(N::of(number))
    }

    const fn place(number: NonZeroU32) -> (usize, usize) {
        let index = number.get() as usize - 1;
        (index / CHUNK_ROWS, index % CHUNK_ROWS)
    }

    /// The row of a number.
    pub(super) fn get(&self, number: N) -> &T {
        let (chunk, row) = Self::place(number.get());
        // INVARIANT: only `push` makes numbers, and no row is ever taken out.
        &self.chunks[chunk][row]
    }

    /// The row of a number, to change it.
    pub(super) fn get_mut(&mut self, number: N) -> &mut T {
        let (chunk, row) = Self::place(number.get());
        // INVARIANT: as in `get`.
        &mut Arc::make_mut(&mut self.chunks[chunk])[row]
    }

    /// How many rows there are.
    pub(crate) const fn len(&self) -> usize {
        self.rows
    }

    /// The rows with their numbers, in the order in which they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (N, &T)> {
        let numbers = (1..=u32::MAX).filter_map(NonZeroU32::new).map(N::of);
        numbers.zip(self.chunks.iter().flat_map(|chunk| chunk.iter()))
    }
}

impl<N, T> Slab<N, T> {
    /// The chunks, given away one by one, so that a chunk that was dealt with is not kept from being written in place.
    pub(crate) fn into_chunks(self) -> impl Iterator<Item = Arc<Vec<T>>> {
        self.chunks.into_iter()
    }

    /// A slab of these rows, in this order.
    pub(crate) fn of_rows(rows: impl IntoIterator<Item = T>) -> Self {
        let mut rows = rows.into_iter();
        let (mut chunks, mut count) = (Vec::new(), 0);
        loop {
            let mut chunk = Vec::with_capacity(CHUNK_ROWS);
            chunk.extend(rows.by_ref().take(CHUNK_ROWS));
            if chunk.is_empty() {
                return Self { chunks, rows: count, number: PhantomData };
            }
            count += chunk.len();
            chunks.push(Arc::new(chunk));
        }
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
        let thawed = Slab::<ValueNumber, u32>::of_rows(frozen.into_chunks().flat_map(|chunk| chunk.to_vec()));
        assert!(thawed.iter().map(|(_, row)| *row).eq(0..600));
    }
}
