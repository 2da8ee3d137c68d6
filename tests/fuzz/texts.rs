//! Texts that callers keep and send back: cursors, page tokens, messages as JSON. A forged one is refused, and nobody falls over it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message as _;
use selfsame::book::cursor::FeedCursor;
use selfsame::book::directory::LedgerKey;
use selfsame::wire::request::PageKey;
use selfsame::wire::{list, v1};

use crate::mutated::{Edit, fuzzed, mutated};

/// A cursor reads as it is written.
pub(crate) fn cursor((free, text, edits): &(bool, String, Vec<Edit>)) {
    let changed = mutated(b"48210-9f3a6c2e81b04d57", edits);
    let text = if *free { text.clone() } else { String::from_utf8_lossy(&changed).into_owned() };
    if let Ok(cursor) = text.parse::<FeedCursor>() {
        assert_eq!(cursor.to_string().parse::<FeedCursor>().unwrap(), cursor);
    }
}

/// A page token that this ledger did not seal opens nothing.
pub(crate) fn page_token((token, bytes): &(String, Vec<u8>)) {
    let key = PageKey::of(&LedgerKey([7; 32]));
    let forged = [token.clone(), URL_SAFE_NO_PAD.encode(bytes)];
    for page_token in forged.into_iter().filter(|token| !token.is_empty()) {
        let request = v1::ListListEntriesRequest { program_id: "shop".to_owned(), page_token, ..Default::default() };
        let refused = list::listing(request, &key).unwrap_err();
        assert!(refused.iter().any(|violation| violation.field == "page_token"), "{refused:?}");
    }
}

/// A message as JSON is refused, or is the message that its bytes are.
pub(crate) fn json(edits: &[Edit]) {
    let seed = br#"{"programId":"shop","afterCursor":"7-0909090909090909","kinds":["FEED_EVENT_KIND_PAID"],"mode":"WATCH_MODE_FOLLOW","heartbeatEvery":"1.5s"}"#;
    if let Ok(message) = serde_json::from_slice::<v1::WatchDecisionsRequest>(&mutated(seed, edits)) {
        assert_eq!(v1::WatchDecisionsRequest::decode(message.encode_to_vec().as_slice()).unwrap(), message);
    }
}

#[test]
fn a_cursor_reads_as_it_is_written() {
    fuzzed(cursor);
}

#[test]
fn a_page_token_that_this_ledger_did_not_seal_opens_nothing() {
    fuzzed(page_token);
}

#[test]
fn json_of_the_contract_is_read_or_refused() {
    fuzzed(|input: &Vec<Edit>| json(input));
}
