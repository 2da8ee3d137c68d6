//! Plans of what payers do: reserve, pay, fail; and of rewards that are added or changed.

use std::collections::{BTreeMap, BTreeSet};

use super::Plan;
use super::recheck::SecondLook;
use crate::book::Book;
use crate::book::MessageKind;
use crate::book::command::{
    Assessor, Done, FailedCommand, PaidCommand, PayoutWanted, ReservationChange, ReservationCommand, ReserveCommand,
    RewardsChange, RewardsCommand,
};
use crate::book::conversions::ConversionRow;
use crate::book::event::{
    ChangedReward, Entitlement, Event, PayoutFailed, ReservationChanged, RewardPaid, RewardsChanged, RewardsReserved,
};
use crate::book::records::{Cursor, ReserveAnswer};
use crate::book::refusal::{Misfit, Refusal};
use crate::book::rewards::{Payment, Reward};
use crate::screening::decision::Verdict;
use crate::screening::gate::{self, Accepts, Asker, Gate, GateAnswer, GateReason, Held, InOneCall};
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::conversion;
use crate::vocabulary::ids::{AccountId, ConversionId, RequestId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Timestamp;

/// Rewards that one conversion may have, those added later included.
const REWARDS_MAX: usize = 64;

/// Looks at the conversions again with everything that is known at this moment, asks the gate for each reward, and reserves what it releases.
pub(super) fn reserve(book: &Book, command: ReserveCommand, assessor: &dyn Assessor) -> Result<Plan, Refusal> {
    let ReserveCommand { program_id, request, payouts, lifetime, conversions, at } = command;
    let mut misfits = Vec::new();
    for (index, wanted) in payouts.iter().enumerate() {
        let known = book.rewards.known(&wanted.reward_id, &book.hasher);
        let path = format!("payouts[{index}].amount");
        misfits.extend(wanted.amount.and_then(|amount| beyond(amount, known.and_then(|known| known.amount), &path, is_worth)));
    }
    if !misfits.is_empty() {
        return Err(Refusal::Invalid(misfits));
    }
    let mut second = SecondLook::new(book, assessor, assessor.due_after(&program_id, &book.terms), at);
    let verdicts: BTreeMap<&ConversionId, Verdict> =
        conversions.iter().filter_map(|sent| Some((&sent.conversion_id, second.look(sent)?))).collect();
    let policy = assessor.payout(&program_id, &book.terms);
    // What was rejected just now says something of the other referrals of its referrer, which the look before it did not see.
    let told_of: BTreeSet<AccountId> = second.rejected().cloned().collect();
    let ask = |wanted: &PayoutWanted| {
        let mut standing = book.standing(&wanted.reward_id, &wanted.conversion_id).map(|(standing, _)| standing);
        if let (Some(standing), Some(verdict)) = (&mut standing, verdicts.get(&wanted.conversion_id)) {
            let referrer = book.row(&wanted.conversion_id).map(|(_, row)| &book.accounts.get(row.referrer).id);
            let sibling = *verdict == Verdict::Approved && referrer.is_some_and(|referrer| told_of.contains(referrer));
            (standing.verdict, standing.late_facts) = (*verdict, if sibling { Held::Yes } else { Held::No });
        }
        let own = Asker::Reservation(&request.id);
        enough(gate::check(standing.as_ref(), &wanted.reward_id, own, &policy, at), wanted.amount)
    };
    let mut call = InOneCall::default();
    let until = at.plus(lifetime);
    let mut answers = Vec::with_capacity(payouts.len());
    for wanted in &payouts {
        let gate = call.answer(&wanted.reward_id, || ask(wanted));
        let PayoutWanted { reward_id, conversion_id, amount } = wanted.clone();
        let granted = gate.gate == Gate::Release;
        let amount = if granted { amount.or(gate.payable) } else { None };
        answers.push(ReserveAnswer { reward_id, conversion_id, gate, reserved_until: granted.then_some(until), amount });
    }
    let rechecked = second.into_event();
    if rechecked.is_none() && answers.iter().all(|answer: &ReserveAnswer| answer.reserved_until.is_none()) {
        return Ok(Plan::Answer(Done::Reserved(answers)));
    }
    Ok(Plan::commit(Event::RewardsReserved(Box::new(RewardsReserved { request, at, rechecked, answers }))))
}

/// What is wrong with an amount, compared with the most that it can be; `told` says what that is, in minor units.
fn beyond(amount: Money, most: Option<Money>, path: &str, told: fn(i64) -> String) -> Option<Misfit> {
    let most = most?;
    let (asked, known) = (amount.currency(), most.currency());
    if asked != known {
        let problem = format!("is {asked:?}, but the reward is in {known:?}");
        return Some(Misfit::at(format!("{path}.currency"), problem));
    }
    let (asked, known) = (amount.amount_minor(), most.amount_minor());
    (asked > known).then(|| Misfit::at(format!("{path}.amount_minor"), format!("is {asked}, but {}", told(known))))
}

fn is_worth(minor: i64) -> String {
    format!("the reward is worth {minor}")
}

fn were_reserved(minor: i64) -> String {
    format!("{minor} were reserved; reserve what is paid")
}

/// Whether what is told is a second payment of a reward, and not the first one told again: it names another reservation, or both name a call and
/// the calls differ.
fn is_another(payment: &Payment, reservation: Option<&RequestId>, call: Option<&RequestId>) -> bool {
    let is_new =
        |told: Option<&RequestId>, known: &[RequestId]| !known.is_empty() && told.is_some_and(|told| !known.contains(told));
    is_new(reservation, &payment.reservations) || (reservation.is_none() && is_new(call, &payment.calls))
}

/// Holds what is released when less may be paid than is asked for.
fn enough(answer: GateAnswer, amount: Option<Money>) -> GateAnswer {
    let too_much = amount.zip(answer.payable).is_some_and(|(asked, payable)| asked.amount_minor() > payable.amount_minor());
    if answer.gate == Gate::Release && too_much {
        return GateAnswer { gate: Gate::Hold, reason: GateReason::Reduced, ..answer };
    }
    answer
}

impl Book {
    fn asked(
        &self,
        reward: &RewardId,
        conversion: &ConversionId,
        asker: Asker<'_>,
        policy: &PayoutPolicy,
        at: Timestamp,
    ) -> GateAnswer {
        let standing = self.standing(reward, conversion).map(|(standing, _)| standing);
        gate::check(standing.as_ref(), reward, asker, policy, at)
    }

    /// A reward of a conversion, as far as it is known.
    fn reward_of(&self, conversion: &ConversionId, reward: &RewardId) -> Result<Payable<'_>, Refusal> {
        let missing = || Refusal::NotFound { what: "conversion", id: conversion.to_string() };
        let (number, row) = self.row(conversion).ok_or_else(missing)?;
        let known = self.rewards.known(reward, &self.hasher);
        if let Some(elsewhere) = known.filter(|known| known.conversion != number) {
            let of = &self.conversions.get(elsewhere.conversion).id;
            let problem = format!("is not the conversion of this reward, which is `{of}`");
            return Err(Refusal::Invalid(vec![Misfit::at("conversion_id", problem)]));
        }
        if known.is_none() && row.accepts == Accepts::Named {
            return Err(Refusal::NotFound { what: "reward", id: reward.to_string() });
        }
        Ok(Payable { row, reward: known })
    }
}

/// A reward of a conversion.
struct Payable<'a> {
    row: &'a ConversionRow,
    /// Absent when nobody named it before.
    reward: Option<&'a Reward>,
}

/// Renews or ends a reservation.
pub(super) fn change_reservation(book: &Book, command: ReservationCommand, policy: &PayoutPolicy) -> Result<Plan, Refusal> {
    let ReservationCommand { program_id: _, reservation_id, rewards, change, request, at } = command;
    let held = book.rewards.reserved_by(&reservation_id);
    let mut meant = Vec::new();
    for number in held {
        let reward = book.rewards.get(*number);
        if rewards.is_empty() || rewards.contains(&reward.id) {
            meant.push(reward);
        }
    }
    let missing: Vec<Misfit> = rewards
        .iter()
        .enumerate()
        .filter(|(_, id)| !meant.iter().any(|reward| reward.id == **id))
        .map(|(index, _)| Misfit::at(format!("reward_ids[{index}]"), "is not in this reservation, or not any more"))
        .collect();
    if meant.is_empty() {
        let known = book.messages.find(MessageKind::Request, reservation_id.as_str(), &book.hasher);
        return match (known, change) {
            (Some(_), ReservationChange::Cancel) => Ok(Plan::AlreadyDone(Cursor(0))),
            (Some(_), ReservationChange::Renew(_)) => {
                Err(Refusal::NotPossible("nothing is left in this reservation; reserve again".to_owned()))
            }
            (None, _) => Err(Refusal::NotFound { what: "reservation", id: reservation_id.to_string() }),
        };
    }
    if !missing.is_empty() {
        return Err(Refusal::Invalid(missing));
    }
    let until = match change {
        ReservationChange::Cancel => None,
        ReservationChange::Renew(lifetime) => {
            for reward in &meant {
                still_released(book, reward, &reservation_id, policy, at)?;
            }
            Some(at.plus(lifetime))
        }
    };
    let named = |reward: &&Reward| (book.conversions.get(reward.conversion).id.clone(), reward.id.clone());
    let rewards = meant.iter().map(named).collect();
    let changed = ReservationChanged { reservation_id, rewards, until, request, at };
    Ok(Plan::commit(Event::ReservationChanged(Box::new(changed))))
}

/// What is renewed is asked for again: a reservation must not outlive what it was made of.
fn still_released(
    book: &Book,
    reward: &Reward,
    reservation: &RequestId,
    policy: &PayoutPolicy,
    at: Timestamp,
) -> Result<(), Refusal> {
    if let Some(ended) = reward.reservation().filter(|held| held.until <= at) {
        let why = format!("the reservation of `{}` ended at {}; reserve again", reward.id, ended.until);
        return Err(Refusal::NotPossible(why));
    }
    let conversion = &book.conversions.get(reward.conversion).id;
    let answer = book.asked(&reward.id, conversion, Asker::Reservation(reservation), policy, at);
    let answer = enough(answer, reward.reservation().and_then(|held| held.amount));
    match answer.gate {
        Gate::Release => Ok(()),
        Gate::Hold | Gate::Deny => {
            Err(Refusal::NotPossible(format!("`{}` may not be paid any more: {}", reward.id, answer.reason.sentence())))
        }
    }
}

/// Records a payment. Money that left is recorded whatever the gate would have said; answer and feed then tell what it said.
pub(super) fn paid(book: &Book, command: PaidCommand, policy: &PayoutPolicy) -> Result<Plan, Refusal> {
    let PaidCommand { program_id: _, conversion_id, reward_id, reservation_id, paid_at, amount, request, received_at } = command;
    let Payable { row, reward } = book.reward_of(&conversion_id, &reward_id)?;
    let payment = reward.and_then(Reward::payment);
    if let Some(payment) = payment
        && !is_another(payment, reservation_id.as_ref(), request.as_ref().map(|request| &request.id))
    {
        // An amount that is left out says nothing, and a second try may have another idea of the time.
        return if amount.is_none_or(|amount| payment.amount == Some(amount)) {
            Ok(Plan::AlreadyDone(payment.cursor))
        } else {
            Err(Refusal::Invalid(vec![Misfit::at("amount", "is another than what was paid of this reward before")]))
        };
    }
    let reserved = reward.and_then(Reward::reservation).filter(|held| received_at < held.until);
    let own = reserved.filter(|held| reservation_id.as_ref() == Some(&held.by));
    let worth = reward.and_then(|reward| reward.amount);
    let standing = book.standing_of(row);
    let amount = amount.or_else(|| own.and_then(|held| held.amount)).or_else(|| standing.payable(worth));
    let reserved_amount = own.and_then(|held| held.amount);
    let too_much =
        |amount| beyond(amount, worth, "amount", is_worth).or_else(|| beyond(amount, reserved_amount, "amount", were_reserved));
    if let Some(misfit) = amount.and_then(too_much) {
        return Err(Refusal::Invalid(vec![misfit]));
    }
    let asker = own.map_or(Asker::Anybody, |held| Asker::Reservation(&held.by));
    let said = enough(book.asked(&reward_id, &conversion_id, asker, policy, received_at), amount);
    // What arrived a moment ago says nothing yet against what was reserved before.
    let unsaid = said.gate == Gate::Release || (own.is_some() && said.reason == GateReason::LateFacts);
    let against_gate = (!unsaid).then_some(said.reason);
    let lost = row.verdict == Verdict::Rejected || standing.cancelled_under(policy).is_some() || standing.duplicate_of.is_some();
    let (referrer, referee) = book.sides_of(row);
    let paid = RewardPaid {
        referrer,
        referee,
        conversion_id,
        reward_id,
        paid_at,
        amount,
        received_at,
        verdict: row.verdict,
        entitlement: if lost { Entitlement::Lost } else { Entitlement::Standing },
        against_gate,
        reservation_id,
        request,
    };
    Ok(Plan::commit(Event::RewardPaid(Box::new(paid))))
}

/// Records that a payment failed, whether it was told as made before or only reserved.
pub(super) fn failed(book: &Book, command: FailedCommand) -> Result<Plan, Refusal> {
    let FailedCommand { program_id: _, conversion_id, reward_id, failed_at, reason_code, note, request, received_at } = command;
    let Payable { row, reward } = book.reward_of(&conversion_id, &reward_id)?;
    let under_way = reward.is_some_and(|reward| reward.payment().is_some() || reward.reservation().is_some());
    if !under_way {
        let why = format!("`{reward_id}` is neither reserved nor paid; there is no payment that could have failed");
        return Err(Refusal::NotPossible(why));
    }
    let (referrer, referee) = book.sides_of(row);
    let verdict = row.verdict;
    let failed =
        PayoutFailed { conversion_id, referrer, referee, reward_id, failed_at, reason_code, note, received_at, verdict, request };
    Ok(Plan::commit(Event::PayoutFailed(Box::new(failed))))
}

/// Adds rewards, or changes what they are worth.
pub(super) fn rewards(book: &Book, command: RewardsCommand) -> Result<Plan, Refusal> {
    let RewardsCommand { program_id: _, conversion_id, rewards, change, actor, note, request, at } = command;
    let (number, row) = book.kept_row(&conversion_id)?;
    let mut misfits = Vec::new();
    let mut new = Vec::new();
    for (index, reward) in rewards.into_iter().enumerate() {
        let field = |name: &str| format!("rewards[{index}].{name}");
        let known = book.rewards.known(&reward.reward_id, &book.hasher);
        match (known, change) {
            (Some(known), _) if known.conversion != number => {
                let of = &book.conversions.get(known.conversion).id;
                let problem = format!("was used before, for conversion `{of}`; a reward id names one reward for ever");
                misfits.push(Misfit::at(field("reward_id"), problem));
            }
            (Some(known), _) if says_the_same(known, &reward) => {}
            (Some(known), RewardsChange::Add) if known.beneficiary.is_some() => {
                misfits.push(Misfit::at(field("amount"), "is another than that of this reward; change it with `UpdateRewards`"));
            }
            (Some(known), _) if known.payment().is_some() => {
                misfits.push(Misfit::at(field("reward_id"), "was paid already; what was paid is not changed"));
            }
            (Some(known), _) if known.reservation().is_some_and(|held| at < held.until) => {
                let problem = "is reserved by a payer; change it when the reservation has ended";
                misfits.push(Misfit::at(field("reward_id"), problem));
            }
            (None, RewardsChange::Change) => {
                misfits.push(Misfit::at(field("reward_id"), "is no reward of this conversion; add it with `AddRewards`"));
            }
            (Some(_), _) | (None, RewardsChange::Add) => {
                new.push(ChangedReward { reward, previous: known.and_then(|known| known.amount) });
            }
        }
    }
    let added = new.iter().filter(|changed| book.rewards.find(&changed.reward.reward_id, &book.hasher).is_none()).count();
    if row.rewards.len() + added > REWARDS_MAX {
        let problem =
            format!("would make {} rewards of one conversion; at most {REWARDS_MAX} are allowed", row.rewards.len() + added);
        misfits.push(Misfit::at("rewards", problem));
    }
    if !misfits.is_empty() {
        return Err(Refusal::Invalid(misfits));
    }
    if new.is_empty() {
        return Ok(Plan::AlreadyDone(row.changed));
    }
    let (referrer, referee) = book.sides_of(row);
    let verdict = row.verdict;
    let changed = RewardsChanged { conversion_id, referrer, referee, verdict, rewards: new, change, actor, note, request, at };
    Ok(Plan::commit(Event::RewardsChanged(Box::new(changed))))
}

fn says_the_same(known: &Reward, told: &conversion::Reward) -> bool {
    known.beneficiary == Some(told.beneficiary) && known.amount == told.amount
}
