//! The screening handlers: conversions, signals and outcomes in, decisions out.
//!
//! Thin: read the message, ask the ledger, write the answer. They must never answer a decision that the ledger did not commit. The server
//! registers them.

use std::sync::Arc;

use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::access::Caller;
use super::confirmation::{asked, waiting};
use super::errors::Refusal;
use super::pages::{Sent, page as page_of};
use super::shared::{Shared, count_skew};
use super::{bulk, counts, sameness, told};
use crate::book;
use crate::book::command::{Command, Done, Executed, OutcomeCommand, ScreenCommand, SignalsCommand};
use crate::book::directory::ProgramSettings;
use crate::book::looks::Seen;
use crate::book::query::PageRequest;
use crate::book::records::{Freshness, OutcomeAnswer, Screened};
use crate::ports::ledger::{Ledger, LedgerError};
use crate::ports::spans::span;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::digest::KeyId;
use crate::vocabulary::ids::ProgramId;
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
        let referee = &record.conversion.referee.account_id;
        told_of_asking(&self.0, &wanted.program_id, caller.share.ask_about_account(&wanted.program_id, referee))?;
        if wanted.view == requests::DecisionView::Full {
            self.0.looked(&caller, &wanted.program_id, Seen::Decision(wanted.conversion_id.clone()))?;
        }
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
        let listing = requests::decision_listing(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
        let requests::DecisionListing { program_id, filter, page, seal } = listing;
        let read = move |ledger: Arc<dyn Ledger>, page: PageRequest| {
            let (program_id, filter) = (program_id.clone(), filter.clone());
            async move { ledger.decisions(&program_id, &filter, &page).await }
        };
        let Sent { entries, next, total } =
            page_of(&self.0, &caller.share, page, read, |record| Some(decision::message_of(record))).await?;
        let next_page_token = seal.seal(next.as_ref());
        Ok(Response::new(v1::ListDecisionsResponse { decisions: entries, next_page_token, total_size: total }))
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
        let programme = caller.may(&program_id).await?;
        for (index, bundle) in bundles.iter().enumerate() {
            refuse_other_keys(&programme.settings, bundle, &format!("bundles[{index}]"))?;
        }
        let (program, id, sent) = (program_id.clone(), record_id.clone(), bundles.clone());
        let command = SignalsCommand { program_id, record_id, content, bundles, received_at };
        let command = Command::RecordSignals(command).by(caller.who());
        let (cursor, freshness) = match self.0.ledger.recorded(command).await {
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
        let programme = caller.may(&outcome.program_id).await?;
        count_skew(&warnings);
        let (program, id) = (outcome.program_id.clone(), outcome.outcome_id.clone());
        let command = Command::RecordOutcome(OutcomeCommand { outcome, content, received_at });
        // A report of a machine needs no name, unless a person must confirm it.
        let command = asked(&programme, &caller, command)?.by(caller.who());
        let executed = match self.0.ledger.execute(command).await {
            Err(LedgerError::Refused(book::Refusal::ContentDiffers { .. })) => {
                let (cursor, freshness) = sameness::outcome_before(&self.0, &program, &id, &sent).await?;
                Executed { cursor, freshness, done: Done::Recorded }
            }
            answer => answer.map_err(|error| self.0.refusal(error))?,
        };
        let pending_act = waiting(&executed);
        let Executed { cursor, freshness, done } = executed;
        let pending = done == Done::Outcome(OutcomeAnswer::Pending);
        let (replayed, cursor) = (was_replayed(freshness), cursor_text(cursor));
        Ok(Response::new(v1::RecordOutcomeResponse { replayed, cursor, pending, warnings, pending_act }))
    }

    async fn revoke_outcome(
        &self,
        request: Request<v1::RevokeOutcomeRequest>,
    ) -> Result<Response<v1::RevokeOutcomeResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let command = outcome::revoke(message, caller.name()?, self.0.now()).map_err(Refusal::from)?;
        let program = caller.may(&command.program_id).await?;
        let command = asked(&program, &caller, Command::RevokeOutcome(command))?;
        let executed = self.0.ledger.execute(command).await.map_err(|error| self.0.refusal(error))?;
        let pending_act = waiting(&executed);
        let (replayed, cursor) = (was_replayed(executed.freshness), cursor_text(executed.cursor));
        Ok(Response::new(v1::RevokeOutcomeResponse { replayed, cursor, pending_act }))
    }

    async fn list_pending_outcomes(
        &self,
        request: Request<v1::ListPendingOutcomesRequest>,
    ) -> Result<Response<v1::ListPendingOutcomesResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let listing = outcome::pending_listing(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
        let outcome::PendingListing { program_id, page, seal } = listing;
        let read = move |ledger: Arc<dyn Ledger>, page: PageRequest| {
            let program_id = program_id.clone();
            async move { ledger.pending_outcomes(&program_id, &page).await }
        };
        let Sent { entries, next, total: _ } =
            page_of(&self.0, &caller.share, page, read, |pending| Some(outcome::pending_message(pending))).await?;
        Ok(Response::new(v1::ListPendingOutcomesResponse { outcomes: entries, next_page_token: seal.seal(next.as_ref()) }))
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
    let (content, parsed) = span!("parse")
        .in_scope(|| (content::fingerprint(&message), conversion::parse_warned(message, "conversion", Arrival::At(received_at))));
    let (conversion, warnings) = parsed?;
    let program = caller.may(&conversion.program_id).await?;
    refuse_other_currencies(&program.settings, &conversion)?;
    for (side, bundle) in [("referrer", &conversion.referrer), ("referee", &conversion.referee)] {
        refuse_other_keys(&program.settings, bundle, &format!("conversion.{side}"))?;
    }
    told_of_asking(shared, &conversion.program_id, caller.share.ask_about(&conversion.program_id, &conversion.referee))?;
    let sent = conversion.clone();
    let (program_id, id) = (conversion.program_id.clone(), conversion.conversion_id.clone());
    let command = Command::Screen(Box::new(ScreenCommand { conversion, content, received_at })).by(caller.who());
    let screened = match shared.ledger.screened(command).await {
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

/// Counts that a caller was slowed, and lets the operator know.
fn told_of_asking(shared: &Shared, program: &ProgramId, asked: Result<(), Refusal>) -> Result<(), Refusal> {
    asked.inspect_err(|_| shared.asked_often.seen(program, shared.now()))
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

/// A programme that says under which keys it compares takes no digest under another: it could be compared with nothing, and would pass for unseen.
fn refuse_other_keys(program: &ProgramSettings, bundle: &SignalBundle, field: &str) -> Result<(), Refusal> {
    if program.key_ids.is_empty() {
        return Ok(());
    }
    let mut other = None;
    bundle.visit_keys(&mut |key| {
        if !program.key_ids.contains(key) {
            other.get_or_insert(*key);
        }
    });
    let Some(key) = other else { return Ok(()) };
    let taken: Vec<&str> = program.key_ids.iter().map(KeyId::as_str).collect();
    let problem = format!(
        "holds a digest or sketch under key `{}`; programme `{}` takes {} (`selfsame program update` changes that)",
        key.as_str(),
        program.id,
        taken.join(", ")
    );
    Err(Refusal::invalid_field(field, problem))
}

pub(super) const fn was_replayed(freshness: Freshness) -> bool {
    match freshness {
        Freshness::New => false,
        Freshness::Replayed => true,
    }
}
