//! A case as a whole: the decision, both sides as they were known, and everything that happened since.

use super::{Records, waiting};
use crate::book::acts::PendingAct;
use crate::book::cold::Met;
use crate::book::command::{CaseStep, Change, RewardsChange};
use crate::book::event::{
    ActConfirmed, CaseStepped, ChangedReward, ConversionScreened, Event, OpenedCase, OutcomeRecorded, Reassessed, Rechecked,
};
use crate::book::records::{CaseFile, Cursor, HistoryEntry, HistoryKind, ReserveAnswer};
use crate::book::{Book, CaseReading};
use crate::ports::ledger::LedgerError;
use crate::screening::case::{CaseState, Step};
use crate::screening::decision::Verdict;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::Reward;
use crate::vocabulary::ids::{Actor, CaseId, ConversionId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::{Outcome, OutcomeKind};
use crate::vocabulary::time::Timestamp;

/// Conversions of the referrer that are shown beside a case: the newest.
const OTHERS_SHOWN_MAX: usize = 20;

impl Records {
    /// Everything about a case; `None` when there is none.
    pub(in super::super) async fn case(&self, case: &CaseId, now: Timestamp) -> Result<Option<CaseFile>, LedgerError> {
        let Some(conversion_id) = case.conversion_id() else { return Ok(None) };
        let (records, case) = (self.clone(), case.clone());
        let reading = waiting(move || {
            let met = |book: &Book| Met::default().sides_of(book, &conversion_id);
            records.programme.look(met, |book| book.case(&case, now))
        });
        let Some(reading) = reading.await? else { return Ok(None) };
        self.programme.wait_for(reading.conversion.changed).await?;
        let records = self.clone();
        let read = waiting(move || match records.joined(reading)? {
            Some(file) => records.as_known_now(file, now).map(Some),
            None => Ok(None),
        });
        let Some((file, as_of)) = read.await? else { return Ok(None) };
        self.programme.wait_for(as_of).await?;
        Ok(Some(file))
    }

    /// A case with what is known by now: who else is on the values of its sides, and what the machine says. With the newest record of that.
    fn as_known_now(&self, file: CaseFile, now: Timestamp) -> Result<(CaseFile, Cursor), LedgerError> {
        let CaseFile { record, referrer, referee, .. } = &file;
        let met = |book: &Book| Met::default().conversion(book, &record.conversion).bundle(book, referrer).bundle(book, referee);
        let payout = self.programme.payout(&*self.assessor);
        let (neighbours, others_of_referrer, decision, as_of) = self.programme.look(met, |book| {
            let neighbours = book.neighbours(&file.summary.conversion_id, referrer, referee);
            let others = book.others_of_referrer(&file.summary.conversion_id, OTHERS_SHOWN_MAX, &payout);
            let history = book.history_now(&record.conversion);
            let conversion = book.conversion_renamed(record.conversion.clone());
            let decision = history.map(|history| self.assessor.assess_again(&conversion, &history, book.own(), now));
            (neighbours, others, decision, book.cursor())
        })?;
        let now = decision.unwrap_or_else(|| file.now.clone());
        Ok((CaseFile { now, neighbours, others_of_referrer, ..file }, as_of))
    }

    /// Where a case stands joined with what the journal says of it; no neighbours yet.
    fn joined(&self, reading: CaseReading) -> Result<Option<CaseFile>, LedgerError> {
        let CaseReading { summary, conversion, spoken_of_by, referrer_now, referee_now } = reading;
        let Some((screened, mark)) = self.screened(conversion.cursor)? else { return Ok(None) };
        let mut history = Vec::with_capacity(spoken_of_by.len() + 1);
        for cursor in spoken_of_by {
            if let Some(event) = self.read(cursor)? {
                history.extend(entries_of(&event, &conversion.conversion_id));
            }
        }
        let (referrer, referee) = sides(&screened, referrer_now.as_ref(), referee_now.as_ref());
        let ConversionScreened { conversion: sent, decision, .. } = screened;
        let record = self.record(conversion, sent, decision, mark);
        let now = record.decision.clone();
        let (neighbours, others_of_referrer) = (Vec::new(), Vec::new());
        Ok(Some(CaseFile { summary, record, now, referrer, referee, history, neighbours, others_of_referrer }))
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

/// What an event tells of one conversion.
fn entries_of(event: &Event, of: &ConversionId) -> Vec<HistoryEntry> {
    match event {
        Event::ConversionScreened(screened) => screened_entries(screened),
        Event::CaseStepped(_) | Event::CasesStepped(_) => event.step_of(of).map(stepped_entry).into_iter().collect(),
        Event::Rechecked(rechecked) => reassessed_entries(rechecked, of),
        Event::OutcomeRecorded(recorded) => vec![outcome_entry(recorded)],
        Event::OutcomeRevoked(revoked) => {
            let words = format!("taken back: {}", outcome_words(revoked.kind));
            vec![HistoryEntry {
                reason_code: revoked.reason_code.clone(),
                ..by(&revoked.actor, HistoryKind::OutcomeRevoked, revoked.at, &revoked.note, &words)
            }]
        }
        Event::RewardsReserved(reserved) => {
            let again = reserved.rechecked.iter().flat_map(|rechecked| reassessed_entries(rechecked, of));
            let of_it = reserved.answers.iter().filter(|answer| answer.conversion_id == *of);
            let granted = of_it.filter_map(|answer| Some((answer, answer.reserved_until?)));
            let entry = |(answer, until): (&ReserveAnswer, Timestamp)| {
                let told = format!("reward {} reserved by {} until {until}", answer.reward_id, reserved.request.id);
                HistoryEntry { note: amount_words(answer.amount), ..by_service(HistoryKind::Reserved, reserved.at, &told) }
            };
            again.chain(granted.map(entry)).collect()
        }
        Event::ReservationChanged(changed) => {
            let entry = |(_, reward): &(ConversionId, RewardId)| match changed.until {
                Some(until) => by_service(HistoryKind::Reserved, changed.at, &format!("reward {reward} reserved until {until}")),
                None => by_service(HistoryKind::ReservationCancelled, changed.at, &format!("reward {reward} not reserved")),
            };
            changed.rewards.iter().filter(|(conversion, _)| conversion == of).map(entry).collect()
        }
        Event::RewardPaid(paid) => {
            let against = paid.against_gate.as_ref().map(|reason| format!(" against the gate: {}", reason.sentence()));
            let told = format!("reward {} paid{}", paid.reward_id, against.unwrap_or_default());
            vec![HistoryEntry { note: amount_words(paid.amount), ..by_service(HistoryKind::Paid, paid.received_at, &told) }]
        }
        Event::PayoutFailed(failed) => {
            let told = by_service(HistoryKind::PayoutFailed, failed.received_at, &format!("reward {} unpaid", failed.reward_id));
            vec![HistoryEntry { reason_code: failed.reason_code.clone(), note: failed.note.clone(), ..told }]
        }
        Event::RewardsChanged(changed) => {
            let entry = |ChangedReward { reward: Reward { reward_id, amount, .. }, previous }: &ChangedReward| {
                let worth = |amount: &Option<Money>| amount.map(|amount| format!(", worth {amount}")).unwrap_or_default();
                let how = match changed.change {
                    RewardsChange::Add => "added",
                    RewardsChange::Change => "changed",
                };
                let told = format!("reward {reward_id} {how}{}", worth(amount));
                let previous = previous.map(|was| format!("worth {was}")).unwrap_or_default();
                HistoryEntry { previous, ..by(&changed.actor, HistoryKind::RewardsChanged, changed.at, &changed.note, &told) }
            };
            changed.rewards.iter().map(entry).collect()
        }
        Event::HoldChanged(changed) => {
            let (kind, previous, new) = match changed.change {
                Change::Place => (HistoryKind::HoldPlaced, String::new(), format!("held by {}", changed.hold_id)),
                Change::Lift => (HistoryKind::HoldLifted, format!("held by {}", changed.hold_id), "lifted".to_owned()),
            };
            vec![HistoryEntry { previous, ..by(&changed.actor, kind, changed.at, &changed.note, &new) }]
        }
        Event::ActProposed(proposed) => {
            let PendingAct { id, proposer, proposed_at, note, .. } = &proposed.pending;
            vec![by(proposer, HistoryKind::Proposed, *proposed_at, note, &format!("{id} waits for a second identity"))]
        }
        Event::ActConfirmed(confirmed) => {
            let ActConfirmed { act_id, actor, note, request: _, at, done } = &**confirmed;
            let told = by(actor, HistoryKind::Confirmed, *at, note, &format!("{act_id} confirmed"));
            std::iter::once(told).chain(entries_of(done, of)).collect()
        }
        Event::OutcomeSpread(_)
        | Event::PendingExpired(_)
        | Event::SignalsRecorded(_)
        | Event::ListChanged(_)
        | Event::ModelsChanged(_)
        | Event::TermsChanged(_)
        | Event::ValuesRekeyed(_)
        | Event::AuditKeyMade(_)
        | Event::DirectoryChanged(_)
        | Event::Looked(_)
        | Event::AccountErased(_)
        | Event::ErasureFinished(_)
        | Event::ActDropped(_)
        | Event::SourceEventTaken(_)
        | Event::BreakerTripped(_)
        | Event::TrailKept(_)
        | Event::ConversionKept(_) => Vec::new(),
    }
}

/// What was learned after the decision, in the words of the strongest reason.
fn reassessed_entries(rechecked: &Rechecked, of: &ConversionId) -> Vec<HistoryEntry> {
    let entry = |changed: &Reassessed| HistoryEntry {
        previous: verdict_words(changed.previous_verdict).to_owned(),
        note: changed.decision.reasons.first().map(|reason| reason.sentence.clone()).unwrap_or_default(),
        reason_code: "learned_after_the_decision".to_owned(),
        ..by_service(HistoryKind::Reassessed, rechecked.at, verdict_words(changed.verdict))
    };
    rechecked.changed.iter().filter(|changed| changed.conversion_id == *of).map(entry).collect()
}

fn outcome_entry(recorded: &OutcomeRecorded) -> HistoryEntry {
    let Outcome { kind, amount, actor, note, .. } = &recorded.outcome;
    let note = match amount {
        Some(amount) if note.is_empty() => amount.to_string(),
        Some(amount) => format!("{amount}: {note}"),
        None => note.clone(),
    };
    let told = by_service(HistoryKind::OutcomeRecorded, recorded.received_at, outcome_words(*kind));
    HistoryEntry { actor: actor.clone(), note, ..told }
}

fn amount_words(amount: Option<Money>) -> String {
    amount.map(|amount| amount.to_string()).unwrap_or_default()
}

fn by(actor: &Actor, kind: HistoryKind, at: Timestamp, note: &str, new: &str) -> HistoryEntry {
    HistoryEntry { actor: Some(actor.clone()), note: note.to_owned(), ..by_service(kind, at, new) }
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
        OutcomeKind::DisputeWon => "dispute won",
        OutcomeKind::AccountUnbanned => "account opened again",
    }
}
