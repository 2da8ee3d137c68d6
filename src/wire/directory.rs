//! Requests and answers of the directory: programmes, callers, tokens.
//!
//! What is known of a token never leaves: only the one who issued it sees its text, once. The handlers of the directory call it.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::{Arrival, enum_set, name_of_somebody, optional_time, required_enum, required_id, text, time_message};
use super::request::{ListingSeal, PageKey, optional_span, page};
use super::v1;
use super::violation::{At, Violation, Violations};
use crate::book::acts::Confirmation;
use crate::book::directory::{Identity, IdentitySettings, ProgramSettings, RegisteredProgram, Scope, Token};
use crate::book::query::PageRequest;
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::{Actor, ProgramId, TokenId};
use crate::vocabulary::money::{Currency, Money};
use crate::vocabulary::role::Role;
use crate::vocabulary::time::{Span, Timestamp};
use crate::wire::enums::WireEnum;

/// The longest title or note of a token, in bytes.
const TEXT_BYTES_MAX: usize = 200;
/// Currencies of a programme, and certificates of an identity.
const FEW_MAX: usize = 16;
/// Programmes that an identity names one by one.
const PROGRAMS_MAX: usize = 1_000;
/// The longest name of a certificate, in bytes.
const CERTIFICATE_BYTES_MAX: usize = 500;

/// Reads a programme to register or change.
///
/// # Errors
/// All violated fields.
pub fn program(message: Option<v1::Program>) -> Result<ProgramSettings, Vec<Violation>> {
    let mut found = Violations::default();
    let at = At::path("program");
    let Some(message) = message else {
        found.add(&at, "is required");
        return found.into_result(None);
    };
    // What the service sets is not read, so that an answer can be sent back changed.
    let v1::Program {
        program_id,
        title,
        stage,
        currencies,
        created_at: _,
        created_by: _,
        archived_at: _,
        confirmation: asked,
        key_ids,
    } = message;
    let id = required_id(&program_id, &at.field("program_id"), &mut found);
    let title = text(&title, TEXT_BYTES_MAX, &at.field("title"), &mut found).into_string();
    let stage = required_enum(stage, &at.field("stage"), &mut found);
    let path = at.field("currencies");
    let currency = |text: &String, at: &At<'_>, found: &mut Violations| match Currency::new(text) {
        Ok(currency) => Some(currency),
        Err(problem) => {
            found.add(at, problem.to_string());
            None
        }
    };
    let currencies = set_of(&currencies, FEW_MAX, &path, &mut found, currency);
    let confirmation = asked.map(|asked| confirmation(asked, &at.field("confirmation"), &mut found));
    let key = |text: &String, at: &At<'_>, found: &mut Violations| {
        KeyId::new(text).inspect_err(|problem| found.add(at, problem.to_string())).ok()
    };
    let key_ids = set_of(&key_ids, FEW_MAX, &at.field("key_ids"), &mut found, key);
    let settings = || Some(ProgramSettings { id: id?, title, stage: stage?, currencies, confirmation, key_ids });
    let settings = settings();
    found.into_result(settings)
}

/// Reads what a second identity must confirm.
fn confirmation(message: v1::Confirmation, at: &At<'_>, found: &mut Violations) -> Confirmation {
    let v1::Confirmation { above, unbans, models, terms, expires_after } = message;
    let path = at.field("above");
    if above.len() > FEW_MAX {
        found.add(&path, format!("holds {} entries; at most {FEW_MAX} are allowed", above.len()));
    }
    let mut amounts = BTreeMap::new();
    for (index, amount) in above.into_iter().take(FEW_MAX).enumerate() {
        let entry = path.entry(index);
        match Money::new(amount.amount_minor, &amount.currency) {
            Err(problem) => found.add(&entry, problem.to_string()),
            Ok(money) => {
                if amounts.insert(money.currency(), money.amount_minor()).is_some() {
                    found.add(&entry, "is in a currency that stands there before");
                }
            }
        }
    }
    let path = at.field("expires_after");
    let lifetime = optional_span(expires_after, &path, found).unwrap_or(CONFIRMED_WITHIN);
    if !(CONFIRMED_WITHIN_MIN..=CONFIRMED_WITHIN_MAX).contains(&lifetime) {
        found.add(&path, "must be between one hour and 30 days");
    }
    if amounts.is_empty() && !unbans && !models && !terms {
        found.add(at, "asks for nothing; leave it out, or say what a second identity must confirm");
    }
    Confirmation { above: amounts, unbans, models, terms, lifetime }
}

fn confirmation_message(confirmation: &Confirmation) -> v1::Confirmation {
    let Confirmation { above, unbans, models, terms, lifetime } = confirmation;
    let amount =
        |(currency, minor): (&Currency, &i64)| v1::Money { amount_minor: *minor, currency: currency.as_str().to_owned() };
    v1::Confirmation {
        above: above.iter().map(amount).collect(),
        unbans: *unbans,
        models: *models,
        terms: *terms,
        expires_after: Some(pbjson_types::Duration { seconds: lifetime.as_millis() / 1_000, nanos: 0 }),
    }
}

/// How long an act waits for a second identity when nobody says, at least, and at most.
const CONFIRMED_WITHIN: Span = Span::from_days(7);
const CONFIRMED_WITHIN_MIN: Span = Span::from_hours(1);
const CONFIRMED_WITHIN_MAX: Span = Span::from_days(30);

/// Reads which programme is meant.
///
/// # Errors
/// All violated fields.
pub fn program_wanted(program_id: &str) -> Result<ProgramId, Vec<Violation>> {
    let mut found = Violations::default();
    let id = required_id(program_id, &At::path("program_id"), &mut found);
    found.into_result(id)
}

/// Reads an identity to write.
///
/// # Errors
/// All violated fields.
pub fn identity(message: Option<v1::Identity>) -> Result<IdentitySettings, Vec<Violation>> {
    let mut found = Violations::default();
    let at = At::path("identity");
    let Some(message) = message else {
        found.add(&at, "is required");
        return found.into_result(None);
    };
    // What the service sets is not read, so that an answer can be sent back changed.
    let v1::Identity { name, roles, all_programs, program_ids, certificate_names, tokens: _, changed_at: _, changed_by: _ } =
        message;
    let name = required_id(&name, &at.field("name"), &mut found);
    if roles.is_empty() {
        found.add(&at.field("roles"), "is required: at least one role");
    }
    let roles: Vec<Role> = enum_set(&roles, Role::ALL.len(), &at.field("roles"), &mut found);
    let path = at.field("program_ids");
    let programs = set_of(&program_ids, PROGRAMS_MAX, &path, &mut found, |text, at, found| required_id(text, at, found));
    match (all_programs, programs.is_empty()) {
        (true, false) => found.add(&path, "must be left out when `all_programs` is set"),
        (false, true) => found.add(&path, "is required, or `all_programs`"),
        (true, true) | (false, false) => {}
    }
    let scope = if all_programs { Scope::All } else { Scope::Of(programs) };
    let certificate = |name: &String, at: &At<'_>, found: &mut Violations| {
        if name.is_empty() {
            found.add(at, "is empty");
        }
        Some(name_of_somebody(name, CERTIFICATE_BYTES_MAX, at, found))
    };
    let certificates = set_of(&certificate_names, FEW_MAX, &at.field("certificate_names"), &mut found, certificate);
    let settings = name.map(|name| IdentitySettings { name, roles: roles.into_iter().collect(), scope, certificates });
    found.into_result(settings)
}

fn set_of<T: Ord>(
    texts: &[String],
    max: usize,
    at: &At<'_>,
    found: &mut Violations,
    read: impl Fn(&String, &At<'_>, &mut Violations) -> Option<T>,
) -> BTreeSet<T> {
    if texts.len() > max {
        found.add(at, format!("holds {} entries; at most {max} are allowed", texts.len()));
    }
    texts.iter().take(max).enumerate().filter_map(|(index, text)| read(text, &at.entry(index), found)).collect()
}

/// Reads the name of an identity to remove.
///
/// # Errors
/// All violated fields.
pub fn name_wanted(message: v1::RemoveIdentityRequest) -> Result<Actor, Vec<Violation>> {
    let v1::RemoveIdentityRequest { name } = message;
    let mut found = Violations::default();
    let name = required_id(&name, &At::path("name"), &mut found);
    found.into_result(name)
}

/// Reads which programmes are asked for.
///
/// # Errors
/// All violated fields.
pub fn program_listing(message: v1::ListProgramsRequest, key: &PageKey) -> Result<(PageRequest, ListingSeal), Vec<Violation>> {
    let seal = ListingSeal::of(&v1::ListProgramsRequest::default(), key);
    let v1::ListProgramsRequest { page_size, page_token } = message;
    let mut found = Violations::default();
    let page = page(page_size, &page_token, seal, &mut found);
    found.into_result(Some((page, seal)))
}

/// Reads which identities are asked for.
///
/// # Errors
/// All violated fields.
pub fn identity_listing(message: v1::ListIdentitiesRequest, key: &PageKey) -> Result<(PageRequest, ListingSeal), Vec<Violation>> {
    let seal = ListingSeal::of(&v1::ListIdentitiesRequest::default(), key);
    let v1::ListIdentitiesRequest { page_size, page_token } = message;
    let mut found = Violations::default();
    let page = page(page_size, &page_token, seal, &mut found);
    found.into_result(Some((page, seal)))
}

/// A token that is to be issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWanted {
    /// Whose.
    pub identity: Actor,
    /// What it is for.
    pub note: String,
    /// When it ends by itself; absent for never.
    pub expires_at: Option<Timestamp>,
}

/// Reads a token to issue.
///
/// # Errors
/// All violated fields.
pub fn token_wanted(message: v1::IssueTokenRequest, now: Timestamp) -> Result<TokenWanted, Vec<Violation>> {
    let v1::IssueTokenRequest { identity, note, expires_at } = message;
    let mut found = Violations::default();
    let identity = required_id(&identity, &At::path("identity"), &mut found);
    let note = text(&note, TEXT_BYTES_MAX, &At::path("note"), &mut found).into_string();
    let path = At::path("expires_at");
    let expires_at = optional_time(expires_at, &path, Arrival::Recorded, &mut found);
    if expires_at.is_some_and(|end| end <= now) {
        found.add(&path, "lies in the past");
    }
    found.into_result(identity.map(|identity| TokenWanted { identity, note, expires_at }))
}

/// Reads how long an access token is to last.
///
/// # Errors
/// All violated fields.
pub fn access_wanted(message: v1::MakeAccessTokenRequest) -> Result<Span, Vec<Violation>> {
    let v1::MakeAccessTokenRequest { lifetime } = message;
    let mut found = Violations::default();
    let at = At::path("lifetime");
    let wanted = optional_span(lifetime, &at, &mut found).unwrap_or(ACCESS_LIFETIME);
    if !(ACCESS_LIFETIME_MIN..=ACCESS_LIFETIME_MAX).contains(&wanted) {
        found.add(&at, "must be between one minute and 12 hours");
    }
    found.into_result(Some(wanted))
}

/// How long an access token lasts when nobody says, at least, and at most.
const ACCESS_LIFETIME: Span = Span::from_minutes(15);
const ACCESS_LIFETIME_MIN: Span = Span::from_minutes(1);
const ACCESS_LIFETIME_MAX: Span = Span::from_hours(12);

/// Reads which token is to be revoked.
///
/// # Errors
/// All violated fields.
pub fn revoked(message: v1::RevokeTokenRequest) -> Result<TokenId, Vec<Violation>> {
    let v1::RevokeTokenRequest { token_id } = message;
    let mut found = Violations::default();
    let id = required_id(&token_id, &At::path("token_id"), &mut found);
    found.into_result(id)
}

/// Writes a programme.
#[must_use]
pub fn program_message(program: &RegisteredProgram) -> v1::Program {
    let RegisteredProgram { settings, created_at, created_by, archived_at } = program;
    let ProgramSettings { id, title, stage, currencies, confirmation, key_ids } = settings;
    v1::Program {
        program_id: id.to_string(),
        title: title.clone(),
        stage: stage.to_number(),
        currencies: currencies.iter().map(|currency| currency.as_str().to_owned()).collect(),
        created_at: Some(time_message(*created_at)),
        created_by: created_by.to_string(),
        archived_at: archived_at.map(time_message),
        confirmation: confirmation.as_ref().map(confirmation_message),
        key_ids: key_ids.iter().map(|key| key.as_str().to_owned()).collect(),
    }
}

/// Writes an identity with its tokens.
#[must_use]
pub fn identity_message(identity: &Identity) -> v1::Identity {
    let Identity { settings, tokens, changed_at, changed_by } = identity;
    v1::Identity {
        tokens: tokens.iter().map(token_message).collect(),
        changed_at: Some(time_message(*changed_at)),
        changed_by: changed_by.to_string(),
        ..settings_message(settings)
    }
}

/// Writes what an identity is and may do, without its tokens.
#[must_use]
pub fn settings_message(settings: &IdentitySettings) -> v1::Identity {
    let IdentitySettings { name, roles, scope, certificates } = settings;
    let (all_programs, program_ids) = match scope {
        Scope::All => (true, Vec::new()),
        Scope::Of(programs) => (false, programs.iter().map(ToString::to_string).collect()),
    };
    v1::Identity {
        name: name.to_string(),
        roles: roles.iter().map(|role| role.to_number()).collect(),
        all_programs,
        program_ids,
        certificate_names: certificates.iter().map(ToString::to_string).collect(),
        ..v1::Identity::default()
    }
}

/// Writes a token, without what it is known by.
#[must_use]
pub fn token_message(token: &Token) -> v1::Token {
    let Token { id, digest: _, note, issued_at, issued_by, expires_at, revoked_at } = token;
    v1::Token {
        token_id: id.to_string(),
        note: note.clone(),
        issued_at: Some(time_message(*issued_at)),
        issued_by: issued_by.to_string(),
        expires_at: expires_at.map(time_message),
        revoked_at: revoked_at.map(time_message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(violations: &[Violation]) -> Vec<&str> {
        violations.iter().map(|violation| violation.field.as_str()).collect()
    }

    #[test]
    fn everything_that_is_wrong_with_an_identity_or_a_programme_is_named() {
        let refused = identity(Some(v1::Identity { roles: vec![99], ..Default::default() })).unwrap_err();
        assert_eq!(fields(&refused), ["identity.name", "identity.roles[0]", "identity.program_ids"]);
        let both = v1::Identity {
            name: "ana".to_owned(),
            roles: vec![v1::Role::Reviewer.into()],
            all_programs: true,
            program_ids: vec!["shop".to_owned()],
            ..Default::default()
        };
        assert_eq!(fields(&identity(Some(both)).unwrap_err()), ["identity.program_ids"]);
        let currencies = vec!["EUR".to_owned(), "euro".to_owned()];
        let refused = program(Some(v1::Program { currencies, ..Default::default() })).unwrap_err();
        assert_eq!(fields(&refused), ["program.program_id", "program.stage", "program.currencies[1]"]);
        assert_eq!(fields(&program(None).unwrap_err()), ["program"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        let settings = IdentitySettings {
            name: Actor::new("ana").unwrap(),
            roles: BTreeSet::from([Role::Reviewer, Role::Lead]),
            scope: Scope::Of(BTreeSet::from([ProgramId::new("shop").unwrap()])),
            certificates: BTreeSet::from(["ana.internal".into()]),
        };
        assert_eq!(identity(Some(settings_message(&settings))).unwrap(), settings);
    }
}
