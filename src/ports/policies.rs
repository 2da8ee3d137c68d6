//! The policies in force: what a service asks when it needs a programme's payout delay or lease.

use std::sync::Arc;

use crate::screening::policy::Policy;
use crate::vocabulary::ids::ProgramId;

/// Tells which policy is in force for a programme. It may change between two calls, never during one answer: the caller keeps the `Arc`.
pub trait Policies: Send + Sync {
    /// The policy of a programme. There is always one: the operator's default where the programme has none of its own.
    fn policy_of(&self, program: &ProgramId) -> Arc<Policy>;
}
