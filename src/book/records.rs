//! What a book keeps and shows: recorded decisions, cases, feed events, holds, list entries. Pure data.

use super::account_file::AccountConversion;
use super::cursor::FeedCursor;
use crate::screening::case::{CaseState, Resolution};
use crate::screening::decision::{Decision, Verdict};
use crate::screening::evidence::EvidenceCode;
use crate::screening::gate::{GateAnswer, GateReason, Standing};
use crate::screening::history::{Identifier, IdentifierKind, ListKind};
use crate::vocabulary::bundle::SignalBundle;
use crate::vocabulary::conversion::{Conversion, Side};
use crate::vocabulary::ids::{AccountId, Actor, CaseId, ConversionId, HoldId, RecordId, RewardId};
use crate::vocabulary::label::Label;
use crate::vocabulary::money::Money;
use crate::vocabulary::outcome::{Outcome, OutcomeKind};
use crate::vocabulary::time::Timestamp;

/// A position in a programme's journal and feed. Starts at 1; 0 stands before everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Cursor(pub u64);

/// A fingerprint of a message's content: equal content, equal fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ContentFingerprint(pub [u8; 16]);

/// Whether the answer was made now or long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Freshness {
    /// The message was new.
    New,
    /// The same message was answered before; this is that answer.
    Replayed,
}

/// A decision with where it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRecord {
    /// The conversion as it was screened.
    pub conversion: Conversion,
    /// What screening decided. Never changes.
    pub decision: Decision,
    /// The verdict in force: screening's, until a reviewer's replaces it.
    pub verdict: Verdict,
    /// What the gate sees.
    pub standing: Standing,
    /// Its case; absent when it never had one.
    pub case_id: Option<CaseId>,
    /// Where it stands in the feed.
    pub cursor: FeedCursor,
}

/// A line of the review queue.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseSummary {
    /// The case.
    pub case_id: CaseId,
    /// Its conversion.
    pub conversion_id: ConversionId,
    /// The referrer.
    pub referrer: AccountId,
    /// The referee.
    pub referee: AccountId,
    /// Where it stands; a lease that has run out counts as open.
    pub state: CaseState,
    /// How often it changed; a step may insist on it.
    pub revision: u32,
    /// When it was opened, or reopened last.
    pub opened_at: Timestamp,
    /// After this it is overdue.
    pub due_at: Timestamp,
    /// Screening's score. Range: [0, 1].
    pub score: f64,
    /// What the conversion paid; absent when nothing.
    pub value: Option<Money>,
    /// What of its rewards is not paid yet, less what was given back of the purchase; one amount for each currency. Rewards of unknown amount are not
    /// in it.
    pub at_stake: Vec<Money>,
    /// The codes of screening's reasons: what decided first, then the largest contribution. At most 8.
    pub reason_codes: Vec<EvidenceCode>,
    /// The first reason's sentence; empty when there is none.
    pub headline: String,
}

impl CaseSummary {
    /// What paying it out would lose on average: the score times what is at stake. Unit: whole units of the currencies, taken at par; 0 where no
    /// amount is known.
    #[must_use]
    pub fn expected_loss(&self) -> f64 {
        // Nothing at all adds up to 0, and not to -0, which would come first where numbers are compared by their bits.
        self.score.max(0.0) * self.at_stake.iter().fold(0.0, |sum, money| sum + money.major())
    }
}

/// What happened to a case or a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HistoryKind {
    /// It was screened.
    Screened,
    /// The case was opened.
    Opened,
    /// A reviewer claimed it.
    Claimed,
    /// A reviewer gave it back.
    Released,
    /// A reviewer decided.
    Resolved,
    /// It was reopened.
    Reopened,
    /// Somebody wrote a note.
    Noted,
    /// A hold was put on it.
    HoldPlaced,
    /// A hold was lifted.
    HoldLifted,
    /// An outcome was reported.
    OutcomeRecorded,
    /// An outcome was taken back.
    OutcomeRevoked,
    /// A payer reserved a reward, or renewed its reservation.
    Reserved,
    /// A reservation was ended.
    ReservationCancelled,
    /// A reward was paid.
    Paid,
    /// A payment did not reach its beneficiary: the reward is unpaid again.
    PayoutFailed,
    /// Rewards were added or changed.
    RewardsChanged,
    /// Something that was learned after the decision changed the verdict.
    Reassessed,
    /// That it is accepted waits for a second identity.
    Proposed,
    /// A second identity confirmed what was proposed.
    Confirmed,
}

/// A line of the history of a conversion and its case. Never changed, never removed before retention.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// What happened.
    pub kind: HistoryKind,
    /// Who did it; absent when the service itself did.
    pub actor: Option<Actor>,
    /// When.
    pub at: Timestamp,
    /// Why, as a code of the reviewer's choosing; empty when none was given.
    pub reason_code: String,
    /// Why, in words; empty when none were given.
    pub note: String,
    /// The state or verdict before, in words; empty when there was none.
    pub previous: String,
    /// The state or verdict after, in words.
    pub new: String,
}

/// Other accounts on a value of one of the sides.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbour {
    /// The shared value.
    pub identifier: Identifier,
    /// Whose value it is; both when the sides share it.
    pub sides: Vec<Side>,
    /// Accounts on it, beside the two sides.
    pub accounts_count: u32,
    /// Some of them, in order. At most 10.
    pub accounts: Vec<AccountId>,
    /// How many of those shown stand rejected or banned.
    pub rejected_count: u32,
    /// One of how many strangers in this programme has it. At least 1.
    pub one_of_strangers: f64,
}

/// Everything about a case.
#[derive(Debug, Clone, PartialEq)]
pub struct CaseFile {
    /// Its line in the queue.
    pub summary: CaseSummary,
    /// The decision and the conversion.
    pub record: DecisionRecord,
    /// What the machine would say now, of everything that is known.
    pub now: Decision,
    /// The referrer as known when the case was screened: message and profile merged.
    pub referrer: SignalBundle,
    /// The referee as known when the case was screened.
    pub referee: SignalBundle,
    /// What happened to it, oldest first.
    pub history: Vec<HistoryEntry>,
    /// Other accounts on the sides' values, the rarest value first. At most 20.
    pub neighbours: Vec<Neighbour>,
    /// The referrer's other conversions, newest first, and what became of them. At most 20.
    pub others_of_referrer: Vec<AccountConversion>,
}

/// What a feed event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeedKind {
    /// Screening decided.
    Decided,
    /// A reviewer decided.
    CaseResolved,
    /// A case was reopened: what was released and is unpaid is held again.
    CaseReopened,
    /// An outcome or a ban cancelled what was unpaid.
    Cancelled,
    /// A hold was put on the referral or the referrer.
    HoldPlaced,
    /// A hold was lifted.
    HoldLifted,
    /// A reward was paid.
    Paid,
    /// A referral was rejected or cancelled after a reward was paid. Nothing is clawed back.
    RejectedAfterPayment,
    /// Part of the value was given back: less may be paid.
    Reduced,
    /// What cancelled it was reversed.
    Reinstated,
    /// A payment failed: the reward is unpaid again.
    PayoutFailed,
    /// Rewards were added or changed.
    RewardsChanged,
    /// Something that was learned after the decision changed the verdict.
    Reassessed,
}

/// One event of the feed, at least once, in order within a programme.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedEvent {
    /// Where it stands. Several events of one journal record share a cursor and come together.
    pub cursor: FeedCursor,
    /// What it tells.
    pub kind: FeedKind,
    /// The conversion; absent when the event is about a referrer.
    pub conversion_id: Option<ConversionId>,
    /// The referrer.
    pub referrer: Option<AccountId>,
    /// The referee; absent when the event is about a referrer.
    pub referee: Option<AccountId>,
    /// The reward; absent unless the event is about one.
    pub reward_id: Option<RewardId>,
    /// The verdict in force after it; absent when the event is about a referrer.
    pub verdict: Option<Verdict>,
    /// The verdict before it; absent when there was none.
    pub previous_verdict: Option<Verdict>,
    /// The model whose reject went to review for its label; absent unless the event is such a decision. Not for the reward pipeline.
    pub audited_model: Option<Box<str>>,
    /// What the gate said against a payment that was made all the same; absent when nothing.
    pub against_gate: Option<GateReason>,
    /// The codes of the reasons: what decided first, then the largest contribution.
    pub reason_codes: Vec<EvidenceCode>,
    /// When it was recorded here; what it is about may have happened earlier.
    pub at: Timestamp,
}

/// What a hold or a list entry is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum HoldSubject {
    /// One referral: all rewards of the conversion.
    Conversion(ConversionId),
    /// A referrer: all rewards of all of his referrals.
    Referrer(AccountId),
}

/// A hold in force.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hold {
    /// Its id.
    pub hold_id: HoldId,
    /// On what.
    pub subject: HoldSubject,
    /// Who put it there.
    pub actor: Actor,
    /// Why.
    pub note: String,
    /// Since when.
    pub placed_at: Timestamp,
}

/// What stands on a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum ListSubject {
    /// An account.
    Account(AccountId),
    /// A value.
    Identifier(Identifier),
}

/// An entry of the block or trust list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ListEntry {
    /// Which list.
    pub list: ListKind,
    /// What.
    pub subject: ListSubject,
    /// Who put it there.
    pub actor: Actor,
    /// Why.
    pub note: String,
    /// Since when.
    pub placed_at: Timestamp,
    /// Until when; absent when for ever.
    pub expires_at: Option<Timestamp>,
}

/// The queue in numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueueStats {
    /// Cases that wait.
    pub open: u64,
    /// Cases with a running lease.
    pub claimed: u64,
    /// Cases that were decided.
    pub resolved: u64,
    /// Open or claimed cases past their due time.
    pub overdue: u64,
    /// When the oldest undecided case was opened; absent when there is none.
    pub oldest_opened_at: Option<Timestamp>,
    /// Undecided cases by their first reason, the most frequent first.
    pub by_first_reason: Vec<(EvidenceCode, u64)>,
}

/// A conversion with what became known of it: the row that training reads.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledConversion {
    /// The decision and the conversion.
    pub record: DecisionRecord,
    /// The labels, oldest first. Empty when the truth is not known.
    pub labels: Vec<Label>,
    /// How a reviewer resolved it last; absent when none did.
    pub resolution: Option<Resolution>,
    /// Outcomes, oldest first.
    pub outcomes: Vec<(OutcomeKind, Timestamp)>,
    /// What was learned of any account since the conversion before, oldest first.
    pub signals_before: Vec<RecordedSignals>,
    /// What the machine said of it later, oldest first.
    pub later_verdicts: Vec<LaterVerdict>,
}

/// What the machine said of a conversion when it looked at it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaterVerdict {
    /// The verdict in force from then on.
    pub verdict: Verdict,
    /// What the machine said.
    pub machine: Verdict,
    /// When.
    pub at: Timestamp,
}

/// Signals that were recorded outside a conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedSignals {
    /// The caller's id of the message.
    pub record_id: RecordId,
    /// The bundles, one for each account.
    pub bundles: Vec<SignalBundle>,
    /// When it arrived.
    pub observed_at: Timestamp,
}

/// A message beside conversions that was taken once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TakenMessage {
    /// Signals of accounts.
    Signals(RecordedSignals),
    /// What happened later.
    Outcome(Outcome),
}

/// A kind of value in a reviewer's words, for headings.
#[must_use]
pub const fn identifier_words(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::EmailExact => "e-mail address",
        IdentifierKind::Mailbox => "mailbox",
        IdentifierKind::LocalPart => "name before the @",
        IdentifierKind::Domain => "e-mail domain",
        IdentifierKind::Name => "person's name",
        IdentifierKind::Device => "device",
        IdentifierKind::Browser => "browser",
        IdentifierKind::Address => "network address",
        IdentifierKind::Prefix => "network",
        IdentifierKind::Payment => "payment instrument",
    }
}

/// The answer to a conversion.
#[derive(Debug, Clone, PartialEq)]
pub struct Screened {
    /// The decision as it was committed, with where it stands now.
    pub record: Box<DecisionRecord>,
    /// Whether it was made now.
    pub freshness: Freshness,
}

/// What became of one reward that a payer wanted to reserve.
#[derive(Debug, Clone, PartialEq)]
pub struct ReserveAnswer {
    /// The reward.
    pub reward_id: RewardId,
    /// The conversion.
    pub conversion_id: ConversionId,
    /// What the gate said at that moment; the reward is reserved if it released it.
    pub gate: GateAnswer,
    /// When the reservation ends by itself; absent when it is not reserved.
    pub reserved_until: Option<Timestamp>,
    /// What was reserved; absent when it is not, or the amount is not known.
    pub amount: Option<Money>,
}

/// What is told of a payment that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidAnswer {
    /// How much; absent when not known.
    pub amount: Option<Money>,
    /// What the gate said against it; absent when it was reserved or released.
    pub against_gate: Option<GateReason>,
}

/// What is told of an outcome that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeAnswer {
    /// What it is about is known.
    Applied,
    /// What it is about is not known yet: it is applied when that appears.
    Pending,
}

/// An outcome that waits for what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingOutcome {
    /// The outcome.
    pub outcome: Outcome,
    /// When it was received.
    pub received_at: Timestamp,
}

/// What is told of a hold that was placed or lifted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldAnswer {
    /// The hold.
    pub hold: Hold,
    /// Holds that are in force on its subject by now.
    pub holds_left: u32,
}
