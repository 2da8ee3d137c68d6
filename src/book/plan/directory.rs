//! Plans of changes of the directory. No change may leave it without anybody who can administrate it.

use super::Plan;
use crate::book::Book;
use crate::book::command::DirectoryCommand;
use crate::book::directory::{Archival, Directory, DirectoryStep, Identity, OWN_NAMES, RegisteredProgram, TOKENS_MAX, Token};
use crate::book::event::{DirectoryChanged, Event};
use crate::book::records::Cursor;
use crate::book::refusal::{Misfit, Refusal};
use crate::vocabulary::ids::{Actor, ProgramId};

/// Changes the directory. A change that says what is so already is done.
pub(super) fn change(book: &Book, command: DirectoryCommand) -> Result<Plan, Refusal> {
    let DirectoryCommand { program_id: _, step, actor, at } = command;
    let directory = &book.directory;
    if is_so(directory, &step)? {
        return Ok(Plan::AlreadyDone(directory.changed()));
    }
    let event = DirectoryChanged { step, actor, at };
    let mut after = Directory::clone(directory);
    after.change(Cursor(0), &event);
    if after.is_locked(at) {
        return Err(Refusal::NotPossible(
            "then nobody could administrate this ledger any more: first issue a token to an identity that is `admin` in all programmes"
                .to_owned(),
        ));
    }
    Ok(Plan::commit(Event::DirectoryChanged(Box::new(event))))
}

/// Whether a step changes nothing.
fn is_so(directory: &Directory, step: &DirectoryStep) -> Result<bool, Refusal> {
    Ok(match step {
        DirectoryStep::CreateProgram(settings) => match directory.program(&settings.id) {
            Some(known) if known.settings == *settings => true,
            Some(_) => return Err(taken(&settings.id)),
            None if settings.id.as_str() == ProgramId::DIRECTORY => {
                return Err(own_name("program.program_id", ProgramId::DIRECTORY));
            }
            None => false,
        },
        DirectoryStep::UpdateProgram(settings) => program(directory, &settings.id)?.settings == *settings,
        DirectoryStep::Archive(id, archival) => {
            let archived = program(directory, id)?.archived_at.is_some();
            archived == (*archival == Archival::Archived)
        }
        DirectoryStep::PutIdentity(settings) => {
            if OWN_NAMES.contains(&settings.name.as_str()) {
                return Err(own_name("identity.name", settings.name.as_str()));
            }
            let shared = |other: &&Identity| {
                other.settings.name != settings.name && !other.settings.certificates.is_disjoint(&settings.certificates)
            };
            if let Some(other) = directory.identities().find(shared) {
                let problem = format!("names a certificate that is identity `{}` already", other.settings.name);
                return Err(Refusal::Invalid(vec![Misfit::at("identity.certificates", problem)]));
            }
            directory.identity(&settings.name).is_some_and(|known| known.settings == *settings)
        }
        DirectoryStep::RemoveIdentity(name) => {
            identity(directory, name)?;
            false
        }
        DirectoryStep::IssueToken(name, _) => {
            let live = |token: &&Token| token.revoked_at.is_none();
            if identity(directory, name)?.tokens.iter().filter(live).count() >= TOKENS_MAX {
                let message = format!("identity `{name}` has {TOKENS_MAX} tokens that are not revoked: revoke one first");
                return Err(Refusal::NotPossible(message));
            }
            false
        }
        DirectoryStep::RevokeToken(id) => {
            let found = directory.token(id).ok_or_else(|| Refusal::NotFound { what: "token", id: id.to_string() })?;
            found.1.revoked_at.is_some()
        }
        DirectoryStep::MakeKey(_) => directory.key().is_some(),
    })
}

fn program<'d>(directory: &'d Directory, id: &ProgramId) -> Result<&'d RegisteredProgram, Refusal> {
    directory.program(id).map(|program| &**program).ok_or_else(|| Refusal::NotFound { what: "programme", id: id.to_string() })
}

fn identity<'d>(directory: &'d Directory, name: &Actor) -> Result<&'d Identity, Refusal> {
    directory.identity(name).ok_or_else(|| Refusal::NotFound { what: "identity", id: name.to_string() })
}

fn taken(id: &ProgramId) -> Refusal {
    Refusal::NotPossible(format!("programme `{id}` is registered with other settings; update it, or choose another id"))
}

fn own_name(field: &str, name: &str) -> Refusal {
    Refusal::Invalid(vec![Misfit::at(field, format!("is `{name}`, which stands for the service itself; choose another"))])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::book::directory::{IdentitySettings, ProgramSettings, Scope, Stage, TokenDigest};
    use crate::vocabulary::ids::TokenId;
    use crate::vocabulary::role::Role;
    use crate::vocabulary::time::{Span, Timestamp};

    fn minute(number: i64) -> Timestamp {
        Timestamp::saturating_from_millis(1_790_000_000_000).plus(Span::from_minutes(number))
    }

    fn name(number: u8) -> Actor {
        Actor::new(&format!("caller-{number}")).unwrap()
    }

    fn token(number: u8, ends: Option<i64>) -> Token {
        Token {
            id: TokenId::new(&format!("tk-{number}")).unwrap(),
            digest: TokenDigest([number; 32]),
            note: String::new(),
            issued_at: minute(0),
            issued_by: name(0),
            expires_at: ends.map(minute),
            revoked_at: None,
        }
    }

    fn identity() -> impl Strategy<Value = IdentitySettings> {
        let roles = proptest::collection::btree_set(proptest::sample::select(&Role::ALL[4..]), 1..3);
        let certificates = proptest::collection::btree_set(proptest::sample::select(&["a.internal", "b.internal"][..]), 0..2);
        (0..4_u8, roles, any::<bool>(), certificates).prop_map(|(number, roles, everywhere, certificates)| IdentitySettings {
            name: name(number),
            roles,
            scope: if everywhere { Scope::All } else { Scope::Of(BTreeSet::new()) },
            certificates: certificates.into_iter().map(Into::into).collect(),
        })
    }

    fn step() -> impl Strategy<Value = DirectoryStep> {
        let program = (0..3_u8).prop_map(|number| ProgramId::new(&format!("p-{number}")).unwrap());
        let settings = |id| ProgramSettings {
            id,
            title: String::new(),
            stage: Stage::Sandbox,
            currencies: BTreeSet::new(),
            confirmation: None,
            key_ids: BTreeSet::new(),
        };
        prop_oneof![
            3 => identity().prop_map(DirectoryStep::PutIdentity),
            2 => (0..4_u8).prop_map(|number| DirectoryStep::RemoveIdentity(name(number))),
            4 => (0..4_u8, 0..40_u8, proptest::option::of(1..80_i64))
                .prop_map(|(who, number, ends)| DirectoryStep::IssueToken(name(who), token(number, ends))),
            3 => (0..40_u8).prop_map(|number| DirectoryStep::RevokeToken(token(number, None).id)),
            1 => program.clone().prop_map(move |id| DirectoryStep::CreateProgram(settings(id))),
            1 => program.prop_map(|id| DirectoryStep::Archive(id, Archival::Archived)),
        ]
    }

    proptest! {
        /// Whatever is changed in whichever order: from the first token or certificate on callers are asked for ever, each change leaves somebody who can
        /// administrate, and a certificate is one identity.
        #[test]
        fn no_change_locks_everybody_out_or_opens_the_door_again(steps in proptest::collection::vec(step(), 1..60)) {
            let mut book = Book::new(0);
            for (number, step) in (1_i64..).zip(steps) {
                let (before, at) = (book.directory.asks_who_calls(), minute(number));
                let shows = matches!(&step, DirectoryStep::IssueToken(..))
                    || matches!(&step, DirectoryStep::PutIdentity(settings) if !settings.certificates.is_empty());
                let command = DirectoryCommand { program_id: ProgramId::directory(), step, actor: name(0), at };
                let Ok(Plan::Commit(event, _)) = change(&book, command) else { continue };
                book.apply(Cursor(book.cursor().0 + 1), &event);
                let directory = &book.directory;
                prop_assert_eq!(directory.asks_who_calls(), before || shows);
                let lets_in = |identity: &&Identity| {
                    let IdentitySettings { roles, scope, certificates, .. } = &identity.settings;
                    let administrates = roles.contains(&Role::Admin) && *scope == Scope::All;
                    administrates && (!certificates.is_empty() || identity.tokens.iter().any(|token| token.is_live(at)))
                };
                prop_assert!(!directory.asks_who_calls() || directory.identities().any(|identity| lets_in(&identity)));
                let named: Vec<_> = directory.identities().flat_map(|identity| &identity.settings.certificates).collect();
                prop_assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len());
            }
        }
    }
}
