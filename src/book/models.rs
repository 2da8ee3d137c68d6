//! Models in a programme's book: which one decides, which went before and which is watched, what reviewers found of those that reject by
//! themselves, whether they still may, and the key of the sample that tells. A model itself stands in a file; here it is a name and the hash of its
//! content.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::event::{AuditKeyMade, BreakerTripped, ModelsChanged};
use super::records::Cursor;
use super::slab::ConversionNumber;
use crate::screening::AutoReject;
use crate::screening::audit::AuditKey;
use crate::screening::decision::Verdict;
use crate::screening::monitor::LiveError;
use crate::vocabulary::ids::Actor;
use crate::vocabulary::time::Timestamp;

/// Lines of the audit trail that a book keeps at hand: the newest.
pub const CHANGES_MAX: usize = 200;

/// The hash of a model's numbers: equal content, equal hash, whatever the file is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelContent(pub [u8; 16]);

impl fmt::Display for ModelContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A model by its version and its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelName {
    /// What people call it.
    pub version: Box<str>,
    /// What it is.
    pub content: ModelContent,
}

/// What was chosen in a programme.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelChoices {
    /// The one that decides.
    pub active: ModelName,
    /// What decided before the last activation; absent when a rollback has nothing to go back to.
    pub before: Option<ModelName>,
    /// The one that is only watched; absent when none is.
    pub challenger: Option<ModelName>,
}

/// What the audits of one model found in a programme since its activation there. Only counts: the bound does not ask for their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ModelAudits {
    /// Would-be rejects that were sent to review for their label.
    pub sampled: u64,
    /// Of these, resolved as honest.
    pub honest: u32,
    /// Of these, resolved as abusive.
    pub abusive: u32,
    /// When the breaker tripped; absent while it is armed.
    pub tripped_at: Option<Timestamp>,
}

impl ModelAudits {
    /// Whether the breaker tripped.
    #[must_use]
    pub const fn is_tripped(&self) -> bool {
        self.tripped_at.is_some()
    }

    /// What they say of the live error.
    #[must_use]
    pub fn live_error(&self) -> LiveError {
        LiveError::of_counts(self.honest, self.abusive)
    }

    /// Takes one ruling out of the counts, and another in.
    fn rule(&mut self, before: Option<Verdict>, now: Option<Verdict>) {
        let count = |audits: &mut Self, ruled: Option<Verdict>, by: i32| match ruled {
            Some(Verdict::Approved) => audits.honest = audits.honest.saturating_add_signed(by),
            Some(Verdict::Rejected) => audits.abusive = audits.abusive.saturating_add_signed(by),
            Some(Verdict::InReview) | None => {}
        };
        count(self, before, -1);
        count(self, now, 1);
    }
}

/// What was done with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ModelAction {
    /// It was loaded.
    Loaded,
    /// It was made the one that decides.
    Activated,
    /// What decided before decides again.
    RolledBack,
    /// It is the one that is watched.
    ChallengerSet,
    /// None is watched any more.
    ChallengerCleared,
    /// The audits broke its promise: what it would reject goes to review.
    BreakerTripped,
}

/// A line of the audit trail of models.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelChange {
    /// What was done.
    pub action: ModelAction,
    /// The model; empty when it is about none.
    pub version: Box<str>,
    /// What stood in its place before; empty for nothing.
    pub previous: Box<str>,
    /// Who did it; absent when the service itself did.
    pub actor: Option<Actor>,
    /// Why; empty when nothing was said.
    pub note: String,
    /// When.
    pub at: Timestamp,
}

/// A conversion that is audited, and how a reviewer ruled; absent while none has, or after its case was reopened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Audited {
    pub(crate) version: Box<str>,
    pub(crate) ruled: Option<Verdict>,
}

/// The models of a programme.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct ProgramModels {
    choices: Option<ModelChoices>,
    audits: BTreeMap<Box<str>, ModelAudits>,
    /// Those that count: of the last activation of their model.
    audited: BTreeMap<ConversionNumber, Audited>,
    audit_key: Option<AuditKey>,
    changes: Vec<ModelChange>,
    changed: Cursor,
}

impl ProgramModels {
    /// What was chosen; absent until somebody chose: then the server's default decides, also when another comes with another server.
    #[must_use]
    pub const fn choices(&self) -> Option<&ModelChoices> {
        self.choices.as_ref()
    }

    /// What was found of a version; nothing where nobody looked yet.
    #[must_use]
    pub fn audits_of(&self, version: &str) -> ModelAudits {
        self.audits.get(version).copied().unwrap_or_default()
    }

    /// Whether a version may reject by itself.
    #[must_use]
    pub fn auto_reject(&self, version: &str) -> AutoReject {
        if self.audits_of(version).is_tripped() { AutoReject::Tripped } else { AutoReject::Armed }
    }

    /// The key of the audit sample; absent before the first conversion, and where another is configured.
    #[must_use]
    pub const fn audit_key(&self) -> Option<&AuditKey> {
        self.audit_key.as_ref()
    }

    /// The audit trail, the newest first.
    pub fn changes(&self) -> impl Iterator<Item = &ModelChange> {
        self.changes.iter().rev()
    }

    /// The newest record that any of this is made of.
    pub(crate) const fn changed(&self) -> Cursor {
        self.changed
    }

    /// What an audited conversion is counted as; `None` when it is none, or belongs to an earlier activation.
    pub(crate) fn audited(&self, number: ConversionNumber) -> Option<&Audited> {
        self.audited.get(&number)
    }

    /// What would be found of the models of audited conversions, by version, were a reviewer to rule so of each of them.
    pub(super) fn once_ruled(
        &self,
        rulings: impl Iterator<Item = (ConversionNumber, Option<Verdict>)>,
    ) -> BTreeMap<&str, ModelAudits> {
        let mut found: BTreeMap<&str, ModelAudits> = BTreeMap::new();
        for (number, ruled) in rulings {
            let Some(Audited { version, ruled: before }) = self.audited(number) else { continue };
            found.entry(version).or_insert_with(|| self.audits_of(version)).rule(*before, ruled);
        }
        found
    }

    pub(super) fn sample(&mut self, cursor: Cursor, number: ConversionNumber, audited: Audited) {
        let audits = self.audits.entry(audited.version.clone()).or_default();
        audits.sampled += 1;
        audits.rule(None, audited.ruled);
        self.audited.insert(number, audited);
        self.changed = cursor;
    }

    pub(super) fn rule(&mut self, cursor: Cursor, number: ConversionNumber, ruled: Option<Verdict>) {
        let Some(audited) = self.audited.get_mut(&number) else { return };
        let before = std::mem::replace(&mut audited.ruled, ruled);
        self.audits.entry(audited.version.clone()).or_default().rule(before, ruled);
        self.changed = cursor;
    }

    pub(super) fn trip(&mut self, cursor: Cursor, tripped: &BreakerTripped) {
        self.audits.entry(tripped.version.clone()).or_default().tripped_at = Some(tripped.at);
        self.tell(cursor, tripped.change());
    }

    pub(super) fn change(&mut self, cursor: Cursor, event: &ModelsChanged) {
        if event.action == ModelAction::Activated
            && let Some(choices) = &event.choices
        {
            // Its audits begin anew; those of before its activation count no more, whenever they are resolved.
            let version = &choices.active.version;
            self.audits.insert(version.clone(), ModelAudits::default());
            self.audited.retain(|_, audited| audited.version != *version);
        }
        if let Some(choices) = &event.choices {
            self.choices = Some(choices.clone());
        }
        self.tell(cursor, event.change());
    }

    pub(super) fn make_key(&mut self, cursor: Cursor, event: &AuditKeyMade) {
        self.audit_key.get_or_insert_with(|| event.key.clone());
        self.changed = cursor;
    }

    fn tell(&mut self, cursor: Cursor, change: ModelChange) {
        self.changes.push(change);
        let too_many = self.changes.len().saturating_sub(CHANGES_MAX);
        self.changes.drain(..too_many);
        self.changed = cursor;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The book of a programme that chose this model.
    pub(crate) fn chosen(active: ModelName) -> ProgramModels {
        ProgramModels { choices: Some(ModelChoices { active, before: None, challenger: None }), ..ProgramModels::default() }
    }

    /// The same where so many audits, honest and abusive, tripped the breaker of a version.
    pub(crate) fn tripped(book: ProgramModels, version: &str, (honest, abusive): (u32, u32), at: Timestamp) -> ProgramModels {
        let sampled = u64::from(honest + abusive);
        let audits = BTreeMap::from([(version.into(), ModelAudits { sampled, honest, abusive, tripped_at: Some(at) })]);
        ProgramModels { audits, ..book }
    }
}
