//! The handlers of the directory: which programmes there are, and who may call.
//!
//! Thin: the directory's book judges every step, the ledger runs it. They must never show what a token is known by. The server registers them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::RngCore as _;
use tonic::{Request, Response, Status};

use super::access::{AccessToken, CLOCK_SKEW, Caller, digest_of};
use super::errors::Refusal;
use super::pages::{Sent, part};
use super::shared::Shared;
use super::{rekeying, terms};
use crate::book::command::{Command, DirectoryCommand};
use crate::book::directory::{Archival, Directory, DirectoryStep, Token};
use crate::vocabulary::ids::{InvalidId, ProgramId, TokenId};
use crate::wire::fields::time_message;
use crate::wire::{directory as requests, v1};

/// How every token begins: secret scanners know it by this.
pub const TOKEN_PREFIX: &str = "selfsame_";

/// The handlers of `ProgramService`.
pub(super) struct ProgramHandlers(pub(super) Arc<Shared>);

/// The handlers of `AccessService`.
pub(super) struct AccessHandlers(pub(super) Arc<Shared>);

/// Changes the directory, and gives it as it is then.
async fn change(shared: &Shared, caller: &Caller, step: DirectoryStep) -> Result<Arc<Directory>, Refusal> {
    let (actor, at) = (caller.name()?.clone(), shared.now());
    let command = DirectoryCommand { program_id: ProgramId::directory(), step, actor, at };
    let changed = shared.ledger.execute(Command::ChangeDirectory(Box::new(command))).await;
    changed.map_err(|error| shared.refusal(error))?;
    shared.door.look().await;
    Ok(Arc::clone(&shared.door.known().directory))
}

fn program_of(directory: &Directory, id: &ProgramId) -> Result<Option<v1::Program>, Refusal> {
    let program = directory.program(id).ok_or_else(|| Refusal::program_not_known(id, None))?;
    Ok(Some(requests::program_message(program)))
}

impl ProgramHandlers {
    async fn archive(&self, caller: &Caller, program_id: &str, archival: Archival) -> Result<Option<v1::Program>, Refusal> {
        let id = requests::program_wanted(program_id)?;
        caller.may(&id).await?;
        program_of(&*change(&self.0, caller, DirectoryStep::Archive(id.clone(), archival)).await?, &id)
    }
}

#[tonic::async_trait]
impl v1::program_service_server::ProgramService for ProgramHandlers {
    async fn create_program(
        &self,
        request: Request<v1::CreateProgramRequest>,
    ) -> Result<Response<v1::CreateProgramResponse>, Status> {
        let (caller, v1::CreateProgramRequest { program }) = Caller::of(request)?;
        let settings = requests::program(program).map_err(Refusal::from)?;
        caller.may_everywhere()?;
        let id = settings.id.clone();
        let directory = change(&self.0, &caller, DirectoryStep::CreateProgram(settings)).await?;
        Ok(Response::new(v1::CreateProgramResponse { program: program_of(&directory, &id)? }))
    }

    async fn update_program(
        &self,
        request: Request<v1::UpdateProgramRequest>,
    ) -> Result<Response<v1::UpdateProgramResponse>, Status> {
        let (caller, v1::UpdateProgramRequest { program }) = Caller::of(request)?;
        let settings = requests::program(program).map_err(Refusal::from)?;
        caller.may(&settings.id).await?;
        let id = settings.id.clone();
        let directory = change(&self.0, &caller, DirectoryStep::UpdateProgram(settings)).await?;
        Ok(Response::new(v1::UpdateProgramResponse { program: program_of(&directory, &id)? }))
    }

    async fn archive_program(
        &self,
        request: Request<v1::ArchiveProgramRequest>,
    ) -> Result<Response<v1::ArchiveProgramResponse>, Status> {
        let (caller, v1::ArchiveProgramRequest { program_id }) = Caller::of(request)?;
        let program = self.archive(&caller, &program_id, Archival::Archived).await?;
        Ok(Response::new(v1::ArchiveProgramResponse { program }))
    }

    async fn unarchive_program(
        &self,
        request: Request<v1::UnarchiveProgramRequest>,
    ) -> Result<Response<v1::UnarchiveProgramResponse>, Status> {
        let (caller, v1::UnarchiveProgramRequest { program_id }) = Caller::of(request)?;
        let program = self.archive(&caller, &program_id, Archival::InUse).await?;
        Ok(Response::new(v1::UnarchiveProgramResponse { program }))
    }

    async fn get_program(&self, request: Request<v1::GetProgramRequest>) -> Result<Response<v1::GetProgramResponse>, Status> {
        let (caller, v1::GetProgramRequest { program_id }) = Caller::of(request)?;
        let id = requests::program_wanted(&program_id).map_err(Refusal::from)?;
        let program = caller.may(&id).await?;
        Ok(Response::new(v1::GetProgramResponse { program: Some(requests::program_message(&program)) }))
    }

    async fn list_programs(
        &self,
        request: Request<v1::ListProgramsRequest>,
    ) -> Result<Response<v1::ListProgramsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        self.0.door.look().await;
        let (page, seal) = requests::program_listing(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        let known = self.0.door.known();
        let own = known.directory.programs().filter(|program| caller.knows_of(&program.settings.id));
        let Sent { entries, next, total: _ } = part(own.map(requests::program_message), |program| &program.program_id, &page);
        Ok(Response::new(v1::ListProgramsResponse { programs: entries, next_page_token: seal.seal(next.as_ref()) }))
    }

    async fn set_program_terms(
        &self,
        request: Request<v1::SetProgramTermsRequest>,
    ) -> Result<Response<v1::SetProgramTermsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        Ok(Response::new(terms::set(&self.0, &caller, message).await?))
    }

    async fn get_program_terms(
        &self,
        request: Request<v1::GetProgramTermsRequest>,
    ) -> Result<Response<v1::GetProgramTermsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        Ok(Response::new(terms::get(&self.0, &caller, message).await?))
    }

    async fn rekey_values(&self, request: Request<v1::RekeyValuesRequest>) -> Result<Response<v1::RekeyValuesResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        Ok(Response::new(rekeying::rekey(&self.0, &caller, message).await?))
    }

    async fn get_key_use(&self, request: Request<v1::GetKeyUseRequest>) -> Result<Response<v1::GetKeyUseResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        Ok(Response::new(rekeying::key_use(&self.0, &caller, message).await?))
    }
}

#[tonic::async_trait]
impl v1::access_service_server::AccessService for AccessHandlers {
    async fn put_identity(&self, request: Request<v1::PutIdentityRequest>) -> Result<Response<v1::PutIdentityResponse>, Status> {
        let (caller, v1::PutIdentityRequest { identity }) = Caller::of(request)?;
        let settings = requests::identity(identity).map_err(Refusal::from)?;
        caller.may_everywhere()?;
        let name = settings.name.clone();
        let directory = change(&self.0, &caller, DirectoryStep::PutIdentity(settings)).await?;
        Ok(Response::new(v1::PutIdentityResponse { identity: directory.identity(&name).map(requests::identity_message) }))
    }

    async fn remove_identity(
        &self,
        request: Request<v1::RemoveIdentityRequest>,
    ) -> Result<Response<v1::RemoveIdentityResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let name = requests::name_wanted(message).map_err(Refusal::from)?;
        caller.may_everywhere()?;
        change(&self.0, &caller, DirectoryStep::RemoveIdentity(name)).await?;
        Ok(Response::new(v1::RemoveIdentityResponse {}))
    }

    async fn list_identities(
        &self,
        request: Request<v1::ListIdentitiesRequest>,
    ) -> Result<Response<v1::ListIdentitiesResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        caller.may_everywhere()?;
        self.0.door.look().await;
        let (page, seal) = requests::identity_listing(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        let known = self.0.door.known();
        let all = known.directory.identities().map(requests::identity_message);
        let Sent { entries, next, total: _ } = part(all, |identity| &identity.name, &page);
        Ok(Response::new(v1::ListIdentitiesResponse { identities: entries, next_page_token: seal.seal(next.as_ref()) }))
    }

    async fn issue_token(&self, request: Request<v1::IssueTokenRequest>) -> Result<Response<v1::IssueTokenResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let requests::TokenWanted { identity, note, expires_at } =
            requests::token_wanted(message, self.0.now()).map_err(Refusal::from)?;
        caller.may_everywhere()?;
        let secret = new_secret();
        let token = Token {
            id: new_id().map_err(|_| Refusal::internal())?,
            digest: digest_of(secret.as_bytes()),
            note,
            issued_at: self.0.now(),
            issued_by: caller.name()?.clone(),
            expires_at,
            revoked_at: None,
        };
        let message = requests::token_message(&token);
        change(&self.0, &caller, DirectoryStep::IssueToken(identity, token)).await?;
        Ok(Response::new(v1::IssueTokenResponse { secret, token: Some(message) }))
    }

    async fn revoke_token(&self, request: Request<v1::RevokeTokenRequest>) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let id = requests::revoked(message).map_err(Refusal::from)?;
        caller.may_everywhere()?;
        let directory = change(&self.0, &caller, DirectoryStep::RevokeToken(id.clone())).await?;
        let token = directory.token(&id).map(|(_, token)| requests::token_message(token));
        Ok(Response::new(v1::RevokeTokenResponse { token }))
    }

    async fn make_access_token(
        &self,
        request: Request<v1::MakeAccessTokenRequest>,
    ) -> Result<Response<v1::MakeAccessTokenResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let lifetime = requests::access_wanted(message).map_err(Refusal::from)?;
        let known = self.0.door.known();
        let found = caller.token.as_ref().and_then(|id| known.directory.token(id)).zip(known.directory.key());
        let Some(((_, token), key)) = found else { return Err(Refusal::needs_lasting_token().into()) };
        let made_at = self.0.now();
        let ends = made_at.plus(lifetime);
        let expires_at = token.expires_at.map_or(ends, |end| end.min(ends));
        let made = AccessToken { of: token.id.clone(), made_at, expires_at };
        Ok(Response::new(v1::MakeAccessTokenResponse {
            secret: made.sealed(key),
            expires_at: Some(time_message(expires_at)),
            clock_skew: Some(pbjson_types::Duration { seconds: CLOCK_SKEW.as_millis() / 1_000, nanos: 0 }),
            token_id: token.id.to_string(),
        }))
    }

    async fn who_am_i(&self, request: Request<v1::WhoAmIRequest>) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let (caller, v1::WhoAmIRequest {}) = Caller::of(request)?;
        let identity = Some(requests::settings_message(&caller.settings()));
        Ok(Response::new(v1::WhoAmIResponse { identity, asks_who_calls: caller.is_known() }))
    }
}

/// The text of a new token: the prefix, and 256 random bits.
#[must_use]
pub fn new_secret() -> String {
    let mut bits = [0; 32];
    rand::rngs::OsRng.fill_bytes(&mut bits);
    format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bits))
}

/// An id for a new token.
pub(super) fn new_id() -> Result<TokenId, InvalidId> {
    TokenId::new(&format!("tk-{:012x}", rand::random::<u64>() >> 16))
}
