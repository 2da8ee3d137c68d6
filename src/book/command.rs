//! Commands: what callers ask a book to do, and who decides a conversion inside its serial order.

use super::acts::{Confirmation, PendingAct};
use super::cursor::FeedCursor;
use super::directory::DirectoryStep;
use super::erasures::{EraseCommand, ErasuresDoneCommand};
use super::intake::{Fact, Mistake};
use super::looks::LooksCommand;
use super::models::ModelName;
use super::records::{
    CaseSummary, ContentFingerprint, DecisionRecord, Freshness, HoldAnswer, HoldSubject, ListEntry, OutcomeAnswer, PaidAnswer,
    ReserveAnswer,
};
use super::refusal::LeftAlone;
use super::rekeying::Rekeyed;
use super::stake::SeenMark;
use super::terms::{Own, ProgramTerms, TermsStep};
use crate::screening::case::{Resolution, Step};
use crate::screening::decision::Decision;
use crate::screening::evidence::EvidenceCode;
use crate::screening::history::History;
use crate::screening::model::Certificate;
use crate::screening::policy::{PayoutPolicy, ScoreSource};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Reward};
use crate::vocabulary::ids::{
    AccountId, ActId, Actor, CaseId, ConversionId, HoldId, ProgramId, RecordId, RequestId, RewardId, SenderId,
};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::Outcome;
use crate::vocabulary::source::Source;
use crate::vocabulary::time::{Span, Timestamp};

/// Decides a conversion once its history is known. Called by the ledger inside its serial order, perhaps more than once for a conversion
/// (a ledger that retries a conflicting transaction); must be pure in its arguments.
pub trait Assessor: Send + Sync {
    /// The decision, by the models and the policy that the programme's book names.
    fn assess(&self, conversion: &Conversion, history: &History, own: Own<'_>, now: Timestamp) -> Decision;

    /// The decision of a conversion that was decided before, with what is known by now. The same decision; what only counts new ones does not count it.
    fn assess_again(&self, conversion: &Conversion, history: &History, own: Own<'_>, now: Timestamp) -> Decision {
        self.assess(conversion, history, own, now)
    }

    /// What a model promises of what it rejects; absent when it rejects nothing, or is not at hand.
    fn promise(&self, _program: &ProgramId, _version: &str) -> Option<Certificate> {
        None
    }

    /// How long after opening a case of this programme is overdue.
    fn due_after(&self, program: &ProgramId, terms: &ProgramTerms) -> Span;

    /// When rewards of this programme may be paid.
    fn payout(&self, program: &ProgramId, terms: &ProgramTerms) -> PayoutPolicy;
}

/// A conversion to screen.
#[derive(Debug, Clone)]
pub struct ScreenCommand {
    /// The conversion.
    pub conversion: Conversion,
    /// The fingerprint of the message, for retries.
    pub content: ContentFingerprint,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// Signals to add to profiles.
#[derive(Debug, Clone)]
pub struct SignalsCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The caller's id of this message.
    pub record_id: RecordId,
    /// The fingerprint of the message, for retries.
    pub content: ContentFingerprint,
    /// The bundles, one for each account.
    pub bundles: Vec<SignalBundle>,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// An outcome to record.
#[derive(Debug, Clone)]
pub struct OutcomeCommand {
    /// The outcome.
    pub outcome: Outcome,
    /// The fingerprint of the message, for retries.
    pub content: ContentFingerprint,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// A call that is answered once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The caller's id of it.
    pub id: RequestId,
    /// The fingerprint of the message, for retries.
    pub content: ContentFingerprint,
}

/// An outcome to take back, because it was sent by mistake.
#[derive(Debug, Clone)]
pub struct RevokeCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The outcome.
    pub outcome_id: RecordId,
    /// Who takes it back.
    pub actor: Actor,
    /// Why, as a code; empty when none was given.
    pub reason_code: String,
    /// Why, in words; empty when none were given.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When.
    pub at: Timestamp,
}

/// A step on a case.
#[derive(Debug, Clone)]
pub struct CaseCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The case.
    pub case_id: CaseId,
    /// What to do.
    pub step: CaseStep,
    /// Who does it.
    pub actor: Actor,
    /// Why, as a code; empty when none was given.
    pub reason_code: String,
    /// Why, in words; empty when none were given.
    pub note: String,
    /// The revision that the actor saw; absent when the actor does not insist.
    pub expected_revision: Option<u32>,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When.
    pub at: Timestamp,
}

/// One step on several cases, each as it was seen. Those that are not what was seen, or that the step is not possible on, are left as they are; all
/// others change in one record.
#[derive(Debug, Clone)]
pub struct CasesCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// What to do.
    pub act: CasesStep,
    /// Who does it.
    pub actor: Actor,
    /// Why, as a code; empty when none was given.
    pub reason_code: String,
    /// Why, in words; empty when none were given.
    pub note: String,
    /// Which, and what of each was seen. At most [`ACT_CASES_MAX`].
    pub cases: Vec<(CaseId, SeenMark)>,
    /// What the programme asks a second identity for; absent when nothing. A case whose acceptance does is left alone.
    pub confirmation: Option<Confirmation>,
    /// The call.
    pub request: Request,
    /// When.
    pub at: Timestamp,
}

/// Cases that one step can be made on at once.
pub const ACT_CASES_MAX: usize = 500;

/// What can be done with several cases at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CasesStep {
    /// Decide.
    Resolve(Resolution),
    /// Undo: put back into review.
    Reopen,
}

impl CasesStep {
    /// The step on each of the cases.
    #[must_use]
    pub const fn step(self) -> Step {
        match self {
            Self::Resolve(resolution) => Step::Resolve(resolution),
            Self::Reopen => Step::Reopen,
        }
    }
}

/// What became of one of several cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Acted {
    /// The case.
    pub case_id: CaseId,
    /// Its line after the step, and what of it was seen then, for undoing it; why it was left alone otherwise.
    pub outcome: Result<(CaseSummary, SeenMark), LeftAlone>,
}

/// What to do with a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseStep {
    /// A step of the state machine. Reopening a conversion that never had a case opens its first.
    Step(Step),
    /// Writes the command's note into the history.
    Note,
}

/// One reward that a payer wants to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutWanted {
    /// The reward.
    pub reward_id: RewardId,
    /// The conversion that earned it.
    pub conversion_id: ConversionId,
    /// How much; absent for all that may be paid of it.
    pub amount: Option<Money>,
}

/// Rewards to reserve for one payer: whatever the gate releases is the payer's alone until the reservation ends.
#[derive(Debug, Clone)]
pub struct ReserveCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The call, whose id names the reservation.
    pub request: Request,
    /// The rewards, in the order in which they are answered.
    pub payouts: Vec<PayoutWanted>,
    /// How long it lasts.
    pub lifetime: Span,
    /// The conversions as they were sent, so that they are looked at again at the moment itself. Filled in by the ledger.
    pub conversions: Vec<Conversion>,
    /// When.
    pub at: Timestamp,
}

/// Conversions to look at again, because something was added to them after they were decided.
#[derive(Debug, Clone)]
pub struct RecheckCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The conversions as they were sent.
    pub conversions: Vec<Conversion>,
    /// Conversions whose records are not kept any more.
    pub unreadable: Vec<ConversionId>,
    /// When.
    pub at: Timestamp,
}

/// A change of a reservation.
#[derive(Debug, Clone)]
pub struct ReservationCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// Which.
    pub reservation_id: RequestId,
    /// Of these rewards alone; empty for all that are left in it.
    pub rewards: Vec<RewardId>,
    /// What is changed.
    pub change: ReservationChange,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When.
    pub at: Timestamp,
}

/// What is changed of a reservation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReservationChange {
    /// It lasts so long from now.
    Renew(Span),
    /// It ends now.
    Cancel,
}

/// A reward was paid.
#[derive(Debug, Clone)]
pub struct PaidCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The conversion that earned it.
    pub conversion_id: ConversionId,
    /// The reward.
    pub reward_id: RewardId,
    /// The reservation that it settles; absent when it was not reserved.
    pub reservation_id: Option<RequestId>,
    /// When it was paid.
    pub paid_at: Timestamp,
    /// How much; absent for what was reserved, or else the reward's amount.
    pub amount: Option<Money>,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When the message arrived.
    pub received_at: Timestamp,
}

/// A payment did not reach its beneficiary.
#[derive(Debug, Clone)]
pub struct FailedCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The conversion that earned it.
    pub conversion_id: ConversionId,
    /// The reward.
    pub reward_id: RewardId,
    /// When it failed.
    pub failed_at: Timestamp,
    /// Why, as a code; empty when none was given.
    pub reason_code: String,
    /// Why, in words; empty when none were given.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When the message arrived.
    pub received_at: Timestamp,
}

/// Rewards that a conversion earns beside those it was reported with, or that are worth something else by now.
#[derive(Debug, Clone)]
pub struct RewardsCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The conversion.
    pub conversion_id: ConversionId,
    /// The rewards. Not empty, ids distinct.
    pub rewards: Vec<Reward>,
    /// Whether they are new.
    pub change: RewardsChange,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When.
    pub at: Timestamp,
}

/// Whether rewards are new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewardsChange {
    /// They are added.
    Add,
    /// They are known, and unpaid; this is what they are from now on.
    Change,
}

/// A hold to place or lift.
#[derive(Debug, Clone)]
pub struct HoldCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// What to do.
    pub step: HoldStep,
    /// Who.
    pub actor: Actor,
    /// Why.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When.
    pub at: Timestamp,
}

/// What to do with a hold.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum HoldStep {
    /// Place one.
    Place {
        /// Its id; absent for one of Selfsame's, and then an actor has one such hold on a subject.
        hold_id: Option<HoldId>,
        /// On what.
        subject: HoldSubject,
    },
    /// Lift the one with this id.
    Lift(HoldId),
    /// Lift the actor's own on this subject.
    LiftOwn(HoldSubject),
}

/// Whether something is put in force or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Change {
    /// Put in force.
    Place,
    /// Take back.
    Lift,
}

/// An entry of a list to write or remove.
#[derive(Debug, Clone)]
pub struct ListCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The entry; when lifting, list and subject tell which.
    pub entry: ListEntry,
    /// Write or remove.
    pub change: Change,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
}

/// A change of the models of a programme.
#[derive(Debug, Clone)]
pub struct ModelsCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// What to do.
    pub step: ModelsStep,
    /// What decides on this server where nobody chose.
    pub default: ModelName,
    /// Who.
    pub actor: Actor,
    /// Why; empty when nothing was said.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When.
    pub at: Timestamp,
}

/// A change of the terms of a programme.
#[derive(Debug, Clone)]
pub struct TermsCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// What is changed.
    pub step: TermsStep,
    /// Who.
    pub actor: Actor,
    /// Why; empty when nothing was said.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When.
    pub at: Timestamp,
}

/// Names of values under a new key.
#[derive(Debug, Clone)]
pub struct RekeyCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The values, each with both of its digests. At most [`super::rekeying::REKEYED_MAX`].
    pub values: Vec<Rekeyed>,
    /// Who.
    pub actor: Actor,
    /// Why; empty when nothing was said.
    pub note: String,
    /// The call.
    pub request: Request,
    /// When.
    pub at: Timestamp,
}

/// What to do with the models of a programme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelsStep {
    /// Notes that one was loaded; its file is kept beside the ledger.
    Load(ModelName),
    /// Makes one decide, and arms its rejects.
    Activate(ModelName),
    /// Goes back to what decided before the last activation.
    RollBack,
    /// Watches one, or none; told with what scores under the programme's policy.
    Challenge(Option<ModelName>, ScoreSource),
}

/// Something that may need a second identity.
#[derive(Debug, Clone)]
pub struct ProposeCommand {
    /// What is to be done.
    pub command: Box<Command>,
    /// Who wants it.
    pub proposer: Actor,
    /// What the programme asks a second identity for.
    pub confirmation: Confirmation,
}

/// What becomes of an act that waits for a second identity.
#[derive(Debug, Clone)]
pub struct SettleCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// The act.
    pub act_id: ActId,
    /// What becomes of it.
    pub settlement: Settlement,
    /// Who says so.
    pub actor: Actor,
    /// Why; empty when nothing was said.
    pub note: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// What it does when it is confirmed, so that what that looks at is brought back before. Filled in by the ledger.
    pub prepared: Option<Box<Command>>,
    /// When.
    pub at: Timestamp,
}

/// What becomes of an act that waits for a second identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Settlement {
    /// Another identity confirms it: it is done.
    Confirm,
    /// Another identity refuses it.
    Refuse,
    /// Who proposed it takes it back.
    Withdraw,
}

/// A change of the directory.
#[derive(Debug, Clone)]
pub struct DirectoryCommand {
    /// The book of the directory.
    pub program_id: ProgramId,
    /// What to do.
    pub step: DirectoryStep,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
}

/// An event of a sender's own, as facts.
#[derive(Debug, Clone)]
pub struct SourceCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// Who sent it.
    pub source: Source,
    /// The sender's id of it.
    pub event_id: SenderId,
    /// When it happened, as the sender says.
    pub at: Timestamp,
    /// The fingerprint of what it says, digests apart, for when it is sent again.
    pub content: ContentFingerprint,
    /// What it says. At most [`FACTS_MAX`](super::intake::FACTS_MAX).
    pub facts: Vec<Fact>,
    /// What looked like a mistake before it came here.
    pub noticed: Vec<Mistake>,
    /// When it arrived.
    pub received_at: Timestamp,
}

/// What the queue shows of a conversion that never had a case, from the record of its decision.
#[derive(Debug, Clone, PartialEq)]
pub struct DecidedBefore {
    /// Screening's score. Range: [0, 1].
    pub score: f64,
    /// What the conversion paid; absent when nothing.
    pub value: Option<Money>,
    /// The codes of screening's reasons, in their order.
    pub reason_codes: Vec<EvidenceCode>,
    /// The first reason's sentence; empty when there is none.
    pub headline: String,
}

impl DecidedBefore {
    /// What a decision tells the queue.
    #[must_use]
    pub fn of(conversion: &Conversion, decision: &Decision) -> Self {
        Self {
            score: decision.score,
            value: conversion.value,
            reason_codes: decision.reasons.iter().map(|reason| reason.code).collect(),
            headline: decision.reasons.first().map(|reason| reason.sentence.clone()).unwrap_or_default(),
        }
    }
}

/// Anything that a book can be asked to do.
#[derive(Debug, Clone)]
pub enum Command {
    /// Screens a conversion.
    Screen(Box<ScreenCommand>),
    /// Adds signals to profiles.
    RecordSignals(SignalsCommand),
    /// Records an outcome.
    RecordOutcome(OutcomeCommand),
    /// Takes an outcome back.
    RevokeOutcome(RevokeCommand),
    /// Gives up outcomes that waited for their purchase since before a time. The second time is now.
    ExpirePending(ProgramId, Timestamp, Timestamp),
    /// Steps a case. What was decided is needed to open one for a conversion that never had one; absent when its record is gone.
    StepCase(Box<CaseCommand>, Option<Box<DecidedBefore>>),
    /// Makes one step on several cases.
    StepCases(Box<CasesCommand>),
    /// Looks at conversions again.
    Recheck(RecheckCommand),
    /// Reserves rewards for a payer.
    Reserve(ReserveCommand),
    /// Renews or ends a reservation.
    ChangeReservation(ReservationCommand),
    /// Records that a reward was paid.
    MarkPaid(PaidCommand),
    /// Records that a payment failed.
    MarkFailed(FailedCommand),
    /// Adds or changes rewards.
    ChangeRewards(RewardsCommand),
    /// Places or lifts a hold.
    ChangeHold(HoldCommand),
    /// Writes or removes a list entry.
    ChangeList(ListCommand),
    /// Loads, chooses or watches a model.
    ChangeModels(ModelsCommand),
    /// Changes the terms of the programme.
    ChangeTerms(Box<TermsCommand>),
    /// Teaches names of values under a new key.
    Rekey(RekeyCommand),
    /// Changes which programmes there are, or who may call.
    ChangeDirectory(Box<DirectoryCommand>),
    /// Does something, or keeps it until a second identity confirms it.
    Propose(Box<ProposeCommand>),
    /// Confirms an act that waits, refuses it or takes it back.
    SettleAct(SettleCommand),
    /// Keeps who looked at whom.
    KeepLooks(LooksCommand),
    /// Erases the signals of an account.
    Erase(EraseCommand),
    /// Notes that erasures are done. The ledger's own.
    ErasuresDone(Box<ErasuresDoneCommand>),
    /// Somebody's command: what has no field for who asks is his in the audit trail.
    By(Actor, Box<Self>),
    /// Takes an event of a sender's own.
    TakeSourceEvent(Box<SourceCommand>),
}

impl Command {
    /// Whose book is asked.
    #[must_use]
    pub fn program(&self) -> &ProgramId {
        match self {
            Self::Screen(command) => &command.conversion.program_id,
            Self::RecordSignals(command) => &command.program_id,
            Self::RecordOutcome(command) => &command.outcome.program_id,
            Self::RevokeOutcome(command) => &command.program_id,
            Self::ExpirePending(program, ..) => program,
            Self::StepCase(command, _) => &command.program_id,
            Self::StepCases(command) => &command.program_id,
            Self::Recheck(command) => &command.program_id,
            Self::Reserve(command) => &command.program_id,
            Self::ChangeReservation(command) => &command.program_id,
            Self::MarkPaid(command) => &command.program_id,
            Self::MarkFailed(command) => &command.program_id,
            Self::ChangeRewards(command) => &command.program_id,
            Self::ChangeHold(command) => &command.program_id,
            Self::ChangeList(command) => &command.program_id,
            Self::ChangeModels(command) => &command.program_id,
            Self::ChangeTerms(command) => &command.program_id,
            Self::Rekey(command) => &command.program_id,
            Self::ChangeDirectory(command) => &command.program_id,
            Self::Propose(proposed) => proposed.command.program(),
            Self::SettleAct(command) => &command.program_id,
            Self::KeepLooks(command) => &command.program_id,
            Self::Erase(command) => &command.program_id,
            Self::ErasuresDone(command) => &command.program_id,
            Self::By(_, command) => command.program(),
            Self::TakeSourceEvent(command) => &command.program_id,
        }
    }

    /// The call that it was asked with; absent when it has no id of its own.
    pub(super) fn request(&self) -> Option<&Request> {
        match self {
            // These are known by the ids of what they tell.
            Self::Screen(_)
            | Self::RecordSignals(_)
            | Self::RecordOutcome(_)
            | Self::ExpirePending(..)
            | Self::Recheck(_)
            | Self::TakeSourceEvent(_) => None,
            // Doing it again changes nothing.
            Self::ChangeDirectory(_) | Self::KeepLooks(_) | Self::ErasuresDone(_) => None,
            Self::Erase(command) => command.request.as_ref(),
            Self::By(_, command) => command.request(),
            Self::RevokeOutcome(command) => command.request.as_ref(),
            Self::StepCase(command, _) => command.request.as_ref(),
            Self::StepCases(command) => Some(&command.request),
            Self::Reserve(command) => Some(&command.request),
            Self::ChangeReservation(command) => command.request.as_ref(),
            Self::MarkPaid(command) => command.request.as_ref(),
            Self::MarkFailed(command) => command.request.as_ref(),
            Self::ChangeRewards(command) => command.request.as_ref(),
            Self::ChangeHold(command) => command.request.as_ref(),
            Self::ChangeList(command) => command.request.as_ref(),
            Self::ChangeModels(command) => command.request.as_ref(),
            Self::ChangeTerms(command) => command.request.as_ref(),
            Self::Rekey(command) => Some(&command.request),
            Self::Propose(proposed) => proposed.command.request(),
            Self::SettleAct(command) => command.request.as_ref(),
        }
    }

    /// The same command as somebody's.
    #[must_use]
    pub fn by(self, actor: &Actor) -> Self {
        Self::By(actor.clone(), Box::new(self))
    }

    /// Whose it is, where that was said, and the command itself.
    #[must_use]
    pub fn split(self) -> (Option<Actor>, Self) {
        if let Self::By(actor, command) = self { (Some(actor), command.split().1) } else { (None, self) }
    }

    /// The same command, not before a time: a clock that steps back must not undo what was already decided by a later one.
    #[must_use]
    pub(super) fn not_before(mut self, latest: Timestamp) -> Self {
        let at = self.at_mut();
        *at = (*at).max(latest);
        self
    }

    /// When it is asked.
    pub(super) fn at(&self) -> Timestamp {
        match self {
            Self::Screen(command) => command.received_at,
            Self::RecordSignals(command) => command.received_at,
            Self::RecordOutcome(command) => command.received_at,
            Self::RevokeOutcome(command) => command.at,
            Self::ExpirePending(_, _, at) => *at,
            Self::StepCase(command, _) => command.at,
            Self::StepCases(command) => command.at,
            Self::Recheck(command) => command.at,
            Self::Reserve(command) => command.at,
            Self::ChangeReservation(command) => command.at,
            Self::MarkPaid(command) => command.received_at,
            Self::MarkFailed(command) => command.received_at,
            Self::ChangeRewards(command) => command.at,
            Self::ChangeHold(command) => command.at,
            Self::ChangeList(command) => command.entry.placed_at,
            Self::ChangeModels(command) => command.at,
            Self::ChangeTerms(command) => command.at,
            Self::Rekey(command) => command.at,
            Self::ChangeDirectory(command) => command.at,
            Self::Propose(proposed) => proposed.command.at(),
            Self::SettleAct(command) => command.at,
            Self::KeepLooks(command) => command.at,
            Self::Erase(command) => command.at,
            Self::ErasuresDone(command) => command.done.at,
            Self::By(_, command) => command.at(),
            Self::TakeSourceEvent(command) => command.received_at,
        }
    }

    fn at_mut(&mut self) -> &mut Timestamp {
        match self {
            Self::Screen(command) => &mut command.received_at,
            Self::RecordSignals(command) => &mut command.received_at,
            Self::RecordOutcome(command) => &mut command.received_at,
            Self::RevokeOutcome(command) => &mut command.at,
            Self::ExpirePending(_, _, at) => at,
            Self::StepCase(command, _) => &mut command.at,
            Self::StepCases(command) => &mut command.at,
            Self::Recheck(command) => &mut command.at,
            Self::Reserve(command) => &mut command.at,
            Self::ChangeReservation(command) => &mut command.at,
            Self::MarkPaid(command) => &mut command.received_at,
            Self::MarkFailed(command) => &mut command.received_at,
            Self::ChangeRewards(command) => &mut command.at,
            Self::ChangeHold(command) => &mut command.at,
            Self::ChangeList(command) => &mut command.entry.placed_at,
            Self::ChangeModels(command) => &mut command.at,
            Self::ChangeTerms(command) => &mut command.at,
            Self::Rekey(command) => &mut command.at,
            Self::ChangeDirectory(command) => &mut command.at,
            Self::Propose(proposed) => proposed.command.at_mut(),
            Self::SettleAct(command) => &mut command.at,
            Self::KeepLooks(command) => &mut command.at,
            Self::Erase(command) => &mut command.at,
            Self::ErasuresDone(command) => &mut command.done.at,
            Self::By(_, command) => command.at_mut(),
            Self::TakeSourceEvent(command) => &mut command.received_at,
        }
    }
}

/// How far an erasure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erasure {
    /// What holds the signals is being rewritten.
    UnderWay,
    /// Nothing holds them any more, but backups from before.
    Finished,
}

/// What taking an event of a sender's came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceTaken {
    /// What looks like a mistake in it and was not told before.
    pub mistakes: Vec<Mistake>,
    /// The accounts of which something may be due now.
    pub accounts: Vec<AccountId>,
}

/// What a command came to, beside its place.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// A conversion was screened.
    Screened(Box<DecisionRecord>),
    /// A case was stepped.
    Stepped(Box<CaseSummary>),
    /// One step was made on several cases: what became of each, in the order in which they were named.
    Acted(Vec<Acted>),
    /// Rewards were asked for, and some reserved: one answer each, in the order in which they were asked for.
    Reserved(Vec<ReserveAnswer>),
    /// A reward was paid.
    Paid(PaidAnswer),
    /// A hold was placed or lifted.
    Held(HoldAnswer),
    /// An outcome was recorded.
    Outcome(OutcomeAnswer),
    /// So many outcomes were given up.
    Expired(u64),
    /// The models of a programme were changed; what stood in the place of the model before, absent for nothing.
    Models(Option<ModelName>),
    /// So many values got a name that they did not have.
    Rekeyed(u32),
    /// Signals of an account are being erased, or are.
    Erased(Erasure),
    /// Nothing was done yet: it waits for a second identity.
    Proposed(Box<PendingAct>),
    /// An event of a sender's was taken.
    Taken(SourceTaken),
    /// Something was recorded that needs no more words.
    Recorded,
}

impl Done {
    /// The decision of a conversion that was screened.
    #[must_use]
    pub fn screened(self) -> Option<Box<DecisionRecord>> {
        if let Self::Screened(record) = self { Some(record) } else { None }
    }

    /// The case that was stepped.
    #[must_use]
    pub fn stepped(self) -> Option<CaseSummary> {
        if let Self::Stepped(summary) = self { Some(*summary) } else { None }
    }

    /// What became of each of several cases.
    #[must_use]
    pub fn acted(self) -> Option<Vec<Acted>> {
        if let Self::Acted(acted) = self { Some(acted) } else { None }
    }

    /// The answers to rewards that were asked for.
    #[must_use]
    pub fn reserved(self) -> Option<Vec<ReserveAnswer>> {
        if let Self::Reserved(answers) = self { Some(answers) } else { None }
    }

    /// The answer to a payment.
    #[must_use]
    pub fn paid(self) -> Option<PaidAnswer> {
        if let Self::Paid(answer) = self { Some(answer) } else { None }
    }

    /// What stood in the place of a model before it was changed; absent for nothing.
    #[must_use]
    pub fn previous_model(self) -> Option<ModelName> {
        if let Self::Models(previous) = self { previous } else { None }
    }

    /// What waits for a second identity, of what was not done yet.
    #[must_use]
    pub fn proposed(&self) -> Option<&PendingAct> {
        if let Self::Proposed(pending) = self { Some(pending) } else { None }
    }

    /// The answer to a change of a hold.
    #[must_use]
    pub fn held(self) -> Option<HoldAnswer> {
        if let Self::Held(answer) = self { Some(answer) } else { None }
    }
}

/// What a command came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Executed {
    /// Where its record stands; absent when there was never anything to do, and where the record is not kept any more.
    pub cursor: Option<FeedCursor>,
    /// Whether it was done now.
    pub freshness: Freshness,
    /// The answer. Without words when it was done so long ago that its record is removed.
    pub done: Done,
}
