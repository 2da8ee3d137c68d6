//! The model store: the models that are loaded, and which of them decides, went before and is watched in each programme.
//!
//! Puts its choices on the [`ModelShelf`], from which decisions take them, and keeps them in `state.json` of the model folder, written whole
//! or not at all, so that a restart decides as before. A loaded model is copied into the folder as `<version>.json`. It must never activate a
//! model that was not loaded and checked. The model service and `serve` call it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::model_file::{self, ModelFileError};
use super::model_shelf::{ModelShelf, ModelsInForce};
use crate::screening::AutoReject;
use crate::screening::model::Model;
use crate::vocabulary::ids::{InvalidId, ProgramId};

/// Models that are kept loaded at most.
pub const MODELS_MAX: usize = 100;

/// The version under which the model that a new programme begins with is looked for.
const DEFAULT_FILE: &str = "default.json";
const STATE_FILE: &str = "state.json";

/// Why the store did not do it. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ModelStoreError {
    /// The file is no usable model.
    #[error(transparent)]
    File(#[from] ModelFileError),
    /// No such model is loaded.
    #[error("model `{0}` is not loaded; load its file first")]
    NotLoaded(String),
    /// Nothing to go back to.
    #[error("nothing was activated before; there is nothing to go back to")]
    NothingBefore,
    /// Another model has this version.
    #[error("another model is loaded as `{0}`; a version names one model for ever")]
    VersionTaken(String),
    /// Too many.
    #[error("{MODELS_MAX} models are loaded; remove files from the model folder and restart")]
    TooMany,
    /// The name leads out of the folder, or is no file name.
    #[error("`{0}` is not a file name: letters, digits, `.`, `_` and `-`, not beginning with a dot")]
    Name(String),
    /// The state file is not one.
    #[error("`{path}` cannot be used: {reason}; remove it to begin with the default model")]
    State {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The choices of one programme, by version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// The one that decides; absent for the rule weights.
    pub active: Option<String>,
    /// What decided before the last activation; the inner is absent for the rule weights.
    pub before: Option<Before>,
    /// The one that is only watched.
    pub challenger: Option<String>,
}

/// What a rollback brings back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Before {
    /// The version; absent for the rule weights.
    pub version: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateForm {
    programs: BTreeMap<String, Choices>,
}

struct Inner {
    loaded: BTreeMap<Box<str>, Arc<Model>>,
    default: Option<String>,
    programs: BTreeMap<ProgramId, Choices>,
}

/// The store. One for a server.
pub struct ModelStore {
    folder: PathBuf,
    shelf: Arc<ModelShelf>,
    inner: Mutex<Inner>,
}

impl ModelStore {
    /// Loads all model files of a folder and the choices of last time. The folder is made when it is not there. `default.json`, if it is
    /// there, decides in programmes that never chose.
    ///
    /// # Errors
    /// [`ModelStoreError::File`] when a file that is in use cannot be loaded, [`ModelStoreError::State`] when the choices cannot be read.
    pub fn open(folder: &Path, shelf: Arc<ModelShelf>) -> Result<Self, ModelStoreError> {
        let io = |source| ModelFileError::Io { path: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(io)?;
        let mut inner = Inner { loaded: BTreeMap::new(), default: None, programs: read_state(&folder.join(STATE_FILE))? };
        let mut paths: Vec<PathBuf> =
            std::fs::read_dir(folder).map_err(io)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let is_model = |path: &PathBuf| {
            path.extension().is_some_and(|end| end == "json") && path.file_name().is_some_and(|name| name != STATE_FILE)
        };
        for path in paths.into_iter().filter(is_model) {
            let model = model_file::read(&path)?;
            if path.file_name().is_some_and(|name| name == DEFAULT_FILE) {
                inner.default = Some(model.version().to_owned());
            }
            inner.keep(model)?;
        }
        let store = Self { folder: folder.to_owned(), shelf, inner: Mutex::new(inner) };
        store.shelve_all()?;
        Ok(store)
    }

    /// The loaded models by version.
    #[must_use]
    pub fn models(&self) -> Vec<Arc<Model>> {
        self.inner.lock().loaded.values().cloned().collect()
    }

    /// The choices of a programme.
    #[must_use]
    pub fn choices(&self, program: &ProgramId) -> Choices {
        self.inner.lock().choices(program)
    }

    /// Loads a model from the bytes of a file and keeps a copy. Loading the same again is harmless.
    ///
    /// # Errors
    /// [`ModelStoreError::File`], [`ModelStoreError::VersionTaken`], [`ModelStoreError::TooMany`], [`ModelStoreError::Name`].
    pub fn load(&self, bytes: &[u8]) -> Result<Arc<Model>, ModelStoreError> {
        let model = model_file::from_bytes(bytes)?;
        let name = format!("{}.json", model.version());
        check_name(&name)?;
        let mut inner = self.inner.lock();
        let known = inner.loaded.contains_key(model.version());
        let kept = inner.keep(model)?;
        if !known {
            model_file::write(&self.folder.join(name), &kept)?;
        }
        Ok(kept)
    }

    /// Loads a file of the model folder.
    ///
    /// # Errors
    /// As [`ModelStore::load`].
    pub fn load_file(&self, name: &str) -> Result<Arc<Model>, ModelStoreError> {
        check_name(name)?;
        let model = model_file::read(&self.folder.join(name))?;
        self.inner.lock().keep(model)
    }

    /// Makes a loaded model the one that decides. Gives what decided before.
    ///
    /// # Errors
    /// [`ModelStoreError::NotLoaded`]; [`ModelStoreError::File`] when the choice cannot be kept.
    pub fn activate(&self, program: &ProgramId, version: &str) -> Result<Option<String>, ModelStoreError> {
        self.change(program, |choices| {
            let before = choices.active.replace(version.to_owned());
            if before.as_deref() != Some(version) {
                choices.before = Some(Before { version: before.clone() });
            }
            Ok(before)
        })
    }

    /// Goes back to what decided before the last activation. Gives what decided until now.
    ///
    /// # Errors
    /// [`ModelStoreError::NothingBefore`]; [`ModelStoreError::File`] when the choice cannot be kept.
    pub fn roll_back(&self, program: &ProgramId) -> Result<Option<String>, ModelStoreError> {
        self.change(program, |choices| {
            let Before { version } = choices.before.take().ok_or(ModelStoreError::NothingBefore)?;
            Ok(std::mem::replace(&mut choices.active, version))
        })
    }

    /// Sets the challenger, or clears it.
    ///
    /// # Errors
    /// [`ModelStoreError::NotLoaded`]; [`ModelStoreError::File`] when the choice cannot be kept.
    pub fn set_challenger(&self, program: &ProgramId, version: Option<&str>) -> Result<(), ModelStoreError> {
        self.change(program, |choices| {
            choices.challenger = version.map(str::to_owned);
            Ok(())
        })
    }

    /// Tries a change on a copy, keeps it on disk, and only then puts it in force.
    fn change<T>(
        &self,
        program: &ProgramId,
        change: impl FnOnce(&mut Choices) -> Result<T, ModelStoreError>,
    ) -> Result<T, ModelStoreError> {
        let mut inner = self.inner.lock();
        let active_before = inner.choices(program).active;
        let mut choices = inner.choices(program);
        let answer = change(&mut choices)?;
        let models = inner.in_force(&choices)?;
        let earlier = inner.programs.insert(program.clone(), choices.clone());
        if let Err(error) = self.write_state(&inner.programs) {
            match earlier {
                Some(earlier) => inner.programs.insert(program.clone(), earlier),
                None => inner.programs.remove(program),
            };
            return Err(error);
        }
        let changed_model = active_before != choices.active;
        self.shelf.change(program, |shelved| {
            (shelved.active, shelved.challenger) = (models.active, models.challenger);
            if changed_model {
                // The error of another model says nothing of this one.
                shelved.auto_reject = AutoReject::Armed;
            }
        });
        Ok(answer)
    }

    fn write_state(&self, programs: &BTreeMap<ProgramId, Choices>) -> Result<(), ModelStoreError> {
        let path = self.folder.join(STATE_FILE);
        let programs = programs.iter().map(|(program, choices)| (program.as_str().to_owned(), choices.clone())).collect();
        let bytes = serde_json::to_vec_pretty(&StateForm { programs })
            .map_err(|error| ModelStoreError::State { path: path.clone(), reason: error.to_string() })?;
        model_file::write_whole(&path, &bytes).map_err(|source| ModelFileError::Io { path, source })?;
        Ok(())
    }

    fn shelve_all(&self) -> Result<(), ModelStoreError> {
        let inner = self.inner.lock();
        let default = inner.in_force(&Choices { active: inner.default.clone(), ..Choices::default() })?;
        self.shelf.change_default(|shelved| shelved.active = default.active);
        for (program, choices) in &inner.programs {
            let models = inner.in_force(choices)?;
            self.shelf.change(program, |shelved| (shelved.active, shelved.challenger) = (models.active, models.challenger));
        }
        Ok(())
    }
}

impl Inner {
    fn choices(&self, program: &ProgramId) -> Choices {
        let own = self.programs.get(program).cloned();
        own.unwrap_or_else(|| Choices { active: self.default.clone(), ..Choices::default() })
    }

    fn keep(&mut self, model: Model) -> Result<Arc<Model>, ModelStoreError> {
        match self.loaded.get(model.version()) {
            Some(known) if **known == model => return Ok(Arc::clone(known)),
            Some(_) => return Err(ModelStoreError::VersionTaken(model.version().to_owned())),
            None if self.loaded.len() >= MODELS_MAX => return Err(ModelStoreError::TooMany),
            None => {}
        }
        let kept = Arc::new(model);
        self.loaded.insert(kept.version().into(), Arc::clone(&kept));
        Ok(kept)
    }

    fn in_force(&self, choices: &Choices) -> Result<ModelsInForce, ModelStoreError> {
        let find = |version: &Option<String>| match version {
            Some(version) => {
                self.loaded.get(version.as_str()).cloned().map(Some).ok_or_else(|| ModelStoreError::NotLoaded(version.clone()))
            }
            None => Ok(None),
        };
        Ok(ModelsInForce {
            active: find(&choices.active)?,
            challenger: find(&choices.challenger)?,
            auto_reject: AutoReject::Armed,
        })
    }
}

fn read_state(path: &Path) -> Result<BTreeMap<ProgramId, Choices>, ModelStoreError> {
    let bad = |reason: String| ModelStoreError::State { path: path.to_owned(), reason };
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(bad(error.to_string())),
    };
    let StateForm { programs } = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let named = |(name, choices): (String, Choices)| Ok((ProgramId::new(&name)?, choices));
    programs.into_iter().map(named).collect::<Result<_, InvalidId>>().map_err(|error| bad(error.to_string()))
}

fn check_name(name: &str) -> Result<(), ModelStoreError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let fine = !name.is_empty() && name.len() <= 128 && !name.starts_with('.') && name != STATE_FILE && name.bytes().all(allowed);
    if fine { Ok(()) } else { Err(ModelStoreError::Name(name.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::model_file::tests::model;

    fn program() -> ProgramId {
        ProgramId::new("shop").unwrap()
    }

    fn active(shelf: &ModelShelf) -> Option<String> {
        shelf.models_of(&program()).active.as_ref().map(|model| model.version().to_owned())
    }

    #[test]
    fn what_was_activated_decides_after_a_restart_and_can_be_rolled_back() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Arc::new(ModelShelf::default());
        let store = ModelStore::open(folder.path(), Arc::clone(&shelf)).unwrap();
        for version in ["m-1", "m-2"] {
            store.load(&model_file::to_bytes(&model(version)).unwrap()).unwrap();
        }
        assert_eq!(store.activate(&program(), "m-1").unwrap(), None);
        assert_eq!(store.activate(&program(), "m-2").unwrap(), Some("m-1".to_owned()));
        let shelf = Arc::new(ModelShelf::default());
        let store = ModelStore::open(folder.path(), Arc::clone(&shelf)).unwrap();
        assert_eq!(active(&shelf).as_deref(), Some("m-2"));
        assert_eq!(store.roll_back(&program()).unwrap(), Some("m-2".to_owned()));
        assert_eq!(active(&shelf).as_deref(), Some("m-1"));
        assert!(matches!(store.roll_back(&program()), Err(ModelStoreError::NothingBefore)));
    }

    #[test]
    fn the_default_file_decides_where_nobody_chose() {
        let folder = tempfile::tempdir().unwrap();
        model_file::write(&folder.path().join(DEFAULT_FILE), &model("shipped")).unwrap();
        let shelf = Arc::new(ModelShelf::default());
        let store = ModelStore::open(folder.path(), Arc::clone(&shelf)).unwrap();
        assert_eq!(active(&shelf).as_deref(), Some("shipped"));
        assert_eq!(store.choices(&program()).active.as_deref(), Some("shipped"));
    }

    #[test]
    fn what_is_not_loaded_cannot_be_activated_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Arc::new(ModelShelf::default());
        let store = ModelStore::open(folder.path(), Arc::clone(&shelf)).unwrap();
        assert!(matches!(store.activate(&program(), "ghost"), Err(ModelStoreError::NotLoaded(_))));
        assert!(matches!(store.load_file("../elsewhere.json"), Err(ModelStoreError::Name(_))));
        assert_eq!((active(&shelf), store.choices(&program())), (None, Choices::default()));
    }
}
