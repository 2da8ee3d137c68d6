//! Plans of outcomes: what is reported, what is taken back, and what it does to each conversion that it reaches.

use super::Plan;
use crate::book::Book;
use crate::book::MessageKind;
use crate::book::command::{Change, OutcomeCommand, RevokeCommand};
use crate::book::conversions::ConversionRow;
use crate::book::event::{Concerned, Effect, Event, OutcomeRecorded, OutcomeRevoked, OutcomeSpread, PendingExpired, Rechecked};
use crate::book::outcomes::{Effects, OutcomeRow, OutcomeState, Through, banned_at, effects};
use crate::book::records::Cursor;
use crate::book::refusal::{Misfit, Refusal};
use crate::book::slab::{ConversionNumber, OutcomeNumber};
use crate::book::standing::Reaching;
use crate::screening::gate::cancelled_under;
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::ids::{AccountId, ConversionId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Timestamp;

/// Conversions that one record tells of. What an outcome does to the others of an account follows in records of their own, so that nobody waits
/// longer for a referrer of thousands.
pub(in crate::book) const PIECE_CONVERSIONS: usize = 256;
/// Outcomes that one record gives up.
const EXPIRED_MAX: usize = 1_000;

/// Takes an outcome, or finds that it was taken.
pub(super) fn record(book: &Book, command: OutcomeCommand, policy: &PayoutPolicy) -> Result<Plan, Refusal> {
    let OutcomeCommand { outcome, content, received_at } = command;
    if let Some(plan) = book.taken(MessageKind::Outcome, outcome.outcome_id.as_str(), content)? {
        return Ok(plan);
    }
    let reached = book.reached_by(&outcome.subject);
    let of_conversion = !matches!(outcome.subject, OutcomeSubject::Account(_));
    if let Some(number) = reached.first().filter(|_| of_conversion) {
        fits(book, &outcome, book.conversions.get(*number))?;
    }
    let row = OutcomeRow::of(&outcome, received_at, Cursor(book.cursor.0 + 1));
    let concerned = book.touched(&row, Change::Place, reached.iter().take(PIECE_CONVERSIONS), policy);
    let on_account = book.on_account(&row, Change::Place);
    let recorded = OutcomeRecorded { outcome, content, received_at, on_account, concerned };
    Ok(Plan::commit(Event::OutcomeRecorded(Box::new(recorded))))
}

/// Whether what was given back can be part of what was paid.
fn fits(book: &Book, outcome: &Outcome, row: &ConversionRow) -> Result<(), Refusal> {
    let (Some(amount), Some(value)) = (outcome.amount, row.value) else { return Ok(()) };
    let refused =
        |field: &str, problem: String| Err(Refusal::Invalid(vec![Misfit::at(format!("outcome.amount.{field}"), problem)]));
    let (back, paid) = (amount.currency(), value.currency());
    if back != paid {
        return refused(
            "currency",
            format!("is {back:?}, but the sale was in {paid:?}; give the amount in the currency of the sale"),
        );
    }
    let reaching = book.reaching(row);
    let refunds = reaching.iter().filter(|(through, known)| {
        let counts = known.kind == OutcomeKind::ChargeRefunded && known.state == OutcomeState::InForce;
        counts && *through == Through::Conversion
    });
    let before: i64 = match outcome.kind {
        OutcomeKind::ChargeRefunded => refunds.filter_map(|(_, known)| known.amount).map(Money::amount_minor).sum(),
        OutcomeKind::Chargeback
        | OutcomeKind::SubscriptionCanceled
        | OutcomeKind::AccountBanned
        | OutcomeKind::DisputeWon
        | OutcomeKind::AccountUnbanned => 0,
    };
    let left = value.amount_minor() - before;
    if amount.amount_minor() > left {
        let problem = format!("is {}, but {left} of the {} that were paid are left", amount.amount_minor(), value.amount_minor());
        return refused("amount_minor", problem);
    }
    Ok(())
}

/// Whether an amount is in the currency of a sale and not beyond it, as far as both are known.
fn can_be_part_of(back: Option<Money>, value: Option<Money>) -> bool {
    let fits = |(back, value): (Money, Money)| back.currency() == value.currency() && back.amount_minor() <= value.amount_minor();
    back.zip(value).is_none_or(fits)
}

/// Takes an outcome back.
pub(super) fn revoke(book: &Book, command: RevokeCommand, policy: &PayoutPolicy) -> Result<Plan, Refusal> {
    let RevokeCommand { program_id: _, outcome_id, actor, reason_code, note, request, at } = command;
    let missing = || Refusal::NotFound { what: "outcome", id: outcome_id.to_string() };
    let row = book.outcomes.get(book.outcomes.find(&outcome_id, &book.hasher).ok_or_else(missing)?);
    if let OutcomeState::Revoked(cursor) = row.state {
        return Ok(Plan::AlreadyDone(cursor));
    }
    let reached = book.reached_by(&row.subject);
    let concerned = book.touched(row, Change::Lift, reached.iter().take(PIECE_CONVERSIONS), policy);
    let (kind, subject, on_account) = (row.kind, row.subject.clone(), book.on_account(row, Change::Lift));
    let revoked = OutcomeRevoked { outcome_id, kind, subject, actor, reason_code, note, request, at, on_account, concerned };
    Ok(Plan::commit(Event::OutcomeRevoked(Box::new(revoked))))
}

/// Gives up outcomes that wait for one purchase since before a time; the next call goes on where one record ends.
pub(super) fn expire(book: &Book, received_before: Timestamp, at: Timestamp) -> Plan {
    // What befell an account is not about one purchase: it stands, whenever the account appears.
    let old = |number: &OutcomeNumber| {
        let row = book.outcomes.get(*number);
        row.received_at < received_before && !matches!(row.subject, OutcomeSubject::Account(_))
    };
    let waiting = book.outcomes.waiting().filter(old).take(EXPIRED_MAX);
    let outcome_ids: Vec<_> = waiting.map(|number| book.outcomes.get(number).id.clone()).collect();
    if outcome_ids.is_empty() {
        return Plan::AlreadyDone(Cursor(0));
    }
    Plan::commit(Event::PendingExpired(PendingExpired { outcome_ids, at }))
}

pub(super) fn next_piece(book: &Book, policy: impl FnOnce() -> PayoutPolicy) -> Option<Event> {
    let Some(spread) = book.outcomes.spreads.first() else {
        // Each record sweeps on; this one does nothing else.
        let nothing = Rechecked { at: book.latest, as_of: book.cursor, seen: Vec::new(), changed: Vec::new() };
        return book.has_sweeps().then(|| Event::Rechecked(Box::new(nothing)));
    };
    let row = book.outcomes.get(spread.outcome);
    let change = match row.state {
        OutcomeState::InForce => Change::Place,
        OutcomeState::Revoked(_) | OutcomeState::Expired => Change::Lift,
    };
    let next = spread.left.iter().rev().take(PIECE_CONVERSIONS);
    let concerned = book.touched(row, change, next, &policy());
    Some(Event::OutcomeSpread(OutcomeSpread { outcome_id: row.id.clone(), at: spread.at.max(book.latest), concerned }))
}

/// What outcomes that came before a conversion do to it.
pub(super) fn awaiting(book: &Book, conversion: &Conversion, policy: &PayoutPolicy) -> Effect {
    let mut reaching = Reaching::new();
    for number in book.waiting_for(conversion) {
        reaching.push((Through::Conversion, book.outcomes.get(number)));
    }
    let sides = [(&conversion.referee.account_id, Through::Referee), (&conversion.referrer.account_id, Through::Referrer)];
    for (account, through) in sides {
        if let Some((_, account)) = book.accounts.known(account, &book.hasher) {
            reaching.extend(account.referring().outcomes.iter().map(|number| (through, book.outcomes.get(*number))));
        }
    }
    let Effects { cancelled, refunded, taken_back: _ } = effects(&reaching, conversion.value);
    match (cancelled_under(cancelled, refunded, conversion.value, policy), refunded) {
        (Some(_), _) => Effect::Cancelled,
        (None, Some(_)) => Effect::Reduced,
        (None, None) => Effect::None,
    }
}

/// What outcomes that came before a repeat do to the conversion that it repeats; `None` when none came.
pub(super) fn awaiting_of_repeat(
    book: &Book,
    repeat: &Conversion,
    first: &ConversionId,
    policy: &PayoutPolicy,
) -> Option<Concerned> {
    let waiting: Vec<&OutcomeRow> = book.waiting_for(repeat).into_iter().map(|number| book.outcomes.get(number)).collect();
    let (_, row) = book.row(first).filter(|_| !waiting.is_empty())?;
    Some(book.touches(&waiting, Change::Place, row, policy))
}

impl Book {
    /// The conversions that an outcome on this subject reaches, the oldest first. Empty while the subject is not known.
    pub(in crate::book) fn reached_by(&self, subject: &OutcomeSubject) -> Vec<ConversionNumber> {
        match subject {
            OutcomeSubject::Conversion(id) => {
                self.conversions.find(id, &self.hasher).map(|number| self.purchase_of(number)).unwrap_or_default()
            }
            OutcomeSubject::Invoice { referee, invoice_id } => {
                let referee = self.accounts.find(referee, &self.hasher);
                let first = referee.and_then(|referee| self.conversions.with_invoice(referee, invoice_id, &self.hasher));
                first.into_iter().collect()
            }
            OutcomeSubject::Account(id) => self.numbers_of(id),
        }
    }

    /// A conversion, and the one that it repeats: what befell the purchase befell both.
    pub(in crate::book) fn purchase_of(&self, number: ConversionNumber) -> Vec<ConversionNumber> {
        let first =
            self.conversions.get(number).duplicate_of.as_ref().and_then(|first| self.conversions.find(first, &self.hasher));
        [Some(number), first].into_iter().flatten().collect()
    }

    /// The conversions of an account on either side, the oldest first.
    pub(in crate::book) fn numbers_of(&self, id: &AccountId) -> Vec<ConversionNumber> {
        let Some((_, account)) = self.accounts.known(id, &self.hasher) else { return Vec::new() };
        let of = |newest, side| self.conversions_from(newest, side).map(|(number, _)| number);
        let as_referrer = of(account.newest_as_referrer, Side::Referrer);
        let mut numbers: Vec<ConversionNumber> = as_referrer.chain(of(account.newest_as_referee, Side::Referee)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Outcomes that wait for a conversion or its invoice. What cannot have been part of what was paid would have been refused had it come later; it waits on.
    pub(in crate::book) fn waiting_for(&self, conversion: &Conversion) -> Vec<OutcomeNumber> {
        let by_id = OutcomeSubject::Conversion(conversion.conversion_id.clone());
        let referee = || conversion.referee.account_id.clone();
        let invoice = |invoice_id| OutcomeSubject::Invoice { referee: referee(), invoice_id };
        let by_invoice = conversion.invoice_id.clone().map(invoice);
        let subjects = [Some(by_id), by_invoice].into_iter().flatten();
        let waiting = subjects.filter_map(|subject| self.outcomes.pending.get(&subject)).flatten().copied();
        waiting.filter(|number| can_be_part_of(self.outcomes.get(*number).amount, conversion.value)).collect()
    }

    /// What recording an outcome, or taking it back, does to each of these conversions.
    fn touched<'n>(
        &self,
        outcome: &OutcomeRow,
        change: Change,
        numbers: impl Iterator<Item = &'n ConversionNumber>,
        policy: &PayoutPolicy,
    ) -> Vec<Concerned> {
        let in_force = OutcomeRow { state: OutcomeState::InForce, ..outcome.clone() };
        numbers.map(|number| self.touches(&[&in_force], change, self.conversions.get(*number), policy)).collect()
    }

    /// What recording an outcome, or taking it back, does to the account that it is about.
    fn on_account(&self, outcome: &OutcomeRow, change: Change) -> Effect {
        let OutcomeSubject::Account(id) = &outcome.subject else { return Effect::None };
        let told = self.accounts.known(id, &self.hasher).map(|(_, account)| &account.referring().outcomes);
        let others = told.into_iter().flatten().map(|number| self.outcomes.get(*number)).filter(|known| known.id != outcome.id);
        let mut rows: Vec<&OutcomeRow> = others.collect();
        let without = banned_at(&rows).is_some();
        let in_force = OutcomeRow { state: OutcomeState::InForce, ..outcome.clone() };
        rows.push(&in_force);
        let with = banned_at(&rows).is_some();
        match (outcome.kind, change) {
            (OutcomeKind::AccountBanned, Change::Place) if with => Effect::Cancelled,
            (OutcomeKind::AccountUnbanned, Change::Lift) if without => Effect::Cancelled,
            (OutcomeKind::AccountBanned, Change::Lift) if with && !without => Effect::Reinstated,
            (OutcomeKind::AccountUnbanned, Change::Place) if without && !with => Effect::Reinstated,
            _ => Effect::None,
        }
    }

    /// What some outcomes, all together, do to a conversion when they are recorded or taken back.
    fn touches(&self, outcomes: &[&OutcomeRow], change: Change, row: &ConversionRow, policy: &PayoutPolicy) -> Concerned {
        let is_meant = |known: &OutcomeRow| outcomes.iter().any(|outcome| outcome.id == known.id);
        let mut reaching: Reaching<'_> = self.reaching(row).into_iter().filter(|(_, known)| !is_meant(known)).collect();
        let without = effects(&reaching, row.value);
        let through = |outcome: &OutcomeRow| match &outcome.subject {
            OutcomeSubject::Account(id) if self.accounts.get(row.referee).id != *id => Through::Referrer,
            OutcomeSubject::Account(_) => Through::Referee,
            OutcomeSubject::Conversion(_) | OutcomeSubject::Invoice { .. } => Through::Conversion,
        };
        reaching.extend(outcomes.iter().map(|outcome| (through(outcome), *outcome)));
        let with = effects(&reaching, row.value);
        let (before, after) = match change {
            Change::Place => (without, with),
            Change::Lift => (with, without),
        };
        let cancels = |effects: Effects| {
            let cancelled = effects.cancelled.or(row.later().kept_cancelled);
            cancelled_under(cancelled, effects.refunded, row.value, policy).is_some()
        };
        let reverses = outcomes.iter().all(|outcome| match outcome.kind {
            OutcomeKind::DisputeWon | OutcomeKind::AccountUnbanned => change == Change::Place,
            OutcomeKind::ChargeRefunded
            | OutcomeKind::Chargeback
            | OutcomeKind::SubscriptionCanceled
            | OutcomeKind::AccountBanned => change == Change::Lift,
        });
        let effect = match (cancels(before), cancels(after)) {
            (_, true) if !reverses => Effect::Cancelled,
            (true, false) => Effect::Reinstated,
            (false, false) if before.refunded.is_some() && after.refunded.is_none() => Effect::Reinstated,
            (false, false) if before.refunded != after.refunded => Effect::Reduced,
            (_, true) | (false, false) => Effect::None,
        };
        let (referrer, referee) = self.sides_of(row);
        let paid = if effect == Effect::Cancelled { self.rewards.paid_unreported(&row.rewards) } else { Vec::new() };
        Concerned { conversion_id: row.id.clone(), referrer, referee, verdict: row.verdict, effect, paid }
    }
}
