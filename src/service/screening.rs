//! The screening handlers: conversions, signals and outcomes in, decisions out.
//!
//! Thin: read the message, ask the ledger, write the answer. They must never answer a decision that the ledger did not commit. The server
//! registers them.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status, Streaming};

use super::errors::Refusal;
use super::forwarding::screening_error_of;
use super::limits::contained;
use super::shared::{Phase, Shared, count_skew};
use crate::book::command::{Command, Done, Executed, OutcomeCommand, ScreenCommand, SignalsCommand};
use crate::book::records::{DecisionRecord, Freshness, OutcomeAnswer, Screened};
use crate::ports::ledger::{Answerers, Ledger};
use crate::screening::decision::Verdict;
use crate::screening::warning::Warning;
use crate::vocabulary::ids::ProgramId;
use crate::wire::fields::Arrival;
use crate::wire::signals::SignalsRecord;
use crate::wire::violation::Warned;
use crate::wire::{content, conversion, decision, outcome, screening as requests, signals, v1};

/// The handlers of `ScreeningService`.
pub(super) struct ScreeningHandlers(pub(super) Arc<Shared>);

#[tonic::async_trait]
impl v1::screening_service_server::ScreeningService for ScreeningHandlers {
    async fn screen_conversion(
        &self,
        request: Request<v1::ScreenConversionRequest>,
    ) -> Result<Response<v1::ScreenConversionResponse>, Status> {
        let v1::ScreenConversionRequest { conversion } = request.into_inner();
        let (Screened { record, freshness }, warnings) = screen(&self.0, conversion).await?;
        let replayed = was_replayed(freshness);
        let warnings = all_warnings(&record, &warnings);
        Ok(Response::new(v1::ScreenConversionResponse { decision: Some(decision::message_of(&record)), replayed, warnings }))
    }

    type ScreenConversionsStream = BoxStream<'static, Result<v1::ScreenConversionsResponse, Status>>;

    async fn screen_conversions(
        &self,
        request: Request<Streaming<v1::ScreenConversionsRequest>>,
    ) -> Result<Response<Self::ScreenConversionsStream>, Status> {
        let place = self.0.places.take()?;
        let shared = Arc::clone(&self.0);
        let draining = Arc::clone(&self.0);
        let phase = self.0.phase.clone();
        let turn = Arc::new(Mutex::new(()));
        let in_flight = self.0.limits.stream_in_flight_max.max(1);
        let sent = request.into_inner().take_until(async move { draining.draining().await });
        let answers = sent.enumerate().map(move |(at, item)| {
            let (shared, turn) = (Arc::clone(&shared), Arc::clone(&turn));
            async move {
                match item {
                    Ok(v1::ScreenConversionsRequest { conversion }) => {
                        Ok(screen_item(&shared, &turn, at as u64, conversion).await)
                    }
                    // The bytes were no message: what follows them cannot be found.
                    Err(status) if status.details().is_empty() => Err(Refusal::of_transport(&status).into()),
                    Err(status) => Err(status),
                }
            }
        });
        // In order, because a later conversion's history holds the earlier ones.
        let answers = answers.buffered(in_flight);
        let last = futures::stream::iter([()]).filter_map(move |()| {
            // The place is given back when the stream ends.
            let _place = &place;
            let end = (*phase.borrow() == Phase::Draining).then(|| Err(Status::from(Refusal::shutting_down())));
            std::future::ready(end)
        });
        Ok(Response::new(answers.chain(last).boxed()))
    }

    async fn get_decision(&self, request: Request<v1::GetDecisionRequest>) -> Result<Response<v1::GetDecisionResponse>, Status> {
        let wanted = requests::decision_wanted(request.into_inner()).map_err(Refusal::from)?;
        let found = self.0.look_up(self.0.ledger.decision(&wanted.program_id, &wanted.conversion_id)).await?;
        let record = found.ok_or_else(|| Refusal::not_known("conversion", wanted.conversion_id.as_str()))?;
        let message = decision::message_of(&record);
        Ok(Response::new(match wanted.view {
            requests::DecisionView::Basic => v1::GetDecisionResponse { decision: Some(message), ..Default::default() },
            requests::DecisionView::Full => v1::GetDecisionResponse {
                decision: Some(message),
                evidence: decision::evidence_messages(&record.decision.evidence),
                features: decision::feature_messages(&record.decision.features()),
                comparable: decision::comparable_messages(&record.decision.comparability),
            },
        }))
    }

    async fn list_decisions(
        &self,
        request: Request<v1::ListDecisionsRequest>,
    ) -> Result<Response<v1::ListDecisionsResponse>, Status> {
        let listing = requests::decision_listing(request.into_inner()).map_err(Refusal::from)?;
        let fingerprint = listing.fingerprint;
        let read = move |ledger: Arc<dyn Ledger>| async move {
            ledger.decisions(&listing.program_id, &listing.filter, &listing.page).await
        };
        let page = self.0.read(read).await?;
        Ok(Response::new(v1::ListDecisionsResponse {
            decisions: page.entries.iter().map(decision::message_of).collect(),
            next_page_token: fingerprint.seal(page.next.as_ref()),
            total_size: page.total,
        }))
    }

    async fn record_signals(
        &self,
        request: Request<v1::RecordSignalsRequest>,
    ) -> Result<Response<v1::RecordSignalsResponse>, Status> {
        let message = request.into_inner();
        let received_at = self.0.now();
        let content = content::fingerprint(&message);
        let (SignalsRecord { program_id, record_id, bundles }, warnings) =
            signals::parse_request(message, Arrival::At(received_at)).map_err(Refusal::from)?;
        let command = SignalsCommand { program_id, record_id, content, bundles, received_at };
        let answer = self.0.ledger.record_signals(command).await;
        let (cursor, freshness) = answer.map_err(|error| self.0.refusal(error))?;
        let warnings = warnings.iter().map(decision::warning_message).collect();
        Ok(Response::new(v1::RecordSignalsResponse { replayed: was_replayed(freshness), cursor: cursor.0, warnings }))
    }

    async fn record_outcome(
        &self,
        request: Request<v1::RecordOutcomeRequest>,
    ) -> Result<Response<v1::RecordOutcomeResponse>, Status> {
        let message = request.into_inner();
        let received_at = self.0.now();
        let content = content::fingerprint(&message);
        let (outcome, warnings) = outcome::parse_request(message, Arrival::At(received_at)).map_err(Refusal::from)?;
        count_skew(&warnings);
        let command = Command::RecordOutcome(OutcomeCommand { outcome, content, received_at });
        let executed = self.0.ledger.execute(command).await;
        let Executed { cursor, freshness, done } = executed.map_err(|error| self.0.refusal(error))?;
        let pending = done == Done::Outcome(OutcomeAnswer::Pending);
        let replayed = was_replayed(freshness);
        Ok(Response::new(v1::RecordOutcomeResponse { replayed, cursor: cursor.0, pending, warnings }))
    }

    async fn revoke_outcome(
        &self,
        request: Request<v1::RevokeOutcomeRequest>,
    ) -> Result<Response<v1::RevokeOutcomeResponse>, Status> {
        let command = outcome::revoke(request.into_inner(), self.0.now()).map_err(Refusal::from)?;
        let executed = self.0.ledger.execute(Command::RevokeOutcome(command)).await;
        let Executed { cursor, freshness, done: _ } = executed.map_err(|error| self.0.refusal(error))?;
        Ok(Response::new(v1::RevokeOutcomeResponse { replayed: was_replayed(freshness), cursor: cursor.0 }))
    }

    async fn list_pending_outcomes(
        &self,
        request: Request<v1::ListPendingOutcomesRequest>,
    ) -> Result<Response<v1::ListPendingOutcomesResponse>, Status> {
        let listing = outcome::pending_listing(request.into_inner()).map_err(Refusal::from)?;
        let fingerprint = listing.fingerprint;
        let read =
            move |ledger: Arc<dyn Ledger>| async move { ledger.pending_outcomes(&listing.program_id, &listing.page).await };
        let page = self.0.read(read).await?;
        Ok(Response::new(v1::ListPendingOutcomesResponse {
            outcomes: page.entries.iter().map(outcome::pending_message).collect(),
            next_page_token: fingerprint.seal(page.next.as_ref()),
        }))
    }
}

/// Screens one conversion, with the warnings of its message.
async fn screen(shared: &Shared, message: Option<v1::Conversion>) -> Result<Warned<Screened>, Refusal> {
    let message = message.ok_or_else(|| Refusal::invalid_field("conversion", "is required"))?;
    let received_at = shared.now();
    let content = content::fingerprint(&message);
    let (conversion, warnings) = conversion::parse_warned(message, "conversion", Arrival::At(received_at))?;
    let program_id = conversion.program_id.clone();
    let answer = shared.ledger.screen(ScreenCommand { conversion, content, received_at }).await;
    let screened = answer.map_err(|error| shared.refusal(error).below("conversion"))?;
    if screened.freshness == Freshness::New {
        let decision = &screened.record.decision;
        count_verdict(&program_id, decision.verdict);
        if let Some(want) = decision.comparability.want() {
            shared.incomparable.seen(&program_id, want, received_at);
        }
    }
    Ok((screened, warnings))
}

/// The decision's warnings, then those of the message that was sent now.
fn all_warnings(record: &DecisionRecord, of_message: &[Warning]) -> Vec<v1::Warning> {
    record.decision.warnings.iter().chain(of_message).map(decision::warning_message).collect()
}

/// Screens one conversion of a stream. A bad one is answered like a good one: by its position.
///
/// `turn` is the stream's: what another replica screens is sent one after the other, because there they may overtake each other.
async fn screen_item(
    shared: &Shared,
    turn: &Mutex<()>,
    position: u64,
    message: Option<v1::Conversion>,
) -> v1::ScreenConversionsResponse {
    use v1::screen_conversions_response::Result as Outcome;

    let conversion_id = message.as_ref().map(|message| message.conversion_id.clone()).unwrap_or_default();
    let kept = (shared.ledger.answerers() == Answerers::ManyProcesses).then(|| message.clone()).flatten();
    let outcome = contained(screen(shared, message)).await.and_then(|screened| screened);
    let (result, replayed, warnings) = match outcome {
        Ok((Screened { record, freshness }, warnings)) => {
            let warnings = all_warnings(&record, &warnings);
            (Outcome::Decision(decision::message_of(&record)), was_replayed(freshness), warnings)
        }
        Err(refusal) => match (refusal.held_by(), kept) {
            (Some(address), Some(conversion)) => {
                let _turn = turn.lock().await;
                match shared.replicas.screen(address, conversion).await {
                    Ok(v1::ScreenConversionResponse { decision: Some(decision), replayed, warnings }) => {
                        (Outcome::Decision(decision), replayed, warnings)
                    }
                    Ok(v1::ScreenConversionResponse { decision: None, .. }) => {
                        (Outcome::Error(Refusal::internal().into_screening_error()), false, Vec::new())
                    }
                    Err(status) => (Outcome::Error(screening_error_of(&status)), false, Vec::new()),
                }
            }
            _ => (Outcome::Error(refusal.into_screening_error()), false, Vec::new()),
        },
    };
    v1::ScreenConversionsResponse { position, conversion_id, replayed, warnings, result: Some(result) }
}

pub(super) const fn was_replayed(freshness: Freshness) -> bool {
    match freshness {
        Freshness::New => false,
        Freshness::Replayed => true,
    }
}

/// Counts what was decided. A programme's id is a name that the operator gave, and their number is small.
fn count_verdict(program: &ProgramId, verdict: Verdict) {
    let verdict = match verdict {
        Verdict::Approved => "APPROVED",
        Verdict::InReview => "IN_REVIEW",
        Verdict::Rejected => "REJECTED",
    };
    metrics::counter!("selfsame_verdicts_total", "program" => program.to_string(), "verdict" => verdict).increment(1);
}
