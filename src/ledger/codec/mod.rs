//! Journal records: events as packed bytes, and the bytes of every earlier version as events. One file for each subject. Pure. Called by
//! the journal side of the ledger and by the fold.
//!
//! A record begins with its version. What a version means is frozen by a fixture in `tests/fixtures`; a change of the format is a new
//! version beside the old one.

mod acts;
pub(crate) mod alone;
pub(crate) mod bundle;
mod cases;
mod conversion;
mod decision;
mod directory;
#[cfg(test)]
mod fuzz_tests;
mod intake;
mod models;
pub(crate) mod numbers;
mod outcomes;
pub(crate) mod parts;
mod payouts;
mod recheck;
mod rekeying;
mod terms;
#[cfg(test)]
mod tests;
mod trail;

use self::conversion::Heads;
use self::decision::Head;
use crate::book::cursor::FeedCursor;
use crate::book::event::{ConversionScreened, Event, ListChanged, OpenedCase, SignalsRecorded};
use crate::book::feed;
use crate::book::records::{FeedEvent, FeedKind};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::ports::journal::Rewritten;
use crate::vocabulary::ids::{Actor, RecordId};

/// The version that is written.
pub(crate) const VERSION: u8 = 1;

/// What a record is. The numbers are stored.
mod kind {
    pub(crate) const CONVERSION_SCREENED: u8 = 1;
    pub(crate) const SIGNALS_RECORDED: u8 = 2;
    pub(crate) const OUTCOME_RECORDED: u8 = 3;
    pub(crate) const CASE_STEPPED: u8 = 4;
    pub(crate) const REWARD_PAID: u8 = 5;
    pub(crate) const HOLD_CHANGED: u8 = 6;
    pub(crate) const LIST_CHANGED: u8 = 7;
    pub(crate) const CONVERSION_KEPT: u8 = 8;
    pub(crate) const OUTCOME_REVOKED: u8 = 9;
    pub(crate) const OUTCOME_SPREAD: u8 = 10;
    pub(crate) const PENDING_EXPIRED: u8 = 11;
    pub(crate) const REWARDS_RESERVED: u8 = 12;
    pub(crate) const RESERVATION_CHANGED: u8 = 13;
    pub(crate) const PAYOUT_FAILED: u8 = 14;
    pub(crate) const REWARDS_CHANGED: u8 = 15;
    pub(crate) const RECHECKED: u8 = 16;
    pub(crate) const MODELS_CHANGED: u8 = 17;
    pub(crate) const AUDIT_KEY_MADE: u8 = 18;
    pub(crate) const BREAKER_TRIPPED: u8 = 19;
    pub(crate) const DIRECTORY_CHANGED: u8 = 20;
    pub(crate) const ACT_PROPOSED: u8 = 21;
    pub(crate) const ACT_CONFIRMED: u8 = 22;
    pub(crate) const ACT_DROPPED: u8 = 23;
    pub(crate) const CASES_STEPPED: u8 = 24;
    pub(crate) const TERMS_CHANGED: u8 = 40;
    pub(crate) const VALUES_REKEYED: u8 = 41;
    pub(crate) const SOURCE_EVENT_TAKEN: u8 = 50;
    pub(crate) const LOOKED: u8 = 25;
    pub(crate) const ACCOUNT_ERASED: u8 = 26;
    pub(crate) const ERASURE_FINISHED: u8 = 27;
    pub(crate) const TRAIL_KEPT: u8 = 28;
}

/// An event as the bytes of a record that says who made it, where the event itself does not.
pub(crate) fn encode_by(event: &Event, by: Option<&Actor>) -> Vec<u8> {
    let mut w = write(event);
    if let Some(actor) = by.filter(|_| event.actor().is_none()) {
        w.text(actor.as_str());
    }
    w.finish()
}

/// An event as the bytes of a record.
pub(crate) fn encode(event: &Event) -> Vec<u8> {
    write(event).finish()
}

fn write(event: &Event) -> Writer {
    let mut w = Writer::with_capacity(2048);
    w.u8(VERSION);
    match event {
        Event::ConversionScreened(event) => {
            w.u8(kind::CONVERSION_SCREENED);
            write_screened(&mut w, event);
        }
        Event::SignalsRecorded(event) => {
            w.u8(kind::SIGNALS_RECORDED);
            let SignalsRecorded { record_id, content, bundles, received_at } = event;
            w.text(record_id.as_str());
            parts::write_content(&mut w, *content);
            w.time(*received_at);
            w.list(bundles, bundle::write);
        }
        Event::OutcomeRecorded(event) => {
            w.u8(kind::OUTCOME_RECORDED);
            outcomes::write_recorded(&mut w, event);
        }
        Event::CaseStepped(event) => {
            w.u8(kind::CASE_STEPPED);
            cases::write(&mut w, event);
        }
        Event::CasesStepped(event) => {
            w.u8(kind::CASES_STEPPED);
            cases::write_several(&mut w, event);
        }
        Event::RewardPaid(event) => {
            w.u8(kind::REWARD_PAID);
            payouts::write_paid(&mut w, event);
        }
        Event::HoldChanged(event) => {
            w.u8(kind::HOLD_CHANGED);
            payouts::write_hold(&mut w, event);
        }
        Event::ListChanged(ListChanged { entry, change, request }) => {
            w.u8(kind::LIST_CHANGED);
            w.u8(numbers::change(*change));
            parts::write_list_entry(&mut w, entry);
            w.option(request.as_ref(), payouts::write_request);
        }
        Event::OutcomeRevoked(event) => {
            w.u8(kind::OUTCOME_REVOKED);
            outcomes::write_revoked(&mut w, event);
        }
        Event::OutcomeSpread(event) => {
            w.u8(kind::OUTCOME_SPREAD);
            outcomes::write_spread(&mut w, event);
        }
        Event::PendingExpired(event) => {
            w.u8(kind::PENDING_EXPIRED);
            outcomes::write_expired(&mut w, event);
        }
        Event::Rechecked(event) => {
            w.u8(kind::RECHECKED);
            recheck::write(&mut w, event);
        }
        Event::RewardsReserved(event) => {
            w.u8(kind::REWARDS_RESERVED);
            payouts::write_reserved(&mut w, event);
        }
        Event::ReservationChanged(event) => {
            w.u8(kind::RESERVATION_CHANGED);
            payouts::write_reservation(&mut w, event);
        }
        Event::PayoutFailed(event) => {
            w.u8(kind::PAYOUT_FAILED);
            payouts::write_failed(&mut w, event);
        }
        Event::RewardsChanged(event) => {
            w.u8(kind::REWARDS_CHANGED);
            payouts::write_rewards(&mut w, event);
        }
        Event::ModelsChanged(event) => {
            w.u8(kind::MODELS_CHANGED);
            models::write_changed(&mut w, event);
        }
        Event::TermsChanged(event) => {
            w.u8(kind::TERMS_CHANGED);
            terms::write_changed(&mut w, event);
        }
        Event::ValuesRekeyed(event) => {
            w.u8(kind::VALUES_REKEYED);
            rekeying::write(&mut w, event);
        }
        Event::AuditKeyMade(event) => {
            w.u8(kind::AUDIT_KEY_MADE);
            models::write_key(&mut w, event);
        }
        Event::DirectoryChanged(event) => {
            w.u8(kind::DIRECTORY_CHANGED);
            directory::write(&mut w, event);
        }
        Event::Looked(event) => {
            w.u8(kind::LOOKED);
            trail::write_looked(&mut w, event);
        }
        Event::AccountErased(event) => {
            w.u8(kind::ACCOUNT_ERASED);
            trail::write_erased(&mut w, event);
        }
        Event::ErasureFinished(event) => {
            w.u8(kind::ERASURE_FINISHED);
            trail::write_finished(&mut w, event);
        }
        Event::TrailKept(event) => {
            w.u8(kind::TRAIL_KEPT);
            trail::write_kept(&mut w, event);
        }
        Event::ActProposed(event) => {
            w.u8(kind::ACT_PROPOSED);
            acts::write_proposed(&mut w, event);
        }
        Event::ActConfirmed(event) => {
            w.u8(kind::ACT_CONFIRMED);
            acts::write_confirmed(&mut w, event);
        }
        Event::ActDropped(event) => {
            w.u8(kind::ACT_DROPPED);
            acts::write_dropped(&mut w, event);
        }
        Event::SourceEventTaken(event) => {
            w.u8(kind::SOURCE_EVENT_TAKEN);
            intake::write(&mut w, event);
        }
        Event::BreakerTripped(event) => {
            w.u8(kind::BREAKER_TRIPPED);
            models::write_tripped(&mut w, event);
        }
        Event::ConversionKept(event) => {
            w.u8(kind::CONVERSION_KEPT);
            payouts::write_kept(&mut w, event);
        }
    }
    w
}

/// The event of a record's bytes, of any version.
///
/// # Errors
/// [`Damaged`] when they are not what any version writes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Event, Damaged> {
    decode_by(bytes).map(|(event, _)| event)
}

/// The event of a record's bytes, of any version, with who made it where only the record says so.
///
/// # Errors
/// As [`decode`].
pub(crate) fn decode_by(bytes: &[u8]) -> Result<(Event, Option<Actor>), Damaged> {
    let mut r = Reader::new(Rewritten::content(bytes));
    match r.u8()? {
        VERSION => {}
        _ => return Err(Damaged("its version is newer than this build")),
    }
    let event = match r.u8()? {
        kind::CONVERSION_SCREENED => Event::ConversionScreened(Box::new(read_screened(&mut r)?)),
        kind::SIGNALS_RECORDED => Event::SignalsRecorded(SignalsRecorded {
            record_id: r.id(RecordId::new)?,
            content: parts::read_content(&mut r)?,
            received_at: r.time()?,
            bundles: r.list(bundle::read)?,
        }),
        kind::OUTCOME_RECORDED => Event::OutcomeRecorded(Box::new(outcomes::read_recorded(&mut r)?)),
        kind::CASE_STEPPED => Event::CaseStepped(Box::new(cases::read(&mut r)?)),
        kind::CASES_STEPPED => Event::CasesStepped(Box::new(cases::read_several(&mut r)?)),
        kind::REWARD_PAID => Event::RewardPaid(Box::new(payouts::read_paid(&mut r)?)),
        kind::HOLD_CHANGED => Event::HoldChanged(payouts::read_hold(&mut r)?),
        kind::LIST_CHANGED => {
            let change = numbers::read_change(r.u8()?)?;
            let entry = parts::read_list_entry(&mut r)?;
            Event::ListChanged(ListChanged { entry, change, request: r.option(payouts::read_request)? })
        }
        kind::OUTCOME_REVOKED => Event::OutcomeRevoked(Box::new(outcomes::read_revoked(&mut r)?)),
        kind::OUTCOME_SPREAD => Event::OutcomeSpread(outcomes::read_spread(&mut r)?),
        kind::PENDING_EXPIRED => Event::PendingExpired(outcomes::read_expired(&mut r)?),
        kind::RECHECKED => Event::Rechecked(Box::new(recheck::read(&mut r)?)),
        kind::REWARDS_RESERVED => Event::RewardsReserved(Box::new(payouts::read_reserved(&mut r)?)),
        kind::RESERVATION_CHANGED => Event::ReservationChanged(Box::new(payouts::read_reservation(&mut r)?)),
        kind::PAYOUT_FAILED => Event::PayoutFailed(Box::new(payouts::read_failed(&mut r)?)),
        kind::REWARDS_CHANGED => Event::RewardsChanged(Box::new(payouts::read_rewards(&mut r)?)),
        kind::MODELS_CHANGED => Event::ModelsChanged(Box::new(models::read_changed(&mut r)?)),
        kind::TERMS_CHANGED => Event::TermsChanged(Box::new(terms::read_changed(&mut r)?)),
        kind::VALUES_REKEYED => Event::ValuesRekeyed(Box::new(rekeying::read(&mut r)?)),
        kind::AUDIT_KEY_MADE => Event::AuditKeyMade(models::read_key(&mut r)?),
        kind::DIRECTORY_CHANGED => Event::DirectoryChanged(Box::new(directory::read(&mut r)?)),
        kind::LOOKED => Event::Looked(Box::new(trail::read_looked(&mut r)?)),
        kind::ACCOUNT_ERASED => Event::AccountErased(trail::read_erased(&mut r)?),
        kind::ERASURE_FINISHED => Event::ErasureFinished(Box::new(trail::read_finished(&mut r)?)),
        kind::TRAIL_KEPT => Event::TrailKept(Box::new(trail::read_kept(&mut r)?)),
        kind::ACT_PROPOSED => Event::ActProposed(Box::new(acts::read_proposed(&mut r)?)),
        kind::ACT_CONFIRMED => Event::ActConfirmed(Box::new(acts::read_confirmed(&mut r)?)),
        kind::ACT_DROPPED => Event::ActDropped(acts::read_dropped(&mut r)?),
        kind::SOURCE_EVENT_TAKEN => Event::SourceEventTaken(Box::new(intake::read(&mut r)?)),
        kind::BREAKER_TRIPPED => Event::BreakerTripped(models::read_tripped(&mut r)?),
        kind::CONVERSION_KEPT => Event::ConversionKept(Box::new(payouts::read_kept(&mut r)?)),
        _ => return Err(Damaged("its kind is not known")),
    };
    let by = if r.is_empty() || event.actor().is_some() { None } else { Some(r.id(Actor::new)?) };
    if r.is_empty() { Ok((event, by)) } else { Err(Damaged("it is longer than its content")) }
}

/// What a record tells the feed, without reading more of it than that takes.
///
/// # Errors
/// As [`decode`], as far as it is read.
pub(crate) fn told(cursor: FeedCursor, bytes: &[u8]) -> Result<Vec<FeedEvent>, Damaged> {
    let bytes = Rewritten::content(bytes);
    let Some(([VERSION, kind::CONVERSION_SCREENED], rest)) = bytes.split_first_chunk::<2>() else {
        return decode(bytes).map(|event| feed::events(cursor, &event));
    };
    let mut r = Reader::new(rest);
    let Heads { conversion_id, referrer, referee } = conversion::read_heads(&mut r)?;
    let came_before = numbers::read_effect(r.u8()?)?;
    let repeated = r.option(outcomes::read_concerned)?;
    let head = Head::read(&mut r)?;
    let decided = FeedEvent {
        cursor,
        kind: FeedKind::Decided,
        conversion_id: Some(conversion_id),
        referrer: Some(referrer),
        referee: Some(referee),
        reward_id: None,
        verdict: Some(head.verdict),
        previous_verdict: None,
        audited_model: head.audited_model().map(Into::into),
        against_gate: None,
        reason_codes: head.reason_codes,
        at: head.decided_at,
    };
    Ok(feed::with_what_came_before(decided, came_before, repeated.as_ref()))
}

/// What the feed tells stands first.
fn write_screened(w: &mut Writer, event: &ConversionScreened) {
    let ConversionScreened { conversion, content, decision, received_at, case, came_before, repeated } = event;
    conversion::write_heads(w, conversion);
    w.u8(numbers::effect(*came_before));
    w.option(repeated.as_ref(), outcomes::write_concerned);
    decision::write(w, decision);
    parts::write_content(w, *content);
    w.time(*received_at);
    conversion::write(w, conversion);
    w.option(case.as_ref(), |w, OpenedCase { due_at, referrer, referee }| {
        w.time(*due_at);
        w.option(referrer.as_ref(), bundle::write);
        w.option(referee.as_ref(), bundle::write);
    });
}

fn read_screened(r: &mut Reader<'_>) -> Result<ConversionScreened, Damaged> {
    let heads = conversion::read_heads(r)?;
    let came_before = numbers::read_effect(r.u8()?)?;
    let repeated = r.option(outcomes::read_concerned)?;
    let decision = decision::read(r)?;
    let content = parts::read_content(r)?;
    let received_at = r.time()?;
    let conversion = conversion::read(r, heads)?;
    let case =
        r.option(|r| Ok(OpenedCase { due_at: r.time()?, referrer: r.option(bundle::read)?, referee: r.option(bundle::read)? }))?;
    Ok(ConversionScreened { conversion, content, decision, received_at, case, came_before, repeated })
}

/// What is done with the bytes of a disk, for fuzzers: they are refused, or an event that comes back.
#[cfg(fuzzing)]
pub fn fuzz_record(bytes: &[u8]) {
    drop(told(FeedCursor { place: crate::book::records::Cursor(7), mark: crate::book::cursor::ChainMark([9; 8]) }, bytes));
    if let Ok(event) = decode(bytes) {
        assert_eq!(decode(&encode(&event)), Ok(event));
    }
}
