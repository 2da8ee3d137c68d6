//! A case as a whole: the decision, both sides as they were known, and everything that happened since.

use super::super::event::{CaseStepped, ConversionScreened, Event, OpenedCase};
use super::super::rows::Row;
use super::super::rows::account::Profile;
use super::super::rows::case_line::CaseLine;
use super::super::rows::conversion::ConversionRow;
use super::super::rows::postings;
use super::super::tables::{AccountNumber, Tables};
use super::{Records, Shelves, View, kind_of, record};
use crate::book::command::{CaseStep, Change};
use crate::book::records::{CaseFile, Cursor, HistoryEntry, HistoryKind};
use crate::ports::ledger::LedgerError;
use crate::screening::case::{CaseState, Step};
use crate::screening::decision::Verdict;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::ids::{Actor, CaseId};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

impl<T: Tables, R: Records, S: Shelves> View<'_, T, R, S> {
    pub(in super::super) fn case(&self, case: &CaseId, now: Timestamp) -> Result<Option<CaseFile>, LedgerError> {
        let Some(conversion_id) = case.conversion_id() else { return Ok(None) };
        let Some(line) = CaseLine::load(self.tables, &self.keys.case_line(&conversion_id))? else { return Ok(None) };
        let Some(row) = self.row(&conversion_id)? else { return Ok(None) };
        let Some(event) = self.records.read(Cursor(row.cursor))? else { return Ok(None) };
        let Event::ConversionScreened(screened) = &*event else {
            return Err(LedgerError::Damaged(format!("the record of case `{case}` is another: {}", kind_of(&event))));
        };
        let (referrer, referee) = self.sides(screened, &row)?;
        Ok(Some(CaseFile {
            summary: line.summary(now),
            record: record(self.tables, self.keys, screened, &row)?,
            history: self.history(&row)?,
            neighbours: self.neighbours(&referrer, &referee, &row)?,
            referrer,
            referee,
        }))
    }

    /// Both sides as known at screening. For a case that was opened by hand later, that was not kept: then as known now.
    fn sides(&self, screened: &ConversionScreened, row: &ConversionRow) -> Result<(SignalBundle, SignalBundle), LedgerError> {
        let conversion = &screened.conversion;
        if let Some(OpenedCase { due_at: _, referrer, referee }) = &screened.case {
            let known = |kept: &Option<SignalBundle>, sent: &SignalBundle| kept.clone().unwrap_or_else(|| sent.clone());
            return Ok((known(referrer, &conversion.referrer), known(referee, &conversion.referee)));
        }
        let now = |number: AccountNumber, sent: &SignalBundle| {
            let profile = Profile::load(self.tables, &self.keys.profile(number))?;
            Ok::<_, LedgerError>(profile.map_or_else(|| sent.clone(), |Profile(profile)| sent.merged_with(&profile)))
        };
        Ok((now(row.referrer, &conversion.referrer)?, now(row.referee, &conversion.referee)?))
    }

    /// Everything that happened to a conversion, its holds, and its two accounts as a whole.
    fn history(&self, row: &ConversionRow) -> Result<Vec<HistoryEntry>, LedgerError> {
        let mut cursors = row.trail.clone();
        cursors.push(row.cursor);
        for account in [row.referrer, row.referee] {
            self.tables.read(&self.keys.account_trail(account), |row| cursors.extend(postings::places(row)))?;
        }
        cursors.sort_unstable();
        cursors.dedup();
        let mut entries = Vec::with_capacity(cursors.len() + 1);
        for cursor in cursors {
            if let Some(event) = self.records.read(Cursor(cursor))? {
                entries.extend(entries_of(&event));
            }
        }
        Ok(entries)
    }
}

fn entries_of(event: &Event) -> Vec<HistoryEntry> {
    match event {
        Event::ConversionScreened(screened) => screened_entries(screened),
        Event::CaseStepped(stepped) => vec![stepped_entry(stepped)],
        Event::OutcomeRecorded(recorded) => {
            let amount = recorded.outcome.amount.map(|amount| amount.to_string()).unwrap_or_default();
            let told = by_service(HistoryKind::OutcomeRecorded, recorded.received_at, outcome_words(recorded.outcome.kind));
            vec![HistoryEntry { note: amount, ..told }]
        }
        Event::RewardPaid(paid) => {
            let amount = paid.amount.map(|amount| amount.to_string()).unwrap_or_default();
            let told = by_service(HistoryKind::Paid, paid.received_at, &format!("reward {} paid", paid.reward_id));
            vec![HistoryEntry { note: amount, ..told }]
        }
        Event::HoldChanged(changed) => {
            let (kind, previous, new) = match changed.change {
                Change::Place => (HistoryKind::HoldPlaced, "", "held"),
                Change::Lift => (HistoryKind::HoldLifted, "held", "not held"),
            };
            vec![HistoryEntry {
                actor: Some(changed.actor.clone()),
                note: changed.note.clone(),
                previous: previous.to_owned(),
                ..by_service(kind, changed.at, new)
            }]
        }
        Event::SignalsRecorded(_) | Event::ListChanged(_) => Vec::new(),
    }
}

fn by_service(kind: HistoryKind, at: Timestamp, new: &str) -> HistoryEntry {
    HistoryEntry {
        kind,
        actor: None,
        at,
        reason_code: String::new(),
        note: String::new(),
        previous: String::new(),
        new: new.to_owned(),
    }
}

fn screened_entries(screened: &ConversionScreened) -> Vec<HistoryEntry> {
    let at = screened.decision.decided_at;
    let mut entries = vec![by_service(HistoryKind::Screened, at, verdict_words(screened.decision.verdict))];
    if screened.case.is_some() {
        entries.push(by_service(HistoryKind::Opened, at, "open"));
    }
    entries
}

fn stepped_entry(event: &CaseStepped) -> HistoryEntry {
    let states = || (event.previous_state.as_ref().map(state_words).unwrap_or_default(), state_words(&event.state));
    let verdicts = || (verdict_words(event.previous_verdict).to_owned(), verdict_words(event.verdict).to_owned());
    let (kind, (previous, new)) = match &event.step {
        CaseStep::Step(Step::Claim { .. }) => (HistoryKind::Claimed, states()),
        CaseStep::Step(Step::Release) => (HistoryKind::Released, states()),
        CaseStep::Step(Step::Resolve(_)) => (HistoryKind::Resolved, verdicts()),
        CaseStep::Step(Step::Reopen) => (HistoryKind::Reopened, verdicts()),
        CaseStep::Note => (HistoryKind::Noted, (String::new(), String::new())),
    };
    HistoryEntry {
        kind,
        actor: Some(Actor::clone(&event.actor)),
        at: event.at,
        reason_code: event.reason_code.clone(),
        note: event.note.clone(),
        previous,
        new,
    }
}

const fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Approved => "approved",
        Verdict::InReview => "in review",
        Verdict::Rejected => "rejected",
    }
}

fn state_words(state: &CaseState) -> String {
    match state {
        CaseState::Open => "open".to_owned(),
        CaseState::Claimed { by, lease_until } => format!("claimed by {by} until {lease_until}"),
        CaseState::Resolved { by, .. } => format!("resolved by {by}"),
    }
}

const fn outcome_words(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::ChargeRefunded => "charge refunded",
        OutcomeKind::Chargeback => "charge disputed",
        OutcomeKind::SubscriptionCanceled => "subscription cancelled",
        OutcomeKind::AccountBanned => "account banned",
    }
}
