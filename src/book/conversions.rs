//! Conversions: where each stands, the counters of its referral, the purchases that a repeat is known by, and the outcomes on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use super::accounts::ID_BYTES;
use super::index::{Hasher, Index};
use super::records::{ContentFingerprint, Cursor};
use super::rewards::RewardNumbers;
use super::slab::{
    AccountNumber, CaseNumber, ConversionNumber, OutcomeNumber, PatternNumber, ReferralNumber, Slab, TextNumber, ValueNumber,
};
use crate::screening::decision::Verdict;
use crate::screening::gate::{Accepts, Cancelled};
use crate::screening::history::DUPLICATE_WINDOW;
use crate::vocabulary::conversion::{Conversion, ConversionKind};
use crate::vocabulary::ids::{ConversionId, InvoiceId};
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
    pub(super) received_at: Timestamp,
    pub(super) value: Option<Money>,
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
    /// What the machine said last, with what was known then.
    pub(super) machine: Verdict,
    /// Who has it.
    pub(super) hands: Hands,
    /// Whether a reviewer's acceptance is in force.
    pub(super) accepted_by_review: bool,
    pub(super) case: Option<CaseNumber>,
    /// Which rewards it may be paid for.
    pub(super) accepts: Accepts,
    /// The rewards that are known.
    pub(super) rewards: RewardNumbers,
    /// What most conversions never need.
    pub(super) later: Option<Arc<Later>>,
}

/// Who has a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) enum Hands {
    /// The machine: what it says of everything that is known is the verdict.
    Machine,
    /// A person resolved or reopened it.
    Person,
}

/// What a conversion was for: two of one occasion may be one that was sent twice. An invoice that was paid and its charge are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Occasion {
    Signup,
    Demo,
    Purchase,
}

impl Occasion {
    const fn of(kind: ConversionKind) -> Self {
        match kind {
            ConversionKind::NewSignup => Self::Signup,
            ConversionKind::DemoAttended => Self::Demo,
            ConversionKind::InvoicePaid | ConversionKind::ChargeSucceeded => Self::Purchase,
        }
    }
}

/// The window of time that an instant lies in.
const fn moment(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(DUPLICATE_WINDOW.as_millis())
}

/// What came after the decision.
#[derive(Debug, Clone, Default, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Later {
    /// Outcomes on the conversion itself; those of its sides are looked up there.
    pub(super) outcomes: Vec<OutcomeNumber>,
    /// What cancelled it, of outcomes whose records are removed.
    pub(super) kept_cancelled: Option<Cancelled>,
    /// Whether a refund or dispute is counted.
    pub(super) taken_back: bool,
    /// Holds in force on it.
    pub(super) holds: u32,
    /// The records that changed it, oldest first.
    pub(super) trail: Vec<Cursor>,
}

static NOTHING: Later = Later { outcomes: Vec::new(), kept_cancelled: None, taken_back: false, holds: 0, trail: Vec::new() };

impl ConversionRow {
    pub(super) fn later(&self) -> &Later {
        self.later.as_deref().unwrap_or(&NOTHING)
    }

    pub(super) fn later_mut(&mut self) -> &mut Later {
        Arc::make_mut(self.later.get_or_insert_default())
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

/// The conversions of a programme.
#[derive(Debug, Default)]
pub(super) struct Conversions {
    pub(super) rows: Slab<ConversionNumber, ConversionRow>,
    pub(super) referrals: Slab<ReferralNumber, Referral>,
    pub(super) patterns: Slab<PatternNumber, Pattern>,
    by_id: Index<ConversionNumber>,
    /// The first conversion of a referee with an invoice.
    by_invoice: Index<ConversionNumber>,
    /// The conversions of a referee by when they happened.
    by_moment: Index<ConversionNumber>,
    /// The first sign-up of a referee.
    by_signup: Index<ConversionNumber>,
    by_sides: Index<ReferralNumber>,
    by_pattern: Index<PatternNumber>,
}

impl Conversions {
    pub(super) fn of_rows(
        rows: Slab<ConversionNumber, ConversionRow>,
        referrals: Slab<ReferralNumber, Referral>,
        patterns: Slab<PatternNumber, Pattern>,
        hasher: &Hasher,
    ) -> Self {
        let mut all = Self { rows: Slab::default(), referrals, patterns, ..Self::default() };
        for (number, referral) in all.referrals.iter() {
            all.by_sides.insert(hasher.hash((referral.referrer, referral.referee)), number);
        }
        for (number, pattern) in all.patterns.iter() {
            all.by_pattern.insert(hasher.hash((pattern.referrer, pattern.value)), number);
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
        let (referee, kind, at) = (row.referee, row.kind, row.occurred_at);
        if let Some(invoice) = row.invoice_id.clone()
            && self.with_invoice(referee, &invoice, hasher).is_none()
        {
            self.by_invoice.insert(hasher.hash((referee, invoice.as_str())), number);
        }
        self.by_moment.insert(hasher.hash((referee, Occasion::of(kind), moment(at))), number);
        if kind == ConversionKind::NewSignup && self.signup_of(referee, None, hasher).is_none() {
            self.by_signup.insert(hasher.hash(referee), number);
        }
    }

    /// The sign-up of a referee, duplicates not counted, among the conversions that came before one.
    pub(super) fn signup_of(
        &self,
        referee: AccountNumber,
        before: Option<ConversionNumber>,
        hasher: &Hasher,
    ) -> Option<ConversionNumber> {
        self.by_signup.find(hasher.hash(referee), |number| {
            self.rows.get(number).referee == referee && before.is_none_or(|before| number < before)
        })
    }

    /// A conversion of a referee on the same occasion that happened within the window of a moment, duplicates not counted, and of which nothing says
    /// that it was another one: two invoices or two amounts do. Among those that came before one.
    pub(super) fn looks_like(
        &self,
        referee: AccountNumber,
        sent: &Conversion,
        before: Option<ConversionNumber>,
        hasher: &Hasher,
    ) -> Option<ConversionNumber> {
        let occasion = Occasion::of(sent.kind);
        let differ = |ours: bool, theirs: bool, same: bool| ours && theirs && !same;
        let is_it = |number: ConversionNumber| {
            let row = self.rows.get(number);
            let other_invoice = differ(sent.invoice_id.is_some(), row.invoice_id.is_some(), sent.invoice_id == row.invoice_id);
            let other_amount = differ(sent.value.is_some(), row.value.is_some(), sent.value == row.value);
            row.referee == referee
                && Occasion::of(row.kind) == occasion
                && before.is_none_or(|before| number < before)
                && sent.occurred_at.since(row.occurred_at).abs() <= DUPLICATE_WINDOW
                && !other_invoice
                && !other_amount
        };
        let here = moment(sent.occurred_at);
        let found = |moment: i64| self.by_moment.find(hasher.hash((referee, occasion, moment)), is_it);
        [here - 1, here, here + 1].into_iter().filter_map(found).min()
    }

    /// The first conversion of a referee with an invoice, duplicates not counted.
    pub(super) fn with_invoice(&self, referee: AccountNumber, invoice: &InvoiceId, hasher: &Hasher) -> Option<ConversionNumber> {
        self.by_invoice.find(hasher.hash((referee, invoice.as_str())), |number| {
            let row = self.rows.get(number);
            row.referee == referee && row.invoice_id.as_ref() == Some(invoice)
        })
    }

    /// The counters of a referral; `None` when it has none.
    pub(super) fn referral(&self, referrer: AccountNumber, referee: AccountNumber, hasher: &Hasher) -> Option<&Referral> {
        let is_it = |number| {
            let referral: &Referral = self.referrals.get(number);
            referral.referrer == referrer && referral.referee == referee
        };
        self.by_sides.find(hasher.hash((referrer, referee)), is_it).map(|number| self.referrals.get(number))
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

    /// Referees with patterns that turned out to be another name of one that is known too.
    pub(super) fn move_patterns(&mut self, moved: &BTreeMap<ValueNumber, ValueNumber>, hasher: &Hasher) {
        if moved.is_empty() {
            return;
        }
        let of_moved = |(number, row): (PatternNumber, &Pattern)| {
            moved.get(&row.value).map(|to| (number, row.referrer, row.value, *to, row.referees.clone()))
        };
        for (number, referrer, from, to, referees) in self.patterns.iter().filter_map(of_moved).collect::<Vec<_>>() {
            for referee in referees {
                self.remember_pattern(referrer, to, referee, hasher);
            }
            self.by_pattern.remove(hasher.hash((referrer, from)), number);
            self.patterns.get_mut(number).referees.clear();
        }
    }

    /// Notes that a referee of a referrer has a pattern. Returns the others who had it before, if that is new of this one.
    pub(super) fn remember_pattern(
        &mut self,
        referrer: AccountNumber,
        pattern: ValueNumber,
        referee: AccountNumber,
        hasher: &Hasher,
    ) -> SmallVec<[AccountNumber; 2]> {
        if let Some(number) = self.find_pattern(referrer, pattern, hasher) {
            let known = &self.patterns.get(number).referees;
            if !known.contains(&referee) && known.len() < PATTERN_REFEREES_MAX {
                let before = known.clone();
                self.patterns.get_mut(number).referees.push(referee);
                return before;
            }
        } else {
            let new = Pattern { referrer, value: pattern, referees: smallvec::smallvec![referee] };
            if let Some(number) = self.patterns.push(new) {
                self.by_pattern.insert(hasher.hash((referrer, pattern)), number);
            }
        }
        SmallVec::new()
    }

    /// Memory that it takes. Unit: bytes. An estimate: ids are taken to be as long as a UUID.
    pub(super) fn bytes(&self) -> usize {
        let indexes = self.by_id.bytes()
            + self.by_invoice.bytes()
            + self.by_moment.bytes()
            + self.by_signup.bytes()
            + self.by_sides.bytes()
            + self.by_pattern.bytes();
        self.rows.len() * (size_of::<ConversionRow>() + 2 * ID_BYTES)
            + self.referrals.len() * size_of::<Referral>()
            + self.patterns.len() * size_of::<Pattern>()
            + indexes
    }
}
