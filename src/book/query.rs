//! Queries: which part of what a book knows is asked for, and in which order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::screening::decision::Verdict;
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::ids::{AccountId, Actor};
use crate::vocabulary::time::Timestamp;

/// Which decisions to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct DecisionFilter {
    /// Verdicts in force; empty for all.
    pub verdicts: Vec<Verdict>,
    /// Only of this referrer.
    pub referrer: Option<AccountId>,
    /// Only of this referee.
    pub referee: Option<AccountId>,
    /// Decided at or after.
    pub from: Option<Timestamp>,
    /// Decided before.
    pub until: Option<Timestamp>,
    /// Whatever a challenger said, or only where it said something else.
    pub challenger: ChallengerFilter,
}

/// Which decisions to list by what a challenger said of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChallengerFilter {
    /// All.
    #[default]
    Any,
    /// Those to which it would have given another verdict.
    Disagrees,
}

/// Which cases to list.
#[derive(Debug, Clone, Default)]
pub struct CaseFilter {
    /// States; empty for all.
    pub states: Vec<CaseStateKind>,
    /// Only cases opened at or before this: at least so old.
    pub opened_until: Option<Timestamp>,
    /// Only cases opened at or after this: at most so old.
    pub opened_from: Option<Timestamp>,
    /// Least score. Range: [0, 1].
    pub score_min: Option<f64>,
    /// Largest score. Range: [0, 1].
    pub score_max: Option<f64>,
    /// Only cases with this reason.
    pub reason: Option<EvidenceCode>,
    /// Only of this referrer.
    pub referrer: Option<AccountId>,
    /// Only with a running lease of this actor.
    pub claimed_by: Option<Actor>,
    /// Only where at least so much of one currency is at stake. Unit: minor units; 0 for all.
    pub at_stake_minor_min: i64,
}

/// A state of a case, without who and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseStateKind {
    /// Waits.
    Open,
    /// Claimed, and the lease runs.
    Claimed,
    /// Decided.
    Resolved,
}

/// In which order cases are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CaseOrder {
    /// The longest open first.
    OldestFirst,
    /// The latest opened first.
    NewestFirst,
    /// The highest score first.
    ScoreHighestFirst,
    /// The nearest due time first.
    DueFirst,
    /// What is overdue, then what paying out would lose most on average: score times what is at stake.
    ExpectedLossFirst,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Where to go on; absent at the end. Opaque.
    pub next: Option<PageToken>,
    /// How many entries match in all; absent when counting would cost too much.
    pub total: Option<u64>,
}

/// Where a listing goes on. Opaque outside the ledger that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(pub String);

/// Which part of a listing.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// At most this many entries. Range: 1 to 500.
    pub size: usize,
    /// Where to go on; absent for the first part.
    pub after: Option<PageToken>,
    /// Whether anybody still waits for it.
    pub wanted: Wanted,
}

/// Whether anybody still waits for an answer. A long walk asks now and then, and ends where it is when nobody does.
#[derive(Debug, Clone, Default)]
pub struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// Nobody waits any more.
    pub fn end(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether nobody waits any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
