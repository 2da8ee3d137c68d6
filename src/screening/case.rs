//! The case of the review queue as a state machine. Pure: every legal step is written here, every other is an [`IllegalStep`].
//!
//! ```text
//! OPEN ─► CLAIMED (lease, expires) ─► RESOLVED ─► OPEN again (reopened)
//! ```
//! A lease that has run out is no state of its own: the case counts as open from that instant.

use super::decision::Verdict;
use crate::vocabulary::ids::Actor;
use crate::vocabulary::time::{Span, Timestamp};

/// The longest lease that can be asked for.
pub const LEASE_MAX: Span = Span::from_hours(24);

/// Where a case stands.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum CaseState {
    /// Waits for a reviewer.
    Open,
    /// A reviewer works on it until the lease ends.
    Claimed {
        /// Who.
        by: Actor,
        /// Until when.
        lease_until: Timestamp,
    },
    /// A reviewer decided.
    Resolved {
        /// Who.
        by: Actor,
        /// How.
        resolution: Resolution,
    },
}

/// How a reviewer decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Resolution {
    /// Two people, in good faith: approve.
    Accept,
    /// Abuse: reject.
    Reject,
}

impl Resolution {
    /// The verdict that it puts in force.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Accept => Verdict::Approved,
            Self::Reject => Verdict::Rejected,
        }
    }
}

/// What a reviewer wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Work on it; also extends one's own lease.
    Claim {
        /// For how long. Held to [`LEASE_MAX`].
        lease: Span,
    },
    /// Give it back.
    Release,
    /// Decide.
    Resolve(Resolution),
    /// Decide again later. Also opens a case for a conversion that never had one.
    Reopen,
}

/// The step is not possible from where the case stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalStep {
    /// Another reviewer works on it.
    #[error("the case is claimed by `{by}` until {lease_until}; wait for the lease to end or ask them to release it")]
    ClaimedByOther {
        /// Who.
        by: Actor,
        /// Until when.
        lease_until: Timestamp,
    },
    /// It is not claimed, so that it cannot be given back.
    #[error("the case is not claimed by `{actor}`; there is nothing to release")]
    NotClaimed {
        /// Who asked.
        actor: Actor,
    },
    /// It was decided.
    #[error("the case was resolved by `{by}`; reopen it to decide again")]
    AlreadyResolved {
        /// Who decided.
        by: Actor,
    },
    /// It was not decided yet.
    #[error("the case is not resolved; there is nothing to reopen")]
    NotResolved,
    /// The lease is not above zero.
    #[error("the lease must be above zero and at most 24 hours")]
    Lease,
}

impl CaseState {
    /// The state as it counts at `now`: a claim whose lease has run out is open.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Self {
        match self {
            Self::Claimed { lease_until, .. } if *lease_until <= now => Self::Open,
            Self::Open | Self::Claimed { .. } | Self::Resolved { .. } => self.clone(),
        }
    }

    /// The state after a step.
    ///
    /// A case may be resolved without a claim, by a reviewer in a hurry; but not while another reviewer's lease runs.
    ///
    /// # Errors
    /// [`IllegalStep`] when the step is not possible; the case stays as it is.
    pub fn after(&self, step: &Step, actor: &Actor, now: Timestamp) -> Result<Self, IllegalStep> {
        let current = self.at(now);
        if let (Self::Claimed { by, lease_until }, Step::Claim { .. } | Step::Resolve(_) | Step::Release) = (&current, step)
            && by != actor
        {
            return Err(IllegalStep::ClaimedByOther { by: by.clone(), lease_until: *lease_until });
        }
        match (current, step) {
            (Self::Resolved { by, .. }, Step::Claim { .. } | Step::Resolve(_) | Step::Release) => {
                Err(IllegalStep::AlreadyResolved { by })
            }
            (Self::Resolved { .. }, Step::Reopen) => Ok(Self::Open),
            (Self::Open | Self::Claimed { .. }, Step::Reopen) => Err(IllegalStep::NotResolved),
            (Self::Open | Self::Claimed { .. }, Step::Claim { lease }) => {
                if *lease <= Span::ZERO || *lease > LEASE_MAX {
                    return Err(IllegalStep::Lease);
                }
                Ok(Self::Claimed { by: actor.clone(), lease_until: now.plus(*lease) })
            }
            (Self::Claimed { .. }, Step::Release) => Ok(Self::Open),
            (Self::Open, Step::Release) => Err(IllegalStep::NotClaimed { actor: actor.clone() }),
            (Self::Open | Self::Claimed { .. }, Step::Resolve(resolution)) => {
                Ok(Self::Resolved { by: actor.clone(), resolution: *resolution })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::saturating_from_millis(1_790_000_000_000).plus(Span::from_seconds(seconds))
    }

    fn actor(name: &str) -> Actor {
        Actor::new(name).unwrap()
    }

    fn claimed_by_ann() -> CaseState {
        let claim = Step::Claim { lease: Span::from_minutes(30) };
        CaseState::Open.after(&claim, &actor("ann"), at(0)).unwrap()
    }

    #[test]
    fn another_reviewer_waits_for_the_lease_and_no_longer() {
        let claim = Step::Claim { lease: Span::from_minutes(30) };
        assert!(matches!(claimed_by_ann().after(&claim, &actor("bob"), at(60)), Err(IllegalStep::ClaimedByOther { .. })));
        assert!(claimed_by_ann().after(&claim, &actor("bob"), at(1_800)).is_ok());
    }

    #[test]
    fn only_the_claimant_resolves_while_the_lease_runs() {
        let accept = Step::Resolve(Resolution::Accept);
        assert!(matches!(claimed_by_ann().after(&accept, &actor("bob"), at(60)), Err(IllegalStep::ClaimedByOther { .. })));
        assert!(matches!(claimed_by_ann().after(&accept, &actor("ann"), at(60)), Ok(CaseState::Resolved { .. })));
    }

    #[test]
    fn a_resolved_case_takes_nothing_but_reopening() {
        let resolved = CaseState::Resolved { by: actor("ann"), resolution: Resolution::Reject };
        for step in [Step::Claim { lease: Span::from_minutes(1) }, Step::Release, Step::Resolve(Resolution::Accept)] {
            assert!(matches!(resolved.after(&step, &actor("ann"), at(0)), Err(IllegalStep::AlreadyResolved { .. })));
        }
        assert_eq!(resolved.after(&Step::Reopen, &actor("bob"), at(0)), Ok(CaseState::Open));
    }

    #[test]
    fn an_open_case_can_be_neither_released_nor_reopened() {
        assert!(matches!(CaseState::Open.after(&Step::Release, &actor("ann"), at(0)), Err(IllegalStep::NotClaimed { .. })));
        assert_eq!(CaseState::Open.after(&Step::Reopen, &actor("ann"), at(0)), Err(IllegalStep::NotResolved));
    }

    #[test]
    fn a_lease_is_neither_empty_nor_endless() {
        for lease in [Span::ZERO, Span::from_seconds(-1), Span::from_days(2)] {
            assert_eq!(CaseState::Open.after(&Step::Claim { lease }, &actor("ann"), at(0)), Err(IllegalStep::Lease));
        }
    }
}
