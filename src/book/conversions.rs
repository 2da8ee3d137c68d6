//! Conversions: where each stands, the counters of its referral, the purchases that a repeat is known by, and payments.

use std::sync::Arc;

use smallvec::SmallVec;

use super::accounts::{ID_BYTES, LastHold};
use super::index::{Hasher, Index};
use super::records::{ContentFingerprint, Cursor};
use super::slab::{
    AccountNumber, CaseNumber, ConversionNumber, PatternNumber, PaymentNumber, ReferralNumber, Slab, TextNumber, ValueNumber,
};
use crate::screening::decision::Verdict;
use crate::vocabulary::conversion::ConversionKind;
use crate::vocabulary::ids::{ConversionId, InvoiceId, RewardId};
use crate::vocabulary::money::Money;
use crate::vocabulary::time::Timestamp;

/// Referees kept for one pattern of one referrer.
const PATTERN_REFEREES_MAX: usize = 64;

/// Where a conversion stands.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct ConversionRow {
    pub(super) id: ConversionId,
    /// Where its record stands.
    pub(super) cursor: Cursor,
    /// The record that last changed where it stands.
    pub(super) changed: Cursor,
    pub(super) content: ContentFingerprint,
    pub(super) kind: ConversionKind,
    pub(super) occurred_at: Timestamp,
    pub(super) referrer: AccountNumber,
    pub(super) referee: AccountNumber,
    /// The conversion of the same referrer that came before.
    pub(super) before_of_referrer: Option<ConversionNumber>,
    /// The conversion of the same referee that came before.
    pub(super) before_of_referee: Option<ConversionNumber>,
    pub(super) campaign: Option<TextNumber>,
    pub(super) invoice_id: Option<InvoiceId>,
    pub(super) duplicate_of: Option<ConversionId>,
    /// The verdict in force.
    pub(super) verdict: Verdict,
    /// Whether a reviewer's acceptance is in force.
    pub(super) accepted_by_review: bool,
    pub(super) case: Option<CaseNumber>,
    /// The rewards it was reported with.
    pub(super) rewards: Arc<[RewardId]>,
    /// What most conversions never need.
    pub(super) later: Option<Arc<Later>>,
}

/// What came after the decision.
#[derive(Debug, Clone, Default, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Later {
    /// Set by an outcome on the conversion itself; a ban of a side is looked up at that side.
    pub(super) cancelled_at: Option<Timestamp>,
    /// Whether a refund or dispute was counted.
    pub(super) refunded: bool,
    pub(super) hold: Option<LastHold>,
    pub(super) payments: Vec<PaymentNumber>,
    /// The records that changed it, oldest first.
    pub(super) trail: Vec<Cursor>,
}

static NOTHING: Later = Later { cancelled_at: None, refunded: false, hold: None, payments: Vec::new(), trail: Vec::new() };

impl ConversionRow {
    pub(super) fn later(&self) -> &Later {
        self.later.as_deref().unwrap_or(&NOTHING)
    }

    pub(super) fn later_mut(&mut self) -> &mut Later {
        Arc::make_mut(self.later.get_or_insert_default())
    }

    pub(super) fn is_held(&self) -> bool {
        self.later().hold.is_some_and(|hold| hold.in_force)
    }
}

/// The counters of one referral: conversions of a referrer and a referee by where they stand, duplicates not counted.
#[derive(Debug, Clone, Copy, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Referral {
    pub(super) referrer: AccountNumber,
    pub(super) referee: AccountNumber,
    pub(super) conversions: u32,
    pub(super) rejected: u32,
    pub(super) accepted: u32,
    pub(super) refunded: u32,
}

/// Referees of a referrer whose mailboxes have one pattern.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Pattern {
    referrer: AccountNumber,
    value: ValueNumber,
    referees: SmallVec<[AccountNumber; 2]>,
}

/// A reward that was paid. The first payment of a reward is the one that counts.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct Payment {
    pub(super) reward_id: RewardId,
    pub(super) conversion: ConversionNumber,
    pub(super) amount: Option<Money>,
    pub(super) cursor: Cursor,
    /// Whether its payment for a rejected or cancelled referral was told.
    pub(super) reported: bool,
}

/// The conversions of a programme.
#[derive(Debug, Default)]
pub(super) struct Conversions {
    pub(super) rows: Slab<ConversionNumber, ConversionRow>,
    pub(super) referrals: Slab<ReferralNumber, Referral>,
    pub(super) patterns: Slab<PatternNumber, Pattern>,
    pub(super) payments: Slab<PaymentNumber, Payment>,
    by_id: Index<ConversionNumber>,
    /// The first conversion of a referee with an invoice.
    by_invoice: Index<ConversionNumber>,
    /// The last conversion of a referee of a kind without an invoice.
    without_invoice: Index<ConversionNumber>,
    by_sides: Index<ReferralNumber>,
    by_pattern: Index<PatternNumber>,
    by_reward: Index<PaymentNumber>,
}

impl Conversions {
    pub(super) fn of_rows(
        rows: Slab<ConversionNumber, ConversionRow>,
        referrals: Slab<ReferralNumber, Referral>,
        patterns: Slab<PatternNumber, Pattern>,
        payments: Slab<PaymentNumber, Payment>,
        hasher: &Hasher,
    ) -> Self {
        let mut all = Self { rows: Slab::default(), referrals, patterns, payments, ..Self::default() };
        for (number, referral) in all.referrals.iter() {
            all.by_sides.insert(hasher.hash((referral.referrer, referral.referee)), number);
        }
        for (number, pattern) in all.patterns.iter() {
            all.by_pattern.insert(hasher.hash((pattern.referrer, pattern.value)), number);
        }
        for (number, payment) in all.payments.iter() {
            all.by_reward.insert(hasher.hash(payment.reward_id.as_str()), number);
        }
        // Purchases are found in the rows themselves, which must be there while they are looked for.
        let known = rows.clone();
        all.rows = rows;
        for (number, row) in known.iter() {
            all.by_id.insert(hasher.hash(row.id.as_str()), number);
            if row.duplicate_of.is_none() {
                all.remember_purchase(number, hasher);
            }
        }
        all
    }

    pub(super) fn find(&self, id: &ConversionId, hasher: &Hasher) -> Option<ConversionNumber> {
        self.by_id.find(hasher.hash(id.as_str()), |number| self.rows.get(number).id == *id)
    }

    pub(super) fn get(&self, number: ConversionNumber) -> &ConversionRow {
        self.rows.get(number)
    }

    pub(super) fn get_mut(&mut self, number: ConversionNumber) -> &mut ConversionRow {
        self.rows.get_mut(number)
    }

    /// Adds a conversion that is not known. `None` when no number is left.
    pub(super) fn add(&mut self, row: ConversionRow, hasher: &Hasher) -> Option<ConversionNumber> {
        let hash = hasher.hash(row.id.as_str());
        let number = self.rows.push(row)?;
        self.by_id.insert(hash, number);
        Some(number)
    }

    /// Remembers what a repeat of this purchase would look like.
    pub(super) fn remember_purchase(&mut self, number: ConversionNumber, hasher: &Hasher) {
        let row = self.rows.get(number);
        let (referee, kind) = (row.referee, row.kind);
        if let Some(invoice) = row.invoice_id.clone() {
            if self.with_invoice(referee, &invoice, hasher).is_none() {
                self.by_invoice.insert(hasher.hash((referee, invoice.as_str())), number);
            }
            return;
        }
        let hash = hasher.hash((referee, kind));
        match self.last_without_invoice(referee, kind, hasher) {
            Some(before) => self.without_invoice.replace(hash, before, number),
            None => self.without_invoice.insert(hash, number),
        }
    }

    /// The first conversion of a referee with an invoice, duplicates not counted.
    pub(super) fn with_invoice(&self, referee: AccountNumber, invoice: &InvoiceId, hasher: &Hasher) -> Option<ConversionNumber> {
        self.by_invoice.find(hasher.hash((referee, invoice.as_str())), |number| {
            let row = self.rows.get(number);
            row.referee == referee && row.invoice_id.as_ref() == Some(invoice)
        })
    }

    /// The last conversion of a referee of a kind that came without an invoice, duplicates not counted.
    pub(super) fn last_without_invoice(
        &self,
        referee: AccountNumber,
        kind: ConversionKind,
        hasher: &Hasher,
    ) -> Option<ConversionNumber> {
        self.without_invoice.find(hasher.hash((referee, kind)), |number| {
            let row = self.rows.get(number);
            row.referee == referee && row.kind == kind && row.invoice_id.is_none()
        })
    }

    /// The counters of a referral, made now when there are none. `None` when no number is left.
    pub(super) fn referral_mut(
        &mut self,
        referrer: AccountNumber,
        referee: AccountNumber,
        hasher: &Hasher,
    ) -> Option<&mut Referral> {
        let hash = hasher.hash((referrer, referee));
        let is_it = |number| {
            let referral: &Referral = self.referrals.get(number);
            referral.referrer == referrer && referral.referee == referee
        };
        let number = if let Some(known) = self.by_sides.find(hash, is_it) {
            known
        } else {
            let new = Referral { referrer, referee, conversions: 0, rejected: 0, accepted: 0, refunded: 0 };
            let number = self.referrals.push(new)?;
            self.by_sides.insert(hash, number);
            number
        };
        Some(self.referrals.get_mut(number))
    }

    fn find_pattern(&self, referrer: AccountNumber, pattern: ValueNumber, hasher: &Hasher) -> Option<PatternNumber> {
        self.by_pattern.find(hasher.hash((referrer, pattern)), |number| {
            let row = self.patterns.get(number);
            row.referrer == referrer && row.value == pattern
        })
    }

    /// Referees of a referrer with a pattern.
    pub(super) fn of_pattern(&self, referrer: AccountNumber, pattern: ValueNumber, hasher: &Hasher) -> &[AccountNumber] {
        self.find_pattern(referrer, pattern, hasher).map(|number| &*self.patterns.get(number).referees).unwrap_or_default()
    }

    pub(super) fn remember_pattern(
        &mut self,
        referrer: AccountNumber,
        pattern: ValueNumber,
        referee: AccountNumber,
        hasher: &Hasher,
    ) {
        if let Some(number) = self.find_pattern(referrer, pattern, hasher) {
            let known = &self.patterns.get(number).referees;
            if !known.contains(&referee) && known.len() < PATTERN_REFEREES_MAX {
                self.patterns.get_mut(number).referees.push(referee);
            }
        } else {
            let new = Pattern { referrer, value: pattern, referees: smallvec::smallvec![referee] };
            if let Some(number) = self.patterns.push(new) {
                self.by_pattern.insert(hasher.hash((referrer, pattern)), number);
            }
        }
    }

    /// The payment of a reward.
    pub(super) fn payment_of(&self, reward: &RewardId, hasher: &Hasher) -> Option<&Payment> {
        let number = self.by_reward.find(hasher.hash(reward.as_str()), |number| self.payments.get(number).reward_id == *reward);
        number.map(|number| self.payments.get(number))
    }

    pub(super) fn add_payment(&mut self, payment: Payment, hasher: &Hasher) -> Option<PaymentNumber> {
        let hash = hasher.hash(payment.reward_id.as_str());
        let number = self.payments.push(payment)?;
        self.by_reward.insert(hash, number);
        Some(number)
    }

    /// Rewards that were paid for a conversion.
    pub(super) fn payments_of(&self, row: &ConversionRow) -> impl Iterator<Item = &Payment> {
        row.later().payments.iter().map(|number| self.payments.get(*number)).collect::<SmallVec<[_; 4]>>().into_iter()
    }

    /// Rewards that were paid and of which nobody was told that the referral is lost.
    pub(super) fn paid_unreported(&self, row: &ConversionRow) -> Vec<RewardId> {
        self.payments_of(row).filter(|paid| !paid.reported).map(|paid| paid.reward_id.clone()).collect()
    }

    /// Marks all rewards paid for a conversion as told.
    pub(super) fn report_paid(&mut self, number: ConversionNumber) {
        let later = self.rows.get(number).later.clone();
        for payment in later.iter().flat_map(|later| &later.payments) {
            self.payments.get_mut(*payment).reported = true;
        }
    }

    /// Memory that it takes. Unit: bytes. An estimate: ids are taken to be as long as a UUID.
    pub(super) fn bytes(&self) -> usize {
        let indexes = self.by_id.bytes()
            + self.by_invoice.bytes()
            + self.without_invoice.bytes()
            + self.by_sides.bytes()
            + self.by_pattern.bytes()
            + self.by_reward.bytes();
        self.rows.len() * (size_of::<ConversionRow>() + 3 * ID_BYTES)
            + self.referrals.len() * size_of::<Referral>()
            + self.patterns.len() * size_of::<Pattern>()
            + self.payments.len() * (size_of::<Payment>() + size_of::<Later>() + 16)
            + indexes
    }
}
