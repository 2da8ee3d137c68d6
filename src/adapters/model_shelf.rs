//! The models in force, by programme: which one decides, which one is watched, and whether the first may reject by itself.
//!
//! It must never give one programme the model of another. The model files' reader and the breaker of the live bound put models here; the
//! ledger's assessor takes them. An empty shelf is a valid one: what happens then is the policy's business.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

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
}

impl ModelsInForce {
    /// The models as an assessment takes them.
    #[must_use]
    pub fn as_models(&self) -> Models<'_> {
        Models { active: self.active.as_deref(), challenger: self.challenger.as_deref(), auto_reject: self.auto_reject }
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

    /// Changes the models of one programme, all at once.
    pub fn change(&self, program: &ProgramId, change: impl FnOnce(&mut ModelsInForce)) {
        let mut programs = self.programs.write();
        let mut models = programs.get(program).map_or_else(|| ModelsInForce::clone(&self.default.read()), |own| (**own).clone());
        change(&mut models);
        programs.insert(program.clone(), Arc::new(models));
    }

    /// Changes the models of all programmes without their own.
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
    fn a_tripped_programme_does_not_trip_another() {
        let shelf = ModelShelf::default();
        let (shop, other) = (ProgramId::new("shop").unwrap(), ProgramId::new("other").unwrap());
        shelf.change(&shop, |models| models.auto_reject = AutoReject::Tripped);
        assert_eq!(shelf.models_of(&shop).auto_reject, AutoReject::Tripped);
        assert_eq!(shelf.models_of(&other).auto_reject, AutoReject::Armed);
    }
}
