//! Acts that one identity proposes and another confirms: what they are, which of them wait, and what a programme asks a second identity for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::{
    CaseCommand, CaseStep, Change, Command, HoldCommand, HoldStep, ListCommand, ModelsCommand, ModelsStep, OutcomeCommand,
    RevokeCommand, TermsCommand,
};
use super::models::ModelName;
use super::query::{Page, PageRequest, PageToken};
use super::records::{ContentFingerprint, Cursor, ListEntry};
use super::refusal::Refusal;
use super::terms::TermsStep;
use super::{Book, listings, page_size, token};
use crate::screening::case::{Resolution, Step};
use crate::vocabulary::ids::{ActId, Actor, CaseId, ProgramId, RecordId};
use crate::vocabulary::money::Currency;
use crate::vocabulary::outcome::Outcome;
use crate::vocabulary::time::{Span, Timestamp};

/// Acts of a programme that wait at a time.
pub const WAITING_MAX: usize = 1_000;

/// What a programme asks a second identity for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Confirmation {
    /// Letting go of more money than this in its currency: accepting a case, lifting a hold. Unit: the minor unit. Empty when no amount asks for one; else
    /// an amount in another currency does, and one that is not known.
    pub above: BTreeMap<Currency, i64>,
    /// Letting somebody in again who was kept out: taking an entry off the block list or letting it end sooner, opening a banned account again, accepting
    /// a case one of whose sides is banned.
    pub unbans: bool,
    /// Letting another model decide. Going back to the one before needs nobody: two chose it, and it must be quick.
    pub models: bool,
    /// Letting another policy decide, and letting money be payable earlier.
    pub terms: bool,
    /// How long an act waits. Range: 1 hour to 30 days.
    pub lifetime: Span,
}

/// Why an act needs a second identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cause {
    /// It lets go of much money.
    Amount,
    /// It lets somebody in again.
    Unban,
    /// It lets another model decide.
    Model,
    /// It lets another policy decide, or money be payable earlier.
    Terms,
}

/// What is to be done once it is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// Accepts a case.
    Accept {
        /// The case.
        case_id: CaseId,
        /// Why, as a code; empty when none was given.
        reason_code: String,
        /// The revision that was seen; absent when nobody insists.
        expected_revision: Option<u32>,
    },
    /// Lifts a hold.
    LiftHold(HoldStep),
    /// Takes an entry off a list, or writes it anew.
    ChangeList(Box<ListEntry>, Change),
    /// Records an outcome.
    RecordOutcome(Box<Outcome>, ContentFingerprint),
    /// Takes an outcome back.
    RevokeOutcome {
        /// The outcome.
        outcome_id: RecordId,
        /// Why, as a code; empty when none was given.
        reason_code: String,
    },
    /// Lets a model decide.
    Activate {
        /// The model.
        model: ModelName,
        /// What decides on the server of the proposer where nobody chose.
        default: ModelName,
    },
    /// Changes the terms.
    ChangeTerms(Box<TermsStep>),
}

/// When a list entry of an act is written is not known before it is.
fn not_yet() -> Timestamp {
    Timestamp::saturating_from_millis(0)
}

impl Act {
    /// What a command does, and why it says so; `None` for what nobody else ever needs to confirm.
    #[must_use]
    pub fn of(command: &Command) -> Option<(Self, String)> {
        match command {
            Command::StepCase(step, _) if step.step == CaseStep::Step(Step::Resolve(Resolution::Accept)) => {
                let CaseCommand { case_id, reason_code, expected_revision, note, .. } = &**step;
                let (case_id, reason_code) = (case_id.clone(), reason_code.clone());
                Some((Self::Accept { case_id, reason_code, expected_revision: *expected_revision }, note.clone()))
            }
            Command::ChangeHold(HoldCommand { step: step @ (HoldStep::Lift(_) | HoldStep::LiftOwn(_)), note, .. }) => {
                Some((Self::LiftHold(step.clone()), note.clone()))
            }
            Command::ChangeList(ListCommand { entry, change, .. }) => {
                let entry = ListEntry { placed_at: not_yet(), ..entry.clone() };
                let note = entry.note.clone();
                Some((Self::ChangeList(Box::new(entry), *change), note))
            }
            Command::RecordOutcome(OutcomeCommand { outcome, content, received_at: _ }) => {
                Some((Self::RecordOutcome(Box::new(outcome.clone()), *content), outcome.note.clone()))
            }
            Command::RevokeOutcome(RevokeCommand { outcome_id, reason_code, note, .. }) => {
                let act = Self::RevokeOutcome { outcome_id: outcome_id.clone(), reason_code: reason_code.clone() };
                Some((act, note.clone()))
            }
            Command::ChangeModels(ModelsCommand { step: ModelsStep::Activate(model), default, note, .. }) => {
                Some((Self::Activate { model: model.clone(), default: default.clone() }, note.clone()))
            }
            Command::ChangeTerms(command) => Some((Self::ChangeTerms(Box::new(command.step.clone())), command.note.clone())),
            Command::StepCase(..)
            | Command::StepCases(_)
            | Command::ChangeHold(_)
            | Command::ChangeModels(_)
            | Command::Screen(_)
            | Command::RecordSignals(_)
            | Command::ExpirePending(..)
            | Command::Recheck(_)
            | Command::Reserve(_)
            | Command::ChangeReservation(_)
            | Command::MarkPaid(_)
            | Command::MarkFailed(_)
            | Command::ChangeRewards(_)
            | Command::Rekey(_)
            | Command::ChangeDirectory(_)
            | Command::Propose(_)
            | Command::SettleAct(_)
            | Command::TakeSourceEvent(_)
            | Command::KeepLooks(_)
            | Command::Erase(_)
            | Command::ErasuresDone(_)
            | Command::By(..) => None,
        }
    }

    /// The command that does it, as its proposer's.
    fn command(&self, program_id: ProgramId, actor: Actor, note: String, at: Timestamp) -> Command {
        let request = None;
        match self.clone() {
            Self::Accept { case_id, reason_code, expected_revision } => {
                let step = CaseStep::Step(Step::Resolve(Resolution::Accept));
                let case = CaseCommand { program_id, case_id, step, actor, reason_code, note, expected_revision, request, at };
                Command::StepCase(Box::new(case), None)
            }
            Self::LiftHold(step) => Command::ChangeHold(HoldCommand { program_id, step, actor, note, request, at }),
            Self::ChangeList(entry, change) => {
                let entry = ListEntry { placed_at: at, ..*entry };
                Command::ChangeList(ListCommand { program_id, entry, change, request })
            }
            Self::RecordOutcome(outcome, content) => {
                Command::RecordOutcome(OutcomeCommand { outcome: *outcome, content, received_at: at })
            }
            Self::RevokeOutcome { outcome_id, reason_code } => {
                Command::RevokeOutcome(RevokeCommand { program_id, outcome_id, actor, reason_code, note, request, at })
            }
            Self::ChangeTerms(step) => {
                Command::ChangeTerms(Box::new(TermsCommand { program_id, step: *step, actor, note, request, at }))
            }
            Self::Activate { model, default } => {
                let step = ModelsStep::Activate(model);
                Command::ChangeModels(ModelsCommand { program_id, step, default, actor, note, request, at })
            }
        }
    }
}

/// An act that waits for a second identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingAct {
    /// Its id.
    pub id: ActId,
    /// What is to be done.
    pub act: Act,
    /// Why it needs a second identity.
    pub cause: Cause,
    /// Who proposed it.
    pub proposer: Actor,
    /// Why, in words; empty when none were given.
    pub note: String,
    /// When.
    pub proposed_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
}

impl PendingAct {
    /// The command that does it.
    #[must_use]
    pub fn command(&self, program_id: ProgramId, at: Timestamp) -> Command {
        self.act.command(program_id, self.proposer.clone(), self.note.clone(), at)
    }
}

/// The acts that wait, by the record that proposed each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acts {
    waiting: BTreeMap<Cursor, PendingAct>,
    changed: Cursor,
}

impl Acts {
    pub(super) fn find(&self, id: &ActId) -> Option<(Cursor, &PendingAct)> {
        let cursor = Cursor(id.place()?);
        self.waiting.get(&cursor).filter(|pending| pending.id == *id).map(|pending| (cursor, pending))
    }

    pub(super) fn at(&self, now: Timestamp) -> impl Iterator<Item = (Cursor, &PendingAct)> {
        self.waiting.iter().filter(move |(_, pending)| now < pending.expires_at).map(|(cursor, pending)| (*cursor, pending))
    }

    pub(super) fn add(&mut self, cursor: Cursor, pending: PendingAct) {
        let now = pending.proposed_at;
        self.waiting.retain(|_, waiting| now < waiting.expires_at);
        self.waiting.insert(cursor, pending);
        self.changed = cursor;
    }

    pub(super) fn remove(&mut self, cursor: Cursor, id: &ActId) {
        if let Some(place) = id.place() {
            self.waiting.remove(&Cursor(place));
        }
        self.changed = cursor;
    }
}

impl Book {
    /// An act that waits; `None` when none of this id does.
    #[must_use]
    pub fn pending_act(&self, id: &ActId, now: Timestamp) -> Option<&PendingAct> {
        self.acts.find(id).map(|(_, pending)| pending).filter(|pending| now < pending.expires_at)
    }

    /// The acts that wait, the oldest first, with the newest record that the page is made of.
    ///
    /// # Errors
    /// [`Refusal::PageToken`] for the token of another listing.
    pub fn pending_acts(&self, page: &PageRequest, now: Timestamp) -> Result<(Page<PendingAct>, Cursor), Refusal> {
        let place = |token: &PageToken| {
            let key = listings::key_of('c', token)?;
            key.try_into().map(|place| Cursor(u64::from_be_bytes(place))).map_err(|_| Refusal::PageToken)
        };
        let after = page.after.as_ref().map(place).transpose()?;
        let mut rest = self.acts.at(now).filter(|(cursor, _)| after.is_none_or(|after| *cursor > after));
        let entries: Vec<_> = rest.by_ref().take(page_size(page)).collect();
        let more = rest.next().is_some();
        let next = entries.last().filter(|_| more).map(|(cursor, _)| token('c', &cursor.0.to_be_bytes()));
        let entries = entries.into_iter().map(|(_, pending)| pending.clone()).collect();
        Ok((Page { entries, next, total: None }, self.acts.changed))
    }
}
