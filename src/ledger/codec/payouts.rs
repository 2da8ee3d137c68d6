//! Records of payouts: reserved, paid, failed; rewards that were added or changed; holds; and what outlives a conversion.

use super::models;
use super::numbers;
use super::parts;
use super::recheck;
use crate::book::command::{Request, RewardsChange};
use crate::book::event::{
    ChangedReward, ConversionKept, Entitlement, HeldReferral, HoldChanged, KeptPayment, KeptReward, PayoutFailed,
    ReservationChanged, RewardPaid, RewardsChanged, RewardsReserved,
};
use crate::book::records::{Cursor, ReserveAnswer};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::screening::gate::{Accepts, Cancelled, GateAnswer, GateReason};
use crate::vocabulary::conversion::Reward;
use crate::vocabulary::ids::{AccountId, Actor, ConversionId, HoldId, InvoiceId, RequestId, RewardId};

pub(super) fn write_request(w: &mut Writer, Request { id, content }: &Request) {
    w.text(id.as_str());
    parts::write_content(w, *content);
}

pub(super) fn read_request(r: &mut Reader<'_>) -> Result<Request, Damaged> {
    Ok(Request { id: r.id(RequestId::new)?, content: parts::read_content(r)? })
}

fn write_gate_reason(w: &mut Writer, reason: &GateReason) {
    w.u8(match reason {
        GateReason::Cleared => 1,
        GateReason::UnknownConversion => 2,
        GateReason::UnknownReward => 3,
        GateReason::OtherConversion => 4,
        GateReason::RepeatedInCall => 5,
        GateReason::InReview => 6,
        GateReason::LateFacts => 7,
        GateReason::DelayRunning => 8,
        GateReason::ReferralHeld => 9,
        GateReason::ReferrerHeld => 10,
        GateReason::Reserved => 11,
        GateReason::Rejected => 12,
        GateReason::AlreadyPaid => 13,
        GateReason::Reduced => 14,
        GateReason::Cancelled(_) => 15,
        GateReason::Duplicate(_) => 16,
        GateReason::Removed => 17,
        GateReason::ReservationEnded => 18,
    });
    if let GateReason::Cancelled(kind) = reason {
        w.u8(numbers::outcome_kind(*kind));
    }
    if let GateReason::Duplicate(first) = reason {
        w.text(first.as_str());
    }
}

fn read_gate_reason(r: &mut Reader<'_>) -> Result<GateReason, Damaged> {
    Ok(match r.u8()? {
        1 => GateReason::Cleared,
        2 => GateReason::UnknownConversion,
        3 => GateReason::UnknownReward,
        4 => GateReason::OtherConversion,
        5 => GateReason::RepeatedInCall,
        6 => GateReason::InReview,
        7 => GateReason::LateFacts,
        8 => GateReason::DelayRunning,
        9 => GateReason::ReferralHeld,
        10 => GateReason::ReferrerHeld,
        11 => GateReason::Reserved,
        12 => GateReason::Rejected,
        13 => GateReason::AlreadyPaid,
        14 => GateReason::Reduced,
        15 => GateReason::Cancelled(numbers::read_outcome_kind(r.u8()?)?),
        16 => GateReason::Duplicate(r.id(ConversionId::new)?),
        17 => GateReason::Removed,
        18 => GateReason::ReservationEnded,
        _ => return Err(Damaged("a number stands for no reason of the gate")),
    })
}

fn write_answer(w: &mut Writer, answer: &ReserveAnswer) {
    let ReserveAnswer { reward_id, conversion_id, gate, reserved_until, amount } = answer;
    let GateAnswer { gate, reason, hold_until, payable } = gate;
    w.text(reward_id.as_str());
    w.text(conversion_id.as_str());
    w.u8(numbers::gate(*gate));
    write_gate_reason(w, reason);
    w.option(*hold_until, Writer::time);
    w.option(*payable, parts::write_money);
    w.option(*reserved_until, Writer::time);
    w.option(*amount, parts::write_money);
}

fn read_answer(r: &mut Reader<'_>) -> Result<ReserveAnswer, Damaged> {
    let (reward_id, conversion_id) = (r.id(RewardId::new)?, r.id(ConversionId::new)?);
    let gate = numbers::read_gate(r.u8()?)?;
    let reason = read_gate_reason(r)?;
    let (hold_until, payable) = (r.option(Reader::time)?, r.option(parts::read_money)?);
    let gate = GateAnswer { gate, reason, hold_until, payable };
    let (reserved_until, amount) = (r.option(Reader::time)?, r.option(parts::read_money)?);
    Ok(ReserveAnswer { reward_id, conversion_id, gate, reserved_until, amount })
}

pub(super) fn write_reserved(w: &mut Writer, event: &RewardsReserved) {
    let RewardsReserved { request, at, rechecked, answers } = event;
    write_request(w, request);
    w.time(*at);
    w.option(rechecked.as_ref(), recheck::write);
    w.list(answers, write_answer);
}

pub(super) fn read_reserved(r: &mut Reader<'_>) -> Result<RewardsReserved, Damaged> {
    let (request, at, rechecked) = (read_request(r)?, r.time()?, r.option(recheck::read)?);
    Ok(RewardsReserved { request, at, rechecked, answers: r.list(read_answer)? })
}

pub(super) fn write_reservation(w: &mut Writer, event: &ReservationChanged) {
    let ReservationChanged { reservation_id, rewards, until, request, at } = event;
    w.text(reservation_id.as_str());
    w.list(rewards, |w, (conversion, reward)| {
        w.text(conversion.as_str());
        w.text(reward.as_str());
    });
    w.option(*until, Writer::time);
    w.option(request.as_ref(), write_request);
    w.time(*at);
}

pub(super) fn read_reservation(r: &mut Reader<'_>) -> Result<ReservationChanged, Damaged> {
    Ok(ReservationChanged {
        reservation_id: r.id(RequestId::new)?,
        rewards: r.list(|r| Ok((r.id(ConversionId::new)?, r.id(RewardId::new)?)))?,
        until: r.option(Reader::time)?,
        request: r.option(read_request)?,
        at: r.time()?,
    })
}

pub(super) fn write_paid(w: &mut Writer, event: &RewardPaid) {
    let RewardPaid {
        conversion_id,
        referrer,
        referee,
        reward_id,
        paid_at,
        amount,
        received_at,
        verdict,
        entitlement,
        against_gate,
        reservation_id,
        request,
    } = event;
    w.option(reservation_id.as_ref(), |w, id| w.text(id.as_str()));
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
    w.option(against_gate.as_ref(), write_gate_reason);
    w.option(request.as_ref(), write_request);
}

pub(super) fn read_paid(r: &mut Reader<'_>) -> Result<RewardPaid, Damaged> {
    Ok(RewardPaid {
        reservation_id: r.option(|r| r.id(RequestId::new))?,
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
        against_gate: r.option(read_gate_reason)?,
        request: r.option(read_request)?,
    })
}

pub(super) fn write_failed(w: &mut Writer, event: &PayoutFailed) {
    let PayoutFailed { conversion_id, referrer, referee, reward_id, failed_at, reason_code, note, received_at, verdict, request } =
        event;
    w.text(conversion_id.as_str());
    w.text(referrer.as_str());
    w.text(referee.as_str());
    w.text(reward_id.as_str());
    w.time(*failed_at);
    w.text(reason_code);
    w.text(note);
    w.time(*received_at);
    w.u8(numbers::verdict(*verdict));
    w.option(request.as_ref(), write_request);
}

pub(super) fn read_failed(r: &mut Reader<'_>) -> Result<PayoutFailed, Damaged> {
    Ok(PayoutFailed {
        conversion_id: r.id(ConversionId::new)?,
        referrer: r.id(AccountId::new)?,
        referee: r.id(AccountId::new)?,
        reward_id: r.id(RewardId::new)?,
        failed_at: r.time()?,
        reason_code: r.text()?.to_owned(),
        note: r.text()?.to_owned(),
        received_at: r.time()?,
        verdict: numbers::read_verdict(r.u8()?)?,
        request: r.option(read_request)?,
    })
}

pub(super) fn write_rewards(w: &mut Writer, event: &RewardsChanged) {
    let RewardsChanged { conversion_id, referrer, referee, verdict, rewards, change, actor, note, request, at } = event;
    w.text(conversion_id.as_str());
    w.text(referrer.as_str());
    w.text(referee.as_str());
    w.u8(numbers::verdict(*verdict));
    w.list(rewards, |w, ChangedReward { reward: Reward { reward_id, beneficiary, amount }, previous }| {
        w.text(reward_id.as_str());
        w.u8(numbers::side(*beneficiary));
        w.option(*amount, parts::write_money);
        w.option(*previous, parts::write_money);
    });
    w.u8(match change {
        RewardsChange::Add => 1,
        RewardsChange::Change => 2,
    });
    w.text(actor.as_str());
    w.text(note);
    w.option(request.as_ref(), write_request);
    w.time(*at);
}

pub(super) fn read_rewards(r: &mut Reader<'_>) -> Result<RewardsChanged, Damaged> {
    Ok(RewardsChanged {
        conversion_id: r.id(ConversionId::new)?,
        referrer: r.id(AccountId::new)?,
        referee: r.id(AccountId::new)?,
        verdict: numbers::read_verdict(r.u8()?)?,
        rewards: r.list(|r| {
            let (reward_id, beneficiary) = (r.id(RewardId::new)?, numbers::read_side(r.u8()?)?);
            let reward = Reward { reward_id, beneficiary, amount: r.option(parts::read_money)? };
            Ok(ChangedReward { reward, previous: r.option(parts::read_money)? })
        })?,
        change: match r.u8()? {
            1 => RewardsChange::Add,
            2 => RewardsChange::Change,
            _ => return Err(Damaged("a number stands for no change of rewards")),
        },
        actor: r.id(Actor::new)?,
        note: r.text()?.to_owned(),
        request: r.option(read_request)?,
        at: r.time()?,
    })
}

pub(super) fn write_hold(w: &mut Writer, event: &HoldChanged) {
    let HoldChanged { hold_id, subject, change, actor, note, at, referral, request } = event;
    w.text(hold_id.as_str());
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
    w.option(request.as_ref(), write_request);
}

pub(super) fn read_hold(r: &mut Reader<'_>) -> Result<HoldChanged, Damaged> {
    Ok(HoldChanged {
        hold_id: r.id(HoldId::new)?,
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
        request: r.option(read_request)?,
    })
}

pub(super) fn write_cancelled(w: &mut Writer, Cancelled { by, at }: Cancelled) {
    w.u8(numbers::outcome_kind(by));
    w.time(at);
}

pub(super) fn read_cancelled(r: &mut Reader<'_>) -> Result<Cancelled, Damaged> {
    Ok(Cancelled { by: numbers::read_outcome_kind(r.u8()?)?, at: r.time()? })
}

pub(super) fn write_kept(w: &mut Writer, event: &ConversionKept) {
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
        cancelled,
        accepts,
        rewards,
        audited,
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
    w.option(*cancelled, write_cancelled);
    w.u8(match accepts {
        Accepts::Named => 1,
        Accepts::Any => 2,
    });
    w.list(rewards, |w, KeptReward { reward_id, beneficiary, amount, payment }| {
        w.text(reward_id.as_str());
        w.option(*beneficiary, |w, side| w.u8(numbers::side(side)));
        w.option(*amount, parts::write_money);
        w.option(payment.as_ref(), |w, KeptPayment { amount, cursor, reported }| {
            w.option(*amount, parts::write_money);
            w.u64(cursor.0);
            w.u8(u8::from(*reported));
        });
    });
    w.option(audited.as_ref(), models::write_audited);
}

pub(super) fn read_kept(r: &mut Reader<'_>) -> Result<ConversionKept, Damaged> {
    let payment = |r: &mut Reader<'_>| {
        let (amount, cursor) = (r.option(parts::read_money)?, Cursor(r.u64()?));
        Ok(KeptPayment { amount, cursor, reported: r.u8()? == 1 })
    };
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
        cancelled: r.option(read_cancelled)?,
        accepts: match r.u8()? {
            1 => Accepts::Named,
            2 => Accepts::Any,
            _ => return Err(Damaged("a number stands for no rewards")),
        },
        rewards: r.list(|r| {
            Ok(KeptReward {
                reward_id: r.id(RewardId::new)?,
                beneficiary: r.option(|r| numbers::read_side(r.u8()?))?,
                amount: r.option(parts::read_money)?,
                payment: r.option(payment)?,
            })
        })?,
        audited: r.option(models::read_audited)?,
    })
}
