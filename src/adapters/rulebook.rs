//! The rulebook in force: policy, models and audit key, exchanged as a whole while the service runs.
//!
//! It must never mix the parts of two rulebooks in one decision: every decision takes one `Arc` and keeps it. The ledger calls it as its
//! assessor, the service as its policies, the operator's reload as the only writer.

use std::sync::Arc;

use parking_lot::RwLock;

use crate::ports::ledger::Assessor;
use crate::ports::policies::Policies;
use crate::screening::audit::AuditKey;
use crate::screening::decision::Decision;
use crate::screening::history::History;
use crate::screening::model::Model;
use crate::screening::policy::Policy;
use crate::screening::{AutoReject, Models, Rulebook, assess};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::{Span, Timestamp};

/// What decides, for all programmes of this service.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The model that decides; absent when none is loaded.
    pub active: Option<Arc<Model>>,
    /// The model that is only watched; absent when none is.
    pub challenger: Option<Arc<Model>>,
    /// Whether the active model may reject by itself.
    pub auto_reject: AutoReject,
    /// The key of the audit sample.
    pub audit_key: AuditKey,
}

impl Rules {
    /// Rules without a model.
    #[must_use]
    pub fn of_policy(policy: Policy, audit_key: AuditKey) -> Self {
        Self { policy: Arc::new(policy), active: None, challenger: None, auto_reject: AutoReject::default(), audit_key }
    }
}

/// The rules in force, shared by ledger and service.
#[derive(Debug)]
pub struct RulesInForce(RwLock<Arc<Rules>>);

impl RulesInForce {
    /// These rules, until they are replaced.
    #[must_use]
    pub fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Arc::new(rules))))
    }

    /// The rules as they are now.
    #[must_use]
    pub fn current(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read())
    }

    /// Puts other rules in force. Decisions that have begun end under the earlier ones.
    pub fn replace(&self, rules: Rules) {
        *self.0.write() = Arc::new(rules);
    }
}

impl Assessor for RulesInForce {
    fn assess(&self, conversion: &Conversion, history: &History, now: Timestamp) -> Decision {
        let rules = self.current();
        let models = Models {
            active: rules.active.as_deref(),
            challenger: rules.challenger.as_deref(),
            auto_reject: rules.auto_reject,
        };
        assess(conversion, history, Rulebook { policy: &rules.policy, models, audit_key: &rules.audit_key }, now)
    }

    fn due_after(&self, _program: &ProgramId) -> Span {
        self.current().policy.review().due_after
    }
}

impl Policies for RulesInForce {
    fn policy_of(&self, _program: &ProgramId) -> Arc<Policy> {
        Arc::clone(&self.current().policy)
    }
}
