//! What the requests of several services have in common: case ids, notes, reason codes, spans, page sizes and page tokens.
//!
//! It must never decide anything. Called by the readers of screening, review, payout and list requests.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message;

use super::fields::{optional_id, refused};
use super::violation::{At, Violations};
use crate::book::command::Request;
use crate::book::directory::LedgerKey;
use crate::book::query::{PageRequest, PageToken, Wanted};
use crate::book::records::ContentFingerprint;
use crate::vocabulary::ids::{CaseId, ConversionId};
use crate::vocabulary::personal_data;
use crate::vocabulary::time::Span;

/// Entries of a page when the caller does not say.
pub const PAGE_SIZE_DEFAULT: usize = 50;
/// Entries of the largest page.
pub const PAGE_SIZE_MAX: usize = 500;
/// The longest note, in bytes.
pub const NOTE_BYTES_MAX: usize = 2_000;
/// The longest reason code, in bytes.
pub const REASON_CODE_BYTES_MAX: usize = 64;
/// The longest duration that protobuf knows, in seconds.
const DURATION_SECONDS_MAX: i64 = 315_576_000_000;

/// Reads the id of a case. It is read through its conversion, whose id may be as long as any, so that the case's may be longer.
pub(super) fn case_id(text: &str, found: &mut Violations) -> Option<CaseId> {
    let at = At::path("case_id");
    match text.strip_prefix("case-").map(ConversionId::new) {
        Some(Ok(conversion)) => match personal_data::in_id(conversion.as_str()) {
            None => return Some(CaseId::of(&conversion)),
            Some(datum) => found.add(&at, refused(datum)),
        },
        Some(Err(problem)) => found.add(&at, problem.to_string()),
        None if text.is_empty() => found.add(&at, "is required"),
        None => found.add(&at, "is not the id of a case; those begin with `case-`"),
    }
    None
}

/// Reads the id of a call that changes something; absent when the caller gave it none. `content` is the fingerprint of the whole message.
pub(super) fn request(id: &str, content: ContentFingerprint, found: &mut Violations) -> Option<Request> {
    optional_id(id, &At::path("request_id"), found).map(|id| Request { id, content })
}

/// Reads a note: people write it, so line breaks and tabs are allowed.
pub(super) fn note(text: String, at: &At<'_>, found: &mut Violations) -> String {
    if text.len() > NOTE_BYTES_MAX {
        found.add(at, format!("is {} bytes long; at most {NOTE_BYTES_MAX} are allowed", text.len()));
    } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        found.add(at, "holds control characters; only line breaks and tabs are allowed");
    } else if let Some(datum) = personal_data::in_text(&text) {
        found.add(at, refused(datum));
    }
    text
}

/// Reads a reviewer's reason code. Empty means none.
pub(super) fn reason_code(text: String, found: &mut Violations) -> String {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_');
    if text.len() > REASON_CODE_BYTES_MAX || !text.bytes().all(allowed) {
        found.add(&At::path("reason_code"), "must be at most 64 characters of `a-z`, `0-9`, `.` and `_`, like `same_household`");
    }
    text
}

/// Reads a span of zero or more that may be left out.
pub(super) fn optional_span(sent: Option<pbjson_types::Duration>, at: &At<'_>, found: &mut Violations) -> Option<Span> {
    let pbjson_types::Duration { seconds, nanos } = sent?;
    if !(0..=DURATION_SECONDS_MAX).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        found.add(at, "must be a duration of 0 or more");
        return None;
    }
    Some(Span::from_millis(seconds * 1_000 + i64::from(nanos / 1_000_000)))
}

/// Reads which page is asked for: its size, and the token, which is bound to the rest of the request.
pub(super) fn page(size: u32, token: &str, seal: ListingSeal, found: &mut Violations) -> PageRequest {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > PAGE_SIZE_MAX {
        found.add(&At::path("page_size"), format!("is {size}; at most {PAGE_SIZE_MAX} are allowed"));
    }
    let after = sealed(token, &At::path("page_token"), seal, found);
    PageRequest { size: if size == 0 { PAGE_SIZE_DEFAULT } else { size }, after, wanted: Wanted::default() }
}

/// Reads a token that may be left out.
pub(super) fn sealed(token: &str, at: &At<'_>, seal: ListingSeal, found: &mut Violations) -> Option<PageToken> {
    let opened = if token.is_empty() { None } else { seal.open(token) };
    if opened.is_none() && !token.is_empty() {
        found.add(at, "does not belong to this listing; start again without it");
    }
    opened
}

/// The key that page tokens are sealed with: nobody but the processes of a ledger can make one.
#[derive(Clone, PartialEq, Eq)]
pub struct PageKey([u8; 32]);

impl PageKey {
    /// The one that belongs to a ledger's key.
    #[must_use]
    pub fn of(key: &LedgerKey) -> Self {
        Self(blake3::derive_key("selfsame 2026-11 page tokens", &key.0))
    }
}

impl fmt::Debug for PageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PageKey")
    }
}

/// What the tokens of one listing are sealed with: a key of the method, and of everything that was asked but the page, so that a token cannot be used
/// with another programme or other filters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ListingSeal([u8; 32]);

impl fmt::Debug for ListingSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListingSeal")
    }
}

impl ListingSeal {
    /// The seal of a request whose page fields were cleared. Two listings may be asked for with the same bytes, so the kind of request counts.
    pub(super) fn of<R: Message>(request_without_page: &R, PageKey(key): &PageKey) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(std::any::type_name::<R>().as_bytes()).update(&request_without_page.encode_to_vec());
        Self(*hasher.finalize().as_bytes())
    }

    /// A ledger's token as it is sent. Empty when there is none.
    #[must_use]
    pub fn seal(self, token: Option<&PageToken>) -> String {
        let sealed = |PageToken(text): &PageToken| {
            URL_SAFE_NO_PAD.encode([blake3::keyed_hash(&self.0, text.as_bytes()).as_bytes(), text.as_bytes()].concat())
        };
        token.map_or_else(String::new, sealed)
    }

    fn open(self, sent: &str) -> Option<PageToken> {
        let bytes = URL_SAFE_NO_PAD.decode(sent).ok()?;
        let (seal, text) = bytes.split_first_chunk::<32>()?;
        // Compared in constant time.
        let own = blake3::keyed_hash(&self.0, text) == blake3::Hash::from_bytes(*seal);
        own.then(|| String::from_utf8(text.to_vec()).ok().map(PageToken)).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::v1;

    fn listing(program: &str) -> ListingSeal {
        sealed_by(1, program)
    }

    fn sealed_by(key: u8, program: &str) -> ListingSeal {
        let request = v1::ListHoldsRequest { program_id: program.to_owned(), ..Default::default() };
        ListingSeal::of(&request, &PageKey::of(&LedgerKey([key; 32])))
    }

    #[test]
    fn a_page_token_opens_the_listing_that_it_was_made_for_and_no_other() {
        let token = PageToken("42/ann".to_owned());
        let sealed = listing("shop").seal(Some(&token));
        assert_eq!(listing("shop").open(&sealed), Some(token));
        assert_eq!(listing("other").open(&sealed), None);
        assert_eq!(listing("shop").open("nonsense"), None);
        assert_eq!(sealed_by(2, "shop").open(&sealed), None, "another ledger's");
        let mut bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(listing("shop").open(&URL_SAFE_NO_PAD.encode(&bytes)), None, "byte {at} was changed");
            bytes[at] ^= 1;
        }
    }

    #[test]
    fn a_case_of_the_longest_conversion_id_is_read() {
        let case = CaseId::of(&ConversionId::new(&"c".repeat(128)).unwrap());
        assert_eq!(case_id(case.as_str(), &mut Violations::default()), Some(case));
    }

    #[test]
    fn a_note_may_break_lines_and_may_not_move_a_terminals_cursor() {
        let mut found = Violations::default();
        note("first\n\tsecond".to_owned(), &At::path("note"), &mut found);
        assert!(found.is_empty());
        note("\u{1b}[2J".to_owned(), &At::path("note"), &mut found);
        assert!(!found.is_empty());
    }
}
