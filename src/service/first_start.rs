//! What a ledger is given at its first start: a programme to try, and a token for the first administrator.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::access::digest_of;
use super::directory::new_id;
use crate::book::command::{Command, DirectoryCommand};
use crate::book::directory::{DirectoryStep, IdentitySettings, ProgramSettings, Scope, Stage, Token};
use crate::ports::clock::Clock;
use crate::ports::ledger::{Ledger, LedgerError};
use crate::vocabulary::ids::{Actor, InvalidId, ProgramId};
use crate::vocabulary::role::Role;

/// Why the directory could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// The ledger does not take it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A name is none.
    #[error("a name {0}")]
    Name(#[from] InvalidId),
}

/// Registers a programme to try things in, where none is registered.
///
/// # Errors
/// [`BeginError`].
pub async fn register_sandbox(ledger: &Arc<dyn Ledger>, clock: &dyn Clock, id: &str) -> Result<(), BeginError> {
    if ledger.directory().await?.programs().next().is_some() {
        return Ok(());
    }
    register(ledger, clock, id, Stage::Sandbox).await
}

/// Registers a programme of which nothing more is said.
///
/// # Errors
/// [`BeginError`], also when it is registered otherwise.
pub async fn register(ledger: &Arc<dyn Ledger>, clock: &dyn Clock, id: &str, stage: Stage) -> Result<(), BeginError> {
    let settings = ProgramSettings {
        id: ProgramId::new(id)?,
        title: String::new(),
        stage,
        currencies: BTreeSet::new(),
        confirmation: None,
        key_ids: BTreeSet::new(),
    };
    change(ledger, clock, DirectoryStep::CreateProgram(settings)).await
}

/// The name of the administrator that a ledger begins with.
pub const FIRST_ADMINISTRATOR: &str = "admin";

/// Lets the holder of a token administrate a ledger that knows no callers yet.
///
/// # Errors
/// [`BeginError`].
pub async fn admit_first_administrator(ledger: &Arc<dyn Ledger>, clock: &dyn Clock, token: &str) -> Result<(), BeginError> {
    for _ in 0..ATTEMPTS_MAX {
        match admit(ledger, clock, token).await {
            // Another replica that starts at the same moment does it.
            Err(BeginError::Ledger(LedgerError::HeldElsewhere { .. })) => tokio::time::sleep(ATTEMPTED_AFTER).await,
            done => return done,
        }
        if ledger.directory().await?.asks_who_calls() {
            return Ok(());
        }
    }
    admit(ledger, clock, token).await
}

/// How often, and with which pause, a replica waits for another to let the first administrator in: longer than a lease that nobody prolongs.
const ATTEMPTS_MAX: u32 = 40;
const ATTEMPTED_AFTER: Duration = Duration::from_millis(500);

async fn admit(ledger: &Arc<dyn Ledger>, clock: &dyn Clock, token: &str) -> Result<(), BeginError> {
    let name = Actor::new(FIRST_ADMINISTRATOR)?;
    let settings =
        IdentitySettings { name: name.clone(), roles: [Role::Admin].into(), scope: Scope::All, certificates: BTreeSet::new() };
    change(ledger, clock, DirectoryStep::PutIdentity(settings)).await?;
    let token = Token {
        id: new_id()?,
        digest: digest_of(token.as_bytes()),
        note: "the first administrator's, given at the start".to_owned(),
        issued_at: clock.now(),
        issued_by: Actor::new(ProgramId::DIRECTORY)?,
        expires_at: None,
        revoked_at: None,
    };
    change(ledger, clock, DirectoryStep::IssueToken(name, token)).await
}

async fn change(ledger: &Arc<dyn Ledger>, clock: &dyn Clock, step: DirectoryStep) -> Result<(), BeginError> {
    let (program_id, actor, at) = (ProgramId::directory(), Actor::new(ProgramId::DIRECTORY)?, clock.now());
    ledger.execute(Command::ChangeDirectory(Box::new(DirectoryCommand { program_id, step, actor, at }))).await?;
    Ok(())
}
