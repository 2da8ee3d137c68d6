//! The terms of a programme in its own book: the policy that it named, its payout delay and how long its records are kept. They stand in the order of its
//! records, so that all replicas decide by the same; what it does not say is the server's.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::event::TermsChanged;
use super::models::ProgramModels;
use super::records::Cursor;
use crate::screening::policy::{PayoutPolicy, PolicyHash, Promise};
use crate::vocabulary::ids::Actor;
use crate::vocabulary::time::{Span, Timestamp};

/// Lines of the trail that a book keeps at hand: the newest.
pub const CHANGES_MAX: usize = 50;
/// Policies whose text a book keeps at hand: those named last.
pub const POLICIES_MAX: usize = 16;
/// Promises that are kept at a time.
pub const PROMISES_MAX: usize = 64;

/// A policy by what people call it and by what it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PolicyName {
    /// The version that its text says.
    pub version: Box<str>,
    /// The hash of its text.
    pub hash: PolicyHash,
}

/// A policy of a programme, whole: no replica and no restored backup can lack it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProgramPolicy {
    /// Its name.
    pub name: PolicyName,
    /// Its text, as it was named. It was checked in full before.
    pub text: Arc<str>,
}

/// What a programme says for itself; what it does not say is the server's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Terms {
    /// The policy.
    pub policy: Option<ProgramPolicy>,
    /// The delay of what has no campaign with its own, in the place of the policy's.
    pub payout_delay: Option<Span>,
    /// How long records are kept.
    pub retention: Option<Span>,
}

/// Terms without the text of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TermsSummary {
    /// The policy; absent for the server's.
    pub policy: Option<PolicyName>,
    /// The payout delay; absent for the policy's.
    pub payout_delay: Option<Span>,
    /// How long records are kept; absent for as long as the server says.
    pub retention: Option<Span>,
}

impl Terms {
    /// The same without the text of the policy.
    #[must_use]
    pub fn summary(&self) -> TermsSummary {
        let Self { policy, payout_delay, retention } = self;
        let policy = policy.as_ref().map(|policy| policy.name.clone());
        TermsSummary { policy, payout_delay: *payout_delay, retention: *retention }
    }
}

/// A line of the trail of terms.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TermsChange {
    /// As they were from then on.
    pub terms: TermsSummary,
    /// As they were before.
    pub previous: TermsSummary,
    /// Who changed them.
    pub actor: Actor,
    /// Why; empty when nothing was said.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// What becomes of one of the terms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Setting<T> {
    /// It stays as it is.
    #[default]
    Stays,
    /// It is this from now on.
    Is(T),
    /// It is the server's from now on.
    Default,
}

impl<T: Clone> Setting<T> {
    fn onto(&self, known: Option<&T>) -> Option<T> {
        match self {
            Self::Stays => known.cloned(),
            Self::Is(new) => Some(new.clone()),
            Self::Default => None,
        }
    }
}

/// What becomes of what was decided before, where a payout delay is shortened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Decided {
    /// It keeps the longer delay that it was promised.
    #[default]
    KeepsItsDelay,
    /// It is payable as early as what comes from now on.
    IsShortenedToo,
}

/// A change of terms.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TermsStep {
    /// The policy.
    pub policy: Setting<ProgramPolicy>,
    /// The payout delay.
    pub payout_delay: Setting<Span>,
    /// How long records are kept.
    pub retention: Setting<Span>,
    /// What was received until now.
    pub decided: Decided,
}

impl TermsStep {
    /// The terms once it is made.
    #[must_use]
    pub fn onto(&self, terms: &Terms) -> Terms {
        let Self { policy, payout_delay, retention, decided: _ } = self;
        Terms {
            policy: policy.onto(terms.policy.as_ref()),
            payout_delay: payout_delay.onto(terms.payout_delay.as_ref()),
            retention: retention.onto(terms.retention.as_ref()),
        }
    }
}

/// The terms of a programme, with what was promised under earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ProgramTerms {
    terms: Terms,
    promises: Vec<Promise>,
    /// Policies that were named, the last one last.
    policies: Vec<ProgramPolicy>,
    changes: Vec<TermsChange>,
    changed: Cursor,
}

impl ProgramTerms {
    /// What the programme says for itself.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// The policy that it named; absent for the server's.
    #[must_use]
    pub const fn policy(&self) -> Option<&ProgramPolicy> {
        self.terms.policy.as_ref()
    }

    /// Delays of before that still bind, the oldest first.
    #[must_use]
    pub fn promises(&self) -> &[Promise] {
        &self.promises
    }

    /// A policy that was named lately; `None` for another.
    #[must_use]
    pub fn named(&self, hash: PolicyHash) -> Option<&ProgramPolicy> {
        self.policies.iter().find(|policy| policy.name.hash == hash)
    }

    /// The trail, the newest first.
    pub fn changes(&self) -> impl Iterator<Item = &TermsChange> {
        self.changes.iter().rev()
    }

    /// When rewards may be paid, where the programme's policy says this of it: with its own delay, and with what was promised.
    #[must_use]
    pub fn payout(&self, of_policy: PayoutPolicy) -> PayoutPolicy {
        let delay = self.terms.payout_delay.unwrap_or(of_policy.delay);
        PayoutPolicy { delay, promises: self.promises.clone(), ..of_policy }
    }

    /// The same with other terms and promises.
    #[must_use]
    pub fn with(&self, terms: Terms, promises: Vec<Promise>) -> Self {
        Self { terms, promises, ..self.clone() }
    }

    /// The newest record that any of this is made of.
    pub(crate) const fn changed(&self) -> Cursor {
        self.changed
    }

    pub(super) fn change(&mut self, cursor: Cursor, event: &TermsChanged) {
        let TermsChanged { terms, promises, previous, actor, note, at, request: _ } = event;
        self.terms = terms.clone();
        self.promises.clone_from(promises);
        if let Some(policy) = &terms.policy {
            self.policies.retain(|known| known.name.hash != policy.name.hash);
            self.policies.push(policy.clone());
            let too_many = self.policies.len().saturating_sub(POLICIES_MAX);
            self.policies.drain(..too_many);
        }
        self.changes.push(TermsChange {
            terms: terms.summary(),
            previous: previous.clone(),
            actor: actor.clone(),
            note: note.clone(),
            at: *at,
        });
        let too_many = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..too_many);
        self.changed = cursor;
    }
}

/// What a programme chose for itself, as its book knows it.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Its models.
    pub models: &'a ProgramModels,
    /// Its terms.
    pub terms: &'a ProgramTerms,
}
