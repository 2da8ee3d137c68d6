//! The list handlers: blocked and trusted accounts and values.
//!
//! They must never change a decision that was made. The server registers them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::Caller;
use super::errors::Refusal;
use super::shared::Shared;
use crate::book::command::ListCommand;
use crate::book::records::Freshness;
use crate::wire::cursor::cursor_text;
use crate::wire::{list as requests, v1};

/// The handlers of `ListService`.
pub(super) struct ListHandlers(pub(super) Arc<Shared>);

impl ListHandlers {
    async fn change(&self, command: ListCommand) -> Result<(String, bool), Refusal> {
        let (cursor, freshness) = self.0.ledger.change_list(command).await.map_err(|error| self.0.refusal(error))?;
        Ok((cursor_text(cursor), freshness == Freshness::Replayed))
    }
}

#[tonic::async_trait]
impl v1::list_service_server::ListService for ListHandlers {
    async fn put_list_entry(
        &self,
        request: Request<v1::PutListEntryRequest>,
    ) -> Result<Response<v1::PutListEntryResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::put(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let (cursor, replayed) = self.change(command).await?;
        Ok(Response::new(v1::PutListEntryResponse { replayed, cursor }))
    }

    async fn remove_list_entry(
        &self,
        request: Request<v1::RemoveListEntryRequest>,
    ) -> Result<Response<v1::RemoveListEntryResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::remove(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let (cursor, replayed) = self.change(command).await?;
        Ok(Response::new(v1::RemoveListEntryResponse { replayed, cursor }))
    }

    async fn list_list_entries(
        &self,
        request: Request<v1::ListListEntriesRequest>,
    ) -> Result<Response<v1::ListListEntriesResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let listing = requests::listing(message).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
        let fingerprint = listing.fingerprint;
        let page = self
            .0
            .read(move |ledger| async move { ledger.list_entries(&listing.program_id, listing.list, &listing.page).await })
            .await?;
        Ok(Response::new(v1::ListListEntriesResponse {
            entries: page.entries.iter().map(requests::entry_message).collect(),
            next_page_token: fingerprint.seal(page.next.as_ref()),
        }))
    }
}
