//! The list handlers: blocked and trusted accounts and values.
//!
//! They must never change a decision that was made. The server registers them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::Caller;
use super::confirmation::{asked, waiting};
use super::errors::Refusal;
use super::pages::{Sent, page as page_of};
use super::shared::Shared;
use crate::book::command::{Command, ListCommand};
use crate::book::query::PageRequest;
use crate::book::records::Freshness;
use crate::ports::ledger::Ledger;
use crate::wire::cursor::cursor_text;
use crate::wire::{list as requests, v1};

/// The handlers of `ListService`.
pub(super) struct ListHandlers(pub(super) Arc<Shared>);

impl ListHandlers {
    async fn change(&self, caller: &Caller, command: ListCommand) -> Result<(String, bool, Option<v1::PendingAct>), Refusal> {
        let program = caller.may(&command.program_id).await?;
        let command = asked(&program, caller, Command::ChangeList(command))?;
        let executed = self.0.ledger.execute(command).await.map_err(|error| self.0.refusal(error))?;
        let pending_act = waiting(&executed);
        Ok((cursor_text(executed.cursor), executed.freshness == Freshness::Replayed, pending_act))
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
        let (cursor, replayed, pending_act) = self.change(&caller, command).await?;
        Ok(Response::new(v1::PutListEntryResponse { replayed, cursor, pending_act }))
    }

    async fn remove_list_entry(
        &self,
        request: Request<v1::RemoveListEntryRequest>,
    ) -> Result<Response<v1::RemoveListEntryResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::remove(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        let (cursor, replayed, pending_act) = self.change(&caller, command).await?;
        Ok(Response::new(v1::RemoveListEntryResponse { replayed, cursor, pending_act }))
    }

    async fn list_list_entries(
        &self,
        request: Request<v1::ListListEntriesRequest>,
    ) -> Result<Response<v1::ListListEntriesResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let listing = requests::listing(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
        let requests::EntryListing { program_id, list, page, seal } = listing;
        let read = move |ledger: Arc<dyn Ledger>, page: PageRequest| {
            let program_id = program_id.clone();
            async move { ledger.list_entries(&program_id, list, &page).await }
        };
        let Sent { entries, next, total: _ } =
            page_of(&self.0, &caller.share, page, read, |entry| Some(requests::entry_message(entry))).await?;
        Ok(Response::new(v1::ListListEntriesResponse { entries, next_page_token: seal.seal(next.as_ref()) }))
    }
}
