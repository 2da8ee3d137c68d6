//! Stored bytes of what the ledger keeps for ever: one file for each subject. Pure. Called by the journal side of the ledgers and by the fold.

pub(super) mod bundle;
pub(super) mod numbers;
pub(super) mod parts;
