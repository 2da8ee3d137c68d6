//! The shelf: the models that are loaded, by what they are, and which of them are in force in a programme by what its book says.
//!
//! It must never give one programme the model of another, nor another model than the one that was chosen. The store puts models here; the ledger's
//! assessor takes them. A model that was chosen and is not here is missing: what happens then is the policy's business.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::RwLock;

use super::model_drift::LiveDrift;
use crate::book::models::{ModelChoices, ModelName, ProgramModels};
use crate::screening::model::Model;
use crate::screening::{AutoReject, Models};
use crate::vocabulary::ids::ProgramId;

/// The models of one programme.
#[derive(Debug, Clone, Default)]
pub struct ModelsInForce {
    /// The one that decides; absent when there is none, or it is missing.
    pub active: Option<Arc<Model>>,
    /// The one that is only watched; absent when none is, or it is missing.
    pub challenger: Option<Arc<Model>>,
    /// The one that was chosen to decide and is not loaded here; absent while all is well.
    pub missing: Option<ModelName>,
    /// By what they were found; absent where nobody chose.
    choices: Option<ModelChoices>,
    /// How what the active one scores is spread: one for each programme and activation.
    drift: Option<Arc<LiveDrift>>,
}

impl ModelsInForce {
    /// The models as an assessment takes them.
    #[must_use]
    pub fn as_models(&self, book: &ProgramModels) -> Models<'_> {
        let auto_reject = self.active.as_ref().map_or(AutoReject::Armed, |active| book.auto_reject(active.version()));
        Models { active: self.active.as_deref(), challenger: self.challenger.as_deref(), auto_reject }
    }

    /// How what the active one scores is spread; absent without one.
    #[must_use]
    pub fn drift(&self) -> Option<&LiveDrift> {
        self.drift.as_deref()
    }

    /// Whether this is still what was chosen, and nothing that may have come meanwhile is missing.
    fn is_of(&self, choices: Option<&ModelChoices>) -> bool {
        let watched = choices.is_some_and(|choices| choices.challenger.is_some());
        self.choices.as_ref() == choices && self.active.is_some() && (!watched || self.challenger.is_some())
    }
}

/// The models that are loaded.
#[derive(Debug, Default)]
struct Loaded {
    default: Option<Arc<Model>>,
    shared: BTreeMap<ModelName, Arc<Model>>,
    own: BTreeMap<ProgramId, BTreeMap<ModelName, Arc<Model>>>,
}

impl Loaded {
    fn find(&self, program: &ProgramId, name: &ModelName) -> Option<&Arc<Model>> {
        self.own.get(program).and_then(|own| own.get(name)).or_else(|| self.shared.get(name))
    }
}

/// The models of all programmes.
#[derive(Debug, Default)]
pub struct ModelShelf {
    loaded: RwLock<Loaded>,
    in_force: RwLock<BTreeMap<ProgramId, Arc<ModelsInForce>>>,
    /// Programmes whose model was told to be missing.
    told_missing: RwLock<BTreeSet<ProgramId>>,
}

impl ModelShelf {
    /// Sets what decides where nobody chose. For programmes in which nothing was decided yet.
    pub fn set_default(&self, model: Arc<Model>) {
        self.loaded.write().default = Some(model);
    }

    /// Puts a model here, for one programme or for all.
    pub fn put(&self, program: Option<&ProgramId>, name: ModelName, model: Arc<Model>) {
        let mut loaded = self.loaded.write();
        match program {
            Some(program) => loaded.own.entry(program.clone()).or_default().insert(name, model),
            None => loaded.shared.insert(name, model),
        };
    }

    /// A model of a programme by its version alone; absent when none is loaded.
    #[must_use]
    pub fn of_version(&self, program: &ProgramId, version: &str) -> Option<Arc<Model>> {
        let loaded = self.loaded.read();
        let own = loaded.own.get(program).into_iter().flatten();
        let all = own.chain(&loaded.shared).map(|(_, model)| model).chain(&loaded.default);
        all.into_iter().find(|model| model.version() == version).cloned()
    }

    /// The models that a programme's book names. A decision keeps what it got.
    #[must_use]
    pub fn models_of(&self, program: &ProgramId, book: &ProgramModels) -> Arc<ModelsInForce> {
        let choices = book.choices();
        let before = self.in_force.read().get(program).cloned();
        if let Some(known) = before.as_ref().filter(|known| known.is_of(choices)) {
            return Arc::clone(known);
        }
        let found = self.found(program, choices);
        self.tell_missing(program, found.missing.as_ref());
        let same = before
            .as_ref()
            .filter(|before| matches!((&before.active, &found.active), (Some(was), Some(is)) if Arc::ptr_eq(was, is)));
        let drift = match same {
            Some(before) => before.drift.clone(),
            None => found.active.clone().map(|model| Arc::new(LiveDrift::new(model))),
        };
        let found = Arc::new(ModelsInForce { drift, ..found });
        self.in_force.write().insert(program.clone(), Arc::clone(&found));
        found
    }

    fn found(&self, program: &ProgramId, choices: Option<&ModelChoices>) -> ModelsInForce {
        let loaded = self.loaded.read();
        let Some(ModelChoices { active, before: _, challenger }) = choices else {
            return ModelsInForce { active: loaded.default.clone(), ..ModelsInForce::default() };
        };
        let found = loaded.find(program, active).cloned();
        ModelsInForce {
            missing: found.is_none().then(|| active.clone()),
            active: found,
            challenger: challenger.as_ref().and_then(|name| loaded.find(program, name)).cloned(),
            choices: choices.cloned(),
            drift: None,
        }
    }

    /// Says once that a model is missing, and once that it is there again.
    fn tell_missing(&self, program: &ProgramId, missing: Option<&ModelName>) {
        if let Some(ModelName { version, content }) = missing {
            if self.told_missing.write().insert(program.clone()) {
                tracing::error!(
                    %program,
                    version = &**version,
                    %content,
                    "the model that decides is not loaded here, and what it would approve or reject goes to review: put its file into the model \
                     folder, or load it through the API"
                );
            }
            return;
        }
        let was_missing = self.told_missing.read().contains(program);
        if was_missing && self.told_missing.write().remove(program) {
            tracing::info!(%program, "the model that decides is loaded again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::model_file;
    use crate::adapters::model_file::tests::model;
    use crate::book::models::tests::chosen;
    use crate::screening::features::{FEATURE_COUNT, FeatureVector};

    fn shop() -> ProgramId {
        ProgramId::new("shop").unwrap()
    }

    fn other() -> ProgramId {
        ProgramId::new("other").unwrap()
    }

    fn put(shelf: &ModelShelf, program: Option<&ProgramId>, version: &str) -> ModelName {
        let model = Arc::new(model(version));
        let name = model_file::name_of(&model).unwrap();
        shelf.put(program, name.clone(), model);
        name
    }

    #[test]
    fn each_programme_has_a_drift_of_its_own_which_begins_anew_with_another_model() {
        let shelf = ModelShelf::default();
        shelf.set_default(Arc::new(model("m-1")));
        let nothing = ProgramModels::default();
        let counted =
            |program: &ProgramId, book: &ProgramModels| shelf.models_of(program, book).drift().unwrap().of_score().values;
        let observed = shelf.models_of(&shop(), &nothing);
        observed.drift().unwrap().observe(0.5, || FeatureVector::from_values([0.0; FEATURE_COUNT]));
        assert_eq!((counted(&shop(), &nothing), counted(&other(), &nothing)), (1, 0));
        let second = put(&shelf, None, "m-2");
        assert_eq!(counted(&shop(), &chosen(second)), 0);
    }

    #[test]
    fn a_model_that_is_not_here_is_missing_until_it_comes_and_another_of_its_version_is_none() {
        let shelf = ModelShelf::default();
        let of_other = put(&shelf, Some(&other()), "m-1");
        let missing = shelf.models_of(&shop(), &chosen(of_other.clone()));
        assert_eq!((missing.active.is_none(), missing.missing.as_ref()), (true, Some(&of_other)));
        let changed = ModelName { content: crate::book::models::ModelContent([9; 16]), ..of_other.clone() };
        put(&shelf, Some(&shop()), "m-1");
        assert!(shelf.models_of(&shop(), &chosen(changed)).active.is_none());
        let here = shelf.models_of(&shop(), &chosen(of_other));
        assert_eq!((here.active.as_ref().map(|model| model.version()), here.missing.as_ref()), (Some("m-1"), None));
    }
}
