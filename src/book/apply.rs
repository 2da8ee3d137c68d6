//! What an event changes. Deterministic: the same events in the same order make the same book, when they happen and when they are replayed.
//!
//! It decides nothing: events carry what was decided.

mod outcomes;
mod payouts;
mod recheck;

use std::sync::Arc;

use smallvec::SmallVec;

use super::accounts::{Signals, Tied};
use super::acts::Act;
use super::cases::{Case, reason_codes};
use super::command::{CaseStep, Change, Request};
use super::conversions::{ConversionRow, Hands};
use super::event::{
    ActProposed, CaseStepped, CasesStepped, ConversionKept, ConversionScreened, Event, ListChanged, SignalsRecorded,
    SourceEventTaken,
};
use super::history::may_be_one_person;
use super::intake::{message_of, record_of};
use super::late::{RING_TOUCHED_MAX, Touched};
use super::models::Audited;
use super::plan::Ruling;
use super::profiles::{ProfileMaker, ProfileReader};
use super::records::Cursor;
use super::rewards::RewardNumbers;
use super::slab::{AccountNumber, ConversionNumber, ValueNumber};
use super::values::{Shown, Sighted, Sighting, ValueKind};
use super::{Book, Message, MessageKind};
use crate::screening::case::{CaseState, Resolution};
use crate::screening::comparability::Comparability;
use crate::screening::decision::Verdict;
use crate::screening::evidence::captured_after_checkout;
use crate::screening::gate::Accepts;
use crate::screening::history::{IdentifierKind, visit_values};
use crate::vocabulary::bundle::{PaymentPurpose, SignalBundle};
use crate::vocabulary::digest::{Digest, DigestSet};
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::time::Timestamp;

/// Profiles as the plan of an event read them: applying it need not read them again. It would find the same.
#[derive(Debug, Default)]
pub struct ReadProfiles {
    /// Absent when it was not read, or there is none.
    pub(super) referrer: Option<SignalBundle>,
    /// Absent when it was not read, or there is none.
    pub(super) referee: Option<SignalBundle>,
}

/// +1 when something begins to hold, -1 when it ends.
fn step_of(before: bool, after: bool) -> i32 {
    i32::from(after) - i32::from(before)
}

impl Book {
    /// Applies an event that stands at a place of the journal.
    pub(crate) fn apply(&mut self, cursor: Cursor, event: &Event) {
        self.apply_known(cursor, event, ReadProfiles::default());
    }

    /// As [`Book::apply`], for an event that was planned from the book as it is.
    pub(crate) fn apply_known(&mut self, cursor: Cursor, event: &Event, known: ReadProfiles) {
        self.cursor = self.cursor.max(cursor);
        self.latest = self.latest.max(event.learned_at().unwrap_or(self.latest));
        if let Some(Request { id, content }) = event.request() {
            let (kind, id) = (MessageKind::Request, Arc::from(id.as_str()));
            self.messages.add(Message { kind, id, content: *content, cursor }, &self.hasher);
        }
        debug_assert!(self.absent(&event.met(self)).accounts.is_empty(), "what is cold was not brought back for {event:?}");
        // `None` is a book out of numbers, which no plan lets come so far.
        let applied = match event {
            Event::ConversionScreened(screened) => self.screened(cursor, screened, known),
            Event::SignalsRecorded(recorded) => self.signals(cursor, recorded),
            Event::OutcomeRecorded(recorded) => self.outcome(cursor, recorded),
            Event::OutcomeRevoked(revoked) => self.revoked(cursor, revoked),
            Event::OutcomeSpread(spread) => self.outcome_spread(cursor, spread),
            Event::PendingExpired(expired) => {
                self.pending_expired(cursor, expired);
                Some(())
            }
            Event::Rechecked(rechecked) => self.rechecked(cursor, rechecked),
            Event::CaseStepped(stepped) => self.stepped(cursor, stepped),
            Event::CasesStepped(stepped) => self.acted(cursor, stepped),
            Event::RewardsReserved(reserved) => self.reserved(cursor, reserved),
            Event::ReservationChanged(changed) => self.reservation(cursor, changed),
            Event::RewardPaid(paid) => self.paid(cursor, paid),
            Event::PayoutFailed(failed) => self.failed(cursor, failed),
            Event::RewardsChanged(changed) => self.rewards_changed(cursor, changed),
            Event::HoldChanged(changed) => self.hold(cursor, changed),
            Event::ListChanged(changed) => {
                self.list(cursor, changed);
                Some(())
            }
            Event::ModelsChanged(changed) => {
                Arc::make_mut(&mut self.models).change(cursor, changed);
                Some(())
            }
            Event::TermsChanged(changed) => {
                Arc::make_mut(&mut self.terms).change(cursor, changed);
                Some(())
            }
            Event::ValuesRekeyed(rekeyed) => self.rekeyed(cursor, rekeyed),
            Event::AuditKeyMade(made) => {
                Arc::make_mut(&mut self.models).make_key(cursor, made);
                Some(())
            }
            Event::DirectoryChanged(changed) => {
                Arc::make_mut(&mut self.directory).change(cursor, changed);
                Some(())
            }
            // It is kept for the audit trail alone.
            Event::Looked(_) => Some(()),
            Event::AccountErased(erased) => {
                self.erasures.begin(cursor, erased);
                Some(())
            }
            Event::ErasureFinished(finished) => {
                self.erasures.finish(finished);
                Some(())
            }
            Event::ActProposed(proposed) => {
                self.proposed(cursor, proposed);
                Some(())
            }
            Event::ActConfirmed(confirmed) => {
                Arc::make_mut(&mut self.acts).remove(cursor, &confirmed.act_id);
                self.apply_known(cursor, &confirmed.done, known);
                return;
            }
            Event::ActDropped(dropped) => {
                Arc::make_mut(&mut self.acts).remove(cursor, &dropped.act_id);
                Some(())
            }
            Event::SourceEventTaken(taken) => {
                self.source_event(cursor, taken);
                Some(())
            }
            Event::BreakerTripped(tripped) => {
                Arc::make_mut(&mut self.models).trip(cursor, tripped);
                Some(())
            }
            Event::TrailKept(kept) => {
                if let Some(beside) = &kept.beside {
                    self.apply_known(cursor, beside, known);
                }
                return;
            }
            Event::ConversionKept(kept) => self.kept(cursor, kept),
        };
        self.sweep();
        if let Event::ConversionScreened(screened) = event {
            self.just_decided(&screened.conversion.conversion_id);
        }
        debug_assert!(applied.is_some() || !self.has_room(), "an event speaks of what is not there: {event:?}");
    }

    fn screened(&mut self, cursor: Cursor, event: &ConversionScreened, known: ReadProfiles) -> Option<()> {
        let ConversionScreened { conversion, content, decision, received_at, case, came_before: _, repeated } = event;
        let at = conversion.occurred_at;
        let referrer = self.enrol(&conversion.referrer.account_id)?;
        let referee = self.enrol(&conversion.referee.account_id)?;
        self.learn(referrer, &conversion.referrer, at, known.referrer);
        // Who refers himself has another profile by now.
        let known = known.referee.filter(|_| referrer != referee);
        let profile = self.learn(referee, &conversion.referee, at, known);
        let row = ConversionRow {
            id: conversion.conversion_id.clone(),
            cursor,
            changed: cursor,
            content: *content,
            kind: conversion.kind,
            occurred_at: at,
            received_at: *received_at,
            value: conversion.value,
            referrer,
            referee,
            before_of_referrer: self.accounts.get(referrer).newest_as_referrer,
            before_of_referee: self.accounts.get(referee).newest_as_referee,
            campaign: conversion.campaign_id.as_ref().and_then(|id| self.texts.intern(id.as_str(), &self.hasher)),
            invoice_id: conversion.invoice_id.clone(),
            duplicate_of: decision.duplicate_of.clone(),
            verdict: Verdict::Approved,
            machine: decision.verdict,
            hands: Hands::Machine,
            accepted_by_review: false,
            case: None,
            accepts: if conversion.rewards.is_empty() { Accepts::Any } else { Accepts::Named },
            rewards: RewardNumbers::new(),
            later: None,
        };
        let number = self.conversions.add(row, &self.hasher)?;
        self.name_rewards(number, &conversion.rewards)?;
        if decision.duplicate_of.is_none() {
            self.count_referral(number, profile.as_ref().unwrap_or(&conversion.referee))?;
            let began =
                self.conversions.referral(referrer, referee, &self.hasher).is_some_and(|referral| referral.conversions == 1);
            if began && captured_after_checkout(conversion, &conversion.referee.journey) == Some(true) {
                self.accounts.get_mut(referrer).referring_mut().referrals_after_checkout += 1;
            }
            self.conversions.remember_purchase(number, &self.hasher);
        }
        self.accounts.stand_in(number, referrer, referee);
        self.change_verdict(number, decision.verdict, false)?;
        self.meet_outcomes(cursor, number, conversion, repeated.as_ref())?;
        if let Some(version) = decision.audited_model() {
            let audited = Audited { version: version.into(), ruled: None };
            Arc::make_mut(&mut self.models).sample(cursor, number, audited);
        }
        if let Some(case) = case {
            let case = Case {
                conversion: number,
                conversion_id: conversion.conversion_id.clone(),
                referrer: conversion.referrer.account_id.clone(),
                referee: conversion.referee.account_id.clone(),
                state: CaseState::Open,
                revision: 1,
                opened_at: decision.decided_at,
                due_at: case.due_at,
                score: decision.score,
                value: conversion.value,
                reason_codes: reason_codes(decision),
                headline: decision.reasons.first().map(|reason| reason.sentence.as_str().into()).unwrap_or_default(),
                changed: cursor,
            };
            self.conversions.get_mut(number).case = self.cases.open(case);
        }
        Some(())
    }

    /// Counts a conversion to its referral; the first one also counts as a new user of the referrer.
    fn count_referral(&mut self, number: ConversionNumber, known: &SignalBundle) -> Option<()> {
        let row = self.conversions.get(number);
        let (referrer, referee, occurred_at) = (row.referrer, row.referee, row.occurred_at);
        self.remember_patterns(referee, known, &[referrer])?;
        let referral = self.conversions.referral_mut(referrer, referee, &self.hasher)?;
        referral.conversions += 1;
        if referral.conversions > 1 {
            return Some(());
        }
        let referring = self.accounts.get_mut(referrer).referring_mut();
        referring.referrals += 1;
        let told_late = referring.recent.last().is_some_and(|newest| *newest > occurred_at);
        referring.remember(occurred_at);
        if told_late {
            // Those that happened after it were screened without it.
            self.touch_newest(referrer);
        }
        if referrer != referee && self.accounts.get(referee).referred_by.is_none() {
            self.accounts.get_mut(referee).referred_by = Some(referrer);
            self.touch_loops(referee);
        }
        Some(())
    }

    /// Notes the patterns of a referee's mailboxes with those who referred it; who has the same pattern through one of them is looked at again.
    fn remember_patterns(&mut self, referee: AccountNumber, known: &SignalBundle, referrers: &[AccountNumber]) -> Option<()> {
        for digest in patterns(known) {
            let pattern = self.values.intern(ValueKind::Pattern, digest, &mut self.texts, &self.hasher)?;
            for referrer in referrers {
                let siblings = self.conversions.remember_pattern(*referrer, pattern, referee, &self.hasher);
                siblings.into_iter().for_each(|sibling| self.touch_referral(*referrer, sibling));
            }
        }
        Some(())
    }

    /// A reviewer found that what was taken for a repeat is none: from now on it counts as any other.
    fn count_as_its_own(&mut self, number: ConversionNumber) -> Option<()> {
        let row = self.conversions.get_mut(number);
        row.duplicate_of = None;
        let referee = row.referee;
        let known = self.profile(referee).unwrap_or_else(|| SignalBundle::of_account(self.accounts.get(referee).id.clone()));
        self.count_referral(number, &known)?;
        self.conversions.remember_purchase(number, &self.hasher);
        Some(())
    }

    /// Puts a verdict in force and moves the counters with it. A duplicate counts for nothing.
    fn change_verdict(&mut self, number: ConversionNumber, verdict: Verdict, accepted: bool) -> Option<()> {
        let row = self.conversions.get_mut(number);
        let rejected_by = step_of(row.verdict == Verdict::Rejected, verdict == Verdict::Rejected);
        let accepted_by = step_of(row.accepted_by_review, accepted);
        row.verdict = verdict;
        row.accepted_by_review = accepted;
        if row.duplicate_of.is_some() || (rejected_by == 0 && accepted_by == 0) {
            return Some(());
        }
        let (referrer, referee) = (row.referrer, row.referee);
        let referral = self.conversions.referral_mut(referrer, referee, &self.hasher)?;
        let before = *referral;
        referral.rejected = referral.rejected.saturating_add_signed(rejected_by);
        referral.accepted = referral.accepted.saturating_add_signed(accepted_by);
        let rejected_referrals = step_of(before.rejected > 0, referral.rejected > 0);
        let accepted_referrals = step_of(before.accepted > 0, referral.accepted > 0);
        if rejected_referrals != 0 || accepted_referrals != 0 {
            let referring = self.accounts.get_mut(referrer).referring_mut();
            referring.referrals_rejected = referring.referrals_rejected.saturating_add_signed(rejected_referrals);
            referring.referrals_accepted = referring.referrals_accepted.saturating_add_signed(accepted_referrals);
        }
        self.accounts.change_standing(referee, |account| {
            account.rejected_as_referee = account.rejected_as_referee.saturating_add_signed(rejected_by);
        });
        if rejected_by != 0 {
            let mut touched = self.met_by(referee);
            touched.push(referrer);
            self.touch(&touched);
        }
        Some(())
    }

    fn signals(&mut self, cursor: Cursor, event: &SignalsRecorded) -> Option<()> {
        let SignalsRecorded { record_id, content, bundles, received_at } = event;
        for bundle in bundles {
            let number = self.enrol(&bundle.account_id)?;
            self.learn(number, bundle, *received_at, None);
        }
        let (kind, id) = (MessageKind::Signals, Arc::from(record_id.as_str()));
        self.messages.add(Message { kind, id, content: *content, cursor }, &self.hasher);
        if self.intake.holds(record_id) {
            Arc::make_mut(&mut self.intake).recorded(record_id);
        }
        Some(())
    }

    /// Takes an event of a sender's. Signals of it that were recorded before, when it was taken before, are not held again.
    fn source_event(&mut self, cursor: Cursor, event: &SourceEventTaken) {
        let (kind, id) = (MessageKind::SourceEvent, Arc::from(message_of(event.source, &event.event_id)));
        self.messages.add(Message { kind, id, content: event.content, cursor }, &self.hasher);
        let intake = Arc::make_mut(&mut self.intake);
        intake.take(cursor, event);
        if let Some(record) = record_of(event.source, &event.event_id)
            && self.messages.find(MessageKind::Signals, record.as_str(), &self.hasher).is_some()
        {
            intake.recorded(&record);
        }
    }

    fn acted(&mut self, cursor: Cursor, event: &CasesStepped) -> Option<()> {
        event.steps.iter().try_for_each(|step| self.stepped(cursor, step))?;
        if let Some(tripped) = &event.trips {
            Arc::make_mut(&mut self.models).trip(cursor, tripped);
        }
        Some(())
    }

    /// Keeps an act for confirmation; of a case, its history tells it.
    fn proposed(&mut self, cursor: Cursor, ActProposed { pending, request: _ }: &ActProposed) {
        if let Act::Accept { case_id, .. } = &pending.act
            && let Some(number) = case_id.conversion_id().and_then(|id| self.conversions.find(&id, &self.hasher))
        {
            let row = self.conversions.get_mut(number);
            row.changed = cursor;
            row.later_mut().trail.push(cursor);
        }
        Arc::make_mut(&mut self.acts).add(cursor, pending.clone());
    }

    fn stepped(&mut self, cursor: Cursor, event: &CaseStepped) -> Option<()> {
        let number = self.conversions.find(&event.conversion_id, &self.hasher)?;
        let row = self.conversions.get_mut(number);
        row.changed = cursor;
        row.later_mut().trail.push(cursor);
        let known = row.case;
        if event.step == CaseStep::Note {
            return Some(());
        }
        if let Some(case) = known {
            self.cases.change(case, |case| {
                case.state.clone_from(&event.state);
                case.revision = event.revision;
                (case.opened_at, case.due_at, case.changed) = (event.opened_at, event.due_at, cursor);
            });
        } else if let Some(first) = &event.first_case {
            let case = Case {
                conversion: number,
                conversion_id: event.conversion_id.clone(),
                referrer: event.referrer.clone(),
                referee: event.referee.clone(),
                state: event.state.clone(),
                revision: event.revision,
                opened_at: event.opened_at,
                due_at: event.due_at,
                score: first.score,
                value: first.value,
                reason_codes: event.reason_codes.clone(),
                headline: first.headline.as_str().into(),
                changed: cursor,
            };
            self.conversions.get_mut(number).case = self.cases.open(case);
        }
        if let Some(ruling) = Ruling::of(&event.step) {
            self.conversions.get_mut(number).hands = Hands::Person;
            if self.models.audited(number).is_some() {
                Arc::make_mut(&mut self.models).rule(cursor, number, ruling.verdict());
            }
        }
        if let Some(tripped) = &event.trips {
            Arc::make_mut(&mut self.models).trip(cursor, tripped);
        }
        let accepted = matches!(event.state, CaseState::Resolved { resolution: Resolution::Accept, .. });
        if accepted && self.conversions.get(number).duplicate_of.is_some() {
            self.count_as_its_own(number)?;
        }
        self.change_verdict(number, event.verdict, accepted)?;
        if !event.paid.is_empty() {
            let rewards = self.conversions.get(number).rewards.clone();
            self.rewards.report_paid(&rewards);
        }
        Some(())
    }

    fn list(&mut self, cursor: Cursor, event: &ListChanged) {
        let ListChanged { entry, change, request: _ } = event;
        let key = (entry.list, entry.subject.clone());
        let lists = Arc::make_mut(&mut self.lists);
        match change {
            Change::Place => lists.insert(key, (entry.clone(), cursor)),
            Change::Lift => lists.remove(&key),
        };
        self.lists_changed = cursor;
        let touched = self.listed(&entry.subject);
        self.touch(&touched);
    }

    fn kept(&mut self, cursor: Cursor, event: &ConversionKept) -> Option<()> {
        let ConversionKept {
            conversion_id,
            content,
            kind,
            occurred_at,
            referrer,
            referee,
            invoice_id,
            duplicate_of,
            verdict,
            cancelled,
            accepts,
            rewards,
            audited,
        } = event;
        let (referrer, referee) = (self.enrol(referrer)?, self.enrol(referee)?);
        let row = ConversionRow {
            id: conversion_id.clone(),
            cursor,
            changed: cursor,
            content: *content,
            kind: *kind,
            occurred_at: *occurred_at,
            received_at: *occurred_at,
            value: None,
            referrer,
            referee,
            before_of_referrer: self.accounts.get(referrer).newest_as_referrer,
            before_of_referee: self.accounts.get(referee).newest_as_referee,
            campaign: None,
            invoice_id: invoice_id.clone(),
            duplicate_of: duplicate_of.clone(),
            verdict: *verdict,
            machine: *verdict,
            hands: Hands::Machine,
            accepted_by_review: false,
            case: None,
            accepts: *accepts,
            rewards: RewardNumbers::new(),
            later: None,
        };
        let number = self.conversions.add(row, &self.hasher)?;
        self.accounts.stand_in(number, referrer, referee);
        if let Some(audited) = audited {
            Arc::make_mut(&mut self.models).sample(cursor, number, audited.clone());
        }
        if cancelled.is_some() {
            self.conversions.get_mut(number).later_mut().kept_cancelled = *cancelled;
        }
        if duplicate_of.is_none() {
            self.conversions.remember_purchase(number, &self.hasher);
        }
        self.keep_rewards(number, rewards)
    }

    // Accounts and what they are seen on.

    pub(super) fn enrol(&mut self, id: &AccountId) -> Option<AccountNumber> {
        self.accounts.enrol(id, &self.hasher)
    }

    /// The merged signals of an account; absent when it never sent any.
    pub(super) fn profile(&self, number: AccountNumber) -> Option<SignalBundle> {
        self.profile_shown(number, Shown::UnderNewestNames)
    }

    /// As [`Book::profile`], with digests under the names that are asked for.
    pub(super) fn profile_shown(&self, number: AccountNumber, shown: Shown) -> Option<SignalBundle> {
        let account = self.accounts.get(number);
        let profile = match &account.signals {
            Signals::None => return None,
            Signals::Here(profile) => profile,
            // INVARIANT: `cold::Met` names every account whose signals a command, an event or a reading looks at. To go on without them would decide
            // as if they had never been sent.
            Signals::Cold(_) => unreachable!("the signals of an account are cold and were not brought back"),
        };
        Some(ProfileReader { values: &self.values, texts: &self.texts, shown }.bundle(account.id.clone(), profile))
    }

    /// Adds a message's signals to an account, whose profile may have been read before, and marks the conversions to which they say something new.
    /// Returns the profile when there was an earlier one.
    fn learn(
        &mut self,
        number: AccountNumber,
        bundle: &SignalBundle,
        at: Timestamp,
        known: Option<SignalBundle>,
    ) -> Option<SignalBundle> {
        let account = self.accounts.get_mut(number);
        account.first_seen_at = Some(account.first_seen_at.map_or(at, |known| known.min(at)));
        let News { mut touched, mut values } = self.sight(number, bundle, at);
        let earlier = known.or_else(|| self.profile(number));
        let merged = match (&earlier, says_nothing(bundle)) {
            (_, true) => earlier.clone(),
            (None, false) => {
                self.keep_profile(number, bundle);
                touched.push(number);
                self.learn_patterns(number, bundle);
                None
            }
            (Some(earlier), false) => Some(bundle.merged_with(earlier)),
        };
        let mut opened_otherwise = false;
        if let (Some(merged), Some(earlier)) = (&merged, &earlier)
            && merged != earlier
        {
            self.keep_profile(number, merged);
            let has_new_mail = merged.adds_emails_to(earlier);
            if has_new_mail {
                self.learn_patterns(number, bundle);
            }
            let has_new_name_or_use = merged.adds_names_to(earlier) || merged.adds_uses_to(earlier);
            opened_otherwise = merged.account_created_at != earlier.account_created_at;
            if has_new_mail || has_new_name_or_use || opened_otherwise || Comparability::grows(earlier, merged) {
                touched.push(number);
            } else if merged.adds_to(earlier) {
                self.touch_newest(number);
                values.iter().for_each(|value| self.touch_between(number, *value));
            }
        }
        if let Some(merged) = merged.as_ref().filter(|_| opened_otherwise) {
            values.extend(self.values_of(merged));
        }
        self.touch(&touched);
        self.touch_younger(number, &values, opened_otherwise);
        merged
    }

    /// What is known of the values of a bundle.
    pub(super) fn values_of(&self, bundle: &SignalBundle) -> Vec<ValueNumber> {
        let mut values = Vec::new();
        visit_values(bundle, |kind, set, _| {
            let kind = ValueKind::Identifier(kind);
            values.extend(set.iter().filter_map(|digest| self.values.find(kind, digest, &self.texts, &self.hasher)));
        });
        values
    }

    /// Marks what was decided of referees who have something of their own in common with an older account, which is told of only now: it may be theirs.
    /// One of them is new on the values, or the account was opened otherwise than was known, so that others may not be younger any more.
    fn touch_younger(&mut self, number: AccountNumber, values: &[ValueNumber], opened_otherwise: bool) {
        let mut younger = Touched::new();
        for value in values {
            let sightings = self.values.sightings(*value);
            let ValueKind::Identifier(kind) = self.values.kind(*value) else { continue };
            if may_be_one_person(kind, sightings.len()) {
                for other in sightings.iter().map(|sighting| sighting.account).filter(|other| *other != number) {
                    let is_older = self.is_older(number, (Some(other), self.opened_at(other)));
                    younger.push(if is_older || opened_otherwise { other } else { number });
                }
            }
        }
        younger.sort_unstable();
        younger.dedup();
        self.touch_referees(&younger);
    }

    /// Notes the patterns of a message with whoever referred the account before.
    fn learn_patterns(&mut self, number: AccountNumber, bundle: &SignalBundle) {
        let mut referrers: Touched = self.referred_by(number).collect();
        referrers.sort_unstable();
        referrers.dedup();
        // A book without room for a value is refused its next command.
        let _ = self.remember_patterns(number, bundle, &referrers);
    }

    pub(super) fn keep_profile(&mut self, number: AccountNumber, bundle: &SignalBundle) {
        let mut maker = ProfileMaker { values: &mut self.values, texts: &mut self.texts, hasher: &self.hasher };
        let profile = maker.make(bundle);
        let account = self.accounts.get_mut(number);
        self.profiles += usize::from(account.signals.here().is_none());
        let before = account.signals.here().map_or(0, |profile| profile.bytes());
        self.profile_bytes = (self.profile_bytes + profile.bytes()).saturating_sub(before);
        account.signals = Signals::Here(Arc::new(profile));
        account.opened_at = bundle.account_created_at;
    }

    /// Notes that an account was seen on each value of a message, and ties it to whoever shares a strong one. Returns what is new of it.
    fn sight(&mut self, number: AccountNumber, bundle: &SignalBundle, at: Timestamp) -> News {
        let News { mut touched, mut values } = News::default();
        let mut sightings: SmallVec<[(IdentifierKind, &Digest, u32); 32]> = SmallVec::new();
        visit_values(bundle, |kind, set, seen_at| {
            let last_seen = seen_at.unwrap_or(at).as_index_seconds();
            sightings.extend(set.iter().map(|digest| (kind, digest, last_seen)));
        });
        sightings.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.cmp(&a.2)));
        sightings.dedup_by(|later, kept| later.0 == kept.0 && later.1 == kept.1);
        let has_cookie = sightings.iter().any(|(kind, _, _)| *kind == IdentifierKind::Browser)
            || self.accounts.get(number).signals.here().is_some_and(|profile| profile.has_browser());
        let mut fingerprints: SmallVec<[ValueNumber; 4]> = SmallVec::new();
        let mut near: SmallVec<[AccountNumber; 16]> = SmallVec::new();
        let mut tied = Tied::Before;
        let may_be_models = self.values.fingerprint_sharing().is_of_models(0);
        for (kind, digest, last_seen) in sightings {
            let identifier = ValueKind::Identifier(kind);
            let Some(value) = self.values.intern(identifier, digest, &mut self.texts, &self.hasher) else { continue };
            let sighted = self.values.sight(value, Sighting { account: number, last_seen });
            let changed = sighted != Sighted::AsBefore;
            if sighted == Sighted::New && self.values.sightings(value).len() > 1 {
                values.push(value);
            }
            if kind == IdentifierKind::Device && (has_cookie || self.values.is_of_models(self.values.sightings(value))) {
                fingerprints.extend(changed.then_some(value));
                continue;
            }
            if sighted == Sighted::New && kind.is_strong() && self.values.sightings(value).len() > 1 {
                touched.extend(self.values.sightings(value).tied());
            }
            if changed && kind.is_strong() {
                // The others were tied to each other when they came.
                let other = self.values.sightings(value).tied().find(|other| *other != number);
                if let Some(other) = other {
                    tied = tied.or(self.accounts.tie(number, other));
                }
            }
            if tells_near(kind) && (has_cookie || may_be_models) {
                near.extend(self.values.sightings(value).tied().filter(|other| *other != number));
            }
        }
        // Phones of one model have one fingerprint: beside a cookie, or where that is usual, it ties only whoever shares something else too.
        for value in fingerprints {
            for other in self.values.sightings(value).tied().filter(|other| near.contains(other)) {
                tied = tied.or(self.accounts.tie(number, other));
            }
        }
        tied = tied.or(self.sight_payouts(number, bundle, at, &mut touched));
        if tied == Tied::Now {
            touched.extend(self.accounts.ring_of(number).take(RING_TOUCHED_MAX));
        }
        touched.sort_unstable();
        touched.dedup();
        News { touched, values }
    }

    /// Notes that an account is paid out to each instrument of a message, and ties it to whoever is paid out there too. Returns whether that made one
    /// ring of two.
    fn sight_payouts(&mut self, number: AccountNumber, bundle: &SignalBundle, at: Timestamp, touched: &mut Touched) -> Tied {
        let mut tied = Tied::Before;
        for digest in payouts(bundle) {
            let Some(value) = self.values.intern(ValueKind::Payout, digest, &mut self.texts, &self.hasher) else { continue };
            let sighted = self.values.sight(value, Sighting { account: number, last_seen: at.as_index_seconds() });
            if sighted == Sighted::New && self.values.sightings(value).len() > 1 {
                touched.extend(self.values.sightings(value).tied_by_payout());
            }
            if sighted != Sighted::AsBefore {
                let other = self.values.sightings(value).tied_by_payout().find(|other| *other != number);
                if let Some(other) = other {
                    tied = tied.or(self.accounts.tie(number, other));
                }
            }
        }
        tied
    }
}

/// What is new when an account was seen somewhere.
#[derive(Default)]
struct News {
    /// Those who are tied by it, the account included.
    touched: Touched,
    /// Values on which it is new, and others are.
    values: SmallVec<[ValueNumber; 8]>,
}

/// Whether two accounts on one value of a kind, which is on few accounts, are no strangers to each other.
pub(super) const fn tells_near(kind: IdentifierKind) -> bool {
    match kind {
        IdentifierKind::EmailExact
        | IdentifierKind::Mailbox
        | IdentifierKind::Browser
        | IdentifierKind::Address
        | IdentifierKind::Payment => true,
        IdentifierKind::LocalPart
        | IdentifierKind::Domain
        | IdentifierKind::Name
        | IdentifierKind::Device
        | IdentifierKind::Prefix => false,
    }
}

/// The digests of the instruments that a bundle's account is paid out to.
pub(super) fn payouts(bundle: &SignalBundle) -> impl Iterator<Item = &Digest> {
    let payouts = bundle.payments.iter().filter(|payment| payment.purpose == PaymentPurpose::Payout);
    payouts.flat_map(|payment| payment.instrument.iter())
}

/// The patterns of a bundle's mailboxes.
pub(super) fn patterns(bundle: &SignalBundle) -> impl Iterator<Item = &Digest> {
    bundle.emails.iter().filter_map(|email| email.pattern.as_ref()).flat_map(DigestSet::iter)
}

fn says_nothing(bundle: &SignalBundle) -> bool {
    let SignalBundle { account_id: _, account_created_at, emails, names, devices, networks, payments, journey } = bundle;
    account_created_at.is_none()
        && emails.is_empty()
        && names.is_empty()
        && devices.is_empty()
        && networks.is_empty()
        && payments.is_empty()
        && journey.is_empty()
}
