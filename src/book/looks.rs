//! Looks at people: who was shown what of whom, and what was handed out. They are kept for the audit trail and change nothing else.

use crate::vocabulary::ids::{AccountId, Actor, ConversionId, ProgramId};
use crate::vocabulary::time::Timestamp;

/// Looks that one record holds, at most.
pub const LOOKS_MAX: usize = 256;

/// What was looked at, or handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The case of a conversion: both sides next to each other.
    Case(ConversionId),
    /// The decision of a conversion.
    Decision(ConversionId),
    /// An account as a whole.
    Account(AccountId),
    /// What belongs together around an account.
    Cluster(AccountId),
    /// The labelled history, as an export.
    Export,
    /// Everything, as a backup.
    Backup,
    /// The audit trail itself.
    Trail,
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// At what.
    pub seen: Seen,
    /// When.
    pub at: Timestamp,
}

/// Looks of one caller to keep.
#[derive(Debug, Clone)]
pub struct LooksCommand {
    /// The programme; the directory's for what is of the ledger as a whole.
    pub program_id: ProgramId,
    /// Who looked.
    pub actor: Actor,
    /// The looks, the oldest first. Range: 1 to [`LOOKS_MAX`].
    pub looks: Vec<Look>,
    /// When they are kept.
    pub at: Timestamp,
}

/// Somebody looked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) actor: Actor,
    pub(crate) looks: Vec<Look>,
    pub(crate) at: Timestamp,
}
