//! Journal records: events as packed bytes, and the bytes of every earlier version as events. One file for each subject. Pure. Called by
//! the journal side of the ledger and by the fold.
//!
//! A record begins with its version. What a version means is frozen by a fixture in `tests/fixtures`; a change of the format is a new
//! version beside the old one.

pub(crate) mod alone;
pub(crate) mod bundle;
mod conversion;
mod decision;
pub(crate) mod numbers;
pub(crate) mod parts;
#[cfg(test)]
mod tests;

use self::conversion::Heads;
use self::decision::Head;
use crate::book::command::CaseStep;
use crate::book::event::{
    CaseStepped, Concerned, ConversionKept, ConversionScreened, Entitlement, Event, FirstCase, HeldReferral, HoldChanged,
    KeptPayment, ListChanged, OpenedCase, OutcomeRecorded, PaidReward, RewardPaid, SignalsRecorded,
};
use crate::book::feed;
use crate::book::records::{Cursor, FeedEvent, FeedKind};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::screening::case::Step;
use crate::vocabulary::ids::{AccountId, Actor, ConversionId, InvoiceId, ProgramId, RecordId, RewardId};
use crate::vocabulary::outcome::{Outcome, OutcomeSubject};
use crate::vocabulary::time::Span;

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
}

/// An event as the bytes of a record.
pub(crate) fn encode(event: &Event) -> Vec<u8> {
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
            write_outcome(&mut w, event);
        }
        Event::CaseStepped(event) => {
            w.u8(kind::CASE_STEPPED);
            write_case(&mut w, event);
        }
        Event::RewardPaid(event) => {
            w.u8(kind::REWARD_PAID);
            write_paid(&mut w, event);
        }
        Event::HoldChanged(event) => {
            w.u8(kind::HOLD_CHANGED);
            write_hold(&mut w, event);
        }
        Event::ListChanged(ListChanged { entry, change }) => {
            w.u8(kind::LIST_CHANGED);
            w.u8(numbers::change(*change));
            parts::write_list_entry(&mut w, entry);
        }
        Event::ConversionKept(event) => {
            w.u8(kind::CONVERSION_KEPT);
            write_kept(&mut w, event);
        }
    }
    w.finish()
}

/// The event of a record's bytes, of any version.
///
/// # Errors
/// [`Damaged`] when they are not what any version writes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Event, Damaged> {
    let mut r = Reader::new(bytes);
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
        kind::OUTCOME_RECORDED => Event::OutcomeRecorded(Box::new(read_outcome(&mut r)?)),
        kind::CASE_STEPPED => Event::CaseStepped(Box::new(read_case(&mut r)?)),
        kind::REWARD_PAID => Event::RewardPaid(Box::new(read_paid(&mut r)?)),
        kind::HOLD_CHANGED => Event::HoldChanged(read_hold(&mut r)?),
        kind::LIST_CHANGED => {
            let change = numbers::read_change(r.u8()?)?;
            Event::ListChanged(ListChanged { entry: parts::read_list_entry(&mut r)?, change })
        }
        kind::CONVERSION_KEPT => Event::ConversionKept(Box::new(read_kept(&mut r)?)),
        _ => return Err(Damaged("its kind is not known")),
    };
    if r.is_empty() { Ok(event) } else { Err(Damaged("it is longer than its content")) }
}

/// What a record tells the feed, without reading more of it than that takes.
///
/// # Errors
/// As [`decode`], as far as it is read.
pub(crate) fn told(cursor: Cursor, bytes: &[u8]) -> Result<Vec<FeedEvent>, Damaged> {
    let Some(([VERSION, kind::CONVERSION_SCREENED], rest)) = bytes.split_first_chunk::<2>() else {
        return decode(bytes).map(|event| feed::events(cursor, &event));
    };
    let mut r = Reader::new(rest);
    let Heads { conversion_id, referrer, referee } = conversion::read_heads(&mut r)?;
    let head = Head::read(&mut r)?;
    Ok(vec![FeedEvent {
        cursor,
        kind: FeedKind::Decided,
        conversion_id: Some(conversion_id),
        referrer: Some(referrer),
        referee: Some(referee),
        reward_id: None,
        verdict: Some(head.verdict),
        previous_verdict: None,
        audited_model: head.audited_model().map(Into::into),
        reason_codes: head.reason_codes,
        at: head.decided_at,
    }])
}

fn write_kept(w: &mut Writer, event: &ConversionKept) {
    let ConversionKept {
        conversion_id,
        content,
        kind,
        occurred_at,
        referrer,
        referee,
        invoice_id,
        duplicate_of,
        verdict,
        cancelled_at,
        rewards,
        payments,
    } = event;
    w.text(conversion_id.as_str());
    parts::write_content(w, *content);
    w.u8(numbers::conversion_kind(*kind));
    w.time(*occurred_at);
    w.text(referrer.as_str());
    w.text(referee.as_str());
    w.option(invoice_id.as_ref(), |w, id| w.text(id.as_str()));
    w.option(duplicate_of.as_ref(), |w, id| w.text(id.as_str()));
    w.u8(numbers::verdict(*verdict));
    w.option(*cancelled_at, Writer::time);
    w.list(rewards, |w, id| w.text(id.as_str()));
    w.list(payments, |w, KeptPayment { reward_id, amount, cursor, reported }| {
        w.text(reward_id.as_str());
        w.option(*amount, parts::write_money);
        w.u64(cursor.0);
        w.u8(u8::from(*reported));
    });
}

fn read_kept(r: &mut Reader<'_>) -> Result<ConversionKept, Damaged> {
    Ok(ConversionKept {
        conversion_id: r.id(ConversionId::new)?,
        content: parts::read_content(r)?,
        kind: numbers::read_conversion_kind(r.u8()?)?,
        occurred_at: r.time()?,
        referrer: r.id(AccountId::new)?,
        referee: r.id(AccountId::new)?,
        invoice_id: r.option(|r| r.id(InvoiceId::new))?,
        duplicate_of: r.option(|r| r.id(ConversionId::new))?,
        verdict: numbers::read_verdict(r.u8()?)?,
        cancelled_at: r.option(Reader::time)?,
        rewards: r.list(|r| r.id(RewardId::new))?,
        payments: r.list(|r| {
            Ok(KeptPayment {
                reward_id: r.id(RewardId::new)?,
                amount: r.option(parts::read_money)?,
                cursor: Cursor(r.u64()?),
                reported: r.u8()? == 1,
            })
        })?,
    })
}

/// What the feed tells stands first.
fn write_screened(w: &mut Writer, event: &ConversionScreened) {
    let ConversionScreened { conversion, content, decision, received_at, case } = event;
    conversion::write_heads(w, conversion);
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
    let decision = decision::read(r)?;
    let content = parts::read_content(r)?;
    let received_at = r.time()?;
    let conversion = conversion::read(r, heads)?;
    let case =
        r.option(|r| Ok(OpenedCase { due_at: r.time()?, referrer: r.option(bundle::read)?, referee: r.option(bundle::read)? }))?;
    Ok(ConversionScreened { conversion, content, decision, received_at, case })
}

fn write_outcome(w: &mut Writer, event: &OutcomeRecorded) {
    let OutcomeRecorded { outcome, content, received_at, concerned, paid_elsewhere } = event;
    let Outcome { program_id, outcome_id, kind, subject, occurred_at, amount } = outcome;
    w.text(program_id.as_str());
    w.text(outcome_id.as_str());
    w.u8(numbers::outcome_kind(*kind));
    match subject {
        OutcomeSubject::Conversion(id) => {
            w.u8(1);
            w.text(id.as_str());
        }
        OutcomeSubject::Account(id) => {
            w.u8(2);
            w.text(id.as_str());
        }
        OutcomeSubject::Invoice { referee, invoice_id } => {
            w.u8(3);
            w.text(referee.as_str());
            w.text(invoice_id.as_str());
        }
    }
    w.time(*occurred_at);
    w.option(*amount, parts::write_money);
    parts::write_content(w, *content);
    w.time(*received_at);
    w.list(concerned, |w, Concerned { conversion_id, referrer, referee, verdict, paid }| {
        w.text(conversion_id.as_str());
        w.text(referrer.as_str());
        w.text(referee.as_str());
        w.u8(numbers::verdict(*verdict));
        w.list(paid, |w, id| w.text(id.as_str()));
    });
    w.list(paid_elsewhere, |w, PaidReward { conversion_id, referrer, referee, verdict, reward_id }| {
        w.text(conversion_id.as_str());
        w.text(referrer.as_str());
        w.text(referee.as_str());
        w.u8(numbers::verdict(*verdict));
        w.text(reward_id.as_str());
    });
}

fn read_outcome(r: &mut Reader<'_>) -> Result<OutcomeRecorded, Damaged> {
    let outcome = Outcome {
        program_id: r.id(ProgramId::new)?,
        outcome_id: r.id(RecordId::new)?,
        kind: numbers::read_outcome_kind(r.u8()?)?,
        subject: match r.u8()? {
            1 => OutcomeSubject::Conversion(r.id(ConversionId::new)?),
            2 => OutcomeSubject::Account(r.id(AccountId::new)?),
            3 => OutcomeSubject::Invoice { referee: r.id(AccountId::new)?, invoice_id: r.id(InvoiceId::new)? },
            _ => return Err(Damaged("a number stands for no subject of an outcome")),
        },
        occurred_at: r.time()?,
        amount: r.option(parts::read_money)?,
    };
    Ok(OutcomeRecorded {
        outcome,
        content: parts::read_content(r)?,
        received_at: r.time()?,
        concerned: r.list(|r| {
            Ok(Concerned {
                conversion_id: r.id(ConversionId::new)?,
                referrer: r.id(AccountId::new)?,
                referee: r.id(AccountId::new)?,
                verdict: numbers::read_verdict(r.u8()?)?,
                paid: r.list(|r| r.id(RewardId::new))?,
            })
        })?,
        paid_elsewhere: r.list(|r| {
            Ok(PaidReward {
                conversion_id: r.id(ConversionId::new)?,
                referrer: r.id(AccountId::new)?,
                referee: r.id(AccountId::new)?,
                verdict: numbers::read_verdict(r.u8()?)?,
                reward_id: r.id(RewardId::new)?,
            })
        })?,
    })
}

fn write_case(w: &mut Writer, event: &CaseStepped) {
    let CaseStepped {
        conversion_id,
        referrer,
        referee,
        step,
        actor,
        reason_code,
        note,
        at,
        previous_state,
        state,
        previous_verdict,
        verdict,
        revision,
        opened_at,
        due_at,
        reason_codes,
        paid,
        first_case,
    } = event;
    w.text(conversion_id.as_str());
    w.text(referrer.as_str());
    w.text(referee.as_str());
    write_step(w, step);
    w.text(actor.as_str());
    w.text(reason_code);
    w.text(note);
    w.time(*at);
    w.option(previous_state.as_ref(), parts::write_case_state);
    parts::write_case_state(w, state);
    w.u8(numbers::verdict(*previous_verdict));
    w.u8(numbers::verdict(*verdict));
    w.u32(*revision);
    w.time(*opened_at);
    w.time(*due_at);
    w.list(reason_codes, |w, code| w.u8(numbers::evidence_code(*code)));
    w.list(paid, |w, id| w.text(id.as_str()));
    w.option(first_case.as_ref(), |w, FirstCase { score, value, headline }| {
        w.f64(*score);
        w.option(*value, parts::write_money);
        w.text(headline);
    });
}

fn read_case(r: &mut Reader<'_>) -> Result<CaseStepped, Damaged> {
    Ok(CaseStepped {
        conversion_id: r.id(ConversionId::new)?,
        referrer: r.id(AccountId::new)?,
        referee: r.id(AccountId::new)?,
        step: read_step(r)?,
        actor: r.id(Actor::new)?,
        reason_code: r.text()?.to_owned(),
        note: r.text()?.to_owned(),
        at: r.time()?,
        previous_state: r.option(parts::read_case_state)?,
        state: parts::read_case_state(r)?,
        previous_verdict: numbers::read_verdict(r.u8()?)?,
        verdict: numbers::read_verdict(r.u8()?)?,
        revision: r.u32()?,
        opened_at: r.time()?,
        due_at: r.time()?,
        reason_codes: r.list(|r| numbers::read_evidence_code(r.u8()?))?,
        paid: r.list(|r| r.id(RewardId::new))?,
        first_case: r
            .option(|r| Ok(FirstCase { score: r.f64()?, value: r.option(parts::read_money)?, headline: r.text()?.to_owned() }))?,
    })
}

fn write_step(w: &mut Writer, step: &CaseStep) {
    match step {
        CaseStep::Note => w.u8(1),
        CaseStep::Step(Step::Claim { lease }) => {
            w.u8(2);
            w.i64(lease.as_millis());
        }
        CaseStep::Step(Step::Release) => w.u8(3),
        CaseStep::Step(Step::Resolve(resolution)) => {
            w.u8(4);
            w.u8(numbers::resolution(*resolution));
        }
        CaseStep::Step(Step::Reopen) => w.u8(5),
    }
}

fn read_step(r: &mut Reader<'_>) -> Result<CaseStep, Damaged> {
    Ok(match r.u8()? {
        1 => CaseStep::Note,
        2 => CaseStep::Step(Step::Claim { lease: Span::from_millis(r.i64()?) }),
        3 => CaseStep::Step(Step::Release),
        4 => CaseStep::Step(Step::Resolve(numbers::read_resolution(r.u8()?)?)),
        5 => CaseStep::Step(Step::Reopen),
        _ => return Err(Damaged("a number stands for no step of a case")),
    })
}

fn write_paid(w: &mut Writer, event: &RewardPaid) {
    let RewardPaid { conversion_id, referrer, referee, reward_id, paid_at, amount, received_at, verdict, entitlement } = event;
    w.text(conversion_id.as_str());
    w.text(referrer.as_str());
    w.text(referee.as_str());
    w.text(reward_id.as_str());
    w.time(*paid_at);
    w.option(*amount, parts::write_money);
    w.time(*received_at);
    w.u8(numbers::verdict(*verdict));
    w.u8(match entitlement {
        Entitlement::Standing => 1,
        Entitlement::Lost => 2,
    });
}

fn read_paid(r: &mut Reader<'_>) -> Result<RewardPaid, Damaged> {
    Ok(RewardPaid {
        conversion_id: r.id(ConversionId::new)?,
        referrer: r.id(AccountId::new)?,
        referee: r.id(AccountId::new)?,
        reward_id: r.id(RewardId::new)?,
        paid_at: r.time()?,
        amount: r.option(parts::read_money)?,
        received_at: r.time()?,
        verdict: numbers::read_verdict(r.u8()?)?,
        entitlement: match r.u8()? {
            1 => Entitlement::Standing,
            2 => Entitlement::Lost,
            _ => return Err(Damaged("a number stands for no entitlement")),
        },
    })
}

fn write_hold(w: &mut Writer, event: &HoldChanged) {
    let HoldChanged { subject, change, actor, note, at, referral } = event;
    parts::write_hold_subject(w, subject);
    w.u8(numbers::change(*change));
    w.text(actor.as_str());
    w.text(note);
    w.time(*at);
    w.option(referral.as_ref(), |w, HeldReferral { referrer, referee, verdict }| {
        w.text(referrer.as_str());
        w.text(referee.as_str());
        w.u8(numbers::verdict(*verdict));
    });
}

fn read_hold(r: &mut Reader<'_>) -> Result<HoldChanged, Damaged> {
    Ok(HoldChanged {
        subject: parts::read_hold_subject(r)?,
        change: numbers::read_change(r.u8()?)?,
        actor: r.id(Actor::new)?,
        note: r.text()?.to_owned(),
        at: r.time()?,
        referral: r.option(|r| {
            Ok(HeldReferral {
                referrer: r.id(AccountId::new)?,
                referee: r.id(AccountId::new)?,
                verdict: numbers::read_verdict(r.u8()?)?,
            })
        })?,
    })
}
