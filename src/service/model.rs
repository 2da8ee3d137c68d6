//! The model handlers: loading, choosing and watching models.
//!
//! Thin: the store checks, keeps and puts in force; the watch counts. They must never activate what was not loaded, nor show one programme
//! another's models. The server registers them.

use std::sync::Arc;
use std::time::Duration;

use tonic::{Request, Response, Status};

use super::errors::Refusal;
use super::screening::was_replayed;
use super::shared::Shared;
use crate::adapters::model_drift::{Drifted, LiveDrift};
use crate::adapters::model_history::{ModelAction, ModelChange};
use crate::adapters::model_store::{ChangeBy, Changed, Choices, LoadedModel, ModelAudits, ModelStoreError};
use crate::adapters::model_watch::{ModelWatch, live_error};
use crate::book::command::Request as CallId;
use crate::ports::ledger::Ledger;
use crate::screening::model::Certificate;
use crate::screening::policy::ScoreSource;
use crate::vocabulary::ids::{Actor, ProgramId};
use crate::vocabulary::time::Timestamp;
use crate::wire::fields::time_message;
use crate::wire::model::{ModelRequest, ModelSource};
use crate::wire::{model as requests, v1};

/// How often the audits are counted when nobody resolves a case: after a restart, and to keep near the end of the feed.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// Lines of the audit trail that a status shows.
const CHANGES_SHOWN: usize = 50;

/// Counts the audits of all programmes again and again, until it is dropped.
pub(super) async fn keep_watch(shared: Arc<Shared>) {
    loop {
        shared.count(ModelWatch::catch_up_all).await;
        tokio::time::sleep(WATCH_EVERY).await;
    }
}

/// The handlers of `ModelService`.
pub(super) struct ModelHandlers(pub(super) Arc<Shared>);

impl ModelHandlers {
    fn by(&self, actor: Actor, note: String, request: Option<CallId>) -> ChangeBy {
        ChangeBy { actor, note, at: self.0.now(), request }
    }

    /// Whether the policy of a programme lets the chosen model decide.
    fn by_model(&self, program: &ProgramId) -> bool {
        self.0.policies.policy_of(program).score().source == ScoreSource::Model
    }

    /// The summary of a chosen version; `None` when none was chosen, or when its file is gone.
    fn chosen(&self, program: &ProgramId, version: Option<&str>, choices: &Choices) -> Option<v1::ModelSummary> {
        let LoadedModel { model, loaded_at } = self.0.models.model(program, version?)?;
        Some(requests::summary_message(&model, role_of(model.version(), choices), loaded_at))
    }

    fn audit(&self, program: &ProgramId, active: &LoadedModel) -> v1::AuditStatus {
        let audits = self.0.models.watched(program).map(|watched| watched.audits()).unwrap_or_default();
        let Certificate { delta, .. } = active.model.certificate();
        let error = live_error(&audits);
        let breaker = match (active.model.thresholds().reject, audits.is_tripped()) {
            (None, _) => v1::BreakerState::NotCertified,
            (Some(_), true) => v1::BreakerState::ReviewInstead,
            (Some(_), false) => v1::BreakerState::AutoReject,
        };
        let ModelAudits { since: _, sampled, honest, abusive: _, tripped_at_millis } = audits;
        v1::AuditStatus {
            sample_rate: self.0.policies.policy_of(program).audit().sample_share,
            sampled,
            resolved: u64::from(error.audited()),
            honest: u64::from(honest),
            live_error_bound: error.upper_bound(delta),
            breaker: breaker.into(),
            live_error_lower_bound: (error.audited() > 0).then(|| error.lower_bound(delta)),
            tripped_at: tripped_at_millis.map(|millis| time_message(Timestamp::saturating_from_millis(millis))),
        }
    }

    fn status(&self, program: &ProgramId) -> v1::GetModelStatusResponse {
        let choices = self.0.models.choices(program);
        let by_model = self.by_model(program);
        let active = choices.active.as_deref().filter(|_| by_model);
        let audit = active.and_then(|version| self.0.models.model(program, version)).map(|active| self.audit(program, &active));
        let in_force = self.0.models.in_force(program);
        let none_yet = in_force.active.clone().map(LiveDrift::new);
        let drift = in_force.drift().or(none_yet.as_ref()).filter(|_| by_model);
        let previous = choices.before.as_ref().and_then(|before| before.version.as_deref());
        v1::GetModelStatusResponse {
            active: self.chosen(program, active, &choices),
            previous: self.chosen(program, previous, &choices),
            challenger: self.chosen(program, choices.challenger.as_deref(), &choices),
            audit,
            score_drift: drift.map(|drift| drift_message(drift.of_score())),
            feature_drift: drift.map(LiveDrift::of_features).unwrap_or_default().into_iter().map(drift_message).collect(),
            changes: self.0.models.history(program, CHANGES_SHOWN).into_iter().map(change_message).collect(),
        }
    }
}

fn drift_message(drifted: Drifted) -> v1::DriftReading {
    let Drifted { name, stability_index, level, values } = drifted;
    requests::drift_message(&name, stability_index, level, values)
}

fn change_message(change: ModelChange) -> v1::ModelChange {
    let ModelChange {
        number: _,
        program: _,
        action,
        version,
        previous,
        actor,
        note,
        at_millis,
        request_id: _,
        request_content: _,
    } = change;
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
        model_version: version.unwrap_or_default(),
        previous_version: previous.unwrap_or_default(),
        actor,
        note,
        at: Some(time_message(Timestamp::saturating_from_millis(at_millis))),
    }
}

fn role_of(version: &str, choices: &Choices) -> v1::ModelRole {
    let Choices { active, before, challenger } = choices;
    if active.as_deref() == Some(version) {
        v1::ModelRole::Active
    } else if challenger.as_deref() == Some(version) {
        v1::ModelRole::Challenger
    } else if before.as_ref().and_then(|before| before.version.as_deref()) == Some(version) {
        v1::ModelRole::Previous
    } else {
        v1::ModelRole::Idle
    }
}

#[tonic::async_trait]
impl v1::model_service_server::ModelService for ModelHandlers {
    async fn list_models(&self, request: Request<v1::ListModelsRequest>) -> Result<Response<v1::ListModelsResponse>, Status> {
        let program = requests::list_wanted(request.into_inner()).map_err(Refusal::from)?;
        let choices = self.0.models.choices(&program);
        let summary = |LoadedModel { model, loaded_at }: LoadedModel| {
            requests::summary_message(&model, role_of(model.version(), &choices), loaded_at)
        };
        let models = self.0.models.models(&program).into_iter().map(summary).collect();
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn load_model(&self, request: Request<v1::LoadModelRequest>) -> Result<Response<v1::LoadModelResponse>, Status> {
        let ModelRequest { program_id, wanted, actor, note, request } =
            requests::load(request.into_inner()).map_err(Refusal::from)?;
        let (by, program) = (self.by(actor, note, request), program_id.clone());
        let LoadedModel { model, loaded_at } = self
            .0
            .ask_models(move |models| match wanted {
                ModelSource::Content(content) => models.load(&program, &content, by),
                ModelSource::FileName(name) => models.load_file(&program, &name, by),
            })
            .await?;
        let role = role_of(model.version(), &self.0.models.choices(&program_id));
        Ok(Response::new(v1::LoadModelResponse { model: Some(requests::summary_message(&model, role, loaded_at)) }))
    }

    async fn activate_model(
        &self,
        request: Request<v1::ActivateModelRequest>,
    ) -> Result<Response<v1::ActivateModelResponse>, Status> {
        let ModelRequest { program_id, wanted, actor, note, request } =
            requests::activate(request.into_inner()).map_err(Refusal::from)?;
        // What was resolved until now belongs to what decided until now.
        self.0.count_audits(&program_id).await;
        let since = self.0.feed_end(&program_id).await?;
        let (by, program, version) = (self.by(actor, note, request), program_id.clone(), wanted.clone());
        let Changed { previous, freshness } =
            self.0.ask_models(move |models| models.activate(&program, &version, since, by)).await?;
        let active = self.chosen(&program_id, Some(&wanted), &self.0.models.choices(&program_id));
        let (previous_version, replayed) = (previous.unwrap_or_default(), was_replayed(freshness));
        Ok(Response::new(v1::ActivateModelResponse { active, previous_version, replayed }))
    }

    async fn rollback_model(
        &self,
        request: Request<v1::RollbackModelRequest>,
    ) -> Result<Response<v1::RollbackModelResponse>, Status> {
        let ModelRequest { program_id, wanted: (), actor, note, request } =
            requests::roll_back(request.into_inner()).map_err(Refusal::from)?;
        self.0.count_audits(&program_id).await;
        let (by, program) = (self.by(actor, note, request), program_id.clone());
        let Changed { previous, freshness } = self.0.ask_models(move |models| models.roll_back(&program, by)).await?;
        let choices = self.0.models.choices(&program_id);
        let active = self.chosen(&program_id, choices.active.as_deref(), &choices);
        let (previous_version, replayed) = (previous.unwrap_or_default(), was_replayed(freshness));
        Ok(Response::new(v1::RollbackModelResponse { active, previous_version, replayed }))
    }

    async fn set_challenger(
        &self,
        request: Request<v1::SetChallengerRequest>,
    ) -> Result<Response<v1::SetChallengerResponse>, Status> {
        let ModelRequest { program_id, wanted, actor, note, request } =
            requests::challenger(request.into_inner()).map_err(Refusal::from)?;
        let was_done = self.0.models.was_done(&program_id, request.as_ref()).map_err(Refusal::from)?;
        if let Some(version) = &wanted
            && !was_done
            && self.by_model(&program_id)
            && self.0.models.choices(&program_id).active.as_ref() == Some(version)
        {
            return Err(Refusal::from(ModelStoreError::Decides(version.clone())).into());
        }
        let (by, program) = (self.by(actor, note, request), program_id.clone());
        let Changed { freshness, .. } =
            self.0.ask_models(move |models| models.set_challenger(&program, wanted.as_deref(), by)).await?;
        let choices = self.0.models.choices(&program_id);
        let challenger = self.chosen(&program_id, choices.challenger.as_deref(), &choices);
        Ok(Response::new(v1::SetChallengerResponse { challenger, replayed: was_replayed(freshness) }))
    }

    async fn list_disagreements(
        &self,
        request: Request<v1::ListDisagreementsRequest>,
    ) -> Result<Response<v1::ListDisagreementsResponse>, Status> {
        let listing = requests::disagreements(request.into_inner()).map_err(Refusal::from)?;
        let fingerprint = listing.fingerprint;
        let read = move |ledger: Arc<dyn Ledger>| async move {
            ledger.decisions(&listing.program_id, &listing.filter, &listing.page).await
        };
        let page = self.0.read(read).await?;
        Ok(Response::new(v1::ListDisagreementsResponse {
            disagreements: page.entries.iter().filter_map(requests::disagreement_message).collect(),
            next_page_token: fingerprint.seal(page.next.as_ref()),
        }))
    }

    async fn get_model_status(
        &self,
        request: Request<v1::GetModelStatusRequest>,
    ) -> Result<Response<v1::GetModelStatusResponse>, Status> {
        let program = requests::status_wanted(request.into_inner()).map_err(Refusal::from)?;
        self.0.count_audits(&program).await;
        Ok(Response::new(self.status(&program)))
    }
}
