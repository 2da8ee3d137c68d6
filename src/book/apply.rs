//! What an event changes. Deterministic: the same events in the same order make the same book, when they happen and when they are replayed.
//!
//! It decides nothing: events carry what was decided.

use std::sync::Arc;

use smallvec::SmallVec;

use super::accounts::LastHold;
use super::cases::{Case, REASON_CODES_MAX};
use super::command::{CaseStep, Change};
use super::conversions::{ConversionRow, Payment};
use super::event::{
    CaseStepped, ConversionKept, ConversionScreened, Entitlement, Event, HoldChanged, KeptPayment, ListChanged, OutcomeRecorded,
    RewardPaid, SignalsRecorded,
};
use super::profiles::{ProfileMaker, ProfileReader};
use super::records::{Cursor, Hold, HoldSubject};
use super::slab::{AccountNumber, ConversionNumber, ValueNumber};
use super::values::{Sighting, ValueKind};
use super::{Book, Message, MessageKind};
use crate::screening::case::{CaseState, Resolution};
use crate::screening::decision::Verdict;
use crate::screening::history::{IdentifierKind, visit_values};
use crate::vocabulary::bundle::{PaymentPurpose, SignalBundle};
use crate::vocabulary::conversion::Conversion;
use crate::vocabulary::digest::{Digest, DigestSet};
use crate::vocabulary::ids::AccountId;
use crate::vocabulary::outcome::{OutcomeKind, OutcomeSubject};
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
        // `None` is a book out of numbers, which no plan lets come so far.
        let applied = match event {
            Event::ConversionScreened(screened) => self.screened(cursor, screened, known),
            Event::SignalsRecorded(recorded) => self.signals(cursor, recorded),
            Event::OutcomeRecorded(recorded) => self.outcome(cursor, recorded),
            Event::CaseStepped(stepped) => self.stepped(cursor, stepped),
            Event::RewardPaid(paid) => self.paid(cursor, paid),
            Event::HoldChanged(changed) => self.hold(cursor, changed),
            Event::ListChanged(changed) => {
                self.list(cursor, changed);
                Some(())
            }
            Event::ConversionKept(kept) => self.kept(cursor, kept),
        };
        debug_assert!(applied.is_some() || !self.has_room(), "an event speaks of what is not there: {event:?}");
    }

    fn screened(&mut self, cursor: Cursor, event: &ConversionScreened, known: ReadProfiles) -> Option<()> {
        let ConversionScreened { conversion, content, decision, received_at: _, case } = event;
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
            referrer,
            referee,
            before_of_referrer: self.accounts.get(referrer).newest_as_referrer,
            before_of_referee: self.accounts.get(referee).newest_as_referee,
            campaign: conversion.campaign_id.as_ref().and_then(|id| self.texts.intern(id.as_str(), &self.hasher)),
            invoice_id: conversion.invoice_id.clone(),
            duplicate_of: decision.duplicate_of.clone(),
            verdict: Verdict::Approved,
            accepted_by_review: false,
            case: None,
            rewards: conversion.rewards.iter().map(|reward| reward.reward_id.clone()).collect(),
            later: None,
        };
        let number = self.conversions.add(row, &self.hasher)?;
        if decision.duplicate_of.is_none() {
            self.count_referral(conversion, referrer, referee, profile.as_ref())?;
            self.conversions.remember_purchase(number, &self.hasher);
        }
        self.accounts.get_mut(referrer).newest_as_referrer = Some(number);
        self.accounts.get_mut(referee).newest_as_referee = Some(number);
        self.change_verdict(number, decision.verdict, false)?;
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
                reason_codes: decision.reasons.iter().map(|reason| reason.code).take(REASON_CODES_MAX).collect(),
                headline: decision.reasons.first().map(|reason| reason.sentence.as_str().into()).unwrap_or_default(),
                changed: cursor,
            };
            self.conversions.get_mut(number).case = self.cases.open(case);
        }
        Some(())
    }

    /// Counts a conversion to its referral; the first one also counts as a new user of the referrer.
    fn count_referral(
        &mut self,
        conversion: &Conversion,
        referrer: AccountNumber,
        referee: AccountNumber,
        profile: Option<&SignalBundle>,
    ) -> Option<()> {
        for digest in patterns(profile.unwrap_or(&conversion.referee)) {
            let pattern = self.values.intern(ValueKind::Pattern, digest, &mut self.texts, &self.hasher)?;
            self.conversions.remember_pattern(referrer, pattern, referee, &self.hasher);
        }
        let referral = self.conversions.referral_mut(referrer, referee, &self.hasher)?;
        referral.conversions += 1;
        if referral.conversions > 1 {
            return Some(());
        }
        let referring = self.accounts.get_mut(referrer).referring_mut();
        referring.referrals += 1;
        referring.remember(conversion.occurred_at);
        if referrer != referee && self.accounts.get(referee).referred_by.is_none() {
            self.accounts.get_mut(referee).referred_by = Some(referrer);
        }
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
        Some(())
    }

    fn signals(&mut self, cursor: Cursor, event: &SignalsRecorded) -> Option<()> {
        let SignalsRecorded { record_id, content, bundles, received_at } = event;
        for bundle in bundles {
            let number = self.enrol(&bundle.account_id)?;
            self.learn(number, bundle, *received_at, None);
        }
        let message = Message { kind: MessageKind::Signals, id: record_id.clone(), content: *content, cursor };
        self.messages.add(message, &self.hasher);
        Some(())
    }

    fn outcome(&mut self, cursor: Cursor, event: &OutcomeRecorded) -> Option<()> {
        let OutcomeRecorded { outcome, content, received_at: _, concerned, paid_elsewhere } = event;
        for one in concerned {
            let number = self.conversions.find(&one.conversion_id, &self.hasher)?;
            let row = self.conversions.get_mut(number);
            row.changed = cursor;
            let later = row.later_mut();
            later.cancelled_at = later.cancelled_at.or(Some(outcome.occurred_at));
            later.trail.push(cursor);
            if matches!(outcome.kind, OutcomeKind::ChargeRefunded | OutcomeKind::Chargeback) {
                self.count_refund(number)?;
            }
            if !one.paid.is_empty() {
                self.conversions.report_paid(number);
            }
        }
        for paid in paid_elsewhere {
            let number = self.conversions.find(&paid.conversion_id, &self.hasher)?;
            self.conversions.report_paid(number);
        }
        if let (OutcomeKind::AccountBanned, OutcomeSubject::Account(id)) = (outcome.kind, &outcome.subject) {
            let number = self.enrol(id)?;
            self.accounts.change_standing(number, |account| {
                account.changed = cursor;
                let referring = account.referring_mut();
                referring.banned_at = referring.banned_at.or(Some(outcome.occurred_at));
                referring.trail.push(cursor);
            });
        }
        let message = Message { kind: MessageKind::Outcome, id: outcome.outcome_id.clone(), content: *content, cursor };
        self.messages.add(message, &self.hasher);
        Some(())
    }

    fn count_refund(&mut self, number: ConversionNumber) -> Option<()> {
        let row = self.conversions.get_mut(number);
        if row.later().refunded || row.duplicate_of.is_some() {
            return Some(());
        }
        row.later_mut().refunded = true;
        let (referrer, referee) = (row.referrer, row.referee);
        let referral = self.conversions.referral_mut(referrer, referee, &self.hasher)?;
        referral.refunded += 1;
        if referral.refunded == 1 {
            self.accounts.get_mut(referrer).referring_mut().referrals_refunded += 1;
        }
        Some(())
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
        let accepted = matches!(event.state, CaseState::Resolved { resolution: Resolution::Accept, .. });
        self.change_verdict(number, event.verdict, accepted)?;
        if !event.paid.is_empty() {
            self.conversions.report_paid(number);
        }
        Some(())
    }

    fn paid(&mut self, cursor: Cursor, event: &RewardPaid) -> Option<()> {
        let number = self.conversions.find(&event.conversion_id, &self.hasher)?;
        let row = self.conversions.get_mut(number);
        row.changed = cursor;
        row.later_mut().trail.push(cursor);
        let reported = event.entitlement == Entitlement::Lost;
        self.pay(number, &KeptPayment { reward_id: event.reward_id.clone(), amount: event.amount, cursor, reported })
    }

    /// Notes a payment, unless it was noted already with what outlived its conversion's record.
    fn pay(&mut self, number: ConversionNumber, paid: &KeptPayment) -> Option<()> {
        if self.conversions.payment_of(&paid.reward_id, &self.hasher).is_some() {
            return Some(());
        }
        let KeptPayment { reward_id, amount, cursor, reported } = paid.clone();
        let payment = Payment { reward_id, conversion: number, amount, cursor, reported };
        let payment = self.conversions.add_payment(payment, &self.hasher)?;
        self.conversions.get_mut(number).later_mut().payments.push(payment);
        Some(())
    }

    fn hold(&mut self, cursor: Cursor, event: &HoldChanged) -> Option<()> {
        let HoldChanged { subject, change, actor, note, at, referral: _ } = event;
        let hold = Some(LastHold { in_force: *change == Change::Place, cursor });
        match subject {
            HoldSubject::Conversion(id) => {
                let number = self.conversions.find(id, &self.hasher)?;
                let row = self.conversions.get_mut(number);
                row.changed = cursor;
                let later = row.later_mut();
                later.hold = hold;
                later.trail.push(cursor);
            }
            HoldSubject::Referrer(id) => {
                let number = self.enrol(id)?;
                let account = self.accounts.get_mut(number);
                account.changed = cursor;
                let referring = account.referring_mut();
                referring.hold = hold;
                referring.trail.push(cursor);
            }
        }
        let holds = Arc::make_mut(&mut self.holds);
        match change {
            Change::Place => {
                let hold = Hold { subject: subject.clone(), actor: actor.clone(), note: note.clone(), placed_at: *at };
                holds.insert(subject.clone(), (hold, cursor));
            }
            Change::Lift => {
                holds.remove(subject);
            }
        }
        self.holds_changed = cursor;
        Some(())
    }

    fn list(&mut self, cursor: Cursor, event: &ListChanged) {
        let ListChanged { entry, change } = event;
        let key = (entry.list, entry.subject.clone());
        let lists = Arc::make_mut(&mut self.lists);
        match change {
            Change::Place => lists.insert(key, (entry.clone(), cursor)),
            Change::Lift => lists.remove(&key),
        };
        self.lists_changed = cursor;
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
            cancelled_at,
            rewards,
            payments,
        } = event;
        let (referrer, referee) = (self.enrol(referrer)?, self.enrol(referee)?);
        let row = ConversionRow {
            id: conversion_id.clone(),
            cursor,
            changed: cursor,
            content: *content,
            kind: *kind,
            occurred_at: *occurred_at,
            referrer,
            referee,
            before_of_referrer: self.accounts.get(referrer).newest_as_referrer,
            before_of_referee: self.accounts.get(referee).newest_as_referee,
            campaign: None,
            invoice_id: invoice_id.clone(),
            duplicate_of: duplicate_of.clone(),
            verdict: *verdict,
            accepted_by_review: false,
            case: None,
            rewards: rewards.iter().cloned().collect(),
            later: None,
        };
        let number = self.conversions.add(row, &self.hasher)?;
        self.accounts.get_mut(referrer).newest_as_referrer = Some(number);
        self.accounts.get_mut(referee).newest_as_referee = Some(number);
        if cancelled_at.is_some() {
            self.conversions.get_mut(number).later_mut().cancelled_at = *cancelled_at;
        }
        payments.iter().try_for_each(|paid| self.pay(number, paid))
    }

    // Accounts and what they are seen on.

    fn enrol(&mut self, id: &AccountId) -> Option<AccountNumber> {
        self.accounts.enrol(id, &self.hasher)
    }

    /// The merged signals of an account; absent when it never sent any.
    pub(super) fn profile(&self, number: AccountNumber) -> Option<SignalBundle> {
        let account = self.accounts.get(number);
        let reader = ProfileReader { values: &self.values, texts: &self.texts };
        account.profile.as_ref().map(|profile| reader.bundle(account.id.clone(), profile))
    }

    /// Adds a message's signals to an account, whose profile may have been read before. Returns the profile when there was an earlier one.
    fn learn(
        &mut self,
        number: AccountNumber,
        bundle: &SignalBundle,
        at: Timestamp,
        known: Option<SignalBundle>,
    ) -> Option<SignalBundle> {
        let account = self.accounts.get_mut(number);
        account.first_seen_at = Some(account.first_seen_at.map_or(at, |known| known.min(at)));
        self.sight(number, bundle, at);
        let earlier = known.or_else(|| self.profile(number));
        if says_nothing(bundle) {
            return earlier;
        }
        let Some(earlier) = earlier else {
            self.keep_profile(number, bundle);
            return None;
        };
        let merged = bundle.merged_with(&earlier);
        if merged != earlier {
            self.keep_profile(number, &merged);
        }
        Some(merged)
    }

    fn keep_profile(&mut self, number: AccountNumber, bundle: &SignalBundle) {
        let mut maker = ProfileMaker { values: &mut self.values, texts: &mut self.texts, hasher: &self.hasher };
        let profile = maker.make(bundle);
        let account = self.accounts.get_mut(number);
        let before = account.profile.as_ref().map_or(0, |profile| profile.bytes());
        self.profile_bytes = (self.profile_bytes + profile.bytes()).saturating_sub(before);
        account.profile = Some(Arc::new(profile));
    }

    /// Notes that an account was seen on each value of a message, and ties it to whoever shares a strong one.
    fn sight(&mut self, number: AccountNumber, bundle: &SignalBundle, at: Timestamp) {
        let mut sightings: SmallVec<[(IdentifierKind, &Digest, u32); 32]> = SmallVec::new();
        visit_values(bundle, |kind, set, seen_at| {
            let last_seen = seen_at.unwrap_or(at).as_index_seconds();
            sightings.extend(set.iter().map(|digest| (kind, digest, last_seen)));
        });
        sightings.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(b.2.cmp(&a.2)));
        sightings.dedup_by(|later, kept| later.0 == kept.0 && later.1 == kept.1);
        let has_cookie = sightings.iter().any(|(kind, _, _)| *kind == IdentifierKind::Browser)
            || self.accounts.get(number).profile.as_ref().is_some_and(|profile| profile.has_browser());
        let mut fingerprints: SmallVec<[ValueNumber; 4]> = SmallVec::new();
        let mut near: SmallVec<[AccountNumber; 16]> = SmallVec::new();
        for (kind, digest, last_seen) in sightings {
            let identifier = ValueKind::Identifier(kind);
            let Some(value) = self.values.intern(identifier, digest, &mut self.texts, &self.hasher) else { continue };
            let changed = self.values.sight(value, Sighting { account: number, last_seen });
            if has_cookie && kind == IdentifierKind::Device {
                fingerprints.extend(changed.then_some(value));
                continue;
            }
            if changed && kind.is_strong() {
                // The others were tied to each other when they came.
                let other = self.values.sightings(value).tied().find(|other| *other != number);
                if let Some(other) = other {
                    self.accounts.tie(number, other);
                }
            }
            if has_cookie && tells_near(kind) {
                near.extend(self.values.sightings(value).tied().filter(|other| *other != number));
            }
        }
        // Phones of one model have one fingerprint: beside a cookie it ties only whoever shares something else too.
        for value in fingerprints {
            for other in self.values.sightings(value).tied().filter(|other| near.contains(other)) {
                self.accounts.tie(number, other);
            }
        }
        self.sight_payouts(number, bundle, at);
    }

    /// Notes that an account is paid out to each instrument of a message, and ties it to whoever is paid out there too.
    fn sight_payouts(&mut self, number: AccountNumber, bundle: &SignalBundle, at: Timestamp) {
        for digest in payouts(bundle) {
            let Some(value) = self.values.intern(ValueKind::Payout, digest, &mut self.texts, &self.hasher) else { continue };
            if self.values.sight(value, Sighting { account: number, last_seen: at.as_index_seconds() }) {
                let other = self.values.sightings(value).tied_by_payout().find(|other| *other != number);
                if let Some(other) = other {
                    self.accounts.tie(number, other);
                }
            }
        }
    }
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
