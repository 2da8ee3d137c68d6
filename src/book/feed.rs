//! The feed: what an event tells the reward pipeline. A pure function of the event, so that the feed is the journal read in order: it can
//! neither skip nor invent.

use super::command::{CaseStep, Change};
use super::cursor::FeedCursor;
use super::event::{
    CaseStepped, Concerned, ConversionScreened, Effect, Entitlement, Event, HoldChanged, OutcomeRecorded, OutcomeRevoked,
    PayoutFailed, Reassessed, Rechecked, RewardPaid, RewardsChanged,
};
use super::records::{FeedEvent, FeedKind, HoldSubject};
use crate::screening::case::Step;
use crate::screening::decision::Verdict;
use crate::vocabulary::ids::{AccountId, ConversionId, RewardId};
use crate::vocabulary::outcome::OutcomeSubject;
use crate::vocabulary::time::Timestamp;

/// What an event tells, in order. Empty for what concerns no payout.
pub(crate) fn events(cursor: FeedCursor, event: &Event) -> Vec<FeedEvent> {
    match event {
        Event::ConversionScreened(screened) => decided(cursor, screened),
        Event::OutcomeRecorded(recorded) => recorded_outcome(cursor, recorded),
        Event::OutcomeRevoked(revoked) => revoked_outcome(cursor, revoked),
        Event::OutcomeSpread(spread) => concerned(cursor, &spread.concerned, spread.at),
        Event::CaseStepped(stepped) => case(cursor, stepped),
        Event::CasesStepped(stepped) => stepped.steps.iter().flat_map(|step| case(cursor, step)).collect(),
        Event::Rechecked(rechecked) => reassessed(cursor, rechecked),
        Event::RewardsReserved(reserved) => reserved.rechecked.iter().flat_map(|again| reassessed(cursor, again)).collect(),
        Event::RewardPaid(reward) => paid(cursor, reward),
        Event::PayoutFailed(failed) => vec![payout_failed(cursor, failed)],
        Event::RewardsChanged(changed) => vec![rewards_changed(cursor, changed)],
        Event::HoldChanged(changed) => vec![hold(cursor, changed)],
        Event::ActConfirmed(confirmed) => events(cursor, &confirmed.done),
        Event::SignalsRecorded(_)
        | Event::PendingExpired(_)
        | Event::ReservationChanged(_)
        | Event::ListChanged(_)
        | Event::ModelsChanged(_)
        | Event::TermsChanged(_)
        | Event::ValuesRekeyed(_)
        | Event::AuditKeyMade(_)
        | Event::DirectoryChanged(_)
        | Event::Looked(_)
        | Event::AccountErased(_)
        | Event::ErasureFinished(_)
        | Event::ActProposed(_)
        | Event::ActDropped(_)
        | Event::SourceEventTaken(_)
        | Event::BreakerTripped(_)
        | Event::TrailKept(_)
        | Event::ConversionKept(_) => Vec::new(),
    }
}

/// The referral that an event is about.
struct Referral<'a> {
    conversion_id: &'a ConversionId,
    referrer: &'a AccountId,
    referee: &'a AccountId,
    verdict: Verdict,
}

impl Referral<'_> {
    fn event(&self, cursor: FeedCursor, kind: FeedKind, at: Timestamp) -> FeedEvent {
        FeedEvent {
            cursor,
            kind,
            conversion_id: Some(self.conversion_id.clone()),
            referrer: Some(self.referrer.clone()),
            referee: Some(self.referee.clone()),
            reward_id: None,
            verdict: Some(self.verdict),
            previous_verdict: Some(self.verdict),
            audited_model: None,
            against_gate: None,
            reason_codes: Vec::new(),
            at,
        }
    }

    fn rejected_after_payment<'r>(
        &self,
        cursor: FeedCursor,
        rewards: impl IntoIterator<Item = &'r RewardId>,
        at: Timestamp,
    ) -> Vec<FeedEvent> {
        let told = |reward: &RewardId| FeedEvent {
            reward_id: Some(reward.clone()),
            ..self.event(cursor, FeedKind::RejectedAfterPayment, at)
        };
        rewards.into_iter().map(told).collect()
    }
}

fn decided(cursor: FeedCursor, event: &ConversionScreened) -> Vec<FeedEvent> {
    let ConversionScreened { conversion, decision, came_before, repeated, .. } = event;
    let referral = Referral {
        conversion_id: &conversion.conversion_id,
        referrer: &conversion.referrer.account_id,
        referee: &conversion.referee.account_id,
        verdict: decision.verdict,
    };
    let told = FeedEvent {
        previous_verdict: None,
        audited_model: decision.audited_model().map(Into::into),
        reason_codes: decision.reasons.iter().map(|reason| reason.code).collect(),
        ..referral.event(cursor, FeedKind::Decided, decision.decided_at)
    };
    with_what_came_before(told, *came_before, repeated.as_ref())
}

/// A decision's event, that of the outcomes which came before and cancel or reduce it at once, and what they do to the conversion that it repeats.
pub(crate) fn with_what_came_before(decided: FeedEvent, came_before: Effect, repeated: Option<&Concerned>) -> Vec<FeedEvent> {
    let of_repeated = concerned(decided.cursor, repeated, decided.at);
    let at_once = told_as(came_before).map(|kind| FeedEvent {
        kind,
        previous_verdict: decided.verdict,
        audited_model: None,
        reason_codes: Vec::new(),
        ..decided.clone()
    });
    std::iter::once(decided).chain(at_once).chain(of_repeated).collect()
}

fn recorded_outcome(cursor: FeedCursor, event: &OutcomeRecorded) -> Vec<FeedEvent> {
    let OutcomeRecorded { outcome, on_account, concerned: first, received_at, content: _ } = event;
    let account = account_told(cursor, &outcome.subject, *on_account, *received_at);
    account.into_iter().chain(concerned(cursor, first, *received_at)).collect()
}

fn revoked_outcome(cursor: FeedCursor, event: &OutcomeRevoked) -> Vec<FeedEvent> {
    let account = account_told(cursor, &event.subject, event.on_account, event.at);
    account.into_iter().chain(concerned(cursor, &event.concerned, event.at)).collect()
}

/// The event of an account that is banned from now on, or not any more.
fn account_told(cursor: FeedCursor, subject: &OutcomeSubject, effect: Effect, at: Timestamp) -> Option<FeedEvent> {
    let OutcomeSubject::Account(account) = subject else { return None };
    Some(of_referrer(cursor, told_as(effect)?, account, at))
}

const fn told_as(effect: Effect) -> Option<FeedKind> {
    match effect {
        Effect::Cancelled => Some(FeedKind::Cancelled),
        Effect::Reduced => Some(FeedKind::Reduced),
        Effect::Reinstated => Some(FeedKind::Reinstated),
        Effect::None => None,
    }
}

fn concerned<'c>(cursor: FeedCursor, concerned: impl IntoIterator<Item = &'c Concerned>, at: Timestamp) -> Vec<FeedEvent> {
    let mut told = Vec::new();
    for one in concerned {
        let Concerned { conversion_id, referrer, referee, verdict, effect, paid } = one;
        let referral = Referral { conversion_id, referrer, referee, verdict: *verdict };
        let Some(kind) = told_as(*effect) else { continue };
        told.push(referral.event(cursor, kind, at));
        told.extend(referral.rejected_after_payment(cursor, paid, at));
    }
    told
}

fn reassessed(cursor: FeedCursor, event: &Rechecked) -> Vec<FeedEvent> {
    let mut told = Vec::new();
    for changed in event.changed.iter().filter(|changed| changed.verdict != changed.previous_verdict) {
        let Reassessed { conversion_id, referrer, referee, previous_verdict, verdict, paid, decision, due_at: _ } = changed;
        let referral = Referral { conversion_id, referrer, referee, verdict: *verdict };
        told.push(FeedEvent {
            previous_verdict: Some(*previous_verdict),
            reason_codes: decision.reasons.iter().map(|reason| reason.code).collect(),
            ..referral.event(cursor, FeedKind::Reassessed, event.at)
        });
        told.extend(referral.rejected_after_payment(cursor, paid, event.at));
    }
    told
}

fn payout_failed(cursor: FeedCursor, event: &PayoutFailed) -> FeedEvent {
    let PayoutFailed { conversion_id, referrer, referee, verdict, .. } = event;
    let referral = Referral { conversion_id, referrer, referee, verdict: *verdict };
    FeedEvent { reward_id: Some(event.reward_id.clone()), ..referral.event(cursor, FeedKind::PayoutFailed, event.received_at) }
}

fn rewards_changed(cursor: FeedCursor, event: &RewardsChanged) -> FeedEvent {
    let RewardsChanged { conversion_id, referrer, referee, verdict, .. } = event;
    let referral = Referral { conversion_id, referrer, referee, verdict: *verdict };
    referral.event(cursor, FeedKind::RewardsChanged, event.at)
}

/// Claims, releases and notes are the reviewers' own business.
fn case(cursor: FeedCursor, event: &CaseStepped) -> Vec<FeedEvent> {
    let kind = match &event.step {
        CaseStep::Step(Step::Resolve(_)) => FeedKind::CaseResolved,
        CaseStep::Step(Step::Reopen) => FeedKind::CaseReopened,
        CaseStep::Step(Step::Claim { .. } | Step::Release) | CaseStep::Note => return Vec::new(),
    };
    let referral = Referral {
        conversion_id: &event.conversion_id,
        referrer: &event.referrer,
        referee: &event.referee,
        verdict: event.verdict,
    };
    let mut told = vec![FeedEvent {
        previous_verdict: Some(event.previous_verdict),
        reason_codes: event.reason_codes.clone(),
        ..referral.event(cursor, kind, event.at)
    }];
    told.extend(referral.rejected_after_payment(cursor, &event.paid, event.at));
    told
}

fn paid(cursor: FeedCursor, event: &RewardPaid) -> Vec<FeedEvent> {
    let referral = Referral {
        conversion_id: &event.conversion_id,
        referrer: &event.referrer,
        referee: &event.referee,
        verdict: event.verdict,
    };
    let mut told = vec![FeedEvent {
        reward_id: Some(event.reward_id.clone()),
        against_gate: event.against_gate.clone(),
        ..referral.event(cursor, FeedKind::Paid, event.received_at)
    }];
    if event.entitlement == Entitlement::Lost {
        told.extend(referral.rejected_after_payment(cursor, [&event.reward_id], event.received_at));
    }
    told
}

fn hold(cursor: FeedCursor, event: &HoldChanged) -> FeedEvent {
    let kind = match event.change {
        Change::Place => FeedKind::HoldPlaced,
        Change::Lift => FeedKind::HoldLifted,
    };
    match (&event.subject, &event.referral) {
        (HoldSubject::Conversion(conversion_id), Some(held)) => {
            let referral = Referral { conversion_id, referrer: &held.referrer, referee: &held.referee, verdict: held.verdict };
            referral.event(cursor, kind, event.at)
        }
        (HoldSubject::Conversion(conversion_id), None) => {
            FeedEvent { conversion_id: Some(conversion_id.clone()), referrer: None, ..of_nobody(cursor, kind, event.at) }
        }
        (HoldSubject::Referrer(account), _) => of_referrer(cursor, kind, account, event.at),
    }
}

fn of_referrer(cursor: FeedCursor, kind: FeedKind, account: &AccountId, at: Timestamp) -> FeedEvent {
    FeedEvent { referrer: Some(account.clone()), ..of_nobody(cursor, kind, at) }
}

const fn of_nobody(cursor: FeedCursor, kind: FeedKind, at: Timestamp) -> FeedEvent {
    FeedEvent {
        cursor,
        kind,
        conversion_id: None,
        referrer: None,
        referee: None,
        reward_id: None,
        verdict: None,
        previous_verdict: None,
        audited_model: None,
        against_gate: None,
        reason_codes: Vec::new(),
        at,
    }
}
