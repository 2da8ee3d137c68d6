//! The model handlers: loading, choosing and watching models.
//!
//! Thin: the store loads files, the ledger keeps what was chosen. They must never activate what was not loaded, nor show one programme another's
//! models. The server registers them.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::access::Caller;
use super::confirmation::{asked, waiting};
use super::errors::Refusal;
use super::pages::{Sent, page as page_of};
use super::screening::was_replayed;
use super::shared::Shared;
use crate::adapters::model_drift::{Drifted, LiveDrift};
use crate::adapters::model_store::{Arrival, LoadedModel, ModelStoreError};
use crate::book::command::{Command, Executed, ModelsCommand, ModelsStep, Request as CallId};
use crate::book::models::{ModelAction, ModelAudits, ModelChange, ModelChoices, ModelName, ProgramModels};
use crate::book::query::PageRequest;
use crate::ports::ledger::Ledger;
use crate::screening::model::Certificate;
use crate::screening::policy::{Policy, ScoreSource};
use crate::vocabulary::ids::{Actor, ProgramId};
use crate::wire::fields::time_message;
use crate::wire::model::{ModelRequest, ModelSource};
use crate::wire::{model as requests, v1};

/// Lines of the audit trail that a status shows.
const CHANGES_SHOWN: usize = 50;
/// Whose name stands at what the service did by itself.
const SERVICE_ACTOR: &str = "selfsame";

/// The handlers of `ModelService`.
pub(super) struct ModelHandlers(pub(super) Arc<Shared>);

/// Who asks for a change, why, and in which call.
struct Asked {
    actor: Actor,
    note: String,
    request: Option<CallId>,
}

impl ModelHandlers {
    async fn change(&self, program_id: &ProgramId, step: ModelsStep, asked: Asked) -> Result<Executed, Refusal> {
        let command = self.command(program_id, step, asked);
        self.0.ledger.execute(command).await.map_err(|error| self.0.refusal(error))
    }

    fn command(&self, program_id: &ProgramId, step: ModelsStep, Asked { actor, note, request }: Asked) -> Command {
        let (default, at) = (self.0.models.default_model().name, self.0.now());
        Command::ChangeModels(ModelsCommand { program_id: program_id.clone(), step, default, actor, note, request, at })
    }

    async fn models_of(&self, program: &ProgramId) -> Result<Arc<ProgramModels>, Refusal> {
        self.0.look_up(self.0.ledger.models(program)).await
    }

    /// The name of a model that a programme can use. What is shipped is kept first: it is to be there when another server ships another.
    async fn named(&self, program: &ProgramId, version: &str) -> Result<ModelName, Refusal> {
        let found = self.0.models.model(program, version);
        let LoadedModel { name, .. } = found.ok_or_else(|| ModelStoreError::NotLoaded(version.to_owned()))?;
        let program = program.clone();
        self.0.ask_models(move |models| models.keep_shipped(&program)).await?;
        Ok(name)
    }

    fn choices_of(&self, models: &ProgramModels) -> ModelChoices {
        chosen_of(models, || self.0.models.default_model().name)
    }

    /// What scores under the policy of a programme.
    async fn scored_by(&self, program: &ProgramId) -> Result<ScoreSource, Refusal> {
        Ok(self.policy_of(program).await?.score().source)
    }

    /// The policy in force in a programme.
    async fn policy_of(&self, program: &ProgramId) -> Result<Arc<Policy>, Refusal> {
        let terms = self.0.look_up(self.0.ledger.terms(program)).await?;
        Ok(self.0.policies.policy_of(program, &terms))
    }

    /// The summary of a chosen model; `None` when none was chosen, or when its file is not here.
    fn chosen(&self, program: &ProgramId, name: Option<&ModelName>, choices: &ModelChoices) -> Option<v1::ModelSummary> {
        let LoadedModel { model, name, loaded_at } = self.0.models.named(program, name?)?;
        Some(requests::summary_message(&model, role_of(&name, choices), loaded_at))
    }

    fn audit(policy: &Policy, active: &LoadedModel, models: &ProgramModels) -> v1::AuditStatus {
        let audits = models.audits_of(&active.name.version);
        let Certificate { delta, .. } = active.model.certificate();
        let error = audits.live_error();
        let breaker = match (active.model.rejects(), audits.is_tripped()) {
            (false, _) => v1::BreakerState::NotCertified,
            (true, true) => v1::BreakerState::ReviewInstead,
            (true, false) => v1::BreakerState::AutoReject,
        };
        let ModelAudits { sampled, honest, abusive: _, tripped_at } = audits;
        v1::AuditStatus {
            sample_rate: policy.audit().sample_share,
            sampled,
            resolved: u64::from(error.audited()),
            honest: u64::from(honest),
            live_error_bound: error.upper_bound(delta),
            breaker: breaker.into(),
            live_error_lower_bound: (error.audited() > 0).then(|| error.lower_bound(delta)),
            tripped_at: tripped_at.map(time_message),
        }
    }

    fn status(&self, program: &ProgramId, models: &ProgramModels, policy: &Policy) -> v1::GetModelStatusResponse {
        let chosen = self.choices_of(models);
        let by_model = policy.score().source == ScoreSource::Model;
        let active = Some(&chosen.active).filter(|_| by_model);
        let loaded = active.and_then(|name| self.0.models.named(program, name));
        let in_force = self.0.models.shelf().models_of(program, models);
        let drift = in_force.drift().filter(|_| by_model);
        v1::GetModelStatusResponse {
            active: self.chosen(program, active, &chosen),
            previous: self.chosen(program, chosen.before.as_ref(), &chosen),
            challenger: self.chosen(program, chosen.challenger.as_ref(), &chosen),
            audit: loaded.map(|active| Self::audit(policy, &active, models)),
            score_drift: drift.map(|drift| drift_message(drift.of_score())),
            feature_drift: drift.map(LiveDrift::of_features).unwrap_or_default().into_iter().map(drift_message).collect(),
            changes: models.changes().take(CHANGES_SHOWN).map(change_message).collect(),
        }
    }
}

/// What is chosen in a programme; where nobody chose, what decides on this server.
fn chosen_of(models: &ProgramModels, default: impl FnOnce() -> ModelName) -> ModelChoices {
    models.choices().cloned().unwrap_or_else(|| ModelChoices { active: default(), before: None, challenger: None })
}

fn role_of(name: &ModelName, choices: &ModelChoices) -> v1::ModelRole {
    let ModelChoices { active, before, challenger } = choices;
    if active == name {
        v1::ModelRole::Active
    } else if challenger.as_ref() == Some(name) {
        v1::ModelRole::Challenger
    } else if before.as_ref() == Some(name) {
        v1::ModelRole::Previous
    } else {
        v1::ModelRole::Idle
    }
}

fn drift_message(drifted: Drifted) -> v1::DriftReading {
    let Drifted { name, stability_index, level, values } = drifted;
    requests::drift_message(&name, stability_index, level, values)
}

fn change_message(change: &ModelChange) -> v1::ModelChange {
    let ModelChange { action, version, previous, actor, note, at } = change;
    let kind = match action {
        ModelAction::Loaded => v1::ModelChangeKind::Loaded,
        ModelAction::Activated => v1::ModelChangeKind::Activated,
        ModelAction::RolledBack => v1::ModelChangeKind::RolledBack,
        ModelAction::ChallengerSet => v1::ModelChangeKind::ChallengerSet,
        ModelAction::ChallengerCleared => v1::ModelChangeKind::ChallengerCleared,
        ModelAction::BreakerTripped => v1::ModelChangeKind::BreakerTripped,
    };
    v1::ModelChange {
        kind: kind.into(),
        model_version: version.to_string(),
        previous_version: previous.to_string(),
        actor: actor.as_ref().map_or_else(|| SERVICE_ACTOR.to_owned(), Actor::to_string),
        note: note.clone(),
        at: Some(time_message(*at)),
    }
}

/// The version of what stood in the place of a model before; empty for nothing.
fn previous_version(executed: Executed) -> String {
    executed.done.previous_model().map(|model| model.version.to_string()).unwrap_or_default()
}

#[tonic::async_trait]
impl v1::model_service_server::ModelService for ModelHandlers {
    async fn list_models(&self, request: Request<v1::ListModelsRequest>) -> Result<Response<v1::ListModelsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let program = requests::list_wanted(message).map_err(Refusal::from)?;
        caller.may(&program).await?;
        let choices = self.choices_of(&*self.models_of(&program).await?);
        let summary = |LoadedModel { model, name, loaded_at }: LoadedModel| {
            requests::summary_message(&model, role_of(&name, &choices), loaded_at)
        };
        let models = self.0.models.models(&program).into_iter().map(summary).collect();
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn load_model(&self, request: Request<v1::LoadModelRequest>) -> Result<Response<v1::LoadModelResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let ModelRequest { program_id, wanted, note, request } = requests::load(message).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let (at, program) = (self.0.now(), program_id.clone());
        let (LoadedModel { model, name, loaded_at }, arrival) = self
            .0
            .ask_models(move |models| match wanted {
                ModelSource::Content(content) => models.load(&program, &content, at),
                ModelSource::FileName(name) => models.load_file(&program, &name, at),
            })
            .await?;
        // What is loaded already is told once; a call with an id is answered as the first time.
        if arrival == Arrival::New || request.is_some() {
            self.change(&program_id, ModelsStep::Load(name.clone()), Asked { actor: caller.name()?.clone(), note, request })
                .await?;
        }
        let choices = self.choices_of(&*self.models_of(&program_id).await?);
        let summary = requests::summary_message(&model, role_of(&name, &choices), loaded_at);
        Ok(Response::new(v1::LoadModelResponse { model: Some(summary) }))
    }

    async fn activate_model(
        &self,
        request: Request<v1::ActivateModelRequest>,
    ) -> Result<Response<v1::ActivateModelResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let ModelRequest { program_id, wanted, note, request } = requests::activate(message).map_err(Refusal::from)?;
        let program = caller.may(&program_id).await?;
        let name = self.named(&program_id, &wanted).await?;
        let step = ModelsStep::Activate(name.clone());
        let command = self.command(&program_id, step, Asked { actor: caller.name()?.clone(), note, request });
        let executed = self.0.ledger.execute(asked(&program, &caller, command)?).await.map_err(|error| self.0.refusal(error))?;
        let pending_act = waiting(&executed);
        let choices = self.choices_of(&*self.models_of(&program_id).await?);
        let deciding = if pending_act.is_some() { choices.active.clone() } else { name };
        let active = self.chosen(&program_id, Some(&deciding), &choices);
        let (replayed, previous_version) = (was_replayed(executed.freshness), previous_version(executed));
        Ok(Response::new(v1::ActivateModelResponse { active, previous_version, replayed, pending_act }))
    }

    async fn rollback_model(
        &self,
        request: Request<v1::RollbackModelRequest>,
    ) -> Result<Response<v1::RollbackModelResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let ModelRequest { program_id, wanted: (), note, request } = requests::roll_back(message).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let executed =
            self.change(&program_id, ModelsStep::RollBack, Asked { actor: caller.name()?.clone(), note, request }).await?;
        let choices = self.choices_of(&*self.models_of(&program_id).await?);
        let active = self.chosen(&program_id, Some(&choices.active), &choices);
        let replayed = was_replayed(executed.freshness);
        Ok(Response::new(v1::RollbackModelResponse { active, previous_version: previous_version(executed), replayed }))
    }

    async fn set_challenger(
        &self,
        request: Request<v1::SetChallengerRequest>,
    ) -> Result<Response<v1::SetChallengerResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let ModelRequest { program_id, wanted, note, request } = requests::challenger(message).map_err(Refusal::from)?;
        caller.may(&program_id).await?;
        let name = match wanted {
            Some(version) => Some(self.named(&program_id, &version).await?),
            None => None,
        };
        let step = ModelsStep::Challenge(name, self.scored_by(&program_id).await?);
        let executed = self.change(&program_id, step, Asked { actor: caller.name()?.clone(), note, request }).await?;
        let choices = self.choices_of(&*self.models_of(&program_id).await?);
        let challenger = self.chosen(&program_id, choices.challenger.as_ref(), &choices);
        Ok(Response::new(v1::SetChallengerResponse { challenger, replayed: was_replayed(executed.freshness) }))
    }

    async fn list_disagreements(
        &self,
        request: Request<v1::ListDisagreementsRequest>,
    ) -> Result<Response<v1::ListDisagreementsResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let listing = requests::disagreements(message, &self.0.door.page_key()).map_err(Refusal::from)?;
        caller.may(&listing.program_id).await?;
        let requests::DisagreementListing { program_id, filter, page, seal } = listing;
        let read = move |ledger: Arc<dyn Ledger>, page: PageRequest| {
            let (program_id, filter) = (program_id.clone(), filter.clone());
            async move { ledger.decisions(&program_id, &filter, &page).await }
        };
        let Sent { entries, next, total: _ } =
            page_of(&self.0, &caller.share, page, read, requests::disagreement_message).await?;
        Ok(Response::new(v1::ListDisagreementsResponse { disagreements: entries, next_page_token: seal.seal(next.as_ref()) }))
    }

    async fn get_model_status(
        &self,
        request: Request<v1::GetModelStatusRequest>,
    ) -> Result<Response<v1::GetModelStatusResponse>, Status> {
        let (caller, message) = Caller::of(request)?;
        let program = requests::status_wanted(message).map_err(Refusal::from)?;
        caller.may(&program).await?;
        let models = self.models_of(&program).await?;
        let policy = self.policy_of(&program).await?;
        Ok(Response::new(self.status(&program, &models, &policy)))
    }
}
