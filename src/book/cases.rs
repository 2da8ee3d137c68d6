//! Cases: the lines of the review queue, ordered by when they were opened.

use std::collections::BTreeMap;

use super::records::{CaseSummary, Cursor};
use super::slab::{CaseNumber, ConversionNumber, Slab};
use crate::screening::case::CaseState;
use crate::screening::decision::Decision;
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::ids::{AccountId, CaseId, ConversionId};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Timestamp;

/// Codes kept of a case's reasons.
pub(super) const REASON_CODES_MAX: usize = 8;

/// The codes of a decision's first reasons, for the queue.
pub(super) fn reason_codes(decision: &Decision) -> Vec<EvidenceCode> {
    decision.reasons.iter().map(|reason| reason.code).take(REASON_CODES_MAX).collect()
}

/// A case.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Case {
    pub(super) conversion: ConversionNumber,
    pub(super) conversion_id: ConversionId,
    pub(super) referrer: AccountId,
    pub(super) referee: AccountId,
    /// As it was left; a lease in it may have run out since.
    pub(super) state: CaseState,
    pub(super) revision: u32,
    pub(super) opened_at: Timestamp,
    pub(super) due_at: Timestamp,
    pub(super) score: f64,
    pub(super) value: Option<Money>,
    pub(super) reason_codes: Vec<EvidenceCode>,
    pub(super) headline: Box<str>,
    /// The record that last changed it.
    pub(super) changed: Cursor,
}

/// Where a case stands in the order of opening.
pub type Opened = (Timestamp, ConversionId);

impl Case {
    /// The line as it is shown at `now`, with what is at stake.
    pub(super) fn summary(&self, at_stake: Vec<Money>, now: Timestamp) -> CaseSummary {
        CaseSummary {
            case_id: CaseId::of(&self.conversion_id),
            conversion_id: self.conversion_id.clone(),
            referrer: self.referrer.clone(),
            referee: self.referee.clone(),
            state: self.state.at(now),
            revision: self.revision,
            opened_at: self.opened_at,
            due_at: self.due_at,
            score: self.score,
            value: self.value,
            at_stake,
            reason_codes: self.reason_codes.clone(),
            headline: self.headline.to_string(),
        }
    }

    /// Whether a reviewer has yet to decide.
    pub(super) const fn is_undecided(&self) -> bool {
        match self.state {
            CaseState::Open | CaseState::Claimed { .. } => true,
            CaseState::Resolved { .. } => false,
        }
    }

    fn opened(&self) -> Opened {
        (self.opened_at, self.conversion_id.clone())
    }
}

/// The queue of a programme.
#[derive(Debug, Default)]
pub(super) struct Cases {
    pub(super) rows: Slab<CaseNumber, Case>,
    undecided: BTreeMap<Opened, CaseNumber>,
    resolved: BTreeMap<Opened, CaseNumber>,
    /// The record that last changed any of them.
    pub(super) changed: Cursor,
}

impl Cases {
    pub(super) fn of_rows(rows: Slab<CaseNumber, Case>) -> Self {
        let (mut undecided, mut resolved, mut changed) = (BTreeMap::new(), BTreeMap::new(), Cursor(0));
        for (number, case) in rows.iter() {
            let part = if case.is_undecided() { &mut undecided } else { &mut resolved };
            part.insert(case.opened(), number);
            changed = changed.max(case.changed);
        }
        Self { rows, undecided, resolved, changed }
    }

    pub(super) const fn undecided(&self) -> &BTreeMap<Opened, CaseNumber> {
        &self.undecided
    }

    pub(super) const fn resolved(&self) -> &BTreeMap<Opened, CaseNumber> {
        &self.resolved
    }

    fn part(&mut self, undecided: bool) -> &mut BTreeMap<Opened, CaseNumber> {
        if undecided { &mut self.undecided } else { &mut self.resolved }
    }

    /// Opens a case. `None` when no number is left.
    pub(super) fn open(&mut self, case: Case) -> Option<CaseNumber> {
        self.changed = case.changed;
        let (opened, undecided) = (case.opened(), case.is_undecided());
        let number = self.rows.push(case)?;
        self.part(undecided).insert(opened, number);
        Some(number)
    }

    /// Changes a case and puts it where it belongs then.
    pub(super) fn change(&mut self, number: CaseNumber, change: impl FnOnce(&mut Case)) {
        let case = self.rows.get_mut(number);
        let before = (case.is_undecided(), case.opened());
        change(case);
        let after = (case.is_undecided(), case.opened());
        self.changed = case.changed;
        if before != after {
            self.part(before.0).remove(&before.1);
            self.part(after.0).insert(after.1, number);
        }
    }

    /// Memory that it takes. Unit: bytes. An estimate: a sentence, three shared ids, an entry of an ordered map.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * (size_of::<Case>() + 256)
    }
}
