//! Records of a programme's terms.

use std::sync::Arc;

use super::{numbers, payouts};
use crate::book::event::TermsChanged;
use crate::book::terms::{PolicyName, ProgramPolicy, Setting, Terms, TermsStep, TermsSummary};
use crate::ledger::packed::{Damaged, Reader, Writer};
use crate::screening::policy::{CampaignPayout, PolicyHash, Promise};
use crate::vocabulary::ids::{Actor, CampaignId};
use crate::vocabulary::time::Span;

fn write_span(w: &mut Writer, span: Span) {
    w.i64(span.as_millis());
}

fn read_span(r: &mut Reader<'_>) -> Result<Span, Damaged> {
    Ok(Span::from_millis(r.i64()?))
}

fn write_name(w: &mut Writer, PolicyName { version, hash }: &PolicyName) {
    w.text(version);
    w.raw(&hash.0);
}

fn read_name(r: &mut Reader<'_>) -> Result<PolicyName, Damaged> {
    Ok(PolicyName { version: r.boxed_text()?, hash: PolicyHash(r.array()?) })
}

fn write_policy(w: &mut Writer, ProgramPolicy { name, text }: &ProgramPolicy) {
    write_name(w, name);
    w.text(text);
}

fn read_policy(r: &mut Reader<'_>) -> Result<ProgramPolicy, Damaged> {
    Ok(ProgramPolicy { name: read_name(r)?, text: Arc::from(r.text()?) })
}

fn write_setting<T>(w: &mut Writer, setting: &Setting<T>, write: impl FnOnce(&mut Writer, &T)) {
    match setting {
        Setting::Stays => w.u8(0),
        Setting::Is(new) => {
            w.u8(1);
            write(w, new);
        }
        Setting::Default => w.u8(2),
    }
}

fn read_setting<'a, T>(
    r: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, Damaged>,
) -> Result<Setting<T>, Damaged> {
    Ok(match r.u8()? {
        0 => Setting::Stays,
        1 => Setting::Is(read(r)?),
        2 => Setting::Default,
        _ => return Err(Damaged("a number stands for no setting")),
    })
}

pub(super) fn write_step(w: &mut Writer, TermsStep { policy, payout_delay, retention, decided }: &TermsStep) {
    write_setting(w, policy, write_policy);
    write_setting(w, payout_delay, |w, span| write_span(w, *span));
    write_setting(w, retention, |w, span| write_span(w, *span));
    w.u8(numbers::decided(*decided));
}

pub(super) fn read_step(r: &mut Reader<'_>) -> Result<TermsStep, Damaged> {
    Ok(TermsStep {
        policy: read_setting(r, read_policy)?,
        payout_delay: read_setting(r, read_span)?,
        retention: read_setting(r, read_span)?,
        decided: numbers::read_decided(r.u8()?)?,
    })
}

fn write_promise(w: &mut Writer, Promise { until, delay, campaigns }: &Promise) {
    w.time(*until);
    write_span(w, *delay);
    w.len(campaigns.len());
    for (campaign, CampaignPayout { delay, counts_from }) in campaigns {
        w.text(campaign.as_str());
        write_span(w, *delay);
        w.u8(numbers::counts_from(*counts_from));
    }
}

fn read_promise(r: &mut Reader<'_>) -> Result<Promise, Damaged> {
    let campaign = |r: &mut Reader<'_>| {
        let id = r.id(CampaignId::new)?;
        Ok((id, CampaignPayout { delay: read_span(r)?, counts_from: numbers::read_counts_from(r.u8()?)? }))
    };
    Ok(Promise { until: r.time()?, delay: read_span(r)?, campaigns: r.list(campaign)?.into_iter().collect() })
}

pub(super) fn write_changed(w: &mut Writer, event: &TermsChanged) {
    let TermsChanged { terms, promises, previous, actor, note, at, request } = event;
    let Terms { policy, payout_delay, retention } = terms;
    w.option(policy.as_ref(), write_policy);
    w.option(*payout_delay, write_span);
    w.option(*retention, write_span);
    w.list(promises, write_promise);
    let TermsSummary { policy, payout_delay, retention } = previous;
    w.option(policy.as_ref(), write_name);
    w.option(*payout_delay, write_span);
    w.option(*retention, write_span);
    w.text(actor.as_str());
    w.text(note);
    w.time(*at);
    w.option(request.as_ref(), payouts::write_request);
}

pub(super) fn read_changed(r: &mut Reader<'_>) -> Result<TermsChanged, Damaged> {
    Ok(TermsChanged {
        terms: Terms { policy: r.option(read_policy)?, payout_delay: r.option(read_span)?, retention: r.option(read_span)? },
        promises: r.list(read_promise)?,
        previous: TermsSummary {
            policy: r.option(read_name)?,
            payout_delay: r.option(read_span)?,
            retention: r.option(read_span)?,
        },
        actor: r.id(Actor::new)?,
        note: r.text()?.to_owned(),
        at: r.time()?,
        request: r.option(payouts::read_request)?,
    })
}
