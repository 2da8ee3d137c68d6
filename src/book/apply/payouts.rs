//! What reservations, payments, failures, rewards and holds change.

use std::sync::Arc;

use crate::book::Book;
use crate::book::command::Change;
use crate::book::event::{
    Entitlement, HoldChanged, KeptPayment, KeptReward, PayoutFailed, ReservationChanged, RewardPaid, RewardsChanged,
    RewardsReserved,
};
use crate::book::records::{ContentFingerprint, Cursor, Hold, HoldSubject};
use crate::book::rewards::{Payment, Payout, Reservation, Reward};
use crate::book::slab::{ConversionNumber, RewardNumber};
use crate::book::{Message, MessageKind};
use crate::screening::gate::Accepts;
use crate::vocabulary::conversion;
use crate::vocabulary::ids::RewardId;

impl Book {
    /// Notes the rewards that a conversion names.
    pub(super) fn name_rewards<'r>(
        &mut self,
        number: ConversionNumber,
        rewards: impl IntoIterator<Item = &'r conversion::Reward>,
    ) -> Option<()> {
        for conversion::Reward { reward_id, beneficiary, amount } in rewards {
            let named = self.reward_numbered(number, reward_id)?;
            let reward = self.rewards.get_mut(named);
            (reward.beneficiary, reward.amount) = (Some(*beneficiary), *amount);
        }
        Some(())
    }

    /// The number of a reward of a conversion, given now when nobody named it before.
    fn reward_numbered(&mut self, conversion: ConversionNumber, id: &RewardId) -> Option<RewardNumber> {
        if let Some(known) = self.rewards.find(id, &self.hasher) {
            return Some(known);
        }
        let number = self.rewards.add(Reward::unpaid(id.clone(), conversion, None, None), &self.hasher)?;
        self.conversions.get_mut(conversion).rewards.push(number);
        Some(number)
    }

    fn stepped_on(&mut self, cursor: Cursor, number: ConversionNumber) {
        let row = self.conversions.get_mut(number);
        row.changed = cursor;
        let trail = &mut row.later_mut().trail;
        if trail.last() != Some(&cursor) {
            trail.push(cursor);
        }
    }

    pub(super) fn reserved(&mut self, cursor: Cursor, event: &RewardsReserved) -> Option<()> {
        if let Some(rechecked) = &event.rechecked {
            self.rechecked(cursor, rechecked)?;
        }
        for answer in &event.answers {
            let Some(until) = answer.reserved_until else { continue };
            let number = self.conversions.find(&answer.conversion_id, &self.hasher)?;
            let reward = self.reward_numbered(number, &answer.reward_id)?;
            let reservation = Reservation { by: event.request.id.clone(), amount: answer.amount, until };
            self.rewards.set_payout(reward, Some(Payout::Reserved(reservation)));
            self.stepped_on(cursor, number);
        }
        Some(())
    }

    pub(super) fn reservation(&mut self, cursor: Cursor, event: &ReservationChanged) -> Option<()> {
        for (conversion, reward) in &event.rewards {
            let number = self.conversions.find(conversion, &self.hasher)?;
            let reward = self.rewards.find(reward, &self.hasher)?;
            let renewed = event.until.and_then(|until| {
                let held = self.rewards.get(reward).reservation()?;
                Some(Payout::Reserved(Reservation { until, ..held.clone() }))
            });
            self.rewards.set_payout(reward, renewed);
            self.stepped_on(cursor, number);
        }
        Some(())
    }

    pub(super) fn paid(&mut self, cursor: Cursor, event: &RewardPaid) -> Option<()> {
        let number = self.conversions.find(&event.conversion_id, &self.hasher)?;
        self.stepped_on(cursor, number);
        let reward = self.reward_numbered(number, &event.reward_id)?;
        // It may be noted already with what outlived its conversion's record.
        let known = self.rewards.get(reward).payment().cloned();
        let mut payment = known.unwrap_or_else(|| {
            let reported = event.entitlement == Entitlement::Lost;
            Payment::new(event.amount, cursor, reported)
        });
        payment.reservations.extend(event.reservation_id.clone());
        payment.calls.extend(event.request.as_ref().map(|request| request.id.clone()));
        self.rewards.set_payout(reward, Some(Payout::Paid(payment)));
        Some(())
    }

    pub(super) fn failed(&mut self, cursor: Cursor, event: &PayoutFailed) -> Option<()> {
        let number = self.conversions.find(&event.conversion_id, &self.hasher)?;
        self.stepped_on(cursor, number);
        let reward = self.rewards.find(&event.reward_id, &self.hasher)?;
        let paid_later = self.rewards.get(reward).payment().is_some_and(|payment| payment.cursor > cursor);
        if !paid_later {
            self.rewards.set_payout(reward, None);
            // While it was paid, nobody looked.
            self.touch_conversion(number);
        }
        Some(())
    }

    pub(super) fn rewards_changed(&mut self, cursor: Cursor, event: &RewardsChanged) -> Option<()> {
        let number = self.conversions.find(&event.conversion_id, &self.hasher)?;
        self.stepped_on(cursor, number);
        self.conversions.get_mut(number).accepts = Accepts::Named;
        self.name_rewards(number, event.rewards.iter().map(|changed| &changed.reward))
    }

    /// Notes rewards that outlived the record of their conversion.
    pub(super) fn keep_rewards(&mut self, number: ConversionNumber, rewards: &[KeptReward]) -> Option<()> {
        for KeptReward { reward_id, beneficiary, amount, payment } in rewards {
            let numbered = self.reward_numbered(number, reward_id)?;
            let reward = self.rewards.get_mut(numbered);
            (reward.beneficiary, reward.amount) = (*beneficiary, *amount);
            if let Some(payment) = payment {
                let KeptPayment { amount, cursor, reported } = *payment;
                self.rewards.set_payout(numbered, Some(Payout::Paid(Payment::new(amount, cursor, reported))));
            }
        }
        Some(())
    }

    pub(super) fn hold(&mut self, cursor: Cursor, event: &HoldChanged) -> Option<()> {
        let HoldChanged { hold_id, subject, change, actor, note, at, referral: _, request: _ } = event;
        let step = |holds: u32| match change {
            Change::Place => holds + 1,
            Change::Lift => holds.saturating_sub(1),
        };
        match subject {
            HoldSubject::Conversion(id) => {
                let number = self.conversions.find(id, &self.hasher)?;
                self.stepped_on(cursor, number);
                let later = self.conversions.get_mut(number).later_mut();
                later.holds = step(later.holds);
            }
            HoldSubject::Referrer(id) => {
                let number = self.enrol(id)?;
                let account = self.accounts.get_mut(number);
                account.changed = cursor;
                let referring = account.referring_mut();
                referring.holds = step(referring.holds);
                referring.trail.push(cursor);
            }
        }
        let holds = Arc::make_mut(&mut self.holds);
        match change {
            Change::Place => {
                let (hold_id, subject, actor, note) = (hold_id.clone(), subject.clone(), actor.clone(), note.clone());
                let hold = Hold { hold_id: hold_id.clone(), subject, actor, note, placed_at: *at };
                holds.insert(hold_id, (hold, cursor));
            }
            Change::Lift => {
                holds.remove(hold_id);
                let (kind, id) = (MessageKind::LiftedHold, Arc::from(hold_id.as_str()));
                self.messages.add(Message { kind, id, content: ContentFingerprint([0; 16]), cursor }, &self.hasher);
            }
        }
        self.holds_changed = cursor;
        Some(())
    }
}
