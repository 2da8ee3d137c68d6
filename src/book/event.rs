//! Events: what happened in a programme, one for each journal record. The only truth; a book is what they add up to.
//!
//! An event holds what was decided when it was made (verdicts before and after, rewards that were paid), so that applying it and telling it in
//! the feed need no look at anything that came later.

use super::acts::PendingAct;
use super::command::{CaseStep, Change, Request, RewardsChange, Settlement};
use super::directory::DirectoryStep;
use super::erasures::{AccountErased, ErasureFinished};
use super::intake::{Fact, Mistake};
use super::looks::Looked;
use super::models::{Audited, ModelAction, ModelChange, ModelChoices, ModelName};
use super::records::{ContentFingerprint, Cursor, HoldSubject, ListEntry, ReserveAnswer};
use super::refusal::LeftAlone;
use super::rekeying::Rekeyed;
use super::terms::{Terms, TermsSummary};
use super::trail::TrailKept;
use crate::screening::audit::AuditKey;
use crate::screening::case::CaseState;
use crate::screening::decision::{Decision, Verdict};
use crate::screening::evidence::EvidenceCode;
use crate::screening::gate::{Accepts, Cancelled, GateReason};
use crate::screening::policy::Promise;
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, ConversionKind, Reward, Side};
use crate::vocabulary::ids::{AccountId, ActId, Actor, ConversionId, HoldId, InvoiceId, RecordId, RequestId, RewardId, SenderId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::source::Source;
use crate::vocabulary::time::Timestamp;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    ConversionScreened(Box<ConversionScreened>),
    SignalsRecorded(SignalsRecorded),
    OutcomeRecorded(Box<OutcomeRecorded>),
    OutcomeRevoked(Box<OutcomeRevoked>),
    /// What an outcome, or taking it back, does to further conversions of an account with many.
    OutcomeSpread(OutcomeSpread),
    PendingExpired(PendingExpired),
    Rechecked(Box<Rechecked>),
    CaseStepped(Box<CaseStepped>),
    /// One step was made on several cases at once.
    CasesStepped(Box<CasesStepped>),
    RewardsReserved(Box<RewardsReserved>),
    ReservationChanged(Box<ReservationChanged>),
    RewardPaid(Box<RewardPaid>),
    PayoutFailed(Box<PayoutFailed>),
    RewardsChanged(Box<RewardsChanged>),
    HoldChanged(HoldChanged),
    ListChanged(ListChanged),
    ModelsChanged(Box<ModelsChanged>),
    TermsChanged(Box<TermsChanged>),
    /// Values got names under a new key.
    ValuesRekeyed(Box<ValuesRekeyed>),
    AuditKeyMade(AuditKeyMade),
    DirectoryChanged(Box<DirectoryChanged>),
    /// Somebody looked at people, or something was handed out.
    Looked(Box<Looked>),
    /// Signals of an account are to be erased.
    AccountErased(AccountErased),
    /// They are.
    ErasureFinished(Box<ErasureFinished>),
    /// Something waits for a second identity.
    ActProposed(Box<ActProposed>),
    /// A second identity confirmed it: it is done.
    ActConfirmed(Box<ActConfirmed>),
    /// It was refused, or taken back.
    ActDropped(ActDropped),
    /// An event of a sender's own was taken.
    SourceEventTaken(Box<SourceEventTaken>),
    /// Not of the journal itself: what outlives a ruling that broke a model's promise, when retention removed its record.
    BreakerTripped(BreakerTripped),
    /// Not of the journal itself: what outlives the audit trail's part of records that retention removed.
    TrailKept(Box<TrailKept>),
    /// Not of the journal itself: what outlives a conversion whose record retention removed.
    ConversionKept(Box<ConversionKept>),
}

impl Event {
    /// When the service learned of it: later records were learned of later. Absent for what outlived its record.
    pub(crate) fn learned_at(&self) -> Option<Timestamp> {
        Some(match self {
            Self::ConversionScreened(screened) => screened.received_at,
            Self::SignalsRecorded(recorded) => recorded.received_at,
            Self::OutcomeRecorded(recorded) => recorded.received_at,
            Self::OutcomeRevoked(revoked) => revoked.at,
            Self::OutcomeSpread(spread) => spread.at,
            Self::PendingExpired(expired) => expired.at,
            Self::Rechecked(rechecked) => rechecked.at,
            Self::CaseStepped(stepped) => stepped.at,
            Self::CasesStepped(stepped) => stepped.act.at,
            Self::RewardsReserved(reserved) => reserved.at,
            Self::ReservationChanged(changed) => changed.at,
            Self::RewardPaid(paid) => paid.received_at,
            Self::PayoutFailed(failed) => failed.received_at,
            Self::RewardsChanged(changed) => changed.at,
            Self::HoldChanged(changed) => changed.at,
            Self::ListChanged(changed) => changed.entry.placed_at,
            Self::ModelsChanged(changed) => changed.at,
            Self::TermsChanged(changed) => changed.at,
            Self::ValuesRekeyed(rekeyed) => rekeyed.at,
            Self::AuditKeyMade(made) => made.at,
            Self::DirectoryChanged(changed) => changed.at,
            Self::Looked(looked) => looked.at,
            Self::AccountErased(erased) => erased.at,
            Self::ErasureFinished(finished) => finished.at,
            Self::ActProposed(proposed) => proposed.pending.proposed_at,
            Self::ActConfirmed(confirmed) => confirmed.at,
            Self::ActDropped(dropped) => dropped.at,
            Self::SourceEventTaken(taken) => taken.received_at,
            Self::BreakerTripped(_) | Self::TrailKept(_) | Self::ConversionKept(_) => return None,
        })
    }

    /// The call that it answers; absent when it had no id of its own.
    pub(super) fn request(&self) -> Option<&Request> {
        match self {
            Self::ConversionScreened(_)
            | Self::SignalsRecorded(_)
            | Self::OutcomeRecorded(_)
            | Self::OutcomeSpread(_)
            | Self::PendingExpired(_)
            | Self::Rechecked(_)
            | Self::AuditKeyMade(_)
            | Self::DirectoryChanged(_)
            | Self::Looked(_)
            | Self::ErasureFinished(_)
            | Self::SourceEventTaken(_)
            | Self::BreakerTripped(_)
            | Self::TrailKept(_)
            | Self::ConversionKept(_) => None,
            Self::OutcomeRevoked(revoked) => revoked.request.as_ref(),
            Self::CaseStepped(stepped) => stepped.request.as_ref(),
            Self::CasesStepped(stepped) => Some(&stepped.request),
            Self::RewardsReserved(reserved) => Some(&reserved.request),
            Self::ReservationChanged(changed) => changed.request.as_ref(),
            Self::RewardPaid(paid) => paid.request.as_ref(),
            Self::PayoutFailed(failed) => failed.request.as_ref(),
            Self::RewardsChanged(changed) => changed.request.as_ref(),
            Self::HoldChanged(changed) => changed.request.as_ref(),
            Self::ListChanged(changed) => changed.request.as_ref(),
            Self::ModelsChanged(changed) => changed.request.as_ref(),
            Self::TermsChanged(changed) => changed.request.as_ref(),
            Self::ValuesRekeyed(rekeyed) => Some(&rekeyed.request),
            Self::AccountErased(erased) => erased.request.as_ref(),
            Self::ActProposed(proposed) => proposed.request.as_ref(),
            Self::ActConfirmed(confirmed) => confirmed.request.as_ref(),
            Self::ActDropped(dropped) => dropped.request.as_ref(),
        }
    }

    /// What was done: of an act that was confirmed, what it did.
    pub(crate) fn done(self) -> Self {
        match self {
            Self::ActConfirmed(confirmed) => *confirmed.done,
            other => other,
        }
    }

    /// Whether it tells of an act that needs a second identity.
    pub(crate) const fn is_of_an_act(&self) -> bool {
        matches!(self, Self::ActProposed(_) | Self::ActConfirmed(_) | Self::ActDropped(_))
    }
}

/// A conversion was screened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConversionScreened {
    pub(crate) conversion: Conversion,
    pub(crate) content: ContentFingerprint,
    pub(crate) decision: Decision,
    pub(crate) received_at: Timestamp,
    /// Present when it opened a case.
    pub(crate) case: Option<OpenedCase>,
    /// What outcomes that came before it do to it.
    pub(crate) came_before: Effect,
    /// The conversion that it repeats, with what they do to that one; absent when it repeats none, or none came before.
    pub(crate) repeated: Option<Concerned>,
}

/// A case that screening opened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OpenedCase {
    pub(crate) due_at: Timestamp,
    /// The referrer as known then; absent when nothing beyond the message was.
    pub(crate) referrer: Option<SignalBundle>,
    /// The referee as known then; absent when nothing beyond the message was.
    pub(crate) referee: Option<SignalBundle>,
}

/// An event of a sender's own was taken, for the first time or again where that changes something.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceEventTaken {
    pub(crate) source: Source,
    pub(crate) event_id: SenderId,
    /// When it happened, as the sender says.
    pub(crate) at: Timestamp,
    pub(crate) content: ContentFingerprint,
    pub(crate) facts: Vec<Fact>,
    /// What looks like a mistake in it and was not told before.
    pub(crate) mistakes: Vec<Mistake>,
    pub(crate) received_at: Timestamp,
}

impl SourceEventTaken {
    /// What of it is known for longer than its record is kept.
    pub(crate) fn lasting(&self) -> impl Iterator<Item = &Fact> {
        self.facts.iter().filter(|fact| match fact {
            Fact::Customer(_) | Fact::Step(..) | Fact::Code(_) => true,
            Fact::Signals(..)
            | Fact::Payment(_)
            | Fact::OfInvoice { .. }
            | Fact::GivenBack { .. }
            | Fact::Disputed(_)
            | Fact::Warned { .. }
            | Fact::Ended(_) => false,
        })
    }
}

/// Signals were added to profiles.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SignalsRecorded {
    pub(crate) record_id: RecordId,
    pub(crate) content: ContentFingerprint,
    pub(crate) bundles: Vec<SignalBundle>,
    pub(crate) received_at: Timestamp,
}

/// An outcome was reported.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutcomeRecorded {
    pub(crate) outcome: Outcome,
    pub(crate) content: ContentFingerprint,
    pub(crate) received_at: Timestamp,
    /// What it does to the account that it is about.
    pub(crate) on_account: Effect,
    /// The conversions that it concerns, one by one. Empty while it waits for its subject. Of an account with many the oldest; the others follow
    /// in records of their own, and stand as it says from now on.
    pub(crate) concerned: Vec<Concerned>,
}

/// An outcome was taken back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutcomeRevoked {
    pub(crate) outcome_id: RecordId,
    pub(crate) kind: OutcomeKind,
    pub(crate) subject: OutcomeSubject,
    pub(crate) actor: Actor,
    pub(crate) reason_code: String,
    pub(crate) note: String,
    pub(crate) request: Option<Request>,
    pub(crate) at: Timestamp,
    /// As for the outcome.
    pub(crate) on_account: Effect,
    /// As for the outcome.
    pub(crate) concerned: Vec<Concerned>,
}

/// The next conversions that an outcome concerns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OutcomeSpread {
    pub(crate) outcome_id: RecordId,
    pub(crate) at: Timestamp,
    pub(crate) concerned: Vec<Concerned>,
}

/// Outcomes waited too long for their subject.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PendingExpired {
    pub(crate) outcome_ids: Vec<RecordId>,
    pub(crate) at: Timestamp,
}

/// Conversions to which something was added after they were decided were looked at again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rechecked {
    pub(crate) at: Timestamp,
    /// The newest record that was seen.
    pub(crate) as_of: Cursor,
    /// All that were looked at.
    pub(crate) seen: Vec<ConversionId>,
    /// Those of them that stand otherwise by now.
    pub(crate) changed: Vec<Reassessed>,
}

/// A conversion whose facts say something else by now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reassessed {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) previous_verdict: Verdict,
    /// The verdict that it puts in force: what the machine says, or review where a person had accepted.
    pub(crate) verdict: Verdict,
    /// When a case that it opens is overdue.
    pub(crate) due_at: Timestamp,
    /// Rewards that were paid before this rejection and not reported as such before.
    pub(crate) paid: Vec<RewardId>,
    /// What the machine says of everything that is known.
    pub(crate) decision: Box<Decision>,
}

/// A conversion that an outcome concerns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Concerned {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    /// The verdict in force.
    pub(crate) verdict: Verdict,
    /// What it does.
    pub(crate) effect: Effect,
    /// Rewards that were paid and not reported as such before.
    pub(crate) paid: Vec<RewardId>,
}

/// What an outcome, or taking one back, does to a conversion; to an account, whether it is banned by it or opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// What is unpaid is cancelled.
    Cancelled,
    /// Less may be paid.
    Reduced,
    /// It is not cancelled any more.
    Reinstated,
    /// It changes nothing for the payout.
    None,
}

impl Event {
    /// The model that a reviewer's ruling in it took the word from.
    pub(crate) const fn trips(&self) -> Option<&BreakerTripped> {
        if let Self::CaseStepped(stepped) = self {
            stepped.trips.as_ref()
        } else if let Self::CasesStepped(stepped) = self {
            stepped.trips.as_ref()
        } else {
            None
        }
    }

    /// The step that it is for one conversion, with others or alone; absent when it steps no case of that.
    pub(crate) fn step_of(&self, id: &ConversionId) -> Option<&CaseStepped> {
        if let Self::CaseStepped(stepped) = self {
            Some(&**stepped).filter(|stepped| stepped.conversion_id == *id)
        } else if let Self::CasesStepped(stepped) = self {
            stepped.steps.iter().find(|stepped| stepped.conversion_id == *id)
        } else {
            None
        }
    }
}

/// A case was stepped, or noted on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CaseStepped {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) step: CaseStep,
    pub(crate) actor: Actor,
    pub(crate) reason_code: String,
    pub(crate) note: String,
    pub(crate) at: Timestamp,
    /// The state before, as it counted at that time; absent when this opened the first case of its conversion.
    pub(crate) previous_state: Option<CaseState>,
    pub(crate) state: CaseState,
    pub(crate) previous_verdict: Verdict,
    pub(crate) verdict: Verdict,
    pub(crate) revision: u32,
    /// When it was opened, or reopened last.
    pub(crate) opened_at: Timestamp,
    pub(crate) due_at: Timestamp,
    pub(crate) reason_codes: Vec<EvidenceCode>,
    /// Rewards that were paid before this rejection and not reported as such before.
    pub(crate) paid: Vec<RewardId>,
    /// What the queue shows of a conversion that never had a case; absent when it had one.
    pub(crate) first_case: Option<FirstCase>,
    /// The model whose promise it breaks: what that one would reject goes to review from now on; absent when none.
    pub(crate) trips: Option<BreakerTripped>,
    pub(crate) request: Option<Request>,
}

/// One step was made on several cases, as far as it was possible.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CasesStepped {
    pub(crate) act: StepMade,
    /// What became of each case that was stepped: with what is said of all of them, and neither a call nor a tripped breaker of its own.
    pub(crate) steps: Vec<CaseStepped>,
    /// The cases that were named, in order, and why some were left alone.
    pub(crate) named: Vec<(ConversionId, Option<LeftAlone>)>,
    /// The model whose promise the rulings break together; absent when none. Of several the first: the others by the next ruling.
    pub(crate) trips: Option<BreakerTripped>,
    pub(crate) request: Request,
}

/// A step, who made it, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct StepMade {
    pub(crate) step: CaseStep,
    pub(crate) actor: Actor,
    pub(crate) reason_code: String,
    pub(crate) note: String,
    pub(crate) at: Timestamp,
}

/// What the queue shows of a case beside its state.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FirstCase {
    pub(crate) score: f64,
    pub(crate) value: Option<Money>,
    pub(crate) headline: String,
}

/// Rewards were asked for, and those that the gate released were reserved.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RewardsReserved {
    pub(crate) request: Request,
    pub(crate) at: Timestamp,
    /// Another look at what was asked for; absent when it changed nothing.
    pub(crate) rechecked: Option<Rechecked>,
    pub(crate) answers: Vec<ReserveAnswer>,
}

/// A reservation was renewed or ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReservationChanged {
    pub(crate) reservation_id: RequestId,
    pub(crate) rewards: Vec<(ConversionId, RewardId)>,
    /// Until when it lasts now; absent when it ended.
    pub(crate) until: Option<Timestamp>,
    pub(crate) request: Option<Request>,
    pub(crate) at: Timestamp,
}

/// A reward was paid.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RewardPaid {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) reward_id: RewardId,
    pub(crate) paid_at: Timestamp,
    pub(crate) amount: Option<Money>,
    pub(crate) received_at: Timestamp,
    /// The verdict in force.
    pub(crate) verdict: Verdict,
    pub(crate) entitlement: Entitlement,
    /// What the gate said against it; absent when it released it.
    pub(crate) against_gate: Option<GateReason>,
    /// The reservation that it settles; absent when it was told without one.
    pub(crate) reservation_id: Option<RequestId>,
    pub(crate) request: Option<Request>,
}

/// A payment did not reach its beneficiary: the reward is unpaid again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PayoutFailed {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) reward_id: RewardId,
    pub(crate) failed_at: Timestamp,
    pub(crate) reason_code: String,
    pub(crate) note: String,
    pub(crate) received_at: Timestamp,
    /// The verdict in force.
    pub(crate) verdict: Verdict,
    pub(crate) request: Option<Request>,
}

/// Rewards were added to a conversion, or are worth something else by now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RewardsChanged {
    pub(crate) conversion_id: ConversionId,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    /// The verdict in force.
    pub(crate) verdict: Verdict,
    pub(crate) rewards: Vec<ChangedReward>,
    pub(crate) change: RewardsChange,
    pub(crate) actor: Actor,
    pub(crate) note: String,
    pub(crate) request: Option<Request>,
    pub(crate) at: Timestamp,
}

/// A reward that is worth something else by now.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ChangedReward {
    pub(crate) reward: Reward,
    /// What it was worth; absent when it is new, or nothing was said of it.
    pub(crate) previous: Option<Money>,
}

/// Whether a reward was paid to somebody who could still earn it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entitlement {
    /// Neither rejected nor cancelled nor a duplicate.
    Standing,
    /// Money left for a referral that earns none.
    Lost,
}

/// A hold was placed or lifted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HoldChanged {
    pub(crate) hold_id: HoldId,
    pub(crate) subject: HoldSubject,
    pub(crate) change: Change,
    pub(crate) actor: Actor,
    pub(crate) note: String,
    pub(crate) at: Timestamp,
    /// The referral; absent when the hold is on a referrer.
    pub(crate) referral: Option<HeldReferral>,
    pub(crate) request: Option<Request>,
}

/// The referral that a hold is on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct HeldReferral {
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    /// The verdict in force.
    pub(crate) verdict: Verdict,
}

/// A list entry was written or removed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ListChanged {
    pub(crate) entry: ListEntry,
    pub(crate) change: Change,
    pub(crate) request: Option<Request>,
}

/// An act waits for a second identity.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActProposed {
    pub(crate) pending: PendingAct,
    pub(crate) request: Option<Request>,
}

/// An act was confirmed, and done in the same moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActConfirmed {
    pub(crate) act_id: ActId,
    /// Who confirmed it.
    pub(crate) actor: Actor,
    pub(crate) note: String,
    pub(crate) request: Option<Request>,
    pub(crate) at: Timestamp,
    /// What was done, as its proposer's. Never of an act itself.
    pub(crate) done: Box<Event>,
}

/// An act was refused, or taken back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActDropped {
    pub(crate) act_id: ActId,
    pub(crate) how: Settlement,
    pub(crate) actor: Actor,
    pub(crate) note: String,
    pub(crate) request: Option<Request>,
    pub(crate) at: Timestamp,
}

/// A model was loaded, chosen or watched.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelsChanged {
    pub(crate) action: ModelAction,
    /// The model; absent when it is about none.
    pub(crate) model: Option<ModelName>,
    /// What stood in its place before; absent for nothing.
    pub(crate) previous: Option<ModelName>,
    /// What is chosen from now on; absent where that stays.
    pub(crate) choices: Option<ModelChoices>,
    pub(crate) actor: Actor,
    pub(crate) note: String,
    pub(crate) at: Timestamp,
    pub(crate) request: Option<Request>,
}

impl ModelsChanged {
    /// Its line of the audit trail.
    pub(super) fn change(&self) -> ModelChange {
        let version = |model: &Option<ModelName>| model.as_ref().map(|model| model.version.clone()).unwrap_or_default();
        ModelChange {
            action: self.action,
            version: version(&self.model),
            previous: version(&self.previous),
            actor: Some(self.actor.clone()),
            note: self.note.clone(),
            at: self.at,
        }
    }
}

/// The terms of the programme were changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TermsChanged {
    /// As they are from now on.
    pub(crate) terms: Terms,
    /// The delays of before that what was received under them keeps, the oldest first.
    pub(crate) promises: Vec<Promise>,
    pub(crate) previous: TermsSummary,
    pub(crate) actor: Actor,
    pub(crate) note: String,
    pub(crate) at: Timestamp,
    pub(crate) request: Option<Request>,
}

/// Values got names under a new key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ValuesRekeyed {
    pub(crate) values: Vec<Rekeyed>,
    pub(crate) actor: Actor,
    pub(crate) note: String,
    pub(crate) request: Request,
    pub(crate) at: Timestamp,
}

/// The audits broke a model's promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BreakerTripped {
    pub(crate) version: Box<str>,
    /// Audited rejects that were honest.
    pub(crate) honest: u32,
    /// Those that were abusive.
    pub(crate) abusive: u32,
    pub(crate) at: Timestamp,
}

impl BreakerTripped {
    /// Its line of the audit trail.
    pub(super) fn change(&self) -> ModelChange {
        let Self { version, honest, abusive, at } = self;
        let note = format!("{honest} of {} audited rejects were honest", honest + abusive);
        let (previous, actor) = (Box::default(), None);
        ModelChange { action: ModelAction::BreakerTripped, version: version.clone(), previous, actor, note, at: *at }
    }
}

/// The key of the audit sample was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditKeyMade {
    pub(crate) key: AuditKey,
    pub(crate) at: Timestamp,
}

/// Which programmes there are, or who may call, was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryChanged {
    pub(crate) step: DirectoryStep,
    pub(crate) actor: Actor,
    pub(crate) at: Timestamp,
}

/// What outlives a conversion whose record was removed: its id, what bars its rewards, and what was paid. Everything else is as if it had never
/// been sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ConversionKept {
    pub(crate) conversion_id: ConversionId,
    pub(crate) content: ContentFingerprint,
    pub(crate) kind: ConversionKind,
    pub(crate) occurred_at: Timestamp,
    pub(crate) referrer: AccountId,
    pub(crate) referee: AccountId,
    pub(crate) invoice_id: Option<InvoiceId>,
    pub(crate) duplicate_of: Option<ConversionId>,
    pub(crate) verdict: Verdict,
    pub(crate) cancelled: Option<Cancelled>,
    /// Whether it was reported without rewards.
    pub(crate) accepts: Accepts,
    pub(crate) rewards: Vec<KeptReward>,
    /// What it counts as among the audits of a model; absent when it does not.
    pub(crate) audited: Option<Audited>,
}

/// A reward that outlives its record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptReward {
    pub(crate) reward_id: RewardId,
    pub(crate) beneficiary: Option<Side>,
    pub(crate) amount: Option<Money>,
    /// Absent when it was not paid.
    pub(crate) payment: Option<KeptPayment>,
}

/// A payment that outlives its record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeptPayment {
    pub(crate) amount: Option<Money>,
    /// Where its record stood.
    pub(crate) cursor: Cursor,
    /// Whether it was told that it was paid for a rejected or cancelled referral.
    pub(crate) reported: bool,
}
