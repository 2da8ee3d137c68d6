//! The handlers of what people may ask for: erasures.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::Caller;
use super::errors::Refusal;
use super::screening::was_replayed;
use super::shared::Shared;
use crate::book::command::{Command, Done, Erasure, Executed};
use crate::wire::cursor::cursor_text;
use crate::wire::{privacy as requests, v1};

/// The handlers of `PrivacyService`.
pub(super) struct PrivacyHandlers(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl v1::privacy_service_server::PrivacyService for PrivacyHandlers {
    async fn erase_account(
        &self,
        request: Request<v1::EraseAccountRequest>,
    ) -> Result<Response<v1::EraseAccountResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::erase(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let executed = self.0.ledger.execute(Command::Erase(command)).await.map_err(|error| self.0.refusal(error))?;
        let Executed { cursor, freshness, done } = executed;
        // One that was asked for so long ago that its record is gone was done by then.
        let erasure = if let Done::Erased(erasure) = done { erasure } else { Erasure::Finished };
        self.0.erasure_asked.notify_one();
        let state = requests::state_of(erasure).into();
        Ok(Response::new(v1::EraseAccountResponse { state, cursor: cursor_text(cursor), replayed: was_replayed(freshness) }))
    }
}
