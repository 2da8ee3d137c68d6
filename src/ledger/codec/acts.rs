//! Records of acts that a second identity confirms. What a confirmed act did is the record that it would have been by itself.

use super::{decode, encode, numbers, outcomes, parts, payouts};
use crate::book::acts::{Act, PendingAct};
use crate::book::command::HoldStep;
use crate::book::event::{ActConfirmed, ActDropped, ActProposed};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::vocabulary::ids::{ActId, Actor, CaseId, HoldId, RecordId};

/// What an act is. The numbers are stored.
mod act {
    pub(super) const ACCEPT: u8 = 1;
    pub(super) const LIFT_HOLD: u8 = 2;
    pub(super) const CHANGE_LIST: u8 = 3;
    pub(super) const RECORD_OUTCOME: u8 = 4;
    pub(super) const REVOKE_OUTCOME: u8 = 5;
    pub(super) const ACTIVATE: u8 = 6;
    pub(super) const LIFT_OWN_HOLD: u8 = 7;
    pub(super) const CHANGE_TERMS: u8 = 8;
}

pub(super) fn write_proposed(w: &mut Writer, ActProposed { pending, request }: &ActProposed) {
    let PendingAct { id, act, cause, proposer, note, proposed_at, expires_at } = pending;
    w.text(id.as_str());
    write_act(w, act);
    w.u8(numbers::cause(*cause));
    w.text(proposer.as_str());
    w.text(note);
    w.time(*proposed_at);
    w.time(*expires_at);
    w.option(request.as_ref(), payouts::write_request);
}

pub(super) fn read_proposed(r: &mut Reader<'_>) -> Result<ActProposed, Damaged> {
    let pending = PendingAct {
        id: r.id(ActId::new)?,
        act: read_act(r)?,
        cause: numbers::read_cause(r.u8()?)?,
        proposer: r.id(Actor::new)?,
        note: r.text()?.to_owned(),
        proposed_at: r.time()?,
        expires_at: r.time()?,
    };
    Ok(ActProposed { pending, request: r.option(payouts::read_request)? })
}

fn write_act(w: &mut Writer, act: &Act) {
    match act {
        Act::Accept { case_id, reason_code, expected_revision } => {
            w.u8(act::ACCEPT);
            w.text(case_id.as_str());
            w.text(reason_code);
            w.option(*expected_revision, Writer::u32);
        }
        Act::LiftHold(HoldStep::Lift(id)) => {
            w.u8(act::LIFT_HOLD);
            w.text(id.as_str());
        }
        Act::LiftHold(HoldStep::LiftOwn(subject) | HoldStep::Place { hold_id: _, subject }) => {
            w.u8(act::LIFT_OWN_HOLD);
            parts::write_hold_subject(w, subject);
        }
        Act::ChangeList(entry, change) => {
            w.u8(act::CHANGE_LIST);
            w.u8(numbers::change(*change));
            parts::write_list_entry(w, entry);
        }
        Act::RecordOutcome(outcome, content) => {
            w.u8(act::RECORD_OUTCOME);
            outcomes::write_outcome(w, outcome);
            parts::write_content(w, *content);
        }
        Act::RevokeOutcome { outcome_id, reason_code } => {
            w.u8(act::REVOKE_OUTCOME);
            w.text(outcome_id.as_str());
            w.text(reason_code);
        }
        Act::ChangeTerms(step) => {
            w.u8(act::CHANGE_TERMS);
            super::terms::write_step(w, step);
        }
        Act::Activate { model, default } => {
            w.u8(act::ACTIVATE);
            super::models::write_name(w, model);
            super::models::write_name(w, default);
        }
    }
}

fn read_act(r: &mut Reader<'_>) -> Result<Act, Damaged> {
    Ok(match r.u8()? {
        act::ACCEPT => Act::Accept {
            case_id: r.id(CaseId::new)?,
            reason_code: r.text()?.to_owned(),
            expected_revision: r.option(Reader::u32)?,
        },
        act::LIFT_HOLD => Act::LiftHold(HoldStep::Lift(r.id(HoldId::new)?)),
        act::LIFT_OWN_HOLD => Act::LiftHold(HoldStep::LiftOwn(parts::read_hold_subject(r)?)),
        act::CHANGE_LIST => {
            let change = numbers::read_change(r.u8()?)?;
            Act::ChangeList(Box::new(parts::read_list_entry(r)?), change)
        }
        act::RECORD_OUTCOME => Act::RecordOutcome(Box::new(outcomes::read_outcome(r)?), parts::read_content(r)?),
        act::REVOKE_OUTCOME => Act::RevokeOutcome { outcome_id: r.id(RecordId::new)?, reason_code: r.text()?.to_owned() },
        act::CHANGE_TERMS => Act::ChangeTerms(Box::new(super::terms::read_step(r)?)),
        act::ACTIVATE => Act::Activate { model: super::models::read_name(r)?, default: super::models::read_name(r)? },
        _ => return Err(Damaged("a number stands for no act")),
    })
}

pub(super) fn write_confirmed(w: &mut Writer, ActConfirmed { act_id, actor, note, request, at, done }: &ActConfirmed) {
    w.text(act_id.as_str());
    w.text(actor.as_str());
    w.text(note);
    w.option(request.as_ref(), payouts::write_request);
    w.time(*at);
    let done = encode(done);
    w.len(done.len());
    w.raw(&done);
}

pub(super) fn read_confirmed(r: &mut Reader<'_>) -> Result<ActConfirmed, Damaged> {
    let (act_id, actor, note) = (r.id(ActId::new)?, r.id(Actor::new)?, r.text()?.to_owned());
    let (request, at) = (r.option(payouts::read_request)?, r.time()?);
    let length = r.len()?;
    let done = decode(r.raw(length)?)?;
    if done.is_of_an_act() {
        return Err(Damaged("an act that was confirmed did another"));
    }
    Ok(ActConfirmed { act_id, actor, note, request, at, done: Box::new(done) })
}

pub(super) fn write_dropped(w: &mut Writer, ActDropped { act_id, how, actor, note, request, at }: &ActDropped) {
    w.text(act_id.as_str());
    w.u8(numbers::settlement(*how));
    w.text(actor.as_str());
    w.text(note);
    w.option(request.as_ref(), payouts::write_request);
    w.time(*at);
}

pub(super) fn read_dropped(r: &mut Reader<'_>) -> Result<ActDropped, Damaged> {
    Ok(ActDropped {
        act_id: r.id(ActId::new)?,
        how: numbers::read_settlement(r.u8()?)?,
        actor: r.id(Actor::new)?,
        note: r.text()?.to_owned(),
        request: r.option(payouts::read_request)?,
        at: r.time()?,
    })
}
