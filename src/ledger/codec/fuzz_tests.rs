//! Fuzzing of records and snapshots: bytes of a disk that were changed are errors or other events, and never panics. See `tests/fuzz`, and how often it is tried.

use super::tests::one_of_each;
use super::{decode, encode, told};
use crate::book::cursor::{ChainMark, FeedCursor};
use crate::book::records::Cursor;

#[path = "../../../tests/support/mutated.rs"]
mod mutated;

use self::mutated::{Edit, fuzzed, mutated};

#[test]
fn fuzzed_records_are_errors_or_events_that_come_back() {
    let seeds: Vec<Vec<u8>> = one_of_each().iter().map(encode).collect();
    let somewhere = FeedCursor { place: Cursor(7), mark: ChainMark([9; 8]) };
    fuzzed(|(which, edits): &(u8, Vec<Edit>)| {
        let bytes = mutated(&seeds[usize::from(*which) % seeds.len()], edits);
        drop(told(somewhere, &bytes));
        if let Ok(event) = decode(&bytes) {
            assert_eq!(decode(&encode(&event)), Ok(event));
        }
    });
}
