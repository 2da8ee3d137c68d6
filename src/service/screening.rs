//! The screening handlers: conversions, signals and outcomes in, decisions out.
//!
//! Thin: read the message, ask the ledger, write the answer. They must never answer a decision that the ledger did not commit. The server
//! registers them.

use std::sync::Arc;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::access::Caller;
use super::errors::Refusal;
use super::shared::{Shared, count_skew};
use super::{bulk, counts, sameness, told};
use crate::book;
use crate::book::command::{Command, Done, Executed, OutcomeCommand, ScreenCommand, SignalsCommand};
use crate::book::directory::ProgramSettings;
use crate::book::records::{Freshness, OutcomeAnswer, Screened};
use crate::ports::ledger::{Ledger, LedgerError};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::money::Currency;
use crate::wire::cursor::cursor_text;
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
        let (caller, v1::ScreenConversionRequest { conversion }) = Caller::of(request)?;
        let (Screened { record, freshness }, warnings) = screen(&self.0, &caller, conversion).await?;
        let replayed = was_replayed(freshness);
        let warnings = decision::all_warnings(&record, &warnings);
        Ok(Response::new(v1::ScreenConversionResponse { decision: Some(decision::message_of(&record)), replayed, warnings }))
    }

    type ScreenConversionsStream = BoxStream<'static, Result<v1::ScreenConversionsResponse, Status>>;

    async fn screen_conversions(
        &self,
        request: Request<Streaming<v1::ScreenConversionsRequest>>,
    ) -> Result<Response<Self::ScreenConversionsStream>, Status> {
        let (caller, sent) = Caller::of(request)?;
        let place = self.0.places.take(&caller)?;
        let answers = bulk::answered(Arc::clone(&self.0), caller, sent);
        Ok(Response::new(counts::counted(&self.0, bulk::METHOD, place, answers, bulk::code_of)))
    }

    async fn get_decision(&self, request: Request<v1::GetDecisionRequest>) -> Result<Response<v1::GetDecisionResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let wanted = requests::decision_wanted(message).map_err(Refusal::from)?;
        caller.may(&wanted.program_id).await?;
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
        let (caller, message) = Caller::of(request)?;
        let listing = requests::decision_listing(message).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
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
        let (caller, message) = Caller::of(request)?;
        let received_at = self.0.now();
        let content = content::fingerprint(&message);
        let (SignalsRecord { program_id, record_id, bundles }, warnings) =
            signals::parse_request(message, Arrival::At(received_at)).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let (program, id, sent) = (program_id.clone(), record_id.clone(), bundles.clone());
        let command = SignalsCommand { program_id, record_id, content, bundles, received_at };
        let (cursor, freshness) = match self.0.ledger.record_signals(command).await {
            Err(LedgerError::Refused(book::Refusal::ContentDiffers { .. })) => {
                sameness::signals_before(&self.0, &program, &id, &sent).await?
            }
            answer => answer.map_err(|error| self.0.refusal(error))?,
        };
        let warnings = warnings.iter().map(decision::warning_message).collect();
        Ok(Response::new(v1::RecordSignalsResponse { replayed: was_replayed(freshness), cursor: cursor_text(cursor), warnings }))
    }

    async fn record_outcome(
        &self,
        request: Request<v1::RecordOutcomeRequest>,
    ) -> Result<Response<v1::RecordOutcomeResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let sent = message.clone();
        let received_at = self.0.now();
        let content = content::fingerprint(&message);
        let (outcome, warnings) = outcome::parse_request(message, Arrival::At(received_at)).map_err(Refusal::from)?;
        caller.may(&outcome.program_id).await?;
        count_skew(&warnings);
        let (program, id) = (outcome.program_id.clone(), outcome.outcome_id.clone());
        let command = Command::RecordOutcome(OutcomeCommand { outcome, content, received_at });
        let Executed { cursor, freshness, done } = match self.0.ledger.execute(command).await {
            Err(LedgerError::Refused(book::Refusal::ContentDiffers { .. })) => {
                let (cursor, freshness) = sameness::outcome_before(&self.0, &program, &id, &sent).await?;
                Executed { cursor, freshness, done: Done::Recorded }
            }
            answer => answer.map_err(|error| self.0.refusal(error))?,
        };
        let pending = done == Done::Outcome(OutcomeAnswer::Pending);
        let replayed = was_replayed(freshness);
        Ok(Response::new(v1::RecordOutcomeResponse { replayed, cursor: cursor_text(cursor), pending, warnings }))
    }

    async fn revoke_outcome(
        &self,
        request: Request<v1::RevokeOutcomeRequest>,
    ) -> Result<Response<v1::RevokeOutcomeResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = outcome::revoke(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        caller.may(&command.program_id).await?;
        let executed = self.0.ledger.execute(Command::RevokeOutcome(command)).await;
        let Executed { cursor, freshness, done: _ } = executed.map_err(|error| self.0.refusal(error))?;
        Ok(Response::new(v1::RevokeOutcomeResponse { replayed: was_replayed(freshness), cursor: cursor_text(cursor) }))
    }

    async fn list_pending_outcomes(
        &self,
        request: Request<v1::ListPendingOutcomesRequest>,
    ) -> Result<Response<v1::ListPendingOutcomesResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let listing = outcome::pending_listing(message).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
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
pub(super) async fn screen(
    shared: &Shared,
    caller: &Caller,
    message: Option<v1::Conversion>,
) -> Result<Warned<Screened>, Refusal> {
    let message = message.ok_or_else(|| Refusal::invalid_field("conversion", "is required"))?;
    let received_at = shared.now();
    let content = content::fingerprint(&message);
    let (conversion, warnings) = conversion::parse_warned(message, "conversion", Arrival::At(received_at))?;
    let program = caller.may(&conversion.program_id).await?;
    refuse_other_currencies(&program.settings, &conversion)?;
    let sent = conversion.clone();
    let (program_id, id) = (conversion.program_id.clone(), conversion.conversion_id.clone());
    let screened = match shared.ledger.screen(ScreenCommand { conversion, content, received_at }).await {
        Err(LedgerError::Refused(book::Refusal::ContentDiffers { .. })) => {
            sameness::screened_before(shared, &program_id, &id, &sent).await?
        }
        answer => answer.map_err(|error| shared.refusal(error).below("conversion"))?,
    };
    if screened.freshness == Freshness::New {
        counts::decided(&program_id, &screened.record);
        told::decided(&shared.decision_lines, &screened.record);
        if let Some(want) = screened.record.decision.comparability.want() {
            shared.incomparable.seen(&program_id, want, received_at);
        }
    }
    Ok((screened, warnings))
}

/// A programme that says in which currencies it pays takes no amounts in others: what was meant would not be known.
fn refuse_other_currencies(program: &ProgramSettings, conversion: &Conversion) -> Result<(), Refusal> {
    let value = conversion.value.iter().map(|value| ("conversion.value".to_owned(), *value));
    let rewards = conversion.rewards.iter().enumerate();
    let rewards = rewards.filter_map(|(at, reward)| Some((format!("conversion.rewards[{at}].amount"), reward.amount?)));
    let wrong =
        value.chain(rewards).find(|(_, money)| !program.currencies.is_empty() && !program.currencies.contains(&money.currency()));
    let Some((field, money)) = wrong else { return Ok(()) };
    let taken: Vec<&str> = program.currencies.iter().map(Currency::as_str).collect();
    let problem = format!("is in {}; programme `{}` takes {}", money.currency().as_str(), program.id, taken.join(", "));
    Err(Refusal::invalid_field(&field, problem))
}

pub(super) const fn was_replayed(freshness: Freshness) -> bool {
    match freshness {
        Freshness::New => false,
        Freshness::Replayed => true,
    }
}
