//! A case as a whole: the decision, both sides as they were known, and everything that happened since.

use super::{Records, waiting};
use crate::book::CaseReading;
use crate::book::command::{CaseStep, Change};
use crate::book::event::{CaseStepped, ConversionScreened, Event, OpenedCase};
use crate::book::records::{CaseFile, HistoryEntry, HistoryKind};
use crate::ports::ledger::LedgerError;
use crate::screening::case::{CaseState, Step};
use crate::screening::decision::Verdict;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::ids::{Actor, CaseId};
use crate::vocabulary::outcome::OutcomeKind;
use crate::vocabulary::time::Timestamp;

impl Records {
    /// Everything about a case; `None` when there is none.
    pub(in super::super) async fn case(&self, case: &CaseId, now: Timestamp) -> Result<Option<CaseFile>, LedgerError> {
        let Some(reading) = self.programme.book.read().case(case, now) else { return Ok(None) };
        self.programme.wait_for(reading.conversion.changed).await?;
        let records = self.clone();
        let read = waiting(move || records.joined(reading)).await?;
        let Some((file, as_of)) = read.map(|mut file| {
            let book = self.programme.book.read();
            file.neighbours = book.neighbours(&file.summary.conversion_id, &file.referrer, &file.referee);
            (file, book.cursor())
        }) else {
            return Ok(None);
        };
        self.programme.wait_for(as_of).await?;
        Ok(Some(file))
    }

    /// Where a case stands joined with what the journal says of it; no neighbours yet.
    fn joined(&self, reading: CaseReading) -> Result<Option<CaseFile>, LedgerError> {
        let CaseReading { summary, conversion, spoken_of_by, referrer_now, referee_now } = reading;
        let Some(screened) = self.screened(conversion.cursor)? else { return Ok(None) };
        let mut history = Vec::with_capacity(spoken_of_by.len() + 1);
        for cursor in spoken_of_by {
            if let Some(event) = self.read(cursor)? {
                history.extend(entries_of(&event));
            }
        }
        let (referrer, referee) = sides(&screened, referrer_now.as_ref(), referee_now.as_ref());
        let ConversionScreened { conversion: sent, decision, .. } = screened;
        let record = conversion.record(sent, decision);
        Ok(Some(CaseFile { summary, record, referrer, referee, history, neighbours: Vec::new() }))
    }
}

/// Both sides as known at screening. For a case that was opened by hand later, that was not kept: then as known now.
fn sides(
    screened: &ConversionScreened,
    referrer_now: Option<&SignalBundle>,
    referee_now: Option<&SignalBundle>,
) -> (SignalBundle, SignalBundle) {
    let conversion = &screened.conversion;
    if let Some(OpenedCase { due_at: _, referrer, referee }) = &screened.case {
        let known = |kept: &Option<SignalBundle>, sent: &SignalBundle| kept.clone().unwrap_or_else(|| sent.clone());
        return (known(referrer, &conversion.referrer), known(referee, &conversion.referee));
    }
    let now = |profile: Option<&SignalBundle>, sent: &SignalBundle| {
        profile.map_or_else(|| sent.clone(), |profile| sent.merged_with(profile))
    };
    (now(referrer_now, &conversion.referrer), now(referee_now, &conversion.referee))
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
        Event::SignalsRecorded(_) | Event::ListChanged(_) | Event::ConversionKept(_) => Vec::new(),
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
