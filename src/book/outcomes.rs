//! Outcomes: what was reported of conversions and accounts, what of it is in force, and what waits for its subject.
//!
//! The order in which outcomes arrive does not matter: what is in force follows from all of them and from when they happened.

use std::collections::BTreeMap;

use super::accounts::ID_BYTES;
use super::index::{Hasher, Index};
use super::records::Cursor;
use super::slab::{ConversionNumber, OutcomeNumber, Slab};
use crate::screening::gate::Cancelled;
use crate::vocabulary::ids::{Actor, ProgramId, RecordId};
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::{Outcome, OutcomeKind, OutcomeSubject};
use crate::vocabulary::time::Timestamp;

/// An outcome that was reported.
#[derive(Debug, Clone, Hash, serde::Serialize, serde::Deserialize)]
pub(crate) struct OutcomeRow {
    pub(super) id: RecordId,
    pub(super) kind: OutcomeKind,
    pub(super) subject: OutcomeSubject,
    pub(super) occurred_at: Timestamp,
    pub(super) received_at: Timestamp,
    pub(super) amount: Option<Money>,
    pub(super) actor: Option<Actor>,
    pub(super) note: String,
    pub(super) cursor: Cursor,
    pub(super) state: OutcomeState,
}

/// Whether an outcome counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) enum OutcomeState {
    InForce,
    /// It was taken back by the record at this place.
    Revoked(Cursor),
    /// It waited too long for its subject.
    Expired,
}

impl OutcomeRow {
    pub(super) fn of(outcome: &Outcome, received_at: Timestamp, cursor: Cursor) -> Self {
        let Outcome { program_id: _, outcome_id, kind, subject, occurred_at, amount, actor, note } = outcome.clone();
        let state = OutcomeState::InForce;
        Self { id: outcome_id, kind, subject, occurred_at, received_at, amount, actor, note, cursor, state }
    }

    pub(super) fn outcome(&self, program_id: ProgramId) -> Outcome {
        Outcome {
            program_id,
            outcome_id: self.id.clone(),
            kind: self.kind,
            subject: self.subject.clone(),
            occurred_at: self.occurred_at,
            amount: self.amount,
            actor: self.actor.clone(),
            note: self.note.clone(),
        }
    }
}

/// Through what an outcome reaches a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    /// The conversion itself, or its invoice.
    Conversion,
    /// The account that bought.
    Referee,
    /// The account whose code was used.
    Referrer,
}

impl Through {
    /// Whether it is about who bought, and not about who referred him.
    const fn bought(self) -> bool {
        match self {
            Self::Conversion | Self::Referee => true,
            Self::Referrer => false,
        }
    }
}

/// What all outcomes that reach a conversion come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// What cancels it; the earliest of several.
    pub(super) cancelled: Option<Cancelled>,
    /// What was given back of its value, when less than all, and since when.
    pub(super) refunded: Option<(Money, Timestamp)>,
    /// Whether money of this sale went back or was asked back, and not by mistake.
    pub(super) taken_back: bool,
}

/// The outcomes that stand: in force, and not answered by another.
///
/// A dispute that was won answers disputes before it: of the same conversion and of the account that bought. An account that was opened again
/// answers bans of that account before it.
pub(super) fn that_stand<'a>(reaching: &'a [(Through, &'a OutcomeRow)]) -> impl Iterator<Item = (Through, &'a OutcomeRow)> {
    let in_force = move || reaching.iter().copied().filter(|(_, row)| row.state == OutcomeState::InForce);
    in_force().filter(move |(through, row)| {
        let answer = match row.kind {
            OutcomeKind::Chargeback => OutcomeKind::DisputeWon,
            OutcomeKind::AccountBanned => OutcomeKind::AccountUnbanned,
            OutcomeKind::ChargeRefunded | OutcomeKind::SubscriptionCanceled => return true,
            OutcomeKind::DisputeWon | OutcomeKind::AccountUnbanned => return false,
        };
        let of_the_same = |way: Through| {
            if row.kind == OutcomeKind::Chargeback { way.bought() == through.bought() } else { way == *through }
        };
        !in_force().any(|(way, other)| other.kind == answer && other.occurred_at >= row.occurred_at && of_the_same(way))
    })
}

/// Adds up outcomes. A refund of a conversion with an amount gives back a part; without one, or of an account, it gives back all.
pub(super) fn effects(reaching: &[(Through, &OutcomeRow)], value: Option<Money>) -> Effects {
    let mut found = Effects::default();
    let mut back: i64 = 0;
    for (through, row) in that_stand(reaching) {
        found.taken_back |= row.kind.takes_back() && through.bought();
        let part = row.amount.zip(value).filter(|(amount, value)| {
            let comparable = amount.currency() == value.currency();
            row.kind == OutcomeKind::ChargeRefunded && through == Through::Conversion && comparable
        });
        if let Some((amount, value)) = part {
            back = back.saturating_add(amount.amount_minor());
            let since = found.refunded.map_or(row.occurred_at, |(_, at)| at.max(row.occurred_at));
            if back < value.amount_minor() {
                found.refunded = Some((value.less(value.amount_minor() - back), since));
                continue;
            }
        }
        let cancelled = Cancelled { by: row.kind, at: row.occurred_at };
        let earliest = found.cancelled.filter(|known| known.at <= cancelled.at);
        found.cancelled = Some(earliest.unwrap_or(cancelled));
    }
    if found.cancelled.is_some() {
        found.refunded = None;
    }
    found
}

/// Since when an account is banned: by the earliest ban that no later opening answers.
pub(super) fn banned_at(told: &[&OutcomeRow]) -> Option<Timestamp> {
    let in_force = || told.iter().filter(|row| row.state == OutcomeState::InForce);
    let bans = in_force().filter(|row| row.kind == OutcomeKind::AccountBanned);
    let answered =
        |ban: &&&OutcomeRow| in_force().any(|row| row.kind == OutcomeKind::AccountUnbanned && row.occurred_at >= ban.occurred_at);
    bans.filter(|ban| !answered(ban)).map(|ban| ban.occurred_at).min()
}

/// An outcome of an account with many conversions, some of which have yet to be told of in the feed. They stand as it says already.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub(super) struct Spread {
    pub(super) outcome: OutcomeNumber,
    pub(super) at: Timestamp,
    /// The newest first, so that the oldest is the next.
    pub(super) left: Vec<ConversionNumber>,
}

/// The outcomes of a programme.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    pub(super) rows: Slab<OutcomeNumber, OutcomeRow>,
    by_id: Index<OutcomeNumber>,
    /// Those that wait for their subject.
    pub(super) pending: BTreeMap<OutcomeSubject, Vec<OutcomeNumber>>,
    /// The record that last changed what waits.
    pub(super) pending_changed: Cursor,
    /// The oldest first.
    pub(super) spreads: Vec<Spread>,
}

impl Outcomes {
    pub(super) fn of_rows(
        rows: Slab<OutcomeNumber, OutcomeRow>,
        pending: Vec<OutcomeNumber>,
        pending_changed: Cursor,
        spreads: Vec<Spread>,
        hasher: &Hasher,
    ) -> Self {
        let mut by_id = Index::default();
        for (number, row) in rows.iter() {
            by_id.insert(hasher.hash(row.id.as_str()), number);
        }
        let mut all = Self { rows, by_id, pending: BTreeMap::new(), pending_changed, spreads };
        for number in pending {
            all.wait(number);
        }
        all
    }

    pub(super) fn find(&self, id: &RecordId, hasher: &Hasher) -> Option<OutcomeNumber> {
        self.by_id.find(hasher.hash(id.as_str()), |number| self.rows.get(number).id == *id)
    }

    pub(super) fn get(&self, number: OutcomeNumber) -> &OutcomeRow {
        self.rows.get(number)
    }

    pub(super) fn get_mut(&mut self, number: OutcomeNumber) -> &mut OutcomeRow {
        self.rows.get_mut(number)
    }

    /// Adds an outcome whose id is not known. `None` when no number is left.
    pub(super) fn add(&mut self, row: OutcomeRow, hasher: &Hasher) -> Option<OutcomeNumber> {
        let hash = hasher.hash(row.id.as_str());
        let number = self.rows.push(row)?;
        self.by_id.insert(hash, number);
        Some(number)
    }

    /// Keeps an outcome until its subject appears.
    pub(super) fn wait(&mut self, number: OutcomeNumber) {
        let subject = self.rows.get(number).subject.clone();
        self.pending.entry(subject).or_default().push(number);
    }

    /// Outcomes that wait, in order of their subjects.
    pub(super) fn waiting(&self) -> impl Iterator<Item = OutcomeNumber> {
        self.pending.values().flatten().copied()
    }

    /// Memory that it takes. Unit: bytes. An estimate: ids are taken to be as long as a UUID.
    pub(super) fn bytes(&self) -> usize {
        self.rows.len() * (size_of::<OutcomeRow>() + 2 * ID_BYTES) + self.by_id.bytes()
    }
}
