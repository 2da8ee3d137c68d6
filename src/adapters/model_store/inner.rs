//! What the store holds: the models by whom they are for, the choices, and the history. In memory; the store decides when what is kept.
//!
//! It must never hand a programme a model that was loaded for another. The store calls it, under its lock.

use std::collections::BTreeMap;
use std::path::Path;

use super::files;
use super::state::{Choices, ProgramState, State};
use super::{Changed, DEFAULT_FILE, LoadedModel, MODELS_MAX, ModelStoreError};
use crate::adapters::model_history::{ModelChange, ModelHistory};
use crate::book::command::Request;
use crate::book::records::Freshness;
use crate::screening::model::Model;
use crate::vocabulary::ids::ProgramId;

/// All that is held.
pub(super) struct Inner {
    pub(super) shipped: LoadedModel,
    /// For all programmes, by version.
    pub(super) shared: BTreeMap<Box<str>, LoadedModel>,
    /// Loaded for one programme, by version.
    pub(super) own: BTreeMap<ProgramId, BTreeMap<Box<str>, LoadedModel>>,
    pub(super) default: String,
    pub(super) state: State,
    pub(super) history: ModelHistory,
}

impl Inner {
    /// What a call led to when it was made first; `None` when it was not, or has no id.
    pub(super) fn done_before(&self, program: &ProgramId, request: Option<&Request>) -> Result<Option<Changed>, ModelStoreError> {
        let Some(Request { id, content }) = request else { return Ok(None) };
        let of_it =
            |change: &&ModelChange| change.program == program.as_str() && change.request_id.as_deref() == Some(id.as_str());
        let Some(change) = self.history.changes().iter().rev().find(of_it) else { return Ok(None) };
        if change.request_content.as_deref() == Some(hex::encode(content.0).as_str()) {
            Ok(Some(Changed { previous: change.previous.clone(), freshness: Freshness::Replayed }))
        } else {
            Err(ModelStoreError::RequestTaken(id.to_string()))
        }
    }

    pub(super) fn read_models(&mut self, folder: &Path) -> Result<(), ModelStoreError> {
        for file in files::models_in(folder)? {
            let is_default = file.name == DEFAULT_FILE && file.program.is_none();
            match file.read() {
                Ok(loaded) => {
                    let version = loaded.model.version().to_owned();
                    let place = match file.program {
                        Some(program) => self.own.entry(program).or_default(),
                        None => &mut self.shared,
                    };
                    if is_default {
                        self.default.clone_from(&version);
                    }
                    match place.get(version.as_str()) {
                        Some(known) if known.model != loaded.model => {
                            tracing::warn!(file = %file.path.display(), version, "another file has this version; this one is left out");
                            if is_default {
                                return Err(ModelStoreError::VersionTaken(version));
                            }
                        }
                        Some(_) => {}
                        None => {
                            place.insert(version.into(), loaded);
                        }
                    }
                }
                Err(error) if is_default => {
                    return Err(ModelStoreError::InUse {
                        version: DEFAULT_FILE.to_owned(),
                        place: "all programmes that never chose".to_owned(),
                        reason: format!("{error}; or take the file away to begin with the shipped model"),
                        folder: folder.to_owned(),
                    });
                }
                Err(error) => {
                    tracing::warn!(file = %file.path.display(), %error, "this file of the model folder does not fit and is left out");
                }
            }
        }
        Ok(())
    }

    pub(super) fn program_state(&self, program: &ProgramId) -> ProgramState {
        self.state.programs.get(program).cloned().unwrap_or_default()
    }

    pub(super) fn put_back(&mut self, program: &ProgramId, earlier: Option<ProgramState>) {
        match earlier {
            Some(earlier) => self.state.programs.insert(program.clone(), earlier),
            None => self.state.programs.remove(program),
        };
    }

    pub(super) fn choices(&self, program: &ProgramId) -> Choices {
        let own = self.state.programs.get(program).and_then(|state| state.choices.clone());
        own.unwrap_or_else(|| Choices { active: Some(self.default.clone()), ..Choices::default() })
    }

    /// The programme's own comes before that of all, and that before the shipped one.
    pub(super) fn find(&self, program: &ProgramId, version: &str) -> Option<&LoadedModel> {
        let own = self.own.get(program).and_then(|own| own.get(version));
        let shipped = || (self.shipped.model.version() == version).then_some(&self.shipped);
        own.or_else(|| self.shared.get(version)).or_else(shipped)
    }

    pub(super) fn of_program(&self, program: &ProgramId) -> BTreeMap<Box<str>, LoadedModel> {
        let mut models = BTreeMap::from([(self.shipped.model.version().into(), self.shipped.clone())]);
        models.extend(self.shared.clone());
        models.extend(self.own.get(program).cloned().unwrap_or_default());
        models
    }

    pub(super) fn may_reject(&self, program: &ProgramId, version: &str) -> bool {
        self.find(program, version).is_some_and(|loaded| loaded.model.thresholds().reject.is_some())
    }

    /// The model when it is loaded already.
    pub(super) fn known(&self, program: &ProgramId, model: &Model) -> Result<Option<LoadedModel>, ModelStoreError> {
        match self.find(program, model.version()) {
            Some(known) if *known.model == *model => Ok(Some(known.clone())),
            Some(_) => Err(ModelStoreError::VersionTaken(model.version().to_owned())),
            None if self.of_program(program).len() >= MODELS_MAX => Err(ModelStoreError::TooMany),
            None => Ok(None),
        }
    }
}
