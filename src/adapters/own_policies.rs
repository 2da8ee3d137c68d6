//! The policies that programmes named for themselves, each read once. What was taken was checked in full; where a build cannot read what another one took,
//! everything goes to review and nothing is payable: never the server's policy in its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::policy_file;
use crate::book::terms::{PolicyName, ProgramPolicy};
use crate::screening::policy::{Policy, PolicyHash};

/// Policies by the hash of their text.
#[derive(Debug, Default)]
pub struct OwnPolicies(RwLock<BTreeMap<PolicyHash, Arc<Policy>>>);

impl OwnPolicies {
    /// The policy of a text.
    #[must_use]
    pub fn of(&self, ProgramPolicy { name: PolicyName { version, hash }, text }: &ProgramPolicy) -> Arc<Policy> {
        if let Some(known) = self.0.read().get(hash) {
            return Arc::clone(known);
        }
        let policy = policy_file::parse(text, version).unwrap_or_else(|problem| {
            tracing::error!(%version, %hash, %problem, "a programme's policy cannot be read by this build: all of it goes to review");
            Policy::unreadable(version, *hash)
        });
        Arc::clone(self.0.write().entry(*hash).or_insert_with(|| Arc::new(policy)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::policy_file::{SHIPPED_POLICY, hash_of};
    use crate::book::terms::ProgramTerms;
    use crate::screening::audit::AuditKey;
    use crate::screening::decision::Verdict;
    use crate::screening::fixtures::{honest, noon};
    use crate::screening::history::History;
    use crate::screening::{Models, Rulebook, assess};
    use crate::vocabulary::time::Span;

    fn named(text: &str) -> ProgramPolicy {
        ProgramPolicy { name: PolicyName { version: "v".into(), hash: hash_of(text) }, text: text.into() }
    }

    #[test]
    fn a_policy_is_what_its_text_says_and_carries_its_hash() {
        let policies = OwnPolicies::default();
        let policy = policies.of(&named(SHIPPED_POLICY));
        assert_eq!((policy.version(), policy.hash()), ("default-5", hash_of(SHIPPED_POLICY)));
        assert!(Arc::ptr_eq(&policy, &policies.of(&named(SHIPPED_POLICY))), "read once");
    }

    #[test]
    fn what_this_build_cannot_read_approves_and_pays_nothing() {
        let policy = OwnPolicies::default().of(&named("version = 7"));
        let (conversion, now) = (honest(), noon());
        let rulebook = Rulebook { policy: &policy, models: Models::default(), audit_key: &AuditKey::new([0; 32]) };
        let decision = assess(&conversion, &History::default(), rulebook, now);
        assert_eq!((decision.verdict, decision.policy_hash), (Verdict::InReview, hash_of("version = 7")));
        let payout = ProgramTerms::default().payout(policy.payout().clone());
        assert_eq!(payout.payable_from(None, now, now), now.plus(Span::from_days(730)));
    }
}
