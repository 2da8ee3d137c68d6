//! Cursors of the feed: how they are written, and how one that comes back is read.

use super::violation::{At, Violations};
use crate::book::cursor::{FeedCursor, InvalidCursor};

/// Writes a cursor; nothing for the place of what nobody can follow any more.
#[must_use]
pub fn cursor_text(cursor: Option<FeedCursor>) -> String {
    cursor.map(String::from).unwrap_or_default()
}

/// Reads a cursor that was kept; absent when none was sent.
pub fn optional_cursor(text: &str, at: &At<'_>, found: &mut Violations) -> Option<FeedCursor> {
    if text.is_empty() {
        return None;
    }
    text.parse().inspect_err(|problem: &InvalidCursor| found.add(at, problem.to_string())).ok()
}
