//! The directory: which programmes there are, who may call, what each caller may do and where. It is kept as a book of its own, under a name that
//! no programme has, so that all processes of a ledger agree on it and every backup holds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::acts::Confirmation;
use super::event::DirectoryChanged;
use super::records::Cursor;
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::{Actor, ProgramId, TokenId};
use crate::vocabulary::money::Currency;
use crate::vocabulary::role::Role;
use crate::vocabulary::time::Timestamp;

/// Names that stand for the service itself, or for nobody, in the audit trail: no caller has them.
pub const OWN_NAMES: [&str; 2] = [ProgramId::DIRECTORY, "local"];
/// Tokens of one caller that are not revoked.
pub const TOKENS_MAX: usize = 16;

/// What is kept of a token: SHA-256 of its text. The text itself is given out once and kept nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenDigest(pub [u8; 32]);

/// The key of a ledger: 256 random bits from which the keys are derived that page tokens and access tokens are sealed with. All processes of a ledger
/// know it, and every backup holds it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LedgerKey(pub [u8; 32]);

impl fmt::Debug for LedgerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LedgerKey")
    }
}

/// A token of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Token {
    /// Its name.
    pub id: TokenId,
    /// What it is known by.
    pub digest: TokenDigest,
    /// What it is for; empty when nothing was said.
    pub note: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// Who issued it.
    pub issued_by: Actor,
    /// When it ends by itself; absent for never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked; absent while it is not.
    pub revoked_at: Option<Timestamp>,
}

impl Token {
    /// Whether it lets anybody in at a time.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

/// The programmes of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// All, those to come included, and the ledger as a whole.
    All,
    /// These.
    Of(BTreeSet<ProgramId>),
}

impl Scope {
    /// Whether a programme is one of them.
    #[must_use]
    pub fn includes(&self, program: &ProgramId) -> bool {
        match self {
            Self::All => true,
            Self::Of(programs) => programs.contains(program),
        }
    }
}

/// What an administrator says of a caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct IdentitySettings {
    /// Its name, which stands in the audit trail.
    pub name: Actor,
    /// What it may do. Not empty.
    pub roles: BTreeSet<Role>,
    /// Where.
    pub scope: Scope,
    /// Names of client certificates (DNS names or URIs of their subject alternative names) that are this caller.
    pub certificates: BTreeSet<Box<str>>,
}

impl IdentitySettings {
    /// Whether it may administrate the ledger as a whole.
    fn administrates(&self) -> bool {
        self.roles.contains(&Role::Admin) && self.scope == Scope::All
    }
}

/// A caller.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// What it is and may do.
    pub settings: IdentitySettings,
    /// Its tokens, in the order of issue, the revoked ones included.
    pub tokens: Vec<Token>,
    /// When its settings were changed last.
    pub changed_at: Timestamp,
    /// Who changed them.
    pub changed_by: Actor,
}

impl Identity {
    /// Whether anything lets it in that no time ends by itself, or not before a time.
    fn has_a_way_in(&self, now: Timestamp) -> bool {
        !self.settings.certificates.is_empty() || self.tokens.iter().any(|token| token.is_live(now))
    }
}

/// What a programme is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Trying out: no money follows.
    Sandbox,
    /// Money follows.
    Production,
}

/// What an administrator says of a programme.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProgramSettings {
    /// Its id.
    pub id: ProgramId,
    /// What people call it; empty for its id.
    pub title: String,
    /// What it is for.
    pub stage: Stage,
    /// Currencies that are taken; empty for any.
    pub currencies: BTreeSet<Currency>,
    /// What a second identity must confirm; absent for nothing.
    pub confirmation: Option<Confirmation>,
    /// Key ids that are taken; empty for any.
    pub key_ids: BTreeSet<KeyId>,
}

/// A programme that is registered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RegisteredProgram {
    /// What it is.
    pub settings: ProgramSettings,
    /// When it was registered.
    pub created_at: Timestamp,
    /// Who registered it.
    pub created_by: Actor,
    /// When it was archived: it is read, and takes nothing more. Absent while it is not.
    pub archived_at: Option<Timestamp>,
}

/// A change of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryStep {
    /// Registers a programme.
    CreateProgram(ProgramSettings),
    /// Changes what is said of one.
    UpdateProgram(ProgramSettings),
    /// Archives one, or takes that back.
    Archive(ProgramId, Archival),
    /// Writes a caller, new or known.
    PutIdentity(IdentitySettings),
    /// Removes a caller with all its tokens.
    RemoveIdentity(Actor),
    /// Adds a token to a caller.
    IssueToken(Actor, Token),
    /// Ends a token now.
    RevokeToken(TokenId),
    /// Keeps a key, where there is none.
    MakeKey(LedgerKey),
}

/// Whether a programme is archived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Archival {
    /// It takes nothing more.
    Archived,
    /// It takes everything again.
    InUse,
}

/// Which programmes there are, and who may call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Directory {
    programs: BTreeMap<ProgramId, Arc<RegisteredProgram>>,
    identities: BTreeMap<Actor, Identity>,
    /// Kept by itself: whoever removes all identities opens nothing.
    asks_who_calls: bool,
    key: Option<LedgerKey>,
    changed: Cursor,
}

impl Directory {
    /// The programmes, by id.
    pub fn programs(&self) -> impl Iterator<Item = &RegisteredProgram> {
        self.programs.values().map(|program| &**program)
    }

    /// A programme; `None` when none is registered under this id.
    #[must_use]
    pub fn program(&self, id: &ProgramId) -> Option<&Arc<RegisteredProgram>> {
        self.programs.get(id)
    }

    /// The callers, by name.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.identities.values()
    }

    /// A caller; `None` when there is none of this name.
    #[must_use]
    pub fn identity(&self, name: &Actor) -> Option<&Identity> {
        self.identities.get(name)
    }

    /// The caller that has a token, with the token; `None` when nobody has it.
    #[must_use]
    pub fn token(&self, id: &TokenId) -> Option<(&Identity, &Token)> {
        self.identities.values().find_map(|identity| Some((identity, identity.tokens.iter().find(|token| token.id == *id)?)))
    }

    /// Whether callers must say who they are: from the first token or certificate on, for ever.
    #[must_use]
    pub const fn asks_who_calls(&self) -> bool {
        self.asks_who_calls
    }

    /// The key of the ledger; absent until the first server that serves it made one.
    #[must_use]
    pub const fn key(&self) -> Option<&LedgerKey> {
        self.key.as_ref()
    }

    /// Whether it knows callers, and none of them could administrate it at a time.
    pub(super) fn is_locked(&self, now: Timestamp) -> bool {
        let opens = |identity: &Identity| identity.settings.administrates() && identity.has_a_way_in(now);
        self.asks_who_calls && !self.identities.values().any(opens)
    }

    /// The newest record that any of this is made of.
    pub(crate) const fn changed(&self) -> Cursor {
        self.changed
    }

    pub(super) fn change(&mut self, cursor: Cursor, event: &DirectoryChanged) {
        let DirectoryChanged { step, actor, at } = event;
        self.changed = cursor;
        self.asks_who_calls |= match step {
            DirectoryStep::IssueToken(..) => true,
            DirectoryStep::PutIdentity(settings) => !settings.certificates.is_empty(),
            DirectoryStep::CreateProgram(_)
            | DirectoryStep::UpdateProgram(_)
            | DirectoryStep::Archive(..)
            | DirectoryStep::RemoveIdentity(_)
            | DirectoryStep::RevokeToken(_)
            | DirectoryStep::MakeKey(_) => false,
        };
        match step {
            DirectoryStep::CreateProgram(settings) => {
                let (settings, created_by) = (settings.clone(), actor.clone());
                let program = RegisteredProgram { settings, created_at: *at, created_by, archived_at: None };
                self.programs.insert(program.settings.id.clone(), Arc::new(program));
            }
            DirectoryStep::UpdateProgram(settings) => {
                if let Some(program) = self.programs.get_mut(&settings.id) {
                    Arc::make_mut(program).settings = settings.clone();
                }
            }
            DirectoryStep::Archive(id, archival) => {
                if let Some(program) = self.programs.get_mut(id) {
                    Arc::make_mut(program).archived_at = match archival {
                        Archival::Archived => Some(*at),
                        Archival::InUse => None,
                    };
                }
            }
            DirectoryStep::PutIdentity(settings) => {
                let tokens = self.identities.remove(&settings.name).map(|known| known.tokens).unwrap_or_default();
                let identity = Identity { settings: settings.clone(), tokens, changed_at: *at, changed_by: actor.clone() };
                self.identities.insert(settings.name.clone(), identity);
            }
            DirectoryStep::RemoveIdentity(name) => {
                self.identities.remove(name);
            }
            DirectoryStep::IssueToken(name, token) => {
                if let Some(identity) = self.identities.get_mut(name) {
                    identity.tokens.push(token.clone());
                }
            }
            DirectoryStep::RevokeToken(id) => {
                let tokens = self.identities.values_mut().flat_map(|identity| &mut identity.tokens);
                for token in tokens.filter(|token| token.id == *id) {
                    token.revoked_at.get_or_insert(*at);
                }
            }
            DirectoryStep::MakeKey(key) => {
                self.key.get_or_insert_with(|| key.clone());
            }
        }
    }
}
