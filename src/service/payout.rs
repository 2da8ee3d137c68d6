//! The payout handlers: the gate, the feed, payments and holds.
//!
//! The gate fails closed: an answer is made only from what the ledger read for this very call, and any error refuses the whole call, so
//! that no reward of it may be paid. The server registers them.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status};

use super::errors::Refusal;
use super::feed;
use super::shared::Shared;
use crate::book::command::HoldCommand;
use crate::book::records::{Cursor, Freshness};
use crate::screening::gate::{self, Standing};
use crate::vocabulary::ids::{ConversionId, RewardId};
use crate::wire::fields::time_message;
use crate::wire::payout::PayoutQuestions;
use crate::wire::{payout as requests, v1};

/// The handlers of `PayoutService`.
pub(super) struct PayoutHandlers(pub(super) Arc<Shared>);

impl PayoutHandlers {
    async fn change_hold(&self, command: HoldCommand) -> Result<(u64, bool), Refusal> {
        let (Cursor(cursor), freshness) = self.0.ledger.change_hold(command).await.map_err(|error| self.0.refusal(error))?;
        Ok((cursor, freshness == Freshness::Replayed))
    }
}

/// Asks the gate.
async fn answers(shared: &Shared, questions: &PayoutQuestions) -> Result<v1::CheckPayoutsResponse, Refusal> {
    let now = shared.now();
    let policy = shared.policies.policy_of(&questions.program_id);
    let PayoutQuestions { program_id, payouts } = questions;
    let standings = shared.look_up(shared.ledger.standings(program_id, payouts)).await?;
    let answer = |((reward, conversion), standing): (&(RewardId, ConversionId), &Option<Standing>)| {
        let standing = standing.as_ref();
        let campaign = standing.and_then(|standing| standing.campaign_id.as_ref());
        let answer = gate::check(standing, reward, policy.payout().delay_of(campaign), now);
        requests::answer_message(reward, conversion, &answer)
    };
    let answers: Vec<v1::GateAnswer> = payouts.iter().zip(&standings).map(answer).collect();
    Ok(v1::CheckPayoutsResponse { answers, checked_at: Some(time_message(now)) })
}

#[tonic::async_trait]
impl v1::payout_service_server::PayoutService for PayoutHandlers {
    async fn check_payouts(
        &self,
        request: Request<v1::CheckPayoutsRequest>,
    ) -> Result<Response<v1::CheckPayoutsResponse>, Status> {
        let questions = requests::questions(request.into_inner()).map_err(Refusal::from)?;
        Ok(Response::new(answers(&self.0, &questions).await?))
    }

    type WatchDecisionsStream = BoxStream<'static, Result<v1::WatchDecisionsResponse, Status>>;

    async fn watch_decisions(
        &self,
        request: Request<v1::WatchDecisionsRequest>,
    ) -> Result<Response<Self::WatchDecisionsStream>, Status> {
        let watch = requests::watch(request.into_inner()).map_err(Refusal::from)?;
        let place = self.0.places.take()?;
        let feed = feed::watch(Arc::clone(&self.0), watch).await?;
        let held = feed.inspect(move |_| {
            // The place is given back when the stream ends.
            let _place = &place;
        });
        Ok(Response::new(held.boxed()))
    }

    async fn mark_paid(&self, request: Request<v1::MarkPaidRequest>) -> Result<Response<v1::MarkPaidResponse>, Status> {
        let command = requests::paid(request.into_inner(), self.0.now()).map_err(Refusal::from)?;
        let answer = self.0.ledger.mark_paid(command).await;
        let (Cursor(cursor), freshness) = answer.map_err(|error| self.0.refusal(error))?;
        Ok(Response::new(v1::MarkPaidResponse { replayed: freshness == Freshness::Replayed, cursor }))
    }

    async fn place_hold(&self, request: Request<v1::PlaceHoldRequest>) -> Result<Response<v1::PlaceHoldResponse>, Status> {
        let command = requests::place_hold(request.into_inner(), self.0.now()).map_err(Refusal::from)?;
        let (cursor, replayed) = self.change_hold(command).await?;
        Ok(Response::new(v1::PlaceHoldResponse { replayed, cursor }))
    }

    async fn lift_hold(&self, request: Request<v1::LiftHoldRequest>) -> Result<Response<v1::LiftHoldResponse>, Status> {
        let command = requests::lift_hold(request.into_inner(), self.0.now()).map_err(Refusal::from)?;
        let (cursor, replayed) = self.change_hold(command).await?;
        Ok(Response::new(v1::LiftHoldResponse { replayed, cursor }))
    }

    async fn list_holds(&self, request: Request<v1::ListHoldsRequest>) -> Result<Response<v1::ListHoldsResponse>, Status> {
        let listing = requests::hold_listing(request.into_inner()).map_err(Refusal::from)?;
        let fingerprint = listing.fingerprint;
        let page = self.0.read(move |ledger| async move { ledger.holds(&listing.program_id, &listing.page).await }).await?;
        Ok(Response::new(v1::ListHoldsResponse {
            holds: page.entries.iter().map(requests::hold_message).collect(),
            next_page_token: fingerprint.seal(page.next.as_ref()),
        }))
    }
}
