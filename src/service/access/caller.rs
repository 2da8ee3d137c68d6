//! A caller: who calls which method, and whether it may be called in a programme.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use tonic::Request;
use tonic::codegen::http::HeaderValue;

use super::door::Door;
use super::share::Share;
use super::table::{Place, Rule, rule_of};
use crate::book::directory::{Identity, IdentitySettings, RegisteredProgram, Scope};
use crate::screening::similarity::closest;
use crate::service::budgets::Intake;
use crate::service::errors::Refusal;
use crate::service::seal::Said;
use crate::vocabulary::ids::{Actor, ProgramId, TokenId};
use crate::vocabulary::role::Role;
use crate::wire::credentials::ACTOR;

/// As whom somebody calls.
#[derive(Debug, Clone)]
pub(super) enum Standing {
    /// Nobody is asked who calls, and it did not say.
    Nameless,
    /// Nobody is asked who calls.
    Anybody,
    /// An identity.
    Identity(Arc<Identity>),
}

/// Who calls, and what.
#[derive(Clone)]
pub(in crate::service) struct Caller {
    pub(super) name: Actor,
    pub(super) standing: Standing,
    pub(super) rule: &'static Rule,
    pub(super) door: Arc<Door>,
    /// The token that it showed, where that is one that lasts.
    pub(in crate::service) token: Option<TokenId>,
    /// What it may take of the server.
    pub(in crate::service) share: Arc<Share>,
    /// What came in of this call; absent before the guard counts it.
    pub(in crate::service) intake: Option<Arc<Intake>>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Caller({} calls {})", self.name, self.rule.method)
    }
}

impl Caller {
    /// Takes a request apart into who sent it and what it says.
    ///
    /// # Errors
    /// An internal fault when nobody asked who calls, which the server always does.
    pub(in crate::service) fn of<T>(mut request: Request<T>) -> Result<(Self, T), Refusal> {
        let caller = request.extensions_mut().remove::<Self>().ok_or_else(Refusal::internal)?;
        Ok((caller, request.into_inner()))
    }

    /// Its name, which stands in the audit trail.
    ///
    /// # Errors
    /// A refusal where nobody is asked who calls, and the caller did not say: a name that stands for anybody helps nobody.
    pub(in crate::service) fn name(&self) -> Result<&Actor, Refusal> {
        match self.standing {
            Standing::Nameless => Err(Refusal::invalid_field(
                ACTOR,
                "is required: who acts stands in the audit trail for ever (`-H 'selfsame-actor: NAME'` for grpcurl, `--as NAME` for the commands)",
            )),
            Standing::Anybody | Standing::Identity(_) => Ok(&self.name),
        }
    }

    /// As whom it stands in the audit trail where nothing is done that needs a name: `local` stands for nobody.
    pub(in crate::service) const fn who(&self) -> &Actor {
        &self.name
    }

    /// Says to the replica at an address for whom one of its methods is called; absent where there are no replicas.
    pub(in crate::service) fn sealed(&self, method: &str, to: &str) -> Option<HeaderValue> {
        let said = match self.standing {
            Standing::Nameless => Said::Nameless,
            Standing::Anybody => Said::Named(self.name.clone()),
            Standing::Identity(_) => Said::Identity(self.name.clone()),
        };
        self.door.sealed(&said, method, to)
    }

    /// Whether callers are asked who they are.
    pub(in crate::service) const fn is_known(&self) -> bool {
        matches!(self.standing, Standing::Identity(_))
    }

    /// What it is: where nobody is asked, a name with all roles everywhere.
    pub(in crate::service) fn settings(&self) -> IdentitySettings {
        match &self.standing {
            Standing::Identity(identity) => identity.settings.clone(),
            Standing::Anybody | Standing::Nameless => IdentitySettings {
                name: self.name.clone(),
                roles: BTreeSet::from(Role::ALL),
                scope: Scope::All,
                certificates: BTreeSet::new(),
            },
        }
    }

    /// Whether this call may be made in a programme: the caller has one of the roles there that it takes, and the programme is registered and, when
    /// it is changed, in use.
    ///
    /// # Errors
    /// `NOT_PERMITTED`, the same for programmes that there are and others; `PROGRAM_NOT_KNOWN` and `PROGRAM_ARCHIVED` for those who may know.
    pub(in crate::service) async fn may(&self, program: &ProgramId) -> Result<Arc<RegisteredProgram>, Refusal> {
        self.has_role(Some(program))?;
        let mut known = self.door.known();
        if known.directory.program(program).is_none() {
            self.door.look_again().await;
            known = self.door.known();
        }
        let Some(found) = known.directory.program(program) else {
            return Err(Refusal::program_not_known(program, self.meant_by(program).as_ref()));
        };
        if found.archived_at.is_some() && self.rule.place == Place::Writes {
            return Err(Refusal::program_archived(program));
        }
        Ok(Arc::clone(found))
    }

    /// Whether the caller may call another method in a programme: what it settles is that one's.
    ///
    /// # Errors
    /// `NOT_PERMITTED`.
    pub(in crate::service) fn may_as(&self, method: &str, program: &ProgramId) -> Result<(), Refusal> {
        let rule = rule_of(method).ok_or_else(Refusal::internal)?;
        Self { rule, ..self.clone() }.has_role(Some(program))
    }

    /// Whether this call may be made on the ledger as a whole.
    ///
    /// # Errors
    /// `NOT_PERMITTED`.
    pub(in crate::service) fn may_everywhere(&self) -> Result<(), Refusal> {
        self.has_role(None)
    }

    /// Whether a programme is one of the caller's.
    pub(in crate::service) fn knows_of(&self, program: &ProgramId) -> bool {
        match &self.standing {
            Standing::Anybody | Standing::Nameless => true,
            Standing::Identity(identity) => identity.settings.scope.includes(program),
        }
    }

    /// Whether it has one of the roles that the call takes: in a programme, or in all.
    fn has_role(&self, program: Option<&ProgramId>) -> Result<(), Refusal> {
        let Standing::Identity(identity) = &self.standing else { return Ok(()) };
        let IdentitySettings { roles, scope, .. } = &identity.settings;
        let own = program.map_or(*scope == Scope::All, |program| scope.includes(program));
        if own && self.rule.roles.iter().any(|role| roles.contains(role)) {
            return Ok(());
        }
        Err(Refusal::not_permitted(&self.name, self.rule.method, program, self.rule.roles))
    }

    /// The programme of the caller's that may have been meant by a name that is none.
    fn meant_by(&self, wrong: &ProgramId) -> Option<ProgramId> {
        let known = self.door.known();
        let own = known.directory.programs().map(|program| &program.settings.id).filter(|program| self.knows_of(program));
        closest(wrong.as_str(), own.map(ProgramId::as_str)).and_then(|meant| ProgramId::new(meant).ok())
    }
}
