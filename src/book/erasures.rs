//! Erasures: accounts whose signals are to be removed from everything that holds them. A book notes which are under way; whoever owns the journal
//! rewrites what holds them, makes the book again of what is left, and says with a second event that it is done.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::command::Request;
use super::event::Event;
use super::intake::Fact;
use super::plan::Plan;
use super::records::Cursor;
use super::{Book, Refusal};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::ids::{AccountId, Actor, ProgramId, SenderId};
use crate::vocabulary::time::Timestamp;

/// An account to erase.
#[derive(Debug, Clone)]
pub struct EraseCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// Whose signals go.
    pub account_id: AccountId,
    /// Who asks for it.
    pub actor: Actor,
    /// Why, as a code; empty when none was given.
    pub reason_code: String,
    /// The call; absent when the caller gave it no id.
    pub request: Option<Request>,
    /// When.
    pub at: Timestamp,
}

/// That erasures are done.
#[derive(Debug, Clone)]
pub struct ErasuresDoneCommand {
    /// The programme.
    pub program_id: ProgramId,
    /// Which, by the places of the records that asked for them, with what was rewritten.
    pub done: ErasureFinished,
}

/// Signals of an account are to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountErased {
    pub(crate) account_id: AccountId,
    pub(crate) actor: Actor,
    pub(crate) reason_code: String,
    pub(crate) request: Option<Request>,
    pub(crate) at: Timestamp,
}

/// Nothing of the signals is left in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureFinished {
    /// The places of the records that asked for it.
    pub asked: Vec<Cursor>,
    /// The records that were rewritten, with BLAKE3 of what they hold now: what stands there later must be this.
    pub rewritten: Vec<(Cursor, [u8; 32])>,
    /// When.
    pub at: Timestamp,
}

/// Erasures that are under way: by the place of the record that asked, the account.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub(crate) struct Erasures {
    under_way: BTreeMap<Cursor, AccountId>,
}

impl Erasures {
    pub(super) fn begin(&mut self, cursor: Cursor, event: &AccountErased) {
        self.under_way.insert(cursor, event.account_id.clone());
    }

    pub(super) fn finish(&mut self, event: &ErasureFinished) {
        for place in &event.asked {
            self.under_way.remove(place);
        }
    }

    /// Those that are under way, the oldest first.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = (Cursor, &AccountId)> {
        self.under_way.iter().map(|(place, account)| (*place, account))
    }

    /// Whether one of an account is.
    pub(super) fn is_under_way(&self, account: &AccountId) -> bool {
        self.under_way.values().any(|other| other == account)
    }
}

/// Asks for an erasure. An account that holds no signals is erased too: some may stand in records that no profile shows any more.
pub(super) fn erase(book: &Book, command: EraseCommand) -> Result<Plan, Refusal> {
    let EraseCommand { program_id: _, account_id, actor, reason_code, request, at } = command;
    if book.accounts.find(&account_id, &book.hasher).is_none() {
        return Err(Refusal::NotFound { what: "account", id: account_id.to_string() });
    }
    Ok(Plan::commit(Event::AccountErased(AccountErased { account_id, actor, reason_code, request, at })))
}

impl Event {
    /// The event without the signals of accounts; `None` when it holds none of them.
    ///
    /// Ids, times, amounts, codes and what was decided stay, and so do the fingerprints by which retries are known. The book, as it was before anything
    /// was erased, says whose the values are that got names under a new key, and whose what senders said.
    pub(crate) fn without_signals_of(&self, accounts: &[&AccountId], book: &Book) -> Option<Self> {
        let mut event = self.clone();
        let mut changed = false;
        if let (Self::ValuesRekeyed(rekeyed), false) = (&mut event, accounts.is_empty()) {
            let before = rekeyed.values.len();
            rekeyed.values.retain(|value| !book.is_of_these_alone(value, accounts));
            changed |= rekeyed.values.len() < before;
        }
        if let Self::SourceEventTaken(taken) = &mut event {
            let before = taken.facts.len();
            let source = taken.source;
            let is_theirs =
                |customer: &SenderId| book.intake.account_of(source, customer).is_some_and(|account| accounts.contains(&account));
            taken.facts.retain(|fact| !matches!(fact, Fact::Signals(customer, _) if is_theirs(customer)));
            changed |= taken.facts.len() < before;
        }
        for bundle in event.bundles_mut() {
            let bare = SignalBundle::of_account(bundle.account_id.clone());
            if accounts.contains(&&bundle.account_id) && *bundle != bare {
                *bundle = bare;
                changed = true;
            }
        }
        changed.then_some(event)
    }

    /// All signals that it holds.
    fn bundles_mut(&mut self) -> Vec<&mut SignalBundle> {
        match self {
            Self::ConversionScreened(screened) => {
                let conversion = &mut screened.conversion;
                let known = screened.case.iter_mut().flat_map(|case| case.referrer.iter_mut().chain(case.referee.iter_mut()));
                [&mut conversion.referrer, &mut conversion.referee].into_iter().chain(known).collect()
            }
            Self::SignalsRecorded(recorded) => recorded.bundles.iter_mut().collect(),
            Self::ActConfirmed(confirmed) => confirmed.done.bundles_mut(),
            Self::OutcomeRecorded(_)
            | Self::OutcomeRevoked(_)
            | Self::OutcomeSpread(_)
            | Self::PendingExpired(_)
            | Self::Rechecked(_)
            | Self::CaseStepped(_)
            | Self::CasesStepped(_)
            | Self::RewardsReserved(_)
            | Self::ReservationChanged(_)
            | Self::RewardPaid(_)
            | Self::PayoutFailed(_)
            | Self::RewardsChanged(_)
            | Self::HoldChanged(_)
            | Self::ListChanged(_)
            | Self::ModelsChanged(_)
            | Self::TermsChanged(_)
            | Self::ValuesRekeyed(_)
            | Self::SourceEventTaken(_)
            | Self::AuditKeyMade(_)
            | Self::DirectoryChanged(_)
            | Self::Looked(_)
            | Self::AccountErased(_)
            | Self::ErasureFinished(_)
            | Self::ActProposed(_)
            | Self::ActDropped(_)
            | Self::BreakerTripped(_)
            | Self::TrailKept(_)
            | Self::ConversionKept(_) => Vec::new(),
        }
    }
}
