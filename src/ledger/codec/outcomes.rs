//! Records of outcomes: reported, taken back, spread over an account, given up.

use super::numbers;
use super::parts;
use super::payouts::{read_request, write_request};
use crate::book::event::{Concerned, OutcomeRecorded, OutcomeRevoked, OutcomeSpread, PendingExpired};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::ids::{AccountId, Actor, ConversionId, InvoiceId, ProgramId, RecordId, RewardId};
use crate::vocabulary::outcome::{Outcome, OutcomeSubject};

pub(super) fn write_recorded(w: &mut Writer, event: &OutcomeRecorded) {
    let OutcomeRecorded { outcome, content, received_at, on_account, concerned } = event;
    write_outcome(w, outcome);
    parts::write_content(w, *content);
    w.time(*received_at);
    w.u8(numbers::effect(*on_account));
    w.list(concerned, write_concerned);
}

pub(super) fn write_outcome(w: &mut Writer, outcome: &Outcome) {
    let Outcome { program_id, outcome_id, kind, subject, occurred_at, amount, actor, note } = outcome;
    w.text(program_id.as_str());
    w.text(outcome_id.as_str());
    w.u8(numbers::outcome_kind(*kind));
    write_subject(w, subject);
    w.time(*occurred_at);
    w.option(*amount, parts::write_money);
    w.option(actor.as_ref(), |w, actor| w.text(actor.as_str()));
    w.text(note);
}

pub(super) fn read_outcome(r: &mut Reader<'_>) -> Result<Outcome, Damaged> {
    Ok(Outcome {
        program_id: r.id(ProgramId::new)?,
        outcome_id: r.id(RecordId::new)?,
        kind: numbers::read_outcome_kind(r.u8()?)?,
        subject: read_subject(r)?,
        occurred_at: r.time()?,
        amount: r.option(parts::read_money)?,
        actor: r.option(|r| r.id(Actor::new))?,
        note: r.text()?.to_owned(),
    })
}

pub(super) fn read_recorded(r: &mut Reader<'_>) -> Result<OutcomeRecorded, Damaged> {
    let outcome = read_outcome(r)?;
    let content = parts::read_content(r)?;
    let (received_at, on_account) = (r.time()?, numbers::read_effect(r.u8()?)?);
    Ok(OutcomeRecorded { outcome, content, received_at, on_account, concerned: r.list(read_concerned)? })
}

pub(super) fn write_revoked(w: &mut Writer, event: &OutcomeRevoked) {
    let OutcomeRevoked { outcome_id, kind, subject, actor, reason_code, note, request, at, on_account, concerned } = event;
    w.text(outcome_id.as_str());
    w.u8(numbers::outcome_kind(*kind));
    write_subject(w, subject);
    w.text(actor.as_str());
    w.text(reason_code);
    w.text(note);
    w.option(request.as_ref(), write_request);
    w.time(*at);
    w.u8(numbers::effect(*on_account));
    w.list(concerned, write_concerned);
}

pub(super) fn read_revoked(r: &mut Reader<'_>) -> Result<OutcomeRevoked, Damaged> {
    Ok(OutcomeRevoked {
        outcome_id: r.id(RecordId::new)?,
        kind: numbers::read_outcome_kind(r.u8()?)?,
        subject: read_subject(r)?,
        actor: r.id(Actor::new)?,
        reason_code: r.text()?.to_owned(),
        note: r.text()?.to_owned(),
        request: r.option(read_request)?,
        at: r.time()?,
        on_account: numbers::read_effect(r.u8()?)?,
        concerned: r.list(read_concerned)?,
    })
}

pub(super) fn write_spread(w: &mut Writer, event: &OutcomeSpread) {
    let OutcomeSpread { outcome_id, at, concerned } = event;
    w.text(outcome_id.as_str());
    w.time(*at);
    w.list(concerned, write_concerned);
}

pub(super) fn read_spread(r: &mut Reader<'_>) -> Result<OutcomeSpread, Damaged> {
    Ok(OutcomeSpread { outcome_id: r.id(RecordId::new)?, at: r.time()?, concerned: r.list(read_concerned)? })
}

pub(super) fn write_expired(w: &mut Writer, event: &PendingExpired) {
    let PendingExpired { outcome_ids, at } = event;
    w.list(outcome_ids, |w, id| w.text(id.as_str()));
    w.time(*at);
}

pub(super) fn read_expired(r: &mut Reader<'_>) -> Result<PendingExpired, Damaged> {
    Ok(PendingExpired { outcome_ids: r.list(|r| r.id(RecordId::new))?, at: r.time()? })
}

fn write_subject(w: &mut Writer, subject: &OutcomeSubject) {
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
}

fn read_subject(r: &mut Reader<'_>) -> Result<OutcomeSubject, Damaged> {
    Ok(match r.u8()? {
        1 => OutcomeSubject::Conversion(r.id(ConversionId::new)?),
        2 => OutcomeSubject::Account(r.id(AccountId::new)?),
        3 => OutcomeSubject::Invoice { referee: r.id(AccountId::new)?, invoice_id: r.id(InvoiceId::new)? },
        _ => return Err(Damaged("a number stands for no subject of an outcome")),
    })
}

pub(super) fn write_concerned(w: &mut Writer, one: &Concerned) {
    let Concerned { conversion_id, referrer, referee, verdict, effect, paid } = one;
    w.text(conversion_id.as_str());
    w.text(referrer.as_str());
    w.text(referee.as_str());
    w.u8(numbers::verdict(*verdict));
    w.u8(numbers::effect(*effect));
    w.list(paid, |w, id| w.text(id.as_str()));
}

pub(super) fn read_concerned(r: &mut Reader<'_>) -> Result<Concerned, Damaged> {
    Ok(Concerned {
        conversion_id: r.id(ConversionId::new)?,
        referrer: r.id(AccountId::new)?,
        referee: r.id(AccountId::new)?,
        verdict: numbers::read_verdict(r.u8()?)?,
        effect: numbers::read_effect(r.u8()?)?,
        paid: r.list(|r| r.id(RewardId::new))?,
    })
}
