//! The standing rules: policies, models and audit key as the ledger's assessor takes them for each conversion.
//!
//! It must never mix a policy or models that changed half-way into one decision: each decision takes both once and keeps them. Ledgers call
//! it as their [`Assessor`]; `serve`, `demo` and `screen` build it.

use std::sync::Arc;

use super::model_shelf::ModelShelf;
use crate::book::command::Assessor;
use crate::ports::policies::Policies;
use crate::screening::audit::AuditKey;
use crate::screening::decision::{Decision, Scored};
use crate::screening::history::History;
use crate::screening::policy::PayoutPolicy;
use crate::screening::{Rulebook, assess};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::{Span, Timestamp};

/// What decides, for all programmes of a ledger.
pub struct StandingRules {
    policies: Arc<dyn Policies>,
    models: Arc<ModelShelf>,
    audit_key: AuditKey,
}

impl StandingRules {
    /// Rules that follow these policies and models as they change.
    #[must_use]
    pub fn new(policies: Arc<dyn Policies>, models: Arc<ModelShelf>, audit_key: AuditKey) -> Self {
        Self { policies, models, audit_key }
    }
}

impl Assessor for StandingRules {
    fn assess(&self, conversion: &Conversion, history: &History, now: Timestamp) -> Decision {
        let policy = self.policies.policy_of(&conversion.program_id);
        let models = self.models.models_for_decision(&conversion.program_id);
        let rulebook = Rulebook { policy: &policy, models: models.as_models(), audit_key: &self.audit_key };
        let decision = assess(conversion, history, rulebook, now);
        if let Some(drift) = models.drift().filter(|_| decision.scored == Scored::ByModel) {
            drift.observe(decision.score, || decision.features());
        }
        decision
    }

    fn assess_again(&self, conversion: &Conversion, history: &History, now: Timestamp) -> Decision {
        let policy = self.policies.policy_of(&conversion.program_id);
        let models = self.models.models_for_decision(&conversion.program_id);
        assess(conversion, history, Rulebook { policy: &policy, models: models.as_models(), audit_key: &self.audit_key }, now)
    }

    fn due_after(&self, program: &ProgramId) -> Span {
        self.policies.policy_of(program).review().due_after
    }

    fn payout(&self, program: &ProgramId) -> PayoutPolicy {
        self.policies.policy_of(program).payout().clone()
    }
}
