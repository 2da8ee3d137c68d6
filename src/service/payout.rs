//! The payout handlers: the gate, the feed, payments and holds.
//!
//! The gate fails closed: an answer is made only from what the ledger read for this very call, and any error refuses the whole call, so
//! that no reward of it may be paid. The server registers them.

use std::sync::Arc;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::access::Caller;
use super::confirmation::{asked, waiting};
use super::counts::{self, Asked};
use super::errors::Refusal;
use super::feed;
use super::pages::{Sent, page as page_of};
use super::screening::was_replayed;
use super::shared::{Shared, count_skew};
use crate::book::command::{Command, Executed};
use crate::book::query::PageRequest;
use crate::book::records::Freshness;
use crate::ports::labels;
use crate::ports::ledger::Ledger;
use crate::screening::gate::{self, Asker, InOneCall};
use crate::vocabulary::ids::ProgramId;
use crate::wire::cursor::cursor_text;
use crate::wire::fields::time_message;
use crate::wire::payout::PayoutQuestions;
use crate::wire::{feed as feed_requests, hold as holds, payout as requests, v1};

/// The handlers of `PayoutService`.
pub(super) struct PayoutHandlers(pub(super) Arc<Shared>);

impl PayoutHandlers {
    async fn execute(&self, command: Command) -> Result<Executed, Refusal> {
        self.0.ledger.execute(command).await.map_err(|error| self.0.refusal(error))
    }
}

/// Asks the gate.
async fn answers(shared: &Shared, questions: &PayoutQuestions) -> Result<v1::CheckPayoutsResponse, Refusal> {
    let now = shared.now();
    let PayoutQuestions { program_id, payouts } = questions;
    let standings = shared.look_up(shared.ledger.standings(program_id, payouts)).await?;
    let terms = shared.look_up(shared.ledger.terms(program_id)).await?;
    let payout = shared.policies.payout_of(program_id, &terms);
    let mut call = InOneCall::default();
    let answers = payouts.iter().zip(&standings).map(|((reward, conversion), standing)| {
        let check = || gate::check(standing.as_ref(), reward, Asker::Anybody, &payout, now);
        let answer = call.answer(reward, check);
        counts::gate_answered(program_id, Asked::Check, &answer);
        requests::answer_message(reward, conversion, &answer)
    });
    Ok(v1::CheckPayoutsResponse { answers: answers.collect(), checked_at: Some(time_message(now)) })
}

/// The counter of payments that the gate did not release.
pub(super) const AGAINST_GATE: &str = "selfsame_paid_against_gate_total";

/// Money that left against the gate is an operator's business.
fn count_against_gate(program: &ProgramId) {
    metrics::counter!(AGAINST_GATE, "program" => labels::program(program)).increment(1);
    tracing::warn!(%program, "a reward was paid against the gate; the feed tells which");
}

#[tonic::async_trait]
impl v1::payout_service_server::PayoutService for PayoutHandlers {
    async fn check_payouts(
        &self,
        request: Request<v1::CheckPayoutsRequest>,
    ) -> Result<Response<v1::CheckPayoutsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let questions = requests::questions(message).map_err(Refusal::from)?;
        caller.may(&questions.program_id).await?;
        Ok(Response::new(answers(&self.0, &questions).await?))
    }

    type WatchDecisionsStream = BoxStream<'static, Result<v1::WatchDecisionsResponse, Status>>;

    async fn watch_decisions(
        &self,
        request: Request<v1::WatchDecisionsRequest>,
    ) -> Result<Response<Self::WatchDecisionsStream>, Status> {
        let (caller, message) = Caller::of(request)?;
        let watch = feed_requests::watch(message).map_err(Refusal::from)?;
        caller.may(&watch.program_id).await?;
        let place = self.0.places.take(&caller)?;
        let feed = feed::watch(Arc::clone(&self.0), Arc::clone(&caller.share), watch).await?;
        Ok(Response::new(counts::counted(&self.0, "PayoutService/WatchDecisions", place, feed, counts::fine)))
    }

    async fn reserve_payouts(
        &self,
        request: Request<v1::ReservePayoutsRequest>,
    ) -> Result<Response<v1::ReservePayoutsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::reserve(message, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let reservation_id = command.request.id.to_string();
        let (program, wanted) = (command.program_id.clone(), command.payouts.clone());
        let Executed { cursor: _, freshness, done } = self.execute(Command::Reserve(command).by(caller.who())).await?;
        let answers = done.reserved().ok_or_else(|| Refusal::not_known("reservation", &reservation_id))?;
        if freshness == Freshness::New {
            counts::reserve_answered(&program, &wanted, &answers);
        }
        let answers = answers.iter().map(requests::reserve_message).collect();
        Ok(Response::new(v1::ReservePayoutsResponse { reservation_id, answers, replayed: was_replayed(freshness) }))
    }

    async fn renew_reservation(
        &self,
        request: Request<v1::RenewReservationRequest>,
    ) -> Result<Response<v1::RenewReservationResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::renew(message, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let Executed { freshness, .. } = self.execute(Command::ChangeReservation(command).by(caller.who())).await?;
        Ok(Response::new(v1::RenewReservationResponse { replayed: was_replayed(freshness) }))
    }

    async fn cancel_reservation(
        &self,
        request: Request<v1::CancelReservationRequest>,
    ) -> Result<Response<v1::CancelReservationResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::cancel(message, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let Executed { freshness, .. } = self.execute(Command::ChangeReservation(command).by(caller.who())).await?;
        Ok(Response::new(v1::CancelReservationResponse { replayed: was_replayed(freshness) }))
    }

    async fn mark_paid(&self, request: Request<v1::MarkPaidRequest>) -> Result<Response<v1::MarkPaidResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let (command, warnings) = requests::paid(message, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        count_skew(&warnings);
        let program = command.program_id.clone();
        let Executed { cursor, freshness, done } = self.execute(Command::MarkPaid(command).by(caller.who())).await?;
        let answer = done.paid();
        if let (Freshness::New, Some(answer)) = (freshness, &answer) {
            counts::paid(&program, answer);
            if answer.against_gate.is_some() {
                count_against_gate(&program);
            }
        }
        Ok(Response::new(requests::paid_message(answer.as_ref(), cursor, was_replayed(freshness), warnings)))
    }

    async fn mark_failed(&self, request: Request<v1::MarkFailedRequest>) -> Result<Response<v1::MarkFailedResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let (command, warnings) = requests::failed(message, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        count_skew(&warnings);
        let Executed { cursor, freshness, done: _ } = self.execute(Command::MarkFailed(command).by(caller.who())).await?;
        Ok(Response::new(v1::MarkFailedResponse { replayed: was_replayed(freshness), cursor: cursor_text(cursor), warnings }))
    }

    async fn add_rewards(&self, request: Request<v1::AddRewardsRequest>) -> Result<Response<v1::AddRewardsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::add_rewards(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let Executed { cursor, freshness, done: _ } = self.execute(Command::ChangeRewards(command)).await?;
        Ok(Response::new(v1::AddRewardsResponse { replayed: was_replayed(freshness), cursor: cursor_text(cursor) }))
    }

    async fn update_rewards(
        &self,
        request: Request<v1::UpdateRewardsRequest>,
    ) -> Result<Response<v1::UpdateRewardsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = requests::update_rewards(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let Executed { cursor, freshness, done: _ } = self.execute(Command::ChangeRewards(command)).await?;
        Ok(Response::new(v1::UpdateRewardsResponse { replayed: was_replayed(freshness), cursor: cursor_text(cursor) }))
    }

    async fn place_hold(&self, request: Request<v1::PlaceHoldRequest>) -> Result<Response<v1::PlaceHoldResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = holds::place(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let Executed { cursor, freshness, done } = self.execute(Command::ChangeHold(command)).await?;
        let hold_id = done.held().map(|changed| changed.hold.hold_id.to_string()).unwrap_or_default();
        Ok(Response::new(v1::PlaceHoldResponse { replayed: was_replayed(freshness), cursor: cursor_text(cursor), hold_id }))
    }

    async fn lift_hold(&self, request: Request<v1::LiftHoldRequest>) -> Result<Response<v1::LiftHoldResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = holds::lift(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        let program = caller.may(&command.program_id).await?;
        let executed = self.execute(asked(&program, &caller, Command::ChangeHold(command))?).await?;
        let pending_act = waiting(&executed);
        let Executed { cursor, freshness, done } = executed;
        let (replayed, cursor) = (was_replayed(freshness), cursor_text(cursor));
        let holds_left = done.held().map(|changed| changed.holds_left).unwrap_or_default();
        Ok(Response::new(v1::LiftHoldResponse { replayed, cursor, holds_left, pending_act }))
    }

    async fn list_holds(&self, request: Request<v1::ListHoldsRequest>) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let listing = holds::listing(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
        let holds::Listing { program_id, page, seal } = listing;
        let read = move |ledger: Arc<dyn Ledger>, page: PageRequest| {
            let program_id = program_id.clone();
            async move { ledger.holds(&program_id, &page).await }
        };
        let Sent { entries, next, total: _ } =
            page_of(&self.0, &caller.share, page, read, |hold| Some(holds::message_of(hold))).await?;
        Ok(Response::new(v1::ListHoldsResponse { holds: entries, next_page_token: seal.seal(next.as_ref()) }))
    }
}
