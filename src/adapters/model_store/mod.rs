//! The model store: the files of models, loaded and put on the [`ModelShelf`].
//!
//! Which of them decides, went before or is watched in a programme is not its business: the programme's book says so, and names each by version and
//! content. It must never load what does not fit this server, nor show one programme the models that were loaded for another. The model service and
//! `serve` call it.
//!
//! Files at the top of the folder are the operator's and there for all programmes. What was loaded through the API lies in
//! `programmes/<programme>/<version>.json` and is that programme's own.

mod error;
mod files;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

pub use self::error::ModelStoreError;
pub use self::files::can_be_version;
use super::model_file::{self, ModelFileError};
use super::model_shelf::ModelShelf;
use crate::book::models::ModelName;
use crate::screening::model::Model;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Timestamp;

/// Models that one programme may have loaded at most, those for all programmes included.
pub const MODELS_MAX: usize = 100;
/// The model that is compiled in: it decides where neither a programme nor the folder says otherwise.
pub const SHIPPED_MODEL: &[u8] = include_bytes!("../../../models/default.json");

/// A file of this name in the folder decides in programmes that never chose, instead of the shipped model.
const DEFAULT_FILE: &str = "default.json";

/// A model with when it came.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    /// The model.
    pub model: Arc<Model>,
    /// Its version, and the hash of its content.
    pub name: ModelName,
    /// When it was loaded, or its file written.
    pub loaded_at: Timestamp,
}

impl LoadedModel {
    fn new(model: Model, loaded_at: Timestamp) -> Result<Self, ModelFileError> {
        Ok(Self { name: model_file::name_of(&model)?, model: Arc::new(model), loaded_at })
    }
}

/// Whether a model was there already when it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It was not.
    New,
    /// It was.
    Known,
}

/// The store. One for a server.
pub struct ModelStore {
    folder: Option<PathBuf>,
    shelf: Arc<ModelShelf>,
    loaded: Mutex<Loaded>,
}

/// All that is loaded.
struct Loaded {
    shipped: LoadedModel,
    /// For all programmes, by version.
    shared: BTreeMap<Box<str>, LoadedModel>,
    /// Loaded for one programme, by version.
    own: BTreeMap<ProgramId, BTreeMap<Box<str>, LoadedModel>>,
    default: LoadedModel,
}

impl Loaded {
    /// The programme's own comes before that of all, and that before the shipped one.
    fn find(&self, program: &ProgramId, version: &str) -> Option<&LoadedModel> {
        let own = self.own.get(program).and_then(|own| own.get(version));
        let shipped = || (*self.shipped.name.version == *version).then_some(&self.shipped);
        own.or_else(|| self.shared.get(version)).or_else(shipped)
    }

    fn of_program(&self, program: &ProgramId) -> BTreeMap<Box<str>, LoadedModel> {
        let mut models = BTreeMap::from([(self.shipped.name.version.clone(), self.shipped.clone())]);
        models.extend(self.shared.clone());
        models.extend(self.own.get(program).cloned().unwrap_or_default());
        models
    }

    /// The model when it is loaded already.
    fn known(&self, program: &ProgramId, name: &ModelName) -> Result<Option<LoadedModel>, ModelStoreError> {
        match self.find(program, &name.version) {
            Some(known) if known.name == *name => Ok(Some(known.clone())),
            Some(_) => Err(ModelStoreError::VersionTaken(name.version.to_string())),
            None if self.of_program(program).len() >= MODELS_MAX => Err(ModelStoreError::TooMany),
            None => Ok(None),
        }
    }
}

impl ModelStore {
    /// Loads the model files of a folder; without a folder, the shipped model and nothing is kept. The folder is made when it is not there. A file
    /// that does not fit is left out with a warning.
    ///
    /// # Errors
    /// [`ModelStoreError::Default`] when the folder's default model cannot be loaded; [`ModelStoreError::File`].
    pub fn open(folder: Option<&Path>, shelf: Arc<ModelShelf>, now: Timestamp) -> Result<Self, ModelStoreError> {
        let shipped = LoadedModel::new(model_file::from_bytes(SHIPPED_MODEL)?, now)?;
        shelf.put(None, shipped.name.clone(), Arc::clone(&shipped.model));
        let loaded = Loaded { default: shipped.clone(), shared: BTreeMap::new(), own: BTreeMap::new(), shipped };
        let store = Self { folder: folder.map(Path::to_owned), shelf, loaded: Mutex::new(loaded) };
        if let Some(folder) = folder {
            let io = |source| ModelFileError::Io { path: folder.to_owned(), source };
            std::fs::create_dir_all(folder).map_err(io)?;
            store.read_folder()?;
        }
        store.shelf.set_default(Arc::clone(&store.loaded.lock().default.model));
        Ok(store)
    }

    /// The models that a programme can use, the newest first.
    #[must_use]
    pub fn models(&self, program: &ProgramId) -> Vec<LoadedModel> {
        let mut models: Vec<LoadedModel> = self.loaded.lock().of_program(program).into_values().collect();
        models.sort_by(|a, b| b.loaded_at.cmp(&a.loaded_at).then_with(|| a.name.cmp(&b.name)));
        models
    }

    /// A model that a programme can use; `None` when there is none of this version.
    #[must_use]
    pub fn model(&self, program: &ProgramId, version: &str) -> Option<LoadedModel> {
        self.loaded.lock().find(program, version).cloned()
    }

    /// The model of this name; `None` when none of its content is loaded for the programme.
    #[must_use]
    pub fn named(&self, program: &ProgramId, name: &ModelName) -> Option<LoadedModel> {
        self.model(program, &name.version).filter(|found| found.name == *name)
    }

    /// The model that decides where nobody chose.
    #[must_use]
    pub fn default_model(&self) -> LoadedModel {
        self.loaded.lock().default.clone()
    }

    /// Whether that is the model that is compiled in.
    #[must_use]
    pub fn default_is_shipped(&self) -> bool {
        let loaded = self.loaded.lock();
        loaded.default.name == loaded.shipped.name
    }

    /// The shelf on which its models stand.
    #[must_use]
    pub const fn shelf(&self) -> &Arc<ModelShelf> {
        &self.shelf
    }

    /// Where a file is put so that it is found; absent when nothing is kept on disk.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Loads a model from the bytes of a file, for one programme, and keeps a copy. Loading the same again is harmless.
    ///
    /// # Errors
    /// [`ModelStoreError::File`], [`ModelStoreError::VersionTaken`], [`ModelStoreError::TooMany`], [`ModelStoreError::Name`].
    pub fn load(&self, program: &ProgramId, bytes: &[u8], at: Timestamp) -> Result<(LoadedModel, Arrival), ModelStoreError> {
        let model = LoadedModel::new(model_file::from_bytes(bytes)?, at)?;
        files::check_name(&files::name_of(&model.name.version))?;
        let mut loaded = self.loaded.lock();
        if let Some(known) = loaded.known(program, &model.name)? {
            return Ok((known, Arrival::Known));
        }
        if let Some(folder) = &self.folder {
            files::keep(folder, program, &model.model)?;
        }
        self.put(&mut loaded, Some(program), &model);
        Ok((model, Arrival::New))
    }

    /// Loads a file of the model folder, which is there for all programmes.
    ///
    /// # Errors
    /// As [`ModelStore::load`]; [`ModelStoreError::NoFolder`] without one.
    pub fn load_file(&self, program: &ProgramId, name: &str, at: Timestamp) -> Result<(LoadedModel, Arrival), ModelStoreError> {
        files::check_name(name)?;
        let folder = self.folder.as_ref().ok_or(ModelStoreError::NoFolder)?;
        let model = LoadedModel::new(model_file::read(&folder.join(name))?, at)?;
        let mut loaded = self.loaded.lock();
        if let Some(known) = loaded.known(program, &model.name)? {
            return Ok((known, Arrival::Known));
        }
        self.put(&mut loaded, None, &model);
        Ok((model, Arrival::New))
    }

    /// Keeps a copy of the shipped model for a programme that is to name it, so that it is still there when another server ships another.
    ///
    /// # Errors
    /// [`ModelStoreError::File`].
    pub fn keep_shipped(&self, program: &ProgramId) -> Result<(), ModelStoreError> {
        let shipped = self.loaded.lock().shipped.clone();
        self.folder.as_deref().map_or(Ok(()), |folder| files::keep(folder, program, &shipped.model))
    }

    /// Looks into the folder again, for files that came since.
    ///
    /// # Errors
    /// As [`ModelStore::open`].
    pub fn look_again(&self) -> Result<(), ModelStoreError> {
        if self.folder.is_some() { self.read_folder() } else { Ok(()) }
    }

    fn put(&self, loaded: &mut Loaded, program: Option<&ProgramId>, model: &LoadedModel) {
        let place = match program {
            Some(program) => loaded.own.entry(program.clone()).or_default(),
            None => &mut loaded.shared,
        };
        place.insert(model.name.version.clone(), model.clone());
        self.shelf.put(program, model.name.clone(), Arc::clone(&model.model));
    }

    fn read_folder(&self) -> Result<(), ModelStoreError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        for file in files::models_in(folder)? {
            let is_default = file.name == DEFAULT_FILE && file.program.is_none();
            let mut loaded = self.loaded.lock();
            match file.read() {
                Ok(model) => {
                    let place = match &file.program {
                        Some(program) => loaded.own.get(program),
                        None => Some(&loaded.shared),
                    };
                    match place.and_then(|place| place.get(&model.name.version)) {
                        Some(known) if known.name != model.name => {
                            let version = &*model.name.version;
                            tracing::warn!(file = %file.path.display(), version, "another file has this version; this one is left out");
                            if is_default {
                                return Err(ModelStoreError::VersionTaken(version.to_owned()));
                            }
                        }
                        Some(_) => {}
                        None => self.put(&mut loaded, file.program.as_ref(), &model),
                    }
                    if is_default {
                        loaded.default = model;
                    }
                }
                Err(error) if is_default => return Err(ModelStoreError::Default { error, folder: folder.clone() }),
                Err(error) => {
                    tracing::warn!(file = %file.path.display(), %error, "this file of the model folder does not fit and is left out");
                }
            }
        }
        Ok(())
    }
}
