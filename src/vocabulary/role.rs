//! Roles: what callers of the service may do, in the words of the people who give them.

/// What a caller may do in the programmes that are its own. A caller may have several; none includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Role {
    /// Tells what happened: conversions, signals, outcomes, rewards. The product's backend.
    Screener,
    /// Asks the gate, reserves and reports payments, follows the feed. The payout pipeline.
    Payer,
    /// Works on the review queue.
    Reviewer,
    /// Reviews, holds, lists, and takes back what others decided.
    Lead,
    /// Exports what models are trained with, loads and chooses models.
    Trainer,
    /// Reads everything and changes nothing.
    Auditor,
    /// Registers programmes and identities, and takes backups.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Screener, Self::Payer, Self::Reviewer, Self::Lead, Self::Trainer, Self::Auditor, Self::Admin];

    /// Its name on the command line and in messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Screener => "screener",
            Self::Payer => "payer",
            Self::Reviewer => "reviewer",
            Self::Lead => "lead",
            Self::Trainer => "trainer",
            Self::Auditor => "auditor",
            Self::Admin => "admin",
        }
    }
}
