//! Well-formed bytes that were changed: what a fuzzer comes farther with than with noise.

use std::fmt::Debug;

use proptest::arbitrary::{Arbitrary, any};
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

/// A change: what to do, where (of the length, in 65,536ths), a byte, and how many.
pub(crate) type Edit = (u8, u16, u8, u8);

/// The bytes after these changes, one after the other.
pub(crate) fn mutated(seed: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for &(what, place, byte, many) in edits {
        let at = (bytes.len() * usize::from(place)) >> 16;
        let end = bytes.len().min(at + usize::from(many));
        match what % 7 {
            0 if at < bytes.len() => bytes[at] ^= 1 << (byte % 8),
            1 if at < bytes.len() => bytes[at] = byte,
            2 => drop(bytes.splice(at..at, std::iter::repeat_n(byte, usize::from(many)))),
            3 => drop(bytes.drain(at..end)),
            4 => bytes.truncate(at),
            5 => {
                let again = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, again));
            }
            // The largest numbers, in whatever form they are read.
            6 => bytes[at..end].fill(0xff),
            _ => {}
        }
    }
    bytes
}

/// Tries inputs at random: `SELFSAME_FUZZ` of them, a thousand without it. Those that failed once are tried first.
#[track_caller]
pub(crate) fn fuzzed<T: Arbitrary + Debug>(target: impl Fn(&T)) {
    let cases = std::env::var("SELFSAME_FUZZ").map_or(1_000, |cases| cases.parse().expect("SELFSAME_FUZZ is a number"));
    let kept = FileFailurePersistence::Direct("tests/fuzz/regressions.txt");
    let config = Config { cases, failure_persistence: Some(Box::new(kept)), ..Config::default() };
    let tried = TestRunner::new(config).run(&any::<T>(), |input| {
        target(&input);
        Ok(())
    });
    if let Err(failed) = tried {
        panic!("{failed}");
    }
}
