//! Requests and answers of the audit trail.

use super::fields::{Arrival, optional_id, optional_time, time_message};
use super::request::{ListingSeal, PageKey, page};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::query::PageRequest;
use crate::book::records::Cursor;
use crate::book::trail::TrailEntry;
use crate::ledger::trail::TrailChain;
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, ProgramId};
use crate::vocabulary::time::Timestamp;

/// The longest act that is looked for. Unit: bytes.
const ACT_BYTES_MAX: usize = 64;

/// Entries that were asked for.
#[derive(Debug, Clone)]
pub struct Search {
    /// The programme; absent for what is of the ledger as a whole.
    pub program_id: Option<ProgramId>,
    /// Which.
    pub filter: TrailFilter,
    /// Which part.
    pub page: PageRequest,
    /// What the next page's token is bound to.
    pub seal: ListingSeal,
}

/// Which entries are wanted.
#[derive(Debug, Clone, Default)]
pub struct TrailFilter {
    actor: Option<Actor>,
    act: String,
    account: Option<AccountId>,
    conversions: Vec<ConversionId>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl TrailFilter {
    /// Whether an entry is one of them.
    #[must_use]
    pub fn takes(&self, entry: &TrailEntry) -> bool {
        let Self { actor, act, account, conversions, from, to } = self;
        let acts = act.is_empty() || entry.act == *act || entry.act.split_once('.').is_some_and(|(word, _)| word == act);
        acts && actor.as_ref().is_none_or(|actor| entry.by == actor.as_str())
            && account.as_ref().is_none_or(|account| entry.accounts.iter().any(|id| id == account.as_str()))
            && conversions.iter().all(|wanted| entry.conversions.iter().any(|id| id == wanted.as_str()))
            && from.is_none_or(|from| entry.at_ms >= from.as_millis())
            && to.is_none_or(|to| entry.at_ms < to.as_millis())
    }
}

/// Reads a search.
///
/// # Errors
/// All violated fields.
pub fn search(message: v1::SearchAuditRequest, key: &PageKey) -> Result<Search, Vec<Violation>> {
    let bare = v1::SearchAuditRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let seal = ListingSeal::of(&bare, key);
    let v1::SearchAuditRequest { program_id, actor, act, account_id, conversion_id, case_id, from, to, page_size, page_token } =
        message;
    let mut found = Violations::default();
    let program_id = optional_id(&program_id, &At::path("program_id"), &mut found);
    let actor = optional_id(&actor, &At::path("actor"), &mut found);
    if act.len() > ACT_BYTES_MAX || !act.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'_')) {
        found.add(&At::path("act"), "must be an act like `case.accepted`, or its first word");
    }
    let account = optional_id(&account_id, &At::path("account_id"), &mut found);
    let conversion: Option<ConversionId> = optional_id(&conversion_id, &At::path("conversion_id"), &mut found);
    let case: Option<CaseId> = if case_id.is_empty() { None } else { super::request::case_id(&case_id, &mut found) };
    let conversions = conversion.into_iter().chain(case.and_then(|case| case.conversion_id())).collect();
    let from = optional_time(from, &At::path("from"), Arrival::Recorded, &mut found);
    let to = optional_time(to, &At::path("to"), Arrival::Recorded, &mut found);
    let page = page(page_size, &page_token, seal, &mut found);
    let filter = TrailFilter { actor, act, account, conversions, from, to };
    found.into_result(Some(Search { program_id, filter, page, seal }))
}

/// Reads whose trail is to be exported; absent for the ledger's as a whole.
///
/// # Errors
/// All violated fields.
pub fn export(message: v1::ExportAuditRequest) -> Result<Option<ProgramId>, Vec<Violation>> {
    let v1::ExportAuditRequest { program_id } = message;
    let mut found = Violations::default();
    let program_id = optional_id(&program_id, &At::path("program_id"), &mut found);
    found.into_result(Some(program_id))
}

/// A verification that was asked for.
#[derive(Debug, Clone)]
pub struct VerifyWanted {
    /// The programme; absent for the ledger's trail as a whole.
    pub program_id: Option<ProgramId>,
    /// What an earlier export ended with; absent when there is none.
    pub expected: Option<(Cursor, TrailChain)>,
}

/// Reads what is to be verified.
///
/// # Errors
/// All violated fields.
pub fn verify(message: v1::VerifyAuditRequest) -> Result<VerifyWanted, Vec<Violation>> {
    let v1::VerifyAuditRequest { program_id, expected_place, expected_chain } = message;
    let mut found = Violations::default();
    let program_id = optional_id(&program_id, &At::path("program_id"), &mut found);
    let chain = hex::decode(&expected_chain).ok().and_then(|bytes| bytes.try_into().ok()).map(TrailChain);
    let expected = match (expected_place, expected_chain.is_empty(), chain) {
        (0, true, _) => None,
        (1.., _, Some(chain)) => Some((Cursor(expected_place), chain)),
        (1.., _, None) => {
            found.add(&At::path("expected_chain"), "must be the 64 hexadecimal digits at the end of an export");
            None
        }
        (0, false, _) => {
            found.add(&At::path("expected_place"), "must be the place at the end of the export that `expected_chain` is of");
            None
        }
    };
    found.into_result(Some(VerifyWanted { program_id, expected }))
}

/// Writes an entry with its canonical text.
#[must_use]
pub fn entry_message(entry: TrailEntry, text: String) -> v1::AuditEntry {
    let TrailEntry { place, at_ms, at: _, by, act, conversions, accounts, facts } = entry;
    v1::AuditEntry {
        place,
        at: Some(time_message(Timestamp::saturating_from_millis(at_ms))),
        actor: by,
        act,
        conversion_ids: conversions,
        account_ids: accounts,
        facts: facts.into_iter().map(|(name, value)| v1::AuditFact { name, value }).collect(),
        text,
    }
}
