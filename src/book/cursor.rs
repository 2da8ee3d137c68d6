//! Cursors as they are handed out: a place in the feed of a programme with a mark of everything that stands up to it, so that one that was kept
//! elsewhere is known again, or is seen to be of another ledger.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::records::Cursor;

/// The beginning of the journal's chain value at a place. Equal marks at one place: the records up to there are the same, one by one.
///
/// Eight bytes: that two histories agree in it by chance is one in 10¹⁹.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChainMark(pub [u8; 8]);

/// A place in the feed, as a follower keeps it.
///
/// As text: the place, `-`, and the mark in 16 hexadecimal digits. It is sent back as it was given. Of one programme of one ledger, places tell
/// the order; places of two ledgers do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FeedCursor {
    /// The place. 0 stands before everything.
    pub place: Cursor,
    /// What stands up to it. All zeros where no journal keeps it.
    pub mark: ChainMark,
}

/// A text that is no cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a cursor as this API gave it, such as `48210-9f3a6c2e81b04d57`; leave it out to begin at the beginning")]
pub struct InvalidCursor;

impl fmt::Display for FeedCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}", self.place.0, u64::from_be_bytes(self.mark.0))
    }
}

impl FromStr for FeedCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (place, mark) = text.split_once('-').ok_or(InvalidCursor)?;
        let digits = |text: &str, is_one: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|byte| is_one(&byte));
        if !digits(place, u8::is_ascii_digit) || mark.len() != 16 || !digits(mark, u8::is_ascii_hexdigit) {
            return Err(InvalidCursor);
        }
        let place = place.parse().map_err(|_| InvalidCursor)?;
        let mark = u64::from_str_radix(mark, 16).map_err(|_| InvalidCursor)?;
        Ok(Self { place: Cursor(place), mark: ChainMark(mark.to_be_bytes()) })
    }
}

impl TryFrom<String> for FeedCursor {
    type Error = InvalidCursor;

    fn try_from(text: String) -> Result<Self, InvalidCursor> {
        text.parse()
    }
}

impl From<FeedCursor> for String {
    fn from(cursor: FeedCursor) -> Self {
        cursor.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_was_written() {
        for (place, mark) in [(0, [0; 8]), (1, [0, 0, 0, 0, 0, 0, 0, 7]), (u64::MAX, [0xff; 8])] {
            let cursor = FeedCursor { place: Cursor(place), mark: ChainMark(mark) };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let written = FeedCursor { place: Cursor(48_210), mark: ChainMark([0x9f, 0x3a, 0x6c, 0x2e, 0x81, 0xb0, 0x4d, 0x57]) };
        assert_eq!(written.to_string(), "48210-9f3a6c2e81b04d57");
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let no_cursors = ["", "7", "-", "7-", "-0000000000000000", "7-00", "+7-0000000000000000", "7-000000000000000g"];
        let too_far = "18446744073709551616-0000000000000000";
        for text in no_cursors.into_iter().chain([too_far, "7-+000000000000000", " 7-0000000000000000"]) {
            assert_eq!(text.parse::<FeedCursor>(), Err(InvalidCursor), "{text}");
        }
    }
}
