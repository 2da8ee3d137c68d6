//! The model store: the models that are loaded, and which of them decides, went before and is watched in each programme.
//!
//! Puts its choices on the [`ModelShelf`], from which decisions take them, and keeps them in `state.json` of the model folder, written whole
//! or not at all, so that a restart decides as before; each change has its line in `history.jsonl`. It must never activate a model that was
//! not loaded and checked, nor show one programme the models that were loaded for another. The model service, the watch over audits and
//! `serve` call it.
//!
//! Files at the top of the folder are the operator's and there for all programmes. What was loaded through the API lies in
//! `programmes/<programme>/<version>.json` and is that programme's own.

mod error;
mod files;
mod inner;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::error::ModelStoreError;
pub use self::files::can_be_version;
use self::inner::Inner;
pub use self::state::{Before, Choices, ModelAudits, Watch};
use self::state::{ProgramState, State};
use super::model_file::{self, ModelFileError};
use super::model_history::{ModelAction, ModelChange, ModelHistory};
use super::model_shelf::{ModelShelf, ModelsInForce};
use crate::book::command::Request;
use crate::book::cursor::FeedCursor;
use crate::book::records::{Cursor, Freshness};
use crate::screening::AutoReject;
use crate::screening::model::Model;
use crate::vocabulary::ids::{Actor, ProgramId};
use crate::vocabulary::time::Timestamp;

/// Models that one programme may have loaded at most, those for all programmes included.
pub const MODELS_MAX: usize = 100;
/// The model that is compiled in: it decides where neither a programme nor the folder says otherwise.
pub const SHIPPED_MODEL: &[u8] = include_bytes!("../../../models/default.json");

/// A file of this name in the folder decides in programmes that never chose, instead of the shipped model.
const DEFAULT_FILE: &str = "default.json";
const STATE_FILE: &str = "state.json";
const HISTORY_FILE: &str = "history.jsonl";
/// Whose name stands at what the service did by itself.
const SERVICE_ACTOR: &str = "selfsame";
/// Places of the feed that are read again at most after a crash. Reading a place costs microseconds, keeping one a disk sync. What reviewers
/// resolved is kept at once: it is rare.
const KEEP_EVERY: u64 = 4_096;

/// A model with when it came.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// The model.
    pub model: Arc<Model>,
    /// When it was loaded, or its file written.
    pub loaded_at: Timestamp,
}

/// Who changes something, why, and when.
#[derive(Debug, Clone)]
pub struct ChangeBy {
    /// Who.
    pub actor: Actor,
    /// Why; empty when nothing was said.
    pub note: String,
    /// When.
    pub at: Timestamp,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
}

/// What a change of what decides led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// What decided until then; absent for the rule weights.
    pub previous: Option<String>,
    /// Whether the same call had made it before.
    pub freshness: Freshness,
}

/// The audits of the model that decides in a programme and may reject.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// Its version.
    pub version: String,
    /// How far the feed was read, and what was found.
    pub watch: Watch,
    /// Which choice it belongs to.
    epoch: u64,
}

impl Watched {
    /// What was found of the model that decides.
    #[must_use]
    pub fn audits(&self) -> ModelAudits {
        self.watch.audits_of(&self.version)
    }
}

/// The store. One for a server.
pub struct ModelStore {
    folder: Option<PathBuf>,
    shelf: Arc<ModelShelf>,
    inner: Mutex<Inner>,
}

impl ModelStore {
    /// Loads the model files of a folder and the choices of last time; without a folder, the shipped model and nothing is kept. The folder is
    /// made when it is not there.
    ///
    /// A file that nothing uses and that does not fit is left out with a warning; so is a challenger.
    ///
    /// # Errors
    /// [`ModelStoreError::InUse`] when a model that decides cannot be loaded, [`ModelStoreError::State`] when the choices cannot be read.
    pub fn open(folder: Option<&Path>, shelf: Arc<ModelShelf>, now: Timestamp) -> Result<Self, ModelStoreError> {
        let shipped = LoadedModel { model: Arc::new(model_file::from_bytes(SHIPPED_MODEL)?), loaded_at: now };
        let mut inner = Inner {
            default: shipped.model.version().to_owned(),
            shared: BTreeMap::new(),
            own: BTreeMap::new(),
            shipped,
            state: State::default(),
            history: ModelHistory::default(),
        };
        if let Some(folder) = folder {
            let io = |source| ModelFileError::Io { path: folder.to_owned(), source };
            std::fs::create_dir_all(folder).map_err(io)?;
            inner.state = state::read(folder)?;
            let path = folder.join(HISTORY_FILE);
            inner.history = ModelHistory::open(&path, inner.state.changes)
                .map_err(|error| ModelStoreError::State { path, reason: error.to_string() })?;
            inner.read_models(folder)?;
        }
        let store = Self { folder: folder.map(Path::to_owned), shelf, inner: Mutex::new(inner) };
        store.shelve_all()?;
        Ok(store)
    }

    /// The models that a programme can use, the newest first.
    #[must_use]
    pub fn models(&self, program: &ProgramId) -> Vec<LoadedModel> {
        let mut models: Vec<LoadedModel> = self.inner.lock().of_program(program).into_values().collect();
        models.sort_by(|a, b| b.loaded_at.cmp(&a.loaded_at).then_with(|| a.model.version().cmp(b.model.version())));
        models
    }

    /// A model that a programme can use; `None` when there is none of this version.
    #[must_use]
    pub fn model(&self, program: &ProgramId, version: &str) -> Option<LoadedModel> {
        self.inner.lock().find(program, version).cloned()
    }

    /// The choices of a programme.
    #[must_use]
    pub fn choices(&self, program: &ProgramId) -> Choices {
        self.inner.lock().choices(program)
    }

    /// The models of a programme as decisions take them.
    #[must_use]
    pub fn in_force(&self, program: &ProgramId) -> Arc<ModelsInForce> {
        self.shelf.models_of(program)
    }

    /// The version of the model that decides where nobody chose.
    #[must_use]
    pub fn default_version(&self) -> String {
        self.inner.lock().default.clone()
    }

    /// Whether that is the model that is compiled in.
    #[must_use]
    pub fn default_is_shipped(&self) -> bool {
        let inner = self.inner.lock();
        inner.default == inner.shipped.model.version()
    }

    /// How many programmes chose for themselves.
    #[must_use]
    pub fn programs_that_chose(&self) -> usize {
        self.inner.lock().state.programs.values().filter(|state| state.choices.is_some()).count()
    }

    /// What was changed in a programme, the newest first, at most so much.
    #[must_use]
    pub fn history(&self, program: &ProgramId, limit: usize) -> Vec<ModelChange> {
        let inner = self.inner.lock();
        let own = inner.history.changes().iter().rev().filter(|change| change.program == program.as_str());
        own.take(limit).cloned().collect()
    }

    /// Loads a model from the bytes of a file, for one programme, and keeps a copy. Loading the same again is harmless.
    ///
    /// # Errors
    /// [`ModelStoreError::File`], [`ModelStoreError::VersionTaken`], [`ModelStoreError::TooMany`], [`ModelStoreError::Name`].
    pub fn load(&self, program: &ProgramId, bytes: &[u8], by: ChangeBy) -> Result<LoadedModel, ModelStoreError> {
        let model = model_file::from_bytes(bytes)?;
        let version = model.version().to_owned();
        files::check_name(&files::name_of(&version))?;
        let mut inner = self.inner.lock();
        inner.done_before(program, by.request.as_ref())?;
        if let Some(known) = inner.known(program, &model)? {
            return Ok(known);
        }
        if let Some(folder) = &self.folder {
            files::keep(folder, program, &model)?;
        }
        let loaded = LoadedModel { model: Arc::new(model), loaded_at: by.at };
        inner.own.entry(program.clone()).or_default().insert(version.clone().into(), loaded.clone());
        let line = Line { action: ModelAction::Loaded, version: Some(version.clone()), previous: None };
        if let Err(error) = self.keep_change(&mut inner, program, line, by) {
            if let Some(own) = inner.own.get_mut(program) {
                own.remove(version.as_str());
            }
            return Err(error);
        }
        Ok(loaded)
    }

    /// Loads a file of the model folder, which is there for all programmes.
    ///
    /// # Errors
    /// As [`ModelStore::load`]; [`ModelStoreError::NoFolder`] without one.
    pub fn load_file(&self, program: &ProgramId, name: &str, by: ChangeBy) -> Result<LoadedModel, ModelStoreError> {
        files::check_name(name)?;
        let folder = self.folder.as_ref().ok_or(ModelStoreError::NoFolder)?;
        let model = model_file::read(&folder.join(name))?;
        let mut inner = self.inner.lock();
        inner.done_before(program, by.request.as_ref())?;
        if let Some(known) = inner.known(program, &model)? {
            return Ok(known);
        }
        let version = model.version().to_owned();
        let line = Line { action: ModelAction::Loaded, version: Some(version.clone()), previous: None };
        let loaded = LoadedModel { model: Arc::new(model), loaded_at: by.at };
        self.keep_change(&mut inner, program, line, by)?;
        inner.shared.insert(version.into(), loaded.clone());
        Ok(loaded)
    }

    /// Makes a loaded model the one that decides, and arms its auto-reject again. Gives what decided until now. `since`: the end of the programme's
    /// journal, from which on audits count for this activation. A model that is active already keeps what a rollback leads to; a challenger that is
    /// activated is none any more.
    ///
    /// # Errors
    /// [`ModelStoreError::NotLoaded`]; [`ModelStoreError::File`] when the choice cannot be kept.
    pub fn activate(
        &self,
        program: &ProgramId,
        version: &str,
        since: FeedCursor,
        by: ChangeBy,
    ) -> Result<Changed, ModelStoreError> {
        let mut inner = self.inner.lock();
        if let Some(done) = inner.done_before(program, by.request.as_ref())? {
            return Ok(done);
        }
        let mut next = inner.program_state(program);
        let mut choices = inner.choices(program);
        let before = choices.active.replace(version.to_owned());
        if before.as_deref() != Some(version) {
            choices.before = Some(Before { version: before.clone() });
        }
        choices.challenger.take_if(|challenger| challenger == version);
        if next.watch.models.is_empty() && !before.as_deref().is_some_and(|before| inner.may_reject(program, before)) {
            // Nothing was watched until now: nothing before this is of interest.
            next.watch.read_up_to = Some(since);
        }
        next.watch.models.insert(version.to_owned(), ModelAudits { since: since.place.0, ..ModelAudits::default() });
        next.choices = Some(choices);
        let line = Line { action: ModelAction::Activated, version: Some(version.to_owned()), previous: before.clone() };
        self.put_in_force(&mut inner, program, next, line, by)?;
        Ok(Changed { previous: before, freshness: Freshness::New })
    }

    /// Goes back one step, to what decided before the last activation. Gives what decided until now. A model whose breaker had tripped comes back
    /// tripped; a challenger that comes back is none any more.
    ///
    /// # Errors
    /// [`ModelStoreError::NothingBefore`]; [`ModelStoreError::File`] when the choice cannot be kept.
    pub fn roll_back(&self, program: &ProgramId, by: ChangeBy) -> Result<Changed, ModelStoreError> {
        let mut inner = self.inner.lock();
        if let Some(done) = inner.done_before(program, by.request.as_ref())? {
            return Ok(done);
        }
        let mut next = inner.program_state(program);
        let mut choices = inner.choices(program);
        let Before { version } = choices.before.take().ok_or(ModelStoreError::NothingBefore)?;
        let until_now = std::mem::replace(&mut choices.active, version.clone());
        choices.challenger.take_if(|challenger| Some(&*challenger) == version.as_ref());
        next.choices = Some(choices);
        let line = Line { action: ModelAction::RolledBack, version, previous: until_now.clone() };
        self.put_in_force(&mut inner, program, next, line, by)?;
        Ok(Changed { previous: until_now, freshness: Freshness::New })
    }

    /// Sets the challenger, or clears it.
    ///
    /// # Errors
    /// [`ModelStoreError::NotLoaded`]; [`ModelStoreError::File`] when the choice cannot be kept.
    pub fn set_challenger(&self, program: &ProgramId, version: Option<&str>, by: ChangeBy) -> Result<Changed, ModelStoreError> {
        let mut inner = self.inner.lock();
        if let Some(done) = inner.done_before(program, by.request.as_ref())? {
            return Ok(done);
        }
        let mut next = inner.program_state(program);
        let mut choices = inner.choices(program);
        let previous = std::mem::replace(&mut choices.challenger, version.map(str::to_owned));
        let action = if version.is_some() { ModelAction::ChallengerSet } else { ModelAction::ChallengerCleared };
        next.choices = Some(choices);
        let line = Line { action, version: version.map(str::to_owned), previous: previous.clone() };
        self.put_in_force(&mut inner, program, next, line, by)?;
        Ok(Changed { previous, freshness: Freshness::New })
    }

    /// Whether a call was made before; nothing is when it has no id.
    ///
    /// # Errors
    /// [`ModelStoreError::RequestTaken`] when its id was another call's.
    pub fn was_done(&self, program: &ProgramId, request: Option<&Request>) -> Result<bool, ModelStoreError> {
        Ok(self.inner.lock().done_before(program, request)?.is_some())
    }

    /// The audits of the model that decides; `None` when none decides that may reject.
    #[must_use]
    pub fn watched(&self, program: &ProgramId) -> Option<Watched> {
        let inner = self.inner.lock();
        let version = inner.choices(program).active.filter(|version| inner.may_reject(program, version))?;
        let ProgramState { watch, epoch, .. } = inner.program_state(program);
        Some(Watched { version, watch, epoch })
    }

    /// Takes what the watch found since [`ModelStore::watched`]. Where the breaker of the active model tripped, it is in force when this
    /// returns, whether it could be kept or not. Where somebody chose meanwhile, nothing was taken: count again.
    ///
    /// # Errors
    /// [`ModelStoreError::File`] when it cannot be kept; it is counted again next time.
    pub fn note_audits(&self, program: &ProgramId, found: &Watched, at: Timestamp) -> Result<Noted, ModelStoreError> {
        let mut inner = self.inner.lock();
        let mut next = inner.program_state(program);
        if next.epoch != found.epoch {
            return Ok(Noted::ChosenMeanwhile);
        }
        let audits = found.audits();
        let trips = audits.is_tripped() && !next.watch.audits_of(&found.version).is_tripped();
        let resolved = !next.watch.resolved().eq(found.watch.resolved());
        next.watch = found.watch.clone();
        if trips {
            self.shelf.change(program, |shelved| shelved.auto_reject = AutoReject::Tripped);
            let note = format!("{} of {} audited rejects were honest", audits.honest, audits.resolved());
            let actor = Actor::new(SERVICE_ACTOR).map_err(|_| ModelStoreError::Name(SERVICE_ACTOR.to_owned()))?;
            let line = Line { action: ModelAction::BreakerTripped, version: Some(found.version.clone()), previous: None };
            next.kept_up_to = next.watch.place();
            let earlier = inner.state.programs.insert(program.clone(), next);
            let kept = self.keep_change(&mut inner, program, line, ChangeBy { actor, note, at, request: None });
            if kept.is_err() {
                inner.put_back(program, earlier);
            }
            return kept.map(|()| Noted::Tripped);
        }
        let Cursor(kept) = next.kept_up_to;
        let keep = resolved || !(kept..kept.saturating_add(KEEP_EVERY)).contains(&next.watch.place().0);
        if keep {
            next.kept_up_to = next.watch.place();
        }
        let earlier = inner.state.programs.insert(program.clone(), next);
        if keep && let Err(error) = self.write_state(&inner.state) {
            inner.put_back(program, earlier);
            return Err(error);
        }
        Ok(Noted::Taken)
    }

    /// Checks a choice, keeps it on disk with its line, and only then puts it in force.
    fn put_in_force(
        &self,
        inner: &mut Inner,
        program: &ProgramId,
        mut next: ProgramState,
        line: Line,
        by: ChangeBy,
    ) -> Result<(), ModelStoreError> {
        let choices = next.choices.clone().unwrap_or_default();
        let find = |version: &Option<String>| match version {
            Some(version) => {
                let found = inner.find(program, version).cloned();
                found.map(Some).ok_or_else(|| ModelStoreError::NotLoaded(version.clone()))
            }
            None => Ok(None),
        };
        let (active, challenger) = (find(&choices.active)?, find(&choices.challenger)?);
        if let Some(folder) = &self.folder {
            // So that it is still there when another server ships another default.
            let before = choices.before.as_ref().and_then(|before| before.version.as_deref());
            let shipped = inner.shipped.model.version();
            if [choices.active.as_deref(), before, choices.challenger.as_deref()].contains(&Some(shipped)) {
                files::keep(folder, program, &inner.shipped.model)?;
            }
        }
        next.epoch += 1;
        next.kept_up_to = next.watch.place();
        let auto_reject = next.auto_reject();
        let earlier = inner.state.programs.insert(program.clone(), next);
        if let Err(error) = self.keep_change(inner, program, line, by) {
            inner.put_back(program, earlier);
            return Err(error);
        }
        self.shelf.change(program, |shelved| {
            shelved.active = active.map(|loaded| loaded.model);
            shelved.challenger = challenger.map(|loaded| loaded.model);
            shelved.auto_reject = auto_reject;
        });
        Ok(())
    }

    /// Writes the line of a change and then the state that it leads to.
    fn keep_change(&self, inner: &mut Inner, program: &ProgramId, line: Line, by: ChangeBy) -> Result<(), ModelStoreError> {
        let Line { action, version, previous } = line;
        let ChangeBy { actor, note, at, request } = by;
        let (request_id, request_content) =
            request.map(|request| (request.id.to_string(), hex::encode(request.content.0))).unzip();
        let number = inner.state.changes + 1;
        let (program, actor) = (program.to_string(), actor.to_string());
        let at_millis = at.as_millis();
        let change =
            ModelChange { number, program, action, version, previous, actor, note, at_millis, request_id, request_content };
        inner.history.append(change).map_err(|source| {
            let path = self.folder.clone().unwrap_or_default().join(HISTORY_FILE);
            ModelFileError::Io { path, source }
        })?;
        inner.state.changes = number;
        if let Err(error) = self.write_state(&inner.state) {
            inner.state.changes = number - 1;
            inner.history.take_back();
            return Err(error);
        }
        Ok(())
    }

    fn write_state(&self, state: &State) -> Result<(), ModelStoreError> {
        self.folder.as_deref().map_or(Ok(()), |folder| state::write(folder, state))
    }

    fn shelve_all(&self) -> Result<(), ModelStoreError> {
        let inner = self.inner.lock();
        let default = inner.shared.get(inner.default.as_str()).unwrap_or(&inner.shipped);
        self.shelf.change_default(|shelved| shelved.active = Some(Arc::clone(&default.model)));
        for (program, state) in &inner.state.programs {
            let choices = inner.choices(program);
            let active = match &choices.active {
                Some(version) => Some(inner.find(program, version).ok_or_else(|| self.lost(program, version))?),
                None => None,
            };
            let challenger = choices.challenger.as_ref().and_then(|version| {
                let found = inner.find(program, version);
                if found.is_none() {
                    tracing::warn!(%program, version, "the challenger cannot be loaded; nothing is scored in the shadow");
                }
                found
            });
            self.shelf.change(program, |shelved| {
                shelved.active = active.map(|loaded| Arc::clone(&loaded.model));
                shelved.challenger = challenger.map(|loaded| Arc::clone(&loaded.model));
                shelved.auto_reject = state.auto_reject_of(choices.active.as_deref());
            });
        }
        Ok(())
    }

    fn lost(&self, program: &ProgramId, version: &str) -> ModelStoreError {
        ModelStoreError::InUse {
            version: version.to_owned(),
            place: format!("programme `{program}`"),
            reason: "no file of this version was found that fits this server; warnings before this say which files do not fit"
                .to_owned(),
            folder: self.folder.clone().unwrap_or_default(),
        }
    }
}

/// What became of what the watch found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    /// It was taken.
    Taken,
    /// It was taken, and the breaker tripped.
    Tripped,
    /// Somebody chose meanwhile; nothing was taken.
    ChosenMeanwhile,
}

/// What a line of the history says beside who, when and why.
struct Line {
    action: ModelAction,
    version: Option<String>,
    previous: Option<String>,
}
