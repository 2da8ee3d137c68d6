//! The policies in force: what a service asks when it needs a programme's payout delay or lease.

use std::sync::Arc;

use crate::book::terms::ProgramTerms;
use crate::screening::policy::{PayoutPolicy, Policy};
use crate::vocabulary::ids::ProgramId;
use crate::vocabulary::time::Span;

/// Tells which policy is in force for a programme. It may change between two calls, never during one answer: the caller keeps the `Arc`.
pub trait Policies: Send + Sync {
    /// The policy of a programme under its terms. There is always one: the operator's where the programme named none of its own.
    fn policy_of(&self, program: &ProgramId, terms: &ProgramTerms) -> Arc<Policy>;

    /// When rewards of a programme may be paid under its terms.
    fn payout_of(&self, program: &ProgramId, terms: &ProgramTerms) -> PayoutPolicy {
        terms.payout(self.policy_of(program, terms).payout().clone())
    }

    /// How long records are kept where a programme does not say; absent when for ever.
    fn kept_for(&self) -> Option<Span> {
        None
    }
}
