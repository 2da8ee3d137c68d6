//! The models in force, by programme: which one decides, which one is watched, and whether the first may reject by itself.
//!
//! It must never give one programme the model of another. The model files' reader and the breaker of the live bound put models here; the
//! ledger's assessor takes them. An empty shelf is a valid one: what happens then is the policy's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::model_drift::LiveDrift;
use crate::screening::model::Model;
use crate::screening::{AutoReject, Models};
use crate::vocabulary::ids::ProgramId;

/// The models of one programme.
#[derive(Debug, Clone, Default)]
pub struct ModelsInForce {
    /// The one that decides; absent when none was activated.
    pub active: Option<Arc<Model>>,
    /// The one that is only watched; absent when none is.
    pub challenger: Option<Arc<Model>>,
    /// Whether the active one may reject by itself.
    pub auto_reject: AutoReject,
    /// How what the active one scores is spread; set by the shelf, one for each programme and activation.
    drift: Option<Arc<LiveDrift>>,
}

impl ModelsInForce {
    /// The models as an assessment takes them.
    #[must_use]
    pub fn as_models(&self) -> Models<'_> {
        Models { active: self.active.as_deref(), challenger: self.challenger.as_deref(), auto_reject: self.auto_reject }
    }

    /// How what the active one scores is spread; absent without one.
    #[must_use]
    pub fn drift(&self) -> Option<&LiveDrift> {
        self.drift.as_deref()
    }

    /// Begins to count anew.
    fn with_new_drift(mut self) -> Self {
        self.drift = self.active.clone().map(|model| Arc::new(LiveDrift::new(model)));
        self
    }
}

/// The models of all programmes. Programmes without their own have those of the shelf's default, if there are any.
#[derive(Debug, Default)]
pub struct ModelShelf {
    default: RwLock<Arc<ModelsInForce>>,
    programs: RwLock<BTreeMap<ProgramId, Arc<ModelsInForce>>>,
}

impl ModelShelf {
    /// The models of a programme. A decision keeps what it got.
    #[must_use]
    pub fn models_of(&self, program: &ProgramId) -> Arc<ModelsInForce> {
        let own = self.programs.read().get(program).cloned();
        own.unwrap_or_else(|| Arc::clone(&self.default.read()))
    }

    /// The models of a programme in which something is decided: from here on its drift is its own.
    #[must_use]
    pub fn models_for_decision(&self, program: &ProgramId) -> Arc<ModelsInForce> {
        if let Some(own) = self.programs.read().get(program) {
            return Arc::clone(own);
        }
        self.change(program, |_| ());
        self.models_of(program)
    }

    /// Changes the models of one programme, all at once.
    pub fn change(&self, program: &ProgramId, change: impl FnOnce(&mut ModelsInForce)) {
        let mut programs = self.programs.write();
        let own = programs.get(program);
        let mut models = own.map_or_else(|| ModelsInForce::clone(&self.default.read()), |own| ModelsInForce::clone(own));
        let decided = own.and_then(|own| own.active.clone());
        change(&mut models);
        let same = matches!((&decided, &models.active), (Some(before), Some(now)) if Arc::ptr_eq(before, now));
        let models = if same { models } else { models.with_new_drift() };
        programs.insert(program.clone(), Arc::new(models));
    }

    /// Sets the models of all programmes without their own. For those that come after it: done when a store is opened.
    pub fn change_default(&self, change: impl FnOnce(&mut ModelsInForce)) {
        let mut default = self.default.write();
        let mut models = ModelsInForce::clone(&default);
        change(&mut models);
        *default = Arc::new(models);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_programme_has_a_drift_of_its_own_which_begins_anew_with_another_model() {
        use crate::adapters::model_file::tests::model;
        use crate::screening::features::{FEATURE_COUNT, FeatureVector};

        let shelf = ModelShelf::default();
        shelf.change_default(|models| models.active = Some(Arc::new(model("m-1"))));
        let (shop, other) = (ProgramId::new("shop").unwrap(), ProgramId::new("other").unwrap());
        let counted = |program| shelf.models_for_decision(program).drift().unwrap().of_score().values;
        shelf.models_for_decision(&shop).drift().unwrap().observe(0.5, || FeatureVector::from_values([0.0; FEATURE_COUNT]));
        assert_eq!((counted(&shop), counted(&other)), (1, 0));
        shelf.change(&shop, |models| models.challenger = Some(Arc::new(model("m-2"))));
        assert_eq!(counted(&shop), 1);
        shelf.change(&shop, |models| models.active = Some(Arc::new(model("m-2"))));
        assert_eq!(counted(&shop), 0);
    }

    #[test]
    fn a_tripped_programme_does_not_trip_another() {
        let shelf = ModelShelf::default();
        let (shop, other) = (ProgramId::new("shop").unwrap(), ProgramId::new("other").unwrap());
        shelf.change(&shop, |models| models.auto_reject = AutoReject::Tripped);
        assert_eq!(shelf.models_of(&shop).auto_reject, AutoReject::Tripped);
        assert_eq!(shelf.models_of(&other).auto_reject, AutoReject::Armed);
    }
}
