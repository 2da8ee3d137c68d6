//! The handlers of what waits for a second identity, and the way by which what may need one goes to the ledger.
//!
//! Thin: the book says whether an act needs another identity, and who may not be it. They must never do an act themselves. The server registers them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::Caller;
use super::errors::Refusal;
use super::pages::{Sent, page as page_of};
use super::screening::was_replayed;
use super::shared::Shared;
use crate::book::acts::{Act, PendingAct};
use crate::book::command::{Command, Executed, ProposeCommand, SettleCommand};
use crate::book::directory::RegisteredProgram;
use crate::book::query::PageRequest;
use crate::ports::ledger::Ledger;
use crate::vocabulary::ids::{ActId, ProgramId};
use crate::wire::cursor::cursor_text;
use crate::wire::{confirmation as requests, v1};

/// The handlers of `ConfirmationService`.
pub(super) struct ConfirmationHandlers(pub(super) Arc<Shared>);

/// A command as the programme wants it: by itself, or kept until a second identity confirms what it does.
pub(super) fn asked(program: &RegisteredProgram, caller: &Caller, command: Command) -> Result<Command, Refusal> {
    let Some(confirmation) = program.settings.confirmation.clone() else { return Ok(command) };
    let (command, proposer) = (Box::new(command), caller.name()?.clone());
    Ok(Command::Propose(Box::new(ProposeCommand { command, proposer, confirmation })))
}

/// What waits for a second identity, in the answer to what was not done.
pub(super) fn waiting(executed: &Executed) -> Option<v1::PendingAct> {
    executed.done.proposed().map(requests::message_of)
}

/// The methods by which an act is called: who may call one of them may confirm it.
const fn method_of(act: &Act) -> &'static str {
    match act {
        Act::Accept { .. } => "ReviewService/ResolveCase",
        Act::LiftHold(_) => "PayoutService/LiftHold",
        Act::ChangeList(..) => "ListService/RemoveListEntry",
        Act::RecordOutcome(..) => "ScreeningService/RecordOutcome",
        Act::RevokeOutcome { .. } => "ScreeningService/RevokeOutcome",
        Act::Activate { .. } => "ModelService/ActivateModel",
        Act::ChangeTerms(_) => "ProgramService/SetProgramTerms",
    }
}

impl ConfirmationHandlers {
    /// The act, if it waits.
    async fn find(&self, caller: &Caller, program: &ProgramId, id: &ActId) -> Result<Option<PendingAct>, Refusal> {
        let now = self.0.now();
        let mut page = PageRequest { size: 500, ..PageRequest::default() };
        loop {
            let program = program.clone();
            let asked = page.clone();
            let read = move |ledger: Arc<dyn Ledger>, _| async move { ledger.pending_acts(&program, &asked, now).await };
            let found = self.0.read(&caller.share, read).await?;
            if let Some(pending) = found.entries.into_iter().find(|pending| pending.id == *id) {
                return Ok(Some(pending));
            }
            match found.next {
                Some(next) => page.after = Some(next),
                None => return Ok(None),
            }
        }
    }

    /// Settles an act for whom the method of the act itself is open.
    async fn settle(&self, caller: &Caller, command: SettleCommand) -> Result<Executed, Refusal> {
        caller.may(&command.program_id).await?;
        // One that does not wait any more may have been settled by this very call.
        if let Some(pending) = self.find(caller, &command.program_id, &command.act_id).await? {
            caller.may_as(method_of(&pending.act), &command.program_id)?;
        }
        let executed = self.0.ledger.execute(Command::SettleAct(command)).await;
        executed.map_err(|error| self.0.refusal(error))
    }
}

#[tonic::async_trait]
impl v1::confirmation_service_server::ConfirmationService for ConfirmationHandlers {
    async fn list_pending_acts(
        &self,
        request: Request<v1::ListPendingActsRequest>,
    ) -> Result<Response<v1::ListPendingActsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let requests::ActListing { program_id, page, seal } =
            requests::listing(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let now = self.0.now();
        let read = move |ledger: Arc<dyn Ledger>, page: PageRequest| {
            let program_id = program_id.clone();
            async move { ledger.pending_acts(&program_id, &page, now).await }
        };
        let Sent { entries, next, total: _ } =
            page_of(&self.0, &caller.share, page, read, |pending| Some(requests::message_of(pending))).await?;
        Ok(Response::new(v1::ListPendingActsResponse { acts: entries, next_page_token: seal.seal(next.as_ref()) }))
    }

    async fn confirm_act(&self, request: Request<v1::ConfirmActRequest>) -> Result<Response<v1::ConfirmActResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::confirm(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        let Executed { cursor, freshness, done: _ } = self.settle(&caller, command).await?;
        Ok(Response::new(v1::ConfirmActResponse { replayed: was_replayed(freshness), cursor: cursor_text(cursor) }))
    }

    async fn refuse_act(&self, request: Request<v1::RefuseActRequest>) -> Result<Response<v1::RefuseActResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::refuse(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        let executed = self.settle(&caller, command).await?;
        Ok(Response::new(v1::RefuseActResponse { replayed: was_replayed(executed.freshness) }))
    }

    async fn withdraw_act(&self, request: Request<v1::WithdrawActRequest>) -> Result<Response<v1::WithdrawActResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::withdraw(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        let executed = self.settle(&caller, command).await?;
        Ok(Response::new(v1::WithdrawActResponse { replayed: was_replayed(executed.freshness) }))
    }
}
