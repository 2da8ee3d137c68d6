//! Listings: the review queue in every order, its numbers, holds and list entries. Long ones are taken in pieces, so that whoever keeps the book
//! need not stand still: each piece goes on from a place that stays valid while things change.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::Book;
use super::cases::{Case, Opened};
use super::outcomes::{Effects, OutcomeRow};
use super::query::{CaseFilter, CaseOrder, CaseStateKind, Page, PageRequest, PageToken};
use super::records::{CaseSummary, Cursor, Hold, ListEntry, ListSubject, PendingOutcome, QueueStats};
use super::refusal::Refusal;
use super::slab::CaseNumber;
use crate::screening::case::CaseState;
use crate::screening::evidence::EvidenceCode;
use crate::screening::gate::cancelled_under;
use crate::screening::history::{Identifier, IdentifierKind, ListKind};
use crate::screening::policy::PayoutPolicy;
use crate::vocabulary::digest::{Digest, KeyId};
use crate::vocabulary::ids::{AccountId, ConversionId, HoldId, ProgramId};
use crate::vocabulary::time::Timestamp;

/// Cases that are looked at in one piece: well below a millisecond.
const PIECE_CASES: usize = 512;

/// Whether a listing is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Another piece is to be taken.
    More,
    /// Everything was seen.
    Finished,
}

/// Entries of a page, held to what is allowed.
#[must_use]
pub fn page_size(page: &PageRequest) -> usize {
    page.size.clamp(1, 500)
}

/// A token: the letter of the listing, and the key of the last entry.
#[must_use]
pub fn token(listing: char, key: &[u8]) -> PageToken {
    PageToken(format!("{listing}{}", hex::encode(key)))
}

/// The key in a token of this listing.
///
/// # Errors
/// [`Refusal::PageToken`] when it is another's.
pub fn key_of(listing: char, token: &PageToken) -> Result<Vec<u8>, Refusal> {
    let key = token.0.strip_prefix(listing).and_then(|text| hex::decode(text).ok());
    key.ok_or(Refusal::PageToken)
}

/// Which cases are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Undecided,
    Resolved,
}

/// A listing of cases on its way.
#[derive(Debug)]
pub struct CaseListing {
    filter: CaseFilter,
    order: CaseOrder,
    payout: PayoutPolicy,
    now: Timestamp,
    size: usize,
    after: Option<Vec<u8>>,
    parts: Vec<Part>,
    /// Where the walk along the first part goes on.
    past: Option<Opened>,
    /// The first cases found, in the order asked for: at most one more than the page.
    found: BTreeMap<Vec<u8>, CaseSummary>,
    total: u64,
    /// Decided cases grow for ever: in the order of opening they are walked only as far as the page goes, and not counted.
    along: Option<Along>,
    changed: Cursor,
}

/// In which direction decided cases are walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along {
    OldestFirst,
    NewestFirst,
}

impl CaseListing {
    /// Begins.
    ///
    /// # Errors
    /// [`Refusal::PageToken`] for the token of another listing.
    pub fn begin(
        filter: &CaseFilter,
        order: CaseOrder,
        page: &PageRequest,
        payout: PayoutPolicy,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let parts = parts_of(filter);
        let along = match (&*parts, order) {
            ([Part::Resolved], CaseOrder::OldestFirst) => Some(Along::OldestFirst),
            ([Part::Resolved], CaseOrder::NewestFirst) => Some(Along::NewestFirst),
            _ => None,
        };
        let after = page.after.as_ref().map(|token| key_of(letter(order, along), token)).transpose()?;
        let past = match (along, &after) {
            (Some(_), Some(key)) => Some(opened_of(key)?),
            (None, _) | (_, None) => None,
        };
        Ok(Self {
            filter: filter.clone(),
            order,
            payout,
            now,
            size: page_size(page),
            after,
            parts,
            past,
            found: BTreeMap::new(),
            total: 0,
            along,
            changed: Cursor(0),
        })
    }

    /// Takes the next piece.
    pub fn advance(&mut self, book: &Book) -> Progress {
        self.changed = self.changed.max(book.cases.changed);
        let Some(part) = self.parts.first() else { return Progress::Finished };
        let cases = match part {
            Part::Undecided => book.cases.undecided(),
            Part::Resolved => book.cases.resolved(),
        };
        let past = self.past.clone();
        let bound = past.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let walked: Vec<(&Opened, &CaseNumber)> = if self.along == Some(Along::NewestFirst) {
            cases.range::<Opened, _>((Bound::Unbounded, bound)).rev().take(PIECE_CASES).collect()
        } else {
            cases.range::<Opened, _>((bound, Bound::Unbounded)).take(PIECE_CASES).collect()
        };
        for (opened, number) in &walked {
            self.past = Some((*opened).clone());
            self.look_at(book, book.cases.rows.get(**number));
            if self.along.is_some() && self.found.len() > self.size {
                self.parts.clear();
                return Progress::Finished;
            }
        }
        if walked.len() < PIECE_CASES {
            self.parts.remove(0);
            self.past = None;
        }
        if self.parts.is_empty() { Progress::Finished } else { Progress::More }
    }

    fn look_at(&mut self, book: &Book, case: &Case) {
        // A decided case whose record is removed is not listed, and what is cancelled needs no reviewer.
        if book.conversions.get(case.conversion).cursor < book.floor || book.needs_nobody(case, &self.payout) {
            return;
        }
        let summary = book.line_of(case, self.now);
        if !passes(&self.filter, &summary) {
            return;
        }
        self.total += 1;
        let place = self.place_of(&summary);
        if self.along.is_some() || self.after.as_ref().is_none_or(|after| place > *after) {
            self.found.insert(place, summary);
            if self.found.len() > self.size + 1 {
                self.found.pop_last();
            }
        }
    }

    /// Where a case stands in the listing: first by what it is ordered by, then by opening time and conversion.
    fn place_of(&self, case: &CaseSummary) -> Vec<u8> {
        let opened = millis(case.opened_at);
        let first = match (self.along, self.order) {
            (Some(Along::OldestFirst), _) | (None, CaseOrder::OldestFirst) => opened,
            (Some(Along::NewestFirst), _) => {
                let mut place = (u64::MAX - opened).to_be_bytes().to_vec();
                // The same instant is walked backwards too.
                place.extend(case.conversion_id.as_str().bytes().map(|byte| u8::MAX - byte));
                place.push(u8::MAX);
                return place;
            }
            (None, CaseOrder::NewestFirst) => u64::MAX - opened,
            // The bits of numbers that are not negative are ordered as the numbers are.
            (None, CaseOrder::ScoreHighestFirst) => u64::MAX - case.score.max(0.0).to_bits(),
            (None, CaseOrder::DueFirst) => millis(case.due_at),
            (None, CaseOrder::ExpectedLossFirst) => u64::MAX - case.expected_loss().to_bits(),
        };
        let mut place = Vec::with_capacity(64);
        if self.order == CaseOrder::ExpectedLossFirst {
            // What is overdue leads; where no amount is known, the score tells.
            place.push(u8::from(case.due_at >= self.now));
            place.extend_from_slice(&first.to_be_bytes());
            place.extend_from_slice(&(u64::MAX - case.score.max(0.0).to_bits()).to_be_bytes());
        } else {
            place.extend_from_slice(&first.to_be_bytes());
        }
        place.extend_from_slice(&opened_key(case.opened_at, &case.conversion_id));
        place
    }

    /// The page, and the newest record that it is made of.
    #[must_use]
    pub fn finish(mut self) -> (Page<CaseSummary>, Cursor) {
        let mut next = None;
        if self.found.len() > self.size {
            self.found.pop_last();
            next = self.found.last_key_value().map(|(place, case)| {
                let key = if self.along.is_some() { opened_key(case.opened_at, &case.conversion_id) } else { place.clone() };
                token(letter(self.order, self.along), &key)
            });
        }
        let total = if self.along.is_some() { None } else { Some(self.total) };
        (Page { entries: self.found.into_values().collect(), next, total }, self.changed)
    }
}

/// The queue's numbers on their way.
#[derive(Debug)]
pub struct QueueCount {
    payout: PayoutPolicy,
    now: Timestamp,
    past: Option<Opened>,
    stats: QueueStats,
    by_first_reason: BTreeMap<EvidenceCode, u64>,
    changed: Cursor,
}

impl QueueCount {
    /// Begins.
    #[must_use]
    pub fn begin(payout: PayoutPolicy, now: Timestamp) -> Self {
        Self { payout, now, past: None, stats: QueueStats::default(), by_first_reason: BTreeMap::new(), changed: Cursor(0) }
    }

    /// Takes the next piece.
    pub fn advance(&mut self, book: &Book) -> Progress {
        self.changed = self.changed.max(book.cases.changed);
        self.stats.resolved = book.cases.resolved().len() as u64;
        let Self { payout, now, past, stats, by_first_reason, changed: _ } = self;
        book.next_waiting(past, payout, |case| {
            match case.state.at(*now) {
                CaseState::Open => stats.open += 1,
                CaseState::Claimed { .. } => stats.claimed += 1,
                CaseState::Resolved { .. } => {}
            }
            stats.overdue += u64::from(case.due_at < *now);
            let oldest = stats.oldest_opened_at.map_or(case.opened_at, |at| at.min(case.opened_at));
            stats.oldest_opened_at = Some(oldest);
            if let Some(code) = case.reason_codes.first() {
                *by_first_reason.entry(*code).or_default() += 1;
            }
        })
    }

    /// The numbers, and the newest record that they are made of.
    #[must_use]
    pub fn finish(mut self) -> (QueueStats, Cursor) {
        self.stats.by_first_reason = self.by_first_reason.into_iter().collect();
        self.stats.by_first_reason.sort_by(|(code_a, a), (code_b, b)| b.cmp(a).then(code_a.cmp(code_b)));
        (self.stats, self.changed)
    }
}

impl Book {
    /// Looks at the next piece of what waits for a reviewer, in the order of opening, after a place that it moves on.
    pub(super) fn next_waiting(&self, past: &mut Option<Opened>, policy: &PayoutPolicy, mut look: impl FnMut(&Case)) -> Progress {
        let from = past.clone();
        let bound = from.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut walked = 0;
        for (opened, number) in self.cases.undecided().range::<Opened, _>((bound, Bound::Unbounded)).take(PIECE_CASES) {
            walked += 1;
            *past = Some(opened.clone());
            let case = self.cases.rows.get(*number);
            if !self.needs_nobody(case, policy) {
                look(case);
            }
        }
        if walked < PIECE_CASES { Progress::Finished } else { Progress::More }
    }

    /// Whether an undecided case has left the queue: an outcome cancelled its conversion.
    pub(super) fn needs_nobody(&self, case: &Case, policy: &PayoutPolicy) -> bool {
        if !case.is_undecided() {
            return false;
        }
        let row = self.conversions.get(case.conversion);
        let Effects { cancelled, refunded, taken_back: _ } = self.effects_on(row);
        cancelled_under(cancelled, refunded, row.value, policy).is_some()
    }

    /// Holds in force, ordered by id, with the newest record that the page is made of.
    ///
    /// # Errors
    /// [`Refusal::PageToken`] for the token of another listing.
    pub fn holds(&self, page: &PageRequest) -> Result<(Page<Hold>, Cursor), Refusal> {
        let id_of = |key: Vec<u8>| String::from_utf8(key).ok().and_then(|id| HoldId::new(&id).ok()).ok_or(Refusal::PageToken);
        let after = page.after.as_ref().map(|token| key_of('h', token).and_then(id_of)).transpose()?;
        let bound = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self.holds.range::<HoldId, _>((bound, Bound::Unbounded)).map(|(_, (hold, _))| hold.clone());
        Ok((one_page(entries, page, |hold| token('h', hold.hold_id.as_str().as_bytes())), self.holds_changed))
    }

    /// Outcomes that wait for their subject, ordered by id, with the newest record that the page is made of.
    ///
    /// # Errors
    /// [`Refusal::PageToken`] for the token of another listing.
    pub fn pending(&self, program: &ProgramId, page: &PageRequest) -> Result<(Page<PendingOutcome>, Cursor), Refusal> {
        let after = page.after.as_ref().map(|token| key_of('p', token)).transpose()?;
        let waiting = self.outcomes.waiting().map(|number| self.outcomes.get(number));
        let mut waiting: Vec<&OutcomeRow> =
            waiting.filter(|row| after.as_ref().is_none_or(|after| row.id.as_str().as_bytes() > after.as_slice())).collect();
        waiting.sort_by(|a, b| a.id.cmp(&b.id));
        let pending = |row: &OutcomeRow| PendingOutcome { outcome: row.outcome(program.clone()), received_at: row.received_at };
        let entries = waiting.into_iter().map(pending);
        let of = |pending: &PendingOutcome| token('p', pending.outcome.outcome_id.as_str().as_bytes());
        Ok((one_page(entries, page, of), self.outcomes.pending_changed))
    }

    /// List entries, ordered by list and subject, with the newest record that the page is made of.
    ///
    /// # Errors
    /// [`Refusal::PageToken`] for the token of another listing.
    pub fn list_entries(&self, list: Option<ListKind>, page: &PageRequest) -> Result<(Page<ListEntry>, Cursor), Refusal> {
        let after = page.after.as_ref().map(|token| key_of('l', token).and_then(|key| list_subject(&key))).transpose()?;
        let bound = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let entries = self
            .lists
            .range::<(ListKind, ListSubject), _>((bound, Bound::Unbounded))
            .filter(|((of, _), _)| list.is_none_or(|list| *of == list))
            .map(|(_, (entry, _))| entry.clone());
        Ok((one_page(entries, page, |entry| token('l', &list_key(entry))), self.lists_changed))
    }
}

fn one_page<T>(entries: impl Iterator<Item = T>, page: &PageRequest, token_of: impl Fn(&T) -> PageToken) -> Page<T> {
    let size = page_size(page);
    let mut entries: Vec<T> = entries.take(size + 1).collect();
    let more = entries.len() > size;
    entries.truncate(size);
    let next = entries.last().filter(|_| more).map(token_of);
    Page { entries, next, total: None }
}

const fn letter(order: CaseOrder, along: Option<Along>) -> char {
    match (along, order) {
        (Some(Along::OldestFirst), _) => 'r',
        (Some(Along::NewestFirst), _) => 'q',
        (None, CaseOrder::OldestFirst) => 'o',
        (None, CaseOrder::NewestFirst) => 'n',
        (None, CaseOrder::ScoreHighestFirst) => 's',
        (None, CaseOrder::DueFirst) => 'd',
        (None, CaseOrder::ExpectedLossFirst) => 'e',
    }
}

fn parts_of(filter: &CaseFilter) -> Vec<Part> {
    let asks = |kinds: &[CaseStateKind]| filter.states.is_empty() || filter.states.iter().any(|kind| kinds.contains(kind));
    let mut parts = Vec::with_capacity(2);
    if asks(&[CaseStateKind::Open, CaseStateKind::Claimed]) {
        parts.push(Part::Undecided);
    }
    // A running lease is never on a resolved case.
    if asks(&[CaseStateKind::Resolved]) && filter.claimed_by.is_none() {
        parts.push(Part::Resolved);
    }
    parts
}

const fn kind_of(state: &CaseState) -> CaseStateKind {
    match state {
        CaseState::Open => CaseStateKind::Open,
        CaseState::Claimed { .. } => CaseStateKind::Claimed,
        CaseState::Resolved { .. } => CaseStateKind::Resolved,
    }
}

fn passes(filter: &CaseFilter, case: &CaseSummary) -> bool {
    let CaseFilter { states, opened_until, opened_from, score_min, score_max, reason, referrer, claimed_by, at_stake_minor_min } =
        filter;
    let claimant = match &case.state {
        CaseState::Claimed { by, .. } => Some(by),
        CaseState::Open | CaseState::Resolved { .. } => None,
    };
    (states.is_empty() || states.contains(&kind_of(&case.state)))
        && opened_until.is_none_or(|limit| case.opened_at <= limit)
        && opened_from.is_none_or(|limit| case.opened_at >= limit)
        && score_min.is_none_or(|limit| case.score >= limit)
        && score_max.is_none_or(|limit| case.score <= limit)
        && reason.is_none_or(|code| case.reason_codes.contains(&code))
        && referrer.as_ref().is_none_or(|id| case.referrer == *id)
        && claimed_by.as_ref().is_none_or(|by| claimant == Some(by))
        && (*at_stake_minor_min <= 0 || case.at_stake.iter().any(|money| money.amount_minor() >= *at_stake_minor_min))
}

// What tokens say, as bytes.

#[expect(clippy::cast_sign_loss, reason = "times are positive")]
const fn millis(at: Timestamp) -> u64 {
    at.as_millis() as u64
}

fn opened_key(opened_at: Timestamp, conversion: &ConversionId) -> Vec<u8> {
    [&millis(opened_at).to_be_bytes(), conversion.as_str().as_bytes()].concat()
}

fn text_of(bytes: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(bytes).map_err(|_| Refusal::PageToken)
}

fn opened_of(key: &[u8]) -> Result<Opened, Refusal> {
    let (millis, id) = key.split_first_chunk::<8>().ok_or(Refusal::PageToken)?;
    let opened_at = i64::try_from(u64::from_be_bytes(*millis)).ok().and_then(|millis| Timestamp::from_millis(millis).ok());
    let id = ConversionId::new(text_of(id)?).map_err(|_| Refusal::PageToken)?;
    Ok((opened_at.ok_or(Refusal::PageToken)?, id))
}

const fn list_number(list: ListKind) -> u8 {
    match list {
        ListKind::Blocked => 1,
        ListKind::Trusted => 2,
    }
}

fn list_key(entry: &ListEntry) -> Vec<u8> {
    let mut key = vec![list_number(entry.list)];
    match &entry.subject {
        ListSubject::Account(id) => {
            key.push(0);
            key.extend_from_slice(id.as_str().as_bytes());
        }
        ListSubject::Identifier(Identifier { kind, digest }) => {
            key.push(*kind as u8);
            key.extend_from_slice(&digest.value);
            key.extend_from_slice(digest.key_id.as_bytes());
        }
    }
    key
}

fn list_subject(key: &[u8]) -> Result<(ListKind, ListSubject), Refusal> {
    let ([list, kind], rest) = key.split_first_chunk::<2>().ok_or(Refusal::PageToken)?;
    let list = [ListKind::Blocked, ListKind::Trusted].into_iter().find(|known| list_number(*known) == *list);
    let subject = if *kind == 0 {
        ListSubject::Account(AccountId::new(text_of(rest)?).map_err(|_| Refusal::PageToken)?)
    } else {
        let kind = IdentifierKind::ALL.into_iter().find(|known| *known as u8 == *kind).ok_or(Refusal::PageToken)?;
        let (value, key_id) = rest.split_first_chunk::<32>().ok_or(Refusal::PageToken)?;
        let key_id = KeyId::new(text_of(key_id)?).map_err(|_| Refusal::PageToken)?;
        ListSubject::Identifier(Identifier { kind, digest: Digest { value: *value, key_id } })
    };
    Ok((list.ok_or(Refusal::PageToken)?, subject))
}
