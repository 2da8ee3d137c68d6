//! Steps on cases as bytes: one, and several at once, of which what is said of all stands once.

use super::{models, numbers, parts, payouts};
use crate::book::LeftAlone;
use crate::book::command::CaseStep;
use crate::book::event::{CaseStepped, CasesStepped, FirstCase, StepMade};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::screening::case::Step;
use crate::vocabulary::ids::{AccountId, Actor, ConversionId, RewardId};
use crate::vocabulary::time::{Span, Timestamp};

pub(super) fn write(w: &mut Writer, event: &CaseStepped) {
    let CaseStepped { step, actor, reason_code, note, at, first_case, trips, request, .. } = event;
    write_made(w, (step, actor, [reason_code, note], *at));
    write_change(w, event);
    w.option(first_case.as_ref(), |w, FirstCase { score, value, headline }| {
        w.f64(*score);
        w.option(*value, parts::write_money);
        w.text(headline);
    });
    w.option(trips.as_ref(), models::write_tripped);
    w.option(request.as_ref(), payouts::write_request);
}

pub(super) fn read(r: &mut Reader<'_>) -> Result<CaseStepped, Damaged> {
    let made = read_made(r)?;
    let stepped = read_change(r, &made)?;
    let first_case =
        r.option(|r| Ok(FirstCase { score: r.f64()?, value: r.option(parts::read_money)?, headline: r.text()?.to_owned() }))?;
    let trips = r.option(models::read_tripped)?;
    let request = r.option(payouts::read_request)?;
    Ok(CaseStepped { first_case, trips, request, ..stepped })
}

pub(super) fn write_several(w: &mut Writer, event: &CasesStepped) {
    let CasesStepped { act, steps, named, trips, request } = event;
    let StepMade { step, actor, reason_code, note, at } = act;
    write_made(w, (step, actor, [reason_code, note], *at));
    w.list(steps, write_change);
    w.list(named, |w, (id, left)| {
        w.text(id.as_str());
        w.option(*left, |w, left| w.u8(left_number(left)));
    });
    w.option(trips.as_ref(), models::write_tripped);
    payouts::write_request(w, request);
}

pub(super) fn read_several(r: &mut Reader<'_>) -> Result<CasesStepped, Damaged> {
    let act = read_made(r)?;
    let steps = r.list(|r| read_change(r, &act))?;
    let named = r.list(|r| Ok((r.id(ConversionId::new)?, r.option(|r| read_left(r.u8()?))?)))?;
    let trips = r.option(models::read_tripped)?;
    let request = payouts::read_request(r)?;
    Ok(CasesStepped { act, steps, named, trips, request })
}

fn write_made(w: &mut Writer, (step, actor, why, at): (&CaseStep, &Actor, [&str; 2], Timestamp)) {
    write_step(w, step);
    w.text(actor.as_str());
    for text in why {
        w.text(text);
    }
    w.time(at);
}

fn read_made(r: &mut Reader<'_>) -> Result<StepMade, Damaged> {
    Ok(StepMade {
        step: read_step(r)?,
        actor: r.id(Actor::new)?,
        reason_code: r.text()?.to_owned(),
        note: r.text()?.to_owned(),
        at: r.time()?,
    })
}

/// What a step changed of one case, without who made it and why.
fn write_change(w: &mut Writer, event: &CaseStepped) {
    let CaseStepped {
        conversion_id,
        referrer,
        referee,
        step: _,
        actor: _,
        reason_code: _,
        note: _,
        at: _,
        previous_state,
        state,
        previous_verdict,
        verdict,
        revision,
        opened_at,
        due_at,
        reason_codes,
        paid,
        first_case: _,
        trips: _,
        request: _,
    } = event;
    w.text(conversion_id.as_str());
    w.text(referrer.as_str());
    w.text(referee.as_str());
    w.option(previous_state.as_ref(), parts::write_case_state);
    parts::write_case_state(w, state);
    w.u8(numbers::verdict(*previous_verdict));
    w.u8(numbers::verdict(*verdict));
    w.u32(*revision);
    w.time(*opened_at);
    w.time(*due_at);
    w.list(reason_codes, |w, code| w.u8(numbers::evidence_code(*code)));
    w.list(paid, |w, id| w.text(id.as_str()));
}

fn read_change(r: &mut Reader<'_>, made: &StepMade) -> Result<CaseStepped, Damaged> {
    let StepMade { step, actor, reason_code, note, at } = made.clone();
    Ok(CaseStepped {
        conversion_id: r.id(ConversionId::new)?,
        referrer: r.id(AccountId::new)?,
        referee: r.id(AccountId::new)?,
        step,
        actor,
        reason_code,
        note,
        at,
        previous_state: r.option(parts::read_case_state)?,
        state: parts::read_case_state(r)?,
        previous_verdict: numbers::read_verdict(r.u8()?)?,
        verdict: numbers::read_verdict(r.u8()?)?,
        revision: r.u32()?,
        opened_at: r.time()?,
        due_at: r.time()?,
        reason_codes: r.list(|r| numbers::read_evidence_code(r.u8()?))?,
        paid: r.list(|r| r.id(RewardId::new))?,
        first_case: None,
        trips: None,
        request: None,
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

const fn left_number(left: LeftAlone) -> u8 {
    match left {
        LeftAlone::Changed => 1,
        LeftAlone::ClaimedByOther => 2,
        LeftAlone::AlreadyResolved => 3,
        LeftAlone::NotResolved => 4,
        LeftAlone::Gone => 5,
        LeftAlone::NeedsConfirmation => 6,
    }
}

const fn read_left(number: u8) -> Result<LeftAlone, Damaged> {
    Ok(match number {
        1 => LeftAlone::Changed,
        2 => LeftAlone::ClaimedByOther,
        3 => LeftAlone::AlreadyResolved,
        4 => LeftAlone::NotResolved,
        5 => LeftAlone::Gone,
        6 => LeftAlone::NeedsConfirmation,
        _ => return Err(Damaged("a number stands for no reason to leave a case alone")),
    })
}
