//! Requests and answers of the block and trust lists.
//!
//! It must never touch a decision that was made. The list handlers call it.

use super::content;
use super::digest::{identifier, identifier_message};
use super::enums::WireEnum;
use super::fields::{Arrival, optional_enum, optional_time, required_enum, required_id, time_message};
use super::request::{ListingSeal, PageKey, note, page, request};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::command::{Change, ListCommand};
use crate::book::query::PageRequest;
use crate::book::records::{ListEntry, ListSubject};
use crate::screening::history::ListKind;
use crate::vocabulary::ids::{Actor, ProgramId};
use crate::vocabulary::time::Timestamp;

/// Reads an entry to write.
///
/// # Errors
/// All violated fields.
pub fn put(message: v1::PutListEntryRequest, actor: &Actor, now: Timestamp) -> Result<ListCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::PutListEntryRequest { program_id, entry, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let at = At::path("entry");
    if entry.is_none() {
        found.add(&at, "is required");
    }
    let entry = entry.and_then(|entry| read_entry(entry, actor, &at, now, &mut found));
    let request = request(&request_id, content, &mut found);
    let change = Change::Place;
    let command = program_id.zip(entry).map(|(program_id, entry)| ListCommand { program_id, entry, change, request });
    found.into_result(command)
}

fn read_entry(entry: v1::ListEntry, by: &Actor, at: &At<'_>, now: Timestamp, found: &mut Violations) -> Option<ListEntry> {
    let v1::ListEntry { list, subject, actor, note: why, placed_at, expires_at } = entry;
    let list = required_enum(list, &at.field("list"), found);
    let subject = read_subject(subject, &at.field("subject"), found);
    if !actor.is_empty() {
        found.add(&at.field("actor"), "is set by the service: it is whoever calls; leave it out");
    }
    let note = note(why, &at.field("note"), found);
    if placed_at.is_some() {
        found.add(&at.field("placed_at"), "is set by the service; leave it out");
    }
    let expires_at = optional_time(expires_at, &at.field("expires_at"), Arrival::Recorded, found);
    if expires_at.is_some_and(|expires_at| expires_at <= now) {
        found.add(&at.field("expires_at"), "lies in the past");
    }
    Some(ListEntry { list: list?, subject: subject?, actor: by.clone(), note, placed_at: now, expires_at })
}

/// Reads an entry to remove.
///
/// # Errors
/// All violated fields.
pub fn remove(message: v1::RemoveListEntryRequest, actor: &Actor, now: Timestamp) -> Result<ListCommand, Vec<Violation>> {
    let content = content::fingerprint(&message);
    let v1::RemoveListEntryRequest { program_id, list, subject, note: why, request_id } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let list = required_enum(list, &At::path("list"), &mut found);
    let subject = read_subject(subject, &At::path("subject"), &mut found);
    let note = note(why, &At::path("note"), &mut found);
    let request = request(&request_id, content, &mut found);
    let command = || {
        let entry = ListEntry { list: list?, subject: subject?, actor: actor.clone(), note, placed_at: now, expires_at: None };
        Some(ListCommand { program_id: program_id?, entry, change: Change::Lift, request })
    };
    let command = command();
    found.into_result(command)
}

fn read_subject(subject: Option<v1::ListSubject>, at: &At<'_>, found: &mut Violations) -> Option<ListSubject> {
    use v1::list_subject::Subject;

    match subject.and_then(|v1::ListSubject { subject }| subject) {
        Some(Subject::AccountId(id)) => required_id(&id, &at.field("account_id"), found).map(ListSubject::Account),
        Some(Subject::Identifier(value)) => identifier(value, &at.field("identifier"), found).map(ListSubject::Identifier),
        None => {
            found.add(at, "is required: one of `account_id` and `identifier`");
            None
        }
    }
}

/// A listing of entries that was asked for.
#[derive(Debug, Clone)]
pub struct EntryListing {
    /// The programme.
    pub program_id: ProgramId,
    /// The list; absent for both.
    pub list: Option<ListKind>,
    /// Which part.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub seal: ListingSeal,
}

/// Reads a listing request.
///
/// # Errors
/// All violated fields.
pub fn listing(message: v1::ListListEntriesRequest, key: &PageKey) -> Result<EntryListing, Vec<Violation>> {
    let bare = v1::ListListEntriesRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::ListListEntriesRequest { program_id, list, page_size, page_token } = message;
    let mut found = Violations::default();
    let program_id = required_id(&program_id, &At::path("program_id"), &mut found);
    let list = optional_enum(list, &At::path("list"), &mut found);
    let page = page(page_size, &page_token, seal, &mut found);
    found.into_result(program_id.map(|program_id| EntryListing { program_id, list, page, seal }))
}

/// Writes an entry of a list.
#[must_use]
pub fn entry_message(entry: &ListEntry) -> v1::ListEntry {
    use v1::list_subject::Subject;

    let ListEntry { list, subject, actor, note, placed_at, expires_at } = entry;
    let subject = match subject {
        ListSubject::Account(id) => Subject::AccountId(id.to_string()),
        ListSubject::Identifier(value) => Subject::Identifier(identifier_message(value)),
    };
    v1::ListEntry {
        list: list.to_number(),
        subject: Some(v1::ListSubject { subject: Some(subject) }),
        actor: actor.to_string(),
        note: note.clone(),
        placed_at: Some(time_message(*placed_at)),
        expires_at: expires_at.map(time_message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_an_entry_is_named_by_its_path() {
        let digest = v1::Digest { key_id: String::new(), value: bytes::Bytes::from_static(&[1; 31]) };
        let identifier = v1::Identifier { kind: 0, digest: Some(digest) };
        let now = Timestamp::saturating_from_millis(1_790_000_000_000);
        let sent = v1::ListEntry {
            subject: Some(v1::ListSubject { subject: Some(v1::list_subject::Subject::Identifier(identifier)) }),
            actor: "somebody".to_owned(),
            placed_at: Some(time_message(now)),
            ..Default::default()
        };
        let refused = put(
            v1::PutListEntryRequest { program_id: "shop".to_owned(), entry: Some(sent), request_id: String::new() },
            &Actor::new("ann").unwrap(),
            now,
        )
        .unwrap_err();
        let fields: Vec<&str> = refused.iter().map(|violation| violation.field.as_str()).collect();
        let expected = [
            "entry.list",
            "entry.subject.identifier.kind",
            "entry.subject.identifier.digest.key_id",
            "entry.subject.identifier.digest.value",
            "entry.actor",
            "entry.placed_at",
        ];
        assert_eq!(fields, expected);
    }
}
