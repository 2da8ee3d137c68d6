//! The standing rules: policies, models and audit key as the ledger's assessor takes them for each conversion.
//!
//! It must never mix a policy or models that changed half-way into one decision: each decision takes both once and keeps them. Ledgers call
//! it as their [`Assessor`]; `serve`, `demo` and `screen` build it.

use std::sync::Arc;

use super::model_shelf::ModelShelf;
use crate::book::command::Assessor;
use crate::book::models::ProgramModels;
use crate::book::terms::{Own, ProgramTerms};
use crate::ports::policies::Policies;
use crate::ports::spans::span;
use crate::screening::audit::AuditKey;
use crate::screening::decision::{Decision, Scored};
use crate::screening::history::History;
use crate::screening::model::Certificate;
use crate::screening::policy::PayoutPolicy;
use crate::screening::{Rulebook, assess};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::{Span, Timestamp};

/// Stands for the key of a book that has none. A ledger makes one before the first conversion, so nothing is decided by this one.
static NO_KEY: AuditKey = AuditKey::new([0; 32]);

/// What decides, for all programmes of a ledger.
pub struct StandingRules {
    policies: Arc<dyn Policies>,
    models: Arc<ModelShelf>,
    audit_key: Option<AuditKey>,
}

impl StandingRules {
    /// Rules that follow these policies, and of these models those that each programme's book names. Without an audit key of its own the book's is
    /// taken.
    #[must_use]
    pub fn new(policies: Arc<dyn Policies>, models: Arc<ModelShelf>, audit_key: Option<AuditKey>) -> Self {
        Self { policies, models, audit_key }
    }

    fn audit_key<'a>(&'a self, models: &'a ProgramModels) -> &'a AuditKey {
        self.audit_key.as_ref().or(models.audit_key()).unwrap_or(&NO_KEY)
    }
}

impl Assessor for StandingRules {
    fn assess(&self, conversion: &Conversion, history: &History, Own { models, terms }: Own<'_>, now: Timestamp) -> Decision {
        let _assessing = span!("assess").entered();
        let policy = self.policies.policy_of(&conversion.program_id, terms);
        let in_force = self.models.models_of(&conversion.program_id, models);
        let rulebook = Rulebook { policy: &policy, models: in_force.as_models(models), audit_key: self.audit_key(models) };
        let decision = assess(conversion, history, rulebook, now);
        if let Some(drift) = in_force.drift().filter(|_| decision.scored == Scored::ByModel) {
            drift.observe(decision.score, || decision.features());
        }
        decision
    }

    fn assess_again(&self, conversion: &Conversion, history: &History, own: Own<'_>, now: Timestamp) -> Decision {
        let _assessing = span!("assess").entered();
        let Own { models, terms } = own;
        let policy = self.policies.policy_of(&conversion.program_id, terms);
        let in_force = self.models.models_of(&conversion.program_id, models);
        let rulebook = Rulebook { policy: &policy, models: in_force.as_models(models), audit_key: self.audit_key(models) };
        assess(conversion, history, rulebook, now)
    }

    fn promise(&self, program: &ProgramId, version: &str) -> Option<Certificate> {
        let model = self.models.of_version(program, version)?;
        model.rejects().then(|| model.certificate())
    }

    fn due_after(&self, program: &ProgramId, terms: &ProgramTerms) -> Span {
        self.policies.policy_of(program, terms).review().due_after
    }

    fn payout(&self, program: &ProgramId, terms: &ProgramTerms) -> PayoutPolicy {
        self.policies.payout_of(program, terms)
    }
}
