//! The review queue: lists in every order, and its numbers.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::super::rows::Row;
use super::super::rows::case_line::CaseLine;
use super::super::rows::index::{self, Shelf};
use super::super::tables::Tables;
use super::{Direction, Records, Shelves, View, pages};
use crate::book::query::{CaseFilter, CaseOrder, CaseStateKind, Page, PageRequest};
use crate::book::records::{CaseSummary, QueueStats};
use crate::ports::ledger::LedgerError;
use crate::screening::case::CaseState;
use crate::screening::evidence::EvidenceCode;
use crate::vocabulary::time::Timestamp;

/// Where a case stands in a listing: first by what it is ordered by, then by opening time and conversion.
type Place = Vec<u8>;

impl<T: Tables, R: Records, S: Shelves> View<'_, T, R, S> {
    pub(in super::super) fn cases(
        &self,
        filter: &CaseFilter,
        order: CaseOrder,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CaseSummary>, LedgerError> {
        let shelves = shelves_of(filter);
        match (&*shelves, order) {
            ([Shelf::ResolvedCases], CaseOrder::OldestFirst) => self.resolved(filter, Direction::Forward, page, now),
            ([Shelf::ResolvedCases], CaseOrder::NewestFirst) => self.resolved(filter, Direction::Backward, page, now),
            (shelves, order) => self.ranked(shelves, filter, order, page, now),
        }
    }

    /// Decided cases grow for ever, so they are walked only as far as the page goes, and not counted.
    fn resolved(
        &self,
        filter: &CaseFilter,
        direction: Direction,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CaseSummary>, LedgerError> {
        let listing = match direction {
            Direction::Forward => 'r',
            Direction::Backward => 'q',
        };
        let size = pages::size(page);
        let after = page.after.as_ref().map(|token| pages::key_of(listing, token)).transpose()?;
        let mut entries: Vec<CaseSummary> = Vec::new();
        let mut last = Vec::new();
        let mut next = None;
        self.shelves.walk(Shelf::ResolvedCases, after.as_deref(), direction, &mut |key, value| {
            let summary = CaseLine::of_bytes(value)?.summary(now);
            if !passes(filter, &summary) {
                return Ok(ControlFlow::Continue(()));
            }
            if entries.len() == size {
                next = Some(pages::token(listing, &last));
                return Ok(ControlFlow::Break(()));
            }
            entries.push(summary);
            last = key.to_vec();
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Page { entries, next, total: None })
    }

    /// Walks all candidates and keeps the first of them that come after the token: memory for one page, and an exact count.
    fn ranked(
        &self,
        shelves: &[Shelf],
        filter: &CaseFilter,
        order: CaseOrder,
        page: &PageRequest,
        now: Timestamp,
    ) -> Result<Page<CaseSummary>, LedgerError> {
        let listing = match order {
            CaseOrder::OldestFirst => 'o',
            CaseOrder::NewestFirst => 'n',
            CaseOrder::ScoreHighestFirst => 's',
            CaseOrder::DueFirst => 'd',
        };
        let size = pages::size(page);
        let after = page.after.as_ref().map(|token| pages::key_of(listing, token)).transpose()?;
        let mut first: BTreeMap<Place, CaseSummary> = BTreeMap::new();
        let mut total = 0_u64;
        for shelf in shelves {
            self.shelves.walk(*shelf, None, Direction::Forward, &mut |_, value| {
                let summary = CaseLine::of_bytes(value)?.summary(now);
                if passes(filter, &summary) {
                    total += 1;
                    let place = place_of(order, &summary);
                    if after.as_ref().is_none_or(|after| place > *after) {
                        first.insert(place, summary);
                        if first.len() > size + 1 {
                            first.pop_last();
                        }
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        if first.len() > size {
            first.pop_last();
            let next = first.last_key_value().map(|(place, _)| pages::token(listing, place));
            return Ok(Page { entries: first.into_values().collect(), next, total: Some(total) });
        }
        Ok(Page { entries: first.into_values().collect(), next: None, total: Some(total) })
    }

    pub(in super::super) fn queue_stats(&self, now: Timestamp) -> Result<QueueStats, LedgerError> {
        let mut stats = QueueStats { resolved: self.meta()?.cases_resolved, ..QueueStats::default() };
        let mut by_first_reason: BTreeMap<EvidenceCode, u64> = BTreeMap::new();
        self.shelves.walk(Shelf::UndecidedCases, None, Direction::Forward, &mut |_, value| {
            let summary = CaseLine::of_bytes(value)?.summary(now);
            match summary.state {
                CaseState::Open => stats.open += 1,
                CaseState::Claimed { .. } => stats.claimed += 1,
                CaseState::Resolved { .. } => {}
            }
            stats.overdue += u64::from(summary.due_at < now);
            stats.oldest_opened_at = Some(stats.oldest_opened_at.map_or(summary.opened_at, |at| at.min(summary.opened_at)));
            if let Some(code) = summary.reason_codes.first() {
                *by_first_reason.entry(*code).or_default() += 1;
            }
            Ok(ControlFlow::Continue(()))
        })?;
        stats.by_first_reason = by_first_reason.into_iter().collect();
        stats.by_first_reason.sort_by(|(code_a, a), (code_b, b)| b.cmp(a).then(code_a.cmp(code_b)));
        Ok(stats)
    }
}

fn shelves_of(filter: &CaseFilter) -> Vec<Shelf> {
    let asks = |kinds: &[CaseStateKind]| filter.states.is_empty() || filter.states.iter().any(|kind| kinds.contains(kind));
    let mut shelves = Vec::with_capacity(2);
    if asks(&[CaseStateKind::Open, CaseStateKind::Claimed]) {
        shelves.push(Shelf::UndecidedCases);
    }
    // A running lease is never on a resolved case.
    if asks(&[CaseStateKind::Resolved]) && filter.claimed_by.is_none() {
        shelves.push(Shelf::ResolvedCases);
    }
    shelves
}

const fn kind_of(state: &CaseState) -> CaseStateKind {
    match state {
        CaseState::Open => CaseStateKind::Open,
        CaseState::Claimed { .. } => CaseStateKind::Claimed,
        CaseState::Resolved { .. } => CaseStateKind::Resolved,
    }
}

fn passes(filter: &CaseFilter, case: &CaseSummary) -> bool {
    let CaseFilter { states, opened_until, opened_from, score_min, score_max, reason, referrer, claimed_by } = filter;
    let claimant = match &case.state {
        CaseState::Claimed { by, .. } => Some(by),
        CaseState::Open | CaseState::Resolved { .. } => None,
    };
    (states.is_empty() || states.contains(&kind_of(&case.state)))
        && opened_until.is_none_or(|limit| case.opened_at <= limit)
        && opened_from.is_none_or(|limit| case.opened_at >= limit)
        && score_min.is_none_or(|limit| case.score >= limit)
        && score_max.is_none_or(|limit| case.score <= limit)
        && reason.is_none_or(|code| case.reason_codes.contains(&code))
        && referrer.as_ref().is_none_or(|id| case.referrer == *id)
        && claimed_by.as_ref().is_none_or(|by| claimant == Some(by))
}

#[expect(clippy::cast_sign_loss, reason = "times are positive")]
fn place_of(order: CaseOrder, case: &CaseSummary) -> Place {
    let first = match order {
        CaseOrder::OldestFirst => case.opened_at.as_millis() as u64,
        CaseOrder::NewestFirst => u64::MAX - case.opened_at.as_millis() as u64,
        // The bits of numbers that are not negative are ordered as the numbers are.
        CaseOrder::ScoreHighestFirst => u64::MAX - case.score.max(0.0).to_bits(),
        CaseOrder::DueFirst => case.due_at.as_millis() as u64,
    };
    let mut place = first.to_be_bytes().to_vec();
    place.extend_from_slice(&index::case_key(case.opened_at, &case.conversion_id));
    place
}
