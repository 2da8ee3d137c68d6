//! Rewards: what each is worth, whose it is, and whether it is reserved or paid. A reward id names one reward of one conversion for ever.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::accounts::ID_BYTES;
use super::index::{Hasher, Index};
use super::records::Cursor;
use super::slab::{ConversionNumber, RewardNumber, Slab};
use crate::screening::gate::{RewardStanding, RewardState};
use crate::vocabulary::conversion::Side;
use crate::vocabulary::ids::{RequestId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Timestamp;

/// The rewards of one conversion.
pub(super) type RewardNumbers = SmallVec<[RewardNumber; 2]>;

/// A reward.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Reward {
    pub(super) id: RewardId,
    pub(super) conversion: ConversionNumber,
    /// Absent when only a payer named it.
    pub(super) beneficiary: Option<Side>,
    pub(super) amount: Option<Money>,
    /// Absent while it is neither reserved nor paid.
    payout: Option<Arc<Payout>>,
}

/// How far its payment is.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(super) enum Payout {
    Reserved(Reservation),
    Paid(Payment),
}

/// A payer is about to pay it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Reservation {
    pub(super) by: RequestId,
    pub(super) amount: Option<Money>,
    pub(super) until: Timestamp,
}

/// It was paid.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Payment {
    pub(super) amount: Option<Money>,
    pub(super) cursor: Cursor,
    /// The reservations that it, or a second payment of the same reward, settled, and the calls that told of them, as far as they were named. Empty
    /// for what outlived its record.
    pub(super) reservations: SmallVec<[RequestId; 1]>,
    pub(super) calls: SmallVec<[RequestId; 1]>,
    /// Whether its payment for a rejected or cancelled referral was told.
    pub(super) reported: bool,
}

impl Payment {
    /// A payment of which no reservation and no call is known.
    pub(super) const fn new(amount: Option<Money>, cursor: Cursor, reported: bool) -> Self {
        Self { amount, cursor, reservations: SmallVec::new_const(), calls: SmallVec::new_const(), reported }
    }
}

impl Reward {
    pub(super) const fn unpaid(
        id: RewardId,
        conversion: ConversionNumber,
        beneficiary: Option<Side>,
        amount: Option<Money>,
    ) -> Self {
        Self { id, conversion, beneficiary, amount, payout: None }
    }

    pub(super) fn payment(&self) -> Option<&Payment> {
        match self.payout.as_deref() {
            Some(Payout::Paid(payment)) => Some(payment),
            Some(Payout::Reserved(_)) | None => None,
        }
    }

    /// The reservation; it may have run out.
    pub(super) fn reservation(&self) -> Option<&Reservation> {
        match self.payout.as_deref() {
            Some(Payout::Reserved(reservation)) => Some(reservation),
            Some(Payout::Paid(_)) | None => None,
        }
    }

    fn standing(&self) -> RewardStanding {
        let state = match self.payout.as_deref() {
            None => RewardState::Unpaid,
            Some(Payout::Reserved(Reservation { by, amount, until })) => {
                RewardState::Reserved { by: by.clone(), amount: *amount, until: *until }
            }
            Some(Payout::Paid(payment)) => RewardState::Paid { amount: payment.amount },
        };
        RewardStanding { reward_id: self.id.clone(), beneficiary: self.beneficiary, amount: self.amount, state }
    }

    /// As another conversion sees it: it is not its own, and once paid it is paid.
    pub(super) fn standing_elsewhere(&self) -> RewardStanding {
        let state = match self.payment() {
            Some(payment) => RewardState::Paid { amount: payment.amount },
            None => RewardState::Elsewhere,
        };
        RewardStanding { state, ..self.standing() }
    }
}

/// The rewards of a programme.
#[derive(Debug, Default)]
pub(super) struct Rewards {
    pub(super) rows: Slab<RewardNumber, Reward>,
    by_id: Index<RewardNumber>,
    /// What is left in each reservation.
    reserved: BTreeMap<RequestId, Vec<RewardNumber>>,
}

impl Rewards {
    pub(super) fn of_rows(rows: Slab<RewardNumber, Reward>, hasher: &Hasher) -> Self {
        let (mut by_id, mut reserved) = (Index::default(), BTreeMap::<RequestId, Vec<RewardNumber>>::new());
        for (number, reward) in rows.iter() {
            by_id.insert(hasher.hash(reward.id.as_str()), number);
            if let Some(reservation) = reward.reservation() {
                reserved.entry(reservation.by.clone()).or_default().push(number);
            }
        }
        Self { rows, by_id, reserved }
    }

    pub(super) fn find(&self, id: &RewardId, hasher: &Hasher) -> Option<RewardNumber> {
        self.by_id.find(hasher.hash(id.as_str()), |number| self.rows.get(number).id == *id)
    }

    pub(super) fn known(&self, id: &RewardId, hasher: &Hasher) -> Option<&Reward> {
        self.find(id, hasher).map(|number| self.rows.get(number))
    }

    pub(super) fn get(&self, number: RewardNumber) -> &Reward {
        self.rows.get(number)
    }

    pub(super) fn get_mut(&mut self, number: RewardNumber) -> &mut Reward {
        self.rows.get_mut(number)
    }

    /// Adds a reward whose id is not known. `None` when no number is left.
    pub(super) fn add(&mut self, reward: Reward, hasher: &Hasher) -> Option<RewardNumber> {
        let hash = hasher.hash(reward.id.as_str());
        let number = self.rows.push(reward)?;
        self.by_id.insert(hash, number);
        Some(number)
    }

    /// Notes how far the payment of a reward is.
    pub(super) fn set_payout(&mut self, number: RewardNumber, payout: Option<Payout>) {
        if let Some(before) = self.get(number).reservation().map(|held| held.by.clone())
            && let Some(held) = self.reserved.get_mut(&before)
        {
            held.retain(|known| *known != number);
            if held.is_empty() {
                self.reserved.remove(&before);
            }
        }
        if let Some(Payout::Reserved(reservation)) = &payout {
            let held = self.reserved.entry(reservation.by.clone()).or_default();
            held.push(number);
            held.sort_unstable();
        }
        self.get_mut(number).payout = payout.map(Arc::new);
    }

    /// The rewards that a reservation holds; it may have run out.
    pub(super) fn reserved_by(&self, reservation: &RequestId) -> &[RewardNumber] {
        self.reserved.get(reservation).map(Vec::as_slice).unwrap_or_default()
    }

    /// Where the rewards of a conversion stand.
    pub(super) fn standings(&self, numbers: &[RewardNumber]) -> Vec<RewardStanding> {
        numbers.iter().map(|number| self.get(*number).standing()).collect()
    }

    /// Rewards that were paid and of which nobody was told that the referral is lost.
    pub(super) fn paid_unreported(&self, numbers: &[RewardNumber]) -> Vec<RewardId> {
        let rewards = numbers.iter().map(|number| self.get(*number));
        let unreported = rewards.filter(|reward| reward.payment().is_some_and(|payment| !payment.reported));
        unreported.map(|reward| reward.id.clone()).collect()
    }

    /// Marks all that was paid of these as told.
    pub(super) fn report_paid(&mut self, numbers: &[RewardNumber]) {
        for number in numbers {
            if let Some(payment) = self.get(*number).payment().filter(|payment| !payment.reported).cloned() {
                self.set_payout(*number, Some(Payout::Paid(Payment { reported: true, ..payment })));
            }
        }
    }

    /// Memory that it takes. Unit: bytes. An estimate: ids are taken to be as long as a UUID, and most rewards to be paid.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * (size_of::<Reward>() + ID_BYTES + size_of::<Payout>() + 16) + self.by_id.bytes()
    }
}
